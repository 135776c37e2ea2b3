/**
 * Predictions of one network: in batches off the event loop, or at once with as little as possible
 * around the run. Knows nothing of losses or training.
 */
import type { Executable } from "../backend/run.js";
import { ArgumentError, checkInteger, checkKeys, expected, show } from "../errors.js";
import { allocate, type DType, dtypeOf, isTypedArray, type TypedArray } from "../tensor/dtype.js";
import { type Shape, sizeOf } from "../tensor/shape.js";
import { leaf, Tensor } from "../tensor/tensor.js";
import { type CallbackHooks, CallbackList, type CallbackModel } from "./callbacks.js";
import {
  type DataLike,
  inputSamples,
  perSlot,
  type Samples,
  settle,
  sliceSamples,
} from "./data.js";
import { type TrainableNetwork, tracePrediction } from "./step.js";

/** Options of `predict`. */
export interface PredictOptions {
  /** Samples per run; the results don't depend on it. */
  batchSize?: number;
  signal?: AbortSignal;
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

/** Executables by shape, the least recently used dropped first: each holds its own memory. */
export class ExecutableCache {
  readonly #entries = new Map<string, Executable>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string, make: () => Executable): Executable {
    let found = this.#entries.get(key);
    if (found) this.#entries.delete(key);
    else {
      found = make();
      if (this.#entries.size >= this.#limit) {
        this.#entries.delete(this.#entries.keys().next().value!);
      }
    }
    this.#entries.set(key, found);
    return found;
  }

  clear(): void {
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
    const outputs = callbacks.watches("predict")
      ? await this.#batchByBatch(inputs, count, rows, callbacks, options.signal)
      : await this.predict(x, options);
    await callbacks.call("onPredictEnd");
    return outputs;
  }

  /** One run per batch, with the hooks around it. */
  async #batchByBatch(
    inputs: readonly Samples[],
    count: number,
    rows: number,
    callbacks: CallbackList,
    signal: AbortSignal | undefined,
  ): Promise<Tensor[]> {
    const parts: Tensor[][] = [];
    for (let from = 0; from < count; from += rows) {
      signal?.throwIfAborted();
      const part = inputs.map((s) => sliceSamples(s, from, Math.min(from + rows, count)));
      await callbacks.batchBegins("predict", parts.length);
      const executable = this.#predictor(inputs, part[0]!.shape[0]!);
      const outputs = wrap(executable, await executable.run(part.map((s) => s.values)));
      parts.push(outputs);
      await callbacks.predicted(parts.length - 1, { outputs });
    }
    return parts[0]!.map(({ shape, dtype }, i) => {
      const whole = allocate(dtype, (sizeOf(shape) / shape[0]!) * count);
      let at = 0;
      for (const outputs of parts) {
        whole.set(outputs[i]!.values!, at);
        at += outputs[i]!.size;
      }
      return leaf(whole, [count, ...shape.slice(1)], dtype);
    });
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
