/** Batches of elements of similar length: Keras' and tf.data's way to waste little on padding. */
import { ArgumentError, checkInteger, checkKeys, expected, show } from "../errors.js";
import {
  type Collator,
  Form,
  type PaddedBatchOptions,
  type PaddedShapes,
  paddedCollator,
} from "./batching.js";
import { type Cursor, type End, elementError, end, type Maybe, more, pull } from "./cursor.js";

/** Options of `bucketByLength`. */
export interface BucketOptions<T> extends Omit<PaddedBatchOptions<T>, "lengths" | "paddedShapes"> {
  /** The length that counts, such as `([x]) => x.shape[0]`. */
  readonly length: (element: T) => number;
  /** Upper bounds of the buckets, each excluded, in rising order; the last bucket has none. */
  readonly boundaries: readonly number[];
  /** Elements of a batch: one number, or one for each bucket (one more than there are boundaries). */
  readonly batchSizes: number | readonly number[];
  /** Whether fields are filled up to the bucket's largest length, so that shapes are few; not the last bucket. */
  readonly padToBoundary?: boolean | undefined;
  /** As for `paddedBatch`; with `padToBoundary` null dimensions get the bucket's length. */
  readonly paddedShapes?: PaddedShapes | undefined;
  /** Whether elements become `[batch, lengths]`. */
  readonly lengths?: boolean | undefined;
}

interface Bucket {
  readonly size: number;
  readonly collator: Collator;
  rows: unknown[];
  /** Where in the source they stood. */
  positions: number[];
}

/** Bucket options, checked. */
export interface CheckedBuckets {
  readonly length: (element: unknown) => number;
  readonly boundaries: readonly number[];
  readonly dropRemainder: boolean;
  /** The buckets of a pass, whose elements have one form. */
  makeBuckets(form: Form): Bucket[];
}

const where = "bucketByLength()";

/** Checks what `bucketByLength` was given. */
export function checkBuckets<T>(options: BucketOptions<T>): CheckedBuckets {
  if (typeof options !== "object" || options === null) {
    throw new ArgumentError(expected(where, "an object with options", show(options)));
  }
  checkKeys(where, options, [
    "length",
    "boundaries",
    "batchSizes",
    "padToBoundary",
    "paddedShapes",
    "paddingValues",
    "dropRemainder",
    "lengths",
  ]);
  const { boundaries, batchSizes, padToBoundary = false, paddedShapes } = options;
  const length = options.length as (element: unknown) => number;
  if (typeof length !== "function") {
    throw new ArgumentError(expected(where, "`length` to be a function", show(length)));
  }
  if (!Array.isArray(boundaries) || boundaries.length === 0) {
    throw new ArgumentError(
      expected(where, "`boundaries` as an array of lengths", show(boundaries)),
    );
  }
  boundaries.forEach((boundary: unknown, i) => {
    checkInteger(where, `boundaries[${i}]`, boundary, i === 0 ? 1 : boundaries[i - 1] + 1);
  });
  const count = boundaries.length + 1;
  const sizes: readonly unknown[] =
    typeof batchSizes === "number" ? Array(count).fill(batchSizes) : batchSizes;
  if (!Array.isArray(sizes) || sizes.length !== count) {
    throw new ArgumentError(
      expected(where, `\`batchSizes\` as a number or ${count} of them`, show(batchSizes)),
    );
  }
  sizes.forEach((size: unknown, i) => {
    checkInteger(where, `batchSizes[${i}]`, size, 1);
  });
  if (padToBoundary && paddedShapes === undefined) {
    throw new ArgumentError(
      `${where}: \`padToBoundary\` needs \`paddedShapes\` to say which dimensions are lengths: null in ` +
        "those, and the size in all others",
    );
  }
  const shapesOf = (bucket: number): PaddedShapes | undefined =>
    padToBoundary && bucket < boundaries.length
      ? filled(paddedShapes!, boundaries[bucket]! - 1)
      : paddedShapes;
  return {
    length,
    boundaries,
    dropRemainder: options.dropRemainder ?? false,
    makeBuckets: (form) =>
      sizes.map((size: number, i) => ({
        size,
        collator: paddedCollator(
          where,
          {
            paddedShapes: shapesOf(i),
            paddingValues: options.paddingValues,
            ...(options.lengths ? { lengths: length } : {}),
          },
          form,
        ),
        rows: [],
        positions: [],
      })),
  };
}

/** The shapes with `length` for null. */
function filled(shapes: PaddedShapes, length: number): PaddedShapes {
  if (Array.isArray(shapes)) {
    return shapes.map((part) =>
      part === null ? length : typeof part === "object" ? filled(part, length) : part,
    ) as PaddedShapes;
  }
  return Object.fromEntries(
    Object.entries(shapes as { readonly [name: string]: PaddedShapes }).map(([key, part]) => [
      key,
      filled(part, length),
    ]),
  );
}

/** A cursor of batches from buckets. */
export function bucketCursor(
  source: Cursor<unknown>,
  { length, boundaries, dropRemainder, makeBuckets }: CheckedBuckets,
): Cursor<unknown> {
  const form = new Form();
  const buckets = makeBuckets(form);
  let position = 0;
  let ended = false;
  const finish = (bucket: Bucket): unknown => {
    const { rows, positions } = bucket;
    bucket.rows = [];
    bucket.positions = [];
    return bucket.collator.collate(rows, positions);
  };
  const rest = (): unknown => {
    const bucket = dropRemainder ? undefined : buckets.find((b) => b.rows.length > 0);
    return bucket ? finish(bucket) : end;
  };
  const take = (value: unknown): unknown => {
    if (value === end) {
      ended = true;
      return rest();
    }
    const at = position++;
    const bucket = buckets[bucketOf(value, at)]!;
    bucket.positions.push(at);
    return bucket.rows.push(value) < bucket.size ? more : finish(bucket);
  };
  const bucketOf = (value: unknown, at: number): number => {
    let measured: number;
    try {
      measured = length(value);
      if (!Number.isInteger(measured) || measured < 0) {
        throw new ArgumentError(expected("length", "an integer ≥ 0", show(measured)));
      }
      // The first element of the pass need not be in the bucket that is full first.
      form.settle(value);
    } catch (error) {
      throw elementError(where, at, error);
    }
    const found = boundaries.findIndex((boundary) => measured < boundary);
    return found < 0 ? boundaries.length : found;
  };
  return {
    next: () => (ended ? rest() : (pull(source, take) as Maybe<unknown | End>)),
    close: () => source.close(),
  };
}
