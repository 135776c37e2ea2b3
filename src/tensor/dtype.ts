/** Element types and their typed arrays. Knows nothing of shapes or tensors. */
import { ArgumentError, DTypeError, expected, show } from "../errors.js";

export const dtypes = ["float32", "int32", "uint8", "bool"] as const;

/** Element type of a tensor. A `bool` is stored as one byte, 0 or 1. */
export type DType = (typeof dtypes)[number];

/** The typed arrays a tensor's data may live in. */
export type TypedArray = Float32Array | Int32Array | Uint8Array;

/** The typed array of each dtype. */
export interface DataTypeMap {
  float32: Float32Array;
  int32: Int32Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  int32: 4,
  uint8: 1,
  bool: 1,
};

const constructors = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;

const cacheLine = 64;
/** Smaller arrays stay plain, so that a small prediction calls the addon no more often. */
const alignedFrom = 4096;
/** Two huge pages, of which at least one lies inside the array. */
const hugeFrom = 4 << 20;

/** What is done with the memory of new arrays. */
export interface Placement {
  /** Where in a cache line a buffer begins. */
  lineOffset(buffer: ArrayBuffer): number;
  /** Asks for huge pages for a buffer that was not used yet. */
  hugePages(buffer: ArrayBuffer): void;
}

let placement: Placement | undefined;

/** Makes `allocate` begin arrays with a cache line, and put large ones on huge pages. */
export function placeAllocations(by: Placement): void {
  placement = by;
}

/**
 * A new zeroed typed array of `size` elements. Large ones may begin inside their buffer, for native kernels: V8
 * aligns to 16 bytes, and a vector of 64 bytes would lie across two cache lines.
 */
export function allocate<D extends DType>(dtype: D, size: number): DataTypeMap[D] {
  const bytes = size * bytesPerElement[dtype];
  if (!placement || bytes < alignedFrom) return new constructors[dtype](size) as DataTypeMap[D];
  const buffer = new ArrayBuffer(bytes + cacheLine);
  if (bytes >= hugeFrom) placement.hugePages(buffer);
  return viewOf(dtype, buffer, (cacheLine - placement.lineOffset(buffer)) % cacheLine, size);
}

/** A typed array over part of a buffer. */
export function viewOf<D extends DType>(
  dtype: D,
  buffer: ArrayBufferLike,
  byteOffset: number,
  size: number,
): DataTypeMap[D] {
  // Shared buffers work the same at run time; the typings split them since TypeScript 5.7.
  return new constructors[dtype](buffer as ArrayBuffer, byteOffset, size) as DataTypeMap[D];
}

/** The dtype a typed array stands for when none is named (`Uint8Array` is `uint8`). */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Int32Array) return "int32";
  return "uint8";
}

export function isTypedArray(value: unknown): value is TypedArray {
  return (
    value instanceof Float32Array || value instanceof Int32Array || value instanceof Uint8Array
  );
}

/** True when `array` is the kind of typed array that stores `dtype`. */
export function storesDType(array: TypedArray, dtype: DType): boolean {
  return array instanceof constructors[dtype];
}

export function checkDType(where: string, value: unknown): asserts value is DType {
  if (!dtypes.includes(value as DType)) {
    throw new DTypeError(expected(where, `a dtype (${dtypes.join(", ")})`, show(value)));
  }
}

/**
 * Copies numbers or booleans into a typed array of `dtype`; a value the dtype can't hold is an error,
 * never wrapped or truncated.
 */
export function fromNumbers(
  where: string,
  values: ArrayLike<number | boolean>,
  dtype: DType,
): TypedArray {
  const out = allocate(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value !== "number" && typeof value !== "boolean") {
      throw new ArgumentError(expected(where, `a number at position ${i}`, show(value)));
    }
    const number = Number(value);
    if (dtype !== "float32") checkFits(where, number, dtype, i);
    out[i] = number;
  }
  return out;
}

function checkFits(where: string, value: number, dtype: DType, position: number): void {
  const [low, high] =
    dtype === "int32" ? [-2147483648, 2147483647] : dtype === "uint8" ? [0, 255] : [0, 1];
  if (!Number.isInteger(value) || value < low! || value > high!) {
    throw new DTypeError(
      expected(where, `integers from ${low} to ${high} for ${dtype}`, `${value} at ${position}`),
    );
  }
}
