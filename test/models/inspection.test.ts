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

type DataFormat = "channelsLast" | "channelsFirst";

/**
 * Two blocks with batch normalization, activations and a shortcut, whose layers are told the format only where
 * they have such an option. The first layer that is told comes after padding and an activation.
 */
function imageNetwork(dataFormat: DataFormat, inside = false): lw.Model {
  const axis = dataFormat === "channelsFirst" ? 1 : -1;
  const { layers } = lw;
  const shape = dataFormat === "channelsFirst" ? [3, 8, 7] : [8, 7, 3];
  const body = (x: lw.SymbolicTensor): lw.SymbolicTensor => {
    const c1 = layers
      .conv2d({ filters: 5, kernelSize: [3, 2], dataFormat, useBias: false, name: "c1" })
      .apply(layers.activation({ activation: "tanh", name: "before" }).apply(x));
    const norm = layers.batchNormalization({ axis, name: "norm" }).apply(c1);
    const act = layers.activation({ activation: "relu", name: "act" }).apply(norm);
    const pooled = layers.maxPooling2d({ dataFormat, name: "pool" }).apply(act);
    const c2 = layers
      .conv2d({ filters: 5, kernelSize: 3, padding: "same", dataFormat, name: "c2" })
      .apply(layers.dropout({ rate: 0.5 }).apply(pooled));
    return layers.add({ name: "sum" }).apply([pooled, c2]);
  };
  const x = lw.input({ shape, name: "image" });
  const padded = layers.zeroPadding2d({ padding: [1, 0], dataFormat, name: "pad" }).apply(x);
  let maps: lw.SymbolicTensor;
  if (inside) {
    const own = lw.input({ shape: padded.shape.slice(1) });
    maps = lw.model({ inputs: own, outputs: body(own), name: "body" }).apply(padded);
  } else {
    maps = body(padded);
  }
  const flat = layers.flatten({ dataFormat }).apply(maps);
  const outputs = layers.dense({ units: 4, activation: "softmax", name: "classes" }).apply(flat);
  const model = lw.model({ inputs: x, outputs });
  model.setWeights(
    model.getWeights().map(({ shape }, i) => lw.randomUniform(shape, -1, 1, "float32", i).abs()),
  );
  model.setWeights(
    model
      .getWeights()
      .map((w, i) => (w.rank > 1 ? lw.randomUniform(w.shape, -1, 1, "float32", i) : w)),
  );
  return model;
}

/** Not square, with different channels. */
const picture = lw.randomUniform([8, 7, 3], -1, 1, "float32", 50);
const turned = picture.transpose([2, 0, 1]);

function expectSameImages(got: lw.LayerImages, want: lw.LayerImages): void {
  const { layer, height, width, images } = got;
  expect({ layer, height, width, count: images.length }).toEqual({
    layer: want.layer,
    height: want.height,
    width: want.width,
    count: want.images.length,
  });
  images.forEach((image, i) => {
    expectClose(image, want.images[i]!, { rtol: 1e-5, atol: 1e-6 }, `${layer}, picture ${i}`);
  });
}

