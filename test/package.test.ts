/** What `npm pack` puts into the tarball, and what its package.json asks of an installation. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../", import.meta.url));

describe("an install of the checkout", () => {
  it("has a decision for every dependency with an install script, so that npm does not warn", () => {
    const read = (name: string) => JSON.parse(readFileSync(`${root}${name}`, "utf8"));
    const locked = read("package-lock.json").packages as Record<string, object>;
    const scripted = Object.entries(locked).filter(([, about]) => "hasInstallScript" in about);
    expect(scripted.length).toBeGreaterThan(0);
    expect(Object.keys(read("package.json").allowScripts)).toEqual(
      expect.arrayContaining(scripted.map(([path]) => path.slice("node_modules/".length))),
    );
  });
});

describe("a build of the checkout", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "layerwise-checkout-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("compiles TypeScript, and an addon that is older than its sources", () => {
    const write = (name: string, text: string, seconds: number) => {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      utimesSync(path, seconds, seconds);
    };
    const script = readFileSync(`${root}scripts/build.mjs`, "utf8");
    write("scripts/build.mjs", script, 0);
    // Compilers that say that they ran.
    write("node_modules/typescript/bin/tsc", 'console.log("tsc ran");', 0);
    write("node_modules/node-gyp/bin/node-gyp.js", "", 0);
    for (const name of ["binding.gyp", "native/a.cc"]) write(name, "", 1);
    write("build/Release/layerwise.node", "", 2);
    const build = () => {
      const args = [join(folder, "scripts/build.mjs")];
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      expect([status, stdout]).toEqual([0, "tsc ran\n"]);
      return stderr;
    };
    expect(build()).toBe("");
    write("native/notes.md", "", 3);
    expect(build()).toBe("");
    write("native/a.cc", "", 3);
    expect(build()).not.toBe("");
  });
});

describe("the published package", () => {
  const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const [{ files }] = JSON.parse(packed.stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);

  it("carries all that compiles the addon, and nothing that npm would run", () => {
    const text = readFileSync(new URL("../native/sources.gypi", import.meta.url), "utf8");
    const sources = Array.from(text.matchAll(/"([\w/]+\.cc)"/g), (match) => `native/${match[1]}`);
    expect(sources.length).toBeGreaterThan(10);
    expect(paths).toEqual(
      expect.arrayContaining([
        ...sources,
        "native/addon.cc",
        "native/addon_values.h",
        "native/CMakeLists.txt",
        "native/sources.gypi",
      ]),
    );
    expect(paths).not.toContain("binding.gyp");
    const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
      scripts: object;
      dependencies: object;
    };
    expect(Object.keys(manifest.scripts)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(pre|post)?install$/)]),
    );
    expect(manifest.dependencies).toHaveProperty("node-addon-api");
  });

  it("carries what its pages link to", () => {
    const pages = paths.filter((path) => /^[^/]+\.md$|^docs\/[^/]+\.md$/.test(path));
    expect(pages).toEqual(expect.arrayContaining(["README.md", "CHANGELOG.md", "docs/README.md"]));
    const dangling = pages.flatMap((page) =>
      Array.from(readFileSync(`${root}${page}`, "utf8").matchAll(/\]\(([^):#]+)(#[^)]*)?\)/g))
        .map(([, target]) => posix.join(posix.dirname(page), target!))
        .filter((target) => !paths.includes(target))
        .map((target) => `${page}: ${target}`),
    );
    expect(dangling).toEqual([]);
    expect(paths.filter((path) => path.startsWith("docs/api/"))).toEqual([]);
  });

  it("leaves out what was built in a checkout, tests and sources of TypeScript", () => {
    expect(paths.filter((path) => /^(build|native\/(build|test)|test|src)\//.test(path))).toEqual(
      [],
    );
  });
});
