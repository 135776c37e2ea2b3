/**
 * Recurrent layers: `simpleRNN`, `lstm` and `gru`. What differs between them is in recurrence.ts; states, masks,
 * directions and outputs are the same for all of them and for `rnn` (rnn.ts), and here.
 */
import { ArgumentError, expected, ShapeError, StateError } from "../errors.js";
import type { ConfigOf, Declaration, OptionsOf } from "../nn/options.js";
import { fill } from "../ops/creation.js";
import { cast, greater, mul, where } from "../ops/elementwise.js";
import { expandDims, reverse as reversed, stack } from "../ops/movement.js";
import { asTensor, requireDType } from "../ops/op.js";
import { lengthsOf, maskOf } from "../tensor/mask.js";
import { showShape } from "../tensor/shape.js";
import { type Tensor, type TensorLike, zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { boolean, knownSize } from "./config.js";
import {
  type CallContext,
  type InputSpec,
  isShapeList,
  Layer,
  type LayerOptions,
  maker,
} from "./layer.js";
import { isMaskList, type Masks } from "./masks.js";
import { sourceOf } from "./randomness.js";
import {
  drawNoise,
  gruOptions,
  gruRecurrence,
  lstmOptions,
  lstmRecurrence,
  type Recurrence,
  type StepDeclaration,
  simpleRecurrence,
  simpleRNNOptions,
} from "./recurrence.js";
import { stepsOf, walk } from "./sequence.js";
import type { BatchShape, BatchSpec } from "./symbolic.js";

/** Options of every layer that goes over sequences. */
export const sequenceOptions = {
  /** Whether the outputs of all steps are given, [batch, time, units], or the last one. */
  returnSequences: boolean(false),
  /** Whether the last states are given as further outputs. */
  returnState: boolean(false),
  /** Reads sequences from their end; the outputs come in the order in which they were read. */
  goBackwards: boolean(false),
  /**
   * Whether a batch goes on with the states that the one before ended with, row by row. A batch of another
   * size has states of its own.
   */
  stateful: boolean(false),
  /** Taken for Keras' sake: it changes nothing here. */
  unroll: boolean(false),
  /** Whether the output at masked steps is 0 rather than that of the step before. */
  zeroOutputForMask: boolean(false),
};

type SequenceDeclaration = typeof sequenceOptions & Declaration;
type SequenceConfig = ConfigOf<typeof sequenceOptions>;

/** A network over a sequence: what `process` gives. */
export interface Processed {
  /** Of all steps in the order of time, [batch, time, …]. */
  readonly outputs: Tensor;
  /** The one that was put out last. */
  readonly last: Tensor;
  readonly states: readonly Tensor[];
}

/** How a sequence is gone through. */
export interface Processing {
  readonly reverse: boolean;
  /** Whether outputs at masked steps repeat the one before; else they are 0. */
  readonly repeat: boolean;
}

/** What a recurrent layer gives: an array of outputs and states with `returnState`. */
export type RecurrentOutput = Tensor | Tensor[];

/**
 * The function that makes a layer, whose output is an array with `returnState`: it is the constructor, which
 * can't say so in its type.
 */
export interface RecurrentMaker<Options, One, Several, Either> {
  (options: Options & { returnState: true }): Several;
  (options: Options & { returnState?: false | undefined }): One;
  (options: Options): Either;
}

/**
 * What all recurrent layers do. A subclass says what a step is.
 *
 * @typeParam O what `call` gives
 */
export abstract class Recurrent<
  D extends SequenceDeclaration = SequenceDeclaration,
  O extends RecurrentOutput = RecurrentOutput,
> extends Layer<D> {
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { arity: "any", minRank: 3, others: { rank: 2 } };
  /** States by batch size, for a stateful layer. */
  readonly #kept = new Map<number, Variable[]>();

  /** The options that all recurrent layers have. */
  get sequence(): SequenceConfig {
    return this.config as SequenceConfig;
  }

  /** Sizes of the states. */
  abstract get stateSizes(): readonly number[];
  /** Their names, for errors. */
  protected abstract get stateNames(): readonly string[];
  /** The shape of a step's output, after the batch. */
  protected abstract outputOf(inputs: readonly BatchSpec[]): BatchShape;
  /** Makes the weights for steps of this shape. */
  protected abstract buildStep(step: BatchShape): void;
  /** Goes through a sequence. */
  protected abstract walkThrough(
    x: Tensor,
    states: readonly Tensor[],
    mask: Tensor | null,
    how: Processing,
    context: CallContext,
  ): Processed;

  override build(inputShape: BatchShape | BatchShape[]): void {
    const [x, ...states] = isShapeList(inputShape) ? inputShape : [inputShape];
    this.buildStep([x![0]!, ...x!.slice(2)]);
    this.inputSpec = {
      arity: "any",
      rank: x!.length,
      axes: Object.fromEntries(
        x!.slice(2).map((_, i) => [i + 2, knownSize(this.where, x!, i + 2)]),
      ),
      others: { rank: 2 },
    };
    this.#checkStates(states);
  }

  #checkStates(given: readonly BatchShape[]): void {
    if (given.length === 0) return;
    const sizes = this.stateSizes;
    if (given.length !== sizes.length) {
      throw new ArgumentError(
        expected(
          this.where,
          `the input alone, or with ${sizes.length} initial state${sizes.length === 1 ? "" : "s"} (${this.stateNames.join(", ")})`,
          `${given.length} state${given.length === 1 ? "" : "s"}`,
        ),
      );
    }
    given.forEach((shape, i) => {
      if (shape.length === 2 && (shape[1] === null || shape[1] === sizes[i])) return;
      throw new ShapeError(
        expected(
          this.where,
          `initial state ${this.stateNames[i]} of shape [batch, ${sizes[i]}]`,
          showShape(shape),
        ),
      );
    });
  }

  #checkBatch(states: readonly Tensor[], batch: number): void {
    for (const state of states) {
      if (state.shape[0] === batch) continue;
      throw new ShapeError(
        expected(this.where, `initial states of ${batch} sequences`, `${state.shape[0]}`),
      );
    }
  }

  /** The states that sequences begin with. */
  protected initialStates(batch: number): readonly Tensor[] {
    return this.stateSizes.map((size) => fill([batch, size], 0));
  }

  override call(inputs: Tensor | Tensor[], context: CallContext): O {
    const list = Array.isArray(inputs) ? inputs : [inputs];
    const { returnSequences, returnState, goBackwards, zeroOutputForMask } = this.sequence;
    const { outputs, last, states } = this.process(list, context, {
      reverse: goBackwards,
      repeat: !zeroOutputForMask,
    });
    const y = returnSequences ? (goBackwards ? reversed(outputs, 1) : outputs) : last;
    // O was chosen by the maker, from `returnState`.
    return (returnState ? [y, ...states] : y) as O;
  }

  /**
   * @internal Goes through sequences, with or without initial states, and keeps the last states if it is
   * stateful. Outputs are in the order of time whatever the direction.
   */
  process(inputs: readonly Tensor[], context: CallContext, how: Processing): Processed {
    const [x, ...given] = inputs as [Tensor, ...Tensor[]];
    this.#checkStates(given.map((state) => state.shape));
    const batch = x.shape[0]!;
    this.#checkBatch(given, batch);
    if (x.shape[1] === 0) {
      throw new ShapeError(expected(this.where, "at least one step", showShape(x.shape)));
    }
    const mask = maskOf(x);
    if (mask && mask.rank !== 2) {
      throw new ShapeError(
        expected(this.where, "a mask of shape [batch, time]", showShape(mask.shape)),
      );
    }
    const kept = this.sequence.stateful ? this.#keptFor(batch) : null;
    const initial =
      given.length > 0 ? given : (kept?.map((v) => v.read()) ?? this.initialStates(batch));
    const processed = this.walkThrough(x, initial, mask, how, context);
    kept?.forEach((variable, i) => {
      variable.assign(processed.states[i]!);
    });
    return processed;
  }

  #keptFor(batch: number): Variable[] {
    let kept = this.#kept.get(batch);
    if (!kept) {
      kept = this.stateSizes.map(
        (size, i) =>
          // The constructor rather than variable(): states may be made while a step is traced.
          new Variable(
            zerosLeaf([batch, size], "float32"),
            `${this.name}/state ${this.stateNames[i]}`,
            false,
          ),
      );
      this.#kept.set(batch, kept);
    }
    return kept;
  }

  /** The states that a stateful layer goes on with, for batches of this size; null before the first. */
  keptStates(batch: number): Tensor[] | null {
    return this.#kept.get(batch)?.map((v) => v.read()) ?? null;
  }

  /**
   * Makes a stateful layer begin anew: with zeros for all batch sizes, or with the given states for
   * batches of their size.
   * @throws StateError if the layer is not stateful, or while `fit` runs (in its callbacks it may be
   * called); ShapeError for states that don't fit.
   */
  override resetStates(states?: readonly TensorLike[]): void {
    if (!this.sequence.stateful) {
      throw new StateError(`${this.where}: it is not stateful, so it has no states to reset`);
    }
    if (states === undefined) {
      for (const variable of [...this.#kept.values()].flat()) variable.storageForUpdate().fill(0);
      return;
    }
    const tensors = states.map((state) => asTensor(this.where, state));
    this.#checkStates(tensors.map((state) => state.shape));
    if (tensors.length === 0) {
      throw new ArgumentError(expected(this.where, `${this.stateSizes.length} states`, "none"));
    }
    const batch = tensors[0]!.shape[0]!;
    // All of it before the first is set.
    this.#checkBatch(tensors, batch);
    for (const state of tensors) requireDType(this.where, state, "float32");
    this.#keptFor(batch).forEach((variable, i) => {
      variable.assign(tensors[i]!);
    });
  }

  override get isStateful(): boolean {
    return this.sequence.stateful;
  }

  /** By arithmetic: trying out would make states for the batch size that is tried. */
  override inferOutputs(inputs: readonly BatchSpec[]): { outputs: BatchSpec[]; listed: boolean } {
    this.#checkStates(inputs.slice(1).map((spec) => spec.shape));
    const [batch, time] = inputs[0]!.shape as [number | null, number | null];
    const { returnSequences, returnState } = this.sequence;
    const step = this.outputOf(inputs);
    const dtype = "float32";
    const output = {
      shape: returnSequences ? [batch, time, ...step] : [batch, ...step],
      dtype,
    } as const;
    if (!returnState) return { outputs: [output], listed: false };
    const states = this.stateSizes.map((size) => ({ shape: [batch, size], dtype }) as const);
    return { outputs: [output, ...states], listed: true };
  }

  /** The mask of the input, in the order of the outputs; none where there is only the last output. */
  override computeMask(_inputs: Tensor | Tensor[], mask: Masks): Masks {
    const { returnSequences, returnState, goBackwards } = this.sequence;
    const given = isMaskList(mask) ? (mask[0] ?? null) : mask;
    const own =
      !returnSequences || !given
        ? null
        : goBackwards
          ? cast(reversed(cast(given, "int32"), 1), "bool")
          : given;
    return returnState ? [own, ...this.stateSizes.map(() => null)] : own;
  }
}

