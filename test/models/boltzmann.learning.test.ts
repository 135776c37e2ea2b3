/** Learning: one step against float64, likelihoods that rise, the same bits everywhere. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { addon } from "../helpers/executors.js";
import { philox } from "../helpers/instructionReference.js";
import { uniform } from "../helpers/random.js";
import { numbersOf, randomMachine, sigmoid } from "./machines.js";

/** All states of `side`² pixels in which whole rows, or whole columns, are on. */
function bars(side: number): number[][] {
  const patterns = Array.from({ length: 2 ** side }, (_, s) =>
    Array.from({ length: side }, (_, i) => (s >> i) & 1),
  );
  const rows = patterns.map((on) => on.flatMap((v) => new Array<number>(side).fill(v)));
  const columns = patterns.map((on) => Array.from({ length: side }, () => on).flat());
  return [...rows, ...columns];
}

/** The uniform numbers of draw `op` at a step, element by element. */
function draws(seed: number, step: number, op: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const bits = philox([i >> 2, 0, step, 0], [seed, op])[i & 3]!;
    return (bits >>> 8) / 2 ** 24;
  });
}

onEachBackend("contrastive divergence", () => {
  test.each([
    ["probabilities", (value: number) => value],
    ["binary states", Math.round],
  ])(
    "makes of %s the updates that a loop in float64 makes of the same random numbers",
    async (_, state) => {
      const [visible, hidden, batch] = [7, 5, 4];
      const seed = 11;
      const [rate, decay, momentum] = [0.1, 0.01, 0.5];
      const x = uniform(3, 2 * batch * visible, 0, 1).map(state);
      const machine = randomMachine({ visible, hidden }, 0.5);
      const { w, b, c } = numbersOf(machine);
      machine.compile({
        steps: 2,
        weightDecay: decay,
        optimizer: lw.optimizers.sgd({ learningRate: rate, momentum }),
      });
      const { history } = await machine.fit(x, {
        epochs: 1,
        batchSize: batch,
        shuffle: false,
        seed,
        verbose: 0,
      });

      const velocity = {
        w: w.map((row) => row.map(() => 0)),
        b: b.map(() => 0),
        c: c.map(() => 0),
      };
      const up = (v: number[]) =>
        c.map((bias, j) => sigmoid(v.reduce((sum, s, i) => sum + s * w[i]![j]!, bias)));
      const down = (h: number[]) =>
        b.map((bias, i) => sigmoid(h.reduce((sum, s, j) => sum + s * w[i]![j]!, bias)));
      let errors = 0;
      for (let step = 0; step < 2; step++) {
        const gradient = {
          w: w.map((row) => row.map(() => 0)),
          b: b.map(() => 0),
          c: c.map(() => 0),
        };
        // Draws in the order in which the step makes them: h, v, h, v.
        const u = [hidden, visible, hidden, visible].map((n, op) =>
          draws(seed, step, op, batch * n),
        );
        for (let row = 0; row < batch; row++) {
          const on = (p: number[], op: number): number[] =>
            p.map((value, i) => (u[op]![row * p.length + i]! < value ? 1 : 0));
          const at = (step * batch + row) * visible;
          const v0 = [...x.subarray(at, at + visible)];
          const p0 = up(v0);
          const means = down(on(p0, 0));
          errors += v0.reduce((sum, value, i) => sum + (value - means[i]!) ** 2, 0) / (2 * batch);
          const v = on(down(on(up(on(means, 1)), 2)), 3);
          const p = up(v);
          for (let i = 0; i < visible; i++) {
            gradient.b[i]! += (v[i]! - v0[i]!) / batch;
            for (let j = 0; j < hidden; j++) {
              gradient.w[i]![j]! += (v[i]! * p[j]! - v0[i]! * p0[j]!) / batch;
            }
          }
          for (let j = 0; j < hidden; j++) gradient.c[j]! += (p[j]! - p0[j]!) / batch;
        }
        const move = (value: number, old: number, g: number): [number, number] => {
          const next = momentum * old - rate * g;
          return [value + next, next];
        };
        for (let i = 0; i < visible; i++) {
          [b[i], velocity.b[i]] = move(b[i]!, velocity.b[i]!, gradient.b[i]!);
          for (let j = 0; j < hidden; j++) {
            const g = gradient.w[i]![j]! + decay * w[i]![j]!;
            [w[i]![j], velocity.w[i]![j]] = move(w[i]![j]!, velocity.w[i]![j]!, g);
          }
        }
        for (let j = 0; j < hidden; j++) {
          [c[j], velocity.c[j]] = move(c[j]!, velocity.c[j]!, gradient.c[j]!);
        }
      }
      // Sums of a few float32 products.
      const tolerance = { rtol: 1e-5, atol: 1e-6 };
      expectClose(machine.kernel.read().dataSync(), w.flat(), tolerance, "kernel");
      expectClose(machine.visibleBias.read().dataSync(), b, tolerance, "visible bias");
      expectClose(machine.hiddenBias.read().dataSync(), c, tolerance, "hidden bias");
      expect(history.reconstructionError![0]).toBeCloseTo(errors, 4);
    },
  );

  test("with means in place of samples is deterministic but for the first hidden states", async () => {
    const x = uniform(3, 8 * 5, 0, 1);
    const machine = randomMachine({ visible: 5, hidden: 3 }, 0.5);
    const { w, b, c } = numbersOf(machine);
    machine.compile({ reconstruction: "means", optimizer: lw.optimizers.sgd({ learningRate: 1 }) });
    await machine.fit(x, { batchSize: 8, shuffle: false, seed: 2, verbose: 0 });
    const u = draws(2, 0, 0, 8 * 3);
    const moved = [...b];
    for (let row = 0; row < 8; row++) {
      const v0 = [...x.subarray(row * 5, row * 5 + 5)];
      const h = c.map((bias, j) =>
        u[row * 3 + j]! < sigmoid(v0.reduce((sum, s, i) => sum + s * w[i]![j]!, bias)) ? 1 : 0,
      );
      for (let i = 0; i < 5; i++) {
        const mean = sigmoid(h.reduce<number>((sum, s, j) => sum + s * w[i]![j]!, b[i]!));
        moved[i]! += (v0[i]! - mean) / 8;
      }
    }
    const tolerance = { rtol: 1e-5, atol: 1e-6 };
    expectClose(machine.visibleBias.read().dataSync(), moved, tolerance, "visible bias");
  });

  test("with a sparsity target makes hidden units rare", async () => {
    const x = uniform(5, 200 * 12, 0, 1).map((value) => (value < 0.5 ? 1 : 0));
    const activity = async (sparsity: { target: number; cost: number } | null) => {
      const machine = lw.models.rbm({ visible: 12, hidden: 6, seed: 1 });
      machine.compile({ sparsity, optimizer: lw.optimizers.sgd({ learningRate: 0.1 }) });
      await machine.fit(x, { epochs: 60, batchSize: 20, seed: 1, verbose: 0 });
      const h = await machine.transform(x);
      return h.mean().item();
    };
    expect(await activity(null)).toBeGreaterThan(0.35);
    expect(Math.abs((await activity({ target: 0.1, cost: 2 })) - 0.1)).toBeLessThan(0.05);
  });
});

