/** What `bidirectional` makes of the layer that it is given. */
import { beforeEach, describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import * as layers from "../../src/layers/layers.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

beforeEach(() => setRandomSeed(2));

describe("bidirectional", () => {
  test("refuses a layer whose weights would be lost", () => {
    const built = layers.lstm({ units: 2, name: "l" });
    built.ensureBuilt([null, null, 3]);
    expect(() =>
      layers.bidirectional({ layer: built, name: "b" }),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: bidirectional layer "b": expected \`layer\` to have no weights yet, got lstm layer "l", which is built; its weights would be lost, as both directions get their own: give a new layer, and set them by setWeights()]`,
    );
    const backwardLayer = layers.lstm({ units: 2, goBackwards: true });
    backwardLayer.ensureBuilt([null, null, 3]);
    expect(() => layers.bidirectional({ layer: layers.lstm({ units: 2 }), backwardLayer })).toThrow(
      "expected `backwardLayer` to have no weights yet",
    );
    const cell = layers.lstmCell({ units: 2 });
    cell.ensureBuilt([
      [null, 3],
      [null, 2],
      [null, 2],
    ]);
    expect(() => layers.bidirectional({ layer: layers.rnn({ cell }) })).toThrow(
      "to have no weights yet",
    );
  });

  test("begins with the same weights in both directions for a seed, with others without", () => {
    const kernels = (options: object): Tensor[] => {
      const layer = layers.bidirectional({ layer: layers.simpleRNN({ units: 2 }), ...options });
      layer.ensureBuilt([null, null, 3]);
      return [layer.forwardLayer, layer.backwardLayer].map((l) => l.weights[0]!);
    };
    const seeded = (seed: number, goBackwards = false) =>
      layers.simpleRNN({
        units: 2,
        goBackwards,
        kernelInitializer: { className: "GlorotUniform", config: { seed } },
      });
    const [one, two] = kernels({}).map((w) => w.arraySync());
    expect(one).not.toEqual(two);
    const [first, second] = kernels({ layer: seeded(1) }).map((w) => w.arraySync());
    expect(first).toEqual(second);
    const [forward, backward] = kernels({ layer: seeded(1), backwardLayer: seeded(2, true) });
    expect(forward!.arraySync()).toEqual(first);
    expect(backward!.arraySync()).not.toEqual(first);
  });
});
