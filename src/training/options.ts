/** What `fit`, `evaluate` and `trainOnBatch` may be told, for data in memory and for datasets. */
import type { Dataset } from "../data/dataset.js";
import { ArgumentError, checkBoolean, checkInteger, checkNumber } from "../errors.js";
import type { CallbackHooks } from "./callback.js";
import type { ClassWeights, DataLike, SampleWeights } from "./data.js";
import type { Verbosity } from "./progress.js";
import type { BatchStream, TrainingBatch } from "./stream.js";

/** Options of `fit`. */
export interface FitOptions {
  /** Samples per step: 32 by default, 1 is stochastic, Infinity is (full) batch descent. */
  batchSize?: number;
  /** Index of the last epoch + 1. */
  epochs?: number;
  /** Epoch at which to begin, to go on with an earlier training. */
  initialEpoch?: number;
  /** x and y (and sample weights), or a dataset of batches, to evaluate on after each epoch. */
  validationData?:
    | readonly [DataLike, DataLike]
    | readonly [DataLike, DataLike, SampleWeights]
    | Dataset<TrainingBatch>;
  /** Share of the samples, from the end, to evaluate on instead of training with them. */
  validationSplit?: number;
  validationBatchSize?: number;
  /** Batches of a validation dataset to use, if not all. */
  validationSteps?: number;
  /** Whether each epoch has its own order; true by default. */
  shuffle?: boolean;
  /** Seed of the order and of dropout; drawn if left out. */
  seed?: number;
  callbacks?: CallbackHooks | readonly CallbackHooks[];
  /** How much samples of each class count in training; validation is not weighted by class. */
  classWeight?: ClassWeights;
  /** How much each sample counts, in training and in the validation of `validationSplit`. */
  sampleWeight?: SampleWeights;
  /**
   * Batches per epoch, if not all. Of a dataset, an epoch then goes on where the one before it ended,
   * and begins anew where the dataset does.
   */
  stepsPerEpoch?: number;
  /**
   * Ends training; `fit` rejects with the signal's reason once the step in progress is done, so that the
   * weights are those of whole steps.
   */
  signal?: AbortSignal;
  verbose?: Verbosity | boolean;
  /** Whether a NaN or infinite loss is an error; true by default. */
  terminateOnNaN?: boolean;
}

/** Checks what every `fit` takes and needs no data to be checked. */
export function checkFitValues(
  where: string,
  options: Pick<
    FitOptions,
    "epochs" | "initialEpoch" | "seed" | "validationSplit" | "shuffle" | "terminateOnNaN"
  >,
): void {
  const { epochs = 1, initialEpoch = 0, seed = 0, validationSplit = 0 } = options;
  const { shuffle = true, terminateOnNaN = true } = options;
  checkInteger(where, "epochs", epochs, 0);
  checkInteger(where, "initialEpoch", initialEpoch, 0);
  checkInteger(where, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
  checkNumber(where, "validationSplit", validationSplit, 0, 1);
  checkBoolean(where, "shuffle", shuffle);
  checkBoolean(where, "terminateOnNaN", terminateOnNaN);
}

export const fitKeys = [
  "batchSize",
  "epochs",
  "initialEpoch",
  "validationData",
  "validationSplit",
  "validationBatchSize",
  "validationSteps",
  "shuffle",
  "seed",
  "callbacks",
  "classWeight",
  "sampleWeight",
  "stepsPerEpoch",
  "signal",
  "verbose",
  "terminateOnNaN",
] as const satisfies readonly (keyof FitOptions)[];

/** Options of `fit` for a dataset, which makes its own batches in its own order. */
export type FitDatasetOptions = Omit<
  FitOptions,
  "batchSize" | "shuffle" | "sampleWeight" | "validationSplit"
>;

/** Options of `evaluate` for a dataset. */
export type EvaluateDatasetOptions = Omit<EvaluateOptions, "batchSize" | "sampleWeight">;

/** What a dataset does by itself, and how. */
const ownOptions: Readonly<Record<string, string>> = {
  batchSize: "dataset.batch(size)",
  shuffle: "dataset.shuffle(bufferSize)",
  sampleWeight: "a third part of its elements: [x, y, sampleWeight]",
  validationSplit: "dataset.skip(n) and dataset.take(n), with validationData",
};

/** Throws for options that say what a dataset says itself. */
export function checkDatasetOptions(where: string, options: object): void {
  for (const [option, instead] of Object.entries(ownOptions)) {
    if ((options as Readonly<Record<string, unknown>>)[option] === undefined) continue;
    throw new ArgumentError(`${where}: \`${option}\` is not for a dataset: use ${instead}`);
  }
}

/** What is trained or measured on: arrays, or batches as they come. */
export type FitSource = { readonly x: DataLike; readonly y: DataLike } | BatchStream;

/** Options of `trainOnBatch`. */
export interface TrainOnBatchOptions {
  sampleWeight?: SampleWeights;
  classWeight?: ClassWeights;
  /** Whether a NaN or infinite loss is an error; true by default. */
  terminateOnNaN?: boolean;
}

/** Options of `evaluate`. */
export interface EvaluateOptions {
  batchSize?: number;
  sampleWeight?: SampleWeights;
  /** Batches of a dataset to use, if not all. */
  steps?: number;
  callbacks?: CallbackHooks | readonly CallbackHooks[];
  signal?: AbortSignal;
  verbose?: Verbosity | boolean;
}
