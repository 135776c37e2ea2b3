/** The most memory that a process held since some moment, as Linux counts it; elsewhere nothing is said. */
import { readFileSync, writeFileSync } from "node:fs";

function status(field: "VmRSS" | "VmHWM"): number {
  const text = readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)![1]) / 1024;
}

/** Starts where it is made. */
export class PeakMemory {
  #start: number | undefined;

  constructor() {
    try {
      globalThis.gc?.();
      // Sets the high-water mark back to what is resident now.
      writeFileSync("/proc/self/clear_refs", "5");
      this.#start = status("VmRSS");
    } catch {
      // No Linux, or not allowed.
    }
  }

  /** What was resident at most, beyond what was at the start. */
  figures(): Record<string, number> {
    if (this.#start === undefined) return {};
    return { "peak memory, MiB": status("VmHWM") - this.#start };
  }
}
