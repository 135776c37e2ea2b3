/**
 * Dataset: a description of a stream of elements that can be passed over any number of times, with the
 * methods that transform it. Nothing is read or computed before a pass asks for it. What the methods do
 * is in `transforms.ts`, `batching.ts`, `shuffle.ts`, `bucketing.ts` and `cache.ts`.
 */
import { ArgumentError, checkInteger, checkKeys, expected, show } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  type BatchOptions,
  batchCursor,
  Collator,
  checkBatch,
  type PaddedBatchOptions,
  paddedCollator,
} from "./batching.js";
import { type BucketOptions, bucketCursor, checkBuckets } from "./bucketing.js";
import { fileCache, memoryCache } from "./cache.js";
import { Breath, breathe, type Cursor, end, type Given, type Pass } from "./cursor.js";
import { type Batched, type ElementSpec, planOf, specOf } from "./elements.js";
import { epochOrder } from "./order.js";
import { passSeeds, type ShuffleOptions, shuffleCursor } from "./shuffle.js";
import { type Indexed, indexedCursor, type OrderOf } from "./source.js";
import { chainCursor, filterCursor, mapCursor, prefetchCursor, rangeCursor } from "./transforms.js";

/** Options of `map`. */
export interface MapOptions {
  /** How many calls of an async function may be under way; 1 by default. The order stays. */
  readonly concurrency?: number | undefined;
}

/** What a dataset is made from. */
export interface DatasetDescription<T> {
  /** What makes the elements, for messages. */
  readonly stage: string;
  /** Number of elements; Infinity for an endless one, null where it shows only in a pass. */
  readonly size: number | null;
  open(pass: Pass): Cursor<T>;
  /** Where elements can be had by their index. */
  readonly indexed?: { readonly source: Indexed<T>; readonly orderOf: OrderOf } | undefined;
  readonly rows?: RowBatches | undefined;
}

/**
 * Batches that are nothing but rows of arrays in some order: whoever has a faster way to pick rows than
 * by passing over the batches may take it.
 */
export interface RowBatches {
  /** The arrays, where in an element their rows are. */
  readonly whole: unknown;
  readonly batchSize: number;
  readonly dropRemainder: boolean;
  /** Every row once; null is as they lie. */
  readonly orderOf: OrderOf;
}

const within = (size: number | null, limit: number): number | null =>
  size === null ? (limit === 0 ? 0 : null) : Math.min(size, limit);

/**
 * A stream of elements for `model.fit`, `evaluate` and `predict`, or for a loop of your own:
 * `for await (const element of dataset)`. Make one with the functions of `lw.data`.
 *
 * Elements are numbers, strings, tensors and typed arrays, in tuples (`[x, y]`) and records. An array at
 * the top of an element is a tuple; within it, an array of numbers is data.
 *
 * @typeParam T what an element is
 */
export class Dataset<T> implements AsyncIterable<T> {
  /** Number of elements; Infinity for an endless dataset, null where it shows only in a pass. */
  readonly size: number | null;
  readonly #description: DatasetDescription<T>;
  /** Passes begun by iterating; each has its own order. */
  #passes = 0;

  /** @internal Use the functions of `lw.data`. */
  constructor(description: DatasetDescription<T>) {
    this.#description = description;
    this.size = description.size;
  }

  /** @internal Begins a pass. Whoever does must close it. */
  open(pass: Pass): Cursor<T> {
    return this.#description.open(pass);
  }

  /** @internal What makes the elements. */
  get stage(): string {
    return this.#description.stage;
  }

  /** @internal The arrays whose rows these batches are, where that is all they are. */
  get rows(): RowBatches | undefined {
    return this.#description.rows;
  }

  /** The elements, one after the other; leaving the loop early closes files and iterators. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    const cursor = this.open({ iteration: this.#passes++ });
    const breath = new Breath();
    try {
      for (;;) {
        const value = cursor.next();
        const got = value instanceof Promise ? await value : value;
        if (got === end) return;
        yield got;
        if (breath.due()) await breathe();
      }
    } finally {
      await cursor.close();
    }
  }

  /** All elements of one pass. */
  async toArray(): Promise<T[]> {
    if (this.size === Infinity) {
      throw new ArgumentError("toArray(): the dataset is endless; use take() first");
    }
    const elements: T[] = [];
    for await (const element of this) elements.push(element);
    return elements;
  }

