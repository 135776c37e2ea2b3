/**
 * The energy of a restricted Boltzmann machine and what follows from it: the conditional of either
 * layer and the free energy of the visible one.
 *
 *     E(v, h) = −vᵀW h − bᵀv − cᵀh + base(v) + base(h)
 *     F(v)    = −bᵀv + base(v) − Σⱼ log ∫ exp(hⱼ·xⱼ) dhⱼ,   x = c + vW
 *
 * base is ½s² for Gaussian units and 0 else. A machine between β = 0 and 1 has βW and βc and, at β = 0,
 * a visible bias of its own: annealing and tempering move along it. Everything here records ops on
 * [rows, units].
 */
import { add, mul, sub } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { mean, sum } from "../ops/reduce.js";
import type { RandomSource } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { type HiddenUnits, overGroups, perGroup, type UnitGroup, unitKind } from "./units.js";

/** What kinds of units a machine joins, and how many. */
export interface MachineLayout {
  readonly groups: readonly UnitGroup[];
  readonly visible: number;
  readonly hidden: number;
  readonly hiddenUnits: HiddenUnits;
}

/** The values of a machine's weights. */
export interface MachineWeights {
  /** [visible, hidden]. */
  readonly kernel: Tensor;
  readonly visibleBias: Tensor;
  readonly hiddenBias: Tensor;
}

/** Where between the base (β = 0) and the machine itself (β = 1) a conditional is taken. */
export interface Tempering {
  /** A scalar, or [rows, 1]. */
  readonly beta: Tensor;
  /** Visible bias of the base. */
  readonly baseBias: Tensor;
}

/** Total input of the hidden units, at β = 1. */
export function hiddenInput({ kernel, hiddenBias }: MachineWeights, v: Tensor): Tensor {
  return add(matMul(v, kernel), hiddenBias);
}

/** Total input of the visible units. */
export function visibleInput(
  { kernel, visibleBias }: MachineWeights,
  h: Tensor,
  tempering?: Tempering,
): Tensor {
  const product = matMul(h, kernel, false, true);
  if (!tempering) return add(product, visibleBias);
  const { beta, baseBias } = tempering;
  return add(mul(add(product, sub(visibleBias, baseBias)), beta), baseBias);
}

/** Mean of the visible units given their total input. */
export function visibleMean({ groups }: MachineLayout, input: Tensor): Tensor {
  return perGroup(groups, input, (kind, part) => kind.mean(part));
}

/** A state of the visible units given their total input. */
export function visibleSample(
  { groups }: MachineLayout,
  input: Tensor,
  source: RandomSource,
): Tensor {
  return perGroup(groups, input, (kind, part) => kind.sample(part, source));
}

/** Mean of the hidden units given their total input. */
export function hiddenMean({ hiddenUnits }: MachineLayout, input: Tensor): Tensor {
  return unitKind(hiddenUnits).mean(input);
}

/** A state of the hidden units given their total input. */
export function hiddenSample(
  { hiddenUnits }: MachineLayout,
  input: Tensor,
  source: RandomSource,
): Tensor {
  return unitKind(hiddenUnits).sample(input, source);
}

/** bᵀv for each row. */
export function biasTerm(v: Tensor, bias: Tensor): Tensor {
  return sum(mul(v, bias), 1);
}

/** Free energy of each row of `v`, whose hidden input is `x`: shape [rows]. */
export function freeEnergyOf(
  { groups, hiddenUnits }: MachineLayout,
  { visibleBias }: MachineWeights,
  v: Tensor,
  x: Tensor,
): Tensor {
  const visible = sub(ownEnergy(groups, v) ?? 0, biasTerm(v, visibleBias));
  return sub(visible, unitKind(hiddenUnits).logNormalizer(x));
}

/** {@link freeEnergyOf} over all rows in the mean, for less where the means of `v` and of the hidden units are known. */
export function meanFreeEnergy(
  { groups, hiddenUnits }: MachineLayout,
  { visibleBias }: MachineWeights,
  v: Tensor,
  meanOfV: Tensor,
  x: Tensor,
  hidden: Tensor,
): Tensor {
  const own = ownEnergy(groups, v);
  const visible = sub(own ? mean(own) : 0, sum(mul(meanOfV, visibleBias)));
  return sub(visible, mean(unitKind(hiddenUnits).logNormalizer(x, hidden)));
}

/** Σ base(v) of the visible units, [rows]; null where it is 0 for every kind that there is, so that nothing is computed. */
function ownEnergy(groups: readonly UnitGroup[], v: Tensor): Tensor | null {
  if (!groups.some(({ type }) => unitKind(type).base)) return null;
  return overGroups(groups, v, (kind, part) =>
    kind.base ? kind.base(part) : mul(sum(part, 1), 0),
  );
}

/** One round trip: hidden states given the visible ones, then visible states given those. */
export function gibbsStep(
  layout: MachineLayout,
  weights: MachineWeights,
  v: Tensor,
  source: RandomSource,
  tempering?: Tempering,
): Tensor {
  const x = hiddenInput(weights, v);
  const h = hiddenSample(layout, tempering ? mul(x, tempering.beta) : x, source);
  return visibleSample(layout, visibleInput(weights, h, tempering), source);
}
