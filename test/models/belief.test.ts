/** Deep belief networks: stacks that learn, generate, classify, and become other networks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { philox } from "../helpers/instructionReference.js";
import { uniform } from "../helpers/random.js";
import { numbersOf, sigmoid } from "./machines.js";

const directory = mkdtempSync(join(tmpdir(), "layerwise-dbn-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const { deepBeliefNetwork, rbm } = lw.models;
const sgd = (learningRate: number) => lw.optimizers.sgd({ learningRate, momentum: 0.5 });

describe("a stack", () => {
  test("takes each layer's size from the one below, and labels at the top", () => {
    const network = deepBeliefNetwork({
      layers: [{ inputShape: [4, 4], hidden: 8 }, { hidden: 6 }, { hidden: 5 }],
      classes: 3,
      seed: 1,
    });
    expect(network.machines.map((m) => m.getConfig().visibleUnits)).toEqual([
      [{ type: "bernoulli", units: 16 }],
      [{ type: "bernoulli", units: 8 }],
      [
        { type: "bernoulli", units: 6 },
        { type: "softmax", units: 3 },
      ],
    ]);
    expect(`${network}`).toBe(
      "deep belief network deep_belief_network, 16-8-6-5 units, 273 parameters",
    );
    expect(network.inputShape).toEqual([4, 4]);
  });

  test("makes Gaussian units of what rectified and Gaussian ones give", () => {
    const { machines } = deepBeliefNetwork({
      layers: [{ visible: 4, hidden: 3, hiddenUnits: "relu" }, { hidden: 2 }],
    });
    expect(machines[1]!.getConfig().visibleUnits).toEqual([{ type: "gaussian", units: 3 }]);
  });

  test("may be made of machines that were learnt before", async () => {
    const first = rbm({ visible: 4, hidden: 3, name: "first", seed: 1 });
    const network = deepBeliefNetwork({ layers: [first, { hidden: 2 }], seed: 2 });
    const x = uniform(1, 40, 0, 1);
    const features = await first.transform(x);
    expect((await network.transform(x, { layer: 0 })).arraySync()).toEqual(features.arraySync());
    const above = await network.machines[1]!.transform(features);
    expectClose(
      (await network.transform(x)).dataSync(),
      [...above.dataSync()],
      { rtol: 1e-6, atol: 1e-7 },
      "features",
    );
  });

  test.each<[string, () => unknown]>([
    [
      "deepBeliefNetwork(): expected `layers` to be a list of machines or their options, got []",
      () => deepBeliefNetwork({ layers: [] }),
    ],
    [
      "deepBeliefNetwork(): layer 1: expected 3 visible units, got 5",
      () =>
        deepBeliefNetwork({ layers: [{ visible: 4, hidden: 3 }, rbm({ visible: 5, hidden: 2 })] }),
    ],
    [
      "rbm(): the number of visible units is missing; give `visible` or `inputShape`",
      () => deepBeliefNetwork({ layers: [{ hidden: 3 }] }),
    ],
    [
      'deepBeliefNetwork(): two layers have the name "a"',
      () =>
        deepBeliefNetwork({
          layers: [
            { visible: 4, hidden: 3, name: "a" },
            { hidden: 3, name: "a" },
          ],
        }),
    ],
    [
      "deepBeliefNetwork(): layer 0: expected its last visible units to be a softmax group of 3 classes, got 4 bernoulli units",
      () => deepBeliefNetwork({ layers: [rbm({ visible: 4, hidden: 3 })], classes: 3 }),
    ],
  ])("%s", (message, f) => {
    expect(f).toThrow(message);
  });

  test.each<[string, () => Promise<unknown>]>([
    [
      "the top machine has no units for labels; make the network with `classes`",
      () => small().pretrain(uniform(1, 40, 0, 1), { labels: new Int32Array(10), verbose: 0 }),
    ],
    [
      "the top machine has units for 2 classes, so that `labels` are needed",
      () => small(2).pretrain(uniform(1, 40, 0, 1), { verbose: 0 }),
    ],
    [
      "expected `labels` to be integers from 0 to 1, got 2 for sample 9",
      () =>
        small(2).pretrain(uniform(1, 40, 0, 1), {
          labels: Int32Array.from({ length: 10 }, (_, i) => (i === 9 ? 2 : 0)),
          verbose: 0,
        }),
    ],
    [
      "expected 10 `labels`, got [9]",
      () => small(2).pretrain(uniform(1, 40, 0, 1), { labels: new Int32Array(9), verbose: 0 }),
    ],
    [
      "expected options of at most 2 `layers`, got [an object, an object, an object]",
      () => small().pretrain(uniform(1, 40, 0, 1), { layers: [{}, {}, {}], verbose: 0 }),
    ],
    [
      "expected `layer` to be an integer from 0 to 0, got 1",
      () => small(2).transform([[0, 0, 0, 0]], { layer: 1 }),
    ],
    ["only fineTune() gives it an optimizer", async () => small().optimizer],
    [
      'expected the top machine to learn by method "cd" without a sparsity target, got "pcd"',
      () => small().fineTune(uniform(1, 40, 0, 1), { method: "pcd" }),
    ],
    [
      'expected input "visible" of shape [null, 4], got [1, 5]',
      () => small(2).predict([[0, 0, 0, 0, 1]]),
    ],
    [
      "toAutoencoder() of deep belief network deep_belief_network: expected a network without labels at the top, got 2 classes",
      async () => small(2).toAutoencoder(),
    ],
  ])("%s", async (message, f) => {
    await expect(f()).rejects.toThrow(message);
  });
});

describe("before anything is learnt", () => {
  const x = uniform(1, 40, 0, 1);
  const labels = Int32Array.from({ length: 10 }, (_, i) => i % 2);
  const strange = (value: number) => [0, 1, value, 0, 1, 0, 1, 0, 1, 0];
  const place = "of deep belief network deep_belief_network";

  test.each<[string, lw.models.PretrainOptions]>([
    [
      "expected `labels` to be integers from 0 to 1, got 0.5 for sample 2",
      { labels: strange(0.5) },
    ],
    [
      "expected `labels` to be integers from 0 to 1, got NaN for sample 2",
      { labels: strange(NaN) },
    ],
    ["expected `labels` to be integers from 0 to 1, got -1 for sample 2", { labels: strange(-1) }],
    ["expected 10 `labels`, got [9]", { labels: labels.slice(1) }],
    ["so that `labels` are needed", {}],
    ["layer 1: unknown option `epoch`", { labels, layers: [{}, { epoch: 3 } as never] }],
    ["layer 1: expected `epochs` to be an integer ≥ 0", { labels, layers: [{}, { epochs: -1 }] }],
    ["layer 1: expected `steps` to be an integer", { labels, layers: [{}, { steps: 0 }] }],
    ["layer 1: expected `batchSize`", { labels, layers: [{}, { batchSize: 0 }] }],
    ["layer 1: expected `stepsPerEpoch`", { labels, layers: [{}, { stepsPerEpoch: 2 }] }],
    ["layer 1: expected `seed`", { labels, layers: [{}, { seed: 0.5 }] }],
    ["layer 1: expected `verbose`", { labels, layers: [{}, { verbose: 3 as never }] }],
    ["layer 1: validationSplit 1 of", { labels, layers: [{}, { validationSplit: 1 }] }],
    ['layer 1: there is no optimizer named "sdg"', { labels, layers: [{}, { optimizer: "sdg" }] }],
    [
      "layer 1: expected `callbacks` to be objects with hooks",
      { labels, layers: [{}, { callbacks: [3 as never] }] },
    ],
    ["layer 1: expected an object with options", { labels, layers: [{}, 3 as never] }],
  ])("pretrain(): %s", async (message, options) => {
    const network = small(2);
    const before = network.getWeights().map((w) => w.arraySync());
    await expect(network.pretrain(x, { verbose: 0, ...options })).rejects.toThrow(message);
    await expect(network.pretrain(x, { verbose: 0, ...options })).rejects.toThrow(
      `pretrain() ${place}: `,
    );
    expect(network.getWeights().map((w) => w.arraySync())).toEqual(before);
  });

  test.each([0.5, Number.NaN, 2])("fineTune(): a label of %s", async (label) => {
    await expect(small(2).fineTune(x, { labels: strange(label), verbose: 0 })).rejects.toThrow(
      `fineTune() ${place}: expected \`labels\` to be integers from 0 to 1, got ${label} for sample 2`,
    );
  });

  test("labels may be booleans, and floats that are integers", async () => {
    const options = { epochs: 1, verbose: 0 } as const;
    const asFloats = Float32Array.from(labels);
    expect(await small(2).pretrain(x, { labels: asFloats, ...options })).toHaveLength(2);
    const flags = lw.tensor([...labels].map((label) => label === 1));
    expect(await small(2).pretrain(x, { labels: flags, ...options })).toHaveLength(2);
  });
});

function small(classes = 0): lw.models.DeepBeliefNetwork {
  return deepBeliefNetwork({
    layers: [{ visible: 4, hidden: 3 }, { hidden: 2 }],
    classes,
    seed: 1,
  });
}

describe("unrolled", () => {
  const network = () =>
    deepBeliefNetwork({
      layers: [
        { inputShape: [2, 3], hidden: 5 },
        { hidden: 4, hiddenUnits: "relu" },
        { hidden: 2, hiddenUnits: "gaussian" },
      ],
      seed: 3,
    });

  test("a network computes the same features as a stack of layers", async () => {
    const dbn = network();
    dbn.weights.forEach((weight, i) => {
      weight.assign(lw.tensor(uniform(i, weight.size, -1, 1), weight.shape));
    });
    const x = lw.tensor(uniform(2, 60, 0, 1), [10, 2, 3]);
    const model = dbn.toSequential();
    expect(model.layers.map((layer) => layer.className)).toEqual([
      "Flatten",
      "Dense",
      "Dense",
      "Dense",
    ]);
    const want = (await dbn.transform(x)).dataSync();
    expectClose(
      (await model.predict(x)).dataSync(),
      [...want],
      { rtol: 1e-5, atol: 1e-7 },
      "features",
    );
    const classifier = dbn.toSequential({ head: 3, dropout: 0.5, inputDropout: 0.1 });
    expect(classifier.layers.map((layer) => layer.className)).toEqual([
      "Flatten",
      "Dropout",
      "Dense",
      "Dropout",
      "Dense",
      "Dropout",
      "Dense",
      "Dropout",
      "Dense",
    ]);
    expect((await classifier.predict(x)).shape).toEqual([10, 3]);
    // The weights are copies.
    classifier.layers[2]!.setWeights(classifier.layers[2]!.getWeights().map((w) => w.mul(0)));
    expect(dbn.machines[0]!.kernel.abs().max().item()).toBeGreaterThan(0);
  });

  test("an autoencoder goes up by the kernels and down by their transposes", async () => {
    const dbn = network();
    dbn.weights.forEach((weight, i) => {
      weight.assign(lw.tensor(uniform(i, weight.size, -1, 1), weight.shape));
    });
    const { encoder, decoder, autoencoder } = dbn.toAutoencoder();
    const x = lw.tensor(uniform(2, 60, 0, 1), [10, 2, 3]);
    const code = await encoder.predict(x);
    expectClose(
      code.dataSync(),
      [...(await dbn.transform(x)).dataSync()],
      { rtol: 1e-5, atol: 1e-7 },
      "code",
    );
    let down: lw.Tensor = code;
    [...dbn.machines].reverse().forEach((machine, i) => {
      down = down.matMul(machine.kernel.read().transpose()).add(machine.visibleBias.read());
      // Rectified units are Gaussian ones to the machine above them, so linear on the way down.
      if (i > 0) down = down.sigmoid();
    });
    const there = await autoencoder.predict(x);
    expect(there.shape).toEqual([10, 2, 3]);
    expectClose(
      there.dataSync(),
      [...down.dataSync()],
      { rtol: 1e-5, atol: 1e-6 },
      "reconstruction",
    );
    expectClose(
      (await decoder.predict(code)).dataSync(),
      [...there.dataSync()],
      { rtol: 1e-5, atol: 1e-7 },
      "decoded",
    );
    // All three share their weights.
    autoencoder.compile({ optimizer: "adam", loss: "meanSquaredError" });
    await autoencoder.fit(x, x, { epochs: 2, verbose: 0 });
    expectClose(
      (await decoder.predict(await encoder.predict(x))).dataSync(),
      [...(await autoencoder.predict(x)).dataSync()],
      { rtol: 1e-5, atol: 1e-7 },
      "after training",
    );
  });
});

describe("generating", () => {
  test("draws the layers between, and gives means at the bottom alone", async () => {
    const network = deepBeliefNetwork({
      layers: [{ visible: 5, hidden: 2 }, { hidden: 4 }, { hidden: 3 }],
      seed: 4,
    });
    network.weights.forEach((weight, i) => {
      weight.assign(lw.tensor(uniform(i, weight.size, -2, 2), weight.shape));
    });
    const { w, b } = numbersOf(network.machines[0]!);
    const possible = [0, 1, 2, 3].map((h) =>
      b.map((bias, i) => sigmoid(bias + (h & 1) * w[i]![0]! + (h >> 1) * w[i]![1]!)),
    );
    const drawn = await network.generate({ chains: 40, steps: 5, means: true, seed: 1 });
    const seen = new Set<number>();
    for (const row of drawn.arraySync() as number[][]) {
      const distances = possible.map((p) => Math.max(...p.map((x, i) => Math.abs(x - row[i]!))));
      expect(Math.min(...distances)).toBeLessThan(1e-6);
      seen.add(distances.indexOf(Math.min(...distances)));
    }
    expect(seen.size).toBeGreaterThan(1);
    const states = await network.generate({ chains: 40, steps: 5, seed: 1 });
    expect(states.dataSync().every((value) => value === 0 || value === 1)).toBe(true);
  });
});

onEachBackend("the up-down algorithm", () => {
  test("makes the updates that a loop in float64 makes of the same random numbers", async () => {
    const [sizes, classes, batch, seed, rate] = [[5, 4, 3] as const, 2, 6, 9, 0.5];
    const network = deepBeliefNetwork({
      layers: [
        { visible: sizes[0], hidden: sizes[1] },
        { hidden: sizes[2], hiddenUnits: "bernoulli" },
      ],
      classes,
      seed: 1,
    });
    for (const [i, { weights }] of network.machines.entries()) {
      weights.forEach((weight, j) => {
        weight.assign(lw.tensor(uniform(10 * i + j, weight.size, -1, 1), weight.shape));
      });
    }
    const [bottom, top] = network.machines.map(numbersOf) as [
      ReturnType<typeof numbersOf>,
      ReturnType<typeof numbersOf>,
    ];
    const x = uniform(4, batch * sizes[0], 0, 1);
    const labels = Int32Array.from({ length: batch }, (_, i) => i % 2);
    await network.fineTune(x, {
      labels,
      batchSize: batch,
      shuffle: false,
      seed,
      verbose: 0,
      optimizer: lw.optimizers.sgd({ learningRate: rate }),
    });
    // The draws of the step, in order: wake, hidden, visible and labels of the top, sleep.
    const u = (op: number, n: number) =>
      Array.from(
        { length: batch * n },
        (_, i) => (philox([i >> 2, 0, 0, 0], [seed, op])[i & 3]! >>> 8) / 2 ** 24,
      );
    const [wakeU, hiddenU, visibleU, labelU, sleepU] = [
      sizes[1],
      sizes[2],
      sizes[1],
      classes,
      sizes[0],
    ].map((n, op) => u(op, n));
    const up = (v: number[], { w, c }: typeof bottom) =>
      c.map((bias, j) => sigmoid(v.reduce((sum, s, i) => sum + s * w[i]![j]!, bias)));
    const total = (h: number[], { w, b }: typeof bottom) =>
      b.map((bias, i) => h.reduce((sum, s, j) => sum + s * w[i]![j]!, bias));
    const on = (p: number[], draws: number[], row: number) =>
      p.map((value, i) => (draws[row * p.length + i]! < value ? 1 : 0));
    const generative = bottom.w.map((row) => [...row]);
    const next = {
      bottom: structuredClone(bottom),
      top: structuredClone(top),
      generative: structuredClone(generative),
    };
    for (let row = 0; row < batch; row++) {
      const v0 = [...x.subarray(row * sizes[0], (row + 1) * sizes[0])];
      const wake = on(up(v0, bottom), wakeU!, row);
      const joined = [...wake, ...[0, 1].map((k) => (k === labels[row] ? 1 : 0))];
      const p0 = up(joined, top);
      const inputs = total(on(p0, hiddenU!, row), top);
      const units = on(inputs.slice(0, sizes[1]).map(sigmoid), visibleU!, row);
      const scores = [0, 1].map(
        (k) => inputs[sizes[1] + k]! - Math.log(-Math.log(labelU![row * 2 + k]!)),
      );
      const label = scores[0]! >= scores[1]! ? 0 : 1;
      const negative = [...units, ...[0, 1].map((k) => (k === label ? 1 : 0))];
      const p = up(negative, top);
      const step = rate / batch;
      joined.forEach((value, i) => {
        next.top.b[i]! += step * (value - negative[i]!);
        p0.forEach((on0, j) => {
          next.top.w[i]![j]! += step * (value * on0 - negative[i]! * p[j]!);
        });
      });
      p0.forEach((on0, j) => {
        next.top.c[j]! += step * (on0 - p[j]!);
      });
      const predicted = total(wake, { ...bottom, w: generative }).map(sigmoid);
      v0.forEach((value, i) => {
        next.bottom.b[i]! += step * (value - predicted[i]!);
        wake.forEach((h, j) => {
          next.generative[i]![j]! += step * (value - predicted[i]!) * h;
        });
      });
      const dream = on(total(units, { ...bottom, w: generative }).map(sigmoid), sleepU!, row);
      const recognised = up(dream, bottom);
      units.forEach((h, j) => {
        next.bottom.c[j]! += step * (h - recognised[j]!);
        dream.forEach((value, i) => {
          next.bottom.w[i]![j]! += step * value * (h - recognised[j]!);
        });
      });
    }
    const tolerance = { rtol: 1e-5, atol: 2e-6 };
    const [first, second] = network.machines.map(numbersOf);
    for (const key of ["w", "b", "c"] as const) {
      expectClose(first![key].flat(), next.bottom[key].flat(), tolerance, `bottom ${key}`);
      expectClose(second![key].flat(), next.top[key].flat(), tolerance, `top ${key}`);
    }
    const kernel = network.weights.at(-1)!;
    expect(kernel.name).toBe("rbm_0/generativeKernel");
    expectClose(kernel.read().dataSync(), next.generative.flat(), tolerance, "generative kernel");
  });
});

test("pre-training says which machine the epochs are of, unless it says nothing", async () => {
  const network = deepBeliefNetwork({
    layers: [{ visible: 6, hidden: 5 }, { hidden: 4 }, { hidden: 3 }],
    classes: 2,
    seed: 1,
  });
  const x = uniform(1, 60, 0, 1);
  const labels = Int32Array.from({ length: 10 }, (_, i) => i % 2);
  const lines = async (verbose: 0 | 2) => {
    let text = "";
    const spy = vi.spyOn(process.stdout, "write").mockImplementation((part) => {
      text += part;
      return true;
    });
    try {
      const layers = [{}, { epochs: 1 }];
      await network.pretrain(x, { labels, layers, epochs: 2, batchSize: 5, seed: 1, verbose });
    } finally {
      spy.mockRestore();
    }
    return text.split("\n").map((line) => line.split(" - ")[0]);
  };
  expect(await lines(2)).toEqual([
    "Layer 1 of 3: 6 visible, 5 hidden units",
    "Epoch 1/2",
    "Epoch 2/2",
    "Layer 2 of 3: 5 visible, 4 hidden units",
    "Epoch 1/1",
    "Layer 3 of 3: 6 visible, 3 hidden units",
    "Epoch 1/2",
    "Epoch 2/2",
    "",
  ]);
  expect(await lines(0)).toEqual([""]);
});

describe("on generated digits", () => {
  const { train, test: held } = lw.datasets.digits({ train: 1000, test: 200, seed: 3 });
  const labels = train.y;

  test("a network learns layer by layer, classifies, generates what it is told, and is fine-tuned", async () => {
    const network = deepBeliefNetwork({
      layers: [{ inputShape: [28, 28, 1], hidden: 80 }, { hidden: 100 }],
      classes: 10,
      seed: 1,
    });
    await network.machines[0]!.initializeVisibleBias(train.x);
    const histories = await network.pretrain(train.x, {
      labels,
      epochs: 8,
      batchSize: 20,
      seed: 1,
      verbose: 0,
      layers: [{ optimizer: sgd(0.1) }, { optimizer: sgd(0.1), epochs: 12 }],
    });
    expect(histories.map(({ epoch }) => epoch.length)).toEqual([8, 12]);
    const accuracy = async () => {
      const guesses = (await network.predict(held.x)).argMax(1).dataSync();
      const wanted = held.y.dataSync();
      return [...wanted].filter((label, i) => label === guesses[i]).length / 200;
    };
    const before = await accuracy();
    expect(before).toBeGreaterThan(0.6);
    const history = await network.fineTune(train.x, {
      labels,
      epochs: 4,
      batchSize: 20,
      steps: 2,
      seed: 2,
      verbose: 0,
      optimizer: sgd(0.02),
    });
    expect(Object.keys(history.history)).toEqual([
      "loss",
      "reconstructionError",
      "topReconstructionError",
      "freeEnergy",
    ]);
    const errors = history.history.reconstructionError!;
    expect(errors[3]).toBeLessThan(errors[0]!);
    expect(await accuracy()).toBeGreaterThan(before - 0.05);
    // What it draws of a class it takes for that class: by chance 4 of 40, more than 12 once in 30 000
    // times. No more is asked, as the chains follow the last bits, which differ by instruction set.
    const classes = Array.from({ length: 40 }, (_, i) => i % 10);
    const drawn = await network.generate({ labels: classes, steps: 100, means: true, seed: 1 });
    expect(drawn.shape).toEqual([40, 28, 28, 1]);
    const seen = (await network.predict(drawn)).argMax(1).dataSync();
    const right = classes.filter((label, i) => seen[i] === label).length;
    expect(right).toBeGreaterThan(12);
    const path = join(directory, "network.safetensors");
    await network.save(path);
    const loaded = await lw.models.loadDeepBeliefNetwork(path);
    expect(loaded.isUntied).toBe(true);
    expectSameBits(
      (await loaded.generate({ labels: classes, steps: 3, seed: 1 })).dataSync(),
      (await network.generate({ labels: classes, steps: 3, seed: 1 })).dataSync(),
      "samples",
    );
    await expect(lw.models.loadRbm(path)).rejects.toThrow("expected an RBM");
  });

  test("pre-trained features beat random ones with few labels", async () => {
    const few = 100;
    const network = deepBeliefNetwork({
      layers: [{ inputShape: [28, 28, 1], hidden: 100 }, { hidden: 100 }],
      seed: 1,
    });
    const accuracyOf = async (): Promise<number> => {
      const model = network.toSequential({
        head: [lw.layers.dense({ units: 10, activation: "softmax", kernelInitializer: "zeros" })],
      });
      model.compile({
        optimizer: lw.optimizers.adam({ learningRate: 0.003 }),
        loss: "sparseCategoricalCrossentropy",
        metrics: ["accuracy"],
      });
      await model.fit(train.x.slice([0, 0, 0, 0], [few, 28, 28, 1]), train.y.slice([0], [few]), {
        epochs: 30,
        batchSize: 20,
        seed: 1,
        verbose: 0,
      });
      return (await model.evaluate(held.x, held.y)).accuracy!;
    };
    const random = await accuracyOf();
    await network.machines[0]!.initializeVisibleBias(train.x);
    await network.pretrain(train.x, {
      epochs: 10,
      batchSize: 20,
      seed: 1,
      verbose: 0,
      layers: [{ optimizer: sgd(0.1) }, { optimizer: sgd(0.1) }],
    });
    expect(await accuracyOf()).toBeGreaterThan(random + 0.05);
  });
});
