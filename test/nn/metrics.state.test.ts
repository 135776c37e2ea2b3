/** What metrics keep from batch to batch, and their names and configuration. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { trace } from "../../src/backend/run.js";
import { ArgumentError } from "../../src/errors.js";
import { lossNames } from "../../src/nn/losses.js";
import * as confusion from "../../src/nn/metrics/confusion.js";
import * as curves from "../../src/nn/metrics/curves.js";
import * as averages from "../../src/nn/metrics/mean.js";
import { Mean, Metric, Sum } from "../../src/nn/metrics/metric.js";
import * as metrics from "../../src/nn/metrics/table.js";
import * as publicMetrics from "../../src/public/metrics.js";
import { leaf, type Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

describe("state", () => {
  test("what stands where the weight is 0 may be anything", () => {
    const values = [1, Infinity, Number.NaN, 4, -Infinity];
    const weight = [1, 0, 0, 2, 0];
    const mean = new Mean();
    mean.updateState(values, undefined, weight);
    expect(mean.result().item()).toBe(3);
    const total = new Sum();
    total.updateState(values, undefined, weight);
    expect(total.result().item()).toBe(9);
    const squares = metrics.resolveMetric("", "mse", [2, 1], [2, 1]);
    squares.updateState([[0], [0]], [[3], [Number.NaN]], [1, 0]);
    expect(squares.result().item()).toBe(9);
    const r2 = metrics.r2Score();
    r2.updateState([[1], [2], [3]], [[1], [2], [Number.NaN]], [1, 1, 0]);
    expect(r2.result().item()).toBe(1);
    // Where it counts, it counts.
    const infinite = new Mean();
    infinite.updateState(values, undefined, [1, 1, 0, 0, 0]);
    expect(infinite.result().item()).not.toBeLessThan(Infinity);
  });

  test("a mean keeps small terms over many updates", () => {
    const metric = new Mean();
    metric.prepare([1], [1]);
    const step = trace({
      name: "mean",
      inputs: [{ name: "x", shape: [1], dtype: "float32" }],
      body: ([x]) => {
        metric.updateState(x!);
        return [];
      },
    });
    const values = uniform(9, 20_000, 0, 1);
    let want = 0;
    for (let i = 0; i < values.length; i++) {
      step.runSync([values.subarray(i, i + 1)]);
      want += values[i]!;
    }
    // A plain float32 sum of 20 000 terms is off by some 1e-6 relative.
    expectClose([metric.result().item()], [want / values.length], { rtol: 1.2e-7 });
  });

  test("a sum is weighted, and keeps small terms too", () => {
    const metric = metrics.sumOf();
    metric.updateState([1, 3, 5, 7]);
    expect(metric.result().item()).toBe(16);
    metric.resetState();
    metric.updateState([1, 3, 5, 7], undefined, [1, 1, 0, 0]);
    expect(metric.result().item()).toBe(4);
    metric.resetState();
    for (const x of [2 ** 24, 1, 1]) metric.updateState([x]);
    expect(metric.result().item()).toBe(2 ** 24 + 2);
  });

  test("starts anew after a reset, also when the result was read before", () => {
    const metric = averages.binaryAccuracy();
    metric.updateState([1, 1], [0.9, 0.1]);
    const first = metric.result();
    expect(first.item()).toBe(0.5);
    metric.resetState();
    expect(metric.result().item()).toBe(0);
    metric.updateState([1], [0.9]);
    expect(metric.result().item()).toBe(1);
    expect(first.item()).toBe(0.5);
  });

  test("a metric of one's own is a class", () => {
    class Largest extends Metric {
      #top = this.addState("top", []);
      protected build(): void {}
      protected update(_t: Tensor, p: Tensor): void {
        this.#top.assign(this.#top.read().maximum(p.max()));
      }
      result(): Tensor {
        return this.#top.read();
      }
      getConfig() {
        return {};
      }
    }
    const metric = new Largest("largest");
    metric.updateState([0], [3]);
    metric.updateState([0], [2]);
    expect(metric.result().item()).toBe(3);
    expect(metric.className).toBe("Largest");
  });
});

describe("names and configuration", () => {
  const saved = [
    "accuracy",
    "precision",
    "auc",
    "f1Score",
    "r2Score",
    "meanIoU",
    "binaryIoU",
    "oneHotIoU",
    "oneHotMeanIoU",
    "pearsonCorrelation",
    "topKCategoricalAccuracy",
  ];

  test.each(saved)("%s is made again from its configuration", (className) => {
    const metric = metrics.restoreMetric("file", { className, name: "mine", config: {} });
    expect(metric.name).toBe("mine");
    expect(metric.className).toBe(className);
    const config = metric.getConfig();
    expect(metrics.restoreMetric("file", { className, name: "x", config }).getConfig()).toEqual(
      config,
    );
  });

  test("options are kept, also after updates", () => {
    const kept: [Metric, number[], number[]][] = [
      [confusion.iou({ numClasses: 3, targetClassIds: [1], ignoreClass: 2 }), [0, 1], [1, 1]],
      [confusion.binaryIoU({ targetClassIds: [1], threshold: 0.3 }), [0, 1], [0.2, 0.8]],
      [confusion.meanIoU({ ignoreClass: 0 }), [0, 1], [0.2, 0.8]],
      [metrics.auc({ multiLabel: true, labelWeights: [2] }), [0, 1], [0.2, 0.8]],
    ];
    for (const [metric, t, p] of kept) {
      const [labels, predictions] = [t, p].map((row) => row.map((value) => [value]));
      metric.updateState(labels!, predictions!);
      const { className, name } = metric;
      const again = metrics.restoreMetric("file", {
        className,
        name,
        config: JSON.parse(JSON.stringify(metric.getConfig())),
      });
      expect(again.getConfig()).toEqual(metric.getConfig());
      again.updateState(labels!, predictions!);
      expect(again.result().item()).toBe(metric.result().item());
    }
  });

  test("operating points keep their value", () => {
    const { className, name } = curves.precisionAtRecall(0.8);
    const config = curves.precisionAtRecall(0.8).getConfig();
    const again = metrics.restoreMetric("file", { className, name, config });
    expect(again.getConfig()).toEqual({ value: 0.8 });
  });

  test("every name is understood", () => {
    for (const name of metrics.metricNames()) {
      if (/At[A-Z]|^iou$/.test(name)) continue; // these need options
      expect(metrics.resolveMetric("test", name, [2, 3], [2, 3]).name).toBe(name);
    }
    expect(metrics.metricNames()).toEqual(expect.arrayContaining(lossNames()));
  });

  test("a factory that was not called stands for its defaults", () => {
    const { mean: _, Metric: __, ...factories } = publicMetrics;
    const given = (factory: unknown) =>
      metrics.resolveMetric("compile()", factory as metrics.MetricIdentifier, [2, 3], [2, 3]);
    expect(() => given(publicMetrics.iou)).toThrow("metric iou: expected `numClasses`");
    const { sum: ___, iou: ____, ...others } = factories;
    for (const [name, factory] of Object.entries(others)) {
      if (/At[A-Z]/.test(name)) {
        expect(() => given(factory)).toThrow(
          new RegExp(`^metric ${name}: expected .* from 0 to 1`),
        );
        continue;
      }
      const metric = given(factory);
      expect(metric.className).toBe(name);
      // As a text, "accuracy" is settled by shapes.
      if (name !== "accuracy") expect(metric.getConfig()).toEqual(given(name).getConfig());
      expect(metric.name).toBe(name);
    }
  });

  test("mistakes are named", () => {
    const resolve = (name: unknown) => () =>
      metrics.resolveMetric("compile()", name as string, [2], [2, 3]);
    expect(resolve("acuracy")).toThrow(/did you mean "accuracy"/);
    expect(resolve({})).toThrow(ArgumentError);
    expect(() => confusion.precision({ threshold: 0.5 } as never)).toThrow(
      /did you mean `thresholds`/,
    );
    expect(() => metrics.auc({ curve: "roc" as never })).toThrow(/did you mean "ROC"/);
    expect(() => averages.topKCategoricalAccuracy({ k: 0 })).toThrow(/integer ≥ 1/);
    const metric = averages.sparseCategoricalAccuracy();
    const predictions = leaf(new Float32Array(6), [2, 3], "float32");
    expect(() => metric.updateState([0, 1, 2], predictions)).toThrow(
      /class indices of shape \[2\]/,
    );
  });
});
