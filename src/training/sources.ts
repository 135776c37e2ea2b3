/**
 * From what `fit` and `evaluate` are given to feeds: arrays, the rows of arrays behind a dataset, or its
 * batches as they come; and the same for validation.
 */
import type { RowBatches } from "../data/dataset.js";
import { partsOf } from "../data/elements.js";
import { ArgumentError, checkInteger, expected, show } from "../errors.js";
import {
  type Data,
  type DataLike,
  type DataRequest,
  gatherData,
  settle,
  sliceData,
  withClassWeights,
} from "./data.js";
import {
  ArrayFeed,
  type Cut,
  type Feed,
  type StepMaker,
  StreamFeed,
  seededOrder,
  WindowFeed,
} from "./feed.js";
import {
  checkDatasetOptions,
  type EvaluateOptions,
  type FitOptions,
  type FitSource,
} from "./options.js";
import { inferenceBatch, rowsPerBatch } from "./predictor.js";
import { BatchStream, isDataset } from "./stream.js";

/** What feeds are made with. */
export interface Feeding {
  /** For messages. */
  readonly where: string;
  readonly request: DataRequest;
  /** Training steps; `gathered` ones pick samples by index from whole arrays. */
  trainStep(gathered: boolean): StepMaker;
  readonly evaluationStep: StepMaker;
}

/** Feeds of data in memory. */
export async function heldFeeds(
  feeding: Feeding,
  { x, y }: { readonly x: DataLike; readonly y: DataLike },
  options: FitOptions,
  seed: number,
  open: Feed[],
): Promise<{ feed: Feed; validation: Feed | null }> {
  const { where, request } = feeding;
  await settle(x, y, options.sampleWeight);
  const all = gatherData(where, request, x, y, options.sampleWeight);
  const { kept, held } = splitData(where, all, options);
  const data = withClassWeights(where, request, kept, options.classWeight);
  const rows = rowsPerBatch(where, "batchSize", options.batchSize ?? 32, data.count);
  const batches = Math.ceil(data.count / rows);
  const steps = options.stepsPerEpoch ?? batches;
  checkInteger(where, "stepsPerEpoch", steps, 1, batches);
  const orderOf = seededOrder(data.count, (options.shuffle ?? true) ? seed | 0 : null);
  const cut = { rows, steps, orderOf };
  const feed = new ArrayFeed(data, cut, feeding.trainStep(true));
  const validation = held
    ? windowFeed(feeding, held, options.validationBatchSize ?? rows)
    : await validationFeed(feeding, options, rows, open);
  return { feed, validation };
}

/** Feeds of a dataset. */
export async function streamedFeeds(
  feeding: Feeding,
  stream: BatchStream,
  options: FitOptions,
  open: Feed[],
): Promise<{ feed: Feed; validation: Feed | null }> {
  const { where, request } = feeding;
  const { stepsPerEpoch, classWeight } = options;
  checkDatasetOptions(where, options);
  if (stepsPerEpoch !== undefined) checkInteger(where, "stepsPerEpoch", stepsPerEpoch, 1);
  const { rows } = stream.dataset;
  if (rows && stepsPerEpoch === undefined) {
    const data = withClassWeights(where, request, await wholeData(feeding, rows), classWeight);
    const feed = new ArrayFeed(data, cutOf(rows, data.count), feeding.trainStep(true));
    const validation = await validationFeed(feeding, options, feed.rows, open);
    return { feed, validation };
  }
  const feed = await StreamFeed.open(stream, {
    where,
    request,
    makeStep: feeding.trainStep(false),
    prepare: (data) => withClassWeights(where, request, data, classWeight),
    steps: stepsPerEpoch,
    stepsOption: "stepsPerEpoch",
    continues: stepsPerEpoch !== undefined,
  });
  return { feed, validation: await validationFeed(feeding, options, feed.rows, open) };
}

/** The arrays whose rows a dataset's batches are. */
async function wholeData({ where, request }: Feeding, { whole }: RowBatches): Promise<Data> {
  const { x, y, weights } = partsOf(where, whole);
  await settle(x, y, weights);
  return gatherData(where, request, x, y, weights);
}

