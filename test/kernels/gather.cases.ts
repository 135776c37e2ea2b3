/** Cases of `gather` and `scatterAdd`: repeated and missing indices, thin and wide slices. */
import { bytes, integers, normal } from "../helpers/random.js";
import { f32, i32, type KernelCase, out } from "./case.js";

/** outer, axis, inner, count. */
const shapes: [number, number, number, number][] = [
  [1, 1, 1, 1],
  [1, 10, 1, 7],
  [1, 5, 3, 4],
  [3, 7, 5, 11],
  [1, 1000, 64, 300],
  [2, 300, 65, 17],
  [1, 60, 784, 128],
  [130, 9, 1, 3],
  [1, 4, 1, 0],
  [1, 4, 0, 3],
  [0, 4, 3, 3],
  [4, 3, 17, 1000],
  [1, 20000, 1, 5000],
];

function gathered([outer, axis, inner, count]: [number, number, number, number]): KernelCase[] {
  const size = outer * axis * inner;
  const indices = i32(integers(count, count, 0, axis));
  const inputs = [
    f32(normal(1, size)),
    i32(integers(2, size, -9, 9)),
    { dtype: "uint8" as const, data: bytes(3, size) },
  ];
  return inputs.map((x) => ({
    name: `gather ${count} of [${outer}, ${axis}, ${inner}], ${x.dtype}`,
    call: { kernel: "gather", ints: [outer, axis, inner, count], floats: [] },
    inputs: [x, indices],
    outputs: [out(outer * count * inner, x.dtype)],
  }));
}

function scattered([outer, axis, inner, count]: [number, number, number, number]): KernelCase {
  return {
    name: `scatterAdd ${count} into [${outer}, ${axis}, ${inner}]`,
    call: { kernel: "scatterAdd", ints: [outer, axis, inner, count], floats: [] },
    inputs: [f32(normal(4, outer * count * inner)), i32(integers(count + 1, count, 0, axis))],
    outputs: [out(outer * axis * inner)],
  };
}

function replaced([, axis, inner, count]: [number, number, number, number]): KernelCase[] {
  const indices = i32(integers(count + 2, count, 0, axis));
  const pairs = [
    [f32(normal(5, axis * inner)), f32(normal(6, count * inner))],
    [
      { dtype: "uint8" as const, data: bytes(7, axis * inner) },
      { dtype: "uint8" as const, data: bytes(8, count * inner) },
    ],
  ] as const;
  return pairs.map(([x, updates]) => ({
    name: `scatterRows ${count} into [${axis}, ${inner}], ${x.dtype}`,
    call: { kernel: "scatterRows", ints: [axis, inner, count], floats: [] },
    inputs: [x, indices, updates],
    outputs: [out(axis * inner, x.dtype)],
  }));
}

export const gatherCases: readonly KernelCase[] = [
  ...shapes.flatMap(gathered),
  ...shapes.map(scattered),
  ...shapes.flatMap(replaced),
];
