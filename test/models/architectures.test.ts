/** The published networks: parameters, shapes and multiply-adds as published, files, and that they learn. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { networkCosts } from "../../src/network/summary.js";
import { onEachBackend } from "../helpers/backends.js";

const { alexnet, googlenet, lenet5, resnet, vgg } = lw.models;

const trainable = (model: { trainableWeights: lw.Variable[] }): number =>
  model.trainableWeights.reduce((sum, w) => sum + w.size, 0);

/** Shape of what a layer gives. */
const shapeAt = (model: lw.Model, name: string): unknown =>
  (model.getLayer(name).output as lw.SymbolicTensor).shape.slice(1);

/** Multiply-adds of the layers whose names begin so. */
const multiplyAdds = (model: lw.Model, prefix: string): number =>
  model.layers
    .filter((layer) => layer.name.startsWith(prefix))
    .map((layer) => {
      const given = layer.input as lw.SymbolicTensor | lw.SymbolicTensor[];
      const shapes = Array.isArray(given) ? given.map((x) => x.shape) : given.shape;
      return layer.operationsPerSample(shapes).multiplyAdds;
    })
    .reduce((a, b) => a + b, 0);

/** The arithmetic of a bottleneck network, independently: 1×1, 3×3, 1×1 and projections, with norms. */
function bottlenecks(blocks: readonly number[]): number {
  const conv = (k: number, from: number, to: number) => k * k * from * to + 2 * to;
  let total = conv(7, 3, 64) + 2048 * 1000 + 1000;
  let from = 64;
  blocks.forEach((count, stage) => {
    const width = 64 * 2 ** stage;
    for (let i = 0; i < count; i++) {
      total += conv(1, from, width) + conv(3, width, width) + conv(1, width, 4 * width);
      if (i === 0) total += conv(1, from, 4 * width);
      from = 4 * width;
    }
  });
  return total;
}

/** The same for CIFAR's: two 3×3 convolutions with norms in each block. */
function thin(depth: number): number {
  const conv = (from: number, to: number) => 9 * from * to + 2 * to;
  const n = (depth - 2) / 6;
  let total = conv(3, 16) + 64 * 10 + 10;
  [16, 32, 64].forEach((width, stage) => {
    total += (2 * n - 1) * conv(width, width);
    total += conv(stage === 0 ? 16 : width / 2, width);
  });
  return total;
}

/** Their multiply-adds, on 32², 16² and 8² pixels. */
function thinMultiplyAdds(depth: number): number {
  const n = (depth - 2) / 6;
  const stages = [16, 32, 64].map((width, stage) => {
    const pixels = (32 >> stage) ** 2;
    const first = stage === 0 ? width : width / 2;
    return 9 * pixels * width * (first + (2 * n - 1) * width);
  });
  return 9 * 32 ** 2 * 3 * 16 + stages.reduce((a, b) => a + b) + 64 * 10;
}

