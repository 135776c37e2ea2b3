/** Models whose layers compute something over steps: training does not see what stands in the padding. */
import { afterEach, expect, test, vi } from "vitest";
import "../../src/ops/methods.js";
import * as layers from "../../src/layers/layers.js";
import { type Model, model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

afterEach(() => {
  vi.restoreAllMocks();
});

const [batch, time, features] = [5, 6, 4];
const lengths = [6, 1, 4, 0, 3];
const mask = lengths.flatMap((n) => Array.from({ length: time }, (_, t) => t < n));

/** Sequences with `padding` beyond their lengths. */
function padded(padding: (i: number) => number): Tensor {
  const values = uniform(1, batch * time * features, -1, 1);
  values.forEach((_, i) => {
    if (!mask[Math.floor(i / features)]) values[i] = padding(i);
  });
  return leaf(values, [batch, time, features], "float32");
}

type Symbol = ReturnType<typeof input>;

const stacks: Record<string, (x: Symbol) => Symbol> = {
  groupNormalization: (x) => layers.groupNormalization({ groups: 2 }).apply(x),
  "layerNormalization over steps": (x) => layers.layerNormalization({ axis: [1, 2] }).apply(x),
  unitNormalization: (x) => layers.unitNormalization({ axis: 1 }).apply(x),
  "weights by a softmax over steps": (x) => {
    const scores = layers.dense({ units: features }).apply(x);
    return layers.multiply().apply([x, layers.softmax({ axis: 1 }).apply(scores)]);
  },
  "batch norm of each step": (x) =>
    layers.timeDistributed({ layer: layers.batchNormalization() }).apply(x),
  "a model of each step": (x) =>
    layers
      .timeDistributed({
        layer: sequential([
          layers.reshape({ targetShape: [2, 2] }),
          layers.conv1d({ filters: 3, kernelSize: 1 }),
          layers.batchNormalization(),
          layers.flatten(),
        ]),
      })
      .apply(x),
  "a model within": (x) =>
    sequential([
      layers.batchNormalization(),
      layers.dense({ units: 3, activation: "tanh" }),
      layers.groupNormalization({ groups: 1 }),
    ]).apply(x),
};

onEachBackend("what stands in the padding changes nothing", () => {
  for (const [name, stack] of Object.entries(stacks)) {
    test.each([false, true])(`${name} (pooled: %s)`, async (pooled) => {
      const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const y = leaf(
        uniform(2, batch * (pooled ? 1 : time), -1, 1),
        pooled ? [batch, 1] : [batch, time, 1],
        "float32",
      );
      const counts = tensor(lengths, undefined, "int32");
      const results: unknown[] = [];
      for (const x of [padded(() => 0), padded((i) => (i % 5) * 1e3 - 700)]) {
        setRandomSeed(3);
        const series = input({ shape: [time, features] });
        const steps = input({ shape: [], dtype: "int32" });
        const seen = stack(layers.applyMask().apply([series, steps]));
        const read = pooled ? layers.globalAveragePooling1d().apply(seen) : seen;
        const made: Model = model({
          inputs: [series, steps],
          outputs: layers.dense({ units: 1 }).apply(read),
        });
        made.compile({ optimizer: "adam", loss: "meanSquaredError" });
        const predicted = [...(await made.predict([x, counts])).dataSync()];
        const { history } = await made.fit([x, counts] as never, y, {
          epochs: 2,
          batchSize: batch,
          seed: 4,
          verbose: 0,
        });
        results.push({
          valid: pooled ? predicted : predicted.filter((_, i) => mask[i]),
          history,
          weights: made.getWeights().map((w) => [...w.dataSync()]),
        });
      }
      expect(results[1]).toEqual(results[0]);
      expect(warned).not.toHaveBeenCalled();
    });
  }
});
