/**
 * Passes that memory bounds: element-wise chains, reductions, normalisation and the optimizer. `bytes`
 * is what must be moved if every tensor is touched once per pass that needs it.
 */
import type { Case, KernelSpec } from "../lib/spec.js";

const float = 4;

function row(name: string, spec: KernelSpec, bytes?: number, peers = ["PyTorch"]): Case {
  const shared = { name: `kernel ${name}`, spec, ours: "native", peers, unit: "call" } as const;
  return bytes === undefined ? shared : { ...shared, bytes };
}

function flat(kernel: "relu" | "exp" | "dropout", size: number): Case {
  return row(`${kernel} ${size}`, { kind: "kernel", kernel, size }, 2 * float * size);
}

const million = 1_000_000;

export const cases: readonly Case[] = [
  flat("relu", 10 * million),
  flat("exp", 10 * million),
  // Stays in cache: what the arithmetic costs.
  row("exp 16384", { kind: "kernel", kernel: "exp", size: 16_384 }),
  flat("dropout", 10 * million),
  row(
    "adam 10 M parameters",
    { kind: "kernel", kernel: "adam", size: 10 * million },
    // Reads parameter, gradient and both moments; writes all but the gradient.
    7 * float * 10 * million,
    ["PyTorch", "PyTorch, fused Adam"],
  ),
  row(
    "sum over columns 8192x1024",
    { kind: "kernel", kernel: "sumColumns", rows: 8192, cols: 1024 },
    float * 8192 * 1024,
  ),
  row(
    "sum over rows 8192x1024",
    { kind: "kernel", kernel: "sumRows", rows: 8192, cols: 1024 },
    float * 8192 * 1024,
  ),
  row(
    "batchNorm training forward 8192x1024",
    { kind: "kernel", kernel: "batchNorm", rows: 8192, cols: 1024 },
    // One reading for the statistics, one reading and one writing to normalise.
    3 * float * 8192 * 1024,
  ),
  row(
    "softmaxCrossEntropy forward and gradient 8192x1000",
    { kind: "kernel", kernel: "softmaxCrossEntropy", rows: 8192, cols: 1000 },
    2 * float * 8192 * 1000,
  ),
];
