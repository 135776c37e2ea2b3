/** What becomes how many kernel calls: the facts about fusion that speed rests on. */
import { describe, expect, test } from "vitest";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import { type TraceInput, trace } from "../../src/backend/run.js";
import type { Program } from "../../src/compiler/program.js";
import type { DType } from "../../src/index.js";
import * as lw from "../../src/index.js";
import { normalize } from "../../src/ops/normalization.js";
import { sizeOf } from "../../src/tensor/shape.js";
import { literal } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { normal } from "../helpers/random.js";
import { expectSoundMemory } from "./checks.js";

const input = (name: string, shape: number[], dtype: DType = "float32"): TraceInput => ({
  name,
  shape,
  dtype,
});

function compiled(inputs: TraceInput[], body: (...xs: lw.Tensor[]) => lw.Tensor[]): Program {
  const { program } = trace({ name: "fact", inputs, body: (xs) => body(...xs) });
  expectSoundMemory(program);
  return program;
}

const kernels = (program: Program): string[] => program.calls.map((call) => call.kernel);
const zeros = (name: string, shape: number[]): lw.Variable =>
  lw.variable(lw.zeros(shape), { name });

describe("fusion", () => {
  test("a chain of element-wise ops is one map, with nothing in the arena", () => {
    const program = compiled([input("x", [30, 40]), input("b", [40])], (x, b) => [
      lw.gelu(x!.mul(2).add(b!)).tanh().clipByValue(-0.5, 0.5),
    ]);
    expect(kernels(program)).toEqual(["map"]);
    expect(program.arenaBytes).toBe(0);
  });

  test("bias and activation go into the product's epilogue, gelu and residuals too", () => {
    const inputs = [input("x", [8, 4]), input("w", [4, 4]), input("b", [4])];
    const relu = compiled(inputs, (x, w, b) => [x!.matMul(w!).add(b!).relu()]);
    expect(kernels(relu)).toEqual(["gemm"]);
    expect(relu.calls[0]!.tile?.instructions.map((i) => i.op)).toEqual(["add", "relu"]);
    const gelu = compiled(inputs, (x, w, b) => [lw.gelu(x!.matMul(w!).add(b!)).add(x!)]);
    expect(kernels(gelu)).toEqual(["gemm"]);
    const batched = compiled([input("x", [2, 8, 4]), ...inputs.slice(1)], (x, w, b) => [
      x!.matMul(w!).add(b!).sigmoid(),
    ]);
    expect(kernels(batched)).toEqual(["gemm"]);
  });

  test("of layers with channels first the first turns the images around, and the last turns them back", () => {
    const dataFormat = "channelsFirst";
    const convolve = () => lw.layers.conv2d({ filters: 4, kernelSize: 3, dataFormat });
    const stack = [
      convolve(),
      lw.layers.leakyReLU(),
      lw.layers.maxPooling2d({ poolSize: 2, dataFormat }),
      convolve(),
    ];
    const through = (x: lw.Tensor) => stack.reduce((y, layer) => layer.apply(y) as lw.Tensor, x);
    through(lw.zeros([2, 3, 12, 12])); // makes the weights
    const images = [input("x", [2, 3, 12, 12])];
    const turns = (program: Program) =>
      kernels(program).filter((kernel) => kernel === "copy").length;
    const forward = compiled(images, (x) => [through(x!)]);
    expect(turns(forward)).toBe(2);
    const both = compiled(images, (x) => gradientsOf(lw.sum(lw.square(through(x!))), [x!]));
    expect(turns(both)).toBe(2);
  });

  test("a matrix that a batch of one shares is not copied", () => {
    const inputs = [input("x", [1, 3, 4]), input("w", [4, 5])];
    expect(kernels(compiled(inputs, (x, w) => [x!.matMul(w!)]))).toEqual(["gemm"]);
    expect(kernels(compiled(inputs.toReversed(), (w, x) => [w!.matMul(x!, true, true)]))).toEqual([
      "gemm",
    ]);
  });

  test("a batch norm that predicts runs in the epilogue of the convolution before it", () => {
    const { layers } = lw;
    const model = lw.sequential([
      layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [8, 8, 3], useBias: false }),
      layers.batchNormalization(),
      layers.activation({ activation: "relu" }),
      layers.conv2d({ filters: 5, kernelSize: 1 }),
      layers.batchNormalization({ scale: false }),
    ]);
    const program = compiled([input("x", [2, 8, 8, 3])], (x) => [model.apply(x!) as lw.Tensor]);
    const products = program.calls.filter(({ kernel }) => kernel !== "map");
    expect(products.map(({ kernel }) => kernel)).toEqual(["conv2d", "gemm"]);
    // Maps are left for what has one value per channel; an element takes a product and a sum.
    for (const { kernel, tile } of program.calls) {
      if (kernel === "map") expect(sizeOf(tile!.dims)).toBeLessThanOrEqual(5);
    }
    const ops = products.map(({ tile }) => tile!.instructions.map(({ op }) => op));
    expect(ops).toEqual([
      ["mul", "add", "relu"],
      ["add", "mul", "add"], // with the bias
    ]);
  });

  test("local response normalisation runs in the epilogue of its product", () => {
    const program = compiled([input("x", [2, 5, 5, 16])], (x) => [
      lw.localResponseNormalization(x!, { depthRadius: 2, bias: 2, alpha: 1e-4, beta: 0.75 }),
    ]);
    // The squares, then their sums with all that follows.
    expect(kernels(program)).toEqual(["map", "gemm"]);
    expect(program.calls[1]!.tile!.results).toHaveLength(1);
  });

  test("transposes of operands become the product's flags", () => {
    const program = compiled([input("x", [4, 8]), input("w", [3, 4])], (x, w) => [
      x!.transpose().matMul(w!.transpose()),
    ]);
    expect(kernels(program)).toEqual(["gemm"]);
    expect(program.calls[0]!.ints.slice(4, 6)).toEqual([1, 1]);
  });

  test("an Adam update is one map per parameter, beside the scalars'", () => {
    const [w, m, v] = ["w", "m", "v"].map((name) => zeros(name, [40, 30])) as [
      lw.Variable,
      lw.Variable,
      lw.Variable,
    ];
    const t = zeros("t", []);
    const update = (g: lw.Tensor): lw.Tensor[] => {
      t.assign(t.add(1));
      m.assign(m.mul(0.9).add(g.mul(0.1)));
      v.assign(v.mul(0.999).add(g.square().mul(0.001)));
      const first = m.div(lw.sub(1, lw.pow(0.9, t)));
      const second = v.div(lw.sub(1, lw.pow(0.999, t)));
      w.assign(w.sub(first.div(second.sqrt().add(1e-8)).mul(0.001)));
      return [];
    };
    const program = compiled([input("g", [40, 30])], (g) => update(g!));
    expect(kernels(program)).toEqual(["map", "map"]);
    expect(program.calls[1]!.outputs.length).toBe(3);

    // A gradient that comes from a product takes the update along as its epilogue.
    const inputs = [input("x", [8, 40]), input("dy", [8, 30])];
    const product = compiled(inputs, (x, dy) => update(x!.matMul(dy!, true)));
    expect(kernels(product)).toEqual(["map", "gemm"]);
    expect(product.calls[1]!.outputs.length).toBe(3);
  });

  test("softmax with cross-entropy and its gradient is one kernel", () => {
    const inputs = [input("z", [8, 3]), input("t", [8, 3])];
    const program = compiled(inputs, (z, t) => {
      const { value, grad } = lw.valueAndGrad((x) => lw.softmaxCrossEntropy(t!, x).sum())(z!);
      return [value, grad];
    });
    expect(kernels(program)).toEqual(["softmaxCrossEntropy", "reduce"]);
    const sparse = compiled([inputs[0]!, input("y", [8], "int32")], (z, y) => {
      const { value, grad } = lw.valueAndGrad((x) => lw.sparseSoftmaxCrossEntropy(y!, x).sum())(z!);
      return [value, grad];
    });
    expect(kernels(sparse)).toEqual(["sparseSoftmaxCrossEntropy", "reduce"]);
  });

  test("batch norm's gradients for scale, offset and input make one reducing pass", () => {
    const inputs = [input("x", [8, 4]), input("dy", [8, 4]), input("g", [4]), input("b", [4])];
    const program = compiled(inputs, (x, dy, g, b) =>
      lw.grads((a, gamma, beta) => normalize(a, [0], gamma!, beta!, 1e-3).output)([x!, g!, b!], dy),
    );
    const reduces = program.calls.filter((call) => call.kernel === "reduce");
    expect(reduces.length).toBe(1);
    expect(reduces[0]!.outputs.length).toBe(2);
    expect(kernels(program).filter((k) => k === "moments").length).toBe(1);
    // Passes over the whole of x: moments, x̂, the sums, dx.
    const large = program.calls.filter((call) =>
      call.inputs.some((i) => program.tensors[i]!.shape.join() === "32"),
    );
    expect(large.length).toBe(4);
  });

  test("a map that only feeds a reduction is part of it, and reductions share a pass", () => {
    const loss = compiled([input("a", [9, 7]), input("b", [9, 7])], (a, b) => [
      lw.squaredDifference(a!, b!).mean(),
    ]);
    expect(kernels(loss)).toEqual(["reduce"]);
    const both = compiled([input("x", [9, 7])], (x) => [x!.sum(0), x!.square().sum(0), x!.max(0)]);
    expect(kernels(both)).toEqual(["reduce"]);
    const product = compiled([input("x", [9, 7])], (x) => [x!.sum(0), x!.sum(1)]);
    expect(kernels(product)).toEqual(["reduce", "reduce"]);
  });

  test("reshapes cost nothing; constants never reach memory", () => {
    const program = compiled([input("x", [6, 4])], (x) => [
      x!
        .reshape([2, 12])
        .reshape([6, 4])
        .add(lw.fill([6, 4], 3))
        .sub(lw.zeros([4])),
    ]);
    expect(kernels(program)).toEqual(["map"]);
    expect(program.calls[0]!.inputs.length).toBe(1);
    expect(program.calls[0]!.tile!.instructions.map((i) => i.op)).toEqual(["constFloat", "add"]);
  });

  test("neutral arithmetic disappears, other arithmetic does not", () => {
    const steps = (f: (x: lw.Tensor) => lw.Tensor): string[] =>
      compiled([input("x", [5])], (x) => [f(x!).neg()]).calls.flatMap((call) =>
        (call.tile?.instructions ?? []).map((i) => i.op).filter((op) => op !== "constFloat"),
      );
    for (const f of [
      (x: lw.Tensor) => x.mul(1),
      (x: lw.Tensor) => lw.mul(1, x),
      (x: lw.Tensor) => x.div(1),
      (x: lw.Tensor) => x.sub(0),
      (x: lw.Tensor) => x.mul(lw.ones([5])),
    ]) {
      expect(steps(f)).toEqual(["neg"]);
    }
    expect(steps((x) => x.div(2))).toEqual(["div", "neg"]);
    expect(steps((x) => lw.div(1, x))).toEqual(["div", "neg"]);
    expect(steps((x) => lw.sub(0, x))).toEqual(["sub", "neg"]);
    // −0 + 0 is +0, so adding 0 is not neutral.
    expect(steps((x) => x.add(0))).toEqual(["add", "neg"]);
  });

  test("equal expressions are computed once, unused ones not at all", () => {
    const program = compiled([input("x", [4, 4])], (x) => {
      x!.matMul(x!).exp();
      return [x!.matMul(x!).add(1), x!.matMul(x!).add(1).mul(2)];
    });
    expect(kernels(program)).toEqual(["gemm"]);
    const attributes = compiled([input("x", [3, 4])], (x) => [x!.sum(0), x!.sum(0), x!.max(0)]);
    expect(attributes.calls.length).toBe(2);
  });

  test("limits of a tile hold, however long the chain and however many its constants", () => {
    const program = compiled([input("x", [7])], (x) => {
      const parts = Array.from({ length: 60 }, (_, i) => x!.mul(1.5 + i));
      let y = parts[0]!;
      for (let i = 0; i < 60; i++) y = y.add(parts[i]!.mul(1.5 + i)).mul(parts[59 - i]!);
      return [y];
    });
    for (const { tile } of program.calls) expect(tile!.registers).toBeLessThanOrEqual(64);
    const leaves = Array.from({ length: 60 }, (_, i) => lw.tensor([i, i + 1]));
    const wide = compiled([], () => [leaves.reduce((a, b) => a.mul(0.5).add(b))]);
    for (const { inputs } of wide.calls) expect(inputs.length).toBeLessThanOrEqual(64);
  });
});

