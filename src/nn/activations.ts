/**
 * Activations by name, function or configuration: Keras 3's set. The formulas are ops; this file only
 * names them and their options.
 */
import {
  celu,
  elu,
  exponential,
  gelu,
  glu,
  hardShrink,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu6,
  scaledTanh,
  selu,
  softShrink,
  softsign,
  sparsePlus,
  sparseSigmoid,
  squareplus,
  swish,
  tanhShrink,
  threshold,
  thresholdedRelu,
} from "../ops/composed.js";
import {
  greaterEqual,
  minimum,
  mul,
  relu,
  sigmoid,
  softplus,
  sub,
  tanh,
  where,
} from "../ops/elementwise.js";
import { logSoftmax, softmax, sparsemax } from "../ops/softmax.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  boolean,
  type ConfigOf,
  family,
  integer,
  type Member,
  type MemberLike,
  nullable,
  number,
  row,
} from "./options.js";

/** A function from a tensor to one of the same shape (`glu` halves an axis). */
export type ActivationFunction = (x: Tensor) => Tensor;

/** An activation with its options. */
export type Activation = Member<ActivationFunction>;

const simple = (name: string, f: ActivationFunction) =>
  row(name, {}, (): ActivationFunction => f, f);
const linear: ActivationFunction = (x) => x;

/** The options of a rectifier, as an activation and as a layer. */
export const rectifierOptions = {
  /** Upper limit; none by default. */
  maxValue: nullable(number({ min: 0 })),
  /** Slope below the threshold. */
  negativeSlope: number({ min: 0 }, 0),
  /** Where the positive part begins. */
  threshold: number({ min: 0 }, 0),
};

/** min(x, maxValue) from the threshold on, negativeSlope · (x − threshold) below. */
export function rectifier(
  x: Tensor,
  { maxValue, negativeSlope, threshold: from }: ConfigOf<typeof rectifierOptions>,
): Tensor {
  const simple = negativeSlope === 0 && from === 0;
  const below = mul(sub(x, from), negativeSlope);
  const y = simple ? relu(x) : where(greaterEqual(x, from), x, below);
  return maxValue === null ? y : minimum(y, maxValue);
}

function activationRows() {
  return {
    linear: simple("linear", linear),
    relu: row(
      "relu",
      rectifierOptions,
      (options): ActivationFunction =>
        (x) =>
          rectifier(x, options),
      relu,
    ),
    relu6: simple("relu6", relu6),
    leakyRelu: row(
      "leakyRelu",
      { alpha: number({}, 0.2) },
      ({ alpha }): ActivationFunction =>
        (x) =>
          leakyRelu(x, alpha),
      leakyRelu,
    ),
    elu: row(
      "elu",
      { alpha: number({}, 1) },
      ({ alpha }): ActivationFunction =>
        (x) =>
          elu(x, alpha),
      elu,
    ),
    selu: simple("selu", selu),
    celu: row(
      "celu",
      { alpha: number({}, 1) },
      ({ alpha }): ActivationFunction =>
        (x) =>
          celu(x, alpha),
      celu,
    ),
    gelu: row(
      "gelu",
      { approximate: boolean(false) },
      ({ approximate }): ActivationFunction =>
        (x) =>
          gelu(x, approximate),
      gelu,
    ),
    glu: row(
      "glu",
      { axis: integer({}, -1) },
      ({ axis }): ActivationFunction =>
        (x) =>
          glu(x, axis),
      glu,
    ),
    sigmoid: simple("sigmoid", sigmoid),
    hardSigmoid: simple("hardSigmoid", hardSigmoid),
    logSigmoid: simple("logSigmoid", logSigmoid),
    tanh: simple("tanh", tanh),
    hardTanh: simple("hardTanh", hardTanh),
    tanhShrink: simple("tanhShrink", tanhShrink),
    scaledTanh: simple("scaledTanh", scaledTanh),
    softShrink: row(
      "softShrink",
      { threshold: number({ min: 0 }, 0.5) },
      ({ threshold }): ActivationFunction =>
        (x) =>
          softShrink(x, threshold),
      softShrink,
    ),
    hardShrink: row(
      "hardShrink",
      { threshold: number({ min: 0 }, 0.5) },
      ({ threshold }): ActivationFunction =>
        (x) =>
          hardShrink(x, threshold),
      hardShrink,
    ),
    softmax: row(
      "softmax",
      { axis: integer({}, -1) },
      ({ axis }): ActivationFunction =>
        (x) =>
          softmax(x, axis),
      softmax,
    ),
    logSoftmax: row(
      "logSoftmax",
      { axis: integer({}, -1) },
      ({ axis }): ActivationFunction =>
        (x) =>
          logSoftmax(x, axis),
      logSoftmax,
    ),
    sparsemax: row(
      "sparsemax",
      { axis: integer({}, -1) },
      ({ axis }): ActivationFunction =>
        (x) =>
          sparsemax(x, axis),
      sparsemax,
    ),
    sparsePlus: simple("sparsePlus", sparsePlus),
    sparseSigmoid: simple("sparseSigmoid", sparseSigmoid),
    squareplus: row(
      "squareplus",
      { b: number({ min: 0 }, 4) },
      ({ b }): ActivationFunction =>
        (x) =>
          squareplus(x, b),
      squareplus,
    ),
    threshold: row(
      "threshold",
      { threshold: number(), defaultValue: number() },
      ({ threshold: limit, defaultValue }): ActivationFunction =>
        (x) =>
          threshold(x, limit, defaultValue),
    ),
    softplus: simple("softplus", softplus),
    softsign: simple("softsign", softsign),
    swish: simple("swish", swish),
    silu: simple("silu", swish),
    hardSwish: simple("hardSwish", hardSwish),
    hardSilu: simple("hardSilu", hardSwish),
    mish: simple("mish", mish),
    exponential: simple("exponential", exponential),
    thresholdedRelu: row(
      "thresholdedRelu",
      { theta: number({}, 1) },
      ({ theta }): ActivationFunction =>
        (x) =>
          thresholdedRelu(x, theta),
      thresholdedRelu,
    ),
  };
}

/** The activations by name. */
export const activationFamily = family("activation", activationRows());

/** Makes activations with options: `lw.activations.gelu({ approximate: true })`. */
export const activations = activationFamily.make;

/** The name of an activation that is built in. */
export type ActivationName = keyof ReturnType<typeof activationRows>;

/** A name, a configuration, a function of a tensor, or what `lw.activations` makes. */
export type ActivationLike = MemberLike<ActivationFunction, ActivationName>;

/**
 * Enters an activation of your own, so that models with it can be saved and loaded.
 *
 * @example
 * lw.registerActivation("cube", (x) => x.mul(x).mul(x));
 * lw.layers.dense({ units: 8, activation: { className: "cube" } });
 */
export function registerActivation(name: string, f: ActivationFunction): void {
  activationFamily.register(name, f);
}
