/** CSV as RFC 4180 has it and as files are, cut at every possible place; lines of text. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CsvOptions, csv } from "../../src/data/csv.js";
import { CsvParser } from "../../src/data/csvparse.js";
import { textLines } from "../../src/data/text.js";
import { ArgumentError, FormatError, LayerwiseError } from "../../src/errors.js";
import { missing, testData } from "../helpers/data.js";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "layerwise-csv-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const grammar = { delimiter: ",", quote: '"', comment: "" };

/** Records of a text given in pieces that end at `cuts`. */
function records(text: string, cuts: readonly number[], g = grammar) {
  const parser = new CsvParser("csv", g);
  const found = [];
  let from = 0;
  for (const cut of [...cuts, text.length]) {
    found.push(...parser.push(text.slice(from, cut)));
    from = cut;
  }
  found.push(...parser.finish());
  return found.map(({ fields, line }) => [line, ...fields]);
}

async function message(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(LayerwiseError);
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "no error";
}

describe("the grammar", () => {
  const text =
    'a,b,c\r\n1,"two, ""too""",3\n"x\r\ny","",\r"",,"q"\n\n"last","line\n\nend",z\r\n"",\n""';
  const want = [
    [1, "a", "b", "c"],
    [2, "1", 'two, "too"', "3"],
    [3, "x\r\ny", "", ""],
    [5, "", "", "q"],
    [7, "last", "line\n\nend", "z"],
    [10, "", ""],
    [11, ""],
  ];

  test("quotes, doubled quotes, line ends within and between, empty fields and lines", () => {
    expect(records(text, [])).toEqual(want);
  });

  test("is the same wherever the text is cut", () => {
    for (let cut = 0; cut <= text.length; cut++) {
      expect(records(text, [cut])).toEqual(want);
    }
    expect(
      records(
        text,
        [...text].map((_, i) => i),
      ),
    ).toEqual(want);
  });

  test("other delimiters, quotes and comments", () => {
    const tabs = { delimiter: "\t", quote: "'", comment: "#" };
    const t = "# a comment\n'it''s'\tx\n#another\r\n1\t#2\n#last";
    for (let cut = 0; cut <= t.length; cut++) {
      expect(records(t, [cut], tabs)).toEqual([
        [2, "it's", "x"],
        [4, "1", "#2"],
      ]);
    }
    expect(records('a"b::c"\n', [], { delimiter: "::", quote: "", comment: "" })).toEqual([
      [1, 'a"b', 'c"'],
    ]);
    // A quote within a field that does not begin with one is only a character.
    expect(records('5" disk,x\n', [])).toEqual([[1, '5" disk', "x"]]);
  });

  test("what is no CSV is an error with its line", () => {
    expect(() => records('a,b\n"open,1\n2', [])).toThrow(
      "csv: line 2: a quoted field is not closed before the end",
    );
    expect(() => records('a\n"x"y,1', [])).toThrow(
      /line 2: "y" after the closing quote of field 1/,
    );
  });
});

