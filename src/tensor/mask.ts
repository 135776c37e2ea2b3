/**
 * Masks: which steps of a sequence count. A mask is a bool tensor whose shape is the first dimensions of the
 * tensor that it stands beside, most often [batch, time]; it is kept beside the tensor, not in it, and set
 * once. Layers pass masks on (`Layer.computeMask`); losses and metrics read the one of the output.
 */
import { DTypeError, expected, ShapeError } from "../errors.js";
import { sameShape, showShape } from "./shape.js";
import type { Tensor } from "./tensor.js";

const masks = new WeakMap<Tensor, Tensor>();
const lengths = new WeakMap<Tensor, Tensor>();

/**
 * The mask of a tensor: true where a step counts; null where all do. For use in the `call` of a layer of
 * your own.
 */
export function maskOf(x: Tensor): Tensor | null {
  return masks.get(x) ?? null;
}

/** Throws unless `mask` can stand beside a tensor of this shape. */
export function checkMask(where: string, x: Tensor, mask: Tensor): void {
  if (mask.dtype !== "bool") {
    throw new DTypeError(expected(`${where}: mask`, "bool", mask.dtype, 'cast it: m.cast("bool")'));
  }
  if (mask.rank === 0 || !sameShape(mask.shape, x.shape.slice(0, mask.rank))) {
    const wanted = x.rank > 2 ? x.shape.slice(0, 2) : x.shape;
    throw new ShapeError(
      expected(
        `${where}: mask`,
        `shape ${showShape(wanted)} for values of shape ${showShape(x.shape)}`,
        showShape(mask.shape),
      ),
    );
  }
}

/** @internal Puts a mask beside a tensor that was just made and has none. */
export function setMask(where: string, x: Tensor, mask: Tensor): void {
  checkMask(where, x, mask);
  masks.set(x, mask);
}

/** @internal Notes that `mask` [batch, time] is true for the first `counts` [batch] steps, and only those. */
export function setLengths(mask: Tensor, counts: Tensor): void {
  lengths.set(mask, counts);
}

/** @internal The number of valid steps [batch] of a mask that is known to have no holes; else null. */
export function lengthsOf(mask: Tensor): Tensor | null {
  return lengths.get(mask) ?? null;
}
