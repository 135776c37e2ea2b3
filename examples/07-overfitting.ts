/**
 * Overfitting and what helps. A network with 270 000 parameters sees 1000 samples, one in five with a
 * wrong label: it learns them by heart, its training loss goes to 0 while the loss on samples that it
 * does not see rises again. Dropout (Srivastava et al. 2014) makes that harder. Batch normalization
 * (Ioffe & Szegedy 2015) makes learning faster, learning by heart too: by itself it is no remedy here.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const samples = quick ? 300 : 1000;
const epochs = quick ? 8 : 40;
const { train, test } = lw.datasets.digits({ train: samples, test: quick ? 300 : 2000, seed: 3 });
const labels = Int32Array.from(await train.y.data(), (label, i) =>
  i % 5 === 0 ? (label + 1 + (i % 9)) % 10 : label,
);

const dropout = () => lw.layers.dropout({ rate: 0.5 });
const batchNorm = () => lw.layers.batchNormalization();
const remedies: Record<string, () => lw.Layer[]> = {
  plain: () => [],
  dropout: () => [dropout()],
  "batch norm": () => [batchNorm()],
  "batch norm and dropout": () => [batchNorm(), dropout()],
};

const charts: string[] = [];
const rows: (string | number)[][] = [];
for (const [name, remedy] of Object.entries(remedies)) {
  lw.setRandomSeed(1);
  const model = lw.sequential([lw.layers.flatten({ inputShape: [28, 28, 1] })]);
  for (let hidden = 0; hidden < 2; hidden++) {
    model.add(lw.layers.dense({ units: 256, activation: "relu", kernelInitializer: "heNormal" }));
    for (const layer of remedy()) model.add(layer);
  }
  model.add(lw.layers.dense({ units: 10, activation: "softmax" }));
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate: 0.001 }),
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  const { history } = await model.fit(train.x, lw.tensor(labels), {
    epochs,
    batchSize: 64,
    seed: 1,
    validationData: [test.x, test.y],
    validationBatchSize: 500,
    verbose: 0,
  });
  const { loss, accuracy, val_loss: unseenLoss, val_accuracy: unseenAccuracy } = history;
  charts.push(
    lw.plot.lineChart({
      title: name,
      width: 360,
      height: 300,
      xLabel: "epoch",
      yRange: [0, 2.6],
      series: [
        { label: "training loss", y: loss!, dots: false },
        { label: "validation loss", y: unseenLoss!, dots: false, dashed: true },
      ],
    }),
  );
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const lowest = Math.min(...unseenLoss!);
  rows.push([
    name,
    percent(accuracy!.at(-1)!),
    percent(unseenAccuracy!.at(-1)!),
    Number(loss!.at(-1)!.toFixed(3)),
    Number(lowest.toFixed(3)),
    Number(unseenLoss!.at(-1)!.toFixed(3)),
  ]);
}

printTable(
  ["network", "training acc.", "validation acc.", "training loss", "lowest val. loss", "last"],
  rows,
);
const title = `${samples} samples, a fifth with wrong labels, and 270 000 parameters`;
saveFigure("07-overfitting", lw.plot.panels(charts, { title, columns: 2 }));
