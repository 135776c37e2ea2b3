/**
 * Every op row once more: naive functions on nested indices, in double precision, keyed by op name.
 * Shares no code with `src`; shapes are computed here independently too.
 */
import { coveringWindows, pixelsRead } from "../helpers/imageReference.js";
import { exactInstructions, philox, philoxBits } from "../helpers/instructionReference.js";
import {
  cellNames,
  gateCount,
  recurrentCall,
  recurrentGradientCall,
  sequenceOuterReference,
  sequenceProductReference,
} from "../helpers/recurrentReference.js";

/** A dense row-major array. */
export interface Nd {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Attributes as a reference reads them; each op knows its own. */
type Attributes = { readonly [name: string]: unknown };
export type Reference = (inputs: readonly Nd[], attributes: Attributes) => Nd[];

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** Calls `visit` with every index of `shape`, row-major. */
function each(shape: readonly number[], visit: (index: number[], flat: number) => void): void {
  const size = product(shape);
  for (let flat = 0; flat < size; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (let d = shape.length - 1; d >= 0; d--) {
      index.unshift(rest % shape[d]!);
      rest = Math.floor(rest / shape[d]!);
    }
    visit(index, flat);
  }
}

function flatOf(shape: readonly number[], index: readonly number[]): number {
  return shape.reduce((flat, dim, d) => flat * dim + index[d]!, 0);
}

/** Element of `x` at `index` of a shape that x broadcasts to. */
function at(x: Nd, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  const place = own.map((i, d) => (x.shape[d] === 1 ? 0 : i));
  return x.data[flatOf(x.shape, place)]!;
}

export function build(shape: readonly number[], value: (index: number[]) => number): Nd {
  const data = new Float64Array(product(shape));
  each(shape, (index, flat) => {
    data[flat] = value(index);
  });
  return { shape, data };
}

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((s) => s[i - rank + s.length] ?? 1);
    return dims.find((d) => d !== 1) ?? 1;
  });
}

function elementwise(f: (...x: number[]) => number): Reference {
  return (inputs) => [
    build(broadcast(inputs.map((x) => x.shape)), (index) => f(...inputs.map((x) => at(x, index)))),
  ];
}

/** The twelve numbers that describe a pooling of images of `shape`, and the shape it gives. */
function poolOf(shape: readonly number[], attributes: Attributes) {
  const [n, height, width, channels] = shape as [number, number, number, number];
  const of = (name: string) => attributes[name] as number[];
  const [oh, ow] = of("output") as [number, number];
  const ints = [
    ...[n, height, width, channels],
    ...[...of("kernel"), ...of("strides"), ...of("before"), oh, ow],
  ];
  return { ints, output: [n, oh, ow, channels] };
}

function unpooled(dy: Nd, attributes: Attributes): number[] {
  return [dy.shape[0]!, ...(attributes.input as number[]), dy.shape[3]!];
}

function windowSizes(ints: readonly number[], size: number): Float64Array {
  const counts = new Float64Array(size);
  for (const { output } of coveringWindows(ints)) counts[output]!++;
  return counts;
}

function transformInts(shape: readonly number[], transforms: Nd, attributes: Attributes): number[] {
  const mode = ["constant", "nearest", "reflect", "wrap"].indexOf(attributes.fillMode as string);
  const bilinear = attributes.interpolation === "bilinear" ? 1 : 0;
  return [...shape, ...(attributes.output as number[]), transforms.shape[0]!, bilinear, mode];
}

/** The attributes of a recurrent kernel that computes all results of a cell. */
function recurrentInts(
  sizes: readonly number[],
  { cell, reverse, has }: Attributes,
  wanted: number,
  operands: readonly string[],
): number[] {
  const flags = operands.map((name) => Number((has as string[]).includes(name)));
  return [...sizes, cellNames.indexOf(cell as string), wanted, Number(reverse), ...flags];
}

/** Elements of x along the axes from … to − 1, for each combination of the others. */
function runs(x: Nd, from: number, to: number): { shape: number[]; runs: number[][] } {
  const shape = [...x.shape.slice(0, from), ...x.shape.slice(to)];
  const lists: number[][] = Array.from({ length: product(shape) }, () => []);
  each(x.shape, (index, flat) => {
    const outer = [...index.slice(0, from), ...index.slice(to)];
    lists[flatOf(shape, outer)]!.push(x.data[flat]!);
  });
  return { shape, runs: lists };
}

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

const reducers: Record<string, (list: number[]) => number> = {
  sum,
  max: (list) => Math.max(...list),
  min: (list) => Math.min(...list),
  prod: (list) => list.reduce((a, b) => a * b, 1),
};

