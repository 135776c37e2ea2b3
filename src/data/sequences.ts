/**
 * Sequences: padding to one length, windows over them, and the batches of truncated back-propagation
 * through time, whose streams go on from batch to batch.
 */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  ShapeError,
  show,
} from "../errors.js";
import {
  allocate,
  checkDType,
  type DType,
  isTypedArray,
  type TypedArray,
} from "../tensor/dtype.js";
import { type Shape, sameShape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type NestedArray, Tensor, tensor } from "../tensor/tensor.js";
import { Dataset, indexedDescription } from "./dataset.js";
import type { Indexed } from "./source.js";

/** One sequence: steps along the first dimension. */
export type SequenceLike = Tensor | TypedArray | readonly NestedArray[];

/** Options of {@link padSequences}. */
export interface PadSequencesOptions {
  /** Steps of the result; by default those of the longest sequence. */
  readonly maxLength?: number | undefined;
  /** Which end is filled up; `pre` by default, as in Keras. */
  readonly padding?: "pre" | "post" | undefined;
  /** Which end of a sequence that is too long is cut off; `pre` by default, as in Keras. */
  readonly truncating?: "pre" | "post" | undefined;
  /** What is filled in; 0 by default. */
  readonly value?: number | undefined;
  /** int32 by default, as in Keras. */
  readonly dtype?: DType | undefined;
}

/**
 * Sequences of different lengths in one tensor `[n, maxLength, …]`, filled up and cut to one length.
 *
 * @throws ShapeError when steps differ in shape; DTypeError when `dtype` can't hold a value.
 * @example
 * lw.data.padSequences([[1, 2], [3]]).arraySync(); // [[1, 2], [0, 3]]
 */
export function padSequences(
  sequences: readonly SequenceLike[],
  options: PadSequencesOptions = {},
): Tensor {
  const where = "padSequences()";
  checkKeys(where, options, ["maxLength", "padding", "truncating", "value", "dtype"], {
    maxlen: "maxLength",
  });
  const { padding = "pre", truncating = "pre", value = 0, dtype = "int32" } = options;
  checkChoice(where, "padding", padding, ["pre", "post"]);
  checkChoice(where, "truncating", truncating, ["pre", "post"]);
  checkNumber(where, "value", value);
  checkDType(where, dtype);
  if (!Array.isArray(sequences) || sequences.length === 0) {
    throw new ArgumentError(
      expected(where, "an array of sequences, at least one", show(sequences)),
    );
  }
  const list = sequences.map((sequence, i) =>
    sequenceOf(`${where}: sequence ${i}`, sequence, dtype),
  );
  const step = list.find(({ length }) => length > 0)?.step ?? [];
  list.forEach((sequence, i) => {
    if (sequence.length === 0 || sameShape(sequence.step, step)) return;
    throw new ShapeError(
      expected(
        `${where}: sequence ${i}`,
        `steps of shape ${showShape(step)}`,
        showShape(sequence.step),
      ),
    );
  });
  const length =
    options.maxLength ?? list.reduce((most, sequence) => Math.max(most, sequence.length), 0);
  checkInteger(where, "maxLength", length, 0);
  const size = sizeOf(step);
  const out = allocate(dtype, list.length * length * size);
  if (value !== 0) out.fill(tensor([value], [1], dtype).dataSync()[0]!);
  list.forEach(({ values, length: own }, i) => {
    const kept = Math.min(own, length);
    const from = truncating === "pre" ? own - kept : 0;
    const to = padding === "pre" ? length - kept : 0;
    out.set(values.subarray(from * size, (from + kept) * size), (i * length + to) * size);
  });
  return leaf(out, [list.length, length, ...step], dtype);
}

function sequenceOf(
  where: string,
  given: SequenceLike,
  dtype: DType,
): { values: TypedArray; length: number; step: Shape } {
  if (!Array.isArray(given) && !(given instanceof Tensor) && !isTypedArray(given)) {
    throw new ArgumentError(expected(where, "an array or a tensor", show(given)));
  }
  try {
    const t = given instanceof Tensor ? given.current() : null;
    const made = t
      ? tensor(t.dataSync(), t.shape, dtype)
      : tensor(given as NestedArray, undefined, dtype);
    if (made.rank === 0) throw new ShapeError("a sequence has at least one dimension");
    return { values: made.dataSync(), length: made.shape[0]!, step: made.shape.slice(1) };
  } catch (error) {
    if (error instanceof Error) error.message = `${where}: ${error.message}`;
    throw error;
  }
}

