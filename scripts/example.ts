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

/** Text in lines of at most so many characters, with an indent before those after the first. */
function wrapped(text: string, width: number, indent: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = `${lines.at(-1)} ${word}`.trimStart();
    if (line.length <= width || lines.at(-1) === "") lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines.join(`\n${indent}`);
}

const [word, ...rest] = process.argv.slice(2);
if (word === undefined || word.startsWith("-")) {
  console.log("npm run example -- <number or word> [--quick] [--help]");
  const names = Object.values(pages).flatMap((group) => group.map(({ name }) => name));
  const width = Math.max(...names.map((name) => name.length)) + 2;
  for (const [group, members] of Object.entries(pages)) {
    console.log(`\n${group}`);
    for (const { name } of members) {
      console.log(`${name.padEnd(width)}${wrapped(about(name), 110 - width, " ".repeat(width))}`);
    }
  }
} else {
  const { name } = findPage(word);
  const script = fileURLToPath(new URL(`../examples/${name}.ts`, import.meta.url));
  const args = ["--import", "tsx", script, ...rest];
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
}
