/**
 * Model: what users hold. A network with training, evaluation, prediction and files. The network is in
 * `network/`, the training in `training/`, the file format in `saving.ts`; this class joins them.
 */

import { end } from "../data/cursor.js";
import type { Dataset } from "../data/dataset.js";
import { ArgumentError, expected, ShapeError, StateError, show } from "../errors.js";
import type { CallContext } from "../layers/layer.js";
import { registerLayer } from "../layers/registry.js";
import type { SymbolicTensor } from "../layers/symbolic.js";
import { Network, type NetworkOptions } from "../network/network.js";
import type { Metric, MetricDirection } from "../nn/metrics/metric.js";
import type { JsonObject } from "../nn/options.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import { Tensor } from "../tensor/tensor.js";
import type { CallbackModel, History, Logs } from "../training/callback.js";
import { type DataLike, isRecord, type SampleWeights } from "../training/data.js";
import { type CompileOptions, Objective } from "../training/objective.js";
import type {
  EvaluateDatasetOptions,
  EvaluateOptions,
  FitDatasetOptions,
  FitOptions,
  TrainOnBatchOptions,
} from "../training/options.js";
import { type PredictOptions, Predictor } from "../training/predictor.js";
import {
  BatchStream,
  isDataset,
  type PredictionBatch,
  type TrainingBatch,
} from "../training/stream.js";
import { Trainer } from "../training/trainer.js";
import { warnOfLogits } from "./advice.js";
import { readWeights } from "./loading.js";
import { type SaveOptions, saveModel, writeWeights } from "./saving.js";
import { ModelServer, type ServedNetwork, type ServerOptions } from "./server.js";

/** What a model gives: a tensor, or an array of them where it has several outputs. */
export type ModelOutput = Tensor | Tensor[];

/**
 * Layers wired from inputs to outputs, with training. Make one with `lw.model` or `lw.sequential`.
 *
 * @typeParam O what `predict` gives: `Tensor`, or `Tensor[]` for a model with several outputs
 */
export class Model<O extends ModelOutput = Tensor> extends Network<O> implements CallbackModel {
  static override readonly className: string = "Model";
  /** Set to true (by a callback, say), training ends after the present epoch. */
  stopTraining = false;
  #trainer: Trainer | null = null;
  #predictor: Predictor | null = null;
  #options: CompileOptions | null = null;

  /** @internal Use `lw.model` or `lw.sequential`. */
  constructor(options: NetworkOptions) {
    super(options);
  }

  /** Makes the layers fit for data, where their input shape is not known yet. */
  protected prepareFor(_x: DataLike): void {}

  /** @internal To be called before the wiring changes, which it must not while the model is in use. */
  protected checkIdle(where: string): void {
    this.#trainer?.checkIdle(`${where} of ${this.where}`);
  }

  /** @internal To be called when the wiring changes: what was compiled no longer holds. */
  protected rewired(): void {
    this.#trainer = null;
    this.#predictor = null;
  }

