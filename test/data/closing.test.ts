/** Leaving datasets, and sources that fail or fall silent: what is closed when, and whose an error is. */
import { setTimeout as sleep } from "node:timers/promises";
import { runInNewContext } from "node:vm";
import { describe, expect, test, vi } from "vitest";
import { fromGenerator, fromIndexed, fromIterable, zip } from "../../src/data/arrays.js";
import type { Dataset } from "../../src/data/dataset.js";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";

test("a source is not closed before it has answered", async () => {
  let pending = false;
  const calls: string[] = [];
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        pending = true;
        await sleep(5);
        pending = false;
        return { done: false, value: 1 };
      },
      async return() {
        calls.push(pending ? "while it was asked" : "at rest");
        return { done: true, value: undefined };
      },
    }),
  };
  const dataset = fromIterable(source);
  for (const ahead of [
    dataset.prefetch(3),
    dataset.map(async (v) => v, { concurrency: 3 }),
    zip([dataset, dataset]),
  ]) {
    for await (const _ of ahead) break;
  }
  expect(calls).toEqual(Array(4).fill("at rest"));
});

describe("a source that falls silent", () => {
  /** Gives 0, then nothing until `answer`; tells when it was closed. */
  const silent = () => {
    let answer!: () => void;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const calls: string[] = [];
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => {
        let i = 0;
        return {
          async next() {
            if (i > 0) await answered;
            return { done: false, value: i++ };
          },
          async return() {
            calls.push("closed");
            return { done: true, value: undefined };
          },
        };
      },
    };
    return { dataset: fromIterable(source), calls, answer };
  };

  test.each<[string, (d: Dataset<number>) => Dataset<number>]>([
    ["prefetch", (d) => d.prefetch(2)],
    ["map with concurrency", (d) => d.map(async (v) => v, { concurrency: 3 })],
    ["both", (d) => d.map(async (v) => v, { concurrency: 3 }).prefetch(2)],
  ])("keeps nobody from leaving, and is closed when it answers: %s", async (_, ahead) => {
    const { dataset, calls, answer } = silent();
    for await (const v of ahead(dataset)) {
      expect(v).toBe(0);
      await sleep(5);
      break;
    }
    expect(await ahead(dataset).take(1).toArray()).toEqual([0]);
    expect(calls).toEqual([]);
    answer();
    await vi.waitFor(() => expect(calls).toEqual(["closed", "closed"]));
  });

  test("an error of the late closing is nobody's", async () => {
    const { dataset, answer } = silent();
    const late = dataset.map((v) => {
      if (v > 0) throw new Error("late");
      return v;
    });
    expect(await late.prefetch(1).take(1).toArray()).toEqual([0]);
    answer();
    await sleep(20);
  });
});

test("zip: one that throws at once leaves no other's error unheard", async () => {
  const rejecting = fromGenerator(async function* () {
    yield* [];
    throw new Error("first");
  });
  const throwing = fromGenerator(function* () {
    yield* [];
    throw new Error("second");
  });
  const unheard: unknown[] = [];
  const hear = (error: unknown) => unheard.push(error);
  process.on("unhandledRejection", hear);
  try {
    await expect(zip([rejecting, throwing] as const).toArray()).rejects.toThrow(/first/);
    await expect(zip([throwing, rejecting] as const).toArray()).rejects.toThrow(/second/);
    await sleep(10);
  } finally {
    process.off("unhandledRejection", hear);
  }
  expect(unheard).toEqual([]);
});

test("an iterator whose element fails is closed, one that fails itself is not", async () => {
  const calls: string[] = [];
  const iterable = (next: () => IteratorResult<Promise<number>>) => ({
    [Symbol.iterator]: () => ({
      next,
      return: () => {
        calls.push("closed");
        return { done: true as const, value: undefined };
      },
    }),
  });
  const elements = iterable(() => ({ done: false, value: Promise.reject(new Error("no")) }));
  await expect(fromIterable(elements).toArray()).rejects.toThrow("fromIterable(): element 0: no");
  expect(calls).toEqual(["closed"]);
  const itself = iterable(() => {
    throw new Error("out of order");
  });
  await expect(fromIterable(itself).toArray()).rejects.toThrow(/out of order/);
  expect(calls).toEqual(["closed"]);
});

test("promises of any make are waited for", async () => {
  // Those of another realm are no instances of our Promise.
  const foreign: PromiseConstructor = runInNewContext("Promise");
  const later = async <T>(value: T): Promise<T> => {
    await sleep(1);
    return value;
  };
  let i = 0;
  const iterator = {
    next: () =>
      foreign.resolve(
        later(i < 3 ? { done: false, value: i++ } : { done: true, value: undefined }),
      ),
  };
  const source = { [Symbol.asyncIterator]: () => iterator } as AsyncIterable<number>;
  expect(await fromIterable(source).toArray()).toEqual([0, 1, 2]);
  const elements = [foreign.resolve(later(5)), foreign.resolve(later(6))];
  expect(elements[0]).not.toBeInstanceOf(Promise);
  expect(await fromIterable(elements).toArray()).toEqual([5, 6]);
  const query = <T>(value: T): PromiseLike<T> => foreign.resolve(later(value));
  for (const concurrency of [1, 2]) {
    const doubled = fromIterable([1, 2, 3]).map((x) => query([x, 2 * x]), { concurrency });
    const [batch] = await doubled.batch(3).toArray();
    expect(batch!.map((t) => t.arraySync())).toEqual([
      [1, 2, 3],
      [2, 4, 6],
    ]);
  }
  const large: boolean[] = await fromIterable([1, 2, 3])
    .filter((x) => query(x > 1))
    .map((x) => query(x > 2))
    .toArray();
  expect(large).toEqual([false, true]);
  expect(await fromIndexed(2, (i) => query(i)).toArray()).toEqual([0, 1]);
  expect(await fromIterable(() => query([7])).toArray()).toEqual([7]);
  const failing = fromIterable([1, 2]).map((x) => foreign.reject(new Error(`no ${x}`)));
  await expect(failing.toArray()).rejects.toThrow("map(): element 0: no 1");
});
