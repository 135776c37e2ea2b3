/**
 * A strict JSON reader for headers of binary files. Unlike `JSON.parse` it reports duplicate keys,
 * says at which byte something is wrong, bounds the nesting, and returns objects as Maps, so that
 * a key such as `__proto__` is only a key.
 */
import { FormatError } from "../errors.js";

export type JsonValue = null | boolean | number | string | JsonValue[] | Map<string, JsonValue>;

const deepest = 32;

/** Parses `text`; errors start with `where` and give the position in the text. */
export function parseJson(text: string, where: string): JsonValue {
  const reader = new JsonReader(text, where);
  const value = reader.value(0);
  reader.end();
  return value;
}

// What RFC 8259 allows inside a string, up to the closing quote or a backslash.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is excluded
const plain = /[^"\\\u0000-\u001f]*/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const space = /[ \t\n\r]*/y;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class JsonReader {
  #at = 0;

  constructor(
    private readonly text: string,
    private readonly where: string,
  ) {}

  value(depth: number): JsonValue {
    if (depth > deepest) this.#fail(`nested deeper than ${deepest} levels`);
    this.#match(space);
    switch (this.text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
    }
    const digits = this.#match(number);
    if (digits === "") this.#fail("expected a value");
    return Number(digits);
  }

  end(): void {
    this.#match(space);
    if (this.#at < this.text.length) this.#fail("expected the end");
  }

  #object(depth: number): Map<string, JsonValue> {
    const result = new Map<string, JsonValue>();
    this.#at++;
    this.#match(space);
    if (this.#take("}")) return result;
    do {
      this.#match(space);
      if (this.text[this.#at] !== '"') this.#fail("expected a key");
      const start = this.#at;
      const key = this.#string();
      if (result.has(key)) {
        this.#at = start;
        this.#fail(`duplicate key ${JSON.stringify(key)}`);
      }
      this.#match(space);
      if (!this.#take(":")) this.#fail('expected ":"');
      result.set(key, this.value(depth + 1));
      this.#match(space);
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail('expected "," or "}"');
    return result;
  }

  #array(depth: number): JsonValue[] {
    const result: JsonValue[] = [];
    this.#at++;
    this.#match(space);
    if (this.#take("]")) return result;
    do {
      result.push(this.value(depth + 1));
      this.#match(space);
    } while (this.#take(","));
    if (!this.#take("]")) this.#fail('expected "," or "]"');
    return result;
  }

  #string(): string {
    this.#at++;
    let result = "";
    for (;;) {
      result += this.#match(plain);
      if (this.#take('"')) return result;
      if (!this.#take("\\")) this.#fail("unterminated string or a bare control character in it");
      const letter = this.text[this.#at++] ?? "";
      if (letter === "u") {
        const hex = this.text.slice(this.#at, this.#at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.#fail("expected four hex digits after \\u");
        result += String.fromCharCode(Number.parseInt(hex, 16));
        this.#at += 4;
      } else {
        const character = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
        if (character === undefined) this.#fail("unknown escape in a string");
        result += character;
      }
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.#at)) this.#fail("expected a value");
    this.#at += word.length;
    return value;
  }

  #take(character: string): boolean {
    if (this.text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #fail(what: string): never {
    const near = this.text.slice(this.#at, this.#at + 20);
    throw new FormatError(
      `${this.where}: ${what} at character ${this.#at}${
        near ? `, near ${JSON.stringify(near)}` : ", where the text ends"
      }`,
    );
  }
}
