/** Cases of `copy`: what transpose, slice, reverse, concat, pad and tile become, on every dtype. */
import { bytes, integers, normal } from "../helpers/random.js";
import { f32, i32, identity, type KernelCase, out, sizeOf } from "./case.js";

interface Walk {
  readonly name: string;
  readonly dims: number[];
  readonly src: number[];
  readonly dst: number[];
  readonly from?: number;
  readonly to?: number;
  readonly sizeX: number;
  readonly sizeY: number;
}

function transpose(shape: number[], order: number[]): Walk {
  const strides = identity(shape);
  const dims = order.map((d) => shape[d]!);
  return {
    name: `transpose [${shape}] by [${order}]`,
    dims,
    src: order.map((d) => strides[d]!),
    dst: identity(dims),
    sizeX: sizeOf(shape),
    sizeY: sizeOf(shape),
  };
}

const walks: Walk[] = [
  transpose([3, 5], [1, 0]),
  transpose([33, 65], [1, 0]),
  transpose([300, 257], [1, 0]),
  transpose([1000, 3], [1, 0]),
  transpose([7, 11, 13], [2, 0, 1]),
  transpose([7, 11, 13], [0, 2, 1]),
  transpose([5, 6, 7, 8], [0, 2, 1, 3]),
  transpose([2, 3, 2, 3, 2, 3], [5, 4, 3, 2, 1, 0]),
  transpose([4, 0, 3], [2, 1, 0]),
  { name: "scalar", dims: [], src: [], dst: [], from: 2, to: 1, sizeX: 4, sizeY: 3 },
  { name: "contiguous", dims: [1000], src: [1], dst: [1], sizeX: 1000, sizeY: 1000 },
  {
    name: "slice of rows and columns",
    dims: [5, 20],
    src: [37, 1],
    dst: [20, 1],
    from: 40,
    sizeX: 370,
    sizeY: 100,
  },
  { name: "every third", dims: [33], src: [3], dst: [1], from: 1, sizeX: 100, sizeY: 33 },
  { name: "reversed", dims: [7, 9], src: [-9, -1], dst: [9, 1], from: 62, sizeX: 63, sizeY: 63 },
  {
    name: "reversed rows",
    dims: [7, 100],
    src: [-100, 1],
    dst: [100, 1],
    from: 600,
    sizeX: 700,
    sizeY: 700,
  },
  {
    name: "second part of a concat",
    dims: [6, 70],
    src: [70, 1],
    dst: [100, 1],
    to: 30,
    sizeX: 420,
    sizeY: 600,
  },
  { name: "inside of a pad", dims: [4, 5], src: [5, 1], dst: [9, 1], to: 20, sizeX: 20, sizeY: 63 },
  {
    name: "tile: repeated by stride 0",
    dims: [3, 4, 5],
    src: [0, 5, 1],
    dst: [20, 5, 1],
    sizeX: 20,
    sizeY: 60,
  },
  { name: "a scalar spread out", dims: [1000], src: [0], dst: [1], sizeX: 1, sizeY: 1000 },
  { name: "written backwards", dims: [50], src: [1], dst: [-1], to: 49, sizeX: 50, sizeY: 50 },
  {
    name: "large, for several threads",
    dims: [300, 700],
    src: [1, 300],
    dst: [700, 1],
    sizeX: 210000,
    sizeY: 210000,
  },
  {
    name: "rank 8",
    dims: [2, 1, 3, 1, 2, 3, 1, 2],
    src: [1, 9, 2, 9, 36, 6, 9, 18],
    dst: [36, 9, 12, 9, 6, 2, 9, 1],
    sizeX: 72,
    sizeY: 72,
  },
];

function cases(walk: Walk): KernelCase[] {
  const { name, dims, src, dst, from = 0, to = 0, sizeX, sizeY } = walk;
  const inputs = [
    f32(normal(1, sizeX)),
    i32(integers(2, sizeX, -1e9, 1e9)),
    { dtype: "uint8" as const, data: bytes(3, sizeX) },
    { dtype: "bool" as const, data: bytes(4, sizeX, 2) },
  ];
  return inputs.map((input) => ({
    name: `${name}, ${input.dtype}`,
    call: { kernel: "copy", ints: [dims.length, from, to, ...dims, ...src, ...dst], floats: [] },
    inputs: [input],
    outputs: [out(sizeY, input.dtype)],
  }));
}

export const movementCases: readonly KernelCase[] = walks.flatMap(cases);
