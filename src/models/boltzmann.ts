/**
 * The restricted Boltzmann machine as users hold it: learning, features, samples and likelihoods. What
 * a step of learning computes is in `contrast.ts`, the chains in `chains.ts`, log Z in `partition.ts`.
 */

import { epochOrder } from "../data/order.js";
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  StateError,
  show,
} from "../errors.js";
import type { MetricDirection } from "../nn/metrics/metric.js";
import { reshape } from "../ops/movement.js";
import { sgd } from "../optimizers/factories.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import { drawSeed } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { readTogether, type Variable } from "../tensor/variable.js";
import type { CallbackHooks, CallbackModel, History } from "../training/callback.js";
import { type DataLike, type Samples, sliceSamples } from "../training/data.js";
import { Objective } from "../training/objective.js";
import { type PredictOptions, Predictor } from "../training/predictor.js";
import { Trainer } from "../training/trainer.js";
import { readMachineFile, writeMachineFile } from "./boltzmannfile.js";
import {
  type GibbsOptions,
  type Likelihood,
  type LikelihoodOptions,
  type PartitionOptions,
  type PseudoLikelihoodOptions,
  type RbmFitOptions,
  rbmFitKeys,
  type SampleOptions,
  samplesKept,
} from "./boltzmannoptions.js";
import { heldUnits, runChains } from "./chains.js";
import {
  type ContrastOptions,
  type ContrastPlan,
  type ContrastState,
  contrast,
  contrastState,
  planContrast,
  reportsOf,
} from "./contrast.js";
import { freeEnergyOf, hiddenInput, hiddenMean, visibleInput, visibleMean } from "./energy.js";
import { freeEnergyGap, meanFreeEnergy } from "./energygap.js";
import { readWeights } from "./loading.js";
import { Machine, type MachineOptions } from "./machine.js";
import {
  type AnnealingOptions,
  annealedLogPartition,
  annealingBetas,
  biasOfMeans,
  exactLogPartition,
  type PartitionEstimate,
} from "./partition.js";
import { pseudoLogLikelihoods } from "./pseudolikelihood.js";
import { type SaveOptions, writeWeights } from "./saving.js";
import { unitKind, visibleUnitNames } from "./units.js";

/** A restricted Boltzmann machine. Make one with `lw.models.rbm`. */
export class RBM implements CallbackModel {
  static readonly className = "RBM";
  /** Set to true (by a callback, say), training ends after the present epoch. */
  stopTraining = false;
  readonly #machine: Machine;
  #plan: ContrastPlan | null = null;
  #objective: Objective | null = null;
  #trainer: Trainer | null = null;
  /** What changes the weights meanwhile, where that is not the machine itself. */
  #holder: string | null = null;
  /** Made when learning begins: a file may ask for any number of chains. */
  #state: ContrastState | null = null;
  /** Whether persistent chains have begun. */
  #begun = false;
  readonly #predictors = new Map<string, Predictor>();

  /** @internal Use `lw.models.rbm`. */
  constructor(options: MachineOptions) {
    this.#machine = new Machine(options);
  }

  get name(): string {
    return this.#machine.name;
  }

  /** @internal For messages. */
  get where(): string {
    return this.#machine.where;
  }

  /** Shape of a sample. */
  get inputShape(): Shape {
    return this.#machine.inputShape;
  }

  /** @internal Layout and weights. */
  get machine(): Machine {
    return this.#machine;
  }

  /** [visible, hidden]. */
  get kernel(): Variable {
    return this.#machine.kernel;
  }

  get visibleBias(): Variable {
    return this.#machine.visibleBias;
  }

  get hiddenBias(): Variable {
    return this.#machine.hiddenBias;
  }

  /** Kernel, visible biases, hidden biases. */
  get weights(): Variable[] {
    return this.#machine.variables;
  }

  /** The weights' present values; during `fit` all of the same step. */
  getWeights(): Tensor[] {
    return readTogether(this.weights);
  }

  /**
   * Replaces the weights, in the order of {@link RBM.weights}: all of them, or none where one of the values
   * does not fit.
   */
  setWeights(values: readonly TensorLike[]): void {
    if (!Array.isArray(values) || values.length !== this.weights.length) {
      const wanted = "three tensors: kernel, visible bias, hidden bias";
      throw new ArgumentError(expected(`${this.where}: setWeights()`, wanted, show(values)));
    }
    const next = this.weights.map((weight, i) => weight.accept(values[i]!));
    for (const weight of this.weights) weight.checkFree();
    this.weights.forEach((weight, i) => {
      weight.assign(next[i]!);
    });
  }