describe("parameters", () => {
  // torchvision's documentation lists those with a number; others are the sum written beside them.
  test.each<[string, () => lw.Model, number]>([
    ["alexnet of the paper", () => alexnet(), 60_965_224],
    ["alexnet on one device (torchvision)", () => alexnet({ variant: "single" }), 61_100_840],
    ["vgg11 (torchvision)", () => vgg({ depth: 11 }), 132_863_336],
    ["vgg13 (torchvision)", () => vgg({ depth: 13 }), 133_047_848],
    ["vgg16 (torchvision)", () => vgg(), 138_357_544],
    ["vgg19 (torchvision)", () => vgg({ depth: 19 }), 143_667_240],
    ["vgg11 with norms (torchvision)", () => vgg({ depth: 11, batchNorm: true }), 132_868_840],
    ["vgg16 with norms (torchvision)", () => vgg({ batchNorm: true }), 138_365_992],
    ["vgg13 with norms (torchvision)", () => vgg({ depth: 13, batchNorm: true }), 133_053_736],
    ["vgg19 with norms (torchvision)", () => vgg({ depth: 19, batchNorm: true }), 143_678_248],
    ["resnet18 (torchvision)", () => resnet({ depth: 18 }), 11_689_512],
    ["resnet34 (torchvision)", () => resnet({ depth: 34 }), 21_797_672],
    ["resnet50 (torchvision)", () => resnet(), 25_557_032],
    ["resnet50 (arithmetic)", () => resnet(), bottlenecks([3, 4, 6, 3])],
    ["resnet101 (torchvision)", () => resnet({ depth: 101 }), 44_549_160],
    ["resnet152 (torchvision)", () => resnet({ depth: 152 }), 60_192_808],
    ["resnet20 (0.27 million in the paper)", () => resnet({ depth: 20 }), thin(20)],
    ["resnet32 (0.46 million in the paper)", () => resnet({ depth: 32 }), thin(32)],
    ["resnet44 (0.66 million in the paper)", () => resnet({ depth: 44 }), thin(44)],
    ["resnet56 (0.85 million in the paper)", () => resnet({ depth: 56 }), thin(56)],
    ["resnet110 (1.7 million in the paper)", () => resnet({ depth: 110 }), thin(110)],
    ["googlenet of the paper (BVLC's Caffe model)", () => googlenet(), 6_998_552],
    ["googlenet with norms (torchvision)", () => googlenet({ variant: "batchNorm" }), 6_624_904],
    // C1 6·26, S2 6·2, C3 60·25 + 16, S4 16·2, C5 120·401, F6 84·121.
    [
      "lenet5 of the paper",
      () => lenet5({ variant: "original", output: "rbf", inputShape: [32, 32, 1] }),
      60_000,
    ],
    [
      "lenet5 of the paper with a dense output",
      () => lenet5({ variant: "original", inputShape: [32, 32, 1] }),
      60_000 + 84 * 10 + 10,
    ],
    // 6·26 + 16·151 + 120·401 + 84·121 + 10·85
    ["lenet5 of today", () => lenet5(), 61_706],
    // 12·26 + 32·301 + 240·801 + 168·241 + 10·169
    ["lenet5 of today, twice as wide", () => lenet5({ width: 12 }), 244_362],
  ])("%s", (_, make, count) => {
    expect(trainable(make())).toBe(count);
  });

  test("rounded, as the papers of the thin networks state them", () => {
    expect([20, 32, 44, 56, 110].map((d) => Math.round(thin(d) / 1e4) / 100)).toEqual([
      0.27, 0.46, 0.66, 0.85, 1.73,
    ]);
  });

  test("googlenet's auxiliary outputs", () => {
    const model = googlenet({ variant: "batchNorm", auxiliary: true });
    // torchvision's with aux_logits.
    expect(trainable(model)).toBe(13_004_888);
    expect(model.outputs.map((y) => [y.name, y.shape])).toEqual([
      ["predictions", [null, 1000]],
      ["auxiliary1", [null, 1000]],
      ["auxiliary2", [null, 1000]],
    ]);
  });

  test("thinner networks of fewer classes", () => {
    const small = vgg({
      depth: 11,
      width: 8,
      classifierWidths: [32],
      classes: 4,
      inputShape: [32, 32, 1],
    });
    expect(small.outputs[0]!.shape).toEqual([null, 4]);
    expect(shapeAt(small, "pool5")).toEqual([1, 1, 64]);
    expect(trainable(alexnet({ width: 8, classifierWidths: [], classes: 2 }))).toBeLessThan(45_000);
    expect(trainable(googlenet({ width: 0.25, classes: 10 }))).toBeLessThan(500_000);
  });
});

