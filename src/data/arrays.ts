/**
 * Datasets of what is in memory or comes from functions: arrays, iterables, generators, elements by
 * index; and several datasets side by side.
 */
import { ArgumentError, checkInteger, checkKeys, expected, ShapeError, show } from "../errors.js";
import { allocate, type TypedArray } from "../tensor/dtype.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type NestedArray, Tensor, tensor } from "../tensor/tensor.js";
import { after, type Given, type Maybe, promised } from "./cursor.js";
import { Dataset, indexedDescription } from "./dataset.js";
import { assemble, fieldsOf, leavesOf, type Plan, planOf } from "./elements.js";
import { type Indexed, type IterableSource, iteratorCursor } from "./source.js";
import { zipCursor } from "./transforms.js";

/** Samples along the first dimension: a tensor, an array, or several of them in order or by name. */
export type ArraysLike =
  | Tensor
  | TypedArray
  | NestedArray
  | readonly (Tensor | TypedArray)[]
  | Readonly<Record<string, Tensor | TypedArray | NestedArray>>;

/** One sample of an {@link ArraysLike}. */
export type SampleOf<A> = A extends Tensor | TypedArray | readonly NestedArray[]
  ? Tensor
  : A extends readonly (Tensor | TypedArray)[]
    ? { -readonly [K in keyof A]: Tensor }
    : A extends object
      ? { [K in keyof A]: Tensor }
      : never;

/** One array whose rows are samples. */
interface Rows {
  readonly source: Tensor;
  /** Shape of a sample. */
  readonly shape: Shape;
  readonly size: number;
}

/**
 * Samples of arrays: element `i` holds row `i` of each, as tensors that share their memory. With one
 * argument elements are those of `x`; with two `[x, y]`, with three `[x, y, sampleWeight]`, as `fit`
 * wants them. A typed array has one value per sample; give a tensor where there are more.
 *
 * @throws ShapeError when the numbers of samples differ.
 * @example
 * lw.data.fromArrays(train.x, train.y).shuffle(Infinity).batch(32);
 */
export function fromArrays<const X extends ArraysLike>(x: X): Dataset<SampleOf<X>>;
export function fromArrays<const X extends ArraysLike, const Y extends ArraysLike>(
  x: X,
  y: Y,
): Dataset<[SampleOf<X>, SampleOf<Y>]>;
export function fromArrays<
  const X extends ArraysLike,
  const Y extends ArraysLike,
  const W extends ArraysLike,
>(x: X, y: Y, sampleWeight: W): Dataset<[SampleOf<X>, SampleOf<Y>, SampleOf<W>]>;
export function fromArrays(...arrays: readonly ArraysLike[]): Dataset<never> {
  const where = "fromArrays()";
  if (arrays.length < 1 || arrays.length > 3) {
    throw new ArgumentError(expected(where, "x, y and sampleWeight", `${arrays.length} arguments`));
  }
  const absent = arrays.findIndex((array) => array === undefined || array === null);
  if (absent >= 0) {
    const name = ["x", "y", "sampleWeight"][absent]!;
    throw new ArgumentError(
      expected(where, `\`${name}\` to be arrays or tensors`, show(arrays[absent])),
    );
  }
  const whole = arrays.length === 1 ? arrays[0]! : arrays;
  const plan = planOf(whole, "", arrays.length > 1);
  const fields: unknown[] = [];
  fieldsOf(plan, whole, fields);
  const paths = leavesOf(plan).map(({ path }) => path);
  const rows = fields.map((field, i) => rowsOf(where, paths[i]!, field));
  const count = rows[0]?.source.shape[0] ?? 0;
  rows.forEach(({ source }, i) => {
    if (source.shape[0] === count) return;
    throw new ShapeError(
      `${where}: field ${paths[0] || "x"} has ${count} samples, but field ${paths[i]} has ${source.shape[0]}`,
    );
  });
  const indexed = rowSource(plan, rows, count);
  return new Dataset(indexedDescription(where, indexed as Indexed<never>, count, () => null));
}

function rowsOf(where: string, path: string, field: unknown): Rows {
  const t = field instanceof Tensor ? field.current() : tensor(field as NestedArray);
  if (t.rank === 0) {
    throw new ShapeError(
      expected(
        `${where}: field ${path || "x"}`,
        "an array of samples",
        `shape ${showShape(t.shape)}`,
      ),
    );
  }
  const shape = Object.freeze(t.shape.slice(1));
  return { source: t, shape, size: sizeOf(shape) };
}

/** Rows by their index, alone or many at once. */
function rowSource(plan: Plan, rows: readonly Rows[], count: number): Indexed<unknown> {
  /** Lazy tensors are computed once, off the event loop, when the first row is wanted. */
  const settled = <R>(then: () => R): Maybe<R> => {
    const lazy = rows.filter(({ source }) => source.values === undefined);
    if (lazy.length === 0) return then();
    return Promise.all(lazy.map(({ source }) => source.data())).then(then);
  };
  return {
    size: count,
    whole: assemble(
      plan,
      rows.map(({ source }) => source),
    ),
    get: (index) =>
      settled(() =>
        assemble(
          plan,
          rows.map(
            ({ source, shape, size }) =>
              new Tensor(shape, source.dtype, {
                values: source.values!.subarray(index * size, (index + 1) * size),
              }),
          ),
        ),
      ),
    gather: (indices) =>
      settled(() =>
        assemble(
          plan,
          rows.map((row) => gatherRows(row, indices)),
        ),
      ),
  };
}

