/** Networks around recurrent layers: training steps inside `fit`, and single steps of one sequence. */
import type { Case, SequenceSpec } from "../lib/spec.js";

const gatesOf = (cell: SequenceSpec["cell"]): number => (cell === "lstm" ? 4 : 3);

/** Multiply-adds of all layers, three times as many with the gradients. */
function flopsOf(spec: SequenceSpec): number {
  const { task, cell, inputs, units, layers, vocabulary, classes, batchSize, time } = spec;
  const rows = 2 * batchSize * time;
  let forward = 0;
  let backward = 0;
  for (let i = 0; i < layers; i++) {
    const width = gatesOf(cell) * units;
    const reads = i === 0 ? inputs : units;
    forward += rows * width * (reads + units);
    // Inputs that are data want no gradient.
    backward += rows * width * (2 * units + (i === 0 && vocabulary === 0 ? 1 : 2) * reads);
  }
  const dense = vocabulary > 0 ? rows * units * vocabulary : 2 * batchSize * units * classes;
  return forward + dense + (task === "train" ? backward + 2 * dense : 0);
}

function training(name: string, spec: Omit<SequenceSpec, "kind" | "task" | "learningRate">): Case {
  const whole: SequenceSpec = { kind: "sequence", task: "train", learningRate: 1e-3, ...spec };
  return {
    group: "sequences",
    name: `model ${name} batch ${spec.batchSize}`,
    spec: whole,
    ours: "native",
    peers: ["PyTorch", "PyTorch, fused Adam", "PyTorch, compiled"],
    unit: "step",
    flops: flopsOf(whole),
  };
}

const characters = { inputs: 64, units: 256, layers: 1, vocabulary: 65, classes: 0 } as const;
const characterRows = { batchSize: 32, time: 64, samples: 320 } as const;
const digitRows = { inputs: 28, units: 128, layers: 1, vocabulary: 0, classes: 10 } as const;

function step(cell: SequenceSpec["cell"]): Case {
  const spec: SequenceSpec = {
    ...{ kind: "sequence", task: "step", cell, inputs: 512, units: 512, layers: 1 },
    ...{ vocabulary: 0, classes: 0, batchSize: 1, time: 1, samples: 1, learningRate: 0 },
  };
  return {
    group: "sequences",
    name: `inference ${cell} step 512`,
    spec,
    ours: "native",
    peers: ["PyTorch", "PyTorch, compiled"],
    unit: "call",
    flops: flopsOf(spec),
    // One row reads the weights and does little with them; they fit into the last cache.
    traffic: { read: 4 * 1024 * gatesOf(cell) * 512 },
  };
}

export const cases: readonly Case[] = [
  ...(["lstm", "gru"] as const).map((cell) =>
    training(`char-${cell} 65-64-256 of 64 steps`, { cell, ...characters, ...characterRows }),
  ),
  ...(["lstm", "gru"] as const).map((cell) =>
    training(`row-mnist ${cell} 128 of 28 steps`, {
      ...{ cell, ...digitRows, batchSize: 64, time: 28, samples: 1280 },
    }),
  ),
  training("word-lstm-650 of two layers, 10000 words, 35 steps", {
    ...{ cell: "lstm", inputs: 650, units: 650, layers: 2, vocabulary: 10_000, classes: 0 },
    ...{ batchSize: 20, time: 35, samples: 40 },
  }),
  step("lstm"),
  step("gru"),
];
