/**
 * A residual network with augmentation (He et al. 2016). Each block adds to its input what it has learnt, so
 * gradients reach the first of its twenty layers unhindered. Flips and shifts are layers of the model: they run in
 * the training step, on the CPUs that train, and are not there when it predicts.
 *
 * Without arguments it learns generated digits; `--data DIR` takes the four IDX files of Fashion-MNIST,
 * `--data download` gets them once (30 MB) into the cache. `--depth N` chooses 20, 32, 44, 56 or 110 layers,
 * `--epochs N` the length.
 */
import * as lw from "layerwise";
import { option, quick, saveFigure } from "./shared.js";

lw.setRandomSeed(1);
const data = option("data");
const { train, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 512, test: 128 } : { train: 4000, test: 1000 })
    : await lw.datasets.fashionMnist(data === "download" ? {} : { dir: data });

const network = lw.models.resnet({
  depth: Number(option("depth") ?? 20),
  inputShape: [28, 28, 1],
  ...(quick && { width: 8 }),
});
const x = lw.input({ shape: [28, 28, 1] });
const moved = lw.layers
  .randomTranslation({ heightFactor: 0.08, widthFactor: 0.08, fillMode: "constant" })
  .apply(x);
// Clothes may look either way; digits may not.
const changed =
  data === undefined ? moved : lw.layers.randomFlip({ mode: "horizontal" }).apply(moved);
const model = lw.model({ inputs: x, outputs: network.apply(changed) });
network.summary();

const epochs = Number(option("epochs") ?? (quick ? 2 : 10));
const batchSize = quick ? 32 : 128;
model.compile({
  optimizer: lw.optimizers.sgd({
    learningRate: lw.optimizers.schedules.cosineDecay({
      initialLearningRate: 0.05,
      decaySteps: epochs * Math.ceil(train.x.shape[0]! / batchSize),
    }),
    momentum: 0.9,
    nesterov: true,
  }),
  loss: "sparseCategoricalCrossentropy",
  metrics: ["accuracy"],
});
const { history } = await model.fit(train.x, train.y, {
  epochs,
  batchSize,
  seed: 1,
  validationData: [test.x, test.y],
});
const { accuracy } = await model.evaluate(test.x, test.y);
console.log(`Test accuracy: ${(100 * accuracy!).toFixed(2)} %`);
saveFigure(
  "12-resnet-fashion",
  lw.plot.lineChart({
    title: "Accuracy",
    xLabel: "epoch",
    series: [
      { label: "training", y: history.accuracy! },
      { label: "test", y: history.val_accuracy!, dashed: true },
    ],
  }),
);
