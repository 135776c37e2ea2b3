/**
 * The three traced functions of a model: the training step, the evaluation step and the prediction.
 * Each becomes one Program per shape. Gathering the batch, the forward pass, losses, gradients, the
 * optimizer's update, metrics and counters are all inside, so that an epoch is one native loop.
 */
import { gradientsOf } from "../autodiff/gradient.js";
import { type Executable, trace } from "../backend/run.js";
import { ArgumentError, ShapeError } from "../errors.js";
import type { CallContext, WeightInfo } from "../layers/layer.js";
import { maskedWeights, weightedMean } from "../nn/weighting.js";
import { add, cast, mul } from "../ops/elementwise.js";
import { gather } from "../ops/gather.js";
import type { ConstraintOf } from "../optimizers/optimizer.js";
import { maskOf } from "../tensor/mask.js";
import { randomSource } from "../tensor/random.js";
import { type Shape, showShape } from "../tensor/shape.js";
import { literal, type Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { Data, Samples, Slot } from "./data.js";
import type { Objective, OutputMetric } from "./objective.js";

/** What training needs of a model: the function, its inputs and outputs, and its weights. */
export interface TrainableNetwork {
  readonly name: string;
  readonly inputSlots: readonly Slot[];
  readonly outputSlots: readonly Slot[];
  /** Runs the layers on a batch; one output per slot. */
  run(inputs: readonly Tensor[], context: RunContext): readonly Tensor[];
  readonly weights: Variable[];
  /** Those that training may change; all, if left out. */
  readonly trainableWeights?: readonly Variable[];
  weightInfo(weight: Variable): WeightInfo;
  /** Names of scalars that `run` reports beside the losses; `fit` and `evaluate` log their means. */
  readonly reports?: readonly string[];
}

/** The weights that training changes. */
export function trainableOf(network: TrainableNetwork): Variable[] {
  return (network.trainableWeights ?? network.weights).filter((weight) => weight.trainable);
}

/** What a run is told, and the place for what it reports. */
export interface RunContext extends CallContext {
  /** Takes the value of one of {@link TrainableNetwork.reports}; each is reported once. */
  report(name: string, value: Tensor): void;
}

/** What of a batch matters to a trace: everything but the number of batches. */
function inputsOf(
  data: Data,
  rows: number | null,
): { name: string; shape: Shape; dtype: Samples["dtype"] }[] {
  const specs = (kind: string, list: readonly (Samples | null)[]) =>
    list.flatMap((s) =>
      s
        ? [
            {
              name: `${kind} ${s.name}`,
              shape: rows === null ? s.shape : [rows, ...s.shape.slice(1)],
              dtype: s.dtype,
            },
          ]
        : [],
    );
  return [...specs("x", data.x), ...specs("y", data.y), ...specs("weights", data.weights)];
}

/** A text that is equal for data that the same Program can take. */
export function signatureOf(data: Data, rows: number | null): string {
  const part = (list: readonly (Samples | null)[]): string =>
    list
      .map((s) => (s ? `${s.dtype}${rows === null ? s.shape : [rows, ...s.shape.slice(1)]}` : "-"))
      .join(";");
  return `${part(data.x)}|${part(data.y)}|${part(data.weights)}`;
}

/** The arrays of a Program's data inputs, in the order of `inputsOf`. */
export function arraysOf(data: Data): Samples[] {
  return [...data.x, ...data.y, ...data.weights].filter((s): s is Samples => s !== null);
}

interface Batch {
  readonly x: readonly Tensor[];
  readonly y: readonly (Tensor | null)[];
  readonly weights: readonly (Tensor | null)[];
}

/** Puts a Program's inputs back in their places. */
function batchFrom(data: Data, tensors: readonly Tensor[]): Batch {
  let next = 0;
  const take = (list: readonly (Samples | null)[]): (Tensor | null)[] =>
    list.map((s) => (s ? tensors[next++]! : null));
  return { x: take(data.x) as Tensor[], y: take(data.y), weights: take(data.weights) };
}

/** The batch as the model's input layers want it: other element types are cast, never scaled. */
function forward(
  network: TrainableNetwork,
  inputs: readonly Tensor[],
  context: RunContext,
): readonly Tensor[] {
  return network.run(
    inputs.map((x, i) => cast(x, network.inputSlots[i]!.dtype)),
    context,
  );
}

interface Measured {
  readonly total: Tensor;
  /** Loss of each output that has one, unweighted. */
  readonly parts: readonly Tensor[];
  /** What the network reports by itself, in the order of its names. */
  readonly reports: readonly Tensor[];
  readonly predictions: readonly Tensor[];
}

/** Forward pass and losses, with penalties of weights and activities. */
function measure(
  network: TrainableNetwork,
  objective: Objective,
  batch: Batch,
  context: Omit<RunContext, "addLoss" | "report">,
): Measured {
  const extra: Tensor[] = [];
  const reports = new Map<string, Tensor>();
  const predictions = forward(network, batch.x, {
    ...context,
    addLoss(loss) {
      if (loss.size !== 1) {
        throw new ShapeError(
          `model ${network.name}: addLoss() takes a scalar, got ${showShape(loss.shape)}`,
        );
      }
      extra.push(loss);
    },
    report: (name, value) => reports.set(name, value),
  });
  const parts: Tensor[] = [];
  const terms: Tensor[] = [];
  objective.losses.forEach((loss, i) => {
    const y = batch.y[i];
    if (!loss || !y) return;
    const prediction = predictions[i]!;
    const part = weightedMean(loss(y, prediction), batch.weights[i] ?? null, maskOf(prediction));
    parts.push(part);
    const weight = objective.lossWeights[i]!;
    terms.push(weight === 1 ? part : mul(part, weight));
  });
  for (const weight of trainableOf(network)) {
    const { regularizer } = network.weightInfo(weight);
    if (regularizer) terms.push(regularizer.apply(weight.read()));
  }
  terms.push(...extra);
  const total = terms.length === 0 ? literal(0, "float32") : terms.reduce((a, b) => add(a, b));
  return {
    total,
    parts,
    reports: (network.reports ?? []).map((name) => reports.get(name)!),
    predictions,
  };
}

function updateMetrics(
  metrics: readonly OutputMetric[],
  batch: Batch,
  predictions: readonly Tensor[],
): void {
  for (const { metric, output, weighted } of metrics) {
    const prediction = predictions[output]!;
    const given = weighted ? (batch.weights[output] ?? null) : null;
    metric.updateState(batch.y[output]!, prediction, maskedWeights(given, maskOf(prediction)));
  }
}

/** The scalars of a step: the total loss, each output's where there are several, the network's own. */
const reported = ({ total, parts, reports }: Measured, objective: Objective): Tensor[] => [
  total,
  ...(reportsParts(objective) ? parts : []),
  ...reports,
];

/** True when each output's loss is reported beside the total. */
export function reportsParts(objective: Objective): boolean {
  return objective.outputs.length > 1;
}

export interface StepRequest {
  readonly network: TrainableNetwork;
  readonly objective: Objective;
  readonly data: Data;
  readonly metrics: readonly OutputMetric[];
  /** Samples per step. */
  readonly rows: number;
  /** Key of the random numbers of dropout and its like. */
  readonly seed: Variable;
}

export interface TrainStepRequest extends StepRequest {
  /** The weights that are changed. */
  readonly trainable: readonly Variable[];
  /** Whether batches are picked by index from whole arrays (else the arrays are the batch). */
  readonly gathered: boolean;
}

/**
 * One training step: outputs are the losses of the batch. With `gathered`, the first input holds the
 * indices of the batch's samples.
 */
export function traceTrainStep(request: TrainStepRequest): Executable {
  const { network, objective, data, metrics, rows, seed, trainable, gathered } = request;
  const { optimizer } = objective;
  const index = { name: "index", shape: [rows], dtype: "int32" as const };
  const constraintOf: ConstraintOf = (weight) => network.weightInfo(weight).constraint?.apply;
  optimizer.build(trainable);
  return trace({
    name: `training step of ${network.name}`,
    inputs: [...(gathered ? [index] : []), ...inputsOf(data, gathered ? null : rows)],
    body(inputs) {
      const batch = batchFrom(
        data,
        gathered ? inputs.slice(1).map((whole) => gather(whole, inputs[0]!)) : inputs,
      );
      const current = trainable.map((weight) => weight.read());
      const measured = measure(network, objective, batch, {
        training: true,
        random: randomSource(seed.read(), optimizer.iterations.read()),
      });
      if (!measured.total.node) {
        throw new ArgumentError(
          `fit() of ${network.name}: there is no loss; give one to compile() or use addLoss() in a layer`,
        );
      }
      const gradients = gradientsOf(measured.total, current);
      optimizer.applyGradients(
        trainable.map((weight, i) => [gradients[i]!, weight] as const),
        constraintOf,
      );
      updateMetrics(metrics, batch, measured.predictions);
      return reported(measured, objective);
    },
  });
}

/** One evaluation step on a window of the data: outputs are the losses of the batch. */
export function traceEvaluationStep(request: StepRequest): Executable {
  const { network, objective, data, metrics, rows, seed } = request;
  return trace({
    name: `evaluation step of ${network.name}`,
    inputs: inputsOf(data, rows),
    body(inputs) {
      const batch = batchFrom(data, inputs);
      const measured = measure(network, objective, batch, {
        training: false,
        random: randomSource(seed.read(), objective.optimizer.iterations.read()),
      });
      updateMetrics(metrics, batch, measured.predictions);
      return reported(measured, objective);
    },
  });
}

/** The predictions for a window of the inputs. */
export function tracePrediction(
  network: TrainableNetwork,
  inputs: readonly Samples[],
  rows: number,
): Executable {
  return trace({
    name: `prediction of ${network.name}`,
    inputs: inputs.map((s) => ({
      name: `x ${s.name}`,
      shape: [rows, ...s.shape.slice(1)],
      dtype: s.dtype,
    })),
    body: (tensors) => [
      ...forward(network, tensors, {
        training: false,
        // Nothing random happens in inference; a layer that draws gets the same numbers each time.
        random: randomSource(0),
        addLoss() {},
        report() {},
      }),
    ],
  });
}

/** The values of all metrics, as one Program. */
export function traceResults(metrics: readonly OutputMetric[]): Executable {
  return trace({
    name: "metrics",
    inputs: [],
    body: () => metrics.map(({ metric }) => metric.result()),
  });
}
