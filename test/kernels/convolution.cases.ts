/** Cases of the convolutions: strides, paddings, dilations, groups, sizes around tiles and blocks, epilogues. */
import { normal, random } from "../helpers/random.js";
import { f32, type KernelCase, out, sizeOf, tileOf } from "./case.js";

type Pair = readonly [number, number];

/** What a case is made of; the rest is 1, "same" padding is half the window. */
interface Options {
  readonly batch?: number;
  readonly size: Pair;
  readonly channels: number;
  readonly filters: number;
  readonly kernel: Pair;
  readonly strides?: Pair;
  readonly dilation?: Pair;
  /** Top, left; the same behind. */
  readonly pad?: Pair;
  /** Rows and columns of the result, where not as many as fit. */
  readonly result?: Pair;
  readonly groups?: number;
  readonly winograd?: boolean;
}

const kernels = ["conv2d", "conv2dInputGradient", "conv2dFilterGradient"] as const;
type Kernel = (typeof kernels)[number];

function convolution(kernel: Kernel, options: Options): KernelCase {
  const { batch = 1, size, channels, filters, kernel: taps, groups = 1 } = options;
  const { strides = [1, 1], dilation = [1, 1], pad = [0, 0], winograd = false } = options;
  const result =
    options.result ??
    size.map((n, d) =>
      Math.max(
        0,
        Math.floor((n + 2 * pad[d]! - (taps[d]! - 1) * dilation[d]! - 1) / strides[d]!) + 1,
      ),
    );
  const ints = [
    ...[batch, ...size, channels, ...result, filters],
    ...[...taps, ...strides, ...pad, ...dilation, groups, Number(winograd)],
  ];
  const shapes = {
    x: [batch, ...size, channels],
    w: [...taps, channels / groups, filters],
    y: [batch, ...result, filters],
  };
  const [a, b, c] =
    kernel === "conv2d"
      ? (["x", "w", "y"] as const)
      : kernel === "conv2dInputGradient"
        ? (["y", "w", "x"] as const)
        : (["x", "y", "w"] as const);
  const details = [
    `${batch}×${size.join("×")}×${channels} · ${taps.join("×")} → ${filters}`,
    strides.some((s) => s !== 1) && `strides ${strides}`,
    pad.some((p) => p !== 0) && `pad ${pad}`,
    dilation.some((d) => d !== 1) && `dilation ${dilation}`,
    groups > 1 && `${groups} groups`,
    options.result && `result ${options.result}`,
    winograd && "Winograd",
  ].filter(Boolean);
  return {
    name: `${kernel} ${details.join(", ")}`,
    call: { kernel, ints, floats: [] },
    inputs: [
      f32(normal(7 + channels, sizeOf(shapes[a]))),
      f32(normal(3 + filters, sizeOf(shapes[b]))),
    ],
    outputs: [out(sizeOf(shapes[c]))],
  };
}

/** The domain of a case's epilogue. */
function domain({ call, outputs }: KernelCase): [number, number] {
  const columns = call.kernel === "conv2dInputGradient" ? call.ints[3]! : call.ints[6]!;
  return [columns === 0 ? 0 : outputs[0]!.size / columns, columns];
}

/** relu(C + bias) and C + bias. */
function biased(base: KernelCase): KernelCase {
  const [rows, columns] = domain(base);
  const strides = [
    [columns, 1],
    [0, 1],
  ];
  const tile = tileOf([rows, columns], strides, (emit) => {
    const sum = emit("add", [0, 1]);
    return [emit("relu", [sum]), sum];
  });
  return {
    ...base,
    name: `${base.name}, relu(C + bias) and C + bias`,
    call: { ...base.call, tile },
    inputs: [...base.inputs, f32(normal(5, columns))],
    outputs: [out(rows * columns), out(rows * columns)],
  };
}

/** C·0.5 + residual, in place on the residual: no output can hold C meanwhile. */
function updating(base: KernelCase): KernelCase {
  const [rows, columns] = domain(base);
  const strides = [
    [columns, 1],
    [columns, 1],
  ];
  const tile = tileOf([rows, columns], strides, (emit) => [
    emit("add", [1, emit("mul", [0, emit("constFloat", [], 0.5)])]),
  ]);
  return {
    ...base,
    name: `${base.name}, in place on the residual`,
    call: { ...base.call, tile },
    inputs: [...base.inputs, f32(normal(5, rows * columns))],
    outputs: [out(rows * columns)],
    inPlace: [0, 2],
  };
}