/** A network with weights of its own over a sequence. */
abstract class WeightedRecurrent<
  D extends SequenceDeclaration & StepDeclaration,
  O extends RecurrentOutput,
> extends Recurrent<D, O> {
  protected readonly recurrence: Recurrence;

  constructor(
    options: LayerOptions & OptionsOf<D>,
    declaration: D,
    make: (config: ConfigOf<D>) => Recurrence,
  ) {
    super(options, declaration);
    this.recurrence = make(this.config);
  }

  override get stateSizes(): readonly number[] {
    return this.recurrence.stateSizes;
  }

  protected override get stateNames(): readonly string[] {
    return this.recurrence.stateNames;
  }

  protected override outputOf(): BatchShape {
    return [this.recurrence.units];
  }

  protected override buildStep(step: BatchShape): void {
    if (step.length !== 2) {
      throw new ShapeError(
        expected(
          this.where,
          "input of shape [batch, time, features]",
          `one whose steps have shape ${showShape(step.slice(1))}`,
        ),
      );
    }
    this.recurrence.build(this.addWeight.bind(this), knownSize(this.where, step, 1));
  }

  protected override walkThrough(
    given: Tensor,
    initial: readonly Tensor[],
    mask: Tensor | null,
    { reverse, repeat }: Processing,
    context: CallContext,
  ): Processed {
    const [batch, , inputs] = given.shape as [number, number, number];
    const o = this.config as ConfigOf<StepDeclaration>;
    const source = () => sourceOf(this, context, o.seed);
    const noise = drawNoise(o, context.training, source, batch, inputs);
    const x = noise.input ? mul(given, expandDims(noise.input, 1)) : given;
    const { recurrence } = this;
    if (!recurrence.sequence) {
      const { outputs, last, states } = walk(
        recurrence.project(x),
        initial,
        (step, before) => recurrence.step(step, before, noise),
        { mask, reverse, repeat },
      );
      return { outputs: stack(outputs, 1), last, states };
    }
    const options = { reverse, ...(noise.state ? { recurrentMask: noise.state } : {}) };
    if (!mask) {
      const { outputs, states } = recurrence.sequence(x, initial, options);
      return { outputs, last: states[0]!, states };
    }
    // Where all steps are masked, nothing was put out; the state is the initial one.
    const lastOf = ([h]: readonly Tensor[], lengths: Tensor): Tensor =>
      where(expandDims(greater(lengths, 0), -1), h!, 0);
    const lengths = lengthsOf(mask);
    if (lengths) {
      const { outputs, states } = recurrence.sequence(x, initial, { ...options, lengths });
      const last = lastOf(states, lengths);
      // Read from the end, the padding comes before anything was put out.
      const filled =
        repeat && !reverse ? where(expandDims(mask, -1), outputs, expandDims(last, 1)) : outputs;
      return { outputs: filled, last, states };
    }
    const steps = stepsOf(mask);
    const { outputs, states } = recurrence.sequence(steps.front(x), initial, {
      ...options,
      lengths: steps.lengths,
    });
    return {
      outputs: steps.back(outputs, reverse, repeat),
      last: lastOf(states, steps.lengths),
      states,
    };
  }
}

