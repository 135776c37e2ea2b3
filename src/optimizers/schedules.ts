/**
 * Learning-rate schedules: formulas of the step, evaluated inside the compiled training step. Names,
 * options and formulas are Keras 3's in camelCase.
 */
import {
  ArgumentError,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  FormatError,
  nearest,
  show,
} from "../errors.js";
import {
  add,
  cast,
  ceil,
  cos,
  div,
  exp,
  floor,
  less,
  lessEqual,
  log,
  maximum,
  minimum,
  mul,
  pow,
  sub,
  where,
} from "../ops/elementwise.js";
import { literal, type Tensor, tensor } from "../tensor/tensor.js";

/** Options of a schedule, as they are saved. */
export type ScheduleConfig = Readonly<Record<string, unknown>>;

/** A learning rate that depends on the step. */
export interface LearningRateSchedule {
  /** The rate at a step (int32 scalar), as a tensor formula. */
  (step: Tensor): Tensor;
  readonly scheduleName: string;
  readonly config: ScheduleConfig;
  /** The rate at a step, as a number. */
  at(step: number): number;
}

const factories = new Map<string, (config: object) => LearningRateSchedule>();

function defineSchedule<R extends object, D extends object>(
  name: string,
  required: readonly (keyof R & string)[],
  defaults: D,
  check: (where: string, options: R & D) => void,
  formula: (step: Tensor, options: R & D) => Tensor,
): (options: R & Partial<D>) => LearningRateSchedule {
  const where_ = `schedule ${name}`;
  const make = (given: R & Partial<D>): LearningRateSchedule => {
    if (typeof given !== "object" || given === null) {
      throw new ArgumentError(expected(where_, "an object with options", show(given)));
    }
    checkKeys(where_, given, [...required, ...Object.keys(defaults)]);
    for (const option of required) {
      if (given[option] === undefined) {
        throw new ArgumentError(`${where_}: the option \`${option}\` is missing`);
      }
    }
    const options = { ...defaults, ...given } as R & D;
    check(where_, options);
    const schedule = (step: Tensor): Tensor => formula(cast(step, "float32"), options);
    return Object.assign(schedule, {
      scheduleName: name,
      config: Object.freeze({ ...options }) as ScheduleConfig,
      at: (step: number) => schedule(tensor(step, [], "int32")).item(),
    });
  };
  // Options that come out of a file are checked by `make` itself.
  factories.set(name, (config) => make(config as R & Partial<D>));
  return make;
}

interface Decay {
  initialLearningRate: number;
  decaySteps: number;
}

function checkDecay(where_: string, { initialLearningRate, decaySteps }: Decay): void {
  checkNumber(where_, "initialLearningRate", initialLearningRate, 0);
  checkNumber(where_, "decaySteps", decaySteps, Number.MIN_VALUE);
}

const f32 = (value: number): Tensor => literal(value, "float32");

/** initial · rate^(step / decaySteps); with `staircase` the exponent is rounded down. */
export const exponentialDecay = defineSchedule(
  "exponentialDecay",
  ["initialLearningRate", "decaySteps", "decayRate"] as const,
  { staircase: false },
  (where_, o: Decay & { decayRate: number; staircase: boolean }) => {
    checkDecay(where_, o);
    checkNumber(where_, "decayRate", o.decayRate, 0);
  },
  (step, { initialLearningRate, decaySteps, decayRate, staircase }) => {
    const progress = div(step, decaySteps);
    return mul(pow(f32(decayRate), staircase ? floor(progress) : progress), initialLearningRate);
  },
);

/** initial / (1 + rate · step / decaySteps). */
export const inverseTimeDecay = defineSchedule(
  "inverseTimeDecay",
  ["initialLearningRate", "decaySteps", "decayRate"] as const,
  { staircase: false },
  (where_, o: Decay & { decayRate: number; staircase: boolean }) => {
    checkDecay(where_, o);
    checkNumber(where_, "decayRate", o.decayRate, 0);
  },
  (step, { initialLearningRate, decaySteps, decayRate, staircase }) => {
    const progress = div(step, decaySteps);
    const passed = staircase ? floor(progress) : progress;
    return div(initialLearningRate, add(mul(passed, decayRate), 1));
  },
);

/** From the initial to the end rate along (1 − step / decaySteps)^power; `cycle` starts anew. */
export const polynomialDecay = defineSchedule(
  "polynomialDecay",
  ["initialLearningRate", "decaySteps"] as const,
  { endLearningRate: 0.0001, power: 1, cycle: false },
  (where_, o: Decay & { endLearningRate: number; power: number; cycle: boolean }) => {
    checkDecay(where_, o);
    checkNumber(where_, "endLearningRate", o.endLearningRate, 0);
    checkNumber(where_, "power", o.power);
  },
  (step, { initialLearningRate, decaySteps, endLearningRate, power, cycle }) => {
    const rounds = maximum(ceil(div(step, decaySteps)), 1);
    const total = cycle ? mul(rounds, decaySteps) : f32(decaySteps);
    const progress = div(cycle ? step : minimum(step, decaySteps), total);
    const left = pow(sub(1, progress), power);
    return add(mul(left, initialLearningRate - endLearningRate), endLearningRate);
  },
);

/**
 * Half a cosine from the initial rate down to alpha times it (Loshchilov & Hutter 2017). With
 * `warmupTarget` the rate first rises from the initial one to the target over `warmupSteps`.
 */