function expectSameCam(got: lw.GradCam, want: lw.GradCam): void {
  const { map, output, ...rest } = got;
  expect(rest).toEqual({
    layer: want.layer,
    classIndex: want.classIndex,
    height: want.height,
    width: want.width,
  });
  expectClose([output], [want.output], { rtol: 1e-5 });
  expect(Math.max(...want.map)).toBe(1);
  expectClose(map, want.map, { rtol: 1e-4, atol: 1e-5 }, `map of ${got.layer}`);
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

  test("filters of a transposed or depthwise convolution are in the order of its outputs", async () => {
    const of = async (layer: lw.Layer, shape: readonly number[]) => {
      const model = lw.sequential([layer]);
      const size = shape.reduce((a, b) => a * b, 1);
      model.setWeights([lw.tensor([...Array(size).keys()], [...shape])]);
      return (await lw.filters(model)).images.map(([first]) => first);
    };
    const options = { kernelSize: 1, useBias: false };
    // Kernel [1, 1, filter, channel].
    const transposed = lw.layers.conv2dTranspose({
      ...options,
      filters: 3,
      inputShape: [2, 2, 2],
    });
    expect(await of(transposed, [1, 1, 3, 2])).toEqual([0, 1, 2, 3, 4, 5]);
    // Kernel [1, 1, channel, multiplier].
    const depthwise = lw.layers.depthwiseConv2d({
      ...options,
      depthMultiplier: 3,
      inputShape: [2, 2, 2],
    });
    expect(await of(depthwise, [1, 1, 2, 3])).toEqual([0, 1, 2, 3, 4, 5]);
  });

  describe.each([
    ["a model", false, ""],
    ["a model inside another", true, "body/"],
  ])("channels first, %s", (_, inside, path) => {
    const last = imageNetwork("channelsLast", inside);
    const first = imageNetwork("channelsFirst", inside);
    const layers = [
      "pad",
      ...["before", "c1", "norm", "act", "pool", "c2", "sum"].map((name) => path + name),
    ];

    test("gives the Grad-CAM that channels last give", async () => {
      const want = await lw.gradCam(last, picture);
      expect(want).toMatchObject({ layer: `${path}sum`, height: 8, width: 7 });
      expectSameCam(await lw.gradCam(first, turned), want);
      for (const layer of layers) {
        const options = { layer, classIndex: want.classIndex };
        expectSameCam(
          await lw.gradCam(first, turned.expandDims(0), options),
          await lw.gradCam(last, picture, options),
        );
      }
    });

    test("gives the feature maps that channels last give", async () => {
      const convolutions = await lw.featureMaps(last, picture);
      expect(convolutions.map(({ layer }) => layer)).toEqual([`${path}c1`, `${path}c2`]);
      expect(convolutions[0]).toMatchObject({ height: 8, width: 6 });
      (await lw.featureMaps(first, turned)).forEach((maps, i) => {
        expectSameImages(maps, convolutions[i]!);
      });
      const named = ["image", ...(inside ? ["body"] : []), ...layers];
      const want = await lw.featureMaps(last, picture, named);
      const got = await lw.featureMaps(first, turned, named);
      expect(got.map(({ layer }) => layer)).toEqual(named);
      got.forEach((maps, i) => {
        expectSameImages(maps, want[i]!);
      });
    });

    test("gives the filters that channels last give", async () => {
      const want = await lw.filters(last);
      expect(want).toMatchObject({ layer: `${path}c1`, height: 3, width: 2 });
      expect(want.images).toHaveLength(15);
      expectSameImages(await lw.filters(first), want);
      expectSameImages(await lw.filters(first, `${path}c2`), await lw.filters(last, `${path}c2`));
    });
  });

  test("Grad-CAM of a model inside is that of its layers without one", async () => {
    const inside = await lw.gradCam(imageNetwork("channelsLast", true), picture);
    expectSameCam(
      { ...inside, layer: "sum" },
      await lw.gradCam(imageNetwork("channelsLast"), picture),
    );
  });

  test("a model that is used twice inside has its filters, but not its own maps", async () => {
    const x = lw.input({ shape: [4, 4, 1] });
    const own = lw.input({ shape: [4, 4, 1] });
    const conv = lw.layers.conv2d({ filters: 1, kernelSize: 3, padding: "same", name: "c" });
    const block = lw.model({ inputs: own, outputs: conv.apply(own), name: "block" });
    const model = lw.model({ inputs: x, outputs: block.apply(block.apply(x)) });
    expect((await lw.filters(model)).layer).toBe("block/c");
    await expect(lw.featureMaps(model, halves, ["block/c"])).rejects.toThrow("once, got conv2d");
  });

  test("filters of a model with two inputs", async () => {
    const inputs = [lw.input({ shape: [4, 4, 1] }), lw.input({ shape: [4, 4, 1] })];
    const sum = lw.layers.add().apply(inputs);
    const conv = lw.layers.conv2d({ filters: 3, kernelSize: 2 });
    const model = lw.model({ inputs, outputs: conv.apply(sum) });
    expect((await lw.filters(model)).images).toHaveLength(3);
    await expect(lw.featureMaps(model, halves)).rejects.toThrow(
      "featureMaps(): expected a model with one input, got 2 inputs",
    );
  });

  test("an image of bytes is cast, as predict casts it", async () => {
    const [maps] = await lw.featureMaps(network(), halves.cast("uint8"));
    expect(maps!.images).toEqual((await lw.featureMaps(network(), halves))[0]!.images);
  });

  test("padding alone says where the channels stand", async () => {
    const pad = lw.layers.zeroPadding2d({
      dataFormat: "channelsFirst",
      inputShape: [1, 4, 2],
      name: "pad",
    });
    const [maps] = await lw.featureMaps(lw.sequential([pad]), lw.ones([1, 4, 2]), ["pad"]);
    expect(maps).toMatchObject({ height: 6, width: 4 });
  });

  test("padding that adds channels says nothing of where they stand", async () => {
    const x = lw.input({ shape: [6, 4, 2] });
    // As the shortcuts of CIFAR's ResNets: seen with the channels first, it pads the last axis.
    const more = lw.layers
      .zeroPadding2d({
        dataFormat: "channelsFirst",
        padding: [
          [0, 0],
          [1, 2],
        ],
        name: "more",
      })
      .apply(x);
    const conv = lw.layers.conv2d({ filters: 5, kernelSize: 3, padding: "same" }).apply(x);
    const sum = lw.layers.add({ name: "sum" }).apply([more, conv]);
    const model = lw.model({ inputs: x, outputs: lw.layers.flatten().apply(sum) });
    const [padded, added] = await lw.featureMaps(model, lw.ones([6, 4, 2]), ["more", "sum"]);
    for (const maps of [padded, added]) expect(maps).toMatchObject({ height: 6, width: 4 });
    expect(padded!.images.map(([value]) => value)).toEqual([0, 1, 1, 0, 0]);
  });

  test("permuted channels are followed, reshaped ones told by what comes after", async () => {
    const x = lw.input({ shape: [6, 4, 2], name: "image" });
    const moved = lw.layers.permute({ dims: [3, 1, 2], name: "moved" }).apply(x);
    const conv = lw.layers
      .conv2d({ filters: 3, kernelSize: 3, dataFormat: "channelsFirst", name: "c" })
      .apply(moved);
    const again = lw.layers.reshape({ targetShape: [4, 2, 3], name: "again" }).apply(conv);
    const last = lw.layers.conv2d({ filters: 1, kernelSize: 1 }).apply(again);
    const model = lw.model({ inputs: x, outputs: last });
    const image = lw.randomUniform([6, 4, 2], 0, 1, "float32", 1);
    const names = ["image", "moved", "c", "again"];
    const [given, turnedMaps, c, reshaped] = await lw.featureMaps(model, image, names);
    expect(given).toMatchObject({ height: 6, width: 4 });
    expect(turnedMaps).toMatchObject({ height: 6, width: 4, images: given!.images });
    expect(c).toMatchObject({ height: 4, width: 2 });
    expect(reshaped).toMatchObject({ height: 4, width: 2 });
    expect(reshaped!.images).toHaveLength(3);
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

  test("misclassified samples by one-hot labels, smoothed or not", async () => {
    const model = network("linear");
    const x = lw.tensor(
      [0.9, 0.2, 0.6, 0.7].flatMap((v) => new Array<number>(16).fill(v)),
      [4, 4, 4, 1],
    );
    const labels = [1, 1, 1, 0];
    const wrong = await lw.misclassified(model, x, labels);
    expect(wrong).toHaveLength(2);
    const hot = lw.oneHot(labels, 2);
    expect(await lw.misclassified(model, x, hot)).toEqual(wrong);
    expect(await lw.misclassified(model, x, hot.mul(0.9).add(0.05))).toEqual(wrong);
    expect(await lw.misclassified(model, x, hot, 1)).toEqual(wrong.slice(0, 1));
    expect(await lw.misclassified(model, x, lw.tensor(labels, [4, 1]))).toEqual(wrong);
  });

  test("misclassified samples of a dataset are counted over its batches, in its order", async () => {
    const model = network("linear");
    const values = [0.9, 0.2, 0.6, 0.7, 0.8];
    const xs = lw.tensor(
      values.flatMap((v) => new Array<number>(16).fill(v)),
      [5, 4, 4, 1],
    );
    const labels = [1, 1, 1, 0, 1];
    const want = await lw.misclassified(model, xs, labels);
    expect(want.map(({ index }) => index)).toEqual([0, 4, 2]);
    const sparse = lw.tensor(labels, [5], "int32");
    for (const ys of [sparse, lw.oneHot(labels, 2)]) {
      const pairs = lw.data.fromArrays(xs, ys).batch(2);
      expect(await lw.misclassified(model, pairs)).toEqual(want);
      expect(await lw.misclassified(model, pairs, 2)).toEqual(want.slice(0, 2));
      const records = lw.data.fromArrays({ xs, ys }).batch(3);
      expect(await lw.misclassified(model, records)).toEqual(want);
    }
    const skipped = lw.data.fromArrays(xs, sparse).skip(1).batch(2);
    expect((await lw.misclassified(model, skipped)).map(({ index }) => index)).toEqual([3, 1]);
    // Shuffled anew for each pass: labels and predictions are of the same one.
    const shuffled = lw.data.fromArrays(xs, sparse).shuffle(5).batch(2);
    const outputs = (await lw.misclassified(model, shuffled)).map(({ output }) => output);
    expect(outputs).toEqual(want.map(({ output }) => output));
  });

  test("misclassified closes the dataset, also when its labels are wrong", async () => {
    let closed = 0;
    const dataset = (label: number) =>
      lw.data
        .fromGenerator(function* () {
          try {
            for (let i = 0; i < 4; i++) yield [halves, label] as const;
          } finally {
            closed++;
          }
        })
        .batch(2);
    await lw.misclassified(network(), dataset(1));
    expect(closed).toBe(1);
    await expect(lw.misclassified(network(), dataset(7))).rejects.toThrow("batch 1 of the dataset");
    expect(closed).toBe(2);
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
      "misclassified(): expected a class number for each of 1 samples, or one-hot labels [1, 2], got shape [2]",
      () => lw.misclassified(dense, lw.ones([1, 3]), [0, 1]),
    ],
    [
      "misclassified(): expected a class number for each of 2 samples, or one-hot labels [2, 2], got shape [2, 3]",
      () => lw.misclassified(dense, lw.ones([2, 3]), lw.oneHot([0, 1], 3)),
    ],
    [
      "misclassified(): expected labels with one class in each row, got [1, 1] for sample 1",
      () =>
        lw.misclassified(dense, lw.ones([2, 3]), [
          [1, 0],
          [1, 1],
        ]),
    ],
    [
      "misclassified(): expected labels with one class in each row, got [0.5, 0.5] for sample 0",
      () => lw.misclassified(dense, lw.ones([1, 3]), [[0.5, 0.5]]),
    ],
    [
      "misclassified(): expected labels with class numbers from 0 to 1, got 2 for sample 1",
      () => lw.misclassified(dense, lw.ones([2, 3]), [0, 2]),
    ],
    [
      "misclassified(): expected a model that gives [batch, classes], got [null, 4, 4, 2]",
      () => {
        const model = lw.sequential([
          lw.layers.conv2d({ filters: 2, kernelSize: 1, inputShape: [4, 4, 1] }),
        ]);
        return lw.misclassified(model, lw.ones([1, 4, 4, 1]), [0]);
      },
    ],
    [
      "misclassified(): the dataset is endless, so take a part: dataset.take(n)",
      () =>
        lw.misclassified(
          dense,
          lw.data
            .fromArrays(lw.ones([2, 3]), lw.zeros([2]))
            .batch(2)
            .repeat(),
        ),
    ],
    [
      "misclassified(): batch 1 of the dataset: there are no labels",
      () => lw.misclassified(dense, lw.data.fromArrays(lw.ones([2, 3])).batch(2) as never),
    ],
    [
      "misclassified(): expected `limit` to be an integer ≥ 0, got -1",
      () => lw.misclassified(dense, lw.ones([2, 3]), lw.zeros([2]), -1),
    ],
    [
      "misclassified(): expected a dataset and a limit, got [0, 1]; its elements hold x and y",
      () =>
        lw.misclassified(dense, lw.data.fromArrays(lw.ones([2, 3]), lw.zeros([2])).batch(2), [
          0, 1,
        ] as never),
    ],
    [
      "gradCam(): expected one image [channels, height, width], got shape [2, 3, 8, 7]",
      () => lw.gradCam(imageNetwork("channelsFirst"), lw.ones([2, 3, 8, 7])),
    ],
    [
      "featureMaps(): expected an image [channels, height, width] of shape [3, 8, 7], got [8, 7, 3]",
      () => lw.featureMaps(imageNetwork("channelsFirst"), picture),
    ],
    [
      'got "c1"; did you mean "body/c1"?',
      () => lw.filters(imageNetwork("channelsLast", true), "c1"),
    ],
  ])("%s", async (message, make) => {
    await expect(make()).rejects.toThrow(message);
  });
});
