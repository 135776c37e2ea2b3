/**
 * Products over the rows of sequences of different lengths: what `matMul` is to full batches, without
 * touching the padding. Each is the gradient of the other.
 */
import type { Tensor } from "../tensor/tensor.js";
import { defineOp, type Recorder } from "./op.js";

interface ProductAttributes {
  readonly transpose: boolean;
}

const applyProduct: Recorder<ProductAttributes> = defineOp<ProductAttributes>({
  name: "sequenceProduct",
  infer: ([x, w], { transpose }) => [
    { shape: [x!.shape[0]!, x!.shape[1]!, w!.shape[transpose ? 0 : 1]!], dtype: "float32" },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const units = e.outputs[0]!.shape[2]!;
      const ints = [...e.inputs[0]!.shape, units, Number(e.attributes.transpose)];
      e.call("sequenceProduct", [0, 1, 2], [0], ints);
    },
  },
  gradient: ({ inputs: [x, w, lengths], attributes: { transpose }, dy }) => [
    applyProduct([dy, w!, lengths!], { transpose: !transpose })[0]!,
    transpose ? sequenceOuter(dy, x!, lengths!) : sequenceOuter(x!, dy, lengths!),
    null,
  ],
  samples: [false, true].map((transpose) => ({
    inputs: [
      { shape: [3, 4, 2], domain: [-1, 1] as const },
      { shape: transpose ? [5, 2] : [2, 5], domain: [-1, 1] as const },
      { shape: [3], dtype: "int32" as const, values: [3, 0, 4] },
    ],
    attributes: { transpose },
  })),
});

const applyOuter: Recorder<object> = defineOp<object>({
  name: "sequenceOuter",
  infer: ([x, y]) => [{ shape: [x!.shape[2]!, y!.shape[2]!], dtype: "float32" }],
  lowering: {
    kind: "kernels",
    emit: (e) =>
      e.call("sequenceOuter", [0, 1, 2], [0], [...e.inputs[0]!.shape, e.inputs[1]!.shape[2]!]),
  },
  gradient: ({ inputs: [x, y, lengths], dy }) => [
    applyProduct([y!, dy, lengths!], { transpose: true })[0]!,
    applyProduct([x!, dy, lengths!], { transpose: false })[0]!,
    null,
  ],
  samples: [
    {
      inputs: [
        { shape: [3, 4, 2], domain: [-1, 1] },
        { shape: [3, 4, 3], domain: [-1, 1] },
        { shape: [3], dtype: "int32", values: [2, 4, 0] },
      ],
      attributes: {},
    },
  ],
});

/**
 * @internal x[b, t]·w for t < lengths[b], 0 beyond.
 * @param x [batch, time, inputs]
 * @param w [inputs, units]
 * @param lengths int32 [batch]
 */
export function sequenceProduct(x: Tensor, w: Tensor, lengths: Tensor): Tensor {
  return applyProduct([x, w, lengths], { transpose: false })[0]!;
}

/**
 * @internal Σ x[b, t]ᵀ·y[b, t] over t < lengths[b].
 * @param x [batch, time, rows]
 * @param y [batch, time, columns]
 * @param lengths int32 [batch]
 */
export function sequenceOuter(x: Tensor, y: Tensor, lengths: Tensor): Tensor {
  return applyOuter([x, y, lengths], {})[0]!;
}
