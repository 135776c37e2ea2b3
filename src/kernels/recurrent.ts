/**
 * `recurrent` and `recurrentGradient`: the loop over the steps of a recurrent layer, whose products with
 * the input stand in `pre` already. Sequences of different lengths shrink the batch step by step: rows
 * are sorted by length, the longest first, and a step has as many as there are sequences that long.
 */
import type { Kernel } from "./kernel.js";
import { multiply } from "./matmul.js";
import {
  backwardNames,
  backwardOperands,
  backwardOutputs,
  type Cell,
  cellOf,
  check,
  checkWanted,
  expectationOf,
  forwardNames,
  forwardOperands,
  forwardOutputs,
  gatesOf,
  gradientsOf,
  outputsOf,
  type Sizes,
  sizesOf,
} from "./recurrentOperands.js";
import { checkLengths } from "./sequence.js";

/** The arrays of one run by name. */
type Arrays = Readonly<Record<string, Float32Array | undefined>>;

function arraysOf(
  names: readonly string[],
  arrays: readonly unknown[],
): Record<string, Float32Array> {
  return Object.fromEntries(names.map((name, i) => [name, arrays[i] as Float32Array]));
}

/** Which sequence stands in which row, and how many rows a step has. */
class Rows {
  readonly lengths: ArrayLike<number>;
  readonly order: readonly number[];
  readonly #s: Sizes;

  constructor(s: Sizes, lengths: ArrayLike<number> | undefined) {
    this.#s = s;
    if (lengths) checkLengths(lengths, s.time);
    this.lengths = lengths ?? new Array<number>(s.batch).fill(s.time);
    this.order = Array.from({ length: s.batch }, (_, b) => b).sort(
      (a, b) => this.lengths[b]! - this.lengths[a]! || a - b,
    );
  }

