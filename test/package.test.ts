/** What `npm pack` puts into the tarball, and what its package.json asks of an installation. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

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

  it("leaves out what was built in a checkout, tests and sources of TypeScript", () => {
    expect(paths.filter((path) => /^(build|native\/(build|test)|test|src)\//.test(path))).toEqual(
      [],
    );
  });
});
