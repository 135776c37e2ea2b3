/** Random tensors: published Philox vectors, determinism, distributions, equality of backends. */
import { afterAll, describe, expect, test } from "vitest";
import { setBackend } from "../../src/backend/select.js";
import * as lw from "../../src/index.js";
import { philox4x32 } from "../../src/kernels/philox.js";
import { allOps, record } from "../../src/ops/op.js";
import {
  bernoulliFrom,
  normalFrom,
  truncatedNormalFrom,
  uniformFrom,
} from "../../src/ops/random.js";
import { randomSource } from "../../src/tensor/random.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { backends, onEachBackend } from "../helpers/backends.js";
import { philox } from "../helpers/instructionReference.js";

/** Words of Philox 4×32-10 as the op gives them: counter (block, stream, step, 0), key (seed, op). */
function words(block: number, stream: number, step: number, seed: number, opId: number): number[] {
  const int = (value: number): lw.Tensor => lw.tensor(Int32Array.of(value | 0), []);
  const op = allOps().get("randomBits")!;
  const [bits] = record(op, [int(seed), int(step)], { shape: [4 * block + 4], opId, stream });
  return [...bits!.dataSync().slice(-4)].map((word) => word >>> 0);
}

/** Random123 1.14, kat_vectors, philox4x32 with 10 rounds: counter, key, words. */
const knownAnswers: readonly [number[], number[], number[]][] = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [-1, -1, -1, -1],
    [-1, -1],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
];

describe("Philox 4×32-10", () => {
  test.each(knownAnswers)("counter %s, key %s: the published words", (counter, key, expected) => {
    const int = (list: number[]): number[] => list.map((word) => word | 0);
    const out = new Int32Array(4);
    const [c, k] = [int(counter), int(key)];
    philox4x32([c[0]!, c[1]!, c[2]!, c[3]!], [k[0]!, k[1]!], out);
    expect([...out].map((word) => word >>> 0)).toEqual(expected);
    // The tests' own reference, with which backends are compared.
    expect(philox(counter, key).map((word) => word >>> 0)).toEqual(expected);
  });
});

