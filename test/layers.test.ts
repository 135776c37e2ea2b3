/**
 * The contract every layer keeps, asked of each row in layers/samples.ts: shapes, weights, configuration,
 * training against inference, gradients, and errors that name the layer.
 */
import { beforeEach, describe, expect, test } from "vitest";
import "../src/backend/run.js";
import "../src/ops/methods.js";
import { ArgumentError, DTypeError } from "../src/errors.js";
import { type CallContext, Layer } from "../src/layers/layer.js";
import * as layers from "../src/layers/layers.js";
import { deserializeLayer, serializeLayer } from "../src/layers/registry.js";
import { SymbolicTensor } from "../src/layers/symbolic.js";
import { input } from "../src/network/network.js";
import { fill } from "../src/ops/creation.js";
import { randomSource, setRandomSeed } from "../src/tensor/random.js";
import { withTrace } from "../src/tensor/scope.js";
import { leaf, type Tensor, tensor } from "../src/tensor/tensor.js";
import type { Variable } from "../src/tensor/variable.js";
import { expectClose } from "./helpers/allClose.js";
import { expectGradient } from "./helpers/gradCheck.js";
import { uniform } from "./helpers/random.js";
import { type LayerSample, samples } from "./layers/samples.js";

beforeEach(() => setRandomSeed(1));

function inputsOf(sample: LayerSample): Tensor[] {
  return sample.inputs.map((shape, i) => {
    const size = shape.reduce((a, b) => a * b, 1);
    if (sample.dtype === "uint8") {
      return leaf(
        Uint8Array.from({ length: size }, (_, k) => (k * 37) % 256),
        shape,
        "uint8",
      );
    }
    if (sample.dtypes?.[i] === "int32") {
      return leaf(
        Int32Array.from({ length: size }, (_, k) => (k * 7) % sample.limit!),
        shape,
        "int32",
      );
    }
    return leaf(uniform(i + 1, size, -1, 1), shape, "float32");
  });
}

const one = (list: Tensor[]): Tensor | Tensor[] => (list.length === 1 ? list[0]! : list);

function context(training: boolean, seed = 5): CallContext {
  return { training, random: randomSource(seed), addLoss: () => {} };
}

function run(layer: Layer, inputs: Tensor[], training = false, seed = 5): Tensor {
  // Of several outputs (cells) the first is looked at.
  return [layer.invoke(one(inputs), context(training, seed)) as Tensor | Tensor[]].flat()[0]!;
}

const nullBatch = (shape: readonly number[]) => [null, ...shape.slice(1)];

test("every layer class has a sample", () => {
  const classes = Object.values<unknown>(layers).filter(
    (value) => typeof value === "function" && value.prototype instanceof Layer,
  );
  const made = new Set<unknown>(samples.map((sample) => sample.make().constructor));
  expect(classes.filter((c) => !made.has(c))).toEqual([]);
  expect(classes.length).toBeGreaterThan(30);
});

