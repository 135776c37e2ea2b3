/** Metrics: streamed over batches against float64 computations over all samples at once. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { meanSquaredError } from "../../src/nn/losses.js";
import * as confusion from "../../src/nn/metrics/confusion.js";
import * as curves from "../../src/nn/metrics/curves.js";
import * as averages from "../../src/nn/metrics/mean.js";
import type { Metric } from "../../src/nn/metrics/metric.js";
import * as metrics from "../../src/nn/metrics/table.js";
import { softmax } from "../../src/ops/softmax.js";
import { type TensorLike, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { integers, uniform } from "../helpers/random.js";

const count = 60;
const classes = 4;
const labels = integers(1, count, 0, classes);
/** Predictions that favour the label, but not always. */
const scores = Array.from({ length: count }, (_, i) => {
  const row = [...uniform(100 + i, classes, 0, 1)];
  row[labels[i]!]! += 0.4;
  const sum = row.reduce((a, b) => a + b, 0);
  return row.map((x) => x / sum);
});
const oneHot = Array.from(labels, (l) =>
  Array.from({ length: classes }, (_, c) => Number(c === l)),
);
const binary = integers(2, count, 0, 2);
const chances = uniform(3, count, 0, 1).map((x, i) => (x + 0.6 * binary[i]!) / 1.6);
const weights = uniform(5, count, 0.1, 2);

/** Feeds a metric in batches of different size. */
function stream(
  metric: Metric,
  t: readonly unknown[] | Int32Array,
  p: readonly unknown[] | Float32Array,
  w?: Float32Array,
): number[] {
  for (const [from, to] of [
    [0, 7],
    [7, 32],
    [32, count],
  ] as const) {
    const part = (x: readonly unknown[] | Int32Array | Float32Array) =>
      tensor(Array.from(x.slice(from, to) as never) as never);
    metric.updateState(part(t), part(p), w ? part(w) : null);
  }
  return [...metric.result().dataSync()];
}

/** A metric's result on one batch. */
function once(metric: Metric, t: TensorLike, p: TensorLike, w?: TensorLike): number {
  metric.updateState(t, p, w);
  return metric.result().item();
}

const argMax = (row: number[]): number => row.indexOf(Math.max(...row));
const predicted = scores.map(argMax);
const weighted = (values: number[], w = Array.from(weights)): number =>
  values.reduce((sum, v, i) => sum + v * w[i]!, 0) / w.reduce((a, b) => a + b, 0);
const plain = (values: number[]): number =>
  weighted(
    values,
    values.map(() => 1),
  );

