/** Tables from CSV files: columns by name, with types, missing values and labels. */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  expected,
  FormatError,
  nearest,
  show,
} from "../errors.js";
import { type CsvGrammar, CsvParser, type CsvRecord, lineEnd } from "./csvparse.js";
import type { Dataset } from "./dataset.js";
import { blocks, sourceName, type TextSource, textChunks } from "./text.js";

const columnTypes = ["number", "integer", "boolean", "string", "category"] as const;

/** What a column holds. */
export type CsvColumnType = (typeof columnTypes)[number];

/** One column. */
export interface CsvColumn {
  /**
   * `number`; `integer`; `boolean` (true/false, yes/no, 1/0, in any case); `string`; `category`, the
   * position of the value in `categories`. Left out, the first records tell numbers from strings.
   */
  readonly type?: CsvColumnType | undefined;
  /** The values of a `category`. */
  readonly categories?: readonly string[] | undefined;
  /** What a missing value is taken for: a value of the type; of a `category` its text or position. */
  readonly default?: number | string | boolean | undefined;
}

/** A row by the names of its columns. */
export type CsvRow = Record<string, number | string | boolean>;

/** Options of {@link csv}. */
export interface CsvOptions {
  /**
   * True (the default): the first record has the columns' names. False: they are called `0`, `1` …; or
   * the names.
   */
  readonly header?: boolean | readonly string[] | undefined;
  /** The columns that are wanted, by name, with what is known of them; all by default. */
  readonly columns?: readonly string[] | Readonly<Record<string, CsvColumn | CsvColumnType>>;
  /** Whether columns that `columns` does not name are left out; false by default. */
  readonly onlyColumns?: boolean | undefined;
  readonly delimiter?: string | undefined;
  /** The quote of RFC 4180; null for a file without quoting. */
  readonly quote?: string | null | undefined;
  /** Lines that begin with this are left out; nothing by default. */
  readonly comment?: string | undefined;
  /** Lines to leave out at the beginning. */
  readonly skipLines?: number | undefined;
  /** Texts that stand for a missing value: an empty field, `NA`, `NaN` and `null` by default. */
  readonly missing?: readonly string[] | undefined;
  /**
   * What becomes of a missing value whose column has no `default`: an error (the default), NaN, or the
   * row is left out. Text in a column of strings is never missing, unless rows are to be left out.
   */
  readonly onMissing?: "error" | "nan" | "skip" | undefined;
  /** Records that are looked at to tell the types of columns; 100 by default. */
  readonly inferFrom?: number | undefined;
}

/** Options of {@link csv} with a label: elements are `[features, label]`. */
export interface LabelledCsvOptions extends CsvOptions {
  /** The column, or columns, to predict. */
  readonly label: string | readonly string[];
}

interface Column {
  readonly name: string;
  readonly index: number;
  readonly type: CsvColumnType;
  readonly categories: ReadonlyMap<string, number> | undefined;
  readonly default: number | string | boolean | undefined;
}

interface Checked {
  readonly header: boolean | readonly string[];
  readonly columns: ReadonlyMap<string, CsvColumn>;
  readonly only: boolean;
  readonly grammar: CsvGrammar;
  readonly skipLines: number;
  readonly missing: ReadonlySet<string>;
  readonly onMissing: "error" | "nan" | "skip";
  readonly inferFrom: number;
  readonly labels: readonly string[];
}

const optionNames = [
  "header",
  "columns",
  "onlyColumns",
  "delimiter",
  "quote",
  "comment",
  "skipLines",
  "missing",
  "onMissing",
  "inferFrom",
  "label",
];

/**
 * The rows of a CSV file (RFC 4180: quoted fields, doubled quotes, any line end), gzipped or not, read
 * as they are needed. A row is a record by column names; with `label`, `[features, label]`: the other
 * columns as a `Float32Array` in the file's order, and the label's number (a `Float32Array` of several
 * labels). Text has to be a category then.
 *
 * @throws in a pass, FormatError with line and column for what is no number, for missing values and
 * rows of another length.
 * @example
 * const irises = lw.data.csv("iris.csv", {
 *   header: ["sepal", "sepalWidth", "petal", "petalWidth", "species"],
 *   columns: { species: { type: "category", categories: ["setosa", "versicolor", "virginica"] } },
 *   label: "species",
 * });
 */
