/** Layers that change the size of sequences, images and volumes: padding, cropping, upsampling. */
import { expected, ShapeError } from "../errors.js";
import { type Interpolation, repeatAxes, resizeBilinear } from "../ops/image.js";
import { pad, slice } from "../ops/movement.js";
import { dtypes } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { perAxis } from "../tensor/window.js";
import { choice, dataFormat, type OptionsOf } from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { pairsOf, type Sides, sides, sizes, spatialAxes, withChannelsLast } from "./spatial.js";

const paddingOptions = (axes: number) => ({
  /** Zeros to add: on all sides, per axis, or [before, after] of each axis. */
  padding: sides(axes, 1),
  dataFormat: dataFormat(),
});
type PaddingDeclaration = ReturnType<typeof paddingOptions>;

/** Options of zero padding. */
export type ZeroPaddingOptions = LayerOptions & OptionsOf<PaddingDeclaration>;

/** Zeros around the input. */
abstract class ZeroPadding extends Layer<PaddingDeclaration> {
  protected override inputSpec: InputSpec;

  constructor(options: ZeroPaddingOptions, axes: number) {
    super(options, paddingOptions(axes));
    this.inputSpec = { rank: axes + 2, dtypes };
  }

  override call(x: Tensor): Tensor {
    const axes = spatialAxes(this.config.dataFormat, x.rank);
    const pairs = pairsOf(this.config.padding, axes.length);
    return pad(
      x,
      x.shape.map((_, i) => pairs[axes.indexOf(i)] ?? [0, 0]),
    );
  }
}

/** Zeros around [batch, steps, channels]. */
export class ZeroPadding1D extends ZeroPadding {
  static override readonly className = "ZeroPadding1D";
  constructor(options: ZeroPaddingOptions = {}) {
    super(options, 1);
  }
}

/** Zeros around [batch, steps, channels]. */
export const zeroPadding1d = maker(ZeroPadding1D);

/** Zeros around [batch, height, width, channels]. */
export class ZeroPadding2D extends ZeroPadding {
  static override readonly className = "ZeroPadding2D";
  constructor(options: ZeroPaddingOptions = {}) {
    super(options, 2);
  }
}

/** Zeros around [batch, height, width, channels]. */
export const zeroPadding2d = maker(ZeroPadding2D);

/** Zeros around [batch, depth, height, width, channels]. */
export class ZeroPadding3D extends ZeroPadding {
  static override readonly className = "ZeroPadding3D";
  constructor(options: ZeroPaddingOptions = {}) {
    super(options, 3);
  }
}

/** Zeros around [batch, depth, height, width, channels]. */
export const zeroPadding3d = maker(ZeroPadding3D);

const croppingOptions = (axes: number, fallback: Sides) => ({
  /** What to cut off: on all sides, per axis, or [before, after] of each axis. */
  cropping: sides(axes, fallback),
  dataFormat: dataFormat(),
});
type CroppingDeclaration = ReturnType<typeof croppingOptions>;

/** Options of cropping. */
export type CroppingOptions = LayerOptions & OptionsOf<CroppingDeclaration>;

/** The input without its edges. */
abstract class Cropping extends Layer<CroppingDeclaration> {
  protected override inputSpec: InputSpec;

  constructor(options: CroppingOptions, axes: number, fallback: Sides) {
    super(options, croppingOptions(axes, fallback));
    this.inputSpec = { rank: axes + 2, dtypes };
  }

  override call(x: Tensor): Tensor {
    const axes = spatialAxes(this.config.dataFormat, x.rank);
    const pairs = pairsOf(this.config.cropping, axes.length);
    const begin = x.shape.map((_, i) => pairs[axes.indexOf(i)]?.[0] ?? 0);
    const size = x.shape.map((d, i) => d - begin[i]! - (pairs[axes.indexOf(i)]?.[1] ?? 0));
    if (axes.some((i) => size[i]! < 1)) {
      throw new ShapeError(
        expected(
          this.where,
          `an input that \`cropping\` ${JSON.stringify(pairs)} leaves something of`,
          `shape ${showShape(x.shape)}`,
        ),
      );
    }
    return slice(x, begin, size);
  }
}

