/**
 * Options of a deep belief network, and their checks before anything is learnt.
 */
import { checkInteger, checkKeys } from "../errors.js";
import { resolveOptimizer } from "../optimizers/factories.js";
import type { TensorLike } from "../tensor/tensor.js";
import { checkCallback } from "../training/callback.js";
import { checkFitValues } from "../training/options.js";
import { rowsPerBatch } from "../training/predictor.js";
import { checkVerbosity } from "../training/progress.js";
import { type RbmFitOptions, rbmFitKeys, samplesKept } from "./boltzmannoptions.js";
import { type ContrastOptions, contrastKeys, planContrast } from "./contrast.js";
import type { LayerOfStack } from "./stack.js";

/** Options of `lw.models.deepBeliefNetwork`. */
export interface BeliefOptions {
  /**
   * The machines from the bottom up, as options of `lw.models.rbm` or machines that were learnt before.
   * Only the first needs `visible` or `inputShape`; the others take what the one below gives.
   */
  readonly layers: readonly LayerOfStack[];
  /** Number of classes of labels that the top machine learns together with what is below it. */
  readonly classes?: number;
  readonly seed?: number;
  readonly name?: string;
}

/** How one machine is pre-trained. */
export interface PretrainLayerOptions
  extends ContrastOptions,
    Omit<RbmFitOptions, "validationData"> {}

/** Options of `pretrain`; what stands at the top holds for all layers. */
export interface PretrainOptions extends Omit<PretrainLayerOptions, "optimizer" | "callbacks"> {
  /** Class of each sample, for a network with `classes`. */
  labels?: TensorLike;
  /** Own options of each layer, from the bottom up. */
  layers?: readonly PretrainLayerOptions[];
}

/** Options of `fineTune`: the contrast is that of the top machine. */
export interface FineTuneOptions
  extends ContrastOptions,
    Omit<RbmFitOptions, "validationData" | "validationSplit"> {
  labels?: TensorLike;
}

/** Options of `generate`. */
export interface GenerateOptions {
  /** Number of samples; as many as labels where these are given, else 1. */
  chains?: number;
  /** Gibbs steps of the top machine; 1000 by default. */
  steps?: number;
  /** The class that is held while the top machine runs, or one for each chain. */
  labels?: TensorLike;
  /** Whether to give the means of the visible units instead of a sample. */
  means?: boolean;
  seed?: number;
  signal?: AbortSignal;
}

/** Keys of `fit` that `fineTune` takes. */
export const fitKeys = rbmFitKeys.filter((key) => !key.startsWith("validation"));

/** Options of how a machine learns, and of its training. */
export interface LayerPlan {
  readonly contrast: ContrastOptions;
  readonly fit: Omit<RbmFitOptions, "validationData">;
}

/** Options by whom they are for. */
export function apart(options: PretrainLayerOptions): LayerPlan {
  const ofContrast = (key: string) => contrastKeys.includes(key as "method");
  const entries = Object.entries(options);
  return {
    contrast: Object.fromEntries(entries.filter(([key]) => ofContrast(key))),
    fit: Object.fromEntries(entries.filter(([key]) => !ofContrast(key))),
  };
}

/** A layer's own options over the common ones, checked as far as can be without the layer's data. */
export function planLayer(
  place: string,
  common: PretrainLayerOptions,
  own: PretrainLayerOptions,
  count: number,
): LayerPlan {
  checkKeys(place, own, [...contrastKeys, ...rbmFitKeys]);
  const plan = apart({ ...common, ...own });
  planContrast(place, plan.contrast);
  const { optimizer } = plan.contrast;
  if (optimizer !== undefined) resolveOptimizer(place, optimizer);
  checkFit(place, plan.fit, count);
  return plan;
}

/** Throws what `fit` would throw for options, for so many samples. */
function checkFit(place: string, fit: RbmFitOptions, count: number): void {
  const { validationSplit = 0, batchSize = 32 } = fit;
  checkFitValues(place, fit);
  const kept = samplesKept(place, count, validationSplit, fit.validationData !== undefined);
  const batches = Math.ceil(kept / rowsPerBatch(place, "batchSize", batchSize, kept));
  checkInteger(place, "stepsPerEpoch", fit.stepsPerEpoch ?? batches, 1, batches);
  rowsPerBatch(place, "validationBatchSize", fit.validationBatchSize ?? batchSize, kept);
  checkVerbosity(place, fit.verbose ?? "auto");
  for (const callback of [fit.callbacks ?? []].flat()) checkCallback(place, callback);
}
