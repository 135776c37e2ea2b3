/**
 * How recurrent layers go through masked sequences. A masked step is passed over: the state stays, and the
 * output is that of the step before (zeros at the start), or 0. The ops for whole sequences know lengths,
 * not holes; but a network that passes over masked steps sees just the others, one after the other. So
 * the valid steps are moved to the front, the op gets their number as the length, and its outputs are
 * moved back to where their steps were. Both moves are permutations of rows that follow from the mask alone.
 */
import { range } from "../ops/creation.js";
import { add, cast, less, lessEqual, maximum, mul, sub, where } from "../ops/elementwise.js";
import { gather, scatterAdd } from "../ops/gather.js";
import { withGradient } from "../ops/identity.js";
import { expandDims, reshape, slice } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import { cumsum } from "../ops/select.js";
import type { Tensor } from "../tensor/tensor.js";

/** Where the valid steps of each sequence of a batch are. */
export interface Steps {
  /** int32 [batch]: how many there are. */
  readonly lengths: Tensor;
  /** x [batch, time, …] with each sequence's valid steps first, in order. */
  front(x: Tensor): Tensor;
  /**
   * What `front` gives, back at its steps: at masked ones 0, or with `repeat` what the network had put out
   * last. With `reverse` the network read each sequence from its end.
   */
  back(y: Tensor, reverse: boolean, repeat: boolean): Tensor;
}

/** The steps of a mask [batch, time]. */
export function stepsOf(mask: Tensor): Steps {
  const [batch, time] = mask.shape as [number, number];
  const counts = cast(mask, "int32");
  /** Valid steps up to and with each. */
  const seen = cumsum(counts, 1);
  const lengths = sum(counts, 1);
  const t = range(0, time, 1, "int32");
  // Valid steps go to 0, 1, …; the others behind them: a permutation.
  const places = where(mask, sub(seen, 1), sub(add(expandDims(lengths, -1), t), seen));
  const rows = mul(expandDims(range(0, batch, 1, "int32"), -1), time);
  const flat = (at: Tensor): Tensor => reshape(add(at, rows), [batch * time]);
  const to = flat(places);
  // The inverse: row `to[i]` is taken from i. Whole numbers below 2²⁴ are exact in float32.
  const wholes = range(0, batch * time, 1, "float32");
  const from = cast(scatterAdd(wholes, to, batch * time), "int32");
  return {
    lengths,
    front: (x) => permuted(x, from, to),
    back(y, reverse, repeat) {
      if (!repeat) return where(spread(mask, y), permuted(y, to, from), 0);
      // Among the valid steps, the latest that was read: one before, or one after if read from the end.
      const latest = reverse ? sub(seen, counts) : sub(seen, 1);
      const known = reverse ? less(latest, expandDims(lengths, -1)) : lessEqual(0, latest);
      const last = Math.max(time - 1, 0);
      const within = where(less(latest, time), maximum(latest, 0), last);
      const taken = gather(rowsOf(y), flat(within));
      return where(spread(known, y), reshape(taken, y.shape), 0);
    },
  };
}

const rowsOf = (x: Tensor): Tensor => reshape(x, [x.shape[0]! * x.shape[1]!, ...x.shape.slice(2)]);

/** [batch, time] as a tensor that broadcasts against y. */
export function spread(mask: Tensor, y: Tensor): Tensor {
  return reshape(mask, [...mask.shape, ...new Array<number>(y.rank - mask.rank).fill(1)]);
}

/** Rows in another order; the gradient goes back by the inverse, which adds nothing up. */
function permuted(x: Tensor, order: Tensor, inverse: Tensor): Tensor {
  const moved = (y: Tensor, by: Tensor): Tensor => reshape(gather(rowsOf(y), by), y.shape);
  return withGradient(moved(x, order), [x], (dy) => [moved(dy, inverse)]);
}

/** What a network does at a step. */
export type StepFunction = (
  x: Tensor,
  states: readonly Tensor[],
) => { readonly output: Tensor; readonly states: readonly Tensor[] };

/** The outputs of all steps, in the order of time, the one that was put out last, and the last states. */
export interface Walked {
  readonly outputs: readonly Tensor[];
  readonly last: Tensor;
  readonly states: readonly Tensor[];
}

/** A sequence step by step, for networks without an op for it; the graph is as long as the sequence. */
export function walk(
  x: Tensor,
  initial: readonly Tensor[],
  step: StepFunction,
  { mask, reverse, repeat }: { mask: Tensor | null; reverse: boolean; repeat: boolean },
): Walked {
  const [batch, time] = x.shape as [number, number];
  const begin = (t: number): number[] => x.shape.map((_, i) => (i === 1 ? t : 0));
  const at = (t: number): Tensor =>
    reshape(slice(x, begin(t), [batch, 1, ...x.shape.slice(2)]), [batch, ...x.shape.slice(2)]);
  let states = initial;
  let last: Tensor | null = null;
  const outputs = new Array<Tensor>(time);
  for (let i = 0; i < time; i++) {
    const t = reverse ? time - 1 - i : i;
    const stepped = step(at(t), states);
    if (mask === null) {
      last = stepped.output;
      outputs[t] = last;
      states = stepped.states;
      continue;
    }
    const counts = reshape(slice(mask, [0, t], [batch, 1]), [batch]);
    const choose = (yes: Tensor, no: Tensor | number): Tensor =>
      where(spread(counts, yes), yes, no);
    states = stepped.states.map((state, k) => choose(state, states[k]!));
    const carried: Tensor = choose(stepped.output, last ?? 0);
    outputs[t] = repeat ? carried : choose(stepped.output, 0);
    last = carried;
  }
  return { outputs, last: last!, states };
}