describe("tables", () => {
  const rows = (text: string, options: CsvOptions = {}) => csv({ text }, options).toArray();

  test("rows by column names, types told by the first records", async () => {
    expect(await rows("a, b ,c\n1,x,1e3\n-2.5,y,.5\n")).toEqual([
      { a: 1, b: "x", c: 1000 },
      { a: -2.5, b: "y", c: 0.5 },
    ]);
    expect(await rows("1,2\n3,4", { header: false })).toEqual([
      { 0: 1, 1: 2 },
      { 0: 3, 1: 4 },
    ]);
    expect(await rows("1,2\n3,4", { header: ["x", "y"] })).toHaveLength(2);
    expect(await rows("x,y\n1,2\n", { header: ["p", "q"], skipLines: 1 })).toEqual([
      { p: 1, q: 2 },
    ]);
    expect(await rows("")).toEqual([]);
    expect(await rows("a,b\n")).toEqual([]);
    expect(await rows("\ufeffa,b\n1,2")).toEqual([{ a: 1, b: 2 }]);
    expect(await rows('\ufeff"a",b\n1,2')).toEqual([{ a: 1, b: 2 }]);
  });

  test("types, categories, defaults and a choice of columns", async () => {
    const text = "n,flag,kind,text,id\n1,yes,b,007,4\nNA,False,a,,5\n";
    expect(
      await rows(text, {
        columns: {
          n: { type: "number", default: -1 },
          flag: "boolean",
          kind: { categories: ["a", "b"] },
          text: "string",
          id: "integer",
        },
      }),
    ).toEqual([
      { n: 1, flag: true, kind: 1, text: "007", id: 4 },
      { n: -1, flag: false, kind: 0, text: "", id: 5 },
    ]);
    expect(await rows(text, { columns: ["id", "flag"] })).toEqual([
      { flag: "yes", id: 4 },
      { flag: "False", id: 5 },
    ]);
    expect(await rows(text, { columns: { id: "string" }, onlyColumns: true })).toEqual([
      { id: "4" },
      { id: "5" },
    ]);
  });

  test("defaults are values of their column", async () => {
    const text = "n,kind\n,\n1,b\n";
    const kind = { categories: ["a", "b"] };
    expect(
      await rows(text, { columns: { n: { default: 0 }, kind: { ...kind, default: "b" } } }),
    ).toEqual([
      { n: 0, kind: 1 },
      { n: 1, kind: 1 },
    ]);
    expect(
      await rows(text, { columns: { n: { default: Number.NaN }, kind: { ...kind, default: 0 } } }),
    ).toEqual([
      { n: Number.NaN, kind: 0 },
      { n: 1, kind: 1 },
    ]);
    expect([
      await message(() => csv({ text }, { columns: { kind: { ...kind, default: "c" } } })),
      await message(() => csv({ text }, { columns: { kind: { ...kind, default: 2 } } })),
      await message(() => csv({ text }, { columns: { n: { type: "number", default: "x" } } })),
      await message(() => csv({ text }, { columns: { n: { type: "integer", default: 0.5 } } })),
      await message(() => csv({ text }, { columns: { n: { type: "boolean", default: 1 } } })),
      await message(() => csv({ text }, { columns: { n: { type: "string", default: 1 } } })),
      await message(() => rows(text, { columns: { n: { default: "x" } } })),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: csv(): column "kind": expected \`default\` to be one of its categories or the position of one, as the type is "category", got "c"",
        "ArgumentError: csv(): column "kind": expected \`default\` to be one of its categories or the position of one, as the type is "category", got 2",
        "ArgumentError: csv(): column "n": expected \`default\` to be a number, as the type is "number", got "x"",
        "ArgumentError: csv(): column "n": expected \`default\` to be an integer, as the type is "integer", got 0.5",
        "ArgumentError: csv(): column "n": expected \`default\` to be true or false, as the type is "boolean", got 1",
        "ArgumentError: csv(): column "n": expected \`default\` to be a text, as the type is "string", got 1",
        "ArgumentError: csv(): column "n": expected \`default\` to be a number, as the type is "number", got "x"",
      ]
    `);
  });

  test("a category may be a word for missing", async () => {
    const columns = { k: { categories: ["NA", "EU"] } };
    const text = "k,v\nNA,1\nEU,2\n";
    const want = [
      { k: 0, v: 1 },
      { k: 1, v: 2 },
    ];
    expect(await rows(text, { columns })).toEqual(want);
    expect(await rows(text, { columns, onMissing: "skip" })).toEqual(want);
  });

  test("lines that are left out end in any way and count", async () => {
    for (const lineEnd of ["\n", "\r\n", "\r"]) {
      const text = ["by hand", 'not "csv', "a,b", "1,2", "3"].join(lineEnd);
      expect(await rows(text.slice(0, -2), { skipLines: 2 })).toEqual([{ a: 1, b: 2 }]);
      expect(await message(() => rows(text, { skipLines: 2 }))).toBe(
        "FormatError: csv(): line 5 has 1 fields, but there are 2 columns",
      );
      // A piece that is read ends within the line end.
      const path = join(directory, "seam.csv");
      await writeFile(path, `${"x".repeat((1 << 18) - 1)}${lineEnd}a\n1\n`);
      expect(await csv(path, { skipLines: 1 }).toArray()).toEqual([{ a: 1 }]);
    }
    expect(await rows("a\n1\n", { skipLines: 5 })).toEqual([]);
  });

  test("any number of rows in one piece", async () => {
    const text = `a\n${"1\n".repeat(300_000)}`;
    expect(await rows(text)).toHaveLength(300_000);
  });

  test("missing values: an error, NaN, or no row", async () => {
    const text = "a,b\n1,2\n,3\n4,?\n";
    const common = { missing: ["", "?"] };
    expect(await message(() => rows(text, common))).toBe(
      'FormatError: csv(): line 3, column "a" is missing (""); give the column a `default`, or say onMissing: "skip" or "nan"',
    );
    expect(await rows(text, { ...common, onMissing: "nan" })).toEqual([
      { a: 1, b: 2 },
      { a: Number.NaN, b: 3 },
      { a: 4, b: Number.NaN },
    ]);
    expect(await rows(text, { ...common, onMissing: "skip" })).toEqual([{ a: 1, b: 2 }]);
  });

  test("labels apart from features", async () => {
    const text = "a,b,y\n1,2,no\n3,4,yes\n";
    const columns = { y: { categories: ["no", "yes"] } };
    expect(await csv({ text }, { columns, label: "y" }).toArray()).toEqual([
      [Float32Array.of(1, 2), 0],
      [Float32Array.of(3, 4), 1],
    ]);
    await expect(csv({ text }, { label: "y" }).toArray()).rejects.toThrow(
      'column "y" holds text, but with `label` all columns are numbers',
    );
    expect(await csv({ text }, { columns, label: ["y", "a"] }).toArray()).toEqual([
      [Float32Array.of(2), Float32Array.of(0, 1)],
      [Float32Array.of(4), Float32Array.of(1, 3)],
    ]);
  });

  test("what is wrong says where", async () => {
    expect([
      await message(() => rows("a,b\n1,2\n3\n")),
      await message(() => rows("a,b\n1,2\nx,3\n", { inferFrom: 1 })),
      await message(() => rows("a\n1.5\n", { columns: { a: "integer" } })),
      await message(() => rows("a\nmaybe\n", { columns: { a: "boolean" } })),
      await message(() => rows("a\nc\n", { columns: { a: { categories: ["x", "y"] } } })),
      await message(() => rows("a,a\n1,2\n")),
      await message(() => rows("length\n1\n", { columns: ["lenght"] })),
      await message(() => csv({ text: "a,b\nx,1\n" }, { label: "b" }).toArray()),
      await message(() => rows("a", { delimiter: "" })),
      await message(() => rows("a", { quote: "," })),
      await message(() => rows("a", { separator: ";" } as never)),
      await message(() => rows("a", { columns: { a: "date" } as never })),
      await message(() => rows("a", { columns: { a: "category" } })),
      await message(() => csv(5 as never)),
    ]).toMatchInlineSnapshot(`
      [
        "FormatError: csv(): line 3 has 1 fields, but there are 2 columns",
        "FormatError: csv(): line 3, column "a": expected a number, got "x"; columns: { "a": "string" } takes it as it is",
        "FormatError: csv(): line 2, column "a": expected an integer, got "1.5"; columns: { "a": "string" } takes it as it is",
        "FormatError: csv(): line 2, column "a": expected true or false, got "maybe"",
        "FormatError: csv(): line 2, column "a": expected one of "x", "y", got "c"",
        "FormatError: csv(): two columns are named "a"; give their names as \`header\`, with skipLines: 1",
        "ArgumentError: csv(): there is no column "lenght"; did you mean "length"?",
        "FormatError: csv(): column "a" holds text, but with \`label\` all columns are numbers: make it a category (columns), or leave it out (onlyColumns)",
        "ArgumentError: csv(): expected \`delimiter\` to be a text within a line, got """,
        "ArgumentError: csv(): expected \`quote\` to be one character other than the delimiter, or null, got ","",
        "ArgumentError: csv(): unknown option \`separator\`; did you mean \`delimiter\`?",
        "ArgumentError: csv(): column "a": expected \`type\` to be one of "number", "integer", "boolean", "string", "category", got "date"",
        "ArgumentError: csv(): column "a": a category column needs its \`categories\`, the values in order",
        "ArgumentError: csv(): expected a path, a file URL or { text }, got 5",
      ]
    `);
  });

  test("a file that is not there, or is none", async () => {
    const told = (source: string | URL, read: typeof csv | typeof textLines = csv) =>
      expect(read(source).toArray()).rejects;
    await told("none.csv").toThrow(new ArgumentError('csv() of "none.csv": there is no such file'));
    await told(pathToFileURL(join(tmpdir(), "none.csv"))).toThrow(
      /^csv\(\) of ".*none\.csv": there/,
    );
    await told(tmpdir()).toThrow(/^csv\(\) of ".*": it is a directory$/);
    await told("none.txt", textLines).toThrow('textLines() of "none.txt": there is no such file');
  });

  test("files: gzipped or not, by path or URL, larger than a piece that is read", async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => `${i},"text, ${i}",${i / 4}`);
    const text = `n,t,q\r\n${lines.join("\r\n")}\r\n`;
    const plain = join(directory, "table.csv");
    const zipped = join(directory, "table.csv.gz");
    await writeFile(plain, text);
    await writeFile(zipped, gzipSync(text));
    const sums: number[][] = [];
    for (const source of [plain, zipped, pathToFileURL(plain)]) {
      let count = 0;
      let sum = 0;
      for await (const row of csv(source)) {
        count++;
        sum += row.q as number;
        expect(row.t).toBe(`text, ${row.n}`);
      }
      sums.push([count, sum]);
    }
    expect(sums).toEqual(Array(3).fill([60_000, (60_000 * 59_999) / 8]));
    await writeFile(zipped, gzipSync(text).subarray(0, 5000));
    const damaged = csv(zipped).toArray();
    await expect(damaged).rejects.toThrow(FormatError);
    await expect(damaged).rejects.toThrow(/gzip stream is damaged or truncated/);
    await expect(csv(join(directory, "none.csv")).toArray()).rejects.toThrow(/no such file$/);
    await writeFile(plain, Buffer.of(0x61, 0x0a, 0xff, 0xfe, 0x0a));
    await expect(csv(plain).toArray()).rejects.toThrow(/not UTF-8/);
  });
});

