/**
 * Runs in a worker or a child process: trains a small network for ever and says when it is at it.
 * `exit` in the data ends the process in mid-run after so many milliseconds.
 */
import { parentPort, workerData } from "node:worker_threads";
import { network, samples } from "./networks.mjs";

const { seed, exit } = workerData ?? JSON.parse(process.argv[2]);
const features = 32 + 16 * (seed % 4);
const model = network(seed, { units: 64, features });
const { x, y } = samples(64, features, seed);
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
