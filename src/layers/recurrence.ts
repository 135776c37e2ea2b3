/**
 * What simple, LSTM and GRU networks compute: weights, one step in ordinary ops, and whole sequences by the
 * ops of `ops/recurrent.ts` where the activations are the ones those have. Cells and recurrent layers
 * both are made of it; how steps are walked through is in `sequence.ts`.
 */
import type { ConfigOf, Declaration } from "../nn/options.js";
import { fill } from "../ops/creation.js";
import { add, mul, sub, where } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { concat, slice } from "../ops/movement.js";
import { normalize } from "../ops/normalization.js";
import { bernoulliFrom } from "../ops/random.js";
import {
  gru as gruOp,
  lstm as lstmOp,
  type RecurrentOptions,
  type SimpleRNNActivation,
  simpleRNNActivations,
  simpleRNN as simpleRNNOp,
} from "../ops/recurrent.js";
import type { RandomSource } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import { activation, boolean, integer, number, seed, weightFields, weightOf } from "./config.js";
import type { WeightOptions } from "./layer.js";

/** Makes a weight of the layer that the weights are to belong to. */
export type AddWeight = (name: string, shape: Shape, options: WeightOptions) => Variable;

/** Factors of dropout, the same for all steps of a sequence. */
export interface Noise {
  /** Of the inputs, [batch, inputs]. */
  readonly input: Tensor | null;
  /** Of the state h, [batch, units]. */
  readonly state: Tensor | null;
}

/** The output of a step and the new states. */
export interface Stepped {
  readonly output: Tensor;
  readonly states: readonly Tensor[];
}

/** A recurrent network with weights; its first state is its output. */
export interface Recurrence {
  readonly units: number;
  readonly stateSizes: readonly number[];
  /** Names of the states, for errors. */
  readonly stateNames: readonly string[];
  build(addWeight: AddWeight, inputs: number): void;
  /** What a step needs of its input: x · kernel, also of many steps at once. */
  project(x: Tensor): Tensor;
  /** One step, from what `project` gave. */
  step(projected: Tensor, states: readonly Tensor[], noise: Noise): Stepped;
  /** A whole sequence in one op; null where there is none for these options. */
  readonly sequence:
    | ((
        x: Tensor,
        states: readonly Tensor[],
        options: RecurrentOptions,
      ) => { readonly outputs: Tensor; readonly states: readonly Tensor[] })
    | null;
}

const commonOptions = {
  /** Size of the state and the output. */
  units: integer({ min: 1 }),
  activation: activation("tanh"),
  /** Whether a bias is added. */
  useBias: boolean(true),
  ...weightFields("kernel", "glorotUniform"),
  ...weightFields("recurrent", "orthogonal"),
  ...weightFields("bias", "zeros"),
  /** Fraction of the inputs to drop while training, the same ones at all steps. */
  dropout: number({ min: 0, max: 1 }, 0),
  /** Fraction of the state to drop between steps while training, the same units at all steps. */
  recurrentDropout: number({ min: 0, max: 1 }, 0),
  /** Fixes what is dropped, independently of the model's seed. */
  seed: seed(),
};

/** The options that all of them have. */
export type StepDeclaration = typeof commonOptions & Declaration;

const gateOptions = {
  /** Of the gates. */
  recurrentActivation: activation("sigmoid"),
  /** Taken for Keras' sake: all ways of computing a step are the same here. */
  implementation: integer({ min: 0, max: 2 }, 2),
};

/** Options of simple recurrent cells and layers. */
export const simpleRNNOptions = commonOptions;

/** Options of LSTM cells and layers. */
export const lstmOptions = {
  ...commonOptions,
  ...gateOptions,
  /** Whether the bias of the forget gate starts at 1 (Jozefowicz et al. 2015). */
  unitForgetBias: boolean(true),
  /** Whether the gates see the cell state (Gers & Schmidhuber 2000). */
  peepholes: boolean(false),
};

/** Options of LSTM cells with layer normalisation. */
export const layerNormLSTMOptions = {
  ...commonOptions,
  ...gateOptions,
  unitForgetBias: boolean(true),
  /** Keeps the divisions finite. */
  epsilon: number({ min: 0 }, 1e-3),
};

/** Options of GRU cells and layers. */
export const gruOptions = {
  ...commonOptions,
  ...gateOptions,
  /** Whether the reset gate is applied after the product with the state, as cuDNN has it, or before. */
  resetAfter: boolean(true),
};

type CommonConfig = ConfigOf<typeof commonOptions>;

/** Draws what is dropped in one sequence. */
export function drawNoise(
  { dropout, recurrentDropout, units }: CommonConfig,
  training: boolean,
  source: () => RandomSource,
  batch: number,
  inputs: number,
): Noise {
  const factors = (rate: number, size: number): Tensor | null => {
    if (!training || rate === 0) return null;
    const keep = bernoulliFrom(source(), [batch, size], 1 - rate);
    // At rate 1 the scale would be infinite, and everything is dropped anyhow.
    return where(keep, rate === 1 ? 0 : 1 / (1 - rate), 0);
  };
  return { input: factors(dropout, inputs), state: factors(recurrentDropout, units) };
}

