/**
 * Every kernel once more: naive, in double precision, sharing no code with `src`.
 * Each result comes with the error a backend is allowed there, and the reason for it.
 */
import type { Call, TileProgram } from "../../src/compiler/program.js";
import { ulpOf } from "./allClose.js";
import { coveringWindows, pixelsRead } from "./imageReference.js";
import { type Numbers, runTile, store } from "./instructionReference.js";
import {
  recurrentCall,
  recurrentGradientCall,
  sequenceOuterReference,
  sequenceProductReference,
} from "./recurrentReference.js";

/** Expected values, and per element the largest allowed absolute error. */
export interface Expected {
  readonly values: Float64Array;
  readonly allowed: Float64Array;
}

/** Half an ULP at 1: the largest relative error of one float32 rounding. */
const eps = 2 ** -24;
/** A backend may flush results below the smallest normal float32 to zero. */
const tiny = 2 ** -126;

function expected(size: number): Expected {
  return { values: new Float64Array(size), allowed: new Float64Array(size) };
}

/** What a reference needs beside the call: output dtypes, and how exact its tile is. */
export interface ReferenceContext {
  readonly dtypes: readonly string[];
  readonly sizes: readonly number[];
  /** Error of the tile's results: ULP of the result plus an absolute part. Default: none, exact. */
  readonly tileUlp?: number;
  readonly tileAtol?: number;
}

type Reference = (call: Call, inputs: readonly Numbers[], context: ReferenceContext) => Expected[];

function mapReference(
  tile: TileProgram,
  inputs: readonly Numbers[],
  { dtypes, sizes, tileUlp = 0, tileAtol = 0 }: ReferenceContext,
): Expected[] {
  const out = sizes.map(expected);
  runTile(tile, inputs, (index, results) => {
    for (const [i, value] of results.entries()) {
      out[i]!.values[index] = store(dtypes[i]!, value);
      if (dtypes[i] === "float32" && tileUlp + tileAtol > 0) {
        out[i]!.allowed[index] = tileUlp * ulpOf(value) + tileAtol + tiny;
      }
    }
  });
  return out;
}

/** Random-walk growth of rounding errors over chunks of at most 256 float32 terms, doubled. */
const sumError = 32 * eps;

const reduceReference: Reference = (call, inputs, context) => {
  const tile = call.tile!;
  const [, axis, inner] = tile.dims as [number, number, number];
  const out = context.sizes.map(expected);
  const magnitude = context.sizes.map((size) => new Float64Array(size));
  const starts = [0, -Infinity, Infinity, 1];
  const intStarts = [0, -2147483648, 2147483647, 1];
  for (const [r, reducer] of call.ints.entries()) {
    const start = context.dtypes[r] === "float32" ? starts : intStarts;
    out[r]!.values.fill(start[reducer]!);
  }
  runTile(tile, inputs, (index, results) => {
    const at = Math.floor(index / (axis * inner)) * inner + (index % inner);
    for (const [r, value] of results.entries()) {
      const acc = out[r]!.values;
      const float = context.dtypes[r] === "float32";
      magnitude[r]![at]! += Math.abs(value) * (1 + (context.tileUlp ?? 0));
      if (call.ints[r] === 0) acc[at] = float ? acc[at]! + value : (acc[at]! + value) | 0;
      if (call.ints[r] === 1) acc[at] = Math.max(acc[at]!, value);
      if (call.ints[r] === 2) acc[at] = Math.min(acc[at]!, value);
      if (call.ints[r] === 3) acc[at] = float ? acc[at]! * value : Math.imul(acc[at]!, value);
    }
  });
  for (const [r, { values, allowed }] of out.entries()) {
    const reducer = call.ints[r]!;
    const scale = call.floats[r]!;
    for (let i = 0; i < values.length; i++) {
      values[i]! *= scale;
      if (context.dtypes[r] !== "float32") continue;
      const ulp = ulpOf(values[i]!);
      if (reducer === 0) {
        allowed[i] = sumError * magnitude[r]![i]! * Math.abs(scale) * (1 + (context.tileUlp ?? 0));
        allowed[i]! += ulp + tiny;
      } else if (reducer === 3) {
        // One rounding per factor.
        allowed[i] = (axis + 2) * eps * Math.abs(values[i]!) + ulp + tiny;
      } else {
        allowed[i] = (context.tileUlp ?? 0) * ulp;
      }
    }
  }
  return out;
};

