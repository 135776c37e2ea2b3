/**
 * One step of learning a restricted Boltzmann machine, as training sees it. The gradient of the mean
 * log-likelihood is a difference of two expectations,
 *
 *     ∂/∂W = ⟨v hᵀ⟩ data − ⟨v hᵀ⟩ model,
 *
 * the second of which is taken over samples of `negative.ts`. It is handed to the optimizer as the
 * hand-written gradient of a scalar, the difference of the free energies of data and samples, whose
 * own derivative (the samples held fixed) it is. So rates, momentum, schedules and clipping are those
 * of any model, and the whole update is one Program.
 */
import { customGrad } from "../autodiff/custom.js";
import { ArgumentError, checkBoolean, checkKeys, checkNumber, expected, show } from "../errors.js";
import { add, mul, square, sub } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { concat, slice } from "../ops/movement.js";
import { mean, sum } from "../ops/reduce.js";
import type { OptimizerIdentifier } from "../optimizers/factories.js";
import type { Shape } from "../tensor/shape.js";
import { type Tensor, zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import type { RunContext } from "../training/step.js";
import {
  hiddenInput,
  hiddenMean,
  hiddenSample,
  type MachineLayout,
  type MachineWeights,
  meanFreeEnergy,
  visibleInput,
  visibleMean,
  visibleSample,
} from "./energy.js";
import {
  type ChainState,
  type NegativeOptions,
  type NegativePlan,
  negativeKeys,
  planNegative,
  walk,
  walkTempered,
} from "./negative.js";

/** How rarely hidden units should be on (Hinton 2010, section 11). */
export interface SparsityOptions {
  /** Wanted mean activation. */
  readonly target: number;
  /** How strongly a unit's running mean is drawn to it. */
  readonly cost: number;
  /** How much of the running mean each step keeps; 0.9 by default. */
  readonly decay?: number;
}

/** How a Boltzmann machine learns. */
export interface ContrastOptions extends NegativeOptions {
  /**
   * A name or what `lw.optimizers` makes; by default gradient descent with rate 0.05 and momentum 0.5.
   * A momentum that rises during training is `sgd({ momentum: schedules.piecewiseConstantDecay(…) })`.
   */
  optimizer?: OptimizerIdentifier;
  /** λ of a penalty λ/2·‖W‖² on the weights; the biases have none. */
  weightDecay?: number;
  sparsity?: SparsityOptions | null;
  /**
   * Whether visible units of a contrastive-divergence chain are drawn (`"samples"`) or take their means,
   * which is less noisy but no longer learns a density.
   */
  reconstruction?: "samples" | "means";
  /** Whether persistent methods also measure the reconstruction error, for a product more per step. */
  monitor?: boolean;
}

/** {@link ContrastOptions} without the optimizer, checked and complete. */
export interface ContrastPlan extends NegativePlan {
  readonly weightDecay: number;
  readonly sparsity: Required<SparsityOptions> | null;
  readonly reconstruction: "samples" | "means";
  readonly monitor: boolean;
}

export const contrastKeys = [
  "optimizer",
  "weightDecay",
  "sparsity",
  "reconstruction",
  "monitor",
  ...negativeKeys,
] as const satisfies readonly (keyof ContrastOptions)[];

/** Checks the options and fills in what is missing. */
export function planContrast(where: string, options: ContrastOptions): ContrastPlan {
  if (typeof options !== "object" || options === null) {
    throw new ArgumentError(expected(where, "an object with options", show(options)));
  }
  checkKeys(where, options, contrastKeys, {
    k: "steps",
    gibbsSteps: "steps",
    decay: "weightDecay",
  });
  const { weightDecay = 0, sparsity = null, reconstruction = "samples", monitor = true } = options;
  checkNumber(where, "weightDecay", weightDecay, 0);
  if (reconstruction !== "samples" && reconstruction !== "means") {
    const wanted = '`reconstruction` to be "samples" or "means"';
    throw new ArgumentError(expected(where, wanted, show(reconstruction)));
  }
  checkBoolean(where, "monitor", monitor);
  const negative = planNegative(where, options);
  if (negative.method !== "cd" && options.reconstruction !== undefined) {
    throw new ArgumentError(
      `${where}: persistent chains always draw their visible units; \`reconstruction\` is for method "cd"`,
    );
  }
  return {
    ...negative,
    weightDecay,
    sparsity: planSparsity(where, sparsity),
    reconstruction,
    monitor,
  };
}

function planSparsity(
  where: string,
  sparsity: SparsityOptions | null,
): Required<SparsityOptions> | null {
  if (sparsity === null) return null;
  const inside = `${where}: sparsity`;
  if (typeof sparsity !== "object") {
    throw new ArgumentError(expected(inside, "{ target, cost }", show(sparsity)));
  }
  checkKeys(inside, sparsity, ["target", "cost", "decay"]);
  const { target, cost, decay = 0.9 } = sparsity;
  checkNumber(inside, "target", target, 0);
  checkNumber(inside, "cost", cost, 0);
  checkNumber(inside, "decay", decay, 0, 1);
  return { target, cost, decay };
}

/** The variables that learning changes beside the weights. */
export interface ContrastState {
  /** Null for contrastive divergence. */
  readonly chains: ChainState | null;
  /** Running mean of each hidden unit; null without a sparsity target. */
  readonly activity: Variable | null;
}

/** What the machine reports to `fit` beside its loss. */
export const contrastReports = ["reconstructionError", "freeEnergy"] as const;

/** What of {@link contrastReports} a plan measures. */
export function reportsOf({ method, monitor }: ContrastPlan): readonly string[] {
  return method === "cd" || monitor ? contrastReports : ["freeEnergy"];
}

/**
 * The update for the visible states `v0` ([rows, visible]): its scalar with the gradient goes to
 * `addLoss`, what it measures to `report`. Gives the negative samples, [rows or chains, visible].
 */
export function contrast(
  layout: MachineLayout,
  weights: MachineWeights,
  plan: ContrastPlan,
  state: ContrastState,
  v0: Tensor,
  context: RunContext,
): Tensor {
  const { random } = context;
  const x0 = hiddenInput(weights, v0);
  const p0 = hiddenMean(layout, x0);
  const persistent = plan.method !== "cd";
  let v: Tensor;
  if (persistent) {
    const chains = state.chains!;
    const next =
      plan.method === "pcd"
        ? walk(layout, weights, chains.visible.read(), plan.steps, random)
        : walkTempered(layout, weights, chains, plan, random);
    if (context.training) chains.visible.assign(next);
    v = plan.method === "pcd" ? next : slice(next, [0, 0], [plan.chains, layout.visible]);
  } else {
    v = v0;
  }
  if (!persistent || plan.monitor) {
    const a = visibleInput(weights, hiddenSample(layout, x0, random));
    const means = visibleMean(layout, a);
    context.report("reconstructionError", mean(sum(square(sub(v0, means)), 1)));
    if (!persistent) {
      v = plan.reconstruction === "means" ? means : visibleSample(layout, a, random);
      for (let step = 1; step < plan.steps; step++) {
        const h = hiddenSample(layout, hiddenInput(weights, v), random);
        const input = visibleInput(weights, h);
        v =
          plan.reconstruction === "means"
            ? visibleMean(layout, input)
            : visibleSample(layout, input, random);
      }
    }
  }
  const x = hiddenInput(weights, v);
  const p = hiddenMean(layout, x);
  const [mean0, meanV] = [mean(v0, 0), mean(v, 0)];
  const free = meanFreeEnergy(layout, weights, v0, mean0, x0, p0);
  const loss = sub(free, meanFreeEnergy(layout, weights, v, meanV, x, p));
  context.report("freeEnergy", free);
  const positive = plan.sparsity
    ? sub(p0, sparsityPull(plan.sparsity, state.activity!, p0, context.training))
    : p0;
  const data = { v: v0, mean: mean0, h: positive };
  context.addLoss(withStatistics(weights, plan, loss, data, { v, mean: meanV, h: p }));
  return v;
}

/** The state that learning by this plan needs. */
export function contrastState(
  name: string,
  layout: MachineLayout,
  plan: ContrastPlan,
): ContrastState {
  const zeros = (local: string, shape: Shape): Variable =>
    new Variable(zerosLeaf(shape, "float32"), `${name}/${local}`, false);
  const rows = plan.chains * Math.max(1, plan.betas.length);
  const chains: ChainState | null =
    plan.method === "cd"
      ? null
      : {
          visible: zeros("chains", [rows, layout.visible]),
          baseBias: zeros("baseBias", [layout.visible]),
        };
  const activity = plan.sparsity ? zeros("activity", [layout.hidden]) : null;
  if (plan.sparsity) activity!.storageForUpdate().fill(plan.sparsity.target);
  return { chains, activity };
}

/** By how much each unit's activity is taken to be too high, after the running mean moved on. */
function sparsityPull(
  { target, cost, decay }: Required<SparsityOptions>,
  activity: Variable,
  p0: Tensor,
  training: boolean,
): Tensor {
  const running = add(mul(activity.read(), decay), mul(mean(p0, 0), 1 - decay));
  if (training) activity.assign(running);
  return mul(sub(running, target), cost);
}

/** Visible states, their mean, and the means of the hidden units given them. */
interface Phase {
  readonly v: Tensor;
  readonly mean: Tensor;
  readonly h: Tensor;
}

/** `loss` with the statistics of both phases as its gradient. */
function withStatistics(
  { kernel, visibleBias, hiddenBias }: MachineWeights,
  { weightDecay }: Pick<ContrastPlan, "weightDecay">,
  loss: Tensor,
  data: Phase,
  model: Phase,
): Tensor {
  return customGrad((w) => ({
    value: loss,
    gradFunc(dy) {
      // Both phases in one product, so that their difference is never stored.
      const share = ({ v, h }: Phase, sign: number) => mul(h, sign / v.shape[0]!);
      const states = concat([data.v, model.v], 0);
      const units = concat([share(data, -1), share(model, 1)], 0);
      const product = matMul(states, units, true);
      const decayed = weightDecay === 0 ? product : add(product, mul(w!, weightDecay));
      return [mul(decayed, dy), mul(sub(model.mean, data.mean), dy), mul(sum(units, 0), dy)];
    },
  }))(kernel, visibleBias, hiddenBias);
}
