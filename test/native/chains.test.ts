/**
 * What the compiler emits for optimizers and layers is what native/chains.h has compiled loops for. Without them the
 * results would be the same bits, only slower, so no other test would notice.
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import type { NativeBackend } from "../../src/backend/native.js";
import { trace } from "../../src/backend/run.js";
import { backend } from "../../src/backend/select.js";
import * as lw from "../../src/index.js";
import { uniform } from "../helpers/random.js";

const native = backend().name === "native" ? (backend() as NativeBackend) : null;

afterEach(() => {
  vi.restoreAllMocks();
});

/** The chains of all Programs that `body` loads. */
async function chainsOf(body: () => Promise<unknown>): Promise<ReadonlySet<string>> {
  const { addon } = native!;
  const load = vi.spyOn(addon, "load");
  await body();
  const programs = load.mock.results;
  load.mockRestore();
  return new Set(
    programs.flatMap(({ type, value }) => (type === "return" ? addon.chains(value) : [])),
  );
}

const x = lw.tensor(uniform(1, 128 * 40), [128, 40]);
const y = lw.tensor(uniform(2, 128 * 3), [128, 3]);
const once = { epochs: 1, batchSize: 128, verbose: 0 } as const;

function trained(
  layers: readonly lw.layers.Layer[],
  optimizer: NonNullable<lw.CompileOptions["optimizer"]> = "sgd",
): Promise<ReadonlySet<string>> {
  return chainsOf(async () => {
    const model = lw.sequential({ layers: [...layers] });
    model.compile({ optimizer, loss: "meanSquaredError" });
    await model.fit(x, y, once);
  });
}

describe.skipIf(native === null)("chains", () => {
  test.each([
    ["momentum", lw.optimizers.sgd({ learningRate: 0.1, momentum: 0.9 })],
    ["nesterov", lw.optimizers.sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true })],
    ["rmsprop", lw.optimizers.rmsprop()],
    ["adam", lw.optimizers.adam()],
    ["adamw", lw.optimizers.adamw()],
  ])("%s", async (name, optimizer) => {
    expect(await trained([lw.layers.dense({ units: 3, inputShape: [40] })], optimizer)).toContain(
      name,
    );
  });

  const { dense, batchNormalization, activation, dropout, add } = lw.layers;
  const { reshape, maxPooling1d, flatten } = lw.layers;
  const wide = (): lw.layers.Layer => dense({ units: 256 });
  const relu = (): lw.layers.Layer => activation({ activation: "relu" });

  test.each([
    ["relu", ["relu"], () => [relu()]],
    ["dropout", ["dropout, drawn"], () => [dropout({ rate: 0.5 })]],
    [
      "dropout whose gradient reads the mask",
      ["dropout, drawn"],
      () => [
        wide(),
        reshape({ targetShape: [128, 2] }),
        maxPooling1d({ poolSize: 2 }),
        flatten(),
        dropout({ rate: 0.5 }),
      ],
    ],
    ["batchNormalization", ["batchNormalization"], () => [batchNormalization()]],
    [
      "batchNormalization of what is trained",
      ["batchNormalization", "batchNormalization gradient"],
      () => [wide(), batchNormalization(), wide()],
    ],
    [
      "batchNormalization with relu",
      ["batchNormalization, relu, mask", "batchNormalization gradient, scaled"],
      () => [wide(), batchNormalization(), relu()],
    ],
    [
      "batchNormalization with relu and dropout",
      ["batchNormalization, relu, dropout, mask", "batchNormalization gradient, scaled"],
      () => [wide(), batchNormalization(), relu(), dropout({ rate: 0.5 })],
    ],
  ])("training: %s", async (_, chains, layers) => {
    expect([...(await trained([...layers(), dense({ units: 3 })]))]).toEqual(
      expect.arrayContaining(chains),
    );
  });

  test("training: batchNormalization after which a residual is added", async () => {
    const chains = await chainsOf(async () => {
      const input = lw.input({ shape: [40] });
      const through = (...layers: lw.layers.Layer[]) =>
        layers.reduce((at, layer) => layer.apply(at) as lw.SymbolicTensor, input);
      const below = wide();
      const sum = add().apply([through(below, wide(), batchNormalization()), through(below)]);
      const outputs = dense({ units: 3 }).apply(relu().apply(sum as lw.SymbolicTensor));
      const model = lw.model({ inputs: input, outputs });
      model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
      await model.fit(x, y, once);
    });
    expect(chains).toContain("batchNormalization, residual, relu, mask");
  });

  test("forward and backward at once: dropout", async () => {
    const layer = dropout({ rate: 0.5, seed: 1 });
    const tensors = [lw.tensor(uniform(3, 1000)), lw.tensor(uniform(4, 1000))];
    const chains = await chainsOf(async () => {
      const executable = trace({
        name: "dropout",
        inputs: ["x", "dy"].map((name) => ({ name, shape: [1000], dtype: "float32" })),
        body([a, dy]) {
          const b = layer.apply(a!, { training: true }) as lw.Tensor;
          return [b, ...gradientsOf(b, [a!], dy!)];
        },
      });
      await executable.run(await Promise.all(tensors.map((t) => t.data())));
    });
    expect(chains).toContain("dropout, twice, drawn");
  });

  test("prediction: batchNormalization with relu", async () => {
    const chains = await chainsOf(async () => {
      const layers = [batchNormalization({ inputShape: [256] }), relu()];
      await lw.sequential({ layers }).predict(lw.tensor(uniform(5, 64 * 256), [64, 256]));
    });
    expect(chains).toContain("scale and offset, relu");
  });
});
