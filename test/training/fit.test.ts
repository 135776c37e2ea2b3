/** fit, evaluate, predict: what they compute, report and refuse. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { setBackend } from "../../src/backend/select.js";
import { NonFiniteError, StateError } from "../../src/errors.js";
import { dense, dropout } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { f1Score, fBetaScore, type MetricIdentifier } from "../../src/nn/metrics/table.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import {
  backends,
  blobNetwork,
  blobs,
  defaultBackend,
  gateInputs,
  xor,
  xorNetwork,
} from "../models/helpers.js";
import { l2 } from "./regularizer.js";

beforeEach(() => setRandomSeed(1));
afterEach(defaultBackend);

/** y = 2x + 1 exactly, and a linear unit that starts at w = 0, b = 0. */
function line() {
  const x = Array.from({ length: 10 }, (_, i) => [i / 10]);
  const y = x.map(([v]) => 2 * v! + 1);
  const model = sequential([dense({ units: 1, kernelInitializer: "zeros", inputShape: [1] })]);
  return { x, y, model };
}

/** The same training in float64: batches in order, returns losses by epoch and the parameters. */
function reference(epochs: number, batch: number, rate: number, weights?: number[]) {
  const { x, y } = line();
  let [w, b] = [0, 0];
  const losses: number[] = [];
  for (let e = 0; e < epochs; e++) {
    let total = 0;
    for (let from = 0; from < x.length; from += batch) {
      const part = x.slice(from, from + batch);
      let [loss, dw, db] = [0, 0, 0];
      part.forEach(([v], i) => {
        const error = w * v! + b - y[from + i]!;
        const weight = weights?.[from + i] ?? 1;
        loss += (weight * error * error) / part.length;
        dw += (2 * weight * error * v!) / part.length;
        db += (2 * weight * error) / part.length;
      });
      total += loss * part.length;
      w -= rate * dw;
      b -= rate * db;
    }
    losses.push(total / x.length);
  }
  return { losses, parameters: [w, b] };
}

const parametersOf = (model: { getWeights(): Tensor[] }): number[] =>
  model.getWeights().flatMap((t) => [...t.dataSync()]);