  #build(where: string, x: DataLike | null): void {
    if (!this.built && x !== null) this.prepareFor(x);
    if (!this.built) throw new StateError(`${where}: ${this.where} has no layers yet`);
  }

  #ready(where: string, x: DataLike | null): Trainer {
    this.#build(where, x);
    if (!this.#trainer) {
      this.#trainer = new Trainer(new ModelNetwork(this));
      if (this.#options) this.#trainer.compile(this.#objective(this.#options));
    }
    return this.#trainer;
  }

  #applied(where: string, x: DataLike | null): Predictor {
    this.#build(where, x);
    this.#predictor ??= new Predictor(new ModelNetwork(this));
    return this.#predictor;
  }

  #objective(options: CompileOptions): Objective {
    const where = `compile() of ${this.where}`;
    const objective = new Objective(where, slotsOf(this.outputs), options);
    warnOfLogits(where, this.outputs, objective.losses);
    return objective;
  }

  /**
   * Says how the model learns. The layers' `trainable` flags are taken as they are now: after changing
   * one, compile again.
   *
   * @throws ArgumentError for unknown names, with the nearest known one.
   */
  compile(options: CompileOptions = {}): void {
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(expected(`compile() of ${this.where}`, "options", show(options)));
    }
    if (!this.built) {
      // The outputs are not known yet: names are checked now, the rest when there is data.
      const name = this.layers.at(-1)?.name ?? "output";
      const unknown = { name, shape: [null], dtype: "float32" as const };
      const checked = new Objective(`compile() of ${this.where}`, [unknown], options);
      this.#options = { ...options, optimizer: checked.optimizer };
      this.#trainer = null;
      return;
    }
    const objective = this.#objective(options);
    // An optimizer given by name is this model's own from now on.
    this.#options = { ...options, optimizer: objective.optimizer };
    this.#trainer ??= new Trainer(new ModelNetwork(this));
    this.#trainer.compile(objective);
  }

  /** What was compiled; null before. */
  get compileOptions(): CompileOptions | null {
    return this.#options;
  }

  /** @internal The weights that training changes: the trainable ones when the model was compiled. */
  get trainedWeights(): readonly Tensor[] {
    return this.#trainer?.trainable ?? [];
  }

  /** The optimizer in use. */
  get optimizer(): Optimizer {
    const optimizer = this.#options?.optimizer;
    if (optimizer === undefined || typeof optimizer === "string") {
      throw new StateError(`${this.where}: it is not compiled, so it has no optimizer`);
    }
    return optimizer;
  }

  /** The metrics in use, once there was data; `metric.result()` gives those that are not one number. */
  get metrics(): Metric[] {
    return (this.#trainer?.objective?.metrics ?? []).map(({ metric }) => metric);
  }

  /** @internal Which way is better for a value that `fit` reports. */
  directionOf(key: string): MetricDirection {
    return this.#trainer?.objective?.directionOf(key) ?? null;
  }

  /**
   * Trains on data in memory: tensors, typed or nested arrays; several inputs or outputs in an array or
   * by name. Data of another dtype than the input layer's float32 is cast, never scaled.
   *
   * @returns the losses and metrics of each epoch
   * @throws ShapeError, DTypeError, ArgumentError for data that does not fit; NonFiniteError when the
   * loss becomes NaN or infinite (see `terminateOnNaN`); the signal's reason when it is aborted.
   */
  async fit(x: DataLike, y: DataLike, options?: FitOptions): Promise<History>;
  /**
   * Trains on a dataset of batches `[x, y]` or `[x, y, sampleWeight]`, one pass over it per epoch (see
   * `stepsPerEpoch`). The next batch is prepared while a step runs.
   *
   * @throws also what the dataset's functions throw, as a DatasetError that names batch and element.
   */
  async fit(dataset: Dataset<TrainingBatch>, options?: FitDatasetOptions): Promise<History>;
  async fit(
    x: DataLike | Dataset<TrainingBatch>,
    y?: DataLike | FitDatasetOptions,
    options?: FitOptions,
  ): Promise<History> {
    const where = "fit()";
    if (!isDataset(x)) {
      return this.#ready(where, x).fit(this, { x, y: y as DataLike }, options);
    }
    const given = datasetOptions<FitDatasetOptions>(where, y, options);
    const first = Number.isInteger(given.initialEpoch) ? given.initialEpoch : 0;
    return this.#streamed(where, x, first, (stream) =>
      this.#ready(where, null).fit(this, stream, given),
    );
  }

  /** {@link Model.fit} for a dataset, under the name it has in TensorFlow.js. */
  fitDataset(dataset: Dataset<TrainingBatch>, options?: FitDatasetOptions): Promise<History> {
    return this.fit(checkDataset("fitDataset()", dataset), options);
  }

  /** Loss and metrics on data, by the names that `fit` reports. */
  async evaluate(x: DataLike, y: DataLike, options?: EvaluateOptions): Promise<Logs>;
  /** Loss and metrics on a dataset of batches. */
  async evaluate(dataset: Dataset<TrainingBatch>, options?: EvaluateDatasetOptions): Promise<Logs>;
  async evaluate(
    x: DataLike | Dataset<TrainingBatch>,
    y?: DataLike | EvaluateDatasetOptions,
    options?: EvaluateOptions,
  ): Promise<Logs> {
    const where = "evaluate()";
    if (!isDataset(x)) {
      return this.#ready(where, x).evaluate(this, { x, y: y as DataLike }, options);
    }
    const given = datasetOptions<EvaluateDatasetOptions>(where, y, options);
    return this.#streamed(where, x, 0, (stream) =>
      this.#ready(where, null).evaluate(this, stream, given),
    );
  }

  /** {@link Model.evaluate} for a dataset, under the name it has in TensorFlow.js. */
  evaluateDataset(
    dataset: Dataset<TrainingBatch>,
    options?: EvaluateDatasetOptions,
  ): Promise<Logs> {
    return this.evaluate(checkDataset("evaluateDataset()", dataset), options);
  }

  /**
   * Predictions for all samples, of arrays or of a dataset of batches (of which it takes x). May be
   * called any number of times at once, also during `fit`.
   */
  async predict(x: DataLike | Dataset<PredictionBatch>, options: PredictOptions = {}): Promise<O> {
    const where = "predict()";
    if (isDataset(x)) {
      return this.#streamed(where, x, 0, async (stream) =>
        this.#shaped(await this.#applied(where, null).predictStream(this, stream, options)),
      );
    }
    const predictor = this.#applied(where, x);
    return this.#shaped(
      options.callbacks === undefined
        ? await predictor.predict(x, options)
        : await predictor.predictWatched(this, x, options),
    );
  }

  /** Runs `body` on a dataset's batches; a model without an input shape takes that of the first. */
  async #streamed<R>(
    where: string,
    dataset: Dataset<unknown>,
    pass: number | undefined,
    body: (stream: BatchStream) => Promise<R>,
  ): Promise<R> {
    const stream = new BatchStream(where, dataset, pass);
    try {
      if (!this.built) {
        const first = await stream.peek();
        if (first === end) throw new ArgumentError(`${where}: the dataset has no batches`);
        this.#build(where, first.x as DataLike);
      }
      return await body(stream);
    } finally {
      await stream.close();
    }
  }

  /**
   * Predictions at once, for latencies of microseconds: all samples are one batch, and the calling
   * thread waits. A tensor of the same shape as before takes the shortest way. During `fit` it first
   * waits for the training step in progress, so that it sees the weights of a whole step; `predict`
   * takes its turn without holding up the event loop.
   */
  predictSync(x: DataLike): O {
    const predictor = this.#predictor ?? this.#applied("predictSync()", x);
    return this.#shaped(predictor.predictSync(x));
  }

  /**
   * A server for many callers at once: requests for single samples that come at about the same time are
   * joined into one run, off the event loop. See {@link ModelServer}.
   *
   * @example
   * const server = model.server({ maxBatch: 64, maxDelay: 2 });
   * const probabilities = await server.predict(pixels); // shape [10]: no batch dimension, in or out
   * await server.close();
   */
  server(options: ServerOptions = {}): ModelServer<O> {
    if (!this.built) {
      throw new StateError(
        `server() of ${this.where}: its input shape is not known yet; give the first layer an ` +
          "inputShape, or train it first",
      );
    }
    return new ModelServer(new ModelNetwork(this), this.where, options, (t) => this.#shaped(t));
  }

  /** Predictions for one batch. */
  async predictOnBatch(x: DataLike): Promise<O> {
    return this.predict(x, { batchSize: Infinity });
  }

  /**
   * One training step on one batch; gives its loss and metrics.
   * @throws what `fit` throws, NonFiniteError for a NaN or infinite loss included.
   */
  async trainOnBatch(x: DataLike, y: DataLike, options: TrainOnBatchOptions = {}): Promise<Logs> {
    return this.#ready("trainOnBatch()", x).trainOnBatch(x, y, options);
  }

  /** Loss and metrics on one batch. */
  async testOnBatch(
    x: DataLike,
    y: DataLike,
    options: { sampleWeight?: SampleWeights } = {},
  ): Promise<Logs> {
    return this.#ready("testOnBatch()", x).testOnBatch(x, y, options);
  }

  #shaped(outputs: Tensor[]): O {
    // O is Tensor[] exactly for models with several outputs: that is how lw.model types them.
    return (outputs.length === 1 ? outputs[0]! : outputs) as O;
  }

  /**
   * Writes architecture, weights, what was compiled and the optimizer's state to one safetensors file,
   * atomically. During `fit` all of it is of the same training step. Read it with `lw.loadModel`.
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this, path, options);
  }

  /** Writes the weights alone to a safetensors file. */
  async saveWeights(path: string): Promise<void> {
    await writeWeights(this, path);
  }

  /**
   * Takes the weights from a file of `saveWeights` or `save`.
   * @throws FormatError when a weight is missing, superfluous or of another shape; StateError while
   * `fit` is changing the weights.
   */
  async loadWeights(path: string): Promise<void> {
    await readWeights(this, path);
  }

  /** Architecture as `{ className, config }`: what `JSON.stringify(model)` writes. */
  toJSON(): { className: string; config: JsonObject } {
    return { className: this.className, config: this.getConfig() };
  }
}

