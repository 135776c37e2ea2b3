/** Layers that change only training: dropout and its relatives, noise, activity penalties. */
import { ArgumentError, expected } from "../errors.js";
import { abs, add, mul, square, where } from "../ops/elementwise.js";
import { bernoulliFrom, normalFrom } from "../ops/random.js";
import { sum } from "../ops/reduce.js";
import type { RandomSource } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { dataFormat, nullable, number, type OptionsOf, seed, shape } from "./config.js";
import {
  type CallContext,
  type InputSpec,
  Layer,
  type LayerOptions,
  maker,
  perSample,
} from "./layer.js";
import { sourceOf } from "./randomness.js";
import type { BatchShape } from "./symbolic.js";

/** x with a fraction `rate` set to 0 and the rest scaled so that the mean stays. */
function drop(x: Tensor, rate: number, source: RandomSource, noise: Shape): Tensor {
  if (rate === 0) return x;
  // At rate 1 the scale would be infinite, and every value is dropped anyhow.
  if (rate === 1) return mul(x, 0);
  const keep = bernoulliFrom(source, noise, 1 - rate);
  return where(keep, mul(x, 1 / (1 - rate)), 0);
}

const rateOptions = {
  /** Fraction of the values to drop. */
  rate: number({ min: 0, max: 1 }),
  /** Fixes the choice, independently of the model's seed. */
  seed: seed(),
};

const noiseOptions = {
  ...rateOptions,
  /** Shape of the mask; null for the input's size, 1 to share a choice along an axis. */
  noiseShape: nullable(shape(1)),
};

/** A noise shape for one input: null means the input's own size. */
function noiseFor(where: string, x: Tensor, noise: BatchShape | null): Shape {
  if (noise === null) return x.shape;
  const fits =
    noise.length === x.rank && noise.every((d, i) => d === null || d === 1 || d === x.shape[i]);
  if (!fits) {
    throw new ArgumentError(
      expected(
        where,
        `\`noiseShape\` to have the input's rank ${x.rank}, each size 1, null or the input's`,
        noise,
      ),
    );
  }
  return noise.map((d, i) => d ?? x.shape[i]!);
}

/** Drops values at random while training (Srivastava et al. 2014). Output shape: as the input. */
export class Dropout extends Layer<typeof noiseOptions> {
  static override readonly className = "Dropout";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof noiseOptions>) {
    super(options, noiseOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    if (!context.training) return x;
    const { rate, seed: own, noiseShape } = this.config;
    return drop(x, rate, sourceOf(this, context, own), noiseFor(this.where, x, noiseShape));
  }
}

/** Drops values at random while training. */
export const dropout = maker(Dropout);

/** Drops whole channels of sequences [batch, steps, channels] (Tompson et al. 2014). */
export class SpatialDropout1D extends Layer<typeof rateOptions> {
  static override readonly className = "SpatialDropout1D";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { rank: 3 };

  constructor(options: LayerOptions & OptionsOf<typeof rateOptions>) {
    super(options, rateOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    if (!context.training) return x;
    const { rate, seed: own } = this.config;
    return drop(x, rate, sourceOf(this, context, own), [x.shape[0]!, 1, x.shape[2]!]);
  }
}

/** Drops whole channels of sequences. */
export const spatialDropout1d = maker(SpatialDropout1D);

const spatialOptions = { ...rateOptions, dataFormat: dataFormat() };
type SpatialDropoutOptions = LayerOptions & OptionsOf<typeof spatialOptions>;

/** [batch, 1, …, 1, channels], or the channels second. */
function channelNoise(x: Tensor, format: "channelsLast" | "channelsFirst"): Shape {
  const channels = format === "channelsLast" ? x.rank - 1 : 1;
  return x.shape.map((d, i) => (i === 0 || i === channels ? d : 1));
}

/** Drops whole channels of what has so many dimensions. */
abstract class SpatialDropout extends Layer<typeof spatialOptions> {
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec;

  constructor(options: SpatialDropoutOptions, rank: number) {
    super(options, spatialOptions);
    this.inputSpec = { rank };
  }

