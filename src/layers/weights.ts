/** The weights of a layer: how one is made, and how values are put in. */
import { ArgumentError, expected, ShapeError, show } from "../errors.js";
import {
  type ConstraintFunction,
  type ConstraintLike,
  constraintFamily,
} from "../nn/constraints.js";
import { type InitializerLike, initializerFamily } from "../nn/initializers.js";
import type { Member } from "../nn/options.js";
import {
  type RegularizerFunction,
  type RegularizerLike,
  regularizerFamily,
} from "../nn/regularizers.js";
import { asTensor } from "../ops/op.js";
import type { DType } from "../tensor/dtype.js";
import { type Shape, sameShape, showShape } from "../tensor/shape.js";
import { Tensor, type TensorLike, tensor } from "../tensor/tensor.js";
import { lazyVariable, type Variable } from "../tensor/variable.js";
import { weightToLoad } from "./loading.js";

/** Options of `addWeight`. */
export interface WeightOptions {
  readonly dtype?: DType;
  readonly initializer?: InitializerLike;
  readonly regularizer?: RegularizerLike | null;
  readonly constraint?: ConstraintLike | null;
  readonly trainable?: boolean;
  /** Whether optimizers change only the rows that a step read, and their state. */
  readonly sparse?: boolean;
}

/** What hangs on a weight beside its value. */
export interface WeightInfo {
  readonly regularizer: Member<RegularizerFunction> | null;
  readonly constraint: Member<ConstraintFunction> | null;
}

/** A weight that a layer made itself. */
export interface OwnWeight extends WeightInfo {
  readonly variable: Variable;
  readonly local: string;
  readonly trainable: boolean;
}

/**
 * A weight of the layer `layer` with the name `local` in it, which `where` names in errors; optimizers change it if
 * both it and the layer are trainable.
 */
export function makeWeight(
  where: string,
  layer: { readonly name: string; readonly trainable: boolean },
  local: string,
  shape: Shape,
  options: WeightOptions,
): OwnWeight {
  const dtype = options.dtype ?? "float32";
  const { initializer = dtype === "float32" ? "glorotUniform" : "zeros" } = options;
  const make = initializerFamily.get(where, "initializer", initializer);
  const initial = weightToLoad(where, shape, dtype) ?? make.apply(shape, dtype);
  const trainable = options.trainable ?? dtype === "float32";
  const variable = lazyVariable(initial, `${layer.name}/${local}`, trainable && layer.trainable);
  if (!sameShape(variable.shape, shape) || variable.dtype !== dtype) {
    throw new ShapeError(
      expected(
        where,
        `its initializer to make ${dtype} ${showShape(shape)}`,
        `${variable.dtype} ${showShape(variable.shape)}`,
      ),
    );
  }
  variable.sparse = options.sparse ?? false;
  const { regularizer, constraint } = options;
  return {
    variable,
    local,
    trainable,
    regularizer: regularizer ? regularizerFamily.get(where, "regularizer", regularizer) : null,
    constraint: constraint ? constraintFamily.get(where, "constraint", constraint) : null,
  };
}

/** Gives every weight its value, or none of them; see `Layer.setWeights`. `hint` ends the error for a wrong number. */
export function assignAll(
  where: string,
  weights: readonly Variable[],
  values: readonly TensorLike[],
  hint: string | undefined,
): void {
  if (!Array.isArray(values) || values.length !== weights.length) {
    const got = Array.isArray(values) ? `${values.length}` : show(values);
    throw new ArgumentError(expected(where, `${weights.length} weights`, got, hint));
  }
  const tensors = weights.map((w, i) => {
    const given: TensorLike = values[i];
    const value = given instanceof Tensor ? given.current() : toTensor(given, w);
    if (!sameShape(value.shape, w.shape)) {
      const wanted = `a value of shape ${showShape(w.shape)} for weight ${i} (${w.name})`;
      throw new ShapeError(expected(where, wanted, showShape(value.shape)));
    }
    return w.accept(value);
  });
  for (const w of weights) w.checkFree();
  weights.forEach((w, i) => {
    w.assign(tensors[i]!);
  });
}

function toTensor(value: TensorLike, like: Variable): Tensor {
  return Array.isArray(value) || typeof value === "number"
    ? tensor(value, undefined, like.dtype)
    : asTensor("setWeights", value);
}