onEachBackend("random tensors", () => {
  test("counter and key 0 give the published words through the op", () => {
    expect(words(0, 0, 0, 0, 0)).toEqual(knownAnswers[0]![2]);
  });

  test("every counter and key word takes part", () => {
    const base = words(0, 0, 0, 0, 0).join();
    for (const other of [
      words(1, 0, 0, 0, 0),
      words(0, 1, 0, 0, 0),
      words(0, 0, 1, 0, 0),
      words(0, 0, 0, 1, 0),
      words(0, 0, 0, 0, 1),
    ]) {
      expect(other.join()).not.toBe(base);
    }
  });

  test("the same seed gives the same numbers, another seed others", () => {
    for (const make of [
      (seed: number) => lw.randomUniform([100], 0, 1, "float32", seed),
      (seed: number) => lw.randomNormal([100], 0, 1, "float32", seed),
      (seed: number) => lw.truncatedNormal([100], 0, 1, "float32", seed),
      (seed: number) => lw.randomExponential([100], seed),
    ]) {
      expectSameBits(make(5).dataSync(), make(5).dataSync(), "one seed");
      expect([...make(5).dataSync()]).not.toEqual([...make(6).dataSync()]);
    }
  });

  test("setRandomSeed makes a sequence of draws repeatable, each draw its own", () => {
    const draw = (): number[][] => {
      lw.setRandomSeed(7);
      return [lw.randomUniform([4]), lw.randomUniform([4])].map((x) => [...x.dataSync()]);
    };
    const first = draw();
    expect(draw()).toEqual(first);
    expect(first[0]).not.toEqual(first[1]);
    expect(() => lw.setRandomSeed(0.5)).toThrow(lw.ArgumentError);
  });

  test("numbers do not depend on what they are fused with or shaped as", () => {
    const plain = lw.randomUniform([6, 4], 0, 1, "float32", 3).dataSync();
    const w = lw.eye(4).mul(0);
    const inEpilogue = lw
      .ones([6, 4])
      .matMul(w)
      .add(lw.randomUniform([6, 4], 0, 1, "float32", 3));
    expectSameBits(inEpilogue.dataSync(), plain, "in a GEMM's epilogue");
    const rows = lw.randomUniform([6, 4], 0, 1, "float32", 3).max(1).dataSync();
    expect([...rows]).toEqual(
      [0, 1, 2, 3, 4, 5].map((r) => Math.max(...plain.slice(4 * r, 4 * r + 4))),
    );
    const flat = lw.randomUniform([24], 0, 1, "float32", 3).dataSync();
    expectSameBits(flat, plain, "as a vector");
  });

  test("a source's step and ops separate streams; a computed step works, for scalars too", () => {
    const at = (step: lw.Tensor | number): number[] => {
      const source = randomSource(5, step);
      return [uniformFrom(source, []), uniformFrom(source, [])].map((x) => x.item());
    };
    const int = lw.tensor(Int32Array.of(2), []);
    const [a, b] = at(3);
    expect(a).not.toBe(b);
    expect(at(int.add(1))).toEqual([a, b]);
    expect(at(int)).not.toEqual([a, b]);
    expect(at(lw.zeros([], "int32"))).toEqual(at(0));
    const seeded = randomSource(int.mul(3), 1);
    expect(uniformFrom(seeded, [8]).arraySync()).toEqual(
      uniformFrom(randomSource(6, 1), [8]).arraySync(),
    );
  });

  const stats = (x: lw.Tensor) => {
    const data = [...x.dataSync()];
    const mean = data.reduce((a, b) => a + b, 0) / data.length;
    const variance = data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length;
    return {
      data,
      mean,
      variance,
      min: data.reduce((a, b) => Math.min(a, b)),
      max: data.reduce((a, b) => Math.max(a, b)),
    };
  };
  const n = 100_000;

  test("uniform: range, mean, variance, and every tenth equally full", () => {
    const { data, mean, variance, min, max } = stats(lw.randomUniform([n], 0, 1, "float32", 11));
    expect(min).toBeGreaterThanOrEqual(0);
    expect(max).toBeLessThan(1);
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.004);
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.002);
    const bins = new Array<number>(10).fill(0);
    for (const value of data) bins[Math.floor(value * 10)]!++;
    // χ² with 9 degrees of freedom is below 27.9 in 999 of 1000 cases.
    expect(bins.reduce((sum, b) => sum + (b - n / 10) ** 2 / (n / 10), 0)).toBeLessThan(27.9);
    const shifted = stats(lw.randomUniform([n], -3, 5, "float32", 12));
    expect(shifted.min).toBeGreaterThanOrEqual(-3);
    expect(Math.abs(shifted.mean - 1)).toBeLessThan(0.03);
  });

  test("integers: all of [min, max), never max", () => {
    const small = stats(lw.randomUniform([n], -2, 3, "int32", 13));
    expect([small.min, small.max]).toEqual([-2, 2]);
    // Found among these: float32 sums of 1000 and a number just below 10 round to 1010.
    const large = stats(lw.randomUniform([2_000_000], 1000, 1010, "int32", 7));
    expect([large.min, large.max]).toEqual([1000, 1009]);
    expect(() => lw.randomUniform([2], 0.5, 3, "int32")).toThrow(lw.ArgumentError);
  });

  test("normal: moments, tails, and no infinity", () => {
    const { data, mean, variance } = stats(lw.randomNormal([n], 2, 3, "float32", 14));
    expect(data.every(Number.isFinite)).toBe(true);
    expect(Math.abs(mean - 2)).toBeLessThan(0.04);
    expect(Math.abs(variance - 9)).toBeLessThan(0.2);
    const outside = data.filter((v) => Math.abs(v - 2) > 6).length / n;
    expect(Math.abs(outside - 0.0455)).toBeLessThan(0.003);
    const kurtosis = data.reduce((a, v) => a + ((v - 2) / 3) ** 4, 0) / n;
    expect(Math.abs(kurtosis - 3)).toBeLessThan(0.15);
  });

  test("truncated normal: within two deviations, with the right variance", () => {
    const { mean, variance, min, max } = stats(lw.truncatedNormal([n], 0, 1, "float32", 15));
    expect(min).toBeGreaterThanOrEqual(-2);
    expect(max).toBeLessThanOrEqual(2);
    expect(Math.abs(mean)).toBeLessThan(0.015);
    // 1 − 2·2·φ(2)/(Φ(2) − Φ(−2))
    expect(Math.abs(variance - 0.77413)).toBeLessThan(0.015);
  });

  test("exponential and Bernoulli have their means", () => {
    const { mean, min } = stats(lw.randomExponential([n], 16));
    expect(min).toBeGreaterThanOrEqual(0);
    expect(Math.abs(mean - 1)).toBeLessThan(0.02);
    const ones = bernoulliFrom(randomSource(17), [n], 0.3);
    expect(ones.dtype).toBe("bool");
    expect(Math.abs(ones.sum().item() / n - 0.3)).toBeLessThan(0.006);
  });
});

describe("backends draw the same numbers", () => {
  afterAll(() => setBackend("typescript"));
  test.runIf(backends.length > 1)("bits and uniforms exactly, transformed ones to rounding", () => {
    const draw = (): lw.Tensor[] => [
      uniformFrom(randomSource(1, 2), [1003]),
      normalFrom(randomSource(1, 2), [1003]),
      truncatedNormalFrom(randomSource(1, 2), [1003]),
    ];
    const [first, second] = backends.map((name) => {
      setBackend(name);
      return draw().map((x) => x.dataSync());
    });
    expectSameBits(first![0]!, second![0]!, "uniform");
    expectClose(first![1]!, second![1]!, { rtol: 1e-5, atol: 1e-6 }, "normal");
    expectClose(first![2]!, second![2]!, { rtol: 1e-5, atol: 1e-6 }, "truncated normal");
  });
});

test("options where a dtype is wanted are named by the function that got them", () => {
  expect(() => lw.randomNormal([2], 0, 1, { seed: 1 } as never)).toThrow(
    "randomNormal: expected a dtype (float32, int32, uint8, bool), got an object",
  );
});
