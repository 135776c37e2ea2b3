/**
 * The same seed on both backends, and at 1, 2 and 3 threads: the dense network of the benchmarks
 * (784-512-512-10, batch norm, dropout, Adam) on generated digits.
 */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { addon } from "../helpers/executors.js";

const samples = 1280;
const { train } = lw.datasets.digits({ train: samples, test: 10, seed: 4 });

function network(): lw.Sequential {
  const block = () => [
    lw.layers.dense({ units: 512 }),
    lw.layers.batchNormalization(),
    lw.layers.reLU(),
    lw.layers.dropout({ rate: 0.2 }),
  ];
  const model = lw.sequential([
    lw.layers.flatten({ inputShape: [28, 28, 1] }),
    ...block(),
    ...block(),
    lw.layers.dense({ units: 10, activation: "softmax" }),
  ]);
  model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
  return model;
}

async function lossesOf(seed: number, steps: number): Promise<number[]> {
  lw.setRandomSeed(seed);
  const model = network();
  const losses: number[] = [];
  await model.fit(train.x, train.y, {
    batchSize: 128,
    epochs: Math.ceil((steps * 128) / samples),
    verbose: 0,
    seed,
    callbacks: [{ onBatchEnd: (_batch, logs) => void losses.push(logs?.loss ?? Number.NaN) }],
  });
  return losses.slice(0, steps);
}

describe.runIf(addon)("native", () => {
  test("the first losses agree with the TypeScript backend's to 1e-3", async () => {
    lw.setBackend("native");
    const fast = await lossesOf(2, 30);
    lw.setBackend("typescript");
    const plain = await lossesOf(2, 30);
    lw.setBackend("native");
    expect(fast).toHaveLength(30);
    fast.forEach((loss, i) => {
      expect(Math.abs(loss - plain[i]!) / loss, `step ${i}`).toBeLessThan(1e-3);
    });
    expect(fast.at(-1)).toBeLessThan(fast[0]! / 2);
  });

  test("an epoch leaves the same bits in every weight at 1, 2 and 3 threads", async () => {
    lw.setBackend("native");
    const runs: Uint8Array[][] = [];
    for (const threads of [1, 2, 3]) {
      lw.setThreads(threads);
      lw.setRandomSeed(8);
      const model = network();
      await model.fit(train.x, train.y, { batchSize: 128, epochs: 1, verbose: 0, seed: 3 });
      runs.push(
        model.weights.map((w) => {
          const values = w.dataSync();
          return new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
        }),
      );
    }
    lw.setThreads(Math.max(1, lw.backendInfo().affinity ?? 1));
    for (const run of runs.slice(1)) {
      run.forEach((bytes, i) => {
        expect(Buffer.compare(bytes, runs[0]![i]!), `weight ${i}`).toBe(0);
      });
    }
  });
});
