/** Normalisation layers: batch, layer, group and unit norm, with Keras' formulas and defaults. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import {
  add,
  broadcastTo,
  cast,
  div,
  maximum,
  mul,
  neg,
  rsqrt,
  square,
  sub,
  where,
} from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import { normalize, localResponseNormalization as respond } from "../ops/normalization.js";
import { sum } from "../ops/reduce.js";
import { maskOf } from "../tensor/mask.js";
import { normalizeAxes, normalizeAxis, type Shape, showShape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  axes,
  boolean,
  dataFormat,
  initializer,
  integer,
  knownSize,
  number,
  type OptionsOf,
  weightFields,
  weightOf,
} from "./config.js";
import type { Operations } from "./dryrun.js";
import {
  type CallContext,
  type InputSpec,
  Layer,
  type LayerOptions,
  maker,
  shapesOf,
} from "./layer.js";
import { withChannelsLast } from "./spatial.js";
import type { BatchShape } from "./symbolic.js";

const affineOptions = {
  /** Keeps the division finite. */
  epsilon: number({ min: 0 }, 1e-3),
  /** Whether beta is added. */
  center: boolean(true),
  /** Whether the result is multiplied by gamma. */
  scale: boolean(true),
  ...weightFields("beta", "zeros"),
  ...weightFields("gamma", "ones"),
};

/** A parameter in the shape in which it broadcasts against x. */
const spread = (parameter: Variable | Tensor | undefined, shape: Shape): Tensor | null =>
  parameter ? reshape(parameter, shape) : null;

const batchOptions = {
  /** The axis that keeps its own statistics: the channels. */
  axis: integer({}, -1),
  /** How much of the moving statistics stays at each step. */
  momentum: number({ min: 0, max: 1 }, 0.99),
  ...affineOptions,
  movingMeanInitializer: initializer("zeros"),
  movingVarianceInitializer: initializer("ones"),
};

/** Options of {@link batchNormalization}. */
export type BatchNormalizationOptions = LayerOptions & OptionsOf<typeof batchOptions>;

/**
 * Normalises each channel over the batch (Ioffe & Szegedy 2015): with the batch's own mean and variance
 * while training, with their moving averages otherwise, or when the layer is not trainable.
 */
export class BatchNormalization extends Layer<typeof batchOptions> {
  static override readonly className = "BatchNormalization";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #gamma: Variable | undefined;
  #beta: Variable | undefined;
  #mean!: Variable;
  #variance!: Variable;
  #axis = -1;

  constructor(options: BatchNormalizationOptions = {}) {
    super(options, batchOptions);
  }

