/**
 * How a value is walked over a domain: one element stride per dimension, 0 where it is broadcast; and
 * the collapsing of dimensions that all inputs of a tile program walk as one.
 */
import { broadcastStrides, sizeOf } from "../tensor/shape.js";
import type { Value } from "./graph.js";

/** Element strides of a value over the dimensions of a view. */
export type Reading = readonly number[];

/**
 * The strides with which `value` is read over `view`, a regrouping of `domain`'s dimensions; null when
 * one view dimension would need more than one stride.
 */
export function readingOver(
  value: Pick<Value, "shape">,
  domain: readonly number[],
  view: readonly number[],
): Reading | null {
  return regroup(domain, broadcastStrides(value.shape, domain), view);
}

/** Merges runs of dimensions into those of `view`, if the strides allow. */
function regroup(
  dims: readonly number[],
  strides: readonly number[],
  view: readonly number[],
): number[] | null {
  if (sizeOf(dims) !== sizeOf(view)) return null;
  if (sizeOf(dims) === 0) return view.map(() => 0);
  const result: number[] = [];
  let at = dims.length - 1;
  for (let v = view.length - 1; v >= 0; v--) {
    let taken = 1;
    let stride = 0;
    let span = 1;
    while (taken < view[v]!) {
      const dim = dims[at];
      if (dim === undefined) return null;
      if (dim !== 1) {
        if (taken === 1) stride = strides[at]!;
        else if (strides[at] !== stride * span) return null;
        span *= dim;
        taken *= dim;
      }
      at--;
    }
    if (taken !== view[v]) return null;
    result.unshift(stride);
  }
  return result;
}

/** Drops dimensions of size 1 and merges neighbours that every input walks as one. */
export function collapse(
  dims: readonly number[],
  readings: readonly Reading[],
): { dims: number[]; strides: number[][] } {
  const kept: number[] = [];
  const strides: number[][] = readings.map(() => []);
  dims.forEach((dim, d) => {
    if (dim === 1) return;
    const last = kept.length - 1;
    const joins =
      last >= 0 && readings.every((reading, i) => strides[i]![last] === reading[d]! * dim);
    if (joins) {
      kept[last]! *= dim;
      for (const [i, reading] of readings.entries()) strides[i]![last] = reading[d]!;
    } else {
      kept.push(dim);
      for (const [i, reading] of readings.entries()) strides[i]!.push(reading[d]!);
    }
  });
  if (kept.length === 0) return { dims: [1], strides: readings.map(() => [0]) };
  return { dims: kept, strides };
}
