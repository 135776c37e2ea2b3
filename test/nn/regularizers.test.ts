/** Regularizers: values by hand, gradients, options, errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import { regularizerFamily } from "../../src/nn/regularizers.js";
import { tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { expectGradient } from "../helpers/gradCheck.js";

const { make, get } = regularizerFamily;
const w = tensor([
  [1, -2, 0.5],
  [3, 0, -1],
]);

describe("values", () => {
  test("l1, l2, l1l2", () => {
    // Σ|w| = 7.5, Σw² = 15.25
    expect(make.l1({ l1: 2 }).apply(w).item()).toBe(15);
    expect(make.l2({ l2: 2 }).apply(w).item()).toBe(30.5);
    expectClose([make.l1l2({ l1: 0.1, l2: 0.01 }).apply(w).item()], [0.9025], { rtol: 1e-6 });
    expectClose([make.l1l2().apply(w).item()], [0.01 * 7.5 + 0.01 * 15.25], { rtol: 1e-6 });
    expect(make.l1l2({ l1: 0, l2: 0 }).apply(w).item()).toBe(0);
  });

  test("orthogonalRegularizer", () => {
    // rows of norms √5.25 and √10 with product 3 − 0.5 = 2.5; twice |cos|, halved, over one pair
    const cosine = 2.5 / Math.sqrt(5.25 * 10);
    const rows = make.orthogonalRegularizer({ factor: 0.1 }).apply(w).item();
    expectClose([rows], [0.1 * cosine], { rtol: 1e-5 });
    const columns = [
      [1, 3],
      [-2, 0],
      [0.5, -1],
    ];
    let sum = 0;
    for (const [i, a] of columns.entries()) {
      for (const b of columns.slice(i + 1)) {
        const dot = a[0]! * b[0]! + a[1]! * b[1]!;
        sum += Math.abs(dot) / (Math.hypot(...a) * Math.hypot(...b));
      }
    }
    const regularizer = make.orthogonalRegularizer({ factor: 0.1, mode: "columns" });
    expectClose([regularizer.apply(w).item()], [(0.1 * sum) / 3], { rtol: 1e-5 });
    expect(() => regularizer.apply(tensor([1, 2]))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: regularizer orthogonalRegularizer: expected a matrix, got [2]]`,
    );
  });

  test("gradients", () => {
    const x = tensor([
      [1, -2, 0.5],
      [3, 0.7, -1],
    ]);
    for (const r of [make.l1l2({ l1: 0.3, l2: 0.2 }), make.orthogonalRegularizer({ factor: 1 })]) {
      expectGradient((t) => r.apply(t), [x]);
    }
  });
});

describe("names and configurations", () => {
  test("round trip", () => {
    for (const name of ["l1", "l2", "l1l2", "orthogonalRegularizer"]) {
      const json = regularizerFamily.serialize(get("t", "o", name), "t", "o");
      expect(regularizerFamily.serialize(get("t", "o", json), "t", "o")).toEqual(json);
    }
    expect(regularizerFamily.serialize(make.l2({ l2: 0.5 }), "t", "o")).toEqual({
      className: "L2",
      config: { l2: 0.5 },
    });
  });

  test("mistakes are named", () => {
    expect(() => make.l2({ l1: 1 } as never)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: regularizer l2: unknown option \`l1\`; did you mean \`l2\`?]`,
    );
    expect(() => make.l2({ l2: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: regularizer l2: expected \`l2\` to be a number ≥ 0, got -1]`,
    );
    expect(() => get("dense layer", "kernelRegularizer", "l3")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelRegularizer\` to be the name of a known regularizer, got "l3"; did you mean "l1"?]`,
    );
    expect(() => get("dense layer", "kernelRegularizer", 0.01)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelRegularizer\` to be the name of a regularizer, a function, or { className, config }, got 0.01]`,
    );
  });
});
