/**
 * Writes a file so that a reader sees either the old content or the complete new one, whatever
 * happens in between. Everything layerwise writes to disk in one go passes through here.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ArgumentError, show } from "../errors.js";

/**
 * Writes `chunks` to `path` atomically: into a temporary file in the same directory, flushed to
 * the disk, renamed over `path`, and the directory flushed. A symbolic link stays a link and its
 * target is replaced; the mode of an existing file is kept.
 *
 * @throws ArgumentError when the directory does not exist.
 */
export async function writeFileAtomic(
  path: string,
  chunks: string | Uint8Array | Iterable<Uint8Array>,
): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const mode = await stat(target).then(
    (info) => info.mode & 0o777,
    () => undefined,
  );
  const temporary = temporaryBeside(target);
  const file = await open(temporary, "wx").catch((error: unknown) => {
    // The system would name the temporary file, which tells nobody anything.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOENT") throw error;
    throw new ArgumentError(`can't write ${show(path)}: its directory does not exist`);
  });
  try {
    try {
      if (mode !== undefined) await file.chmod(mode);
      const list =
        typeof chunks === "string"
          ? [Buffer.from(chunks)]
          : chunks instanceof Uint8Array
            ? [chunks]
            : chunks;
      for (const chunk of list) await writeAll(file, chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(target));
}

/** A hidden name beside `path` that no other writer uses. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
}

/** Flushes a directory's entries, so that a rename survives a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  // Windows can't open a directory, and some network file systems refuse to flush one; the
  // rename has happened by now, so neither is a reason to fail.
  const directory = await open(path, "r").catch(() => undefined);
  await directory?.sync().catch(() => {});
  await directory?.close();
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  // One write call takes at most 2 GiB − 1 on Linux.
  const largest = 1 << 30;
  let done = 0;
  while (done < chunk.byteLength) {
    const length = Math.min(chunk.byteLength - done, largest);
    const { bytesWritten } = await file.write(chunk, done, length);
    done += bytesWritten;
  }
}
