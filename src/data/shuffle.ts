/**
 * Shuffling a stream with a buffer: each element given is a random one of the next `size` of the
 * source. The order follows from the seed and the number of the pass alone.
 */
import { drawSeed, mixSeed } from "../tensor/random.js";
import { type Cursor, type End, end, type Maybe, more, type Pass, pull } from "./cursor.js";
import { xoshiro } from "./order.js";

/** Options of `shuffle`. */
export interface ShuffleOptions {
  /** Seed of the order; drawn if left out. With one, pass `n` has the same order in every run. */
  readonly seed?: number | undefined;
  /** Whether each pass has an order of its own; true by default. */
  readonly reshuffleEachIteration?: boolean | undefined;
}

/** The seed of one pass. */
export function passSeeds({ seed, reshuffleEachIteration = true }: ShuffleOptions) {
  const fixed = seed ?? (reshuffleEachIteration ? undefined : drawSeed());
  return ({ iteration }: Pass): number => {
    if (fixed === undefined) return drawSeed();
    // The same mixing as `fit` orders arrays by: equal seeds give equal orders.
    return reshuffleEachIteration ? mixSeed(fixed | 0, iteration) : mixSeed(fixed | 0, 0);
  };
}

/** Elements in random order, from a buffer of `size`. */
export function shuffleCursor<T>(source: Cursor<T>, size: number, seed: number): Cursor<T> {
  const random = xoshiro(seed);
  const below = (n: number): number => Math.floor((random() * n) / 2 ** 32);
  const buffer: T[] = [];
  let ended = false;
  const draw = (): T | End => {
    if (buffer.length === 0) return end;
    const at = below(buffer.length);
    const value = buffer[at]!;
    const last = buffer.pop()!;
    if (at < buffer.length) buffer[at] = last;
    return value;
  };
  const take = (value: T | End): Maybe<T | End | typeof more> => {
    if (value === end) ended = true;
    else if (buffer.push(value) < size) return more;
    return draw();
  };
  return {
    next: () => (ended ? draw() : pull(source, take)),
    close: () => source.close(),
  };
}
