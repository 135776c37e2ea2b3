/** What layers make of masks: statistics over what counts, steps as samples, models within models. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import "../../src/ops/methods.js";
import { valueAndGrad, variableGrads } from "../../src/autodiff/gradient.js";
import { type CallContext, Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { mul, where } from "../../src/ops/elementwise.js";
import { withMask } from "../../src/ops/identity.js";
import { concat, reshape } from "../../src/ops/movement.js";
import { sum } from "../../src/ops/reduce.js";
import { maskOf } from "../../src/tensor/mask.js";
import { randomSource, setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { batch, features, mask, padded, time, valid } from "../helpers/maskedSequences.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(2));
afterEach(() => {
  vi.restoreAllMocks();
});

const training: CallContext = { training: true, random: randomSource(7), addLoss: () => {} };
const paddings = { zeros: () => 0, others: (i: number) => (i % 5) * 1e3 - 700 };
/** The valid steps of a sequence alone, [1, steps, features]. */
const alone = (x: Tensor, row: number): Tensor =>
  tensor([(x.arraySync() as number[][][])[row]!.filter((_, t) => mask[row]![t])]);

interface Outcome {
  readonly output: number[];
  readonly dx: number[];
  readonly weights: number[][];
}

/** What layer makes of x, and gradients of a loss of the steps that count; all at those steps. */
function outcome(layer: Layer, x: Tensor, counts: readonly boolean[] | null): Outcome {
  const call = (y: Tensor): Tensor =>
    layer.invoke(counts ? withMask(y, tensor(mask)) : y, training) as Tensor;
  const { output, loss } = lossOf(call, x, counts);
  const { grad } = valueAndGrad(loss)(x);
  const { trainableWeights } = layer;
  const weights =
    trainableWeights.length === 0
      ? []
      : Object.values(variableGrads(() => loss(x), trainableWeights).grads);
  const kept = (y: Tensor): number[] => [...y.dataSync()].filter((_, i) => counts?.[i] ?? true);
  return { output: kept(output), dx: kept(grad), weights: weights.map((w) => [...w.dataSync()]) };
}

/** Σ w·y over what counts, where the i-th that does has the same weight with padding and without. */
function lossOf(call: (x: Tensor) => Tensor, x: Tensor, counts: readonly boolean[] | null) {
  const output = call(x);
  const all = [...uniform(9, output.size, 0.5, 1.5)];
  const factors = Array.from({ length: output.size }, (_, i) =>
    counts === null || counts[i] ? all.shift()! : 0,
  );
  const weights = leaf(Float32Array.from(factors), output.shape, "float32");
  const loss = (y: Tensor): Tensor => sum(mul(call(y), weights));
  return { output, loss };
}

/** Layers that compute something over steps, with the same weights for each of them. */
const overSteps: Record<string, () => Layer> = {
  "groupNormalization of two groups": () => layers.groupNormalization({ groups: 2 }),
  "groupNormalization of channels": () => layers.groupNormalization({ groups: -1 }),
  "layerNormalization over steps and features": () =>
    layers.layerNormalization({ axis: [1, 2], center: false, scale: false }),
  "layerNormalization over steps": () =>
    layers.layerNormalization({ axis: 1, center: false, scale: false }),
  "softmax over steps": () => layers.softmax({ axis: 1 }),
  "unitNormalization over steps": () => layers.unitNormalization({ axis: 1 }),
  "unitNormalization over steps and features": () => layers.unitNormalization({ axis: [-2, -1] }),
};

