/**
 * What one execution did: branches taken (with bucketed counts), how far comparisons matched, and which
 * values were compared. Instrumented code calls it; the engine reads it. Also where hangs and large
 * allocations end: both by counting, so that no clock is involved.
 */
import type { Comparison } from "./instrument.js";

/** An execution that the property forbids, whatever the parser itself says. */
export class PropertyError extends Error {
  override name = "PropertyError";
}

type Compared = string | number;

const edgeCount = 1 << 16;
const mostSteps = 2_000_000;
const keptPairs = 64;

export class Trace implements Record<Comparison, (id: number, a: never, b: never) => boolean> {
  /** Byte limit of a single allocation in the running execution. */
  allocationLimit = Infinity;
  /** Pairs of different values that were compared, the latest overwriting the oldest. */
  readonly pairs: [Compared, Compared][] = [];

  /** Every branch that any execution has passed. */
  readonly reached = new Set<number>();

  readonly #counts = new Uint8Array(edgeCount);
  readonly #touched: number[] = [];
  readonly #matches = new Set<number>();
  #previous = 0;
  #steps = 0;
  #nextPair = 0;

  start(allocationLimit: number): void {
    for (const edge of this.#touched) this.#counts[edge] = 0;
    this.#touched.length = 0;
    this.#matches.clear();
    this.#previous = 0;
    this.#steps = 0;
    this.allocationLimit = allocationLimit;
  }

  /** Numbers that name what the execution did; a new number is new behaviour. */
  *features(): Generator<number> {
    for (const edge of this.#touched) {
      // AFL's buckets: 1, 2, 3, 4–7, 8–15, …
      const count = this.#counts[edge]!;
      yield edge * 8 + (count < 4 ? count - 1 : Math.min(7, 1 + Math.floor(Math.log2(count))));
    }
    for (const match of this.#matches) yield edgeCount * 8 + match;
  }

  at(id: number): void {
    if (++this.#steps > mostSteps) {
      throw new PropertyError(`more than ${mostSteps} steps: a hang`);
    }
    const edge = (id ^ (this.#previous << 5)) & (edgeCount - 1);
    this.#previous = id;
    const count = this.#counts[edge]!;
    if (count === 0) {
      this.#touched.push(edge);
      this.reached.add(id);
    }
    if (count < 255) this.#counts[edge] = count + 1;
  }

  made<T>(value: T): T {
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
      if (value.byteLength > this.allocationLimit) {
        throw new PropertyError(
          `allocated ${value.byteLength} bytes, allowed are ${this.allocationLimit}`,
        );
      }
    }
    return value;
  }

  "==="(id: number, a: unknown, b: unknown): boolean {
    this.#compare(id, a, b);
    return a === b;
  }
  "!=="(id: number, a: unknown, b: unknown): boolean {
    this.#compare(id, a, b);
    return a !== b;
  }
  "<"(id: number, a: number, b: number): boolean {
    this.#compare(id, a, b);
    return a < b;
  }
  "<="(id: number, a: number, b: number): boolean {
    this.#compare(id, a, b);
    return a <= b;
  }
  ">"(id: number, a: number, b: number): boolean {
    this.#compare(id, a, b);
    return a > b;
  }
  ">="(id: number, a: number, b: number): boolean {
    this.#compare(id, a, b);
    return a >= b;
  }

  #compare(id: number, a: unknown, b: unknown): void {
    let matching: number;
    if (typeof a === "number" && typeof b === "number") {
      matching = Math.clz32((a | 0) ^ (b | 0));
    } else if (typeof a === "string" && typeof b === "string") {
      matching = 0;
      while (matching < 32 && matching < b.length && a[matching] === b[matching]) matching++;
    } else {
      return;
    }
    this.#matches.add(id * 64 + matching);
    if (a === b) return;
    this.pairs[this.#nextPair] = [a, b];
    this.#nextPair = (this.#nextPair + 1) % keptPairs;
  }
}
