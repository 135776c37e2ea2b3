/**
 * Predictions of one network: in batches off the event loop, or at once with as little as possible
 * around the run. Knows nothing of losses or training.
 */
import type { Executable } from "../backend/run.js";
import { abortable, after, end, type Maybe } from "../data/cursor.js";
import { ArgumentError, checkInteger, checkKeys, expected, ShapeError, show } from "../errors.js";
import { allocate, type DType, dtypeOf, isTypedArray, type TypedArray } from "../tensor/dtype.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, Tensor } from "../tensor/tensor.js";
import { type CallbackHooks, CallbackList, type CallbackModel } from "./callback.js";
import {
  type DataLike,
  inputSamples,
  perSlot,
  type Samples,
  settle,
  sliceSamples,
} from "./data.js";
import { type TrainableNetwork, tracePrediction } from "./step.js";
import type { Batch, BatchStream } from "./stream.js";

/** Options of `predict`. */
export interface PredictOptions {
  /** Samples per run; the results don't depend on it. */
  batchSize?: number;
  signal?: AbortSignal;
  /** Batches of a dataset to use, if not all. */
  steps?: number;
  callbacks?: CallbackHooks | readonly CallbackHooks[];
}

/** Larger batches than Keras' 32 keep all cores busy; results don't depend on it. */
export const inferenceBatch = 256;

/** A batch size as a number of rows: Infinity is all there are. */
export function rowsPerBatch(where: string, option: string, given: number, count: number): number {
  if (given === Infinity) return count;
  checkInteger(where, option, given, 1);
  return Math.min(given, count);
}

/** How many executables are kept while their memory together stays below the bytes. */
const manySmall = 64;
const smallBytes = 64 * 2 ** 20;

/** Executables by shape, the least recently used dropped first: each holds its own memory. */
export class ExecutableCache {
  readonly #entries = new Map<string, Executable>();
  readonly #limit: number;
  #bytes = 0;

  /** Keeps `limit` of them, and more as long as they are small: batches of sequences have many lengths. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string, make: () => Executable): Executable {
    let found = this.#entries.get(key);
    if (found) this.#entries.delete(key);
    else {
      found = make();
      this.#bytes += found.heldBytes;
      for (const [oldest, { heldBytes }] of this.#entries) {
        const { size } = this.#entries;
        if (size < this.#limit || (size < manySmall && this.#bytes <= smallBytes)) break;
        this.#entries.delete(oldest);
        this.#bytes -= heldBytes;
      }
    }
    this.#entries.set(key, found);
    return found;
  }

  clear(): void {
    this.#bytes = 0;
    this.#entries.clear();
  }
}

/** Applies one network to data. */
export class Predictor {
  readonly #network: TrainableNetwork;
  readonly #executables = new ExecutableCache(16);
  /** The latest `predictSync` of a model with one input: the next is likely to have its shape. */
  #last: Latest | null = null;

  constructor(network: TrainableNetwork) {
    this.#network = network;
  }

  /** Predictions for all samples with the callbacks' hooks around it. */
  async predictWatched(
    model: CallbackModel,
    x: DataLike,
    { callbacks: given, ...options }: PredictOptions,
  ): Promise<Tensor[]> {
    const where = "predict()";
    checkKeys(where, options, ["batchSize", "signal"]);
    await settle(x);
    const inputs = this.#inputs(where, x);
    const count = inputs[0]!.shape[0]!;
    const rows = rowsPerBatch(where, "batchSize", options.batchSize ?? inferenceBatch, count);
    const steps = Math.ceil(count / rows);
    const params = { epochs: 1, steps, batchSize: rows, verbose: 0 };
    const callbacks = new CallbackList(where, given, model, params);
    await callbacks.call("onPredictBegin");
    let from = 0;
    const next = (): Samples[] | null => {
      if (from >= count) return null;
      const part = inputs.map((s) => sliceSamples(s, from, Math.min(from + rows, count)));
      from += rows;
      return part;
    };
    const outputs = callbacks.watches("predict")
      ? await this.#batchByBatch(next, callbacks, options.signal)
      : await this.predict(x, options);
    await callbacks.call("onPredictEnd");
    return outputs;
  }

