/**
 * What a callback is: an object with some of Keras' hooks, called at the ends of epochs and batches. With hooks
 * for batches a run goes step by step; without them a whole epoch is one native loop. `callbacks.ts` has those
 * that are ready made.
 */
import { ArgumentError, expected, nearest, show } from "../errors.js";
import type { MetricDirection } from "../nn/metrics/metric.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";

/** Losses and metrics by name. */
export type Logs = Record<string, number>;

/** What callbacks may do with the model they watch. */
export interface CallbackModel {
  readonly name: string;
  readonly optimizer: Optimizer;
  /** Set to true, training ends after the present epoch. */
  stopTraining: boolean;
  /** Which way is better for a value of the logs; null where neither loss nor metric says. */
  directionOf(key: string): MetricDirection;
  readonly weights: Variable[];
  getWeights(): Tensor[];
  save(path: string): Promise<void>;
  saveWeights(path: string): Promise<void>;
}

/** What `fit` was asked to do. */
export interface CallbackParams {
  readonly epochs: number;
  /** Batches per epoch; null for a dataset that does not know its size. */
  readonly steps: number | null;
  /** Samples of a batch; of a dataset, those of the first. */
  readonly batchSize: number;
  readonly verbose: number;
}

/** What a batch of `predict` gave: one tensor per output of the model. */
export interface PredictLogs {
  readonly outputs: readonly Tensor[];
}

/** Keras' hooks; all are optional and may be async. */
export interface CallbackHooks {
  onTrainBegin?(logs?: Logs): void | Promise<void>;
  onTrainEnd?(logs?: Logs): void | Promise<void>;
  onEpochBegin?(epoch: number, logs?: Logs): void | Promise<void>;
  onEpochEnd?(epoch: number, logs?: Logs): void | Promise<void>;
  onTrainBatchBegin?(batch: number, logs?: Logs): void | Promise<void>;
  onTrainBatchEnd?(batch: number, logs?: Logs): void | Promise<void>;
  /** Other names of `onTrainBatchBegin` and `onTrainBatchEnd`. */
  onBatchBegin?(batch: number, logs?: Logs): void | Promise<void>;
  onBatchEnd?(batch: number, logs?: Logs): void | Promise<void>;
  /** Around an evaluation and its batches, also that on validation data during training. */
  onTestBegin?(logs?: Logs): void | Promise<void>;
  onTestEnd?(logs?: Logs): void | Promise<void>;
  onTestBatchBegin?(batch: number, logs?: Logs): void | Promise<void>;
  onTestBatchEnd?(batch: number, logs?: Logs): void | Promise<void>;
  /** Around `predict` and its batches. */
  onPredictBegin?(): void | Promise<void>;
  onPredictEnd?(): void | Promise<void>;
  onPredictBatchBegin?(batch: number): void | Promise<void>;
  onPredictBatchEnd?(batch: number, logs: PredictLogs): void | Promise<void>;
  setModel?(model: CallbackModel): void;
  setParams?(params: CallbackParams): void;
}

/** Hooks by what they are told: nothing but logs, or also the number of an epoch or batch. */
const plainHooks = [
  "onTrainBegin",
  "onTrainEnd",
  "onTestBegin",
  "onTestEnd",
  "onPredictBegin",
  "onPredictEnd",
] as const satisfies readonly (keyof CallbackHooks)[];
const batchHooks = {
  train: ["onTrainBatchBegin", "onTrainBatchEnd", "onBatchBegin", "onBatchEnd"],
  test: ["onTestBatchBegin", "onTestBatchEnd"],
  predict: ["onPredictBatchBegin", "onPredictBatchEnd"],
} as const satisfies Record<string, readonly (keyof CallbackHooks)[]>;
export const hookNames: readonly (keyof CallbackHooks)[] = [
  ...plainHooks,
  "onEpochBegin",
  "onEpochEnd",
  ...Object.values(batchHooks).flat(),
];

/** What runs in batches. */
type Run = keyof typeof batchHooks;

/** A base for callbacks: subclasses write the hooks they need. */
export abstract class Callback implements CallbackHooks {
  /** Set before training begins. */
  model!: CallbackModel;
  params!: CallbackParams;

  setModel(model: CallbackModel): void {
    this.model = model;
  }

  setParams(params: CallbackParams): void {
    this.params = params;
  }

  onTrainBegin(_logs?: Logs): void | Promise<void> {}
  onTrainEnd(_logs?: Logs): void | Promise<void> {}
  onEpochBegin(_epoch: number, _logs?: Logs): void | Promise<void> {}
  onEpochEnd(_epoch: number, _logs?: Logs): void | Promise<void> {}
  onTrainBatchBegin(_batch: number, _logs?: Logs): void | Promise<void> {}
  onTrainBatchEnd(_batch: number, _logs?: Logs): void | Promise<void> {}
  onBatchBegin(_batch: number, _logs?: Logs): void | Promise<void> {}
  onBatchEnd(_batch: number, _logs?: Logs): void | Promise<void> {}
  onTestBegin(_logs?: Logs): void | Promise<void> {}
  onTestEnd(_logs?: Logs): void | Promise<void> {}
  onTestBatchBegin(_batch: number, _logs?: Logs): void | Promise<void> {}
  onTestBatchEnd(_batch: number, _logs?: Logs): void | Promise<void> {}
  onPredictBegin(): void | Promise<void> {}
  onPredictEnd(): void | Promise<void> {}
  onPredictBatchBegin(_batch: number): void | Promise<void> {}
  onPredictBatchEnd(_batch: number, _logs: PredictLogs): void | Promise<void> {}
}

