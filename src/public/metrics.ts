/** `lw.metrics`: streaming metrics, made with their options. */
export {
  falseNegatives,
  falsePositives,
  precision,
  recall,
  trueNegatives,
  truePositives,
} from "../nn/metrics/confusion.js";
export {
  precisionAtRecall,
  recallAtPrecision,
  sensitivityAtSpecificity,
  specificityAtSensitivity,
} from "../nn/metrics/curves.js";
export {
  binaryAccuracy,
  categoricalAccuracy,
  cosineSimilarity,
  sparseCategoricalAccuracy,
  sparseTopKCategoricalAccuracy,
  topKCategoricalAccuracy,
} from "../nn/metrics/mean.js";
export { Metric, type MetricConfig } from "../nn/metrics/metric.js";
export {
  auc,
  confusionMatrix,
  f1Score,
  fBetaScore,
  meanIoU,
  meanOf as mean,
  r2Score,
  rootMeanSquaredError,
} from "../nn/metrics/table.js";
