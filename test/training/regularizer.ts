/** An L2 penalty as layers take it. */
import { regularizerFamily } from "../../src/nn/regularizers.js";

export const l2 = (factor: number) => regularizerFamily.make.l2({ l2: factor });
