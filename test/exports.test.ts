/**
 * Everything that `layerwise` exports says what it is, in comments that editors show and `npm run docs`
 * writes; and the examples in them run.
 */
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { runSnippet } from "./helpers/snippets.js";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Exports of a module and of the namespaces in it, by their full names. */
function* exportsOf(
  checker: ts.TypeChecker,
  module: ts.Symbol,
  prefix = "",
): Generator<[name: string, symbol: ts.Symbol]> {
  for (const entry of checker.getExportsOfModule(module)) {
    const symbol = entry.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(entry) : entry;
    const name = `${prefix}${entry.name}`;
    // `export * as layers from …` makes a module of its own.
    if (symbol.flags & ts.SymbolFlags.ValueModule) yield* exportsOf(checker, symbol, `${name}.`);
    else yield [name, symbol];
  }
}

/** Examples that are not run: they need a data set, or speak of data and models that a reader has. */
const notRun = [
  ...["cifar10", "mnist", "pennTreebank", "tinyShakespeare"].map((name) => `datasets.${name}`),
  ...["fromArrays", "imageFolder", "timeseries", "zip"].map((name) => `data.${name}`),
  ...["deepBeliefNetwork", "rbm"].map((name) => `models.${name}`),
  "gradCam",
];

const config = ts.readConfigFile(`${root}tsconfig.build.json`, ts.sys.readFile).config as object;
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const program = ts.createProgram([`${root}src/index.ts`], { ...options, noEmit: true });
const checker = program.getTypeChecker();
const module = checker.getSymbolAtLocation(program.getSourceFile(`${root}src/index.ts`)!)!;
const all = [...exportsOf(checker, module)];
const examples = all.flatMap(([name, symbol]) =>
  symbol
    .getJsDocTags(checker)
    .filter((tag) => tag.name === "example")
    .map((tag) => ({ name, source: ts.displayPartsToString(tag.text) })),
);

it("every export has a comment", () => {
  expect(all.length).toBeGreaterThan(400);
  const silent = all
    .filter(([, symbol]) => symbol.getDocumentationComment(checker).length === 0)
    .map(([name]) => name);
  expect(silent).toEqual([]);
});

describe("the example of", () => {
  it.each(examples.filter(({ name }) => !notRun.includes(name)))("$name", async ({ source }) => {
    await runSnippet({ line: 1, source });
  });
});

it("knows which examples are left out", () => {
  const names = examples.map(({ name }) => name);
  expect(notRun.filter((name) => !names.includes(name))).toEqual([]);
  expect(examples.length).toBeGreaterThan(2 * notRun.length);
});
