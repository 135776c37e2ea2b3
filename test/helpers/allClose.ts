/** Comparison of arrays that names the worst element, in absolute, relative or ULP terms. */
import { expect } from "vitest";

type Numbers = ArrayLike<number>;

/** How far apart two numbers may be: the sum of the parts given. */
export interface Tolerance {
  readonly atol?: number;
  readonly rtol?: number;
  /** Units in the last place of the float32 nearest to the expected value. */
  readonly ulp?: number;
}

/** Distance between neighbouring float32 at `x`; at least that of the smallest normal numbers. */
export function ulpOf(x: number): number {
  const size = Math.abs(Math.fround(x));
  if (!Number.isFinite(size)) return 2 ** 104;
  return 2 ** Math.max(-149, Math.floor(Math.log2(Math.max(size, 2 ** -126))) - 23);
}

/** True for equal numbers (0 and -0 are), two NaN, or a difference of at most `allowed`. */
export function isClose(got: number, want: number, allowed: number): boolean {
  return (
    got === want || (Number.isNaN(got) && Number.isNaN(want)) || Math.abs(got - want) <= allowed
  );
}

/** Fails with the worst index when any |got − want| is above its own `allowed`. */
export function expectWithin(got: Numbers, want: Numbers, allowed: Numbers, what: string): void {
  expect(got.length, `${what}: length`).toBe(want.length);
  let worst = -1;
  let excess = 0;
  let count = 0;
  for (let i = 0; i < want.length; i++) {
    if (isClose(got[i]!, want[i]!, allowed[i]!)) continue;
    count++;
    const difference = Math.abs(got[i]! - want[i]!);
    const by = Number.isNaN(difference) ? Infinity : difference / allowed[i]!;
    if (worst < 0 || by > excess) {
      worst = i;
      excess = by;
    }
  }
  if (worst >= 0) {
    expect.fail(
      `${what}: ${count} of ${want.length} differ; worst at ${worst}: ` +
        `got ${got[worst]}, expected ${want[worst]} ± ${allowed[worst]}`,
    );
  }
}

/** Fails unless all elements are within the tolerance. */
export function expectClose(
  got: Numbers,
  want: Numbers,
  { atol = 0, rtol = 0, ulp = 0 }: Tolerance,
  what = "values",
): void {
  const allowed = Array.from(
    want,
    (value) => atol + rtol * Math.abs(value) + (ulp === 0 ? 0 : ulp * ulpOf(value)),
  );
  expectWithin(got, want, allowed, what);
}

/** Fails unless both arrays have the same bytes. */
export function expectSameBits(got: ArrayBufferView, want: ArrayBufferView, what: string): void {
  const bytesOf = (view: ArrayBufferView) =>
    Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  if (bytesOf(got).equals(bytesOf(want))) return;
  const a = got as unknown as Numbers;
  const b = want as unknown as Numbers;
  let at = 0;
  while (at < a.length && Object.is(a[at], b[at])) at++;
  expect.fail(`${what}: bits differ at ${at}: ${a[at]} and ${b[at]}`);
}
