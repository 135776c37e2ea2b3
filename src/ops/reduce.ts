/**
 * Reductions. One op, `reduce`, over a contiguous run of axes; the functions split any set of axes
 * into such runs (last first), so kernels see `[outer, axis, inner]` only.
 */
import { ArgumentError, expected, show } from "../errors.js";
import { normalizeAxes, reducedShape, type Shape, sizeOf } from "../tensor/shape.js";
import { literal, type Tensor, type TensorLike } from "../tensor/tensor.js";
import {
  abs,
  broadcastTo,
  cast,
  div,
  equal,
  exp,
  log,
  mul,
  notEqual,
  sqrt,
  square,
  sub,
  where,
} from "./elementwise.js";
import { stopGradient } from "./identity.js";
import { reshape } from "./movement.js";
import { asTensor, defineOp, type Reducer, requireDType } from "./op.js";

export interface ReduceAttributes {
  readonly reducer: Reducer;
  readonly from: number;
  readonly to: number;
  /** Factor on the result: 1/n makes a mean of a sum. */
  readonly scale: number;
}

const applyReduce = defineOp<ReduceAttributes>({
  name: "reduce",
  infer: ([x], { from, to }) => [
    { shape: [...x!.shape.slice(0, from), ...x!.shape.slice(to)], dtype: x!.dtype },
  ],
  lowering: { kind: "reduce", parameters: ({ attributes }) => attributes },
  gradient: ({ inputs: [x], outputs: [y], attributes, dy }) => {
    const { reducer, from, to, scale } = attributes;
    const kept = x!.shape.map((dim, i) => (i >= from && i < to ? 1 : dim));
    const spread = reshape(scale === 1 ? dy : mul(dy, scale), kept);
    if (reducer === "sum") return [broadcastTo(spread, x!.shape)];
    if (reducer === "prod") return [productGradient(x!, spread, from, to)];
    // Ties share the gradient evenly, as PyTorch's amax does.
    const mask = cast(equal(x!, reshape(y!, kept)), "float32");
    return [mul(mask, div(spread, reshape(reduceRun(mask, "sum", from, to), kept)))];
  },
  samples: (["sum", "max", "min", "prod"] as const).flatMap((reducer) => [
    {
      inputs: [{ shape: [3, 4, 5], domain: [-2, 2] as const }],
      attributes: { reducer, from: 1, to: 2, scale: 1 },
    },
    {
      inputs: [{ shape: [3, 7], domain: [-2, 2] as const }],
      attributes: { reducer, from: 1, to: 2, scale: 1 },
    },
    {
      inputs: [{ shape: [2, 3], domain: [-2, 2] as const }],
      attributes: { reducer, from: 0, to: 2, scale: 1 },
    },
  ]),
});

/** Product of the other factors, right also where one factor is 0. */
function productGradient(x: Tensor, dy: Tensor, from: number, to: number): Tensor {
  const one = literal(1, "float32");
  const zero = literal(0, "float32");
  const isZero = equal(x, 0);
  const kept = dy.shape;
  const safe = where(isZero, one, x);
  const product = reshape(reduceRun(safe, "prod", from, to), kept);
  const zeros = reshape(reduceRun(cast(isZero, "float32"), "sum", from, to), kept);
  const others = where(
    equal(zeros, 0),
    div(product, safe),
    where(equal(zeros, 1), where(isZero, product, zero), zero),
  );
  return mul(dy, others);
}

function reduceRun(x: Tensor, reducer: Reducer, from: number, to: number, scale = 1): Tensor {
  return applyReduce([x], { reducer, from, to, scale })[0]!;
}

