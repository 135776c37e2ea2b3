/** Rows for layers.test.ts of layers over sequences, images and volumes. */
import * as layers from "../../src/layers/layers.js";
import type { LayerSample } from "./samples.js";

const sequence = [2, 6, 3];
const image = [2, 5, 6, 3];
const first = [2, 3, 5, 6];
const volume = [2, 4, 3, 5, 2];
const random = { training: "random" } as const;

const convolutions: readonly LayerSample[] = [
  {
    title: "conv1d",
    make: () => layers.conv1d({ filters: 4, kernelSize: 3, strides: 2, activation: "tanh" }),
    inputs: [sequence],
    output: [2, 4],
    weights: { kernel: [3, 3, 4], bias: [4] },
  },
  {
    title: "conv1d, causal and dilated",
    make: () => layers.conv1d({ filters: 2, kernelSize: 2, padding: "causal", dilationRate: 2 }),
    inputs: [sequence],
    output: [6, 2],
    weights: { kernel: [2, 3, 2], bias: [2] },
  },
  {
    title: "conv1d with pairs of padding",
    make: () => layers.conv1d({ filters: 2, kernelSize: 2, padding: [[2, 0]], useBias: false }),
    inputs: [sequence],
    output: [7, 2],
    weights: { kernel: [2, 3, 2] },
  },
  {
    title: "conv2d",
    make: () => layers.conv2d({ filters: 4, kernelSize: [3, 2], biasInitializer: "glorotUniform" }),
    inputs: [image],
    output: [3, 5, 4],
    weights: { kernel: [3, 2, 3, 4], bias: [4] },
  },
  {
    title: "conv2d in groups, with the channels first",
    make: () =>
      layers.conv2d({
        filters: 6,
        kernelSize: 3,
        strides: [2, 1],
        padding: "same",
        groups: 3,
        useBias: false,
        dataFormat: "channelsFirst",
      }),
    inputs: [first],
    output: [6, 3, 6],
    weights: { kernel: [3, 3, 1, 6] },
  },
  {
    title: "conv3d",
    make: () => layers.conv3d({ filters: 3, kernelSize: 2, padding: "same" }),
    inputs: [volume],
    output: [4, 3, 5, 3],
    weights: { kernel: [2, 2, 2, 2, 3], bias: [3] },
  },
  {
    title: "conv1dTranspose",
    make: () => layers.conv1dTranspose({ filters: 2, kernelSize: 3, strides: 2, padding: "same" }),
    inputs: [sequence],
    output: [12, 2],
    weights: { kernel: [3, 2, 3], bias: [2] },
  },
  {
    title: "conv2dTranspose",
    make: () => layers.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2, padding: "same" }),
    inputs: [image],
    output: [10, 12, 2],
    weights: { kernel: [3, 3, 2, 3], bias: [2] },
  },
  {
    title: "conv2dTranspose with output padding",
    make: () =>
      layers.conv2dTranspose({ filters: 2, kernelSize: 3, strides: 2, outputPadding: [1, 0] }),
    inputs: [image],
    output: [12, 13, 2],
    weights: { kernel: [3, 3, 2, 3], bias: [2] },
  },
  {
    title: "conv3dTranspose",
    make: () =>
      layers.conv3dTranspose({ filters: 2, kernelSize: [2, 3, 2], strides: 2, padding: "same" }),
    inputs: [volume],
    output: [8, 6, 10, 2],
    weights: { kernel: [2, 3, 2, 2, 2], bias: [2] },
  },
  {
    title: "connectedConv2d",
    make: () =>
      layers.connectedConv2d({
        connections: [[0, 2], [1], [0, 1, 2]],
        kernelSize: [3, 2],
        strides: 2,
        padding: "same",
      }),
    inputs: [image],
    output: [3, 3, 3],
    weights: { kernel: [3, 2, 6], bias: [3] },
  },
  {
    title: "depthwiseConv1d",
    make: () => layers.depthwiseConv1d({ kernelSize: 3, depthMultiplier: 2, padding: "same" }),
    inputs: [sequence],
    output: [6, 6],
    weights: { depthwiseKernel: [3, 3, 2], bias: [6] },
  },
  {
    title: "depthwiseConv2d",
    make: () => layers.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: 1 }),
    inputs: [image],
    output: [3, 3, 3],
    weights: { depthwiseKernel: [3, 3, 3, 1], bias: [3] },
  },
  {
    title: "separableConv1d, causal",
    make: () => layers.separableConv1d({ filters: 4, kernelSize: 2, padding: "causal" }),
    inputs: [sequence],
    output: [6, 4],
    weights: { depthwiseKernel: [2, 3, 1], pointwiseKernel: [1, 3, 4], bias: [4] },
  },
  {
    title: "separableConv2d",
    make: () => layers.separableConv2d({ filters: 4, kernelSize: 2, depthMultiplier: 2 }),
    inputs: [image],
    output: [4, 5, 4],
    weights: { depthwiseKernel: [2, 2, 3, 2], pointwiseKernel: [1, 1, 6, 4], bias: [4] },
  },
];

