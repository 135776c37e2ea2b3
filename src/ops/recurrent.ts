/**
 * Recurrent networks over whole sequences: `simpleRNN`, `lstm` and `gru`, with initial states, lengths of
 * sequences, both directions and dropout of the state. Gates and weights are laid out as Keras has them.
 */
import { checkChoice, checkKeys, expected, ShapeError, StateError } from "../errors.js";
import {
  type BackwardOutput,
  backwardOutputs,
  type Cell,
  cells,
  type ForwardOutput,
  forwardOutputs,
  gatesOf,
  gradientsOf,
  outputsOf,
} from "../kernels/recurrentOperands.js";
import { type Shape, sameShape, showShape } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { add, mul } from "./elementwise.js";
import { matMul } from "./matmul.js";
import { concat, reshape, slice, stack } from "./movement.js";
import {
  asTensor,
  defineOp,
  type GradientContext,
  type KernelEmitter,
  type Recorder,
  requireDType,
} from "./op.js";
import { sum } from "./reduce.js";
import { sequenceOuter, sequenceProduct } from "./sequence.js";

/** Inputs that a call may lack, in order; `c0` goes with `h0`. */
const optionalInputs = [
  "bias",
  "recurrentBias",
  "h0",
  "c0",
  "peepholes",
  "mask",
  "lengths",
] as const;
type OptionalInput = (typeof optionalInputs)[number];

interface CellAttributes {
  readonly cell: Cell;
  readonly reverse: boolean;
  /** Inputs after those that every call has. */
  readonly has: readonly string[];
}

const flagsOf = (has: readonly string[], names: readonly string[]): number[] =>
  names.map((name) => Number(has.includes(name)));

/** Bits of the results that are read, and which they are. */
function wantedOf(
  e: KernelEmitter<CellAttributes>,
  own: readonly string[],
  all: readonly string[],
): { bits: number; which: number[] } {
  const which = own.map((_, i) => i).filter((i) => e.wanted(i));
  return { bits: which.reduce((bits, i) => bits | (1 << all.indexOf(own[i]!)), 0), which };
}

const applyRecurrent: Recorder<CellAttributes> = defineOp<CellAttributes>({
  name: "recurrent",
  infer: ([pre, recurrentKernel], { cell }) => {
    const [batch, time] = pre!.shape as [number, number];
    const units = recurrentKernel!.shape[0]!;
    return outputsOf(cell).map((name) => ({
      shape:
        name === "h" || name === "c"
          ? [batch, units]
          : [batch, time, name === "gates" ? gatesOf(cell) * units : units],
      dtype: "float32",
    }));
  },
  lowering: {
    kind: "kernels",
    optional: forwardOutputs.map((_, i) => i),
    emit: (e) => {
      const { cell, reverse, has } = e.attributes;
      const [batch, time] = e.inputs[0]!.shape as [number, number];
      const { bits, which } = wantedOf(e, outputsOf(cell), forwardOutputs);
      e.call(
        "recurrent",
        e.inputs.map((_, i) => i),
        which,
        [
          ...[batch, time, e.inputs[1]!.shape[0]!, cells.indexOf(cell), bits, Number(reverse)],
          ...flagsOf(has, ["bias", "recurrentBias", "h0", "peepholes", "mask", "lengths"]),
        ],
      );
    },
  },
  gradient: (context) => recurrentGradients(context),
  samples: (["tanh", "lstm", "gru", "gruResetAfter"] as const).map((cell) => ({
    inputs: [
      { shape: [2, 3, 2 * gatesOf(cell)], domain: [-1, 1] as const },
      { shape: [2, 2 * gatesOf(cell)], domain: [-1, 1] as const },
      { shape: [2], dtype: "int32" as const, values: [3, 1] },
    ],
    attributes: { cell, reverse: false, has: ["lengths"] },
    // There is no second derivative; test/ops/recurrent.test.ts checks the first.
    differentiable: false,
  })),
});

