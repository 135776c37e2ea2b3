/**
 * Metrics of curves over thresholds: the areas under ROC and precision-recall curves, and operating
 * points on them. Formulas are Keras 3's.
 */
import { checkChoice, checkInteger, checkNumber } from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import {
  add,
  cast,
  div,
  greater,
  greaterEqual,
  log,
  logicalAnd,
  maximum,
  minimum,
  mul,
  sigmoid,
  sub,
  where,
} from "../../ops/elementwise.js";
import { reshape, slice } from "../../ops/movement.js";
import { max, sum } from "../../ops/reduce.js";
import { sizeOf } from "../../tensor/shape.js";
import { leaf, type Tensor } from "../../tensor/tensor.js";
import type { Variable } from "../../tensor/variable.js";
import { perClass, weigh, weightsFor } from "./confusion.js";
import { checkOptions, Metric, type MetricConfig } from "./metric.js";

interface Curve {
  readonly tp: Tensor;
  readonly fp: Tensor;
  readonly positives: Tensor;
  readonly negatives: Tensor;
}

/** Counts at many thresholds, the points of a curve. */
abstract class CurveMetric extends Metric {
  override readonly direction = "up";
  readonly thresholds: Float32Array;
  #tp!: Variable;
  #fp!: Variable;
  #positives!: Variable;
  #negatives!: Variable;

  constructor(className: string, name: string, count: number, own?: readonly number[]) {
    super(name, className);
    checkInteger(`metric ${name}`, "numThresholds", count, 2);
    for (const t of own ?? []) checkNumber(`metric ${name}`, "thresholds", t, 0, 1);
    const inner = own
      ? [...own].sort((a, b) => a - b)
      : Array.from({ length: count - 2 }, (_, i) => (i + 1) / (count - 1));
    // The outermost thresholds take in everything and nothing.
    this.thresholds = Float32Array.from([-1e-7, ...inner, 1 + 1e-7]);
  }

  protected build(): void {
    const n = this.thresholds.length;
    this.#tp = this.addState("truePositives", [n]);
    this.#fp = this.addState("falsePositives", [n]);
    this.#positives = this.addState("positives", []);
    this.#negatives = this.addState("negatives", []);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const [t, p] = perClass(this.name, yTrue, yPred);
    const column = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape), 1]);
    const w = weightsFor(weights, p);
    const label = column(cast(greater(t, 0.5), "float32"));
    const positive = weigh(label, w && column(w));
    const negative = weigh(sub(1, label), w && column(w));
    const limits = leaf(this.thresholds, [1, this.thresholds.length], "float32");
    const above = greater(column(this.scores(p)), limits);
    this.#tp.assign(add(this.#tp.read(), sum(where(above, positive, 0), 0)));
    this.#fp.assign(add(this.#fp.read(), sum(where(above, negative, 0), 0)));
    this.#positives.assign(add(this.#positives.read(), sum(positive)));
    this.#negatives.assign(add(this.#negatives.read(), sum(negative)));
  }

  protected scores(p: Tensor): Tensor {
    return p;
  }

  protected curve(): Curve {
    return {
      tp: this.#tp.read(),
      fp: this.#fp.read(),
      positives: this.#positives.read(),
      negatives: this.#negatives.read(),
    };
  }
}

export interface AucOptions {
  numThresholds?: number;
  curve?: "ROC" | "PR";
  summationMethod?: "interpolation" | "minoring" | "majoring";
  thresholds?: readonly number[];
  fromLogits?: boolean;
  name?: string;
}

/** Area under the ROC or precision-recall curve, by counts at thresholds (Keras' AUC). */
export class AUC extends CurveMetric {
  readonly #options: AucOptions;

  constructor(options: AucOptions = {}) {
    super("auc", options.name ?? "auc", options.numThresholds ?? 200, options.thresholds);
    checkOptions("auc", options, [
      "numThresholds",
      "curve",
      "summationMethod",
      "thresholds",
      "fromLogits",
    ]);
    checkChoice("metric auc", "curve", options.curve ?? "ROC", ["ROC", "PR"]);
    checkChoice("metric auc", "summationMethod", options.summationMethod ?? "interpolation", [
      "interpolation",
      "minoring",
      "majoring",
    ]);
    this.#options = options;
  }

