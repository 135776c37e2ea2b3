/**
 * The types users see: tensor methods are derived from functions, and must come out exactly. Checked
 * by `tsc` with the rest of the tests; nothing here runs.
 */
import { expectTypeOf } from "vitest";
import * as lw from "../../src/index.js";

const x = lw.tensor([1, 2]);

// A method is its function without the first argument.
expectTypeOf(x.add).toEqualTypeOf<(b: lw.TensorLike) => lw.Tensor>();
expectTypeOf(x.relu).toEqualTypeOf<() => lw.Tensor>();
expectTypeOf(x.sum).parameters.toEqualTypeOf<
  [axis?: number | readonly number[] | null, keepDims?: boolean]
>();
expectTypeOf(x.matMul).parameters.toEqualTypeOf<
  [b: lw.TensorLike, transposeA?: boolean, transposeB?: boolean]
>();
expectTypeOf(x.cast).parameters.toEqualTypeOf<[dtype: lw.DType]>();
expectTypeOf(x.split).returns.toEqualTypeOf<lw.Tensor[]>();
expectTypeOf(x.unstack).returns.toEqualTypeOf<lw.Tensor[]>();
expectTypeOf(x.topk).returns.toEqualTypeOf<{ values: lw.Tensor; indices: lw.Tensor }>();
expectTypeOf(x.moments).returns.toEqualTypeOf<{ mean: lw.Tensor; variance: lw.Tensor }>();

// Values.
expectTypeOf(x.data).returns.resolves.toEqualTypeOf<lw.TypedArray>();
expectTypeOf(x.dataSync()).toEqualTypeOf<lw.TypedArray>();
expectTypeOf(x.arraySync()).toEqualTypeOf<lw.NestedArray>();
expectTypeOf(x.item()).toEqualTypeOf<number>();
expectTypeOf(x.shape).toEqualTypeOf<readonly number[]>();

// Tensors are made of numbers, nested arrays, typed arrays; not of strings.
lw.tensor([[1, 2], [3]]);
lw.tensor(new Float32Array(4), [2, 2]);
lw.add([1], new Int32Array(1));
// @ts-expect-error strings are no numbers
lw.tensor("1");
// @ts-expect-error there is no such dtype
x.cast("float64");
// @ts-expect-error an axis is a number
x.sum("rows");
// @ts-expect-error a tensor's shape is read-only
x.shape.push(1);

// A variable is a tensor; assigning returns it.
const v = lw.variable([1, 2], { name: "v" });
expectTypeOf(v).toExtend<lw.Tensor>();
expectTypeOf(v.assign).returns.toEqualTypeOf<lw.Variable>();

// Gradients.
expectTypeOf(lw.grad((t) => t.square())).parameters.toEqualTypeOf<
  [x: lw.TensorLike, dy?: lw.Tensor]
>();
expectTypeOf(lw.grads((a, b) => a.add(b))([1, 2])).toEqualTypeOf<lw.Tensor[]>();
expectTypeOf(lw.valueAndGrad((t) => t)(1)).toEqualTypeOf<{ value: lw.Tensor; grad: lw.Tensor }>();
expectTypeOf(lw.variableGrads(() => x).grads).toEqualTypeOf<Record<string, lw.Tensor>>();
// @ts-expect-error the function must return a tensor
lw.grad(() => 3);

// compile keeps the structure of what the function returns.
const pair = lw.compile((a: lw.Tensor) => ({ a, twice: a.mul(2) }));
expectTypeOf(pair(1).twice).toEqualTypeOf<lw.Tensor>();
expectTypeOf(pair.run).returns.resolves.toEqualTypeOf<{ a: lw.Tensor; twice: lw.Tensor }>();
expectTypeOf(pair.programs).toEqualTypeOf<number>();
// @ts-expect-error a compiled function is synchronous
lw.compile(async (a: lw.Tensor) => a);
