/**
 * Models in files: one safetensors file with the weights as tensors, and architecture and compile
 * configuration as JSON in its metadata. Everything that is read is checked before it is used.
 */
import { snapshot } from "../backend/run.js";
import { ArgumentError, checkKeys, expected, FormatError, show } from "../errors.js";
import {
  readSafetensors,
  type SafetensorsContents,
  type StoredTensor,
  writeSafetensors,
} from "../formats/safetensors.js";
import { Layer, type LayerClass } from "../layers/layer.js";
import { withWeightsToLoad } from "../layers/loading.js";
import { deserializeLayer, registerLayer } from "../layers/registry.js";
import {
  type LossFunction,
  type LossIdentifier,
  lossConfig,
  lossFactoryName,
  lossNames,
} from "../nn/losses.js";
import { Metric } from "../nn/metrics/metric.js";
import {
  factoryName,
  type MetricIdentifier,
  restoreMetric,
  type SavedMetric,
} from "../nn/metrics/table.js";
import { restoreOptimizer } from "../optimizers/factories.js";
import type { Optimizer, StateEntry } from "../optimizers/optimizer.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { leaf } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { CompileOptions } from "../training/objective.js";
import type { Model, ModelOutput } from "./model.js";

/** Options of `model.save`. */
export interface SaveOptions {
  /** Whether to write the optimizer's state, to go on training later; true by default. */
  includeOptimizer?: boolean;
}

/** Things of your own that a saved model refers to by name: layers, losses, metrics. */
export type CustomObjects = Readonly<
  Record<string, LayerClass | LossFunction | (new (config: never) => Metric)>
>;

/** Options of `loadModel`. */
export interface LoadOptions {
  customObjects?: CustomObjects;
  /** Whether to compile the model as it was; true by default. */
  compile?: boolean;
}

const metadataKey = "layerwise";
const version = 1;
/** Prefix of the optimizer's tensors; no layer's name can contain a slash. */
const optimizerPrefix = "__optimizer__/";

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

/** Models that are no layers, and what reads their files. */
const otherReaders: Readonly<Record<string, string>> = {
  RBM: "loadRbm",
  DeepBeliefNetwork: "loadDeepBeliefNetwork",
};

/** What of a model its file is made from. */
export interface SavedSource {
  /** For messages. */
  readonly where: string;
  readonly weights: readonly Variable[];
  /** Weights by the names they have in files. */
  namedWeights(): readonly (readonly [name: string, weight: Variable])[];
  readonly optimizer: Optimizer;
}

