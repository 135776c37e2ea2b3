/** Results as Markdown tables that also read well in a terminal. */
import { middle, type Outcome, type Result } from "./measure.js";
import type { Group, Limit } from "./spec.js";
import { ratioOf, type Summary } from "./summary.js";

/** Headings of the tables, in order. */
const groups: Readonly<Record<Group, string>> = {
  steps: "Training steps",
  networks: "Convolutional networks",
  sequences: "Recurrent networks",
  typescript: "TypeScript backend",
  inference: "Inference",
  products: "Matrix products",
  convolutions: "Convolutions",
  recurrent: "Recurrent layers over whole sequences",
  passes: "Passes over memory",
  server: "Event loop and memory",
};

const ownColumns = [
  "case",
  "threads",
  "ours",
  "GFLOP/s",
  "% of peak",
  "GB/s",
  "% of bandwidth",
] as const;

/** Our cells of a result's row. */
function ownCells({ case: row, threads, ours, limits }: Result): string[] {
  const perSecond = (work: number | undefined): number | undefined =>
    work === undefined || ours.rounds.length === 0 ? undefined : work / ours.median / 1e9;
  const gflops = perSecond(row.flops);
  const rate = perSecond(
    row.traffic && Object.values(row.traffic).reduce((sum, bytes) => sum + bytes, 0),
  );
  const times = (what: keyof Limit): number[] => limits.flatMap((limit) => limit[what] ?? []);
  // A core computes as fast as it was ever seen to. Memory is shared with whoever else is on the host, from round to round
  // another share of it, so each round is held against its own probe.
  const ofPeak = Math.min(...times("arithmetic")) / ours.median;
  const ofBandwidth = middle(
    times("memory").flatMap((least, round) => {
      const took = ours.rounds[round];
      return took === undefined ? [] : least / took;
    }),
  ).median;
  const share = (value: number): string => (Number.isFinite(value) ? percent(value) : "");
  return [
    row.name,
    String(threads),
    showTime(ours),
    gflops === undefined ? "" : gflops.toFixed(1),
    share(ofPeak),
    rate === undefined ? "" : rate.toFixed(1),
    share(ofBandwidth),
  ];
}

/** The ratio to a peer, bold where ours is slower, and the peer's time. */
function peerCell(ours: Outcome, peer: Outcome | undefined): string {
  if (!peer) return "";
  const ratio = ratioOf(ours, peer);
  if (ratio === undefined) return showTime(peer);
  const text = showRatio(ratio);
  return `${ratio < 1 ? `**${text}**` : text} (${showTime(peer)})`;
}

const showRatio = (ratio: number): string =>
  `${ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)}×`;
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

/** Tables of timed cases, one per group, with a column per peer. */
export function timeTables(results: readonly Result[]): string[] {
  const timed = results.filter((r) => r.case.unit !== "run");
  return Object.entries(groups).flatMap(([group, title]) => {
    const members = timed.filter((r) => r.case.group === group);
    if (members.length === 0) return [];
    const peers = [...new Set(members.flatMap((r) => r.peers.map((p) => p.contender)))];
    const head = [...ownColumns, ...peers];
    const rows = members.map((result) => [
      ...ownCells(result),
      ...peers.map((name) =>
        peerCell(
          result.ours,
          result.peers.find((p) => p.contender === name),
        ),
      ),
    ]);
    // Columns that no row fills are left out.
    const used = head.map((_, i) => i === 0 || rows.some((row) => row[i] !== ""));
    const keep = (row: readonly string[]): string[] => row.filter((_, i) => used[i]);
    return [`### ${title}\n\n${table(keep(head), rows.map(keep))}`];
  });
}

/** The summary: a table, and the cases in which some peer is faster. */
export function summaryText(summaries: readonly Summary[]): string {
  if (summaries.length === 0) return "";
  const rows = summaries.map(({ group, threads, cases, geometricMean, worst }) => [
    groups[group],
    String(threads),
    String(cases),
    showRatio(geometricMean),
    `${showRatio(worst.ratio)} (${worst.peer})`,
    worst.case,
  ]);
  const head = ["against the best peer of each case", "threads", "cases", "mean", "worst", "in"];
  const lost = summaries.flatMap(({ threads, losses }) =>
    losses.map(
      ({ case: name, ratio, peer }) =>
        `- ${name}, ${threads} thread${threads === 1 ? "" : "s"}: ${showRatio(ratio)} (${peer})`,
    ),
  );
  const list =
    lost.length === 0
      ? "No peer is faster in any case."
      : `Where a peer is faster:\n\n${lost.join("\n")}`;
  return `### Summary\n\n${table(head, rows)}\n\n${list}`;
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
  const lines = results.flatMap(({ case: { name }, ours, peers, limitFailure }) => [
    ...(limitFailure === undefined ? [] : [`${name}: the machine's limits: ${limitFailure}`]),
    ...[ours, ...peers].flatMap(({ contender, failure }) =>
      failure === undefined ? [] : [`${name}: ${contender}: ${failure}`],
    ),
  ]);
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