describe("lines of text", () => {
  test("end in any way", async () => {
    const lines = (text: string) => textLines({ text }).toArray();
    expect(await lines("a\nb\r\nc\rd\n\ne")).toEqual(["a", "b", "c", "d", "", "e"]);
    expect(await lines("a\n")).toEqual(["a"]);
    expect(await lines("")).toEqual([]);
    expect(await lines("\ufeffa\n\ufeffb")).toEqual(["a", "\ufeffb"]);
    expect(await textLines({ text: "a\n \nb" }, { skipEmpty: true }).toArray()).toEqual(["a", "b"]);
  });

  test("files with characters of several bytes at the seams", async () => {
    const path = join(directory, "lines.txt");
    const want = Array.from({ length: 50_000 }, (_, i) => `Zeile ${i} – grün ✓`);
    await writeFile(path, want.join("\n"));
    expect(await textLines(path).toArray()).toEqual(want);
    await writeFile(path, gzipSync(want.join("\r\n")));
    expect(await textLines(path).toArray()).toEqual(want);
  });
});

const absent = missing("tabular") ?? missing("timeseries");
if (absent) console.info(`real tables are not tested: ${absent}`);

describe.skipIf(absent)(`real tables${absent ? ` (${absent})` : ""}`, () => {
  test("have the records and statistics that are published", async () => {
    const path = (name: string) => join(testData, name);
    const columns = { 4: { categories: ["Iris-setosa", "Iris-versicolor", "Iris-virginica"] } };
    const iris = await csv(path("tabular/iris.csv"), {
      header: false,
      columns,
      label: "4",
    }).toArray();
    expect(iris).toHaveLength(150);
    // Means of Fisher's paper, by column.
    const mean = (column: number) => iris.reduce((sum, [x]) => sum + x[column]!, 0) / iris.length;
    expect([0, 1, 2, 3].map((c) => Number(mean(c).toFixed(3)))).toEqual([
      5.843, 3.054, 3.759, 1.199,
    ]);
    expect(iris.filter(([, y]) => y === 2)).toHaveLength(50);
    const airline = await csv(path("timeseries/airline-passengers.csv")).toArray();
    expect(airline).toHaveLength(144);
    expect(airline[0]).toEqual({ Month: "1949-01", Passengers: 112 });
    const pollution = path("timeseries/pollution.csv.gz");
    const hours = await csv(pollution, { onMissing: "nan" }).toArray();
    expect(hours).toHaveLength(43_824);
    expect(hours.filter((row) => Number.isNaN(row["pm2.5"]))).toHaveLength(2067);
    expect(await csv(pollution, { onMissing: "skip" }).toArray()).toHaveLength(43_824 - 2067);
    const cancer = path("tabular/breast-cancer-wisconsin.csv");
    const kept = csv(cancer, { header: false, missing: ["?"], onMissing: "skip" });
    expect(await kept.toArray()).toHaveLength(699 - 16);
    await expect(csv(cancer, { header: false, missing: ["?"] }).toArray()).rejects.toThrow(
      /column "5" is missing \("\?"\)/,
    );
  });
});
