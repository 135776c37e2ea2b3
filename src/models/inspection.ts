/**
 * Looking inside a trained network: its filters, what its layers make of an image, which part of an image
 * speaks for a class, and which samples it gets wrong. Plain numbers come out; `plot/` draws them.
 */
import { gradientsOf } from "../autodiff/gradient.js";
import { end } from "../data/cursor.js";
import type { Dataset } from "../data/dataset.js";
import {
  ArgumentError,
  checkInteger,
  checkKeys,
  expected,
  nearest,
  ShapeError,
  show,
} from "../errors.js";
import type { Layer } from "../layers/layer.js";
import { agrees } from "../network/network.js";
import { cast, mul, relu } from "../ops/elementwise.js";
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
import { type DataLike, perSlot } from "../training/data.js";
import { BatchStream, isDataset, type TrainingBatch } from "../training/stream.js";
import {
  areaOf,
  channelsLast,
  formatIn,
  imageFormat,
  type Parts,
  type Place,
  run,
  takeApart,
  type Value,
} from "./anatomy.js";
import type { Model } from "./model.js";

/** One image as a batch. */
function batchOf(where: string, parts: Parts, image: TensorLike): Tensor {
  const [input, ...more] = parts.model.inputs;
  if (!input || more.length > 0) {
    throw new ArgumentError(expected(where, "a model with one input", `${1 + more.length} inputs`));
  }
  const axes = imageFormat(parts) === "channelsLast" ? imageAxes : turnedAxes;
  const given = asTensor(where, image);
  const x = given.rank === 3 ? expandDims(given, 0) : given;
  if (x.rank !== 4 || x.shape[0] !== 1) {
    throw new ShapeError(expected(where, `one image [${axes}]`, `shape ${showShape(x.shape)}`));
  }
  const sample = input.shape.slice(1);
  if (!agrees(x.shape.slice(1), sample)) {
    const wanted = `an image [${axes}] of shape ${showShape(sample)}`;
    throw new ShapeError(expected(where, wanted, showShape(x.shape.slice(1))));
  }
  // As `predict` does.
  return input.dtype === "float32" ? cast(x, "float32") : x;
}

const imageAxes = "height, width, channels";
const turnedAxes = "channels, height, width";

/** What a place gives, if that is feature maps and it is the only one of its name. */
function mapsOf({ calls, others }: Parts, { name, outputs }: Place): Value | undefined {
  const [maps, ...more] = outputs;
  if (!maps || more.length > 0 || maps.shape.length !== 4) return undefined;
  return [...calls, ...others].filter((place) => place.name === name).length === 1
    ? maps
    : undefined;
}

/** The place of this name. */
function placeOf(where: string, { model, calls, others }: Parts, name: string): Place {
  const places = [...calls, ...others];
  const found = places.find((place) => place.name === name);
  if (found) return found;
  const names = [...new Set(places.map((place) => place.name))];
  const near = names.find((n) => n.endsWith(`/${name}`)) ?? nearest(name, names);
  const hint = near ? `did you mean ${show(near)}?` : `its layers are ${names.join(", ")}`;
  throw new ArgumentError(
    expected(where, `the name of a layer of ${model.where}`, show(name), hint),
  );
}

/** The place that is named, or the last one whose maps are larger than a pixel. */
function chosenPlace(where: string, parts: Parts, name: string | undefined): Place {
  if (name !== undefined) {
    const place = placeOf(where, parts, name);
    if (mapsOf(parts, place)) return place;
    throw new ArgumentError(
      expected(where, `a layer that gives [batch, ${imageAxes}] once`, place.layer.where),
    );
  }
  const last = parts.calls.findLast((call) => {
    const maps = mapsOf(parts, call);
    if (!maps) return false;
    const [height, width] = areaOf(maps.shape, formatIn(parts, maps));
    return (height ?? 2) * (width ?? 2) > 1;
  });
  if (last) return last;
  throw new ArgumentError(
    `${where}: no layer of ${parts.model.where} gives feature maps [batch, ${imageAxes}]`,
  );
}

