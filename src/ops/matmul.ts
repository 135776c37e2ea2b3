/** Matrix products. One op, `matMul`, with transposes and a batch; the functions bring inputs to it. */
import { expected, ShapeError } from "../errors.js";
import { broadcastShapes, sameShape, showShape, sizeOf } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { broadcastTo, mul, sumTo } from "./elementwise.js";
import { reshape } from "./movement.js";
import { asPair, defineOp, type OpNode, type ProductCall, requireDType } from "./op.js";
import { sum } from "./reduce.js";

export interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

interface GemmParameters {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly strideA: number;
  readonly strideB: number;
}

/** @internal The kernel call of a matrix product. */
export function gemmCall(p: GemmParameters): ProductCall {
  return {
    kernel: "gemm",
    ints: [
      p.batch,
      p.m,
      p.n,
      p.k,
      Number(p.transposeA),
      Number(p.transposeB),
      p.strideA,
      p.strideB,
    ],
    rows: p.batch * p.m,
    columns: p.n,
    multiplications: p.batch * p.m * p.n * p.k,
  };
}

/** A is [m, k] or [batch, m, k] (last two swapped when transposed), B likewise. */
function parameters({
  inputs: [a, b],
  attributes,
}: Pick<OpNode<MatMulAttributes>, "inputs" | "attributes">): GemmParameters {
  const { transposeA, transposeB } = attributes;
  const [rowsA, colsA] = a!.shape.slice(-2) as [number, number];
  const [rowsB, colsB] = b!.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [colsA, rowsA] : [rowsA, colsA];
  const [kB, n] = transposeB ? [colsB, rowsB] : [rowsB, colsB];
  if (k !== kB) {
    const side = (x: Tensor, t: boolean): string =>
      `${showShape(x.shape)}${t ? " (transposed)" : ""}`;
    throw new ShapeError(
      `matMul: inner dimensions ${k} and ${kB} differ: ${side(a!, transposeA)} · ${side(b!, transposeB)}`,
    );
  }
  // The compiler passes values that have a shape but are no tensors.
  const batchOf = (x: { readonly shape: readonly number[] }): number | undefined =>
    x.shape.length === 3 ? x.shape[0]! : undefined;
  const [batchA, batchB] = [batchOf(a!), batchOf(b!)];
  return {
    batch: batchA === 0 || batchB === 0 ? 0 : Math.max(batchA ?? 1, batchB ?? 1),
    m,
    n,
    k,
    transposeA,
    transposeB,
    strideA: batchA === undefined ? 0 : m * k,
    strideB: batchB === undefined ? 0 : k * n,
  };
}

const applyMatMul = defineOp<MatMulAttributes>({
  name: "matMul",
  infer: (inputs, attributes) => {
    const { batch, m, n } = parameters({ inputs, attributes });
    const batched = inputs.some((x) => x.rank === 3);
    return [{ shape: batched ? [batch, m, n] : [m, n], dtype: "float32" }];
  },
  lowering: { kind: "product", call: (node) => gemmCall(parameters(node)) },
  gradient: ({ inputs: [a, b], attributes: { transposeA, transposeB }, dy, wanted }) => {
    const product = (x: Tensor, y: Tensor, tx: boolean, ty: boolean): Tensor => base(x, y, tx, ty);
    const da = (): Tensor =>
      transposeA ? product(b!, dy, transposeB, true) : product(dy, b!, false, !transposeB);
    const db = (): Tensor =>
      transposeB ? product(dy, a!, true, transposeA) : product(a!, dy, !transposeA, false);
    return [wanted[0] ? sumTo(da(), a!.shape) : null, wanted[1] ? sumTo(db(), b!.shape) : null];
  },
  samples: [
    ...[false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) => ({
        inputs: [
          { shape: transposeA ? [5, 3] : [3, 5], domain: [-1, 1] as const },
          { shape: transposeB ? [4, 5] : [5, 4], domain: [-1, 1] as const },
        ],
        attributes: { transposeA, transposeB },
      })),
    ),
    {
      inputs: [
        { shape: [2, 3, 5], domain: [-1, 1] },
        { shape: [2, 5, 4], domain: [-1, 1] },
      ],
      attributes: { transposeA: false, transposeB: false },
    },
    {
      inputs: [
        { shape: [2, 5, 3], domain: [-1, 1] },
        { shape: [4, 5], domain: [-1, 1] },
      ],
      attributes: { transposeA: true, transposeB: true },
    },
  ],
});

