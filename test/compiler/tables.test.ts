/** Products with rows of a small table, which become products of the table: what they compute stays. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

const [rows, columns, width] = [10, 40, 6];
const shape = [5, 8];
const tokens = (): lw.Tensor =>
  // 7 and 9 are looked up by nobody.
  lw.tensor(
    Int32Array.from({ length: 40 }, (_, i) => [0, 1, 2, 8, 4, 1, 3, 5, 6][(i * 5) % 9]!),
    shape,
    "int32",
  );
const filled = (seed: number, size: number[]): lw.Tensor =>
  lw.tensor(
    uniform(
      seed,
      size.reduce((a, b) => a * b, 1),
    ),
    size,
  );
/** The same rows in a way that is not recognised. */
const otherRows = (table: lw.Tensor, indices: lw.Tensor): lw.Tensor =>
  lw.gather(table.transpose(), indices, 1).transpose([1, 2, 0]);

const ways = {
  x·w: (x: lw.Tensor, w: lw.Tensor) => x.matMul(w),
  x·wᵀ: (x: lw.Tensor, w: lw.Tensor) => lw.matMul(x, w.transpose(), false, true),
  "two products": (x: lw.Tensor, w: lw.Tensor) => x.matMul(w).add(x.mul(2).matMul(w)),
};

onEachBackend("products with rows of a small table", () => {
  describe.each(Object.entries(ways))("%s", (_, apply) => {
    const all = (
      gather: (table: lw.Tensor, indices: lw.Tensor) => lw.Tensor,
      table = filled(1, [rows, columns]),
    ) => {
      const { value, grads } = lw.valueAndGrads((t: lw.Tensor, w: lw.Tensor) =>
        apply(gather(t, tokens()), w),
      )([table, filled(2, [columns, width])], filled(3, [...shape, width]));
      return [value, ...grads].map((y) => y.dataSync());
    };

    test("values have the same bits, gradients are close", () => {
      const [value, ...grads] = all(lw.gather);
      const [otherValue, ...others] = all(otherRows);
      expect(value).toEqual(otherValue);
      grads.forEach((gradient, i) => {
        expectClose(gradient, others[i]!, { rtol: 1e-5, atol: 2e-6 }, ["table", "w"][i]!);
      });
    });

    test("rows that nobody looks up have no gradient, whatever the weights are", () => {
      const spoilt = filled(2, [columns, width]).arraySync() as number[][];
      spoilt[3]![1] = Infinity;
      const gradient = lw.grad((t: lw.Tensor) =>
        apply(lw.gather(t, tokens()), lw.tensor(spoilt)).sum(),
      )(filled(1, [rows, columns]));
      const lines = gradient.arraySync() as number[][];
      for (const row of [7, 9]) expect(lines[row]).toEqual(new Array(columns).fill(0));
      expect(lines[0]![3]).toBe(Infinity);
    });

    test("what stands in rows that nobody looks up does not matter", () => {
      const [value, , gradient] = all(lw.gather);
      const spoilt = filled(1, [rows, columns]).arraySync() as number[][];
      spoilt[7]!.fill(NaN);
      spoilt[9]!.fill(Infinity);
      const [again, , same] = all(lw.gather, lw.tensor(spoilt));
      expect(again).toEqual(value);
      expect(same).toEqual(gradient);
    });
  });

  test("rows that are there keep their infinities and NaN", () => {
    const spoilt = filled(1, [rows, columns]).arraySync() as number[][];
    spoilt[4]!.fill(Infinity);
    const gradient = (gather: typeof otherRows) =>
      lw
        .grad((w: lw.Tensor) => gather(lw.tensor(spoilt), tokens()).matMul(w).sigmoid().sum())(
          filled(2, [columns, width]),
        )
        .dataSync();
    expect([...gradient(lw.gather)].map(Number.isNaN)).toEqual(
      [...gradient(otherRows)].map(Number.isNaN),
    );
  });

  test("an index beyond the table is an error that names it", () => {
    const indices = lw.tensor(new Int32Array(40).fill(rows), shape, "int32");
    expect(() =>
      lw
        .gather(filled(1, [rows, columns]), indices)
        .matMul(filled(2, [columns, width]))
        .dataSync(),
    ).toThrow(/gather.* 10/);
  });

  test("the embedding's output has a gradient of its own", () => {
    const embedded = lw.gather(filled(1, [rows, columns]), tokens());
    const w = filled(2, [columns, width]);
    const slope = (x: lw.Tensor) =>
      lw
        .grad((e: lw.Tensor) => e.matMul(w).square().sum())(x)
        .dataSync();
    const lazy = slope(embedded);
    embedded.dataSync();
    expect(lazy.some((value) => value !== 0)).toBe(true);
    expect(lazy).toEqual(slope(embedded));
  });
});
