/**
 * Ops that move elements without computing: reshape, transpose, slice, pad, concat, tile and their
 * kin. All of them are `copy` calls with strides, or no call at all.
 */
import { ArgumentError, checkInteger, expected, ShapeError, show } from "../errors.js";
import { fromNumbers } from "../tensor/dtype.js";
import {
  inferShape,
  maximumRank,
  normalizeAxis,
  type Shape,
  sameShape,
  showShape,
  sizeOf,
  stridesOf,
} from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { broadcastTo } from "./elementwise.js";
import { asTensor, defineOp, type KernelEmitter, type Recorder } from "./op.js";

interface ShapeAttributes {
  readonly shape: Shape;
}

const applyReshape = defineOp<ShapeAttributes>({
  name: "reshape",
  infer: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  lowering: { kind: "alias" },
  gradient: ({ inputs: [x], dy }) => [reshape(dy, x!.shape)],
  samples: [{ inputs: [{ shape: [2, 6], domain: [-2, 2] }], attributes: { shape: [3, 4] } }],
});

/** The same elements in another shape; one dimension may be −1. */
export function reshape(x: TensorLike, shape: readonly number[]): Tensor {
  const input = asTensor("reshape", x);
  const target = inferShape("reshape", shape, input.size);
  return sameShape(target, input.shape) ? input : applyReshape([input], { shape: target })[0]!;
}

/** All elements in one dimension. */
export function flatten(x: TensorLike): Tensor {
  return reshape(asTensor("flatten", x), [-1]);
}

/** Without the dimensions of size 1 (all, or the named ones). */
export function squeeze(x: TensorLike, axis?: number | readonly number[]): Tensor {
  const input = asTensor("squeeze", x);
  const axes =
    axis === undefined
      ? null
      : (typeof axis === "number" ? [axis] : axis).map((a) =>
          normalizeAxis("squeeze", a, input.rank),
        );
  const bad = axes?.find((a) => input.shape[a] !== 1);
  if (bad !== undefined) {
    throw new ShapeError(expected("squeeze", `size 1 at axis ${bad}`, showShape(input.shape)));
  }
  return reshape(
    input,
    input.shape.filter((dim, i) => (axes ? !axes.includes(i) : dim !== 1)),
  );
}

/** With a new dimension of size 1 at `axis` of the result. */
export function expandDims(x: TensorLike, axis = 0): Tensor {
  const input = asTensor("expandDims", x);
  const at = normalizeAxis("expandDims", axis, input.rank + 1);
  return reshape(input, [...input.shape.slice(0, at), 1, ...input.shape.slice(at)]);
}

const applyTranspose = defineOp<{ readonly perm: readonly number[] }>({
  name: "transpose",
  infer: ([x], { perm }) => [{ shape: perm.map((p) => x!.shape[p]!), dtype: x!.dtype }],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const strides = stridesOf(e.inputs[0]!.shape);
      const dims = e.outputs[0]!.shape;
      emitCopy(
        e,
        0,
        dims,
        0,
        e.attributes.perm.map((p) => strides[p]!),
        0,
        stridesOf(dims),
      );
    },
  },
  gradient: ({ attributes: { perm }, dy }) => [
    transpose(
      dy,
      perm.map((_, i) => perm.indexOf(i)),
    ),
  ],
  samples: [
    { inputs: [{ shape: [3, 4], domain: [-2, 2] }], attributes: { perm: [1, 0] } },
    { inputs: [{ shape: [2, 3, 4], domain: [-2, 2] }], attributes: { perm: [2, 0, 1] } },
  ],
});

