/**
 * Convolution layers over sequences, images and volumes: plain, transposed, depthwise and separable. The
 * classes share options and the way through `call`; each says which op, and what shape its kernel has.
 */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import {
  conv1d as conv1dOp,
  conv2d as conv2dOp,
  depthwiseConv2d as depthwiseConv2dOp,
} from "../ops/convolution.js";
import type {
  Conv2dOptions,
  Conv2dTransposeOptions,
  Conv3dOptions,
  Conv3dTransposeOptions,
} from "../ops/convolutionOptions.js";
import { add } from "../ops/elementwise.js";
import { pad, reshape } from "../ops/movement.js";
import { conv2dTranspose as conv2dTransposeOp } from "../ops/transposed.js";
import { conv3d as conv3dOp, conv3dTranspose as conv3dTransposeOp } from "../ops/volume.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import { type Padding, perAxis } from "../tensor/window.js";
import {
  activation,
  boolean,
  type ConfigOf,
  type Declaration,
  dataFormat,
  integer,
  knownSize,
  nullable,
  type OptionsOf,
  weightFields,
  weightOf,
} from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { channelAxis, checkPairs, padding, sizes, withChannelsLast } from "./spatial.js";
import type { BatchShape } from "./symbolic.js";

const sharedOptions = {
  /** Height and width of the window (length; depth, height, width), or one number for all. */
  kernelSize: sizes(),
  /** Distance of the windows. */
  strides: sizes(1, 1),
  /** Distance of a window's elements. */
  dilationRate: sizes(1, 1),
  dataFormat: dataFormat(),
  /** Applied to the output; none by default. */
  activation: activation(),
  /** Whether a bias is added. */
  useBias: boolean(true),
  ...weightFields("bias", "zeros"),
};
/** Whether padding can be causal is for each class to say. */
type Shared = typeof sharedOptions & { readonly padding: ReturnType<typeof padding<"causal">> };

const kernelOptions = {
  ...weightFields("kernel", "glorotUniform"),
};

/** What a convolution is told of its windows, numbers per axis. */
interface Windows {
  readonly strides: number[];
  readonly dilationRate: number[];
}

/** Weights and the way through `call` of all convolutions. */
abstract class Convolution<D extends Shared & Declaration> extends Layer<D> {
  protected override inputSpec: InputSpec;
  protected readonly axes: number;
  #bias: Variable | undefined;

  constructor(options: LayerOptions & OptionsOf<D>, declaration: D, axes: number) {
    super(options, declaration);
    this.axes = axes;
    this.inputSpec = { rank: axes + 2 };
    const { kernelSize, strides, dilationRate } = this.shared;
    for (const [option, value] of Object.entries({ kernelSize, strides, dilationRate })) {
      perAxis(this.where, option, value, axes);
    }
    checkPairs(this.where, this.shared.padding, axes);
    if (this.windows.strides.some((s) => s > 1) && this.windows.dilationRate.some((d) => d > 1)) {
      throw new ArgumentError(
        `${this.where}: \`strides\` and \`dilationRate\` can't both be above 1`,
      );
    }
  }

  /** The options that all convolutions have. */
  protected get shared(): ConfigOf<Shared> {
    return this.config as ConfigOf<Shared>;
  }

  protected get kernelSize(): number[] {
    return perAxis(this.where, "kernelSize", this.shared.kernelSize, this.axes);
  }

  protected get windows(): Windows {
    const { strides, dilationRate } = this.shared;
    return {
      strides: perAxis(this.where, "strides", strides, this.axes),
      dilationRate: perAxis(this.where, "dilationRate", dilationRate, this.axes),
    };
  }

  /** Makes the kernels for inputs of so many channels, and says how many the output has. */
  protected abstract makeKernels(channels: number): number;
  /** The convolution of x, channels last, without bias and activation. */
  protected abstract convolve(x: Tensor): Tensor;

  override build(inputShape: BatchShape): void {
    const { dataFormat: format, useBias, ...o } = this.shared;
    const axis = channelAxis(format, inputShape.length);
    const channels = knownSize(this.where, inputShape, axis);
    const filters = this.makeKernels(channels);
    if (useBias) {
      this.#bias = this.addWeight("bias", [filters], weightOf(o, "bias"));
    }
    this.inputSpec = { rank: inputShape.length, axes: { [axis]: channels } };
  }

