/**
 * The contract of every op row: its samples' values against a float64 reference, inferred against
 * computed shapes, first and second derivatives against finite differences of the reference. A new
 * row is tested as soon as `ops/references.ts` knows its name, and fails until then.
 */
import { describe, expect, test } from "vitest";
import "../src/index.js";
import { gradientsOf } from "../src/autodiff/gradient.js";
import { add, mul } from "../src/ops/elementwise.js";
import { allOps, type Op, record, type Sample, type SampleInput } from "../src/ops/op.js";
import { sum } from "../src/ops/reduce.js";
import { allocate, type DType, storesDType } from "../src/tensor/dtype.js";
import { withGraphKept } from "../src/tensor/scope.js";
import { sizeOf } from "../src/tensor/shape.js";
import { leaf, type Tensor } from "../src/tensor/tensor.js";
import { expectClose } from "./helpers/allClose.js";
import { onEachBackend } from "./helpers/backends.js";
import { random, uniform } from "./helpers/random.js";
import { type Nd, references } from "./ops/references.js";

/** Rows whose rule is given at run time; their own suites test them. */
const withoutSamples = new Set(["customGradient"]);

/** Relative errors above a few roundings, with the reason. */
const looser: Record<string, number> = {
  // Powers are allowed 16 ULP (kernels/instructions.ts).
  pow: 4e-6,
  // The product of rounded factors.
  reduce: 2e-6,
  // log Σ eˣ − z cancels when the target is the likeliest class.
  softmaxCrossEntropy: 4e-6,
  sparseSoftmaxCrossEntropy: 4e-6,
};

function sampleTensor(input: SampleInput, seed: number): Tensor {
  const dtype: DType = input.dtype ?? "float32";
  const size = sizeOf(input.shape);
  const values = allocate(dtype, size);
  const [low, high] = input.domain ?? [-1, 1];
  const next = random(seed);
  for (let i = 0; i < size; i++) {
    const value = input.values?.[i] ?? low + (high - low) * next();
    values[i] =
      dtype === "float32" ? value : dtype === "bool" ? Math.round(value) : Math.floor(value);
  }
  return leaf(values, input.shape, dtype);
}

const inputsOf = (sample: Sample<object>): Tensor[] =>
  sample.inputs.map((input, i) => sampleTensor(input, 17 + i));

const ndOf = (x: Tensor): Nd => ({ shape: x.shape, data: Float64Array.from(x.dataSync()) });

const referenceOf = (op: Op) => references[op.name]!;

/** Σ w·output over the float outputs of the reference, as a function of one input's values. */
function referenceLoss(op: Op, sample: Sample<object>, floats: readonly boolean[]) {
  return (inputs: readonly Nd[]): number => {
    let total = 0;
    referenceOf(op)(inputs, { ...sample.attributes }).forEach((output, o) => {
      if (!floats[o]) return;
      const weights = uniform(91 + o, output.data.length, 0.5, 1.5);
      for (let i = 0; i < output.data.length; i++) total += output.data[i]! * weights[i]!;
    });
    return total;
  };
}

/** The same sum as a graph. */
function graphLoss(outputs: readonly Tensor[]): Tensor {
  return outputs
    .flatMap((output, o) =>
      output.dtype === "float32"
        ? [sum(mul(output, leaf(uniform(91 + o, output.size, 0.5, 1.5), output.shape, "float32")))]
        : [],
    )
    .reduce((a, b) => add(a, b));
}

function moved(inputs: readonly Nd[], which: number, by: ArrayLike<number>, h: number): Nd[] {
  return inputs.map((x, i) =>
    i === which ? { ...x, data: Float64Array.from(x.data, (v, j) => v + h * by[j]!) } : x,
  );
}

const unit = (size: number, at: number): Float64Array => {
  const e = new Float64Array(size);
  e[at] = 1;
  return e;
};

test("every op row has a reference and samples", () => {
  const rows = [...allOps().values()];
  expect(rows.map((op) => op.name).filter((name) => !references[name])).toEqual([]);
  expect(Object.keys(references).filter((name) => !allOps().has(name))).toEqual([]);
  expect(
    rows.filter((op) => op.samples.length === 0).map((op) => op.name),
    "rows without samples",
  ).toEqual([...withoutSamples]);
});