describe.each(backends)("what fit computes (%s)", (backend) => {
  beforeEach(() => setBackend(backend));

  test.each([
    ["full batch", Number.POSITIVE_INFINITY, 10],
    ["stochastic", 1, 1],
    ["mini-batches with a smaller last one", 4, 4],
  ])("%s gradient descent", async (_, batchSize, rows) => {
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: "mse" });
    const { history, epoch } = await model.fit(x, y, {
      epochs: 5,
      batchSize,
      shuffle: false,
      verbose: 0,
    });
    const want = reference(5, rows, 0.1);
    expect(epoch).toEqual([0, 1, 2, 3, 4]);
    expectClose(history.loss!, want.losses, { rtol: 1e-5 });
    expectClose(parametersOf(model), want.parameters, { rtol: 1e-5 });
  });

  test("an epoch presents each sample once, in an order that follows from the seed", async () => {
    // The weight becomes the sum of all samples (powers of 2), whatever the order.
    const samples = [1, 2, 4, 8, 16, 32, 64];
    const orders: string[] = [];
    for (const seed of [3, 3, 4]) {
      const model = sequential([
        dense({ units: 1, useBias: false, kernelInitializer: "zeros", inputShape: [1] }),
      ]);
      model.compile({
        optimizer: optimizers.sgd({ learningRate: 1 }),
        loss: (_t, p) => p.mul(-1).mean(-1),
      });
      const seen: number[] = [];
      await model.fit(samples, samples, {
        batchSize: 1,
        seed,
        verbose: 0,
        callbacks: { onBatchEnd: () => void seen.push(parametersOf(model)[0]!) },
      });
      expect(seen.at(-1)).toBe(127);
      orders.push(seen.map((v, i) => v - (seen[i - 1] ?? 0)).join());
    }
    expect(orders[0]).toBe(orders[1]);
    expect(orders[0]).not.toBe(orders[2]);
    expect(orders[0]).not.toBe(samples.join());
  });

  test("sample weights and class weights", async () => {
    const weights = [1, 0, 2, 1, 0.5, 1, 1, 3, 1, 1];
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 0.1 }), loss: "mse" });
    const options = { epochs: 3, batchSize: 4, shuffle: false, verbose: 0 } as const;
    const { history } = await model.fit(x, y, { ...options, sampleWeight: weights });
    expectClose(history.loss!, reference(3, 4, 0.1, weights).losses, { rtol: 1e-5 });

    const run = async (extra: object): Promise<number[]> => {
      const classifier = blobNetwork();
      classifier.setWeights(
        classifier.weights.map((w) => leaf(new Float32Array(w.size).fill(0.1), w.shape, "float32")),
      );
      classifier.compile({ optimizer: "sgd", loss: "sparseCategoricalCrossentropy" });
      const data = blobs(30);
      await classifier.fit(data.x, data.y, { verbose: 0, shuffle: false, ...extra });
      return parametersOf(classifier);
    };
    const labels = blobs(30).y;
    const byClass = await run({ classWeight: { 0: 2, 2: 0.25 } });
    const bySample = await run({
      sampleWeight: Float32Array.from(labels, (l) => [2, 1, 0.25][l]!),
    });
    expect(byClass).toEqual(bySample);
    expect(byClass).not.toEqual(await run({}));
  });

  test("regularizers are part of the loss, constraints hold after a step", async () => {
    const model = sequential([
      dense({
        units: 1,
        useBias: false,
        kernelInitializer: "ones",
        kernelRegularizer: l2(0.5),
        kernelConstraint: "nonNeg",
        inputShape: [1],
      }),
    ]);
    model.compile({ optimizer: optimizers.sgd({ learningRate: 1 }), loss: "mse" });
    const { history } = await model.fit([[1]], [[1]], { verbose: 0 });
    // loss = (1 − 1)² + 0.5·1²; gradient = 2·0.5·1, so w = 1 − 1 = 0
    expect(history.loss).toEqual([0.5]);
    expect(parametersOf(model)).toEqual([0]);
    await model.fit([[1]], [[-5]], { verbose: 0 });
    expect(parametersOf(model)).toEqual([0]);
  });

  test("XOR is learnt", async () => {
    const model = xorNetwork();
    model.compile({
      optimizer: optimizers.adam({ learningRate: 0.05 }),
      loss: "binaryCrossentropy",
      metrics: ["accuracy"],
    });
    const { history } = await model.fit(gateInputs, xor, { epochs: 300, verbose: 0, seed: 1 });
    expect(history.loss!.at(-1)).toBeLessThan(0.01);
    expect(history.accuracy!.at(-1)).toBe(1);
    const answers = (await model.predict(gateInputs)).dataSync();
    expect([...answers].map(Math.round)).toEqual(xor);
  });
});

test("both backends see the same losses", async () => {
  const runs: number[][] = [];
  const data = blobs(200);
  for (const backend of backends) {
    setBackend(backend);
    setRandomSeed(5);
    const model = sequential([
      dense({ units: 16, activation: "relu", inputShape: [2] }),
      dropout({ rate: 0.2 }),
      dense({ units: 3, activation: "softmax" }),
    ]);
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const { history } = await model.fit(data.x, data.y, { epochs: 10, seed: 2, verbose: 0 });
    runs.push(history.loss!);
  }
  for (const run of runs) expectClose(run, runs[0]!, { rtol: 1e-4 });
});

