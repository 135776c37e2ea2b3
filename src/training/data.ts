/**
 * From what users pass as x, y and weights to checked arrays of samples: counts, shapes, dtypes, NaN
 * and class indices are looked at here, before anything runs. Nothing here knows of layers or steps.
 */
import {
  ArgumentError,
  checkNumber,
  DTypeError,
  expected,
  LayerwiseError,
  NonFiniteError,
  ShapeError,
  show,
} from "../errors.js";
import {
  classAxis,
  type LossFunction,
  lossConfig,
  takesClassIndices,
  wantsEqualShapes,
} from "../nn/losses.js";
import { type DType, isTypedArray, type TypedArray } from "../tensor/dtype.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { Tensor, type TensorLike, tensor } from "../tensor/tensor.js";

/** One tensor, several in order, or several by name. */
export type DataLike =
  | TensorLike
  | readonly (Tensor | TypedArray)[]
  | Readonly<Record<string, TensorLike>>;

/** What is known of an input or output before there is data; null for free dimensions. */
export interface Slot {
  readonly name: string;
  readonly shape: readonly (number | null)[];
  readonly dtype: DType;
}

/** Samples in one array, the first dimension being their number. */
export interface Samples {
  readonly name: string;
  readonly values: TypedArray;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Elements of one sample. */
  readonly rowSize: number;
}

/** Checked inputs, labels and weights of equally many samples. */
export interface Data {
  readonly count: number;
  readonly x: readonly Samples[];
  /** Null for an output without loss and metrics. */
  readonly y: readonly (Samples | null)[];
  readonly weights: readonly (Samples | null)[];
}

/** The samples from `from` up to but without `to`; shares memory. */
export function sliceSamples(samples: Samples, from: number, to: number): Samples {
  const { rowSize } = samples;
  return {
    ...samples,
    values: samples.values.subarray(from * rowSize, to * rowSize),
    shape: [to - from, ...samples.shape.slice(1)],
  };
}

/** As {@link sliceSamples}, for everything. */
export function sliceData(data: Data, from: number, to: number): Data {
  const part = <T extends Samples | null>(s: T): T =>
    // Null stays null, samples stay samples.
    (s === null ? null : sliceSamples(s, from, to)) as T;
  return {
    count: to - from,
    x: data.x.map(part),
    y: data.y.map(part),
    weights: data.weights.map(part),
  };
}

function samplesOf(name: string, t: { shape: Shape; dtype: DType; values: TypedArray }): Samples {
  return { name, ...t, rowSize: sizeOf(t.shape.slice(1)) };
}

/** The values for each slot, from a single value, an array in order or a record by name. */
export function perSlot(
  where: string,
  what: string,
  given: unknown,
  slots: readonly Slot[],
): (TensorLike | undefined)[] {
  if (slots.length === 1) {
    // An array of one tensor is the array of inputs; an array of numbers is the data itself.
    if (Array.isArray(given) && given.length === 1 && isTensorOrTyped(given[0])) {
      return [given[0] as TensorLike];
    }
    if (Array.isArray(given) && given.length > 1 && isTensorOrTyped(given[0])) {
      throw new ArgumentError(
        expected(where, `${what} as one tensor (${slots[0]!.name})`, `an array of ${given.length}`),
      );
    }
    if (!isRecord(given)) return [given as TensorLike];
  }
  const names = slots.map((s) => s.name);
  if (isRecord(given)) {
    for (const key of Object.keys(given)) {
      if (!names.includes(key)) {
        throw new ArgumentError(
          expected(where, `${what} by the names ${names.join(", ")}`, show(key)),
        );
      }
    }
    return names.map((name) => given[name] as TensorLike | undefined);
  }
  if (!Array.isArray(given) || given.length !== slots.length) {
    throw new ArgumentError(
      expected(
        where,
        `${what} as an array of ${slots.length} tensors (${names.join(", ")})`,
        Array.isArray(given) ? `an array of ${given.length}` : show(given),
      ),
    );
  }
  return given as TensorLike[];
}

function isTensorOrTyped(value: unknown): boolean {
  return value instanceof Tensor || ArrayBuffer.isView(value);
}

