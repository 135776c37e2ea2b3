/**
 * Models out of files that `saving.ts` wrote, or out of their JSON. Everything that is read is checked before it
 * is used: the errors are about the file, and none of its patterns or code is run.
 */
import { ArgumentError, checkKeys, checkPath, expected, FormatError, show } from "../errors.js";
import {
  readSafetensors,
  type SafetensorsContents,
  type StoredTensor,
} from "../formats/safetensors.js";
import { Layer, type LayerClass } from "../layers/layer.js";
import { withWeightsToLoad } from "../layers/loading.js";
import { deserializeLayer, registerLayer } from "../layers/registry.js";
import type { LossFunction } from "../nn/losses.js";
import { Metric } from "../nn/metrics/metric.js";
import { restoreMetric, type SavedMetric } from "../nn/metrics/table.js";
import { restoreOptimizer } from "../optimizers/factories.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { leaf } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { CompileOptions } from "../training/objective.js";
import type { Model, ModelOutput } from "./model.js";
import {
  mapLeaves,
  metadataKey,
  optimizerPrefix,
  type Saved,
  type SavedOptimizer,
  type SavedSource,
  stateNames,
  version,
} from "./saving.js";

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

/** Models that are no layers, and what reads their files. */
const otherReaders: Readonly<Record<string, string>> = {
  RBM: "loadRbm",
  DeepBeliefNetwork: "loadDeepBeliefNetwork",
};

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
    // A function of one's own may have a built-in's name: those are saved by `name`.
    return typeof value === "object" && own !== undefined ? custom("loss", own) : value;
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
