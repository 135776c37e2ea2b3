/** Losses: every row against its formula in float64, its gradient, its shapes and names. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import { trace } from "../../src/backend/run.js";
import { ArgumentError, ShapeError } from "../../src/errors.js";
import * as losses from "../../src/nn/losses.js";
import { weightedMean } from "../../src/nn/weighting.js";
import { sigmoid } from "../../src/ops/elementwise.js";
import { softmax } from "../../src/ops/softmax.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

type Row = number[];
type Formula = (t: Row, p: Row) => number;

const mean = (xs: Row): number => xs.reduce((a, b) => a + b, 0) / xs.length;
const total = (xs: Row): number => xs.reduce((a, b) => a + b, 0);
const pairs = (t: Row, p: Row, f: (t: number, p: number) => number): Row =>
  t.map((value, i) => f(value, p[i]!));
const clip = (x: number, low = 1e-7, high = 1 - 1e-7): number => Math.min(Math.max(x, low), high);
const bce = (t: number, p: number): number =>
  -(t * Math.log(clip(p)) + (1 - t) * Math.log(1 - clip(p)));
const normalized = (p: Row): Row => p.map((x) => clip(x / total(p)));
const length = (x: Row): number => Math.sqrt(total(x.map((v) => v * v)));
const probabilitiesOf = (z: Row): Row => {
  const top = Math.max(...z);
  const e = z.map((x) => Math.exp(x - top));
  return e.map((x) => x / total(e));
};

/** Which labels and predictions a loss is tried with. */
type Kind = "numbers" | "binary" | "classes" | "positive";

interface Case {
  readonly loss: losses.Loss;
  readonly kind: Kind;
  readonly formula: Formula;
  /** Its gradient jumps somewhere, so differences are no reference everywhere. */
  readonly kinks?: true;
}

