/** Shape arithmetic: sizes, strides, axes, broadcasting. Pure functions on arrays of numbers. */
import { ArgumentError, expected, ShapeError, show } from "../errors.js";

/** Dimensions of a tensor, outermost first. */
export type Shape = readonly number[];

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const dim of shape) size *= dim;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** `[2, 3]`, and `[]` for a scalar. */
export function showShape(shape: readonly (number | null)[]): string {
  return `[${shape.map((dim) => (dim === null ? "null" : dim)).join(", ")}]`;
}

/** Tensors stay below 2³¹ elements so that every index fits an int32 on both sides. */
export const maximumSize = 2 ** 31 - 1;

/** Most dimensions a tensor may have: what kernels walk (docs/program.md). */
export const maximumRank = 8;

export function checkRank(where: string, shape: Shape): void {
  if (shape.length > maximumRank) {
    throw new ShapeError(
      expected(where, `at most ${maximumRank} dimensions`, `${shape.length}: ${showShape(shape)}`),
    );
  }
}

export function checkShape(where: string, shape: unknown): asserts shape is Shape {
  if (!Array.isArray(shape) || shape.some((d) => !Number.isInteger(d) || d < 0)) {
    throw new ShapeError(expected(where, "a shape (an array of integers ≥ 0)", show(shape)));
  }
  checkRank(where, shape);
  if (sizeOf(shape) > maximumSize) {
    throw new ShapeError(`${where}: shape ${showShape(shape)} has more than 2^31-1 elements`);
  }
}

/** NumPy's broadcasting of any number of shapes. */
export function broadcastShapes(where: string, shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const offset = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const dim = shape[i]!;
      const known = result[offset + i]!;
      if (dim === known || dim === 1) continue;
      if (known !== 1) {
        throw new ShapeError(
          `${where}: shapes ${shapes.map(showShape).join(" and ")} do not broadcast; ` +
            "each dimension, counted from the last, must be equal or 1",
        );
      }
      result[offset + i] = dim;
    }
  }
  return result;
}

/** Element strides with which a tensor of `shape` is read over `domain`; 0 where it is broadcast. */
export function broadcastStrides(shape: Shape, domain: Shape): number[] {
  const own = stridesOf(shape);
  const offset = domain.length - shape.length;
  return domain.map((_, i) => (i < offset || shape[i - offset] === 1 ? 0 : own[i - offset]!));
}

/** Turns a possibly negative axis into `0 … rank-1`. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const wanted = rank === 0 ? "no axis for a scalar" : `an axis from ${-rank} to ${rank - 1}`;
    throw new ArgumentError(expected(where, `${wanted} (rank ${rank})`, show(axis)));
  }
  return axis < 0 ? axis + rank : axis;
}

/** Sorted, distinct axes; all of them when `axes` is undefined. */
export function normalizeAxes(
  where: string,
  axes: number | readonly number[] | null | undefined,
  rank: number,
): number[] {
  if (axes === undefined || axes === null) return Array.from({ length: rank }, (_, i) => i);
  const list = typeof axes === "number" ? [axes] : axes;
  const result = list.map((axis) => normalizeAxis(where, axis, rank));
  if (new Set(result).size !== result.length) {
    throw new ArgumentError(expected(where, "distinct axes", show(axes)));
  }
  return result.sort((a, b) => a - b);
}

/** The shape left after reducing `axes`; with `keepDims` they stay as 1. */
export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim))
    : shape.filter((_, i) => !axes.includes(i));
}

/** Resolves one −1 in a requested shape and checks the element count. */
export function inferShape(where: string, requested: readonly number[], size: number): number[] {
  const unknown = requested.filter((d) => d === -1).length;
  const known = requested.reduce((product, d) => (d === -1 ? product : product * d), 1);
  if (unknown > 1 || requested.some((d) => !Number.isInteger(d) || d < -1)) {
    throw new ShapeError(
      expected(where, "a shape of integers ≥ 0 with at most one -1", show(requested)),
    );
  }
  const result = requested.map((d) => (d === -1 ? (known === 0 ? 0 : size / known) : d));
  if (sizeOf(result) !== size || result.some((d) => !Number.isInteger(d))) {
    throw new ShapeError(
      `${where}: ${size} elements do not fit shape ${showShape(requested)}` +
        (unknown ? "" : ` (${known} elements)`),
    );
  }
  return result;
}

/** How a window (of a convolution, of pooling) meets the border: none beyond it, so that stride 1 keeps the size, or elements on each side. */
export type WindowPadding = "valid" | "same" | readonly [before: number, after: number];

/** One dimension under a window: positions of the window, and padding in front of the first element. */
export interface Windows {
  readonly count: number;
  readonly before: number;
}

/** Elements from a window's first tap to its last, both counted. */
export function windowExtent(taps: number, dilation: number): number {
  return (taps - 1) * dilation + 1;
}

/**
 * Positions of a window of `taps` taps, `dilation` apart, moved by `stride` over `size` elements. "same"
 * gives ⌈size/stride⌉ of them and puts the odd element of padding behind, as TensorFlow does.
 *
 * @throws {ShapeError} if the padded dimension is smaller than the window; `dimension` names it.
 */
export function slideWindow(
  where: string,
  dimension: string,
  size: number,
  taps: number,
  stride: number,
  dilation: number,
  padding: WindowPadding,
): Windows {
  const extent = windowExtent(taps, dilation);
  if (padding === "same") {
    const count = Math.ceil(size / stride);
    const total = Math.max(0, (count - 1) * stride + extent - size);
    return { count, before: Math.floor(total / 2) };
  }
  const [before, after] = padding === "valid" ? [0, 0] : padding;
  const padded = size + before + after;
  if (padded < extent) {
    const window = `a window of ${taps}${dilation > 1 ? ` (${extent} with dilation ${dilation})` : ""}`;
    throw new ShapeError(
      expected(
        where,
        `a ${dimension} of at least ${extent - before - after} for ${window}`,
        `${size}`,
        padding === "valid" ? 'padding: "same" would allow it' : undefined,
      ),
    );
  }
  return { count: Math.floor((padded - extent) / stride) + 1, before };
}
