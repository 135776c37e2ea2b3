/**
 * Sequences of different lengths in one tensor [batch, time, …]: which rows are there, and products over
 * those alone. What stands in the padding is never read; results there are 0.
 */
import { dataError } from "./gather.js";
import { checkSizes, float32, int32, type Kernel } from "./kernel.js";
import { multiply } from "./matmul.js";

/** Throws unless every length is 0 to time. */
export function checkLengths(lengths: ArrayLike<number>, time: number): void {
  for (let b = 0; b < lengths.length; b++) {
    const length = lengths[b]!;
    if (length < 0 || length > time) throw dataError("length", b, length, time + 1);
  }
}

/** Rows of [batch·time, width] that are there, close together. */
function gatherRows(
  x: Float32Array,
  width: number,
  time: number,
  lengths: ArrayLike<number>,
): Float32Array {
  let count = 0;
  for (let b = 0; b < lengths.length; b++) count += lengths[b]!;
  const rows = new Float32Array(count * width);
  let to = 0;
  for (let b = 0; b < lengths.length; b++) {
    const from = b * time * width;
    rows.set(x.subarray(from, from + lengths[b]! * width), to);
    to += lengths[b]! * width;
  }
  return rows;
}

const productNames = ["batch", "time", "inputs", "units", "transpose"] as const;
type ProductInts = [number, number, number, number, number];

/** y[b, t] = x[b, t]·W (Wᵀ with `transpose`: W is stored [units, inputs]) for t < lengths[b], else 0. */
export const sequenceProduct: Kernel = {
  ints: productNames,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(productNames, ints, ["transpose"], fail);
    const [batch, time, inputs, units] = ints as ProductInts;
    return {
      inputs: [
        { name: "x", dtypes: float32, size: batch * time * inputs },
        { name: "W", dtypes: float32, size: inputs * units },
        { name: "lengths", dtypes: int32, size: batch },
      ],
      outputs: [{ name: "y", dtypes: float32, size: batch * time * units }],
    };
  },
  prepare({ ints }) {
    const [, time, inputs, units, transpose] = ints as ProductInts;
    return ([x, w, lengths], [y]) => {
      checkLengths(lengths!, time);
      const rows = gatherRows(x as Float32Array, inputs, time, lengths!);
      const count = inputs > 0 ? rows.length / inputs : 0;
      const product = new Float32Array(count * units);
      multiply(
        count,
        units,
        inputs,
        { data: rows, offset: 0, rows: inputs, columns: 1 },
        {
          data: w as Float32Array,
          offset: 0,
          rows: transpose ? 1 : units,
          columns: transpose ? inputs : 1,
        },
        product,
        0,
      );
      y!.fill(0);
      let from = 0;
      for (let b = 0; b < lengths!.length && inputs > 0; b++) {
        const size = lengths![b]! * units;
        y!.set(product.subarray(from, from + size), b * time * units);
        from += size;
      }
    };
  },
};

const outerNames = ["batch", "time", "rows", "columns"] as const;
type OuterInts = [number, number, number, number];

/** C = Σ x[b, t]ᵀ·y[b, t] over t < lengths[b]: [rows, columns]. */
export const sequenceOuter: Kernel = {
  ints: outerNames,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(outerNames, ints, [], fail);
    const [batch, time, rows, columns] = ints as OuterInts;
    return {
      inputs: [
        { name: "x", dtypes: float32, size: batch * time * rows },
        { name: "y", dtypes: float32, size: batch * time * columns },
        { name: "lengths", dtypes: int32, size: batch },
      ],
      outputs: [{ name: "C", dtypes: float32, size: rows * columns }],
    };
  },
  prepare({ ints }) {
    const [, time, rows, columns] = ints as OuterInts;
    return ([x, y, lengths], [c]) => {
      checkLengths(lengths!, time);
      const a = gatherRows(x as Float32Array, rows, time, lengths!);
      const b = gatherRows(y as Float32Array, columns, time, lengths!);
      if (rows === 0 || columns === 0) return;
      multiply(
        rows,
        columns,
        a.length / rows,
        { data: a, offset: 0, rows: 1, columns: rows },
        { data: b, offset: 0, rows: columns, columns: 1 },
        c as Float32Array,
        0,
      );
    };
  },
};
