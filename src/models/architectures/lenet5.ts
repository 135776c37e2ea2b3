/** LeNet-5 (LeCun et al. 1998), as it was and as it is built today. */
import { ArgumentError, expected } from "../../errors.js";
import { choice, integer, type OptionsOf, parseOptions } from "../../layers/config.js";
import { connectedConv2d } from "../../layers/connected.js";
import { conv2d, depthwiseConv2d } from "../../layers/convolution.js";
import { dense, flatten } from "../../layers/core.js";
import { averagePooling2d, maxPooling2d } from "../../layers/pooling.js";
import { radialBasis } from "../../layers/radial.js";
import type { SymbolicTensor } from "../../layers/symbolic.js";
import { type Model, model } from "../model.js";
import { image, networkOptions } from "./blocks.js";
import { digitCodes } from "./digitcodes.js";

/** Which maps of S2 each map of C3 sees: Table I of the paper. */
const connections = [
  ...[0, 1, 2, 3, 4, 5].map((i) => [i, i + 1, i + 2]),
  ...[0, 1, 2, 3, 4, 5].map((i) => [i, i + 1, i + 2, i + 3]),
  ...[0, 1, 2].map((i) => [i, i + 1, i + 3, i + 4]),
  [0, 1, 2, 3, 4, 5],
].map((maps) => maps.map((m) => m % 6).sort((a, b) => a - b));

const lenet5Options = {
  ...networkOptions([28, 28, 1], 10),
  /**
   * "modern": ReLU, maximum pooling, every map of the second convolution sees all of the first. "original":
   * tanh, trainable subsampling, the table of connections.
   */
  variant: choice(["modern", "original"], "modern"),
  /**
   * "dense", or with the original "rbf": squared distances of F6 to drawings of the ten digits, which are
   * not trained. Compiled with the loss `maximumAPosteriori` that is the paper's training criterion.
   */
  output: choice(["dense", "rbf"], "dense"),
  /** Filters of the first convolution; the other layers before the output are scaled by it. 6 with the original. */
  width: integer({ min: 1 }, 6),
};

/** Options of {@link lenet5}. */
export type Lenet5Options = OptionsOf<typeof lenet5Options>;

/**
 * LeNet-5 for images of 28×28 (the first convolution pads them) or 32×32.
 *
 * "original" is the paper's: the table of connections, trainable subsampling, 1.7159 · tanh(2x/3), and with
 * `output: "rbf"` its output too: 60,000 trainable parameters, which are C1 156, S2 12, C3 1,516, S4 32, C5
 * 48,120 and F6 10,164, and 340,908 connections. With the dense output there are 850 more. "modern" has 61,706.
 * @throws ArgumentError for "rbf" with another variant or number of classes, and for the original with another width.
 */
export function lenet5(options: Lenet5Options = {}): Model {
  const o = parseOptions("models.lenet5()", lenet5Options, options);
  if (o.variant === "original" && o.width !== 6) {
    const wanted = '`width` 6 with variant "original", whose table of connections is for 6 maps';
    throw new ArgumentError(expected("models.lenet5()", wanted, String(o.width)));
  }
  const [height, width] = o.inputShape;
  const x = image(o.inputShape);
  // 32×32 is what the paper pads its digits to.
  const padding = Math.min(height, width) < 32 ? "same" : "valid";
  const features = o.variant === "original" ? original(x, padding) : modern(x, padding, o.width);
  const classifier = { units: o.classes, activation: o.classifierActivation, name: "predictions" };
  const outputs = (
    o.output === "dense" ? dense(classifier) : radialBasis({ ...classifier, ...codes(o) })
  ).apply(features);
  return model({ inputs: x, outputs, name: o.name ?? "lenet5" });
}

/** The centres of the paper's output. */
function codes({ variant, classes }: { variant: string; classes: number }) {
  if (variant !== "original" || classes !== digitCodes.length) {
    const given = `variant "${variant}" and ${classes} classes`;
    const wanted = '`output` "rbf" with variant "original" and 10 classes';
    throw new ArgumentError(expected("models.lenet5()", wanted, given));
  }
  return { centers: digitCodes, trainable: false };
}

function modern(x: SymbolicTensor, padding: "same" | "valid", width: number): SymbolicTensor {
  const scaled = (count: number): number => Math.max(1, Math.round((count * width) / 6));
  const init = { activation: "relu", kernelInitializer: "heNormal" } as const;
  let y = conv2d({ filters: width, kernelSize: 5, padding, ...init, name: "c1" }).apply(x);
  y = maxPooling2d({ name: "s2" }).apply(y);
  y = conv2d({ filters: scaled(16), kernelSize: 5, ...init, name: "c3" }).apply(y);
  y = maxPooling2d({ name: "s4" }).apply(y);
  y = flatten({ name: "flatten" }).apply(y);
  y = dense({ units: scaled(120), ...init, name: "c5" }).apply(y);
  return dense({ units: scaled(84), ...init, name: "f6" }).apply(y);
}

function original(x: SymbolicTensor, padding: "same" | "valid"): SymbolicTensor {
  const squashed = { activation: "scaledTanh" } as const;
  /** Means of 2×2, times a coefficient, plus a bias, both learned for each map. */
  const subsample = (y: SymbolicTensor, name: string): SymbolicTensor =>
    depthwiseConv2d({ kernelSize: 1, depthwiseInitializer: "ones", ...squashed, name }).apply(
      averagePooling2d({ name: `${name}_mean` }).apply(y),
    );
  let y = conv2d({ filters: 6, kernelSize: 5, padding, ...squashed, name: "c1" }).apply(x);
  y = subsample(y, "s2");
  y = connectedConv2d({ connections, kernelSize: 5, ...squashed, name: "c3" }).apply(y);
  y = subsample(y, "s4");
  y = conv2d({ filters: 120, kernelSize: 5, ...squashed, name: "c5" }).apply(y);
  y = flatten({ name: "flatten" }).apply(y);
  return dense({ units: 84, ...squashed, name: "f6" }).apply(y);
}
