/**
 * Preprocessing as layers, so that it is saved with a model and runs where the model runs: statistics of
 * the data, sizes of images. Random changes are in augmentation.ts, rescaling in core.ts.
 */
import { ArgumentError, expected, ShapeError, StateError } from "../errors.js";
import { add, cast, div, maximum, mul, sqrt, sub } from "../ops/elementwise.js";
import { resizeBilinear, resizeNearestNeighbor } from "../ops/image.js";
import { reshape, slice } from "../ops/movement.js";
import { moments } from "../ops/normalization.js";
import { asTensor } from "../ops/op.js";
import { dtypes } from "../tensor/dtype.js";
import { normalizeAxes, showShape } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  axes,
  boolean,
  choice,
  dataFormat,
  type Field,
  integer,
  knownSize,
  nullable,
  type OptionsOf,
  plain,
} from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { cropToProportions, fitted, withChannelsLast } from "./spatial.js";
import type { BatchShape } from "./symbolic.js";

type Numbers = number | readonly number[];

/** A number, or one for each entry of the kept axes. */
const numbers = (): Field<Numbers, Numbers, true> =>
  plain<Numbers>((where, option, given) => {
    const list = Array.isArray(given) ? given : [given];
    if (list.length === 0 || !list.every((v) => Number.isFinite(v))) {
      throw new ArgumentError(
        expected(where, `\`${option}\` to be a finite number or an array of them`, given),
      );
    }
    return Array.isArray(given) ? [...given] : (given as number);
  })();

const normalizationOptions = {
  /** The axis or axes that keep their own statistics; an empty array: one mean for everything. */
  axis: axes(-1),
  /** Mean and variance, if they are known; else `adapt` finds them. */
  mean: nullable(numbers()),
  variance: nullable(numbers()),
  /** Undoes the normalisation: x · √variance + mean. */
  invert: boolean(false),
};

/** Options of {@link normalization}. */
export type NormalizationOptions = LayerOptions & OptionsOf<typeof normalizationOptions>;

/**
 * (x − mean) / √variance, with statistics of the data instead of the batch: given as options, or found by
 * `adapt(data)` before training. Takes any dtype, gives float32.
 */
export class Normalization extends Layer<typeof normalizationOptions> {
  static override readonly className = "Normalization";
  protected override inputSpec: InputSpec = { minRank: 1, dtypes };
  #mean!: Variable;
  #variance!: Variable;
  #axes: readonly number[] = [];
  #adapted = false;

  constructor(options: NormalizationOptions = {}) {
    super(options, normalizationOptions);
    const { mean, variance } = this.config;
    if ((mean === null) !== (variance === null)) {
      throw new ArgumentError(`${this.where}: give both \`mean\` and \`variance\`, or neither`);
    }
    if (variance !== null && [variance].flat().some((v) => v < 0)) {
      throw new ArgumentError(expected(this.where, "`variance` ≥ 0", variance));
    }
  }

