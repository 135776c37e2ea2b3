/**
 * The instructions of the tile machine, one line each: argument and result lanes, the scalar function
 * that defines it, and how far a backend may be from the exact value. The native twin is
 * `native/elementwise.def`; ops refer to instructions by name. Knows no loops and no tensors.
 */
import {
  erf,
  floorQuotient,
  floorRest,
  intMod,
  pow,
  roundHalfEven,
  saturateInt,
  softplus,
} from "./scalar.js";

const { fround, floor, abs } = Math;

/** The type of a 32-bit lane; `any` is either, the same for all `any` of one instruction. */
export type Lane = "f" | "i" | "any";

/** What an instruction carries beside its arguments. */
export type ConstantKind = "none" | "float" | "int" | "pair" | "triple";

/** One instruction: its lanes and its meaning. */
export interface Instruction {
  readonly args: readonly Lane[];
  readonly result: Lane;
  readonly constant: ConstantKind;
  /**
   * The value: arguments first, then the constants. Gets and gives lane values: floats already
   * rounded to float32, integers in the int32 range.
   */
  scalar(...values: number[]): number;
  /** The same as a JavaScript expression of a, b, c; without one the loop calls `scalar`. */
  readonly inline?: string;
  /** Largest error either backend may make against the exact value, in float32 ULP; 0 = exact. */
  readonly ulp: number;
  /** Arguments over which `ulp` holds; outside only the special values are promised. */
  readonly domain: readonly [number, number];
}

type Fn = (...values: number[]) => number;
type Domain = readonly [number, number];
const everywhere: Domain = [-3.4e38, 3.4e38];

function row(args: readonly Lane[], result: Lane, scalar: Fn, inline?: string): Instruction {
  const base = { args, result, scalar, constant: "none", ulp: 0, domain: everywhere } as const;
  return inline === undefined ? base : { ...base, inline };
}

/** f → f, exact or correctly rounded, written as an expression. */
const exact = (scalar: Fn, inline: string) => row(["f"], "f", scalar, inline);
/** f → f, a function of the mathematics library with an error bound over a domain. */
const math = (f: (x: number) => number, ulp: number, domain: Domain): Instruction => ({
  ...row(["f"], "f", (a) => fround(f(a!))),
  ulp,
  domain,
});
const float2 = (scalar: Fn, inline?: string) => row(["f", "f"], "f", scalar, inline);
const test1 = (scalar: Fn, inline: string) => row(["f"], "i", scalar, inline);
const test2 = (scalar: Fn, inline: string) => row(["f", "f"], "i", scalar, inline);
const int1 = (scalar: Fn, inline: string) => row(["i"], "i", scalar, inline);
const int2 = (scalar: Fn, inline: string) => row(["i", "i"], "i", scalar, inline);