/** Dimensions in another order; reversed when `perm` is left out. */
export function transpose(x: TensorLike, perm?: readonly number[]): Tensor {
  const input = asTensor("transpose", x);
  const order =
    perm?.map((p) => normalizeAxis("transpose", p, input.rank)) ??
    input.shape.map((_, i) => input.rank - 1 - i);
  if (order.length !== input.rank || new Set(order).size !== input.rank) {
    throw new ArgumentError(
      expected("transpose", `a permutation of the ${input.rank} axes`, show(perm)),
    );
  }
  if (order.every((p, i) => p === i)) return input;
  // Moving only dimensions of size 1 changes no element's place.
  const moved = order.filter((p) => input.shape[p] !== 1);
  if (moved.every((p, i) => i === 0 || p > moved[i - 1]!)) {
    return reshape(
      input,
      order.map((p) => input.shape[p]!),
    );
  }
  return applyTranspose([input], { perm: order })[0]!;
}

interface SliceAttributes {
  readonly begin: readonly number[];
  readonly size: readonly number[];
  readonly step: readonly number[];
}

const applySlice: Recorder<SliceAttributes> = defineOp<SliceAttributes>({
  name: "slice",
  infer: ([x], { size }) => [{ shape: size, dtype: x!.dtype }],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { begin, size, step } = e.attributes;
      const strides = stridesOf(e.inputs[0]!.shape);
      const offset = begin.reduce((total, b, i) => total + b * strides[i]!, 0);
      emitCopy(
        e,
        0,
        size,
        offset,
        strides.map((s, i) => s * step[i]!),
        0,
        stridesOf(size),
      );
    },
  },
  gradient: ({ inputs: [x], attributes: { begin, step }, dy }) => [
    applyPlace([dy], { shape: x!.shape, begin, step, value: 0 })[0]!,
  ],
  samples: [
    {
      inputs: [{ shape: [5, 4], domain: [-2, 2] }],
      attributes: { begin: [1, 0], size: [3, 2], step: [1, 1] },
    },
    {
      inputs: [{ shape: [7], domain: [-2, 2] }],
      attributes: { begin: [6], size: [3], step: [-2] },
    },
  ],
});

interface PlaceAttributes {
  readonly shape: Shape;
  readonly begin: readonly number[];
  readonly step: readonly number[];
  readonly value: number;
}

/** The inverse of slice: x stands in a tensor of `shape` filled with `value`. */
const applyPlace: Recorder<PlaceAttributes> = defineOp<PlaceAttributes>({
  name: "place",
  infer: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { shape, begin, step, value } = e.attributes;
      const strides = stridesOf(shape);
      const offset = begin.reduce((total, b, i) => total + b * strides[i]!, 0);
      const dims = e.inputs[0]!.shape;
      if (sizeOf(dims) < sizeOf(shape)) e.fill(0, value);
      emitCopy(
        e,
        0,
        dims,
        0,
        stridesOf(dims),
        offset,
        strides.map((s, i) => s * step[i]!),
      );
    },
  },
  gradient: ({ inputs: [x], attributes: { begin, step }, dy }) => [
    applySlice([dy], { begin, size: x!.shape, step })[0]!,
  ],
  samples: [
    {
      inputs: [{ shape: [2, 3], domain: [-2, 2] }],
      attributes: { shape: [4, 7], begin: [1, 0], step: [1, 2], value: 3 },
    },
  ],
});

/** The block of `size` that starts at `begin`; a size of −1 reaches to the end. */
export function slice(
  x: TensorLike,
  begin: number | readonly number[],
  size?: number | readonly number[],
): Tensor {
  const input = asTensor("slice", x);
  const begins = typeof begin === "number" ? [begin] : begin;
  const sizes = size === undefined ? [] : typeof size === "number" ? [size] : size;
  if (begins.length > input.rank || sizes.length > input.rank) {
    throw new ShapeError(
      expected(
        "slice",
        `at most ${input.rank} begins and sizes`,
        `${begins.length} and ${sizes.length}`,
      ),
    );
  }
  const start = input.shape.map((_, i) => begins[i] ?? 0);
  const extent = input.shape.map((dim, i) => {
    const wanted = sizes[i] ?? -1;
    const length = wanted === -1 ? dim - start[i]! : wanted;
    if (
      !Number.isInteger(start[i]) ||
      !Number.isInteger(length) ||
      start[i]! < 0 ||
      length < 0 ||
      start[i]! + length > dim
    ) {
      throw new ShapeError(
        `slice: begin ${start[i]} and size ${wanted} leave axis ${i} of ${showShape(input.shape)}`,
      );
    }
    return length;
  });
  if (sameShape(extent, input.shape)) return input;
  return applySlice([input], { begin: start, size: extent, step: start.map(() => 1) })[0]!;
}

