/** AlexNet (Krizhevsky et al. 2012), as the paper has it and as it is trained on one device (2014). */
import { choice, integer, number, type OptionsOf, parseOptions } from "../../layers/config.js";
import { localResponseNormalization } from "../../layers/normalization.js";
import { maxPooling2d } from "../../layers/pooling.js";
import { type Model, model } from "../model.js";
import { classifier, convolution, image, networkOptions, widths } from "./blocks.js";

/** Filters of the five convolutions, in 64ths of `width`, and the groups of each. */
const variants = {
  paper: { filters: [96, 256, 384, 384, 256], groups: [1, 2, 1, 2, 2], norm: true },
  single: { filters: [64, 192, 384, 256, 256], groups: [1, 1, 1, 1, 1], norm: false },
} as const;

const alexnetOptions = {
  ...networkOptions([224, 224, 3], 1000),
  /**
   * "paper": 2012, with local response normalisation and the convolutions that were split over two
   * devices in two groups. "single": Krizhevsky 2014, without either, which torchvision has.
   */
  variant: choice(["paper", "single"], "paper"),
  /** 64 for the published number of filters, less for a thinner network. */
  width: integer({ min: 1 }, 64),
  /** Units of the dense layers in front of the last one. */
  classifierWidths: widths([4096, 4096]),
  /** Fraction dropped after each of them. */
  dropout: number({ min: 0, max: 1 }, 0.5),
};

/** Options of {@link alexnet}. */
export type AlexnetOptions = OptionsOf<typeof alexnetOptions>;

/**
 * AlexNet: 60,965,224 parameters as in the paper, 61,100,840 as "single". Images are padded by 2, so that
 * 224 pixels give the 55 of the paper. Weights start as He et al. (2015) say, not with a fixed deviation.
 */
export function alexnet(options: AlexnetOptions = {}): Model {
  const o = parseOptions("models.alexnet()", alexnetOptions, options);
  const { filters, groups, norm } = variants[o.variant];
  const x = image(o.inputShape);
  let y = x;
  filters.forEach((count, i) => {
    const name = `conv${i + 1}`;
    // An even number of filters, for the groups.
    const width = Math.max(2, 2 * Math.round((count * o.width) / 128));
    y = convolution(y, name, {
      filters: width,
      kernelSize: i === 0 ? 11 : i === 1 ? 5 : 3,
      strides: i === 0 ? 4 : 1,
      padding: i < 2 ? 2 : 1,
      groups: groups[i]!,
    });
    if (norm && i < 2) {
      const response = { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 };
      y = localResponseNormalization({ ...response, name: `norm${i + 1}` }).apply(y);
    }
    if (i < 2 || i === 4) {
      y = maxPooling2d({ poolSize: 3, strides: 2, name: `pool${i + 1}` }).apply(y);
    }
  });
  const outputs = classifier(y, o.classifierWidths, o.dropout, o.classes, o.classifierActivation);
  return model({ inputs: x, outputs, name: o.name ?? "alexnet" });
}
