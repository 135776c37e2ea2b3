/** Sources and transformations of datasets, one by one and against plain arrays. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  fromArrays,
  fromGenerator,
  fromIndexed,
  fromIterable,
  zip,
} from "../../src/data/arrays.js";
import { DatasetError, FormatError } from "../../src/errors.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { all, numbers, range } from "./helpers.js";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";

/** The same numbers, each of which lets wait. */
const slow = (n: number) =>
  fromGenerator(async function* () {
    for (let i = 0; i < n; i++) {
      await null;
      yield i;
    }
  });

describe("sources", () => {
  test("arrays: rows of tensors, typed and nested arrays, by name and in order", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(await all(fromArrays(x))).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(await all(fromArrays(x, Int32Array.of(7, 8, 9)))).toEqual([
      [[1, 2], 7],
      [[3, 4], 8],
      [[5, 6], 9],
    ]);
    expect(await all(fromArrays({ a: x, b: [1, 0, 1] }, [[1], [2], [3]], [1, 1, 2]))).toEqual([
      [{ a: [1, 2], b: 1 }, [1], 1],
      [{ a: [3, 4], b: 0 }, [2], 1],
      [{ a: [5, 6], b: 1 }, [3], 2],
    ]);
    expect(await all(fromArrays([x, Int32Array.of(7, 8, 9)], [true, false, true]))).toEqual([
      [[[1, 2], 7], true],
      [[[3, 4], 8], false],
      [[[5, 6], 9], true],
    ]);
    expect(await fromArrays(x, Uint8Array.of(1, 2, 3)).elementSpec()).toEqual([
      { shape: [2], dtype: "float32" },
      { shape: [], dtype: "uint8" },
    ]);
    // A tensor that is only recorded is computed when it is needed.
    expect(await all(fromArrays(x.mul(2), [1, 2, 3]).batch(2))).toEqual([
      [
        [
          [2, 4],
          [6, 8],
        ],
        [1, 2],
      ],
      [[[10, 12]], [3]],
    ]);
    expect(() => fromArrays(x, [1, 2])).toThrow(
      "fromArrays(): field [0] has 3 samples, but field [1] has 2",
    );
    expect(() => fromArrays(3 as never)).toThrow(/an array of samples, got shape \[\]/);
  });

  test("iterables and generators, sync and async, again and again", async () => {
    const generator = fromGenerator(function* () {
      yield 1;
      yield Promise.resolve(2);
    });
    for (const dataset of [
      fromIterable([1, 2]),
      fromIterable(new Set([1, 2])),
      fromIterable(() => [1, 2]),
      fromIterable(async () => [1, 2]),
      fromIterable([Promise.resolve(1), 2]),
      generator,
      fromGenerator(async function* () {
        yield 1;
        yield 2;
      }),
      fromIndexed(2, (i) => i + 1),
      fromIndexed(2, async (i) => i + 1),
    ]) {
      expect(await dataset.toArray()).toEqual([1, 2]);
      expect(await dataset.toArray()).toEqual([1, 2]);
    }
    expect(fromIterable([1, 2]).size).toBe(2);
    expect(generator.size).toBe(null);
    expect(fromGenerator(function* () {}, { size: 4 }).size).toBe(4);
  });

  test("what can't be a source says so", async () => {
    expect(() => fromIterable(5 as never)).toThrow(/an iterable, an async iterable, or a function/);
    expect(() => fromGenerator([1][Symbol.iterator]() as never)).toThrow(/a generator function/);
    await expect(fromIterable(() => 5 as never).toArray()).rejects.toThrow(/fromIterable\(\)/);
    expect(() => fromIndexed(-1, () => 0)).toThrow(/`size`/);
    const failing = fromGenerator(function* () {
      yield 1;
      throw new RangeError("disk on fire");
    });
    const error = await failing.toArray().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DatasetError);
    expect((error as Error).message).toBe("fromGenerator(): element 1: disk on fire");
    expect((error as Error).cause).toBeInstanceOf(RangeError);
  });

  test("leaving a loop early closes the source, once", async () => {
    let closed = 0;
    const dataset = fromGenerator(function* () {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        closed++;
      }
    });
    const chain = dataset
      .map((i) => i)
      .filter((i) => i % 2 === 0)
      .map(async (i) => i, { concurrency: 3 })
      .shuffle(4)
      .batch(2)
      .prefetch(2)
      .enumerate();
    for await (const [index] of chain) if (index === 3) break;
    expect(closed).toBe(1);
    await chain.take(2).toArray();
    expect(closed).toBe(2);
    for await (const _ of zip([dataset, dataset, numbers(3)])) void _;
    expect(closed).toBe(4);
  });
});

