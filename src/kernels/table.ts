/**
 * Every kernel there is, one row each; docs/program.md says what each does. The native side has the
 * same names in `native/kernels.def`, and a test asserts that neither side lacks one.
 */
import { conv2d, conv2dFilterGradient, conv2dInputGradient } from "./convolution.js";
import { gather, scatterAdd, scatterRows } from "./gather.js";
import { transformImages, transformImagesGradient } from "./image.js";
import type { Kernel } from "./kernel.js";
import { map } from "./map.js";
import { gemm } from "./matmul.js";
import { copy } from "./movement.js";
import { moments } from "./normalization.js";
import { avgPool, avgPoolGradient, maxPool, maxPoolGradient } from "./pooling.js";
import { recurrent, recurrentGradient } from "./recurrent.js";
import { reduce } from "./reduce.js";
import { cumsum } from "./scan.js";
import { argReduce, topK } from "./select.js";
import { sequenceOuter, sequenceProduct } from "./sequence.js";
import { softmax, softmaxCrossEntropy, sparseSoftmaxCrossEntropy } from "./softmax.js";

export const kernels = {
  map,
  reduce,
  gemm,
  copy,
  gather,
  scatterAdd,
  scatterRows,
  softmax,
  softmaxCrossEntropy,
  sparseSoftmaxCrossEntropy,
  moments,
  argReduce,
  topK,
  cumsum,
  conv2d,
  conv2dInputGradient,
  conv2dFilterGradient,
  maxPool,
  maxPoolGradient,
  avgPool,
  avgPoolGradient,
  transformImages,
  transformImagesGradient,
  recurrent,
  recurrentGradient,
  sequenceProduct,
  sequenceOuter,
} as const satisfies Record<string, Kernel>;

/** Name of a kernel. */
export type KernelName = keyof typeof kernels;

/** Whether a kernel carries an epilogue: its call's tile inputs then follow the two operands. */
export function hasEpilogue(name: string): boolean {
  return findKernel(name)?.tile === "epilogue";
}

/** The row of a kernel, or undefined when there is none of that name. */
export function findKernel(name: string): Kernel | undefined {
  return Object.hasOwn(kernels, name) ? kernels[name as KernelName] : undefined;
}