/** Python's `x[begin:end:step]` per axis: negative indices count from the end, null means open. */
export function stridedSlice(
  x: TensorLike,
  begin: readonly (number | null)[],
  end: readonly (number | null)[],
  strides: readonly number[] = [],
): Tensor {
  const input = asTensor("stridedSlice", x);
  if (begin.length > input.rank || end.length > input.rank || strides.length > input.rank) {
    throw new ShapeError(
      expected(
        "stridedSlice",
        `at most ${input.rank} entries per argument`,
        show([begin, end, strides]),
      ),
    );
  }
  const starts: number[] = [];
  const sizes: number[] = [];
  const steps: number[] = [];
  input.shape.forEach((dim, i) => {
    const step = strides[i] ?? 1;
    if (!Number.isInteger(step) || step === 0) {
      throw new ArgumentError(expected("stridedSlice", "integer strides other than 0", show(step)));
    }
    const low = step > 0 ? 0 : -1;
    const high = step > 0 ? dim : dim - 1;
    const place = (value: number | null | undefined, open: number): number => {
      if (value === null || value === undefined) return open;
      if (!Number.isInteger(value)) {
        throw new ArgumentError(
          expected("stridedSlice", "integers or null to begin and end", show(value)),
        );
      }
      return Math.min(Math.max(value < 0 ? value + dim : value, low), high);
    };
    const from = place(begin[i], step > 0 ? 0 : dim - 1);
    const to = place(end[i], step > 0 ? dim : -1);
    const length = Math.max(0, Math.ceil((to - from) / step));
    starts.push(length === 0 ? 0 : from);
    sizes.push(length);
    steps.push(step);
  });
  if (steps.every((s) => s === 1) && sameShape(sizes, input.shape)) return input;
  return applySlice([input], { begin: starts, size: sizes, step: steps })[0]!;
}

/** Elements in reverse order along the given axes (all by default). */
export function reverse(x: TensorLike, axis?: number | readonly number[]): Tensor {
  const input = asTensor("reverse", x);
  const axes = (
    axis === undefined ? input.shape.map((_, i) => i) : typeof axis === "number" ? [axis] : axis
  ).map((a) => normalizeAxis("reverse", a, input.rank));
  const turned = (i: number): boolean => axes.includes(i) && input.shape[i]! > 0;
  return applySlice([input], {
    begin: input.shape.map((dim, i) => (turned(i) ? dim - 1 : 0)),
    size: input.shape,
    step: input.shape.map((_, i) => (turned(i) ? -1 : 1)),
  })[0]!;
}

/** Surrounds `x` with `value`: `paddings[i]` = [before, after] of axis i. */
export function pad(
  x: TensorLike,
  paddings: readonly (readonly [number, number])[],
  value = 0,
): Tensor {
  const input = asTensor("pad", x);
  if (
    paddings.length !== input.rank ||
    paddings.flat().some((p) => !Number.isInteger(p) || p < 0)
  ) {
    throw new ArgumentError(expected("pad", `${input.rank} pairs of integers ≥ 0`, show(paddings)));
  }
  // Refuses a value that the dtype can't hold.
  fromNumbers("pad", [value], input.dtype);
  if (paddings.every(([before, after]) => before === 0 && after === 0)) return input;
  return applyPlace([input], {
    shape: input.shape.map((dim, i) => dim + paddings[i]![0] + paddings[i]![1]),
    begin: paddings.map(([before]) => before),
    step: paddings.map(() => 1),
    value,
  })[0]!;
}