describe.each([
  ["at once", numbers],
  ["later", slow],
])("transformations of what comes %s", (_, make) => {
  test("map, filter, take, skip, shard, enumerate, repeat, concatenate, zip", async () => {
    const n = range(10);
    expect(
      await make(10)
        .map((v, i) => v * 10 + i)
        .toArray(),
    ).toEqual(n.map((v) => v * 11));
    expect(
      await make(10)
        .map(async (v) => v + 1)
        .toArray(),
    ).toEqual(n.map((v) => v + 1));
    expect(
      await make(10)
        .filter((v) => v % 3 === 0)
        .toArray(),
    ).toEqual([0, 3, 6, 9]);
    expect(
      await make(10)
        .filter(async (v) => v > 7)
        .toArray(),
    ).toEqual([8, 9]);
    expect(await make(10).take(3).toArray()).toEqual([0, 1, 2]);
    expect(await make(3).take(30).toArray()).toEqual([0, 1, 2]);
    expect(await make(3).take(0).toArray()).toEqual([]);
    expect(await make(10).skip(7).toArray()).toEqual([7, 8, 9]);
    expect(await make(3).skip(30).toArray()).toEqual([]);
    expect(await make(10).shard(3, 1).toArray()).toEqual([1, 4, 7]);
    expect(await make(3).enumerate().toArray()).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
    ]);
    expect(await make(2).repeat(3).toArray()).toEqual([0, 1, 0, 1, 0, 1]);
    expect(await make(2).repeat().take(5).toArray()).toEqual([0, 1, 0, 1, 0]);
    expect(await make(0).repeat().take(3).toArray()).toEqual([]);
    expect(await make(2).concatenate(make(0)).concatenate(make(3)).toArray()).toEqual([
      0, 1, 0, 1, 2,
    ]);
    expect(await zip([make(2), make(5)]).toArray()).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(await zip({ a: make(2), b: numbers(2) }).toArray()).toEqual([
      { a: 0, b: 0 },
      { a: 1, b: 1 },
    ]);
    expect(await make(5).prefetch(2).toArray()).toEqual(range(5));
  });

  test("batches, the last with what is left", async () => {
    expect(await all(make(5).batch(2))).toEqual([[0, 1], [2, 3], [4]]);
    expect(await all(make(5).batch(2, { dropRemainder: true }))).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(await all(make(4).batch(2))).toHaveLength(2);
    expect(await all(make(0).batch(2))).toEqual([]);
    expect(await all(make(3).batch(9))).toEqual([[0, 1, 2]]);
  });

  test("shuffling gives all elements, in an order of its own for each pass and seed", async () => {
    const dataset = make(50).shuffle(10, { seed: 1 });
    const first = await dataset.toArray();
    const second = await dataset.toArray();
    expect(first).not.toEqual(range(50));
    expect(second).not.toEqual(first);
    for (const order of [first, second])
      expect([...order].sort((a, b) => a - b)).toEqual(range(50));
    // An element can't come before the buffer reached it.
    first.forEach((v, at) => {
      expect(v).toBeLessThan(at + 10);
    });
    const again = make(50).shuffle(10, { seed: 1 });
    expect(await again.toArray()).toEqual(first);
    expect(await again.toArray()).toEqual(second);
    const fixed = make(50).shuffle(10, { seed: 1, reshuffleEachIteration: false });
    expect(await fixed.toArray()).toEqual(await fixed.toArray());
    expect(await make(50).shuffle(10, { seed: 2 }).toArray()).not.toEqual(first);
    const twice = await make(50).shuffle(10, { seed: 1 }).repeat(2).toArray();
    expect(twice.slice(0, 50)).not.toEqual(twice.slice(50));
    setRandomSeed(5);
    const drawn = await make(50).shuffle(10).toArray();
    setRandomSeed(5);
    expect(await make(50).shuffle(10).toArray()).toEqual(drawn);
  });
});

