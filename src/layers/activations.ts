/** Activations as layers of their own. The plain ones are `activation` with a name. */
import { ArgumentError, expected } from "../errors.js";
import { rectifier, rectifierOptions } from "../nn/activations.js";
import { elu as eluOf, leakyRelu, prelu as preluOf, thresholdedRelu } from "../ops/composed.js";
import { where } from "../ops/elementwise.js";
import { softmax as softmaxOf } from "../ops/softmax.js";
import { normalizeAxis } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  axes,
  integer,
  knownSize,
  nullable,
  number,
  type OptionsOf,
  weightFields,
  weightOf,
} from "./config.js";
import { type CallContext, type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { countedOf } from "./masks.js";
import { spread } from "./sequence.js";
import type { BatchShape } from "./symbolic.js";

/** min(x, maxValue) from the threshold on, negativeSlope · (x − threshold) below. */
export class ReLU extends Layer<typeof rectifierOptions> {
  static override readonly className = "ReLU";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof rectifierOptions> = {}) {
    super(options, rectifierOptions);
  }

  override call(x: Tensor): Tensor {
    return rectifier(x, this.config);
  }
}

/** The rectifier, with an upper limit, a slope and a threshold of choice. */
export const reLU = maker(ReLU);

const leakyReLUOptions = {
  /** Slope below 0. */
  alpha: number({ min: 0 }, 0.3),
};

/** x, or alpha · x below 0 (Maas et al. 2013). */
export class LeakyReLU extends Layer<typeof leakyReLUOptions> {
  static override readonly className = "LeakyReLU";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof leakyReLUOptions> = {}) {
    super(options, leakyReLUOptions);
  }

  override call(x: Tensor): Tensor {
    return leakyRelu(x, this.config.alpha);
  }
}

/** x, or alpha · x below 0. */
export const leakyReLU = maker(LeakyReLU);

const eluOptions = {
  /** −alpha is the limit for x → −∞. */
  alpha: number({}, 1),
};

/** x, or alpha · (eˣ − 1) below 0 (Clevert et al. 2016). */
export class ELU extends Layer<typeof eluOptions> {
  static override readonly className = "ELU";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof eluOptions> = {}) {
    super(options, eluOptions);
  }

  override call(x: Tensor): Tensor {
    return eluOf(x, this.config.alpha);
  }
}

/** x, or alpha · (eˣ − 1) below 0. */
export const elu = maker(ELU);

const preluOptions = {
  ...weightFields("alpha", "zeros"),
  /** Axes (from 1) along which one slope is shared: [1, 2] for one per channel of an image. */
  sharedAxes: nullable(axes()),
};

/** x, or a learned slope times x below 0 (He et al. 2015). */
export class PReLU extends Layer<typeof preluOptions> {
  static override readonly className = "PReLU";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #alpha!: Variable;

  constructor(options: LayerOptions & OptionsOf<typeof preluOptions> = {}) {
    super(options, preluOptions);
  }

  override build(inputShape: BatchShape): void {
    const { sharedAxes, ...o } = this.config;
    const shared = [sharedAxes ?? []].flat();
    for (const axis of shared) {
      if (axis < 1 || axis >= inputShape.length) {
        throw new ArgumentError(
          expected(this.where, `\`sharedAxes\` from 1 to ${inputShape.length - 1}`, axis),
        );
      }
    }
    const shape = inputShape
      .slice(1)
      .map((_, i) => (shared.includes(i + 1) ? 1 : knownSize(this.where, inputShape, i + 1)));
    this.#alpha = this.addWeight("alpha", shape, weightOf(o, "alpha"));
    this.inputSpec = {
      rank: inputShape.length,
      axes: Object.fromEntries(shape.flatMap((d, i) => (d === 1 ? [] : [[i + 1, d]]))),
    };
  }

  override call(x: Tensor): Tensor {
    return preluOf(x, this.#alpha);
  }
}

/** x, or a learned slope times x below 0. */
export const prelu = maker(PReLU);

const softmaxOptions = {
  /** The axis over which the values sum to 1. */
  axis: integer({}, -1),
};

/** eˣ / Σ eˣ; over an axis that has a mask, such as that of steps, over what it leaves: the others get 0. */
export class Softmax extends Layer<typeof softmaxOptions> {
  static override readonly className = "Softmax";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof softmaxOptions> = {}) {
    super(options, softmaxOptions);
  }

  override call(x: Tensor, context: CallContext): Tensor {
    const { axis } = this.config;
    const mask = countedOf(x, context);
    if (!mask || normalizeAxis(`${this.where}: axis`, axis, x.rank) >= mask.rank) {
      return softmaxOf(x, axis);
    }
    const counts = spread(mask, x);
    return where(counts, softmaxOf(where(counts, x, -1e9), axis), 0);
  }
}

/** eˣ / Σ eˣ. */
export const softmax = maker(Softmax);

const thresholdedReLUOptions = {
  /** Where the positive part begins. */
  theta: number({ min: 0 }, 1),
};

/** x where it exceeds theta, else 0. */
export class ThresholdedReLU extends Layer<typeof thresholdedReLUOptions> {
  static override readonly className = "ThresholdedReLU";
  override readonly supportsMasking = true;

  constructor(options: LayerOptions & OptionsOf<typeof thresholdedReLUOptions> = {}) {
    super(options, thresholdedReLUOptions);
  }

  override call(x: Tensor): Tensor {
    return thresholdedRelu(x, this.config.theta);
  }
}

/** x where it exceeds theta, else 0. */
export const thresholdedReLU = maker(ThresholdedReLU);
