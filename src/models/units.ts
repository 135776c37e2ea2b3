/**
 * Kinds of units of a Boltzmann machine: for each, the mean and a sample given the total input x, and
 * log ∫ exp(s·x) over the unit's states s, which is what integrating the unit out leaves of the energy.
 * Knows nothing of weights: how units are joined is in `energy.ts`.
 */
import { ArgumentError, checkChoice, checkInteger, expected, show } from "../errors.js";
import {
  abs,
  add,
  cast,
  greater,
  log,
  maximum,
  mul,
  neg,
  relu,
  sigmoid,
  softplus,
  sqrt,
  square,
  sub,
  where,
} from "../ops/elementwise.js";
import { oneHot } from "../ops/gather.js";
import { concat, slice } from "../ops/movement.js";
import { bernoulliFrom, normalFrom, uniformFrom } from "../ops/random.js";
import { logSumExp, sum } from "../ops/reduce.js";
import { argMax } from "../ops/select.js";
import { softmax } from "../ops/softmax.js";
import type { RandomSource } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";

/** What a kind of unit does; inputs and results are [rows, units]. */
interface UnitKind {
  /** Expected state given the total input. */
  mean(x: Tensor): Tensor;
  /** A state drawn given the total input. */
  sample(x: Tensor, source: RandomSource): Tensor;
  /**
   * Σ over the units of log ∫ exp(s·x − base(s)) ds: shape [rows]. May take less time where `mean`, {@link mean} of x, is
   * computed anyway, with an error of up to 2⁻²⁴ a unit.
   */
  logNormalizer(x: Tensor, mean?: Tensor): Tensor;
  /** Σ over the units of base(s), the energy that a state has by itself; null where it is 0. */
  readonly base: ((s: Tensor) => Tensor) | null;
  /** What a trained unit passes on as a feature. */
  feature(x: Tensor): Tensor;
  /** The activation of a dense layer that computes `feature`. */
  readonly activation: string;
}

const overUnits = (x: Tensor): Tensor => sum(x, 1);
const halfLog2Pi = 0.5 * Math.log(2 * Math.PI);

/**
 * ∫ softplus up to x, which is −Li₂(−eˣ). With t = softplus(|x|'s negative) the dilogarithm's series in
 * Bernoulli numbers converges fast (t ≤ ln 2); above 0 its inversion formula is used:
 * −Li₂(−eˣ) = π²/6 + x²/2 + Li₂(−e⁻ˣ).
 */
function softplusIntegral(x: Tensor): Tensor {
  const t = softplus(neg(abs(x)));
  const t2 = square(t);
  // t + t²/4 + t³/36 − t⁵/3600 + t⁷/211680 − t⁹/10886400
  let odd: Tensor = add(mul(t2, -1 / 10886400), 1 / 211680);
  for (const coefficient of [-1 / 3600, 1 / 36, 1]) odd = add(mul(odd, t2), coefficient);
  const below = add(mul(odd, t), mul(t2, 0.25));
  const above = sub(add(mul(square(x), 0.5), Math.PI ** 2 / 6), below);
  return where(greater(x, 0), above, below);
}

const kinds = {
  /** 0 or 1, with probability σ(x) of 1. */
  bernoulli: {
    mean: sigmoid,
    sample: (x, source) => cast(bernoulliFrom(source, x.shape, sigmoid(x)), "float32"),
    // log(1 + eˣ) = max(x, 0) − log max(σ(x), 1 − σ(x))
    logNormalizer: (x, mean) =>
      overUnits(mean ? sub(relu(x), log(maximum(mean, sub(1, mean)))) : softplus(x)),
    base: null,
    feature: sigmoid,
    activation: "sigmoid",
  },
  /** Any number: normal with mean x and variance 1, the data standardised. */
  gaussian: {
    mean: (x) => x,
    sample: (x, source) => add(x, normalFrom(source, x.shape)),
    logNormalizer: (x) => overUnits(add(mul(square(x), 0.5), halfLog2Pi)),
    base: (s) => overUnits(mul(square(s), 0.5)),
    feature: (x) => x,
    activation: "linear",
  },
  /** All units together one of as many states, one-hot, with probabilities softmax(x). */
  softmax: {
    mean: (x) => softmax(x),
    // The largest of x + Gumbel noise is distributed so (Gumbel 1954).
    sample(x, source) {
      const gumbel = neg(log(neg(log(uniformFrom(source, x.shape)))));
      return cast(oneHot(argMax(add(x, gumbel), 1), x.shape[1]!), "float32");
    },
    logNormalizer: (x) => logSumExp(x, 1),
    base: null,
    feature: (x) => softmax(x),
    activation: "softmax",
  },
  /**
   * Noisy rectified (Nair & Hinton 2010): the sum of many binary units whose biases step down by 1, its
   * mean softplus(x), drawn as max(0, x + normal(0, σ(x))).
   */
  relu: {
    mean: softplus,
    sample: (x, source) => relu(add(x, mul(normalFrom(source, x.shape), sqrt(sigmoid(x))))),
    logNormalizer: (x) => overUnits(softplusIntegral(x)),
    base: null,
    feature: relu,
    activation: "relu",
  },
} as const satisfies Record<string, UnitKind>;

