/**
 * Where elements come from at the bottom: things with a number of elements that can be asked for in
 * any order (arrays, windows, files), and iterables. What can be asked for in any order is shuffled by
 * its indices, without holding elements back.
 */
import {
  type Cursor,
  elementError,
  end,
  type Given,
  type Maybe,
  type Pass,
  promised,
} from "./cursor.js";

/** Elements that can be had by their index. */
export interface Indexed<out T> {
  readonly size: number;
  get(index: number): Given<T>;
  /** Several at once, as `batch` would put them together; null leaves it to `get`. */
  gather?(indices: Int32Array): unknown;
  /** An element whose fields are all rows of whole arrays, where that is what elements are. */
  readonly whole?: unknown;
}

/** Which index comes when, in a pass. */
export type OrderOf = (pass: Pass) => Int32Array | null;

/** The elements of `source` in the order that `orderOf` gives; null is as they are. */
export function indexedCursor<T>(
  stage: string,
  source: Indexed<T>,
  order: Int32Array | null,
): Cursor<T> {
  const count = order?.length ?? source.size;
  let at = 0;
  const cursor: Cursor<T> = {
    next() {
      if (at >= count) return end;
      const index = order === null ? at : order[at]!;
      at++;
      try {
        const value = promised(source.get(index));
        if (!(value instanceof Promise)) return value;
        return value.catch((error: unknown) => {
          throw elementError(stage, index, error);
        });
      } catch (error) {
        throw elementError(stage, index, error);
      }
    },
    close() {},
  };
  if (source.gather) {
    cursor.batch = (size) => {
      if (at >= count) return end;
      const from = at;
      at = Math.min(count, at + size);
      return source.gather!(
        order === null
          ? Int32Array.from({ length: at - from }, (_, i) => from + i)
          : order.subarray(from, at),
      );
    };
  }
  return cursor;
}

/** What can be iterated again and again, or a function that makes a fresh iterator each time. */
export type IterableSource<T> =
  | Iterable<Given<T>>
  | AsyncIterable<T>
  | (() =>
      | Iterable<Given<T>>
      | AsyncIterable<T>
      | Iterator<Given<T>>
      | AsyncIterator<T>
      | PromiseLike<Iterable<T> | AsyncIterable<T>>);

/**
 * A cursor over an iterator, sync or async; its `return` is called when the cursor is closed early.
 * Errors get the stage and the element; with a stage of null they are thrown as they are.
 */
export function iteratorCursor<T>(
  stage: string | null,
  open: () => Maybe<Iterator<Given<T>> | AsyncIterator<T>>,
): Cursor<T> {
  let iterator: Iterator<Given<T>> | AsyncIterator<T> | undefined;
  let index = 0;
  let ended = false;
  /** Whether the iterator itself came to its end or failed: it needs no closing then. */
  let spent = false;
  const elementFailed = (error: unknown): never => {
    ended = true;
    throw stage === null ? error : elementError(stage, index, error);
  };
  const failed = (error: unknown): never => {
    spent = true;
    return elementFailed(error);
  };
  const given = (value: T): T => {
    index++;
    return value;
  };
  const step = (result: IteratorResult<Given<T>>): Maybe<T | typeof end> => {
    if (typeof result !== "object" || result === null) {
      return failed(new TypeError("the iterator gave something that is no result"));
    }
    if (result.done) {
      ended = true;
      spent = true;
      return end;
    }
    const value = promised(result.value);
    return value instanceof Promise ? value.then(given, elementFailed) : given(value);
  };
  const advance = (): Maybe<T | typeof end> => {
    const result = promised(iterator!.next());
    return result instanceof Promise ? result.then(step, failed) : step(result);
  };
  return {
    next() {
      if (ended) return end;
      try {
        if (iterator) return advance();
        const opened = open();
        if (opened instanceof Promise) {
          return opened.then((made) => {
            iterator = made;
            return advance();
          }, failed);
        }
        iterator = opened;
        return advance();
      } catch (error) {
        return ended ? Promise.reject(error) : failed(error);
      }
    },
    async close() {
      if (spent || !iterator) return;
      ended = true;
      spent = true;
      await iterator.return?.();
    },
  };
}
