/**
 * The native executor: finds and loads the addon, matches kernel and instruction names, and hands it
 * encoded Programs. An addon that can't be used is explained, attempt by attempt.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { encodeProgram } from "../compiler/encode.js";
import type { Program } from "../compiler/program.js";
import { ArgumentError, BackendError, expected, show } from "../errors.js";
import { instructions } from "../kernels/instructions.js";
import { kernels } from "../kernels/table.js";
import { placeAllocations, type TypedArray } from "../tensor/dtype.js";
import type { Backend, BackendInfo, LoadedProgram, LoopResult, LoopSpec } from "./backend.js";
import { withWeight } from "./dataerrors.js";

/** What the addon says of itself and the machine. */
export interface AddonInfo {
  readonly isa: string;
  readonly isas: readonly string[];
  readonly compiledIsas: readonly string[];
  readonly threads: number;
  readonly affinity: number;
  readonly quota: number | null;
  readonly physicalCores: number;
  readonly cpu: string;
  readonly napiVersion: number;
}

type Handle = { readonly __brand: "program" };
type Reason = LoopResult["reason"];

/** The addon's whole surface. */
export interface Addon {
  kernelNames(): string[];
  instructionNames(): string[];
  info(): AddonInfo;
  setIsa(name: string): void;
  setThreads(count: number): void;
  load(words: Int32Array, floats: Float64Array, constants: Uint8Array): Handle;
  /** Names of the compiled loops (native/chains.h) that its elementwise programs run as. */
  chains(handle: Handle): string[];
  runSync(handle: Handle, bindings: readonly TypedArray[]): void;
  /** A function that does `runSync`; no array may be detached or resized while it is in use. */
  bind(handle: Handle, bindings: readonly TypedArray[]): () => void;
  /** `bindings` must stay as it is until the callback; so in `loop`. */
  run(handle: Handle, bindings: readonly TypedArray[], done: (error: Error | null) => void): void;
  loop(
    handle: Handle,
    bindings: readonly TypedArray[],
    advance: Float64Array,
    steps: number,
    progress: Int32Array | null,
    watch: Int32Array,
    done: (error: Error | null, steps: number, reason: Reason) => void,
  ): void;
  /** Waits for the step in progress and holds all jobs until `resume`; both may be nested. */
  pause(): void;
  resume(): void;
  /** Where in a cache line of 64 bytes a buffer's memory begins. */
  lineOffset(buffer: ArrayBuffer): number;
  /** Asks the system to back a large new buffer by huge pages. */
  hugePages(buffer: ArrayBuffer): void;
  /** GFLOP/s of a register-only FMA loop on some threads at once. */
  peak(isa: string, threads: number, milliseconds: number): number;
  /** GB/s of passes over memory on some threads; `aroundCaches`: by non-temporal stores. */
  bandwidth(
    sweep: "read" | "copy" | "triad" | "update",
    threads: number,
    milliseconds: number,
    aroundCaches: boolean,
  ): number;
}

export interface Attempt {
  readonly path: string;
  readonly result: string;
}

/** The addon, or why there is none. */
export interface AddonSearch {
  readonly addon?: Addon;
  readonly attempts: readonly Attempt[];
}

/** Directory names of prebuilt binaries: platform, processor, and the C library where it matters. */
export function platformTag(): string {
  const { platform, arch } = process;
  // A glibc process reports its version; musl does not.
  const report = process.report?.getReport() as
    | { header?: { glibcVersionRuntime?: string } }
    | undefined;
  const musl = platform === "linux" && !report?.header?.glibcVersionRuntime;
  return `${platform}-${arch}${musl ? "-musl" : ""}`;
}

/** Looks for the addon: an explicit path, then a build in the checkout, then a prebuilt binary. */
export function findAddon(explicit?: string): AddonSearch {
  const root = new URL("../../", import.meta.url);
  const candidates = explicit
    ? [explicit]
    : [
        fileURLToPath(new URL("build/Release/layerwise.node", root)),
        fileURLToPath(new URL("native/build/Release/layerwise.node", root)),
        fileURLToPath(new URL(`prebuilds/${platformTag()}/layerwise.node`, root)),
      ];
  const require = createRequire(import.meta.url);
  const attempts: Attempt[] = [];
  for (const path of candidates) {
    if (!existsSync(path)) {
      attempts.push({ path, result: "not there" });
      continue;
    }
    try {
      const addon = require(path) as Addon;
      const lacking = missingNames(addon);
      if (lacking) {
        attempts.push({ path, result: lacking });
        continue;
      }
      attempts.push({ path, result: "loaded" });
      return { addon, attempts };
    } catch (error) {
      attempts.push({ path, result: error instanceof Error ? error.message : String(error) });
    }
  }
  return { attempts };
}

