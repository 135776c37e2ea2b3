/** Free energies, their gradients, and what the chains draw, against enumeration and differences. */
import { describe, expect, test } from "vitest";
import { trace } from "../../src/backend/run.js";
import {
  freeEnergyOf,
  hiddenInput,
  hiddenMean,
  type MachineLayout,
  meanFreeEnergy,
} from "../../src/models/energy.js";
import { exchange, walkTempered } from "../../src/models/negative.js";
import { type UnitGroup, unitKind } from "../../src/models/units.js";
import { fill } from "../../src/ops/creation.js";
import { add } from "../../src/ops/elementwise.js";
import { mean } from "../../src/ops/reduce.js";
import { randomSource } from "../../src/tensor/random.js";
import { leaf, type Tensor, zerosLeaf } from "../../src/tensor/tensor.js";
import { Variable } from "../../src/tensor/variable.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { normal, uniform } from "../helpers/random.js";
import {
  bits,
  chiSquare,
  chiSquareLimit,
  countStates,
  enumerated,
  logWeight,
  numbersOf,
  randomMachine,
  sigmoid,
} from "./machines.js";

const tensorOf = (values: Float32Array, ...shape: number[]): Tensor =>
  leaf(values, shape, "float32");

const groupings: Record<string, readonly UnitGroup[]> = {
  bernoulli: [{ type: "bernoulli", units: 5 }],
  gaussian: [{ type: "gaussian", units: 5 }],
  softmax: [{ type: "softmax", units: 5 }],
  mixed: [
    { type: "bernoulli", units: 2 },
    { type: "softmax", units: 3 },
    { type: "gaussian", units: 2 },
  ],
};

onEachBackend("the free energy", () => {
  const cases = Object.keys(groupings).flatMap((visible) =>
    (["bernoulli", "gaussian", "relu"] as const).map((hidden) => [visible, hidden] as const),
  );

  test.each(cases)("of %s visible and %s hidden units has the right gradient", (name, hidden) => {
    const groups = groupings[name]!;
    const visible = groups.reduce((sum, { units }) => sum + units, 0);
    const layout: MachineLayout = { groups, visible, hidden: 4, hiddenUnits: hidden };
    const f = (kernel: Tensor, visibleBias: Tensor, hiddenBias: Tensor, v: Tensor): Tensor => {
      const weights = { kernel, visibleBias, hiddenBias };
      return freeEnergyOf(layout, weights, v, hiddenInput(weights, v));
    };
    expectGradient(f, [
      tensorOf(normal(1, visible * 4), visible, 4),
      tensorOf(normal(2, visible), visible),
      tensorOf(normal(3, 4), 4),
      tensorOf(uniform(4, 3 * visible, 0, 1), 3, visible),
    ]);
  });

  // Inputs of hidden units from −150 to 150, where a mean is 0 or 1 to the last bit.
  test.each(cases)("of %s visible and %s hidden units is the same in the mean", (name, hidden) => {
    const groups = groupings[name]!;
    const visible = groups.reduce((sum, { units }) => sum + units, 0);
    const layout: MachineLayout = { groups, visible, hidden: 9, hiddenUnits: hidden };
    const weights = {
      kernel: tensorOf(normal(1, visible * 9), visible, 9),
      visibleBias: tensorOf(normal(2, visible), visible),
      hiddenBias: tensorOf(Float32Array.of(-150, -30, -16, -1, 0, 1, 16, 30, 150), 9),
    };
    const v = tensorOf(uniform(4, 3 * visible, 0, 1), 3, visible);
    const x = hiddenInput(weights, v);
    const got = meanFreeEnergy(layout, weights, v, mean(v, 0), x, hiddenMean(layout, x));
    const want = mean(freeEnergyOf(layout, weights, v, x));
    expectClose(got.dataSync(), want.dataSync(), { rtol: 1e-6, atol: 1e-5 }, "mean");
  });

  test("of binary units is what float64 gives", async () => {
    const machine = randomMachine({ visible: 6, hidden: 5 });
    const states = Array.from({ length: 64 }, (_, s) => bits(s, 6));
    const numbers = numbersOf(machine);
    const got = await machine.freeEnergy(states);
    const want = states.map((v) => -logWeight(numbers, v));
    expectClose(got.dataSync(), want, { rtol: 1e-6, atol: 1e-5 }, "free energy");
  });

  test("of noisy rectified units has softplus as its slope, on both sides of 0", () => {
    const layout: MachineLayout = {
      groups: [{ type: "bernoulli", units: 1 }],
      visible: 1,
      hidden: 1,
      hiddenUnits: "relu",
    };
    // ∫ softplus = −Li₂(−eˣ): at 0 it is π²/12, and far out π²/6 + x²/2 or eˣ.
    const at = (x: number): number => {
      const weights = {
        kernel: tensorOf(Float32Array.of(1), 1, 1),
        visibleBias: zerosLeaf([1], "float32"),
        hiddenBias: zerosLeaf([1], "float32"),
      };
      const v = tensorOf(Float32Array.of(x), 1, 1);
      return -freeEnergyOf(layout, weights, v, hiddenInput(weights, v)).item();
    };
    expect(at(0)).toBeCloseTo(Math.PI ** 2 / 12, 6);
    expect(at(20)).toBeCloseTo(Math.PI ** 2 / 6 + 200, 3);
    expect(at(-20) / Math.exp(-20)).toBeCloseTo(1, 5);
    // Σ softplus(x − i + ½), of which it is the integral: by Euler and Maclaurin σ(x)/24 less.
    for (const x of [-3, -0.7, 0.4, 2, 5]) {
      let copies = 0;
      for (let i = 1; i < 60; i++) copies += Math.log1p(Math.exp(x - i + 0.5));
      expect(Math.abs(at(x) - copies)).toBeLessThan(1 / 24);
    }
  });
});

