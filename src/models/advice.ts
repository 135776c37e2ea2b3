/** Warnings about compiled models that run, but hardly as they were meant. */
import type { Layer } from "../layers/layer.js";
import type { SymbolicTensor } from "../layers/symbolic.js";
import { type LossFunction, lossConfig } from "../nn/losses.js";

/** Losses of probabilities, and the activation that makes these. */
const wanted: Readonly<Record<string, string>> = {
  binaryCrossentropy: "sigmoid",
  binaryFocalCrossentropy: "sigmoid",
  categoricalCrossentropy: "softmax",
  categoricalFocalCrossentropy: "softmax",
  sparseCategoricalCrossentropy: "softmax",
};

const warned = new WeakSet<Layer>();

/** Warns, once a layer, where a loss of probabilities is given the sums of a linear layer. */
export function warnOfLogits(
  where: string,
  outputs: readonly SymbolicTensor[],
  losses: readonly (LossFunction | null)[],
): void {
  outputs.forEach(({ connection: { layer } }, i) => {
    const loss = losses[i] ? lossConfig(losses[i]) : undefined;
    const activation = loss && wanted[loss.name];
    if (!activation || loss.options.fromLogits === true || warned.has(layer)) return;
    const own = (layer.config as { activation?: { className?: unknown } }).activation;
    if (own?.className !== "linear") return;
    warned.add(layer);
    process.emitWarning(
      `${where}: ${loss.name} takes probabilities, but ${layer.where} has no activation; give it ` +
        `activation: "${activation}", or use lw.losses.${loss.name}({ fromLogits: true })`,
      "LayerwiseWarning",
    );
  });
}