export function csv(
  source: TextSource,
  options: LabelledCsvOptions & { readonly label: string },
): Dataset<[features: Float32Array, label: number]>;
export function csv(
  source: TextSource,
  options: LabelledCsvOptions,
): Dataset<[features: Float32Array, label: Float32Array]>;
export function csv(source: TextSource, options?: CsvOptions): Dataset<CsvRow>;
export function csv(
  source: TextSource,
  options: CsvOptions & { readonly label?: string | readonly string[] } = {},
): Dataset<never> {
  const where = sourceName("csv()", source);
  const checked = checkOptions(where, options);
  const single = typeof options.label === "string";
  return blocks(where, () => rowBlocks(where, source, checked, single)) as Dataset<never>;
}

function checkOptions(
  where: string,
  options: CsvOptions & { readonly label?: string | readonly string[] },
): Checked {
  checkKeys(where, options, optionNames, { separator: "delimiter", hasHeader: "header" });
  const { header = true, delimiter = ",", quote = '"', comment = "", skipLines = 0 } = options;
  const { missing = ["", "NA", "NaN", "null"], onMissing = "error", inferFrom = 100 } = options;
  checkInteger(where, "skipLines", skipLines, 0);
  checkInteger(where, "inferFrom", inferFrom, 1);
  checkChoice(where, "onMissing", onMissing, ["error", "nan", "skip"]);
  for (const [name, text] of Object.entries({ delimiter, comment })) {
    if (typeof text !== "string" || /[\r\n]/.test(text) || (name === "delimiter" && text === "")) {
      throw new ArgumentError(
        expected(where, `\`${name}\` to be a text within a line`, show(text)),
      );
    }
  }
  if (quote !== null && (typeof quote !== "string" || quote.length !== 1 || quote === delimiter)) {
    throw new ArgumentError(
      expected(where, "`quote` to be one character other than the delimiter, or null", show(quote)),
    );
  }
  if (!Array.isArray(missing)) {
    throw new ArgumentError(expected(where, "`missing` to be an array of texts", show(missing)));
  }
  const given = options.columns ?? {};
  const entries: [string, CsvColumn | CsvColumnType][] = Array.isArray(given)
    ? given.map((name: string) => [name, {}])
    : Object.entries(given);
  const columns = new Map(
    entries.map(([name, column]) => [name, checkColumn(where, name, column)] as const),
  );
  return {
    header,
    columns,
    only: options.onlyColumns ?? Array.isArray(given),
    grammar: { delimiter, quote: quote ?? "", comment },
    skipLines,
    missing: new Set(missing),
    onMissing,
    inferFrom,
    labels: options.label === undefined ? [] : [options.label].flat(),
  };
}

function checkColumn(where: string, name: string, given: CsvColumn | CsvColumnType): CsvColumn {
  const column = typeof given === "string" ? { type: given } : given;
  const at = `${where}: column ${show(name)}`;
  if (typeof column !== "object" || column === null) {
    throw new ArgumentError(expected(at, "a type or an object with options", show(given)));
  }
  checkKeys(at, column, ["type", "categories", "default"]);
  const type = column.type ?? (column.categories ? "category" : undefined);
  if (type !== undefined) checkChoice(at, "type", type, columnTypes);
  if (type === "category" && !Array.isArray(column.categories)) {
    throw new ArgumentError(
      `${at}: a category column needs its \`categories\`, the values in order`,
    );
  }
  if (type === undefined) return column;
  return { ...column, type, default: defaultOf(at, type, column) };
}

/** What a `default` has to be, by the type of its column. */
const defaults: Readonly<
  Record<CsvColumnType, { wanted: string; fits: (value: unknown, categories: number) => boolean }>
> = {
  number: { wanted: "a number", fits: (value) => typeof value === "number" },
  integer: { wanted: "an integer", fits: (value) => Number.isInteger(value) },
  boolean: { wanted: "true or false", fits: (value) => typeof value === "boolean" },
  string: { wanted: "a text", fits: (value) => typeof value === "string" },
  category: {
    wanted: "one of its categories or the position of one",
    fits: (value, categories) =>
      Number.isInteger(value) && Number(value) >= 0 && Number(value) < categories,
  },
};

