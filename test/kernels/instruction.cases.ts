/**
 * Every instruction alone: over its domain within the ULP bound of its row, and at the special values.
 * Bounds and domains stand in `src/kernels/instructions.ts`; exact values in `helpers/instructionReference.ts`.
 */
import { expect } from "vitest";
import type { LoadedProgram } from "../../src/backend/backend.js";
import type { Program } from "../../src/compiler/program.js";
import {
  type Instruction,
  type InstructionName,
  instructions,
} from "../../src/kernels/instructions.js";
import { allocate, type TypedArray } from "../../src/tensor/dtype.js";
import { isClose, ulpOf } from "../helpers/allClose.js";
import { exactInstructions } from "../helpers/instructionReference.js";
import { random } from "../helpers/random.js";
import { f32, i32, type KernelCase, out, programOf, tileOf } from "./case.js";

type Load = (program: Program) => LoadedProgram;

const floatSpecials = [
  NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -1.5,
  -2.5,
  2,
  -3,
  1e-40,
  -1e-40,
  1.1754943508222875e-38,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  8388607.5,
  -8388607.5,
  16777216,
  2147483648,
  -2147483648,
  2147483520,
  1e10,
  -1e10,
  88,
  -88,
  104,
  -104,
  1e-8,
  -1e-8,
].map(Math.fround);

const intSpecials = [
  0, 1, -1, 2, -2, 3, 7, -7, 255, 256, 65535, 65536, 2147483647, -2147483648, -2147483647, 12345678,
];

/** Half of the values spread evenly over the domain, half of them over its magnitudes. */
function sample(seed: number, count: number, [low, high]: readonly [number, number]): number[] {
  const next = random(seed);
  return Array.from({ length: count }, (_, i) => {
    const even = low + (high - low) * next();
    if (i % 2 === 0) return Math.fround(Math.min(high, Math.max(low, even)));
    const end = next() < 0.5 && low < 0 ? low : high;
    const start = low > 0 ? Math.log(low) : Math.log(Math.abs(end)) - 40 * next();
    const size = Math.exp(start + (Math.log(Math.abs(end)) - start) * next());
    return Math.fround(Math.min(high, Math.max(low, Math.sign(end) * size)));
  });
}

function pairs(values: readonly number[]): [number[], number[]] {
  const left = values.flatMap((x) => values.map(() => x));
  const right = values.flatMap(() => [...values]);
  return [left, right];
}

/** Argument columns: a sweep over the domain, and the special values (in all pairs for two). */
function argumentsOf(name: string, row: Instruction): { sweep: number[][]; special: number[][] } {
  const { args, domain } = row;
  if (args.length === 0) return { sweep: [], special: [] };
  const draw = (seed: number, lane: string) =>
    lane === "f"
      ? sample(seed, 4000, domain)
      : sample(seed, 4000, [-2147483648, 2147483647]).map((x) => Math.max(x, -2147483648) | 0);
  if (name === "select") {
    const flags = Array.from({ length: 4000 }, (_, i) => i % 3);
    return { sweep: [flags, draw(1, "f"), draw(2, "f")], special: [] };
  }
  if (name === "pow") {
    // Positive bases; integer powers of negative ones.
    const bases = sample(1, 4000, [0.001, 1000]);
    const exponents = sample(2, 4000, [-10, 10]);
    for (let i = 0; i < 400; i++) {
      bases[i] = -Math.abs(bases[i]!);
      exponents[i] = Math.round(exponents[i]!);
    }
    return { sweep: [bases, exponents], special: pairs(floatSpecials) };
  }
  const specials = args[0] === "f" ? floatSpecials : intSpecials;
  if (args.length === 1) return { sweep: [draw(1, args[0]!)], special: [specials] };
  // Arguments of like size too, or a sum would never round.
  const first = draw(1, args[0]!);
  const second = draw(2, args[1]!).map((y, i) => (i % 4 === 0 ? near(first[i]!, y) : y));
  return {
    sweep: [first, second.map(args[0] === "f" ? Math.fround : (x) => x | 0)],
    special: pairs(specials),
  };
}

function near(x: number, y: number): number {
  return Math.abs(y) > 0 ? x * (0.25 + ((Math.abs(y) * 7.3) % 1)) : x;
}

function caseOf(name: InstructionName, columns: readonly number[][]): KernelCase {
  const row: Instruction = instructions[name];
  const size = columns[0]!.length;
  const lanes = row.args.map((lane) => (lane === "any" ? "f" : lane));
  const float = row.result === "f" || row.result === "any";
  return {
    name,
    call: {
      kernel: "map",
      ints: [],
      floats: [],
      tile: tileOf(
        [size],
        columns.map(() => [1]),
        (emit) => [
          emit(
            name,
            columns.map((_, j) => j),
          ),
        ],
      ),
    },
    inputs: columns.map((column, j) => (lanes[j] === "f" ? f32(column) : i32(column))),
    outputs: [out(size, float ? "float32" : "int32")],
  };
}

function results(load: Load, item: KernelCase): TypedArray {
  const output = allocate(item.outputs[0]!.dtype, item.outputs[0]!.size);
  load(programOf(item)).runSync([...item.inputs.map((input) => input.data), output]);
  return output;
}

/** A subnormal as a backend may see it that flushes them to zero. */
const flushed = (x: number) => (Math.abs(x) < 2 ** -126 ? x * 0 : x);

function check(name: InstructionName, load: Load): void {
  const row: Instruction = instructions[name];
  const { sweep, special } = argumentsOf(name, row);
  const failures: string[] = [];
  for (const columns of [sweep, special]) {
    if (columns.length === 0) continue;
    const got = results(load, caseOf(name, columns));
    for (let i = 0; i < got.length; i++) {
      const args = columns.map((column) => column[i]!);
      const wanted = acceptable(name, args);
      if (!wanted.some((want) => isAccurate(row, got[i]!, want))) {
        failures.push(`${name}(${args.join(", ")}): got ${got[i]}, exact ${wanted[0]}`);
      }
    }
  }
  if (failures.length > 0) {
    expect.fail(`${failures.length} values are wrong:\n${failures.slice(0, 12).join("\n")}`);
  }
}

/** The exact value first, then what it is where subnormals are flushed. */
function acceptable(name: InstructionName, args: readonly number[]): number[] {
  const exact = exactInstructions[name]!;
  return [exact(...args), exact(...args.map(flushed))];
}

/** Within rounding, the row's bound, and what flushing a subnormal result costs. */
function isAccurate(row: Instruction, got: number, want: number): boolean {
  if (row.result === "i") return isClose(got, want, 0);
  const slack = row.ulp * ulpOf(want) + 2 ** -126;
  return isClose(got, Math.fround(want), slack) || isClose(got, want, slack);
}

/** Random bits and the constants are covered by the cases of `map`. */
const elsewhere: readonly string[] = ["philox", "philoxBelow", "constFloat", "constInt"];

export const instructionCases = (Object.keys(instructions) as InstructionName[])
  .filter((name) => !elsewhere.includes(name))
  .map((name) => ({ name, check: (load: Load) => check(name, load) }));
