/** gather, scatterAdd, oneHot, argMax, topk, cumsum: by index and by value. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

const int = (values: number[], shape?: number[]): lw.Tensor =>
  lw.tensor(Int32Array.from(values), shape);

onEachBackend("indexing", () => {
  test("gather puts the indices' shape in the axis' place", () => {
    const x = lw.tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(x.gather(int([2, 0])).arraySync()).toEqual([
      [5, 6],
      [1, 2],
    ]);
    expect(x.gather([1]).arraySync()).toEqual([[3, 4]]);
    expect(x.gather(1).arraySync()).toEqual([3, 4]);
    expect(x.gather(int([0, 1, 1, 0], [2, 2]), 1).shape).toEqual([3, 2, 2]);
    expect(x.gather(int([], [0])).shape).toEqual([0, 2]);
    expect(x.gather(int([], [0])).dataSync().length).toBe(0);
    const bytes = lw.tensor(Uint8Array.of(7, 8, 9));
    expect(bytes.gather([2, 0]).arraySync()).toEqual([9, 7]);
  });

  test("gather and scatterAdd are each other's gradient, repeated indices adding up", () => {
    const index = int([2, 0, 2, 1]);
    const x = lw.tensor(uniform(1, 12), [3, 4]);
    expectGradient((t) => t.gather(index).square(), [x]);
    expectGradient((t) => t.gather(int([3, 3, 0]), -1).square(), [x]);
    const updates = lw.tensor(uniform(2, 8), [4, 2]);
    expectGradient((t) => lw.scatterAdd(t, index, 5).square(), [updates]);
    const counts = lw.scatterAdd(lw.ones([4]), index, 4).arraySync();
    expect(counts).toEqual([1, 1, 2, 0]);
    expect(
      lw
        .grad((t) => t.gather(index).sum())(x)
        .sum(1)
        .arraySync(),
    ).toEqual([4, 4, 8]);
  });

  test("an index out of range is an error when the value is computed", () => {
    const x = lw.tensor([1, 2, 3]);
    expect(() => x.gather([3]).dataSync()).toThrow(/gather.*3.*\[0, 3\)|gather/);
    expect(() => x.gather([-1]).dataSync()).toThrow(/gather/);
    const loss = lw.sparseSoftmaxCrossEntropy([5], [[0, 1]]);
    expect(() => loss.dataSync()).toThrow(/[Ll]abel|sparseSoftmaxCrossEntropy/);
  });

  test("after a failed run the next one works", async () => {
    const x = lw.tensor([1, 2, 3]);
    await expect(x.gather([3]).data()).rejects.toThrow(/gather/);
    expect(x.gather([2]).arraySync()).toEqual([3]);
  });

  test("oneHot: a new last dimension, nothing hot out of range", () => {
    expect(lw.oneHot([1, 0], 3).arraySync()).toEqual([
      [0, 1, 0],
      [1, 0, 0],
    ]);
    expect(
      lw
        .oneHot(int([2, -1, 3, 0], [2, 2]), 3)
        .sum(-1)
        .arraySync(),
    ).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(lw.oneHot([1], 2, 5, -5).arraySync()).toEqual([[-5, 5]]);
  });

  test("argMax and argMin: first of equals, NaN first of all", () => {
    expect(lw.argMax([3, 7, 7, 1]).item()).toBe(1);
    expect(lw.argMin([3, 1, 7, 1]).item()).toBe(1);
    expect(lw.argMax([3, NaN, 7]).item()).toBe(1);
    const x = lw.tensor([
      [1, 5],
      [4, 2],
    ]);
    expect(x.argMax(0).arraySync()).toEqual([1, 0]);
    expect(x.argMax(-1).arraySync()).toEqual([1, 0]);
    expect(x.argMax().dtype).toBe("int32");
    expect(int([3, 9, 2]).argMax().item()).toBe(1);
  });

  test("topk: largest first, ties by lower index, gradient to where they came from", () => {
    const { values, indices } = lw.topk([1, 3, 3, 2], 3);
    expect(values.arraySync()).toEqual([3, 3, 2]);
    expect(indices.arraySync()).toEqual([1, 2, 3]);
    expect(lw.topk([1, 2, 3], 3).values.arraySync()).toEqual([3, 2, 1]);
    const slope = lw.grad((x) => lw.topk(x, 2).values.mul([10, 1]).sum());
    expect(
      slope([
        [1, 3, 2],
        [5, 4, 0],
      ]).arraySync(),
    ).toEqual([
      [0, 10, 1],
      [10, 1, 0],
    ]);
  });

  test("cumsum, exclusive and reverse, along any axis", () => {
    expect(lw.cumsum([1, 2, 3]).arraySync()).toEqual([1, 3, 6]);
    expect(lw.cumsum([1, 2, 3], 0, true).arraySync()).toEqual([0, 1, 3]);
    expect(lw.cumsum([1, 2, 3], 0, false, true).arraySync()).toEqual([6, 5, 3]);
    expect(int([1, 2, 3]).cumsum().arraySync()).toEqual([1, 3, 6]);
    const x = lw.tensor(uniform(1, 12), [3, 4]);
    for (const [exclusive, reverse] of [
      [false, false],
      [true, false],
      [true, true],
    ] as const) {
      expectGradient((t) => t.cumsum(-1, exclusive, reverse).square(), [x]);
    }
  });

  test("softmax along any axis; rows sum to 1; extreme logits", () => {
    const x = lw.tensor(uniform(3, 24, -3, 3), [2, 3, 4]);
    for (const axis of [0, 1, 2, -1]) {
      for (const sum of lw.softmax(x, axis).sum(axis).dataSync()) expect(sum).toBeCloseTo(1, 6);
      expectGradient((t) => lw.softmax(t, axis).square(), [x]);
      expectGradient((t) => lw.logSoftmax(t, axis).square(), [x]);
    }
    expect(lw.softmax([1000, 0, -1000]).arraySync()).toEqual([1, 0, 0]);
    expect(lw.logSoftmax([1000, 0]).arraySync()).toEqual([0, -1000]);
  });

  test("cross-entropies agree: sparse, dense, and −Σ t·log softmax", () => {
    const z = lw.tensor(uniform(4, 12, -3, 3), [4, 3]);
    const labels = int([2, 0, 1, 2]);
    for (const smoothing of [0, 0.2]) {
      const sparse = lw.sparseSoftmaxCrossEntropy(labels, z, smoothing).dataSync();
      const dense = lw.softmaxCrossEntropy(lw.oneHot(labels, 3), z, smoothing).dataSync();
      const t = lw
        .oneHot(labels, 3)
        .mul(1 - smoothing)
        .add(smoothing / 3);
      const plain = t.mul(lw.logSoftmax(z)).sum(-1).neg().dataSync();
      for (let i = 0; i < 4; i++) {
        expect(sparse[i]).toBeCloseTo(plain[i]!, 5);
        expect(dense[i]).toBeCloseTo(plain[i]!, 5);
      }
    }
    expectGradient((t) => lw.sparseSoftmaxCrossEntropy(labels, t, 0.1), [z]);
    // Targets that are no probabilities, as label weights make them.
    const t = lw.tensor(uniform(5, 12, 0, 2), [4, 3]);
    expectGradient((a, b) => lw.softmaxCrossEntropy(a, b, 0.1), [t, z]);
  });
});
