/**
 * Constraints: functions that bring a weight back into an allowed set after each optimizer step, with
 * Keras' formulas and defaults.
 */
import { ArgumentError, expected } from "../errors.js";
import { clipByValue } from "../ops/composed.js";
import { add, div, mul, relu } from "../ops/elementwise.js";
import { norm } from "../ops/reduce.js";
import type { Tensor } from "../tensor/tensor.js";
import { axes, family, type Member, type MemberLike, number, row } from "./options.js";

/** Gives the nearest allowed value of a weight: same shape. */
export type ConstraintFunction = (w: Tensor) => Tensor;

/** A constraint with its options. */
export type Constraint = Member<ConstraintFunction>;

/** Keras' epsilon: keeps the division finite for a weight of zeros. */
const epsilon = 1e-7;

/** w scaled so that its norms over `axis` become `wanted(norms)`. */
function rescale(
  w: Tensor,
  axis: number | readonly number[],
  wanted: (norms: Tensor) => Tensor,
): Tensor {
  const norms = norm(w, 2, axis, true);
  return mul(w, div(wanted(norms), add(norms, epsilon)));
}

function constraintRows() {
  return {
    /** Norms over `axis` of at most `maxValue` (Srivastava et al. 2014). */
    maxNorm: row(
      "MaxNorm",
      { maxValue: number({ min: 0 }, 2), axis: axes(0) },
      ({ maxValue, axis }): ConstraintFunction =>
        (w) =>
          rescale(w, axis, (norms) => clipByValue(norms, 0, maxValue)),
    ),
    /** Norms over `axis` between `minValue` and `maxValue`; `rate` < 1 goes there only partly. */
    minMaxNorm: row(
      "MinMaxNorm",
      {
        minValue: number({ min: 0 }, 0),
        maxValue: number({ min: 0 }, 1),
        rate: number({ min: 0, max: 1 }, 1),
        axis: axes(0),
      },
      ({ minValue, maxValue, rate, axis }): ConstraintFunction => {
        if (minValue > maxValue) {
          throw new ArgumentError(
            expected("constraint minMaxNorm", "minValue ≤ maxValue", `${minValue} and ${maxValue}`),
          );
        }
        return (w) =>
          rescale(w, axis, (norms) =>
            add(mul(clipByValue(norms, minValue, maxValue), rate), mul(norms, 1 - rate)),
          );
      },
    ),
    /** No negative values. */
    nonNeg: row("NonNeg", {}, (): ConstraintFunction => (w) => relu(w)),
    /** Norms over `axis` of 1. */
    unitNorm: row(
      "UnitNorm",
      { axis: axes(0) },
      ({ axis }): ConstraintFunction =>
        (w) =>
          div(w, add(norm(w, 2, axis, true), epsilon)),
    ),
  };
}

/** The constraints by name. */
export const constraintFamily = family("constraint", constraintRows());

/** Makes constraints with options: `lw.constraints.maxNorm({ maxValue: 3 })`. */
export const constraints = constraintFamily.make;

/** The name of a constraint that is built in. */
export type ConstraintName = keyof ReturnType<typeof constraintRows>;

/** A name, a configuration, a function of a tensor, or what `lw.constraints` makes. */
export type ConstraintLike = MemberLike<ConstraintFunction, ConstraintName>;

/** Enters a constraint of your own under a name, so that models with it can be saved and loaded. */
export function registerConstraint(name: string, f: ConstraintFunction): void {
  constraintFamily.register(name, f);
}
