/**
 * Looking inside a trained network: its filters, what its layers make of an image, which part of an image
 * speaks for a class, and which samples it gets wrong. Plain numbers come out; `plot/` draws them.
 */
import { gradientsOf } from "../autodiff/gradient.js";
import { ArgumentError, checkInteger, checkKeys, expected, ShapeError } from "../errors.js";
import type { Layer } from "../layers/layer.js";
import { SymbolicTensor } from "../layers/symbolic.js";
import { mul, relu } from "../ops/elementwise.js";
import { oneHot } from "../ops/gather.js";
import { resizeBilinear } from "../ops/image.js";
import { expandDims } from "../ops/movement.js";
import { asTensor } from "../ops/op.js";
import { mean, sum } from "../ops/reduce.js";
import { argMax } from "../ops/select.js";
import { logitsOfSoftmax } from "../ops/softmax.js";
import { withGraphKept } from "../tensor/scope.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { type Model, model as makeModel } from "./model.js";

/** One image as a batch. */
function batchOf(where: string, model: Model, image: TensorLike): Tensor {
  if (model.inputs.length !== 1) {
    throw new ArgumentError(
      expected(where, "a model with one input", `${model.inputs.length} inputs`),
    );
  }
  const x = asTensor(where, image);
  if (x.rank === 3) return expandDims(x, 0);
  if (x.rank === 4 && x.shape[0] === 1) return x;
  throw new ShapeError(
    expected(where, "one image [height, width, channels]", `shape ${showShape(x.shape)}`),
  );
}

/** What a layer gives within its model, if that is feature maps [batch, height, width, channels]. */
function mapsOf(layer: Layer): SymbolicTensor | undefined {
  if (layer.connections.length !== 1) return undefined;
  const { output } = layer;
  return output instanceof SymbolicTensor && output.rank === 4 ? output : undefined;
}

/** The layer that is named, or the last one whose maps are larger than a pixel. */
function chosenLayer(where: string, model: Model, name: string | undefined): Layer {
  if (name !== undefined) {
    const layer = model.getLayer(name);
    if (mapsOf(layer)) return layer;
    throw new ArgumentError(
      expected(where, "a layer that gives [batch, height, width, channels] once", layer.where),
    );
  }
  const spatial = model.layers.filter((layer) => {
    const shape = mapsOf(layer)?.shape;
    return (
      shape && layer.connections[0]!.inputs.length > 0 && (shape[1] ?? 2) * (shape[2] ?? 2) > 1
    );
  });
  const last = spatial.at(-1);
  if (last) return last;
  throw new ArgumentError(
    `${where}: no layer of ${model.where} gives feature maps [batch, height, width, channels]`,
  );
}

/** Options of {@link gradCam}. */
export interface GradCamOptions {
  /** Name of the layer whose maps are weighed; the last one with maps when left out. */
  readonly layer?: string;
  /** The class that is asked about; the most probable one when left out. */
  readonly classIndex?: number;
}

/** Which part of an image speaks for a class. */
export interface GradCam {
  readonly layer: string;
  readonly classIndex: number;
  /** What the model gives for the class: its probability, with a softmax output. */
  readonly output: number;
  readonly height: number;
  readonly width: number;
  /** From 0 to 1 for each pixel of the image, row by row; all 0 where nothing speaks for the class. */
  readonly map: Float32Array;
}

/**
 * Grad-CAM (Selvaraju et al. 2017): a layer's feature maps, each weighted by how much the class' score
 * grows with it, summed where that is positive, and enlarged to the image. The score is what goes into a
 * softmax at the end, if there is one.
 *
 * @param image one image as the model takes it, [height, width, channels] or [1, height, width, channels]
 * @throws ArgumentError for a model without feature maps or an unknown layer; ShapeError for several images.
 * @example
 * const { map, width, height } = await lw.gradCam(model, image);
 * lw.plot.imageGrid({ images: [{ pixels: lw.plot.overlay(pixels, map), channels: 3 }], … });
 */
export async function gradCam(
  model: Model,
  image: TensorLike,
  options: GradCamOptions = {},
): Promise<GradCam> {
  const where = "gradCam()";
  checkKeys(where, options, ["layer", "classIndex"]);
  const x = batchOf(where, model, image);
  const layer = chosenLayer(where, model, options.layer);
  const output = model.outputs[0]!;
  if (output.rank !== 2) {
    throw new ShapeError(
      expected(where, "a model that gives [batch, classes]", `shape ${showShape(output.shape)}`),
    );
  }
  const classes = output.shape[1]!;
  if (options.classIndex !== undefined) {
    checkInteger(where, "classIndex", options.classIndex, 0, classes - 1);
  }
  const both = makeModel({ inputs: model.inputs, outputs: [mapsOf(layer)!, output] });
  const { chosen, map, given } = withGraphKept(() => {
    const [maps, y] = both.apply(x) as [Tensor, Tensor];
    const which = options.classIndex === undefined ? argMax(y, -1) : [options.classIndex];
    const hot = oneHot(which, classes);
    const gradient = gradientsOf(sum(mul(logitsOfSoftmax(y) ?? y, hot)), [maps])[0]!;
    // α = mean of the gradient over the map; ReLU(Σ α · map)
    const weighted = relu(sum(mul(maps, mean(gradient, [1, 2], true)), -1, true));
    return {
      chosen: argMax(hot, -1),
      map: resizeBilinear(weighted, [x.shape[1]!, x.shape[2]!]),
      given: sum(mul(y, hot)),
    };
  });
  const values = Float32Array.from(await map.data());
  const largest = values.reduce((a, b) => Math.max(a, b), 0);
  if (largest > 0) for (let i = 0; i < values.length; i++) values[i]! /= largest;
  return {
    layer: layer.name,
    classIndex: (await chosen.data())[0]!,
    output: (await given.data())[0]!,
    height: x.shape[1]!,
    width: x.shape[2]!,
    map: values,
  };
}