  /**
   * Shape and dtype of the fields of the first element, in its structure.
   * @throws ArgumentError when there is no element.
   */
  async elementSpec(): Promise<ElementSpec> {
    const cursor = this.open({ iteration: 0 });
    try {
      const first = await cursor.next();
      if (first === end) throw new ArgumentError("elementSpec(): the dataset has no elements");
      return specOf(planOf(first));
    } finally {
      await cursor.close();
    }
  }

  /* ---- element by element ------------------------------------------------------------------------ */

  /**
   * Each element as `f` turns it; `f` may be async. Tensors that it returns are computed off the event
   * loop.
   * @throws in a pass, a DatasetError with the element's position and, as its cause, what `f` threw.
   */
  map<const U>(f: (element: T, index: number) => Given<U>, options: MapOptions = {}): Dataset<U> {
    checkFunction("map()", f);
    checkKeys("map()", options, ["concurrency"]);
    const { concurrency = 1 } = options;
    checkInteger("map()", "concurrency", concurrency, 1);
    return this.#derived("map()", this.size, (source) => mapCursor(source, f, concurrency));
  }

  /** The elements for which `keep` is true; it may be async. */
  filter<S extends T>(keep: (element: T, index: number) => element is S): Dataset<S>;
  filter(keep: (element: T, index: number) => Given<boolean>): Dataset<T>;
  filter(keep: (element: T, index: number) => Given<boolean>): Dataset<T> {
    checkFunction("filter()", keep);
    const size = this.size === 0 ? 0 : null;
    return this.#derived("filter()", size, (source) => filterCursor(source, keep));
  }

  /** The first `count` elements. */
  take(count: number): Dataset<T> {
    checkCount("take()", count);
    return (
      this.#reordered("take()", (order) => order.subarray(0, count)) ??
      this.#derived("take()", within(this.size, count), (s) => rangeCursor(s, 0, 1, count))
    );
  }

