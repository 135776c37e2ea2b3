/**
 * Tile programs as JavaScript source: one loop nest over the domain with strides and constants
 * written in, each instruction at the outermost loop where its arguments are known.
 * `map.ts` and `reduce.ts` add what happens to the results. Where an environment forbids code
 * generation (`--disallow-code-generation-from-strings`), `interpreter.ts` does the same slowly.
 */
import type { TypedArray } from "../tensor/dtype.js";
import { type InstructionName, instructions } from "./instructions.js";
import { positional } from "./philox.js";
import { constantsOf, isIdentity, type TileProgram } from "./tile.js";

/** Lines of one loop level: before the next inner loop, and after it. */
interface Level {
  readonly before: string[];
  readonly after: string[];
}

/** A loop nest under construction. Level 0 is outside all loops, level d + 1 inside loop d. */
export interface LoopNest {
  readonly levels: readonly Level[];
  /** The expression of each result's lane, known at the innermost level. */
  readonly results: readonly string[];
  /** Names that the generated function gets from outside. */
  readonly scope: Map<string, unknown>;
  /** Loop headers and everything in the levels, put together. */
  source(): string;
}

/**
 * Writes the loop nest of a tile program over the arrays `x0, x1, …`. In it, `at` is the linear index
 * in the domain and `i0, i1, …` are the indices of its dimensions.
 */
export function loopNest(tile: TileProgram): LoopNest {
  const { dims, strides } = tile;
  const rank = dims.length;
  const levels: Level[] = Array.from({ length: rank + 1 }, () => ({ before: [], after: [] }));
  const headers = dims.map((_, d) => ({ starts: [`i${d} = 0`], steps: [`i${d}++`] }));
  const scope = new Map<string, unknown>();

  // One value per register, renamed at each write, so that every value is a constant of some level.
  const values: { name: string; level: number }[] = [];
  for (const [j, row] of strides.entries()) {
    const identity = isIdentity(row, dims);
    let level = identity ? rank : 0;
    let pointer = identity ? "at" : "0";
    if (!identity) {
      for (const [d, stride] of row.entries()) {
        if (stride === 0 || dims[d] === 1) continue;
        level = d + 1;
        headers[d]!.starts.push(`p${j}_${d} = ${pointer}`);
        headers[d]!.steps.push(`p${j}_${d} += ${stride}`);
        pointer = `p${j}_${d}`;
      }
    }
    levels[level]!.before.push(`const v${j} = x${j}[${pointer}];`);
    values.push({ name: `v${j}`, level });
  }

  for (const [n, instruction] of tile.instructions.entries()) {
    const op = instruction.op as InstructionName;
    const row = instructions[op];
    const args = instruction.args.map((register) => values[register]!);
    const constants = constantsOf(instruction);
    let level = Math.max(0, ...args.map((arg) => arg.level));
    let expression: string;
    if (row.constant === "float" || row.constant === "int") {
      expression = literal(row.scalar(constants[0]!));
    } else if (positional.has(op)) {
      level = rank;
      scope.set(`${op}${n}`, positional.get(op)!());
      expression = `${op}${n}(${[...args.map((arg) => arg.name), ...constants, "at"].join(", ")})`;
    } else if ("inline" in row) {
      const names = args.map((arg) => arg.name);
      expression = row.inline.replace(/\b[abc]\b/g, (letter) => names["abc".indexOf(letter)]!);
    } else {
      scope.set(op, row.scalar);
      expression = `${op}(${args.map((arg) => arg.name).join(", ")})`;
    }
    levels[level]!.before.push(`const t${n} = ${expression};`);
    values[instruction.dst] = { name: `t${n}`, level };
  }

  const source = () => {
    const lines = ["let at = 0;", ...levels[0]!.before];
    for (const [d, dim] of dims.entries()) {
      const { starts, steps } = headers[d]!;
      lines.push(`for (let ${starts.join(", ")}; i${d} < ${dim}; ${steps.join(", ")}) {`);
      lines.push(...levels[d + 1]!.before);
    }
    lines.push("at++;");
    for (let d = rank - 1; d >= 0; d--) lines.push(...levels[d + 1]!.after, "}");
    return lines.join("\n");
  };
  return { levels, results: tile.results.map((r) => values[r]!.name), scope, source };
}

/** Compiles the body of a function `(x0, x1, …; y0, y1, …)`; throws EvalError where that is forbidden. */
export function compileLoops(
  inputs: number,
  outputs: number,
  scope: ReadonlyMap<string, unknown>,
  body: string,
): (inputs: readonly TypedArray[], outputs: readonly TypedArray[]) => void {
  const names = [
    ...Array.from({ length: inputs }, (_, j) => `const x${j} = inputs[${j}];`),
    ...Array.from({ length: outputs }, (_, j) => `const y${j} = outputs[${j}];`),
  ];
  const source = `"use strict"; return (inputs, outputs) => {\n${names.join("\n")}\n${body}\n};`;
  return new Function(...scope.keys(), source)(...scope.values());
}

/** A lane as a value of `dtype`: what is stored in a tensor. */
export function storedAs(dtype: string, lane: string): string {
  if (dtype === "uint8") return `${lane} < 0 ? 0 : ${lane} > 255 ? 255 : ${lane}`;
  if (dtype === "bool") return `${lane} !== 0 ? 1 : 0`;
  return lane;
}

function literal(value: number): string {
  return Object.is(value, -0) ? "-0" : value < 0 ? `(${value})` : String(value);
}
