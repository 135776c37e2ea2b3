/** Layers around layers: the same for each step, and a recurrent layer in both directions. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { add, broadcastTo, mul } from "../ops/elementwise.js";
import { withMask } from "../ops/identity.js";
import { concat, reshape, reverse } from "../ops/movement.js";
import { dtypes } from "../tensor/dtype.js";
import { maskOf } from "../tensor/mask.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { choice, nullable, type OptionsOf } from "./config.js";
import {
  type CallContext,
  contextLike,
  type InputSpec,
  isShapeList,
  Layer,
  type LayerOptions,
  maker,
} from "./layer.js";
import { allOf, type Masks } from "./masks.js";
import { layer as layerField } from "./nested.js";
import {
  type GRU,
  type LSTM,
  type Processed,
  Recurrent,
  type RecurrentOutput,
  type SimpleRNN,
} from "./recurrent.js";
import { deserializeLayer, serializeLayer } from "./registry.js";
import type { RNN } from "./rnn.js";
import type { BatchShape, BatchSpec } from "./symbolic.js";

const timeDistributedOptions = {
  /** What is applied to each step. */
  layer: layerField(),
};

/** Options of a layer over the steps of a sequence. */
export type TimeDistributedOptions = LayerOptions & OptionsOf<typeof timeDistributedOptions>;

/**
 * The same layer for each step. Input shape: [batch, time, …]. Output shape: [batch, time, …] with what the
 * layer makes of a step. Steps count as samples of one large batch; those that a mask [batch, time] leaves out
 * have no part in what is computed over samples, such as batch norm's statistics.
 */
export class TimeDistributed extends Layer<typeof timeDistributedOptions> {
  static override readonly className = "TimeDistributed";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2, dtypes };

  constructor(options: TimeDistributedOptions) {
    super(options, timeDistributedOptions);
    this.addLayer(this.config.layer);
  }

  /** What is applied to each step. */
  get layer(): Layer {
    return this.config.layer;
  }

  override build(inputShape: BatchShape): void {
    this.layer.ensureBuilt([null, ...inputShape.slice(2)]);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const [batch, time, ...step] = x.shape as [number, number, ...number[]];
    const merged = (y: Tensor): Tensor => reshape(y, [batch * time, ...y.shape.slice(2)]);
    const apart = (y: Tensor): Tensor => reshape(y, [batch, time, ...y.shape.slice(1)]);
    const mask = maskOf(x);
    const flat = reshape(x, [batch * time, ...step]);
    // What is masked within steps is the layer's concern.
    const inner = mask && mask.rank > 2 ? withMask(flat, merged(mask)) : flat;
    const y: Tensor | Tensor[] = this.layer.invoke(inner, this.#perStep(x, context));
    if (Array.isArray(y)) {
      throw new ArgumentError(
        expected(this.where, "a layer with one output", `${this.layer.where} with ${y.length}`),
      );
    }
    const own = maskOf(y);
    return own ? withMask(apart(y), apart(own)) : apart(y);
  }

  /** The run as the layer within sees it: which steps count, as samples. */
  #perStep(x: Tensor, context: CallContext): CallContext {
    const [batch, time] = x.shape as [number, number];
    const mask = maskOf(x);
    // Where a layer around this one made another number of samples, they can't be told any more.
    const samples = context.samples?.shape[0] === batch ? context.samples : null;
    const given = [mask && mask.rank <= 2 ? mask : null, samples];
    const counted = allOf(given.map((m) => m && reshape(m, [batch, m.rank === 2 ? time : 1])));
    return counted === null
      ? context
      : contextLike(context, {
          samples: reshape(broadcastTo(counted, [batch, time]), [batch * time]),
        });
  }

  override computeMask(x: Tensor, mask: Masks): Masks {
    // A mask of what stands within steps says nothing of the steps.
    return (maskOf(x)?.rank ?? 0) <= 2 ? mask : null;
  }
}

/** The same layer for each step. */
export const timeDistributed = maker(TimeDistributed);

const mergeModes = ["concat", "sum", "mul", "ave"] as const;

