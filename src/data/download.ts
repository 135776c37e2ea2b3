/**
 * Downloads a file of known content once into a cache: several mirrors, retries that resume, a
 * stall time-out, a pinned SHA-256 and an atomic rename. Knows nothing of what the file holds.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LayerwiseError, show } from "../errors.js";
import { syncDirectory, temporaryBeside } from "../formats/atomic.js";

/** A file could not be downloaded; the message lists every attempt. */
export class DownloadError extends LayerwiseError {
  override name = "DownloadError";
}

/** How far a download is. */
export interface DownloadProgress {
  /** Name of the file. */
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

/** What is to be downloaded, and how to know it. */
export interface DownloadRequest {
  readonly name: string;
  /** Tried in order. */
  readonly urls: readonly string[];
  /** Hexadecimal SHA-256 of the whole file. */
  readonly sha256: string;
  /** Exact size; a server that sends more is cut off. */
  readonly bytes: number;
  /** What to tell someone whose downloads all fail. */
  readonly hint?: string;
}

/** How to download. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Milliseconds without a byte after which an attempt is given up; 30 000 by default. */
  readonly stallTimeout?: number | undefined;
  /** Attempts per mirror; 3 by default. A 4xx answer is not tried again. */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt, doubled for each further one; 500 by default. */
  readonly retryDelay?: number | undefined;
}

/**
 * Where downloads are kept: `LAYERWISE_CACHE`, else `layerwise` in the user's cache directory
 * (`XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows).
 */
export function cacheDirectory(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  if (environment.LAYERWISE_CACHE) return environment.LAYERWISE_CACHE;
  // The XDG specification says to ignore a relative path.
  const xdg = environment.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) return join(xdg, "layerwise");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "layerwise");
  if (process.platform === "win32" && environment.LOCALAPPDATA) {
    return join(environment.LOCALAPPDATA, "layerwise", "Cache");
  }
  return join(homedir(), ".cache", "layerwise");
}

/**
 * Makes sure that `path` holds the requested file: nothing happens when it does already (its
 * checksum is verified each time), else it is downloaded.
 *
 * @throws DownloadError when every mirror fails; the signal's reason when aborted.
 */
export async function download(
  path: string,
  request: DownloadRequest,
  options: DownloadOptions = {},
): Promise<void> {
  options.signal?.throwIfAborted();
  if ((await hashFile(path)) === request.sha256) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryBeside(path);
  const file = await open(temporary, "wx+");
  try {
    try {
      await fromMirrors(file, temporary, request, options);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** SHA-256 of a file in hexadecimal; undefined when there is none. */
async function hashFile(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return hash.digest("hex");
}

/** Where an interrupted attempt stands, so that the next can go on from there. */
interface Partial {
  received: number;
  /** The server's word for this version of the file; without one there is no safe resuming. */
  etag: string | null;
}

/** A failure that another attempt at the same mirror won't mend. */
class Hopeless extends Error {}

async function fromMirrors(
  file: FileHandle,
  temporary: string,
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<void> {
  const { attempts = 3, retryDelay = 500 } = options;
  const failures: string[] = [];
  for (const url of request.urls) {
    const partial: Partial = { received: 0, etag: null };
    for (let attempt = 1; attempt <= attempts; attempt++) {
      try {
        await attemptDownload(file, url, partial, request, options);
        const sum = await hashFile(temporary);
        if (sum === request.sha256) return;
        throw new Hopeless(`its SHA-256 is ${sum}, not ${request.sha256}`);
      } catch (error) {
        options.signal?.throwIfAborted();
        failures.push(`${url}: ${reasonOf(error)}`);
        if (error instanceof Hopeless || isDiskError(error)) break;
      }
      if (attempt < attempts) {
        const wait = retryDelay * 2 ** (attempt - 1);
        await sleep(wait, undefined, options.signal ? { signal: options.signal } : {});
      }
    }
  }
  const hint = request.hint ? `\n${request.hint}` : "";
  throw new DownloadError(
    `could not download ${show(request.name)}:\n  ${failures.join("\n  ")}${hint}`,
  );
}

async function attemptDownload(
  file: FileHandle,
  url: string,
  partial: Partial,
  request: DownloadRequest,
  options: DownloadOptions,
): Promise<void> {
  const { signal, onProgress, stallTimeout = 30_000 } = options;
  const stalled = new AbortController();
  const restartTimer = () =>
    setTimeout(() => stalled.abort(new Error(`no data for ${stallTimeout} ms`)), stallTimeout);
  let timer = restartTimer();
  try {
    // A server that compresses on the fly would change the bytes the checksum is of.
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (partial.received > 0 && partial.etag !== null) {
      headers.range = `bytes=${partial.received}-`;
      headers["if-range"] = partial.etag;
    }
    const response = await fetch(url, {
      headers,
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    });
    checkStatus(response);
    const resumed =
      response.status === 206 &&
      response.headers.get("content-range")?.startsWith(`bytes ${partial.received}-`) === true;
    if (response.status === 206 && !resumed) throw new Error("the server sent another range");
    if (!resumed) {
      partial.received = 0;
      await file.truncate(0);
    }
    const etag = response.headers.get("etag");
    // A weak tag does not promise the same bytes.
    partial.etag = etag?.startsWith("W/") ? null : etag;
    if (response.body === null) throw new Error("the answer is empty");
    for await (const chunk of response.body) {
      clearTimeout(timer);
      timer = restartTimer();
      if (partial.received + chunk.byteLength > request.bytes) {
        throw new Hopeless(`it is larger than the ${request.bytes} bytes expected`);
      }
      await file.write(chunk, 0, chunk.byteLength, partial.received);
      partial.received += chunk.byteLength;
      onProgress?.({
        file: request.name,
        receivedBytes: partial.received,
        totalBytes: request.bytes,
      });
    }
    if (partial.received < request.bytes) {
      const message = `ended after ${partial.received} of ${request.bytes} bytes`;
      // Cut off in the middle, or complete but another file?
      const announced = response.headers.get("content-length");
      throw announced !== null && !resumed && Number(announced) === partial.received
        ? new Hopeless(message)
        : new Error(message);
    }
  } finally {
    clearTimeout(timer);
  }
}

function checkStatus(response: Response): void {
  if (response.ok) return;
  const message = `HTTP ${response.status} ${response.statusText}`.trim();
  void response.body?.cancel().catch(() => {});
  // 408 and 429 ask for another try.
  const final = response.status >= 400 && response.status < 500;
  throw final && response.status !== 408 && response.status !== 429
    ? new Hopeless(message)
    : new Error(message);
}

function isDiskError(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EIO";
}

/** The message of an error with that of its cause: fetch says only "fetch failed" itself. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = "code" in cause ? String(cause.code) : "";
  return `${error.message} (${cause.message || code})`;
}
