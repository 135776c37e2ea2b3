/** What all results of a group come to: ratios to the best peer of each case. */
import type { Outcome, Result } from "./measure.js";
import type { Group } from "./spec.js";

/** One case against the peer that is fastest in it; above 1, ours is faster. */
export interface Comparison {
  readonly case: string;
  readonly peer: string;
  readonly ratio: number;
}

export interface Summary {
  readonly group: Group;
  readonly threads: number;
  readonly cases: number;
  readonly geometricMean: number;
  readonly worst: Comparison;
  /** Cases in which ours is slower than the best peer, the worst first. */
  readonly losses: readonly Comparison[];
}

/** Their time over ours; undefined if one of them was not timed. */
export function ratioOf(ours: Outcome, peer: Outcome): number | undefined {
  const ratio = peer.median / ours.median;
  return Number.isNaN(ratio) ? undefined : ratio;
}

/** exp(mean(log x)): the mean in which 2× and 0.5× cancel. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, x) => sum + Math.log(x), 0) / values.length);
}

/** The comparison with the fastest peer; undefined where no peer was timed. */
export function againstBest({ case: { name }, ours, peers }: Result): Comparison | undefined {
  return peers
    .flatMap((peer): Comparison[] => {
      const ratio = ratioOf(ours, peer);
      return ratio === undefined ? [] : [{ case: name, peer: peer.contender, ratio }];
    })
    .sort((a, b) => a.ratio - b.ratio)[0];
}

/** One summary per group and number of threads, in the order of the results. */
export function summarize(results: readonly Result[]): Summary[] {
  const sets = new Map<string, { group: Group; threads: number; all: Comparison[] }>();
  for (const result of results) {
    const comparison = againstBest(result);
    if (!comparison) continue;
    const { threads } = result;
    const { group } = result.case;
    const key = `${group} ${threads}`;
    const set = sets.get(key) ?? { group, threads, all: [] };
    set.all.push(comparison);
    sets.set(key, set);
  }
  return [...sets.values()].map(({ group, threads, all }) => {
    const sorted = [...all].sort((a, b) => a.ratio - b.ratio);
    return {
      group,
      threads,
      cases: all.length,
      geometricMean: geometricMean(all.map((c) => c.ratio)),
      worst: sorted[0]!,
      losses: sorted.filter((c) => c.ratio < 1),
    };
  });
}
