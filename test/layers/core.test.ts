/** Dense, activations as layers, changes of shape, lambda, rescaling: values and errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { LayerwiseError } from "../../src/errors.js";
import type { CallContext } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { deserializeLayer } from "../../src/layers/registry.js";
import { input } from "../../src/network/network.js";
import { fill } from "../../src/ops/creation.js";
import { sum } from "../../src/ops/reduce.js";
import { randomSource } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";

/** The message of what `f` throws; fails if that is no error of this library. */
function messageOf(f: () => unknown): string {
  try {
    f();
  } catch (error) {
    if (error instanceof LayerwiseError) return `${error.name}: ${error.message}`;
    throw error;
  }
  return expect.fail("nothing was thrown");
}

describe("dense", () => {
  test("computes activation(x · kernel + bias)", () => {
    const layer = layers.dense({ units: 2, activation: "relu" });
    layer.ensureBuilt([null, 3]);
    layer.setWeights([
      [
        [1, -1],
        [2, 0],
        [0, 3],
      ],
      [0.5, -0.25],
    ]);
    const y = layer.apply([
      [1, 1, 1],
      [0, -1, 2],
    ]);
    expect(y.arraySync()).toEqual([
      [3.5, 1.75],
      [0, 5.75],
    ]);
    expect(layer.countParams()).toBe(8);
  });

  test("uses its initializers, regularizers and constraints", () => {
    const layer = layers.dense({
      units: 2,
      kernelInitializer: "ones",
      biasInitializer: { className: "constant", config: { value: 3 } },
      kernelRegularizer: "l2",
      biasConstraint: "nonNeg",
    });
    expect(layer.apply([[1, 2]]).arraySync()).toEqual([[6, 6]]);
    const [kernel, bias] = layer.weights as [never, never];
    expect(layer.weightInfo(kernel).regularizer?.className).toBe("L2");
    expect(layer.weightInfo(kernel).constraint).toBeNull();
    expect(layer.weightInfo(bias).constraint?.className).toBe("NonNeg");
  });

  test("adds its activity penalty per sample to the loss", () => {
    const layer = layers.dense({
      units: 1,
      kernelInitializer: "ones",
      activityRegularizer: { className: "l2", config: { l2: 0.5 } },
    });
    const losses: Tensor[] = [];
    const context: CallContext = {
      training: true,
      random: randomSource(1),
      addLoss: (loss) => losses.push(loss),
    };
    layer.invoke(
      tensor([
        [1, 2],
        [3, 4],
      ]),
      context,
    );
    expect(losses.map((loss) => loss.item())).toEqual([(0.5 * (9 + 49)) / 2]);
  });

  test("counts its operations", () => {
    // 2·784·512 for the product, 512 for the bias, 512 for the activation.
    expect(layers.dense({ units: 512, activation: "relu" }).flopsPerSample([null, 784])).toBe(
      803840,
    );
    expect(layers.dense({ units: 4, useBias: false }).flopsPerSample([null, 10, 3])).toBe(240);
  });

  test("mistakes are named", () => {
    const make = (options: unknown) => () => layers.dense(options as never);
    expect({
      missing: messageOf(make({})),
      nothing: messageOf(make(undefined)),
      typo: messageOf(make({ unit: 3 })),
      pythonic: messageOf(make({ units: 3, kernel_initializer: "zeros" })),
      named: messageOf(make({ units: 3, name: "head", activaton: "relu" })),
      zero: messageOf(make({ units: 0 })),
      text: messageOf(make({ units: "3" })),
      bias: messageOf(make({ units: 3, useBias: 1 })),
      activation: messageOf(make({ units: 3, activation: "reLu6x" })),
      both: messageOf(make({ units: 3, inputShape: [2], batchInputShape: [null, 2] })),
      slash: messageOf(make({ units: 3, name: "a/b" })),
      shape: messageOf(make({ units: 3, inputShape: 784 })),
    }).toMatchInlineSnapshot(`
      {
        "activation": "ArgumentError: dense layer: expected \`activation\` to be the name of a known activation, got "reLu6x"; did you mean "relu6"?",
        "bias": "ArgumentError: dense layer: expected \`useBias\` to be true or false, got 1",
        "both": "ArgumentError: dense layer: got both \`inputShape\` and \`batchInputShape\`; give one",
        "missing": "ArgumentError: dense layer: the option \`units\` is missing",
        "named": "ArgumentError: dense layer "head": unknown option \`activaton\`; did you mean \`activation\`?",
        "nothing": "ArgumentError: dense layer: the option \`units\` is missing",
        "pythonic": "ArgumentError: dense layer: unknown option \`kernel_initializer\`; options are in camelCase here: \`kernelInitializer\`",
        "shape": "ShapeError: dense layer: expected \`inputShape\` to be an array of integers ≥ 0 or null, got 784",
        "slash": "ArgumentError: dense layer "a/b": expected \`name\` to be a non-empty string without "/", got "a/b"",
        "text": "ArgumentError: dense layer: expected \`units\` to be an integer ≥ 1, got "3"",
        "typo": "ArgumentError: dense layer: unknown option \`unit\`; did you mean \`units\`?",
        "zero": "ArgumentError: dense layer: expected \`units\` to be an integer ≥ 1, got 0",
      }
    `);
  });

  test("bad inputs are named", () => {
    const dense = () => layers.dense({ units: 2, name: "dense_1" });
    const built = dense();
    built.ensureBuilt([null, 3]);
    expect({
      rank: messageOf(() => dense().ensureBuilt([null])),
      free: messageOf(() => dense().ensureBuilt([null, null])),
      size: messageOf(() => built.apply(fill([2, 4], 1))),
      bytes: messageOf(() => built.apply(fill([2, 3], 1, "uint8"))),
      symbol: messageOf(() => built.apply(input({ shape: [4], name: "x" }))),
      several: messageOf(() => built.apply([fill([2, 3], 1), fill([2, 3], 1)])),
      mixed: messageOf(() => built.apply([input({ shape: [3] }), fill([2, 3], 1)] as never)),
      nothing: messageOf(() => built.apply(undefined as never)),
      option: messageOf(() => built.apply(fill([2, 3], 1), { train: true } as never)),
      count: messageOf(() => built.setWeights([[1]])),
      weights: messageOf(() => built.setWeights([fill([3, 3], 1), fill([2], 1)])),
      unbuilt: messageOf(() => dense().countParams()),
      early: messageOf(() => dense().setWeights([fill([3, 3], 1), fill([2], 1)])),
      output: messageOf(() => dense().output),
    }).toMatchInlineSnapshot(`
      {
        "bytes": "DTypeError: dense layer "dense_1": expected float32 input, got uint8; cast it, x.cast("float32"), or put a rescaling layer before this one",
        "count": "ArgumentError: dense layer "dense_1": expected 2 weights, got 1",
        "early": "ArgumentError: dense layer "dense_1": expected 0 weights, got 2; the layer is not built yet",
        "free": "ShapeError: dense layer "dense_1": expected an input whose size at axis -1 is known, got shape [null, null]",
        "mixed": "ArgumentError: dense layer "dense_1": expected either symbolic tensors or values, not both, got an instance of Tensor",
        "nothing": "ArgumentError: dense layer "dense_1": expected a tensor, a number or an array, got undefined",
        "option": "ArgumentError: dense layer "dense_1": apply(): unknown option \`train\`; the options are training, mask",
        "output": "StateError: dense layer "dense_1": it has no output yet; apply it to a symbolic tensor first",
        "rank": "ShapeError: dense layer "dense_1": expected input of rank ≥ 2, got shape [null]",
        "several": "ArgumentError: dense layer "dense_1": expected one input, not an array, got an array of 2",
        "size": "ShapeError: dense layer "dense_1": expected input of size 3 at axis -1, got shape [2, 4]",
        "symbol": "ShapeError: dense layer "dense_1": expected input of size 3 at axis -1, got shape [null, 4]",
        "unbuilt": "StateError: dense layer "dense_1": it has no weights yet; apply it to an input or build it first",
        "weights": "ShapeError: dense layer "dense_1": expected a value of shape [3, 2] for weight 0 (dense_1/kernel), got [3, 3]",
      }
    `);
  });
});

