/**
 * What a dataset's methods do to the elements that pass: each is a cursor over a cursor. Batching is in
 * `batching.ts`, shuffling in `shuffle.ts`.
 */
import {
  after,
  Breath,
  breathe,
  type Cursor,
  closeAll,
  type End,
  elementError,
  end,
  type Given,
  type Maybe,
  more,
  promised,
  pull,
} from "./cursor.js";
import { lazyTensors } from "./elements.js";

/** How long closing waits for what is under way, in milliseconds: what answers at all mostly does by then. */
const patience = 100;

/**
 * Closes a source when what is under way has settled, as it has to be. Waits for that only for a moment:
 * an element that nobody wants any more may never come, and then nobody is left to hear of an error.
 */
async function closeAfter(pending: Promise<unknown>, source: Cursor<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  try {
    await Promise.race([pending.then(() => source.close()), enough]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for the tensors in a value that are only recorded yet: elements are values. */
function computed<T>(value: T): Maybe<T> {
  const lazy = lazyTensors(value);
  return lazy.length === 0 ? value : Promise.all(lazy.map((t) => t.data())).then(() => value);
}

/** `f` of each element, in order; up to `concurrency` promises of `f` at a time. */
export function mapCursor<T, U>(
  source: Cursor<T>,
  f: (element: T, index: number) => Given<U>,
  concurrency: number,
): Cursor<U> {
  let index = 0;
  const apply = (value: T | End): Maybe<U | End> => {
    if (value === end) return end;
    const at = index++;
    const failed = (error: unknown): never => {
      throw elementError("map()", at, error);
    };
    try {
      const result = promised(f(value, at));
      const done = result instanceof Promise ? result.then(computed) : computed(result);
      return done instanceof Promise ? done.catch(failed) : done;
    } catch (error) {
      return failed(error);
    }
  };
  if (concurrency === 1) {
    return { next: () => after(source.next(), apply), close: () => source.close() };
  }
  return ahead(source, apply, concurrency);
}

/**
 * Keeps up to `most` results under way, in order. The source itself is asked for one element at a time;
 * it is closed when what is under way then has settled.
 */
function ahead<T, U>(
  source: Cursor<T>,
  apply: (value: T | End) => Maybe<U | End>,
  most: number,
): Cursor<U> {
  const queue: Promise<U | End>[] = [];
  let ended = false;
  /** Settles when the source may be asked again. */
  let pulled: Promise<unknown> = Promise.resolve();
  const ask = (): void => {
    const value = pulled.then(() => (ended ? end : source.next()));
    pulled = value.then(
      (v) => {
        if (v === end) ended = true;
      },
      () => {
        ended = true;
      },
    );
    const result = value.then(apply);
    // Whoever takes it from the queue sees the error; until then nobody else must.
    result.catch(() => {});
    queue.push(result);
  };
  return {
    next() {
      while (!ended && queue.length < most) ask();
      const first = queue.shift();
      if (!first) return end;
      return first.then((value) => {
        if (value === end) return end;
        while (!ended && queue.length < most) ask();
        return value;
      });
    },
    close() {
      ended = true;
      return queue.length === 0 ? source.close() : closeAfter(Promise.allSettled(queue), source);
    },
  };
}

/** The elements that `keep` is true of. */
export function filterCursor<T>(
  source: Cursor<T>,
  keep: (element: T, index: number) => Given<boolean>,
): Cursor<T> {
  let index = 0;
  const take = (value: T | End): Maybe<T | End | typeof more> => {
    if (value === end) return end;
    const at = index++;
    const failed = (error: unknown): never => {
      throw elementError("filter()", at, error);
    };
    try {
      const kept = promised(keep(value, at));
      if (kept instanceof Promise) return kept.then((k) => (k ? value : more), failed);
      return kept ? value : more;
    } catch (error) {
      return failed(error);
    }
  };
  return { next: () => pull(source, take), close: () => source.close() };
}

/** The elements from position `from`, every `step`th, `count` of them at most. */
export function rangeCursor<T>(
  source: Cursor<T>,
  from: number,
  step: number,
  count: number,
): Cursor<T> {
  let position = 0;
  let taken = 0;
  const take = (value: T | End): T | End | typeof more => {
    if (value === end) return end;
    const at = position++;
    if (at < from || (at - from) % step !== 0) return more;
    taken++;
    return value;
  };
  return {
    // Nothing is asked for beyond the last: it might take its time, or never come.
    next: () => (taken >= count ? end : pull(source, take)),
    close: () => source.close(),
  };
}

/**
 * One cursor after the other; `open` gives the next or null, and is told how many elements the one
 * before it had.
 */
export function chainCursor<T>(
  open: (index: number, before: number) => Cursor<T> | null,
): Cursor<T> {
  let index = 0;
  let current: Cursor<T> | null = null;
  let given = 0;
  const step = (): Maybe<T | End> => {
    for (;;) {
      if (!current) {
        current = open(index++, given);
        given = 0;
        if (!current) return end;
      }
      const value = current.next();
      if (value instanceof Promise) return value.then(handle);
      if (value !== end) {
        given++;
        return value;
      }
      const closed = finish();
      if (closed instanceof Promise) return closed.then(step);
    }
  };
  const finish = (): Maybe<void> => {
    const done = current!;
    current = null;
    return done.close();
  };
  const handle = (value: T | End): Maybe<T | End> => {
    if (value === end) return after(finish(), step);
    given++;
    return value;
  };
  return {
    next: step,
    close() {
      const open = current;
      current = null;
      return open?.close();
    },
  };
}

/** The next of a source; an error is a promise's, so that it can wait for what others have under way. */
function asked<T>(source: Cursor<T>): Maybe<T | End> {
  try {
    return source.next();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** One element of each, put together; ends with the shortest. */
export function zipCursor(
  sources: readonly Cursor<unknown>[],
  join: (values: readonly unknown[]) => unknown,
): Cursor<unknown> {
  return {
    next() {
      const values = sources.map(asked);
      if (values.some((v) => v instanceof Promise)) {
        // All of them, so that none is still under way when an error is reported.
        return Promise.allSettled(values).then((results) => {
          for (const r of results) if (r.status === "rejected") throw r.reason;
          const got = results.map((r) => (r as PromiseFulfilledResult<unknown>).value);
          return got.includes(end) ? end : join(got);
        });
      }
      return values.includes(end) ? end : join(values);
    },
    close: () => closeAll(sources),
  };
}

/** Makes up to `size` elements ahead of need, while the caller does something else. */
export function prefetchCursor<T>(source: Cursor<T>, size: number): Cursor<T> {
  const ready: (T | End)[] = [];
  let failure: { error: unknown } | undefined;
  let ended = false;
  let closed = false;
  let running: Promise<void> | undefined;
  /** Wakes whoever waits for an element. */
  let wake: (() => void) | undefined;
  const fill = async (): Promise<void> => {
    const breath = new Breath();
    // The caller goes first: it has something to start.
    await breathe();
    while (ready.length < size && !ended && !closed) {
      try {
        const value = source.next();
        const got = value instanceof Promise ? await value : value;
        if (got === end) ended = true;
        ready.push(got);
      } catch (error) {
        failure = { error };
        ended = true;
      }
      wake?.();
      if (breath.due(1)) await breathe();
    }
    running = undefined;
    wake?.();
  };
  const start = (): void => {
    if (!running && !ended && !closed && ready.length < size) running = fill();
  };
  const give = (): Maybe<T | End> => {
    if (ready.length > 0) {
      const value = ready.shift()!;
      start();
      return value;
    }
    if (failure) throw failure.error;
    if (ended || closed) return end;
    start();
    return new Promise<void>((resolve) => {
      wake = resolve;
    }).then(() => {
      wake = undefined;
      return give();
    });
  };
  return {
    next: give,
    close() {
      closed = true;
      wake?.();
      return running ? closeAfter(running, source) : source.close();
    },
  };
}
