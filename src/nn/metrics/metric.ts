/**
 * What a metric is: state in variables, an update from labels and predictions, and a result that is a
 * formula of the state. Updates run inside the compiled training step; nothing here knows of models.
 */
import { ArgumentError, checkKeys, expected, show } from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import {
  abs,
  add,
  broadcastTo,
  cast,
  greaterEqual,
  mul,
  notEqual,
  sub,
  where,
} from "../../ops/elementwise.js";
import { asTensor } from "../../ops/op.js";
import { sum } from "../../ops/reduce.js";
import { type Shape, sizeOf } from "../../tensor/shape.js";
import { type Tensor, type TensorLike, zerosLeaf } from "../../tensor/tensor.js";
import { type Variable, variable } from "../../tensor/variable.js";
import { alignWeights, perWeight } from "../weighting.js";

/** Options of a metric as they are saved with a model. */
export type MetricConfig = Readonly<Record<string, unknown>>;

/** Whether a larger value is better, or a smaller; null where the metric does not say. */
export type MetricDirection = "up" | "down" | null;

/**
 * A streaming metric. Subclasses make their state in `build`, add to it in `update` and compute the
 * value from it in `result`.
 *
 * @example
 * const m = lw.metrics.precision();
 * m.updateState([0, 1, 1], [0.2, 0.9, 0.3]);
 * m.result().item(); // 1
 */
export abstract class Metric {
  /** The key under which the value is reported. */
  name: string;
  /** The metric's name in the table of metrics, or the class' own: what a saved model refers to. */
  readonly className: string;
  /** Which way is better, for callbacks that look for the best value. */
  readonly direction: MetricDirection = null;
  readonly #state: Variable[] = [];
  #built = false;

  constructor(name: string, className?: string) {
    this.className = className ?? new.target.name;
    if (typeof name !== "string" || name === "") {
      throw new ArgumentError(expected("metric", "a non-empty `name`", show(name)));
    }
    this.name = name;
  }

  /** Options from which the metric can be made again. */
  abstract getConfig(): MetricConfig;

  /** Makes the state for labels and predictions of these shapes; called once. */
  protected abstract build(yTrue: Shape, yPred: Shape): void;

  /** Adds a batch to the state, in ops and `assign`s only. */
  protected abstract update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void;

  /** The value, as a formula of the state. */
  abstract result(): Tensor;

  /**
   * @internal Throws where predictions of this shape (null: not known yet) give what logs don't hold, more than one number,
   * without the user having asked for it.
   */
  checkReported(_where: string, _yPred: readonly (number | null)[]): void {}