describe("activations as layers", () => {
  const x = [[-2, -0.5, 0, 0.5, 3]];
  test.each([
    ["reLU", layers.reLU(), [0, 0, 0, 0.5, 3]],
    ["reLU, limited", layers.reLU({ maxValue: 2 }), [0, 0, 0, 0.5, 2]],
    // Keras: slope·(x − threshold) below the threshold.
    [
      "reLU, threshold and slope",
      layers.reLU({ threshold: 1, negativeSlope: 0.5, maxValue: 2 }),
      [-1.5, -0.75, -0.5, -0.25, 2],
    ],
    ["leakyReLU", layers.leakyReLU(), [-0.6, -0.15, 0, 0.5, 3]],
    ["leakyReLU, alpha", layers.leakyReLU({ alpha: 0.5 }), [-1, -0.25, 0, 0.5, 3]],
    ["elu", layers.elu({ alpha: 2 }), [2 * Math.expm1(-2), 2 * Math.expm1(-0.5), 0, 0.5, 3]],
    ["thresholdedReLU", layers.thresholdedReLU({ theta: 0.5 }), [0, 0, 0, 0, 3]],
    ["activation", layers.activation({ activation: "tanh" }), x[0]!.map(Math.tanh)],
    [
      "prelu",
      layers.prelu({ alphaInitializer: { className: "constant", config: { value: 0.25 } } }),
      [-0.5, -0.125, 0, 0.5, 3],
    ],
  ])("%s", (_, layer, want) => {
    expectClose(layer.apply(x).dataSync(), want, { rtol: 1e-6, atol: 1e-7 });
  });

  test("mistakes are named", () => {
    expect({
      shared: messageOf(() =>
        layers.prelu({ sharedAxes: [3], name: "p" }).ensureBuilt([null, 2, 3]),
      ),
      batch: messageOf(() => layers.prelu({ sharedAxes: 0, name: "p" }).ensureBuilt([null, 2])),
      free: messageOf(() => layers.prelu({ name: "p" }).ensureBuilt([null, null, 2])),
      alpha: messageOf(() => layers.leakyReLU({ alpha: -1, name: "l" })),
      axis: messageOf(() => layers.softmax({ axis: 2, name: "s" }).apply([[1, 2]])),
    }).toMatchInlineSnapshot(`
      {
        "alpha": "ArgumentError: leakyReLU layer "l": expected \`alpha\` to be a number ≥ 0, got -1",
        "axis": "ArgumentError: softmax layer "s": softmax: expected an axis from -2 to 1 (rank 2), got 2",
        "batch": "ArgumentError: prelu layer "p": expected \`sharedAxes\` from 1 to 1, got 0",
        "free": "ShapeError: prelu layer "p": expected an input whose size at axis 1 is known, got shape [null, null, 2]",
        "shared": "ArgumentError: prelu layer "p": expected \`sharedAxes\` from 1 to 2, got 3",
      }
    `);
  });
});

