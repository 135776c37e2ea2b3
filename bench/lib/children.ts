/**
 * The processes of contenders. Those that time kernels are kept for the next kernel, as most of a case's time
 * would go into starting them. Models, and what is compiled first, get a process of their own: memory and
 * compiled graphs would stay behind.
 */
import { contenders } from "../contenders/contenders.js";
import { Child } from "./child.js";
import type { Spec } from "./spec.js";

export class Children {
  readonly #idle = new Map<string, Child>();
  readonly #kept = new Set<Child>();

  /** A process of contender `name`, set up for nothing yet. */
  take(name: string, threads: number, spec: Spec): Child {
    const key = `${name} ${threads}`;
    const contender = contenders[name]!;
    const keeps = spec.kind === "kernel" && !("compile" in contender.options);
    const idle = keeps ? this.#idle.get(key) : undefined;
    if (idle) this.#idle.delete(key);
    const child = idle ?? new Child(contender, threads);
    if (keeps) this.#kept.add(child);
    return child;
  }

  /** Takes a process back after its case. One that failed ends. */
  async give(name: string, threads: number, child: Child, failed: boolean): Promise<void> {
    if (this.#kept.delete(child) && !failed) this.#idle.set(`${name} ${threads}`, child);
    else await child.close();
  }

  /** Ends all that wait. */
  async close(): Promise<void> {
    await Promise.all([...this.#idle.values()].map((child) => child.close()));
    this.#idle.clear();
  }
}
