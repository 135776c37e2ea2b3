/**
 * A classifier of digits from data to accuracy: the usual first network. Two hidden layers of 512 units, each
 * with batch normalisation, ReLU and dropout, learn by Adam at a rate that falls along a cosine.
 *
 * Without arguments it learns generated digits, which need no download; `--data DIR` takes the four IDX files
 * of MNIST, and `--data download` gets them once (11.6 MB) into the cache. `--epochs N` sets the length.
 */
import * as lw from "layerwise";
import { option, quick, saveFigure, takes } from "./shared.js";

takes({ data: "DIR|download", epochs: "N" });

lw.setRandomSeed(1);
const data = option("data");
const { train, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 2000, test: 300 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });

const model = lw.sequential([
  lw.layers.flatten({ inputShape: [28, 28, 1] }),
  lw.layers.dense({ units: quick ? 64 : 512 }),
  lw.layers.batchNormalization(),
  lw.layers.reLU(),
  lw.layers.dropout({ rate: 0.2 }),
  lw.layers.dense({ units: quick ? 64 : 512 }),
  lw.layers.batchNormalization(),
  lw.layers.reLU(),
  lw.layers.dropout({ rate: 0.2 }),
  lw.layers.dense({ units: 10, activation: "softmax" }),
]);
model.summary();
const epochs = Number(option("epochs") ?? (quick ? 3 : 12));
const batchSize = quick ? 32 : 128;
const steps = epochs * Math.ceil(train.x.shape[0]! / batchSize);
model.compile({
  // Large steps first, ever smaller ones towards the end.
  optimizer: lw.optimizers.adam({
    learningRate: lw.optimizers.schedules.cosineDecay({
      initialLearningRate: 0.002,
      decaySteps: steps,
    }),
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
  "08-mnist-mlp",
  lw.plot.lineChart({
    title: data === undefined ? "Accuracy on generated digits" : "Accuracy on MNIST",
    xLabel: "epoch",
    series: [
      { label: "training", y: history.accuracy! },
      { label: "test", y: history.val_accuracy!, dashed: true },
    ],
  }),
);
