/** What elements are after each step, as users' compilers see it; nothing here runs. */
import { expectTypeOf } from "vitest";
import * as lw from "../../src/index.js";

type Dataset<T> = lw.Dataset<T>;
const { data } = lw;
const x = lw.tensor([[1, 2]]);

// Arrays.
expectTypeOf(data.fromArrays(x)).toEqualTypeOf<Dataset<lw.Tensor>>();
const pairs = data.fromArrays(x, [1]);
expectTypeOf(pairs).toEqualTypeOf<Dataset<[lw.Tensor, lw.Tensor]>>();
expectTypeOf(data.fromArrays({ a: x, b: [1] }, x, Float32Array.of(1))).toEqualTypeOf<
  Dataset<[{ readonly a: lw.Tensor; readonly b: lw.Tensor }, lw.Tensor, lw.Tensor]>
>();
expectTypeOf(data.fromIterable([1, 2])).toEqualTypeOf<Dataset<number>>();
expectTypeOf(data.fromIndexed(3, async () => "a" as string)).toEqualTypeOf<Dataset<string>>();

// A tuple that a function returns is one; batches have a tensor for each field.
const mapped = data.fromIterable([1, 2]).map((n) => [Float32Array.of(n), n, String(n)]);
expectTypeOf(mapped.batch(2)).toEqualTypeOf<Dataset<[lw.Tensor, lw.Tensor, string[]]>>();
const records = mapped.map(async ([a]) => ({ a, deep: { flag: true }, list: [1, 2] }));
const batch = await records.batch(2).toArray();
expectTypeOf(batch[0]!.a).toEqualTypeOf<lw.Tensor>();
expectTypeOf(batch[0]!.deep.flag).toEqualTypeOf<lw.Tensor>();
expectTypeOf(batch[0]!.list).toEqualTypeOf<lw.Tensor>();
expectTypeOf(pairs.paddedBatch(2)).toEqualTypeOf<Dataset<[lw.Tensor, lw.Tensor]>>();
expectTypeOf(pairs.paddedBatch(2, { lengths: ([a]) => a.size })).toEqualTypeOf<
  Dataset<[batch: [lw.Tensor, lw.Tensor], lengths: lw.Tensor]>
>();
expectTypeOf(pairs.enumerate()).toEqualTypeOf<
  Dataset<[index: number, element: [lw.Tensor, lw.Tensor]]>
>();
expectTypeOf(data.zip({ a: pairs, b: data.fromIterable(["t"]) })).toEqualTypeOf<
  Dataset<{ a: [lw.Tensor, lw.Tensor]; b: string }>
>();
expectTypeOf(pairs.concatenate(data.fromIterable([1]))).toEqualTypeOf<
  Dataset<number | [lw.Tensor, lw.Tensor]>
>();

// Tables, windows, pictures.
expectTypeOf(data.csv("a.csv", { label: "y" })).toEqualTypeOf<
  Dataset<[features: Float32Array, label: number]>
>();
expectTypeOf(data.csv("a.csv")).toEqualTypeOf<Dataset<Record<string, number | string | boolean>>>();
expectTypeOf(data.timeseries([1, 2], { sequenceLength: 1 })).toEqualTypeOf<Dataset<lw.Tensor>>();
expectTypeOf(data.timeseries([1, 2], { sequenceLength: 1, horizon: 1 })).toEqualTypeOf<
  Dataset<[window: lw.Tensor, target: lw.Tensor]>
>();
const folder = await data.imageFolder("x", { imageSize: [1, 1], validationSplit: 0.5 });
expectTypeOf(folder.validation.batch(2)).toExtend<Dataset<[lw.Tensor, lw.Tensor]>>();

// Models take them.
const model = lw.sequential([lw.layers.dense({ units: 1, inputShape: [2] })]);
expectTypeOf(
  model.fit(pairs.batch(2), { epochs: 2, validationData: pairs.batch(2) }),
).resolves.toEqualTypeOf<lw.History>();
model.fit(records.map(({ a }) => ({ xs: a, ys: a })).batch(2));
model.fit(x, x, { validationData: pairs.batch(2), validationSteps: 1 });
model.evaluate(pairs.batch(2), { steps: 1 });
expectTypeOf(model.predict(data.fromArrays(x).batch(2))).resolves.toEqualTypeOf<lw.Tensor>();
// @ts-expect-error a dataset has batches of its own
model.fit(pairs.batch(2), { batchSize: 2 });
// @ts-expect-error texts are nothing to train on
model.fit(data.fromIterable(["a"]).batch(2));
// @ts-expect-error a dataset holds y itself
model.fit(pairs.batch(2), x);
