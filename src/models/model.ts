/**
 * Model: what users hold. A network with training, evaluation, prediction and files. The network is in
 * `network/`, the training in `training/`, the file format in `saving.ts`; this class joins them.
 */
import { ArgumentError, expected, ShapeError, StateError, show } from "../errors.js";
import type { CallContext } from "../layers/layer.js";
import { registerLayer } from "../layers/registry.js";
import type { SymbolicTensor } from "../layers/symbolic.js";
import { Network, type NetworkOptions } from "../network/network.js";
import type { Metric, MetricDirection } from "../nn/metrics/metric.js";
import type { JsonObject } from "../nn/options.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import { Tensor } from "../tensor/tensor.js";
import type { CallbackModel, History, Logs } from "../training/callbacks.js";
import { type DataLike, isRecord, type SampleWeights } from "../training/data.js";
import { type CompileOptions, Objective } from "../training/objective.js";
import { type PredictOptions, Predictor } from "../training/predictor.js";
import type { TrainableNetwork } from "../training/step.js";
import {
  type EvaluateOptions,
  type FitOptions,
  Trainer,
  type TrainOnBatchOptions,
} from "../training/trainer.js";
import { warnOfLogits } from "./advice.js";
import { readWeights, type SaveOptions, saveModel, writeWeights } from "./saving.js";
import { ModelServer, type ServerOptions } from "./server.js";

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

  /** @internal To be called when the wiring changes: what was compiled no longer holds. */
  protected rewired(): void {
    this.#trainer = null;
    this.#predictor = null;
  }

  #build(where: string, x: DataLike): void {
    if (!this.built) this.prepareFor(x);
    if (!this.built) throw new StateError(`${where}: ${this.where} has no layers yet`);
  }

  #ready(where: string, x: DataLike): Trainer {
    this.#build(where, x);
    if (!this.#trainer) {
      this.#trainer = new Trainer(new ModelNetwork(this));
      if (this.#options) this.#trainer.compile(this.#objective(this.#options));
    }
    return this.#trainer;
  }

  #applied(where: string, x: DataLike): Predictor {
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
  async fit(x: DataLike, y: DataLike, options: FitOptions = {}): Promise<History> {
    return this.#ready("fit()", x).fit(this, x, y, options);
  }

  /** Loss and metrics on data, by the names that `fit` reports. */
  async evaluate(x: DataLike, y: DataLike, options: EvaluateOptions = {}): Promise<Logs> {
    return this.#ready("evaluate()", x).evaluate(this, x, y, options);
  }

  /** Predictions for all samples. May be called any number of times at once, also during `fit`. */
  async predict(x: DataLike, options: PredictOptions = {}): Promise<O> {
    const predictor = this.#applied("predict()", x);
    return this.#shaped(
      options.callbacks === undefined
        ? await predictor.predict(x, options)
        : await predictor.predictWatched(this, x, options),
    );
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

function slotsOf(symbols: readonly SymbolicTensor[]) {
  return symbols.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
}

/** A model as training sees it. */
class ModelNetwork implements TrainableNetwork {
  readonly inputSlots;
  readonly outputSlots;

  constructor(readonly model: Network<ModelOutput>) {
    this.inputSlots = slotsOf(model.inputs);
    this.outputSlots = slotsOf(model.outputs);
  }

  get name(): string {
    return this.model.name;
  }

  get weights() {
    return this.model.weights;
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
  // Which of the two it is follows from the overloads.
  return new Model(options) as Model<Tensor>;
}

registerLayer(Model);
