/**
 * The pseudo-log-likelihood of binary visible units, Σᵢ log p(vᵢ | others) with
 * log p(vᵢ | others) = log σ(F(v with vᵢ flipped) − F(v)) (Besag 1975). Only the flipped unit's row of W
 * changes the hidden units' input, so a flip costs no product.
 */
import { trace } from "../backend/run.js";
import { epochOrder } from "../data/order.js";
import { logSigmoid } from "../ops/composed.js";
import { add, mul, sub } from "../ops/elementwise.js";
import { gather } from "../ops/gather.js";
import { expandDims } from "../ops/movement.js";
import { mixSeed } from "../tensor/random.js";
import { leaf } from "../tensor/tensor.js";
import type { Samples } from "../training/data.js";
import { looped } from "./chains.js";
import { hiddenInput, type MachineLayout, type MachineWeights } from "./energy.js";
import { unitKind } from "./units.js";

/** Samples that are looked at together. */
const chunkSamples = 500;

/** One value per sample; `flips` units of each are flipped, at random, or all in turn. */
export async function pseudoLogLikelihoods(
  name: string,
  layout: MachineLayout,
  weights: () => MachineWeights,
  { values, shape }: Samples,
  flips: number | "all",
  seed: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { visible, hidden } = layout;
  const count = shape[0]!;
  const steps = flips === "all" ? visible : flips;
  const result = new Float32Array(count);
  for (let from = 0; from < count; from += chunkSamples) {
    const rows = Math.min(chunkSamples, count - from);
    const part = Float32Array.from(values.subarray(from * visible, (from + rows) * visible));
    const v = leaf(part, [rows, visible], "float32");
    const inputs = trace({ name, inputs: [], body: () => [hiddenInput(weights(), v)] });
    const [x] = await inputs.run([]);
    const flip = flipProgram(name, layout, weights, rows, hidden);
    // Each sample's own units; where all are flipped, the same for all samples.
    const units = new Int32Array(steps * rows);
    const states = new Float32Array(steps * rows);
    for (let row = 0; row < rows; row++) {
      const own = flips === "all" ? null : epochOrder(visible, mixSeed(seed, from + row));
      for (let step = 0; step < steps; step++) {
        const unit = own ? own[step]! : step;
        units[step * rows + row] = unit;
        states[step * rows + row] = part[row * visible + unit]!;
      }
    }
    const logs = new Float32Array(steps * rows);
    await looped(signal, (progress) =>
      flip.loop([units, states, x!], {
        steps,
        advance: [rows, rows, 0],
        outputs: [logs],
        progress,
      }),
    );
    for (let row = 0; row < rows; row++) {
      let total = 0;
      for (let step = 0; step < steps; step++) total += logs[step * rows + row]!;
      result[from + row] = (total * visible) / steps;
    }
  }
  return result;
}

/** log σ(F(flipped) − F(v)) for one unit of each sample. */
function flipProgram(
  name: string,
  { hiddenUnits }: MachineLayout,
  weights: () => MachineWeights,
  rows: number,
  hidden: number,
) {
  const kind = unitKind(hiddenUnits);
  return trace({
    name,
    inputs: [
      { name: "units", shape: [rows], dtype: "int32" },
      { name: "states", shape: [rows], dtype: "float32" },
      { name: "x", shape: [rows, hidden], dtype: "float32" },
    ],
    body([units, states, x]) {
      const { kernel, visibleBias } = weights();
      const change = sub(1, mul(states!, 2));
      const moved = add(x!, mul(gather(kernel, units!), expandDims(change, 1)));
      // F = −bᵀv − log normaliser.
      const gained = sub(kind.logNormalizer(moved), kind.logNormalizer(x!));
      const difference = mul(add(gained, mul(change, gather(visibleBias, units!))), -1);
      return [logSigmoid(difference)];
    },
  });
}
