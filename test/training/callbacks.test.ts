/** What each of the callbacks that are ready made does. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { dense } from "../../src/layers/layers.js";
import { loadModel } from "../../src/models/loading.js";
import { model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { auc, type MetricIdentifier } from "../../src/nn/metrics/table.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { Callback, Logs } from "../../src/training/callback.js";
import {
  csvLogger,
  EarlyStopping,
  earlyStopping,
  history,
  lambdaCallback,
  learningRateScheduler,
  modelCheckpoint,
  reduceLROnPlateau,
  swapEmaWeights,
  terminateOnNaN,
} from "../../src/training/callbacks.js";
import { expectClose } from "../helpers/allClose.js";
import { blobs, compiledBlobNetwork as compiled } from "../models/helpers.js";

let directory: string;
beforeEach(() => {
  setRandomSeed(1);
  directory = mkdtempSync(join(tmpdir(), "layerwise-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const data = blobs(40);

test("a history of one's own survives an interruption", async () => {
  const record = history();
  const stop = new AbortController();
  const fit = compiled().fit(data.x, data.y, {
    epochs: 100,
    verbose: 0,
    signal: stop.signal,
    callbacks: [record, { onEpochEnd: (epoch) => (epoch === 2 ? stop.abort() : undefined) }],
  });
  await expect(fit).rejects.toThrow(/abort/i);
  expect(record.epoch).toEqual([0, 1, 2]);
  expect(record.history.loss!.length).toBe(3);
});

/** Puts given values into the logs. */
const feeding = (values: readonly number[], key = "value") => ({
  onEpochEnd(epoch: number, logs: Logs = {}): void {
    logs[key] = values[epoch]!;
  },
});

/** Runs a callback through epochs whose monitored values are given. */
async function through(
  callback: Callback,
  key: string,
  values: readonly number[],
): Promise<number> {
  const model = sequential([
    dense({ units: 1, useBias: false, kernelInitializer: "zeros", inputShape: [1] }),
  ]);
  // The weight is the number of steps, so that restored weights show which epoch they are from.
  model.compile({
    optimizer: optimizers.sgd({ learningRate: 1 }),
    loss: (_t, p) => p.mul(-1).mean(-1),
  });
  const feed = feeding(values, key);
  await model.fit([[1]], [[1]], {
    epochs: values.length,
    verbose: 0,
    callbacks: [feed, callback],
  });
  return model.getWeights()[0]!.item();
}

