/**
 * One row per layer (or notable setting) for the contract tests in layers.test.ts: what to make, what
 * to feed it, which weights it must have. A layer without a row fails those tests.
 */
import type { Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import type { DType } from "../../src/tensor/dtype.js";
import { imageSamples } from "./imageSamples.js";
import { sequenceSamples } from "./sequenceSamples.js";

export interface LayerSample {
  readonly title: string;
  readonly make: () => Layer;
  /** Shapes of the inputs with a batch; several when the layer takes an array. */
  readonly inputs: readonly (readonly number[])[];
  readonly dtype?: DType;
  /** dtypes of the inputs, where they differ or are whole numbers below `limit`. */
  readonly dtypes?: readonly DType[];
  readonly limit?: number;
  /** Whether the layer takes one input as well as several, so that their number is not refused. */
  readonly anyInputs?: boolean;
  /** Output shape without the batch. */
  readonly output: readonly number[];
  /** Names and shapes of the weights, trainable ones first. */
  readonly weights?: Readonly<Record<string, readonly number[]>>;
  readonly trainable?: number;
  /** What training does: nothing special, random numbers, or other statistics. */
  readonly training?: "same" | "random" | "statistics";
  /** Why finite differences can't check the gradients. */
  readonly unchecked?: "a kink" | "integer input";
  /** False for what can't be written to a configuration. */
  readonly config?: boolean;
}

const seed = 7;

const own: readonly LayerSample[] = [
  {
    title: "inputLayer",
    make: () => layers.inputLayer({ inputShape: [3, 2] }),
    inputs: [[4, 3, 2]],
    output: [3, 2],
  },
  {
    title: "dense",
    make: () => layers.dense({ units: 5, activation: "tanh", biasInitializer: "glorotUniform" }),
    inputs: [[4, 3]],
    output: [5],
    weights: { kernel: [3, 5], bias: [5] },
  },
  {
    title: "dense on sequences, without bias",
    make: () => layers.dense({ units: 2, useBias: false }),
    inputs: [[2, 4, 3]],
    output: [4, 2],
    weights: { kernel: [3, 2] },
  },
  {
    title: "radialBasis",
    make: () =>
      layers.radialBasis({
        units: 2,
        centers: [
          [1, -1, 0.5],
          [0, 2, -1],
        ],
        activation: "softmax",
      }),
    inputs: [[4, 3]],
    output: [2],
    weights: { centers: [2, 3] },
  },
  {
    title: "radialBasis on sequences",
    make: () => layers.radialBasis({ units: 5 }),
    inputs: [[2, 4, 3]],
    output: [4, 5],
    weights: { centers: [5, 3] },
  },
  {
    title: "activation",
    make: () => layers.activation({ activation: "softplus" }),
    inputs: [[2, 3]],
    output: [3],
  },
  {
    title: "identity",
    make: () => layers.identity(),
    inputs: [[2, 3]],
    output: [3],
  },
  {
    title: "reLU",
    make: () => layers.reLU(),
    inputs: [[2, 3]],
    output: [3],
    unchecked: "a kink",
  },
  {
    title: "reLU with everything",
    make: () => layers.reLU({ maxValue: 0.8, negativeSlope: 0.1, threshold: 0.2 }),
    inputs: [[2, 3, 2]],
    output: [3, 2],
    unchecked: "a kink",
  },
  {
    title: "leakyReLU",
    make: () => layers.leakyReLU(),
    inputs: [[2, 3]],
    output: [3],
    unchecked: "a kink",
  },
  { title: "elu", make: () => layers.elu({ alpha: 1 }), inputs: [[2, 3]], output: [3] },
  {
    title: "prelu",
    make: () =>
      layers.prelu({ alphaInitializer: { className: "constant", config: { value: 0.2 } } }),
    inputs: [[2, 3, 4]],
    output: [3, 4],
    weights: { alpha: [3, 4] },
    unchecked: "a kink",
  },
  {
    title: "prelu with shared axes",
    make: () => layers.prelu({ sharedAxes: [1, 2] }),
    inputs: [[2, 3, 4, 2]],
    output: [3, 4, 2],
    weights: { alpha: [1, 1, 2] },
    unchecked: "a kink",
  },
  { title: "softmax", make: () => layers.softmax(), inputs: [[2, 3, 4]], output: [3, 4] },
  {
    title: "softmax along axis 1",
    make: () => layers.softmax({ axis: 1 }),
    inputs: [[2, 3, 4]],
    output: [3, 4],
  },
  {
    title: "thresholdedReLU",
    make: () => layers.thresholdedReLU({ theta: 0.3 }),
    inputs: [[2, 3]],
    output: [3],
    unchecked: "a kink",
  },
  { title: "flatten", make: () => layers.flatten(), inputs: [[2, 3, 4]], output: [12] },
  {
    title: "flatten of uint8",
    make: () => layers.flatten(),
    inputs: [[2, 3, 4]],
    dtype: "uint8",
    output: [12],
    unchecked: "integer input",
  },
  {
    title: "flatten with the channels first",
    make: () => layers.flatten({ dataFormat: "channelsFirst" }),
    inputs: [[2, 3, 4, 5]],
    output: [60],
  },
  {
    title: "reshape",
    make: () => layers.reshape({ targetShape: [4, -1] }),
    inputs: [[2, 3, 8]],
    output: [4, 6],
  },
  {
    title: "permute",
    make: () => layers.permute({ dims: [2, 1] }),
    inputs: [[2, 3, 4]],
    output: [4, 3],
  },
  {
    title: "repeatVector",
    make: () => layers.repeatVector({ n: 3 }),
    inputs: [[2, 4]],
    output: [3, 4],
  },
  {
    title: "lambda",
    make: () => layers.lambda({ function: (x) => x.square() }),
    inputs: [[2, 4]],
    output: [4],
    config: false,
  },
  {
    title: "rescaling of uint8",
    make: () => layers.rescaling({ scale: 1 / 255, offset: -0.5 }),
    inputs: [[2, 4]],
    dtype: "uint8",
    output: [4],
    unchecked: "integer input",
  },
  {
    title: "dropout",
    make: () => layers.dropout({ rate: 0.5 }),
    inputs: [[8, 9]],
    output: [9],
    training: "random",
  },
  {
    title: "dropout with a seed and a noise shape",
    make: () => layers.dropout({ rate: 0.4, seed, noiseShape: [null, 1, 5] }),
    inputs: [[8, 3, 5]],
    output: [3, 5],
    training: "random",
  },
  {
    title: "spatialDropout1d",
    make: () => layers.spatialDropout1d({ rate: 0.5 }),
    inputs: [[4, 3, 8]],
    output: [3, 8],
    training: "random",
  },
  {
    title: "spatialDropout2d",
    make: () => layers.spatialDropout2d({ rate: 0.5 }),
    inputs: [[4, 2, 3, 8]],
    output: [2, 3, 8],
    training: "random",
  },
  {
    title: "spatialDropout3d, channels first",
    make: () => layers.spatialDropout3d({ rate: 0.5, dataFormat: "channelsFirst" }),
    inputs: [[4, 8, 2, 3, 2]],
    output: [8, 2, 3, 2],
    training: "random",
  },
  {
    title: "gaussianNoise",
    make: () => layers.gaussianNoise({ stddev: 0.3 }),
    inputs: [[4, 5]],
    output: [5],
    training: "random",
  },
  {
    title: "gaussianDropout",
    make: () => layers.gaussianDropout({ rate: 0.3 }),
    inputs: [[4, 5]],
    output: [5],
    training: "random",
  },
  {
    title: "alphaDropout",
    make: () => layers.alphaDropout({ rate: 0.3 }),
    inputs: [[4, 5]],
    output: [5],
    training: "random",
  },
  {
    title: "activityRegularization",
    make: () => layers.activityRegularization({ l1: 0.1, l2: 0.2 }),
    inputs: [[4, 5]],
    output: [5],
  },
  {
    title: "batchNormalization",
    make: () =>
      layers.batchNormalization({
        gammaInitializer: { className: "constant", config: { value: 1.5 } },
      }),
    inputs: [[6, 3]],
    output: [3],
    weights: { gamma: [3], beta: [3], movingMean: [3], movingVariance: [3] },
    trainable: 2,
    training: "statistics",
  },
  {
    title: "batchNormalization of images along axis 1",
    make: () => layers.batchNormalization({ axis: 1 }),
    inputs: [[3, 2, 4, 3]],
    output: [2, 4, 3],
    weights: { gamma: [2], beta: [2], movingMean: [2], movingVariance: [2] },
    trainable: 2,
    training: "statistics",
  },
  {
    title: "batchNormalization without scale and center",
    make: () => layers.batchNormalization({ scale: false, center: false }),
    inputs: [[5, 4, 3]],
    output: [4, 3],
    weights: { movingMean: [3], movingVariance: [3] },
    trainable: 0,
    training: "statistics",
  },
  {
    title: "layerNormalization",
    make: () => layers.layerNormalization({ gammaInitializer: "glorotUniform" }),
    inputs: [[3, 2, 6]],
    output: [2, 6],
    weights: { gamma: [6], beta: [6] },
  },
  {
    title: "layerNormalization over two axes",
    make: () => layers.layerNormalization({ axis: [1, 3] }),
    inputs: [[2, 3, 4, 2]],
    output: [3, 4, 2],
    weights: { gamma: [3, 2], beta: [3, 2] },
  },
  {
    title: "groupNormalization",
    make: () => layers.groupNormalization({ groups: 2 }),
    inputs: [[2, 3, 2, 6]],
    output: [3, 2, 6],
    weights: { gamma: [6], beta: [6] },
  },
  {
    title: "groupNormalization, one group per channel, along axis 1",
    make: () => layers.groupNormalization({ groups: -1, axis: 1, scale: false }),
    inputs: [[2, 3, 8]],
    output: [3, 8],
    weights: { beta: [3] },
  },
  {
    title: "unitNormalization",
    make: () => layers.unitNormalization(),
    inputs: [[3, 4]],
    output: [4],
  },
  {
    title: "unitNormalization over two axes",
    make: () => layers.unitNormalization({ axis: [1, 2] }),
    inputs: [[3, 4, 2]],
    output: [4, 2],
  },
  {
    title: "add",
    make: () => layers.add(),
    inputs: [
      [2, 3],
      [2, 3],
      [2, 1],
    ],
    output: [3],
  },
  {
    title: "add of different ranks",
    make: () => layers.add(),
    inputs: [
      [2, 4, 3],
      [2, 3],
    ],
    output: [4, 3],
  },
  {
    title: "subtract",
    make: () => layers.subtract(),
    inputs: [
      [2, 3],
      [2, 3],
    ],
    output: [3],
  },
  {
    title: "multiply",
    make: () => layers.multiply(),
    inputs: [
      [2, 3],
      [2, 3],
    ],
    output: [3],
  },
  {
    title: "average",
    make: () => layers.average(),
    inputs: [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    output: [3],
  },
  {
    title: "maximum",
    make: () => layers.maximum(),
    inputs: [
      [2, 3],
      [2, 3],
    ],
    output: [3],
  },
  {
    title: "minimum",
    make: () => layers.minimum(),
    inputs: [
      [2, 3],
      [2, 3],
    ],
    output: [3],
  },
  {
    title: "concatenate",
    make: () => layers.concatenate(),
    inputs: [
      [2, 3],
      [2, 1],
    ],
    output: [4],
  },
  {
    title: "concatenate along axis 1",
    make: () => layers.concatenate({ axis: 1 }),
    inputs: [
      [2, 3, 2],
      [2, 1, 2],
    ],
    output: [4, 2],
  },
  {
    title: "dot of vectors",
    make: () => layers.dot({ axes: 1 }),
    inputs: [
      [2, 3],
      [2, 3],
    ],
    output: [1],
  },
  {
    title: "dot of matrices, normalised",
    make: () => layers.dot({ axes: [2, 1], normalize: true }),
    inputs: [
      [2, 4, 3],
      [2, 3, 5],
    ],
    output: [4, 5],
  },
];

export const samples: readonly LayerSample[] = [...own, ...imageSamples, ...sequenceSamples];
