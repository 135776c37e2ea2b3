/**
 * Runs one of examples/ found by number or word, with what follows as its arguments; lists them when
 * none is named.
 *
 *   npm run example xor
 *   npm run example -- 05 --quick
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const directory = new URL("../examples/", import.meta.url);
const names = readdirSync(directory)
  .filter((file) => /^\d\d-.*\.ts$/.test(file))
  .map((file) => file.slice(0, -".ts".length))
  .sort();

/** The first sentence of an example's header. */
function about(name: string): string {
  const text = readFileSync(new URL(`${name}.ts`, directory), "utf8");
  const header = /\/\*\*(.*?)\*\//s.exec(text)?.[1] ?? "";
  const prose = header.replace(/\s*\n \* ?/g, " ").trim();
  return /^.*?[.:](?= )/.exec(prose)?.[0].slice(0, -1) ?? prose;
}

const [word, ...rest] = process.argv.slice(2);
if (word === undefined || word.startsWith("-")) {
  const width = Math.max(...names.map((name) => name.length)) + 2;
  console.log("npm run example -- <number or word> [--quick]\n");
  for (const name of names) console.log(`${name.padEnd(width)}${about(name)}`);
} else {
  const found = names.filter((name) => name.includes(word.toLowerCase()));
  if (found.length !== 1) {
    console.error(
      found.length === 0
        ? `There is no example "${word}"; the examples are ${names.join(", ")}`
        : `"${word}" fits several examples: ${found.join(", ")}; say which`,
    );
    process.exit(2);
  }
  const script = fileURLToPath(new URL(`${found[0]}.ts`, directory));
  const args = ["--import", "tsx", script, ...rest];
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
}
