/**
 * Part of `npm run bench:peers`: PyTorch and scikit-learn, from requirements.txt into bench/peers/.venv,
 * unless the system's Python has both already. Without Python the other peers still run.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const run = (command, ...args) => spawnSync(command, args, { stdio: "inherit" }).status === 0;

if (spawnSync("python3", ["-c", "import torch, sklearn"]).status === 0) {
  console.log("PyTorch and scikit-learn: those of python3 are used");
} else if (
  !run("python3", "-m", "venv", here(".venv")) ||
  !run(here(".venv/bin/pip"), "install", "--requirement", here("requirements.txt"))
) {
  console.error("PyTorch and scikit-learn could not be installed; their rows will be left empty");
}