const cases: Record<string, Case> = {
  meanSquaredError: {
    loss: losses.meanSquaredError(),
    kind: "numbers",
    formula: (t, p) => mean(pairs(t, p, (a, b) => (a - b) ** 2)),
  },
  meanAbsoluteError: {
    loss: losses.meanAbsoluteError(),
    kind: "numbers",
    formula: (t, p) => mean(pairs(t, p, (a, b) => Math.abs(a - b))),
    kinks: true,
  },
  meanAbsolutePercentageError: {
    loss: losses.meanAbsolutePercentageError(),
    kind: "positive",
    formula: (t, p) => 100 * mean(pairs(t, p, (a, b) => Math.abs((a - b) / a))),
    kinks: true,
  },
  meanSquaredLogarithmicError: {
    loss: losses.meanSquaredLogarithmicError(),
    kind: "positive",
    formula: (t, p) => mean(pairs(t, p, (a, b) => (Math.log1p(a) - Math.log1p(b)) ** 2)),
  },
  huber: {
    loss: losses.huber({ delta: 0.4 }),
    kind: "numbers",
    formula: (t, p) =>
      mean(
        pairs(t, p, (a, b) => {
          const e = Math.abs(a - b);
          return e <= 0.4 ? 0.5 * e * e : 0.4 * e - 0.08;
        }),
      ),
  },
  logCosh: {
    loss: losses.logCosh(),
    kind: "numbers",
    formula: (t, p) => mean(pairs(t, p, (a, b) => Math.log(Math.cosh(b - a)))),
  },
  poisson: {
    loss: losses.poisson(),
    kind: "positive",
    formula: (t, p) => mean(pairs(t, p, (a, b) => b - a * Math.log(b + 1e-7))),
  },
  cosineSimilarity: {
    loss: losses.cosineSimilarity(),
    kind: "numbers",
    formula: (t, p) => -total(pairs(t, p, (a, b) => a * b)) / (length(t) * length(p)),
  },
  binaryCrossentropy: {
    loss: losses.binaryCrossentropy(),
    kind: "binary",
    formula: (t, p) => mean(pairs(t, p, bce)),
  },
  "binaryCrossentropy, smoothed": {
    loss: losses.binaryCrossentropy({ labelSmoothing: 0.2 }),
    kind: "binary",
    formula: (t, p) => mean(pairs(t, p, (a, b) => bce(0.8 * a + 0.1, b))),
  },
  binaryFocalCrossentropy: {
    loss: losses.binaryFocalCrossentropy({ applyClassBalancing: true }),
    kind: "binary",
    formula: (t, p) =>
      mean(
        pairs(t, p, (a, b) => {
          const ofLabel = a * b + (1 - a) * (1 - b);
          return (a * 0.25 + (1 - a) * 0.75) * (1 - ofLabel) ** 2 * bce(a, b);
        }),
      ),
  },
  hinge: {
    loss: losses.hinge(),
    kind: "binary",
    formula: (t, p) => mean(pairs(t, p, (a, b) => Math.max(1 - (2 * a - 1) * b, 0))),
  },
  squaredHinge: {
    loss: losses.squaredHinge(),
    kind: "binary",
    formula: (t, p) => mean(pairs(t, p, (a, b) => Math.max(1 - (2 * a - 1) * b, 0) ** 2)),
  },
  categoricalCrossentropy: {
    loss: losses.categoricalCrossentropy(),
    kind: "classes",
    formula: (t, p) => -total(pairs(t, normalized(p), (a, b) => a * Math.log(b))),
  },
  "categoricalCrossentropy, smoothed": {
    loss: losses.categoricalCrossentropy({ labelSmoothing: 0.3 }),
    kind: "classes",
    formula: (t, p) =>
      -total(pairs(t, normalized(p), (a, b) => (0.7 * a + 0.3 / t.length) * Math.log(b))),
  },
  categoricalFocalCrossentropy: {
    loss: losses.categoricalFocalCrossentropy({ gamma: 3 }),
    kind: "classes",
    formula: (t, p) =>
      -total(pairs(t, normalized(p), (a, b) => 0.25 * (1 - b) ** 3 * a * Math.log(b))),
  },
  categoricalHinge: {
    loss: losses.categoricalHinge(),
    kind: "classes",
    formula: (t, p) => {
      const others = Math.max(...pairs(t, p, (a, b) => (1 - a) * b));
      return Math.max(others - total(pairs(t, p, (a, b) => a * b)) + 1, 0);
    },
    kinks: true,
  },
  kullbackLeiblerDivergence: {
    loss: losses.kullbackLeiblerDivergence(),
    kind: "binary",
    formula: (t, p) =>
      total(pairs(t, p, (a, b) => clip(a, 1e-7, 1) * Math.log(clip(a, 1e-7, 1) / b))),
  },
  dice: {
    loss: losses.dice({ axis: -1 }),
    kind: "binary",
    formula: (t, p) => 1 - (2 * total(pairs(t, p, (a, b) => a * b))) / (total(t) + total(p) + 1e-7),
  },
  tversky: {
    loss: losses.tversky({ alpha: 0.3, beta: 0.7, axis: [1] }),
    kind: "binary",
    formula: (t, p) => {
      const hit = total(pairs(t, p, (a, b) => a * b));
      const fp = total(pairs(t, p, (a, b) => (1 - a) * b));
      const fn = total(pairs(t, p, (a, b) => a * (1 - b)));
      return 1 - hit / (hit + 0.3 * fp + 0.7 * fn + 1e-7);
    },
  },
};

const rows = 6;
const columns = 4;

function sample(kind: Kind): { t: Row[]; p: Row[] } {
  const range: Record<Kind, [number, number]> = {
    numbers: [-1.5, 1.5],
    positive: [0.2, 3],
    binary: [0.05, 0.95],
    classes: [0.05, 0.95],
  };
  const p = uniform(3, rows * columns, ...range[kind]);
  const given = uniform(4, rows * columns, ...range[kind]);
  const table = (f: (r: number, c: number) => number): Row[] =>
    Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => f(r, c)));
  const at = (r: number, c: number): number => r * columns + c;
  return {
    p: table((r, c) => p[at(r, c)]!),
    t: table((r, c) =>
      kind === "classes"
        ? Number(c === (r * 5) % columns)
        : kind === "binary"
          ? Number(given[at(r, c)]! > 0.5)
          : given[at(r, c)]!,
    ),
  };
}

describe("values and gradients", () => {
  test.each(Object.keys(cases))("%s", (name) => {
    const { loss, kind, formula, kinks } = cases[name]!;
    const { t, p } = sample(kind);
    const got = loss(tensor(t), tensor(p));
    expect(got.shape).toEqual([rows]);
    const want = t.map((row, i) => formula(row, p[i]!));
    expectClose(got.dataSync(), want, { rtol: 3e-6, atol: 1e-6 }, name);
    if (!kinks) expectGradient((x) => loss(tensor(t), x), [tensor(p)]);
  });

  test("every loss is among them", () => {
    const tested = new Set(Object.keys(cases).map((name) => name.split(",")[0]!));
    for (const name of ["sparseCategoricalCrossentropy", "maximumAPosteriori"]) tested.add(name); // below
    expect([...tested].sort()).toEqual(losses.lossNames().sort());
  });
});

