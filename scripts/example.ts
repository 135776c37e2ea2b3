/**
 * Runs one of examples/ found by number or word, with what follows as its arguments; lists them when
 * none is named.
 *
 *   npm run example xor
 *   npm run example -- 05 --quick
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { about, findPage, pages } from "../examples/pages.js";

const [word, ...rest] = process.argv.slice(2);
if (word === undefined || word.startsWith("-")) {
  console.log("npm run example -- <number or word> [--quick]");
  const names = Object.values(pages).flatMap((group) => group.map(({ name }) => name));
  const width = Math.max(...names.map((name) => name.length)) + 2;
  for (const [group, members] of Object.entries(pages)) {
    console.log(`\n${group}`);
    for (const { name } of members) console.log(`${name.padEnd(width)}${about(name)}`);
  }
} else {
  const { name } = findPage(word);
  const script = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const args = ["--import", "tsx", script, ...rest];
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
}
