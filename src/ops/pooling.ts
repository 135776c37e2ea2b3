/**
 * Pooling over images [batch, height, width, channels]; sequences and volumes are cases of it. A window
 * that reaches into the padding has fewer elements: padding is no value of its own.
 */
import { ArgumentError, checkKeys, expected, ShapeError } from "../errors.js";
import { indexDType } from "../kernels/pooling.js";
import { showShape, sizeOf, slideWindow } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { axisNames, type Padding, paddingPerAxis, perAxis } from "../tensor/window.js";
import { add, cast, floorDiv, mod, mul } from "./elementwise.js";
import { gather } from "./gather.js";
import { reshape } from "./movement.js";
import { asTensor, defineOp, type KernelEmitter, type Recorder, requireDType } from "./op.js";

type Pair = readonly [height: number, width: number];

interface PoolAttributes {
  readonly kernel: Pair;
  readonly strides: Pair;
  /** Padding above and to the left. */
  readonly before: Pair;
  /** Height and width of the result. */
  readonly output: Pair;
}

interface PoolGradientAttributes extends PoolAttributes {
  /** Height and width of what was pooled. */
  readonly input: Pair;
}

/** The attributes of the kernels, in the order of their table. */
function intsOf(n: number, input: Pair, channels: number, a: PoolAttributes): number[] {
  return [n, ...input, channels, ...a.kernel, ...a.strides, ...a.before, ...a.output];
}

function pooledShape(x: Tensor, { output }: PoolAttributes): number[] {
  return [x.shape[0]!, ...output, x.shape[3]!];
}

function emitForward(kernel: string, outputs: readonly number[]) {
  return (e: KernelEmitter<PoolAttributes>): void => {
    const [n, h, w, c] = e.inputs[0]!.shape as [number, number, number, number];
    const written = outputs.filter((i) => e.wanted(i));
    e.call(kernel, [0], written, intsOf(n, [h, w], c, e.attributes));
  };
}

function emitBackward(kernel: string, inputs: readonly number[]) {
  return (e: KernelEmitter<PoolGradientAttributes>): void => {
    const { shape } = e.inputs[0]!;
    e.call(kernel, inputs, [0], intsOf(shape[0]!, e.attributes.input, shape[3]!, e.attributes));
  };
}

const sample = { kernel: [2, 3], strides: [2, 1], before: [0, 1], output: [2, 4] } as const;
const overlapping = { kernel: [3, 2], strides: [1, 1], before: [1, 0], output: [4, 3] } as const;

const applyMaxPool: Recorder<PoolAttributes> = defineOp<PoolAttributes>({
  name: "maxPool",
  infer: ([x], attributes) => {
    const shape = pooledShape(x!, attributes);
    // Which element of its window each value is: for the gradient.
    return [
      { shape, dtype: "float32" },
      { shape, dtype: indexDType(sizeOf(attributes.kernel)) },
    ];
  },
  lowering: { kind: "kernels", optional: [1], emit: emitForward("maxPool", [0, 1]) },
  gradient: ({ inputs: [x], outputs: [, index], attributes, dy }) => [
    applyMaxPoolGradient([dy, index!], { ...attributes, input: [x!.shape[1]!, x!.shape[2]!] })[0]!,
  ],
  samples: [
    { inputs: [{ shape: [2, 4, 4, 3], domain: [-2, 2] }], attributes: sample },
    { inputs: [{ shape: [1, 4, 4, 2], domain: [-2, 2] }], attributes: overlapping },
  ],
});

const applyMaxPoolGradient: Recorder<PoolGradientAttributes> = defineOp<PoolGradientAttributes>({
  name: "maxPoolGradient",
  infer: ([dy], { input }) => [
    { shape: [dy!.shape[0]!, ...input, dy!.shape[3]!], dtype: "float32" },
  ],
  lowering: { kind: "kernels", emit: emitBackward("maxPoolGradient", [0, 1]) },
  gradient: ({ inputs: [, index], attributes, dy }) => [pick(dy, index!, attributes), null],
  samples: [
    {
      inputs: [
        { shape: [1, 2, 2, 2], domain: [-2, 2] },
        { shape: [1, 2, 2, 2], dtype: "uint8", values: [0, 3, 2, 1, 0, 1, 3, 2] },
      ],
      attributes: {
        kernel: [2, 2],
        strides: [1, 1],
        before: [0, 0],
        output: [2, 2],
        input: [3, 3],
      },
    },
  ],
});

/** The elements of x that `index` names in each window: what `maxPoolGradient` is the adjoint of. */
function pick(x: Tensor, index: Tensor, a: PoolAttributes): Tensor {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const steps = (count: number, f: (i: number) => number, dims: number): Tensor =>
    leaf(
      Int32Array.from({ length: count }, (_, i) => f(i)),
      [count, ...new Array<number>(dims).fill(1)],
      "int32",
    );
  const tap = cast(index, "int32");
  const row = mul(floorDiv(tap, a.kernel[1]), w * c);
  const col = mul(mod(tap, a.kernel[1]), c);
  const corner = [
    steps(n, (i) => i * h * w * c, 3),
    steps(a.output[0], (i) => (i * a.strides[0] - a.before[0]) * w * c, 2),
    steps(a.output[1], (i) => (i * a.strides[1] - a.before[1]) * c, 1),
    steps(c, (i) => i, 0),
  ];
  return gather(reshape(x, [-1]), corner.reduce(add, add(row, col)));
}

