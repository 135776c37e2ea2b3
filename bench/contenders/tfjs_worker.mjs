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

function build({ features, hidden, outputs, activation, batchNorm, dropout, learningRate }) {
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

let spec;
let model;
let x;
let y;
let perEpoch;
let lastLoss = Number.NaN;

const operations = {
  setup({ spec: given, data }) {
    if (given.kind !== "train") return { skip: "only trains" };
    spec = given;
    model = build(spec);
    x = tf.tensor2d(read(data.x, Float32Array), [spec.samples, spec.features]);
    y = tf.tensor2d(Float32Array.from(read(data.y, Int32Array)), [spec.samples, 1]);
    return { versions: { "TensorFlow.js": tf.version.tfjs } };
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

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    answer(await operations[request.op](request));
  } catch (error) {
    answer({ error: String(error?.message ?? error) });
  }
}
