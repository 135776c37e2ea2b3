/** What `lw.datasets` holds: re-exports only. */
export { type Cifar100Options, type CifarOptions, cifar10, cifar100 } from "./cifar.js";
export { type DigitsOptions, digits } from "./digits.js";
export { DownloadError, type DownloadProgress } from "./download.js";
export { type LogicGate, type LogicGateName, logicGates } from "./gates.js";
export type { ImageDataset, LabelledImages } from "./images.js";
export { fashionMnist, type MnistOptions, mnist } from "./mnist.js";
export {
  type LabelledTexts,
  names,
  type PennTreebankOptions,
  pennTreebank,
  type TextDatasetOptions,
  tinyShakespeare,
  type WordCorpus,
} from "./texts.js";
