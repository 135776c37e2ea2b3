/** Looks for the NaN or infinity in the data that made a loss so, to say where it is. */
import type { Samples } from "./data.js";

/** The first input value that is not finite, in words; among the samples `rows` (default: all). */
export function nonFiniteInput(
  inputs: readonly Samples[],
  rows?: ArrayLike<number>,
): string | undefined {
  for (const { name, values, rowSize, dtype } of inputs) {
    if (dtype !== "float32") continue;
    const count = rows?.length ?? values.length / rowSize;
    for (let i = 0; i < count; i++) {
      const sample = rows?.[i] ?? i;
      for (let at = 0; at < rowSize; at++) {
        const value = values[sample * rowSize + at]!;
        if (!Number.isFinite(value)) {
          return `input ${JSON.stringify(name)} is ${value} at sample ${sample}, position ${at}`;
        }
      }
    }
  }
  return undefined;
}
