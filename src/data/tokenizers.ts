/**
 * Tokenizers: text ↔ int32 tokens, by characters or by words. The vocabulary is fitted to texts by
 * frequency, as Keras' Tokenizer and TextVectorization do, and kept as JSON.
 */
import { readFile } from "node:fs/promises";
import {
  ArgumentError,
  checkBoolean,
  checkInteger,
  checkKeys,
  expected,
  FormatError,
  ShapeError,
  StateError,
  show,
} from "../errors.js";
import { writeFileAtomic } from "../formats/atomic.js";
import { wrongPath } from "../formats/missing.js";
import { showShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";

/** What all tokenizers may be told. */
export interface TokenizerOptions {
  /** Most tokens, special ones included; the most frequent are kept. All by default. */
  readonly maxTokens?: number | undefined;
  /** Least number of times that a token must occur; 1 by default. */
  readonly minCount?: number | undefined;
  /**
   * The token of index 0, for padding; null for none. `"<pad>"` by default. It never stands in a text: there,
   * the same word is an unknown one (where `filters` leave its brackets; by default words lose them).
   */
  readonly padToken?: string | null | undefined;
  /**
   * What unknown tokens become; null makes them an error. `"<unk>"` by default. Where a text has this word itself,
   * as those of the Penn Treebank have, it is this token, if `filters: ""` leaves the brackets; likewise with start
   * and end.
   */
  readonly unknownToken?: string | null | undefined;
  /** Put before each text by `encode`; none by default. */
  readonly startToken?: string | null | undefined;
  /** Put after each text by `encode`; none by default. */
  readonly endToken?: string | null | undefined;
  /** Whether texts are put into lower case. */
  readonly lowercase?: boolean | undefined;
}

/** Options of {@link WordTokenizer}. */
export interface WordTokenizerOptions extends TokenizerOptions {
  /** Characters that are taken for white space; Keras' punctuation by default, `""` for none. */
  readonly filters?: string | undefined;
  /** What stands between words: a text, or white space (the default). */
  readonly split?: string | undefined;
}

/** Numbers of tokens. */
export type TokensLike = ArrayLike<number> | Tensor;

/** Options of `decode` and `decodeAll`. */
export interface DecodeOptions {
  /** Whether padding, start and end are kept; false by default. */
  readonly keepSpecial?: boolean | undefined;
}

const commonOptions = [
  "maxTokens",
  "minCount",
  "padToken",
  "unknownToken",
  "startToken",
  "endToken",
  "lowercase",
];

/** Keras' words for them. */
const aliases = { numWords: "maxTokens", lower: "lowercase", oovToken: "unknownToken" };

const version = 1;

/** Tokenizers as JSON. */
interface TokenizerJson {
  readonly format: "layerwise.tokenizer";
  readonly version: number;
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly vocabulary: readonly string[];
}

/** What both tokenizers share: the vocabulary, and the way from tokens to numbers and back. */
export abstract class Tokenizer {
  protected abstract readonly kind: string;
  protected readonly where: string;
  protected readonly lowercase: boolean;
  readonly #maxTokens: number;
  readonly #minCount: number;
  readonly #pad: string | null;
  readonly #unknown: string | null;
  readonly #start: string | null;
  readonly #end: string | null;
  #tokens: readonly string[] = [];
  #indices: ReadonlyMap<string, number> = new Map();

  constructor(where: string, options: TokenizerOptions, known: readonly string[], lower: boolean) {
    this.where = where;
    checkKeys(where, options, [...commonOptions, ...known], aliases);
    const { maxTokens = Infinity, minCount = 1, lowercase = lower } = options;
    if (maxTokens !== Infinity) checkInteger(where, "maxTokens", maxTokens, 1);
    checkInteger(where, "minCount", minCount, 1);
    checkBoolean(where, "lowercase", lowercase);
    const special = (name: string, value: unknown, fallback: string | null): string | null => {
      if (value === undefined) return fallback;
      if (value === null || (typeof value === "string" && value !== "")) return value;
      throw new ArgumentError(expected(where, `\`${name}\` to be a text or null`, show(value)));
    };
    this.#pad = special("padToken", options.padToken, "<pad>");
    this.#unknown = special("unknownToken", options.unknownToken, "<unk>");
    this.#start = special("startToken", options.startToken, null);
    this.#end = special("endToken", options.endToken, null);
    if (new Set(this.#special).size !== this.#special.length) {
      throw new ArgumentError(
        `${where}: the special tokens ${this.#special.map(show).join(", ")} must differ from each other`,
      );
    }
    if (maxTokens < this.#special.length + 1) {
      throw new ArgumentError(
        `${where}: \`maxTokens\` ${maxTokens} leaves no room beside ${this.#special.length} special tokens`,
      );
    }
    this.#maxTokens = maxTokens;
    this.#minCount = minCount;
    this.lowercase = lowercase;
  }

  get #special(): string[] {
    return [this.#pad, this.#unknown, this.#start, this.#end].filter((t) => t !== null);
  }

  /** The tokens of a text, in order. */
  protected abstract tokensOf(text: string): Iterable<string>;
  /** A text of tokens. */
  protected abstract join(tokens: readonly string[]): string;
  /** The options that `save` writes beside the common ones. */
  protected abstract ownOptions(): Readonly<Record<string, unknown>>;

  /**
   * Takes the vocabulary from texts: special tokens first, then by falling frequency; of equally
   * frequent ones that which is seen first. An earlier vocabulary is replaced.
   *
   * @throws ArgumentError for what is no text, and where there are no tokens.
   */
  fit(texts: string | Iterable<string>): this {
    const place = `${this.where}: fit()`;
    if (typeof texts !== "string" && !iterates(texts, Symbol.iterator)) {
      const hint = iterates(texts, Symbol.asyncIterator)
        ? "fitAsync() takes texts that come over time"
        : undefined;
      throw new ArgumentError(expected(place, "a text or an iterable of texts", show(texts), hint));
    }
    const counts = new Map<string, number>();
    for (const text of typeof texts === "string" ? [texts] : texts)
      this.#count(place, text, counts);
    return this.#settle(place, counts);
  }

  /** As {@link Tokenizer.fit} for texts that come over time, such as a dataset of lines. */
  async fitAsync(texts: AsyncIterable<string>): Promise<this> {
    const place = `${this.where}: fitAsync()`;
    if (!iterates(texts, Symbol.asyncIterator) && !iterates(texts, Symbol.iterator)) {
      throw new ArgumentError(expected(place, "an async iterable of texts", show(texts)));
    }
    const counts = new Map<string, number>();
    for await (const text of texts) this.#count(place, text, counts);
    return this.#settle(place, counts);
  }

  #count(place: string, text: unknown, counts: Map<string, number>): void {
    for (const token of this.tokensOf(this.#text(place, text))) {
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
  }

  #settle(place: string, counts: Map<string, number>): this {
    const special = this.#special;
    for (const token of special) counts.delete(token);
    // A Map keeps the order of first sight, and sorting is stable.
    const ranked = [...counts].filter(([, n]) => n >= this.#minCount).sort((a, b) => b[1] - a[1]);
    if (ranked.length === 0) {
      throw new ArgumentError(`${place}: the texts have no tokens`);
    }
    this.setVocabulary(ranked.slice(0, this.#maxTokens - special.length).map(([token]) => token));
    return this;
  }

  /**
   * Sets the tokens beside the special ones, which come first.
   * @throws ArgumentError for what is no text, and for a token that is there twice.
   */
  setVocabulary(tokens: readonly string[]): void {
    if (!areTexts(tokens)) {
      const place = `${this.where}: setVocabulary()`;
      throw new ArgumentError(expected(place, "an array of texts", show(tokens)));
    }
    const all = [...this.#special, ...tokens];
    const indices = new Map(all.map((token, i) => [token, i]));
    if (indices.size !== all.length) {
      const twice = all.find((token, i) => all.indexOf(token) !== i)!;
      throw new ArgumentError(`${this.where}: the token ${show(twice)} is there twice`);
    }
    if (all.length > this.#maxTokens) {
      throw new ArgumentError(
        `${this.where}: ${all.length} tokens are more than \`maxTokens\` ${this.#maxTokens}`,
      );
    }
    this.#tokens = all;
    this.#indices = indices;
  }

  /** All tokens; a token's place is its number. */
  get vocabulary(): readonly string[] {
    return this.#tokens;
  }

  /** How many tokens there are, special ones included: the `inputDim` of an embedding. */
  get size(): number {
    return this.#tokens.length;
  }

  /** The number of a token; undefined where it is not known. */
  indexOf(token: string): number | undefined {
    return this.#indices.get(token);
  }

  #numberOf(token: string | null): number | null {
    return token === null ? null : (this.#indices.get(token) ?? null);
  }

  /** Number of the padding token; null where there is none. */
  get padIndex(): number | null {
    return this.#numberOf(this.#pad);
  }

  get unknownIndex(): number | null {
    return this.#numberOf(this.#unknown);
  }

  get startIndex(): number | null {
    return this.#numberOf(this.#start);
  }

  get endIndex(): number | null {
    return this.#numberOf(this.#end);
  }

  /**
   * The tokens of a text as numbers, with those of start and end if there are any. A word that is not in the
   * vocabulary is an unknown one, and so is one that is written as the padding is.
   * @throws ArgumentError for an unknown token where there is no `unknownToken`.
   */
  encode(text: string): Int32Array {
    this.#fitted("encode");
    return this.#encode(`${this.where}: encode()`, text);
  }

  #encode(place: string, text: unknown): Int32Array {
    const out: number[] = [];
    const start = this.startIndex;
    const end = this.endIndex;
    const unknown = this.unknownIndex;
    const pad = this.padIndex;
    if (start !== null) out.push(start);
    for (const token of this.tokensOf(this.#text(place, text))) {
      const known = this.#indices.get(token);
      const index = known === undefined || known === pad ? unknown : known;
      if (index === null) {
        const why = known === undefined ? "is not in the vocabulary" : "stands for padding";
        throw new ArgumentError(
          `${place}: ${show(token)} at position ${out.length} ${why}, and there is no \`unknownToken\``,
        );
      }
      out.push(index);
    }
    if (end !== null) out.push(end);
    return Int32Array.from(out);
  }

  /** Several texts; for one length see `padSequences`. */
  encodeAll(texts: readonly string[]): Int32Array[] {
    this.#fitted("encodeAll");
    const place = `${this.where}: encodeAll()`;
    if (!Array.isArray(texts)) {
      const hint = typeof texts === "string" ? "encode() takes one text" : undefined;
      throw new ArgumentError(expected(place, "an array of texts", show(texts), hint));
    }
    return Array.from(texts, (text: unknown, i) => this.#encode(`${place}: text ${i}`, text));
  }

  /**
   * The text of numbers. Padding, start and end are left out, unless `keepSpecial` says otherwise.
   * @throws ArgumentError for a number that is no token's; ShapeError for a tensor of several texts.
   */
  decode(indices: TokensLike, options: DecodeOptions = {}): string {
    this.#fitted("decode");
    const place = `${this.where}: decode()`;
    return this.#decode(place, indices, this.#hidden(place, options));
  }

  /** Several texts: an array with the numbers of each, or a tensor with a text per row. */
  decodeAll(texts: readonly TokensLike[] | Tensor, options: DecodeOptions = {}): string[] {
    this.#fitted("decodeAll");
    const place = `${this.where}: decodeAll()`;
    const hidden = this.#hidden(place, options);
    const rows = texts instanceof Tensor ? rowsOf(place, texts) : texts;
    if (!Array.isArray(rows)) {
      const hint = isArrayLike(rows) ? "decode() takes one text" : undefined;
      const wanted = "an array with the numbers of each text, or a tensor [texts, steps]";
      throw new ArgumentError(expected(place, wanted, show(rows), hint));
    }
    return Array.from(rows, (row: unknown, i) => this.#decode(`${place}: text ${i}`, row, hidden));
  }

  /** The numbers that are left out of a text. */
  #hidden(place: string, options: DecodeOptions): readonly (number | null)[] {
    checkKeys(place, options, ["keepSpecial"]);
    const { keepSpecial = false } = options;
    checkBoolean(place, "keepSpecial", keepSpecial);
    return keepSpecial ? [] : [this.padIndex, this.startIndex, this.endIndex];
  }

  #decode(place: string, indices: unknown, hidden: readonly (number | null)[]): string {
    if (indices instanceof Tensor && indices.rank > 1) {
      const got = showShape(indices.shape);
      throw new ShapeError(
        expected(place, "numbers of one text, [steps]", got, "decodeAll() takes several"),
      );
    }
    const values = indices instanceof Tensor ? indices.dataSync() : indices;
    if (!isArrayLike(values)) {
      throw new ArgumentError(expected(place, "an array or a tensor of numbers", show(values)));
    }
    const tokens: string[] = [];
    for (let i = 0; i < values.length; i++) {
      const index = values[i];
      const token = typeof index === "number" ? this.#tokens[index] : undefined;
      if (typeof index !== "number" || token === undefined) {
        throw new ArgumentError(
          `${place}: ${show(index)} at position ${i} is no token; there are ${this.size}, from 0`,
        );
      }
      if (!hidden.includes(index)) tokens.push(token);
    }
    return this.join(tokens);
  }

  #fitted(method: string): void {
    if (this.#tokens.length > 0) return;
    throw new StateError(
      `${this.where}: ${method}(): it has no vocabulary yet; call fit(texts), or load one`,
    );
  }

  #text(place: string, text: unknown): string {
    if (typeof text !== "string") {
      throw new ArgumentError(expected(place, "a text", show(text)));
    }
    return this.lowercase ? text.toLowerCase() : text;
  }

  /** Options and vocabulary: what `JSON.stringify` writes and `fromJSON` takes. */
  toJSON(): TokenizerJson {
    return {
      format: "layerwise.tokenizer",
      version,
      kind: this.kind,
      options: {
        ...(this.#maxTokens === Infinity ? {} : { maxTokens: this.#maxTokens }),
        minCount: this.#minCount,
        padToken: this.#pad,
        unknownToken: this.#unknown,
        startToken: this.#start,
        endToken: this.#end,
        lowercase: this.lowercase,
        ...this.ownOptions(),
      },
      vocabulary: this.#tokens.slice(this.#special.length),
    };
  }

  /** Writes options and vocabulary to a JSON file, atomically. */
  async save(path: string): Promise<void> {
    await writeFileAtomic(path, `${JSON.stringify(this, null, 1)}\n`);
  }
}

/** Whether a value can be gone through, and is no text, which would give its characters. */
function iterates(value: unknown, by: symbol): boolean {
  return typeof value === "object" && value !== null && by in value;
}

function isArrayLike(value: unknown): value is ArrayLike<unknown> {
  return typeof value === "object" && value !== null && "length" in value;
}

function areTexts(value: unknown): value is readonly string[] {
  // Spread, so that holes count.
  return Array.isArray(value) && [...value].every((text) => typeof text === "string");
}

/** The rows of a tensor [texts, steps]. */
function rowsOf(place: string, texts: Tensor): ArrayLike<number>[] {
  const [count, steps] = texts.shape;
  if (texts.rank !== 2) {
    throw new ShapeError(expected(place, "a tensor [texts, steps]", showShape(texts.shape)));
  }
  const values = texts.dataSync();
  return Array.from({ length: count! }, (_, i) => values.subarray(i * steps!, (i + 1) * steps!));
}

/** Characters as tokens: Unicode code points. */
export class CharTokenizer extends Tokenizer {
  protected readonly kind = "char";

  /** Case is kept by default. */
  constructor(options: TokenizerOptions = {}) {
    super("CharTokenizer", options, [], false);
  }

  /** @throws FormatError when `json` is not what `toJSON` gives. */
  static fromJSON(json: unknown): CharTokenizer {
    const { options, vocabulary } = checkJson("CharTokenizer", "char", json);
    const made = new CharTokenizer(options as TokenizerOptions);
    if (vocabulary.length > 0) made.setVocabulary(vocabulary);
    return made;
  }

  /** Reads a file of `save`. */
  static async load(path: string): Promise<CharTokenizer> {
    return CharTokenizer.fromJSON(await readJson("CharTokenizer", path));
  }

  protected tokensOf(text: string): Iterable<string> {
    return text;
  }

  protected join(tokens: readonly string[]): string {
    return tokens.join("");
  }

  protected ownOptions() {
    return {};
  }
}

/** What Keras' Tokenizer filters: all punctuation but the apostrophe, tabs and line ends. */
const kerasFilters = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n';

/** Words as tokens: what stands between white space, once punctuation is filtered out. */
export class WordTokenizer extends Tokenizer {
  protected readonly kind = "word";
  readonly #filters: string;
  readonly #split: string | undefined;
  readonly #filter: ReadonlySet<string>;

  /** Lower case and Keras' filters by default; `{ lowercase: false, filters: "" }` takes text as it is. */
  constructor(options: WordTokenizerOptions = {}) {
    super("WordTokenizer", options, ["filters", "split"], true);
    const { filters = kerasFilters, split } = options;
    if (typeof filters !== "string") {
      throw new ArgumentError(expected(this.where, "`filters` to be a text", show(filters)));
    }
    if (split !== undefined && (typeof split !== "string" || split === "")) {
      throw new ArgumentError(expected(this.where, "`split` to be a text", show(split)));
    }
    this.#filters = filters;
    this.#filter = new Set(filters);
    this.#split = split;
  }

  /** @throws FormatError when `json` is not what `toJSON` gives. */
  static fromJSON(json: unknown): WordTokenizer {
    const { options, vocabulary } = checkJson("WordTokenizer", "word", json);
    const made = new WordTokenizer(options as WordTokenizerOptions);
    if (vocabulary.length > 0) made.setVocabulary(vocabulary);
    return made;
  }

  /** Reads a file of `save`. */
  static async load(path: string): Promise<WordTokenizer> {
    return WordTokenizer.fromJSON(await readJson("WordTokenizer", path));
  }

  protected tokensOf(text: string): Iterable<string> {
    let clean = text;
    if (this.#filter.size > 0) {
      clean = "";
      for (const c of text) clean += this.#filter.has(c) ? (this.#split ?? " ") : c;
    }
    return clean.split(this.#split ?? /\s+/).filter((word) => word !== "");
  }

  protected join(tokens: readonly string[]): string {
    return tokens.join(this.#split ?? " ");
  }

  protected ownOptions() {
    return {
      filters: this.#filters,
      ...(this.#split === undefined ? {} : { split: this.#split }),
    };
  }
}

async function readJson(where: string, path: string): Promise<unknown> {
  const text = await readFile(path, "utf8").catch(wrongPath(path, where));
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FormatError(`${where}: ${show(path)} is not JSON`, { cause: error });
  }
}

function checkJson(where: string, kind: string, json: unknown): TokenizerJson {
  const given = (typeof json === "object" && json !== null ? json : {}) as Partial<TokenizerJson>;
  if (given.format !== "layerwise.tokenizer" || typeof given.options !== "object") {
    throw new FormatError(expected(where, "what a tokenizer's toJSON() gives", show(json)));
  }
  if (given.version !== version) {
    throw new FormatError(expected(where, `version ${version}`, show(given.version)));
  }
  if (given.kind !== kind) {
    throw new FormatError(expected(where, `a tokenizer of kind ${show(kind)}`, show(given.kind)));
  }
  const { vocabulary } = given;
  if (!areTexts(vocabulary)) {
    throw new FormatError(expected(where, "`vocabulary` as an array of texts", show(vocabulary)));
  }
  return given as TokenizerJson;
}