/** Maps or filters of one layer: pictures of equal size. */
export interface LayerImages {
  readonly layer: string;
  readonly height: number;
  readonly width: number;
  /** Values of each picture, row by row. */
  readonly images: readonly Float32Array[];
}

/** Element [row, col, k] of pictures that are interleaved, as pictures one by one. */
function separated(values: ArrayLike<number>, height: number, width: number): Float32Array[] {
  const count = values.length / (height * width);
  return Array.from({ length: count }, (_, k) =>
    Float32Array.from({ length: height * width }, (_, i) => values[i * count + k]!),
  );
}

/**
 * What layers make of one image: a picture for each channel.
 *
 * @param layers names of layers; all convolutions when left out
 * @throws ArgumentError for a layer that gives no maps.
 */
export async function featureMaps(
  model: Model,
  image: TensorLike,
  layers?: readonly string[],
): Promise<LayerImages[]> {
  const where = "featureMaps()";
  const x = batchOf(where, model, image);
  const chosen =
    layers?.map((name) => chosenLayer(where, model, name)) ??
    model.layers.filter((layer) => mapsOf(layer) && kernelOf(layer));
  if (chosen.length === 0) {
    throw new ArgumentError(`${where}: ${model.where} has no convolutions over images`);
  }
  const several = makeModel({
    inputs: model.inputs,
    outputs: chosen.map((layer) => mapsOf(layer)!),
  });
  const maps = [several.apply(x) as Tensor | Tensor[]].flat();
  return Promise.all(
    maps.map(async (map, i) => {
      const [, height, width] = map.shape as [number, number, number];
      const images = separated(await map.data(), height, width);
      return { layer: chosen[i]!.name, height, width, images };
    }),
  );
}

/** The kernel of a convolution over images. */
function kernelOf(layer: Layer): Tensor | undefined {
  if (!layer.className.includes("Conv") || !layer.className.includes("2D")) return undefined;
  return layer.namedWeights().find(([name]) => /kernel/i.test(name))?.[1];
}

/**
 * The filters of a convolution over images: a picture for each filter and each channel it sees, filter by
 * filter.
 *
 * @param layer name of the layer; the first convolution when left out
 * @throws ArgumentError for a layer without filters.
 */
export async function filters(model: Model, layer?: string): Promise<LayerImages> {
  const where = "filters()";
  const found = layer === undefined ? model.layers.find((l) => kernelOf(l)) : model.getLayer(layer);
  const kernel = found && kernelOf(found);
  if (!found || !kernel) {
    const got = layer === undefined ? `${model.where} has none` : found!.where;
    throw new ArgumentError(expected(where, "a convolution over images", got));
  }
  const [height, width, channels, count = 1] = kernel.shape as [number, number, number, number?];
  const all = separated(await kernel.data(), height, width);
  // [channel, filter] to [filter, channel].
  const images = all.map((_, i) => all[(i % channels) * count + Math.floor(i / channels)]!);
  return { layer: found.name, height, width, images };
}

/** A sample whose most probable class is another than its own. */
export interface Misclassified {
  /** Position in the data. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** What the model gave for the class it predicted. */
  readonly output: number;
}

/**
 * The samples that a classifier gets wrong, the ones it was surest of first. A single output is the
 * probability of class 1.
 *
 * @param y a class number for each sample
 * @param limit how many to give at most
 */
export async function misclassified(
  model: Model,
  x: TensorLike,
  y: TensorLike,
  limit = Infinity,
): Promise<Misclassified[]> {
  const where = "misclassified()";
  const labels = await asTensor(where, y).data();
  const predicted = await model.predict(asTensor(where, x));
  const [count = 0, classes = 0] = predicted.shape;
  if (predicted.rank !== 2 || labels.length !== count) {
    throw new ShapeError(
      expected(
        where,
        `a class number for each of ${count} samples, and [samples, classes] predicted`,
        `${labels.length} and ${showShape(predicted.shape)}`,
      ),
    );
  }
  const outputs = await predicted.data();
  const wrong: Misclassified[] = [];
  for (let i = 0; i < count; i++) {
    const row = outputs.subarray(i * classes, (i + 1) * classes);
    // A single output says of class 0 what it leaves.
    const given = classes === 1 ? [1 - row[0]!, row[0]!] : row;
    const best = given.indexOf(Math.max(...given));
    if (best !== labels[i]) {
      wrong.push({ index: i, label: labels[i]!, predicted: best, output: given[best]! });
    }
  }
  return wrong.sort((a, b) => b.output - a.output).slice(0, limit);
}