const factored = (h: Tensor, noise: Tensor | null): Tensor => (noise ? mul(h, noise) : h);

/** Columns of gate `i` of several side by side. */
function gate(x: Tensor, i: number, units: number): Tensor {
  const begin = x.shape.map((_, at) => (at === x.rank - 1 ? i * units : 0));
  return slice(x, begin, [...x.shape.slice(0, -1), units]);
}

interface Weights {
  readonly kernel: Variable;
  readonly recurrent: Variable;
  readonly bias: Variable | null;
}

function addWeights(
  o: CommonConfig,
  addWeight: AddWeight,
  inputs: number,
  gates: number,
  bias: { readonly shape: Shape; readonly initializer: NonNullable<WeightOptions["initializer"]> },
): Weights {
  return {
    kernel: addWeight("kernel", [inputs, gates * o.units], weightOf(o, "kernel")),
    recurrent: addWeight("recurrentKernel", [o.units, gates * o.units], weightOf(o, "recurrent")),
    bias: o.useBias
      ? addWeight("bias", bias.shape, {
          ...weightOf(o, "bias"),
          initializer: bias.initializer,
        })
      : null,
  };
}

/** h(t) = activation(x(t)·kernel + h(t − 1)·recurrentKernel + bias) (Elman 1990). */
export function simpleRecurrence(o: ConfigOf<typeof simpleRNNOptions>): Recurrence {
  const { units } = o;
  const own = simpleRNNActivations.find((name) => name === o.activation.className);
  let w!: Weights;
  return {
    units,
    stateSizes: [units],
    stateNames: ["h"],
    build(addWeight, inputs) {
      w = addWeights(o, addWeight, inputs, 1, {
        shape: [units],
        initializer: o.biasInitializer,
      });
    },
    project(x) {
      const product = matMul(x, w.kernel);
      return w.bias ? add(product, w.bias) : product;
    },
    step(projected, [h], noise) {
      const output = o.activation.apply(
        add(projected, matMul(factored(h!, noise.state), w.recurrent)),
      );
      return { output, states: [output] };
    },
    sequence: own
      ? (x, [h], options) => {
          const activationName: SimpleRNNActivation = own;
          const { outputs, state } = simpleRNNOp(x, w.kernel, w.recurrent, w.bias, {
            ...options,
            initialState: h,
            activation: activationName,
          });
          return { outputs, states: [state] };
        }
      : null,
  };
}

/** The initial bias of an LSTM's gates i, f, c, o. */
function lstmBias(o: CommonConfig & { readonly unitForgetBias: boolean }) {
  const { units, biasInitializer, unitForgetBias } = o;
  const initial = unitForgetBias
    ? (_shape: Shape): Tensor =>
        concat([
          biasInitializer.apply([units], "float32"),
          fill([units], 1),
          biasInitializer.apply([2 * units], "float32"),
        ])
    : biasInitializer;
  return { shape: [4 * units], initializer: initial };
}

const standardGates = (o: {
  readonly activation: { readonly className: string };
  readonly recurrentActivation: { readonly className: string };
}): boolean => o.activation.className === "tanh" && o.recurrentActivation.className === "sigmoid";

/**
 * Long short-term memory (Hochreiter & Schmidhuber 1997, with forget gates):
 * i, f, o = σ(x·W + h·U + b), c ← f·c + i·tanh(x·W + h·U + b), h ← o·tanh(c).
 */
export function lstmRecurrence(o: ConfigOf<typeof lstmOptions>): Recurrence {
  const { units, activation: act, recurrentActivation: gateAct } = o;
  let w!: Weights;
  let peepholes: Variable | null = null;
  return {
    units,
    stateSizes: [units, units],
    stateNames: ["h", "c"],
    build(addWeight, inputs) {
      w = addWeights(o, addWeight, inputs, 4, lstmBias(o));
      if (o.peepholes) {
        peepholes = addWeight("peepholes", [3, units], { initializer: o.kernelInitializer });
      }
    },
    project(x) {
      const product = matMul(x, w.kernel);
      return w.bias ? add(product, w.bias) : product;
    },
    step(projected, [h, c], noise) {
      const z = add(projected, matMul(factored(h!, noise.state), w.recurrent));
      const seen = (i: number, cell: Tensor): Tensor => {
        const own = gate(z, i, units);
        if (!peepholes) return gateAct.apply(own);
        const row = slice(peepholes, [i === 3 ? 2 : i, 0], [1, units]);
        return gateAct.apply(add(own, mul(cell, row)));
      };
      const candidate = act.apply(gate(z, 2, units));
      const cell = add(mul(seen(1, c!), c!), mul(seen(0, c!), candidate));
      const output = mul(seen(3, cell), act.apply(cell));
      return { output, states: [output, cell] };
    },
    sequence: standardGates(o)
      ? (x, [h0, c0], options) => {
          const { outputs, h, c } = lstmOp(x, w.kernel, w.recurrent, w.bias, {
            ...options,
            initialState: { h: h0!, c: c0! },
            ...(peepholes ? { peepholes } : {}),
          });
          return { outputs, states: [h, c] };
        }
      : null,
  };
}