/** The options that follow a dataset, which takes the places of both x and y. */
function datasetOptions<T extends object>(where: string, options: unknown, third: unknown): T {
  const wrong =
    third !== undefined ||
    (options !== undefined &&
      (typeof options !== "object" || Array.isArray(options) || ArrayBuffer.isView(options)));
  if (wrong || options instanceof Tensor || options === null) {
    throw new ArgumentError(
      expected(where, "a dataset and options", show(options), "its elements hold x and y"),
    );
  }
  // The keys are checked where they are used.
  return (options ?? {}) as T;
}

function checkDataset<T>(where: string, dataset: Dataset<T>): Dataset<T> {
  if (isDataset(dataset)) return dataset;
  throw new ArgumentError(expected(where, "a dataset, as lw.data makes them", show(dataset)));
}

function slotsOf(symbols: readonly SymbolicTensor[]) {
  return symbols.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
}

/** A model as training sees it. */
class ModelNetwork implements ServedNetwork {
  readonly inputSlots;
  readonly outputSlots;
  readonly #output;

  constructor(readonly model: Network<ModelOutput>) {
    this.inputSlots = slotsOf(model.inputs);
    this.outputSlots = slotsOf(model.outputs);
    this.#output = model.outputs[0];
  }

  /** False once layers were added or taken off: each wiring has outputs of its own. What is inside a model stays. */
  get isCurrent(): boolean {
    return this.model.built && this.model.outputs[0] === this.#output;
  }

