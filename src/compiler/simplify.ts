/**
 * Rewrites of single nodes while the graph is built: arithmetic with neutral literals, arithmetic on
 * two literals, and transposes that undo each other or that a matrix product can take over. Each rule shows its shape.
 */
import { findInstruction } from "../kernels/instructions.js";
import type { MatMulAttributes } from "../ops/matmul.js";
import type { Op, OpNode } from "../ops/op.js";
import type { ReduceAttributes } from "../ops/reduce.js";
import { broadcastShapes, type Shape, sameShape } from "../tensor/shape.js";
import type { TensorSpec } from "../tensor/tensor.js";
import type { GraphBuilder, Value } from "./graph.js";
import { addRowsOfProduct, multiplyRows } from "./tables.js";

type Rule = (
  builder: GraphBuilder,
  op: Op,
  inputs: readonly Value[],
  attributes: object,
  spec: TensorSpec,
) => Value | null;

/** The number a value consists of: a literal, or one spread over a shape. */
function literalOf(value: Value): number | undefined {
  if (value.literal !== undefined) return value.literal;
  if (value.base) return literalOf(value.base);
  return value.node?.op.name === "broadcastTo" ? literalOf(value.node.inputs[0]!) : undefined;
}

/** The other operand, when one is the neutral literal and no broadcasting happens. */
function neutral(value: number, sides: "both" | "right"): Rule {
  return (_builder, _op, [a, b], _attributes, spec) => {
    if (literalOf(b!) === value && sameShape(a!.shape, spec.shape)) return a!;
    if (sides === "both" && literalOf(a!) === value && sameShape(b!.shape, spec.shape)) return b!;
    return null;
  };
}

const rules: Record<string, Rule> = {
  // x·1 → x; 1·x → x
  mul: neutral(1, "both"),
  // x/1 → x
  div: neutral(1, "right"),
  // x−0 → x (x+0 is kept: −0+0 is +0)
  sub: neutral(0, "right"),
  // matMul(xᵀ, y) → matMul(x, y, transposeA), and the same for y; products with rows of a table (tables.ts)
  matMul: (builder, op, inputs, attributes, spec) => {
    const { transposeA, transposeB } = attributes as MatMulAttributes;
    const [a, b] = inputs.map(undoTranspose);
    if (!a && !b) return multiplyRows(builder, op, inputs, attributes as MatMulAttributes, spec);
    const flags = { transposeA: transposeA !== !!a, transposeB: transposeB !== !!b };
    return builder.node(op, [a ?? inputs[0]!, b ?? inputs[1]!], flags, [spec])[0]!;
  },
  // where(0 < y, maxPoolGradient(dy, i), 0) → maxPoolGradient(where(0 < p, dy, 0), i), where p, i = maxPool(y):
  // what a pooled relu hands back is masked before it is spread over the windows, since they give it to elements
  // that p is the value of.
  where: (builder, op, [positive, spread, zero], attributes, spec) => {
    const gradient = spread!.node;
    // A spread gradient is +0 where it has no dy.
    if (gradient?.op.name !== "maxPoolGradient" || !Object.is(literalOf(zero!), 0)) return null;
    const [dy, index] = gradient.inputs as [Value, Value];
    const pooling = index.node;
    const [nothing, y] = positive!.node?.op.name === "less" ? positive!.node.inputs : [];
    if (pooling?.op.name !== "maxPool" || pooling.inputs[0] !== y || literalOf(nothing!) !== 0)
      return null;
    // The zeros may be of any shape. Where one repeats what it meets, the result is no spread gradient.
    if (!sameShape(positive!.shape, y!.shape) || !sameShape(spec.shape, spread!.shape)) return null;
    const p = pooling.outputs[0]!;
    const compare = positive!.node!;
    const number = (value: Value) => builder.literal(0, value.dtype);
    const mask = builder.node(compare.op, [number(nothing!), p], compare.attributes, [
      { shape: p.shape, dtype: "bool" },
    ])[0]!;
    const masked = builder.node(op, [mask, dy, number(zero!)], attributes, [dy])[0]!;
    return builder.node(gradient.op, [masked, index], gradient.attributes, [spec])[0]!;
  },
  // Σ maxPoolGradient(dy, i) → Σ dy over all images and pixels: each dy goes to one element. A bias's gradient.
  reduce: (builder, op, [x], attributes, spec) => {
    const { reducer, from, to } = attributes as ReduceAttributes;
    if (x!.node?.op.name !== "maxPoolGradient" || reducer !== "sum" || from > 1 || to !== 3)
      return null;
    return builder.node(op, [x!.node.inputs[0]!], attributes, [spec])[0]!;
  },
  scatterAdd: addRowsOfProduct,
  // xᵀᵀ → x, and f(xᵀ, …)ᵀ → f(x, …) for an element-wise f: layers with channels first turn what they get around and
  // back, so that of a row of them the first and the last do.
  transpose: (builder, op, [x], attributes, spec) => {
    const { perm } = attributes as { perm: Shape };
    const turned = transposed(x!);
    if (turned) {
      const both = perm.map((p) => turned.perm[p]!);
      if (isIdentity(both)) return turned.of;
      return builder.node(op, [turned.of], { perm: both }, [spec])[0]!;
    }
    return turnedBack(builder, x!, perm, 0);
  },
};

