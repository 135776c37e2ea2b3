/** Cases of `argReduce` and `topK`: ties, NaN, infinities, int32 extremes. */
import { integers, normal } from "../helpers/random.js";
import { f32, i32, type KernelCase, out } from "./case.js";

const shapes: [number, number, number][] = [
  [1, 1, 1],
  [128, 10, 1],
  [3, 7, 5],
  [1, 1000, 1],
  [2, 300, 65],
  [5, 17, 1],
  [1, 3, 1030],
  [0, 3, 2],
  [1, 40001, 1],
];

function args(shape: [number, number, number], isMin: number): KernelCase[] {
  const [outer, axis, inner] = shape;
  const size = outer * axis * inner;
  // Few distinct values: ties go to the first.
  const tied = Float32Array.from(integers(size, size, -3, 4));
  return [f32(normal(size, size)), f32(tied), i32(integers(7, size, -5, 5))].map((x, i) => ({
    name: `arg${isMin ? "Min" : "Max"} of [${shape}], ${x.dtype}${i === 1 ? ", ties" : ""}`,
    call: { kernel: "argReduce", ints: [...shape, isMin], floats: [] },
    inputs: [x],
    outputs: [out(outer * inner, "int32")],
  }));
}

const awkward = [NaN, 1, NaN, -Infinity, Infinity, Infinity, 0, -0, -0, -1, NaN, -Infinity];

const special: KernelCase[] = [0, 1].flatMap((isMin) => [
  {
    name: `arg${isMin ? "Min" : "Max"} with NaN, infinities and zeros of both signs`,
    call: { kernel: "argReduce", ints: [4, 3, 1, isMin], floats: [] },
    inputs: [f32(awkward)],
    outputs: [out(4, "int32")],
  },
  {
    name: `arg${isMin ? "Min" : "Max"} along the first axis with NaN`,
    call: { kernel: "argReduce", ints: [1, 4, 3, isMin], floats: [] },
    inputs: [f32(awkward)],
    outputs: [out(3, "int32")],
  },
  {
    name: `arg${isMin ? "Min" : "Max"} at the ends of int32`,
    call: { kernel: "argReduce", ints: [1, 4, 1, isMin], floats: [] },
    inputs: [i32([0, -2147483648, 2147483647, -2147483648])],
    outputs: [out(1, "int32")],
  },
]);

const tops: [number, number, number][] = [
  [1, 1, 1],
  [128, 10, 3],
  [3, 1000, 5],
  [2, 1000, 16],
  [2, 1000, 17],
  [5, 33, 33],
  [4, 7, 0],
  [0, 5, 2],
  [3, 12, 12],
];

function top([rows, cols, k]: [number, number, number]): KernelCase[] {
  const size = rows * cols;
  const tied = Float32Array.from(integers(size, size, -3, 4));
  const nans = normal(9, size).map((x, i) => (i % 5 === 3 ? NaN : x));
  return [normal(8, size), tied, nans].map((x, i) => ({
    name: `top ${k} of ${rows}×${cols}, ${["distinct", "ties", "NaN"][i]}`,
    call: { kernel: "topK", ints: [rows, cols, k], floats: [] },
    inputs: [f32(x)],
    outputs: [out(rows * k), out(rows * k, "int32")],
  }));
}

export const selectCases: readonly KernelCase[] = [
  ...shapes.flatMap((shape) => [...args(shape, 0), ...args(shape, 1)]),
  ...special,
  ...tops.flatMap(top),
];
