/** Initializers: Keras' formulas, their statistics, seeds, and errors. */
import { beforeEach, describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import {
  computeFans,
  getInitializer,
  type InitializerName,
  initializerFamily,
} from "../../src/nn/initializers.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { expectClose } from "../helpers/allClose.js";

const { make } = initializerFamily;
beforeEach(() => setRandomSeed(3));

function statistics(values: ArrayLike<number>) {
  const n = values.length;
  const list = Array.from(values);
  const mean = list.reduce((a, b) => a + b, 0) / n;
  const deviation = Math.sqrt(list.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
  return { mean, deviation, min: Math.min(...list), max: Math.max(...list) };
}

describe("fans", () => {
  test.each([
    [[], 1, 1],
    [[7], 7, 7],
    [[3, 5], 3, 5],
    // A 3×3 kernel from 4 to 8 channels sees 36 values and feeds 72.
    [[3, 3, 4, 8], 36, 72],
    [[5, 4, 8], 20, 40],
  ])("%j", (shape, fanIn, fanOut) => {
    expect(computeFans(shape)).toEqual({ fanIn, fanOut });
  });
});

describe("fixed values", () => {
  test("zeros, ones, constant, identity", () => {
    expect(make.zeros().apply([2, 2], "float32").arraySync()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(make.ones().apply([3], "int32").arraySync()).toEqual([1, 1, 1]);
    expect(make.constant({ value: -2.5 }).apply([2], "float32").arraySync()).toEqual([-2.5, -2.5]);
    expect(make.identity({ gain: 3 }).apply([2, 3], "float32").arraySync()).toEqual([
      [3, 0, 0],
      [0, 3, 0],
    ]);
  });

  test("identity wants a matrix", () => {
    expect(() => make.identity().apply([2, 2, 2], "float32")).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: initializer identity: expected the shape of a matrix, got [2, 2, 2]]`,
    );
  });
});

/** 40 000 values: the standard error of the deviation is 0.35 % of it, of the mean 0.5 %. */
const shape = [100, 400];
const fanIn = 100;
const fanAvg = 250;

describe("distributions", () => {
  const uniforms: [InitializerName, number][] = [
    ["glorotUniform", Math.sqrt(3 / fanAvg)],
    ["heUniform", Math.sqrt(6 / fanIn)],
    ["leCunUniform", Math.sqrt(3 / fanIn)],
    ["randomUniform", 0.05],
  ];
  test.each(uniforms)("%s is uniform within ±%f", (name, limit) => {
    const values = getInitializer("test", "initializer", name).apply(shape, "float32").dataSync();
    const { mean, deviation, min, max } = statistics(values);
    expect(Math.abs(mean)).toBeLessThan(0.02 * limit);
    expect(deviation / (limit / Math.sqrt(3))).toBeCloseTo(1, 1.7);
    expect(min).toBeGreaterThanOrEqual(-limit);
    expect(max).toBeLessThanOrEqual(limit);
    expect(min).toBeLessThan(-0.99 * limit);
    expect(max).toBeGreaterThan(0.99 * limit);
  });

  const normals: [InitializerName, number, number][] = [
    // Cut off at two of the widened deviations, which leaves the wanted one.
    ["glorotNormal", Math.sqrt(1 / fanAvg), 2 / 0.8796256610342398],
    ["heNormal", Math.sqrt(2 / fanIn), 2 / 0.8796256610342398],
    ["leCunNormal", Math.sqrt(1 / fanIn), 2 / 0.8796256610342398],
    ["varianceScaling", Math.sqrt(1 / fanIn), 2 / 0.8796256610342398],
    ["truncatedNormal", 0.05 * 0.8796256610342398, 2 / 0.8796256610342398],
    ["randomNormal", 0.05, 10],
  ];
  test.each(normals)("%s has deviation %f", (name, wanted, cut) => {
    const values = getInitializer("test", "initializer", name).apply(shape, "float32").dataSync();
    const { mean, deviation, min, max } = statistics(values);
    expect(Math.abs(mean)).toBeLessThan(0.025 * wanted);
    expect(Math.abs(deviation / wanted - 1)).toBeLessThan(0.02);
    expect(Math.max(-min, max)).toBeLessThanOrEqual(cut * wanted * (1 + 1e-5));
    expect(Math.max(-min, max)).toBeGreaterThan(Math.min(cut, 3.2) * wanted * 0.98);
  });

  test("varianceScaling takes fan and distribution", () => {
    const spec = make.varianceScaling({ scale: 2, mode: "fanOut", distribution: "uniform" });
    const { max } = statistics(spec.apply(shape, "float32").dataSync());
    expect(max / Math.sqrt((3 * 2) / 400)).toBeCloseTo(1, 2);
    const untruncated = make.varianceScaling({ distribution: "untruncatedNormal" });
    const { deviation, max: largest } = statistics(untruncated.apply(shape, "float32").dataSync());
    expect(Math.abs(deviation * 10 - 1)).toBeLessThan(0.02);
    expect(largest).toBeGreaterThan(0.35);
  });

  test.each([[[40, 12]], [[12, 40]], [[3, 3, 4, 8]]])("orthogonal %j", (own) => {
    const columns = own[own.length - 1]!;
    const rows = own.slice(0, -1).reduce((a, b) => a * b, 1);
    const values = make.orthogonal({ gain: 2 }).apply(own, "float32").dataSync();
    const count = Math.min(rows, columns);
    const length = Math.max(rows, columns);
    const at = (v: number, i: number) =>
      rows >= columns ? values[i * columns + v]! : values[v * columns + i]!;
    for (let u = 0; u < count; u++) {
      for (let v = 0; v <= u; v++) {
        let dot = 0;
        for (let i = 0; i < length; i++) dot += at(u, i) * at(v, i);
        expectClose([dot], [u === v ? 4 : 0], { atol: 2e-6 }, `vectors ${u} and ${v}`);
      }
    }
  });
});

describe("seeds", () => {
  const random: InitializerName[] = ["glorotUniform", "heNormal", "randomNormal", "orthogonal"];
  test.each(random)("%s follows setRandomSeed", (name) => {
    const draw = () => getInitializer("t", "o", name).apply([6, 6], "float32").dataSync();
    const [first, second] = [draw(), draw()];
    expect(second).not.toEqual(first);
    setRandomSeed(3);
    expect([draw(), draw()]).toEqual([first, second]);
  });

  test("a seed of its own gives the same values each time", () => {
    const initializer = make.glorotUniform({ seed: 12 });
    const first = initializer.apply([4, 4], "float32").dataSync();
    expect(initializer.apply([4, 4], "float32").dataSync()).toEqual(first);
    expect(make.glorotUniform({ seed: 13 }).apply([4, 4], "float32").dataSync()).not.toEqual(first);
  });
});

describe("names and configurations", () => {
  test("all names survive a round trip", () => {
    for (const name of Object.keys(make) as InitializerName[]) {
      const initializer = getInitializer("test", "o", name);
      const json = initializerFamily.serialize(initializer, "test", "o");
      const again = getInitializer("test", "o", JSON.parse(JSON.stringify(json)));
      expect(initializerFamily.serialize(again, "test", "o")).toEqual(json);
    }
  });

  test("a function serves, but can't be written", () => {
    const initializer = getInitializer("dense layer", "kernelInitializer", make.ones().apply);
    expect(initializer.apply([2], "float32").arraySync()).toEqual([1, 1]);
    expect(() =>
      initializerFamily.serialize(initializer, "dense layer", "kernelInitializer"),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: \`kernelInitializer\` is an initializer of your own without a registered name, so it can't be written to a configuration; registerInitializer() gives it one]`,
    );
  });

  test("mistakes are named", () => {
    const get = (given: unknown) => () => getInitializer("dense layer", "kernelInitializer", given);
    expect(get("glorot_uniform")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelInitializer\` to be the name of a known initializer, got "glorot_uniform"; did you mean "glorotUniform"?]`,
    );
    expect(get("heNormel")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelInitializer\` to be the name of a known initializer, got "heNormel"; did you mean "heNormal"?]`,
    );
    expect(get("magic")).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelInitializer\` to be the name of a known initializer, got "magic"; the initializers are zeros, ones, constant, identity, orthogonal, randomUniform, randomNormal, truncatedNormal, varianceScaling, glorotUniform, glorotNormal, heUniform, heNormal, leCunUniform, leCunNormal]`,
    );
    expect(get(3)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: expected \`kernelInitializer\` to be the name of an initializer, a function, or { className, config }, got 3]`,
    );
    expect(get({ className: "constant", config: { valeu: 1 } })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: dense layer: kernelInitializer constant: unknown option \`valeu\`; did you mean \`value\`?]`,
    );
    expect(() => make.randomUniform({ minval: 1, maxval: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: initializer randomUniform: expected minval ≤ maxval, got 1 and 0]`,
    );
    expect(() => make.randomNormal({ stddev: -1 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: initializer randomNormal: expected \`stddev\` to be a number ≥ 0, got -1]`,
    );
    expect(() => make.constant({ value: Infinity })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: initializer constant: expected \`value\` to be a finite number, got Infinity]`,
    );
    expect(() => make.glorotUniform({ seed: 1.5 })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: initializer glorotUniform: expected \`seed\` to be an integer from -2147483648 to 4294967295, got 1.5]`,
    );
  });
});
