/**
 * Dry runs: a layer's `call` on placeholders, computing nothing. From the recorded graph follow the
 * output's shape and dtype, and the number of floating-point operations.
 */

import { ArgumentError, expected, LayerwiseError, ShapeError } from "../errors.js";
import { opOf } from "../ops/op.js";
import { randomSource } from "../tensor/random.js";
import { withTrace } from "../tensor/scope.js";
import { sizeOf } from "../tensor/shape.js";
import { type GraphNode, placeholder, Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { CallContext } from "./layer.js";
import type { BatchSpec } from "./symbolic.js";

type Call = (inputs: Tensor[], context: CallContext) => Tensor | Tensor[];

/**
 * Sizes tried in place of free dimensions, the batch's first: unlikely primes, so that they are no
 * divisor and no coincidence.
 */
const trials = [
  [7919, 83],
  [7907, 89],
] as const;

type Sizes = readonly [batch: number, other: number];

/** Shapes and dtypes of what `call` gives; a dimension that follows a free one is null. */
export function dryRun(
  inputs: readonly BatchSpec[],
  call: Call,
): { outputs: BatchSpec[]; listed: boolean } {
  const free = inputs.some((spec) => spec.shape.includes(null));
  const others = inputs.some((spec) => spec.shape.lastIndexOf(null) > 0);
  const attempt = (sizes: Sizes) => {
    try {
      return runOnce(inputs, sizes, call);
    } catch (error) {
      if (error instanceof LayerwiseError && free) {
        const tried = others ? sizes : sizes.slice(0, 1);
        error.message = explain(error.message, tried);
      }
      throw error;
    }
  };
  const first = attempt(trials[0]);
  const second = free ? attempt(trials[1]) : first;
  return {
    listed: first.listed,
    outputs: first.outputs.map((a, i) => ({
      shape: a.shape.map((dim, k) => (second.outputs[i]!.shape[k] === dim ? dim : null)),
      dtype: a.dtype,
    })),
  };
}

/** The sizes tried are nobody's concern: they read as null, and their multiples are explained. */
function explain(message: string, tried: readonly number[]): string {
  const plain = message.replaceAll(/\d+/g, (text) =>
    tried.includes(Number(text)) ? "null" : text,
  );
  const multiple = plain
    .match(/\d+/g)
    ?.some((text) => Number(text) > 0 && tried.some((size) => Number(text) % size === 0));
  return multiple ? `${plain} (with ${tried.join(" and ")} tried for null)` : plain;
}

/** What a computation costs. */
export interface Operations {
  /** Floating-point operations of all kinds, a multiplication and an addition counting as two. */
  readonly flops: number;
  /** Multiplications with an addition in matrix products and convolutions: what papers publish. */
  readonly multiplyAdds: number;
}

/** A sum of costs. */
export function addOperations(a: Operations, b: Operations): Operations {
  return { flops: a.flops + b.flops, multiplyAdds: a.multiplyAdds + b.multiplyAdds };
}

export const noOperations: Operations = { flops: 0, multiplyAdds: 0 };

/**
 * Operations `call` needs for one sample; dimensions that are free count as 1. NaN where that is too small
 * for a window.
 */
export function countOperations(inputs: readonly BatchSpec[], call: Call): Operations {
  let outputs: Tensor[];
  try {
    ({ outputs } = runOnce(
      inputs.map(({ shape, dtype }) => ({ shape: [1, ...shape.slice(1)], dtype })),
      [1, 1],
      call,
    ));
  } catch (error) {
    const free = inputs.some(({ shape }) => shape.slice(1).includes(null));
    if (error instanceof ShapeError && free) return { flops: NaN, multiplyAdds: NaN };
    throw error;
  }
  const seen = new Set<GraphNode>();
  const open = outputs.flatMap((t) => t.node ?? []);
  let total = noOperations;
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    total = addOperations(total, operationsOf(node));
    for (const input of node.inputs) if (input.node) open.push(input.node);
  }
  return total;
}