  override build(inputShape: BatchShape): void {
    const o = this.config;
    this.#axis = normalizeAxis(`${this.where}: axis`, o.axis, inputShape.length);
    const size = knownSize(this.where, inputShape, this.#axis);
    if (o.scale) this.#gamma = this.addWeight("gamma", [size], weightOf(o, "gamma"));
    if (o.center) this.#beta = this.addWeight("beta", [size], weightOf(o, "beta"));
    this.#mean = this.addWeight("movingMean", [size], {
      initializer: o.movingMeanInitializer,
      trainable: false,
    });
    this.#variance = this.addWeight("movingVariance", [size], {
      initializer: o.movingVarianceInitializer,
      trainable: false,
    });
    this.inputSpec = { rank: inputShape.length, axes: { [this.#axis]: size } };
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { epsilon, momentum } = this.config;
    const size = x.shape[this.#axis]!;
    // Along the last axis a vector broadcasts as it is.
    const shape =
      this.#axis === x.rank - 1 ? [size] : x.shape.map((d, i) => (i === this.#axis ? d : 1));
    const gamma = spread(this.#gamma, shape);
    const beta = spread(this.#beta, shape);
    if (context.training && this.trainable) {
      const others = x.shape.map((_, i) => i).filter((i) => i !== this.#axis);
      const mask = maskOf(x);
      const { output, mean, variance } = mask
        ? normalizeMasked(x, mask, this.#axis, gamma, beta, epsilon)
        : normalize(x, others, gamma, beta, epsilon);
      // moving ← moving·momentum + batch·(1 − momentum)
      const blend = (moving: Variable, batch: Tensor): void => {
        moving.assign(add(mul(moving, momentum), mul(reshape(batch, [size]), 1 - momentum)));
      };
      blend(this.#mean, mean);
      blend(this.#variance, variance);
      return output;
    }
    // One product and one sum per element, whose factors are computed once per channel: after a
    // convolution or a dense layer they run in its epilogue.
    const inverse = rsqrt(add(reshape(this.#variance, shape), epsilon));
    const scale = gamma ? mul(inverse, gamma) : inverse;
    const centre = mul(reshape(this.#mean, shape), scale);
    return add(mul(x, scale), beta ? sub(beta, centre) : neg(centre));
  }
}

/** As `normalize` over all axes but one, with the statistics of what `mask` leaves. */
function normalizeMasked(
  x: Tensor,
  mask: Tensor,
  axis: number,
  gamma: Tensor | null,
  beta: Tensor | null,
  epsilon: number,
): { output: Tensor; mean: Tensor; variance: Tensor } {
  const others = x.shape.map((_, i) => i).filter((i) => i !== axis);
  const full = x.shape.map((d, i) => (i < mask.rank ? d : 1));
  const counts = reshape(mask, full);
  const weights = broadcastTo(
    cast(counts, "float32"),
    x.shape.map((d, i) => (i === axis ? full[i]! : d)),
  );
  const count = maximum(sum(weights, others, true), 1);
  const meanOf = (y: Tensor): Tensor => div(sum(where(counts, y, 0), others, true), count);
  const mean = meanOf(x);
  const centered = sub(x, mean);
  const variance = meanOf(square(centered));
  const inverse = rsqrt(add(variance, epsilon));
  const scaled = mul(centered, gamma ? mul(inverse, gamma) : inverse);
  return { output: beta ? add(scaled, beta) : scaled, mean, variance };
}

/** Normalises each channel over the batch. */
export const batchNormalization = maker(BatchNormalization);

const layerNormOptions = {
  /** The axis or axes that are normalised together. */
  axis: axes(-1),
  ...affineOptions,
};

/** Normalises each sample over the given axes (Ba et al. 2016). */
export class LayerNormalization extends Layer<typeof layerNormOptions> {
  static override readonly className = "LayerNormalization";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #gamma: Variable | undefined;
  #beta: Variable | undefined;
  #axes: readonly number[] = [];

  constructor(options: LayerOptions & OptionsOf<typeof layerNormOptions> = {}) {
    super(options, layerNormOptions);
  }

  override build(inputShape: BatchShape): void {
    const o = this.config;
    this.#axes = normalizeAxes(`${this.where}: axis`, o.axis, inputShape.length);
    if (this.#axes.includes(0)) {
      throw new ArgumentError(
        expected(this.where, "`axis` to leave out the batch (axis 0)", o.axis),
      );
    }
    const shape = this.#axes.map((axis) => knownSize(this.where, inputShape, axis));
    if (o.scale) this.#gamma = this.addWeight("gamma", shape, weightOf(o, "gamma"));
    if (o.center) this.#beta = this.addWeight("beta", shape, weightOf(o, "beta"));
    this.inputSpec = {
      rank: inputShape.length,
      axes: Object.fromEntries(this.#axes.map((axis, i) => [axis, shape[i]!])),
    };
  }

  override call(x: Tensor): Tensor {
    const shape = x.shape.map((d, i) => (this.#axes.includes(i) ? d : 1)).slice(this.#axes[0]);
    const gamma = spread(this.#gamma, shape);
    const beta = spread(this.#beta, shape);
    return normalize(x, this.#axes, gamma, beta, this.config.epsilon).output;
  }
}

/** Normalises each sample over the given axes. */
export const layerNormalization = maker(LayerNormalization);

const groupOptions = {
  /** Number of groups the channels are split into; −1 is one per channel (instance norm). */
  groups: integer({ min: -1 }, 32),
  /** The channels. */
  axis: integer({}, -1),
  ...affineOptions,
};

/** Normalises groups of channels of each sample (Wu & He 2018). */
export class GroupNormalization extends Layer<typeof groupOptions> {
  static override readonly className = "GroupNormalization";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #gamma: Variable | undefined;
  #beta: Variable | undefined;
  #axis = -1;
  #groups = 1;

  constructor(options: LayerOptions & OptionsOf<typeof groupOptions> = {}) {
    super(options, groupOptions);
    if (this.config.groups === 0) {
      throw new ArgumentError(expected(this.where, "`groups` to be ≥ 1, or -1", 0));
    }
  }

  override build(inputShape: BatchShape): void {
    const o = this.config;
    this.#axis = normalizeAxis(`${this.where}: axis`, o.axis, inputShape.length);
    if (this.#axis === 0) {
      throw new ArgumentError(
        expected(this.where, "`axis` to be another than the batch's", o.axis),
      );
    }
    const size = knownSize(this.where, inputShape, this.#axis);
    this.#groups = o.groups === -1 ? size : o.groups;
    if (size % this.#groups !== 0) {
      throw new ShapeError(
        expected(
          this.where,
          `a number of channels that its ${this.#groups} groups divide`,
          `${size} in shape ${showShape(inputShape)}`,
        ),
      );
    }
    if (o.scale) this.#gamma = this.addWeight("gamma", [size], weightOf(o, "gamma"));
    if (o.center) this.#beta = this.addWeight("beta", [size], weightOf(o, "beta"));
    this.inputSpec = { rank: inputShape.length, axes: { [this.#axis]: size } };
  }

  override call(x: Tensor): Tensor {
    const axis = this.#axis;
    const group = [this.#groups, x.shape[axis]! / this.#groups];
    // The channels become [groups, channels per group]; all but batch and groups is averaged over.
    const split = [...x.shape.slice(0, axis), ...group, ...x.shape.slice(axis + 1)];
    const own = split.map((d, i) => (i === axis || i === axis + 1 ? d : 1));
    const over = split.map((_, i) => i).filter((i) => i !== 0 && i !== axis);
    const gamma = spread(this.#gamma, own);
    const beta = spread(this.#beta, own);
    const { output } = normalize(reshape(x, split), over, gamma, beta, this.config.epsilon);
    return reshape(output, x.shape);
  }
}

/** Normalises groups of channels of each sample. */
export const groupNormalization = maker(GroupNormalization);

const unitOptions = {
  /** The axis or axes over which the length becomes 1. */
  axis: axes(-1),
};

/** x divided by its Euclidean length over the given axes. */
export class UnitNormalization extends Layer<typeof unitOptions> {
  static override readonly className = "UnitNormalization";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 1 };

  constructor(options: LayerOptions & OptionsOf<typeof unitOptions> = {}) {
    super(options, unitOptions);
  }

  override call(x: Tensor): Tensor {
    // Keras' floor of 1e-12 for the length, squared.
    return mul(x, rsqrt(maximum(sum(square(x), this.config.axis, true), 1e-24)));
  }
}

/** x divided by its Euclidean length over the given axes. */
export const unitNormalization = maker(UnitNormalization);

const responseOptions = {
  /** How many channels on either side count. */
  depthRadius: integer({ min: 0 }, 5),
  bias: number({ min: 0 }, 1),
  /** Not divided by the number of channels: a fifth of PyTorch's for its `size` 5. */
  alpha: number({ min: 0 }, 1),
  beta: number({ min: 0 }, 0.5),
  dataFormat: dataFormat(),
};

/** Options of {@link localResponseNormalization}. */
export type LocalResponseNormalizationOptions = LayerOptions & OptionsOf<typeof responseOptions>;

/**
 * x / (bias + alpha · Σ x²)^beta, the sum over neighbouring channels (Krizhevsky et al. 2012), with
 * TensorFlow's options and defaults.
 */
export class LocalResponseNormalization extends Layer<typeof responseOptions> {
  static override readonly className = "LocalResponseNormalization";
  protected override inputSpec: InputSpec = { minRank: 2 };

  constructor(options: LocalResponseNormalizationOptions = {}) {
    super(options, responseOptions);
  }

  override call(x: Tensor): Tensor {
    const { dataFormat: format, ...options } = this.config;
    return withChannelsLast(x, format, (y) => respond(y, options));
  }

  /**
   * By the definition: a square, the window's sum, two operations on it, its power and a product for each
   * element. The product with a banded matrix that computes the sums would count its zeros, too.
   */
  override operationsPerSample(inputShape: BatchShape | BatchShape[]): Operations {
    const [, ...sample] = shapesOf(inputShape)[0]!.map((dim) => dim ?? 1);
    const { dataFormat: format, depthRadius } = this.config;
    const channels = sample.at(format === "channelsFirst" ? 0 : -1)!;
    const window = Math.min(channels, 2 * depthRadius + 1);
    return { flops: sizeOf(sample) * (window + 4), multiplyAdds: 0 };
  }
}

/** x / (bias + alpha · Σ x²)^beta, the sum over neighbouring channels. */
export const localResponseNormalization = maker(LocalResponseNormalization);
