/**
 * Pooling windows and transformed pixels, listed one by one: what the references of kernels and ops
 * add up. Written from docs/program.md; shares no code with `src`.
 */

type Numbers = ArrayLike<number>;

/** One element of one window, as flat positions in input and output. */
export interface Covered {
  readonly input: number;
  readonly output: number;
  /** The element's number in its window. */
  readonly tap: number;
}

/** All elements of all windows that lie inside the input, window by window. */
export function* coveringWindows(ints: readonly number[]): Generator<Covered> {
  const [n, height, width, channels, kh, kw, sh, sw, top, left, oh, ow] = ints as [
    ...[number, number, number, number, number, number],
    ...[number, number, number, number, number, number],
  ];
  for (let image = 0; image < n; image++) {
    for (let y = 0; y < oh; y++) {
      for (let x = 0; x < ow; x++) {
        for (let tap = 0; tap < kh * kw; tap++) {
          const row = y * sh - top + Math.floor(tap / kw);
          const col = x * sw - left + (tap % kw);
          if (row < 0 || row >= height || col < 0 || col >= width) continue;
          for (let c = 0; c < channels; c++) {
            yield {
              input: ((image * height + row) * width + col) * channels + c,
              output: ((image * oh + y) * ow + x) * channels + c,
              tap,
            };
          }
        }
      }
    }
  }
}

/** One pixel that a pixel of the result reads; input −1 is the fill value. */
export interface Read {
  readonly input: number;
  readonly output: number;
  readonly weight: number;
}

const modes = ["constant", "nearest", "reflect", "wrap"];

/** Folds position i into [0, size), or −1. */
function inside(i: number, size: number, mode: string): number {
  let at = i;
  if (at >= 0 && at < size) return at;
  if (mode === "constant" || size === 0) return -1;
  if (mode === "nearest") return at < 0 ? 0 : size - 1;
  while (at < 0 || at >= size) {
    if (mode === "wrap") at += at < 0 ? size : -size;
    else at = at < 0 ? -at - 1 : 2 * size - 1 - at;
  }
  return at;
}

/** All pixels that are read, pixel by pixel of the result. */
export function* pixelsRead(ints: readonly number[], transforms: Numbers): Generator<Read> {
  const [n, height, width, channels, oh, ow, count, bilinear, mode] = ints as [
    ...[number, number, number, number, number],
    ...[number, number, number, number],
  ];
  for (let image = 0; image < n; image++) {
    const t = (k: number): number => transforms[(count === 1 ? 0 : image * 8) + k]!;
    for (let y = 0; y < oh; y++) {
      for (let x = 0; x < ow; x++) {
        const k = t(6) * x + t(7) * y + 1;
        const col = (t(0) * x + t(1) * y + t(2)) / k;
        const row = (t(3) * x + t(4) * y + t(5)) / k;
        const reads: [number, number, number][] = [];
        const far = !(Math.abs(col) < 2 ** 30 && Math.abs(row) < 2 ** 30);
        if (!far && bilinear) {
          const [r, c] = [Math.floor(row), Math.floor(col)];
          for (const [i, p] of [
            [r, 1 - (row - r)],
            [r + 1, row - r],
          ] as const) {
            for (const [j, q] of [
              [c, 1 - (col - c)],
              [c + 1, col - c],
            ] as const) {
              // Where nothing is read, not even an infinity counts.
              if (Math.fround(p) * Math.fround(q) !== 0) reads.push([i, j, p * q]);
            }
          }
        } else if (!far) {
          reads.push([Math.floor(row + 0.5), Math.floor(col + 0.5), 1]);
        }
        for (let c = 0; c < channels; c++) {
          const output = ((image * oh + y) * ow + x) * channels + c;
          if (far) yield { input: -1, output, weight: 1 };
          for (const [i, j, weight] of reads) {
            const r = inside(i, height, modes[mode]!);
            const s = inside(j, width, modes[mode]!);
            const input = r < 0 || s < 0 ? -1 : ((image * height + r) * width + s) * channels + c;
            yield { input, output, weight };
          }
        }
      }
    }
  }
}
