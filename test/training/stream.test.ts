/** fit, evaluate and predict on datasets: the same results as arrays, what is open is closed, errors have places. */
import { describe, expect, test } from "vitest";
import { fromArrays, fromGenerator, fromIterable } from "../../src/data/arrays.js";
import type { Dataset } from "../../src/data/dataset.js";
import { drawDigits } from "../../src/data/digits.js";
import { DatasetError, LayerwiseError } from "../../src/errors.js";
import { dense, dropout } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { earlyStopping } from "../../src/public/callbacks.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";
import type { CallbackHooks } from "../../src/training/callback.js";
import type { CompileOptions } from "../../src/training/objective.js";
import "../models/helpers.js";

const samples = 70;
const { pixels, labels } = drawDigits(samples, 5, 0);
const x = tensor(
  Float32Array.from(pixels, (v) => v / 255),
  [samples, 784],
);
const y = tensor(labels, [samples]);

function model(options: CompileOptions = {}) {
  setRandomSeed(3);
  const made = sequential([
    dense({ units: 16, activation: "relu", inputShape: [784] }),
    dropout({ rate: 0.2 }),
    dense({ units: 10, activation: "softmax" }),
  ]);
  made.compile({
    optimizer: "adam",
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
    ...options,
  });
  return made;
}

const quiet = { verbose: 0 } as const;
const weights = (m: ReturnType<typeof model>) => m.getWeights().map((w) => [...w.dataSync()]);

async function message(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(LayerwiseError);
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "no error";
}

/** A source that counts what is open and what was taken. */
function watched(count = Infinity) {
  const seen = { opened: 0, closed: 0, taken: 0 };
  const dataset = fromGenerator(function* () {
    seen.opened++;
    try {
      for (let i = 0; i < count; i++) {
        seen.taken++;
        yield [Float32Array.of(i % 7, 1), i % 3] as const;
      }
    } finally {
      seen.closed++;
    }
  });
  return { dataset, seen };
}

function small(options: CompileOptions = {}) {
  const made = sequential([
    dense({ units: 3, activation: "softmax", inputShape: [2], name: "scores" }),
  ]);
  made.compile({ loss: "sparseCategoricalCrossentropy", optimizer: "sgd", ...options });
  return made;
}

/** What goes by has to be passed over batch by batch, whatever it is. */
const streamed = <T>(dataset: Dataset<T>): Dataset<T> => dataset.filter(() => true);