describe("logs", () => {
  test("are named loss, by metric, and val_ for validation", async () => {
    const { x, y } = blobs(100);
    const model = blobNetwork();
    model.compile({
      optimizer: "adam",
      loss: "sparseCategoricalCrossentropy",
      metrics: ["accuracy", "sparseTopKCategoricalAccuracy", "confusionMatrix"],
    });
    const { history } = await model.fit(x, y, { epochs: 2, validationSplit: 0.25, verbose: 0 });
    const keys = ["loss", "accuracy", "sparseTopKCategoricalAccuracy"];
    expect(Object.keys(history)).toEqual([...keys, ...keys.map((k) => `val_${k}`)]);
    // A table is no number: it is asked for by itself, and was last updated by the validation.
    const table = model.metrics[2]!.result();
    expect(table.shape).toEqual([3, 3]);
    expect([...table.dataSync()].reduce((a, b) => a + b)).toBe(25);
  });

  test("hold numbers: an F-score of several classes wants an average, or null said", async () => {
    const { x, y } = blobs(20);
    const model = blobNetwork();
    const loss = "sparseCategoricalCrossentropy";
    const compiled = (metric: MetricIdentifier) => model.compile({ loss, metrics: [metric] });
    for (const metric of ["f1Score", "f1", f1Score, f1Score({ threshold: 0.5 })]) {
      expect(() => compiled(metric)).toThrow(
        /^compile\(\) of .*: metric f1Score: expected `average` to be "micro", "macro" or "weighted" for 3 outputs, got none; /,
      );
    }
    expect(() => compiled(fBetaScore({ beta: 2 }))).toThrow(
      /metric fBetaScore: .* `average: null`/,
    );
    compiled(f1Score({ average: null }));
    expect(Object.keys(await model.evaluate(x, y))).toEqual(["loss"]);
    expect(model.metrics[0]!.result().shape).toEqual([3]);
    compiled(f1Score({ average: "macro" }));
    expect((await model.evaluate(x, y)).f1Score).toBeGreaterThan(0);
    // A single output has one value.
    const one = sequential([dense({ units: 1, activation: "sigmoid", inputShape: [2] })]);
    one.compile({ loss: "binaryCrossentropy", metrics: ["f1Score"] });
    const labels = y.map((label) => Number(label > 0));
    expect((await one.evaluate(x, labels)).f1Score).toEqual(expect.any(Number));
    // How many outputs there are may only be known with the data.
    const later = sequential([dense({ units: 3, activation: "softmax" })]);
    later.compile({ loss, metrics: ["f1Score"] });
    await expect(later.evaluate(tensor(x, [20, 2]), y)).rejects.toThrow(
      /metric f1Score: .* for 3 outputs/,
    );
  });

  test("evaluate agrees with what validation reported, whatever the batch size", async () => {
    const { x, y } = blobs(100);
    const model = blobNetwork();
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy", metrics: ["acc"] });
    const part = { x: x.slice(150), y: y.slice(75) };
    const { history } = await model.fit(x, y, { epochs: 2, validationSplit: 0.25, verbose: 0 });
    for (const batchSize of [1, 7, 25, 1000]) {
      const logs = await model.evaluate(part.x, part.y, { batchSize });
      expectClose([logs.loss!, logs.acc!], [history.val_loss![1]!, history.val_acc![1]!], {
        rtol: 1e-6,
      });
    }
    const given = await model.fit(x, y, {
      validationData: [part.x, part.y],
      validationBatchSize: 3,
      verbose: 0,
    });
    const logs = await model.evaluate(part.x, part.y);
    expectClose([logs.loss!], [given.history.val_loss![0]!], { rtol: 1e-6 });
  });

  test("class weights are for training, not for the samples that are split off", async () => {
    const model = sequential([
      dense({ units: 1, useBias: false, kernelInitializer: "zeros", inputShape: [1] }),
    ]);
    model.compile({
      optimizer: optimizers.sgd({ learningRate: 0 }),
      loss: "mse",
      weightedMetrics: ["mae"],
    });
    const options = { classWeight: { 0: 1, 1: 10 }, validationSplit: 0.5, verbose: 0 } as const;
    const x = [[1], [1], [1], [1]];
    // (1 − 0)² = 1 for each sample
    const { history } = await model.fit(x, [1, 1, 1, 1], options);
    expect(history).toEqual({ loss: [10], mae: [1], val_loss: [1], val_mae: [1] });
    // Sample weights are split with the samples.
    const weighted = await model.fit(x, [1, 1, 1, 1], { ...options, sampleWeight: [1, 1, 2, 2] });
    expect([weighted.history.loss, weighted.history.val_loss]).toEqual([[10], [2]]);
  });

  test("labels of another rank get metrics of their own, and the first keep theirs", async () => {
    const { x, y } = blobs(50);
    const model = blobNetwork();
    model.compile({ loss: "sparseCategoricalCrossentropy", metrics: ["accuracy"] });
    const first = await model.evaluate(x, y);
    expect(await model.evaluate(x, tensor(y, [50, 1]))).toEqual(first);
    expect(await model.evaluate(x, y)).toEqual(first);
    expect(first.accuracy).toBeGreaterThan(0);
  });

  test("weighted metrics count weights, the others don't", async () => {
    const model = sequential([dense({ units: 1, kernelInitializer: "ones", inputShape: [1] })]);
    model.compile({ loss: "mse", metrics: ["mae"], weightedMetrics: ["mae"] });
    const logs = await model.evaluate([[1], [2]], [0, 0], { sampleWeight: [1, 3] });
    expectClose([logs.loss!, logs.mae!, logs.weighted_mae!], [6.5, 1.5, 1.75], { rtol: 1e-6 });
  });
});

