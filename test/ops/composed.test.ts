/** Functions made of ops: values against the formula in double precision, gradients by differences. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { exponential } from "../../src/ops/composed.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { exactInstructions } from "../helpers/instructionReference.js";
import { uniform } from "../helpers/random.js";

const erf = exactInstructions.erf!;
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.log1p(Math.exp(x));

/** Name, function under test, formula, and points where it has no derivative. */
const functions: readonly [
  string,
  (x: lw.Tensor) => lw.Tensor,
  (x: number) => number,
  readonly number[],
][] = [
  ["relu6", (x) => lw.relu6(x.mul(3)), (x) => Math.min(6, Math.max(0, 3 * x)), [0, 2]],
  ["leakyRelu", (x) => lw.leakyRelu(x), (x) => (x > 0 ? x : 0.2 * x), [0]],
  ["leakyRelu 0.01", (x) => lw.leakyRelu(x, 0.01), (x) => (x > 0 ? x : 0.01 * x), [0]],
  ["elu", (x) => lw.elu(x), (x) => (x > 0 ? x : Math.expm1(x)), []],
  ["elu 0.5", (x) => lw.elu(x, 0.5), (x) => (x > 0 ? x : 0.5 * Math.expm1(x)), [0]],
  [
    "selu",
    (x) => lw.selu(x),
    (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
    [0],
  ],
  ["celu", (x) => lw.celu(x, 2), (x) => Math.max(0, x) + Math.min(0, 2 * Math.expm1(x / 2)), []],
  ["gelu", (x) => lw.gelu(x), (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)), []],
  [
    "gelu by tanh",
    (x) => lw.gelu(x, true),
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    [],
  ],
  ["swish", (x) => lw.swish(x), (x) => x * sigmoid(x), []],
  ["mish", (x) => lw.mish(x), (x) => x * Math.tanh(softplus(x)), []],
  ["softsign", (x) => lw.softsign(x), (x) => x / (1 + Math.abs(x)), []],
  ["hardSigmoid", (x) => lw.hardSigmoid(x), (x) => Math.max(0, Math.min(1, x / 6 + 0.5)), [-3, 3]],
  ["hardSwish", (x) => lw.hardSwish(x), (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)), [-3, 3]],
  ["hardTanh", (x) => lw.hardTanh(x), (x) => Math.max(-1, Math.min(1, x)), [-1, 1]],
  ["logSigmoid", (x) => lw.logSigmoid(x), (x) => Math.log(sigmoid(x)), []],
  ["scaledTanh", (x) => lw.scaledTanh(x), (x) => 1.7159 * Math.tanh((2 * x) / 3), []],
  ["tanhShrink", (x) => lw.tanhShrink(x), (x) => x - Math.tanh(x), []],
  [
    "softShrink",
    (x) => lw.softShrink(x),
    (x) => Math.sign(x) * Math.max(0, Math.abs(x) - 0.5),
    [-0.5, 0.5],
  ],
  ["hardShrink", (x) => lw.hardShrink(x), (x) => (Math.abs(x) > 0.5 ? x : 0), [-0.5, 0.5]],
  ["thresholdedRelu", (x) => lw.thresholdedRelu(x), (x) => (x > 1 ? x : 0), [1]],
  ["threshold", (x) => lw.threshold(x, 0.5, 2), (x) => (x > 0.5 ? x : 2), [0.5]],
  ["squareplus", (x) => lw.squareplus(x), (x) => (x + Math.sqrt(x * x + 4)) / 2, []],
  [
    "sparsePlus",
    (x) => lw.sparsePlus(x),
    (x) => (x < -1 ? 0 : x > 1 ? x : (x + 1) ** 2 / 4),
    [-1, 1],
  ],
  [
    "sparseSigmoid",
    (x) => lw.sparseSigmoid(x),
    (x) => Math.max(0, Math.min(1, (x + 1) / 2)),
    [-1, 1],
  ],
  ["logCosh", (x) => lw.logCosh(x), (x) => Math.log(Math.cosh(x)), []],
  ["step", (x) => lw.step(x), (x) => Number(x > 0), [0]],
  ["exponential", exponential, Math.exp, []],
  ["clipByValue", (x) => lw.clipByValue(x, -1, 2), (x) => Math.max(-1, Math.min(2, x)), [-1, 2]],
  ["erf of erfinv", (x) => lw.erf(lw.erfinv(x.mul(0.24))), (x) => 0.24 * x, []],
];

