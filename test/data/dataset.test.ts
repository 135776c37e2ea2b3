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
import type { Dataset } from "../../src/data/dataset.js";
import { DatasetError, FormatError, ShapeError } from "../../src/errors.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { Tensor, tensor } from "../../src/tensor/tensor.js";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const numbers = (n: number) => fromIterable(range(n));
/** The same numbers, each of which lets wait. */
const slow = (n: number) =>
  fromGenerator(async function* () {
    for (let i = 0; i < n; i++) {
      await null;
      yield i;
    }
  });

/** Tensors as nested arrays, within tuples and records. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) return value.arraySync();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}
const all = async (dataset: Dataset<unknown>) => (await dataset.toArray()).map(plain);

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

describe("batches", () => {
  test("put every kind of field side by side", async () => {
    const [batch] = await fromIterable([
      { a: 1, b: "one", c: Int32Array.of(1, 2), d: [tensor([1]), true], e: [[1], [2]] },
      { a: 2, b: "two", c: Int32Array.of(3, 4), d: [tensor([2]), false], e: [[3], [4]] },
    ])
      .batch(2)
      .toArray();
    expect(plain(batch)).toEqual({
      a: [1, 2],
      b: ["one", "two"],
      c: [
        [1, 2],
        [3, 4],
      ],
      d: [
        [[1], [2]],
        [true, false],
      ],
      e: [
        [[1], [2]],
        [[3], [4]],
      ],
    });
    expect(batch!.c.dtype).toBe("int32");
    expect(batch!.d).toHaveLength(2);
  });

  test("refuse elements that differ, naming element and field", async () => {
    const refused = async (...elements: unknown[]) => {
      try {
        await fromIterable(elements).batch(2).toArray();
      } catch (error) {
        return `${(error as Error).name}: ${(error as Error).message}`;
      }
      return "no error";
    };
    const vector = (n: number) => new Float32Array(n);
    expect([
      await refused([vector(2), 1], [vector(2), 1], [vector(3), 1]),
      await refused({ x: vector(2) }, { y: vector(2) }),
      await refused({ x: vector(2) }, vector(2)),
      await refused([vector(2), 1], [vector(2)]),
      await refused([vector(2), 1], [Int32Array.of(1, 2), 1]),
      await refused({ a: { b: [1, 2] } }, { a: { b: [[1], [2]] } }),
      await refused({ a: "text" }, { a: 5 }),
      await refused([vector(2), null], [vector(2), null]),
      await refused([[1, [2]], 3]),
      await refused(1, true),
    ]).toMatchInlineSnapshot(`
      [
        "ShapeError: batch(): element 2: field [0]: shape: expected [2] as the first element has, got [3]; paddedBatch() fills shorter ones up",
        "ShapeError: batch(): element 1: structure: expected the fields x as the first element has, got y",
        "ShapeError: batch(): element 1: structure: expected the fields x as the first element has, got Float32Array(2)",
        "ShapeError: batch(): element 1: structure: expected 2 fields as the first element has, got 1",
        "DTypeError: batch(): element 1: field [0]: dtype: expected float32 as the first element has, got int32",
        "ShapeError: batch(): element 1: field a.b: shape: expected [2] as the first element has, got [2, 1]",
        "ArgumentError: batch(): element 1: field a: expected a string, got 5",
        "DTypeError: batch(): element 0: field [1]: value: expected numbers, booleans, strings, tensors, typed arrays, or tuples and records of these, got null",
        "ShapeError: batch(): element 0: field [0]: tensor(): ragged nesting: an array of 1 where a number was expected",
        "DTypeError: batch(): element 1: dtype: expected float32 as the first element has, got bool",
      ]
    `);
  });

  test("options are checked", () => {
    expect(() => numbers(3).batch(0)).toThrow(/`batchSize` to be an integer ≥ 1/);
    expect(() => numbers(3).batch(2, { drop: true } as never)).toThrow(/`drop`/);
    expect(() => numbers(3).shuffle(0)).toThrow(/`bufferSize`/);
    expect(() => numbers(3).repeat().shuffle(Infinity)).toThrow(/endless/);
    expect(() => numbers(3).map(5 as never)).toThrow("map(): expected a function, got 5");
    expect(() => numbers(3).map((v) => v, { concurrency: 0 })).toThrow(/`concurrency`/);
    expect(() => numbers(3).take(-1)).toThrow(/`count`/);
    expect(() => numbers(3).shard(2, 2)).toThrow(/`index`/);
    expect(() => numbers(3).concatenate([] as never)).toThrow(/a dataset/);
    expect(() => zip([] as never)).toThrow(/datasets/);
  });
});

describe("padded batches", () => {
  const ragged = fromIterable([
    [Int32Array.of(1), 1],
    [Int32Array.of(1, 2, 3), 2],
    [Int32Array.of(1, 2), 3],
  ] as const);

  test("are filled up to the longest, or to a shape", async () => {
    expect(await all(ragged.paddedBatch(2))).toEqual([
      [
        [
          [1, 0, 0],
          [1, 2, 3],
        ],
        [1, 2],
      ],
      [[[1, 2]], [3]],
    ]);
    expect(
      await all(ragged.paddedBatch(3, { paddedShapes: [[4], []], paddingValues: [-1, 0] })),
    ).toEqual([
      [
        [
          [1, -1, -1, -1],
          [1, 2, 3, -1],
          [1, 2, -1, -1],
        ],
        [1, 2, 3],
      ],
    ]);
    const matrices = fromIterable([tensor([[1, 2]]), tensor([[3], [4], [5]])]).map((x) => ({ x }));
    expect(await all(matrices.paddedBatch(2, { paddingValues: 9 }))).toEqual([
      {
        x: [
          [
            [1, 2],
            [9, 9],
            [9, 9],
          ],
          [
            [3, 9],
            [4, 9],
            [5, 9],
          ],
        ],
      },
    ]);
    expect(await all(ragged.paddedBatch(2, { dropRemainder: true }))).toHaveLength(1);
  });

  test("give the lengths", async () => {
    const batches = await ragged.paddedBatch(2, { lengths: ([x]) => x.length }).toArray();
    const [[x, y], lengths] = batches[0]!;
    expect([x.shape, y.shape, lengths.dtype]).toEqual([[2, 3], [2], "int32"]);
    expect(batches.map(([, l]) => l.arraySync())).toEqual([[1, 3], [2]]);
  });

  test("say what does not fit", async () => {
    const refused = (options: object) => ragged.paddedBatch(2, options as never).toArray();
    await expect(refused({ paddedShapes: [[2], []] })).rejects.toThrow(
      "paddedBatch(): element 1: shape [3] of field [0] is larger than the [2] of `paddedShapes`",
    );
    await expect(refused({ paddedShapes: [[2, 2], []] })).rejects.toThrow(ShapeError);
    await expect(refused({ paddedShapes: [[2]] })).rejects.toThrow(/in the structure/);
    await expect(refused({ paddingValues: [0] })).rejects.toThrow(/in the structure/);
    await expect(refused({ paddingValues: [-1.7, 0] })).rejects.toThrow(
      "paddedBatch(): `paddingValues` for field [0]: expected integers from -2147483648 to 2147483647 for int32, got -1.7",
    );
    const padding = (values: object, paddingValues: number) =>
      fromIterable([values]).paddedBatch(1, { paddingValues }).toArray();
    await expect(padding(Uint8Array.of(1), -1)).rejects.toThrow(/integers from 0 to 255 for uint8/);
    await expect(padding(tensor([true]), 5)).rejects.toThrow(/integers from 0 to 1 for bool/);
    // Fields without dimensions are never filled up.
    expect(await padding([Float32Array.of(1), true], -1.5)).toHaveLength(1);
    await expect(refused({ lengths: () => -1 })).rejects.toThrow(/element 0: lengths/);
    await expect(
      fromIterable([tensor([1]), tensor([[1]])])
        .paddedBatch(2)
        .toArray(),
    ).rejects.toThrow(/element 1: shape: expected 1 dimensions as the first element has/);
  });
});

describe("buckets", () => {
  const lengths = [1, 7, 2, 9, 3, 8, 1, 30, 6];
  const sequences = fromIterable(lengths.map((n) => [new Int32Array(n).fill(n), n] as const));

  test("hold elements of similar length, and give all of them", async () => {
    const batches = await sequences
      .bucketByLength({
        length: ([x]) => x.length,
        boundaries: [4, 10],
        batchSizes: [3, 2, 1],
        lengths: true,
      })
      .toArray();
    expect(batches.map(([[x], l]) => [x.shape, l.arraySync()])).toEqual([
      [
        [2, 9],
        [7, 9],
      ],
      [
        [3, 3],
        [1, 2, 3],
      ],
      [[1, 30], [30]],
      [
        [2, 8],
        [8, 6],
      ],
      [[1, 1], [1]],
    ]);
  });

  test("padded to their boundary have few shapes", async () => {
    const batches = await sequences
      .bucketByLength({
        length: ([x]) => x.length,
        boundaries: [4, 10],
        batchSizes: 2,
        padToBoundary: true,
        paddedShapes: [[null], []],
        dropRemainder: true,
      })
      .toArray();
    expect(batches.map(([x]) => x.shape)).toEqual([
      [2, 3],
      [2, 9],
      [2, 3],
      [2, 9],
    ]);
  });

  test("say what is wrong", async () => {
    const bucket = (options: object) =>
      sequences.bucketByLength({
        length: ([x]: readonly [Int32Array, number]) => x.length,
        boundaries: [4],
        batchSizes: 2,
        ...options,
      } as never);
    expect(() => bucket({ boundaries: [4, 4] })).toThrow(/`boundaries\[1\]` to be an integer ≥ 5/);
    expect(() => bucket({ boundaries: [] })).toThrow(/`boundaries`/);
    expect(() => bucket({ batchSizes: [1] })).toThrow(/`batchSizes` as a number or 2 of them/);
    expect(() => bucket({ padToBoundary: true })).toThrow(/needs `paddedShapes`/);
    await expect(bucket({ length: () => "3" }).toArray()).rejects.toThrow(
      'bucketByLength(): element 0: length: expected an integer ≥ 0, got "3"',
    );
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
