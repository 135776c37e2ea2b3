/** What others see and may do while `fit` runs: weights of whole steps, and no change behind its back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { setBackend } from "../../src/backend/select.js";
import { StateError } from "../../src/errors.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { concatenate, dense } from "../../src/layers/layers.js";
import { type Model, model } from "../../src/models/model.js";
import { input } from "../../src/network/network.js";
import { fill } from "../../src/ops/creation.js";
import * as optimizers from "../../src/optimizers/factories.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { backends, defaultBackend } from "./helpers.js";

const [size, rows] = [256, 64];
const x = fill([rows, size], 1);
const pause = (milliseconds: number) => new Promise((r) => setTimeout(r, milliseconds));

/** Two kernels and biases whose elements are all exactly the number of finished steps. */
function counting(): Model {
  const inputs = input({ shape: [size] });
  const unit = (name: string) =>
    dense({ units: size, kernelInitializer: "zeros", name }).apply(inputs);
  const made = model({
    inputs,
    outputs: concatenate().apply([unit("a"), unit("b")]) as ReturnType<typeof unit>,
  });
  made.compile({
    // d loss / d w = −1 / (2 · size), a power of 2
    optimizer: optimizers.sgd({ learningRate: 2 * size }),
    loss: (_t, p) => p.mul(-1).mean(-1),
  });
  return made;
}

/** The one value that all of the tensors consist of. */
function onlyValue(tensors: readonly Tensor[]): number {
  const values = new Set(tensors.flatMap((t) => [...new Set(t.dataSync())]));
  expect(values.size).toBe(1);
  return [...values][0]!;
}

describe.each(backends)("while fit runs (%s)", (backend) => {
  let made: Model;
  let directory: string;
  const stop = { controller: new AbortController() };
  let fit: Promise<unknown>;

  beforeEach(async () => {
    setBackend(backend);
    directory = mkdtempSync(join(tmpdir(), "layerwise-"));
    made = counting();
    stop.controller = new AbortController();
    // One epoch of very many steps: one loop.
    const samples = fill([rows * 500, size], 1);
    await samples.data();
    fit = made.fit(samples, fill([rows * 500, 2 * size], 0), {
      batchSize: rows,
      shuffle: false,
      verbose: 0,
      epochs: 1000,
      signal: stop.controller.signal,
    });
    fit.catch(() => {});
    while (onlyValue(made.getWeights()) === 0) await pause(5);
  });
  afterEach(async () => {
    stop.controller.abort();
    await expect(fit).rejects.toThrow(/abort/i);
    rmSync(directory, { recursive: true });
    defaultBackend();
  });

  test("getWeights gives the weights of a whole step, and they stay what they are", async () => {
    let last = 0;
    for (let i = 0; i < 10; i++) {
      const weights = made.getWeights();
      const value = onlyValue(weights);
      expect(value).toBeGreaterThanOrEqual(last);
      last = value;
      await pause(7);
      expect(onlyValue(weights)).toBe(value);
    }
    const single = made.weights[0]!.read();
    const value = onlyValue([single]);
    const expression = made.weights[0]!.add(0);
    await pause(20);
    expect(onlyValue([single])).toBe(value);
    expect(onlyValue([expression])).toBeGreaterThanOrEqual(value);
    expect(onlyValue(made.getWeights())).toBeGreaterThan(value);
  });

  test("save writes weights and optimizer of one step", async () => {
    const path = join(directory, "model.safetensors");
    for (let i = 0; i < 5; i++) {
      await made.save(path);
      const { tensors } = await readSafetensors(path);
      const steps = tensors.get("__optimizer__/iterations")!.data[0];
      for (const name of ["a/kernel", "b/kernel"]) {
        expect(new Set(tensors.get(name)!.data)).toEqual(new Set([steps]));
      }
      await pause(3);
    }
  });

  test("predictions come from the weights of a whole step", async () => {
    const first = onlyValue([made.predictSync(x)]);
    for (let i = 0; i < 10; i++) {
      const sync = onlyValue([made.predictSync(x)]);
      expect(Number.isInteger(sync / (size + 1))).toBe(true);
      const later = onlyValue([await made.predict(x)]);
      expect(later).toBeGreaterThanOrEqual(sync);
      await pause(3);
    }
    expect(onlyValue([made.predictSync(x)])).toBeGreaterThan(first);
  });

  test("predictions of many batches come from whole steps too, batch by batch", async () => {
    const batches = 12;
    const many = fill([rows * batches, size], 1);
    await many.data();
    for (let i = 0; i < 3; i++) {
      const values = (await made.predict(many, { batchSize: rows })).dataSync();
      let last = 0;
      for (let b = 0; b < batches; b++) {
        const batch = values.subarray(b * rows * 2 * size, (b + 1) * rows * 2 * size);
        const [value, ...others] = new Set(batch);
        expect(others).toEqual([]);
        // As many steps in each kernel's column as in its bias.
        expect(value! % (size + 1)).toBe(0);
        expect(value).toBeGreaterThanOrEqual(last);
        last = value!;
      }
    }
  });

  test("changing weights is an error, before any of them is changed", async () => {
    const path = join(directory, "weights.safetensors");
    await made.saveWeights(path);
    const zeros = made.weights.map((w) => fill(w.shape, 0));
    expect(() => made.setWeights(zeros)).toThrow(StateError);
    expect(() => made.weights[0]!.assign(zeros[0]!)).toThrow(
      /^variable a\/kernel: it can't be changed while training step of model\w* is running; wait for that, or change it in a callback$/,
    );
    await expect(made.loadWeights(path)).rejects.toThrow(/can't be changed while/);
    expect(onlyValue(made.getWeights())).toBeGreaterThan(0);
  });
});

describe.each(backends)("between the epochs of fit (%s)", (backend) => {
  beforeEach(() => setBackend(backend));
  afterEach(defaultBackend);

  test("a callback may set weights, and training goes on from them", async () => {
    const made = counting();
    await made.fit(x, fill([rows, 2 * size], 0), {
      epochs: 3,
      batchSize: rows,
      verbose: 0,
      callbacks: {
        onEpochEnd(epoch) {
          if (epoch === 1) made.setWeights(made.weights.map((w) => fill(w.shape, 100)));
        },
      },
    });
    expect(onlyValue(made.getWeights())).toBe(101);
  });
});