/** Products of tensors of rank 2 or 3; an unbatched, untransposed product collapses to one GEMM. */
function base(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  if (a.rank === 3 && b.rank === 2 && !transposeA) {
    const [batch, m] = a.shape as [number, number, number];
    const flat = base(reshape(a, [batch * m, a.shape[2]!]), b, false, transposeB);
    return reshape(flat, [batch, m, flat.shape[1]!]);
  }
  return applyMatMul([a, b], { transposeA, transposeB })[0]!;
}

/**
 * Matrix product of the last two dimensions; leading (batch) dimensions broadcast.
 *
 * @example
 * lw.matMul([[1, 2]], [[3], [4]]).arraySync(); // [[11]]
 */
export function matMul(
  a: TensorLike,
  b: TensorLike,
  transposeA = false,
  transposeB = false,
): Tensor {
  const [x, y] = asPair("matMul", a, b);
  requireDType("matMul", x, "float32");
  if (x.rank < 2 || y.rank < 2) {
    throw new ShapeError(
      expected(
        "matMul",
        "tensors of rank ≥ 2",
        `${showShape(x.shape)} and ${showShape(y.shape)}`,
        "use dot() for vectors",
      ),
    );
  }
  if (x.rank === 2 && y.rank === 2) return base(x, y, transposeA, transposeB);
  const leadA = x.shape.slice(0, -2);
  const leadB = y.shape.slice(0, -2);
  const lead = broadcastShapes("matMul", [leadA, leadB]);
  // An operand that every batch entry shares stays one matrix.
  const bring = (t: Tensor, own: readonly number[]): Tensor => {
    const matrix = t.shape.slice(-2);
    if (sizeOf(own) === 1) return reshape(t, matrix);
    const spread = sameShape(own, lead) ? t : broadcastTo(t, [...lead, ...matrix]);
    return reshape(spread, [sizeOf(lead), ...matrix]);
  };
  const product = base(bring(x, leadA), bring(y, leadB), transposeA, transposeB);
  return reshape(product, [...lead, ...product.shape.slice(-2)]);
}

/** Product of vectors and matrices: vector·vector is a scalar, matrix·vector a vector. */
export function dot(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = asPair("dot", a, b);
  if (x.rank < 1 || x.rank > 2 || y.rank < 1 || y.rank > 2) {
    throw new ShapeError(
      expected("dot", "vectors or matrices", `${showShape(x.shape)} and ${showShape(y.shape)}`),
    );
  }
  if (x.rank === 1 && y.rank === 1) {
    if (x.size !== y.size) {
      throw new ShapeError(`dot: lengths ${x.size} and ${y.size} differ`);
    }
    return sum(mul(x, y));
  }
  const left = x.rank === 1 ? reshape(x, [1, -1]) : x;
  const right = y.rank === 1 ? reshape(y, [-1, 1]) : y;
  const product = matMul(left, right);
  if (x.rank === 1) return reshape(product, [product.shape[1]!]);
  return y.rank === 1 ? reshape(product, [product.shape[0]!]) : product;
}

/** Every product of an element of vector `a` with one of vector `b`: [a.size, b.size]. */
export function outerProduct(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = asPair("outerProduct", a, b);
  if (x.rank !== 1 || y.rank !== 1) {
    throw new ShapeError(
      expected("outerProduct", "two vectors", `${showShape(x.shape)} and ${showShape(y.shape)}`),
    );
  }
  return mul(reshape(x, [-1, 1]), reshape(y, [1, -1]));
}