/** What stands for a missing value, checked; a category's text becomes its position, as in the rows. */
function defaultOf(
  at: string,
  type: CsvColumnType,
  { categories = [], default: given }: CsvColumn,
): number | string | boolean | undefined {
  if (given === undefined) return undefined;
  const value =
    type === "category" && typeof given === "string" ? categories.indexOf(given) : given;
  const { wanted, fits } = defaults[type];
  if (fits(value, categories.length)) return value;
  throw new ArgumentError(
    expected(at, `\`default\` to be ${wanted}, as the type is ${show(type)}`, show(given)),
  );
}

/** Rows in blocks, as the pieces of the file complete them. */
async function* rowBlocks(
  where: string,
  source: TextSource,
  options: Checked,
  single: boolean,
): AsyncGenerator<readonly unknown[], void, undefined> {
  const parser = new CsvParser(where, options.grammar, 1 + options.skipLines);
  let skip = options.skipLines;
  let names: readonly string[] | undefined;
  let reader: RowReader | undefined;
  /** Records that were looked at to tell types, not yet given out. */
  let waiting: CsvRecord[] = [];
  const take = (records: CsvRecord[], last: boolean): readonly unknown[] => {
    let list = records;
    if (names === undefined && list.length > 0) {
      if (options.header === true) {
        names = headerOf(where, list[0]!);
        list = list.slice(1);
      } else {
        names =
          options.header === false ? list[0]!.fields.map((_, i) => String(i)) : options.header;
      }
    }
    if (!reader) {
      for (const record of list) waiting.push(record);
      if (names === undefined || (waiting.length < options.inferFrom && !last)) return [];
      // Not more, or types would depend on the size of the pieces that are read.
      const sample = waiting.slice(0, options.inferFrom);
      reader = new RowReader(where, names, options, sample, single);
      list = waiting;
      waiting = [];
    }
    return reader.rows(list);
  };
  /** A \r at the end of a piece that is left out: a \n may follow. */
  let open = "";
  for await (let chunk of textChunks(where, source)) {
    if (skip > 0) {
      // Lines are counted as they stand: what is left out need not be CSV.
      chunk = open + chunk;
      let at = 0;
      for (; skip > 0; skip--) {
        const stop = lineEnd(chunk, at, false);
        if (stop === null) break;
        at = stop.next;
      }
      open = chunk.endsWith("\r") ? "\r" : "";
      if (skip > 0) continue;
      chunk = chunk.slice(at);
    }
    const rows = take(parser.push(chunk), false);
    if (rows.length > 0) yield rows;
  }
  const rows = take(parser.finish(), true);
  if (rows.length > 0) yield rows;
}

function headerOf(where: string, { fields }: CsvRecord): string[] {
  const names = fields.map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new FormatError(
      `${where}: two columns are named ${show(twice)}; give their names as \`header\`, with skipLines: 1`,
    );
  }
  return names;
}

/** Makes rows of records. */
class RowReader {
  readonly #where: string;
  readonly #options: Checked;
  readonly #names: readonly string[];
  readonly #features: readonly Column[];
  readonly #labels: readonly Column[];
  readonly #single: boolean;

  constructor(
    where: string,
    names: readonly string[],
    options: Checked,
    sample: readonly CsvRecord[],
    single: boolean,
  ) {
    this.#where = where;
    this.#options = options;
    this.#names = names;
    this.#single = single;
    const { columns, labels, only } = options;
    for (const name of [...columns.keys(), ...labels]) {
      if (names.includes(name)) continue;
      const near = nearest(name, names);
      throw new ArgumentError(
        `${where}: there is no column ${show(name)}; ${near ? `did you mean ${show(near)}?` : `the columns are ${names.join(", ")}`}`,
      );
    }
    const all = names.flatMap((name, index): Column[] => {
      const column = columns.get(name);
      if (!column && only && !labels.includes(name)) return [];
      const type = column?.type ?? this.#inferred(sample, index);
      const { categories } = column ?? {};
      return [
        {
          name,
          index,
          type,
          categories: categories && new Map(categories.map((value, i) => [value, i])),
          default: column && defaultOf(`${where}: column ${show(name)}`, type, column),
        },
      ];
    });
    this.#features = all.filter(({ name }) => !labels.includes(name));
    this.#labels = labels.map((label) => all.find(({ name }) => name === label)!);
    if (labels.length === 0) return;
    const text = all.find(({ type }) => type === "string");
    if (text) {
      throw new FormatError(
        `${where}: column ${show(text.name)} holds text, but with \`label\` all columns are numbers: make it ` +
          "a category (columns), or leave it out (onlyColumns)",
      );
    }
  }