/** Options of {@link slidingWindows}. */
export interface SlidingWindowsOptions {
  /** Steps of a window. */
  readonly size: number;
  /** Steps from one window's start to the next; 1 by default. */
  readonly stride?: number | undefined;
  /** Whether windows at the end that are not full are given too; false by default. */
  readonly partial?: boolean | undefined;
}

/**
 * Windows over a sequence, as views of its memory where it is a typed array: `[a b c d]` with size 3
 * gives `[a b c]` and `[b c d]`.
 */
export function slidingWindows<S extends TypedArray | readonly unknown[] | string>(
  sequence: S,
  options: SlidingWindowsOptions,
): S[] {
  const where = "slidingWindows()";
  checkKeys(where, options, ["size", "stride", "partial"]);
  const { size, stride = 1, partial = false } = options;
  checkInteger(where, "size", size, 1);
  checkInteger(where, "stride", stride, 1);
  if (!isTypedArray(sequence) && !Array.isArray(sequence) && typeof sequence !== "string") {
    throw new ArgumentError(expected(where, "an array or a text", show(sequence)));
  }
  const windows: S[] = [];
  const { length } = sequence;
  for (let at = 0; partial ? at < length : at + size <= length; at += stride) {
    // A part of S is an S: views of typed arrays, copies of others.
    const part = isTypedArray(sequence)
      ? sequence.subarray(at, at + size)
      : sequence.slice(at, at + size);
    windows.push(part as S);
  }
  return windows;
}

/** Options of {@link bpttBatches}. */
export interface BpttOptions {
  /** Streams side by side. */
  readonly batchSize: number;
  /** Steps of a batch: how far gradients go back. */
  readonly steps: number;
  /** Whether the time is the first dimension, as recurrent kernels have it; false by default. */
  readonly timeMajor?: boolean | undefined;
  /** Whether a last batch of fewer steps is left out; true by default, as it needs a program of its own. */
  readonly dropRemainder?: boolean | undefined;
}

/**
 * Batches for truncated back-propagation through time (Williams, Peng 1990): the tokens are cut into
 * `batchSize` streams of equal length, and each batch takes the next `steps` of all of them. Row `i` of
 * a batch goes on where row `i` of the batch before ended, so a stateful recurrent network can carry its
 * state over. y is x one token later.
 *
 * Elements are batches `[x, y]`, int32 `[batchSize, steps]` (`[steps, batchSize]` with `timeMajor`); don't
 * shuffle them. Tokens at the end that fill no stream are left out.
 *
 * @throws ArgumentError when there are too few tokens for one batch; ShapeError when they are not in one
 * dimension.
 */
export function bpttBatches(
  tokens: TypedArray | readonly number[] | Tensor,
  options: BpttOptions,
): Dataset<[x: Tensor, y: Tensor]> {
  const where = "bpttBatches()";
  checkKeys(where, options, ["batchSize", "steps", "timeMajor", "dropRemainder"]);
  const { batchSize, steps, timeMajor = false, dropRemainder = true } = options;
  checkInteger(where, "batchSize", batchSize, 1);
  checkInteger(where, "steps", steps, 1);
  const { values, length: total, step } = sequenceOf(where, tokens, "int32");
  if (step.length > 0) {
    const got = showShape([total, ...step]);
    throw new ShapeError(expected(where, "tokens in one dimension", got));
  }
  // The last token of a stream is only a target.
  const length = Math.floor((total - 1) / batchSize);
  const count = dropRemainder ? Math.floor(length / steps) : Math.ceil(length / steps);
  if (count < 1) {
    const least = dropRemainder ? steps : 1;
    throw new ArgumentError(
      `${where}: ${total} tokens are too few for ${batchSize} streams of ` +
        `${least === 1 ? "1 step" : `${least} steps`}, which take ` +
        `${batchSize * least + 1}`,
    );
  }
  const part = (from: number, width: number): Tensor => {
    const out = new Int32Array(batchSize * width);
    for (let stream = 0; stream < batchSize; stream++) {
      for (let t = 0; t < width; t++) {
        out[timeMajor ? t * batchSize + stream : stream * width + t] =
          values[stream * length + from + t]!;
      }
    }
    return leaf(out, timeMajor ? [width, batchSize] : [batchSize, width], "int32");
  };
  const source: Indexed<[Tensor, Tensor]> = {
    size: count,
    get(index) {
      const from = index * steps;
      const width = Math.min(steps, length - from);
      return [part(from, width), part(from + 1, width)];
    },
  };
  return new Dataset(indexedDescription(where, source, count, () => null));
}
