/** What the methods of a restricted Boltzmann machine take and give. */
import { ArgumentError } from "../errors.js";
import type { TensorLike } from "../tensor/tensor.js";
import type { DataLike } from "../training/data.js";
import type { FitOptions } from "../training/options.js";
import type { Clamp } from "./chains.js";
import type { AnnealingOptions, PartitionEstimate } from "./partition.js";

/** Options of `RBM.fit`: those of a model's `fit`, without labels and their weights. */
export interface RbmFitOptions
  extends Omit<FitOptions, "validationData" | "classWeight" | "sampleWeight"> {
  /** Samples that the free energy of the training data is compared with after each epoch. */
  validationData?: DataLike;
}

/** @internal */
export const rbmFitKeys = [
  "batchSize",
  "epochs",
  "initialEpoch",
  "validationData",
  "validationSplit",
  "validationBatchSize",
  "shuffle",
  "seed",
  "callbacks",
  "stepsPerEpoch",
  "signal",
  "verbose",
  "terminateOnNaN",
] as const satisfies readonly (keyof RbmFitOptions)[];

/** @internal How many of `count` samples are left to train on. */
export function samplesKept(
  place: string,
  count: number,
  validationSplit: number,
  apart: boolean,
): number {
  const kept = apart ? count : Math.floor(count * (1 - validationSplit));
  if (kept > 0) return kept;
  throw new ArgumentError(
    `${place}: validationSplit ${validationSplit} of ${count} samples leaves none to train on`,
  );
}

/** Options of `RBM.gibbs`. */
export interface GibbsOptions {
  /** Whether to give the means of the last visible units instead of a sample of them. */
  means?: boolean;
  seed?: number;
  signal?: AbortSignal;
}

/** Options of `RBM.sample`. */
export interface SampleOptions extends GibbsOptions {
  /** Number of independent chains; 1 by default. */
  chains?: number;
  /** Gibbs steps of each; 1000 by default. */
  steps?: number;
  /** Visible units that are held fixed: what is left is completed. */
  clamp?: Clamp;
  /** Where the chains begin, [chains, ...inputShape]; by default what the visible biases alone give. */
  start?: TensorLike;
}

/** Options of `RBM.estimateLogPartition`. */
export interface PartitionOptions extends AnnealingOptions {
  /** Means of the visible units, of the machine without weights from which annealing begins. */
  baseRate?: TensorLike;
}

/** Options of `RBM.logLikelihood`. */
export interface LikelihoodOptions extends PartitionOptions {
  /** `"ais"` estimates log Z, `"exact"` enumerates it, which only small machines allow. */
  method?: "ais" | "exact";
}

/** Mean log-likelihood of data, in nats per sample. */
export interface Likelihood extends PartitionEstimate {
  readonly logLikelihood: number;
}

/** Options of `RBM.pseudoLogLikelihood`. */
export interface PseudoLikelihoodOptions {
  /** How many random units of each sample are flipped, each once; `"all"` flips all. 1 by default. */
  flips?: number | "all";
  seed?: number;
  signal?: AbortSignal;
}