const applyRecurrentGradient: Recorder<CellAttributes> = defineOp<CellAttributes>({
  name: "recurrentGradient",
  infer: ([recurrentKernel, gates], { cell }) => {
    const [batch, time, width] = gates!.shape as [number, number, number];
    return gradientsOf(cell).map((name) => ({
      shape:
        name === "dH0" || name === "dC0"
          ? [batch, recurrentKernel!.shape[0]!]
          : [batch, time, width],
      dtype: "float32",
    }));
  },
  lowering: {
    kind: "kernels",
    optional: backwardOutputs.map((_, i) => i),
    emit: (e) => {
      const { cell, reverse, has } = e.attributes;
      const [batch, time] = e.inputs[1]!.shape as [number, number];
      const { bits, which } = wantedOf(e, gradientsOf(cell), backwardOutputs);
      e.call(
        "recurrentGradient",
        e.inputs.map((_, i) => i),
        which,
        [
          ...[batch, time, e.inputs[0]!.shape[0]!, cells.indexOf(cell), bits, Number(reverse)],
          ...flagsOf(has, ["peepholes", "mask", "lengths", "dOutputs", "dH", "dC"]),
        ],
      );
    },
  },
  gradient: ({ attributes: { cell } }) => {
    const name = gatesOf(cell) === 4 ? "lstm" : gatesOf(cell) === 3 ? "gru" : "simpleRNN";
    throw new StateError(
      `gradient of ${name}: there is no second derivative of whole sequences (the layer rnn over a cell has one)`,
    );
  },
  samples: (["relu", "lstm", "gru", "gruResetAfter"] as const).map((cell) => ({
    inputs: [
      { shape: [2, 2 * gatesOf(cell)], domain: [-1, 1] as const },
      { shape: [2, 3, 2 * gatesOf(cell)], domain: [0.1, 0.9] as const },
      ...(gatesOf(cell) === 1 ? [] : [{ shape: [2, 3, 2], domain: [-0.9, 0.9] as const }]),
      ...(gatesOf(cell) === 1 ? [] : [{ shape: [2, 3, 2], domain: [-0.9, 0.9] as const }]),
      { shape: [2, 3, 2], domain: [-1, 1] as const },
    ],
    attributes: { cell, reverse: false, has: ["dOutputs"] },
    differentiable: false,
  })),
});

/** Gradients of `recurrent`: the steps backwards in one kernel, weights by products over all steps. */
function recurrentGradients({
  inputs,
  outputs,
  attributes: { cell, reverse, has },
  dys,
}: GradientContext<CellAttributes>): (Tensor | null)[] {
  const input = Object.fromEntries(["pre", "R", ...has].map((name, i) => [name, inputs[i]!]));
  const at = (name: ForwardOutput): number => outputsOf(cell).indexOf(name);
  const saved = (name: ForwardOutput): Tensor => outputs[at(name)]!;
  const gates = gatesOf(cell);
  const extra: [string, Tensor | null | undefined][] = [
    ["peepholes", input.peepholes],
    ["mask", input.mask],
    ["lengths", input.lengths],
    ["dOutputs", dys[at("outputs")]],
    ["dH", dys[at("h")]],
    ["dC", cell === "lstm" ? dys[at("c")] : null],
  ];
  const present = extra.filter(([, tensor]) => tensor);
  const results = applyRecurrentGradient(
    [
      input.R!,
      saved("gates"),
      ...(gates === 3 ? [saved("previous")] : []),
      ...(gates === 1 ? [] : [saved("inner")]),
      ...(cell === "lstm" ? [saved("previousCells")] : []),
      ...present.map(([, tensor]) => tensor!),
    ],
    { cell, reverse, has: present.map(([name]) => name) },
  );
  const result = (name: BackwardOutput): Tensor => results[gradientsOf(cell).indexOf(name)]!;
  const dPre = result("dPre");
  const dProduct = cell === "gruResetAfter" ? result("dRecurrent") : dPre;
  const [batch, time, width] = dPre.shape as [number, number, number];
  const units = width / gates;
  const block = (x: Tensor, from: number, count: number): Tensor =>
    slice(x, [0, 0, from * units], [batch, time, count * units]);
  /** Σ aᵀ·b over all steps that are there. */
  const outer = (a: Tensor, b: Tensor): Tensor =>
    input.lengths
      ? sequenceOuter(a, b, input.lengths)
      : matMul(reshape(a, [batch * time, units]), reshape(b, [batch * time, b.shape[2]!]), true);
  const seen = (): Tensor =>
    // A GRU saves the state itself, which it needs beside what its products see of it.
    gates === 3 && input.mask
      ? mul(saved("previous"), reshape(input.mask, [batch, 1, units]))
      : saved("previous");
  const gradientOf: Record<string, () => Tensor | null> = {
    pre: () => dPre,
    // Before the product the reset gate scaled the candidate's share of h.
    R: () =>
      cell === "gru"
        ? concat([outer(seen(), block(dPre, 0, 2)), outer(saved("inner"), block(dPre, 2, 1))], 1)
        : outer(seen(), dProduct),
    bias: () => sum(dPre, [0, 1]),
    recurrentBias: () => sum(dProduct, [0, 1]),
    h0: () => result("dH0"),
    c0: () => result("dC0"),
    peepholes: () => {
      const all = saved("gates");
      const before = saved("previousCells");
      const c = add(mul(block(all, 1, 1), before), mul(block(all, 0, 1), block(all, 2, 1)));
      const of = (gate: number, cells: Tensor): Tensor =>
        sum(mul(block(dPre, gate, 1), cells), [0, 1]);
      return stack([of(0, before), of(1, before), of(3, c)]);
    },
    mask: () => null,
    lengths: () => null,
  };
  return ["pre", "R", ...has].map((name) => gradientOf[name]!());
}

