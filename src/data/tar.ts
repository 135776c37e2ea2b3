/** Reads files out of a tar archive (POSIX ustar), as data sets are distributed. */
import { FormatError } from "../errors.js";

const block = 512;

/** The regular files of an archive by their names; `wanted` picks some. */
export function readTar(
  bytes: Uint8Array,
  where: string,
  wanted: (name: string) => boolean = () => true,
): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (at: number, length: number): string => {
    const field = Buffer.from(bytes.buffer, bytes.byteOffset + at, length);
    const stop = field.indexOf(0);
    return field.toString("utf8", 0, stop < 0 ? length : stop);
  };
  for (let at = 0; at + block <= bytes.byteLength; ) {
    if (bytes[at] === 0) break;
    const size = Number.parseInt(text(at + 124, 12).trim(), 8);
    const stop = at + block + size;
    if (!Number.isInteger(size) || size < 0 || stop > bytes.byteLength) {
      throw new FormatError(`${where}: the tar archive is damaged or truncated at byte ${at}`);
    }
    const prefix = text(at + 257, 5) === "ustar" ? text(at + 345, 155) : "";
    const name = (prefix === "" ? "" : `${prefix}/`) + text(at, 100);
    const type = bytes[at + 156];
    if ((type === 0 || type === 48) && wanted(name)) {
      files.set(name, bytes.subarray(at + block, stop));
    }
    at = at + block + Math.ceil(size / block) * block;
  }
  return files;
}