/** A kind of unit in either layer. */
export type UnitName = keyof typeof kinds;

/** Kinds that a visible unit can be of. */
export type VisibleUnits = "bernoulli" | "gaussian" | "softmax";
/** Kinds that a hidden unit can be of. */
export type HiddenUnits = "bernoulli" | "gaussian" | "relu";

export const visibleUnitNames: readonly VisibleUnits[] = ["bernoulli", "gaussian", "softmax"];
export const hiddenUnitNames: readonly HiddenUnits[] = ["bernoulli", "gaussian", "relu"];

/** So many visible units of a kind next to each other; those of a softmax group are one choice. */
export interface UnitGroup {
  readonly type: VisibleUnits;
  readonly units: number;
}

/** A kind of unit by its name. */
export function unitKind(name: UnitName): UnitKind {
  return kinds[name];
}

/** Groups as a user may write them: one kind for all, or a list that covers the visible units. */
export function parseGroups(
  where_: string,
  given: unknown,
  visible: number | undefined,
): readonly UnitGroup[] {
  if (typeof given === "string") {
    checkChoice(where_, "visibleUnits", given, visibleUnitNames);
    if (visible === undefined) {
      throw new ArgumentError(
        `${where_}: the number of visible units is missing; give \`visible\` or \`inputShape\``,
      );
    }
    return [{ type: given, units: visible }];
  }
  if (!Array.isArray(given) || given.length === 0) {
    throw new ArgumentError(
      expected(where_, "`visibleUnits` to be a kind of unit or a list of groups", show(given)),
    );
  }
  const groups = given.map((group: unknown): UnitGroup => {
    const { type, units, ...rest } = (group ?? {}) as Partial<UnitGroup>;
    if (typeof group !== "object" || Object.keys(rest).length > 0) {
      const form = "each group of `visibleUnits` as { type, units }";
      throw new ArgumentError(expected(where_, form, show(group)));
    }
    checkChoice(`${where_}: visibleUnits`, "type", type, visibleUnitNames);
    checkInteger(`${where_}: visibleUnits`, "units", units, 1);
    return { type, units };
  });
  const total = groups.reduce((count, { units }) => count + units, 0);
  if (visible !== undefined && visible !== total) {
    throw new ArgumentError(
      expected(where_, `groups of ${visible} visible units in all`, `${total}`),
    );
  }
  return groups;
}

/** Applies `f` to the columns of each group and puts the results side by side. */
export function perGroup(
  groups: readonly UnitGroup[],
  x: Tensor,
  f: (kind: UnitKind, part: Tensor) => Tensor,
): Tensor {
  return concatParts(partsOf(groups, x).map(({ kind, part }) => f(kind, part)));
}

/** Adds up what `f` gives for each group, [rows] each. */
export function overGroups(
  groups: readonly UnitGroup[],
  x: Tensor,
  f: (kind: UnitKind, part: Tensor) => Tensor,
): Tensor {
  return partsOf(groups, x)
    .map(({ kind, part }) => f(kind, part))
    .reduce((a, b) => add(a, b));
}

function partsOf(
  groups: readonly UnitGroup[],
  x: Tensor,
): { readonly kind: UnitKind; readonly part: Tensor }[] {
  if (groups.length === 1) return [{ kind: kinds[groups[0]!.type], part: x }];
  let from = 0;
  return groups.map(({ type, units }) => {
    const part = slice(x, [0, from], [x.shape[0]!, units]);
    from += units;
    return { kind: kinds[type], part };
  });
}

function concatParts(parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : concat([...parts], 1);
}
