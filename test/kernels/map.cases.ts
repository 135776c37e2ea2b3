/** Cases of `map`: domains and strides of every kind, conversions at the border, chains, in place. */

import { philoxBits } from "../helpers/instructionReference.js";
import { bytes, integers, normal, random, uniform } from "../helpers/random.js";
import { f32, i32, identity, type KernelCase, out, sizeOf, tileOf } from "./case.js";

type Emit = Parameters<Parameters<typeof tileOf>[2]>[0];

/** Sizes around vector, tile and thread-split boundaries. */
const sizes = [
  0, 1, 2, 3, 7, 15, 16, 17, 31, 63, 64, 65, 127, 300, 511, 512, 513, 1000, 4099, 70001,
];

/** An exact chain of two inputs: every float step is one correctly rounded operation. */
const chain = (emit: Emit) => {
  const two = emit("constFloat", [], 2.5);
  const sum = emit("add", [0, 1]);
  const scaled = emit("mul", [sum, two]);
  const less = emit("less", [scaled, 0]);
  return [emit("select", [less, scaled, emit("sub", [1, scaled])])];
};

function sized(size: number): KernelCase {
  return {
    name: `contiguous, ${size} elements`,
    call: { kernel: "map", ints: [], floats: [], tile: tileOf([size], [[1], [1]], chain) },
    inputs: [f32(normal(size, size)), f32(normal(size + 1, size))],
    outputs: [out(size)],
  };
}

/** Every input of the domain broadcast another way. */
function broadcast(dims: readonly number[], rows: readonly (readonly number[])[]): KernelCase {
  const size = sizeOf(dims);
  const needed = (row: readonly number[]) =>
    size === 0 ? 0 : 1 + dims.reduce((last, dim, d) => last + (dim - 1) * row[d]!, 0);
  return {
    name: `domain [${dims}], strides ${JSON.stringify(rows)}`,
    call: { kernel: "map", ints: [], floats: [], tile: tileOf(dims, rows, chain) },
    inputs: rows.map((row, j) => f32(normal(31 + j, needed(row)))),
    outputs: [out(size)],
  };
}

const broadcasts: [number[], number[][]][] = [
  [[], [[], []]],
  [[5], [[0], [1]]],
  [[1000], [[1], [0]]],
  [[700], [[0], [0]]],
  [
    [13, 37],
    [
      [37, 1],
      [0, 1],
    ],
  ],
  [
    [13, 37],
    [
      [37, 1],
      [1, 0],
    ],
  ],
  [
    [37, 13],
    [
      [1, 0],
      [0, 1],
    ],
  ],
  [
    [3, 1030],
    [
      [1, 0],
      [0, 1],
    ],
  ],
  [
    [1030, 3],
    [
      [1, 0],
      [0, 1],
    ],
  ],
  [
    [33, 65],
    [
      [1, 33],
      [65, 1],
    ],
  ], // a transposed read
  [
    [4, 5, 6],
    [
      [30, 6, 1],
      [6, 0, 1],
    ],
  ],
  [
    [4, 5, 6],
    [
      [0, 1, 0],
      [5, 1, 0],
    ],
  ],
  [
    [4, 1, 6],
    [
      [6, 0, 1],
      [6, 99, 1],
    ],
  ],
  [
    [2, 3, 4, 5],
    [
      [60, 20, 5, 1],
      [0, 5, 0, 1],
    ],
  ],
  [
    [8, 16, 3],
    [
      [0, 0, 1],
      [48, 3, 1],
    ],
  ],
  [
    [2, 3, 2, 3, 2, 3, 2, 3],
    [
      [648, 216, 108, 36, 18, 6, 3, 1],
      [0, 3, 0, 1, 0, 0, 9, 0],
    ],
  ],
  [
    [3, 0, 4],
    [
      [0, 4, 1],
      [4, 0, 1],
    ],
  ],
  [
    [257, 129],
    [
      [258, 2],
      [129, 1],
    ],
  ], // a strided read
];

