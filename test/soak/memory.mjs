/** Models made, trained, saved, loaded and asked, over and over: resident memory must settle. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as lw from "../../dist/index.js";
import { network, samples } from "./networks.mjs";
import { memory, settle } from "./process.mjs";

const size = 256;
const features = 64;
/** Growth from the middle of the run to its end that is no leak. */
const allowed = 24 << 20;

export async function soak(rounds, log) {
  const folder = mkdtempSync(join(tmpdir(), "layerwise-soak-"));
  const { x, y } = samples(size, features, 0);
  const levels = [];
  let steps = 0;
  let predictions = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      // A shape of its own for each model, so that nothing is found in a cache.
      const model = network(round, { units: 16 + round, features });
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
