/**
 * Recurrent networks over whole sequences: `simpleRNN`, `lstm` and `gru`, with initial states, lengths of
 * sequences, both directions and dropout of the state. Gates and weights are laid out as Keras has them.
 */
import { checkChoice, checkKeys, expected, ShapeError } from "../errors.js";
import { type Shape, sameShape, showShape } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { fill } from "./creation.js";
import { asTensor, requireDType } from "./op.js";
import { composedRecurrent } from "./recurrentComposed.js";

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
  /** [batch, units]: a factor of h(t − 1) at every step, as recurrent dropout wants it. */
  readonly recurrentMask?: TensorLike | undefined;
}

/** Activations of {@link simpleRNN}. */
export const simpleRNNActivations = ["tanh", "relu", "sigmoid", "linear"] as const;
export type SimpleRNNActivation = (typeof simpleRNNActivations)[number];

export interface SimpleRNNOptions extends RecurrentOptions {
  /** h(0), [batch, units]; zeros when left out. */
  readonly initialState?: TensorLike | undefined;
  /** "tanh" when left out. */
  readonly activation?: SimpleRNNActivation | undefined;
}

export interface LSTMOptions extends RecurrentOptions {
  /** h(0) and c(0), each [batch, units]; zeros when left out. */
  readonly initialState?: { readonly h: TensorLike; readonly c: TensorLike } | undefined;
  /** [3, units]: weights from the cell to the gates i, f (from c(t − 1)) and o (from c(t)). */
  readonly peepholes?: TensorLike | undefined;
}

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
  readonly bias: Tensor | null;
  readonly lengths?: Tensor | undefined;
  readonly recurrentMask?: Tensor | undefined;
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
    bias: bias === null ? null : shaped(where, "bias", bias, biasShape(units)),
    lengths,
    recurrentMask:
      mask === undefined ? undefined : shaped(where, "recurrentMask", mask, [batch, units]),
  };
}

function stateOf(where: string, name: string, s: Sequence, value: TensorLike | undefined): Tensor {
  const shape = [s.x.shape[0]!, s.recurrentKernel.shape[0]!];
  return value === undefined ? fill(shape, 0) : shaped(where, name, value, shape);
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
  const { outputs, h } = composedRecurrent(
    { ...s, h: stateOf(where, "initialState", s, options.initialState) },
    { cell: "simpleRNN", reverse: options.reverse ?? false, activation },
  );
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
  const { outputs, h, c } = composedRecurrent(
    {
      ...s,
      h: stateOf(where, "initialState.h", s, initialState?.h),
      c: stateOf(where, "initialState.c", s, initialState?.c),
      peepholes:
        peepholes === undefined ? undefined : shaped(where, "peepholes", peepholes, [3, units]),
    },
    { cell: "lstm", reverse: options.reverse ?? false },
  );
  return { outputs, h, c: c! };
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
  const { outputs, h } = composedRecurrent(
    { ...s, h: stateOf(where, "initialState", s, options.initialState) },
    { cell: "gru", reverse: options.reverse ?? false, resetAfter },
  );
  return { outputs, h };
}
