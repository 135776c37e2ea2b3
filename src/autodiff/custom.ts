/** Functions with a gradient written by hand. */
import { ArgumentError, expected } from "../errors.js";
import { withGradient } from "../ops/identity.js";
import { asTensor } from "../ops/op.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { Tensor, type TensorLike } from "../tensor/tensor.js";

/** What a function given to {@link customGrad} returns. */
export interface CustomGradResult {
  readonly value: Tensor;
  /** Gradients of the arguments (one tensor, or an array in order) from the gradient of the value. */
  readonly gradFunc: (dy: Tensor) => Tensor | readonly Tensor[];
}

/**
 * Makes a function of tensors whose gradient is `gradFunc` instead of what its ops would give.
 *
 * @example
 * // A step whose gradient passes straight through.
 * const hard = lw.customGrad((x) => ({ value: x.step(), gradFunc: (dy) => dy }));
 */
export function customGrad(
  f: (...xs: Tensor[]) => CustomGradResult,
): (...xs: TensorLike[]) => Tensor {
  if (typeof f !== "function") throw new ArgumentError(expected("customGrad", "a function", f));
  return (...xs) => {
    const inputs = xs.map((x) => asTensor("customGrad", x));
    const result = f(...inputs);
    if (!(result?.value instanceof Tensor) || typeof result.gradFunc !== "function") {
      throw new ArgumentError(
        expected("customGrad", "a function that returns { value, gradFunc }", result),
      );
    }
    return withGradient(result.value.current(), inputs, (dy) => {
      const given = result.gradFunc(dy);
      const gradients = given instanceof Tensor ? [given] : given;
      if (gradients.length !== inputs.length) {
        throw new ArgumentError(
          `customGrad: gradFunc gave ${gradients.length} gradients for ${inputs.length} arguments`,
        );
      }
      gradients.forEach((g, i) => {
        if (!sameShape(g.shape, inputs[i]!.shape)) {
          throw new ArgumentError(
            `customGrad: gradFunc gave shape ${showShape(g.shape)} for argument ${i} of shape ${showShape(inputs[i]!.shape)}`,
          );
        }
      });
      return gradients;
    });
  };
}