/** True for a plain object, which stands for values by name. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && !isTensorOrTyped(value)
  );
}

/** True when nothing of what is given has to be computed first. */
export function isSettled(given: unknown): boolean {
  if (given instanceof Tensor) return given.values !== undefined;
  if (Array.isArray(given))
    return given.every((item) => !(item instanceof Tensor) || isSettled(item));
  return !isRecord(given) || Object.values(given).every(isSettled);
}

/** Computes what is lazy among the given values, off the event loop. */
export async function settle(...given: readonly unknown[]): Promise<void> {
  const open: Promise<unknown>[] = [];
  const visit = (value: unknown): void => {
    if (value instanceof Tensor) {
      if (value.values === undefined) open.push(value.data());
    } else if (Array.isArray(value)) {
      // Numbers need no visit; a mixed array is rejected later.
      for (const item of value) if (item instanceof Tensor) visit(item);
    } else if (isRecord(value)) for (const item of Object.values(value)) visit(item);
  };
  for (const value of given) visit(value);
  if (open.length > 0) await Promise.all(open);
}

/** Values as a typed array with a shape. */
function materialize(
  where: string,
  name: string,
  value: unknown,
  slot: Slot,
): { shape: Shape; dtype: DType; values: TypedArray } {
  if (value === undefined || value === null) {
    throw new ArgumentError(`${where}: no data for ${name}`);
  }
  if (value instanceof Tensor) {
    const t = value.current();
    return { shape: t.shape, dtype: t.dtype, values: t.dataSync() };
  }
  if (ArrayBuffer.isView(value)) {
    // A typed array has no shape of its own: the samples' comes from the model.
    const flat = isTypedArray(value) ? tensor(value) : tensor(value as unknown as TypedArray);
    const inner = slot.shape.slice(1);
    if (inner.some((d) => d === null)) {
      throw new ShapeError(
        `${where}: ${name} is ${show(value)}, but its shape ${showShape(slot.shape)} is partly free; ` +
          "pass a tensor: lw.tensor(values, shape)",
      );
    }
    const size = sizeOf(inner as number[]);
    const count = size === 0 ? 0 : flat.size / size;
    if (!Number.isInteger(count)) {
      throw new ShapeError(
        `${where}: ${name} has ${flat.size} values, which is no multiple of the ${size} of a sample of shape ${showShape(inner)}`,
      );
    }
    return {
      shape: [count, ...(inner as number[])],
      dtype: flat.dtype,
      values: flat.dataSync(),
    };
  }
  const wanted = slot.dtype === "int32" ? "int32" : "float32";
  try {
    const t = tensor(value as TensorLike, undefined, wanted);
    return { shape: t.shape, dtype: t.dtype, values: t.dataSync() };
  } catch (error) {
    if (error instanceof LayerwiseError) error.message = `${where}: ${name}: ${error.message}`;
    throw error;
  }
}

/** One input's samples, checked against the model's input. */
export function inputSamples(where: string, value: unknown, slot: Slot): Samples {
  const what = `input ${show(slot.name)}`;
  let { shape, dtype, values } = materialize(where, what, value, slot);
  if (shape[0] === 0) throw new ArgumentError(`${where}: ${what} has no samples`);
  if (shape.length === 1 && slot.shape.length === 2 && slot.shape[1] === 1) shape = [shape[0]!, 1];
  const fits =
    shape.length === slot.shape.length &&
    slot.shape.every((d, i) => i === 0 || d === null || d === shape[i]);
  if (!fits) {
    const single =
      shape.length === slot.shape.length - 1 &&
      slot.shape.slice(1).every((d, i) => d === null || d === shape[i]);
    throw new ShapeError(
      expected(
        where,
        `${what} of shape ${showShape(slot.shape)}`,
        showShape(shape),
        single ? "for a single sample, add the batch dimension: x.expandDims(0)" : undefined,
      ),
    );
  }
  checkInputDType(where, what, dtype, slot);
  return samplesOf(slot.name, { shape, dtype, values });
}

