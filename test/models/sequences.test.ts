/** Models of sequences: masks and padding, states that are carried on, files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import "../../src/ops/methods.js";
import { bpttBatches } from "../../src/data/sequences.js";
import * as layers from "../../src/layers/layers.js";
import { loadModel } from "../../src/models/loading.js";
import { type Model, model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { withMask } from "../../src/ops/identity.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { maskOf } from "../../src/tensor/mask.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(3));

const [batch, time, features] = [6, 7, 3];
const lengths = [7, 1, 4, 0, 3, 6];

/** Sequences with `padding` beyond their lengths. */
function padded(padding: (i: number) => number): Tensor {
  const values = uniform(1, batch * time * features, -1, 1);
  values.forEach((_, i) => {
    const t = Math.floor(i / features) % time;
    if (t >= lengths[Math.floor(i / features / time)]!) values[i] = padding(i);
  });
  return leaf(values, [batch, time, features], "float32");
}

/** A model of the kinds of layers that see steps, from values and lengths (or a mask). */
const stacks: Record<string, (x: ReturnType<typeof input>) => ReturnType<typeof input>> = {
  "two lstm": (x) => {
    const below = layers.lstm({ units: 4, returnSequences: true, recurrentDropout: 0.2 }).apply(x);
    return layers.lstm({ units: 3, returnSequences: true }).apply(below);
  },
  "bidirectional gru": (x) =>
    layers.bidirectional({ layer: layers.gru({ units: 4, returnSequences: true }) }).apply(x),
  "a cell, step by step": (x) =>
    layers.rnn({ cell: layers.layerNormLSTMCell({ units: 4 }), returnSequences: true }).apply(x),
  attention: (x) => {
    const seen = layers.multiHeadAttention({ numHeads: 2, keyDim: 3 }).apply(x);
    return layers.layerNormalization().apply(layers.add().apply([x, seen]));
  },
  "batch norm and dropout": (x) =>
    layers.dropout({ rate: 0.3 }).apply(layers.batchNormalization().apply(x)),
};

const wordOf = (x: ReturnType<typeof input>, pooled: boolean): ReturnType<typeof input> =>
  pooled
    ? layers.dense({ units: 1 }).apply(layers.globalAveragePooling1d().apply(x))
    : layers.timeDistributed({ layer: layers.dense({ units: 1 }) }).apply(x);

onEachBackend("what stands in the padding changes nothing", () => {
  for (const [name, stack] of Object.entries(stacks)) {
    for (const way of ["lengths", "mask"] as const) {
      for (const pooled of [false, true]) {
        test(`${name}, by ${way}${pooled ? ", pooled" : ""}`, async () => {
          const make = (): Model => {
            setRandomSeed(3);
            const x = input({ shape: [time, features] });
            const steps =
              way === "lengths"
                ? input({ shape: [], dtype: "int32" })
                : input({ shape: [time], dtype: "bool" });
            const masked = layers.applyMask().apply([x, steps]);
            const made = model({ inputs: [x, steps], outputs: wordOf(stack(masked), pooled) });
            made.compile({
              optimizer: "adam",
              loss: "meanSquaredError",
              metrics: ["meanAbsoluteError"],
            });
            return made;
          };
          const mask = lengths.flatMap((n) => Array.from({ length: time }, (_, t) => t < n));
          const steps =
            way === "lengths" ? tensor(lengths, undefined, "int32") : tensor(mask, [batch, time]);
          const y = leaf(
            uniform(2, batch * (pooled ? 1 : time), -1, 1),
            pooled ? [batch, 1] : [batch, time, 1],
            "float32",
          );
          const results: unknown[] = [];
          for (const x of [padded(() => 0), padded((i) => (i % 5) * 1e3 - 700)]) {
            const made = make();
            const predicted = (await made.predict([x, steps])).dataSync();
            // Outputs in the padding of attention and dense layers depend on what stands there.
            const valid = pooled ? [...predicted] : [...predicted].filter((_, i) => mask[i]);
            const logs = await made.fit([x, steps] as never, y, {
              epochs: 1,
              batchSize: batch,
              seed: 4,
              verbose: 0,
            });
            const weights = made.getWeights().map((w) => [...w.dataSync()]);
            results.push({ valid, logs: logs.history, weights });
          }
          expect(results[1]).toEqual(results[0]);
        });
      }
    }
  }
});

