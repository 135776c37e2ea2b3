/**
 * Overfitting and two remedies. A network with far more parameters than the 300 samples it sees learns
 * them by heart: its training loss goes to 0 while the loss on samples it does not see rises again.
 * Dropout (Srivastava et al. 2014) and batch normalization (Ioffe & Szegedy 2015) narrow the gap.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure } from "./shared.js";

const { train, test } = lw.datasets.digits({ train: 300, test: quick ? 300 : 2000, seed: 3 });
const epochs = quick ? 8 : 60;

const remedies: Record<string, (hidden: number) => lw.layers.Layer[]> = {
  plain: () => [],
  dropout: () => [lw.layers.dropout({ rate: 0.5 })],
  "batch norm": () => [lw.layers.batchNormalization()],
};

const charts: string[] = [];
const rows: (string | number)[][] = [];
for (const [name, remedy] of Object.entries(remedies)) {
  lw.setRandomSeed(1);
  const model = lw.sequential([lw.layers.flatten({ inputShape: [28, 28, 1] })]);
  for (let hidden = 0; hidden < 2; hidden++) {
    model.add(lw.layers.dense({ units: 256, activation: "relu", kernelInitializer: "heNormal" }));
    for (const layer of remedy(hidden)) model.add(layer);
  }
  model.add(lw.layers.dense({ units: 10, activation: "softmax" }));
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate: 0.001 }),
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  const { history } = await model.fit(train.x, train.y, {
    epochs,
    batchSize: 32,
    seed: 1,
    validationData: [test.x, test.y],
    validationBatchSize: 500,
    verbose: 0,
  });
  const { loss, accuracy, val_loss: unseenLoss, val_accuracy: unseenAccuracy } = history;
  charts.push(
    lw.plot.lineChart({
      title: name,
      width: 330,
      height: 320,
      xLabel: "epoch",
      yRange: [0, 2.5],
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
saveFigure("07-overfitting", lw.plot.panels(charts, { title: "300 samples, 270 000 parameters" }));
