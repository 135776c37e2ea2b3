/** Imports point one way: a file imports from its own folder and from folders listed above it. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

/** The order of docs/design.md, foundations first. `public/` and `index.ts` are the surface. */
const order = [
  "errors.ts",
  "environment.ts",
  "tensor",
  "kernels",
  "ops",
  "autodiff",
  "compiler",
  "backend",
  "formats",
  "data",
  "nn",
  "layers",
  "network",
  "optimizers",
  "training",
  "models",
  "interop",
  "plot",
  "public",
  "index.ts",
  // The command line is a user of the library.
  "cli",
];

const root = resolve(import.meta.dirname, "../src");
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => name.split("\\").join("/"));

const stageOf = (file: string): string => file.split("/")[0]!;

/** Files of `src` that `file` imports, types included. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = [...text.matchAll(/(?:from|import|import\()\s*"(\.[^"]+)\.js"/g)];
  return found.map(([, path]) => relative(root, resolve(root, dirname(file), `${path}.ts`)));
}

test("every folder has its place in the order", () => {
  const stages = new Set(files.map(stageOf));
  expect([...stages].filter((stage) => !order.includes(stage))).toEqual([]);
});

test("imports point to what is above", () => {
  const wrong = files.flatMap((file) =>
    imports(file)
      .filter((target) => order.indexOf(stageOf(target)) > order.indexOf(stageOf(file)))
      .map((target) => `${file} imports ${target}`),
  );
  expect(wrong).toEqual([]);
  // The check must see imports at all.
  expect(files.flatMap(imports).length).toBeGreaterThan(files.length);
});
