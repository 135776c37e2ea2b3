/** Convolutions: PyTorch's values and gradients over the options, sizes as Keras has them, and errors. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { trace } from "../../src/backend/run.js";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

type Op =
  | "conv1d"
  | "conv2d"
  | "conv3d"
  | "depthwiseConv2d"
  | "conv2dTranspose"
  | "conv3dTranspose";
interface Stored {
  readonly shape: number[];
  readonly data: number[];
}
/** Written by make_convolution.py, from PyTorch in double precision. */
const golden = JSON.parse(
  readFileSync(new URL("../golden/convolution.json", import.meta.url), "utf8"),
) as {
  torch: string;
  cases: {
    op: Op;
    options: object;
    x: Stored;
    filter: Stored;
    y: Stored;
    dy: number[];
    dx: number[];
    dFilter: number[];
    /** Whether the addon computes it by Winograd's algorithm. */
    winograd?: true;
  }[];
};

const ops: Readonly<Record<Op, (x: lw.Tensor, filter: lw.Tensor, options: object) => lw.Tensor>> = {
  conv1d: lw.conv1d,
  conv2d: lw.conv2d,
  conv3d: lw.conv3d,
  depthwiseConv2d: lw.depthwiseConv2d,
  conv2dTranspose: lw.conv2dTranspose,
  conv3dTranspose: lw.conv3dTranspose,
};

/** docs/program.md: Winograd's error at most, relative to the deviation of the results (whose mean is about 0 here). */
const winogradError = (results: readonly number[]): number =>
  1.2e-5 * Math.sqrt(results.reduce((sum, v) => sum + v * v, 0) / results.length);

const drawn = (seed: number, shape: readonly number[]): lw.Tensor =>
  lw.tensor(
    uniform(
      seed,
      shape.reduce((a, b) => a * b, 1),
    ),
    shape,
  );

onEachBackend("convolution", () => {
  test.each(golden.cases.map((one) => ({ ...one, label: JSON.stringify(one.options) })))(
    `$op $label as PyTorch ${golden.torch} has it`,
    ({ op, options, x, filter, y, dy, dx, dFilter, winograd }) => {
      const convolve = (image: lw.Tensor, weights: lw.Tensor): lw.Tensor =>
        ops[op](image, weights, options);
      const [image, weights] = [x, filter].map(({ shape, data }) => lw.tensor(data, shape)) as [
        lw.Tensor,
        lw.Tensor,
      ];
      const result = convolve(image, weights);
      expect(result.shape).toEqual(y.shape);
      // Sums of exact products of small numbers: exact in float32 as well, but for Winograd's fractions.
      const atol = (want: readonly number[]): number => (winograd ? winogradError(want) : 1e-5);
      expectClose(result.dataSync(), y.data, { atol: atol(y.data) });
      const { grads } = lw.valueAndGrads(convolve)([image, weights], lw.tensor(dy, y.shape));
      expectClose(grads[0]!.dataSync(), dx, { atol: atol(dx) }, "dx");
      expectClose(grads[1]!.dataSync(), dFilter, { atol: atol(dFilter) }, "dFilter");
    },
  );

  test("a causal convolution sees no later step", () => {
    const x = lw.tensor([1, 2, 3, 4], [1, 4, 1]);
    const filter = lw.tensor([10, 1], [2, 1, 1]);
    const y = lw.conv1d(x, filter, { padding: "causal" });
    expect([...y.dataSync()]).toEqual([1, 12, 23, 34]);
    const wide = lw.conv1d(x, filter, { padding: "causal", dilationRate: 2 });
    expect([...wide.dataSync()]).toEqual([1, 2, 13, 24]);
  });

  test("gradients of gradients equal finite differences", () => {
    const options = { strides: 2, padding: 1, groups: 2 } as const;
    const slope = (x: lw.Tensor, filter: lw.Tensor): lw.Tensor => {
      const loss = (a: lw.Tensor, b: lw.Tensor) => lw.conv2d(a, b, options).square().sum();
      const [dx, dw] = lw.grads(loss)([x, filter]) as [lw.Tensor, lw.Tensor];
      return dx.square().sum().add(dw.square().sum()).mul(0.01);
    };
    expectGradient(slope, [drawn(1, [2, 5, 4, 4]), drawn(2, [3, 3, 2, 6])], { tolerance: 4e-3 });
  });

  test("Winograd's algorithm stays close to the sum", () => {
    for (const size of [6, 14, 25]) {
      const x = drawn(1, [3, size, size, 33]);
      const filter = drawn(2, [3, 3, 33, 40]);
      const close = (name: string, f: (winograd: boolean) => lw.Tensor) => {
        const [a, b] = [f(true).dataSync(), f(false).dataSync()];
        expectClose(a, b, { atol: 2e-4 }, name);
      };
      close("forward", (winograd) => lw.conv2d(x, filter, { padding: "same", winograd }));
      close("gradient", (winograd) =>
        lw.conv2dTranspose(x, drawn(2, [3, 3, 40, 33]), { padding: "same", winograd }),
      );
      // Sums over all pixels, not over 300 terms: the same tolerance for means.
      close("filter's gradient", (winograd) =>
        lw
          .grad((w) => lw.sum(lw.square(lw.conv2d(x, w, { padding: "same", winograd }))))(
            lw.mul(filter, 0.01),
          )
          .div(size ** 2),
      );
    }
  });
});

