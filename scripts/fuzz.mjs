/**
 * The fuzzers, by name: `npm run fuzz -- program|safetensors|idx [--seconds 60]`. Seconds are CPU
 * seconds. `program` is native/fuzz under libFuzzer and the sanitizers and needs clang and cmake; its
 * corpus is kept beside the build. The file parsers are test/fuzz and need nothing but node.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build, demand, root, run } from "./cmake.mjs";

const [name, ...rest] = process.argv.slice(2);
if (name === "program") await fuzzProgram(secondsOf(rest));
else run(process.execPath, ["--import", "tsx", "test/fuzz/main.ts", name ?? "", ...rest]);

function secondsOf(args) {
  if (args.length === 0) return 60;
  const seconds = Number(args[1]);
  if (args.length === 2 && args[0] === "--seconds" && seconds > 0) return seconds;
  console.error("fuzz: expected program [--seconds N]");
  process.exit(2);
}

async function fuzzProgram(seconds) {
  demand("fuzz", { cmake: "cmake", make: "make", "clang++": "clang" });
  const folder = "native/build/fuzz";
  const variables = {
    CMAKE_CXX_COMPILER: "clang++",
    LAYERWISE_FUZZ: "ON",
    LAYERWISE_SANITIZE: "address,undefined",
  };
  build(folder, variables, "layerwise-fuzz-program");
  const corpus = join(root, folder, "corpus");
  mkdirSync(corpus, { recursive: true });
  const options = [
    "-max_len=8192",
    "-timeout=60",
    "-rss_limit_mb=2048",
    "-print_final_stats=1",
    // Inputs that crash or take long; else they would lie in the checkout.
    `-artifact_prefix=${join(root, folder)}/`,
  ];
  const child = spawn(join(root, folder, "layerwise-fuzz-program"), [...options, corpus], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ASAN_OPTIONS: "quarantine_size_mb=32" },
  });
  // SIGUSR1 asks libFuzzer to finish and print its figures.
  const watch = setInterval(() => {
    if (cpuSeconds(child.pid) >= seconds) child.kill("SIGUSR1");
  }, 500);
  const status = await new Promise((resolve) => child.once("exit", resolve));
  clearInterval(watch);
  process.exit(status ?? 1);
}

/** CPU seconds that a process has used, from /proc; 0 once it is gone. */
function cpuSeconds(pid) {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return 0;
  const stat = readFileSync(file, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticksPerSecond = 100; // USER_HZ is 100 on every Linux platform that Node supports
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
