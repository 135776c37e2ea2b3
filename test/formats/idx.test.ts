import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/errors.js";
import { decodeIdx, encodeIdx, type IdxArrays, readIdx, writeIdx } from "../../src/formats/idx.js";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "layerwise-idx-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("IDX", () => {
  // Bytes written by hand from the description of the format.
  it.each<[string, number[], object]>([
    ["uint8", [0, 0, 8, 1, 0, 0, 0, 2, 7, 255], { shape: [2], data: Uint8Array.of(7, 255) }],
    ["int8", [0, 0, 9, 1, 0, 0, 0, 1, 255], { shape: [1], data: Int8Array.of(-1) }],
    [
      "int16",
      [0, 0, 11, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 255, 254],
      { shape: [1, 2], data: Int16Array.of(258, -2) },
    ],
    ["int32", [0, 0, 12, 1, 0, 0, 0, 1, 0, 0, 1, 0], { shape: [1], data: Int32Array.of(256) }],
    ["float32", [0, 0, 13, 0, 0x3f, 0xc0, 0, 0], { shape: [], data: Float32Array.of(1.5) }],
    [
      "float64",
      [0, 0, 14, 1, 0, 0, 0, 1, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
      { shape: [1], data: Float64Array.of(1.5) },
    ],
    ["uint8", [0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9], { shape: [0, 9], data: new Uint8Array(0) }],
  ])("reads %s, plain and gzipped", async (type, bytes, contents) => {
    expect(await decodeIdx(Uint8Array.from(bytes))).toEqual({ type, ...contents });
    expect(await decodeIdx(gzipSync(Uint8Array.from(bytes)))).toEqual({ type, ...contents });
    const { data, shape } = contents as { data: IdxArrays[keyof IdxArrays]; shape: number[] };
    expect([...encodeIdx(data, shape)]).toEqual(bytes);
  });

  it("writes files, gzipped by name, that read back", async () => {
    const data = Int16Array.from({ length: 6 }, (_, i) => i * 1000 - 3000);
    for (const name of ["a.idx", "a.idx.gz"]) {
      const path = join(directory, name);
      await writeIdx(path, data, [2, 3]);
      expect(await readIdx(path)).toEqual({ type: "int16", shape: [2, 3], data });
      expect((await readFile(path))[0]).toBe(name.endsWith("gz") ? 0x1f : 0);
    }
    // A Buffer is a Uint8Array.
    expect(encodeIdx(Buffer.from([1]), [1])).toEqual(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 1));
  });

  const gz = gzipSync(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 7, 255));
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(0), /at least the 4 bytes of the magic number, got 0 bytes/],
    ["another magic number", Buffer.from("PNG file"), /magic number 0x504e4720 is not that of/],
    ["an unknown type", Uint8Array.of(0, 0, 10, 0), /magic number 0x00000a00/],
    ["cut dimensions", Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 1), /its 3 dimensions \(8 of 16 bytes\)/],
    [
      "cut data",
      Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 3, 1, 2),
      /uint8 \[3\] takes 11 bytes, but there are 10; the file is truncated/,
    ],
    [
      "too much data",
      Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 1, 2),
      /uint8 \[1\] takes 9 bytes, but there are 10$/,
    ],
    [
      "dimensions that overflow",
      Uint8Array.of(0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255),
      /more than 2\^31-1 elements/,
    ],
    ["cut gzip", gz.subarray(0, gz.length - 12), /gzip stream is damaged or truncated/],
    ["damaged gzip", gz.map((b, i) => (i === 12 ? b ^ 0xff : b)), /gzip stream is damaged/],
  ])("refuses %s", async (name, bytes, message) => {
    await expect(decodeIdx(bytes)).rejects.toThrow(FormatError);
    const path = join(directory, name);
    await writeFile(path, bytes);
    await expect(readIdx(path)).rejects.toThrow(message);
    await expect(readIdx(path)).rejects.toThrow(`IDX file ${JSON.stringify(path)}`);
  });

  it("refuses to write what does not fit", () => {
    expect(() => encodeIdx(new Uint8Array(3), [2])).toThrow(ArgumentError);
    expect(() => encodeIdx(new Uint16Array(1) as unknown as Uint8Array, [1])).toThrow(
      /expected a typed array of uint8, int8, .*got Uint16Array\(1\)/,
    );
  });
});