  protected override scores(p: Tensor): Tensor {
    return this.#options.fromLogits ? sigmoid(p) : p;
  }

  result(): Tensor {
    const { curve = "ROC", summationMethod = "interpolation" } = this.#options;
    const { tp, fp, positives, negatives } = this.curve();
    const n = this.thresholds.length;
    const head = (x: Tensor): Tensor => slice(x, [0], [n - 1]);
    const tail = (x: Tensor): Tensor => slice(x, [1], [n - 1]);
    if (curve === "PR" && summationMethod === "interpolation") {
      return this.#interpolatedPr(tp, fp, positives, head, tail);
    }
    const sensitivity = divNoNan(tp, positives);
    const [x, y] =
      curve === "ROC"
        ? [divNoNan(fp, negatives), sensitivity]
        : [sensitivity, divNoNan(tp, add(tp, fp))];
    const heights =
      summationMethod === "interpolation"
        ? div(add(head(y), tail(y)), 2)
        : summationMethod === "minoring"
          ? minimum(head(y), tail(y))
          : maximum(head(y), tail(y));
    return sum(mul(sub(head(x), tail(x)), heights));
  }

  /** Interpolates counts rather than precision, which is not linear (Davis & Goadrich 2006). */
  #interpolatedPr(
    tp: Tensor,
    fp: Tensor,
    positives: Tensor,
    head: (x: Tensor) => Tensor,
    tail: (x: Tensor) => Tensor,
  ): Tensor {
    const dTp = sub(head(tp), tail(tp));
    const p = add(tp, fp);
    const dP = sub(head(p), tail(p));
    const slope = divNoNan(dTp, maximum(dP, 0));
    const intercept = sub(tail(tp), mul(slope, tail(p)));
    const both = logicalAnd(greater(head(p), 0), greater(tail(p), 0));
    const ratio = where(both, divNoNan(head(p), maximum(tail(p), 0)), 1);
    return sum(divNoNan(mul(slope, add(dTp, mul(intercept, log(ratio)))), maximum(positives, 0)));
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return config;
  }
}

type Rates = Record<"precision" | "recall" | "specificity", Tensor>;

export interface OperatingPointOptions {
  numThresholds?: number;
  name?: string;
}

/** The best of one rate where another reaches a given value. */
class OperatingPoint extends CurveMetric {
  constructor(
    kind: string,
    private readonly value: number,
    private readonly best: keyof Rates,
    private readonly given: keyof Rates,
    private readonly options: OperatingPointOptions,
  ) {
    super(kind, options.name ?? kind, options.numThresholds ?? 200);
    checkOptions(kind, options, ["numThresholds"]);
    checkNumber(`metric ${kind}`, given, value, 0, 1);
  }

  result(): Tensor {
    const { tp, fp, positives, negatives } = this.curve();
    const rates: Rates = {
      precision: divNoNan(tp, add(tp, fp)),
      recall: divNoNan(tp, positives),
      specificity: divNoNan(sub(negatives, fp), negatives),
    };
    return max(where(greaterEqual(rates[this.given], this.value), rates[this.best], 0));
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.options;
    return { value: this.value, ...config };
  }
}

/** Best specificity where the sensitivity (recall) is at least `sensitivity`. */
export function specificityAtSensitivity(
  sensitivity: number,
  o: OperatingPointOptions = {},
): Metric {
  return new OperatingPoint("specificityAtSensitivity", sensitivity, "specificity", "recall", o);
}

/** Best sensitivity (recall) where the specificity is at least `specificity`. */
export function sensitivityAtSpecificity(
  specificity: number,
  o: OperatingPointOptions = {},
): Metric {
  return new OperatingPoint("sensitivityAtSpecificity", specificity, "recall", "specificity", o);
}

/** Best precision where the recall is at least `recall`. */
export function precisionAtRecall(recall: number, o: OperatingPointOptions = {}): Metric {
  return new OperatingPoint("precisionAtRecall", recall, "precision", "recall", o);
}

/** Best recall where the precision is at least `precision`. */
export function recallAtPrecision(precision: number, o: OperatingPointOptions = {}): Metric {
  return new OperatingPoint("recallAtPrecision", precision, "recall", "precision", o);
}
