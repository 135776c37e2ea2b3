/** The guides run: the snippets of each, one after the other, are one program. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodePng } from "../src/formats/png.js";
import * as lw from "../src/index.js";

const before = process.cwd();
let folder: string;

/** The files that the guide speaks of. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "layerwise-docs-"));
  const species = ["Iris-setosa", "Iris-versicolor", "Iris-virginica"];
  const rows = Array.from(
    { length: 30 },
    (_, i) => `${i % 7},${i % 5},1.5,0.${i},${species[i % 3]}`,
  );
  writeFileSync(join(folder, "iris.csv"), rows.join("\n"));
  for (const [label, name] of ["circle", "square"].entries()) {
    mkdirSync(join(folder, "shapes", name), { recursive: true });
    for (let i = 0; i < 6; i++) {
      const pixels = new Uint8Array(20 * 20).fill(100 * label + i);
      writeFileSync(join(folder, "shapes", name, `${i}.png`), encodePng(pixels, 20, 20));
    }
  }
  process.chdir(folder);
});

afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

/** Runs the snippets of a guide, one after the other; gives the named variables. */
async function runGuide(name: string, results: string): Promise<Record<string, unknown>> {
  const text = readFileSync(new URL(`../docs/${name}.md`, import.meta.url), "utf8");
  const snippets = Array.from(text.matchAll(/^```ts\n(.*?)^```$/gms), (match) => match[1]!);
  expect(snippets.length).toBeGreaterThan(4);
  const source = snippets.join("").replace('import * as lw from "layerwise";', "");
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const AsyncFunction = (async () => {}).constructor as new (
    ...names: string[]
  ) => (library: typeof lw) => Promise<Record<string, unknown>>;
  const run = new AsyncFunction(
    "lw",
    `${outputText.replace(/^export .*$/gm, "")}\nreturn { ${results} };`,
  );
  return run(lw);
}

test("docs/data.md", async () => {
  const { accuracy, classNames, words, windows, batches, tokens } = await runGuide(
    "data",
    "accuracy, classNames, words, windows, batches, tokens",
  );
  expect(accuracy).toBeGreaterThanOrEqual(0);
  expect(classNames).toEqual(["circle", "square"]);
  // What the comments of the snippets say.
  const tokenizer = words as lw.data.WordTokenizer;
  expect(tokenizer.vocabulary.slice(0, 4)).toEqual(["<pad>", "<unk>", "to", "be"]);
  expect((windows as lw.Dataset<unknown>).size).toBe(76);
  expect((batches as lw.Dataset<unknown>).size).toBe(5);
  expect(lw.data.padSequences(tokens as Int32Array[], { padding: "post" }).shape).toEqual([2, 6]);
});

test("docs/sequences.md", async () => {
  const { last, model, written, smooth, transformer } = await runGuide(
    "sequences",
    "last, model, written, smooth, transformer",
  );
  expect((last as lw.Tensor).shape).toEqual([4, 8]);
  expect((model as lw.Model).outputs[0]!.shape).toEqual([null, 2]);
  expect(written).toHaveLength(11);
  expect((smooth as lw.Tensor).shape).toEqual([4, 10, 3]);
  expect((transformer as lw.Model).outputs[0]!.shape.slice(0, 2)).toEqual([null, null]);
});
