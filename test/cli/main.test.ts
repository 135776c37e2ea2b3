import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { runCommand } from "../../src/cli/commands.js";
import { addon } from "../helpers/executors.js";

/** Runs a command line in this process and collects what it writes. */
async function run(...argv: string[]) {
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err") => ({
    write(text: string) {
      written[name] += text;
    },
  });
  const code = await runCommand(argv, { stdout: stream("out"), stderr: stream("err") });
  return { code, ...written };
}

const { version } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { version: string };

describe("the layerwise command", () => {
  it("lists its commands on --help, on standard output", async () => {
    for (const flag of ["--help", "-h", "help"]) {
      const { code, out, err } = await run(flag);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toMatch(/^Usage: layerwise <command>/);
      expect(out).toMatch(/^ {2}demo {2,}\S/m);
      expect(out).toMatch(/^ {2}doctor {2,}\S/m);
    }
  });

  it("prints the package's version", async () => {
    expect(await run("--version")).toEqual({ code: 0, out: `${version}\n`, err: "" });
    expect((await run("-v")).out).toBe(`${version}\n`);
  });

  it("has help for each command", async () => {
    expect((await run("demo", "--help")).out).toMatch(/^Usage: layerwise demo/);
    expect((await run("doctor", "-h")).out).toMatch(/^Usage: layerwise doctor/);
    expect((await run("demo", "--epochs", "3", "--help")).code).toBe(0);
  });

  it.each([
    [["dokter"], "layerwise: unknown command dokter; did you mean doctor?"],
    [["toString"], "layerwise: unknown command toString"],
    [["--wrong"], "layerwise: unknown option --wrong"],
    [["demo", "--epoch", "3"], "layerwise demo: unknown option --epoch; did you mean --epochs?"],
    [["demo", "-x"], "layerwise demo: unknown option -x"],
    [["demo", "extra"], "layerwise demo: unexpected argument extra"],
    [["demo", "--epochs"], "layerwise demo: --epochs needs a value"],
    [["demo", "--epochs", "--seed", "1"], "layerwise demo: --epochs needs a value"],
    [["demo", "--report="], "layerwise demo: --report needs a value"],
    [["demo", "--epochs", "0"], "layerwise demo: --epochs must be an integer ≥ 1, not 0"],
    [["demo", "--epochs", "1.5"], "layerwise demo: --epochs must be an integer ≥ 1, not 1.5"],
    [["demo", "--batch-size", "many"], "layerwise demo: --batch-size must be an integer ≥ 1"],
    [["demo", "--learning-rate", "-1"], "layerwise demo: --learning-rate must be a number ≥ 0"],
    [["demo", "--threads", "0"], "layerwise demo: --threads must be an integer from 1 to 1024"],
    [
      ["demo", "--backend", "gpu"],
      "layerwise demo: --backend must be native or typescript, not gpu",
    ],
    [["doctor", "--json"], "layerwise doctor: unknown option --json"],
  ])("answers %j with the reason, where the help is, and exit code 2", async (argv, message) => {
    const { code, out, err } = await run(...argv);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err.startsWith(message)).toBe(true);
    expect(err).toMatch(/^[^\n]+\n`layerwise( demo| doctor)? --help` lists what there is\.\n$/);
  });

  it("prints its usage when it is told nothing", async () => {
    const { code, out, err } = await run();
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^Usage: layerwise <command>/);
  });

  it("fails with 1 and one line when what it was told does not work out", async () => {
    const { code, out, err } = await run("demo", "--data", "no/such/folder");
    expect(code).toBe(1);
    expect(err).toMatch(
      /^layerwise demo: mnist: no train-images-idx3-ubyte.* in "no\/such\/folder"\n$/,
    );
    expect(out).not.toContain("Epoch");
    const unwritable = await run("demo", "--report", "no/such/folder/report.html");
    expect(unwritable).toMatchObject({ code: 1, out: "" });
    const folder = await run("demo", "--report", ".");
    expect(folder).toMatchObject({ code: 1, out: "" });
    expect(folder.err).toMatch(/^layerwise demo: --report: can't write ".+": it is a directory\n$/);
    expect(unwritable.err).toMatch(
      /^layerwise demo: --report: can't write "\S+report\.html": its directory does not exist\n$/,
    );
  });

  it("tells what runs here", async () => {
    const { code, out } = await run("doctor");
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^layerwise +${version.replaceAll(".", "\\.")}$`, "m"));
    expect(out).toMatch(/^backend +(native|typescript) \(.+\)$/m);
    expect(out).toContain("The native addon was looked for in");
  });

  const script = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const start = (argv: string[], env: Readonly<Record<string, string>> = {}) =>
    spawnSync(process.execPath, ["--import", "tsx", script, ...argv], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });

  it.each([
    [{ LAYERWISE_ISA: "sse9" }, 'LAYERWISE_ISA: expected one of .*, got "sse9"'],
    [{ LAYERWISE_THREADS: "many" }, 'LAYERWISE_THREADS: expected an integer .*, got "many"'],
    [
      { LAYERWISE_BACKEND: "native", LAYERWISE_ADDON: "none.node" },
      "the native backend was asked for, but its addon does not load:",
    ],
    // No CPU runs both; without an addon there is nothing to run either.
    ...(addon
      ? [
          [
            { LAYERWISE_ISA: process.arch === "arm64" ? "avx2" : "neon" },
            "LAYERWISE_ISA: expected an instruction set that runs here .*",
          ] as const,
        ]
      : []),
  ] as const)("reports on the machine also with %j", (env, message) => {
    const { status, stdout, stderr } = start(["doctor"], {
      LAYERWISE_BACKEND: "",
      LAYERWISE_ISA: "",
      LAYERWISE_THREADS: "",
      ...env,
    });
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^error +${message}$`, "m"));
    expect(stdout).toMatch(/^backend +(native|typescript) \(without that error\)$/m);
    for (const [name, value] of Object.entries(env)) {
      expect(stdout).toMatch(new RegExp(`^environment .*${name}=${value}`, "m"));
    }
    expect(stdout).toContain("correct or unset the variable it names");
  });

  it("is a program that sets the exit code", () => {
    expect(readFileSync(script, "utf8").startsWith("#!/usr/bin/env node\n")).toBe(true);
    expect(start(["--version"])).toMatchObject({ status: 0, stdout: `${version}\n` });
    expect(start(["nothing"])).toMatchObject({ status: 2, stdout: "" });
  });
});
