/** Results as Markdown tables that also read well in a terminal. */
import type { Machine } from "./machine.js";
import type { Outcome, Result } from "./measure.js";

const columns = [
  "case",
  "threads",
  "ours",
  "theirs",
  "",
  "ratio",
  "GFLOP/s",
  "% of peak",
  "GB/s",
  "% of bandwidth",
] as const;

/** Cells of the rows of one result: one per peer, or one without. */
function rowsOf(result: Result, machine: Machine): string[][] {
  const { case: row, threads, ours, peers } = result;
  const peak = machine.peak * threads;
  const stream = machine.bandwidth[threads];
  const perSecond = (work: number | undefined): number | undefined =>
    work === undefined || ours.rounds.length === 0 ? undefined : work / ours.median / 1e9;
  const gflops = perSecond(row.flops);
  const rate = perSecond(row.bytes);
  const first = [row.name, String(threads), showTime(ours)];
  const work = [
    gflops === undefined ? "" : gflops.toFixed(1),
    gflops === undefined ? "" : percent(gflops / peak),
    rate === undefined ? "" : rate.toFixed(1),
    rate === undefined || stream === undefined ? "" : percent(rate / stream),
  ];
  if (peers.length === 0) return [[...first, "", "", "", ...work]];
  return peers.map((peer, i) => {
    const compared = [showTime(peer), peer.contender, ratioOf(ours, peer)];
    return i === 0 ? [...first, ...compared, ...work] : ["", "", "", ...compared, "", "", "", ""];
  });
}

function ratioOf(ours: Outcome, peer: Outcome): string {
  const ratio = peer.median / ours.median;
  if (Number.isNaN(ratio)) return "";
  return `${ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)}×`;
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function showTime({ median, spread, rounds, failure }: Outcome): string {
  if (rounds.length === 0) return failure === undefined ? "" : "not run";
  const scale = (
    [
      [1, "s"],
      [1e3, "ms"],
      [1e6, "µs"],
    ] as const
  ).find(([s]) => median * s >= 1);
  const [factor, unit] = scale ?? ([1e9, "ns"] as const);
  return `${(median * factor).toPrecision(4)} ${unit} ± ${percent(spread)}`;
}

/** The table of timed cases; empty text if there are none. */
export function timeTable(results: readonly Result[], machine: Machine): string {
  const timed = results.filter((r) => r.case.unit !== "run");
  if (timed.length === 0) return "";
  const rows = timed.flatMap((result) => rowsOf(result, machine));
  // Columns that no row fills are left out.
  const used = columns.map((_, i) => i === 0 || rows.some((row) => row[i] !== ""));
  const keep = (row: readonly string[]): string[] => row.filter((_, i) => used[i]);
  return table(keep(columns), rows.map(keep));
}

/** The table of figures of the cases that are not times. */
export function figureTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ case: { name }, threads, ours }) =>
    Object.entries(ours.figures).map(([figure, value], i) => [
      i === 0 ? name : "",
      i === 0 ? String(threads) : "",
      figure,
      Number.isInteger(value) ? String(value) : value.toFixed(2),
    ]),
  );
  return rows.length === 0 ? "" : table(["case", "threads", "figure", "value"], rows);
}

/** What the contenders computed, to see that they did the same work. */
export function checkTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ case: { name }, threads, ours, peers }) =>
    [ours, ...peers].flatMap(({ contender, check }) =>
      Object.entries(check).map(([what, value]) => [
        name,
        String(threads),
        contender,
        what,
        value.toPrecision(3),
      ]),
    ),
  );
  return rows.length === 0 ? "" : table(["case", "threads", "contender", "check", "value"], rows);
}

/** One line per contender that failed or could not run. */
export function failures(results: readonly Result[]): string[] {
  const lines = results.flatMap(({ case: { name }, ours, peers }) =>
    [ours, ...peers].flatMap(({ contender, failure }) =>
      failure === undefined ? [] : [`${name}: ${contender}: ${failure}`],
    ),
  );
  return [...new Set(lines)];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, i) => Math.max(3, cell.length, ...rows.map((r) => r[i]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(" | ")} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}