  /** Makes the state, unless it is made already. */
  prepare(yTrue: Shape, yPred: Shape): void {
    if (this.#built) return;
    this.build(yTrue, yPred);
    this.#built = true;
  }

  /** Adds a batch: labels, predictions and, if wanted, a weight per sample. */
  updateState(yTrue: TensorLike, yPred: TensorLike, sampleWeight?: TensorLike | null): void {
    const t = asTensor(this.name, yTrue);
    const p = asTensor(this.name, yPred);
    this.prepare(t.shape, p.shape);
    const weights =
      sampleWeight === undefined || sampleWeight === null
        ? null
        : cast(asTensor(this.name, sampleWeight), "float32");
    this.update(t, p, weights);
  }

  /** Back to the state before the first update. */
  resetState(): void {
    for (const v of this.#state) v.storageForUpdate().fill(0);
  }

  /** The state's variables; all start at 0. */
  get variables(): readonly Variable[] {
    return this.#state;
  }

  protected addState(name: string, shape: Shape): Variable {
    const made = variable(zerosLeaf(shape, "float32"), {
      name: `${this.name}/${name}`,
      trainable: false,
    });
    this.#state.push(made);
    return made;
  }
}

/**
 * A running sum that does not lose small terms: Neumaier's compensated summation (1974), so that a
 * million batches are as exact as one.
 */
export class RunningSum {
  readonly #total: Variable;
  readonly #carry: Variable;

  constructor(total: Variable, carry: Variable) {
    this.#total = total;
    this.#carry = carry;
  }

  add(x: Tensor): void {
    const old = this.#total.read();
    const next = add(old, x);
    // The larger of the two loses nothing; what the smaller lost goes into the carry.
    const lost = where(
      greaterEqual(abs(old), abs(x)),
      add(sub(old, next), x),
      add(sub(x, next), old),
    );
    this.#carry.assign(add(this.#carry.read(), lost));
    this.#total.assign(next);
  }

  value(): Tensor {
    return add(this.#total.read(), this.#carry.read());
  }
}

/** Values times their weights. Selected first: where the weight is 0, in padding say, there may be anything. */
export function weighed(values: Tensor, weights: Tensor): Tensor {
  return mul(where(notEqual(weights, 0), values, 0), weights);
}

/** Weighted mean of values: the state behind every metric that averages something. */
export abstract class MeanMetric extends Metric {
  #sum!: RunningSum;
  #count!: RunningSum;

  protected override build(): void {
    this.#sum = new RunningSum(this.addState("total", []), this.addState("totalCarry", []));
    this.#count = new RunningSum(this.addState("count", []), this.addState("countCarry", []));
  }

  /** Adds values, each with its weight (or 1). */
  protected average(values: Tensor, weights: Tensor | null): void {
    const numbers = perWeight(cast(values, "float32"), weights);
    if (weights) {
      const w = broadcastTo(alignWeights(weights, numbers), numbers.shape);
      this.#sum.add(sum(weighed(numbers, w)));
      this.#count.add(sum(w));
    } else {
      this.#sum.add(sum(numbers));
      // A literal: the number of values is known when the step is compiled.
      this.#count.add(asTensor(this.name, sizeOf(numbers.shape)));
    }
  }

  result(): Tensor {
    return divNoNan(this.#sum.value(), this.#count.value());
  }
}

/** The mean of whatever is passed to `updateState(values)`. */
export class Mean extends MeanMetric {
  constructor({ name = "mean" }: { name?: string } = {}) {
    super(name, "mean");
  }

  protected update(values: Tensor, _predictions: Tensor, weights: Tensor | null): void {
    this.average(values, weights);
  }

  /** Adds values; unlike other metrics, a mean takes no predictions. */
  override updateState(
    values: TensorLike,
    _unused?: unknown,
    sampleWeight?: TensorLike | null,
  ): void {
    super.updateState(values, values, sampleWeight);
  }

  getConfig(): MetricConfig {
    return {};
  }
}

/** The weighted sum of whatever is passed to `updateState(values)`. */
export class Sum extends Metric {
  #sum!: RunningSum;

  constructor(options: { name?: string } = {}) {
    checkOptions("sum", options, []);
    super(options.name ?? "sum", "sum");
  }

  protected build(): void {
    this.#sum = new RunningSum(this.addState("total", []), this.addState("totalCarry", []));
  }

  protected update(values: Tensor, _predictions: Tensor, weights: Tensor | null): void {
    const numbers = perWeight(cast(values, "float32"), weights);
    this.#sum.add(sum(weights ? weighed(numbers, alignWeights(weights, numbers)) : numbers));
  }

  /** Adds values; unlike other metrics, a sum takes no predictions. */
  override updateState(
    values: TensorLike,
    _unused?: unknown,
    sampleWeight?: TensorLike | null,
  ): void {
    super.updateState(values, values, sampleWeight);
  }

  result(): Tensor {
    return this.#sum.value();
  }

  getConfig(): MetricConfig {
    return {};
  }
}

/** Throws for option names a metric does not have. */
export function checkOptions(metric: string, given: object, known: readonly string[]): void {
  checkKeys(`metric ${metric}`, given, ["name", ...known]);
}