const gemmReference: Reference = (call, inputs, context) => {
  const [batch, m, n, k, ta, tb, strideA, strideB] = call.ints as number[] as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [a, b, ...rest] = inputs as [Numbers, Numbers, ...Numbers[]];
  const c = expected(batch * m * n);
  for (let s = 0; s < batch; s++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        let magnitude = 0;
        for (let p = 0; p < k; p++) {
          const x = a[s * strideA + (ta ? p * m + i : i * k + p)]!;
          const y = b[s * strideB + (tb ? j * k + p : p * n + j)]!;
          sum += x * y;
          magnitude += Math.abs(x * y);
        }
        const at = (s * m + i) * n + j;
        c.values[at] = sum;
        // Rounding errors of K float32 steps add up as a random walk; twice that, and one for each end.
        c.allowed[at] = (2 * Math.sqrt(k) + 2) * eps * magnitude + tiny;
      }
    }
  }
  return withEpilogue(call, c, rest, context);
};

const withEpilogue = (
  call: Call,
  c: Expected,
  rest: readonly Numbers[],
  context: Parameters<Reference>[2],
): Expected[] => {
  if (!call.tile) return [c];
  const out = mapReference(call.tile, [c.values, ...rest], context);
  // The epilogues of the cases do not amplify an error in C by more than 2.
  for (const result of out) {
    for (let i = 0; i < result.allowed.length; i++) {
      result.allowed[i]! += 2 * c.allowed[i]! + 2 * ulpOf(result.values[i]!);
    }
  }
  return out;
};

/** All three convolutions: y += x·w over every x, w and y that meet, the third of them asked for. */
const convolutionReference =
  (wanted: "x" | "w" | "y"): Reference =>
  (call, inputs, context) => {
    const [batch, height, width, channels, outHeight, outWidth, filters, ...others] =
      call.ints as number[] as [number, number, number, number, number, number, number];
    const [taps, tapColumns, sh, sw, top, left, dh, dw, groups] = others as number[] as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const [a, b, ...rest] = inputs as [Numbers, Numbers, ...Numbers[]];
    const own = channels / groups;
    const each = filters / groups;
    const sizes = {
      x: batch * height * width * channels,
      w: taps * tapColumns * own * filters,
      y: batch * outHeight * outWidth * filters,
    };
    const size = sizes[wanted];
    const values = new Float64Array(size);
    const magnitudes = new Float64Array(size);
    const terms = new Float64Array(size);
    for (let n = 0; n < batch; n++)
      for (let i = 0; i < outHeight; i++)
        for (let j = 0; j < outWidth; j++)
          for (let k = 0; k < taps; k++)
            for (let l = 0; l < tapColumns; l++) {
              const row = i * sh - top + k * dh;
              const column = j * sw - left + l * dw;
              if (row < 0 || column < 0 || row >= height || column >= width) continue;
              for (let o = 0; o < filters; o++)
                for (let c = 0; c < own; c++) {
                  const at = {
                    x:
                      ((n * height + row) * width + column) * channels +
                      Math.floor(o / each) * own +
                      c,
                    w: ((k * tapColumns + l) * own + c) * filters + o,
                    y: ((n * outHeight + i) * outWidth + j) * filters + o,
                  };
                  const term =
                    wanted === "y"
                      ? a[at.x]! * b[at.w]!
                      : wanted === "x"
                        ? a[at.y]! * b[at.w]!
                        : a[at.x]! * b[at.y]!;
                  values[at[wanted]]! += term;
                  magnitudes[at[wanted]]! += Math.abs(term);
                  terms[at[wanted]]!++;
                }
            }
    const winograd = call.ints[16] === 1 && taps === 3 && tapColumns === 3;
    if (winograd) {
      // By Winograd's algorithm the error follows the sums around an element, not its own: 100 halves of
      // an ULP of the largest term, by the root of the number of terms (measured: at most 30).
      const largest = (numbers: Numbers): number => {
        let most = 0;
        for (let i = 0; i < numbers.length; i++) most = Math.max(most, Math.abs(numbers[i]!));
        return most;
      };
      const pixels = batch * outHeight * outWidth;
      const count = wanted === "w" ? pixels : 9 * (wanted === "y" ? channels : filters);
      const bound = 100 * eps * Math.sqrt(count) * largest(a) * largest(b);
      return withEpilogue(call, { values, allowed: magnitudes.fill(bound) }, rest, context);
    }
    // As in gemm: a random walk of the terms' roundings, and one for each end.
    const allowed = magnitudes.map((m, i) => (2 * Math.sqrt(terms[i]!) + 2) * eps * m + tiny);
    return withEpilogue(call, { values, allowed }, rest, context);
  };

