/**
 * Residual networks (He et al. 2016): blocks that learn what to add to their input. Those for ImageNet
 * with 18 to 152 layers, and the thin ones for CIFAR with 20 to 110.
 */
import { ArgumentError, expected } from "../../errors.js";
import { integer, nullable, type OptionsOf, parseOptions } from "../../layers/config.js";
import { activation, dense } from "../../layers/core.js";
import { add } from "../../layers/merging.js";
import { globalAveragePooling2d, maxPooling2d } from "../../layers/pooling.js";
import { zeroPadding2d } from "../../layers/reshaping.js";
import type { SymbolicTensor } from "../../layers/symbolic.js";
import { type Model, model } from "../model.js";
import { convolution, image, imageShape, networkOptions } from "./blocks.js";

/** Blocks per stage of the networks for ImageNet, and whether they are bottlenecks. */
const imagenet: Readonly<Record<number, { blocks: readonly number[]; bottleneck: boolean }>> = {
  18: { blocks: [2, 2, 2, 2], bottleneck: false },
  34: { blocks: [3, 4, 6, 3], bottleneck: false },
  50: { blocks: [3, 4, 6, 3], bottleneck: true },
  101: { blocks: [3, 4, 23, 3], bottleneck: true },
  152: { blocks: [3, 8, 36, 3], bottleneck: true },
};
/** Of those for CIFAR: 6n + 2 layers, n blocks in each of three stages. */
const cifar = [20, 32, 44, 56, 110];

const resnetOptions = {
  ...networkOptions([224, 224, 3], 1000),
  /** Layers with weights: 18, 34, 50, 101 or 152; 20, 32, 44, 56 or 110 for small images. */
  depth: integer({ min: 18, max: 152 }, 50),
  /** Shape of one image; [224, 224, 3] when left out, [32, 32, 3] for the small networks. */
  inputShape: nullable(imageShape(224, 224, 3)),
  /** 1000 when left out, 10 for the small networks. */
  classes: nullable(integer({ min: 1 })),
  /** Filters of the first stage; 64 when left out, 16 for the small networks. */
  width: nullable(integer({ min: 1 })),
};

/** Options of {@link resnet}. */
export type ResnetOptions = OptionsOf<typeof resnetOptions>;

/**
 * A residual network. Depths 18, 34, 50, 101 and 152 are those for ImageNet, with projections where the
 * shape changes and the stride of a bottleneck on its 3×3 convolution, as torchvision has them (11,689,512
 * parameters for 18, 25,557,032 for 50). Depths 20, 32, 44, 56 and 110 are those for CIFAR-10, whose
 * shortcuts have no parameters: every second pixel, and zeros for the new channels (0.27 million
 * parameters for 20, 1.7 million for 110).
 *
 * @example
 * const model = lw.models.resnet({ depth: 20 });   // CIFAR-10
 * @throws ArgumentError for another depth.
 */
export function resnet(options: ResnetOptions = {}): Model {
  const where = "models.resnet()";
  const o = parseOptions(where, resnetOptions, options);
  const small = cifar.includes(o.depth);
  const big = imagenet[o.depth];
  if (!small && !big) {
    const known = [...Object.keys(imagenet), ...cifar].join(", ");
    throw new ArgumentError(expected(where, `\`depth\` to be one of ${known}`, o.depth));
  }
  const x = image(o.inputShape ?? (small ? [32, 32, 3] : [224, 224, 3]));
  const width = o.width ?? (small ? 16 : 64);
  let y = big ? stem(x, width) : convolution(x, "conv1", { ...normed(width, 3), padding: 1 });
  const blocks = big?.blocks ?? new Array<number>(3).fill((o.depth - 2) / 6);
  blocks.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      const name = `stage${stage + 1}_block${i + 1}`;
      const strides = stage > 0 && i === 0 ? 2 : 1;
      const filters = width * 2 ** stage;
      const body = big?.bottleneck
        ? bottleneck(y, name, filters, strides)
        : basic(y, name, filters, strides);
      const path = small ? subsample(y, name, body, strides) : project(y, name, body, strides);
      const sum = add({ name: `${name}_add` }).apply([body, path]);
      y = activation({ activation: "relu", name: `${name}_relu` }).apply(sum);
    }
  });
  const pooled = globalAveragePooling2d({ name: "pool" }).apply(y);
  const outputs = dense({
    units: o.classes ?? (small ? 10 : 1000),
    activation: o.classifierActivation,
    name: "predictions",
  }).apply(pooled);
  return model({ inputs: x, outputs, name: o.name ?? `resnet${o.depth}` });
}

const normed = (filters: number, kernelSize: number, strides = 1) =>
  ({
    filters,
    kernelSize,
    strides,
    padding: (kernelSize - 1) / 2,
    batchNorm: true,
  }) as const;

/** 7×7 and pooling: a quarter of the size. */
function stem(x: SymbolicTensor, width: number): SymbolicTensor {
  const y = convolution(x, "conv1", normed(width, 7, 2));
  return maxPooling2d({ poolSize: 3, strides: 2, padding: 1, name: "conv1_pool" }).apply(y);
}

function basic(x: SymbolicTensor, name: string, filters: number, strides: number): SymbolicTensor {
  const y = convolution(x, `${name}_conv1`, normed(filters, 3, strides));
  return convolution(y, `${name}_conv2`, { ...normed(filters, 3), activation: "linear" });
}

function bottleneck(
  x: SymbolicTensor,
  name: string,
  filters: number,
  strides: number,
): SymbolicTensor {
  let y = convolution(x, `${name}_conv1`, normed(filters, 1));
  y = convolution(y, `${name}_conv2`, normed(filters, 3, strides));
  return convolution(y, `${name}_conv3`, { ...normed(4 * filters, 1), activation: "linear" });
}

/** The shortcut of ImageNet's networks ("option B"): a 1×1 convolution where the shape changes. */
function project(
  x: SymbolicTensor,
  name: string,
  body: SymbolicTensor,
  strides: number,
): SymbolicTensor {
  const filters = body.shape[3]!;
  if (strides === 1 && x.shape[3] === filters) return x;
  return convolution(x, `${name}_shortcut`, {
    ...normed(filters, 1, strides),
    activation: "linear",
  });
}

/** The shortcut of CIFAR's networks ("option A"): every second pixel, and zeros for new channels. */
function subsample(
  x: SymbolicTensor,
  name: string,
  body: SymbolicTensor,
  strides: number,
): SymbolicTensor {
  const y =
    strides === 1 ? x : maxPooling2d({ poolSize: 1, strides, name: `${name}_subsample` }).apply(x);
  const more = body.shape[3]! - x.shape[3]!;
  if (more === 0) return y;
  // Seen with the channels first, width and channels are the two axes that are padded.
  const before = Math.floor(more / 2);
  return zeroPadding2d({
    dataFormat: "channelsFirst",
    padding: [
      [0, 0],
      [before, more - before],
    ],
    name: `${name}_pad`,
  }).apply(y);
}
