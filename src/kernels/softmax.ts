/**
 * `softmax` and its fusions with cross-entropy, by rows. Sums run in double; the largest logit is
 * subtracted first, so nothing overflows.
 */
import { dataError } from "./gather.js";
import { checkSizes, float32, int32, type Kernel } from "./kernel.js";
import type { Fail } from "./tile.js";

/** Largest of a row; NaN if there is one. */
function rowMax(x: Float32Array, from: number, cols: number): number {
  let max = -Infinity;
  for (let c = 0; c < cols; c++) {
    const value = x[from + c]!;
    if (value > max || Number.isNaN(value)) max = value;
  }
  return max;
}

/** Σ exp(x − max) of a row. */
function rowSum(x: Float32Array, from: number, cols: number, max: number): number {
  let sum = 0;
  for (let c = 0; c < cols; c++) sum += Math.exp(x[from + c]! - max);
  return sum;
}

const names = ["rows", "cols", "log"] as const;

export const softmax: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(names, ints, ["log"], fail);
    const size = ints[0]! * ints[1]!;
    return {
      inputs: [{ name: "x", dtypes: float32, size }],
      outputs: [{ name: "y", dtypes: float32, size }],
    };
  },
  prepare({ ints }) {
    const [rows, cols, log] = ints as [number, number, number];
    return ([input], [y]) => {
      const x = input as Float32Array;
      for (let from = 0; from < rows * cols; from += cols) {
        const max = rowMax(x, from, cols);
        const sum = rowSum(x, from, cols, max);
        if (log) {
          const shift = Math.log(sum);
          for (let c = from; c < from + cols; c++) y![c] = x[c]! - max - shift;
        } else {
          for (let c = from; c < from + cols; c++) y![c] = Math.exp(x[c]! - max) / sum;
        }
      }
    };
  },
};

function checkSmoothing(floats: readonly number[], fail: Fail): void {
  const [smoothing] = floats as [number];
  if (!(smoothing >= 0 && smoothing <= 1)) fail(`smoothing ${smoothing} is outside [0, 1]`);
}

export const softmaxCrossEntropy: Kernel = {
  ints: ["rows", "cols"],
  floats: ["smoothing"],
  tile: "none",
  expect({ ints, floats }, fail) {
    checkSizes(["rows", "cols"], ints, [], fail);
    checkSmoothing(floats, fail);
    const [rows, cols] = ints as [number, number];
    return {
      inputs: [
        { name: "logits", dtypes: float32, size: rows * cols },
        { name: "targets", dtypes: float32, size: rows * cols },
      ],
      outputs: [
        { name: "loss", dtypes: float32, size: rows },
        { name: "gradient", dtypes: float32, size: rows * cols },
      ],
    };
  },
  prepare({ ints, floats }) {
    const [rows, cols] = ints as [number, number];
    const [smoothing] = floats as [number];
    return ([logits, targets], [loss, gradient]) => {
      const z = logits as Float32Array;
      for (let r = 0; r < rows; r++) {
        const from = r * cols;
        const max = rowMax(z, from, cols);
        const sum = rowSum(z, from, cols, max);
        const lse = max + Math.log(sum);
        let total = 0;
        let lost = 0;
        for (let c = from; c < from + cols; c++) {
          const t = targets![c]! * (1 - smoothing) + smoothing / cols;
          total += t;
          // A class without weight costs nothing, however unlikely: 0·∞ would be NaN.
          if (t !== 0) lost += t * (lse - z[c]!);
        }
        loss![r] = lost;
        for (let c = from; c < from + cols; c++) {
          const t = targets![c]! * (1 - smoothing) + smoothing / cols;
          gradient![c] = (Math.exp(z[c]! - max) / sum) * total - t;
        }
      }
    };
  },
};

export const sparseSoftmaxCrossEntropy: Kernel = {
  ints: ["rows", "cols"],
  floats: ["smoothing"],
  tile: "none",
  expect({ ints, floats }, fail) {
    checkSizes(["rows", "cols"], ints, [], fail);
    checkSmoothing(floats, fail);
    const [rows, cols] = ints as [number, number];
    return {
      inputs: [
        { name: "logits", dtypes: float32, size: rows * cols },
        { name: "labels", dtypes: int32, size: rows },
      ],
      outputs: [
        { name: "loss", dtypes: float32, size: rows },
        { name: "gradient", dtypes: float32, size: rows * cols },
      ],
    };
  },
  prepare({ ints, floats }) {
    const [rows, cols] = ints as [number, number];
    const [smoothing] = floats as [number];
    const background = smoothing / cols;
    return ([logits, labels], [loss, gradient]) => {
      const z = logits as Float32Array;
      for (let r = 0; r < rows; r++) {
        const label = labels![r]!;
        if (label < 0 || label >= cols) {
          throw dataError("label", r, label, cols);
        }
        const from = r * cols;
        const max = rowMax(z, from, cols);
        const sum = rowSum(z, from, cols, max);
        const lse = max + Math.log(sum);
        let lost = (1 - smoothing) * (lse - z[from + label]!);
        for (let c = from; c < from + cols; c++) {
          if (background !== 0) lost += background * (lse - z[c]!);
          gradient![c] = Math.exp(z[c]! - max) / sum - background;
        }
        loss![r] = lost;
        gradient![from + label] =
          Math.exp(z[from + label]! - max) / sum - background - (1 - smoothing);
      }
    };
  },
};
