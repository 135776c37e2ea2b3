/**
 * Metrics of curves over thresholds: the areas under ROC and precision-recall curves, and operating
 * points on them. Formulas are Keras 3's.
 */
import { checkChoice, checkInteger, checkNumber, expected, ShapeError } from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import {
  add,
  broadcastTo,
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
import { max, mean, sum } from "../../ops/reduce.js";
import { type Shape, showShape, sizeOf } from "../../tensor/shape.js";
import { leaf, type Tensor, tensor } from "../../tensor/tensor.js";
import type { Variable } from "../../tensor/variable.js";
import { ofClass, perClass, weigh, weightsFor } from "./confusion.js";
import { checkOptions, Metric, type MetricConfig } from "./metric.js";

interface Curve {
  readonly tp: Tensor;
  readonly fp: Tensor;
  readonly positives: Tensor;
  readonly negatives: Tensor;
}

/** How labels and predictions are split: all alike by default. */
interface CurveParts {
  /** Only this class counts. */
  readonly classId?: number | undefined;
  /** A curve for each label rather than one of them all. */
  readonly multiLabel?: boolean | undefined;
  readonly numLabels?: number | undefined;
  /** How much each label counts. */
  readonly labelWeights?: readonly number[] | undefined;
}

/** Counts at many thresholds, the points of a curve; with several labels, of a curve for each. */
abstract class CurveMetric extends Metric {
  override readonly direction = "up";
  readonly thresholds: Float32Array;
  #tp!: Variable;
  #fp!: Variable;
  #positives!: Variable;
  #negatives!: Variable;

  readonly #parts: CurveParts;

  constructor(
    className: string,
    name: string,
    count: number,
    parts: CurveParts,
    own?: readonly number[],
  ) {
    super(name, className);
    const { classId, numLabels, labelWeights } = parts;
    if (classId !== undefined) checkInteger(`metric ${name}`, "classId", classId, 0);
    if (numLabels !== undefined) checkInteger(`metric ${name}`, "numLabels", numLabels, 1);
    for (const w of labelWeights ?? []) checkNumber(`metric ${name}`, "labelWeights", w, 0);
    this.#parts = parts;
    checkInteger(`metric ${name}`, "numThresholds", count, 2);
    for (const t of own ?? []) checkNumber(`metric ${name}`, "thresholds", t, 0, 1);
    const inner = own
      ? [...own].sort((a, b) => a - b)
      : Array.from({ length: count - 2 }, (_, i) => (i + 1) / (count - 1));
    // The outermost thresholds take in everything and nothing.
    this.thresholds = Float32Array.from([-1e-7, ...inner, 1 + 1e-7]);
  }

  protected build(_yTrue: Shape, yPred: Shape): void {
    const { multiLabel, numLabels, labelWeights } = this.#parts;
    const labels = yPred[yPred.length - 1] ?? 1;
    if (multiLabel && numLabels !== undefined && numLabels !== labels) {
      throw new ShapeError(
        expected(`metric ${this.name}`, `predictions of ${numLabels} labels`, showShape(yPred)),
      );
    }
    if (labelWeights && labelWeights.length !== labels) {
      throw new ShapeError(
        expected(`metric ${this.name}`, `${labels} \`labelWeights\``, `${labelWeights.length}`),
      );
    }
    const each = multiLabel ? [labels] : [];
    const n = this.thresholds.length;
    this.#tp = this.addState("truePositives", [n, ...each]);
    this.#fp = this.addState("falsePositives", [n, ...each]);
    this.#positives = this.addState("positives", each);
    this.#negatives = this.addState("negatives", each);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const { classId, multiLabel, labelWeights } = this.#parts;
    let [t, p] = perClass(this.name, yTrue, yPred);
    let w = weightsFor(weights, p);
    if (classId !== undefined) [t, p, w] = ofClass(this.name, classId, [t, p, w]);
    if (labelWeights && !multiLabel) {
      const own = broadcastTo(tensor(labelWeights), p.shape);
      w = w ? mul(w, own) : own;
    }
    // [elements, 1, labels] against [thresholds, 1]; one label stands for all where there is one curve.
    const labels = multiLabel ? p.shape[p.rank - 1]! : 1;
    const rows = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape) / labels, 1, labels]);
    const label = rows(cast(greater(t, 0.5), "float32"));
    const positive = weigh(label, w && rows(w));
    const negative = weigh(sub(1, label), w && rows(w));
    const limits = leaf(this.thresholds, [this.thresholds.length, 1], "float32");
    const above = greater(rows(this.scores(p)), limits);
    const count = (state: Variable, x: Tensor): void => {
      state.assign(add(state.read(), reshape(sum(x, 0), state.shape)));
    };
    count(this.#tp, where(above, positive, 0));
    count(this.#fp, where(above, negative, 0));
    count(this.#positives, positive);
    count(this.#negatives, negative);
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
  /** The mean of an area for each label, rather than one area of all labels together. */
  multiLabel?: boolean;
  /** How many labels there are; only checked, since predictions tell. */
  numLabels?: number;
  /** How much each label counts. */
  labelWeights?: readonly number[];
  name?: string;
}

/** Area under the ROC or precision-recall curve, by counts at thresholds (Keras' AUC). */
export class AUC extends CurveMetric {
  readonly #options: AucOptions;

  constructor(options: AucOptions = {}) {
    super("auc", options.name ?? "auc", options.numThresholds ?? 200, options, options.thresholds);
    checkOptions("auc", options, [
      "numThresholds",
      "curve",
      "summationMethod",
      "thresholds",
      "fromLogits",
      "multiLabel",
      "numLabels",
      "labelWeights",
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
    const from = (start: number) => (x: Tensor) =>
      slice(x, [start, ...x.shape.slice(1).map(() => 0)], [n - 1, ...x.shape.slice(1)]);
    const [head, tail] = [from(0), from(1)];
    if (curve === "PR" && summationMethod === "interpolation") {
      return this.#combined(this.#interpolatedPr(tp, fp, positives, head, tail));
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
    return this.#combined(sum(mul(sub(head(x), tail(x)), heights), 0));
  }

  /** The mean area of several labels. */
  #combined(areas: Tensor): Tensor {
    if (areas.rank === 0) return areas;
    const { labelWeights } = this.#options;
    if (!labelWeights) return mean(areas);
    const weights = tensor(labelWeights);
    return divNoNan(sum(mul(areas, weights)), sum(weights));
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
    const areas = mul(slope, add(dTp, mul(intercept, log(ratio))));
    return sum(divNoNan(areas, maximum(positives, 0)), 0);
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return config;
  }
}

type Rates = Record<"precision" | "recall" | "specificity", Tensor>;

export interface OperatingPointOptions {
  numThresholds?: number;
  /** Only this class counts. */
  classId?: number;
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
    super(kind, options.name ?? kind, options.numThresholds ?? 200, options);
    checkOptions(kind, options, ["numThresholds", "classId"]);
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
