/**
 * Initializers: functions of (shape, dtype) that make the first value of a weight. Formulas and
 * defaults are those of Keras 3. Without a `seed` each call draws its own from `setRandomSeed`'s
 * sequence; with one, each call gives the same values.
 */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { ones, zeros } from "../ops/creation.js";
import { cast, mul } from "../ops/elementwise.js";
import { randomNormal, randomUniform, truncatedNormal } from "../ops/random.js";
import type { DType } from "../tensor/dtype.js";
import { drawSeed } from "../tensor/random.js";
import { type Shape, showShape } from "../tensor/shape.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { choice, family, type Member, type MemberLike, number, row, seed } from "./options.js";

/** Makes a tensor of the given shape and dtype. */
export type InitializerFunction = (shape: Shape, dtype: DType) => Tensor;

/** An initializer with its options. */
export type Initializer = Member<InitializerFunction>;

/**
 * Number of inputs and outputs of a weight: of a matrix [in, out] its dimensions, of a convolution
 * kernel [...spatial, in, out] those times the receptive field.
 */
export function computeFans(shape: Shape): { fanIn: number; fanOut: number } {
  if (shape.length === 0) return { fanIn: 1, fanOut: 1 };
  if (shape.length === 1) return { fanIn: shape[0]!, fanOut: shape[0]! };
  const field = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  return {
    fanIn: shape[shape.length - 2]! * field,
    fanOut: shape[shape.length - 1]! * field,
  };
}

type Mode = "fanIn" | "fanOut" | "fanAvg";
type Distribution = "normal" | "truncatedNormal" | "untruncatedNormal" | "uniform";

/** Standard deviation of a standard normal cut off at ±2: what truncation shrinks it to. */
const truncatedDeviation = 0.87962566103423978;

function varianceScaling(
  scale: number,
  mode: Mode,
  distribution: Distribution,
  ownSeed: number | null,
): InitializerFunction {
  return (shape, dtype) => {
    const { fanIn, fanOut } = computeFans(shape);
    const fan = mode === "fanIn" ? fanIn : mode === "fanOut" ? fanOut : (fanIn + fanOut) / 2;
    const variance = scale / Math.max(1, fan);
    const from = ownSeed ?? drawSeed();
    if (distribution === "uniform") {
      const limit = Math.sqrt(3 * variance);
      return randomUniform(shape, -limit, limit, dtype, from);
    }
    if (distribution === "untruncatedNormal") {
      return randomNormal(shape, 0, Math.sqrt(variance), dtype, from);
    }
    return truncatedNormal(shape, 0, Math.sqrt(variance) / truncatedDeviation, dtype, from);
  };
}

const scaled = (className: string, scale: number, mode: Mode, distribution: Distribution) =>
  row(className, { seed: seed() }, ({ seed: own }) =>
    varianceScaling(scale, mode, distribution, own),
  );

/** The initializers by name. */
export const initializerFamily = family("initializer", initializerRows());

