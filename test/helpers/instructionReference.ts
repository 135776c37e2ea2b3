/**
 * Every instruction of the tile machine once more, in double precision, and a tile program made of them, in
 * plain loops; shares no code with `src`.
 */
import type { TileProgram } from "../../src/compiler/program.js";

export type Numbers = ArrayLike<number>;

/** Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!! · 2/√π · e^(−x²): all terms of one sign. */
function erf(x: number): number {
  if (!(Math.abs(x) < 6)) return Number.isNaN(x) ? x : Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) return 1;
  return x ** y;
}

function halfEven(x: number): number {
  const low = Math.floor(x);
  if (x - low === 0.5) return low % 2 === 0 ? low : low + 1;
  return Math.round(x);
}

const wrap = (x: bigint): number => Number(BigInt.asIntN(32, x));
const wide = (f: (a: bigint, b: bigint) => bigint) => (a: number, b: number) =>
  wrap(f(BigInt(a), BigInt(b)));
const flag = (condition: boolean): number => (condition ? 1 : 0);

/** ⌊a/b⌋ on integers. */
function floorDivBig(a: bigint, b: bigint): bigint {
  if (b === 0n) return 0n;
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

/** A finite float32 in units of the smallest one. */
const scaled = (x: number) => BigInt(x * 2 ** 149);

/** The exact value of each instruction, before the final rounding to float32. */
export const exactInstructions: Readonly<Record<string, (...x: number[]) => number>> = {
  neg: (x) => -x!,
  abs: (x) => (x! < 0 ? -x! : x!),
  sign: (x) => Math.sign(x!),
  floor: (x) => Math.floor(x!),
  ceil: (x) => Math.ceil(x!),
  round: (x) => halfEven(x!),
  trunc: (x) => Math.trunc(x!),
  exp: (x) => Math.exp(x!),
  expm1: (x) => Math.expm1(x!),
  log: (x) => Math.log(x!),
  log1p: (x) => Math.log1p(x!),
  sqrt: (x) => Math.sqrt(x!),
  rsqrt: (x) => 1 / Math.sqrt(x!),
  reciprocal: (x) => 1 / x!,
  square: (x) => x! * x!,
  sin: (x) => Math.sin(x!),
  cos: (x) => Math.cos(x!),
  tan: (x) => Math.tan(x!),
  asin: (x) => Math.asin(x!),
  acos: (x) => Math.acos(x!),
  atan: (x) => Math.atan(x!),
  sinh: (x) => Math.sinh(x!),
  cosh: (x) => Math.cosh(x!),
  tanh: (x) => Math.tanh(x!),
  asinh: (x) => Math.asinh(x!),
  acosh: (x) => Math.acosh(x!),
  atanh: (x) => Math.atanh(x!),
  erf: (x) => erf(x!),
  sigmoid: (x) => (x! < 0 ? Math.exp(x!) / (1 + Math.exp(x!)) : 1 / (1 + Math.exp(-x!))),
  softplus: (x) => (x! > 0 ? x! + Math.log1p(Math.exp(-x!)) : Math.log1p(Math.exp(x!))),
  relu: (x) => (x! > 0 ? x! : Number.isNaN(x) ? NaN : 0),
  isNaN: (x) => flag(Number.isNaN(x)),
  isFinite: (x) => flag(Number.isFinite(x)),
  isInf: (x) => flag(x === Infinity || x === -Infinity),
  add: (x, y) => x! + y!,
  sub: (x, y) => x! - y!,
  mul: (x, y) => x! * y!,
  div: (x, y) => x! / y!,
  pow: (x, y) => power(x!, y!),
  minimum: (x, y) => Math.min(x!, y!),
  maximum: (x, y) => Math.max(x!, y!),
  atan2: (x, y) => Math.atan2(x!, y!),
  floorDiv: (x, y) => {
    if (!Number.isFinite(x! / y!)) return x! / y!;
    if (!Number.isFinite(y)) return x !== 0 && x! < 0 !== y! < 0 ? -1 : 0;
    return Number(floorDivBig(scaled(x!), scaled(y!)));
  },
  mod: (x, y) => {
    if (!Number.isFinite(x) || Number.isNaN(y) || y === 0) return NaN;
    if (!Number.isFinite(y)) return x !== 0 && x! < 0 !== y! < 0 ? y! : x!;
    const [a, b] = [scaled(x!), scaled(y!)];
    return Number(a - b * floorDivBig(a, b)) * 2 ** -149;
  },
  equal: (x, y) => flag(x === y),
  notEqual: (x, y) => flag(x !== y),
  less: (x, y) => flag(x! < y!),
  lessEqual: (x, y) => flag(x! <= y!),
  negInt: wide((a) => -a) as (...x: number[]) => number,
  absInt: wide((a) => (a < 0n ? -a : a)) as (...x: number[]) => number,
  signInt: (x) => Math.sign(x!),
  notBool: (x) => flag(x === 0),
  addInt: wide((a, b) => a + b),
  subInt: wide((a, b) => a - b),
  mulInt: wide((a, b) => a * b),
  floorDivInt: wide(floorDivBig),
  modInt: wide((a, b) => (b === 0n ? 0n : a - b * floorDivBig(a, b))),
  minimumInt: (x, y) => Math.min(x!, y!),
  maximumInt: (x, y) => Math.max(x!, y!),
  andInt: wide((a, b) => a & b),
  orInt: wide((a, b) => a | b),
  xorInt: wide((a, b) => a ^ b),
  equalInt: (x, y) => flag(x === y),
  notEqualInt: (x, y) => flag(x !== y),
  lessInt: (x, y) => flag(x! < y!),
  lessEqualInt: (x, y) => flag(x! <= y!),
  select: (b, x, y) => (b !== 0 ? x! : y!),
  toFloat: (x) => x!,
  toInt: (x) => {
    if (Number.isNaN(x)) return 0;
    return Math.min(2147483647, Math.max(-2147483648, Math.trunc(x!)));
  },
  constFloat: (c) => c!,
  constInt: (c) => c!,
  bitsToUniform: (x) => Math.floor((x! < 0 ? x! + 2 ** 32 : x!) / 256) / 2 ** 24,
  philox: (seed, step, key, counter, index) =>
    philox([Math.floor(index! / 4), counter!, step!, 0], [seed!, key!])[index! % 4]!,
  philoxBelow: (seed, step, key, counter, threshold, index) =>
    philoxBits(seed!, step!, key!, counter!, index!) < threshold! ? 1 : 0,
};
for (const unary of ["negInt", "absInt"]) {
  const binary = exactInstructions[unary]!;
  (exactInstructions as Record<string, (x: number) => number>)[unary] = (x) => binary(x, 0);
}

/** Philox 4×32-10 in 64-bit integers, straight from the paper's definition. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  const word = (x: number) => BigInt.asUintN(32, BigInt(x));
  let [c0, c1, c2, c3] = counter.map(word) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(word) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const p0 = c0 * 0xd2511f53n;
    const p1 = c2 * 0xcd9e8d57n;
    [c0, c1, c2, c3] = [
      (p1 >> 32n) ^ c1 ^ k0,
      BigInt.asUintN(32, p1),
      (p0 >> 32n) ^ c3 ^ k1,
      BigInt.asUintN(32, p0),
    ];
    k0 = BigInt.asUintN(32, k0 + 0x9e3779b9n);
    k1 = BigInt.asUintN(32, k1 + 0xbb67ae85n);
  }
  return [c0, c1, c2, c3].map((x) => Number(BigInt.asIntN(32, x)));
}

/**
 * The 32 bits of `philoxBelow` at `index`, the highest first: bit `index` mod 128 of the words of the counters
 * that end in 0, 1, …, 31.
 */
export function philoxBits(
  seed: number,
  step: number,
  key: number,
  counter: number,
  index: number,
): number {
  let bits = 0;
  for (let plane = 0; plane < 32; plane++) {
    const words = philox([Math.floor(index / 128), counter, step, plane], [seed, key]);
    const word = BigInt.asUintN(32, BigInt(words[Math.floor((index % 128) / 32)]!));
    bits = bits * 2 + Number((word >> BigInt(index % 32)) & 1n);
  }
  return bits;
}

const integerResults = /^(.*Int|is.*|equal|notEqual|less|lessEqual|notBool|philox|philoxBelow)$/;

/** Rounds a lane as the tile machine does: float lanes to float32, integer lanes not at all. */
function lane(op: string, value: number): number {
  return integerResults.test(op) || op === "select" ? value : Math.fround(value);
}

/** Calls `visit` with each element's register values; every float step rounded to float32. */
export function runTile(
  tile: TileProgram,
  inputs: readonly Numbers[],
  visit: (index: number, results: number[]) => void,
): void {
  const size = tile.dims.reduce((a, b) => a * b, 1);
  for (let index = 0; index < size; index++) {
    let rest = index;
    const at = tile.strides.map(() => 0);
    for (let d = tile.dims.length - 1; d >= 0; d--) {
      const i = rest % tile.dims[d]!;
      rest = Math.floor(rest / tile.dims[d]!);
      for (const [j, row] of tile.strides.entries()) at[j]! += i * row[d]!;
    }
    const registers = inputs.map((input, j) => input[at[j]!]!);
    for (const { op, dst, args, constant = [] } of tile.instructions) {
      const values = [...args.map((r) => registers[r]!), ...[constant].flat(), index];
      registers[dst] = lane(op, exactInstructions[op]!(...(values as number[])));
    }
    visit(
      index,
      tile.results.map((r) => registers[r]!),
    );
  }
}

/** A lane as it is stored in a tensor of `dtype`. */
export function store(dtype: string, value: number): number {
  if (dtype === "uint8") return Math.min(255, Math.max(0, value));
  if (dtype === "bool") return value === 0 ? 0 : 1;
  return value;
}
