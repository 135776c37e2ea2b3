/** Pooling layers over sequences, images and volumes; global ones reduce all but batch and channels. */
import { ArgumentError, expected } from "../errors.js";
import { cast, div, maximum, where } from "../ops/elementwise.js";
import { expandDims, squeeze } from "../ops/movement.js";
import { avgPool, maxPool } from "../ops/pooling.js";
import { any as anyOf, max, mean, sum } from "../ops/reduce.js";
import { maskOf } from "../tensor/mask.js";
import type { Tensor } from "../tensor/tensor.js";
import { perAxis } from "../tensor/window.js";
import { boolean, dataFormat, nullable, type OptionsOf } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { checkPairs, padding, sizes, spatialAxes, withChannelsLast } from "./spatial.js";

const poolOptions = {
  /** Size of the window, of all axes or of each. */
  poolSize: sizes(1, 2),
  /** Distance of windows; `poolSize` when left out. */
  strides: nullable(sizes(1)),
  /** "same" lets windows reach beyond the edges, where there is nothing: padding counts in no mean. */
  padding: padding(),
  dataFormat: dataFormat(),
};

/** Options of pooling over windows. */
export type PoolingOptions = LayerOptions & OptionsOf<typeof poolOptions>;

/** One value per window and channel. The classes below say of how many axes, and which value. */
abstract class Pooling extends Layer<typeof poolOptions> {
  protected override inputSpec: InputSpec;
  readonly #op: typeof maxPool;

  constructor(options: PoolingOptions, axes: number, op: typeof maxPool) {
    super(options, poolOptions);
    this.inputSpec = { rank: axes + 2 };
    this.#op = op;
    perAxis(this.where, "poolSize", this.config.poolSize, axes);
    if (this.config.strides !== null) perAxis(this.where, "strides", this.config.strides, axes);
    checkPairs(this.where, this.config.padding, axes);
  }

  override call(x: Tensor): Tensor {
    const { poolSize, strides, padding: pads, dataFormat: format } = this.config;
    return withChannelsLast(x, format, (y) =>
      this.#op(y, poolSize, { strides: strides ?? poolSize, padding: pads }),
    );
  }
}

/** The largest value of each window of [batch, steps, channels]. */
export class MaxPooling1D extends Pooling {
  static override readonly className = "MaxPooling1D";
  constructor(options: PoolingOptions = {}) {
    super(options, 1, maxPool);
  }
}

/** The largest value of each window of [batch, steps, channels]. */
export const maxPooling1d = maker(MaxPooling1D);

/** The largest value of each window of [batch, height, width, channels]. */
export class MaxPooling2D extends Pooling {
  static override readonly className = "MaxPooling2D";
  constructor(options: PoolingOptions = {}) {
    super(options, 2, maxPool);
  }
}

/** The largest value of each window of [batch, height, width, channels]. */
export const maxPooling2d = maker(MaxPooling2D);

/** The largest value of each window of [batch, depth, height, width, channels]. */
export class MaxPooling3D extends Pooling {
  static override readonly className = "MaxPooling3D";
  constructor(options: PoolingOptions = {}) {
    super(options, 3, maxPool);
  }
}

/** The largest value of each window of [batch, depth, height, width, channels]. */
export const maxPooling3d = maker(MaxPooling3D);

/** The mean of each window of [batch, steps, channels]. */
export class AveragePooling1D extends Pooling {
  static override readonly className = "AveragePooling1D";
  constructor(options: PoolingOptions = {}) {
    super(options, 1, avgPool);
  }
}

/** The mean of each window of [batch, steps, channels]. */
export const averagePooling1d = maker(AveragePooling1D);

/** The mean of each window of [batch, height, width, channels]. */
export class AveragePooling2D extends Pooling {
  static override readonly className = "AveragePooling2D";
  constructor(options: PoolingOptions = {}) {
    super(options, 2, avgPool);
  }
}

/** The mean of each window of [batch, height, width, channels]. */
export const averagePooling2d = maker(AveragePooling2D);

/** The mean of each window of [batch, depth, height, width, channels]. */
export class AveragePooling3D extends Pooling {
  static override readonly className = "AveragePooling3D";
  constructor(options: PoolingOptions = {}) {
    super(options, 3, avgPool);
  }
}

/** The mean of each window of [batch, depth, height, width, channels]. */
export const averagePooling3d = maker(AveragePooling3D);

const globalOptions = {
  dataFormat: dataFormat(),
  /** Whether the axes that are reduced stay, with size 1. */
  keepDims: boolean(false),
};

/** Options of pooling over all positions. */
export type GlobalPoolingOptions = LayerOptions & OptionsOf<typeof globalOptions>;

