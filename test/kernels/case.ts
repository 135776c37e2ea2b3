/**
 * What a case for `kernels.test.ts` is, and how it becomes a Program: one call with its arrays, and
 * what the reference needs to know. The generators beside this file list the shapes worth trying.
 */
import type { Call, Program, ProgramTensor, TileProgram } from "../../src/compiler/program.js";
import { bytesPerElement, type DType, type TypedArray } from "../../src/tensor/dtype.js";

export interface KernelCase {
  readonly name: string;
  readonly call: Omit<Call, "inputs" | "outputs">;
  readonly inputs: readonly { readonly dtype: DType; readonly data: TypedArray }[];
  readonly outputs: readonly { readonly dtype: DType; readonly size: number }[];
  /** Error of a tile's results, when it has instructions that are not exact. */
  readonly tileUlp?: number;
  readonly tileAtol?: number;
  /** Runs in the arena, output `[0]` on the bytes of input `[1]`. */
  readonly inPlace?: readonly [number, number];
}

export function f32(data: ArrayLike<number>): { dtype: DType; data: TypedArray } {
  return { dtype: "float32", data: Float32Array.from(data) };
}

export function i32(data: ArrayLike<number>): { dtype: DType; data: TypedArray } {
  return { dtype: "int32", data: Int32Array.from(data) };
}

export function out(size: number, dtype: DType = "float32"): { dtype: DType; size: number } {
  return { dtype, size };
}

/** Writes tile programs: registers are handed out one per instruction. */
export function tileOf(
  dims: readonly number[],
  strides: readonly (readonly number[])[],
  build: (
    emit: (op: string, args?: readonly number[], constant?: number | readonly number[]) => number,
  ) => readonly number[],
): TileProgram {
  const instructions: TileProgram["instructions"][number][] = [];
  const results = build((op, args = [], constant) => {
    const dst = strides.length + instructions.length;
    instructions.push({ op, dst, args, ...(constant !== undefined && { constant }) });
    return dst;
  });
  return { dims, strides, registers: strides.length + instructions.length, instructions, results };
}

/** Row-major strides of `dims`. */
export function identity(dims: readonly number[]): number[] {
  return dims.map((_, d) => dims.slice(d + 1).reduce((a, b) => a * b, 1));
}

export function sizeOf(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}

/** The Program of one case: inputs and outputs are bindings; in place, copies in and out surround it. */
export function programOf(test: KernelCase): Program {
  const tensors: ProgramTensor[] = [];
  const all = [
    ...test.inputs.map(({ dtype, data }) => ({
      dtype,
      size: data.length,
      access: "read" as const,
    })),
    ...test.outputs.map(({ dtype, size }) => ({ dtype, size, access: "write" as const })),
  ];
  const bindings = all.map(({ dtype, size, access }, index) => {
    tensors.push({ dtype, shape: [size], place: { kind: "binding", index } });
    return { name: `b${index}`, dtype, size, access };
  });
  const inputs = test.inputs.map((_, i) => i);
  const outputs = test.outputs.map((_, i) => test.inputs.length + i);
  const constants = new Uint8Array(0);
  const call: Call = { ...test.call, inputs, outputs };
  if (!test.inPlace) return { tensors, bindings, calls: [call], arenaBytes: 0, constants };

  const [o, i] = test.inPlace;
  const { dtype: from, data } = test.inputs[i]!;
  const { dtype: to, size } = test.outputs[o]!;
  const source = tensors.length;
  tensors.push({ dtype: from, shape: [data.length], place: { kind: "arena", offset: 64 } });
  tensors.push({ dtype: to, shape: [size], place: { kind: "arena", offset: 64 } });
  const arenaBytes = 64 + Math.max(data.length, size) * bytesPerElement[from];
  const copy = (x: number, y: number, length: number): Call => ({
    kernel: "copy",
    inputs: [x],
    outputs: [y],
    ints: [1, 0, 0, length, 1, 1],
    floats: [],
  });
  const inside = {
    ...call,
    inputs: inputs.map((index) => (index === i ? source : index)),
    outputs: outputs.map((index, j) => (j === o ? source + 1 : index)),
  };
  const calls = [copy(i, source, data.length), inside, copy(source + 1, outputs[o]!, size)];
  return { tensors, bindings, calls, arenaBytes, constants };
}
