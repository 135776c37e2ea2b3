/** The layers that come with the library, classes and the functions that make them: `lw.layers`. */
export * from "./activations.js";
export * from "./augmentation.js";
export * from "./connected.js";
export * from "./convolution.js";
export * from "./core.js";
export {
  Embedding,
  type EmbeddingOptions,
  embedding,
  PositionEmbedding,
  positionEmbedding,
  RotaryEmbedding,
  rotaryEmbedding,
  SinePositionEncoding,
  sinePositionEncoding,
} from "./embedding.js";
export { InputLayer, inputLayer } from "./input.js";
export { type CallContext, Layer, type LayerOptions } from "./layer.js";
export * from "./masking.js";
export * from "./merging.js";
export * from "./normalization.js";
export * from "./pooling.js";
export * from "./preprocessing.js";
export * from "./regularization.js";
export * from "./reshaping.js";