/** Whatever an input holds exactly is cast to it; anything else would lose something. */
function checkInputDType(where: string, what: string, dtype: DType, slot: Slot): void {
  if (
    dtype !== slot.dtype &&
    slot.dtype !== "float32" &&
    !(slot.dtype === "int32" && dtype === "uint8")
  ) {
    throw new DTypeError(
      expected(where, `${what} as ${slot.dtype}`, dtype, `cast it first: x.cast("${slot.dtype}")`),
    );
  }
}

/** One sample of one input, without the batch dimension, checked against the model's input. */
export function singleSample(
  where: string,
  value: unknown,
  slot: Slot,
): { readonly shape: Shape; readonly values: TypedArray } {
  const what = `input ${show(slot.name)}`;
  const inner = slot.shape.slice(1);
  const material = materialize(where, what, value, slot);
  let { shape } = material;
  // A typed array comes back as a batch of the samples that it holds.
  if (ArrayBuffer.isView(value) && shape[0] === 1) shape = shape.slice(1);
  if (shape.length === 0 && inner.length === 1 && inner[0] === 1) shape = [1];
  const matches = (given: Shape): boolean =>
    given.length === inner.length && inner.every((d, i) => d === null || d === given[i]);
  if (!matches(shape)) {
    const batch = matches(shape.slice(1));
    throw new ShapeError(
      expected(
        where,
        `a sample of ${what} of shape ${showShape(inner)}`,
        ArrayBuffer.isView(value) ? value : showShape(shape),
        batch
          ? `a server takes one sample at a time, without the batch dimension${
              shape[0] === 1 ? "" : "; for many use model.predict()"
            }`
          : undefined,
      ),
    );
  }
  checkInputDType(where, what, material.dtype, slot);
  return { shape, values: material.values };
}

/** One output's labels, checked for the loss they are for. */
export function labelSamples(
  where: string,
  value: unknown,
  slot: Slot,
  loss: LossFunction | null,
): Samples {
  const what = `labels of output ${show(slot.name)}`;
  const sparse = loss !== null && takesClassIndices(loss);
  // A flat array of class indices has one value per position, not one per class.
  const shaped = sparse ? { ...slot, shape: slot.shape.slice(0, -1) } : slot;
  const material = materialize(where, what, value, shaped);
  const samples = samplesOf(slot.name, material);
  if (loss !== null) checkLabelShape(where, what, samples, slot, loss);
  checkLabelValues(where, what, samples, slot, loss, sparse);
  return samples;
}

function dimensionsFit(shape: Shape, wanted: readonly (number | null)[]): boolean {
  return (
    shape.length === wanted.length &&
    wanted.every((d, i) => i === 0 || d === null || d === shape[i])
  );
}

function checkLabelShape(
  where: string,
  what: string,
  { shape }: Samples,
  slot: Slot,
  loss: LossFunction,
): void {
  const output = slot.shape;
  const name = lossConfig(loss)?.name;
  if (takesClassIndices(loss)) {
    const axis = classAxis(loss, output.length);
    const indices = output.filter((_, i) => i !== axis);
    if (dimensionsFit(shape, indices) || dimensionsFit(shape, [...indices, 1])) return;
    const oneHot = dimensionsFit(shape, output);
    const perSample = shape.length === 1 || (shape.length === 2 && shape[1] === 1);
    throw new ShapeError(
      expected(
        `${where}: ${what}`,
        `class indices of shape ${showShape(indices)} for ${name}`,
        showShape(shape),
        oneHot
          ? "for one-hot labels use the loss categoricalCrossentropy"
          : perSample && output.length > 2
            ? `the output has shape ${showShape(output)}, while there is one label per sample: a flatten ` +
              "layer before the dense ones makes one row of each sample"
            : undefined,
      ),
    );
  }
  if (!wantsEqualShapes(loss)) return;
  const last = output[output.length - 1];
  if (dimensionsFit(shape, output)) return;
  if (last === 1 && dimensionsFit(shape, output.slice(0, -1))) return;
  if (dimensionsFit(shape, [...output, 1])) return;
  const indices =
    dimensionsFit(shape, output.slice(0, -1)) || dimensionsFit(shape, [...output.slice(0, -1), 1]);
  throw new ShapeError(
    expected(
      `${where}: ${what}`,
      `shape ${showShape(output)} as the output has`,
      showShape(shape),
      indices && /categorical/i.test(name ?? "")
        ? "for class indices use the loss sparseCategoricalCrossentropy"
        : undefined,
    ),
  );
}

