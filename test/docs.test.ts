/** The README and every guide run: their snippets are programs, and what comments say of lines is true. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { encodePng } from "../src/formats/png.js";
import { runSnippet, snippetsOf, typeErrors } from "./helpers/snippets.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const before = process.cwd();
let folder: string;

/** The files that the guides speak of. */
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

const read = (page: string): string => readFileSync(join(root, page), "utf8");

describe.each(pages)("%s", (page) => {
  const { programs, omitted, excerpts } = snippetsOf(read(page));

  if (programs.length > 0) {
    it.each(programs)("runs from line $line", async (program) => {
      await runSnippet(program);
    });
  }

  it("says why a block is not run", () => {
    for (const { reason } of omitted) expect(reason.length).toBeGreaterThan(10);
  });

  it("quotes files as they are", () => {
    const changed = excerpts.filter(({ path, text }) => !read(path).includes(text.trimEnd()));
    expect(changed).toEqual([]);
  });

  it("has links that lead somewhere", () => {
    const links = [...read(page).matchAll(/\]\((?!\w+:|#)([^)#]+)(?:#[^)]*)?\)/g)];
    const lost = links
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(root, dirname(page), path)));
    expect(lost).toEqual([]);
  });
});

test("the snippets are sound TypeScript", () => {
  const programs = new Map(
    pages.flatMap((page) =>
      snippetsOf(read(page)).programs.map((program) => {
        const name = page.replace(/\W/g, "-");
        return [`${name}-${program.line}`, program] as const;
      }),
    ),
  );
  expect(programs.size).toBeGreaterThan(8);
  expect(typeErrors(programs, root)).toEqual([]);
});

test("the reference can be made of the docstrings: what they link to exists", () => {
  const typedoc = join(root, "node_modules", "typedoc", "bin", "typedoc");
  const { status, stderr, stdout } = spawnSync(process.execPath, [typedoc, "--emit", "none"], {
    cwd: root,
    encoding: "utf8",
  });
  expect({ status, output: status === 0 ? "" : stdout + stderr }).toEqual({
    status: 0,
    output: "",
  });
});

test("docs/README.md lists every guide", () => {
  const index = read("docs/README.md");
  for (const page of pages.filter((name) => name.startsWith("docs/"))) {
    if (page !== "docs/README.md") expect(index).toContain(`](${page.slice("docs/".length)})`);
  }
});