const copyReference: Reference = (call, [x], { sizes }) => {
  const [rank, from, to] = call.ints as [number, number, number];
  const dims = call.ints.slice(3, 3 + rank);
  const src = call.ints.slice(3 + rank, 3 + 2 * rank);
  const dst = call.ints.slice(3 + 2 * rank);
  const y = expected(sizes[0]!);
  const walk = (d: number, s: number, t: number): void => {
    if (d === rank) y.values[t] = x![s]!;
    else for (let i = 0; i < dims[d]!; i++) walk(d + 1, s + i * src[d]!, t + i * dst[d]!);
  };
  walk(0, from, to);
  return [y];
};

const gatherReference: Reference = (call, [x, indices]) => {
  const [outer, axis, inner, count] = call.ints as [number, number, number, number];
  const y = expected(outer * count * inner);
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < count; j++)
      for (let i = 0; i < inner; i++)
        y.values[(o * count + j) * inner + i] = x![(o * axis + indices![j]!) * inner + i]!;
  return [y];
};

const scatterAddReference: Reference = (call, [updates, indices]) => {
  const [outer, axis, inner, count] = call.ints as [number, number, number, number];
  const y = expected(outer * axis * inner);
  // float32 sums in the order of j: exact to the bit.
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < count; j++)
      for (let i = 0; i < inner; i++) {
        const at = (o * axis + indices![j]!) * inner + i;
        y.values[at] = Math.fround(y.values[at]! + updates![(o * count + j) * inner + i]!);
      }
  return [y];
};

const scatterRowsReference: Reference = (call, [x, indices, updates]) => {
  const [axis, inner, count] = call.ints as [number, number, number];
  const y = expected(axis * inner);
  for (let i = 0; i < axis * inner; i++) y.values[i] = x![i]!;
  for (let j = 0; j < count; j++)
    for (let i = 0; i < inner; i++) y.values[indices![j]! * inner + i] = updates![j * inner + i]!;
  return [y];
};

/** log Σ exp and the probabilities of one row. */
function rowOf(x: Numbers, from: number, cols: number) {
  const row = Array.from({ length: cols }, (_, c) => x[from + c]!);
  const max = row.some(Number.isNaN) ? NaN : Math.max(...row);
  const sum = row.reduce((total, z) => total + Math.exp(z - max), 0);
  return { row, max, lse: max + Math.log(sum), p: row.map((z) => Math.exp(z - max) / sum) };
}

