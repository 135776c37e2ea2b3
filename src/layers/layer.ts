/**
 * Layer: a function of tensors with weights and options. A subclass declares its options (config.ts),
 * makes weights in `build` and computes in `call`; shapes, dtypes and the number of operations follow
 * from a dry run of `call` on placeholders. Knows nothing of models, losses or training.
 */
import { ArgumentError, checkBoolean, expected, StateError } from "../errors.js";
import { mul } from "../ops/elementwise.js";
import { withMask } from "../ops/identity.js";
import { asTensor } from "../ops/op.js";
import { freshSource } from "../ops/random.js";
import type { DType } from "../tensor/dtype.js";
import { inspect } from "../tensor/inspect.js";
import type { RandomSource } from "../tensor/random.js";
import { checkShape, type Shape } from "../tensor/shape.js";
import { Tensor, type TensorLike } from "../tensor/tensor.js";
import { readTogether, type Variable } from "../tensor/variable.js";
import {
  type ConfigOf,
  checkOptionKeys,
  type Declaration,
  type JsonObject,
  layerOptions,
  type OptionsOf,
  parseOptions,
  serializeOptions,
} from "./config.js";
import { countOperations, dryRun, type Operations } from "./dryrun.js";
import {
  checkInputs,
  checkShapes,
  freeBatch,
  type InputSpec,
  isShapeList,
  shapesOf,
  specOf,
} from "./inputspec.js";
import { allOf, type Masks, maskOutputs } from "./masks.js";
import { describe, named, uniqueName } from "./naming.js";
import { type BatchShape, type BatchSpec, type Connection, SymbolicTensor } from "./symbolic.js";
import {
  assignAll,
  makeWeight,
  type OwnWeight,
  type WeightInfo,
  type WeightOptions,
} from "./weights.js";

export type { InputSpec } from "./inputspec.js";
export { isShapeList, shapesOf } from "./inputspec.js";
export type { WeightInfo, WeightOptions } from "./weights.js";

/** What a layer is told about the run it takes part in. */
export interface CallContext {
  readonly training: boolean;
  /** Randomness of this run (dropout, noise); its step advances with each training step. */
  readonly random: RandomSource;
  /**
   * Which samples count, bool [batch]; all where it is left out. Where the steps of sequences are samples
   * (`timeDistributed`), those of the padding don't; it reaches layers behind ones that drop masks, too.
   */
  readonly samples?: Tensor | undefined;
  /** Adds a scalar to the loss. */
  addLoss(loss: Tensor): void;
}

/** A run like another one, but for some of it. Cells drop the same at all steps that share a context. */
export function contextLike(context: CallContext, changes: Partial<CallContext> = {}): CallContext {
  return {
    training: context.training,
    random: context.random,
    samples: context.samples,
    addLoss: (loss) => context.addLoss(loss),
    ...changes,
  };
}

/** Options that every layer takes. */
export type LayerOptions = OptionsOf<typeof layerOptions>;

/** What a symbolic or concrete application takes. */
export type LayerInput = SymbolicTensor | TensorLike;

/** What symbolic application gives for what `call` gives. */
export type Applied<T> = [T] extends [Tensor]
  ? SymbolicTensor
  : [T] extends [Tensor[]]
    ? SymbolicTensor[]
    : SymbolicTensor | SymbolicTensor[];

type NoOptions = Record<never, never>;

/** The base of all layers. */
export abstract class Layer<D extends Declaration = NoOptions> {
  /** The name under which configurations refer to this class; unique among registered layers. */
  static readonly className: string = "Layer";

  readonly name: string;
  /** The checked options. */
  readonly config: ConfigOf<D>;
  /** The options that every layer has, checked. */
  readonly base: Omit<ConfigOf<typeof layerOptions>, "name">;
  /** @internal Applications to symbolic tensors, in order. */
  readonly connections: Connection[] = [];
  /** What `call` can take; set in the constructor or in `build`. */
  protected inputSpec: InputSpec = {};
  /**
   * Whether the layer knows what to do with a mask on its input: by default the mask goes on to the
   * output. A layer that doesn't drops it, with a warning.
   */
  readonly supportsMasking: boolean = false;

  readonly #declaration: D;
  readonly #own: OwnWeight[] = [];
  #sublayers: readonly Layer[] = [];
  #trainable: boolean;
  #built = false;

