/** What the machine can do, from the addon's own probes. */
import { NativeBackend } from "../../../src/backend/native.js";
import { backend } from "../../../src/backend/select.js";
import type { ProbedMachine, Sweep } from "../../lib/spec.js";

/** The best of three, as other work on the machine only ever makes a probe slower. */
const best = (probe: () => number): number => Math.max(probe(), probe(), probe());

/** Peaks of instruction sets and bandwidth, by threads; the peak of one is always among them. */
export function machine(threads: readonly number[]): ProbedMachine {
  const native = backend();
  if (!(native instanceof NativeBackend)) throw new Error("the native addon did not load");
  const { addon } = native;
  const { isa, isas, cpu } = addon.info();
  const rate = (sweep: Sweep, count: number, around: boolean): number =>
    best(() => addon.bandwidth(sweep, count, 100, around));
  /** By the kind of store that is faster: which one that is depends on the machine. */
  const writing = (sweep: Sweep, count: number): number =>
    Math.max(rate(sweep, count, false), rate(sweep, count, true));
  const bandwidth = threads.map((count): [number, Record<Sweep, number>] => [
    count,
    {
      read: rate("read", count, false),
      copy: writing("copy", count),
      triad: writing("triad", count),
      // Its lines were just read: storing around the caches could only throw them out.
      update: rate("update", count, false),
    },
  ]);
  const peaks = [...new Set([1, ...threads])].map((count) => [
    count,
    Object.fromEntries(isas.map((name) => [name, best(() => addon.peak(name, count, 100))])),
  ]);
  return {
    cpu,
    isa,
    peaks: Object.fromEntries(peaks),
    bandwidth: Object.fromEntries(bandwidth),
  };
}
