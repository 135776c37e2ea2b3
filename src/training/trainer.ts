/**
 * Runs training and evaluation of one network: epochs as native loops, executables cached by shape,
 * logs, callbacks, progress, abort and the stop at NaN. What a step computes is in `step.ts`;
 * what users hold is in `models/`.
 */

import type { Executable } from "../backend/run.js";
import { checkBoolean, checkKeys, NonFiniteError, StateError } from "../errors.js";
import { drawSeed } from "../tensor/random.js";
import { sizeOf } from "../tensor/shape.js";
import { zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { CallbackList, type CallbackModel, History, type Logs } from "./callback.js";
import { TerminateOnNaN } from "./callbacks.js";
import {
  type Data,
  type DataLike,
  type DataRequest,
  gatherData,
  type SampleWeights,
  settle,
  withClassWeights,
} from "./data.js";
import type { Feed, StepMaker } from "./feed.js";
import { nonFiniteInput } from "./nonfinite.js";
import type { Objective, OutputMetric } from "./objective.js";
import {
  checkFitValues,
  type EvaluateOptions,
  type FitOptions,
  type FitSource,
  fitKeys,
  type TrainOnBatchOptions,
} from "./options.js";
import { ExecutableCache } from "./predictor.js";
import { checkVerbosity, Progress } from "./progress.js";
import { type Feeding, heldFeeds, measuredFeed, streamedFeeds, windowFeed } from "./sources.js";
import {
  arraysOf,
  reportsParts,
  signatureOf,
  type TrainableNetwork,
  traceEvaluationStep,
  traceResults,
  traceTrainStep,
  trainableOf,
} from "./step.js";
import { BatchStream } from "./stream.js";
import { LossRecord, runStretches, type StepHooks } from "./stretch.js";

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
  /** While callbacks run between two epochs of `fit`: what they measure, if anything. */
  #visit: { running: string | null; done: Promise<void> } | null = null;

  constructor(network: TrainableNetwork) {
    this.#network = network;
  }

  /** Sets what is learnt; weights' trainable flags are taken as they are now. */
  compile(objective: Objective): void {
    this.checkIdle("compile()");
    this.#objective = objective;
    this.#trainable = this.#trainableNow();
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

  #trainableNow(): readonly Variable[] {
    return trainableOf(this.#network).filter((w) => w.dtype === "float32");
  }

  /** Says so when a trainable flag was changed after the model was compiled. */
  #checkFlags(where: string): void {
    const now = this.#trainableNow();
    if (now.length === this.#trainable.length && now.every((w) => this.#trainable.includes(w))) {
      return;
    }
    process.emitWarning(
      `${where}: layers' trainable flags have changed since model ${this.#network.name} was compiled; ` +
        "they take effect when it is compiled again",
      "LayerwiseWarning",
    );
  }

  /** @throws StateError while something runs; `otherwise` says where else it may be called. */
  checkIdle(where: string, otherwise = ""): void {
    if (!this.#busy) return;
    const running = this.#visit?.running ?? this.#busy;
    throw new StateError(
      `${where}: ${running} of this model is still running; call it when that has ended${otherwise}`,
    );
  }

  async #alone<T>(where: string, body: () => Promise<T>): Promise<T> {
    this.checkIdle(where);
    this.#busy = where;
    try {
      return await body();
    } finally {
      this.#busy = null;
    }
  }

  /** Like {@link Trainer.#alone}, but callbacks of `fit` may measure between two epochs. */
  async #measuring<T>(where: string, body: () => Promise<T>): Promise<T> {
    const visit = this.#visit;
    if (!visit || visit.running) {
      const between = this.#busy === "fit()" && !visit;
      this.checkIdle(where, between ? ", or in onEpochBegin or onEpochEnd of a callback" : "");
      return this.#alone(where, body);
    }
    visit.running = where;
    const result = body().finally(() => {
      visit.running = null;
    });
    const nothing = (): void => {};
    visit.done = result.then(nothing, nothing);
    return result;
  }

  /** Calls callbacks where nothing runs; training goes on when they have measured what they began to. */
  async #between(callbacks: () => Promise<void>): Promise<void> {
    const visit = { running: null, done: Promise.resolve() };
    this.#visit = visit;
    try {
      await callbacks();
    } finally {
      while (visit.running !== null) await visit.done;
      this.#visit = null;
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

  /** Trains on data in memory, or on a dataset. */
  async fit(model: CallbackModel, source: FitSource, options: FitOptions = {}): Promise<History> {
    const where = "fit()";
    const objective = this.#compiled(where);
    checkKeys(where, options, fitKeys);
    this.#checkFlags(where);
    return this.#alone(where, async () => {
      const progress = new Progress(checkVerbosity(where, options.verbose ?? "auto"));
      const open: Feed[] = [];
      try {
        return await this.#fit(where, objective, model, source, options, progress, open);
      } catch (error) {
        progress.abandon();
        throw error;
      } finally {
        for (const feed of open) await feed.close();
      }
    });
  }

  async #fit(
    where: string,
    objective: Objective,
    model: CallbackModel,
    source: FitSource,
    options: FitOptions,
    progress: Progress,
    open: Feed[],
  ): Promise<History> {
    const { epochs = 1, initialEpoch = 0, signal, seed = drawSeed() } = options;
    const { terminateOnNaN = true } = options;
    checkFitValues(where, options);
    signal?.throwIfAborted();
    const feeding = this.#feeding(where, objective);
    const { feed, validation } =
      source instanceof BatchStream
        ? await streamedFeeds(feeding, source, options, open)
        : await heldFeeds(feeding, source, options, seed, open);
    const { rows } = feed;

    const history = new History();
    const listed = options.callbacks === undefined ? [] : [options.callbacks].flat();
    const callbacks = new CallbackList(where, [...listed, history], model, {
      epochs,
      steps: feed.steps,
      batchSize: rows,
      verbose: options.verbose === 0 || options.verbose === false ? 0 : 1,
    });
    const metrics = this.#metrics(objective, feed.data);
    const quiet = callbacks.has(TerminateOnNaN);
    const watch = terminateOnNaN || quiet;
    this.#seed.storageForUpdate()[0] = seed | 0;

    model.stopTraining = false;
    await this.#between(() => callbacks.call("onTrainBegin"));
    let logs: Logs = {};
    // Short epochs that nobody watches are run several at a time: a native loop has a price.
    const bundles =
      callbacks.onlyRecord &&
      progress.silent &&
      !validation &&
      metrics.length === 0 &&
      feed.bundles;
    const most = bundles ? Math.floor(bundleSamples / (feed.steps! * rows)) : 1;
    let size = 1;
    for (let epoch = initialEpoch; epoch < epochs && !model.stopTraining; ) {
      signal?.throwIfAborted();
      await this.#between(() => callbacks.at("onEpochBegin", epoch));
      progress.begin(`Epoch ${epoch + 1}/${epochs}`, feed.steps);
      for (const { metric } of metrics) metric.resetState();
      const started = performance.now();
      const count = Math.min(size, epochs - epoch);
      const record = new LossRecord(this.#scalars(objective), count * (feed.steps ?? 0));
      /** Steps of one epoch: those there were, where nobody knew before. */
      const perEpoch = (): number => feed.steps ?? record.finished;
      let finite = true;
      try {
        const hooks = callbacks.watches("train")
          ? this.#hooks("train", objective, record, callbacks, metrics, () => model.stopTraining)
          : undefined;
        const steps = await feed.begin(epoch, count);
        finite = await runStretches(steps, record, { progress, signal, watch, hooks });
      } finally {
        // All epochs of a bundle that were finished are reported, even if it was ended.
        const steps = perEpoch();
        const finished = count === 1 ? 0 : Math.min(count - 1, Math.floor(record.finished / steps));
        for (let e = 0; e < finished; e++) {
          const means = record.means(e * steps, (e + 1) * steps);
          callbacks.record(epoch + e, this.#logs(objective, means));
        }
      }
      const steps = perEpoch();
      const last = finite ? count - 1 : Math.floor((record.finished - 1) / steps);
      if (!finite) {
        const batch = record.finished - 1;
        if (!quiet) {
          const of = feed.steps === null ? "" : ` of ${steps}`;
          const when = ` in epoch ${epoch + last + 1}, batch ${batch - last * steps + 1}${of}`;
          throw nonFinite(where, record.values[0]![batch]!, record.cause, when);
        }
        model.stopTraining = true;
      }
      const means = record.means(last * steps, record.finished);
      logs = { ...this.#logs(objective, means), ...this.#metricLogs(metrics) };
      if (validation && finite) {
        const at = `${where}: validation`;
        const results = await this.#measure(at, objective, validation, callbacks, signal, watch);
        for (const [key, value] of Object.entries(results)) logs[`val_${key}`] = value;
      }
      await this.#between(() => callbacks.at("onEpochEnd", epoch + last, logs));
      progress.end(logs, record.finished);
      epoch += count;
      if (bundles) {
        const time = Math.max(0.001, (performance.now() - started) / count);
        size = Math.max(1, Math.min(most, size * 8, Math.floor(bundleTime / time)));
      }
    }
    if (objective.optimizer.usesEma && epochs > initialEpoch) {
      objective.optimizer.finalizeVariableValues();
    }
    await this.#between(() => callbacks.call("onTrainEnd", logs));
    return history;
  }

  /** What feeds are made with. */
  #feeding(where: string, objective: Objective): Feeding {
    return {
      where,
      request: this.#request(objective),
      trainStep: (gathered) => this.#trainStep(objective, gathered),
      evaluationStep: this.#evaluationStep(objective),
    };
  }

  /** Number of scalars that each step reports. */
  #scalars(objective: Objective): number {
    const parts = reportsParts(objective) ? objective.losses.filter((l) => l !== null).length : 0;
    return 1 + parts + (this.#network.reports?.length ?? 0);
  }

  /** Makes training steps; with `gathered` they pick samples by index from whole arrays. */
  #trainStep(objective: Objective, gathered: boolean): StepMaker {
    return (data, rows) => {
      const metrics = this.#metrics(objective, data);
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
    };
  }

  /** Makes evaluation steps. */
  #evaluationStep(objective: Objective): StepMaker {
    return (data, rows) => {
      const metrics = this.#metrics(objective, data);
      return this.#evaluation.get(`${rows}|${signatureOf(data, rows)}`, () =>
        traceEvaluationStep({
          network: this.#network,
          objective,
          data,
          metrics,
          rows,
          seed: this.#seed,
        }),
      );
    };
  }

  /** The batch hooks of callbacks, around each step. */
  #hooks(
    run: "train" | "test",
    objective: Objective,
    record: LossRecord,
    callbacks: CallbackList,
    metrics: readonly OutputMetric[],
    stopped: () => boolean,
  ): StepHooks {
    return {
      begins: (batch) => callbacks.batchBegins(run, batch),
      ends: async (batch) => {
        const logs = { ...this.#logs(objective, record.means()), ...this.#metricLogs(metrics) };
        await callbacks.batchEnds(run, batch, logs);
        return { logs, stop: stopped() };
      },
    };
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
    const { terminateOnNaN = true } = options;
    checkBoolean(where, "terminateOnNaN", terminateOnNaN);
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
      const step = this.#trainStep(objective, false)(data, data.count);
      const outputs = await step.run(arraysOf(data).map((s) => s.values));
      const means = outputs.map((o) => o[0]!);
      if (terminateOnNaN && !Number.isFinite(means[0])) {
        throw nonFinite(where, means[0]!, nonFiniteInput(data.x));
      }
      return { ...this.#logs(objective, means), ...this.#metricLogs(metrics) };
    });
  }

  /* ---- evaluation -------------------------------------------------------------------------------- */

  /** Loss and metrics on data in memory, or on a dataset. */
  async evaluate(
    model: CallbackModel,
    source: FitSource,
    options: EvaluateOptions = {},
  ): Promise<Logs> {
    const where = "evaluate()";
    const objective = this.#compiled(where);
    checkKeys(where, options, [
      "batchSize",
      "sampleWeight",
      "steps",
      "callbacks",
      "signal",
      "verbose",
    ]);
    const verbose = checkVerbosity(where, options.verbose ?? 0);
    return this.#measuring(where, async () => {
      const feed = await measuredFeed(this.#feeding(where, objective), source, options);
      try {
        const { steps, rows: batchSize } = feed;
        const params = { epochs: 1, steps, batchSize, verbose: verbose === 0 ? 0 : 1 };
        const callbacks = new CallbackList(where, options.callbacks, model, params);
        const progress = new Progress(verbose);
        progress.begin("", steps);
        const logs = await this.#measure(where, objective, feed, callbacks, options.signal, true);
        progress.end(logs, feed.steps ?? 0);
        return logs;
      } finally {
        await feed.close();
      }
    });
  }

  /** With `check`, a loss that is not finite because of the inputs is an error. */
  async #measure(
    where: string,
    objective: Objective,
    feed: Feed,
    callbacks: CallbackList,
    signal: AbortSignal | undefined,
    check: boolean,
  ): Promise<Logs> {
    const { optimizer } = objective;
    const swapped = optimizer.swapped;
    try {
      const metrics = this.#metrics(objective, feed.data);
      await callbacks.call("onTestBegin");
      for (const { metric } of metrics) metric.resetState();
      const record = new LossRecord(this.#scalars(objective), feed.steps ?? 0);
      const hooks = callbacks.watches("test")
        ? this.#hooks("test", objective, record, callbacks, metrics, () => false)
        : undefined;
      const quiet = new Progress(0);
      const steps = await feed.begin(0, 1);
      await runStretches(steps, record, { progress: quiet, signal, watch: false, hooks });
      const logs = { ...this.#logs(objective, record.means()), ...this.#metricLogs(metrics) };
      await callbacks.call("onTestEnd", logs);
      if (check && record.cause !== undefined && !Number.isFinite(logs.loss)) {
        throw new NonFiniteError(`${where}: the loss is ${logs.loss} because ${record.cause}`);
      }
      return logs;
    } catch (error) {
      // A callback that put averages in the weights' place for the while has no hook to take them back.
      if (optimizer.swapped !== swapped) optimizer.swapEma();
      throw error;
    }
  }

  /** Loss and metrics on one batch. */
  async testOnBatch(
    x: DataLike,
    y: DataLike,
    options: { sampleWeight?: SampleWeights } = {},
  ): Promise<Logs> {
    const where = "testOnBatch()";
    const objective = this.#compiled(where);
    checkKeys(where, options, ["sampleWeight"]);
    return this.#measuring(where, async () => {
      await settle(x, y, options.sampleWeight);
      const data = gatherData(where, this.#request(objective), x, y, options.sampleWeight);
      const none = new CallbackList(where, [], {} as CallbackModel, {
        epochs: 1,
        steps: 1,
        batchSize: data.count,
        verbose: 0,
      });
      const feed = windowFeed(this.#feeding(where, objective), data, data.count);
      return this.#measure(where, objective, feed, none, undefined, false);
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
