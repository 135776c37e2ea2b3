/**
 * Program → the three arrays that cross to the addon. Layout: docs/program.md, "Encoding". Ids come
 * from the addon's own name lists; there are none here.
 */
import { BackendError } from "../errors.js";
import { constantsOf, type TileInstruction, type TileProgram } from "../kernels/tile.js";
import { type DType, dtypes } from "../tensor/dtype.js";
import type { Binding, Call, Program, ProgramTensor } from "./program.js";

/** Position of each name in the addon's list. */
export type Ids = ReadonlyMap<string, number>;

/** What the addon's `load` takes. */
export interface EncodedProgram {
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly constants: Uint8Array;
}

/** "LWP1" in ASCII. */
const magic = 0x4c575031;
const version = 1;
const accesses = ["read", "write", "readwrite", "lasts", "stamp"];
const places = ["arena", "binding", "constant"];

/** Encodes a Program for an addon with the given kernel and instruction ids. */
export function encodeProgram(
  program: Program,
  kernelIds: Ids,
  instructionIds: Ids,
): EncodedProgram {
  const { tensors, bindings, calls, arenaBytes, constants } = program;
  const words: number[] = [magic, version, tensors.length, bindings.length, calls.length];
  const floats: number[] = [];
  words.push(...split(arenaBytes));
  for (const tensor of tensors) encodeTensor(words, tensor);
  for (const binding of bindings) encodeBinding(words, binding);
  for (const call of calls) encodeCall(words, floats, call, kernelIds, instructionIds);
  return { words: Int32Array.from(words), floats: Float64Array.from(floats), constants };
}

/** Low and high 32 bits. */
function split(value: number): [number, number] {
  return [value | 0, Math.floor(value / 2 ** 32)];
}

function dtypeId(dtype: DType): number {
  return dtypes.indexOf(dtype);
}

function encodeTensor(words: number[], { dtype, shape, place }: ProgramTensor): void {
  const value = place.kind === "binding" ? place.index : place.offset;
  words.push(dtypeId(dtype), places.indexOf(place.kind), ...split(value), shape.length, ...shape);
}

function encodeBinding(words: number[], { dtype, size, access }: Binding): void {
  words.push(dtypeId(dtype), size, accesses.indexOf(access));
}

/** The call's own floats come first, then its tile's constants in the order of the instructions. */
function encodeCall(
  words: number[],
  floats: number[],
  call: Call,
  kernelIds: Ids,
  instructionIds: Ids,
): void {
  const own = [...call.floats];
  const tile = call.tile ? [1, ...encodeTile(own, call.tile, instructionIds)] : [0];
  words.push(
    idOf("kernel", call.kernel, kernelIds),
    ...list(call.inputs),
    ...list(call.outputs),
    ...list(call.ints),
    own.length,
    ...tile,
  );
  floats.push(...own);
}

function encodeTile(floats: number[], tile: TileProgram, ids: Ids): number[] {
  const { dims, strides, registers, instructions, results } = tile;
  return [
    ...list(dims),
    strides.length,
    ...strides.flat(),
    registers,
    instructions.length,
    ...instructions.flatMap((instruction) => encodeInstruction(floats, instruction, ids)),
    ...list(results),
  ];
}

/** opId, dst, a, b, c: arguments, then the index of the first constant in the call's floats, then −1. */
function encodeInstruction(floats: number[], instruction: TileInstruction, ids: Ids): number[] {
  const operands = [...instruction.args];
  const constants = constantsOf(instruction);
  if (constants.length > 0) {
    operands.push(floats.length);
    floats.push(...constants);
  }
  while (operands.length < 3) operands.push(-1);
  return [idOf("instruction", instruction.op, ids), instruction.dst, ...operands];
}

function list(values: readonly number[]): number[] {
  return [values.length, ...values];
}

function idOf(what: string, name: string, ids: Ids): number {
  const id = ids.get(name);
  if (id === undefined) throw new BackendError(`the addon has no ${what} ${name}`);
  return id;
}