const simpleLayerOptions = { ...simpleRNNOptions, ...sequenceOptions };

/** Options of a plain recurrent layer: those of its cell, and how it goes over a sequence. */
export type SimpleRNNLayerOptions = LayerOptions & OptionsOf<typeof simpleLayerOptions>;

/**
 * The simple recurrent network (Elman 1990): h(t) = activation(x(t)·kernel + h(t − 1)·recurrentKernel + bias).
 *
 * Input shape: [batch, time, features], and if wanted an initial state [batch, units]. Output shape: [batch,
 * units], or [batch, time, units] with `returnSequences`.
 */
export class SimpleRNN<O extends RecurrentOutput = Tensor> extends WeightedRecurrent<
  typeof simpleLayerOptions,
  O
> {
  static override readonly className = "SimpleRNN";

  constructor(options: SimpleRNNLayerOptions) {
    super(options, simpleLayerOptions, simpleRecurrence);
  }
}

/** The simple recurrent network over sequences. */
export const simpleRNN: RecurrentMaker<
  SimpleRNNLayerOptions,
  SimpleRNN,
  SimpleRNN<Tensor[]>,
  SimpleRNN<RecurrentOutput>
> = maker(SimpleRNN) as never;

const lstmLayerOptions = { ...lstmOptions, ...sequenceOptions };

