/**
 * LeNet-5 reads digits (LeCun et al. 1998): two convolutions with pooling, then three dense layers. The figure
 * shows the filters of the first convolution, what both convolutions make of one digit, and which part of a
 * digit speaks for the class that the network gives it: Grad-CAM (Selvaraju et al. 2017), the maps of the last
 * convolution weighted by the mean gradient of the class's score, here drawn over the picture. The digits
 * under those pictures are the network's answers.
 *
 * Without arguments it learns generated digits; `--data DIR` takes the four IDX files of MNIST, `--data
 * download` gets them once (11.6 MB) into the cache. `--epochs N` sets the length. `--original` builds the network of 1998, with its
 * table of connections, trainable subsampling and tanh.
 */
import * as lw from "layerwise";
import { option, quick, saveFigure } from "./shared.js";

lw.setRandomSeed(1);
const data = option("data");
const { train, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1500, test: 300 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });

const model = lw.models.lenet5({
  variant: process.argv.includes("--original") ? "original" : "modern",
});
model.summary();
const epochs = Number(option("epochs") ?? (quick ? 4 : 12));
const batchSize = quick ? 32 : 128;
model.compile({
  optimizer: lw.optimizers.adam({
    learningRate: lw.optimizers.schedules.cosineDecay({
      initialLearningRate: 0.002,
      decaySteps: epochs * Math.ceil(train.x.shape[0]! / batchSize),
    }),
  }),
  loss: "sparseCategoricalCrossentropy",
  metrics: ["accuracy"],
});
await model.fit(train.x, train.y, {
  epochs,
  batchSize,
  seed: 1,
  validationData: [test.x, test.y],
});
const { accuracy } = await model.evaluate(test.x, test.y);
console.log(`Test accuracy: ${(100 * accuracy!).toFixed(2)} %`);
const wrong = await lw.misclassified(model, test.x, test.y);
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
    const cam = await lw.gradCam(model, sample);
    const grey = plot.greyPixels(await sample.data());
    return {
      pixels: plot.overlay(grey, cam.map),
      channels: 3 as const,
      caption: `${cam.classIndex}`,
    };
  }),
);
const [first, second] = await lw.featureMaps(model, image, ["c1", "c3"]);
saveFigure(
  "11-lenet-mnist",
  plot.panels(
    [
      grid("Filters of C1", await lw.filters(model), 8, true),
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