  override call(x: Tensor): Tensor {
    const { dataFormat: format, activation: applied } = this.shared;
    return withChannelsLast(x, format, (y) => {
      const result = this.convolve(y);
      return applied.apply(this.#bias ? add(result, this.#bias) : result);
    });
  }
}

const convOptions = {
  /** Number of filters: channels of the output. */
  filters: integer({ min: 1 }),
  ...sharedOptions,
  ...kernelOptions,
  /** "same" pads with zeros so that the output has ⌈size / strides⌉ elements. */
  padding: padding(),
  /** Channels fall into groups that are convolved on their own. */
  groups: integer({ min: 1 }, 1),
};
type ConvDeclaration = typeof convOptions;

/** Options of {@link conv2d} and {@link conv3d}. */
export type ConvOptions = LayerOptions & OptionsOf<ConvDeclaration>;

/** An op as `call` uses it, its lists as long as it has axes, which was checked before. */
type ConvOp = (
  x: Tensor,
  kernel: Tensor,
  options: Windows & { readonly padding: unknown; readonly groups: number },
) => Tensor;

/** Filters that slide over one to three axes. */
abstract class Conv<
  D extends Omit<ConvDeclaration, "padding"> & Shared & Declaration,
> extends Convolution<D> {
  #kernel!: Variable;
  readonly #op: ConvOp;

  constructor(options: LayerOptions & OptionsOf<D>, declaration: D, axes: number, op: ConvOp) {
    super(options, declaration, axes);
    this.#op = op;
  }

  get #own(): ConfigOf<Omit<ConvDeclaration, "padding"> & Shared> {
    return this.config as ConfigOf<Omit<ConvDeclaration, "padding"> & Shared>;
  }

  protected override makeKernels(channels: number): number {
    const { filters, groups, ...o } = this.#own;
    if (channels % groups !== 0 || filters % groups !== 0) {
      throw new ShapeError(
        expected(
          this.where,
          `numbers of channels and \`filters\` that its ${groups} groups divide`,
          `${channels} and ${filters}`,
        ),
      );
    }
    this.#kernel = this.addWeight(
      "kernel",
      [...this.kernelSize, channels / groups, filters],
      weightOf(o, "kernel"),
    );
    return filters;
  }

  protected override convolve(x: Tensor): Tensor {
    const { groups, padding: pads } = this.#own;
    return this.#op(x, this.#kernel, { ...this.windows, groups, padding: pads });
  }
}

const conv1dOptions = {
  ...convOptions,
  /** "causal" pads in front only: a step sees none that come later. */
  padding: padding("causal"),
};

/** Options of {@link conv1d}, which may be causal. */
export type Conv1DOptions = LayerOptions & OptionsOf<typeof conv1dOptions>;

/**
 * Filters that slide over [batch, steps, channels].
 *
 * Output shape: [batch, outSteps, filters]. Weights: kernel [kernelSize, channels / groups, filters], bias.
 */
export class Conv1D extends Conv<typeof conv1dOptions> {
  static override readonly className = "Conv1D";
  constructor(options: Conv1DOptions) {
    super(options, conv1dOptions, 1, (x, kernel, { padding: pads, ...windows }) =>
      conv1dOp(x, kernel, { ...windows, padding: Array.isArray(pads) ? pads[0] : pads } as object),
    );
  }
}

/** Filters that slide over sequences [batch, steps, channels]. */
export const conv1d = maker(Conv1D);

/**
 * Filters that slide over [batch, height, width, channels].
 *
 * Output shape: [batch, outHeight, outWidth, filters]. Weights: kernel [height, width, channels / groups,
 * filters], bias.
 */
export class Conv2D extends Conv<typeof convOptions> {
  static override readonly className = "Conv2D";
  constructor(options: ConvOptions) {
    super(options, convOptions, 2, (x, kernel, o) =>
      conv2dOp(x, kernel, o as unknown as Conv2dOptions),
    );
  }
}

/** Filters that slide over images [batch, height, width, channels]. */
export const conv2d = maker(Conv2D);

/**
 * Filters that slide over [batch, depth, height, width, channels].
 *
 * Output shape: [batch, outDepth, outHeight, outWidth, filters].
 */
export class Conv3D extends Conv<typeof convOptions> {
  static override readonly className = "Conv3D";
  constructor(options: ConvOptions) {
    super(options, convOptions, 3, (x, kernel, o) =>
      conv3dOp(x, kernel, o as unknown as Conv3dOptions),
    );
  }
}

/** Filters that slide over volumes [batch, depth, height, width, channels]. */
export const conv3d = maker(Conv3D);

const transposeOptions = {
  filters: integer({ min: 1 }),
  ...sharedOptions,
  ...kernelOptions,
  padding: padding(),
  /** Elements added behind, for sizes that several inputs could have come from. */
  outputPadding: nullable(sizes(0)),
};
type TransposeDeclaration = typeof transposeOptions;

/** Options of {@link conv1dTranspose} and {@link conv2dTranspose}. */
export type ConvTransposeOptions = LayerOptions & OptionsOf<TransposeDeclaration>;

/** A convolution the other way round: each element is spread over a window. */
abstract class ConvTranspose extends Convolution<TransposeDeclaration> {
  protected kernel!: Variable;

