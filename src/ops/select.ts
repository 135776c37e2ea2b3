/** Ops that pick by value: argMax, argMin, topk; and running sums. */
import { checkInteger, expected, ShapeError } from "../errors.js";
import { normalizeAxis, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { add } from "./elementwise.js";
import { scatterAdd } from "./gather.js";
import { flatten, reshape } from "./movement.js";
import { asTensor, defineOp, type Recorder, requireDType } from "./op.js";

const around = (shape: readonly number[], axis: number): [number, number, number] => [
  sizeOf(shape.slice(0, axis)),
  shape[axis]!,
  sizeOf(shape.slice(axis + 1)),
];

const applyArg = defineOp<{ readonly axis: number; readonly min: boolean }>({
  name: "argReduce",
  infer: ([x], { axis }) => [{ shape: x!.shape.filter((_, i) => i !== axis), dtype: "int32" }],
  lowering: {
    kind: "kernels",
    emit: (e) =>
      e.call(
        "argReduce",
        [0],
        [0],
        [...around(e.inputs[0]!.shape, e.attributes.axis), Number(e.attributes.min)],
      ),
  },
  gradient: "none",
  samples: [false, true].flatMap((min) =>
    [0, 1].map((axis) => ({
      inputs: [{ shape: [4, 6], domain: [-2, 2] as const }],
      attributes: { axis, min },
      differentiable: false,
    })),
  ),
});

function arg(where: string, x: TensorLike, axis: number, min: boolean): Tensor {
  const input = asTensor(where, x);
  requireDType(where, input, "float32", "int32");
  const at = normalizeAxis(where, axis, input.rank);
  if (input.shape[at] === 0) {
    throw new ShapeError(expected(where, "an axis that is not empty", showShape(input.shape)));
  }
  return applyArg([input], { axis: at, min })[0]!;
}

/** Index (int32) of the first largest element along `axis`; NaN counts as largest. */
export function argMax(x: TensorLike, axis = 0): Tensor {
  return arg("argMax", x, axis, false);
}

/** Index (int32) of the first smallest element along `axis`; NaN counts as smallest. */
export function argMin(x: TensorLike, axis = 0): Tensor {
  return arg("argMin", x, axis, true);
}

const applyTopK = defineOp<{ readonly k: number }>({
  name: "topk",
  infer: ([x], { k }) => {
    const shape = [...x!.shape.slice(0, -1), k];
    return [
      { shape, dtype: x!.dtype },
      { shape, dtype: "int32" },
    ];
  },
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const shape = e.inputs[0]!.shape;
      const cols = shape[shape.length - 1]!;
      e.call("topK", [0], [0, 1], [sizeOf(shape.slice(0, -1)), cols, e.attributes.k]);
    },
  },
  gradient: ({ inputs: [x], outputs: [, indices], dy }) => {
    const cols = x!.shape[x!.rank - 1]!;
    const rows = sizeOf(x!.shape.slice(0, -1));
    const starts = leaf(
      Int32Array.from({ length: rows }, (_, r) => r * cols),
      [...x!.shape.slice(0, -1), 1],
      "int32",
    );
    const flat = flatten(add(indices!, starts));
    return [reshape(scatterAdd(flatten(dy), flat, rows * cols), x!.shape)];
  },
  samples: [{ inputs: [{ shape: [3, 7], domain: [-5, 5] }], attributes: { k: 3 } }],
});

/** The `k` largest entries of each row (last axis), largest first, and their indices (int32). */
export function topk(x: TensorLike, k = 1): { values: Tensor; indices: Tensor } {
  const input = asTensor("topk", x);
  requireDType("topk", input, "float32", "int32");
  if (input.rank === 0) throw new ShapeError(expected("topk", "rank ≥ 1", "a scalar"));
  checkInteger("topk", "k", k, 1, input.shape[input.rank - 1]!);
  const [values, indices] = applyTopK([input], { k });
  return { values: values!, indices: indices! };
}

interface CumsumAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

const applyCumsum: Recorder<CumsumAttributes> = defineOp<CumsumAttributes>({
  name: "cumsum",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { axis, exclusive, reverse } = e.attributes;
      e.call(
        "cumsum",
        [0],
        [0],
        [...around(e.inputs[0]!.shape, axis), Number(exclusive), Number(reverse)],
      );
    },
  },
  gradient: ({ attributes, dy }) => [
    applyCumsum([dy], { ...attributes, reverse: !attributes.reverse })[0]!,
  ],
  samples: [
    {
      inputs: [{ shape: [3, 5], domain: [-2, 2] }],
      attributes: { axis: 1, exclusive: false, reverse: false },
    },
    {
      inputs: [{ shape: [3, 5], domain: [-2, 2] }],
      attributes: { axis: 0, exclusive: true, reverse: true },
    },
  ],
});

/** Running sum along `axis`; `exclusive` leaves out the element itself, `reverse` runs from the end. */
export function cumsum(x: TensorLike, axis = 0, exclusive = false, reverse = false): Tensor {
  const input = asTensor("cumsum", x);
  requireDType("cumsum", input, "float32", "int32");
  return applyCumsum([input], {
    axis: normalizeAxis("cumsum", axis, input.rank),
    exclusive,
    reverse,
  })[0]!;
}
