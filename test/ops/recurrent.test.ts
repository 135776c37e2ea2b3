/**
 * Recurrent ops against PyTorch's values and against the same cells as graphs of ordinary ops: gradients,
 * lengths, both directions, errors.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { type ComposedOptions, composedRecurrent } from "../helpers/composedRecurrent.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

type Results = Readonly<Record<string, lw.Tensor>>;

interface Variant {
  readonly name: string;
  readonly cell: ComposedOptions["cell"];
  readonly gates: number;
  readonly options?: Partial<ComposedOptions>;
  readonly peepholes?: boolean;
}
const variants: readonly Variant[] = [
  { name: "simpleRNN", cell: "simpleRNN", gates: 1 },
  { name: "simpleRNN relu", cell: "simpleRNN", gates: 1, options: { activation: "relu" } },
  { name: "simpleRNN sigmoid", cell: "simpleRNN", gates: 1, options: { activation: "sigmoid" } },
  { name: "simpleRNN linear", cell: "simpleRNN", gates: 1, options: { activation: "linear" } },
  { name: "lstm", cell: "lstm", gates: 4 },
  { name: "lstm with peepholes", cell: "lstm", gates: 4, peepholes: true },
  { name: "gru", cell: "gru", gates: 3, options: { resetAfter: true } },
  { name: "gru, reset before", cell: "gru", gates: 3, options: { resetAfter: false } },
];

const filled = (seed: number, shape: readonly number[], low = -1, high = 1): lw.Tensor =>
  lw.tensor(
    uniform(
      seed,
      shape.reduce((a, b) => a * b, 1),
      low,
      high,
    ),
    shape,
  );

interface Setting {
  readonly batch: number;
  readonly time: number;
  readonly features: number;
  readonly units: number;
  readonly reverse?: boolean;
  readonly lengths?: readonly number[];
  readonly mask?: boolean;
  readonly initial?: boolean;
  readonly bias?: boolean;
}

/** Inputs by name, and the op and its composed twin as functions of those. */
function problemOf(v: Variant, s: Setting) {
  const { batch, time, features, units } = s;
  const scale = 1 / Math.sqrt(units);
  const state = [batch, units];
  const biasShape = v.cell === "gru" && v.options?.resetAfter ? [2, 3 * units] : [v.gates * units];
  const inputs: Record<string, lw.Tensor> = {
    x: filled(1, [batch, time, features]),
    kernel: filled(2, [features, v.gates * units]),
    recurrentKernel: filled(3, [units, v.gates * units], -2 * scale, 2 * scale),
    ...(s.bias !== false && { bias: filled(4, biasShape) }),
    ...(s.initial && { h: filled(5, state) }),
    ...(s.initial && v.cell === "lstm" && { c: filled(6, state) }),
    ...(v.peepholes && { peepholes: filled(7, [3, units]) }),
  };
  const mask = s.mask ? { recurrentMask: filled(8, state, 0, 2) } : {};
  const lengths = s.lengths ? { lengths: lw.tensor(s.lengths, [batch], "int32") } : {};
  const reverse = s.reverse ?? false;
  const op = (i: Record<string, lw.Tensor>): Results => {
    const { x, kernel, recurrentKernel, h, c, peepholes } = i;
    const bias = i.bias ?? null;
    const rest = { ...mask, ...lengths, reverse };
    if (v.cell === "lstm") {
      return lw.lstm(x!, kernel!, recurrentKernel!, bias, {
        ...rest,
        ...(h && { initialState: { h, c: c! } }),
        ...(peepholes && { peepholes }),
      });
    }
    const initial = h ? { initialState: h } : {};
    if (v.cell === "gru") {
      const { resetAfter } = v.options!;
      return lw.gru(x!, kernel!, recurrentKernel!, bias, { ...rest, ...initial, resetAfter });
    }
    const { outputs, state } = lw.simpleRNN(x!, kernel!, recurrentKernel!, bias, {
      ...rest,
      ...initial,
      ...(v.options as { activation?: "tanh" }),
    });
    return { outputs, h: state };
  };
  const composed = (i: Record<string, lw.Tensor>): Results => {
    const { outputs, h, c } = composedRecurrent(
      {
        x: i.x!,
        kernel: i.kernel!,
        recurrentKernel: i.recurrentKernel!,
        bias: i.bias ?? null,
        h: i.h ?? lw.zeros(state),
        c: i.c ?? lw.zeros(state),
        peepholes: i.peepholes,
        ...mask,
        ...lengths,
      },
      { cell: v.cell, reverse, ...v.options },
    );
    return { outputs, h, ...(v.cell === "lstm" && { c: c! }) };
  };
  return { inputs, op, composed };
}

