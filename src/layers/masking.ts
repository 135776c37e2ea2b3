/** Layers that give a sequence its mask: by a value that stands for "nothing", or by lengths. */
import { ArgumentError, DTypeError, expected, ShapeError } from "../errors.js";
import { range } from "../ops/creation.js";
import { less, maximum, minimum, notEqual, where } from "../ops/elementwise.js";
import { withMask } from "../ops/identity.js";
import { expandDims, reshape } from "../ops/movement.js";
import { any } from "../ops/reduce.js";
import { dtypes } from "../tensor/dtype.js";
import { setLengths } from "../tensor/mask.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { number, type OptionsOf } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import type { Masks } from "./masks.js";

const maskingOptions = {
  /** Steps in which every feature has this value are left out. */
  maskValue: number({}, 0),
};

/** Options of masking. */
export type MaskingOptions = LayerOptions & OptionsOf<typeof maskingOptions>;

/**
 * Leaves out the steps of [batch, steps, features] whose features all are `maskValue`: they become 0 and
 * get a mask that the following layers honour. Output shape: as the input.
 */
export class Masking extends Layer<typeof maskingOptions> {
  static override readonly className = "Masking";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };

  constructor(options: MaskingOptions = {}) {
    super(options, maskingOptions);
  }

  override call(x: Tensor): Tensor {
    const counts = any(notEqual(x, this.config.maskValue), -1, true);
    return where(counts, x, 0);
  }

  /** Replaces a mask that the input had, as Keras does. */
  override computeMask(x: Tensor): Masks {
    return any(notEqual(x, this.config.maskValue), -1);
  }
}

/** Leaves out the steps whose features all are `maskValue`. */
export const masking = maker(Masking);

/**
 * Gives the first of two inputs a mask: the second is the number of valid steps of each sample (int32
 * [batch], as `paddedBatch({ lengths })` makes them), or the mask itself (bool [batch, steps]). Passes the
 * first on unchanged.
 *
 * Lengths are the faster way: recurrent layers need not look for holes then.
 *
 * @example
 * const x = lw.input({ shape: [null, 12] });
 * const lengths = lw.input({ shape: [], dtype: "int32" });
 * const h = lw.layers.lstm({ units: 32 }).apply(lw.layers.applyMask().apply([x, lengths]));
 */
export class ApplyMask extends Layer {
  static override readonly className = "ApplyMask";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = {
    arity: "several",
    minRank: 2,
    dtypes,
    others: { minRank: 1, maxRank: 2, dtypes: ["int32", "bool"] },
  };

  constructor(options: LayerOptions = {}) {
    super(options, {});
  }

  override call(inputs: Tensor[]): Tensor {
    if (inputs.length !== 2) {
      throw new ArgumentError(expected(this.where, "two inputs", `${inputs.length}`));
    }
    const [x, given] = inputs as [Tensor, Tensor];
    if (given.dtype === "bool") return withMask(x, given);
    const counts = given.rank === 2 && given.shape[1] === 1 ? given : expandDims(given, -1);
    if (counts.rank !== 2 || counts.shape[0] !== x.shape[0]) {
      throw new ShapeError(
        expected(
          this.where,
          `lengths of shape [${x.shape[0]}] or a bool mask`,
          `${given.dtype} ${showShape(given.shape)}`,
        ),
      );
    }
    if (counts.dtype !== "int32") throw new DTypeError(expected(this.where, "int32", counts.dtype));
    const [batch, steps] = x.shape as [number, number];
    const mask = less(range(0, steps, 1, "int32"), counts);
    setLengths(mask, reshape(maximum(minimum(counts, steps), 0), [batch]));
    return withMask(x, mask);
  }
}

/** Gives its first input a mask: by lengths, or a mask of your own. */
export const applyMask = maker(ApplyMask);