/* ---- writing -------------------------------------------------------------------------------------- */

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
function stateNames(
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

/** Endings that say that a file is of another program's format. */
const foreign = /\.(h5|hdf5|keras|pb|tflite|onnx|pt|pth|ckpt|npz|json|pkl)$/i;

/** Throws unless `path` is one to write a model or weights to. */
export function checkNewPath(where: string, path: unknown): void {
  checkPath(where, path);
  if (foreign.test(path as string)) {
    throw new ArgumentError(
      expected(
        where,
        "a path that ends in .safetensors, the one format that models are written in",
        show(path),
      ),
    );
  }
}

/** Throws unless `path` is a path. */
export function checkPath(where: string, path: unknown): void {
  if (typeof path !== "string" || path === "") {
    throw new ArgumentError(expected(where, "the path of a file", show(path)));
  }
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

/** What `saveOptimizer` wrote, made again. */
export function loadOptimizer(where: string, { className, config }: SavedOptimizer): Optimizer {
  const { excludeFromWeightDecay: excluded = [] } = config;
  if (!Array.isArray(excluded)) {
    throw new FormatError(expected(`${where}: excludeFromWeightDecay`, "an array", show(excluded)));
  }
  return restoreOptimizer(where, className, {
    ...config,
    excludeFromWeightDecay: excluded.map((given: unknown) => {
      if (typeof given === "string") return given;
      const parameter = (given as { parameter?: unknown } | null)?.parameter;
      // No pattern of a file is run: it could take forever to match.
      if (typeof parameter === "string") return new RegExp(`^${escaped(parameter)}$`);
      const wanted = "texts and names of parameters";
      throw new FormatError(expected(`${where}: excludeFromWeightDecay`, wanted, show(given)));
    }),
  });
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Applies `f` to what stands in nested arrays and objects by name. */
function mapLeaves(value: unknown, f: (leaf: unknown) => unknown): unknown {
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

/* ---- reading -------------------------------------------------------------------------------------- */

/**
 * Reads a model from a file of `model.save`: architecture, weights, and with what was compiled also
 * the optimizer's state.
 *
 * @throws FormatError when the file is damaged or its parts do not fit together; the message names
 * what is wrong.
 */
export async function loadModel<O extends ModelOutput = import("../tensor/tensor.js").Tensor>(
  path: string,
  options: LoadOptions = {},
): Promise<Model<O>> {
  checkPath("loadModel()", path);
  checkKeys("loadModel()", options, ["customObjects", "compile"]);
  const { where, contents, saved } = await readModelFile(path);
  const reader = Object.hasOwn(otherReaders, saved.className)
    ? otherReaders[saved.className]
    : undefined;
  if (reader !== undefined) {
    throw new FormatError(
      expected(
        where,
        "a model of layers",
        show(saved.className),
        `read it with lw.models.${reader}()`,
      ),
    );
  }
  let values = 0;
  for (const [name, { data }] of contents.tensors) {
    if (!name.startsWith(optimizerPrefix)) values += data.length;
  }
  const model = restoring(where, () =>
    withWeightsToLoad(values, () => restoreModel<O>(saved, options.customObjects)),
  );
  assignWeights(where, model, contents);
  if (saved.compile && options.compile !== false) {
    const { compile } = saved;
    restoring(where, () => {
      model.compile(restoreCompile(where, compile, options.customObjects ?? {}));
    });
    assignState(where, model, contents);
  }
  return model;
}

/** A model's file, its description checked as far as all kinds of models agree. */
export async function readModelFile(
  path: string,
): Promise<{ where: string; contents: SafetensorsContents; saved: Saved }> {
  const where = `model file ${show(path)}`;
  const contents = await readSafetensors(path);
  return { where, contents, saved: parseSaved(where, contents.metadata.get(metadataKey)) };
}

/** Makes a model from what `JSON.stringify(model)` wrote; its weights are new. */
export function modelFromJSON<O extends ModelOutput = import("../tensor/tensor.js").Tensor>(
  json: string | { className: string; config: object },
  customObjects?: CustomObjects,
): Model<O> {
  const where = "modelFromJSON()";
  const value: unknown = typeof json === "string" ? parse(where, json) : json;
  checkNesting(where, value);
  return restoring(where, () => restoreModel<O>(checkSaved(where, value), customObjects));
}

function parse(where: string, text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${where}: it is not valid JSON`, { cause: error });
  }
  checkNesting(where, value);
  return value;
}

/** Levels of arrays and objects in a configuration; a model in a model takes three. */
const deepest = 100;

/** What reads a configuration recurses, so its depth is checked before. */
function checkNesting(where: string, value: unknown): void {
  const open = [{ value, depth: 0 }];
  for (let item = open.pop(); item; item = open.pop()) {
    if (typeof item.value !== "object" || item.value === null) continue;
    if (item.depth === deepest) {
      throw new FormatError(`${where}: it is nested deeper than ${deepest} levels`);
    }
    for (const child of Object.values(item.value)) {
      open.push({ value: child, depth: item.depth + 1 });
    }
  }
}

function parseSaved(where: string, text: string | undefined): Saved {
  if (text === undefined) {
    throw new FormatError(
      `${where}: it has no layerwise model in its metadata; for a file with weights alone, make the model ` +
        "and use model.loadWeights(path)",
    );
  }
  const value = parse(`${where}: metadata`, text);
  const saved = checkSaved(`${where}: metadata`, value);
  if (saved.version !== version) {
    throw new FormatError(
      `${where}: it was written in version ${show(saved.version)} of the model format; this is version ${version}`,
    );
  }
  return saved;
}

function checkSaved(where: string, value: unknown): Saved {
  const { className, config, compile } = (value ?? {}) as Partial<Saved>;
  if (typeof className !== "string" || typeof config !== "object" || config === null) {
    throw new FormatError(expected(where, "a model's className and config", show(value)));
  }
  if (compile !== undefined) {
    const optimizer = compile?.optimizer as Partial<SavedOptimizer> | undefined;
    if (typeof optimizer?.className !== "string" || typeof optimizer.config !== "object") {
      throw new FormatError(`${where}: \`compile\` names no optimizer`);
    }
  }
  // The parts that are used were checked above.
  return value as Saved;
}

/** Errors of a configuration that came out of a file are about the file, of whatever kind they are. */
export function restoring<T>(where: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error instanceof FormatError && error.message.startsWith(where)) throw error;
    throw new FormatError(`${where}: ${error.message}`, { cause: error });
  }
}

