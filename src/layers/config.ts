/**
 * The kinds of options that layers declare, on top of those in nn/options.ts: shapes, activations,
 * initializers, regularizers, constraints. A layer lists its options once; types, checks, unknown keys
 * and `getConfig()` follow from that list.
 */
import { ArgumentError, expected, ShapeError, show } from "../errors.js";
import { type ActivationName, activationFamily } from "../nn/activations.js";
import { type ConstraintFunction, constraintFamily } from "../nn/constraints.js";
import {
  type InitializerFunction,
  type InitializerName,
  initializerFamily,
} from "../nn/initializers.js";
import { boolean, choice, type Field, type Member, nullable, plain } from "../nn/options.js";
import { type RegularizerFunction, regularizerFamily } from "../nn/regularizers.js";
import { dtypes } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { BatchShape } from "./symbolic.js";

export * from "../nn/options.js";

/** An activation, `linear` when left out unless told otherwise. */
export const activation = (fallback: ActivationName = "linear") => activationFamily.field(fallback);

/** An initializer. */
export const initializer = (fallback: InitializerName) => initializerFamily.field(fallback);

/** A regularizer, none when left out. */
export const regularizer = () => regularizerFamily.optional();

/** A constraint, none when left out. */
export const constraint = () => constraintFamily.optional();

/** The options of a weight: `kernelInitializer`, `kernelRegularizer` and `kernelConstraint` of "kernel". */
type WeightFields<Name extends string> = {
  readonly [K in `${Name}Initializer`]: ReturnType<typeof initializer>;
} & {
  readonly [K in `${Name}Regularizer`]: ReturnType<typeof regularizer>;
} & {
  readonly [K in `${Name}Constraint`]: ReturnType<typeof constraint>;
};

/** The three options of a weight, to be spread into a declaration; {@link weightOf} reads them. */
export function weightFields<Name extends string>(
  name: Name,
  fallback: InitializerName,
): WeightFields<Name> {
  const fields = {
    [`${name}Initializer`]: initializer(fallback),
    [`${name}Regularizer`]: regularizer(),
    [`${name}Constraint`]: constraint(),
  };
  // Keys that are put together are of the type string.
  return fields as WeightFields<Name>;
}

/** What `addWeight` is told of the weight whose options {@link weightFields} declared. */
export function weightOf<Name extends string>(
  config: {
    readonly [K in `${Name}Initializer`]: Member<InitializerFunction>;
  } & {
    readonly [K in `${Name}Regularizer`]: Member<RegularizerFunction> | null;
  } & {
    readonly [K in `${Name}Constraint`]: Member<ConstraintFunction> | null;
  },
  name: Name,
) {
  // By keys that are put together TypeScript finds no types; those of `config` say what they are.
  const options = config as Readonly<Record<string, unknown>>;
  return {
    initializer: options[`${name}Initializer`] as Member<InitializerFunction>,
    regularizer: options[`${name}Regularizer`] as Member<RegularizerFunction> | null,
    constraint: options[`${name}Constraint`] as Member<ConstraintFunction> | null,
  };
}

/** Where the channels stand: last, as everywhere in this library, or first. */
export const dataFormat = () => choice(["channelsLast", "channelsFirst"], "channelsLast");

/** A shape whose dimensions may be null; `min` is the smallest size of a known one. */
export const shape = (min = 0): Field<BatchShape, BatchShape, true> =>
  plain<BatchShape>((where, option, given) => {
    const fits = (d: unknown) => d === null || (Number.isInteger(d) && (d as number) >= min);
    if (!Array.isArray(given) || !given.every(fits)) {
      throw new ShapeError(
        `${where}: expected \`${option}\` to be an array of integers ≥ ${min} or null, got ${show(given)}`,
      );
    }
    return [...given];
  })();

/** The size of the axis a layer's weights depend on; an error if it is free. */
export function knownSize(where: string, shape: BatchShape, axis: number): number {
  const size = shape[axis < 0 ? shape.length + axis : axis];
  if (size === null || size === undefined) {
    throw new ShapeError(
      expected(where, `an input whose size at axis ${axis} is known`, `shape ${showShape(shape)}`),
    );
  }
  return size;
}

/** What every layer can be given. */
export const layerOptions = {
  /** Distinguishes the layer in summaries, errors and files; made from its class when left out. */
  name: nullable(
    plain<string>((where, option, given) => {
      if (typeof given !== "string" || given === "" || given.includes("/")) {
        throw new ArgumentError(
          `${where}: expected \`${option}\` to be a non-empty string without "/", got ${show(given)}`,
        );
      }
      return given;
    })(),
  ),
  /** Whether optimizers change the weights. */
  trainable: boolean(true),
  /** Shape of one sample, for the first layer of a sequential model. */
  inputShape: nullable(shape()),
  /** The same with the batch dimension. */
  batchInputShape: nullable(shape()),
  /** dtype of the input, for the first layer of a sequential model. */
  inputDType: choice(dtypes, "float32"),
  /** A penalty on the layer's output, added to the loss. */
  activityRegularizer: regularizer(),
};