describe("memory plan", () => {
  test("values that are done make room for later ones", () => {
    const program = compiled([input("x", [16, 16])], (x) => {
      let y = x!;
      for (let i = 0; i < 12; i++) y = y.matMul(x!).softmax();
      return [y];
    });
    // Two buffers of 16 × 16 floats take turns.
    expect(program.arenaBytes).toBe(2 * 16 * 16 * 4);
  });

  test("a map works in place on an input that dies, once per input", () => {
    const program = compiled([input("x", [64]), input("i", [64], "int32")], (x, i) => {
      const [a, b] = [x!.gather(i!), x!.gather(i!.add(1))];
      const [sum, difference] = [a.add(b), a.sub(b)];
      return [sum.gather(i!), difference.gather(i!)];
    });
    const map = program.calls.find((call) => call.kernel === "map" && call.outputs.length === 2)!;
    const places = (list: readonly number[]) =>
      list.map((index) => JSON.stringify(program.tensors[index]!.place)).sort();
    expect(places(map.outputs)).toEqual(places(map.inputs));
    expect(new Set(places(map.outputs)).size).toBe(2);
  });

  describe("what is joined along the outermost axis is made in its place", () => {
    const made = (program: Program) => {
      const copies = program.calls.filter((call) => call.kernel === "copy");
      return { copies: copies.length, arenaBytes: program.arenaBytes };
    };
    const x = () => input("x", [4, 16]);

    test("whole cache lines are, and what is read after the whole is kept", () => {
      const program = compiled([x(), x()], (a, b) => {
        const [p, q] = [a!.softmax(), b!.softmax()];
        const joined = lw.concat([p, q], 0).softmax();
        return [joined, p.sub(q).softmax()];
      });
      // Two results, each its own binding; p and q in one block.
      expect(made(program)).toEqual({ copies: 0, arenaBytes: 3 * 256 });
    });

    test("a part is kept beyond its whole, also under another shape", () => {
      const program = compiled([x(), x()], (a, b) => {
        const [p, q] = [a!.softmax(), b!.softmax()];
        const joined = lw.concat([p.reshape([2, 32]), q.reshape([2, 32])], 0).softmax();
        const last = joined.softmax().softmax().softmax().slice([0, 0], [2, 32]).softmax();
        return [last, p.sub(q).softmax()];
      });
      expect(made(program).copies).toBe(1); // the slice
    });

    test.each([
      ["a part that begins inside a line", [1, 3], 0, 1],
      ["an inner axis", [2, 2], 1, 2],
    ] as const)("%s is copied", (_name, rows, axis, copies) => {
      const parts = rows.map((n) => (axis === 0 ? input("x", [n, 3]) : input("x", [4, n * 16])));
      const program = compiled(parts, (a, b) => [
        lw.concat([a!.softmax(), b!.softmax()], axis).softmax(),
      ]);
      expect(made(program).copies).toBe(copies);
    });

    test("arguments, results, repeated values and parts of two wholes are copied", () => {
      const argument = compiled([x()], (a) => [lw.concat([a!, a!.softmax()]).softmax()]);
      expect(made(argument).copies).toBe(1);
      const result = compiled([x(), x()], (a, b) => {
        const p = a!.softmax();
        return [p, lw.concat([p, b!.softmax()]).softmax()];
      });
      expect(made(result).copies).toBe(1);
      const twice = compiled([x()], (a) => {
        const p = a!.softmax();
        return [lw.concat([p, p]).softmax()];
      });
      expect(made(twice).copies).toBe(2);
      const two = compiled([x(), x()], (a, b) => {
        const [p, q] = [a!.softmax(), b!.softmax()];
        const whole = lw.concat([p, q]);
        return [lw.concat([whole, q]).softmax(), whole.softmax()];
      });
      expect(made(two).copies).toBe(2);
    });
  });

  test("tensors of other sizes and dtypes share bytes soundly", () => {
    const program = compiled([input("x", [10, 10])], (x) => {
      const mask = x!.matMul(x!).greater(0);
      const small = x!.softmax().slice([2, 2], [3, 3]).softmax();
      const bytes = mask.transpose().cast("float32").softmax();
      return [bytes.sum().add(small.sum()), lw.concat([small, small]).softmax()];
    });
    expect(program.arenaBytes % 64).toBe(0);
  });

  test("a value that is computed again elsewhere is stored once, where it was", () => {
    const n = 4096;
    const executable = trace({
      name: "again",
      inputs: [input("x", [2, n])],
      body: ([x]) => {
        const half = x!.reverse(1).mul(0.5);
        const quarter = half.mul(0.5);
        const centred = quarter.sub(quarter.mean(1, true));
        return [quarter.mul(centred.reverse(1)), half.slice([1, 0], [1, n])];
      },
    });
    expectSoundMemory(executable.program);
    const x = normal(1, 2 * n);
    const half = (row: number, i: number): number => x[row * n + n - 1 - i]! / 2;
    const mean = (row: number): number =>
      Array.from({ length: n }, (_, i) => half(row, i) / 2).reduce((a, b) => a + b) / n;
    const means = [mean(0), mean(1)];
    const product = Array.from({ length: 2 * n }, (_, at) => {
      const [row, i] = [Math.floor(at / n), at % n];
      return (half(row, i) / 2) * (half(row, n - 1 - i) / 2 - means[row]!);
    });
    const [first, second] = executable.runSync([x]);
    expectClose(first!, product, { atol: 1e-6 });
    expectClose(
      second!,
      Array.from({ length: n }, (_, i) => half(1, i)),
      { atol: 0 },
    );
  });

  test("cheap values are computed where they are read: batch norm's gradient needs no x̂ in memory", () => {
    const shape = [64, 128];
    const program = compiled(
      [input("x", shape), input("gamma", [128]), input("beta", [128]), input("dy", shape)],
      (x, gamma, beta, dy) => {
        const { output } = normalize(x!, [0], gamma!, beta!, 1e-3);
        return [output, ...gradientsOf(output, [x!, gamma!, beta!], dy!)];
      },
    );
    expect(kernels(program)).toEqual(["moments", "reduce", "map", "map", "map", "map"]);
    const large = program.tensors.filter(
      ({ place, shape: dims }) => place.kind === "arena" && sizeOf(dims) >= 64 * 128,
    );
    expect(large).toEqual([]);
  });

  test("what a pooled relu hands back is masked, and summed for the bias, before it is spread", () => {
    const inputs = [input("x", [2, 9, 8, 3]), input("w", [3, 3, 3, 4]), input("b", [4])];
    const program = compiled(inputs, (x, w, b) => {
      const loss = lw.maxPool(lw.conv2d(x!, w!).add(b!).relu(), 2, { strides: 2 }).square().sum();
      return gradientsOf(loss, [w!, b!]);
    });
    // No pass over as many elements as the convolution gives, but for the spreading itself.
    const passes = program.calls.filter(({ kernel }) => kernel === "map" || kernel === "reduce");
    for (const { tile } of passes) expect(sizeOf(tile!.dims)).toBeLessThanOrEqual(2 * 3 * 3 * 4);
    expect(kernels(program).filter((kernel) => kernel === "maxPoolGradient").length).toBe(1);
  });

  test.each<[string, number[], number[]]>([
    ["zeros of the whole shape to compare with", [2, 4, 6, 3], []],
    ["zeros of the whole shape to choose", [], [2, 4, 6, 3]],
    ["zeros along one axis", [6, 1], [3]],
    ["zeros of one element", [1, 1], [1]],
    ["more zeros than elements to compare with", [3, 2, 4, 6, 3], []],
    ["more zeros than elements to choose", [], [3, 2, 4, 6, 3]],
  ])("a pooled relu's mask may be written with %s", (_name, compared, chosen) => {
    const shape = [2, 4, 6, 3];
    const zerosOf = (dims: number[]) => literal(0, "float32").broadcastTo(dims);
    const f = trace({
      name: "masked",
      inputs: [input("y", shape), input("dy", [2, 2, 3, 3])],
      body: ([y, dy]) => {
        const [spread] = gradientsOf(lw.maxPool(y!, 2), [y!], dy!);
        return [spread!, lw.where(zerosOf(compared).less(y!), spread!, zerosOf(chosen))];
      },
    });
    expectSoundMemory(f.program);
    const y = normal(1, sizeOf(shape));
    const [spread, masked] = f.runSync([y, normal(2, 2 * 2 * 3 * 3)]);
    const once = Array.from(spread!, (v, i) => (y[i]! > 0 ? v : 0));
    // A longer shape repeats it.
    const times = Math.max(compared.length, chosen.length) > 4 ? 3 : 1;
    expect(Array.from(masked!)).toEqual(new Array<number[]>(times).fill(once).flat());
  });

  test("what a variable's old value makes is kept, not the old value: the update stays in place", () => {
    const v = zeros("v", [64, 128]);
    const program = compiled([input("x", [64, 128])], (x) => {
      const doubled = v.read().mul(2);
      const fresh = v.read().sub(x!.mul(doubled.sum()));
      v.assign(fresh);
      return [doubled.mul(fresh.square().sum())];
    });
    // Reading v again in the last map would need its old value beside the new one, and a copy at the end.
    expect(kernels(program)).not.toContain("copy");
    const written = program.calls.flatMap((call) => call.outputs);
    const places = written.map((index) => program.tensors[index]!.place);
    expect(places.filter(({ kind }) => kind === "binding").length).toBe(2);
    const large = program.tensors.filter(
      ({ place, shape }) => place.kind === "arena" && sizeOf(shape) >= 64 * 128,
    );
    expect(large.length).toBe(1);
  });
});

