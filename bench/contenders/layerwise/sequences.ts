/** Networks around recurrent layers: steps inside `fit`, or steps of one sequence by a stateful layer. */
import * as lw from "layerwise";
import type { DataPaths, SequenceSpec } from "../../lib/spec.js";
import { readFloats, readInts } from "./files.js";
import { timeCalls, timeEpochs } from "./timing.js";
import type { Measured } from "./worker.js";

function build({ cell, inputs, units, layers, vocabulary, classes }: SequenceSpec): lw.Sequential {
  const model = lw.sequential();
  if (vocabulary > 0) {
    model.add(lw.layers.embedding({ inputDim: vocabulary, outputDim: inputs, inputShape: [null] }));
  } else {
    model.add(lw.layers.inputLayer({ inputShape: [null, inputs] }));
  }
  for (let i = 0; i < layers; i++) {
    const options = { units, returnSequences: vocabulary > 0 || i + 1 < layers };
    model.add(cell === "lstm" ? lw.layers.lstm(options) : lw.layers.gru(options));
  }
  model.add(lw.layers.dense({ units: vocabulary > 0 ? vocabulary : classes }));
  return model;
}

async function training(spec: SequenceSpec, files: DataPaths): Promise<Measured> {
  lw.setRandomSeed(1);
  const { samples, time, inputs, vocabulary, batchSize, learningRate } = spec;
  const labels = await readInts(files.y!);
  const x =
    vocabulary > 0
      ? lw.tensor(await readInts(files.x!), [samples, time])
      : lw.tensor(await readFloats(files.x!), [samples, time, inputs]);
  const y = lw.tensor(labels, vocabulary > 0 ? [samples, time] : [samples]);
  const model = build(spec);
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate }),
    loss: lw.losses.sparseCategoricalCrossentropy({ fromLogits: true }),
  });
  const epochs = timeEpochs(samples / batchSize, (epochs) =>
    model.fit(x, y, { epochs, batchSize, verbose: 0 }),
  );
  return { measure: epochs.measure, check: async () => ({ check: { loss: epochs.loss() } }) };
}

/** States stay with the layer from call to call; the check begins anew and gives the third step's output. */
async function step(spec: SequenceSpec, files: DataPaths): Promise<Measured> {
  const { cell, inputs, units } = spec;
  const options = { units, stateful: true, inputShape: [null, inputs] as const };
  const layer = cell === "lstm" ? lw.layers.lstm(options) : lw.layers.gru(options);
  const model = lw.sequential([layer]);
  const all = await readFloats(files.weights!);
  let at = 0;
  for (const weight of layer.weights) {
    weight.assign(lw.tensor(all.slice(at, at + weight.size), weight.shape));
    at += weight.size;
  }
  const x = lw.tensor(await readFloats(files.x!), [1, 1, inputs]);
  const predict = (): Float32Array => model.predictSync(x).dataSync() as Float32Array;
  const timer = timeCalls(predict);
  return {
    measure: async (seconds) => ({ perUnit: timer(seconds) }),
    async check() {
      model.resetStates();
      predict();
      predict();
      return { outputs: [...predict()] };
    },
  };
}

/** One contender of a case of kind `sequence`. */
export function sequenceContender(spec: SequenceSpec, files: DataPaths): Promise<Measured> {
  return spec.task === "train" ? training(spec, files) : step(spec, files);
}