onEachBackend("composed function", () => {
  const points = [...uniform(3, 61, -4, 4), 0, 0.1, -0.1];

  test.each(functions)("%s follows its formula", (_, f, formula) => {
    const x = Float32Array.from(points);
    expectClose(f(lw.tensor(x)).dataSync(), Array.from(x, formula), { rtol: 2e-6, atol: 3e-6 });
  });

  test.each(functions)("%s has the derivative of its formula", (_, f, formula, kinks) => {
    const x = Float32Array.from(
      points.filter((p) => kinks.every((kink) => Math.abs(p - kink) > 0.01)),
    );
    const h = 1e-5;
    const slopes = Array.from(x, (p) => (formula(p + h) - formula(p - h)) / (2 * h));
    expectClose(
      lw
        .grad((t) => f(t).sum())(x)
        .dataSync(),
      slopes,
      { rtol: 2e-5, atol: 2e-5 },
    );
  });

  test("extreme arguments stay finite, in value and gradient", () => {
    const x = [-1e4, -100, 100, 1e4];
    for (const f of [lw.elu, lw.selu, lw.logSigmoid, lw.logCosh, lw.mish, lw.swish, lw.softplus]) {
      const { value, grad } = lw.valueAndGrad((t) => f(t).sum())(x);
      expect(Number.isFinite(value.item()), f.name).toBe(true);
      expect([...grad.dataSync()].every(Number.isFinite), f.name).toBe(true);
    }
    expect(lw.logSigmoid([-1e4]).item()).toBe(-1e4);
    expect(lw.logCosh([100]).item()).toBeCloseTo(100 - Math.LN2, 4);
  });

  test("erfinv is infinite at the ends and NaN beyond, its slope too", () => {
    const x = [-1, 1, 0.5, -2];
    const { value, grad } = lw.valueAndGrad((t) => lw.erfinv(t).sum())(x.slice(0, 3));
    expect(value.item()).toBeNaN();
    expect([...grad.dataSync()].slice(0, 2)).toEqual([Infinity, Infinity]);
    expect(grad.dataSync()[2]).toBeCloseTo(1.1125, 3);
    const [low, high, middle, beyond] = lw.erfinv(x).dataSync();
    expect([low, high, beyond]).toEqual([-Infinity, Infinity, Number.NaN]);
    expect(middle).toBeCloseTo(0.476936, 5);
  });

  test("squaredDifference, prelu and sigmoidCrossEntropy take gradients in both arguments", () => {
    const a = lw.tensor(uniform(1, 12, -2, 2), [3, 4]);
    const b = lw.tensor(uniform(2, 4, -2, 2), [4]);
    expectGradient(lw.squaredDifference, [a, b]);
    expectGradient(lw.prelu, [a, b]);
    expectGradient(lw.sigmoidCrossEntropy, [a, lw.tensor(uniform(4, 12, -3, 3), [3, 4])]);
    const loss = lw.sigmoidCrossEntropy([0, 1, 0, 1], [-200, 200, 200, -200]);
    expect(loss.arraySync()).toEqual([0, 0, 200, 200]);
  });

  test("divNoNan is 0 where the divisor is, gradient too", () => {
    expect(lw.divNoNan([1, 2, 0], [2, 0, 0]).arraySync()).toEqual([0.5, 0, 0]);
    const [da, db] = lw.grads((a, b) => lw.divNoNan(a, b).sum())([
      [1, 2],
      [2, 0],
    ]);
    expect(da!.arraySync()).toEqual([0.5, 0]);
    expect(db!.arraySync()).toEqual([-0.25, 0]);
  });

  test("isClose treats NaN and infinities as NumPy does", () => {
    const a = [1, 1, NaN, 1, Infinity, Infinity, 1, Infinity];
    const b = [1 + 1e-6, 1.1, NaN, NaN, Infinity, -Infinity, Infinity, 1];
    const expected = [true, false, false, false, true, false, false, false];
    expect(lw.isClose(a, b).arraySync()).toEqual(expected);
    expect(lw.isClose([1], [1.05], 0.1).arraySync()).toEqual([true]);
    expect(lw.isClose([0], [0.05], 0, 0.1).arraySync()).toEqual([true]);
  });

  test("NaN passes through what limits values", () => {
    expect(lw.clipByValue([NaN], 0, 1).item()).toBeNaN();
    expect(lw.relu([NaN]).item()).toBeNaN();
    expect(lw.maximum([NaN], 1).item()).toBeNaN();
    expect(lw.minimum(1, [NaN]).item()).toBeNaN();
  });

  test("clipByValue limits int32 as well", () => {
    const x = lw.tensor(Int32Array.of(-5, 0, 5));
    expect(lw.clipByValue(x, -1, 2).arraySync()).toEqual([-1, 0, 2]);
  });
});