  get name(): string {
    return this.model.name;
  }

  get weights() {
    return this.model.weights;
  }

  get trainableWeights() {
    return this.model.trainableWeights;
  }

  weightInfo(weight: Parameters<Network["weightInfo"]>[0]) {
    return this.model.weightInfo(weight);
  }

  run(inputs: readonly Tensor[], context: CallContext): readonly Tensor[] {
    return [this.model.invoke(inputs.length === 1 ? inputs[0]! : [...inputs], context)].flat();
  }
}

/** @internal The shape of data of which no model says anything yet; the batch is left free. */
export function shapeOfData(where: string, x: DataLike): (number | null)[] {
  if (x instanceof Tensor) return [null, ...x.shape.slice(1)];
  if (Array.isArray(x) && !(x[0] instanceof Tensor) && !ArrayBuffer.isView(x[0])) {
    const shape: number[] = [];
    for (let level: unknown = x; Array.isArray(level); level = level[0]) shape.push(level.length);
    // A flat list of numbers: samples of one value.
    return shape.length === 1 ? [null, 1] : [null, ...shape.slice(1)];
  }
  if (Array.isArray(x) && x.length === 1) return shapeOfData(where, x[0] as DataLike);
  throw new ShapeError(
    `${where}: the shape of a sample can't be told from ${isRecord(x) ? "an object" : show(x)}; ` +
      "give the first layer an inputShape, or pass a tensor",
  );
}

/** Options of `lw.model`. */
export interface ModelOptions<S> {
  readonly inputs: SymbolicTensor | readonly SymbolicTensor[];
  readonly outputs: S;
  readonly name?: string;
  readonly trainable?: boolean;
}

/**
 * A model of any wiring: from symbolic inputs to symbolic outputs.
 *
 * @example
 * const x = lw.input({ shape: [4] });
 * const h = lw.layers.dense({ units: 8, activation: "relu" }).apply(x);
 * const m = lw.model({ inputs: x, outputs: lw.layers.dense({ units: 1 }).apply(h) });
 * m.countParams(); // 49
 */
export function model(options: ModelOptions<SymbolicTensor>): Model<Tensor>;
export function model(options: ModelOptions<readonly [SymbolicTensor]>): Model<Tensor>;
export function model(options: ModelOptions<readonly SymbolicTensor[]>): Model<Tensor[]>;
export function model(
  options: ModelOptions<SymbolicTensor | readonly SymbolicTensor[]>,
): Model<Tensor> | Model<Tensor[]> {
  if (typeof options !== "object" || options === null) {
    throw new ArgumentError(expected("model()", "{ inputs, outputs }", show(options)));
  }
  for (const side of ["inputs", "outputs"] as const) {
    if (options[side] !== undefined) continue;
    throw new ArgumentError(expected("model()", "{ inputs, outputs }", `no \`${side}\``));
  }
  // Which of the two it is follows from the overloads.
  return new Model(options) as Model<Tensor>;
}

registerLayer(Model);
