/** Options of the convolutions and the checks of their operands, which are the same for all of them. */
import { environment } from "../environment.js";
import { checkBoolean, checkInteger, checkKeys, expected, ShapeError } from "../errors.js";
import { showShape, type WindowPadding } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { paddingPerAxis, perAxis } from "../tensor/window.js";
import { asTensor, requireDType } from "./op.js";

/** Padding of a convolution: by name, the same on every side, or per dimension [before, after]. */
export type Padding2d =
  | "valid"
  | "same"
  | number
  | readonly [readonly [top: number, bottom: number], readonly [left: number, right: number]];

/** Options of `conv2d` and `depthwiseConv2d`. */
export interface Conv2dOptions {
  /** Step of the window, or [vertical, horizontal]; 1 by default. */
  readonly strides?: number | readonly [number, number];
  /** `"valid"` (none, the default), `"same"` (⌈size/stride⌉ positions), or numbers. */
  readonly padding?: Padding2d;
  /** Distance of the filter's taps; 1 by default. */
  readonly dilationRate?: number | readonly [number, number];
  /** Groups of channels, each with filters of its own; 1 by default. */
  readonly groups?: number;
  /** False: never Winograd's algorithm, which is faster but differs from a sum in the 6th digit. */
  readonly winograd?: boolean;
}

/** Options of `conv2dTranspose`. */
export interface Conv2dTransposeOptions extends Conv2dOptions {
  /** Rows and columns added to the result behind, below the stride: which of the sizes that a strided convolution maps to the input's is meant. */
  readonly outputPadding?: number | readonly [number, number];
}

/** Options of `conv1d`. */
export interface Conv1dOptions {
  readonly strides?: number;
  /** As in `conv2d`; `"causal"`: all in front, so that no step sees a later one. */
  readonly padding?: "valid" | "same" | "causal" | number | readonly [number, number];
  readonly dilationRate?: number;
  readonly groups?: number;
  readonly winograd?: boolean;
}

/** Options of `conv3d`. */
export interface Conv3dOptions {
  readonly strides?: number | readonly [number, number, number];
  readonly padding?: "valid" | "same" | number | readonly (readonly [number, number])[];
  readonly dilationRate?: number | readonly [number, number, number];
  readonly groups?: number;
  readonly winograd?: boolean;
}

/** Options of `conv3dTranspose`. */
export interface Conv3dTransposeOptions extends Conv3dOptions {
  /** Planes, rows and columns added to the result behind, as in `conv2dTranspose`. */
  readonly outputPadding?: number | readonly [number, number, number];
}

/** Names of the options. */
export const keys = ["strides", "padding", "dilationRate", "groups", "winograd"] as const;
/** What PyTorch and ONNX call them. */
const aliases = {
  stride: "strides",
  dilation: "dilationRate",
  dilations: "dilationRate",
  pad: "padding",
  group: "groups",
} as const;

/** What the options say, per axis. */
export interface Window {
  readonly strides: number[];
  readonly dilations: number[];
  readonly padding: WindowPadding[];
  readonly groups: number;
  readonly winograd: boolean;
}

/** Checks options and spreads them over `rank` axes. */
export function windowOf(
  where: string,
  options: object,
  rank: number,
  known: readonly string[],
): Window {
  checkKeys(where, options, known, aliases);
  const {
    strides = 1,
    padding = "valid",
    dilationRate = 1,
    groups = 1,
    winograd = true,
  } = options as { [key: string]: unknown };
  checkInteger(where, "groups", groups, 1);
  checkBoolean(where, "winograd", winograd);
  return {
    strides: perAxis(where, "strides", strides, rank, 1),
    dilations: perAxis(where, "dilationRate", dilationRate, rank, 1),
    padding: paddingPerAxis(where, padding, rank),
    groups,
    winograd: winograd && environment().winograd !== false,
  };
}

/** A float32 tensor of a rank. */
export function operand(
  where: string,
  name: string,
  value: TensorLike,
  rank: number,
  form: string,
): Tensor {
  const tensor = asTensor(where, value);
  requireDType(where, tensor, "float32");
  if (tensor.rank !== rank) {
    throw new ShapeError(expected(where, `${name} ${form}`, showShape(tensor.shape)));
  }
  return tensor;
}

/** A filter has an element along each of its first `taps` axes. */
export function checkFilter(where: string, filter: Tensor, taps: number): void {
  if (filter.shape.slice(0, taps).some((size) => size === 0)) {
    throw new ShapeError(
      expected(where, "a filter with at least one tap", showShape(filter.shape)),
    );
  }
}

/** Channels of x and the filter must fit, and both must fall into the groups. */
export function checkChannels(where: string, x: Tensor, filter: Tensor, groups: number): void {
  const channels = x.shape.at(-1)!;
  const [own, filters] = filter.shape.slice(-2) as [number, number];
  if (channels % groups !== 0) {
    throw new ShapeError(`${where}: ${channels} channels do not fall into ${groups} groups`);
  }
  if (own !== channels / groups) {
    const wanted =
      `a filter for ${channels / groups} channels` +
      (groups > 1 ? ` (${channels} channels in ${groups} groups)` : "");
    throw new ShapeError(
      expected(where, wanted, `${showShape(filter.shape)} for x ${showShape(x.shape)}`),
    );
  }
  if (filters % groups !== 0) {
    throw new ShapeError(`${where}: ${filters} filters do not fall into ${groups} groups`);
  }
}
