/**
 * A deep autoencoder, 784-1000-500-250-30 and back: pre-trained as a stack of Boltzmann machines,
 * unrolled, and fine-tuned. After Hinton & Salakhutdinov (2006), who give a squared error of 3.00 per test
 * image of MNIST, and 13.87 for principal components of the same number; those stand beside it here too, and
 * the same network from random weights. The codes know nothing of labels; the last figure colours them by
 * digit.
 *
 * `--data DIR` takes the four IDX files of
 * MNIST (`--data download` gets them), else the digits are generated. `--pretrain N` and `--epochs N`
 * set the lengths, `--train N` the number of samples; `--network FILE` keeps what was pre-trained; `--only ROW`
 * trains one row of the table.
 */
import { existsSync } from "node:fs";
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, some, takes } from "./shared.js";

takes({
  data: "DIR|download",
  pretrain: "N",
  epochs: "N",
  train: "N",
  only: ["fine-tuned", "from random weights"],
  network: "FILE",
});

lw.setRandomSeed(1);
const data = option("data");
const digits =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1000, test: 200 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });
const flat = (x: lw.Tensor): lw.Tensor => x.reshape([x.shape[0]!, 784]);
const [train, test] = [flat(some(digits.train).x), flat(digits.test.x)];
const sizes = quick ? [100, 50, 10] : [1000, 500, 250, 30];
const code = sizes.at(-1)!;
const pretrainEpochs = Number(option("pretrain") ?? 10);
const epochs = Number(option("epochs") ?? (quick ? 60 : 100));
const batchSize = quick ? 20 : 100;
const perEpoch = Math.ceil(train.shape[0]! / batchSize);
const { schedules, sgd, adam } = lw.optimizers;

/** Squared error per image, summed over its pixels. */
function squaredError(x: lw.Tensor, y: lw.Tensor): number {
  return x.sub(y).square().sum(1).mean().item();
}

/* ---- principal components ------------------------------------------------------------------------- */

/** Columns made orthonormal, by Gram and Schmidt twice. */
function orthonormal(columns: Float64Array[]): Float64Array[] {
  columns.forEach((v, j) => {
    for (let pass = 0; pass < 2; pass++) {
      for (const u of columns.slice(0, j)) {
        const dot = v.reduce((sum, value, i) => sum + value * u[i]!, 0);
        for (let i = 0; i < v.length; i++) v[i]! -= dot * u[i]!;
      }
    }
    const norm = Math.hypot(...v);
    for (let i = 0; i < v.length; i++) v[i]! /= norm;
  });
  return columns;
}

/** The first principal components of x [n, size] as [size, count], by iteration of a subspace. */
function components(x: lw.Tensor, count: number): lw.Tensor {
  const size = x.shape[1]!;
  const centred = x.sub(x.mean(0));
  const covariance = centred.matMul(centred, true).mul(1 / x.shape[0]!);
  let basis = lw.randomNormal([size, count], 0, 1, "float32", 1);
  for (let step = 0; step < 60; step++) {
    const rows = covariance.matMul(basis).transpose().arraySync() as number[][];
    const q = orthonormal(rows.map((row) => Float64Array.from(row)));
    basis = lw.tensor(q.map((column) => [...column])).transpose();
  }
  return basis;
}

const basis = components(train, code);
const mean = train.mean(0);
const projected = test.sub(mean).matMul(basis).matMul(basis.transpose()).add(mean);
const rows: (string | number)[][] = [
  [`PCA, ${code} components`, squaredError(test, projected).toFixed(2)],
];

/* ---- the autoencoder ------------------------------------------------------------------------------ */

async function pretrained(): Promise<lw.models.DeepBeliefNetwork> {
  const file = option("network");
  if (file && existsSync(file)) return lw.models.loadDeepBeliefNetwork(file);
  const network = lw.models.deepBeliefNetwork({
    layers: sizes.map((hidden, i) => ({
      ...(i === 0 ? { visible: 784 } : {}),
      hidden,
      // The code is of real numbers.
      ...(hidden === code ? { hiddenUnits: "gaussian" as const } : {}),
    })),
    seed: 1,
  });
  await network.machines[0]!.initializeVisibleBias(train);
  await network.pretrain(train, {
    epochs: pretrainEpochs,
    batchSize,
    weightDecay: 2e-4,
    seed: 1,
    verbose: 2,
    layers: sizes.map((hidden) => ({
      optimizer: sgd({
        // Linear units know no bounds, and need smaller steps.
        learningRate: hidden === code ? 0.005 : 0.1,
        momentum: schedules.piecewiseConstantDecay({
          boundaries: [Math.ceil(pretrainEpochs / 2) * perEpoch],
          values: [0.5, 0.9],
        }),
      }),
    })),
  });
  if (file) await network.save(file);
  return network;
}

