/** Making tensors, reading them, printing them; variables as places. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";

describe("tensor", () => {
  test("from numbers, nested arrays and typed arrays", () => {
    expect(lw.tensor(3).shape).toEqual([]);
    expect(lw.tensor([[1, 2, 3]]).shape).toEqual([1, 3]);
    expect(lw.tensor([[], []]).shape).toEqual([2, 0]);
    expect(lw.tensor([1, 2, 3, 4], [2, 2]).arraySync()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(lw.tensor([1.5]).dtype).toBe("float32");
    expect(lw.tensor([true, false]).dtype).toBe("bool");
    expect(lw.tensor(Int32Array.of(1)).dtype).toBe("int32");
    expect(lw.tensor(Uint8Array.of(1)).dtype).toBe("uint8");
    // @ts-expect-error numbers of other widths are converted; the types name what needs no copy
    expect(lw.tensor(Float64Array.of(0.1)).dtype).toBe("float32");
    // @ts-expect-error likewise
    expect(lw.tensor(Int16Array.of(-3), [1], "int32").arraySync()).toEqual([-3]);
    expect(lw.tensor(Uint8Array.of(1, 0), [2], "bool").arraySync()).toEqual([true, false]);
  });

  test("a typed array is used as it is", () => {
    const data = Float32Array.of(1, 2);
    expect(lw.tensor(data).dataSync()).toBe(data);
  });

  test("values come at once, later, nested, or alone", async () => {
    const x = lw.tensor([[1], [2]]).mul(2);
    expect([...(await x.data())]).toEqual([2, 4]);
    expect(await x.array()).toEqual([[2], [4]]);
    expect(lw.scalar(4).sqrt().item()).toBe(2);
    expect(lw.scalar(true).arraySync()).toBe(true);
    expect(lw.zeros([0, 3]).arraySync()).toEqual([]);
  });

  test("zeros, ones, fill, range, linspace, eye", () => {
    expect(lw.zeros([2], "int32").dtype).toBe("int32");
    expect(lw.onesLike(lw.tensor(Int32Array.of(4, 5))).arraySync()).toEqual([1, 1]);
    expect(lw.zerosLike([[1, 2]]).arraySync()).toEqual([[0, 0]]);
    expect(lw.fill([2], true).arraySync()).toEqual([true, true]);
    expect(lw.range(0, 5).arraySync()).toEqual([0, 1, 2, 3, 4]);
    expect(lw.range(5, 0, -2, "int32").arraySync()).toEqual([5, 3, 1]);
    expect(lw.range(3, 3).arraySync()).toEqual([]);
    expect(lw.linspace(0, 1, 5).arraySync()).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(lw.linspace(2, 9, 1).arraySync()).toEqual([2]);
    expect(lw.eye(2, 3).arraySync()).toEqual([
      [1, 0, 0],
      [0, 1, 0],
    ]);
  });

  test("printing shows shape, dtype and shortened values, and computes nothing", () => {
    const x = lw.tensor([
      [1, 2.5],
      [3, -4],
    ]);
    expect(x.toString()).toMatchInlineSnapshot(`
      "Tensor float32 [2, 2]
      [[1, 2.50000],
       [3, -4]]"
    `);
    expect(x.mul(2).toString()).toMatchInlineSnapshot(`"Tensor float32 [2, 2] (not computed yet)"`);
    expect(lw.tensor(new Float32Array(10).fill(1)).toString()).toMatchInlineSnapshot(`
      "Tensor float32 [10]
      [1, 1, 1, …, 1, 1, 1]"
    `);
    expect(lw.tensor([true]).toString()).toMatchInlineSnapshot(`
      "Tensor bool [1]
      [true]"
    `);
    expect(lw.variable([1, 2], { name: "w" }).toString()).toMatchInlineSnapshot(`
      "Variable w float32 [2]
      [1, 2]"
    `);
  });
});

describe("variable", () => {
  test("assign replaces the value and returns the variable", () => {
    const v = lw.variable([1, 2], { name: "v" });
    expect(v.assign([3, 4])).toBe(v);
    expect(v.arraySync()).toEqual([3, 4]);
    expect(v.assign(v.mul(2)).add(1).arraySync()).toEqual([7, 9]);
    expect(v.trainable).toBe(true);
    expect(lw.variable(0).name).toMatch(/^variable_\d+$/);
  });

  test("what was made of it before keeps the old value", () => {
    const v = lw.variable([1]);
    const lazy = v.mul(10);
    v.assign([5]);
    expect(lazy.item()).toBe(10);
    expect(v.mul(10).item()).toBe(50);
  });

  test("it copies what it is made of and given", () => {
    const data = Float32Array.of(1);
    const v = lw.variable(lw.tensor(data));
    data[0] = 9;
    expect(v.item()).toBe(1);
    const next = Float32Array.of(2);
    v.assign(lw.tensor(next));
    next[0] = 9;
    expect(v.item()).toBe(2);
  });
});
