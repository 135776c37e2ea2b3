/**
 * Feeds: where the steps of a run come from. Data in memory are picked by index or by moving a window,
 * a whole epoch in one native loop; batches of a dataset come one by one. Both give stretches.
 */
import type { Executable } from "../backend/run.js";
import { end, type Maybe } from "../data/cursor.js";
import { epochOrder } from "../data/order.js";
import { ArgumentError, ShapeError } from "../errors.js";
import { mixSeed } from "../tensor/random.js";
import { sameShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { type Data, type DataRequest, gatherData } from "./data.js";
import { nonFiniteInput } from "./nonfinite.js";
import { arraysOf } from "./step.js";
import type { Batch, BatchStream } from "./stream.js";
import { listed, type Stretch, type StretchSource } from "./stretch.js";

/** The step for data of this form, `rows` samples at a time. */
export type StepMaker = (data: Data, rows: number) => Executable;

/** What an epoch's steps come from. */
export interface Feed {
  /** Steps of an epoch; null where that shows only in the first. */
  readonly steps: number | null;
  /** Samples per step; the last may have fewer. */
  readonly rows: number;
  /** Data of the form that all of them have. */
  readonly data: Data;
  /** True where the steps of several epochs can be had at once. */
  readonly bundles: boolean;
  /** The steps of `count` epochs from `epoch` on. */
  begin(epoch: number, count: number): Maybe<StretchSource>;
  close(): Promise<void>;
}

/** How an epoch is cut into steps, and the order of its samples: every one once, or as they lie. */
export interface Cut {
  readonly rows: number;
  readonly steps: number;
  orderOf(epoch: number): Int32Array | null;
}

/** The order of `fit` for arrays: by a seed, or as they lie where it is null. */
export function seededOrder(count: number, seed: number | null): Cut["orderOf"] {
  return (epoch) => (seed === null ? null : epochOrder(count, mixSeed(seed, epoch)));
}

/** Samples in memory, picked by their indices in each epoch's order. */
export class ArrayFeed implements Feed {
  readonly data: Data;
  readonly rows: number;
  readonly steps: number;
  readonly bundles: boolean;
  readonly #orderOf: Cut["orderOf"];
  readonly #makeStep: StepMaker;

  constructor(data: Data, { rows, steps, orderOf }: Cut, makeStep: StepMaker) {
    this.data = data;
    this.rows = rows;
    this.steps = steps;
    this.bundles = steps * rows <= data.count;
    this.#orderOf = orderOf;
    this.#makeStep = makeStep;
  }

  /** At most two stretches: the full batches, and a smaller one that is left. */
  begin(epoch: number, count: number): StretchSource {
    const { data, rows } = this;
    const steps = count * this.steps;
    const order = this.#orders(epoch, count);
    const full = Math.min(steps, Math.floor(order.length / rows));
    const rest = steps > full ? order.length - full * rows : 0;
    const arrays = arraysOf(data).map((s) => s.values);
    const stretch = (number: number, from: number, size: number): Stretch => ({
      executable: this.#makeStep(data, size),
      inputs: [order.subarray(from, from + number * size), ...arrays],
      advance: [size, ...arrays.map(() => 0)],
      steps: number,
      rows: size,
      blame: (step) =>
        nonFiniteInput(data.x, order.subarray(from + step * size, from + (step + 1) * size)),
    });
    return listed([
      ...(full > 0 ? [stretch(full, 0, rows)] : []),
      ...(rest > 0 ? [stretch(1, full * rows, rest)] : []),
    ]);
  }

  /** The samples that are used of `count` epochs' orders, one epoch after the other. */
  #orders(epoch: number, count: number): Int32Array {
    const used = this.steps * this.rows;
    const orderOf = (e: number): Int32Array =>
      this.#orderOf(e) ?? epochOrder(this.data.count, null);
    if (count === 1) return orderOf(epoch).subarray(0, used);
    const orders = new Int32Array(count * used);
    // By hand: for epochs of a few samples, subarray() and set() cost more than the shuffling.
    for (let e = 0, at = 0; e < count; e++) {
      const order = orderOf(epoch + e);
      for (let i = 0; i < used; i++) orders[at++] = order[i]!;
    }
    return orders;
  }

  async close(): Promise<void> {}
}

/** Samples in memory, as they lie: a window moves over them. */
export class WindowFeed implements Feed {
  readonly data: Data;
  readonly rows: number;
  readonly steps: number;
  readonly bundles = false;
  readonly #makeStep: StepMaker;

  constructor(data: Data, rows: number, makeStep: StepMaker) {
    this.data = data;
    this.rows = rows;
    this.steps = Math.ceil(data.count / rows);
    this.#makeStep = makeStep;
  }

