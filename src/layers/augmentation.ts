/**
 * Random changes of images while training, each image its own: written in ops, so that they are part of
 * the step that trains. Outside of training they pass images on (as float32). What moves pixels is one
 * projective transform per image (ops/image.ts); layers here only say which.
 */
import { ArgumentError, expected, show } from "../errors.js";
import { fillModes } from "../kernels/image.js";
import { clipByValue } from "../ops/composed.js";
import { add, cast, cos, floor, less, mul, sin, sub } from "../ops/elementwise.js";
import { type Interpolation, transformImages } from "../ops/image.js";
import { reshape } from "../ops/movement.js";
import { uniformFrom } from "../ops/random.js";
import { mean } from "../ops/reduce.js";
import type { RandomSource } from "../tensor/random.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import {
  type ConfigOf,
  choice,
  type Declaration,
  type Field,
  integer,
  nullable,
  number,
  type OptionsOf,
  plain,
  seed,
} from "./config.js";
import { ImageLayer, imageOptions } from "./imagelayer.js";
import { type CallContext, type LayerOptions, maker } from "./layer.js";
import { sourceOf } from "./randomness.js";
import { fitted, spatialAxes } from "./spatial.js";

type Factor = number | readonly [number, number];

/** How far to go: a number f for −f … f, or [low, high]. */
const factor = (min = -Infinity): Field<Factor, Factor, true> =>
  plain<Factor>((where_, option, given) => {
    const [low, high] = Array.isArray(given) ? given : [-(given as number), given];
    const good = Number.isFinite(low) && Number.isFinite(high) && low <= high;
    if (!good || low < min || (Array.isArray(given) && given.length !== 2)) {
      const [most, least] = min === -Infinity ? ["≥ 0", ""] : [`from 0 to ${-min}`, `${min} ≤ `];
      throw new ArgumentError(
        expected(
          where_,
          `\`${option}\` to be a number ${most} or [low, high] with ${least}low ≤ high`,
          show(given),
        ),
      );
    }
    return Array.isArray(given) ? [low, high] : (given as number);
  })();

/** Uniform in the factor's range, one for each image. */
function drawn(source: RandomSource, images: number, range: Factor): Tensor {
  const [low, high] = typeof range === "number" ? [-range, range] : range;
  return add(mul(uniformFrom(source, [images]), high - low), low);
}

/** Transforms [images, 8]: constants, and entries that each image has its own of. */
function transformsOf(constants: readonly number[], own: Readonly<Record<number, Tensor>>): Tensor {
  const row = (values: ArrayLike<number>): Tensor =>
    leaf(Float32Array.from(values), [8], "float32");
  let transforms = row([...constants, 0, 0]);
  for (const [entry, values] of Object.entries(own)) {
    const unit = Array.from({ length: 8 }, (_, i) => Number(i === Number(entry)));
    transforms = add(transforms, mul(reshape(values, [-1, 1]), row(unit)));
  }
  return transforms;
}

const still = [1, 0, 0, 0, 1, 0] as const;
const baseOptions = { seed: seed(), ...imageOptions };
type Base = typeof baseOptions;

/** Outside of training it gives images back. */
abstract class ImageAugmentation<D extends Base> extends ImageLayer<D> {
  /** The random change of images [batch, height, width, channels]. */
  protected abstract vary(x: Tensor, source: RandomSource): Tensor;

  override call(x: Tensor, context: CallContext): Tensor {
    return context.training ? super.call(x, context) : cast(x, "float32");
  }

  protected override change(x: Tensor, context: CallContext): Tensor {
    const { seed: own } = this.config as ConfigOf<Base>;
    return this.vary(x, sourceOf(this, context, own));
  }
}

const flipOptions = {
  mode: choice(["horizontal", "vertical", "horizontalAndVertical"], "horizontalAndVertical"),
  ...baseOptions,
};

/** Mirrors half of the images, chosen anew in each step. */
export class RandomFlip extends ImageAugmentation<typeof flipOptions> {
  static override readonly className = "RandomFlip";

  constructor(options: LayerOptions & OptionsOf<typeof flipOptions> = {}) {
    super(options, flipOptions);
  }

  protected override vary(x: Tensor, source: RandomSource): Tensor {
    const [n, h, w] = x.shape as [number, number, number, number];
    const flip = (): Tensor => cast(less(uniformFrom(source, [n]), 0.5), "float32");
    const own: Record<number, Tensor> = {};
    const { mode } = this.config;
    // Mirrored: pixel i is read at size − 1 − i.
    if (mode !== "vertical") {
      const f = flip();
      Object.assign(own, { 0: mul(f, -2), 2: mul(f, w - 1) });
    }
    if (mode !== "horizontal") {
      const f = flip();
      Object.assign(own, { 4: mul(f, -2), 5: mul(f, h - 1) });
    }
    return transformImages(x, transformsOf(still, own));
  }
}