/** At which element of the whole each of several tensors begins that are joined along an axis. */
function offsetsOf(parts: readonly { readonly shape: Shape }[], whole: Shape, axis: number) {
  const stride = stridesOf(whole)[axis]!;
  let rows = 0;
  return parts.map(({ shape }) => {
    const begin = rows * stride;
    rows += shape[axis]!;
    return begin;
  });
}

const applyConcat = defineOp<{ readonly axis: number }>({
  name: "concat",
  infer: (inputs, { axis }) => {
    const first = inputs[0]!;
    let total = 0;
    for (const x of inputs) {
      if (
        x.rank !== first.rank ||
        x.dtype !== first.dtype ||
        x.shape.some((d, i) => i !== axis && d !== first.shape[i])
      ) {
        throw new ShapeError(
          `concat: ${x.dtype} ${showShape(x.shape)} does not join ${first.dtype} ${showShape(first.shape)} along axis ${axis}`,
        );
      }
      total += x.shape[axis]!;
    }
    return [{ shape: first.shape.map((d, i) => (i === axis ? total : d)), dtype: first.dtype }];
  },
  lowering: {
    kind: "kernels",
    runs: ({ inputs, outputs, attributes: { axis } }) =>
      sizeOf(outputs[0]!.shape.slice(0, axis)) === 1
        ? offsetsOf(inputs, outputs[0]!.shape, axis)
        : [],
    emit: (e) => {
      const whole = e.outputs[0]!.shape;
      const offsets = offsetsOf(e.inputs, whole, e.attributes.axis);
      e.inputs.forEach(({ shape }, i) => {
        if (e.inPlace(i)) return;
        emitCopy(e, i, shape, 0, stridesOf(shape), offsets[i]!, stridesOf(whole));
      });
    },
  },
  gradient: ({ inputs, attributes: { axis }, dy, wanted }) => {
    let at = 0;
    return inputs.map((x, i) => {
      const begin = x.shape.map((_, d) => (d === axis ? at : 0));
      at += x.shape[axis]!;
      return wanted[i] ? slice(dy, begin, x.shape) : null;
    });
  },
  samples: [
    {
      inputs: [
        { shape: [2, 3], domain: [-2, 2] },
        { shape: [2, 1], domain: [-2, 2] },
      ],
      attributes: { axis: 1 },
    },
    {
      inputs: [
        { shape: [2, 3], domain: [-2, 2] },
        { shape: [1, 3], domain: [-2, 2] },
      ],
      attributes: { axis: 0 },
    },
  ],
});

/** Tensors joined along an existing axis. */
export function concat(tensors: readonly TensorLike[], axis = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) {
    throw new ArgumentError(expected("concat", "an array with at least one tensor", tensors));
  }
  const inputs = tensors.map((t) => asTensor("concat", t));
  const at = normalizeAxis("concat", axis, inputs[0]!.rank);
  return inputs.length === 1 ? inputs[0]! : applyConcat(inputs, { axis: at })[0]!;
}

/** Tensors of one shape joined along a new axis. */
export function stack(tensors: readonly TensorLike[], axis = 0): Tensor {
  if (!Array.isArray(tensors) || tensors.length === 0) {
    throw new ArgumentError(expected("stack", "an array with at least one tensor", tensors));
  }
  return concat(
    tensors.map((t) => expandDims(t, axis)),
    axis,
  );
}

/** The opposite of `stack`: one tensor per index of `axis`. */
export function unstack(x: TensorLike, axis = 0): Tensor[] {
  const input = asTensor("unstack", x);
  const at = normalizeAxis("unstack", axis, input.rank);
  return split(input, input.shape[at]!, at).map((part) => squeeze(part, at));
}

