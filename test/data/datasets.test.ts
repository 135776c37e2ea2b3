import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digits, fashionMnist, logicGates, mnist, names } from "../../src/data/datasets.js";
import { drawDigits } from "../../src/data/digits.js";
import { ArgumentError, FormatError } from "../../src/errors.js";
import { readIdx, writeIdx } from "../../src/formats/idx.js";
import { mnistMissing, testData } from "../helpers/data.js";

describe("logicGates", () => {
  it("holds the truth tables", () => {
    const gates = logicGates();
    const rule: Record<string, (a: number, b: number) => boolean> = {
      and: (a, b) => a + b === 2,
      or: (a, b) => a + b > 0,
      nand: (a, b) => a + b < 2,
      nor: (a, b) => a + b === 0,
      xor: (a, b) => a !== b,
      xnor: (a, b) => a === b,
    };
    expect(Object.keys(gates).sort()).toEqual(Object.keys(rule).sort());
    for (const [name, { x, y }] of Object.entries(gates)) {
      expect(x.shape).toEqual([4, 2]);
      expect(y.shape).toEqual([4, 1]);
      const rows = x.dataSync();
      const expected = [0, 1, 2, 3].map((i) => Number(rule[name]!(rows[2 * i]!, rows[2 * i + 1]!)));
      expect([...y.dataSync()]).toEqual(expected);
    }
  });
});

describe("digits", () => {
  it("has the shapes, types and balance it promises", () => {
    const { train, test, classNames } = digits({ train: 200, test: 50 });
    expect(train.x.shape).toEqual([200, 28, 28, 1]);
    expect(train.x.dtype).toBe("float32");
    expect(train.y.shape).toEqual([200]);
    expect(train.y.dtype).toBe("int32");
    expect(test.x.shape).toEqual([50, 28, 28, 1]);
    expect(classNames).toHaveLength(10);
    const pixels = train.x.dataSync();
    expect(Array.from(pixels).reduce((a, b) => Math.min(a, b))).toBe(0);
    expect(Array.from(pixels).reduce((a, b) => Math.max(a, b))).toBe(1);
    const counts = new Array<number>(10).fill(0);
    for (const label of train.y.dataSync()) counts[label]!++;
    expect(counts).toEqual(new Array(10).fill(20));
    const bytes = digits({ train: 200, test: 50, normalize: false }).train.x;
    expect(bytes.dtype).toBe("uint8");
    expect([...pixels]).toEqual([...bytes.dataSync()].map((v) => Math.fround(v / 255)));
  });

  it("depends on the seed, the split and the index only", () => {
    const few = drawDigits(30, 7, 0);
    const many = drawDigits(100, 7, 0);
    expect(many.pixels.subarray(0, few.pixels.length)).toEqual(few.pixels);
    expect(many.labels.subarray(0, 30)).toEqual(few.labels);
    expect(drawDigits(30, 8, 0).pixels).not.toEqual(few.pixels);
    expect(drawDigits(30, 7, 1).pixels).not.toEqual(few.pixels);
  });

  it("is the same on every machine", () => {
    // Made by this generator; changes only when the pictures are meant to change.
    const { pixels, labels } = drawDigits(500, 1, 0);
    const hash = createHash("sha256").update(pixels).update(labels).digest("hex");
    expect(hash).toBe("d2c779ad7069d228f7263953bffeb40f88fb048a479bda31aca1e067d64ee422");
  });

  it("draws ink in the middle and never two pictures alike", () => {
    const { pixels } = drawDigits(1000, 3, 0);
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const picture = pixels.subarray(i * 784, (i + 1) * 784);
      seen.add(Buffer.from(picture).toString("base64"));
      const ink = picture.reduce((sum, v) => sum + v, 0) / 255;
      expect(ink).toBeGreaterThan(10);
      expect(ink).toBeLessThan(350);
    }
    expect(seen.size).toBe(1000);
  });

  it("can't be told apart by the nearest class mean, as handwriting can't", () => {
    const train = drawDigits(4000, 1, 0);
    const test = drawDigits(1000, 1, 1);
    const means = Array.from({ length: 10 }, () => new Float64Array(784));
    train.labels.forEach((label, i) => {
      for (let p = 0; p < 784; p++) means[label]![p]! += train.pixels[i * 784 + p]! / 400;
    });
    let right = 0;
    test.labels.forEach((label, i) => {
      const distance = means.map((mean) =>
        mean.reduce((sum, m, p) => sum + (m - test.pixels[i * 784 + p]!) ** 2, 0),
      );
      if (distance.indexOf(Math.min(...distance)) === label) right++;
    });
    // 82 % on MNIST. Far above chance, far below what a network reaches.
    expect(right).toBeGreaterThan(600);
    expect(right).toBeLessThan(900);
  });

  it("refuses bad options", () => {
    expect(() => digits({ train: 0 })).toThrow(ArgumentError);
    expect(() => digits({ seed: -1 })).toThrow(/`seed`/);
    expect(() => digits({ sed: 1 } as object)).toThrow(/did you mean `seed`/);
  });
});

