/**
 * Metrics made of counts of true and false positives and negatives: precision, recall, F-scores, the
 * areas under curves, operating points on them, and the confusion matrix. Formulas are Keras 3's.
 */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkNumber,
  expected,
  show,
} from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import {
  add,
  broadcastTo,
  cast,
  equal,
  greater,
  greaterEqual,
  less,
  mul,
  notEqual,
  sub,
  where,
} from "../../ops/elementwise.js";
import { oneHot } from "../../ops/gather.js";
import { matMul } from "../../ops/matmul.js";
import { expandDims, reshape, slice } from "../../ops/movement.js";
import { max, mean, sum } from "../../ops/reduce.js";
import { argMax, topk } from "../../ops/select.js";
import { type Shape, sizeOf } from "../../tensor/shape.js";
import { leaf, type Tensor } from "../../tensor/tensor.js";
import type { Variable } from "../../tensor/variable.js";
import { classIndices, sameRank } from "../labels.js";
import { alignWeights } from "../weighting.js";
import { predictedClass } from "./mean.js";
import { checkOptions, Metric, type MetricConfig, type MetricDirection } from "./metric.js";

const mask = (condition: Tensor): Tensor => cast(condition, "float32");

/** Values per sample (or position); a flat array has one. */
const outputsOf = <D extends number | null>(yPred: readonly D[]): D | 1 =>
  yPred.length < 2 ? 1 : yPred[yPred.length - 1]!;

/** True when labels are class indices although predictions are per class. */
function isSparse(yTrue: Shape, yPred: Shape): boolean {
  if (outputsOf(yPred) <= 1) return false;
  return yTrue.length < yPred.length || yTrue[yTrue.length - 1] === 1;
}

/** Labels as 0 and 1 per prediction; class indices become one-hot. */
export function perClass(name: string, yTrue: Tensor, yPred: Tensor): [Tensor, Tensor] {
  if (!isSparse(yTrue.shape, yPred.shape)) return sameRank(name, yTrue, yPred);
  const labels = classIndices(name, yTrue, yPred);
  return [oneHot(labels, yPred.shape[yPred.rank - 1]!), cast(yPred, "float32")];
}

export function weightsFor(weights: Tensor | null, values: Tensor): Tensor | null {
  return weights && broadcastTo(alignWeights(weights, values), values.shape);
}

/** Labels, predictions and weights of one class. */
export function ofClass(
  name: string,
  classId: number,
  parts: readonly [Tensor, Tensor, Tensor | null],
): [Tensor, Tensor, Tensor | null] {
  const [t, p, w] = parts;
  const classes = outputsOf(p.shape);
  if (classId >= classes) {
    throw new ArgumentError(
      expected(`metric ${name}`, `\`classId\` below ${classes} classes`, show(classId)),
    );
  }
  const only = (x: Tensor): Tensor =>
    slice(x, [...new Array<number>(x.rank - 1).fill(0), classId], [...x.shape.slice(0, -1), 1]);
  return p.rank < 2 ? [t, p, w] : [only(t), only(p), w && only(w)];
}

export const weigh = (x: Tensor, w: Tensor | null): Tensor => (w ? mul(x, w) : x);

/* ---- counts at fixed thresholds ------------------------------------------------------------------ */

export interface CountOptions {
  /** A prediction above it is positive; a list gives one result each. 0.5 by default. */
  thresholds?: number | readonly number[];
  /** Only the `topK` largest predictions of a sample can be positive. */
  topK?: number;
  /** Only this class counts. */
  classId?: number;
  name?: string;
}

/** True at the `k` largest of each row; of equal ones the first, so that they are never more. */
function amongLargest(p: Tensor, k: number): Tensor {
  const outputs = p.shape[p.rank - 1]!;
  const { indices } = topk(p, Math.min(k, outputs));
  return greater(sum(oneHot(indices, outputs), -2), 0);
}

type Count = "truePositives" | "falsePositives" | "trueNegatives" | "falseNegatives";

/** Counts of right and wrong at thresholds, and a formula of them. */
class CountMetric extends Metric {
  override readonly direction: MetricDirection;
  readonly #options: CountOptions;
  readonly #thresholds: readonly number[];
  readonly #wanted: readonly Count[];
  readonly #formula: (counts: Record<Count, Tensor>) => Tensor;
  readonly #state = new Map<Count, Variable>();