  constructor(options: ConvTransposeOptions, axes: number) {
    super(options, transposeOptions, axes);
    if (this.config.outputPadding !== null) this.outputPadding();
  }

  /** What the op is told, its lists as long as it has axes. */
  protected get opOptions(): object {
    const outputPadding = this.outputPadding();
    return {
      ...this.windows,
      padding: this.config.padding,
      ...(outputPadding && { outputPadding }),
    };
  }

  /** `outputPadding` per axis; undefined where the op chooses. */
  protected outputPadding(): number[] | undefined {
    const { outputPadding } = this.config;
    return outputPadding === null
      ? undefined
      : perAxis(this.where, "outputPadding", outputPadding, this.axes, 0);
  }

  protected override makeKernels(channels: number): number {
    const { filters, ...o } = this.config;
    this.kernel = this.addWeight(
      "kernel",
      [...this.kernelSize, filters, channels],
      weightOf(o, "kernel"),
    );
    return filters;
  }
}

/**
 * The transpose of a convolution over [batch, height, width, channels]: enlarges by `strides`.
 *
 * Output shape: [batch, height · strides, width · strides, filters] with padding "same". Weights: kernel
 * [height, width, filters, channels], bias.
 */
export class Conv2DTranspose extends ConvTranspose {
  static override readonly className = "Conv2DTranspose";
  constructor(options: ConvTransposeOptions) {
    super(options, 2);
  }

  protected override convolve(x: Tensor): Tensor {
    return conv2dTransposeOp(x, this.kernel, this.opOptions as Conv2dTransposeOptions);
  }
}

/** The transpose of a convolution over images: enlarges them by `strides`. */
export const conv2dTranspose = maker(Conv2DTranspose);

/**
 * The transpose of a convolution over [batch, depth, height, width, channels]: enlarges by `strides`.
 *
 * Output shape: [batch, depth · strides, height · strides, width · strides, filters] with padding "same".
 * Weights: kernel [depth, height, width, filters, channels], bias.
 */
export class Conv3DTranspose extends ConvTranspose {
  static override readonly className = "Conv3DTranspose";
  constructor(options: ConvTransposeOptions) {
    super(options, 3);
  }

  protected override convolve(x: Tensor): Tensor {
    return conv3dTransposeOp(x, this.kernel, this.opOptions as Conv3dTransposeOptions);
  }
}

/** The transpose of a convolution over volumes: enlarges them by `strides`. */
export const conv3dTranspose = maker(Conv3DTranspose);

/** The transpose of a convolution over [batch, steps, channels]. Weights: kernel [size, filters, channels], bias. */
export class Conv1DTranspose extends ConvTranspose {
  static override readonly className = "Conv1DTranspose";
  constructor(options: ConvTransposeOptions) {
    super(options, 1);
  }

  protected override convolve(x: Tensor): Tensor {
    const { strides, dilationRate } = this.windows;
    const { padding: pads } = this.config;
    const extra = this.outputPadding();
    const [n, steps, channels] = x.shape as [number, number, number];
    const [size, filters] = this.kernel.shape as [number, number];
    const wide = conv2dTransposeOp(
      reshape(x, [n, 1, steps, channels]),
      reshape(this.kernel, [1, size, filters, channels]),
      {
        strides: [1, strides[0]!],
        dilationRate: [1, dilationRate[0]!],
        padding: onSecondAxis(pads) as never,
        outputPadding: (extra && [0, ...extra]) as never,
      },
    );
    return reshape(wide, [n, wide.shape[2]!, filters]);
  }
}

/** The transpose of a convolution over sequences. */
export const conv1dTranspose = maker(Conv1DTranspose);

/** The padding of sequences seen as images of height 1. */
function onSecondAxis(pads: Padding): Padding {
  if (typeof pads === "string") return pads;
  return [[0, 0], typeof pads === "number" ? [pads, pads] : pads[0]!];
}

const depthwiseOptions = {
  ...sharedOptions,
  padding: padding(),
  /** Filters for each channel. */
  depthMultiplier: integer({ min: 1 }, 1),
  ...weightFields("depthwise", "glorotUniform"),
};
type DepthwiseDeclaration = typeof depthwiseOptions;

/** Options of {@link depthwiseConv1d} and {@link depthwiseConv2d}. */
export type DepthwiseConvOptions = LayerOptions & OptionsOf<DepthwiseDeclaration>;

