/**
 * The recurrent cells as graphs of ordinary ops, one step after the other: slow and plain. What the
 * kernels are compared with.
 */

import { fill } from "../../src/ops/creation.js";
import { add, greater, mul, relu, sigmoid, sub, tanh, where } from "../../src/ops/elementwise.js";
import { matMul } from "../../src/ops/matmul.js";
import { reshape, slice, stack } from "../../src/ops/movement.js";
import type { Tensor } from "../../src/tensor/tensor.js";

export interface ComposedInputs {
  readonly x: Tensor;
  readonly kernel: Tensor;
  readonly recurrentKernel: Tensor;
  readonly bias: Tensor | null;
  readonly h: Tensor;
  readonly c?: Tensor | undefined;
  readonly lengths?: Tensor | undefined;
  readonly peepholes?: Tensor | undefined;
  readonly recurrentMask?: Tensor | undefined;
}

export interface ComposedOptions {
  readonly cell: "simpleRNN" | "lstm" | "gru";
  readonly reverse: boolean;
  readonly resetAfter?: boolean | undefined;
  readonly activation?: string | undefined;
}

const activations: Record<string, (x: Tensor) => Tensor> = {
  tanh,
  relu,
  sigmoid,
  linear: (x) => x,
};

/** The g-th of the gates' column blocks. */
function block(x: Tensor, g: number, units: number): Tensor {
  return slice(x, [0, g * units], [x.shape[0]!, units]);
}

interface State {
  readonly h: Tensor;
  readonly c?: Tensor | undefined;
}

function step(i: ComposedInputs, o: ComposedOptions, x: Tensor, s: State): State {
  const units = i.recurrentKernel.shape[0]!;
  const h = i.recurrentMask ? mul(s.h, i.recurrentMask) : s.h;
  const r = i.recurrentKernel;
  if (o.cell === "gru" && o.resetAfter) {
    const input = i.bias
      ? add(matMul(x, i.kernel), slice(i.bias, [0, 0], [1, 3 * units]))
      : matMul(x, i.kernel);
    const inner = i.bias ? add(matMul(h, r), slice(i.bias, [1, 0], [1, 3 * units])) : matMul(h, r);
    const z = sigmoid(add(block(input, 0, units), block(inner, 0, units)));
    const reset = sigmoid(add(block(input, 1, units), block(inner, 1, units)));
    const hh = tanh(add(block(input, 2, units), mul(reset, block(inner, 2, units))));
    return { h: add(mul(z, s.h), mul(sub(1, z), hh)) };
  }
  const input = i.bias ? add(matMul(x, i.kernel), i.bias) : matMul(x, i.kernel);
  if (o.cell === "gru") {
    const rows = [units, units];
    const gate = (g: number, from: Tensor): Tensor =>
      add(block(input, g, units), matMul(from, slice(r, [0, g * units], rows)));
    const z = sigmoid(gate(0, h));
    const hh = tanh(gate(2, mul(sigmoid(gate(1, h)), h)));
    return { h: add(mul(z, s.h), mul(sub(1, z), hh)) };
  }
  const all = add(input, matMul(h, r));
  if (o.cell === "simpleRNN") return { h: activations[o.activation ?? "tanh"]!(all) };
  const peep = (g: number, c: Tensor): Tensor =>
    i.peepholes
      ? add(block(all, g === 2 ? 3 : g, units), mul(c, slice(i.peepholes, [g, 0], [1, units])))
      : block(all, g === 2 ? 3 : g, units);
  const before = s.c!;
  const c = add(
    mul(sigmoid(peep(1, before)), before),
    mul(sigmoid(peep(0, before)), tanh(block(all, 2, units))),
  );
  return { h: mul(sigmoid(peep(2, c)), tanh(c)), c };
}

/** Outputs [batch, time, units] and the last state. */
export function composedRecurrent(
  i: ComposedInputs,
  o: ComposedOptions,
): { outputs: Tensor; h: Tensor; c?: Tensor | undefined } {
  const [batch, time, features] = i.x.shape as [number, number, number];
  const units = i.recurrentKernel.shape[0]!;
  const outputs: Tensor[] = new Array<Tensor>(time);
  let state: State = { h: i.h, c: i.c };
  for (let k = 0; k < time; k++) {
    const t = o.reverse ? time - 1 - k : k;
    let x = reshape(slice(i.x, [0, t, 0], [batch, 1, features]), [batch, features]);
    if (!i.lengths) {
      state = step(i, o, x, state);
      outputs[t] = state.h;
      continue;
    }
    const active = reshape(greater(i.lengths, t), [batch, 1]);
    x = where(active, x, 0);
    const next = step(i, o, x, state);
    outputs[t] = where(active, next.h, 0);
    state = {
      h: where(active, next.h, state.h),
      c: next.c && where(active, next.c, state.c!),
    };
  }
  return {
    outputs: time > 0 ? stack(outputs, 1) : fill([batch, 0, units], 0),
    h: state.h,
    c: state.c,
  };
}