describe("a run", () => {
  test("needs a compiled model", async () => {
    await expect(xorNetwork().fit(gateInputs, xor)).rejects.toThrow(StateError);
    await expect(xorNetwork().evaluate(gateInputs, xor)).rejects.toThrow(/not compiled/);
  });

  test("stops with an error when the loss is no longer finite", async () => {
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 1e20 }), loss: "mse" });
    const fit = model.fit(x, y, { batchSize: 5, epochs: 9, verbose: 0, shuffle: false });
    await expect(fit).rejects.toThrow(NonFiniteError);
    await expect(fit).rejects.toThrow(/epoch 1, batch 2 of 2|epoch 2, batch 1 of 2/);
  });

  test("of a single batch stops in the same way", async () => {
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 1e20 }), loss: "mse" });
    await model.trainOnBatch(x, y);
    const bad = model.trainOnBatch(x, y);
    await expect(bad).rejects.toThrow(NonFiniteError);
    await expect(bad).rejects.toThrow(
      /^trainOnBatch\(\): the loss became (Infinity|NaN); a smaller learning rate/,
    );
    const { loss } = await model.trainOnBatch(x, y, { terminateOnNaN: false });
    expect(Number.isFinite(loss)).toBe(false);
    await expect(model.trainOnBatch(x, y, { sampleWeights: [] } as never)).rejects.toThrow(
      /did you mean `sampleWeight`/,
    );
  });

  test("names the input value that made the loss NaN", async () => {
    const { x, y, model } = line();
    model.compile({ optimizer: "sgd", loss: "mse" });
    const name = model.inputNames[0];
    const bad = x.map(([v], i) => [i === 7 ? Number.NaN : v!]);
    const options = { batchSize: 2, verbose: 0, shuffle: false } as const;
    await expect(model.fit(bad, y, options)).rejects.toThrow(
      `batch 4 of 5; input "${name}" is NaN at sample 7, position 0`,
    );
    const clean = line().model;
    clean.compile({ optimizer: "sgd", loss: "mse" });
    const infinite = x.map(([v], i) => [i === 2 ? -Infinity : v!]);
    await expect(clean.evaluate(infinite, y)).rejects.toThrow(
      /^evaluate\(\): the loss is (NaN|Infinity) because input ".*" is -Infinity at sample 2, position 0$/,
    );
    await expect(clean.fit(x, y, { verbose: 0, validationData: [infinite, y] })).rejects.toThrow(
      /^fit\(\): validation: .* is -Infinity at sample 2/,
    );
    // Weights that ran away are not the data's fault.
    clean.setWeights([[[Infinity]], [0]]);
    expect((await clean.evaluate(x, y)).loss).not.toBeLessThan(Infinity);
  });

  test("goes on after NaN when told to", async () => {
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 1e20 }), loss: "mse" });
    const { epoch } = await model.fit(x, y, { epochs: 4, verbose: 0, terminateOnNaN: false });
    expect(epoch.length).toBe(4);
  });

  test("is ended by a signal, before and while it runs", async () => {
    const { x, y } = blobs(2000);
    const model = blobNetwork();
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const late = new AbortController();
    const epochs: number[] = [];
    const running = model.fit(x, y, {
      epochs: 1_000_000,
      batchSize: 1,
      verbose: 0,
      signal: late.signal,
      callbacks: { onEpochEnd: (epoch) => void epochs.push(epoch) },
    });
    setTimeout(() => late.abort(), 30);
    await expect(running).rejects.toThrow(/abort/i);
    expect(epochs.length).toBeLessThan(1_000_000);
    await expect(model.fit(x, y, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    // The model is free again.
    await model.fit(x, y, { verbose: 0, epochs: 1, batchSize: 500 });
  });

  test.each(backends)("leaves the event loop free (%s)", async (backend) => {
    setBackend(backend);
    const { x, y } = blobs(3000);
    const model = blobNetwork();
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    let ticks = 0;
    let fitting = true;
    const timer = setInterval(() => {
      if (fitting) ticks++;
    }, 1);
    await model.fit(x, y, { epochs: 20, batchSize: 4, verbose: 0 });
    fitting = false;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });

  test("unknown options of a step on one batch are errors", async () => {
    const model = blobNetwork();
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const { x, y } = blobs(8);
    await expect(model.testOnBatch(x, y, { weights: 1 } as never)).rejects.toThrow(
      "testOnBatch(): unknown option `weights`; the options are sampleWeight",
    );
  });

  test("excludes another on the same model, but not predictions", async () => {
    const { x, y } = blobs(500);
    const model = blobNetwork();
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const first = model.fit(x, y, { epochs: 30, batchSize: 4, verbose: 0 });
    await expect(model.fit(x, y)).rejects.toThrow(/still running/);
    expect((await model.predict(x)).shape).toEqual([500, 3]);
    await first;
  });

  test("can be resumed: 2 + 3 epochs are the same as 5, dropout and Adam included", async () => {
    const { x, y } = blobs(90);
    const make = () => {
      setRandomSeed(9);
      const model = sequential([
        dense({ units: 8, activation: "relu", inputShape: [2] }),
        dropout({ rate: 0.5 }),
        dense({ units: 3, activation: "softmax" }),
      ]);
      model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
      return model;
    };
    const whole = make();
    await whole.fit(x, y, { epochs: 5, seed: 4, verbose: 0 });
    const parts = make();
    await parts.fit(x, y, { epochs: 2, seed: 4, verbose: 0 });
    const { epoch } = await parts.fit(x, y, { epochs: 5, initialEpoch: 2, seed: 4, verbose: 0 });
    expect(epoch).toEqual([2, 3, 4]);
    expect(parametersOf(parts)).toEqual(parametersOf(whole));
  });

  test("of many short epochs is the same with and without an eye on it", async () => {
    const runs = [];
    // A callback that does nothing keeps epochs apart; without one they are run in bundles.
    for (const callbacks of [[{ onEpochEnd() {} }], []]) {
      for (const seed of [1, undefined]) {
        setRandomSeed(6);
        const model = xorNetwork();
        model.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
        const options = seed === undefined ? { shuffle: false } : { seed };
        const { history, epoch } = await model.fit(gateInputs, xor, {
          ...options,
          batchSize: 2,
          epochs: 301,
          initialEpoch: 1,
          verbose: 0,
          callbacks,
        });
        runs.push(JSON.stringify([history, epoch, parametersOf(model)]));
        expect(epoch.length).toBe(300);
      }
    }
    expect(runs[2]).toBe(runs[0]);
    expect(runs[3]).toBe(runs[1]);
    expect(runs[1]).not.toBe(runs[0]);
  });

  test("of many short epochs waits for a history that was given a hook of its own", async () => {
    const model = xorNetwork();
    model.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
    const kept = await model.fit(gateInputs, xor, { verbose: 0 });
    const ends: number[] = [];
    kept.onEpochEnd = async (epoch: number): Promise<void> => {
      ends.push(epoch);
      await Promise.resolve();
      if (epoch === 20) throw new Error("seen enough");
    };
    const fit = model.fit(gateInputs, xor, { epochs: 500, verbose: 0, callbacks: kept });
    await expect(fit).rejects.toThrow("seen enough");
    expect(ends.length).toBe(21);
  });

  test("of many short epochs names the epoch in which the loss was lost", async () => {
    const model = sequential([
      dense({ units: 1, useBias: false, kernelInitializer: "ones", inputShape: [1] }),
    ]);
    // w ← w − rate·2·w·x² = −9·w, so the loss w² passes float32's 3.4e38 at step 1 + 41.
    model.compile({ optimizer: optimizers.sgd({ learningRate: 5 }), loss: "mse" });
    const want = Math.ceil(Math.log(3.4028234e38) / Math.log(81)) + 1;
    const fit = model.fit([[1]], [[0]], { epochs: 1000, verbose: 0 });
    await expect(fit).rejects.toThrow(`epoch ${want}, batch 1 of 1`);
  });

  test("takes as many steps per epoch as asked for", async () => {
    const { x, y, model } = line();
    model.compile({ optimizer: optimizers.sgd({ learningRate: 0.01 }), loss: "mse" });
    await model.fit(x, y, { batchSize: 2, stepsPerEpoch: 3, epochs: 2, verbose: 0 });
    expect(model.optimizer.iterations.read().item()).toBe(6);
  });

  test("ends with the averaged parameters when they are kept", async () => {
    const { x, y, model } = line();
    model.compile({
      optimizer: optimizers.sgd({ learningRate: 0.1, useEma: true, emaMomentum: 0 }),
      loss: "mse",
    });
    await model.fit(x, y, { batchSize: 10, shuffle: false, epochs: 1, verbose: 0 });
    expectClose(parametersOf(model), reference(1, 10, 0.1).parameters, { rtol: 1e-5 });
  });
});

