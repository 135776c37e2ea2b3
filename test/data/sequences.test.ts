/** Padding, windows, time series and the batches of truncated back-propagation, against plain loops. */
import { describe, expect, test } from "vitest";
import { bpttBatches, padSequences, slidingWindows } from "../../src/data/sequences.js";
import { timeseries } from "../../src/data/timeseries.js";
import { ShapeError } from "../../src/errors.js";
import { tensor } from "../../src/tensor/tensor.js";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";

describe("padSequences", () => {
  test("fills and cuts at either end, as Keras does", () => {
    const s = [[1], [2, 3], [4, 5, 6]];
    // The examples of Keras' documentation.
    expect(padSequences(s).arraySync()).toEqual([
      [0, 0, 1],
      [0, 2, 3],
      [4, 5, 6],
    ]);
    expect(padSequences(s, { value: -1 }).arraySync()).toEqual([
      [-1, -1, 1],
      [-1, 2, 3],
      [4, 5, 6],
    ]);
    expect(padSequences(s, { padding: "post" }).arraySync()).toEqual([
      [1, 0, 0],
      [2, 3, 0],
      [4, 5, 6],
    ]);
    expect(padSequences(s, { maxLength: 2 }).arraySync()).toEqual([
      [0, 1],
      [2, 3],
      [5, 6],
    ]);
    expect(padSequences(s, { maxLength: 2, truncating: "post" }).arraySync()).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
    ]);
    expect(padSequences(s).dtype).toBe("int32");
    expect(padSequences([[], [1]], { padding: "post" }).arraySync()).toEqual([[0], [1]]);
    expect(padSequences([[1, 2]], { maxLength: 0 }).shape).toEqual([1, 0]);
  });

  test("takes tensors, typed arrays and steps of several values", () => {
    const a = tensor([
      [1, 2],
      [3, 4],
    ]);
    const padded = padSequences([a, [[5.5, 6]]], { dtype: "float32", value: 0.5 });
    expect(padded.arraySync()).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [0.5, 0.5],
        [5.5, 6],
      ],
    ]);
    expect(padSequences([Int32Array.of(1), Uint8Array.of(2, 3)]).arraySync()).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });

  test("takes any number of sequences", () => {
    const padded = padSequences(Array.from({ length: 200_000 }, () => [1]));
    expect(padded.shape).toEqual([200_000, 1]);
  });

  test("says what does not fit", () => {
    expect(() => padSequences([])).toThrow(/at least one/);
    expect(() => padSequences([[1], [[1, 2]]] as never)).toThrow(
      "padSequences(): sequence 1: expected steps of shape [], got [2]",
    );
    expect(() => padSequences([[1], [1.5]])).toThrow(/sequence 1: .*integers.*got 1.5 at 0/);
    expect(() => padSequences([[1]], { maxlen: 3 } as never)).toThrow(/did you mean `maxLength`/);
    expect(() => padSequences([[1]], { padding: "left" as never })).toThrow(/"pre", "post"/);
    expect(() => padSequences([5] as never)).toThrow(/sequence 0: expected an array or a tensor/);
  });
});

test("slidingWindows", () => {
  const a = Int32Array.of(1, 2, 3, 4, 5);
  const windows = slidingWindows(a, { size: 3 });
  expect(windows.map((w) => [...w])).toEqual([
    [1, 2, 3],
    [2, 3, 4],
    [3, 4, 5],
  ]);
  expect(windows[0]!.buffer).toBe(a.buffer);
  expect(slidingWindows([1, 2, 3, 4, 5], { size: 2, stride: 2 })).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(slidingWindows("abcde", { size: 2, stride: 2, partial: true })).toEqual(["ab", "cd", "e"]);
  expect(slidingWindows([1], { size: 2 })).toEqual([]);
  expect(() => slidingWindows([1], { size: 0 })).toThrow(/`size`/);
  expect(() => slidingWindows(5 as never, { size: 1 })).toThrow(/an array or a text/);
});

