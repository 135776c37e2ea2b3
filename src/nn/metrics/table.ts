/** The metrics by name: what strings in `compile` and in saved models stand for. */
import { ArgumentError, expected, show } from "../../errors.js";
import type { Shape } from "../../tensor/shape.js";
import {
  type LossFunction,
  lossConfig,
  lossFactoryName,
  lossNamed,
  lossNames,
  resolveLoss,
  unknownName,
} from "../losses.js";
import * as confusion from "./confusion.js";
import * as curves from "./curves.js";
import * as mean from "./mean.js";
import { Mean, Metric, type MetricConfig, Sum } from "./metric.js";
import { type R2Options, R2Score } from "./regression.js";

/** What `compile` takes as a metric; a factory of this library stands for what it makes by default. */
export type MetricIdentifier = string | Metric | LossFunction | (() => Metric);

/** Harmonic mean of precision and recall. */
export function f1Score(options: confusion.FScoreOptions = {}): Metric {
  return new confusion.FBetaScore("f1Score", 1, options);
}

/** F-score in which recall counts `beta` times as much as precision. */
export function fBetaScore(options: confusion.FScoreOptions & { beta?: number } = {}): Metric {
  const { beta = 1, ...rest } = options;
  return new confusion.FBetaScore("fBetaScore", beta, rest);
}

/** Area under the ROC (or precision-recall) curve. */
export function auc(options: curves.AucOptions = {}): Metric {
  return new curves.AUC(options);
}

/** How often a sample of one class (row) was predicted as another (column). */
export function confusionMatrix(options: confusion.ClassTableOptions = {}): Metric {
  return new confusion.ConfusionMatrix(options);
}

/** Coefficient of determination. */
export function r2Score(options: R2Options = {}): Metric {
  return new R2Score(options);
}

/** Square root of the mean squared error. */
export function rootMeanSquaredError(options: { name?: string } = {}): Metric {
  return new mean.RootMeanSquaredError(options);
}

/** Plain weighted sum of values. */
export function sumOf(options: { name?: string } = {}): Sum {
  return new Sum(options);
}

/** Plain weighted mean of values. */
export function meanOf(options: { name?: string } = {}): Mean {
  return new Mean(options);
}

interface Row {
  /** The function that users call. */
  readonly factory: unknown;
  make(config: MetricConfig & { name: string }): Metric;
}

/** A factory whose options are checked by itself, called with options that came out of a file. */
const checked = <O>(factory: (options: O) => Metric): Row => ({
  factory,
  make: (config) => factory(config as unknown as O),
});

const point = (factory: (value: number, options: curves.OperatingPointOptions) => Metric): Row => ({
  factory,
  make: ({ value, ...rest }) =>
    factory(value as number, rest as unknown as curves.OperatingPointOptions),
});

const table: Readonly<Record<string, Row>> = {
  accuracy: checked(mean.accuracy),
  binaryAccuracy: checked(mean.binaryAccuracy),
  categoricalAccuracy: checked(mean.categoricalAccuracy),
  sparseCategoricalAccuracy: checked(mean.sparseCategoricalAccuracy),
  topKCategoricalAccuracy: checked(mean.topKCategoricalAccuracy),
  sparseTopKCategoricalAccuracy: checked(mean.sparseTopKCategoricalAccuracy),
  cosineSimilarity: checked(mean.cosineSimilarity),
  pearsonCorrelation: checked(mean.pearsonCorrelation),
  concordanceCorrelation: checked(mean.concordanceCorrelation),
  rootMeanSquaredError: checked(rootMeanSquaredError),
  precision: checked(confusion.precision),
  recall: checked(confusion.recall),
  truePositives: checked(confusion.truePositives),
  falsePositives: checked(confusion.falsePositives),
  trueNegatives: checked(confusion.trueNegatives),
  falseNegatives: checked(confusion.falseNegatives),
  auc: checked(auc),
  specificityAtSensitivity: point(curves.specificityAtSensitivity),
  sensitivityAtSpecificity: point(curves.sensitivityAtSpecificity),
  precisionAtRecall: point(curves.precisionAtRecall),
  recallAtPrecision: point(curves.recallAtPrecision),
  f1Score: checked(f1Score),
  fBetaScore: checked(fBetaScore),
  confusionMatrix: checked(confusionMatrix),
  iou: checked(confusion.iou),
  binaryIoU: checked(confusion.binaryIoU),
  meanIoU: checked(confusion.meanIoU),
  oneHotIoU: checked(confusion.oneHotIoU),
  oneHotMeanIoU: checked(confusion.oneHotMeanIoU),
  r2Score: checked(r2Score),
};

const factories = new Map(Object.entries(table).map(([name, { factory }]) => [factory, name]));

