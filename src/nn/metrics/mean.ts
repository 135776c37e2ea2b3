/**
 * Metrics that are the mean of a value per sample: the accuracies, and every loss. A row is a name,
 * its options and the formula; the state is that of a weighted mean.
 */
import { checkInteger, checkNumber, ShapeError } from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import {
  add,
  cast,
  div,
  equal,
  greater,
  isFinite,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  mul,
  neg,
  sqrt,
  square,
  sub,
  where,
} from "../../ops/elementwise.js";
import { oneHot } from "../../ops/gather.js";
import { moments } from "../../ops/normalization.js";
import { mean, sum } from "../../ops/reduce.js";
import { argMax } from "../../ops/select.js";
import { logitsOfSoftmax } from "../../ops/softmax.js";
import { sameShape, showShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { classIndices, sameRank } from "../labels.js";
import { type LossFunction, lossConfig, cosineSimilarity as negativeCosine } from "../losses.js";
import { checkOptions, MeanMetric, type MetricConfig, type MetricDirection } from "./metric.js";

/** One value per sample (or per position of a sample). */
export type MetricFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** The mean of a function of labels and predictions: the larger the better unless told otherwise. */
export class FunctionMetric extends MeanMetric {
  override readonly direction: MetricDirection;
  readonly #values: MetricFunction;
  readonly #config: MetricConfig;

  constructor(
    className: string,
    name: string,
    values: MetricFunction,
    config: MetricConfig = {},
    direction: MetricDirection = "up",
  ) {
    super(name, className);
    this.direction = direction;
    this.#values = values;
    this.#config = config;
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    this.average(this.#values(yTrue, yPred), weights);
  }

  getConfig(): MetricConfig {
    return this.#config;
  }
}

/** Every loss serves as a metric; a user's own function too. */
export function metricOfFunction(
  className: string,
  name: string,
  values: LossFunction,
  config = {},
): FunctionMetric {
  const direction = lossConfig(values) ? "down" : null;
  return new FunctionMetric(className, name, values, config, direction);
}

/** Class of the largest prediction. From the logits where they are known: softmax keeps the order. */
export function predictedClass(yPred: Tensor): Tensor {
  return argMax(logitsOfSoftmax(yPred) ?? yPred, -1);
}

const hit = (a: Tensor, b: Tensor): Tensor => cast(equal(a, b), "float32");

/** Share of predictions that equal their labels exactly. (The name "accuracy" picks one by the shapes.) */
export function accuracy(options: { name?: string } = {}): FunctionMetric {
  checkOptions("accuracy", options, []);
  const { name = "accuracy" } = options;
  return new FunctionMetric("accuracy", name, (yTrue, yPred) =>
    hit(...sameRank(name, yTrue, yPred)),
  );
}

/** Share of elements on the right side of `threshold`. */
export function binaryAccuracy(
  options: { threshold?: number; name?: string } = {},
): FunctionMetric {
  checkOptions("binaryAccuracy", options, ["threshold"]);
  const { threshold = 0.5, name = "binaryAccuracy" } = options;
  checkNumber("metric binaryAccuracy", "threshold", threshold, 0, 1);
  return new FunctionMetric(
    "binaryAccuracy",
    name,
    (yTrue, yPred) => {
      const [t, p] = sameRank(name, yTrue, yPred);
      const right = hit(t, cast(greater(p, threshold), "float32"));
      return right.rank <= 1 ? right : mean(right, -1);
    },
    { threshold },
  );
}

/** Share of samples whose one-hot label has its largest prediction. */
export function categoricalAccuracy(options: { name?: string } = {}): FunctionMetric {
  checkOptions("categoricalAccuracy", options, []);
  const { name = "categoricalAccuracy" } = options;
  return new FunctionMetric("categoricalAccuracy", name, (yTrue, yPred) => {
    const labels = cast(yTrue, "float32");
    if (!sameShape(labels.shape, yPred.shape)) {
      throw new ShapeError(
        `${name}: one-hot labels ${showShape(yTrue.shape)} do not match predictions ${showShape(yPred.shape)}`,
      );
    }
    return hit(argMax(labels, -1), predictedClass(yPred));
  });
}

/** Share of samples whose class index has the largest prediction. */
export function sparseCategoricalAccuracy(options: { name?: string } = {}): FunctionMetric {
  checkOptions("sparseCategoricalAccuracy", options, []);
  const { name = "sparseCategoricalAccuracy" } = options;
  return new FunctionMetric("sparseCategoricalAccuracy", name, (yTrue, yPred) =>
    hit(classIndices(name, yTrue, yPred), predictedClass(yPred)),
  );
}

/** 1 where the label's prediction is finite and fewer than `k` classes have a larger one (or NaN). */
function inTopK(labels: Tensor, yPred: Tensor, k: number): Tensor {
  const classes = yPred.shape[yPred.rank - 1]!;
  // Not a product, in which 0 times the infinite prediction of another class would be NaN.
  const own = sum(where(equal(oneHot(labels, classes), 1), yPred, 0), -1, true);
  const larger = sum(cast(logicalNot(lessEqual(yPred, own)), "float32"), -1);
  const finite = isFinite(sum(own, -1));
  return cast(logicalAnd(less(larger, k), finite), "float32");
}

/** Share of samples whose one-hot label is among the `k` largest predictions. */
export function topKCategoricalAccuracy(
  options: { k?: number; name?: string } = {},
): FunctionMetric {
  checkOptions("topKCategoricalAccuracy", options, ["k"]);
  const { k = 5, name = "topKCategoricalAccuracy" } = options;
  checkInteger("metric topKCategoricalAccuracy", "k", k, 1);
  return new FunctionMetric(
    "topKCategoricalAccuracy",
    name,
    (yTrue, yPred) => inTopK(argMax(cast(yTrue, "float32"), -1), yPred, k),
    { k },
  );
}

/** Share of samples whose class index is among the `k` largest predictions. */
export function sparseTopKCategoricalAccuracy(
  options: { k?: number; name?: string } = {},
): FunctionMetric {
  checkOptions("sparseTopKCategoricalAccuracy", options, ["k"]);
  const { k = 5, name = "sparseTopKCategoricalAccuracy" } = options;
  checkInteger("metric sparseTopKCategoricalAccuracy", "k", k, 1);
  return new FunctionMetric(
    "sparseTopKCategoricalAccuracy",
    name,
    (yTrue, yPred) => inTopK(classIndices(name, yTrue, yPred), yPred, k),
    { k },
  );
}

/** Mean cosine of the angle between labels and predictions: 1 where they point the same way. */
export function cosineSimilarity(options: { name?: string } = {}): FunctionMetric {
  checkOptions("cosineSimilarity", options, []);
  return new FunctionMetric(
    "cosineSimilarity",
    options.name ?? "cosineSimilarity",
    (yTrue, yPred) => neg(negativeCosine(yTrue, yPred)),
  );
}

interface CorrelationOptions {
  /** The axis of the values that are correlated; the last by default, so one coefficient per sample. */
  axis?: number;
  name?: string;
}

/** A coefficient of covariance, variances and means along an axis, averaged over all else. */
function correlation(
  kind: string,
  { axis = -1, name = kind }: CorrelationOptions,
  coefficient: (covariance: Tensor, t: Moments, p: Moments) => Tensor,
): FunctionMetric {
  checkInteger(`metric ${kind}`, "axis", axis);
  return new FunctionMetric(
    kind,
    name,
    (yTrue, yPred) => {
      const [t, p] = sameRank(name, yTrue, yPred);
      const apart = (x: Tensor): Tensor => sub(x, mean(x, axis, true));
      const covariance = mean(mul(apart(t), apart(p)), axis);
      return coefficient(covariance, moments(t, axis), moments(p, axis));
    },
    { axis },
  );
}

type Moments = ReturnType<typeof moments>;

/** How well a straight line maps predictions to labels, −1 … 1 (Pearson's r); 0 for constants. */
export function pearsonCorrelation(options: CorrelationOptions = {}): FunctionMetric {
  checkOptions("pearsonCorrelation", options, ["axis"]);
  return correlation("pearsonCorrelation", options, (covariance, t, p) =>
    divNoNan(covariance, mul(sqrt(t.variance), sqrt(p.variance))),
  );
}

/** How well predictions agree with labels, −1 … 1: correlation, less for another mean or scale (Lin 1989). */
export function concordanceCorrelation(options: CorrelationOptions = {}): FunctionMetric {
  checkOptions("concordanceCorrelation", options, ["axis"]);
  return correlation("concordanceCorrelation", options, (covariance, t, p) => {
    const spread = add(add(t.variance, p.variance), square(sub(t.mean, p.mean)));
    return div(mul(covariance, 2), add(spread, 1e-7));
  });
}

/** Square root of the mean squared error. */
export class RootMeanSquaredError extends MeanMetric {
  override readonly direction = "down";

  constructor(options: { name?: string } = {}) {
    checkOptions("rootMeanSquaredError", options, []);
    super(options.name ?? "rootMeanSquaredError", "rootMeanSquaredError");
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const [t, p] = sameRank(this.name, yTrue, yPred);
    this.average(square(sub(p, t)), weights);
  }

  override result(): Tensor {
    return sqrt(super.result());
  }

  getConfig(): MetricConfig {
    return {};
  }
}
