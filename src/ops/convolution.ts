/**
 * Convolutions. One op, `conv2d`, on images [batch, height, width, channels] and filters
 * [height, width, channels / groups, filters]; its two gradients are ops as well and the gradients of
 * each other, so derivatives of any order come of these three rows. The functions bring depthwise and
 * one-dimensional convolutions to them; transposed.ts and volume.ts the others.
 */
import { checkChoice, expected, ShapeError } from "../errors.js";
import { type Geometry, geometryInts } from "../kernels/convolution.js";
import {
  type Shape,
  showShape,
  slideWindow,
  type WindowPadding,
  windowExtent,
} from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import {
  type Conv1dOptions,
  type Conv2dOptions,
  checkChannels,
  checkFilter,
  keys,
  operand,
  type Window,
  windowOf,
} from "./convolutionOptions.js";
import { gemmCall } from "./matmul.js";
import { reshape, stridedSlice } from "./movement.js";
import { defineOp, type OpNode, type ProductCall, type Recorder } from "./op.js";

/** What the shapes of image, filter and result don't say. */
export interface ConvolutionAttributes {
  readonly height: number;
  readonly width: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly padTop: number;
  readonly padLeft: number;
  readonly dilationHeight: number;
  readonly dilationWidth: number;
  readonly groups: number;
  /** Whether an algorithm that differs in the last digits may be taken where it is faster. */
  readonly winograd: boolean;
}

interface Spec {
  readonly shape: Shape;
}

function geometry(
  attributes: ConvolutionAttributes,
  batch: number,
  channels: number,
  filters: number,
): Geometry {
  return { ...attributes, batch, channels, filters, winograd: Number(attributes.winograd) };
}

/** A 1×1 convolution without stride or padding is a product of [pixels, channels] and the filter. */
function isMatrixProduct(g: Omit<ConvolutionAttributes, "winograd">): boolean {
  return (
    g.kernelHeight * g.kernelWidth * g.groups * g.strideHeight * g.strideWidth === 1 &&
    g.padTop + g.padLeft === 0 &&
    g.height === g.outHeight &&
    g.width === g.outWidth
  );
}

type Direction = "conv2d" | "conv2dInputGradient" | "conv2dFilterGradient";

function productCall(direction: Direction, g: Geometry): ProductCall {
  const pixels = g.batch * g.outHeight * g.outWidth;
  const terms = g.kernelHeight * g.kernelWidth * (g.channels / g.groups);
  if (isMatrixProduct(g)) {
    const [m, n, k] =
      direction === "conv2d"
        ? [pixels, g.filters, g.channels]
        : direction === "conv2dInputGradient"
          ? [pixels, g.channels, g.filters]
          : [g.channels, g.filters, pixels];
    return gemmCall({
      batch: 1,
      m,
      n,
      k,
      transposeA: direction === "conv2dFilterGradient",
      transposeB: direction === "conv2dInputGradient",
      strideA: 0,
      strideB: 0,
    });
  }
  const [rows, columns] =
    direction === "conv2d"
      ? [pixels, g.filters]
      : direction === "conv2dInputGradient"
        ? [g.batch * g.height * g.width, g.channels]
        : [terms, g.filters];
  return {
    kernel: direction,
    ints: geometryInts(g),
    rows,
    columns,
    multiplications: pixels * terms * g.filters,
  };
}

type Node = Pick<OpNode<ConvolutionAttributes>, "attributes"> & {
  readonly inputs: readonly Spec[];
};

const forwardGeometry = ({ inputs: [x, filter], attributes }: Node): Geometry =>
  geometry(attributes, x!.shape[0]!, x!.shape[3]!, filter!.shape[3]!);

const inputGeometry = ({ inputs: [dy, filter], attributes }: Node): Geometry =>
  geometry(attributes, dy!.shape[0]!, filter!.shape[2]! * attributes.groups, filter!.shape[3]!);

const filterGeometry = ({ inputs: [x, dy], attributes }: Node): Geometry =>
  geometry(attributes, x!.shape[0]!, x!.shape[3]!, dy!.shape[3]!);

/** Attributes and shapes for the registry tests: stride, padding, dilation, groups, odd sizes. */
const sampleGeometries: readonly (readonly [Geometry, string])[] = (
  [
    [{}, "valid"],
    [{ batch: 1, padTop: 1, padLeft: 1 }, "padded"],
    [{ height: 4, strideHeight: 2, padTop: 1 }, "strided"],
    [{ batch: 1, height: 4, width: 6, dilationHeight: 2, dilationWidth: 3, padLeft: 1 }, "dilated"],
    [{ batch: 1, channels: 4, filters: 4, groups: 2, padLeft: 1 }, "grouped"],
    [{ batch: 1, channels: 3, filters: 3, groups: 3, padTop: 1 }, "depthwise"],
    [{ kernelHeight: 1, kernelWidth: 1 }, "pointwise"],
    [{ kernelHeight: 1, kernelWidth: 1, strideHeight: 2, strideWidth: 3 }, "pointwise, strided"],
  ] as const
).map(([change, name]) => {
  const g = {
    batch: 2,
    height: 3,
    width: 4,
    channels: 2,
    filters: 3,
    kernelHeight: 2,
    kernelWidth: 2,
    strideHeight: 1,
    strideWidth: 1,
    padTop: 0,
    padLeft: 0,
    dilationHeight: 1,
    dilationWidth: 1,
    groups: 1,
    winograd: 1,
    ...change,
  };
  const count = (size: number, taps: number, stride: number, dilation: number, padding: number) =>
    slideWindow("sample", name, size, taps, stride, dilation, [padding, padding]).count;
  return [
    {
      ...g,
      outHeight: count(g.height, g.kernelHeight, g.strideHeight, g.dilationHeight, g.padTop),
      outWidth: count(g.width, g.kernelWidth, g.strideWidth, g.dilationWidth, g.padLeft),
    },
    name,
  ] as const;
});