/** How many element-wise ops one after the other are turned back. */
const deepest = 6;

/** An element-wise chain over transposes whose own transpose by `perm` is undone by theirs, without any of them; or null. */
function turnedBack(builder: GraphBuilder, y: Value, perm: Shape, depth: number): Value | null {
  const node = y.base ? undefined : y.node;
  if (node?.op.lowering.kind !== "elementwise" || node.outputs.length !== 1) return null;
  if (depth === deepest || node.inputs.every(({ shape }) => shape.length === 0)) return null;
  const inputs: Value[] = [];
  for (const value of node.inputs) {
    const input = value.shape.length === 0 ? value : undone(builder, value, y.shape, perm, depth);
    if (!input) return null;
    inputs.push(input);
  }
  const spec = { shape: perm.map((p) => y.shape[p]!), dtype: y.dtype };
  return builder.node(node.op, inputs, node.attributes, [spec])[0]!;
}

/** The same of one input. */
function undone(
  builder: GraphBuilder,
  value: Value,
  shape: Shape,
  perm: Shape,
  depth: number,
): Value | null {
  if (!sameShape(value.shape, shape)) return null;
  const turned = transposed(value);
  if (!turned) return turnedBack(builder, value, perm, depth + 1);
  return isIdentity(perm.map((p) => turned.perm[p]!)) ? turned.of : null;
}

const isIdentity = (perm: Shape): boolean => perm.every((p, i) => p === i);

/** What a value is the transposition of, or null. */
function transposed(value: Value): { readonly of: Value; readonly perm: Shape } | null {
  if (value.base || value.node?.op.name !== "transpose") return null;
  const { perm } = value.node.attributes as { perm: Shape };
  return { of: value.node.inputs[0]!, perm };
}

/** What `value` was before its last two axes were swapped, or null. */
function undoTranspose(value: Value): Value | null {
  const turned = transposed(value);
  if (!turned) return null;
  const { of, perm } = turned;
  const rank = perm.length;
  const swapsLast = perm.every((p, i) =>
    i < rank - 2 ? p === i : p === (i === rank - 1 ? rank - 2 : rank - 1),
  );
  return rank >= 2 && swapsLast ? of : null;
}

/** The value that makes the node unnecessary, or null. */
export function simplify(
  builder: GraphBuilder,
  op: Op,
  inputs: readonly Value[],
  attributes: object,
  specs: readonly TensorSpec[],
): Value | null {
  if (specs.length !== 1) return null;
  const spec = specs[0]!;
  return (
    foldLiterals(builder, op, inputs, attributes, spec) ??
    rules[op.name]?.(builder, op, inputs, attributes, spec) ??
    skipBroadcasts(builder, op, inputs, attributes, spec)
  );
}

/** f(broadcastTo(x), y) → f(x, y): element-wise ops broadcast by themselves. */
function skipBroadcasts(
  builder: GraphBuilder,
  op: Op,
  inputs: readonly Value[],
  attributes: object,
  spec: TensorSpec,
): Value | null {
  if (op.lowering.kind !== "elementwise" || op.name === "broadcastTo") return null;
  const result = [...inputs];
  let changed = false;
  inputs.forEach((value, i) => {
    if (value.node?.op.name !== "broadcastTo") return;
    const source = value.node.inputs[0]!;
    const others = result.map((v, j) => (j === i ? source.shape : v.shape));
    if (sameShape(broadcastShapes(op.name, others), spec.shape)) {
      result[i] = source;
      changed = true;
    }
  });
  return changed ? builder.node(op, result, attributes, [spec])[0]! : null;
}

/** exp(literal) → literal, and so on, by the instruction's own scalar function. */
function foldLiterals(
  builder: GraphBuilder,
  op: Op,
  inputs: readonly Value[],
  attributes: object,
  spec: TensorSpec,
): Value | null {
  if (op.lowering.kind !== "elementwise" || op.lowering.constants || inputs.length === 0)
    return null;
  if (spec.shape.length > 0 || inputs.some((v) => v.literal === undefined)) return null;
  // Lowering functions read only dtypes and attributes here.
  const name = op.lowering.instruction({ inputs, attributes } as unknown as OpNode);
  const values = inputs.map((v) => (v.dtype === "float32" ? Math.fround(v.literal!) : v.literal!));
  const value = name === "identity" ? values[0]! : findInstruction(name)?.scalar(...values);
  return value === undefined ? null : builder.literal(value, spec.dtype);
}
