/** Writes PNG images: 8-bit grey or RGB, no palette, no interlacing. For reports; there is no reader. */
import { deflateSync, crc32 as zlibCrc32 } from "node:zlib";
import { ArgumentError, expected } from "../errors.js";

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
