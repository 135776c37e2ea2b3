/** predict: in batches, at once, many at a time; and the promise of equal bits. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { setBackend, setThreads } from "../../src/backend/select.js";
import { batchNormalization, dense, dropout } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { addon } from "../helpers/executors.js";
import { uniform } from "../helpers/random.js";
import {
  backends,
  blobNetwork,
  blobs,
  defaultBackend,
  gateInputs,
  xor,
  xorNetwork,
} from "./helpers.js";

beforeEach(() => setRandomSeed(1));
afterEach(defaultBackend);

describe.each(backends)("prediction (%s)", (backend) => {
  beforeEach(() => setBackend(backend));

  test("gives the same in any batches, and at once", async () => {
    const model = blobNetwork();
    const { x } = blobs(101);
    const want = await (await model.predict(x, { batchSize: Number.POSITIVE_INFINITY })).data();
    for (const batchSize of [1, 10, 100, 101, 500]) {
      const got = await model.predict(x, { batchSize });
      expect(got.shape).toEqual([101, 3]);
      expectClose(got.dataSync(), want, { rtol: 1e-6 }, `batches of ${batchSize}`);
    }
    expectClose(model.predictSync(x).dataSync(), want, { rtol: 1e-6 });
  });

  test("runs any number of times at once, also of different sizes", async () => {
    const model = blobNetwork();
    const { x } = blobs(64);
    const want = model.predictSync(x).dataSync();
    const sizes = Array.from({ length: 60 }, (_, i) => 1 + ((i * 7) % 64));
    const got = await Promise.all(
      sizes.map((size) => model.predict(x.slice(0, size * 2), { batchSize: 16 })),
    );
    for (const [i, t] of got.entries()) {
      expectClose(t.dataSync(), want.subarray(0, sizes[i]! * 3), { rtol: 1e-6 });
    }
  });

  test("results stay what they are when more are asked for", () => {
    const model = blobNetwork();
    const a = tensor([[1, 2]]);
    const first = model.predictSync(a);
    const kept = [...first.dataSync()];
    model.predictSync(tensor([[5, -2]]));
    expect([...first.dataSync()]).toEqual(kept);
    expect([...model.predictSync(a).dataSync()]).toEqual(kept);
  });

  test("sees weights as they are at that time", async () => {
    const model = sequential([dense({ units: 1, inputShape: [1] })]);
    model.setWeights([tensor([[2]]), tensor([1])]);
    expect(model.predictSync(tensor([[3]])).item()).toBe(7);
    model.setWeights([tensor([[-1]]), tensor([0])]);
    expect(model.predictSync(tensor([[3]])).item()).toBe(-3);
    expect((await model.predict([[3]])).item()).toBe(-3);
  });

  test("needs no compile, and leaves dropout and batch statistics alone", async () => {
    const model = sequential([dropout({ rate: 0.9, inputShape: [4] }), batchNormalization()]);
    const x = leaf(uniform(1, 8), [2, 4], "float32");
    const scale = 1 / Math.sqrt(1 + 1e-3);
    const want = Float32Array.from(x.dataSync(), (v) => v * scale);
    expectClose((await model.predict(x)).dataSync(), want, { rtol: 1e-6 });
    const before = model.getWeights().map((t) => [...t.dataSync()]);
    model.predictSync(x);
    expect(model.getWeights().map((t) => [...t.dataSync()])).toEqual(before);
  });
});

test("an aborted prediction rejects", async () => {
  const { x } = blobs(100);
  const abort = blobNetwork().predict(x, { signal: AbortSignal.abort() });
  await expect(abort).rejects.toThrow(/abort/i);
});

describe.runIf(addon)("the same seed gives the same bits", () => {
  test("at 1, 2 and 3 threads, in weights after two epochs", async () => {
    const { x, y } = blobs(1000);
    const runs: string[] = [];
    for (const threads of [1, 2, 3]) {
      setThreads(threads);
      setRandomSeed(11);
      const model = sequential([
        dense({ units: 96, activation: "relu", inputShape: [2] }),
        batchNormalization(),
        dropout({ rate: 0.3 }),
        dense({ units: 64, activation: "tanh" }),
        dense({ units: 3, activation: "softmax" }),
      ]);
      model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy", metrics: ["acc"] });
      const { history } = await model.fit(x, y, { epochs: 2, batchSize: 128, verbose: 0 });
      const bits = model
        .getWeights()
        .map((t) => Buffer.from((t.dataSync() as Float32Array).slice().buffer).toString("base64"));
      runs.push(JSON.stringify([bits, history]));
    }
    setThreads(2);
    expect(runs[1]).toBe(runs[0]);
    expect(runs[2]).toBe(runs[0]);
  });
});

test("the seed of fit decides, whatever was drawn before", async () => {
  const weights = async (seed: number): Promise<number[]> => {
    setRandomSeed(2);
    const model = xorNetwork();
    setRandomSeed(Math.floor(Math.random() * 1e6));
    model.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
    await model.fit(gateInputs, xor, { batchSize: 1, epochs: 3, seed, verbose: 0 });
    return model.getWeights().flatMap((t) => [...t.dataSync()]);
  };
  expect(await weights(5)).toEqual(await weights(5));
  expect(await weights(5)).not.toEqual(await weights(6));
});
