/** CIFAR and the text corpora: from directories in all forms, from a server, and the real files. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cifar10Source, loadCifar } from "../../src/data/cifar.js";
import {
  cifar10,
  cifar100,
  names,
  pennTreebank,
  tinyShakespeare,
} from "../../src/data/datasets.js";
import { readTar } from "../../src/data/tar.js";
import { WordTokenizer } from "../../src/data/tokenizers.js";
import { ArgumentError, FormatError } from "../../src/errors.js";
import { missing, testData } from "../helpers/data.js";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "layerwise-cifar-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const records = 3;
/** Colour `c` of pixel `p` of record `i`. */
const value = (i: number, p: number, c: number) => (i * 50 + p * 3 + c * 101) % 256;
const file = (labels: readonly (readonly number[])[]) =>
  Buffer.concat(
    labels.map((own, i) =>
      Buffer.concat([
        Buffer.from(own),
        ...[0, 1, 2].map((c) =>
          Buffer.from(Array.from({ length: 1024 }, (_, p) => value(i, p, c))),
        ),
      ]),
    ),
  );
const batch = file([[3], [0], [9]]);

async function folder(name: string, files: Readonly<Record<string, Uint8Array>>) {
  const path = join(directory, name);
  await mkdir(path);
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(path, file), bytes);
  return path;
}

const five = (ending: string, bytes: Uint8Array) =>
  Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`data_batch_${i}.bin${ending}`, bytes]));

describe("CIFAR from a directory", () => {
  test.each([
    ["plain", "", (b: Buffer) => b],
    ["gzipped", ".gz", (b: Buffer) => gzipSync(b)],
  ])("%s", async (name, ending, pack) => {
    const dir = await folder(name, {
      ...five(ending, pack(batch)),
      [`test_batch.bin${ending}`]: pack(batch),
    });
    const { train, test, classNames } = await cifar10({ dir, normalize: false });
    expect(train.x.shape).toEqual([5 * records, 32, 32, 3]);
    expect(train.x.dtype).toBe("uint8");
    expect([...train.y.dataSync().subarray(0, 6)]).toEqual([3, 0, 9, 3, 0, 9]);
    expect(train.y.dtype).toBe("int32");
    expect(classNames[9]).toBe("truck");
    const x = test.x.dataSync();
    for (const [i, p, c] of [
      [0, 0, 0],
      [1, 1023, 2],
      [2, 517, 1],
    ] as const) {
      expect(x[(i * 1024 + p) * 3 + c]).toBe(value(i, p, c));
    }
    const scaled = (await cifar10({ dir })).test.x;
    expect(scaled.dtype).toBe("float32");
    expect(scaled.dataSync()[4]).toBe(Math.fround(x[4]! / 255));
  });

  test("CIFAR-100 has two labels", async () => {
    const bytes = file([
      [19, 99],
      [0, 1],
    ]);
    const dir = await folder("hundred", { "train.bin": bytes, "test.bin": bytes });
    const fine = await cifar100({ dir });
    expect([...fine.train.y.dataSync()]).toEqual([99, 1]);
    expect(fine.classNames).toHaveLength(100);
    expect(new Set(fine.classNames).size).toBe(100);
    expect([fine.classNames[99], fine.classNames[1]]).toEqual(["worm", "aquarium_fish"]);
    const coarse = await cifar100({ dir, labelMode: "coarse" });
    expect([...coarse.train.y.dataSync()]).toEqual([19, 0]);
    expect(coarse.classNames).toHaveLength(20);
    await expect(cifar100({ dir, labelMode: "both" as never })).rejects.toThrow(/"fine", "coarse"/);
  });

  test("what is missing or wrong is named", async () => {
    const none = await folder("none", {});
    await expect(cifar10({ dir: none })).rejects.toThrow(ArgumentError);
    await expect(cifar10({ dir: none })).rejects.toThrow(
      /no data_batch_1\.bin, data_batch_1\.bin\.gz, data_batch_1\.bin\.xz in /,
    );
    const short = await folder("short", five("", batch.subarray(1)));
    await expect(cifar10({ dir: short })).rejects.toThrow(
      /records of 3073 bytes .* got 9218 bytes/,
    );
    const label = await folder("label", five("", file([[1], [10]])));
    await expect(cifar10({ dir: label })).rejects.toThrow(
      /the label of record 1 is 10; there are 10/,
    );
    const gz = await folder("gz", five(".gz", gzipSync(batch).subarray(0, 30)));
    await expect(cifar10({ dir: gz })).rejects.toThrow(/gzip stream is damaged or truncated/);
    await expect(cifar10({ folder: "x" } as object)).rejects.toThrow(/unknown option `folder`/);
    await expect(cifar10({ labelMode: "fine" } as object)).rejects.toThrow(
      "cifar10: unknown option `labelMode`; the options are dir, ",
    );
    await expect(cifar100({ label: "fine" } as object)).rejects.toThrow(
      /cifar100: unknown option `label`; .*labelMode/,
    );
    for (const load of [cifar10, cifar100]) {
      await expect(load(null as never)).rejects.toThrow(ArgumentError);
      await expect(load(null as never)).rejects.toThrow(
        `${load.name}: expected an object with options, got null`,
      );
    }
  });

  const xz = spawnSync("xz", ["--version"]).status === 0;
  test.skipIf(!xz)("xz through the command, or why not", async () => {
    const pack = (bytes: Uint8Array) =>
      spawnSync("xz", ["--compress", "--stdout"], { input: bytes }).stdout;
    const dir = await folder("xz", {
      ...five(".xz", pack(batch)),
      "test_batch.bin.xz": pack(batch),
    });
    expect((await cifar10({ dir })).train.x.shape).toEqual([15, 32, 32, 3]);
    const bad = await folder("badxz", five(".xz", Buffer.from("not xz")));
    await expect(cifar10({ dir: bad })).rejects.toThrow(/xz failed: .*/);
  });

  test("without the xz command the error says so", async () => {
    const dir = await folder("noxz", five(".xz", batch));
    const path = process.env.PATH;
    process.env.PATH = join(directory, "nowhere");
    try {
      await expect(cifar10({ dir })).rejects.toThrow(FormatError);
      await expect(cifar10({ dir })).rejects.toThrow(
        /needs the xz command, which is not installed; decompress/,
      );
    } finally {
      process.env.PATH = path;
    }
  });
});