/** Some rows side by side; neighbours in order share the array's memory. */
function gatherRows({ source, shape, size }: Rows, indices: Int32Array): Tensor {
  const values = source.values!;
  const count = indices.length;
  const first = indices[0]!;
  let ordered = true;
  for (let i = 1; ordered && i < count; i++) ordered = indices[i] === first + i;
  if (ordered) {
    return leaf(
      values.subarray(first * size, (first + count) * size),
      [count, ...shape],
      source.dtype,
    );
  }
  const out = allocate(source.dtype, count * size);
  if (size === 1) for (let i = 0; i < count; i++) out[i] = values[indices[i]!]!;
  else {
    for (let i = 0; i < count; i++) {
      const from = indices[i]! * size;
      out.set(values.subarray(from, from + size), i * size);
    }
  }
  return leaf(out, [count, ...shape], source.dtype);
}

/**
 * What an iterable gives, sync or async. An iterable such as an array can be passed over again; for
 * anything that is used up, give a function that opens it anew for each pass.
 *
 * @example
 * lw.data.fromIterable(() => database.query("SELECT …"));
 */
export function fromIterable<T>(
  source: IterableSource<T>,
  options: { readonly size?: number | undefined } = {},
): Dataset<T> {
  return iterated("fromIterable()", source, options);
}

/**
 * What a generator function gives, sync or async; it is called once for each pass.
 *
 * @example
 * lw.data.fromGenerator(function* () {
 *   for (let i = 0; i < 100; i++) yield [[i], 2 * i] as const;
 * });
 */
export function fromGenerator<T>(
  generator: () =>
    | Iterator<Given<T>>
    | AsyncIterator<T>
    | PromiseLike<Iterable<T> | AsyncIterable<T>>,
  options: { readonly size?: number | undefined } = {},
): Dataset<T> {
  if (typeof generator !== "function") {
    throw new ArgumentError(
      expected(
        "fromGenerator()",
        "a generator function (not the generator it makes: each pass calls it again)",
        show(generator),
      ),
    );
  }
  return iterated("fromGenerator()", generator, options);
}

function iterated<T>(
  where: string,
  source: IterableSource<T>,
  options: { readonly size?: number | undefined },
): Dataset<T> {
  checkKeys(where, options, ["size"]);
  const size = options.size ?? (Array.isArray(source) ? source.length : null);
  if (size !== null && size !== Infinity) checkInteger(where, "size", size, 0);
  const fixed = typeof source === "function" ? null : source;
  if (fixed) checkIterable(where, fixed);
  let used: unknown;
  const open = (): Maybe<Iterator<Given<T>> | AsyncIterator<T>> => {
    return after(promised(fixed ?? (source as () => unknown)()), iteratorOf);
  };
  const iteratorOf = (opened: unknown): Iterator<Given<T>> | AsyncIterator<T> => {
    // What checkIterable lets through has one of the three.
    const iterable = opened as Partial<AsyncIterable<T> & Iterable<T>> & Iterator<T>;
    if (typeof iterable?.next !== "function") checkIterable(where, opened);
    const iterator =
      iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.() ?? iterable;
    if (iterator === used) {
      throw new ArgumentError(
        `${where}: it can be iterated only once, and this is another pass; give a function that makes a ` +
          "fresh one",
      );
    }
    if ((iterator as unknown) === opened) used = iterator;
    return iterator;
  };
  return new Dataset<T>({ stage: where, size, open: () => iteratorCursor(where, open) });
}

function checkIterable(where: string, value: unknown): void {
  const found =
    typeof value === "object" &&
    value !== null &&
    (Symbol.iterator in value || Symbol.asyncIterator in value);
  if (!found) {
    throw new ArgumentError(
      expected(where, "an iterable, an async iterable, or a function that makes one", show(value)),
    );
  }
}

/**
 * Elements by their index, `get(0)` to `get(size − 1)`; `get` may be async. Such a dataset is shuffled
 * by its indices, so that no element is made before its turn.
 */
export function fromIndexed<const T>(size: number, get: (index: number) => Given<T>): Dataset<T> {
  const where = "fromIndexed()";
  checkInteger(where, "size", size, 0, 2 ** 31 - 1);
  if (typeof get !== "function") {
    throw new ArgumentError(expected(where, "a function of the index", show(get)));
  }
  return new Dataset(indexedDescription(where, { size, get }, size, () => null));
}

type ZippedOf<S> = { -readonly [K in keyof S]: S[K] extends Dataset<infer T> ? T : never };

/**
 * Elements of several datasets side by side, in a tuple or by name; it ends with the shortest.
 *
 * @example
 * lw.data.zip([images, labels]).batch(32);
 */
export function zip<
  const S extends readonly Dataset<unknown>[] | Readonly<Record<string, Dataset<unknown>>>,
>(datasets: S): Dataset<ZippedOf<S>> {
  const keys = Array.isArray(datasets) ? null : Object.keys(datasets);
  const list: readonly unknown[] = Object.values(datasets);
  if (list.length === 0 || !list.every((d) => d instanceof Dataset)) {
    throw new ArgumentError(expected("zip()", "an array or a record of datasets", show(datasets)));
  }
  const sources = list as readonly Dataset<unknown>[];
  const join = (values: readonly unknown[]): unknown =>
    keys ? Object.fromEntries(keys.map((key, i) => [key, values[i]])) : [...values];
  const sizes = sources.map(({ size }) => size ?? Number.NaN);
  const size = Math.min(...sizes);
  return new Dataset<unknown>({
    stage: "zip()",
    size: Number.isNaN(size) ? null : size,
    open: (pass) =>
      zipCursor(
        sources.map((source) => source.open(pass)),
        join,
      ),
  }) as Dataset<ZippedOf<S>>; // joined key by key
}
