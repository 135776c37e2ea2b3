/**
 * Part of `npm run bench:peers`: builds the workers of bench/contenders/blas against the libraries that
 * the system has. It installs none: it says how. Without them the other peers still run.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const sources = "../contenders/blas";
const libraries = [
  { title: "OpenBLAS", worker: "openblas", header: "cblas.h", link: ["-lopenblas"] },
  // Its own OpenMP is GNU's; -fopenmp gives the worker the same one, to set the threads of.
  { title: "oneDNN", worker: "onednn", header: "dnnl.hpp", link: ["-ldnnl", "-fopenmp"] },
];
const compiler = process.env.CXX ?? "c++";
const compile = (args, options) => spawnSync(compiler, ["-std=c++17", ...args], options);

if (compile(["--version"]).error) {
  console.error(
    `There is no C++ compiler (${compiler}); the rows of OpenBLAS and oneDNN will be empty`,
  );
  process.exit(0);
}
mkdirSync(here("bin"), { recursive: true });
let missing = false;
for (const { title, worker, header, link } of libraries) {
  const output = here(`bin/${worker}`);
  rmSync(output, { force: true });
  const found = compile(["-fsyntax-only", "-x", "c++", "-"], { input: `#include <${header}>\n` });
  if (found.status !== 0) {
    console.error(`${title}: ${header} is not installed; its rows will be empty`);
    missing = true;
    continue;
  }
  const files = [here(`${sources}/worker.cc`), here(`${sources}/${worker}.cc`)];
  const built = compile(["-O2", "-Wall", "-Wextra", ...files, ...link, "-o", output], {
    stdio: "inherit",
  });
  console.log(`${title}: ${built.status === 0 ? "built" : "its worker could not be built"}`);
}
if (missing) console.error("On Debian: apt-get install libopenblas-dev libdnnl-dev");
