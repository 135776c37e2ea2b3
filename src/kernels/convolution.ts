/**
 * `conv2d`, `conv2dInputGradient`, `conv2dFilterGradient`: y[n, i, j, o] = Σ x[n, i·s − p + k·d, …, c] ·
 * w[k, l, c, o] over taps and the channels of o's group, and what that sum hands back to x and to w. x is
 * [batch, height, width, channels], w [kernelHeight, kernelWidth, channels/groups, filters], y
 * [batch, outHeight, outWidth, filters]; what lies outside of x counts as nothing. Sums run in double.
 */
import { expectProduct, type Product, prepareProduct } from "./epilogue.js";
import { checkSizes, float32, type Kernel } from "./kernel.js";
import { multiply } from "./matmul.js";
import type { Fail } from "./tile.js";

const names = [
  "batch",
  "height",
  "width",
  "channels",
  "outHeight",
  "outWidth",
  "filters",
  "kernelHeight",
  "kernelWidth",
  "strideHeight",
  "strideWidth",
  "padTop",
  "padLeft",
  "dilationHeight",
  "dilationWidth",
  "groups",
  "winograd",
] as const;

/** Sizes of a convolution, named like the attributes of its kernels. */
export type Geometry = { readonly [name in (typeof names)[number]]: number };

/** The attributes in the kernels' order. */
export function geometryInts(geometry: Geometry): number[] {
  return names.map((name) => geometry[name]);
}

function geometryOf(ints: readonly number[]): Geometry {
  return Object.fromEntries(names.map((name, i) => [name, ints[i]!])) as unknown as Geometry;
}

/** Elements of x, w and y. */
const inputSize = (g: Geometry): number => g.batch * g.height * g.width * g.channels;
const filterSize = (g: Geometry): number =>
  g.kernelHeight * g.kernelWidth * (g.channels / g.groups) * g.filters;
const outputSize = (g: Geometry): number => g.batch * g.outHeight * g.outWidth * g.filters;

function checkGeometry(ints: readonly number[], fail: Fail): Geometry {
  checkSizes(names, ints, ["winograd"], fail);
  const g = geometryOf(ints);
  for (const name of [
    "kernelHeight",
    "kernelWidth",
    "strideHeight",
    "strideWidth",
    "dilationHeight",
    "dilationWidth",
    "groups",
  ] as const) {
    if (g[name] === 0) fail(`attribute ${name} is 0, allowed are integers from 1 to 2147483647`);
  }
  for (const name of ["channels", "filters"] as const) {
    if (g[name] % g.groups !== 0) fail(`${g[name]} ${name} are no multiple of ${g.groups} groups`);
  }
  // An image with all that its windows reach, and the same of its gradient: native kernels copy rows of it.
  const reach = (size: number, out: number, stride: number, taps: number, dilation: number) =>
    Math.max(size, (out - 1) * stride + 1) + (taps - 1) * dilation;
  const rows = reach(g.height, g.outHeight, g.strideHeight, g.kernelHeight, g.dilationHeight);
  const columns = reach(g.width, g.outWidth, g.strideWidth, g.kernelWidth, g.dilationWidth);
  const inGradient = (rows / g.strideHeight + 2) * (columns / g.strideWidth + 2) * g.filters;
  if (Math.max(rows * columns * g.channels, inGradient) >= 2 ** 31) {
    fail("windows reach over an image of 2^31 elements or more");
  }
  return g;
}