describe("mnist from a directory", () => {
  let directory: string;
  const pictures = Uint8Array.from({ length: 3 * 28 * 28 }, (_, i) => i % 256);
  const labels = Uint8Array.of(3, 0, 9);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "layerwise-mnist-"));
    await writeIdx(join(directory, "train-images-idx3-ubyte.gz"), pictures, [3, 28, 28]);
    await writeIdx(join(directory, "train-labels-idx1-ubyte"), labels, [3]);
    await writeIdx(join(directory, "t10k-images.idx3-ubyte"), pictures.subarray(784), [2, 28, 28]);
    await writeIdx(join(directory, "t10k-labels-idx1-ubyte.gz"), labels.subarray(1), [2]);
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it("reads gzipped, plain and dotted names", async () => {
    const { train, test } = await mnist({ dir: directory, normalize: false });
    expect(train.x.shape).toEqual([3, 28, 28, 1]);
    expect(train.x.dtype).toBe("uint8");
    expect(train.x.dataSync()).toEqual(pictures);
    expect([...train.y.dataSync()]).toEqual([3, 0, 9]);
    expect(train.y.dtype).toBe("int32");
    expect([...test.y.dataSync()]).toEqual([0, 9]);
    const scaled = (await fashionMnist({ dir: directory })).train.x;
    expect(scaled.dtype).toBe("float32");
    expect(scaled.dataSync()[255]).toBe(1);
    expect(scaled.dataSync()[51]).toBeCloseTo(0.2, 7);
  });

  /** A copy of the directory with one file replaced. */
  async function broken(name: string, data: Uint8Array | Int32Array, shape: number[]) {
    const copy = join(directory, name);
    await mkdir(copy);
    for (const file of [
      "train-images-idx3-ubyte.gz",
      "train-labels-idx1-ubyte",
      "t10k-images.idx3-ubyte",
      "t10k-labels-idx1-ubyte.gz",
    ]) {
      await copyFile(join(directory, file), join(copy, file));
    }
    await writeIdx(join(copy, "train-labels-idx1-ubyte"), data, shape);
    return copy;
  }

  it("says what is missing or wrong", async () => {
    const none = join(directory, "none");
    await expect(mnist({ dir: none })).rejects.toThrow(ArgumentError);
    await expect(mnist({ dir: none })).rejects.toThrow(
      `mnist: no train-images-idx3-ubyte, train-images-idx3-ubyte.gz, train-images.idx3-ubyte, ` +
        `train-images.idx3-ubyte.gz in ${JSON.stringify(none)}`,
    );
    const short = await broken("short", labels.subarray(1), [2]);
    await expect(mnist({ dir: short })).rejects.toThrow(FormatError);
    await expect(mnist({ dir: short })).rejects.toThrow(/expected uint8 \[3\], a label for each/);
    const typed = await broken("typed", Int32Array.from(labels), [3]);
    await expect(mnist({ dir: typed })).rejects.toThrow(/got int32 \[3\]/);
    const range = await broken("range", Uint8Array.of(1, 10, 2), [3]);
    await expect(mnist({ dir: range })).rejects.toThrow(/label 1 is 10; there are 10 classes/);
    await expect(mnist({ folder: "x" } as object)).rejects.toThrow(/unknown option `folder`/);
    for (const [options, got] of [
      ["/pictures", '"/pictures"; did you mean { dir: "/pictures" }?'],
      [null, "null; the options are dir, cacheDir, normalize, signal, onProgress"],
      [["/pictures"], '["/pictures"]; the options are dir, '],
    ] as const) {
      await expect(mnist(options as never)).rejects.toThrow(ArgumentError);
      await expect(mnist(options as never)).rejects.toThrow(
        `mnist: expected an object with options, got ${got}`,
      );
    }
    await expect(names({ dir: none })).rejects.toThrow(
      `names: can't read ${JSON.stringify(none)}: there is no such directory`,
    );
    await expect(readIdx(none)).rejects.toThrow("there is no such file");
  });
});

if (mnistMissing) console.info(`the real data sets are not tested: ${mnistMissing}`);

describe.skipIf(mnistMissing)(`the real files${mnistMissing ? ` (${mnistMissing})` : ""}`, () => {
  it.each([
    [
      "MNIST",
      mnist,
      0.13066,
      0.30811,
      [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    ],
    ["Fashion-MNIST", fashionMnist, 0.28604, 0.35302, new Array<number>(10).fill(6000)],
  ] as const)(
    "%s has the published statistics and checksums",
    async (_, load, mean, std, counts) => {
      // Laid out as a cache, every file passes its pinned checksum and nothing is downloaded.
      const { train, test } = await load({ cacheDir: testData, normalize: false });
      expect(train.x.shape).toEqual([60000, 28, 28, 1]);
      expect(test.x.shape).toEqual([10000, 28, 28, 1]);
      let sum = 0;
      let squares = 0;
      const pixels = train.x.dataSync();
      for (const v of pixels) {
        sum += v;
        squares += v * v;
      }
      const average = sum / pixels.length / 255;
      expect(average).toBeCloseTo(mean, 4);
      expect(Math.sqrt(squares / pixels.length / 255 ** 2 - average ** 2)).toBeCloseTo(std, 4);
      const found = new Array<number>(10).fill(0);
      for (const label of train.y.dataSync()) found[label]!++;
      expect(found).toEqual([...counts]);
    },
  );
});
