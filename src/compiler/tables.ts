/**
 * Products with rows of a table that is small beside their number: characters that were embedded, times the
 * weights of a recurrent layer. A product of the table itself, a gather and one sum of gradients by row take the
 * place of three products over all tokens. Done here, after differentiation, whatever is asked for keeps its
 * gradient: the embedding's output too.
 */

import type { MatMulAttributes } from "../ops/matmul.js";
import { allOps, type Op } from "../ops/op.js";
import type { TensorSpec } from "../tensor/tensor.js";
import { type GraphBuilder, type Node, storageOf, type Value } from "./graph.js";

/** Below so many columns a product with the rows costs little more than moving its result. */
const leastColumns = 32;
/** How many times as many rows are looked up as there are: what follows a product runs in its epilogue, after a gather not. */
const leastUses = 4;
/** As many rows of an index are added one after the other as exactly as a product adds its blocks of k. */
const mostUses = 256;

interface Rows {
  /** [rows, columns] */
  readonly table: Value;
  readonly indices: Value;
  readonly gather: Node;
}

const op = (name: string): Op => allOps().get(name)!;

const pays = (rows: number, columns: number, count: number): boolean =>
  columns >= leastColumns && count >= leastUses * rows && count <= mostUses * rows;

/** Where the rows of matrix `x` come from, if a small table holds them. */
function rowsOfTable(x: Value): Rows | null {
  const gather = storageOf(x).node;
  if (gather?.op.name !== "gather" || x.shape.length !== 2) return null;
  const [table, indices] = gather.inputs as [Value, Value];
  const [rows, columns] = table.shape as [number, number];
  const whole = (gather.attributes as { axis: number }).axis === 0 && table.shape.length === 2;
  return whole && columns === x.shape[1] && pays(rows, columns, x.shape[0]!)
    ? { table, indices, gather }
    : null;
}

/** Σ of the rows of matrix `y` by index, [rows, columns of y]. */
function addUp(builder: GraphBuilder, y: Value, indices: Value, rows: number): Value {
  const columns = y.shape[1]!;
  const updates = builder.alias(y, [...indices.shape, columns]);
  const spec = { shape: [rows, columns], dtype: "float32" } as const;
  return builder.node(op("scatterAdd"), [updates, indices], { axis: 0, size: rows }, [spec])[0]!;
}

/** `y`, one row per row of the table, with zeros where no index points: 0 times infinity is NaN. */
function usedRows(builder: GraphBuilder, y: Value, indices: Value): Value {
  const [rows] = y.shape as [number, number];
  const count = indices.shape.reduce((a, b) => a * b, 1);
  const ones = builder.node(
    op("broadcastTo"),
    [builder.literal(1, "float32")],
    { shape: [count, 1] },
    [{ shape: [count, 1], dtype: "float32" }],
  )[0]!;
  const uses = addUp(builder, ones, indices, rows);
  const zero = builder.literal(0, "float32");
  const used = builder.node(op("less"), [zero, uses], {}, [
    { shape: [rows, 1], dtype: "bool" },
  ])[0]!;
  return builder.node(op("where"), [used, y, zero], {}, [y])[0]!;
}

/**
 * For x = gather(table, i):
 *   matMul(x, w) → gather(matMul(table, w), i), the same sums (for wᵀ and few rows of the table in another order)
 *   matMul(xᵀ, y) → matMul(tableᵀ, scatterAdd(y, i)), and matMul(yᵀ, x) likewise
 */
export function multiplyRows(
  builder: GraphBuilder,
  matMul: Op,
  [a, b]: readonly Value[],
  attributes: MatMulAttributes,
  spec: TensorSpec,
): Value | null {
  const { transposeA, transposeB } = attributes;
  const product = (x: Value, y: Value, rows: number): Value =>
    builder.node(matMul, [x, y], attributes, [{ ...spec, shape: [rows, spec.shape[1]!] }])[0]!;
  const left = b!.shape.length === 2 ? rowsOfTable(a!) : null;
  if (left && !transposeA) {
    const { table, indices, gather } = left;
    const all = product(table, b!, table.shape[0]!);
    const shape = [...indices.shape, spec.shape[1]!];
    const picked = builder.node(gather.op, [all, indices], gather.attributes, [
      { ...spec, shape },
    ])[0]!;
    return builder.alias(picked, spec.shape);
  }
  // Sums over tokens.
  if (!transposeA || transposeB) return null;
  const [rows] = spec.shape as [number, number];
  if (left) {
    const sums = addUp(builder, b!, left.indices, left.table.shape[0]!);
    return product(usedRows(builder, left.table, left.indices), sums, rows);
  }
  const right = a!.shape.length === 2 ? rowsOfTable(b!) : null;
  if (!right) return null;
  const sums = addUp(builder, a!, right.indices, right.table.shape[0]!);
  return product(sums, usedRows(builder, right.table, right.indices), rows);
}

/** scatterAdd(matMul(y, w), i) → matMul(scatterAdd(y, i), w): the table's gradient. */
export function addRowsOfProduct(
  builder: GraphBuilder,
  _scatterAdd: Op,
  [updates, indices]: readonly Value[],
  attributes: object,
  spec: TensorSpec,
): Value | null {
  const product = storageOf(updates!);
  const node = product.node;
  const { axis } = attributes as { axis: number };
  if (node?.op.name !== "matMul" || axis !== 0 || spec.shape.length !== 2) return null;
  const { transposeA } = node.attributes as MatMulAttributes;
  const [rows, columns] = spec.shape as [number, number];
  const [count, width] = product.shape as [number, number];
  const fits = product.shape.length === 2 && width === columns && !transposeA;
  if (!fits || !pays(rows, columns, count)) return null;
  const [y, w] = node.inputs as [Value, Value];
  const sums = addUp(builder, y, indices!, rows);
  const added = builder.node(node.op, [sums, w], node.attributes, [spec])[0]!;
  return usedRows(builder, added, indices!);
}