  begin(): StretchSource {
    const { data, rows } = this;
    const full = Math.floor(data.count / rows);
    const rest = data.count - full * rows;
    const list = arraysOf(data);
    const stretch = (count: number, from: number, size: number): Stretch => ({
      executable: this.#makeStep(data, size),
      inputs: list.map((s) =>
        s.values.subarray(from * s.rowSize, (from + count * size) * s.rowSize),
      ),
      advance: list.map((s) => size * s.rowSize),
      steps: count,
      rows: size,
      blame: (step) =>
        nonFiniteInput(
          data.x,
          Int32Array.from({ length: size }, (_, i) => from + step * size + i),
        ),
    });
    return listed([
      ...(full > 0 ? [stretch(full, 0, rows)] : []),
      ...(rest > 0 ? [stretch(1, full * rows, rest)] : []),
    ]);
  }

  async close(): Promise<void> {}
}

/** How a dataset is used. */
export interface StreamUse {
  readonly where: string;
  readonly request: DataRequest;
  readonly makeStep: StepMaker;
  /** Changes checked data before they are used. */
  readonly prepare?: ((data: Data) => Data) | undefined;
  /** Batches of an epoch, if not all of a pass, and what that option is called. */
  readonly steps?: number | undefined;
  readonly stepsOption: string;
  /**
   * Whether an epoch goes on where the one before it ended, and the dataset begins anew when it runs
   * out; only with `steps`.
   */
  readonly continues?: boolean | undefined;
}

/** Batches of a dataset, one step each. */
export class StreamFeed implements Feed {
  readonly data: Data;
  readonly rows: number;
  readonly bundles = false;
  /** Known once a pass has ended. */
  steps: number | null;
  readonly #stream: BatchStream;
  readonly #use: StreamUse;
  /** The batch that was looked at first, checked already. */
  #first: { readonly batch: Batch; readonly data: Data } | undefined;

  private constructor(stream: BatchStream, use: StreamUse, batch: Batch, data: Data) {
    this.#stream = stream;
    this.#use = use;
    this.#first = { batch, data };
    this.data = data;
    this.rows = data.count;
    const { size } = stream.dataset;
    this.steps = use.steps ?? size;
  }

  /** Looks at the first batch, which says what form the data have. */
  static async open(stream: BatchStream, use: StreamUse): Promise<StreamFeed> {
    const { where } = use;
    if (stream.dataset.size === Infinity && use.steps === undefined) {
      throw new ArgumentError(
        `${where}: the dataset is endless, so say how many batches to take: ` +
          `\`${use.stepsOption}\`, or dataset.take(n)`,
      );
    }
    const batch = await stream.peek();
    if (batch === end) throw new ArgumentError(`${where}: the dataset has no batches`);
    return new StreamFeed(stream, use, batch, dataOf(stream, use, batch));
  }

  async begin(epoch: number): Promise<StretchSource> {
    const { continues, steps } = this.#use;
    if (!continues) await this.#stream.begin(epoch);
    let given = 0;
    /** Passes that ended without a batch. */
    let empty = 0;
    const next = (): Maybe<Stretch | null> => {
      if (steps !== undefined && given >= steps) return null;
      const batch = this.#stream.next();
      return batch instanceof Promise ? batch.then(take) : take(batch);
    };
    const take = (batch: Batch | typeof end): Maybe<Stretch | null> => {
      if (batch === end) {
        if (continues && empty++ === 0) return this.#stream.beginNext().then(next);
        if (given === 0) throw new ArgumentError(`${this.#use.where}: the dataset has no batches`);
        this.steps ??= given;
        return null;
      }
      given++;
      empty = 0;
      const first = this.#first;
      this.#first = undefined;
      const data = first?.batch === batch ? first.data : dataOf(this.#stream, this.#use, batch);
      return stretchOf(data, this.#use.makeStep, this.#stream.at(batch.index));
    };
    return { next };
  }

  close(): Promise<void> {
    return this.#stream.close();
  }
}

/** A checked batch. */
function dataOf(stream: BatchStream, use: StreamUse, batch: Batch): Data {
  const where = `${use.where}: ${stream.at(batch.index)}`;
  try {
    const data = gatherData(where, use.request, batch.x, batch.y, batch.weights);
    return use.prepare?.(data) ?? data;
  } catch (error) {
    if (error instanceof ShapeError && isSingle(use.request, batch)) {
      error.message += "; or make batches of the dataset: dataset.batch(32)";
    }
    throw error;
  }
}

/** True where a batch looks like one sample: a single label, or x without the batch dimension. */
function isSingle({ inputs }: DataRequest, { x, y }: Batch): boolean {
  if (typeof y === "number" || (y instanceof Tensor && y.rank === 0)) return true;
  const wanted = inputs[0]?.shape.slice(1) ?? [];
  return (
    x instanceof Tensor &&
    wanted.length === x.rank &&
    sameShape(
      x.shape,
      wanted.map((d, i) => d ?? x.shape[i]!),
    )
  );
}

function stretchOf(data: Data, makeStep: StepMaker, at: string): Stretch {
  const arrays = arraysOf(data).map((s) => s.values);
  return {
    executable: makeStep(data, data.count),
    inputs: arrays,
    advance: arrays.map(() => 0),
    steps: 1,
    rows: data.count,
    blame() {
      const found = nonFiniteInput(data.x);
      return found && `${found} in ${at}`;
    },
  };
}