/** What every recurrent op may be told. */
export interface RecurrentOptions {
  /**
   * int32 [batch]: how many steps of each sequence there are, 0 to time; all when left out. Steps beyond
   * are padding: never read, with outputs and gradients of 0; a sequence's last state is that of its own
   * last step (the initial state if it has none).
   */
  readonly lengths?: TensorLike | undefined;
  /**
   * Reads each sequence from its own last step to its first; `outputs` stay at the steps they belong to
   * (the state that has seen steps t, t + 1 …).
   */
  readonly reverse?: boolean | undefined;
  /**
   * A factor [batch, units] of h(t − 1) in the products of every step, as recurrent dropout wants it (the share of
   * h(t − 1) that a GRU's update gate lets through stays as it is).
   */
  readonly recurrentMask?: TensorLike | undefined;
}

/** Activations of {@link simpleRNN}. */
export const simpleRNNActivations = ["tanh", "relu", "sigmoid", "linear"] as const;
/** What a plain recurrent step applies to its sum. */
export type SimpleRNNActivation = (typeof simpleRNNActivations)[number];

/** Options of {@link simpleRNN}. */
export interface SimpleRNNOptions extends RecurrentOptions {
  /** h(0), [batch, units]; zeros when left out. */
  readonly initialState?: TensorLike | undefined;
  /** "tanh" when left out. */
  readonly activation?: SimpleRNNActivation | undefined;
}

/** Options of {@link lstm}. */
export interface LSTMOptions extends RecurrentOptions {
  /** h(0) and c(0), each [batch, units]; zeros when left out. */
  readonly initialState?: { readonly h: TensorLike; readonly c: TensorLike } | undefined;
  /** Weights [3, units] from the cell to the gates i, f (from c(t − 1)) and o (from c(t)). */
  readonly peepholes?: TensorLike | undefined;
}

/** Options of {@link gru}. */
export interface GRUOptions extends RecurrentOptions {
  /** h(0), [batch, units]; zeros when left out. */
  readonly initialState?: TensorLike | undefined;
  /**
   * true (as Keras 2 and 3, and cuDNN): the reset gate scales h·R + bias; false (Cho et al. 2014): it
   * scales h before the product. true when left out.
   */
  readonly resetAfter?: boolean | undefined;
}

