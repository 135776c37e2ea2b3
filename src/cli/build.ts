/**
 * `layerwise build`: compiles the native addon from the sources in the package with CMake, into a
 * place where the backend looks. Nothing is downloaded: the headers are those of the running Node and
 * of node-addon-api, which is installed with layerwise.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findAddon } from "../backend/native.js";
import { BackendError } from "../errors.js";
import { numberOption, parseCommandLine } from "./options.js";
import type { OutputStream } from "./text.js";

export const buildHelp = `Usage: layerwise build [options]

Compiles the native addon on this machine, from the sources that come with the package; for a platform
without a prebuilt one. It needs CMake, make or ninja, and a compiler for C++17 ($CXX, else the
system's), and downloads nothing.

Options
  --jobs N       files compiled at once                                      [the CPUs of this machine]
  --nodedir DIR  a Node.js installation whose include/node to use            [that of the running Node]
  --help, -h     this text
`;

const packageRoot = fileURLToPath(new URL("../../", import.meta.url));

/** Runs the command; resolves to its exit code. */
export async function runBuild(
  argv: readonly string[],
  out: OutputStream,
  native = join(packageRoot, "native"),
): Promise<number> {
  const given = parseCommandLine(argv, { jobs: true, nodedir: true });
  const limits = { min: 1, max: 1024, integer: true };
  const jobs = numberOption("jobs", given.jobs, limits) ?? availableParallelism();
  checkTools();
  const headers = nodeHeaders(given.nodedir);
  const build = join(native, "build");
  const output = join(build, "Release");
  await access(native, constants.W_OK);
  mkdirSync(output, { recursive: true });

  const log = join(build, "build.log");
  out.write(
    `layerwise: compiling the native addon with ${jobs} job${jobs === 1 ? "" : "s"} ` +
      `(about 2 minutes; log: ${log})\nLooking at the compiler\n`,
  );
  const file = openSync(log, "w");
  try {
    await cmake(file, log, out, [
      ...["-S", native, "-B", build, "-DCMAKE_BUILD_TYPE=Release"],
      `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${output}`,
      `-DCMAKE_JS_INC=${headers}`,
      `-DNODE_ADDON_API=${addonApi()}`,
    ]);
    const target = ["--config", "Release", "--target", "layerwise"];
    await cmake(file, log, out, ["--build", build, ...target, "--parallel", String(jobs)]);
  } finally {
    closeSync(file);
  }
  const path = join(output, "layerwise.node");
  const { addon, attempts } = findAddon(path);
  if (!addon)
    throw new BackendError(`the addon was built but does not load: ${attempts[0]?.result}`);
  out.write(`Built ${path}\nIt loads here and runs ${addon.info().isa} kernels.\n`);
  return 0;
}

/**
 * Runs CMake with its output in the log; what it said last becomes the error's text. What make and ninja
 * say of their progress is shown too.
 */
async function cmake(
  file: number,
  log: string,
  out: OutputStream,
  args: readonly string[],
): Promise<void> {
  const child = spawn("cmake", args, { stdio: ["ignore", "pipe", file] });
  let begun = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    writeSync(file, text);
    const lines = (begun + text).split("\n");
    begun = lines.pop()!;
    for (const line of lines) {
      const progress = progressOf(line);
      if (progress !== undefined) out.write(`${progress}\n`);
    }
  });
  const problem = await new Promise<string | undefined>((done) => {
    child.once("error", (error) => done(error.message));
    child.once("close", (code, signal) =>
      done(code === 0 ? undefined : `ended with ${signal ?? code}`),
    );
  });
  if (problem === undefined) return;
  const said = readFileSync(log, "utf8").trimEnd().split("\n").slice(-15);
  throw new BackendError([`cmake ${problem}; the last lines of ${log}:`, ...said].join("\n  "));
}

/** Of `[ 12%] Building CXX object CMakeFiles/x.dir/kernels/gather.cc.o` the share and the file. */
function progressOf(line: string): string | undefined {
  const [, share, what] = /^(\[ *\d+(?:%|\/\d+)\]) (Building|Linking) /.exec(line) ?? [];
  if (share === undefined) return undefined;
  if (what === "Linking") return `${share} linking`;
  const path = /\.dir\/(\S+?)\.(?:o|obj)$/.exec(line)?.[1];
  return `${share} ${path ?? "compiling"}`;
}

function checkTools(): void {
  const compilers = process.env.CXX ? [process.env.CXX.split(" ")[0]!] : ["c++", "g++", "clang++"];
  const missing = [
    ...(onPath("cmake") ? [] : ["CMake"]),
    ...(["make", "gmake", "ninja"].some(onPath) ? [] : ["make"]),
    ...(compilers.some(onPath) ? [] : ["a C++17 compiler"]),
  ];
  // On Windows CMake knows Visual Studio, which need not be on the path.
  if (missing.length === 0 || (process.platform === "win32" && onPath("cmake"))) return;
  throw new BackendError(
    `${missing.join(", ")} not found on the PATH; install ${missing.length > 1 ? "them" : "it"} ` +
      "and run this again (Debian, Ubuntu: `apt-get install build-essential cmake`; " +
      "Alpine: `apk add build-base cmake`; macOS: `xcode-select --install` and `brew install cmake`)",
  );
}

function onPath(name: string): boolean {
  if (name.includes("/")) return existsSync(name);
  const names = process.platform === "win32" ? [`${name}.exe`] : [name];
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => names.some((file) => existsSync(join(folder, file))));
}

/** The folder of node_api.h. */
function nodeHeaders(nodedir: string | undefined): string {
  const prefix = nodedir === undefined ? dirname(dirname(process.execPath)) : resolve(nodedir);
  const headers = join(prefix, "include/node");
  if (existsSync(join(headers, "node_api.h"))) return headers;
  throw new BackendError(
    `no node_api.h in ${headers}; install the headers of Node.js there (some distributions have them ` +
      "in a package of their own), or name an installation that has them with --nodedir",
  );
}

/** The folder of napi.h. */
function addonApi(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("node-addon-api/package.json"));
  } catch {
    throw new BackendError("node-addon-api is not installed; run `npm install node-addon-api`");
  }
}
