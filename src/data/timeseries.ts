/** Windows over a time series, with targets: what Keras' `timeseries_dataset_from_array` gives. */
import { ArgumentError, checkInteger, checkKeys, expected, ShapeError } from "../errors.js";
import { allocate, type DType, type TypedArray } from "../tensor/dtype.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type NestedArray, Tensor, tensor } from "../tensor/tensor.js";
import { Dataset, indexedDescription } from "./dataset.js";
import type { Indexed } from "./source.js";

/** Options of {@link timeseries}. */
export interface TimeseriesOptions {
  /** Steps of a window. */
  readonly sequenceLength: number;
  /** Steps from one window's start to the next; 1 by default. */
  readonly sequenceStride?: number | undefined;
  /** Steps of the series between two of a window; 1 by default. */
  readonly samplingRate?: number | undefined;
  /** First and last step (excluded) of the series to use. */
  readonly startIndex?: number | undefined;
  readonly endIndex?: number | undefined;
}

/** Options of {@link timeseries} for windows with targets. */
export interface TargetedTimeseriesOptions extends TimeseriesOptions {
  /** Row `i` is the target of the window that begins at step `i`, as in Keras. */
  readonly targets?: Tensor | TypedArray | NestedArray | undefined;
  /** Instead of `targets`: the target is the series this many steps after the window's last. */
  readonly horizon?: number | undefined;
  /** With `horizon`: which columns of the series are the target; all by default. */
  readonly targetColumns?: readonly number[] | undefined;
}

interface Series {
  readonly values: TypedArray;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly row: number;
}

/**
 * Windows over a series `[time]` or `[time, …]`: elements are windows `[sequenceLength, …]`, or
 * `[window, target]`. They can be shuffled by index and are copied out of the series one by one, so
 * that windows that overlap take no memory.
 *
 * @throws ArgumentError when the series is too short for a window.
 * @example
 * lw.data.timeseries(series, { sequenceLength: 24, horizon: 1 }).shuffle(Infinity).batch(32);
 */
export function timeseries(
  x: Tensor | TypedArray | NestedArray,
  options: TargetedTimeseriesOptions & ({ targets: NonNullable<unknown> } | { horizon: number }),
): Dataset<[window: Tensor, target: Tensor]>;
export function timeseries(
  x: Tensor | TypedArray | NestedArray,
  options: TimeseriesOptions,
): Dataset<Tensor>;
export function timeseries(
  x: Tensor | TypedArray | NestedArray,
  options: TargetedTimeseriesOptions,
): Dataset<never> {
  const where = "timeseries()";
  checkKeys(where, options, [
    "sequenceLength",
    "sequenceStride",
    "samplingRate",
    "startIndex",
    "endIndex",
    "targets",
    "horizon",
    "targetColumns",
  ]);
  const { sequenceLength, sequenceStride = 1, samplingRate = 1, targets, horizon } = options;
  checkInteger(where, "sequenceLength", sequenceLength, 1);
  checkInteger(where, "sequenceStride", sequenceStride, 1);
  checkInteger(where, "samplingRate", samplingRate, 1);
  if (targets !== undefined && horizon !== undefined) {
    throw new ArgumentError(`${where}: give \`targets\` or \`horizon\`, not both`);
  }
  if (horizon !== undefined) checkInteger(where, "horizon", horizon, 1);
  const series = seriesOf(`${where}: x`, x);
  const labels = targets === undefined ? null : seriesOf(`${where}: targets`, targets);
  const time = series.shape[0]!;
  const { startIndex = 0, endIndex = time } = options;
  checkInteger(where, "startIndex", startIndex, 0, time);
  checkInteger(where, "endIndex", endIndex, startIndex, time);
  const columns = columnsOf(where, series, options);
  const span = (sequenceLength - 1) * samplingRate + 1;
  let starts = endIndex - startIndex - span - (horizon ?? 0) + 1;
  if (labels) starts = Math.min(starts, labels.shape[0]! - startIndex);
  if (starts < 1) {
    throw new ArgumentError(
      `${where}: a window of ${sequenceLength} steps${horizon ? ` and a horizon of ${horizon}` : ""} spans ` +
        `${span + (horizon ?? 0)} steps, but there are ${endIndex - startIndex}${labels ? ` (${labels.shape[0]} targets)` : ""}`,
    );
  }
  const size = Math.floor((starts - 1) / sequenceStride) + 1;
  const window = windowOf(series, sequenceLength, samplingRate);
  const get = (index: number): unknown => {
    const start = startIndex + index * sequenceStride;
    const steps = window(start);
    if (labels) return [steps, rowOf(labels, start, null)];
    if (horizon === undefined) return steps;
    return [steps, rowOf(series, start + span - 1 + horizon, columns)];
  };
  return new Dataset(indexedDescription(where, { size, get } as Indexed<never>, size, () => null));
}

function seriesOf(where: string, given: Tensor | TypedArray | NestedArray | object): Series {
  const t = given instanceof Tensor ? given.current() : tensor(given as NestedArray);
  if (t.rank === 0) throw new ShapeError(expected(where, "[time] or [time, …]", "a scalar"));
  const shape = t.shape;
  return { values: t.dataSync(), shape, dtype: t.dtype, row: sizeOf(shape.slice(1)) };
}

function columnsOf(
  where: string,
  { shape }: Series,
  { targetColumns, horizon }: TargetedTimeseriesOptions,
): readonly number[] | null {
  if (targetColumns === undefined) return null;
  if (horizon === undefined) {
    throw new ArgumentError(`${where}: \`targetColumns\` needs a \`horizon\``);
  }
  if (shape.length !== 2) {
    throw new ShapeError(
      expected(`${where}: targetColumns`, "a series [time, columns]", showShape(shape)),
    );
  }
  targetColumns.forEach((column, i) => {
    checkInteger(where, `targetColumns[${i}]`, column, 0, shape[1]! - 1);
  });
  return targetColumns;
}

function windowOf(series: Series, length: number, rate: number): (start: number) => Tensor {
  const { values, row, dtype } = series;
  const shape = Object.freeze([length, ...series.shape.slice(1)]);
  return (start) => {
    if (rate === 1) {
      return new Tensor(shape, dtype, {
        values: values.subarray(start * row, (start + length) * row),
      });
    }
    const out = allocate(dtype, length * row);
    for (let t = 0; t < length; t++) {
      const from = (start + t * rate) * row;
      out.set(values.subarray(from, from + row), t * row);
    }
    return new Tensor(shape, dtype, { values: out });
  };
}

function rowOf(
  { values, row, dtype, shape }: Series,
  at: number,
  columns: readonly number[] | null,
) {
  if (columns === null) {
    return leaf(values.subarray(at * row, (at + 1) * row), shape.slice(1), dtype);
  }
  const out = allocate(dtype, columns.length);
  columns.forEach((column, i) => {
    out[i] = values[at * row + column]!;
  });
  return leaf(out, [columns.length], dtype);
}
