/** Batches of datasets: side by side, filled up, and of similar length. */
import { describe, expect, test } from "vitest";
import { fromIterable, zip } from "../../src/data/arrays.js";
import { ShapeError } from "../../src/errors.js";
import { tensor } from "../../src/tensor/tensor.js";
import { all, numbers, plain } from "./helpers.js";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";

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

  test("refuse elements that differ from the first, whatever their buckets", async () => {
    // Element i is in bucket i, and the first element's bucket is the last to make a batch.
    const outcome = (...elements: unknown[]) =>
      fromIterable(elements)
        .bucketByLength({
          length: (element) => elements.indexOf(element),
          boundaries: [1, 2],
          batchSizes: [9, 1, 1],
        })
        .toArray()
        .then(
          (batches) => batches.map(plain),
          (error: Error) => `${error.name}: ${error.message}`,
        );
    const [short, long] = [new Float32Array(1), new Float32Array(2)];
    expect(await outcome([short], [long])).toEqual([[[[0, 0]]], [[[0]]]]);
    expect([
      await outcome([short, 1], [long, 2], [new Int32Array(3), 3]),
      await outcome([short, 1], [tensor([[1], [2]]), 2]),
      await outcome([short, 1], [long, 2, 3]),
      await outcome({ x: short }, { y: long }),
      await outcome({ x: "a" }, { x: 5 }),
      await outcome({ x: null }, { x: short }),
    ]).toMatchInlineSnapshot(`
      [
        "DTypeError: bucketByLength(): element 2: field [0]: dtype: expected float32 as the first element has, got int32",
        "ShapeError: bucketByLength(): element 1: field [0]: shape: expected 1 dimensions as the first element has, got [2, 1]",
        "ShapeError: bucketByLength(): element 1: structure: expected 2 fields as the first element has, got 3",
        "ShapeError: bucketByLength(): element 1: structure: expected the fields x as the first element has, got y",
        "ArgumentError: bucketByLength(): element 1: field x: expected a string, got 5",
        "DTypeError: bucketByLength(): element 0: field x: value: expected numbers, booleans, strings, tensors, typed arrays, or tuples and records of these, got null",
      ]
    `);
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
