/**
 * The negative phase of learning: how samples of what the machine believes are drawn. Contrastive
 * divergence starts a short chain at the data (Hinton 2002), persistent chains go on from where the
 * last step left them (Tieleman 2008), and with tempering each of them is the coldest of several that
 * exchange states (Desjardins et al. 2010).
 */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkNumber,
  expected,
  show,
} from "../errors.js";
import { add, cast, equal, less, log, logicalAnd, mod, mul, sub } from "../ops/elementwise.js";
import { gather } from "../ops/gather.js";
import { concat, reshape, slice } from "../ops/movement.js";
import { uniformFrom } from "../ops/random.js";
import { sum } from "../ops/reduce.js";
import type { RandomSource } from "../tensor/random.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  biasTerm,
  gibbsStep,
  hiddenInput,
  hiddenSample,
  type MachineLayout,
  type MachineWeights,
  visibleInput,
  visibleSample,
} from "./energy.js";

/** How the negative samples are drawn. */
export interface NegativeOptions {
  /**
   * `"cd"`: contrastive divergence, chains of `steps` that start at the batch; `"pcd"`: persistent
   * chains; `"tempering"`: persistent chains, each over several temperatures.
   */
  method?: "cd" | "pcd" | "tempering";
  /** Gibbs steps per update; 1 by default. */
  steps?: number;
  /** Number of persistent chains; 100 by default. */
  chains?: number;
  /**
   * Inverse temperatures of tempering, from 1 down to 0, or how many to space evenly; 10 by default. At
   * 0 the units are independent, with the data's means.
   */
  temperatures?: number | readonly number[];
}

/** {@link NegativeOptions}, checked and complete. */
export interface NegativePlan {
  readonly method: "cd" | "pcd" | "tempering";
  readonly steps: number;
  readonly chains: number;
  readonly betas: readonly number[];
}

export const negativeKeys = [
  "method",
  "steps",
  "chains",
  "temperatures",
] as const satisfies readonly (keyof NegativeOptions)[];

/** Checks the options and fills in what is missing. */
export function planNegative(where: string, options: NegativeOptions): NegativePlan {
  const { method = "cd", steps = 1, chains = 100, temperatures = 10 } = options;
  checkChoice(where, "method", method, ["cd", "pcd", "tempering"]);
  checkInteger(where, "steps", steps, 1);
  checkInteger(where, "chains", chains, 1);
  if (method === "cd" && options.chains !== undefined) {
    throw new ArgumentError(
      `${where}: \`chains\` is for persistent chains; with method "cd" there are as many as samples in a batch`,
    );
  }
  if (method !== "tempering" && options.temperatures !== undefined) {
    throw new ArgumentError(`${where}: \`temperatures\` needs method "tempering"`);
  }
  return {
    method,
    steps,
    chains,
    betas: method === "tempering" ? betasOf(where, temperatures) : [],
  };
}

function betasOf(where: string, temperatures: number | readonly number[]): readonly number[] {
  if (typeof temperatures === "number") {
    checkInteger(where, "temperatures", temperatures, 2, 1000);
    return Array.from({ length: temperatures }, (_, t) => 1 - t / (temperatures - 1));
  }
  if (!Array.isArray(temperatures) || temperatures.length < 2 || temperatures[0] !== 1) {
    const wanted = "`temperatures` to be a number or a list of at least two, the first being 1";
    throw new ArgumentError(expected(where, wanted, show(temperatures)));
  }
  temperatures.forEach((beta: unknown, t) => {
    checkNumber(where, `temperatures[${t}]`, beta, 0, t === 0 ? 1 : temperatures[t - 1]);
  });
  return [...temperatures];
}

/** State of persistent chains, and the base that tempering begins from. */
export interface ChainState {
  /** [temperatures · chains, visible], the coldest first. */
  readonly visible: Variable;
  readonly baseBias: Variable;
}

/** `steps` Gibbs steps from `v`. */
export function walk(
  layout: MachineLayout,
  weights: MachineWeights,
  v: Tensor,
  steps: number,
  source: RandomSource,
): Tensor {
  let state = v;
  for (let step = 0; step < steps; step++) state = gibbsStep(layout, weights, state, source);
  return state;
}

/** The next states of persistent chains: all of them, and those at β = 1 in the first rows. */
export function walkTempered(
  layout: MachineLayout,
  weights: MachineWeights,
  { visible, baseBias }: ChainState,
  { betas, chains, steps }: NegativePlan,
  source: RandomSource,
): Tensor {
  const rows = betas.flatMap((beta) => new Array<number>(chains).fill(beta));
  const beta = leaf(Float32Array.from(rows), [rows.length, 1], "float32");
  const base = baseBias.read();
  let v = visible.read();
  for (let step = 0; step < steps; step++) {
    const x = hiddenInput(weights, v);
    const h = hiddenSample(layout, mul(x, beta), source);
    // log p at β is β·s up to what does not depend on β.
    const s = add(sum(mul(h, x), 1), biasTerm(v, sub(weights.visibleBias, base)));
    const turn = add(mul(source.step, steps), step);
    const mixed = gather(h, exchange(s, betas, chains, turn, source));
    const input = visibleInput(weights, mixed, { beta, baseBias: base });
    v = visibleSample(layout, input, source);
  }
  return v;
}

/**
 * Which row goes where when neighbouring temperatures exchange states, every second pair at each turn,
 * with probability min(1, exp((βₜ − βₜ₊₁)(sₜ₊₁ − sₜ))). Indices of the old rows, in the new order.
 */
export function exchange(
  s: Tensor,
  betas: readonly number[],
  chains: number,
  turn: Tensor,
  source: RandomSource,
): Tensor {
  const levels = betas.length;
  const shape = [levels, chains];
  const table = reshape(s, shape);
  const next = concat(
    [slice(table, [1, 0], [levels - 1, chains]), slice(table, [0, 0], [1, chains])],
    0,
  );
  const column = (values: readonly number[]): Tensor =>
    leaf(Float32Array.from(values), [levels, 1], "float32");
  const gaps = column(betas.map((beta, t) => (t + 1 < levels ? beta - betas[t + 1]! : 0)));
  const level = leaf(
    Int32Array.from({ length: levels }, (_, t) => t),
    [levels, 1],
    "int32",
  );
  const due = logicalAnd(equal(mod(add(level, turn), 2), 0), less(level, levels - 1));
  const lucky = less(log(uniformFrom(source, shape)), mul(gaps, sub(next, table)));
  const up = cast(logicalAnd(lucky, due), "int32");
  const none = leaf(new Int32Array(chains), [1, chains], "int32");
  const down = concat([none, slice(up, [0, 0], [levels - 1, chains])], 0);
  const own = leaf(
    Int32Array.from({ length: levels * chains }, (_, row) => row),
    shape,
    "int32",
  );
  return reshape(add(own, mul(sub(up, down), chains)), [levels * chains]);
}
