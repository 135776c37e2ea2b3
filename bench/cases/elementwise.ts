/**
 * Passes that memory bounds: element-wise chains, reductions, normalisation and the optimizer. Their
 * bytes are those that must be moved if every tensor is touched once per pass that needs it, and each
 * pass' probe is the one that reads and writes in about the same proportion.
 */
import { type Case, elementaryFunctions, type KernelSpec } from "../lib/spec.js";

const float = 4;
const million = 1_000_000;
const eagerAndCompiled = ["PyTorch", "PyTorch, compiled"];

function row(
  name: string,
  spec: KernelSpec,
  traffic?: Case["traffic"],
  peers: readonly string[] = eagerAndCompiled,
): Case {
  return {
    group: "passes",
    name: `kernel ${name}`,
    spec,
    ours: "native",
    peers,
    unit: "call",
    ...(traffic && { traffic }),
  };
}

function flat(kernel: "relu" | "exp", size: number): Case {
  const spec: KernelSpec = { kind: "kernel", kernel, size };
  return row(`${kernel} ${size}`, spec, { copy: 2 * float * size });
}

/** Pooling of a batch of 32 images with 64 channels. */
function pool(
  kernel: "maxPool" | "avgPool",
  side: number,
  window: number,
  stride: number,
  training: boolean,
): Case {
  const [batch, channels] = [32, 64];
  const out = Math.floor((side - window) / stride) + 1;
  const elements = batch * channels * (side ** 2 + out ** 2);
  return row(
    `${kernel} ${batch}x${side}x${side}x${channels}, windows of ${window}, stride ${stride}, ` +
      `forward${training ? " and backward" : ""}`,
    { kind: "kernel", kernel, training, batch, side, channels, window, stride },
    // Reads x and writes y; backward reads both gradients' places, and x again for the largest.
    {
      copy:
        float * elements * (training ? 2 : 1) +
        (training && kernel === "maxPool" ? float * batch * channels * side ** 2 : 0),
    },
  );
}

export const cases: readonly Case[] = [
  flat("relu", 10 * million),
  flat("exp", 10 * million),
  // Stays in cache: what the arithmetic costs.
  ...elementaryFunctions.map((kernel) =>
    row(`${kernel} 16384`, { kind: "kernel", kernel, size: 16_384 }),
  ),
  ...[0.5, 0.2].flatMap((rate) => [
    row(
      `dropout of ${rate} ${10 * million}`,
      { kind: "kernel", kernel: "dropout", size: 10 * million, rate },
      { copy: 2 * float * 10 * million },
    ),
    row(
      `dropout of ${rate} forward and backward ${10 * million}`,
      { kind: "kernel", kernel: "dropoutTraining", size: 10 * million, rate },
      // Reads x and dy, writes y and dx; the mask need not be stored.
      { copy: 4 * float * 10 * million },
    ),
  ]),
  row(
    "adam 10 M parameters",
    { kind: "kernel", kernel: "adam", size: 10 * million },
    // Reads parameter, gradient and both moments; writes all but the gradient.
    { update: 7 * float * 10 * million },
    ["PyTorch", "PyTorch, fused Adam", "PyTorch, compiled"],
  ),
  row(
    "sum over columns 8192x1024",
    { kind: "kernel", kernel: "sumColumns", rows: 8192, cols: 1024 },
    { read: float * 8192 * 1024 },
  ),
  row(
    "sum over rows 8192x1024",
    { kind: "kernel", kernel: "sumRows", rows: 8192, cols: 1024 },
    { read: float * 8192 * 1024 },
  ),
  row(
    "batchNorm training forward 8192x1024",
    { kind: "kernel", kernel: "batchNorm", rows: 8192, cols: 1024 },
    // One reading for the statistics, one reading and one writing to normalise.
    { read: float * 8192 * 1024, copy: 2 * float * 8192 * 1024 },
  ),
  row(
    "batchNorm training forward and backward 8192x1024",
    { kind: "kernel", kernel: "batchNormTraining", rows: 8192, cols: 1024 },
    // Backward reads x and dy for the sums, then both again to write dx.
    {
      read: 3 * float * 8192 * 1024,
      copy: 2 * float * 8192 * 1024,
      triad: 3 * float * 8192 * 1024,
    },
  ),
  row(
    "softmaxCrossEntropy forward and gradient 8192x1000",
    { kind: "kernel", kernel: "softmaxCrossEntropy", rows: 8192, cols: 1000 },
    { copy: 2 * float * 8192 * 1000 },
  ),
  ...[false, true].flatMap((training) => [
    pool("maxPool", 56, 2, 2, training),
    pool("maxPool", 112, 3, 2, training),
    pool("avgPool", 56, 2, 2, training),
  ]),
];
