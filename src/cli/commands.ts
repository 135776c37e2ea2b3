/**
 * The commands of `layerwise`: which there are, their help, and what becomes of errors. Exit codes: 0
 * done, 1 failed, 2 not understood. Each command's own options are in its own file.
 */
import { readFileSync } from "node:fs";
import { LayerwiseError, nearest } from "../errors.js";
import type { DoctorInfo } from "./doctor.js";
import { parseCommandLine, UsageError } from "./options.js";
import type { OutputStream } from "./text.js";

/** Where a command writes. */
export interface CommandStreams {
  readonly stdout: OutputStream;
  readonly stderr: { write(text: string): unknown };
}

interface Command {
  readonly summary: string;
  /** Loads the command's own code only when it runs, so that `--version` is quick. */
  readonly load: () => Promise<{
    readonly help: string;
    run(argv: readonly string[], out: OutputStream): Promise<number>;
  }>;
}

const commands: Readonly<Record<string, Command>> = {
  demo: {
    summary: "train a network on handwritten-looking digits, write a report",
    load: async () => {
      const { demoHelp, runDemo } = await import("./demo.js");
      return { help: demoHelp, run: runDemo };
    },
  },
  build: {
    summary: "compile the native addon on this machine",
    load: async () => {
      const { buildHelp, runBuild } = await import("./build.js");
      return { help: buildHelp, run: runBuild };
    },
  },
  doctor: {
    summary: "say what runs on this machine, why, and what could be better",
    load: async () => ({ help: doctorHelp, run: runDoctor }),
  },
};

const doctorHelp = `Usage: layerwise doctor

Prints Node.js, system, C library, CPU, the instruction set and threads in use and why, the backend,
where its native addon was looked for and what failed, and what to do about it.
`;

function usage(): string {
  const rows = Object.entries(commands).map(([name, { summary }]) => [name, summary] as const);
  return `Usage: layerwise <command> [options]

Commands
${rows.map(([name, summary]) => `  ${name.padEnd(10)}${summary}`).join("\n")}

Options
  --help, -h     this text; after a command, its own
  --version, -v  the version of layerwise
`;
}

/** One line, so that the error above it stays in sight. */
function seeHelp(command: string): string {
  return `\`${command} --help\` lists what there is.\n`;
}

/** The version in layerwise's package.json. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

/** Runs a command line (without node and script); resolves to the exit code. */
export async function runCommand(
  argv: readonly string[],
  { stdout, stderr }: CommandStreams,
): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined) {
    stderr.write(usage());
    return 2;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    stdout.write(usage());
    return 0;
  }
  if (name === "--version" || name === "-v") {
    stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    const near = nearest(name, Object.keys(commands));
    const hint = near ? `; did you mean ${near}?` : "";
    const what = name.startsWith("-") ? "option" : "command";
    stderr.write(`layerwise: unknown ${what} ${name}${hint}\n${seeHelp("layerwise")}`);
    return 2;
  }
  const { help, run } = await command.load();
  if (rest.includes("--help") || rest.includes("-h")) {
    stdout.write(help);
    return 0;
  }
  try {
    return await run(rest, stdout);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`layerwise ${name}: ${error.message}\n${seeHelp(`layerwise ${name}`)}`);
      return 2;
    }
    // What layerwise or the file system says is meant for users; anything else is a bug to report.
    const expected = error instanceof LayerwiseError || isSystemError(error);
    const text = error instanceof Error ? (expected ? error.message : error.stack) : String(error);
    stderr.write(`layerwise ${name}: ${text}\n`);
    return 1;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

async function runDoctor(argv: readonly string[], out: OutputStream): Promise<number> {
  parseCommandLine(argv, {});
  const { doctorText, gatherDoctorInfo } = await import("./doctor.js");
  const { backendInfo, unaskedBackendInfo } = await import("../backend/select.js");
  let info: DoctorInfo;
  try {
    info = gatherDoctorInfo(packageVersion(), backendInfo());
  } catch (error) {
    // A setting that makes every program fail is what a doctor is called for.
    if (!(error instanceof LayerwiseError)) throw error;
    info = gatherDoctorInfo(packageVersion(), unaskedBackendInfo(), error.message);
  }
  out.write(doctorText(info));
  return info.problem === undefined ? 0 : 1;
}
