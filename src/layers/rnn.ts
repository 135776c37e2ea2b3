/** `rnn`: a cell, or a stack of cells, over sequences. */
import { expected, ShapeError } from "../errors.js";
import type { OptionsOf } from "../nn/options.js";
import { stack } from "../ops/movement.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { cellOf, type RNNCell, StackedRNNCells } from "./cells.js";
import type { Field, Serialized } from "./config.js";
import { type CallContext, contextLike, type Layer, type LayerOptions, maker } from "./layer.js";
import { layer as layerField, layerList } from "./nested.js";
import {
  type Processed,
  type Processing,
  Recurrent,
  type RecurrentMaker,
  type RecurrentOutput,
  sequenceOptions,
} from "./recurrent.js";
import { walk } from "./sequence.js";
import type { BatchShape, BatchSpec } from "./symbolic.js";

type CellLike = Layer | Serialized;

/** A cell, or several that become a stack. */
const cellField: Field<RNNCell, CellLike | readonly CellLike[], true> = {
  required: true,
  parse(where, option, given) {
    if (!Array.isArray(given)) return cellOf(where, layerField().parse(where, option, given));
    return new StackedRNNCells({ cells: layerList().parse(where, option, given) });
  },
  serialize: (cell, where, option) => layerField().serialize(cell, where, option),
};

const rnnOptions = { cell: cellField, ...sequenceOptions };

/** Options of a layer over any cell. */
export type RNNOptions = LayerOptions & OptionsOf<typeof rnnOptions>;

/**
 * Any cell over sequences: a cell is a layer with a `stateSize` that makes [output, …new states] of
 * [input, …states]. An array of cells is a stack of them. The graph is as long as the sequence, so the layers
 * `lstm`, `gru` and `simpleRNN` are faster than their cells. Sequences begin with what the cell's
 * `getInitialState(batch)` gives, zeros if it has none (those of a `stateful` layer always with zeros).
 *
 * @example
 * lw.layers.rnn({ cell: lw.layers.layerNormLSTMCell({ units: 64 }), returnSequences: true });
 */
export class RNN<O extends RecurrentOutput = Tensor> extends Recurrent<typeof rnnOptions, O> {
  static override readonly className = "RNN";

  constructor(options: RNNOptions) {
    super(options, rnnOptions);
    this.addLayer(this.config.cell);
  }

  /** What is done at each step. */
  get cell(): RNNCell {
    return this.config.cell;
  }

  override get stateSizes(): readonly number[] {
    return [this.cell.stateSize].flat();
  }

  protected override get stateNames(): readonly string[] {
    return this.stateSizes.map((_, i) => `${i + 1}`);
  }

  protected override initialStates(batch: number): readonly Tensor[] {
    const { cell } = this;
    const wanted = super.initialStates(batch);
    if (!cell.getInitialState) return wanted;
    const given = cell.getInitialState(batch);
    this.#check("getInitialState() to give an array of states", given, [given].flat(), wanted);
    return given;
  }

  /** Whether what a cell made is an array, and the states in it are like those it goes on from. */
  #check(what: string, made: unknown, states: readonly Tensor[], wanted: readonly Tensor[]): void {
    const fits =
      Array.isArray(made) &&
      states.length === wanted.length &&
      states.every((s, i) => s instanceof Tensor && sameShape(s.shape, wanted[i]!.shape));
    if (fits) return;
    const shapes = (list: readonly Tensor[]): string =>
      list.map((s) => (s instanceof Tensor ? showShape(s.shape) : typeof s)).join(", ");
    throw new ShapeError(
      expected(
        this.cell.where,
        `its ${what} of shapes ${shapes(wanted)}`,
        Array.isArray(made) ? `states of shapes ${shapes(states)}` : "no array",
      ),
    );
  }

  protected override buildStep(step: BatchShape): void {
    this.cell.ensureBuilt([step, ...this.stateSizes.map((size) => [step[0]!, size])]);
  }

  protected override outputOf(inputs: readonly BatchSpec[]): BatchShape {
    const [batch, , ...rest] = inputs[0]!.shape;
    const states = this.stateSizes.map((size) => [batch!, size]);
    const specs = [[batch!, ...rest], ...states].map(
      (shape) => ({ shape, dtype: "float32" }) as const,
    );
    return this.cell.inferOutputs(specs, true).outputs[0]!.shape.slice(1);
  }

  protected override walkThrough(
    x: Tensor,
    initial: readonly Tensor[],
    mask: Tensor | null,
    how: Processing,
    outer: CallContext,
  ): Processed {
    // A context of its own for each sequence: cells that drop something drop the same at all its steps.
    const context = contextLike(outer);
    const step = (input: Tensor, states: readonly Tensor[]) => {
      const made = this.cell.invoke([input, ...states], context);
      const [output, ...next] = [made].flat();
      this.#check("call to give an array of the output and states", made, next, states);
      return { output: output!, states: next };
    };
    const { outputs, last, states } = walk(x, initial, step, { mask, ...how });
    return { outputs: stack(outputs, 1), last, states };
  }
}

/** Any cell over sequences. */
export const rnn: RecurrentMaker<RNNOptions, RNN, RNN<Tensor[]>, RNN<RecurrentOutput>> = maker(
  RNN,
) as never;
