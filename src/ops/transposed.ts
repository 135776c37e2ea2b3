/** Transposed convolutions: what a convolution's gradient does to its input, as an operation of its own. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { showShape, type WindowPadding, windowExtent } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { perAxis } from "../tensor/window.js";
import { applyInputGradient } from "./convolution.js";
import {
  type Conv2dTransposeOptions,
  checkFilter,
  keys,
  operand,
  type Window,
  windowOf,
} from "./convolutionOptions.js";

/** Size of a transposed convolution's result, and its padding as the convolution back sees it. */
export function transposedWindow(
  where: string,
  dimension: string,
  size: number,
  taps: number,
  stride: number,
  dilation: number,
  padding: WindowPadding,
  extra: number | undefined,
): { size: number; before: number } {
  const extent = windowExtent(taps, dilation);
  if (extra !== undefined && extra >= Math.max(stride, dilation)) {
    throw new ArgumentError(
      expected(where, `\`outputPadding\` below the stride of ${stride}`, `${extra}`),
    );
  }
  const span = (size - 1) * stride + extent;
  let result: number;
  if (padding === "same") {
    result = extra === undefined ? size * stride : span - 2 * Math.floor(extent / 2) + extra;
  } else if (padding === "valid") {
    // Keras: without outputPadding a stride above the window still covers size·stride elements.
    result = extra === undefined ? Math.max(span, size * stride) : span + extra;
  } else {
    result = span - padding[0] - padding[1] + (extra ?? 0);
  }
  if (result < 1) {
    throw new ShapeError(`${where}: the result would have a ${dimension} of ${result}`);
  }
  if (padding !== "same") return { size: result, before: padding === "valid" ? 0 : padding[0] };
  return { size: result, before: Math.floor(Math.max(0, span - result) / 2) };
}

/** A transposed convolution's window, and `outputPadding` where it is given. */
export interface TransposedWindow extends Window {
  readonly extra: number[] | undefined;
}

/** Checks options and operands of a transposed convolution over `axes` axes. */
export function transposedOperands(
  where: string,
  x: TensorLike,
  filter: TensorLike,
  options: object & { readonly outputPadding?: unknown },
  axes: readonly string[],
): { image: Tensor; weights: Tensor; window: TransposedWindow } {
  const rank = axes.length;
  const names = axes.join(", ");
  const window = windowOf(where, options, rank, [...keys, "outputPadding"]);
  const { outputPadding } = options;
  const extra =
    outputPadding === undefined || outputPadding === null
      ? undefined
      : perAxis(where, "outputPadding", outputPadding, rank, 0);
  const image = operand(where, "x", x, rank + 2, `[batch, ${names}, channels]`);
  const weights = operand(where, "filter", filter, rank + 2, `[${names}, filters, channels]`);
  checkFilter(where, weights, rank);
  const channels = image.shape.at(-1)!;
  if (weights.shape.at(-1) !== channels) {
    throw new ShapeError(
      expected(
        where,
        `a filter [${names}, filters, ${channels}]`,
        `${showShape(weights.shape)} for x ${showShape(image.shape)}`,
      ),
    );
  }
  if (channels % window.groups !== 0) {
    throw new ShapeError(`${where}: ${channels} channels do not fall into ${window.groups} groups`);
  }
  return { image, weights, window: { ...window, extra } };
}

/** The op on operands that were checked, images [batch, height, width, channels]. */
export function spreadImages(
  where: string,
  image: Tensor,
  weights: Tensor,
  window: TransposedWindow,
): Tensor {
  const { extra } = window;
  const [, outHeight, outWidth] = image.shape as [number, number, number];
  const [kernelHeight, kernelWidth] = weights.shape as [number, number];
  const { strides, dilations, padding } = window;
  const [rows, columns] = (
    [
      ["height", outHeight, kernelHeight],
      ["width", outWidth, kernelWidth],
    ] as const
  ).map(([name, size, taps], d) =>
    transposedWindow(where, name, size, taps, strides[d]!, dilations[d]!, padding[d]!, extra?.[d]),
  );
  return applyInputGradient([image, weights], {
    height: rows!.size,
    width: columns!.size,
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    strideHeight: strides[0]!,
    strideWidth: strides[1]!,
    padTop: rows!.before,
    padLeft: columns!.before,
    dilationHeight: dilations[0]!,
    dilationWidth: dilations[1]!,
    groups: window.groups,
    winograd: window.winograd,
  })[0]!;
}

/**
 * The gradient of a convolution with respect to its input as an operation of its own: spreads every
 * pixel over a window (fractionally strided or "deconvolution"; Dumoulin & Visin 2016).
 *
 * @param x images, [batch, height, width, channels]
 * @param filter [height, width, filters / groups, channels]: the result's channels stand first, as in tf.js
 * @returns [batch, outHeight, outWidth, filters]; with `"same"` padding height · stride rows
 */
export function conv2dTranspose(
  x: TensorLike,
  filter: TensorLike,
  options: Conv2dTransposeOptions = {},
): Tensor {
  const where = "conv2dTranspose";
  const { image, weights, window } = transposedOperands(where, x, filter, options, [
    "height",
    "width",
  ]);
  return spreadImages(where, image, weights, window);
}
