/** Vectors for indices, and for positions: what stands at the beginning of models of text. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { add, broadcastTo, cast, cos, mul, notEqual, sin } from "../ops/elementwise.js";
import { gather } from "../ops/gather.js";
import { concat, reshape, slice } from "../ops/movement.js";
import type { DType } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  boolean,
  initializer,
  integer,
  knownSize,
  nullable,
  number,
  type OptionsOf,
  weightFields,
  weightOf,
} from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import type { Masks } from "./masks.js";
import type { BatchShape } from "./symbolic.js";

const embeddingOptions = {
  /** Number of different indices: they go from 0 to inputDim − 1. */
  inputDim: integer({ min: 1 }),
  /** Size of the vector for each. */
  outputDim: integer({ min: 1 }),
  ...weightFields("embeddings", "randomUniform"),
  /** Whether index 0 is padding: such steps get a mask that the following layers honour. */
  maskZero: boolean(false),
  /**
   * Whether optimizers change only the vectors that a step read, and their moments: faster for large tables,
   * but momentum rests where there is no gradient, so results differ a little. Plain sgd and adagrad do
   * the same thing either way, and the fast one by themselves.
   */
  sparse: boolean(false),
  /** Number of indices of a sample, where it is always the same. */
  inputLength: nullable(integer({ min: 1 })),
};

/** Options of an embedding. */
export type EmbeddingOptions = LayerOptions & OptionsOf<typeof embeddingOptions>;

/**
 * A learned vector for each index. Input shape: [batch, …] of int32 or uint8 (float32 is cut to whole
 * numbers). Output shape: [batch, …, outputDim].
 *
 * An index outside of [0, inputDim) is an error when the model runs.
 */
export class Embedding extends Layer<typeof embeddingOptions> {
  static override readonly className = "Embedding";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = {
    minRank: 1,
    dtypes: ["int32", "uint8", "float32"],
  };
  #embeddings!: Variable;

  constructor(options: EmbeddingOptions) {
    super(options, embeddingOptions);
  }

  /** Indices are whole numbers, unless told otherwise. */
  override get inputDType(): DType {
    return this.base.inputDType === "uint8" ? "uint8" : "int32";
  }

  /** A row of indices, of any length unless it is given. */
  override get batchInputShape(): BatchShape {
    return this.base.batchInputShape ?? [null, this.config.inputLength];
  }

  override build(): void {
    const { inputDim, outputDim, ...o } = this.config;
    this.#embeddings = this.addWeight("embeddings", [inputDim, outputDim], {
      ...weightOf(o, "embeddings"),
      sparse: o.sparse,
    });
  }

  override call(x: Tensor): Tensor {
    return gather(this.#embeddings, cast(x, "int32"));
  }

  override computeMask(x: Tensor, mask: Masks): Masks {
    return this.config.maskZero ? notEqual(x, 0) : mask;
  }
}

/** A learned vector for each index. */
export const embedding = maker(Embedding);

const positionEmbeddingOptions = {
  /** The largest number of positions. */
  sequenceLength: integer({ min: 1 }),
  initializer: initializer("glorotUniform"),
};

/** Throws for a sequence that is longer than there are positions. */
function checkSteps(where: string, x: Tensor, limit: number): number {
  const steps = x.shape[1]!;
  if (steps > limit) {
    throw new ShapeError(
      expected(
        where,
        `at most ${limit} steps (\`sequenceLength\`)`,
        `${steps} in ${showShape(x.shape)}`,
      ),
    );
  }
  return steps;
}

/**
 * A learned vector for each position, to be added to what stands there. Input shape: [batch, steps, size].
 * Output shape: the same.
 *
 * @example
 * const x = lw.input({ shape: [64, 32] });
 * const positions = lw.layers.positionEmbedding({ sequenceLength: 64 }).apply(x);
 * const y = lw.layers.add().apply([x, positions]);
 */
export class PositionEmbedding extends Layer<typeof positionEmbeddingOptions> {
  static override readonly className = "PositionEmbedding";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { rank: 3 };
  #positions!: Variable;

  constructor(options: LayerOptions & OptionsOf<typeof positionEmbeddingOptions>) {
    super(options, positionEmbeddingOptions);
  }