describe("changes of shape", () => {
  const x = tensor([
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
  ]);

  test("values", () => {
    expect(layers.flatten().apply(x).arraySync()).toEqual([[1, 2, 3, 4, 5, 6]]);
    const first = layers.flatten({ dataFormat: "channelsFirst" });
    expect(first.apply(x).arraySync()).toEqual([[1, 4, 2, 5, 3, 6]]);
    expect(
      layers
        .flatten()
        .apply(tensor([7, 8]))
        .arraySync(),
    ).toEqual([[7], [8]]);
    expect(
      layers
        .reshape({ targetShape: [3, -1] })
        .apply(x)
        .arraySync(),
    ).toEqual([
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
    ]);
    expect(
      layers
        .permute({ dims: [2, 1] })
        .apply(x)
        .arraySync(),
    ).toEqual([
      [
        [1, 4],
        [2, 5],
        [3, 6],
      ],
    ]);
    expect(
      layers
        .repeatVector({ n: 2 })
        .apply([[1, 2]])
        .arraySync(),
    ).toEqual([
      [
        [1, 2],
        [1, 2],
      ],
    ]);
  });

  test("shapes with free dimensions", () => {
    expect(layers.flatten().computeOutputShape([null, null, 3])).toEqual([null, null]);
    expect(layers.flatten().computeOutputShape([null])).toEqual([null, 1]);
    expect(layers.flatten().computeOutputShape([8, 2, 3])).toEqual([8, 6]);
    const reshape = layers.reshape({ targetShape: [2, -1] });
    expect(reshape.computeOutputShape([null, null, 3])).toEqual([null, 2, null]);
    expect(reshape.computeOutputShape([null, 4, 3])).toEqual([null, 2, 6]);
    expect(layers.permute({ dims: [2, 1] }).computeOutputShape([null, null, 3])).toEqual([
      null,
      3,
      null,
    ]);
    expect(layers.dense({ units: 4 }).computeOutputShape([null, null, 3])).toEqual([null, null, 4]);
  });

  test("mistakes are named", () => {
    expect({
      fit: messageOf(() =>
        layers.reshape({ targetShape: [4, -1], name: "r" }).computeOutputShape([null, 6]),
      ),
      exact: messageOf(() =>
        layers.reshape({ targetShape: [4], name: "r" }).computeOutputShape([null, 6]),
      ),
      run: messageOf(() => layers.reshape({ targetShape: [4], name: "r" }).apply([[1, 2]])),
      two: messageOf(() => layers.reshape({ targetShape: [-1, -1], name: "r" })),
      dims: messageOf(() => layers.permute({ dims: [1, 3], name: "p" })),
      rank: messageOf(() => layers.permute({ dims: [2, 1], name: "p" }).apply([[1, 2]])),
      repeat: messageOf(() => layers.repeatVector({ n: 0 })),
      vector: messageOf(() => layers.repeatVector({ n: 2, name: "v" }).apply(x)),
    }).toMatchInlineSnapshot(`
      {
        "dims": "ArgumentError: permute layer "p": expected \`dims\` to be an order of 1 … 2, got [1, 3]",
        "exact": "ShapeError: reshape layer "r": a sample of shape [6] has 6 values, which do not fit targetShape [4]",
        "fit": "ShapeError: reshape layer "r": a sample of shape [6] has 6 values, which do not fit targetShape [4, -1]",
        "rank": "ShapeError: permute layer "p": expected input of rank 3, got shape [1, 2]",
        "repeat": "ArgumentError: repeatVector layer: expected \`n\` to be an integer ≥ 1, got 0",
        "run": "ShapeError: reshape layer "r": reshape: 2 elements do not fit shape [1, 4] (4 elements)",
        "two": "ArgumentError: reshape layer "r": expected \`targetShape\` with at most one -1, got [-1, -1]",
        "vector": "ShapeError: repeatVector layer "v": expected input of rank 2, got shape [1, 2, 3]",
      }
    `);
  });
});

