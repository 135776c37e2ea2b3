/** The three ways to limit gradients: by element, by the norm of each, by the norm of all together. */
import { add, div, maximum, minimum, mul, sqrt, square } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import type { Tensor } from "../tensor/tensor.js";

/** At most one of these is set. */
export interface ClipOptions {
  /** Largest magnitude of an element. */
  readonly clipValue: number | null;
  /** Largest Euclidean norm of each gradient. */
  readonly clipNorm: number | null;
  /** Largest Euclidean norm of all gradients taken as one vector. */
  readonly globalClipNorm: number | null;
}

const squares = (g: Tensor): Tensor => sum(square(g));

/** g · limit / max(norm, limit): unchanged where the norm is within the limit. */
const within = (g: Tensor, norm: Tensor, limit: number): Tensor =>
  mul(g, div(limit, maximum(norm, limit)));

/** Gradients brought within the limits. */
export function clipGradients(gradients: readonly Tensor[], options: ClipOptions): Tensor[] {
  const { clipValue, clipNorm, globalClipNorm } = options;
  if (clipValue !== null) {
    return gradients.map((g) => minimum(maximum(g, -clipValue), clipValue));
  }
  if (clipNorm !== null) return gradients.map((g) => within(g, sqrt(squares(g)), clipNorm));
  if (globalClipNorm !== null && gradients.length > 0) {
    const norm = sqrt(gradients.map(squares).reduce((a, b) => add(a, b)));
    return gradients.map((g) => within(g, norm, globalClipNorm));
  }
  return [...gradients];
}
