/** Command-line options: node:util's parser with our wording of errors, and checked values. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { nearest } from "../errors.js";

/** A command line that can't be understood; the command's help is pointed to. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The options of a command: all take a value. */
export type OptionNames = Readonly<Record<string, true>>;

/** Options by name as they were written. */
export type ParsedOptions<N extends OptionNames> = { readonly [K in keyof N]?: string };

/**
 * Parses `--name value` and `--name=value`; the last of several wins.
 *
 * @throws UsageError for an unknown option, a missing value or a stray argument.
 */
export function parseCommandLine<N extends OptionNames>(
  argv: readonly string[],
  names: N,
): ParsedOptions<N> {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const name of Object.keys(names)) options[name] = { type: "string" };
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values: Record<string, string> = {};
  for (const token of tokens) {
    if (token.kind === "positional") throw new UsageError(`unexpected argument ${token.value}`);
    if (token.kind !== "option") continue;
    if (!Object.hasOwn(names, token.name)) {
      const near = nearest(token.name, Object.keys(names));
      const hint = near ? `; did you mean --${near}?` : "";
      throw new UsageError(`unknown option ${token.rawName}${hint}`);
    }
    // Where the value was forgotten, the parser takes the next option for it.
    const forgotten = !token.inlineValue && /^--[a-z]/.test(token.value ?? "");
    if (token.value === undefined || token.value === "" || forgotten) {
      throw new UsageError(`${token.rawName} needs a value`);
    }
    values[token.name] = token.value;
  }
  return values as ParsedOptions<N>; // only names of N passed the check above
}

/** The number an option holds, or undefined when it was not given. */
export function numberOption(
  name: string,
  text: string | undefined,
  { min, max = Infinity, integer = false }: { min: number; max?: number; integer?: boolean },
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !(value >= min && value <= max) || value === Infinity) {
    throw new UsageError(`--${name} must be ${describe(min, max, integer)}, not ${text}`);
  }
  if (integer && !Number.isInteger(value)) {
    throw new UsageError(`--${name} must be ${describe(min, max, integer)}, not ${text}`);
  }
  return value;
}

function describe(min: number, max: number, integer: boolean): string {
  const kind = integer ? "an integer" : "a number";
  return max === Infinity ? `${kind} ≥ ${min}` : `${kind} from ${min} to ${max}`;
}