onEachBackend("Gibbs sampling", () => {
  const chains = 4000;

  test("draws from the machine's distribution", async () => {
    const machine = randomMachine({ visible: 4, hidden: 3 });
    const { p } = enumerated(machine);
    const states = await machine.sample({ chains, steps: 60, seed: 5 });
    const { statistic, freedom } = chiSquare(countStates(states.dataSync(), 4), p);
    expect(statistic).toBeLessThan(chiSquareLimit(freedom));
    // The test sees it when the distribution is another one.
    const wrong = enumerated(randomMachine({ visible: 4, hidden: 3 }, 0.8)).p;
    const other = chiSquare(countStates(states.dataSync(), 4), wrong);
    expect(other.statistic).toBeGreaterThan(chiSquareLimit(other.freedom));
  });

  test("given clamped units draws the others from their conditional distribution", async () => {
    const machine = randomMachine({ visible: 5, hidden: 4 }, 1.2);
    const { p } = enumerated(machine);
    const clamp = { mask: [0, 1, 0, 0, 1], values: [0, 1, 0, 0, 0] };
    const states = await machine.sample({ chains, steps: 80, clamp, seed: 6 });
    const counts = countStates(states.dataSync(), 5);
    const fits = (s: number): boolean => ((s >> 1) & 1) === 1 && ((s >> 4) & 1) === 0;
    expect(counts.every((count, s) => count === 0 || fits(s))).toBe(true);
    const mass = p.reduce((sum, value, s) => sum + (fits(s) ? value : 0), 0);
    const kept = p.flatMap((value, s) => (fits(s) ? [{ p: value / mass, count: counts[s]! }] : []));
    const { statistic, freedom } = chiSquare(
      kept.map((k) => k.count),
      kept.map((k) => k.p),
    );
    expect(freedom).toBe(7);
    expect(statistic).toBeLessThan(chiSquareLimit(freedom));
  });

  test("of softmax groups gives one-hot states at the right rates", async () => {
    const groups = [
      { type: "softmax", units: 3 },
      { type: "bernoulli", units: 2 },
    ] as const;
    const machine = randomMachine({ hidden: 3, visibleUnits: groups }, 1.5);
    const numbers = numbersOf(machine);
    const all = Array.from({ length: 12 }, (_, s) => [
      ...[0, 1, 2].map((i) => (i === s % 3 ? 1 : 0)),
      ...bits(Math.floor(s / 3), 2),
    ]);
    const weights = all.map((v) => Math.exp(logWeight(numbers, v)));
    const total = weights.reduce((a, b) => a + b, 0);
    const rows = (await machine.sample({ chains, steps: 60, seed: 2 })).arraySync() as number[][];
    const counts = all.map((v) => rows.filter((row) => row.join() === v.join()).length);
    expect(counts.reduce((a, b) => a + b, 0)).toBe(chains);
    const { statistic, freedom } = chiSquare(
      counts,
      weights.map((x) => x / total),
    );
    expect(statistic).toBeLessThan(chiSquareLimit(freedom));
    expect(await machine.logPartition()).toBeCloseTo(Math.log(total), 4);
  });

  test("of Gaussian units has their mean and variance", async () => {
    // Linear hidden units make all of it normal: precision 1 − W Wᵀ over v, here of one unit each.
    const machine = randomMachine({
      visible: 1,
      hidden: 1,
      visibleUnits: "gaussian",
      hiddenUnits: "gaussian",
    });
    machine.setWeights([[[0.6]], [0.5], [0.2]]);
    const v = (await machine.sample({ chains, steps: 60, seed: 3 })).dataSync() as Float32Array;
    const mean = v.reduce((a, b) => a + b, 0) / chains;
    const variance = v.reduce((sum, x) => sum + (x - mean) ** 2, 0) / chains;
    const wantedVariance = 1 / (1 - 0.36);
    expect(Math.abs(mean - (0.5 + 0.6 * 0.2) * wantedVariance)).toBeLessThan(
      4 * Math.sqrt(wantedVariance / chains),
    );
    expect(Math.abs(variance / wantedVariance - 1)).toBeLessThan(4 * Math.sqrt(2 / chains));
  });

  test("of noisy rectified units draws max(0, x + noise), and rectifies features", async () => {
    const count = 20_000;
    const x = 3;
    const { sample } = unitKind("relu");
    const drawn = sample(fill([1, count], x), randomSource(4)).dataSync() as Float32Array;
    expect(drawn.every((value) => value >= 0)).toBe(true);
    const mean = drawn.reduce((a, b) => a + b, 0) / count;
    const variance = drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
    // σ(3) = 0.953: 3 is 3.07 deviations above 0, where the cut takes 0.1 % of the mass.
    expect(Math.abs(mean - x)).toBeLessThan(4 * Math.sqrt(0.953 / count));
    expect(Math.abs(variance / 0.953 - 1)).toBeLessThan(0.05);
    const machine = randomMachine({ visible: 2, hidden: 2, hiddenUnits: "relu" });
    machine.setWeights([zerosLeaf([2, 2], "float32"), [0, 0], [1.5, -2]]);
    expect((await machine.transform([[0, 1]])).arraySync()).toEqual([[1.5, 0]]);
  });

  test("says the probabilities instead when asked for means", async () => {
    const machine = randomMachine({ visible: 3, hidden: 2 });
    const { w, b } = numbersOf(machine);
    const states = await machine.gibbs([[1, 0, 1]], 1, { means: true, seed: 4 });
    const possible = [0, 1, 2, 3].map((h) =>
      b.map((bias, i) =>
        sigmoid(bias + bits(h, 2).reduce((sum, on, j) => sum + on * w[i]![j]!, 0)),
      ),
    );
    const [got] = states.arraySync() as number[][];
    const nearest = possible.map((p) => Math.max(...p.map((x, i) => Math.abs(x - got![i]!))));
    expect(Math.min(...nearest)).toBeLessThan(1e-6);
  });
});