const shapes: readonly Options[] = [
  { size: [1, 1], channels: 1, filters: 1, kernel: [1, 1] },
  { size: [5, 5], channels: 1, filters: 1, kernel: [3, 3], pad: [1, 1] },
  { batch: 2, size: [7, 9], channels: 3, filters: 5, kernel: [3, 3], pad: [1, 1] },
  { batch: 2, size: [12, 11], channels: 3, filters: 17, kernel: [5, 5], pad: [2, 2] },
  {
    batch: 2,
    size: [17, 15],
    channels: 3,
    filters: 33,
    kernel: [7, 7],
    strides: [2, 2],
    pad: [3, 3],
  },
  { batch: 3, size: [8, 8], channels: 16, filters: 16, kernel: [3, 3] },
  { batch: 2, size: [13, 7], channels: 17, filters: 31, kernel: [3, 2], pad: [1, 0] },
  { batch: 2, size: [14, 14], channels: 64, filters: 64, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [6, 7], channels: 300, filters: 20, kernel: [1, 1], strides: [2, 3] },
  { batch: 2, size: [9, 9], channels: 8, filters: 8, kernel: [3, 3], strides: [2, 1], pad: [1, 1] },
  {
    batch: 2,
    size: [10, 9],
    channels: 12,
    filters: 40,
    kernel: [3, 3],
    strides: [3, 2],
    pad: [1, 0],
  },
  { batch: 2, size: [5, 6], channels: 4, filters: 6, kernel: [2, 2], strides: [3, 4] },
  {
    batch: 1,
    size: [15, 16],
    channels: 5,
    filters: 9,
    kernel: [3, 3],
    dilation: [2, 3],
    pad: [2, 3],
  },
  {
    batch: 2,
    size: [14, 13],
    channels: 6,
    filters: 7,
    kernel: [3, 2],
    dilation: [3, 2],
    strides: [2, 4],
    pad: [3, 1],
  },
  {
    batch: 1,
    size: [12, 12],
    channels: 4,
    filters: 4,
    kernel: [3, 3],
    dilation: [2, 4],
    strides: [4, 2],
    pad: [2, 4],
  },
  { batch: 1, size: [1, 40], channels: 10, filters: 12, kernel: [1, 5], pad: [0, 4] },
  { batch: 2, size: [4, 4], channels: 3, filters: 4, kernel: [3, 3], pad: [5, 4] },
  { batch: 2, size: [4, 5], channels: 2, filters: 3, kernel: [6, 7], pad: [2, 2] },
  { batch: 2, size: [6, 6], channels: 3, filters: 4, kernel: [3, 3], result: [9, 2] },
  {
    batch: 2,
    size: [9, 9],
    channels: 3,
    filters: 4,
    kernel: [2, 2],
    strides: [2, 2],
    result: [2, 3],
  },
  { batch: 2, size: [8, 7], channels: 8, filters: 12, kernel: [3, 3], pad: [1, 1], groups: 2 },
  {
    batch: 2,
    size: [8, 7],
    channels: 6,
    filters: 15,
    kernel: [3, 3],
    strides: [2, 2],
    pad: [1, 1],
    groups: 3,
  },
  { batch: 2, size: [9, 8], channels: 32, filters: 64, kernel: [3, 3], pad: [1, 1], groups: 2 },
  { batch: 2, size: [9, 10], channels: 5, filters: 5, kernel: [3, 3], pad: [1, 1], groups: 5 },
  {
    batch: 2,
    size: [11, 10],
    channels: 24,
    filters: 24,
    kernel: [3, 3],
    strides: [2, 2],
    pad: [1, 1],
    groups: 24,
  },
  {
    batch: 2,
    size: [12, 13],
    channels: 17,
    filters: 17,
    kernel: [5, 3],
    dilation: [1, 2],
    pad: [2, 2],
    groups: 17,
  },
  {
    batch: 1,
    size: [9, 8],
    channels: 40,
    filters: 40,
    kernel: [3, 3],
    groups: 40,
    result: [11, 9],
  },
  { batch: 2, size: [7, 7], channels: 6, filters: 12, kernel: [3, 3], pad: [1, 1], groups: 6 },
  { batch: 0, size: [4, 4], channels: 2, filters: 2, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [0, 4], channels: 2, filters: 3, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [4, 4], channels: 0, filters: 3, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [4, 4], channels: 3, filters: 0, kernel: [3, 3], pad: [1, 1] },
  { batch: 2, size: [3, 3], channels: 2, filters: 3, kernel: [5, 5] },
  // Few columns in long rows: 1 to 13 of them, whole vectors of pixels and not, in groups, over a stride.
  { batch: 8, size: [14, 14], channels: 6, filters: 16, kernel: [5, 5] },
  { batch: 9, size: [28, 28], channels: 1, filters: 6, kernel: [5, 5], pad: [2, 2] },
  ...[2, 3, 4, 5, 7, 11, 13].map((columns) => ({
    batch: 3,
    size: [20, 17 + 3 * columns] as const,
    channels: columns,
    filters: columns + 1,
    kernel: [3, 4] as const,
    pad: [1, 2] as const,
  })),
  { batch: 4, size: [19, 23], channels: 12, filters: 8, kernel: [3, 3], pad: [2, 1], groups: 4 },
  {
    batch: 4,
    size: [18, 40],
    channels: 3,
    filters: 70,
    kernel: [5, 4],
    strides: [2, 2],
    pad: [1, 2],
  },
  {
    batch: 4,
    size: [30, 31],
    channels: 2,
    filters: 3,
    kernel: [4, 2],
    dilation: [3, 5],
    pad: [4, 3],
  },
  // A single row in segments: of columns, of pixels, over a stride and with taps far apart.
  { batch: 2, size: [1, 700], channels: 6, filters: 40, kernel: [1, 5], pad: [0, 2] },
  { batch: 1, size: [1, 513], channels: 3, filters: 3, kernel: [1, 4], pad: [0, 3] },
  {
    batch: 3,
    size: [2, 901],
    channels: 5,
    filters: 33,
    kernel: [2, 3],
    strides: [1, 3],
    dilation: [1, 40],
    pad: [0, 1],
  },
  // Padding that some rows have nothing but, and more terms than a block.
  { batch: 3, size: [17, 16], channels: 5, filters: 80, kernel: [7, 2], pad: [6, 1] },
];

