/** Pooling of sequences, images and volumes, resizing and local response norm: PyTorch's values, padding, errors. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { repeatAxes } from "../../src/ops/image.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

interface Golden {
  readonly op: string;
  readonly shape: number[];
  readonly options: Record<string, unknown>;
  readonly outputShape: number[];
  readonly output: number[];
  readonly gradient: number[];
}
// By golden/make_images.py.
const golden: { cases: Golden[] } = JSON.parse(
  readFileSync(new URL("../golden/images.json", import.meta.url), "utf8"),
);

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const filled = (shape: readonly number[], f: (i: number) => number): lw.Tensor =>
  lw.tensor(
    Float32Array.from({ length: size(shape) }, (_, i) => f(i)),
    shape,
  );

/** The op of a golden case as a function of x. */
function apply({ op, options }: Golden): (x: lw.Tensor) => lw.Tensor {
  const { poolSize, size: to, ...rest } = options;
  switch (op) {
    case "maxPool":
      return (x) => lw.maxPool(x, poolSize as number, rest);
    case "avgPool":
      return (x) => lw.avgPool(x, poolSize as number, rest);
    case "resizeBilinear":
      return (x) => lw.resizeBilinear(x, to as [number, number], rest);
    case "resizeNearestNeighbor":
      return (x) => lw.resizeNearestNeighbor(x, to as [number, number], rest);
    default:
      return (x) => lw.localResponseNormalization(x, options);
  }
}

