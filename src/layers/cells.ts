/**
 * Cells: what a recurrent network does at one step. A cell is a layer that makes [output, …new states] of
 * [input, …states]; `rnn` goes through sequences with it.
 */
import { ArgumentError, expected } from "../errors.js";
import type { ConfigOf, OptionsOf } from "../nn/options.js";
import { fill } from "../ops/creation.js";
import { mul } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";
import { knownSize } from "./config.js";
import { type CallContext, type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { layerList } from "./nested.js";
import { sourceOf } from "./randomness.js";
import {
  drawNoise,
  gruOptions,
  gruRecurrence,
  layerNormLSTMOptions,
  layerNormLSTMRecurrence,
  lstmOptions,
  lstmRecurrence,
  type Noise,
  type Recurrence,
  type StepDeclaration,
  simpleRecurrence,
  simpleRNNOptions,
} from "./recurrence.js";
import type { BatchShape } from "./symbolic.js";

/** A layer with states: what `rnn` takes. */
export interface RNNCell extends Layer {
  /** Size of the state, or of each of several. */
  readonly stateSize: number | readonly number[];
  /** The states that sequences begin with, each [batch, size]; zeros without it. */
  getInitialState?(batch: number): Tensor[];
}

/** A layer as a cell, if it is one. */
export function cellOf(where: string, layer: Layer): RNNCell {
  const { stateSize } = layer as Partial<RNNCell>;
  const sizes = [stateSize].flat();
  if (sizes.length > 0 && sizes.every((size) => Number.isInteger(size) && (size as number) > 0)) {
    return layer as RNNCell;
  }
  throw new ArgumentError(
    expected(
      where,
      "a cell: a layer with a `stateSize`, a positive integer or an array of them",
      `${layer.where} with stateSize ${JSON.stringify(stateSize) ?? "undefined"}`,
    ),
  );
}

/** One of the networks of recurrence.ts as a cell. */
abstract class WeightedCell<D extends StepDeclaration> extends Layer<D> implements RNNCell {
  protected override inputSpec: InputSpec = { arity: "several", rank: 2 };
  protected readonly recurrence: Recurrence;
  /** What is dropped in the run of each context: the same at all steps that share one. */
  readonly #noise = new WeakMap<CallContext, Noise>();

  constructor(
    options: LayerOptions & OptionsOf<D>,
    declaration: D,
    make: (config: ConfigOf<D>) => Recurrence,
  ) {
    super(options, declaration);
    this.recurrence = make(this.config);
  }

  get stateSize(): readonly number[] {
    return this.recurrence.stateSizes;
  }

  /** Size of the output. */
  get outputSize(): number {
    return this.recurrence.units;
  }

  /** The state that sequences begin with: zeros. */
  getInitialState(batch: number): Tensor[] {
    return this.recurrence.stateSizes.map((size) => fill([batch, size], 0));
  }

  override build(inputShape: BatchShape[]): void {
    const inputs = knownSize(this.where, inputShape[0]!, 1);
    this.recurrence.build(this.addWeight.bind(this), inputs);
    this.inputSpec = {
      arity: "several",
      rank: 2,
      axes: { 1: inputs },
      others: { rank: 2, axes: { 1: this.recurrence.units } },
    };
  }

  override call(inputs: Tensor[], context: CallContext): Tensor[] {
    const [x, ...states] = inputs as [Tensor, ...Tensor[]];
    const { stateNames } = this.recurrence;
    if (states.length !== stateNames.length) {
      throw new ArgumentError(
        expected(
          this.where,
          `the input and ${stateNames.length} state${stateNames.length === 1 ? "" : "s"} (${stateNames.join(", ")})`,
          `${inputs.length} tensors`,
        ),
      );
    }
    let noise = this.#noise.get(context);
    if (!noise) {
      const o = this.config as ConfigOf<StepDeclaration>;
      const source = () => sourceOf(this, context, o.seed);
      noise = drawNoise(o, context.training, source, x.shape[0]!, x.shape[1]!);
      this.#noise.set(context, noise);
    }
    const dropped = noise.input ? mul(x, noise.input) : x;
    const { output, states: next } = this.recurrence.step(
      this.recurrence.project(dropped),
      states,
      noise,
    );
    return [output, ...next];
  }
}

/** Options of a cell of a plain recurrent network. */
export type SimpleRNNCellOptions = LayerOptions & OptionsOf<typeof simpleRNNOptions>;

/** A step of the simple recurrent network: h ← activation(x·kernel + h·recurrentKernel + bias). */
export class SimpleRNNCell extends WeightedCell<typeof simpleRNNOptions> {
  static override readonly className = "SimpleRNNCell";

  constructor(options: SimpleRNNCellOptions) {
    super(options, simpleRNNOptions, simpleRecurrence);
  }
}

/** A step of the simple recurrent network. */
export const simpleRNNCell = maker(SimpleRNNCell);

/** Options of an LSTM cell. */
export type LSTMCellOptions = LayerOptions & OptionsOf<typeof lstmOptions>;

/** A step of long short-term memory; states h and c. */
export class LSTMCell extends WeightedCell<typeof lstmOptions> {
  static override readonly className = "LSTMCell";

  constructor(options: LSTMCellOptions) {
    super(options, lstmOptions, lstmRecurrence);
  }
}

/** A step of long short-term memory. */
export const lstmCell = maker(LSTMCell);

/** Options of an LSTM cell with layer normalisation. */
export type LayerNormLSTMCellOptions = LayerOptions & OptionsOf<typeof layerNormLSTMOptions>;

/** A step of long short-term memory with layer normalisation (Ba et al. 2016); states h and c. */
export class LayerNormLSTMCell extends WeightedCell<typeof layerNormLSTMOptions> {
  static override readonly className = "LayerNormLSTMCell";

  constructor(options: LayerNormLSTMCellOptions) {
    super(options, layerNormLSTMOptions, layerNormLSTMRecurrence);
  }
}

/** A step of long short-term memory with layer normalisation. */
export const layerNormLSTMCell = maker(LayerNormLSTMCell);

/** Options of a GRU cell. */
export type GRUCellOptions = LayerOptions & OptionsOf<typeof gruOptions>;

/** A step of gated recurrent units. */
export class GRUCell extends WeightedCell<typeof gruOptions> {
  static override readonly className = "GRUCell";

  constructor(options: GRUCellOptions) {
    super(options, gruOptions, gruRecurrence);
  }
}

/** A step of gated recurrent units. */
export const gruCell = maker(GRUCell);

const stackedOptions = {
  /** From the one that sees the input to the one that gives the output. */
  cells: layerList(),
};

/** Options of stacked cells. */
export type StackedRNNCellsOptions = LayerOptions & OptionsOf<typeof stackedOptions>;

/** Cells one above the other as one cell: each sees the output of the one below. */
export class StackedRNNCells extends Layer<typeof stackedOptions> implements RNNCell {
  static override readonly className = "StackedRNNCells";
  protected override inputSpec: InputSpec = { arity: "several", minRank: 2 };
  readonly cells: readonly RNNCell[];

  constructor(options: StackedRNNCellsOptions) {
    super(options, stackedOptions);
    this.cells = this.config.cells.map((cell) => cellOf(this.where, cell));
    for (const cell of this.cells) this.addLayer(cell);
  }

  /** Sizes of all cells' states, in order. */
  get stateSize(): readonly number[] {
    return this.cells.flatMap((cell) => cell.stateSize);
  }

  /** The states that sequences begin with: those of each cell, in order. */
  getInitialState(batch: number): Tensor[] {
    return this.cells.flatMap(
      (cell) =>
        cell.getInitialState?.(batch) ?? [cell.stateSize].flat().map((n) => fill([batch, n], 0)),
    );
  }

  override build(inputShape: BatchShape[]): void {
    let below = inputShape[0]!;
    for (const cell of this.cells) {
      const states = [cell.stateSize].flat().map((size) => [below[0]!, size]);
      cell.ensureBuilt([below, ...states]);
      const specs = [below, ...states].map((shape) => ({ shape, dtype: "float32" }) as const);
      below = cell.inferOutputs(specs, true).outputs[0]!.shape;
    }
  }

  override call(inputs: Tensor[], context: CallContext): Tensor[] {
    const [x, ...states] = inputs as [Tensor, ...Tensor[]];
    if (states.length !== this.stateSize.length) {
      throw new ArgumentError(
        expected(
          this.where,
          `the input and ${this.stateSize.length} states`,
          `${inputs.length} tensors`,
        ),
      );
    }
    let output = x;
    let at = 0;
    const next: Tensor[] = [];
    for (const cell of this.cells) {
      const count = [cell.stateSize].flat().length;
      const made = [cell.invoke([output, ...states.slice(at, at + count)], context)].flat();
      output = made[0]!;
      next.push(...made.slice(1));
      at += count;
    }
    return [output, ...next];
  }
}

/** Cells one above the other as one cell. */
export const stackedRNNCells = maker(StackedRNNCells);