/** Calls `visit` with the offsets of every pixel of x, tap of w and pixel of y that meet. */
function eachMeeting(
  g: Geometry,
  visit: (inputPixel: number, tap: number, outputPixel: number) => void,
): void {
  const tapSize = (g.channels / g.groups) * g.filters;
  let outputPixel = 0;
  for (let n = 0; n < g.batch; n++) {
    for (let i = 0; i < g.outHeight; i++) {
      for (let j = 0; j < g.outWidth; j++, outputPixel += g.filters) {
        for (let k = 0; k < g.kernelHeight; k++) {
          const row = i * g.strideHeight - g.padTop + k * g.dilationHeight;
          if (row < 0 || row >= g.height) continue;
          for (let l = 0; l < g.kernelWidth; l++) {
            const column = j * g.strideWidth - g.padLeft + l * g.dilationWidth;
            if (column < 0 || column >= g.width) continue;
            visit(
              ((n * g.height + row) * g.width + column) * g.channels,
              (k * g.kernelWidth + l) * tapSize,
              outputPixel,
            );
          }
        }
      }
    }
  }
}

/** Calls `visit` with the offsets of every x, w and y of which x·w is a term of y. */
function eachTerm(g: Geometry, visit: (x: number, w: number, y: number) => void): void {
  const channels = g.channels / g.groups;
  const filters = g.filters / g.groups;
  eachMeeting(g, (x, tap, y) => {
    for (let group = 0; group < g.groups; group++) {
      for (let c = 0; c < channels; c++) {
        const w = tap + c * g.filters + group * filters;
        for (let o = 0; o < filters; o++) {
          visit(x + group * channels + c, w + o, y + group * filters + o);
        }
      }
    }
  });
}

/** Rows of patches of one image: [outHeight·outWidth, kernelHeight·kernelWidth·channels], 0 outside. */
function cutPatches(g: Geometry, x: Float32Array, image: number, patches: Float32Array): void {
  const { channels, width, height } = g;
  const from = image * height * width * channels;
  let to = 0;
  for (let i = 0; i < g.outHeight; i++) {
    for (let j = 0; j < g.outWidth; j++) {
      for (let k = 0; k < g.kernelHeight; k++) {
        const row = i * g.strideHeight - g.padTop + k * g.dilationHeight;
        for (let l = 0; l < g.kernelWidth; l++, to += channels) {
          const column = j * g.strideWidth - g.padLeft + l * g.dilationWidth;
          if (row < 0 || row >= height || column < 0 || column >= width) {
            patches.fill(0, to, to + channels);
          } else {
            const at = from + (row * width + column) * channels;
            for (let c = 0; c < channels; c++) patches[to + c] = x[at + c]!;
          }
        }
      }
    }
  }
}

/** The reverse: adds each row's terms to the pixels they were cut from. */
function addPatches(g: Geometry, patches: Float32Array, sums: Float64Array): void {
  const { channels, width, height } = g;
  let at = 0;
  for (let i = 0; i < g.outHeight; i++) {
    for (let j = 0; j < g.outWidth; j++) {
      for (let k = 0; k < g.kernelHeight; k++) {
        const row = i * g.strideHeight - g.padTop + k * g.dilationHeight;
        for (let l = 0; l < g.kernelWidth; l++, at += channels) {
          const column = j * g.strideWidth - g.padLeft + l * g.dilationWidth;
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          const to = (row * width + column) * channels;
          for (let c = 0; c < channels; c++) sums[to + c]! += patches[at + c]!;
        }
      }
    }
  }
}

/** An image's patches as the rows of a matrix: its pixels of y and its terms per pixel. */
function patchMatrix(g: Geometry): { pixels: number; terms: number; patches: Float32Array } {
  const pixels = g.outHeight * g.outWidth;
  const terms = g.kernelHeight * g.kernelWidth * g.channels;
  return { pixels, terms, patches: new Float32Array(pixels * terms) };
}

function forward(g: Geometry): Product {
  if (g.groups > 1) {
    return (x, w, y) => {
      const sums = new Float64Array(y.length);
      eachTerm(g, (i, j, o) => {
        sums[o]! += x[i]! * w[j]!;
      });
      y.set(sums);
    };
  }
  return (x, w, y) => {
    const { pixels, terms, patches } = patchMatrix(g);
    const a = { data: patches, offset: 0, rows: terms, columns: 1 };
    const b = { data: w, offset: 0, rows: g.filters, columns: 1 };
    for (let n = 0; n < g.batch; n++) {
      cutPatches(g, x, n, patches);
      multiply(pixels, g.filters, terms, a, b, y, n * pixels * g.filters);
    }
  };
}