/** Domains and strides drawn at random, uint8 and int32 inputs among them. */
function drawn(seed: number): KernelCase {
  const next = random(seed);
  const pick = (limit: number) => Math.floor(next() * limit);
  const dims = Array.from({ length: 1 + pick(4) }, () => [1, 2, 3, 5, 9, 17, 33, 70][pick(8)]!);
  while (sizeOf(dims) > 100_000) dims.pop();
  const rows = Array.from({ length: 4 }, () => {
    // Each input keeps some dimensions, in some order.
    const kept = dims.map((_, d) => d).filter(() => next() < 0.7);
    if (next() < 0.3) kept.reverse();
    const row = dims.map(() => 0);
    let stride = 1;
    for (const d of kept.reverse()) {
      row[d] = stride;
      stride *= dims[d]!;
    }
    return { row, size: stride };
  });
  const tile = tileOf(
    dims,
    rows.map(({ row }) => row),
    (emit) => {
      const sum = emit("add", [emit("mul", [0, 1]), emit("toFloat", [2])]);
      return [sum, emit("addInt", [2, 3]), emit("select", [3, sum, 0])];
    },
  );
  const [a, b, c, d] = rows.map(({ size }) => size) as [number, number, number, number];
  const size = sizeOf(dims);
  return {
    name: `drawn ${seed}: [${dims}], strides ${JSON.stringify(tile.strides)}`,
    call: { kernel: "map", ints: [], floats: [], tile },
    inputs: [
      f32(normal(seed, a)),
      f32(normal(seed + 1, b)),
      { dtype: "uint8", data: bytes(seed + 2, c) },
      i32(integers(seed + 3, d, -3, 4)),
    ],
    outputs: [out(size), out(size, "uint8"), out(size)],
  };
}

/** Random chains of exact instructions over all dtypes; registers are reused when dead. */
function randomChain(seed: number): KernelCase {
  const next = random(seed);
  const pick = (limit: number) => Math.floor(next() * limit);
  const dims = [1 + pick(40), 1 + pick(50)];
  const size = sizeOf(dims);
  const full = identity(dims);
  const strides = [full, [0, 1], [1, 0], full, [0, 0]];
  const floats = [0, 1, 4];
  const ints = [2, 3];
  const tile = tileOf(dims, strides, (emit) => {
    for (let n = 0; n < 3 + pick(40); n++) {
      const f = () => floats[pick(floats.length)]!;
      const i = () => ints[pick(ints.length)]!;
      const f2 = ["add", "sub", "mul", "minimum", "maximum"];
      const i2 = [
        "addInt",
        "subInt",
        "mulInt",
        "floorDivInt",
        "modInt",
        "minimumInt",
        "maximumInt",
      ];
      const i3 = ["andInt", "orInt", "xorInt", "equalInt", "lessInt", "lessEqualInt"];
      const choices = [
        () => floats.push(emit(f2[pick(f2.length)]!, [f(), f()])),
        () => floats.push(emit(["neg", "abs", "floor", "ceil", "round"][pick(5)]!, [f()])),
        () => floats.push(emit("select", [i(), f(), f()])),
        () => floats.push(emit("constFloat", [], Math.fround(4 * next() - 2))),
        () => floats.push(emit("toFloat", [emit("minimumInt", [i(), 3])])),
        () => ints.push(emit([...i2, ...i3][pick(13)]!, [i(), i()])),
        () => ints.push(emit(["less", "lessEqual", "equal", "notEqual"][pick(4)]!, [f(), f()])),
        () => ints.push(emit(["negInt", "absInt", "signInt", "notBool"][pick(4)]!, [i()])),
        () => ints.push(emit("toInt", [f()])),
        () => ints.push(emit("select", [i(), i(), i()])),
        () => ints.push(emit("constInt", [], pick(200) - 100)),
      ];
      choices[pick(choices.length)]!();
    }
    const last = (list: number[]) => list[list.length - 1]!;
    return [last(floats), last(ints), last(ints), last(ints), floats[pick(floats.length)]!];
  });
  return {
    name: `random chain ${seed}: ${tile.instructions.length} instructions over [${dims}]`,
    call: { kernel: "map", ints: [], floats: [], tile },
    inputs: [
      f32(uniform(seed, size, -2, 2)),
      f32(uniform(seed + 1, dims[1]!, -2, 2)),
      i32(integers(seed + 2, dims[0]!, -1000, 1000)),
      { dtype: "uint8", data: bytes(seed + 3, size) },
      f32([1.5]),
    ],
    outputs: [out(size), out(size, "int32"), out(size, "uint8"), out(size, "bool"), out(size)],
  };
}

