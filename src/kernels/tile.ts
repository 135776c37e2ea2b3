/**
 * Tile programs: a chain of element-wise instructions over one domain, as plain data, and the check
 * that one is well-formed. docs/program.md is the specification; `codegen.ts` makes loops of them.
 */
import type { DType } from "../tensor/dtype.js";
import { type ConstantKind, findInstruction, type Lane } from "./instructions.js";
import { positional } from "./philox.js";

/** One instruction: `dst = op(args…)` on 32-bit lanes. */
export interface TileInstruction {
  /** Name of a row in `instructions.ts`. */
  readonly op: string;
  /** Register written; never one that holds a tile input. */
  readonly dst: number;
  /** Registers read, in order. */
  readonly args: readonly number[];
  /**
   * The value of `constFloat` and `constInt`; for `philox` two uint32: key word and counter word; for
   * `philoxBelow` the threshold as a third.
   */
  readonly constant?: number | readonly number[];
}

/** A chain of element-wise instructions over one row-major domain. */
export interface TileProgram {
  /** The domain, collapsed as far as possible; rank 0 to 8. */
  readonly dims: readonly number[];
  /** Per tile input: element stride per domain dimension, 0 = broadcast. */
  readonly strides: readonly (readonly number[])[];
  /** Number of registers; the first `strides.length` of them hold the inputs. */
  readonly registers: number;
  readonly instructions: readonly TileInstruction[];
  /** The register of each output. */
  readonly results: readonly number[];
}

/** Limits of a tile program, the same on both sides. */
export const tileLimits = { rank: 8, registers: 64, instructions: 512 } as const;

const constantCounts: Readonly<Record<ConstantKind, number>> = {
  none: 0,
  float: 1,
  int: 1,
  pair: 2,
  triple: 3,
};

/** Ends a check with a message; the caller knows which call it is about. */
export type Fail = (message: string) => never;

/** The lane a tensor of `dtype` is loaded into. */
export function laneOf(dtype: DType): "f" | "i" {
  return dtype === "float32" ? "f" : "i";
}

/** True when stride row `strides` walks `dims` contiguously. */
export function isIdentity(strides: readonly number[], dims: readonly number[]): boolean {
  let stride = 1;
  for (let d = dims.length - 1; d >= 0; d--) {
    if (dims[d] !== 1 && strides[d] !== stride) return false;
    stride *= dims[d]!;
  }
  return true;
}

/** Elements a tensor needs so that every index of `dims` lies inside. */
export function extentOf(dims: readonly number[], strides: readonly number[]): number {
  if (dims.includes(0)) return 0;
  return dims.reduce((last, dim, d) => last + (dim - 1) * strides[d]!, 1);
}

/** The constants of an instruction as a list. */
export function constantsOf(instruction: TileInstruction): readonly number[] {
  const { constant } = instruction;
  if (constant === undefined) return [];
  return typeof constant === "number" ? [constant] : constant;
}

/**
 * Checks a tile program whose inputs have lanes `inputs`, and returns the lane of each result.
 * Whatever passes can be run without further checks.
 */
export function checkTile(
  tile: TileProgram,
  inputs: readonly ("f" | "i")[],
  fail: Fail,
): ("f" | "i")[] {
  const { dims, strides, registers, instructions, results } = tile;
  const rank = dims.length;
  if (rank > tileLimits.rank) fail(`tile rank ${rank} is above ${tileLimits.rank}`);
  if (strides.length !== inputs.length) {
    fail(`tile has ${strides.length} stride rows for ${inputs.length} inputs`);
  }
  for (const [i, row] of strides.entries()) {
    if (row.length !== rank || row.some((s) => !Number.isInteger(s) || s < 0)) {
      fail(`strides [${row}] of tile input ${i} do not fit domain [${dims}]`);
    }
  }
  if (registers < inputs.length || registers > tileLimits.registers) {
    fail(
      `tile has ${registers} registers, allowed are ${inputs.length} to ${tileLimits.registers}`,
    );
  }
  if (instructions.length > tileLimits.instructions) {
    fail(`tile has ${instructions.length} instructions, at most ${tileLimits.instructions}`);
  }
  const lanes: (("f" | "i") | undefined)[] = [...inputs];
  for (const [at, instruction] of instructions.entries()) {
    const where = `instruction ${at} (${instruction.op})`;
    const row = findInstruction(instruction.op) ?? fail(`${where} does not exist`);
    const { args, dst } = instruction;
    if (args.length !== row.args.length) {
      fail(`${where} takes ${row.args.length} arguments, got ${args.length}`);
    }
    let any: "f" | "i" | undefined;
    const resolve = (lane: Lane): "f" | "i" => (lane === "any" ? any! : lane);
    for (const [position, register] of args.entries()) {
      const lane = lanes[register] ?? fail(`${where} reads register ${register} before a write`);
      if (row.args[position] === "any") any ??= lane;
      if (lane !== resolve(row.args[position]!)) {
        fail(`${where} got ${laneName(lane)} lanes as argument ${position}`);
      }
    }
    if (!Number.isInteger(dst) || dst < inputs.length || dst >= registers) {
      fail(`${where} writes register ${dst}, allowed are ${inputs.length} to ${registers - 1}`);
    }
    const wanted = constantCounts[row.constant];
    if (constantsOf(instruction).length !== wanted) {
      fail(`${where} carries ${wanted} constants, got ${constantsOf(instruction).length}`);
    }
    if (positional.has(instruction.op)) {
      for (const register of args) {
        if (strides[register]?.some((stride, d) => stride !== 0 && dims[d] !== 1) !== false) {
          fail(`${where} wants seed and step as tile inputs with all strides 0`);
        }
      }
    }
    lanes[dst] = resolve(row.result);
  }
  return results.map(
    (register) => lanes[register] ?? fail(`result register ${register} is never written`),
  );
}

function laneName(lane: "f" | "i"): string {
  return lane === "f" ? "float" : "integer";
}
