/**
 * Options of windows that slide over axes, checked: one number or several per axis, and padding.
 * `slideWindow` (shape.ts) places the windows. What convolution and pooling share.
 */
import { ArgumentError, checkChoice, checkInteger, expected, show } from "../errors.js";
import type { WindowPadding } from "./shape.js";

/**
 * How the input is padded: not at all ("valid"), so that the output has ⌈size / stride⌉ elements ("same",
 * the odd element after the input), by a number on all sides, or by [before, after] of each axis.
 */
export type Padding = "valid" | "same" | number | readonly (readonly [number, number])[];

/** One number per axis, from one for all or a list. */
export function perAxis(
  where: string,
  option: string,
  value: unknown,
  axes: number,
  min = 1,
): number[] {
  if (!Array.isArray(value)) {
    checkInteger(where, option, value, min);
    return new Array<number>(axes).fill(value);
  }
  if (value.length !== axes) {
    const wanted = axes === 1 ? "a number" : `a number or ${axes} of them`;
    throw new ArgumentError(expected(where, `\`${option}\` to be ${wanted}`, show(value)));
  }
  for (const one of value) checkInteger(where, option, one, min);
  return value as number[];
}

/** The padding of each axis. */
export function paddingPerAxis(where: string, value: unknown, axes: number): WindowPadding[] {
  if (typeof value === "string") {
    checkChoice(where, "padding", value, ["valid", "same"] as const);
    return new Array<WindowPadding>(axes).fill(value);
  }
  if (typeof value === "number") {
    checkInteger(where, "padding", value, 0);
    return new Array<WindowPadding>(axes).fill([value, value]);
  }
  if (
    !Array.isArray(value) ||
    value.length !== axes ||
    value.some((pair) => !Array.isArray(pair) || pair.length !== 2)
  ) {
    const wanted = `\`padding\` to be "valid", "same", a number or ${axes} pairs [before, after]`;
    throw new ArgumentError(expected(where, wanted, show(value)));
  }
  for (const pair of value as readonly unknown[][]) {
    for (const one of pair) checkInteger(where, "padding", one, 0);
  }
  return value as WindowPadding[];
}

/** How the axes of sequences, images and volumes are called. */
export const axisNames: Readonly<Record<number, readonly string[]>> = {
  1: ["length"],
  2: ["height", "width"],
  3: ["depth", "height", "width"],
};
