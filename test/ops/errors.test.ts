/** What users get told: the text of every kind of mistake, pinned. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";

const int = (...values: number[]): lw.Tensor => lw.tensor(Int32Array.from(values));
const bytes = lw.tensor(Uint8Array.of(1, 2));
const m23 = lw.zeros([2, 3]);

/** Name and message of what `f` throws. */
function told(f: () => unknown): string {
  try {
    f();
  } catch (error) {
    return String(error);
  }
  return "nothing was thrown";
}

describe("mistakes", () => {
  test("what is no argument at all", () => {
    const wrong = (x: unknown) => x as never;
    expect([
      told(() => lw.linspace(wrong("0"), 1, 3)),
      told(() => lw.linspace(0, Number.NaN, 3)),
      told(() => lw.grad(wrong(3))),
      told(() => lw.valueAndGrad(wrong(undefined))),
      told(() => lw.customGrad(wrong("f"))),
      told(() => lw.variable(wrong(undefined), { name: "w" })),
      told(() => lw.model(wrong({}))),
      told(() => lw.model(wrong({ inputs: lw.input({ shape: [2] }) }))),
      told(() => lw.data.fromArrays(wrong(undefined))),
      told(() => lw.data.fromArrays([[1]], wrong(null))),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: linspace: expected \`start\` to be a number, got "0"",
        "ArgumentError: linspace: expected \`stop\` to be a number, got NaN",
        "ArgumentError: grad: expected a function, got 3",
        "ArgumentError: grad: expected a function, got undefined",
        "ArgumentError: customGrad: expected a function, got f",
        "ArgumentError: variable w: expected a tensor, numbers or booleans as first value, got undefined",
        "ArgumentError: model(): expected { inputs, outputs }, got no \`inputs\`",
        "ArgumentError: model(): expected { inputs, outputs }, got no \`outputs\`",
        "ArgumentError: fromArrays(): expected \`x\` to be arrays or tensors, got undefined",
        "ArgumentError: fromArrays(): expected \`y\` to be arrays or tensors, got null",
      ]
    `);
  });

  test("arrays that make no tensor", () => {
    expect(told(() => lw.tensor([[1, 2], [3]]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): ragged nesting at depth 1: expected an array of 2, got one of 1"`,
    );
    expect(told(() => lw.tensor([1, [2]]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): ragged nesting: an array of 1 where a number was expected"`,
    );
    expect(told(() => lw.tensor([[1], 2]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): ragged nesting at depth 1: expected an array of 1, got 2"`,
    );
    expect(told(() => lw.tensor([1, 2, 3], [2, 2]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): 3 values do not fit shape [2, 2] (4 elements)"`,
    );
    expect(told(() => lw.tensor([[1, 2]], [2, 1]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): nested arrays of shape [1, 2] given with shape [2, 1]"`,
    );
    expect(told(() => lw.tensor([1], [-1]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): expected a shape (an array of integers ≥ 0), got [-1]"`,
    );
    expect(told(() => lw.tensor([1], [1, 1, 1, 1, 1, 1, 1, 1, 1]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): expected at most 8 dimensions, got 9: [1, 1, 1, 1, 1, 1, 1, 1, 1]"`,
    );
    // @ts-expect-error strings are no numbers
    expect(told(() => lw.tensor(["1"]))).toMatchInlineSnapshot(
      `"ArgumentError: tensor(): expected numbers or booleans, got "1""`,
    );
    expect(told(() => lw.tensor(m23))).toMatchInlineSnapshot(
      `"ArgumentError: tensor(): got a Tensor; use it as it is, or \`cast\` and \`reshape\` it"`,
    );
    // @ts-expect-error no such typed array
    expect(told(() => lw.tensor(BigInt64Array.of(1n)))).toMatchInlineSnapshot(
      `"DTypeError: tensor(): expected Float32Array, Int32Array, Uint8Array or an array of numbers, got BigInt64Array(1)"`,
    );
    // @ts-expect-error no such dtype
    expect(told(() => lw.tensor([1], [1], "float64"))).toMatchInlineSnapshot(
      `"DTypeError: tensor(): expected a dtype (float32, int32, uint8, bool), got "float64""`,
    );
  });

  test("values a dtype can't hold", () => {
    expect(told(() => lw.tensor([1.5], [1], "int32"))).toMatchInlineSnapshot(
      `"DTypeError: tensor(): expected integers from -2147483648 to 2147483647 for int32, got 1.5 at 0"`,
    );
    expect(told(() => lw.tensor([256], [1], "uint8"))).toMatchInlineSnapshot(
      `"DTypeError: tensor(): expected integers from 0 to 255 for uint8, got 256 at 0"`,
    );
    expect(told(() => lw.tensor([2], [1], "bool"))).toMatchInlineSnapshot(
      `"DTypeError: tensor(): expected integers from 0 to 1 for bool, got 2 at 0"`,
    );
    expect(told(() => int(1).add(0.5))).toMatchInlineSnapshot(
      `"DTypeError: add: 0.5 with a tensor of int32; cast it first: x.cast("float32")"`,
    );
    expect(told(() => int(1).pad([[0, 1]], 0.5))).toMatchInlineSnapshot(
      `"DTypeError: pad: expected integers from -2147483648 to 2147483647 for int32, got 0.5 at 0"`,
    );
  });

  test("dtypes are never mixed or guessed", () => {
    expect(told(() => lw.tensor([1]).add(int(1)))).toMatchInlineSnapshot(
      `"DTypeError: add: got float32 and int32; dtypes are never mixed silently: cast one of them"`,
    );
    expect(told(() => int(1).exp())).toMatchInlineSnapshot(
      `"DTypeError: exp: expected float32, got int32; cast it first: x.cast("float32")"`,
    );
    expect(told(() => bytes.add(bytes))).toMatchInlineSnapshot(
      `"DTypeError: add: expected float32 or int32 tensors, got uint8; cast them first"`,
    );
    expect(told(() => lw.tensor([true]).add(lw.tensor([true])))).toMatchInlineSnapshot(
      `"DTypeError: add: expected float32 or int32 tensors, got bool; cast them first"`,
    );
    expect(told(() => lw.tensor([1]).logicalAnd([1]))).toMatchInlineSnapshot(
      `"DTypeError: logicalAnd: expected bool tensors, got float32; cast them first"`,
    );
    expect(told(() => lw.where([1, 0], 1, 2))).toMatchInlineSnapshot(
      `"DTypeError: where: expected bool, got float32; cast it first: x.cast("bool")"`,
    );
    expect(told(() => lw.matMul(int(1).reshape([1, 1]), [[1]]))).toMatchInlineSnapshot(
      `"DTypeError: matMul: expected float32, got int32; cast it first: x.cast("float32")"`,
    );
    expect(told(() => int(1).mean())).toMatchInlineSnapshot(
      `"DTypeError: mean: expected float32, got int32; cast it first: x.cast("float32")"`,
    );
    expect(told(() => lw.gather([1], lw.tensor([0])))).toMatchInlineSnapshot(
      `"DTypeError: gather: expected int32, got float32; cast it first: x.cast("int32")"`,
    );
    expect(told(() => lw.softmax(int(1)))).toMatchInlineSnapshot(
      `"DTypeError: softmax: expected float32, got int32; cast it first: x.cast("float32")"`,
    );
    expect(
      told(() => lw.sparseSoftmaxCrossEntropy(lw.tensor([0]), [[1, 2]])),
    ).toMatchInlineSnapshot(
      `"DTypeError: sparseSoftmaxCrossEntropy: expected int32, got float32; cast it first: x.cast("int32")"`,
    );
  });

  test("shapes that do not fit", () => {
    expect(told(() => m23.add([1, 2]))).toMatchInlineSnapshot(
      `"ShapeError: add: shapes [2, 3] and [2] do not broadcast; each dimension, counted from the last, must be equal or 1"`,
    );
    expect(told(() => m23.matMul(m23))).toMatchInlineSnapshot(
      `"ShapeError: matMul: inner dimensions 3 and 2 differ: [2, 3] · [2, 3]"`,
    );
    expect(told(() => m23.matMul(m23, true, true))).toMatchInlineSnapshot(
      `"ShapeError: matMul: inner dimensions 2 and 3 differ: [2, 3] (transposed) · [2, 3] (transposed)"`,
    );
    expect(told(() => m23.matMul([1, 2, 3]))).toMatchInlineSnapshot(
      `"ShapeError: matMul: expected tensors of rank ≥ 2, got [2, 3] and [3]; use dot() for vectors"`,
    );
    expect(told(() => lw.dot([1, 2], [1]))).toMatchInlineSnapshot(
      `"ShapeError: dot: lengths 2 and 1 differ"`,
    );
    expect(told(() => m23.reshape([4]))).toMatchInlineSnapshot(
      `"ShapeError: reshape: 6 elements do not fit shape [4] (4 elements)"`,
    );
    expect(told(() => m23.reshape([-1, 4]))).toMatchInlineSnapshot(
      `"ShapeError: reshape: 6 elements do not fit shape [-1, 4]"`,
    );
    expect(told(() => m23.reshape([-1, -1]))).toMatchInlineSnapshot(
      `"ShapeError: reshape: expected a shape of integers ≥ 0 with at most one -1, got [-1, -1]"`,
    );
    expect(told(() => m23.squeeze(0))).toMatchInlineSnapshot(
      `"ShapeError: squeeze: expected size 1 at axis 0, got [2, 3]"`,
    );
    expect(told(() => m23.slice([0, 2], [1, 2]))).toMatchInlineSnapshot(
      `"ShapeError: slice: begin 2 and size 2 leave axis 1 of [2, 3]"`,
    );
    expect(told(() => lw.concat([m23, [[1]]], 0))).toMatchInlineSnapshot(
      `"ShapeError: concat: float32 [1, 1] does not join float32 [2, 3] along axis 0"`,
    );
    expect(told(() => m23.split(2, 1))).toMatchInlineSnapshot(
      `"ShapeError: split: expected pieces that make up axis 1 of size 3, got 2"`,
    );
    expect(told(() => m23.split(1.5, 1))).toMatchInlineSnapshot(
      `"ArgumentError: split: expected \`pieces\` to be an integer ≥ 1, got 1.5"`,
    );
    expect(told(() => lw.eye(2, 2, "float64" as never))).toMatchInlineSnapshot(
      `"DTypeError: eye: expected a dtype (float32, int32, uint8, bool), got "float64""`,
    );
    expect(told(() => m23.broadcastTo([3, 3]))).toMatchInlineSnapshot(
      `"ShapeError: broadcastTo: shapes [2, 3] and [3, 3] do not broadcast; each dimension, counted from the last, must be equal or 1"`,
    );
    expect(told(() => lw.softmaxCrossEntropy([[1, 0]], [[1, 2, 3]]))).toMatchInlineSnapshot(
      `"ShapeError: softmaxCrossEntropy: targets [1, 2] and logits [1, 3] must have the same shape [..., classes]"`,
    );
    expect(told(() => lw.sparseSoftmaxCrossEntropy([0, 1], [[1, 2]]))).toMatchInlineSnapshot(
      `"ShapeError: sparseSoftmaxCrossEntropy: expected labels of shape [1] for logits [1, 2], got [2]"`,
    );
    expect(told(() => m23.item())).toMatchInlineSnapshot(
      `"ShapeError: item(): expected a tensor with one element, got [2, 3]"`,
    );
    expect(told(() => lw.zeros([0]).argMax())).toMatchInlineSnapshot(
      `"ShapeError: argMax: expected an axis that is not empty, got [0]"`,
    );
    expect(told(() => lw.scalar(1).softmax())).toMatchInlineSnapshot(
      `"ShapeError: softmax: expected a tensor of rank ≥ 1, got a scalar"`,
    );
  });

  test("axes and options out of range", () => {
    expect(told(() => m23.sum(2))).toMatchInlineSnapshot(
      `"ArgumentError: sum: expected an axis from -2 to 1 (rank 2), got 2"`,
    );
    expect(told(() => m23.sum([0, -2]))).toMatchInlineSnapshot(
      `"ArgumentError: sum: expected distinct axes, got [0, -2]"`,
    );
    expect(told(() => m23.sum(0.5))).toMatchInlineSnapshot(
      `"ArgumentError: sum: expected an axis from -2 to 1 (rank 2), got 0.5"`,
    );
    expect(told(() => lw.scalar(1).argMax())).toMatchInlineSnapshot(
      `"ArgumentError: argMax: expected no axis for a scalar (rank 0), got 0"`,
    );
    expect(told(() => m23.transpose([0, 0]))).toMatchInlineSnapshot(
      `"ArgumentError: transpose: expected a permutation of the 2 axes, got [0, 0]"`,
    );
    expect(told(() => m23.topk(4))).toMatchInlineSnapshot(
      `"ArgumentError: topk: expected \`k\` to be an integer from 1 to 3, got 4"`,
    );
    expect(told(() => m23.tile([2]))).toMatchInlineSnapshot(
      `"ArgumentError: tile: expected 2 integers ≥ 0, got [2]"`,
    );
    expect(told(() => m23.repeat(-1))).toMatchInlineSnapshot(
      `"ArgumentError: repeat: expected \`repeats\` to be an integer ≥ 0, got -1"`,
    );
    expect(told(() => m23.pad([[1, 1]]))).toMatchInlineSnapshot(
      `"ArgumentError: pad: expected 2 pairs of integers ≥ 0, got [[1, 1]]"`,
    );
    expect(told(() => m23.clipByValue(1, 0))).toMatchInlineSnapshot(
      `"ArgumentError: clipByValue: expected min ≤ max, got 1 and 0"`,
    );
    expect(told(() => m23.stridedSlice([0], [1], [0]))).toMatchInlineSnapshot(
      `"ArgumentError: stridedSlice: expected integer strides other than 0, got 0"`,
    );
    const bounds = (begin: unknown, end: unknown) => () =>
      m23.stridedSlice([begin as number], [end as number]);
    expect(told(bounds(0.5, 1))).toMatchInlineSnapshot(
      `"ArgumentError: stridedSlice: expected integers or null to begin and end, got 0.5"`,
    );
    expect(told(bounds(0, "1"))).toMatchInlineSnapshot(
      `"ArgumentError: stridedSlice: expected integers or null to begin and end, got "1""`,
    );
    expect(told(bounds(0, Number.NaN))).toMatchInlineSnapshot(
      `"ArgumentError: stridedSlice: expected integers or null to begin and end, got NaN"`,
    );
    expect(m23.stridedSlice([null], [undefined as never]).shape).toEqual([2, 3]);
    expect(told(() => lw.fill([2], "1" as never))).toMatchInlineSnapshot(
      `"ArgumentError: fill: expected a number or boolean, got "1""`,
    );
    expect(told(() => lw.fill([2], undefined as never))).toMatchInlineSnapshot(
      `"ArgumentError: fill: expected a number or boolean, got undefined"`,
    );
    expect(told(() => m23.norm(3 as never))).toMatchInlineSnapshot(
      `"ArgumentError: norm: expected \`ord\` to be 1, 2, Infinity or "euclidean", got 3"`,
    );
    expect(told(() => m23.norm("fro" as never))).toMatchInlineSnapshot(
      `"ArgumentError: norm: expected \`ord\` to be 1, 2, Infinity or "euclidean", got "fro""`,
    );
    expect(m23.norm("euclidean").item()).toBe(0);
    expect(told(() => lw.concat([]))).toMatchInlineSnapshot(
      `"ArgumentError: concat: expected an array with at least one tensor, got []"`,
    );
    expect(told(() => lw.oneHot([1], 0))).toMatchInlineSnapshot(
      `"ArgumentError: oneHot: expected \`depth\` to be an integer ≥ 1, got 0"`,
    );
    expect(told(() => lw.range(0, 1, 0))).toMatchInlineSnapshot(
      `"ArgumentError: range: expected a step other than 0, got 0"`,
    );
    expect(told(() => lw.softmaxCrossEntropy([[1]], [[1]], 2))).toMatchInlineSnapshot(
      `"ArgumentError: softmaxCrossEntropy: expected \`labelSmoothing\` to be a number from 0 to 1, got 2"`,
    );
    // @ts-expect-error no tensor
    expect(told(() => m23.add("1"))).toMatchInlineSnapshot(
      `"ArgumentError: add: expected a tensor, a number or an array, got "1""`,
    );
    // @ts-expect-error no tensor
    expect(told(() => lw.exp())).toMatchInlineSnapshot(
      `"ArgumentError: exp: expected a tensor, a number or an array, got undefined"`,
    );
  });

  test("a dtype in the place of the shape", () => {
    const wrong = { dtype: "int32" } as never;
    expect(told(() => lw.tensor([1], wrong))).toMatch(
      /an object with a dtype as its shape; .* lw\.tensor\(values, undefined, "int32"\)$/,
    );
    expect(told(() => lw.tensor([1], "int32" as never))).toMatch(/got "int32" as its shape/);
  });

  test("what makes tensors of nothing names itself", () => {
    expect(told(() => lw.zeros([-1]))).toMatch(/^\w+: zeros: /);
    expect(told(() => lw.ones([1.5]))).toMatch(/^\w+: ones: /);
    expect(told(() => lw.fill([-1], 2))).toMatch(/^\w+: fill: /);
  });

  test("data errors, when the value is computed", () => {
    expect(told(() => lw.gather([1, 2, 3], [3]).dataSync())).toMatchInlineSnapshot(
      `"ArgumentError: gather: index 3 at position 0 lies outside [0, 3) (Program call 0)"`,
    );
    expect(told(() => lw.gather([1, 2, 3], [-1]).dataSync())).toMatchInlineSnapshot(
      `"ArgumentError: gather: index -1 at position 0 lies outside [0, 3) (Program call 0)"`,
    );
    const loss = lw.sparseSoftmaxCrossEntropy(
      [0, 5],
      [
        [0, 1],
        [1, 0],
      ],
    );
    expect(told(() => loss.dataSync())).toMatchInlineSnapshot(
      `"ArgumentError: sparseSoftmaxCrossEntropy: label 5 at position 1 lies outside [0, 2) (Program call 0)"`,
    );
  });

  test("variables keep shape and dtype", () => {
    const v = lw.variable([1, 2], { name: "w" });
    expect(told(() => v.assign([1, 2, 3]))).toMatchInlineSnapshot(
      `"ShapeError: tensor(): 3 values do not fit shape [2] (2 elements)"`,
    );
    expect(told(() => v.assign(int(1, 2)))).toMatchInlineSnapshot(
      `"DTypeError: variable w: expected float32, got int32"`,
    );
    expect(told(() => lw.variable(lw.tensor([1]), { dtype: "int32" }))).toMatchInlineSnapshot(
      `"DTypeError: variable variable_1: expected int32, got float32; cast the value first"`,
    );
  });
});
