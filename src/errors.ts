/**
 * The family of errors layerwise throws, and the one wording they share:
 * "where: expected …, got …; hint". Everything a user can do wrong ends in one of these.
 */

/** Base class of every error thrown on purpose by layerwise. */
export class LayerwiseError extends Error {
  override name = "LayerwiseError";
}

/** A tensor's shape does not fit. */
export class ShapeError extends LayerwiseError {
  override name = "ShapeError";
}

/** A tensor's element type does not fit. */
export class DTypeError extends LayerwiseError {
  override name = "DTypeError";
}

/** An argument or option has a wrong value. */
export class ArgumentError extends LayerwiseError {
  override name = "ArgumentError";
}

/** A file or byte stream is not what its format demands. */
export class FormatError extends LayerwiseError {
  override name = "FormatError";
}

/**
 * Reading or transforming an element of a dataset failed; the message says at which stage and element,
 * `cause` is what was thrown.
 */
export class DatasetError extends LayerwiseError {
  override name = "DatasetError";
}

/** Something was used in a state in which it can't be (not compiled, not built, busy). */
export class StateError extends LayerwiseError {
  override name = "StateError";
}

/** Training produced a NaN or an infinity. */
export class NonFiniteError extends LayerwiseError {
  override name = "NonFiniteError";
}

/** The native addon or a Program failed to load. */
export class BackendError extends LayerwiseError {
  override name = "BackendError";
}

/** A server has as many requests waiting as it may have; the request was not taken. */
export class OverloadError extends LayerwiseError {
  override name = "OverloadError";
  /** Milliseconds in which what waits now should be done, at the present pace; at least 1. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** Prints any value as it should stand in a message: short, quoted, shapes as `[2, 3]`. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return value.name ? `function ${value.name}` : "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    const head = value.slice(0, 12).map(show).join(", ");
    return value.length > 12 ? `[${head}, … ${value.length} in all]` : `[${head}]`;
  }
  if (ArrayBuffer.isView(value)) {
    const length = (value as { length?: number }).length ?? value.byteLength;
    return `${value.constructor.name}(${length})`;
  }
  const name = (value as object).constructor?.name;
  return name && name !== "Object" ? `an instance of ${name}` : "an object";
}

/** Builds "where: expected X, got Y; hint". */
export function expected(where: string, wanted: string, got: unknown, hint?: string): string {
  return `${where}: expected ${wanted}, got ${typeof got === "string" ? got : show(got)}${
    hint ? `; ${hint}` : ""
  }`;
}

/** Throws an {@link ArgumentError} unless `value` is an integer in `[min, max]`. */
export function checkInteger(
  where: string,
  option: string,
  value: unknown,
  min = -Infinity,
  max = Infinity,
): asserts value is number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    const range =
      min === -Infinity && max === Infinity
        ? "an integer"
        : max === Infinity
          ? `an integer ≥ ${min}`
          : `an integer from ${min} to ${max}`;
    throw new ArgumentError(expected(where, `\`${option}\` to be ${range}`, show(value)));
  }
}

/** Throws an {@link ArgumentError} unless `value` is a finite number in `[min, max]`. */
export function checkNumber(
  where: string,
  option: string,
  value: unknown,
  min = -Infinity,
  max = Infinity,
): asserts value is number {
  if (typeof value !== "number" || Number.isNaN(value) || value < min || value > max) {
    const range =
      min === -Infinity && max === Infinity
        ? "a number"
        : max === Infinity
          ? `a number ≥ ${min}`
          : min === -Infinity
            ? `a number ≤ ${max}`
            : `a number from ${min} to ${max}`;
    throw new ArgumentError(expected(where, `\`${option}\` to be ${range}`, show(value)));
  }
}

/** Throws an {@link ArgumentError} unless `value` is above 0 and finite, as a float32 too. */
export function checkPositive(
  where: string,
  option: string,
  value: unknown,
): asserts value is number {
  if (typeof value !== "number" || !(Math.fround(value) > 0 && Math.fround(value) < Infinity)) {
    throw new ArgumentError(
      expected(where, `\`${option}\` to be a finite number above 0`, show(value)),
    );
  }
}

/** Throws an {@link ArgumentError} unless `value` is true or false. */
export function checkBoolean(
  where: string,
  option: string,
  value: unknown,
): asserts value is boolean {
  if (typeof value !== "boolean") {
    throw new ArgumentError(expected(where, `\`${option}\` to be true or false`, show(value)));
  }
}

/** Throws an {@link ArgumentError} unless `path` is a text that can be the path of a file. */
export function checkPath(where: string, path: unknown): asserts path is string {
  if (typeof path !== "string" || path === "") {
    throw new ArgumentError(expected(where, "the path of a file", show(path)));
  }
}

/** Throws an {@link ArgumentError} unless `value` is one of `choices`. */
export function checkChoice<T extends string>(
  where: string,
  option: string,
  value: unknown,
  choices: readonly T[],
): asserts value is T {
  if (!choices.includes(value as T)) {
    const near = typeof value === "string" ? nearest(value, choices) : undefined;
    throw new ArgumentError(
      expected(
        where,
        `\`${option}\` to be one of ${choices.map((c) => JSON.stringify(c)).join(", ")}`,
        show(value),
        near && `did you mean ${JSON.stringify(near)}?`,
      ),
    );
  }
}

/**
 * Throws an {@link ArgumentError} unless `options` is an object, and if it has a key that is not in
 * `known` (`aliases` are other libraries' words for some of them, for the hint) or a `signal`, which is
 * the same wherever it is an option, that is none.
 */
export function checkKeys(
  where: string,
  options: object,
  known: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const hint =
      typeof options === "string" && known.includes("dir")
        ? `did you mean { dir: ${show(options)} }?`
        : `the options are ${known.join(", ")}`;
    throw new ArgumentError(expected(where, "an object with options", show(options), hint));
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      const alias = Object.hasOwn(aliases, key) ? aliases[key]! : undefined;
      const near = alias && known.includes(alias) ? alias : nearest(key, known);
      throw new ArgumentError(
        `${where}: unknown option \`${key}\`; ${
          near ? `did you mean \`${near}\`?` : `the options are ${known.join(", ")}`
        }`,
      );
    }
  }
  const { signal } = options as { readonly signal?: unknown };
  if (signal !== undefined && !isSignal(signal)) {
    const hint = "an AbortController has one";
    throw new ArgumentError(expected(where, "`signal` to be an AbortSignal", show(signal), hint));
  }
}

/** An AbortSignal of any realm: tests run in contexts of their own. */
function isSignal(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, throwIfAborted } = value as Partial<AbortSignal>;
  return typeof aborted === "boolean" && typeof throwIfAborted === "function";
}

/** The choice closest to `word` by edit distance (swapped neighbours are one edit), if any is close enough to be a likely slip. */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (distance < bestDistance) {
      best = choice;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j]!, before[j - 2]! + 1);
      }
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
