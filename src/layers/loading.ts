/**
 * Weights that a file is about to fill: they need no first values, so initializers are not run, and
 * all of them together can't be much larger than what the file holds. Knows no files: `models/loading.ts`
 * opens the scope, `Layer.addWeight` asks.
 */
import { FormatError } from "../errors.js";
import type { DType } from "../tensor/dtype.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { type Tensor, zerosLeaf } from "../tensor/tensor.js";

/** 4 MiB: a small excess is reported tensor by tensor, once the model is there. */
const tolerated = 2 ** 20;

/** Values that weights may still have. */
let left: number | undefined;

/** Runs `body`; the weights that are made in it are zeros, for a file of `values` values. */
export function withWeightsToLoad<T>(values: number, body: () => T): T {
  const outer = left;
  left = values + tolerated;
  try {
    return body();
  } finally {
    left = outer;
  }
}

/** Zeros for a weight that a file will fill; undefined where the initializer has to make it. */
export function weightToLoad(where: string, shape: Shape, dtype: DType): Tensor | undefined {
  if (left === undefined) return undefined;
  left -= sizeOf(shape);
  // Before anything is allocated: a few bytes of a configuration can ask for any amount.
  if (left < 0) {
    throw new FormatError(`${where} of shape ${showShape(shape)}: the file holds fewer values`);
  }
  return zerosLeaf(shape, dtype);
}
