/** What users hold: options, errors, files, progress, abort. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import * as lw from "../../src/index.js";
import { expectSameBits } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

const directory = mkdtempSync(join(tmpdir(), "layerwise-rbm-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const { rbm } = lw.models;
const x = uniform(1, 40 * 6, 0, 1);

describe("a machine", () => {
  test("is made from a seed: the same weights, small ones, and no biases", () => {
    const [a, b, c] = [1, 1, 2].map((seed) => rbm({ visible: 50, hidden: 40, seed }));
    expectSameBits(a!.kernel.read().dataSync(), b!.kernel.read().dataSync(), "kernel");
    expect(a!.kernel.sub(c!.kernel).abs().max().item()).toBeGreaterThan(0.01);
    expect(a!.kernel.square().mean().sqrt().item()).toBeCloseTo(0.01, 3);
    expect(a!.hiddenBias.abs().max().item()).toBe(0);
    expect(a!.countParams()).toBe(50 * 40 + 50 + 40);
    expect(`${a}`).toBe("rbm rbm, 50 visible and 40 hidden units, 2090 parameters");
  });

  test("takes initializers, as layers do", () => {
    const machine = rbm({
      visible: 3,
      hidden: 2,
      kernelInitializer: "ones",
      hiddenBiasInitializer: lw.initializers.constant({ value: -4 }),
    });
    expect(machine.kernel.arraySync()).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    expect(machine.hiddenBias.arraySync()).toEqual([-4, -4]);
  });

  test("sets the visible biases to the data's log-odds", async () => {
    const machine = rbm({ visible: 2, hidden: 2, seed: 1 });
    await machine.initializeVisibleBias([
      [1, 0],
      [1, 0],
      [0, 0],
      [1, 0],
    ]);
    const [first, second] = machine.visibleBias.arraySync() as number[];
    expect(first).toBeCloseTo(Math.log(3), 5);
    // 0 of 4 would be −∞.
    expect(second).toBeCloseTo(Math.log(0.001 / 0.999), 4);
  });

  test("draws the same samples from the same seed", async () => {
    const machine = rbm({ inputShape: [2, 3], hidden: 4, seed: 1 });
    const states = async (seed: number) =>
      (await machine.sample({ chains: 5, steps: 3, seed })).dataSync();
    expect((await machine.sample({ chains: 5, steps: 3, seed: 1 })).shape).toEqual([5, 2, 3]);
    expect(await states(1)).toEqual(await states(1));
    expect(await states(1)).not.toEqual(await states(2));
  });

  test("walks no step when asked for none", async () => {
    const machine = rbm({ visible: 3, hidden: 2, seed: 1 });
    expect((await machine.gibbs([[1, 0, 1]], 0)).arraySync()).toEqual([[1, 0, 1]]);
  });

  test("ends learning and sampling when the signal says so", async () => {
    const machine = rbm({ visible: 6, hidden: 4, seed: 1 });
    const ended = AbortSignal.abort(new Error("enough"));
    await expect(machine.fit(x, { signal: ended })).rejects.toThrow("enough");
    await expect(machine.sample({ steps: 10, signal: ended })).rejects.toThrow("enough");
    const soon = new AbortController();
    const run = machine.sample({ chains: 50, steps: 100_000_000, signal: soon.signal });
    setTimeout(() => soon.abort(new Error("late")), 20);
    await expect(run).rejects.toThrow("late");
    await expect(machine.estimateLogPartition({ betas: 10, signal: ended })).rejects.toThrow(
      "enough",
    );
  });

  test("can be used while it learns, and refuses a second fit", async () => {
    const machine = rbm({ visible: 6, hidden: 4, seed: 1 });
    const run = machine.fit(x, { epochs: 300, batchSize: 10, verbose: 0 });
    await expect(machine.fit(x, { verbose: 0 })).rejects.toThrow("is still running");
    const features = await machine.transform(x);
    expect(features.shape).toEqual([40, 4]);
    await run;
  });

  test("stops with an error when learning diverges", async () => {
    const machine = rbm({
      visible: 6,
      hidden: 4,
      visibleUnits: "gaussian",
      hiddenUnits: "gaussian",
      seed: 1,
    });
    machine.compile({ optimizer: lw.optimizers.sgd({ learningRate: 1e6 }) });
    await expect(machine.fit(x, { epochs: 60, verbose: 0 })).rejects.toThrow(lw.NonFiniteError);
  });
});

describe("files of machines", () => {
  test("bring back layout, weights, how it learns, and the optimizer's state", async () => {
    const make = () =>
      rbm({
        name: "labelled",
        inputShape: [6],
        hidden: 4,
        visibleUnits: [
          { type: "bernoulli", units: 2 },
          { type: "gaussian", units: 4 },
        ],
        hiddenUnits: "relu",
        seed: 1,
      });
    const machine = make();
    machine.compile({
      steps: 2,
      weightDecay: 0.01,
      sparsity: { target: 0.2, cost: 0.1 },
      optimizer: lw.optimizers.sgd({
        learningRate: lw.optimizers.schedules.exponentialDecay({
          initialLearningRate: 0.02,
          decaySteps: 10,
          decayRate: 0.9,
        }),
        momentum: lw.optimizers.schedules.piecewiseConstantDecay({
          boundaries: [6],
          values: [0.5, 0.9],
        }),
      }),
    });
    await machine.fit(x, { epochs: 1, batchSize: 10, seed: 1, verbose: 0 });
    const path = join(directory, "machine.safetensors");
    await machine.save(path);
    const loaded = await lw.models.loadRbm(path);
    expect(loaded.name).toBe("labelled");
    expect(loaded.getConfig()).toEqual(machine.getConfig());
    const { optimizer, ...plan } = machine.compileOptions!;
    const { optimizer: same, ...read } = loaded.compileOptions!;
    expect(read).toEqual(plan);
    expect(same.getConfig()).toEqual(optimizer.getConfig());
    // Both go on alike, past the change of momentum; the running activity began anew in one of them.
    machine.compile({ ...settings(machine), sparsity: null });
    loaded.compile({ ...settings(loaded), sparsity: null });
    for (const one of [machine, loaded]) {
      await one.fit(x, { epochs: 3, initialEpoch: 1, batchSize: 10, seed: 1, verbose: 0 });
    }
    machine.weights.forEach((weight, i) => {
      expectSameBits(loaded.weights[i]!.read().dataSync(), weight.read().dataSync(), weight.name);
    });
  });

  const settings = (machine: lw.models.RBM) => {
    const { optimizer, steps, weightDecay } = machine.compileOptions!;
    return { optimizer, steps, weightDecay };
  };

  test("keep the options of persistent chains", async () => {
    const machine = rbm({ visible: 6, hidden: 3, seed: 1 });
    machine.compile({ method: "tempering", chains: 7, temperatures: [1, 0.5, 0] });
    const path = join(directory, "tempering.safetensors");
    await machine.save(path, { includeOptimizer: false });
    const loaded = await lw.models.loadRbm(path);
    expect(loaded.compileOptions).toMatchObject({
      method: "tempering",
      chains: 7,
      betas: [1, 0.5, 0],
    });
    await loaded.fit(x, { batchSize: 10, verbose: 0 });
  });

  test("of weights alone fill a machine of the same shape, and no other", async () => {
    const machine = rbm({ visible: 6, hidden: 3, seed: 1 });
    const path = join(directory, "weights.safetensors");
    await machine.saveWeights(path);
    const other = rbm({ visible: 6, hidden: 3, seed: 2 });
    await other.loadWeights(path);
    expectSameBits(other.kernel.read().dataSync(), machine.kernel.read().dataSync(), "kernel");
    await expect(rbm({ visible: 6, hidden: 4 }).loadWeights(path)).rejects.toThrow(
      'tensor "kernel": expected shape [6, 4], got [6, 3]',
    );
    await expect(lw.models.loadRbm(path)).rejects.toThrow(lw.FormatError);
  });

  test("that are not what they should be are refused before they cost anything", async () => {
    const path = join(directory, "bad.safetensors");
    const machine = rbm({ visible: 4, hidden: 2, seed: 1 });
    machine.compile({ method: "pcd" });
    await machine.save(path);
    const { tensors, metadata } = await readSafetensors(path);
    const changed = async (part: "config" | "compile", option: string, value: unknown) => {
      const saved = JSON.parse(metadata.get("layerwise")!);
      saved[part][option] = value;
      await writeSafetensors(path, tensors, new Map([["layerwise", JSON.stringify(saved)]]));
      return lw.models.loadRbm(path);
    };
    await expect(changed("config", "hidden", -1)).rejects.toThrow(lw.FormatError);
    await expect(changed("config", "hidden", 2e9)).rejects.toThrow("the file holds fewer values");
    await expect(changed("compile", "method", "x")).rejects.toThrow(/bad.safetensors.*`method`/);
    // Chains are made when learning begins, so that a file can't ask for memory.
    const many = await changed("compile", "chains", 2e9);
    expect(many.compileOptions!.chains).toBe(2e9);
  });

  test("are told apart from files of layers", async () => {
    const path = join(directory, "layers.safetensors");
    await lw.sequential([lw.layers.dense({ units: 1, inputShape: [2] })]).save(path);
    await expect(lw.models.loadRbm(path)).rejects.toThrow(
      'expected an RBM, got "Sequential"; lw.loadModel() reads models of layers',
    );
    const machine = join(directory, "told.safetensors");
    await rbm({ visible: 2, hidden: 2 }).save(machine);
    await expect(lw.loadModel(machine)).rejects.toThrow(
      'expected a model of layers, got "RBM"; read it with lw.models.loadRbm()',
    );
  });
});

describe("bad options and data are named", () => {
  const make = () => rbm({ visible: 4, hidden: 2 });
  const labels = () =>
    rbm({
      hidden: 2,
      visibleUnits: [
        { type: "bernoulli", units: 1 },
        { type: "softmax", units: 3 },
      ],
    });

  test.each<[string, () => unknown]>([
    ["rbm(): expected an object with options, got 3", () => rbm(3 as never)],
    [
      "rbm(): unknown option `units`; did you mean `hidden`?",
      () => rbm({ visible: 3, units: 4 } as never),
    ],
    [
      "rbm(): expected `hidden` to be an integer ≥ 1, got undefined",
      () => rbm({ visible: 3 } as never),
    ],
    [
      "rbm(): the number of visible units is missing; give `visible` or `inputShape`",
      () => rbm({ hidden: 3 }),
    ],
    [
      "rbm(): expected an `inputShape` of 5 visible units, got 4",
      () => rbm({ visible: 5, inputShape: [2, 2], hidden: 3 }),
    ],
    [
      'rbm(): expected `visibleUnits` to be one of "bernoulli", "gaussian", "softmax", got "gausian"; did you mean "gaussian"?',
      () => rbm({ visible: 5, hidden: 3, visibleUnits: "gausian" as "gaussian" }),
    ],
    [
      "rbm(): expected groups of 5 visible units in all, got 4",
      () => rbm({ visible: 5, hidden: 3, visibleUnits: [{ type: "softmax", units: 4 }] }),
    ],
    [
      "rbm(): expected each group of `visibleUnits` as { type, units }, got an object",
      () => rbm({ hidden: 3, visibleUnits: [{ type: "softmax", units: 4, size: 1 } as never] }),
    ],
    [
      'rbm(): expected `hiddenUnits` to be one of "bernoulli", "gaussian", "relu", got "softmax"',
      () => rbm({ visible: 5, hidden: 3, hiddenUnits: "softmax" as "relu" }),
    ],
    [
      'compile() of rbm rbm: `chains` is for persistent chains; with method "cd" there are as many as samples in a batch',
      () => make().compile({ chains: 10 }),
    ],
    [
      'compile() of rbm rbm: `temperatures` needs method "tempering"',
      () => make().compile({ method: "pcd", temperatures: 4 }),
    ],
    [
      "compile() of rbm rbm: expected `temperatures` to be a number or a list of at least two, the first being 1, got [0.5, 0]",
      () => make().compile({ method: "tempering", temperatures: [0.5, 0] }),
    ],
    [
      "compile() of rbm rbm: unknown option `k`; did you mean `steps`?",
      () => make().compile({ k: 3 } as never),
    ],
    [
      "compile() of rbm rbm: expected `weightDecay` to be a number ≥ 0, got -1",
      () => make().compile({ weightDecay: -1 }),
    ],
    [
      "compile() of rbm rbm: sparsity: expected `cost` to be a number ≥ 0, got undefined",
      () => make().compile({ sparsity: { target: 0.1 } as never }),
    ],
    [
      'compile() of rbm rbm: persistent chains always draw their visible units; `reconstruction` is for method "cd"',
      () => make().compile({ method: "pcd", reconstruction: "means" }),
    ],
    [
      'compile() of rbm rbm: there is no optimizer named "sdg"; did you mean "sgd"?',
      () => make().compile({ optimizer: "sdg" }),
    ],
    [
      "rbm rbm: setWeights(): expected three tensors: kernel, visible bias, hidden bias, got [1]",
      () => make().setWeights([1]),
    ],
    [
      "optimizer rmsprop: expected `momentum` to be a number from 0 to 1, got function schedule",
      () =>
        lw.optimizers.rmsprop({
          momentum: lw.optimizers.schedules.piecewiseConstantDecay({
            boundaries: [1],
            values: [0.5, 0.9],
          }) as never,
        }),
    ],
  ])("%s", (message, f) => {
    expect(f).toThrow(message);
  });

  test.each<[string, () => Promise<unknown>]>([
    [
      "fit() of rbm rbm: expected states of bernoulli units from 0 to 1, got 255 in sample 1, unit 2; scale pixels of 0 … 255 by 1/255",
      () =>
        make().fit(
          [
            [0, 0, 0, 0],
            [0, 0, 255, 0],
          ],
          { verbose: 0 },
        ),
    ],
    [
      "expected states of bernoulli units from 0 to 1, got NaN in sample 0, unit 1",
      () => make().transform([[0, Number.NaN, 0, 0]]),
    ],
    [
      'expected states of bernoulli units from 0 to 1, got -3 in sample 0, unit 0; real values need visibleUnits "gaussian"',
      () => make().freeEnergy([[-3, 0, 0, 0]]),
    ],
    [
      "transform() of rbm rbm: expected finite states, got NaN in sample 1, unit 0",
      () =>
        rbm({ visible: 2, hidden: 2, visibleUnits: "gaussian" }).transform([
          [7, -8],
          [Number.NaN, 0],
        ]),
    ],
    [
      "pseudoLogLikelihood() of rbm rbm: expected `flips` to be an integer from 1 to 4, got 5",
      () => make().pseudoLogLikelihood([[0, 1, 0, 1]], { flips: 5 }),
    ],
    [
      "sample() of rbm rbm: expected `clamp` as { mask, values }, got null",
      () => make().sample({ clamp: null as never }),
    ],
    [
      "expected units 1 to 3, a softmax group, to add up to 1, got 2 in sample 0; labels are one-hot: lw.oneHot(labels, classes)",
      () => labels().transform([[0, 1, 1, 0]]),
    ],
    [
      'transform() of rbm rbm: expected input "visible" of shape [null, 4], got [1, 5]',
      () => make().transform([[0, 1, 1, 0, 1]]),
    ],
    [
      "fit() of rbm rbm: unknown option `batchsize`; did you mean `batchSize`?",
      () => make().fit([[0, 0, 0, 0]], { batchsize: 3 } as never),
    ],
    [
      "fit() of rbm rbm: validationSplit 0.9 of 1 samples leaves none to train on",
      () => make().fit([[0, 0, 0, 0]], { validationSplit: 0.9 }),
    ],
    [
      "sample() of rbm rbm: expected clamp.mask to hold all 3 units of a softmax group or none, got 1 from unit 1",
      () => labels().sample({ clamp: { mask: [0, 1, 0, 0], values: [0, 1, 0, 0] } }),
    ],
    [
      "sample() of rbm rbm: expected clamp.values of shape [4] or [2, 4], got [3]",
      () => make().sample({ chains: 2, clamp: { mask: [0, 1, 0, 0], values: [0, 1, 0] } }),
    ],
    [
      "sample() of rbm rbm: clamp.values: expected states of bernoulli units from 0 to 1, got 5 in sample 0, unit 1",
      () => make().sample({ clamp: { mask: [0, 1, 0, 0], values: [0, 5, 0, 0] } }),
    ],
    [
      "sample() of rbm rbm: clamp.values: expected states of bernoulli units from 0 to 1, got NaN in sample 1, unit 3",
      () =>
        make().sample({
          chains: 2,
          clamp: {
            mask: [0, 1, 0, 1],
            values: [
              [9, 1, 9, 0],
              [9, 1, 9, Number.NaN],
            ],
          },
        }),
    ],
    [
      "sample() of rbm rbm: clamp.values: expected states of bernoulli units from 0 to 1, got 2 in sample 1, unit 0",
      () =>
        make().sample({
          chains: 2,
          clamp: {
            mask: [
              [0, 1, 0, 0],
              [1, 0, 0, 0],
            ],
            values: [2, 1, 0, 0],
          },
        }),
    ],
    [
      "sample() of rbm rbm: clamp.values: expected units 1 to 3, a softmax group, to add up to 1, got 2 in sample 0",
      () => labels().sample({ clamp: { mask: [0, 1, 1, 1], values: [0, 1, 1, 0] } }),
    ],
    [
      "sample() of rbm rbm: clamp.values: expected finite states, got Infinity in sample 0, unit 1",
      () =>
        rbm({ visible: 2, hidden: 2, visibleUnits: "gaussian" }).sample({
          clamp: { mask: [0, 1], values: [0, Infinity] },
        }),
    ],
    [
      "sample() of rbm rbm: expected a start of 2 chains, got 1",
      () => make().sample({ chains: 2, start: [[0, 1, 0, 0]] }),
    ],
    [
      "gibbs() of rbm rbm: expected `steps` to be an integer ≥ 0, got -1",
      () => make().gibbs([[0, 1, 0, 0]], -1),
    ],
  ])("%s", async (message, f) => {
    await expect(f()).rejects.toThrow(message);
  });
});

test("of units that are not held, a clamp may have any values", async () => {
  const machine = rbm({
    hidden: 2,
    visibleUnits: [
      { type: "bernoulli", units: 2 },
      { type: "softmax", units: 3 },
      { type: "gaussian", units: 1 },
    ],
  });
  const clamp = { mask: [0, 1, 0, 0, 0, 0], values: [7, 1, Number.NaN, 0, 0, Infinity] };
  const states = await machine.sample({ chains: 3, steps: 2, clamp, seed: 1 });
  expect(states.slice([0, 1], [3, 1]).arraySync()).toEqual([[1], [1], [1]]);
  expect(states.dataSync().every(Number.isFinite)).toBe(true);
});

test("setWeights replaces all weights or none", () => {
  const machine = rbm({ visible: 2, hidden: 3, seed: 1 });
  const numbers = () => machine.getWeights().map((w) => w.arraySync());
  const before = numbers();
  const kernel = lw.ones([2, 3]);
  const refused: [unknown[], string][] = [
    [[kernel, [1, 2, 3], [0, 0, 0]], "3 values do not fit shape [2]"],
    [[kernel, [1, 2], lw.ones([2])], "expected a value of shape [3], got [2]"],
    [[kernel, [1, 2], lw.tensor([1, 2, 3], undefined, "int32")], "expected float32, got int32"],
    [[kernel, [1, 2], "no"], 'expected numbers or booleans, got "no"'],
  ];
  for (const [values, message] of refused) {
    expect(() => machine.setWeights(values as never)).toThrow(message);
    expect(numbers()).toEqual(before);
  }
  machine.setWeights([new Float32Array(6).fill(1), [1, 2], new Float32Array(3)]);
  expect(numbers()).toEqual([kernel.arraySync(), [1, 2], [0, 0, 0]]);
});

test("compile() while fit() runs is an error, and fit goes on with what was compiled", async () => {
  const machine = rbm({ visible: 4, hidden: 2, seed: 1 });
  machine.compile({ method: "pcd", chains: 2 });
  const { optimizer } = machine;
  let thrown: unknown;
  await machine.fit([[0, 1, 0, 1]], {
    epochs: 2,
    verbose: 0,
    callbacks: {
      onEpochEnd() {
        try {
          machine.compile({});
        } catch (error) {
          thrown = error;
        }
      },
    },
  });
  expect(`${thrown}`).toBe(
    "StateError: compile() of rbm rbm: fit() of this model is still running; call it when that has ended",
  );
  expect(machine.optimizer).toBe(optimizer);
  expect(machine.compileOptions!.method).toBe("pcd");
  machine.compile({});
});