/** One value per channel. Output shape: [batch, channels], or with `keepDims` the input's rank. */
abstract class GlobalPooling extends Layer<typeof globalOptions> {
  protected override inputSpec: InputSpec;
  readonly #op: typeof max;

  constructor(options: GlobalPoolingOptions, axes: number, op: typeof max) {
    super(options, globalOptions);
    this.inputSpec = { rank: axes + 2 };
    this.#op = op;
  }

  override call(x: Tensor): Tensor {
    const { dataFormat: format, keepDims } = this.config;
    return this.#op(x, spatialAxes(format, x.rank), keepDims);
  }

  /** Masks are of steps, which come second with channels last only. */
  protected checkMasked(): void {
    if (this.config.dataFormat === "channelsLast") return;
    throw new ArgumentError(
      expected(this.where, "channels last where the input has a mask", "channelsFirst"),
    );
  }

  /** What was reduced along axis 1 with the axis kept, as `keepDims` wants it. */
  protected keptDims(y: Tensor): Tensor {
    return this.config.keepDims ? y : squeeze(y, 1);
  }
}

/** A mask [batch, steps] as [batch, steps, 1]: where a step counts, and whether any of a sample's does. */
function stepsOf(x: Tensor): { counts: Tensor; any: Tensor } | null {
  const mask = maskOf(x);
  if (mask === null || mask.rank !== 2) return null;
  const counts = expandDims(mask, -1);
  return { counts, any: anyOf(counts, 1, true) };
}

/**
 * The largest value of each channel of [batch, steps, channels], over the steps that a mask leaves; 0 where
 * it leaves none.
 */
export class GlobalMaxPooling1D extends GlobalPooling {
  static override readonly className = "GlobalMaxPooling1D";
  override readonly supportsMasking = true;
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 1, max);
  }

  override call(x: Tensor): Tensor {
    const steps = stepsOf(x);
    if (!steps) return super.call(x);
    this.checkMasked();
    const largest = max(where(steps.counts, x, -Infinity), 1, true);
    return this.keptDims(where(steps.any, largest, 0));
  }

  override computeMask(): null {
    return null;
  }
}

/** The largest value of each channel of [batch, steps, channels]. */
export const globalMaxPooling1d = maker(GlobalMaxPooling1D);

/** The largest value of each channel of [batch, height, width, channels]. */
export class GlobalMaxPooling2D extends GlobalPooling {
  static override readonly className = "GlobalMaxPooling2D";
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 2, max);
  }
}

/** The largest value of each channel of [batch, height, width, channels]. */
export const globalMaxPooling2d = maker(GlobalMaxPooling2D);

/** The largest value of each channel of [batch, depth, height, width, channels]. */
export class GlobalMaxPooling3D extends GlobalPooling {
  static override readonly className = "GlobalMaxPooling3D";
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 3, max);
  }
}

/** The largest value of each channel of [batch, depth, height, width, channels]. */
export const globalMaxPooling3d = maker(GlobalMaxPooling3D);

/**
 * The mean of each channel of [batch, steps, channels], over the steps that a mask leaves; 0 where it leaves
 * none.
 */
export class GlobalAveragePooling1D extends GlobalPooling {
  static override readonly className = "GlobalAveragePooling1D";
  override readonly supportsMasking = true;
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 1, mean);
  }

  override call(x: Tensor): Tensor {
    const steps = stepsOf(x);
    if (!steps) return super.call(x);
    this.checkMasked();
    const total = sum(where(steps.counts, x, 0), 1, true);
    const count = sum(cast(steps.counts, "float32"), 1, true);
    return this.keptDims(div(total, maximum(count, 1)));
  }

  override computeMask(): null {
    return null;
  }
}

/** The mean of each channel of [batch, steps, channels]. */
export const globalAveragePooling1d = maker(GlobalAveragePooling1D);

/** The mean of each channel of [batch, height, width, channels]. */
export class GlobalAveragePooling2D extends GlobalPooling {
  static override readonly className = "GlobalAveragePooling2D";
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 2, mean);
  }
}

/** The mean of each channel of [batch, height, width, channels]. */
export const globalAveragePooling2d = maker(GlobalAveragePooling2D);

/** The mean of each channel of [batch, depth, height, width, channels]. */
export class GlobalAveragePooling3D extends GlobalPooling {
  static override readonly className = "GlobalAveragePooling3D";
  constructor(options: GlobalPoolingOptions = {}) {
    super(options, 3, mean);
  }
}

/** The mean of each channel of [batch, depth, height, width, channels]. */
export const globalAveragePooling3d = maker(GlobalAveragePooling3D);
