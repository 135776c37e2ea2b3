/** Reads the raw arrays of lib/data.ts. */
import { readFile } from "node:fs/promises";

async function bytes(path: string): Promise<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}

export const readFloats = async (path: string): Promise<Float32Array> =>
  new Float32Array(await bytes(path));

export const readInts = async (path: string): Promise<Int32Array> =>
  new Int32Array(await bytes(path));