onEachBackend("op", () => {
  const rows = [...allOps().values()].filter((op) => op.samples.length > 0);
  describe.each(rows)("$name", (op) => {
    const samples = op.samples.map((sample, i): [number, Sample<object>] => [i, sample]);
    test.each(samples)("sample %i gives the reference's values", (_, sample) => {
      const inputs = inputsOf(sample);
      const outputs = record(op, inputs, sample.attributes);
      const expected = referenceOf(op)(inputs.map(ndOf), { ...sample.attributes });
      expect(outputs.length).toBe(expected.length);
      outputs.forEach((output, o) => {
        const values = output.dataSync();
        expect(output.shape, "inferred shape").toEqual(expected[o]!.shape);
        expect(values.length).toBe(sizeOf(output.shape));
        expect(storesDType(values, output.dtype), "storage of the inferred dtype").toBe(true);
        const exact = output.dtype !== "float32";
        const rtol = exact ? 0 : (looser[op.name] ?? 1e-6);
        expectClose(values, expected[o]!.data, { rtol, atol: exact ? 0 : 1e-6 }, `output ${o}`);
      });
    });

    const smooth = samples.filter(
      ([, sample]) => sample.differentiable !== false && op.gradient !== "none",
    );
    if (smooth.length === 0) return;
    test.each(smooth)("sample %i: gradient equals finite differences", (_, sample) => {
      const inputs = inputsOf(sample);
      const targets = inputs.filter((x) => x.dtype === "float32");
      const outputs = record(op, inputs, sample.attributes);
      const floats = outputs.map((output) => output.dtype === "float32");
      const loss = referenceLoss(op, sample, floats);
      const gradients = withGraphKept(() => gradientsOf(graphLoss(outputs), targets));
      const points = inputs.map(ndOf);
      gradients.forEach((gradient, t) => {
        const which = inputs.indexOf(targets[t]!);
        const h = 1e-5;
        const wanted = Array.from({ length: gradient.size }, (_, i) => {
          const e = unit(gradient.size, i);
          return (loss(moved(points, which, e, h)) - loss(moved(points, which, e, -h))) / (2 * h);
        });
        const size = Math.max(1, ...wanted.map(Math.abs));
        expectClose(
          gradient.dataSync(),
          wanted,
          { rtol: 2e-5, atol: 3e-6 * size },
          `input ${which}`,
        );
      });
    });

    test.each(smooth)("sample %i: second derivative equals finite differences", (_, sample) => {
      const inputs = inputsOf(sample);
      const targets = inputs.filter((x) => x.dtype === "float32");
      const points = inputs.map(ndOf);
      // One random direction per input; the derivative along it is differentiated once more.
      const directions = targets.map((x, i) => uniform(53 + i, x.size));
      const floats = record(op, inputs, sample.attributes).map((y) => y.dtype === "float32");
      const loss = referenceLoss(op, sample, floats);
      const seconds = withGraphKept(() => {
        const outputs = record(op, inputs, sample.attributes);
        const first = gradientsOf(graphLoss(outputs), targets);
        const along = first
          .map((g, i) => sum(mul(g, leaf(directions[i]!, g.shape, "float32"))))
          .reduce((a, b) => add(a, b));
        return gradientsOf(along, targets);
      });
      const h = 1e-4;
      const shift = (at: readonly Nd[], sign: number): Nd[] =>
        targets.reduce<Nd[]>(
          (all, x, i) => moved(all, inputs.indexOf(x), directions[i]!, sign * h),
          [...at],
        );
      const slope = (at: readonly Nd[]): number =>
        (loss(shift(at, 1)) - loss(shift(at, -1))) / (2 * h);
      seconds.forEach((second, t) => {
        const which = inputs.indexOf(targets[t]!);
        const wanted = Array.from({ length: second.size }, (_, i) => {
          const e = unit(second.size, i);
          return (slope(moved(points, which, e, h)) - slope(moved(points, which, e, -h))) / (2 * h);
        });
        const size = Math.max(1, ...wanted.map(Math.abs));
        expectClose(second.dataSync(), wanted, { rtol: 1e-4, atol: 1e-5 * size }, `input ${which}`);
      });
    });
  });
});
