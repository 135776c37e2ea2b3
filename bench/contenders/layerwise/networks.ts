/** Convolutional networks: steps inside `fit`, or predictions, and the memory they take at their peak. */
import * as lw from "layerwise";
import { PeakMemory } from "../../lib/memory.js";
import { buildNetwork } from "../../lib/networks.js";
import type { DataPaths, NetworkSpec } from "../../lib/spec.js";
import { readFloats, readInts } from "./files.js";
import { timeEpochs } from "./timing.js";
import type { Measured } from "./worker.js";

async function images({ samples, side, channels }: NetworkSpec, path: string): Promise<lw.Tensor> {
  return lw.tensor(await readFloats(path), [samples, side, side, channels]);
}

async function training(spec: NetworkSpec, files: DataPaths): Promise<Measured> {
  lw.setRandomSeed(1);
  const { samples, batchSize, learningRate } = spec;
  const x = await images(spec, files.x!);
  const y = lw.tensor(await readInts(files.y!), [samples]);
  const memory = new PeakMemory();
  const model = buildNetwork(spec);
  model.compile({
    optimizer:
      spec.optimizer === "adam"
        ? lw.optimizers.adam({ learningRate })
        : lw.optimizers.sgd({ learningRate, momentum: 0.9 }),
    loss: "sparseCategoricalCrossentropy",
  });
  const epochs = timeEpochs(samples / batchSize, (epochs) =>
    model.fit(x, y, { epochs, batchSize, verbose: 0 }),
  );
  return {
    measure: epochs.measure,
    check: async () => ({ check: { loss: epochs.loss(), ...memory.figures() } }),
  };
}

async function prediction(spec: NetworkSpec, files: DataPaths): Promise<Measured> {
  const x = await images(spec, files.x!);
  const all = await readFloats(files.weights!);
  const memory = new PeakMemory();
  const model = buildNetwork(spec);
  let at = 0;
  for (const weight of model.layers.flatMap((layer) => layer.weights)) {
    weight.assign(lw.tensor(all.slice(at, at + weight.size), weight.shape));
    at += weight.size;
  }
  const predict = (): Float32Array => model.predictSync(x).dataSync() as Float32Array;
  return {
    async measure(seconds) {
      const times: number[] = [];
      const end = performance.now() + 1000 * seconds;
      do {
        const begin = performance.now();
        predict();
        times.push((performance.now() - begin) / 1000);
      } while (performance.now() < end || times.length < 3);
      return { perUnit: times.sort((a, b) => a - b)[times.length >> 1]! };
    },
    check: async () => ({ outputs: [...predict()], check: memory.figures() }),
  };
}

/** One contender of a case of kind `network`. */
export function networkContender(spec: NetworkSpec, files: DataPaths): Promise<Measured> {
  return spec.task === "train" ? training(spec, files) : prediction(spec, files);
}
