/**
 * The Program: what the compiler makes of a graph and what both executors run. Plain data; no graph,
 * no backend. The contract in words is docs/program.md.
 */
import type { TileInstruction, TileProgram } from "../kernels/tile.js";
import type { DType } from "../tensor/dtype.js";

export type { TileInstruction, TileProgram };

/** Where a tensor's bytes are. Offsets are in bytes and multiples of 64. */
export type Place =
  | { readonly kind: "arena"; readonly offset: number }
  | { readonly kind: "binding"; readonly index: number }
  | { readonly kind: "constant"; readonly offset: number };

/** A contiguous row-major tensor with a place. */
export interface ProgramTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly place: Place;
}

/** What a run may do with a binding's array. */
export type Access = "read" | "write" | "readwrite";

/** A typed array that the caller hands over with each run. */
export interface Binding {
  readonly name: string;
  readonly dtype: DType;
  /** Elements, not bytes. */
  readonly size: number;
  readonly access: Access;
}

/** One kernel call. Inputs and outputs are indices into the Program's tensors. */
export interface Call {
  readonly kernel: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Integer attributes, in the order of the kernel's row. */
  readonly ints: readonly number[];
  /** Float attributes, in the order of the kernel's row; a tile's constants are not among them. */
  readonly floats: readonly number[];
  readonly tile?: TileProgram;
}

/** A flat list of kernel calls with every shape known and every buffer placed. */
export interface Program {
  readonly tensors: readonly ProgramTensor[];
  readonly bindings: readonly Binding[];
  readonly calls: readonly Call[];
  /** Size of the arena that an executor allocates. */
  readonly arenaBytes: number;
  /** The bytes that `constant` places point into. */
  readonly constants: Uint8Array;
}