describe("accuracies", () => {
  const right = predicted.map((p, i) => Number(p === labels[i]));
  const sides = Array.from(chances, (p, i) => Number(Number(p > 0.5) === binary[i]));
  const inTop = (k: number): number[] =>
    scores.map((row, i) => Number(row.filter((x) => x > row[labels[i]!]!).length < k));

  test.each<[string, Metric, unknown[] | Int32Array, unknown[] | Float32Array, number[]]>([
    ["sparseCategoricalAccuracy", averages.sparseCategoricalAccuracy(), labels, scores, right],
    ["categoricalAccuracy", averages.categoricalAccuracy(), oneHot, scores, right],
    ["binaryAccuracy", averages.binaryAccuracy(), binary, chances, sides],
    ["sparseTopK", averages.sparseTopKCategoricalAccuracy({ k: 2 }), labels, scores, inTop(2)],
    ["topK", averages.topKCategoricalAccuracy({ k: 3 }), oneHot, scores, inTop(3)],
  ])("%s", (_, metric, t, p, values) => {
    expectClose(stream(metric, t, p), [plain(values)], { ulp: 2 });
    metric.resetState();
    expectClose(stream(metric, t, p, weights), [weighted(values)], { rtol: 1e-6 });
  });

  test("exact accuracy, by the example of Keras' documentation", () => {
    const [t, p] = [
      [[1], [2], [3], [4]],
      [[0], [2], [3], [4]],
    ];
    expect(once(averages.accuracy(), t, p)).toBe(0.75);
    expect(once(averages.accuracy(), t, p, [1, 1, 0, 0])).toBe(0.5);
  });

  test("the top k among predictions that are infinite or NaN", () => {
    const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
    // k = 2, and label 0 in each row.
    const rows: [number[], 0 | 1][] = [
      [[1, -inf, 2, -inf], 1],
      [[1, -inf, 2, 3], 0],
      [[1, inf, -inf, -inf], 1],
      [[1, inf, inf, -inf], 0],
      // NaN may be anything, so it is no reason to be among the best; nor are infinite labels.
      [[1, nan, 0, 0], 1],
      [[1, nan, 2, 0], 0],
      [[-inf, -inf, -inf, -inf], 0],
      [[nan, 0, 0, 0], 0],
    ];
    for (const [row, want] of rows) {
      const sparse = averages.sparseTopKCategoricalAccuracy({ k: 2 });
      sparse.updateState([0], [row]);
      const full = averages.topKCategoricalAccuracy({ k: 2 });
      full.updateState([[1, 0, 0, 0]], [row]);
      expect([sparse.result().item(), full.result().item()], `${row}`).toEqual([want, want]);
    }
  });

  test("softmax predictions are compared by their logits", () => {
    const metric = averages.sparseCategoricalAccuracy();
    // Softmax of both rows is [1, 1e-44…]: only the logits tell which is larger.
    metric.updateState(
      tensor([0, 1]),
      softmax(
        tensor([
          [200, 0],
          [0, 200],
        ]),
      ),
    );
    expect(metric.result().item()).toBe(1);
  });

  test("`accuracy` is settled by shapes, as in Keras", () => {
    const kind = (t: number[], p: number[]) =>
      metrics.resolveMetric("compile()", "accuracy", t, p).className;
    expect(kind([8], [8, 1])).toBe("binaryAccuracy");
    expect(kind([8, 1], [8, 1])).toBe("binaryAccuracy");
    expect(kind([8], [8, 10])).toBe("sparseCategoricalAccuracy");
    expect(kind([8, 1], [8, 10])).toBe("sparseCategoricalAccuracy");
    expect(kind([8, 10], [8, 10])).toBe("categoricalAccuracy");
    expect(kind([8, 5], [8, 5, 10])).toBe("sparseCategoricalAccuracy");
    expect(metrics.resolveMetric("compile()", "acc", [8], [8, 1]).name).toBe("acc");
    expect(metrics.resolveMetric("compile()", "ce", [8], [8, 3]).className).toBe(
      "sparseCategoricalCrossentropy",
    );
  });
});

/** Weighted counts of right and wrong above a threshold. */
function counts(threshold: number, w: ArrayLike<number> = new Array(count).fill(1)) {
  const c = { tp: 0, fp: 0, tn: 0, fn: 0 };
  for (let i = 0; i < count; i++) {
    const positive = chances[i]! > threshold;
    c[positive ? (binary[i] ? "tp" : "fp") : binary[i] ? "fn" : "tn"] += w[i]!;
  }
  return c;
}

