/**
 * LeNet-5 reads digits (LeCun et al. 1998): two convolutions with pooling, then three dense layers. The figure
 * shows the filters of the first convolution, what both convolutions make of one digit, and which part of a
 * digit speaks for the class that the network gives it: Grad-CAM (Selvaraju et al. 2017), the maps of the last
 * convolution weighted by the mean gradient of the class's score, here drawn over the picture. A picture
 * without colour is one where no part by itself raises the score: the weighted sum is positive nowhere. The
 * digits under those pictures are the network's answers.
 *
 * Small turns, changes of size and shifts are layers that act while it trains. Without arguments it learns
 * generated digits; `--data DIR` takes the four IDX files of MNIST, `--data download` gets them once (11.6 MB)
 * into the cache. `--original` builds the network of 1998, with its table of connections, trainable
 * subsampling and tanh. `--epochs N`, `--train N` (samples) and `--seed N` say how long it learns, from what
 * and from which start; `--weights FILE` keeps what was learnt.
 */
import * as lw from "layerwise";
import { option, quick, saveFigure, some, takes } from "./shared.js";

takes({
  data: "DIR|download",
  original: "",
  epochs: "N",
  train: "N",
  seed: "SEED",
  weights: "FILE",
});

const seed = Number(option("seed") ?? 1);
lw.setRandomSeed(seed);
const data = option("data");
const { train: all, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1500, test: 300 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });
const train = some(all);
const network = lw.models.lenet5({
  variant: process.argv.includes("--original") ? "original" : "modern",
});
network.summary();
const { layers } = lw;
const x = lw.input({ shape: [28, 28, 1] });
const outside = { fillMode: "constant" } as const;
let changed = layers.randomRotation({ factor: 0.03, ...outside }).apply(x);
changed = layers.randomZoom({ heightFactor: 0.1, ...outside }).apply(changed);
changed = layers
  .randomTranslation({ heightFactor: 0.08, widthFactor: 0.08, ...outside })
  .apply(changed);
// Changed digits take longer to learn than --quick has.
const model = lw.model({ inputs: x, outputs: network.apply(quick ? x : changed) });
const epochs = Number(option("epochs") ?? (quick ? 4 : 20));
const batchSize = quick ? 32 : 128;
model.compile({
  optimizer: lw.optimizers.adam({
    learningRate: lw.optimizers.schedules.cosineDecay({
      initialLearningRate: quick ? 0.002 : 0.003,
      decaySteps: epochs * Math.ceil(train.x.shape[0]! / batchSize),
    }),
  }),
  loss: "sparseCategoricalCrossentropy",
  metrics: ["accuracy"],
});
await model.fit(train.x, train.y, {
  epochs,
  batchSize,
  seed,
  validationData: [test.x, test.y],
});
const weights = option("weights");
if (weights) await network.saveWeights(weights);
const { accuracy } = await model.evaluate(test.x, test.y);
console.log(`Test accuracy: ${(100 * accuracy!).toFixed(2)} %`);
// The layers of the network itself, without those that change images.
const wrong = await lw.misclassified(network, test.x, test.y);
console.log(`Misclassified: ${wrong.length} of ${test.y.size}`);

const image = test.x.slice([0], [1]);
const { plot } = lw;
const grid = (title: string, images: lw.LayerImages, scale: number, centered: boolean): string =>
  plot.imageGrid({
    title,
    images: images.images.map((values) => ({ pixels: plot.greyPixels(values, centered) })),
    imageWidth: images.width,
    imageHeight: images.height,
    columns: 8,
    scale,
  });
const samples = await Promise.all(
  [0, 1, 2, 3, 4, 5, 6, 7].map(async (i) => {
    const sample = test.x.slice([i], [1]);
    const cam = await lw.gradCam(network, sample);
    const grey = plot.greyPixels(await sample.data());
    return {
      pixels: plot.overlay(grey, cam.map),
      channels: 3 as const,
      caption: `${cam.classIndex}`,
    };
  }),
);
const [first, second] = await lw.featureMaps(network, image, ["c1", "c3"]);
saveFigure(
  "11-lenet-mnist",
  plot.panels(
    [
      grid("Filters of C1", await lw.filters(network), 8, true),
      grid("What they find in a digit", first!, 1.6, false),
      grid("What C3 makes of it", second!, 4, false),
      plot.imageGrid({
        title: "What speaks for the class",
        images: samples,
        imageWidth: 28,
        imageHeight: 28,
        columns: 8,
      }),
    ],
    { columns: 2 },
  ),
);