function restoreModel<O extends ModelOutput>(
  { className, config }: Pick<Saved, "className" | "config">,
  customObjects: CustomObjects = {},
): Model<O> {
  for (const [name, custom] of Object.entries(customObjects)) {
    if (custom.prototype instanceof Layer) {
      const layerClass = custom as LayerClass;
      if (layerClass.className !== name && layerClass.name !== name) {
        throw new ArgumentError(
          expected(
            `customObjects ${show(name)}`,
            "the class' own name as key",
            show(layerClass.name),
          ),
        );
      }
      registerLayer(layerClass);
    }
  }
  const model: unknown = deserializeLayer({ className, config });
  if (!isModel(model)) {
    throw new FormatError(expected("className", '"Sequential" or "Model"', show(className)));
  }
  return model as Model<O>;
}

/** By what it can do: importing the class would close a circle of imports. */
function isModel(value: unknown): boolean {
  return typeof (value as { loadWeights?: unknown }).loadWeights === "function";
}

function restoreCompile(
  where: string,
  compile: NonNullable<Saved["compile"]>,
  customObjects: CustomObjects,
): CompileOptions {
  const custom = (kind: string, name: unknown): LossFunction => {
    const found =
      typeof name === "string" && Object.hasOwn(customObjects, name)
        ? customObjects[name]
        : undefined;
    if (typeof found !== "function") {
      throw new FormatError(
        `${where}: the ${kind} is a function of your own, ${show(name)}; pass it as customObjects: { ${name || "name"} }, ` +
          "or load with compile: false",
      );
    }
    return found as LossFunction;
  };
  const loss = (value: unknown): unknown => {
    const own = (value as { custom?: unknown }).custom;
    return typeof value === "object" && own !== undefined
      ? lossNames().includes(String(own))
        ? own
        : custom("loss", own)
      : value;
  };
  const metric = (value: unknown): unknown => {
    if (typeof value === "string") return value;
    const {
      className,
      name,
      config,
      custom: own,
    } = value as Partial<SavedMetric> & {
      custom?: unknown;
    };
    if (own !== undefined) return custom("metric", own);
    if (typeof className !== "string" || typeof name !== "string" || typeof config !== "object") {
      throw new FormatError(`${where}: a metric without className, name and config`);
    }
    const found = Object.hasOwn(customObjects, className) ? customObjects[className] : undefined;
    if (found?.prototype instanceof Metric) {
      const made = new (found as new (config: never) => Metric)(config as never);
      made.name = name;
      return made;
    }
    return restoreMetric(where, { className, name, config });
  };
  const { optimizer } = compile;
  // Leaves are checked by compile() itself.
  return {
    optimizer: loadOptimizer(where, optimizer),
    loss: mapLeaves(compile.loss, loss),
    ...("lossWeights" in compile ? { lossWeights: compile.lossWeights } : {}),
    ...("metrics" in compile ? { metrics: mapLeaves(compile.metrics, metric) } : {}),
    ...("weightedMetrics" in compile
      ? { weightedMetrics: mapLeaves(compile.weightedMetrics, metric) }
      : {}),
  } as CompileOptions;
}

