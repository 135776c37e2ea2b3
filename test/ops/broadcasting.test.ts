/** Broadcasting as in NumPy: every pair of awkward shapes, values and gradients. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";
import { build } from "./references.js";

const shapes = [
  [],
  [1],
  [3],
  [0],
  [1, 1],
  [2, 1],
  [1, 3],
  [2, 3],
  [0, 3],
  [2, 0],
  [2, 1, 3],
  [4, 2, 1],
  [1, 1, 1, 3],
];

/** What NumPy says, or null where it refuses. */
function numpy(a: readonly number[], b: readonly number[]): number[] | null {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let i = 1; i <= rank; i++) {
    const [x, y] = [a[a.length - i] ?? 1, b[b.length - i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return null;
    result.unshift(x === 1 ? y : x);
  }
  return result;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function at(data: ArrayLike<number>, shape: readonly number[], index: readonly number[]): number {
  const offset = index.length - shape.length;
  let flat = 0;
  shape.forEach((dim, d) => {
    flat = flat * dim + (dim === 1 ? 0 : index[offset + d]!);
  });
  return data[flat]!;
}

onEachBackend("broadcasting", () => {
  const pairs = shapes.flatMap((a) => shapes.map((b): [number[], number[]] => [a, b]));

  test.each(pairs)("[%s] with [%s]", (a, b) => {
    const x = uniform(1, sizeOf(a));
    const y = uniform(2, sizeOf(b));
    const [tx, ty] = [lw.tensor(x, a), lw.tensor(y, b)];
    const shape = numpy(a, b);
    if (!shape) {
      expect(() => tx.sub(ty)).toThrow(lw.ShapeError);
      return;
    }
    const result = tx.sub(ty);
    expect(result.shape).toEqual(shape);
    const expected = build(shape, (i) => Math.fround(at(x, a, i) - at(y, b, i)));
    expectClose(result.dataSync(), expected.data, {}, "values");
    // Every element of a takes part size(result) / size(a) times; in b with the other sign.
    const [da, db] = lw.grads((p, q) => p.sub(q).sum())([tx, ty]);
    expect([da!.shape, db!.shape]).toEqual([a, b]);
    const times = (own: readonly number[]): number => sizeOf(shape) / Math.max(1, sizeOf(own));
    expect([...da!.dataSync()]).toEqual(new Array(sizeOf(a)).fill(times(a)));
    expect([...db!.dataSync()].map((v) => v + 0)).toEqual(
      new Array(sizeOf(b)).fill(times(b) === 0 ? 0 : -times(b)),
    );
  });

  test("what where chooses for all elements alike is scaled behind it", () => {
    const positive = lw.tensor([-1, 2, 3]).greater(0);
    expect(lw.where(positive, 1, 0).mul(0.5).dataSync()).toEqual(new Float32Array([0, 0.5, 0.5]));
    expect(
      lw
        .where(positive, lw.tensor([3]), 0)
        .mul(0.25)
        .dataSync(),
    ).toEqual(new Float32Array([0, 0.75, 0.75]));
  });

  test("three operands broadcast together in where", () => {
    const y = lw.where(lw.tensor([true, false]), lw.tensor([[1], [2], [3]]), 9);
    expect(y.arraySync()).toEqual([
      [1, 9],
      [2, 9],
      [3, 9],
    ]);
  });

  test("broadcastTo repeats and checks", () => {
    expect(lw.broadcastTo([[1], [2]], [2, 2, 3]).arraySync()).toEqual([
      [
        [1, 1, 1],
        [2, 2, 2],
      ],
      [
        [1, 1, 1],
        [2, 2, 2],
      ],
    ]);
    expect(lw.broadcastTo(5, [0, 2]).arraySync()).toEqual([]);
    expect(() => lw.broadcastTo([1, 2], [3])).toThrow(lw.ShapeError);
    expect(() => lw.broadcastTo([[1], [2]], [2])).toThrow(lw.ShapeError);
    expect(() => lw.broadcastTo([1], [-1])).toThrow(lw.ShapeError);
  });
});
