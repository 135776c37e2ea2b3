/** Stacks of layers: building, adding, taking off, nesting. */
import { describe, expect, test } from "vitest";
import { ArgumentError, StateError } from "../../src/errors.js";
import { inputLayer } from "../../src/layers/input.js";
import { activation, dense, flatten } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { leaf, tensor } from "../../src/tensor/tensor.js";
import { gateInputs, xor } from "./helpers.js";

describe("a stack", () => {
  test("is built when its input shape is known, layer by layer", () => {
    const m = sequential();
    expect(m.built).toBe(false);
    m.add(dense({ units: 4, inputShape: [3] }));
    m.add(dense({ units: 2 }));
    expect(m.built).toBe(true);
    expect(m.countParams()).toBe(4 * 4 + 5 * 2);
    expect(m.layers.length).toBe(2);
    expect(m.outputs[0]!.shape).toEqual([null, 2]);
    m.pop();
    expect(m.outputs[0]!.shape).toEqual([null, 4]);
    m.add(activation({ activation: "relu" }));
    expect(m.outputs[0]!.shape).toEqual([null, 4]);
  });

  test("takes its input shape from an input layer, from a model, or from build()", () => {
    const withInput = sequential([inputLayer({ inputShape: [3] }), dense({ units: 1 })]);
    expect(withInput.countParams()).toBe(4);
    const inner = sequential([dense({ units: 5, inputShape: [2] })]);
    const outer = sequential([inner, dense({ units: 1 })]);
    expect(outer.countParams()).toBe(15 + 6);
    const later = sequential([dense({ units: 1 })]);
    later.build([null, 7]);
    expect(later.countParams()).toBe(8);
  });

  test("takes it from the data at last, whatever it is given by", async () => {
    for (const x of [gateInputs, tensor(gateInputs)]) {
      const m = sequential([dense({ units: 1, activation: "sigmoid" })]);
      m.compile({ loss: "binaryCrossentropy", metrics: ["accuracy"] });
      await m.fit(x, xor, { verbose: 0 });
      expect(m.countParams()).toBe(3);
    }
    const images = sequential([flatten(), dense({ units: 2 })]);
    const given = leaf(new Uint8Array(2 * 3 * 3), [2, 3, 3], "uint8");
    expect((await images.predict(given)).shape).toEqual([2, 2]);
    const flat = sequential([dense({ units: 1 })]);
    await expect(flat.predict(new Float32Array(4))).rejects.toThrow(/inputShape, or pass a tensor/);
  });

  test("keeps what was compiled when it grows", async () => {
    const m = sequential([dense({ units: 2, inputShape: [2] })]);
    m.compile({ loss: "binaryCrossentropy" });
    m.add(dense({ units: 1, activation: "sigmoid" }));
    const { history } = await m.fit(gateInputs, xor, { verbose: 0 });
    expect(Number.isFinite(history.loss![0]!)).toBe(true);
  });

  test("stays as it is while it trains", async () => {
    const m = sequential([dense({ units: 2, inputShape: [2] })]);
    m.compile({ optimizer: "sgd", loss: "mse" });
    const fit = m.fit([[1, 2]], [[1, 2]], { epochs: 3, verbose: 0 });
    expect(() => m.add(dense({ units: 3 }))).toThrow(
      /^add\(\) of model ".*": fit\(\) of this model is still running; call it when that has ended$/,
    );
    expect(() => m.pop()).toThrow(StateError);
    await fit;
    expect(m.layers.length).toBe(1);
    m.add(dense({ units: 3 }));
    expect((await m.predict([[1, 2]])).shape).toEqual([1, 3]);
  });

  test("complains about what is no stack", async () => {
    const m = sequential();
    expect(() => m.add(3 as never)).toThrow(/a layer, such as/);
    expect(() => sequential(dense({ units: 3 }) as never)).toThrow(
      "sequential: expected an array of layers",
    );
    expect(() => m.pop()).toThrow(StateError);
    const layer = dense({ units: 1, inputShape: [1] });
    m.add(layer);
    expect(() => m.add(layer)).toThrow(/is in it already/);
    expect(() => m.add(inputLayer({ inputShape: [1] }))).toThrow(/only come first/);
    expect(() => sequential({ layers: "dense" as never })).toThrow(ArgumentError);
    expect(() =>
      sequential([dense({ units: 1, name: "a" }), dense({ units: 1, name: "a" })]),
    ).toThrow(/"a"/);
    await expect(sequential().predict([[1]])).rejects.toThrow(StateError);
    // An input shape further up may repeat what is known, not contradict it.
    const stack = (own: number) =>
      sequential([
        dense({ units: 4, inputShape: [2] }),
        dense({ units: 1, inputShape: [own], name: "second" }),
      ]);
    expect(() => stack(3)).toThrow(
      /dense layer "second" has the input shape \[null, 3\] of its own, but is given \[null, 4\]/,
    );
    expect(stack(4).built).toBe(true);
    // A layer that does not fit leaves the model as it was.
    const small = sequential([dense({ units: 4, inputShape: [2] })]);
    expect(() =>
      small.add(dense({ units: 1, inputShape: [3], name: "bad/name" } as never)),
    ).toThrow();
    expect(small.layers.length).toBe(1);
  });
});

describe("a nested stack", () => {
  test("stays as it is once another model is built with it", () => {
    const inner = sequential([dense({ units: 3, inputShape: [2] })]);
    inner.add(dense({ units: 4 }));
    const outer = sequential([inner, dense({ units: 1 })]);
    for (const change of [() => inner.add(dense({ units: 5 })), () => inner.pop()]) {
      expect(change).toThrow(StateError);
      expect(change).toThrow(`of model "${inner.name}": it is a layer of another model`);
    }
    expect([inner.layers.length, outer.countParams()]).toEqual([2, 9 + 16 + 5]);
    outer.pop();
    outer.pop();
    inner.add(dense({ units: 5 }));
    expect(sequential([inner]).outputs[0]?.shape).toEqual([null, 5]);
  });

  test("trains with the model around it, and its weights are shared", async () => {
    const inner = sequential([dense({ units: 8, activation: "tanh", inputShape: [2] })]);
    const outer = sequential([inner, dense({ units: 1, activation: "sigmoid" })]);
    outer.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
    const before = inner.getWeights().map((t) => [...t.dataSync()]);
    await outer.fit(gateInputs, xor, { verbose: 0 });
    expect(inner.getWeights().map((t) => [...t.dataSync()])).not.toEqual(before);
    inner.trainable = false;
    outer.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
    const frozen = inner.getWeights().map((t) => [...t.dataSync()]);
    await outer.fit(gateInputs, xor, { verbose: 0 });
    expect(inner.getWeights().map((t) => [...t.dataSync()])).toEqual(frozen);
  });
});
