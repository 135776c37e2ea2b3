/** Filters, feature maps, Grad-CAM and misclassified samples, of networks whose weights are known. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";

/**
 * Two maps: the image itself and its negative. The score of class 0 is the mean of the first, that of class
 * 1 the mean of the second, so the image's bright half speaks for 0 and nothing but darkness for 1.
 */
function network(activation: "softmax" | "linear" = "softmax"): lw.Model {
  const x = lw.input({ shape: [4, 4, 1] });
  const maps = lw.layers
    .conv2d({ filters: 2, kernelSize: 1, activation: "relu", name: "maps" })
    .apply(x);
  const pooled = lw.layers.globalAveragePooling2d().apply(maps);
  const y = lw.layers.dense({ units: 2, activation, name: "classes" }).apply(pooled);
  const model = lw.model({ inputs: x, outputs: y });
  model.setWeights([
    lw.tensor([[[[1, -1]]]]),
    [0, 1],
    lw.tensor([
      [1, 0],
      [0, 1],
    ]),
    [0, 0],
  ]);
  return model;
}

/** The left half is 1, the right half 0. */
const halves = lw.tensor(
  Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? 1 : 0)),
  [4, 4, 1],
);

onEachBackend("inspection", () => {
  test("Grad-CAM shows what speaks for a class", async () => {
    const model = network();
    const left = await lw.gradCam(model, halves, { classIndex: 0 });
    expect(left).toMatchObject({ layer: "maps", classIndex: 0, width: 4, height: 4 });
    expect([...left.map]).toEqual([...halves.dataSync()]);
    const right = await lw.gradCam(model, lw.tensor(halves.dataSync(), [1, 4, 4, 1]), {
      classIndex: 1,
      layer: "maps",
    });
    expect([...right.map]).toEqual([...halves.dataSync()].map((v) => 1 - v));
    // Both scores are a half.
    expectClose([left.output, right.output], [0.5, 0.5], { rtol: 1e-6 });
  });

  test("Grad-CAM asks about the most probable class, and of any output", async () => {
    const bright = lw.ones([4, 4, 1]).mul(0.8);
    const cam = await lw.gradCam(network(), bright);
    expect(cam.classIndex).toBe(0);
    expectClose([cam.output], [1 / (1 + Math.exp(0.2 - 0.8))], { rtol: 1e-6 });
    const linear = await lw.gradCam(network("linear"), bright);
    expect(linear.classIndex).toBe(0);
    expectClose([linear.output], [0.8], { rtol: 1e-6 });
    expect([...linear.map]).toEqual(new Array(16).fill(1));
  });

  test("Grad-CAM enlarges coarse maps, and shows nothing where nothing speaks for the class", async () => {
    const x = lw.input({ shape: [8, 8, 1] });
    const small = lw.layers.averagePooling2d({ poolSize: 4, name: "small" }).apply(x);
    const y = lw.layers.dense({ units: 2, useBias: false }).apply(lw.layers.flatten().apply(small));
    const model = lw.model({ inputs: x, outputs: y });
    model.setWeights([
      lw.tensor([
        [4, -1],
        [0, -1],
        [0, -1],
        [0, -1],
      ]),
    ]);
    const image = lw.ones([8, 8, 1]);
    const cam = await lw.gradCam(model, image, { classIndex: 0 });
    expect(cam.layer).toBe("small");
    expect(cam.map[0]).toBe(1);
    expect(Math.max(...(await lw.gradCam(model, image, { classIndex: 1 })).map)).toBe(0);
  });

  test("feature maps and filters are separated", async () => {
    const model = network();
    const [maps] = await lw.featureMaps(model, halves);
    expect(maps).toMatchObject({ layer: "maps", height: 4, width: 4 });
    expect(maps!.images.map((map) => [...map.subarray(0, 4)])).toEqual([
      [1, 1, 0, 0],
      [0, 0, 1, 1],
    ]);
  });

  test("filters are listed filter by filter, channel by channel", async () => {
    const model = lw.sequential([
      lw.layers.conv2d({ filters: 3, kernelSize: [1, 2], inputShape: [4, 4, 2], name: "c" }),
    ]);
    // Element [0, j, channel, filter] is 100·j + 10·channel + filter.
    const values = [0, 1].map((j) => [0, 1].map((c) => [0, 1, 2].map((f) => 100 * j + 10 * c + f)));
    model.setWeights([lw.tensor([values]), [0, 0, 0]]);
    const { layer, height, width, images } = await lw.filters(model);
    expect([layer, height, width]).toEqual(["c", 1, 2]);
    expect(images.map((image) => [...image])).toEqual([
      [0, 100],
      [10, 110],
      [1, 101],
      [11, 111],
      [2, 102],
      [12, 112],
    ]);
  });

  test("misclassified samples come surest first", async () => {
    const model = network("linear");
    const x = lw.tensor(
      [0.9, 0.2, 0.6, 0.7].flatMap((v) => new Array<number>(16).fill(v)),
      [4, 4, 4, 1],
    );
    // Predicted 0, 1, 0, 0.
    const wrong = await lw.misclassified(model, x, [1, 1, 1, 0]);
    expect(wrong.map(({ index, label, predicted }) => [index, label, predicted])).toEqual([
      [0, 1, 0],
      [2, 1, 0],
    ]);
    expectClose(
      wrong.map((w) => w.output),
      [0.9, 0.6],
      { rtol: 1e-6 },
    );
    expect(await lw.misclassified(model, x, [1, 1, 1, 0], 1)).toHaveLength(1);
  });

  test("misclassified samples of a single output: a probability above a half is class 1", async () => {
    const model = lw.sequential([
      lw.layers.dense({ units: 1, activation: "sigmoid", inputShape: [1] }),
    ]);
    model.setWeights([[[1]], [0]]);
    const wrong = await lw.misclassified(model, [[3], [2], [-4], [-1], [0]], [1, 0, 1, 0, 0]);
    expect(wrong.map(({ index, label, predicted }) => [index, label, predicted])).toEqual([
      [2, 1, 0],
      [1, 0, 1],
    ]);
    const p = (x: number) => 1 / (1 + Math.exp(-x));
    expectClose(
      wrong.map((w) => w.output),
      [1 - p(-4), p(2)],
      { rtol: 1e-6 },
    );
  });
});

