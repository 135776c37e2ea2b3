/** `reduce`: a tile program over [outer, axis, inner], each result reduced over `axis`. */
import { compileLoops, loopNest } from "./codegen.js";
import { interpretTile } from "./interpreter.js";
import { float32, int32, type Kernel, type KernelRun } from "./kernel.js";
import { domainSize, expectTileInputs, orInterpret } from "./map.js";
import { checkTile, laneOf, type TileProgram } from "./tile.js";

/** A way to reduce: its start and one step, for float lanes (in double) and int lanes. */
interface Reducer {
  readonly name: string;
  readonly start: { readonly f: number; readonly i: number };
  readonly step: { readonly f: string; readonly i: string };
  readonly scalar: {
    readonly f: (acc: number, lane: number) => number;
    readonly i: (acc: number, lane: number) => number;
  };
}

/** In the order of the `reducer` attribute; `a` is the accumulator, `v` the lane. */
export const reducers: readonly Reducer[] = [
  {
    name: "sum",
    start: { f: 0, i: 0 },
    step: { f: "a + v", i: "a + v | 0" },
    scalar: { f: (a, v) => a + v, i: (a, v) => (a + v) | 0 },
  },
  {
    name: "max",
    start: { f: -Infinity, i: -2147483648 },
    step: { f: "v > a || v !== v ? v : a", i: "v > a ? v : a" },
    scalar: { f: (a, v) => (v > a || Number.isNaN(v) ? v : a), i: (a, v) => Math.max(a, v) },
  },
  {
    name: "min",
    start: { f: Infinity, i: 2147483647 },
    step: { f: "v < a || v !== v ? v : a", i: "v < a ? v : a" },
    scalar: { f: (a, v) => (v < a || Number.isNaN(v) ? v : a), i: (a, v) => Math.min(a, v) },
  },
  {
    name: "prod",
    start: { f: 1, i: 1 },
    step: { f: "a * v", i: "Math.imul(a, v)" },
    scalar: { f: (a, v) => a * v, i: (a, v) => Math.imul(a, v) },
  },
];

interface Reduction {
  readonly reducer: Reducer;
  readonly lane: "f" | "i";
  readonly scale: number;
}

/**
 * Float sums and products accumulate in double, in the order of the axis, and are rounded once.
 * With inner = 1 the accumulators are locals; else there is one row of them per `outer`.
 */
function compileReduce(tile: TileProgram, reductions: readonly Reduction[]): KernelRun {
  const inner = tile.dims[2]!;
  const nest = loopNest(tile);
  const { before, after } = nest.levels[1]!;
  const innermost = nest.levels[3]!.before;
  for (const [r, { reducer, lane, scale }] of reductions.entries()) {
    const start = reducer.start[lane];
    const step = (acc: string) =>
      `${acc} = ${reducer.step[lane].replace(/\b[av]\b/g, (l) => (l === "a" ? acc : nest.results[r]!))};`;
    const finish = (acc: string, at: string) =>
      `y${r}[${at}] = ${scale === 1 ? acc : `${acc} * (${scale})`};`;
    if (inner === 1) {
      before.push(`let a${r} = ${start};`);
      innermost.push(step(`a${r}`));
      after.push(finish(`a${r}`, "i0"));
    } else {
      nest.scope.set(`row${r}`, lane === "f" ? new Float64Array(inner) : new Int32Array(inner));
      before.push(`row${r}.fill(${start});`);
      innermost.push(step(`row${r}[i2]`));
      after.push(`for (let i = 0; i < ${inner}; i++) ${finish(`row${r}[i]`, `i0 * ${inner} + i`)}`);
    }
  }
  return compileLoops(tile.strides.length, reductions.length, nest.scope, nest.source());
}

function interpretReduce(tile: TileProgram, reductions: readonly Reduction[]): KernelRun {
  const [outer, axis, inner] = tile.dims as [number, number, number];
  const walk = interpretTile(tile);
  return (inputs, outputs) => {
    const rows = reductions.map(({ reducer, lane }) =>
      new Float64Array(outer * inner).fill(reducer.start[lane]),
    );
    walk(inputs, (index, registers) => {
      const at = Math.floor(index / (axis * inner)) * inner + (index % inner);
      for (const [r, { reducer, lane }] of reductions.entries()) {
        rows[r]![at] = reducer.scalar[lane](rows[r]![at]!, registers[tile.results[r]!]!);
      }
    });
    for (const [r, { scale }] of reductions.entries()) {
      for (const [at, value] of rows[r]!.entries()) outputs[r]![at] = value * scale;
    }
  };
}

export const reduce: Kernel = {
  ints: ["[reducer]"],
  floats: ["[scale]"],
  tile: "required",
  expect({ inputs, ints, floats, tile }, fail) {
    const { dims, results } = tile!;
    domainSize(tile!, fail);
    if (dims.length !== 3) fail(`tile domain [${dims}] is not [outer, axis, inner]`);
    if (ints.length !== results.length || floats.length !== results.length) {
      fail(`${results.length} results need as many reducers and scales`);
    }
    const lanes = checkTile(
      tile!,
      inputs.map((input) => laneOf(input.dtype)),
      fail,
    );
    for (const [r, reducer] of ints.entries()) {
      if (!reducers[reducer]) fail(`reducer ${reducer} of result ${r} is not one of 0 to 3`);
      const scalable = lanes[r] === "f" && (reducer === 0 || reducer === 3);
      if (!scalable && floats[r] !== 1) fail(`result ${r} can't be scaled, got ${floats[r]}`);
    }
    return {
      inputs: expectTileInputs(tile!, inputs),
      outputs: lanes.map((lane, r) => ({
        name: `result ${r}`,
        dtypes: lane === "f" ? float32 : int32,
        size: dims[0]! * dims[2]!,
      })),
    };
  },
  prepare({ outputs, ints, floats, tile }, { interpret = false }) {
    const reductions = outputs.map(({ dtype }, r) => ({
      reducer: reducers[ints[r]!]!,
      lane: laneOf(dtype),
      scale: floats[r]!,
    }));
    if (interpret) return interpretReduce(tile!, reductions);
    return orInterpret(
      () => compileReduce(tile!, reductions),
      () => interpretReduce(tile!, reductions),
    );
  },
};
