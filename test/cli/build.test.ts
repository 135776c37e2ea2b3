import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runBuild } from "../../src/cli/build.js";

const addon = fileURLToPath(new URL("../../build/Release/layerwise.node", import.meta.url));
const absent = existsSync(addon) ? "" : " (skipped: the addon is not built)";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "layerwise-build-"));
  mkdirSync(join(folder, "bin"));
  mkdirSync(join(folder, "native"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Puts a shell script of this name in front of the PATH. */
function tool(name: string, script: string): void {
  const path = join(folder, "bin", name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  vi.stubEnv("PATH", [join(folder, "bin"), process.env.PATH].join(delimiter));
}

async function build(...argv: string[]): Promise<string> {
  let text = "";
  const out = { write: (part: string) => (text += part) };
  expect(await runBuild(argv, out, join(folder, "native"))).toBe(0);
  return text;
}

/** What a build that fails wrote, and its error. */
async function failing(): Promise<{ text: string; error: string }> {
  let text = "";
  const out = { write: (part: string) => (text += part) };
  const error = await runBuild([], out, join(folder, "native")).catch((reason: Error) => reason);
  return { text, error: (error as Error).message };
}

// CMake itself takes minutes and is what test/native's targets use; here it is a script.
describe.skipIf(process.platform === "win32")("layerwise build (not on Windows)", () => {
  beforeEach(() => {
    tool("make", "");
    tool("c++", "");
  });

  it("names the tools that are missing, and where to get them", async () => {
    vi.stubEnv("PATH", join(folder, "nothing"));
    vi.stubEnv("CXX", "");
    await expect(build()).rejects.toThrow(
      /^CMake, make, a C\+\+17 compiler not found on the PATH; install them .*`apt-get install build-essential cmake`/,
    );
  });

  it("says where it looked for Node's headers", async () => {
    tool("cmake", "");
    await expect(build("--nodedir", folder)).rejects.toThrow(
      `no node_api.h in ${folder}/include/node`,
    );
  });

  it.skipIf(!existsSync(addon))(
    `puts the addon where the backend looks, with this Node's headers and node-addon-api${absent}`,
    async () => {
      const release = join(folder, "native/build/Release");
      tool("cmake", `echo "$@" >> ${folder}/calls; cp ${addon} ${release}/layerwise.node`);
      const headers = join(folder, "include/node");
      mkdirSync(headers, { recursive: true });
      writeFileSync(join(headers, "node_api.h"), "");
      const text = await build("--jobs", "3", "--nodedir", folder);
      expect(text).toContain(`Built ${release}/layerwise.node\nIt loads here and runs `);
      const [configure, compile] = readFileSync(join(folder, "calls"), "utf8").split("\n");
      expect(configure).toContain(`-DCMAKE_JS_INC=${headers}`);
      expect(configure).toMatch(/-DNODE_ADDON_API=\S+\/node-addon-api$/);
      expect(compile).toMatch(/--target layerwise --parallel 3$/);
    },
  );

  it("shows how far it is, as make and ninja say it", async () => {
    const said = [
      "-- The CXX compiler identification is GNU 12.2.0",
      "[ 12%] Building CXX object CMakeFiles/avx2.dir/kernels/gather.cc.o",
      "[7/40] Building CXX object CMakeFiles/layerwise.dir/addon.cc.obj",
      "[ 98%] Built target avx2",
      "[100%] Linking CXX shared module Release/layerwise.node",
      "warning: something",
    ];
    tool("cmake", [...said.map((line) => `echo "${line}"`), "exit 1"].join("\n"));
    const { text, error } = await failing();
    expect(text.split("\n").slice(2)).toEqual([
      "[ 12%] kernels/gather.cc",
      "[7/40] addon.cc",
      "[100%] linking",
      "",
    ]);
    for (const line of said) expect(error).toContain(line);
  });

  it("shows the end of the log when the compiler fails", async () => {
    tool("cmake", "echo it broke here; exit 3");
    await expect(build()).rejects.toThrow(/^cmake ended with 3; .*build\.log:\n {2}it broke here$/);
  });
});
