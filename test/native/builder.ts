/**
 * Hand-made Programs for testing the addon alone: an encoder that does exactly what docs/program.md
 * says and nothing else, so that tests can also write what no compiler would. Knows no compiler.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export type Typed = Float32Array | Int32Array | Uint8Array;
export type Callback = (error: Error | null) => void;
export type LoopCallback = (error: Error | null, steps: number, reason: string) => void;

/** The addon's surface, as the tests use it. */
export interface Addon {
  kernelNames(): string[];
  instructionNames(): string[];
  info(): {
    isa: string;
    isas: string[];
    compiledIsas: string[];
    threads: number;
    affinity: number;
    quota: number | null;
    physicalCores: number;
    cpu: string;
    napiVersion: number;
  };
  setIsa(name: string): void;
  setThreads(count: number): void;
  load(words: Int32Array, floats: Float64Array, constants: Uint8Array): object;
  runSync(handle: object, bindings: readonly Typed[]): void;
  bind(handle: object, bindings: Typed[]): () => void;
  run(handle: object, bindings: readonly Typed[], callback: Callback): void;
  loop(
    handle: object,
    bindings: readonly Typed[],
    advance: Float64Array,
    steps: number,
    progress: Int32Array | null,
    watch: Int32Array,
    callback: LoopCallback,
  ): void;
  pause(): void;
  resume(): void;
  peak(isa: string, threads: number, milliseconds: number): number;
  bandwidth(sweep: string, threads: number, milliseconds: number, aroundCaches: boolean): number;
}

export const addonPath =
  process.env.LAYERWISE_ADDON ??
  fileURLToPath(new URL("../../build/Release/layerwise.node", import.meta.url));
/** The addon as built in this checkout. */
export const addon = createRequire(import.meta.url)(addonPath) as Addon;

const dtypes = { float32: 0, int32: 1, uint8: 2, bool: 3 } as const;
export type DTypeName = keyof typeof dtypes;

export interface TileSpec {
  dims: number[];
  /** Stride rows; for gemm row 0 belongs to C. */
  strides: number[][];
  /** `[name, dst, ...args]`; constants follow as `{ constant }`. */
  instructions: { op: string; dst: number; args?: number[]; constant?: number[] }[];
  results: number[];
  registers?: number;
}

/** An encoded Program. */
export interface Encoded {
  words: Int32Array;
  floats: Float64Array;
  constants: Uint8Array;
}

/** Collects tensors, bindings and calls and encodes them. */
export class ProgramBuilder {
  /** Names of all kernels that were called. */
  readonly kernels = new Set<string>();
  readonly #tensors: number[][] = [];
  readonly #bindings: number[][] = [];
  readonly #calls: number[][] = [];
  readonly #floats: number[] = [];
  #arena = 0;
  #constants: number[] = [];

  static size(shape: readonly number[]): number {
    return shape.reduce((a, b) => a * b, 1);
  }

  /** A tensor that is a binding of its own; bindings are numbered in order. */
  bind(
    dtype: DTypeName,
    shape: number[],
    access: "read" | "write" | "readwrite" = "readwrite",
  ): number {
    const id = this.#bindings.length;
    const code = { read: 0, write: 1, readwrite: 2 }[access];
    this.#bindings.push([dtypes[dtype], ProgramBuilder.size(shape), code]);
    return this.#tensors.push([dtypes[dtype], 1, id, 0, shape.length, ...shape]) - 1;
  }

  /** A tensor in the arena, after all others or at `offset`. */
  arena(dtype: DTypeName, shape: number[], offset?: number): number {
    const bytes = ProgramBuilder.size(shape) * (dtype === "uint8" || dtype === "bool" ? 1 : 4);
    const at = offset ?? this.#arena;
    this.#arena = Math.max(this.#arena, at + Math.ceil(bytes / 64) * 64);
    return this.#tensors.push([dtypes[dtype], 0, at, 0, shape.length, ...shape]) - 1;
  }

  /** A constant tensor with the given bytes. */
  constant(dtype: DTypeName, shape: number[], data: Typed): number {
    while (this.#constants.length % 64) this.#constants.push(0);
    const at = this.#constants.length;
    this.#constants.push(...new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return this.#tensors.push([dtypes[dtype], 2, at, 0, shape.length, ...shape]) - 1;
  }

  call(
    kernel: string,
    inputs: number[],
    outputs: number[],
    ints: number[] = [],
    floats: number[] = [],
    tile?: TileSpec,
  ): this {
    const id = addon.kernelNames().indexOf(kernel);
    if (id < 0) throw new Error(`no kernel ${kernel}`);
    this.kernels.add(kernel);
    const own = [...floats];
    const encodedTile: number[] = [];
    if (tile) {
      const names = addon.instructionNames();
      let registers = tile.registers ?? tile.strides.length;
      const instructions = tile.instructions.map(({ op, dst, args = [], constant }) => {
        const opId = names.indexOf(op);
        if (opId < 0) throw new Error(`no instruction ${op}`);
        registers = Math.max(registers, dst + 1);
        const words = [opId, dst, args[0] ?? -1, args[1] ?? -1, args[2] ?? -1];
        if (constant) {
          words[op.startsWith("philox") ? 4 : 2] = own.length;
          own.push(...constant);
        }
        return words;
      });
      encodedTile.push(tile.dims.length, ...tile.dims, tile.strides.length);
      for (const row of tile.strides) encodedTile.push(...row);
      encodedTile.push(registers, instructions.length, ...instructions.flat());
      encodedTile.push(tile.results.length, ...tile.results);
    }
    this.#calls.push([
      id,
      inputs.length,
      ...inputs,
      outputs.length,
      ...outputs,
      ints.length,
      ...ints,
      own.length,
      tile ? 1 : 0,
      ...encodedTile,
    ]);
    this.#floats.push(...own);
    return this;
  }

  encode(): Encoded {
    const words = Int32Array.from([
      0x4c575031,
      1,
      this.#tensors.length,
      this.#bindings.length,
      this.#calls.length,
      this.#arena,
      0,
      ...this.#tensors.flat(),
      ...this.#bindings.flat(),
      ...this.#calls.flat(),
    ]);
    return {
      words,
      floats: Float64Array.from(this.#floats),
      constants: Uint8Array.from(this.#constants),
    };
  }

  load(): object {
    const { words, floats, constants } = this.encode();
    return addon.load(words, floats, constants);
  }
}

/** Strides of a contiguous row-major domain. */
export function contiguous(dims: number[]): number[] {
  const strides = dims.map(() => 1);
  for (let d = dims.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * dims[d + 1]!;
  return strides;
}

/** Small deterministic random numbers (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Floats in [low, high). */
export function floats(n: number, seed: number, low = -1, high = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: n }, () => low + (high - low) * next());
}

/** Runs `run` and resolves when its callback was called without an error. */
export function run(handle: object, bindings: readonly Typed[]): Promise<void> {
  return new Promise((resolve, reject) => {
    addon.run(handle, bindings, (error) => (error ? reject(error) : resolve()));
  });
}

/** Runs `loop` and resolves with its outcome. */
export function loop(
  handle: object,
  bindings: readonly Typed[],
  advance: number[],
  steps: number,
  progress: Int32Array | null = null,
  watch: number[] = [],
): Promise<{ steps: number; reason: string }> {
  return new Promise((resolve, reject) => {
    addon.loop(
      handle,
      bindings,
      Float64Array.from(advance),
      steps,
      progress,
      Int32Array.from(watch),
      (error, done, reason) => (error ? reject(error) : resolve({ steps: done, reason })),
    );
  });
}