/** Mirrors half of the images while training. */
export const randomFlip = maker(RandomFlip);

const movingOptions = {
  /** What stands beyond the edges. */
  fillMode: choice(fillModes, "reflect"),
  interpolation: choice(["nearest", "bilinear"] satisfies Interpolation[], "bilinear"),
  /** For fill mode "constant". */
  fillValue: number({}, 0),
  ...baseOptions,
};
type Moving = typeof movingOptions;

/** Moves pixels, by transforms that a subclass makes. */
abstract class Motion<D extends Moving & Declaration> extends ImageAugmentation<D> {
  protected abstract transforms(
    source: RandomSource,
    images: number,
    height: number,
    width: number,
  ): Tensor;

  protected override vary(x: Tensor, source: RandomSource): Tensor {
    const { fillMode, interpolation, fillValue } = this.config as ConfigOf<Moving>;
    const [n, h, w] = x.shape as [number, number, number, number];
    return transformImages(x, this.transforms(source, n, h, w), {
      fillMode,
      interpolation,
      fillValue,
    });
  }
}

const translationOptions = {
  /** Fraction of the height by which images move down. */
  heightFactor: factor(-1),
  /** Fraction of the width by which images move to the right. */
  widthFactor: factor(-1),
  ...movingOptions,
};

/** Moves each image by a random part of its size. */
export class RandomTranslation extends Motion<typeof translationOptions> {
  static override readonly className = "RandomTranslation";

  constructor(options: LayerOptions & OptionsOf<typeof translationOptions>) {
    super(options, translationOptions);
  }

  protected override transforms(source: RandomSource, n: number, h: number, w: number): Tensor {
    const { heightFactor, widthFactor } = this.config;
    // Moved to the right by t: pixel x shows what was at x − t.
    const down = mul(drawn(source, n, heightFactor), -h);
    const right = mul(drawn(source, n, widthFactor), -w);
    return transformsOf(still, { 2: right, 5: down });
  }
}

/** Moves each image by a random part of its size while training. */
export const randomTranslation = maker(RandomTranslation);

const rotationOptions = {
  /** Fraction of a full turn, counter-clockwise. */
  factor: factor(),
  ...movingOptions,
};

/** Turns each image around its centre by a random angle. */
export class RandomRotation extends Motion<typeof rotationOptions> {
  static override readonly className = "RandomRotation";

  constructor(options: LayerOptions & OptionsOf<typeof rotationOptions>) {
    super(options, rotationOptions);
  }

  protected override transforms(source: RandomSource, n: number, h: number, w: number): Tensor {
    const angle = mul(drawn(source, n, this.config.factor), 2 * Math.PI);
    const [c, s] = [cos(angle), sin(angle)];
    // p ↦ R (p − m) + m with m the centre; rows point down, so this turns what is seen to the left.
    const [mx, my] = [(w - 1) / 2, (h - 1) / 2];
    return transformsOf([0, 0, mx, 0, 0, my], {
      0: c,
      1: mul(s, -1),
      2: sub(mul(s, my), mul(c, mx)),
      3: s,
      4: c,
      5: sub(mul(s, -mx), mul(c, my)),
    });
  }
}

/** Turns each image around its centre by a random angle while training. */
export const randomRotation = maker(RandomRotation);

const zoomOptions = {
  /** 0.2 shows 20 % more of the height: the image gets smaller; −0.2 shows less. */
  heightFactor: factor(-1),
  /** The same for the width; when left out, the height's, which keeps proportions. */
  widthFactor: nullable(factor(-1)),
  ...movingOptions,
};

/** Enlarges or shrinks each image around its centre. */
export class RandomZoom extends Motion<typeof zoomOptions> {
  static override readonly className = "RandomZoom";

  constructor(options: LayerOptions & OptionsOf<typeof zoomOptions>) {
    super(options, zoomOptions);
  }

  protected override transforms(source: RandomSource, n: number, h: number, w: number): Tensor {
    const { heightFactor, widthFactor } = this.config;
    const rows = drawn(source, n, heightFactor);
    const cols = widthFactor === null ? rows : drawn(source, n, widthFactor);
    // p ↦ (1 + f)(p − m) + m
    return transformsOf(still, {
      0: cols,
      2: mul(cols, -(w - 1) / 2),
      4: rows,
      5: mul(rows, -(h - 1) / 2),
    });
  }
}

