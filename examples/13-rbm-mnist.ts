/**
 * A restricted Boltzmann machine of digits: how it learns by contrastive divergence and by persistent
 * chains, its filters, samples and completions, and an estimate of its log-likelihood by annealed
 * importance sampling. The machine with the best reconstructions need not be the best model: compare their order
 * with that of the likelihoods. The figure's filters and samples are those of the last machine.
 *
 * `--data DIR` takes the four IDX files of MNIST (`--data download` gets them), else
 * the digits are generated. `--hidden N`, `--epochs N` and `--betas N` set the sizes, `--only pcd` learns
 * one machine of the table; `--network FILE` keeps it and takes it up again.
 *
 * Pixels are drawn with their grey values as probabilities, in each epoch anew, as in Salakhutdinov &
 * Murray (2008), so that log-likelihoods can stand beside theirs (−86.3 for CD-25 with 500 hidden units).
 */
import { existsSync } from "node:fs";
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, some, takes } from "./shared.js";

takes({
  data: "DIR|download",
  hidden: "N",
  epochs: "N",
  betas: "N",
  train: "N",
  only: ["cd-1", "cd-10", "cd-25", "pcd"],
  network: "FILE",
});

lw.setRandomSeed(1);
const data = option("data");
const { train: all, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1000, test: 200 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });
const train = some(all);
const hidden = Number(option("hidden") ?? (quick ? 64 : 500));
const epochs = Number(option("epochs") ?? (quick ? 10 : 20));
const betas = Number(option("betas") ?? (quick ? 200 : 10_000));
const batchSize = quick ? 20 : 100;
// A density over binary pixels is learnt from binary pixels.
const binary = (x: lw.Tensor, seed: number) =>
  lw.randomUniform(x.shape, 0, 1, "float32", seed).less(x).cast("float32");
const held = binary(test.x, 0);
const perEpoch = Math.ceil(train.x.shape[0]! / batchSize);

const methods = {
  "cd-1": { method: "cd", steps: 1, rate: 0.1 },
  "cd-10": { method: "cd", steps: 10, rate: 0.1 },
  "cd-25": { method: "cd", steps: 25, rate: 0.1 },
  // Persistent chains must keep up with the weights.
  pcd: { method: "pcd", chains: batchSize, rate: 0.05 },
} as const;

/** A machine that has learnt by one of the methods, and its error on test digits after each epoch. */
async function learnt(name: keyof typeof methods): Promise<[lw.models.RBM, number[]]> {
  // One file keeps one machine.
  const file = option("only") && option("network");
  if (file && existsSync(file)) return [await lw.models.loadRbm(file), []];
  const { rate, ...method } = methods[name];
  const machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden, seed: 1 });
  await machine.initializeVisibleBias(train.x);
  machine.compile({
    ...method,
    weightDecay: 1e-4,
    optimizer: lw.optimizers.sgd({
      // Towards the end weights hardly move: what is left is no noise of single steps.
      learningRate: lw.optimizers.schedules.polynomialDecay({
        initialLearningRate: rate,
        endLearningRate: 0,
        decaySteps: epochs * perEpoch,
      }),
      momentum: 0.5,
    }),
  });
  const errors: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const { history } = await machine.fit(binary(train.x, epoch + 1), {
      initialEpoch: epoch,
      epochs: epoch + 1,
      batchSize,
      validationData: held,
      seed: epoch + 1,
      verbose: 0,
    });
    const of = (key: string) => history[key]!.at(-1)!;
    errors.push(of("val_reconstructionError"));
    if (quick) continue;
    console.log(
      `${name}, epoch ${epoch + 1}: reconstructionError ${of("reconstructionError").toFixed(2)} in training, ` +
        `${errors.at(-1)!.toFixed(2)} in validation, freeEnergyGap ${of("freeEnergyGap").toFixed(2)}`,
    );
  }
  if (file) await machine.save(file);
  return [machine, errors];
}

const rows: (string | number)[][] = [];
const series: { label: string; y: number[] }[] = [];
let machine: lw.models.RBM | undefined;
for (const name of Object.keys(methods) as (keyof typeof methods)[]) {
  if ((option("only") ?? name) !== name) continue;
  const [learned, errors] = await learnt(name);
  machine = learned;
  const { logLikelihood, standardError } = await machine.logLikelihood(held, { betas, seed: 1 });
  const pseudo = await machine.pseudoLogLikelihood(held, { flips: quick ? 5 : 20, seed: 1 });
  const energy = async (x: lw.Tensor) => (await machine!.freeEnergy(x)).mean().item();
  const gap =
    (await energy(held)) - (await energy(binary(train.x.slice([0], [held.shape[0]!]), 1)));
  const means = await machine.reconstruct(held);
  const reconstruction = held.sub(means).square().sum([1, 2, 3]).mean().item();
  rows.push([
    name,
    reconstruction.toFixed(1),
    gap.toFixed(1),
    pseudo.mean().item().toFixed(1),
    logLikelihood.toFixed(1),
    standardError.toFixed(2),
  ]);
  if (errors.length > 0) series.push({ label: name, y: errors });
}
console.log();
printTable(
  ["learnt by", "reconstruction", "gap", "pseudo-log-lik.", "log-likelihood", "± log Z"],
  rows,
);

/** Pictures of values from `low` to `high`, 28×28 each. */
function pictures(values: lw.Tensor, low: number, high: number): { pixels: Uint8Array }[] {
  const scaled = values.sub(low).mul(255 / (high - low));
  const pixels = scaled.clipByValue(0, 255).round().cast("uint8").dataSync() as Uint8Array;
  return Array.from({ length: pixels.length / 784 }, (_, i) => ({
    pixels: pixels.slice(i * 784, (i + 1) * 784),
  }));
}

// The last machine of the table: filters, samples from chains, and lower halves of its own making.
const last = machine!;
const filters = last.kernel.transpose().slice([0, 0], [20, 784]);
const samples = await last.sample({
  chains: 10,
  steps: quick ? 200 : 5000,
  start: binary(train.x.slice([0], [10]), 1),
  means: true,
  seed: 1,
});
const upper = lw.range(0, 28).less(14).cast("float32").reshape([28, 1, 1]);
const halves = held.slice([0], [10]);
const completed = await last.sample({
  chains: 10,
  steps: quick ? 100 : 1000,
  clamp: { mask: upper.broadcastTo([28, 28, 1]), values: halves },
  means: true,
  seed: 2,
});
const grid = (title: string, images: { pixels: Uint8Array }[]) =>
  lw.plot.imageGrid({ title, images, imageWidth: 28, imageHeight: 28 });
saveFigure(
  "13-rbm-mnist",
  lw.plot.panels(
    [
      lw.plot.lineChart({
        title: "Squared error of test reconstructions",
        xLabel: "epoch",
        series,
      }),
      grid("Weights of 20 hidden units", pictures(filters, -1, 1)),
      grid("Samples of chains that began at digits", pictures(samples, 0, 1)),
      grid("Upper halves of test digits, completed", pictures(completed, 0, 1)),
    ],
    { columns: 1 },
  ),
);
