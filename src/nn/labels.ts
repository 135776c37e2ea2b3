/**
 * Labels and predictions of one shape, for losses and metrics: what Keras lets pass (a trailing dimension of 1
 * more or less) is evened out, anything else is an error.
 */
import { ShapeError } from "../errors.js";
import { cast } from "../ops/elementwise.js";
import { expandDims, squeeze, transpose } from "../ops/movement.js";
import { normalizeAxis, showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * Labels and predictions as float32 of one rank: a trailing dimension of 1 is added to (or removed
 * from) the side that needs it, as Keras does. Other differences are errors, never broadcast.
 */
export function sameRank(name: string, yTrue: Tensor, yPred: Tensor): [Tensor, Tensor] {
  let t = cast(yTrue, "float32");
  let p = cast(yPred, "float32");
  if (p.rank === t.rank + 1 && p.shape[t.rank] === 1) {
    if (t.rank === 1) t = expandDims(t, -1);
    else p = squeeze(p, -1);
  } else if (t.rank === p.rank + 1 && t.shape[p.rank] === 1) {
    if (p.rank === 1) p = expandDims(p, -1);
    else t = squeeze(t, -1);
  }
  if (t.rank !== p.rank || t.shape.some((d, i) => d !== p.shape[i])) {
    throw new ShapeError(
      `${name}: labels ${showShape(yTrue.shape)} do not match predictions ${showShape(yPred.shape)}`,
    );
  }
  return [t, p];
}

/** Class indices as int32 with the shape of the predictions less their last dimension. */
export function classIndices(name: string, yTrue: Tensor, yPred: Tensor): Tensor {
  const rank = yPred.rank - 1;
  let labels = cast(yTrue, "int32");
  if (labels.rank === yPred.rank && labels.shape[rank] === 1) labels = squeeze(labels, -1);
  if (labels.rank !== rank || labels.shape.some((d, i) => d !== yPred.shape[i])) {
    throw new ShapeError(
      `${name}: expected class indices of shape ${showShape(yPred.shape.slice(0, -1))} for ` +
        `predictions ${showShape(yPred.shape)}, got ${showShape(yTrue.shape)}; ` +
        "for one-hot labels use categoricalCrossentropy",
    );
  }
  return labels;
}

/** `x` with one of its axes moved to the end, where formulas expect the classes. */
export function classesLast(name: string, x: Tensor, axis: number): Tensor {
  const at = normalizeAxis(name, axis, x.rank);
  if (at === x.rank - 1) return x;
  const others = Array.from({ length: x.rank }, (_, i) => i).filter((i) => i !== at);
  return transpose(x, [...others, at]);
}
