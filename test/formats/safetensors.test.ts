import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/errors.js";
import {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../src/formats/safetensors.js";

const golden = new URL("../golden/safetensors/", import.meta.url).pathname;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "layerwise-safetensors-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const sample = () =>
  new Map<string, StoredTensor>([
    ["mask", { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) }],
    ["b", { dtype: "float32", shape: [2, 2], data: Float32Array.of(1, -0, Infinity, 0.1) }],
    ["pixels", { dtype: "uint8", shape: [1, 3], data: Uint8Array.of(0, 128, 255) }],
    ["10", { dtype: "int32", shape: [], data: Int32Array.of(-2147483648) }],
    ["9", { dtype: "float32", shape: [0, 5], data: new Float32Array(0) }],
    ["__proto__", { dtype: "int32", shape: [1], data: Int32Array.of(3) }],
  ]);

/** Puts a file together from a header and data, with nothing checked. */
function file(header: string | object, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json, data]);
}

describe("files of the reference implementation", () => {
  it("are read with every native dtype, odd names and metadata", async () => {
    const { tensors, metadata } = await readSafetensors(join(golden, "native.safetensors"));
    expect([...tensors.keys()].sort()).toEqual(
      ["__proto__", "dense/kernel", "empty", "image", "mask", "steps", "名前"].sort(),
    );
    expect(tensors.get("dense/kernel")).toEqual({
      dtype: "float32",
      storedAs: "F32",
      shape: [2, 3],
      data: Float32Array.of(1.5, -2.25, 3, 0.1, -0, Infinity),
    });
    expect(tensors.get("steps")).toMatchObject({ shape: [], data: Int32Array.of(7) });
    expect(tensors.get("image")).toMatchObject({
      dtype: "uint8",
      shape: [1, 2, 3],
      data: Uint8Array.of(0, 1, 2, 3, 4, 5),
    });
    expect(tensors.get("mask")).toMatchObject({ dtype: "bool", data: Uint8Array.of(1, 0, 1) });
    expect(tensors.get("empty")).toMatchObject({ shape: [0, 4], data: new Float32Array(0) });
    expect(tensors.get("名前")!.data).toEqual(Int32Array.of(-5, 2147483647));
    expect(tensors.get("__proto__")!.data).toEqual(Int32Array.of(42));
    expect(metadata).toEqual(
      new Map([
        ["format", "test"],
        ["text", 'quotes " and \\ and \n and ü'],
      ]),
    );
  });

  it("are converted where layerwise has no such dtype", async () => {
    const { tensors } = await readSafetensors(join(golden, "converted.safetensors"));
    expect(tensors.get("f64")!.data).toEqual(Float32Array.of(0.5, 0, Math.PI));
    // 6e-8 rounds to the smallest half, 2⁻²⁴; 6.104e-5 to the smallest normal one, 2⁻¹⁴.
    expect(tensors.get("f16")!.data).toEqual(
      Float32Array.of(1, -0.5, 65504, 2 ** -24, 2 ** -14, Infinity, Number.NaN),
    );
    expect(tensors.get("f16")!.storedAs).toBe("F16");
    expect(tensors.get("i64")!.data).toEqual(Int32Array.of(-2147483648, 0, 2147483647));
    expect(tensors.get("u64")!.data).toEqual(Int32Array.of(0, 12345));
    expect(tensors.get("u32")!.data).toEqual(Int32Array.of(0, 2147483647));
    expect(tensors.get("i16")!.data).toEqual(Int32Array.of(-32768, 32767));
    expect(tensors.get("u16")!.data).toEqual(Int32Array.of(0, 65535));
    expect(tensors.get("i8")!.data).toEqual(Int32Array.of(-128, 127));
    const bfloat = await readSafetensors(join(golden, "bfloat16.safetensors"));
    const largest = (2 - 2 ** -7) * 2 ** 127;
    expect(bfloat.tensors.get("bf16")!.data).toEqual(Float32Array.of(1, -2, largest, Number.NaN));
  });

  it("are reproduced byte for byte", async () => {
    const path = join(golden, "native.safetensors");
    const { tensors, metadata } = await readSafetensors(path);
    // The reference writer keeps metadata in a hash map, so only the rest has a fixed order.
    const ours = decodeSafetensors(encodeSafetensors(tensors, metadata));
    expect(ours).toEqual({ tensors, metadata });
    const plain = await readFile(path);
    const data = (bytes: Uint8Array) =>
      Buffer.from(bytes).subarray(8 + Number(Buffer.from(bytes).readBigUInt64LE(0)));
    expect(data(encodeSafetensors(tensors, metadata)).equals(data(plain))).toBe(true);
  });

  // LAYERWISE_TEST_PYTHON: a Python that has safetensors and numpy. CI without one relies on the files above.
  const python = process.env.LAYERWISE_TEST_PYTHON;
  const absent = python ? "" : " (skipped: LAYERWISE_TEST_PYTHON names no Python)";
  it.skipIf(!python)(
    `the reference implementation reads what is written here${absent}`,
    async () => {
      const path = join(directory, "ours.safetensors");
      const tensors = sample();
      tensors.get("b")!.data[2] = 7;
      await writeSafetensors(path, tensors, new Map([["note", 'a "quote" and ü \u0000']]));
      const script = new URL("../golden/make_safetensors.py", import.meta.url).pathname;
      const seen = JSON.parse(execFileSync(python!, [script, path], { encoding: "utf8" }));
      expect(seen.metadata).toEqual({ note: 'a "quote" and ü \u0000' });
      expect(Object.keys(seen.tensors).sort()).toEqual([...tensors.keys()].sort());
      expect(seen.tensors.b).toEqual({
        dtype: "float32",
        shape: [2, 2],
        values: [1, -0, 7, Math.fround(0.1)],
      });
      expect(seen.tensors.mask).toEqual({ dtype: "bool", shape: [3], values: [true, false, true] });
      expect(seen.tensors["10"]).toEqual({ dtype: "int32", shape: [], values: [-2147483648] });
    },
  );
});

