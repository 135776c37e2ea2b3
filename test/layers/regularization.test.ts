/** Dropout and noise: what they drop, how much, what stays the same on average, and errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { compile } from "../../src/backend/compiled.js";
import type { CallContext, Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { fill } from "../../src/ops/creation.js";
import { randomSource } from "../../src/tensor/random.js";
import { leaf, Tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { normal } from "../helpers/random.js";

const trainingContext = (seed = 1, step = 0, losses: Tensor[] = []): CallContext => ({
  training: true,
  random: randomSource(seed, step),
  addLoss: (loss) => losses.push(loss),
});

function train(layer: Layer, x: Tensor, context = trainingContext()): Float32Array {
  const y = layer.invoke(x, context);
  return y instanceof Tensor ? (y.dataSync() as Float32Array) : expect.fail("several outputs");
}

function statistics(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(square) };
}

const count = 40_000;
const ones = fill([200, 200], 1);

describe("dropout", () => {
  test.each([0.1, 0.5, 0.9])("drops a fraction of %f and scales the rest", (rate) => {
    const y = train(layers.dropout({ rate }), ones);
    const dropped = y.filter((v) => v === 0).length / count;
    // Five standard errors of a fraction.
    expect(Math.abs(dropped - rate)).toBeLessThan(5 * Math.sqrt((rate * (1 - rate)) / count));
    const kept = y.filter((v) => v !== 0);
    expectClose(
      kept,
      kept.map(() => 1 / (1 - rate)),
      { ulp: 1 },
    );
  });

  test("rate 0 changes nothing, rate 1 drops all", () => {
    expect(new Set(train(layers.dropout({ rate: 0 }), ones))).toEqual(new Set([1]));
    expect(new Set(train(layers.dropout({ rate: 1 }), ones))).toEqual(new Set([0]));
  });

  test("two layers of a run, and two steps, differ", () => {
    const [a, b] = [layers.dropout({ rate: 0.5 }), layers.dropout({ rate: 0.5 })];
    const context = trainingContext();
    const first = train(a, ones, context);
    expect(train(b, ones, context)).not.toEqual(first);
    expect(train(a, ones, trainingContext(1, 1))).not.toEqual(first);
    expect(train(a, ones, trainingContext(1, 0))).toEqual(first);
  });

  test("a seed of its own varies with the step only", () => {
    const layer = layers.dropout({ rate: 0.5, seed: 9 });
    const first = train(layer, ones, trainingContext(1, 0));
    expect(train(layer, ones, trainingContext(2, 0))).toEqual(first);
    expect(train(layer, ones, trainingContext(2, 1))).not.toEqual(first);
  });

  test.each([
    ["dropout", () => layers.dropout({ rate: 0.5, seed: 9 })],
    ["gaussianNoise", () => layers.gaussianNoise({ stddev: 1, seed: 9 })],
    ["gaussianDropout", () => layers.gaussianDropout({ rate: 0.5, seed: 9 })],
    ["alphaDropout", () => layers.alphaDropout({ rate: 0.5, seed: 9 })],
  ])("with a seed of its own %s draws anew at each use, in a sequence of its own", (_, make) => {
    const drawn = (apply: (x: Tensor) => Tensor): string => String(apply(ones).dataSync());
    const eager = (layer: Layer) => (x: Tensor) => layer.apply(x, { training: true }) as Tensor;
    const sequence = (layer: Layer): string[] => [0, 1, 2].map(() => drawn(eager(layer)));

    // Called directly; another layer with the same seed gives the same sequence, as in Keras.
    const direct = sequence(make());
    expect(new Set(direct).size).toBe(3);
    train(layers.dropout({ rate: 0.5 }), ones);
    expect(sequence(make())).toEqual(direct);

    // In a compiled function.
    const compiled = compile(eager(make()));
    expect([0, 1, 2].map(() => drawn(compiled))).toEqual(direct);

    // Twice in one run, of a model or of a training step.
    const layer = make();
    const context = trainingContext();
    const twice = [0, 1].map(() => String(train(layer, ones, context)));
    expect(new Set(twice).size).toBe(2);
    const again = trainingContext();
    expect([0, 1].map(() => String(train(make(), ones, again)))).toEqual([twice[0], twice[0]]);
  });

  test("a noise shape shares the choice along an axis", () => {
    const layer = layers.dropout({ rate: 0.5, noiseShape: [null, 1, 4] });
    const y = train(layer, fill([6, 5, 4], 1));
    for (let b = 0; b < 6; b++) {
      for (let c = 0; c < 4; c++) {
        const steps = [0, 1, 2, 3, 4].map((t) => y[(b * 5 + t) * 4 + c]);
        expect(new Set(steps).size).toBe(1);
      }
    }
    expect(new Set(y)).toEqual(new Set([0, 2]));
  });

  test("mistakes are named", () => {
    expect(() => layers.dropout({ rate: 1.5 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dropout layer: expected \`rate\` to be a number from 0 to 1, got 1.5]`,
    );
    expect(() => layers.dropout({} as never)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dropout layer: the option \`rate\` is missing]`,
    );
    expect(() =>
      layers.dropout({ rate: 0.5, noise_shape: [1] } as never),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dropout layer: unknown option \`noise_shape\`; options are in camelCase here: \`noiseShape\`]`,
    );
    const layer = layers.dropout({ rate: 0.5, noiseShape: [null, 3], name: "d" });
    expect(() => train(layer, ones)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dropout layer "d": expected \`noiseShape\` to have the input's rank 2, each size 1, null or the input's, got [null, 3]]`,
    );
    const spatial = layers.spatialDropout2d({ rate: 0.5, name: "s" });
    expect(() => train(spatial, ones)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: spatialDropout2d layer "s": expected input of rank 4, got shape [200, 200]]`,
    );
  });
});

describe("spatial dropout drops whole channels", () => {
  const check = (layer: Layer, shape: number[], channelOf: (at: number[]) => number) => {
    const y = train(layer, fill(shape, 1));
    const seen = new Map<string, Set<number>>();
    y.forEach((value, i) => {
      const at: number[] = [];
      let rest = i;
      for (const dim of [...shape].reverse()) {
        at.unshift(rest % dim);
        rest = Math.floor(rest / dim);
      }
      const key = `${at[0]}/${channelOf(at)}`;
      seen.set(key, (seen.get(key) ?? new Set()).add(value));
    });
    expect([...seen.values()].every((values) => values.size === 1)).toBe(true);
    expect(new Set(y)).toEqual(new Set([0, 2]));
  };

  test("1d, 2d, 3d", () => {
    const rate = 0.5;
    check(layers.spatialDropout1d({ rate }), [4, 5, 6], (at) => at[2]!);
    check(layers.spatialDropout2d({ rate }), [4, 3, 2, 6], (at) => at[3]!);
    check(
      layers.spatialDropout2d({ rate, dataFormat: "channelsFirst" }),
      [4, 6, 3, 2],
      (at) => at[1]!,
    );
    check(layers.spatialDropout3d({ rate }), [4, 2, 3, 2, 6], (at) => at[4]!);
  });
});

describe("noise", () => {
  test("gaussianNoise adds a normal variable", () => {
    const { mean, deviation } = statistics(train(layers.gaussianNoise({ stddev: 0.3 }), ones));
    expect(Math.abs(mean - 1)).toBeLessThan(0.01);
    expect(Math.abs(deviation / 0.3 - 1)).toBeLessThan(0.02);
  });

  test("gaussianDropout multiplies with one of variance rate / (1 − rate)", () => {
    const x = fill([200, 200], 2);
    const { mean, deviation } = statistics(train(layers.gaussianDropout({ rate: 0.2 }), x));
    expect(Math.abs(mean - 2)).toBeLessThan(0.03);
    expect(Math.abs(deviation - 1)).toBeLessThan(0.02);
  });

  test("alphaDropout keeps mean 0 and variance 1", () => {
    const x = leaf(normal(3, count), [200, 200], "float32");
    const y = train(layers.alphaDropout({ rate: 0.3 }), x);
    const { mean, deviation } = statistics(y);
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(deviation - 1)).toBeLessThan(0.03);
    // The dropped ones share one value: a·α′ + b with α′ = −1.7580993.
    const a = (0.7 * (1 + 0.3 * 1.7580993408473766 ** 2)) ** -0.5;
    const saturated = a * -1.7580993408473766 + a * 1.7580993408473766 * 0.3;
    const share = y.filter((v) => Math.abs(v - saturated) < 1e-6).length / count;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.02);
  });
});

test("activityRegularization adds l1·Σ|x| and l2·Σx² per sample and passes its input on", () => {
  const losses: Tensor[] = [];
  const layer = layers.activityRegularization({ l1: 0.5, l2: 0.25 });
  const x = leaf(Float32Array.of(1, -2, 3, 0), [2, 2], "float32");
  expect(train(layer, x, trainingContext(1, 0, losses))).toEqual(x.dataSync());
  expect(losses.map((loss) => loss.item())).toEqual([1.5, 1.75]);
});

test("an activity penalty does not depend on the batch size", async () => {
  // Every output is 1, so Σx² of a sample is 1, and so is the loss, for any number of samples.
  for (const layer of [
    layers.dense({
      units: 1,
      kernelInitializer: "ones",
      activityRegularizer: { className: "l2", config: { l2: 1 } },
      inputShape: [1],
    }),
    layers.activityRegularization({ l2: 1, inputShape: [1] }),
  ]) {
    const model = sequential([layer]);
    model.compile({ loss: (_t, p) => p.mul(0).mean(-1) });
    for (const count of [1, 4]) {
      const ones = fill([count, 1], 1);
      expect((await model.evaluate(ones, ones)).loss).toBe(1);
    }
  }
});