/** Rows (last axis) of x mapped to lists. */
function rows(x: Nd, f: (row: number[], r: number) => number[]): Nd {
  const cols = x.shape[x.shape.length - 1]!;
  const count = product(x.shape.slice(0, -1));
  const all = Array.from({ length: count }, (_, r) =>
    f(
      Array.from({ length: cols }, (_, c) => x.data[r * cols + c]!),
      r,
    ),
  );
  const width = all[0]?.length ?? 0;
  return { shape: [...x.shape.slice(0, -1), width], data: all.flat() };
}

function logSumExp(row: readonly number[]): number {
  const top = Math.max(...row);
  return top + Math.log(sum(row.map((z) => Math.exp(z - top))));
}

/** Loss and gradient of cross-entropy for targets that were smoothed already. */
function crossEntropy(z: Nd, targetsOf: (r: number, cols: number) => number[]): Nd[] {
  const losses: number[] = [];
  const gradient = rows(z, (row, r) => {
    const t = targetsOf(r, row.length);
    const lse = logSumExp(row);
    losses.push(sum(t.map((value, c) => value * (lse - row[c]!))));
    return row.map((value, c) => Math.exp(value - lse) * sum(t) - t[c]!);
  });
  return [{ shape: z.shape.slice(0, -1), data: losses }, gradient];
}

const smoothed = (t: readonly number[], s: number): number[] =>
  t.map((value) => value * (1 - s) + s / t.length);

const names = {
  neg: "neg",
  abs: "abs",
  sign: "sign",
  floor: "floor",
  ceil: "ceil",
  round: "round",
  trunc: "trunc",
  exp: "exp",
  expm1: "expm1",
  log: "log",
  log1p: "log1p",
  sqrt: "sqrt",
  rsqrt: "rsqrt",
  reciprocal: "reciprocal",
  square: "square",
  sin: "sin",
  cos: "cos",
  tan: "tan",
  asin: "asin",
  acos: "acos",
  atan: "atan",
  sinh: "sinh",
  cosh: "cosh",
  tanh: "tanh",
  asinh: "asinh",
  acosh: "acosh",
  atanh: "atanh",
  erf: "erf",
  sigmoid: "sigmoid",
  softplus: "softplus",
  relu: "relu",
  isNaN: "isNaN",
  isFinite: "isFinite",
  isInf: "isInf",
  add: "add",
  sub: "sub",
  mul: "mul",
  div: "div",
  pow: "pow",
  minimum: "minimum",
  maximum: "maximum",
  atan2: "atan2",
  floorDiv: "floorDiv",
  mod: "mod",
  equal: "equal",
  notEqual: "notEqual",
  less: "less",
  lessEqual: "lessEqual",
  logicalAnd: "andInt",
  logicalOr: "orInt",
  logicalXor: "xorInt",
  logicalNot: "notBool",
  where: "select",
  bitsToUniform: "bitsToUniform",
} as const;

/** Of y[n, i, j, o] = Σ x[n, row, column, c]·w[k, l, c, o] the one that is missing, from the other two. */
function convolve(attributes: Attributes, x: Nd | null, w: Nd | null, y: Nd | null): Nd {
  const a = attributes as { readonly [name: string]: number };
  const filters = (w ?? y)!.shape[3]!;
  const channels = x?.shape[3] ?? w!.shape[2]! * a.groups!;
  const own = channels / a.groups!;
  const batch = (x ?? y)!.shape[0]!;
  const shapes = {
    x: [batch, a.height!, a.width!, channels],
    w: [a.kernelHeight!, a.kernelWidth!, own, filters],
    y: [batch, a.outHeight!, a.outWidth!, filters],
  };
  const result = build(y ? (x ? shapes.w : shapes.x) : shapes.y, () => 0);
  const sums = result.data as Float64Array;
  each([...shapes.y, a.kernelHeight!, a.kernelWidth!, own], (index) => {
    const [n, i, j, o, k, l, c] = index as [number, number, number, number, number, number, number];
    const row = i * a.strideHeight! - a.padTop! + k * a.dilationHeight!;
    const column = j * a.strideWidth! - a.padLeft! + l * a.dilationWidth!;
    if (row < 0 || column < 0 || row >= a.height! || column >= a.width!) return;
    const channel = Math.floor((o * a.groups!) / filters) * own + c;
    const atX = flatOf(shapes.x, [n, row, column, channel]);
    const atW = flatOf(shapes.w, [k, l, c, o]);
    const atY = flatOf(shapes.y, [n, i, j, o]);
    if (!y) sums[atY]! += x!.data[atX]! * w!.data[atW]!;
    else if (!x) sums[atX]! += y.data[atY]! * w!.data[atW]!;
    else sums[atW]! += x.data[atX]! * y.data[atY]!;
  });
  return result;
}

