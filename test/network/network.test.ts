/** Networks: wiring, shared layers, nesting, several inputs and outputs, configurations, errors. */
import { beforeEach, describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import { trace } from "../../src/backend/run.js";
import type { CallContext } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { type AnyNetwork, input, Network } from "../../src/network/network.js";
import type { JsonObject } from "../../src/nn/options.js";
import { fill } from "../../src/ops/creation.js";
import { sum } from "../../src/ops/reduce.js";
import { randomSource, setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(11));

const context = (training: boolean, losses: Tensor[] = []): CallContext => ({
  training,
  random: randomSource(3),
  addLoss: (loss) => losses.push(loss),
});

/** Two layers of weights that are easy to follow: x ↦ 2x + 1, x ↦ 3x. */
const twice = (name: string) =>
  layers.dense({
    units: 1,
    name,
    kernelInitializer: { className: "constant", config: { value: 2 } },
    biasInitializer: "ones",
  });
const thrice = (name: string) =>
  layers.dense({
    units: 1,
    name,
    useBias: false,
    kernelInitializer: { className: "constant", config: { value: 3 } },
  });

describe("wiring", () => {
  test("a chain computes its layers in order", () => {
    const x = input({ shape: [1], name: "x" });
    const network = new Network({ inputs: x, outputs: thrice("b").apply(twice("a").apply(x)) });
    expect(network.apply([[1], [2]]).arraySync()).toEqual([[9], [15]]);
    expect(network.layers.map((layer) => layer.name)).toEqual(["x", "a", "b"]);
    expect([network.inputNames, network.outputNames]).toEqual([["x"], ["b"]]);
    expect(network.weights.map((w) => w.name)).toEqual(["a/kernel", "a/bias", "b/kernel"]);
    expect(network.countParams()).toBe(3);
    expect(network.built).toBe(true);
  });

  test("several inputs and outputs", () => {
    const [x, y] = [input({ shape: [2] }), input({ shape: [2] })];
    const total = layers.add().apply([x, y]);
    const difference = layers.subtract().apply([x, y]);
    const network = new Network<Tensor[]>({ inputs: [x, y], outputs: [total, difference] });
    const [a, b] = network.apply([tensor([[1, 2]]), tensor([[10, 20]])]) as [Tensor, Tensor];
    expect([a.arraySync(), b.arraySync()]).toEqual([[[11, 22]], [[-9, -18]]]);
    expect(
      network.computeOutputShape([
        [null, 2],
        [null, 2],
      ]),
    ).toEqual([
      [null, 2],
      [null, 2],
    ]);
  });

  test("branches that part and meet again", () => {
    const x = input({ shape: [1] });
    const left = twice("left").apply(x);
    const right = thrice("right").apply(x);
    const network = new Network({
      inputs: x,
      outputs: layers.concatenate().apply([left, right, x]),
    });
    expect(network.apply([[5]]).arraySync()).toEqual([[11, 15, 5]]);
  });

  test("a shared layer has one set of weights", () => {
    const shared = twice("shared");
    const [x, y] = [input({ shape: [1] }), input({ shape: [1] })];
    const network = new Network({
      inputs: [x, y],
      outputs: layers.add().apply([shared.apply(x), shared.apply(shared.apply(y))]),
    });
    const result = network.apply([tensor([[1]]), tensor([[1]])]);
    expect(result.arraySync()).toEqual([[3 + 7]]);
    expect(network.weights.length).toBe(2);
    expect(network.layers.filter((layer) => layer === shared).length).toBe(1);
    expect(shared.connections.length).toBe(3);
  });

  test("an input may be an output", () => {
    const x = input({ shape: [1], name: "x" });
    const network = new Network<Tensor[]>({ inputs: x, outputs: [x, twice("a").apply(x)] });
    const [same, more] = network.apply([[4]]) as unknown as [Tensor, Tensor];
    expect([same.item(), more.item()]).toEqual([4, 9]);
  });

  test("a network may be cut out of another", () => {
    const x = input({ shape: [1], name: "x" });
    const middle = twice("a").apply(x);
    const end = thrice("b").apply(middle);
    const whole = new Network({ inputs: x, outputs: end });
    const head = new Network({ inputs: x, outputs: middle });
    const tail = new Network({ inputs: middle, outputs: end, name: "tail" });
    expect(tail.apply(head.apply([[2]])).arraySync()).toEqual(whole.apply([[2]]).arraySync());
    expect(tail.layers.map((layer) => layer.name)).toEqual(["a_input", "b"]);
    const copy = Network.fromConfig(tail.getConfig());
    expect(copy.apply([[5]]).arraySync()).toEqual([[15]]);
  });
});

describe("nesting", () => {
  const inner = () => {
    const x = input({ shape: [1] });
    return new Network({ inputs: x, outputs: twice("a").apply(x), name: "inner" });
  };

  test("a network is a layer", () => {
    const nested = inner();
    const x = input({ shape: [1], name: "x" });
    const outer = new Network({
      inputs: x,
      outputs: thrice("a").apply(nested.apply(nested.apply(x))),
    });
    expect(outer.apply([[1]]).arraySync()).toEqual([[21]]);
    expect(outer.layers.map((layer) => layer.name)).toEqual(["x", "inner", "a"]);
    expect(outer.namedWeights().map(([name]) => name)).toEqual([
      "inner/a/kernel",
      "inner/a/bias",
      "a/kernel",
    ]);
  });

  test("freezing it freezes what is in it", () => {
    const nested = inner();
    const x = input({ shape: [1] });
    const outer = new Network({ inputs: x, outputs: thrice("b").apply(nested.apply(x)) });
    nested.trainable = false;
    expect(outer.trainableWeights.map((w) => w.name)).toEqual(["b/kernel"]);
    expect(outer.nonTrainableWeights.map((w) => w.name)).toEqual(["a/kernel", "a/bias"]);
    expect(outer.weights.map((w) => w.name)).toEqual(["a/kernel", "a/bias", "b/kernel"]);
    nested.trainable = true;
    expect(outer.trainableWeights.length).toBe(3);
  });

  test("reshape inside works for free dimensions", () => {
    const x = input({ shape: [6] });
    const nested = new Network({
      inputs: x,
      outputs: layers.reshape({ targetShape: [2, -1] }).apply(x),
    });
    const outer = input({ shape: [6] });
    expect(nested.apply(outer).shape).toEqual([null, 2, 3]);
  });
});

describe("training and inference", () => {
  const make = () => {
    const x = input({ shape: [20] });
    const h = layers.dropout({ rate: 0.5 }).apply(x);
    return { x, h };
  };

  test("the run decides, unless an application is fixed", () => {
    const { x, h } = make();
    const ones = fill([3, 20], 1);
    const free = new Network({ inputs: x, outputs: h });
    expect(free.invoke(ones, context(true)).dataSync()).toContain(0);
    expect(free.invoke(ones, context(false)).dataSync()).not.toContain(0);
    const dropout = layers.dropout({ rate: 0.5 });
    const off = new Network({ inputs: x, outputs: dropout.apply(x, { training: false }) });
    expect(off.invoke(ones, context(true)).dataSync()).not.toContain(0);
    const on = new Network({ inputs: x, outputs: dropout.apply(x, { training: true }) });
    expect(on.invoke(ones, context(false)).dataSync()).toContain(0);
    const copy = Network.fromConfig(on.getConfig());
    expect(copy.invoke(ones, context(false)).dataSync()).toEqual(
      on.invoke(ones, context(false)).dataSync(),
    );
  });

  test("losses of layers inside reach the run", () => {
    const x = input({ shape: [2] });
    const y = layers.activityRegularization({ l1: 1 }).apply(x);
    const nested = new Network({ inputs: x, outputs: y });
    const outer = input({ shape: [2] });
    const network = new Network({ inputs: outer, outputs: nested.apply(outer) });
    const losses: Tensor[] = [];
    network.invoke(tensor([[1, -2]]), context(true, losses));
    expect(losses.map((loss) => loss.item())).toEqual([3]);
  });

  test("a traced step learns and moves the statistics", () => {
    const x = input({ shape: [3] });
    let h = layers.dense({ units: 4, activation: "tanh" }).apply(x);
    h = layers.batchNormalization({ momentum: 0.5, name: "bn" }).apply(h);
    const network = new Network({ inputs: x, outputs: layers.dense({ units: 1 }).apply(h) });
    const variables = network.trainableWeights;
    const step = trace({
      name: "step",
      inputs: [{ name: "x", shape: [8, 3], dtype: "float32" }],
      body: ([batch]) => {
        const y = network.invoke(batch!, context(true));
        const loss = sum(y.sub(1).square());
        const gradients = gradientsOf(loss, variables);
        variables.forEach((v, i) => {
          v.assign(v.read().sub(gradients[i]!.mul(0.01)));
        });
        return [loss];
      },
    });
    const data = uniform(2, 24);
    const before = network.getLayer("bn").getWeights()[2]!.dataSync().slice();
    const losses = Array.from({ length: 30 }, () => step.runSync([data])[0]![0]!);
    expect(losses[29]!).toBeLessThan(0.1 * losses[0]!);
    expect(network.getLayer("bn").getWeights()[2]!.dataSync()).not.toEqual(before);
  });
});

describe("configurations", () => {
  function example(): AnyNetwork {
    const image = input({ shape: [4, 4, 1], dtype: "uint8", name: "image" });
    const extra = input({ shape: [3], name: "extra" });
    const inside = input({ shape: [16], name: "inside" });
    const nested = new Network({
      inputs: inside,
      outputs: layers.dense({ units: 5, name: "hidden", activation: "relu" }).apply(inside),
      name: "nested",
    });
    let h = layers.rescaling({ scale: 1 / 255, name: "rescale" }).apply(image);
    h = layers.flatten({ name: "flat" }).apply(h);
    const features = nested.apply(h);
    const shared = layers.dense({ units: 3, name: "shared" });
    const joined = layers
      .concatenate({ name: "join" })
      .apply([
        shared.apply(extra),
        shared.apply(layers.dense({ units: 3, name: "side" }).apply(extra)),
      ]);
    const all = layers.concatenate({ name: "all" }).apply([features, joined]);
    return new Network<Tensor[]>({
      inputs: [image, extra],
      outputs: [
        layers.dense({ units: 2, name: "one", activation: "softmax" }).apply(all),
        layers.dense({ units: 1, name: "two", kernelRegularizer: "l2" }).apply(all),
      ],
      name: "example",
    });
  }

  test("a round trip keeps everything but the weights", () => {
    const network = example();
    const config = JSON.parse(JSON.stringify(network.getConfig()));
    const copy = Network.fromConfig(config);
    expect(copy.getConfig()).toEqual(network.getConfig());
    expect(copy.name).toBe("example");
    expect(copy.namedWeights().map(([name, w]) => [name, w.shape])).toEqual(
      network.namedWeights().map(([name, w]) => [name, w.shape]),
    );
    copy.setWeights(network.getWeights());
    const inputs = [
      leaf(
        Uint8Array.from({ length: 32 }, (_, i) => i * 7),
        [2, 4, 4, 1],
        "uint8",
      ),
      leaf(uniform(1, 6), [2, 3], "float32"),
    ];
    const values = (n: AnyNetwork) => (n.apply(inputs) as Tensor[]).map((t) => t.dataSync());
    expect(values(copy)).toEqual(values(network));
    expect(copy.summaryText()).toBe(network.summaryText());
  });

  test("damaged ones are named", () => {
    const x = input({ shape: [1], name: "x" });
    const network = new Network({ inputs: x, outputs: twice("a").apply(x), name: "net" });
    const damaged = (change: JsonObject) => () =>
      Network.fromConfig({ ...network.getConfig(), ...change });
    const { layers: list } = network.getConfig() as { layers: JsonObject[] };
    expect(damaged({ name: 3 })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of a model: name: expected a string, got 3]`,
    );
    expect(damaged({ layers: "none" })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": layers: expected an array, got "none"]`,
    );
    expect(damaged({ layers: [...list, list[1]!] })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": two layers are called "a"]`,
    );
    expect(damaged({ layers: [list[0]!] })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": a connection names layer "a", which is not listed]`,
    );
    const x0 = { layer: "x", inputs: [] };
    expect(
      damaged({ connections: [x0, { layer: "a", inputs: [[1, 0]] }] }),
      "a cycle",
    ).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": dense layer "a" uses application 1, which is not before it; a model's graph has no cycles]`,
    );
    expect(
      damaged({ connections: [x0, { layer: "a", inputs: [[0, 2]] }] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": dense layer "a" uses output 2 of application 0, which has 1]`,
    );
    expect(
      damaged({ connections: [x0, { layer: "a", inputs: [] }] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": dense layer "a" has no inputs]`,
    );
    expect(damaged({ outputs: [[7, 0]] })).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: configuration of model "net": outputs uses application 7, which is not before it; a model's graph has no cycles]`,
    );
  });
});

describe("getLayer", () => {
  const x = input({ shape: [1], name: "x" });
  const network = new Network({ inputs: x, outputs: twice("a").apply(x), name: "net" });

  test("by name and position", () => {
    expect(network.getLayer("a")).toBe(network.getLayer(1));
    expect(network.getLayer(-1).name).toBe("a");
  });

  test("mistakes are named", () => {
    expect(() => network.getLayer("b")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": there is no layer "b"; its layers are x, a]`,
    );
    expect(() => network.getLayer(2)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": there is no layer 2; it has 2 layers]`,
    );
  });
});

describe("mistakes in the wiring are named", () => {
  const make = (options: unknown) => () => new Network({ name: "net", ...(options as object) });

  test("disconnected, idle and doubled inputs", () => {
    const [x, y] = [input({ shape: [1], name: "x" }), input({ shape: [1], name: "y" })];
    const z = layers.add({ name: "sum" }).apply([x, y]);
    expect(make({ inputs: x, outputs: z })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": the graph is disconnected: add layer "sum" needs input "y", which is not among the model's inputs ("x")]`,
    );
    expect(make({ inputs: x, outputs: y })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": the graph is disconnected: an output needs input "y", which is not among the model's inputs ("x")]`,
    );
    expect(
      make({ inputs: [x, y], outputs: twice("a").apply(x) }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": no output depends on input "y"; leave it out or connect it]`,
    );
    expect(make({ inputs: [x, x], outputs: x })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": input "x" is given twice]`,
    );
  });

  test("two layers of one name", () => {
    const x = input({ shape: [1], name: "x" });
    expect(
      make({ inputs: x, outputs: thrice("same").apply(twice("same").apply(x)) }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": two of its layers are called "same"; give one of them another \`name\`]`,
    );
  });

  test("what is no symbolic tensor", () => {
    const x = input({ shape: [1], name: "x" });
    expect(make({ inputs: tensor([1]), outputs: x })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": expected \`inputs\` to be what input() gives, got an instance of Tensor]`,
    );
    expect(make({ inputs: x, outputs: twice("a") })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": expected \`outputs\` to be symbolic tensors, got an instance of Dense]`,
    );
    expect(make({ inputs: x })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": expected \`outputs\` to be symbolic tensors, got undefined]`,
    );
    expect(make({ inputs: [], outputs: x })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "net": \`inputs\` is an empty array]`,
    );
    expect(make({ input: x, outputs: x })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model: unknown option \`input\`; did you mean \`inputs\`?]`,
    );
    expect(() => new Network({ name: "net" }).apply([[1]])).toThrowErrorMatchingInlineSnapshot(
      `[StateError: model "net": its input shape is not known yet; give its first layer an inputShape, build it with a shape, or fit it to data first]`,
    );
  });

  test("inputs of another shape, dtype or number", () => {
    const [x, y] = [input({ shape: [3], name: "x" }), input({ shape: [3], name: "y" })];
    const one = new Network({
      inputs: x,
      outputs: layers.dense({ units: 1 }).apply(x),
      name: "one",
    });
    const two = new Network({
      inputs: [x, y],
      outputs: layers.add({ name: "sum" }).apply([x, y]),
      name: "two",
    });
    expect(() => one.apply(fill([2, 4], 1))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: model "one": input "x": expected shape [null, 3], got [2, 4]]`,
    );
    expect(() => one.apply(fill([3], 1))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: model "one": input "x": expected shape [null, 3], got [3]; a single sample needs a batch dimension: x.expandDims(0)]`,
    );
    expect(() => one.apply(fill([2, 3], 1, "uint8"))).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: model "one": input "x": expected float32, got uint8; cast it, or make the model with an input of dtype "uint8"]`,
    );
    expect(() => two.apply(fill([2, 3], 1))).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: model "two": expected 2 inputs (x, y), got 1]`,
    );
    expect(() => one.apply(input({ shape: [5], name: "z" }))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: model "one": input "x": expected shape [null, 3], got [null, 5]]`,
    );
    expect(() => two.apply([fill([2, 3], 1), fill([4, 3], 1)])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: add layer "sum": add: shapes [2, 3] and [4, 3] do not broadcast; each dimension, counted from the last, must be equal or 1]`,
    );
  });

  test("an error inside names the layer", () => {
    const x = input({ batchShape: [null, null], name: "x" });
    const lambda = layers.lambda({ function: (t) => t.slice([0, 1], [-1, 2]), name: "cut" });
    const network = new Network({ inputs: x, outputs: lambda.apply(x) as never, name: "net" });
    expectClose((network.apply(fill([2, 3], 1)) as Tensor).dataSync(), [1, 1, 1, 1], {});
    expect(() => network.apply(fill([2, 2], 1))).toThrow(/^lambda layer "cut": slice/);
  });
});
