/** Softmax and the cross-entropies fused with it, each one kernel over rows; and sparsemax, made of others. */
import { ArgumentError, checkNumber, expected, ShapeError } from "../errors.js";
import { normalizeAxis, sameShape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import {
  add,
  cast,
  div,
  exp,
  greater,
  greaterEqual,
  maximum,
  mul,
  neg,
  sub,
  where,
} from "./elementwise.js";
import { indexTensor } from "./gather.js";
import { stopGradient } from "./identity.js";
import { expandDims, reshape, transpose } from "./movement.js";
import { asTensor, defineOp, requireDType } from "./op.js";
import { max, min, sum } from "./reduce.js";
import { cumsum, topk } from "./select.js";

interface SoftmaxAttributes {
  readonly log: boolean;
}

const rowsOf = (shape: readonly number[]): [number, number] => {
  const cols = shape[shape.length - 1]!;
  return [sizeOf(shape.slice(0, -1)), cols];
};

const applySoftmax = defineOp<SoftmaxAttributes>({
  name: "softmax",
  infer: ([x]) => [{ shape: x!.shape, dtype: "float32" }],
  lowering: {
    kind: "kernels",
    emit: (e) =>
      e.call("softmax", [0], [0], [...rowsOf(e.inputs[0]!.shape), Number(e.attributes.log)]),
  },
  gradient: ({ outputs: [y], attributes: { log }, dy }) => [
    log ? sub(dy, mul(exp(y!), sum(dy, -1, true))) : mul(y!, sub(dy, sum(mul(dy, y!), -1, true))),
  ],
  samples: [false, true].map((log) => ({
    inputs: [{ shape: [4, 6], domain: [-3, 3] as const }],
    attributes: { log },
  })),
});

function alongLast(where: string, x: TensorLike, axis: number, log: boolean): Tensor {
  const input = asTensor(where, x);
  requireDType(where, input, "float32");
  if (input.rank === 0) throw new ShapeError(expected(where, "a tensor of rank ≥ 1", "a scalar"));
  const at = normalizeAxis(where, axis, input.rank);
  if (at === input.rank - 1) return applySoftmax([input], { log })[0]!;
  const perm = input.shape.map((_, i) => i);
  [perm[at], perm[input.rank - 1]] = [input.rank - 1, at];
  return transpose(applySoftmax([transpose(input, perm)], { log })[0]!, perm);
}

/** eˣ / Σ eˣ along an axis. */
export function softmax(x: TensorLike, axis = -1): Tensor {
  return alongLast("softmax", x, axis, false);
}

/** log(softmax(x)), computed stably. */
export function logSoftmax(x: TensorLike, axis = -1): Tensor {
  return alongLast("logSoftmax", x, axis, true);
}

interface CrossEntropyAttributes {
  readonly smoothing: number;
}

const applyDense = defineOp<CrossEntropyAttributes>({
  name: "softmaxCrossEntropy",
  infer: ([z]) => [
    { shape: z!.shape.slice(0, -1), dtype: "float32" },
    { shape: z!.shape, dtype: "float32" },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) =>
      e.call("softmaxCrossEntropy", [0, 1], [0, 1], rowsOf(e.inputs[0]!.shape), [
        e.attributes.smoothing,
      ]),
  },
  gradient: ({ inputs: [z, t], outputs: [, gradient], attributes: { smoothing }, dys, wanted }) => {
    const [dLoss, dGradient] = dys;
    let dz = dLoss ? mul(gradient!, expandDims(dLoss, -1)) : null;
    if (dGradient) {
      // Σ of the smoothed targets; they need not be probabilities.
      const total = add(mul(sum(t!, -1, true), 1 - smoothing), smoothing);
      const second = mul(softmaxJacobian(z!, dGradient), total);
      dz = dz ? add(dz, second) : second;
    }
    if (!wanted[1]) return [dz, null];
    // d(loss)/dt = −log p; d(gradient)/dt · v = Σ p·v − v; both times 1 − smoothing
    let dt = dLoss ? mul(neg(logSoftmax(z!)), expandDims(dLoss, -1)) : null;
    if (dGradient) {
      const second = sub(sum(mul(softmax(z!), dGradient), -1, true), dGradient);
      dt = dt ? add(dt, second) : second;
    }
    return [dz, dt && mul(dt, 1 - smoothing)];
  },
  samples: [0, 0.1].map((smoothing) => ({
    inputs: [
      { shape: [3, 5], domain: [-2, 2] as const },
      { shape: [3, 5], domain: [0, 1] as const },
    ],
    attributes: { smoothing },
  })),
});

/** softmax' · v, row by row: p·(v − Σ p·v). */
function softmaxJacobian(z: Tensor, v: Tensor): Tensor {
  const p = softmax(z);
  return mul(p, sub(v, sum(mul(p, v), -1, true)));
}

