/** Small Boltzmann machines, and what they are by enumeration in float64. */
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { type RBM, rbm } from "../../src/models/boltzmann.js";
import type { MachineOptions } from "../../src/models/machine.js";
import { leaf } from "../../src/tensor/tensor.js";
import { normal } from "../helpers/random.js";

/** A machine whose weights and biases are normal with these deviations. */
export function randomMachine(
  options: MachineOptions,
  deviation = 1,
  biasDeviation = 0.5,
  seed = 7,
): RBM {
  const machine = rbm({ seed: 1, ...options });
  const { visible, hidden } = machine.machine.layout;
  machine.setWeights([
    leaf(normal(seed, visible * hidden, 0, deviation), [visible, hidden], "float32"),
    leaf(normal(seed + 1, visible, 0, biasDeviation), [visible], "float32"),
    leaf(normal(seed + 2, hidden, 0, biasDeviation), [hidden], "float32"),
  ]);
  return machine;
}

/** Kernel as rows, and biases, as plain numbers. */
export function numbersOf(machine: RBM): { w: number[][]; b: number[]; c: number[] } {
  const [w, b, c] = machine.getWeights().map((t) => t.arraySync());
  return { w: w as number[][], b: b as number[], c: c as number[] };
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The binary state with this number, the first unit being the lowest bit. */
export function bits(index: number, units: number): number[] {
  return Array.from({ length: units }, (_, i) => (index >> i) & 1);
}

/** −F(v) of a machine of binary units, in float64. */
export function logWeight({ w, b, c }: ReturnType<typeof numbersOf>, v: readonly number[]): number {
  let sum = v.reduce((total, value, i) => total + value * b[i]!, 0);
  for (const [j, bias] of c.entries()) {
    sum += softplus(v.reduce((total, value, i) => total + value * w[i]![j]!, bias));
  }
  return sum;
}

/** log Z and p(v) of each state, by going through all visible states in float64. */
export function enumerated(machine: RBM): { logZ: number; p: number[] } {
  const numbers = numbersOf(machine);
  const units = numbers.b.length;
  const logs = Array.from({ length: 2 ** units }, (_, s) => logWeight(numbers, bits(s, units)));
  const largest = Math.max(...logs);
  const logZ = largest + Math.log(logs.reduce((sum, x) => sum + Math.exp(x - largest), 0));
  return { logZ, p: logs.map((x) => Math.exp(x - logZ)) };
}

/** Pearson's χ² of counts against probabilities; cells with less than 5 expected are pooled. */
export function chiSquare(
  counts: readonly number[],
  p: readonly number[],
): { statistic: number; freedom: number } {
  const total = counts.reduce((a, b) => a + b, 0);
  const cells: { seen: number; wanted: number }[] = [];
  const pooled = { seen: 0, wanted: 0 };
  p.forEach((probability, s) => {
    const wanted = probability * total;
    if (wanted >= 5) cells.push({ seen: counts[s]!, wanted });
    else {
      pooled.seen += counts[s]!;
      pooled.wanted += wanted;
    }
  });
  if (pooled.wanted > 0) cells.push(pooled);
  return {
    statistic: cells.reduce((sum, { seen, wanted }) => sum + (seen - wanted) ** 2 / wanted, 0),
    freedom: cells.length - 1,
  };
}

/** The value that χ² exceeds with probability 10⁻⁴ (Wilson & Hilferty 1931). */
export function chiSquareLimit(freedom: number): number {
  const spread = 2 / (9 * freedom);
  return freedom * (1 - spread + 3.719 * Math.sqrt(spread)) ** 3;
}

/** How often each binary state occurs among rows of values. */
export function countStates(values: ArrayLike<number>, units: number): number[] {
  const counts = new Array<number>(2 ** units).fill(0);
  for (let at = 0; at < values.length; at += units) {
    let state = 0;
    for (let i = 0; i < units; i++) state |= values[at + i]! << i;
    counts[state]!++;
  }
  return counts;
}
