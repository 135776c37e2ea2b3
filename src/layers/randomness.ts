/** Where layers that draw random numbers take them from. */
import type { RandomSource } from "../tensor/random.js";
import type { CallContext, Layer } from "./layer.js";

/**
 * The run's randomness, or that of the layer's own seed: another draw at each use and step. As in Keras,
 * two layers with the same seed draw the same.
 */
export function sourceOf(layer: Layer, context: CallContext, own: number | null): RandomSource {
  return own === null ? context.random : context.random.withSeed(layer, own);
}
