/** Models into files: there and back, training that goes on, things of one's own. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { Layer } from "../../src/layers/layer.js";
import { activation, add, dense } from "../../src/layers/layers.js";
import { rbm } from "../../src/models/boltzmann.js";
import { loadModel, modelFromJSON } from "../../src/models/loading.js";
import { model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import * as losses from "../../src/nn/losses.js";
import { precision } from "../../src/nn/metrics/confusion.js";
import * as metrics from "../../src/nn/metrics/table.js";
import { tanh } from "../../src/ops/elementwise.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { data, directory, network, path, testsInFolders, trained, weightsOf } from "./saved.js";

testsInFolders();

describe("there and back", () => {
  test("predictions are the same, and so is what was compiled", async () => {
    const made = trained();
    await made.fit(data.x, data.y, { verbose: 0, seed: 1 });
    await made.save(path);
    const again = await loadModel(path);
    expect(weightsOf(again)).toEqual(weightsOf(made));
    expect((await again.predict(data.x)).arraySync()).toEqual(
      (await made.predict(data.x)).arraySync(),
    );
    expect(await again.evaluate(data.x, data.y)).toEqual(await made.evaluate(data.x, data.y));
    expect(again.toJSON()).toEqual(made.toJSON());
    expect(again.name).toBe("net");
    expect(again.optimizer.getConfig()).toEqual(made.optimizer.getConfig());
  });

  test("training goes on as if it had not been interrupted", async () => {
    const whole = trained();
    await whole.fit(data.x, data.y, { epochs: 4, verbose: 0, seed: 3 });
    setRandomSeed(1);
    const first = trained();
    await first.fit(data.x, data.y, { epochs: 2, verbose: 0, seed: 3 });
    await first.save(path);
    const second = await loadModel(path);
    await second.fit(data.x, data.y, { epochs: 4, initialEpoch: 2, verbose: 0, seed: 3 });
    expect(weightsOf(second)).toEqual(weightsOf(whole));
  });

  test("the file is a plain safetensors file with readable names, replaced as a whole", async () => {
    const made = trained();
    await made.fit(data.x, data.y, { verbose: 0 });
    await made.save(path);
    await made.save(path);
    expect(readdirSync(directory)).toEqual(["model.safetensors"]);
    const { tensors, metadata } = await readSafetensors(path);
    expect([...tensors.keys()].filter((n) => !n.startsWith("__")).sort()).toEqual([
      "hidden/bias",
      "hidden/kernel",
      "norm/beta",
      "norm/gamma",
      "norm/movingMean",
      "norm/movingVariance",
      "out/bias",
      "out/kernel",
    ]);
    expect(tensors.has("__optimizer__/hidden/kernel/vHat")).toBe(true);
    expect(metadata.get("format")).toBe("layerwise");
    await made.save(path, { includeOptimizer: false });
    const bare = await readSafetensors(path);
    expect([...bare.tensors.keys()].some((n) => n.startsWith("__"))).toBe(false);
    const again = await loadModel(path);
    expect(again.optimizer.iterations.read().item()).toBe(0);
  });

  test("several inputs and outputs, shared layers, losses and metrics by output", async () => {
    const a = input({ shape: [2], name: "a" });
    const b = input({ shape: [2], name: "b" });
    const shared = dense({ units: 4, activation: "tanh", name: "shared" });
    const sum = add({ name: "sum" }).apply([shared.apply(a), shared.apply(b)]) as typeof a;
    const made = model({
      inputs: [a, b],
      outputs: [
        dense({ units: 1, name: "value" }).apply(sum),
        dense({ units: 3, activation: "softmax", name: "kind" }).apply(sum),
      ],
    });
    made.compile({
      optimizer: "sgd",
      loss: { value: { name: "huber", delta: 2 }, kind: "sparseCategoricalCrossentropy" },
      lossWeights: { value: 0.5 },
      metrics: { value: ["mae"], kind: ["accuracy", precision({ topK: 1, name: "p" })] },
    });
    const x = { a: data.x, b: data.x.map((v) => -v) };
    const y = [Float32Array.from(data.y), data.y];
    const { history } = await made.fit(x, y, { epochs: 2, verbose: 0 });
    expect(Object.keys(history)).toEqual([
      "loss",
      "value_loss",
      "kind_loss",
      "value_mae",
      "kind_accuracy",
      "kind_p",
    ]);
    for (let e = 0; e < 2; e++) {
      const total = 0.5 * history.value_loss![e]! + history.kind_loss![e]!;
      expect(Math.abs(history.loss![e]! - total)).toBeLessThan(1e-6);
    }
    await made.save(path);
    const again = await loadModel<Tensor[]>(path);
    const [value, kind] = await again.predict([x.a, x.b]);
    const [wantValue, wantKind] = await made.predict([x.a, x.b]);
    expect(value!.arraySync()).toEqual(wantValue!.arraySync());
    expect(kind!.arraySync()).toEqual(wantKind!.arraySync());
    expect(await again.evaluate(x, y)).toEqual(await made.evaluate(x, y));
  });

  test("of a layer that two models inside hold, nothing is written", async () => {
    const x = input({ shape: [2], name: "x" });
    const shared = dense({ units: 2, name: "A" });
    const nested = (name: string) => {
      const own = input({ shape: [2], name: `${name}_input` });
      return model({ name, inputs: own, outputs: shared.apply(own) });
    };
    const [m1, m2] = [nested("m1"), nested("m2")];
    const sum = add({ name: "sum" }).apply([m1.apply(x), m2.apply(x)] as never) as typeof x;
    const made = model({ name: "m", inputs: x, outputs: sum });
    const message =
      'save() of model "m": expected each layer in one model, got dense layer "A" in model "m1" and model "m2"; ' +
      "a file would hold it twice and load it apart: use a model inside twice, or saveWeights()";
    await expect(made.save(path)).rejects.toThrow(new ArgumentError(message));
    expect(existsSync(path)).toBe(false);
    // The outer model counts, too.
    const both = model({ name: "m", inputs: x, outputs: shared.apply(m1.apply(x) as typeof x) });
    await expect(both.save(path)).rejects.toThrow('"A" in model "m1" and model "m"');
    // Weights go by themselves, into the model they are of.
    await made.saveWeights(path);
    await made.loadWeights(path);
  });

  test("what is shared within one model, a model inside too, and layers without weights", async () => {
    const x = input({ shape: [2], name: "x" });
    const bend = activation({ activation: "tanh", name: "bend" });
    const own = input({ shape: [2], name: "own" });
    const inner = model({
      name: "inner",
      inputs: own,
      outputs: bend.apply(dense({ units: 2, name: "A" }).apply(own)) as typeof own,
    });
    const twice = inner.apply(inner.apply(x) as typeof x) as typeof x;
    const made = model({ name: "m", inputs: x, outputs: bend.apply(twice) as typeof x });
    await made.save(path);
    const again = await loadModel(path);
    const at = [[0.3, -0.7]];
    expect((await again.predict(at)).arraySync()).toEqual((await made.predict(at)).arraySync());
  });

  test("functions of the library, given as such", async () => {
    const made = sequential([dense({ units: 1, activation: tanh, inputShape: [2] })]);
    const distances = [losses.meanAbsoluteError, metrics.rootMeanSquaredError];
    made.compile({ loss: losses.huber, metrics: distances });
    await made.save(path);
    const again = await loadModel(path);
    const y = Float32Array.from(data.y);
    const wanted = await made.evaluate(data.x, y);
    expect(Object.keys(wanted)).toEqual(["loss", "meanAbsoluteError", "rootMeanSquaredError"]);
    expect(await again.evaluate(data.x, y)).toEqual(wanted);
  });

  test("weights alone", async () => {
    const made = trained();
    await made.saveWeights(path);
    const other = network();
    await other.loadWeights(path);
    expect(weightsOf(other)).toEqual(weightsOf(made));
    await expect(loadModel(path)).rejects.toThrow(/model.loadWeights/);
    await made.save(path);
    setRandomSeed(7);
    const third = network();
    await third.loadWeights(path);
    expect(weightsOf(third)).toEqual(weightsOf(made));
  });

  test("the architecture alone, as JSON", () => {
    const made = network();
    const again = modelFromJSON(JSON.stringify(made));
    expect(again.toJSON()).toEqual(made.toJSON());
    expect(again.countParams()).toBe(made.countParams());
  });

  test("a model that was built by its data", async () => {
    const made = sequential([dense({ units: 3, activation: "softmax" })]);
    made.compile({ loss: "sparseCategoricalCrossentropy" });
    await made.fit(tensor(data.x, [60, 2]), data.y, { verbose: 0 });
    await made.save(path);
    const again = await loadModel(path);
    expect(weightsOf(again)).toEqual(weightsOf(made));
  });
});

class Twice extends Layer {
  static override readonly className = "Twice";
  override call(x: Tensor): Tensor {
    return x.mul(2);
  }
}

describe("things of one's own", () => {
  const distance = (t: Tensor, p: Tensor): Tensor => p.sub(t).abs().mean(-1);

  test("are passed as customObjects", async () => {
    const made = sequential([dense({ units: 1, inputShape: [2] }), new Twice({})]);
    made.compile({ loss: distance, metrics: [distance] });
    await made.save(path);
    await expect(loadModel(path)).rejects.toThrow(/"Twice"/);
    await expect(loadModel(path, { customObjects: { Twice } })).rejects.toThrow(
      /function of your own, "distance"; pass it as customObjects: \{ distance \}/,
    );
    const plain = await loadModel(path, { customObjects: { Twice }, compile: false });
    expect(plain.compileOptions).toBe(null);
    const again = await loadModel(path, { customObjects: { Twice, distance } });
    const y = Float32Array.from(data.y);
    expect(await again.evaluate(data.x, y)).toEqual(await made.evaluate(data.x, y));
  });
});

test("a path of another program's format is refused", async () => {
  const made = sequential([dense({ units: 1, inputShape: [2] })]);
  for (const name of ["m.h5", "m.keras", "m.weights.H5", "m.onnx", "m.pt"]) {
    const at = join(directory, name);
    for (const [what, saving] of [
      ["save()", made.save(at)],
      ["saveWeights()", made.saveWeights(at)],
      ["save()", rbm({ visible: 2, hidden: 2 }).save(at)],
    ] as const) {
      await expect(saving).rejects.toThrow(ArgumentError);
      await expect(saving).rejects.toThrow(
        /expected a path that ends in \.safetensors, the one format that models are written in, got ".*"$/,
      );
      await expect(saving).rejects.toThrow(what);
    }
    expect(existsSync(at)).toBe(false);
  }
});