describe("early stopping", () => {
  const values = [5, 3, 4, 3, 2.9, 9, 9, 9];

  test("waits for `patience` epochs without improvement", async () => {
    const stop = new EarlyStopping({ monitor: "value", mode: "min", patience: 2 });
    expect(await through(stop, "value", values)).toBe(4);
    expect(stop.stoppedEpoch).toBe(3);
    expect(stop.bestEpoch).toBe(1);
  });

  test("restores the weights of the best epoch", async () => {
    const stop = earlyStopping({
      monitor: "value",
      mode: "min",
      patience: 3,
      restoreBestWeights: true,
    });
    // The best is epoch 4 (2.9), after 5 steps.
    expect(await through(stop, "value", values)).toBe(5);
    expect(stop.bestEpoch).toBe(4);
    // Also when training ends by itself.
    const late = earlyStopping({
      monitor: "value",
      mode: "min",
      patience: 99,
      restoreBestWeights: true,
    });
    expect(await through(late, "value", values)).toBe(5);
  });

  test("takes the direction from loss and metrics, and can be told", async () => {
    const rising = [0.1, 0.2, 0.3, 0.25, 0.2];
    const run = async (monitor: string, metrics: MetricIdentifier[]): Promise<number> => {
      const inputs = input({ shape: [1] });
      // Names in which a substring would be misread.
      const made = model({
        inputs,
        outputs: ["layer2", "accent"].map((name) => dense({ units: 2, name }).apply(inputs)),
      });
      made.compile({ loss: "mse", metrics: [metrics, []] });
      const { epoch } = await made.fit([[1]], [[[1, 0]], [[1, 0]]] as never, {
        epochs: rising.length,
        verbose: 0,
        callbacks: [feeding(rising, monitor), earlyStopping({ monitor, patience: 1 })],
      });
      return epoch.length;
    };
    // A loss rises from the first epoch on; of these metrics the third epoch is the best.
    expect(await run("loss", [])).toBe(2);
    expect(await run("val_loss", [])).toBe(2);
    expect(await run("layer2_loss", [])).toBe(2);
    expect(await run("val_accent_loss", [])).toBe(2);
    expect(await run("layer2_mae", ["mae"])).toBe(2);
    expect(await run("layer2_accuracy", ["accuracy"])).toBe(4);
    expect(await run("val_layer2_mine", [auc({ name: "mine" })])).toBe(4);
    expect(await run("layer2_falsePositives", ["falsePositives"])).toBe(2);
    expect(await run("layer2_r2Score", ["r2Score"])).toBe(4);
    await expect(run("value", [])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: callback earlyStopping: whether larger or smaller values of "value" are better is not known; give \`mode\`, "max" or "min"]`,
    );
    const mine = (_t: Tensor, p: Tensor): Tensor => p.mean(-1);
    await expect(run("layer2_mine", [mine])).rejects.toThrow(
      /"layer2_mine" are better is not known/,
    );
    const told = earlyStopping({ monitor: "value", patience: 1, mode: "max" });
    expect(await through(told, "value", rising)).toBe(4);
  });

  test("minDelta, startFromEpoch and baseline", async () => {
    const slow = [1, 0.99, 0.98, 0.97];
    const coarse = earlyStopping({ monitor: "value", mode: "min", patience: 2, minDelta: 0.05 });
    expect(await through(coarse, "value", slow)).toBe(3);
    const late = earlyStopping({ monitor: "value", mode: "min", patience: 1, startFromEpoch: 3 });
    expect(await through(late, "value", [1, 2, 3, 1, 5, 6])).toBe(5);
    const never = earlyStopping({ monitor: "value", mode: "min", patience: 2, baseline: 0.5 });
    // Improvements below the baseline don't restart the waiting, so the first stall ends it.
    expect(await through(never, "value", [1, 0.99, 0.98, 0.985, 0.97])).toBe(4);
  });

  test("warns when there is nothing to monitor", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await through(earlyStopping({ monitor: "val_acuracy" }), "value", [1, 2, 3]);
    expect(warn.mock.calls.map(([text]) => text)).toEqual([
      'callback earlyStopping: there is no "val_acuracy" to monitor; there are loss, value',
    ]);
    warn.mockRestore();
  });

  test("options are checked", () => {
    expect(() => earlyStopping({ patience: -1 })).toThrow(/patience/);
    expect(() => earlyStopping({ mode: "maximum" as never })).toThrow(/did you mean|one of/);
    expect(() => earlyStopping({ restoreBestWeight: true } as never)).toThrow(
      /did you mean `restoreBestWeights`/,
    );
  });
});

test("options of the wrong kind are errors that name callback, option and value", () => {
  const wrong = (x: unknown) => x as never;
  const message = (f: () => unknown): string => {
    try {
      f();
    } catch (error) {
      return String(error);
    }
    return "no error";
  };
  expect([
    message(() => earlyStopping({ monitor: wrong(3) })),
    message(() => earlyStopping({ baseline: wrong("x") })),
    message(() => earlyStopping({ restoreBestWeights: wrong("yes") })),
    message(() => reduceLROnPlateau({ monitor: wrong(null) })),
    message(() => reduceLROnPlateau({ verbose: wrong(2) })),
    message(() => reduceLROnPlateau({ factor: Number.NaN })),
    message(() => modelCheckpoint("a", { saveBestOnly: wrong(1) })),
    message(() => csvLogger("a", wrong({ sep: ";" }))),
    message(() => csvLogger("a", { separator: wrong(3) })),
    message(() => lambdaCallback(wrong({ onEpochEnd: 3 }))),
  ]).toMatchInlineSnapshot(`
    [
      "ArgumentError: callback earlyStopping: expected \`monitor\` to be a text, got 3",
      "ArgumentError: callback earlyStopping: expected \`baseline\` to be a number, got "x"",
      "ArgumentError: callback earlyStopping: expected \`restoreBestWeights\` to be true or false, got "yes"",
      "ArgumentError: callback reduceLROnPlateau: expected \`monitor\` to be a text, got null",
      "ArgumentError: callback reduceLROnPlateau: expected \`verbose\` to be 0 or 1, got 2",
      "ArgumentError: callback reduceLROnPlateau: expected \`factor\` to be a number from 0 to 1, got NaN",
      "ArgumentError: callback modelCheckpoint: expected \`saveBestOnly\` to be true or false, got 1",
      "ArgumentError: callback csvLogger: unknown option \`sep\`; the options are separator, append",
      "ArgumentError: callback csvLogger: expected \`separator\` to be a text, got 3",
      "ArgumentError: callback lambdaCallback: expected the hook \`onEpochEnd\` to be a function, got 3",
    ]
  `);
});

