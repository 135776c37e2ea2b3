/** Predictions by `predictSync`, on weights that all contenders read. */
import * as lw from "layerwise";
import type { DataPaths, InferenceSpec } from "../../lib/spec.js";
import { readFloats } from "./files.js";
import { timeCalls } from "./timing.js";
import type { Measured } from "./worker.js";

/** One call takes a tensor that is there and ends when the probabilities are. */
export async function inferenceContender(
  { features, hidden, outputs, batch }: InferenceSpec,
  files: DataPaths,
): Promise<Measured> {
  const model = lw.sequential([
    lw.layers.dense({ units: hidden, activation: "relu", inputShape: [features] }),
    lw.layers.dense({ units: outputs, activation: "softmax" }),
  ]);
  const load = async (name: string, shape: number[]): Promise<lw.Tensor> =>
    lw.tensor(await readFloats(files[name]!), shape);
  model.setWeights([
    await load("w1", [features, hidden]),
    await load("b1", [hidden]),
    await load("w2", [hidden, outputs]),
    await load("b2", [outputs]),
  ]);
  const x = await load("x", [batch, features]);
  const predict = (): Float32Array => model.predictSync(x).dataSync() as Float32Array;
  const timer = timeCalls(predict);
  return {
    measure: async (seconds) => ({ perUnit: timer(seconds) }),
    check: async () => ({ outputs: [...predict()] }),
  };
}
