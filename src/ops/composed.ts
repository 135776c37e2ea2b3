/**
 * Element-wise functions (and one that halves an axis) made of others: no instruction of their own, and
 * no kernel. Fusion makes one pass of each; gradients follow from the parts.
 */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { normalizeAxis, showShape } from "../tensor/shape.js";
import { literal, type Tensor, type TensorLike } from "../tensor/tensor.js";
import {
  abs,
  add,
  div,
  equal,
  erf,
  exp,
  expm1,
  greater,
  isFinite,
  less,
  lessEqual,
  log,
  logicalAnd,
  logicalOr,
  maximum,
  mul,
  neg,
  notEqual,
  relu,
  sigmoid,
  softplus,
  sqrt,
  square,
  sub,
  tanh,
  where,
} from "./elementwise.js";
import { split } from "./movement.js";
import { asPair, asTensor, requireDType } from "./op.js";

function float(where_: string, x: TensorLike): Tensor {
  const input = asTensor(where_, x);
  requireDType(where_, input, "float32");
  return input;
}

/** (a − b)². */
export function squaredDifference(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = asPair("squaredDifference", a, b);
  return square(sub(x, y));
}

/** a / b, and 0 where b is 0. */
export function divNoNan(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = asPair("divNoNan", a, b);
  const ok = notEqual(y, 0);
  return where(ok, div(x, where(ok, y, 1)), 0);
}

/** x limited to [min, max]; the gradient is 0 outside. */
export function clipByValue(x: TensorLike, min: number, max: number): Tensor {
  if (!(min <= max))
    throw new ArgumentError(expected("clipByValue", "min ≤ max", `${min} and ${max}`));
  const input = asTensor("clipByValue", x);
  const low = where(less(input, min), literal(min, input.dtype), input);
  return where(greater(input, max), literal(max, input.dtype), low);
}

/** 0 for x ≤ 0, 1 above. */
export function step(x: TensorLike): Tensor {
  return where(greater(float("step", x), 0), literal(1, "float32"), literal(0, "float32"));
}

/**
 * True where a ≈ b: |a − b| ≤ atol + rtol·|b|. An infinity is close to itself only, NaN to nothing, as
 * in NumPy.
 */
export function isClose(a: TensorLike, b: TensorLike, rtol = 1e-5, atol = 1e-8): Tensor {
  const [x, y] = asPair("isClose", a, b);
  const near = lessEqual(abs(sub(x, y)), add(mul(abs(y), rtol), atol));
  return logicalOr(equal(x, y), logicalAnd(isFinite(y), near));
}

/** min(max(x, 0), 6). */
export function relu6(x: TensorLike): Tensor {
  return clipByValue(float("relu6", x), 0, 6);
}

/** x, or alpha·x below 0 (Maas et al. 2013). */
export function leakyRelu(x: TensorLike, alpha = 0.2): Tensor {
  const input = float("leakyRelu", x);
  return where(greater(input, 0), input, mul(input, alpha));
}

/** leakyRelu with a learned slope that broadcasts against x (He et al. 2015). */
export function prelu(x: TensorLike, alpha: TensorLike): Tensor {
  const input = float("prelu", x);
  return where(greater(input, 0), input, mul(input, alpha));
}

/**
 * x up to 0, then 0: keeps the exponential of a branch not taken finite, or its gradient would be ∞·0.
 * Not `minimum`, whose gradient at the tie 0 is a half.
 */
function negativePart(x: Tensor): Tensor {
  return where(greater(x, 0), literal(0, "float32"), x);
}

/** x, or alpha·(eˣ − 1) below 0 (Clevert et al. 2016). */
export function elu(x: TensorLike, alpha = 1): Tensor {
  const input = float("elu", x);
  return where(greater(input, 0), input, mul(expm1(negativePart(input)), alpha));
}

/** Self-normalising elu (Klambauer et al. 2017). */
export function selu(x: TensorLike): Tensor {
  return mul(elu(x, 1.6732632423543772), 1.0507009873554805);
}

/** alpha-parametrised continuously differentiable elu (Barron 2017). */
export function celu(x: TensorLike, alpha = 1): Tensor {
  const input = float("celu", x);
  return add(relu(input), mul(expm1(div(negativePart(input), alpha)), alpha));
}

/** x·Φ(x) (Hendrycks & Gimpel 2016); `approximate` uses the tanh form. */
export function gelu(x: TensorLike, approximate = false): Tensor {
  const input = float("gelu", x);
  const phi = approximate
    ? tanh(mul(add(input, mul(mul(input, square(input)), 0.044715)), Math.sqrt(2 / Math.PI)))
    : erf(mul(input, Math.SQRT1_2));
  return mul(mul(input, 0.5), add(phi, 1));
}

/** x·sigmoid(x), also called silu (Ramachandran et al. 2017). */
export function swish(x: TensorLike): Tensor {
  const input = float("swish", x);
  return mul(input, sigmoid(input));
}

/** x·tanh(softplus(x)) (Misra 2019). */
export function mish(x: TensorLike): Tensor {
  const input = float("mish", x);
  return mul(input, tanh(softplus(input)));
}

/** x / (1 + |x|). */
export function softsign(x: TensorLike): Tensor {
  const input = float("softsign", x);
  return div(input, add(abs(input), 1));
}

/** max(0, min(1, x/6 + 1/2)), as Keras 3. */
export function hardSigmoid(x: TensorLike): Tensor {
  return clipByValue(add(mul(float("hardSigmoid", x), 1 / 6), 0.5), 0, 1);
}

