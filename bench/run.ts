/**
 * `npm run bench`: times kernels, training steps and what a server notices of them.
 *
 *   npm run bench -- --help
 */
import { access, constants, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { cases as convolution } from "./cases/convolution.js";
import { cases as elementwise } from "./cases/elementwise.js";
import { cases as matmul } from "./cases/matmul.js";
import { cases as models } from "./cases/models.js";
import { cases as networks } from "./cases/networks.js";
import { cases as recurrent } from "./cases/recurrent.js";
import { cases as runtime } from "./cases/runtime.js";
import { cases as sequences } from "./cases/sequences.js";
import { contenders } from "./contenders/contenders.js";
import { Child } from "./lib/child.js";
import { Children } from "./lib/children.js";
import { type BenchOptions, CommandLineError, readCommandLine, usage } from "./lib/commandline.js";
import { DataFiles } from "./lib/data.js";
import { describeMachine, probeMachine } from "./lib/machine.js";
import { measureCase, type Result } from "./lib/measure.js";
import { checkTable, failures, figureTable, summaryText, timeTables } from "./lib/report.js";
import { summarize } from "./lib/summary.js";

const allCases = [
  ...models,
  ...networks,
  ...sequences,
  ...matmul,
  ...convolution,
  ...recurrent,
  ...elementwise,
  ...runtime,
];

const asked = commandLine();
const { words, threads, repeats, seconds } = asked;
const chosen = allCases.filter(({ name }) =>
  words.every((word) => name.toLowerCase().includes(word)),
);

if (chosen.length === 0) {
  console.error(`no case has ${words.join(" and ")} in its name; --list shows all`);
  process.exit(2);
}
const rivals = asked.against?.toLowerCase().split(",");
const known = new Set(chosen.flatMap((row) => row.peers).map((peer) => peer.toLowerCase()));
/** A whole name picks that peer alone, a word all that have it in theirs. */
const wants = (peer: string): boolean => {
  if (!rivals) return asked.peers;
  const name = peer.toLowerCase();
  return rivals.some((word) => (known.has(word) ? name === word : name.includes(word)));
};
const peers = new Set(chosen.flatMap((row) => row.peers).filter(wants));
if (rivals && peers.size === 0) {
  const names = [...new Set(chosen.flatMap((row) => row.peers))];
  console.error(
    `no peer of these cases is called ${asked.against}; there are: ${names.join("; ")}`,
  );
  process.exit(2);
}
if (asked.list) {
  for (const { name } of chosen) console.log(name);
  process.exit(0);
}

if (asked.json !== undefined) {
  // A run of half an hour must not end with a folder that is not there.
  try {
    await access(dirname(resolve(asked.json)), constants.W_OK);
  } catch (error) {
    console.error(`--json ${asked.json}: ${(error as Error).message}`);
    process.exit(2);
  }
}

const counts = new Set(chosen.flatMap((row) => row.threads ?? threads));
const probe = new Child(contenders.native!, 1);
const machine = await probeMachine(probe, [...counts], peers);
const data = new DataFiles();
const children = new Children();
const results: Result[] = [];
try {
  for (const row of chosen) {
    for (const count of row.threads ?? threads) {
      process.stderr.write(`${row.name}, ${count} thread${count === 1 ? "" : "s"}\n`);
      const options = { threads: count, repeats, seconds, wants, data, children, probe };
      results.push(await measureCase(row, options));
    }
  }
} finally {
  await children.close();
  await probe.close();
  await data.remove();
}

const versions = Object.assign(
  { ...machine.versions },
  ...results.flatMap(({ ours, peers }) => [ours, ...peers].map((outcome) => outcome.versions)),
);
const described = describeMachine({ ...machine, versions });
const summaries = summarize(results);
const tables = [
  ...timeTables(results),
  summaryText(summaries),
  figureTable(results),
  checkTable(results),
];
console.log([described, ...tables.filter((text) => text !== "")].join("\n\n"));
const problems = failures(results);
if (problems.length > 0) console.log(`\nNot run, or stopped:\n${problems.join("\n")}`);
if (asked.json !== undefined) {
  const command = `npm run bench -- ${process.argv.slice(2).join(" ")}`;
  const report = {
    date: new Date().toISOString(),
    command,
    machine: { ...machine, versions },
    summaries,
    results,
  };
  await writeFile(asked.json, `${JSON.stringify(report, null, 1)}\n`);
}
// A peer that is missing is no failure; ours not running is.
if (results.some(({ ours }) => ours.failure !== undefined)) process.exitCode = 1;

/** What was asked for; ends the process where it is help, or can't be done. */
function commandLine(): BenchOptions {
  try {
    const options = readCommandLine(process.argv.slice(2));
    if (options) return options;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof CommandLineError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}
