/**
 * The callbacks that are ready made, by Keras' names and options. What a callback is stands in `callback.ts`.
 */
import { appendFile, stat, writeFile } from "node:fs/promises";
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  show,
} from "../errors.js";
import type { MetricDirection } from "../nn/metrics/metric.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  Callback,
  type CallbackHooks,
  type CallbackModel,
  History,
  hookNames,
  type Logs,
} from "./callback.js";

/* ---- choosing by a monitored value --------------------------------------------------------------- */

/** Which values are better; `auto`: the smaller ones of a loss, of a metric as its direction says. */
export type MonitorMode = "auto" | "min" | "max";

class Monitor {
  best: number | undefined;
  readonly #minDelta: number;
  /** Undefined until the model's metrics are known. */
  #direction: MetricDirection | undefined;

  constructor(
    readonly where: string,
    readonly key: string,
    mode: MonitorMode,
    minDelta: number,
  ) {
    checkChoice(where, "mode", mode, ["auto", "min", "max"]);
    this.#minDelta = minDelta;
    if (mode !== "auto") this.#direction = mode === "max" ? "up" : "down";
  }

  /** The value, or undefined with one warning where logs lack it. */
  read(logs: Logs, model: CallbackModel): number | undefined {
    const value = logs[this.key];
    if (value !== undefined) {
      this.#direction ??= model.directionOf(this.key);
      if (this.#direction === null) {
        throw new ArgumentError(
          `${this.where}: whether larger or smaller values of ${show(this.key)} are better is not known; ` +
            'give `mode`, "max" or "min"',
        );
      }
    }
    if (value === undefined && !this.#warned) {
      this.#warned = true;
      process.emitWarning(
        `${this.where}: there is no ${show(this.key)} to monitor; there are ${Object.keys(logs).join(", ")}`,
        "LayerwiseWarning",
      );
    }
    return value;
  }

  #warned = false;

  improves(value: number, best = this.best): boolean {
    return this.#direction === "up"
      ? value - this.#minDelta > (best ?? -Infinity)
      : value + this.#minDelta < (best ?? Infinity);
  }
}

export interface EarlyStoppingOptions {
  /** Name of the value to watch; `val_loss` by default. */
  monitor?: string;
  /** Smallest change that counts as an improvement. */
  minDelta?: number;
  /** Epochs without improvement after which training stops. */
  patience?: number;
  mode?: MonitorMode;
  /** A value that must be reached. */
  baseline?: number | null;
  /** Whether to end with the weights of the best epoch. */
  restoreBestWeights?: boolean;
  startFromEpoch?: number;
  verbose?: 0 | 1;
}

/** Stops training when a value no longer improves. */
export class EarlyStopping extends Callback {
  /** Epoch after which training was stopped; 0 if it was not. */
  stoppedEpoch = 0;
  bestEpoch = 0;
  readonly #options: Required<EarlyStoppingOptions>;
  #monitor!: Monitor;
  #wait = 0;
  #weights: Tensor[] | null = null;

