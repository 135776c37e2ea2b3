/** What the contract tests don't say of layers over images: known values, statistics, random changes, errors. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

const { layers } = lw;
const ramp = (shape: number[]): lw.Tensor =>
  lw.tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
    shape,
  );
const run = (layer: lw.Layer, x: lw.TensorLike, training = false): lw.Tensor =>
  layer.apply(x, { training }) as lw.Tensor;

onEachBackend("layers over images", () => {
  test("channels first gives what channels last gives, turned around", () => {
    const x = lw.tensor(uniform(1, 2 * 6 * 5 * 4), [2, 6, 5, 4]);
    const turned = x.transpose([0, 3, 1, 2]);
    const both: [lw.Layer, lw.Layer][] = [
      { filters: 3, kernelSize: 3, padding: "same" as const },
      { filters: 2, kernelSize: [2, 3], strides: 2 },
    ].map((options) => [
      layers.conv2d(options),
      layers.conv2d({ ...options, dataFormat: "channelsFirst" }),
    ]);
    both.push([
      layers.maxPooling2d({ poolSize: 3, strides: 1 }),
      layers.maxPooling2d({ poolSize: 3, strides: 1, dataFormat: "channelsFirst" }),
    ]);
    both.push([
      layers.depthwiseConv2d({ kernelSize: 3 }),
      layers.depthwiseConv2d({ kernelSize: 3, dataFormat: "channelsFirst" }),
    ]);
    both.push([
      layers.localResponseNormalization({ depthRadius: 1 }),
      layers.localResponseNormalization({ depthRadius: 1, dataFormat: "channelsFirst" }),
    ]);
    for (const [last, first] of both) {
      const want = run(last, x);
      run(first, turned);
      first.setWeights(last.getWeights());
      const got = run(first, turned).transpose([0, 2, 3, 1]);
      expectClose(got.dataSync(), want.dataSync(), { rtol: 1e-6, atol: 1e-6 });
    }
  });

  test("a row of layers with channels first gives what channels last give, and so do its gradients", () => {
    const row = (dataFormat: "channelsFirst" | "channelsLast"): lw.Layer[] => [
      layers.conv2d({ filters: 4, kernelSize: 3, dataFormat }),
      layers.leakyReLU(),
      layers.maxPooling2d({ poolSize: 2, dataFormat }),
      layers.conv2d({ filters: 2, kernelSize: 2, dataFormat }),
    ];
    const through = (row: lw.Layer[], x: lw.Tensor) => row.reduce((y, layer) => run(layer, y), x);
    const x = lw.tensor(uniform(6, 2 * 9 * 8 * 3), [2, 9, 8, 3]);
    const values = x.transpose([0, 3, 1, 2]);
    const turned = lw.tensor(values.dataSync(), values.shape); // as it comes from outside
    const [last, first] = [row("channelsLast"), row("channelsFirst")];
    const want = through(last, x);
    through(first, turned);
    first.forEach((layer, i) => {
      layer.setWeights(last[i]!.getWeights());
    });
    const got = lw.compile((x: lw.Tensor) => through(first, x))(turned) as lw.Tensor;
    const close = { rtol: 1e-5, atol: 1e-6 };
    expectClose(got.transpose([0, 2, 3, 1]).dataSync(), want.dataSync(), close);
    const squares = (row: lw.Layer[]) => (x: lw.Tensor) => lw.sum(lw.square(through(row, x)));
    const gradient = lw.grad(squares(first))(turned).transpose([0, 2, 3, 1]);
    expectClose(gradient.dataSync(), lw.grad(squares(last))(x).dataSync(), close);
  });

  test("a separable convolution is a depthwise and a pointwise one", () => {
    const x = lw.tensor(uniform(2, 2 * 5 * 5 * 3), [2, 5, 5, 3]);
    const separable = layers.separableConv2d({ filters: 4, kernelSize: 3, depthMultiplier: 2 });
    const y = run(separable, x);
    const [depth, point, bias] = separable.getWeights() as [lw.Tensor, lw.Tensor, lw.Tensor];
    const want = lw.conv2d(lw.depthwiseConv2d(x, depth), point).add(bias);
    expectClose(y.dataSync(), want.dataSync(), { rtol: 1e-6, atol: 1e-6 });
  });

  test("a transposed convolution of sequences is the gradient of a convolution", () => {
    const x = lw.tensor(uniform(3, 2 * 4 * 3), [2, 4, 3]);
    const layer = layers.conv1dTranspose({ filters: 2, kernelSize: 3, strides: 2, useBias: false });
    const y = run(layer, x);
    const kernel = layer.getWeights()[0]!;
    const back = lw.grad((z) => lw.conv1d(z, kernel, { strides: 2 }))(lw.zeros(y.shape), x);
    expectClose(y.dataSync(), back.dataSync(), { rtol: 1e-6, atol: 1e-6 });
  });

  test("a connected convolution is one whose other weights are 0", () => {
    const connections = [[0, 2], [1], [0, 1, 2]];
    const x = lw.tensor(uniform(4, 2 * 5 * 5 * 3), [2, 5, 5, 3]);
    const layer = layers.connectedConv2d({ connections, kernelSize: 3, useBias: false });
    const y = run(layer, x);
    const kernel = layer.getWeights()[0]!.dataSync();
    const full = new Float32Array(3 * 3 * 3 * 3);
    for (let tap = 0; tap < 9; tap++) {
      let at = 0;
      connections.forEach((channels, f) => {
        for (const c of channels) full[(tap * 3 + c) * 3 + f] = kernel[tap * 6 + at++]!;
      });
    }
    const want = lw.conv2d(x, lw.tensor(full, [3, 3, 3, 3]));
    expectClose(y.dataSync(), want.dataSync(), { rtol: 1e-6, atol: 1e-6 });
  });

  test("normalization takes mean and variance from data", () => {
    const data = lw.tensor([
      [1, 10],
      [3, 10],
      [5, 10],
    ]);
    const layer = layers.normalization();
    expect(layer.adapted).toBe(false);
    layer.adapt(data);
    expect(layer.adapted).toBe(true);
    expect(layer.getWeights().map((w) => w.arraySync())).toEqual([
      [3, 10],
      [expect.closeTo(8 / 3, 5), 0],
    ]);
    const deviation = Math.sqrt(8 / 3);
    expectClose(run(layer, data).dataSync(), [-2 / deviation, 0, 0, 0, 2 / deviation, 0], {
      atol: 1e-6,
    });
    const all = layers
      .normalization({ axis: [] })
      .adapt(lw.tensor(Uint8Array.of(0, 2, 4, 6), [2, 2]));
    expect(all.getWeights().map((w) => w.arraySync())).toEqual([3, 5]);
    const none = layers.normalization({ axis: null }).adapt([
      [0, 2],
      [4, 6],
    ]);
    expect(none.getWeights().map((w) => w.arraySync())).toEqual([3, 5]);
    expect(none.getConfig().axis).toBeNull();
    const again = new layers.Normalization(none.getConfig() as object);
    expect(again.adapt(lw.tensor([4, 6])).getWeights()[0]!.shape).toEqual([]);
  });

  test("normalization takes mean and variance from a dataset's batches", async () => {
    const [n, shape] = [11, [11, 3, 4, 2]];
    const x = lw.tensor(uniform(7, n * 24, -2, 5), shape);
    const rows = lw.data.fromArrays(x, lw.zeros([n]));
    const batches = rows.batch(4);
    for (const axis of [-1, null, 2, [1, 3], [3, 2, 1]]) {
      const want = layers.normalization({ axis }).adapt(x).getWeights();
      const sources = [
        batches,
        batches.map(([x]) => x),
        batches.map(([xs, ys]) => ({ xs, ys })),
        // Lazy tensors, and other sizes of batches.
        lw.data.fromIterable([x.slice([0, 0, 0, 0], [10, 3, 4, 2]).add(0), x.slice([10, 0, 0, 0])]),
      ];
      for (const source of sources) {
        const layer = layers.normalization({ axis });
        const adapting: Promise<lw.Layer> = layer.adapt(source);
        expect(await adapting).toBe(layer);
        expect(layer.adapted).toBe(true);
        layer.getWeights().forEach((got, i) => {
          expect(got.shape).toEqual(want[i]!.shape);
          expectClose(got.dataSync(), want[i]!.dataSync(), { rtol: 1e-5, atol: 1e-6 });
        });
      }
    }
    // Far from zero, and of another mean in each batch: sums of squares would leave nothing of it.
    const far = Int32Array.from({ length: 4000 }, (_, i) => 1e9 + Math.floor(i / 1000));
    const layer = layers.normalization();
    await layer.adapt(lw.data.fromArrays(lw.tensor(far, [4000, 1])).batch(300));
    expect(layer.getWeights().map((w) => w.item())).toEqual([
      Math.fround(1e9 + 1.5),
      expect.closeTo(1.25, 5),
    ]);
    // Pictures of other sizes, with the channels' statistics.
    const sizes = lw.data.fromIterable([lw.ones([1, 2, 3, 2]), lw.ones([2, 3, 3, 2]).mul(4)]);
    const channels = await layers.normalization().adapt(sizes);
    expect(channels.getWeights().map((w) => w.arraySync())).toEqual([
      [3.25, 3.25],
      [1.6875, 1.6875],
    ]);
  });

  test("what datasets lack for normalization is named", async () => {
    const adapt = (data: lw.data.Dataset<unknown>, axis: number | null = -1) =>
      layers.normalization({ axis, name: "n" }).adapt(data);
    const where = 'normalization layer "n": adapt(): ';
    await expect(adapt(lw.data.fromIterable([]))).rejects.toThrow(
      `${where}expected at least one sample, got none`,
    );
    await expect(adapt(lw.data.fromIterable([[1, 2]]).repeat())).rejects.toThrow(
      `${where}the dataset is endless`,
    );
    await expect(
      adapt(lw.data.fromIterable([[lw.ones([2, 3])], [lw.ones([2, 4])]])),
    ).rejects.toThrow(`${where}batch 2 of the dataset: expected input of size 3 at axis 1`);
    await expect(adapt(lw.data.fromIterable(["a"]))).rejects.toThrow(
      `${where}batch 1 of the dataset: expected [x, y]`,
    );
    await expect(adapt(lw.data.fromArrays([[1, 2]]))).rejects.toThrow(
      "samples of one number have `axis: null`",
    );
    const given = layers.normalization({ mean: 1, variance: 1 });
    await expect(given.adapt(lw.data.fromArrays([[1, 2]]).batch(1))).rejects.toThrow(lw.StateError);
  });

  test("a normalization that comes from a file is adapted if it was when it was saved", async () => {
    const directory = await mkdtemp(join(tmpdir(), "layerwise-images-"));
    try {
      for (const adapted of [true, false]) {
        const layer = layers.normalization({ inputShape: [2], name: "standard" });
        const model = lw.sequential([layer, layers.dense({ units: 1 })]);
        if (adapted) {
          layer.adapt([
            [1, 2],
            [3, 2],
          ]);
        }
        const path = join(directory, `${adapted}.safetensors`);
        await model.save(path);
        const loaded = (await lw.loadModel(path)).getLayer("standard");
        expect((loaded as lw.layers.Normalization).adapted).toBe(adapted);
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("a single image is changed as a batch of one", async () => {
    const range = { heightFactor: 0.3, widthFactor: 0.2 };
    const x = lw.tensor(uniform(8, 5 * 6 * 3), [5, 6, 3]);
    for (const dataFormat of ["channelsLast", "channelsFirst"] as const) {
      const o = { dataFormat, seed: 4 };
      const made: [name: string, make: () => lw.Layer][] = [
        ["flip", () => layers.randomFlip(o)],
        ["translation", () => layers.randomTranslation({ ...range, ...o })],
        ["rotation", () => layers.randomRotation({ factor: 0.2, ...o })],
        ["zoom", () => layers.randomZoom({ ...range, ...o })],
        ["crop", () => layers.randomCrop({ height: 3, width: 2, ...o })],
        ["contrast", () => layers.randomContrast({ factor: 0.5, valueRange: [-1, 1], ...o })],
        ["brightness", () => layers.randomBrightness({ factor: 0.5, valueRange: [-1, 1], ...o })],
        ["resizing", () => layers.resizing({ height: 3, width: 7, dataFormat })],
        ["centre", () => layers.centerCrop({ height: 3, width: 2, dataFormat })],
      ];
      for (const [name, make] of made) {
        for (const training of [true, false]) {
          const got = run(make(), x, training);
          const want = run(make(), x.expandDims(0), training);
          expect([name, got.shape]).toEqual([name, want.shape.slice(1)]);
          expect(got.dataSync()).toEqual(want.dataSync());
        }
        const layer = make();
        const symbol = layer.apply(lw.input({ batchShape: [5, 6, 3] })) as lw.SymbolicTensor;
        expect([name, symbol.shape]).toEqual([name, run(make(), x).shape]);
        // Samples without channels: their batch is no height.
        expect(() => make().apply(lw.input({ shape: [5, 6] }))).toThrow(
          /expected images \[batch, height, width, channels\].*got shape \[null, 5, 6\]/,
        );
      }
    }
    const crop = layers.randomCrop({ height: 2, width: 2 });
    const images = lw.data
      .fromArrays(ramp([4, 3, 3, 1]).cast("uint8"))
      .map((image) => crop.apply(image, { training: true }) as lw.Tensor)
      .batch(4);
    expect((await images.toArray()).map(({ shape }) => shape)).toEqual([[4, 2, 2, 1]]);
  });

  test("each image is flipped on its own, about half of them", () => {
    const x = lw.ones([200, 1, 1, 1]).mul(ramp([1, 2, 3, 1]));
    const layer = layers.randomFlip({ mode: "horizontal", seed: 5 });
    const rows = run(layer, x, true).dataSync();
    let flipped = 0;
    for (let i = 0; i < 200; i++) {
      const image = [...rows.subarray(6 * i, 6 * i + 6)];
      expect([
        [0, 1, 2, 3, 4, 5],
        [2, 1, 0, 5, 4, 3],
      ]).toContainEqual(image);
      if (image[0] === 2) flipped++;
    }
    expect(flipped).toBeGreaterThan(70);
    expect(flipped).toBeLessThan(130);
  });

  test("a quarter turn is counter-clockwise, a translation to the right and down", () => {
    const x = ramp([1, 3, 3, 1]);
    const turned = run(layers.randomRotation({ factor: [0.25, 0.25] }), x, true);
    expectClose(turned.dataSync(), [2, 5, 8, 1, 4, 7, 0, 3, 6], { atol: 1e-5 });
    const third = [1 / 3, 1 / 3] as const;
    const moved = run(
      layers.randomTranslation({ heightFactor: third, widthFactor: third, fillMode: "constant" }),
      x,
      true,
    );
    expectClose(moved.dataSync(), [0, 0, 0, 0, 0, 1, 0, 3, 4], { atol: 1e-5 });
  });

  test("a zoom of one half shows every place half as far from the centre", () => {
    const x = ramp([1, 1, 5, 1]);
    const zoom = layers.randomZoom({ heightFactor: [0, 0], widthFactor: [-0.5, -0.5] });
    expectClose(run(zoom, x, true).dataSync(), [1, 1.5, 2, 2.5, 3], { atol: 1e-5 });
  });

  test("crops are parts of the image, in all places", () => {
    const x = lw.ones([64, 1, 1, 1]).mul(ramp([1, 4, 5, 1]));
    const y = run(layers.randomCrop({ height: 2, width: 3, seed: 1 }), x, true);
    const corners = new Set<number>();
    for (let i = 0; i < 64; i++) {
      const image = [...y.dataSync().subarray(6 * i, 6 * i + 6)];
      const corner = image[0]!;
      corners.add(corner);
      expect(image).toEqual([0, 1, 2, 5, 6, 7].map((v) => v + corner));
    }
    // 3 × 3 places.
    expect(corners.size).toBe(9);
    expect(run(layers.centerCrop({ height: 2, width: 3 }), ramp([1, 4, 5, 1])).dataSync()).toEqual(
      Float32Array.of(6, 7, 8, 11, 12, 13),
    );
  });

  test("contrast keeps the mean, brightness moves it, both within the range", () => {
    const x = lw.tensor(uniform(5, 4 * 4 * 4 * 2, 0.4, 0.6), [4, 4, 4, 2]);
    const range = { valueRange: [0, 1] } as const;
    const contrast = run(layers.randomContrast({ factor: 0.5, ...range }), x, true);
    expectClose(contrast.mean([1, 2]).dataSync(), x.mean([1, 2]).dataSync(), { atol: 1e-6 });
    // Keras' [lower, upper]: factors from 1 − lower to 1 + upper.
    const two = lw.tensor([-1, 1], [1, 1, 2, 1]).mul(lw.ones([300, 1, 1, 1]));
    const wide = { valueRange: [-10, 10] } as const;
    for (const [factor, from, to] of [
      [[0.5, 2], 0.5, 3],
      [[1, 0], 0, 1],
      [0.5, 0.5, 1.5],
    ] as const) {
      const varied = run(layers.randomContrast({ factor, seed: 1, ...wide }), two, true);
      const factors = varied.dataSync().filter((_, i) => i % 2 === 1);
      expect([Math.min(...factors) >= from, Math.max(...factors) <= to]).toEqual([true, true]);
      expect(Math.min(...factors)).toBeLessThan(from + 0.1 * (to - from));
      expect(Math.max(...factors)).toBeGreaterThan(to - 0.1 * (to - from));
    }
    const bright = run(layers.randomBrightness({ factor: [0.3, 0.3], ...range }), x, true);
    expectClose(bright.dataSync(), x.add(0.3).dataSync(), { atol: 1e-6 });
    const white = run(layers.randomBrightness({ factor: [1, 1] }), lw.ones([1, 2, 2, 1]), true);
    expect(Math.max(...white.dataSync())).toBe(255);
  });

  test("a dataset's batches are augmented while they are prepared, anew in each epoch", async () => {
    const images = ramp([12, 4, 4, 1]);
    const epochs = async (): Promise<number[][]> => {
      const flip = layers.randomFlip({ seed: 4 });
      const turn = layers.randomRotation({ factor: 0.2, seed: 5 });
      const varied = lw.data
        .fromArrays(images, lw.zeros([12]))
        .batch(6)
        .map(([x, y]) => {
          const flipped = flip.apply(x as lw.Tensor, { training: true });
          return [turn.apply(flipped, { training: true }), y] as const;
        });
      const seen: number[][] = [];
      for (let epoch = 0; epoch < 2; epoch++) {
        for await (const [x] of varied) seen.push([...x.dataSync()]);
      }
      return seen;
    };
    const seen = await epochs();
    expect(new Set(seen.map(String)).size).toBe(4);
    expect(await epochs()).toEqual(seen);
  });

  test("augmentation is part of training, and not of prediction", async () => {
    lw.setRandomSeed(3);
    const model = lw.sequential([
      layers.rescaling({ scale: 1 / 255, inputShape: [6, 6, 1], inputDType: "uint8" }),
      layers.randomFlip(),
      layers.randomRotation({ factor: 0.1 }),
      layers.randomTranslation({ heightFactor: 0.1, widthFactor: 0.1 }),
      layers.conv2d({ filters: 2, kernelSize: 3, activation: "relu" }),
      layers.globalMaxPooling2d(),
      layers.dense({ units: 2, activation: "softmax" }),
    ]);
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const bytes = Uint8Array.from({ length: 8 * 36 }, (_, i) => (i * 37) % 256);
    const x = lw.tensor(bytes, [8, 6, 6, 1]);
    const { history } = await model.fit(x, [0, 1, 0, 1, 0, 1, 0, 1], { epochs: 2, verbose: 0 });
    expect(Number.isFinite(history.loss![1]!)).toBe(true);
    const first = (await model.predict(x)).dataSync();
    expect((await model.predict(x)).dataSync()).toEqual(first);
  });
});

describe("errors", () => {
  const x = lw.ones([1, 4, 4, 3]);
  const pairs = <P>(pair: P): P[] => [pair, pair];
  test.each<[string, () => unknown]>([
    [
      "expected `kernelSize` to be a number or 2 of them, got [3, 3, 3]",
      () => layers.conv2d({ filters: 1, kernelSize: [3, 3, 3], name: "c" }),
    ],
    [
      'conv2d layer "c": `strides` and `dilationRate` can\'t both be above 1',
      () => layers.conv2d({ filters: 1, kernelSize: 3, strides: 2, dilationRate: 2, name: "c" }),
    ],
    [
      'conv2d layer "c": expected numbers of channels and `filters` that its 2 groups divide, got 3 and 4',
      () => run(layers.conv2d({ filters: 4, kernelSize: 3, groups: 2, name: "c" }), x),
    ],
    [
      'conv2d layer "c": expected an input whose size at axis 3 is known',
      () => layers.conv2d({ filters: 4, kernelSize: 3, name: "c" }).ensureBuilt([null, 4, 4, null]),
    ],
    [
      'conv2d layer "c": expected `padding` to be "valid", "same", an integer ≥ 0 or pairs [before, after], got "causal"',
      () => layers.conv2d({ filters: 1, kernelSize: 3, padding: "causal" as never, name: "c" }),
    ],
    [
      'conv2d layer "c": expected `padding` to be "valid", "same", a number or 2 pairs [before, after], got [[1, 1]]',
      () => layers.conv2d({ filters: 1, kernelSize: 3, padding: [[1, 1]], name: "c" }),
    ],
    [
      'conv2d layer "c": expected `padding` to be "valid", "same", an integer ≥ 0 or pairs [before, after], got [[1, 1, 1], [1, 1, 1]]',
      () =>
        layers.conv2d({ filters: 1, kernelSize: 3, padding: pairs([1, 1, 1]) as never, name: "c" }),
    ],
    [
      'conv2d layer "c": expected `padding` to be "valid", "same", an integer ≥ 0 or pairs [before, after], got [[-1, 0], [-1, 0]]',
      () => layers.conv2d({ filters: 1, kernelSize: 3, padding: pairs([-1, 0]), name: "c" }),
    ],
    [
      'conv1d layer "c": expected `padding` to be "valid", "same", a number or 1 pairs',
      () => layers.conv1d({ filters: 1, kernelSize: 3, padding: pairs([1, 0]), name: "c" }),
    ],
    [
      'maxPooling3d layer "p": expected `padding` to be "valid", "same", a number or 3 pairs',
      () => layers.maxPooling3d({ padding: pairs([1, 0]), name: "p" }),
    ],
    [
      'connectedConv2d layer "l": expected `padding` to be "valid", "same", a number or 2 pairs',
      () =>
        layers.connectedConv2d({
          connections: [[0]],
          kernelSize: 1,
          padding: [[1, 0]],
          name: "l",
        }),
    ],
    [
      'conv2d layer "c": unknown option `kernel_size`; options are in camelCase here: `kernelSize`',
      () => layers.conv2d({ filters: 1, kernel_size: 3, name: "c" } as never),
    ],
    [
      'separableConv2d layer "s": padding "causal" is for sequences',
      () => layers.separableConv2d({ filters: 1, kernelSize: 3, padding: "causal", name: "s" }),
    ],
    [
      'conv2dTranspose layer "t": expected `outputPadding` to be a number or 2 of them',
      () =>
        layers.conv2dTranspose({ filters: 1, kernelSize: 3, outputPadding: [1, 1, 1], name: "t" }),
    ],
    [
      'maxPooling2d layer "p": expected input of rank 4, got shape [2, 3]',
      () => run(layers.maxPooling2d({ name: "p" }), lw.ones([2, 3])),
    ],
    [
      'maxPooling2d layer "p": maxPool: expected a height of at least 5 for a window of 5, got 4',
      () => run(layers.maxPooling2d({ poolSize: 5, name: "p" }), x),
    ],
    [
      'zeroPadding2d layer "z": expected `padding` to be an integer ≥ 0 or 2 of them, or 2 pairs [before, after], got [1, 2, 3]',
      () => layers.zeroPadding2d({ padding: [1, 2, 3], name: "z" }),
    ],
    [
      'cropping2d layer "k": expected an input that `cropping` [[2,2],[0,0]] leaves something of, got shape [1, 4, 4, 3]',
      () =>
        run(
          layers.cropping2d({
            cropping: [
              [2, 2],
              [0, 0],
            ],
            name: "k",
          }),
          x,
        ),
    ],
    [
      'connectedConv2d layer "l": expected input with channel 5, got 3 channels',
      () => run(layers.connectedConv2d({ connections: [[0, 5]], kernelSize: 1, name: "l" }), x),
    ],
    [
      'normalization layer "n": give both `mean` and `variance`, or neither',
      () => layers.normalization({ mean: 1, name: "n" }),
    ],
    [
      'normalization layer "n": `mean` and `variance` were given as options',
      () => layers.normalization({ mean: 1, variance: 1, name: "n" }).adapt([[1]]),
    ],
    [
      'normalization layer "n": expected input of size 2 at axis 1, got shape [null, 3]',
      () =>
        layers
          .normalization({ name: "n" })
          .adapt([[1, 2]])
          .adapt([[1, 2, 3]]),
    ],
    [
      'randomRotation layer "r": expected `factor` to be a number ≥ 0 or [low, high] with low ≤ high, got -1',
      () => layers.randomRotation({ factor: -1, name: "r" }),
    ],
    ...([[[-0.2, 0.3]], [[1.1, 0]], [[0, -0.1]], [[0.1]], [1.5], [[null, 0]]] as never[][]).map(
      ([factor]): [string, () => unknown] => [
        'randomContrast layer "r": expected `factor` to be a number from 0 to 1, or [lower, upper] with lower from 0 to 1 and upper ≥ 0, got',
        () => layers.randomContrast({ factor: factor!, name: "r" }),
      ],
    ),
    [
      'randomZoom layer "r": expected `heightFactor` to be a number from 0 to 1 or [low, high] with -1 ≤ low ≤ high',
      () => layers.randomZoom({ heightFactor: [-2, 0], name: "r" }),
    ],
  ])("%s", (message, make) => {
    expect(make).toThrow(message);
  });
});