describe("writing", () => {
  it("round-trips through a file, and an aligned header", async () => {
    const path = join(directory, "round.safetensors");
    const metadata = new Map([["__proto__", "kept"]]);
    await writeSafetensors(path, sample(), metadata);
    const bytes = await readFile(path);
    expect(bytes.readBigUInt64LE(0) % 8n).toBe(0n);
    for (const contents of [await readSafetensors(path), decodeSafetensors(bytes)]) {
      expect(contents.metadata).toEqual(metadata);
      expect(contents.tensors.size).toBe(6);
      for (const [name, tensor] of sample()) {
        expect(contents.tensors.get(name)).toMatchObject({ ...tensor });
        expect(Object.is(contents.tensors.get("b")!.data[1], -0)).toBe(true);
      }
    }
    expect(Buffer.from(encodeSafetensors(sample(), metadata)).equals(bytes)).toBe(true);
  });

  it("writes a view into a larger buffer, and nothing at all", () => {
    const view = new Float32Array(Float32Array.of(9, 1, 2, 9).buffer, 4, 2);
    const bytes = encodeSafetensors(new Map([["v", { dtype: "float32", shape: [2], data: view }]]));
    expect(decodeSafetensors(bytes).tensors.get("v")!.data).toEqual(Float32Array.of(1, 2));
    expect(decodeSafetensors(encodeSafetensors(new Map())).tensors.size).toBe(0);
  });

  it("replaces a file atomically, through a link, and leaves nothing behind on failure", async () => {
    const folder = await mkdtemp(join(directory, "atomic-"));
    const path = join(folder, "model.safetensors");
    await writeFile(path, "old", { mode: 0o640 });
    await symlink(path, join(folder, "link"));
    await writeSafetensors(join(folder, "link"), sample());
    expect((await readSafetensors(path)).tensors.size).toBe(6);
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    const bad = new Map<string, StoredTensor>([
      ["x", { dtype: "float32", shape: [3], data: new Float32Array(2) }],
    ]);
    await expect(writeSafetensors(path, bad)).rejects.toThrow(ArgumentError);
    expect((await readSafetensors(path)).tensors.size).toBe(6);
    expect((await readdir(folder)).sort()).toEqual(["link", "model.safetensors"]);
  });

  it("names the directory that is missing", async () => {
    const path = join(directory, "none", "model.safetensors");
    await expect(writeSafetensors(path, sample())).rejects.toThrow(
      `can't write ${JSON.stringify(path)}: its directory does not exist`,
    );
  });

  it.each<[string, Map<string, StoredTensor>, RegExp]>([
    [
      "a reserved name",
      new Map([["__metadata__", { dtype: "bool", shape: [0], data: new Uint8Array(0) }]]),
      /"__metadata__": this name is reserved/,
    ],
    [
      "data that does not fit its shape",
      new Map([["w", { dtype: "float32", shape: [2, 2], data: new Float32Array(3) }]]),
      /"w": expected 4 elements for shape \[2, 2\], got 3/,
    ],
    [
      "an array that is not of the dtype",
      new Map([["w", { dtype: "int32", shape: [1], data: new Float32Array(1) }]]),
      /"w": Float32Array\(1\) is not the data of dtype "int32"/,
    ],
  ])("refuses %s", (_, tensors, message) => {
    expect(() => encodeSafetensors(tensors)).toThrow(ArgumentError);
    expect(() => encodeSafetensors(tensors)).toThrow(message);
  });
});

