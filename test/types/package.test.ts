/**
 * The declarations as a user's compiler sees them: written for the package, imported by its name, and
 * checked without `skipLibCheck`, which would turn a broken declaration into `any`.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "layerwise-types-"));
  const installed = join(folder, "node_modules/layerwise");
  mkdirSync(installed, { recursive: true });
  copyFileSync(join(root, "package.json"), join(installed, "package.json"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const { config } = ts.readConfigFile(join(root, "tsconfig.build.json"), ts.sys.readFile);
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root, {
    emitDeclarationOnly: true,
    noCheck: true, // `npm run typecheck` does that
    outDir: join(installed, "dist"),
  });
  expect(ts.createProgram(fileNames, options).emit().emitSkipped).toBe(false);
});

afterAll(() => rmSync(folder, { recursive: true }));

const strict: ts.CompilerOptions = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  types: [],
};

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A compiler, as an editor runs it, over some files and all they import. */
function compiler(files: readonly string[], options: ts.CompilerOptions = {}): ts.LanguageService {
  return ts.createLanguageService({
    getCompilationSettings: () => ({ ...strict, ...options }),
    getScriptFileNames: () => [...files],
    getScriptVersion: () => "1",
    getScriptSnapshot: (name) => {
      const text = ts.sys.readFile(name);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => folder,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: ts.sys.fileExists,
    readFile: ts.sys.readFile,
    directoryExists: ts.sys.directoryExists,
  });
}

/** Its complaints by file; the files without any are left out. */
function complaints(service: ts.LanguageService): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const { file, messageText } of ts.getPreEmitDiagnostics(service.getProgram()!)) {
    const where = file ? relative(folder, file.fileName) : "";
    found[where] ??= [];
    found[where].push(ts.flattenDiagnosticMessageText(messageText, " "));
  }
  return found;
}

/** The TypeScript of a document: its snippets, one after the other, are one program. */
function programOf(document: string): string {
  const text = readFileSync(join(root, document), "utf8");
  return Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), (match) => match[1]!).join("");
}

const mistakes = `import * as lw from "layerwise";
export const n: number = lw.tensor([1]).add(1).topk(1).values.sum([0], true);
lw.tensor([1]).matMul();
lw.tensor([1]).sum("rows");
`;

describe("the published types", () => {
  it("compile the snippets of documents, without @types/node, and are exact and documented", () => {
    const readme = write("readme.ts", programOf("README.md"));
    const data = write("data.ts", programOf("docs/data.md"));
    const wrong = write("wrong.ts", mistakes);
    const service = compiler([readme, data, wrong]);
    expect(complaints(service)).toEqual({
      "wrong.ts": [
        "Type 'Tensor' is not assignable to type 'number'.",
        "Expected 1-3 arguments, but got 0.",
        `Argument of type '"rows"' is not assignable to parameter of type 'Axis | undefined'.`,
      ],
    });
    const info = service.getQuickInfoAtPosition(wrong, mistakes.indexOf("matMul"));
    expect(ts.displayPartsToString(info?.documentation)).toMatch(/^Matrix product/);
  });

  it("compile beside @types/node where the DOM's types are missing, also from CommonJS", () => {
    const file = write("plain.cts", 'import lw = require("layerwise");\nlw.tensor([1]).add(1);\n');
    const typeRoots = [join(root, "node_modules/@types")];
    const options = { types: ["node"], typeRoots, lib: ["lib.es2022.d.ts"] };
    expect(complaints(compiler([file], options))).toEqual({});
  });
});
