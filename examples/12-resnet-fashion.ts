/**
 * A residual network with augmentation (He et al. 2016). Each block adds to its input what it has learnt, so
 * gradients reach the first of its layers unhindered. Flips and shifts are layers of the model: they run in
 * the training step, on the CPUs that train, and are not there when it predicts.
 *
 * Without arguments it learns generated digits; `--data DIR` takes the four IDX files of Fashion-MNIST,
 * `--data download` gets them once (30 MB) into the cache. `--depth N` chooses He's networks of 20, 32, 44, 56
 * or 110 layers instead of a compact one of `--widths A,B,C` channels; `--epochs N` says how long it learns,
 * `--weights FILE` keeps what was learnt.
 */
import * as lw from "layerwise";
import { compileResidual, residualNetwork, withClasses } from "./residual.js";
import { option, quick, saveFigure, some, takes } from "./shared.js";

takes({
  data: "DIR|download",
  depth: "N",
  widths: "N,N,N",
  epochs: "N",
  train: "N",
  seed: "SEED",
  weights: "FILE",
});

lw.setRandomSeed(Number(option("seed") ?? 1));
const data = option("data");
const { train: all, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 512, test: 128 } : { train: 4000, test: 1000 })
    : await lw.datasets.fashionMnist(data === "download" ? {} : { dir: data });
const train = some(all);
const epochs = Number(option("epochs") ?? (quick ? 2 : 14));
const batchSize = quick ? 32 : 128;
const depth = option("depth");

/** Pictures moved by up to 2 pixels. Clothes may look either way; digits may not. */
function augment(x: ReturnType<typeof lw.input>): ReturnType<typeof lw.input> {
  const moved = lw.layers
    .randomTranslation({
      heightFactor: 2 / 28,
      widthFactor: 2 / 28,
      fillMode: "nearest",
      interpolation: "nearest",
    })
    .apply(x);
  return data === undefined ? moved : lw.layers.randomFlip({ mode: "horizontal" }).apply(moved);
}

/** One of He's networks behind the same changes of pictures. */
function deep(): lw.Model {
  const network = lw.models.resnet({
    depth: Number(depth),
    inputShape: [28, 28, 1],
    classifierActivation: "linear",
  });
  const x = lw.input({ shape: [28, 28, 1] });
  return lw.model({ inputs: x, outputs: network.apply(augment(x)) });
}

const widths = (option("widths") ?? (quick ? "8,16,16" : "32,64,128")).split(",").map(Number);
const model =
  depth === undefined
    ? residualNetwork({ pictures: train.x, classes: 10, widths, augment })
    : deep();
model.summary();
compileResidual(model, {
  steps: epochs * Math.ceil(train.x.shape[0]! / batchSize),
  rate: depth === undefined ? 0.15 : 0.1,
});
const { history } = await model.fit(train.x, withClasses(train.y), {
  epochs,
  batchSize,
  seed: 1,
  validationData: [test.x, withClasses(test.y)],
});
const weights = option("weights");
if (weights) await model.saveWeights(weights);
const { accuracy } = await model.evaluate(test.x, withClasses(test.y));
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
