/** LeNet-5 (LeCun et al. 1998), as it was and as it is built today. */
import { choice, type OptionsOf, parseOptions } from "../../layers/config.js";
import { connectedConv2d } from "../../layers/connected.js";
import { conv2d, depthwiseConv2d } from "../../layers/convolution.js";
import { dense, flatten } from "../../layers/core.js";
import { averagePooling2d, maxPooling2d } from "../../layers/pooling.js";
import type { SymbolicTensor } from "../../layers/symbolic.js";
import { type Model, model } from "../model.js";
import { image, networkOptions } from "./blocks.js";

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
};

/** Options of {@link lenet5}. */
export type Lenet5Options = OptionsOf<typeof lenet5Options>;

/**
 * LeNet-5 for images of 28×28 (the first convolution pads them) or 32×32.
 *
 * "original" has the paper's 60,000 trainable parameters up to F6: C1 156, S2 12, C3 1,516, S4 32, C5
 * 48,120, F6 10,164. Two things differ: tanh is not scaled to 1.7159 · tanh(2x/3), and the output is
 * softmax over a dense layer (850 more) in place of distances to drawn characters. "modern" has 61,706.
 */
export function lenet5(options: Lenet5Options = {}): Model {
  const o = parseOptions("models.lenet5()", lenet5Options, options);
  const [height, width] = o.inputShape;
  const x = image(o.inputShape);
  // 32×32 is what the paper pads its digits to.
  const padding = Math.min(height, width) < 32 ? "same" : "valid";
  const features = o.variant === "original" ? original(x, padding) : modern(x, padding);
  const outputs = dense({
    units: o.classes,
    activation: o.classifierActivation,
    name: "predictions",
  }).apply(features);
  return model({ inputs: x, outputs, name: o.name ?? "lenet5" });
}

function modern(x: SymbolicTensor, padding: "same" | "valid"): SymbolicTensor {
  const init = { activation: "relu", kernelInitializer: "heNormal" } as const;
  let y = conv2d({ filters: 6, kernelSize: 5, padding, ...init, name: "c1" }).apply(x);
  y = maxPooling2d({ name: "s2" }).apply(y);
  y = conv2d({ filters: 16, kernelSize: 5, ...init, name: "c3" }).apply(y);
  y = maxPooling2d({ name: "s4" }).apply(y);
  y = flatten({ name: "flatten" }).apply(y);
  y = dense({ units: 120, ...init, name: "c5" }).apply(y);
  return dense({ units: 84, ...init, name: "f6" }).apply(y);
}

function original(x: SymbolicTensor, padding: "same" | "valid"): SymbolicTensor {
  const tanh = { activation: "tanh" } as const;
  /** Means of 2×2, times a coefficient, plus a bias, both learned for each map. */
  const subsample = (y: SymbolicTensor, name: string): SymbolicTensor =>
    depthwiseConv2d({ kernelSize: 1, depthwiseInitializer: "ones", ...tanh, name }).apply(
      averagePooling2d({ name: `${name}_mean` }).apply(y),
    );
  let y = conv2d({ filters: 6, kernelSize: 5, padding, ...tanh, name: "c1" }).apply(x);
  y = subsample(y, "s2");
  y = connectedConv2d({ connections, kernelSize: 5, ...tanh, name: "c3" }).apply(y);
  y = subsample(y, "s4");
  y = conv2d({ filters: 120, kernelSize: 5, ...tanh, name: "c5" }).apply(y);
  y = flatten({ name: "flatten" }).apply(y);
  return dense({ units: 84, ...tanh, name: "f6" }).apply(y);
}
