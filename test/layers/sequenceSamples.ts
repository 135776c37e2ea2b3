/** Contract samples of the layers of sequences: masks, embeddings, recurrent layers, wrappers, attention. */
import * as layers from "../../src/layers/layers.js";
import type { LayerSample } from "./samples.js";

const biasInitializer = "glorotUniform";

export const sequenceSamples: readonly LayerSample[] = [
  {
    title: "masking",
    make: () => layers.masking({ maskValue: 0.5 }),
    inputs: [[2, 4, 3]],
    output: [4, 3],
  },
  {
    title: "applyMask by lengths",
    make: () => layers.applyMask(),
    inputs: [[2, 4, 3], [2]],
    dtypes: ["float32", "int32"],
    limit: 5,
    output: [4, 3],
  },
  {
    title: "embedding",
    make: () => layers.embedding({ inputDim: 6, outputDim: 3, maskZero: true }),
    inputs: [[2, 4]],
    dtypes: ["int32"],
    limit: 6,
    output: [4, 3],
    weights: { embeddings: [6, 3] },
  },
  {
    title: "positionEmbedding",
    make: () => layers.positionEmbedding({ sequenceLength: 100 }),
    inputs: [[2, 4, 3]],
    output: [4, 3],
    weights: { positionEmbeddings: [100, 3] },
  },
  {
    title: "sinePositionEncoding",
    make: () => layers.sinePositionEncoding(),
    inputs: [[2, 4, 3]],
    output: [4, 3],
  },
  {
    title: "rotaryEmbedding",
    make: () => layers.rotaryEmbedding({ startIndex: 2 }),
    inputs: [[2, 4, 3, 6]],
    output: [4, 3, 6],
  },
  {
    title: "simpleRNN",
    anyInputs: true,
    make: () => layers.simpleRNN({ units: 4, biasInitializer }),
    inputs: [[2, 3, 5]],
    output: [4],
    weights: { kernel: [5, 4], recurrentKernel: [4, 4], bias: [4] },
  },
  {
    title: "simpleRNN with an activation of its own, backwards",
    anyInputs: true,
    make: () =>
      layers.simpleRNN({
        units: 4,
        activation: "softsign",
        goBackwards: true,
        returnSequences: true,
        useBias: false,
      }),
    inputs: [[2, 3, 5]],
    output: [3, 4],
    weights: { kernel: [5, 4], recurrentKernel: [4, 4] },
  },
  {
    title: "lstm",
    anyInputs: true,
    make: () => layers.lstm({ units: 3, biasInitializer }),
    inputs: [[2, 4, 5]],
    output: [3],
    weights: { kernel: [5, 12], recurrentKernel: [3, 12], bias: [12] },
  },
  {
    title: "lstm with initial states, all outputs",
    anyInputs: true,
    make: () => layers.lstm({ units: 3, returnSequences: true }),
    inputs: [
      [2, 4, 5],
      [2, 3],
      [2, 3],
    ],
    output: [4, 3],
    weights: { kernel: [5, 12], recurrentKernel: [3, 12], bias: [12] },
  },
  {
    title: "lstm with peepholes and dropout",
    anyInputs: true,
    make: () =>
      layers.lstm({ units: 3, peepholes: true, dropout: 0.3, recurrentDropout: 0.4, seed: 3 }),
    inputs: [[4, 3, 5]],
    output: [3],
    weights: { kernel: [5, 12], recurrentKernel: [3, 12], bias: [12], peepholes: [3, 3] },
    training: "random",
  },
  {
    title: "lstm with activations of its own and peepholes",
    anyInputs: true,
    make: () =>
      layers.lstm({
        units: 3,
        activation: "softsign",
        recurrentActivation: "softplus",
        peepholes: true,
        unitForgetBias: false,
      }),
    inputs: [[2, 3, 5]],
    output: [3],
    weights: { kernel: [5, 12], recurrentKernel: [3, 12], bias: [12], peepholes: [3, 3] },
  },
  {
    title: "gru",
    anyInputs: true,
    make: () => layers.gru({ units: 3, biasInitializer, returnSequences: true }),
    inputs: [[2, 4, 5]],
    output: [4, 3],
    weights: { kernel: [5, 9], recurrentKernel: [3, 9], bias: [2, 9] },
  },
  {
    title: "gru with the reset before the product",
    anyInputs: true,
    make: () => layers.gru({ units: 3, resetAfter: false, biasInitializer, dropout: 0.5 }),
    inputs: [[4, 4, 5]],
    output: [3],
    weights: { kernel: [5, 9], recurrentKernel: [3, 9], bias: [9] },
    training: "random",
  },
  {
    title: "gru with an activation of its own",
    anyInputs: true,
    make: () => layers.gru({ units: 3, activation: "softsign", biasInitializer }),
    inputs: [[2, 3, 5]],
    output: [3],
    weights: { kernel: [5, 9], recurrentKernel: [3, 9], bias: [2, 9] },
  },
  {
    title: "simpleRNNCell",
    make: () => layers.simpleRNNCell({ units: 4 }),
    inputs: [
      [2, 5],
      [2, 4],
    ],
    output: [4],
    weights: { kernel: [5, 4], recurrentKernel: [4, 4], bias: [4] },
  },
  {
    title: "lstmCell with dropout",
    make: () => layers.lstmCell({ units: 4, dropout: 0.4, recurrentDropout: 0.4 }),
    inputs: [
      [4, 5],
      [4, 4],
      [4, 4],
    ],
    output: [4],
    weights: { kernel: [5, 16], recurrentKernel: [4, 16], bias: [16] },
    training: "random",
  },
  {
    title: "layerNormLSTMCell",
    make: () => layers.layerNormLSTMCell({ units: 4, biasInitializer }),
    inputs: [
      [2, 5],
      [2, 4],
      [2, 4],
    ],
    output: [4],
    weights: {
      kernel: [5, 16],
      recurrentKernel: [4, 16],
      bias: [16],
      kernelGamma: [16],
      recurrentGamma: [16],
      stateGamma: [4],
      stateBeta: [4],
    },
  },
  {
    title: "gruCell",
    make: () => layers.gruCell({ units: 4 }),
    inputs: [
      [2, 5],
      [2, 4],
    ],
    output: [4],
    weights: { kernel: [5, 12], recurrentKernel: [4, 12], bias: [2, 12] },
  },
  {
    title: "stackedRNNCells",
    make: () =>
      layers.stackedRNNCells({
        cells: [
          layers.gruCell({ units: 4, name: "low" }),
          layers.lstmCell({ units: 3, name: "high" }),
        ],
      }),
    inputs: [
      [2, 5],
      [2, 4],
      [2, 3],
      [2, 3],
    ],
    output: [3],
    weights: {
      "low/kernel": [5, 12],
      "low/recurrentKernel": [4, 12],
      "low/bias": [2, 12],
      "high/kernel": [4, 12],
      "high/recurrentKernel": [3, 12],
      "high/bias": [12],
    },
  },
  {
    title: "rnn over a stack of cells",
    anyInputs: true,
    make: () =>
      layers.rnn({
        cell: layers.stackedRNNCells({
          cells: [
            layers.simpleRNNCell({ units: 4, name: "low" }),
            layers.simpleRNNCell({ units: 3, name: "high" }),
          ],
          name: "stacked",
        }),
        returnSequences: true,
      }),
    inputs: [[2, 3, 5]],
    output: [3, 3],
    weights: {
      "stacked/low/kernel": [5, 4],
      "stacked/low/recurrentKernel": [4, 4],
      "stacked/low/bias": [4],
      "stacked/high/kernel": [4, 3],
      "stacked/high/recurrentKernel": [3, 3],
      "stacked/high/bias": [3],
    },
  },
  {
    title: "bidirectional",
    anyInputs: true,
    make: () =>
      layers.bidirectional({
        layer: layers.lstm({ units: 3, name: "own", returnSequences: true }),
      }),
    inputs: [[2, 4, 5]],
    output: [4, 6],
    weights: {
      "forward_own/kernel": [5, 12],
      "forward_own/recurrentKernel": [3, 12],
      "forward_own/bias": [12],
      "backward_own/kernel": [5, 12],
      "backward_own/recurrentKernel": [3, 12],
      "backward_own/bias": [12],
    },
  },
  {
    title: "bidirectional over a cell, averaged, with a backward layer of its own",
    anyInputs: true,
    make: () =>
      layers.bidirectional({
        layer: layers.rnn({ cell: layers.gruCell({ units: 3, name: "cell" }), name: "own" }),
        backwardLayer: layers.simpleRNN({ units: 3, goBackwards: true, name: "other" }),
        mergeMode: "ave",
      }),
    inputs: [[2, 4, 5]],
    output: [3],
    weights: {
      "forward_own/cell/kernel": [5, 9],
      "forward_own/cell/recurrentKernel": [3, 9],
      "forward_own/cell/bias": [2, 9],
      "backward_other/kernel": [5, 3],
      "backward_other/recurrentKernel": [3, 3],
      "backward_other/bias": [3],
    },
  },
  {
    title: "timeDistributed",
    make: () =>
      layers.timeDistributed({ layer: layers.dense({ units: 2, name: "own", biasInitializer }) }),
    inputs: [[2, 4, 3]],
    output: [4, 2],
    weights: { "own/kernel": [3, 2], "own/bias": [2] },
  },
  {
    title: "multiHeadAttention to itself, causal and rotary",
    anyInputs: true,
    make: () =>
      layers.multiHeadAttention({
        numHeads: 2,
        keyDim: 4,
        causal: true,
        rotary: true,
        useBias: false,
      }),
    inputs: [[2, 4, 6]],
    output: [4, 6],
    weights: {
      queryKernel: [6, 8],
      keyKernel: [6, 8],
      valueKernel: [6, 8],
      outputKernel: [8, 6],
    },
  },
  {
    title: "multiHeadAttention with everything",
    anyInputs: true,
    make: () =>
      layers.multiHeadAttention({
        numHeads: 2,
        keyDim: 3,
        valueDim: 5,
        outputDim: 7,
        dropout: 0.3,
        biasInitializer,
      }),
    inputs: [
      [2, 4, 6],
      [2, 3, 5],
      [2, 3, 8],
    ],
    output: [4, 7],
    weights: {
      queryKernel: [6, 6],
      queryBias: [6],
      keyKernel: [8, 6],
      keyBias: [6],
      valueKernel: [5, 10],
      valueBias: [10],
      outputKernel: [10, 7],
      outputBias: [7],
    },
    training: "random",
  },
];