onEachBackend("images", () => {
  test.each(golden.cases)("$op of $shape, $options, as PyTorch", (item) => {
    const f = apply(item);
    const x = filled(item.shape, (i) => Math.sin(0.7 * i + 0.3));
    const y = f(x);
    expect(y.shape).toEqual(item.outputShape);
    // Places between pixels are float32 scales times pixel numbers.
    expectClose(y.dataSync(), item.output, { rtol: 2e-6, atol: 1e-6 });
    const weights = filled(y.shape, (i) => Math.cos(0.9 * i));
    const gradient = lw.grad((z) => f(z).mul(weights).sum())(x);
    expectClose(gradient.dataSync(), item.gradient, { rtol: 4e-6, atol: 2e-6 });
  });

  test("same padding adds the odd element after the input, and does not count in means", () => {
    const x = lw.tensor([1, 2, 3, 4, 5, 6], [1, 6, 1]);
    const pooled = (padding: lw.Padding) =>
      lw.avgPool(x, 4, { strides: 4, padding }).flatten().arraySync();
    expect(pooled("same")).toEqual([(1 + 2 + 3) / 3, (4 + 5 + 6) / 3]);
    expect(pooled("valid")).toEqual([2.5]);
    expect(pooled([[0, 2]])).toEqual([2.5, 5.5]);
    const max = lw.maxPool(lw.neg(x), 3, { strides: 2, padding: "same" });
    expect(max.flatten().arraySync()).toEqual([-1, -3, -5]);
  });

  test("the index of the largest element is computed for gradients only", () => {
    const x = lw.tensor(uniform(1, 64), [1, 4, 4, 4]);
    const forward = lw.compile((a: lw.Tensor) => lw.maxPool(a, 2));
    const backward = lw.compile((a: lw.Tensor) => lw.grad((b) => lw.maxPool(b, 2).sum())(a));
    expect(forward(x).dataSync()).toEqual(lw.maxPool(x, 2).dataSync());
    expect(backward(x).sum().dataSync()[0]).toBe(16);
    expect(backward(x).max().dataSync()[0]).toBe(1);
  });

  test.each([
    ["maxPool", (a: lw.Tensor) => lw.maxPool(a, 2)],
    ["avgPool", (a: lw.Tensor) => lw.avgPool(a, 2)],
  ] as const)("%s hands back no −0, at any width", (_, pool) => {
    for (const channels of [1, 3, 8, 17]) {
      const x = lw.tensor(uniform(2, 8 * 8 * channels), [1, 8, 8, channels]);
      const dx = lw.grad((a) => pool(a).mul(-0).sum())(x);
      expect(dx.dataSync().some((value) => Object.is(value, -0))).toBe(false);
    }
  });

  test.each([
    ["side by side", 2, 2, "valid"],
    ["overlapping", 3, 1, "same"],
  ] as const)(
    "the gradient of a pooled relu, its bias and the relu itself, windows %s",
    (_, size, strides, padding) => {
      const [h, w, c] = [5, 6, 3];
      const x = lw.tensor(uniform(5, 2 * h * w * c), [2, h, w, c]).sub(0.6);
      const bias = lw.tensor([0.1, -0.2, 0.3]);
      const f = (y: lw.Tensor) => lw.maxPool(y, size, { strides, padding });
      const scale = filled(f(x).shape, (i) => 1 + (i % 5));
      const loss = (y: lw.Tensor) => f(y).mul(scale).sum();
      // One chain whole, in which the compiler may mask first; and in two runs, in which it cannot.
      const whole = lw.grad((b: lw.Tensor) => loss(x.add(b).relu()))(bias);
      const y = x.add(bias).relu();
      y.dataSync();
      const dy = lw.grad(loss)(y).dataSync();
      const [values, sums] = [y.dataSync(), new Float64Array(c)];
      dy.forEach((d, i) => {
        if (values[i]! > 0) sums[i % c]! += d;
      });
      expect([...whole.dataSync()]).toEqual([...sums]);
      const dx = lw
        .grad((z: lw.Tensor) => loss(z.add(bias).relu()))(x)
        .dataSync();
      expect([...dx]).toEqual([...dy].map((d, i) => (values[i]! > 0 ? d : 0)));
      // The relu's value is an intermediate that has a gradient of its own.
      expect(dy.some((d, i) => d > 0 && values[i]! === 0)).toBe(true);
    },
  );

  test("windows of more than 256 elements, and the second derivative through them", () => {
    const x = lw.tensor(uniform(2, 2 * 20 * 18), [2, 20, 18, 1]);
    const f = (a: lw.Tensor): lw.Tensor => lw.maxPool(a, [17, 16], { strides: 1 });
    const y = f(x).dataSync();
    const values = x.dataSync();
    let at = 0;
    for (let n = 0; n < 2; n++)
      for (let r = 0; r < 4; r++)
        for (let c = 0; c < 3; c++) {
          let best = -Infinity;
          for (let i = 0; i < 17; i++)
            for (let j = 0; j < 16; j++)
              best = Math.max(best, values[(n * 20 + r + i) * 18 + c + j]!);
          expect(y[at++]).toBe(best);
        }
    // d/dx Σ (maxpool(x)²)/2 = Σ y·∂y; its derivative once more along ones counts the windows.
    const second = lw.grad((a) =>
      lw
        .grad((b) => f(b).square().sum().mul(0.5))(a)
        .sum(),
    )(x);
    expect(second.sum().dataSync()[0]).toBe(24);
  });

  test.each(["constant", "nearest", "reflect", "wrap"] as const)(
    "the gradient of transformImages with fill mode %s",
    (fillMode) => {
      const x = lw.tensor(uniform(3, 2 * 5 * 4 * 3), [2, 5, 4, 3]);
      const t = lw.tensor([
        [0.8, -0.6, 0.7, 0.6, 0.8, -0.4, 0, 0],
        [1.3, 0.2, -0.3, 0.1, 0.7, 0.2, 0.02, -0.03],
      ]);
      for (const interpolation of ["nearest", "bilinear"] as const) {
        const options = { interpolation, fillMode, fillValue: 2, outputShape: [6, 3] as const };
        expectGradient((a) => lw.transformImages(a, t, options), [x]);
      }
    },
  );

  test("whole-pixel transforms move pixels exactly", () => {
    const x = lw.tensor([1, 2, 3, 4, 5, 6], [1, 2, 3, 1]);
    const moved = (t: number[], fillMode: lw.FillMode = "constant") =>
      lw.transformImages(x, [t], { fillMode, fillValue: 9 }).flatten().arraySync();
    expect(moved([-1, 0, 2, 0, 1, 0, 0, 0])).toEqual([3, 2, 1, 6, 5, 4]);
    expect(moved([1, 0, -1, 0, 1, 0, 0, 0])).toEqual([9, 1, 2, 9, 4, 5]);
    expect(moved([1, 0, -1, 0, 1, 0, 0, 0], "wrap")).toEqual([3, 1, 2, 6, 4, 5]);
    expect(moved([1, 0, -2, 0, 1, 0, 0, 0], "reflect")).toEqual([2, 1, 1, 5, 4, 4]);
    expect(moved([1, 0, 1, 0, 1, 1, 0, 0], "nearest")).toEqual([5, 6, 6, 5, 6, 6]);
  });

  test("repeatAxes equals resizing to a multiple", () => {
    const x = lw.tensor(uniform(4, 24), [1, 3, 4, 2]);
    const f = (a: lw.Tensor): lw.Tensor => repeatAxes(a, [1, 2], [2, 3]);
    expect(f(x).dataSync()).toEqual(lw.resizeNearestNeighbor(x, [6, 12]).dataSync());
    expectGradient(f, [x]);
  });

  test("resizing takes one image, and images of bytes", () => {
    const bytes = lw.tensor(Uint8Array.of(1, 2, 3, 4), [2, 2, 1]);
    const big = lw.resizeNearestNeighbor(bytes, [4, 2]);
    expect([big.dtype, big.shape, big.flatten().arraySync()]).toEqual([
      "uint8",
      [4, 2, 1],
      [1, 2, 1, 2, 3, 4, 3, 4],
    ]);
  });
});

