/** `lw.data`: datasets for training on what does not fit in memory, and what prepares their elements. */
export {
  type ArraysLike,
  fromArrays,
  fromGenerator,
  fromIndexed,
  fromIterable,
  zip,
} from "../data/arrays.js";
export type { BatchOptions, PaddedBatchOptions, PaddedShapes } from "../data/batching.js";
export type { BucketOptions } from "../data/bucketing.js";
export { Dataset, type MapOptions } from "../data/dataset.js";
export type { Batched, ElementSpec, FieldSpec } from "../data/elements.js";
export type { ShuffleOptions } from "../data/shuffle.js";
export type { IterableSource } from "../data/source.js";
