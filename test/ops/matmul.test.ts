/** Matrix products: batches, broadcasting, transposes and vectors, against plain loops. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";
import { references } from "./references.js";

const matrix = (seed: number, shape: readonly number[]): lw.Tensor =>
  lw.tensor(
    uniform(
      seed,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );

const reference = (a: lw.Tensor, b: lw.Tensor, transposeA: boolean, transposeB: boolean) =>
  references.matMul!(
    [a, b].map((x) => ({ shape: x.shape, data: x.dataSync() })),
    { transposeA, transposeB },
  )[0]!;

/** [m, k] with the leading dimensions given, stored transposed if asked. */
const operand = (seed: number, lead: readonly number[], rows: number, cols: number, t: boolean) =>
  matrix(seed, t ? [...lead, cols, rows] : [...lead, rows, cols]);

const leads: [number[], number[]][] = [
  [[], []],
  [[1], []],
  [[3], []],
  [[], [3]],
  [[3], [3]],
  [[3], [1]],
  [[1], [3]],
  [[2, 3], [3]],
  [[2, 1], [3]],
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], []],
  [[0], []],
  [[0], [1]],
  [[1], [0]],
];

onEachBackend("matMul", () => {
  test.each(leads)("batch [%s] with [%s], every transpose", (leadA, leadB) => {
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        const a = operand(1, leadA, 4, 5, transposeA);
        const b = operand(2, leadB, 5, 3, transposeB);
        const got = lw.matMul(a, b, transposeA, transposeB);
        const expected = reference(a, b, transposeA, transposeB);
        expect(got.shape).toEqual(expected.shape);
        expectClose(got.dataSync(), expected.data, { rtol: 1e-6, atol: 1e-6 });
        if (got.size === 0) continue;
        expectGradient((x, y) => lw.matMul(x, y, transposeA, transposeB), [a, b], {
          directions: 2,
        });
      }
    }
  });

  test("gradients have gradients, in both operands", () => {
    const [a, b] = [matrix(1, [2, 3, 4]), matrix(2, [4, 2])];
    const f = (x: lw.Tensor, y: lw.Tensor): lw.Tensor => lw.matMul(x, y).square().sum();
    expectGradient((x, y) => lw.grads(f)([x, y])[0]!, [a, b]);
    expectGradient((x, y) => lw.grads(f)([x, y])[1]!, [a, b]);
  });

  test("empty dimensions: no rows, no columns, nothing to sum over", () => {
    expect(lw.matMul(lw.zeros([0, 3]), lw.ones([3, 2])).shape).toEqual([0, 2]);
    expect(lw.matMul(lw.ones([2, 3]), lw.ones([3, 0])).arraySync()).toEqual([[], []]);
    expect(
      lw
        .matMul(lw.zeros([2, 0]), lw.zeros([0, 2]))
        .add(1)
        .arraySync(),
    ).toEqual([
      [1, 1],
      [1, 1],
    ]);
  });

  test("explicit transposes give the same numbers as flags", () => {
    const [a, b] = [matrix(3, [5, 4]), matrix(4, [3, 5])];
    const flags = lw.matMul(a, b, true, true).dataSync();
    expect([...lw.matMul(a.transpose(), b.transpose()).dataSync()]).toEqual([...flags]);
    const batch = matrix(5, [2, 5, 4]);
    expect([...lw.matMul(batch.transpose([0, 2, 1]), b.transpose()).dataSync()]).toEqual([
      ...lw.matMul(batch, b, true, true).dataSync(),
    ]);
    // Axes that are not the last two are no flag.
    const moved = lw.matMul(batch.transpose([1, 0, 2]), lw.ones([4, 1]));
    expect(moved.shape).toEqual([5, 2, 1]);
    expectClose(moved.dataSync(), batch.transpose([1, 0, 2]).sum(-1).dataSync(), { atol: 1e-5 });
  });

  test("dot takes vectors and matrices, outerProduct two vectors", () => {
    expect(lw.dot([1, 2, 3], [4, 5, 6]).item()).toBe(32);
    expect(
      lw
        .dot(
          [1, 2],
          [
            [1, 2],
            [3, 4],
          ],
        )
        .arraySync(),
    ).toEqual([7, 10]);
    expect(
      lw
        .dot(
          [
            [1, 2],
            [3, 4],
          ],
          [1, 1],
        )
        .arraySync(),
    ).toEqual([3, 7]);
    expect(lw.dot([[1, 2]], [[3], [4]]).arraySync()).toEqual([[11]]);
    expect(lw.outerProduct([1, 2], [3, 4, 5]).arraySync()).toEqual([
      [3, 4, 5],
      [6, 8, 10],
    ]);
    expectGradient(lw.dot, [matrix(1, [4]), matrix(2, [4])]);
    expectGradient(lw.dot, [matrix(1, [4]), matrix(2, [4, 3])]);
  });
});
