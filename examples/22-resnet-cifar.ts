/**
 * A compact residual network reads CIFAR-10. `--data DIR` takes its binary files, `--data download` gets
 * them once (170 MB) into the cache; without it the network learns generated digits. `--epochs N` and
 * `--widths A,B,C` set the length and the size, `--weights FILE` keeps what was learnt. Pictures are
 * flipped and shifted by layers of the model while it trains; the last figure is of the mean prediction
 * for a test picture and its mirror image.
 */
import * as lw from "layerwise";
import { compileResidual, residualNetwork, withClasses } from "./residual.js";
import { option, quick, saveFigure, some, takes } from "./shared.js";

takes({
  data: "DIR|download",
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
    ? lw.datasets.digits({ ...(quick && { train: 1000, test: 200 }), normalize: false })
    : await lw.datasets.cifar10({ ...(data !== "download" && { dir: data }), normalize: false });
const train = some(all);
const epochs = Number(option("epochs") ?? (quick ? 3 : 12));
const batchSize = quick ? 50 : 256;
const widths = (option("widths") ?? (quick ? "8,16,16" : "64,128,256")).split(",").map(Number);

const { layers } = lw;
// Digits may not look either way.
const mirrored = data !== undefined;
const model = residualNetwork({
  pictures: train.x,
  classes: 10,
  widths,
  augment: (x) => {
    const shifted = layers
      .randomTranslation({
        heightFactor: 2 / train.x.shape[1]!,
        widthFactor: 2 / train.x.shape[2]!,
        interpolation: "nearest",
      })
      .apply(x);
    return mirrored ? layers.randomFlip({ mode: "horizontal" }).apply(shifted) : shifted;
  },
});
model.summary();
compileResidual(model, {
  steps: epochs * Math.ceil(train.x.shape[0]! / batchSize),
  rate: 0.25,
  labelSmoothing: 0.2,
});
const { history } = await model.fit(train.x, withClasses(train.y), {
  epochs,
  batchSize,
  seed: 1,
  validationData: [test.x, withClasses(test.y)],
  verbose: 2,
});
const weights = option("weights");
if (weights) await model.saveWeights(weights);

const logits = await model.predict(test.x);
const both = mirrored ? logits.add(await model.predict(lw.reverse(test.x, 2))) : logits;
const accuracy = (scores: lw.Tensor): string => {
  const right = scores.argMax(-1).cast("int32").equal(test.y).cast("float32").mean().item();
  return `${(100 * right).toFixed(2)} %`;
};
console.log(`Test accuracy: ${accuracy(logits)}`);
if (mirrored) console.log(`With mirror images: ${accuracy(both)}`);
saveFigure(
  "22-resnet-cifar",
  lw.plot.lineChart({
    title: "Accuracy",
    xLabel: "epoch",
    series: [
      { label: "training", y: history.accuracy! },
      { label: "test", y: history.val_accuracy!, dashed: true },
    ],
  }),
);
