/** Indexing by integer tensors: gather, its adjoint scatterAdd, and oneHot. */
import { checkInteger, expected, ShapeError } from "../errors.js";
import { normalizeAxis, showShape, sizeOf } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { cast, equal, where } from "./elementwise.js";
import { expandDims } from "./movement.js";
import { asTensor, defineOp, type Recorder, requireDType } from "./op.js";

interface GatherAttributes {
  readonly axis: number;
}

const applyGather: Recorder<GatherAttributes> = defineOp<GatherAttributes>({
  name: "gather",
  infer: ([x, indices], { axis }) => [
    {
      shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)],
      dtype: x!.dtype,
    },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { axis } = e.attributes;
      const shape = e.inputs[0]!.shape;
      e.call(
        "gather",
        [0, 1],
        [0],
        [
          sizeOf(shape.slice(0, axis)),
          shape[axis]!,
          sizeOf(shape.slice(axis + 1)),
          sizeOf(e.inputs[1]!.shape),
        ],
      );
    },
  },
  gradient: ({ inputs: [x, indices], attributes: { axis }, dy }) => [
    applyScatterAdd([dy, indices!], { axis, size: x!.shape[axis]! })[0]!,
    null,
  ],
  samples: [
    {
      inputs: [
        { shape: [4, 3], domain: [-2, 2] },
        { shape: [5], dtype: "int32", values: [0, 3, 3, 1, 0] },
      ],
      attributes: { axis: 0 },
    },
    {
      inputs: [
        { shape: [2, 4, 2], domain: [-2, 2] },
        { shape: [1, 3], dtype: "int32", values: [2, 0, 2] },
      ],
      attributes: { axis: 1 },
    },
  ],
});

interface ScatterAttributes {
  readonly axis: number;
  /** Size of the scattered axis of the result. */
  readonly size: number;
}

const applyScatterAdd: Recorder<ScatterAttributes> = defineOp<ScatterAttributes>({
  name: "scatterAdd",
  infer: ([updates, indices], { axis, size }) => [
    {
      shape: [
        ...updates!.shape.slice(0, axis),
        size,
        ...updates!.shape.slice(axis + indices!.rank),
      ],
      dtype: "float32",
    },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const { axis, size } = e.attributes;
      const shape = e.inputs[0]!.shape;
      const rank = e.inputs[1]!.shape.length;
      e.call(
        "scatterAdd",
        [0, 1],
        [0],
        [
          sizeOf(shape.slice(0, axis)),
          size,
          sizeOf(shape.slice(axis + rank)),
          sizeOf(e.inputs[1]!.shape),
        ],
      );
    },
  },
  gradient: ({ inputs: [, indices], attributes: { axis }, dy }) => [
    applyGather([dy, indices!], { axis })[0]!,
    null,
  ],
  samples: [
    {
      inputs: [
        { shape: [5, 3], domain: [-2, 2] },
        { shape: [5], dtype: "int32", values: [0, 3, 3, 1, 0] },
      ],
      attributes: { axis: 0, size: 4 },
    },
  ],
});

const applyScatterRows: Recorder<object> = defineOp<object>({
  name: "scatterRows",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  lowering: {
    kind: "kernels",
    overFirst: true,
    emit: (e) => {
      const [rows, ...row] = e.inputs[0]!.shape as [number, ...number[]];
      e.call("scatterRows", [0, 1, 2], [0], [rows, sizeOf(row), sizeOf(e.inputs[1]!.shape)]);
    },
  },
  // What optimizers and masks write is not differentiated.
  gradient: "none",
  samples: [
    {
      inputs: [
        { shape: [4, 3], domain: [-2, 2] },
        { shape: [5], dtype: "int32", values: [0, 3, 3, 1, 0] },
        { shape: [5, 3], domain: [-2, 2] },
      ],
      attributes: {},
      differentiable: false,
    },
  ],
});

/**
 * @internal `x` with the rows at `indices` (int32 [count]) replaced by those of `updates`: of equal indices the
 * last wins. No gradient. Written to a variable that x is the old value of, it touches those rows only.
 */
export function scatterRows(x: Tensor, indices: Tensor, updates: Tensor): Tensor {
  return applyScatterRows([x, indices, updates], {})[0]!;
}

/** @internal What was recorded, if `x` is rows added up at indices along its first axis. */
export function rowsOfScatterAdd(x: Tensor): { updates: Tensor; indices: Tensor } | null {
  if (x.node?.op.name !== "scatterAdd") return null;
  const { axis } = x.node.attributes as ScatterAttributes;
  const [updates, indices] = x.node.inputs as [Tensor, Tensor];
  return axis === 0 ? { updates, indices } : null;
}

/** Entries of `x` at `indices` (int32) along `axis`; the indices' shape takes the axis' place. */
export function gather(x: TensorLike, indices: TensorLike, axis = 0): Tensor {
  const input = asTensor("gather", x);
  const index = indexTensor("gather", indices);
  return applyGather([input, index], { axis: normalizeAxis("gather", axis, input.rank) })[0]!;
}

/** Zeros with `updates` added at `indices` along `axis`, which gets `size` entries. */
export function scatterAdd(
  updates: TensorLike,
  indices: TensorLike,
  size: number,
  axis = 0,
): Tensor {
  const values = asTensor("scatterAdd", updates);
  const index = indexTensor("scatterAdd", indices);
  requireDType("scatterAdd", values, "float32");
  checkInteger("scatterAdd", "size", size, 0);
  const at = normalizeAxis("scatterAdd", axis, values.rank - index.rank + 1);
  const own = values.shape.slice(at, at + index.rank);
  if (own.length !== index.rank || own.some((d, i) => d !== index.shape[i])) {
    throw new ShapeError(
      expected(
        "scatterAdd",
        `updates with ${showShape(index.shape)} at axis ${at}`,
        showShape(values.shape),
      ),
    );
  }
  return applyScatterAdd([values, index], { axis: at, size })[0]!;
}

/** @internal What is used as indices or labels: integer arrays and numbers become int32 tensors. */
export function indexTensor(where_: string, indices: TensorLike): Tensor {
  const like = leaf(new Int32Array(1), [], "int32");
  const index = asTensor(where_, indices, like);
  requireDType(where_, index, "int32");
  return index;
}

/** A new last dimension of size `depth` with `onValue` at the index and `offValue` elsewhere. */
export function oneHot(indices: TensorLike, depth: number, onValue = 1, offValue = 0): Tensor {
  checkInteger("oneHot", "depth", depth, 1);
  const index = indexTensor("oneHot", indices);
  const classes = leaf(
    Int32Array.from({ length: depth }, (_, i) => i),
    [depth],
    "int32",
  );
  const hit = equal(expandDims(index, -1), classes);
  return onValue === 1 && offValue === 0 ? cast(hit, "float32") : where(hit, onValue, offValue);
}
