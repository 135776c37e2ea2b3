/** Gradients against finite differences: central, in float32, along random directions. */
import { expect } from "vitest";
import { valueAndGrads } from "../../src/autodiff/gradient.js";
import { leaf, type Tensor } from "../../src/tensor/tensor.js";
import { uniform } from "./random.js";

export interface GradCheckOptions {
  /** Step of the difference. Around ∛(2⁻²⁴) rounding and truncation errors balance. */
  readonly step?: number;
  /** Allowed |difference quotient − derivative|, relative to the size of both. */
  readonly tolerance?: number;
  readonly directions?: number;
  readonly seed?: number;
}

/**
 * Checks the gradient of Σ w·f(x…) for random weights w, so that every output takes part. The
 * derivative along a random direction must equal the central difference quotient there.
 */
export function expectGradient(
  f: (...xs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { step = 4e-3, tolerance = 1e-3, directions = 4, seed = 1 }: GradCheckOptions = {},
): void {
  const sample = f(...inputs);
  const weights = uniform(seed, sample.size, 0.5, 1.5);
  const loss = (values: readonly Float32Array[]): number => {
    const shifted = inputs.map((x, i) => leaf(values[i]!, x.shape, "float32"));
    // Summed here in double: a float32 sum would hide the differences that are looked for.
    const outputs = f(...shifted).dataSync();
    let sum = 0;
    for (const [i, y] of outputs.entries()) sum += y * weights[i]!;
    return sum;
  };
  const { grads } = valueAndGrads(f)(inputs, leaf(weights, sample.shape, "float32"));
  // Every output was rounded: that error is in the difference, too.
  let magnitude = 1;
  for (const [i, y] of sample.dataSync().entries()) magnitude += Math.abs(y * weights[i]!);
  const points = inputs.map((x) => Float32Array.from(x.dataSync()));
  const slopes = grads.map((g) => g.dataSync());
  for (const [i, slope] of slopes.entries()) {
    expect(grads[i]!.shape, `shape of gradient ${i}`).toEqual(inputs[i]!.shape);
    for (let d = 0; d < directions; d++) {
      const direction = uniform(seed + 10 * i + d + 1, slope.length, -1, 1);
      const moved = (sign: number) =>
        points.map((x, j) =>
          j === i ? x.map((value, at) => value + sign * step * direction[at]!) : x,
        );
      // What float32 made of the step, not what was asked for.
      const [plus, minus] = [moved(1), moved(-1)];
      let want = 0;
      let size = 0;
      for (const [at, s] of slope.entries()) {
        const term = s * ((plus[i]![at]! - minus[i]![at]!) / (2 * step));
        want += term;
        size += Math.abs(term);
      }
      const got = (loss(plus) - loss(minus)) / (2 * step);
      const noise = (2 ** -22 * magnitude) / step;
      expect(
        Math.abs(got - want),
        `gradient ${i}, direction ${d}: differences say ${got}, the gradient says ${want}`,
      ).toBeLessThanOrEqual(tolerance * (size + Math.abs(got)) + noise + 1e-6);
    }
  }
}