describe.each(samples)("$title", (sample) => {
  const { make, inputs: shapes } = sample;

  test("gives the shape it announces", () => {
    const layer = make();
    const batched = shapes.map(nullBatch);
    const announced = layer.computeOutputShape(batched.length === 1 ? batched[0]! : batched);
    const first = Array.isArray(announced[0]) ? announced[0] : announced;
    expect(first).toEqual([null, ...sample.output]);
    expect(run(layer, inputsOf(sample)).shape).toEqual([shapes[0]![0], ...sample.output]);
  });

  test("connects to symbolic tensors of the same shape and dtype", () => {
    const symbols = shapes.map((shape, i) =>
      input({ shape: shape.slice(1), dtype: sample.dtypes?.[i] ?? sample.dtype ?? "float32" }),
    );
    const layer = make();
    const [symbol] = [layer.apply(symbols.length === 1 ? symbols[0]! : symbols)].flat();
    if (!(symbol instanceof SymbolicTensor)) throw new Error("expected a symbolic tensor");
    expect(symbol.shape).toEqual([null, ...sample.output]);
    expect(symbol.dtype).toBe(run(layer, inputsOf(sample)).dtype);
  });

  test("has the weights it should", () => {
    const layer = make();
    expect(layer.built).toBe(false);
    run(layer, inputsOf(sample));
    expect(layer.built).toBe(true);
    const wanted = sample.weights ?? {};
    expect(Object.fromEntries(layer.namedWeights().map(([n, w]) => [n, w.shape]))).toEqual(wanted);
    // A weight has the name of the layer that made it, which may be one inside.
    expect(layer.weights.map((w) => w.name)).toEqual(
      Object.keys(wanted).map((name) => `${layer.name}/${name}`.split("/").slice(-2).join("/")),
    );
    const trainable = sample.trainable ?? Object.keys(wanted).length;
    expect(layer.trainableWeights).toEqual(layer.weights.slice(0, trainable));
    layer.trainable = false;
    expect(layer.trainableWeights).toEqual([]);
    expect(layer.nonTrainableWeights).toEqual(layer.weights);
  });

  test("is the same after a round trip through its configuration", () => {
    const layer = make();
    const inputs = inputsOf(sample);
    const before = run(layer, inputs);
    if (sample.config === false) {
      expect(() => layer.getConfig()).toThrow(ArgumentError);
      return;
    }
    const written = JSON.stringify(serializeLayer(layer));
    const copy = deserializeLayer(JSON.parse(written));
    expect(copy.constructor).toBe(layer.constructor);
    expect(JSON.stringify(serializeLayer(copy))).toBe(written);
    run(copy, inputs);
    copy.setWeights(layer.getWeights());
    expect(run(copy, inputs).dataSync()).toEqual(before.dataSync());
  });

  test("trains as it should", () => {
    const layer = make();
    const inputs = inputsOf(sample);
    const inference = run(layer, inputs).dataSync();
    expect(run(layer, inputs, false, 6).dataSync()).toEqual(inference);
    const weights = layer.getWeights().map((w) => w.dataSync());
    const training = run(layer, inputs, true).dataSync();
    if (sample.training === undefined || sample.training === "same") {
      expect(training).toEqual(inference);
    } else {
      expect(training).not.toEqual(inference);
    }
    if (sample.training === "random") {
      expect(run(layer, inputs, true).dataSync(), "the same seed").toEqual(training);
      const own = (layer.config as { seed?: number | null }).seed;
      const other = run(layer, inputs, true, 99).dataSync();
      if (typeof own === "number") expect(other, "the layer's seed wins").toEqual(training);
      else expect(other, "another seed").not.toEqual(training);
    }
    const after = layer.getWeights().map((w) => w.dataSync());
    if (sample.training === "statistics") expect(after).not.toEqual(weights);
    else expect(after).toEqual(weights);
  });

  const unchecked = sample.unchecked ? ` (skipped: ${sample.unchecked})` : "";
  test.skipIf(sample.unchecked)(`has the right gradients${unchecked}`, () => {
    const layer = make();
    const inputs = inputsOf(sample);
    run(layer, inputs);
    const variables = layer.trainableWeights;
    const f = (...xs: Tensor[]): Tensor => {
      // The last arguments stand in for the weights; the other variables are read as they are.
      const values = new Map<Variable, Tensor>(
        variables.map((v, i) => [v, xs[inputs.length + i]!]),
      );
      const scope = {
        read: (v: Variable) => values.get(v) ?? fixed.get(v)!,
        assign: () => {},
      };
      return withTrace(scope, () => run(layer, xs.slice(0, inputs.length), true));
    };
    const fixed = new Map(layer.nonTrainableWeights.map((v) => [v, v.read()]));
    const differentiable = inputs.filter((x) => x.dtype === "float32");
    expectGradient(
      (...xs) => {
        let next = 0;
        const given = inputs.map((x) => (x.dtype === "float32" ? xs[next++]! : x));
        return f(...given, ...xs.slice(next));
      },
      [...differentiable, ...layer.trainableWeights.map((v) => v.read())],
    );
  });

  test("refuses wrong options and inputs by name", () => {
    const layer = make();
    expect(layer.where).toContain(JSON.stringify(layer.name));
    if (sample.config !== false) {
      const { className, config } = serializeLayer(layer);
      expect(() => deserializeLayer({ className, config: { ...config, bogus: 1 } })).toThrow(
        /layer "[a-z0-9_]+": unknown option `bogus`/,
      );
    }
    const several = shapes.length > 1;
    if (layer.constructor !== layers.Lambda && !sample.anyInputs) {
      const wrong = several ? fill(shapes[0]!, 1) : [fill(shapes[0]!, 1), fill(shapes[0]!, 1)];
      expect(() => layer.invoke(wrong, context(false))).toThrow(ArgumentError);
      expect(() => layer.invoke(wrong, context(false))).toThrow(layer.where);
    }
  });
});

describe("dtypes", () => {
  const floats = samples.filter((s) => s.dtype === undefined && s.dtypes === undefined);
  const anyDType = new Set<unknown>([
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.RepeatVector,
    layers.Lambda,
    layers.Rescaling,
    layers.Identity,
    layers.Concatenate,
    layers.TimeDistributed,
    ...[layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D],
    ...[layers.Cropping1D, layers.Cropping2D, layers.Cropping3D],
    ...[layers.Normalization, layers.Resizing, layers.CenterCrop],
    ...[layers.RandomFlip, layers.RandomTranslation, layers.RandomRotation, layers.RandomZoom],
    ...[layers.RandomCrop, layers.RandomContrast, layers.RandomBrightness],
  ]);
  test.each(floats)("$title on int32", (sample) => {
    const layer = sample.make();
    if (anyDType.has(layer.constructor)) return;
    const bad = sample.inputs.map((shape) => fill(shape, 1, "int32"));
    expect(() => run(layer, bad)).toThrow(DTypeError);
    expect(() => run(layer, bad)).toThrow(layer.where);
  });

  test("changes of shape keep them", () => {
    const x = tensor([[1, 2, 3, 4]], undefined, "int32");
    const y = layers.reshape({ targetShape: [2, 2] }).apply(x);
    expect([y.dtype, y.arraySync()]).toEqual([
      "int32",
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ]);
    expectClose(layers.rescaling({ scale: 0.5 }).apply(x).dataSync(), [0.5, 1, 1.5, 2], { ulp: 1 });
  });
});
