/** What a Program keeps of weights that it only reads: never longer than they stay what they are. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compile } from "../../src/backend/compiled.js";
import { trace } from "../../src/backend/run.js";
import { setBackend } from "../../src/backend/select.js";
import { batchNormalization, conv2d, dense, flatten } from "../../src/layers/layers.js";
import { type Sequential, sequential } from "../../src/models/sequential.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { type Variable, variable } from "../../src/tensor/variable.js";
import { uniform } from "../helpers/random.js";
import { backends, defaultBackend } from "./helpers.js";

const shape = [3, 10, 9, 16];
const x = tensor(uniform(1, 3 * 10 * 9 * 16, -1, 1), shape);
const y = tensor([0, 1, 2], [3], "int32");

/** Products of all kinds whose second operand stays packed: patches, Winograd's tiles, 1×1 and dense. */
function network(): Sequential {
  const made = sequential([
    conv2d({ filters: 20, kernelSize: 3, padding: "same", inputShape: shape.slice(1) }),
    batchNormalization(),
    conv2d({ filters: 24, kernelSize: 1, activation: "relu" }),
    conv2d({ filters: 8, kernelSize: [2, 3], strides: 2 }),
    flatten(),
    dense({ units: 5, activation: "softmax" }),
  ]);
  made.compile({
    optimizer: optimizers.adam({ emaMomentum: 0.5 }),
    loss: "sparseCategoricalCrossentropy",
  });
  return made;
}

const bindingsOf = (f: {
  readonly program: { readonly bindings: readonly { access: string }[] };
}) => f.program.bindings.map(({ access }) => access);

describe.each(backends)("weights that last (%s)", (backend) => {
  let made: Sequential;
  beforeEach(() => {
    setBackend(backend);
    setRandomSeed(1);
    made = network();
  });
  afterEach(defaultBackend);

  /** Predicts with what may have been kept, and with a network that has kept nothing. */
  async function check(what: string): Promise<void> {
    const fresh = network();
    fresh.setWeights(made.getWeights());
    const want = fresh.predictSync(x).dataSync();
    expect(made.predictSync(x).dataSync(), what).toEqual(want);
    expect((await made.predict(x)).dataSync(), what).toEqual(want);
    expect(made.predictSync(x).dataSync(), what).toEqual(want);
  }

  test("are seen after each kind of change", async () => {
    await check("first values");
    const before = made.predictSync(x).dataSync();
    await made.fit(x, y, { epochs: 2, batchSize: 2, verbose: 0 });
    expect(made.predictSync(x).dataSync()).not.toEqual(before);
    await check("after fit");
    for (const weight of made.trainableWeights as Variable[]) weight.assign(weight.mul(1.5));
    await check("after assign");
    made.setWeights(made.getWeights().map((w) => w.mul(0.5)));
    await check("after setWeights");
    const kernel = made.trainableWeights[0] as Variable;
    kernel.storageForUpdate().fill(0.25);
    made.predictSync(x);
    kernel.storageForUpdate().fill(0.5); // nobody holds the old value, so it is the same storage
    await check("after a change in place");
    await made.trainOnBatch(x, y);
    await check("after trainOnBatch");
  });

  test("are those of the last step after a fit during which others predicted", async () => {
    // One epoch of many steps is one run, which predictions interrupt and which ends after the last of them.
    const samples = tensor(uniform(7, 2000 * 1440, -1, 1), [2000, ...shape.slice(1)]);
    const labels = tensor(new Int32Array(2000), [2000], "int32");
    const stop = new AbortController();
    const { signal } = stop;
    const fit = made.fit(samples, labels, { epochs: 100, batchSize: 1, verbose: 0, signal });
    fit.catch(() => {});
    const pause = (milliseconds: number) => new Promise((r) => setTimeout(r, milliseconds));
    while (!(made.trainableWeights[0] as Variable).update) await pause(1);
    for (let i = 0; i < 5; i++) await made.predict(x);
    await pause(20);
    stop.abort();
    await expect(fit).rejects.toThrow(/abort/i);
    await check("after fit");
  });

  test("are seen by predictions in a callback of fit", async () => {
    const seen: Tensor[] = [];
    const wanted: Tensor[] = [];
    await made.fit(x, y, {
      epochs: 4,
      batchSize: 3,
      verbose: 0,
      callbacks: [
        {
          onEpochEnd: () => {
            const fresh = network();
            fresh.setWeights(made.getWeights());
            seen.push(made.predictSync(x));
            wanted.push(fresh.predictSync(x));
          },
        },
      ],
    });
    expect(seen.length).toBe(4);
    for (const [i, got] of seen.entries()) expect(got.dataSync()).toEqual(wanted[i]!.dataSync());
    expect(seen[0]!.dataSync()).not.toEqual(seen[3]!.dataSync());
  });

  test("are those of frozen layers too, while others learn", () => {
    const frozen = variable(uniform(2, 64, -1, 1), { name: "frozen" });
    const learned = variable(uniform(3, 64, -1, 1), { name: "learned" });
    const rows = tensor(uniform(4, 80, -1, 1), [10, 8]);
    const step = compile((t: Tensor) => {
      const h = t.matMul(frozen.reshape([8, 8])).matMul(learned.reshape([8, 8]));
      learned.assign(learned.add(0.125));
      return h;
    });
    for (const change of [false, false, true, false]) {
      if (change) frozen.assign(frozen.mul(-2));
      const want = rows
        .matMul(frozen.read().reshape([8, 8]))
        .matMul(learned.read().reshape([8, 8]));
      const values = want.dataSync().slice();
      expect(step(rows).dataSync()).toEqual(values);
    }
  });
});

test("only what a run reads as second operand of a product lasts", () => {
  const read = variable(uniform(5, 64, -1, 1), { name: "read" });
  const updated = variable(uniform(6, 64, -1, 1), { name: "updated" });
  const inputs = [{ name: "x", shape: [4, 8], dtype: "float32" as const }];
  const square = (v: Variable) => v.reshape([8, 8]);
  const reading = trace({
    name: "reading",
    inputs,
    body: ([t]) => [t!.matMul(square(read)).add(1)],
  });
  expect(bindingsOf(reading)).toEqual(["read", "lasts", "write", "stamp"]);
  const first = trace({
    name: "first",
    inputs,
    body: ([t]) => [square(read).matMul(t!.transpose())],
  });
  expect(bindingsOf(first)).toEqual(["read", "read", "write"]);
  const updating = trace({
    name: "updating",
    inputs,
    body: ([t]) => {
      const product = t!.matMul(square(updated));
      updated.assign(updated.mul(2));
      return [product];
    },
  });
  expect(bindingsOf(updating)).toEqual(["read", "readwrite", "write"]);
});