/** Pieces along an axis: a number of equal ones, or the given sizes. */
export function split(x: TensorLike, pieces: number | readonly number[], axis = 0): Tensor[] {
  const input = asTensor("split", x);
  const at = normalizeAxis("split", axis, input.rank);
  const dim = input.shape[at]!;
  if (!Array.isArray(pieces)) checkInteger("split", "pieces", pieces, 1);
  const sizes = typeof pieces === "number" ? new Array<number>(pieces).fill(dim / pieces) : pieces;
  if (
    sizes.some((s) => !Number.isInteger(s) || s < 0) ||
    sizes.reduce((a, b) => a + b, 0) !== dim
  ) {
    throw new ShapeError(
      expected("split", `pieces that make up axis ${at} of size ${dim}`, show(pieces)),
    );
  }
  let start = 0;
  return sizes.map((size) => {
    const begin = input.shape.map((_, i) => (i === at ? start : 0));
    start += size;
    return slice(
      input,
      begin,
      input.shape.map((d, i) => (i === at ? size : d)),
    );
  });
}

/** The whole of `x` repeated `reps[i]` times along axis i. */
export function tile(x: TensorLike, reps: readonly number[]): Tensor {
  const input = asTensor("tile", x);
  if (reps.length !== input.rank || reps.some((r) => !Number.isInteger(r) || r < 0)) {
    throw new ArgumentError(expected("tile", `${input.rank} integers ≥ 0`, show(reps)));
  }
  const moved = reps.map((_, i) => i).filter((i) => reps[i] !== 1);
  if (1 + 2 * moved.length > maximumRank) {
    // One pass has no room for a dimension more per axis: the first axis apart.
    const first = reps.map((r, i) => (i === moved[0] ? r : 1));
    const rest = reps.map((r, i) => (i === moved[0] ? 1 : r));
    return tile(tile(input, rest), first);
  }
  // [outer, 1, block, 1, block, …]: each moved axis begins a block, which is what gets repeated.
  const blocks = moved.map((axis, i) => sizeOf(input.shape.slice(axis, moved[i + 1])));
  const outer = sizeOf(input.shape.slice(0, moved[0]));
  const spread = reshape(input, [outer, ...blocks.flatMap((block) => [1, block])]);
  const repeated = broadcastTo(spread, [
    outer,
    ...blocks.flatMap((block, i) => [reps[moved[i]!]!, block]),
  ]);
  return reshape(
    repeated,
    input.shape.map((dim, i) => dim * reps[i]!),
  );
}

/** Each element repeated `repeats` times in place along `axis`. */
export function repeat(x: TensorLike, repeats: number, axis = 0): Tensor {
  const input = asTensor("repeat", x);
  const at = normalizeAxis("repeat", axis, input.rank);
  checkInteger("repeat", "repeats", repeats, 0);
  const [outer, inner] = [sizeOf(input.shape.slice(0, at + 1)), sizeOf(input.shape.slice(at + 1))];
  const repeated = broadcastTo(reshape(input, [outer, 1, inner]), [outer, repeats, inner]);
  return reshape(
    repeated,
    input.shape.map((dim, i) => (i === at ? dim * repeats : dim)),
  );
}

/** Drops dims of size 1 and merges dims that are contiguous on both sides, then emits one copy. */
function emitCopy<A extends object>(
  e: KernelEmitter<A>,
  input: number,
  dims: readonly number[],
  sourceOffset: number,
  sourceStrides: readonly number[],
  targetOffset: number,
  targetStrides: readonly number[],
): void {
  if (sizeOf(dims) === 0) return;
  const kept: [number, number, number][] = [];
  for (let i = 0; i < dims.length; i++) {
    if (dims[i] === 1) continue;
    const last = kept[kept.length - 1];
    if (
      last &&
      last[1] === sourceStrides[i]! * dims[i]! &&
      last[2] === targetStrides[i]! * dims[i]!
    ) {
      kept[kept.length - 1] = [last[0] * dims[i]!, sourceStrides[i]!, targetStrides[i]!];
    } else {
      kept.push([dims[i]!, sourceStrides[i]!, targetStrides[i]!]);
    }
  }
  const column = (index: 0 | 1 | 2): number[] => kept.map((entry) => entry[index]);
  e.call(
    "copy",
    [input],
    [0],
    [kept.length, sourceOffset, targetOffset, ...column(0), ...column(1), ...column(2)],
  );
}
