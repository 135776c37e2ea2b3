/**
 * The executor without an addon: interprets a Program through `kernels/table.ts`. Every call is
 * prepared once, when the Program is loaded. Async runs take turns and let the event loop breathe.
 */
import { cpus } from "node:os";
import { performance } from "node:perf_hooks";
import {
  alignment,
  type Call,
  kernelCall,
  type Program,
  validateProgram,
} from "../compiler/program.js";
import { ArgumentError, expected, show } from "../errors.js";
import type { KernelRun, PrepareOptions } from "../kernels/kernel.js";
import { findKernel } from "../kernels/table.js";
import { storesDType, type TypedArray, viewOf } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import type { Backend, BackendInfo, LoadedProgram, LoopResult, LoopSpec } from "./backend.js";
import { withWeight } from "./dataerrors.js";

/** Work is interrupted for the event loop after this many milliseconds. */
const slice = 8;

/**
 * Whose turn it is. Async runs go one at a time, first come first served: JavaScript has one thread,
 * so taking turns finer than that would only keep more arenas busy.
 */
class Turns {
  /** The run in progress, which may be waiting for the event loop in the middle of its step. */
  current: Run | null = null;
  #busy = false;
  #lastPause = performance.now();
  readonly #waiting: (() => void)[] = [];

  async take(): Promise<void> {
    if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy = true;
    await this.pause();
  }

  release(): void {
    const next = this.#waiting.shift();
    // The turn passes on without a gap in which a newcomer could take it.
    if (next) next();
    else this.#busy = false;
  }

  /** Lets everybody go first who waits already, and takes the turn back. */
  async yield(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const mine = this.take();
    this.release();
    await mine;
  }

  /** Gives the event loop its turn when this one has worked for long enough. */
  async pause(): Promise<void> {
    if (this.due()) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#lastPause = performance.now();
    }
  }

  due(): boolean {
    return performance.now() - this.#lastPause > slice;
  }
}

/** One prepared call with its arrays; those that live in bindings change from run to run. */
interface Step {
  /** For messages. */
  readonly program: Program;
  readonly kernel: string;
  readonly index: number;
  readonly run: KernelRun;
  readonly inputs: TypedArray[];
  readonly outputs: TypedArray[];
  /** Whether it writes into a binding: what the caller sees changes. */
  readonly visible: boolean;
}

/** One pass over the steps of a Program, as far as it has come. */
class Run {
  readonly #steps: readonly Step[];
  #next = 0;
  /** Whether the caller's arrays have changed: a run that is stopped after that must be finished. */
  visible = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Whether there is nothing left to do; throws what `finish` met. */
  get over(): boolean {
    if (this.#failure) throw this.#failure.error;
    return this.#next === this.#steps.length;
  }

  advance(): void {
    const step = this.#steps[this.#next++]!;
    this.visible ||= step.visible;
    execute(step);
  }

  /** Does what is left, at once. An error is for whoever began the run, not for this caller. */
  finish(): void {
    try {
      while (!this.over) this.advance();
    } catch (error) {
      this.#failure = { error };
    }
  }
}

/** Where an array of binding `binding` has to be put before a run. */
interface Slot {
  readonly arrays: TypedArray[];
  readonly position: number;
  readonly binding: number;
  readonly size: number;
}

/** An arena with every view into it: what one run works on. */
interface State {
  readonly steps: readonly Step[];
  readonly slots: readonly Slot[];
}

const nothing = new Uint8Array(0);

class TypeScriptProgram implements LoadedProgram {
  readonly #program: Program;
  readonly #runs: readonly KernelRun[];
  readonly #turns: Turns;
  /** States not in use. There are two at most: the one whose turn it is, and a `runSync` beside it. */
  readonly #free: State[] = [];

  constructor(program: Program, turns: Turns, options: PrepareOptions) {
    validateProgram(program);
    // Typed arrays need an aligned start; a blob that was cut out of a larger one may lack it.
    const aligned = program.constants.byteOffset % alignment === 0;
    this.#program = aligned ? program : { ...program, constants: program.constants.slice() };
    this.#turns = turns;
    this.#runs = program.calls.map((call) =>
      findKernel(call.kernel)!.prepare(kernelCall(program, call), options),
    );
  }

  runSync(bindings: readonly TypedArray[]): void {
    this.#check(bindings);
    const state = this.#checkOut();
    try {
      bind(state, bindings);
      for (const step of state.steps) execute(step);
    } finally {
      this.#checkIn(state);
    }
  }

  bind(bindings: readonly TypedArray[]): () => void {
    const kept = bindings.slice();
    this.#check(kept);
    return () => this.runSync(kept);
  }

  async run(bindings: readonly TypedArray[]): Promise<void> {
    this.#check(bindings);
    await this.#turns.take();
    try {
      await this.#runOnce(bindings);
    } finally {
      this.#turns.release();
    }
  }