/** [batch, steps, channels] without its ends. */
export class Cropping1D extends Cropping {
  static override readonly className = "Cropping1D";
  constructor(options: CroppingOptions = {}) {
    super(options, 1, 1);
  }
}

/** [batch, steps, channels] without its ends. */
export const cropping1d = maker(Cropping1D);

/** [batch, height, width, channels] without its edges; of nothing unless `cropping` is given, as in Keras. */
export class Cropping2D extends Cropping {
  static override readonly className = "Cropping2D";
  constructor(options: CroppingOptions = {}) {
    super(options, 2, 0);
  }
}

/** [batch, height, width, channels] without its edges. */
export const cropping2d = maker(Cropping2D);

/** [batch, depth, height, width, channels] without its faces. */
export class Cropping3D extends Cropping {
  static override readonly className = "Cropping3D";
  constructor(options: CroppingOptions = {}) {
    super(options, 3, 1);
  }
}

/** [batch, depth, height, width, channels] without its faces. */
export const cropping3d = maker(Cropping3D);

const upSampling1dOptions = {
  /** How many times each step is repeated. */
  size: sizes(1, 2),
};

/** Each step of [batch, steps, channels] several times. */
export class UpSampling1D extends Layer<typeof upSampling1dOptions> {
  static override readonly className = "UpSampling1D";
  protected override inputSpec: InputSpec = { rank: 3 };

  constructor(options: LayerOptions & OptionsOf<typeof upSampling1dOptions> = {}) {
    super(options, upSampling1dOptions);
    perAxis(this.where, "size", this.config.size, 1);
  }

  override call(x: Tensor): Tensor {
    return repeatAxes(x, [1], perAxis(this.where, "size", this.config.size, 1));
  }
}

/** Each step of [batch, steps, channels] several times. */
export const upSampling1d = maker(UpSampling1D);

const upSampling2dOptions = {
  /** How many times as high and wide the image becomes. */
  size: sizes(1, 2),
  dataFormat: dataFormat(),
  /** "nearest" repeats pixels; "bilinear" blends them. */
  interpolation: choice(["nearest", "bilinear"] satisfies Interpolation[], "nearest"),
};

/** [batch, height, width, channels] several times as large. */
export class UpSampling2D extends Layer<typeof upSampling2dOptions> {
  static override readonly className = "UpSampling2D";
  protected override inputSpec: InputSpec = { rank: 4 };

  constructor(options: LayerOptions & OptionsOf<typeof upSampling2dOptions> = {}) {
    super(options, upSampling2dOptions);
    perAxis(this.where, "size", this.config.size, 2);
  }

  override call(x: Tensor): Tensor {
    const { size, dataFormat: format, interpolation } = this.config;
    const factors = perAxis(this.where, "size", size, 2);
    if (interpolation === "nearest") return repeatAxes(x, spatialAxes(format, 4), factors);
    return withChannelsLast(x, format, (y) =>
      resizeBilinear(y, [y.shape[1]! * factors[0]!, y.shape[2]! * factors[1]!]),
    );
  }
}

/** [batch, height, width, channels] several times as large. */
export const upSampling2d = maker(UpSampling2D);

const upSampling3dOptions = {
  /** How many times as deep, high and wide the volume becomes. */
  size: sizes(1, 2),
  dataFormat: dataFormat(),
};

/** [batch, depth, height, width, channels] several times as large, by repetition. */
export class UpSampling3D extends Layer<typeof upSampling3dOptions> {
  static override readonly className = "UpSampling3D";
  protected override inputSpec: InputSpec = { rank: 5 };

  constructor(options: LayerOptions & OptionsOf<typeof upSampling3dOptions> = {}) {
    super(options, upSampling3dOptions);
    perAxis(this.where, "size", this.config.size, 3);
  }

  override call(x: Tensor): Tensor {
    const { size, dataFormat: format } = this.config;
    return repeatAxes(x, spatialAxes(format, 5), perAxis(this.where, "size", size, 3));
  }
}

/** [batch, depth, height, width, channels] several times as large, by repetition. */
export const upSampling3d = maker(UpSampling3D);
