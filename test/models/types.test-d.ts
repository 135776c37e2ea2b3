/** The types of models as users see them. Checked by `tsc`; nothing here runs. */
import { expectTypeOf } from "vitest";
import * as lw from "../../src/index.js";

const x = lw.input({ shape: [2] });
const a = lw.layers.dense({ units: 1 }).apply(x);

// One output is a tensor, several are an array.
const one = lw.model({ inputs: x, outputs: a });
expectTypeOf(one.predict).returns.resolves.toEqualTypeOf<lw.Tensor>();
expectTypeOf(one.predictSync).returns.toEqualTypeOf<lw.Tensor>();
const two = lw.model({ inputs: x, outputs: [a, x] });
expectTypeOf(two.predict).returns.resolves.toEqualTypeOf<lw.Tensor[]>();
expectTypeOf(lw.sequential([]).predict).returns.resolves.toEqualTypeOf<lw.Tensor>();
expectTypeOf(lw.loadModel("f")).resolves.toEqualTypeOf<lw.Model<lw.Tensor>>();
expectTypeOf(lw.loadModel<lw.Tensor[]>("f")).resolves.toEqualTypeOf<lw.Model<lw.Tensor[]>>();

// Boltzmann machines take no labels and give tensors.
const machine = lw.models.rbm({ visible: 4, hidden: 2 });
expectTypeOf(machine.transform).returns.resolves.toEqualTypeOf<lw.Tensor>();
expectTypeOf(machine.sample({ chains: 2 })).resolves.toEqualTypeOf<lw.Tensor>();
expectTypeOf(machine.fit(new Float32Array(8))).resolves.toEqualTypeOf<lw.History>();
machine.compile({
  method: "pcd",
  optimizer: lw.optimizers.sgd({
    momentum: lw.optimizers.schedules.piecewiseConstantDecay({ boundaries: [1], values: [0, 1] }),
  }),
});
// @ts-expect-error there is no such method
machine.compile({ method: "cd-1" });
// @ts-expect-error hidden units are no softmax groups
lw.models.rbm({ visible: 4, hidden: 2, hiddenUnits: "softmax" });
const falling = lw.optimizers.schedules.cosineDecay({ initialLearningRate: 1, decaySteps: 2 });
// @ts-expect-error only the momentum of sgd follows a schedule
lw.optimizers.rmsprop({ momentum: falling });
const belief = lw.models.deepBeliefNetwork({ layers: [{ visible: 4, hidden: 3 }, { hidden: 2 }] });
expectTypeOf(belief.toSequential({ head: 10 })).toEqualTypeOf<lw.Sequential>();
expectTypeOf(belief.pretrain(new Float32Array(8))).resolves.toEqualTypeOf<lw.History[]>();

// What compile takes.
one.compile({ optimizer: "adam", loss: "mse", metrics: ["accuracy"] });
one.compile({
  optimizer: lw.optimizers.adamw({ beta1: 0.8, weightDecay: 0.01, excludeFromWeightDecay: [/b/] }),
  loss: lw.losses.huber({ delta: 2 }),
  metrics: [lw.metrics.auc({ curve: "PR" }), (t, p) => p.sub(t).abs().mean(-1)],
});
two.compile({ loss: { dense: "mse" }, lossWeights: { dense: 2 }, metrics: [["mae"], null] });
// @ts-expect-error there is no such option
one.compile({ metric: ["accuracy"] });
// @ts-expect-error a loss is no number
one.compile({ loss: 3 });
// @ts-expect-error an option of another optimizer
lw.optimizers.sgd({ beta1: 0.9 });

// Data: tensors, typed and nested arrays, several of them, or by name.
one.fit([[1, 2]], [1]);
one.fit(new Float32Array(2), new Int32Array(1), { batchSize: Number.POSITIVE_INFINITY, seed: 1 });
two.fit({ input: lw.tensor([[1, 2]]) }, [lw.tensor([1]), new Float32Array(1)]);
expectTypeOf(one.fit([[1]], [1])).resolves.toHaveProperty("history");
expectTypeOf(one.evaluate([[1]], [1])).resolves.toEqualTypeOf<Record<string, number>>();
// @ts-expect-error callbacks are objects with hooks
one.fit([[1]], [1], { callbacks: [() => {}] });

// Callbacks are objects or subclasses.
one.fit([[1]], [1], { callbacks: { onEpochEnd: (epoch, logs) => void [epoch, logs?.loss] } });
class Stop extends lw.callbacks.Callback {
  override onEpochEnd(epoch: number, logs: lw.Logs = {}): void {
    this.model.stopTraining = epoch > 3 && logs.loss! < 0.1;
  }
}
one.fit([[1]], [1], { callbacks: [new Stop(), lw.callbacks.earlyStopping({ patience: 2 })] });
