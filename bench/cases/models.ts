/** Whole training steps inside `fit`, at the batch sizes that people use, and single predictions. */
import type { Case, InferenceSpec, RbmSpec, TrainSpec } from "../lib/spec.js";

/** The MNIST classifier with everything on: two hidden layers, batch norm, dropout, Adam. */
export const mnistMlp: TrainSpec = {
  kind: "train",
  data: "teacher",
  samples: 6400,
  features: 784,
  hidden: [512, 512],
  outputs: 10,
  activation: "relu",
  batchNorm: true,
  dropout: 0.2,
  batchSize: 128,
  learningRate: 1e-3,
};

const xor: TrainSpec = {
  kind: "train",
  data: "xor",
  samples: 4,
  features: 2,
  hidden: [8],
  outputs: 1,
  activation: "tanh",
  batchNorm: false,
  dropout: 0,
  batchSize: 4,
  learningRate: 1e-2,
};

/** Multiply-adds of the forward pass and both gradients, but for the first layer's input. */
function trainFlops({ features, hidden, outputs, batchSize }: TrainSpec): number {
  const sizes = [features, ...hidden, outputs];
  let flops = 0;
  for (let i = 1; i < sizes.length; i++) {
    flops += 2 * batchSize * sizes[i - 1]! * sizes[i]! * (i === 1 ? 2 : 3);
  }
  return flops;
}

function step(name: string, spec: TrainSpec): Case {
  return {
    group: "steps",
    name,
    spec,
    ours: "native",
    peers: ["PyTorch", "PyTorch, fused Adam", "PyTorch, compiled"],
    unit: "step",
    flops: trainFlops(spec),
  };
}

/** The same step fed by a dataset: what it costs to have batches made of elements one by one. */
function streamed(source: "rows" | "elements"): Case {
  return {
    group: "steps",
    name: `model mlp 784-512-512-10 batch 128, dataset of ${source}`,
    spec: { ...mnistMlp, source },
    ours: "native",
    peers: [],
    unit: "step",
    flops: trainFlops(mnistMlp),
  };
}

function inference(batch: number): Case {
  const spec: InferenceSpec = {
    kind: "inference",
    features: 784,
    hidden: 128,
    outputs: 10,
    batch,
  };
  return {
    group: "inference",
    name: `inference mlp 784-128-10 batch ${batch}`,
    spec,
    ours: "native",
    peers: ["onnxruntime-node", "PyTorch", "PyTorch, compiled", "TensorFlow.js cpu"],
    unit: "call",
    flops: 2 * batch * (784 * 128 + 128 * 10),
  };
}

/** A tenth of an epoch of MNIST: what is timed is a step, whatever the number of them. */
const digitsRbm: RbmSpec = {
  kind: "rbm",
  samples: 6000,
  visible: 784,
  hidden: 500,
  batchSize: 100,
  learningRate: 0.05,
  momentum: 0.5,
  checkEpochs: 10,
  flips: 20,
};

export const cases: readonly Case[] = [
  step("model mlp 784-512-512-10 batch 128", mnistMlp),
  streamed("rows"),
  streamed("elements"),
  // Seven in eight pixels of a digit are black.
  step("model mlp 784-512-512-10 batch 128, digits", { ...mnistMlp, data: "digits" }),
  step("model mlp 784-512-512-10 batch 32, digits", {
    ...mnistMlp,
    data: "digits",
    batchSize: 32,
    samples: 3200,
  }),
  step("model mlp 784-512-512-10 batch 32", { ...mnistMlp, batchSize: 32, samples: 3200 }),
  step("model xor 2-8-1 batch 4, epochs of 1 step", xor),
  step("model xor 2-8-1 batch 4, epochs of 1000 steps", { ...xor, samples: 4000 }),
  step("model logistic 784-10 batch 256", {
    ...mnistMlp,
    hidden: [],
    batchNorm: false,
    dropout: 0,
    batchSize: 256,
  }),
  {
    group: "typescript",
    name: "model mlp 784-512-512-10 batch 128, TypeScript backend",
    // Few steps: a step takes a second where JavaScript multiplies the matrices.
    spec: { ...mnistMlp, samples: 256 },
    ours: "typescript",
    peers: ["TensorFlow.js cpu"],
    unit: "step",
    threads: [1],
    flops: trainFlops(mnistMlp),
  },
  {
    group: "steps",
    name: "model rbm 784-500 CD-1 batch 100",
    spec: digitsRbm,
    ours: "native",
    peers: ["PyTorch", "PyTorch, compiled", "scikit-learn"],
    unit: "step",
    // Three products over the states, two over the statistics.
    flops: 2 * 5 * 100 * 784 * 500,
  },
  inference(1),
  inference(32),
];