  /** @internal Weights by the names they have in files. */
  namedWeights(): [name: string, weight: Variable][] {
    return this.weights.map((weight) => [weight.name.slice(this.name.length + 1), weight]);
  }

  /** The number of weights. */
  countParams(): number {
    return this.weights.reduce((sum, { size }) => sum + size, 0);
  }

  /** Options that make a machine of this layout. */
  getConfig(): ReturnType<Machine["getConfig"]> {
    return this.#machine.getConfig();
  }

  /* ---- learning -------------------------------------------------------------------------------- */

  /**
   * Says how the machine learns; persistent chains begin anew. Without it `fit` takes the defaults:
   * CD-1 by gradient descent with rate 0.05 and momentum 0.5.
   *
   * @throws ArgumentError for unknown or unfit options; StateError while `fit` runs.
   */
  compile(options: ContrastOptions = {}): void {
    const place = `compile() of ${this.where}`;
    this.#checkFree(place);
    this.#trainer?.checkIdle(place);
    const plan = planContrast(place, options);
    const optimizer = options.optimizer ?? sgd({ learningRate: 0.05, momentum: 0.5 });
    const objective = new Objective(place, [], { optimizer });
    const machine = this.#machine;
    const network = machine.network(
      plan.method,
      [],
      (v, context) => {
        contrast(machine.layout, machine.read(), plan, this.#learningState(plan), v, context);
        return [];
      },
      reportsOf(plan),
    );
    const trainer = new Trainer({ ...network, name: this.name, outputSlots: [] });
    trainer.compile(objective);
    this.#plan = plan;
    this.#objective = objective;
    this.#state = null;
    this.#begun = false;
    this.#trainer = trainer;
  }

  /** @internal Lets only `body` change the weights, as a network does that fine-tunes its machines. */
  async held<T>(place: string, body: () => Promise<T>): Promise<T> {
    this.#checkFree(place);
    this.#trainer?.checkIdle(place);
    this.#holder = place;
    try {
      return await body();
    } finally {
      this.#holder = null;
    }
  }

  #checkFree(place: string): void {
    if (this.#holder === null) return;
    throw new StateError(`${place}: ${this.#holder} is still running; call it when that has ended`);
  }

  #learningState(plan: ContrastPlan): ContrastState {
    this.#state ??= contrastState(this.name, this.#machine.layout, plan);
    return this.#state;
  }

  /** What was compiled, the optimizer included; null before. */
  get compileOptions(): (ContrastPlan & { readonly optimizer: Optimizer }) | null {
    return this.#plan && { ...this.#plan, optimizer: this.optimizer };
  }

  /** The optimizer in use. */
  get optimizer(): Optimizer {
    if (!this.#objective) {
      throw new StateError(`${this.where}: it is not compiled, so it has no optimizer`);
    }
    return this.#objective.optimizer;
  }

  /** @internal Which way is better for a value that `fit` reports. */
  directionOf(key: string): MetricDirection {
    return /^(val_)?(reconstructionError|freeEnergyGap)$/.test(key) ? "down" : null;
  }

  /**
   * Learns from samples, [samples, ...inputShape]. Reported are `reconstructionError`, the squared error
   * of each sample's reconstruction summed over the visible units; `freeEnergy` of the training data;
   * `loss`, by how much that is above the free energy of the negative samples; and with validation data
   * `freeEnergyGap`, by how much the validation data's free energy is above that of training data at the
   * same weights: it grows when the machine begins to overfit (Hinton 2010, section 6).
   *
   * @throws ArgumentError for states that the units can't have; NonFiniteError when learning diverges.
   */
  async fit(x: DataLike, options: RbmFitOptions = {}): Promise<History> {
    const place = `fit() of ${this.where}`;
    checkKeys(place, options, rbmFitKeys);
    this.#checkFree(place);
    const { validationData, validationSplit = 0, callbacks = [], ...rest } = options;
    checkNumber(place, "validationSplit", validationSplit, 0, 1);
    const all = await this.#machine.samples(place, x);
    const count = all.shape[0]!;
    const kept = samplesKept(place, count, validationSplit, validationData !== undefined);
    const data = kept === count ? all : sliceSamples(all, 0, kept);
    const validation =
      validationData !== undefined
        ? await this.#machine.samples(`${place}: validationData`, validationData)
        : kept < count
          ? sliceSamples(all, kept, count)
          : null;
    if (!this.#trainer) this.compile();
    const { seed = drawSeed() } = rest;
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    if (!this.#begun) this.#beginChains(data, seed);
    const listed = [callbacks].flat() as CallbackHooks[];
    if (!validation) {
      return this.#trainer!.fit(
        this,
        { x: tensorOf(data), y: [] },
        { ...rest, seed, callbacks: listed },
      );
    }
    return this.#trainer!.fit(
      this,
      { x: tensorOf(data), y: [] },
      {
        ...rest,
        seed,
        validationData: [tensorOf(validation), []],
        // Before other callbacks see the logs.
        callbacks: [freeEnergyGap(this, data, validation), ...listed],
      },
    );
  }

