/** Where a model's data comes in: `input()` and the layer behind it. */
import { ArgumentError } from "../errors.js";
import { type DType, dtypes } from "../tensor/dtype.js";
import type { Tensor } from "../tensor/tensor.js";
import { choice, integer, nullable, type OptionsOf, parseOptions, shape } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { type BatchShape, SymbolicTensor } from "./symbolic.js";

const inputLayerOptions = {
  /** Fixes the number of samples per batch. */
  batchSize: nullable(integer({ min: 1 })),
  /** dtype of the data. */
  dtype: nullable(choice(dtypes, "float32")),
};

export type InputLayerOptions = LayerOptions & OptionsOf<typeof inputLayerOptions>;

/** Passes its input on; stands first in a model to say what data it takes. */
export class InputLayer extends Layer<typeof inputLayerOptions> {
  static override readonly className = "InputLayer";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec;
  readonly shape: BatchShape;

  constructor(options: InputLayerOptions) {
    super(options, inputLayerOptions);
    const given = this.batchInputShape;
    if (given === null || given.length === 0) {
      throw new ArgumentError(
        `${this.where}: the shape of a sample is missing; give inputShape, such as inputShape: [784]`,
      );
    }
    this.shape = given[0] === null ? [this.config.batchSize, ...given.slice(1)] : given;
    this.inputSpec = {
      rank: this.shape.length,
      dtypes: [this.inputDType],
      axes: Object.fromEntries(
        this.shape.flatMap((dim, axis) => (dim === null ? [] : [[axis, dim]])),
      ),
    };
  }

  override get inputDType(): DType {
    return this.config.dtype ?? this.base.inputDType;
  }

  /** The symbolic tensor that stands for the data; always the same one. */
  get symbol(): SymbolicTensor {
    const known = this.connections[0]?.outputs[0];
    if (known) return known;
    this.ensureBuilt(this.shape);
    const outputs: SymbolicTensor[] = [];
    const connection = this.record([], false, outputs, undefined);
    outputs.push(
      new SymbolicTensor({ shape: this.shape, dtype: this.inputDType }, this.name, connection, 0),
    );
    return outputs[0]!;
  }

  override call(x: Tensor): Tensor {
    return x;
  }
}

/** A layer that stands for a model's data. */
export const inputLayer = maker(InputLayer);

const inputOptions = {
  /** Shape of one sample; null for a dimension that varies. */
  shape: nullable(shape()),
  /** The same with the batch dimension. */
  batchShape: nullable(shape()),
  /** Fixes the number of samples per batch. */
  batchSize: nullable(integer({ min: 1 })),
  /** dtype of the data: `uint8` for images, `int32` for indices. */
  dtype: choice(dtypes, "float32"),
};

/**
 * A symbolic tensor that stands for a model's data, from which a functional model is built.
 *
 * @example
 * const x = lw.input({ shape: [784] });
 * const y = lw.layers.dense({ units: 10, activation: "softmax" }).apply(x);
 * const model = lw.model({ inputs: x, outputs: y });
 */
export function input(
  options: OptionsOf<typeof inputOptions> & { name?: string | undefined },
): SymbolicTensor {
  const { name, ...rest } = options ?? {};
  const {
    shape: sample,
    batchShape,
    batchSize,
    dtype,
  } = parseOptions("input()", inputOptions, rest);
  if ((sample === null) === (batchShape === null)) {
    throw new ArgumentError("input(): give either `shape` (of one sample) or `batchShape`");
  }
  return new InputLayer({
    name,
    dtype,
    batchSize,
    ...(sample ? { inputShape: sample } : { batchInputShape: batchShape }),
  }).symbol;
}
