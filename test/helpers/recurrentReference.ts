/**
 * Recurrent layers once more: one sequence after the other, one step after the other, in double precision,
 * sharing no code with `src`. Arrays by the names that docs/program.md gives them.
 */
type Numbers = ArrayLike<number>;

export type Arrays = Readonly<Record<string, Numbers | undefined>>;
export type Results = Record<string, Float64Array>;

export interface RecurrentSizes {
  readonly batch: number;
  readonly time: number;
  readonly units: number;
  readonly cell: string;
  readonly reverse: boolean;
}

export const cellNames = ["tanh", "relu", "sigmoid", "linear", "lstm", "gru", "gruResetAfter"];
export const gateCount = (cell: string): number =>
  cell === "lstm" ? 4 : cell.startsWith("gru") ? 3 : 1;

const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const functions: Readonly<Record<string, (x: number) => number>> = {
  tanh: Math.tanh,
  relu: (x) => Math.max(0, x),
  sigmoid: sigma,
  linear: (x) => x,
};

/** Positions of a sequence's steps in the order in which they are done. */
function stepsOf(s: RecurrentSizes, a: Arrays, b: number): number[] {
  const length = a.lengths ? a.lengths[b]! : s.time;
  const steps = Array.from({ length }, (_, t) => t);
  return s.reverse ? steps.reverse() : steps;
}

export function recurrentReference(s: RecurrentSizes, a: Arrays): Results {
  const { batch, time, units, cell } = s;
  const gates = gateCount(cell);
  const width = gates * units;
  const r: Results = {
    outputs: new Float64Array(batch * time * units),
    h: new Float64Array(batch * units),
    gates: new Float64Array(batch * time * width),
    previous: new Float64Array(batch * time * units),
    inner: new Float64Array(batch * time * units),
    c: new Float64Array(batch * units),
    previousCells: new Float64Array(batch * time * units),
  };
  for (let b = 0; b < batch; b++) {
    const state = (name: string): number[] =>
      Array.from({ length: units }, (_, u) => a[name]?.[b * units + u] ?? 0);
    let h = state("h0");
    let c = state("c0");
    for (const t of stepsOf(s, a, b)) {
      const at = (b * time + t) * units;
      const wide = (b * time + t) * width;
      const seen = h.map((value, u) => value * (a.mask?.[b * units + u] ?? 1));
      const input = (g: number, u: number): number =>
        a.pre![wide + g * units + u]! + (a.bias?.[g * units + u] ?? 0);
      const product = (from: readonly number[], g: number, u: number): number => {
        let sum = a.recurrentBias?.[g * units + u] ?? 0;
        for (let v = 0; v < units; v++) sum += from[v]! * a.R![v * width + g * units + u]!;
        return sum;
      };
      const each = (f: (u: number) => number): number[] =>
        Array.from({ length: units }, (_, u) => f(u));
      const peep = (p: number, u: number): number => a.peepholes?.[p * units + u] ?? 0;
      let values: number[][];
      let inner: number[] = [];
      const [before, old] = [c, h];
      if (cell === "lstm") {
        const i = each((u) => sigma(input(0, u) + product(seen, 0, u) + peep(0, u) * before[u]!));
        const f = each((u) => sigma(input(1, u) + product(seen, 1, u) + peep(1, u) * before[u]!));
        const g = each((u) => Math.tanh(input(2, u) + product(seen, 2, u)));
        c = each((u) => f[u]! * before[u]! + i[u]! * g[u]!);
        const o = each((u) => sigma(input(3, u) + product(seen, 3, u) + peep(2, u) * c[u]!));
        inner = c.map(Math.tanh);
        h = each((u) => o[u]! * inner[u]!);
        values = [i, f, g, o];
      } else if (gates === 3) {
        const z = each((u) => sigma(input(0, u) + product(seen, 0, u)));
        const reset = each((u) => sigma(input(1, u) + product(seen, 1, u)));
        let g: number[];
        if (cell === "gru") {
          inner = each((u) => reset[u]! * seen[u]!);
          g = each((u) => Math.tanh(input(2, u) + product(inner, 2, u)));
        } else {
          inner = each((u) => product(seen, 2, u));
          g = each((u) => Math.tanh(input(2, u) + reset[u]! * inner[u]!));
        }
        // The mask is for products: z lets the whole state through.
        h = each((u) => z[u]! * old[u]! + (1 - z[u]!) * g[u]!);
        values = [z, reset, g];
      } else {
        h = each((u) => functions[cell]!(input(0, u) + product(seen, 0, u)));
        values = [h];
      }
      r.outputs!.set(h, at);
      r.previous!.set(gates === 3 ? old : seen, at);
      r.inner!.set(inner, at);
      r.previousCells!.set(before, at);
      for (const [g, list] of values.entries()) r.gates!.set(list, wide + g * units);
    }
    r.h!.set(h, b * units);
    r.c!.set(c, b * units);
  }
  return r;
}