test("a buffer of everything makes all orders equally likely", async () => {
  for (const make of [
    numbers,
    (n: number) => fromArrays(Int32Array.from(range(n))).map((t) => t.item()),
    (n: number) => fromIndexed(n, (i) => i),
  ]) {
    const seen = new Map<string, number>();
    const dataset = make(3).shuffle(3, { seed: 9 }).repeat(1200);
    const values = await dataset.toArray();
    for (let i = 0; i < values.length; i += 3) {
      const key = values.slice(i, i + 3).join("");
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(6);
    // 200 each; five standard deviations are 65.
    for (const count of seen.values()) expect(Math.abs(count - 200)).toBeLessThan(65);
  }
});

describe("sizes", () => {
  test("are known where they can be", () => {
    const ten = numbers(10);
    expect([
      ten.map((v) => v).size,
      ten.filter(() => true).size,
      ten.take(3).size,
      ten.take(30).size,
      ten.skip(3).size,
      ten.skip(30).size,
      ten.shard(3, 0).size,
      ten.shard(3, 2).size,
      ten.batch(3).size,
      ten.batch(3, { dropRemainder: true }).size,
      ten.repeat(3).size,
      ten.repeat().size,
      ten.repeat().take(7).size,
      ten.repeat(0).size,
      ten.concatenate(ten).size,
      zip([ten, ten.take(4)]).size,
      slow(3).size,
      slow(3).batch(2).size,
      slow(3).repeat().size,
      ten.prefetch(2).cache().shuffle(4).enumerate().size,
    ]).toEqual([
      10,
      null,
      3,
      10,
      7,
      0,
      4,
      3,
      4,
      3,
      30,
      Infinity,
      7,
      0,
      20,
      4,
      null,
      null,
      Infinity,
      10,
    ]);
  });

  test("of elements by index are those of what comes, shuffled or not", async () => {
    const dataset = fromArrays(Int32Array.from(range(11)));
    for (const chosen of [
      dataset.take(4),
      dataset.skip(4),
      dataset.shard(3, 1),
      dataset.shuffle(11, { seed: 1 }).take(4),
      dataset.take(6).shuffle(6, { seed: 1 }).skip(1).shard(2, 0),
    ]) {
      expect(await chosen.toArray()).toHaveLength(chosen.size!);
      const values = (await all(chosen)) as number[];
      expect((await all(chosen.batch(2))).flat()).toHaveLength(values.length);
      expect(new Set(values).size).toBe(values.length);
    }
    expect(await all(dataset.shard(3, 1))).toEqual([1, 4, 7, 10]);
    // Batches by index hold what single elements do.
    const shuffled = dataset.shuffle(11, { seed: 3, reshuffleEachIteration: false });
    expect((await all(shuffled.batch(4))).flat()).toEqual(await all(shuffled));
    expect(await all(shuffled.batch(4, { dropRemainder: true }))).toHaveLength(2);
  });
});

describe("map with concurrency", () => {
  test("keeps the order, and no more under way than is said", async () => {
    let now = 0;
    let most = 0;
    const dataset = numbers(20).map(
      async (v) => {
        most = Math.max(most, ++now);
        await sleep((v * 7) % 5);
        now--;
        return v;
      },
      { concurrency: 4 },
    );
    expect(await dataset.toArray()).toEqual(range(20));
    expect(most).toBe(4);
  });

  test("an error comes in its turn, after those before it", async () => {
    const seen: number[] = [];
    const run = async () => {
      const dataset = numbers(20).map(
        async (v) => {
          if (v === 5) throw new Error("five");
          return v;
        },
        { concurrency: 8 },
      );
      for await (const v of dataset) seen.push(v);
    };
    await expect(run()).rejects.toThrow("map(): element 5: five");
    expect(seen).toEqual([0, 1, 2, 3, 4]);
  });

  test("tensors that are recorded are computed", async () => {
    const [first] = await numbers(2)
      .map((v) => [tensor([v, 1]).add(1), v])
      .toArray();
    expect((first as [Tensor, number])[0].values).toEqual(Float32Array.of(1, 2));
  });
});

describe("cache", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "layerwise-cache-"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const counted = () => {
    const seen = { made: 0 };
    const dataset = numbers(5).map((i) => {
      seen.made++;
      return {
        i,
        t: tensor(Int32Array.of(i, -i), [1, 2]),
        text: `n${i}`,
        deep: [Float32Array.of(i / 3), [i, i]] as const,
        flag: i > 2,
      };
    });
    return { seen, dataset };
  };

  test("in memory makes each element once", async () => {
    const { seen, dataset } = counted();
    const cached = dataset.cache();
    const first = await cached.toArray();
    expect(await cached.toArray()).toEqual(first);
    expect(seen.made).toBe(5);
    // A pass that was left early is no whole one.
    const other = counted();
    const short = other.dataset.cache();
    await short.take(2).toArray();
    await short.toArray();
    await short.toArray();
    expect(other.seen.made).toBe(7);
  });

  test("in a file outlives the dataset", async () => {
    const path = join(directory, "elements");
    const { seen, dataset } = counted();
    const want = await all(dataset);
    const cached = dataset.cache(path);
    expect(await all(cached)).toEqual(want);
    expect(await all(cached)).toEqual(want);
    expect(seen.made).toBe(10);
    const later = counted();
    const [element] = await later.dataset.cache(path).take(1).toArray();
    expect(later.seen.made).toBe(0);
    expect(element!.t.dtype).toBe("int32");
    expect(element!.deep[0]).toBeInstanceOf(Float32Array);
    expect(await readdir(directory)).toEqual(["elements"]);
  });

  test("tuples that begin with a number keep their tensors", async () => {
    const path = join(directory, "tuples");
    const dataset = numbers(2).map((i) => [i, tensor([i, 2 * i]).add(1)] as const);
    const want = [
      [0, [1, 1]],
      [1, [2, 3]],
    ];
    expect(await all(dataset.cache(path))).toEqual(want);
    expect(await all(dataset.cache(path))).toEqual(want);
    await rm(path);
    const [element] = await dataset.take(1).toArray();
    expect(element![1].values).toBeDefined();
  });

  test("a file that can't be written is an error before the first element is made", async () => {
    let made = 0;
    const dataset = fromIndexed(3, (i) => {
      made++;
      return i;
    });
    await expect(dataset.cache(join(directory, "nowhere", "file")).toArray()).rejects.toThrow(
      /^cache\(\): can't write ".*": its directory does not exist$/,
    );
    expect(made).toBe(0);
  });

  test("an unfinished or damaged file is none", async () => {
    const path = join(directory, "unfinished");
    await counted().dataset.cache(path).take(2).toArray();
    expect(await readdir(directory)).toEqual(["elements"]);
    const bytes = await readFile(join(directory, "elements"));
    const damaged = join(directory, "damaged");
    const read = (content: Uint8Array) =>
      writeFile(damaged, content).then(() => counted().dataset.cache(damaged).toArray());
    await expect(read(bytes.subarray(0, bytes.length - 20))).rejects.toThrow(FormatError);
    await expect(read(bytes.subarray(0, 30))).rejects.toThrow(/truncated/);
    await expect(read(Buffer.from("something else entirely"))).rejects.toThrow(
      /not a cache file of this version/,
    );
    const huge = Buffer.from(bytes);
    huge.writeUInt32LE(0x7fffffff, 8);
    await expect(read(huge)).rejects.toThrow(/truncated/);
  });
});

