/**
 * The file parsers as fuzz targets. The property: bytes are decoded, or refused with a FormatError;
 * never another error, a hang or an allocation out of proportion; and what was decoded encodes to bytes
 * that decode to the same.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";
import type * as idx from "../../src/formats/idx.js";
import type * as safetensors from "../../src/formats/safetensors.js";
import { hold, type Target } from "./engine.js";
import { type Instrumented, instrumentModules, traceName } from "./instrument.js";
import type { Random } from "./mutate.js";
import { Trace } from "./trace.js";

export const targetNames = ["idx", "safetensors"] as const;
export type TargetName = (typeof targetNames)[number];

export interface Opened {
  readonly target: Target;
  readonly trace: Trace;
  readonly instrumented: Instrumented;
  close(): void;
}

/** Instruments a parser and makes the target of it. */
export async function openTarget(name: TargetName): Promise<Opened> {
  const root = fileURLToPath(new URL("../../src", import.meta.url));
  const trace = new Trace();
  // How the instrumented modules, which are imported from elsewhere, find their trace.
  Object.defineProperty(globalThis, traceName, { value: trace, configurable: true });
  const entry = join(root, "formats", `${name}.ts`);
  const instrumented = instrumentModules(root, entry);
  const folder = mkdtempSync(join(tmpdir(), "layerwise-fuzz-file-"));
  const module = await instrumented.load(entry);
  // `load` gives the module of that name, compiled again: its types are the original's.
  const target =
    name === "idx"
      ? idxTarget(module as typeof idx)
      : safetensorsTarget(module as typeof safetensors, join(folder, "input"));
  return {
    target,
    trace,
    instrumented,
    close() {
      instrumented.dispose();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The instrumented modules have a FormatError of their own; its name is what they share with ours. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === "FormatError";
}

function refuses<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

function idxTarget({ decodeIdx, encodeIdx }: typeof idx): Target {
  const array = (bytes: number[]) => Uint8Array.from(bytes);
  const seeds = [
    encodeIdx(Uint8Array.from([1, 2, 3, 4, 5, 6]), [2, 3]),
    encodeIdx(Int8Array.from([-1]), [1]),
    encodeIdx(Int16Array.from([1, -2]), [2, 1]),
    encodeIdx(Int32Array.from([70000]), []),
    encodeIdx(Float32Array.from([1.5, Number.NaN]), [1, 1, 2]),
    encodeIdx(Float64Array.from([]), [0, 7]),
  ];
  return {
    seeds: [...seeds, array([]), array([0, 0, 8, 1]), gzipSync(seeds[0]!), gzipSync(array([1]))],
    async execute(bytes) {
      let contents: idx.IdxContents;
      try {
        contents = await decodeIdx(bytes);
      } catch (error) {
        if (isRefusal(error)) return;
        throw error;
      }
      const plain = bytes[0] === 0x1f ? gunzipSync(bytes) : bytes;
      const again = encodeIdx(contents.data, contents.shape);
      hold(Buffer.compare(plain, again) === 0, "encoding what was decoded gives other bytes");
    },
    repair(bytes, random) {
      const fitted = fitDimensions(bytes);
      return random() < 0.05 ? gzipSync(fitted) : fitted;
    },
  };
}

/** Gives an IDX file as many data bytes as its dimensions ask for, if they ask for few. */
function fitDimensions(bytes: Uint8Array): Uint8Array {
  const start = 4 + 4 * (bytes[3] ?? 0);
  if (bytes.length < start) return bytes;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let size = [1, 1, 1, 2, 4, 4, 8][(bytes[2] ?? 0) - 8] ?? 1;
  for (let at = 4; at < start; at += 4) size *= view.readUInt32BE(at);
  if (size > 2048) return bytes;
  const result = new Uint8Array(start + size);
  result.set(bytes.subarray(0, start + size));
  return result;
}

function safetensorsTarget(module: typeof safetensors, path: string): Target {
  const { decodeSafetensors, encodeSafetensors, readSafetensors } = module;
  const kinds = ["F32", "F64", "F16", "BF16", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"];
  const width = (kind: string) => (kind === "BOOL" ? 1 : Number(/\d+$/.exec(kind)![0]) / 8);
  const seeds = [...kinds, "BOOL", ...kinds].map((kind, i) => {
    const end = 2 * width(kind);
    const entry = `"${kind}":{"dtype":"${kind}","shape":[1,2],"data_offsets":[0,${end}]}`;
    const empty = `"é\\u0041":{"shape":[0],"data_offsets":[${end},${end}],"dtype":"U8"}`;
    return withHeader(
      Buffer.from(`{${entry}${i % 2 ? `,${empty}` : ""}}`),
      new Uint8Array(end).fill(i * 85),
    );
  });
  const meta = '{"__metadata__":{"a":"b\\n","x":null},"t":{"x":[true,false,-1.5e+3,{}]}}';
  return {
    seeds: [...seeds, withHeader(Buffer.from(meta), new Uint8Array(0)), new Uint8Array(9)],
    execute(bytes) {
      const contents = refuses(() => decodeSafetensors(bytes));
      if (!contents) return;
      const { tensors, metadata } = contents;
      const again = decodeSafetensors(encodeSafetensors(tensors, metadata));
      hold(isDeepStrictEqual(again.metadata, metadata), "metadata changes when encoded again");
      hold(again.tensors.size === tensors.size, "tensors are lost when encoded again");
      for (const [name, { dtype, shape, data }] of tensors) {
        const copy = again.tensors.get(name);
        hold(
          isDeepStrictEqual([dtype, shape, data], [copy?.dtype, copy?.shape, copy?.data]),
          `tensor ${JSON.stringify(name)} changes when encoded again`,
        );
      }
    },
    async examine(bytes) {
      writeFileSync(path, bytes);
      let fromFile: safetensors.SafetensorsContents | undefined;
      try {
        fromFile = await readSafetensors(path);
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
      const fromMemory = refuses(() => decodeSafetensors(bytes));
      hold(isDeepStrictEqual(fromFile, fromMemory), "a file reads otherwise than its bytes");
    },
    repair: fitHeader,
  };
}

function withHeader(header: Uint8Array, data: Uint8Array): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return new Uint8Array(Buffer.concat([length, header, data]));
}

/** Points the header length at the last brace, and now and then cuts or pads the data behind it. */
function fitHeader(bytes: Uint8Array, random: Random): Uint8Array {
  const end = bytes.lastIndexOf(0x7d) + 1;
  if (end <= 8) return bytes;
  const text = Buffer.from(bytes.subarray(8, end)).toString("latin1");
  let data = bytes.slice(end);
  if (random() < 0.5) {
    // As many bytes as the furthest offset asks for.
    const ends = [...text.matchAll(/,\s*(\d+)\s*\]/g)].map((match) => Number(match[1]));
    const furthest = Math.max(0, ...ends);
    if (furthest <= 2048) {
      data = new Uint8Array(furthest);
      data.set(bytes.subarray(end, end + furthest));
    }
  }
  return withHeader(bytes.subarray(8, end), data);
}