  /** All but the first `count` elements. */
  skip(count: number): Dataset<T> {
    checkCount("skip()", count);
    const size = this.size === null ? null : Math.max(0, this.size - count);
    return (
      this.#reordered("skip()", (order) => order.subarray(count)) ??
      this.#derived("skip()", this.size === Infinity ? Infinity : size, (s) =>
        rangeCursor(s, count, 1, Infinity),
      )
    );
  }

  /** Every `count`th element from position `index`: the part of one of `count` workers. */
  shard(count: number, index: number): Dataset<T> {
    checkInteger("shard()", "count", count, 1);
    checkInteger("shard()", "index", index, 0, count - 1);
    const { size } = this;
    const own = size === null ? null : Math.max(0, Math.ceil((size - index) / count));
    return (
      this.#reordered("shard()", (order) => order.filter((_, i) => i % count === index)) ??
      this.#derived("shard()", own, (s) => rangeCursor(s, index, count, Infinity))
    );
  }

  /** `[position, element]` of each. */
  enumerate(): Dataset<[index: number, element: T]> {
    return this.#derived("enumerate()", this.size, (source) =>
      mapCursor(source, (element, index): [number, T] => [index, element], 1),
    );
  }

  /* ---- order and number -------------------------------------------------------------------------- */

  /**
   * Random order: each element is drawn from a buffer of the next `bufferSize` elements. With a buffer
   * of at least `size`, all orders are equally likely; arrays and other datasets that can be asked by
   * index are then shuffled by their indices, and nothing is held in memory.
   *
   * With a seed, pass `n` (in `fit`: epoch `n`) has the same order in every run.
   */
  shuffle(bufferSize: number, options: ShuffleOptions = {}): Dataset<T> {
    const where = "shuffle()";
    if (bufferSize !== Infinity) checkInteger(where, "bufferSize", bufferSize, 1);
    checkKeys(where, options, ["seed", "reshuffleEachIteration"]);
    if (options.seed !== undefined) {
      checkInteger(where, "seed", options.seed, -(2 ** 31), 2 ** 32 - 1);
    }
    if (this.size === Infinity && bufferSize === Infinity) {
      throw new ArgumentError(`${where}: an endless dataset needs a \`bufferSize\``);
    }
    const seedOf = passSeeds(options);
    const { indexed } = this.#description;
    if (indexed && bufferSize >= this.size!) {
      return new Dataset(
        indexedDescription(this.stage, indexed.source, this.size!, (pass) => {
          const before = indexed.orderOf(pass);
          const order = epochOrder(this.size!, seedOf(pass));
          return before ? order.map((i) => before[i]!) : order;
        }),
      );
    }
    return this.#derived(where, this.size, (source, pass) =>
      shuffleCursor(source, bufferSize, seedOf(pass)),
    );
  }

  /** The dataset `count` times in a row; without end if it is left out. */
  repeat(count = Infinity): Dataset<T> {
    if (count !== Infinity) checkInteger("repeat()", "count", count, 0);
    return new Dataset<T>({
      stage: "repeat()",
      size: repeated(this.size, count),
      open: ({ iteration }) =>
        chainCursor((index, before) =>
          index >= count || (index > 0 && before === 0)
            ? null
            : this.open({ iteration: passWithin(iteration, index, count) }),
        ),
    });
  }

  /** These elements, then those of `other`. */
  concatenate<U>(other: Dataset<U>): Dataset<T | U> {
    if (!(other instanceof Dataset)) {
      throw new ArgumentError(expected("concatenate()", "a dataset", show(other)));
    }
    const parts: readonly Dataset<T | U>[] = [this, other];
    return new Dataset<T | U>({
      stage: "concatenate()",
      size: this.size === null || other.size === null ? null : this.size + other.size,
      open: (pass) => chainCursor((index) => parts[index]?.open(pass) ?? null),
    });
  }

  /* ---- batches ----------------------------------------------------------------------------------- */

  /**
   * `batchSize` elements side by side: each field becomes one tensor with the number of elements as its
   * first dimension, strings an array of strings.
   * @throws in a pass, ShapeError or DTypeError naming element and field where one differs.
   */
  batch(batchSize: number, options: BatchOptions = {}): Dataset<Batched<T>> {
    checkBatch("batch()", batchSize, options, []);
    const { dropRemainder = false } = options;
    const { indexed } = this.#description;
    const { whole, size } = indexed?.source ?? {};
    return new Dataset<Batched<T>>({
      stage: "batch()",
      size: batches(this.size, batchSize, dropRemainder),
      open: (pass) => {
        const source = this.open(pass);
        const quick = source.batch && quickBatches(source, batchSize, dropRemainder, this.size!);
        const cursor =
          quick || batchCursor(source, batchSize, dropRemainder, new Collator("batch()"));
        return cursor as Cursor<Batched<T>>; // the collator makes what Batched says
      },
      rows:
        whole !== undefined && size === this.size
          ? { whole, batchSize, dropRemainder, orderOf: indexed!.orderOf }
          : undefined,
    });
  }

  /**
   * As {@link Dataset.batch} for elements of different sizes: each field is filled up to the largest of
   * the batch, or to `paddedShapes`. With `lengths` an element is `[batch, lengths]`, the lengths an
   * int32 tensor `[n]`, for masks and packed recurrent layers.
   */
  paddedBatch(
    batchSize: number,
    options: PaddedBatchOptions<T> & { lengths: (element: T) => number },
  ): Dataset<[batch: Batched<T>, lengths: Tensor]>;
  paddedBatch(batchSize: number, options?: PaddedBatchOptions<T>): Dataset<Batched<T>>;
  paddedBatch(batchSize: number, options: PaddedBatchOptions<T> = {}): Dataset<unknown> {
    const where = "paddedBatch()";
    checkBatch(where, batchSize, options, ["paddedShapes", "paddingValues", "lengths"]);
    const { dropRemainder = false } = options;
    return this.#derived(where, batches(this.size, batchSize, dropRemainder), (source) =>
      batchCursor(source, batchSize, dropRemainder, paddedCollator(where, options)),
    );
  }

  /**
   * Padded batches of elements of similar length, so that little is padding: elements are sorted into
   * buckets by `length`, and a bucket that is full makes a batch. What is left in the buckets comes at
   * the end. Structure, ranks and dtypes are those of the first element, whatever the bucket.
   */
  bucketByLength(
    options: BucketOptions<T> & { lengths: true },
  ): Dataset<[batch: Batched<T>, lengths: Tensor]>;
  bucketByLength(options: BucketOptions<T>): Dataset<Batched<T>>;
  bucketByLength(options: BucketOptions<T>): Dataset<unknown> {
    const checked = checkBuckets(options);
    return this.#derived("bucketByLength()", this.size === Infinity ? Infinity : null, (source) =>
      bucketCursor(source, checked),
    );
  }

  /* ---- when --------------------------------------------------------------------------------------- */

  /**
   * Makes up to `count` elements ahead of need. `fit` prepares one batch while a step runs in any case;
   * more help where making a batch takes longer at times.
   */
  prefetch(count: number): Dataset<T> {
    checkInteger("prefetch()", "count", count, 1);
    return new Dataset<T>({
      stage: "prefetch()",
      size: this.size,
      open: (pass) => prefetchCursor(this.open(pass), count),
      rows: this.rows,
    });
  }

  /**
   * Keeps the elements of the first whole pass, in memory or in a file, and gives them from there in
   * all later ones. A file that is there already is used: remove it when what comes before changes.
   * Put it before what is random, such as `shuffle`.
   */
  cache(path?: string): Dataset<T> {
    if (path !== undefined && (typeof path !== "string" || path === "")) {
      throw new ArgumentError(expected("cache()", "the path of a file", show(path)));
    }
    const open = path === undefined ? memoryCache<T>() : fileCache<T>(path);
    return new Dataset<T>({
      stage: "cache()",
      size: this.size,
      open: (pass) => open(() => this.open(pass)),
    });
  }

  /** A dataset whose passes are cursors over the passes of this one. */
  #derived<U>(
    stage: string,
    size: number | null,
    cursor: (source: Cursor<T>, pass: Pass) => Cursor<U>,
  ): Dataset<U> {
    return new Dataset<U>({ stage, size, open: (pass) => cursor(this.open(pass), pass) });
  }

  /** The same elements, chosen by their indices; undefined where there are no indices. */
  #reordered(stage: string, choose: (order: Int32Array) => Int32Array): Dataset<T> | undefined {
    const { indexed } = this.#description;
    if (!indexed) return undefined;
    const all = epochOrder(this.size!, null);
    return new Dataset<T>(
      indexedDescription(stage, indexed.source, choose(all).length, (pass) =>
        choose(indexed.orderOf(pass) ?? all),
      ),
    );
  }
}

