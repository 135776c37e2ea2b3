/**
 * Cases of the recurrent kernels and of the products over rows of sequences: every cell with and without
 * each operand, units around the vector width and beyond every block, lengths of 0 and equal ones.
 * What stands in the padding is NaN: whoever reads it is found out.
 */
import { normal, random, uniform } from "../helpers/random.js";
import {
  backwardInputNames,
  cellNames,
  forwardInputNames,
  gateCount,
  recurrentReference,
} from "../helpers/recurrentReference.js";
import { f32, i32, type KernelCase, out } from "./case.js";

interface Shape {
  readonly batch: number;
  readonly time: number;
  readonly units: number;
  readonly reverse?: boolean;
  /** Operands that a call may lack. */
  readonly has?: readonly string[];
  /** Results of the forward call; all when left out. */
  readonly wanted?: number;
}

const everything = ["bias", "recurrentBias", "h0", "peepholes", "mask", "lengths"];
const shapes: readonly Shape[] = [
  { batch: 1, time: 1, units: 1 },
  { batch: 0, time: 3, units: 4, has: everything },
  { batch: 3, time: 0, units: 4, has: everything },
  { batch: 2, time: 3, units: 5, has: ["bias", "h0"], reverse: true },
  { batch: 5, time: 4, units: 7, has: everything },
  { batch: 7, time: 5, units: 16, has: [...everything, "dOutputs"], reverse: true },
  { batch: 3, time: 3, units: 17, has: ["lengths", "dOutputs"], wanted: 2 },
  { batch: 1, time: 6, units: 33, has: ["bias", "recurrentBias", "dOutputs"] },
  { batch: 1, time: 1, units: 131, has: ["bias", "h0"], wanted: 3 },
  // A single row reads the weights in one piece, or in several by threads.
  { batch: 1, time: 1, units: 301, has: ["bias", "recurrentBias", "h0", "peepholes"], wanted: 3 },
  {
    batch: 1,
    time: 3,
    units: 260,
    has: ["bias", "recurrentBias", "h0", "dOutputs"],
    reverse: true,
  },
  { batch: 2, time: 1, units: 19, has: ["h0", "mask"] },
  { batch: 25, time: 1, units: 18, has: ["h0", "bias"], wanted: 1 },
  { batch: 16, time: 3, units: 40, has: everything, reverse: true },
  { batch: 61, time: 2, units: 23, has: ["bias", "lengths", "dOutputs", "h0"] },
  // More terms than a block of k has.
  { batch: 4, time: 2, units: 301, has: ["bias", "dOutputs", "lengths"] },
];

const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** 0 to time, the ends among them. */
function lengthsOf(seed: number, { batch, time }: Shape): number[] {
  const next = random(seed);
  return Array.from({ length: batch }, (_, b) =>
    b === 0 ? time : b === 1 ? 0 : Math.floor(next() * (time + 1)),
  );
}

/** NaN at the steps that a sequence lacks. */
function spoiled(
  values: Float32Array,
  width: number,
  time: number,
  lengths: readonly number[] | undefined,
): Float32Array {
  lengths?.forEach((length, b) => {
    values.fill(NaN, (b * time + length) * width, (b + 1) * time * width);
  });
  return values;
}

function problemOf(cell: string, s: Shape) {
  const { batch, time, units } = s;
  const gates = gateCount(cell);
  const width = gates * units;
  const own = (s.has ?? []).filter(
    (name) =>
      (name !== "peepholes" || cell === "lstm") &&
      (name !== "recurrentBias" || cell === "gruResetAfter"),
  );
  const has = (name: string): boolean => own.includes(name);
  const lengths = has("lengths") ? lengthsOf(units, s) : undefined;
  const state = batch * units;
  const floats: Record<string, Float32Array | undefined> = {
    pre: spoiled(normal(1, batch * time * width), width, time, lengths),
    R: normal(2, units * width, 0, 1 / Math.sqrt(units)),
    bias: has("bias") ? normal(3, width) : undefined,
    recurrentBias: has("recurrentBias") ? normal(4, width) : undefined,
    h0: has("h0") ? uniform(5, state) : undefined,
    c0: has("h0") && cell === "lstm" ? normal(6, state) : undefined,
    peepholes: has("peepholes") ? normal(7, 3 * units) : undefined,
    mask: has("mask") ? uniform(8, state, 0, 2) : undefined,
  };
  return { gates, width, has, lengths, floats };
}

