/**
 * Runs training and evaluation of one network: epochs as native loops, executables cached by shape,
 * logs, callbacks, progress, abort and the stop at NaN. What a step computes is in `step.ts`;
 * what users hold is in `models/`.
 */
import type { Executable } from "../backend/run.js";
import {
  ArgumentError,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  NonFiniteError,
  StateError,
  show,
} from "../errors.js";
import type { TypedArray } from "../tensor/dtype.js";
import { drawSeed, mixSeed } from "../tensor/random.js";
import { sizeOf } from "../tensor/shape.js";
import { zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import {
  type CallbackHooks,
  CallbackList,
  type CallbackModel,
  History,
  type Logs,
  TerminateOnNaN,
} from "./callbacks.js";
import {
  type ClassWeights,
  type Data,
  type DataLike,
  type DataRequest,
  gatherData,
  type SampleWeights,
  settle,
  sliceData,
  withClassWeights,
} from "./data.js";
import { checkMeasured, nonFiniteInput } from "./nonfinite.js";
import type { Objective, OutputMetric } from "./objective.js";
import { epochOrder } from "./order.js";
import { ExecutableCache, inferenceBatch, rowsPerBatch } from "./predictor.js";
import { checkVerbosity, Progress, type Verbosity } from "./progress.js";
import {
  arraysOf,
  reportsParts,
  signatureOf,
  type TrainableNetwork,
  traceEvaluationStep,
  traceResults,
  traceTrainStep,
} from "./step.js";

/** Options of `fit`. */
export interface FitOptions {
  /** Samples per step: 32 by default, 1 is stochastic, Infinity is (full) batch descent. */
  batchSize?: number;
  /** Index of the last epoch + 1. */
  epochs?: number;
  /** Epoch at which to begin, to go on with an earlier training. */
  initialEpoch?: number;
  /** x and y (and sample weights) to evaluate on after each epoch. */
  validationData?: readonly [DataLike, DataLike] | readonly [DataLike, DataLike, SampleWeights];
  /** Share of the samples, from the end, to evaluate on instead of training with them. */
  validationSplit?: number;
  validationBatchSize?: number;
  /** Whether each epoch has its own order; true by default. */
  shuffle?: boolean;
  /** Seed of the order and of dropout; drawn if left out. */
  seed?: number;
  callbacks?: CallbackHooks | readonly CallbackHooks[];
  /** How much samples of each class count in training; validation is not weighted by class. */
  classWeight?: ClassWeights;
  /** How much each sample counts, in training and in the validation of `validationSplit`. */
  sampleWeight?: SampleWeights;
  /** Batches per epoch, if not all. */
  stepsPerEpoch?: number;
  /**
   * Ends training; `fit` rejects with the signal's reason once the step in progress is done, so that the
   * weights are those of whole steps.
   */
  signal?: AbortSignal;
  verbose?: Verbosity | boolean;
  /** Whether a NaN or infinite loss is an error; true by default. */
  terminateOnNaN?: boolean;
}

const fitKeys = [
  "batchSize",
  "epochs",
  "initialEpoch",
  "validationData",
  "validationSplit",
  "validationBatchSize",
  "shuffle",
  "seed",
  "callbacks",
  "classWeight",
  "sampleWeight",
  "stepsPerEpoch",
  "signal",
  "verbose",
  "terminateOnNaN",
] as const satisfies readonly (keyof FitOptions)[];

/** Options of `trainOnBatch`. */
export interface TrainOnBatchOptions {
  sampleWeight?: SampleWeights;
  classWeight?: ClassWeights;
  /** Whether a NaN or infinite loss is an error; true by default. */
  terminateOnNaN?: boolean;
}

/** Options of `evaluate`. */
export interface EvaluateOptions {
  batchSize?: number;
  sampleWeight?: SampleWeights;
  callbacks?: CallbackHooks | readonly CallbackHooks[];
  signal?: AbortSignal;
  verbose?: Verbosity | boolean;
}

/** One stretch of equal steps. */
interface Stretch {
  readonly executable: Executable;
  readonly inputs: readonly TypedArray[];
  readonly advance: readonly number[];
  readonly steps: number;
  readonly rows: number;
}

/** How the losses of an epoch come in: one array per reported scalar, filled as steps finish. */
class LossRecord {
  readonly values: Float32Array[];
  /** Samples of each step. */
  readonly rows: Int32Array;
  finished = 0;

  constructor(scalars: number, steps: number) {
    this.values = Array.from({ length: scalars }, () => new Float32Array(steps));
    this.rows = new Int32Array(steps);
  }

  /** Means over the samples of the steps from `from` up to but without `to`. */
  means(from = 0, to = this.finished): number[] {
    let count = 0;
    for (let s = from; s < to; s++) count += this.rows[s]!;
    return this.values.map((values) => {
      let total = 0;
      for (let s = from; s < to; s++) total += values[s]! * this.rows[s]!;
      return total / count;
    });
  }
}

/** How long one native loop should take at least, in milliseconds, and how many samples at most. */
const bundleTime = 40;
const bundleSamples = 1_000_000;

/** Trains and evaluates one network. */
export class Trainer {
  readonly #network: TrainableNetwork;
  readonly #seed = new Variable(zerosLeaf([], "int32"), "seed", false);
  readonly #training = new ExecutableCache(6);
  readonly #evaluation = new ExecutableCache(6);
  #objective: Objective | null = null;
  /** Weights that optimizers change, as they were when the model was compiled. */
  #trainable: readonly Variable[] = [];
  #results: { metrics: readonly OutputMetric[]; executable: Executable } | null = null;
  #busy: string | null = null;

  constructor(network: TrainableNetwork) {
    this.#network = network;
  }

  /** Sets what is learnt; weights' trainable flags are taken as they are now. */
  compile(objective: Objective): void {
    this.#idle("compile()");
    this.#objective = objective;
    this.#trainable = this.#network.weights.filter((w) => w.trainable && w.dtype === "float32");
    this.#training.clear();
    this.#evaluation.clear();
    this.#results = null;
  }

  get objective(): Objective | null {
    return this.#objective;
  }

  /** The weights that training changes. */
  get trainable(): readonly Variable[] {
    return this.#trainable;
  }

  #compiled(where: string): Objective {
    if (!this.#objective) {
      throw new StateError(
        `${where}: the model is not compiled; call model.compile({ optimizer, loss }) first`,
      );
    }
    return this.#objective;
  }

  /** Says so when a trainable flag was changed after the model was compiled. */
  #checkFlags(where: string): void {
    const now = this.#network.weights.filter((w) => w.trainable && w.dtype === "float32");
    if (now.length === this.#trainable.length && now.every((w) => this.#trainable.includes(w))) {
      return;
    }
    process.emitWarning(
      `${where}: layers' trainable flags have changed since model ${this.#network.name} was compiled; ` +
        "they take effect when it is compiled again",
      "LayerwiseWarning",
    );
  }

  #idle(where: string): void {
    if (this.#busy) throw new StateError(`${where}: ${this.#busy} of this model is still running`);
  }

  async #alone<T>(where: string, body: () => Promise<T>): Promise<T> {
    this.#idle(where);
    this.#busy = where;
    try {
      return await body();
    } finally {
      this.#busy = null;
    }
  }

  #request(objective: Objective): DataRequest {
    const outputs = this.#network.outputSlots;
    return {
      inputs: this.#network.inputSlots,
      outputs,
      losses: objective.losses,
      labelled: outputs.map((_, i) => objective.hasMetrics(i)),
    };
  }

  #metrics(objective: Objective, data: Data): readonly OutputMetric[] {
    const predictions = this.#network.outputSlots.map((slot) => slot.shape.map((d) => d ?? 1));
    return objective.metricsFor(
      data.y.map((y) => y?.shape ?? null),
      predictions,
    );
  }

  /* ---- training -------------------------------------------------------------------------------- */

  /** Trains on data in memory. */
  async fit(
    model: CallbackModel,
    x: DataLike,
    y: DataLike,
    options: FitOptions = {},
  ): Promise<History> {
    const where = "fit()";
    const objective = this.#compiled(where);
    checkKeys(where, options, fitKeys);
    this.#checkFlags(where);
    return this.#alone(where, async () => {
      const progress = new Progress(checkVerbosity(where, options.verbose ?? "auto"));
      try {
        return await this.#fit(where, objective, model, x, y, options, progress);
      } catch (error) {
        progress.abandon();
        throw error;
      }
    });
  }

  async #fit(
    where: string,
    objective: Objective,
    model: CallbackModel,
    x: DataLike,
    y: DataLike,
    options: FitOptions,
    progress: Progress,
  ): Promise<History> {
    const { epochs = 1, initialEpoch = 0, shuffle = true, signal, seed = drawSeed() } = options;
    const { terminateOnNaN = true, validationSplit = 0 } = options;
    checkInteger(where, "epochs", epochs, 0);
    checkInteger(where, "initialEpoch", initialEpoch, 0);
    checkInteger(where, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    checkNumber(where, "validationSplit", validationSplit, 0, 1);
    signal?.throwIfAborted();
    await settle(x, y, options.sampleWeight, options.validationData);

    const request = this.#request(objective);
    const all = gatherData(where, request, x, y, options.sampleWeight);
    const { data: kept, validation } = splitData(where, request, all, options);
    const data = withClassWeights(where, request, kept, options.classWeight);
    const rows = rowsPerBatch(where, "batchSize", options.batchSize ?? 32, data.count);
    const batches = Math.ceil(data.count / rows);
    const steps = options.stepsPerEpoch ?? batches;
    checkInteger(where, "stepsPerEpoch", steps, 1, batches);

    const history = new History();
    const listed = options.callbacks === undefined ? [] : [options.callbacks].flat();
    const callbacks = new CallbackList(where, [...listed, history], model, {
      epochs,
      steps,
      batchSize: rows,
      verbose: options.verbose === 0 || options.verbose === false ? 0 : 1,
    });
    const metrics = this.#metrics(objective, data);
    const quiet = callbacks.has(TerminateOnNaN);
    const watch = terminateOnNaN || quiet;
    this.#seed.storageForUpdate()[0] = seed | 0;

    model.stopTraining = false;
    await callbacks.call("onTrainBegin");
    let logs: Logs = {};
    // Short epochs that nobody watches are run several at a time: a native loop has a price.
    const bundles =
      callbacks.onlyRecord &&
      progress.silent &&
      !validation &&
      metrics.length === 0 &&
      steps * rows <= data.count;
    const most = Math.floor(bundleSamples / (steps * rows));
    let size = 1;
    for (let epoch = initialEpoch; epoch < epochs && !model.stopTraining; ) {
      signal?.throwIfAborted();
      await callbacks.at("onEpochBegin", epoch);
      progress.begin(`Epoch ${epoch + 1}/${epochs}`, steps);
      for (const { metric } of metrics) metric.resetState();
      const started = performance.now();
      const count = Math.min(size, epochs - epoch);
      const order = ordersOf(data.count, steps * rows, shuffle ? seed | 0 : null, epoch, count);
      const record = new LossRecord(this.#scalars(objective), count * steps);
      const stretches = this.#stretches(objective, data, metrics, order, rows, count * steps);
      let finite = true;
      try {
        finite = callbacks.watches("train")
          ? await this.#stepByStep(
              "train",
              stretches,
              record,
              callbacks,
              metrics,
              progress,
              signal,
              watch,
              () => model.stopTraining,
            )
          : await this.#run(stretches, record, progress, signal, watch);
      } finally {
        // All epochs of a bundle that were finished are reported, even if it was ended.
        const finished = Math.min(count - 1, Math.floor(record.finished / steps));
        for (let e = 0; e < finished; e++) {
          const means = record.means(e * steps, (e + 1) * steps);
          await callbacks.at("onEpochEnd", epoch + e, this.#logs(objective, means));
        }
      }
      const last = finite ? count - 1 : Math.floor((record.finished - 1) / steps);
      if (!finite) {
        const batch = record.finished - 1;
        const loss = record.values[0]![batch]!;
        if (!quiet) {
          const when = ` in epoch ${epoch + last + 1}, batch ${(batch % steps) + 1} of ${steps}`;
          const seen = order.subarray(batch * rows, (batch + 1) * rows);
          throw nonFinite(where, loss, nonFiniteInput(data.x, seen), when);
        }
        model.stopTraining = true;
      }
      const means = record.means(last * steps, record.finished);
      logs = { ...this.#logs(objective, means), ...this.#metricLogs(metrics) };
      if (validation && finite) {
        const batch = options.validationBatchSize ?? rows;
        const results = await this.#measure(where, objective, validation, batch, callbacks, signal);
        if (watch) checkMeasured(`${where}: validation`, results.loss, validation.x);
        for (const [key, value] of Object.entries(results)) logs[`val_${key}`] = value;
      }
      await callbacks.at("onEpochEnd", epoch + last, logs);
      progress.end(logs);
      epoch += count;
      if (bundles) {
        const time = Math.max(0.001, (performance.now() - started) / count);
        size = Math.max(1, Math.min(most, size * 8, Math.floor(bundleTime / time)));
      }
    }
    if (objective.optimizer.usesEma && epochs > initialEpoch) {
      objective.optimizer.finalizeVariableValues();
    }
    await callbacks.call("onTrainEnd", logs);
    return history;
  }

  /** Number of scalars that each step reports. */
  #scalars(objective: Objective): number {
    const parts = reportsParts(objective) ? objective.losses.filter((l) => l !== null).length : 0;
    return 1 + parts + (this.#network.reports?.length ?? 0);
  }

  /** `steps` steps as at most two stretches: the full batches, and a smaller one that is left. */
  #stretches(
    objective: Objective,
    data: Data,
    metrics: readonly OutputMetric[],
    order: Int32Array,
    rows: number,
    steps: number,
  ): Stretch[] {
    const full = Math.min(steps, Math.floor(order.length / rows));
    const rest = steps > full ? order.length - full * rows : 0;
    const arrays = arraysOf(data).map((s) => s.values);
    const stretch = (count: number, from: number, size: number): Stretch => ({
      executable: this.#trainStep(objective, data, metrics, size, true),
      inputs: [order.subarray(from, from + count * size), ...arrays],
      advance: [size, ...arrays.map(() => 0)],
      steps: count,
      rows: size,
    });
    return [
      ...(full > 0 ? [stretch(full, 0, rows)] : []),
      ...(rest > 0 ? [stretch(1, full * rows, rest)] : []),
    ];
  }

  #trainStep(
    objective: Objective,
    data: Data,
    metrics: readonly OutputMetric[],
    rows: number,
    gathered: boolean,
  ): Executable {
    const key = `${rows}|${gathered}|${signatureOf(data, gathered ? null : rows)}`;
    return this.#training.get(key, () =>
      traceTrainStep({
        network: this.#network,
        objective,
        data,
        metrics,
        rows,
        seed: this.#seed,
        trainable: this.#trainable,
        gathered,
      }),
    );
  }

  /** Whole stretches as native loops; false when a loss was not finite. */
  async #run(
    stretches: readonly Stretch[],
    record: LossRecord,
    progress: Progress,
    signal: AbortSignal | undefined,
    watch: boolean,
  ): Promise<boolean> {
    let base = 0;
    for (const { executable, inputs, advance, steps, rows } of stretches) {
      signal?.throwIfAborted();
      record.rows.fill(rows, base, base + steps);
      const outputs = record.values.map((v) => v.subarray(base, base + steps));
      const counter = new Int32Array(2);
      const stop = (): void => {
        Atomics.store(counter, 1, 1);
      };
      signal?.addEventListener("abort", stop, { once: true });
      const timer = progress.live
        ? setInterval(() => {
            const done = base + Atomics.load(counter, 0);
            if (done > 0) progress.update(done, { loss: record.means(0, done)[0]! });
          }, 80).unref()
        : undefined;
      try {
        const result = await executable.loop(inputs, {
          steps,
          advance,
          outputs,
          progress: counter,
          ...(watch ? { watch: [0] } : {}),
        });
        record.finished = base + result.steps;
        if (result.reason === "nonfinite") return false;
        if (result.reason === "aborted") signal?.throwIfAborted();
      } finally {
        clearInterval(timer);
        signal?.removeEventListener("abort", stop);
      }
      base += steps;
    }
    return true;
  }

  /** One run per step with the batch hooks around it; false when a loss was not finite. */
  async #stepByStep(
    run: "train" | "test",
    stretches: readonly Stretch[],
    record: LossRecord,
    callbacks: CallbackList,
    metrics: readonly OutputMetric[],
    progress: Progress,
    signal: AbortSignal | undefined,
    watch: boolean,
    stopped: () => boolean,
  ): Promise<boolean> {
    const objective = this.#compiled("fit()");
    let batch = 0;
    let shown = performance.now();
    for (const { executable, inputs, advance, steps, rows } of stretches) {
      for (let step = 0; step < steps; step++) {
        signal?.throwIfAborted();
        await callbacks.batchBegins(run, batch);
        const windows = inputs.map((array, i) =>
          advance[i] === 0 ? array : array.subarray(step * advance[i]!, (step + 1) * advance[i]!),
        );
        const outputs = await executable.run(windows);
        outputs.forEach((values, i) => {
          record.values[i]![batch] = values[0]!;
        });
        record.rows[batch] = rows;
        record.finished = batch + 1;
        if (watch && !Number.isFinite(outputs[0]![0]!)) return false;
        const logs = { ...this.#logs(objective, record.means()), ...this.#metricLogs(metrics) };
        await callbacks.batchEnds(run, batch, logs);
        batch++;
        if (progress.live && performance.now() - shown > 80) {
          progress.update(batch, logs);
          shown = performance.now();
        }
        if (stopped()) return true;
      }
    }
    return true;
  }

  /**
   * A step's scalars under their names: `loss`, `<output>_loss` where there are several outputs, and
   * what the network reports.
   */
  #logs(objective: Objective, means: readonly number[]): Logs {
    const logs: Logs = { loss: means[0]! };
    let next = 1;
    if (reportsParts(objective)) {
      objective.losses.forEach((loss, i) => {
        if (loss) logs[`${objective.outputs[i]!.name}_loss`] = means[next++]!;
      });
    }
    for (const name of this.#network.reports ?? []) logs[name] = means[next++]!;
    return logs;
  }

  /** Results of the metrics that are single numbers; the others are asked for by themselves. */
  #metricLogs(metrics: readonly OutputMetric[]): Logs {
    if (metrics.length === 0) return {};
    if (this.#results?.metrics !== metrics) {
      this.#results = { metrics, executable: traceResults(metrics) };
    }
    const { executable } = this.#results;
    const values = executable.runSync([]);
    const logs: Logs = {};
    metrics.forEach(({ key }, i) => {
      if (sizeOf(executable.outputs[i]!.shape) === 1) logs[key] = values[i]![0]!;
    });
    return logs;
  }

  /** One step on one batch. */
  async trainOnBatch(x: DataLike, y: DataLike, options: TrainOnBatchOptions = {}): Promise<Logs> {
    const where = "trainOnBatch()";
    const objective = this.#compiled(where);
    checkKeys(where, options, ["sampleWeight", "classWeight", "terminateOnNaN"]);
    return this.#alone(where, async () => {
      await settle(x, y, options.sampleWeight);
      const request = this.#request(objective);
      const data = withClassWeights(
        where,
        request,
        gatherData(where, request, x, y, options.sampleWeight),
        options.classWeight,
      );
      const metrics = this.#metrics(objective, data);
      for (const { metric } of metrics) metric.resetState();
      const step = this.#trainStep(objective, data, metrics, data.count, false);
      const outputs = await step.run(arraysOf(data).map((s) => s.values));
      const means = outputs.map((o) => o[0]!);
      if (options.terminateOnNaN !== false && !Number.isFinite(means[0])) {
        throw nonFinite(where, means[0]!, nonFiniteInput(data.x));
      }
      return { ...this.#logs(objective, means), ...this.#metricLogs(metrics) };
    });
  }

  /* ---- evaluation -------------------------------------------------------------------------------- */

  /** Loss and metrics on data. */
  async evaluate(
    model: CallbackModel,
    x: DataLike,
    y: DataLike,
    options: EvaluateOptions = {},
  ): Promise<Logs> {
    const where = "evaluate()";
    const objective = this.#compiled(where);
    checkKeys(where, options, ["batchSize", "sampleWeight", "callbacks", "signal", "verbose"]);
    const verbose = checkVerbosity(where, options.verbose ?? 0);
    return this.#alone(where, async () => {
      await settle(x, y, options.sampleWeight);
      const data = gatherData(where, this.#request(objective), x, y, options.sampleWeight);
      const size = options.batchSize ?? inferenceBatch;
      const rows = rowsPerBatch(where, "batchSize", size, data.count);
      const steps = Math.ceil(data.count / rows);
      const params = { epochs: 1, steps, batchSize: rows, verbose: verbose === 0 ? 0 : 1 };
      const callbacks = new CallbackList(where, options.callbacks, model, params);
      const progress = new Progress(verbose);
      progress.begin("", steps);
      const logs = await this.#measure(where, objective, data, size, callbacks, options.signal);
      checkMeasured(where, logs.loss, data.x);
      progress.end(logs);
      return logs;
    });
  }

  async #measure(
    where: string,
    objective: Objective,
    data: Data,
    batchSize: number,
    callbacks: CallbackList,
    signal: AbortSignal | undefined,
  ): Promise<Logs> {
    const rows = rowsPerBatch(where, "batchSize", batchSize, data.count);
    const full = Math.floor(data.count / rows);
    const rest = data.count - full * rows;
    const metrics = this.#metrics(objective, data);
    await callbacks.call("onTestBegin");
    for (const { metric } of metrics) metric.resetState();
    const list = arraysOf(data);
    const stretch = (count: number, from: number, size: number): Stretch => ({
      executable: this.#evaluation.get(`${size}|${signatureOf(data, size)}`, () =>
        traceEvaluationStep({
          network: this.#network,
          objective,
          data,
          metrics,
          rows: size,
          seed: this.#seed,
        }),
      ),
      inputs: list.map((s) =>
        s.values.subarray(from * s.rowSize, (from + count * size) * s.rowSize),
      ),
      advance: list.map((s) => size * s.rowSize),
      steps: count,
      rows: size,
    });
    const record = new LossRecord(this.#scalars(objective), full + (rest > 0 ? 1 : 0));
    const stretches = [
      ...(full > 0 ? [stretch(full, 0, rows)] : []),
      ...(rest > 0 ? [stretch(1, full * rows, rest)] : []),
    ];
    const quiet = new Progress(0);
    if (callbacks.watches("test")) {
      const going = () => false;
      await this.#stepByStep(
        "test",
        stretches,
        record,
        callbacks,
        metrics,
        quiet,
        signal,
        false,
        going,
      );
    } else {
      await this.#run(stretches, record, quiet, signal, false);
    }
    const logs = { ...this.#logs(objective, record.means()), ...this.#metricLogs(metrics) };
    await callbacks.call("onTestEnd", logs);
    return logs;
  }

  /** Loss and metrics on one batch. */
  async testOnBatch(
    x: DataLike,
    y: DataLike,
    options: { sampleWeight?: SampleWeights } = {},
  ): Promise<Logs> {
    const where = "testOnBatch()";
    const objective = this.#compiled(where);
    return this.#alone(where, async () => {
      await settle(x, y, options.sampleWeight);
      const data = gatherData(where, this.#request(objective), x, y, options.sampleWeight);
      const none = new CallbackList(where, [], {} as CallbackModel, {
        epochs: 1,
        steps: 1,
        batchSize: data.count,
        verbose: 0,
      });
      return this.#measure(where, objective, data, data.count, none, undefined);
    });
  }
}

