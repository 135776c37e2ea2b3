/** Cases of `reduce`: the four reducers on float and int lanes, alone and behind a tile chain. */
import { integers, normal, random, uniform } from "../helpers/random.js";
import { f32, i32, identity, type KernelCase, out, sizeOf, tileOf } from "./case.js";

const shapes: [number, number, number][] = [
  [1, 1, 1],
  [1, 7, 1],
  [5, 16, 1],
  [3, 257, 1],
  [1, 1000, 1],
  [1, 100003, 1],
  [300, 3, 1],
  [1, 5, 3],
  [1, 300, 17],
  [4, 33, 65],
  [1, 1000, 512],
  [2, 1, 70],
  [70, 2, 1],
  [3, 0, 4],
  [0, 3, 4],
  [3, 4, 0],
  [1, 0, 1],
  [1, 4097, 3],
  [37, 1, 1],
  [129, 130, 5],
];

/** Sum, largest, smallest, product and a scaled sum in one call. */
function all(dims: [number, number, number]): KernelCase {
  const size = sizeOf(dims);
  const results = dims[0] * dims[2];
  return {
    name: `float sum, max, min, prod over [${dims}]`,
    call: {
      kernel: "reduce",
      ints: [0, 1, 2, 3, 0],
      floats: [1, 1, 1, 1, 1 / 3],
      tile: tileOf(dims, [identity(dims), identity(dims)], () => [0, 0, 0, 1, 0]),
    },
    inputs: [f32(normal(size, size, 0.3)), f32(uniform(size + 1, size, 0.9, 1.1))],
    outputs: Array.from({ length: 5 }, () => out(results)),
  };
}

function integer(dims: [number, number, number]): KernelCase {
  const size = sizeOf(dims);
  return {
    name: `int32 sum, max, min, prod over [${dims}], wrapping around`,
    call: {
      kernel: "reduce",
      ints: [0, 1, 2, 3],
      floats: [1, 1, 1, 1],
      tile: tileOf(dims, [identity(dims)], () => [0, 0, 0, 0]),
    },
    inputs: [i32(integers(size, size, -2147483648, 2147483648))],
    outputs: Array.from({ length: 4 }, () => out(dims[0] * dims[2], "int32")),
  };
}

/** Σ (x − row)·scale and the like: broadcast inputs, several instructions, mixed lanes. */
function chained(dims: [number, number, number]): KernelCase {
  const [outer, axis, inner] = dims;
  const tile = tileOf(dims, [identity(dims), [inner, 0, 1], [0, 1, 0], [0, 0, 0]], (emit) => {
    const centred = emit("sub", [0, 1]);
    const weighted = emit("mul", [emit("square", [centred]), 2]);
    const large = emit("less", [3, emit("abs", [centred])]);
    return [weighted, large, emit("maximum", [centred, 3])];
  });
  return {
    name: `chain over [${dims}]: weighted squares, a count, a clamped minimum`,
    call: { kernel: "reduce", ints: [0, 0, 2], floats: [1 / axis, 1, 1], tile },
    inputs: [
      f32(normal(11, sizeOf(dims))),
      f32(normal(12, outer * inner)),
      f32(uniform(13, axis, 0, 1)),
      f32([0.5]),
    ],
    outputs: [out(outer * inner), out(outer * inner, "int32"), out(outer * inner)],
  };
}

/** Domains and broadcasts drawn at random: which block shapes meet which kinds of input. */
function drawn(seed: number): KernelCase {
  const next = random(seed);
  const pick = (list: readonly number[]) => list[Math.floor(next() * list.length)]!;
  const lengths = [1, 2, 3, 7, 16, 31, 64, 130, 255, 257, 700];
  let dims: [number, number, number] = [pick(lengths), pick(lengths), pick(lengths)];
  while (sizeOf(dims) > 300_000) dims = [pick(lengths), pick(lengths), pick(lengths)];
  const [outer, axis, inner] = dims;
  const kinds: [number[], number][] = [
    [identity(dims), sizeOf(dims)],
    [[inner, 0, 1], outer * inner],
    [[0, inner, 1], axis * inner],
    [[axis, 1, 0], outer * axis],
    [[0, 1, 0], axis],
    [[0, 0, 1], inner],
    [[1, 0, 0], outer],
    [[1, outer, outer * axis], sizeOf(dims)],
  ];
  const chosen = [kinds[0]!, ...[1, 2, 3].map(() => kinds[Math.floor(next() * kinds.length)]!)];
  const tile = tileOf(
    dims,
    chosen.map(([strides]) => strides),
    (emit) => {
      const product = emit("mul", [0, 1]);
      const sum = emit("add", [product, 2]);
      return [sum, emit("maximum", [sum, 3]), emit("less", [3, sum]), 1];
    },
  );
  return {
    name: `drawn ${seed}: [${dims}], strides ${JSON.stringify(tile.strides.slice(1))}`,
    call: { kernel: "reduce", ints: [0, 1, 0, 2], floats: [0.5, 1, 1, 1], tile },
    inputs: chosen.map(([, size], j) => f32(normal(seed + j, size))),
    outputs: [0, 1, 2, 3].map((r) => out(outer * inner, r === 2 ? "int32" : "float32")),
  };
}

const special: KernelCase[] = [
  {
    name: "max and min propagate NaN and infinities",
    call: {
      kernel: "reduce",
      ints: [1, 2],
      floats: [1, 1],
      tile: tileOf([5, 3, 1], [[3, 1, 1]], () => [0, 0]),
    },
    inputs: [f32([1, NaN, 2, -Infinity, 1, Infinity, NaN, NaN, NaN, 5, 4, NaN, NaN, 9, -Infinity])],
    outputs: [out(5), out(5)],
  },
  {
    name: "a long alternating sum keeps its small remainder",
    call: {
      kernel: "reduce",
      ints: [0],
      floats: [1],
      tile: tileOf([1, 20001, 1], [[20001, 1, 1]], () => [0]),
    },
    inputs: [f32(Array.from({ length: 20001 }, (_, i) => (i % 2 === 0 ? 1000.25 : -1000)))],
    outputs: [out(1)],
  },
];

export const reduceCases: readonly KernelCase[] = [
  ...shapes.map(all),
  ...shapes.map(integer),
  chained([1, 1000, 1]),
  chained([33, 17, 1]),
  chained([5, 260, 31]),
  chained([2, 700, 130]),
  ...Array.from({ length: 40 }, (_, i) => drawn(500 + 11 * i)),
  ...special,
];
