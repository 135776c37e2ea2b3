/**
 * Random tensors. Two ops with an instruction: `randomBits`, of which every distribution is a formula, and
 * `randomBelow`, a choice with a fixed probability for a quarter of the cost.
 */
import { ArgumentError, checkInteger, checkNumber, expected } from "../errors.js";
import { checkDType, type DType } from "../tensor/dtype.js";
import { drawSeed, type RandomSource, randomSource } from "../tensor/random.js";
import { currentTrace } from "../tensor/scope.js";
import { checkShape, type Shape } from "../tensor/shape.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { erfinv } from "./composed.js";
import { fill } from "./creation.js";
import { add, cast, cos, floor, less, log, mul, neg, sqrt, sub } from "./elementwise.js";
import { defineOp } from "./op.js";

interface RandomAttributes {
  readonly shape: Shape;
  readonly opId: number;
  readonly stream: number;
}

const applyBits = defineOp<RandomAttributes>({
  name: "randomBits",
  infer: (_inputs, { shape }) => [{ shape, dtype: "int32" }],
  lowering: {
    kind: "elementwise",
    instruction: () => "philox",
    constants: ({ opId, stream }) => [opId, stream],
  },
  gradient: "none",
  samples: [
    {
      inputs: [
        { shape: [], dtype: "int32", values: [42] },
        { shape: [], dtype: "int32", values: [7] },
      ],
      attributes: { shape: [5, 7], opId: 3, stream: 1 },
      differentiable: false,
    },
  ],
});

const applyToUniform = defineOp<object>({
  name: "bitsToUniform",
  infer: ([bits]) => [{ shape: bits!.shape, dtype: "float32" }],
  lowering: { kind: "elementwise", instruction: () => "bitsToUniform" },
  gradient: "none",
  samples: [
    {
      inputs: [{ shape: [6], dtype: "int32", domain: [-(2 ** 31), 2 ** 31 - 1] }],
      attributes: {},
      differentiable: false,
    },
  ],
});

const applyBelow = defineOp<RandomAttributes & { readonly threshold: number }>({
  name: "randomBelow",
  infer: (_inputs, { shape }) => [{ shape, dtype: "bool" }],
  lowering: {
    kind: "elementwise",
    instruction: () => "philoxBelow",
    constants: ({ opId, stream, threshold }) => [opId, stream, threshold],
  },
  gradient: "none",
  samples: [
    {
      inputs: [
        { shape: [], dtype: "int32", values: [42] },
        { shape: [], dtype: "int32", values: [7] },
      ],
      attributes: { shape: [5, 7], opId: 3, stream: 1, threshold: 0xb0000000 },
      differentiable: false,
    },
  ],
});

/** Uniform in [0, 1) from a source; `stream` tells several draws of one op apart. */
export function uniformFrom(
  source: RandomSource,
  shape: Shape,
  opId = source.nextOpId(),
  stream = 0,
): Tensor {
  const bits = applyBits([source.seed, source.step], { shape: [...shape], opId, stream })[0]!;
  return applyToUniform([bits], {})[0]!;
}

/** Standard normal from a source, by Box and Muller (1958). */
export function normalFrom(source: RandomSource, shape: Shape): Tensor {
  const opId = source.nextOpId();
  // 1 − u lies in (0, 1], so the logarithm is finite.
  const radius = sqrt(mul(log(sub(1, uniformFrom(source, shape, opId, 0))), -2));
  return mul(radius, cos(mul(uniformFrom(source, shape, opId, 1), 2 * Math.PI)));
}

/** Standard normal limited to ±2, by inversion of its distribution function. */
export function truncatedNormalFrom(source: RandomSource, shape: Shape): Tensor {
  // erf(√2) = P(|z| < 2); z = √2 · erf⁻¹(u · P), u in (−1, 1)
  const inside = 0.9544997361036416;
  const u = sub(mul(uniformFrom(source, shape), 2), 1 - 2 ** -24);
  return mul(erfinv(mul(u, inside)), Math.SQRT2);
}

