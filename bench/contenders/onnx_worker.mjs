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
const initializer = (name, dims, path) =>
  message(
    5,
    ...dims.map((d) => int(1, d)),
    int(2, floatType),
    text(8, name),
    bytes(9, readFileSync(path)),
  );
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
// NodeProto: input, output, op_type
const node = (type, inputs, output) =>
  message(1, ...inputs.map((name) => text(1, name)), text(2, output), text(4, type));

function modelOf({ features, hidden, outputs, batch }, data) {
  const graph = message(
    7,
    node("Gemm", ["x", "w1", "b1"], "sums"),
    node("Relu", ["sums"], "hidden"),
    node("Gemm", ["hidden", "w2", "b2"], "logits"),
    node("Softmax", ["logits"], "y"),
    text(2, "mlp"),
    initializer("w1", [features, hidden], data.w1),
    initializer("b1", [hidden], data.b1),
    initializer("w2", [hidden, outputs], data.w2),
    initializer("b2", [outputs], data.b2),
    value(11, "x", [batch, features]),
    value(12, "y", [batch, outputs]),
  );
  const irVersion = 8;
  const opset = 13;
  return Buffer.concat([int(1, irVersion), graph, message(8, int(2, opset))]);
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
    if (spec.kind !== "inference") return { skip: "only predicts" };
    session = await ort.InferenceSession.create(modelOf(spec, data), {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: "all",
    });
    const { buffer, byteOffset } = readFileSync(data.x);
    const x = new Float32Array(buffer, byteOffset, spec.batch * spec.features);
    feeds = { x: new ort.Tensor("float32", x, [spec.batch, spec.features]) };
    return { versions: { "onnxruntime-node": require("onnxruntime-node/package.json").version } };
  },
  async measure({ seconds }) {
    perCall ??= Math.min(await timed(100), await timed(100));
    const count = Math.max(1, Math.round(seconds / 10 / perCall));
    const parts = [];
    for (let i = 0; i < 10; i++) parts.push(await timed(count));
    parts.sort((a, b) => a - b);
    perCall = (parts[4] + parts[5]) / 2;
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
