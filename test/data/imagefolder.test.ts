/** Folders of pictures, and the PNG reader behind them against a writer of all kinds of PNG. */
import { mkdir, mkdtemp, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, crc32 as zlibCrc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import type { Dataset } from "../../src/data/dataset.js";
import { type ImageFolderOptions, imageFolder } from "../../src/data/imagefolder.js";
import { ArgumentError, DatasetError, FormatError } from "../../src/errors.js";
import { decodePng, encodePng } from "../../src/formats/png.js";
import { flatten } from "../../src/layers/core.js";
import { dense } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { adam } from "../../src/optimizers/factories.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { bytes } from "../helpers/random.js";
import "../models/helpers.js";

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(zlibCrc32(body), body.length + 4);
  return out;
}

interface Kind {
  colour: number;
  depth: number;
  filter?: number;
  interlace?: number;
  extra?: Buffer[];
}

/** A PNG of these packed rows, each through the filter (W3C PNG, 9.2), written independently of the reader. */
function png(width: number, height: number, rows: Uint8Array[], kind: Kind): Buffer {
  const { colour, depth, filter = 0, interlace = 0, extra = [] } = kind;
  const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colour]!;
  const step = Math.max(1, (samples * depth) / 8);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, interlace], 8);
  const filtered = rows.map((row, y) => {
    const above = rows[y - 1];
    const out = row.map((value, i) => {
      const a = i >= step ? row[i - step]! : 0;
      const b = above?.[i] ?? 0;
      const c = i >= step ? (above?.[i - step] ?? 0) : 0;
      const p = a + b - c;
      const paeth = [a, b, c].sort(
        (u, v) => Math.abs(p - u) - Math.abs(p - v) || [a, b, c].indexOf(u) - [a, b, c].indexOf(v),
      )[0]!;
      return value - [0, a, b, (a + b) >> 1, paeth][filter]!;
    });
    return Buffer.concat([Buffer.of(filter), out]);
  });
  return Buffer.concat([
    Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    ...extra,
    chunk("IDAT", deflateSync(Buffer.concat(filtered)).subarray(0, 7)),
    chunk("IDAT", deflateSync(Buffer.concat(filtered)).subarray(7)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const random = (n: number, seed: number) => bytes(seed, n);

describe("PNG", () => {
  test.each([0, 1, 2, 3, 4])("filter %i, every colour type with 8 and 16 bits", async (filter) => {
    const [width, height] = [5, 4];
    for (const [colour, samples] of [
      [0, 1],
      [2, 3],
      [4, 2],
      [6, 4],
    ] as const) {
      for (const depth of [8, 16]) {
        const stride = width * samples * (depth / 8);
        const rows = Array.from({ length: height }, (_, y) =>
          random(stride, 7 * y + depth + colour),
        );
        const image = await decodePng(png(width, height, rows, { colour, depth, filter }));
        const want = rows.flatMap((row) => [...row].filter((_, i) => depth === 8 || i % 2 === 0));
        expect([image.width, image.height, image.channels]).toEqual([width, height, samples]);
        expect([...image.pixels]).toEqual(want);
      }
    }
  });

  test("of two predictions equally near, Paeth's filter takes the one above", async () => {
    // Left 11, above 8, corner 10: the sum of the first two less the third is 9, as far from 8 as from 10.
    const rows = [Uint8Array.of(10, 8), Uint8Array.of(11, 77)];
    const image = await decodePng(png(2, 2, rows, { colour: 0, depth: 8, filter: 4 }));
    expect([...image.pixels]).toEqual([10, 8, 11, 77]);
    // The same by hand: filtered bytes are differences from 10 (above), then from 8.
    const raw = Buffer.of(0, 10, 8, 4, 1, 69);
    const bytes = png(2, 2, [], { colour: 0, depth: 8 });
    const data = Buffer.concat([
      bytes.subarray(0, 33),
      chunk("IDAT", deflateSync(raw)),
      chunk("IEND", Buffer.alloc(0)),
    ]);
    expect([...(await decodePng(data)).pixels]).toEqual([10, 8, 11, 77]);
  });

  test("few bits a pixel, and palettes", async () => {
    const rows = [Uint8Array.of(0b10110000), Uint8Array.of(0b00001000)];
    const bits = await decodePng(png(5, 2, rows, { colour: 0, depth: 1 }));
    expect([...bits.pixels]).toEqual([255, 0, 255, 255, 0, 0, 0, 0, 0, 255]);
    const fours = await decodePng(png(3, 1, [Uint8Array.of(0x0f, 0x80)], { colour: 0, depth: 4 }));
    expect([...fours.pixels]).toEqual([0, 255, 136]);
    const palette = chunk("PLTE", Buffer.of(1, 2, 3, 4, 5, 6, 7, 8, 9));
    const two = { colour: 3, depth: 2, extra: [palette] };
    const coloured = await decodePng(png(3, 1, [Uint8Array.of(0b10000100)], two));
    expect(coloured).toMatchObject({ channels: 3 });
    expect([...coloured.pixels]).toEqual([7, 8, 9, 1, 2, 3, 4, 5, 6]);
    const clear = { ...two, extra: [palette, chunk("tRNS", Buffer.of(0, 128))] };
    const alpha = await decodePng(png(3, 1, [Uint8Array.of(0b10000100)], clear));
    expect([...alpha.pixels]).toEqual([7, 8, 9, 255, 1, 2, 3, 0, 4, 5, 6, 128]);
    const beyond = png(3, 1, [Uint8Array.of(0b11000100)], two);
    await expect(decodePng(beyond)).rejects.toThrow("PNG: colour 3 is not in its palette");
  });

  test("what our writer writes", async () => {
    const pixels = random(6 * 7 * 3, 1);
    expect(await decodePng(encodePng(pixels, 6, 7, 3))).toEqual({
      width: 6,
      height: 7,
      channels: 3,
      pixels,
    });
  });

  test("damaged files are errors", async () => {
    const good = Buffer.from(encodePng(random(12, 1), 2, 2, 3));
    for (let length = 0; length < good.length; length++) {
      await expect(decodePng(good.subarray(0, length))).rejects.toThrow(FormatError);
    }
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x55;
      await expect(decodePng(bad)).rejects.toThrow(FormatError);
    }
    const rows = [Uint8Array.of(1), Uint8Array.of(1)];
    const refused = (width: number, height: number, kind: Kind) =>
      decodePng(png(width, height, rows, kind), 'picture "x"');
    await expect(refused(1, 2, { colour: 0, depth: 8, interlace: 1 })).rejects.toThrow(
      'picture "x": it is interlaced, which this reader can\'t read',
    );
    await expect(refused(1, 3, { colour: 0, depth: 8 })).rejects.toThrow(/take 4 bytes, not 6/);
    await expect(refused(2 ** 16, 2 ** 16, { colour: 0, depth: 8 })).rejects.toThrow(/too many/);
    await expect(refused(1, 2, { colour: 2, depth: 4 })).rejects.toThrow(
      /colour type 2 with 4 bits/,
    );
    await expect(refused(1, 2, { colour: 3, depth: 8 })).rejects.toThrow(/no palette/);
  });
});

describe("folders", () => {
  let directory: string;
  /** Grey level of picture `i` of a class. */
  const level = (label: number, i: number) => 40 * label + i;
  const classes = ["apple", "banana", "cherry"];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "layerwise-images-"));
    for (const [label, name] of classes.entries()) {
      await mkdir(join(directory, name, "more"), { recursive: true });
      for (let i = 0; i < 10; i++) {
        const pixels = new Uint8Array(4 * 6 * 3).fill(level(label, i));
        const folder = i < 8 ? name : join(name, "more");
        await writeFile(join(directory, folder, `picture${i}.png`), encodePng(pixels, 6, 4, 3));
      }
      await writeFile(join(directory, name, "notes.txt"), "no picture");
    }
    await mkdir(join(directory, ".hidden"));
    await writeFile(join(directory, "readme.md"), "not a class");
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  /** Paths below the directory, by class and name: `more/` comes before `picture0.png`. */
  const filesByName = classes.flatMap((name) =>
    [8, 9, 0, 1, 2, 3, 4, 5, 6, 7].map((i) => join(name, i < 8 ? "" : "more", `picture${i}.png`)),
  );
  /** Grey levels of files, as their names say. */
  const levelsOfFiles = (files: readonly string[]) =>
    files.map((file) => level(classes.indexOf(file.split(/[/\\]/)[0]!), Number(file.at(-5))));
  const levels = async (pictures: Dataset<[Tensor, Tensor]>) =>
    (await pictures.toArray()).map(([x]) => x.dataSync()[0]!);

  const builtin = { decoder: "builtin", normalize: false } as const;
  const load = (options: Partial<ImageFolderOptions> = {}) =>
    imageFolder(directory, { imageSize: [4, 6], seed: 3, ...builtin, ...options });

  test("are classes; pictures come decoded, in an order of their own each epoch", async () => {
    const { train, validation, classNames, files } = await load();
    expect(validation).toBe(null);
    expect(classNames).toEqual(classes);
    expect([files.train.length, files.validation.length]).toEqual([30, 0]);
    expect([...files.train].sort()).toEqual(filesByName);
    expect(train.size).toBe(30);
    const passes: number[][] = [];
    for (let pass = 0; pass < 2; pass++) {
      const levels: number[] = [];
      for await (const [image, label] of train) {
        expect([image.shape, image.dtype, label.shape, label.dtype]).toEqual([
          [4, 6, 3],
          "uint8",
          [],
          "int32",
        ]);
        const grey = image.dataSync()[0]!;
        expect(Math.floor(grey / 40)).toBe(label.item());
        levels.push(grey);
      }
      passes.push(levels);
    }
    const sorted = classes.flatMap((_, label) =>
      Array.from({ length: 10 }, (__, i) => level(label, i)),
    );
    for (const levels of passes) expect([...levels].sort((a, b) => a - b)).toEqual(sorted);
    expect(passes[0]).not.toEqual(passes[1]);
    const again = await load();
    expect((await again.train.toArray()).map(([x]) => x.dataSync()[0])).toEqual(passes[0]);
  });

  test("are split, the same way for the same seed", async () => {
    const levelsOf = async (options: Partial<ImageFolderOptions>) => {
      const { train, validation } = await load({ validationSplit: 0.2, ...options });
      return [await levels(train), await levels(validation!)] as const;
    };
    const [train, held] = await levelsOf({});
    expect([train.length, held.length]).toEqual([24, 6]);
    expect(new Set([...train, ...held]).size).toBe(30);
    expect((await levelsOf({}))[1]).toEqual(held);
    expect((await levelsOf({ seed: 4 }))[1]).not.toEqual(held);
  });

  test("come by class and name without shuffle, and the last of them are held back", async () => {
    const { train, validation, files } = await load({ shuffle: false, seed: undefined });
    expect(validation).toBe(null);
    expect(files).toEqual({ train: filesByName, validation: [] });
    for (let pass = 0; pass < 2; pass++) {
      expect(await levels(train)).toEqual(levelsOfFiles(filesByName));
    }
    const split = await load({ shuffle: false, validationSplit: 0.2 });
    expect(split.files).toEqual({
      train: filesByName.slice(0, 24),
      validation: filesByName.slice(24),
    });
    expect(await levels(split.train)).toEqual(levelsOfFiles(filesByName.slice(0, 24)));
    expect(await levels(split.validation!)).toEqual(levelsOfFiles(filesByName.slice(24)));
  });

  test("that are mixed have their files' names too", async () => {
    const { train, validation, files } = await load({ validationSplit: 0.3 });
    for (let pass = 0; pass < 2; pass++) {
      expect(await levels(validation!)).toEqual(levelsOfFiles(files.validation));
    }
    expect(files.validation).not.toEqual([...files.validation].sort());
    const trained = await levels(train);
    expect(trained.sort((a, b) => a - b)).toEqual(levelsOfFiles(files.train).sort((a, b) => a - b));
    expect([...files.train, ...files.validation].sort()).toEqual(filesByName);
    // Without a seed it is drawn, from the one of the program.
    const drawn = async () => {
      const loaded = await load({ seed: undefined, validationSplit: 0.3 });
      return [loaded.files.validation, await levels(loaded.train)];
    };
    setRandomSeed(1);
    const [first, second] = [await drawn(), await drawn()];
    expect(second).not.toEqual(first);
    setRandomSeed(1);
    expect(await drawn()).toEqual(first);
  });

  test("are chosen by their indices: what is left out isn't decoded", async () => {
    const broken = join(directory, "apple", "a.png");
    await writeFile(broken, "no PNG at all");
    try {
      const { train, files } = await load({ shuffle: false });
      expect(files.train[0]).toBe(join("apple", "a.png"));
      const whole = levelsOfFiles(filesByName);
      expect(await levels(train.skip(1))).toEqual(whole);
      expect(await levels(train.shard(3, 1))).toEqual(whole.filter((_, i) => i % 3 === 0));
      const mixed = train.skip(1).shuffle(Infinity, { seed: 5 }).take(8);
      const sizes: number[] = [];
      const batched: number[] = [];
      for await (const [x, y] of mixed.batch(3)) {
        sizes.push(y.size);
        expect(x.shape).toEqual([y.size, 4, 6, 3]);
        for (let i = 0; i < y.size; i++) batched.push(x.dataSync()[i * 72]!);
      }
      expect(sizes).toEqual([3, 3, 2]);
      expect(batched).toHaveLength(8);
      expect(batched).not.toEqual([...batched].sort((a, b) => a - b));
      await expect(train.take(2).batch(2).toArray()).rejects.toThrow(
        `imageFolder of ${JSON.stringify(directory)}: element 0: picture ${JSON.stringify(broken)}`,
      );
    } finally {
      await unlink(broken);
    }
  });

  test("without labels are pictures alone, all below the folder", async () => {
    const one = join(directory, "one.png");
    await writeFile(one, encodePng(new Uint8Array(72).fill(200), 6, 4, 3));
    try {
      const options = { imageSize: [4, 6], labelMode: null, shuffle: false, ...builtin } as const;
      const { train, validation, classNames, files } = await imageFolder(directory, options);
      expectTypeOf(train).toEqualTypeOf<Dataset<Tensor>>();
      expectTypeOf(validation).toEqualTypeOf<Dataset<Tensor> | null>();
      expect(classNames).toEqual([]);
      expect(files.train).toEqual([...filesByName, "one.png"]);
      const pictures = await train.toArray();
      expect(pictures.map((x) => x.dataSync()[0])).toEqual([...levelsOfFiles(filesByName), 200]);
      expect(pictures.at(-1)!.shape).toEqual([4, 6, 3]);
      const split = await imageFolder(directory, { ...options, validationSplit: 0.1 });
      expectTypeOf(split.validation).toEqualTypeOf<Dataset<Tensor>>();
      expect(split.validation.size).toBe(3);
      // Below a class there are no folders of classes, and none are needed.
      const single = await imageFolder(join(directory, "apple", "more"), options);
      expect(single.files.train).toEqual(["picture8.png", "picture9.png"]);
      const model = sequential([flatten({ inputShape: [4, 6, 3] }), dense({ units: 2 })]);
      const predicted = (await model.predict(single.train.batch(2))) as Tensor;
      expect(predicted.shape).toEqual([2, 2]);
    } finally {
      await unlink(one);
    }
  });

  test("links are what they lead to; hidden files and folders by a picture's name are none", async () => {
    const folder = await mkdtemp(join(tmpdir(), "layerwise-links-"));
    const picture = (grey: number) => encodePng(Uint8Array.of(grey), 1, 1, 1);
    const loaded = async () => {
      const { train, files } = await imageFolder(folder, {
        ...{ imageSize: [1, 1], shuffle: false, ...builtin },
      });
      return [files.train, await levels(train)];
    };
    try {
      await mkdir(join(folder, "a", "folder.png"), { recursive: true });
      await mkdir(join(folder, "a", ".git"));
      await writeFile(join(folder, "a", "x.png"), picture(1));
      await writeFile(join(folder, "a", "._x.png"), "what macOS keeps on foreign disks");
      await writeFile(join(folder, "a", ".git", "y.png"), picture(2));
      await writeFile(join(folder, "a", "folder.png", "z.png"), picture(3));
      await mkdir(join(folder, ".elsewhere"));
      await writeFile(join(folder, ".elsewhere", "w.png"), picture(4));
      await symlink(join(folder, ".elsewhere"), join(folder, "b"));
      await symlink(join(folder, ".elsewhere", "w.png"), join(folder, "a", "v.png"));
      await symlink(join(folder, "a"), join(folder, "a", "around"));
      const found = ["a/folder.png/z.png", "a/v.png", "a/x.png", "b/w.png"].map((n) => join(n));
      expect(await loaded()).toEqual([found, [3, 4, 1, 4]]);

      const start = `imageFolder of ${JSON.stringify(folder)}: can't read `;
      for (const link of [join(folder, "c"), join(folder, "a", "u.png")]) {
        await symlink(join(folder, "gone"), link);
        const error = (await loaded().catch((e: unknown) => e)) as Error;
        expect(error).toBeInstanceOf(ArgumentError);
        expect(error.message).toBe(
          `${start}${JSON.stringify(link)}: it is a link that leads nowhere`,
        );
        await unlink(link);
        await symlink(link, link);
        await expect(loaded()).rejects.toThrow(`${start}${JSON.stringify(link)}: ELOOP`);
        await unlink(link);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("a file that can't be read any more is named, with what wanted to", async () => {
    const file = join(directory, "apple", "z.png");
    const start = `imageFolder of ${JSON.stringify(directory)}: element 10: `;
    await writeFile(file, "");
    try {
      const { train } = await load({ shuffle: false });
      await unlink(file);
      await expect(train.toArray()).rejects.toThrow(
        `${start}can't read ${JSON.stringify(file)}: there is no such file`,
      );
      await symlink(file, file);
      const error = (await train.toArray().catch((e: unknown) => e)) as Error;
      expect(error).toBeInstanceOf(DatasetError);
      expect(error.message).toContain(`${start}ELOOP`);
      expect(error.message).toContain(file);
    } finally {
      await unlink(file);
    }
  });

  test("labels, colours, scale and sizes are as they are asked for", async () => {
    const first = async (options: Partial<ImageFolderOptions>) =>
      (await (await load({ shuffle: false, ...options })).train.take(1).toArray())[0]!;
    const [grey, hot] = await first({ colorMode: "grayscale", labelMode: "categorical" });
    expect([grey.shape, hot.shape, hot.dtype]).toEqual([[4, 6, 1], [3], "float32"]);
    expect(hot.dataSync()[Math.floor(grey.dataSync()[0]! / 40)]).toBe(1);
    const [scaled] = await first({ normalize: true });
    expect(scaled.dtype).toBe("float32");
    expect(scaled.dataSync()[0]! * 255).toBeCloseTo(grey.dataSync()[0]!, 4);
    const [rgba] = await first({ colorMode: "rgba" });
    expect(rgba.shape).toEqual([4, 6, 4]);
    expect(rgba.dataSync()[3]).toBe(255);
    const [large] = await first({ imageSize: [9, 5] });
    expect(large.shape).toEqual([9, 5, 3]);
    expect(new Set(large.dataSync()).size).toBe(1);
    const chosen = await load({ classNames: ["cherry", "apple"], labelMode: "binary" });
    expect(chosen.classNames).toEqual(["cherry", "apple"]);
    for await (const [x, y] of chosen.train) expect(y.item()).toBe(x.dataSync()[0]! >= 80 ? 0 : 1);
  });

  test("bilinear and nearest resizing map the centres of pixels", async () => {
    const folder = join(directory, "..", `${directory.split("/").at(-1)}-ramp`);
    await mkdir(join(folder, "a"), { recursive: true });
    try {
      await writeFile(join(folder, "a", "x.png"), encodePng(Uint8Array.of(0, 100), 2, 1, 1));
      const resize = async (interpolation: "bilinear" | "nearest") => {
        const { train } = await imageFolder(folder, {
          imageSize: [1, 4],
          colorMode: "grayscale",
          interpolation,
          ...builtin,
        });
        return [...(await train.toArray())[0]![0].dataSync()];
      };
      // Centres of the four lie at −0.25, 0.25, 0.75, 1.25 of the two.
      expect(await resize("bilinear")).toEqual([0, 25, 75, 100]);
      expect(await resize("nearest")).toEqual([0, 0, 100, 100]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("teach a model", async () => {
    setRandomSeed(1); // some initial weights leave every unit at 0
    const { train, validation } = await imageFolder(directory, {
      imageSize: [2, 3],
      validationSplit: 0.2,
      seed: 1,
      decoder: "builtin",
    });
    const model = sequential([
      flatten({ inputShape: [2, 3, 3] }),
      dense({ units: 16, activation: "relu" }),
      dense({ units: 3, activation: "softmax" }),
    ]);
    model.compile({
      loss: "sparseCategoricalCrossentropy",
      optimizer: adam({ learningRate: 0.02 }),
      metrics: ["accuracy"],
    });
    const { history } = await model.fit(train.batch(8).prefetch(2), {
      validationData: validation.batch(6),
      epochs: 60,
      seed: 1,
      verbose: 0,
    });
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0]! / 2);
    expect(history.val_accuracy).toHaveLength(60);
  });

  test("what is wrong names folder or file", async () => {
    await expect(load({ imageSize: [4] as never })).rejects.toThrow(
      /`imageSize` as \[height, width\]/,
    );
    await expect(load({ imageSize: undefined as never })).rejects.toThrow(/`imageSize`/);
    await expect(load({ colorMode: "gray" as never })).rejects.toThrow(/"grayscale"/);
    await expect(load({ validationSplit: 0.001 })).rejects.toThrow(/leaves none to validate on/);
    await expect(load({ labelMode: "binary" })).rejects.toThrow(
      /two classes for binary labels, got 3/,
    );
    const start = `imageFolder of ${JSON.stringify(directory)}: expected `;
    const wrong = async (options: object, message: string) => {
      const error = (await load(options).catch((e: unknown) => e)) as Error;
      expect(error).toBeInstanceOf(ArgumentError);
      expect(error.message).toBe(start + message);
    };
    await wrong({ normalize: "no" }, '`normalize` to be true or false, got "no"');
    await wrong({ shuffle: "false" }, '`shuffle` to be true or false, got "false"');
    await wrong({ concurrency: 0 }, "`concurrency` to be an integer ≥ 1, got 0");
    const modes =
      '`labelMode` to be one of "int", "categorical", "binary", or null for no labels, got ';
    await wrong({ labelMode: "ints" }, `${modes}"ints"; did you mean "int"?`);
    await wrong({ labelMode: false }, `${modes}false`);
    const names = "`classNames` to be an array of names of folders, each once, got ";
    for (const classNames of ["ab", [], ["apple", 1], ["apple", ""], ["apple", "apple"], null]) {
      const shown = JSON.stringify(classNames)?.replaceAll(",", ", ");
      await wrong({ classNames }, names + shown);
    }
    await wrong(
      { classNames: ["apple"], labelMode: null },
      'no `classNames` with labelMode: null, got ["apple"]',
    );
    await expect(imageFolder(7 as never, { imageSize: [1, 1] })).rejects.toThrow(
      "imageFolder: expected the path of a directory, got 7",
    );
    await expect(load({ classNames: ["durian"] })).rejects.toThrow(ArgumentError);
    await expect(
      imageFolder(join(directory, "apple", "more"), { imageSize: [1, 1] }),
    ).rejects.toThrow(/no folders; pictures lie in one folder per class/);
    await expect(imageFolder(join(directory, "no"), { imageSize: [1, 1] })).rejects.toThrow(
      /: there is no such directory$/,
    );
    const broken = join(directory, "banana", "broken.png");
    const photo = join(directory, "cherry", "photo.jpg");
    try {
      await writeFile(broken, "no PNG at all");
      await writeFile(photo, Buffer.of(0xff, 0xd8, 0xff));
      const banana = await load({ classNames: ["banana"] });
      await expect(banana.train.toArray()).rejects.toThrow(
        `picture ${JSON.stringify(broken)}: it does not begin as a PNG file`,
      );
      const cherry = await load({ classNames: ["cherry"] });
      const error = (await cherry.train.toArray().catch((e: unknown) => e)) as Error;
      expect(error.message).toContain(`picture ${JSON.stringify(photo)}`);
      expect(error.message).toMatch(/^imageFolder of ".*": element \d+: /);
    } finally {
      await rm(broken);
      await rm(photo);
    }
  });
});
