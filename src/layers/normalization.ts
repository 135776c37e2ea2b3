/** Normalisation layers: batch, layer, group and unit norm, with Keras' formulas and defaults. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import {
  add,
  cast,
  div,
  greater,
  maximum,
  mul,
  neg,
  rsqrt,
  square,
  sub,
  where,
} from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import {
  type Normalized,
  normalize,
  localResponseNormalization as respond,
} from "../ops/normalization.js";
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
import { countedOf } from "./masks.js";
import { spread as spreadMask } from "./sequence.js";
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

/** Whether a mask leaves out anything of what is reduced along `axes`: it stands beside the first ones. */
const reaches = (mask: Tensor | null, axes: readonly number[]): mask is Tensor =>
  mask !== null && axes.some((axis) => axis < mask.rank);

/** As `normalize`, with the statistics of what `mask` leaves; `any` tells where it leaves something. */
function normalizeMasked(
  x: Tensor,
  mask: Tensor,
  axes: readonly number[],
  gamma: Tensor | null,
  beta: Tensor | null,
  epsilon: number,
): Normalized & { any: Tensor } {
  const counts = spreadMask(mask, x);
  // Each element of the mask stands for so many of x.
  const each = sizeOf(axes.filter((axis) => axis >= mask.rank).map((axis) => x.shape[axis]!));
  const count = mul(sum(cast(counts, "float32"), axes, true), each);
  const any = greater(count, 0);
  const meanOf = (y: Tensor): Tensor =>
    div(sum(where(counts, y, 0), axes, true), maximum(count, 1));
  const mean = meanOf(x);
  const centered = sub(x, mean);
  const variance = meanOf(square(centered));
  // Where nothing counts the result is finite for any epsilon: its gradient is multiplied by 0 later.
  const inverse = rsqrt(add(where(any, variance, 1), epsilon));
  const scaled = mul(centered, gamma ? mul(inverse, gamma) : inverse);
  return { output: beta ? add(scaled, beta) : scaled, mean, variance, any };
}

/** `normalize`, over what a mask leaves where one reaches the axes. */
function normalizeOver(
  x: Tensor,
  mask: Tensor | null,
  axes: readonly number[],
  gamma: Tensor | null,
  beta: Tensor | null,
  epsilon: number,
): Tensor {
  return reaches(mask, axes)
    ? normalizeMasked(x, mask, axes, gamma, beta, epsilon).output
    : normalize(x, axes, gamma, beta, epsilon).output;
}

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
 * while training, with their moving averages otherwise, or when the layer is not trainable. Mean and variance
 * are those of what a mask leaves; where it leaves nothing, the moving averages stay.
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
      const mask = countedOf(x, context);
      const masked = mask && normalizeMasked(x, mask, others, gamma, beta, epsilon);
      const { output, mean, variance } = masked ?? normalize(x, others, gamma, beta, epsilon);
      const any = masked && reshape(masked.any, [masked.any.size]);
      // moving ← moving·momentum + batch·(1 − momentum)
      const blend = (moving: Variable, batch: Tensor): void => {
        const next = add(mul(moving, momentum), mul(reshape(batch, [size]), 1 - momentum));
        moving.assign(any ? where(any, next, moving) : next);
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

/** Normalises each channel over the batch. */
export const batchNormalization = maker(BatchNormalization);

const layerNormOptions = {
  /** The axis or axes that are normalised together. */
  axis: axes(-1),
  ...affineOptions,
};

/**
 * Normalises each sample over the given axes (Ba et al. 2016): with mean and variance of what a mask leaves,
 * where one of them is an axis of the mask, such as that of steps.
 */
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
    return normalizeOver(x, maskOf(x), this.#axes, gamma, beta, this.config.epsilon);
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

/** Normalises groups of channels of each sample (Wu & He 2018): over the steps that a mask leaves. */
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
    const splitOf = (shape: Shape): Shape => [
      ...shape.slice(0, axis),
      ...group,
      ...shape.slice(axis + 1),
    ];
    const split = splitOf(x.shape);
    const own = split.map((d, i) => (i === axis || i === axis + 1 ? d : 1));
    const over = split.map((_, i) => i).filter((i) => i !== 0 && i !== axis);
    const gamma = spread(this.#gamma, own);
    const beta = spread(this.#beta, own);
    const given = maskOf(x);
    const mask = given && given.rank > axis ? reshape(given, splitOf(given.shape)) : given;
    const y = normalizeOver(reshape(x, split), mask, over, gamma, beta, this.config.epsilon);
    return reshape(y, x.shape);
  }
}

/** Normalises groups of channels of each sample. */
export const groupNormalization = maker(GroupNormalization);

const unitOptions = {
  /** The axis or axes over which the length becomes 1. */
  axis: axes(-1),
};

/** x divided by its Euclidean length over the given axes: that of what a mask leaves. */
export class UnitNormalization extends Layer<typeof unitOptions> {
  static override readonly className = "UnitNormalization";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 1 };

  constructor(options: LayerOptions & OptionsOf<typeof unitOptions> = {}) {
    super(options, unitOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { axis } = this.config;
    const mask = countedOf(x, context);
    const masked = mask && reaches(mask, normalizeAxes(`${this.where}: axis`, axis, x.rank));
    const counted = masked ? where(spreadMask(mask, x), x, 0) : x;
    // Keras' floor of 1e-12 for the length, squared.
    return mul(x, rsqrt(maximum(sum(square(counted), axis, true), 1e-24)));
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
