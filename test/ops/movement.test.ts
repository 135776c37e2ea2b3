/** Ops that only move elements, against nested arrays written by hand or by plain loops. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";
import { build } from "./references.js";

const count = (...shape: number[]): lw.Tensor =>
  lw.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
    shape,
  );

onEachBackend("movement", () => {
  test("reshape keeps the order and infers one dimension", () => {
    expect(count(2, 6).reshape([3, -1]).arraySync()).toEqual(count(3, 4).arraySync());
    expect(count(6).reshape([1, 6, 1]).shape).toEqual([1, 6, 1]);
    expect(count(1).reshape([]).item()).toBe(0);
    expect(lw.zeros([0, 3]).reshape([-1]).shape).toEqual([0]);
    expect(lw.zeros([2, 3]).flatten().shape).toEqual([6]);
    expect(lw.scalar(3).flatten().arraySync()).toEqual([3]);
  });

  test("squeeze and expandDims are inverse", () => {
    const x = count(1, 3, 1);
    expect(x.squeeze().shape).toEqual([3]);
    expect(x.squeeze(-1).shape).toEqual([1, 3]);
    expect(x.squeeze([0, 2]).expandDims(0).expandDims(-1).shape).toEqual([1, 3, 1]);
    expect(() => x.squeeze(1)).toThrow(lw.ShapeError);
  });

  const perms = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  test.each(perms.map((p) => [p]))("transpose by %s", (perm) => {
    const x = count(2, 3, 4);
    const at = (i: number[]): number => i[0]! * 12 + i[1]! * 4 + i[2]!;
    const expected = build(
      perm.map((p) => x.shape[p]!),
      (index) => at([0, 1, 2].map((d) => index[perm.indexOf(d)]!)),
    );
    expect([...x.transpose(perm).dataSync()]).toEqual([...Array.from(expected.data)]);
    expectGradient((t) => t.transpose(perm).square(), [lw.tensor(uniform(2, 24), [2, 3, 4])]);
  });

  test("transpose with sizes 1 and 0", () => {
    expect(count(1, 3).transpose().arraySync()).toEqual([[0], [1], [2]]);
    expect(count(2, 1, 3).transpose([1, 0, 2]).arraySync()).toEqual([
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ]);
    expect(lw.zeros([0, 3]).transpose().shape).toEqual([3, 0]);
    expect(lw.zeros([0, 3]).transpose().dataSync().length).toBe(0);
  });

  test("slice and stridedSlice follow Python's slicing", () => {
    const x = count(5, 4);
    const rows = x.arraySync() as number[][];
    expect(x.slice([1, 2], [2, -1]).arraySync()).toEqual(rows.slice(1, 3).map((r) => r.slice(2)));
    expect(x.slice(3).arraySync()).toEqual(rows.slice(3));
    expect(x.slice([0, 0], [0, 2]).arraySync()).toEqual([]);
    const picked = (begin: number | null, end: number | null, step: number): number[] => {
      const list = [...lw.stridedSlice(count(7), [begin], [end], [step]).dataSync()];
      return list;
    };
    expect(picked(1, 6, 2)).toEqual([1, 3, 5]);
    expect(picked(null, null, -1)).toEqual([6, 5, 4, 3, 2, 1, 0]);
    expect(picked(-2, null, 1)).toEqual([5, 6]);
    expect(picked(5, 1, -2)).toEqual([5, 3]);
    expect(picked(-100, 100, 3)).toEqual([0, 3, 6]);
    expect(picked(4, 2, 1)).toEqual([]);
    expect(picked(0, null, -1)).toEqual([0]);
    expectGradient((t) => t.stridedSlice([4], [0], [-2]).square(), [lw.tensor(uniform(1, 6))]);
  });

  test("reverse turns the named axes, or all", () => {
    expect(count(2, 3).reverse().arraySync()).toEqual([
      [5, 4, 3],
      [2, 1, 0],
    ]);
    expect(count(2, 3).reverse(1).arraySync()).toEqual([
      [2, 1, 0],
      [5, 4, 3],
    ]);
    expect(lw.zeros([0]).reverse().arraySync()).toEqual([]);
  });

  test("pad surrounds with any value, infinities and −0 included", () => {
    expect(
      lw
        .pad(
          [[1]],
          [
            [1, 0],
            [0, 2],
          ],
          7,
        )
        .arraySync(),
    ).toEqual([
      [7, 7, 7],
      [1, 7, 7],
    ]);
    // Values that JSON would write alike must not be merged.
    const x = lw.tensor([1]);
    const all = lw.concat([Infinity, -Infinity, NaN, 0, -0].map((v) => x.pad([[1, 0]], v)));
    const got = [...all.dataSync()];
    expect(got[0]).toBe(Infinity);
    expect(got[2]).toBe(-Infinity);
    expect(got[4]).toBeNaN();
    expect(Object.is(got[6], 0)).toBe(true);
    expect(Object.is(got[8], -0)).toBe(true);
    expectGradient(
      (t) =>
        t
          .pad(
            [
              [1, 2],
              [0, 1],
            ],
            3,
          )
          .square(),
      [lw.tensor(uniform(1, 6), [2, 3])],
    );
  });

  test("concat, stack, split and unstack", () => {
    const x = count(2, 3);
    expect(lw.concat([x, x.add(10)], 1).arraySync()).toEqual([
      [0, 1, 2, 10, 11, 12],
      [3, 4, 5, 13, 14, 15],
    ]);
    expect(lw.concat([lw.zeros([0, 3]), x]).arraySync()).toEqual(x.arraySync());
    expect(lw.stack([x, x], -1).shape).toEqual([2, 3, 2]);
    expect(lw.concat(x.split(3, 1), 1).arraySync()).toEqual(x.arraySync());
    expect(x.split([1, 0, 2], 1).map((p) => p.shape)).toEqual([
      [2, 1],
      [2, 0],
      [2, 2],
    ]);
    expect(x.unstack(1).map((p) => p.arraySync())).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    const a = lw.tensor(uniform(1, 6), [2, 3]);
    const b = lw.tensor(uniform(2, 2), [2, 1]);
    expectGradient((p, q) => lw.concat([p, q, p], 1).square(), [a, b]);
    expectGradient((p) => lw.stack(p.unstack(1).map((c, i) => c.mul(i + 1))), [a]);
  });

  test("tile and repeat, along one axis, several, and all of eight", () => {
    expect(lw.tile([[1, 2]], [2, 2]).arraySync()).toEqual([
      [1, 2, 1, 2],
      [1, 2, 1, 2],
    ]);
    expect(
      lw
        .repeat(
          [
            [1, 2],
            [3, 4],
          ],
          2,
          1,
        )
        .arraySync(),
    ).toEqual([
      [1, 1, 2, 2],
      [3, 3, 4, 4],
    ]);
    expect(lw.tile([1], [0]).arraySync()).toEqual([]);
    for (const [shape, reps] of [
      [
        [2, 3, 2, 1, 3],
        [2, 2, 3, 2, 2],
      ],
      [
        [2, 1, 2, 1, 2, 1, 2, 1],
        [1, 2, 2, 1, 2, 2, 1, 3],
      ],
      [
        [3, 2],
        [1, 4],
      ],
      [
        [3, 2],
        [4, 1],
      ],
      [
        [2, 3, 2],
        [1, 3, 1],
      ],
    ] as const) {
      const x = count(...shape);
      const expected = build(
        shape.map((dim, i) => dim * reps[i]!),
        (index) => index.reduce((flat, v, d) => flat * shape[d]! + (v % shape[d]!), 0),
      );
      expect([...x.tile(reps).dataSync()]).toEqual([...Array.from(expected.data)]);
    }
    expect(count(2, 1, 1, 1, 1, 1, 1, 2).repeat(2, 7).shape[7]).toBe(4);
    expectGradient((t) => t.tile([2, 3]).square(), [lw.tensor(uniform(1, 6), [2, 3])]);
    expectGradient((t) => t.repeat(3, 1).square(), [lw.tensor(uniform(1, 6), [2, 3])]);
  });

  test("other dtypes move too", () => {
    const x = lw.tensor([
      [true, false],
      [false, false],
    ]);
    expect(x.transpose().reverse().arraySync()).toEqual([
      [false, false],
      [false, true],
    ]);
    const bytes = lw.tensor(Uint8Array.of(1, 2, 3), [3]);
    expect(bytes.pad([[1, 1]], 255).arraySync()).toEqual([255, 1, 2, 3, 255]);
    expect(lw.concat([bytes, bytes]).dtype).toBe("uint8");
  });
});