const softmaxReference: Reference = (call, [x]) => {
  const [rows, cols, log] = call.ints as [number, number, number];
  const y = expected(rows * cols);
  for (let r = 0; r < rows; r++) {
    const { row, max, lse, p } = rowOf(x!, r * cols, cols);
    for (let c = 0; c < cols; c++) {
      const at = r * cols + c;
      const distance = Math.abs(row[c]! - max) || 0;
      y.values[at] = log ? row[c]! - lse : p[c]!;
      // z − max is rounded (relative error of exp: the distance), then exp, sum, quotient: 16 roundings.
      y.allowed[at] = log
        ? (16 + 2 * distance + Math.abs(max)) * eps
        : (16 + 2 * distance) * eps * p[c]! + tiny;
    }
  }
  return [y];
};

function crossEntropy(
  [rows, cols]: readonly number[],
  logits: Numbers,
  target: (r: number, c: number) => number,
): Expected[] {
  const loss = expected(rows!);
  const gradient = expected(rows! * cols!);
  for (let r = 0; r < rows!; r++) {
    const { row, max, lse, p } = rowOf(logits, r * cols!, cols!);
    const t = row.map((_, c) => target(r, c));
    const total = t.reduce((a, b) => a + b, 0);
    const weight = t.reduce((a, b) => a + Math.abs(b), 0);
    const size = Math.max(Math.abs(lse), ...row.map((z) => (Number.isFinite(z) ? Math.abs(z) : 0)));
    for (const [c, z] of row.entries()) loss.values[r]! += t[c] === 0 ? 0 : t[c]! * (lse - z);
    // Each term carries the rounding of z, lse and their difference; sums as everywhere.
    loss.allowed[r] = (16 + 4 * size) * 2 * eps * Math.max(weight, 1);
    for (let c = 0; c < cols!; c++) {
      const distance = Math.abs(row[c]! - max) || 0;
      gradient.values[r * cols! + c] = p[c]! * total - t[c]!;
      gradient.allowed[r * cols! + c] =
        (24 + 2 * distance) * eps * (p[c]! * Math.abs(total) + Math.abs(t[c]!)) + tiny;
    }
  }
  return [loss, gradient];
}

const momentsReference: Reference = (call, [x]) => {
  const [outer, axis, inner] = call.ints as [number, number, number];
  const mean = expected(outer * inner);
  const variance = expected(outer * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const terms = Array.from({ length: axis }, (_, a) => x![(o * axis + a) * inner + i]!);
      const average = terms.reduce((s, v) => s + v, 0) / axis;
      const size = terms.reduce((s, v) => s + Math.abs(v), 0) / axis;
      const spread = terms.reduce((s, v) => s + (v - average) ** 2, 0) / axis;
      const at = o * inner + i;
      mean.values[at] = average;
      variance.values[at] = spread;
      mean.allowed[at] = sumError * size + tiny;
      // An error δ in the mean changes the variance by δ² only; each square has 3 roundings.
      variance.allowed[at] = 2 * sumError * spread + (4 * eps * size) ** 2 + tiny;
    }
  return [mean, variance];
};

const argReference: Reference = (call, [x]) => {
  const [outer, axis, inner, isMin] = call.ints as [number, number, number, number];
  const y = expected(outer * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const terms = Array.from({ length: axis }, (_, a) => x![(o * axis + a) * inner + i]!);
      const nan = terms.findIndex(Number.isNaN);
      const best = isMin ? Math.min(...terms) : Math.max(...terms);
      y.values[o * inner + i] = nan >= 0 ? nan : terms.indexOf(best);
    }
  return [y];
};

const topKReference: Reference = (call, [x]) => {
  const [rows, cols, k] = call.ints as [number, number, number];
  const values = expected(rows * k);
  const indices = expected(rows * k);
  const key = (v: number) => (Number.isNaN(v) ? Infinity : v);
  const rank = (v: number) => (Number.isNaN(v) ? 1 : 0);
  for (let r = 0; r < rows; r++) {
    const row = Array.from({ length: cols }, (_, c) => ({ v: x![r * cols + c]!, c }));
    row.sort(
      (a, b) => rank(b.v) - rank(a.v) || (key(a.v) === key(b.v) ? a.c - b.c : key(b.v) - key(a.v)),
    );
    for (let j = 0; j < k; j++) {
      values.values[r * k + j] = row[j]!.v;
      indices.values[r * k + j] = row[j]!.c;
    }
  }
  return [values, indices];
};