describe("sparse categorical cross-entropy", () => {
  const z = uniform(8, 5 * 3, -4, 4);
  const logits = leaf(z, [5, 3], "float32");
  const labels = [2, 0, 1, 1, 2];
  const want = labels.map((label, r) => {
    const p = probabilitiesOf([...z.subarray(r * 3, r * 3 + 3)]);
    return -Math.log(p[label]!);
  });

  test.each([
    ["int32", leaf(Int32Array.from(labels), [5], "int32")],
    ["uint8", leaf(Uint8Array.from(labels), [5], "uint8")],
    ["float32", tensor(labels)],
    ["a column", tensor(labels, [5, 1])],
  ])("labels as %s", (_, y) => {
    const loss = losses.sparseCategoricalCrossentropy();
    expectClose(loss(y, softmax(logits)).dataSync(), want, { rtol: 1e-6, atol: 1e-7 });
    const fromLogits = losses.sparseCategoricalCrossentropy({ fromLogits: true });
    expectClose(fromLogits(y, logits).dataSync(), want, { rtol: 1e-6, atol: 1e-7 });
    // Probabilities of unknown origin.
    const known = leaf(softmax(logits).dataSync().slice(), [5, 3], "float32");
    expectClose(loss(y, known).dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("ignoreClass counts for nothing, in the mean and in the gradient", () => {
    const loss = losses.sparseCategoricalCrossentropy({ fromLogits: true, ignoreClass: -1 });
    const y = leaf(Int32Array.of(2, -1, 1, -1, 2), [5], "int32");
    const values = loss(y, logits);
    expectClose(values.dataSync(), [want[0]!, 0, want[2]!, 0, want[4]!], { rtol: 1e-6 });
    const average = weightedMean(loss(y, logits), null).item();
    expectClose([average], [(want[0]! + want[2]! + want[4]!) / 3], { rtol: 1e-6 });
    const gradient = (() => {
      const step = trace({
        name: "test",
        inputs: [{ name: "z", shape: [5, 3], dtype: "float32" }],
        body: ([x]) => gradientsOf(weightedMean(loss(y, x!), null), [x!]),
      });
      return step.runSync([z])[0]!;
    })();
    expectClose(gradient.subarray(3, 6) as Float32Array, [0, 0, 0], {});
    expect(gradient[0]).not.toBe(0);
  });

  test("labels of the wrong shape are an error with advice", () => {
    const loss = losses.sparseCategoricalCrossentropy();
    expect(() => loss(tensor([[1, 0, 0]]), softmax(logits))).toThrow(/categoricalCrossentropy/);
  });
});

describe("maximum a posteriori", () => {
  const s = uniform(9, 4 * 3, -6, 0);
  const labels = [2, 0, 1, 1];
  const want = (rejection: number) =>
    labels.map((label, r) => {
      const row = [...s.subarray(r * 3, r * 3 + 3)];
      return Math.log(Math.exp(-rejection) + total(row.map((v) => Math.exp(v)))) - row[label]!;
    });

  test.each([0, 1, 12])("against the paper's formula, rejection %s", (rejection) => {
    const loss = losses.maximumAPosteriori({ rejection });
    const scores = leaf(s, [4, 3], "float32");
    expectClose(loss(tensor(labels), scores).dataSync(), want(rejection), { rtol: 1e-6 });
    // Scores are found behind a softmax, and labels may be a column.
    const behind = loss(tensor(labels, [4, 1]), softmax(scores));
    expectClose(behind.dataSync(), want(rejection), { rtol: 1e-6 });
    expectGradient((x) => loss(tensor(labels), x!), [scores]);
  });

  test("labels of the wrong shape are an error", () => {
    const loss = losses.maximumAPosteriori();
    expect(() => loss(tensor([[1, 0, 0]]), leaf(s, [4, 3], "float32"))).toThrow(ShapeError);
  });
});

describe("stability", () => {
  const extreme = tensor([
    [200, -200],
    [-200, 200],
  ]);

  test("softmax followed by cross-entropy is computed from the logits", () => {
    const labels = tensor([
      [0, 1],
      [0, 1],
    ]);
    const value = losses.categoricalCrossentropy()(labels, softmax(extreme));
    expect([...value.dataSync()]).toEqual([400, 0]);
    const sparse = losses.sparseCategoricalCrossentropy()(tensor([1, 1]), softmax(extreme));
    expect([...sparse.dataSync()]).toEqual([400, 0]);
  });

  test("sigmoid followed by binary cross-entropy too, also behind a reshape", () => {
    const labels = tensor([
      [0, 0],
      [1, 1],
    ]);
    const want = [100, 100];
    expect([...losses.binaryCrossentropy()(labels, sigmoid(extreme)).dataSync()]).toEqual(want);
    const reshaped = sigmoid(extreme.reshape([4])).reshape([2, 2]);
    expect([...losses.binaryCrossentropy()(labels, reshaped).dataSync()]).toEqual(want);
  });

  test("probabilities of exactly 0 and 1 give finite losses", () => {
    const p = tensor([[0, 1]]);
    for (const loss of [losses.binaryCrossentropy(), losses.categoricalCrossentropy()]) {
      const value = loss(tensor([[1, 0]]), p).item();
      expect(Number.isFinite(value)).toBe(true);
      expect(value).toBeGreaterThan(10);
    }
  });
});

describe("shapes", () => {
  test("a trailing dimension of 1 is added to labels or removed", () => {
    const mse = losses.meanSquaredError();
    const p = tensor([[1], [2]]);
    expect([...mse(tensor([0, 0]), p).dataSync()]).toEqual([1, 4]);
    expect([...mse(tensor([[0], [0]]), p).dataSync()]).toEqual([1, 4]);
    expect(() => mse(tensor([[0, 0]]), p)).toThrow(ShapeError);
    expect(() => mse(tensor([0, 0, 0]), p)).toThrow(
      /labels \[3\] do not match predictions \[2, 1\]/,
    );
  });

  test("sequences keep a value per position", () => {
    const value = losses.meanSquaredError()(tensor([[[1], [2]]]), tensor([[[0], [0]]]));
    expect(value.shape).toEqual([1, 2]);
    expect([...value.dataSync()]).toEqual([1, 4]);
  });
});

describe("axis", () => {
  test("dice and tversky take the whole batch as one mask by default, as Keras does", () => {
    // The example of Keras' documentation, and its results.
    const t = tensor([1, 1, 0, 0, 1, 1, 0, 0], [2, 2, 2, 1]);
    const p = tensor([0, 1, 0, 1, 0.4, 0, 0, 0.9], [2, 2, 2, 1]);
    const whole = losses.dice()(t, p);
    expect(whole.shape).toEqual([]);
    expectClose([whole.item()], [0.6164384], { rtol: 1e-6 });
    const each = losses.dice({ axis: [1, 2, 3] })(t, p);
    expectClose(each.dataSync(), [0.5, 0.75757575], { rtol: 1e-6 });
    // With halves, Tversky's index is Dice's coefficient.
    expectClose([losses.tversky()(t, p).item()], [0.6164384], { rtol: 1e-6 });
    expectClose(
      losses
        .tversky({ axis: [1, 2, 3] })(t, p)
        .dataSync(),
      [0.5, 0.75757575],
      {
        rtol: 1e-6,
      },
    );
    // The value of the batch weighs as all of it does.
    expectClose([weightedMean(whole, tensor([1, 3])).item()], [2 * 0.6164384], {
      rtol: 1e-6,
    });
    expectGradient((x) => losses.dice()(t, x), [p]);
  });

  const t = uniform(31, 24, 0.05, 0.95);
  const p = uniform(32, 24, 0.05, 0.95);
  const classes = [0, 1, 1, 0, 0, 1, 1, 1];
  const oneHot = Float32Array.from({ length: 24 }, (_, i) =>
    // [batch 2, classes 3, places 4]; label 2 never occurs.
    Number(classes[Math.floor(i / 12) * 4 + (i % 4)] === Math.floor(i / 4) % 3),
  );

  test.each([
    ["cosineSimilarity", losses.cosineSimilarity, t],
    ["binaryCrossentropy", losses.binaryCrossentropy, t],
    ["binaryFocalCrossentropy", losses.binaryFocalCrossentropy, t],
    ["categoricalCrossentropy", losses.categoricalCrossentropy, oneHot],
    ["categoricalFocalCrossentropy", losses.categoricalFocalCrossentropy, oneHot],
  ] as const)("%s along axis 1 is that of the moved axis", (_, make, labels) => {
    const [y, x] = [tensor(labels, [2, 3, 4]), tensor(p, [2, 3, 4])];
    const got = make({ axis: 1 })(y, x);
    expect(got.shape).toEqual([2, 4]);
    const want = make()(y.transpose([0, 2, 1]), x.transpose([0, 2, 1]));
    expectClose(got.dataSync(), [...want.dataSync()], { rtol: 1e-6 });
  });

  test("sparseCategoricalCrossentropy takes class indices without the axis", () => {
    const x = tensor(p, [2, 3, 4]);
    const got = losses.sparseCategoricalCrossentropy({ axis: 1 })(tensor(classes, [2, 4]), x);
    const want = losses.categoricalCrossentropy({ axis: 1 })(tensor(oneHot, [2, 3, 4]), x);
    expectClose(got.dataSync(), [...want.dataSync()], { rtol: 1e-6 });
  });
});

describe("how a loss is named", () => {
  test("by name, alias, function, factory or an object with options", () => {
    const get = (given: losses.LossIdentifier) =>
      losses.lossConfig(losses.resolveLoss("compile()", given));
    expect(get("mse")).toEqual({ name: "meanSquaredError", options: {} });
    expect(get(losses.meanSquaredError as never)?.name).toBe("meanSquaredError");
    expect(get({ name: "huber", delta: 2 })).toEqual({ name: "huber", options: { delta: 2 } });
    expect(get(losses.huber({ delta: 3 }))).toEqual({ name: "huber", options: { delta: 3 } });
    const own = (t: Tensor, p: Tensor): Tensor => t.sub(p).abs().mean(-1);
    expect(losses.resolveLoss("compile()", own)).toBe(own);
  });

  test("called with labels and predictions it computes", () => {
    expect(losses.meanSquaredError([1, 2], [1, 4]).arraySync()).toEqual([0, 4]);
    expect(losses.huber([[0, 0]], [[3, 0]], { delta: 2 }).arraySync()).toEqual([2]);
  });

  test("options and reduction are what a file has of it", () => {
    const made = losses.huber({ reduction: "sum" });
    expect(losses.lossConfig(made)).toEqual({
      name: "huber",
      options: { delta: 1, reduction: "sum" },
    });
  });

  test("mistakes are named with the nearest name", () => {
    const message = (f: () => unknown): string => {
      try {
        f();
      } catch (error) {
        expect(error).toBeInstanceOf(ArgumentError);
        return (error as Error).message;
      }
      return "no error";
    };
    expect([
      message(() => losses.resolveLoss("compile()", "meanSquareError")),
      message(() => losses.resolveLoss("compile()", "sparse_categorical_crossentropy")),
      message(() => losses.resolveLoss("compile()", 3 as never)),
      message(() => losses.huber({ delt: 1 } as never)),
      message(() => losses.binaryCrossentropy({ labelSmoothing: 2 })),
      message(() => losses.binaryCrossentropy({ fromLogits: 1 as never })),
      message(() => losses.dice({ reduction: "none" as never })),
      message(() => losses.dice({ axis: [0.5] })),
      message(() => losses.cosineSimilarity({ axis: [0] as never })),
    ]).toMatchInlineSnapshot(`
      [
        "compile(): there is no loss named "meanSquareError"; did you mean "meanSquaredError"?",
        "compile(): there is no loss named "sparse_categorical_crossentropy"; did you mean "sparseCategoricalCrossentropy"?",
        "compile(): expected the name of a loss or a function, got 3",
        "loss huber: unknown option \`delt\`; did you mean \`delta\`?",
        "loss binaryCrossentropy: expected \`labelSmoothing\` to be a number from 0 to 1, got 2",
        "loss binaryCrossentropy: expected \`fromLogits\` to be true or false, got 1",
        "loss dice: expected \`reduction\` to be one of "sumOverBatchSize", "mean", "sum", "meanWithSampleWeight", got "none"",
        "loss dice: expected \`axis\` to be an integer, got 0.5",
        "loss cosineSimilarity: expected \`axis\` to be an integer, got [0]",
      ]
    `);
  });
});
