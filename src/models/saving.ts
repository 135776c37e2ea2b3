/**
 * Models into files: one safetensors file with the weights as tensors, and architecture and compile
 * configuration as JSON in its metadata. What a file holds is said here; `loading.ts` reads it.
 */
import { snapshot } from "../backend/run.js";
import { ArgumentError, checkKeys, expected, show } from "../errors.js";
import { checkNewPath } from "../formats/newpath.js";
import { type StoredTensor, writeSafetensors } from "../formats/safetensors.js";
import type { Layer } from "../layers/layer.js";
import { Network } from "../network/network.js";
import {
  type LossFunction,
  type LossIdentifier,
  lossConfig,
  lossFactoryName,
} from "../nn/losses.js";
import { Metric } from "../nn/metrics/metric.js";
import { factoryName, type MetricIdentifier, type SavedMetric } from "../nn/metrics/table.js";
import type { Optimizer, StateEntry } from "../optimizers/optimizer.js";
import type { Variable } from "../tensor/variable.js";
import type { CompileOptions } from "../training/objective.js";
import type { Model, ModelOutput } from "./model.js";

/** Options of `model.save`. */
export interface SaveOptions {
  /** Whether to write the optimizer's state, to go on training later; true by default. */
  includeOptimizer?: boolean;
}

export const metadataKey = "layerwise";
export const version = 1;
/** Prefix of the optimizer's tensors; no layer's name can contain a slash. */
export const optimizerPrefix = "__optimizer__/";

