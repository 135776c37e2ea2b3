/**
 * A deep belief network, 784-500-500-2000: learnt without labels, then fine-tuned with all or few of
 * them. After Hinton, Osindero & Teh (2006); beside it stands the same network from random weights. What was
 * learnt without labels helps most where there are few of them. Both drop a tenth of the pixels and a fifth of
 * the units while they are fine-tuned. The samples are of the top machine, from random states, and many are no
 * clear digits: one step of contrastive divergence a layer finds good features, not a good density.
 *
 * `--data DIR` takes the four IDX files of MNIST (`--data download` gets them), else the digits are
 * generated. `--pretrain N` and `--epochs N` set the lengths; `--network FILE` keeps what was pre-trained
 * and takes it up again; `--only ROW` fine-tunes one row of the table, such as "all, pre-trained".
 */
import { existsSync } from "node:fs";
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, some, takes } from "./shared.js";

const few = quick ? 100 : 1000;
const starts = ["pre-trained", "random"] as const;
takes({
  data: "DIR|download",
  pretrain: "N",
  epochs: "N",
  train: "N",
  only: ["all", few].flatMap((labels) => starts.map((start) => `${labels}, ${start}`)),
  network: "FILE",
});

lw.setRandomSeed(1);
const data = option("data");
const { train: everything, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1000, test: 300 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });
const train = some(everything);
const sizes = quick ? [100, 100] : [500, 500, 2000];
const pretrainEpochs = Number(option("pretrain") ?? (quick ? 8 : 10));
const epochs = Number(option("epochs") ?? (quick ? 20 : 40));
const batchSize = quick ? 20 : 100;
const { schedules, sgd, adam } = lw.optimizers;

/** Layer by layer from the bottom, without labels. */
async function pretrained(): Promise<lw.models.DeepBeliefNetwork> {
  const file = option("network");
  if (file && existsSync(file)) return lw.models.loadDeepBeliefNetwork(file);
  const [first, ...others] = sizes;
  const network = lw.models.deepBeliefNetwork({
    layers: [{ inputShape: [28, 28, 1], hidden: first! }, ...others.map((hidden) => ({ hidden }))],
    seed: 1,
  });
  await network.machines[0]!.initializeVisibleBias(train.x);
  const perEpoch = Math.ceil(train.x.shape[0]! / batchSize);
  // Momentum begins at 0.5 and rises, the rate falls to the end (Hinton 2010, sections 7 and 9).
  const layer = () => ({
    optimizer: sgd({
      learningRate: schedules.polynomialDecay({
        initialLearningRate: 0.1,
        endLearningRate: 0.01,
        decaySteps: pretrainEpochs * perEpoch,
      }),
      momentum: schedules.piecewiseConstantDecay({
        boundaries: [Math.ceil(pretrainEpochs / 2) * perEpoch],
        values: [0.5, 0.9],
      }),
    }),
  });
  await network.pretrain(train.x, {
    epochs: pretrainEpochs,
    batchSize,
    weightDecay: 2e-4,
    seed: 1,
    verbose: 2,
    layers: sizes.map(layer),
  });
  if (file) await network.save(file);
  return network;
}

/** The same layers with random weights, as `sequential` would begin. */
function random(): lw.Sequential {
  return lw.sequential([
    lw.layers.flatten({ inputShape: [28, 28, 1] }),
    lw.layers.dropout({ rate: 0.1 }),
    ...sizes.flatMap((units) => [
      lw.layers.dense({ units, activation: "sigmoid" }),
      lw.layers.dropout({ rate: 0.2 }),
    ]),
    lw.layers.dense({ units: 10, activation: "softmax" }),
  ]);
}

const network = await pretrained();
const all = train.x.shape[0]!;
const rows: (string | number)[][] = [];
const series: { label: string; y: number[]; dashed?: boolean }[] = [];
for (const labels of [all, few]) {
  for (const start of starts) {
    const name = `${labels === all ? "all" : labels}, ${start}`;
    if ((option("only") ?? name) !== name) continue;
    const model =
      start === "random"
        ? random()
        : network.toSequential({ head: 10, dropout: 0.2, inputDropout: 0.1 });
    // Epochs of few samples are short.
    const rounds = labels === all ? epochs : 4 * epochs;
    const size = Math.min(batchSize, labels / 5);
    model.compile({
      optimizer: adam({
        learningRate: schedules.cosineDecay({
          initialLearningRate: 1e-3,
          decaySteps: rounds * Math.ceil(labels / size),
        }),
      }),
      loss: "sparseCategoricalCrossentropy",
      metrics: ["accuracy"],
    });
    console.log(`\nFine-tuning with ${labels} labels, ${start}`);
    const { history } = await model.fit(
      train.x.slice([0, 0, 0, 0], [labels, 28, 28, 1]),
      train.y.slice([0], [labels]),
      {
        epochs: rounds,
        batchSize: size,
        seed: 1,
        verbose: labels === all && !quick ? 2 : 0,
        ...(labels === all ? { validationData: [test.x, test.y] as const } : {}),
      },
    );
    const { accuracy } = await model.evaluate(test.x, test.y);
    rows.push([name, rounds, `${(100 * (1 - accuracy!)).toFixed(2)} %`]);
    console.log(`${rows.at(-1)![2]} of the test digits are wrong`);
    if (labels === all) {
      const y = history.val_accuracy!.map((value) => 100 * (1 - value));
      series.push({ label: start, y, dashed: start === "random" });
    }
  }
}
console.log();
printTable(["labels", "epochs", "test error"], rows);

// What the network believes, from its top machine down.
const drawn = await network.generate({ chains: 20, steps: quick ? 50 : 500, means: true, seed: 1 });
const pixels = drawn.mul(255).round().cast("uint8").dataSync() as Uint8Array;
const images = Array.from({ length: 20 }, (_, i) => ({
  pixels: pixels.slice(i * 784, (i + 1) * 784),
}));
saveFigure(
  "14-dbn-mnist",
  lw.plot.panels([
    lw.plot.lineChart({ title: "Test error in % while fine-tuning", xLabel: "epoch", series }),
    lw.plot.imageGrid({
      title: "Samples, learnt without labels",
      images,
      imageWidth: 28,
      imageHeight: 28,
      columns: 5,
    }),
  ]),
);