test("bounds may be infinite, and booleans say whether to print", () => {
  const yes = true as unknown as 1;
  expect(() => earlyStopping({ baseline: -Infinity, verbose: yes })).not.toThrow();
  const options = { saveBestOnly: true, initialValueThreshold: Infinity };
  expect(() => modelCheckpoint("a", options)).not.toThrow();
  expect(() => earlyStopping({ baseline: Number.NaN })).toThrow(/`baseline`.*NaN/);
});

describe("learning rates", () => {
  test("reduceLROnPlateau, with cooldown and a floor", async () => {
    const seen: number[] = [];
    const plateau = reduceLROnPlateau({
      monitor: "value",
      mode: "min",
      factor: 0.5,
      patience: 2,
      cooldown: 1,
      minLr: 0.2,
    });
    const model = compiled();
    model.compile({
      optimizer: optimizers.sgd({ learningRate: 1 }),
      loss: "sparseCategoricalCrossentropy",
    });
    const values = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    await model.fit(data.x, data.y, {
      epochs: values.length,
      verbose: 0,
      callbacks: [
        feeding(values),
        plateau,
        { onEpochEnd: () => void seen.push(model.optimizer.learningRate) },
      ],
    });
    // Epoch 0 is the best; two without improvement halve the rate. As in Keras, the last epoch of a
    // cooldown counts again.
    expectClose(seen, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2], { rtol: 1e-6 });
  });

  test("learningRateScheduler sets each epoch's rate and reports it", async () => {
    const model = compiled();
    const schedule = learningRateScheduler((epoch, rate) => (epoch === 0 ? 0.5 : rate / 2));
    const { history: h } = await model.fit(data.x, data.y, {
      epochs: 3,
      verbose: 0,
      callbacks: schedule,
    });
    expect(h.learningRate).toEqual([0.5, 0.25, 0.125]);
    expect(model.optimizer.learningRate).toBe(0.125);
  });
});

test("terminateOnNaN ends training quietly", async () => {
  const model = compiled();
  model.compile({ optimizer: optimizers.sgd({ learningRate: 1e30 }), loss: "mse" });
  const target = Float32Array.from({ length: 120 }, () => 1);
  for (const callbacks of [[terminateOnNaN()], [terminateOnNaN(), { onBatchEnd() {} }]]) {
    const fresh = sequential([dense({ units: 3, inputShape: [2] })]);
    fresh.compile({ optimizer: optimizers.sgd({ learningRate: 1e30 }), loss: "mse" });
    const { epoch } = await fresh.fit(data.x, target, {
      epochs: 50,
      batchSize: 40,
      verbose: 0,
      callbacks,
    });
    expect(epoch.length).toBeGreaterThan(0);
    expect(epoch.length).toBeLessThan(50);
  }
});

