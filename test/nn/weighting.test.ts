/** Weights, masks and reductions: how the values of a loss become one number. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import * as losses from "../../src/nn/losses.js";
import { type Reduction, weightedMean } from "../../src/nn/weighting.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";

test("weights multiply values; the mean is over their number", () => {
  const values = tensor([1, 2, 3]);
  expect(weightedMean(values, null).item()).toBe(2);
  expectClose([weightedMean(values, tensor([0, 1, 2])).item()], [8 / 3], { ulp: 1 });
  const sequence = tensor([
    [1, 2],
    [3, 4],
  ]);
  expect(weightedMean(sequence, tensor([1, 0])).item()).toBe(0.75);
  const positions = tensor([
    [1, 0],
    [0, 1],
  ]);
  expect(weightedMean(sequence, positions).item()).toBe(1.25);
});

describe("reduction", () => {
  const labels = tensor([[0], [0], [0]]);
  const predictions = tensor([[1], [2], [3]]);
  const weights = tensor([0, 1, 3]);
  const reduced = (reduction: Reduction, w: Tensor | null): number =>
    weightedMean(losses.meanAbsoluteError({ reduction })(labels, predictions), w).item();

  test("is the mean over the samples, unless the loss was made with another", () => {
    // Σ w·v = 11 and Σ w = 4.
    const table = {
      sumOverBatchSize: [2, 11 / 3],
      mean: [2, 11 / 3],
      sum: [6, 11],
      meanWithSampleWeight: [2, 11 / 4],
    } satisfies Record<Reduction, [number, number]>;
    for (const [name, [plain, weighted]] of Object.entries(table)) {
      const got = [null, weights].map((w) => reduced(name as Reduction, w));
      expectClose(got, [plain, weighted], { ulp: 1 }, name);
    }
  });

  test("leaves out ignored classes", () => {
    const loss = (reduction: Reduction) =>
      losses.sparseCategoricalCrossentropy({ ignoreClass: 0, reduction });
    const p = tensor([
      [0.5, 0.5],
      [0.5, 0.5],
      [0.5, 0.5],
    ]);
    const value = (reduction: Reduction, w: Tensor | null): number =>
      weightedMean(loss(reduction)(tensor([0, 1, 1]), p), w).item() / Math.LN2;
    expectClose([value("sum", null), value("mean", null)], [2, 1], { rtol: 1e-6 });
    expectClose([value("meanWithSampleWeight", tensor([5, 1, 3]))], [1], { rtol: 1e-6 });
  });
});