interface Sequence {
  readonly x: Tensor;
  readonly kernel: Tensor;
  readonly recurrentKernel: Tensor;
  readonly bias: Tensor | undefined;
  readonly lengths: Tensor | undefined;
  readonly mask: Tensor | undefined;
}

/** All steps of one cell; names are those of the kernel's results. */
function run(
  s: Sequence,
  cell: Cell,
  reverse: boolean | undefined,
  more: { readonly [name in OptionalInput]?: Tensor | undefined },
): Readonly<Record<ForwardOutput, Tensor>> {
  const given = { bias: s.bias, mask: s.mask, lengths: s.lengths, ...more };
  const has = optionalInputs.filter((name) => given[name]);
  const pre = s.lengths ? sequenceProduct(s.x, s.kernel, s.lengths) : matMul(s.x, s.kernel);
  const results = applyRecurrent([pre, s.recurrentKernel, ...has.map((name) => given[name]!)], {
    cell,
    reverse: reverse ?? false,
    has,
  });
  return Object.fromEntries(outputsOf(cell).map((name, i) => [name, results[i]!])) as Record<
    ForwardOutput,
    Tensor
  >;
}

const common = ["initialState", "lengths", "reverse", "recurrentMask"] as const;

function shaped(where: string, name: string, value: TensorLike, shape: Shape): Tensor {
  const t = asTensor(`${where} ${name}`, value);
  requireDType(`${where} ${name}`, t, "float32");
  if (!sameShape(t.shape, shape)) {
    throw new ShapeError(
      expected(where, `\`${name}\` of shape ${showShape(shape)}`, showShape(t.shape)),
    );
  }
  return t;
}

/** Inputs as tensors of the right shapes. */
function sequence(
  where: string,
  gates: number,
  x: TensorLike,
  kernel: TensorLike,
  recurrentKernel: TensorLike,
  bias: TensorLike | null,
  biasShape: (units: number) => Shape,
  options: RecurrentOptions,
): Sequence {
  const input = asTensor(where, x);
  requireDType(where, input, "float32");
  if (input.rank !== 3) {
    throw new ShapeError(
      expected(where, "x of shape [batch, time, inputs]", showShape(input.shape)),
    );
  }
  const [batch, , features] = input.shape as [number, number, number];
  const recurrent = asTensor(`${where} recurrentKernel`, recurrentKernel);
  const units = recurrent.shape[0] ?? 0;
  const lengths = options.lengths === undefined ? undefined : asTensor(where, options.lengths);
  if (lengths) {
    requireDType(`${where} lengths`, lengths, "int32");
    if (!sameShape(lengths.shape, [batch])) {
      throw new ShapeError(
        expected(where, `\`lengths\` of shape [${batch}]`, showShape(lengths.shape)),
      );
    }
  }
  const mask = options.recurrentMask;
  return {
    x: input,
    kernel: shaped(where, "kernel", kernel, [features, gates * units]),
    recurrentKernel: shaped(where, "recurrentKernel", recurrent, [units, gates * units]),
    bias: bias === null ? undefined : shaped(where, "bias", bias, biasShape(units)),
    lengths,
    mask: mask === undefined ? undefined : shaped(where, "recurrentMask", mask, [batch, units]),
  };
}

function stateOf(
  where: string,
  name: string,
  s: Sequence,
  value: TensorLike | undefined,
): Tensor | undefined {
  const shape = [s.x.shape[0]!, s.recurrentKernel.shape[0]!];
  return value === undefined ? undefined : shaped(where, name, value, shape);
}

/**
 * The simple recurrent network (Elman 1990): h(t) = activation(x(t)·kernel + h(t − 1)·recurrentKernel + bias).
 * @param x [batch, time, inputs]
 * @param kernel [inputs, units]
 * @param recurrentKernel [units, units]
 * @param bias [units], or null
 * @returns outputs [batch, time, units], and the last state [batch, units]
 * @throws ShapeError or DTypeError if the inputs do not fit, ArgumentError for an unknown option.
 */