test("an embedding needs no input shape as the first layer, and takes any as another", async () => {
  const first = sequential([layers.embedding({ inputDim: 4, outputDim: 2 })]);
  expect(first.inputs[0]!.shape).toEqual([null, null]);
  expect(first.inputs[0]!.dtype).toBe("int32");
  const later = sequential([
    layers.inputLayer({ inputShape: [2, 3], dtype: "int32" }),
    layers.embedding({ inputDim: 4, outputDim: 2 }),
  ]);
  expect(later.outputs[0]!.shape).toEqual([null, 2, 3, 2]);
});

describe("masks", () => {
  test("of an embedding reach the loss and the metrics", async () => {
    const ids = tensor(
      [
        [1, 2, 0],
        [3, 0, 0],
      ],
      undefined,
      "int32",
    );
    const y = tensor([
      [[1], [1], [99]],
      [[1], [99], [99]],
    ]);
    const m = sequential([
      layers.embedding({ inputDim: 4, outputDim: 2, maskZero: true, inputLength: 3 }),
      layers.dense({ units: 1, kernelInitializer: "zeros" }),
    ]);
    m.compile({ optimizer: "sgd", loss: "meanSquaredError", metrics: ["meanAbsoluteError"] });
    // Predictions are 0: three steps with error 1 count, three with error 99 do not.
    const logs = await m.evaluate(ids, y);
    expect(logs).toEqual({ loss: 1, meanAbsoluteError: 1 });
    // A weight per sample counts too: (1 + 1 + 3) / 3 steps.
    const weighted = await m.evaluate(ids, y, { sampleWeight: [1, 3] });
    expectClose([weighted.loss!], [5 / 3], { ulp: 2 });
  });

  test("of the masking layer are where all features have the value", () => {
    const layer = layers.masking({ maskValue: 2 });
    const y = layer.apply(
      tensor([
        [
          [2, 2],
          [2, 1],
          [0, 0],
        ],
      ]),
    );
    expect(y.arraySync()).toEqual([
      [
        [0, 0],
        [2, 1],
        [0, 0],
      ],
    ]);
    expect(maskOf(y)!.arraySync()).toEqual([[false, true, true]]);
  });

  test("go on, are joined and end where Keras' do", () => {
    const x = leaf(uniform(1, 12, -1, 1), [2, 3, 2], "float32");
    const one = withMask(x, [
      [true, true, false],
      [true, false, false],
    ]);
    const other = withMask(x, [
      [true, false, true],
      [true, false, false],
    ]);
    const maskAfter = (y: Tensor): unknown => maskOf(y)?.arraySync() ?? null;
    expect(maskAfter(layers.dense({ units: 2 }).apply(one))).toEqual(maskOf(one)!.arraySync());
    const both = [
      [true, false, false],
      [true, false, false],
    ];
    expect(maskAfter(layers.add().apply([one, other]))).toEqual(both);
    expect(maskAfter(layers.add().apply([one, x]))).toEqual(maskOf(one)!.arraySync());
    expect(maskAfter(layers.concatenate().apply([one, other]))).toEqual(both);
    expect(maskAfter(layers.concatenate({ axis: 1 }).apply([one, x]))).toEqual([
      [true, true, false, true, true, true],
      [true, false, false, true, true, true],
    ]);
    expect(maskAfter(layers.lstm({ units: 2 }).apply(one) as Tensor)).toBeNull();
    const backwards = layers.lstm({ units: 2, returnSequences: true, goBackwards: true });
    expect(maskAfter(backwards.apply(one) as Tensor)).toEqual([
      [false, true, true],
      [false, false, true],
    ]);
    expect(maskAfter(layers.globalMaxPooling1d().apply(one))).toBeNull();
  });

  test("are dropped with a warning by layers that don't know them", () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const x = withMask(leaf(new Float32Array(12), [2, 3, 2], "float32"), [
      [true, true, false],
      [true, false, false],
    ]);
    const layer = layers.conv1d({ filters: 2, kernelSize: 2, name: "conv" });
    expect(maskOf(layer.apply(x))).toBeNull();
    layer.apply(x);
    expect(warned.mock.calls.map(([text]) => text)).toEqual([
      'conv1d layer "conv": its input has a mask, which it can\'t take into account; the layers after it see all steps',
    ]);
    warned.mockRestore();
  });

  test("pooling over time sees what they leave", () => {
    const x = tensor([
      [[1], [5], [9]],
      [[-4], [7], [8]],
      [[1], [1], [1]],
    ]);
    const masked = withMask(x, [
      [true, true, false],
      [true, false, false],
      [false, false, false],
    ]);
    expect(layers.globalAveragePooling1d().apply(masked).arraySync()).toEqual([[3], [-4], [0]]);
    expect(layers.globalMaxPooling1d().apply(masked).arraySync()).toEqual([[5], [-4], [0]]);
  });

  test("that don't fit are errors", () => {
    const x = leaf(new Float32Array(12), [2, 3, 2], "float32");
    expect(() => withMask(x, [[true, true]])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: withMask: mask: expected shape [2, 3] for values of shape [2, 3, 2], got [1, 2]]`,
    );
    expect(() =>
      withMask(x, [
        [1, 1, 1],
        [1, 1, 1],
      ]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: withMask: mask: expected bool, got float32; cast it: m.cast("bool")]`,
    );
    expect(() =>
      layers.lstm({ units: 2, name: "l" }).apply(x, { mask: [true, true] }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: lstm layer "l": expected a mask of shape [batch, time], got [2]]`,
    );
    expect(() =>
      layers.applyMask({ name: "m" }).apply([x, tensor([1, 2, 3], undefined, "int32")]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: applyMask layer "m": expected lengths of shape [2] or a bool mask, got int32 [3]]`,
    );
    const symbol = input({ shape: [3, 2] });
    expect(() =>
      layers.lstm({ units: 2, name: "l" }).apply(symbol as never, { mask: [true] } as never),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: lstm layer "l": \`mask\` is for values; in a model, layers.applyMask().apply([x, mask]) gives x a mask]`,
    );
  });
});

