/** VGG (Simonyan & Zisserman 2015): 3×3 convolutions all the way, halved in size five times. */
import { ArgumentError, expected } from "../../errors.js";
import { boolean, integer, number, type OptionsOf, parseOptions } from "../../layers/config.js";
import { maxPooling2d } from "../../layers/pooling.js";
import { type Model, model } from "../model.js";
import { classifier, convolution, image, networkOptions, widths } from "./blocks.js";

/** Convolutions of the five stages; their widths are 1, 2, 4, 8 and 8 times the first. */
const stages: Readonly<Record<number, readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
};
const factors = [1, 2, 4, 8, 8] as const;

const vggOptions = {
  ...networkOptions([224, 224, 3], 1000),
  /** Layers with weights: 11, 13, 16 or 19. */
  depth: integer({ min: 11, max: 19 }, 16),
  /** Whether convolutions are followed by batch normalisation. */
  batchNorm: boolean(false),
  /** Filters of the first stage. */
  width: integer({ min: 1 }, 64),
  /** Units of the dense layers in front of the last one. */
  classifierWidths: widths([4096, 4096]),
  /** Fraction dropped after each of them. */
  dropout: number({ min: 0, max: 1 }, 0.5),
};

/** Options of {@link vgg}. */
export type VggOptions = OptionsOf<typeof vggOptions>;

/**
 * VGG-11, 13, 16 or 19 (configurations A, B, D and E of the paper), with or without batch normalisation.
 * VGG-16 has 138,357,544 parameters and 15.5 billion multiply-adds at 224×224.
 *
 * @example
 * const model = lw.models.vgg({ depth: 11, inputShape: [32, 32, 3], classes: 10, classifierWidths: [512] });
 * @throws ArgumentError for another depth.
 */
export function vgg(options: VggOptions = {}): Model {
  const where = "models.vgg()";
  const o = parseOptions(where, vggOptions, options);
  const { depth } = o;
  const blocks = stages[depth];
  if (!blocks) {
    const known = Object.keys(stages).join(", ");
    throw new ArgumentError(expected(where, `\`depth\` to be one of ${known}`, depth));
  }
  const x = image(o.inputShape);
  let y = x;
  blocks.forEach((count, stage) => {
    for (let i = 0; i < count; i++) {
      y = convolution(y, `conv${stage + 1}_${i + 1}`, {
        filters: o.width * factors[stage]!,
        kernelSize: 3,
        padding: "same",
        batchNorm: o.batchNorm,
        // Kept beside the norm, as in the published weights.
        useBias: true,
      });
    }
    y = maxPooling2d({ name: `pool${stage + 1}` }).apply(y);
  });
  const outputs = classifier(y, o.classifierWidths, o.dropout, o.classes, o.classifierActivation);
  return model({ inputs: x, outputs, name: o.name ?? `vgg${depth}` });
}
