/**
 * A network's wiring as JSON and back: its layers, and their applications in order of execution, each
 * naming its inputs by (application, output). An application can only use earlier ones, so the order is
 * kept and a cycle is an error.
 */
import { FormatError, show } from "../errors.js";
import { InputLayer } from "../layers/input.js";
import type { Layer } from "../layers/layer.js";
import { deserializeLayer, serializeLayer } from "../layers/registry.js";
import type { SymbolicTensor } from "../layers/symbolic.js";
import type { Json, JsonObject } from "../nn/options.js";
import type { Graph } from "./network.js";

/** Where a value comes from: the number of an application and of its output. */
type Reference = readonly [application: number, output: number];

/** The wiring as JSON. */
export function graphToConfig(graph: Graph, layers: readonly Layer[]): JsonObject {
  const all = [...new Set([...layers, ...graph.steps.map((step) => step.layer)])];
  const reference = (slot: number): Reference => {
    const at = graph.steps.findLastIndex((step) => step.first <= slot);
    return [at, slot - graph.steps[at]!.first];
  };
  return {
    layers: all.map((layer) => ({ ...serializeLayer(layer) })),
    connections: graph.steps.map((step) => ({
      layer: step.layer.name,
      inputs: step.inputs.map(reference),
      ...(step.listed ? { listed: true } : {}),
      ...(step.training === undefined ? {} : { training: step.training }),
    })),
    inputs: graph.inputSlots.map((slot) => reference(slot)[0]),
    outputs: graph.outputSlots.map(reference),
  };
}

/** What `graphToConfig` wrote, checked and made into layers again. */
export function graphFromConfig(config: JsonObject): {
  name: string;
  trainable: boolean;
  inputs: SymbolicTensor[];
  outputs: SymbolicTensor[];
} {
  const name = string(config.name, "configuration of a model: name");
  const where = `configuration of model ${JSON.stringify(name)}`;
  const layers = new Map<string, Layer>();
  for (const serialized of list(config.layers, `${where}: layers`)) {
    const layer = deserializeLayer(serialized);
    if (layers.has(layer.name)) {
      throw new FormatError(`${where}: two layers are called ${JSON.stringify(layer.name)}`);
    }
    layers.set(layer.name, layer);
  }
  const made: SymbolicTensor[][] = [];
  const resolve = (given: unknown, user: string): SymbolicTensor => {
    const [at, output] = list(given, `${where}: ${user}`);
    const outputs = typeof at === "number" ? made[at] : undefined;
    if (!outputs) {
      throw new FormatError(
        `${where}: ${user} uses application ${show(at)}, which is not before it; a model's graph has no cycles`,
      );
    }
    const tensor = typeof output === "number" ? outputs[output] : undefined;
    if (!tensor) {
      throw new FormatError(
        `${where}: ${user} uses output ${show(output)} of application ${at}, which has ${outputs.length}`,
      );
    }
    return tensor;
  };
  for (const item of list(config.connections, `${where}: connections`)) {
    const { layer: layerName, inputs, listed, training } = object(item, `${where}: connections`);
    const layer = layers.get(string(layerName, `${where}: connections`));
    if (!layer) {
      throw new FormatError(
        `${where}: a connection names layer ${show(layerName)}, which is not listed`,
      );
    }
    const from = list(inputs, `${where}: ${layer.where}`).map((r) => resolve(r, layer.where));
    if (layer instanceof InputLayer) {
      made.push([layer.symbol]);
      continue;
    }
    if (from.length === 0) throw new FormatError(`${where}: ${layer.where} has no inputs`);
    const options = typeof training === "boolean" ? { training } : {};
    made.push(
      [listed === true ? layer.apply(from, options) : layer.apply(from[0]!, options)].flat(),
    );
  }
  return {
    name,
    trainable: config.trainable !== false,
    inputs: list(config.inputs, `${where}: inputs`).map((at) => resolve([at, 0], "inputs")),
    outputs: list(config.outputs, `${where}: outputs`).map((r) => resolve(r, "outputs")),
  };
}

function list(value: Json | undefined | unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value))
    throw new FormatError(`${where}: expected an array, got ${show(value)}`);
  return value;
}

function object(value: unknown, where: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(`${where}: expected an object, got ${show(value)}`);
  }
  return value as JsonObject;
}

function string(value: unknown, where: string): string {
  if (typeof value !== "string") {
    throw new FormatError(`${where}: expected a string, got ${show(value)}`);
  }
  return value;
}
