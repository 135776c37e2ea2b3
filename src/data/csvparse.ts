/**
 * The CSV grammar of RFC 4180, read piece by piece: quoted fields may hold delimiters, line ends and
 * doubled quotes. Knows nothing of columns and types.
 */
import { FormatError } from "../errors.js";

/** One record and the line it begins on, counted from 1. */
export interface CsvRecord {
  readonly fields: string[];
  readonly line: number;
}

/** What separates and quotes. */
export interface CsvGrammar {
  readonly delimiter: string;
  /** Empty for none. */
  readonly quote: string;
  /** Lines that begin with it are left out; empty for none. */
  readonly comment: string;
}

/** Turns pieces of text into records. Lines without any character are left out. */
export class CsvParser {
  readonly #where: string;
  readonly #grammar: CsvGrammar;
  /** Text that is not used up: the beginning of a record. */
  #rest = "";
  #line: number;

  /** `line` is the number of the line at which the text begins. */
  constructor(where: string, grammar: CsvGrammar, line = 1) {
    this.#where = where;
    this.#grammar = grammar;
    this.#line = line;
  }

  /** The records that `chunk` completes. */
  push(chunk: string): CsvRecord[] {
    return this.#parse(this.#rest + chunk, false);
  }

  /** The record that the end of the text completes, if there is one. */
  finish(): CsvRecord[] {
    return this.#parse(this.#rest, true);
  }

  #parse(text: string, last: boolean): CsvRecord[] {
    const records: CsvRecord[] = [];
    const { comment } = this.#grammar;
    let at = 0;
    while (at < text.length) {
      if (comment !== "" && text.startsWith(comment, at)) {
        const stop = lineEnd(text, at, last);
        if (stop === null) break;
        at = stop.next;
        this.#line++;
        continue;
      }
      const record = this.#record(text, at, last);
      if (record === null) break;
      // A line without anything holds no record (RFC 4180 has none; files do).
      if (record.fields.length > 1 || record.fields[0] !== "" || record.quoted) {
        records.push({ fields: record.fields, line: this.#line });
      }
      this.#line += record.lines;
      at = record.next;
    }
    this.#rest = text.slice(at);
    return records;
  }

  /** The record at `start`; null when the text ends before it does. */
  #record(
    text: string,
    start: number,
    last: boolean,
  ): { fields: string[]; next: number; lines: number; quoted: boolean } | null {
    const { delimiter, quote } = this.#grammar;
    const fields: string[] = [];
    let at = start;
    let lines = 1;
    let quoted = false;
    for (;;) {
      if (quote !== "" && text.startsWith(quote, at)) {
        quoted = true;
        let value = "";
        let from = at + quote.length;
        for (;;) {
          const close = text.indexOf(quote, from);
          if (close < 0) {
            if (!last) return null;
            throw new FormatError(
              `${this.#where}: line ${this.#line}: a quoted field is not closed before the end`,
            );
          }
          value += text.slice(from, close);
          from = close + quote.length;
          if (from >= text.length && !last) return null;
          if (!text.startsWith(quote, from)) break;
          value += quote;
          from += quote.length;
        }
        lines += count(value);
        fields.push(value);
        at = from;
        const c = text[at];
        if (at < text.length && !text.startsWith(delimiter, at) && c !== "\n" && c !== "\r") {
          throw new FormatError(
            `${this.#where}: line ${this.#line}: ${JSON.stringify(c)} after the closing quote of field ` +
              `${fields.length}; a quote within a quoted field is written twice`,
          );
        }
      } else {
        let stop = at;
        for (;;) {
          const c = text.charCodeAt(stop);
          // NaN at the end of the text.
          if (Number.isNaN(c)) {
            if (!last) return null;
            break;
          }
          if (c === 10 || c === 13) break;
          if (c === delimiter.charCodeAt(0) && text.startsWith(delimiter, stop)) break;
          stop++;
        }
        fields.push(text.slice(at, stop));
        at = stop;
      }
      if (at < text.length && text.startsWith(delimiter, at)) {
        at += delimiter.length;
        // The field after the last delimiter may be empty and is there all the same.
        if (at >= text.length && !last) return null;
        continue;
      }
      if (at >= text.length) return { fields, next: at, lines, quoted };
      const next = afterLineEnd(text, at, last);
      return next === null ? null : { fields, next, lines, quoted };
    }
  }
}

/** Where the line that goes on at `at` ends; null when the text ends before. */
export function lineEnd(text: string, at: number, last: boolean): { next: number } | null {
  for (let i = at; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c !== 10 && c !== 13) continue;
    const next = afterLineEnd(text, i, last);
    return next === null ? null : { next };
  }
  return last ? { next: text.length } : null;
}

/** The position after the \n, \r\n or \r at `at`; null when a \n may still follow. */
function afterLineEnd(text: string, at: number, last: boolean): number | null {
  if (text[at] === "\n") return at + 1;
  if (at + 1 >= text.length && !last) return null;
  return text[at + 1] === "\n" ? at + 2 : at + 1;
}

/** Line ends within a quoted field. */
function count(value: string): number {
  return value.match(/\r\n|\n|\r/g)?.length ?? 0;
}
