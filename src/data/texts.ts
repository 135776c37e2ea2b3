/** Data sets of text: Tiny Shakespeare, surnames by language, and files in the format of the Penn Treebank. */
import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, checkKeys, expected, FormatError, show } from "../errors.js";
import { wrongPath } from "../formats/missing.js";
import { cacheDirectory, type DownloadOptions, download } from "./download.js";
import { readText } from "./text.js";

/** Where a data set is read from, or kept after its download. */
export interface TextDatasetOptions extends Pick<DownloadOptions, "signal" | "onProgress"> {
  /** A directory that holds the files; nothing is downloaded then. */
  readonly dir?: string | undefined;
  /** Where downloads are kept; by default see `LAYERWISE_CACHE` in the documentation. */
  readonly cacheDir?: string | undefined;
}

const shakespeare = {
  name: "input.txt",
  urls: [
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
  ],
  sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
  bytes: 1115394,
  hint: "Where there is no network, put input.txt into a directory and pass it as `dir`.",
};

/**
 * Tiny Shakespeare (Karpathy 2015): 1 115 394 characters of his plays, 65 of them distinct, to learn a
 * language model of characters. Read from `dir` (`input.txt`), else downloaded once (1.1 MB), checked and
 * cached.
 *
 * @example
 * const text = await lw.datasets.tinyShakespeare();
 * const tokenizer = new lw.data.CharTokenizer({ padToken: null, unknownToken: null }).fit(text);
 */
export async function tinyShakespeare(options: TextDatasetOptions = {}): Promise<string> {
  const where = "tinyShakespeare";
  checkKeys(where, options, ["dir", "cacheDir", "signal", "onProgress"]);
  if (options.dir !== undefined) {
    return readText(where, await firstOf(where, options.dir, ["input.txt", "input.txt.gz"]));
  }
  const path = join(options.cacheDir ?? cacheDirectory(), "tinyshakespeare", shakespeare.name);
  await download(path, shakespeare, { signal: options.signal, onProgress: options.onProgress });
  return readText(where, path);
}

/** Texts and their classes. */
export interface LabelledTexts {
  readonly texts: readonly string[];
  readonly labels: Int32Array;
  readonly classNames: readonly string[];
}

/**
 * Short texts by class, one file per class (`Arabic.txt`, `Chinese.txt` …) with a text per line: the
 * form of PyTorch's surnames of 18 languages. Blank lines are left out; classes are in the order of
 * their names.
 */
export async function names(options: { readonly dir: string }): Promise<LabelledTexts> {
  const where = "names";
  checkKeys(where, options ?? {}, ["dir"]);
  if (typeof options?.dir !== "string") {
    throw new ArgumentError(
      expected(where, "`dir`, the directory with a file per class", show(options?.dir)),
    );
  }
  const files = (await readdir(options.dir).catch(wrongPath(options.dir, where, "directory")))
    .filter((name) => /\.txt(\.gz)?$/.test(name))
    .sort();
  if (files.length === 0)
    throw new ArgumentError(`${where}: no .txt files in ${show(options.dir)}`);
  const texts: string[] = [];
  const labels: number[] = [];
  for (const [label, file] of files.entries()) {
    const lines = (await readText(where, join(options.dir, file))).split(/\r\n|\r|\n/);
    for (const line of lines) {
      const text = line.trim();
      if (text === "") continue;
      texts.push(text);
      labels.push(label);
    }
  }
  const classNames = files.map((name) => name.replace(/\.txt(\.gz)?$/, ""));
  return { texts, labels: Int32Array.from(labels), classNames };
}

/** The three parts of a corpus, as words. */
export interface WordCorpus {
  readonly train: readonly string[];
  readonly valid: readonly string[];
  readonly test: readonly string[];
}

/** Options of {@link pennTreebank}. */
export interface PennTreebankOptions {
  /** A directory with `<prefix>.train.txt`, `<prefix>.valid.txt` and `<prefix>.test.txt`, gzipped or not. */
  readonly dir: string;
  /** What the files' names begin with; by default what the only `*.train.txt` begins with. */
  readonly prefix?: string | undefined;
  /** The token put at the end of each line; `<eos>` by default, null for none. */
  readonly endToken?: string | null | undefined;
}

/**
 * A corpus in the format of the Penn Treebank language-modelling set (Mikolov 2010): words separated by
 * white space, a sentence per line, after each of which comes an end token.
 *
 * @example
 * const { train } = await lw.datasets.pennTreebank({ dir: "ptb", prefix: "ptb" });
 * const words = new lw.data.WordTokenizer({ filters: "", lowercase: false }).fit(train.join(" "));
 */
export async function pennTreebank(options: PennTreebankOptions): Promise<WordCorpus> {
  const where = "pennTreebank";
  checkKeys(where, options ?? {}, ["dir", "prefix", "endToken"]);
  const { dir, endToken = "<eos>" } = options ?? {};
  if (typeof dir !== "string") {
    throw new ArgumentError(expected(where, "`dir`, the directory of the files", show(dir)));
  }
  const prefix = options.prefix ?? (await prefixIn(where, dir));
  const part = async (name: string): Promise<string[]> => {
    const file = `${prefix}.${name}.txt`;
    const text = await readText(where, await firstOf(where, dir, [file, `${file}.gz`]));
    const words: string[] = [];
    const lines = text.split(/\r\n|\r|\n/);
    // What follows the last line end is no line.
    if (lines.at(-1) === "") lines.pop();
    for (const line of lines) {
      for (const word of line.split(/\s+/)) if (word !== "") words.push(word);
      if (endToken !== null) words.push(endToken);
    }
    if (words.length === 0) throw new FormatError(`${where}: ${show(file)} has no words`);
    return words;
  };
  return { train: await part("train"), valid: await part("valid"), test: await part("test") };
}

async function prefixIn(where: string, dir: string): Promise<string> {
  const found = new Set<string>();
  for (const name of await readdir(dir).catch(wrongPath(dir, where, "directory"))) {
    const match = /^(.+)\.train\.txt(\.gz)?$/.exec(name);
    if (match) found.add(match[1]!);
  }
  if (found.size === 1) return [...found][0]!;
  throw new ArgumentError(
    found.size === 0
      ? `${where}: no *.train.txt in ${show(dir)}`
      : `${where}: there are several corpora in ${show(dir)}; give the \`prefix\`: ${[...found].join(", ")}`,
  );
}

async function firstOf(where: string, dir: string, choices: readonly string[]): Promise<string> {
  for (const choice of choices) {
    const path = join(dir, choice);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new ArgumentError(`${where}: no ${choices.join(", ")} in ${show(dir)}`);
}