describe("files", () => {
  test("csvLogger writes a line per epoch, and goes on with an old file", async () => {
    const path = join(directory, "log.csv");
    writeFileSync(path, "old\n");
    const model = compiled();
    await model.fit(data.x, data.y, { epochs: 2, verbose: 0, callbacks: csvLogger(path) });
    await model.fit(data.x, data.y, {
      epochs: 3,
      initialEpoch: 2,
      verbose: 0,
      callbacks: csvLogger(path, { append: true }),
    });
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => line.replaceAll(/\d\.\d+(e-\d+)?/g, "V"))).toEqual([
      "epoch,loss,accuracy",
      "0,V,V",
      "1,V,V",
      "2,V,V",
    ]);
  });

  test("modelCheckpoint saves each epoch, or the best only", async () => {
    const model = compiled();
    const pattern = join(directory, "model-{epoch:02d}-{loss:.1f}.safetensors");
    const { history: h } = await model.fit(data.x, data.y, {
      epochs: 2,
      verbose: 0,
      callbacks: modelCheckpoint(pattern),
    });
    for (const [i, loss] of h.loss!.entries()) {
      await loadModel(join(directory, `model-0${i + 1}-${loss.toFixed(1)}.safetensors`));
    }

    const best = join(directory, "best.safetensors");
    const saved: number[] = [];
    const values = [3, 1, 2, 0.5];
    const spy = {
      onEpochEnd: async (epoch: number) => {
        const file = await loadModel(best).catch(() => undefined);
        saved[epoch] = file?.optimizer.iterations.read().item() ?? -1;
      },
    };
    const start = model.optimizer.iterations.read().item();
    await model.fit(data.x, data.y, {
      epochs: 4,
      verbose: 0,
      callbacks: [
        feeding(values),
        modelCheckpoint(best, { monitor: "value", mode: "min", saveBestOnly: true }),
        spy,
      ],
    });
    // Two steps per epoch; the third epoch is not better than the second.
    expect(saved).toEqual([2, 4, 4, 8].map((steps) => start + steps));
  });

  test("a path with an unknown name is an error", async () => {
    const fit = compiled().fit(data.x, data.y, {
      verbose: 0,
      callbacks: modelCheckpoint(join(directory, "{val_loss}.safetensors")),
    });
    await expect(fit).rejects.toThrow(/no value "val_loss"/);
  });

  test("paths that nothing can be written to are errors before the first epoch", async () => {
    expect(() => modelCheckpoint("best.h5")).toThrow(
      'callback modelCheckpoint: expected a path that ends in .safetensors, the one format that models are written in, got "best.h5"',
    );
    const nowhere = join(directory, "nowhere", "file");
    for (const [name, callback] of Object.entries({ modelCheckpoint, csvLogger })) {
      let epochs = 0;
      const counter = { onEpochBegin: () => void epochs++ };
      const callbacks = [callback(nowhere), counter];
      const fit = compiled().fit(data.x, data.y, { verbose: 0, callbacks });
      await expect(fit).rejects.toThrow(
        `callback ${name}: can't write ${JSON.stringify(nowhere)}: its directory does not exist`,
      );
      expect(epochs).toBe(0);
    }
  });
});

test("swapEmaWeights evaluates the averages and trains the parameters", async () => {
  const model = sequential([
    dense({ units: 1, useBias: false, kernelInitializer: "zeros", inputShape: [1] }),
  ]);
  model.compile({
    optimizer: optimizers.sgd({ learningRate: 1, useEma: true, emaMomentum: 0.5 }),
    loss: (_t, p) => p.mul(-1).mean(-1),
  });
  const { history: h } = await model.fit([[1]], [[1]], {
    epochs: 3,
    validationData: [[[1]], [[1]]],
    verbose: 0,
    callbacks: swapEmaWeights(),
  });
  // w: 1, 2, 3 with averages 1, 1.5, 2.25; the loss is −w.
  expectClose(h.loss!, [0, -1, -2], {});
  expect(h.val_loss).toEqual([-1, -1.5, -2.25]);
});

test("swapEmaWeights leaves the trained weights where an evaluation is aborted", async () => {
  const model = sequential([
    dense({ units: 1, useBias: false, kernelInitializer: "zeros", inputShape: [1] }),
  ]);
  model.compile({
    optimizer: optimizers.sgd({ learningRate: 1, useEma: true, emaMomentum: 0.5 }),
    loss: (_t, p) => p.mul(-1).mean(-1),
  });
  const stop = new AbortController();
  const fit = model.fit([[1], [1]], [[1], [1]], {
    batchSize: 1,
    validationData: [[[1]], [[1]]],
    signal: stop.signal,
    verbose: 0,
    callbacks: [{ onTestBatchBegin: () => stop.abort(new Error("enough")) }, swapEmaWeights()],
  });
  await expect(fit).rejects.toThrow("enough");
  // 2 updates by 1; their average is 1.5.
  expect(model.getWeights()[0]!.arraySync()).toEqual([[2]]);
});