  #inferred(sample: readonly CsvRecord[], index: number): CsvColumnType {
    const { missing } = this.#options;
    const values = sample.map(({ fields }) => fields[index]?.trim() ?? "");
    const known = values.filter((value) => !missing.has(value));
    return known.every((value) => value !== "" && !Number.isNaN(Number(value)))
      ? "number"
      : "string";
  }

  rows(records: readonly CsvRecord[]): unknown[] {
    const rows: unknown[] = [];
    for (const record of records) {
      const row = this.#row(record);
      if (row !== null) rows.push(row);
    }
    return rows;
  }

  #row(record: CsvRecord): unknown {
    const { fields, line } = record;
    if (fields.length !== this.#names.length) {
      throw new FormatError(
        `${this.#where}: line ${line} has ${fields.length} fields, but there are ${this.#names.length} columns`,
      );
    }
    const values: (number | string | boolean)[] = [];
    for (const column of this.#features) {
      const value = this.#value(column, record);
      if (value === null) return null;
      values.push(value);
    }
    if (this.#labels.length === 0) {
      return Object.fromEntries(this.#features.map(({ name }, i) => [name, values[i]!]));
    }
    const labels: (number | string | boolean)[] = [];
    for (const column of this.#labels) {
      const value = this.#value(column, record);
      if (value === null) return null;
      labels.push(value);
    }
    const features = Float32Array.from(values, Number);
    return [features, this.#single ? Number(labels[0]) : Float32Array.from(labels, Number)];
  }

  /** The value of a column; null where the row is to be left out. */
  #value(column: Column, { fields, line }: CsvRecord): number | string | boolean | null {
    const raw = fields[column.index]!;
    const text = column.type === "string" ? raw : raw.trim();
    if (column.type === "category") {
      // Before what is missing: there NA may be a continent.
      const index = column.categories!.get(text);
      if (index !== undefined) return index;
    }
    if (this.#options.missing.has(text)) {
      if (column.default !== undefined) return column.default;
      const { onMissing } = this.#options;
      if (onMissing === "skip") return null;
      // There are people named Null.
      if (column.type === "string") return text;
      if (onMissing === "nan") return Number.NaN;
      throw new FormatError(
        `${this.#at(line, column)} is missing (${show(text)}); give the column a \`default\`, or say ` +
          'onMissing: "skip" or "nan"',
      );
    }
    switch (column.type) {
      case "string":
        return text;
      case "boolean":
        if (/^(true|yes|1|t|y)$/i.test(text)) return true;
        if (/^(false|no|0|f|n)$/i.test(text)) return false;
        throw new FormatError(expected(this.#at(line, column), "true or false", show(text)));
      case "category":
        throw new FormatError(
          expected(
            this.#at(line, column),
            `one of ${[...column.categories!.keys()].map(show).join(", ")}`,
            show(text),
          ),
        );
      default: {
        const value = text === "" ? Number.NaN : Number(text);
        if (!Number.isNaN(value) && (column.type === "number" || Number.isInteger(value))) {
          return value;
        }
        throw new FormatError(
          expected(
            this.#at(line, column),
            column.type === "integer" ? "an integer" : "a number",
            show(text),
            `columns: { ${JSON.stringify(column.name)}: "string" } takes it as it is`,
          ),
        );
      }
    }
  }

  #at(line: number, { name }: Column): string {
    return `${this.#where}: line ${line}, column ${show(name)}`;
  }
}
