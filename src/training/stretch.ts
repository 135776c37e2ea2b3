/**
 * Stretches: equal steps that one native loop runs, and the running of them. While one runs off the
 * event loop, the next is prepared. Knows nothing of models, epochs or where data come from.
 */
import type { Executable } from "../backend/run.js";
import { abortable, type Maybe } from "../data/cursor.js";
import type { TypedArray } from "../tensor/dtype.js";
import type { Progress } from "./progress.js";

/** Steps back to back, each on its own window of the inputs. */
export interface Stretch {
  readonly executable: Executable;
  readonly inputs: readonly TypedArray[];
  /** Elements by which each input's window moves per step; 0 keeps it in place. */
  readonly advance: readonly number[];
  readonly steps: number;
  /** Samples per step. */
  readonly rows: number;
  /** What is not finite in the data of one of its steps, in words. */
  blame(step: number): string | undefined;
}

/** Stretches in turn; null after the last. Asked for the next only once it has answered. */
export interface StretchSource {
  next(): Maybe<Stretch | null>;
}

/** The stretches of a list. */
export function listed(stretches: readonly Stretch[]): StretchSource {
  let at = 0;
  return { next: () => stretches[at++] ?? null };
}

/** How the losses of a run come in: one array per reported scalar, filled as steps finish. */
export class LossRecord {
  values: Float32Array[];
  /** Samples of each step. */
  rows: Int32Array;
  finished = 0;
  /** What the data have wrong where the first loss that is not finite came from, if anything. */
  cause: string | undefined;

  /** `steps` is what to expect; more are taken. */
  constructor(scalars: number, steps: number) {
    this.values = Array.from({ length: scalars }, () => new Float32Array(steps));
    this.rows = new Int32Array(steps);
  }

  /** Makes room for `steps` steps after those that are finished. */
  reserve(steps: number): void {
    const wanted = this.finished + steps;
    if (wanted <= this.rows.length) return;
    const length = Math.max(wanted, 2 * this.rows.length, 64);
    const grown = <A extends Float32Array | Int32Array>(to: A, from: A): A => {
      to.set(from);
      return to;
    };
    this.values = this.values.map((values) => grown(new Float32Array(length), values));
    this.rows = grown(new Int32Array(length), this.rows);
  }

  /** Means over the samples of the steps from `from` up to but without `to`. */
  means(from = 0, to = this.finished): number[] {
    let count = 0;
    for (let s = from; s < to; s++) count += this.rows[s]!;
    return this.values.map((values) => {
      let total = 0;
      for (let s = from; s < to; s++) total += values[s]! * this.rows[s]!;
      return total / count;
    });
  }
}

/** What is done around each step, where somebody wants to see them one by one. */
export interface StepHooks {
  begins(batch: number): Promise<void>;
  /** Gives what to show; `stop` ends the run. */
  ends(batch: number): Promise<{ readonly logs: Readonly<Record<string, number>>; stop: boolean }>;
}

/** How stretches are run. */
export interface RunOptions {
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
  /** Whether a loss that is not finite ends the run. */
  readonly watch: boolean;
  readonly hooks?: StepHooks | undefined;
}

/** Takes stretches from a source one ahead of need. */
class Ahead {
  readonly #source: StretchSource;
  #next: Promise<Stretch | null> | undefined;

  constructor(source: StretchSource) {
    this.#source = source;
  }

  /** Begins to make the next one. */
  prepare(): void {
    this.#next = (async () => this.#source.next())();
    // An error is for whoever takes it, and not before.
    this.#next.catch(() => {});
  }

  /** The next; rejects as soon as the signal is aborted, however long the source takes. */
  async take(signal: AbortSignal | undefined): Promise<Stretch | null> {
    if (!this.#next) this.prepare();
    const next = this.#next!;
    this.#next = undefined;
    return abortable(next, signal);
  }
}

/**
 * Runs all stretches of a source; false when a loss was not finite. An error of the source is thrown
 * once the steps before it are done, so that weights are those of whole steps.
 */
export async function runStretches(
  source: StretchSource,
  record: LossRecord,
  options: RunOptions,
): Promise<boolean> {
  const ahead = new Ahead(source);
  const { progress, signal, hooks } = options;
  let counter: Int32Array | undefined;
  const stop = (): void => {
    if (counter) Atomics.store(counter, 1, 1);
  };
  const timer =
    progress.live && !hooks
      ? setInterval(() => {
          const done = record.finished + (counter ? Atomics.load(counter, 0) : 0);
          if (done > 0) progress.update(done, { loss: record.means(0, done)[0]! });
        }, 80).unref()
      : undefined;
  signal?.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const stretch = await ahead.take(signal);
      if (stretch === null) return true;
      signal?.throwIfAborted();
      record.reserve(stretch.steps);
      record.rows.fill(stretch.rows, record.finished, record.finished + stretch.steps);
      if (hooks) {
        const result = await stepByStep(stretch, ahead, record, options, hooks);
        if (result !== "done") return result === "stopped";
        continue;
      }
      counter = new Int32Array(2);
      if (!(await runWhole(stretch, ahead, record, counter, options))) return false;
    }
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/** One stretch as a native loop. */
async function runWhole(
  stretch: Stretch,
  ahead: Ahead,
  record: LossRecord,
  counter: Int32Array,
  { signal, watch }: RunOptions,
): Promise<boolean> {
  const { executable, inputs, advance, steps } = stretch;
  const base = record.finished;
  const running = executable.loop(inputs, {
    steps,
    advance,
    outputs: record.values.map((v) => v.subarray(base, base + steps)),
    progress: counter,
    ...(watch ? { watch: [0] } : {}),
  });
  ahead.prepare();
  const result = await running;
  // From now on the record itself says how far it is.
  Atomics.store(counter, 0, 0);
  record.finished = base + result.steps;
  explain(stretch, record, base);
  if (result.reason === "nonfinite") return false;
  if (result.reason === "aborted") signal?.throwIfAborted();
  return true;
}

/** One run per step with the hooks around it. */
async function stepByStep(
  stretch: Stretch,
  ahead: Ahead,
  record: LossRecord,
  { progress, signal, watch }: RunOptions,
  hooks: StepHooks,
): Promise<"done" | "stopped" | "nonfinite"> {
  const { executable, inputs, advance, steps } = stretch;
  for (let step = 0; step < steps; step++) {
    signal?.throwIfAborted();
    const batch = record.finished;
    await hooks.begins(batch);
    const windows = inputs.map((array, i) =>
      advance[i] === 0 ? array : array.subarray(step * advance[i]!, (step + 1) * advance[i]!),
    );
    const running = executable.run(windows);
    if (step === steps - 1) ahead.prepare();
    const outputs = await running;
    outputs.forEach((values, i) => {
      record.values[i]![batch] = values[0]!;
    });
    record.finished = batch + 1;
    if (!Number.isFinite(outputs[0]![0]!)) {
      record.cause ??= stretch.blame(step);
      if (watch) return "nonfinite";
    }
    const { logs, stop } = await hooks.ends(batch);
    if (progress.live) progress.updateNowAndThen(batch + 1, logs);
    if (stop) return "stopped";
  }
  return "done";
}

/** Finds what the data have wrong behind the first loss that is not finite. */
function explain(stretch: Stretch, record: LossRecord, base: number): void {
  if (record.cause !== undefined) return;
  const losses = record.values[0]!;
  for (let step = base; step < record.finished; step++) {
    if (Number.isFinite(losses[step]!)) continue;
    record.cause = stretch.blame(step - base);
    return;
  }
}
