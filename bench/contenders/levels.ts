/**
 * What the BLAS-like peers reach on this machine, measured before they are compared with: 1024³ on one
 * thread, where a good library is at some 85 to 95 % of the peak. OpenBLAS picks its kernels by the name
 * of the CPU, which it may not know or which a virtual machine hides, so all that fit are tried here.
 */
import { Child } from "../lib/child.js";
import type { KernelSpec } from "../lib/spec.js";
import { type Contender, contenders } from "./contenders.js";

const size = 1024;
const cube: KernelSpec = {
  kind: "kernel",
  kernel: "gemm",
  m: size,
  n: size,
  k: size,
  transposeA: false,
  transposeB: false,
};

/** Names that OpenBLAS gives its sets of kernels, by what they need. */
const coreTypes: Readonly<Record<string, readonly string[]>> = {
  avx512: ["SkylakeX", "Cooperlake", "SapphireRapids", "Haswell", "Zen"],
  avx2: ["Haswell", "Zen"],
  neon: ["NeoverseN1", "NeoverseV1", "ARMV8"],
};

/** GFLOP/s by contender, or by set of kernels. */
export type Levels = Readonly<Record<string, number>>;

/** Best of three rounds; undefined where the contender can't run, or crashes on kernels of another CPU. */
async function level(contender: Contender): Promise<number | undefined> {
  const child = new Child(contender, 1);
  await child.ask({ op: "setup", spec: cube, threads: 1, options: contender.options });
  let best: number | undefined;
  for (let round = 0; round < 3; round++) {
    const { perUnit } = await child.ask({ op: "measure", seconds: 0.1 });
    if (perUnit === undefined) break;
    best = Math.max(best ?? 0, (2 * size ** 3) / perUnit / 1e9);
  }
  await child.close();
  return best;
}

/**
 * Finds OpenBLAS's best kernels and sets OPENBLAS_CORETYPE for the processes to come; gives the levels
 * of all its sets that run. Empty where OpenBLAS is not there.
 */
async function tuneOpenBlas(isa: string): Promise<Levels> {
  const given = process.env.OPENBLAS_CORETYPE;
  const candidates = new Set([undefined, given || undefined, ...(coreTypes[isa] ?? [])]);
  const levels: Record<string, number> = {};
  let best = 0;
  let chosen: string | undefined;
  for (const core of candidates) {
    setCore(core);
    const reached = await level(contenders.OpenBLAS!);
    if (reached === undefined) continue;
    levels[`OpenBLAS, ${core ?? "as it detects"}`] = reached;
    // What is within the noise of its own detection leaves it alone.
    if (reached > 1.02 * best) {
      best = reached;
      chosen = core;
    }
  }
  setCore(chosen);
  return levels;
}

/** An empty name would be taken for an unknown one, so it is taken away. */
function setCore(core: string | undefined): void {
  if (core === undefined) delete process.env.OPENBLAS_CORETYPE;
  else process.env.OPENBLAS_CORETYPE = core;
}

/** The levels of the BLAS-like peers among `names`; tunes OpenBLAS on the way. */
export async function ownLevels(names: ReadonlySet<string>, isa: string): Promise<Levels> {
  const levels: Record<string, number> = {};
  if (names.has("OpenBLAS")) Object.assign(levels, await tuneOpenBlas(isa));
  if (names.has("oneDNN")) {
    const reached = await level(contenders.oneDNN!);
    if (reached !== undefined) levels.oneDNN = reached;
  }
  return levels;
}