describe("errors", () => {
  const x = lw.ones([1, 5, 5, 2]);
  test.each<[string, () => unknown]>([
    [
      "maxPool: expected [batch, …1 to 3 dimensions, channels], got shape [5, 5]",
      () => lw.maxPool(lw.ones([5, 5]), 2),
    ],
    [
      'maxPool: expected a height of at least 6 for a window of 6, got 5; padding: "same" would allow it',
      () => lw.maxPool(x, [6, 2]),
    ],
    [
      "avgPool: expected `padding` below the window's size of 2, got [2, 2]",
      () => lw.avgPool(x, 2, { padding: 2 }),
    ],
    [
      'avgPool: expected `padding` to be one of "valid", "same", got "full"',
      () => lw.avgPool(x, 2, { padding: "full" as never }),
    ],
    [
      'avgPool: expected `padding` to be "valid", "same", a number or 2 pairs [before, after], got [1, 1]',
      () => lw.avgPool(x, 2, { padding: [1, 1] as never }),
    ],
    ["maxPool: expected `poolSize` to be an integer ≥ 1, got 0", () => lw.maxPool(x, 0)],
    [
      "maxPool: expected `strides` to be a number or 2 of them, got [1, 2, 3]",
      () => lw.maxPool(x, 2, { strides: [1, 2, 3] }),
    ],
    ["maxPool: expected float32, got int32", () => lw.maxPool(lw.ones([1, 5, 5, 2], "int32"), 2)],
    [
      "transformImages: expected transforms [1, 8] or [1, 8], one for each image, got shape [8]",
      () => lw.transformImages(x, [1, 0, 0, 0, 1, 0, 0, 0]),
    ],
    [
      "resizeBilinear: `alignCorners` and `halfPixelCenters` exclude each other",
      () => lw.resizeBilinear(x, [2, 2], { alignCorners: true, halfPixelCenters: true }),
    ],
    [
      "resizeBilinear: expected [batch, height, width, channels], got shape [5, 5]",
      () => lw.resizeBilinear(lw.ones([5, 5]), [2, 2]),
    ],
    [
      "localResponseNormalization: expected `depthRadius` to be an integer ≥ 0, got -1",
      () => lw.localResponseNormalization(x, { depthRadius: -1 }),
    ],
  ])("%s", (message, make) => {
    expect(make).toThrow(message);
  });
});