test("batches that are rows of arrays say so, others don't", () => {
  const arrays = fromArrays(tensor([[1], [2], [3]]), [1, 2, 3]);
  const known = arrays.shuffle(3, { seed: 1 }).batch(2).prefetch(1).rows!;
  expect(known.batchSize).toBe(2);
  expect([...known.orderOf({ iteration: 0 })!].sort()).toEqual([0, 1, 2]);
  expect(arrays.batch(2).rows!.orderOf({ iteration: 0 })).toBe(null);
  for (const other of [
    arrays.take(2).batch(2),
    arrays.shuffle(2).batch(2),
    arrays.map((e) => e).batch(2),
    arrays.batch(2).take(1),
    arrays.batch(2).shuffle(2),
    arrays.batch(2).map((e) => e),
    numbers(4).batch(2),
    fromIndexed(3, (i) => i).batch(2),
  ]) {
    expect(other.rows).toBeUndefined();
  }
});

test("prefetch makes elements ahead of need, and no more than it is told", async () => {
  let made = 0;
  const dataset = fromIterable(range(20))
    .map((v) => {
      made++;
      return v;
    })
    .prefetch(3);
  const iterator = dataset[Symbol.asyncIterator]();
  expect((await iterator.next()).value).toBe(0);
  await sleep(20);
  expect(made).toBe(4);
  await iterator.return();
  expect(made).toBe(4);
});

test("elements come on demand: nothing is made before it is asked for", async () => {
  let made = 0;
  const dataset = numbers(100)
    .map((v) => {
      made++;
      return v;
    })
    .batch(10);
  expect(made).toBe(0);
  await dataset.take(2).toArray();
  expect(made).toBe(20);
});