describe.each([
  ["rows of arrays", <T>(dataset: Dataset<T>) => dataset],
  ["batches as they come", streamed],
])("the same results as data in memory, by %s", (_, as) => {
  test("in order, bit for bit, with a last batch that is smaller", async () => {
    const held = model();
    const options = { epochs: 3, seed: 11, ...quiet };
    const validation = { validationData: [x, y] as const, validationBatchSize: 16 };
    const a = await held.fit(x, y, { ...options, batchSize: 16, shuffle: false, ...validation });
    const other = model();
    const dataset = as(fromArrays(x, y).batch(16));
    const b = await other.fit(dataset, { ...options, validationData: dataset });
    expect(b.history).toEqual(a.history);
    expect(weights(other)).toEqual(weights(held));
    expect(Object.keys(b.history).sort()).toEqual(["accuracy", "loss", "val_accuracy", "val_loss"]);
  });

  test("shuffled by the same seed, bit for bit", async () => {
    const held = model();
    await held.fit(x, y, { epochs: 3, seed: 11, batchSize: 16, ...quiet });
    const other = model();
    const dataset = as(fromArrays(x, y).shuffle(Infinity, { seed: 11 }).batch(16));
    await other.fit(dataset, { epochs: 3, seed: 11, ...quiet });
    expect(weights(other)).toEqual(weights(held));
    // And gone on with from an epoch, as arrays can be.
    const resumed = model();
    await resumed.fit(dataset, { epochs: 1, seed: 11, ...quiet });
    await resumed.fit(dataset, { initialEpoch: 1, epochs: 3, seed: 11, ...quiet });
    expect(weights(resumed)).toEqual(weights(held));
  });

  test("with hooks around each batch", async () => {
    const held = model();
    const batches: number[] = [];
    await held.fit(x, y, { epochs: 2, seed: 4, batchSize: 16, shuffle: false, ...quiet });
    const other = model();
    const callbacks: CallbackHooks = {
      onTrainBatchEnd: (batch, logs) => {
        batches.push(batch);
        expect(Object.keys(logs!)).toEqual(["loss", "accuracy"]);
      },
    };
    await other.fit(as(fromArrays(x, y).batch(16)), { epochs: 2, seed: 4, callbacks, ...quiet });
    expect(weights(other)).toEqual(weights(held));
    expect(batches).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
  });

  test("with sample and class weights", async () => {
    const w = tensor(Float32Array.from({ length: samples }, (_, i) => (i % 5) / 2));
    const classWeight = { 0: 3, 4: 0.5 };
    const held = model();
    const common = { epochs: 2, seed: 4, classWeight, ...quiet };
    await held.fit(x, y, { ...common, batchSize: 16, shuffle: false, sampleWeight: w });
    const other = model();
    await other.fit(as(fromArrays(x, y, w).batch(16)), common);
    expect(weights(other)).toEqual(weights(held));
  });

  test("evaluate and predict", async () => {
    const m = model();
    const dataset = as(fromArrays(x, y).batch(16));
    const want = await m.evaluate(x, y, { batchSize: 16 });
    expect(await m.evaluate(dataset)).toEqual(want);
    expect(await m.evaluateDataset(dataset)).toEqual(want);
    const all = await m.predict(x, { batchSize: 16 });
    const got = await m.predict(dataset);
    expect(got.shape).toEqual([samples, 10]);
    expect(got.dataSync()).toEqual(all.dataSync());
    expect((await m.predict(as(fromArrays(x).batch(16)))).dataSync()).toEqual(all.dataSync());
    const seen: number[] = [];
    await m.predict(dataset, {
      callbacks: { onPredictBatchEnd: (batch) => void seen.push(batch) },
    });
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    expect((await m.predict(dataset.repeat(), { steps: 2 })).shape).toEqual([32, 10]);
    const two = await m.evaluate(x.slice([0, 0], [32, 784]), y.slice([0], [32]), { batchSize: 16 });
    expect(await m.evaluate(dataset.repeat(), { steps: 2 })).toEqual(two);
  });
});

describe("what rows of arrays are not", () => {
  test("a part of them, or batches that are dropped", async () => {
    const few = fromArrays(x, y).skip(6);
    const held = model();
    const part = x.slice([6, 0], [64, 784]);
    await held.fit(part, y.slice([6], [64]), { batchSize: 16, shuffle: false, seed: 2, ...quiet });
    const other = model();
    await other.fit(few.batch(16), { seed: 2, ...quiet });
    expect(weights(other)).toEqual(weights(held));
    const dropped = fromArrays(x, y).batch(16, { dropRemainder: true });
    expect(dropped.size).toBe(4);
    const first = model();
    await first.fit(dropped, { seed: 2, ...quiet });
    const want = model();
    const limits = { stepsPerEpoch: 4, batchSize: 16, shuffle: false } as const;
    await want.fit(x, y, { ...limits, seed: 2, ...quiet });
    expect(weights(first)).toEqual(weights(want));
    expect(await first.evaluate(dropped)).toEqual(await first.evaluate(streamed(dropped)));
    const none = fromArrays(x, y).batch(100, { dropRemainder: true });
    expect(await message(() => first.fit(none, quiet))).toMatch(/the dataset has no batches/);
  });

  test("element by element, through async functions, prefetch and a cache", async () => {
    const held = model();
    await held.fit(x, y, { epochs: 2, seed: 4, batchSize: 10, shuffle: false, ...quiet });
    const other = model();
    const dataset = fromArrays(tensor(pixels, [samples, 784], "uint8"), y)
      .map(async ([image, label]) => [image.cast("float32").div(255), label], { concurrency: 4 })
      .cache()
      .batch(10)
      .prefetch(2);
    await other.fit(dataset, { epochs: 2, seed: 4, ...quiet });
    for (const [i, w] of weights(other).entries()) {
      // x / 255 is rounded once here and once there; nothing else differs.
      for (const [at, v] of w.entries()) expect(v).toBeCloseTo(weights(held)[i]![at]!, 5);
    }
  });
});

