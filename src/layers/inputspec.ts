/** What layers demand of their inputs, and the one checker that words all errors about them. */
import { ArgumentError, DTypeError, expected, ShapeError } from "../errors.js";
import type { DType } from "../tensor/dtype.js";
import { type Shape, showShape } from "../tensor/shape.js";
import type { BatchShape, BatchSpec } from "./symbolic.js";

/** What a layer demands of its inputs. */
export interface InputSpec {
  /** One tensor, an array of at least two, or whatever comes. */
  readonly arity?: "one" | "several" | "any";
  readonly rank?: number;
  readonly minRank?: number;
  readonly maxRank?: number;
  readonly dtypes?: readonly DType[];
  /** Sizes that some axes must have. */
  readonly axes?: Readonly<Record<number, number>>;
  /** What the inputs after the first must be, where that is something else. */
  readonly others?: Omit<InputSpec, "arity" | "others">;
}

/** What is demanded of one of the inputs. */
export function specOf(spec: InputSpec, input: number): Omit<InputSpec, "others"> {
  return input > 0 ? (spec.others ?? spec) : spec;
}

/**
 * Throws unless inputs meet `spec`; `where` names the layer, `listed` says whether they came as an array.
 * @throws ArgumentError for one instead of several or the reverse, DTypeError, ShapeError
 */
export function checkInputs(
  where: string,
  spec: InputSpec,
  inputs: readonly BatchSpec[],
  listed: boolean,
): void {
  const { arity = "one" } = spec;
  if (arity === "one" && listed) {
    throw new ArgumentError(
      expected(where, "one input, not an array", `an array of ${inputs.length}`),
    );
  }
  if (arity === "several" && (!listed || inputs.length < 2)) {
    const got = listed ? `an array of ${inputs.length}` : "one input";
    throw new ArgumentError(expected(where, "an array of at least two inputs", got));
  }
  for (const [i, { dtype }] of inputs.entries()) {
    const { dtypes = ["float32"] } = specOf(spec, i);
    if (!dtypes.includes(dtype)) {
      const hint =
        dtypes.includes("float32") && dtype !== "float32"
          ? 'cast it, x.cast("float32"), or put a rescaling layer before this one'
          : undefined;
      throw new DTypeError(expected(where, `${dtypes.join(" or ")} input`, dtype, hint));
    }
  }
  checkShapes(
    where,
    spec,
    inputs.map((x) => x.shape),
  );
}

/** Throws a ShapeError unless inputs of these shapes meet `spec`. */
export function checkShapes(where: string, spec: InputSpec, shapes: readonly BatchShape[]): void {
  for (const [i, shape] of shapes.entries()) {
    const { axes = {} } = specOf(spec, i);
    const wanted = wantedRank(specOf(spec, i), shape.length);
    if (wanted) {
      throw new ShapeError(expected(where, `input of ${wanted}`, `shape ${showShape(shape)}`));
    }
    for (const [axis, size] of Object.entries(axes)) {
      const at = Number(axis) < 0 ? shape.length + Number(axis) : Number(axis);
      if (shape[at] !== size && shape[at] !== null) {
        throw new ShapeError(
          expected(where, `input of size ${size} at axis ${axis}`, `shape ${showShape(shape)}`),
        );
      }
    }
  }
}

/** The rank that is missed, in words; undefined if `actual` will do. */
function wantedRank(spec: Omit<InputSpec, "others">, actual: number): string | undefined {
  const { rank, minRank = 0, maxRank = Infinity } = spec;
  if (rank !== undefined && actual !== rank) return `rank ${rank}`;
  if (actual < minRank) return `rank ≥ ${minRank}`;
  return actual > maxRank ? `rank ≤ ${maxRank}` : undefined;
}

/** The shape with the first dimension left free. */
export function freeBatch(shape: Shape): BatchShape {
  return shape.length === 0 ? [] : [null, ...shape.slice(1)];
}

/** True for a list of shapes; an empty array is a shape. */
export function isShapeList(
  shape: BatchShape | readonly BatchShape[],
): shape is readonly BatchShape[] {
  return shape.length > 0 && Array.isArray(shape[0]);
}

/** One shape or several, as a list. */
export function shapesOf(shape: BatchShape | readonly BatchShape[]): readonly BatchShape[] {
  return isShapeList(shape) ? shape : [shape];
}