  constructor(options: EarlyStoppingOptions = {}) {
    super();
    const where = "callback earlyStopping";
    const defaults: Required<EarlyStoppingOptions> = {
      monitor: "val_loss",
      minDelta: 0,
      patience: 0,
      mode: "auto",
      baseline: null,
      restoreBestWeights: false,
      startFromEpoch: 0,
      verbose: 0,
    };
    checkKeys(where, options, Object.keys(defaults));
    this.#options = { ...defaults, ...options };
    checkInteger(where, "patience", this.#options.patience, 0);
    checkInteger(where, "startFromEpoch", this.#options.startFromEpoch, 0);
    checkNumber(where, "minDelta", this.#options.minDelta);
    this.#monitor = this.#newMonitor();
  }

  #newMonitor(): Monitor {
    const { monitor, mode, minDelta } = this.#options;
    return new Monitor("callback earlyStopping", monitor, mode, Math.abs(minDelta));
  }

  override onTrainBegin(): void {
    this.#wait = 0;
    this.stoppedEpoch = 0;
    this.bestEpoch = 0;
    this.#weights = null;
    this.#monitor = this.#newMonitor();
  }

  override onEpochEnd(epoch: number, logs: Logs = {}): void {
    const { patience, baseline, restoreBestWeights, startFromEpoch } = this.#options;
    const value = this.#monitor.read(logs, this.model);
    if (value === undefined || epoch < startFromEpoch) return;
    if (restoreBestWeights && this.#weights === null) this.#keep(epoch);
    this.#wait++;
    if (this.#monitor.improves(value)) {
      this.#monitor.best = value;
      if (restoreBestWeights) this.#keep(epoch);
      this.bestEpoch = epoch;
      // Below a baseline an improvement does not buy more patience.
      if (baseline === null || this.#monitor.improves(value, baseline)) this.#wait = 0;
      return;
    }
    if (this.#wait >= patience && epoch > 0) {
      this.stoppedEpoch = epoch;
      this.model.stopTraining = true;
    }
  }

  override onTrainEnd(): void {
    if (this.stoppedEpoch > 0 && this.#options.verbose) {
      console.log(`Epoch ${this.stoppedEpoch + 1}: early stopping`);
    }
    if (!this.#weights) return;
    this.model.weights.forEach((w, i) => {
      w.assign(this.#weights![i]!);
    });
    this.#weights = null;
  }

  #keep(epoch: number): void {
    this.bestEpoch = epoch;
    this.#weights = this.model.getWeights();
  }
}

export interface ReduceLROnPlateauOptions {
  monitor?: string;
  /** The learning rate is multiplied by it. */
  factor?: number;
  patience?: number;
  mode?: MonitorMode;
  minDelta?: number;
  /** Epochs to wait after a reduction before watching again. */
  cooldown?: number;
  /** Smallest learning rate. */
  minLr?: number;
  verbose?: 0 | 1;
}

/** Lowers the learning rate when a value no longer improves. */
export class ReduceLROnPlateau extends Callback {
  readonly #options: Required<ReduceLROnPlateauOptions>;
  #monitor!: Monitor;
  #wait = 0;
  #cooldown = 0;

  constructor(options: ReduceLROnPlateauOptions = {}) {
    super();
    const where = "callback reduceLROnPlateau";
    const defaults: Required<ReduceLROnPlateauOptions> = {
      monitor: "val_loss",
      factor: 0.1,
      patience: 10,
      mode: "auto",
      minDelta: 1e-4,
      cooldown: 0,
      minLr: 0,
      verbose: 0,
    };
    checkKeys(where, options, Object.keys(defaults));
    this.#options = { ...defaults, ...options };
    checkNumber(where, "factor", this.#options.factor, 0, 1);
    if (this.#options.factor === 1) {
      throw new ArgumentError(expected(where, "`factor` below 1", this.#options.factor));
    }
    checkInteger(where, "patience", this.#options.patience, 0);
    checkInteger(where, "cooldown", this.#options.cooldown, 0);
    checkNumber(where, "minDelta", this.#options.minDelta, 0);
    checkNumber(where, "minLr", this.#options.minLr, 0);
    this.#reset();
  }

  #reset(): void {
    const { monitor, mode, minDelta } = this.#options;
    this.#monitor = new Monitor("callback reduceLROnPlateau", monitor, mode, minDelta);
    this.#wait = 0;
    this.#cooldown = 0;
  }

  override onTrainBegin(): void {
    this.#reset();
  }

  override onEpochEnd(epoch: number, logs: Logs = {}): void {
    const { factor, patience, cooldown, minLr, verbose } = this.#options;
    logs.learningRate = this.model.optimizer.learningRate;
    const value = this.#monitor.read(logs, this.model);
    if (value === undefined) return;
    if (this.#cooldown > 0) {
      this.#cooldown--;
      this.#wait = 0;
    }
    if (this.#monitor.improves(value)) {
      this.#monitor.best = value;
      this.#wait = 0;
    } else if (this.#cooldown === 0) {
      this.#wait++;
      if (this.#wait < patience) return;
      const old = this.model.optimizer.learningRate;
      if (old > Math.fround(minLr)) {
        const next = Math.max(old * factor, minLr);
        this.model.optimizer.learningRate = next;
        if (verbose) console.log(`Epoch ${epoch + 1}: learning rate reduced to ${next}`);
        this.#cooldown = cooldown;
        this.#wait = 0;
      }
    }
  }
}

/** Sets the learning rate of each epoch to `schedule(epoch, present rate)`. */
export class LearningRateScheduler extends Callback {
  readonly #schedule: (epoch: number, rate: number) => number;

  constructor(schedule: (epoch: number, rate: number) => number) {
    super();
    if (typeof schedule !== "function") {
      throw new ArgumentError(
        expected("callback learningRateScheduler", "a function", show(schedule)),
      );
    }
    this.#schedule = schedule;
  }

  override onEpochBegin(epoch: number): void {
    const rate = this.#schedule(epoch, this.model.optimizer.learningRate);
    checkNumber("callback learningRateScheduler", "the returned rate", rate, 0);
    this.model.optimizer.learningRate = rate;
  }

  override onEpochEnd(_epoch: number, logs: Logs = {}): void {
    logs.learningRate = this.model.optimizer.learningRate;
  }
}

/**
 * Makes `fit` end quietly, with the history so far, where it would throw a NonFiniteError because a
 * batch's loss is NaN or infinite.
 */
export class TerminateOnNaN extends Callback {}

/** Appends a line per epoch to a CSV file. */
export class CsvLogger extends Callback {
  readonly #path: string;
  readonly #separator: string;
  readonly #append: boolean;
  #keys: string[] | null = null;

  constructor(
    path: string,
    { separator = ",", append = false }: { separator?: string; append?: boolean } = {},
  ) {
    super();
    if (typeof path !== "string" || path === "") {
      throw new ArgumentError(expected("callback csvLogger", "the path of a file", show(path)));
    }
    this.#path = path;
    this.#separator = separator;
    this.#append = append;
  }

  override async onTrainBegin(): Promise<void> {
    this.#keys = null;
    if (!this.#append) await writeFile(this.#path, "");
  }

  override async onEpochEnd(epoch: number, logs: Logs = {}): Promise<void> {
    let head = "";
    if (!this.#keys) {
      this.#keys = Object.keys(logs);
      if (!(this.#append && (await sizeOfFile(this.#path)) > 0)) {
        head = `${["epoch", ...this.#keys].map((k) => this.#cell(k)).join(this.#separator)}\n`;
      }
    }
    const cells = [epoch, ...this.#keys.map((key) => logs[key] ?? "NA")];
    // A whole line in one write: a reader never sees half of one.
    await appendFile(this.#path, `${head}${cells.join(this.#separator)}\n`);
  }

  #cell(text: string): string {
    return text.includes(this.#separator) || text.includes('"')
      ? `"${text.replaceAll('"', '""')}"`
      : text;
  }
}

async function sizeOfFile(path: string): Promise<number> {
  return stat(path).then(
    (info) => info.size,
    () => 0,
  );
}

export interface ModelCheckpointOptions {
  monitor?: string;
  saveBestOnly?: boolean;
  saveWeightsOnly?: boolean;
  mode?: MonitorMode;
  /** Only a value better than this is saved, with `saveBestOnly`. */
  initialValueThreshold?: number;
  verbose?: 0 | 1;
}

/**
 * Saves the model after each epoch, or after each best one. `{epoch}` and names of values in the path
 * are replaced: `"model-{epoch:02d}-{val_loss:.2f}.safetensors"`.
 */
export class ModelCheckpoint extends Callback {
  readonly #path: string;
  readonly #options: ModelCheckpointOptions;
  readonly #monitor: Monitor;

  constructor(path: string, options: ModelCheckpointOptions = {}) {
    super();
    const where = "callback modelCheckpoint";
    if (typeof path !== "string" || path === "") {
      throw new ArgumentError(expected(where, "the path of a file", show(path)));
    }
    checkKeys(where, options, [
      "monitor",
      "saveBestOnly",
      "saveWeightsOnly",
      "mode",
      "initialValueThreshold",
      "verbose",
    ]);
    this.#path = path;
    this.#options = options;
    this.#monitor = new Monitor(where, options.monitor ?? "val_loss", options.mode ?? "auto", 0);
    if (options.initialValueThreshold !== undefined) {
      checkNumber(where, "initialValueThreshold", options.initialValueThreshold);
      this.#monitor.best = options.initialValueThreshold;
    }
  }

  override async onEpochEnd(epoch: number, logs: Logs = {}): Promise<void> {
    const { saveBestOnly = false, saveWeightsOnly = false, verbose = 0 } = this.#options;
    if (saveBestOnly) {
      const value = this.#monitor.read(logs, this.model);
      if (value === undefined || !this.#monitor.improves(value)) return;
      this.#monitor.best = value;
    }
    const path = fillIn(this.#path, { epoch: epoch + 1, ...logs });
    if (saveWeightsOnly) await this.model.saveWeights(path);
    else await this.model.save(path);
    if (verbose) console.log(`Epoch ${epoch + 1}: saved ${path}`);
  }
}

/** Replaces `{name}`, `{name:02d}` and `{name:.3f}`. */
function fillIn(pattern: string, values: Readonly<Record<string, number>>): string {
  return pattern.replace(/\{(\w+)(?::([^}]*))?\}/g, (all, name: string, format?: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) {
      throw new ArgumentError(
        `callback modelCheckpoint: there is no value ${show(name)} for ${all} in the path; there are ${Object.keys(values).join(", ")}`,
      );
    }
    const digits = /^\.(\d+)f$/.exec(format ?? "");
    if (digits) return value.toFixed(Number(digits[1]));
    const width = /^0(\d+)d?$/.exec(format ?? "");
    return width ? String(value).padStart(Number(width[1]), "0") : String(value);
  });
}

/** Uses the moving averages of the parameters (`useEma`) for validation. */
export class SwapEmaWeights extends Callback {
  override onTestBegin(): void {
    this.model.optimizer.swapEma();
  }
  override onTestEnd(): void {
    this.model.optimizer.swapEma();
  }
}

/** A callback of single hooks; the same as passing the object itself. */
export function lambdaCallback(hooks: CallbackHooks): CallbackHooks {
  checkKeys("callback lambdaCallback", hooks, [...hookNames, "setModel", "setParams"]);
  return hooks;
}

/** The losses and metrics of each epoch, which `fit` returns as well. */
export const history = (): History => new History();
/** Ends training when a value no longer improves. */
export const earlyStopping = (options?: EarlyStoppingOptions): EarlyStopping =>
  new EarlyStopping(options);
/** Makes `fit` end quietly, where it would throw at a NaN. */
export const terminateOnNaN = (): TerminateOnNaN => new TerminateOnNaN();
/** Sets the learning rate of each epoch to `schedule(epoch, present rate)`. */
export const learningRateScheduler = (
  schedule: (epoch: number, rate: number) => number,
): LearningRateScheduler => new LearningRateScheduler(schedule);
/** Lowers the learning rate when a value no longer improves. */
export const reduceLROnPlateau = (options?: ReduceLROnPlateauOptions): ReduceLROnPlateau =>
  new ReduceLROnPlateau(options);
/** Appends a line per epoch to a CSV file. */
export const csvLogger = (
  path: string,
  options?: { separator?: string; append?: boolean },
): CsvLogger => new CsvLogger(path, options);
/** Saves the model after each epoch, or after each best one; `{epoch}` and names of values in the path are replaced. */
export const modelCheckpoint = (path: string, options?: ModelCheckpointOptions): ModelCheckpoint =>
  new ModelCheckpoint(path, options);
/** Uses the moving averages of the parameters (`useEma`) for validation. */
export const swapEmaWeights = (): SwapEmaWeights => new SwapEmaWeights();
