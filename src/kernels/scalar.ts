/**
 * Scalar functions of the tile machine that JavaScript's Math lacks, in double precision.
 * `instructions.ts` rounds them to float32.
 */

/** Coefficients of erf(x)·√π/(2x) in x²: (−1)ⁿ / (n!·(2n+1)). */
const erfSeries = (() => {
  const coefficients: number[] = [];
  for (let n = 0, factorial = 1; n < 60; n++, factorial *= n) {
    coefficients.push((n % 2 === 0 ? 1 : -1) / (factorial * (2 * n + 1)));
  }
  return coefficients;
})();

/**
 * The error function by its Maclaurin series. From |x| = 4 on, float32 can't tell it from ±1; below,
 * terms stay under e¹⁶, so cancellation costs at most 1e-9 in double.
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size >= 4) return Math.sign(x);
  if (Number.isNaN(x)) return x;
  const square = x * x;
  let sum = 0;
  // Enough terms that the first one left out is below 1e-10.
  for (let n = size < 1 ? 13 : size < 2 ? 26 : 59; n >= 0; n--) sum = sum * square + erfSeries[n]!;
  return (2 / Math.sqrt(Math.PI)) * x * sum;
}

/** log(1 + eˣ) without overflow. */
export function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** As IEEE 754 and NumPy: 1 to any power is 1, where JavaScript says NaN for NaN and ±∞. */
export function pow(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}

/** To the nearest integer, halves to the even one. */
export function roundHalfEven(x: number): number {
  // Adding 1.5·2⁵² pushes the fraction out of the significand with the processor's own rounding.
  return Math.abs(x) < 2 ** 23 ? x + 6755399441055744 - 6755399441055744 : x;
}

/** Truncates to int32, saturating; NaN gives 0. */
export function saturateInt(x: number): number {
  return x >= 2147483647 ? 2147483647 : x <= -2147483648 ? -2147483648 : x | 0;
}

/** ⌊a/b⌋ of floats; beyond 2²⁴, where float32 lacks integers, the quotient rounded to float32. */
export function floorQuotient(a: number, b: number): number {
  if (Math.abs(b) === Infinity && a < 0 !== b < 0 && a !== 0) return a - a - 1;
  const quotient = a / b;
  const rounded = Math.fround(quotient);
  return Math.abs(rounded) <= 2 ** 24 ? Math.fround(Math.floor(quotient)) : rounded;
}

/** a − b·⌊a/b⌋ of floats with the sign of b, exact but for one rounding; NaN when b is 0. */
export function floorRest(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

/** a − b·⌊a/b⌋ of integers with the sign of b; 0 when b is 0. */
export function intMod(a: number, b: number): number {
  return b === 0 ? 0 : (((a % b) + b) % b) | 0;
}