onEachBackend("derivative at a special point", () => {
  test("powers of 0", () => {
    const slope = (b: number): unknown =>
      lw
        .grad((x) => x.pow(b).sum())([0, -2])
        .arraySync();
    expect(slope(0)).toEqual([0, 0]);
    expect(slope(1)).toEqual([1, 1]);
    expect(slope(2)).toEqual([0, -4]);
    expect(slope(3)).toEqual([0, 12]);
    const second = lw.grad((x) =>
      lw
        .grad((y) => y.pow(2).sum())(x)
        .sum(),
    )([0, 3]);
    expect(second.arraySync()).toEqual([2, 2]);
    const exponent = lw
      .grad((b) => lw.pow([0, 2], b).sum())([0, 1])
      .arraySync() as number[];
    expect(exponent[0]).toBe(0);
    expect(exponent[1]).toBeCloseTo(2 * Math.LN2, 6);
  });

  test("kinks: 0 for abs, relu and the 1-norm; a half each for a tie of maximum", () => {
    expect(
      lw
        .grad((x) => x.abs().sum())([0])
        .item(),
    ).toBe(0);
    expect(
      lw
        .grad((x) => x.relu().sum())([0])
        .item(),
    ).toBe(0);
    expect(
      lw
        .grad((x) => x.norm(1))([0, -2])
        .arraySync(),
    ).toEqual([0, -1]);
    const [da, db] = lw.grads((a, b) => a.maximum(b).sum())([[2], [2]]);
    expect([da!.item(), db!.item()]).toEqual([0.5, 0.5]);
  });

  test("a tie of max shares its gradient, a product with zeros has the product of the others", () => {
    expect(
      lw
        .grad((x) => x.max())([3, 1, 3])
        .arraySync(),
    ).toEqual([0.5, 0, 0.5]);
    expect(
      lw
        .grad((x) => x.prod())([2, 0, 4])
        .arraySync(),
    ).toEqual([0, 8, 0]);
    expect(
      lw
        .grad((x) => x.prod())([0, 0, 4])
        .arraySync(),
    ).toEqual([0, 0, 0]);
    expect(
      lw
        .grad((x) => x.prod())([2, 3, 4])
        .arraySync(),
    ).toEqual([12, 8, 6]);
  });
});

describe("int32 arithmetic", () => {
  const int = (...values: number[]): lw.Tensor => lw.tensor(Int32Array.from(values));
  test("wraps around, divides downwards, and divides by 0 to 0", () => {
    expect(int(2147483647).add(1).item()).toBe(-2147483648);
    expect(int(65536).mul(65536).item()).toBe(0);
    expect(
      int(-7, 7, 7)
        .floorDiv(int(2, -2, 0))
        .arraySync(),
    ).toEqual([-4, -4, 0]);
    expect(
      int(-7, 7, 7)
        .mod(int(2, -2, 0))
        .arraySync(),
    ).toEqual([1, -1, 0]);
  });

  test("numbers take the dtype of the tensor", () => {
    expect(int(1, 2).mul(3).dtype).toBe("int32");
    expect(lw.sub(10, int(1, 2)).arraySync()).toEqual([9, 8]);
  });

  test("cast truncates, saturates, and makes NaN 0", () => {
    const x = lw.tensor([1.9, -1.9, NaN, 1e20, -1e20, 300.7]);
    expect(x.cast("int32").arraySync()).toEqual([1, -1, 0, 2147483647, -2147483648, 300]);
    expect(x.cast("uint8").arraySync()).toEqual([1, 0, 0, 255, 0, 255]);
    expect(x.cast("bool").arraySync()).toEqual([true, true, true, true, true, true]);
    expect(x.cast("uint8").cast("float32").mul(2).arraySync()).toEqual([2, 0, 0, 510, 0, 510]);
  });
});
