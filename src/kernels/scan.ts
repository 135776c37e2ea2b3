/** `cumsum`: running sums along an axis, float32 in double and int32 wrapping around. */
import { checkSizes, type Kernel } from "./kernel.js";

const names = ["outer", "axis", "inner", "exclusive", "reverse"] as const;

export const cumsum: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ inputs, ints }, fail) {
    checkSizes(names, ints, ["exclusive", "reverse"], fail);
    const [outer, axis, inner] = ints as [number, number, number];
    const size = outer * axis * inner;
    const dtypes = ["float32", "int32"] as const;
    return {
      inputs: [{ name: "x", dtypes, size }],
      outputs: [{ name: "y", dtypes: dtypes.filter((d) => d === inputs[0]?.dtype), size }],
    };
  },
  prepare({ inputs, ints }) {
    const [outer, axis, inner, exclusive, reverse] = ints as [
      number,
      number,
      number,
      number,
      number,
    ];
    const integer = inputs[0]!.dtype === "int32";
    return ([x], [y]) => {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          let sum = 0;
          for (let a = 0; a < axis; a++) {
            const at = (o * axis + (reverse ? axis - 1 - a : a)) * inner + i;
            const before = sum;
            sum += x![at]!;
            if (integer) sum |= 0;
            y![at] = exclusive ? before : sum;
          }
        }
      }
    };
  },
};