function checkLabelValues(
  where: string,
  what: string,
  { values, dtype, rowSize }: Samples,
  slot: Slot,
  loss: LossFunction | null,
  sparse: boolean,
): void {
  const at = (i: number): string =>
    rowSize === 1 ? `sample ${i}` : `sample ${Math.floor(i / rowSize)}, position ${i % rowSize}`;
  if (dtype === "float32") {
    for (let i = 0; i < values.length; i++) {
      if (Number.isNaN(values[i]!)) {
        throw new NonFiniteError(`${where}: ${what} contain NaN at ${at(i)}`);
      }
    }
  }
  if (loss !== null && /^binary.*Crossentropy$/.test(lossConfig(loss)?.name ?? "")) {
    const wrong = values.findIndex((label) => label < 0 || label > 1);
    if (wrong >= 0) {
      throw new ArgumentError(
        `${where}: ${what}: ${at(wrong)} has label ${values[wrong]}, but ${lossConfig(loss)!.name} takes ` +
          "labels from 0 to 1; for more classes use sparseCategoricalCrossentropy, for labels of -1 and 1 hinge",
      );
    }
  }
  if (!sparse) return;
  const classes = slot.shape[classAxis(loss!, slot.shape.length)];
  if (typeof classes !== "number") return;
  const ignored = lossConfig(loss!)!.options.ignoreClass;
  for (let i = 0; i < values.length; i++) {
    const label = values[i]!;
    if (label >= 0 && label < classes && Number.isInteger(label)) continue;
    if (label === ignored) continue;
    throw new ArgumentError(
      `${where}: ${what}: ${at(i)} has label ${label}, but the output has ${classes} classes, so labels ` +
        `are integers from 0 to ${classes - 1}`,
    );
  }
}

/** What training and evaluation need beside the data itself. */
export interface DataRequest {
  readonly inputs: readonly Slot[];
  readonly outputs: readonly Slot[];
  /** The loss of each output; null without one. */
  readonly losses: readonly (LossFunction | null)[];
  /** Whether labels are wanted although there is no loss (for metrics). */
  readonly labelled: readonly boolean[];
}

/** A weight per sample for each output that has labels. */
export type SampleWeights = DataLike;

/** How much the samples of each class count; classes left out count 1. */
export type ClassWeights = Readonly<Record<number, number>>;

/** Checks everything and puts it side by side. */
export function gatherData(
  where: string,
  request: DataRequest,
  x: unknown,
  y: unknown,
  sampleWeight?: unknown,
): Data {
  const inputs = perSlot(where, "x", x, request.inputs).map((value, i) =>
    inputSamples(where, value, request.inputs[i]!),
  );
  const wanted = request.outputs.some((_, i) => request.losses[i] !== null || request.labelled[i]);
  const labels = wanted
    ? perSlot(where, "y", y, request.outputs)
    : request.outputs.map(() => undefined);
  const outputs = request.outputs.map((slot, i) =>
    request.losses[i] !== null || request.labelled[i]
      ? labelSamples(where, labels[i], slot, request.losses[i]!)
      : null,
  );
  const count = inputs[0]?.shape[0] ?? 0;
  for (const [kind, list] of [
    ["input", inputs],
    ["labels of output", outputs],
  ] as const) {
    for (const samples of list) {
      if (samples && samples.shape[0] !== count) {
        throw new ShapeError(
          `${where}: input ${show(inputs[0]!.name)} has ${count} samples, but ${kind} ${show(samples.name)} has ${samples.shape[0]}`,
        );
      }
    }
  }
  return {
    count,
    x: inputs,
    y: outputs,
    weights: weightsOf(where, request, outputs, count, sampleWeight),
  };
}

