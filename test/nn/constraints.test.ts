/** Constraints: values by Keras' formulas, that they hold, options, errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import { constraintFamily } from "../../src/nn/constraints.js";
import { tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";

const { make, get } = constraintFamily;
// Columns of norms 5, 0.5 and 0.
const w = tensor([
  [3, 0.3, 0],
  [-4, 0.4, 0],
]);

describe("values", () => {
  test("maxNorm leaves what is small enough", () => {
    expectClose(make.maxNorm().apply(w).dataSync(), [1.2, 0.3, 0, -1.6, 0.4, 0], { rtol: 1e-6 });
    // Rows: norms √9.09 and √16.16.
    const [a, b] = [1 / Math.sqrt(9.09), 1 / Math.sqrt(16.16)];
    const rows = make.maxNorm({ maxValue: 1, axis: 1 }).apply(w).dataSync();
    expectClose(rows, [3 * a, 0.3 * a, 0, -4 * b, 0.4 * b, 0], { rtol: 1e-6 });
  });

  test("minMaxNorm lengthens and shortens, partly with a rate", () => {
    const full = make.minMaxNorm({ minValue: 1, maxValue: 2 }).apply(w).dataSync();
    expectClose(full, [1.2, 0.6, 0, -1.6, 0.8, 0], { rtol: 1e-6 });
    // 0.5·2 + 0.5·5 = 3.5; 0.5·1 + 0.5·0.5 = 0.75
    const half = make.minMaxNorm({ minValue: 1, maxValue: 2, rate: 0.5 }).apply(w).dataSync();
    expectClose(half, [2.1, 0.45, 0, -2.8, 0.6, 0], { rtol: 1e-6 });
  });

  test("nonNeg and unitNorm", () => {
    expect(make.nonNeg().apply(w).arraySync()).toEqual([
      [3, Math.fround(0.3), 0],
      [0, Math.fround(0.4), 0],
    ]);
    const unit = make.unitNorm().apply(w).dataSync();
    expectClose(unit, [0.6, 0.6, 0, -0.8, 0.8, 0], { rtol: 1e-6 });
    const whole = make
      .unitNorm({ axis: [0, 1] })
      .apply(w)
      .dataSync();
    expectClose([Math.hypot(...whole)], [1], { rtol: 1e-6 });
  });
});

describe("names and configurations", () => {
  test("round trip", () => {
    for (const name of Object.keys(make)) {
      const json = constraintFamily.serialize(get("t", "o", name), "t", "o");
      expect(constraintFamily.serialize(get("t", "o", json), "t", "o")).toEqual(json);
    }
  });

  test("mistakes are named", () => {
    expect(() =>
      get("dense layer", "kernelConstraint", "max_norm"),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelConstraint\` to be the name of a known constraint, got "max_norm"; did you mean "maxNorm"?]`,
    );
    expect(() => make.maxNorm({ max_value: 1 } as never)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: constraint maxNorm: unknown option \`max_value\`; options are in camelCase here: \`maxValue\`]`,
    );
    expect(() => make.minMaxNorm({ minValue: 2 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: constraint minMaxNorm: expected minValue ≤ maxValue, got 2 and 1]`,
    );
    expect(() => make.unitNorm({ axis: [0, 0.5] })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: constraint unitNorm: expected \`axis[1]\` to be an integer, got 0.5]`,
    );
  });
});
