/** `argReduce` and `topK`: positions of the largest or smallest. NaN counts as the most extreme. */
import { checkSizes, float32, int32, type Kernel } from "./kernel.js";

const argNames = ["outer", "axis", "inner", "isMin"] as const;

export const argReduce: Kernel = {
  ints: argNames,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(argNames, ints, ["isMin"], fail);
    const [outer, axis, inner] = ints as [number, number, number, number];
    if (axis === 0 && outer * inner > 0) fail("an empty axis has no largest element");
    return {
      inputs: [{ name: "x", dtypes: ["float32", "int32"], size: outer * axis * inner }],
      outputs: [{ name: "y", dtypes: int32, size: outer * inner }],
    };
  },
  prepare({ ints }) {
    const [outer, axis, inner, isMin] = ints as [number, number, number, number];
    return ([x], [y]) => {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          const from = o * axis * inner + i;
          let best = x![from]!;
          let index = 0;
          for (let a = 1; a < axis && !Number.isNaN(best); a++) {
            const value = x![from + a * inner]!;
            if ((isMin ? value < best : value > best) || Number.isNaN(value)) {
              best = value;
              index = a;
            }
          }
          y![o * inner + i] = index;
        }
      }
    };
  },
};

/** Order of `topK`: larger first, NaN first of all, equal ones by index. */
function before(x: Float32Array, a: number, b: number): boolean {
  const left = x[a]!;
  const right = x[b]!;
  if (left > right) return true;
  if (left < right) return false;
  const leftNaN = Number.isNaN(left);
  return leftNaN === Number.isNaN(right) ? a < b : leftNaN;
}

const topNames = ["rows", "cols", "k"] as const;

export const topK: Kernel = {
  ints: topNames,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(topNames, ints, [], fail);
    const [rows, cols, k] = ints as [number, number, number];
    if (k > cols) fail(`k = ${k} is above cols = ${cols}`);
    return {
      inputs: [{ name: "x", dtypes: float32, size: rows * cols }],
      outputs: [
        { name: "values", dtypes: float32, size: rows * k },
        { name: "indices", dtypes: int32, size: rows * k },
      ],
    };
  },
  prepare({ ints }) {
    const [rows, cols, k] = ints as [number, number, number];
    const order = new Int32Array(cols);
    return ([input], [values, indices]) => {
      const x = input as Float32Array;
      for (let r = 0; r < rows; r++) {
        const from = r * cols;
        // A few: keep the best k sorted while walking the row. Many: sort the row.
        if (k <= 16) {
          for (let c = 0, kept = 0; c < cols; c++) {
            if (kept === k && (k === 0 || !before(x, from + c, from + order[k - 1]!))) continue;
            let at = kept < k ? kept++ : k - 1;
            for (; at > 0 && before(x, from + c, from + order[at - 1]!); at--) {
              order[at] = order[at - 1]!;
            }
            order[at] = c;
          }
        } else {
          for (let c = 0; c < cols; c++) order[c] = c;
          order.sort((a, b) => (before(x, from + a, from + b) ? -1 : 1));
        }
        for (let j = 0; j < k; j++) {
          indices![r * k + j] = order[j]!;
          values![r * k + j] = x[from + order[j]!]!;
        }
      }
    };
  },
};
