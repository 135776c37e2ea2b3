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
export {
  type CsvColumn,
  type CsvOptions,
  type CsvRow,
  csv,
  type LabelledCsvOptions,
} from "../data/csv.js";
export { Dataset, type MapOptions } from "../data/dataset.js";
export type { Batched, ElementSpec, FieldSpec } from "../data/elements.js";
export {
  type ImageFolder,
  type ImageFolderOptions,
  imageFolder,
  type LabelledPicture,
} from "../data/imagefolder.js";
export {
  type BpttOptions,
  bpttBatches,
  type PadSequencesOptions,
  padSequences,
  type SequenceLike,
  type SlidingWindowsOptions,
  slidingWindows,
} from "../data/sequences.js";
export type { ShuffleOptions } from "../data/shuffle.js";
export type { IterableSource } from "../data/source.js";
export { type TextLinesOptions, type TextSource, textLines } from "../data/text.js";
export {
  type TargetedTimeseriesOptions,
  type TimeseriesOptions,
  timeseries,
} from "../data/timeseries.js";
export {
  CharTokenizer,
  type DecodeOptions,
  type Tokenizer,
  type TokenizerOptions,
  type TokensLike,
  WordTokenizer,
  type WordTokenizerOptions,
} from "../data/tokenizers.js";