const pooling: readonly LayerSample[] = [
  {
    title: "maxPooling1d",
    make: () => layers.maxPooling1d(),
    inputs: [sequence],
    output: [3, 3],
  },
  {
    title: "maxPooling2d",
    make: () => layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }),
    inputs: [image],
    output: [3, 3, 3],
    unchecked: "a kink",
  },
  {
    title: "maxPooling2d with the channels first",
    make: () => layers.maxPooling2d({ poolSize: [2, 3], dataFormat: "channelsFirst" }),
    inputs: [first],
    output: [3, 2, 2],
  },
  {
    title: "maxPooling3d",
    make: () => layers.maxPooling3d({ padding: 1 }),
    inputs: [volume],
    output: [3, 2, 3, 2],
    unchecked: "a kink",
  },
  {
    title: "averagePooling1d",
    make: () => layers.averagePooling1d({ poolSize: 4, strides: 1, padding: "same" }),
    inputs: [sequence],
    output: [6, 3],
  },
  {
    title: "averagePooling2d",
    make: () =>
      layers.averagePooling2d({
        padding: [
          [1, 0],
          [0, 1],
        ],
      }),
    inputs: [image],
    output: [3, 3, 3],
  },
  {
    title: "averagePooling3d with the channels first",
    make: () => layers.averagePooling3d({ dataFormat: "channelsFirst", strides: 1 }),
    inputs: [[2, 2, 4, 3, 5]],
    output: [2, 3, 2, 4],
  },
  {
    title: "globalMaxPooling1d",
    make: () => layers.globalMaxPooling1d(),
    inputs: [sequence],
    output: [3],
  },
  {
    title: "globalMaxPooling2d that keeps its axes",
    make: () => layers.globalMaxPooling2d({ keepDims: true }),
    inputs: [image],
    output: [1, 1, 3],
  },
  {
    title: "globalMaxPooling3d",
    make: () => layers.globalMaxPooling3d(),
    inputs: [volume],
    output: [2],
    unchecked: "a kink",
  },
  {
    title: "globalAveragePooling1d with the channels first",
    make: () => layers.globalAveragePooling1d({ dataFormat: "channelsFirst" }),
    inputs: [sequence],
    output: [6],
  },
  {
    title: "globalAveragePooling2d",
    make: () => layers.globalAveragePooling2d(),
    inputs: [image],
    output: [3],
  },
  {
    title: "globalAveragePooling3d",
    make: () => layers.globalAveragePooling3d(),
    inputs: [volume],
    output: [2],
  },
];