function missingNames(addon: Addon): string | undefined {
  const compare = (what: string, ours: readonly string[], theirs: readonly string[]): string[] => {
    const missing = ours.filter((name) => !theirs.includes(name));
    const extra = theirs.filter((name) => !ours.includes(name));
    return [
      ...(missing.length > 0 ? [`lacks ${what} ${missing.join(", ")}`] : []),
      ...(extra.length > 0 ? [`has unknown ${what} ${extra.join(", ")}`] : []),
    ];
  };
  const problems = [
    ...compare("kernels", Object.keys(kernels), addon.kernelNames()),
    ...compare("instructions", Object.keys(instructions), addon.instructionNames()),
  ];
  return problems.length > 0 ? `built from other sources: it ${problems.join("; it ")}` : undefined;
}

/** Runs Programs in the addon. */
export class NativeBackend implements Backend {
  readonly name = "native";
  readonly addon: Addon;
  readonly #isaReason: string;
  readonly #kernelIds: ReadonlyMap<string, number>;
  readonly #instructionIds: ReadonlyMap<string, number>;

  constructor(addon: Addon, options: { isa?: string; threads?: number } = {}) {
    this.addon = addon;
    if (options.isa) {
      const { isas } = addon.info();
      if (!isas.includes(options.isa)) {
        throw new ArgumentError(
          expected(
            "LAYERWISE_ISA",
            `an instruction set that runs here (${isas.join(", ")})`,
            show(options.isa),
          ),
        );
      }
      addon.setIsa(options.isa);
    }
    if (options.threads) addon.setThreads(options.threads);
    placeAllocations(addon);
    this.#isaReason = options.isa ? "asked for by LAYERWISE_ISA" : "the best this CPU runs";
    this.#kernelIds = new Map(addon.kernelNames().map((name, id) => [name, id]));
    this.#instructionIds = new Map(addon.instructionNames().map((name, id) => [name, id]));
  }

  info(): BackendInfo {
    const info = this.addon.info();
    return {
      backend: "native",
      isa: info.isa,
      isas: info.isas,
      isaReason: this.#isaReason,
      threads: info.threads,
      cpu: info.cpu,
      affinity: info.affinity,
      ...(info.quota === null ? {} : { quota: info.quota }),
    };
  }

  load(program: Program): LoadedProgram {
    const { words, floats, constants } = encodeProgram(
      program,
      this.#kernelIds,
      this.#instructionIds,
    );
    return new NativeProgram(this.addon, this.addon.load(words, floats, constants), program);
  }

  between<T>(body: () => T): T {
    this.addon.pause();
    try {
      return body();
    } finally {
      this.addon.resume();
    }
  }
}

class NativeProgram implements LoadedProgram {
  readonly #addon: Addon;
  readonly #handle: Handle;
  readonly #program: Program;

  constructor(addon: Addon, handle: Handle, program: Program) {
    this.#addon = addon;
    this.#handle = handle;
    this.#program = program;
  }

  runSync(bindings: readonly TypedArray[]): void {
    try {
      this.#addon.runSync(this.#handle, bindings);
    } catch (error) {
      throw translated(error, this.#program);
    }
  }

  bind(bindings: readonly TypedArray[]): () => void {
    const run = this.#addon.bind(this.#handle, bindings);
    return () => {
      try {
        run();
      } catch (error) {
        throw translated(error, this.#program);
      }
    };
  }

  // An error comes from another thread, without a stack. It is made after an `await`, where V8 knows
  // the async functions that wait: a stack without the cost of taking one at each call.
  async run(bindings: readonly TypedArray[]): Promise<void> {
    const error = await new Promise<Error | null>((resolve) => {
      this.#addon.run(this.#handle, bindings, resolve);
    });
    if (error) throw translated(error, this.#program);
  }

  async loop(bindings: readonly TypedArray[], spec: LoopSpec): Promise<LoopResult> {
    const result = await new Promise<LoopResult | Error>((resolve) => {
      this.#addon.loop(
        this.#handle,
        bindings,
        Float64Array.from(spec.advance),
        spec.steps,
        spec.progress ?? null,
        Int32Array.from(spec.watch ?? []),
        (error, steps, reason) => resolve(error ?? { steps, reason }),
      );
    });
    if (result instanceof Error) throw translated(result, this.#program);
    return result;
  }
}

/** What the addon threw, in the family: values that a kernel refused are the caller's arguments. */
function translated(error: unknown, program: Program): Error {
  const message = error instanceof Error ? error.message : String(error);
  return /\(Program call \d+\)$/.test(message)
    ? new ArgumentError(withWeight(message, program))
    : new BackendError(message);
}
