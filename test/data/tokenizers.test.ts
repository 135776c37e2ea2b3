/** Characters and words to numbers and back, and what is kept in files. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { padSequences } from "../../src/data/sequences.js";
import { textLines } from "../../src/data/text.js";
import { CharTokenizer, WordTokenizer } from "../../src/data/tokenizers.js";
import { ArgumentError, FormatError, ShapeError, StateError } from "../../src/errors.js";
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

describe("words of a text that are special tokens", () => {
  const plain = { filters: "", lowercase: false };

  test("padding is never one of them: it is an unknown word", () => {
    const t = new WordTokenizer(plain).fit("a b <pad> a");
    expect(t.vocabulary).toEqual(["<pad>", "<unk>", "a", "b"]);
    expect([...t.encode("b <pad> a")]).toEqual([3, 1, 2]);
    expect(t.decode(t.encode("b <pad> a"))).toBe("b <unk> a");
    expect(t.indexOf("<pad>")).toBe(0);
    const known = new WordTokenizer({ ...plain, unknownToken: null }).fit("a");
    expect(() => known.encode("a <pad>")).toThrow(
      'WordTokenizer: encode(): "<pad>" at position 1 stands for padding, and there is no `unknownToken`',
    );
    const characters = new CharTokenizer({ padToken: "_" }).fit("a_b");
    expect([...characters.encode("a_b")]).toEqual([2, 1, 3]);
    const free = new WordTokenizer({ ...plain, padToken: null }).fit("a <pad>");
    expect(free.decode(free.encode("<pad> a"))).toBe("<pad> a");
  });

  test("unknown words, starts and ends that are marked as such stay what they are", () => {
    const t = new WordTokenizer({ ...plain, endToken: "<eos>" }).fit("the <unk> said <eos> <unk>");
    expect(t.vocabulary).toEqual(["<pad>", "<unk>", "<eos>", "the", "said"]);
    expect([...t.encode("the <unk> <eos> said")]).toEqual([3, 1, 2, 4, 2]);
    expect(t.decode(t.encode("the <unk> said"))).toBe("the <unk> said");
  });
});

describe("several texts", () => {
  const t = new WordTokenizer({ startToken: "<s>" }).fit("a b c");

  test("are decoded from arrays, and from the rows of a tensor", () => {
    const texts = ["a b", "", "c b a"];
    expect(t.decodeAll(t.encodeAll(texts))).toEqual(texts);
    expect(t.decodeAll([[3], tensor([4, 5])])).toEqual(["a", "b c"]);
    const rows = padSequences(t.encodeAll(texts), { padding: "post" });
    expect(t.decodeAll(rows)).toEqual(texts);
    expect(t.decodeAll(rows, { keepSpecial: true })[0]).toBe("<s> a b <pad>");
    expect(t.decodeAll([])).toEqual([]);
  });

  test("are told from one", () => {
    expect(() => t.encodeAll("a b" as never)).toThrow(
      new ArgumentError(
        'WordTokenizer: encodeAll(): expected an array of texts, got "a b"; encode() takes one text',
      ),
    );
    expect(() => t.encodeAll(["a", 5 as never])).toThrow(
      "WordTokenizer: encodeAll(): text 1: expected a text, got 5",
    );
    expect(() => t.decode(tensor([[3, 4]]))).toThrow(
      new ShapeError(
        "WordTokenizer: decode(): expected numbers of one text, [steps], got [1, 2]; decodeAll() takes several",
      ),
    );
    expect(() => t.decodeAll(Int32Array.of(3) as never)).toThrow(
      "WordTokenizer: decodeAll(): expected an array with the numbers of each text, or a tensor " +
        "[texts, steps], got Int32Array(1); decode() takes one text",
    );
    expect(() => t.decodeAll(tensor([3]))).toThrow(
      "WordTokenizer: decodeAll(): expected a tensor [texts, steps], got [1]",
    );
    expect(() => t.decodeAll([[3], 4] as never)).toThrow(
      "WordTokenizer: decodeAll(): text 1: expected an array or a tensor of numbers, got 4",
    );
    expect(() => t.decodeAll([[3], [9]])).toThrow(
      "WordTokenizer: decodeAll(): text 1: 9 at position 0 is no token; there are 6, from 0",
    );
  });
});

test("what is no text, and no number of a token", async () => {
  const t = new WordTokenizer().fit("a b");
  const message = (f: () => unknown) => {
    try {
      return f();
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  const lines = textLines({ text: "a" });
  expect([
    message(() => t.fit(undefined as never)),
    message(() => t.fit(3 as never)),
    message(() => t.fit(lines as never)),
    message(() => t.setVocabulary([1, 2] as never)),
    message(() => t.setVocabulary("ab" as never)),
    message(() => t.decode(undefined as never)),
    message(() => t.decode(2 as never)),
    message(() => t.decode("a" as never)),
    message(() => t.decode([[2], [3]] as never)),
    message(() => t.decode(["2"] as never)),
    message(() => t.decode([2], { keepSpecial: "no" as never })),
    message(() => new WordTokenizer({ lowercase: "no" as never })),
  ]).toMatchInlineSnapshot(`
    [
      "ArgumentError: WordTokenizer: fit(): expected a text or an iterable of texts, got undefined",
      "ArgumentError: WordTokenizer: fit(): expected a text or an iterable of texts, got 3",
      "ArgumentError: WordTokenizer: fit(): expected a text or an iterable of texts, got an instance of Dataset; fitAsync() takes texts that come over time",
      "ArgumentError: WordTokenizer: setVocabulary(): expected an array of texts, got [1, 2]",
      "ArgumentError: WordTokenizer: setVocabulary(): expected an array of texts, got "ab"",
      "ArgumentError: WordTokenizer: decode(): expected an array or a tensor of numbers, got undefined",
      "ArgumentError: WordTokenizer: decode(): expected an array or a tensor of numbers, got 2",
      "ArgumentError: WordTokenizer: decode(): expected an array or a tensor of numbers, got "a"",
      "ArgumentError: WordTokenizer: decode(): [2] at position 0 is no token; there are 4, from 0",
      "ArgumentError: WordTokenizer: decode(): "2" at position 0 is no token; there are 4, from 0",
      "ArgumentError: WordTokenizer: decode(): expected \`keepSpecial\` to be true or false, got "no"",
      "ArgumentError: WordTokenizer: expected \`lowercase\` to be true or false, got "no"",
    ]
  `);
  await expect(t.fitAsync("ab" as never)).rejects.toThrow(
    'WordTokenizer: fitAsync(): expected an async iterable of texts, got "ab"',
  );
  await expect(t.fitAsync(textLines({ text: "\n" }))).rejects.toThrow(
    "WordTokenizer: fitAsync(): the texts have no tokens",
  );
  // None of it changed the vocabulary.
  expect(t.vocabulary).toEqual(["<pad>", "<unk>", "a", "b"]);
});

test.each([
  ["numWords", "maxTokens"],
  ["lower", "lowercase"],
  ["oovToken", "unknownToken"],
])("Keras' `%s` is `%s`", (keras, ours) => {
  expect(() => new WordTokenizer({ [keras]: 5 } as never)).toThrow(
    `WordTokenizer: unknown option \`${keras}\`; did you mean \`${ours}\`?`,
  );
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
  expect(() => t.setVocabulary(new Array(2))).toThrow("expected an array of texts");
  expect(() => new WordTokenizer({ padToken: "x", unknownToken: "x" })).toThrow(/must differ/);
  expect(() => new WordTokenizer({ maxTokens: 2 })).toThrow(/no room/);
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