onEachBackend("conv3dTranspose", () => {
  // ⟨conv3d(x, w), y⟩ = ⟨x, conv3dTranspose(y, w)⟩ where the sizes are each other's.
  test.each([
    ["valid", [5, 6, 7], {}, {}],
    ["strided", [6, 5, 8], { strides: [2, 1, 3] }, { outputPadding: [1, 0, 0] }],
    ["same", [4, 6, 5], { padding: "same", strides: [2, 2, 1] }, {}],
    ["stride above the window", [8, 5, 5], { strides: [4, 1, 1] }, { outputPadding: [1, 0, 0] }],
    ["dilated", [7, 5, 4], { dilationRate: [2, 2, 1] }, {}],
    ["padded and grouped", [4, 4, 4], { padding: [[1, 0], [1, 1], [0, 1]], groups: 2 }, {}], // biome-ignore format: a row
  ] as const)("%s", (_, size, options, more) => {
    const groups = (options as { groups?: number }).groups ?? 1;
    const x = drawn(1, [2, ...size, 4]);
    const w = drawn(2, [3, 2, 2, 4 / groups, 6]);
    const there = lw.conv3d(x, w, options);
    const y = drawn(3, [...there.shape]);
    const back = lw.conv3dTranspose(y, w, { ...options, ...more });
    expect(back.shape).toEqual(x.shape);
    const left = lw.sum(lw.mul(there, y)).item();
    const right = lw.sum(lw.mul(x, back)).item();
    // Some thousand terms of size 1.
    expect(Math.abs(left - right)).toBeLessThan(1e-3);
  });

  test("gradients", () => {
    expectGradient(
      (x, w) => lw.conv3dTranspose(x, w, { strides: [2, 1, 2], padding: "same" }),
      [drawn(1, [1, 2, 3, 2, 2]), drawn(2, [3, 2, 2, 3, 2])],
    );
  });

  test("errors name it", () => {
    expect(() => lw.conv3dTranspose(lw.zeros([1, 2, 2, 2, 3]), lw.zeros([2, 2, 2, 4, 5]))).toThrow(
      "conv3dTranspose: expected a filter [depth, height, width, filters, 3], got [2, 2, 2, 4, 5] for x [1, 2, 2, 2, 3]",
    );
  });
});

