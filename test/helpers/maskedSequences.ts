/** Small sequences of which a mask leaves out some steps, with anything in those. */
import { leaf, type Tensor } from "../../src/tensor/tensor.js";
import { uniform } from "./random.js";

export const [batch, time, features] = [3, 5, 4];

/** Padded on the right, with a hole, and nothing at all. */
export const mask = [
  [true, true, true, false, false],
  [false, true, false, true, true],
  [false, false, false, false, false],
];
/** For each element of such sequences. */
export const valid = mask.flat().flatMap((m) => new Array<boolean>(features).fill(m));

/** Sequences with `padding` where the mask is false. */
export function padded(padding: (i: number) => number): Tensor {
  const values = uniform(1, batch * time * features, -1, 1);
  values.forEach((_, i) => {
    if (!valid[i]) values[i] = padding(i);
  });
  return leaf(values, [batch, time, features], "float32");
}