/**
 * LSTM with layer normalisation (Ba et al. 2016): of x·W, of h·U and of the cell state before it is put out.
 * The shift of the first two is the bias.
 */
export function layerNormLSTMRecurrence(o: ConfigOf<typeof layerNormLSTMOptions>): Recurrence {
  const { units, activation: act, recurrentActivation: gateAct, epsilon } = o;
  let w!: Weights;
  let gammas!: { kernel: Variable; recurrent: Variable; state: Variable };
  let beta!: Variable;
  const normal = (x: Tensor, gamma: Variable, shift: Variable | null): Tensor =>
    normalize(x, [x.rank - 1], gamma.read(), shift ? shift.read() : null, epsilon).output;
  return {
    units,
    stateSizes: [units, units],
    stateNames: ["h", "c"],
    build(addWeight, inputs) {
      w = addWeights(o, addWeight, inputs, 4, lstmBias(o));
      gammas = {
        kernel: addWeight("kernelGamma", [4 * units], { initializer: "ones" }),
        recurrent: addWeight("recurrentGamma", [4 * units], { initializer: "ones" }),
        state: addWeight("stateGamma", [units], { initializer: "ones" }),
      };
      beta = addWeight("stateBeta", [units], { initializer: "zeros" });
    },
    project(x) {
      return normal(matMul(x, w.kernel), gammas.kernel, w.bias);
    },
    step(projected, [h, c], noise) {
      const product = matMul(factored(h!, noise.state), w.recurrent);
      const z = add(projected, normal(product, gammas.recurrent, null));
      const [i, f, o_] = [0, 1, 3].map((at) => gateAct.apply(gate(z, at, units)));
      const cell = add(mul(f!, c!), mul(i!, act.apply(gate(z, 2, units))));
      const output = mul(o_!, act.apply(normal(cell, gammas.state, beta)));
      return { output, states: [output, cell] };
    },
    sequence: null,
  };
}

/**
 * The gated recurrent unit (Cho et al. 2014): z, r = σ(x·W + h·U + b),
 * h ← z·h + (1 − z)·tanh(x·W + r·(h·U + b)), or with (r·h)·U without `resetAfter`.
 */
export function gruRecurrence(o: ConfigOf<typeof gruOptions>): Recurrence {
  const { units, activation: act, recurrentActivation: gateAct, resetAfter } = o;
  let w!: Weights;
  /** Row of a bias [2, 3·units]: that of the input, or that of the state. */
  const biasOf = (row: number): Tensor | null =>
    w.bias === null ? null : resetAfter ? slice(w.bias, [row, 0], [1, 3 * units]) : w.bias;
  return {
    units,
    stateSizes: [units],
    stateNames: ["h"],
    build(addWeight, inputs) {
      w = addWeights(o, addWeight, inputs, 3, {
        shape: resetAfter ? [2, 3 * units] : [3 * units],
        initializer: o.biasInitializer,
      });
    },
    project(x) {
      const product = matMul(x, w.kernel);
      const bias = biasOf(0);
      return bias ? add(product, bias) : product;
    },
    step(projected, [h], noise) {
      const previous = factored(h!, noise.state);
      const inner = (at: number, of: Tensor): Tensor =>
        matMul(of, slice(w.recurrent, [0, at * units], [units, units]));
      const state = (at: number): Tensor => {
        const bias = resetAfter ? biasOf(1) : null;
        const product = inner(at, previous);
        return bias ? add(product, gate(bias, at, units)) : product;
      };
      const x = (at: number): Tensor => gate(projected, at, units);
      const z = gateAct.apply(add(x(0), state(0)));
      const r = gateAct.apply(add(x(1), state(1)));
      const candidate = act.apply(
        add(x(2), resetAfter ? mul(r, state(2)) : inner(2, mul(r, previous))),
      );
      // Dropout is for the products: at every step a kept unit's share would grow by its scale.
      const output = add(mul(z, h!), mul(sub(1, z), candidate));
      return { output, states: [output] };
    },
    sequence: standardGates(o)
      ? (x, [h0], options) => {
          const { outputs, h } = gruOp(x, w.kernel, w.recurrent, w.bias, {
            ...options,
            initialState: h0,
            resetAfter,
          });
          return { outputs, states: [h] };
        }
      : null,
  };
}