describe("sizes", () => {
  const x = lw.zeros([1, 9, 10, 2]);
  const filter = lw.zeros([3, 4, 2, 5]);
  test.each([
    [{}, [7, 7]],
    [{ padding: "same" }, [9, 10]],
    [{ padding: "same", strides: 2 }, [5, 5]],
    [{ padding: "same", strides: [3, 4] }, [3, 3]],
    [{ padding: 2 }, [11, 11]],
    [{ padding: [[1, 0], [0, 3]] }, [8, 10]], // biome-ignore format: a row of options
    [{ dilationRate: [4, 3] }, [1, 1]],
    [{ strides: [2, 3], padding: 1, dilationRate: 2 }, [4, 2]],
  ] as const)("conv2d %j", (options, [height, width]) => {
    expect(lw.conv2d(x, filter, options).shape).toEqual([1, height, width, 5]);
  });

  // Keras' deconv_output_length for taps 3 and 4.
  const back = lw.zeros([3, 4, 6, 2]);
  test.each([
    [{}, [11, 13]],
    [{ strides: 2 }, [19, 22]],
    [{ strides: 5 }, [45, 50]],
    [{ strides: 2, padding: "same" }, [18, 20]],
    [{ strides: 2, padding: "same", outputPadding: 1 }, [18, 19]],
    [{ strides: 2, padding: "same", outputPadding: 0 }, [17, 18]],
    [{ strides: 3, outputPadding: [2, 0] }, [29, 31]],
    [{ dilationRate: 2 }, [13, 16]],
    [{ padding: 1 }, [9, 11]],
  ] as const)("conv2dTranspose %j", (options, [height, width]) => {
    const y = lw.conv2dTranspose(x, back, options);
    expect(y.shape).toEqual([1, height, width, 6]);
    expect(y.dataSync().every((value) => value === 0)).toBe(true);
  });
});

describe("errors", () => {
  const x = lw.zeros([1, 4, 5, 6]);
  const filter = lw.zeros([3, 3, 6, 8]);
  // biome-ignore format: a table
  const wrong: [string, () => unknown][] = [
    ["rank of x", () => lw.conv2d(lw.zeros([4, 5, 6]), filter)],
    ["rank of the filter", () => lw.conv2d(x, lw.zeros([3, 6, 8]))],
    ["dtype", () => lw.conv2d(x.cast("int32"), filter)],
    ["channels", () => lw.conv2d(x, lw.zeros([3, 3, 5, 8]))],
    ["channels per group", () => lw.conv2d(x, filter, { groups: 2 })],
    ["groups and channels", () => lw.conv2d(x, filter, { groups: 4 })],
    ["groups and filters", () => lw.conv2d(x, lw.zeros([3, 3, 2, 8]), { groups: 3 })],
    ["window above the size", () => lw.conv2d(x, lw.zeros([5, 3, 6, 8]))],
    ["dilated window", () => lw.conv2d(x, filter, { dilationRate: [1, 3], padding: 0 })],
    ["no taps", () => lw.conv2d(x, lw.zeros([0, 3, 6, 8]))],
    ["strides", () => lw.conv2d(x, filter, { strides: 0 })],
    ["number of strides", () => lw.conv2d(x, filter, { strides: [1, 1, 1] as never })],
    ["padding's name", () => lw.conv2d(x, filter, { padding: "sane" as never })],
    ["padding's form", () => lw.conv2d(x, filter, { padding: [1, 1] as never })],
    ["negative padding", () => lw.conv2d(x, filter, { padding: [[0, 0], [-1, 0]] })],
    ["another library's word", () => lw.conv2d(x, filter, { stride: 2 } as never)],
    ["unknown option", () => lw.conv2d(x, filter, { dilationRat: 2 } as never)],
    ["Winograd's switch", () => lw.conv2d(x, filter, { winograd: 1 as never })],
    ["depthwise groups", () => lw.depthwiseConv2d(x, lw.zeros([3, 3, 6, 1]), { groups: 2 } as never)],
    ["depthwise channels", () => lw.depthwiseConv2d(x, lw.zeros([3, 3, 5, 1]))],
    ["transposed filter", () => lw.conv2dTranspose(x, filter)],
    ["output padding", () => lw.conv2dTranspose(x, lw.zeros([3, 3, 8, 6]), { outputPadding: 1 })],
    ["nothing left", () => lw.conv2dTranspose(x, lw.zeros([1, 1, 8, 6]), { padding: 2 })],
    ["causal in two dimensions", () => lw.conv2d(x, filter, { padding: "causal" as never })],
    ["sequence", () => lw.conv1d(x, lw.zeros([3, 6, 8]))],
    ["volume", () => lw.conv3d(x, lw.zeros([3, 3, 3, 6, 8]))],
  ];
  test.each(wrong)("%s", (_, act) => {
    expect(act).toThrowErrorMatchingSnapshot();
  });
});

