/**
 * The IDX format of the MNIST files: a magic number with element type and rank, big-endian
 * dimensions, big-endian elements; plain or gzipped. Bytes ↔ one array; knows nothing of data sets.
 * Described at the end of http://yann.lecun.com/exdb/mnist/.
 */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { ArgumentError, expected, FormatError, show } from "../errors.js";
import { maximumSize, type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { writeFileAtomic } from "./atomic.js";
import { wrongPath } from "./missing.js";

/** The array types of the format, by their name here. */
export interface IdxArrays {
  uint8: Uint8Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  float32: Float32Array;
  float64: Float64Array;
}

export type IdxType = keyof IdxArrays;

/** What an IDX file holds. */
export type IdxContents = {
  [T in IdxType]: { readonly type: T; readonly shape: number[]; readonly data: IdxArrays[T] };
}[IdxType];

interface Row {
  readonly code: number;
  readonly bytes: number;
  readonly array: new (buffer: ArrayBuffer) => IdxArrays[IdxType];
}

const types: Readonly<Record<IdxType, Row>> = {
  uint8: { code: 0x08, bytes: 1, array: Uint8Array },
  int8: { code: 0x09, bytes: 1, array: Int8Array },
  int16: { code: 0x0b, bytes: 2, array: Int16Array },
  int32: { code: 0x0c, bytes: 4, array: Int32Array },
  float32: { code: 0x0d, bytes: 4, array: Float32Array },
  float64: { code: 0x0e, bytes: 8, array: Float64Array },
};

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** A gzip file may claim to be anything; no IDX file that layerwise can hold is larger. */
const largest = 2 ** 32;

/** Reads an IDX file, gzipped or not (told by its first two bytes, not by its name). */
export async function readIdx(path: string): Promise<IdxContents> {
  return decodeIdx(
    await readFile(path).catch(wrongPath(path, "readIdx()")),
    `IDX file ${show(path)}`,
  );
}

/**
 * Decodes the bytes of an IDX file, gzipped or not.
 *
 * @throws FormatError when the magic number, the dimensions or the length are wrong.
 */
export async function decodeIdx(bytes: Uint8Array, where = "IDX"): Promise<IdxContents> {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      return parseIdx(await promisify(gunzip)(bytes, { maxOutputLength: largest }), where);
    } catch (error) {
      if (error instanceof FormatError) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new FormatError(`${where}: its gzip stream is damaged or truncated (${reason})`);
    }
  }
  return parseIdx(bytes, where);
}

function parseIdx(bytes: Uint8Array, where: string): IdxContents {
  if (bytes.byteLength < 4) {
    throw new FormatError(
      expected(where, "at least the 4 bytes of the magic number", `${bytes.byteLength} bytes`),
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  const found = Object.entries(types).find(([, row]) => row.code === bytes[2]);
  if (magic >>> 16 !== 0 || found === undefined) {
    throw new FormatError(
      `${where}: the magic number 0x${magic.toString(16).padStart(8, "0")} is not that of an ` +
        "IDX file (two zero bytes, a type of 08, 09, 0b, 0c, 0d, 0e, and the rank)",
    );
  }
  // Object.entries loses the key type; the key was found in `types`.
  const [type, row] = found as [IdxType, Row];
  const rank = bytes[3]!;
  const start = 4 + 4 * rank;
  if (bytes.byteLength < start) {
    throw new FormatError(
      `${where}: truncated in its ${rank} dimensions (${bytes.byteLength} of ${start} bytes)`,
    );
  }
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  let size = 1;
  for (const dim of shape) {
    size *= dim;
    if (size > maximumSize) {
      throw new FormatError(`${where}: shape ${showShape(shape)} has more than 2^31-1 elements`);
    }
  }
  const wanted = start + size * row.bytes;
  if (bytes.byteLength !== wanted) {
    throw new FormatError(
      `${where}: ${type} ${showShape(shape)} takes ${wanted} bytes, but there are ` +
        `${bytes.byteLength}${bytes.byteLength < wanted ? "; the file is truncated" : ""}`,
    );
  }
  const copy = new Uint8Array(bytes.subarray(start));
  if (littleEndian) swap(copy, row.bytes);
  // `row` is the row of `type`, which the union of records can't express.
  return { type, shape, data: new row.array(copy.buffer) } as IdxContents;
}

/**
 * The bytes of an IDX file.
 *
 * @throws ArgumentError when `data` does not fit `shape` or is no array the format knows.
 */
export function encodeIdx(data: IdxArrays[IdxType], shape: Shape): Uint8Array {
  const row = Object.values(types).find(({ array }) => data instanceof array);
  if (row === undefined) {
    throw new ArgumentError(
      expected("encodeIdx", `a typed array of ${Object.keys(types).join(", ")}`, show(data)),
    );
  }
  if (sizeOf(shape) !== data.length || shape.length > 255) {
    throw new ArgumentError(
      expected("encodeIdx", `${sizeOf(shape)} elements for ${showShape(shape)}`, `${data.length}`),
    );
  }
  const start = 4 + 4 * shape.length;
  const bytes = new Uint8Array(start + data.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (row.code << 8) | shape.length);
  shape.forEach((dim, i) => {
    view.setUint32(4 + 4 * i, dim);
  });
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  if (littleEndian) swap(bytes.subarray(start), row.bytes);
  return bytes;
}

/** Writes an IDX file atomically; gzipped when `path` ends in `.gz`. */
export async function writeIdx(
  path: string,
  data: IdxArrays[IdxType],
  shape: Shape,
): Promise<void> {
  const bytes = encodeIdx(data, shape);
  await writeFileAtomic(path, path.endsWith(".gz") ? await promisify(gzip)(bytes) : bytes);
}

/** Reverses each group of `width` bytes in place. */
function swap(bytes: Uint8Array, width: number): void {
  if (width === 1) return;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (width === 2) buffer.swap16();
  else if (width === 4) buffer.swap32();
  else buffer.swap64();
}
