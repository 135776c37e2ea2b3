/**
 * What layers over sequences, images and volumes share: where the channels stand, and options that say
 * something of each axis. Channels are last everywhere inside; a layer that gets them first turns its
 * input around here, and its output back.
 */
import { ArgumentError, checkInteger, expected, show } from "../errors.js";
import { resizeBilinear } from "../ops/image.js";
import { slice, transpose } from "../ops/movement.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Padding, paddingPerAxis } from "../tensor/window.js";
import { type Field, plain } from "./config.js";

/** Where the channels stand. */
export type DataFormat = "channelsLast" | "channelsFirst";

/** Which axis the channels of an input of this rank are. */
export const channelAxis = (format: DataFormat, rank: number): number =>
  format === "channelsLast" ? rank - 1 : 1;

/** The axes between batch and channels. */
export function spatialAxes(format: DataFormat, rank: number): number[] {
  const from = format === "channelsLast" ? 1 : 2;
  return Array.from({ length: rank - 2 }, (_, i) => i + from);
}

/** f(x) for an f that has the channels last, whatever x has; all other axes keep their order. */
export function withChannelsLast(x: Tensor, format: DataFormat, f: (x: Tensor) => Tensor): Tensor {
  if (format === "channelsLast") return f(x);
  const axes = Array.from({ length: x.rank - 2 }, (_, i) => i);
  const y = f(transpose(x, [0, ...axes.map((i) => i + 2), 1]));
  return transpose(y, [0, y.rank - 1, ...axes.map((i) => i + 1)]);
}

type Sizes = number | readonly number[];

/** One integer for all axes or one for each; without a fallback the option is required. */
export function sizes(min?: number): Field<Sizes, Sizes, true>;
export function sizes(min: number, fallback: number): Field<Sizes, Sizes, false>;
export function sizes(min = 1, fallback?: number): Field<Sizes, Sizes> {
  const make = plain<Sizes>((where, option, given) => {
    if (!Array.isArray(given)) {
      checkInteger(where, option, given, min);
      return given;
    }
    given.forEach((value, i) => {
      checkInteger(where, `${option}[${i}]`, value, min);
    });
    return [...given];
  });
  return fallback === undefined ? make() : make(fallback);
}

/** How the input is padded; a layer that knows its axes lets {@link checkPairs} count the pairs. */
export function padding<Extra extends string = never>(
  ...extra: readonly Extra[]
): Field<Padding | Extra, Padding | Extra, false> {
  const words: readonly string[] = ["valid", "same", ...extra];
  return plain<Padding | Extra>((where, option, given) => {
    const good =
      words.includes(given as string) ||
      isCount(given) ||
      (Array.isArray(given) && given.every(isPair));
    if (!good) {
      throw new ArgumentError(
        expected(
          where,
          `\`${option}\` to be ${words.map(show).join(", ")}, an integer ≥ 0 or pairs [before, after]`,
          show(given),
        ),
      );
    }
    return given as Padding | Extra;
  })("valid");
}

/** Throws unless there is a pair of padding for each axis, where there are pairs. */
export function checkPairs(where: string, given: Padding | "causal", axes: number): void {
  if (Array.isArray(given)) paddingPerAxis(where, given, axes);
}

type Pair = readonly [number, number];
/** A number for all sides, one number per axis, or [before, after] of each axis. */
export type Sides = number | readonly number[] | readonly Pair[];

const isCount = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0;
const isPair = (value: unknown): value is Pair =>
  Array.isArray(value) && value.length === 2 && value.every(isCount);

/** What a padding or cropping layer adds or removes at the sides of `axes` axes. */
export function sides(axes: number, fallback: Sides): Field<Sides, Sides, false> {
  return plain<Sides>((where, option, given) => {
    const good =
      isCount(given) ||
      (axes === 1 && isPair(given)) ||
      (Array.isArray(given) &&
        given.length === axes &&
        (given.every(isCount) || given.every(isPair)));
    if (good) return given as Sides;
    const each =
      axes === 1 ? "[before, after]" : `${axes} of them, or ${axes} pairs [before, after]`;
    throw new ArgumentError(
      expected(where, `\`${option}\` to be an integer ≥ 0 or ${each}`, show(given)),
    );
  })(fallback);
}

/** [before, after] of each axis. */
export function pairsOf(value: Sides, axes: number): Pair[] {
  if (typeof value === "number") return new Array<Pair>(axes).fill([value, value]);
  if (axes === 1 && isPair(value)) return [value];
  return value.map((side) => (typeof side === "number" ? [side, side] : side));
}

/**
 * The largest part in the middle of [batch, h, w, c] with the proportions of height × width; its height
 * and width are rounded down.
 */
export function cropToProportions(x: Tensor, height: number, width: number): Tensor {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const rows = Math.max(1, Math.min(h, Math.floor((w * height) / width)));
  const cols = Math.max(1, Math.min(w, Math.floor((h * width) / height)));
  const begin = [0, Math.floor((h - rows) / 2), Math.floor((w - cols) / 2), 0];
  return slice(x, begin, [n, rows, cols, c]);
}

/** Images brought to height × width without distortion: what does not fit is cut off. */
export function fitted(x: Tensor, height: number, width: number): Tensor {
  return resizeBilinear(cropToProportions(x, height, width), [height, width]);
}
