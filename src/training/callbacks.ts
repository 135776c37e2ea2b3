/**
 * The callbacks that are ready made, by Keras' names and options. What a callback is stands in `callback.ts`.
 */
import { appendFile, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ArgumentError, checkKeys, checkNumber, checkPath, expected, show } from "../errors.js";
import { checkFolderOf, checkNewPath } from "../formats/newpath.js";
import type { MetricDirection } from "../nn/metrics/metric.js";
import {
  boolean,
  type ConfigOf,
  choice,
  integer,
  number,
  type OptionsOf,
  parseOptions,
  plain,
} from "../nn/options.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  Callback,
  type CallbackHooks,
  type CallbackModel,
  checkHooks,
  History,
  hookNames,
  type Logs,
} from "./callback.js";

/** A text that is not empty. */
const text = plain<string>((where, option, given) => {
  if (typeof given === "string" && given !== "") return given;
  throw new ArgumentError(expected(where, `\`${option}\` to be a text`, show(given)));
});

/** Whether a callback says what it does; booleans stand for 0 and 1, as in `fit`. */
const verbosity = () =>
  plain<0 | 1>((where, option, given) => {
    if (given === 0 || given === 1) return given;
    if (typeof given === "boolean") return given ? 1 : 0;
    throw new ArgumentError(expected(where, `\`${option}\` to be 0 or 1`, show(given)));
  })(0);

/** A value that others are held against, ±Infinity included, or null for none. */
const bound = () =>
  plain<number | null>((where, option, given) => {
    if (given !== null) checkNumber(where, option, given);
    return given as number | null;
  })(null);

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

/** What callbacks that watch a value have in common; it is `val_loss` by default. */
const monitorOptions = {
  /** Name of the value to watch; `val_loss` by default. */
  monitor: text("val_loss"),
  /** Which values are better. */
  mode: choice(["auto", "min", "max"], "auto"),
  /** 1 prints what is done. */
  verbose: verbosity(),
};

const earlyStoppingOptions = {
  ...monitorOptions,
  /** Smallest change that counts as an improvement. */
  minDelta: number({}, 0),
  /** Epochs without improvement after which training stops. */
  patience: integer({ min: 0 }, 0),
  /** A value that must be reached. */
  baseline: bound(),
  /** Whether to end with the weights of the best epoch. */
  restoreBestWeights: boolean(false),
  /** The first epoch that is watched. */
  startFromEpoch: integer({ min: 0 }, 0),
};

/** Options of {@link earlyStopping}. */
export type EarlyStoppingOptions = OptionsOf<typeof earlyStoppingOptions>;

/** Stops training when a value no longer improves. */
export class EarlyStopping extends Callback {
  /** Epoch after which training was stopped; 0 if it was not. */
  stoppedEpoch = 0;
  bestEpoch = 0;
  readonly #options: ConfigOf<typeof earlyStoppingOptions>;
  #monitor!: Monitor;
  #wait = 0;
  #weights: Tensor[] | null = null;