/** Σ w·result over `wanted` results. */
function weighted(results: Results, wanted: readonly string[]): lw.Tensor {
  return Object.keys(results)
    .filter((name) => wanted.includes(name))
    .map((name, i) => results[name]!.mul(filled(20 + i, results[name]!.shape)).sum())
    .reduce((a, b) => a.add(b));
}

const settings: readonly (readonly [string, Setting])[] = [
  ["plain", { batch: 3, time: 4, features: 2, units: 3 }],
  ["one step", { batch: 2, time: 1, features: 3, units: 5, initial: true }],
  ["reversed", { batch: 2, time: 5, features: 2, units: 17, reverse: true, initial: true }],
  ["lengths", { batch: 5, time: 4, features: 3, units: 6, lengths: [4, 0, 2, 3, 1] }],
  [
    "lengths, reversed, mask",
    {
      ...{ batch: 4, time: 5, features: 3, units: 9, lengths: [2, 5, 0, 5] },
      ...{ reverse: true, mask: true, initial: true },
    },
  ],
  ["no bias", { batch: 2, time: 3, features: 2, units: 4, bias: false, mask: true }],
];

interface Golden {
  readonly cell: "lstm" | "gru" | "tanh" | "relu";
  readonly sizes: [batch: number, time: number, inputs: number, units: number];
  readonly lengths: number[];
  readonly reverse: boolean;
  readonly inputs: Record<string, number[]>;
  readonly results: Record<string, number[]>;
  readonly weights: Record<string, number[]>;
  readonly gradients: Record<string, number[]>;
}
// By golden/make_recurrent.py.
const golden: { cases: Golden[] } = JSON.parse(
  readFileSync(new URL("../golden/recurrent.json", import.meta.url), "utf8"),
);

/** The op of a golden case as a function of its inputs by name, and their shapes. */
function goldenOp({ cell, sizes: [batch, time, features, units], lengths, reverse }: Golden) {
  const gates = cell === "lstm" ? 4 : cell === "gru" ? 3 : 1;
  const shapes: Record<string, number[]> = {
    x: [batch, time, features],
    kernel: [features, gates * units],
    recurrentKernel: [units, gates * units],
    bias: cell === "gru" ? [2, 3 * units] : [gates * units],
    h: [batch, units],
    c: [batch, units],
  };
  const options = { lengths: lw.tensor(lengths, [batch], "int32"), reverse };
  const op = ({ x, kernel, recurrentKernel, bias, h, c }: Record<string, lw.Tensor>): Results => {
    const all = [x!, kernel!, recurrentKernel!, bias!] as const;
    if (cell === "lstm") return lw.lstm(...all, { ...options, initialState: { h: h!, c: c! } });
    if (cell === "gru") return lw.gru(...all, { ...options, initialState: h! });
    const rnn = lw.simpleRNN(...all, { ...options, initialState: h!, activation: cell });
    return { outputs: rnn.outputs, h: rnn.state };
  };
  return { op, shapes };
}