onEachBackend("states", () => {
  const x = leaf(uniform(5, 2 * 6 * 3, -1, 1), [2, 6, 3], "float32");
  const part = (from: number): Tensor => x.slice([0, from, 0], [2, 3, 3]);

  test("of a stateful layer go on from batch to batch, until they are reset", async () => {
    const layer = layers.lstm({ units: 4, stateful: true, returnSequences: true });
    const m = sequential({ layers: [] });
    m.add(layers.inputLayer({ batchInputShape: [2, null, 3] }));
    m.add(layer);
    const whole = (await m.predict(x)).arraySync() as number[][][];
    m.resetStates();
    const first = (await m.predict(part(0))).arraySync() as number[][][];
    const second = (await m.predict(part(3))).arraySync() as number[][][];
    whole.forEach((rows, i) => {
      expectClose([...first[i]!, ...second[i]!].flat(), rows.flat(), { atol: 1e-6 });
    });
    m.resetStates();
    expect((await m.predict(part(0))).arraySync()).toEqual(first);
    const kept = layer.keptStates(2)!;
    layer.resetStates(kept);
    expect(layer.keptStates(2)!.map((t) => t.arraySync())).toEqual(kept.map((t) => t.arraySync()));
    // What does not fit changes nothing.
    const zeros = (rows: number): Tensor => leaf(new Float32Array(4 * rows), [rows, 4], "float32");
    expect(() => layer.resetStates([zeros(2), zeros(3)])).toThrow(
      "expected initial states of 2 sequences, got 3",
    );
    const whole32 = leaf(new Int32Array(8), [2, 4], "int32");
    expect(() => layer.resetStates([zeros(2), whole32])).toThrow("float32");
    expect(layer.keptStates(2)!.map((t) => t.arraySync())).toEqual(kept.map((t) => t.arraySync()));
    // Another batch size begins with zeros.
    expect(layer.keptStates(1)).toBeNull();
    expect(m.weights.length).toBe(3);
  });

  test("a stream is learnt by truncated back-propagation through time", async () => {
    // The next symbol is the one before last: without a state that is carried over it can't be known.
    const text = Int32Array.from({ length: 402 }, (_, i) => [0, 1, 1, 0, 2][i % 5]!);
    const build = (stateful: boolean): Model =>
      sequential([
        layers.embedding({ inputDim: 3, outputDim: 4, batchInputShape: [4, null] }),
        layers.gru({ units: 12, returnSequences: true, stateful }),
        layers.dense({ units: 3, activation: "softmax" }),
      ]) as never;
    const losses: number[] = [];
    for (const stateful of [true, false]) {
      setRandomSeed(1);
      const m = build(stateful);
      m.compile({
        optimizer: optimizers.adam({ learningRate: 0.02 }),
        loss: "sparseCategoricalCrossentropy",
      });
      const batches = bpttBatches(text, { batchSize: 4, steps: 2 });
      const history = await m.fit(batches as never, {
        epochs: 6,
        verbose: 0,
        callbacks: { onEpochBegin: () => m.resetStates() },
      });
      losses.push((history.history.loss as number[]).at(-1)!);
    }
    expect(losses[0]).toBeLessThan(0.1);
    expect(losses[1]).toBeGreaterThan(2 * losses[0]!);
  });

  test("of an encoder start a decoder", async () => {
    const source = input({ shape: [6, 3] });
    const target = input({ shape: [null, 3] });
    const [, h, c] = layers
      .lstm({ units: 4, returnState: true })
      .apply(source) as never as ReturnType<typeof input>[];
    const y = layers.lstm({ units: 4, returnSequences: true }).apply([target, h!, c!]);
    const m = model({ inputs: [source, target], outputs: y as never });
    expect((await m.predict([x, part(0)])).shape).toEqual([2, 3, 4]);
  });
});

