/** Convolutions in their three directions: single shapes, VGG-11 on CIFAR images, ResNet-50's distinct layers. */
import type { Case, ConvolutionSpec } from "../lib/spec.js";

/** Image side, channels, filters, taps of a side, stride, groups; padding keeps the side at stride 1. */
type Layer = readonly [
  side: number,
  channels: number,
  filters: number,
  taps: number,
  stride?: number,
  groups?: number,
];

const directions = {
  forward: "conv2d",
  dX: "conv2dInputGradient",
  dW: "conv2dFilterGradient",
} as const;

function convolutions(
  model: string,
  batch: number,
  [side, channels, filters, taps, stride = 1, groups = 1]: Layer,
): Case[] {
  const pad = Math.floor((taps - 1) / 2);
  const out = Math.floor((side + 2 * pad - taps) / stride) + 1;
  const flops = 2 * batch * out ** 2 * filters * taps ** 2 * (channels / groups);
  return Object.entries(directions)
    .filter(([direction]) => direction !== "dX" || channels > 3) // nobody wants an image's gradient
    .map(([direction, kernel]) => {
      const spec: ConvolutionSpec = {
        kind: "kernel",
        kernel,
        batch,
        side,
        channels,
        filters,
        taps,
        stride,
        pad,
        groups,
      };
      const details = `${taps}x${taps}${stride > 1 ? ` stride ${stride}` : ""}${groups > 1 ? ` in ${groups} groups` : ""}`;
      return {
        group: "convolutions",
        name: `kernel conv ${model}${direction} ${batch}x${side}x${side}x${channels}->${filters} ${details}`,
        spec,
        ours: "native",
        peers: ["oneDNN"],
        unit: "call",
        flops,
      };
    });
}

const single: readonly Layer[] = [
  [28, 1, 32, 3],
  [14, 64, 64, 3],
  [56, 64, 64, 3],
  [7, 512, 512, 3],
  [28, 32, 64, 5],
  [56, 128, 128, 3, 1, 128],
  [14, 512, 512, 3, 1, 512],
  [14, 128, 128, 3, 1, 4],
];
const vgg: readonly Layer[] = [
  [32, 3, 64, 3],
  [16, 64, 128, 3],
  [8, 128, 256, 3],
  [8, 256, 256, 3],
  [4, 256, 512, 3],
  [4, 512, 512, 3],
  [2, 512, 512, 3],
];
const resnet: readonly Layer[] = [
  [224, 3, 64, 7, 2],
  [56, 64, 64, 1],
  [56, 64, 64, 3],
  [56, 64, 256, 1],
  [56, 256, 64, 1],
  [56, 256, 128, 1],
  [56, 128, 128, 3, 2],
  [28, 128, 128, 3],
  [28, 128, 512, 1],
  [56, 256, 512, 1, 2],
  [28, 512, 128, 1],
  [28, 512, 256, 1],
  [28, 256, 256, 3, 2],
  [14, 256, 256, 3],
  [14, 256, 1024, 1],
  [28, 512, 1024, 1, 2],
  [14, 1024, 256, 1],
  [14, 1024, 512, 1],
  [14, 512, 512, 3, 2],
  [7, 512, 512, 3],
  [7, 512, 2048, 1],
  [14, 1024, 2048, 1, 2],
  [7, 2048, 512, 1],
];

export const cases: readonly Case[] = [
  ...single.flatMap((layer) => convolutions("", 32, layer)),
  ...[1, 32].flatMap((batch) => vgg.flatMap((layer) => convolutions("vgg11 ", batch, layer))),
  ...[1, 32].flatMap((batch) => resnet.flatMap((layer) => convolutions("resnet50 ", batch, layer))),
];
