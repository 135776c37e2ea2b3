/** The machine line of a report: CPU, instruction set, measured peak and bandwidth, versions, load. */
import { cpus, loadavg, totalmem } from "node:os";
import { contenders } from "../contenders/contenders.js";
import { Child } from "./child.js";
import type { ProbedMachine } from "./spec.js";

export interface Machine extends ProbedMachine {
  readonly cpus: number;
  readonly memoryGiB: number;
  /** Processes that wanted a CPU in the minute before the run. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Probes the machine in a process of its own; throws where the addon does not load. */
export async function probeMachine(threads: readonly number[]): Promise<Machine> {
  const child = new Child(contenders.native!, 1);
  const { machine, error } = await child.ask({ op: "machine", threads });
  await child.close();
  if (!machine) throw new Error(`the machine can't be probed: ${error ?? "no answer"}`);
  return {
    ...machine,
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: loadavg()[0]!,
    versions: { "Node.js": process.versions.node },
  };
}

/** The machine in two lines of text. */
export function describeMachine(machine: Machine): string {
  const { cpu, isa, peak, bandwidth, versions, memoryGiB, loadBefore } = machine;
  const streams = Object.entries(bandwidth)
    .map(
      ([threads, rate]) =>
        `${rate.toFixed(1)} GB/s at ${threads} thread${threads === "1" ? "" : "s"}`,
    )
    .join(", ");
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const busy =
    loadBefore > machine.cpus / 4 ? " (other work was running: figures are provisional)" : "";
  return (
    `${cpu}, ${machine.cpus} CPUs, ${memoryGiB} GiB; ${isa}: FMA peak ${peak.toFixed(1)} GFLOP/s ` +
    `per thread, triad ${streams}.\n${named.join(", ")}; load before the run ${loadBefore.toFixed(1)}${busy}.`
  );
}
