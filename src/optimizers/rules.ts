/**
 * The update rules: each a few lines of formulas on (parameter w, gradient g, slots) → new values, as
 * Keras 3 documents them. The compiler makes one pass over memory of each. Learning rates, clipping,
 * weight decay and averaging are the same for all and live in `optimizer.ts`.
 */
import {
  abs,
  add,
  div,
  expm1,
  maximum,
  mul,
  neg,
  pow,
  rsqrt,
  sign,
  sqrt,
  square,
  sub,
} from "../ops/elementwise.js";
import { literal, type Tensor } from "../tensor/tensor.js";

/** Hyper-parameters of a rule, beside those that all optimizers have. */
export type RuleOptions = Readonly<Record<string, number | boolean>>;

/** State of one parameter by name. */
export type Slots = Readonly<Record<string, Tensor>>;

/** What an update yields: the new parameter and its new slots. */
export interface Updated {
  readonly w: Tensor;
  readonly slots?: Slots;
}

/** One optimization method. */
export interface Rule<O extends RuleOptions, S extends keyof O & string = never> {
  readonly name: string;
  /** Hyper-parameters and their defaults. */
  readonly defaults: O;
  readonly learningRate: number;
  /** Decoupled weight decay by default; null for none. */
  readonly weightDecay?: number;
  /** Slots of each parameter and the value they start from. */
  slots(options: O): Readonly<Record<string, number>>;
  /** Hyper-parameters that may follow a schedule; their values of the step then come in `c`. */
  readonly scheduled?: readonly S[];
  /** Scalars shared by all parameters that are kept between steps. */
  readonly scalars?: Readonly<Record<string, number>>;
  /** Whether a gradient of 0 changes nothing: rows of a table without one need not be looked at then. */
  rests?(options: O): boolean;
  /** Scalars computed once per step; t counts updates from 1. Kept ones are returned in `keep`. */
  common?(
    t: Tensor,
    rate: Tensor,
    options: O,
    scalars: Slots,
  ): { readonly values: Slots; readonly keep?: Slots };
  /** The rule itself; `c` holds `rate`, what `common` computed and what follows a schedule. */
  update(w: Tensor, g: Tensor, s: Slots, c: Slots, options: O): Updated;
}

function rule<O extends RuleOptions, S extends keyof O & string = never>(
  row: Rule<O, S>,
): Rule<O, S> {
  return row;
}

/** a + (b − a)·(1 − β): the running average β·a + (1 − β)·b. */
const blend = (a: Tensor, b: Tensor, beta: number): Tensor => add(a, mul(sub(b, a), 1 - beta));

/** 1 − βᵗ, exact also where βᵗ is close to 1. */
const oneMinusPower = (beta: number, t: Tensor): Tensor =>
  beta === 0 ? literal(1, "float32") : neg(expm1(mul(t, Math.log(beta))));

/** Gradient descent; with `momentum` Polyak's (1964), with `nesterov` Nesterov's (1983). */
export const sgd = rule({
  name: "sgd",
  defaults: { momentum: 0, nesterov: false },
  learningRate: 0.01,
  scheduled: ["momentum"],
  rests: ({ momentum }) => momentum === 0,
  slots: ({ momentum }): Record<string, number> => (momentum > 0 ? { momentum: 0 } : {}),
  update(w, g, { momentum: m }, { rate, momentum: scheduled }, { momentum, nesterov }) {
    const pull = mul(g, rate!);
    if (!m) return { w: sub(w, pull) };
    const kept = scheduled ?? momentum;
    const velocity = sub(mul(m, kept), pull);
    const move = nesterov ? sub(mul(velocity, kept), pull) : velocity;
    return { w: add(w, move), slots: { momentum: velocity } };
  },
});

/** Gradient descent with momentum 0.9 unless told otherwise. */
export const momentum = rule({
  ...sgd,
  name: "momentum",
  defaults: { momentum: 0.9, nesterov: false },
});

/** Duchi et al. 2011. */
export const adagrad = rule({
  name: "adagrad",
  defaults: { initialAccumulatorValue: 0.1, epsilon: 1e-7 },
  learningRate: 0.001,
  rests: () => true,
  slots: ({ initialAccumulatorValue }) => ({ accumulator: initialAccumulatorValue }),
  update(w, g, { accumulator }, { rate }, { epsilon }) {
    const total = add(accumulator!, square(g));
    return {
      w: sub(w, div(mul(g, rate!), sqrt(add(total, epsilon)))),
      slots: { accumulator: total },
    };
  },
});

/** Zeiler 2012. */
export const adadelta = rule({
  name: "adadelta",
  defaults: { rho: 0.95, epsilon: 1e-7 },
  learningRate: 0.001,
  slots: () => ({ accumulatedGradient: 0, accumulatedUpdate: 0 }),
  update(w, g, s, { rate }, { rho, epsilon }) {
    const gradients = blend(s.accumulatedGradient!, square(g), rho);
    const updates = s.accumulatedUpdate!;
    const ratio = mul(sqrt(add(updates, epsilon)), rsqrt(add(gradients, epsilon)));
    const delta = neg(mul(ratio, g));
    return {
      w: add(w, mul(delta, rate!)),
      slots: {
        accumulatedGradient: gradients,
        accumulatedUpdate: blend(updates, square(delta), rho),
      },
    };
  },
});