describe("a wrong, truncated or hostile file", () => {
  const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: "F32", shape, data_offsets });
  const eight = new Uint8Array(8);

  it.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(0), /at least the 8 bytes of the header length, got 0 bytes/],
    ["seven bytes", new Uint8Array(7), /got 7 bytes/],
    [
      "a text file",
      Buffer.from("hello, I am text, not tensors"),
      /header is \d+ bytes long, more than 100000000; this is probably not a safetensors file/,
    ],
    ["a zip file", Buffer.from("PK\x03\x04\0\0\0\0rest"), /only 12 bytes; it is truncated or not/],
    ["a cut header", file({ a: f32([1], [0, 4]) }).subarray(0, 20), /there are only 20 bytes/],
    [
      "a dimension of −0",
      file('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
      /"a": expected a shape of integers ≥ 0, got \[/,
    ],
    ["a header that is an array", file("[1,2,3]"), /expected "\{" at byte 8/],
    ["an empty header", file(""), /expected "\{" at byte 8/],
    ["bad UTF-8", file(Buffer.from([0x7b, 0xff, 0x7d]).toString("latin1")), /expected a key/],
    ["broken JSON", file('{"a":'), /header: expected a value at character 5, where the text ends/],
    ["text after the object", file("{} {}"), /expected the end at character 3/],
    ["a trailing comma", file('{"a":{},}'), /expected a key at character 8/],
    ["a bad escape", file('{"\\x":1}'), /unknown escape/],
    ["an inherited escape", file('{"\\constructor":1}'), /unknown escape|expected/],
    [
      "a duplicate name",
      file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'),
      /duplicate key "a" at character 53/,
    ],
    [
      "a duplicate field",
      file('{"a":{"dtype":"U8","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
      /duplicate key "dtype"/,
    ],
    ["deep nesting", file(`{"a":${"[".repeat(100_000)}`), /nested deeper than 32 levels/],
    ["a tensor that is a number", file({ a: 3 }), /tensor "a": its header entry is no object/],
    [
      "__proto__ as a bad tensor",
      file('{"__proto__":{"dtype":"F32"}}'),
      /tensor "__proto__": expected a shape of integers ≥ 0, got undefined/,
    ],
    [
      "an unknown dtype",
      file({ a: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }),
      /tensor "a": expected a dtype of F32, .*, got "F8_E4M3"/,
    ],
    [
      "an inherited dtype",
      file({ a: { dtype: "constructor", shape: [1], data_offsets: [0, 1] } }),
      /got "constructor"/,
    ],
    ["a negative dimension", file({ a: f32([-1], [0, 4]) }), /shape of integers ≥ 0, got \[-1\]/],
    ["a fractional dimension", file({ a: f32([1.5], [0, 6]) }), /got \[1.5\]/],
    [
      "a shape whose product overflows",
      file({ a: f32([2 ** 40, 2 ** 40], [0, 8]) }, eight),
      /has more than 2\^31-1 elements/,
    ],
    [
      "an overflow hidden behind a zero",
      file({ a: f32([2 ** 40, 2 ** 40, 0], [0, 0]) }),
      /has more than 2\^31-1 elements/,
    ],
    ["one offset", file({ a: f32([1], [0]) }), /expected data_offsets \[start, end\], got \[0\]/],
    ["negative offsets", file({ a: f32([1], [-4, 0]) }), /data_offsets/],
    [
      "reversed offsets",
      file({ a: f32([2], [8, 0]) }, eight),
      /data_offsets \[8, 0\] span -8 bytes, but F32 \[2\] takes 8/,
    ],
    ["a size that does not match", file({ a: f32([2], [0, 4]) }, eight), /span 4 bytes/],
    [
      "overlapping tensors",
      file({ a: f32([1], [0, 4]), b: f32([1], [2, 6]) }, eight),
      /tensor "b" starts at data offset 2 and overlaps tensor "a", which ends at 4/,
    ],
    [
      "a hole",
      file({ a: f32([1], [4, 8]) }, eight),
      /tensor "a" starts at data offset 4 and leaves a hole after the start of the data, which ends/,
    ],
    [
      "cut data",
      file({ a: f32([2], [0, 8]) }, eight.subarray(3)),
      /the tensors take 8 bytes, but only 5 follow the header; the file is truncated/,
    ],
    [
      "bytes left over",
      file({ a: f32([1], [0, 4]) }, eight),
      /4 bytes follow the last tensor, which ends at data offset 4/,
    ],
    ["metadata that is no object", file({ __metadata__: [] }), /__metadata__ is not an object/],
    ["metadata that is no text", file({ __metadata__: { a: 1 } }), /__metadata__ "a" is not a str/],
    [
      "a bool that is neither",
      file({ a: { dtype: "BOOL", shape: [2], data_offsets: [0, 2] } }, Uint8Array.of(1, 2)),
      /tensor "a" \(BOOL\): byte 1 is 2, not 0 or 1/,
    ],
    [
      "an integer too large for int32",
      file(
        { a: { dtype: "I64", shape: [1], data_offsets: [0, 8] } },
        eight.map(() => 1),
      ),
      /tensor "a" \(I64\): the value 72340172838076673 does not fit int32/,
    ],
  ])("%s", async (name, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(FormatError);
    expect(() => decodeSafetensors(bytes)).toThrow(message);
    const path = join(directory, `${name.replaceAll(/\W/g, "-")}.safetensors`);
    await writeFile(path, bytes);
    const failure = readSafetensors(path);
    await expect(failure).rejects.toThrow(FormatError);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toThrow(`safetensors file ${JSON.stringify(path)}`);
  });

  it("invalid UTF-8 in the header", () => {
    const bytes = file('{"a":1}');
    bytes[10] = 0xff;
    expect(() => decodeSafetensors(bytes)).toThrow(/the header is not valid UTF-8/);
  });

  it("any cut or flipped byte gives a FormatError or still a valid file, never another error", () => {
    const good = encodeSafetensors(sample(), new Map([["k", "v"]]));
    for (let cut = 0; cut < good.length; cut++) {
      expect(() => decodeSafetensors(good.subarray(0, cut))).toThrow(FormatError);
    }
    for (let at = 0; at < good.length; at++) {
      for (const flip of [1, 0x20, 0x80]) {
        const bad = new Uint8Array(good);
        bad[at]! ^= flip;
        try {
          decodeSafetensors(bad);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }
    }
  });

  it("a directory and a missing file say so", async () => {
    await expect(readSafetensors(directory)).rejects.toThrow(/not a regular file|EISDIR/);
    const none = join(directory, "none");
    await expect(readSafetensors(none)).rejects.toThrow(
      `can't read "${none}": there is no such file`,
    );
  });
});
