/** The machine lines of a report: CPU, instruction set, measured peaks and bandwidth, versions, load. */
import { cpus, loadavg, totalmem } from "node:os";
import { type Levels, ownLevels } from "../contenders/levels.js";
import type { Child } from "./child.js";
import type { ProbedMachine } from "./spec.js";

export interface Machine extends ProbedMachine {
  readonly cpus: number;
  readonly memoryGiB: number;
  /** What some peers reach by themselves. */
  readonly levels: Levels;
  /** Processes that wanted a CPU in the minute before the run. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Probes the machine in a process of ours, and the level of the peers that will be compared with;
 * throws where the addon does not load.
 */
export async function probeMachine(
  probe: Child,
  threads: readonly number[],
  peers: ReadonlySet<string>,
): Promise<Machine> {
  const loadBefore = loadavg()[0]!;
  const { machine, error } = await probe.ask({ op: "machine", threads });
  if (!machine) throw new Error(`the machine can't be probed: ${error ?? "no answer"}`);
  return {
    ...machine,
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    levels: await ownLevels(peers, machine.isa),
    loadBefore,
    versions: { "Node.js": process.versions.node },
  };
}

/** GFLOP/s that one thread could reach with the instruction set that is used. */
const peakOf = ({ peaks, isa }: ProbedMachine): number => peaks[1]![isa]!;

/** Share of the peak that a BLAS-like library reaches with the right kernels on a quiet machine. */
const knownLevel = 0.8;

/** The machine in some lines of text. */
export function describeMachine(machine: Machine): string {
  const { cpu, isa, peaks, bandwidth, levels, versions, memoryGiB, loadBefore } = machine;
  const list = (rates: Readonly<Record<string, number>>): string =>
    Object.entries(rates)
      .map(([name, rate]) => `${name} ${rate.toFixed(1)}`)
      .join(", ");
  const byThreads = (
    what: string,
    rates: Readonly<Record<string, Readonly<Record<string, number>>>>,
  ): string[] =>
    Object.entries(rates).map(
      ([threads, own]) =>
        `${what.replace("#", `${threads} thread${threads === "1" ? "" : "s"}`)}: ${list(own)}.`,
    );
  const peers = Object.entries(levels).map(
    ([name, rate]) =>
      `${name} ${rate.toFixed(1)} (${((100 * rate) / peakOf(machine)).toFixed(0)} %)`,
  );
  const reached = (name: string): number => {
    // OpenBLAS has several sets of kernels, and the best one is used.
    const own = Object.entries(levels).filter(([level]) => level.startsWith(name));
    return Math.max(...own.map(([, rate]) => rate)) / peakOf(machine);
  };
  const libraries = new Set(Object.keys(levels).map((level) => level.split(",")[0]!));
  const below = [...libraries]
    .filter((name) => reached(name) < knownLevel)
    .map((name) => `${name} is below its known level: ratios to it flatter us.`);
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const busy =
    loadBefore > machine.cpus / 4 ? " (other work was running: figures are provisional)" : "";
  return [
    `${cpu}, ${machine.cpus} CPUs, ${memoryGiB} GiB; ${isa} is used.`,
    ...byThreads("Peak of #, GFLOP/s", peaks),
    ...byThreads("Bandwidth at #, GB/s", bandwidth),
    ...(peers.length > 0
      ? [`Peers at 1024x1024x1024 on one thread, GFLOP/s: ${peers.join(", ")}.`]
      : []),
    ...below,
    `${named.join(", ")}; load before the run ${loadBefore.toFixed(1)}${busy}.`,
  ].join("\n");
}
