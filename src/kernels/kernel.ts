/**
 * What a kernel is: attribute names, the operands its attributes imply, and its TypeScript
 * implementation. The rows themselves stand in `table.ts`; the native twins in `native/kernels.def`.
 */
import type { DType, TypedArray } from "../tensor/dtype.js";
import type { Fail, TileProgram } from "./tile.js";

/** One operand of a call as a kernel sees it: contiguous, so its size says all. */
export interface Operand {
  readonly dtype: DType;
  readonly size: number;
}

/** A call with its tensors resolved to operands. */
export interface KernelCall {
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
  readonly ints: readonly number[];
  readonly floats: readonly number[];
  readonly tile?: TileProgram;
}

/** What the attributes of a call say an operand must be. */
export interface Expectation {
  readonly name: string;
  readonly dtypes: readonly DType[];
  readonly size: number;
  /** The operand may be larger: only its first `size` elements are touched. */
  readonly atLeast?: boolean;
}

/** The operands that the attributes of a call imply. */
export interface Expectations {
  readonly inputs: readonly Expectation[];
  readonly outputs: readonly Expectation[];
}

/** Runs a prepared call on this run's arrays, one per operand. */
export type KernelRun = (inputs: readonly TypedArray[], outputs: readonly TypedArray[]) => void;

/** How calls are prepared. */
export interface PrepareOptions {
  /** Interpret tile programs instead of compiling them to JavaScript. */
  readonly interpret?: boolean;
}

/** A kernel: one row of the table. */
export interface Kernel {
  /** Names of the integer attributes, in order; a name in brackets stands for a list. */
  readonly ints: readonly string[];
  /** Names of the float attributes, in order. */
  readonly floats: readonly string[];
  /** An epilogue is optional: register 0 holds the result of the two operands (`epilogue.ts`). */
  readonly tile: "none" | "epilogue" | "required";
  /** True where the only output may be on the very bytes of input 0: the others are as for any kernel. */
  readonly overFirst?: boolean;
  /** Checks the attributes of a call and says which operands they imply. */
  expect(call: KernelCall, fail: Fail): Expectations;
  /** Compiles a checked call to a function of its arrays. */
  prepare(call: KernelCall, options: PrepareOptions): KernelRun;
}

export const float32: readonly DType[] = ["float32"];
export const int32: readonly DType[] = ["int32"];
export const anyDType: readonly DType[] = ["float32", "int32", "uint8", "bool"];

/** Fails unless every attribute is an integer from 0 to 2³¹−1 (flags: 0 or 1). */
export function checkSizes(
  names: readonly string[],
  values: readonly number[],
  flags: readonly string[],
  fail: Fail,
): void {
  for (const [i, name] of names.entries()) {
    const value = values[i]!;
    const largest = flags.includes(name) ? 1 : 2 ** 31 - 1;
    if (!Number.isInteger(value) || value < 0 || value > largest) {
      fail(`attribute ${name} is ${value}, allowed are integers from 0 to ${largest}`);
    }
  }
}
