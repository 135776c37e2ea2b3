/**
 * The deep belief network as users hold it: restricted Boltzmann machines on top of each other, learnt
 * one by one without labels (Hinton, Osindero & Teh 2006), fine-tuned as a generative model, or unrolled
 * into networks that `fit` goes on with. What a step of fine-tuning computes is in `wakesleep.ts`, the
 * unrolling in `unrolling.ts`.
 */
import { trace } from "../backend/run.js";
import {
  ArgumentError,
  checkInteger,
  checkKeys,
  expected,
  ShapeError,
  StateError,
  show,
} from "../errors.js";
import type { MetricDirection } from "../nn/metrics/metric.js";
import { add, cast } from "../ops/elementwise.js";
import { oneHot } from "../ops/gather.js";
import { concat, expandDims, reshape, slice } from "../ops/movement.js";
import { asTensor } from "../ops/op.js";
import { softmax } from "../ops/softmax.js";
import { sgd } from "../optimizers/factories.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import { drawSeed, mixSeed, randomSource } from "../tensor/random.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, Tensor, type TensorLike, tensor } from "../tensor/tensor.js";
import { readTogether, Variable } from "../tensor/variable.js";
import type { CallbackModel, History } from "../training/callback.js";
import { type DataLike, settle } from "../training/data.js";
import { Objective } from "../training/objective.js";
import { type PredictOptions, Predictor } from "../training/predictor.js";
import { checkVerbosity, Progress } from "../training/progress.js";
import type { TrainableNetwork } from "../training/step.js";
import { Trainer } from "../training/trainer.js";
import { readNetworkFile, writeNetworkFile } from "./belieffile.js";
import {
  apart,
  type BeliefOptions,
  type FineTuneOptions,
  fitKeys,
  type GenerateOptions,
  type PretrainOptions,
  planLayer,
} from "./beliefoptions.js";
import type { RBM } from "./boltzmann.js";
import { type ContrastPlan, contrastKeys, contrastState, planContrast } from "./contrast.js";
import { hiddenInput, visibleInput } from "./energy.js";
import { readWeights } from "./loading.js";
import { writeWeights } from "./saving.js";
import type { Sequential } from "./sequential.js";
import { stackOf } from "./stack.js";
import { perGroup, unitKind } from "./units.js";
import {
  type Autoencoder,
  type SequentialFromBelief,
  unrolledAutoencoder,
  unrolledSequential,
} from "./unrolling.js";
import { type DirectedLayer, wakeSleep, wakeSleepReports } from "./wakesleep.js";

const tensorOf = (x: DataLike): Tensor => (x instanceof Tensor ? x : tensor(x as TensorLike));

/** A stack of restricted Boltzmann machines. Make one with `lw.models.deepBeliefNetwork`. */
export class DeepBeliefNetwork implements CallbackModel {
  static readonly className = "DeepBeliefNetwork";
  readonly name: string;
  /** The machines from the bottom up. */
  readonly machines: readonly RBM[];
  /** Classes of labels at the top; 0 without. */
  readonly classes: number;
  stopTraining = false;
  /** Generative kernels of the machines below the top, once fine-tuning untied them. */
  #generative: readonly Variable[] | null = null;
  #optimizer: Optimizer | null = null;
  /** What changes the weights now. */
  #busy: string | null = null;
  readonly #predictors = new Map<string, Predictor>();

