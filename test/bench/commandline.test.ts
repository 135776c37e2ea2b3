/** What `npm run bench` makes of its arguments. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { CommandLineError, readCommandLine, usage } from "../../bench/lib/commandline.js";

test("words pick cases, options say how they run", () => {
  expect(
    readCommandLine(["MLP", "128", "--threads", "1,2", "--quick", "--against", "onednn"]),
  ).toEqual({
    words: ["mlp", "128"],
    threads: [1, 2],
    against: "onednn",
    peers: false,
    list: false,
    repeats: 3,
    seconds: 0.05,
    json: undefined,
  });
  expect(readCommandLine([])).toMatchObject({ words: [], repeats: 5, seconds: 0.25 });
  for (const help of ["--help", "-h"]) expect(readCommandLine(["mlp", help])).toBeNull();
});

test("every option is in the text that says how to use it", () => {
  for (const name of "peers against threads seconds repeats quick json list help".split(" ")) {
    expect(usage).toMatch(new RegExp(`^  --${name}\\b`, "m"));
  }
});

test.each([
  [["--thread", "1"], "Unknown option '--thread'"],
  [["--peers=yes"], "Option '--peers' does not take an argument"],
  [["--threads", "two"], '--threads takes positive numbers, got "two"'],
  [["--repeats", "1.5"], '--repeats takes whole numbers, got "1.5"'],
  [["--seconds", "0"], '--seconds takes positive numbers, got "0"'],
])("%s is a mistake", (args, message) => {
  expect(() => readCommandLine(args)).toThrow(CommandLineError);
  expect(() => readCommandLine(args)).toThrow(message);
});

test("the program prints how it is used, without a trace of its stack", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["--import", "tsx", "bench/run.ts", ...args], {
      cwd: root,
      encoding: "utf8",
    });
  expect(run("--help")).toMatchObject({ status: 0, stdout: `${usage}\n`, stderr: "" });
  expect(run("--thread", "1")).toMatchObject({
    status: 2,
    stdout: "",
    stderr: `Unknown option '--thread'\n\n${usage}\n`,
  });
});
