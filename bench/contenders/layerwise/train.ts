/** Training steps inside `fit`: what a user gets, with shuffling, batching and the history of losses. */
import * as lw from "layerwise";
import type { DataPaths, TrainSpec } from "../../lib/spec.js";
import { readFloats, readInts } from "./files.js";
import { timeEpochs } from "./timing.js";
import type { Measured } from "./worker.js";

/** The network of a spec, compiled. */
export function buildModel(spec: TrainSpec): ReturnType<typeof lw.sequential> {
  const { layers } = lw;
  const stack: lw.Layer[] = [];
  for (const units of spec.hidden) {
    const inputShape = stack.length === 0 ? { inputShape: [spec.features] } : {};
    stack.push(layers.dense({ units, ...inputShape }));
    if (spec.batchNorm) stack.push(layers.batchNormalization());
    stack.push(layers.activation({ activation: spec.activation }));
    if (spec.dropout > 0) stack.push(layers.dropout({ rate: spec.dropout }));
  }
  const several = spec.outputs > 1;
  stack.push(
    layers.dense({
      units: spec.outputs,
      activation: several ? "softmax" : "sigmoid",
      ...(stack.length === 0 && { inputShape: [spec.features] }),
    }),
  );
  const model = lw.sequential(stack);
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate: spec.learningRate }),
    loss: several ? "sparseCategoricalCrossentropy" : "binaryCrossentropy",
  });
  return model;
}

/** Repeats `fit` on the same model; each call trains some epochs on. */
export async function trainContender(spec: TrainSpec, files: DataPaths): Promise<Measured> {
  lw.setRandomSeed(1);
  const { samples, features, outputs, batchSize } = spec;
  const x = lw.tensor(await readFloats(files.x!), [samples, features]);
  const labels = await readInts(files.y!);
  const y =
    outputs > 1 ? lw.tensor(labels, [samples]) : lw.tensor(Float32Array.from(labels), [samples, 1]);
  const model = buildModel(spec);
  const steps = Math.max(1, Math.floor(samples / batchSize));
  const rows = lw.data.fromArrays(x, y);
  const dataset =
    spec.source &&
    {
      rows: rows.shuffle(Infinity).batch(batchSize),
      elements: rows.shuffle(1000).batch(batchSize),
    }[spec.source];
  const epochs = timeEpochs(steps, (epochs) =>
    dataset
      ? model.fit(dataset, { epochs, verbose: 0 })
      : model.fit(x, y, { epochs, batchSize, verbose: 0 }),
  );
  return { measure: epochs.measure, check: async () => ({ check: { loss: epochs.loss() } }) };
}
