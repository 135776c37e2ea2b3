/**
 * Micro-batching: joins requests for single samples into one run. Knows what waits, what runs and how
 * long it took; how a request came and what becomes of its result is the caller's.
 *
 * When a batch starts: when `maxBatch` samples wait, or as many as were under way together lately, or
 * `maxDelay` ms after the first of them came. A lone caller is therefore never kept waiting for company
 * that does not come. One batch runs at a time; what comes meanwhile makes up the next.
 */
import type { Executable } from "../backend/run.js";
import { checkInteger, checkKeys, checkNumber, OverloadError, StateError } from "../errors.js";
import { allocate, type TypedArray } from "../tensor/dtype.js";
import { type Shape, sizeOf } from "../tensor/shape.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import {
  type DataLike,
  isSettled,
  perSlot,
  type Slot,
  settle,
  singleSample,
} from "../training/data.js";
import { type TrainableNetwork, tracePrediction } from "../training/step.js";

/** Options of `model.server`. */
export interface ServerOptions {
  /** Samples in one run, at most. Default 64. */
  maxBatch?: number;
  /**
   * Milliseconds that a sample may wait for company while nothing runs. Default 0: a batch is what came
   * in the same turn of the event loop, or while the last batch ran. Node's timers count whole
   * milliseconds.
   */
  maxDelay?: number;
  /** Samples that may wait; beyond them `predict` rejects with an OverloadError. Default 16 batches. */
  maxQueue?: number;
  /** Aborting it rejects what waits with the signal's reason and closes the server. */
  signal?: AbortSignal;
}

/** What a server has done and is doing. */
export interface ServerStats {
  /** Samples that were taken: all but those refused. */
  readonly requests: number;
  /** Of them, with a result. */
  readonly completed: number;
  /** Of them, whose run failed. */
  readonly failed: number;
  /** Of them, aborted by their signal or the server's. */
  readonly aborted: number;
  /** Refused because of their shape or type. */
  readonly invalid: number;
  /** Refused because too many waited. */
  readonly overloaded: number;
  /** Runs of the network. */
  readonly batches: number;
  /** Samples per batch, on average; 0 before the first. */
  readonly meanBatch: number;
  /** Samples waiting now. */
  readonly waiting: number;
  /** Samples in the run that is under way. */
  readonly running: number;
  /** Milliseconds from `predict` to its result, of the last 1024 samples; NaN before the first. */
  readonly latency: { readonly p50: number; readonly p95: number; readonly p99: number };
}

/** A network that knows whether its layers are still those it was made of. */
export interface ServedNetwork extends TrainableNetwork {
  readonly isCurrent: boolean;
}

interface Request {
  /** Names the shapes of the inputs: requests of equal keys can be joined. */
  readonly key: string;
  readonly shapes: readonly Shape[];
  readonly values: readonly TypedArray[];
  readonly since: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outputs: Tensor[]) => void;
  readonly reject: (reason: unknown) => void;
  settled: boolean;
}

/** How many latencies the percentiles are of. */
const remembered = 1024;
/** Sets of input shapes whose Programs are kept, for models whose input shape is partly free. */
const keptLanes = 8;

/**
 * Joins concurrent requests for single samples into batches. Make one with `model.server()`.
 *
 * Batches are padded with zeros to the next power of two (or `maxBatch`), so that a handful of Programs
 * serves all sizes; they are compiled when the server is made. Samples must not depend on each other, as
 * they don't in any built-in layer at inference. Weights are those of the model at the time of the run; its
 * layers are those it had when the server was made.
 *
 * @typeParam O what `predict` gives: `Tensor`, or `Tensor[]` for a model with several outputs
 */
