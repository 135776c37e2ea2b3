/** The event loop while `fit` runs, and resident memory over many predictions. */
import { setTimeout as sleep } from "node:timers/promises";
import * as lw from "layerwise";
import { middle } from "../../lib/measure.js";
import type { EntrySpec, LatenessSpec, MemorySpec, TrainSpec } from "../../lib/spec.js";
import { buildModel } from "./train.js";
import type { Measured } from "./worker.js";

const timerMilliseconds = 10;

/** Milliseconds by which a timer that is set again and again was late, until `done`. */
async function lateness(done: () => boolean): Promise<number[]> {
  const late: number[] = [];
  while (!done()) {
    const due = performance.now() + timerMilliseconds;
    await sleep(timerMilliseconds);
    late.push(performance.now() - due);
  }
  return late.sort((a, b) => a - b);
}

function summary(name: string, late: readonly number[]): Record<string, number> {
  const at = (share: number): number =>
    late[Math.min(late.length - 1, Math.floor(share * late.length))]!;
  return {
    [`${name}: p50, ms`]: at(0.5),
    [`${name}: p99, ms`]: at(0.99),
    [`${name}: max, ms`]: late.at(-1)!,
    [`${name}: timers`]: late.length,
  };
}

function randomData({ samples, features, outputs }: TrainSpec): [lw.Tensor, lw.Tensor] {
  const x = new Float32Array(samples * features).map(Math.random);
  const y = new Int32Array(samples).map(() => Math.random() * outputs);
  return [lw.tensor(x, [samples, features]), lw.tensor(y, [samples])];
}

/** Lateness of a timer in an idle process, then while `fit` trains. */
export async function latenessContender({ model: spec, seconds }: LatenessSpec): Promise<Measured> {
  const model = buildModel(spec);
  const [x, y] = randomData(spec);
  // The first epoch compiles.
  await model.fit(x, y, { epochs: 1, batchSize: spec.batchSize, verbose: 0 });
  return {
    async measure() {
      const idleEnd = performance.now() + 2000;
      const idle = await lateness(() => performance.now() > idleEnd);
      const abort = new AbortController();
      let over = false;
      let epochs = 0;
      const training = model
        .fit(x, y, {
          epochs: 1_000_000,
          batchSize: spec.batchSize,
          verbose: 0,
          signal: abort.signal,
          callbacks: { onEpochEnd: () => void epochs++ },
        })
        .catch((error: unknown) => {
          if (!abort.signal.aborted) throw error;
        })
        .finally(() => {
          over = true;
        });
      const end = performance.now() + 1000 * seconds;
      const late = await lateness(() => over || performance.now() > end);
      abort.abort();
      await training;
      return {
        figures: {
          ...summary("idle", idle),
          ...summary("during fit", late),
          "epochs trained": epochs,
        },
      };
    },
    check: async () => ({}),
  };
}

/** Microseconds of a prediction that computes next to nothing: on the caller, and off the event loop. */
export async function entryContender({ calls }: EntrySpec): Promise<Measured> {
  const model = lw.sequential([lw.layers.dense({ units: 1, inputShape: [1] })]);
  const x = lw.tensor(new Float32Array(1), [1, 1]);
  const ways: Readonly<Record<string, (count: number) => Promise<unknown>>> = {
    predictSync: async (count) => {
      for (let i = 0; i < count; i++) model.predictSync(x);
    },
    "predict, each awaited": async (count) => {
      for (let i = 0; i < count; i++) await model.predict(x);
    },
    "predict, 1000 at once": async (count) => {
      for (let i = 0; i < count; i += 1000) {
        await Promise.all(Array.from({ length: 1000 }, () => model.predict(x)));
      }
    },
  };
  return {
    async measure() {
      const figures: Record<string, number> = {};
      for (const [name, run] of Object.entries(ways)) {
        // The first half compiles and warms up.
        const times: number[] = [];
        for (let round = 0; round < 10; round++) {
          const begin = performance.now();
          await run(calls / 10);
          times.push(performance.now() - begin);
        }
        figures[`${name}, µs`] = (middle(times.slice(5)).median * 1e3) / (calls / 10);
      }
      return { figures };
    },
    check: async () => ({}),
  };
}

interface Memory {
  readonly resident: number;
  readonly heap: number;
}

/** Collects garbage, then reads the resident size and V8's part of it, in MiB. */
async function memoryMiB(): Promise<Memory> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await sleep(50);
  }
  const { rss, heapTotal } = process.memoryUsage();
  return { resident: rss / 2 ** 20, heap: heapTotal / 2 ** 20 };
}

/** Resident memory after a warm-up, after many `predictSync`, after many `predict` at once. */
export async function memoryContender(spec: MemorySpec): Promise<Measured> {
  const { features, hidden, outputs, syncCalls, concurrentCalls } = spec;
  const model = lw.sequential([
    lw.layers.dense({ units: hidden, activation: "relu", inputShape: [features] }),
    lw.layers.dense({ units: outputs, activation: "softmax" }),
  ]);
  const x = lw.tensor(new Float32Array(features).map(Math.random), [1, features]);
  const sync = (count: number): void => {
    for (let i = 0; i < count; i++) model.predictSync(x);
  };
  const concurrent = async (count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, () => model.predict(x)));
  };
  return {
    async measure() {
      const start = await memoryMiB();
      // Two whole cycles warm up: V8 grows its young generation to what this load needs.
      for (let cycle = 0; cycle < 2; cycle++) {
        sync(syncCalls);
        await concurrent(concurrentCalls);
      }
      const warm = await memoryMiB();
      let begin = performance.now();
      sync(syncCalls);
      const perSync = (performance.now() - begin) / syncCalls;
      const afterSync = await memoryMiB();
      begin = performance.now();
      await concurrent(concurrentCalls);
      const perConcurrent = (performance.now() - begin) / concurrentCalls;
      const afterConcurrent = await memoryMiB();
      for (let cycle = 0; cycle < 3; cycle++) {
        sync(syncCalls);
        await concurrent(concurrentCalls);
      }
      const end = await memoryMiB();
      const moments = {
        "at start": start,
        "after two cycles (warm-up)": warm,
        [`after ${syncCalls} more predictSync`]: afterSync,
        [`after ${concurrentCalls} more concurrent predict`]: afterConcurrent,
        "after three more cycles": end,
      };
      const figures = Object.entries(moments).flatMap(([when, { resident, heap }]) => [
        [`resident ${when}, MiB`, resident],
        [`of it V8's heap, ${when}, MiB`, heap],
      ]);
      return {
        figures: {
          ...Object.fromEntries(figures),
          "predictSync, µs": 1000 * perSync,
          "predict among concurrent ones, µs": 1000 * perConcurrent,
        },
      };
    },
    check: async () => ({}),
  };
}