const applySparse = defineOp<CrossEntropyAttributes>({
  name: "sparseSoftmaxCrossEntropy",
  infer: ([z]) => [
    { shape: z!.shape.slice(0, -1), dtype: "float32" },
    { shape: z!.shape, dtype: "float32" },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) =>
      e.call("sparseSoftmaxCrossEntropy", [0, 1], [0, 1], rowsOf(e.inputs[0]!.shape), [
        e.attributes.smoothing,
      ]),
  },
  gradient: ({ inputs: [z], outputs: [, gradient], dys: [dLoss, dGradient] }) => {
    let dz = dLoss ? mul(gradient!, expandDims(dLoss, -1)) : null;
    if (dGradient) {
      const second = softmaxJacobian(z!, dGradient);
      dz = dz ? add(dz, second) : second;
    }
    return [dz, null];
  },
  samples: [0, 0.1].map((smoothing) => ({
    inputs: [
      { shape: [4, 3], domain: [-2, 2] as const },
      { shape: [4], dtype: "int32" as const, values: [0, 2, 1, 2] },
    ],
    attributes: { smoothing },
  })),
});

function checkSmoothing(where: string, smoothing: number): void {
  checkNumber(where, "labelSmoothing", smoothing, 0, 1);
}

/**
 * Cross-entropy between `targets` (probabilities, [..., classes]) and softmax(`logits`), per row.
 * With label smoothing s the targets are t·(1 − s) + s / classes.
 */
export function softmaxCrossEntropy(
  targets: TensorLike,
  logits: TensorLike,
  labelSmoothing = 0,
): Tensor {
  const z = asTensor("softmaxCrossEntropy", logits);
  const t = asTensor("softmaxCrossEntropy", targets);
  requireDType("softmaxCrossEntropy", z, "float32");
  requireDType("softmaxCrossEntropy", t, "float32");
  checkSmoothing("softmaxCrossEntropy", labelSmoothing);
  if (z.rank === 0 || !sameShape(z.shape, t.shape)) {
    throw new ShapeError(
      `softmaxCrossEntropy: targets ${showShape(t.shape)} and logits ${showShape(z.shape)} must have the same shape [..., classes]`,
    );
  }
  return applyDense([z, t], { smoothing: labelSmoothing })[0]!;
}

/**
 * Cross-entropy between integer `labels` ([...], int32) and softmax(`logits`) ([..., classes]), per row.
 * A label outside 0 … classes−1 is an error when the value is computed.
 */
export function sparseSoftmaxCrossEntropy(
  labels: TensorLike,
  logits: TensorLike,
  labelSmoothing = 0,
): Tensor {
  const z = asTensor("sparseSoftmaxCrossEntropy", logits);
  const y = indexTensor("sparseSoftmaxCrossEntropy", labels);
  requireDType("sparseSoftmaxCrossEntropy", z, "float32");
  checkSmoothing("sparseSoftmaxCrossEntropy", labelSmoothing);
  if (z.rank === 0) throw new ArgumentError("sparseSoftmaxCrossEntropy: logits are a scalar");
  if (!sameShape(z.shape.slice(0, -1), y.shape)) {
    throw new ShapeError(
      `sparseSoftmaxCrossEntropy: expected labels of shape ${showShape(z.shape.slice(0, -1))} for logits ${showShape(z.shape)}, got ${showShape(y.shape)}`,
    );
  }
  return applySparse([z, y], { smoothing: labelSmoothing })[0]!;
}

/** The logits `x` was made from, if `x` is a softmax over its last axis (also behind a reshape). */
export function logitsOfSoftmax(x: Tensor): Tensor | null {
  const op = x.node?.op.name;
  if (op === "softmax" && !(x.node!.attributes as SoftmaxAttributes).log) return x.node!.inputs[0]!;
  if (op === "reshape" && x.rank > 0) {
    const source = x.node!.inputs[0]!;
    if (source.shape[source.rank - 1] !== x.shape[x.rank - 1]) return null;
    const logits = logitsOfSoftmax(source);
    return logits && reshape(logits, x.shape);
  }
  return null;
}

/**
 * The distribution that is nearest to x, which has zeros where softmax only has small numbers (Martins &
 * Astudillo 2016): max(x − τ, 0), with the one τ for which the values sum to 1.
 */
export function sparsemax(x: TensorLike, axis = -1): Tensor {
  const input = asTensor("sparsemax", x);
  requireDType("sparsemax", input, "float32");
  const at = normalizeAxis("sparsemax", axis, input.rank);
  if (at < input.rank - 1) {
    const order = Array.from({ length: input.rank }, (_, i) => i);
    [order[at], order[input.rank - 1]] = [input.rank - 1, at];
    return transpose(sparsemax(transpose(input, order)), order);
  }
  const size = input.shape[at]!;
  const z = sub(input, stopGradient(max(input, -1, true)));
  // The k largest are in the support as long as 1 + k · z₍ₖ₎ exceeds their sum.
  const sorted = stopGradient(topk(z, size).values);
  const counts = leaf(
    Float32Array.from({ length: size }, (_, i) => i + 1),
    [size],
    "float32",
  );
  const within = greater(add(mul(sorted, counts), 1), cumsum(sorted, -1));
  const least = min(where(within, sorted, 0), -1, true);
  const support = greaterEqual(z, least);
  const tau = div(
    sub(sum(where(support, z, 0), -1, true), 1),
    sum(cast(support, "float32"), -1, true),
  );
  return where(support, maximum(sub(z, tau), 0), 0);
}
