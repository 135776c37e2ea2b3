/** The networks of the soak runs: between them they run every family of kernels. */
import * as lw from "../../dist/index.js";

const { dense, dropout, reshape } = lw.layers;
const kinds = [
  ({ units, features }) => [
    dense({ units, activation: "relu", inputShape: [features] }),
    lw.layers.batchNormalization(),
  ],
  // Images of eight columns, with channels enough for Winograd's algorithm.
  ({ units, features }) => [
    reshape({ targetShape: [features / 8, 8, 1], inputShape: [features] }),
    lw.layers.conv2d({ filters: 32, kernelSize: 3, padding: "same", activation: "relu" }),
    lw.layers.conv2d({ filters: 32, kernelSize: 3, padding: "same", activation: "relu" }),
    lw.layers.maxPooling2d({ poolSize: 2 }),
    lw.layers.flatten(),
    dense({ units }),
  ],
  // Sequences of eight features; steps of zeros are padding.
  ({ units, features }) => [
    reshape({ targetShape: [features / 8, 8], inputShape: [features] }),
    lw.layers.masking({ maskValue: 0 }),
    lw.layers.bidirectional({ layer: lw.layers.gru({ units: 8, returnSequences: true }) }),
    lw.layers.lstm({ units }),
  ],
];

/** The `at`-th network, compiled. */
export function network(at, { units, features }) {
  const model = lw.sequential([
    ...kinds[at % kinds.length]({ units, features }),
    dropout({ rate: 0.2 }),
    dense({ units: 10, activation: "softmax" }),
  ]);
  model.compile({
    optimizer: "adam",
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  return model;
}

/** Rows of features, the later rows with more of them 0 at the end, and their labels. */
export function samples(size, features, seed) {
  const x = Float32Array.from({ length: size * features }, (_, i) => {
    const there = features - 8 * (Math.floor(i / features) % (features / 8));
    return i % features < there ? Math.sin(i * (seed + 1)) : 0;
  });
  const y = Int32Array.from({ length: size }, (_, i) => i % 10);
  return { x: lw.tensor(x, [size, features]), y: lw.tensor(y, [size]) };
}
