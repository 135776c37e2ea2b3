/**
 * Builds the package in a checkout: TypeScript into dist/, then the addon into build/Release.
 *
 *   node scripts/build.mjs [--native-only] [--strict]
 *
 * It is npm's `prepare` script, so `npm install` in a fresh clone ends with a built package. Where the
 * addon can't be built, that is said once and the install succeeds: everything then runs on the
 * TypeScript backend. With --strict it fails instead.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const flags = new Set(process.argv.slice(2));
const addon = join(root, "build", "Release", "layerwise.node");
const log = join(root, "build", "native-build.log");

/** Runs a Node program of our own dependencies, without a shell. */
function runNode(script, args, options = {}) {
  return spawnSync(process.execPath, [join(root, "node_modules", script), ...args], {
    cwd: root,
    encoding: "utf8",
    ...options,
  });
}

function buildTypeScript() {
  if (!existsSync(join(root, "node_modules", "typescript"))) {
    // `npm install --omit=dev` and git dependencies without dev tools: nothing to build with.
    process.stderr.write("layerwise: TypeScript is not installed; dist/ was not built.\n");
    process.exit(1);
  }
  const result = runNode("typescript/bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** The newest change of anything the addon is made of. */
function newestSource() {
  let newest = statSync(join(root, "binding.gyp")).mtimeMs;
  const visit = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        if (entry.name !== "build" && entry.name !== "test") visit(path);
      } else {
        newest = Math.max(newest, statSync(path).mtimeMs);
      }
    }
  };
  visit(join(root, "native"));
  return newest;
}

function upToDate() {
  return existsSync(addon) && statSync(addon).mtimeMs > newestSource();
}

/** Node's own headers, so that node-gyp has nothing to download. */
function headerArguments() {
  const prefix = join(dirname(process.execPath), "..");
  return existsSync(join(prefix, "include", "node", "node_api.h")) ? [`--nodedir=${prefix}`] : [];
}

/** What a build needs and this machine lacks. */
function missingTools() {
  if (process.platform === "win32") return [];
  const found = (...names) =>
    names.some((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined);
  const wanted = [
    ["a C++ compiler (g++ or clang++)", [process.env.CXX, "c++", "g++", "clang++"]],
    ["make", [process.env.MAKE, "make", "gmake"]],
    ["python3", [process.env.PYTHON, process.env.npm_config_python, "python3", "python"]],
  ];
  return wanted.filter(([, names]) => !found(...names.filter(Boolean))).map(([what]) => what);
}

function buildAddon() {
  if (upToDate()) return;
  const missing = missingTools();
  if (missing.length > 0) {
    fail(`${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} missing`);
    return;
  }
  process.stderr.write("layerwise: building the native addon (a minute or two) …\n");
  const environment = { ...process.env };
  const configured = existsSync(join(root, "build", "Makefile"));
  const result = runNode(
    "node-gyp/bin/node-gyp.js",
    [configured ? "build" : "rebuild", "--jobs=2", ...headerArguments()],
    { env: environment, maxBuffer: 1 << 28 },
  );
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, `${result.stdout ?? ""}\n${result.stderr ?? ""}`);
  if (result.status !== 0 || !existsSync(addon)) fail(`the build failed; its output is in ${log}`);
}

function fail(reason) {
  process.stderr.write(
    `layerwise: the native addon was not built: ${reason}.\n` +
      "layerwise: everything works on the slower TypeScript backend. " +
      "To build the addon later: npm run build:native\n",
  );
  if (flags.has("--strict")) process.exitCode = 1;
}

if (!flags.has("--native-only")) buildTypeScript();
buildAddon();