describe("shapes and multiply-adds", () => {
  test("alexnet", () => {
    const model = alexnet();
    expect(shapeAt(model, "conv1")).toEqual([55, 55, 96]);
    expect(shapeAt(model, "pool5")).toEqual([6, 6, 256]);
    // Chen et al. (2016), "Eyeriss": 666 million in the convolutions; 9216·4096 + 4096² + 4096·1000 in the rest.
    expect(multiplyAdds(model, "conv")).toBe(665_784_864);
    expect(networkCosts(model).multiplyAdds).toBe(665_784_864 + 58_621_952);
    // 0.71 · 10⁹ (torchvision's GFLOPS 0.71, which counts multiply-adds).
    expect(networkCosts(alexnet({ variant: "single" })).multiplyAdds).toBe(714_188_480);
  });

  test("vgg", () => {
    const model = vgg();
    expect(shapeAt(model, "pool5")).toEqual([7, 7, 512]);
    expect(networkCosts(model).multiplyAdds / 1e9).toBeCloseTo(15.47, 2);
    expect(networkCosts(vgg({ depth: 11 })).multiplyAdds / 1e9).toBeCloseTo(7.61, 2);
    expect(networkCosts(vgg({ depth: 13 })).multiplyAdds / 1e9).toBeCloseTo(11.31, 2);
    expect(networkCosts(vgg({ depth: 19 })).multiplyAdds / 1e9).toBeCloseTo(19.63, 2);
  });

  test("resnet", () => {
    const model = resnet({ depth: 18 });
    expect(shapeAt(model, "conv1_pool")).toEqual([56, 56, 64]);
    expect(shapeAt(model, "stage4_block2_relu")).toEqual([7, 7, 512]);
    expect(networkCosts(model).multiplyAdds / 1e9).toBeCloseTo(1.81, 2);
    expect(networkCosts(resnet({ depth: 34 })).multiplyAdds / 1e9).toBeCloseTo(3.66, 2);
    expect(networkCosts(resnet()).multiplyAdds / 1e9).toBeCloseTo(4.09, 2);
    expect(networkCosts(resnet({ depth: 101 })).multiplyAdds / 1e9).toBeCloseTo(7.8, 2);
    expect(networkCosts(resnet({ depth: 152 })).multiplyAdds / 1e9).toBeCloseTo(11.51, 2);
  });

  test("resnet for 32×32 images", () => {
    for (const depth of [20, 32, 44, 56, 110]) {
      expect(networkCosts(resnet({ depth })).multiplyAdds).toBe(thinMultiplyAdds(depth));
    }
    // Li et al. (2017), "Pruning Filters for Efficient ConvNets", table 1: 1.25 · 10⁸ and 2.53 · 10⁸.
    expect(thinMultiplyAdds(56) / 1e8).toBeCloseTo(1.25, 2);
    expect(thinMultiplyAdds(110) / 1e8).toBeCloseTo(2.53, 2);
  });

  test("googlenet", () => {
    const model = googlenet({ variant: "batchNorm" });
    expect(shapeAt(model, "pool2")).toEqual([28, 28, 192]);
    expect(shapeAt(model, "inception3b_concat")).toEqual([28, 28, 480]);
    expect(shapeAt(model, "inception5b_concat")).toEqual([7, 7, 1024]);
    expect(networkCosts(model).multiplyAdds / 1e9).toBeCloseTo(1.5, 2);
    const paper = googlenet();
    expect(shapeAt(paper, "inception5b_concat")).toEqual([7, 7, 1024]);
    // Szegedy et al. (2015), table 1, column "ops", in millions, some rounded down. Not those of the first convolution,
    // 34, where 7·7·3·64 weights on 112² pixels make 118, and of 5a, 54, where the widths in its row make 51.
    const published: [string, number][] = Object.entries({
      conv2: 360,
      inception3a: 128,
      inception3b: 304,
      inception4a: 73,
      inception4b: 88,
      inception4c: 100,
      inception4d: 119,
      inception4e: 170,
      inception5b: 71,
      predictions: 1,
    });
    for (const [name, millions] of published) {
      expect(Math.abs(multiplyAdds(paper, name) / 1e6 - millions), name).toBeLessThan(1);
    }
    expect(multiplyAdds(paper, "conv1")).toBe(112 ** 2 * 7 * 7 * 3 * 64);
    expect(multiplyAdds(paper, "inception5a")).toBe(49 * 1_042_432);
  });

  test("lenet5", () => {
    const model = lenet5({ variant: "original", inputShape: [32, 32, 1] });
    expect(["c1", "s2", "c3", "s4", "c5"].map((name) => shapeAt(model, name))).toEqual([
      [28, 28, 6],
      [14, 14, 6],
      [10, 10, 16],
      [5, 5, 16],
      [1, 1, 120],
    ]);
    expect(shapeAt(lenet5(), "c1")).toEqual([28, 28, 6]);
  });

  test("lenet5's connections as the paper counts them", () => {
    const model = lenet5({ variant: "original", output: "rbf", inputShape: [32, 32, 1] });
    // For each output of a layer its inputs and a bias. S2 and S4: four inputs, which share a coefficient. C3's
    // units have weights for the maps of the table, the ten output units 84 inputs each.
    const pixels = (name: string) => (shapeAt(model, name) as number[]).slice(0, -1);
    const area = (name: string) => pixels(name).reduce((a, b) => a * b, 1);
    const own = (name: string) => model.getLayer(name).weights.reduce((sum, w) => sum + w.size, 0);
    const convolutions = ["c1", "c3", "c5"].map((name) => own(name) * area(name));
    const means = ["s2", "s4"].map((name) => (own(name) / 2) * area(name) * 5);
    expect(convolutions).toEqual([122_304, 151_600, 48_120]);
    expect(means).toEqual([5_880, 2_000]);
    const all = [...convolutions, ...means, own("f6"), 84 * 10];
    expect(all.reduce((a, b) => a + b)).toBe(340_908);
  });

  test("lenet5's output units are drawings that are not trained", async () => {
    const model = lenet5({ variant: "original", output: "rbf", classifierActivation: "linear" });
    const layer = model.getLayer("predictions");
    expect(layer.trainableWeights).toEqual([]);
    const [codes] = layer.getWeights();
    expect(codes!.shape).toEqual([10, 84]);
    expect(new Set(codes!.dataSync())).toEqual(new Set([1, -1]));
    // At a code the score is 0, and no other unit is as near: codes differ by 4 for each pixel.
    const scores = (layer.call as (x: lw.Tensor) => lw.Tensor).call(layer, codes!);
    const values = scores.arraySync() as number[][];
    values.forEach((row, i) => {
      row.forEach((v, j) => {
        if (i === j) expect(Math.abs(v)).toBe(0);
        else expect(v).toBeLessThanOrEqual(-4 * 8);
      });
    });
    expect(() => lenet5({ output: "rbf" })).toThrow(
      'models.lenet5(): expected `output` "rbf" with variant "original" and 10 classes, got variant "modern" and 10 classes',
    );
  });

  test("lenet5 of the paper learns by its own criterion", async () => {
    lw.setRandomSeed(3);
    const { train } = lw.datasets.digits({ train: 200, test: 10 });
    const model = lenet5({ variant: "original", output: "rbf" });
    model.compile({
      optimizer: lw.optimizers.adam({ learningRate: 5e-3 }),
      loss: lw.losses.maximumAPosteriori(),
      metrics: ["accuracy"],
    });
    const history = await model.fit(train.x, train.y, { epochs: 12, batchSize: 10, verbose: 0 });
    const { loss, accuracy } = history.history as Record<string, number[]>;
    expect(loss!.at(-1)!).toBeLessThan(loss![0]! / 2);
    expect(accuracy!.at(-1)!).toBeGreaterThan(0.8);
  });
});

