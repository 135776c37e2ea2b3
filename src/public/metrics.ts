/** `lw.metrics`: streaming metrics, made with their options. */
export {
  binaryIoU,
  falseNegatives,
  falsePositives,
  iou,
  meanIoU,
  oneHotIoU,
  oneHotMeanIoU,
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
  accuracy,
  binaryAccuracy,
  categoricalAccuracy,
  concordanceCorrelation,
  cosineSimilarity,
  pearsonCorrelation,
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
  meanOf as mean,
  r2Score,
  rootMeanSquaredError,
  sumOf as sum,
} from "../nn/metrics/table.js";