onEachBackend("recurrent", () => {
  test.each(golden.cases)(
    "$cell of $sizes, lengths $lengths, reverse $reverse, as PyTorch",
    (g) => {
      const { op, shapes } = goldenOp(g);
      const names = Object.keys(g.inputs);
      const tensors = names.map((name) => lw.tensor(g.inputs[name]!, shapes[name]!));
      const named = (xs: readonly lw.Tensor[]) =>
        Object.fromEntries(names.map((name, i) => [name, xs[i]!]));
      const results = op(named(tensors));
      for (const [name, values] of Object.entries(g.results)) {
        expectClose(results[name]!.dataSync(), values, { rtol: 2e-6, atol: 1e-6 }, name);
      }
      const gradients = lw.grads((...xs: lw.Tensor[]) => {
        const y = op(named(xs));
        return Object.entries(g.weights)
          .map(([name, w]) => y[name]!.mul(lw.tensor(w, y[name]!.shape)).sum())
          .reduce((a, b) => a.add(b));
      })(tensors);
      names.forEach((name, i) => {
        const close = { rtol: 1e-5, atol: 5e-6 };
        expectClose(gradients[i]!.dataSync(), g.gradients[name]!, close, `gradient of ${name}`);
      });
    },
  );

  test.each(variants)("$name: what stands in the padding changes no bit", (v) => {
    const lengths = [3, 0, 5, 1];
    const s = { batch: 4, time: 5, features: 3, units: 7, lengths, initial: true, reverse: true };
    const { inputs, op } = problemOf(v, s);
    const spoil = (values: ArrayLike<number>, width: number, by: number): Float32Array =>
      Float32Array.from(values, (value, i) => {
        const step = Math.floor(i / width);
        return step % 5 < lengths[Math.floor(step / 5)]! ? value : by;
      });
    const names = Object.keys(inputs);
    /** Everything there is to compute with the padding of x, and of the outputs' gradient, at `by`. */
    const all = (by: number): lw.TypedArray[] => {
      const x = lw.tensor(spoil(inputs.x!.dataSync(), 3, by), inputs.x!.shape);
      const weights = lw.tensor(spoil(uniform(30, 4 * 5 * 7), 7, by), [4, 5, 7]);
      const outputs = Object.values(op({ ...inputs, x }));
      const { grads } = lw.valueAndGrads(
        (...xs: lw.Tensor[]) => op(Object.fromEntries(names.map((n, i) => [n, xs[i]!]))).outputs!,
      )(
        names.map((name) => (name === "x" ? x : inputs[name]!)),
        weights,
      );
      return [...outputs, ...grads].map((y) => y.dataSync());
    };
    const [clean, nan] = [all(0), all(NaN)];
    for (const [i, values] of nan.entries()) expectSameBits(values, clean[i]!, `result ${i}`);
    expect(clean.every((values) => values.every((value: number) => Number.isFinite(value)))).toBe(
      true,
    );
    const dx = clean[Object.keys(op(inputs)).length]!;
    expectSameBits(clean[0]!, spoil(clean[0]!, 7, 0), "outputs are 0 in the padding");
    expectSameBits(dx, spoil(dx, 3, 0), "so is the gradient of x");
  });

  describe.each(variants)("$name", (v) => {
    test.each(settings)("%s: values and gradients are the graph's", (_, s) => {
      const { inputs, op, composed } = problemOf(v, s);
      const [got, want] = [op(inputs), composed(inputs)];
      expect(Object.keys(got).sort()).toEqual(Object.keys(want).sort());
      for (const name of Object.keys(want)) {
        expect(got[name]!.shape).toEqual(want[name]!.shape);
        // A dozen float32 roundings per step.
        const close = { rtol: 2e-6, atol: 2e-6 };
        expectClose(got[name]!.dataSync(), want[name]!.dataSync(), close, name);
      }
      const names = Object.keys(inputs);
      for (const wanted of [Object.keys(want), ["h"], ["outputs"]]) {
        const gradients = (f: typeof op): lw.Tensor[] =>
          lw.grads((...xs: lw.Tensor[]) =>
            weighted(f(Object.fromEntries(names.map((name, i) => [name, xs[i]!]))), wanted),
          )(Object.values(inputs));
        const expected = gradients(composed);
        gradients(op).forEach((gradient, i) => {
          const values = expected[i]!.dataSync();
          const size = Math.max(1, ...Array.from(values, Math.abs));
          const close = { rtol: 1e-5, atol: 2e-6 * size };
          expectClose(gradient.dataSync(), values, close, `${names[i]} by ${wanted}`);
        });
      }
    });

    test("gradients are those of finite differences", () => {
      const s = { batch: 2, time: 3, features: 2, units: 3, lengths: [3, 2], initial: true };
      const { inputs, op } = problemOf(v, s);
      const names = Object.keys(inputs);
      if (v.options?.activation === "relu") return; // kinks
      expectGradient((...xs) => {
        const results = op(Object.fromEntries(names.map((name, i) => [name, xs[i]!])));
        return lw.concat(Object.values(results).map((y) => y.flatten()));
      }, Object.values(inputs));
    });
  });

  test("a length beyond the steps stops the run", () => {
    const { inputs, op } = problemOf(variants[4]!, {
      ...{ batch: 2, time: 3, features: 2, units: 3, lengths: [2, 4] },
    });
    expect(() => op(inputs).outputs!.dataSync()).toThrow(
      /length 4 at position 1 lies outside \[0, 4\)/,
    );
  });
});

