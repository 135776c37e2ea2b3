/** The pure parts of the benchmark: what is made of times once they are measured. */
import { expect, test } from "vitest";
import { describeMachine, type Machine } from "../../bench/lib/machine.js";
import { middle, type Outcome, type Result } from "../../bench/lib/measure.js";
import { summaryText, timeTables } from "../../bench/lib/report.js";
import type { Case, Limit } from "../../bench/lib/spec.js";
import { againstBest, geometricMean, summarize } from "../../bench/lib/summary.js";

const machine: Machine = {
  cpu: "some CPU",
  isa: "avx2",
  peaks: { 1: { avx2: 100, baseline: 25 }, 2: { avx2: 180, baseline: 50 } },
  bandwidth: { 1: { read: 20, copy: 16, triad: 15, update: 18 } },
  cpus: 2,
  memoryGiB: 8,
  levels: { OpenBLAS: 90, oneDNN: 50 },
  loadBefore: 0.1,
  versions: {},
};

function outcome(contender: string, ...rounds: number[]): Outcome {
  return { contender, rounds, ...middle(rounds), figures: {}, check: {}, versions: {} };
}

function result(
  name: string,
  ours: number,
  peers: readonly Outcome[],
  more = {},
  limits: readonly Limit[] = [],
): Result {
  const spec = { kind: "kernel", kernel: "relu", size: 1 } as const;
  const row: Case = {
    group: "passes",
    name,
    spec,
    ours: "native",
    peers: [],
    unit: "call",
    ...more,
  };
  return { case: row, threads: 1, ours: outcome("native", ours), peers, limits };
}

const failed: Outcome = { ...outcome("gone"), failure: "is not there" };
const won = result("won", 1, [outcome("a", 8), outcome("b", 4), failed]);
const lost = result("lost", 2, [outcome("a", 1), outcome("b", 3)]);

test("the geometric mean cancels 2× and 0.5×", () => {
  expect(geometricMean([2, 0.5])).toBeCloseTo(1, 12);
  expect(geometricMean([8, 1, 1])).toBeCloseTo(2, 12);
});

test("the median and the quartiles are interpolated", () => {
  expect(middle([4, 1, 2, 3])).toEqual({ median: 2.5, spread: 0.75 / 2.5 });
  expect(middle([]).median).toBeNaN();
});

test("the best peer is the fastest that ran", () => {
  expect(againstBest(won)).toEqual({ case: "won", peer: "b", ratio: 4 });
  expect(againstBest(result("alone", 1, [failed]))).toBeUndefined();
});

test("a summary has one row per group and number of threads", () => {
  const [summary, other, ...rest] = summarize([won, lost, { ...won, threads: 2 }]);
  expect(summary).toEqual({
    group: "passes",
    threads: 1,
    cases: 2,
    geometricMean: expect.closeTo(Math.SQRT2, 12),
    worst: { case: "lost", peer: "a", ratio: 0.5 },
    losses: [{ case: "lost", peer: "a", ratio: 0.5 }],
  });
  expect(other).toMatchObject({ threads: 2, cases: 1, losses: [] });
  expect(rest).toEqual([]);
  expect(summaryText([summary!])).toContain("- lost, 1 thread: 0.50× (a)");
  expect(summaryText([other!])).toContain("No peer is faster in any case.");
});

test("a row has shares of what the machine could do in the same turns, and a column per peer", () => {
  const more = { flops: 50e9, traffic: { read: 4e9, copy: 4e9 } };
  // The best turn counts for the peak, for bandwidth the median of what each turn took of its own.
  const limits = [
    { arithmetic: 0.7, memory: 0.45 },
    { arithmetic: 0.7, memory: 0.9 },
    { arithmetic: 0.5, memory: 0.4 },
  ];
  const both = result("both", 1, [outcome("a", 0.5), failed], more, limits);
  const [text] = timeTables([{ ...both, ours: outcome("native", 1, 3, 0.5) }]);
  const cells = text!
    .split("\n")
    .at(-1)!
    .split("|")
    .map((cell) => cell.trim());
  expect(cells.slice(1, -1)).toEqual([
    "both",
    "1",
    "1.000 s ± 63 %",
    "50.0",
    "50 %",
    "8.0",
    "45 %",
    "**0.50×** (500.0 ms ± 0 %)",
    "not run",
  ]);
});

test("what is limited by arithmetic alone has no share of bandwidth, what failed no share", () => {
  const more = { flops: 90e9 };
  const limits = [{ arithmetic: 0.9 }];
  const one = result("one", 1, [], more, limits);
  const gone = { ...result("gone", 1, [], more, limits), ours: failed };
  const [text] = timeTables([one, gone]);
  expect(text).not.toContain("% of bandwidth");
  const shares = text!
    .split("\n")
    .slice(-2)
    .map((row) => row.split("|")[5]!.trim());
  expect(shares).toEqual(["90 %", ""]);
});

test("a peer far below what it should reach is named", () => {
  const text = describeMachine(machine);
  expect(text).toContain("Peak of 1 thread, GFLOP/s: avx2 100.0, baseline 25.0.");
  expect(text).toContain("Peak of 2 threads, GFLOP/s: avx2 180.0, baseline 50.0.");
  expect(text).toContain(
    "Bandwidth at 1 thread, GB/s: read 20.0, copy 16.0, triad 15.0, update 18.0.",
  );
  expect(text).toContain("OpenBLAS 90.0 (90 %), oneDNN 50.0 (50 %)");
  expect(text).toContain("oneDNN is below its known level: ratios to it flatter us.");
  expect(text).not.toContain("OpenBLAS is below");
});
