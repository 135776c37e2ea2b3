/**
 * Every optimizer in the library, raced twice from the same start: down a curved valley (Rosenbrock's,
 * flattened), where the path shows its character, and on a small network that learns digits. Each has a
 * learning rate that suits it; with equal rates the comparison would say nothing, for their units differ.
 *
 * The valley's floor is flat and curved. Plain descent creeps along it; momentum (Polyak 1964) gathers speed and
 * swings from side to side, Nesterov's (1983) brakes in time. Adagrad, Adadelta, RMSprop and the Adam family give
 * each parameter a step of its own from the gradients so far. Lion (Chen et al. 2023) takes the sign of its
 * momentum: all its steps have one length, so it walks back and forth around the lowest point.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

type Make = (learningRate: number) => ReturnType<typeof lw.optimizers.sgd>;
interface Racer {
  readonly make: Make;
  /** Learning rates in the valley and on the network. */
  readonly rates: readonly [valley: number, network: number];
}
const o = lw.optimizers;
const groups: Record<string, Record<string, Racer>> = {
  classical: {
    sgd: { make: o.sgd, rates: [0.015, 0.1] },
    momentum: { make: o.momentum, rates: [0.006, 0.02] },
    nesterov: {
      make: (learningRate) => o.momentum({ learningRate, nesterov: true }),
      rates: [0.006, 0.02],
    },
    adagrad: { make: o.adagrad, rates: [0.5, 0.03] },
    adadelta: { make: o.adadelta, rates: [30, 2] },
    rmsprop: { make: o.rmsprop, rates: [0.02, 0.001] },
  },
  "the Adam family": {
    adam: { make: o.adam, rates: [0.1, 0.002] },
    amsgrad: {
      make: (learningRate) => o.adam({ learningRate, amsgrad: true }),
      rates: [0.1, 0.002],
    },
    adamax: { make: o.adamax, rates: [0.3, 0.004] },
    nadam: { make: o.nadam, rates: [0.1, 0.002] },
    adamw: { make: o.adamw, rates: [0.1, 0.002] },
    lion: { make: o.lion, rates: [0.02, 0.0005] },
  },
};

// The valley: (1 − x)² + 5·(y − x²)², lowest at (1, 1).
const valley = (x: number, y: number) => (1 - x) ** 2 + 5 * (y - x * x) ** 2;
const start = [-1.4, 1.2];
const steps = 200;

function race(make: Make, rate: number): [number, number][] {
  const optimizer = make(rate);
  const point = lw.variable(start, { name: "point" });
  const step = lw.compile(() => {
    const { value, grads } = lw.variableGrads(() => {
      const [x, y] = lw.unstack(point) as [lw.Tensor, lw.Tensor];
      return lw.add(lw.sub(1, x).square(), y.sub(x.square()).square().mul(5));
    }, [point]);
    optimizer.applyGradients([[grads.point!, point]]);
    return value;
  });
  const here = () => [...point.dataSync()] as [number, number];
  const path = [here()];
  for (let i = 0; i < steps; i++) {
    step();
    path.push(here());
  }
  return path;
}

const data = lw.datasets.digits({ train: quick ? 600 : 4000, test: quick ? 200 : 1000 });

async function learn(make: Make, rate: number) {
  lw.setRandomSeed(5); // the same initial weights for all
  const model = lw.sequential([
    lw.layers.flatten({ inputShape: [28, 28, 1] }),
    lw.layers.dense({ units: 64, activation: "relu", kernelInitializer: "heNormal" }),
    lw.layers.dense({ units: 10, activation: "softmax" }),
  ]);
  model.compile({
    optimizer: make(rate),
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  const { x, y } = data.train;
  const epochs = quick ? 2 : 10;
  const { history } = await model.fit(x, y, { epochs, batchSize: 64, seed: 5, verbose: 0 });
  const { accuracy } = await model.evaluate(data.test.x, data.test.y);
  return { losses: history.loss!, accuracy: accuracy! };
}

const [xRange, yRange] = [[-2, 2] as const, [-1, 3] as const];
const size = 81;
const corner = ([low, high]: readonly [number, number], i: number) =>
  low + (i / (size - 1)) * (high - low);
const surface = Array.from({ length: size * size }, (_, i) =>
  valley(corner(xRange, i % size), corner(yRange, Math.floor(i / size))),
);
const levels = Array.from({ length: 12 }, (_, k) => 0.05 * 2.1 ** k);

const rows: (string | number)[][] = [];
const charts: string[][] = [[], [], []];
for (const [group, racers] of Object.entries(groups)) {
  const paths: { label: string; points: [number, number][] }[] = [];
  const heights: lw.plot.Series[] = [];
  const curves: lw.plot.Series[] = [];
  for (const [label, { make, rates }] of Object.entries(racers)) {
    const path = race(make, rates[0]);
    const height = path.map(([x, y]) => valley(x, y));
    const { losses, accuracy } = await learn(make, rates[1]);
    paths.push({ label, points: path });
    heights.push({ label, x: height.map((_, i) => i), y: height, dots: false });
    curves.push({ label, y: losses });
    rows.push([
      label,
      rates[0],
      height.at(-1)!.toExponential(1),
      rates[1],
      Number(losses.at(-1)!.toFixed(4)),
      `${(100 * accuracy).toFixed(1)} %`,
    ]);
  }
  const grid = { columns: size, rows: size, values: surface, levels };
  const [title, wide] = [`Valley: ${group}`, { width: 480, height: 380 }];
  charts[0]!.push(
    lw.plot.planeChart({ title, width: 480, height: 460, xRange, yRange, contours: grid, paths }),
  );
  const [height, loss] = [`Height above the lowest point: ${group}`, `Training loss: ${group}`];
  const log = { ...wide, yScale: "log" } as const;
  charts[1]!.push(
    lw.plot.lineChart({
      ...log,
      title: height,
      xLabel: "step",
      series: heights,
      yRange: [1e-9, 20],
    }),
  );
  charts[2]!.push(lw.plot.lineChart({ ...log, title: loss, xLabel: "epoch", series: curves }));
}

printTable(["optimizer", "rate", "valley", "rate", "network loss", "test accuracy"], rows);
for (const [i, what] of ["valley", "height", "loss"].entries()) {
  saveFigure(`05-optimizers-${what}`, lw.plot.panels(charts[i]!, { columns: 2 }));
}
