/** log Z exactly and by annealing, log-likelihoods and pseudo-log-likelihoods. */
import { describe, expect, test } from "vitest";
import { rbm } from "../../src/models/boltzmann.js";
import { tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { bits, enumerated, logWeight, numbersOf, randomMachine } from "./machines.js";

onEachBackend("log Z", () => {
  test("is what float64 enumeration gives, from either side", async () => {
    const wide = randomMachine({ visible: 9, hidden: 3 });
    expect(await wide.logPartition()).toBeCloseTo(enumerated(wide).logZ, 4);
    const tall = randomMachine({ visible: 5, hidden: 11 });
    expect(await tall.logPartition()).toBeCloseTo(enumerated(tall).logZ, 4);
  });

  test("goes through more states than one run takes", async () => {
    const machine = randomMachine({ visible: 14, hidden: 14 }, 0.6);
    expect(await machine.logPartition()).toBeCloseTo(enumerated(machine).logZ, 3);
  });

  test("of Gaussian visible units is the integral", async () => {
    const machine = randomMachine({ visible: 1, hidden: 2, visibleUnits: "gaussian" });
    machine.setWeights([[[0.8, -0.5]], [0.3], [0.2, -0.1]]);
    // ∫ exp(−½v² + 0.3v)·Π(1 + exp(cⱼ + wⱼv)) dv, by the trapezium rule.
    const [steps, from, width] = [4000, -12, 24];
    let total = 0;
    for (let i = 0; i <= steps; i++) {
      const v = from + (width * i) / steps;
      const f =
        Math.exp(-0.5 * v * v + 0.3 * v) *
        (1 + Math.exp(0.2 + 0.8 * v)) *
        (1 + Math.exp(-0.1 - 0.5 * v));
      total += (f * width) / steps;
    }
    expect(await machine.logPartition()).toBeCloseTo(Math.log(total), 5);
    const estimate = await machine.estimateLogPartition({ chains: 400, betas: 200, seed: 1 });
    expect(Math.abs(estimate.logPartition - Math.log(total))).toBeLessThan(
      4 * estimate.standardError + 1e-3,
    );
  });

  test("by annealing agrees with enumeration within its stated error", async () => {
    const machine = randomMachine({ visible: 20, hidden: 10 }, 0.7);
    const exact = await machine.logPartition();
    for (const seed of [1, 2, 3]) {
      const estimate = await machine.estimateLogPartition({ chains: 200, betas: 500, seed });
      expect(estimate.standardError).toBeGreaterThan(0.005);
      expect(estimate.standardError).toBeLessThan(0.2);
      expect(Math.abs(estimate.logPartition - exact)).toBeLessThan(3 * estimate.standardError);
      expect(estimate.interval[0]).toBeLessThan(exact);
      expect(estimate.interval[1]).toBeGreaterThan(exact);
    }
  });

  test("by annealing states the error that its estimates have", async () => {
    const machine = randomMachine({ visible: 20, hidden: 10 }, 0.7);
    const exact = await machine.logPartition();
    let squares = 0;
    let stated = 0;
    const seeds = 24;
    for (let seed = 0; seed < seeds; seed++) {
      const estimate = await machine.estimateLogPartition({ chains: 100, betas: 100, seed });
      squares += (estimate.logPartition - exact) ** 2 / seeds;
      stated += estimate.standardError ** 2 / seeds;
    }
    // The root of a mean of 24 squares is within 30 % of what it should be, two times in three 15 %.
    expect(Math.sqrt(squares / stated)).toBeGreaterThan(0.6);
    expect(Math.sqrt(squares / stated)).toBeLessThan(1.6);
  });

  test("by annealing has an error that more temperatures make smaller", async () => {
    const machine = randomMachine({ visible: 20, hidden: 10 }, 0.7);
    const errorOf = async (betas: number) =>
      (await machine.estimateLogPartition({ chains: 200, betas, seed: 1 })).standardError;
    expect(await errorOf(800)).toBeLessThan(0.6 * (await errorOf(50)));
  });

  test("of a machine without weights needs no annealing", async () => {
    const machine = randomMachine({ visible: 6, hidden: 4 }, 0, 1);
    const { c } = numbersOf(machine);
    const { logPartition } = await machine.estimateLogPartition({ chains: 5, betas: 10, seed: 1 });
    expect(c).toHaveLength(4);
    expect(logPartition).toBeCloseTo(enumerated(machine).logZ, 4);
  });

  test("of softmax groups is the sum over their choices, annealed or not", async () => {
    const machine = randomMachine({
      hidden: 4,
      visibleUnits: [
        { type: "softmax", units: 4 },
        { type: "bernoulli", units: 3 },
        { type: "softmax", units: 1 },
      ],
    });
    const numbers = numbersOf(machine);
    let total = 0;
    for (let s = 0; s < 32; s++) {
      const group = [0, 1, 2, 3].map((i) => (i === s % 4 ? 1 : 0));
      total += Math.exp(logWeight(numbers, [...group, ...bits(s >> 2, 3), 1]));
    }
    expect(await machine.logPartition()).toBeCloseTo(Math.log(total), 4);
    const hidden = rbm({ hidden: 30, visibleUnits: machine.machine.layout.groups, seed: 1 });
    // 32 visible states against 2³⁰ hidden ones: with W ≈ 0 it is 32·2³⁰.
    expect(await hidden.logPartition()).toBeCloseTo(Math.log(32) + 30 * Math.log(2), 1);
    const estimate = await machine.estimateLogPartition({ chains: 300, betas: 300, seed: 2 });
    expect(Math.abs(estimate.logPartition - Math.log(total))).toBeLessThan(
      3 * estimate.standardError,
    );
  });
});

onEachBackend("the log-likelihood", () => {
  test("is the mean of log p(v), exact and estimated", async () => {
    const machine = randomMachine({ visible: 8, hidden: 5 });
    const { p } = enumerated(machine);
    const states = [3, 77, 255, 0, 128];
    const want = states.reduce((sum, s) => sum + Math.log(p[s]!), 0) / states.length;
    const data = states.map((s) => bits(s, 8));
    const exact = await machine.logLikelihood(data, { method: "exact" });
    expect(exact.logLikelihood).toBeCloseTo(want, 4);
    expect(exact.standardError).toBe(0);
    const estimated = await machine.logLikelihood(data, { chains: 300, betas: 400, seed: 1 });
    expect(Math.abs(estimated.logLikelihood - want)).toBeLessThan(3 * estimated.standardError);
    const other = await machine.logLikelihood(data, {
      chains: 300,
      betas: [0, ...Array.from({ length: 300 }, (_, k) => ((k + 1) / 301) ** 2), 1],
      baseRate: new Float32Array(8).fill(0.5),
      seed: 1,
    });
    expect(Math.abs(other.logLikelihood - want)).toBeLessThan(3 * other.standardError);
  });
});

onEachBackend("the pseudo-log-likelihood", () => {
  const machine = () => randomMachine({ visible: 6, hidden: 4 });
  const data = [5, 40, 63, 0].map((s) => bits(s, 6));
  const wanted = (m: ReturnType<typeof machine>): number[] => {
    const { p } = enumerated(m);
    return [5, 40, 63, 0].map((s) => {
      let sum = 0;
      for (let i = 0; i < 6; i++) sum += Math.log(p[s]! / (p[s]! + p[s ^ (1 << i)]!));
      return sum;
    });
  };

  test("is Σ log p(vᵢ | others)", async () => {
    const m = machine();
    const got = await m.pseudoLogLikelihood(data, { flips: "all" });
    expectClose(got.dataSync(), wanted(m), { rtol: 1e-5, atol: 1e-5 }, "pseudo-log-likelihood");
    // As many random flips as there are units are all of them, in another order.
    const drawn = await m.pseudoLogLikelihood(data, { flips: 6, seed: 3 });
    expectClose(drawn.dataSync(), wanted(m), { rtol: 1e-5, atol: 1e-5 }, "six flips");
  });

  test("from one random flip is right on average", async () => {
    const m = machine();
    const many = Array.from({ length: 1200 }, () => data[1]!);
    const got = (await m.pseudoLogLikelihood(many, { seed: 9 })).dataSync() as Float32Array;
    const mean = got.reduce((a, b) => a + b, 0) / got.length;
    const spread = Math.sqrt(got.reduce((sum, x) => sum + (x - mean) ** 2, 0)) / got.length;
    expect(Math.abs(mean - wanted(m)[1]!)).toBeLessThan(4 * spread);
  });
});

describe("what can't be computed", () => {
  test.each<[string, () => Promise<unknown>]>([
    [
      "logPartition() of rbm rbm: 784 visible and 500 hidden units have too many states to go through (at most 2^25 of one layer); estimateLogPartition() estimates it",
      () => rbm({ visible: 784, hidden: 500 }).logPartition(),
    ],
    [
      "estimateLogPartition() of rbm rbm: hidden relu units are drawn from an approximation, so that annealing would be biased",
      () => rbm({ visible: 3, hidden: 2, hiddenUnits: "relu" }).estimateLogPartition(),
    ],
    [
      "estimateLogPartition() of rbm rbm: expected `betas` to be a number or a list that begins with 0 and ends with 1, got [0, 0.5]",
      () => rbm({ visible: 3, hidden: 2 }).estimateLogPartition({ betas: [0, 0.5] }),
    ],
    [
      "estimateLogPartition() of rbm rbm: expected `betas[2]` to be a number from 0.5 to 1, got 0.4",
      () => rbm({ visible: 3, hidden: 2 }).estimateLogPartition({ betas: [0, 0.5, 0.4, 1] }),
    ],
    [
      "estimateLogPartition() of rbm rbm: expected `baseRate` of 3 means, one per visible unit, got [2]",
      () => rbm({ visible: 3, hidden: 2 }).estimateLogPartition({ baseRate: [0, 1] }),
    ],
    [
      "pseudoLogLikelihood() of rbm rbm: expected bernoulli visible units alone, which can be flipped, got gaussian",
      () => rbm({ visible: 2, hidden: 2, visibleUnits: "gaussian" }).pseudoLogLikelihood([[0, 1]]),
    ],
    [
      'logLikelihood() of rbm rbm: expected `method` to be one of "ais", "exact", got "asi"; did you mean "ais"?',
      () => rbm({ visible: 2, hidden: 2 }).logLikelihood([[0, 1]], { method: "asi" as "ais" }),
    ],
  ])("%s", async (message, f) => {
    await expect(f()).rejects.toThrow(message);
  });
});

test("a machine without a density is named where its chains run off", async () => {
  const units = { visibleUnits: "gaussian", hiddenUnits: "gaussian" } as const;
  const machine = rbm({ visible: 2, hidden: 2, ...units, seed: 1 });
  machine.kernel.assign(
    tensor([
      [2, 0],
      [0, 2],
    ]),
  );
  await expect(machine.estimateLogPartition({ betas: 500, chains: 4, seed: 1 })).rejects.toThrow(
    /^estimateLogPartition\(\) of rbm rbm: its chains run off to infinity/,
  );
  machine.kernel.assign(
    tensor([
      [0.5, 0],
      [0, 0.5],
    ]),
  );
  const { logPartition } = await machine.estimateLogPartition({ betas: 500, chains: 4, seed: 1 });
  expect(Number.isFinite(logPartition)).toBe(true);
});