/** Enlarges or shrinks each image around its centre while training. */
export const randomZoom = maker(RandomZoom);

const cropOptions = {
  /** Height of the part. */
  height: integer({ min: 1 }),
  /** Width of the part. */
  width: integer({ min: 1 }),
  ...baseOptions,
};

/**
 * A random part of each image while training, height × width. Outside of training, and where images are
 * smaller, images are brought to that size: enlarged or reduced without distortion, and cut.
 */
export class RandomCrop extends ImageLayer<typeof cropOptions> {
  static override readonly className = "RandomCrop";

  constructor(options: LayerOptions & OptionsOf<typeof cropOptions>) {
    super(options, cropOptions);
  }

  protected override change(x: Tensor, context: CallContext): Tensor {
    const { height, width, seed: own } = this.config;
    const [n, h, w] = x.shape as [number, number, number, number];
    if (!context.training || h < height || w < width) return fitted(x, height, width);
    const source = sourceOf(this, context, own);
    // A whole number of pixels from 0 to what is left over.
    const offset = (rest: number): Tensor => floor(mul(uniformFrom(source, [n]), rest + 1));
    const down = offset(h - height);
    return transformImages(x, transformsOf(still, { 2: offset(w - width), 5: down }), {
      outputShape: [height, width],
    });
  }
}

/** A random part of each image while training; else images are brought to that size. */
export const randomCrop = maker(RandomCrop);

const rangeOptions = {
  /** Lowest and highest value of a pixel: results are limited to it. */
  valueRange: plain<readonly [number, number]>((where_, option, given) => {
    const [low, high] = Array.isArray(given) ? given : [];
    if (!Number.isFinite(low) || !Number.isFinite(high) || !(low < high)) {
      throw new ArgumentError(expected(where_, `\`${option}\` to be [low, high]`, show(given)));
    }
    return [low, high];
  })([0, 255]),
  ...baseOptions,
};

const contrastOptions = {
  /** f for factors from 1 − f to 1 + f, or [lower, upper] for 1 − lower … 1 + upper; all of them ≥ 0. */
  factor: plain<Factor>((where_, option, given) => {
    const [lower, upper] = Array.isArray(given) ? given : [given, given];
    const good = Number.isFinite(lower) && Number.isFinite(upper) && lower >= 0 && upper >= 0;
    if (!good || lower > 1 || (Array.isArray(given) && given.length !== 2)) {
      const wanted = `\`${option}\` to be a number from 0 to 1, or [lower, upper] with lower from 0 to 1 and upper ≥ 0`;
      throw new ArgumentError(expected(where_, wanted, show(given)));
    }
    return Array.isArray(given) ? [lower, upper] : (given as number);
  })(),
  ...rangeOptions,
};

/** Moves each image's values away from their mean, per channel, or towards it. */
export class RandomContrast extends ImageAugmentation<typeof contrastOptions> {
  static override readonly className = "RandomContrast";

  constructor(options: LayerOptions & OptionsOf<typeof contrastOptions>) {
    super(options, contrastOptions);
  }

  protected override vary(x: Tensor, source: RandomSource): Tensor {
    const { factor: given, valueRange } = this.config;
    const [lower, upper] = typeof given === "number" ? [given, given] : given;
    const by = reshape(add(drawn(source, x.shape[0]!, [-lower, upper]), 1), [-1, 1, 1, 1]);
    const centre = mean(x, spatialAxes("channelsLast", 4), true);
    return clipByValue(add(mul(sub(x, centre), by), centre), ...valueRange);
  }
}

/** Changes each image's contrast while training. */
export const randomContrast = maker(RandomContrast);

const brightnessOptions = {
  /** Fraction of the range of values that is added. */
  factor: factor(-1),
  ...rangeOptions,
};

/** Adds a random number to each image. */
export class RandomBrightness extends ImageAugmentation<typeof brightnessOptions> {
  static override readonly className = "RandomBrightness";

  constructor(options: LayerOptions & OptionsOf<typeof brightnessOptions>) {
    super(options, brightnessOptions);
  }

  protected override vary(x: Tensor, source: RandomSource): Tensor {
    const { factor: range, valueRange } = this.config;
    const by = mul(drawn(source, x.shape[0]!, range), valueRange[1] - valueRange[0]);
    return clipByValue(add(x, reshape(by, [-1, 1, 1, 1])), ...valueRange);
  }
}

/** Changes each image's brightness while training. */
export const randomBrightness = maker(RandomBrightness);
