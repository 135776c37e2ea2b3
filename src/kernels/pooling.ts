/**
 * `maxPool`, `avgPool` and their gradients: windows over images [n, h, w, c]. A window that reaches
 * beyond the input has fewer elements; none is empty. An element of a window is named by its number,
 * counted row by row from the window's own corner: that is what index tensors hold.
 */
import type { DType } from "../tensor/dtype.js";
import { checkSizes, type Expectation, float32, type Kernel } from "./kernel.js";
import type { Fail } from "./tile.js";

const names = [
  "n",
  "height",
  "width",
  "channels",
  "kernelHeight",
  "kernelWidth",
  "strideHeight",
  "strideWidth",
  "top",
  "left",
  "outHeight",
  "outWidth",
] as const;

type Sizes = Readonly<Record<(typeof names)[number], number>>;

/** The attributes of a pooling, by name, from the numbers of a call. */
function sizesOf(ints: readonly number[]): Sizes {
  return Object.fromEntries(names.map((name, i) => [name, ints[i]!])) as Sizes;
}

/** dtype of the tensor that holds which element of a window is the largest. */
export function indexDType(windowSize: number): DType {
  return windowSize <= 256 ? "uint8" : "int32";
}

function checked(ints: readonly number[], fail: Fail) {
  checkSizes(names, ints, [], fail);
  const s = sizesOf(ints);
  const axes = [
    [s.height, s.kernelHeight, s.strideHeight, s.top, s.outHeight],
    [s.width, s.kernelWidth, s.strideWidth, s.left, s.outWidth],
  ] as const;
  for (const [size, kernel, stride, pad, windows] of axes) {
    if (kernel < 1 || stride < 1) fail("has a window or stride of 0");
    const beside = size < 1 || (windows - 1) * stride - pad >= size;
    if (pad >= kernel || (windows > 0 && beside)) {
      fail("has a window beside its input");
    }
  }
  const window = s.kernelHeight * s.kernelWidth;
  const dtypes = [indexDType(window)];
  const inside = s.n * s.height * s.width * s.channels;
  const outside = s.n * s.outHeight * s.outWidth * s.channels;
  return {
    x: (name: string): Expectation => ({ name, dtypes: float32, size: inside }),
    y: (name: string): Expectation => ({ name, dtypes: float32, size: outside }),
    index: { name: "index", dtypes, size: outside } satisfies Expectation,
  };
}

/** The elements of a window along one axis that lie inside: at input positions start + tap. */
function tapsOf(window: number, stride: number, pad: number, kernel: number, size: number) {
  const start = window * stride - pad;
  return { start, begin: Math.max(0, -start), end: Math.min(kernel, size - start) };
}

/** A window's elements that lie inside: their numbers, and where their values of channel 0 are. */
interface Window {
  count: number;
  readonly taps: Int32Array;
  readonly places: Int32Array;
}

/** Visits windows in row-major order; `to` is where the window's value of channel 0 is. */
function eachWindow(s: Sizes, visit: (to: number, window: Window) => void): void {
  const size = Math.min(s.kernelHeight, s.height) * Math.min(s.kernelWidth, s.width);
  const window: Window = {
    count: 0,
    taps: new Int32Array(size),
    places: new Int32Array(size),
  };
  let to = 0;
  for (let n = 0; n < s.n; n++) {
    for (let oh = 0; oh < s.outHeight; oh++) {
      const rows = tapsOf(oh, s.strideHeight, s.top, s.kernelHeight, s.height);
      for (let ow = 0; ow < s.outWidth; ow++, to += s.channels) {
        const cols = tapsOf(ow, s.strideWidth, s.left, s.kernelWidth, s.width);
        window.count = 0;
        for (let i = rows.begin; i < rows.end; i++) {
          const row = (n * s.height + rows.start + i) * s.width + cols.start;
          for (let j = cols.begin; j < cols.end; j++) {
            window.taps[window.count] = i * s.kernelWidth + j;
            window.places[window.count++] = (row + j) * s.channels;
          }
        }
        visit(to, window);
      }
    }
  }
}

/** Values of the largest elements and, where there is a second output, which they are. */
export const maxPool: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints, outputs }, fail) {
    const { x, y, index } = checked(ints, fail);
    return { inputs: [x("x")], outputs: outputs.length === 1 ? [y("y")] : [y("y"), index] };
  },
  prepare({ ints }) {
    const s = sizesOf(ints);
    return ([x], [y, index]) => {
      eachWindow(s, (to, { count, taps, places }) => {
        for (let c = 0; c < s.channels; c++) {
          // The first of equals; the first NaN, if there is one.
          let best = -Infinity;
          let which = taps[0]!;
          for (let k = 0; k < count; k++) {
            const value = x![places[k]! + c]!;
            if (value > best || (Number.isNaN(value) && !Number.isNaN(best))) {
              best = value;
              which = taps[k]!;
            }
          }
          y![to + c] = best;
          if (index) index[to + c] = which;
        }
      });
    };
  },
};

/** dx: each element gets the sum of dy over the windows whose largest element it is. */
export const maxPoolGradient: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    const { x, y, index } = checked(ints, fail);
    return { inputs: [y("dy"), index], outputs: [x("dx")] };
  },
  prepare({ ints }) {
    const s = sizesOf(ints);
    return ([dy, index], [dx]) => {
      dx!.fill(0);
      // In row-major order of the windows, as the native side adds them.
      eachWindow(s, (from, { count, taps, places }) => {
        for (let k = 0; k < count; k++) {
          for (let c = 0; c < s.channels; c++) {
            if (index![from + c] === taps[k]) dx![places[k]! + c]! += dy![from + c]!;
          }
        }
      });
    };
  },
};

/** Means of the elements inside. */
export const avgPool: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    const { x, y } = checked(ints, fail);
    return { inputs: [x("x")], outputs: [y("y")] };
  },
  prepare({ ints }) {
    const s = sizesOf(ints);
    return ([x], [y]) => {
      eachWindow(s, (to, { count, places }) => {
        for (let c = 0; c < s.channels; c++) {
          let sum = 0;
          for (let k = 0; k < count; k++) sum += x![places[k]! + c]!;
          y![to + c] = sum / count;
        }
      });
    };
  },
};

/** dx: each element gets the sum of dy / size over the windows it is in. */
export const avgPoolGradient: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    const { x, y } = checked(ints, fail);
    return { inputs: [y("dy")], outputs: [x("dx")] };
  },
  prepare({ ints }) {
    const s = sizesOf(ints);
    return ([dy], [dx]) => {
      dx!.fill(0);
      eachWindow(s, (from, { count, places }) => {
        for (let k = 0; k < count; k++) {
          for (let c = 0; c < s.channels; c++) dx![places[k]! + c]! += dy![from + c]! / count;
        }
      });
    };
  },
};
