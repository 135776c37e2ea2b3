/**
 * How masks go through layers: what is done around each `call`. The rules are Keras': outputs that have masks
 * keep them, else the layer's `computeMask` gives them; a layer that does not support masks drops them,
 * and says so once.
 */

import { logicalAnd } from "../ops/elementwise.js";
import { withMask } from "../ops/identity.js";
import { maskOf, setMask } from "../tensor/mask.js";
import { Tensor } from "../tensor/tensor.js";
import type { CallContext } from "./layer.js";
import { spread } from "./sequence.js";

/** The mask of one input or output, or those of several in order. */
export type Masks = Tensor | null | readonly (Tensor | null)[];

/** What of a layer matters here. */
interface MaskingLayer {
  readonly where: string;
  readonly supportsMasking: boolean;
  computeMask(inputs: Tensor | Tensor[], mask: Masks): Masks;
}

/** True for the masks of several inputs or outputs. */
export function isMaskList(mask: Masks): mask is readonly (Tensor | null)[] {
  return Array.isArray(mask);
}

const warned = new WeakSet<MaskingLayer>();

/** The outputs of `layer` with their masks. */
export function maskOutputs(
  layer: MaskingLayer,
  inputs: Tensor | Tensor[],
  outputs: Tensor | Tensor[],
): Tensor | Tensor[] {
  const given: Masks = Array.isArray(inputs) ? inputs.map(maskOf) : maskOf(inputs);
  if (!layer.supportsMasking) {
    const dropped = isMaskList(given) ? given.some((m) => m !== null) : given !== null;
    if (dropped && !warned.has(layer)) {
      warned.add(layer);
      process.emitWarning(
        `${layer.where}: its input has a mask, which it can't take into account; the layers after it see all steps`,
        "LayerwiseWarning",
      );
    }
    return outputs;
  }
  const list: readonly Tensor[] = Array.isArray(outputs) ? outputs : [outputs];
  // What is no tensor is reported by whoever called.
  if (!list.every((y) => y instanceof Tensor && maskOf(y) === null)) return outputs;
  const made = layer.computeMask(inputs, given);
  const masks = isMaskList(made) ? made : list.map(() => made);
  const masked = list.map((y, i) => {
    const mask = masks[i] ?? null;
    if (mask === null) return y;
    // An input that is passed on stays as it was.
    if ([inputs].flat().includes(y)) return withMask(y, mask);
    setMask(layer.where, y, mask);
    return y;
  });
  return Array.isArray(outputs) ? masked : masked[0]!;
}

/**
 * What counts of x for what a layer computes over several samples or steps: its mask, without the samples
 * that don't count in this run. Null where all of it does.
 */
export function countedOf(x: Tensor, { samples }: Pick<CallContext, "samples">): Tensor | null {
  const mask = maskOf(x);
  // Where a layer made another number of samples of them, they can't be told any more.
  if (!samples || samples.shape[0] !== x.shape[0]) return mask;
  return mask ? logicalAnd(mask, spread(samples, mask)) : samples;
}

/** True where all of the masks are; a missing one is true everywhere. Null where all are missing. */
export function allOf(masks: Masks): Tensor | null {
  const given = [...new Set(isMaskList(masks) ? masks : [masks])].filter((m) => m !== null);
  if (given.length < 2) return given[0] ?? null;
  return given.reduce((a, b) => logicalAnd(a, b));
}
