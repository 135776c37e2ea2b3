/** Matrix products: cubes, and the shapes of dense layers in their three orientations. */
import type { Case } from "../lib/spec.js";

type Size = readonly [m: number, n: number, k: number];

function product([m, n, k]: Size, orientation: "nn" | "nt" | "tn"): Case {
  return {
    group: "products",
    name: `kernel gemm ${orientation} ${m}x${k}x${n}`,
    spec: {
      kind: "kernel",
      kernel: "gemm",
      m,
      n,
      k,
      transposeA: orientation === "tn",
      transposeB: orientation === "nt",
    },
    ours: "native",
    peers: ["oneDNN", "OpenBLAS", "PyTorch"],
    unit: "call",
    flops: 2 * m * n * k,
    // With few rows it is reading the weights that takes the time.
    ...(m <= 8 && { traffic: { read: 4 * (m * k + k * n + m * n) } }),
  };
}

const cubes: readonly Size[] = [16, 32, 64, 128, 256, 512, 1024].map((n) => [n, n, n]);
/** A dense layer's forward pass: batch × inputs × units. */
const dense: readonly Size[] = [
  [32, 512, 784],
  [128, 1024, 1024],
  [1, 4096, 4096],
];

export const cases: readonly Case[] = [...cubes, ...dense].flatMap((size) => [
  product(size, "nn"),
  product(size, "nt"),
  product(size, "tn"),
]);