  override build(inputShape: BatchShape): void {
    const { axis, mean, variance } = this.config;
    const kept = Array.isArray(axis) && axis.length === 0 ? [] : axis;
    this.#axes =
      Array.isArray(kept) && kept.length === 0
        ? []
        : normalizeAxes(`${this.where}: axis`, kept, inputShape.length);
    if (this.#axes.includes(0)) {
      throw new ArgumentError(expected(this.where, "`axis` to leave out the batch (axis 0)", axis));
    }
    const shape = this.#axes.map((a) => knownSize(this.where, inputShape, a));
    const size = shape.reduce((a, b) => a * b, 1);
    const weight = (name: string, given: Numbers | null, otherwise: number): Variable => {
      const made = this.addWeight(name, shape, { initializer: "zeros", trainable: false });
      const list = given === null ? [otherwise] : [given].flat();
      if (list.length !== 1 && list.length !== size) {
        throw new ShapeError(
          expected(this.where, `\`${name}\` to be one number or ${size}`, `${list.length}`),
        );
      }
      const values = Float32Array.from(
        { length: size },
        (_, i) => list[list.length === 1 ? 0 : i]!,
      );
      made.assign(reshape(values, shape));
      return made;
    };
    this.#mean = weight("mean", mean, 0);
    this.#variance = weight("variance", variance, 1);
    this.inputSpec = {
      rank: inputShape.length,
      dtypes,
      axes: Object.fromEntries(this.#axes.map((a, i) => [a, shape[i]!])),
    };
  }

  /** Whether mean and variance are those of some data. */
  get adapted(): boolean {
    return this.#adapted || this.config.mean !== null;
  }

  /**
   * Takes mean and variance from data: [samples, …]. What was known before is forgotten.
   * @throws StateError where they were given as options, ShapeError for data of another shape.
   */
  adapt(data: TensorLike): this {
    if (this.config.mean !== null) {
      throw new StateError(`${this.where}: \`mean\` and \`variance\` were given as options`);
    }
    const x = cast(asTensor(`${this.where}: adapt()`, data), "float32");
    if (x.rank === 0 || x.size === 0) {
      throw new ShapeError(
        expected(`${this.where}: adapt()`, "at least one sample", `shape ${showShape(x.shape)}`),
      );
    }
    const shape = [null, ...x.shape.slice(1)];
    this.ensureBuilt(shape);
    this.checkShapes([shape]);
    const others = x.shape.map((_, i) => i).filter((i) => !this.#axes.includes(i));
    const found = moments(x, others);
    this.#mean.assign(found.mean);
    this.#variance.assign(found.variance);
    this.#adapted = true;
    return this;
  }

  override call(x: Tensor): Tensor {
    const spread = (v: Variable): Tensor =>
      reshape(
        v,
        x.shape.map((d, i) => (this.#axes.includes(i) ? d : 1)),
      );
    const values = cast(x, "float32");
    // Keras' floor for a variance of 0.
    const deviation = maximum(sqrt(spread(this.#variance)), 1e-7);
    return this.config.invert
      ? add(mul(values, deviation), spread(this.#mean))
      : div(sub(values, spread(this.#mean)), deviation);
  }
}

/** (x − mean) / √variance, with statistics given as options or found by `adapt(data)`. */
export const normalization = maker(Normalization);

const sizeOptions = {
  /** Height of the result. */
  height: integer({ min: 1 }),
  /** Width of the result. */
  width: integer({ min: 1 }),
  dataFormat: dataFormat(),
};

const resizingOptions = {
  ...sizeOptions,
  interpolation: choice(["bilinear", "nearest"], "bilinear"),
  /** Cuts off what would be distorted. */
  cropToAspectRatio: boolean(false),
};

/** Options of {@link resizing}. */
export type ResizingOptions = LayerOptions & OptionsOf<typeof resizingOptions>;

/** Images [batch, height, width, channels] of any dtype in another size, as float32. */
export class Resizing extends Layer<typeof resizingOptions> {
  static override readonly className = "Resizing";
  protected override inputSpec: InputSpec = { rank: 4, dtypes };

  constructor(options: ResizingOptions) {
    super(options, resizingOptions);
  }

  override call(x: Tensor): Tensor {
    const { height, width, interpolation, cropToAspectRatio, dataFormat: format } = this.config;
    const resize = interpolation === "nearest" ? resizeNearestNeighbor : resizeBilinear;
    return withChannelsLast(cast(x, "float32"), format, (y) =>
      resize(cropToAspectRatio ? cropToProportions(y, height, width) : y, [height, width]),
    );
  }
}

/** Images in another size. */
export const resizing = maker(Resizing);

/** The middle of images [batch, height, width, channels]; smaller ones are enlarged. */
export class CenterCrop extends Layer<typeof sizeOptions> {
  static override readonly className = "CenterCrop";
  protected override inputSpec: InputSpec = { rank: 4, dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof sizeOptions>) {
    super(options, sizeOptions);
  }

  override call(x: Tensor): Tensor {
    const { height, width, dataFormat: format } = this.config;
    return withChannelsLast(cast(x, "float32"), format, (y) => {
      const [n, h, w, c] = y.shape as [number, number, number, number];
      if (h < height || w < width) return fitted(y, height, width);
      const begin = [0, Math.floor((h - height) / 2), Math.floor((w - width) / 2), 0];
      return slice(y, begin, [n, height, width, c]);
    });
  }
}

/** The middle of images; smaller ones are enlarged. */
export const centerCrop = maker(CenterCrop);