export const cosineDecay = defineSchedule(
  "cosineDecay",
  ["initialLearningRate", "decaySteps"] as const,
  { alpha: 0, warmupTarget: null as number | null, warmupSteps: 0 },
  (where_, o: Decay & { alpha: number; warmupTarget: number | null; warmupSteps: number }) => {
    checkDecay(where_, o);
    checkNumber(where_, "alpha", o.alpha);
    if (o.warmupTarget !== null) checkNumber(where_, "warmupTarget", o.warmupTarget, 0);
    checkNumber(where_, "warmupSteps", o.warmupSteps, 0);
  },
  (step, { initialLearningRate, decaySteps, alpha, warmupTarget, warmupSteps }) => {
    const decayed = (from: number, at: Tensor): Tensor => {
      const progress = div(minimum(at, decaySteps), decaySteps);
      const cosine = mul(add(cos(mul(progress, Math.PI)), 1), 0.5);
      return mul(add(mul(cosine, 1 - alpha), alpha), from);
    };
    if (warmupTarget === null || warmupSteps === 0) {
      return decayed(warmupTarget ?? initialLearningRate, step);
    }
    const rising = add(
      mul(div(step, warmupSteps), warmupTarget - initialLearningRate),
      initialLearningRate,
    );
    const falling = decayed(warmupTarget, maximum(sub(step, warmupSteps), 0));
    return where(less(step, warmupSteps), rising, falling);
  },
);

/** Cosine decay that restarts, each period `tMul` times as long and `mMul` times as high (SGDR). */
export const cosineDecayRestarts = defineSchedule(
  "cosineDecayRestarts",
  ["initialLearningRate", "firstDecaySteps"] as const,
  { tMul: 2, mMul: 1, alpha: 0 },
  (
    where_,
    o: {
      initialLearningRate: number;
      firstDecaySteps: number;
      tMul: number;
      mMul: number;
      alpha: number;
    },
  ) => {
    checkNumber(where_, "initialLearningRate", o.initialLearningRate, 0);
    checkNumber(where_, "firstDecaySteps", o.firstDecaySteps, Number.MIN_VALUE);
    checkNumber(where_, "tMul", o.tMul, 1);
    checkNumber(where_, "mMul", o.mMul, 0);
    checkNumber(where_, "alpha", o.alpha);
  },
  (step, { initialLearningRate, firstDecaySteps, tMul, mMul, alpha }) => {
    const completed = div(step, firstDecaySteps);
    let round: Tensor;
    let within: Tensor;
    if (tMul === 1) {
      round = floor(completed);
      within = sub(completed, round);
    } else {
      // Periods grow geometrically: the first n take (tMulⁿ − 1) / (tMul − 1) first periods.
      // The little extra keeps a period's first step from falling into the one before by rounding.
      const count = div(log(sub(1, mul(completed, 1 - tMul))), Math.log(tMul));
      round = floor(add(count, 1e-6));
      const grown = exp(mul(round, Math.log(tMul)));
      const before = div(sub(1, grown), 1 - tMul);
      within = div(sub(completed, before), grown);
    }
    const height = mMul === 1 ? f32(1) : pow(f32(mMul), round);
    const cosine = mul(mul(height, 0.5), add(cos(mul(within, Math.PI)), 1));
    return mul(add(mul(cosine, 1 - alpha), alpha), initialLearningRate);
  },
);

/** `values[0]` up to and including step `boundaries[0]`, then `values[1]`, and so on. */
export const piecewiseConstantDecay = defineSchedule(
  "piecewiseConstantDecay",
  ["boundaries", "values"] as const,
  {},
  (
    where_,
    { boundaries, values }: { boundaries: readonly number[]; values: readonly number[] },
  ) => {
    if (!Array.isArray(boundaries) || !Array.isArray(values)) {
      throw new ArgumentError(expected(where_, "arrays `boundaries` and `values`", show(values)));
    }
    if (values.length !== boundaries.length + 1) {
      throw new ArgumentError(
        expected(where_, `${boundaries.length + 1} \`values\``, `${values.length}`),
      );
    }
    boundaries.forEach((b, i) => {
      checkInteger(where_, "boundaries", b, i === 0 ? 0 : boundaries[i - 1]! + 1);
    });
    for (const value of values) checkNumber(where_, "values", value, 0);
  },
  (step, { boundaries, values }) => {
    let rate: Tensor = f32(values[values.length - 1]!);
    for (let i = boundaries.length - 1; i >= 0; i--) {
      rate = where(lessEqual(step, boundaries[i]!), f32(values[i]!), rate);
    }
    return rate;
  },
);

/** True for what the functions of this file return. */
export function isSchedule(value: unknown): value is LearningRateSchedule {
  return (
    typeof value === "function" &&
    typeof (value as Partial<LearningRateSchedule>).scheduleName === "string"
  );
}

/** Makes a schedule from its saved name and options. */
export function restoreSchedule(
  where_: string,
  name: string,
  config: ScheduleConfig,
): LearningRateSchedule {
  const factory = factories.get(name);
  if (!factory) {
    const near = nearest(name, [...factories.keys()]);
    throw new FormatError(
      `${where_}: there is no schedule named ${show(name)}${near ? `; did you mean ${show(near)}?` : ""}`,
    );
  }
  return factory(config);
}
