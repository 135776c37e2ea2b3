/**
 * The safetensors format: an 8-byte little-endian header length, a JSON header, and the tensors'
 * bytes without holes. Named typed arrays and text metadata in and out; knows nothing of layers.
 * Specification: https://huggingface.co/docs/safetensors, section "Format".
 */
import { type FileHandle, open } from "node:fs/promises";
import { endianness } from "node:os";
import { ArgumentError, expected, FormatError, show } from "../errors.js";
import { type DType, storesDType, type TypedArray } from "../tensor/dtype.js";
import { maximumSize, type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { writeFileAtomic } from "./atomic.js";
import { type JsonValue, parseJson } from "./json.js";
import { wrongPath } from "./missing.js";

/** A tensor as a file holds it: element type, shape, and its elements row by row. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

/** A {@link StoredTensor} that was read, with the dtype the file had for it (`"F16"` …). */
export interface ReadTensor extends StoredTensor {
  readonly storedAs: string;
}

/** What a safetensors file holds. Maps, so that any name is safe. */
export interface SafetensorsContents {
  readonly tensors: Map<string, ReadTensor>;
  readonly metadata: Map<string, string>;
}

/** The same bound as the reference implementation's. */
const maximumHeader = 100_000_000;
const bigEndian = endianness() === "BE";

/** In the order in which the reference writer lays them out: wider elements first. */
const written: Readonly<Record<DType, string>> = {
  float32: "F32",
  int32: "I32",
  uint8: "U8",
  bool: "BOOL",
};

interface Stored {
  readonly bytes: number;
  readonly dtype: DType;
  /** Little-endian bytes → elements; `fail` reports a value that does not fit. */
  read(bytes: Uint8Array, size: number, fail: (what: string) => never): TypedArray;
}

/** Reads `size` elements with a DataView getter and stores them through `convert`. */
function converted<T extends TypedArray>(
  make: new (size: number) => T,
  width: number,
  get: (view: DataView, at: number, fail: (what: string) => never) => number,
): Stored["read"] {
  return (bytes, size, fail) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const out = new make(size);
    for (let i = 0; i < size; i++) out[i] = get(view, i * width, fail);
    return out;
  };
}

function toInt32(value: number | bigint, fail: (what: string) => never): number {
  if (value < -2147483648 || value > 2147483647) fail(`the value ${value} does not fit int32`);
  return Number(value);
}

/** IEEE half precision → number; exact. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const bfloatBits = new Uint32Array(1);
const bfloatValue = new Float32Array(bfloatBits.buffer);

/**
 * Every dtype that can be read. F32, I32, U8 and BOOL are taken as they are; F16, BF16 and the
 * small integers convert exactly; F64 is rounded to float32; 32- and 64-bit integers become int32
 * and are an error where they do not fit.
 */
