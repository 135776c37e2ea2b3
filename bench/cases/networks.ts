/** Published convolutional networks: training steps inside `fit`, and ResNet-50's prediction of one image. */
import type { Case, NetworkSpec } from "../lib/spec.js";

/** The spec but for its kind, and millions of multiply-adds of one image forward (docs of each model). */
type Row = Omit<NetworkSpec, "kind" | "task"> & {
  readonly name: string;
  readonly millions: number;
};

const cifar = { side: 32, channels: 3, classes: 10, optimizer: "sgd", learningRate: 0.01 } as const;

function network(task: NetworkSpec["task"], { name, millions, ...rest }: Row): Case {
  const train = task === "train";
  return {
    group: "networks",
    name: `${train ? "model" : "inference"} ${name} batch ${rest.batchSize}`,
    spec: { kind: "network", task, ...rest },
    ours: "native",
    peers: [
      "PyTorch",
      "PyTorch, channels last",
      "PyTorch, compiled",
      ...(train ? [] : ["onnxruntime-node"]),
    ],
    unit: train ? "step" : "call",
    // Forward and both gradients (the first layer's input wants none, which is little here).
    flops: 2e6 * millions * rest.batchSize * (train ? 3 : 1),
  };
}

export const cases: readonly Case[] = [
  network("train", {
    name: "lenet5 28x28x1",
    millions: 0.416,
    network: "lenet5",
    side: 28,
    channels: 1,
    classes: 10,
    batchSize: 64,
    samples: 1280,
    optimizer: "adam",
    learningRate: 1e-3,
  }),
  network("train", {
    name: "vgg11 with norms 32x32x3",
    millions: 152.9,
    network: "vgg11",
    ...cifar,
    batchSize: 32,
    samples: 64,
  }),
  network("train", {
    name: "resnet20 32x32x3",
    millions: 40.55,
    network: "resnet20",
    ...cifar,
    batchSize: 64,
    samples: 192,
  }),
  network("predict", {
    name: "resnet50 224x224x3",
    millions: 4089,
    network: "resnet50",
    ...cifar,
    side: 224,
    classes: 1000,
    batchSize: 1,
    samples: 1,
  }),
];