describe("precision, recall and counts", () => {
  test.each([0.5, 0.3])("at %d", (threshold) => {
    const { tp, fp, tn, fn } = counts(threshold);
    const o = { thresholds: threshold };
    expectClose(stream(confusion.precision(o), binary, chances), [tp / (tp + fp)], { ulp: 2 });
    expectClose(stream(confusion.recall(o), binary, chances), [tp / (tp + fn)], { ulp: 2 });
    expect(stream(confusion.truePositives(o), binary, chances)).toEqual([tp]);
    expect(stream(confusion.falsePositives(o), binary, chances)).toEqual([fp]);
    expect(stream(confusion.trueNegatives(o), binary, chances)).toEqual([tn]);
    expect(stream(confusion.falseNegatives(o), binary, chances)).toEqual([fn]);
  });

  test("weighted, at several thresholds", () => {
    const thresholds = [0.2, 0.5, 0.8];
    const want = thresholds.map((t) => {
      const { tp, fp } = counts(t, weights);
      return tp / (tp + fp);
    });
    const got = stream(confusion.precision({ thresholds }), binary, chances, weights);
    expectClose(got, want, { rtol: 1e-6 });
  });

  test("of one class, and of the top k", () => {
    const wanted = predicted.map((_, i) => ({ hit: scores[i]![2]! > 0.5, is: labels[i] === 2 }));
    const tp = wanted.filter(({ hit, is }) => hit && is).length;
    const positives = wanted.filter(({ is }) => is).length;
    expectClose(stream(confusion.recall({ classId: 2 }), labels, scores), [tp / positives], {
      ulp: 2,
    });
    // With the largest prediction alone as positive, precision of all classes is the accuracy.
    const accuracy = plain(predicted.map((p, i) => Number(p === labels[i])));
    expectClose(stream(confusion.precision({ topK: 1 }), labels, scores), [accuracy], { ulp: 2 });
  });

  test("of the top k are k, even where predictions are equal", () => {
    const half = [0.5, 0.5, 0.5, 0.5];
    const rows = { t: [[0, 0, 1, 0]], p: [half] };
    expect(once(confusion.recall({ topK: 2 }), rows.t, rows.p)).toBe(0);
    expect(once(confusion.recall({ topK: 3 }), rows.t, rows.p)).toBe(1);
    expect(once(confusion.falsePositives({ topK: 1 }), [[0, 0, 0, 0]], rows.p)).toBe(1);
    const places = {
      t: [
        [
          [0, 1, 0, 0],
          [0, 0, 0, 1],
        ],
      ],
      p: [[half, half]],
    };
    expectClose([once(confusion.precision({ topK: 2 }), places.t, places.p)], [1 / 4], { ulp: 2 });
    expect(once(confusion.precision({ topK: 9 }), rows.t, rows.p)).toBe(0.25);
    // A threshold still holds.
    expect(once(confusion.precision({ topK: 2, thresholds: 0.6 }), rows.t, rows.p)).toBe(0);
  });

  test("without positives they are 0, not NaN", () => {
    const metric = confusion.precision();
    metric.updateState([0, 0], [0.1, 0.2]);
    expect(metric.result().item()).toBe(0);
  });
});

