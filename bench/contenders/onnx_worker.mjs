/**
 * onnxruntime-node as a contender for inference, on the protocol of lib/spec.ts. The ONNX file of the
 * network is written here, from the weights that all contenders read. Plain JavaScript, as the package
 * is installed in bench/peers only.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../peers/package.json", import.meta.url));
const answer = (reply) => process.stdout.write(`${JSON.stringify(reply)}\n`);

let ort;
try {
  ort = require("onnxruntime-node");
} catch (error) {
  const first = String(error.message).split("\n")[0];
  answer({ skip: `onnxruntime-node is not installed (${first}); run \`npm run bench:peers\`` });
  process.exit(0);
}

// Protocol buffers, as much of them as a model needs: numbers and length-delimited fields. Field
// numbers are those of onnx.proto.
function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}
const int = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, data) =>
  Buffer.concat([varint(field * 8 + 2), varint(data.length), Buffer.from(data)]);
const text = (field, value) => bytes(field, Buffer.from(value));
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));

const floatType = 1;
// TensorProto: dims, data_type, name, raw_data
const initializer = (name, dims, data) =>
  message(5, ...dims.map((d) => int(1, d)), int(2, floatType), text(8, name), bytes(9, data));
// ValueInfoProto: name; type.tensor_type: elem_type, shape.dim.dim_value
const value = (field, name, dims) =>
  message(
    field,
    text(1, name),
    message(
      2,
      message(1, int(1, floatType), message(2, ...dims.map((d) => message(1, int(1, d))))),
    ),
  );
// NodeProto: input, output, op_type, attribute (AttributeProto: name, i, ints, type)
const [intType, intsType] = [2, 7];
const attribute = ([name, value]) =>
  Array.isArray(value)
    ? message(5, text(1, name), ...value.map((v) => int(8, v)), int(20, intsType))
    : message(5, text(1, name), int(3, value), int(20, intType));
const node = (type, inputs, output, attributes = {}) =>
  message(
    1,
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, type),
    ...Object.entries(attributes).map(attribute),
  );
function model(...graph) {
  const irVersion = 8;
  const opset = 13;
  return Buffer.concat([int(1, irVersion), message(7, ...graph), message(8, int(2, opset))]);
}

function perceptron({ features, hidden, outputs, batch }, data) {
  const tensor = (name, dims) => initializer(name, dims, readFileSync(data[name]));
  return model(
    node("Gemm", ["x", "w1", "b1"], "sums"),
    node("Relu", ["sums"], "hidden"),
    node("Gemm", ["hidden", "w2", "b2"], "logits"),
    node("Softmax", ["logits"], "y"),
    text(2, "mlp"),
    tensor("w1", [features, hidden]),
    tensor("b1", [hidden]),
    tensor("w2", [hidden, outputs]),
    tensor("b2", [outputs]),
    value(11, "x", [batch, features]),
    value(12, "y", [batch, outputs]),
  );
}

/** ResNet-50 on images [batch, channels, side, side], from weights in the order of our layers. */
function resnet50({ batchSize, side, channels, classes }, weights) {
  const nodes = [];
  let at = 0;
  const add = (type, inputs, attributes) => {
    const output = `${type}${nodes.length}`;
    nodes.push(node(type, inputs, output, attributes));
    return output;
  };
  const constant = (dims, values) => {
    const name = `w${nodes.length}`;
    nodes.push(
      initializer(name, dims, Buffer.from(values.buffer, values.byteOffset, values.byteLength)),
    );
    return name;
  };
  const take = (size) => {
    at += size;
    return weights.subarray(at - size, at);
  };
  const convolution = (x, inputs, filters, taps, stride = 1) => {
    const own = take(taps * taps * inputs * filters);
    const size = taps * taps;
    // [taps, inputs, filters] to [filters, inputs, taps]
    const turned = new Float32Array(own.length);
    for (let t = 0; t < size; t++)
      for (let c = 0; c < inputs; c++)
        for (let f = 0; f < filters; f++)
          turned[(f * inputs + c) * size + t] = own[(t * inputs + c) * filters + f];
    const pad = (taps - 1) / 2;
    const sums = add("Conv", [x, constant([filters, inputs, taps, taps], turned)], {
      kernel_shape: [taps, taps],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
    const norm = [0, 1, 2, 3].map(() => constant([filters], take(filters)));
    return add("BatchNormalization", [sums, ...norm]); // epsilon 1e-5, as ours
  };
  const relu = (x) => add("Relu", [x]);
  let y = relu(convolution("x", channels, 64, 7, 2));
  y = add("MaxPool", [y], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  let width = 64;
  [3, 4, 6, 3].forEach((count, stage) => {
    const filters = 64 * 2 ** stage;
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1;
      let body = relu(convolution(y, width, filters, 1));
      body = relu(convolution(body, filters, filters, 3, stride));
      body = convolution(body, filters, 4 * filters, 1);
      const path = i === 0 ? convolution(y, width, 4 * filters, 1, stride) : y;
      y = relu(add("Add", [body, path]));
      width = 4 * filters;
    }
  });
  y = add("Flatten", [add("GlobalAveragePool", [y])]);
  const dense = [constant([width, classes], take(width * classes))];
  dense.push(constant([classes], take(classes)));
  nodes.push(node("Softmax", [add("Gemm", [y, ...dense])], "y"));
  return model(
    ...nodes,
    text(2, "resnet50"),
    value(11, "x", [batchSize, channels, side, side]),
    value(12, "y", [batchSize, classes]),
  );
}

const floats = (path) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
};

/** The ONNX file and the input of a spec; undefined if it isn't one of prediction. */
function problemOf(spec, data) {
  if (spec.kind === "inference") {
    const { batch, features } = spec;
    return { file: perceptron(spec, data), x: floats(data.x), shape: [batch, features] };
  }
  if (spec.kind !== "network" || spec.task !== "predict") return undefined;
  const { batchSize, side, channels } = spec;
  const images = floats(data.x);
  const pixels = side * side;
  const x = images.map((_, i) => {
    const image = Math.floor(i / (pixels * channels));
    const channel = Math.floor(i / pixels) % channels;
    return images[(image * pixels + (i % pixels)) * channels + channel];
  });
  return {
    file: resnet50(spec, floats(data.weights)),
    x,
    shape: [batchSize, channels, side, side],
  };
}

let session;
let feeds;
let perCall;

async function timed(count) {
  const begin = performance.now();
  for (let i = 0; i < count; i++) await session.run(feeds);
  return (performance.now() - begin) / 1000 / count;
}

const operations = {
  async setup({ spec, threads, data }) {
    const problem = problemOf(spec, data);
    if (!problem) return { skip: "only predicts" };
    session = await ort.InferenceSession.create(problem.file, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
    });
    feeds = { x: new ort.Tensor("float32", problem.x, problem.shape) };
    return { versions: { "onnxruntime-node": require("onnxruntime-node/package.json").version } };
  },
  async measure({ seconds }) {
    perCall ??= await timed(1);
    if (perCall < 1e-3) perCall = Math.min(await timed(100), await timed(100)); // too short to be one part
    // Ten parts, or fewer of long calls.
    const count = Math.max(1, Math.round(seconds / 10 / perCall));
    const parts = [];
    for (let i = 0; i < Math.min(10, Math.max(3, seconds / perCall)); i++)
      parts.push(await timed(count));
    parts.sort((a, b) => a - b);
    perCall = parts[parts.length >> 1];
    return { perUnit: perCall };
  },
  async check() {
    const { y } = await session.run(feeds);
    return { outputs: [...y.data] };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    answer(await operations[request.op](request));
  } catch (error) {
    answer({ error: String(error?.message ?? error) });
  }
}
