/** What `lw.datasets` holds: re-exports only. */
export { type DigitsOptions, digits } from "./digits.js";
export { DownloadError, type DownloadProgress } from "./download.js";
export { type LogicGate, type LogicGateName, logicGates } from "./gates.js";
export type { ImageDataset, LabelledImages } from "./images.js";
export { fashionMnist, type MnistOptions, mnist } from "./mnist.js";