function weightsOf(
  where: string,
  { outputs }: DataRequest,
  labels: readonly (Samples | null)[],
  count: number,
  sampleWeight: unknown,
): (Samples | null)[] {
  const own: (Samples | null)[] = outputs.map(() => null);
  if (sampleWeight !== undefined && sampleWeight !== null) {
    const shared =
      outputs.length > 1 &&
      (sampleWeight instanceof Tensor ||
        ArrayBuffer.isView(sampleWeight) ||
        (Array.isArray(sampleWeight) && typeof sampleWeight[0] === "number"));
    const given = shared
      ? outputs.map(() => sampleWeight as TensorLike)
      : perSlot(where, "sampleWeight", sampleWeight, outputs);
    given.forEach((value, i) => {
      const samples = labels[i];
      if (value === undefined || value === null || !samples) return;
      own[i] = sampleWeights(where, value, samples, count);
    });
  }
  return own;
}

/** The samples with their weights times those of their classes; only training counts classes so. */
export function withClassWeights(
  where: string,
  { outputs }: DataRequest,
  data: Data,
  classWeight: ClassWeights | undefined,
): Data {
  if (classWeight === undefined) return data;
  if (typeof classWeight !== "object" || classWeight === null) {
    const wanted = "`classWeight` to be an object of weights by class";
    throw new ArgumentError(expected(where, wanted, show(classWeight)));
  }
  if (data.y.length > 1) {
    throw new ArgumentError(
      `${where}: classWeight works with one output only; pass sampleWeight by output instead`,
    );
  }
  const samples = data.y[0];
  if (!samples) throw new ArgumentError(`${where}: classWeight needs labels`);
  const weights = data.weights[0] ?? null;
  return {
    ...data,
    weights: [timesClassWeights(where, outputs[0]!, samples, weights, classWeight)],
  };
}

function sampleWeights(where: string, value: TensorLike, labels: Samples, count: number): Samples {
  const what = `sampleWeight for output ${show(labels.name)}`;
  const slot: Slot = { name: labels.name, shape: [null], dtype: "float32" };
  const { shape, dtype, values } = materialize(where, what, value, slot);
  if (shape.length === 0 || shape[0] !== count || shape.length > labels.shape.length) {
    throw new ShapeError(expected(`${where}: ${what}`, `shape [${count}]`, showShape(shape)));
  }
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i]!)) {
      throw new NonFiniteError(`${where}: ${what} is ${values[i]} at ${i}`);
    }
  }
  return samplesOf(labels.name, { shape, dtype, values });
}

function timesClassWeights(
  where: string,
  output: Slot,
  labels: Samples,
  weights: Samples | null,
  classWeight: ClassWeights,
): Samples {
  for (const [label, weight] of Object.entries(classWeight)) {
    if (!/^\d+$/.test(label)) {
      throw new ArgumentError(
        expected(`${where}: classWeight`, "class indices as keys", show(label)),
      );
    }
    checkNumber(`${where}: classWeight`, label, weight, 0);
    const last = output.shape[output.shape.length - 1];
    // One value per sample tells two classes apart.
    const classes = last === 1 ? 2 : last;
    if (typeof classes === "number" && Number(label) >= classes) {
      throw new ArgumentError(
        `${where}: classWeight: there is no class ${label}; output ${show(output.name)} has ${classes} ` +
          `classes, 0 to ${classes - 1}`,
      );
    }
  }
  const { shape, rowSize, values } = labels;
  // Several values of a sample are one-hot only if it has one prediction: else they are labels of its places.
  if (shape.length > 2 || (rowSize > 1 && output.shape.length > 2)) {
    throw new ShapeError(
      `${where}: classWeight needs one label per sample, but labels have shape ${showShape(shape)}; pass sampleWeight`,
    );
  }
  const count = shape[0]!;
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let label = values[i * rowSize]!;
    if (rowSize > 1) {
      // One-hot: the class is where the label is largest.
      label = 0;
      for (let c = 1; c < rowSize; c++) {
        if (values[i * rowSize + c]! > values[i * rowSize + label]!) label = c;
      }
    }
    out[i] = classWeight[label] ?? 1;
  }
  if (weights) {
    if (weights.rowSize !== 1) {
      throw new ShapeError(`${where}: classWeight can't be combined with a weight per position`);
    }
    for (let i = 0; i < count; i++) out[i]! *= weights.values[i]!;
  }
  return samplesOf(labels.name, { shape: [count], dtype: "float32", values: out });
}
