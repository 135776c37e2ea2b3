/**
 * Every kernel there is, one row each; docs/program.md says what each does. The native side has the
 * same names in `native/kernels.def`, and a test asserts that neither side lacks one.
 */
import { gather, scatterAdd } from "./gather.js";
import { transformImages, transformImagesGradient } from "./image.js";
import type { Kernel } from "./kernel.js";
import { map } from "./map.js";
import { gemm } from "./matmul.js";
import { copy } from "./movement.js";
import { moments } from "./normalization.js";
import { avgPool, avgPoolGradient, maxPool, maxPoolGradient } from "./pooling.js";
import { reduce } from "./reduce.js";
import { cumsum } from "./scan.js";
import { argReduce, topK } from "./select.js";
import { softmax, softmaxCrossEntropy, sparseSoftmaxCrossEntropy } from "./softmax.js";

export const kernels = {
  map,
  reduce,
  gemm,
  copy,
  gather,
  scatterAdd,
  softmax,
  softmaxCrossEntropy,
  sparseSoftmaxCrossEntropy,
  moments,
  argReduce,
  topK,
  cumsum,
  maxPool,
  maxPoolGradient,
  avgPool,
  avgPoolGradient,
  transformImages,
  transformImagesGradient,
} as const satisfies Record<string, Kernel>;

/** Name of a kernel. */
export type KernelName = keyof typeof kernels;

/** The row of a kernel, or undefined when there is none of that name. */
export function findKernel(name: string): Kernel | undefined {
  return Object.hasOwn(kernels, name) ? kernels[name as KernelName] : undefined;
}