/** Options of an LSTM layer: those of its cell, and how it goes over a sequence. */
export type LSTMLayerOptions = LayerOptions & OptionsOf<typeof lstmLayerOptions>;

/**
 * Long short-term memory (Hochreiter & Schmidhuber 1997): gates i, f, o and a cell state c.
 *
 * Input shape: [batch, time, features], and if wanted initial states h and c, each [batch, units]. Output
 * shape: [batch, units], or [batch, time, units] with `returnSequences`; then h and c with `returnState`.
 */
export class LSTM<O extends RecurrentOutput = Tensor> extends WeightedRecurrent<
  typeof lstmLayerOptions,
  O
> {
  static override readonly className = "LSTM";

  constructor(options: LSTMLayerOptions) {
    super(options, lstmLayerOptions, lstmRecurrence);
  }
}

/** Long short-term memory over sequences. */
export const lstm: RecurrentMaker<
  LSTMLayerOptions,
  LSTM,
  LSTM<Tensor[]>,
  LSTM<RecurrentOutput>
> = maker(LSTM) as never;

const gruLayerOptions = { ...gruOptions, ...sequenceOptions };

/** Options of a GRU layer: those of its cell, and how it goes over a sequence. */
export type GRULayerOptions = LayerOptions & OptionsOf<typeof gruLayerOptions>;

/**
 * Gated recurrent units (Cho et al. 2014): gates z and r.
 *
 * Input shape: [batch, time, features], and if wanted an initial state [batch, units]. Output shape: [batch,
 * units], or [batch, time, units] with `returnSequences`; then the state with `returnState`.
 */
export class GRU<O extends RecurrentOutput = Tensor> extends WeightedRecurrent<
  typeof gruLayerOptions,
  O
> {
  static override readonly className = "GRU";

  constructor(options: GRULayerOptions) {
    super(options, gruLayerOptions, gruRecurrence);
  }
}

/** Gated recurrent units over sequences. */
export const gru: RecurrentMaker<GRULayerOptions, GRU, GRU<Tensor[]>, GRU<RecurrentOutput>> = maker(
  GRU,
) as never;