test("a large network is made without its weights", () => {
  const before = process.memoryUsage().arrayBuffers;
  const model = vgg();
  expect(model.countParams()).toBe(138_357_544);
  // 553 MB of weights, of which nothing is there.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50e6);
});

test("the depth is one that was published", () => {
  expect(() => resnet({ depth: 42 })).toThrow(
    "models.resnet(): expected `depth` to be one of 18, 34, 50, 101, 152, 20, 32, 44, 56, 110, got 42",
  );
  expect(() => vgg({ depth: 12 })).toThrow(
    "models.vgg(): expected `depth` to be one of 11, 13, 16, 19, got 12",
  );
  expect(() => lenet5({ variant: "original", width: 12 })).toThrow(
    'models.lenet5(): expected `width` 6 with variant "original", whose table of connections is for 6 maps, got 12',
  );
  expect(() => lenet5({ inputShape: [28, 28] as never })).toThrow(
    "models.lenet5(): expected `inputShape` to be [height, width, channels], got [28, 28]",
  );
});

onEachBackend("networks", () => {
  const small: [string, () => lw.Model][] = [
    ["lenet5", () => lenet5()],
    ["lenet5 of the paper", () => lenet5({ variant: "original" })],
    ["alexnet", () => alexnet({ inputShape: [64, 64, 1], width: 4, classifierWidths: [16] })],
    [
      "vgg",
      () =>
        vgg({
          depth: 11,
          width: 4,
          inputShape: [32, 32, 1],
          classifierWidths: [16],
          batchNorm: true,
        }),
    ],
    ["resnet20", () => resnet({ depth: 20, width: 4, inputShape: [16, 16, 1] })],
    ["resnet18", () => resnet({ depth: 18, width: 4, inputShape: [32, 32, 1] })],
    [
      "googlenet",
      () => googlenet({ width: 1 / 16, inputShape: [64, 64, 1], variant: "batchNorm" }),
    ],
  ];
  test.each(small)("%s trains, and is the same from its configuration", async (_, make) => {
    lw.setRandomSeed(1);
    const model = make();
    const [height, width, channels] = model.inputs[0]!.shape.slice(1) as [number, number, number];
    const x = lw.randomUniform([8, height, width, channels], 0, 1, "float32", 3);
    const classes = model.outputs[0]!.shape[1]!;
    const y = Int32Array.from({ length: 8 }, (_, i) => i % classes);
    model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
    const { history } = await model.fit(x, y, { epochs: 2, batchSize: 4, verbose: 0 });
    expect(Number.isFinite(history.loss![1]!)).toBe(true);
    const copy = lw.modelFromJSON(model.toJSON()) as lw.Model;
    copy.setWeights(model.getWeights());
    expect(copy.predict(x).then).toBeDefined();
    const [got, want] = [await copy.predict(x), await model.predict(x)];
    expect(got.dataSync()).toEqual(want.dataSync());
  });

  test("googlenet learns from its auxiliary outputs, too", async () => {
    lw.setRandomSeed(1);
    const options = { width: 1 / 16, inputShape: [80, 80, 1], classes: 3 } as const;
    const model = googlenet({ ...options, variant: "batchNorm", auxiliary: true });
    const x = lw.randomUniform([6, 80, 80, 1], 0, 1, "float32", 3);
    const y = Int32Array.of(0, 1, 2, 0, 1, 2);
    // The weights of Szegedy et al. (2015), section 5.
    const loss = "sparseCategoricalCrossentropy";
    const lossWeights = [1, 0.3, 0.3];
    model.compile({ optimizer: "adam", loss: [loss, loss, loss], lossWeights });
    const heads = model.trainableWeights.filter((w) => w.name.startsWith("auxiliary1"));
    const before = heads.map((w) => w.read().dataSync().slice());
    const { history } = await model.fit(x, [y, y, y], { epochs: 2, batchSize: 6, verbose: 0 });
    expect(heads.length).toBeGreaterThan(0);
    for (const [i, w] of heads.entries()) expect(w.read().dataSync()).not.toEqual(before[i]);
    const [total, main, first, second] = [
      "loss",
      "predictions_loss",
      "auxiliary1_loss",
      "auxiliary2_loss",
    ].map((key) => history[key]![0]!);
    expect(total).toBeCloseTo(main! + 0.3 * first! + 0.3 * second!, 4);
  });
});