  /** Rows of the k-th step that is done. */
  active(k: number): number {
    let n = 0;
    while (n < this.#s.batch && this.lengths[this.order[n]!]! > k) n++;
    return n;
  }

  /** Row of [batch·time, …] where step k of row i stands. */
  place(i: number, k: number): number {
    const b = this.order[i]!;
    return b * this.#s.time + (this.#s.reverse ? this.lengths[b]! - 1 - k : k);
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const activate: Readonly<Record<string, (x: number) => number>> = {
  tanh: Math.tanh,
  relu: (x) => (x > 0 ? x : Number.isNaN(x) ? x : 0),
  sigmoid,
  linear: (x) => x,
};
/** The derivative of an activation from its value. */
const slope: Readonly<Record<string, (y: number) => number>> = {
  tanh: (y) => 1 - y * y,
  relu: (y) => (y > 0 ? 1 : 0),
  sigmoid: (y) => y * (1 - y),
  linear: () => 1,
};

/** Rows of `columns` of R at once: c [n, columns] = a [n, units]·R[:, from …]. */
function recurrentProduct(s: Sizes, r: Float32Array, from: number, columns: number) {
  const width = gatesOf(cellOf(s)) * s.units;
  return (n: number, a: Float32Array, c: Float32Array): void =>
    multiply(
      n,
      columns,
      s.units,
      { data: a, offset: 0, rows: s.units, columns: 1 },
      { data: r, offset: from, rows: width, columns: 1 },
      c,
      0,
    );
}

function forward(s: Sizes, a: Arrays): void {
  const { batch, time, units } = s;
  const cell = cellOf(s);
  const gates = gatesOf(cell);
  const width = gates * units;
  const rows = new Rows(s, a.lengths);
  const { pre, bias, recurrentBias, peepholes, mask } = a;
  for (const name of ["outputs", "gates", "previous", "inner", "previousCells"]) a[name]?.fill(0);
  // States in the rows' order; `seen` is h(t − 1) times the mask: what products see of it. What a GRU lets through is
  // not masked, and scaled at every step it would grow without bound.
  const h = new Float32Array(batch * units);
  const c = new Float32Array(batch * units);
  const seen = new Float32Array(batch * units);
  const reset = new Float32Array(batch * units);
  const product = new Float32Array(batch * width);
  const early = cell === "gru" ? 2 * units : width;
  const gateProduct = recurrentProduct(s, a.R!, 0, early);
  const candidateProduct = recurrentProduct(s, a.R!, 2 * units, units);
  for (let i = 0; i < batch; i++) {
    const from = rows.order[i]! * units;
    for (let u = 0; u < units; u++) {
      h[i * units + u] = a.h0 ? a.h0[from + u]! : 0;
      c[i * units + u] = a.c0 ? a.c0[from + u]! : 0;
    }
  }
  const g = new Float64Array(4);
  for (let k = 0; k < time; k++) {
    const n = rows.active(k);
    for (let i = 0; i < n; i++) {
      const factor = rows.order[i]! * units;
      for (let u = 0; u < units; u++) {
        seen[i * units + u] = h[i * units + u]! * (mask ? mask[factor + u]! : 1);
      }
    }
    gateProduct(n, seen, product);
    if (cell === "gru") {
      for (let i = 0; i < n; i++) {
        const from = rows.place(i, k) * width + units;
        for (let u = 0; u < units; u++) {
          const x = pre![from + u]! + (bias ? bias[units + u]! : 0);
          const r = Math.fround(sigmoid(x + product[i * early + units + u]!));
          reset[i * units + u] = r * seen[i * units + u]!;
          if (a.gates) a.gates[from + u] = r;
        }
      }
    }
    const candidate = new Float32Array(cell === "gru" ? n * units : 0);
    if (cell === "gru") candidateProduct(n, reset, candidate);
    for (let i = 0; i < n; i++) {
      const place = rows.place(i, k);
      for (let u = 0; u < units; u++) {
        const at = i * units + u;
        const to = place * units + u;
        const from = place * width + u;
        const input = (gate: number): number =>
          pre![from + gate * units]! + (bias ? bias[gate * units + u]! : 0);
        const recurrent = (gate: number): number =>
          product[i * early + gate * units + u]! +
          (recurrentBias ? recurrentBias[gate * units + u]! : 0);
        const before = c[at]!;
        const state = h[at]!;
        let inner = 0;
        let count = 3;
        if (cell === "lstm") {
          const peep = (p: number, value: number): number =>
            peepholes ? peepholes[p * units + u]! * value : 0;
          g[0] = sigmoid(input(0) + recurrent(0) + peep(0, before));
          g[1] = sigmoid(input(1) + recurrent(1) + peep(1, before));
          g[2] = Math.tanh(input(2) + recurrent(2));
          c[at] = g[1] * before + g[0] * g[2];
          g[3] = sigmoid(input(3) + recurrent(3) + peep(2, c[at]!));
          inner = Math.tanh(c[at]!);
          h[at] = g[3] * inner;
          count = 4;
        } else if (cell === "gru" || cell === "gruResetAfter") {
          g[0] = sigmoid(input(0) + recurrent(0));
          if (cell === "gru") {
            inner = reset[at]!;
            g[1] = NaN; // stands there already
            g[2] = Math.tanh(input(2) + candidate[at]!);
          } else {
            inner = Math.fround(recurrent(2));
            g[1] = sigmoid(input(1) + recurrent(1));
            g[2] = Math.tanh(input(2) + g[1] * inner);
          }
          h[at] = g[0] * state + (1 - g[0]) * g[2];
        } else {
          g[0] = activate[cell]!(input(0) + recurrent(0));
          h[at] = g[0];
          count = 1;
        }
        if (a.outputs) a.outputs[to] = h[at]!;
        if (a.previous) a.previous[to] = gates === 3 ? state : seen[at]!;
        if (a.inner) a.inner[to] = inner;
        if (a.previousCells) a.previousCells[to] = before;
        if (!a.gates) continue;
        for (let gate = 0; gate < count; gate++) {
          if (cell !== "gru" || gate !== 1) a.gates[from + gate * units] = g[gate]!;
        }
      }
    }
  }
  for (let i = 0; i < batch; i++) {
    const to = rows.order[i]! * units;
    a.h?.set(h.subarray(i * units, (i + 1) * units), to);
    a.c?.set(c.subarray(i * units, (i + 1) * units), to);
  }
}

function backward(s: Sizes, a: Arrays): void {
  const { batch, time, units } = s;
  const cell = cellOf(s);
  const gates = gatesOf(cell);
  const width = gates * units;
  const rows = new Rows(s, a.lengths);
  const { gates: g, previous, inner, previousCells, peepholes: p, mask, dOutputs } = a;
  for (const name of ["dPre", "dRecurrent"]) a[name]?.fill(0);
  // Gradients of the states after the step at hand, in the rows' order.
  const dh = new Float32Array(batch * units);
  const dc = new Float32Array(batch * units);
  /** Gradients of what the step adds to `pre`, and of its product with h(t − 1). */
  const dPre = new Float32Array(batch * width);
  const dProduct = new Float32Array(batch * width);
  const dSeen = new Float32Array(batch * units);
  for (let i = 0; i < batch; i++) {
    const from = rows.order[i]! * units;
    if (a.dH) dh.set(a.dH.subarray(from, from + units), i * units);
    if (a.dC) dc.set(a.dC.subarray(from, from + units), i * units);
  }
  /** c [n, units] = x [n, gates from … from + count]·Rᵀ. */
  const back = (n: number, x: Float32Array, from: number, count: number, c: Float32Array): void =>
    multiply(
      n,
      units,
      count * units,
      { data: x, offset: from * units, rows: width, columns: 1 },
      { data: a.R!, offset: from * units, rows: 1, columns: width },
      c,
      0,
    );
  const resetGradient = new Float32Array(batch * units);
  for (let k = time - 1; k >= 0; k--) {
    const n = rows.active(k);
    for (let i = 0; i < n; i++) {
      const place = rows.place(i, k);
      for (let u = 0; u < units; u++) {
        const at = i * units + u;
        const from = place * width + u;
        const here = place * units + u;
        const own = i * width + u;
        const gate = (index: number): number => g![from + index * units]!;
        if (dOutputs) dh[at]! += dOutputs[here]!;
        const d = dh[at]!;
        if (cell === "lstm") {
          const [gi, gf, gc, go] = [gate(0), gate(1), gate(2), gate(3)];
          const t = inner![here]!;
          const before = previousCells![here]!;
          const dO = d * t * go * (1 - go);
          const dCell = dc[at]! + d * go * (1 - t * t) + (p ? dO * p[2 * units + u]! : 0);
          const dI = dCell * gc * gi * (1 - gi);
          const dF = dCell * before * gf * (1 - gf);
          dPre[own] = dI;
          dPre[own + units] = dF;
          dPre[own + 2 * units] = dCell * gi * (1 - gc * gc);
          dPre[own + 3 * units] = dO;
          dc[at] = dCell * gf + (p ? dI * p[u]! + dF * p[units + u]! : 0);
          dh[at] = 0;
        } else if (gates === 3) {
          const [gz, gr, gh] = [gate(0), gate(1), gate(2)];
          const before = previous![here]!;
          const dCandidate = d * (1 - gz) * (1 - gh * gh);
          dPre[own] = d * (before - gh) * gz * (1 - gz);
          dPre[own + 2 * units] = dCandidate;
          if (cell === "gruResetAfter") {
            dPre[own + units] = dCandidate * inner![here]! * gr * (1 - gr);
            dProduct[own] = dPre[own]!;
            dProduct[own + units] = dPre[own + units]!;
            dProduct[own + 2 * units] = dCandidate * gr;
          }
          dh[at] = d * gz;
        } else {
          dPre[own] = d * slope[cell]!(gate(0));
          dh[at] = 0;
        }
      }
    }
    if (cell === "gru") {
      back(n, dPre, 2, 1, resetGradient);
      for (let i = 0; i < n; i++) {
        const place = rows.place(i, k);
        for (let u = 0; u < units; u++) {
          const gr = g![place * width + units + u]!;
          const factor = mask ? mask[rows.order[i]! * units + u]! : 1;
          const d = resetGradient[i * units + u]! * factor;
          dPre[i * width + units + u] = d * previous![place * units + u]! * gr * (1 - gr);
          dh[i * units + u]! += d * gr;
        }
      }
      back(n, dPre, 0, 2, dSeen);
    } else {
      back(n, cell === "gruResetAfter" ? dProduct : dPre, 0, gates, dSeen);
    }
    for (let i = 0; i < n; i++) {
      const to = rows.place(i, k) * width;
      a.dPre?.set(dPre.subarray(i * width, (i + 1) * width), to);
      a.dRecurrent?.set(dProduct.subarray(i * width, (i + 1) * width), to);
      const factor = rows.order[i]! * units;
      for (let u = 0; u < units; u++) {
        const at = i * units + u;
        dh[at]! += dSeen[at]! * (mask ? mask[factor + u]! : 1);
      }
    }
  }
  for (let i = 0; i < batch; i++) {
    const to = rows.order[i]! * units;
    a.dH0?.set(dh.subarray(i * units, (i + 1) * units), to);
    a.dC0?.set(dc.subarray(i * units, (i + 1) * units), to);
  }
}

function kernelOf(
  names: readonly string[],
  operands: (s: Sizes) => { inputs: string[]; outputs: string[] },
  all: readonly string[],
  own: (cell: Cell) => readonly string[],
  run: (s: Sizes, arrays: Arrays) => void,
): Kernel {
  return {
    ints: names,
    floats: [],
    tile: "none",
    expect({ ints }, fail) {
      const s = check(names, ints, fail);
      checkWanted(s, all, own(cellOf(s)), fail);
      const { inputs, outputs } = operands(s);
      return {
        inputs: inputs.map((name) => expectationOf(name, s)),
        outputs: outputs.map((name) => expectationOf(name, s)),
      };
    },
    prepare({ ints }) {
      const s = sizesOf(names, ints);
      const { inputs, outputs } = operands(s);
      return (from, to) => run(s, { ...arraysOf(inputs, from), ...arraysOf(outputs, to) });
    },
  };
}

/** All steps of a recurrent layer. */
export const recurrent: Kernel = kernelOf(
  forwardNames,
  forwardOperands,
  forwardOutputs,
  outputsOf,
  forward,
);

/** From the gradients of the outputs and last states those of `pre` and the first states. */
export const recurrentGradient: Kernel = kernelOf(
  backwardNames,
  backwardOperands,
  backwardOutputs,
  gradientsOf,
  backward,
);
