/** The command line of an example: it says which options it takes, and another one ends it with their list. */
import { statSync } from "node:fs";
import { basename, dirname } from "node:path";

/** Values that an option may have, as the list of options shows them, and the test of one. */
const kinds = {
  /** No value: the option is there or not. */
  "": () => true,
  /** A whole number from 1 on. */
  N: (text: string) => /^\d+$/.test(text) && Number(text) > 0,
  /** The same, or 0. */
  SEED: (text: string) => /^\d+$/.test(text),
  /** A number from 0 on. */
  X: (text: string) => text.trim() !== "" && Number(text) >= 0 && Number.isFinite(Number(text)),
  /** Three whole numbers. */
  "N,N,N": (text: string) => /^[1-9]\d*(,[1-9]\d*){2}$/.test(text),
  TEXT: () => true,
  /** A file of a model that may be there already; that it can't be written is better known before the training. */
  FILE: (text: string) =>
    text.endsWith(".safetensors") && !isDirectory(text) && isDirectory(dirname(text)),
  /** A directory that is there. */
  DIR: (text: string) => isDirectory(text),
  "DIR|download": (text: string) => text === "download" || isDirectory(text),
  /** A directory that is made. */
  "NEW DIR": () => true,
} as const;

/** A kind of value, or the words that it may be. */
type Wanted = keyof typeof kinds | readonly string[];

const wantedOf: Readonly<Record<keyof typeof kinds, string>> = {
  "": "no value",
  N: "a whole number from 1 on",
  SEED: "a whole number",
  X: "a number from 0 on",
  "N,N,N": "three whole numbers such as 32,64,128",
  TEXT: "a text",
  FILE: "a .safetensors file in a folder that is there",
  DIR: "a directory that is there",
  "DIR|download": "a directory that is there, or download",
  "NEW DIR": "a directory",
};

const all: Readonly<Record<string, Wanted>> = { quick: "", out: "NEW DIR" };
let known: Readonly<Record<string, Wanted>> | undefined;

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** True with --quick: the same program at a size that takes a second or two. */
export const quick = process.argv.includes("--quick");

/** What follows `--name` on the command line. */
export function option(name: string): string | undefined {
  if (known && !(name in known)) throw new Error(`takes() lacks the option ${name}`);
  const at = process.argv.indexOf(`--${name}`);
  return at === -1 ? undefined : process.argv[at + 1];
}

/**
 * Checks the command line against the options that the example takes, beside --quick and --out. Another
 * option, or another value, ends the process with a message that lists them; `--help` only lists them.
 */
export function takes(options: Readonly<Record<string, Wanted>>): void {
  known = { ...all, ...options };
  const list = Object.entries(known).map(([name, wanted]) => {
    const value = Array.isArray(wanted) ? wanted.map(quoted).join("|") : wanted;
    return `  --${name} ${value}`.trimEnd();
  });
  const example = basename(process.argv[1]!).replace(/\.ts$/, "");
  const help = `${example} takes these options:\n${list.join("\n")}`;
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    console.log(help);
    process.exit(0);
  }
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!.replace(/^--/, "");
    const wanted =
      args[i]!.startsWith("--") && Object.hasOwn(known, name) ? known[name] : undefined;
    if (wanted === undefined) end(`there is no option ${quoted(args[i]!)}`, help);
    if (wanted === "") continue;
    const value = args[++i];
    const words = Array.isArray(wanted) ? (wanted as readonly string[]) : undefined;
    const fits = (text: string) =>
      words?.includes(text) ?? kinds[wanted as keyof typeof kinds](text);
    if (value === undefined || value.startsWith("--") || !fits(value)) {
      const what = words
        ? `one of ${words.map(quoted).join(", ")}`
        : wantedOf[wanted as keyof typeof kinds];
      const got = value === undefined || value.startsWith("--") ? "nothing" : quoted(value);
      end(`--${name} takes ${what}, got ${got}`, help);
    }
  }
}

function quoted(text: string): string {
  return /^[\w.,/-]+$/.test(text) ? text : JSON.stringify(text);
}

function end(message: string, help: string): never {
  console.error(`${message}\n${help}`);
  process.exit(2);
}