/** Tieleman & Hinton 2012; `centered` divides by the variance rather than the second moment. */
export const rmsprop = rule({
  name: "rmsprop",
  defaults: { rho: 0.9, momentum: 0, epsilon: 1e-7, centered: false },
  learningRate: 0.001,
  slots: ({ momentum, centered }): Record<string, number> => ({
    velocity: 0,
    ...(momentum > 0 ? { momentum: 0 } : {}),
    ...(centered ? { averageGradient: 0 } : {}),
  }),
  update(w, g, s, { rate }, { rho, momentum, epsilon, centered }) {
    const velocity = blend(s.velocity!, square(g), rho);
    const average = centered ? blend(s.averageGradient!, g, rho) : null;
    const spread = average ? sub(velocity, square(average)) : velocity;
    const step = mul(mul(g, rate!), rsqrt(add(spread, epsilon)));
    const move = momentum > 0 ? add(mul(s.momentum!, momentum), step) : step;
    return {
      w: sub(w, move),
      slots: {
        velocity,
        ...(momentum > 0 ? { momentum: move } : {}),
        ...(average ? { averageGradient: average } : {}),
      },
    };
  },
});

/** Kingma & Ba 2014; `amsgrad` keeps the largest second moment (Reddi et al. 2018). */
export const adam = rule({
  name: "adam",
  defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7, amsgrad: false },
  learningRate: 0.001,
  slots: ({ amsgrad }): Record<string, number> => ({
    m: 0,
    v: 0,
    ...(amsgrad ? { vHat: 0 } : {}),
  }),
  common: (t, rate, { beta1, beta2 }) => ({
    values: {
      alpha: div(mul(rate, sqrt(oneMinusPower(beta2, t))), oneMinusPower(beta1, t)),
    },
  }),
  update(w, g, s, { alpha }, { beta1, beta2, epsilon, amsgrad }) {
    const m = blend(s.m!, g, beta1);
    const v = blend(s.v!, square(g), beta2);
    const vHat = amsgrad ? maximum(s.vHat!, v) : null;
    const step = div(mul(m, alpha!), add(sqrt(vHat ?? v), epsilon));
    return { w: sub(w, step), slots: { m, v, ...(vHat ? { vHat } : {}) } };
  },
});

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019). */
export const adamw = rule({ ...adam, name: "adamw", weightDecay: 0.004 });

/** Adam with the infinity norm (Kingma & Ba 2014, section 7.1). */
export const adamax = rule({
  name: "adamax",
  defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  learningRate: 0.001,
  slots: () => ({ m: 0, u: 0 }),
  common: (t, rate, { beta1 }) => ({ values: { alpha: div(rate, oneMinusPower(beta1, t)) } }),
  update(w, g, s, { alpha }, { beta1, beta2, epsilon }) {
    const m = blend(s.m!, g, beta1);
    const u = maximum(mul(s.u!, beta2), abs(g));
    return { w: sub(w, div(mul(m, alpha!), add(u, epsilon))), slots: { m, u } };
  },
});

/** Adam with Nesterov momentum (Dozat 2015). */
export const nadam = rule({
  name: "nadam",
  defaults: { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  learningRate: 0.001,
  slots: () => ({ m: 0, v: 0 }),
  scalars: { momentumProduct: 1 },
  common(t, rate, { beta1, beta2 }, { momentumProduct }) {
    // μ(t) = β₁·(1 − 0.5·0.96ᵗ)
    const decay = (at: Tensor): Tensor =>
      mul(sub(1, mul(pow(literal(0.96, "float32"), at), 0.5)), beta1);
    const now = decay(t);
    const next = decay(add(t, 1));
    const product = mul(momentumProduct!, now);
    const ahead = mul(product, next);
    return {
      values: {
        ofMoment: div(mul(rate, next), sub(1, ahead)),
        ofGradient: div(mul(rate, sub(1, now)), sub(1, product)),
        correction: div(1, oneMinusPower(beta2, t)),
      },
      keep: { momentumProduct: product },
    };
  },
  update(w, g, s, c, { beta1, beta2, epsilon }) {
    const m = blend(s.m!, g, beta1);
    const v = blend(s.v!, square(g), beta2);
    const step = add(mul(m, c.ofMoment!), mul(g, c.ofGradient!));
    return {
      w: sub(w, div(step, add(sqrt(mul(v, c.correction!)), epsilon))),
      slots: { m, v },
    };
  },
});

/** Sign of a blend of momentum and gradient (Chen et al. 2023). */
export const lion = rule({
  name: "lion",
  defaults: { beta1: 0.9, beta2: 0.99 },
  learningRate: 0.001,
  slots: () => ({ m: 0 }),
  update(w, g, s, { rate }, { beta1, beta2 }) {
    const m = s.m!;
    return {
      w: sub(w, mul(sign(blend(m, g, beta1)), rate!)),
      slots: { m: blend(m, g, beta2) },
    };
  },
});