/** x·hardSigmoid(x) (Howard et al. 2019). */
export function hardSwish(x: TensorLike): Tensor {
  const input = float("hardSwish", x);
  return mul(input, hardSigmoid(input));
}

/** x limited to [−1, 1]. */
export function hardTanh(x: TensorLike): Tensor {
  return clipByValue(float("hardTanh", x), -1, 1);
}

/** log(sigmoid(x)), without overflow. */
export function logSigmoid(x: TensorLike): Tensor {
  return neg(softplus(neg(float("logSigmoid", x))));
}

/** x − tanh(x). */
export function tanhShrink(x: TensorLike): Tensor {
  const input = float("tanhShrink", x);
  return sub(input, tanh(input));
}

/** 1.7159 · tanh(2x/3), which is ±1 at ±1 (LeCun et al. 1998, appendix A). */
export function scaledTanh(x: TensorLike): Tensor {
  return mul(tanh(mul(float("scaledTanh", x), 2 / 3)), 1.7159);
}

/** x moved towards 0 by `lambda`, 0 within ±lambda. */
export function softShrink(x: TensorLike, lambda = 0.5): Tensor {
  const input = float("softShrink", x);
  return add(relu(sub(input, lambda)), neg(relu(sub(neg(input), lambda))));
}

/** x, and 0 within ±lambda. */
export function hardShrink(x: TensorLike, lambda = 0.5): Tensor {
  const input = float("hardShrink", x);
  return where(
    logicalOr(greater(input, lambda), less(input, -lambda)),
    input,
    literal(0, "float32"),
  );
}

/** x where it exceeds `theta`, else 0. */
export function thresholdedRelu(x: TensorLike, theta = 1): Tensor {
  const input = float("thresholdedRelu", x);
  return where(greater(input, theta), input, literal(0, "float32"));
}

/** x where it exceeds `limit`, else `defaultValue`. */
export function threshold(x: TensorLike, limit: number, defaultValue: number): Tensor {
  const input = float("threshold", x);
  return where(greater(input, limit), input, literal(defaultValue, "float32"));
}

/** (x + √(x² + b)) / 2, an algebraic softplus (Barron 2021). */
export function squareplus(x: TensorLike, b = 4): Tensor {
  const input = float("squareplus", x);
  return mul(add(input, sqrt(add(square(input), b))), 0.5);
}

/** 0 up to −1, x from 1 on, (x + 1)² / 4 between. */
export function sparsePlus(x: TensorLike): Tensor {
  const input = float("sparsePlus", x);
  const curve = mul(square(add(clipByValue(input, -1, 1), 1)), 0.25);
  return where(less(input, 1), curve, input);
}

/** (x + 1) / 2 limited to [0, 1]: the derivative of `sparsePlus`. */
export function sparseSigmoid(x: TensorLike): Tensor {
  return mul(add(clipByValue(float("sparseSigmoid", x), -1, 1), 1), 0.5);
}

/** The first half of an axis times the sigmoid of the second (Dauphin et al. 2017). */
export function glu(x: TensorLike, axis = -1): Tensor {
  const input = float("glu", x);
  const size = input.shape[normalizeAxis("glu", axis, input.rank)]!;
  if (size % 2 !== 0) {
    throw new ShapeError(
      expected("glu", `an even size at axis ${axis}`, `shape ${showShape(input.shape)}`),
    );
  }
  const [values, gates] = split(input, 2, axis);
  return mul(values!, sigmoid(gates!));
}

/** log(cosh(x)), without overflow: |x| + softplus(−2|x|) − log 2. */
export function logCosh(x: TensorLike): Tensor {
  const magnitude = abs(float("logCosh", x));
  return sub(add(magnitude, softplus(mul(magnitude, -2))), Math.LN2);
}

/** Binary cross-entropy of probabilities `targets` and sigmoid(`logits`): softplus(z) − z·t, stably. */
export function sigmoidCrossEntropy(targets: TensorLike, logits: TensorLike): Tensor {
  const [t, z] = asPair("sigmoidCrossEntropy", targets, logits);
  return sub(softplus(z), mul(z, t));
}

/** The inverse of erf, by Giles' single-precision polynomials (2010); relative error ≤ 3e-7. ±1 give ±∞. */
export function erfinv(x: TensorLike): Tensor {
  const input = float("erfinv", x);
  const atEnd = equal(abs(input), 1);
  // The polynomials know no infinity, and their gradients would be NaN.
  const inner = where(atEnd, literal(0, "float32"), input);
  // w = −log((1 − x)(1 + x))
  const w = neg(log(mul(sub(1, inner), add(inner, 1))));
  const polynomial = (variable: Tensor, coefficients: readonly number[]): Tensor => {
    let p: Tensor = literal(coefficients[0]!, "float32");
    for (const c of coefficients.slice(1)) p = add(mul(p, variable), c);
    return p;
  };
  const central = polynomial(
    sub(w, 2.5),
    [
      2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503,
      -0.00417768164, 0.246640727, 1.50140941,
    ],
  );
  const tail = polynomial(
    sub(sqrt(maximum(w, 5)), 3),
    [
      -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
      0.00943887047, 1.00167406, 2.83297682,
    ],
  );
  const slope = where(less(w, 5), central, tail);
  return mul(where(atEnd, literal(Infinity, "float32"), slope), input);
}

/** eˣ as an activation: the same as `exp`. */
export function exponential(x: TensorLike): Tensor {
  return exp(float("exponential", x));
}