  async loop(bindings: readonly TypedArray[], spec: LoopSpec): Promise<LoopResult> {
    const { steps, advance, progress, watch = [] } = spec;
    this.#check(bindings, spec);
    const windows = [...bindings];
    let done = 0;
    const stopped = (): boolean => progress !== undefined && Atomics.load(progress, 1) !== 0;
    await this.#turns.take();
    try {
      while (done < steps) {
        if (stopped()) return { steps: done, reason: "aborted" };
        for (const [i, { size }] of this.#program.bindings.entries()) {
          const start = done * advance[i]!;
          if (bindings[i]!.length !== size) windows[i] = bindings[i]!.subarray(start, start + size);
        }
        if (!(await this.#runOnce(windows, stopped))) return { steps: done, reason: "aborted" };
        done++;
        if (progress) Atomics.store(progress, 0, done);
        if (watch.some((i) => !allFinite(windows[i]!))) return { steps: done, reason: "nonfinite" };
        await this.#turns.yield();
      }
      return { steps: done, reason: "done" };
    } finally {
      this.#turns.release();
    }
  }

  /** False if it was stopped, which leaves no trace: once it has written anything, it goes on. */
  async #runOnce(bindings: readonly TypedArray[], stopped = () => false): Promise<boolean> {
    const state = this.#checkOut();
    try {
      bind(state, bindings);
      const run = new Run(state.steps);
      this.#turns.current = run;
      while (!run.over) {
        // In a pause, somebody who needs whole steps may finish this one.
        if (this.#turns.due()) {
          await this.#turns.pause();
          if (!run.visible && stopped()) return false;
        }
        if (!run.over) run.advance();
      }
      return true;
    } finally {
      this.#turns.current = null;
      this.#checkIn(state);
    }
  }

  #checkOut(): State {
    return this.#free.pop() ?? makeState(this.#program, this.#runs);
  }

  #checkIn(state: State): void {
    // Let go of the caller's arrays.
    for (const slot of state.slots) slot.arrays[slot.position] = nothing;
    this.#free.push(state);
  }

  /** Checks that each binding has its array, for a loop one long enough for every window. */
  #check(bindings: readonly TypedArray[], spec?: LoopSpec): void {
    const wanted = this.#program.bindings;
    if (bindings.length !== wanted.length) {
      const count = String(bindings.length);
      throw new ArgumentError(expected("run", `${wanted.length} bindings`, count));
    }
    if (spec && spec.advance.length !== wanted.length) {
      const count = String(spec.advance.length);
      throw new ArgumentError(expected("loop", `${wanted.length} advances`, count));
    }
    for (const [i, { name, dtype, size }] of wanted.entries()) {
      const array = bindings[i]!;
      const length = spec ? size + Math.max(0, spec.steps - 1) * spec.advance[i]! : size;
      const fits = spec ? array.length >= length : array.length === length;
      if (!storesDType(array, dtype) || !fits) {
        const what = `${dtype} array of ${spec ? "at least " : ""}${length}`;
        throw new ArgumentError(expected(`binding ${name}`, `a ${what}`, show(array)));
      }
    }
    for (const i of spec?.watch ?? []) {
      if (wanted[i]?.dtype !== "float32") {
        throw new ArgumentError(expected("loop", "float32 bindings to watch", String(i)));
      }
    }
  }
}

/** Allocates an arena and resolves the views of every call once. */
function makeState(program: Program, runs: readonly KernelRun[]): State {
  const arena = new ArrayBuffer(program.arenaBytes);
  const slots: Slot[] = [];
  const { constants } = program;
  const views = program.tensors.map(({ dtype, shape, place }) => {
    if (place.kind === "binding") return nothing;
    const [buffer, start] =
      place.kind === "arena" ? [arena, 0] : ([constants.buffer, constants.byteOffset] as const);
    return viewOf(dtype, buffer, start + place.offset, sizeOf(shape));
  });
  const resolve = (indices: readonly number[]): TypedArray[] => {
    const arrays = indices.map((index) => views[index]!);
    for (const [position, index] of indices.entries()) {
      const { place, shape } = program.tensors[index]!;
      if (place.kind !== "binding") continue;
      slots.push({ arrays, position, binding: place.index, size: sizeOf(shape) });
    }
    return arrays;
  };
  const steps = program.calls.map((call: Call, i) => ({
    program,
    kernel: call.kernel,
    index: i,
    run: runs[i]!,
    inputs: resolve(call.inputs),
    outputs: resolve(call.outputs),
    visible: call.outputs.some((index) => program.tensors[index]!.place.kind === "binding"),
  }));
  return { steps, slots };
}

/** Runs one call; what it finds wrong in the data is reported with the kernel and the call's index. */
function execute(step: Step): void {
  try {
    step.run(step.inputs, step.outputs);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    const message = `${step.kernel}: ${error.message} (Program call ${step.index})`;
    throw new ArgumentError(withWeight(message, step.program));
  }
}

function bind(state: State, bindings: readonly TypedArray[]): void {
  for (const { arrays, position, binding, size } of state.slots) {
    const array = bindings[binding]!;
    arrays[position] = array.length === size ? array : array.subarray(0, size);
  }
}

function allFinite(array: TypedArray): boolean {
  // A NaN or infinity survives multiplication by 0, and any sum.
  let sum = 0;
  for (let i = 0; i < array.length; i++) sum += array[i]! * 0;
  return sum === 0;
}

/** The backend that runs everywhere. */
export class TypeScriptBackend implements Backend {
  readonly name = "typescript";
  readonly #turns = new Turns();
  readonly #options: PrepareOptions;

  /** With `interpret`, tile programs run without generated code, as they do where that is forbidden. */
  constructor(options: PrepareOptions = {}) {
    this.#options = options;
  }

  info(): BackendInfo {
    return { backend: "typescript", threads: 1, cpu: cpus()[0]?.model ?? "unknown" };
  }

  load(program: Program): LoadedProgram {
    return new TypeScriptProgram(program, this.#turns, this.#options);
  }

  between<T>(body: () => T): T {
    // There is one thread: nobody begins a step before `body` returns.
    this.#turns.current?.finish();
    return body();
  }
}
