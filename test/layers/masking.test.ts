/** Layers that give a sequence its mask: lengths that fit, and values that stand for missing ones. */
import { beforeEach, expect, test } from "vitest";
import "../../src/ops/methods.js";
import { valueAndGrad } from "../../src/autodiff/gradient.js";
import * as layers from "../../src/layers/layers.js";
import { deserializeLayer, serializeLayer } from "../../src/layers/registry.js";
import { model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { sum } from "../../src/ops/reduce.js";
import { maskOf } from "../../src/tensor/mask.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { onEachBackend } from "../helpers/backends.js";
import { batch, features, padded, time } from "../helpers/maskedSequences.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(2));

onEachBackend("lengths", () => {
  const x = leaf(new Float32Array(2 * 3 * 2), [2, 3, 2], "float32");
  const int = (...values: number[]): Tensor => tensor(values, undefined, "int32");

  test("that no sequence can have are errors at once", () => {
    const layer = layers.applyMask({ name: "m" });
    expect(() => layer.apply([x, int(3, 4)])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: applyMask layer "m": expected lengths from 0 to 3, got 4 at position 1]`,
    );
    expect(() => layer.apply([x, int(-2, 7)])).toThrow("got -2 at position 0");
    const y = layer.apply([x, int(3, 0)]);
    expect(maskOf(y)!.arraySync()).toEqual([
      [true, true, true],
      [false, false, false],
    ]);
    expect(maskOf(layer.apply([x, tensor([[2], [1]], undefined, "int32")]))!.arraySync()).toEqual([
      [true, true, false],
      [true, false, false],
    ]);
  });

  test("are errors of the run where values are known then only", async () => {
    const y = layers.applyMask().apply([x, int(3, 2).mul(2)]);
    expect(() => maskOf(y)!.dataSync()).toThrow(/length 6 at position 0 lies outside \[0, 4\)/);
    const series = input({ shape: [null, 2] });
    const lengths = input({ shape: [], dtype: "int32" });
    const seen = layers.globalAveragePooling1d().apply(layers.applyMask().apply([series, lengths]));
    const made = model({ inputs: [series, lengths], outputs: seen });
    await expect(made.predict([x, int(3, 7)])).rejects.toThrow(
      /length 7 at position 1 lies outside \[0, 4\)/,
    );
    await expect(made.predict([x, int(-1, 3)])).rejects.toThrow(/length -1 at position 0/);
    expect((await made.predict([x, int(3, 0)])).shape).toEqual([2, 2]);
  });
});

onEachBackend("masking", () => {
  const missing = tensor([
    [
      [1, 2],
      [NaN, NaN],
      [NaN, 3],
      [0, 0],
    ],
  ]);

  test("leaves out steps of missing values, which are 0 from there on", () => {
    const layer = layers.masking({ maskValue: NaN });
    const y = layer.apply(missing);
    expect(y.arraySync()).toEqual([
      [
        [1, 2],
        [0, 0],
        [NaN, 3],
        [0, 0],
      ],
    ]);
    expect(maskOf(y)!.arraySync()).toEqual([[true, false, true, true]]);
    const { grad } = valueAndGrad((x) => sum(layer.apply(x).square()))(
      tensor([
        [
          [1, 2],
          [NaN, NaN],
        ],
      ]),
    );
    expect(grad.arraySync()).toEqual([
      [
        [2, 4],
        [0, 0],
      ],
    ]);
  });

  test("of missing values goes through configurations", () => {
    const serialized = serializeLayer(layers.masking({ maskValue: NaN }));
    const made = deserializeLayer(JSON.parse(JSON.stringify(serialized)));
    expect(maskOf(made.apply(missing) as Tensor)!.arraySync()).toEqual([[true, false, true, true]]);
    expect(serializeLayer(layers.masking({ maskValue: 2 })).config.maskValue).toBe(2);
    expect(serializeLayer(layers.masking()).config.maskValue).toBe(0);
    for (const maskValue of [Infinity, "nan", null]) {
      expect(() => layers.masking({ maskValue: maskValue as never, name: "m" })).toThrow(
        /masking layer "m": expected `maskValue` to be a finite number or NaN, got/,
      );
    }
  });

  test("a model learns from series with missing steps", async () => {
    const results = [NaN, 0].map(async (value) => {
      setRandomSeed(4);
      const m = sequential([
        layers.masking({ maskValue: value, inputShape: [time, features] }),
        layers.gru({ units: 3, returnSequences: true }),
        layers.dense({ units: 1 }),
      ]);
      m.compile({ optimizer: "adam", loss: "meanSquaredError" });
      const y = leaf(uniform(6, batch * time, -1, 1), [batch, time, 1], "float32");
      const history = await m.fit(
        padded(() => value),
        y,
        { epochs: 2, verbose: 0, seed: 1 },
      );
      return { logs: history.history, weights: m.getWeights().map((w) => [...w.dataSync()]) };
    });
    const [missingSteps, zeros] = await Promise.all(results);
    expect(missingSteps!.logs.loss!.every((v) => Number.isFinite(v))).toBe(true);
    expect(missingSteps).toEqual(zeros);
  });
});