  /**
   * @param options what the user passed
   * @param declaration the subclass' options; without it the subclass checks its own
   */
  constructor(options: LayerOptions & OptionsOf<D>, declaration?: D) {
    const given: object = options ?? {};
    // A function has a name of its own.
    const name = typeof given === "object" ? (given as { name?: unknown }).name : null;
    const where = describe(this.className, typeof name === "string" ? name : null);
    const own = declaration ?? ({} as D);
    if (declaration) {
      checkOptionKeys(where, given, [...Object.keys(own), ...Object.keys(layerOptions)]);
    }
    const { name: checked, ...base } = parseOptions(where, layerOptions, pick(given, layerOptions));
    if (base.inputShape && base.batchInputShape) {
      throw new ArgumentError(
        `${where}: got both \`inputShape\` and \`batchInputShape\`; give one`,
      );
    }
    const batchInputShape =
      base.batchInputShape ?? (base.inputShape ? [null, ...base.inputShape] : null);
    this.base = { ...base, inputShape: null, batchInputShape };
    this.config = parseOptions(where, own, pick(given, own));
    this.#declaration = own;
    this.#trainable = base.trainable;
    this.name = checked ?? uniqueName(this.className);
  }

  /** The class' registered name. */
  get className(): string {
    return classNameOf(this.constructor as LayerClass);
  }

  /** `dense layer "dense_1"`: how errors name this layer. */
  get where(): string {
    return describe(this.className, this.name);
  }

  /** True once the weights exist. */
  get built(): boolean {
    return this.#built;
  }

  /** dtype of the weights and of what the layer computes. */
  get dtype(): DType {
    return "float32";
  }

  /** Shape of the first layer's input with the batch, if it was given. */
  get batchInputShape(): BatchShape | null {
    return this.base.batchInputShape;
  }

  /** dtype of the first layer's input. */
  get inputDType(): DType {
    return this.base.inputDType;
  }

  /** Whether optimizers change this layer's weights, and those of the layers in it. */
  get trainable(): boolean {
    return this.#trainable;
  }