describe("lambda and rescaling", () => {
  test("lambda applies its function, to several inputs as well", () => {
    const twice = layers.lambda({ function: (x) => x.mul(2) });
    expect(twice.apply([[1, 2]]).toString()).toContain("[1, 2]");
    const total = layers.lambda({ function: (xs: Tensor[]) => sum(xs[0]!.add(xs[1]!), -1) });
    const y = total.apply([input({ shape: [3] }), input({ shape: [3] })]);
    expect("shape" in y && y.shape).toEqual([null]);
    const both = layers.lambda({ function: (x) => [x, x.neg()] }).apply(tensor([[1]]));
    expect((both as Tensor[]).map((t) => t.item())).toEqual([1, -1]);
  });

  test("rescaling makes floats of bytes", () => {
    const image = tensor(Uint8Array.of(0, 128, 255, 51), [1, 4]);
    const y = layers.rescaling({ scale: 1 / 127.5, offset: -1 }).apply(image);
    expect(y.dtype).toBe("float32");
    expectClose(y.dataSync(), [-1, 128 / 127.5 - 1, 1, -0.6], { atol: 1e-6 });
  });

  test("mistakes are named", () => {
    const bad = layers.lambda({ function: () => 3 as never, name: "l" });
    const dims = layers.lambda({ function: (x) => x.reshape([5, -1]), name: "l" });
    expect({
      function: messageOf(() => layers.lambda({ function: 3 as never })),
      result: messageOf(() => bad.apply(input({ shape: [2] }))),
      dims: messageOf(() => dims.apply(input({ shape: [2] }))),
      save: messageOf(() => bad.getConfig()),
      scale: messageOf(() => layers.rescaling({} as never)),
    }).toMatchInlineSnapshot(`
      {
        "dims": "ShapeError: lambda layer "l": reshape: 15838 elements do not fit shape [5, -1] (with 7919 tried for null)",
        "function": "ArgumentError: lambda layer: expected \`function\` to be a function of a tensor, got 3",
        "result": "ArgumentError: lambda layer "l": call(): expected to return a tensor or an array of tensors, got 3",
        "save": "ArgumentError: lambda layer "l": a lambda layer can't be saved, because its function can't; write it as a class that extends Layer and enter that with registerLayer()",
        "scale": "ArgumentError: rescaling layer: the option \`scale\` is missing",
      }
    `);
  });
});