onEachBackend("what is computed over steps", () => {
  for (const [name, make] of Object.entries(overSteps)) {
    test(`${name} is that of the valid ones alone`, () => {
      const layer = make();
      layer.ensureBuilt([null, time, features]);
      layer.setWeights(
        layer.weights.map((w, i) => leaf(uniform(5 + i, w.size, 0.5, 2), w.shape, "float32")),
      );
      const [zeros, others] = [paddings.zeros, paddings.others].map((padding) =>
        [0, 1, 2].map((row) => {
          const counts = valid.map((v, i) => v && Math.floor(i / time / features) === row);
          return outcome(layer, padded(padding), counts);
        }),
      );
      // Not a bit of it depends on what stands in the padding.
      expect(others).toEqual(zeros);
      for (const row of [0, 1]) {
        const kept = alone(
          padded(() => 0),
          row,
        );
        const plain = make();
        plain.ensureBuilt(kept.shape);
        plain.setWeights(layer.getWeights());
        const want = outcome(plain, kept, null);
        expectClose(zeros![row]!.output, want.output, { rtol: 1e-5, atol: 1e-5 });
        expectClose(zeros![row]!.dx, want.dx, { rtol: 1e-4, atol: 1e-5 });
        want.weights.forEach((w, i) => {
          expectClose(zeros![row]!.weights[i]!, w, { rtol: 1e-4, atol: 1e-5 });
        });
      }
    });

    test(`${name} has the gradient that differences have`, () => {
      const counts = tensor(mask);
      const spread = reshape(counts, [batch, time, 1]);
      const layer = make();
      expectGradient(
        (x) => where(spread, layer.invoke(withMask(x, counts), training) as Tensor, 0),
        [padded((i) => (i % 3) - 1)],
      );
    });
  }

  test("a normalisation's own weights of each step take no part of the padding", () => {
    const layer = layers.layerNormalization({ axis: [1, 2] });
    layer.ensureBuilt([null, time, features]);
    const [zeros, others] = [paddings.zeros, paddings.others].map((p) =>
      outcome(layer, padded(p), valid),
    );
    expect(others).toEqual(zeros);
    for (const w of zeros!.weights) expect(w.every(Number.isFinite)).toBe(true);
  });

  test("softmax is 0 where a mask is false, over steps and over a mask of its own shape", () => {
    const y = layers.softmax({ axis: 1 }).apply(withMask(padded(paddings.others), tensor(mask)));
    const values = [...y.dataSync()];
    expect(values.filter((_, i) => !valid[i]).every((v) => v === 0)).toBe(true);
    const sums = sum(y, 1).arraySync() as number[][];
    expectClose(sums.flat(), [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0], { ulp: 4 });
    // Over features each step is one of its own, padding included.
    const own = layers.softmax().apply(
      withMask(
        padded(() => 0),
        tensor(mask),
      ),
    );
    expectClose(own.slice([2, 0, 0], [1, 1, features]).dataSync(), [0.25, 0.25, 0.25, 0.25], {
      ulp: 1,
    });
  });

  test.each([
    ["groupNormalization", () => layers.groupNormalization({ groups: 2, epsilon: 0 })],
    ["layerNormalization", () => layers.layerNormalization({ axis: [1, 2], epsilon: 0 })],
    ["batchNormalization", () => layers.batchNormalization({ epsilon: 0 })],
    ["unitNormalization", () => layers.unitNormalization({ axis: 1 })],
    ["softmax", () => layers.softmax({ axis: 1 })],
  ])("%s is finite where nothing counts, and so are its gradients", (_name, make) => {
    const layer: Layer = make();
    const none = tensor(mask.map((steps) => steps.map(() => false)));
    const x = padded(() => 3);
    const call = (y: Tensor): Tensor => layer.invoke(withMask(y, none), training) as Tensor;
    expect(call(x).dataSync().every(Number.isFinite)).toBe(true);
    // A masked loss multiplies with 0.
    const loss = (y: Tensor): Tensor => sum(mul(call(y), 0));
    expect([...valueAndGrad(loss)(x).grad.dataSync()].every((v) => v === 0)).toBe(true);
    if (layer.trainableWeights.length === 0) return;
    for (const g of Object.values(variableGrads(() => loss(x), layer.trainableWeights).grads)) {
      expect([...g.dataSync()].every((v) => v === 0)).toBe(true);
    }
  });

  test("channels that come second are grouped with their mask", () => {
    const x = leaf(uniform(4, 2 * 4 * 3, -1, 1), [2, 4, 3], "float32");
    // Of each sample the last channel does not count: of the second group one is left.
    const counts = tensor([
      [true, true, true, false],
      [true, true, true, false],
    ]);
    const layer = layers.groupNormalization({ groups: 2, axis: 1 });
    const y = layer.apply(withMask(x, counts)).arraySync() as number[][][];
    const want = layers.groupNormalization({ groups: 1, axis: 1 });
    [0, 1].forEach((row) => {
      const third = want.apply(x.slice([row, 2, 0], [1, 1, 3])).dataSync();
      expectClose(y[row]![2]!, third, { rtol: 1e-5, atol: 1e-6 });
    });
  });

  test("batchNormalization keeps its moving statistics where nothing counts", () => {
    const layer = layers.batchNormalization();
    const none = tensor(mask.map((steps) => steps.map(() => false)));
    const y = layer.invoke(
      withMask(
        padded(() => 3),
        none,
      ),
      training,
    ) as Tensor;
    expect(y.dataSync().every(Number.isFinite)).toBe(true);
    const moving = (): unknown => layer.nonTrainableWeights.map((w) => w.arraySync());
    expect(moving()).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
    ]);
    // With a mask of features the others move.
    const some = valid.map((_, i) => i % features < 2);
    layer.invoke(
      withMask(
        padded(() => 3),
        tensor(some, [batch, time, features]),
      ),
      training,
    );
    const [mean, variance] = moving() as [number[], number[]];
    expect(mean.map((m) => m !== 0)).toEqual([true, true, false, false]);
    expect(variance.map((v) => v !== 1)).toEqual([true, true, false, false]);
  });
});