describe("epochs", () => {
  test("a model without an input shape takes that of the first batch, which is not lost", async () => {
    const made = sequential([dense({ units: 3, activation: "softmax" })]);
    made.compile({ loss: "sparseCategoricalCrossentropy" });
    const { dataset, seen } = watched(10);
    await made.fit(dataset.batch(5), quiet);
    expect(made.inputs[0]!.shape).toEqual([null, 2]);
    expect(seen).toEqual({ opened: 1, closed: 1, taken: 10 });
  });

  test("an iterator that can be used once is enough for one epoch", async () => {
    const { dataset } = watched(6);
    const once = dataset[Symbol.asyncIterator]();
    const made = sequential([dense({ units: 3, activation: "softmax" })]);
    made.compile({ loss: "sparseCategoricalCrossentropy" });
    await made.fit(fromIterable(once).batch(3), quiet);
    expect(await message(() => made.fit(fromIterable(once).batch(3), quiet))).toMatch(/no batches/);
    const twice = fromIterable(watched(6).dataset[Symbol.asyncIterator]());
    expect(await message(() => made.fit(twice.batch(3), { epochs: 2, ...quiet }))).toMatch(
      /fit\(\).*fromIterable\(\).*only once.*function that makes a fresh one/,
    );
  });

  test("stepsPerEpoch goes on where it was, and begins anew where the data end", async () => {
    const firsts: number[] = [];
    const dataset = fromGenerator(function* () {
      for (let i = 0; i < 5; i++) yield [Float32Array.of(i, 1), 0] as const;
    }).map(([features, label], index) => {
      firsts.push(index);
      return [features, label];
    });
    const losses: number[] = [];
    const callbacks = { onTrainBatchEnd: () => void losses.push(0) };
    await small().fit(dataset.batch(1), { epochs: 4, stepsPerEpoch: 3, callbacks, ...quiet });
    expect(losses).toHaveLength(12);
    // 12 of the stream 0 1 2 3 4 0 1 …; none is taken beyond the last step.
    expect(firsts).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]);
  });

  test("an endless dataset needs a number of steps", async () => {
    const { dataset, seen } = watched();
    const endless = dataset.repeat().batch(2);
    expect(await message(() => small().fit(endless, quiet))).toMatch(
      /the dataset is endless.*`stepsPerEpoch`/,
    );
    const h = await small().fit(endless, { epochs: 2, stepsPerEpoch: 4, ...quiet });
    expect(h.history.loss).toHaveLength(2);
    expect(seen.closed).toBe(seen.opened);
    expect(
      await message(() =>
        small().fit(dataset.take(4).batch(2), { ...quiet, validationData: endless }),
      ),
    ).toMatch(/validationData.*endless.*`validationSteps`/);
    expect(await message(() => small().evaluate(endless))).toMatch(/endless.*`steps`/);
    expect(await message(() => small().predict(endless))).toMatch(/endless.*`steps`/);
  });

  test("callbacks are told the number of steps where it is known", async () => {
    const params: unknown[] = [];
    const callbacks: CallbackHooks = {
      setParams: ({ steps, batchSize }) => void params.push([steps, batchSize]),
    };
    await small().fit(watched(10).dataset.batch(4), { callbacks, ...quiet });
    await model().fit(fromArrays(x, y).batch(16), { callbacks, ...quiet });
    expect(params).toEqual([
      [null, 4],
      [5, 16],
    ]);
  });

  test("batches of different lengths go through one model, metrics included", async () => {
    const made = sequential([
      dense({ units: 3, activation: "softmax", inputShape: [null, 2] as never }),
    ]);
    made.compile({
      loss: "sparseCategoricalCrossentropy",
      optimizer: "sgd",
      metrics: ["accuracy"],
    });
    const lengths = [2, 5, 3, 4, 1, 6];
    const steps = lengths.map(
      (length) =>
        [
          tensor(
            Float32Array.from({ length: 2 * length }, (_, i) => Math.sin(i)),
            [length, 2],
          ),
          tensor(Int32Array.from({ length }, (_, i) => i % 3)),
        ] as const,
    );
    const dataset = fromIterable(steps).paddedBatch(2);
    const { history } = await made.fit(dataset, { epochs: 2, ...quiet });
    const logs = await made.evaluate(dataset);
    // By hand: padded positions count as class 0 at x = 0 here.
    let right = 0;
    let all = 0;
    for await (const [bx, by] of dataset) {
      const p = (await made.predict(bx)).argMax(-1).dataSync();
      by.dataSync().forEach((label, i) => {
        right += Number(p[i] === label);
        all++;
      });
    }
    expect(logs.accuracy).toBeCloseTo(right / all, 6);
    expect(history.accuracy).toHaveLength(2);
  });
});

