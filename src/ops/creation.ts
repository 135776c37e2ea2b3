/** Tensors made of nothing: zeros, ones, fill, range, linspace, eye. */
import { ArgumentError, checkInteger, checkNumber, expected, show } from "../errors.js";
import { allocate, checkDType, type DType, fromNumbers } from "../tensor/dtype.js";
import { checkShape, type Shape, sizeOf } from "../tensor/shape.js";
import { leaf, literal, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { broadcastTo } from "./elementwise.js";
import { asTensor } from "./op.js";

/** All elements `value`; takes no memory until computed with. */
export function fill(shape: Shape, value: number | boolean, dtype?: DType): Tensor {
  if (typeof value !== "number" && typeof value !== "boolean") {
    throw new ArgumentError(expected("fill", "a number or boolean", show(value)));
  }
  return filled("fill", shape, value, dtype ?? (typeof value === "boolean" ? "bool" : "float32"));
}

/** A tensor of zeros, float32 if no dtype is given. */
export function zeros(shape: Shape, dtype: DType = "float32"): Tensor {
  return filled("zeros", shape, 0, dtype);
}

/** A tensor of ones, float32 if no dtype is given. */
export function ones(shape: Shape, dtype: DType = "float32"): Tensor {
  return filled("ones", shape, 1, dtype);
}

/** Zeros of the shape and dtype of `x`. */
export function zerosLike(x: TensorLike): Tensor {
  const like = asTensor("zerosLike", x);
  return filled("zerosLike", like.shape, 0, like.dtype);
}

/** Ones of the shape and dtype of `x`. */
export function onesLike(x: TensorLike): Tensor {
  const like = asTensor("onesLike", x);
  return filled("onesLike", like.shape, 1, like.dtype);
}

function filled(where: string, shape: Shape, value: number | boolean, dtype: DType): Tensor {
  checkShape(where, shape);
  checkDType(where, dtype);
  const one = literal(Number(value), dtype);
  return shape.length === 0 ? one : broadcastTo(one, shape);
}

/** start, start + step, … up to but without stop. */
export function range(
  start: number,
  stop: number,
  step = start <= stop ? 1 : -1,
  dtype: DType = "float32",
): Tensor {
  for (const [name, value] of Object.entries({ start, stop, step }))
    checkNumber("range", name, value);
  if (step === 0) throw new ArgumentError(expected("range", "a step other than 0", step));
  const count = Math.max(0, Math.ceil((stop - start) / step));
  return leaf(
    fromNumbers(
      "range",
      Array.from({ length: count }, (_, i) => start + i * step),
      dtype,
    ),
    [count],
    dtype,
  );
}

/** `count` numbers from start to stop, both included. */
export function linspace(start: number, stop: number, count: number): Tensor {
  checkNumber("linspace", "start", start);
  checkNumber("linspace", "stop", stop);
  checkInteger("linspace", "count", count, 1);
  const step = count === 1 ? 0 : (stop - start) / (count - 1);
  const values = Float32Array.from({ length: count }, (_, i) =>
    i === count - 1 && count > 1 ? stop : start + i * step,
  );
  return leaf(values, [count], "float32");
}

/** Ones on the diagonal of a matrix. */
export function eye(rows: number, columns = rows, dtype: DType = "float32"): Tensor {
  checkInteger("eye", "rows", rows, 0);
  checkInteger("eye", "columns", columns, 0);
  checkDType("eye", dtype);
  const values = allocate(dtype, sizeOf([rows, columns]));
  for (let i = 0; i < Math.min(rows, columns); i++) values[i * columns + i] = 1;
  return leaf(values, [rows, columns], dtype);
}