/** `cause` is what the data have wrong, if anything. */
function nonFinite(where: string, loss: number, cause?: string, when = ""): NonFiniteError {
  const help =
    cause ??
    "a smaller learning rate, gradient clipping (clipNorm) or scaled inputs may help, or set terminateOnNaN: false to go on";
  return new NonFiniteError(`${where}: the loss became ${loss}${when}; ${help}`);
}

/** The first `used` samples of each of `count` epochs' orders, one after the other. */
function ordersOf(
  samples: number,
  used: number,
  seed: number | null,
  epoch: number,
  count: number,
): Int32Array {
  const orderOf = (e: number): Int32Array =>
    epochOrder(samples, seed === null ? null : mixSeed(seed, e)).subarray(0, used);
  if (count === 1) return orderOf(epoch);
  const orders = new Int32Array(count * used);
  for (let e = 0; e < count; e++) orders.set(orderOf(epoch + e), e * used);
  return orders;
}

/** Training and validation data, from `validationData` or the last share of the samples. */
function splitData(
  where: string,
  request: DataRequest,
  all: Data,
  { validationData, validationSplit = 0 }: FitOptions,
): { data: Data; validation: Data | null } {
  if (validationData !== undefined) {
    if (!Array.isArray(validationData) || validationData.length < 2) {
      throw new ArgumentError(expected(where, "`validationData` as [x, y]", show(validationData)));
    }
    const [x, y, weights] = validationData as readonly unknown[];
    return {
      data: all,
      validation: gatherData(`${where}: validationData`, request, x, y, weights),
    };
  }
  if (validationSplit === 0) return { data: all, validation: null };
  const kept = Math.floor(all.count * (1 - validationSplit));
  if (kept === 0 || kept === all.count) {
    throw new ArgumentError(
      `${where}: validationSplit ${validationSplit} of ${all.count} samples leaves no samples to ${kept === 0 ? "train" : "validate"} on`,
    );
  }
  return { data: sliceData(all, 0, kept), validation: sliceData(all, kept, all.count) };
}