describe("single batches", () => {
  test("train, test, predict", async () => {
    const { x, y, model } = line();
    model.compile({
      optimizer: optimizers.sgd({ learningRate: 0.1 }),
      loss: "mse",
      metrics: ["mae"],
    });
    const want = reference(1, 10, 0.1);
    const before = await model.testOnBatch(x, y);
    const logs = await model.trainOnBatch(x, y);
    expect(before).toEqual(logs);
    expectClose([logs.loss!], want.losses, { rtol: 1e-5 });
    expectClose(parametersOf(model), want.parameters, { rtol: 1e-5 });
    expect((await model.predictOnBatch(x)).shape).toEqual([10, 1]);
  });
});

describe("frozen weights", () => {
  test("are those that were frozen when the model was compiled", async () => {
    const { x, y } = blobs(30);
    const model = blobNetwork();
    model.layers[0]!.trainable = false;
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const [kernel, , last] = model.getWeights().map((t) => [...t.dataSync()]);
    await model.fit(x, y, { verbose: 0 });
    model.layers[0]!.trainable = true;
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await model.fit(x, y, { verbose: 0 });
    expect(warn.mock.calls.map(([text]) => text)).toEqual([
      expect.stringMatching(/trainable flags have changed .* compiled again/),
    ]);
    warn.mockRestore();
    expect([...model.getWeights()[0]!.dataSync()]).toEqual(kernel);
    expect([...model.getWeights()[2]!.dataSync()]).not.toEqual(last);
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    await model.fit(x, y, { verbose: 0 });
    expect([...model.getWeights()[0]!.dataSync()]).not.toEqual(kernel);
  });
});

test("uint8 data is cast, never scaled", async () => {
  const model = sequential([dense({ units: 1, kernelInitializer: "ones", inputShape: [2] })]);
  const bytes = leaf(Uint8Array.of(1, 2, 200, 55), [2, 2], "uint8");
  expect([...(await model.predict(bytes)).dataSync()]).toEqual([3, 255]);
  model.compile({ optimizer: optimizers.sgd({ learningRate: 0 }), loss: "mse" });
  const { history } = await model.fit(bytes, tensor([3, 254]), { verbose: 0 });
  expect(history.loss).toEqual([0.5]);
});