function reduce(
  where_: string,
  x: Tensor,
  reducer: Reducer,
  axis: number | readonly number[] | null | undefined,
  keepDims: boolean,
  scale: (count: number) => number = () => 1,
): Tensor {
  const axes = normalizeAxes(where_, axis, x.rank);
  const count = axes.reduce((product, a) => product * x.shape[a]!, 1);
  const shape = reducedShape(x.shape, axes, keepDims);
  let result = x;
  let factor = scale(count);
  for (let end = axes.length; end > 0; ) {
    let start = end - 1;
    while (start > 0 && axes[start - 1] === axes[start]! - 1) start--;
    result = reduceRun(result, reducer, axes[start]!, axes[end - 1]! + 1, factor);
    factor = 1;
    end = start;
  }
  return reshape(result, shape);
}

/** Axes to reduce: one, several, or all when left out. */
export type Axis = number | readonly number[] | null;

/** Sum over axes; bool counts as 0 and 1 (int32). */
export function sum(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("sum", x);
  const summed = input.dtype === "bool" || input.dtype === "uint8" ? cast(input, "int32") : input;
  return reduce("sum", summed, "sum", axis, keepDims);
}

/** Arithmetic mean over axes. */
export function mean(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("mean", x);
  requireDType("mean", input, "float32");
  return reduce("mean", input, "sum", axis, keepDims, (count) => 1 / count);
}

/** Largest element over axes; NaN if there is one. */
export function max(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("max", x);
  requireDType("max", input, "float32", "int32");
  return reduce("max", input, "max", axis, keepDims);
}

/** Smallest element over axes; NaN if there is one. */
export function min(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("min", x);
  requireDType("min", input, "float32", "int32");
  return reduce("min", input, "min", axis, keepDims);
}

/** Product over axes. */
export function prod(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("prod", x);
  requireDType("prod", input, "float32", "int32");
  return reduce("prod", input, "prod", axis, keepDims);
}

/** True where any element over axes is. */
export function any(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("any", x);
  requireDType("any", input, "bool");
  return notEqual(reduce("any", cast(input, "int32"), "sum", axis, keepDims), 0);
}

/** True where all elements over axes are. */
export function all(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("all", x);
  requireDType("all", input, "bool");
  const zeros = cast(equal(cast(input, "int32"), 0), "int32");
  return equal(reduce("all", zeros, "sum", axis, keepDims), 0);
}

/** log Σ eˣ over axes, without overflow. */
export function logSumExp(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  const input = asTensor("logSumExp", x);
  const top = stopGradient(max(input, axis, true));
  // A row of −∞ (or with +∞) keeps its exact answer: shifting by an infinity would give NaN.
  const shift = where(equal(sub(top, top), 0), top, literal(0, "float32"));
  const shifted = log(sum(exp(sub(input, shift)), axis, true));
  const result = addShift(shifted, shift);
  return keepDims ? result : reshape(result, reducedOf(input.shape, axis));
}

function addShift(value: Tensor, shift: Tensor): Tensor {
  return sub(value, mul(shift, -1));
}

function reducedOf(shape: Shape, axis: Axis | undefined): number[] {
  return reducedShape(shape, normalizeAxes("reduce", axis, shape.length), false);
}

/** Euclidean length over axes (`ord` 2 or "euclidean"), sum of magnitudes (1) or largest magnitude (Infinity). */
export function norm(
  x: TensorLike,
  ord: 1 | 2 | typeof Infinity | "euclidean" = 2,
  axis?: Axis,
  keepDims = false,
): Tensor {
  const input = asTensor("norm", x);
  if (ord === 2 || ord === "euclidean") return sqrt(sum(square(input), axis, keepDims));
  if (ord === 1) return sum(abs(input), axis, keepDims);
  if (ord === Infinity) return max(abs(input), axis, keepDims);
  throw new ArgumentError(expected("norm", '`ord` to be 1, 2, Infinity or "euclidean"', show(ord)));
}

/** Number of elements over the given axes. */
export function countOver(shape: Shape, axis?: Axis): number {
  return sizeOf(normalizeAxes("count", axis, shape.length).map((a) => shape[a]!));
}
