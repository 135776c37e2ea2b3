/**
 * Rosenblatt's perceptron (1958): one threshold unit and its own learning rule, which stops when no
 * sample is wrong, and never does if no line separates the classes (XOR).
 */

import { epochOrder } from "../data/order.js";
import {
  ArgumentError,
  checkBoolean,
  checkInteger,
  checkKeys,
  checkPositive,
  expected,
  NonFiniteError,
  ShapeError,
  show,
} from "../errors.js";
import { drawSeed, mixSeed } from "../tensor/random.js";
import { showShape } from "../tensor/shape.js";
import { leaf, Tensor, type TensorLike, tensor } from "../tensor/tensor.js";

/** Options of {@link Perceptron.fit}. */
export interface PerceptronFitOptions {
  /** Passes over the samples at most; 100 by default. */
  epochs?: number;
  learningRate?: number;
  /** Whether each epoch has its own order; off by default, as Rosenblatt presented samples in turn. */
  shuffle?: boolean;
  seed?: number;
}

/** What a training came to. */
export interface PerceptronHistory {
  /** Samples that were wrong when they were presented, epoch by epoch. */
  readonly errors: readonly number[];
  /** Epochs it took. */
  readonly epochs: number;
  /** Corrections that were made: the sum of `errors`. */
  readonly corrections: number;
  /** True when the last epoch had none: the classes are separated. */
  readonly converged: boolean;
}

/** One unit that answers 1 where w·x + b > 0, else 0. Make one with `lw.perceptron()`. */
export class Perceptron {
  #weights: Float32Array;
  #bias = 0;

  /** The number of inputs may be left out: `fit` takes it from the data. */
  constructor(options: { inputs?: number } = {}) {
    checkKeys("perceptron()", options, ["inputs"]);
    const { inputs = 0 } = options;
    checkInteger("perceptron()", "inputs", inputs, 0);
    this.#weights = new Float32Array(inputs);
  }

  /** One weight per input. */
  get weights(): number[] {
    return [...this.#weights];
  }

  get bias(): number {
    return this.#bias;
  }

  /**
   * Learns labels of 0 and 1 (or −1 and 1): for each wrong sample w ← w + η·(t − y)·x and
   * b ← b + η·(t − y). Goes on from where the last `fit` ended.
   *
   * @throws ArgumentError for labels of more than two classes, NonFiniteError for inputs that are not finite.
   */
  fit(x: TensorLike, y: TensorLike, options: PerceptronFitOptions = {}): PerceptronHistory {
    const where = "perceptron.fit()";
    checkKeys(where, options, ["epochs", "learningRate", "shuffle", "seed"]);
    const { epochs = 100, learningRate = 1, shuffle = false, seed = drawSeed() } = options;
    checkInteger(where, "epochs", epochs, 1);
    checkPositive(where, "learningRate", learningRate);
    checkBoolean(where, "shuffle", shuffle);
    const { values, count, size } = this.#samples(where, x);
    const labels = labelsOf(where, y, count);
    if (this.#weights.length === 0) {
      this.#weights = new Float32Array(size);
    } else if (this.#weights.length !== size) {
      throw new ShapeError(expected(where, `${this.#weights.length} inputs`, `${size}`));
    }
    const w = this.#weights;
    const errors: number[] = [];
    for (let epoch = 0; epoch < epochs; epoch++) {
      let wrong = 0;
      for (const i of epochOrder(count, shuffle ? mixSeed(seed, epoch) : null)) {
        const error = labels[i]! - this.#answer(values, i * size);
        if (error === 0) continue;
        wrong++;
        for (let j = 0; j < size; j++) w[j]! += learningRate * error * values[i * size + j]!;
        this.#bias = Math.fround(this.#bias + learningRate * error);
      }
      // A sum that is NaN is not above 0, so that all samples might seem to be right.
      if (!Number.isFinite(this.#bias) || !w.every(Number.isFinite)) {
        throw new NonFiniteError(
          `${where}: the weights grew beyond float32 in epoch ${epoch + 1}; scale the inputs down`,
        );
      }
      errors.push(wrong);
      if (wrong === 0) break;
    }
    return {
      errors,
      epochs: errors.length,
      corrections: errors.reduce((a, b) => a + b, 0),
      converged: errors[errors.length - 1] === 0,
    };
  }

  /** 0 or 1 (int32) for each sample. */
  predict(x: TensorLike): Tensor {
    const { values, count, size } = this.#samples("perceptron.predict()", x);
    if (size !== this.#weights.length) {
      throw new ShapeError(
        this.#weights.length === 0
          ? "perceptron.predict(): it has not learnt anything yet; call fit(x, y) first"
          : expected("perceptron.predict()", `${this.#weights.length} inputs`, `${size}`),
      );
    }
    const answers = Int32Array.from({ length: count }, (_, i) => this.#answer(values, i * size));
    return leaf(answers, [count], "int32");
  }

  #answer(values: ArrayLike<number>, start: number): 0 | 1 {
    let sum = this.#bias;
    for (let j = 0; j < this.#weights.length; j++) sum += this.#weights[j]! * values[start + j]!;
    return sum > 0 ? 1 : 0;
  }

  #samples(where: string, x: TensorLike) {
    const t = x instanceof Tensor ? x.current() : tensor(x);
    if (t.rank !== 2 || t.shape[0] === 0 || t.shape[1] === 0) {
      throw new ShapeError(expected(where, "x of shape [samples, inputs]", showShape(t.shape)));
    }
    const values = t.dataSync();
    const [count, size] = t.shape as [number, number];
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
      const place = `${values[bad]} in sample ${Math.floor(bad / size)}, input ${bad % size}`;
      throw new NonFiniteError(expected(where, "x with finite values", place));
    }
    return { values, count, size };
  }
}

/** Labels as 0 and 1. */
function labelsOf(where: string, y: TensorLike, count: number): Uint8Array {
  const t = y instanceof Tensor ? y.current() : tensor(y);
  const flat = t.rank === 1 || (t.rank === 2 && t.shape[1] === 1);
  if (!flat || t.shape[0] !== count) {
    const hint =
      t.rank === 2 && t.shape[1]! > 1
        ? "a perceptron tells two classes apart; for more, use a model with a softmax layer"
        : undefined;
    throw new ShapeError(expected(where, `${count} labels`, showShape(t.shape), hint));
  }
  const values = t.dataSync();
  const kinds = [...new Set(values)].sort((a, b) => a - b);
  const binary = kinds.every((v) => v === 0 || v === 1);
  if (!binary && !kinds.every((v) => v === -1 || v === 1)) {
    throw new ArgumentError(
      expected(
        where,
        "labels of two classes, 0 and 1 (or −1 and 1)",
        `labels ${show(kinds)}`,
        "for more classes use lw.sequential with a softmax layer and sparseCategoricalCrossentropy",
      ),
    );
  }
  return Uint8Array.from(values, (v) => (v === 1 ? 1 : 0));
}

/** A perceptron that has learnt nothing yet. */
export function perceptron(options: { inputs?: number } = {}): Perceptron {
  return new Perceptron(options);
}