function operationsOf(node: GraphNode): Operations {
  const multiplyAdds = multiplicationsOf(node);
  return { flops: flopsOf(node) + 2 * multiplyAdds, multiplyAdds };
}

function multiplicationsOf(node: GraphNode): number {
  const { lowering, name } = opOf(node);
  const { inputs, outputs, attributes } = node;
  if (lowering.kind === "product") {
    return lowering.call({ op: opOf(node), inputs, outputs, attributes }).multiplications;
  }
  // In every step the state times the recurrent kernel.
  if (name === "recurrent") return sizeOf(inputs[0]!.shape) * inputs[1]!.shape[0]!;
  if (name === "sequenceProduct") return sizeOf(outputs[0]!.shape) * inputs[0]!.shape[2]!;
  return 0;
}

/** The gates of all steps: sums of products and biases, activations, and the state that an LSTM or GRU makes of them. */
function recurrentFlops({ inputs: [pre, kernel], attributes }: GraphNode): number {
  const { cell, has } = attributes as { cell: string; has: readonly string[] };
  const gates = sizeOf(pre!.shape);
  const units = (gates / pre!.shape[2]!) * kernel!.shape[0]!;
  const biases = has.filter((name) => name === "bias" || name === "recurrentBias").length;
  const activation = cell === "linear" ? 0 : 1;
  const state = cell === "lstm" || cell.startsWith("gru") ? 5 : 0;
  const peepholes = has.includes("peepholes") ? 3 * 2 : 0;
  return gates * (1 + biases + activation) + units * (state + peepholes);
}

/** One per element read (reductions) or written. */
function flopsOf(node: GraphNode): number {
  const { lowering, name } = opOf(node);
  switch (lowering.kind) {
    case "product":
      return 0;
    case "elementwise":
      return name === "cast" || name === "broadcastTo" ? 0 : sizeOf(node.outputs[0]!.shape);
    case "reduce":
      return sizeOf(node.inputs[0]!.shape);
    case "alias":
      return 0;
    case "kernels":
      // Exponentials, sums and divisions of softmax; two passes of moments. Copies compute nothing.
      if (name === "softmax" || name === "moments") return 4 * sizeOf(node.inputs[0]!.shape);
      // As many as a window has elements, for each.
      if (name === "maxPool" || name === "avgPool") {
        const { kernel } = node.attributes as { kernel: readonly number[] };
        return sizeOf(node.outputs[0]!.shape) * sizeOf(kernel);
      }
      if (name === "recurrent") return recurrentFlops(node);
      return 0;
  }
}

function runOnce(
  inputs: readonly BatchSpec[],
  [batch, other]: Sizes,
  call: Call,
): { outputs: Tensor[]; listed: boolean } {
  const placeholders = inputs.map(({ shape, dtype }) =>
    placeholder(
      shape.map((dim, i) => dim ?? (i === 0 ? batch : other)),
      dtype,
    ),
  );
  const stand = new Map<Variable, Tensor>();
  const scope = {
    read(variable: Variable): Tensor {
      const known = stand.get(variable) ?? placeholder(variable.shape, variable.dtype);
      stand.set(variable, known);
      return known;
    },
    assign(): void {},
  };
  const context: CallContext = {
    training: false,
    random: randomSource(placeholder([], "int32"), placeholder([], "int32")),
    addLoss: () => {},
  };
  const result: unknown = withTrace(scope, () => call(placeholders, context));
  const outputs: unknown[] = Array.isArray(result) ? result : [result];
  for (const output of outputs) {
    if (!(output instanceof Tensor)) {
      throw new ArgumentError(
        expected("call()", "to return a tensor or an array of tensors", output),
      );
    }
  }
  return {
    outputs: (outputs as Tensor[]).map((t) => t.current()),
    listed: Array.isArray(result),
  };
}
