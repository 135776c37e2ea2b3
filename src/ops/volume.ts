/** Convolutions of volumes, as sums over the filter's depth of convolutions of images. */
import { slideWindow, windowExtent } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { convolve } from "./convolution.js";
import {
  type Conv3dOptions,
  type Conv3dTransposeOptions,
  checkChannels,
  checkFilter,
  keys,
  operand,
  windowOf,
} from "./convolutionOptions.js";
import { add } from "./elementwise.js";
import { concat, pad, reshape, slice } from "./movement.js";
import { spreadImages, transposedOperands, transposedWindow } from "./transposed.js";

/**
 * Slides filters over volumes: the sum over the filter's depth of two-dimensional convolutions.
 *
 * @param x volumes, [batch, depth, height, width, channels]
 * @param filter [depth, height, width, channels / groups, filters]
 * @returns [batch, outDepth, outHeight, outWidth, filters]
 */
export function conv3d(x: TensorLike, filter: TensorLike, options: Conv3dOptions = {}): Tensor {
  const where = "conv3d";
  const window = windowOf(where, options, 3, keys);
  const volume = operand(where, "x", x, 5, "[batch, depth, height, width, channels]");
  const weights = operand(where, "filter", filter, 5, "[depth, height, width, channels, filters]");
  checkFilter(where, weights, 3);
  checkChannels(where, volume, weights, window.groups);
  const [batch, depth, height, width, channels] = volume.shape as [
    number,
    number,
    number,
    number,
    number,
  ];
  const [taps, ...filterShape] = weights.shape as [number, ...number[]];
  const [stride, ...strides] = window.strides as [number, ...number[]];
  const [dilation, ...dilations] = window.dilations as [number, ...number[]];
  const planes = slideWindow(where, "depth", depth, taps, stride, dilation, window.padding[0]!);
  const flat = { ...window, strides, dilations, padding: window.padding.slice(1) };
  // Pad the depth so that every tap meets planes.count planes, `stride` apart.
  const reach = (planes.count - 1) * stride + windowExtent(taps, dilation);
  const behind = Math.max(0, reach - planes.before - depth);
  const padded = padPlanes(volume, planes.before, behind);
  let total: Tensor | undefined;
  for (let tap = 0; tap < taps; tap++) {
    const at = Array.from({ length: planes.count }, (_, i) => tap * dilation + i * stride);
    const plane = (p: number): Tensor =>
      slice(padded, [0, p, 0, 0, 0], [batch, 1, height, width, channels]);
    const met =
      stride === 1
        ? slice(padded, [0, at[0]!, 0, 0, 0], [batch, at.length, height, width, channels])
        : concat(at.map(plane), 1);
    const part = convolve(
      where,
      reshape(met, [batch * planes.count, height, width, channels]),
      reshape(slice(weights, [tap, 0, 0, 0, 0], [1, ...filterShape]), filterShape),
      flat,
    );
    total = total ? add(total, part) : part;
  }
  return reshape(total!, [batch, planes.count, ...total!.shape.slice(1)]);
}

/** Zeros before and behind along axis 1. */
function padPlanes(x: Tensor, before: number, behind: number): Tensor {
  if (before + behind === 0) return x;
  return pad(
    x,
    x.shape.map((_, axis) => (axis === 1 ? [before, behind] : [0, 0])),
  );
}

/**
 * The transpose of {@link conv3d}: spreads every element of a volume over a window.
 *
 * @param x volumes, [batch, depth, height, width, channels]
 * @param filter [depth, height, width, filters / groups, channels]: the result's channels stand first
 * @returns [batch, outDepth, outHeight, outWidth, filters]; with `"same"` padding depth · stride planes
 */
export function conv3dTranspose(
  x: TensorLike,
  filter: TensorLike,
  options: Conv3dTransposeOptions = {},
): Tensor {
  const where = "conv3dTranspose";
  const { image, weights, window } = transposedOperands(where, x, filter, options, [
    "depth",
    "height",
    "width",
  ]);
  const [batch, depth, ...plane] = image.shape as [number, number, ...number[]];
  const [taps, ...filterShape] = weights.shape as [number, ...number[]];
  const [stride, ...strides] = window.strides as [number, ...number[]];
  const [dilation, ...dilations] = window.dilations as [number, ...number[]];
  const { size, before } = transposedWindow(
    where,
    "depth",
    depth,
    taps,
    stride,
    dilation,
    window.padding[0]!,
    window.extra?.[0],
  );
  const flat = {
    ...window,
    strides,
    dilations,
    padding: window.padding.slice(1),
    extra: window.extra?.slice(1),
  };
  const planes = reshape(image, [batch * depth, ...plane]);
  let total: Tensor | undefined;
  for (let tap = 0; tap < taps; tap++) {
    const own = reshape(slice(weights, [tap, 0, 0, 0, 0], [1, ...filterShape]), filterShape);
    const spread = spreadImages(where, planes, own, flat);
    const [, height, width, filters] = spread.shape as [number, number, number, number];
    // Planes `stride` apart; that of plane 0 belongs at tap·dilation − before.
    let apart = reshape(spread, [batch * depth, 1, height, width, filters]);
    apart = reshape(padPlanes(apart, 0, stride - 1), [
      batch,
      depth * stride,
      height,
      width,
      filters,
    ]);
    const at = tap * dilation - before;
    const wide = padPlanes(apart, Math.max(0, at), Math.max(0, size - at - depth * stride));
    const part = slice(wide, [0, Math.max(0, -at), 0, 0, 0], [batch, size, height, width, filters]);
    total = total ? add(total, part) : part;
  }
  return total!;
}
