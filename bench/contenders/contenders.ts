/** Who can be timed: one row per contender, each a command that speaks the protocol of lib/spec.ts. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Contender {
  readonly command: string;
  readonly args: readonly string[];
  /** Beside what the benchmark itself was given; undefined takes a variable away. */
  readonly environment: (threads: number) => Readonly<Record<string, string | undefined>>;
  /** Handed over with `setup`. */
  readonly options: Readonly<Record<string, string>>;
  /** What to say where there is no such command. */
  readonly missing?: string;
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

/**
 * GNU's OpenMP as it is fastest alone: its team spins for some milliseconds between two parallel regions
 * and parks well within the pause between two contenders. An `active` policy would spin on for ever.
 */
const openMp = (threads: number): Readonly<Record<string, string | undefined>> => ({
  OMP_NUM_THREADS: String(threads),
  OMP_DYNAMIC: "false",
  OMP_WAIT_POLICY: undefined,
  GOMP_SPINCOUNT: undefined,
});

function torch(options: Readonly<Record<string, string>>): Contender {
  return {
    command: python(),
    args: [here("./torch_worker.py")],
    environment: (threads) => ({
      ...openMp(threads),
      MKL_NUM_THREADS: String(threads),
      // Compiling in this process leaves no idle pool of compilers behind.
      TORCHINDUCTOR_COMPILE_THREADS: "1",
    }),
    options,
  };
}

function blas(library: "openblas" | "onednn", environment: Contender["environment"]): Contender {
  return {
    command: here(`../peers/bin/${library}`),
    args: [],
    environment,
    options: {},
    missing: "its worker is not built; see what `npm run bench:peers` says",
  };
}

function javascript(worker: string): Contender {
  return {
    command: process.execPath,
    args: [here(worker)],
    environment: () => ({}),
    options: {},
  };
}

export const contenders: Readonly<Record<string, Contender>> = {
  native: layerwise("native"),
  typescript: layerwise("typescript"),
  oneDNN: blas("onednn", openMp),
  OpenBLAS: blas("openblas", (threads) => ({
    OPENBLAS_NUM_THREADS: String(threads),
    // Idle threads yield for 2^25 cycles, about 10 ms, before they sleep; the default is 2^26.
    OPENBLAS_THREAD_TIMEOUT: "25",
  })),
  PyTorch: torch({ adam: "default" }),
  "PyTorch, channels last": torch({ layout: "channelsLast" }),
  "PyTorch, fused Adam": torch({ adam: "fused" }),
  "PyTorch, compiled": torch({ compile: "default" }),
  "scikit-learn": {
    command: python(),
    args: [here("./sklearn_worker.py")],
    environment: (threads) => ({ ...openMp(threads), OPENBLAS_NUM_THREADS: String(threads) }),
    options: {},
  },
  "TensorFlow.js cpu": javascript("./tfjs_worker.mjs"),
  "onnxruntime-node": javascript("./onnx_worker.mjs"),
};
