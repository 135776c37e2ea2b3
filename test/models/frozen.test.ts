/** What does not train: by option or by flag, in models and layers that are made of others. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";

const { dense, batchNormalization, timeDistributed, bidirectional, lstm } = lw.layers;
const inner = (): lw.layers.Layer => dense({ units: 2, kernelInitializer: "ones" });

/** The weights of a layer, as they are now. */
const valuesOf = (layer: lw.layers.Layer): number[][] =>
  layer.getWeights().map((weight) => [...weight.dataSync()]);

/** Trains `layer` below a dense layer; gives what its weights were and are. */
async function trained(layer: lw.layers.Layer, shape: readonly number[]) {
  const input = lw.input({ shape });
  const features = lw.layers.flatten().apply(layer.apply(input) as lw.SymbolicTensor);
  const outputs = dense({ units: 1 }).apply(features as lw.SymbolicTensor) as lw.SymbolicTensor;
  const model = lw.model({ inputs: input, outputs });
  model.compile({ optimizer: lw.optimizers.sgd(0.1), loss: "meanSquaredError" });
  const before = valuesOf(layer);
  const x = lw.randomNormal([8, ...shape], 0, 1, "float32", 1);
  await model.fit(x, lw.ones([8, 1]), { verbose: 0 });
  return { before, after: valuesOf(layer) };
}

const frozen = { trainable: false } as const;

describe("trainable: false", () => {
  test.each<[string, readonly number[], () => lw.layers.Layer]>([
    ["a sequential model", [3], () => lw.sequential({ layers: [inner(), inner()], ...frozen })],
    [
      "a model with batch normalisation",
      [3],
      () => {
        const input = lw.input({ shape: [3] });
        const outputs = batchNormalization().apply(inner().apply(input) as lw.SymbolicTensor);
        return lw.model({ inputs: input, outputs: outputs as lw.SymbolicTensor, ...frozen });
      },
    ],
    ["timeDistributed", [4, 3], () => timeDistributed({ layer: inner(), ...frozen })],
    ["bidirectional", [4, 3], () => bidirectional({ layer: lstm({ units: 2 }), ...frozen })],
  ])("freezes what is in %s", async (_, shape, make) => {
    const layer = make();
    const { before, after } = await trained(layer, shape);
    expect(after).toEqual(before);
    expect(layer.sublayers.every((sublayer) => !sublayer.trainable)).toBe(true);
  });

  test("freezes what is added later", async () => {
    const stack = lw.sequential({ ...frozen });
    stack.add(inner());
    const { before, after } = await trained(stack, [3]);
    expect(after).toEqual(before);
  });

  test("of the whole is not undone by a part's own flag", async () => {
    const part = inner();
    const stack = lw.sequential([part]);
    stack.trainable = false;
    part.trainable = true;
    const { before, after } = await trained(stack, [3]);
    expect(after).toEqual(before);
  });
});