describe("areas under curves", () => {
  test("ROC approaches the share of pairs in the right order", () => {
    let [right, all] = [0, 0];
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < count; j++) {
        if (binary[i] !== 1 || binary[j] !== 0) continue;
        all++;
        right += chances[i]! > chances[j]! ? 1 : 0;
      }
    }
    const [auc] = stream(metrics.auc({ numThresholds: 2000 }), binary, chances);
    expect(Math.abs(auc! - right / all)).toBeLessThan(2e-3);
  });

  test.each(["ROC", "PR"] as const)("%s with few thresholds, by Keras' sums", (curve) => {
    const thresholds = [-1e-7, 0.25, 0.5, 0.75, 1 + 1e-7];
    const points = thresholds.map((t) => counts(t));
    const n = points.length;
    const divide = (a: number, b: number): number => (b === 0 ? 0 : a / b);
    for (const method of ["interpolation", "minoring", "majoring"] as const) {
      let want = 0;
      if (curve === "PR" && method === "interpolation") {
        for (let i = 0; i < n - 1; i++) {
          const [a, b] = [points[i]!, points[i + 1]!];
          const [pa, pb] = [a.tp + a.fp, b.tp + b.fp];
          const slope = divide(a.tp - b.tp, Math.max(pa - pb, 0));
          const intercept = b.tp - slope * pb;
          const ratio = pa > 0 && pb > 0 ? pa / pb : 1;
          want += divide(
            slope * (a.tp - b.tp + intercept * Math.log(ratio)),
            Math.max(b.tp + b.fn, 0),
          );
        }
      } else {
        const xy = points.map(({ tp, fp, tn, fn }) =>
          curve === "ROC"
            ? [divide(fp, fp + tn), divide(tp, tp + fn)]
            : [divide(tp, tp + fn), divide(tp, tp + fp)],
        );
        for (let i = 0; i < n - 1; i++) {
          const [[x0, y0], [x1, y1]] = [xy[i]!, xy[i + 1]!] as [[number, number], [number, number]];
          const height =
            method === "interpolation"
              ? (y0 + y1) / 2
              : method === "minoring"
                ? Math.min(y0, y1)
                : Math.max(y0, y1);
          want += (x0 - x1) * height;
        }
      }
      const metric = metrics.auc({ curve, numThresholds: 5, summationMethod: method });
      expectClose(stream(metric, binary, chances), [want], { rtol: 2e-6 }, method);
    }
  });

  test("operating points", () => {
    const at = (threshold: number) => {
      const { tp, fp, tn, fn } = counts(threshold);
      return {
        precision: tp + fp === 0 ? 0 : tp / (tp + fp),
        recall: tp / (tp + fn),
        specificity: tn / (tn + fp),
      };
    };
    const grid = [-1e-7, ...Array.from({ length: 9 }, (_, i) => (i + 1) / 10), 1 + 1e-7].map(at);
    type Rates = (typeof grid)[number];
    const best = (of: keyof Rates, given: keyof Rates, value: number): number =>
      Math.max(0, ...grid.filter((r) => r[given] >= value).map((r) => r[of]));
    const o = { numThresholds: 11 };
    const cases: [Metric, number][] = [
      [curves.specificityAtSensitivity(0.7, o), best("specificity", "recall", 0.7)],
      [curves.sensitivityAtSpecificity(0.7, o), best("recall", "specificity", 0.7)],
      [curves.precisionAtRecall(0.7, o), best("precision", "recall", 0.7)],
      [curves.recallAtPrecision(0.7, o), best("recall", "precision", 0.7)],
    ];
    for (const [metric, want] of cases) {
      expectClose(stream(metric, binary, chances), [want], { ulp: 4 }, metric.name);
    }
  });
});

describe("curves by label", () => {
  const answers = Array.from({ length: count }, (_, i) => [...integers(300 + i, 3, 0, 2)]);
  const given = answers.map((row, i) =>
    row.map((label, c) => (uniform(400 + i, 3, 0, 1)[c]! + 0.5 * label) / 1.5),
  );
  const label = (rows: number[][], c: number): number[] => rows.map((row) => row[c]!);
  const labelWeights = [1, 0.5, 3];

  test.each([
    ["ROC", "interpolation"],
    ["PR", "interpolation"],
    ["PR", "minoring"],
  ] as const)("%s area by %s: the mean of the labels' own", (curve, summationMethod) => {
    const o = { curve, summationMethod, numThresholds: 9 };
    const own = [0, 1, 2].map(
      (c) => stream(metrics.auc(o), label(answers, c), label(given, c))[0]!,
    );
    const several = stream(metrics.auc({ ...o, multiLabel: true, numLabels: 3 }), answers, given);
    expectClose(several, [plain(own)], { rtol: 1e-6 });
    const weighed = metrics.auc({ ...o, multiLabel: true, labelWeights });
    expectClose(stream(weighed, answers, given), [weighted(own, labelWeights)], { rtol: 1e-6 });
  });

  test("label weights of one curve are weights of its elements", () => {
    const got = once(metrics.auc({ numThresholds: 9, labelWeights }), answers, given);
    const w = answers.flatMap(() => labelWeights);
    const flat = once(metrics.auc({ numThresholds: 9 }), answers.flat(), given.flat(), w);
    expectClose([got], [flat], { rtol: 1e-6 });
  });

  test("operating points of one class", () => {
    const o = { numThresholds: 11 };
    for (const make of [curves.precisionAtRecall, curves.sensitivityAtSpecificity]) {
      const got = stream(make(0.6, { ...o, classId: 1 }), answers, given, weights);
      const want = stream(make(0.6, o), label(answers, 1), label(given, 1), weights);
      expectClose(got, want, { rtol: 1e-6 });
      expect(want[0]).not.toBeCloseTo(stream(make(0.6, o), answers, given, weights)[0]!, 3);
    }
    expect(() => once(curves.precisionAtRecall(0.6, { classId: 3 }), answers, given)).toThrow(
      /`classId` below 3 classes, got 3/,
    );
    expect(() => once(metrics.auc({ labelWeights: [1] }), answers, given)).toThrow(
      /expected 3 `labelWeights`, got 1/,
    );
    expect(() => once(metrics.auc({ multiLabel: true, numLabels: 2 }), answers, given)).toThrow(
      /predictions of 2 labels/,
    );
  });
});

