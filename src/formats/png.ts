/**
 * PNG images: written as 8-bit grey or RGB without interlacing, for reports; read in all the kinds that
 * are not interlaced (see {@link decodePng}), for folders of pictures.
 */
import { promisify } from "node:util";
import { deflateSync, inflate, crc32 as zlibCrc32 } from "node:zlib";
import { ArgumentError, expected, FormatError } from "../errors.js";

/**
 * The bytes of a PNG file (W3C "Portable Network Graphics", second edition).
 *
 * @param pixels rows from the top, `channels` bytes per pixel.
 * @param channels 1 for grey, 3 for RGB.
 */
export function encodePng(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3 = 1,
): Uint8Array {
  if (width < 1 || height < 1 || pixels.length !== width * height * channels) {
    throw new ArgumentError(
      expected(
        "encodePng",
        `${width}×${height} pixels of ${channels} bytes, at least one`,
        `${pixels.length} bytes`,
      ),
    );
  }
  const stride = width * channels;
  // Each row starts with its filter; 0 is none.
  const rows = Buffer.alloc(height * (stride + 1));
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  header[9] = channels === 1 ? 0 : 2;
  return Buffer.concat([
    Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** A picture as a `data:` URI that an `<img>` or SVG `<image>` takes. */
export function pngDataUri(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: 1 | 3 = 1,
): string {
  const png = Buffer.from(encodePng(pixels, width, height, channels));
  return `data:image/png;base64,${png.toString("base64")}`;
}

function chunk(type: string, data: Buffer): Buffer {
  const result = Buffer.alloc(12 + data.length);
  result.writeUInt32BE(data.length, 0);
  result.write(type, 4, "latin1");
  data.copy(result, 8);
  result.writeUInt32BE(crc32(result.subarray(4, 8 + data.length)), 8 + data.length);
  return result;
}

/** zlib's own where this Node has it (20.15), else bit by bit: the pictures are small. */
function crc32(bytes: Uint8Array): number {
  if (typeof zlibCrc32 === "function") return zlibCrc32(bytes);
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A picture as bytes, row by row from the top. */
export interface DecodedPng {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4;
  readonly pixels: Uint8Array;
}

const signature = Buffer.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Samples of a pixel by colour type; a palette has one, its index. */
const samplesOf: Readonly<Record<number, 1 | 2 | 3 | 4>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** Bit depths by colour type. */
const depthsOf: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
/** A picture of more pixels is refused: its header may claim anything. */
const mostPixels = 2 ** 28;

/** True for bytes that begin as a PNG file does. */
export function isPng(bytes: Uint8Array): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
}

/**
 * Decodes a PNG file of any colour type and bit depth: 16 bits become 8, fewer are spread to 0 … 255,
 * palettes are looked up.
 *
 * @throws FormatError when it is damaged, or interlaced, which this reader does not know.
 */
export async function decodePng(bytes: Uint8Array, where = "PNG"): Promise<DecodedPng> {
  const fail = (why: string): never => {
    throw new FormatError(`${where}: ${why}`);
  };
  if (!isPng(bytes)) fail("it does not begin as a PNG file");
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: Buffer | undefined;
  let palette: Buffer | undefined;
  let transparent: Buffer | undefined;
  const data: Buffer[] = [];
  let ended = false;
  for (let at = 8; !ended; ) {
    if (at + 12 > view.length) fail("it is truncated");
    const length = view.readUInt32BE(at);
    if (at + 12 + length > view.length) fail("it is truncated");
    const type = view.toString("latin1", at + 4, at + 8);
    const body = view.subarray(at + 8, at + 8 + length);
    if (view.readUInt32BE(at + 8 + length) !== crc32(view.subarray(at + 4, at + 8 + length))) {
      fail(`the checksum of its ${type} chunk is wrong`);
    }
    if (type === "IHDR") header = body;
    else if (type === "PLTE") palette = body;
    else if (type === "tRNS") transparent = body;
    else if (type === "IDAT") data.push(body);
    else if (type === "IEND") ended = true;
    else if (/^[A-Z]/.test(type)) fail(`it has an unknown critical chunk ${type}`);
    at += 12 + length;
  }
  if (header?.length !== 13) return fail("it has no header");
  const width = header.readUInt32BE(0);
  const height = header.readUInt32BE(4);
  const depth = header[8]!;
  const colour = header[9]!;
  if (!depthsOf[colour]?.includes(depth) || header[10] !== 0 || header[11] !== 0) {
    fail(`colour type ${colour} with ${depth} bits is none that PNG has`);
  }
  if (header[12] !== 0) fail("it is interlaced, which this reader can't read");
  if (width < 1 || height < 1 || width * height > mostPixels) {
    fail(`${width}×${height} pixels are none or too many`);
  }
  if (colour === 3 && (!palette || palette.length % 3 !== 0)) fail("it has no palette");
  const samples = samplesOf[colour]!;
  const stride = Math.ceil((width * samples * depth) / 8);
  const size = height * (stride + 1);
  const raw = await promisify(inflate)(Buffer.concat(data), { maxOutputLength: size }).catch(
    (error: unknown) => fail(`its pixels are damaged (${(error as Error).message})`),
  );
  if (raw.length !== size) fail(`its pixels take ${raw.length} bytes, not ${size}`);
  const rows = unfilter(raw, height, stride, Math.max(1, (samples * depth) >> 3), fail);
  const values = spread(rows, width * samples, height, stride, depth, colour === 3);
  if (colour !== 3) return { width, height, channels: samples, pixels: values };
  return { width, height, ...lookUp(values, palette!, transparent, fail) };
}

/** Undoes the filter of each row (W3C PNG, 9.2). */
function unfilter(
  raw: Buffer,
  height: number,
  stride: number,
  step: number,
  fail: (why: string) => never,
): Uint8Array {
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!;
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    if (filter > 4) fail(`row ${y} has the unknown filter ${filter}`);
    for (let i = 0; i < stride; i++) {
      const left = i < step ? 0 : out[to + i - step]!;
      const up = y === 0 ? 0 : out[to + i - stride]!;
      const corner = i < step || y === 0 ? 0 : out[to + i - step - stride]!;
      let predicted = 0;
      if (filter === 1) predicted = left;
      else if (filter === 2) predicted = up;
      else if (filter === 3) predicted = (left + up) >> 1;
      else if (filter === 4) {
        const p = left + up - corner;
        const a = Math.abs(p - left);
        const b = Math.abs(p - up);
        const c = Math.abs(p - corner);
        predicted = a <= b && a <= c ? left : b <= c ? up : corner;
      }
      out[to + i] = raw[from + i]! + predicted;
    }
  }
  return out;
}

/** Samples of any depth as bytes; indices of a palette keep their value. */
function spread(
  rows: Uint8Array,
  perRow: number,
  height: number,
  stride: number,
  depth: number,
  indices: boolean,
): Uint8Array {
  if (depth === 8) return rows;
  const out = new Uint8Array(perRow * height);
  const scale = indices ? 1 : 255 / (2 ** depth - 1);
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < perRow; i++) {
      if (depth === 16) {
        // The upper byte, as libpng does by default.
        out[y * perRow + i] = rows[y * stride + 2 * i]!;
        continue;
      }
      const bit = i * depth;
      const byte = rows[y * stride + (bit >> 3)]!;
      const value = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
      out[y * perRow + i] = value * scale;
    }
  }
  return out;
}

/** Colours of a palette's indices; with transparency in four channels. */
function lookUp(
  indices: Uint8Array,
  palette: Buffer,
  transparent: Buffer | undefined,
  fail: (why: string) => never,
): { channels: 3 | 4; pixels: Uint8Array } {
  const channels = transparent ? 4 : 3;
  const pixels = new Uint8Array(indices.length * channels);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (index * 3 >= palette.length) fail(`colour ${index} is not in its palette`);
    for (let c = 0; c < 3; c++) pixels[i * channels + c] = palette[index * 3 + c]!;
    if (transparent) pixels[i * channels + 3] = transparent[index] ?? 255;
  }
  return { channels, pixels };
}
