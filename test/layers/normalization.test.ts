/** Batch, layer, group and unit norm against Keras' formulas, written out in float64. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import type { CallContext, Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { randomSource } from "../../src/tensor/random.js";
import { leaf, Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

const training: CallContext = { training: true, random: randomSource(1), addLoss: () => {} };

function train(layer: Layer, x: Tensor): Tensor {
  const y = layer.invoke(x, training);
  return y instanceof Tensor ? y : expect.fail("several outputs");
}

/** Mean and population variance. */
function moments(values: readonly number[]): [mean: number, variance: number] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length];
}

const x = leaf(uniform(4, 8 * 3, -2, 5), [8, 3], "float32");
const column = (c: number) => Array.from(x.dataSync()).filter((_, i) => i % 3 === c);
const gamma = [0.5, 1, 2];
const beta = [0.1, -0.2, 0.3];

describe("batchNormalization", () => {
  const make = (momentum = 0.9) => {
    const layer = layers.batchNormalization({ momentum, epsilon: 0.01 });
    layer.ensureBuilt([null, 3]);
    layer.setWeights([gamma, beta, [1, 0, -1], [2, 1, 0.5]]);
    return layer;
  };

  test("training uses the batch's statistics", () => {
    const y = train(make(), x).dataSync();
    const want = Array.from(x.dataSync(), (value, i) => {
      const c = i % 3;
      const [mean, variance] = moments(column(c));
      return ((value - mean) / Math.sqrt(variance + 0.01)) * gamma[c]! + beta[c]!;
    });
    expectClose(y, want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("training moves the statistics: old · momentum + batch · (1 − momentum)", () => {
    const layer = make();
    train(layer, x);
    const [, , mean, variance] = layer.getWeights().map((w) => w.dataSync());
    const batch = [0, 1, 2].map((c) => moments(column(c)));
    expectClose(
      mean!,
      [1, 0, -1].map((old, c) => 0.9 * old + 0.1 * batch[c]![0]),
      { rtol: 1e-6 },
    );
    expectClose(
      variance!,
      [2, 1, 0.5].map((old, c) => 0.9 * old + 0.1 * batch[c]![1]),
      { rtol: 1e-6 },
    );
    train(layer, x);
    const twice = [1, 0, -1].map((old, c) => 0.81 * old + 0.19 * batch[c]![0]);
    expectClose(layer.getWeights()[2]!.dataSync(), twice, { rtol: 1e-6 });
  });

  test("inference uses the moving statistics and leaves them", () => {
    const layer = make();
    const y = layer.apply(x).dataSync();
    const want = Array.from(x.dataSync(), (value, i) => {
      const c = i % 3;
      return ((value - [1, 0, -1][c]!) / Math.sqrt([2, 1, 0.5][c]! + 0.01)) * gamma[c]! + beta[c]!;
    });
    expectClose(y, want, { rtol: 1e-5, atol: 1e-6 });
    expect(layer.getWeights()[2]!.arraySync()).toEqual([1, 0, -1]);
  });

  test("a frozen layer runs in inference mode while training", () => {
    const layer = make();
    layer.trainable = false;
    expect(train(layer, x).dataSync()).toEqual(layer.apply(x).dataSync());
    expect(layer.getWeights()[2]!.arraySync()).toEqual([1, 0, -1]);
  });

  test("starts as Keras does: gamma 1, beta 0, mean 0, variance 1, momentum 0.99, epsilon 1e-3", () => {
    const layer = layers.batchNormalization();
    const y = layer.apply(x);
    expectClose(
      y.dataSync(),
      Array.from(x.dataSync(), (v) => v / Math.sqrt(1.001)),
      { rtol: 1e-6 },
    );
    train(layer, x);
    expectClose(
      layer.getWeights()[2]!.dataSync(),
      [0, 1, 2].map((c) => 0.01 * moments(column(c))[0]),
      {
        rtol: 1e-5,
      },
    );
  });

  test("channels of images, last and first, agree", () => {
    const image = leaf(uniform(5, 2 * 3 * 4 * 5), [2, 3, 4, 5], "float32");
    const last = train(layers.batchNormalization(), image);
    const turned = leaf(
      Float32Array.from({ length: 120 }, (_, i) => {
        const [b, c, h, w] = [
          Math.floor(i / 60),
          Math.floor(i / 12) % 5,
          Math.floor(i / 4) % 3,
          i % 4,
        ];
        return image.dataSync()[((b * 3 + h) * 4 + w) * 5 + c]!;
      }),
      [2, 5, 3, 4],
      "float32",
    );
    const first = train(layers.batchNormalization({ axis: 1 }), turned).dataSync();
    const want = Array.from({ length: 120 }, (_, i) => {
      const [b, c, h, w] = [
        Math.floor(i / 60),
        Math.floor(i / 12) % 5,
        Math.floor(i / 4) % 3,
        i % 4,
      ];
      return last.dataSync()[((b * 3 + h) * 4 + w) * 5 + c]!;
    });
    expectClose(first, want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("mistakes are named", () => {
    const layer = () => layers.batchNormalization({ name: "bn", axis: 2 });
    expect(() => layer().ensureBuilt([null, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: batchNormalization layer "bn": axis: expected an axis from -2 to 1 (rank 2), got 2]`,
    );
    expect(() => layer().ensureBuilt([null, 3, null])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: batchNormalization layer "bn": expected an input whose size at axis 2 is known, got shape [null, 3, null]]`,
    );
    expect(() => layers.batchNormalization({ momentum: 1.5 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: batchNormalization layer: expected \`momentum\` to be a number from 0 to 1, got 1.5]`,
    );
    expect(() => make().apply(leaf(new Float32Array(4), [1, 4], "float32"))).toThrow(
      /size 3 at axis 1/,
    );
  });
});

describe("layerNormalization", () => {
  test("normalises each sample over the last axis", () => {
    const layer = layers.layerNormalization({ epsilon: 0.01 });
    layer.ensureBuilt([null, 3]);
    layer.setWeights([gamma, beta]);
    const values = Array.from(x.dataSync());
    const want = values.map((value, i) => {
      const row = values.slice(i - (i % 3), i - (i % 3) + 3);
      const [mean, variance] = moments(row);
      return ((value - mean) / Math.sqrt(variance + 0.01)) * gamma[i % 3]! + beta[i % 3]!;
    });
    expectClose(layer.apply(x).dataSync(), want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("over two axes, apart from each other", () => {
    const t = leaf(uniform(6, 2 * 3 * 4 * 2), [2, 3, 4, 2], "float32");
    const y = layers
      .layerNormalization({ axis: [1, 3] })
      .apply(t)
      .dataSync();
    const at = (b: number, i: number, j: number, k: number) => ((b * 3 + i) * 4 + j) * 2 + k;
    const want = new Float32Array(48);
    for (let b = 0; b < 2; b++) {
      for (let j = 0; j < 4; j++) {
        const cells = [0, 1, 2].flatMap((i) => [0, 1].map((k) => at(b, i, j, k)));
        const [mean, variance] = moments(cells.map((c) => t.dataSync()[c]!));
        for (const c of cells) want[c] = (t.dataSync()[c]! - mean) / Math.sqrt(variance + 1e-3);
      }
    }
    expectClose(y, want, { rtol: 1e-5, atol: 1e-6 });
  });

  test("mistakes are named", () => {
    const build = (axis: number | number[]) => () =>
      layers.layerNormalization({ axis, name: "ln" }).ensureBuilt([null, 3]);
    expect(build(0)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: layerNormalization layer "ln": expected \`axis\` to leave out the batch (axis 0), got 0]`,
    );
    expect(build([1, -1])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: layerNormalization layer "ln": axis: expected distinct axes, got [1, -1]]`,
    );
    expect(build(2)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: layerNormalization layer "ln": axis: expected an axis from -2 to 1 (rank 2), got 2]`,
    );
  });
});

describe("groupNormalization", () => {
  test("normalises groups of channels of each sample", () => {
    const t = leaf(uniform(7, 2 * 3 * 4), [2, 3, 4], "float32");
    const layer = layers.groupNormalization({ groups: 2 });
    layer.ensureBuilt([null, 3, 4]);
    layer.setWeights([
      [1, 2, 3, 4],
      [0, 1, 2, 3],
    ]);
    const want = Array.from(t.dataSync(), (value, i) => {
      const [b, c] = [Math.floor(i / 12), i % 4];
      const group = Array.from(t.dataSync()).filter(
        (_, k) => Math.floor(k / 12) === b && Math.floor((k % 4) / 2) === Math.floor(c / 2),
      );
      const [mean, variance] = moments(group);
      return ((value - mean) / Math.sqrt(variance + 1e-3)) * (c + 1) + c;
    });
    expectClose(layer.apply(t).dataSync(), want, { rtol: 1e-5, atol: 1e-5 });
  });

  test("mistakes are named", () => {
    const build =
      (groups: number, axis = -1) =>
      () =>
        layers.groupNormalization({ groups, axis, name: "gn" }).ensureBuilt([null, 6, 6]);
    expect(build(4)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: groupNormalization layer "gn": expected a number of channels that its 4 groups divide, got 6 in shape [null, 6, 6]]`,
    );
    expect(build(0)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: groupNormalization layer "gn": expected \`groups\` to be ≥ 1, or -1, got 0]`,
    );
    expect(build(2, 0)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: groupNormalization layer "gn": expected \`axis\` to be another than the batch's, got 0]`,
    );
  });
});

test("unitNormalization gives length 1, and 0 for 0", () => {
  const y = layers.unitNormalization().apply([
    [3, -4],
    [0, 0],
    [1e-3, 0],
  ]);
  expectClose(y.dataSync(), [0.6, -0.8, 0, 0, 1, 0], { rtol: 1e-6 });
});

describe("localResponseNormalization", () => {
  test("counts what its definition computes, not the product that does", () => {
    // A square, three neighbours' sum, alpha, bias, the power, the product.
    const want = { flops: 4 * 5 * 6 * 7, multiplyAdds: 0 };
    const cost = (dataFormat: "channelsLast" | "channelsFirst", shape: (number | null)[]) =>
      layers.localResponseNormalization({ depthRadius: 1, dataFormat }).operationsPerSample(shape);
    expect(cost("channelsLast", [null, 4, 5, 6])).toEqual(want);
    expect(cost("channelsFirst", [null, 6, 4, 5])).toEqual(want);
    // A window is no wider than the channels are.
    expect(cost("channelsLast", [null, 4, 5, 2]).flops).toBe(4 * 5 * 2 * 6);
  });
});