describe("files", () => {
  test("hold models of sequences, nested layers included", async () => {
    const directory = mkdtempSync(join(tmpdir(), "layerwise-"));
    const path = join(directory, "model.safetensors");
    try {
      const ids = input({ shape: [5], dtype: "int32" });
      const words = layers.embedding({ inputDim: 9, outputDim: 6, maskZero: true }).apply(ids);
      const positions = layers.positionEmbedding({ sequenceLength: 8 }).apply(words);
      const sum = layers.add().apply([words, positions]);
      const seen = layers.multiHeadAttention({ numHeads: 2, keyDim: 4, causal: true }).apply(sum);
      const both = layers
        .bidirectional({ layer: layers.gru({ units: 4, returnSequences: true }), mergeMode: "sum" })
        .apply(seen);
      const cells = [layers.lstmCell({ units: 3 }), layers.layerNormLSTMCell({ units: 3 })];
      const top = layers.rnn({ cell: cells, returnSequences: true }).apply(both);
      const y = layers.timeDistributed({ layer: layers.dense({ units: 2 }) }).apply(top);
      const made = model({ inputs: ids, outputs: y });
      made.compile({ optimizer: "adam", loss: "meanSquaredError" });
      const x = tensor(
        [
          [1, 2, 3, 0, 0],
          [4, 8, 1, 1, 0],
        ],
        undefined,
        "int32",
      );
      await made.fit(x, leaf(uniform(1, 20, -1, 1), [2, 5, 2], "float32"), { verbose: 0 });
      const before = (await made.predict(x)).dataSync();
      await made.save(path);
      const loaded = await loadModel(path);
      expect((await (loaded as Model).predict(x)).dataSync()).toEqual(before);
      expect(JSON.stringify(loaded)).toBe(JSON.stringify(made));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("errors", () => {
  const x = leaf(new Float32Array(2 * 4 * 3), [2, 4, 3], "float32");
  test.each<[string, () => unknown]>([
    ["wrong rank", () => layers.lstm({ units: 2, name: "l" }).apply(tensor([[1, 2]]))],
    [
      "too few states",
      () =>
        layers
          .lstm({ units: 2, name: "l" })
          .apply([x, leaf(new Float32Array(4), [2, 2], "float32")]),
    ],
    [
      "a state of another size",
      () =>
        layers
          .gru({ units: 2, name: "g" })
          .apply([x, leaf(new Float32Array(6), [2, 3], "float32")]),
    ],
    [
      "states of another batch",
      () =>
        layers
          .gru({ units: 2, name: "g" })
          .apply([x, leaf(new Float32Array(6), [3, 2], "float32")]),
    ],
    [
      "no steps",
      () =>
        layers.gru({ units: 2, name: "g" }).apply(leaf(new Float32Array(0), [2, 0, 3], "float32")),
    ],
    ["states that are not kept", () => layers.gru({ units: 2, name: "g" }).resetStates()],
    ["no heads", () => layers.multiHeadAttention({ numHeads: 0, keyDim: 2, name: "a" })],
    [
      "rotary and odd",
      () => layers.multiHeadAttention({ numHeads: 1, keyDim: 3, rotary: true, name: "a" }),
    ],
    [
      "a mask where the key belongs",
      () =>
        layers
          .multiHeadAttention({ numHeads: 1, keyDim: 2, name: "a" })
          .apply([x, x, leaf(new Uint8Array(32), [2, 4, 4], "bool")]),
    ],
    [
      "a mask of the wrong shape",
      () =>
        layers
          .multiHeadAttention({ numHeads: 1, keyDim: 2, name: "a" })
          .apply([x, x, x, leaf(new Uint8Array(24), [2, 4, 3], "bool")]),
    ],
    [
      "an index out of range",
      () =>
        layers
          .embedding({ inputDim: 3, outputDim: 2, name: "e" })
          .apply(tensor([[0, 3]], undefined, "int32"))
          .dataSync(),
    ],
    [
      "more steps than positions",
      () => layers.positionEmbedding({ sequenceLength: 3, name: "p" }).apply(x),
    ],
    ["no cell", () => layers.rnn({ cell: layers.dense({ units: 2, name: "d" }), name: "r" })],
    [
      "nothing recurrent",
      () =>
        layers.bidirectional({ layer: layers.dense({ units: 2, name: "d" }) as never, name: "b" }),
    ],
    [
      "an unknown merge mode",
      () =>
        layers.bidirectional({
          layer: layers.gru({ units: 2 }),
          mergeMode: "add" as never,
          name: "b",
        }),
    ],
    [
      "two forward layers",
      () =>
        layers.bidirectional({
          layer: layers.gru({ units: 2 }),
          backwardLayer: layers.gru({ units: 2 }),
          name: "b",
        }),
    ],
    [
      "sums of different sizes",
      () =>
        layers
          .bidirectional({
            layer: layers.gru({ units: 2 }),
            backwardLayer: layers.gru({ units: 3, goBackwards: true }),
            mergeMode: "sum",
            name: "b",
          })
          .apply(x),
    ],
  ])("%s", (_what, act) => {
    expect(act).toThrowErrorMatchingSnapshot();
  });
});
