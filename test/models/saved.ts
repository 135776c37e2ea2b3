/** A small model of several kinds of layers, compiled with more than defaults, that the suites of files save. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { batchNormalization, dense, dropout } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import * as losses from "../../src/nn/losses.js";
import * as metrics from "../../src/nn/metrics/table.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { cosineDecay } from "../../src/optimizers/schedules.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { blobs } from "./helpers.js";

export const data = blobs(60);

/** The present test's folder, and a file for a model in it. */
export let directory: string;
export let path: string;

/** Gives each test of a suite a folder of its own, and the same random numbers. */
export function testsInFolders(): void {
  beforeEach(() => {
    setRandomSeed(1);
    directory = mkdtempSync(join(tmpdir(), "layerwise-"));
    path = join(directory, "model.safetensors");
  });
  afterEach(() => rmSync(directory, { recursive: true }));
}

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
