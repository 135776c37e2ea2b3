/** Cases of `moments`: reduced axes at either end and in the middle, a mean far from zero. */
import { normal } from "../helpers/random.js";
import { f32, type KernelCase, out } from "./case.js";

const shapes: [number, number, number][] = [
  [1, 1, 1],
  [1, 128, 512],
  [128, 512, 1],
  [3, 7, 5],
  [1, 1000, 3],
  [5, 300, 17],
  [1, 50021, 1],
  [1, 3, 1030],
  [0, 4, 4],
  [4, 4, 0],
  [300, 2, 1],
];

export const normalizationCases: readonly KernelCase[] = shapes.flatMap((shape) =>
  [0, 100].map((mean) => {
    const [outer, axis, inner] = shape;
    return {
      name: `moments of [${shape}], mean ${mean}`,
      call: { kernel: "moments", ints: shape, floats: [] },
      inputs: [f32(normal(axis, outer * axis * inner, mean))],
      outputs: [out(outer * inner), out(outer * inner)],
    };
  }),
);
