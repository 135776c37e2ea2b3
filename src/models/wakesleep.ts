/**
 * One step of the up-down algorithm (Hinton, Osindero & Teh 2006, appendix B), which fine-tunes a deep
 * belief network as a generative model. Going up, samples of the recognition weights teach the
 * generative weights to bring back what was below; the top machine learns by contrast; going down from
 * its negative samples, samples of the generative weights teach the recognition weights.
 */
import { customGrad } from "../autodiff/custom.js";
import { mul, square, sub } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { concat, slice } from "../ops/movement.js";
import { mean, sum } from "../ops/reduce.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { RunContext } from "../training/step.js";
import { type ContrastPlan, type ContrastState, contrast, reportsOf } from "./contrast.js";
import { hiddenInput, visibleInput } from "./energy.js";
import type { Machine } from "./machine.js";
import { perGroup, unitKind } from "./units.js";

/** A machine below the top, and the weights by which it generates; up it goes by its own. */
export interface DirectedLayer {
  readonly machine: Machine;
  /** [visible, hidden], as the machine's kernel. */
  readonly generativeKernel: Variable;
}

/** What the algorithm reports beside its loss, with so many layers below the top. */
export function wakeSleepReports(plan: ContrastPlan, below: number): readonly string[] {
  const own = reportsOf(plan).map((name) => topName(name, below));
  return below > 0 ? ["reconstructionError", ...own] : own;
}

/** A top machine with nothing below reconstructs the data themselves. */
const topName = (name: string, below: number): string =>
  name === "reconstructionError" && below > 0 ? "topReconstructionError" : name;

/** The update for visible states `v0` ([rows, visible]) and, if the top has them, one-hot labels. */
export function wakeSleep(
  layers: readonly DirectedLayer[],
  top: Machine,
  plan: ContrastPlan,
  state: ContrastState,
  v0: Tensor,
  labels: Tensor | null,
  context: RunContext,
): void {
  const { random } = context;
  // Wake: up by recognition weights.
  const wake: Tensor[] = [v0];
  for (const { machine } of layers) {
    const { hiddenUnits } = machine.layout;
    const x = hiddenInput(machine.read(), wake[wake.length - 1]!);
    wake.push(unitKind(hiddenUnits).sample(x, random));
  }
  const upper = wake[wake.length - 1]!;
  const joined = labels ? concat([upper, labels], 1) : upper;
  const negative = contrast(top.layout, top.read(), plan, state, joined, {
    ...context,
    report: (name, value) => context.report(topName(name, layers.length), value),
  });
  layers.forEach(({ machine, generativeKernel }, i) => {
    const { visibleBias } = machine.read();
    const kernel = generativeKernel.read();
    const above = wake[i + 1]!;
    const input = visibleInput({ ...machine.read(), kernel }, above);
    const predicted = perGroup(machine.layout.groups, input, (kind, part) => kind.mean(part));
    const error = sub(predicted, wake[i]!);
    const size = mean(sum(square(error), 1));
    if (i === 0) context.report("reconstructionError", size);
    context.addLoss(
      withDelta(size, kernel, visibleBias, error, (scaled) => matMul(scaled, above, true)),
    );
  });
  // Sleep: down from the top's own belief by generative weights.
  const [rows, units] = [negative.shape[0]!, upper.shape[1]!];
  let belief = labels ? slice(negative, [0, 0], [rows, units]) : negative;
  for (const { machine, generativeKernel } of [...layers].reverse()) {
    const { kernel, hiddenBias, visibleBias } = machine.read();
    const { groups, hiddenUnits } = machine.layout;
    const weights = { kernel: generativeKernel.read(), visibleBias, hiddenBias };
    const below = perGroup(groups, visibleInput(weights, belief), (kind, part) =>
      kind.sample(part, random),
    );
    const predicted = unitKind(hiddenUnits).mean(hiddenInput(machine.read(), below));
    const error = sub(predicted, belief);
    const size = mean(sum(square(error), 1));
    context.addLoss(
      withDelta(size, kernel, hiddenBias, error, (scaled) => matMul(below, scaled, true)),
    );
    belief = below;
  }
}

/**
 * `value` with the delta rule as its gradient: that of −log p of the states that were to be predicted,
 * which for all kinds of units is (mean − state) times the states it was predicted from.
 */
function withDelta(
  value: Tensor,
  kernel: Tensor,
  bias: Tensor,
  error: Tensor,
  product: (error: Tensor) => Tensor,
): Tensor {
  return customGrad(() => ({
    value,
    gradFunc(dy) {
      const scaled = mul(error, 1 / error.shape[0]!);
      return [mul(product(scaled), dy), mul(sum(scaled, 0), dy)];
    },
  }))(kernel, bias);
}
