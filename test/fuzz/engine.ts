/**
 * The coverage-guided loop: mutate an input that was interesting, run the target on it, keep it if the
 * Trace shows something new. Knows nothing of formats (targets.ts) and of how code is instrumented.
 */
import { random as seeded } from "../helpers/random.js";
import { mutate, type Random } from "./mutate.js";
import { PropertyError, type Trace } from "./trace.js";

/** Something to fuzz. */
export interface Target {
  readonly seeds: readonly Uint8Array[];
  /** Runs once; throws (or rejects) if the property does not hold. */
  execute(bytes: Uint8Array): void | Promise<void>;
  /** A slower property, checked on inputs with new behaviour only. */
  examine?(bytes: Uint8Array): Promise<void>;
  /** Makes a mutated input consistent again, so that it passes the first checks. */
  repair?(bytes: Uint8Array, random: Random): Uint8Array;
}

export interface Options {
  readonly trace: Trace;
  readonly literals: readonly (string | number)[];
  readonly seed: number;
  /** Largest input in bytes. */
  readonly longest: number;
  /** Asked between executions; true ends the loop. */
  done(progress: Progress): boolean;
}

export interface Progress {
  readonly executions: number;
  readonly corpus: number;
  readonly features: number;
}

/** An input for which the property does not hold. */
export class Finding extends Error {
  override name = "Finding";
  constructor(
    readonly input: Uint8Array,
    cause: unknown,
  ) {
    super(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), { cause });
  }
}

/** One allocation may take this many bytes per input byte, and this many besides. */
const allocationFactor = 16;
const allocationBase = 1 << 16;

/** Runs until `done`; throws a Finding at the first input that breaks the property. */
export async function fuzz(target: Target, options: Options): Promise<Progress> {
  const { trace, literals, longest } = options;
  const random = seeded(options.seed);
  const corpus: Uint8Array[] = [];
  const seen = new Set<number>();
  let executions = 0;
  const progress = (): Progress => ({ executions, corpus: corpus.length, features: seen.size });
  const other = () => corpus[Math.floor(random() * corpus.length)]!;

  const run = async (bytes: Uint8Array) => {
    trace.start(allocationBase + allocationFactor * bytes.length);
    executions++;
    const known = seen.size;
    try {
      await target.execute(bytes);
      for (const feature of trace.features()) seen.add(feature);
      if (seen.size === known && corpus.length > 0) return;
      corpus.push(bytes);
      trace.allocationLimit = Infinity;
      await target.examine?.(bytes);
    } catch (error) {
      throw new Finding(bytes, error);
    }
  };

  for (const seed of target.seeds) await run(seed);
  while (!options.done(progress())) {
    // Half of the time one of the latest: they are closest to the frontier.
    const recent = random() < 0.5 ? Math.min(16, corpus.length) : corpus.length;
    const parent = corpus[corpus.length - 1 - Math.floor(random() * recent)]!;
    let child = mutate(parent, longest, random, { literals, pairs: trace.pairs, other });
    if (target.repair && random() < 0.7) child = target.repair(child, random);
    await run(child);
  }
  return progress();
}

/** For targets: fails unless `condition`. */
export function hold(condition: boolean, what: string): asserts condition {
  if (!condition) throw new PropertyError(what);
}