const readable = new Map<string, Stored>([
  ["F32", { bytes: 4, dtype: "float32", read: (b, n) => new Float32Array(native32(b), 0, n) }],
  ["I32", { bytes: 4, dtype: "int32", read: (b, n) => new Int32Array(native32(b), 0, n) }],
  ["U8", { bytes: 1, dtype: "uint8", read: (b) => b }],
  [
    "BOOL",
    {
      bytes: 1,
      dtype: "bool",
      read: (b, n, fail) => {
        for (let i = 0; i < n; i++) if (b[i]! > 1) fail(`byte ${i} is ${b[i]}, not 0 or 1`);
        return b;
      },
    },
  ],
  [
    "F64",
    {
      bytes: 8,
      dtype: "float32",
      read: converted(Float32Array, 8, (view, at) => view.getFloat64(at, true)),
    },
  ],
  [
    "F16",
    {
      bytes: 2,
      dtype: "float32",
      read: converted(Float32Array, 2, (view, at) => halfToNumber(view.getUint16(at, true))),
    },
  ],
  [
    "BF16",
    {
      bytes: 2,
      dtype: "float32",
      read: converted(Float32Array, 2, (view, at) => {
        bfloatBits[0] = view.getUint16(at, true) << 16;
        return bfloatValue[0]!;
      }),
    },
  ],
  [
    "I8",
    { bytes: 1, dtype: "int32", read: converted(Int32Array, 1, (view, at) => view.getInt8(at)) },
  ],
  [
    "I16",
    {
      bytes: 2,
      dtype: "int32",
      read: converted(Int32Array, 2, (view, at) => view.getInt16(at, true)),
    },
  ],
  [
    "U16",
    {
      bytes: 2,
      dtype: "int32",
      read: converted(Int32Array, 2, (view, at) => view.getUint16(at, true)),
    },
  ],
  [
    "U32",
    {
      bytes: 4,
      dtype: "int32",
      read: converted(Int32Array, 4, (view, at, fail) => toInt32(view.getUint32(at, true), fail)),
    },
  ],
  [
    "I64",
    {
      bytes: 8,
      dtype: "int32",
      read: converted(Int32Array, 8, (view, at, fail) => toInt32(view.getBigInt64(at, true), fail)),
    },
  ],
  [
    "U64",
    {
      bytes: 8,
      dtype: "int32",
      read: converted(Int32Array, 8, (view, at, fail) =>
        toInt32(view.getBigUint64(at, true), fail),
      ),
    },
  ],
]);

/** The buffer of freshly read little-endian 32-bit words, in this machine's byte order. */
function native32(bytes: Uint8Array): ArrayBufferLike {
  if (bigEndian) Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).swap32();
  return bytes.buffer;
}

// Writing

/**
 * Writes named tensors and text metadata to `path`, atomically. Tensors are laid out as the
 * reference implementation does (by dtype, wider first, then by name), so each is aligned.
 *
 * @throws ArgumentError when a name is reserved or a tensor's data does not fit its shape.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  await writeFileAtomic(path, encodeChunks(tensors, metadata));
}

/** The bytes of a safetensors file; for files, {@link writeSafetensors} needs no such copy. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  return new Uint8Array(Buffer.concat(encodeChunks(tensors, metadata)));
}

function encodeChunks(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: ReadonlyMap<string, string>,
): Uint8Array[] {
  for (const [name, tensor] of tensors) checkStored(name, tensor);
  for (const [key, value] of metadata) {
    if (typeof value !== "string") {
      throw new ArgumentError(expected(`safetensors metadata ${show(key)}`, "text", show(value)));
    }
  }
  const order = Object.keys(written);
  const sorted = [...tensors].sort(
    ([nameA, a], [nameB, b]) =>
      order.indexOf(a.dtype) - order.indexOf(b.dtype) ||
      (nameA < nameB ? -1 : nameA > nameB ? 1 : 0),
  );
  // Built as text: an object would reorder names such as "1" and lose one called __proto__.
  const entries: string[] = [];
  if (metadata.size > 0) {
    const pairs = [...metadata].map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`);
    entries.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  let offset = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const end = offset + data.byteLength;
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${written[dtype]}","shape":[${shape.join(",")}],` +
        `"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const json = Buffer.from(`{${entries.join(",")}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  if (padded > maximumHeader) {
    throw new ArgumentError(
      `safetensors: the header would be ${padded} bytes; 100 MB is the limit`,
    );
  }
  const header = Buffer.alloc(8 + padded, " ");
  header.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(header, 8);
  return [header, ...sorted.map(([, tensor]) => littleEndianBytes(tensor.data))];
}

function littleEndianBytes(data: TypedArray): Uint8Array {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bigEndian && data.BYTES_PER_ELEMENT === 4 ? Buffer.from(bytes).swap32() : bytes;
}

function checkStored(name: string, { dtype, shape, data }: StoredTensor): void {
  const where = `safetensors tensor ${show(name)}`;
  if (name === "__metadata__") {
    throw new ArgumentError(`${where}: this name is reserved by the format`);
  }
  if (!Object.hasOwn(written, dtype) || !storesDType(data, dtype)) {
    throw new ArgumentError(`${where}: ${show(data)} is not the data of dtype ${show(dtype)}`);
  }
  if (sizeOf(shape) !== data.length || shape.some((d) => !Number.isInteger(d) || d < 0)) {
    throw new ArgumentError(
      expected(where, `${sizeOf(shape)} elements for shape ${showShape(shape)}`, `${data.length}`),
    );
  }
}

// Reading

/**
 * Reads a safetensors file. F16, BF16, I8, I16 and U16 convert exactly; F64 is rounded to float32;
 * U32, I64 and U64 become int32.
 *
 * @throws FormatError when the file is not a well-formed safetensors file, has a dtype that
 * layerwise has no place for, or an integer that does not fit; the message says where. ArgumentError
 * when there is no such file.
 */