describe("the likelihood of bars", () => {
  const data = bars(3);
  const uniformly = -9 * Math.log(2);

  test.each([
    ["cd", {}],
    ["cd, 5 steps", { steps: 5 }],
    ["pcd", { method: "pcd", chains: 32 }],
    ["tempering", { method: "tempering", chains: 8, temperatures: 4 }],
  ] as const)("rises by %s", async (_, options) => {
    const machine = lw.models.rbm({ visible: 9, hidden: 8, seed: 3 });
    machine.compile({
      ...options,
      optimizer: lw.optimizers.sgd({
        learningRate: lw.optimizers.schedules.polynomialDecay({
          initialLearningRate: 0.2,
          decaySteps: 4000,
          endLearningRate: 0.01,
        }),
      }),
    });
    const before = (await machine.logLikelihood(data, { method: "exact" })).logLikelihood;
    expect(before).toBeCloseTo(uniformly, 1);
    await machine.fit(data, { epochs: 4000, batchSize: 16, seed: 4, verbose: 0 });
    const after = (await machine.logLikelihood(data, { method: "exact" })).logLikelihood;
    // The 14 distinct bars, two of them twice as likely, allow −ln 16 + ⅛·ln 2·2 = −2.6.
    expect(after).toBeGreaterThan(-3.6);
    expect(after).toBeLessThan(-2.59);
  });
});

