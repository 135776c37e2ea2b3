/** Layers that give a sequence its mask: by a value that stands for "nothing", or by lengths. */
import { ArgumentError, DTypeError, expected, ShapeError, show } from "../errors.js";
import { fill } from "../ops/creation.js";
import { greater, isNaN, logicalNot, notEqual, where } from "../ops/elementwise.js";
import { withMask } from "../ops/identity.js";
import { reshape } from "../ops/movement.js";
import { any } from "../ops/reduce.js";
import { sequenceProduct } from "../ops/sequence.js";
import { dtypes } from "../tensor/dtype.js";
import { setLengths } from "../tensor/mask.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Field, OptionsOf } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import type { Masks } from "./masks.js";

/** A finite number, or NaN, for which JSON has no number: configurations say "NaN". */
const maskValue: Field<number, number | "NaN", false> = {
  required: false,
  parse(where, option, given) {
    if (given === undefined) return 0;
    if (given === "NaN") return NaN;
    if (typeof given === "number" && Math.abs(given) !== Infinity) return given;
    throw new ArgumentError(
      expected(where, `\`${option}\` to be a finite number or NaN`, show(given)),
    );
  },
  serialize: (value) => (Number.isNaN(value) ? "NaN" : value),
};

const maskingOptions = {
  /** Steps in which every feature has this value are left out; NaN stands for values that are missing. */
  maskValue,
};

/** Options of masking. */
export type MaskingOptions = LayerOptions & OptionsOf<typeof maskingOptions>;

/**
 * Leaves out the steps of [batch, steps, features] whose features all are `maskValue`: they become 0 and
 * get a mask that the following layers honour. A step that has the value in some features only counts, and
 * stays as it is. Output shape: as the input.
 */
export class Masking extends Layer<typeof maskingOptions> {
  static override readonly className = "Masking";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };

  constructor(options: MaskingOptions = {}) {
    super(options, maskingOptions);
  }

  override call(x: Tensor): Tensor {
    return where(this.#counts(x, true), x, 0);
  }

  /** Which steps count: those that have some value other than `maskValue`. */
  #counts(x: Tensor, keepDims: boolean): Tensor {
    const { maskValue: value } = this.config;
    // NaN differs from itself.
    const other = Number.isNaN(value) ? logicalNot(isNaN(x)) : notEqual(x, value);
    return any(other, -1, keepDims);
  }

  /** Replaces a mask that the input had, as Keras does. */
  override computeMask(x: Tensor): Masks {
    return this.#counts(x, false);
  }
}

/** Leaves out the steps whose features all are `maskValue`. */
export const masking = maker(Masking);

/**
 * Gives the first of two inputs a mask: the second is the number of valid steps of each sample (int32
 * [batch], as `paddedBatch({ lengths })` makes them), or the mask itself (bool [batch, steps]). Passes the
 * first on unchanged.
 *
 * Lengths are the faster way: recurrent layers need not look for holes then. One below 0 or above the number of
 * steps is an error: at once where lengths have values, else when what depends on the mask is computed.
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
    const listed = given.rank === 1 || given.shape[1] === 1;
    if (!listed || given.shape[0] !== x.shape[0]) {
      throw new ShapeError(
        expected(
          this.where,
          `lengths of shape [${x.shape[0]}] or a bool mask`,
          `${given.dtype} ${showShape(given.shape)}`,
        ),
      );
    }
    if (given.dtype !== "int32") throw new DTypeError(expected(this.where, "int32", given.dtype));
    const [batch, steps] = x.shape as [number, number];
    this.#checkLengths(given, steps);
    const lengths = reshape(given, [batch]);
    // Ones that end where a sequence does, by the op that refuses lengths as recurrent layers' ops do.
    const ones = sequenceProduct(fill([batch, steps, 1], 1), fill([1, 1], 1), lengths);
    const mask = greater(reshape(ones, [batch, steps]), 0);
    setLengths(mask, lengths);
    return withMask(x, mask);
  }

  /** Throws for a length that no sequence can have, if the values are there already. */
  #checkLengths(lengths: Tensor, steps: number): void {
    const values = lengths.current().values ?? [];
    const bad = values.findIndex((length) => length < 0 || length > steps);
    if (bad < 0) return;
    throw new ArgumentError(
      expected(this.where, `lengths from 0 to ${steps}`, `${values[bad]} at position ${bad}`),
    );
  }
}

/** Gives its first input a mask: by lengths, or a mask of your own. */
export const applyMask = maker(ApplyMask);
