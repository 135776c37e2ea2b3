/**
 * Batch, mini-batch and stochastic gradient descent on one problem: a line y = w·x + b through noisy
 * points. Its loss has two parameters, so the way each method takes can be drawn on the loss surface:
 * the gradient of all samples points straight down; that of one sample scatters around it, but comes
 * two hundred times per epoch. The batch size of `fit` is all that differs.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const samples = 200;
const epochs = quick ? 6 : 20;
lw.setRandomSeed(7);
const x = lw.randomUniform([samples, 1], -1, 2);
const y = x
  .mul(1.5)
  .add(-0.5)
  .add(lw.randomNormal([samples, 1], 0, 0.4));
const [xs, ys] = [await x.data(), await y.data()];

/** Mean squared error of the line (w, b) on all samples. */
function lossAt(w: number, b: number): number {
  let sum = 0;
  for (let i = 0; i < samples; i++) sum += (w * xs[i]! + b - ys[i]!) ** 2;
  return sum / samples;
}

// In the order of drawing: the stochastic path would hide the others.
const methods = [
  { label: "stochastic (1)", batchSize: 1 },
  { label: "mini-batch (20)", batchSize: 20 },
  { label: "batch (200)", batchSize: Number.POSITIVE_INFINITY },
];
const runs = [];
for (const { label, batchSize } of methods) {
  const model = lw.sequential([lw.layers.dense({ units: 1, inputShape: [1] })]);
  model.compile({ optimizer: lw.optimizers.sgd({ learningRate: 0.1 }), loss: "meanSquaredError" });
  model.setWeights([lw.tensor([[-1]]), lw.tensor([1.5])]);
  const here = () => model.getWeights().map((t) => t.dataSync()[0]!) as [number, number];
  const path: [number, number][] = [here()];
  await model.fit(x, y, {
    batchSize,
    epochs,
    seed: 7,
    verbose: 0,
    callbacks: { onBatchEnd: () => void path.push(here()) },
  });
  const perEpoch = (path.length - 1) / epochs;
  const losses = Array.from({ length: epochs + 1 }, (_, i) => lossAt(...path[i * perEpoch]!));
  runs.push({ label, path, losses, updates: path.length - 1 });
}

printTable(
  ["method", "updates", "w (1.5)", "b (−0.5)", "loss"],
  runs.map(({ label, path, losses, updates }) => {
    const [w, b] = path.at(-1)!;
    return [label, updates, ...[w, b, losses.at(-1)!].map((v) => Number(v.toFixed(4)))];
  }),
);

const [xRange, yRange] = [[-1.5, 2.5] as const, [-1.5, 2.5] as const];
const size = 81;
const corner = ([low, high]: readonly [number, number], i: number) =>
  low + (i / (size - 1)) * (high - low);
const surface = Array.from({ length: size * size }, (_, i) =>
  lossAt(corner(xRange, i % size), corner(yRange, Math.floor(i / size))),
);
const lowest = Math.min(...surface);
const plane = lw.plot.planeChart({
  title: "Paths on the loss surface: the first 200 updates",
  width: 520,
  height: 480,
  xRange,
  yRange,
  xLabel: "w",
  yLabel: "b",
  contours: {
    columns: size,
    rows: size,
    values: surface,
    levels: [0.02, 0.1, 0.3, 0.7, 1.4, 2.5, 4, 6, 9, 13].map((above) => lowest + above),
  },
  paths: runs.map(({ label, path }) => ({ label, points: path.slice(0, 201) })),
});
const curves = lw.plot.lineChart({
  title: "Loss on all samples",
  width: 480,
  height: 480,
  xLabel: "epoch",
  yScale: "log",
  series: runs.map(({ label, losses }) => ({ label, x: losses.map((_, i) => i), y: losses })),
});
saveFigure("04-gradient-descent", lw.plot.panels([plane, curves]));
