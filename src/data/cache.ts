/**
 * What `cache` keeps: the elements of the first whole pass, in memory or in a file. A file is written
 * beside its final name and renamed when the pass is complete, so it is whole or not there.
 *
 * File: an 8-byte magic, then per element its length in bytes (uint32, little-endian) and its value as
 * Node's structured clone writes it, then a length of 0xffffffff and the number of elements.
 */
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { deserialize, serialize } from "node:v8";
import { FormatError, show } from "../errors.js";
import { temporaryBeside } from "../formats/atomic.js";
import { checkFolderOf } from "../formats/newpath.js";
import { allocate, type DType, dtypes, type TypedArray } from "../tensor/dtype.js";
import { type Shape, sizeOf } from "../tensor/shape.js";
import { leaf, Tensor } from "../tensor/tensor.js";
import { type Cursor, type End, end } from "./cursor.js";

type Opener<T> = (source: () => Cursor<T>) => Cursor<T>;

/** Keeps elements in memory. Passes that begin before the first is complete read the source themselves. */
export function memoryCache<T>(): Opener<T> {
  let kept: readonly T[] | undefined;
  return (source) => {
    if (kept) {
      const elements = kept;
      let at = 0;
      return { next: () => (at < elements.length ? elements[at++]! : end), close() {} };
    }
    const own = source();
    const seen: T[] = [];
    const keep = (value: T | End): T | End => {
      if (value === end) kept ??= seen;
      else seen.push(value);
      return value;
    };
    return {
      next() {
        const value = own.next();
        return value instanceof Promise ? value.then(keep) : keep(value);
      },
      close: () => own.close(),
    };
  };
}

const magic = Buffer.from("LWCACHE1", "latin1");
const atEnd = 0xffffffff;
/** Elements are written and read in blocks of about so many bytes. */
const blockBytes = 1 << 20;

/** Keeps elements in a file. */
export function fileCache<T>(path: string): Opener<T> {
  return (source) => {
    let inner: Cursor<T> | undefined;
    const begin = async (): Promise<Cursor<T>> => {
      const file = await open(path, "r").catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
        throw error;
      });
      if (file) return new CacheReader<T>(path, file);
      // Before a pass whose end could not be written.
      await checkFolderOf("cache()", path);
      return new CacheWriter<T>(path, source());
    };
    return {
      async next() {
        inner ??= await begin();
        return inner.next();
      },
      close: () => inner?.close(),
    };
  };
}

/** Passes a source on and writes what passes. */
class CacheWriter<T> implements Cursor<T> {
  readonly #path: string;
  readonly #source: Cursor<T>;
  readonly #temporary: string;
  #file: FileHandle | undefined;
  #blocks: Buffer[] = [magic];
  #waiting = 0;
  #count = 0;

  constructor(path: string, source: Cursor<T>) {
    this.#path = path;
    this.#source = source;
    this.#temporary = temporaryBeside(path);
  }

  async next(): Promise<T | End> {
    const value = await this.#source.next();
    if (value === end) {
      await this.#finish();
      return end;
    }
    const bytes = serialize(pack(value));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(bytes.byteLength);
    this.#blocks.push(head, bytes);
    this.#waiting += bytes.byteLength;
    this.#count++;
    if (this.#waiting >= blockBytes) await this.#write();
    return value;
  }

  async #write(): Promise<void> {
    this.#file ??= await open(this.#temporary, "wx");
    await this.#file.writev(this.#blocks);
    this.#blocks = [];
    this.#waiting = 0;
  }

  async #finish(): Promise<void> {
    const tail = Buffer.alloc(12);
    tail.writeUInt32LE(atEnd);
    tail.writeDoubleLE(this.#count, 4);
    this.#blocks.push(tail);
    await this.#write();
    const file = this.#file!;
    await file.sync();
    this.#file = undefined;
    await file.close();
    await rename(this.#temporary, this.#path);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file) {
      await file.close();
      await unlink(this.#temporary).catch(() => {});
    }
    await this.#source.close();
  }
}

/** Reads a cache file from beginning to end. */
class CacheReader<T> implements Cursor<T> {
  readonly #where: string;
  readonly #file: FileHandle;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #count = 0;
  #begun = false;

  constructor(path: string, file: FileHandle) {
    this.#where = `cache file ${show(path)}`;
    this.#file = file;
  }

  async next(): Promise<T | End> {
    if (!this.#begun) {
      if (!(await this.#take(magic.byteLength)).equals(magic)) {
        throw new FormatError(`${this.#where}: it is not a cache file of this version`);
      }
      this.#begun = true;
    }
    const length = (await this.#take(4)).readUInt32LE();
    if (length === atEnd) {
      const count = (await this.#take(8)).readDoubleLE();
      if (count !== this.#count) {
        throw new FormatError(`${this.#where}: it has ${this.#count} elements, not ${count}`);
      }
      return end;
    }
    const bytes = await this.#take(length);
    try {
      const value = unpack(deserialize(bytes)) as T; // what was written is what is read
      this.#count++;
      return value;
    } catch (error) {
      throw new FormatError(`${this.#where}: element ${this.#count} is damaged`, { cause: error });
    }
  }

  /** The next `length` bytes. */
  async #take(length: number): Promise<Buffer> {
    const left = this.#buffer.byteLength - this.#at;
    if (left < length) {
      const rest = this.#buffer.subarray(this.#at);
      const wanted = Math.max(length - left, blockBytes);
      // Grown by what is really there: a damaged length must not ask for memory.
      const parts = [rest];
      let got = left;
      while (got < length) {
        const part = Buffer.allocUnsafe(Math.min(wanted, blockBytes));
        const { bytesRead } = await this.#file.read(part, 0, part.byteLength);
        if (bytesRead === 0) {
          throw new FormatError(`${this.#where}: it is truncated after element ${this.#count - 1}`);
        }
        parts.push(part.subarray(0, bytesRead));
        got += bytesRead;
      }
      this.#buffer = Buffer.concat(parts);
      this.#at = 0;
    }
    const bytes = this.#buffer.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** The key that marks a tensor: structured clone knows no classes of ours. */
const tensorKey = "layerwise:tensor";

/** True for arrays of nothing but numbers: they are written as they are. */
const isRow = (value: readonly unknown[]): boolean =>
  value.every((item) => typeof item === "number");

function pack(value: unknown): unknown {
  if (value instanceof Tensor) {
    // A view of a large array would be written with all of it.
    return { [tensorKey]: value.dtype, shape: [...value.shape], values: value.dataSync().slice() };
  }
  if (Array.isArray(value)) {
    return isRow(value) ? value : value.map(pack);
  }
  if (ArrayBuffer.isView(value)) return (value as TypedArray).slice();
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, pack(part)]));
  }
  return value;
}

function unpack(value: unknown): unknown {
  if (Array.isArray(value)) return isRow(value) ? value : value.map(unpack);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  const record = value as Readonly<Record<string, unknown>>;
  const dtype = record[tensorKey] as DType | undefined;
  if (dtype === undefined) {
    return Object.fromEntries(Object.entries(record).map(([key, part]) => [key, unpack(part)]));
  }
  const shape = record.shape as Shape;
  if (!dtypes.includes(dtype)) throw new FormatError(`unknown dtype ${show(dtype)}`);
  // Copied: structured clone's arrays are views of the whole block that was read.
  const values = allocate(dtype, sizeOf(shape));
  values.set(record.values as TypedArray);
  return leaf(values, shape, dtype);
}
