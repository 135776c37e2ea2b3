/**
 * Windows that walk over axes: how padding and stride place them. What pooling and everything else that
 * slides shares; pure functions of sizes.
 */
import { ArgumentError, checkInteger, expected, ShapeError, show } from "../errors.js";
import { showShape } from "./shape.js";

/**
 * How the input is padded: not at all ("valid"), so that the output has ⌈size / stride⌉ elements ("same",
 * the odd element after the input), by a number on all sides, or by [before, after] of each axis.
 */
export type Padding = "valid" | "same" | number | readonly (readonly [number, number])[];

/** Where the windows of one axis stand: window o begins at o · stride − before. */
export interface WindowAxis {
  readonly before: number;
  readonly after: number;
  readonly output: number;
}

/** One number per axis, from one for all or a list. */
export function perAxis(
  where: string,
  option: string,
  value: number | readonly number[],
  axes: number,
  min = 1,
): number[] {
  const list = Array.isArray(value) ? value : new Array<unknown>(axes).fill(value);
  if (list.length !== axes) {
    throw new ArgumentError(
      expected(where, `\`${option}\` to be a number or ${axes} of them`, show(value)),
    );
  }
  list.forEach((v: unknown, i) => {
    checkInteger(where, Array.isArray(value) ? `${option}[${i}]` : option, v, min);
  });
  return list as number[];
}

/** Checks a padding for so many axes, and gives [before, after] of each, or null for "same". */
function padsOf(
  where: string,
  padding: Padding,
  axes: number,
): readonly (readonly [number, number])[] | null {
  if (padding === "same") return null;
  const all = padding === "valid" ? 0 : padding;
  if (typeof all === "number" && Number.isInteger(all) && all >= 0) {
    return new Array<[number, number]>(axes).fill([all, all]);
  }
  const good =
    Array.isArray(all) &&
    all.length === axes &&
    all.every(
      (pair: unknown) =>
        Array.isArray(pair) &&
        pair.length === 2 &&
        pair.every((p) => Number.isInteger(p) && p >= 0),
    );
  if (good) return all as readonly (readonly [number, number])[];
  throw new ArgumentError(
    expected(
      where,
      `\`padding\` to be "valid", "same", an integer ≥ 0 or ${axes} pairs [before, after]`,
      show(padding),
    ),
  );
}

/**
 * Places windows over the axes of `sizes`.
 * @throws ArgumentError for a bad padding, ShapeError if a window is larger than the padded input.
 */
export function placeWindows(
  where: string,
  sizes: readonly number[],
  kernel: readonly number[],
  strides: readonly number[],
  padding: Padding,
): WindowAxis[] {
  const pads = padsOf(where, padding, sizes.length);
  return sizes.map((size, i) => {
    const [k, stride] = [kernel[i]!, strides[i]!];
    if (!pads) {
      const output = Math.ceil(size / stride);
      const total = Math.max(0, (output - 1) * stride + k - size);
      const before = Math.floor(total / 2);
      return { before, after: total - before, output };
    }
    const [before, after] = pads[i]!;
    if (size + before + after < k) {
      throw new ShapeError(
        expected(
          where,
          `an input that the window ${showShape(kernel)} fits into`,
          `${showShape(sizes)}${before + after > 0 ? ` and padding ${show(pads)}` : ""}`,
          padding === "valid" ? 'padding: "same" lets it reach beyond the edges' : undefined,
        ),
      );
    }
    return { before, after, output: Math.floor((size + before + after - k) / stride) + 1 };
  });
}
