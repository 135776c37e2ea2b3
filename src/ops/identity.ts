/** Ops that pass their value on unchanged: `stopGradient`, and the carrier of custom gradients. */
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
