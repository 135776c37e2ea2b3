/** What the networks here share: options, and a convolution with what usually follows it. */

import { ArgumentError, expected, show } from "../../errors.js";
import { activation, integer, integers, nullable, plain } from "../../layers/config.js";
import { type ConvOptions, conv2d } from "../../layers/convolution.js";
import { activation as activationLayer, dense, flatten } from "../../layers/core.js";
import { input } from "../../layers/input.js";
import { batchNormalization } from "../../layers/normalization.js";
import { dropout } from "../../layers/regularization.js";
import type { SymbolicTensor } from "../../layers/symbolic.js";

/** Shape of one image: [height, width, channels]. */
export const imageShape = (height: number, width: number, channels: number) =>
  plain<readonly [number, number, number]>((where, option, given) => {
    const good =
      Array.isArray(given) &&
      given.length === 3 &&
      given.every((d) => Number.isInteger(d) && d > 0);
    if (good) return given as unknown as readonly [number, number, number];
    throw new ArgumentError(
      expected(where, `\`${option}\` to be [height, width, channels]`, show(given)),
    );
  })([height, width, channels]);

/** Options of every network. */
export const networkOptions = (shape: readonly [number, number, number], classes: number) => ({
  /** Shape of one image, [height, width, channels]. */
  inputShape: imageShape(...shape),
  /** Number of classes. */
  classes: integer({ min: 1 }, classes),
  /** What the output goes through; "linear" gives logits. */
  classifierActivation: activationOr("softmax"),
  /** Name of the model. */
  name: nullable(
    plain<string>((where, option, given) => {
      if (typeof given === "string" && given !== "") return given;
      throw new ArgumentError(expected(where, `\`${option}\` to be a name`, show(given)));
    })(),
  ),
});

/** An activation that is another than `linear` when left out. */
function activationOr(fallback: "softmax"): ReturnType<typeof activation> {
  const field = activation();
  return {
    ...field,
    parse: (where, option, given) => field.parse(where, option, given ?? fallback),
  };
}

/** Widths of a list of layers. */
export const widths = (fallback: readonly number[]) => {
  const field = integers({ min: 1 });
  return {
    ...field,
    required: false as const,
    parse: (where: string, option: string, given: unknown): readonly number[] =>
      given === undefined ? fallback : field.parse(where, option, given),
  };
};

/** The symbolic input of a network. */
export const image = (shape: readonly number[]): SymbolicTensor => input({ shape, name: "image" });

/** A convolution, batch normalisation if asked for (the bias goes), and an activation. */
export function convolution(
  x: SymbolicTensor,
  name: string,
  {
    batchNorm = false,
    activation: applied = "relu",
    ...options
  }: ConvOptions & { batchNorm?: boolean; epsilon?: number },
): SymbolicTensor {
  const { epsilon = 1e-5, ...rest } = options;
  const conv = {
    kernelInitializer: "heNormal" as const,
    ...rest,
    useBias: rest.useBias ?? !batchNorm,
  };
  if (!batchNorm) return conv2d({ ...conv, activation: applied, name }).apply(x);
  const normalized = batchNormalization({ epsilon, momentum: 0.9, name: `${name}_norm` }).apply(
    conv2d({ ...conv, name }).apply(x),
  );
  return applied === "linear"
    ? normalized
    : activationLayer({ activation: applied, name: `${name}_${String(applied)}` }).apply(
        normalized,
      );
}

/** Dense layers with ReLU and dropout on the flattened input, then the classes. */
export function classifier(
  x: SymbolicTensor,
  hidden: readonly number[],
  rate: number,
  classes: number,
  output: Parameters<typeof dense>[0]["activation"],
): SymbolicTensor {
  let y = x.rank > 2 ? flatten({ name: "flatten" }).apply(x) : x;
  hidden.forEach((units, i) => {
    y = dense({
      units,
      activation: "relu",
      kernelInitializer: "heNormal",
      name: `fc${i + 1}`,
    }).apply(y);
    if (rate > 0) y = dropout({ rate, name: `fc${i + 1}_dropout` }).apply(y);
  });
  return dense({ units: classes, activation: output, name: "predictions" }).apply(y);
}
