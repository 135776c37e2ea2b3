/**
 * Runs in a worker or a child process: trains a small network for ever and says when it is at it.
 * `exit` in the data ends the process in mid-run after so many milliseconds.
 */
import { parentPort, workerData } from "node:worker_threads";
import * as lw from "../../dist/index.js";

const { seed, exit } = workerData ?? JSON.parse(process.argv[2]);
const size = 64;
const features = 32 + 16 * (seed % 4);
const model = lw.sequential([
  lw.layers.dense({ units: 64, activation: "relu", inputShape: [features] }),
  lw.layers.batchNormalization(),
  lw.layers.dropout({ rate: 0.2 }),
  lw.layers.dense({ units: 10, activation: "softmax" }),
]);
model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
const x = lw.tensor(
  Float32Array.from({ length: size * features }, (_, i) => Math.sin(i * (seed + 1))),
  [size, features],
);
const y = lw.tensor(
  Int32Array.from({ length: size }, (_, i) => i % 10),
  [size],
);
parentPort?.postMessage("loaded");
const options = { batchSize: 16, verbose: 0, seed };
await model.fit(x, y, { ...options, epochs: 1 });
parentPort?.postMessage("training");
if (exit !== undefined) setTimeout(() => process.exit(0), exit);
await Promise.all([
  model.fit(x, y, { ...options, epochs: 1e6 }),
  // Others train, too, and predictions go in between.
  (async () => {
    for (;;) await model.predict(x);
  })(),
]);
