/** A network as a table: layers, output shapes, parameters, operations and memory per sample. */
import { addOperations, noOperations, type Operations } from "../layers/dryrun.js";
import type { Layer } from "../layers/layer.js";
import type { BatchSpec } from "../layers/symbolic.js";
import { bytesPerElement } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { AnyNetwork, Step } from "./network.js";

/** Options of a summary. */
export interface SummaryOptions {
  /** Receives the text; `console.log` by default. */
  print?: ((text: string) => void) | undefined;
  /** Shows the layers of nested models as well. */
  expandNested?: boolean | undefined;
}

type Cells = readonly string[];

/** The table as text, without a final newline. */
export function summaryText(
  network: AnyNetwork,
  options: { expandNested?: boolean | undefined } = {},
): string {
  const linear = isLinear(network);
  const head: Cells = [
    "Layer (type)",
    "Output shape",
    "Params",
    "FLOPs",
    ...(linear ? [] : ["Connected to"]),
  ];
  const rows = rowsOf(network, linear, options.expandNested ?? false, "");
  const lines = table([head, ...rows], ["left", "left", "right", "right", "left"]);
  return [`Model: ${JSON.stringify(network.name)}`, ...lines, ...totals(network)].join("\n");
}

/** True when each layer takes what the one before it gave: "Connected to" would say nothing. */
function isLinear(network: AnyNetwork): boolean {
  const { steps, inputs, outputs } = network.graph;
  return (
    inputs.length === 1 &&
    outputs.length === 1 &&
    steps.every((step, i) =>
      i === 0
        ? step.inputs.length === 0
        : step.inputs.length === 1 && step.inputs[0] === steps[i - 1]!.first,
    )
  );
}

function rowsOf(network: AnyNetwork, linear: boolean, expand: boolean, indent: string): Cells[] {
  const { steps } = network.graph;
  const specs: BatchSpec[] = steps.flatMap((step) => step.outputs);
  const producer: Step[] = steps.flatMap((step) => step.outputs.map(() => step));
  const counted = new Set<Layer>();
  const rows: Cells[] = [];
  for (const step of steps) {
    const { layer } = step;
    const again = counted.has(layer);
    counted.add(layer);
    const inputs = step.inputs.map((slot) => specs[slot]!);
    rows.push([
      `${indent}${layer.name} (${layer.className})`,
      step.outputs.map((spec) => showShape(spec.shape)).join(", "),
      again ? "shared" : grouped(layer.countParams()),
      inputs.length === 0 ? "0" : grouped(costs(step, inputs).flops),
      ...(linear ? [] : [step.inputs.map((slot) => producer[slot]!.layer.name).join(", ")]),
    ]);
    if (expand && !again && isNetwork(layer)) {
      rows.push(...rowsOf(layer, linear, expand, `${indent}  `));
    }
  }
  return rows;
}

/** Told by its graph: importing the class would close a circle. */
function isNetwork(layer: Layer): layer is AnyNetwork {
  return "graph" in layer;
}

function costs(step: Step, inputs: readonly BatchSpec[]): Operations {
  const shapes = inputs.map((spec) => spec.shape);
  return step.layer.operationsPerSample(
    step.listed ? shapes : shapes[0]!,
    inputs.map((spec) => spec.dtype),
  );
}

/** What a whole network needs for one sample; free dimensions other than the batch count as 1. */
export function networkCosts(network: AnyNetwork): Operations & { activationBytes: number } {
  const { steps } = network.graph;
  const specs: BatchSpec[] = steps.flatMap((step) => step.outputs);
  let total = noOperations;
  let bytes = 0;
  for (const step of steps) {
    if (step.inputs.length === 0) continue;
    const inputs = step.inputs.map((slot) => specs[slot]!);
    total = addOperations(total, costs(step, inputs));
    bytes += isNetwork(step.layer)
      ? networkCosts(step.layer).activationBytes
      : step.outputs.reduce((sum, spec) => sum + bytesOf(spec), 0);
  }
  return { ...total, activationBytes: bytes };
}

function bytesOf({ shape, dtype }: BatchSpec): number {
  const size = shape.slice(1).reduce<number>((product, dim) => product * (dim ?? 1), 1);
  return size * bytesPerElement[dtype];
}

function totals(network: AnyNetwork): string[] {
  const count = (weights: readonly { size: number }[]) =>
    weights.reduce((total, w) => total + w.size, 0);
  const trainable = count(network.trainableWeights);
  const frozen = count(network.nonTrainableWeights);
  const line = (label: string, n: number) => `${label}: ${grouped(n)} (${inBytes(4 * n)})`;
  const { flops, multiplyAdds, activationBytes } = networkCosts(network);
  return [
    line("Total params", trainable + frozen),
    line("Trainable params", trainable),
    line("Non-trainable params", frozen),
    `FLOPs per sample: ${grouped(flops)} (${grouped(multiplyAdds)} multiply-adds)`,
    `Activation memory per sample: ${inBytes(activationBytes)}`,
  ];
}

function table(rows: readonly Cells[], align: readonly ("left" | "right")[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const text = rows.map((row) =>
    row
      .map((cell, i) =>
        align[i] === "right" ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!),
      )
      .join("   ")
      .trimEnd(),
  );
  const width = widths.reduce((a, b) => a + b + 3, -3);
  const rule = "─".repeat(width);
  return [rule, text[0]!, "═".repeat(width), ...text.slice(1), rule];
}

/** 407050 → "407,050"; "?" for what depends on free dimensions. */
function grouped(n: number): string {
  if (Number.isNaN(n)) return "?";
  return Math.round(n).toLocaleString("en-US");
}

/** 1628200 → "1.55 MB". */
function inBytes(bytes: number): string {
  const units = ["B", "KB", "MB", "GB"];
  const power = Math.min(3, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(2)} ${units[power]}`;
}
