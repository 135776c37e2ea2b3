/** Ops that pass their value on unchanged: `stopGradient`, carriers of masks and of custom gradients. */
import { setMask } from "../tensor/mask.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { asTensor, defineOp } from "./op.js";

const applyStop = defineOp<object>({
  name: "stopGradient",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  lowering: { kind: "alias" },
  gradient: "none",
  samples: [{ inputs: [{ shape: [3] }], attributes: {}, differentiable: false }],
});

/** The same values, through which no gradient flows. */
export function stopGradient(x: TensorLike): Tensor {
  return applyStop([asTensor("stopGradient", x)], {})[0]!;
}

/** Gives the gradients of the arguments from the gradient of the value. */
export type GradientFunction = (dy: Tensor) => readonly (Tensor | null)[];

const applyCustom = defineOp<{ readonly rule: GradientFunction }>({
  name: "customGradient",
  infer: ([value]) => [{ shape: value!.shape, dtype: value!.dtype }],
  lowering: { kind: "alias" },
  gradient: ({ attributes, dy }) => [null, ...attributes.rule(dy)],
  samples: [],
});

/** @internal `value` (computed from `inputs`) with `rule` in place of its own gradient. */
export function withGradient(
  value: Tensor,
  inputs: readonly Tensor[],
  rule: GradientFunction,
): Tensor {
  return applyCustom([value, ...inputs], { rule })[0]!;
}

const applyIdentity = defineOp<object>({
  name: "identity",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  lowering: { kind: "alias" },
  gradient: ({ dy }) => [dy],
  samples: [{ inputs: [{ shape: [3] }], attributes: {} }],
});

/**
 * The same values with another mask: true where a step counts. Layers, losses and metrics honour it.
 *
 * @param mask bool; its shape is the first dimensions of x's, most often [batch, time]
 * @throws ShapeError, DTypeError for a mask that doesn't fit
 */
export function withMask(x: TensorLike, mask: TensorLike): Tensor {
  const masked = applyIdentity([asTensor("withMask", x)], {})[0]!;
  setMask("withMask", masked, asTensor("withMask", mask));
  return masked;
}
