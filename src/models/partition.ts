/**
 * The normalising constant Z = Σᵥ exp(−F(v)) of a machine: exactly, by going through all states of its
 * smaller layer, or estimated by annealed importance sampling (Neal 2001; Salakhutdinov & Murray 2008).
 */
import { trace } from "../backend/run.js";
import {
  ArgumentError,
  checkInteger,
  checkNumber,
  expected,
  NonFiniteError,
  show,
} from "../errors.js";
import { add, broadcastTo, mul, sub } from "../ops/elementwise.js";
import { reshape, slice } from "../ops/movement.js";
import { logSumExp } from "../ops/reduce.js";
import { randomSource } from "../tensor/random.js";
import { leaf, type Tensor, zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { looped } from "./chains.js";
import {
  biasTerm,
  freeEnergyOf,
  hiddenInput,
  hiddenSample,
  type MachineLayout,
  type MachineWeights,
  visibleInput,
  visibleSample,
} from "./energy.js";
import { overGroups, unitKind } from "./units.js";

/** log Z is summed over at most 2 to this many states. */
const mostBits = 25;
/** States that one run of the Program takes. */
const chunkStates = 4096;

/**
 * log Z by enumeration. Hidden binary units are gone through with the visible ones summed out, or
 * visible units that have finitely many states with the hidden ones integrated out.
 *
 * @throws ArgumentError when both layers have too many states.
 */
export async function exactLogPartition(
  place: string,
  layout: MachineLayout,
  weights: () => MachineWeights,
): Promise<number> {
  const { groups, visible, hidden, hiddenUnits } = layout;
  const hiddenStates = hiddenUnits === "bernoulli" ? choicesOf("bernoulli", hidden) : null;
  const visibleStates = groups.some(({ type }) => type === "gaussian")
    ? null
    : groups.flatMap(({ type, units }) => choicesOf(type, units));
  const bits = (states: readonly Choice[] | null): number =>
    states ? states.reduce((sum, { count }) => sum + Math.log2(count), 0) : Infinity;
  const byHidden = bits(hiddenStates) <= bits(visibleStates);
  const states = byHidden ? hiddenStates : visibleStates;
  if (!states || bits(states) > mostBits) {
    throw new ArgumentError(
      `${place}: ${visible} visible and ${hidden} hidden units have too many states to go through ` +
        `(at most 2^${mostBits} of one layer); estimateLogPartition() estimates it`,
    );
  }
  const width = byHidden ? hidden : visible;
  const total = states.reduce((product, { count }) => product * count, 1);
  const rows = Math.min(total, chunkStates);
  const program = trace({
    name: place,
    inputs: [
      { name: "states", shape: [rows, width], dtype: "float32" },
      // 0 for a state, −∞ for a row that is none.
      { name: "valid", shape: [rows], dtype: "float32" },
    ],
    body([s, valid]) {
      const w = weights();
      const logs = byHidden
        ? add(
            biasTerm(s!, w.hiddenBias),
            overGroups(groups, visibleInput(w, s!), (kind, part) => kind.logNormalizer(part)),
          )
        : mul(freeEnergyOf(layout, w, s!, hiddenInput(w, s!)), -1);
      return [logSumExp(add(logs, valid!))];
    },
  });
  const buffer = new Float32Array(rows * width);
  const valid = new Float32Array(rows);
  const logs: number[] = [];
  for (let from = 0; from < total; from += rows) {
    buffer.fill(0);
    for (let row = 0; row < rows; row++) {
      valid[row] = from + row < total ? 0 : -Infinity;
      writeState(buffer, row * width, states, from + row);
    }
    const [part] = await program.run([buffer, valid]);
    logs.push(part![0]!);
  }
  return logSum(logs);
}

/** A binary unit (one wide, two states) or a one-hot group (as many states as it is wide). */
interface Choice {
  readonly width: number;
  readonly count: number;
}

function choicesOf(type: "bernoulli" | "softmax" | "gaussian", units: number): Choice[] {
  return type === "softmax"
    ? [{ width: units, count: units }]
    : new Array<Choice>(units).fill({ width: 1, count: 2 });
}

/** Writes state number `index`, one digit per choice, where everything is 0. */
function writeState(
  buffer: Float32Array,
  at: number,
  states: readonly Choice[],
  index: number,
): void {
  let rest = index;
  let position = at;
  for (const { width, count } of states) {
    const digit = rest % count;
    rest = Math.floor(rest / count);
    if (width > 1) buffer[position + digit] = 1;
    else buffer[position] = count === 1 ? 1 : digit;
    position += width;
  }
}

/** log Σ exp, in float64. */
export function logSum(logs: readonly number[]): number {
  const largest = logs.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!Number.isFinite(largest)) return largest;
  return largest + Math.log(logs.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/** Options of annealed importance sampling. */
export interface AnnealingOptions {
  /** Independent runs; 100 by default. */
  chains?: number;
  /**
   * Inverse temperatures from 0 to 1, or how many to space evenly; 1000 by default. More of them make
   * the estimate better.
   */
  betas?: number | readonly number[];
  seed?: number;
  signal?: AbortSignal;
}

/** An estimate of log Z. */
export interface PartitionEstimate {
  readonly logPartition: number;
  /** Standard error of `logPartition`, from the spread of the chains' weights. */
  readonly standardError: number;
  /** log of the mean weight three standard errors down and up; −∞ where that is not above 0. */
  readonly interval: readonly [low: number, high: number];
}

/** Inverse temperatures from what a user gave. */
export function annealingBetas(place: string, betas: number | readonly number[]): Float32Array {
  if (typeof betas === "number") {
    checkInteger(place, "betas", betas, 2);
    return Float32Array.from({ length: betas }, (_, k) => k / (betas - 1));
  }
  const list: unknown = betas;
  const good = Array.isArray(list) && list.length >= 2 && list[0] === 0 && list.at(-1) === 1;
  if (!good) {
    const wanted = "`betas` to be a number or a list that begins with 0 and ends with 1";
    throw new ArgumentError(expected(place, wanted, show(list)));
  }
  betas.forEach((beta, k) => {
    checkNumber(place, `betas[${k}]`, beta, k === 0 ? 0 : betas[k - 1], 1);
  });
  return Float32Array.from(betas);
}

/** log Z by annealed importance sampling from a machine without weights and with `baseBias`. */
export async function annealedLogPartition(
  place: string,
  layout: MachineLayout,
  weights: () => MachineWeights,
  baseBias: Tensor,
  {
    chains,
    betas,
    seed,
    signal,
  }: Required<Omit<AnnealingOptions, "betas" | "signal">> & {
    readonly betas: Float32Array;
    readonly signal: AbortSignal | undefined;
  },
): Promise<PartitionEstimate> {
  const hidden = unitKind(layout.hiddenUnits);
  const state = new Variable(zerosLeaf([chains, layout.visible], "float32"), "annealing/v", false);
  const turn = new Variable(zerosLeaf([], "int32"), "annealing/turn", false);
  const start = trace({
    name: `${place}: start`,
    inputs: [],
    body() {
      const source = randomSource(seed, turn.read());
      const input = broadcastTo(baseBias, state.shape);
      state.assign(visibleSample(layout, input, source));
      turn.assign(add(turn.read(), 1));
      return [];
    },
  });
  await start.run([]);
  const steps = betas.length - 1;
  const anneal = trace({
    name: place,
    inputs: [{ name: "betas", shape: [2], dtype: "float32" }],
    body([window]) {
      const [before, after] = [0, 1].map((i) => reshape(slice(window!, [i], [1]), []));
      const w = weights();
      const source = randomSource(seed, turn.read());
      const v = state.read();
      const x = hiddenInput(w, v);
      // log p*(v) after − before.
      const gain = add(
        mul(biasTerm(v, sub(w.visibleBias, baseBias)), sub(after!, before!)),
        sub(hidden.logNormalizer(mul(x, after!)), hidden.logNormalizer(mul(x, before!))),
      );
      const h = hiddenSample(layout, mul(x, after!), source);
      const input = visibleInput(w, h, { beta: after!, baseBias });
      state.assign(visibleSample(layout, input, source));
      turn.assign(add(turn.read(), 1));
      return [gain];
    },
  });
  const gains = new Float32Array(steps * chains);
  await looped(signal, (progress) =>
    anneal.loop([betas], { steps, advance: [1], outputs: [gains], progress }),
  );
  const logWeights = new Float64Array(chains);
  for (let k = 0; k < steps; k++) {
    for (let c = 0; c < chains; c++) logWeights[c]! += gains[k * chains + c]!;
  }
  if (!logWeights.every(Number.isFinite)) {
    throw new NonFiniteError(
      `${place}: its chains run off to infinity: with these weights the machine has no density (Gaussian units on ` +
        "both sides have one only while no singular value of the weights reaches 1)",
    );
  }
  const baseLog = trace({
    name: `${place}: base`,
    inputs: [],
    body() {
      const visible = overGroups(
        layout.groups,
        reshape(baseBias, [1, layout.visible]),
        (kind, part) => kind.logNormalizer(part),
      );
      const none = zerosLeaf([1, layout.hidden], "float32");
      return [add(visible, hidden.logNormalizer(none))];
    },
  });
  return summarise((await baseLog.run([]))[0]![0]!, [...logWeights]);
}

/** Mean of the weights and its spread, all relative to the largest weight. */
function summarise(baseLog: number, logWeights: readonly number[]): PartitionEstimate {
  const count = logWeights.length;
  const largest = Math.max(...logWeights);
  const weights = logWeights.map((value) => Math.exp(value - largest));
  const mean = weights.reduce((a, b) => a + b, 0) / count;
  const variance = weights.reduce((sum, w) => sum + (w - mean) ** 2, 0) / Math.max(1, count - 1);
  const error = Math.sqrt(variance / count);
  const scale = baseLog + largest;
  const low = mean - 3 * error;
  return {
    logPartition: scale + Math.log(mean),
    standardError: count === 1 ? Number.NaN : error / mean,
    interval: [low > 0 ? scale + Math.log(low) : -Infinity, scale + Math.log(mean + 3 * error)],
  };
}

/** The visible bias of independent units that have these means. */
export function biasOfMeans(layout: MachineLayout, means: Float64Array): Tensor {
  const bias = new Float32Array(layout.visible);
  let at = 0;
  for (const { type, units } of layout.groups) {
    for (let i = at; i < at + units; i++) {
      // Means of 0 and 1 would be certain, and their logarithms infinite.
      const m = Math.min(1 - 1e-3, Math.max(1e-3, means[i]!));
      bias[i] =
        type === "gaussian" ? means[i]! : type === "softmax" ? Math.log(m) : Math.log(m / (1 - m));
    }
    at += units;
  }
  return leaf(bias, [layout.visible], "float32");
}