describe("tempered chains", () => {
  test("exchange whole states, between neighbours, every second pair at a time", () => {
    const [betas, chains] = [[1, 0.7, 0.4, 0.1, 0], 40];
    const s = leaf(normal(5, 200, 0, 3), [200], "float32");
    for (const turn of [0, 1]) {
      const rows = exchange(
        s,
        betas,
        chains,
        leaf(Int32Array.of(turn), [], "int32"),
        randomSource(turn),
      );
      const order = [...(rows.dataSync() as Int32Array)];
      expect([...order].sort((a, b) => a - b)).toEqual(order.map((_, i) => i));
      let moved = 0;
      order.forEach((from, to) => {
        if (from === to) return;
        moved++;
        expect(from % chains).toBe(to % chains);
        const pair = [from, to].map((row) => Math.floor(row / chains)).sort();
        expect(pair[1]! - pair[0]!).toBe(1);
        expect(pair[0]! % 2).toBe(turn);
      });
      expect(moved).toBeGreaterThan(20);
      // What raises the product of both probabilities is always taken.
      const values = s.dataSync();
      order.forEach((from, to) => {
        const level = Math.floor(to / chains);
        if (level % 2 !== turn || level + 1 === betas.length) return;
        if (values[to + chains]! > values[to]!) expect(from).toBe(to + chains);
      });
    }
  });

  test("keep the distribution at each temperature, also where they exchange states", async () => {
    const machine = randomMachine({ visible: 4, hidden: 3 }, 2.5);
    const { layout } = machine.machine;
    const numbers = numbersOf(machine);
    const betas = [1, 0.6, 0.25, 0];
    const chains = 3000;
    const base = [0.4, -0.3, 0, 0.8];
    const visible = new Variable(zerosLeaf([betas.length * chains, 4], "float32"), "v", false);
    const baseBias = new Variable(leaf(Float32Array.from(base), [4], "float32"), "base", false);
    const turn = new Variable(zerosLeaf([], "int32"), "turn", false);
    const step = trace({
      name: "tempering",
      inputs: [],
      body() {
        const plan = { method: "tempering", steps: 1, chains, betas } as const;
        const source = randomSource(3, turn.read());
        visible.assign(
          walkTempered(layout, machine.machine.read(), { visible, baseBias }, plan, source),
        );
        turn.assign(add(turn.read(), 1));
        return [];
      },
    });
    await step.loop([], { steps: 40, advance: [], outputs: [] });
    const states = visible.read().dataSync();
    betas.forEach((beta, t) => {
      // βW, βc, and visible biases between the base and the machine.
      const tempered = {
        w: numbers.w.map((row) => row.map((value) => beta * value)),
        b: numbers.b.map((value, i) => beta * value + (1 - beta) * base[i]!),
        c: numbers.c.map((value) => beta * value),
      };
      const weights = Array.from({ length: 16 }, (_, s) =>
        Math.exp(logWeight(tempered, bits(s, 4))),
      );
      const total = weights.reduce((a, b) => a + b, 0);
      const counts = countStates(states.subarray(t * chains * 4, (t + 1) * chains * 4), 4);
      const { statistic, freedom } = chiSquare(
        counts,
        weights.map((x) => x / total),
      );
      expect(statistic, `β = ${beta}`).toBeLessThan(chiSquareLimit(freedom));
    });
  });
});
