/**
 * Twenty years of convolutional networks on one small task: LeNet-5 as of 1998 and as it is built today,
 * AlexNet (2012), VGG-11 (2014), GoogLeNet (2015) and ResNet-20 (2016). The later ones were made for larger
 * pictures and far more of them, so they are built thin here, by their `width`; AlexNet sees the pictures
 * enlarged to 64×64, since its first strides leave nothing of 28×28.
 *
 * Every network has the same samples, epochs and schedule. The table has what each costs and what it
 * reaches; with so few samples and epochs the order says nothing about the networks at their own sizes. What
 * it does show: parameters and multiply-adds are different things. ResNet-20 has about as many parameters as
 * LeNet-5, and uses each of them for many more pixels. (As published, most of AlexNet's 61 million and
 * VGG-11's 133 million parameters are in the dense layers at their ends; GoogLeNet, with 7 million, and
 * ResNet end in a mean over the picture.)
 *
 * `--data DIR` takes the four IDX files of Fashion-MNIST (`--data download` gets them once, 30 MB), else the
 * pictures are generated digits.
 */
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";

takes({ data: "DIR|download" });

const data = option("data");
const [samples, held] = quick ? [256, 100] : [3000, 1000];
const all =
  data === undefined
    ? lw.datasets.digits({ train: samples, test: held })
    : await lw.datasets.fashionMnist(data === "download" ? {} : { dir: data });
const take = ({ x, y }: { x: lw.Tensor; y: lw.Tensor }, count: number) => ({
  x: x.slice([0], [count]),
  y: y.slice([0], [count]),
});
const [train, test] = [take(all.train, samples), take(all.test, held)];

const { models, layers } = lw;
const inputShape = [28, 28, 1] as const;
/** A network behind a layer that enlarges its pictures. */
function enlarged(side: number, network: lw.Model): lw.Model {
  const x = lw.input({ shape: inputShape });
  const larger = layers.resizing({ height: side, width: side }).apply(x);
  return lw.model({ inputs: x, outputs: network.apply(larger), name: network.name });
}
const thin = quick ? 8 : 16;
const networks: Record<string, () => lw.Model> = {
  "LeNet-5, 1998": () => models.lenet5({ variant: "original" }),
  "LeNet-5, today": () => models.lenet5(),
  AlexNet: () =>
    enlarged(
      64,
      models.alexnet({
        inputShape: [64, 64, 1],
        classes: 10,
        width: thin,
        classifierWidths: [256, 256],
      }),
    ),
  "VGG-11": () =>
    enlarged(
      32,
      models.vgg({
        depth: 11,
        inputShape: [32, 32, 1],
        classes: 10,
        width: thin / 2,
        batchNorm: true,
        classifierWidths: [256],
      }),
    ),
  GoogLeNet: () =>
    models.googlenet({
      inputShape: [28, 28, 1],
      classes: 10,
      width: thin / 64,
      variant: "batchNorm",
    }),
  "ResNet-20": () => models.resnet({ depth: 20, inputShape, width: thin / 2 }),
};

const epochs = quick ? 1 : 6;
const batchSize = quick ? 32 : 64;
const rows: (string | number)[][] = [];
const series: lw.plot.Series[] = [];
const costs: { name: string; parameters: number; multiplyAdds: number }[] = [];
for (const [name, make] of Object.entries(networks)) {
  lw.setRandomSeed(1);
  const model = make();
  model.compile({
    optimizer: lw.optimizers.adam({
      learningRate: lw.optimizers.schedules.cosineDecay({
        initialLearningRate: 0.002,
        decaySteps: epochs * Math.ceil(samples / batchSize),
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
    validationBatchSize: 250,
    verbose: 0,
  });
  const counted = /\(([\d,]+) multiply-adds\)/.exec(model.summaryText())![1]!;
  const multiplyAdds = Number(counted.replaceAll(",", ""));
  const parameters = model.countParams();
  costs.push({ name, parameters, multiplyAdds });
  rows.push([
    name,
    parameters.toLocaleString("en"),
    multiplyAdds.toLocaleString("en"),
    `${(100 * history.accuracy!.at(-1)!).toFixed(1)} %`,
    `${(100 * history.val_accuracy!.at(-1)!).toFixed(1)} %`,
  ]);
  series.push({ label: name, y: history.val_accuracy!.map((value) => 100 * value) });
}

const kind = data === undefined ? "generated digits" : "Fashion-MNIST";
console.log(`${samples} samples of ${kind}, ${epochs} epochs:\n`);
printTable(["network", "parameters", "multiply-adds", "training accuracy", "test accuracy"], rows);
const size = { width: 640, height: 340 };
saveFigure(
  "25-lenet-to-resnet",
  lw.plot.panels(
    [
      lw.plot.lineChart({ ...size, title: "Test accuracy in %", xLabel: "epoch", series }),
      lw.plot.barChart({
        ...size,
        title: "What a network costs",
        labels: costs.map(({ name }) => name),
        yScale: "log",
        series: [
          { label: "parameters", values: costs.map(({ parameters }) => parameters) },
          {
            label: "multiply-adds per picture",
            values: costs.map(({ multiplyAdds }) => multiplyAdds),
          },
        ],
        format: () => "",
      }),
    ],
    { columns: 1 },
  ),
);
