/**
 * What an executor of Programs is: the one interface behind which the native addon and the
 * TypeScript interpreter are interchangeable. Knows Programs, not graphs.
 */
import type { Program } from "../compiler/program.js";
import type { TypedArray } from "../tensor/dtype.js";

/** The two executors. */
export type BackendName = "native" | "typescript";

/** What runs here, and why. */
export interface BackendInfo {
  readonly backend: BackendName;
  /** Instruction set in use (native only), such as `avx2`. */
  readonly isa?: string;
  /** Every instruction set that is linked in and that this CPU can run. */
  readonly isas?: readonly string[];
  /** Why `isa` was chosen. */
  readonly isaReason?: string;
  /** Threads a run may use. */
  readonly threads: number;
  /** CPU model, as the system names it. */
  readonly cpu: string;
  /** CPUs in the process's affinity mask. */
  readonly affinity?: number;
  /** CPUs granted by the cgroup quota; absent when there is no limit. */
  readonly quota?: number;
  /** Where the addon was looked for and what came of each attempt. */
  readonly attempts?: readonly { readonly path: string; readonly result: string }[];
}

/** What `loop` is asked to do. */
export interface LoopSpec {
  /** Runs back to back. */
  readonly steps: number;
  /** Per binding: elements its window moves forward each step; 0 keeps it in place. */
  readonly advance: readonly number[];
  /** `[finished steps, stop request]`, shared with the caller while the loop runs. */
  readonly progress?: Int32Array;
  /** Float32 bindings checked after each step; a NaN or infinity in one ends the loop. */
  readonly watch?: readonly number[];
}

/** How far a loop came and why it ended. */
export interface LoopResult {
  readonly steps: number;
  readonly reason: "done" | "aborted" | "nonfinite";
}

/** A Program that an executor has validated and prepared. */
export interface LoadedProgram {
  /** Runs all calls once, on the calling thread's time. Bindings: one typed array per binding. */
  runSync(bindings: readonly TypedArray[]): void;
  /**
   * A function that does `runSync` with these arrays, looked at once instead of at each call. While it
   * is in use, none of them may be detached or resized.
   */
  bind(bindings: readonly TypedArray[]): () => void;
  /** Runs all calls once without holding up the event loop. */
  run(bindings: readonly TypedArray[]): Promise<void>;
  /** Runs `spec.steps` times; each binding's array covers all of its windows. */
  loop(bindings: readonly TypedArray[], spec: LoopSpec): Promise<LoopResult>;
}

/** An executor of Programs. */
export interface Backend {
  readonly name: BackendName;
  info(): BackendInfo;
  /** Validates and prepares a Program; throws when it is malformed. */
  load(program: Program): LoadedProgram;
  /**
   * Calls `body` while no step of an async run is in progress: waits for the one that is, and begins
   * no other meanwhile. What `body` reads is the work of whole steps.
   */
  between<T>(body: () => T): T;
}
