/**
 * What `compile` was told, made definite: a loss, a weight and metrics for each output. Metrics named
 * by a general word (`accuracy`) are settled when the first labels are seen.
 */
import { ArgumentError, checkKeys, checkNumber, expected, show } from "../errors.js";
import { type LossFunction, type LossIdentifier, resolveLoss } from "../nn/losses.js";
import { Metric, type MetricDirection } from "../nn/metrics/metric.js";
import { checkMetric, type MetricIdentifier, resolveMetric } from "../nn/metrics/table.js";
import { type OptimizerIdentifier, resolveOptimizer } from "../optimizers/factories.js";
import type { Optimizer } from "../optimizers/optimizer.js";
import type { Shape } from "../tensor/shape.js";
import { isRecord, type Slot } from "./data.js";

/** One for the only output, several in order, or by output name. */
export type PerOutput<T> = T | readonly (T | null)[] | Readonly<Record<string, T | null>>;

/** How a model learns and what it reports. */
export interface CompileOptions {
  /** A name or what `lw.optimizers` makes; "rmsprop" by default, as in Keras. */
  optimizer?: OptimizerIdentifier;
  loss?: PerOutput<LossIdentifier> | null;
  /** How much each output's loss counts in the total. */
  lossWeights?: readonly number[] | Readonly<Record<string, number>>;
  metrics?: MetricSpec;
  /** Metrics that take sample and class weights into account. */
  weightedMetrics?: MetricSpec;
}

/** Metrics of the only output, or of each output in order or by name. */
export type MetricSpec =
  | MetricIdentifier
  | readonly (MetricIdentifier | readonly MetricIdentifier[] | null)[]
  | Readonly<Record<string, MetricIdentifier | readonly MetricIdentifier[] | null>>;

interface MetricPlan {
  readonly identifier: MetricIdentifier;
  readonly weighted: boolean;
}

/** A metric of one output and the key it is reported under. */
export interface OutputMetric {
  readonly key: string;
  readonly output: number;
  readonly weighted: boolean;
  readonly metric: Metric;
}

const compileKeys = ["optimizer", "loss", "lossWeights", "metrics", "weightedMetrics"];

/** The checked result of `compile`. */
export class Objective {
  readonly optimizer: Optimizer;
  readonly losses: readonly (LossFunction | null)[];
  readonly lossWeights: readonly number[];
  /** What the user passed, for saving. */
  readonly options: CompileOptions;
  readonly outputs: readonly Slot[];
  readonly #plans: readonly (readonly MetricPlan[])[];
  /** By shapes: a step that was compiled for some shapes goes on with the metrics it was given. */
  readonly #metrics = new Map<string, readonly OutputMetric[]>();
  #latest: readonly OutputMetric[] = [];

  constructor(where: string, outputs: readonly Slot[], options: CompileOptions) {
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(expected(where, "an object with options", show(options)));
    }
    checkKeys(where, options, compileKeys);
    for (const key of ["optimizer", "loss"] as const) {
      if (Object.hasOwn(options, key) && options[key] === undefined) {
        throw new ArgumentError(`${where}: \`${key}\` is undefined; leave it out for the default`);
      }
    }
    this.options = options;
    this.outputs = outputs;
    this.optimizer = resolveOptimizer(where, options.optimizer ?? "rmsprop");
    this.losses = perOutput(`${where}: loss`, options.loss ?? null, outputs).map((loss) =>
      loss === null ? null : resolveLoss(where, loss),
    );
    this.lossWeights = lossWeightsOf(where, options.lossWeights, outputs);
    const plain = metricsOf(`${where}: metrics`, options.metrics, outputs);
    const weighted = metricsOf(`${where}: weightedMetrics`, options.weightedMetrics, outputs);
    this.#plans = outputs.map((_, i) => [
      ...plain[i]!.map((identifier) => ({ identifier, weighted: false })),
      ...weighted[i]!.map((identifier) => ({ identifier, weighted: true })),
    ]);
    this.#plans.forEach((plans, i) => {
      for (const { identifier } of plans) checkMetric(where, identifier, outputs[i]!.shape);
    });
  }

  /** Whether output `i` has metrics, and so wants labels. */
  hasMetrics(i: number): boolean {
    return this.#plans[i]!.length > 0;
  }

  /** The metrics for labels and predictions of these shapes; the same objects as long as they fit. */
  metricsFor(
    labels: readonly (Shape | null)[],
    predictions: readonly Shape[],
  ): readonly OutputMetric[] {
    // The rank matters, and the dimensions that the model fixes; not the batch size, nor the length
    // of sequences, which may be another in each batch.
    const key = JSON.stringify(
      labels.map((s, i) =>
        s?.slice(1).map((d, at) => (this.outputs[i]!.shape[at + 1] === null ? null : d)),
      ),
    );
    const known = this.#metrics.get(key);
    if (known) {
      this.#latest = known;
      return known;
    }
    const list: OutputMetric[] = [];
    const taken = new Set(["loss"]);
    this.#plans.forEach((plans, output) => {
      const y = labels[output];
      if (!y) return;
      const prefix = this.outputs.length > 1 ? `${this.outputs[output]!.name}_` : "";
      for (const { identifier, weighted } of plans) {
        const metric = resolveMetric("compile()", identifier, y, predictions[output]!);
        metric.prepare(y, predictions[output]!);
        let name = `${prefix}${metric.name}`;
        if (taken.has(name) && weighted) name = `${prefix}weighted_${metric.name}`;
        for (let i = 1; taken.has(name); i++) name = `${prefix}${metric.name}_${i}`;
        taken.add(name);
        list.push({ key: name, output, weighted, metric });
      }
    });
    this.#metrics.set(key, list);
    this.#latest = list;
    return list;
  }

  /** Which way is better for a value that `fit` reports; null where that is not known. */
  directionOf(key: string): MetricDirection {
    const name = key.replace(/^val_/, "");
    const known = this.#latest.find((m) => m.key === key || m.key === name);
    if (known) return known.metric.direction;
    const losses = ["loss", ...this.outputs.map((output) => `${output.name}_loss`)];
    return losses.includes(name) ? "down" : null;
  }

  /** The metrics that were used last. */
  get metrics(): readonly OutputMetric[] {
    return this.#latest;
  }
}

