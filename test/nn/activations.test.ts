/** Activations: every name against its formula in float64, options, user functions, errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { grad } from "../../src/autodiff/gradient.js";
import {
  type ActivationName,
  activationFamily,
  registerActivation,
} from "../../src/nn/activations.js";
import * as composed from "../../src/ops/composed.js";
import * as elementwise from "../../src/ops/elementwise.js";
import * as softmaxOps from "../../src/ops/softmax.js";
import { tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
const selu = (x: number) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x));
/** erf by its Taylor series, which converges for these arguments. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
const clip = (x: number, low: number, high: number) => Math.min(Math.max(x, low), high);

/** What has tests of its own: it works along an axis, or needs options. */
const otherwise = ["softmax", "logSoftmax", "sparsemax", "glu", "threshold"] as const;

/** Keras 3's definitions. */
const formulas: {
  [Name in Exclude<ActivationName, (typeof otherwise)[number]>]: (x: number) => number;
} = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  relu6: (x) => clip(x, 0, 6),
  leakyRelu: (x) => (x > 0 ? x : 0.2 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  selu,
  celu: (x) => Math.max(x, 0) + Math.min(0, Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  sigmoid,
  hardSigmoid: (x) => clip(x / 6 + 0.5, 0, 1),
  logSigmoid: (x) => -softplus(-x),
  tanh: Math.tanh,
  hardTanh: (x) => clip(x, -1, 1),
  scaledTanh: (x) => 1.7159 * Math.tanh((2 * x) / 3),
  tanhShrink: (x) => x - Math.tanh(x),
  softShrink: (x) => Math.sign(x) * Math.max(Math.abs(x) - 0.5, 0),
  hardShrink: (x) => (Math.abs(x) > 0.5 ? x : 0),
  sparsePlus: (x) => (x <= -1 ? 0 : x < 1 ? (x + 1) ** 2 / 4 : x),
  sparseSigmoid: (x) => clip((x + 1) / 2, 0, 1),
  squareplus: (x) => (x + Math.sqrt(x * x + 4)) / 2,
  softplus,
  softsign: (x) => x / (1 + Math.abs(x)),
  swish: (x) => x * sigmoid(x),
  silu: (x) => x * sigmoid(x),
  hardSwish: (x) => x * clip(x / 6 + 0.5, 0, 1),
  hardSilu: (x) => x * clip(x / 6 + 0.5, 0, 1),
  mish: (x) => x * Math.tanh(softplus(x)),
  exponential: Math.exp,
  thresholdedRelu: (x) => (x > 1 ? x : 0),
};

/** The public functions that activations are made of, by the activation's name. */
const ops: Readonly<Record<string, unknown>> = { ...composed, ...elementwise, ...softmaxOps };

const xs = [-6.5, -3, -1.5, -1, -0.5, -0.25, 0, 0.125, 0.5, 0.75, 1, 1.25, 2.5, 3, 6, 7];
const get = (given: unknown) => activationFamily.get("dense layer", "activation", given);
const apply = (given: unknown) => get(given).apply(tensor(xs)).dataSync();

describe("formulas", () => {
  test.each(Object.entries(formulas))("%s", (name, f) => {
    expectClose(apply(name), xs.map(f), { rtol: 2e-6, atol: 4e-7 }, name);
  });

  test("every name is tested", () => {
    expect(Object.keys(activationFamily.make).sort()).toEqual(
      [...Object.keys(formulas), ...otherwise].sort(),
    );
  });

  test("softmax and logSoftmax sum to one along their axis", () => {
    const x = tensor([
      [1, 2, 1000],
      [-1, 0.5, 1000],
    ]);
    const rows = get("softmax").apply(x).arraySync() as number[][];
    expectClose(rows.flat(), [0, 0, 1, 0, 0, 1], { atol: 1e-7 });
    const columns = get({ className: "softmax", config: { axis: 0 } })
      .apply(x)
      .dataSync();
    const [p, q] = [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(-1.5))];
    expectClose(columns, [p, q, 0.5, 1 - p, 1 - q, 0.5], { rtol: 1e-6 });
    const logs = get({ className: "logSoftmax", config: { axis: 0 } })
      .apply(x)
      .dataSync();
    expectClose(logs, [p, q, 0.5, 1 - p, 1 - q, 0.5].map(Math.log), { rtol: 1e-5 });
  });

  test("sparsemax is the nearest distribution, along any axis", () => {
    const x = [
      [1, 2, 1.5],
      [0, 0, 0],
      // Far apart: all to the largest. And a tie of two.
      [-5, 900, 3],
      [2, 2, 0.5],
    ];
    // By hand: of [1, 2, 1.5] two stay, τ = (2 + 1.5 − 1) / 2 = 1.25.
    const third = 1 / 3;
    const want = [0, 0.75, 0.25, third, third, third, 0, 1, 0, 0.5, 0.5, 0];
    expectClose(get("sparsemax").apply(tensor(x)).dataSync(), want, { rtol: 1e-6 });
    const columns = tensor(x).transpose();
    const along0 = activationFamily.make.sparsemax({ axis: 0 }).apply(columns).transpose();
    expectClose(along0.dataSync(), want, { rtol: 1e-6 });
    // In the support of size k the derivative is δ − 1/k; weights 1, 2, 3 tell the outputs apart.
    const derivative = grad((z) => get("sparsemax").apply(z).mul([1, 2, 3]).sum());
    expectClose(derivative([[1, 2, 1.5]]).dataSync(), [0, -0.5, 0.5], { atol: 1e-6 });
  });

  test("glu gates the first half by the second", () => {
    const x = [
      [1, 2, 0, -1],
      [3, -4, 2, 50],
    ];
    const want = [0.5, 2 * sigmoid(-1), 3 * sigmoid(2), -4];
    expectClose(get("glu").apply(tensor(x)).dataSync(), want, { rtol: 1e-6 });
    const rows = activationFamily.make.glu({ axis: 0 }).apply(tensor(x));
    expectClose(
      rows.dataSync(),
      [1, 2, 0, -1].map((v, i) => v * sigmoid(x[1]![i]!)),
      { rtol: 1e-6, atol: 1e-7 },
    );
    expect(() => get("glu").apply(tensor([[1, 2, 3]]))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: glu: expected an even size at axis -1, got shape [1, 3]]`,
    );
  });

  test("options", () => {
    const { make } = activationFamily;
    expectClose(
      apply(make.relu({ maxValue: 2, negativeSlope: 0.5, threshold: 1 })),
      xs.map((x) => (x >= 1 ? Math.min(x, 2) : 0.5 * (x - 1))),
      {},
    );
    expectClose(
      apply(make.threshold({ threshold: 0.5, defaultValue: 20 })),
      xs.map((x) => (x > 0.5 ? x : 20)),
      {},
    );
    expect(() => get("threshold")).toThrow(/the option `threshold` is missing/);
    expectClose(
      apply(make.squareplus({ b: 1 })),
      xs.map((x) => (x + Math.sqrt(x * x + 1)) / 2),
      { rtol: 1e-6, atol: 2e-7 },
    );
    const tanhForm = (x: number) =>
      0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    expectClose(apply(make.gelu({ approximate: true })), xs.map(tanhForm), {
      rtol: 3e-6,
      atol: 1e-6,
    });
    expectClose(
      apply(make.leakyRelu({ alpha: 0.01 })),
      xs.map((x) => (x > 0 ? x : 0.01 * x)),
      { ulp: 1 },
    );
    expectClose(
      apply(make.elu({ alpha: 2 })),
      xs.map((x) => (x > 0 ? x : 2 * Math.expm1(x))),
      { rtol: 1e-6 },
    );
    expectClose(
      apply({ className: "thresholdedRelu", config: { theta: 2.5 } }),
      xs.map((x) => (x > 2.5 ? x : 0)),
      {},
    );
    expectClose(
      apply(make.softShrink({ threshold: 1 })),
      xs.map((x) => Math.sign(x) * Math.max(Math.abs(x) - 1, 0)),
      {},
    );
  });
});

describe("what else may be given", () => {
  test("a function, or a member", () => {
    expectClose(
      apply(elementwise.square),
      xs.map((x) => x * x),
      { ulp: 1 },
    );
    expectClose(
      apply(activationFamily.make.relu()),
      xs.map((x) => Math.max(x, 0)),
      {},
    );
  });

  test("a registered function can be written and read again", () => {
    registerActivation("squared", elementwise.square);
    const json = activationFamily.serialize(get(elementwise.square), "dense layer", "activation");
    expect(json).toEqual({ className: "squared", config: {} });
    expectClose(
      apply(json),
      xs.map((x) => x * x),
      { ulp: 1 },
    );
    expect(() => registerActivation("relu", elementwise.square)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: register activation: "relu" is built in]`,
    );
  });

  test("a built-in function, or what makes one, is the activation of its name", () => {
    const named = (given: unknown) =>
      activationFamily.serialize(get(given), "dense layer", "activation");
    // swish has two names, of which the first is written; linear is no op.
    const { linear, silu: _, hardSilu: __, threshold: ___, ...makers } = activationFamily.make;
    for (const [name, maker] of Object.entries({ linear, ...makers })) {
      expect(named(maker), name).toEqual(named(name));
      expect(apply(maker), name).toEqual(apply(name));
    }
    for (const name of Object.keys(makers)) {
      expect(named(ops[name]), name).toEqual(named(name));
      expect(apply(ops[name]), name).toEqual(apply(name));
    }
  });

  test("mistakes are named", () => {
    expect(() => get("leaky_relu")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`activation\` to be the name of a known activation, got "leaky_relu"; did you mean "leakyRelu"?]`,
    );
    expect(() => get("sigmod")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`activation\` to be the name of a known activation, got "sigmod"; did you mean "sigmoid"?]`,
    );
    expect(() =>
      get({ className: "gelu", config: { approx: true } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: activation gelu: unknown option \`approx\`; the options are approximate]`,
    );
    expect(() =>
      get({ className: "elu", config: { alpha: "1" } }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: activation elu: expected \`alpha\` to be a number, got "1"]`,
    );
    expect(() => get(true)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`activation\` to be the name of an activation, a function, or { className, config }, got true]`,
    );
    const own = get((x: never) => x);
    expect(() =>
      activationFamily.serialize(own, 'dense layer "d"', "activation"),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer "d": \`activation\` is an activation of your own without a registered name, so it can't be written to a configuration; registerActivation() gives it one]`,
    );
  });
});