export const references: Readonly<Record<string, Reference>> = {
  ...Object.fromEntries(
    Object.entries(names).map(([op, name]) => [op, elementwise(exactInstructions[name]!)]),
  ),
  cast: ([x], { dtype }) => {
    const round = (value: number): number => {
      if (dtype === "float32") return value;
      const whole = Number.isNaN(value) ? 0 : Math.trunc(value);
      return dtype === "uint8" ? Math.min(255, Math.max(0, whole)) : whole;
    };
    return [build(x!.shape, (index) => round(at(x!, index)))];
  },
  broadcastTo: ([x], { shape }) => [build(shape as number[], (index) => at(x!, index))],
  reshape: ([x], { shape }) => [{ shape: shape as number[], data: x!.data }],
  stopGradient: ([x]) => [x!],
  customGradient: ([x]) => [x!],
  transpose: ([x], { perm }) => {
    const order = perm as number[];
    return [
      build(
        order.map((p) => x!.shape[p]!),
        (index) =>
          at(
            x!,
            index.map((_, i) => index[order.indexOf(i)]!),
          ),
      ),
    ];
  },
  slice: ([x], { begin, size, step }) => {
    const [from, by] = [begin as number[], step as number[]];
    return [
      build(size as number[], (index) =>
        at(
          x!,
          index.map((i, d) => from[d]! + i * by[d]!),
        ),
      ),
    ];
  },
  place: ([x], { shape, begin, step, value }) => {
    const result = build(shape as number[], () => value as number);
    const [from, by] = [begin as number[], step as number[]];
    each(x!.shape, (index, flat) => {
      const target = index.map((i, d) => from[d]! + i * by[d]!);
      (result.data as Float64Array)[flatOf(result.shape, target)] = x!.data[flat]!;
    });
    return [result];
  },
  concat: (inputs, { axis }) => {
    const along = axis as number;
    const shape = inputs[0]!.shape.slice();
    shape[along] = sum(inputs.map((x) => x.shape[along]!));
    return [
      build(shape, (index) => {
        let offset = index[along]!;
        for (const x of inputs) {
          if (offset < x.shape[along]!)
            return at(
              x,
              index.map((i, d) => (d === along ? offset : i)),
            );
          offset -= x.shape[along]!;
        }
        return NaN;
      }),
    ];
  },
  reduce: ([x], { reducer, from, to, scale }) => {
    const all = runs(x!, from as number, to as number);
    const f = reducers[reducer as string]!;
    return [{ shape: all.shape, data: all.runs.map((list) => f(list) * (scale as number)) }];
  },
  moments: ([x], { from, to }) => {
    const all = runs(x!, from as number, to as number);
    const means = all.runs.map((list) => sum(list) / list.length);
    const variances = all.runs.map(
      (list, i) => sum(list.map((value) => (value - means[i]!) ** 2)) / list.length,
    );
    return [
      { shape: all.shape, data: means },
      { shape: all.shape, data: variances },
    ];
  },
  matMul: ([a, b], { transposeA, transposeB }) => {
    const swap = (x: Nd, yes: unknown): Nd => {
      if (!yes) return x;
      const rank = x.shape.length;
      const shape = [...x.shape.slice(0, -2), x.shape[rank - 1]!, x.shape[rank - 2]!];
      return build(shape, (i) => at(x, [...i.slice(0, -2), i[rank - 1]!, i[rank - 2]!]));
    };
    const [left, right] = [swap(a!, transposeA), swap(b!, transposeB)];
    const [m, k] = left.shape.slice(-2) as [number, number];
    const n = right.shape[right.shape.length - 1]!;
    const lead = broadcast([left.shape.slice(0, -2), right.shape.slice(0, -2)]);
    return [
      build([...lead, m, n], (index) => {
        const outer = index.slice(0, -2);
        const [i, j] = index.slice(-2) as [number, number];
        let total = 0;
        for (let p = 0; p < k; p++)
          total += at(left, [...outer, i, p]) * at(right, [...outer, p, j]);
        return total;
      }),
    ];
  },
  conv2d: ([x, w], a) => [convolve(a, x!, w!, null)],
  conv2dInputGradient: ([y, w], a) => [convolve(a, null, w!, y!)],
  conv2dFilterGradient: ([x, y], a) => [convolve(a, x!, null, y!)],
  softmax: ([x], { log }) => [
    rows(x!, (row) => {
      const lse = logSumExp(row);
      return row.map((z) => (log ? z - lse : Math.exp(z - lse)));
    }),
  ],
  softmaxCrossEntropy: ([z, t], { smoothing }) =>
    crossEntropy(z!, (r, cols) =>
      smoothed(
        Array.from({ length: cols }, (_, c) => t!.data[r * cols + c]!),
        smoothing as number,
      ),
    ),
  sparseSoftmaxCrossEntropy: ([z, y], { smoothing }) =>
    crossEntropy(z!, (r, cols) =>
      smoothed(
        Array.from({ length: cols }, (_, c) => Number(y!.data[r] === c)),
        smoothing as number,
      ),
    ),
  gather: ([x, indices], { axis }) => {
    const along = axis as number;
    const shape = [...x!.shape.slice(0, along), ...indices!.shape, ...x!.shape.slice(along + 1)];
    const rank = indices!.shape.length;
    return [
      build(shape, (index) => {
        const picked = at(indices!, index.slice(along, along + rank));
        return at(x!, [...index.slice(0, along), picked, ...index.slice(along + rank)]);
      }),
    ];
  },
  scatterAdd: ([updates, indices], { axis, size }) => {
    const along = axis as number;
    const rank = indices!.shape.length;
    const shape = [
      ...updates!.shape.slice(0, along),
      size as number,
      ...updates!.shape.slice(along + rank),
    ];
    const result = build(shape, () => 0);
    each(updates!.shape, (index, flat) => {
      const target = at(indices!, index.slice(along, along + rank));
      const place = [...index.slice(0, along), target, ...index.slice(along + rank)];
      (result.data as Float64Array)[flatOf(shape, place)]! += updates!.data[flat]!;
    });
    return [result];
  },
  scatterRows: ([x, indices, updates]) => {
    const result = build(x!.shape, (index) => at(x!, index));
    each(updates!.shape, ([j, ...rest], flat) => {
      const place = [indices!.data[j!]!, ...rest];
      (result.data as Float64Array)[flatOf(x!.shape, place)] = updates!.data[flat]!;
    });
    return [result];
  },
  identity: ([x]) => [x!],
  argReduce: ([x], { axis, min }) => {
    const all = runs(x!, axis as number, (axis as number) + 1);
    const best = (list: number[]): number =>
      list.indexOf(min ? Math.min(...list) : Math.max(...list));
    return [{ shape: all.shape, data: all.runs.map(best) }];
  },
  topk: ([x], { k }) => {
    const order = (row: number[]): number[] =>
      row
        .map((_, i) => i)
        .sort((i, j) => row[j]! - row[i]! || i - j)
        .slice(0, k as number);
    return [rows(x!, (row) => order(row).map((i) => row[i]!)), rows(x!, order)];
  },
  cumsum: ([x], { axis, exclusive, reverse }) => {
    const along = axis as number;
    return [
      build(x!.shape, (index) => {
        let total = 0;
        for (let i = 0; i < x!.shape[along]!; i++) {
          const here = index[along]!;
          const before = reverse ? i > here : i < here;
          if (before || (!exclusive && i === here)) {
            total += at(
              x!,
              index.map((v, d) => (d === along ? i : v)),
            );
          }
        }
        return total;
      }),
    ];
  },
  maxPool: ([x], attributes) => {
    const { ints, output } = poolOf(x!.shape, attributes);
    const y = build(output, () => -Infinity);
    const index = build(output, () => -1);
    for (const w of coveringWindows(ints)) {
      if (!(x!.data[w.input]! > y.data[w.output]!)) continue;
      (y.data as Float64Array)[w.output] = x!.data[w.input]!;
      (index.data as Float64Array)[w.output] = w.tap;
    }
    return [y, index];
  },
  maxPoolGradient: ([dy, index], attributes) => {
    const shape = unpooled(dy!, attributes);
    const dx = build(shape, () => 0);
    for (const w of coveringWindows(poolOf(shape, attributes).ints)) {
      if (index!.data[w.output] === w.tap) {
        (dx.data as Float64Array)[w.input]! += dy!.data[w.output]!;
      }
    }
    return [dx];
  },
  avgPool: ([x], attributes) => {
    const { ints, output } = poolOf(x!.shape, attributes);
    const counts = windowSizes(ints, product(output));
    const y = build(output, () => 0);
    for (const w of coveringWindows(ints)) {
      (y.data as Float64Array)[w.output]! += x!.data[w.input]! / counts[w.output]!;
    }
    return [y];
  },
  avgPoolGradient: ([dy], attributes) => {
    const shape = unpooled(dy!, attributes);
    const { ints } = poolOf(shape, attributes);
    const counts = windowSizes(ints, dy!.data.length);
    const dx = build(shape, () => 0);
    for (const w of coveringWindows(ints)) {
      (dx.data as Float64Array)[w.input]! += dy!.data[w.output]! / counts[w.output]!;
    }
    return [dx];
  },
  transformImages: ([x, transforms], attributes) => {
    const output = attributes.output as number[];
    const y = build([x!.shape[0]!, ...output, x!.shape[3]!], () => 0);
    const ints = transformInts(x!.shape, transforms!, attributes);
    for (const p of pixelsRead(ints, transforms!.data)) {
      const value = p.input < 0 ? (attributes.fillValue as number) : x!.data[p.input]!;
      (y.data as Float64Array)[p.output]! += p.weight * value;
    }
    return [y];
  },
  transformImagesGradient: ([dy, transforms], attributes) => {
    const shape = [dy!.shape[0]!, ...(attributes.input as number[]), dy!.shape[3]!];
    const dx = build(shape, () => 0);
    for (const p of pixelsRead(transformInts(shape, transforms!, attributes), transforms!.data)) {
      if (p.input >= 0) (dx.data as Float64Array)[p.input]! += p.weight * dy!.data[p.output]!;
    }
    return [dx];
  },
  randomBits: ([seed, step], { shape, opId, stream }) => {
    const key = [seed!.data[0]!, opId as number];
    return [
      build(shape as number[], (index) => {
        const i = flatOf(shape as number[], index);
        const counter = [Math.floor(i / 4), stream as number, step!.data[0]!, 0];
        return philox(counter, key)[i % 4]!;
      }),
    ];
  },
  recurrent: (inputs, attributes) => {
    const cell = attributes.cell as string;
    const [batch, time] = inputs[0]!.shape as [number, number];
    const units = inputs[1]!.shape[0]!;
    const gates = gateCount(cell);
    const count = cell === "lstm" ? 7 : gates === 3 ? 5 : 4;
    const operands = ["bias", "recurrentBias", "h0", "peepholes", "mask", "lengths"];
    const ints = recurrentInts([batch, time, units], attributes, 2 ** count - 1, operands);
    const [step, state] = [
      [batch, time, units],
      [batch, units],
    ];
    const shapes = [step, state, [batch, time, gates * units], step, step, state, step];
    const lists = recurrentCall(
      ints,
      inputs.map((x) => x.data),
    );
    return lists.map((data, i) => ({ shape: shapes[i]!, data }));
  },
  recurrentGradient: (inputs, attributes) => {
    const cell = attributes.cell as string;
    const [batch, time, width] = inputs[1]!.shape as [number, number, number];
    const units = inputs[0]!.shape[0]!;
    const wanted = cell === "lstm" ? 0b1101 : cell === "gruResetAfter" ? 0b111 : 0b101;
    const operands = ["peepholes", "mask", "lengths", "dOutputs", "dH", "dC"];
    const ints = recurrentInts([batch, time, units], attributes, wanted, operands);
    const [wide, state] = [
      [batch, time, width],
      [batch, units],
    ];
    const shapes = [wide, wide, state, state].filter((_, i) => wanted & (1 << i));
    const lists = recurrentGradientCall(
      ints,
      inputs.map((x) => x.data),
    );
    return lists.map((data, i) => ({ shape: shapes[i]!, data }));
  },
  sequenceProduct: ([x, w, lengths], { transpose }) => {
    const units = w!.shape[transpose ? 0 : 1]!;
    const ints = [...x!.shape, units, Number(transpose)];
    const data = sequenceProductReference(ints, [x!.data, w!.data, lengths!.data]);
    return [{ shape: [x!.shape[0]!, x!.shape[1]!, units], data }];
  },
  sequenceOuter: ([x, y, lengths]) => {
    const ints = [...x!.shape, y!.shape[2]!];
    const data = sequenceOuterReference(ints, [x!.data, y!.data, lengths!.data]);
    return [{ shape: ints.slice(2), data }];
  },
  randomBelow: ([seed, step], { shape, opId, stream, threshold }) => [
    build(shape as number[], (index) => {
      const i = flatOf(shape as number[], index);
      const [s, t] = [seed!.data[0]!, step!.data[0]!];
      return philoxBits(s, t, opId as number, stream as number, i) < (threshold as number) ? 1 : 0;
    }),
  ],
};
