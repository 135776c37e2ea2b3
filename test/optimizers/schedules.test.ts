/** Learning-rate schedules against Keras' formulas written again in float64. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import {
  cosineDecay,
  cosineDecayRestarts,
  exponentialDecay,
  inverseTimeDecay,
  type LearningRateSchedule,
  piecewiseConstantDecay,
  polynomialDecay,
  restoreSchedule,
} from "../../src/optimizers/schedules.js";
import { expectClose } from "../helpers/allClose.js";

const base = { initialLearningRate: 0.1, decaySteps: 10 };

function restarts(step: number, tMul: number, mMul: number, alpha: number): number {
  // Walks the periods one by one, unlike the closed form.
  let [length, height, start] = [10, 0.1, 0];
  while (step >= start + length) {
    start += length;
    length *= tMul;
    height *= mMul;
  }
  const cosine = 0.5 * (1 + Math.cos((Math.PI * (step - start)) / length));
  // alpha is a share of the initial rate, so a lower restart decays to it as well
  return (height / 0.1) * cosine * (1 - alpha) * 0.1 + alpha * 0.1;
}

const cases: [string, LearningRateSchedule, (step: number) => number][] = [
  ["exponential", exponentialDecay({ ...base, decayRate: 0.5 }), (s) => 0.1 * 0.5 ** (s / 10)],
  [
    "exponential staircase",
    exponentialDecay({ ...base, decayRate: 0.5, staircase: true }),
    (s) => 0.1 * 0.5 ** Math.floor(s / 10),
  ],
  ["inverse time", inverseTimeDecay({ ...base, decayRate: 0.5 }), (s) => 0.1 / (1 + 0.05 * s)],
  [
    "inverse time staircase",
    inverseTimeDecay({ ...base, decayRate: 0.5, staircase: true }),
    (s) => 0.1 / (1 + 0.5 * Math.floor(s / 10)),
  ],
  [
    "polynomial",
    polynomialDecay({ ...base, endLearningRate: 0.02, power: 2 }),
    (s) => 0.08 * (1 - Math.min(s, 10) / 10) ** 2 + 0.02,
  ],
  [
    "polynomial cycle",
    polynomialDecay({ ...base, endLearningRate: 0.02, cycle: true }),
    (s) => 0.08 * (1 - s / (10 * Math.max(1, Math.ceil(s / 10)))) + 0.02,
  ],
  [
    "cosine",
    cosineDecay({ ...base, alpha: 0.1 }),
    (s) => 0.1 * (0.9 * 0.5 * (1 + Math.cos((Math.PI * Math.min(s, 10)) / 10)) + 0.1),
  ],
  [
    "cosine with warm-up",
    cosineDecay({ ...base, initialLearningRate: 0.01, warmupTarget: 0.1, warmupSteps: 5 }),
    (s) => (s < 5 ? 0.01 + 0.018 * s : 0.05 * (1 + Math.cos((Math.PI * Math.min(s - 5, 10)) / 10))),
  ],
  [
    "cosine restarts",
    cosineDecayRestarts({ initialLearningRate: 0.1, firstDecaySteps: 10, mMul: 0.5, alpha: 0.1 }),
    (s) => restarts(s, 2, 0.5, 0.1),
  ],
  [
    "cosine restarts of equal length",
    cosineDecayRestarts({ initialLearningRate: 0.1, firstDecaySteps: 10, tMul: 1 }),
    (s) => restarts(s, 1, 1, 0),
  ],
  [
    "piecewise constant",
    piecewiseConstantDecay({ boundaries: [3, 7], values: [0.3, 0.2, 0.1] }),
    (s) => (s <= 3 ? 0.3 : s <= 7 ? 0.2 : 0.1),
  ],
];

describe("schedules", () => {
  // 10 and 30 begin periods of the restarts.
  const steps = [0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 19, 20, 25, 29, 30, 33];

  test.each(cases)("%s", (_, schedule, reference) => {
    expectClose(
      steps.map((s) => schedule.at(s)),
      steps.map(reference),
      { rtol: 2e-6, atol: 2e-8 },
    );
  });

  test.each(cases)("%s is made again from its configuration", (_, schedule) => {
    const config = JSON.parse(JSON.stringify(schedule.config));
    const again = restoreSchedule("test", schedule.scheduleName, config);
    expect(steps.map((s) => again.at(s))).toEqual(steps.map((s) => schedule.at(s)));
  });

  test("options are checked", () => {
    expect(() => exponentialDecay({ initialLearningRate: 0.1, decaySteps: 10 } as never)).toThrow(
      /`decayRate` is missing/,
    );
    expect(() => cosineDecay({ ...base, warmUpSteps: 1 } as never)).toThrow(/`warmupSteps`/);
    expect(() => piecewiseConstantDecay({ boundaries: [1], values: [1] })).toThrow(/2 `values`/);
    expect(() => restoreSchedule("file", "cosineDecy", {})).toThrow(/did you mean "cosineDecay"/);
  });
});