export class ModelServer<O extends Tensor | Tensor[] = Tensor> {
  readonly maxBatch: number;
  readonly maxDelay: number;
  readonly maxQueue: number;
  readonly #network: ServedNetwork;
  readonly #where: string;
  readonly #shaped: (outputs: Tensor[]) => O;
  readonly #signal: AbortSignal | undefined;
  /** In order of arrival; a set, because aborted ones leave from the middle. */
  readonly #waiting = new Set<Request>();
  /** Open requests by their signal, with its one listener: many may share a signal. */
  readonly #watched = new Map<AbortSignal, { requests: Set<Request>; abort: () => void }>();
  readonly #lanes = new Map<string, Lane>();
  readonly #latencies = new Latencies();
  readonly #counts = {
    requests: 0,
    completed: 0,
    failed: 0,
    aborted: 0,
    invalid: 0,
    overloaded: 0,
    batches: 0,
    batched: 0,
  };
  #running = 0;
  /** How many requests were under way together lately: worth waiting for, as long as `maxDelay` says. */
  #expected = 1;
  /** Milliseconds of a run, smoothed. */
  #pace = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  /** Lazy samples that are being computed before they can wait. */
  #settling = 0;
  #closed: Promise<void> | undefined;
  #drained: (() => void) | undefined;
  #roomWanted: { resolve(): void; reject(reason: unknown): void }[] = [];

  /** @internal Use `model.server()`. */
  constructor(
    network: ServedNetwork,
    where: string,
    options: ServerOptions,
    shaped: (outputs: Tensor[]) => O,
  ) {
    const made = `server() of ${where}`;
    checkKeys(made, options, ["maxBatch", "maxDelay", "maxQueue", "signal"]);
    const { maxBatch = 64, maxDelay = 0, signal } = options;
    checkInteger(made, "maxBatch", maxBatch, 1);
    checkNumber(made, "maxDelay", maxDelay, 0, 60_000);
    const { maxQueue = 16 * maxBatch } = options;
    if (maxQueue !== Infinity) checkInteger(made, "maxQueue", maxQueue, 1);
    signal?.throwIfAborted();
    this.maxBatch = maxBatch;
    this.maxDelay = maxDelay;
    this.maxQueue = maxQueue;
    this.#network = network;
    this.#where = `predict() of the server of ${where}`;
    this.#shaped = shaped;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abortAll, { once: true });
    const shapes = network.inputSlots.map(({ shape }) => shape.slice(1));
    // Where all shapes are known, compiling is done before the first request.
    if (isKnown(shapes)) {
      const lane = this.#lane(keyOf(shapes), shapes);
      for (const rows of batchSizes(maxBatch)) lane.at(rows);
    }
  }

  /** Samples that wait or are in a run. */
  get pending(): number {
    return this.#waiting.size + this.#running;
  }

  /**
   * The prediction for one sample: what `model.predict` takes, without the batch dimension; so is the
   * result. Values are read when the batch starts, so leave a typed array as it is until then.
   *
   * @returns rejects with ShapeError, DTypeError or ArgumentError for a sample that does not fit (others
   * in the batch are not affected), with OverloadError when `maxQueue` samples wait, with StateError
   * after `close()` or when the model's layers are no longer those it serves, and with the signal's reason when it is aborted.
   */
  predict(sample: DataLike, options: { signal?: AbortSignal } = {}): Promise<O> {
    if (isSettled(sample)) {
      return new Promise((resolve, reject) => this.#admit(sample, options, resolve, reject));
    }
    return this.#afterSettling(sample, options);
  }

  /**
   * Resolves when there is room in the queue, for producers that can wait.
   *
   * @example
   * for await (const sample of samples) {
   *   await server.ready();
   *   server.predict(sample).then(use, report);
   * }
   */
  async ready(): Promise<void> {
    this.#checkOpen();
    if (this.#waiting.size < this.maxQueue) return;
    await new Promise<void>((resolve, reject) => this.#roomWanted.push({ resolve, reject }));
  }

  /** Figures since the server was made. */
  stats(): ServerStats {
    const { batched, ...counts } = this.#counts;
    return {
      ...counts,
      meanBatch: counts.batches === 0 ? 0 : batched / counts.batches,
      waiting: this.#waiting.size,
      running: this.#running,
      latency: this.#latencies.percentiles(),
    };
  }

  /** Takes no more requests; resolves when all that were taken are answered. */
  close(): Promise<void> {
    this.#closed ??= new Promise<void>((resolve) => {
      this.#drained = resolve;
      this.#signal?.removeEventListener("abort", this.#abortAll);
      for (const { reject } of this.#roomWanted.splice(0)) reject(this.#closedError());
      this.#schedule();
      this.#checkDrained();
    });
    return this.#closed;
  }

  async #afterSettling(sample: DataLike, options: { signal?: AbortSignal }): Promise<O> {
    // What is asked for after close() or in vain need not be computed.
    this.#checkOpen();
    this.#checkRoom();
    this.#settling++;
    try {
      await settle(sample);
      return await new Promise<O>((resolve, reject) =>
        this.#admit(sample, options, resolve, reject, true),
      );
    } finally {
      this.#settling--;
      this.#checkDrained();
    }
  }

  #closedError(): StateError {
    return new StateError(`${this.#where}: it is closed`);
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  /** Programs that were compiled before know nothing of a layer that was added since. */
  #checkCurrent(): void {
    if (this.#network.isCurrent) return;
    throw new StateError(
      `${this.#where}: layers were added to the model or taken off since the server was made; ` +
        "make another with model.server()",
    );
  }

  #checkRoom(): void {
    if (this.#waiting.size < this.maxQueue) return;
    this.#counts.overloaded++;
    const batches = Math.ceil(this.#waiting.size / this.maxBatch) + 1;
    const retryAfter = Math.max(1, Math.ceil(batches * this.#pace));
    throw new OverloadError(
      `${this.#where}: ${this.#waiting.size} samples wait already (\`maxQueue\`); try again in about ` +
        `${retryAfter} ms`,
      retryAfter,
    );
  }

  /** Checks one request and lets it wait, or throws. `taken`: it came before the server was closed. */
  #admit(
    sample: DataLike,
    options: { signal?: AbortSignal },
    resolve: (result: O) => void,
    reject: (reason: unknown) => void,
    taken = false,
  ): void {
    if (!taken) this.#checkOpen();
    this.#checkCurrent();
    checkKeys(this.#where, options, ["signal"]);
    const { signal } = options;
    signal?.throwIfAborted();
    this.#checkRoom();
    const samples = this.#check(sample);
    const shapes = samples.map(({ shape }) => shape);
    this.#counts.requests++;
    const request: Request = {
      key: keyOf(shapes),
      shapes,
      values: samples.map(({ values }) => values),
      since: performance.now(),
      signal,
      resolve: (outputs) => resolve(this.#shaped(outputs)),
      reject,
      settled: false,
    };
    if (signal) this.#watch(request, signal);
    this.#waiting.add(request);
    this.#schedule();
  }

  #check(sample: DataLike): { shape: Shape; values: TypedArray }[] {
    const slots = this.#network.inputSlots;
    try {
      return perSlot(this.#where, "a sample", sample, slots).map((value, i) =>
        singleSample(this.#where, value, slots[i]!),
      );
    } catch (error) {
      this.#counts.invalid++;
      throw error;
    }
  }

  /** Sees to it that a batch starts in time, if one is due at all. */
  #schedule(): void {
    if (this.#running > 0 || this.#waiting.size === 0 || this.#immediate) return;
    const wanted = Math.min(this.#expected, this.maxBatch);
    const [first] = this.#waiting;
    const left = first!.since + this.maxDelay - performance.now();
    if (this.#closed || this.#waiting.size >= wanted || left <= 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      // At the end of this turn of the event loop: all that comes in it joins.
      this.#immediate = setImmediate(() => {
        this.#immediate = undefined;
        this.#start();
      });
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#schedule();
      }, left);
    }
  }

  /** Takes the next batch: the first that waits and all like it, up to `maxBatch`. */
  #next(): Request[] {
    const batch: Request[] = [];
    for (const request of this.#waiting) {
      if (batch.length > 0 && request.key !== batch[0]!.key) continue;
      batch.push(request);
      this.#waiting.delete(request);
      if (batch.length === this.maxBatch) break;
    }
    this.#running = batch.length;
    this.#wakeProducers();
    return batch;
  }

  #wakeProducers(): void {
    const room = this.maxQueue - this.#waiting.size;
    for (const { resolve } of this.#roomWanted.splice(0, Math.max(0, room))) resolve();
  }

  #start(): void {
    if (this.#waiting.size === 0 || this.#running > 0) return;
    void this.#serve(this.#next());
  }

  async #serve(batch: readonly Request[]): Promise<void> {
    try {
      const deliver = await this.#run(batch);
      // Before the results go out: who asks again at once is not under way twice.
      this.#expected = batch.length + this.#waiting.size;
      this.#running = 0;
      deliver();
    } catch (error) {
      await this.#isolate(batch, error);
      this.#running = 0;
    }
    this.#schedule();
    this.#checkDrained();
  }

  /** One run; gives what hands out its results. */
  async #run(batch: readonly Request[]): Promise<() => void> {
    this.#checkCurrent();
    const started = performance.now();
    const lane = this.#lane(batch[0]!.key, batch[0]!.shapes);
    const { executable, inputs, rows } = lane.at(sizeFor(batch.length, this.maxBatch));
    inputs.forEach((array, i) => {
      const size = array.length / rows;
      for (let r = 0; r < batch.length; r++) array.set(batch[r]!.values[i]!, r * size);
      array.fill(0, batch.length * size);
    });
    const outputs = await executable.run(inputs);
    const now = performance.now();
    this.#counts.batches++;
    this.#counts.batched += batch.length;
    const took = now - started;
    this.#pace = this.#pace === 0 ? took : 0.8 * this.#pace + 0.2 * took;
    return () => {
      for (const [r, request] of batch.entries()) {
        if (!this.#settle(request)) continue;
        this.#counts.completed++;
        this.#latencies.add(now - request.since);
        request.resolve(
          executable.outputs.map(({ shape, dtype }, i) => {
            const size = outputs[i]!.length / rows;
            // A copy, so that one result does not keep the whole batch in memory.
            return leaf(outputs[i]!.slice(r * size, (r + 1) * size), shape.slice(1), dtype);
          }),
        );
      }
    };
  }

  /** After a failed run: each sample alone, so that only those at fault are rejected. */
  async #isolate(batch: readonly Request[], error: unknown): Promise<void> {
    if (batch.length === 1) {
      if (!this.#settle(batch[0]!)) return;
      this.#counts.failed++;
      batch[0]!.reject(error);
      return;
    }
    for (const request of batch) {
      if (request.settled) continue;
      await this.#run([request]).then(
        (deliver) => deliver(),
        (own) => this.#isolate([request], own),
      );
    }
  }

  /** Marks a request as answered; false if it was before. */
  #settle(request: Request): boolean {
    if (request.settled) return false;
    request.settled = true;
    if (request.signal) this.#unwatch(request, request.signal);
    return true;
  }

  #watch(request: Request, signal: AbortSignal): void {
    let watched = this.#watched.get(signal);
    if (!watched) {
      const requests = new Set<Request>();
      const abort = (): void => {
        for (const one of [...requests]) this.#abort(one, signal.reason);
      };
      watched = { requests, abort };
      this.#watched.set(signal, watched);
      signal.addEventListener("abort", abort);
    }
    watched.requests.add(request);
  }

  #unwatch(request: Request, signal: AbortSignal): void {
    const watched = this.#watched.get(signal)!;
    watched.requests.delete(request);
    if (watched.requests.size > 0) return;
    signal.removeEventListener("abort", watched.abort);
    this.#watched.delete(signal);
  }

  #abort(request: Request, reason: unknown): void {
    if (!this.#settle(request)) return;
    this.#waiting.delete(request);
    this.#counts.aborted++;
    request.reject(reason);
    this.#wakeProducers();
    this.#checkDrained();
  }

  readonly #abortAll = (): void => {
    for (const request of [...this.#waiting]) this.#abort(request, this.#signal!.reason);
    void this.close();
  };

  #checkDrained(): void {
    if (this.#drained && this.pending === 0 && this.#settling === 0) {
      clearTimeout(this.#timer);
      this.#drained();
    }
  }

  #lane(key: string, shapes: readonly Shape[]): Lane {
    let lane = this.#lanes.get(key);
    if (lane) return lane;
    if (this.#lanes.size >= keptLanes) this.#lanes.delete(this.#lanes.keys().next().value!);
    lane = new Lane(this.#network, this.#where, shapes, this.maxBatch);
    this.#lanes.set(key, lane);
    return lane;
  }
}

/** The Programs for one set of input shapes, by batch size, and the arrays that batches are put into. */
class Lane {
  readonly #network: TrainableNetwork;
  readonly #where: string;
  readonly #slots: readonly (Slot & { readonly shape: Shape; readonly rowSize: number })[];
  readonly #arrays: readonly TypedArray[];
  readonly #bySize = new Map<number, LaneSize>();

  constructor(
    network: TrainableNetwork,
    where: string,
    shapes: readonly Shape[],
    maxBatch: number,
  ) {
    this.#network = network;
    this.#where = where;
    this.#slots = network.inputSlots.map((slot, i) => ({
      ...slot,
      shape: [maxBatch, ...shapes[i]!],
      rowSize: sizeOf(shapes[i]!),
    }));
    this.#arrays = this.#slots.map(({ dtype, shape }) => allocate(dtype, sizeOf(shape)));
  }

  at(rows: number): LaneSize {
    let found = this.#bySize.get(rows);
    if (found) return found;
    const samples = this.#slots.map((slot, i) => ({ ...slot, values: this.#arrays[i]! }));
    const executable = tracePrediction(this.#network, samples, rows);
    for (const { shape } of executable.outputs) {
      if (shape[0] !== rows) {
        throw new StateError(
          `${this.#where}: an output of shape [${shape}] for ${rows} samples can't be told apart by sample`,
        );
      }
    }
    const inputs = this.#slots.map(({ rowSize }, i) =>
      this.#arrays[i]!.subarray(0, rows * rowSize),
    );
    found = { executable, inputs, rows };
    this.#bySize.set(rows, found);
    return found;
  }
}

interface LaneSize {
  readonly executable: Executable;
  readonly inputs: readonly TypedArray[];
  readonly rows: number;
}

/** The last latencies, in a ring. */
class Latencies {
  readonly #ring = new Float64Array(remembered);
  #count = 0;

  add(milliseconds: number): void {
    this.#ring[this.#count++ % remembered] = milliseconds;
  }

  percentiles(): ServerStats["latency"] {
    const sorted = this.#ring.slice(0, Math.min(this.#count, remembered)).sort();
    const at = (share: number): number =>
      sorted.length === 0 ? Number.NaN : sorted[Math.ceil(share * sorted.length) - 1]!;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}

/** Powers of two, and `maxBatch` itself. */
function batchSizes(maxBatch: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < maxBatch; size *= 2) sizes.push(size);
  return [...sizes, maxBatch];
}

/** The smallest of them that holds `count` samples. */
function sizeFor(count: number, maxBatch: number): number {
  return Math.min(maxBatch, 2 ** Math.ceil(Math.log2(count)));
}

function keyOf(shapes: readonly Shape[]): string {
  return shapes.join(";");
}

function isKnown(shapes: (number | null)[][]): shapes is number[][] {
  return shapes.every((shape) => !shape.includes(null));
}