/**
 * 1 with probability `p`, else 0, as a bool tensor. A number is rounded to a multiple of 2⁻³²; the
 * probabilities of a tensor meet uniforms of 24 bits.
 */
export function bernoulliFrom(source: RandomSource, shape: Shape, p: Tensor | number): Tensor {
  if (typeof p !== "number") return less(uniformFrom(source, shape), p);
  if (p >= 1) return fill(shape, 1, "bool");
  const threshold = Math.min(2 ** 32 - 1, Math.max(0, Math.round(p * 2 ** 32)));
  const attributes = { shape: [...shape], opId: source.nextOpId(), stream: 0, threshold };
  return applyBelow([source.seed, source.step], attributes)[0]!;
}

/** How often each owner has drawn outside of a model's run, `nobody` where there is no seed. */
const draws = new WeakMap<object, Variable>();
const nobody = {};

/** The present count of an owner's draws, and one more for the next time: also in a traced function. */
function nextDraw(owner: object): Tensor {
  let counter = draws.get(owner);
  if (!counter) {
    counter = new Variable(leaf(new Int32Array(1), [], "int32"), "random/draws", false);
    draws.set(owner, counter);
  }
  const step = counter.read();
  counter.assign(add(step, 1));
  return step;
}

/**
 * A source for a draw that names no seed. Inside a traced function, which records its ops once and
 * runs many times, the step is a counter that every run advances: each run draws anew. Owners with a
 * seed of their own have a counter each: the n-th use of a layer is the same in every process.
 */
export function freshSource(): RandomSource {
  const step = currentTrace() ? nextDraw(nobody) : 0;
  return randomSource(drawSeed(), step, nextDraw);
}

function eagerSource(
  where: string,
  shape: unknown,
  dtype: unknown,
  seed: number | undefined,
): RandomSource {
  checkShape(where, shape);
  checkDType(where, dtype);
  if (seed === undefined) return freshSource();
  if (!Number.isInteger(seed)) {
    throw new ArgumentError(expected(where, "an integer `seed`", seed));
  }
  return randomSource(seed);
}

/** Uniform in [min, max); with dtype int32, integers in [min, max). */
export function randomUniform(
  shape: Shape,
  min = 0,
  max = 1,
  dtype: DType = "float32",
  seed?: number,
): Tensor {
  checkNumber("randomUniform", "min", min);
  checkNumber("randomUniform", "max", max, min);
  const uniform = uniformFrom(eagerSource("randomUniform", shape, dtype, seed), shape);
  const scaled = mul(uniform, max - min);
  if (dtype === "float32") return add(scaled, min);
  checkInteger("randomUniform", "min", min);
  checkInteger("randomUniform", "max", max);
  // Rounded down before the offset is added: a float sum could round up to max.
  return cast(add(cast(floor(scaled), "int32"), min), dtype);
}

/** Normal with the given mean and standard deviation. */
export function randomNormal(
  shape: Shape,
  mean = 0,
  stdDev = 1,
  dtype: DType = "float32",
  seed?: number,
): Tensor {
  checkNumber("randomNormal", "stdDev", stdDev, 0);
  const scaled = add(
    mul(normalFrom(eagerSource("randomNormal", shape, dtype, seed), shape), stdDev),
    mean,
  );
  return cast(scaled, dtype);
}

/** Normal limited to two standard deviations around the mean. */
export function truncatedNormal(
  shape: Shape,
  mean = 0,
  stdDev = 1,
  dtype: DType = "float32",
  seed?: number,
): Tensor {
  checkNumber("truncatedNormal", "stdDev", stdDev, 0);
  const scaled = add(
    mul(truncatedNormalFrom(eagerSource("truncatedNormal", shape, dtype, seed), shape), stdDev),
    mean,
  );
  return cast(scaled, dtype);
}

/** Exponentially distributed with mean 1 (used by Gumbel and Poisson samplers). */
export function randomExponential(shape: Shape, seed?: number): Tensor {
  return neg(
    log(sub(1, uniformFrom(eagerSource("randomExponential", shape, "float32", seed), shape))),
  );
}
