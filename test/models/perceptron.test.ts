/** Rosenblatt's perceptron: it learns what a line separates, and nothing else. */
import { describe, expect, test } from "vitest";
import { logicGates } from "../../src/data/gates.js";
import { perceptron } from "../../src/models/perceptron.js";
import { tensor } from "../../src/tensor/tensor.js";
import "./helpers.js";

const gates = logicGates();

describe("the perceptron", () => {
  test.each(["and", "or", "nand", "nor"] as const)("learns %s", (name) => {
    const { x, y } = gates[name];
    const unit = perceptron();
    const { converged, errors, epochs } = unit.fit(x, y);
    expect(converged).toBe(true);
    expect(errors.at(-1)).toBe(0);
    expect(errors.length).toBe(epochs);
    expect([...unit.predict(x).dataSync()]).toEqual([...y.dataSync()]);
  });

  test("never learns XOR", () => {
    const { x, y } = gates.xor;
    const { converged, errors, corrections } = perceptron().fit(x, y, { epochs: 500 });
    expect(converged).toBe(false);
    expect(errors.length).toBe(500);
    expect(corrections).toBe(errors.reduce((a, b) => a + b));
    expect(Math.min(...errors)).toBeGreaterThan(0);
  });

  test("follows the rule, sample by sample", () => {
    // w = (0, 0), b = 0. (1, 2) → 1: wrong, w = (0.5, 1), b = 0.5. (3, 0) → 0: 2 > 0, wrong:
    // w = (−1, 1), b = 0. Next epoch: (1, 2): 1 > 0, right; (3, 0): −3, right.
    const unit = perceptron();
    const { errors } = unit.fit(
      [
        [1, 2],
        [3, 0],
      ],
      [1, 0],
      { learningRate: 0.5 },
    );
    expect(errors).toEqual([2, 0]);
    expect(unit.weights).toEqual([-1, 1]);
    expect(unit.bias).toBe(0);
  });

  test("takes −1 and 1, goes on where it was, and shuffles alike with a seed", () => {
    const { x, y } = gates.and;
    const signs = tensor([...y.dataSync()].map((v) => (v ? 1 : -1)));
    const unit = perceptron();
    unit.fit(x, signs);
    expect(unit.fit(x, y).epochs).toBe(1);
    const a = perceptron();
    const b = perceptron();
    a.fit(x, y, { shuffle: true, seed: 3 });
    b.fit(x, y, { shuffle: true, seed: 3 });
    expect(a.weights).toEqual(b.weights);
  });

  test("says what it can't do", () => {
    const unit = perceptron();
    expect(() => unit.predict([[1, 2]])).toThrow(/call fit\(x, y\) first/);
    expect(() => unit.fit([[1], [2], [3]], [0, 1, 2])).toThrow(/softmax/);
    expect(() =>
      unit.fit(
        [[1], [2]],
        [
          [1, 0],
          [0, 1],
        ],
      ),
    ).toThrow(/softmax/);
    expect(() => unit.fit([[1], [2]], [1])).toThrow(/2 labels/);
    expect(() => unit.fit([1, 2], [1, 0])).toThrow(/\[samples, inputs\]/);
    expect(() => unit.fit([[1]], [1], { epoch: 2 } as never)).toThrow(/did you mean `epochs`/);
    // Sums with NaN are never above 0, which would pass for two samples of class 0 learnt.
    const nan = [
      [1, 2],
      [3, Number.NaN],
    ];
    expect(() => unit.fit(nan, [0, 0])).toThrow(
      "perceptron.fit(): expected x with finite values, got NaN in sample 1, input 1",
    );
    expect(() => unit.fit([[Number.NEGATIVE_INFINITY]], [0])).toThrow(/got -Infinity in sample 0/);
    expect(() => unit.fit([[1]], [1], { learningRate: Number.POSITIVE_INFINITY })).toThrow(
      /`learningRate` to be a finite number above 0/,
    );
    expect(() => perceptron().fit([[3e38], [-3e38]], [1, 0], { learningRate: 2 })).toThrow(
      /the weights grew beyond float32 in epoch 1/,
    );
    unit.fit([[1, 0]], [1]);
    expect(() => unit.predict(nan)).toThrow(/predict\(\): expected x with finite values, got NaN/);
    expect(() => unit.predict([[1]])).toThrow(/expected 2 inputs, got 1/);
  });
});
