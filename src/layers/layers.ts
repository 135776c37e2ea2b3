/** The layers that come with the library, classes and the functions that make them: `lw.layers`. */
export * from "./activations.js";
export {
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  multiHeadAttention,
} from "./attention.js";
export * from "./augmentation.js";
export {
  GRUCell,
  type GRUCellOptions,
  gruCell,
  LayerNormLSTMCell,
  type LayerNormLSTMCellOptions,
  LSTMCell,
  type LSTMCellOptions,
  layerNormLSTMCell,
  lstmCell,
  type RNNCell,
  SimpleRNNCell,
  type SimpleRNNCellOptions,
  StackedRNNCells,
  type StackedRNNCellsOptions,
  simpleRNNCell,
  stackedRNNCells,
} from "./cells.js";
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
export * from "./radial.js";
export {
  GRU,
  type GRULayerOptions,
  gru,
  LSTM,
  type LSTMLayerOptions,
  lstm,
  SimpleRNN,
  type SimpleRNNLayerOptions,
  simpleRNN,
} from "./recurrent.js";
export * from "./regularization.js";
export * from "./reshaping.js";
export { RNN, type RNNOptions, rnn } from "./rnn.js";
export * from "./wrappers.js";
