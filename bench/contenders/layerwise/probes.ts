/** What the machine can do, from the addon's own probes. */
import { NativeBackend } from "../../../src/backend/native.js";
import { backend } from "../../../src/backend/select.js";
import type { Limit, ProbedMachine, Sweep, Work } from "../../lib/spec.js";

/** The best of three, as other work on the machine only ever makes a probe slower. */
const best = (probe: () => number): number => Math.max(probe(), probe(), probe());

function probes(): NativeBackend["addon"] {
  const native = backend();
  if (!(native instanceof NativeBackend)) throw new Error("the native addon did not load");
  return native.addon;
}

/** GB/s of a sweep by the kind of store that is faster: which one that is depends on the machine. */
function sweepRate(sweep: Sweep, threads: number, rateOf: (probe: () => number) => number): number {
  const { bandwidth } = probes();
  const rate = (around: boolean): number => rateOf(() => bandwidth(sweep, threads, 100, around));
  // What is only read has no stores. An update's lines were just read: around the caches could only throw them out.
  if (sweep === "read" || sweep === "update") return rate(false);
  return Math.max(rate(false), rate(true));
}

/** Peaks of instruction sets and bandwidth, by threads; the peak of one is always among them. */
export function machine(threads: readonly number[]): ProbedMachine {
  const addon = probes();
  const { isa, isas, cpu } = addon.info();
  const bandwidth = threads.map((count): [number, Record<Sweep, number>] => [
    count,
    {
      read: sweepRate("read", count, best),
      copy: sweepRate("copy", count, best),
      triad: sweepRate("triad", count, best),
      update: sweepRate("update", count, best),
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

/** What a unit's work takes at the least, as the machine is at this moment. */
export function limit({ flops, traffic }: Work, threads: number): Limit {
  const addon = probes();
  const passes = Object.entries(traffic ?? {}) as [Sweep, number][];
  const memory = passes.reduce(
    (sum, [sweep, bytes]) => sum + bytes / 1e9 / sweepRate(sweep, threads, (probe) => probe()),
    0,
  );
  return {
    ...(flops && { arithmetic: flops / 1e9 / addon.peak(addon.info().isa, threads, 50) }),
    ...(traffic && { memory }),
  };
}
