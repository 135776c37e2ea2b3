/** A small model of several kinds of layers, compiled with more than defaults, that the suites of files save. */
import { batchNormalization, dense, dropout } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import * as losses from "../../src/nn/losses.js";
import * as metrics from "../../src/nn/metrics/table.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { cosineDecay } from "../../src/optimizers/schedules.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { blobs } from "./helpers.js";

export const data = blobs(60);

export function network() {
  return sequential({
    name: "net",
    layers: [
      dense({ units: 8, activation: "relu", inputShape: [2], name: "hidden" }),
      batchNormalization({ name: "norm" }),
      dropout({ rate: 0.3, name: "drop" }),
      dense({ units: 3, activation: "softmax", name: "out" }),
    ],
  });
}

export function trained() {
  const made = network();
  made.compile({
    optimizer: optimizers.adam({
      learningRate: cosineDecay({ initialLearningRate: 0.01, decaySteps: 50 }),
      amsgrad: true,
    }),
    loss: losses.sparseCategoricalCrossentropy(),
    metrics: ["accuracy", metrics.f1Score({ average: "macro" })],
  });
  return made;
}

export const weightsOf = (m: { getWeights(): Tensor[] }): number[][] =>
  m.getWeights().map((t) => [...t.dataSync()]);
