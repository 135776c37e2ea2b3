/**
 * A multi-layer perceptron solves XOR, which a single perceptron can't (see 01): eight hidden units
 * bend the plane so that one output can separate it. The figure shows how sure the network is of 1
 * over the whole plane, and the loss.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

lw.setRandomSeed(1);
const { x, y } = lw.datasets.logicGates().xor;

const model = lw.sequential([
  lw.layers.dense({ units: 8, activation: "tanh", inputShape: [2] }),
  lw.layers.dense({ units: 1, activation: "sigmoid" }),
]);
model.compile({
  optimizer: lw.optimizers.adam({ learningRate: 0.1 }),
  loss: "binaryCrossentropy",
  metrics: ["accuracy"],
});
const { history } = await model.fit(x, y, {
  epochs: quick ? 100 : 300,
  batchSize: 4,
  seed: 1,
  verbose: 0,
});

const answers = await model.predict(x);
const inputs = x.arraySync() as [number, number][];
const [wanted, given] = [await y.data(), await answers.data()];
printTable(
  ["x₁", "x₂", "XOR", "network"],
  inputs.map(([a, b], i) => [a, b, wanted[i]!, Number(given[i]!.toFixed(4))]),
);
console.log(`Accuracy: ${history.accuracy!.at(-1)! * 100} %`);

// Ask the network about every cell of a grid over the plane.
const range = [-0.5, 1.5] as const;
const cells = 100;
const middle = (i: number) => range[0] + ((i + 0.5) / cells) * (range[1] - range[0]);
const grid = Array.from({ length: cells * cells }, (_, i) => [
  middle(i % cells),
  middle(Math.floor(i / cells)),
]);
const sure = await (await model.predict(lw.tensor(grid))).data();

const plane = lw.plot.planeChart({
  title: "XOR, learnt",
  xRange: range,
  yRange: range,
  xLabel: "x₁",
  yLabel: "x₂",
  regions: { columns: cells, rows: cells, values: Array.from(sure, (p) => (p > 0.5 ? 1 : 0)) },
  contours: { columns: cells, rows: cells, values: sure, levels: [0.1, 0.3, 0.5, 0.7, 0.9] },
  points: [0, 1].map((answer) => ({
    label: String(answer),
    points: inputs.filter((_, i) => wanted[i] === answer),
  })),
});
const curve = lw.plot.lineChart({
  title: "Loss",
  width: 460,
  height: 440,
  xLabel: "epoch",
  yScale: "log",
  series: [{ label: "", y: history.loss! }],
});
saveFigure("02-xor-mlp", lw.plot.panels([plane, curve]));