const table = Array.from({ length: classes }, (_, actual) =>
  Array.from(
    { length: classes },
    (_, answer) => predicted.filter((p, i) => p === answer && labels[i] === actual).length,
  ),
);

describe("per class", () => {
  const perClass = table.map((_, c) => {
    const tp = table[c]![c]!;
    const actual = table[c]!.reduce((a, b) => a + b, 0);
    const answers = table.reduce((sum, row) => sum + row[c]!, 0);
    return { tp, actual, answers, f1: (2 * tp) / (actual + answers) };
  });
  const sum = (f: (c: (typeof perClass)[number]) => number): number =>
    perClass.reduce((total, c) => total + f(c), 0);

  test("confusion matrix, from class indices and from one-hot labels", () => {
    expect(stream(metrics.confusionMatrix(), labels, scores)).toEqual(table.flat());
    expect(stream(metrics.confusionMatrix(), oneHot, scores)).toEqual(table.flat());
    const two = stream(metrics.confusionMatrix(), binary, Float32Array.from(chances));
    const { tp, fp, tn, fn } = counts(0.5);
    expect(two).toEqual([tn, fp, fn, tp]);
  });

  test("F1 by class, micro, macro and weighted", () => {
    const f1 = (average: "micro" | "macro" | "weighted" | null) =>
      stream(metrics.f1Score({ average }), labels, scores);
    expectClose(
      f1(null),
      perClass.map((c) => c.f1),
      { rtol: 1e-6 },
    );
    expectClose(f1("macro"), [sum((c) => c.f1) / classes], { rtol: 1e-6 });
    expectClose(f1("weighted"), [sum((c) => (c.f1 * c.actual) / count)], { rtol: 1e-6 });
    expectClose(f1("micro"), [sum((c) => c.tp) / count], { rtol: 1e-6 });
  });

  test("F-beta of a single output", () => {
    const { tp, fp, fn } = counts(0.5);
    const [p, r] = [tp / (tp + fp), tp / (tp + fn)];
    const got = stream(metrics.fBetaScore({ beta: 2, average: "macro" }), binary, column(chances));
    expectClose(got, [(5 * p * r) / (4 * p + r)], { rtol: 1e-6 });
  });

  test("intersection over union, by the examples of Keras' documentation", () => {
    const { iou, binaryIoU, meanIoU, oneHotIoU, oneHotMeanIoU } = confusion;
    const [t, p] = [
      [0, 0, 1, 1],
      [0, 1, 0, 1],
    ];
    const two = () => iou({ numClasses: 2, targetClassIds: [0] });
    const chance = [0.1, 0.2, 0.4, 0.7];
    const soft = [
      [0.2, 0.3, 0.5],
      [0.1, 0.2, 0.7],
      [0.5, 0.3, 0.1],
      [0.1, 0.4, 0.5],
    ];
    const hot = [
      [0, 0, 1],
      [1, 0, 0],
      [0, 1, 0],
      [1, 0, 0],
    ];
    const w = [0.1, 0.2, 0.3, 0.4];
    const of = (targetClassIds: number[]) => oneHotIoU({ numClasses: 3, targetClassIds });
    const at3 = () => binaryIoU({ threshold: 0.3 });
    const cases: [number, number][] = [
      [once(two(), t, p), 0.33333334],
      [once(two(), t, p, [0.3, 0.3, 0.3, 0.1]), 0.33333334],
      [once(at3(), [0, 1, 0, 1], chance), 0.33333334],
      [once(at3(), [0, 1, 0, 1], chance, [0.2, 0.3, 0.4, 0.1]), 0.17361112],
      [once(of([0, 2]), hot, soft), 0.16666667],
      [once(of([0, 2]), hot, soft, w), 0.071428575],
      [once(oneHotMeanIoU({ numClasses: 3 }), hot, soft), 0.11111112],
      [once(oneHotMeanIoU(), hot, soft, w), 0.047619049],
      // Predictions as indices; a class of maps of 2 × 2 pixels along axis 1.
      [once(oneHotMeanIoU({ numClasses: 3, sparseYPred: true }), hot, [2, 2, 0, 2]), 0.11111112],
      [once(meanIoU(), hot, soft), 0.11111112],
      // A label of 255 is out of range; class 1 is ignored: (0 → 0), (0 → 1) are left.
      [
        once(iou({ numClasses: 3, targetClassIds: [0], ignoreClass: 1 }), [...t, 255], [...p, 0]),
        0.5,
      ],
    ];
    cases.forEach(([got, want], i) => {
      expectClose([got], [want], { rtol: 1e-5 }, `case ${i}`);
    });
    expect(() => iou({ numClasses: 2, targetClassIds: [2] })).toThrow(/integer from 0 to 1, got 2/);
    expect(() => oneHotIoU({ sparseYPred: true })).toThrow(/`numClasses` to be an integer/);
  });

  test("predictions that are class indices", () => {
    const t = [0, 1, 2, 2];
    const p = [0, 2, 2, 1];
    const int = (x: number[]) => tensor(x, undefined, "int32");
    const counted = (predictions: TensorLike, options: object) => {
      const metric = metrics.confusionMatrix(options);
      metric.updateState(t, predictions);
      return metric.result().arraySync();
    };
    const want = [
      [1, 0, 0],
      [0, 0, 1],
      [0, 1, 1],
    ];
    const three = { numClasses: 3 };
    expect(counted(p, three)).toEqual(want);
    expect(counted(int(p), three)).toEqual(want);
    expect(counted(column(p), three)).toEqual(want);
    expectClose([once(confusion.meanIoU(three), t, int(p))], [(1 + 0 + 1 / 3) / 3], { rtol: 1e-6 });
    // The example of Keras' documentation; an index of 2 is no class of two.
    const two = () => confusion.meanIoU({ numClasses: 2 });
    expectClose([once(two(), [0, 0, 1, 1], int([0, 1, 0, 1]))], [1 / 3], { rtol: 1e-6 });
    expect(once(two(), [1, 1], int([1, 2]))).toBe(1);
    // Chances of one of two classes are none.
    expect(once(two(), [0, 1], [0.4, 0.6])).toBe(1);
  });

  test("mean intersection over union", () => {
    const want = sum((c) => c.tp / (c.actual + c.answers - c.tp)) / classes;
    expectClose(stream(confusion.meanIoU(), labels, scores), [want], { rtol: 1e-6 });
  });
});

