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
import { alignWeights, classIndices, sameRank } from "../losses.js";
import { predictedClass } from "./mean.js";
import { checkOptions, Metric, type MetricConfig, type MetricDirection } from "./metric.js";

const mask = (condition: Tensor): Tensor => cast(condition, "float32");

/** Values per sample (or position); a flat array has one. */
const outputsOf = (yPred: Shape): number => (yPred.length < 2 ? 1 : yPred[yPred.length - 1]!);

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
    if (topK !== undefined) {
      const k = Math.min(topK, p.shape[p.rank - 1]!);
      const least = slice(
        topk(p, k).values,
        [...new Array<number>(p.rank - 1).fill(0), k - 1],
        [...p.shape.slice(0, -1), 1],
      );
      p = where(greaterEqual(p, least), p, -Infinity);
    }
    let w = weightsFor(weights, p);
    if (classId !== undefined) {
      const classes = p.shape[p.rank - 1]!;
      if (classId >= classes) {
        throw new ArgumentError(
          expected(`metric ${this.name}`, `\`classId\` below ${classes} classes`, show(classId)),
        );
      }
      const only = (x: Tensor): Tensor =>
        slice(x, [...new Array<number>(x.rank - 1).fill(0), classId], [...x.shape.slice(0, -1), 1]);
      [t, p, w] = [only(t), only(p), w && only(w)];
    }
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
  /** How classes are put together; null gives one value per class (Keras' default). */
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

/** Counts [actual class, predicted class], and what is made of them. */
abstract class ClassTable extends Metric {
  #table!: Variable;
  #classes: number | undefined;

  constructor(className: string, name: string, classes: number | undefined) {
    super(name, className);
    if (classes !== undefined) checkInteger(`metric ${name}`, "numClasses", classes, 1);
    this.#classes = classes;
  }

  protected build(_yTrue: Shape, yPred: Shape): void {
    const outputs = outputsOf(yPred);
    this.#classes ??= Math.max(2, outputs);
    this.#table = this.addState("counts", [this.#classes, this.#classes]);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const classes = this.#classes!;
    const outputs = outputsOf(yPred.shape);
    let actual: Tensor;
    let predicted: Tensor;
    if (outputs <= 1) {
      const [t, p] = sameRank(this.name, yTrue, yPred);
      actual = cast(t, "int32");
      predicted = cast(greater(p, 0.5), "int32");
    } else {
      predicted = predictedClass(yPred);
      actual = isSparse(yTrue.shape, yPred.shape)
        ? classIndices(this.name, yTrue, yPred)
        : argMax(cast(yTrue, "float32"), -1);
    }
    const count = sizeOf(actual.shape);
    const rows = (x: Tensor): Tensor => oneHot(reshape(x, [count]), classes);
    const w = weightsFor(weights, cast(actual, "float32"));
    const t = w ? mul(rows(actual), reshape(w, [count, 1])) : rows(actual);
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

/** How often a sample of one class (row) was predicted as another (column). */
export class ConfusionMatrix extends ClassTable {
  constructor(options: ClassTableOptions = {}) {
    checkOptions("confusionMatrix", options, ["numClasses"]);
    super("confusionMatrix", options.name ?? "confusionMatrix", options.numClasses);
  }

  result(): Tensor {
    return this.counts();
  }
}

/** Mean over the classes that occur of overlap / union of labels and predictions. */
export class MeanIoU extends ClassTable {
  override readonly direction = "up";

  constructor(options: ClassTableOptions = {}) {
    checkOptions("meanIoU", options, ["numClasses"]);
    super("meanIoU", options.name ?? "meanIoU", options.numClasses);
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
    const occurs = mask(less(0, union));
    return divNoNan(sum(divNoNan(diagonal, union)), sum(occurs));
  }
}
