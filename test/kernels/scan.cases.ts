/** Cases of `cumsum`: both directions, with and without the element itself, int32 wrapping around. */
import { integers, normal } from "../helpers/random.js";
import { f32, i32, type KernelCase, out } from "./case.js";

const shapes: [number, number, number][] = [
  [1, 1, 1],
  [1, 1000, 1],
  [3, 7, 5],
  [130, 17, 1],
  [2, 300, 65],
  [0, 3, 2],
  [3, 0, 2],
  [1, 20011, 1],
];

export const scanCases: readonly KernelCase[] = shapes.flatMap((shape) =>
  [0, 1, 2, 3].flatMap((mode) => {
    const size = shape[0] * shape[1] * shape[2];
    const exclusive = mode & 1;
    const reverse = mode >> 1;
    return [f32(normal(size, size)), i32(integers(size, size, -2147483648, 2147483648))].map(
      (x) => ({
        name: `cumsum of [${shape}], ${x.dtype}${exclusive ? ", exclusive" : ""}${reverse ? ", reverse" : ""}`,
        call: { kernel: "cumsum", ints: [...shape, exclusive, reverse], floats: [] },
        inputs: [x],
        outputs: [out(size, x.dtype)],
      }),
    );
  }),
);