const applyAvgPool: Recorder<PoolAttributes> = defineOp<PoolAttributes>({
  name: "avgPool",
  infer: ([x], attributes) => [{ shape: pooledShape(x!, attributes), dtype: "float32" }],
  lowering: { kind: "kernels", emit: emitForward("avgPool", [0]) },
  gradient: ({ inputs: [x], attributes, dy }) => [
    applyAvgPoolGradient([dy], { ...attributes, input: [x!.shape[1]!, x!.shape[2]!] })[0]!,
  ],
  samples: [
    { inputs: [{ shape: [2, 4, 4, 3], domain: [-2, 2] }], attributes: sample },
    { inputs: [{ shape: [1, 4, 4, 2], domain: [-2, 2] }], attributes: overlapping },
  ],
});

const applyAvgPoolGradient: Recorder<PoolGradientAttributes> = defineOp<PoolGradientAttributes>({
  name: "avgPoolGradient",
  infer: ([dy], { input }) => [
    { shape: [dy!.shape[0]!, ...input, dy!.shape[3]!], dtype: "float32" },
  ],
  lowering: { kind: "kernels", emit: emitBackward("avgPoolGradient", [0]) },
  gradient: ({ attributes: { kernel, strides, before, output }, dy }) => [
    applyAvgPool([dy], { kernel, strides, before, output })[0]!,
  ],
  samples: [
    {
      inputs: [{ shape: [1, 2, 4, 2], domain: [-2, 2] }],
      attributes: { ...sample, input: [4, 4] },
    },
  ],
});

/** How windows of a pooling stand. */
export interface PoolOptions {
  /** Distance of windows; the window's own size when left out. */
  readonly strides?: number | readonly number[] | undefined;
  /** "valid" when left out. Padding is never larger than half a window's reach: no window is empty. */
  readonly padding?: Padding | undefined;
}

function pool(
  where: string,
  apply: Recorder<PoolAttributes>,
  value: TensorLike,
  poolSize: number | readonly number[],
  options: PoolOptions,
): Tensor {
  checkKeys(where, options, ["strides", "padding"]);
  const x = asTensor(where, value);
  requireDType(where, x, "float32");
  if (x.rank < 3 || x.rank > 5) {
    throw new ShapeError(
      expected(where, "[batch, …1 to 3 dimensions, channels]", `shape ${showShape(x.shape)}`),
    );
  }
  const sizes = x.shape.slice(1, -1);
  const kernel = perAxis(where, "poolSize", poolSize, sizes.length);
  const strides = perAxis(where, "strides", options.strides ?? poolSize, sizes.length);
  const pads = paddingPerAxis(where, options.padding ?? "valid", sizes.length);
  const placed = sizes.map((size, i) => {
    const [taps, pad] = [kernel[i]!, pads[i]!];
    if (typeof pad !== "string" && Math.max(...pad) >= taps) {
      throw new ArgumentError(
        expected(where, `\`padding\` below the window's size of ${taps}`, [...pad]),
      );
    }
    const name = axisNames[sizes.length]![i]!;
    const windows = slideWindow(where, name, size, taps, strides[i]!, 1, pad);
    if (size === 0 && windows.count > 0) {
      throw new ShapeError(expected(where, `a ${name} of at least 1`, "0"));
    }
    return windows;
  });
  const output = placed.map((windows) => windows.count);
  const before = placed.map((windows) => windows.before);
  const [n, channels] = [x.shape[0]!, x.shape.at(-1)!];
  /** Pools two axes, given by number, of x seen as images; −1 stands for an axis of size 1. */
  const images = (y: Tensor, shape: readonly number[], rows: number, cols: number): Tensor => {
    const pair = (list: readonly number[], other: number): Pair => [
      list[rows] ?? other,
      list[cols] ?? other,
    ];
    const attributes = {
      kernel: pair(kernel, 1),
      strides: pair(strides, 1),
      before: pair(before, 0),
      output: [output[rows] ?? shape[1]!, output[cols] ?? shape[2]!] as const,
    };
    return apply([reshape(y, shape)], attributes)[0]!;
  };
  const target = [n, ...output, channels];
  if (sizes.length === 1) {
    return reshape(images(x, [n, 1, sizes[0]!, channels], -1, 0), target);
  }
  if (sizes.length === 2) return images(x, x.shape, 0, 1);
  // A volume's planes first, then their stack: the largest of the largest, the mean of the means.
  const [depth, height, width] = sizes as [number, number, number];
  const planes = images(x, [n * depth, height, width, channels], 1, 2);
  const area = output[1]! * output[2]!;
  return reshape(images(planes, [n, depth, area, channels], 0, -1), target);
}

/**
 * The largest element of each window of `poolSize`, per channel; NaN if there is one.
 * @param x [batch, length, channels], [batch, height, width, channels] or [batch, depth, height, width, channels]
 * @throws ShapeError if a window does not fit, ArgumentError for padding as large as the window.
 */
export function maxPool(
  x: TensorLike,
  poolSize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool("maxPool", applyMaxPool, x, poolSize, options);
}

/**
 * The mean of each window of `poolSize`, per channel, over the elements that are there: padding does not
 * count.
 * @param x as {@link maxPool} takes it
 * @throws ShapeError if a window does not fit, ArgumentError for padding as large as the window.
 */
export function avgPool(
  x: TensorLike,
  poolSize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool("avgPool", applyAvgPool, x, poolSize, options);
}