const column = (x: ArrayLike<number>): number[][] => Array.from(x, (v) => [v]);

describe("regression", () => {
  const t = Array.from(uniform(21, count, -2, 5));
  const p = t.map((x, i) => x + uniform(30 + i, 1, -0.5, 0.5)[0]!);
  const mse = plain(t.map((x, i) => (x - p[i]!) ** 2));
  const average = plain(t);
  const variance = plain(t.map((x) => (x - average) ** 2));

  test("R² and its adjusted form", () => {
    const r2 = 1 - mse / variance;
    expectClose(stream(metrics.r2Score(), column(t), column(p)), [r2], { rtol: 1e-5 });
    const adjusted = 1 - ((1 - r2) * (count - 1)) / (count - 1 - 3);
    const metric = metrics.r2Score({ numRegressors: 3 });
    expectClose(stream(metric, column(t), column(p)), [adjusted], { rtol: 1e-5 });
  });

  test("R² of several outputs, averaged and not", () => {
    const t2 = t.map((x, i) => [x, labels[i]!]);
    const p2 = p.map((x, i) => [x, labels[i]! + 0.1]);
    const r2 = 1 - mse / variance;
    const mean2 = plain(Array.from(labels));
    const var2 = plain(Array.from(labels, (l) => (l - mean2) ** 2));
    const second = 1 - 0.01 / var2;
    const metric = (classAggregation: "uniformAverage" | "varianceWeightedAverage" | null) =>
      stream(metrics.r2Score({ classAggregation }), t2, p2);
    expectClose(metric(null), [r2, second], { rtol: 1e-4 });
    expectClose(metric("uniformAverage"), [(r2 + second) / 2], { rtol: 1e-4 });
    const combined = (r2 * variance + second * var2) / (variance + var2);
    expectClose(metric("varianceWeightedAverage"), [combined], { rtol: 1e-4 });
  });

  test("root mean squared error, and losses as metrics", () => {
    expectClose(stream(metrics.rootMeanSquaredError(), column(t), column(p)), [Math.sqrt(mse)], {
      rtol: 1e-6,
    });
    const named = metrics.resolveMetric("compile()", "mse", [count, 1], [count, 1]);
    expect(named.name).toBe("mse");
    expectClose(stream(named, column(t), column(p)), [mse], { rtol: 1e-6 });
    const given = metrics.resolveMetric("compile()", meanSquaredError, [count, 1], [count, 1]);
    expect(given.name).toBe("meanSquaredError");
  });

  test("correlations, by the examples of Keras' documentation and along the batch", () => {
    const [a, b] = [
      [
        [0, 1, 0.5],
        [1, 1, 0.2],
      ],
      [
        [0.1, 0.9, 0.5],
        [1, 0.9, 0.2],
      ],
    ];
    expectClose([once(averages.pearsonCorrelation(), a, b)], [0.9966996338993913], { rtol: 1e-6 });
    expectClose([once(averages.concordanceCorrelation(), a, b)], [0.9816320385426076], {
      rtol: 1e-6,
    });
    const [averageT, averageP] = [plain(t), plain(p)];
    const varianceP = plain(p.map((x) => (x - averageP) ** 2));
    const covariance = plain(t.map((x, i) => (x - averageT) * (p[i]! - averageP)));
    const r = covariance / Math.sqrt(variance * varianceP);
    const axis = { axis: 0 };
    const got = once(averages.pearsonCorrelation(axis), column(t), column(p));
    expectClose([got], [r], { rtol: 1e-5 });
    const spread = variance + varianceP + (averageT - averageP) ** 2;
    const lin = once(averages.concordanceCorrelation(axis), column(t), column(p));
    expectClose([lin], [(2 * covariance) / spread], { rtol: 1e-5 });
    // Constants correlate with nothing.
    expect(once(averages.pearsonCorrelation(), [[1, 1]], [[0, 1]])).toBe(0);
  });

  test("cosine similarity is 1 for the same direction", () => {
    const metric = averages.cosineSimilarity();
    metric.updateState([[1, 2]], [[2, 4]]);
    expectClose([metric.result().item()], [1], { ulp: 2 });
  });
});