const cumsumReference: Reference = (call, [x], { dtypes }) => {
  const [outer, axis, inner, exclusive, reverse] = call.ints as [
    number,
    number,
    number,
    number,
    number,
  ];
  const y = expected(outer * axis * inner);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const order = Array.from({ length: axis }, (_, a) => (o * axis + a) * inner + i);
      if (reverse) order.reverse();
      let sum = 0;
      let magnitude = 0;
      for (const at of order) {
        const next = dtypes[0] === "int32" ? (sum + x![at]!) | 0 : sum + x![at]!;
        y.values[at] = exclusive ? sum : next;
        sum = next;
        magnitude += Math.abs(x![at]!);
        // A running sum kept in float32 would drift with its length; in double only the store rounds.
        if (dtypes[0] === "float32") y.allowed[at] = sumError * magnitude + tiny;
      }
    }
  return [y];
};

const maxPoolReference: Reference = (call, [x], { sizes }) => {
  const y = expected(sizes[0]!);
  const index = expected(sizes[0]!);
  y.values.fill(NaN);
  index.values.fill(-1);
  const found = new Uint8Array(sizes[0]!);
  for (const { input, output, tap } of coveringWindows(call.ints)) {
    const value = x![input]!;
    const best = y.values[output]!;
    const better = Number.isNaN(best) ? false : value > best || Number.isNaN(value);
    if (found[output] && !better) continue;
    found[output] = 1;
    y.values[output] = value;
    index.values[output] = tap;
  }
  return sizes.length === 1 ? [y] : [y, index];
};

const maxPoolGradientReference: Reference = (call, [dy, index], { sizes }) => {
  const dx = expected(sizes[0]!);
  for (const { input, output, tap } of coveringWindows(call.ints)) {
    if (index![output] !== tap) continue;
    dx.values[input]! += dy![output]!;
    dx.allowed[input]! += Math.abs(dy![output]!);
  }
  // Each element adds at most as many terms as windows cover it: a rounding each.
  const terms = call.ints[4]! * call.ints[5]!;
  for (let i = 0; i < sizes[0]!; i++) dx.allowed[i] = dx.allowed[i]! * terms * eps + tiny;
  return [dx];
};

/** How many elements each window has inside the input. */
function windowSizes(ints: readonly number[], outputs: number): Float64Array {
  const counts = new Float64Array(outputs);
  for (const { output } of coveringWindows(ints)) counts[output]!++;
  return counts;
}

const avgPoolReference: Reference = (call, [x], { sizes }) => {
  const y = expected(sizes[0]!);
  const counts = windowSizes(call.ints, sizes[0]!);
  for (const { input, output } of coveringWindows(call.ints)) {
    y.values[output]! += x![input]! / counts[output]!;
    y.allowed[output]! += Math.abs(x![input]!) / counts[output]!;
  }
  // Rows of the window, then their sums, then a quotient: a chain of height + width + 1 roundings.
  const chain = call.ints[4]! + call.ints[5]! + 1;
  for (let o = 0; o < sizes[0]!; o++) y.allowed[o] = y.allowed[o]! * chain * eps + tiny;
  return [y];
};

const avgPoolGradientReference: Reference = (call, [dy], { sizes }) => {
  const dx = expected(sizes[0]!);
  const counts = windowSizes(call.ints, dy!.length);
  for (const { input, output } of coveringWindows(call.ints)) {
    dx.values[input]! += dy![output]! / counts[output]!;
    dx.allowed[input]! += Math.abs(dy![output]!) / counts[output]!;
  }
  // Per window that covers it: a reciprocal, a product, a sum.
  const terms = call.ints[4]! * call.ints[5]! + 2;
  for (let i = 0; i < sizes[0]!; i++) dx.allowed[i] = dx.allowed[i]! * terms * eps + tiny;
  return [dx];
};

