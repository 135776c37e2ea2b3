/** Models made, trained, saved, loaded and asked, over and over: resident memory must settle. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as lw from "../../dist/index.js";
import { memory, settle } from "./process.mjs";

const size = 256;
const features = 64;
/** Growth from the middle of the run to its end that is no leak. */
const allowed = 24 << 20;

export async function soak(rounds, log) {
  const folder = mkdtempSync(join(tmpdir(), "layerwise-soak-"));
  const x = lw.tensor(
    Float32Array.from({ length: size * features }, (_, i) => Math.sin(i)),
    [size, features],
  );
  const y = lw.tensor(
    Int32Array.from({ length: size }, (_, i) => i % 10),
    [size],
  );
  const levels = [];
  let steps = 0;
  let predictions = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      // A shape of its own for each model, so that nothing is found in a cache.
      const model = network(16 + round);
      await model.fit(x, y, { epochs: 100, batchSize: 32, verbose: 0, seed: round });
      steps += (100 * size) / 32;
      for (let i = 0; i < 200; i++) await model.predict(x);
      for (let i = 0; i < 200; i++) model.predictSync(x);
      predictions += 400;
      // Eager work: a graph, a Program and tensors each time.
      for (let i = 0; i < 50; i++)
        x.matMul(x.transpose())
          .sum()
          .mul(i + 1)
          .dataSync();
      const path = join(folder, "model.safetensors");
      await model.save(path);
      await lw.loadModel(path);
      await settle();
      levels.push(memory());
      if (round % 5 === 4) log(`round ${round + 1}: ${memory() >> 20} MiB`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const middle = levels[Math.floor(levels.length / 2)];
  const last = levels.at(-1);
  const ok = last - middle <= allowed;
  return {
    ok,
    lines: [
      `memory: ${rounds} models, ${steps} training steps, ${predictions} predictions; ` +
        `${levels[0] >> 20} MiB after the first, ${middle >> 20} in the middle, ` +
        `${last >> 20} at the end: ${ok ? "settled" : "GROWING"}`,
    ],
  };
}

function network(units) {
  const model = lw.sequential([
    lw.layers.dense({ units, activation: "relu", inputShape: [features] }),
    lw.layers.batchNormalization(),
    lw.layers.dense({ units: 10, activation: "softmax" }),
  ]);
  model.compile({
    optimizer: "adam",
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  return model;
}