/** Back through time from what `recurrentReference` calls gates, previous, inner and previousCells. */
export function recurrentGradientReference(s: RecurrentSizes, a: Arrays): Results {
  const { batch, time, units, cell } = s;
  const gates = gateCount(cell);
  const width = gates * units;
  const r: Results = {
    dPre: new Float64Array(batch * time * width),
    dRecurrent: new Float64Array(batch * time * width),
    dH0: new Float64Array(batch * units),
    dC0: new Float64Array(batch * units),
  };
  for (let b = 0; b < batch; b++) {
    const state = (name: string): number[] =>
      Array.from({ length: units }, (_, u) => a[name]?.[b * units + u] ?? 0);
    let dh = state("dH");
    const dc = state("dC");
    for (const t of stepsOf(s, a, b).reverse()) {
      const at = (b * time + t) * units;
      const wide = (b * time + t) * width;
      const gate = (g: number, u: number): number => a.gates![wide + g * units + u]!;
      const peep = (p: number, u: number): number => a.peepholes?.[p * units + u] ?? 0;
      const dPre = new Float64Array(width);
      const dProduct = new Float64Array(width);
      const through = (g: number, from: ArrayLike<number>, u: number): number => {
        let sum = 0;
        for (let v = 0; v < units; v++)
          sum += from[g * units + v]! * a.R![u * width + g * units + v]!;
        return sum;
      };
      const direct = new Array<number>(units).fill(0);
      for (let u = 0; u < units; u++) {
        const d = dh[u]! + (a.dOutputs?.[at + u] ?? 0);
        if (cell === "lstm") {
          const [i, f, g, o] = [gate(0, u), gate(1, u), gate(2, u), gate(3, u)];
          const tanhC = a.inner![at + u]!;
          const dO = d * tanhC * o * (1 - o);
          const dCell = dc[u]! + d * o * (1 - tanhC ** 2) + dO * peep(2, u);
          const dI = dCell * g * i * (1 - i);
          const dF = dCell * a.previousCells![at + u]! * f * (1 - f);
          [dI, dF, dCell * i * (1 - g ** 2), dO].forEach((value, k) => {
            dPre[k * units + u] = value;
          });
          dc[u] = dCell * f + dI * peep(0, u) + dF * peep(1, u);
        } else if (gates === 3) {
          const [z, reset, g] = [gate(0, u), gate(1, u), gate(2, u)];
          const dG = d * (1 - z) * (1 - g ** 2);
          dPre[u] = d * (a.previous![at + u]! - g) * z * (1 - z);
          dPre[2 * units + u] = dG;
          direct[u] = d * z;
          if (cell === "gruResetAfter") {
            dPre[units + u] = dG * a.inner![at + u]! * reset * (1 - reset);
            dProduct[2 * units + u] = dG * reset;
          }
        } else {
          const y = gate(0, u);
          const slopes: Record<string, number> = {
            tanh: 1 - y ** 2,
            relu: y > 0 ? 1 : 0,
            sigmoid: y * (1 - y),
            linear: 1,
          };
          dPre[u] = d * slopes[cell]!;
        }
      }
      if (cell === "gru") {
        for (let u = 0; u < units; u++) {
          const d = through(2, dPre, u) * (a.mask?.[b * units + u] ?? 1);
          const reset = gate(1, u);
          dPre[units + u] = d * a.previous![at + u]! * reset * (1 - reset);
          direct[u]! += d * reset;
        }
      }
      if (cell === "gruResetAfter") dProduct.set(dPre.subarray(0, 2 * units));
      else dProduct.set(cell === "gru" ? dPre.subarray(0, 2 * units) : dPre);
      dh = direct.map((value, u) => {
        let sum = 0;
        for (let g = 0; g < gates; g++) sum += through(g, dProduct, u);
        return value + sum * (a.mask?.[b * units + u] ?? 1);
      });
      r.dPre!.set(dPre, wide);
      r.dRecurrent!.set(dProduct, wide);
    }
    r.dH0!.set(dh, b * units);
    r.dC0!.set(dc, b * units);
  }
  return r;
}

