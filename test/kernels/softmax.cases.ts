/** Cases of the softmax family: extreme logits, smoothing, targets that are no distribution. */
import { integers, normal, uniform } from "../helpers/random.js";
import { f32, i32, type KernelCase, out } from "./case.js";

const shapes: [number, number][] = [
  [1, 1],
  [1, 2],
  [5, 10],
  [128, 10],
  [3, 16],
  [3, 17],
  [7, 1000],
  [300, 3],
  [2, 4099],
  [0, 5],
  [1, 33],
  [64, 130],
];

function softmaxes([rows, cols]: [number, number]): KernelCase[] {
  return [0, 1].flatMap((log) =>
    [1, 30].map((spread) => ({
      name: `${log ? "log-softmax" : "softmax"} ${rows}×${cols}, spread ${spread}`,
      call: { kernel: "softmax", ints: [rows, cols, log], floats: [] },
      inputs: [f32(normal(rows + cols, rows * cols, 5, spread))],
      outputs: [out(rows * cols)],
    })),
  );
}

function entropies([rows, cols]: [number, number]): KernelCase[] {
  return [0, 0.1].flatMap((smoothing) => {
    const logits = f32(normal(rows, rows * cols, 0, 4));
    const outputs = [out(rows), out(rows * cols)];
    return [
      {
        name: `softmaxCrossEntropy ${rows}×${cols}, smoothing ${smoothing}`,
        call: { kernel: "softmaxCrossEntropy", ints: [rows, cols], floats: [smoothing] },
        inputs: [logits, f32(uniform(rows + 1, rows * cols, 0, 2 / cols))],
        outputs,
      },
      {
        name: `sparseSoftmaxCrossEntropy ${rows}×${cols}, smoothing ${smoothing}`,
        call: { kernel: "sparseSoftmaxCrossEntropy", ints: [rows, cols], floats: [smoothing] },
        inputs: [logits, i32(integers(rows + 2, rows, 0, cols))],
        outputs,
      },
    ];
  });
}

const extreme = [1e30, -1e30, 0, 88, 89, -200, 1000, 1000, 1000, 1e38, 1e38, 1e38];

const special: KernelCase[] = [
  ...[0, 1].map((log) => ({
    name: `${log ? "log-softmax" : "softmax"} of huge logits`,
    call: { kernel: "softmax", ints: [4, 3, log], floats: [] },
    inputs: [f32(extreme)],
    outputs: [out(12)],
  })),
  {
    name: "softmax with -∞ (a masked class) and NaN",
    call: { kernel: "softmax", ints: [3, 4, 0], floats: [] },
    inputs: [f32([-Infinity, 1, 2, -Infinity, NaN, 1, 2, 3, 0, 0, -Infinity, 0])],
    outputs: [out(12)],
  },
  {
    name: "cross-entropy of confident logits",
    call: { kernel: "sparseSoftmaxCrossEntropy", ints: [3, 3], floats: [0] },
    inputs: [f32([100, 0, -100, 100, 0, -100, -50, 1000, 0]), i32([0, 2, 1])],
    outputs: [out(3), out(9)],
  },
  {
    name: "a masked class without weight costs nothing",
    call: { kernel: "softmaxCrossEntropy", ints: [1, 3], floats: [0] },
    inputs: [f32([-Infinity, 1, 2]), f32([0, 0.5, 0.5])],
    outputs: [out(1), out(3)],
  },
];

export const softmaxCases: readonly KernelCase[] = [
  ...shapes.flatMap(softmaxes),
  ...shapes.flatMap(entropies),
  ...special,
];