describe("bpttBatches", () => {
  test.each([
    [23, 3, 2],
    [31, 5, 3],
    [7, 1, 2],
    [9, 4, 2],
  ])(
    "%i tokens in %i streams of %i steps go on from batch to batch",
    async (count, batchSize, steps) => {
      const tokens = Array.from({ length: count }, (_, i) => i);
      const batches = await bpttBatches(tokens, { batchSize, steps }).toArray();
      const length = Math.floor((count - 1) / batchSize);
      expect(batches).toHaveLength(Math.floor(length / steps));
      for (const [b, [x, y]] of batches.entries()) {
        expect([x.shape, y.shape, x.dtype]).toEqual([
          [batchSize, steps],
          [batchSize, steps],
          "int32",
        ]);
        const xs = x.arraySync() as number[][];
        xs.forEach((row, stream) => {
          // Contiguous in the text, and where the batch before ended.
          expect(row).toEqual(row.map((_, t) => stream * length + b * steps + t));
        });
        expect(y.arraySync()).toEqual(xs.map((row) => row.map((v) => v + 1)));
      }
      const major = await bpttBatches(tokens, { batchSize, steps, timeMajor: true }).toArray();
      major.forEach(([x], b) => {
        expect(x.transpose().arraySync()).toEqual(batches[b]![0].arraySync());
      });
    },
  );

  test("gives the rest where it is wanted, and says when there is too little", async () => {
    const batches = await bpttBatches(
      Int32Array.from({ length: 16 }, (_, i) => i),
      {
        batchSize: 3,
        steps: 2,
        dropRemainder: false,
      },
    ).toArray();
    expect(batches.map(([x]) => x.shape)).toEqual([
      [3, 2],
      [3, 2],
      [3, 1],
    ]);
    expect(batches.at(-1)![1].arraySync()).toEqual([[5], [10], [15]]);
    expect(() => bpttBatches([1, 2, 3, 4], { batchSize: 2, steps: 2 })).toThrow(
      "bpttBatches(): 4 tokens are too few for 2 streams of 2 steps, which take 5",
    );
    expect(bpttBatches([1, 2, 3, 4, 5], { batchSize: 2, steps: 2 }).size).toBe(1);
    const short = { batchSize: 2, steps: 2, dropRemainder: false };
    expect(() => bpttBatches([1, 2], short)).toThrow(
      "bpttBatches(): 2 tokens are too few for 2 streams of 1 step, which take 3",
    );
    expect(bpttBatches([1, 2, 3], short).size).toBe(1);
  });

  test("takes tokens in one dimension", async () => {
    const options = { batchSize: 1, steps: 2 };
    const batches = await bpttBatches(tensor([1, 2, 3]), options).toArray();
    expect(batches.map(([x]) => x.arraySync())).toEqual([[[1, 2]]]);
    for (const rows of [[[1, 2, 3]], tensor([[1, 2, 3]])]) {
      expect(() => bpttBatches(rows as never, options)).toThrow(
        new ShapeError("bpttBatches(): expected tokens in one dimension, got [1, 3]"),
      );
    }
    expect(() => bpttBatches(5 as never, options)).toThrow(
      "bpttBatches(): expected an array or a tensor, got 5",
    );
    expect(() => bpttBatches([0.5, 1, 2], options)).toThrow(/^bpttBatches\(\): .*got 0.5 at 0/);
  });
});

describe("timeseries", () => {
  const series = Array.from({ length: 20 }, (_, i) => i);

  /** Keras' definition, as a loop. */
  function reference(length: number, stride: number, rate: number, first: number, last: number) {
    const windows: number[][] = [];
    for (let start = first; start + (length - 1) * rate < last; start += stride) {
      windows.push(Array.from({ length }, (_, t) => series[start + t * rate]!));
    }
    return windows;
  }

  test.each([
    [5, 1, 1, 0, 20],
    [5, 3, 1, 0, 20],
    [4, 2, 3, 0, 20],
    [3, 1, 2, 4, 15],
    [20, 1, 1, 0, 20],
    [1, 7, 1, 0, 20],
  ])("length %i, stride %i, rate %i, from %i to %i", async (length, stride, rate, from, to) => {
    const dataset = timeseries(series, {
      sequenceLength: length,
      sequenceStride: stride,
      samplingRate: rate,
      startIndex: from,
      endIndex: to,
    });
    const got = (await dataset.toArray()).map((t) => t.arraySync());
    expect(got).toEqual(reference(length, stride, rate, from, to));
    expect(dataset.size).toBe(got.length);
  });

  test("targets stand at the window's start, as in Keras, or a horizon after its end", async () => {
    const targets = series.map((v) => v * 10);
    const pairs = await timeseries(series, { sequenceLength: 3, targets }).toArray();
    expect(pairs).toHaveLength(18);
    expect(pairs.map(([w, y]) => y.item() / 10 - (w.arraySync() as number[])[0]!)).toEqual(
      Array(18).fill(0),
    );
    expect(await timeseries(series, { sequenceLength: 3, targets: [1, 2] }).toArray()).toHaveLength(
      2,
    );
    const next = await timeseries(series, {
      sequenceLength: 3,
      horizon: 2,
      samplingRate: 2,
    }).toArray();
    expect(next.at(0)!.map((t) => t.arraySync())).toEqual([[0, 2, 4], 6]);
    expect(next.at(-1)!.map((t) => t.arraySync())).toEqual([[13, 15, 17], 19]);
    const table = tensor(series.map((v) => [v, v + 100, v + 200]));
    const columns = timeseries(table, { sequenceLength: 2, horizon: 1, targetColumns: [2, 0] });
    expect((await columns.toArray())[3]!.map((t) => t.arraySync())).toEqual([
      [
        [3, 103, 203],
        [4, 104, 204],
      ],
      [205, 5],
    ]);
    const batches = await columns.shuffle(Infinity, { seed: 1 }).batch(8).toArray();
    expect(batches.map(([x, y]) => [x.shape, y.shape])).toEqual([
      [
        [8, 2, 3],
        [8, 2],
      ],
      [
        [8, 2, 3],
        [8, 2],
      ],
      [
        [2, 2, 3],
        [2, 2],
      ],
    ]);
  });

  test("says what does not fit", () => {
    const make = (options: object) => () => timeseries(series, options as never);
    expect(make({ sequenceLength: 21 })).toThrow(
      /a window of 21 steps spans 21 steps, but there are 20/,
    );
    expect(make({ sequenceLength: 20, horizon: 1 })).toThrow(/and a horizon of 1 spans 21 steps/);
    expect(make({ sequenceLength: 2, horizon: 1, targets: series })).toThrow(/not both/);
    expect(make({ sequenceLength: 2, targetColumns: [0] })).toThrow(/needs a `horizon`/);
    expect(make({ sequenceLength: 2, horizon: 1, targetColumns: [0] })).toThrow(
      /\[time, columns\]/,
    );
    expect(make({ length: 2 })).toThrow(/unknown option `length`/);
    expect(make({ sequenceLength: 2, endIndex: 21 })).toThrow(/`endIndex`/);
  });
});
