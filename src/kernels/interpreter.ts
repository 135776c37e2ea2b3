/**
 * Tile programs without code generation: the same meaning as `codegen.ts`, one element at a time.
 * Slow; used where the environment forbids `new Function`, and in tests as its twin.
 */
import type { DType, TypedArray } from "../tensor/dtype.js";
import { type InstructionName, instructions } from "./instructions.js";
import { positional } from "./philox.js";
import { constantsOf, type TileProgram } from "./tile.js";

/** Called with the linear index in the domain and the registers after the last instruction. */
type Visit = (index: number, registers: readonly number[]) => void;

/** A function that walks the domain in row-major order and visits each element. */
export function interpretTile(
  tile: TileProgram,
): (inputs: readonly TypedArray[], visit: Visit) => void {
  const { dims, strides } = tile;
  const size = dims.reduce((product, dim) => product * dim, 1);
  const registers = new Array<number>(tile.registers).fill(0);
  const steps = tile.instructions.map((instruction) => {
    const { op, dst, args } = instruction;
    const scalar = positional.get(op)?.() ?? instructions[op as InstructionName].scalar;
    return { dst, args, scalar, constants: constantsOf(instruction) };
  });
  return (inputs, visit) => {
    const position = new Array<number>(dims.length).fill(0);
    for (let index = 0; index < size; index++) {
      for (const [j, row] of strides.entries()) {
        registers[j] = inputs[j]![row.reduce((sum, stride, d) => sum + stride * position[d]!, 0)]!;
      }
      for (const { dst, args, scalar, constants } of steps) {
        registers[dst] = scalar(...args.map((r) => registers[r]!), ...constants, index);
      }
      visit(index, registers);
      for (let d = dims.length - 1; d >= 0; d--) {
        if (++position[d]! < dims[d]!) break;
        position[d] = 0;
      }
    }
  };
}

/** A lane as it is stored in a tensor of `dtype`. */
export function stored(dtype: DType, lane: number): number {
  if (dtype === "uint8") return Math.min(255, Math.max(0, lane));
  if (dtype === "bool") return lane !== 0 ? 1 : 0;
  return lane;
}