describe("errors", () => {
  const dense = lw.sequential([lw.layers.dense({ units: 2, inputShape: [3] })]);
  test.each<[string, () => Promise<unknown>]>([
    [
      "gradCam(): expected one image [height, width, channels], got shape [3]",
      () => lw.gradCam(dense, [1, 2, 3]),
    ],
    [
      "gradCam(): expected one image [height, width, channels], got shape [2, 4, 4, 1]",
      () => lw.gradCam(network(), lw.ones([2, 4, 4, 1])),
    ],
    [
      "gradCam(): expected `classIndex` to be an integer from 0 to 1, got 2",
      () => lw.gradCam(network(), halves, { classIndex: 2 }),
    ],
    [
      'gradCam(): expected a layer that gives [batch, height, width, channels] once, got dense layer "classes"',
      () => lw.gradCam(network(), halves, { layer: "classes" }),
    ],
    [
      "gradCam(): unknown option `class`",
      () => lw.gradCam(network(), halves, { class: 1 } as never),
    ],
    ["filters(): expected a convolution over images", () => lw.filters(dense)],
    [
      "misclassified(): expected a class number for each of 1 samples, and [samples, classes] predicted, got 2",
      () => lw.misclassified(dense, lw.ones([1, 3]), [0, 1]),
    ],
  ])("%s", async (message, make) => {
    await expect(make()).rejects.toThrow(message);
  });
});