  /** Puts persistent chains at random samples, and the base of tempering at the data's means. */
  #beginChains(data: Samples, seed: number): void {
    this.#begun = true;
    const { chains } = this.#learningState(this.#plan!);
    if (!chains) return;
    const { rowSize, values } = data;
    const count = data.shape[0]!;
    const order = epochOrder(count, seed);
    const states = chains.visible.storageForUpdate();
    for (let row = 0; row * rowSize < states.length; row++) {
      const from = order[row % count]! * rowSize;
      states.set(values.subarray(from, from + rowSize), row * rowSize);
    }
    chains.baseBias.storageForUpdate().set(this.#baseOf(meansOf(data)).dataSync());
  }

  /**
   * Sets the visible biases to those of independent units with the data's means: a first value from
   * which learning need not find them by itself (Hinton 2010, section 8).
   */
  async initializeVisibleBias(x: DataLike): Promise<void> {
    const place = `initializeVisibleBias() of ${this.where}`;
    const data = await this.#machine.samples(place, x);
    this.visibleBias.assign(this.#baseOf(meansOf(data)));
  }

  #baseOf(means: Float64Array): Tensor {
    return biasOfMeans(this.#machine.layout, means);
  }

  /* ---- features -------------------------------------------------------------------------------- */

  /** Applies one of the machine's functions to data in batches, off the event loop. */
  async #apply(
    name: string,
    output: Shape,
    f: Parameters<Machine["network"]>[2],
    x: DataLike,
    options: PredictOptions,
  ): Promise<Tensor> {
    const place = `${name}() of ${this.where}`;
    checkKeys(place, options, ["batchSize", "signal"]);
    const data = await this.#machine.samples(place, x);
    let predictor = this.#predictors.get(name);
    if (!predictor) {
      predictor = new Predictor(this.#machine.network(name, output, f));
      this.#predictors.set(name, predictor);
    }
    return (await predictor.predict(tensorOf(data), options))[0]!;
  }

  /** What the hidden units make of samples: probabilities, means, or max(0, x): [samples, hidden]. */
  async transform(x: DataLike, options: PredictOptions = {}): Promise<Tensor> {
    const { layout } = this.#machine;
    const feature = unitKind(layout.hiddenUnits).feature;
    return this.#apply(
      "transform",
      [layout.hidden],
      (v) => [feature(hiddenInput(this.#machine.read(), v))],
      x,
      options,
    );
  }

  /** Means of the visible units given those of the hidden ones: shaped as `x`. */
  async reconstruct(x: DataLike, options: PredictOptions = {}): Promise<Tensor> {
    const { layout } = this.#machine;
    return this.#apply(
      "reconstruct",
      this.inputShape,
      (v) => {
        const w = this.#machine.read();
        const means = visibleMean(layout, visibleInput(w, hiddenMean(layout, hiddenInput(w, v))));
        return [reshape(means, [v.shape[0]!, ...this.inputShape])];
      },
      x,
      options,
    );
  }

  /** F(v) = −log Σₕ exp(−E(v, h)) of each sample: [samples]. */
  async freeEnergy(x: DataLike, options: PredictOptions = {}): Promise<Tensor> {
    return this.#apply(
      "freeEnergy",
      [],
      (v) => {
        const w = this.#machine.read();
        return [freeEnergyOf(this.#machine.layout, w, v, hiddenInput(w, v))];
      },
      x,
      options,
    );
  }

  /* ---- samples --------------------------------------------------------------------------------- */

  /** The visible states that `steps` Gibbs steps from `v` lead to: shaped as `v`. */
  async gibbs(v: DataLike, steps: number, options: GibbsOptions = {}): Promise<Tensor> {
    const place = `gibbs() of ${this.where}`;
    checkKeys(place, options, ["means", "seed", "signal"]);
    const data = await this.#machine.samples(place, v);
    return this.#walk(place, data, steps, options, null);
  }

  /**
   * Samples of what the machine believes: [chains, ...inputShape]. With `clamp` some visible units are
   * held, and the others are drawn given them.
   */
  async sample(options: SampleOptions = {}): Promise<Tensor> {
    const place = `sample() of ${this.where}`;
    checkKeys(place, options, ["chains", "steps", "clamp", "start", "means", "seed", "signal"]);
    const { chains = 1, steps = 1000, clamp, start, seed = drawSeed() } = options;
    checkInteger(place, "chains", chains, 1);
    const { layout } = this.#machine;
    const held =
      clamp === undefined ? null : heldUnits(place, layout, clamp, chains, this.inputShape);
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    const first =
      start === undefined
        ? this.#machine.drawn(chains, seed)
        : await this.#machine.samples(`${place}: start`, start);
    if (first.shape[0] !== chains) {
      throw new ArgumentError(expected(place, `a start of ${chains} chains`, `${first.shape[0]}`));
    }
    return this.#walk(place, first, steps, { ...options, seed }, held);
  }

  async #walk(
    place: string,
    start: Samples,
    steps: number,
    { means = false, seed = drawSeed(), signal }: GibbsOptions,
    held: ReturnType<typeof heldUnits> | null,
  ): Promise<Tensor> {
    checkInteger(place, "steps", steps, 0);
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    const { layout } = this.#machine;
    const rows = start.shape[0]!;
    const states = await runChains({
      name: place,
      layout,
      weights: () => this.#machine.read(),
      start: leaf(Float32Array.from(start.values), [rows, layout.visible], "float32"),
      steps,
      seed,
      held,
      means,
      signal,
    });
    return reshape(states, [rows, ...this.inputShape]);
  }

  /* ---- likelihood ------------------------------------------------------------------------------ */

  /**
   * log Z exactly, by going through all states of the smaller layer: up to 2²⁵ of them.
   * @throws ArgumentError for larger machines.
   */
  async logPartition(): Promise<number> {
    const place = `logPartition() of ${this.where}`;
    return exactLogPartition(place, this.#machine.layout, () => this.#machine.read());
  }

  /**
   * log Z by annealed importance sampling (Salakhutdinov & Murray 2008), from independent units with the
   * means of `baseRate` (by default those of the visible biases) to the machine.
   */
  async estimateLogPartition(options: PartitionOptions = {}): Promise<PartitionEstimate> {
    const place = `estimateLogPartition() of ${this.where}`;
    checkKeys(place, options, ["chains", "betas", "baseRate", "seed", "signal"]);
    const { baseRate } = options;
    const base =
      baseRate === undefined
        ? this.visibleBias.read()
        : this.#baseOf(this.#machine.rates(place, baseRate));
    return this.#annealed(place, options, base);
  }

  async #annealed(
    place: string,
    { chains = 100, betas = 1000, seed = drawSeed(), signal }: AnnealingOptions,
    base: Tensor,
  ): Promise<PartitionEstimate> {
    checkInteger(place, "chains", chains, 1);
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    const { layout } = this.#machine;
    if (layout.hiddenUnits === "relu") {
      throw new ArgumentError(
        `${place}: hidden relu units are drawn from an approximation, so that annealing would be biased`,
      );
    }
    const request = { chains, betas: annealingBetas(place, betas), seed, signal };
    return annealedLogPartition(place, layout, () => this.#machine.read(), base, request);
  }

  /**
   * Mean log-likelihood of samples, log p(v) = −F(v) − log Z, with log Z estimated or exact. The standard
   * error is that of log Z. Annealing begins at the samples' own means unless `baseRate` gives others.
   */
  async logLikelihood(x: DataLike, options: LikelihoodOptions = {}): Promise<Likelihood> {
    const place = `logLikelihood() of ${this.where}`;
    checkKeys(place, options, ["method", "chains", "betas", "baseRate", "seed", "signal"]);
    const { method = "ais", baseRate, ...annealing } = options;
    checkChoice(place, "method", method, ["ais", "exact"]);
    const data = await this.#machine.samples(place, x);
    const free = await meanFreeEnergy(this, tensorOf(data));
    if (method === "exact") {
      const exact = await this.logPartition();
      return {
        logLikelihood: -free - exact,
        logPartition: exact,
        standardError: 0,
        interval: [exact, exact],
      };
    }
    const means = baseRate === undefined ? meansOf(data) : this.#machine.rates(place, baseRate);
    const estimate = await this.#annealed(place, annealing, this.#baseOf(means));
    return { logLikelihood: -free - estimate.logPartition, ...estimate };
  }

  /**
   * log Πᵢ p(vᵢ | all others) of each sample, over all binary units or estimated from random ones, as
   * Marlin et al. (2010) and scikit-learn's `score_samples` do: [samples].
   * @throws ArgumentError for machines whose visible units are not all binary.
   */
  async pseudoLogLikelihood(x: DataLike, options: PseudoLikelihoodOptions = {}): Promise<Tensor> {
    const place = `pseudoLogLikelihood() of ${this.where}`;
    checkKeys(place, options, ["flips", "seed", "signal"]);
    const { flips = 1, seed = drawSeed(), signal } = options;
    if (flips !== "all") checkInteger(place, "flips", flips, 1, this.#machine.layout.visible);
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    const { layout } = this.#machine;
    if (layout.groups.some(({ type }) => type !== "bernoulli")) {
      const others = visibleUnitNames.filter((type) => layout.groups.some((g) => g.type === type));
      throw new ArgumentError(
        expected(place, "bernoulli visible units alone, which can be flipped", others.join(", ")),
      );
    }
    const data = await this.#machine.samples(place, x);
    const values = await pseudoLogLikelihoods(
      place,
      layout,
      () => this.#machine.read(),
      data,
      flips,
      seed,
      signal,
    );
    return leaf(values, [values.length], "float32");
  }

  /* ---- files ----------------------------------------------------------------------------------- */

  /**
   * Writes layout, weights, how it learns and the optimizer's state to one safetensors file; read it
   * with `lw.models.loadRbm`. Persistent chains are not kept: they begin anew at the data.
   */
  async save(path: string, options: SaveOptions = {}): Promise<void> {
    await writeMachineFile(this, path, options);
  }

  /** Writes the weights alone to a safetensors file. */
  async saveWeights(path: string): Promise<void> {
    await writeWeights(this, path);
  }

  /**
   * Takes the weights from a file of `saveWeights` or `save`.
   * @throws FormatError when a weight is missing, superfluous or of another shape.
   */
  async loadWeights(path: string): Promise<void> {
    await readWeights(this, path);
  }

  toString(): string {
    const { visible, hidden } = this.#machine.layout;
    return `${this.where}, ${visible} visible and ${hidden} hidden units, ${this.countParams()} parameters`;
  }
}

function tensorOf({ values, shape, dtype }: Samples): Tensor {
  return leaf(values, shape, dtype);
}

/** Mean of each visible unit over samples. */
function meansOf({ values, shape, rowSize }: Samples): Float64Array {
  const means = new Float64Array(rowSize);
  for (let at = 0; at < values.length; ) {
    for (let i = 0; i < rowSize; i++) means[i]! += values[at++]!;
  }
  return means.map((sum) => sum / shape[0]!);
}

/**
 * A restricted Boltzmann machine (Smolensky 1986; Hinton 2002): visible and hidden units, each unit of
 * one layer joined to each of the other.
 *
 * @example
 * const machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden: 500, seed: 1 });
 * machine.compile({ method: "pcd", optimizer: lw.optimizers.sgd({ learningRate: 0.01 }) });
 * await machine.fit(images, { epochs: 10, batchSize: 100 });
 * const drawn = await machine.sample({ chains: 16, steps: 1000, means: true });
 */
export function rbm(options: MachineOptions): RBM {
  return new RBM(options);
}

/**
 * Reads a machine from a file of {@link RBM.save}.
 * @throws FormatError when the file is damaged or holds something else.
 */
export async function loadRbm(path: string): Promise<RBM> {
  return readMachineFile(path, (options) => new RBM(options));
}