/** The Adam update as the compiler would fuse it: three results, two of them in place. */
function adam(size: number): KernelCase {
  const row = [1];
  const tile = tileOf([size], [row, row, row, row, [0]], (emit) => {
    const constant = (value: number) => emit("constFloat", [], value);
    const m = emit("add", [emit("mul", [2, constant(0.9)]), emit("mul", [1, constant(0.1)])]);
    const g2 = emit("square", [1]);
    const v = emit("add", [emit("mul", [3, constant(0.999)]), emit("mul", [g2, constant(0.001)])]);
    const root = emit("add", [emit("sqrt", [v]), constant(1e-7)]);
    return [emit("sub", [0, emit("div", [emit("mul", [4, m]), root])]), m, v];
  });
  return {
    name: `Adam over ${size} parameters`,
    call: { kernel: "map", ints: [], floats: [], tile },
    inputs: [
      f32(normal(1, size)),
      f32(normal(2, size)),
      f32(normal(3, size)),
      f32(uniform(4, size, 0.1, 1)),
      f32([0.01]),
    ],
    outputs: [out(size), out(size), out(size)],
  };
}

/** Loading and storing: which values a tensor of each dtype may hold. */
const conversions: KernelCase[] = [
  {
    name: "int32 lanes saturate in uint8 and become 0 or 1 in bool",
    call: { kernel: "map", ints: [], floats: [], tile: tileOf([9], [[1]], () => [0, 0, 0]) },
    inputs: [i32([-5, 0, 1, 2, 254, 255, 256, 2147483647, -2147483648])],
    outputs: [out(9, "uint8"), out(9, "bool"), out(9, "int32")],
  },
  {
    name: "uint8 and bool are loaded as integers",
    call: {
      kernel: "map",
      ints: [],
      floats: [],
      tile: tileOf([300], [[1], [1]], (emit) => [
        emit("toFloat", [0]),
        emit("addInt", [0, 1]),
        emit("notBool", [1]),
      ]),
    },
    inputs: [
      { dtype: "uint8", data: bytes(5, 300) },
      { dtype: "bool", data: bytes(6, 300, 2) },
    ],
    outputs: [out(300), out(300, "int32"), out(300, "bool")],
  },
];

/** Random bits depend on seed, step, both constants and the linear index, and on nothing else. */
const philox: KernelCase[] = [[7], [1030], [3, 35], [5, 4, 103]].map((dims) => ({
  name: `philox over [${dims}]`,
  call: {
    kernel: "map",
    ints: [],
    floats: [],
    tile: tileOf(dims, [dims.map(() => 0), dims.map(() => 0), identity(dims)], (emit) => {
      const bits = emit("philox", [0, 1], [0xdeadbeef, 0x80000001]);
      const other = emit("philox", [0, 1], [3, 4]);
      const uniformBits = emit("bitsToUniform", [bits]);
      return [bits, other, emit("mul", [uniformBits, 2])];
    }),
  },
  inputs: [i32([-123456789]), i32([42]), f32(normal(3, sizeOf(dims)))],
  outputs: [out(sizeOf(dims), "int32"), out(sizeOf(dims), "int32"), out(sizeOf(dims))],
}));

/**
 * Choices by bits: thresholds at and just above the 32 of element 5 decide it both ways by the last one, others
 * have fewer. What dropout makes of them follows.
 */