  /** Predictions for the batches of a dataset. */
  async predictStream(
    model: CallbackModel,
    stream: BatchStream,
    { callbacks: given, ...options }: PredictOptions,
  ): Promise<Tensor[]> {
    const where = "predict()";
    if (options.batchSize !== undefined) {
      throw new ArgumentError(
        `${where}: \`batchSize\` is not for a dataset: use dataset.batch(size)`,
      );
    }
    checkKeys(where, options, ["signal", "steps"]);
    const { signal, steps } = options;
    if (steps !== undefined) checkInteger(where, "steps", steps, 1);
    else if (stream.dataset.size === Infinity) {
      throw new ArgumentError(
        `${where}: the dataset is endless, so say how many batches to take: \`steps\`, or dataset.take(n)`,
      );
    }
    const first = await stream.peek();
    if (first === end) throw new ArgumentError(`${where}: the dataset has no batches`);
    let left = steps ?? Infinity;
    const take = (batch: Batch | typeof end): Samples[] | null =>
      batch === end
        ? null
        : this.#inputs(`${where}: ${stream.at(batch.index)}`, batch.x as DataLike);
    const next = (): Maybe<Samples[] | null> => (left-- > 0 ? after(stream.next(), take) : null);
    const callbacks = new CallbackList(where, given, model, {
      epochs: 1,
      steps: steps ?? stream.dataset.size,
      batchSize: take(first)![0]!.shape[0]!,
      verbose: 0,
    });
    await callbacks.call("onPredictBegin");
    const outputs = await this.#batchByBatch(next, callbacks, signal);
    await callbacks.call("onPredictEnd");
    return outputs;
  }

  /** One run per batch, with the hooks around it; the next batch is made meanwhile. */
  async #batchByBatch(
    next: () => Maybe<Samples[] | null>,
    callbacks: CallbackList,
    signal: AbortSignal | undefined,
  ): Promise<Tensor[]> {
    const parts: Tensor[][] = [];
    let upcoming = abortable(next(), signal);
    for (;;) {
      const inputs = await upcoming;
      if (inputs === null) break;
      signal?.throwIfAborted();
      await callbacks.batchBegins("predict", parts.length);
      const executable = this.#predictor(inputs, inputs[0]!.shape[0]!);
      const running = executable.run(inputs.map((s) => s.values));
      upcoming = abortable((async () => next())(), signal);
      // Its error is for the turn in which it is taken.
      upcoming.catch(() => {});
      const outputs = wrap(executable, await running);
      parts.push(outputs);
      await callbacks.predicted(parts.length - 1, { outputs });
    }
    return joined(parts);
  }