/** The feed of `validationData`, if there is any. */
async function validationFeed(
  feeding: Feeding,
  { validationData, validationBatchSize, validationSteps }: FitOptions,
  rows: number,
  open: Feed[],
): Promise<Feed | null> {
  const { where, request } = feeding;
  if (validationData === undefined) return null;
  const at = `${where}: validationData`;
  if (isDataset(validationData)) {
    const stream = new BatchStream(at, validationData);
    const feed = await batchesFeed(
      { ...feeding, where: at },
      stream,
      validationSteps,
      "validationSteps",
    );
    open.push(feed);
    return feed;
  }
  if (validationSteps !== undefined) {
    throw new ArgumentError(`${where}: \`validationSteps\` is for a dataset as validationData`);
  }
  if (!Array.isArray(validationData) || validationData.length < 2) {
    throw new ArgumentError(
      expected(where, "`validationData` as [x, y] or a dataset", show(validationData)),
    );
  }
  const [x, y, weights] = validationData as readonly unknown[];
  await settle(x, y, weights);
  const data = gatherData(at, request, x, y, weights);
  return windowFeed(feeding, data, validationBatchSize ?? rows);
}

/** Data in memory to measure on. */
export function windowFeed(feeding: Feeding, data: Data, batchSize: number): Feed {
  const { where } = feeding;
  const rows = rowsPerBatch(where, "batchSize", batchSize, data.count);
  return new WindowFeed(data, rows, feeding.evaluationStep);
}

/** A dataset to measure on. */
async function batchesFeed(
  feeding: Feeding,
  stream: BatchStream,
  steps: number | undefined,
  stepsOption: string,
): Promise<Feed> {
  const { where, request } = feeding;
  if (steps !== undefined) checkInteger(where, stepsOption, steps, 1);
  const { rows } = stream.dataset;
  const inOrder = rows?.orderOf({ iteration: 0 }) === null && !rows.dropRemainder;
  if (inOrder && steps === undefined) {
    const data = await wholeData(feeding, rows);
    return windowFeed(feeding, data, rows.batchSize);
  }
  try {
    return await StreamFeed.open(stream, {
      where,
      request: request,
      makeStep: feeding.evaluationStep,
      steps,
      stepsOption,
    });
  } catch (error) {
    await stream.close();
    throw error;
  }
}

/** The feed of `evaluate`. */
export async function measuredFeed(
  feeding: Feeding,
  source: FitSource,
  options: EvaluateOptions,
): Promise<Feed> {
  const { where, request } = feeding;
  if (source instanceof BatchStream) {
    checkDatasetOptions(where, options);
    return batchesFeed(feeding, source, options.steps, "steps");
  }
  if (options.steps !== undefined) {
    throw new ArgumentError(`${where}: \`steps\` is for a dataset; arrays have \`batchSize\``);
  }
  const { x, y } = source;
  await settle(x, y, options.sampleWeight);
  const data = gatherData(where, request, x, y, options.sampleWeight);
  return windowFeed(feeding, data, options.batchSize ?? inferenceBatch);
}

/** How the batches of a dataset cut its arrays. */
function cutOf({ batchSize, dropRemainder, orderOf }: RowBatches, count: number): Cut {
  const rows = Math.min(batchSize, count);
  const steps = dropRemainder ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
  if (steps === 0) throw new ArgumentError("fit(): the dataset has no batches");
  return { rows, steps, orderOf: (epoch) => orderOf({ iteration: epoch }) };
}

/** The samples to train on, and the last share of them if it is held back for validation. */
function splitData(
  where: string,
  all: Data,
  { validationData, validationSplit = 0 }: FitOptions,
): { kept: Data; held: Data | null } {
  if (validationData !== undefined || validationSplit === 0) return { kept: all, held: null };
  const count = Math.floor(all.count * (1 - validationSplit));
  if (count === 0 || count === all.count) {
    throw new ArgumentError(
      `${where}: validationSplit ${validationSplit} of ${all.count} samples leaves no samples to ${count === 0 ? "train" : "validate"} on`,
    );
  }
  return { kept: sliceData(all, 0, count), held: sliceData(all, count, all.count) };
}