function initializerRows() {
  return {
    /** All 0. */
    zeros: row("Zeros", {}, (): InitializerFunction => (shape, dtype) => zeros(shape, dtype)),
    /** All 1. */
    ones: row("Ones", {}, (): InitializerFunction => (shape, dtype) => ones(shape, dtype)),
    /** All `value`. */
    constant: row(
      "Constant",
      { value: number({}, 0) },
      ({ value }): InitializerFunction =>
        (shape, dtype) =>
          cast(mul(ones(shape), value), dtype),
    ),
    /** `gain` on the diagonal of a matrix. */
    identity: row(
      "Identity",
      { gain: number({}, 1) },
      ({ gain }): InitializerFunction =>
        (shape, dtype) => {
          if (shape.length !== 2) {
            throw new ShapeError(
              expected("initializer identity", "the shape of a matrix", showShape(shape)),
            );
          }
          const [rows, columns] = shape as [number, number];
          const values = new Float32Array(rows * columns);
          for (let i = 0; i < Math.min(rows, columns); i++) values[i * columns + i] = gain;
          return cast(tensor(values, shape), dtype);
        },
    ),
    /** `gain` times a random matrix with orthonormal rows or columns (Saxe et al. 2013). */
    orthogonal: row(
      "Orthogonal",
      { gain: number({}, 1), seed: seed() },
      ({ gain, seed: own }): InitializerFunction =>
        (shape, dtype) => {
          if (shape.length < 2) {
            throw new ShapeError(
              expected("initializer orthogonal", "a shape of rank ≥ 2", showShape(shape)),
            );
          }
          const columns = shape[shape.length - 1]!;
          const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
          const normal = randomNormal([rows, columns], 0, 1, "float32", own ?? drawSeed());
          const values = orthonormalize(Float64Array.from(normal.dataSync()), rows, columns);
          return cast(mul(tensor(Float32Array.from(values), shape), gain), dtype);
        },
    ),
    /** Uniform in [minval, maxval). */
    randomUniform: row(
      "RandomUniform",
      { minval: number({}, -0.05), maxval: number({}, 0.05), seed: seed() },
      ({ minval, maxval, seed: own }): InitializerFunction => {
        if (minval > maxval) {
          throw new ArgumentError(
            expected("initializer randomUniform", "minval ≤ maxval", `${minval} and ${maxval}`),
          );
        }
        return (shape, dtype) => randomUniform(shape, minval, maxval, dtype, own ?? drawSeed());
      },
    ),
    /** Normal with mean and stddev. */
    randomNormal: row(
      "RandomNormal",
      { mean: number({}, 0), stddev: number({ min: 0 }, 0.05), seed: seed() },
      ({ mean, stddev, seed: own }): InitializerFunction =>
        (shape, dtype) =>
          randomNormal(shape, mean, stddev, dtype, own ?? drawSeed()),
    ),
    /** Normal limited to two standard deviations around the mean. */
    truncatedNormal: row(
      "TruncatedNormal",
      { mean: number({}, 0), stddev: number({ min: 0 }, 0.05), seed: seed() },
      ({ mean, stddev, seed: own }): InitializerFunction =>
        (shape, dtype) =>
          truncatedNormal(shape, mean, stddev, dtype, own ?? drawSeed()),
    ),
    /** Variance `scale` / fan, with the fan and distribution of choice. */
    varianceScaling: row(
      "VarianceScaling",
      {
        scale: number({ min: Number.MIN_VALUE }, 1),
        mode: choice(["fanIn", "fanOut", "fanAvg"], "fanIn"),
        distribution: choice(
          ["normal", "truncatedNormal", "untruncatedNormal", "uniform"],
          "truncatedNormal",
        ),
        seed: seed(),
      },
      ({ scale, mode, distribution, seed: own }): InitializerFunction =>
        varianceScaling(scale, mode, distribution, own),
    ),
    /** Uniform with variance 2 / (fanIn + fanOut) (Glorot & Bengio 2010): the usual for kernels. */
    glorotUniform: scaled("GlorotUniform", 1, "fanAvg", "uniform"),
    /** Truncated normal with variance 2 / (fanIn + fanOut). */
    glorotNormal: scaled("GlorotNormal", 1, "fanAvg", "truncatedNormal"),
    /** Uniform with variance 2 / fanIn, for ReLU (He et al. 2015). */
    heUniform: scaled("HeUniform", 2, "fanIn", "uniform"),
    /** Truncated normal with variance 2 / fanIn. */
    heNormal: scaled("HeNormal", 2, "fanIn", "truncatedNormal"),
    /** Uniform with variance 1 / fanIn (LeCun et al. 1998), for selu. */
    leCunUniform: scaled("LeCunUniform", 1, "fanIn", "uniform"),
    /** Truncated normal with variance 1 / fanIn. */
    leCunNormal: scaled("LeCunNormal", 1, "fanIn", "truncatedNormal"),
  };
}

/** Makes initializers with options: `lw.initializers.heNormal({ seed: 1 })`. */
export const initializers = initializerFamily.make;

/** The name of an initializer that is built in. */
export type InitializerName = keyof ReturnType<typeof initializerRows>;

/** A name, a configuration, a function of (shape, dtype), or what `lw.initializers` makes. */
export type InitializerLike = MemberLike<InitializerFunction, InitializerName>;

/** Turns an {@link InitializerLike} into an initializer. */
export function getInitializer(where: string, option: string, given: unknown): Initializer {
  return initializerFamily.get(where, option, given);
}

/**
 * Orthonormal rows or columns (the fewer of the two) by modified Gram–Schmidt run twice, in float64;
 * of a Gaussian matrix this is uniform over the orthogonal matrices, as QR with a positive diagonal.
 */
function orthonormalize(values: Float64Array, rows: number, columns: number): Float64Array {
  const tall = rows >= columns;
  const count = tall ? columns : rows;
  const length = tall ? rows : columns;
  // Vector v's element i.
  const at = (v: number, i: number): number => (tall ? i * columns + v : v * columns + i);
  for (let v = 0; v < count; v++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let u = 0; u < v; u++) {
        let dot = 0;
        for (let i = 0; i < length; i++) dot += values[at(v, i)]! * values[at(u, i)]!;
        for (let i = 0; i < length; i++) values[at(v, i)]! -= dot * values[at(u, i)]!;
      }
      let square = 0;
      for (let i = 0; i < length; i++) square += values[at(v, i)]! ** 2;
      const inverse = 1 / Math.sqrt(square);
      for (let i = 0; i < length; i++) values[at(v, i)]! *= inverse;
    }
  }
  return values;
}

/** Enters an initializer of your own under a name, so that models with it can be saved and loaded. */
export function registerInitializer(name: string, f: InitializerFunction): void {
  initializerFamily.register(name, f);
}