const bidirectionalOptions = {
  /** A recurrent layer without weights yet; both directions are layers of their own, with its options. */
  layer: layerField(),
  /** The layer whose options the one that reads from the end gets; `layer` when left out. */
  backwardLayer: nullable(layerField()),
  /** How both outputs become one; null gives them as two. */
  mergeMode: nullable(choice(mergeModes, "concat")),
};

/** Options of a layer in both directions. */
export type BidirectionalOptions = LayerOptions & OptionsOf<typeof bidirectionalOptions>;

/**
 * A recurrent layer that reads sequences from both ends (Schuster & Paliwal 1997).
 *
 * Input shape: as the layer's; initial states are those of the forward layer, then those of the backward
 * one. Output shape: as the layer's, with twice the units for mergeMode "concat"; two outputs for null. With
 * `returnState` the states of both follow. At masked steps the outputs are 0, as in Keras.
 *
 * Each direction is a new layer with the options of `layer` and weights of its own; so a layer that has weights
 * already is an error. Initial weights differ, but for initializers with a seed: these give both directions
 * the same, as in Keras; `backwardLayer` can have others.
 */
export class Bidirectional<O extends RecurrentOutput = Tensor> extends Layer<
  typeof bidirectionalOptions
> {
  static override readonly className = "Bidirectional";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { arity: "any", minRank: 3, others: { rank: 2 } };
  readonly forwardLayer: Recurrent;
  readonly backwardLayer: Recurrent;

  constructor(options: BidirectionalOptions) {
    // Left out, the mode is "concat"; null is a mode of its own.
    super(
      options?.mergeMode === undefined ? { ...options, mergeMode: "concat" } : options,
      bidirectionalOptions,
    );
    const { layer, backwardLayer } = this.config;
    const forward = this.#recurrent("layer", layer);
    const backward = this.#recurrent("backwardLayer", backwardLayer ?? layer);
    for (const key of ["returnSequences", "returnState", "stateful"] as const) {
      if (forward.sequence[key] === backward.sequence[key]) continue;
      throw new ArgumentError(
        expected(
          this.where,
          `\`backwardLayer\` with the same \`${key}\` as \`layer\``,
          backward.sequence[key],
        ),
      );
    }
    const { goBackwards } = forward.sequence;
    if (backwardLayer && backward.sequence.goBackwards === goBackwards) {
      throw new ArgumentError(
        expected(this.where, `\`backwardLayer\` with goBackwards: ${!goBackwards}`, goBackwards),
      );
    }
    this.forwardLayer = copyOf(forward, "forward", goBackwards);
    this.backwardLayer = copyOf(backward, "backward", !goBackwards);
    this.addLayer(this.forwardLayer);
    this.addLayer(this.backwardLayer);
  }

  #recurrent(option: string, layer: Layer): Recurrent {
    if (!(layer instanceof Recurrent)) {
      throw new ArgumentError(
        expected(
          this.where,
          `\`${option}\` to be a recurrent layer (lstm, gru, simpleRNN, rnn)`,
          layer.where,
        ),
      );
    }
    if (layer.weights.length > 0) {
      throw new ArgumentError(
        expected(
          this.where,
          `\`${option}\` to have no weights yet`,
          `${layer.where}, which is built`,
          "its weights would be lost, as both directions get their own: give a new layer, and set them by setWeights()",
        ),
      );
    }
    return layer;
  }

  #split<T>(inputs: readonly T[]): [forward: T[], backward: T[]] {
    const [x, ...states] = inputs as [T, ...T[]];
    const counts = [this.forwardLayer, this.backwardLayer].map((l) => l.stateSizes.length);
    if (states.length > 0 && states.length !== counts[0]! + counts[1]!) {
      throw new ArgumentError(
        expected(
          this.where,
          `the input alone, or with ${counts[0]! + counts[1]!} initial states (${counts[0]} of the forward layer first)`,
          `${states.length} states`,
        ),
      );
    }
    return [
      [x, ...states.slice(0, states.length === 0 ? 0 : counts[0])],
      [x, ...states.slice(counts[0])],
    ];
  }

  override build(inputShape: BatchShape | BatchShape[]): void {
    const [forward, backward] = this.#split(isShapeList(inputShape) ? inputShape : [inputShape]);
    this.forwardLayer.ensureBuilt(forward);
    this.backwardLayer.ensureBuilt(backward);
  }

  override call(inputs: Tensor | Tensor[], context: CallContext): O {
    const [forward, backward] = this.#split(Array.isArray(inputs) ? inputs : [inputs]);
    const { returnSequences, returnState, goBackwards } = this.forwardLayer.sequence;
    const run = (layer: Recurrent, own: Tensor[]): Processed =>
      layer.process(own, context, {
        reverse: layer.sequence.goBackwards,
        repeat: !returnSequences && !layer.sequence.zeroOutputForMask,
      });
    const one = run(this.forwardLayer, forward);
    const two = run(this.backwardLayer, backward);
    const outputOf = (p: Processed): Tensor =>
      returnSequences ? (goBackwards ? reverse(p.outputs, 1) : p.outputs) : p.last;
    const outputs = this.#merged(outputOf(one), outputOf(two));
    const states = returnState ? [...one.states, ...two.states] : [];
    const all = [...outputs, ...states];
    // O was chosen by the maker, from `mergeMode` and the layer.
    return (all.length === 1 ? all[0]! : all) as O;
  }

  #merged(a: Tensor, b: Tensor): Tensor[] {
    const { mergeMode } = this.config;
    if (mergeMode !== null && mergeMode !== "concat" && a.shape.at(-1) !== b.shape.at(-1)) {
      throw new ShapeError(
        expected(
          this.where,
          `outputs of one size for mergeMode "${mergeMode}"`,
          `${showShape(a.shape)} and ${showShape(b.shape)}`,
        ),
      );
    }
    switch (mergeMode) {
      case null:
        return [a, b];
      case "concat":
        return [concat([a, b], -1)];
      case "sum":
        return [add(a, b)];
      case "mul":
        return [mul(a, b)];
      case "ave":
        return [mul(add(a, b), 0.5)];
    }
  }

  override inferOutputs(inputs: readonly BatchSpec[]): { outputs: BatchSpec[]; listed: boolean } {
    const [forward, backward] = this.#split(inputs);
    const [one, two] = [
      this.forwardLayer.inferOutputs(forward).outputs,
      this.backwardLayer.inferOutputs(backward).outputs,
    ] as [BatchSpec[], BatchSpec[]];
    const [a, ...first] = one as [BatchSpec, ...BatchSpec[]];
    const [b, ...second] = two as [BatchSpec, ...BatchSpec[]];
    const { mergeMode } = this.config;
    const units = a.shape.at(-1)! + b.shape.at(-1)!;
    const outputs =
      mergeMode === null
        ? [a, b]
        : [mergeMode === "concat" ? { ...a, shape: [...a.shape.slice(0, -1), units] } : a];
    const all = [...outputs, ...first, ...second];
    return { outputs: all, listed: all.length > 1 };
  }

  override computeMask(inputs: Tensor | Tensor[], mask: Masks): Masks {
    const own = [this.forwardLayer.computeMask(inputs, mask)].flat()[0] ?? null;
    const outputs = this.config.mergeMode === null ? [own, own] : [own];
    return [...outputs, ...(this.forwardLayer.sequence.returnState ? [null] : [])];
  }
}

/** A new recurrent layer of the same options, with a name that says its direction. */
function copyOf(layer: Recurrent, direction: string, goBackwards: boolean): Recurrent {
  const { className, config } = serializeLayer(layer);
  const copy = deserializeLayer({
    className,
    config: { ...config, name: `${direction}_${layer.name}`, goBackwards },
  });
  // The same class as `layer`, which is a recurrent one.
  return copy as Recurrent;
}

/** The recurrent layers that give their states. */
type WithStates = SimpleRNN<Tensor[]> | LSTM<Tensor[]> | GRU<Tensor[]> | RNN<Tensor[]>;

/** What its constructor does; with states, or outputs that are not merged, there are several. */
interface BidirectionalMaker {
  (options: BidirectionalOptions & { mergeMode: null }): Bidirectional<Tensor[]>;
  (options: Omit<BidirectionalOptions, "layer"> & { layer: WithStates }): Bidirectional<Tensor[]>;
  (options: BidirectionalOptions): Bidirectional;
}

/** A recurrent layer that reads sequences from both ends. */
export const bidirectional: BidirectionalMaker = maker(Bidirectional) as never;