/** Weights of a file into a model of the same shape; see `Model.loadWeights`. */
export async function readWeights(
  model: Pick<SavedSource, "where" | "namedWeights">,
  path: string,
): Promise<void> {
  checkPath(`loadWeights() of ${model.where}`, path);
  assignWeights(`weights file ${show(path)}`, model, await readSafetensors(path));
}

export function assignWeights(
  where: string,
  model: Pick<SavedSource, "where" | "namedWeights">,
  { tensors }: SafetensorsContents,
): void {
  const weights = new Map(model.namedWeights());
  const extra = [...tensors.keys()].filter(
    (name) => !weights.has(name) && !name.startsWith(optimizerPrefix),
  );
  const missing = [...weights.keys()].filter((name) => !tensors.has(name));
  if (missing.length > 0 || extra.length > 0) {
    const parts = [
      missing.length > 0 ? `no tensor for ${listOf(missing)}` : "",
      extra.length > 0 ? `tensors that ${model.where} has no weight for: ${listOf(extra)}` : "",
    ];
    throw new FormatError(`${where}: ${parts.filter((p) => p !== "").join("; ")}`);
  }
  for (const [name, weight] of weights) check(where, name, weight, tensors.get(name)!);
  for (const weight of weights.values()) weight.checkFree();
  for (const [name, weight] of weights) set(weight, tensors.get(name)!);
}

/** The optimizer's state out of a file, if it has any. */
export function assignState(
  where: string,
  model: SavedSource,
  { tensors }: SafetensorsContents,
): void {
  const found = [...tensors.keys()].filter((name) => name.startsWith(optimizerPrefix));
  if (found.length === 0) return;
  const { optimizer } = model;
  // Which parameters have state is known from the file alone: it may have been saved before training.
  const withState = new Set(found.map((name) => name.slice(0, name.lastIndexOf("/"))));
  optimizer.build(
    model
      .namedWeights()
      .filter(([name]) => withState.has(`${optimizerPrefix}${name}`))
      .map(([, weight]) => weight),
  );
  const state = stateNames(model, optimizer);
  const missing = state.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
  const known = new Set(state.map(({ name }) => name));
  const extra = found.filter((name) => !known.has(name));
  if (missing.length > 0 || extra.length > 0) {
    throw new FormatError(
      `${where}: the optimizer's state does not fit ${optimizer.className}: ${
        missing.length > 0 ? `no tensor ${listOf(missing)}` : `unknown tensor ${listOf(extra)}`
      }`,
    );
  }
  for (const { name, entry } of state) check(where, name, entry.variable, tensors.get(name)!);
  for (const { name, entry } of state) set(entry.variable, tensors.get(name)!);
}

function check(where: string, name: string, variable: Variable, tensor: StoredTensor): void {
  if (!sameShape(tensor.shape, variable.shape)) {
    throw new FormatError(
      expected(
        `${where}: tensor ${show(name)}`,
        `shape ${showShape(variable.shape)}`,
        showShape(tensor.shape),
      ),
    );
  }
  if (tensor.dtype !== variable.dtype) {
    throw new FormatError(expected(`${where}: tensor ${show(name)}`, variable.dtype, tensor.dtype));
  }
}

function set(variable: Variable, { data }: StoredTensor): void {
  // In storage of its own: predictions in progress go on with the old values.
  variable.assign(leaf(data, variable.shape, variable.dtype));
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, 5).map(show).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
