/** What the scripts that build with CMake share. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Whether `name` is a program on the PATH. */
export function onPath(name) {
  return (process.env.PATH ?? "").split(delimiter).some((dir) => existsSync(join(dir, name)));
}

/** Ends the process with a message that says what is missing and how to get it on Debian. */
export function demand(script, programs) {
  const missing = Object.keys(programs).filter((name) => !onPath(name));
  if (missing.length === 0) return;
  const packages = missing.map((name) => programs[name]).join(" ");
  console.error(`${script}: ${missing.join(", ")} not found; on Debian: apt install ${packages}`);
  process.exit(2);
}

/** Runs a program in the repository and ends the process with its status if that is not 0. */
export function run(program, args, options = {}) {
  const result = spawnSync(program, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Configures native/ in `folder` with cache variables and builds `target`. */
export function build(folder, variables, target) {
  const definitions = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  // Variables of an earlier build in the same folder must not linger; the objects may.
  run("cmake", ["--fresh", "-S", "native", "-B", folder, ...definitions], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  run("cmake", ["--build", folder, "--parallel", "2", "--target", target]);
}