/** A tar archive of one block per file header. */
function tar(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, bytes] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write(name.endsWith("/") ? "5" : "0", 156);
    header.write("ustar\0", 257);
    parts.push(header, Buffer.from(bytes), Buffer.alloc((512 - (bytes.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

describe("CIFAR from its archive", () => {
  let server: Server;
  let content: Buffer;
  let requests = 0;
  beforeAll(async () => {
    server = createServer((_, response) => {
      requests++;
      response.writeHead(200, { "content-length": content.length }).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  const archived = (bytes: Buffer, sha256?: string) => {
    content = bytes;
    const { port } = server.address() as AddressInfo;
    return {
      ...cifar10Source,
      archive: {
        ...cifar10Source.archive,
        urls: [`http://127.0.0.1:${port}/cifar.tar.gz`],
        bytes: bytes.length,
        sha256: sha256 ?? createHash("sha256").update(bytes).digest("hex"),
      },
    };
  };

  test("is downloaded once, checked and unpacked", async () => {
    const entry = (name: string) => `cifar-10-batches-bin/${name}.bin`;
    const all = Object.fromEntries(
      [...cifar10Source.train, ...cifar10Source.test].map((name) => [entry(name), batch]),
    );
    const bytes = gzipSync(tar({ "cifar-10-batches-bin/": Buffer.alloc(0), ...all }));
    const source = archived(bytes);
    const cacheDir = join(directory, "cache");
    const { train, test } = await loadCifar("cifar10", source, { cacheDir });
    expect([train.x.shape[0], test.x.shape[0]]).toEqual([15, 3]);
    await loadCifar("cifar10", source, { cacheDir });
    expect(requests).toBe(1);
    const wrong = archived(bytes, "0".repeat(64));
    await expect(
      loadCifar("cifar10", wrong, { cacheDir: join(directory, "other") }),
    ).rejects.toThrow(/its SHA-256 is .*put the \.bin files into a directory/s);
    delete all[entry("data_batch_3")];
    const lacking = archived(gzipSync(tar(all)));
    await expect(
      loadCifar("cifar10", lacking, { cacheDir: join(directory, "third") }),
    ).rejects.toThrow(/there is no data_batch_3\.bin in it/);
  });

  test("tar archives that are damaged are errors", () => {
    const good = tar({ "a/b.txt": Buffer.from("hello"), c: Buffer.alloc(600, 7) });
    expect([...readTar(good, "x")].map(([name, b]) => [name, b.length])).toEqual([
      ["a/b.txt", 5],
      ["c", 600],
    ]);
    expect(() => readTar(good.subarray(0, 1700), "x")).toThrow(/damaged or truncated at byte 1024/);
    const bad = Buffer.from(good);
    bad.write("zz", 124);
    expect(() => readTar(bad, "x")).toThrow(FormatError);
  });
});

describe("texts", () => {
  test("Tiny Shakespeare and names from a directory", async () => {
    const dir = await folder("texts", {
      "input.txt.gz": gzipSync("To be\nor not"),
      "English.txt": Buffer.from("Smith\r\n\nJones \n"),
      "Polish.txt": Buffer.from("Łukasz"),
    });
    expect(await tinyShakespeare({ dir })).toBe("To be\nor not");
    await rm(join(dir, "input.txt.gz"));
    await expect(tinyShakespeare({ dir })).rejects.toThrow(/no input\.txt, input\.txt\.gz in/);
    expect(await names({ dir })).toEqual({
      texts: ["Smith", "Jones", "Łukasz"],
      labels: Int32Array.of(0, 0, 1),
      classNames: ["English", "Polish"],
    });
    await expect(names({} as never)).rejects.toThrow(/`dir`/);
    await expect(names({ dir: await folder("notexts", {}) })).rejects.toThrow(/no \.txt files/);
  });

  test("corpora in the format of the Penn Treebank", async () => {
    const dir = await folder("ptb", {
      "ptb.train.txt": Buffer.from(" no it was n't <unk> \n N years \n"),
      "ptb.valid.txt": Buffer.from("a\n\nb"),
      "ptb.test.txt.gz": gzipSync("c d\n"),
    });
    const corpus = await pennTreebank({ dir });
    expect(corpus.train).toEqual("no it was n't <unk> <eos> N years <eos>".split(" "));
    expect(corpus.valid).toEqual(["a", "<eos>", "<eos>", "b", "<eos>"]);
    expect(corpus.test).toEqual(["c", "d", "<eos>"]);
    expect((await pennTreebank({ dir, endToken: null, prefix: "ptb" })).test).toEqual(["c", "d"]);
    await expect(pennTreebank({ dir, prefix: "wiki" })).rejects.toThrow(/no wiki\.train\.txt/);
    await copyFile(join(dir, "ptb.train.txt"), join(dir, "other.train.txt"));
    await expect(pennTreebank({ dir })).rejects.toThrow(/several corpora .* `prefix`: other, ptb/);
  });
});

const absent = missing("cifar10") ?? missing("tinyshakespeare") ?? missing("warpeace");
const noXz = spawnSync("xz", ["--version"]).status === 0 ? undefined : "there is no xz command";
for (const reason of [absent, noXz]) {
  if (reason) console.info(`real corpora or CIFAR-10 are not tested: ${reason}`);
}

describe.skipIf(absent)(`the real files${absent ? ` (${absent})` : ""}`, () => {
  test.skipIf(noXz)("CIFAR-10 has the published statistics", async () => {
    const { train, test: held } = await cifar10({
      dir: join(testData, "cifar10"),
      normalize: false,
    });
    expect([train.x.shape, held.x.shape]).toEqual([
      [50_000, 32, 32, 3],
      [10_000, 32, 32, 3],
    ]);
    const counts = new Array<number>(10).fill(0);
    for (const label of train.y.dataSync()) counts[label]!++;
    expect(counts).toEqual(new Array(10).fill(5000));
    const sums = [0, 0, 0];
    const squares = [0, 0, 0];
    const x = train.x.dataSync();
    for (let i = 0; i < x.length; i++) {
      sums[i % 3]! += x[i]!;
      squares[i % 3]! += x[i]! * x[i]!;
    }
    const count = x.length / 3;
    const mean = sums.map((s) => s / count / 255);
    expect(mean.map((m) => m.toFixed(8))).toEqual(["0.49139968", "0.48215841", "0.44653091"]);
    const std = squares.map((s, c) => Math.sqrt(s / count / 255 ** 2 - mean[c]! ** 2));
    expect(std.map((s) => s.toFixed(6))).toEqual(["0.247032", "0.243485", "0.261588"]);
  });

  test("texts have the published numbers", async () => {
    const text = await tinyShakespeare({ cacheDir: testData });
    expect([text.length, new Set(text).size]).toEqual([1_115_394, 65]);
    const surnames = await names({ dir: join(testData, "names") });
    expect([surnames.texts.length, surnames.classNames.length]).toEqual([20_050, 18]);
    expect(Math.max(...surnames.texts.map((t) => t.length))).toBe(20);
    const words = await pennTreebank({ dir: join(testData, "warpeace") });
    const plain = gunzipSync(
      readFileSync(join(testData, "warpeace", "wap.valid.txt.gz")),
    ).toString();
    const lines = plain.split("\n").filter((line, i, all) => line !== "" || i < all.length - 1);
    expect(words.valid).toHaveLength(plain.split(/\s+/).filter(Boolean).length + lines.length);
    const t = new WordTokenizer({
      filters: "",
      lowercase: false,
      padToken: null,
      maxTokens: 10_000,
    });
    t.fit(words.train.join(" "));
    expect(t.size).toBe(10_000);
    // The end of a sentence is among the most frequent tokens.
    expect(t.indexOf("<eos>")).toBeLessThan(5);
  });
});