  /** @internal Use `lw.models.deepBeliefNetwork`. */
  constructor(options: BeliefOptions) {
    const place = "deepBeliefNetwork()";
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(expected(place, "an object with options", show(options)));
    }
    checkKeys(place, options, ["layers", "classes", "seed", "name"]);
    const { layers, classes = 0, seed = drawSeed(), name = "deep_belief_network" } = options;
    if (!Array.isArray(layers) || layers.length === 0) {
      throw new ArgumentError(
        expected(place, "`layers` to be a list of machines or their options", show(layers)),
      );
    }
    checkInteger(place, "classes", classes, 0);
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    if (typeof name !== "string") {
      throw new ArgumentError(expected(place, "`name` to be a text", show(name)));
    }
    this.name = name;
    this.classes = classes;
    this.machines = stackOf(place, layers, classes, seed);
  }

  #labelsAt(i: number): number {
    return i === this.machines.length - 1 ? this.classes : 0;
  }

  /** @internal For messages. */
  get where(): string {
    return `deep belief network ${this.name}`;
  }

  get #top(): RBM {
    return this.machines[this.machines.length - 1]!;
  }

  /** Shape of a sample. */
  get inputShape(): Shape {
    if (this.machines.length > 1 || this.classes === 0) return this.machines[0]!.inputShape;
    return [this.machines[0]!.machine.layout.visible - this.classes];
  }

  /** Weights of all machines, then the generative kernels if fine-tuning untied them. */
  get weights(): Variable[] {
    return [...this.machines.flatMap((machine) => machine.weights), ...(this.#generative ?? [])];
  }

  getWeights(): Tensor[] {
    return readTogether(this.weights);
  }

  /** @internal Weights by the names they have in files. */
  namedWeights(): [name: string, weight: Variable][] {
    return this.weights.map((weight) => [weight.name, weight]);
  }

  countParams(): number {
    return this.weights.reduce((sum, { size }) => sum + size, 0);
  }

  /** The optimizer of fine-tuning. */
  get optimizer(): Optimizer {
    if (!this.#optimizer) {
      throw new StateError(`${this.where}: only fineTune() gives it an optimizer of its own`);
    }
    return this.#optimizer;
  }

  /** @internal Which way is better for a value that `fineTune` reports. */
  directionOf(key: string): MetricDirection {
    return /reconstructionError$/i.test(key) ? "down" : null;
  }

  getConfig() {
    return {
      name: this.name,
      classes: this.classes,
      layers: this.machines.map((machine) => machine.getConfig()),
    };
  }

  /* ---- learning -------------------------------------------------------------------------------- */

  /**
   * Learns the machines one after the other, each from the features that those below give of the
   * samples. Labels are used by the top machine alone, and only in a network with `classes`. A line before
   * each machine's epochs says which it is, unless `verbose` is 0. Labels and all layers' options are checked
   * before the first machine learns.
   *
   * @returns the history of each layer
   * @throws StateError while `pretrain` or `fineTune` runs.
   */
  async pretrain(x: DataLike, options: PretrainOptions = {}): Promise<History[]> {
    return this.#alone("pretrain()", (place) => this.#pretrain(place, x, options));
  }

  /** Lets the machines learn in one way at a time. */
  async #alone<T>(what: string, body: (place: string) => Promise<T>): Promise<T> {
    const place = `${what} of ${this.where}`;
    if (this.#busy !== null) {
      throw new StateError(
        `${place}: ${this.#busy} of this network is still running; call it when that has ended`,
      );
    }
    this.#busy = what;
    try {
      return await body(place);
    } finally {
      this.#busy = null;
    }
  }

  async #pretrain(place: string, x: DataLike, options: PretrainOptions): Promise<History[]> {
    const contrastOptions = contrastKeys.filter((key) => key !== "optimizer");
    const keys = [...fitKeys.filter((key) => key !== "callbacks"), "validationSplit"];
    checkKeys(place, options, ["labels", "layers", ...keys, ...contrastOptions]);
    const { labels, layers = [], ...common } = options;
    if (!Array.isArray(layers) || layers.length > this.machines.length) {
      const wanted = `options of at most ${this.machines.length} \`layers\``;
      throw new ArgumentError(expected(place, wanted, show(layers)));
    }
    if (labels !== undefined && this.classes === 0) this.#refuseLabels(place);
    const { seed = drawSeed() } = common;
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    // The last machine is not learnt for hours before something turns out to be wrong with its options.
    const count = await this.#countOf(place, x);
    const hot = this.classes > 0 ? await this.#oneHot(place, labels, count) : null;
    const plans = this.machines.map((_, i) =>
      planLayer(
        `${place}: layer ${i}`,
        { ...common, seed: mixSeed(seed, i) },
        layers[i] ?? {},
        count,
      ),
    );
    const histories: History[] = [];
    let data: DataLike = x;
    for (const [i, machine] of this.machines.entries()) {
      const { contrast, fit } = plans[i]!;
      if (hot && this.#labelsAt(i) > 0) data = await this.#labelled(data, hot);
      machine.compile(contrast);
      const [visible, hidden] = machine.kernel.shape;
      new Progress(checkVerbosity(place, fit.verbose ?? "auto")).heading(
        `Layer ${i + 1} of ${this.machines.length}: ${visible} visible, ${hidden} hidden units`,
      );
      histories.push(await machine.fit(data, fit));
      if (i + 1 < this.machines.length) data = await machine.transform(data);
    }
    return histories;
  }

  /** Number of samples, without the labels that the only machine of a network may have units for. */
  async #countOf(place: string, x: DataLike): Promise<number> {
    if (this.machines.length > 1 || this.classes === 0) {
      return (await this.machines[0]!.machine.samples(place, x)).shape[0]!;
    }
    const features = tensorOf(x);
    const units = this.#top.machine.layout.visible - this.classes;
    // Flat arrays are cut into samples.
    const size = features.rank > 1 ? sizeOf(features.shape.slice(1)) : units;
    if (size !== units || features.size % units !== 0) {
      const wanted = `samples of ${units} values`;
      throw new ShapeError(expected(place, wanted, `shape ${showShape(features.shape)}`));
    }
    return features.size / units;
  }

  #refuseLabels(place: string): never {
    throw new ArgumentError(
      `${place}: the top machine has no units for labels; make the network with \`classes\``,
    );
  }

  /** Samples of the top machine: features with one-hot labels beside them. */
  async #labelled(x: DataLike, hot: Tensor): Promise<Tensor> {
    const units = this.#top.machine.layout.visible - this.classes;
    const features = reshape(tensorOf(x), [hot.shape[0]!, units]);
    const joined = concat([cast(features, "float32"), hot], 1);
    await joined.data();
    return joined;
  }

  async #oneHot(place: string, labels: TensorLike | undefined, rows: number): Promise<Tensor> {
    if (labels === undefined) {
      throw new ArgumentError(
        `${place}: the top machine has units for ${this.classes} classes, so that \`labels\` are needed`,
      );
    }
    const given = labels instanceof Tensor ? labels.current() : tensor(labels);
    await settle(given);
    if (given.size !== rows) {
      throw new ShapeError(expected(place, `${rows} \`labels\``, showShape(given.shape)));
    }
    const values = given.dataSync();
    values.forEach((label, i) => {
      if (!Number.isInteger(label) || label < 0 || label >= this.classes) {
        const wanted = `\`labels\` to be integers from 0 to ${this.classes - 1}`;
        throw new ArgumentError(expected(place, wanted, `${label} for sample ${i}`));
      }
    });
    const classes = leaf(Int32Array.from(values), [rows], "int32");
    return cast(oneHot(classes, this.classes), "float32");
  }

  /**
   * Fine-tunes all layers together as a generative model by the up-down algorithm. From the first call
   * on, generative weights are apart from those of recognition.
   *
   * @throws StateError while `pretrain` or `fineTune` runs.
   */
  async fineTune(x: DataLike, options: FineTuneOptions = {}): Promise<History> {
    return this.#alone("fineTune()", (place) => this.#fineTune(place, x, options));
  }

  async #fineTune(place: string, x: DataLike, options: FineTuneOptions): Promise<History> {
    checkKeys(place, options, ["labels", ...contrastKeys, ...fitKeys]);
    const { labels, ...rest } = options;
    const { contrast, fit } = apart(rest);
    const plan = planContrast(place, contrast);
    if (plan.method !== "cd" || plan.sparsity) {
      const wanted = 'the top machine to learn by method "cd" without a sparsity target';
      throw new ArgumentError(expected(place, wanted, plan.sparsity ? "one" : show(plan.method)));
    }
    if (labels !== undefined && this.classes === 0) this.#refuseLabels(place);
    const samples = await this.machines[0]!.machine.samples(place, x, this.inputShape);
    const count = samples.shape[0]!;
    const inputs = [leaf(samples.values, samples.shape, samples.dtype)];
    if (this.classes > 0) {
      const hot = await this.#oneHot(place, labels, count);
      await hot.data();
      inputs.push(hot);
    }
    const { optimizer = sgd({ learningRate: 0.01, momentum: 0.5 }) } = rest;
    const objective = new Objective(place, [], { optimizer });
    const trainer = new Trainer(this.#wakeSleepNetwork(plan));
    trainer.compile(objective);
    this.#optimizer = objective.optimizer;
    const learn = (): Promise<History> => trainer.fit(this, { x: inputs, y: [] }, fit);
    return this.machines.reduceRight<() => Promise<History>>(
      (inner, machine) => () => machine.held(place, inner),
      learn,
    )();
  }

  #untied(): readonly DirectedLayer[] {
    const below = this.machines.slice(0, -1);
    this.#generative ??= below.map(
      ({ name, kernel }) => new Variable(kernel.read(), `${name}/generativeKernel`, true),
    );
    return below.map(({ machine }, i) => ({ machine, generativeKernel: this.#generative![i]! }));
  }

  #wakeSleepNetwork(plan: ContrastPlan): TrainableNetwork {
    const layers = this.#untied();
    const top = this.#top.machine;
    const state = contrastState(this.name, top.layout, plan);
    const labels = { name: "labels", shape: [null, this.classes], dtype: "float32" } as const;
    return {
      name: this.name,
      inputSlots: [
        { name: "visible", shape: [null, ...this.inputShape], dtype: "float32" },
        ...(this.classes > 0 ? [labels] : []),
      ],
      outputSlots: [],
      run([x, hot], context) {
        const v = reshape(x!, [x!.shape[0]!, x!.size / x!.shape[0]!]);
        wakeSleep(layers, top, plan, state, v, hot ?? null, context);
        return [];
      },
      weights: this.weights,
      weightInfo: () => ({ regularizer: null, constraint: null }),
      reports: wakeSleepReports(plan, layers.length),
    };
  }

  /* ---- features and classes -------------------------------------------------------------------- */

  /** Applies a function of visible states to data in batches. */
  async #apply(
    name: string,
    output: Shape,
    f: (v: Tensor) => Tensor,
    x: DataLike,
    options: PredictOptions,
  ): Promise<Tensor> {
    const place = `${name}() of ${this.where}`;
    checkKeys(place, options, ["batchSize", "signal"]);
    const bottom = this.machines[0]!.machine;
    const { values, shape, dtype } = await bottom.samples(place, x, this.inputShape);
    let predictor = this.#predictors.get(name);
    if (!predictor) {
      predictor = new Predictor({
        name: `${this.name} (${name})`,
        inputSlots: [{ name: "visible", shape: [null, ...this.inputShape], dtype: "float32" }],
        outputSlots: [{ name, shape: [null, ...output], dtype: "float32" }],
        run: ([v]) => [f(reshape(v!, [v!.shape[0]!, v!.size / v!.shape[0]!]))],
        weights: this.weights,
        weightInfo: () => ({ regularizer: null, constraint: null }),
      });
      this.#predictors.set(name, predictor);
    }
    return (await predictor.predict(leaf(values, shape, dtype), options))[0]!;
  }

  /** Features of the units above layer `count − 1`, going up by recognition weights. */
  #up(v: Tensor, count: number): Tensor {
    let features = v;
    for (const { machine } of this.machines.slice(0, count)) {
      const { feature } = unitKind(machine.layout.hiddenUnits);
      features = feature(hiddenInput(machine.read(), features));
    }
    return features;
  }

  /**
   * Features that the hidden units of a layer (by default the topmost) give of samples: [samples, hidden].
   * In a network with `classes` the top machine needs labels too, so its features can't be had this way.
   */
  async transform(x: DataLike, given: PredictOptions & { layer?: number } = {}): Promise<Tensor> {
    const place = `transform() of ${this.where}`;
    checkKeys(place, given, ["layer", "batchSize", "signal"]);
    const { layer, ...options } = given;
    const last = this.machines.length - 1 - (this.classes > 0 ? 1 : 0);
    const index = layer ?? last;
    if (last < 0) throw new ArgumentError(`${place}: its only machine has units for labels`);
    checkInteger(place, "layer", index, 0, last);
    const { hidden } = this.machines[index]!.machine.layout;
    return this.#apply(`transform ${index}`, [hidden], (v) => this.#up(v, index + 1), x, options);
  }

  /** Probability of each class, from the free energies of the top machine: [samples, classes]. */
  async predict(x: DataLike, options: PredictOptions = {}): Promise<Tensor> {
    if (this.classes === 0) this.#refuseLabels(`predict() of ${this.where}`);
    const { machine } = this.#top;
    const { hidden, hiddenUnits, visible } = machine.layout;
    const units = visible - this.classes;
    const classify = (v: Tensor): Tensor => {
      const { kernel, hiddenBias, visibleBias } = machine.read();
      const features = this.#up(v, this.machines.length - 1);
      const ownRows = slice(kernel, [0, 0], [units, hidden]);
      const labelRows = slice(kernel, [units, 0], [this.classes, hidden]);
      const x = hiddenInput({ kernel: ownRows, visibleBias, hiddenBias }, features);
      // −F for each class, up to what all classes share.
      const rows = v.shape[0]!;
      const inputs = add(expandDims(x, 1), expandDims(labelRows, 0));
      const flat = reshape(inputs, [rows * this.classes, hidden]);
      const logs = reshape(unitKind(hiddenUnits).logNormalizer(flat), [rows, this.classes]);
      return softmax(add(logs, slice(visibleBias, [units], [this.classes])));
    };
    return this.#apply("predict", [this.classes], classify, x, options);
  }

  /* ---- samples --------------------------------------------------------------------------------- */

  /**
   * Samples of what the network believes: Gibbs steps of the top machine, with labels held if wanted,
   * then down by generative weights: [chains, ...inputShape].
   */
  async generate(options: GenerateOptions = {}): Promise<Tensor> {
    const place = `generate() of ${this.where}`;
    checkKeys(place, options, ["chains", "steps", "labels", "means", "seed", "signal"]);
    const { labels, steps = 1000, means = false, seed = drawSeed(), signal } = options;
    const listed =
      labels === undefined || typeof labels === "number" ? null : asTensor(place, labels);
    const chains = options.chains ?? listed?.size ?? 1;
    checkInteger(place, "chains", chains, 1);
    const top = this.#top;
    const { visible } = top.machine.layout;
    const units = visible - this.classes;
    let clamp: { mask: Tensor; values: Tensor } | undefined;
    if (labels !== undefined) {
      if (this.classes === 0) this.#refuseLabels(place);
      const each = listed ?? new Array<number>(chains).fill(labels as number);
      const hot = await this.#oneHot(place, each, chains);
      const held = Float32Array.from({ length: visible }, (_, i) => (i < units ? 0 : 1));
      clamp = {
        mask: leaf(held, [visible], "float32"),
        values: concat(
          [leaf(new Float32Array(chains * units), [chains, units], "float32"), hot],
          1,
        ),
      };
    }
    const single = this.machines.length === 1;
    const states = await top.sample({
      chains,
      steps,
      seed,
      means: means && single,
      ...(clamp ? { clamp } : {}),
      ...(signal ? { signal } : {}),
    });
    const below = slice(reshape(states, [chains, visible]), [0, 0], [chains, units]);
    if (single) return reshape(below, [chains, ...this.inputShape]);
    const down = trace({
      name: place,
      inputs: [{ name: "states", shape: [chains, units], dtype: "float32" }],
      body: ([state]) => [this.#down(state!, means, mixSeed(seed, 2))],
    });
    const [values] = await down.run([await below.data()]);
    return leaf(values!, [chains, ...this.inputShape], "float32");
  }

  /** Down from the visible states of the top machine. */
  #down(state: Tensor, means: boolean, seed: number): Tensor {
    const source = randomSource(seed);
    let below = state;
    for (let i = this.machines.length - 2; i >= 0; i--) {
      const { machine } = this.machines[i]!;
      const kernel = (this.#generative?.[i] ?? machine.kernel).read();
      const input = visibleInput({ ...machine.read(), kernel }, below);
      below = perGroup(machine.layout.groups, input, (kind, part) =>
        means && i === 0 ? kind.mean(part) : kind.sample(part, source),
      );
    }
    return below;
  }

  /* ---- networks -------------------------------------------------------------------------------- */

  /**
   * A feed-forward network whose hidden layers begin with the recognition weights, with layers of your own
   * on top, to be compiled and fine-tuned with labels as any model. The weights are copies.
   *
   * @example
   * const classifier = network.toSequential({ head: 10, dropout: 0.5 });
   */
  toSequential(options: SequentialFromBelief = {}): Sequential {
    return unrolledSequential(`toSequential() of ${this.where}`, this, options);
  }

  /**
   * A deep autoencoder (Hinton & Salakhutdinov 2006): the recognition weights as its encoder, the
   * generative ones (transposed, where they were not untied) as its decoder. The weights are copies.
   */
  toAutoencoder(options: { name?: string } = {}): Autoencoder {
    return unrolledAutoencoder(`toAutoencoder() of ${this.where}`, this, this.#generative, options);
  }

  /* ---- files ----------------------------------------------------------------------------------- */

  /** Writes layout and weights to one safetensors file; read it with `lw.models.loadDeepBeliefNetwork`. */
  async save(path: string): Promise<void> {
    await writeNetworkFile(this, path);
  }

  /** Writes the weights alone to a safetensors file. */
  async saveWeights(path: string): Promise<void> {
    await writeWeights(this, path);
  }

  /** Takes the weights from a file of `saveWeights` or `save`. */
  async loadWeights(path: string): Promise<void> {
    await readWeights(this, path);
  }

  /** @internal Makes the generative kernels, for a file that has them. */
  untie(): void {
    this.#untied();
  }

  /** @internal Whether the generative kernels are apart from those of recognition. */
  get isUntied(): boolean {
    return this.#generative !== null;
  }

  toString(): string {
    const { visible } = this.machines[0]!.machine.layout;
    const sizes = this.machines.map(({ machine }) => machine.layout.hidden);
    return `${this.where}, ${[visible, ...sizes].join("-")} units, ${this.countParams()} parameters`;
  }
}

/**
 * A deep belief network: restricted Boltzmann machines that are learnt from the bottom up.
 *
 * @example
 * const network = lw.models.deepBeliefNetwork({
 *   layers: [{ inputShape: [28, 28, 1], hidden: 500 }, { hidden: 500 }, { hidden: 2000 }],
 *   seed: 1,
 * });
 * await network.pretrain(images, { epochs: 10, batchSize: 100 });
 * const classifier = network.toSequential({ head: 10 });
 */
export function deepBeliefNetwork(options: BeliefOptions): DeepBeliefNetwork {
  return new DeepBeliefNetwork(options);
}

/**
 * Reads a network from a file of {@link DeepBeliefNetwork.save}.
 * @throws FormatError when the file is damaged or holds something else.
 */
export async function loadDeepBeliefNetwork(path: string): Promise<DeepBeliefNetwork> {
  return readNetworkFile(path, (options) => new DeepBeliefNetwork(options));
}