export async function readSafetensors(path: string): Promise<SafetensorsContents> {
  const where = `safetensors file ${show(path)}`;
  const file = await open(path, "r").catch(wrongPath(path));
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new FormatError(`${where}: not a regular file`);
    const length = headerLength(await readRange(file, 0, Math.min(8, info.size), where), where);
    checkHeaderFits(length, info.size, where);
    const header = parseHeader(await readRange(file, 8, length, where), info.size, where);
    const tensors = new Map<string, ReadTensor>();
    for (const entry of header.entries) {
      const bytes = await readRange(file, 8 + length + entry.start, entry.bytes, where);
      tensors.set(entry.name, readTensor(entry, bytes, where));
    }
    return { tensors, metadata: header.metadata };
  } finally {
    await file.close();
  }
}

/** As {@link readSafetensors}, from bytes in memory; the result shares nothing with them. */
export function decodeSafetensors(bytes: Uint8Array, where = "safetensors"): SafetensorsContents {
  const length = headerLength(bytes.subarray(0, 8), where);
  checkHeaderFits(length, bytes.byteLength, where);
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.byteLength, where);
  const tensors = new Map<string, ReadTensor>();
  for (const entry of header.entries) {
    const start = 8 + length + entry.start;
    const copy = new Uint8Array(bytes.subarray(start, start + entry.bytes));
    tensors.set(entry.name, readTensor(entry, copy, where));
  }
  return { tensors, metadata: header.metadata };
}

interface Entry {
  readonly name: string;
  readonly storedAs: string;
  readonly stored: Stored;
  readonly shape: number[];
  readonly size: number;
  readonly start: number;
  readonly bytes: number;
}

function readTensor(entry: Entry, bytes: Uint8Array, where: string): ReadTensor {
  const { name, storedAs, stored, shape, size } = entry;
  const data = stored.read(bytes, size, (what) => {
    throw new FormatError(`${where}: tensor ${show(name)} (${storedAs}): ${what}`);
  });
  return { dtype: stored.dtype, shape, data, storedAs };
}

async function readRange(
  file: FileHandle,
  position: number,
  length: number,
  where: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const most = Math.min(length - done, 1 << 30);
    const { bytesRead } = await file.read(bytes, done, most, position + done);
    if (bytesRead === 0) {
      throw new FormatError(`${where}: ended at byte ${position + done} while being read`);
    }
    done += bytesRead;
  }
  return bytes;
}