/** Options of {@link gradCam}. */
export interface GradCamOptions {
  /**
   * Name of the layer whose maps are weighed, "block/conv" for one in a model inside; the last one with
   * maps when left out.
   */
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
 * @param image one image as the model takes it: [height, width, channels], or [channels, height, width]
 * where its layers have the channels first; a batch of one will do
 * @throws ArgumentError for a model without feature maps or an unknown layer; ShapeError for several images.
 * @example
 * const { map, width, height } = await lw.gradCam(model, image);
 * const images = [{ pixels: lw.plot.overlay(pixels, map), channels: 3 }];
 * lw.plot.imageGrid({ images, imageWidth: width, imageHeight: height });
 */
export async function gradCam(
  model: Model,
  image: TensorLike,
  options: GradCamOptions = {},
): Promise<GradCam> {
  const where = "gradCam()";
  checkKeys(where, options, ["layer", "classIndex"]);
  const parts = takeApart(model);
  const x = batchOf(where, parts, image);
  const place = chosenPlace(where, parts, options.layer);
  const output = parts.outputs[0]!;
  if (output.shape.length !== 2) {
    throw new ShapeError(
      expected(where, "a model that gives [batch, classes]", `shape ${showShape(output.shape)}`),
    );
  }
  const classes = output.shape[1]!;
  if (options.classIndex !== undefined) {
    checkInteger(where, "classIndex", options.classIndex, 0, classes - 1);
  }
  const value = mapsOf(parts, place)!;
  const format = formatIn(parts, value);
  const [height, width] = areaOf(x.shape, imageFormat(parts)) as [number, number];
  const { chosen, map, given } = withGraphKept(() => {
    const [maps, y] = run(parts, x, [value, output]) as [Tensor, Tensor];
    const which = options.classIndex === undefined ? argMax(y, -1) : [options.classIndex];
    const hot = oneHot(which, classes);
    const gradient = gradientsOf(sum(mul(logitsOfSoftmax(y) ?? y, hot)), [maps])[0]!;
    // α = mean of the gradient over the map; ReLU(Σ α · map)
    const weights = mean(channelsLast(gradient, format), [1, 2], true);
    const weighted = relu(sum(mul(channelsLast(maps, format), weights), -1, true));
    return {
      chosen: argMax(hot, -1),
      map: resizeBilinear(weighted, [height, width]),
      given: sum(mul(y, hot)),
    };
  });
  const values = Float32Array.from(await map.data());
  const largest = values.reduce((a, b) => Math.max(a, b), 0);
  if (largest > 0) for (let i = 0; i < values.length; i++) values[i]! /= largest;
  return {
    layer: place.name,
    classIndex: (await chosen.data())[0]!,
    output: (await given.data())[0]!,
    height,
    width,
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
 * @param image as for {@link gradCam}
 * @param layers names of layers, "block/conv" for one in a model inside; all convolutions when left out
 * @throws ArgumentError for a layer that gives no maps.
 */
export async function featureMaps(
  model: Model,
  image: TensorLike,
  layers?: readonly string[],
): Promise<LayerImages[]> {
  const where = "featureMaps()";
  const parts = takeApart(model);
  const x = batchOf(where, parts, image);
  const chosen =
    layers?.map((name) => chosenPlace(where, parts, name)) ??
    parts.calls.filter((call) => mapsOf(parts, call) && kernelOf(call.layer));
  if (chosen.length === 0) {
    throw new ArgumentError(`${where}: ${model.where} has no convolutions over images`);
  }
  const values = chosen.map((place) => mapsOf(parts, place)!);
  const maps = run(parts, x, values).map((map, i) =>
    channelsLast(map, formatIn(parts, values[i]!)),
  );
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
 * @param layer name of the layer, "block/conv" for one in a model inside; the first convolution when left out
 * @throws ArgumentError for a layer without filters.
 */
export async function filters(model: Model, layer?: string): Promise<LayerImages> {
  const where = "filters()";
  const parts = takeApart(model);
  const found =
    layer === undefined
      ? parts.calls.find((call) => kernelOf(call.layer))
      : placeOf(where, parts, layer);
  const kernel = found && kernelOf(found.layer);
  if (!found || !kernel) {
    const got = found ? found.layer.where : `${model.where} has none`;
    throw new ArgumentError(expected(where, "a convolution over images", got));
  }
  const [height, width, channels, count = 1] = kernel.shape as [number, number, number, number?];
  const all = separated(await kernel.data(), height, width);
  // [channel, filter] to [filter, channel]; what is transposed, or has filters for each channel, is in order.
  const images = /Transpose|Depthwise|Separable/.test(found.layer.className)
    ? all
    : all.map((_, i) => all[(i % channels) * count + Math.floor(i / channels)]!);
  return { layer: found.name, height, width, images };
}

/** A sample whose most probable class is another than its own. */
export interface Misclassified {
  /** Position in the data, counted over all batches of a dataset. */
  readonly index: number;
  readonly label: number;
  readonly predicted: number;
  /** What the model gave for the class it predicted. */
  readonly output: number;
}

/** Batches to ask a model about: of arrays the only one, of a dataset one after the other. */
async function* batchesOf(
  where: string,
  x: DataLike | Dataset<TrainingBatch>,
  y: unknown,
): AsyncGenerator<{ readonly at: string; readonly x: DataLike; readonly y: unknown }> {
  if (!isDataset(x)) {
    yield { at: where, x, y };
    return;
  }
  if (x.size === Infinity) {
    throw new ArgumentError(`${where}: the dataset is endless, so take a part: dataset.take(n)`);
  }
  const stream = new BatchStream(where, x);
  try {
    if ((await stream.peek()) === end) {
      throw new ArgumentError(`${where}: the dataset has no batches`);
    }
    for (let batch = await stream.next(); batch !== end; batch = await stream.next()) {
      // What is no data is told by `predict`.
      yield { at: `${where}: ${stream.at(batch.index)}`, x: batch.x as DataLike, y: batch.y };
    }
  } finally {
    await stream.close();
  }
}

/** The class of each sample, from class numbers or one-hot rows. */
async function classesOf(
  where: string,
  model: Model,
  y: unknown,
  count: number,
  outputs: number,
): Promise<number[]> {
  const given = perSlot(where, "y", y, model.outputs)[0];
  if (given === undefined) throw new ArgumentError(`${where}: there are no labels`);
  const labels = asTensor(where, given);
  const [rows, width = 1] = labels.shape;
  const fits = labels.rank === 1 || (labels.rank === 2 && (width === 1 || width === outputs));
  if (!fits || rows !== count) {
    const oneHot = outputs > 1 ? `, or one-hot labels [${count}, ${outputs}]` : "";
    const wanted = `a class number for each of ${count} samples${oneHot}`;
    throw new ShapeError(expected(where, wanted, `shape ${showShape(labels.shape)}`));
  }
  const values = Array.from(await labels.data());
  // A single output tells two classes apart.
  const largest = Math.max(outputs, 2) - 1;
  return Array.from({ length: count }, (_, i) => {
    const row = values.slice(i * width, (i + 1) * width);
    const label = width > 1 ? classOfRow(row) : row[0]!;
    if (Number.isInteger(label) && label >= 0 && label <= largest) return label;
    const wanted = width > 1 ? "one class in each row" : `class numbers from 0 to ${largest}`;
    throw new ArgumentError(
      expected(where, `labels with ${wanted}`, `${show(width > 1 ? row : label)} for sample ${i}`),
    );
  });
}

/** The class that a one-hot row names, smoothed or not; −1 if it is no such row. */
function classOfRow(row: readonly number[]): number {
  const most = Math.max(...row);
  const total = row.reduce((a, b) => a + b, 0);
  const good = row.every((v) => v >= 0) && Math.abs(total - 1) < 1e-3;
  return good && row.indexOf(most) === row.lastIndexOf(most) ? row.indexOf(most) : -1;
}

/**
 * The samples that a classifier gets wrong, the ones it was surest of first. A single output is the
 * probability of class 1.
 *
 * @param y a class number for each sample, or a one-hot row, smoothed or not
 * @param limit how many to give at most
 * @throws ShapeError for labels of another shape; ArgumentError for labels that are no classes.
 */
export async function misclassified(
  model: Model,
  x: DataLike,
  y: DataLike,
  limit?: number,
): Promise<Misclassified[]>;
/** The same of a dataset's batches, as `evaluate` takes them; it is passed over once. */
export async function misclassified(
  model: Model,
  dataset: Dataset<TrainingBatch>,
  limit?: number,
): Promise<Misclassified[]>;
export async function misclassified(
  model: Model,
  x: DataLike | Dataset<TrainingBatch>,
  y?: DataLike,
  limit?: number,
): Promise<Misclassified[]> {
  const where = "misclassified()";
  const most = isDataset(x) ? (y ?? Infinity) : (limit ?? Infinity);
  if (typeof most !== "number" || (isDataset(x) && limit !== undefined)) {
    throw new ArgumentError(
      expected(where, "a dataset and a limit", show(y), "its elements hold x and y"),
    );
  }
  if (most !== Infinity) checkInteger(where, "limit", most, 0);
  const wrong: Misclassified[] = [];
  let first = 0;
  for await (const { at, ...batch } of batchesOf(where, x, y)) {
    const predicted: Tensor | Tensor[] = await model.predict(batch.x);
    if (Array.isArray(predicted) || predicted.rank !== 2) {
      const got = model.outputs.map(({ shape }) => showShape(shape)).join(" and ");
      throw new ShapeError(expected(where, "a model that gives [batch, classes]", got));
    }
    const [count, classes] = predicted.shape as [number, number];
    const labels = await classesOf(at, model, batch.y, count, classes);
    const outputs = await predicted.data();
    for (let i = 0; i < count; i++) {
      const row = outputs.subarray(i * classes, (i + 1) * classes);
      // A single output says of class 0 what it leaves.
      const given = classes === 1 ? [1 - row[0]!, row[0]!] : row;
      const best = given.indexOf(Math.max(...given));
      if (best === labels[i]) continue;
      wrong.push({ index: first + i, label: labels[i]!, predicted: best, output: given[best]! });
    }
    first += count;
  }
  return wrong.sort((a, b) => b.output - a.output).slice(0, most);
}
