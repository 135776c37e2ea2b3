/** `moments`: mean and population variance along an axis, in two passes of double sums. */
import { checkSizes, float32, type Kernel } from "./kernel.js";

const names = ["outer", "axis", "inner"] as const;

export const moments: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(names, ints, [], fail);
    const [outer, axis, inner] = ints as [number, number, number];
    return {
      inputs: [{ name: "x", dtypes: float32, size: outer * axis * inner }],
      outputs: [
        { name: "mean", dtypes: float32, size: outer * inner },
        { name: "variance", dtypes: float32, size: outer * inner },
      ],
    };
  },
  prepare({ ints }) {
    const [outer, axis, inner] = ints as [number, number, number];
    const means = new Float64Array(inner);
    const squares = new Float64Array(inner);
    return ([input], [mean, variance]) => {
      const x = input as Float32Array;
      for (let o = 0; o < outer; o++) {
        const from = o * axis * inner;
        means.fill(0);
        squares.fill(0);
        for (let a = 0, at = from; a < axis; a++) {
          for (let i = 0; i < inner; i++) means[i]! += x[at++]!;
        }
        for (let i = 0; i < inner; i++) means[i]! /= axis;
        for (let a = 0, at = from; a < axis; a++) {
          for (let i = 0; i < inner; i++) {
            const difference = x[at++]! - means[i]!;
            squares[i]! += difference * difference;
          }
        }
        for (let i = 0; i < inner; i++) {
          mean![o * inner + i] = means[i]!;
          variance![o * inner + i] = squares[i]! / axis;
        }
      }
    };
  },
};