  constructor(
    kind: string,
    options: CountOptions,
    wanted: readonly Count[],
    formula: (counts: Record<Count, Tensor>) => Tensor,
  ) {
    super(options.name ?? kind, kind);
    this.direction = /^false/.test(kind) ? "down" : "up";
    checkOptions(kind, options, ["thresholds", "topK", "classId"]);
    const { thresholds, topK, classId } = options;
    // With topK, Keras takes every one of the k as positive unless a threshold is given.
    const standard = topK === undefined ? 0.5 : -Infinity;
    this.#thresholds =
      thresholds === undefined
        ? [standard]
        : typeof thresholds === "number"
          ? [thresholds]
          : thresholds;
    for (const t of this.#thresholds) {
      if (t !== -Infinity) checkNumber(`metric ${kind}`, "thresholds", t, 0, 1);
    }
    if (topK !== undefined) checkInteger(`metric ${kind}`, "topK", topK, 1);
    if (classId !== undefined) checkInteger(`metric ${kind}`, "classId", classId, 0);
    this.#options = options;
    this.#wanted = wanted;
    this.#formula = formula;
  }

  protected build(): void {
    for (const count of this.#wanted) {
      this.#state.set(count, this.addState(count, [this.#thresholds.length]));
    }
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    let [t, p] = perClass(this.name, yTrue, yPred);
    const { topK, classId } = this.#options;
    if (topK !== undefined) p = where(amongLargest(p, topK), p, -Infinity);
    let w = weightsFor(weights, p);
    if (classId !== undefined) [t, p, w] = ofClass(this.name, classId, [t, p, w]);
    // [elements, 1] against [1, thresholds]
    const column = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape), 1]);
    const scores = column(p);
    const limits = leaf(
      Float32Array.from(this.#thresholds),
      [1, this.#thresholds.length],
      "float32",
    );
    const positive = mask(greater(scores, limits));
    const label = mask(greater(column(t), 0.5));
    const weight = w && column(w);
    const cells: Record<Count, () => Tensor> = {
      truePositives: () => mul(positive, label),
      falsePositives: () => mul(positive, sub(1, label)),
      trueNegatives: () => mul(sub(1, positive), sub(1, label)),
      falseNegatives: () => mul(sub(1, positive), label),
    };
    for (const [count, state] of this.#state) {
      state.assign(add(state.read(), sum(weigh(cells[count](), weight), 0)));
    }
  }

  result(): Tensor {
    // Only the wanted counts are there; a formula asks for no others.
    const counts = Object.fromEntries(
      [...this.#state].map(([count, state]) => [count, state.read()]),
    ) as Record<Count, Tensor>;
    const value = this.#formula(counts);
    return Array.isArray(this.#options.thresholds) ? value : reshape(value, []);
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return config;
  }
}

/** True positives / predicted positives. */
export function precision(options: CountOptions = {}): Metric {
  return new CountMetric("precision", options, ["truePositives", "falsePositives"], (c) =>
    divNoNan(c.truePositives, add(c.truePositives, c.falsePositives)),
  );
}

/** True positives / actual positives. */
export function recall(options: CountOptions = {}): Metric {
  return new CountMetric("recall", options, ["truePositives", "falseNegatives"], (c) =>
    divNoNan(c.truePositives, add(c.truePositives, c.falseNegatives)),
  );
}

function single(count: Count): (options?: CountOptions) => Metric {
  return (options = {}) => new CountMetric(count, options, [count], (c) => c[count]);
}

/** Weighted number of positives that were predicted as such. */
export const truePositives = single("truePositives");
/** Weighted number of negatives that were predicted as positive. */
export const falsePositives = single("falsePositives");
/** Weighted number of negatives that were predicted as such. */
export const trueNegatives = single("trueNegatives");
/** Weighted number of positives that were predicted as negative. */
export const falseNegatives = single("falseNegatives");

/* ---- per class ------------------------------------------------------------------------------------ */

export interface FScoreOptions {
  /**
   * How classes are put together; null gives one value per class (Keras' default), which logs don't hold: see
   * `model.metrics`. `compile` wants it said where there are several outputs.
   */
  average?: "micro" | "macro" | "weighted" | null;
  /** Predictions above it are positive; null: the largest of each sample is. */
  threshold?: number | null;
  name?: string;
}

/** Weighted harmonic mean of precision and recall. */
export class FBetaScore extends Metric {
  override readonly direction = "up";
  readonly #kind: string;
  readonly #beta: number;
  readonly #options: FScoreOptions;
  #tp!: Variable;
  #fp!: Variable;
  #fn!: Variable;
  #weights!: Variable;

  constructor(kind: string, beta: number, options: FScoreOptions) {
    super(options.name ?? kind, kind);
    checkOptions(kind, options, ["average", "threshold"]);
    checkNumber(`metric ${kind}`, "beta", beta, 0);
    if (options.average !== undefined && options.average !== null) {
      checkChoice(`metric ${kind}`, "average", options.average, ["micro", "macro", "weighted"]);
    }
    if (options.threshold !== undefined && options.threshold !== null) {
      checkNumber(`metric ${kind}`, "threshold", options.threshold, 0, 1);
    }
    this.#kind = kind;
    this.#beta = beta;
    this.#options = options;
  }

  override checkReported(where_: string, yPred: readonly (number | null)[]): void {
    const outputs = outputsOf(yPred);
    // null has been asked for, and a single output has one value.
    if (this.#options.average !== undefined || outputs === null || outputs === 1) return;
    throw new ArgumentError(
      expected(
        `${where_}: metric ${this.#kind}`,
        `\`average\` to be "micro", "macro" or "weighted" for ${outputs} outputs`,
        "none",
        "`average: null` gives a value per class, which is not logged: see `model.metrics`",
      ),
    );
  }

  protected build(_yTrue: Shape, yPred: Shape): void {
    const shape = [outputsOf(yPred)];
    this.#tp = this.addState("truePositives", shape);
    this.#fp = this.addState("falsePositives", shape);
    this.#fn = this.addState("falseNegatives", shape);
    this.#weights = this.addState("weights", shape);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const [labels, predictions] = perClass(this.name, yTrue, yPred);
    const classes = outputsOf(predictions.shape);
    const rows = (x: Tensor): Tensor => reshape(x, [-1, classes]);
    const threshold = this.#options.threshold ?? null;
    // With one output there is no largest class to pick: a probability of a half decides.
    const p = rows(
      mask(
        threshold !== null
          ? greater(predictions, threshold)
          : classes === 1
            ? greater(predictions, 0.5)
            : equal(predictions, max(predictions, -1, true)),
      ),
    );
    const t = rows(labels);
    const full = weightsFor(weights, predictions);
    const w = full && rows(full);
    const accumulate = (state: Variable, x: Tensor): void => {
      state.assign(add(state.read(), sum(weigh(x, w), 0)));
    };
    accumulate(this.#tp, mul(p, t));
    accumulate(this.#fp, mul(p, sub(1, t)));
    accumulate(this.#fn, mul(sub(1, p), t));
    accumulate(this.#weights, t);
  }

  result(): Tensor {
    const average = this.#options.average ?? null;
    const pool = (v: Variable): Tensor => (average === "micro" ? sum(v.read()) : v.read());
    const [tp, fp, fn] = [pool(this.#tp), pool(this.#fp), pool(this.#fn)];
    const precision_ = divNoNan(tp, add(tp, fp));
    const recall_ = divNoNan(tp, add(tp, fn));
    const b = this.#beta * this.#beta;
    const score = divNoNan(mul(mul(precision_, recall_), 1 + b), add(mul(precision_, b), recall_));
    if (average === "macro") return mean(score);
    if (average !== "weighted") return score;
    const weights = this.#weights.read();
    return sum(mul(score, divNoNan(weights, sum(weights))));
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return this.#kind === "fBetaScore" ? { beta: this.#beta, ...config } : config;
  }
}

/** Classes that labels and predictions stand for, as int32 of one shape. */
type Reading = (name: string, yTrue: Tensor, yPred: Tensor) => [Tensor, Tensor];

/**
 * One output is a probability of class 1, or a class index where it can't be that: as an integer, or one of
 * more than two classes. Several are one per class; labels are indices or one-hot.
 */
const readByShape =
  (classes: number | undefined): Reading =>
  (name, yTrue, yPred) => {
    if (outputsOf(yPred.shape) <= 1) {
      const [t, p] = sameRank(name, yTrue, yPred);
      const indices = yPred.dtype !== "float32" || (classes ?? 2) > 2;
      return [cast(t, "int32"), cast(indices ? p : greater(p, 0.5), "int32")];
    }
    const actual = isSparse(yTrue.shape, yPred.shape)
      ? classIndices(name, yTrue, yPred)
      : argMax(cast(yTrue, "float32"), -1);
    return [actual, predictedClass(yPred)];
  };

/** Class indices where `sparse`, else one value per class along `axis`. */
function readAs(sparseYTrue: boolean, sparseYPred: boolean, axis: number): Reading {
  const read = (x: Tensor, sparse: boolean): Tensor =>
    sparse ? cast(x, "int32") : argMax(cast(x, "float32"), axis);
  return (name, yTrue, yPred) => {
    const [t, p] = sameRank(name, read(yTrue, sparseYTrue), read(yPred, sparseYPred));
    return [cast(t, "int32"), cast(p, "int32")];
  };
}

const readThreshold =
  (threshold: number): Reading =>
  (name, yTrue, yPred) => {
    const [t, p] = sameRank(name, yTrue, yPred);
    return [cast(t, "int32"), cast(greaterEqual(p, threshold), "int32")];
  };

/** Counts [actual class, predicted class], and what is made of them. */
abstract class ClassTable extends Metric {
  #table!: Variable;
  #classes: number | undefined;
  readonly #read: Reading;
  readonly #ignored: number | undefined;

  constructor(
    className: string,
    name: string,
    classes: number | undefined,
    read: Reading = readByShape(classes),
    ignored?: number,
  ) {
    super(name, className);
    if (classes !== undefined) checkInteger(`metric ${name}`, "numClasses", classes, 1);
    if (ignored !== undefined) checkInteger(`metric ${name}`, "ignoreClass", ignored);
    this.#classes = classes;
    this.#read = read;
    this.#ignored = ignored;
  }

  protected build(_yTrue: Shape, yPred: Shape): void {
    this.#classes ??= Math.max(2, outputsOf(yPred));
    this.#table = this.addState("counts", [this.#classes, this.#classes]);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const classes = this.#classes!;
    const [actual, predicted] = this.#read(this.name, yTrue, yPred);
    const count = sizeOf(actual.shape);
    // Rows of indices beyond the classes are all 0, so that they count for nothing.
    const rows = (x: Tensor): Tensor => oneHot(reshape(x, [count]), classes);
    const w = weightsFor(weights, cast(actual, "float32"));
    let t = w ? mul(rows(actual), reshape(w, [count, 1])) : rows(actual);
    if (this.#ignored !== undefined) {
      t = mul(t, mask(notEqual(reshape(actual, [count, 1]), this.#ignored)));
    }
    this.#table.assign(add(this.#table.read(), matMul(t, rows(predicted), true)));
  }

  protected counts(): Tensor {
    return this.#table.read();
  }

  protected get numClasses(): number | undefined {
    return this.#classes;
  }

  getConfig(): MetricConfig {
    return this.#classes === undefined ? {} : { numClasses: this.#classes };
  }
}

export interface ClassTableOptions {
  /** Left out, it is the number of outputs (2 for a single one). */
  numClasses?: number;
  name?: string;
}

/**
 * How often a sample of one class (row) was predicted as another (column). Predictions are one per class, the
 * probability of class 1, or class indices: integers, or with `numClasses` above 2 any single values.
 */
export class ConfusionMatrix extends ClassTable {
  constructor(options: ClassTableOptions = {}) {
    checkOptions("confusionMatrix", options, ["numClasses"]);
    super("confusionMatrix", options.name ?? "confusionMatrix", options.numClasses);
  }

  result(): Tensor {
    return this.counts();
  }
}

export interface MeanIoUOptions extends ClassTableOptions {
  /** Samples with this label don't count. */
  ignoreClass?: number;
}

export interface OneHotIoUOptions extends MeanIoUOptions {
  /** The classes whose mean is taken; all by default. */
  targetClassIds?: readonly number[];
  /** Whether predictions are class indices rather than one value per class. */
  sparseYPred?: boolean;
  /** The axis of the values per class; the last by default. */
  axis?: number;
}

export interface IoUOptions extends OneHotIoUOptions {
  numClasses: number;
  targetClassIds: readonly number[];
  /** Whether labels are class indices (the default) rather than one value per class. */
  sparseYTrue?: boolean;
}

export interface BinaryIoUOptions {
  /** [0], [1] or, by default, the mean of both. */
  targetClassIds?: readonly number[];
  /** Predictions from it on are of class 1; 0.5 by default. */
  threshold?: number;
  name?: string;
}

type AnyIoUOptions = Partial<IoUOptions> & BinaryIoUOptions;

/** Mean of overlap / union of labels and predictions, over the wanted classes that occur. */
class IoU extends ClassTable {
  override readonly direction = "up";
  readonly #options: AnyIoUOptions;
  readonly #targets: readonly number[] | undefined;

  constructor(kind: string, options: AnyIoUOptions, classes: number | undefined, read: Reading) {
    super(kind, options.name ?? kind, classes, read, options.ignoreClass);
    const targets = options.targetClassIds;
    if (targets !== undefined && !Array.isArray(targets)) {
      throw new ArgumentError(
        expected(`metric ${kind}`, "`targetClassIds` to be an array", show(targets)),
      );
    }
    for (const id of targets ?? []) {
      checkInteger(`metric ${kind}`, "targetClassIds", id, 0, (classes ?? Infinity) - 1);
    }
    this.#options = options;
    this.#targets = targets;
  }

  result(): Tensor {
    const table = this.counts();
    const n = this.numClasses!;
    const index = leaf(
      Int32Array.from({ length: n }, (_, i) => i),
      [n],
      "int32",
    );
    const diagonal = sum(where(equal(expandDims(index, 1), index), table, 0), 1);
    const union = sub(add(sum(table, 0), sum(table, 1)), diagonal);
    const targets = this.#targets;
    const wanted = leaf(
      Float32Array.from({ length: n }, (_, i) => Number(targets?.includes(i) ?? true)),
      [n],
      "float32",
    );
    const counted = mul(mask(less(0, union)), wanted);
    return divNoNan(sum(mul(divNoNan(diagonal, union), counted)), sum(counted));
  }

  override getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return config;
  }
}

/**
 * Mean over classes of overlap / union; labels and predictions are told apart by their shapes. Predictions of
 * one value per sample are class indices if they are integers or `numClasses` is above 2, else probabilities.
 */
export function meanIoU(options: MeanIoUOptions = {}): Metric {
  checkOptions("meanIoU", options, ["numClasses", "ignoreClass"]);
  return new IoU("meanIoU", options, options.numClasses, readByShape(options.numClasses));
}

/** Mean overlap / union of some classes; labels and predictions are class indices by default. */
export function iou(options: IoUOptions): Metric {
  checkOptions("iou", options, [...oneHotKeys, "sparseYTrue"]);
  checkInteger("metric iou", "numClasses", options.numClasses, 1);
  if (options.targetClassIds === undefined) {
    throw new ArgumentError("metric iou: the option `targetClassIds` is missing");
  }
  const { sparseYTrue = true, sparseYPred = true, axis = -1 } = options;
  return new IoU("iou", options, options.numClasses, readAs(sparseYTrue, sparseYPred, axis));
}

const oneHotKeys = ["numClasses", "targetClassIds", "ignoreClass", "sparseYPred", "axis"];

const oneHotIoUOf = (kind: string, options: OneHotIoUOptions): Metric => {
  const { sparseYPred = false, axis = -1 } = options;
  if (sparseYPred) checkInteger(`metric ${kind}`, "numClasses", options.numClasses, 1);
  return new IoU(kind, options, options.numClasses, readAs(false, sparseYPred, axis));
};

/** Mean overlap / union of some classes, of one-hot labels. */
export function oneHotIoU(options: OneHotIoUOptions = {}): Metric {
  checkOptions("oneHotIoU", options, oneHotKeys);
  return oneHotIoUOf("oneHotIoU", options);
}

/** Mean overlap / union of all classes, of one-hot labels. */
export function oneHotMeanIoU(options: Omit<OneHotIoUOptions, "targetClassIds"> = {}): Metric {
  checkOptions(
    "oneHotMeanIoU",
    options,
    oneHotKeys.filter((key) => key !== "targetClassIds"),
  );
  return oneHotIoUOf("oneHotMeanIoU", options);
}

/** Overlap / union of what is (or isn't) predicted with at least `threshold`. */
export function binaryIoU(options: BinaryIoUOptions = {}): Metric {
  checkOptions("binaryIoU", options, ["targetClassIds", "threshold"]);
  const { threshold = 0.5 } = options;
  checkNumber("metric binaryIoU", "threshold", threshold);
  return new IoU("binaryIoU", options, 2, readThreshold(threshold));
}