/** The number of the pass below a repetition. */
function passWithin(iteration: number, index: number, count: number): number {
  // Without an end there is one outer pass only; further ones begin elsewhere.
  return count === Infinity ? iteration * 2 ** 20 + index : iteration * count + index;
}

function repeated(size: number | null, count: number): number | null {
  if (size === 0 || count === 0) return 0;
  // Whatever its size is: endless, unless it turns out to be empty.
  if (count === Infinity) return Infinity;
  return size === null ? null : size * count;
}

function batches(size: number | null, batchSize: number, dropRemainder: boolean): number | null {
  if (size === null || size === Infinity) return size;
  return dropRemainder ? Math.floor(size / batchSize) : Math.ceil(size / batchSize);
}

function quickBatches(
  source: Cursor<unknown>,
  batchSize: number,
  dropRemainder: boolean,
  size: number,
): Cursor<unknown> {
  let left = dropRemainder ? Math.floor(size / batchSize) : Infinity;
  return {
    next: () => (left-- > 0 ? source.batch!(batchSize) : end),
    close: () => source.close(),
  };
}

/** The description of elements by index. */
export function indexedDescription<T>(
  stage: string,
  source: Indexed<T>,
  size: number,
  orderOf: OrderOf,
): DatasetDescription<T> {
  return {
    stage,
    size,
    open: (pass) => indexedCursor(stage, source, orderOf(pass)),
    indexed: { source, orderOf },
  };
}

function checkFunction(where: string, f: unknown): void {
  if (typeof f !== "function") throw new ArgumentError(expected(where, "a function", show(f)));
}

function checkCount(where: string, count: unknown): void {
  if (count !== Infinity) checkInteger(where, "count", count, 0);
}