function casesOf(cell: string, s: Shape): KernelCase[] {
  const { batch, time, units } = s;
  const { gates, width, has, lengths, floats } = problemOf(cell, s);
  const number = cellNames.indexOf(cell);
  const reverse = Number(s.reverse ?? false);
  const title = `${cell} [${batch}, ${time}, ${units}] ${s.has ?? ""}${reverse ? " reversed" : ""}`;
  const [narrow, wide, state] = [batch * time * units, batch * time * width, batch * units];
  const all = cell === "lstm" ? 0b1111111 : gates === 3 ? 0b11111 : 0b1111;
  const wanted = s.wanted ?? all;
  const operand = (name: string, values: Float32Array | undefined) =>
    name === "lengths" ? lengths && i32(lengths) : values && f32(values);
  const flags = (names: readonly string[]): number[] => names.map((name) => Number(has(name)));
  const sizes = [narrow, state, wide, narrow, narrow, state, narrow];
  const saved = recurrentReference(
    { batch, time, units, cell, reverse: reverse === 1 },
    { ...floats, lengths },
  );
  const gradientFloats: Record<string, Float32Array | undefined> = {
    ...floats,
    ...Object.fromEntries(
      [
        ["gates", width, true] as const,
        ["previous", units, gates === 3] as const,
        ["inner", units, gates > 1] as const,
        ["previousCells", units, cell === "lstm"] as const,
      ].map(([name, size, there]) => [
        name,
        there ? spoiled(Float32Array.from(saved[name]!), size, time, lengths) : undefined,
      ]),
    ),
    dOutputs: has("dOutputs") ? spoiled(normal(9, narrow), units, time, lengths) : undefined,
    dH: normal(10, state),
    dC: cell === "lstm" ? normal(11, state) : undefined,
  };
  const list = (names: readonly string[], from: Record<string, Float32Array | undefined>) =>
    names.flatMap((name) => operand(name, from[name]) ?? []);
  const dWanted = cell === "lstm" ? 0b1101 : cell === "gruResetAfter" ? 0b111 : 0b101;
  const dSizes = [wide, wide, state, state];
  return [
    {
      name: `recurrent ${title}`,
      call: {
        kernel: "recurrent",
        ints: [
          ...[batch, time, units, number, wanted, reverse],
          ...flags(["bias", "recurrentBias", "h0", "peepholes", "mask", "lengths"]),
        ],
        floats: [],
      },
      inputs: list(forwardInputNames, floats),
      outputs: sizes.filter((_, i) => wanted & (1 << i)).map((size) => out(size)),
    },
    ...[dWanted, 1].map((bits) => ({
      name: `recurrentGradient ${title}, results ${bits}`,
      call: {
        kernel: "recurrentGradient",
        ints: [
          ...[batch, time, units, number, bits, reverse],
          ...flags(["peepholes", "mask", "lengths", "dOutputs"]),
          ...[1, Number(cell === "lstm")],
        ],
        floats: [],
      },
      inputs: list(backwardInputNames, gradientFloats),
      outputs: dSizes.filter((_, i) => bits & (1 << i)).map((size) => out(size)),
    })),
  ];
}

/** batch, time, inputs, units; lengths are random. */
const products: readonly (readonly number[])[] = [
  [1, 1, 1, 1],
  [3, 4, 5, 7],
  [2, 3, 0, 4],
  [2, 3, 4, 0],
  [0, 3, 4, 5],
  [4, 0, 3, 2],
  [9, 7, 17, 33],
  [13, 11, 300, 70],
  [6, 30, 64, 257],
  [60, 9, 31, 16],
];

function productCases([batch, time, inputs, units]: readonly number[]): KernelCase[] {
  const s = { batch: batch!, time: time!, units: 0 };
  const lengths = lengthsOf(inputs! + 1, s);
  const rows = batch! * time!;
  const x = f32(spoiled(normal(1, rows * inputs!), inputs!, time!, lengths));
  const y = f32(spoiled(normal(2, rows * units!), units!, time!, lengths));
  const w = f32(normal(3, inputs! * units!));
  const title = `${sum(lengths)} rows of [${batch}, ${time}]`;
  return [
    ...[0, 1].map((transpose) => ({
      name: `sequenceProduct ${title}, ${inputs} → ${units}, transpose ${transpose}`,
      call: {
        kernel: "sequenceProduct",
        ints: [batch!, time!, inputs!, units!, transpose],
        floats: [],
      },
      inputs: [x, w, i32(lengths)],
      outputs: [out(rows * units!)],
    })),
    {
      name: `sequenceOuter ${title}, ${inputs} × ${units}`,
      call: { kernel: "sequenceOuter", ints: [batch!, time!, inputs!, units!], floats: [] },
      inputs: [x, y, i32(lengths)],
      outputs: [out(inputs! * units!)],
    },
  ];
}

export const recurrentCases: readonly KernelCase[] = [
  ...shapes.flatMap((s) => cellNames.flatMap((cell) => casesOf(cell, s))),
  ...products.flatMap(productCases),
];