describe("products with rows of a small table", () => {
  const [rows, columns, width] = [8, 32, 6];
  const inputs = [
    input("table", [rows, columns]),
    input("indices", [4, 8], "int32"),
    input("w", [columns, width]),
  ];
  /** Rows, columns and terms of every product. */
  const products = (program: Program): number[][] =>
    program.calls.filter(({ kernel }) => kernel === "gemm").map(({ ints }) => ints.slice(1, 4));

  test("are products of the table", () => {
    const program = compiled(inputs, (table, indices, w) => {
      const embedded = lw.gather(table!, indices!);
      const y = embedded.matMul(w!);
      return [y, ...gradientsOf(y, [table!, w!])];
    });
    expect(products(program)).toEqual([
      [rows, width, columns],
      [rows, columns, width],
      [columns, width, rows],
    ]);
  });

  test("stay what they are where the table is large, or narrow", () => {
    const product = (table: number[], indices: number[]): number[][] =>
      products(
        compiled(
          [input("table", table), input("i", indices, "int32"), input("w", [table[1]!, width])],
          (t, i, w) => [lw.gather(t!, i!).matMul(w!)],
        ),
      );
    expect(product([9, 32], [4, 8])).toEqual([[32, width, 32]]);
    expect(product([4, 31], [4, 8])).toEqual([[32, width, 31]]);
  });
});
