/**
 * The batches of a dataset as training, evaluation and prediction take them: pass after pass, with
 * x, y and weights told apart and their place known for messages. What is open is closed.
 */
import { type Cursor, type End, end, type Maybe } from "../data/cursor.js";
import { Dataset } from "../data/dataset.js";
import { partsOf } from "../data/elements.js";
import { DatasetError, LayerwiseError } from "../errors.js";
import { type DataLike, isSettled, type SampleWeights, settle } from "./data.js";

/** Batches that `fit` and `evaluate` take: x and y, and how much each sample counts. */
export type TrainingBatch =
  | readonly [x: DataLike, y: DataLike]
  | readonly [x: DataLike, y: DataLike, sampleWeight: SampleWeights]
  | { readonly xs: DataLike; readonly ys: DataLike; readonly sampleWeight?: SampleWeights };

/** Batches that `predict` takes: x alone, or what `fit` takes, of which it uses x. */
export type PredictionBatch = DataLike | readonly [x: DataLike] | TrainingBatch;

/** One batch, and where it stands. */
export interface Batch {
  readonly x: unknown;
  readonly y: unknown;
  readonly weights: unknown;
  /** Position in its pass. */
  readonly index: number;
}

/** True for what is passed over, not held. */
export function isDataset(value: unknown): value is Dataset<unknown> {
  return value instanceof Dataset;
}

/** Reads a dataset batch by batch. */
export class BatchStream {
  readonly dataset: Dataset<unknown>;
  readonly #where: string;
  #cursor: Cursor<unknown> | undefined;
  /** Number of the pass that is open. */
  #pass: number;
  #index = 0;
  /** A batch that was looked at before its turn. */
  #peeked: Batch | End | undefined;
  /** Settles when the source has answered. */
  #pending: Promise<unknown> | undefined;

  constructor(where: string, dataset: Dataset<unknown>, pass = 0) {
    this.#where = where;
    this.dataset = dataset;
    this.#pass = pass;
  }

  /** Begins pass `pass`, unless that is what is open and nothing of it was used. */
  async begin(pass: number): Promise<void> {
    const fresh = pass === this.#pass && (this.#peeked !== undefined || this.#index === 0);
    if (fresh) return;
    await this.close();
    this.#pass = pass;
    this.#index = 0;
    this.#peeked = undefined;
  }

  /** Begins the pass after the present one. */
  beginNext(): Promise<void> {
    return this.begin(this.#pass + 1);
  }

  /** The next batch, left where it is. */
  async peek(): Promise<Batch | End> {
    this.#peeked ??= await this.next();
    return this.#peeked;
  }

  /** The next batch of the pass. */
  next(): Maybe<Batch | End> {
    if (this.#peeked !== undefined) {
      const peeked = this.#peeked;
      this.#peeked = undefined;
      return peeked;
    }
    const index = this.#index++;
    let element: unknown;
    try {
      this.#cursor ??= this.dataset.open({ iteration: this.#pass });
      element = this.#cursor.next();
      if (!(element instanceof Promise)) return this.#batch(element, index);
    } catch (error) {
      throw this.#located(error, index);
    }
    const answered = element.finally(() => {
      this.#pending = undefined;
    });
    this.#pending = answered.catch(() => {});
    return answered
      .then((value) => this.#batch(value, index))
      .catch((error: unknown) => {
        throw this.#located(error, index);
      });
  }

  #batch(element: unknown, index: number): Maybe<Batch | End> {
    if (element === end) return end;
    const batch = { ...partsOf(`${this.#where}: ${this.at(index)}`, element), index };
    const given = [batch.x, batch.y, batch.weights];
    return given.every(isSettled) ? batch : settle(...given).then(() => batch);
  }

  /** Where a batch stands, in words. */
  at(index: number): string {
    const pass = this.#pass === 0 ? "" : `'s pass ${this.#pass + 1}`;
    return `batch ${index + 1} of the dataset${pass}`;
  }

  #located(error: unknown, index: number): unknown {
    const prefix = `${this.#where}: ${this.at(index)}: `;
    if (error instanceof LayerwiseError) {
      if (!error.message.startsWith(this.#where)) error.message = prefix + error.message;
      return error;
    }
    const message = error instanceof Error ? error.message : String(error);
    return new DatasetError(prefix + message, { cause: error });
  }

  /** Closes what is open; a source that has not answered yet is closed when it does. */
  async close(): Promise<void> {
    const cursor = this.#cursor;
    this.#cursor = undefined;
    if (!cursor) return;
    if (!this.#pending) {
      await cursor.close();
      return;
    }
    // Nobody knows when, and nobody is left to hear of an error.
    void this.#pending.then(() => cursor.close()).catch(() => {});
  }
}