/** The same layers with random weights. */
function random(): lw.Sequential {
  const up = sizes.map((units, i) =>
    lw.layers.dense({
      units,
      activation: units === code ? "linear" : "sigmoid",
      ...(i === 0 ? { inputShape: [784] } : {}),
    }),
  );
  const down = [784, ...sizes.slice(0, -1)].reverse();
  const back = down.map((units) => lw.layers.dense({ units, activation: "sigmoid" }));
  return lw.sequential([...up, ...back]);
}

const network = await pretrained();
const { autoencoder: unrolled, encoder } = network.toAutoencoder();
rows.push(["pre-trained", squaredError(test, await unrolled.predict(test)).toFixed(2)]);
const series: { label: string; y: number[]; dashed?: boolean }[] = [];
let best: lw.Model = unrolled;
for (const start of ["fine-tuned", "from random weights"] as const) {
  if ((option("only") ?? start) !== start) continue;
  const model = start === "fine-tuned" ? unrolled : random();
  model.compile({
    optimizer: adam({
      learningRate: schedules.cosineDecay({
        initialLearningRate: 1e-3,
        decaySteps: epochs * perEpoch,
      }),
    }),
    loss: "binaryCrossentropy",
  });
  const errors: number[] = [];
  if (!quick) console.log(`\nSquared error per test image, ${start}`);
  await model.fit(train, train, {
    epochs,
    batchSize,
    seed: 1,
    verbose: 0,
    callbacks: {
      async onEpochEnd(epoch) {
        errors.push(squaredError(test, await model.predict(test)));
        if (!quick) console.log(`${start}, epoch ${epoch + 1}: ${errors.at(-1)!.toFixed(3)}`);
      },
    },
  });
  rows.push([start, errors.at(-1)!.toFixed(2)]);
  series.push({ label: start, y: errors, dashed: start !== "fine-tuned" });
  if (start === "fine-tuned") best = model;
}
console.log();
printTable(["code", "squared error per test image"], rows);

const shown = test.slice([0, 0], [10, 784]);
const grids = [shown, await best.predict(shown), projected.slice([0, 0], [10, 784])];
const images = grids.flatMap((grid) => {
  const pixels = grid.mul(255).clipByValue(0, 255).round().cast("uint8").dataSync() as Uint8Array;
  return Array.from({ length: 10 }, (_, i) => ({ pixels: pixels.slice(i * 784, (i + 1) * 784) }));
});
saveFigure(
  "15-deep-autoencoder",
  lw.plot.panels(
    [
      lw.plot.lineChart({
        title: "Squared error per test image while fine-tuning",
        xLabel: "epoch",
        series,
      }),
      lw.plot.imageGrid({
        title: `Digits, through ${code} numbers, through ${code} principal components`,
        images,
        imageWidth: 28,
        imageHeight: 28,
      }),
    ],
    { columns: 1 },
  ),
);

/* ---- the codes ------------------------------------------------------------------------------------- */

/** Test digits in the plane of the first two principal components of what stands for them. */
function scatter(title: string, x: lw.Tensor): string {
  const count = Math.min(400, x.shape[0]!);
  const some = x.slice([0, 0], [count, x.shape[1]!]);
  const plane = some.sub(some.mean(0)).matMul(components(x, 2)).arraySync() as [number, number][];
  const labels = digits.test.y.dataSync();
  return lw.plot.planeChart({
    title,
    width: 480,
    height: 500,
    ...lw.plot.rangesOf(plane),
    points: Array.from({ length: 10 }, (_, digit) => ({
      label: String(digit),
      points: plane.filter((_, i) => labels[i] === digit),
    })),
  });
}
/** Share of test digits whose nearest other test digit, by Euclidean distance, has the same label. */
function alike(x: lw.Tensor): number {
  const squares = x.square().sum(1, true);
  const distances = squares.add(squares.transpose()).sub(x.matMul(x, false, true).mul(2));
  const itself = lw.eye(x.shape[0]!).mul(1e9);
  const nearest = distances.add(itself).argMin(1);
  const { y } = digits.test;
  return y.gather(nearest).equal(y).cast("float32").mean().item();
}
// The encoder shares its weights with the autoencoder that was fine-tuned.
const codes = await encoder.predict(test);
console.log("\nTest digits whose nearest neighbour is the same digit:\n");
printTable(
  ["by", "same digit"],
  Object.entries({
    "784 pixels": test,
    [`${code} principal components`]: test.sub(mean).matMul(basis),
    [`codes of ${code} numbers`]: codes,
  }).map(([name, x]) => [name, `${(100 * alike(x)).toFixed(1)} %`]),
);
saveFigure(
  "15-deep-autoencoder-codes",
  lw.plot.panels([scatter("Pixels", test), scatter(`Codes of ${code} numbers`, codes)], {
    title: "Test digits by their first two principal components",
  }),
);
