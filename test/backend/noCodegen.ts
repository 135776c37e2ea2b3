/**
 * Run by typescript.test.ts in a process that forbids code generation from strings: prints whether it
 * does, and what a fused map and a reduction give there.
 */
import { TypeScriptBackend } from "../../src/backend/typescript.js";
import { allocate } from "../../src/tensor/dtype.js";
import { programOf } from "../kernels/case.js";
import { mapCases } from "../kernels/map.cases.js";
import { reduceCases } from "../kernels/reduce.cases.js";

function forbidden(): boolean {
  try {
    new Function("return 1")();
    return false;
  } catch (error) {
    return error instanceof EvalError;
  }
}

/** The sum of the first outputs of the first ten cases of each family. */
function checksum(): number {
  const backend = new TypeScriptBackend();
  let sum = 0;
  for (const item of [...mapCases.slice(0, 10), ...reduceCases.slice(0, 5)]) {
    const outputs = item.outputs.map(({ dtype, size }) => allocate(dtype, size));
    backend.load(programOf(item)).runSync([...item.inputs.map((input) => input.data), ...outputs]);
    for (const value of outputs[0]!) sum += value;
  }
  return sum;
}

export const outcome = () => ({ forbidden: forbidden(), checksum: checksum() });

if (process.argv[1]?.endsWith("noCodegen.ts")) console.log(JSON.stringify(outcome()));