onEachBackend("windows that reach too far", () => {
  test("are refused", () => {
    const y = lw.conv2d(lw.zeros([1, 1, 3, 1]), lw.zeros([1, 2, 1, 1]), {
      padding: [
        [0, 0],
        [2 ** 30, 2 ** 30],
      ],
      dilationRate: [1, 2 ** 31 - 2],
    });
    expect(() => y.dataSync()).toThrow(/conv2d.*windows reach over an image of 2\^31 elements/);
  });
});

describe("calls", () => {
  const inputs = [
    { name: "x", shape: [2, 8, 8, 4], dtype: "float32" as const },
    { name: "w", shape: [3, 3, 4, 6], dtype: "float32" as const },
    { name: "b", shape: [6], dtype: "float32" as const },
  ];
  const calls = (own: typeof inputs, body: (...xs: lw.Tensor[]) => lw.Tensor[]) =>
    trace({ name: "fact", inputs: own, body: (xs) => body(...xs) }).program.calls;

  test("bias, activation and residual ride in the epilogue", () => {
    const [one, ...others] = calls(inputs, (x, w, b) => {
      const y = lw.conv2d(x!, w!, { padding: "same" });
      return [y.add(b!).relu().add(1)];
    });
    expect(others).toEqual([]);
    expect(one!.kernel).toBe("conv2d");
    expect(one!.tile!.instructions.map((i) => i.op)).toContain("relu");
  });

  test("an update runs in the epilogue of the filter's gradient", () => {
    const filter = lw.variable(lw.zeros([3, 3, 4, 6]));
    const { program } = trace({
      name: "step",
      inputs: inputs.slice(0, 1),
      body: ([x]) => {
        const { grads } = lw.variableGrads(() => lw.conv2d(x!, filter).square().sum());
        filter.assign(filter.sub(Object.values(grads)[0]!.mul(0.1)));
        return [];
      },
    });
    expect(program.calls.map((call) => call.kernel)).toEqual(["conv2d", "conv2dFilterGradient"]);
    expect(program.calls[1]!.tile!.instructions.at(-1)!.op).toBe("sub");
  });

  test("a 1×1 convolution is a matrix product, both ways", () => {
    const pointwise = [inputs[0]!, { ...inputs[1]!, shape: [1, 1, 4, 6] }];
    const all = calls(pointwise, (x, w) =>
      lw.grads((a, b) => lw.conv2d(a, b).square().sum())([x!, w!]),
    );
    expect(all.map((call) => call.kernel)).toEqual(["gemm", "gemm", "gemm"]);
    // With strides, of the pixels that are not left out.
    const options = { strides: 2 };
    const strided = calls(pointwise, (x, w) =>
      lw.grads((a, b) => lw.conv2d(a, b, options).square().sum())([x!, w!]),
    );
    expect(strided.map(({ kernel }) => kernel)).toEqual([
      ...["copy", "gemm"], // forward
      ...["gemm", "map", "copy"], // dx, put back among zeros
      "gemm",
    ]);
  });
});