onEachBackend("learning", () => {
  test("of generated digits lowers the reconstruction error and shows the gap", async () => {
    const { train, test: held } = lw.datasets.digits({ train: 300, test: 60, seed: 2 });
    const machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden: 32, seed: 1 });
    await machine.initializeVisibleBias(train.x);
    machine.compile({
      optimizer: lw.optimizers.sgd({
        learningRate: 0.1,
        momentum: lw.optimizers.schedules.piecewiseConstantDecay({
          boundaries: [60],
          values: [0.5, 0.9],
        }),
      }),
      weightDecay: 2e-4,
    });
    const { history } = await machine.fit(train.x, {
      epochs: 6,
      batchSize: 20,
      validationData: held.x,
      seed: 1,
      verbose: 0,
    });
    const errors = history.reconstructionError!;
    expect(Object.keys(history).sort()).toEqual([
      "freeEnergy",
      "freeEnergyGap",
      "loss",
      "reconstructionError",
      "val_freeEnergy",
      "val_loss",
      "val_reconstructionError",
    ]);
    expect(errors[5]).toBeLessThan(errors[0]! * 0.92);
    const energy = async (x: lw.Tensor) => (await machine.freeEnergy(x)).mean().item();
    const gap = (await energy(held.x)) - (await energy(train.x));
    expect(history.freeEnergyGap![5]).toBeCloseTo(gap, 2);
    const image = held.x.slice([0, 0, 0, 0], [1, 28, 28, 1]);
    const copy = await machine.reconstruct(image);
    expect(copy.shape).toEqual([1, 28, 28, 1]);
    const blank = image.square().sum().item();
    expect(copy.sub(image).square().sum().item()).toBeLessThan(blank / 2);
  });

  test("of real values takes Gaussian units, and noisy rectified ones above them", async () => {
    const x = lw.randomNormal([200, 1], 0, 1, "float32", 3);
    // Four sensors that see the same value, each with noise of its own.
    const noisy = x.mul([[1, 1, -1, 1]]).add(lw.randomNormal([200, 4], 0, 0.3, "float32", 4));
    for (const hiddenUnits of ["bernoulli", "relu", "gaussian"] as const) {
      const machine = lw.models.rbm({
        visible: 4,
        hidden: 6,
        visibleUnits: "gaussian",
        hiddenUnits,
        seed: 2,
      });
      machine.compile({ optimizer: lw.optimizers.sgd({ learningRate: 0.01, momentum: 0.9 }) });
      const { history } = await machine.fit(noisy, {
        epochs: 25,
        batchSize: 10,
        seed: 1,
        verbose: 0,
      });
      const errors = history.reconstructionError!;
      expect(errors[24], hiddenUnits).toBeLessThan(errors[0]! * 0.6);
    }
  });

  test("stops early, and goes step by step with batch hooks, as models do", async () => {
    const machine = lw.models.rbm({ visible: 9, hidden: 4, seed: 1 });
    const batches: string[][] = [];
    const { epoch } = await machine.fit(bars(3), {
      epochs: 50,
      batchSize: 8,
      seed: 1,
      validationSplit: 0.25,
      verbose: 0,
      callbacks: [
        lw.callbacks.earlyStopping({ monitor: "freeEnergyGap", patience: 2, minDelta: 1e3 }),
        { onBatchEnd: (_batch, logs) => void batches.push(Object.keys(logs ?? {})) },
      ],
    });
    expect(epoch).toEqual([0, 1, 2]);
    expect(batches).toHaveLength(6);
    expect(batches[0]).toEqual(["loss", "reconstructionError", "freeEnergy"]);
  });
});

describe.runIf(addon)("on the native backend", () => {
  test.each(["cd", "pcd", "tempering"] as const)(
    "%s leaves the same bits at any number of threads",
    async (method) => {
      lw.setBackend("native");
      const { train } = lw.datasets.digits({ train: 200, test: 10, seed: 2 });
      const weights: ArrayBufferView[][] = [];
      for (const threads of [1, 2, 3]) {
        lw.setThreads(threads);
        const machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden: 100, seed: 1 });
        const chains = method === "cd" ? {} : { chains: 20 };
        machine.compile({ method, ...chains, sparsity: { target: 0.1, cost: 0.1 } });
        await machine.fit(train.x, { epochs: 2, batchSize: 50, seed: 3, verbose: 0 });
        const state = await machine.sample({ chains: 3, steps: 5, seed: 1, means: true });
        weights.push([...machine.getWeights(), state].map((t) => t.dataSync()));
      }
      lw.setThreads(Math.max(1, lw.backendInfo().affinity ?? 1));
      for (const other of weights.slice(1)) {
        other.forEach((values, i) => {
          expectSameBits(values, weights[0]![i]!, `tensor ${i}`);
        });
      }
    },
  );

  test("agrees with the TypeScript backend", async () => {
    const { train } = lw.datasets.digits({ train: 60, test: 10, seed: 2 });
    const results: lw.TypedArray[] = [];
    for (const backend of ["typescript", "native"] as const) {
      lw.setBackend(backend);
      const machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden: 20, seed: 1 });
      await machine.fit(train.x, { epochs: 1, batchSize: 20, seed: 3, verbose: 0 });
      results.push(machine.kernel.read().dataSync());
    }
    expectClose(results[1]!, [...results[0]!], { rtol: 1e-3, atol: 1e-5 }, "kernel");
  });
});
