/**
 * What the scripts prove about native code, in short: the unit tests of native/test against the kernels
 * of the built addon, the disassembly check, a few rounds of the soak runs. Each skips, saying so, where
 * its tools are missing. The long forms are in docs/testing.md.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

function missing(...programs: string[]): string[] {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return programs.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
}

/** A test of one of the scripts; skipped with the reason in its name if `lacks` is not empty. */
function script(title: string, lacks: string[], body: () => Promise<void>): void {
  if (lacks.length > 0) it.skip(`${title} (skipped: no ${lacks.join(", ")})`, () => {});
  else it(title, { timeout: 0 }, body);
}

async function node(...args: string[]): Promise<string> {
  const options = { cwd: root, maxBuffer: 1 << 26 };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options);
  return stdout + stderr;
}

describe("native code", () => {
  const gtest = existsSync("/usr/include/gtest/gtest.h") ? [] : ["gtest"];
  const compiler = [...missing("cmake", "ctest", "make", "g++"), ...gtest];
  script("passes its unit tests", compiler, async () => {
    const output = await node("scripts/native-tests.mjs", "--prebuilt");
    expect(output).toContain("100% tests passed");
  });
});

describe("the micro-kernels", () => {
  script("keep their hot loops off the stack", missing("objdump"), async () => {
    expect(await node("scripts/disassembly.mjs")).toMatch(/\d+ micro-kernels of .*: 0 problems/);
  });

  script("are caught when they spill", missing("objdump", "g++"), async () => {
    const object = join(root, "build", "spilling-tile.o");
    const source = "test/native/spilling_tile.cc";
    await promisify(execFile)("g++", ["-std=c++17", "-O2", "-c", source, "-o", object], {
      cwd: root,
    });
    await expect(node("scripts/disassembly.mjs", object)).rejects.toThrow(
      /stack accesses in its loop/,
    );
  });
});

describe("soak", () => {
  script("survives workers terminated and processes ended in mid-run", [], async () => {
    expect(await node("scripts/soak.mjs", "workers", "--rounds", "2")).toContain("0 failures");
  });
  script("keeps its memory", [], async () => {
    expect(await node("scripts/soak.mjs", "memory", "--rounds", "2")).toContain("settled");
  });
});
