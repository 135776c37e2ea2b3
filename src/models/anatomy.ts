/**
 * A model taken apart, with the models inside it: its layers one by one, where the channels of what they
 * give stand, and a run that keeps chosen values.
 */
import { ConnectedConv2D } from "../layers/connected.js";
import { Flatten, Permute, Reshape } from "../layers/core.js";
import type { Layer } from "../layers/layer.js";
import { Cropping2D, ZeroPadding2D } from "../layers/reshaping.js";
import { type DataFormat, spatialAxes } from "../layers/spatial.js";
import type { BatchShape, SymbolicTensor } from "../layers/symbolic.js";
import { type AnyNetwork, Network } from "../network/network.js";
import { transpose } from "../ops/movement.js";
import { freshSource } from "../ops/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Model } from "./model.js";

/** A value on its way through a model. */
export interface Value {
  readonly shape: BatchShape;
}

/** Something with a name that gives values. */
export interface Place {
  /** The layer's name; "block/conv" is layer "conv" of the model "block" inside. */
  readonly name: string;
  readonly layer: Layer;
  readonly outputs: readonly Value[];
}

/** One application of a layer. */
interface Call extends Place {
  readonly inputs: readonly Value[];
  readonly listed: boolean;
  readonly training: boolean;
}

/** A model, and the models inside it, taken apart. */
export interface Parts {
  readonly model: Model;
  /** In order of execution. */
  readonly calls: readonly Call[];
  /** Names for values that no call of their own makes: inputs, and the models inside. */
  readonly others: readonly Place[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Where the channels of [batch, …] images stand: last, if a value is missing. */
  readonly formats: ReadonlyMap<Value, DataFormat>;
}

/** Takes a model apart; nothing of it changes. */
export function takeApart(model: Model): Parts {
  const calls: Call[] = [];
  const others: Place[] = [];
  /** Enters the steps of a network; gives its outputs. Values are made anew for each application. */
  const enter = (
    network: AnyNetwork,
    given: readonly Value[],
    path: string,
    training: boolean,
  ): Value[] => {
    const { inputs, inputSlots, outputSlots, steps } = network.graph;
    const values: Value[] = [];
    inputSlots.forEach((slot, i) => {
      values[slot] = given[i]!;
    });
    for (const { layer, listed, first, ...step } of steps) {
      const name = `${path}${layer.name}`;
      if (step.inputs.length === 0) {
        const at = inputs.indexOf(step.outputs[0] as SymbolicTensor);
        others.push({ name, layer, outputs: [given[at]!] });
        continue;
      }
      const own = step.inputs.map((slot) => values[slot]!);
      const mode = step.training ?? training;
      let outputs: Value[];
      // A subclass may do something else with its layers than its graph says.
      if (layer instanceof Network && layer.call === Network.prototype.call) {
        outputs = enter(layer, own, `${name}/`, mode);
        others.push({ name, layer, outputs });
      } else {
        outputs = step.outputs.map(({ shape }) => ({ shape }));
        calls.push({ name, layer, inputs: own, listed, training: mode, outputs });
      }
      outputs.forEach((value, i) => {
        values[first + i] = value;
      });
    }
    return outputSlots.map((slot) => values[slot]!);
  };
  const inputs = model.inputs.map(({ shape }) => ({ shape }));
  const outputs = enter(model, inputs, "", false);
  return { model, calls, others, inputs, outputs, formats: formatsOf(calls) };
}

/**
 * Where the channels of images stand. A layer with a `dataFormat` says it of its input and output; any
 * other leaves it as it is, so what feeds it says it, or else what it feeds.
 */
function formatsOf(calls: readonly Call[]): Map<Value, DataFormat> {
  const formats = new Map<Value, DataFormat>();
  const pass = (all: boolean, backwards: boolean): void => {
    for (const { layer, inputs, outputs } of backwards ? [...calls].reverse() : calls) {
      const [from, to] = backwards ? [outputs, inputs] : [inputs, outputs];
      const format =
        formatOf(layer, all) ??
        from.map((v) => across(layer, formats.get(v), backwards)).find((f) => f !== undefined);
      for (const v of to) {
        if (format && v.shape.length === 4 && !formats.has(v)) formats.set(v, format);
      }
    }
  };
  for (const all of [false, true]) {
    for (const backwards of [false, true, false]) pass(all, backwards);
  }
  return formats;
}

/** The `dataFormat` of a layer over images; `all` counts the ones that are often told another one. */
function formatOf(layer: Layer, all: boolean): DataFormat | undefined {
  if (layer instanceof ConnectedConv2D) return "channelsLast";
  // Turned around, padding adds channels, as ResNet's shortcuts do; flattening may have any order.
  const loose = [ZeroPadding2D, Cropping2D, Flatten].some((kind) => layer instanceof kind);
  return loose && !all ? undefined : (layer.config as { dataFormat?: DataFormat }).dataFormat;
}

/** What a layer without a `dataFormat` makes of its input's, or `backwards` its input's from its output's. */
function across(
  layer: Layer,
  format: DataFormat | undefined,
  backwards: boolean,
): DataFormat | undefined {
  if (format === undefined || layer instanceof Reshape) return undefined;
  if (!(layer instanceof Permute)) return format;
  const { dims } = layer.config;
  const axis = format === "channelsFirst" ? 1 : 3;
  const moved = backwards ? dims[axis - 1] : dims.indexOf(axis) + 1;
  return ({ 1: "channelsFirst", 3: "channelsLast" } as const)[moved as 1 | 3];
}

export const formatIn = ({ formats }: Parts, value: Value): DataFormat =>
  formats.get(value) ?? "channelsLast";

export const imageFormat = (parts: Parts): DataFormat => formatIn(parts, parts.inputs[0]!);

/** Sizes of the two axes of images beside the channels. */
export function areaOf(shape: BatchShape, format: DataFormat): (number | null)[] {
  return spatialAxes(format, 4).map((axis) => shape[axis]!);
}

/** A value of a model, as [batch, height, width, channels]. */
export function channelsLast(x: Tensor, format: DataFormat): Tensor {
  return format === "channelsLast" ? x : transpose(x, [0, 2, 3, 1]);
}

/** The values that a model with one input gives on its way. */
export function run(
  { calls, inputs: [image] }: Parts,
  x: Tensor,
  wanted: readonly Value[],
): Tensor[] {
  const values = new Map([[image!, x]]);
  const random = freshSource();
  for (const { layer, inputs, listed, training, outputs } of calls) {
    if (wanted.every((value) => values.has(value))) break;
    const given = inputs.map((value) => values.get(value)!);
    const context = { training, random, addLoss: () => {} };
    const made: Tensor | Tensor[] = layer.invoke(listed ? given : given[0]!, context);
    [made].flat().forEach((y, i) => {
      values.set(outputs[i]!, y);
    });
  }
  return wanted.map((value) => values.get(value)!);
}