const transformReference: Reference = (call, [x, transforms], { sizes }) => {
  const y = expected(sizes[0]!);
  const [fill] = call.floats as [number];
  for (const { input, output, weight } of pixelsRead(call.ints, transforms!)) {
    const value = input < 0 ? Math.fround(fill) : x![input]!;
    y.values[output]! += weight * value;
    // Four weights of three roundings, four products, three sums.
    y.allowed[output]! += 12 * eps * Math.abs(weight * value) + 2 * eps * Math.abs(value);
  }
  return [y];
};

const transformGradientReference: Reference = (call, [dy, transforms], { sizes }) => {
  const dx = expected(sizes[0]!);
  const terms = new Float64Array(sizes[0]!);
  for (const { input, output, weight } of pixelsRead(call.ints, transforms!)) {
    if (input < 0) continue;
    terms[input]!++;
    dx.values[input]! += weight * dy![output]!;
    dx.allowed[input]! += Math.abs(dy![output]!);
  }
  for (let i = 0; i < sizes[0]!; i++) dx.allowed[i] = dx.allowed[i]! * (terms[i]! + 4) * eps + tiny;
  return [dx];
};

/**
 * Each of these sums the rounding errors of `terms` products, and of what follows element by element; the
 * errors of a step flow into the next ones, where gates of slope ≤ 1 and weights of variance 1/units keep them
 * of that size.
 */
function withinRoundings(lists: Float64Array[], terms: number, steps: number): Expected[] {
  return lists.map((values) => {
    const top = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    const error = eps * (8 + 2 * Math.sqrt(terms)) * Math.max(1, steps) * 4;
    return { values, allowed: values.map((v) => error * (Math.abs(v) + top)) };
  });
}

/** The reference of every kernel. */
export const references: Readonly<Record<string, Reference>> = {
  map: (call, inputs, context) => mapReference(call.tile!, inputs, context),
  reduce: reduceReference,
  gemm: gemmReference,
  conv2d: convolutionReference("y"),
  conv2dInputGradient: convolutionReference("x"),
  conv2dFilterGradient: convolutionReference("w"),
  copy: copyReference,
  gather: gatherReference,
  scatterAdd: scatterAddReference,
  scatterRows: scatterRowsReference,
  softmax: softmaxReference,
  softmaxCrossEntropy: (call, [logits, targets]) => {
    const [, cols] = call.ints as [number, number];
    const [s] = call.floats as [number];
    return crossEntropy(call.ints, logits!, (r, c) => targets![r * cols + c]! * (1 - s) + s / cols);
  },
  sparseSoftmaxCrossEntropy: (call, [logits, labels]) => {
    const [, cols] = call.ints as [number, number];
    const [s] = call.floats as [number];
    return crossEntropy(call.ints, logits!, (r, c) => (labels![r] === c ? 1 - s : 0) + s / cols);
  },
  moments: momentsReference,
  argReduce: argReference,
  topK: topKReference,
  cumsum: cumsumReference,
  maxPool: maxPoolReference,
  maxPoolGradient: maxPoolGradientReference,
  avgPool: avgPoolReference,
  avgPoolGradient: avgPoolGradientReference,
  transformImages: transformReference,
  transformImagesGradient: transformGradientReference,
  recurrent: ({ ints }, inputs) => withinRoundings(recurrentCall(ints, inputs), ints[2]!, ints[1]!),
  recurrentGradient: ({ ints }, inputs) =>
    withinRoundings(recurrentGradientCall(ints, inputs), 4 * ints[2]!, ints[1]!),
  sequenceProduct: ({ ints }, inputs) =>
    withinRoundings([sequenceProductReference(ints, inputs)], ints[2]!, 1),
  sequenceOuter: ({ ints }, inputs) =>
    withinRoundings([sequenceOuterReference(ints, inputs)], ints[0]! * ints[1]!, 1),
};
