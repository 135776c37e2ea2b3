/**
 * Why deep networks of sigmoids did not learn: each layer multiplies the gradient by the sigmoid's
 * slope, at most 1/4, so ten layers down little is left (Hochreiter 1991). ReLU with He's initial
 * weights (2015) keeps its size. Same depth and width, same data: the figure has the norm of each
 * layer's gradient before training, the table what five epochs make of it.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const depth = 10;
const { train, test } = lw.datasets.digits({ train: quick ? 500 : 3000, test: quick ? 200 : 1000 });
const batch = { x: train.x.slice([0], [256]), y: train.y.slice([0], [256]) };

const kinds = [
  { label: "sigmoid, Glorot", activation: "sigmoid", kernelInitializer: "glorotUniform" },
  { label: "tanh, Glorot", activation: "tanh", kernelInitializer: "glorotUniform" },
  { label: "ReLU, He", activation: "relu", kernelInitializer: "heNormal" },
] as const;

const series: lw.plot.Series[] = [];
const rows: (string | number)[][] = [];
for (const { label, activation, kernelInitializer } of kinds) {
  lw.setRandomSeed(1);
  const hidden = Array.from({ length: depth }, (_, i) =>
    lw.layers.dense({ units: 64, activation, kernelInitializer, name: `${activation}${i + 1}` }),
  );
  const model = lw.sequential([
    lw.layers.flatten({ inputShape: [28, 28, 1] }),
    ...hidden,
    lw.layers.dense({ units: 10, name: `logits_${activation}` }),
  ]);

  // The gradient of each layer's kernel for the untrained network.
  const kernels = model.layers.flatMap((layer) => layer.trainableWeights.slice(0, 1));
  const { grads } = lw.variableGrads(
    () => lw.sparseSoftmaxCrossEntropy(batch.y, model.apply(batch.x) as lw.Tensor).mean(),
    kernels,
  );
  const norms = kernels.map((kernel) => grads[kernel.name]!.norm().item());
  series.push({ label, y: norms });

  model.compile({
    optimizer: lw.optimizers.adam({ learningRate: 0.001 }),
    loss: lw.losses.sparseCategoricalCrossentropy({ fromLogits: true }),
    metrics: ["accuracy"],
  });
  await model.fit(train.x, train.y, {
    epochs: quick ? 2 : 5,
    batchSize: 64,
    seed: 1,
    verbose: 0,
  });
  const { accuracy } = await model.evaluate(test.x, test.y);
  const [first, last] = [norms[0]!, norms[depth]!];
  rows.push([
    label,
    first.toExponential(1),
    last.toExponential(1),
    (first / last).toExponential(1),
    `${(100 * accuracy!).toFixed(1)} %`,
  ]);
}

printTable(["network", "first layer", "last layer", "ratio", "test accuracy"], rows);
saveFigure(
  "06-vanishing-gradients",
  lw.plot.lineChart({
    title: `Norm of the gradient in each of ${depth + 1} layers, before training`,
    xLabel: "layer (1 is next to the input)",
    yLabel: "gradient norm",
    yScale: "log",
    series,
  }),
);