function headerLength(bytes: Uint8Array, where: string): number {
  if (bytes.byteLength < 8) {
    throw new FormatError(
      expected(where, "at least the 8 bytes of the header length", `${bytes.byteLength} bytes`),
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > maximumHeader) {
    throw new FormatError(
      `${where}: the first 8 bytes say that the header is ${length} bytes long, more than ` +
        `${maximumHeader}; this is probably not a safetensors file`,
    );
  }
  return Number(length);
}

function checkHeaderFits(length: number, fileSize: number, where: string): void {
  if (8 + length > fileSize) {
    throw new FormatError(
      `${where}: the header should end at byte ${8 + length}, but there are only ${fileSize} ` +
        "bytes; it is truncated or not a safetensors file",
    );
  }
}

function parseHeader(
  bytes: Uint8Array,
  fileSize: number,
  where: string,
): { entries: Entry[]; metadata: Map<string, string> } {
  if (bytes[0] !== 0x7b) {
    throw new FormatError(`${where}: expected "{" at byte 8; this is not a safetensors file`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new FormatError(`${where}: the header is not valid UTF-8`);
  }
  const json = parseJson(text, `${where}: header`);
  // It starts with "{", so it is an object.
  if (!(json instanceof Map)) throw new FormatError(`${where}: the header is not an object`);
  const metadata = parseMetadata(json.get("__metadata__"), where);
  json.delete("__metadata__");
  const entries = [...json].map(([name, value]) => parseEntry(name, value, where));
  checkLayout(entries, fileSize - 8 - bytes.byteLength, where);
  return { entries, metadata };
}

function parseMetadata(value: JsonValue | undefined, where: string): Map<string, string> {
  const metadata = new Map<string, string>();
  // The reference writer stores an absent metadata as null in some versions.
  if (value === undefined || value === null) return metadata;
  if (!(value instanceof Map)) throw new FormatError(`${where}: __metadata__ is not an object`);
  for (const [key, text] of value) {
    if (typeof text !== "string") {
      throw new FormatError(`${where}: __metadata__ ${show(key)} is not a string`);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(name: string, value: JsonValue, where: string): Entry {
  const label = `${where}: tensor ${show(name)}`;
  if (!(value instanceof Map)) throw new FormatError(`${label}: its header entry is no object`);
  const storedAs = value.get("dtype");
  const stored = typeof storedAs === "string" ? readable.get(storedAs) : undefined;
  if (typeof storedAs !== "string" || stored === undefined) {
    throw new FormatError(
      expected(label, `a dtype of ${[...readable.keys()].join(", ")}`, show(storedAs)),
    );
  }
  const shape = value.get("shape");
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw new FormatError(expected(label, "a shape of integers ≥ 0", show(shape)));
  }
  let size = 1;
  for (const dim of shape) {
    size *= dim;
    if (size > maximumSize) {
      throw new FormatError(`${label}: shape ${showShape(shape)} has more than 2^31-1 elements`);
    }
  }
  const offsets = value.get("data_offsets");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new FormatError(expected(label, "data_offsets [start, end]", show(offsets)));
  }
  const [start, end] = offsets as [number, number];
  const bytes = size * stored.bytes;
  if (end - start !== bytes) {
    throw new FormatError(
      `${label}: data_offsets [${start}, ${end}] span ${end - start} bytes, but ${storedAs} ` +
        `${showShape(shape)} takes ${bytes}`,
    );
  }
  return { name, storedAs, stored, shape, size, start, bytes };
}

function isCount(value: unknown): value is number {
  // JSON can say -0, which would not be the 0 that it seems when compared or written again.
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

/** The tensors must cover the data exactly: no hole, no overlap, nothing left over or missing. */
function checkLayout(entries: readonly Entry[], available: number, where: string): void {
  const ordered = [...entries].sort((a, b) => a.start - b.start || a.bytes - b.bytes);
  let end = 0;
  let previous = "";
  for (const entry of ordered) {
    if (entry.start !== end) {
      const problem = entry.start < end ? "overlaps" : "leaves a hole after";
      throw new FormatError(
        `${where}: tensor ${show(entry.name)} starts at data offset ${entry.start} and ${problem} ` +
          `${previous || "the start of the data,"} which ends at ${end}`,
      );
    }
    end += entry.bytes;
    previous = `tensor ${show(entry.name)},`;
  }
  if (end !== available) {
    throw new FormatError(
      end > available
        ? `${where}: the tensors take ${end} bytes, but only ${available} follow the header; ` +
            "the file is truncated"
        : `${where}: ${available - end} bytes follow the last tensor, which ends at data offset ` +
            `${end}; nothing may`,
    );
  }
}
