/**
 * Times one case at one number of threads: all contenders are set up and warmed up, then take turns
 * (ours, theirs, ours, theirs …), so that a change of the machine's mood meets all of them. The machine's own limits
 * are probed in the same turns: bandwidth above all is another from one minute to the next.
 */
import { contenders } from "../contenders/contenders.js";
import type { Child } from "./child.js";
import type { Children } from "./children.js";
import type { DataFiles } from "./data.js";
import type { Case, Limit, Reply } from "./spec.js";

/** What one contender did. */
export interface Outcome {
  readonly contender: string;
  /** Seconds per unit, one per round, in order. */
  readonly rounds: readonly number[];
  readonly median: number;
  /** Half of what lies between the quartiles, as a share of the median. */
  readonly spread: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly check: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Why there are no rounds. */
  readonly failure?: string;
}

export interface Result {
  readonly case: Case;
  readonly threads: number;
  readonly ours: Outcome;
  readonly peers: readonly Outcome[];
  /** What a unit takes at the least, one per round of ours; none where there is nothing to probe, or no probe. */
  readonly limits: readonly Limit[];
  /** Why there are no limits. */
  readonly limitFailure?: string;
}

export interface MeasureOptions {
  readonly threads: number;
  readonly repeats: number;
  /** Aimed-at length of one contender's round. */
  readonly seconds: number;
  /** Which of a case's peers take part. */
  readonly wants: (peer: string) => boolean;
  readonly data: DataFiles;
  readonly children: Children;
  /** A process of ours that probes the machine. */
  readonly probe: Child;
}

/** A contender that has used this much of a case's time gets no further rounds. */
const longestSeconds = 20;

interface Running {
  readonly name: string;
  readonly child: Child;
  readonly rounds: number[];
  /** Seconds that its rounds took so far. */
  spent: number;
  versions: Readonly<Record<string, string>>;
  figures: Readonly<Record<string, number>>;
  failure?: string | undefined;
}

/** Runs one case; a contender that fails or can't run is reported, never dropped. */
export async function measureCase(row: Case, options: MeasureOptions): Promise<Result> {
  const names = [row.ours, ...row.peers.filter(options.wants)];
  const running = names.map((name): Running => {
    const child = options.children.take(name, options.threads, row.spec);
    return { name, child, rounds: [], spent: 0, versions: {}, figures: {} };
  });
  const take = async (one: Running, act: () => Promise<Reply>): Promise<Reply> => {
    if (one.failure !== undefined) return {};
    const reply = await act();
    const failure = reply.skip ?? reply.error;
    if (failure !== undefined) one.failure = failure;
    return reply;
  };
  const data = await options.data.of(row.spec);
  const single = row.unit === "run";
  // All start at once, as most of this is loading libraries.
  await Promise.all(
    running.map(async (one) => {
      const { versions } = await take(one, () =>
        one.child.ask({
          op: "setup",
          spec: row.spec,
          threads: options.threads,
          options: contenders[one.name]!.options,
          ...(data && { data }),
        }),
      );
      one.versions = versions ?? {};
    }),
  );
  for (const one of running) {
    // The first rounds compile, fill caches and tell how many units make a round.
    for (const seconds of single ? [] : [0, options.seconds / 4]) {
      await take(one, () => one.child.ask({ op: "measure", seconds }));
    }
  }
  const limits: Limit[] = [];
  let limitFailure: string | undefined;
  const { flops, traffic } = row;
  const goesOn = (one: Running): boolean =>
    one.failure === undefined && (one.spent <= longestSeconds || one.rounds.length === 0);
  for (let round = 0; round < (single ? 1 : options.repeats); round++) {
    if ((flops !== undefined || traffic) && limitFailure === undefined && goesOn(running[0]!)) {
      const { threads } = options;
      const work = { ...(flops !== undefined && { flops }), ...(traffic && { traffic }) };
      const { limit, error } = await options.probe.ask({ op: "limit", threads, ...work });
      if (limit) limits.push(limit);
      else limitFailure = error ?? "no answer";
    }
    for (const one of running.filter(goesOn)) {
      const begin = performance.now();
      const reply = await take(one, () =>
        one.child.ask({ op: "measure", seconds: options.seconds }),
      );
      one.spent += (performance.now() - begin) / 1000;
      if (reply.perUnit !== undefined) one.rounds.push(reply.perUnit);
      if (reply.figures) one.figures = reply.figures;
    }
  }
  const outcomes: Outcome[] = [];
  let expected: readonly number[] | undefined;
  for (const one of running) {
    const { check = {}, outputs } = await take(one, () => one.child.ask({ op: "check" }));
    await options.children.give(one.name, options.threads, one.child, one.failure !== undefined);
    if (outputs) {
      expected ??= outputs;
      one.failure ??= disagreement(outputs, expected);
    }
    // A time of something else than what was asked for is none.
    const rounds = one.failure === undefined ? one.rounds : [];
    outcomes.push({
      contender: one.name,
      rounds,
      ...middle(rounds),
      figures: one.figures,
      check,
      versions: one.versions,
      ...(one.failure !== undefined && { failure: one.failure }),
    });
  }
  const [ours, ...peers] = outcomes;
  return {
    case: row,
    threads: options.threads,
    ours: ours!,
    peers,
    // Some limits only would be of other rounds than the rest.
    limits: limitFailure === undefined ? limits : [],
    ...(limitFailure !== undefined && { limitFailure }),
  };
}

/** What is wrong with probabilities that should be those of the first contender; undefined if nothing. */
function disagreement(got: readonly number[], expected: readonly number[]): string | undefined {
  if (got.length !== expected.length) return `gave ${got.length} outputs, not ${expected.length}`;
  const worst = Math.max(...got.map((value, i) => Math.abs(value - expected[i]!)));
  // Sums of a thousand float32 products in different orders.
  return worst <= 1e-5 ? undefined : `its outputs differ from ours by up to ${worst}`;
}

/** Median and half the distance of the quartiles, relative to it. */
export function middle(values: readonly number[]): { median: number; spread: number } {
  if (values.length === 0) return { median: Number.NaN, spread: Number.NaN };
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => {
    const position = share * (sorted.length - 1);
    const low = Math.floor(position);
    const high = Math.ceil(position);
    return sorted[low]! + (sorted[high]! - sorted[low]!) * (position - low);
  };
  const median = at(0.5);
  return { median, spread: (at(0.75) - at(0.25)) / 2 / median };
}