describe("what is open is closed", () => {
  test("at the end, on early stopping, on errors", async () => {
    const { dataset, seen } = watched(40);
    const batches = dataset.batch(4);
    await small().fit(batches, { epochs: 3, ...quiet });
    expect(seen.opened).toBe(3);
    const stop = earlyStopping({ monitor: "loss", patience: 0, minDelta: 100 });
    await small().fit(batches, { epochs: 30, callbacks: [stop], ...quiet });
    expect(seen.opened).toBeLessThan(8);
    let m = small();
    let closed = seen.closed;
    const early = {
      onTrainBatchEnd: () => {
        m.stopTraining = true;
      },
    };
    await m.fit(batches, { epochs: 30, callbacks: early, ...quiet });
    expect(seen.closed).toBe(closed + 1);
    m = small();
    closed = seen.closed;
    const failing = {
      onTrainBatchEnd: () => {
        throw new Error("from the callback");
      },
    };
    await expect(m.fit(batches, { callbacks: failing, ...quiet })).rejects.toThrow(
      "from the callback",
    );
    expect(seen.closed).toBe(closed + 1);
    const validation = watched(40);
    await small().fit(batches, {
      epochs: 2,
      validationData: validation.dataset.batch(4),
      validationSteps: 2,
      ...quiet,
    });
    expect(validation.seen).toMatchObject({ opened: 2, closed: 2 });
    expect(validation.seen.taken).toBeLessThan(24);
  });

  test("on abort, even while the source lets wait", async () => {
    const control = new AbortController();
    let closed = 0;
    let release: (() => void) | undefined;
    const dataset = fromGenerator(async function* () {
      try {
        yield [Float32Array.of(1, 2), 1] as const;
        await new Promise<void>((resolve) => {
          release = resolve;
          control.abort(new Error("enough"));
        });
        yield [Float32Array.of(1, 2), 1] as const;
      } finally {
        closed++;
      }
    });
    const fitting = small().fit(dataset.batch(1), { signal: control.signal, ...quiet });
    await expect(fitting).rejects.toThrow("enough");
    expect(closed).toBe(0);
    release!();
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(1);
  });

  test("no more is taken from the source than is needed", async () => {
    const { dataset, seen } = watched(1000);
    await small().fit(dataset.batch(2).take(3), { epochs: 1, ...quiet });
    expect(seen.taken).toBe(6);
    expect(seen).toMatchObject({ opened: 1, closed: 1 });
  });
});