test("wrong inputs are named", () => {
  const x = lw.zeros([2, 3, 4]);
  const [k, r, b] = [lw.zeros([4, 20]), lw.zeros([5, 20]), lw.zeros([20])];
  expect(() => lw.lstm(lw.zeros([2, 3]), k, r, b)).toThrow(
    "lstm: expected x of shape [batch, time, inputs], got [2, 3]",
  );
  expect(() => lw.lstm(x, lw.zeros([4, 5]), r, b)).toThrow(
    "lstm: expected `kernel` of shape [4, 20], got [4, 5]",
  );
  expect(() => lw.lstm(x, k, lw.zeros([5, 15]), b)).toThrow(
    "lstm: expected `recurrentKernel` of shape [5, 20], got [5, 15]",
  );
  expect(() => lw.gru(x, lw.zeros([4, 15]), lw.zeros([5, 15]), lw.zeros([15]))).toThrow(
    "gru: expected `bias` of shape [2, 15], got [15]",
  );
  expect(() => lw.lstm(x, k, r, b, { lengths: lw.tensor([1, 2]) })).toThrow(
    "lstm lengths: expected int32, got float32",
  );
  expect(() => lw.lstm(x, k, r, b, { lengths: lw.tensor([1], [1], "int32") })).toThrow(
    "lstm: expected `lengths` of shape [2], got [1]",
  );
  expect(() => lw.lstm(x, k, r, b, { peepholes: lw.zeros([5]) })).toThrow(
    "lstm: expected `peepholes` of shape [3, 5], got [5]",
  );
  expect(() => lw.lstm(x, k, r, b, { go: true } as object)).toThrow("lstm: unknown option `go`");
  expect(() =>
    lw.simpleRNN(x, lw.zeros([4, 5]), lw.zeros([5, 5]), null, { activation: "relo" as "relu" }),
  ).toThrow('did you mean "relu"?');
  const second = lw.grad((a) =>
    lw
      .grad((c) => lw.lstm(c, k, r, b).h.sum())(a)
      .sum(),
  );
  expect(() => second(x)).toThrow(
    "gradient of lstm: there is no second derivative of whole sequences",
  );
});

test("what an embedding gives has a gradient of its own", () => {
  const table = lw.tensor([0.1, -0.2, 0.3, 0.4, 0.5, -0.6], [3, 2]);
  const tokens = lw.tensor([0, 1, 2, 1, 0, 2, 2, 1], [1, 8], "int32");
  const [k, r] = [lw.ones([2, 12]).mul(0.3), lw.ones([3, 12]).mul(0.1)];
  const slope = (x: lw.Tensor) =>
    lw
      .grad((e) => lw.lstm(e, k, r, null).h.square().sum())(x)
      .dataSync();
  const evaluated = lw.gather(table, tokens);
  evaluated.dataSync();
  const lazy = slope(lw.gather(table, tokens));
  expect(lazy.every((value) => value !== 0)).toBe(true);
  expect(lazy).toEqual(slope(evaluated));
});