/** True when a callback has this hook itself; the base class' empty ones don't count. */
function overrides(callback: CallbackHooks, hook: keyof CallbackHooks): boolean {
  const own = callback[hook] ?? undefined;
  return own !== undefined && own !== Callback.prototype[hook];
}

/** Throws for a member that looks like a hook and is none, which would never be called, or is no function. */
export function checkHooks(where: string, callback: object): void {
  for (
    let level = callback;
    level && level !== Object.prototype && level !== Callback.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const name of Object.getOwnPropertyNames(level)) {
      if (!/^on[A-Z]/.test(name)) continue;
      if (hookNames.includes(name as keyof CallbackHooks)) {
        const hook: unknown = (callback as CallbackHooks)[name as keyof CallbackHooks];
        if (hook === undefined || hook === null || typeof hook === "function") continue;
        throw new ArgumentError(
          expected(where, `the hook \`${name}\` to be a function`, show(hook)),
        );
      }
      const near = nearest(name, hookNames);
      throw new ArgumentError(
        `${where}: callbacks have no hook ${show(name)}; ${
          near ? `did you mean ${show(near)}?` : `the hooks are ${hookNames.join(", ")}`
        }`,
      );
    }
  }
}

/** Throws for what can't be one of `callbacks`. */
export function checkCallback(where: string, callback: unknown): void {
  if (typeof callback !== "object" || callback === null) {
    throw new ArgumentError(
      expected(where, "`callbacks` to be objects with hooks", show(callback)),
    );
  }
  checkHooks(where, callback);
}

/** All callbacks of one run, called in order. */
export class CallbackList {
  readonly #list: readonly CallbackHooks[];

  constructor(
    where: string,
    given: CallbackHooks | readonly CallbackHooks[] | undefined,
    model: CallbackModel,
    params: CallbackParams,
  ) {
    this.#list = given === undefined ? [] : [given].flat();
    for (const callback of this.#list) {
      checkCallback(where, callback);
      callback.setModel?.(model);
      callback.setParams?.(params);
    }
  }

  /** True when one of them wants to see every batch of such a run. */
  watches(run: Run): boolean {
    return this.#list.some((c) => batchHooks[run].some((hook) => overrides(c, hook)));
  }

  /** True when all of them only record: nobody acts between epochs. */
  get onlyRecord(): boolean {
    const { onEpochEnd } = History.prototype;
    return this.#list.every((c) => c.onEpochEnd === onEpochEnd && c.constructor === History);
  }

  /** Whether one of the callbacks is of this class. */
  has(kind: new () => CallbackHooks): boolean {
    return this.#list.some((c) => c instanceof kind);
  }

  async call(hook: (typeof plainHooks)[number], logs?: Logs): Promise<void> {
    for (const callback of this.#list) await callback[hook]?.(logs);
  }

  async at(hook: "onEpochBegin" | "onEpochEnd", epoch: number, logs?: Logs): Promise<void> {
    for (const callback of this.#list) await callback[hook]?.(epoch, logs);
  }

  /** `onEpochEnd` of callbacks that {@link CallbackList.onlyRecord}, which nobody has to wait for. */
  record(epoch: number, logs: Logs): void {
    for (const callback of this.#list) callback.onEpochEnd?.(epoch, logs);
  }

  async batchBegins(run: Run, batch: number): Promise<void> {
    for (const callback of this.#list) {
      if (run === "test") await callback.onTestBatchBegin?.(batch);
      else if (run === "predict") await callback.onPredictBatchBegin?.(batch);
      else {
        await callback.onTrainBatchBegin?.(batch);
        await callback.onBatchBegin?.(batch);
      }
    }
  }

  async batchEnds(run: "train" | "test", batch: number, logs: Logs): Promise<void> {
    for (const callback of this.#list) {
      if (run === "test") await callback.onTestBatchEnd?.(batch, logs);
      else {
        await callback.onTrainBatchEnd?.(batch, logs);
        await callback.onBatchEnd?.(batch, logs);
      }
    }
  }

  async predicted(batch: number, logs: PredictLogs): Promise<void> {
    for (const callback of this.#list) await callback.onPredictBatchEnd?.(batch, logs);
  }
}

/** What `fit` returns: the epochs that were run and each value per epoch. */
export class History implements CallbackHooks {
  readonly epoch: number[] = [];
  readonly history: Record<string, number[]> = {};

  onTrainBegin(): void {
    this.epoch.length = 0;
    for (const key of Object.keys(this.history)) delete this.history[key];
  }

  onEpochEnd(epoch: number, logs: Logs = {}): void {
    this.epoch.push(epoch);
    for (const key of Object.keys(logs)) {
      this.history[key] ??= [];
      this.history[key].push(logs[key]!);
    }
  }
}
