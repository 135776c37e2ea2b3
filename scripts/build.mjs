/**
 * Builds the package in a checkout: TypeScript to dist/, then the native addon with node-gyp, unless the
 * one that is there is newer than its sources. A machine without a compiler is no failure: everything runs on
 * the TypeScript backend, and one message says so.
 *
 *   node scripts/build.mjs [--native-only] [--strict]     (--strict: fail if the addon can't be built)
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const options = new Set(process.argv.slice(2));
const strict = options.has("--strict");
for (const option of options) {
  if (option !== "--strict" && option !== "--native-only") {
    console.error(`build: unknown option ${option}; the options are --native-only and --strict`);
    process.exit(2);
  }
}

if (!options.has("--native-only")) buildTypeScript();
buildNative();

function buildTypeScript() {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  if (!existsSync(tsc)) {
    console.error("build: TypeScript is not installed; run `npm install` with its devDependencies");
    process.exit(1);
  }
  const result = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function buildNative() {
  const addon = join(root, "build/Release/layerwise.node");
  if (
    existsSync(addon) &&
    statSync(addon).mtimeMs > newest("native", /\.(cc|h|def|gypi)$/, "binding.gyp")
  )
    return;
  const gyp = join(root, "node_modules/node-gyp/bin/node-gyp.js");
  const log = join(root, "build/native-build.log");
  let reason = missingTool(gyp);
  let output = reason ?? "";
  if (!reason) {
    // The running Node's own headers, so that nothing is downloaded.
    const prefix = dirname(dirname(process.execPath));
    const headers = existsSync(join(prefix, "include/node/node_api.h"));
    // On standard error, which npm shows at once; the compiler's own output is in the log.
    console.error("layerwise: compiling the native addon (about 2 minutes)");
    const args = [gyp, "rebuild", "--jobs", "2", ...(headers ? [`--nodedir=${prefix}`] : [])];
    const result = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    output = `${result.error ?? ""}\n${result.stdout ?? ""}\n${result.stderr ?? ""}`;
    if (result.status === 0 && existsSync(addon)) return;
    reason = "the compiler or node-gyp failed";
  }
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, `${output}\n`);
  console.error(
    [
      `layerwise: the native addon was not built: ${reason} (log: build/native-build.log).`,
      "Everything runs on the TypeScript backend, only slower.",
      "To build it later: install a C++17 compiler, make and python3, then `npm run build:native`.",
    ].join("\n"),
  );
  if (strict) process.exit(1);
}

/** When the newest of some files, and of those in a folder whose names fit, was written. */
function newest(folder, names, ...others) {
  const files = others.map((name) => join(root, name));
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (names.test(entry.name)) files.push(join(entry.parentPath, entry.name));
  }
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

/** What is missing for a build, if anything can be told before trying. */
function missingTool(gyp) {
  if (!existsSync(gyp)) return "node-gyp is not installed";
  if (process.platform === "win32") return undefined; // node-gyp finds Visual Studio itself
  const missing = [];
  const compilers = process.env.CXX ? [process.env.CXX.split(" ")[0]] : ["c++", "g++", "clang++"];
  if (!compilers.some(onPath)) missing.push("a C++ compiler");
  if (!["make", "gmake"].some(onPath)) missing.push("make");
  const pythons = [process.env.npm_config_python, process.env.PYTHON, "python3", "python"];
  if (!pythons.some((name) => name && onPath(name))) missing.push("python3");
  if (missing.length === 0) return undefined;
  const last = missing.pop();
  return `${missing.length > 0 ? `${missing.join(", ")} and ` : ""}${last} not found`;
}

function onPath(name) {
  if (name.includes("/")) return existsSync(name);
  return (process.env.PATH ?? "").split(delimiter).some((dir) => existsSync(join(dir, name)));
}
