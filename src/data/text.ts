/** Text as a stream: files, gzipped or not (told by their first bytes), decoded and cut into lines. */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createGunzip, gunzip } from "node:zlib";
import { ArgumentError, checkKeys, expected, FormatError, show } from "../errors.js";
import { wrongPath } from "../formats/missing.js";
import { Dataset } from "./dataset.js";
import { iteratorCursor } from "./source.js";

/** A file by its path or `file:` URL, or a text itself. */
export type TextSource = string | URL | { readonly text: string };

/** What a source is called in messages. */
export function sourceName(where: string, source: TextSource): string {
  if (typeof source === "string" || source instanceof URL)
    return `${where} of ${show(pathOf(source))}`;
  if (typeof source === "object" && source !== null && typeof source.text === "string")
    return where;
  throw new ArgumentError(expected(where, "a path, a file URL or { text }", show(source)));
}

function pathOf(source: string | URL): string {
  return source instanceof URL ? fileURLToPath(source) : source;
}

/** The pieces of a text as they are read. A byte order mark is left out. */
export async function* textChunks(
  where: string,
  source: TextSource,
): AsyncGenerator<string, void, undefined> {
  if (typeof source === "object" && !(source instanceof URL)) {
    const text = source.text.startsWith("\ufeff") ? source.text.slice(1) : source.text;
    if (text !== "") yield text;
    return;
  }
  const file = createReadStream(pathOf(source), { highWaterMark: 1 << 18 });
  const iterator = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    const first = await iterator.next().catch(wrongPath(pathOf(source), where));
    if (first.done) return;
    const whole = (async function* () {
      yield first.value;
      for (;;) {
        const next = await iterator.next();
        if (next.done) return;
        yield next.value;
      }
    })();
    const zipped = first.value[0] === 0x1f && first.value[1] === 0x8b;
    // Invalid UTF-8 is an error: a file in another encoding would be read as noise.
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const decode = (bytes?: Uint8Array): string => {
      try {
        return decoder.decode(bytes, { stream: bytes !== undefined });
      } catch (error) {
        throw new FormatError(`${where}: it is not UTF-8 text`, { cause: error });
      }
    };
    for await (const bytes of zipped ? unzipped(where, whole) : whole) {
      const text = decode(bytes);
      if (text !== "") yield text;
    }
    const rest = decode();
    if (rest !== "") yield rest;
  } finally {
    file.destroy();
  }
}

async function* unzipped(
  where: string,
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  const input = Readable.from(chunks);
  const gunzipped = createGunzip();
  input.on("error", (error) => gunzipped.destroy(error));
  try {
    for await (const bytes of input.pipe(gunzipped)) yield bytes as Buffer;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!code.startsWith("Z_") && code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
    throw new FormatError(`${where}: its gzip stream is damaged or truncated (${code})`, {
      cause: error,
    });
  } finally {
    input.destroy();
  }
}

/** Reads a whole text file, gzipped or not. */
export async function readText(where: string, path: string): Promise<string> {
  let bytes: Buffer = await readFile(path).catch(wrongPath(path, where));
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = await promisify(gunzip)(bytes);
    } catch (error) {
      throw new FormatError(`${where}: the gzip stream of ${show(path)} is damaged or truncated`, {
        cause: error,
      });
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new FormatError(`${where}: ${show(path)} is not UTF-8 text`, { cause: error });
  }
}

/** Lists of what each piece of text completed; the cursor below hands them out one by one. */
async function* lineBlocks(
  chunks: AsyncIterable<string>,
): AsyncGenerator<readonly string[], void, undefined> {
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split(/\r\n|\n|\r(?=[^\n])/);
    rest = lines.pop()!;
    yield lines;
  }
  // A lone \r at the very end ends a line as well.
  if (rest.endsWith("\r")) rest = rest.slice(0, -1);
  if (rest !== "") yield [rest];
}

/** Options of `textLines`. */
export interface TextLinesOptions {
  /** Whether lines without anything but white space are left out; false by default. */
  readonly skipEmpty?: boolean | undefined;
}

/**
 * The lines of a text file, gzipped or not, without their ends (`\n`, `\r\n` or `\r`).
 *
 * @throws in a pass, FormatError for what is not UTF-8 or damaged gzip.
 * @example
 * lw.data.textLines("names.txt").filter((line) => line !== "");
 */
export function textLines(source: TextSource, options: TextLinesOptions = {}): Dataset<string> {
  checkKeys("textLines()", options, ["skipEmpty"]);
  const where = sourceName("textLines()", source);
  const { skipEmpty = false } = options;
  return blocks(where, async function* () {
    for await (const lines of lineBlocks(textChunks(where, source))) {
      yield skipEmpty ? lines.filter((line) => line.trim() !== "") : lines;
    }
  });
}

/** A dataset of what comes in blocks: within a block no element has to be waited for. */
export function blocks<T>(
  stage: string,
  open: () => AsyncGenerator<readonly T[], void, undefined>,
): Dataset<T> {
  return new Dataset<T>({
    stage,
    size: null,
    open() {
      // Errors say the line by themselves; the number of a block means nothing to anybody.
      const source = iteratorCursor(null, open);
      let block: readonly T[] = [];
      let at = 0;
      const next = (): T | symbol | Promise<T | symbol> => {
        if (at < block.length) return block[at++]!;
        return fetch();
      };
      const fetch = async (): Promise<T | symbol> => {
        while (at >= block.length) {
          const value = await source.next();
          if (typeof value === "symbol") return value;
          block = value;
          at = 0;
        }
        return block[at++]!;
      };
      // The only symbol there is stands for the end.
      return { next: next as never, close: () => source.close() };
    },
  });
}