/** An optimizer as a file has it. */
export interface SavedOptimizer {
  readonly className: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What describes a model in its file. */
export interface Saved {
  readonly version: number;
  readonly className: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly compile?: Readonly<Record<string, unknown>> & { readonly optimizer: SavedOptimizer };
}

/** What of a model its file is made from. */
export interface SavedSource {
  /** For messages. */
  readonly where: string;
  readonly weights: readonly Variable[];
  /** Weights by the names they have in files. */
  namedWeights(): readonly (readonly [name: string, weight: Variable])[];
  readonly optimizer: Optimizer;
}

/** Values that stay what they are while they are written, all of the same step of a training. */
async function storedTensors(
  named: readonly (readonly [name: string, variable: Variable])[],
): Promise<Map<string, StoredTensor>> {
  const values = await snapshot(named.map(([, variable]) => variable));
  return new Map(
    named.map(([name, { shape, dtype }], i) => [
      name,
      { shape, dtype, data: values[i]!.dataSync() },
    ]),
  );
}

/** Names of the optimizer's state: the parameter's own name and the slot. */
export function stateNames(
  model: SavedSource,
  optimizer: Optimizer,
): { name: string; entry: StateEntry }[] {
  const names = new Map(model.namedWeights().map(([name, weight]) => [weight, name]));
  return optimizer.state().flatMap((entry) => {
    if (entry.parameter === null) return [{ name: `${optimizerPrefix}${entry.slot}`, entry }];
    const name = names.get(entry.parameter);
    // An optimizer that also trains another model has state that is none of this model's business.
    return name === undefined ? [] : [{ name: `${optimizerPrefix}${name}/${entry.slot}`, entry }];
  });
}

/** Writes a model; see `Model.save`. */
export async function saveModel(
  model: Model<ModelOutput>,
  path: string,
  options: SaveOptions,
): Promise<void> {
  const where = `save() of ${model.where}`;
  checkNewPath(where, path);
  checkKeys(where, options, ["includeOptimizer"]);
  checkShared(where, model);
  const compile = model.compileOptions;
  const named = [
    ...model.namedWeights(),
    ...(compile && options.includeOptimizer !== false ? namedState(model) : []),
  ];
  await writeModelFile(path, named, {
    ...model.toJSON(),
    ...(compile ? { compile: saveCompile(where, compile, model) } : {}),
  });
}

/**
 * Throws for a layer with weights that several models hold: each of them writes the layers it is made of, so that
 * loading would make one layer for each. Within one model a layer may be used any number of times.
 */
function checkShared(where: string, model: Network<ModelOutput>): void {
  const holders = new Map<Layer, Layer>();
  const visit = (layers: readonly Layer[], holder: Layer): void => {
    for (const layer of layers) {
      const known = holders.get(layer);
      if (known && known !== holder && layer.weights.length > 0) {
        throw new ArgumentError(
          expected(
            where,
            "each layer in one model",
            `${layer.where} in ${known.where} and ${holder.where}`,
            "a file would hold it twice and load it apart: use a model inside twice, or saveWeights()",
          ),
        );
      }
      if (known) continue;
      holders.set(layer, holder);
      visit(layer.sublayers, layer instanceof Network ? layer : holder);
    }
  };
  visit(model.sublayers, model);
}

/** The optimizer's state under the names it has in files. */
export function namedState(model: SavedSource): (readonly [name: string, variable: Variable])[] {
  return stateNames(model, model.optimizer).map(({ name, entry }) => [name, entry.variable]);
}

/** Writes variables and what describes the model, which {@link readModelFile} reads. */
export async function writeModelFile(
  path: string,
  named: readonly (readonly [name: string, variable: Variable])[],
  description: Omit<Saved, "version">,
): Promise<void> {
  const saved: Saved = { version, ...description };
  const metadata = new Map([
    ["format", "layerwise"],
    [metadataKey, JSON.stringify(saved)],
  ]);
  await writeSafetensors(path, await storedTensors(named), metadata);
}

/** Writes a model's weights; see `Model.saveWeights`. */
export async function writeWeights(
  model: Pick<SavedSource, "where" | "namedWeights">,
  path: string,
): Promise<void> {
  checkNewPath(`saveWeights() of ${model.where}`, path);
  const tensors = await storedTensors(model.namedWeights());
  await writeSafetensors(path, tensors, new Map([["format", "layerwise"]]));
}

function saveCompile(
  where: string,
  { loss, lossWeights, metrics, weightedMetrics }: CompileOptions,
  model: Model<ModelOutput>,
): NonNullable<Saved["compile"]> {
  const { className } = model.optimizer;
  return {
    optimizer: { className, config: saveOptimizer(where, model) },
    loss: mapLeaves(loss ?? null, (value) => saveLoss(value as LossIdentifier)),
    ...(lossWeights === undefined ? {} : { lossWeights }),
    ...(metrics === undefined
      ? {}
      : { metrics: mapLeaves(metrics, (m) => saveMetric(where, m as MetricIdentifier)) }),
    ...(weightedMetrics === undefined
      ? {}
      : {
          weightedMetrics: mapLeaves(weightedMetrics, (m) =>
            saveMetric(where, m as MetricIdentifier),
          ),
        }),
  };
}

/** The optimizer's options, with the parameters that patterns mean: a file holds no patterns. */
export function saveOptimizer(where: string, model: SavedSource): Record<string, unknown> {
  const config = model.optimizer.getConfig();
  const excluded = config.excludeFromWeightDecay as (string | { source: string; flags: string })[];
  const names = model.weights.map((weight) => weight.name);
  return {
    ...config,
    excludeFromWeightDecay: excluded.flatMap((pattern): unknown[] => {
      if (typeof pattern === "string") return [pattern];
      const { source, flags } = pattern;
      if (names.length === 0) {
        throw new ArgumentError(
          `${where}: excludeFromWeightDecay has the pattern /${source}/${flags}, and the model has no weights yet that it could mean`,
        );
      }
      // Without "g" and "y" a pattern has no state.
      const plain = new RegExp(source, flags.replaceAll(/[gy]/g, ""));
      return names.filter((name) => plain.test(name)).map((parameter) => ({ parameter }));
    }),
  };
}

/** Applies `f` to what stands in nested arrays and objects by name. */
export function mapLeaves(value: unknown, f: (leaf: unknown) => unknown): unknown {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map((item) => mapLeaves(item, f));
  const isLeaf =
    typeof value !== "object" ||
    value instanceof Metric ||
    ["name", "custom", "className"].some((key) => Object.hasOwn(value, key));
  if (isLeaf) return f(value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapLeaves(item, f)]));
}

function saveLoss(loss: LossIdentifier): unknown {
  if (typeof loss !== "function") return loss;
  const config = lossConfig(loss);
  if (config) return { name: config.name, ...config.options };
  return lossFactoryName(loss) ?? { custom: loss.name };
}

function saveMetric(where: string, metric: MetricIdentifier): unknown {
  if (typeof metric === "string") return metric;
  if (metric instanceof Metric) {
    return {
      className: metric.className,
      name: metric.name,
      config: metric.getConfig(),
    } satisfies SavedMetric;
  }
  if (typeof metric !== "function") {
    throw new ArgumentError(expected(where, "a metric that can be saved", show(metric)));
  }
  const factory = factoryName(metric);
  if (factory !== undefined) return { className: factory, name: factory, config: {} };
  const config = lossConfig(metric as LossFunction);
  return config
    ? { className: config.name, name: config.name, config: config.options }
    : { custom: metric.name };
}
