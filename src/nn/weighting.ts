/**
 * How the values of a loss become one number: weights of samples, masks of predictions, values that count for
 * nothing, and the reduction. Metrics weigh their values by the same functions. Knows no losses.
 */
import { ShapeError } from "../errors.js";
import { divNoNan } from "../ops/composed.js";
import { broadcastTo, cast, div, maximum, mul, notEqual, where } from "../ops/elementwise.js";
import { reshape, squeeze } from "../ops/movement.js";
import { mean, sum } from "../ops/reduce.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** The names that the option `reduction` takes. */
export const reductions = ["sumOverBatchSize", "mean", "sum", "meanWithSampleWeight"] as const;

/**
 * How training puts a batch's values together: their mean (two names for it), their sum, or their mean by
 * weight. A loss that is called by itself gives a value per sample, which is Keras' `none`.
 */
export type Reduction = (typeof reductions)[number];

/** Which values of a loss count, kept beside the tensor as Keras keeps masks. */
const counted = new WeakMap<Tensor, Tensor>();

/** How the values of a loss with that option are to be put together, likewise. */
const wantedReductions = new WeakMap<Tensor, Reduction>();

/** Says which values of a loss count in {@link weightedMean}: those where `counts` is not 0. */
export function setCounted(values: Tensor, counts: Tensor): void {
  counted.set(values, float(counts));
}

/** Says how {@link weightedMean} is to put values together. */
export function setReduction(values: Tensor, reduction: Reduction): void {
  wantedReductions.set(values, reduction);
}

const float = (x: Tensor): Tensor => cast(x, "float32");

/** Weights as a tensor that broadcasts against `values`, whose leading dimensions they share. */
export function alignWeights(weights: Tensor, values: Tensor): Tensor {
  const w = float(weights);
  const trimmed = w.rank === values.rank + 1 && w.shape[values.rank] === 1 ? squeeze(w, -1) : w;
  if (trimmed.rank > values.rank) {
    throw new ShapeError(
      `sampleWeight of shape ${showShape(weights.shape)} does not fit values ${showShape(values.shape)}`,
    );
  }
  return trimmed.rank === values.rank
    ? trimmed
    : reshape(trimmed, [
        ...trimmed.shape,
        ...new Array<number>(values.rank - trimmed.rank).fill(1),
      ]);
}

/**
 * Σ weight · value / number of values: Keras' `sum_over_batch_size`, unless the loss was made with another
 * reduction. Values that are ignored, or that `outputMask` (of the predictions) leaves out, don't count. A
 * value of the whole batch has every sample's weight.
 */
export function weightedMean(
  values: Tensor,
  weights: Tensor | null,
  outputMask: Tensor | null = null,
): Tensor {
  const spread = perWeight(values, weights);
  const aligned = weights && alignWeights(weights, spread);
  const ignored = counted.get(values);
  const steps = outputMask && alignMask(outputMask, spread);
  const mask = steps ? (ignored ? mul(steps, ignored) : steps) : ignored;
  // Selected rather than multiplied: what stands in the padding may be anything.
  const valid = steps ? where(notEqual(steps, 0), spread, 0) : spread;
  const weighted = aligned ? mul(valid, aligned) : valid;
  const reduction = wantedReductions.get(values);
  if (reduction === "sum") return sum(weighted);
  if (reduction === "meanWithSampleWeight" && aligned) {
    const full = broadcastTo(aligned, spread.shape);
    return divNoNan(sum(weighted), sum(mask ? mul(full, mask) : full));
  }
  if (mask) return div(sum(weighted), maximum(sum(mask), 1));
  return weighted.rank === 0 ? weighted : mean(weighted);
}

/** A mask of predictions as 0 and 1 for each value of a loss. */
function alignMask(mask: Tensor, values: Tensor): Tensor {
  if (mask.rank > values.rank) {
    throw new ShapeError(
      `the output has a mask of shape ${showShape(mask.shape)}, but there is one loss for each of shape ` +
        `${showShape(values.shape)}; give the output a last dimension of 1, so that there is one for each step`,
    );
  }
  return broadcastTo(alignWeights(mask, values), values.shape);
}

/** The weights of values: those of the samples times 1 or 0 by the mask of the predictions. */
export function maskedWeights(weights: Tensor | null, mask: Tensor | null): Tensor | null {
  if (mask === null) return weights;
  const counts = float(mask);
  if (weights === null) return counts;
  const [few, many] = weights.rank < counts.rank ? [weights, counts] : [counts, float(weights)];
  return mul(many, alignWeights(few, many));
}

/** A single value for a whole batch repeated for each weight; other values as they are. */
export function perWeight(values: Tensor, weights: Tensor | null): Tensor {
  return values.rank === 0 && weights ? broadcastTo(values, weights.shape) : values;
}