const below: KernelCase[] = [[7], [1030], [3, 35], [5, 4, 103]].flatMap((dims) => {
  const bits = philoxBits(-123456789, 42, 9, 11, 5);
  const few = [0x80000000, 0xc0000000, 0x50000000, 0x81000000, 0x80100000];
  return [0, bits, bits + 1, ...few, 0xffffffff].map((threshold) => ({
    name: `philoxBelow ${threshold} over [${dims}]`,
    call: {
      kernel: "map" as const,
      ints: [],
      floats: [],
      tile: tileOf(dims, [dims.map(() => 0), dims.map(() => 0), identity(dims)], (emit) => {
        const keep = emit("philoxBelow", [0, 1], [9, 11, threshold]);
        const nothing = emit("constFloat", [], 0);
        const factor = emit("constFloat", [], 1.25);
        const scaled = emit("mul", [2, factor]);
        return [keep, emit("select", [keep, scaled, nothing])];
      }),
    },
    inputs: [i32([-123456789]), i32([42]), f32([...normal(3, sizeOf(dims) - 1), NaN])],
    outputs: [out(sizeOf(dims), "bool"), out(sizeOf(dims))],
  }));
});

/** Dropout by a mask that nobody else sees, which is drawn while the rest runs where there is enough of it. */
const dropped: KernelCase[] = [8191, 8192, 9221, 50007].flatMap((size) =>
  [0x80000000, 0xc0000000, 0xcccccccd].map((threshold) => ({
    name: `dropout below ${threshold} of ${size}`,
    call: {
      kernel: "map" as const,
      ints: [],
      floats: [],
      tile: tileOf([size], [[0], [0], [1]], (emit) => {
        const keep = emit("philoxBelow", [0, 1], [9, 11, threshold]);
        const nothing = emit("constFloat", [], 0);
        const factor = emit("constFloat", [], 1.25);
        return [emit("select", [keep, emit("mul", [2, factor]), nothing])];
      }),
    },
    inputs: [i32([-123456789]), i32([42]), f32([...normal(3, size - 1), NaN])],
    outputs: [out(size)],
  })),
);

/** Registers are rewritten when dead, and an instruction may write one of its arguments. */
const reuse: KernelCase = {
  name: "registers rewritten, with another type too",
  call: {
    kernel: "map",
    ints: [],
    floats: [],
    tile: {
      dims: [1000],
      strides: [[1], [1]],
      registers: 4,
      instructions: [
        { op: "add", dst: 2, args: [0, 1] },
        { op: "mul", dst: 2, args: [2, 2] },
        { op: "less", dst: 3, args: [2, 0] },
        { op: "select", dst: 2, args: [3, 2, 1] },
        { op: "toInt", dst: 3, args: [2] },
        { op: "addInt", dst: 3, args: [3, 3] },
      ],
      results: [2, 3, 0],
    },
  },
  inputs: [f32(normal(8, 1000)), f32(normal(9, 1000))],
  outputs: [out(1000), out(1000, "int32"), out(1000)],
};

const inPlace: KernelCase[] = [1, 17, 1000, 70001].flatMap((size) => [
  { ...sized(size), name: `in place on input 0, ${size} elements`, inPlace: [0, 0] as const },
  { ...sized(size), name: `in place on input 1, ${size} elements`, inPlace: [0, 1] as const },
  { ...adam(size), name: `Adam in place, ${size} parameters`, inPlace: [0, 0] as const },
]);

export const mapCases: readonly KernelCase[] = [
  ...sizes.map(sized),
  ...broadcasts.map(([dims, rows]) => broadcast(dims, rows)),
  ...Array.from({ length: 30 }, (_, seed) => randomChain(1000 + 7 * seed)),
  ...Array.from({ length: 40 }, (_, i) => drawn(300 + 13 * i)),
  adam(1),
  adam(5003),
  ...conversions,
  ...philox,
  ...below,
  ...dropped,
  reuse,
  ...inPlace,
];