/** x convolved channel by channel; `kernel` has a window for each channel, times the multiplier. */
function depthwise(
  x: Tensor,
  kernel: Variable,
  windows: Windows,
  pads: Padding | "causal",
): Tensor {
  const { strides, dilationRate } = windows;
  if (x.rank === 4) {
    return depthwiseConv2dOp(x, kernel, {
      strides: strides as [number, number],
      dilationRate: dilationRate as [number, number],
      padding: pads as never,
    });
  }
  const [n, , channels] = x.shape as [number, number, number];
  const [size] = kernel.shape as [number];
  // Causal: as much in front as a window reaches back.
  const reach = (size - 1) * dilationRate[0]!;
  const input =
    pads === "causal"
      ? pad(x, [
          [0, 0],
          [reach, 0],
          [0, 0],
        ])
      : x;
  const wide = depthwiseConv2dOp(
    reshape(input, [n, 1, input.shape[1]!, channels]),
    reshape(kernel, [1, ...kernel.shape]),
    {
      strides: [1, strides[0]!],
      dilationRate: [1, dilationRate[0]!],
      padding: (pads === "causal" ? "valid" : onSecondAxis(pads)) as never,
    },
  );
  return reshape(wide, [n, wide.shape[2]!, wide.shape[3]!]);
}

/** Each channel with filters of its own. */
abstract class DepthwiseConv extends Convolution<DepthwiseDeclaration> {
  #kernel!: Variable;

  constructor(options: DepthwiseConvOptions, axes: number) {
    super(options, depthwiseOptions, axes);
  }

  protected override makeKernels(channels: number): number {
    const { depthMultiplier, ...o } = this.config;
    this.#kernel = this.addWeight(
      "depthwiseKernel",
      [...this.kernelSize, channels, depthMultiplier],
      weightOf(o, "depthwise"),
    );
    return channels * depthMultiplier;
  }

  protected override convolve(x: Tensor): Tensor {
    return depthwise(x, this.#kernel, this.windows, this.config.padding);
  }
}

/** Each channel of [batch, steps, channels] with filters of its own. Output: [batch, outSteps, channels · depthMultiplier]. */
export class DepthwiseConv1D extends DepthwiseConv {
  static override readonly className = "DepthwiseConv1D";
  constructor(options: DepthwiseConvOptions) {
    super(options, 1);
  }
}

/** Each channel of sequences with filters of its own. */
export const depthwiseConv1d = maker(DepthwiseConv1D);

/** Each channel of [batch, height, width, channels] with filters of its own; output channels · depthMultiplier. */
export class DepthwiseConv2D extends DepthwiseConv {
  static override readonly className = "DepthwiseConv2D";
  constructor(options: DepthwiseConvOptions) {
    super(options, 2);
  }
}

/** Each channel of images with filters of its own. */
export const depthwiseConv2d = maker(DepthwiseConv2D);

const separableOptions = {
  filters: integer({ min: 1 }),
  ...depthwiseOptions,
  padding: padding("causal"),
  ...weightFields("pointwise", "glorotUniform"),
};
type SeparableDeclaration = typeof separableOptions;

/** Options of {@link separableConv1d} and {@link separableConv2d}. */
export type SeparableConvOptions = LayerOptions & OptionsOf<SeparableDeclaration>;

/** A depthwise convolution, then one of windows of size 1 that mixes the channels (Chollet 2017). */
abstract class SeparableConv extends Convolution<SeparableDeclaration> {
  #depthwise!: Variable;
  #pointwise!: Variable;

  constructor(options: SeparableConvOptions, axes: number) {
    super(options, separableOptions, axes);
    if (axes > 1 && this.config.padding === "causal") {
      throw new ArgumentError(`${this.where}: padding "causal" is for sequences`);
    }
  }

  protected override makeKernels(channels: number): number {
    const { depthMultiplier, filters, ...o } = this.config;
    this.#depthwise = this.addWeight(
      "depthwiseKernel",
      [...this.kernelSize, channels, depthMultiplier],
      weightOf(o, "depthwise"),
    );
    const ones = new Array<number>(this.axes).fill(1);
    this.#pointwise = this.addWeight(
      "pointwiseKernel",
      [...ones, channels * depthMultiplier, filters],
      weightOf(o, "pointwise"),
    );
    return filters;
  }

  protected override convolve(x: Tensor): Tensor {
    const each = depthwise(x, this.#depthwise, this.windows, this.config.padding);
    return this.axes === 1 ? conv1dOp(each, this.#pointwise) : conv2dOp(each, this.#pointwise);
  }
}

/** A depthwise, then a pointwise convolution of [batch, steps, channels]. */
export class SeparableConv1D extends SeparableConv {
  static override readonly className = "SeparableConv1D";
  constructor(options: SeparableConvOptions) {
    super(options, 1);
  }
}

/** A depthwise, then a pointwise convolution of sequences. */
export const separableConv1d = maker(SeparableConv1D);

/** A depthwise, then a pointwise convolution of [batch, height, width, channels]. */
export class SeparableConv2D extends SeparableConv {
  static override readonly className = "SeparableConv2D";
  constructor(options: SeparableConvOptions) {
    super(options, 2);
  }
}

/** A depthwise, then a pointwise convolution of images. */
export const separableConv2d = maker(SeparableConv2D);
