/**
 * Mean and variance in one kernel, and the normalisations built on it. Their gradients are written
 * by hand so that a normalisation costs two reading passes forward and two backward. And normalisation
 * by neighbouring channels, which has no moments.
 */
import { checkInteger, checkKeys, checkNumber, expected, ShapeError } from "../errors.js";
import { normalizeAxes, reducedShape, type Shape, showShape } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import {
  add,
  broadcastTo,
  exp,
  log,
  mul,
  reciprocal,
  rsqrt,
  sqrt,
  square,
  sub,
  sumTo,
} from "./elementwise.js";
import { withGradient } from "./identity.js";
import { matMul } from "./matmul.js";
import { reshape, transpose } from "./movement.js";
import { asTensor, defineOp, requireDType } from "./op.js";
import { type Axis, mean, sum } from "./reduce.js";

interface MomentsAttributes {
  readonly from: number;
  readonly to: number;
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

const applyMoments = defineOp<MomentsAttributes>({
  name: "moments",
  infer: ([x], { from, to }) => {
    const shape = [...x!.shape.slice(0, from), ...x!.shape.slice(to)];
    return [
      { shape, dtype: "float32" },
      { shape, dtype: "float32" },
    ];
  },
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { from, to } = e.attributes;
      const shape = e.inputs[0]!.shape;
      e.call(
        "moments",
        [0],
        [0, 1],
        [product(shape.slice(0, from)), product(shape.slice(from, to)), product(shape.slice(to))],
      );
    },
  },
  gradient: ({
    inputs: [x],
    outputs: [average],
    attributes: { from, to },
    dys: [dMean, dVariance],
  }) => {
    const kept = x!.shape.map((d, i) => (i >= from && i < to ? 1 : d));
    const count = product(x!.shape.slice(from, to));
    let dx: Tensor | null = null;
    if (dVariance) {
      const centred = sub(x!, reshape(average!, kept));
      dx = mul(centred, reshape(mul(dVariance, 2 / count), kept));
    }
    if (dMean) {
      const spread = reshape(mul(dMean, 1 / count), kept);
      dx = dx ? add(dx, spread) : broadcastTo(spread, x!.shape);
    }
    return [dx];
  },
  samples: [
    { inputs: [{ shape: [4, 5], domain: [-2, 2] }], attributes: { from: 0, to: 1 } },
    { inputs: [{ shape: [3, 6], domain: [-2, 2] }], attributes: { from: 1, to: 2 } },
    { inputs: [{ shape: [2, 3, 2], domain: [-2, 2] }], attributes: { from: 1, to: 2 } },
  ],
});

/** Mean and (population) variance over axes. */
export function moments(
  x: TensorLike,
  axis?: Axis,
  keepDims = false,
): { mean: Tensor; variance: Tensor } {
  let input = asTensor("moments", x);
  requireDType("moments", input, "float32");
  const axes = normalizeAxes("moments", axis, input.rank);
  const shape = reducedShape(input.shape, axes, keepDims);
  let from = axes[0] ?? 0;
  if (axes.some((a, i) => i > 0 && a !== axes[i - 1]! + 1)) {
    const others = input.shape.map((_, i) => i).filter((i) => !axes.includes(i));
    input = transpose(input, [...others, ...axes]);
    from = others.length;
  }
  const [average, variance] = applyMoments([input], { from, to: from + axes.length });
  return { mean: reshape(average!, shape), variance: reshape(variance!, shape) };
}

/** Variance over axes (population: divided by n). */
export function variance(x: TensorLike, axis?: Axis, keepDims = false): Tensor {
  return moments(x, axis, keepDims).variance;
}