  override build(inputShape: BatchShape): void {
    const size = knownSize(this.where, inputShape, 2);
    this.#positions = this.addWeight("positionEmbeddings", [this.config.sequenceLength, size], {
      initializer: this.config.initializer,
    });
    this.inputSpec = { rank: 3, axes: { 2: size } };
  }

  override call(x: Tensor): Tensor {
    const steps = checkSteps(this.where, x, this.config.sequenceLength);
    return broadcastTo(slice(this.#positions, [0, 0], [steps, x.shape[2]!]), x.shape);
  }
}

/** A learned vector for each position, to be added to what stands there. */
export const positionEmbedding = maker(PositionEmbedding);

const sinePositionOptions = {
  /** The longest wavelength. */
  maxWavelength: number({ min: 1 }, 10_000),
};

/**
 * Sines and cosines of the position (Vaswani et al. 2017), to be added to what stands there: feature 2i is
 * sin(t / maxWavelength^(2i/size)), feature 2i + 1 the cosine. Input shape: [batch, steps, size]. Output
 * shape: the same.
 */
export class SinePositionEncoding extends Layer<typeof sinePositionOptions> {
  static override readonly className = "SinePositionEncoding";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { rank: 3 };

  constructor(options: LayerOptions & OptionsOf<typeof sinePositionOptions> = {}) {
    super(options, sinePositionOptions);
  }

  override build(inputShape: BatchShape): void {
    knownSize(this.where, inputShape, 2);
  }

  override call(x: Tensor): Tensor {
    const [, steps, size] = x.shape as [number, number, number];
    const values = new Float32Array(steps * size);
    for (let t = 0; t < steps; t++) {
      for (let i = 0; i < size; i++) {
        const angle = t / this.config.maxWavelength ** ((2 * (i >> 1)) / size);
        values[t * size + i] = i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      }
    }
    return broadcastTo(leaf(values, [steps, size], "float32"), x.shape);
  }
}

/** Sines and cosines of the position, to be added to what stands there. */
export const sinePositionEncoding = maker(SinePositionEncoding);

/**
 * x [batch, steps, …, size] with each pair of features (i, i + size/2) turned by an angle that grows with
 * the position (Su et al. 2021), so that products of two such vectors depend on their distance.
 */
export function rotate(x: Tensor, maxWavelength: number, startIndex: number): Tensor {
  const steps = x.shape[1]!;
  const size = x.shape.at(-1)!;
  const half = size / 2;
  const angles = new Float32Array(steps * half);
  for (let t = 0; t < steps; t++) {
    for (let i = 0; i < half; i++) {
      angles[t * half + i] = (t + startIndex) / maxWavelength ** ((2 * i) / size);
    }
  }
  const ones = new Array<number>(x.rank - 3).fill(1);
  const angle = reshape(leaf(angles, [steps, half], "float32"), [1, steps, ...ones, half]);
  const begin = x.shape.map(() => 0);
  const [left, right] = [0, half].map((at) =>
    slice(x, [...begin.slice(1), at], [...x.shape.slice(0, -1), half]),
  );
  const c = cos(angle);
  const s = sin(angle);
  // (a, b) → (a·cos − b·sin, b·cos + a·sin)
  return concat(
    [add(mul(left!, c), mul(mul(right!, s), -1)), add(mul(right!, c), mul(left!, s))],
    -1,
  );
}

const rotaryOptions = {
  /** The longest wavelength. */
  maxWavelength: number({ min: 1 }, 10_000),
  /** The first step's position. */
  startIndex: integer({ min: 0 }, 0),
};

/**
 * Turns pairs of features by an angle that grows with the position (Su et al. 2021), for queries and keys of
 * attention (see also `rotary` of {@link MultiHeadAttention}). Input shape: [batch, steps, …, size], size
 * even. Output shape: the same.
 */
export class RotaryEmbedding extends Layer<typeof rotaryOptions> {
  static override readonly className = "RotaryEmbedding";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 3 };

  constructor(options: LayerOptions & OptionsOf<typeof rotaryOptions> = {}) {
    super(options, rotaryOptions);
  }

  override build(inputShape: BatchShape): void {
    const size = knownSize(this.where, inputShape, -1);
    if (size % 2 !== 0) {
      throw new ArgumentError(expected(this.where, "an even number of features", `${size}`));
    }
  }

  override call(x: Tensor): Tensor {
    return rotate(x, this.config.maxWavelength, this.config.startIndex);
  }
}

/** Turns pairs of features by an angle that grows with the position. */
export const rotaryEmbedding = maker(RotaryEmbedding);
