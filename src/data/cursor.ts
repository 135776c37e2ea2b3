/**
 * Cursors: one pass over a dataset, pulled element by element. What can answer at once does, without
 * a promise; only what waits for a file, a timer or a user's async function gives one. Nothing is
 * made before it is asked for, which is all the back-pressure there is. Knows nothing of tensors.
 */
import { DatasetError, LayerwiseError } from "../errors.js";

/** What `next` gives when there is nothing more. */
export const end: unique symbol = Symbol("end of the dataset");
export type End = typeof end;

/** At once or later. */
export type Maybe<T> = T | Promise<T>;

/** What users' functions give: at once, or by a promise of any make (see {@link promised}). */
export type Given<T> = T | PromiseLike<T>;

/**
 * One pass. `next` is called again only once it has answered, and not after the end or an error;
 * `close` is called once, whatever happened.
 */
export interface Cursor<out T> {
  next(): Maybe<T | End>;
  close(): Maybe<void>;
  /**
   * The next `size` elements (fewer at the end) in one batch, where the source has a faster way than
   * element by element.
   */
  batch?(size: number): Maybe<unknown>;
}

/** What a pass may depend on. */
export interface Pass {
  /** Number of the pass, such as the epoch: shuffling has another order in each. */
  readonly iteration: number;
}

/** How long work may go on, in milliseconds, before the event loop gets a turn. */
const breathAfter = 8;

/** A turn of the event loop. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Says when work without a pause has gone on for long enough; looks at the clock now and then. */
export class Breath {
  #since = performance.now();
  #count = 0;

  /** True when it is time to {@link breathe}; `every` calls share one look at the clock. */
  due(every = 32): boolean {
    if (++this.#count % every !== 0) return false;
    const now = performance.now();
    if (now - this.#since < breathAfter) return false;
    this.#since = now;
    return true;
  }
}

/** What came from elsewhere: a promise of any make (another library's, another realm's) as one of ours. */
export function promised<T>(value: Given<T>): Maybe<T> {
  if (typeof value !== "object" || value === null || value instanceof Promise) return value;
  return "then" in value && typeof value.then === "function"
    ? Promise.resolve(value as PromiseLike<T>)
    : (value as T);
}

/** `f` of a value, at once where the value is there. */
export function after<A, B>(value: Maybe<A>, f: (value: A) => Maybe<B>): Maybe<B> {
  return value instanceof Promise ? value.then(f) : f(value);
}

/** A value to come; rejects as soon as the signal is aborted, however long the value takes. */
export async function abortable<T>(value: Maybe<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return value;
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener("abort", stop!);
  }
}

/** What `take` returns to be given the next element. */
export const more: unique symbol = Symbol("more");
type Taken<R> = Maybe<R | typeof more>;

/** Pulls elements until `take` makes a result of one (or of the end); at once where that is possible. */
export function pull<T, R>(source: Cursor<T>, take: (value: T | End) => Taken<R>): Maybe<R> {
  const breath = new Breath();
  for (;;) {
    const value = source.next();
    if (value instanceof Promise) return pullLater(source, take, value.then(take));
    const taken = take(value);
    if (taken instanceof Promise) return pullLater(source, take, taken);
    if (taken !== more) return taken;
    if (breath.due())
      return pullLater(
        source,
        take,
        breathe().then(() => more),
      );
  }
}

async function pullLater<T, R>(
  source: Cursor<T>,
  take: (value: T | End) => Taken<R>,
  first: Taken<R>,
): Promise<R> {
  const breath = new Breath();
  let taken = await first;
  while (taken === more) {
    if (breath.due()) await breathe();
    const value = source.next();
    // Awaiting what is there already would cost a turn of the microtask queue per element.
    taken = await take(value instanceof Promise ? await value : value);
  }
  return taken;
}

/** Closes several cursors, all of them even if one fails. */
export async function closeAll(cursors: readonly Cursor<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(cursors.map(async (cursor) => cursor.close()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** An error of element `index` in one stage: what failed first keeps its place in the message. */
export function elementError(stage: string, index: number, error: unknown): Error {
  if (error instanceof DatasetError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof LayerwiseError) {
    // Ours keep their class: a ShapeError stays one.
    error.message = `${stage}: element ${index}: ${message}`;
    return error;
  }
  return new DatasetError(`${stage}: element ${index}: ${message}`, { cause: error });
}
