/** The public surface of layerwise, on one page: what is not here may change at any time. */
import "./ops/methods.js";
import "./backend/run.js";

export { type CustomGradResult, customGrad } from "./autodiff/custom.js";
export { grad, grads, valueAndGrad, valueAndGrads, variableGrads } from "./autodiff/gradient.js";
export type { BackendInfo, BackendName } from "./backend/backend.js";
export { type CompiledFunction, compile, type TensorTree } from "./backend/compiled.js";
export { backendInfo, setBackend, setThreads } from "./backend/select.js";
export type { Dataset } from "./data/dataset.js";
export * as datasets from "./data/datasets.js";
export {
  ArgumentError,
  BackendError,
  DatasetError,
  DTypeError,
  FormatError,
  LayerwiseError,
  NonFiniteError,
  OverloadError,
  ShapeError,
  StateError,
} from "./errors.js";
export * as options from "./layers/config.js";
export {
  type CallContext,
  Layer,
  type LayerOptions,
  type WeightOptions,
} from "./layers/layer.js";
export * as layers from "./layers/layers.js";
export { deserializeLayer, registerLayer, serializeLayer } from "./layers/registry.js";
export {
  featureMaps,
  filters,
  type GradCam,
  type GradCamOptions,
  gradCam,
  type LayerImages,
  type Misclassified,
  misclassified,
} from "./models/inspection.js";
export {
  type CustomObjects,
  type LoadOptions,
  loadModel,
  modelFromJSON,
} from "./models/loading.js";
export { Model, model } from "./models/model.js";
export { Perceptron, perceptron } from "./models/perceptron.js";
export type { SaveOptions } from "./models/saving.js";
export { Sequential, sequential } from "./models/sequential.js";
export type { ModelServer, ServerOptions, ServerStats } from "./models/server.js";
export { type BatchShape, input, Network, SymbolicTensor } from "./network/network.js";
export { activations, registerActivation } from "./nn/activations.js";
export { constraints, registerConstraint } from "./nn/constraints.js";
export { initializers, registerInitializer } from "./nn/initializers.js";
export type { LossFunction, LossIdentifier } from "./nn/losses.js";
export type { MetricIdentifier } from "./nn/metrics/table.js";
export { registerRegularizer, regularizers } from "./nn/regularizers.js";
export {
  celu,
  clipByValue,
  divNoNan,
  elu,
  erfinv,
  gelu,
  glu,
  hardShrink,
  hardSigmoid,
  hardSwish,
  hardTanh,
  isClose,
  leakyRelu,
  logCosh,
  logSigmoid,
  mish,
  prelu,
  relu6,
  scaledTanh,
  selu,
  sigmoidCrossEntropy,
  softShrink,
  softsign,
  sparsePlus,
  sparseSigmoid,
  squaredDifference,
  squareplus,
  step,
  swish,
  tanhShrink,
  threshold,
  thresholdedRelu,
} from "./ops/composed.js";
export { conv1d, conv2d, depthwiseConv2d } from "./ops/convolution.js";
export type {
  Conv1dOptions,
  Conv2dOptions,
  Conv2dTransposeOptions,
  Conv3dOptions,
  Conv3dTransposeOptions,
} from "./ops/convolutionOptions.js";
export { eye, fill, linspace, ones, onesLike, range, zeros, zerosLike } from "./ops/creation.js";
export {
  abs,
  acos,
  acosh,
  add,
  asin,
  asinh,
  atan,
  atan2,
  atanh,
  broadcastTo,
  cast,
  ceil,
  cos,
  cosh,
  div,
  equal,
  erf,
  exp,
  expm1,
  floor,
  floorDiv,
  greater,
  greaterEqual,
  isFinite,
  isInf,
  isNaN,
  less,
  lessEqual,
  log,
  log1p,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  notEqual,
  pow,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sinh,
  softplus,
  sqrt,
  square,
  sub,
  tan,
  tanh,
  trunc,
  where,
} from "./ops/elementwise.js";
export { gather, oneHot, scatterAdd } from "./ops/gather.js";
export { stopGradient, withMask } from "./ops/identity.js";
export {
  type FillMode,
  type Interpolation,
  resizeBilinear,
  resizeNearestNeighbor,
  transformImages,
} from "./ops/image.js";
export { dot, matMul, outerProduct } from "./ops/matmul.js";
export {
  concat,
  expandDims,
  flatten,
  pad,
  repeat,
  reshape,
  reverse,
  slice,
  split,
  squeeze,
  stack,
  stridedSlice,
  tile,
  transpose,
  unstack,
} from "./ops/movement.js";
export { localResponseNormalization, moments, variance } from "./ops/normalization.js";
export { avgPool, maxPool, type PoolOptions } from "./ops/pooling.js";
export { randomExponential, randomNormal, randomUniform, truncatedNormal } from "./ops/random.js";
export {
  type GRUOptions,
  gru,
  type LSTMOptions,
  lstm,
  type RecurrentOptions,
  type SimpleRNNActivation,
  type SimpleRNNOptions,
  simpleRNN,
} from "./ops/recurrent.js";
export { all, any, logSumExp, max, mean, min, norm, prod, sum } from "./ops/reduce.js";
export { argMax, argMin, cumsum, topk } from "./ops/select.js";
export {
  logSoftmax,
  softmax,
  softmaxCrossEntropy,
  sparsemax,
  sparseSoftmaxCrossEntropy,
} from "./ops/softmax.js";
export { conv2dTranspose } from "./ops/transposed.js";
export { conv3d, conv3dTranspose } from "./ops/volume.js";
export type { Optimizer } from "./optimizers/optimizer.js";
export type { LearningRateSchedule } from "./optimizers/schedules.js";
export * as plot from "./plot/plot.js";
export * as callbacks from "./public/callbacks.js";
export * as data from "./public/data.js";
export * as losses from "./public/losses.js";
export * as metrics from "./public/metrics.js";
export * as models from "./public/models.js";
export * as optimizers from "./public/optimizers.js";
export type { DType, TypedArray } from "./tensor/dtype.js";
export { maskOf } from "./tensor/mask.js";
export { setRandomSeed } from "./tensor/random.js";
export type { Shape } from "./tensor/shape.js";
export {
  type NestedArray,
  scalar,
  Tensor,
  type TensorLike,
  tensor,
} from "./tensor/tensor.js";
export { Variable, variable } from "./tensor/variable.js";
export type { Padding } from "./tensor/window.js";
export type { CallbackHooks, History, Logs, PredictLogs } from "./training/callback.js";
export type { DataLike } from "./training/data.js";
export type { CompileOptions } from "./training/objective.js";
export type {
  EvaluateDatasetOptions,
  EvaluateOptions,
  FitDatasetOptions,
  FitOptions,
  TrainOnBatchOptions,
} from "./training/options.js";
export type { PredictOptions } from "./training/predictor.js";
export type { PredictionBatch, TrainingBatch } from "./training/stream.js";