/** y[b, t] = x[b, t]·W for t < lengths[b]; W as [inputs, units], or transposed. */
export function sequenceProductReference(
  [batch, time, inputs, units, transpose]: readonly number[],
  [x, w, lengths]: readonly Numbers[],
): Float64Array {
  const y = new Float64Array(batch! * time! * units!);
  for (let b = 0; b < batch!; b++) {
    for (let t = 0; t < lengths![b]!; t++) {
      const row = b * time! + t;
      for (let u = 0; u < units!; u++) {
        let sum = 0;
        for (let k = 0; k < inputs!; k++) {
          sum += x![row * inputs! + k]! * w![transpose ? u * inputs! + k : k * units! + u]!;
        }
        y[row * units! + u] = sum;
      }
    }
  }
  return y;
}

/** Σ x[b, t]ᵀ·y[b, t] over t < lengths[b]. */
export function sequenceOuterReference(
  [batch, time, rows, columns]: readonly number[],
  [x, y, lengths]: readonly Numbers[],
): Float64Array {
  const c = new Float64Array(rows! * columns!);
  for (let b = 0; b < batch!; b++) {
    for (let t = 0; t < lengths![b]!; t++) {
      const row = b * time! + t;
      for (let i = 0; i < rows!; i++) {
        for (let j = 0; j < columns!; j++) {
          c[i * columns! + j]! += x![row * rows! + i]! * y![row * columns! + j]!;
        }
      }
    }
  }
  return c;
}

export const forwardInputNames = [
  "pre",
  "R",
  "bias",
  "recurrentBias",
  "h0",
  "c0",
  "peepholes",
  "mask",
  "lengths",
];
export const forwardOutputNames = [
  "outputs",
  "h",
  "gates",
  "previous",
  "inner",
  "c",
  "previousCells",
];
export const backwardInputNames = [
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
];
export const backwardOutputNames = ["dPre", "dRecurrent", "dH0", "dC0"];

const named = (names: readonly string[], list: readonly Numbers[]): Arrays =>
  Object.fromEntries(names.map((name, i) => [name, list[i]!]));

function sizesOf(ints: readonly number[]): RecurrentSizes {
  const [batch, time, units, cell, , reverse] = ints as number[];
  return {
    batch: batch!,
    time: time!,
    units: units!,
    cell: cellNames[cell!]!,
    reverse: reverse === 1,
  };
}

/** The results of a call of `recurrent`, in order. */
export function recurrentCall(ints: readonly number[], inputs: readonly Numbers[]): Float64Array[] {
  const s = sizesOf(ints);
  const [bias, recurrentBias, initial, peepholes, mask, lengths] = ints.slice(6);
  const has = [1, 1, bias, recurrentBias, initial, s.cell === "lstm" && initial];
  const names = forwardInputNames.filter((_, i) => [...has, peepholes, mask, lengths][i]);
  const results = recurrentReference(s, named(names, inputs));
  return forwardOutputNames.filter((_, i) => ints[4]! & (1 << i)).map((name) => results[name]!);
}

/** The results of a call of `recurrentGradient`, in order. */
export function recurrentGradientCall(
  ints: readonly number[],
  inputs: readonly Numbers[],
): Float64Array[] {
  const s = sizesOf(ints);
  const gates = gateCount(s.cell);
  const has = [1, 1, gates === 3, gates > 1, s.cell === "lstm", ...ints.slice(6)];
  const names = backwardInputNames.filter((_, i) => has[i]);
  const results = recurrentGradientReference(s, named(names, inputs));
  return backwardOutputNames.filter((_, i) => ints[4]! & (1 << i)).map((name) => results[name]!);
}