const reshaping: readonly LayerSample[] = [
  {
    title: "zeroPadding1d",
    make: () => layers.zeroPadding1d({ padding: [1, 2] }),
    inputs: [sequence],
    output: [9, 3],
  },
  {
    title: "zeroPadding2d",
    make: () => layers.zeroPadding2d(),
    inputs: [image],
    output: [7, 8, 3],
  },
  {
    title: "zeroPadding2d with the channels first",
    make: () =>
      layers.zeroPadding2d({
        padding: [
          [1, 0],
          [2, 3],
        ],
        dataFormat: "channelsFirst",
      }),
    inputs: [first],
    output: [3, 6, 11],
  },
  {
    title: "zeroPadding3d",
    make: () => layers.zeroPadding3d({ padding: [1, 0, 2] }),
    inputs: [volume],
    output: [6, 3, 9, 2],
  },
  { title: "cropping1d", make: () => layers.cropping1d(), inputs: [sequence], output: [4, 3] },
  {
    title: "cropping2d",
    make: () =>
      layers.cropping2d({
        cropping: [
          [1, 2],
          [0, 1],
        ],
      }),
    inputs: [image],
    output: [2, 5, 3],
  },
  { title: "cropping3d", make: () => layers.cropping3d(), inputs: [volume], output: [2, 1, 3, 2] },
  { title: "upSampling1d", make: () => layers.upSampling1d(), inputs: [sequence], output: [12, 3] },
  {
    title: "upSampling2d",
    make: () => layers.upSampling2d({ size: [2, 3] }),
    inputs: [image],
    output: [10, 18, 3],
  },
  {
    title: "upSampling2d, bilinear, with the channels first",
    make: () => layers.upSampling2d({ interpolation: "bilinear", dataFormat: "channelsFirst" }),
    inputs: [first],
    output: [3, 10, 12],
  },
  {
    title: "upSampling3d",
    make: () => layers.upSampling3d({ size: [1, 2, 3] }),
    inputs: [volume],
    output: [4, 6, 15, 2],
  },
  {
    title: "localResponseNormalization",
    make: () => layers.localResponseNormalization({ depthRadius: 1, beta: 0.75 }),
    inputs: [image],
    output: [5, 6, 3],
  },
];

const preprocessing: readonly LayerSample[] = [
  {
    title: "normalization",
    make: () => layers.normalization({ mean: [1, 2, 3], variance: [4, 1, 0.25] }),
    inputs: [image],
    output: [5, 6, 3],
    weights: { mean: [3], variance: [3] },
    trainable: 0,
  },
  {
    title: "normalization of everything, undone",
    make: () => layers.normalization({ axis: [], mean: 2, variance: 4, invert: true }),
    inputs: [image],
    output: [5, 6, 3],
    weights: { mean: [], variance: [] },
    trainable: 0,
  },
  {
    title: "resizing",
    make: () => layers.resizing({ height: 7, width: 4 }),
    inputs: [image],
    output: [7, 4, 3],
  },
  {
    title: "resizing to the nearest pixels, with proportions kept",
    make: () =>
      layers.resizing({ height: 4, width: 8, interpolation: "nearest", cropToAspectRatio: true }),
    inputs: [image],
    output: [4, 8, 3],
  },
  {
    title: "centerCrop",
    make: () => layers.centerCrop({ height: 3, width: 4 }),
    inputs: [image],
    output: [3, 4, 3],
  },
  {
    title: "centerCrop of a smaller image",
    make: () => layers.centerCrop({ height: 8, width: 4 }),
    inputs: [image],
    output: [8, 4, 3],
  },
  {
    title: "randomFlip",
    make: () => layers.randomFlip(),
    inputs: [image],
    output: [5, 6, 3],
    ...random,
  },
  {
    title: "randomTranslation",
    make: () => layers.randomTranslation({ heightFactor: 0.3, widthFactor: [-0.2, 0.1] }),
    inputs: [image],
    output: [5, 6, 3],
    ...random,
  },
  {
    title: "randomRotation with the channels first",
    make: () => layers.randomRotation({ factor: 0.1, dataFormat: "channelsFirst", seed: 3 }),
    inputs: [first],
    output: [3, 5, 6],
    ...random,
  },
  {
    title: "randomZoom",
    make: () => layers.randomZoom({ heightFactor: 0.3, fillMode: "constant", fillValue: 1 }),
    inputs: [image],
    output: [5, 6, 3],
    ...random,
  },
  {
    title: "randomCrop",
    make: () => layers.randomCrop({ height: 3, width: 4 }),
    inputs: [image],
    output: [3, 4, 3],
    ...random,
  },
  {
    title: "randomContrast",
    make: () => layers.randomContrast({ factor: 0.5, valueRange: [-3, 3] }),
    inputs: [image],
    output: [5, 6, 3],
    ...random,
  },
  {
    title: "randomBrightness",
    make: () => layers.randomBrightness({ factor: 0.2, valueRange: [-3, 3] }),
    inputs: [image],
    output: [5, 6, 3],
    ...random,
  },
];

export const imageSamples: readonly LayerSample[] = [
  ...convolutions,
  ...pooling,
  ...reshaping,
  ...preprocessing,
];