  constructor(options: EarlyStoppingOptions = {}) {
    super();
    this.#options = parseOptions("callback earlyStopping", earlyStoppingOptions, options);
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

const plateauOptions = {
  ...monitorOptions,
  /** The learning rate is multiplied by it. */
  factor: number({ min: 0, max: 1 }, 0.1),
  /** Epochs without improvement after which the rate is lowered. */
  patience: integer({ min: 0 }, 10),
  /** Smallest change that counts as an improvement. */
  minDelta: number({ min: 0 }, 1e-4),
  /** Epochs to wait after a reduction before watching again. */
  cooldown: integer({ min: 0 }, 0),
  /** Smallest learning rate. */
  minLr: number({ min: 0 }, 0),
};

/** Options of {@link reduceLROnPlateau}. */
export type ReduceLROnPlateauOptions = OptionsOf<typeof plateauOptions>;

/** Lowers the learning rate when a value no longer improves. */
export class ReduceLROnPlateau extends Callback {
  readonly #options: ConfigOf<typeof plateauOptions>;
  #monitor!: Monitor;
  #wait = 0;
  #cooldown = 0;

  constructor(options: ReduceLROnPlateauOptions = {}) {
    super();
    const where = "callback reduceLROnPlateau";
    this.#options = parseOptions(where, plateauOptions, options);
    if (this.#options.factor === 1) {
      throw new ArgumentError(expected(where, "`factor` below 1", this.#options.factor));
    }
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

const csvOptions = {
  /** What stands between two values. */
  separator: text(","),
  /** Whether to go on with a file that is there; else it begins anew. */
  append: boolean(false),
};

/** Options of {@link csvLogger}. */
export type CsvLoggerOptions = OptionsOf<typeof csvOptions>;

/** Appends a line per epoch to a CSV file. */
export class CsvLogger extends Callback {
  readonly #path: string;
  readonly #separator: string;
  readonly #append: boolean;
  #keys: string[] | null = null;

  constructor(path: string, options: CsvLoggerOptions = {}) {
    super();
    const where = "callback csvLogger";
    checkPath(where, path);
    const { separator, append } = parseOptions(where, csvOptions, options);
    this.#path = path;
    this.#separator = separator;
    this.#append = append;
  }

  override async onTrainBegin(): Promise<void> {
    await checkFolderOf("callback csvLogger", this.#path);
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

const checkpointOptions = {
  ...monitorOptions,
  /** Whether to save only where the value is better than before. */
  saveBestOnly: boolean(false),
  /** Whether to save the weights alone. */
  saveWeightsOnly: boolean(false),
  /** Only a value better than this is saved, with `saveBestOnly`. */
  initialValueThreshold: bound(),
};

/** Options of {@link modelCheckpoint}. */
export type ModelCheckpointOptions = OptionsOf<typeof checkpointOptions>;

/**
 * Saves the model after each epoch, or after each best one. `{epoch}` and names of values in the path
 * are replaced: `"model-{epoch:02d}-{val_loss:.2f}.safetensors"`.
 */
export class ModelCheckpoint extends Callback {
  readonly #path: string;
  readonly #options: ConfigOf<typeof checkpointOptions>;
  readonly #monitor: Monitor;

  constructor(path: string, options: ModelCheckpointOptions = {}) {
    super();
    const where = "callback modelCheckpoint";
    checkNewPath(where, path);
    this.#path = path;
    this.#options = parseOptions(where, checkpointOptions, options);
    const { monitor, mode, initialValueThreshold } = this.#options;
    this.#monitor = new Monitor(where, monitor, mode, 0);
    if (initialValueThreshold !== null) this.#monitor.best = initialValueThreshold;
  }

  override async onTrainBegin(): Promise<void> {
    // A directory that is named after values is not known before there are any.
    if (!dirname(this.#path).includes("{")) {
      await checkFolderOf("callback modelCheckpoint", this.#path);
    }
  }

  override async onEpochEnd(epoch: number, logs: Logs = {}): Promise<void> {
    const { saveBestOnly, saveWeightsOnly, verbose } = this.#options;
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
  const where = "callback lambdaCallback";
  checkKeys(where, hooks, [...hookNames, "setModel", "setParams"]);
  checkHooks(where, hooks);
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
export const csvLogger = (path: string, options?: CsvLoggerOptions): CsvLogger =>
  new CsvLogger(path, options);
/** Saves the model after each epoch, or after each best one; `{epoch}` and names of values in the path are replaced. */
export const modelCheckpoint = (path: string, options?: ModelCheckpointOptions): ModelCheckpoint =>
  new ModelCheckpoint(path, options);
/** Uses the moving averages of the parameters (`useEma`) for validation. */
export const swapEmaWeights = (): SwapEmaWeights => new SwapEmaWeights();