const domain = [-1, 1] as const;

function samples(...parts: readonly ("x" | "filter" | "y")[]) {
  return sampleGeometries.map(([g]) => {
    const { batch, channels, filters, winograd: _, ...attributes } = g;
    const shapes = {
      x: [batch, g.height, g.width, channels],
      filter: [g.kernelHeight, g.kernelWidth, channels / g.groups, filters],
      y: [batch, g.outHeight, g.outWidth, filters],
    };
    return {
      inputs: parts.map((part) => ({ shape: shapes[part], domain })),
      attributes: { ...attributes, winograd: true },
    };
  });
}

const applyConv2d: Recorder<ConvolutionAttributes> = defineOp<ConvolutionAttributes>({
  name: "conv2d",
  infer: (inputs, attributes) => {
    const g = forwardGeometry({ inputs, attributes });
    return [{ shape: [g.batch, g.outHeight, g.outWidth, g.filters], dtype: "float32" }];
  },
  lowering: { kind: "product", call: (node) => productCall("conv2d", forwardGeometry(node)) },
  gradient: ({ inputs: [x, filter], attributes, dy, wanted }) => [
    wanted[0] ? applyInputGradient([dy, filter!], attributes)[0]! : null,
    wanted[1] ? applyFilterGradient([x!, dy], attributes)[0]! : null,
  ],
  samples: samples("x", "filter"),
});

/** The op `conv2dInputGradient` on [dy, filter]. */
export const applyInputGradient: Recorder<ConvolutionAttributes> = defineOp<ConvolutionAttributes>({
  name: "conv2dInputGradient",
  infer: (inputs, attributes) => {
    const g = inputGeometry({ inputs, attributes });
    return [{ shape: [g.batch, g.height, g.width, g.channels], dtype: "float32" }];
  },
  lowering: {
    kind: "product",
    call: (node) => productCall("conv2dInputGradient", inputGeometry(node)),
  },
  // The op is linear in dy, and in the filter: what flows back is a convolution again.
  gradient: ({ inputs: [y, filter], attributes, dy, wanted }) => [
    wanted[0] ? applyConv2d([dy, filter!], attributes)[0]! : null,
    wanted[1] ? applyFilterGradient([dy, y!], attributes)[0]! : null,
  ],
  samples: samples("y", "filter"),
});

const applyFilterGradient: Recorder<ConvolutionAttributes> = defineOp<ConvolutionAttributes>({
  name: "conv2dFilterGradient",
  infer: (inputs, attributes) => {
    const g = filterGeometry({ inputs, attributes });
    const shape = [g.kernelHeight, g.kernelWidth, g.channels / g.groups, g.filters];
    return [{ shape, dtype: "float32" }];
  },
  lowering: {
    kind: "product",
    call: (node) => productCall("conv2dFilterGradient", filterGeometry(node)),
  },
  gradient: ({ inputs: [x, y], attributes, dy, wanted }) => [
    wanted[0] ? applyInputGradient([y!, dy], attributes)[0]! : null,
    wanted[1] ? applyConv2d([x!, dy], attributes)[0]! : null,
  ],
  samples: samples("x", "y"),
});

function attributesOf(
  where: string,
  image: Shape,
  filter: Shape,
  { strides, dilations, padding, groups, winograd }: Window,
): ConvolutionAttributes {
  const [, height, width] = image as [number, number, number];
  const [kernelHeight, kernelWidth] = filter as [number, number];
  const [rows, columns] = (
    [
      ["height", height, kernelHeight],
      ["width", width, kernelWidth],
    ] as const
  ).map(([name, size, taps], d) =>
    slideWindow(where, name, size, taps, strides[d]!, dilations[d]!, padding[d]!),
  );
  return {
    height,
    width,
    outHeight: rows!.count,
    outWidth: columns!.count,
    kernelHeight,
    kernelWidth,
    strideHeight: strides[0]!,
    strideWidth: strides[1]!,
    padTop: rows!.before,
    padLeft: columns!.before,
    dilationHeight: dilations[0]!,
    dilationWidth: dilations[1]!,
    groups,
    winograd,
  };
}

