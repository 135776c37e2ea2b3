/**
 * The operands of `recurrent` and `recurrentGradient`: which cells there are, which inputs and results a
 * call has, and how large they are. Operands that a cell or a call lacks are left out of its lists; the
 * attributes say which.
 */
import { checkSizes, type Expectation, float32, int32 } from "./kernel.js";
import type { Fail } from "./tile.js";

/** Cells by number; the first four differ in their activation. */
export const cells = ["tanh", "relu", "sigmoid", "linear", "lstm", "gru", "gruResetAfter"] as const;
export type Cell = (typeof cells)[number];

/** Column blocks of a cell's weights: LSTM i, f, c, o; GRU z, r, h. */
export function gatesOf(cell: Cell): number {
  return cell === "lstm" ? 4 : cell === "gru" || cell === "gruResetAfter" ? 3 : 1;
}

/** Operands of the kernels that have a size by name; in the order in which they are passed. */
const forwardInputs = [
  "pre",
  "R",
  "bias",
  "recurrentBias",
  "h0",
  "c0",
  "peepholes",
  "mask",
  "lengths",
] as const;
/**
 * `gates`: activated. `previous`: h(t − 1), times the mask but for a GRU, whose update gate lets it through unmasked.
 * `inner`: LSTM tanh c(t), GRU r·h(t − 1) times the mask, with resetAfter (h(t − 1) times the mask)·R + bias of the
 * candidate. `previousCells`: c(t − 1).
 */
export const forwardOutputs = [
  "outputs",
  "h",
  "gates",
  "previous",
  "inner",
  "c",
  "previousCells",
] as const;
export type ForwardOutput = (typeof forwardOutputs)[number];
const backwardInputs = [
  "R",
  "gates",
  "previous",
  "inner",
  "previousCells",
  "peepholes",
  "mask",
  "lengths",
  "dOutputs",
  "dH",
  "dC",
] as const;
export const backwardOutputs = ["dPre", "dRecurrent", "dH0", "dC0"] as const;
export type BackwardOutput = (typeof backwardOutputs)[number];

/** Results that a cell has; the number of a call's bit in `wanted` is the position here. */
export function outputsOf(cell: Cell): readonly ForwardOutput[] {
  return forwardOutputs.slice(0, cell === "lstm" ? 7 : gatesOf(cell) === 3 ? 5 : 4);
}

export function gradientsOf(cell: Cell): readonly BackwardOutput[] {
  return backwardOutputs.filter(
    (name) =>
      (name !== "dC0" || cell === "lstm") && (name !== "dRecurrent" || cell === "gruResetAfter"),
  );
}

export const forwardNames = [
  "batch",
  "time",
  "units",
  "cell",
  "wanted",
  "reverse",
  "bias",
  "recurrentBias",
  "initial",
  "peepholes",
  "mask",
  "lengths",
] as const;
export const backwardNames = [
  "batch",
  "time",
  "units",
  "cell",
  "wanted",
  "reverse",
  "peepholes",
  "mask",
  "lengths",
  "dOutputs",
  "dH",
  "dC",
] as const;

export type Sizes = Readonly<
  Record<(typeof forwardNames)[number] | (typeof backwardNames)[number], number>
>;

export function sizesOf(names: readonly string[], ints: readonly number[]): Sizes {
  return Object.fromEntries(names.map((name, i) => [name, ints[i]!])) as Sizes;
}

export const cellOf = (s: Sizes): Cell => cells[s.cell]!;

/** Which operands a call has. */
export function forwardOperands(s: Sizes): { inputs: string[]; outputs: string[] } {
  const present: Record<string, number> = {
    pre: 1,
    R: 1,
    bias: s.bias,
    recurrentBias: s.recurrentBias,
    h0: s.initial,
    c0: Number(s.initial && cellOf(s) === "lstm"),
    peepholes: s.peepholes,
    mask: s.mask,
    lengths: s.lengths,
  };
  return {
    inputs: forwardInputs.filter((name) => present[name]),
    outputs: outputsOf(cellOf(s)).filter((name) => s.wanted & (1 << forwardOutputs.indexOf(name))),
  };
}

export function backwardOperands(s: Sizes): { inputs: string[]; outputs: string[] } {
  const cell = cellOf(s);
  const gru = gatesOf(cell) === 3;
  const present: Record<string, unknown> = {
    R: true,
    gates: true,
    previous: gru,
    inner: gatesOf(cell) > 1,
    previousCells: cell === "lstm",
    peepholes: s.peepholes,
    mask: s.mask,
    lengths: s.lengths,
    dOutputs: s.dOutputs,
    dH: s.dH,
    dC: s.dC,
  };
  return {
    inputs: backwardInputs.filter((name) => present[name]),
    outputs: gradientsOf(cell).filter((name) => s.wanted & (1 << backwardOutputs.indexOf(name))),
  };
}

export function expectationOf(name: string, s: Sizes): Expectation {
  const { batch, time, units } = s;
  const gates = gatesOf(cellOf(s));
  const size = ((): number => {
    switch (name) {
      case "R":
        return units * gates * units;
      case "bias":
      case "recurrentBias":
        return gates * units;
      case "peepholes":
        return 3 * units;
      case "lengths":
        return batch;
      case "pre":
      case "gates":
      case "dPre":
      case "dRecurrent":
        return batch * time * gates * units;
      case "outputs":
      case "previous":
      case "inner":
      case "previousCells":
      case "dOutputs":
        return batch * time * units;
      default:
        return batch * units;
    }
  })();
  return { name, dtypes: name === "lengths" ? int32 : float32, size };
}

/** No tensor stands behind what states and the order of the rows take where there are no steps. */
const mostOfNothing = 2 ** 22;

export function check(names: readonly string[], ints: readonly number[], fail: Fail): Sizes {
  checkSizes(names, ints, names.slice(5), fail);
  const s = sizesOf(names, ints);
  if (s.cell >= cells.length)
    fail(`attribute cell is ${s.cell}, allowed are 0 to ${cells.length - 1}`);
  const cell = cellOf(s);
  const nothing = s.batch === 0 || s.time === 0 || s.units === 0;
  if (nothing && Math.max(s.time, s.batch * Math.max(s.units, 1)) > mostOfNothing) {
    fail("has more than 2^22 steps or states of no size");
  }
  if (cell !== "lstm" && (s.peepholes || s.dC)) fail(`has an LSTM's operands for a cell ${cell}`);
  if (cell !== "gruResetAfter" && s.recurrentBias) {
    fail(`has a bias of the recurrent product for a cell ${cell}`);
  }
  return s;
}

export function checkWanted(
  s: Sizes,
  all: readonly string[],
  own: readonly string[],
  fail: Fail,
): void {
  const allowed = own.reduce((bits, name) => bits | (1 << all.indexOf(name)), 0);
  if (s.wanted === 0 || (s.wanted & ~allowed) !== 0) {
    fail(`wants results ${s.wanted.toString(2)} of ${allowed.toString(2)}`);
  }
}