  set trainable(value: boolean) {
    checkBoolean(this.where, "trainable", value);
    this.#trainable = value;
    for (const weight of this.#own) weight.variable.trainable = value && weight.trainable;
    for (const layer of this.sublayers) layer.trainable = value;
  }

  /** Layers that this one is made of. */
  get sublayers(): readonly Layer[] {
    return this.#sublayers;
  }

  /** All weights: own trainable ones, own others, then those of the layers inside, in order. */
  get weights(): Variable[] {
    const own = [
      ...this.#own.filter((w) => w.trainable),
      ...this.#own.filter((w) => !w.trainable),
    ].map((w) => w.variable);
    return [...new Set([...own, ...this.sublayers.flatMap((layer) => layer.weights)])];
  }

  /** The weights that optimizers change. */
  get trainableWeights(): Variable[] {
    if (!this.#trainable) return [];
    const own = this.#own.filter((w) => w.trainable).map((w) => w.variable);
    return [...new Set([...own, ...this.sublayers.flatMap((layer) => layer.trainableWeights)])];
  }

  /** The other weights: frozen ones, and state such as moving averages. */
  get nonTrainableWeights(): Variable[] {
    const trainable = new Set(this.trainableWeights);
    return this.weights.filter((w) => !trainable.has(w));
  }

  /** The weights with names that are unique within this layer: "kernel", and "inner/kernel" below. */
  namedWeights(): [name: string, weight: Variable][] {
    const seen = new Set<Variable>();
    const named: [string, Variable][] = [];
    const enter = (name: string, weight: Variable) => {
      if (seen.has(weight)) return;
      seen.add(weight);
      named.push([name, weight]);
    };
    for (const trainable of [true, false]) {
      for (const w of this.#own) if (w.trainable === trainable) enter(w.local, w.variable);
    }
    for (const layer of this.sublayers) {
      for (const [name, weight] of layer.namedWeights()) enter(`${layer.name}/${name}`, weight);
    }
    return named;
  }

  /** Regularizer and constraint of one of this layer's weights. */
  weightInfo(weight: Variable): WeightInfo {
    const own = this.#own.find((w) => w.variable === weight);
    if (own) return own;
    for (const layer of this.sublayers) {
      if (layer.weights.includes(weight)) return layer.weightInfo(weight);
    }
    throw new ArgumentError(`${this.where}: variable ${weight.name} is not one of its weights`);
  }

  /** The present values of all weights; during `fit` it waits for the step in progress to end. */
  getWeights(): Tensor[] {
    return readTogether(this.weights);
  }

  /**
   * Replaces the values of all weights, in the order of {@link Layer.weights}.
   * @throws ArgumentError for a wrong number of values, ShapeError for a wrong shape, StateError while
   * `fit` is changing them (in its callbacks it is not).
   */
  setWeights(values: readonly TensorLike[]): void {
    const hint = this.built ? undefined : "the layer is not built yet";
    assignAll(this.where, this.weights, values, hint);
  }

  /** Number of values in all weights. */
  countParams(): number {
    if (!this.built) {
      throw new StateError(
        `${this.where}: it has no weights yet; apply it to an input or build it first`,
      );
    }
    return this.weights.reduce((total, w) => total + w.size, 0);
  }

  /**
   * Makes the weights for inputs of this shape. For subclasses to override; called once, by
   * {@link Layer.ensureBuilt}.
   */
  build(_inputShape: BatchShape | BatchShape[]): void {}

  /** Computes the outputs. For subclasses to implement in ops; call layers through `apply`. */
  abstract call(inputs: Tensor | Tensor[], context: CallContext): Tensor | Tensor[];

  /**
   * The masks of the outputs from those of the inputs, for layers that support them and whose `call` did
   * not give its outputs masks: the input's, or where all of the inputs' are true, unless overridden.
   */
  computeMask(_inputs: Tensor | Tensor[], mask: Masks): Masks {
    return allOf(mask);
  }

  /** Whether this layer, or one that it is made of, keeps states from batch to batch. */
  get isStateful(): boolean {
    return this.#sublayers.some((layer) => layer.isStateful);
  }

  /** Makes the stateful layers that this one is made of begin anew. */
  resetStates(): void {
    for (const layer of this.#sublayers) if (layer.isStateful) layer.resetStates();
  }

  /** Checks the input shapes and makes the weights, if that was not done yet. */
  ensureBuilt(inputShape: BatchShape | BatchShape[]): void {
    if (this.built) return;
    named(this, () => {
      this.checkShapes(shapesOf(inputShape));
      this.build(inputShape);
    });
    this.#built = true;
  }

  /** Shape of the output for inputs of the given shape; free dimensions are null. */
  computeOutputShape(inputShape: BatchShape | BatchShape[]): BatchShape | BatchShape[] {
    this.ensureBuilt(inputShape);
    const listed = isShapeList(inputShape);
    const specs = shapesOf(inputShape).map((shape, i) => ({ shape, dtype: this.#likelyDType(i) }));
    const { outputs, listed: many } = named(this, () => this.inferOutputs(specs, listed));
    const shapes = outputs.map((o) => o.shape);
    return many ? shapes : shapes[0]!;
  }

  /**
   * Shapes and dtypes of the outputs by a dry run. Override it (it is what symbolic application uses)
   * where `call` can't be tried with arbitrary sizes in the free dimensions.
   */
  inferOutputs(
    inputs: readonly BatchSpec[],
    listed: boolean,
  ): { outputs: readonly BatchSpec[]; listed: boolean } {
    return dryRun(inputs, (tensors, context) => this.call(listed ? tensors : tensors[0]!, context));
  }

  /** What one sample costs: floating-point operations of all kinds, and multiply-adds of products. */
  operationsPerSample(
    inputShape: BatchShape | BatchShape[],
    dtypes?: readonly DType[],
  ): Operations {
    this.ensureBuilt(inputShape);
    const listed = isShapeList(inputShape);
    const specs = shapesOf(inputShape).map((shape, i) => ({
      shape,
      dtype: dtypes?.[i] ?? this.#likelyDType(i),
    }));
    return countOperations(specs, (tensors, context) =>
      this.call(listed ? tensors : tensors[0]!, context),
    );
  }

  /** Floating-point operations for one sample, a multiplication and an addition counting as two. */
  flopsPerSample(inputShape: BatchShape | BatchShape[], dtypes?: readonly DType[]): number {
    return this.operationsPerSample(inputShape, dtypes).flops;
  }

  /** The dtype to assume of an input that only a shape is known of. */
  #likelyDType(input: number): DType {
    const { dtypes = ["float32"] } = specOf(this.inputSpec, input);
    return dtypes.includes(this.inputDType) ? this.inputDType : dtypes[0]!;
  }

  /** Applies the layer to symbolic tensors, which connects it into a model. */
  apply(
    inputs: SymbolicTensor | readonly SymbolicTensor[],
    options?: { training?: boolean },
  ): Applied<ReturnType<this["call"]>>;
  /** Applies the layer to values, outside of any model. */
  apply(
    inputs: TensorLike | readonly TensorLike[],
    options?: { training?: boolean; mask?: TensorLike | null },
  ): ReturnType<this["call"]>;
  apply(
    inputs: LayerInput | readonly LayerInput[],
    options: { training?: boolean; mask?: TensorLike | null } = {},
  ): SymbolicTensor | SymbolicTensor[] | Tensor | Tensor[] {
    checkOptionKeys(`${this.where}: apply()`, options, ["training", "mask"]);
    const { mask = null } = options;
    const list: readonly unknown[] = Array.isArray(inputs) ? inputs : [inputs];
    if (list.some((x) => x instanceof SymbolicTensor)) {
      const bad = list.find((x) => !(x instanceof SymbolicTensor));
      if (bad !== undefined) {
        throw new ArgumentError(
          expected(this.where, "either symbolic tensors or values, not both", bad),
        );
      }
      if (mask !== null) {
        throw new ArgumentError(
          `${this.where}: \`mask\` is for values; in a model, layers.applyMask().apply([x, mask]) gives x a mask`,
        );
      }
      return this.#connect(list as SymbolicTensor[], Array.isArray(inputs), options.training);
    }
    const several = Array.isArray(inputs) && list.some((x) => x instanceof Tensor);
    const tensors = several
      ? (list as TensorLike[]).map((x) => asTensor(this.where, x))
      : asTensor(this.where, inputs as TensorLike);
    return this.invoke(mask === null ? tensors : this.#masked(tensors, mask), {
      training: options.training ?? false,
      random: freshSource(),
      addLoss: () => {},
    });
  }

  /** Checks the inputs, calls the layer and adds its activity penalty: how models run layers. */
  invoke(inputs: Tensor | Tensor[], context: CallContext): ReturnType<this["call"]> {
    const listed = Array.isArray(inputs);
    const outputs = named(this, () => {
      checkInputs(this.where, this.inputSpec, listed ? inputs : [inputs], listed);
      if (!this.built) {
        this.ensureBuilt(listed ? inputs.map((x) => freeBatch(x.shape)) : freeBatch(inputs.shape));
      }
      const called = this.call(inputs, context);
      // What `call` of this very class gives.
      return maskOutputs(this, inputs, called) as ReturnType<this["call"]>;
    });
    const penalty = this.base.activityRegularizer;
    if (penalty) {
      for (const y of [outputs as Tensor | Tensor[]].flat()) {
        context.addLoss(perSample(penalty.apply(y), y));
      }
    }
    return outputs;
  }

  /** The first input with a mask of the caller's. */
  #masked(inputs: Tensor | Tensor[], mask: TensorLike): Tensor | Tensor[] {
    return named(this, () => {
      const [first, ...others] = [inputs].flat();
      const masked = withMask(first!, mask);
      return Array.isArray(inputs) ? [masked, ...others] : masked;
    });
  }

  /** Name and size in one line; a model adds its layers. */
  toString(): string {
    return this.built
      ? `${this.where}, ${this.countParams()} parameters`
      : `${this.where}, not built`;
  }

  /** What `console.log` shows. */
  [inspect](): string {
    return this.toString();
  }

  /** The options as JSON, from which `fromConfig` makes an equal layer (with fresh weights). */
  getConfig(): JsonObject {
    const { inputShape: _, ...base } = serializeOptions(this.where, layerOptions, {
      ...this.base,
      name: this.name,
      trainable: this.#trainable,
    });
    return { ...base, ...serializeOptions(this.where, this.#declaration, this.config) };
  }

  /** The symbolic input of the layer's only application. */
  get input(): SymbolicTensor | readonly SymbolicTensor[] {
    const { inputs, listed } = this.#onlyConnection("input");
    return listed ? inputs : inputs[0]!;
  }

  /** The symbolic output of the layer's only application. */
  get output(): SymbolicTensor | readonly SymbolicTensor[] {
    const { outputs } = this.#onlyConnection("output");
    return outputs.length === 1 ? outputs[0]! : outputs;
  }

  /**
   * Makes a weight. For use in `build` (or a constructor).
   * @param name unique in this layer, such as "kernel"
   */
  protected addWeight(name: string, shape: Shape, options: WeightOptions = {}): Variable {
    const where = `${this.where}: weight ${JSON.stringify(name)}`;
    checkShape(where, shape);
    if (this.#own.some((w) => w.local === name)) {
      throw new StateError(
        `${where} exists already; build() is called by the layer itself: use ensureBuilt(shape)`,
      );
    }
    const made = makeWeight(where, this, name, shape, options);
    this.#own.push(made);
    return made.variable;
  }

  /** Throws a ShapeError unless inputs of these shapes meet `inputSpec`. */
  protected checkShapes(shapes: readonly BatchShape[]): void {
    checkShapes(this.where, this.inputSpec, shapes);
  }

  /** Enters a layer that this one is made of, so that its weights count as this layer's. */
  protected addLayer<L extends Layer>(layer: L): L {
    if (!this.#sublayers.includes(layer)) this.setLayers([...this.#sublayers, layer]);
    return layer;
  }

  /** Replaces the list of layers that this one is made of; those new to a frozen layer are frozen with it. */
  protected setLayers(layers: readonly Layer[]): void {
    const names = new Set<string>();
    for (const layer of layers) {
      if (!(layer instanceof Layer))
        throw new ArgumentError(expected(this.where, "a layer", layer));
      if (names.has(layer.name)) {
        throw new ArgumentError(
          `${this.where}: two of its layers are called ${JSON.stringify(layer.name)}; ` +
            "give one of them another `name`",
        );
      }
      names.add(layer.name);
    }
    if (!this.#trainable) {
      for (const layer of layers) if (!this.#sublayers.includes(layer)) layer.trainable = false;
    }
    this.#sublayers = [...layers];
  }

  #connect(
    inputs: readonly SymbolicTensor[],
    listed: boolean,
    training: boolean | undefined,
  ): SymbolicTensor | SymbolicTensor[] {
    const { outputs: specs, listed: many } = named(this, () => {
      checkInputs(this.where, this.inputSpec, inputs, listed);
      this.ensureBuilt(listed ? inputs.map((x) => x.shape) : inputs[0]!.shape);
      return this.inferOutputs(inputs, listed);
    });
    const outputs: SymbolicTensor[] = [];
    const connection = this.record(inputs, listed, outputs, training);
    const suffix = connection.index === 0 ? "" : `:${connection.index}`;
    specs.forEach((spec, i) => {
      const name = `${this.name}${suffix}${many ? `/${i}` : ""}`;
      outputs.push(new SymbolicTensor(spec, name, connection, i));
    });
    return many ? outputs : outputs[0]!;
  }

  /** Enters an application; `input()` uses it as well. */
  protected record(
    inputs: readonly SymbolicTensor[],
    listed: boolean,
    outputs: readonly SymbolicTensor[],
    training: boolean | undefined,
  ): Connection {
    const index = this.connections.length;
    const connection: Connection = { layer: this, index, inputs, listed, outputs, training };
    this.connections.push(connection);
    return connection;
  }

  #onlyConnection(what: string): Connection {
    if (this.connections.length !== 1) {
      throw new StateError(
        this.connections.length === 0
          ? `${this.where}: it has no ${what} yet; apply it to a symbolic tensor first`
          : `${this.where}: it is applied ${this.connections.length} times, so its ${what} is not one; ` +
              "see its connections",
      );
    }
    return this.connections[0]!;
  }
}

/**
 * An activity penalty divided by the size of the batch it is of, as Keras does: its weight against other
 * losses does not depend on the batch size.
 */
export function perSample(penalty: Tensor, y: Tensor): Tensor {
  const batch = y.shape[0] ?? 1;
  return batch > 1 ? mul(penalty, 1 / batch) : penalty;
}

/** Makes the function that stands for `new Class(...)`: `layers.dense(options)`. */
export function maker<A extends unknown[], L extends Layer>(
  layerClass: new (...args: A) => L,
): (...args: A) => L {
  return (...args) => new layerClass(...args);
}

/** A class of layers: what registries and `fromConfig` deal with. */
export interface LayerClass {
  readonly className: string;
  readonly name: string;
  new (options: never): Layer;
  /** Makes a layer from what `getConfig` gave; without it the config is passed to the constructor. */
  fromConfig?(config: JsonObject): Layer;
}

/** The registered name of a class; its own name if it declares none. */
export function classNameOf(layerClass: LayerClass): string {
  return Object.hasOwn(layerClass, "className") ? layerClass.className : layerClass.name;
}

/** The part of `options` that `declaration` knows. */
function pick(options: object, declaration: Declaration): object {
  return Object.fromEntries(
    Object.entries(options).filter(([key]) => Object.hasOwn(declaration, key)),
  );
}