function inputGradient(g: Geometry): Product {
  if (g.groups > 1) {
    return (dy, w, dx) => {
      const sums = new Float64Array(dx.length);
      eachTerm(g, (i, j, o) => {
        sums[i]! += dy[o]! * w[j]!;
      });
      dx.set(sums);
    };
  }
  return (dy, w, dx) => {
    const { pixels, terms, patches } = patchMatrix(g);
    const size = g.height * g.width * g.channels;
    const sums = new Float64Array(size);
    const b = { data: w, offset: 0, rows: 1, columns: g.filters };
    for (let n = 0; n < g.batch; n++) {
      const a = { data: dy, offset: n * pixels * g.filters, rows: g.filters, columns: 1 };
      multiply(pixels, terms, g.filters, a, b, patches, 0);
      sums.fill(0);
      addPatches(g, patches, sums);
      dx.set(sums, n * size);
    }
  };
}

function filterGradient(g: Geometry): Product {
  if (g.groups > 1) {
    return (x, dy, dw) => {
      const sums = new Float64Array(dw.length);
      eachTerm(g, (i, j, o) => {
        sums[j]! += x[i]! * dy[o]!;
      });
      dw.set(sums);
    };
  }
  return (x, dy, dw) => {
    const { pixels, terms, patches } = patchMatrix(g);
    const sums = new Float64Array(terms * g.filters);
    const one = new Float32Array(sums.length);
    const a = { data: patches, offset: 0, rows: 1, columns: terms };
    for (let n = 0; n < g.batch; n++) {
      cutPatches(g, x, n, patches);
      const b = { data: dy, offset: n * pixels * g.filters, rows: g.filters, columns: 1 };
      multiply(terms, g.filters, pixels, a, b, one, 0);
      for (let i = 0; i < sums.length; i++) sums[i]! += one[i]!;
    }
    dw.set(sums);
  };
}

/** An operand or result: its name, and its elements for a geometry. */
type Part = readonly [name: string, size: (g: Geometry) => number];

function convolution(
  product: (g: Geometry) => Product,
  operands: readonly [Part, Part],
  rows: (g: Geometry) => number,
  columns: "filters" | "channels",
  domain: string,
): Kernel {
  return {
    ints: names,
    floats: [],
    tile: "epilogue",
    expect({ inputs, ints, tile }, fail) {
      const g = checkGeometry(ints, fail);
      const parts = operands.map(([name, size]) => ({ name, dtypes: float32, size: size(g) }));
      return expectProduct(
        { operands: parts, rows: rows(g), columns: g[columns], domain, inputs, tile },
        fail,
      );
    },
    prepare: ({ outputs, ints, tile }, { interpret = false }) =>
      prepareProduct(product(geometryOf(ints)), outputs, tile, interpret),
  };
}

const x: Part = ["x", inputSize];
const filter: Part = ["filter", filterSize];
const dy: Part = ["dy", outputSize];

export const conv2d = convolution(
  forward,
  [x, filter],
  (g) => g.batch * g.outHeight * g.outWidth,
  "filters",
  "[batch·outHeight·outWidth, filters]",
);

export const conv2dInputGradient = convolution(
  inputGradient,
  [dy, filter],
  (g) => g.batch * g.height * g.width,
  "channels",
  "[batch·height·width, channels]",
);

export const conv2dFilterGradient = convolution(
  filterGradient,
  [x, dy],
  (g) => g.kernelHeight * g.kernelWidth * (g.channels / g.groups),
  "filters",
  "[kernelHeight·kernelWidth·channels/groups, filters]",
);
