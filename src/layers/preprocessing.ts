/**
 * Preprocessing as layers, so that it is saved with a model and runs where the model runs: statistics of
 * the data, sizes of images. Random changes are in augmentation.ts, rescaling in core.ts.
 */
import { Dataset } from "../data/dataset.js";
import { partsOf } from "../data/elements.js";
import { ArgumentError, expected, ShapeError, StateError } from "../errors.js";
import { add, cast, div, maximum, mul, sqrt, sub } from "../ops/elementwise.js";
import { resizeBilinear, resizeNearestNeighbor } from "../ops/image.js";
import { reshape, slice } from "../ops/movement.js";
import { moments } from "../ops/normalization.js";
import { asTensor } from "../ops/op.js";
import { dtypes } from "../tensor/dtype.js";
import { normalizeAxes, showShape } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  axes,
  boolean,
  choice,
  type Field,
  integer,
  knownSize,
  nullable,
  type OptionsOf,
  plain,
} from "./config.js";
import { ImageLayer, imageOptions } from "./imagelayer.js";
import { checkShapes, freeBatch } from "./inputspec.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { cropToProportions, fitted } from "./spatial.js";
import { RunningMoments } from "./statistics.js";
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

type Axes = number | readonly number[] | null;

/** As {@link axes}, with Keras' null for none of them: left out it is the last, so `nullable` won't do. */
const axesOrNull = (): Field<Axes, Axes, false> => {
  const given = axes(-1);
  return {
    required: false,
    parse: (where, option, value) => (value === null ? null : given.parse(where, option, value)),
    serialize: (value) => value,
  };
};

const normalizationOptions = {
  /** The axis or axes that keep their own statistics; null (or an empty array): one mean for everything. */
  axis: axesOrNull(),
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
    this.#axes = normalizeAxes(`${this.where}: axis`, axis ?? [], inputShape.length);
    if (this.#axes.includes(0)) {
      const hint = inputShape.length === 1 ? "samples of one number have `axis: null`" : undefined;
      const wanted = "`axis` to leave out the batch (axis 0)";
      throw new ArgumentError(expected(this.where, wanted, axis, hint));
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
    if (this.#adapted || this.config.mean !== null) return true;
    // What a file or `setWeights` brought tells by its values: not those that `build` gives.
    const all = (v: Variable, value: number) =>
      v
        .peek()
        .dataSync()
        .every((x) => x === value);
    return this.built && !(all(this.#mean, 0) && all(this.#variance, 1));
  }

  /**
   * Takes mean and variance from data: [samples, …], or the batches of a dataset, of whose elements x
   * counts (of `[x, y]` or `{ xs, ys }`, as `fit` wants them); its statistics are summed up in float64.
   * What was known before is forgotten.
   *
   * @returns the layer; for a dataset a promise of it.
   * @throws StateError where they were given as options, ShapeError for data of another shape.
   * @example
   * await normalization.adapt(lw.data.fromArrays(x, y).batch(64));
   */
  adapt(data: Dataset<unknown>): Promise<this>;
  adapt(data: TensorLike): this;
  adapt(data: TensorLike | Dataset<unknown>): this | Promise<this> {
    if (data instanceof Dataset) return this.#adaptTo(data);
    this.#checkOwn();
    const x = cast(asTensor(`${this.where}: adapt()`, data), "float32");
    if (x.rank === 0 || x.size === 0) throw this.#noSample(`shape ${showShape(x.shape)}`);
    const shape = freeBatch(x.shape);
    this.ensureBuilt(shape);
    this.checkShapes([shape]);
    const others = x.shape.map((_, i) => i).filter((i) => !this.#axes.includes(i));
    const found = moments(x, others);
    return this.#take(found.mean, found.variance);
  }

  async #adaptTo(data: Dataset<unknown>): Promise<this> {
    this.#checkOwn();
    const where = `${this.where}: adapt()`;
    if (data.size === Infinity) {
      throw new ArgumentError(`${where}: the dataset is endless; use take() first`);
    }
    let found: RunningMoments | undefined;
    let index = 0;
    for await (const element of data) {
      const at = `${where}: batch ${++index} of the dataset`;
      const x = asTensor(at, partsOf(at, element).x as TensorLike);
      const shape = freeBatch(x.shape);
      this.ensureBuilt(shape);
      checkShapes(at, this.inputSpec, [shape]);
      found ??= new RunningMoments(this.#axes, this.#mean.size);
      found.add(await x.data(), x.shape);
    }
    if (!found || found.count === 0) throw this.#noSample("none");
    const statistic = (values: Float64Array): Tensor =>
      leaf(Float32Array.from(values), this.#mean.shape, "float32");
    return this.#take(statistic(found.mean), statistic(found.variance));
  }

  /** Throws where the statistics are not the layer's to find. */
  #checkOwn(): void {
    if (this.config.mean === null) return;
    throw new StateError(`${this.where}: \`mean\` and \`variance\` were given as options`);
  }

  #noSample(got: string): ShapeError {
    return new ShapeError(expected(`${this.where}: adapt()`, "at least one sample", got));
  }

  #take(mean: Tensor, variance: Tensor): this {
    this.#mean.assign(mean);
    this.#variance.assign(variance);
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
  ...imageOptions,
};

const resizingOptions = {
  ...sizeOptions,
  interpolation: choice(["bilinear", "nearest"], "bilinear"),
  /** Cuts off what would be distorted. */
  cropToAspectRatio: boolean(false),
};

/** Options of {@link resizing}. */
export type ResizingOptions = LayerOptions & OptionsOf<typeof resizingOptions>;

/** Images [batch, height, width, channels], or one, of any dtype in another size, as float32. */
export class Resizing extends ImageLayer<typeof resizingOptions> {
  static override readonly className = "Resizing";

  constructor(options: ResizingOptions) {
    super(options, resizingOptions);
  }

  protected override change(x: Tensor): Tensor {
    const { height, width, interpolation, cropToAspectRatio } = this.config;
    const resize = interpolation === "nearest" ? resizeNearestNeighbor : resizeBilinear;
    return resize(cropToAspectRatio ? cropToProportions(x, height, width) : x, [height, width]);
  }
}

/** Images in another size. */
export const resizing = maker(Resizing);

/** The middle of images [batch, height, width, channels], or of one; smaller ones are enlarged. */
export class CenterCrop extends ImageLayer<typeof sizeOptions> {
  static override readonly className = "CenterCrop";

  constructor(options: LayerOptions & OptionsOf<typeof sizeOptions>) {
    super(options, sizeOptions);
  }

  protected override change(x: Tensor): Tensor {
    const { height, width } = this.config;
    const [n, h, w, c] = x.shape as [number, number, number, number];
    if (h < height || w < width) return fitted(x, height, width);
    const begin = [0, Math.floor((h - height) / 2), Math.floor((w - width) / 2), 0];
    return slice(x, begin, [n, height, width, c]);
  }
}

/** The middle of images; smaller ones are enlarged. */
export const centerCrop = maker(CenterCrop);
