/**
 * `copy`: one strided walk from one tensor into another. Transpose, slice, reverse, concat, pad and
 * tile are made of it.
 */
import type { TypedArray } from "../tensor/dtype.js";
import { anyDType, type Kernel } from "./kernel.js";
import type { Fail } from "./tile.js";

interface Walk {
  readonly dims: number[];
  readonly from: number[];
  readonly to: number[];
}

/** Drops dimensions of size 1 and joins neighbours that both sides walk as one. */
function collapse({ dims, from, to }: Walk): Walk {
  const walk: Walk = { dims: [], from: [], to: [] };
  for (const [d, dim] of dims.entries()) {
    if (dim === 1) continue;
    const last = walk.dims.length - 1;
    const joins = last >= 0 && walk.from[last] === from[d]! * dim && walk.to[last] === to[d]! * dim;
    if (joins) {
      walk.dims[last]! *= dim;
      walk.from[last] = from[d]!;
      walk.to[last] = to[d]!;
    } else {
      walk.dims.push(dim);
      walk.from.push(from[d]!);
      walk.to.push(to[d]!);
    }
  }
  return walk;
}

/** Copies along a walk: an odometer over the outer dimensions, two plain loops for the last two. */
function walkCopy(x: TypedArray, y: TypedArray, walk: Walk, from: number, to: number): void {
  const { dims } = walk;
  const rank = dims.length;
  const columns = rank > 0 ? dims[rank - 1]! : 1;
  const columnFrom = rank > 0 ? walk.from[rank - 1]! : 0;
  const columnTo = rank > 0 ? walk.to[rank - 1]! : 0;
  const rows = rank > 1 ? dims[rank - 2]! : 1;
  const rowFrom = rank > 1 ? walk.from[rank - 2]! : 0;
  const rowTo = rank > 1 ? walk.to[rank - 2]! : 0;
  const outer = Math.max(0, rank - 2);
  const position = new Array<number>(outer).fill(0);
  for (;;) {
    for (let i = 0; i < rows; i++) {
      let source = from + i * rowFrom;
      let target = to + i * rowTo;
      if (columnFrom === 1 && columnTo === 1 && columns >= 64) {
        y.set(x.subarray(source, source + columns), target);
        continue;
      }
      for (let j = 0; j < columns; j++) {
        y[target] = x[source]!;
        source += columnFrom;
        target += columnTo;
      }
    }
    let d = outer - 1;
    for (; d >= 0; d--) {
      from += walk.from[d]!;
      to += walk.to[d]!;
      if (++position[d]! < dims[d]!) break;
      from -= walk.from[d]! * dims[d]!;
      to -= walk.to[d]! * dims[d]!;
      position[d] = 0;
    }
    if (d < 0) return;
  }
}

/** First and last element that an offset and strides reach. */
function range(offset: number, dims: readonly number[], strides: readonly number[]) {
  let first = offset;
  let last = offset;
  for (const [d, dim] of dims.entries()) {
    const step = (dim - 1) * strides[d]!;
    if (step < 0) first += step;
    else last += step;
  }
  return { first, last };
}

/**
 * A dimension along which strides lead to elements that shorter strides reach too, −1 for none: sorted by length,
 * each has to step over all that the shorter ones reach. What would be written twice would depend on the order.
 */
function writtenAgain(dims: readonly number[], strides: readonly number[]): number {
  const length = (d: number) => Math.abs(strides[d]!);
  const order = [...dims.keys()].filter((d) => dims[d]! > 1).sort((a, b) => length(a) - length(b));
  let reached = 0;
  for (const d of order) {
    if (length(d) <= reached) return d;
    reached += length(d) * (dims[d]! - 1);
  }
  return -1;
}

function attributes(ints: readonly number[]) {
  const [rank, srcOffset, dstOffset] = ints as [number, number, number];
  const part = (i: number) => ints.slice(3 + i * rank, 3 + (i + 1) * rank);
  return { rank, srcOffset, dstOffset, dims: part(0), srcStrides: part(1), dstStrides: part(2) };
}

export const copy: Kernel = {
  ints: ["rank", "srcOffset", "dstOffset", "[dims]", "[srcStrides]", "[dstStrides]"],
  floats: [],
  tile: "none",
  expect({ inputs, ints }, fail: Fail) {
    const { rank, srcOffset, dstOffset, dims, srcStrides, dstStrides } = attributes(ints);
    if (!Number.isInteger(rank) || rank < 0 || rank > 8 || ints.length !== 3 + 3 * rank) {
      fail(`rank ${rank} wants ${3 + 3 * rank} integers (rank at most 8), got ${ints.length}`);
    }
    if (ints.some((value) => !Number.isInteger(value)) || dims.some((dim) => dim < 0)) {
      fail(`attributes [${ints}] are not integers with dims ≥ 0`);
    }
    let sizes = [0, 0];
    if (!dims.includes(0)) {
      const source = range(srcOffset, dims, srcStrides);
      const target = range(dstOffset, dims, dstStrides);
      if (source.first < 0 || target.first < 0) fail("strides lead to before the first element");
      const again = writtenAgain(dims, dstStrides);
      if (again >= 0) fail(`writes the same elements again along dimension ${again}`);
      sizes = [source.last + 1, target.last + 1];
    }
    const dtypes = inputs[0] ? [inputs[0].dtype] : anyDType;
    return {
      inputs: [{ name: "x", dtypes: anyDType, size: sizes[0]!, atLeast: true }],
      outputs: [{ name: "y", dtypes, size: sizes[1]!, atLeast: true }],
    };
  },
  prepare({ ints }) {
    const { srcOffset, dstOffset, dims, srcStrides, dstStrides } = attributes(ints);
    if (dims.includes(0)) return () => {};
    const walk = collapse({ dims, from: srcStrides, to: dstStrides });
    return ([x], [y]) => walkCopy(x!, y!, walk, srcOffset, dstOffset);
  },
};