// Exact division, multiplication, addition and square root of float32 in double, rounded once more to
// float32, are the correctly rounded float32 results: 53 ≥ 2·24 + 2 bits (Figueroa 1995).
export const instructions = {
  // f → f, exact or correctly rounded
  neg: exact((a) => -a!, "-a"),
  abs: exact((a) => abs(a!), "Math.abs(a)"),
  sign: exact(
    (a) => (a! > 0 ? 1 : a! < 0 ? -1 : a! === 0 ? 0 : NaN),
    "(a > 0 ? 1 : a < 0 ? -1 : a === 0 ? 0 : NaN)",
  ),
  floor: exact((a) => floor(a!), "Math.floor(a)"),
  ceil: exact((a) => Math.ceil(a!), "Math.ceil(a)"),
  round: exact(
    (a) => roundHalfEven(a!),
    "(Math.abs(a) < 8388608 ? a + 6755399441055744 - 6755399441055744 : a)",
  ),
  trunc: exact((a) => Math.trunc(a!), "Math.trunc(a)"),
  sqrt: exact((a) => fround(Math.sqrt(a!)), "Math.fround(Math.sqrt(a))"),
  reciprocal: exact((a) => fround(1 / a!), "Math.fround(1 / a)"),
  square: exact((a) => fround(a! * a!), "Math.fround(a * a)"),
  relu: exact((a) => Math.max(a!, 0), "Math.max(a, 0)"),

  // f → f, within a bound
  exp: math(Math.exp, 2, [-87, 88.7]),
  expm1: math(Math.expm1, 3, [-87, 88.7]),
  log: math(Math.log, 2, [1.2e-38, 3.4e38]),
  log1p: math(Math.log1p, 3, [-0.999999, 3.4e38]),
  rsqrt: math((a) => 1 / Math.sqrt(a), 2, [1.2e-38, 3.4e38]),
  sin: math(Math.sin, 2, [-1000, 1000]),
  cos: math(Math.cos, 2, [-1000, 1000]),
  tan: math(Math.tan, 4, [-1000, 1000]),
  asin: math(Math.asin, 4, [-1, 1]),
  acos: math(Math.acos, 4, [-1, 1]),
  atan: math(Math.atan, 4, [-3.4e38, 3.4e38]),
  sinh: math(Math.sinh, 4, [-88, 88]),
  cosh: math(Math.cosh, 4, [-88, 88]),
  tanh: math(Math.tanh, 4, [-3.4e38, 3.4e38]),
  asinh: math(Math.asinh, 4, [-1e18, 1e18]),
  acosh: math(Math.acosh, 4, [1, 1e18]),
  atanh: math(Math.atanh, 4, [-0.999999, 0.999999]),
  erf: math(erf, 4, [-3.4e38, 3.4e38]),
  sigmoid: math((a) => 1 / (1 + Math.exp(-a)), 4, [-86, 3.4e38]),
  softplus: math(softplus, 4, [-86, 3.4e38]),

  // f → b
  isNaN: test1((a) => (Number.isNaN(a) ? 1 : 0), "(a !== a ? 1 : 0)"),
  isFinite: test1((a) => (a! - a! === 0 ? 1 : 0), "(a - a === 0 ? 1 : 0)"),
  isInf: test1((a) => (abs(a!) === Infinity ? 1 : 0), "(Math.abs(a) === Infinity ? 1 : 0)"),

  // f f → f
  add: float2((a, b) => fround(a! + b!), "Math.fround(a + b)"),
  sub: float2((a, b) => fround(a! - b!), "Math.fround(a - b)"),
  mul: float2((a, b) => fround(a! * b!), "Math.fround(a * b)"),
  div: float2((a, b) => fround(a! / b!), "Math.fround(a / b)"),
  minimum: float2((a, b) => (a! < b! || Number.isNaN(a) ? a! : b!), "(a < b || a !== a ? a : b)"),
  maximum: float2((a, b) => (a! > b! || Number.isNaN(a) ? a! : b!), "(a > b || a !== a ? a : b)"),
  pow: { ...float2((a, b) => fround(pow(a!, b!))), ulp: 16, domain: [-60, 60] },
  atan2: { ...float2((a, b) => fround(Math.atan2(a!, b!))), ulp: 4 },
  floorDiv: { ...float2((a, b) => floorQuotient(a!, b!)), ulp: 1 },
  mod: float2((a, b) => fround(floorRest(a!, b!))),

  // f f → b
  equal: test2((a, b) => (a! === b! ? 1 : 0), "(a === b ? 1 : 0)"),
  notEqual: test2((a, b) => (a! !== b! ? 1 : 0), "(a !== b ? 1 : 0)"),
  less: test2((a, b) => (a! < b! ? 1 : 0), "(a < b ? 1 : 0)"),
  lessEqual: test2((a, b) => (a! <= b! ? 1 : 0), "(a <= b ? 1 : 0)"),

  // i → i, wrapping around
  negInt: int1((a) => -a! | 0, "(-a | 0)"),
  absInt: int1((a) => abs(a!) | 0, "(Math.abs(a) | 0)"),
  signInt: int1((a) => (a! > 0 ? 1 : a! < 0 ? -1 : 0), "(a > 0 ? 1 : a < 0 ? -1 : 0)"),
  notBool: int1((a) => (a! === 0 ? 1 : 0), "(a === 0 ? 1 : 0)"),

  // i i → i, wrapping around; division by 0 gives 0
  addInt: int2((a, b) => (a! + b!) | 0, "(a + b | 0)"),
  subInt: int2((a, b) => (a! - b!) | 0, "(a - b | 0)"),
  mulInt: int2((a, b) => Math.imul(a!, b!), "Math.imul(a, b)"),
  floorDivInt: int2(
    (a, b) => (b! === 0 ? 0 : floor(a! / b!) | 0),
    "(b === 0 ? 0 : Math.floor(a / b) | 0)",
  ),
  modInt: int2((a, b) => intMod(a!, b!), "(b === 0 ? 0 : (a % b + b) % b | 0)"),
  minimumInt: int2((a, b) => Math.min(a!, b!), "Math.min(a, b)"),
  maximumInt: int2((a, b) => Math.max(a!, b!), "Math.max(a, b)"),
  andInt: int2((a, b) => a! & b!, "(a & b)"),
  orInt: int2((a, b) => a! | b!, "(a | b)"),
  xorInt: int2((a, b) => a! ^ b!, "(a ^ b)"),

  // i i → b
  equalInt: int2((a, b) => (a! === b! ? 1 : 0), "(a === b ? 1 : 0)"),
  notEqualInt: int2((a, b) => (a! !== b! ? 1 : 0), "(a !== b ? 1 : 0)"),
  lessInt: int2((a, b) => (a! < b! ? 1 : 0), "(a < b ? 1 : 0)"),
  lessEqualInt: int2((a, b) => (a! <= b! ? 1 : 0), "(a <= b ? 1 : 0)"),

  // Choice, conversion, constants, random bits
  select: row(["i", "any", "any"], "any", (a, b, c) => (a! !== 0 ? b! : c!), "(a !== 0 ? b : c)"),
  toFloat: row(["i"], "f", (a) => fround(a!), "Math.fround(a)"),
  toInt: row(["f"], "i", (a) => saturateInt(a!)),
  constFloat: { ...row([], "f", (c) => fround(c!)), constant: "float" },
  constInt: { ...row([], "i", (c) => c! | 0), constant: "int" },
  // These two depend on the position in the domain; `philox.ts` computes them.
  philox: { ...row(["i", "i"], "i", () => NaN), constant: "pair" },
  philoxBelow: { ...row(["i", "i"], "i", () => NaN), constant: "triple" },
  bitsToUniform: row(["i"], "f", (a) => (a! >>> 8) * 2 ** -24, "(a >>> 8) * 5.960464477539063e-8"),
} as const satisfies Record<string, Instruction>;

/** Name of an instruction of the tile machine. */
export type InstructionName = keyof typeof instructions;

/** The row of an instruction, or undefined when there is none of that name. */
export function findInstruction(name: string): Instruction | undefined {
  return Object.hasOwn(instructions, name) ? instructions[name as InstructionName] : undefined;
}
