/** Reductions over any set of axes, against sums written out in double precision. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

const shape = [2, 3, 4, 5];
const values = uniform(5, 120, -2, 2);
const axes: (number | number[] | undefined)[] = [
  undefined,
  0,
  1,
  -1,
  [0, 1],
  [1, 2],
  [0, 2],
  [1, 3],
  [0, 3],
  [-2, -4],
  [0, 1, 3],
  [3, 2, 1, 0],
  [],
];

type List = (list: number[]) => number;

/** `f` over the groups that `axis` makes of the values. */
function reference(axis: number | number[] | undefined, f: List, keepDims: boolean) {
  const list = axis === undefined ? [0, 1, 2, 3] : typeof axis === "number" ? [axis] : axis;
  const gone = list.map((a) => (a < 0 ? a + 4 : a));
  const groups = new Map<string, number[]>();
  for (let flat = 0; flat < 120; flat++) {
    const index = [
      Math.floor(flat / 60),
      Math.floor(flat / 20) % 3,
      Math.floor(flat / 5) % 4,
      flat % 5,
    ];
    const key = index.map((v, d) => (gone.includes(d) ? 0 : v)).join();
    groups.set(key, [...(groups.get(key) ?? []), values[flat]!]);
  }
  const kept = shape.flatMap((dim, d) => (gone.includes(d) ? (keepDims ? [1] : []) : [dim]));
  return { shape: kept, data: [...groups.values()].map(f) };
}

const sum: List = (list) => list.reduce((a, b) => a + b, 0);
const mean: List = (list) => sum(list) / list.length;
const variance: List = (list) => mean(list.map((v) => (v - mean(list)) ** 2));
const cases: [
  string,
  (x: lw.Tensor, axis?: number | number[], keep?: boolean) => lw.Tensor,
  List,
][] = [
  ["sum", (x, a, k) => x.sum(a, k), sum],
  ["mean", (x, a, k) => x.mean(a, k), mean],
  ["max", (x, a, k) => x.max(a, k), (list) => Math.max(...list)],
  ["min", (x, a, k) => x.min(a, k), (list) => Math.min(...list)],
  ["prod", (x, a, k) => x.prod(a, k), (list) => list.reduce((a, b) => a * b, 1)],
  ["logSumExp", (x, a, k) => x.logSumExp(a, k), (list) => Math.log(sum(list.map(Math.exp)))],
  ["norm", (x, a, k) => x.norm(2, a, k), (list) => Math.sqrt(sum(list.map((v) => v * v)))],
  ["norm euclidean", (x, a, k) => x.norm("euclidean", a, k), (list) => Math.hypot(...list)],
  ["norm 1", (x, a, k) => x.norm(1, a, k), (list) => sum(list.map(Math.abs))],
  ["norm ∞", (x, a, k) => x.norm(Infinity, a, k), (list) => Math.max(...list.map(Math.abs))],
  ["variance", (x, a, k) => x.variance(a, k), variance],
  ["mean of moments", (x, a, k) => x.moments(a, k).mean, mean],
];

onEachBackend("reduction", () => {
  test.each(cases)("%s over every set of axes", (_, f, list) => {
    const x = lw.tensor(values, shape);
    for (const axis of axes) {
      for (const keepDims of [false, true]) {
        const expected = reference(axis, list, keepDims);
        const got = f(x, axis, keepDims);
        expect(got.shape, `axes ${axis}`).toEqual(expected.shape);
        expectClose(got.dataSync(), expected.data, { rtol: 4e-6, atol: 2e-6 }, `axes ${axis}`);
      }
    }
  });

  test.each(cases)("%s: gradient over every set of axes", (name, f) => {
    // Distinct by more than the step of the differences, so that max and min stay where they are.
    const apart = Float32Array.from({ length: 120 }, (_, i) => 0.5 + ((i * 37) % 120) / 60);
    const x = lw.tensor(apart, shape);
    for (const axis of axes) {
      if (axis !== undefined && typeof axis !== "number" && axis.length === 0) continue;
      // A full product is large; its noise would drown the differences.
      if (name === "prod" && (axis === undefined || (axis as number[]).length > 2)) continue;
      expectGradient((t) => f(t, axis), [x], { directions: 1 });
    }
  });

  test("what is empty gives the neutral element", () => {
    const x = lw.zeros([0, 2]);
    expect(x.sum().item()).toBe(0);
    expect(x.sum(0).arraySync()).toEqual([0, 0]);
    expect(x.sum(1).arraySync()).toEqual([]);
    expect(x.prod(0).arraySync()).toEqual([1, 1]);
    expect(x.max(0).arraySync()).toEqual([-Infinity, -Infinity]);
    expect(x.min(0).arraySync()).toEqual([Infinity, Infinity]);
    expect(x.mean(0).arraySync()).toEqual([NaN, NaN]);
    expect(x.cast("int32").max(0).arraySync()).toEqual([-2147483648, -2147483648]);
    expect(lw.zeros([2, 0]).logSumExp(1).arraySync()).toEqual([-Infinity, -Infinity]);
  });

  test("int32 sums wrap, bool counts", () => {
    expect(lw.tensor(Int32Array.of(2147483647, 1)).sum().item()).toBe(-2147483648);
    const x = lw.tensor([
      [true, false],
      [true, true],
    ]);
    expect(x.sum(0).arraySync()).toEqual([2, 1]);
    expect(x.sum().dtype).toBe("int32");
    expect(x.all(1).arraySync()).toEqual([false, true]);
    expect(x.any(1).arraySync()).toEqual([true, true]);
    expect(lw.tensor(Uint8Array.of(200, 200)).sum().item()).toBe(400);
  });

  test("NaN reaches max, min, sum; infinities keep logSumExp exact", () => {
    expect(lw.max([1, NaN, 2]).item()).toBeNaN();
    expect(lw.min([1, NaN, 2]).item()).toBeNaN();
    expect(lw.sum([1, NaN]).item()).toBeNaN();
    expect(lw.logSumExp([-Infinity, -Infinity]).item()).toBe(-Infinity);
    expect(lw.logSumExp([Infinity, 1]).item()).toBe(Infinity);
    expect(lw.logSumExp([1000, 1000]).item()).toBeCloseTo(1000 + Math.LN2, 3);
  });

  test("a long sum keeps the accuracy of double precision", () => {
    const x = uniform(9, 1_000_003, 0, 1);
    const exact = x.reduce((a, b) => a + b, 0);
    expect(Math.abs(lw.tensor(x).sum().item() - exact) / exact).toBeLessThan(2e-7);
    const far = x.map((v) => v + 1000);
    expect(lw.variance(far).item()).toBeCloseTo(1 / 12, 3);
  });
});
