/**
 * Joins compiler and executors: evaluates lazy tensors, traces functions into executables, caches
 * compiled Programs. Installs the evaluator that `tensor.data()` calls.
 */
import { compileGraph } from "../compiler/compile.js";
import { buildGraph, type Graph, type GraphInput } from "../compiler/graph.js";
import type { Program } from "../compiler/program.js";
import { ArgumentError, DTypeError, expected, ShapeError, StateError } from "../errors.js";
import { allocate, bytesPerElement, storesDType, type TypedArray } from "../tensor/dtype.js";
import { keepsGraph, type TraceScope, withTrace } from "../tensor/scope.js";
import { showShape, sizeOf } from "../tensor/shape.js";
import {
  installEvaluator,
  leaf,
  placeholder,
  type Tensor,
  type TensorSpec,
} from "../tensor/tensor.js";
import { readTogether, type Variable, type VariableUpdate } from "../tensor/variable.js";
import type { Backend, LoadedProgram, LoopResult } from "./backend.js";
import { backend } from "./select.js";

interface CachedProgram {
  readonly program: Program;
  readonly loaded: Map<Backend, LoadedProgram>;
}

/** Programs of evaluated expressions, most recently used last. */
const cache = new Map<string, CachedProgram>();
/** Bounds on the cache: Programs, and bytes of the arenas they hold. */
const cacheLimits = { programs: 512, bytes: 256 * 2 ** 20 };
let cachedBytes = 0;

/** The cached Program of a graph, compiled at first need; the least recently used make room. */
function cachedProgram(graph: Graph): CachedProgram {
  let entry = cache.get(graph.key);
  if (entry) {
    cache.delete(graph.key);
  } else {
    entry = { program: compileGraph(graph, graph.outputs, [], []), loaded: new Map() };
    cachedBytes += entry.program.arenaBytes;
    for (const [key, oldest] of cache) {
      if (cache.size < cacheLimits.programs && cachedBytes <= cacheLimits.bytes) break;
      cache.delete(key);
      cachedBytes -= oldest.program.arenaBytes;
    }
  }
  cache.set(graph.key, entry);
  return entry;
}

function loadedFor(entry: CachedProgram): LoadedProgram {
  const executor = backend();
  let loaded = entry.loaded.get(executor);
  if (!loaded) {
    loaded = executor.load(entry.program);
    entry.loaded.set(executor, loaded);
  }
  return loaded;
}

/** Runs in progress that update variables: nothing has to be looked at while there are none. */
let updatesInProgress = 0;

interface Evaluation {
  readonly tensors: readonly Tensor[];
  readonly loaded: LoadedProgram;
  readonly bindings: TypedArray[];
  readonly results: TypedArray[];
}

function prepare(tensors: readonly Tensor[]): Evaluation | undefined {
  const pending = [...new Set(tensors.map((t) => t.current()))].filter(
    (t) => t.values === undefined && t.literal === undefined,
  );
  if (pending.length === 0) return undefined;
  const graph = buildGraph(pending);
  const results = pending.map((t) => allocate(t.dtype, t.size));
  const bindings = [...graph.inputs.map(leafValues), ...results];
  return { tensors: pending, loaded: loadedFor(cachedProgram(graph)), bindings, results };
}

function leafValues(input: GraphInput): TypedArray {
  if (input.kind !== "leaf")
    throw new StateError("evaluation met an argument of a traced function");
  return input.values;
}

function settle({ tensors, results }: Evaluation): void {
  const keep = keepsGraph();
  tensors.forEach((tensor, i) => {
    tensor.values = results[i]!;
    if (!keep) tensor.node = undefined;
  });
}

/** Computes the tensors that have no values yet, together, off the event loop. */
export async function evaluate(tensors: readonly Tensor[]): Promise<void> {
  const evaluation = prepare(tensors);
  if (!evaluation) return;
  await evaluation.loaded.run(evaluation.bindings);
  settle(evaluation);
}

/** Computes the tensors that have no values yet, together, at once. */
export function evaluateSync(tensors: readonly Tensor[]): void {
  const evaluation = prepare(tensors);
  if (!evaluation) return;
  evaluation.loaded.runSync(evaluation.bindings);
  settle(evaluation);
}

installEvaluator({ evaluate, evaluateSync });

/** An argument of a traced function. */
export interface TraceInput extends TensorSpec {
  readonly name: string;
}

