/**
 * Tile programs: a chain of element-wise instructions over one domain, as plain data.
 * The type only, and the questions every reader of one asks; docs/program.md is the specification.
 */

/** One instruction: `dst = op(args…)` on 32-bit lanes. */
export interface TileInstruction {
  /** Name of a row in `instructions.ts`. */
  readonly op: string;
  /** Register written; never one that holds a tile input. */
  readonly dst: number;
  /** Registers read, in order. */
  readonly args: readonly number[];
  /** The value of `constFloat` and `constInt`; for `philox` two uint32: key word and counter word. */
  readonly constant?: number | readonly [number, number];
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
