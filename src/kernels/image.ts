/**
 * `transformImages` and its gradient: each pixel of the result reads its image at another place, named by
 * a projective transform of its own place, between pixels by nearest or bilinear interpolation.
 */
import { checkSizes, type Expectation, float32, type Kernel } from "./kernel.js";
import type { Fail } from "./tile.js";

const names = [
  "n",
  "height",
  "width",
  "channels",
  "outHeight",
  "outWidth",
  "transforms",
  "bilinear",
  "fillMode",
] as const;

type Sizes = Readonly<Record<(typeof names)[number], number>>;

function sizesOf(ints: readonly number[]): Sizes {
  return Object.fromEntries(names.map((name, i) => [name, ints[i]!])) as Sizes;
}

/** What stands beyond the edges of an image, in the order of their numbers. */
export const fillModes = ["constant", "nearest", "reflect", "wrap"] as const;

function checked(ints: readonly number[], fail: Fail) {
  checkSizes(names, ints, ["bilinear"], fail);
  const s = sizesOf(ints);
  if (s.transforms !== 1 && s.transforms !== s.n) {
    fail(`has ${s.transforms} transforms for ${s.n} images`);
  }
  if (s.fillMode >= fillModes.length) fail(`fill mode ${s.fillMode} is not 0 to 3`);
  const image: Expectation["size"] = s.n * s.height * s.width * s.channels;
  return {
    image: (name: string): Expectation => ({ name, dtypes: float32, size: image }),
    transforms: { name: "transforms", dtypes: float32, size: s.transforms * 8 } as const,
    result: (name: string): Expectation => ({
      name,
      dtypes: float32,
      size: s.n * s.outHeight * s.outWidth * s.channels,
    }),
  };
}

/** Where position `i` of an axis is read; −1 for the fill value. */
function placeOf(i: number, size: number, mode: number): number {
  if (i >= 0 && i < size) return i;
  if (size === 0) return -1;
  switch (fillModes[mode]!) {
    case "constant":
      return -1;
    case "nearest":
      return i < 0 ? 0 : size - 1;
    case "reflect": {
      // d c b a | a b c d | d c b a
      const period = ((i % (2 * size)) + 2 * size) % (2 * size);
      return period < size ? period : 2 * size - 1 - period;
    }
    case "wrap":
      return ((i % size) + size) % size;
  }
}

/** Beyond this there is no image; within it positions are exact integers. */
const farthest = 2 ** 30;

/**
 * Visits the pixels of the result in order. `corners` are offsets of the pixels it reads (−1: the fill
 * value) and `weights` their shares, `count` of them; none with a share of 0.
 */
function eachPixel(
  s: Sizes,
  transforms: ArrayLike<number>,
  visit: (to: number, count: number, corners: Int32Array, weights: Float32Array) => void,
): void {
  const corners = new Int32Array(4);
  const weights = new Float32Array(4);
  let to = 0;
  for (let n = 0; n < s.n; n++) {
    const t = (i: number): number => transforms[(s.transforms === 1 ? 0 : n * 8) + i]!;
    const [a0, a1, a2, b0, b1, b2, c0, c1] = [t(0), t(1), t(2), t(3), t(4), t(5), t(6), t(7)];
    // Rows without pixels may be any number.
    for (let oh = 0; oh < s.outHeight && s.outWidth > 0; oh++) {
      for (let ow = 0; ow < s.outWidth; ow++, to += s.channels) {
        const k = c0 * ow + c1 * oh + 1;
        const x = (a0 * ow + a1 * oh + a2) / k;
        const y = (b0 * ow + b1 * oh + b2) / k;
        let count = 0;
        const add = (row: number, col: number, weight: number): void => {
          if (weight === 0) return;
          const r = placeOf(row, s.height, s.fillMode);
          const c = placeOf(col, s.width, s.fillMode);
          corners[count] = r < 0 || c < 0 ? -1 : ((n * s.height + r) * s.width + c) * s.channels;
          weights[count++] = weight;
        };
        if (!(Math.abs(x) < farthest && Math.abs(y) < farthest)) {
          corners[count] = -1;
          weights[count++] = 1;
        } else if (s.bilinear) {
          const row = Math.floor(y);
          const col = Math.floor(x);
          const down = Math.fround(y - row);
          const right = Math.fround(x - col);
          const up = Math.fround(1 - down);
          const left = Math.fround(1 - right);
          add(row, col, Math.fround(up * left));
          add(row, col + 1, Math.fround(up * right));
          add(row + 1, col, Math.fround(down * left));
          add(row + 1, col + 1, Math.fround(down * right));
        } else {
          add(Math.floor(y + 0.5), Math.floor(x + 0.5), 1);
        }
        visit(to, count, corners, weights);
      }
    }
  }
}

export const transformImages: Kernel = {
  ints: names,
  floats: ["fillValue"],
  tile: "none",
  expect({ ints }, fail) {
    const { image, transforms, result } = checked(ints, fail);
    return { inputs: [image("x"), transforms], outputs: [result("y")] };
  },
  prepare({ ints, floats }) {
    const s = sizesOf(ints);
    const fill = Math.fround(floats[0]!);
    return ([x, transforms], [y]) => {
      eachPixel(s, transforms!, (to, count, corners, weights) => {
        for (let c = 0; c < s.channels; c++) {
          let sum = 0;
          for (let k = 0; k < count; k++) {
            const corner = corners[k]!;
            sum += weights[k]! * (corner < 0 ? fill : x![corner + c]!);
          }
          y![to + c] = sum;
        }
      });
    };
  },
};

/** dx: each pixel gets its share of every pixel that read it, in the order of those. */
export const transformImagesGradient: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    const { image, transforms, result } = checked(ints, fail);
    return { inputs: [result("dy"), transforms], outputs: [image("dx")] };
  },
  prepare({ ints }) {
    const s = sizesOf(ints);
    return ([dy, transforms], [dx]) => {
      dx!.fill(0);
      eachPixel(s, transforms!, (from, count, corners, weights) => {
        for (let k = 0; k < count; k++) {
          const corner = corners[k]!;
          if (corner < 0) continue;
          for (let c = 0; c < s.channels; c++) {
            dx![corner + c]! += weights[k]! * dy![from + c]!;
          }
        }
      });
    };
  },
};
