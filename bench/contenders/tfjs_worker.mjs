/**
 * TensorFlow.js with its `cpu` backend as a contender, on the protocol of lib/spec.ts. Plain JavaScript:
 * the package is installed in bench/peers only, so its types are not there for the checker.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../peers/package.json", import.meta.url));
const answer = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

let tf;
try {
  tf = require("@tensorflow/tfjs");
} catch (error) {
  const first = String(error.message).split("\n")[0];
  answer({ skip: `TensorFlow.js is not installed (${first}); run \`npm run bench:peers\`` });
  process.exit(0);
}
await tf.setBackend("cpu");

function build(network) {
  const { features, hidden, outputs, activation, batchNorm, dropout, learningRate } = network;
  const model = tf.sequential();
  let inputShape = [features];
  const add = (maker, options) => {
    model.add(maker({ ...options, ...(inputShape && { inputShape }) }));
    inputShape = undefined;
  };
  for (const units of hidden) {
    add(tf.layers.dense, { units });
    if (batchNorm) add(tf.layers.batchNormalization, {});
    add(tf.layers.activation, { activation });
    if (dropout > 0) add(tf.layers.dropout, { rate: dropout });
  }
  add(tf.layers.dense, { units: outputs, activation: outputs > 1 ? "softmax" : "sigmoid" });
  model.compile({
    optimizer: tf.train.adam(learningRate),
    loss: outputs > 1 ? "sparseCategoricalCrossentropy" : "binaryCrossentropy",
  });
  return model;
}

function read(path, TypedArray) {
  const bytes = readFileSync(path);
  return new TypedArray(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function timed(call, count) {
  const begin = performance.now();
  for (let i = 0; i < count; i++) call();
  return (performance.now() - begin) / 1000 / count;
}

/** A network with given weights; a call ends when the probabilities are an array. */
function inference({ features, hidden, outputs, batch }, data) {
  const network = build({ features, hidden: [hidden], outputs, activation: "relu", dropout: 0 });
  const tensor = (name, shape) => tf.tensor(read(data[name], Float32Array), shape);
  network.setWeights([
    tensor("w1", [features, hidden]),
    tensor("b1", [hidden]),
    tensor("w2", [hidden, outputs]),
    tensor("b2", [outputs]),
  ]);
  const input = tensor("x", [batch, features]);
  const predict = () => tf.tidy(() => network.predict(input).dataSync());
  let perCall;
  return {
    measure({ seconds }) {
      perCall ??= Math.min(timed(predict, 20), timed(predict, 20));
      const count = Math.max(1, Math.round(seconds / 10 / perCall));
      const parts = Array.from({ length: 10 }, () => timed(predict, count)).sort((a, b) => a - b);
      perCall = (parts[4] + parts[5]) / 2;
      return { perUnit: perCall };
    },
    check: () => ({ outputs: [...predict()] }),
  };
}

let spec;
let model;
let x;
let y;
let perEpoch;
let lastLoss = Number.NaN;

const versions = { "TensorFlow.js": tf.version.tfjs };

const training = {
  setup({ spec: given, data }) {
    spec = given;
    model = build(spec);
    x = tf.tensor2d(read(data.x, Float32Array), [spec.samples, spec.features]);
    y = tf.tensor2d(Float32Array.from(read(data.y, Int32Array)), [spec.samples, 1]);
    return { versions };
  },
  async measure({ seconds }) {
    const epochs = perEpoch ? Math.max(1, Math.round(seconds / perEpoch)) : 1;
    const begin = performance.now();
    const history = await model.fit(x, y, {
      epochs,
      batchSize: spec.batchSize,
      verbose: 0,
      yieldEvery: "never",
    });
    perEpoch = (performance.now() - begin) / 1000 / epochs;
    lastLoss = history.history.loss.at(-1);
    return { perUnit: perEpoch / Math.max(1, Math.floor(spec.samples / spec.batchSize)) };
  },
  check: () => ({ check: { loss: lastLoss } }),
};

let operations = training;

function run(request) {
  if (request.op === "setup") {
    const { kind } = request.spec;
    if (kind === "inference") {
      operations = inference(request.spec, request.data);
      return { versions };
    }
    if (kind !== "train") return { skip: "only trains and predicts" };
  }
  return operations[request.op](request);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    answer(await run(request));
  } catch (error) {
    answer({ error: String(error?.message ?? error) });
  }
}
