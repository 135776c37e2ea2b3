/** Characters and words to numbers and back, and what is kept in files. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { textLines } from "../../src/data/text.js";
import { CharTokenizer, WordTokenizer } from "../../src/data/tokenizers.js";
import { FormatError, StateError } from "../../src/errors.js";
import { tensor } from "../../src/tensor/tensor.js";

describe("characters", () => {
  test("by falling frequency, after the special tokens; code points stay whole", () => {
    const t = new CharTokenizer().fit("aab😀aab😀😀😀c");
    expect(t.vocabulary).toEqual(["<pad>", "<unk>", "a", "😀", "b", "c"]);
    expect(t.size).toBe(6);
    expect([...t.encode("c😀x")]).toEqual([5, 3, 1]);
    expect(t.decode([5, 3, 2, 0, 0])).toBe("c😀a");
    expect(t.decode([5, 0, 1], { keepSpecial: true })).toBe("c<pad><unk>");
    expect(t.decode(tensor(Int32Array.of(2, 4)))).toBe("ab");
    expect([t.padIndex, t.unknownIndex, t.startIndex, t.endIndex]).toEqual([0, 1, null, null]);
    expect(t.indexOf("b")).toBe(4);
    expect(t.indexOf("z")).toBeUndefined();
  });

  test("without special tokens every character has to be known", () => {
    const t = new CharTokenizer({ padToken: null, unknownToken: null }).fit(["hello", "world"]);
    expect(t.vocabulary).toEqual(["l", "o", "h", "e", "w", "r", "d"]);
    const text = "held wold".replace(" ", "");
    expect(t.decode(t.encode(text))).toBe(text);
    expect(() => t.encode("he!")).toThrow(
      'CharTokenizer: encode(): "!" at position 2 is not in the vocabulary, and there is no `unknownToken`',
    );
  });

  test("start and end, a limit, a least count, lower case", () => {
    const t = new CharTokenizer({
      startToken: "<s>",
      endToken: "</s>",
      maxTokens: 6,
      lowercase: true,
    }).fit("AaBbBc");
    expect(t.vocabulary).toEqual(["<pad>", "<unk>", "<s>", "</s>", "b", "a"]);
    expect([...t.encode("aBc")]).toEqual([2, 5, 4, 1, 3]);
    expect(t.decode(t.encode("AB"))).toBe("ab");
    expect(new CharTokenizer({ minCount: 2, padToken: null }).fit("aabc").vocabulary).toEqual([
      "<unk>",
      "a",
    ]);
  });
});

describe("words", () => {
  const text = "The cat sat. The CAT, the mat!";

  test("in lower case without punctuation, as Keras has them", () => {
    const t = new WordTokenizer().fit(text);
    expect(t.vocabulary).toEqual(["<pad>", "<unk>", "the", "cat", "sat", "mat"]);
    expect([...t.encode("A cat & the dog's mat")]).toEqual([1, 3, 2, 1, 5]);
    expect(t.decode([2, 3, 4])).toBe("the cat sat");
    const all = t.encodeAll(["the mat", ""]);
    expect(all.map((a) => [...a])).toEqual([[2, 5], []]);
  });

  test("as they stand, and split at a text", () => {
    const plain = new WordTokenizer({ filters: "", lowercase: false }).fit(text);
    expect(plain.vocabulary.slice(2)).toEqual(["The", "cat", "sat.", "CAT,", "the", "mat!"]);
    const split = new WordTokenizer({ filters: ";", split: "|", unknownToken: "?" }).fit(
      "a b|c;a b",
    );
    expect(split.vocabulary).toEqual(["<pad>", "?", "a b", "c"]);
    expect(split.decode(split.encode("c|a b|d"))).toBe("c|a b|?");
  });

  test("are taken from datasets too", async () => {
    const t = await new WordTokenizer().fitAsync(textLines({ text: "b b\na\n\nb a c" }));
    expect(t.vocabulary.slice(2)).toEqual(["b", "a", "c"]);
  });
});

test("errors", () => {
  const t = new WordTokenizer();
  expect(() => t.encode("a")).toThrow(StateError);
  expect(() => t.encode("a")).toThrow("WordTokenizer: encode(): it has no vocabulary yet");
  expect(() => t.decode([0])).toThrow(/no vocabulary/);
  expect(() => t.fit("  ,.")).toThrow(/the texts have no tokens/);
  expect(() => t.fit([5] as never)).toThrow(/expected a text, got 5/);
  t.fit("a");
  expect(() => t.decode([3])).toThrow("WordTokenizer: decode(): 3 at position 0 is no token");
  expect(() => t.setVocabulary(["x", "x"])).toThrow(/"x" is there twice/);
  expect(() => new WordTokenizer({ padToken: "x", unknownToken: "x" })).toThrow(/must differ/);
  expect(() => new WordTokenizer({ maxTokens: 2 })).toThrow(/no room/);
  expect(() => new WordTokenizer({ oovToken: "x" } as never)).toThrow(
    /did you mean `unknownToken`/,
  );
  expect(() => new CharTokenizer({ filters: "" } as never)).toThrow(/unknown option `filters`/);
  expect(() => new CharTokenizer({ startToken: "" })).toThrow(/`startToken` to be a text or null/);
});

test("files hold all that encode and decode need", async () => {
  const directory = await mkdtemp(join(tmpdir(), "layerwise-tokenizer-"));
  try {
    const path = join(directory, "words.json");
    const t = new WordTokenizer({
      maxTokens: 50,
      startToken: "<s>",
      filters: "!",
      split: " ",
      lowercase: false,
      minCount: 1,
    }).fit('Wörter "in" Zeilen!\nund 😀 mehr');
    await t.save(path);
    expect(await readdir(directory)).toEqual(["words.json"]);
    const loaded = await WordTokenizer.load(path);
    expect(loaded.toJSON()).toEqual(t.toJSON());
    const text = 'mehr "in" neu Zeilen';
    expect(loaded.encode(text)).toEqual(t.encode(text));
    // What it must be like for programs in other languages.
    expect(Object.keys(JSON.parse(await readFile(path, "utf8")))).toEqual([
      "format",
      "version",
      "kind",
      "options",
      "vocabulary",
    ]);
    await expect(CharTokenizer.load(path)).rejects.toThrow(
      /a tokenizer of kind "char", got "word"/,
    );
    await writeFile(path, "{");
    await expect(WordTokenizer.load(path)).rejects.toThrow(FormatError);
    expect(() => WordTokenizer.fromJSON({})).toThrow(/what a tokenizer's toJSON\(\) gives/);
    const json = t.toJSON();
    expect(() => WordTokenizer.fromJSON({ ...json, version: 9 })).toThrow(/version 1, got 9/);
    expect(() => WordTokenizer.fromJSON({ ...json, vocabulary: [1] })).toThrow(/`vocabulary`/);
    const chars = CharTokenizer.fromJSON(
      JSON.parse(JSON.stringify(new CharTokenizer().fit("abc"))),
    );
    expect([...chars.encode("cab")]).toEqual([4, 2, 3]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
