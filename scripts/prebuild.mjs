/**
 * Makes the binary that the package carries for this platform: builds the addon, strips a copy into
 * prebuilds/<platform>/layerwise.node, where the backend looks for it, and loads it once. Run it before
 * `npm pack`, on every platform that is to have one.
 *
 *   node scripts/prebuild.mjs
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findAddon, platformTag } from "../dist/backend/native.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

run(process.execPath, ["scripts/build.mjs", "--native-only", "--strict"]);
const prebuilt = join("prebuilds", platformTag(), "layerwise.node");
mkdirSync(join(root, dirname(prebuilt)), { recursive: true });
copyFileSync(join(root, "build/Release/layerwise.node"), join(root, prebuilt));
// macOS' strip keeps what a loadable module needs only with -x.
run(process.env.STRIP ?? "strip", process.platform === "darwin" ? ["-x", prebuilt] : [prebuilt]);
const { addon, attempts } = findAddon(join(root, prebuilt));
if (!addon) fail(`${prebuilt} does not load: ${attempts[0].result}`);
console.log(
  `prebuild: ${prebuilt}, ${(statSync(join(root, prebuilt)).size / 1024).toFixed(0)} KiB`,
);

function run(command, args) {
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error || status !== 0) fail(`${command} ${args.join(" ")}: ${error?.message ?? status}`);
}

function fail(message) {
  console.error(`prebuild: ${message}`);
  process.exit(1);
}