/** `conv2d` of operands that were checked. */
export function convolve(where: string, x: Tensor, filter: Tensor, window: Window): Tensor {
  const attributes = attributesOf(where, x.shape, filter.shape, window);
  const { height, width, outHeight, outWidth, strideHeight, strideWidth } = attributes;
  const rows = Math.ceil(height / strideHeight);
  const columns = Math.ceil(width / strideWidth);
  // With padding behind there are results beyond the image.
  const inside = rows === outHeight && columns === outWidth;
  const dense = { ...attributes, height: rows, width: columns, strideHeight: 1, strideWidth: 1 };
  if (strideHeight * strideWidth > 1 && inside && isMatrixProduct(dense)) {
    // A 1×1 filter with strides is one without on the pixels that are not left out.
    const pixels = stridedSlice(x, [], [], [1, strideHeight, strideWidth, 1]);
    return applyConv2d([pixels, filter], dense)[0]!;
  }
  return applyConv2d([x, filter], attributes)[0]!;
}

/**
 * Slides filters over images and sums products (no filter is turned round: what deep learning calls a
 * convolution).
 *
 * @param x images, [batch, height, width, channels]
 * @param filter [height, width, channels / groups, filters]
 * @returns [batch, outHeight, outWidth, filters]
 * @example
 * const x = lw.ones([1, 3, 3, 1]);
 * lw.conv2d(x, lw.ones([2, 2, 1, 1]), { padding: "same" }).squeeze().arraySync();
 * // [[4, 4, 2], [4, 4, 2], [2, 2, 1]]
 */
export function conv2d(x: TensorLike, filter: TensorLike, options: Conv2dOptions = {}): Tensor {
  const where = "conv2d";
  const window = windowOf(where, options, 2, keys);
  const image = operand(where, "x", x, 4, "[batch, height, width, channels]");
  const weights = operand(where, "filter", filter, 4, "[height, width, channels, filters]");
  checkFilter(where, weights, 2);
  checkChannels(where, image, weights, window.groups);
  return convolve(where, image, weights, window);
}

/**
 * A convolution of every channel with its own filters: output channel c·multiplier + m belongs to
 * channel c.
 *
 * @param x images, [batch, height, width, channels]
 * @param filter [height, width, channels, multiplier]
 * @returns [batch, outHeight, outWidth, channels · multiplier]
 */
export function depthwiseConv2d(
  x: TensorLike,
  filter: TensorLike,
  options: Omit<Conv2dOptions, "groups"> = {},
): Tensor {
  const where = "depthwiseConv2d";
  const window = windowOf(
    where,
    options,
    2,
    keys.filter((key) => key !== "groups"),
  );
  const image = operand(where, "x", x, 4, "[batch, height, width, channels]");
  const weights = operand(where, "filter", filter, 4, "[height, width, channels, multiplier]");
  checkFilter(where, weights, 2);
  const [height, width, channels, multiplier] = weights.shape as [number, number, number, number];
  if (channels !== image.shape[3]) {
    throw new ShapeError(
      expected(
        where,
        `a filter for ${image.shape[3]} channels`,
        `${showShape(weights.shape)} for x ${showShape(image.shape)}`,
      ),
    );
  }
  if (channels === 0) {
    throw new ShapeError(expected(where, "at least one channel", showShape(image.shape)));
  }
  // One group per channel; the filter's elements lie in the same order.
  const grouped = reshape(weights, [height, width, 1, channels * multiplier]);
  return convolve(where, image, grouped, { ...window, groups: channels });
}

/**
 * Slides filters over sequences.
 *
 * @param x sequences, [batch, steps, channels]
 * @param filter [taps, channels / groups, filters]
 * @returns [batch, outSteps, filters]
 */
export function conv1d(x: TensorLike, filter: TensorLike, options: Conv1dOptions = {}): Tensor {
  const where = "conv1d";
  const sequence = operand(where, "x", x, 3, "[batch, steps, channels]");
  const weights = operand(where, "filter", filter, 3, "[taps, channels, filters]");
  checkFilter(where, weights, 1);
  const { padding = "valid", ...rest } = options;
  if (typeof padding === "string") {
    checkChoice(where, "padding", padding, ["valid", "same", "causal"] as const);
  }
  const pair = Array.isArray(padding) ? [padding] : padding;
  const window = windowOf(where, { ...rest, padding: pair === "causal" ? "valid" : pair }, 1, keys);
  checkChannels(where, sequence, weights, window.groups);
  const [batch, steps, channels] = sequence.shape as [number, number, number];
  const [taps, own, filters] = weights.shape as [number, number, number];
  const extent = windowExtent(taps, window.dilations[0]!);
  const along: WindowPadding = padding === "causal" ? [extent - 1, 0] : window.padding[0]!;
  const result = convolve(
    where,
    reshape(sequence, [batch, 1, steps, channels]),
    reshape(weights, [1, taps, own, filters]),
    {
      ...window,
      strides: [1, window.strides[0]!],
      dilations: [1, window.dilations[0]!],
      padding: ["valid", along],
    },
  );
  return reshape(result, [batch, result.shape[2]!, filters]);
}