export interface TraceRequest {
  /** For messages. */
  readonly name: string;
  readonly inputs: readonly TraceInput[];
  /** Run once, with placeholders; variables it reads become bindings, assigned ones are updated. */
  body(inputs: Tensor[]): readonly Tensor[];
}

/**
 * The values of variables, all of the same step: without copying or waiting where no run updates them,
 * else by a run that takes its turn between the steps of the other.
 */
export async function snapshot(variables: readonly Variable[]): Promise<Tensor[]> {
  if (!variables.some((v) => v.update)) return readTogether(variables);
  const copy = trace({
    name: "snapshot",
    inputs: [],
    body: () => variables.map((v) => v.read()),
  });
  const arrays = await copy.run([]);
  return variables.map(({ shape, dtype }, i) => leaf(arrays[i]!, shape, dtype));
}

/** Runs `body` once and compiles what it recorded. */
export function trace({ name, inputs, body }: TraceRequest): Executable {
  const scope = new Tracing();
  const placeholders = inputs.map(({ shape, dtype }) => placeholder(shape, dtype));
  const results = withTrace(scope, () => {
    const returned: unknown = body(placeholders);
    if (!Array.isArray(returned)) {
      const what =
        returned instanceof Promise ? "a Promise: async functions can't be traced" : returned;
      throw new ArgumentError(expected(name, "an array of tensors from the traced function", what));
    }
    return (returned as Tensor[]).map((t) => t.current());
  });
  return new Executable(name, inputs, placeholders, results, scope);
}

class Tracing implements TraceScope {
  readonly variables = new Map<Variable, { readonly first: Tensor; current: Tensor }>();

  read(variable: Variable): Tensor {
    let entry = this.variables.get(variable);
    if (!entry) {
      const first = placeholder(variable.shape, variable.dtype);
      entry = { first, current: first };
      this.variables.set(variable, entry);
    }
    return entry.current;
  }

  assign(variable: Variable, value: Tensor): void {
    this.read(variable);
    this.variables.get(variable)!.current = value;
  }
}

/** What a loop needs beside the inputs. */
export interface ExecutableLoop {
  readonly steps: number;
  /** Elements each input's window moves per step; 0 keeps it in place. */
  readonly advance: readonly number[];
  /** One array per output, `steps` times its size. */
  readonly outputs: readonly TypedArray[];
  readonly progress?: Int32Array;
  /** Indices of float32 outputs that must stay finite. */
  readonly watch?: readonly number[];
}

/**
 * Inputs and outputs up to so many bytes in all are copied to and from arrays that stay bound. Copying
 * 16 KiB costs under a microsecond; handing three small arrays to the addon costs more, most of it for
 * moving a new, still embedded array out of V8's heap.
 */
const stagedBytes = 2 ** 14;

/** A Program bound to arrays of its own and to the storages of its variables. */
interface Staged {
  readonly executor: Backend;
  readonly storages: readonly TypedArray[];
  readonly inputs: readonly TypedArray[];
  readonly outputs: readonly TypedArray[];
  /** The stamp, if the Program reads one. */
  readonly stamp: TypedArray;
  readonly run: () => void;
}

/** A traced function: one Program with its variables bound. */
export class Executable {
  readonly name: string;
  readonly inputs: readonly TraceInput[];
  readonly outputs: readonly TensorSpec[];
  /** Bytes of its own: the arena, and about as much as it may keep of variables that it only reads. */
  readonly heldBytes: number;
  /** Every variable that is read or assigned. */
  readonly variables: readonly Variable[];
  /** The compiled Program, for printing and tests. */
  readonly program: Program;
  readonly #storages: ((() => TypedArray) | TypedArray)[];
  /** Those of the variables that a run updates. */
  readonly #updated: readonly Variable[];
  readonly #entry: CachedProgram;
  readonly #storageSizes: readonly number[];
  readonly #inputSizes: readonly number[];
  readonly #outputSizes: readonly number[];
  /** Whether the Program reads a stamp, and the variables whose values it may keep something of. */
  readonly #stamped: boolean;
  readonly #lasting: readonly Variable[];
  /** Whether `runSync` may copy: small, and every storage stays what it is. */
  readonly #stageable: boolean;
  #staged: Staged | undefined;

