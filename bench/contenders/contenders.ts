/** Who can be timed: one row per contender, each a command that speaks the protocol of lib/spec.ts. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Contender {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: (threads: number) => Readonly<Record<string, string>>;
  /** Handed over with `setup`. */
  readonly options: Readonly<Record<string, string>>;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** `npm run bench:peers` makes an environment of its own where the system's Python lacks PyTorch. */
function python(): string {
  const own = here("../peers/.venv/bin/python");
  return process.env.LAYERWISE_BENCH_PYTHON ?? (existsSync(own) ? own : "python3");
}

function layerwise(backend: "native" | "typescript"): Contender {
  return {
    command: process.execPath,
    // The loader that runs this file runs the worker too.
    args: [...process.execArgv, "--expose-gc", here("./layerwise/worker.ts")],
    environment: (threads) => ({
      LAYERWISE_BACKEND: backend,
      LAYERWISE_THREADS: String(threads),
    }),
    options: {},
  };
}

function torch(options: Readonly<Record<string, string>>): Contender {
  return {
    command: python(),
    args: [here("./torch_worker.py")],
    environment: (threads) => ({
      OMP_NUM_THREADS: String(threads),
      MKL_NUM_THREADS: String(threads),
    }),
    options,
  };
}

export const contenders: Readonly<Record<string, Contender>> = {
  native: layerwise("native"),
  typescript: layerwise("typescript"),
  PyTorch: torch({ adam: "default" }),
  "PyTorch, fused Adam": torch({ adam: "fused" }),
  "TensorFlow.js cpu": {
    command: process.execPath,
    args: [here("./tfjs_worker.mjs")],
    environment: () => ({}),
    options: {},
  },
};
