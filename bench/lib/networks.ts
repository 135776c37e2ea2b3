/** Our side of the published networks that are timed. */
import * as lw from "layerwise";
import type { NetworkSpec } from "./spec.js";

/** The network of a spec with its first weights. */
export function buildNetwork({ network, side, channels, classes }: NetworkSpec): lw.Model {
  const options = { inputShape: [side, side, channels] as const, classes };
  switch (network) {
    case "lenet5":
      return lw.models.lenet5(options);
    case "vgg11":
      return lw.models.vgg({ ...options, depth: 11, batchNorm: true, classifierWidths: [] });
    case "resnet20":
      return lw.models.resnet({ ...options, depth: 20 });
    case "resnet50":
      return lw.models.resnet({ ...options, depth: 50 });
    default:
      return network satisfies never;
  }
}
