/**
 * What `fit` and `evaluate` print: Keras' bar on a terminal, one plain line per epoch elsewhere (a
 * pipe, a file, CI). Knows nothing of training: it is told how far things are.
 */
import { allowsColour, isCI } from "../environment.js";
import { ArgumentError, expected, show } from "../errors.js";
import type { Logs } from "./callback.js";

/** 0: nothing; 1: a bar where there is a terminal, else lines; 2: one line per epoch; "auto": 1. */
export type Verbosity = 0 | 1 | 2 | "auto";

/** Where progress is written: `process.stdout`, or a test's own. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Checks a `verbose` option; booleans are taken as Keras takes them. */
export function checkVerbosity(where: string, value: unknown): Verbosity {
  if (value === true) return 1;
  if (value === false) return 0;
  if (value === 0 || value === 1 || value === 2 || value === "auto") return value;
  throw new ArgumentError(expected(where, '`verbose` to be 0, 1, 2 or "auto"', show(value)));
}

const barWidth = 20;

/** Reports the epochs of one training, or one evaluation. */
export class Progress {
  readonly #stream: ProgressStream;
  readonly #mode: "none" | "bar" | "lines";
  readonly #colour: boolean;
  #title = "";
  /** Null where the number of steps is not known. */
  #steps: number | null = 0;
  #started = 0;
  #shown = 0;
  /** Steps of the latest update. */
  #done = 0;

  constructor(
    verbose: Verbosity,
    stream: ProgressStream = process.stdout,
    environment: Readonly<Record<string, string | undefined>> = process.env,
  ) {
    this.#stream = stream;
    const terminal = stream.isTTY === true && !isCI(environment);
    this.#mode = verbose === 0 ? "none" : verbose !== 2 && terminal ? "bar" : "lines";
    this.#colour = terminal && allowsColour(environment);
  }

  /** True when `update` has an effect: nobody needs to poll otherwise. */
  get live(): boolean {
    return this.#mode === "bar";
  }

  /** True when nothing is printed at all. */
  get silent(): boolean {
    return this.#mode === "none";
  }

  /** Says what the epochs after it belong to, where several trainings follow one another. */
  heading(text: string): void {
    if (!this.silent) this.#stream.write(`${text}\n`);
  }

  /** Begins an epoch of `steps` steps; null where their number is not known yet. */
  begin(title: string, steps: number | null): void {
    this.#title = title;
    this.#steps = steps;
    this.#started = performance.now();
    this.#shown = this.#started;
    this.#done = 0;
    if (this.#mode === "bar" && title !== "") this.#stream.write(`${title}\n`);
  }

  /** Shows how far the epoch is. */
  update(step: number, logs: Logs): void {
    if (this.#mode === "bar") this.#stream.write(this.#line(step, logs));
  }

  /** As {@link Progress.update}, if the last time is some time ago. */
  updateNowAndThen(step: number, logs: Logs): void {
    if (performance.now() - this.#shown < 80) return;
    this.update(step, logs);
    this.#shown = performance.now();
  }

  /** Ends the epoch with its final values; `steps` is how many there were. */
  end(logs: Logs, steps = this.#steps ?? this.#done): void {
    this.#steps ??= steps;
    if (this.#mode === "bar") {
      this.#stream.write(`${this.#line(this.#steps, logs)}\n`);
    } else if (this.#mode === "lines") {
      const seconds = (performance.now() - this.#started) / 1000;
      const head = this.#title === "" ? "" : `${this.#title} - `;
      this.#stream.write(
        `${head}${this.#steps}/${this.#steps} - ${duration(seconds)} - ` +
          `${duration(seconds / this.#steps)}/step${values(logs)}\n`,
      );
    }
  }

  /** Leaves the terminal on a fresh line when training ends in an error. */
  abandon(): void {
    if (this.#mode === "bar") this.#stream.write("\n");
  }

  #line(step: number, logs: Logs): string {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#done = step;
    const steps = this.#steps;
    if (steps === null) {
      // Keras shows the same of a dataset whose length is not known.
      const text = `${step}/? ${duration(seconds)} ${duration(seconds / Math.max(1, step))}/step`;
      return `\r\u001b[K${`${text}${values(logs)}`.slice(0, (this.#stream.columns || 120) - 1)}`;
    }
    const count = `${String(step).padStart(String(steps).length)}/${steps}`;
    const full = Math.round((barWidth * step) / Math.max(1, steps));
    const done = "━".repeat(full);
    const rest = "━".repeat(barWidth - full);
    const bar = this.#colour
      ? `\u001b[32m${done}\u001b[0m\u001b[37m${rest}\u001b[0m`
      : `${"=".repeat(full)}${".".repeat(barWidth - full)}`;
    const perStep = seconds / Math.max(1, step);
    const time = step < steps ? `${duration(perStep * (steps - step))} left` : duration(seconds);
    const text = ` ${time} ${duration(perStep)}/step${values(logs)}`;
    // A terminal that does not know its width says 0. Text that wraps would put the line's beginning
    // out of \r's reach.
    const room = Math.max(0, (this.#stream.columns || 120) - count.length - barWidth - 2);
    return `\r\u001b[K${count} ${bar}${text.slice(0, room)}`;
  }
}

/** Seconds as people read them: 85us, 12ms, 3s, 2:05, 1:02:05. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)}us`;
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

function values(logs: Logs): string {
  return Object.entries(logs)
    .map(([key, value]) => ` - ${key}: ${number(value)}`)
    .join("");
}

/** Four decimals, or scientific where these would show nothing. */
function number(value: number): string {
  return value === 0 || Math.abs(value) >= 1e-3 ? value.toFixed(4) : value.toExponential(4);
}