export interface Normalized {
  readonly output: Tensor;
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/**
 * (x − mean) / √(variance + epsilon) · gamma + beta with the moments of x over `axes`: what batch,
 * layer, group and instance normalisation share (Ioffe & Szegedy 2015; Ba et al. 2016). The scale
 * `gamma` and the offset `beta` broadcast against x; no gradient flows through the returned moments.
 */
export function normalize(
  x: TensorLike,
  axes: readonly number[],
  gammaLike: Tensor | null,
  betaLike: Tensor | null,
  epsilon: number,
): Normalized {
  const input = asTensor("normalize", x);
  // What a variable holds now: the gradient's walk meets values, not variables.
  const gamma = gammaLike?.current() ?? null;
  const beta = betaLike?.current() ?? null;
  const { mean: average, variance: spread } = moments(input, axes, true);
  const inverse = rsqrt(add(spread, epsilon));
  const scale = gamma ? mul(inverse, gamma) : inverse;
  const centred = sub(input, average);
  const scaled = mul(centred, scale);
  const value = beta ? add(scaled, beta) : scaled;
  const parameters = [gamma, beta].filter((p): p is Tensor => p !== null);
  const output = withGradient(value, [input, ...parameters], (dy) => {
    // x̂ = (x − μ)/σ; g = dy·γ; dx = (g − mean(g) − x̂·mean(g·x̂)) / σ. What is constant over a group is
    // multiplied out first: three passes over registers instead of six.
    const offset = sub(input, average);
    let dBeta: Tensor | null = null;
    let dGamma: Tensor | null = null;
    let g = dy;
    let factor = inverse;
    let meanG: Tensor;
    let meanGx: Tensor;
    if (gamma && beta && sumsByParameter(gamma.shape, input.shape, axes)) {
      // gamma is constant over each group, so the sums that it and beta get serve here as well.
      const share = 1 / product(axes.map((a) => input.shape[a]!));
      const sums = sum(dy, axes, true);
      const products = mul(sum(mul(dy, offset), axes, true), inverse);
      dBeta = reshape(sums, beta.shape);
      dGamma = reshape(products, gamma.shape);
      factor = mul(inverse, gamma);
      meanG = mul(mul(sums, gamma), share);
      meanGx = mul(mul(products, gamma), share);
    } else {
      if (beta) dBeta = sumTo(dy, beta.shape);
      if (gamma) {
        g = mul(dy, gamma);
        dGamma = sumTo(mul(dy, mul(offset, inverse)), gamma.shape);
      }
      meanG = mean(g, axes, true);
      meanGx = mul(mean(mul(g, offset), axes, true), inverse);
    }
    const slope = mul(mul(inverse, inverse), meanGx);
    const dx = sub(sub(mul(g, factor), mul(meanG, inverse)), mul(offset, slope));
    return [dx, ...(gamma ? [dGamma] : []), ...(beta ? [dBeta] : [])];
  });
  return { output, mean: average, variance: spread };
}

/** True when a parameter has exactly one value per normalised group (batch norm, not layer norm). */
function sumsByParameter(parameter: Shape, input: Shape, axes: readonly number[]): boolean {
  const lead = input.length - parameter.length;
  return input.every((dim, i) => {
    const own = i < lead ? 1 : parameter[i - lead]!;
    return axes.includes(i) ? own === 1 : own === dim;
  });
}

/** Options of {@link localResponseNormalization}. */
export interface LocalResponseOptions {
  /** How many channels on either side count; 5 when left out, as in TensorFlow. */
  readonly depthRadius?: number | undefined;
  /** 1 when left out. */
  readonly bias?: number | undefined;
  /** 1 when left out; not divided by the number of channels. */
  readonly alpha?: number | undefined;
  /** 0.5 when left out. */
  readonly beta?: number | undefined;
}

/**
 * x / (bias + alpha · Σ x²)^beta, the sum over the neighbouring channels: the last axis (Krizhevsky et
 * al. 2012). The sums are a product with a banded matrix of ones, in whose epilogue the rest is done.
 */
export function localResponseNormalization(
  x: TensorLike,
  options: LocalResponseOptions = {},
): Tensor {
  const where = "localResponseNormalization";
  checkKeys(where, options, ["depthRadius", "bias", "alpha", "beta"]);
  const { depthRadius = 5, bias = 1, alpha = 1, beta = 0.5 } = options;
  checkInteger(where, "depthRadius", depthRadius, 0);
  checkNumber(where, "bias", bias, 0);
  checkNumber(where, "alpha", alpha, 0);
  checkNumber(where, "beta", beta, 0);
  const input = asTensor(where, x);
  requireDType(where, input, "float32");
  if (input.rank < 2) {
    throw new ShapeError(
      expected(where, "input of rank ≥ 2, channels last", `shape ${showShape(input.shape)}`),
    );
  }
  const channels = input.shape.at(-1)!;
  const band = new Float32Array(channels * channels);
  for (let i = 0; i < channels; i++) {
    const end = Math.min(channels, i + depthRadius + 1);
    band.fill(1, i * channels + Math.max(0, i - depthRadius), i * channels + end);
  }
  const flat = reshape(input, [-1, channels]);
  const sums = matMul(square(flat), leaf(band, [channels, channels], "float32"));
  const scale = add(mul(sums, alpha), bias);
  return reshape(mul(flat, negativePower(scale, beta)), input.shape);
}

/** x^−p, by roots for the powers in use: several times as fast as a logarithm and an exponential. */
function negativePower(x: Tensor, p: number): Tensor {
  switch (p) {
    case 0.5:
      return rsqrt(x);
    case 0.75: {
      const root = rsqrt(x);
      return mul(root, sqrt(root));
    }
    case 1:
      return reciprocal(x);
    default:
      return exp(mul(log(x), -p));
  }
}