  /** Predictions for all samples, one tensor per output. May run any number of times at once. */
  async predict(x: DataLike, options: Omit<PredictOptions, "callbacks"> = {}): Promise<Tensor[]> {
    const where = "predict()";
    checkKeys(where, options, ["batchSize", "signal"]);
    const { signal } = options;
    signal?.throwIfAborted();
    await settle(x);
    const inputs = this.#inputs(where, x);
    const count = inputs[0]!.shape[0]!;
    const rows = rowsPerBatch(where, "batchSize", options.batchSize ?? inferenceBatch, count);
    if (rows === count) {
      const executable = this.#predictor(inputs, rows);
      const outputs = await executable.run(inputs.map((s) => s.values));
      signal?.throwIfAborted();
      return executable.outputs.map(({ shape, dtype }, i) => leaf(outputs[i]!, shape, dtype));
    }
    const full = Math.floor(count / rows);
    const rest = count - full * rows;
    const main = this.#predictor(inputs, rows);
    const outputs = main.outputs.map(({ shape, dtype }) =>
      allocate(dtype, (sizeOf(shape) / rows) * count),
    );
    const part = (executable: Executable, from: number, steps: number, size: number) => {
      const counter = new Int32Array(2);
      const stop = (): void => {
        Atomics.store(counter, 1, 1);
      };
      signal?.addEventListener("abort", stop, { once: true });
      return executable
        .loop(
          inputs.map((s) => s.values.subarray(from * s.rowSize, (from + steps * size) * s.rowSize)),
          {
            steps,
            advance: inputs.map((s) => size * s.rowSize),
            outputs: executable.outputs.map(({ shape }, i) => {
              const row = sizeOf(shape) / size;
              return outputs[i]!.subarray(from * row, (from + steps * size) * row);
            }),
            progress: counter,
          },
        )
        .finally(() => signal?.removeEventListener("abort", stop));
    };
    await part(main, 0, full, rows);
    signal?.throwIfAborted();
    if (rest > 0) await part(this.#predictor(inputs, rest), full * rows, 1, rest);
    signal?.throwIfAborted();
    return main.outputs.map(({ shape, dtype }, i) =>
      leaf(outputs[i]!, [count, ...shape.slice(1)], dtype),
    );
  }

  /** Predictions at once, all samples as one batch. */
  predictSync(x: DataLike): Tensor[] {
    // The common case first: values of the same shape as last time.
    const last = this.#last;
    if (last !== null) {
      const values = sameAsLast(x, last);
      if (values !== undefined) return wrap(last.executable, last.executable.runSync([values]));
    }
    const inputs = this.#inputs("predictSync()", x);
    const executable = this.#predictor(inputs, inputs[0]!.shape[0]!);
    if (inputs.length === 1) {
      const { dtype, shape, values } = inputs[0]!;
      const whole = !this.#network.inputSlots[0]!.shape.includes(null, 1);
      this.#last = { executable, dtype, shape, arrayLength: whole ? values.length : -1 };
    }
    return wrap(executable, executable.runSync(inputs.map((s) => s.values)));
  }

  #inputs(where: string, x: DataLike): Samples[] {
    const slots = this.#network.inputSlots;
    const inputs = perSlot(where, "x", x, slots).map((value, i) =>
      inputSamples(where, value, slots[i]!),
    );
    const count = inputs[0]?.shape[0] ?? 0;
    for (const s of inputs) {
      if (s.shape[0] !== count) {
        throw new ArgumentError(
          expected(where, `${count} samples of input ${show(s.name)}`, `${s.shape[0]}`),
        );
      }
    }
    return inputs;
  }

  #predictor(inputs: readonly Samples[], rows: number): Executable {
    const key = inputs.map((s) => `${s.dtype}${[rows, ...s.shape.slice(1)]}`).join(";");
    return this.#executables.get(key, () => tracePrediction(this.#network, inputs, rows));
  }
}

/** The parts of each output, one after the other. */
function joined(parts: readonly Tensor[][]): Tensor[] {
  return parts[0]!.map(({ shape, dtype }, i) => {
    const count = parts.reduce((sum, outputs) => sum + outputs[i]!.shape[0]!, 0);
    for (const outputs of parts) {
      if (sameDims(outputs[i]!.shape.slice(1), shape.slice(1))) continue;
      throw new ShapeError(
        `predict(): batches give outputs of shapes ${showShape(shape)} and ${showShape(outputs[i]!.shape)}, ` +
          "which don't fit into one tensor; pad the dataset to one length (paddedShapes), or predict " +
          "batch by batch",
      );
    }
    const whole = allocate(dtype, sizeOf(shape.slice(1)) * count);
    let at = 0;
    for (const outputs of parts) {
      whole.set(outputs[i]!.values!, at);
      at += outputs[i]!.size;
    }
    return leaf(whole, [count, ...shape.slice(1)], dtype);
  });
}

interface Latest {
  readonly executable: Executable;
  readonly dtype: DType;
  readonly shape: Shape;
  /** Length of a typed array that has this shape; −1 where an array alone doesn't say its shape. */
  readonly arrayLength: number;
}

/** The values of `x` if it is a computed tensor or a typed array like the latest. */
function sameAsLast(x: DataLike, last: Latest): TypedArray | undefined {
  if (x instanceof Tensor) {
    return x.dtype === last.dtype && sameDims(x.shape, last.shape) ? x.values : undefined;
  }
  return isTypedArray(x) && x.length === last.arrayLength && dtypeOf(x) === last.dtype
    ? x
    : undefined;
}

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function wrap(executable: Executable, outputs: readonly TypedArray[]): Tensor[] {
  const { outputs: specs } = executable;
  const tensors = new Array<Tensor>(specs.length);
  for (let i = 0; i < specs.length; i++) {
    tensors[i] = new Tensor(specs[i]!.shape, specs[i]!.dtype, { values: outputs[i]! });
  }
  return tensors;
}