  override call(x: Tensor, context: CallContext): Tensor {
    if (!context.training) return x;
    const { rate, seed: own, dataFormat: format } = this.config;
    return drop(x, rate, sourceOf(this, context, own), channelNoise(x, format));
  }
}

/** Drops whole channels of images [batch, height, width, channels]. */
export class SpatialDropout2D extends SpatialDropout {
  static override readonly className = "SpatialDropout2D";
  constructor(options: SpatialDropoutOptions) {
    super(options, 4);
  }
}

/** Drops whole channels of images. */
export const spatialDropout2d = maker(SpatialDropout2D);

/** Drops whole channels of volumes [batch, depth, height, width, channels]. */
export class SpatialDropout3D extends SpatialDropout {
  static override readonly className = "SpatialDropout3D";
  constructor(options: SpatialDropoutOptions) {
    super(options, 5);
  }
}

/** Drops whole channels of volumes. */
export const spatialDropout3d = maker(SpatialDropout3D);

const gaussianNoiseOptions = {
  /** Standard deviation of the noise. */
  stddev: number({ min: 0 }),
  seed: seed(),
};

/** Adds normal noise while training. */
export class GaussianNoise extends Layer<typeof gaussianNoiseOptions> {
  static override readonly className = "GaussianNoise";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof gaussianNoiseOptions>) {
    super(options, gaussianNoiseOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { stddev, seed: own } = this.config;
    if (!context.training || stddev === 0) return x;
    return add(x, mul(normalFrom(sourceOf(this, context, own), x.shape), stddev));
  }
}

/** Adds normal noise while training. */
export const gaussianNoise = maker(GaussianNoise);

/** Below 1: at rate 1 the noise would be infinite. */
const gaussianRate = { rate: number({ min: 0, max: 1 - 2 ** -24 }), seed: seed() };

/** Multiplies with normal noise of mean 1 and variance rate / (1 − rate) while training. */
export class GaussianDropout extends Layer<typeof gaussianRate> {
  static override readonly className = "GaussianDropout";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof gaussianRate>) {
    super(options, gaussianRate);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { rate, seed: own } = this.config;
    if (!context.training || rate === 0) return x;
    const stddev = Math.sqrt(rate / (1 - rate));
    return mul(x, add(mul(normalFrom(sourceOf(this, context, own), x.shape), stddev), 1));
  }
}

/** Multiplies with normal noise of mean 1 while training. */
export const gaussianDropout = maker(GaussianDropout);

const alphaOptions = {
  rate: number({ min: 0, max: 1 - 2 ** -24 }),
  noiseShape: nullable(shape(1)),
  seed: seed(),
};

/** −scale · alpha of selu: where it saturates. */
const seluLimit = -1.6732632423543772 * 1.0507009873554805;

/** Dropout that keeps mean and variance of selu's outputs (Klambauer et al. 2017). */
export class AlphaDropout extends Layer<typeof alphaOptions> {
  static override readonly className = "AlphaDropout";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof alphaOptions>) {
    super(options, alphaOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { rate, seed: own, noiseShape } = this.config;
    if (!context.training || rate === 0) return x;
    const noise = noiseFor(this.where, x, noiseShape);
    const keep = bernoulliFrom(sourceOf(this, context, own), noise, 1 - rate);
    // a·(kept x, else α′) + b with a = ((1−r)(1 + r·α′²))^−½, b = −a·α′·r
    const a = ((1 - rate) * (1 + rate * seluLimit ** 2)) ** -0.5;
    return add(mul(where(keep, x, seluLimit), a), -a * seluLimit * rate);
  }
}

/** Dropout that keeps mean and variance of selu's outputs. */
export const alphaDropout = maker(AlphaDropout);

const activityOptions = {
  /** Factor of Σ|x|. */
  l1: number({ min: 0 }, 0),
  /** Factor of Σx². */
  l2: number({ min: 0 }, 0),
};

/** Passes its input on and adds (l1·Σ|x| + l2·Σx²) / batch size to the loss. */
export class ActivityRegularization extends Layer<typeof activityOptions> {
  static override readonly className = "ActivityRegularization";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof activityOptions> = {}) {
    super(options, activityOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { l1, l2 } = this.config;
    if (l1 > 0) context.addLoss(perSample(mul(sum(abs(x)), l1), x));
    if (l2 > 0) context.addLoss(perSample(mul(sum(square(x)), l2), x));
    return x;
  }
}

/** Adds (l1·Σ|x| + l2·Σx²) / batch size to the loss. */
export const activityRegularization = maker(ActivityRegularization);