export function simpleRNN(
  x: TensorLike,
  kernel: TensorLike,
  recurrentKernel: TensorLike,
  bias: TensorLike | null,
  options: SimpleRNNOptions = {},
): { outputs: Tensor; state: Tensor } {
  const where = "simpleRNN";
  checkKeys(where, options, [...common, "activation"]);
  const activation = options.activation ?? "tanh";
  checkChoice(where, "activation", activation, simpleRNNActivations);
  const s = sequence(where, 1, x, kernel, recurrentKernel, bias, (units) => [units], options);
  const { outputs, h } = run(s, activation, options.reverse, {
    h0: stateOf(where, "initialState", s, options.initialState),
  });
  return { outputs, state: h };
}

/**
 * Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):
 * i, f, o = σ(…), c(t) = f·c(t − 1) + i·tanh(…), h(t) = o·tanh(c(t)), each … a product of x(t) and h(t − 1)
 * with its columns of the weights, in the order i, f, c, o.
 * @param x [batch, time, inputs]
 * @param kernel [inputs, 4·units]
 * @param recurrentKernel [units, 4·units]
 * @param bias [4·units], or null
 * @returns outputs [batch, time, units], and the last states h and c, each [batch, units]
 * @throws ShapeError or DTypeError if the inputs do not fit, ArgumentError for an unknown option.
 */
export function lstm(
  x: TensorLike,
  kernel: TensorLike,
  recurrentKernel: TensorLike,
  bias: TensorLike | null,
  options: LSTMOptions = {},
): { outputs: Tensor; h: Tensor; c: Tensor } {
  const where = "lstm";
  checkKeys(where, options, [...common, "peepholes"]);
  const s = sequence(where, 4, x, kernel, recurrentKernel, bias, (units) => [4 * units], options);
  const units = s.recurrentKernel.shape[0]!;
  const { initialState, peepholes } = options;
  if (initialState !== undefined) checkKeys(`${where} initialState`, initialState, ["h", "c"]);
  const { outputs, h, c } = run(s, "lstm", options.reverse, {
    h0: stateOf(where, "initialState.h", s, initialState?.h),
    c0: stateOf(where, "initialState.c", s, initialState?.c),
    peepholes:
      peepholes === undefined ? undefined : shaped(where, "peepholes", peepholes, [3, units]),
  });
  return { outputs, h, c };
}

/**
 * The gated recurrent unit (Cho et al. 2014): z, r = σ(…), h(t) = z·h(t − 1) + (1 − z)·tanh(…), columns of the
 * weights in the order z, r, h.
 * @param x [batch, time, inputs]
 * @param kernel [inputs, 3·units]
 * @param recurrentKernel [units, 3·units]
 * @param bias [2, 3·units] with resetAfter (added to the product of x, and to that of h), else [3·units]; or null
 * @returns outputs [batch, time, units], and the last state h [batch, units]
 * @throws ShapeError or DTypeError if the inputs do not fit, ArgumentError for an unknown option.
 */
export function gru(
  x: TensorLike,
  kernel: TensorLike,
  recurrentKernel: TensorLike,
  bias: TensorLike | null,
  options: GRUOptions = {},
): { outputs: Tensor; h: Tensor } {
  const where = "gru";
  checkKeys(where, options, [...common, "resetAfter"]);
  const resetAfter = options.resetAfter ?? true;
  const biasShape = (units: number): Shape => (resetAfter ? [2, 3 * units] : [3 * units]);
  const s = sequence(where, 3, x, kernel, recurrentKernel, bias, biasShape, options);
  // The second row is added to h·R: for z and r that is the same sum, for the candidate it is not.
  const biases = resetAfter && s.bias ? s.bias : undefined;
  const row = (i: number): Tensor | undefined =>
    biases && reshape(slice(biases, [i, 0], [1, biases.shape[1]!]), [-1]);
  const { outputs, h } = run(s, resetAfter ? "gruResetAfter" : "gru", options.reverse, {
    h0: stateOf(where, "initialState", s, options.initialState),
    bias: resetAfter ? row(0) : s.bias,
    recurrentBias: row(1),
  });
  return { outputs, h };
}