describe("errors have places", () => {
  test("of a function of the user's", async () => {
    const dataset = watched(20)
      .dataset.map(([a, b], i) => {
        if (i === 7) throw new TypeError("cannot read this one");
        return [a, b];
      })
      .batch(3);
    const failed = small().fit(dataset, quiet);
    await expect(failed).rejects.toThrow(
      "fit(): batch 3 of the dataset: map(): element 7: cannot read this one",
    );
    const error = (await failed.catch((e: unknown) => e)) as DatasetError;
    expect(error).toBeInstanceOf(DatasetError);
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  test("of steps done before it, weights are kept whole", async () => {
    const m = small();
    const dataset = watched(20).dataset.map(([a, b], i) => {
      if (i === 6) throw new Error("no");
      return [a, b];
    });
    await expect(m.fit(dataset.batch(2), quiet)).rejects.toThrow(/element 6/);
    expect(m.optimizer.iterations.dataSync()[0]).toBe(3);
    // The model is free again.
    await m.fit(dataset.take(4).batch(2), quiet);
  });

  test("of labels and shapes", async () => {
    const { dataset } = watched(20);
    const at = (f: (i: number) => readonly [Float32Array, number]) =>
      dataset.map((_, i) => f(i)).batch(4);
    expect([
      await message(() =>
        small().fit(
          at((i) => [Float32Array.of(1, 2), i < 9 ? 1 : 3]),
          quiet,
        ),
      ),
      await message(() =>
        small().fit(
          at((i) => [new Float32Array(i < 9 ? 2 : 3), 1]),
          quiet,
        ),
      ),
      await message(() =>
        small().fit(
          at(() => [new Float32Array(3), 1]),
          quiet,
        ),
      ),
      await message(() => small().fit(dataset as never, quiet)),
      await message(() => small().fit(fromArrays(tensor([[1, 2]]), [1]) as never, quiet)),
      await message(() =>
        small().fit(
          dataset.batch(4).filter(() => false),
          quiet,
        ),
      ),
      await message(() => small().fit(dataset.map(([a]) => [a, a, a, a]).batch(4) as never, quiet)),
      await message(() => small().fit(dataset.map(() => "text").batch(4) as never, quiet)),
      await message(() =>
        small().fit(
          at((i) => [Float32Array.of(i < 9 ? 1 : NaN, 1), 1]),
          quiet,
        ),
      ),
      await message(() => small().evaluate(at((i) => [Float32Array.of(i < 9 ? 1 : NaN, 1), 1]))),
      await message(() => small().predict(at(() => [new Float32Array(3), 1]))),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: fit(): batch 3 of the dataset: labels of output "scores": sample 1 has label 3, but the output has 3 classes, so labels are integers from 0 to 2",
        "ShapeError: fit(): batch 3 of the dataset: batch(): element 9: field [0]: shape: expected [2] as the first element has, got [3]; paddedBatch() fills shorter ones up",
        "ShapeError: fit(): batch 1 of the dataset: expected input "scores_input" of shape [null, 2], got [4, 3]",
        "ShapeError: fit(): batch 1 of the dataset: labels of output "scores": expected class indices of shape [null] for sparseCategoricalCrossentropy, got []; or make batches of the dataset: dataset.batch(32)",
        "ShapeError: fit(): batch 1 of the dataset: expected input "scores_input" of shape [null, 2], got [2]; for a single sample, add the batch dimension: x.expandDims(0); or make batches of the dataset: dataset.batch(32)",
        "ArgumentError: fit(): the dataset has no batches",
        "ArgumentError: fit(): batch 1 of the dataset: expected [x], [x, y] or [x, y, sampleWeight], got an array of 4; an array at the top of an element stands for its parts; make a sample of numbers a tensor or a typed array",
        "ArgumentError: fit(): batch 1 of the dataset: expected [x], [x, y] or [x, y, sampleWeight], got an array of 4; an array at the top of an element stands for its parts; make a sample of numbers a tensor or a typed array",
        "NonFiniteError: fit(): the loss became NaN in epoch 1, batch 3; input "scores_input" is NaN at sample 1, position 0 in batch 3 of the dataset",
        "NonFiniteError: evaluate(): the loss is NaN because input "scores_input" is NaN at sample 1, position 0 in batch 3 of the dataset",
        "ShapeError: predict(): batch 1 of the dataset: expected input "scores_input" of shape [null, 2], got [4, 3]",
      ]
    `);
  });

  test("of options that a dataset has no use for", async () => {
    const batches = watched(8).dataset.batch(4);
    const told = (options: object) => message(() => small().fit(batches, { ...quiet, ...options }));
    expect([
      await told({ batchSize: 4 }),
      await told({ shuffle: false }),
      await told({ validationSplit: 0.5 }),
      await told({ sampleWeight: [1] }),
      await told({ stepsPerEpoch: 0 }),
      await told({ validationSteps: 1, validationData: [tensor([[1, 2]]), [1]] }),
      await message(() => small().fit(batches, tensor([1]) as never)),
      await message(() => small().fit(batches as never, quiet, quiet as never)),
      await message(() => small().predict(batches, { batchSize: 3 })),
      await message(() => small().evaluate(batches, { batchSize: 3 } as never)),
      await message(async () => small().fitDataset([1] as never)),
      await message(() => small().evaluate(tensor([[1, 2]]), [1], { steps: 2 })),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: fit(): \`batchSize\` is not for a dataset: use dataset.batch(size)",
        "ArgumentError: fit(): \`shuffle\` is not for a dataset: use dataset.shuffle(bufferSize)",
        "ArgumentError: fit(): \`validationSplit\` is not for a dataset: use dataset.skip(n) and dataset.take(n), with validationData",
        "ArgumentError: fit(): \`sampleWeight\` is not for a dataset: use a third part of its elements: [x, y, sampleWeight]",
        "ArgumentError: fit(): expected \`stepsPerEpoch\` to be an integer ≥ 1, got 0",
        "ArgumentError: fit(): \`validationSteps\` is for a dataset as validationData",
        "ArgumentError: fit(): expected a dataset and options, got an instance of Tensor; its elements hold x and y",
        "ArgumentError: fit(): expected a dataset and options, got an object; its elements hold x and y",
        "ArgumentError: predict(): \`batchSize\` is not for a dataset: use dataset.batch(size)",
        "ArgumentError: evaluate(): \`batchSize\` is not for a dataset: use dataset.batch(size)",
        "ArgumentError: fitDataset(): expected a dataset, as lw.data makes them, got [1]",
        "ArgumentError: evaluate(): \`steps\` is for a dataset; arrays have \`batchSize\`",
      ]
    `);
  });
});

test("the event loop is free while batches are made and steps run", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  // One source that never waits for anything, filtered so that most of the work gives nothing.
  const dataset = fromGenerator(function* () {
    for (let i = 0; i < 3_000_000; i++) yield i;
  })
    .filter((i) => i % 300_000 === 0)
    .map((i) => [Float32Array.of(i, 1), 1])
    .batch(5);
  await small().fit(dataset as never, { terminateOnNaN: false, ...quiet });
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(3);
});

test("the next batch is made while a step runs", async () => {
  const events: string[] = [];
  const dataset = fromGenerator(function* () {
    for (let i = 0; i < 4; i++) {
      events.push(`made ${i}`);
      yield [Float32Array.of(i, 1), 1];
    }
  }).batch(1);
  const onBatchEnd = (batch: number) => {
    events.push(`end ${batch}`);
  };
  await small().fit(dataset as never, { ...quiet, callbacks: [{ onBatchEnd }] });
  for (let i = 0; i < 3; i++) {
    expect(events.indexOf(`made ${i + 1}`)).toBeLessThan(events.indexOf(`end ${i}`));
  }
});
