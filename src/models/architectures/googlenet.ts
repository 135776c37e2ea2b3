/** GoogLeNet (Szegedy et al. 2015): inception modules, whose four branches see different surroundings. */
import { boolean, choice, number, type OptionsOf, parseOptions } from "../../layers/config.js";
import { dense, flatten } from "../../layers/core.js";
import { concatenate } from "../../layers/merging.js";
import { localResponseNormalization } from "../../layers/normalization.js";
import { averagePooling2d, globalAveragePooling2d, maxPooling2d } from "../../layers/pooling.js";
import { dropout } from "../../layers/regularization.js";
import type { SymbolicTensor } from "../../layers/symbolic.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type Model, model } from "../model.js";
import { convolution, image, networkOptions } from "./blocks.js";

/** Filters: 1×1, before and in 3×3, before and in 5×5, after pooling. Table 1 of the paper. */
const modules = {
  "3a": [64, 96, 128, 16, 32, 32],
  "3b": [128, 128, 192, 32, 96, 64],
  "4a": [192, 96, 208, 16, 48, 64],
  "4b": [160, 112, 224, 24, 64, 64],
  "4c": [128, 128, 256, 24, 64, 64],
  "4d": [112, 144, 288, 32, 64, 64],
  "4e": [256, 160, 320, 32, 128, 128],
  "5a": [256, 160, 320, 32, 128, 128],
  "5b": [384, 192, 384, 48, 128, 128],
} as const;

const googlenetOptions = {
  ...networkOptions([224, 224, 3], 1000),
  /**
   * "paper": with biases and local response normalisation. "batchNorm": with batch normalisation, and 3×3
   * in place of 5×5, which torchvision has.
   */
  variant: choice(["paper", "batchNorm"], "paper"),
  /** Two more outputs from within, which help the lower layers to learn. */
  auxiliary: boolean(false),
  /** Factor of all numbers of filters. */
  width: number({ min: 1 / 64 }, 1),
  /** Fraction dropped in front of the output. */
  dropout: number({ min: 0, max: 1 }, 0.4),
};

/** Options of {@link googlenet}. */
export type GooglenetOptions = OptionsOf<typeof googlenetOptions>;

/**
 * GoogLeNet: 6,998,552 parameters as in the paper, 6,624,904 with batch normalisation (13,378,280 and
 * 13,004,888 with the auxiliary outputs). With `auxiliary` the model has three outputs, the main one first;
 * the paper weighs their losses 1, 0.3 and 0.3.
 */
export function googlenet(options: GooglenetOptions & { auxiliary: true }): Model<Tensor[]>;
export function googlenet(options?: GooglenetOptions): Model;
export function googlenet(options: GooglenetOptions = {}): Model | Model<Tensor[]> {
  const o = parseOptions("models.googlenet()", googlenetOptions, options);
  const batchNorm = o.variant === "batchNorm";
  const wide = (filters: number): number => Math.max(1, Math.round(filters * o.width));
  const conv = (
    x: SymbolicTensor,
    name: string,
    filters: number,
    kernelSize: number,
    strides = 1,
  ): SymbolicTensor =>
    convolution(x, name, {
      filters: wide(filters),
      kernelSize,
      strides,
      padding: (kernelSize - 1) / 2,
      batchNorm,
      epsilon: 1e-3,
    });
  // "same" where the paper's pooling rounds up.
  const halved = (x: SymbolicTensor, name: string, poolSize = 3): SymbolicTensor =>
    maxPooling2d({ poolSize, strides: 2, padding: "same", name }).apply(x);
  const norm = (x: SymbolicTensor, name: string): SymbolicTensor =>
    batchNorm
      ? x
      : localResponseNormalization({
          depthRadius: 2,
          alpha: 2e-5,
          beta: 0.75,
          name,
        }).apply(x);

  const inception = (x: SymbolicTensor, which: keyof typeof modules): SymbolicTensor => {
    const [one, before3, three, before5, five, pooled] = modules[which];
    const name = (part: string): string => `inception${which}_${part}`;
    const pool = maxPooling2d({ poolSize: 3, strides: 1, padding: "same", name: name("pool") });
    return concatenate({ name: name("concat") }).apply([
      conv(x, name("1x1"), one, 1),
      conv(conv(x, name("3x3_reduce"), before3, 1), name("3x3"), three, 3),
      conv(conv(x, name("5x5_reduce"), before5, 1), name("5x5"), five, batchNorm ? 3 : 5),
      conv(pool.apply(x), name("pool_1x1"), pooled, 1),
    ]);
  };

  const auxiliary = (x: SymbolicTensor, name: string): SymbolicTensor => {
    const pooled = averagePooling2d({ poolSize: 5, strides: 3, name: `${name}_pool` }).apply(x);
    const small = flatten({ name: `${name}_flatten` }).apply(conv(pooled, `${name}_conv`, 128, 1));
    const hidden = dense({
      units: wide(1024),
      activation: "relu",
      kernelInitializer: "heNormal",
      name: `${name}_fc`,
    }).apply(small);
    const dropped = dropout({ rate: 0.7, name: `${name}_dropout` }).apply(hidden);
    return dense({ units: o.classes, activation: o.classifierActivation, name }).apply(dropped);
  };

  const x = image(o.inputShape);
  let y = norm(halved(conv(x, "conv1", 64, 7, 2), "pool1"), "norm1");
  y = norm(conv(conv(y, "conv2_reduce", 64, 1), "conv2", 192, 3), "norm2");
  y = halved(y, "pool2");
  y = halved(inception(inception(y, "3a"), "3b"), "pool3");
  const first = inception(y, "4a");
  const second = inception(inception(inception(first, "4b"), "4c"), "4d");
  y = halved(inception(second, "4e"), "pool4", batchNorm ? 2 : 3);
  y = inception(inception(y, "5a"), "5b");
  y = globalAveragePooling2d({ name: "pool5" }).apply(y);
  if (o.dropout > 0) y = dropout({ rate: o.dropout, name: "dropout" }).apply(y);
  const predictions = dense({
    units: o.classes,
    activation: o.classifierActivation,
    name: "predictions",
  }).apply(y);
  const name = o.name ?? "googlenet";
  if (!o.auxiliary) return model({ inputs: x, outputs: predictions, name });
  const more = [auxiliary(first, "auxiliary1"), auxiliary(second, "auxiliary2")];
  return model({ inputs: x, outputs: [predictions, ...more], name });
}
