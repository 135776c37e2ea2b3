/** Layers that make one tensor of several. Shapes broadcast as in Keras: missing dimensions after the batch. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { fill } from "../ops/creation.js";
import {
  add as addOf,
  maximum as maximumOf,
  minimum as minimumOf,
  mul,
  rsqrt,
  square,
  sub,
} from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { concat, expandDims, reshape, transpose } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import { dtypes } from "../tensor/dtype.js";
import { normalizeAxis, showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { axes, boolean, integer, type OptionsOf } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { allOf, isMaskList, type Masks } from "./masks.js";

const several: InputSpec = { arity: "several", minRank: 1 };

/** Inputs of one rank: the shorter ones get dimensions of size 1 after the batch. */
function aligned(inputs: readonly Tensor[]): Tensor[] {
  const rank = Math.max(...inputs.map((x) => x.rank));
  return inputs.map((x) => {
    const missing = new Array<number>(rank - x.rank).fill(1);
    return missing.length === 0 ? x : reshape(x, [x.shape[0]!, ...missing, ...x.shape.slice(1)]);
  });
}

const fold = (inputs: readonly Tensor[], f: (a: Tensor, b: Tensor) => Tensor): Tensor =>
  aligned(inputs).reduce((a, b) => f(a, b));

/** What layers without options of their own make of their inputs; `where` names the layer in errors. */
type Merge = (inputs: readonly Tensor[], where: string) => Tensor;

/** Inputs that broadcast against each other to one tensor. */
abstract class Merging extends Layer {
  override readonly supportsMasking = true;
  protected override inputSpec = several;
  readonly #merge: Merge;

  constructor(options: LayerOptions, merge: Merge) {
    super(options, {});
    this.#merge = merge;
  }

  override call(inputs: Tensor[]): Tensor {
    return this.#merge(inputs, this.where);
  }
}

/** The sum of its inputs. */
export class Add extends Merging {
  static override readonly className = "Add";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs) => fold(inputs, addOf));
  }
}

/** The sum of its inputs. */
export const add = maker(Add);

/** The first of two inputs minus the second. */
export class Subtract extends Merging {
  static override readonly className = "Subtract";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs, where) => {
      if (inputs.length !== 2) {
        throw new ArgumentError(expected(where, "two inputs", `${inputs.length}`));
      }
      return fold(inputs, sub);
    });
  }
}

/** The first of two inputs minus the second. */
export const subtract = maker(Subtract);

/** The product of its inputs, element by element. */
export class Multiply extends Merging {
  static override readonly className = "Multiply";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs) => fold(inputs, mul));
  }
}

/** The product of its inputs, element by element. */
export const multiply = maker(Multiply);

/** The mean of its inputs. */
export class Average extends Merging {
  static override readonly className = "Average";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs) => mul(fold(inputs, addOf), 1 / inputs.length));
  }
}

/** The mean of its inputs. */
export const average = maker(Average);

/** The largest of its inputs, element by element. */
export class Maximum extends Merging {
  static override readonly className = "Maximum";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs) => fold(inputs, maximumOf));
  }
}

/** The largest of its inputs, element by element. */
export const maximum = maker(Maximum);

/** The smallest of its inputs, element by element. */
export class Minimum extends Merging {
  static override readonly className = "Minimum";
  constructor(options: LayerOptions = {}) {
    super(options, (inputs) => fold(inputs, minimumOf));
  }
}

/** The smallest of its inputs, element by element. */
export const minimum = maker(Minimum);

const concatenateOptions = {
  /** The axis along which the inputs are joined. */
  axis: integer({}, -1),
};

/** Its inputs joined along an axis; all other dimensions must be equal. */
export class Concatenate extends Layer<typeof concatenateOptions> {
  static override readonly className = "Concatenate";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { ...several, dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof concatenateOptions> = {}) {
    super(options, concatenateOptions);
  }

  override call(inputs: Tensor[]): Tensor {
    const { axis } = this.config;
    const at = normalizeAxis(`${this.where}: axis`, axis, inputs[0]!.rank);
    const first = inputs[0]!;
    const bad = inputs.find(
      (x) => x.rank !== first.rank || x.shape.some((d, i) => i !== at && d !== first.shape[i]),
    );
    if (bad) {
      throw new ShapeError(
        expected(
          this.where,
          `inputs that differ only in size along axis ${axis}`,
          `shapes ${inputs.map((x) => showShape(x.shape)).join(" and ")}`,
        ),
      );
    }
    return concat(inputs, at);
  }

  /** Joined along the axis too, where that is one of the masks'; else where all are true. */
  override computeMask(inputs: Tensor[], mask: Masks): Masks {
    const masks = isMaskList(mask) ? mask : [mask];
    const rank = masks.find((m) => m !== null)?.rank ?? 0;
    const at = normalizeAxis(`${this.where}: axis`, this.config.axis, inputs[0]!.rank);
    if (at >= rank) return allOf(mask);
    return concat(
      inputs.map((x, i) => masks[i] ?? fill(x.shape.slice(0, rank), true)),
      at,
    );
  }
}

/** Its inputs joined along an axis. */
export const concatenate = maker(Concatenate);

const dotOptions = {
  /** The axis (of each of the two inputs) over which products are summed. */
  axes: axes(),
  /** Divides by the lengths first: the result is the cosine. */
  normalize: boolean(false),
};

/** Sums of products of two inputs' samples along an axis of each. */
export class Dot extends Layer<typeof dotOptions> {
  static override readonly className = "Dot";
  protected override inputSpec: InputSpec = { arity: "several", minRank: 2, maxRank: 3 };

  constructor(options: LayerOptions & OptionsOf<typeof dotOptions>) {
    super(options, dotOptions);
    const { axes: given } = this.config;
    if (typeof given !== "number" && given.length !== 2) {
      throw new ArgumentError(expected(this.where, "`axes` to be one axis or two", given));
    }
  }

  override call(inputs: Tensor[]): Tensor {
    if (inputs.length !== 2) {
      throw new ArgumentError(expected(this.where, "two inputs", `${inputs.length}`));
    }
    const { axes: given, normalize } = this.config;
    const pair = typeof given === "number" ? [given, given] : given;
    const at = inputs.map((x, i) => normalizeAxis(`${this.where}: axes`, pair[i]!, x.rank));
    const sizes = inputs.map((x, i) => x.shape[at[i]!]);
    if (at.includes(0) || sizes[0] !== sizes[1]) {
      throw new ShapeError(
        expected(
          this.where,
          "two axes of the same size, not the batch's",
          `axes ${showShape(pair)} of shapes ${inputs.map((x) => showShape(x.shape)).join(" and ")}`,
        ),
      );
    }
    // Both as [batch, others, summed].
    const [left, right] = inputs.map((x, i) => {
      const length = normalize ? mul(x, rsqrt(maximumOf(sum(square(x), at[i]!, true), 1e-24))) : x;
      if (x.rank === 2) return expandDims(length, 1);
      return at[i] === 2 ? length : transpose(length, [0, 2, 1]);
    });
    const product = matMul(left!, right!, false, true);
    const kept = inputs.flatMap((x, i) => (x.rank === 2 ? [] : [product.shape[i + 1]!]));
    return reshape(product, [product.shape[0]!, ...(kept.length > 0 ? kept : [1])]);
  }
}

/** Sums of products of two inputs' samples along an axis of each. */
export const dot = maker(Dot);
