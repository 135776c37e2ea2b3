/**
 * Markov chains over a machine's visible states, run as one native loop off the event loop: Gibbs
 * sampling, with some units held fixed if wanted.
 */
import { trace } from "../backend/run.js";
import { ArgumentError, expected, ShapeError, show } from "../errors.js";
import { add, where } from "../ops/elementwise.js";
import { randomSource } from "../tensor/random.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { leaf, Tensor, type TensorLike, tensor, zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import {
  gibbsStep,
  hiddenInput,
  hiddenSample,
  type MachineLayout,
  type MachineWeights,
  visibleInput,
  visibleMean,
} from "./energy.js";
import { checkStates } from "./machine.js";

/** Visible units that keep their values while the others are drawn. */
export interface Clamp {
  /** Nonzero where a unit is held: one value per visible unit, for all chains or for each. */
  readonly mask: TensorLike;
  /** The values they are held at, of the same shape. */
  readonly values: TensorLike;
}

/** A checked {@link Clamp}: [rows, visible] or [1, visible]. */
export interface HeldUnits {
  readonly mask: Tensor;
  readonly values: Tensor;
}

export interface ChainRequest {
  readonly name: string;
  readonly layout: MachineLayout;
  readonly weights: () => MachineWeights;
  /** [rows, visible]. */
  readonly start: Tensor;
  readonly steps: number;
  readonly seed: number;
  readonly held: HeldUnits | null;
  /** Whether to give the means of the last step's visible units instead of a sample. */
  readonly means: boolean;
  readonly signal: AbortSignal | undefined;
}

/** The visible states after `steps` Gibbs steps: [rows, visible]. */
export async function runChains(request: ChainRequest): Promise<Tensor> {
  const { name, layout, weights, start, steps, seed, held, means, signal } = request;
  const state = new Variable(start, `${name}/state`, false);
  const turn = new Variable(zerosLeaf([], "int32"), `${name}/turn`, false);
  const hold = (v: Tensor): Tensor => (held ? where(held.mask, held.values, v) : v);
  // The last step may ask for means, so it is a Program of its own.
  const sampled = means ? steps - 1 : steps;
  if (sampled > 0) {
    const walk = trace({
      name,
      inputs: [],
      body() {
        const source = randomSource(seed, turn.read());
        state.assign(hold(gibbsStep(layout, weights(), hold(state.read()), source)));
        turn.assign(add(turn.read(), 1));
        return [];
      },
    });
    await looped(signal, (progress) =>
      walk.loop([], { steps: sampled, advance: [], outputs: [], progress }),
    );
  }
  const last = trace({
    name,
    inputs: [],
    body() {
      const v = hold(state.read());
      if (!means || steps === 0) return [v];
      const source = randomSource(seed, turn.read());
      const h = hiddenSample(layout, hiddenInput(weights(), v), source);
      return [hold(visibleMean(layout, visibleInput(weights(), h)))];
    },
  });
  const [values] = await last.run([]);
  return leaf(values!, start.shape, "float32");
}

/** Runs a loop that ends early, with the signal's reason, when the signal is aborted. */
export async function looped<T>(
  signal: AbortSignal | undefined,
  body: (progress: Int32Array) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const progress = new Int32Array(2);
  const stop = (): void => {
    Atomics.store(progress, 1, 1);
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const result = await body(progress);
    signal?.throwIfAborted();
    return result;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Checks a clamp for `rows` chains over samples of a shape. */
export function heldUnits(
  place: string,
  layout: MachineLayout,
  clamp: Clamp,
  rows: number,
  sampleShape: readonly number[],
): HeldUnits {
  const given: unknown = clamp;
  if (typeof given !== "object" || given === null || !("mask" in given) || !("values" in given)) {
    throw new ArgumentError(expected(place, "`clamp` as { mask, values }", show(given)));
  }
  const read = (what: "mask" | "values"): Tensor => {
    const t = clamp[what] instanceof Tensor ? clamp[what].current() : tensor(clamp[what]);
    const all = [rows, ...sampleShape];
    if (!sameShape(t.shape, sampleShape) && !sameShape(t.shape, all)) {
      const wanted = `clamp.${what} of shape ${showShape(sampleShape)} or ${showShape(all)}`;
      throw new ShapeError(expected(place, wanted, showShape(t.shape)));
    }
    const values = Float32Array.from(t.dataSync());
    return leaf(values, [values.length / layout.visible, layout.visible], "float32");
  };
  const mask = read("mask");
  const values = read("values");
  const flags = Uint8Array.from(mask.dataSync(), (value) => (value === 0 ? 0 : 1));
  checkWholeGroups(place, layout, flags);
  checkHeldStates(`${place}: clamp.values`, layout, flags, values);
  return { mask: leaf(flags, mask.shape, "bool"), values };
}

/** A softmax group is one choice: all of it is held, or nothing. */
function checkWholeGroups(place: string, layout: MachineLayout, flags: Uint8Array): void {
  for (let row = 0; row < flags.length; row += layout.visible) {
    let from = row;
    for (const { type, units } of layout.groups) {
      const held = flags.subarray(from, from + units).reduce((count, flag) => count + flag, 0);
      if (type === "softmax" && held !== 0 && held !== units) {
        const wanted = `clamp.mask to hold all ${units} units of a softmax group or none`;
        throw new ArgumentError(expected(place, wanted, `${held} from unit ${from - row}`));
      }
      from += units;
    }
  }
}

/** Throws for values that units can't have as states where they are held; what the others have is not read. */
function checkHeldStates(
  place: string,
  layout: MachineLayout,
  flags: Uint8Array,
  given: Tensor,
): void {
  const { visible, groups } = layout;
  const values = given.dataSync();
  const rows = Math.max(flags.length, values.length) / visible;
  const states = new Float32Array(rows * visible);
  for (let row = 0; row < rows; row++) {
    let from = 0;
    for (const { type, units } of groups) {
      for (let unit = from; unit < from + units; unit++) {
        const at = row * visible + unit;
        const value = values[at % values.length]!;
        if (flags[at % flags.length] === 0) {
          // A state that any unit can have: the first of a softmax group is its choice.
          states[at] = type === "softmax" && unit === from ? 1 : 0;
        } else {
          states[at] = value;
        }
      }
      from += units;
    }
  }
  checkStates(place, layout, { values: states, shape: [rows, visible], rowSize: visible });
}