/**
 * Few channels of the result in batches of whole vectors of images and not: 1 to 28 of them, strides, dilation, rows in
 * several pieces, terms in several blocks, taps of which none lies inside.
 */
const batches: readonly Options[] = [
  { batch: 16, size: [9, 8], channels: 1, filters: 6, kernel: [5, 5], pad: [2, 2] },
  { batch: 35, size: [11, 10], channels: 5, filters: 3, kernel: [3, 3], pad: [1, 1] },
  {
    batch: 31,
    size: [13, 11],
    channels: 3,
    filters: 5,
    kernel: [3, 4],
    strides: [2, 3],
    pad: [1, 2],
  },
  { batch: 16, size: [12, 11], channels: 20, filters: 18, kernel: [5, 5] },
  { batch: 32, size: [45, 28], channels: 2, filters: 9, kernel: [3, 3] },
  {
    batch: 16,
    size: [9, 14],
    channels: 4,
    filters: 3,
    kernel: [2, 3],
    dilation: [2, 3],
    pad: [1, 3],
  },
  { batch: 16, size: [4, 5], channels: 3, filters: 4, kernel: [3, 3], pad: [5, 4] },
  { batch: 18, size: [6, 6], channels: 7, filters: 4, kernel: [3, 3], result: [9, 2] },
  { batch: 33, size: [1, 30], channels: 2, filters: 28, kernel: [1, 7], pad: [0, 3] },
  { batch: 64, size: [10, 9], channels: 1, filters: 1, kernel: [3, 3], pad: [1, 1] },
];

/** The first of the single rows. */
const row = shapes.findIndex(({ size }) => size[1] === 700);

/** The first of the shapes of few columns. */
const few = shapes.findIndex(({ batch, channels }) => batch === 8 && channels === 6);

/** Where Winograd's algorithm is taken: tiles of four and of two, cut at every side, odd channels. */
const cut: readonly Options[] = [
  { batch: 3, size: [14, 14], channels: 32, filters: 32, kernel: [3, 3], pad: [1, 1] },
  { batch: 2, size: [9, 11], channels: 33, filters: 48, kernel: [3, 3], pad: [1, 1] },
  { batch: 3, size: [17, 13], channels: 19, filters: 37, kernel: [3, 3] },
  { batch: 30, size: [2, 2], channels: 48, filters: 50, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [8, 9], channels: 270, filters: 18, kernel: [3, 3], pad: [1, 1] },
  { batch: 1, size: [30, 31], channels: 20, filters: 16, kernel: [3, 3], pad: [0, 2] },
  // More tiles than one block of the filter's gradient takes.
  { batch: 6, size: [12, 16], channels: 16, filters: 17, kernel: [3, 3], pad: [1, 1] },
];
const winograd = cut.map((options): Options => ({ ...options, winograd: true }));

const next = random(99);
const draw = (limit: number) => 1 + Math.floor(next() ** 2 * limit);
const drawn: readonly Options[] = Array.from({ length: 20 }, (_, i) => {
  const groups = i % 4 === 3 ? draw(3) : 1;
  return {
    batch: draw(3),
    size: [draw(20), draw(20)],
    channels: groups * draw(40),
    filters: groups * draw(40),
    kernel: [draw(5), draw(5)],
    strides: [draw(4), draw(4)],
    dilation: [draw(3), draw(3)],
    pad: [draw(4) - 1, draw(4) - 1],
    groups,
  };
});

export const convolutionCases: readonly KernelCase[] = kernels.flatMap((kernel) => [
  ...shapes.map((shape) => convolution(kernel, shape)),
  ...drawn.map((shape) => convolution(kernel, shape)),
  ...batches.flatMap((shape) => {
    const plain = convolution(kernel, shape);
    return [plain, biased(plain), updating(plain)];
  }),
  ...winograd.map((shape) => convolution(kernel, shape)),
  // In tiles of four, and as plain sums because that is cheaper.
  ...[0, 1, 2, cut.length - 1].flatMap((i) => [
    biased(convolution(kernel, winograd[i]!)),
    updating(convolution(kernel, winograd[i]!)),
  ]),
  ...[2, 4, 7, 9, 10, 13, 18, 21, 24, 25, few, few + 1, few + 9, row, row + 1].flatMap((i) => [
    biased(convolution(kernel, shapes[i]!)),
    updating(convolution(kernel, shapes[i]!)),
  ]),
]);
