/**
 * Seeds. Random numbers come from Philox 4×32-10 with key (seed, op id) and counter (element, stream,
 * step), so a stream depends on its names alone: not on the backend, the thread count or the order
 * of evaluation. This file only hands out seeds and op ids.
 */
import { checkInteger } from "../errors.js";
import { leaf, type Tensor } from "./tensor.js";

/** Where random ops take their key from. */
export interface RandomSource {
  /** int32 scalar. */
  readonly seed: Tensor;
  /** int32 scalar; advances between the steps of a training loop. */
  readonly step: Tensor;
  /** A number of its own for every op that draws from this source. */
  nextOpId(): number;
  /**
   * The source of an owner (a layer) with a seed of its own: one for all its draws from this source, so
   * that they differ, and at this source's steps.
   */
  withSeed(owner: object, seed: number): RandomSource;
}

/**
 * A source with a fixed seed, and a step that callers may advance. Owners with a seed of their own draw
 * at that step, unless `stepOf` gives another.
 */
export function randomSource(
  seed: Tensor | number,
  step: Tensor | number = 0,
  stepOf: (owner: object) => Tensor | number = () => step,
): RandomSource {
  let next = 0;
  const seeded = new Map<object, RandomSource>();
  const scalar = (value: Tensor | number): Tensor =>
    typeof value === "number" ? leaf(Int32Array.of(value | 0), [], "int32") : value;
  return {
    seed: scalar(seed),
    step: scalar(step),
    nextOpId: () => next++,
    withSeed(owner, own) {
      let source = seeded.get(owner);
      if (!source) {
        source = randomSource(own, stepOf(owner));
        seeded.set(owner, source);
      }
      return source;
    },
  };
}

let state: { seed: number; drawn: number } | undefined;

/**
 * Makes every random choice that has no seed of its own follow from `seed`: initializers, shuffling,
 * dropout and `randomUniform`-like ops, in the order they are made.
 */
export function setRandomSeed(seed: number): void {
  checkInteger("setRandomSeed()", "seed", seed, -(2 ** 31), 2 ** 32 - 1);
  state = { seed: seed | 0, drawn: 0 };
}

/** A fresh 32-bit seed: from `setRandomSeed`'s sequence, else from the system's randomness. */
export function drawSeed(): number {
  if (!state) return crypto.getRandomValues(new Int32Array(1))[0]!;
  return mixSeed(state.seed, ++state.drawn);
}

/** Mixes two 32-bit numbers into one (the finalizer of MurmurHash3 over both). */
export function mixSeed(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}