onEachBackend("timeDistributed", () => {
  const counted = mask.flat();
  /** The valid steps as a batch. */
  const rows = (x: Tensor): Tensor =>
    tensor((x.arraySync() as number[][][]).flat().filter((_, i) => counted[i]));
  const inner: Record<string, () => Layer> = {
    "batch norm": () => layers.batchNormalization({ momentum: 0.5 }),
    "a model with one": () =>
      sequential([
        layers.dense({ units: features, kernelInitializer: "ones" }),
        // These drop masks, but treat samples one by one.
        layers.reshape({ targetShape: [features, 1] }),
        layers.flatten(),
        layers.batchNormalization({ momentum: 0.5 }),
      ]),
  };
  for (const [name, make] of Object.entries(inner)) {
    test(`${name} sees the valid steps`, () => {
      const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const results = [paddings.zeros, paddings.others].map((padding) => {
        setRandomSeed(2);
        const within = make();
        const layer = layers.timeDistributed({ layer: within });
        const got = outcome(layer, padded(padding), valid);
        return { got, moving: within.nonTrainableWeights.map((w) => [...w.dataSync()]) };
      });
      expect(results[1]).toEqual(results[0]);
      setRandomSeed(2);
      const plain = make();
      const want = outcome(plain, rows(padded(() => 0)), null);
      const { got, moving } = results[0]!;
      expectClose(got.output, want.output, { rtol: 1e-5, atol: 1e-5 });
      expectClose(got.dx, want.dx, { rtol: 1e-3, atol: 1e-5 });
      want.weights.forEach((w, i) => {
        expectClose(got.weights[i]!, w, { rtol: 1e-4, atol: 1e-4 });
      });
      // Both did the same number of passes.
      plain.nonTrainableWeights.forEach((w, i) => {
        expectClose(moving[i]!, w.dataSync(), { rtol: 1e-5, atol: 1e-6 });
      });
      expect(warned).not.toHaveBeenCalled();
    });
  }

  test("of timeDistributed joins what counts in both", () => {
    const groups = leaf(uniform(3, 2 * 2 * 3 * 2, -1, 1), [2, 2, 3, 2], "float32");
    const outer = [
      [true, false],
      [true, true],
    ];
    const norm = layers.batchNormalization({ momentum: 0 });
    const layer = layers.timeDistributed({ layer: layers.timeDistributed({ layer: norm }) });
    const y = layer.invoke(withMask(groups, tensor(outer)), training) as Tensor;
    expect(maskOf(y)!.arraySync()).toEqual(outer);
    const kept = (groups.arraySync() as number[][][][]).flatMap((g, i) =>
      g.flatMap((steps, k) => (outer[i]![k] ? steps : [])),
    );
    const want = [0, 1].map((c) => kept.reduce((s, v) => s + v[c]!, 0) / kept.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
    // A mask of samples counts for all of their steps, and goes on.
    const samples = layer.invoke(withMask(groups, [false, true]), training) as Tensor;
    expect(maskOf(samples)!.arraySync()).toEqual([false, true]);
    const second = (groups.arraySync() as number[][][][])[1]!.flat();
    const mean = [0, 1].map((c) => second.reduce((s, v) => s + v[c]!, 0) / second.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), mean, { rtol: 1e-5, atol: 1e-6 });
  });

  test("with a mask within steps, too", () => {
    const x = leaf(uniform(3, 2 * 3 * 2, -1, 1), [2, 3, 2], "float32");
    const within = [
      [
        [true, false],
        [true, true],
        [true, false],
      ],
      [
        [false, false],
        [false, true],
        [true, true],
      ],
    ];
    const norm = layers.batchNormalization({ momentum: 0 });
    const layer = layers.timeDistributed({ layer: norm });
    layer.invoke(withMask(x, tensor(within)), training);
    const values = (x.arraySync() as number[][][]).flat();
    const want = [0, 1].map((c) => {
      const kept = values.filter((_, i) => within.flat()[i]![c]).map((v) => v[c]!);
      return kept.reduce((a, b) => a + b, 0) / kept.length;
    });
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("and masks that a model within finds are joined", () => {
    const norm = layers.batchNormalization({ momentum: 0 });
    const layer = layers.timeDistributed({ layer: sequential([layers.masking(), norm]) });
    const groups = leaf(uniform(3, 2 * 2 * 3 * 2, 1, 2), [2, 2, 3, 2], "float32");
    const zeroed = mul(groups, tensor([1, 0, 1], [3, 1]));
    const outer = [
      [true, false],
      [true, true],
    ];
    layer.invoke(withMask(zeroed, tensor(outer)), training);
    const kept = (groups.arraySync() as number[][][][]).flatMap((g, i) =>
      g.flatMap((steps, k) => (outer[i]![k] ? [steps[0]!, steps[2]!] : [])),
    );
    const want = [0, 1].map((c) => kept.reduce((s, v) => s + v[c]!, 0) / kept.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5 });
  });

  test("knows no samples any more where a layer makes others of them", () => {
    const norm = layers.batchNormalization({ momentum: 0 });
    class Halves extends Layer {
      override call(y: Tensor, context: CallContext): Tensor {
        return reshape(norm.invoke(reshape(y, [-1, features / 2]), context), y.shape);
      }
    }
    const within = new Halves({});
    const x = padded(() => 0.5);
    layers.timeDistributed({ layer: within }).invoke(withMask(x, tensor(mask)), training);
    const halves = reshape(x, [-1, features / 2]).arraySync() as number[][];
    const want = [0, 1].map((c) => halves.reduce((s, v) => s + v[c]!, 0) / halves.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("lets a layer over steps of other samples be", () => {
    const norm = layers.batchNormalization({ momentum: 0 });
    const inner = layers.timeDistributed({ layer: norm });
    class Twice extends Layer {
      override call(y: Tensor, context: CallContext): Tensor {
        const pairs = reshape(y, [-1, 2, features / 2]);
        return reshape(inner.invoke(concat([pairs, pairs]), context), [-1, 2 * features]);
      }
    }
    const x = padded(() => 0.5);
    layers.timeDistributed({ layer: new Twice({}) }).invoke(withMask(x, tensor(mask)), training);
    const halves = reshape(x, [-1, features / 2]).arraySync() as number[][];
    const want = [0, 1].map((c) => halves.reduce((s, v) => s + v[c]!, 0) / halves.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("reaches the cells of a recurrent layer", () => {
    const norm = layers.batchNormalization({ momentum: 0 });
    class Normal extends Layer {
      protected override inputSpec = { arity: "several", rank: 2 } as const;
      readonly stateSize = 2;
      override call([y, state]: Tensor[], context: CallContext): Tensor[] {
        return [norm.invoke(y!, context), state!];
      }
    }
    const x = reshape(padded(paddings.others), [batch, time, 1, features]);
    const layer = layers.timeDistributed({ layer: layers.rnn({ cell: new Normal({}) }) });
    layer.invoke(withMask(x, tensor(mask)), training);
    const kept = rows(padded(() => 0)).arraySync() as number[][];
    const want = [0, 1, 2, 3].map((c) => kept.reduce((s, v) => s + v[c]!, 0) / kept.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("reaches through a part that is fixed to training", () => {
    const norm = layers.batchNormalization({ momentum: 0 });
    const x = input({ shape: [features] });
    const within = model({ inputs: x, outputs: norm.apply(x, { training: true }) });
    const layer = layers.timeDistributed({ layer: within });
    layer.apply(withMask(padded(paddings.others), tensor(mask)));
    const kept = rows(padded(() => 0)).arraySync() as number[][];
    const want = [0, 1, 2, 3].map((c) => kept.reduce((s, v) => s + v[c]!, 0) / kept.length);
    expectClose(norm.nonTrainableWeights[0]!.dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });
});

describe("models within models", () => {
  const warned: string[] = [];
  beforeEach(() => {
    vi.spyOn(process, "emitWarning").mockImplementation((text) => {
      warned.push(String(text));
    });
  });
  afterEach(() => {
    warned.length = 0;
  });
  const masked = (): Tensor =>
    withMask(
      padded(() => 0),
      tensor(mask),
    );

  test("pass masks on without a warning where their layers do", () => {
    const inner = sequential([
      layers.dense({ units: 2 }),
      layers.activation({ activation: "relu" }),
    ]);
    expect(maskOf(inner.apply(masked()))!.arraySync()).toEqual(mask);
    const x = input({ shape: [time, features] });
    const steps = input({ shape: [time], dtype: "bool" });
    const y = sequential([layers.dense({ units: 2 })]).apply(layers.applyMask().apply([x, steps]));
    const outer = model({ inputs: [x, steps], outputs: y });
    const given = [padded(() => 0), tensor(mask)];
    expect(maskOf(outer.apply(given))!.arraySync()).toEqual(mask);
    expect(warned).toEqual([]);
  });

  test("name the layer that can't take them, and end them there", () => {
    const inner = sequential([
      layers.dense({ units: 2 }),
      layers.conv1d({ filters: 2, kernelSize: 1, name: "within" }),
      layers.dense({ units: 2 }),
    ]);
    expect(maskOf(inner.apply(masked()))).toBeNull();
    expect(warned).toEqual([
      'conv1d layer "within": its input has a mask, which it can\'t take into account; the layers after it see all steps',
    ]);
    // A last output has no mask, though the input of the model has one.
    const last = sequential([layers.lstm({ units: 2 })]);
    expect(maskOf(last.apply(masked()))).toBeNull();
    expect(warned.length).toBe(1);
  });
});