function perOutput<T>(
  where: string,
  given: PerOutput<T> | null,
  outputs: readonly Slot[],
): (T | null)[] {
  const names = outputs.map((o) => o.name);
  if (given === null) return outputs.map(() => null);
  if (Array.isArray(given)) {
    if (given.length !== outputs.length) {
      throw new ArgumentError(
        expected(where, `one for each of the ${outputs.length} outputs`, `${given.length}`),
      );
    }
    return given.map((value: T | null | undefined) => value ?? null);
  }
  // A loss with options is an object with a name; a record has output names as keys.
  if (isRecord(given) && typeof (given as { name?: unknown }).name !== "string") {
    const record: Readonly<Record<string, unknown>> = given;
    checkOutputNames(where, record, names);
    return names.map((name) => (record[name] as T | null | undefined) ?? null);
  }
  if (outputs.length === 1) return [given as T];
  // Keras broadcasts a single loss to all outputs.
  return outputs.map(() => given as T);
}

function checkOutputNames(where: string, record: object, names: readonly string[]): void {
  for (const key of Object.keys(record)) {
    if (!names.includes(key)) {
      throw new ArgumentError(
        `${where}: there is no output named ${show(key)}; the outputs are ${names.map(show).join(", ")}`,
      );
    }
  }
}

function lossWeightsOf(
  where: string,
  given: CompileOptions["lossWeights"],
  outputs: readonly Slot[],
): number[] {
  if (given === undefined) return outputs.map(() => 1);
  return perOutput<number>(`${where}: lossWeights`, given as PerOutput<number>, outputs).map(
    (weight, i) => {
      const value = weight ?? 1;
      checkNumber(where, `lossWeights of ${outputs[i]!.name}`, value);
      return value;
    },
  );
}

function metricsOf(
  where: string,
  given: MetricSpec | undefined,
  outputs: readonly Slot[],
): MetricIdentifier[][] {
  const listed = (value: unknown): MetricIdentifier[] =>
    value === null || value === undefined
      ? []
      : Array.isArray(value)
        ? (value as MetricIdentifier[])
        : [value as MetricIdentifier];
  if (given === undefined) return outputs.map(() => []);
  if (isRecord(given) && !(given instanceof Metric)) {
    const record: Readonly<Record<string, unknown>> = given;
    const names = outputs.map((o) => o.name);
    checkOutputNames(where, record, names);
    return names.map((name) => listed(record[name]));
  }
  const list = listed(given);
  if (outputs.length === 1) return [list.flat() as MetricIdentifier[]];
  if (list.length !== outputs.length) {
    throw new ArgumentError(
      expected(
        where,
        `an array with the metrics of each of the ${outputs.length} outputs, or an object by output name`,
        show(given),
      ),
    );
  }
  return list.map(listed);
}
