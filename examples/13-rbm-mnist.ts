/**
 * A restricted Boltzmann machine of digits: how it learns by contrastive divergence and by persistent
 * chains, its filters, samples and completions, and an estimate of its log-likelihood by annealed
 * importance sampling. The machine with the best reconstructions need not be the best model: compare their order
 * with that of the likelihoods. The figure's filters and samples are those of the last machine.
 *
 * `--data DIR` takes the four IDX files of MNIST (`--data download` gets them), else
 * the digits are generated. `--hidden N`, `--epochs N` and `--betas N` set the sizes, `--only pcd` learns
 * one machine of the table.
 */
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure } from "./shared.js";

lw.setRandomSeed(1);
const data = option("data");
const { train, test } =
  data === undefined
    ? lw.datasets.digits(quick ? { train: 1000, test: 200 } : {})
    : await lw.datasets.mnist(data === "download" ? {} : { dir: data });
const hidden = Number(option("hidden") ?? (quick ? 64 : 500));
const epochs = Number(option("epochs") ?? (quick ? 10 : 20));
const betas = Number(option("betas") ?? (quick ? 200 : 10_000));
const batchSize = quick ? 20 : 100;
// A density over binary pixels is learnt from binary pixels.
const binary = (x: lw.Tensor) => x.greater(0.5).cast("float32");
const [x, held] = [binary(train.x), binary(test.x)];
const perEpoch = Math.ceil(x.shape[0]! / batchSize);

const methods = {
  "cd-1": { method: "cd", steps: 1 },
  "cd-10": { method: "cd", steps: 10 },
  pcd: { method: "pcd", chains: batchSize },
} as const;
const rows: (string | number)[][] = [];
const series: { label: string; y: number[] }[] = [];
let machine: lw.models.RBM | undefined;
for (const [name, method] of Object.entries(methods)) {
  if ((option("only") ?? name) !== name) continue;
  machine = lw.models.rbm({ inputShape: [28, 28, 1], hidden, seed: 1 });
  await machine.initializeVisibleBias(x);
  machine.compile({
    ...method,
    weightDecay: 1e-4,
    optimizer: lw.optimizers.sgd({
      // Persistent chains must keep up with the weights: towards the end these hardly move.
      learningRate: lw.optimizers.schedules.polynomialDecay({
        initialLearningRate: 0.05,
        endLearningRate: 0,
        decaySteps: epochs * perEpoch,
      }),
      momentum: 0.5,
    }),
  });
  const { history } = await machine.fit(x, {
    epochs,
    batchSize,
    validationData: held,
    seed: 1,
    verbose: quick ? 0 : 2,
  });
  const { logLikelihood, standardError } = await machine.logLikelihood(held, { betas, seed: 1 });
  const pseudo = await machine.pseudoLogLikelihood(held, { flips: quick ? 5 : 20, seed: 1 });
  rows.push([
    name,
    history.val_reconstructionError!.at(-1)!.toFixed(1),
    history.freeEnergyGap!.at(-1)!.toFixed(1),
    pseudo.mean().item().toFixed(1),
    logLikelihood.toFixed(1),
    standardError.toFixed(2),
  ]);
  series.push({ label: name, y: history.val_reconstructionError! });
}
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
  start: x.slice([0, 0, 0, 0], [10, 28, 28, 1]),
  means: true,
  seed: 1,
});
const upper = lw.range(0, 28).less(14).cast("float32").reshape([28, 1, 1]);
const halves = held.slice([0, 0, 0, 0], [10, 28, 28, 1]);
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