const aliases: Readonly<Record<string, string>> = {
  AUC: "auc",
  f1: "f1Score",
  r2: "r2Score",
  rmse: "rootMeanSquaredError",
  cosineProximity: "cosineSimilarity",
  topKAccuracy: "topKCategoricalAccuracy",
};

/** Names whose meaning depends on the shapes of labels and predictions. */
const byShape: Readonly<Record<string, readonly [string, string, string]>> = {
  accuracy: ["binaryAccuracy", "sparseCategoricalAccuracy", "categoricalAccuracy"],
  crossentropy: ["binaryCrossentropy", "sparseCategoricalCrossentropy", "categoricalCrossentropy"],
};
const shapeAliases: Readonly<Record<string, string>> = { acc: "accuracy", ce: "crossentropy" };

/** Keras' rule: one output is binary; labels of lower rank (or last dimension 1) are indices. */
function kindByShape(yTrue: Shape, yPred: Shape): 0 | 1 | 2 {
  const outputs = yPred[yPred.length - 1] ?? 1;
  if (outputs === 1) return 0;
  return yTrue.length < yPred.length || yTrue[yTrue.length - 1] === 1 ? 1 : 2;
}

/** A name with the options of its metric, as models save it. */
export interface SavedMetric {
  readonly className: string;
  readonly name: string;
  readonly config: MetricConfig;
}

/**
 * The metric a user means, for labels and predictions of the given shapes. It reports under the name
 * the user wrote (`"acc"` stays `acc`).
 */
export function resolveMetric(
  where_: string,
  identifier: MetricIdentifier,
  yTrue: Shape,
  yPred: Shape,
): Metric {
  if (identifier instanceof Metric) return identifier;
  if (typeof identifier === "function") {
    // `metrics.auc` itself rather than `metrics.auc()`: take its defaults.
    const factory = factoryName(identifier);
    if (factory !== undefined) return make(where_, factory, { name: factory });
    // Any other function computes values, as losses do.
    const loss = resolveLoss(where_, identifier as LossFunction);
    const own = lossConfig(loss);
    const name = own?.name ?? (loss.name || "metric");
    return mean.metricOfFunction(name, name, loss, own?.options);
  }
  if (typeof identifier !== "string") {
    throw new ArgumentError(
      expected(where_, "the name of a metric, a Metric or a function", show(identifier)),
    );
  }
  const general = Object.hasOwn(shapeAliases, identifier) ? shapeAliases[identifier]! : identifier;
  const choices = Object.hasOwn(byShape, general) ? byShape[general] : undefined;
  return make(where_, choices ? choices[kindByShape(yTrue, yPred)] : identifier, {
    name: identifier,
  });
}

/** Metrics that give a value per class unless their options say otherwise. */
const perClass = ["f1Score", "fBetaScore"];

/**
 * What `compile` can tell of a metric before there are labels. Throws for a name that `resolveMetric` would not
 * understand, and for what would be missing from the logs (see `checkReported`).
 */
export function checkMetric(
  where_: string,
  identifier: unknown,
  yPred: readonly (number | null)[],
): void {
  if (typeof identifier === "string" && !metricNames().includes(identifier)) {
    if (!lossNamed(identifier)) throw unknownName(where_, "metric", identifier, metricNames());
  }
  const name = typeof identifier === "string" ? fullName(identifier) : factoryName(identifier);
  const metric =
    name !== undefined && perClass.includes(name) ? make(where_, name, { name }) : identifier;
  if (metric instanceof Metric) metric.checkReported(where_, yPred);
}

const fullName = (name: string): string => (Object.hasOwn(aliases, name) ? aliases[name]! : name);

function make(where_: string, className: string, config: MetricConfig & { name: string }): Metric {
  const full = fullName(className);
  if (Object.hasOwn(table, full)) return table[full]!.make(config);
  const loss = lossNamed(full);
  if (!loss) throw unknownName(where_, "metric", className, metricNames());
  const { name, ...options } = config;
  const lossName = lossConfig(loss)!.name;
  const values = resolveLoss(where_, { ...options, name: lossName });
  return mean.metricOfFunction(lossName, name, values, options);
}

/** Every name `compile` understands as a metric. */
export function metricNames(): string[] {
  return [
    ...Object.keys(byShape),
    ...Object.keys(shapeAliases),
    ...Object.keys(table),
    ...Object.keys(aliases),
    ...lossNames(),
  ];
}

/** The name of a factory of this library (or of a loss, which is a metric too): how it is saved. */
export function factoryName(identifier: unknown): string | undefined {
  return factories.get(identifier) ?? lossFactoryName(identifier);
}

/** Makes a metric from what `saveMetric` wrote. */
export function restoreMetric(where_: string, saved: SavedMetric): Metric {
  return make(where_, saved.className, { ...saved.config, name: saved.name });
}