describe("input", () => {
  test("gives a symbolic tensor", () => {
    const x = input({ shape: [28, 28, 1], dtype: "uint8", name: "image" });
    expect([x.name, x.dtype, x.shape]).toEqual(["image", "uint8", [null, 28, 28, 1]]);
    expect(input({ shape: [3], batchSize: 16 }).shape).toEqual([16, 3]);
    expect(input({ batchShape: [null, null, 5] }).shape).toEqual([null, null, 5]);
  });

  test("mistakes are named", () => {
    expect({
      nothing: messageOf(() => input({})),
      both: messageOf(() => input({ shape: [2], batchShape: [null, 2] })),
      negative: messageOf(() => input({ shape: [-1] })),
      dtype: messageOf(() => input({ shape: [2], dtype: "float64" as never })),
      typo: messageOf(() => input({ shap: [2] } as never)),
      layer: messageOf(() => layers.inputLayer({ name: "x" })),
    }).toMatchInlineSnapshot(`
      {
        "both": "ArgumentError: input(): give either \`shape\` (of one sample) or \`batchShape\`",
        "dtype": "ArgumentError: input(): expected \`dtype\` to be one of "float32", "int32", "uint8", "bool", got "float64"; did you mean "float32"?",
        "layer": "ArgumentError: inputLayer layer "x": the shape of a sample is missing; give inputShape, such as inputShape: [784]",
        "negative": "ShapeError: input(): expected \`shape\` to be an array of integers ≥ 0 or null, got [-1]",
        "nothing": "ArgumentError: input(): give either \`shape\` (of one sample) or \`batchShape\`",
        "typo": "ArgumentError: input(): unknown option \`shap\`; did you mean \`shape\`?",
      }
    `);
  });
});

test("deserializeLayer names what it does not know", () => {
  expect({
    unknown: messageOf(() => deserializeLayer({ className: "Dens", config: {} })),
    empty: messageOf(() => deserializeLayer(null)),
    config: messageOf(() => deserializeLayer({ className: "Dense", config: { units: 2.5 } })),
  }).toMatchInlineSnapshot(`
    {
      "config": "ArgumentError: dense layer: expected \`units\` to be an integer ≥ 1, got 2.5",
      "empty": "ArgumentError: deserializeLayer(): expected { className, config } of a layer, got null",
      "unknown": "ArgumentError: deserializeLayer(): expected the className of a known layer, got "Dens"; did you mean "Dense"? a class of your own must be entered first: registerLayer(Dens)",
    }
  `);
});
