/** Everything that `layerwise` exports says what it is: what editors show and `npm run docs` writes. */
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

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

test("every export has a comment", () => {
  const config = ts.readConfigFile(`${root}tsconfig.build.json`, ts.sys.readFile).config as object;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([`${root}src/index.ts`], { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(`${root}src/index.ts`)!)!;
  const all = [...exportsOf(checker, module)];
  expect(all.length).toBeGreaterThan(400);
  const silent = all
    .filter(([, symbol]) => symbol.getDocumentationComment(checker).length === 0)
    .map(([name]) => name);
  expect(silent).toEqual([]);
});