  /** @internal Use `trace`. */
  constructor(
    name: string,
    inputs: readonly TraceInput[],
    placeholders: readonly Tensor[],
    results: readonly Tensor[],
    scope: Tracing,
  ) {
    this.name = name;
    this.inputs = inputs;
    this.outputs = results.map(({ shape, dtype }) => ({ shape, dtype }));
    const traced = [...scope.variables];
    this.variables = traced.map(([variable]) => variable);
    const updated = traced.flatMap(([, { first, current }], i) =>
      first === current ? [] : [{ input: inputs.length + i, tensor: current }],
    );
    const declared: GraphInput[] = [
      ...placeholders.map((tensor, index): GraphInput => ({ kind: "argument", index, tensor })),
      ...traced.map(
        ([, { first }], index): GraphInput => ({ kind: "variable", index, tensor: first }),
      ),
    ];
    const graph: Graph = buildGraph([...results, ...updated.map((u) => u.tensor)], declared);
    const lasting = new Set(
      graph.inputs.flatMap(({ kind }, i) => (kind === "argument" ? [] : [i])),
    );
    const updates = updated.map(({ input }, i) => ({
      input,
      value: graph.outputs[results.length + i]!,
    }));
    this.program = compileGraph(
      graph,
      graph.outputs.slice(0, results.length),
      updates,
      [...inputs.map((input) => input.name), ...this.variables.map((variable) => variable.name)],
      lasting,
    );
    const { bindings } = this.program;
    this.#stamped = bindings.at(-1)?.access === "stamp";
    const kept = bindings.filter(({ access }) => access === "lasts");
    this.heldBytes =
      this.program.arenaBytes +
      kept.reduce((sum, { dtype, size }) => sum + size * bytesPerElement[dtype], 0);
    this.#lasting = this.variables.filter(
      (_, i) => bindings[inputs.length + i]!.access === "lasts",
    );
    const writes = new Set(updates.map((u) => u.input));
    this.#storages = graph.inputs.slice(inputs.length).map((input, i) => {
      if (input.kind === "leaf") return input.values;
      const variable = this.variables[i]!;
      return writes.has(inputs.length + i)
        ? () => variable.storageForRun()
        : () => variable.storage();
    });
    this.#updated = this.variables.filter((_, i) => writes.has(inputs.length + i));
    this.#entry = { program: this.program, loaded: new Map() };
    this.#storageSizes = graph.inputs
      .slice(inputs.length)
      .map((input) => (input.kind === "leaf" ? input.values.length : input.tensor.size));
    this.#inputSizes = inputs.map(({ shape }) => sizeOf(shape));
    this.#outputSizes = this.outputs.map(({ shape }) => sizeOf(shape));
    const bytes = [...inputs, ...this.outputs].map(
      ({ shape, dtype }) => sizeOf(shape) * bytesPerElement[dtype],
    );
    this.#stageable = writes.size === 0 && bytes.reduce((a, b) => a + b, 0) <= stagedBytes;
  }

  /** Runs once, at once; where another run updates a variable of this one, between two of its steps. */
  runSync(inputs: readonly TypedArray[]): TypedArray[] {
    const other = updatesInProgress > 0 ? this.variables.find((v) => v.update)?.update : undefined;
    if (other) {
      for (const variable of this.#updated) variable.checkFree();
      return other.between(() => this.#runNow(inputs));
    }
    return this.#runNow(inputs);
  }

  #runNow(inputs: readonly TypedArray[]): TypedArray[] {
    this.#check(inputs);
    if (this.#stageable && this.#exact(inputs)) {
      const staged = this.#stagedNow();
      for (let i = 0; i < inputs.length; i++) staged.inputs[i]!.set(inputs[i]!);
      if (this.#stamped) staged.stamp[0] = this.#stamp();
      staged.run();
      const copies = new Array<TypedArray>(staged.outputs.length);
      for (let i = 0; i < copies.length; i++) copies[i] = staged.outputs[i]!.slice();
      return copies;
    }
    const results = this.#allocate();
    loadedFor(this.#entry).runSync(this.#bindings(inputs, results));
    return results;
  }

  /** Runs once, off the event loop. */
  async run(inputs: readonly TypedArray[]): Promise<TypedArray[]> {
    this.#check(inputs);
    const results = this.#allocate();
    const bindings = this.#bindings(inputs, results);
    await this.#updating(() => loadedFor(this.#entry).run(bindings));
    return results;
  }

  /** Runs many times off the event loop, with windows that move over inputs and outputs. */
  loop(inputs: readonly TypedArray[], loop: ExecutableLoop): Promise<LoopResult> {
    const fixed = this.#storages.map(() => 0);
    this.#check(inputs);
    const firstOutput = inputs.length + fixed.length;
    const bindings = this.#bindings(inputs, loop.outputs);
    return this.#updating(() =>
      loadedFor(this.#entry).loop(bindings, {
        steps: loop.steps,
        advance: [...loop.advance, ...fixed, ...this.#outputSizes, ...(this.#stamped ? [0] : [])],
        ...(loop.progress ? { progress: loop.progress } : {}),
        watch: (loop.watch ?? []).map((i) => firstOutput + i),
      }),
    );
  }

  /** Runs `body` with the updated variables marked, so that nobody reads half a step or writes. */
  async #updating<T>(body: () => Promise<T>): Promise<T> {
    if (this.#updated.length === 0) return body();
    const executor = backend();
    const update: VariableUpdate = {
      name: this.name,
      between: (reader) => executor.between(reader),
    };
    updatesInProgress++;
    for (const variable of this.#updated) variable.beginUpdate(update);
    try {
      return await body();
    } finally {
      updatesInProgress--;
      for (const variable of this.#updated) variable.endUpdate(update);
    }
  }

  /** What `runSync` copies to and from; made anew when a variable got another storage. */
  #stagedNow(): Staged {
    const staged = this.#staged;
    if (staged !== undefined && staged.executor === backend() && this.#holds(staged)) return staged;
    const inputs = this.inputs.map(({ dtype }, i) => allocate(dtype, this.#inputSizes[i]!));
    const outputs = this.#allocate();
    const bindings = this.#bindings(inputs, outputs);
    this.#staged = {
      executor: backend(),
      storages: bindings.slice(inputs.length, inputs.length + this.#storages.length),
      inputs,
      outputs,
      stamp: bindings.at(-1)!,
      run: loadedFor(this.#entry).bind(bindings),
    };
    return this.#staged;
  }

  /** True while the bound storages are the variables' own; a detached one has lost its length. */
  #holds({ storages }: Staged): boolean {
    for (let i = 0; i < storages.length; i++) {
      const own = this.#storages[i]!;
      const storage = typeof own === "function" ? own() : own;
      if (storage !== storages[i] || storage.length !== this.#storageSizes[i]) return false;
    }
    return true;
  }

  #exact(inputs: readonly TypedArray[]): boolean {
    for (let i = 0; i < inputs.length; i++) {
      if (inputs[i]!.length !== this.#inputSizes[i]) return false;
    }
    return true;
  }

  /** Arrays for the results of one run. */
  #allocate(): TypedArray[] {
    return this.outputs.map(({ dtype }, i) => allocate(dtype, this.#outputSizes[i]!));
  }

  #bindings(inputs: readonly TypedArray[], outputs: readonly TypedArray[]): TypedArray[] {
    const bindings = inputs.slice();
    for (const storage of this.#storages) {
      bindings.push(typeof storage === "function" ? storage() : storage);
    }
    bindings.push(...outputs);
    if (this.#stamped) bindings.push(Int32Array.of(this.#stamp()));
    return bindings;
  }

  /** Another number than before if a variable that lasts has changed. */
  #stamp(): number {
    let last = 0;
    for (const variable of this.#lasting) last = Math.max(last, variable.lastChange());
    return last | 0;
  }

  #check(arrays: readonly TypedArray[]): void {
    if (arrays.length !== this.inputs.length) {
      throw new ArgumentError(
        expected(this.name, `${this.inputs.length} inputs`, `${arrays.length}`),
      );
    }
    for (let i = 0; i < arrays.length; i++) {
      const { name, shape, dtype } = this.inputs[i]!;
      const array = arrays[i]!;
      if (!storesDType(array, dtype)) {
        throw new DTypeError(expected(`${this.name}: input ${name}`, dtype, array));
      }
      if (array.length < this.#inputSizes[i]!) {
        throw new ShapeError(
          expected(
            `${this.name}: input ${name}`,
            `${showShape(shape)} (${this.#inputSizes[i]} elements)`,
            array,
          ),
        );
      }
    }
  }
}
