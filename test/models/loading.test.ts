/** Models out of files that don't fit: what is refused, and in which words. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FormatError, LayerwiseError } from "../../src/errors.js";
import {
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../src/formats/safetensors.js";
import { Layer } from "../../src/layers/layer.js";
import { dense } from "../../src/layers/layers.js";
import { loadModel, modelFromJSON } from "../../src/models/loading.js";
import type { Model } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { fill } from "../../src/ops/creation.js";
import * as optimizers from "../../src/optimizers/factories.js";
import type { Shape } from "../../src/tensor/shape.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { data, directory, network, path, testsInFolders, trained, weightsOf } from "./saved.js";

testsInFolders();

describe("files that don't fit", () => {
  async function rewritten(
    change: (tensors: Map<string, StoredTensor>, metadata: Map<string, string>) => void,
  ): Promise<string> {
    const made = trained();
    await made.fit(data.x, data.y, { verbose: 0 });
    await made.save(path);
    const { tensors, metadata } = await readSafetensors(path);
    const copy = new Map<string, StoredTensor>(tensors);
    change(copy, metadata);
    await writeSafetensors(path, copy, metadata);
    try {
      await loadModel(path);
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      return (error as Error).message.replace(/^model file "[^"]*": /, "");
    }
    return "no error";
  }

  const edit = (change: (saved: Record<string, never>) => void) =>
    rewritten((_, metadata) => {
      const saved = JSON.parse(metadata.get("layerwise")!);
      change(saved);
      metadata.set("layerwise", JSON.stringify(saved));
    });

  test("say what is wrong", async () => {
    const stored: StoredTensor = { dtype: "float32", shape: [3], data: new Float32Array(3) };
    const ints: StoredTensor = { dtype: "int32", shape: [8], data: new Int32Array(8) };
    expect([
      await rewritten((t) => t.delete("hidden/kernel")),
      await rewritten((t) => t.set("other/kernel", stored)),
      await rewritten((t) => t.set("hidden/bias", stored)),
      await rewritten((t) => t.set("hidden/bias", ints)),
      await rewritten((t) => t.delete("__optimizer__/hidden/kernel/m")),
      await rewritten((t) => t.set("__optimizer__/more", stored)),
      await rewritten((_, m) => m.delete("layerwise")),
      await rewritten((_, m) => m.set("layerwise", "{")),
      await rewritten((_, m) => m.set("layerwise", "3")),
      await edit((s) => Object.assign(s, { version: 99 })),
      await edit((s) => Object.assign(s, { className: "Dense" })),
      await edit((s) => Object.assign(s, { className: "Sequentiel" })),
      await edit((s) => Object.assign(s, { config: { name: 3 } })),
      await edit((s) => Object.assign(s.compile!, { loss: "mze" })),
      await edit((s) => Object.assign(s.compile!, { optimizer: { className: "x", config: {} } })),
      await edit((s) => Object.assign(s.compile!, { optimizer: null })),
      await edit((s) =>
        Object.assign((s.compile as { optimizer: object }).optimizer, {
          config: { learningRate: -1 },
        }),
      ),
    ]).toMatchInlineSnapshot(`
      [
        "no tensor for "hidden/kernel"",
        "tensors that model "net" has no weight for: "other/kernel"",
        "tensor "hidden/bias": expected shape [8], got [3]",
        "tensor "hidden/bias": expected float32, got int32",
        "the optimizer's state does not fit adam: no tensor "__optimizer__/hidden/kernel/m"",
        "the optimizer's state does not fit adam: unknown tensor "__optimizer__/more"",
        "it has no layerwise model in its metadata; for a file with weights alone, make the model and use model.loadWeights(path)",
        "metadata: it is not valid JSON",
        "metadata: expected a model's className and config, got 3",
        "it was written in version 99 of the model format; this is version 1",
        "dense layer "net": unknown option \`layers\`; the options are units, activation, useBias, kernelInitializer, kernelRegularizer, kernelConstraint, biasInitializer, biasRegularizer, biasConstraint, name, trainable, inputShape, batchInputShape, inputDType, activityRegularizer",
        "deserializeLayer(): expected the className of a known layer, got "Sequentiel"; did you mean "Sequential"? a class of your own must be entered first: registerLayer(Sequentiel)",
        "configuration of a sequential model: expected \`name\` and \`layers\`",
        "compile() of model "net": there is no loss named "mze"; did you mean "mse"?",
        "there is no optimizer named "x"",
        "metadata: \`compile\` names no optimizer",
        "optimizer adam: expected \`learningRate\` to be a number ≥ 0, got -1",
      ]
    `);
  });

  /** `levels` arrays in one another, as JSON. */
  const nest = (levels: number, inside = ""): string =>
    "[".repeat(levels) + inside + "]".repeat(levels);

  test("nested without end are refused before anything recurses", async () => {
    const sequences = (levels: number): string => {
      const head = '{"className":"Sequential","config":{"name":"s","layers":[';
      return head.repeat(levels) + "]}}".repeat(levels);
    };
    const within = (metrics: string) => (_: unknown, metadata: Map<string, string>) => {
      const saved = JSON.parse(metadata.get("layerwise")!);
      saved.compile.metrics = "here";
      metadata.set("layerwise", JSON.stringify(saved).replace('"here"', metrics));
    };
    expect([
      await rewritten(within(nest(100_000))),
      await rewritten((_, m) => m.set("layerwise", sequences(5000))),
    ]).toEqual(new Array(2).fill("metadata: it is nested deeper than 100 levels"));
    expect(() => modelFromJSON(sequences(5000))).toThrow(
      /^modelFromJSON\(\): it is nested deeper than 100 levels$/,
    );
    const cycle: { className: string; config: Record<string, unknown> } = {
      className: "Sequential",
      config: { name: "s" },
    };
    cycle.config.layers = [cycle];
    expect(() => modelFromJSON(cycle)).toThrow(FormatError);
    // Thirty models in one another are no attack.
    expect(modelFromJSON(sequences(30)).className).toBe("Sequential");
  });

  test("that ask for more weights than they hold are refused before any is made", async () => {
    const layerOf = (s: Record<string, never>, i: number) =>
      (s.config as { layers: { config: Record<string, unknown> }[] }).layers[i]!.config;
    expect([
      await edit((s) => Object.assign(layerOf(s, 0), { units: 1e8 })),
      await edit((s) => Object.assign(layerOf(s, 3), { units: 1e9 })),
    ]).toMatchInlineSnapshot(`
      [
        "dense layer "hidden": weight "kernel" of shape [2, 100000000]: the file holds fewer values",
        "dense layer "out": weight "kernel": shape [8, 1000000000] has more than 2^31-1 elements",
      ]
    `);
  });

  test("are filled without running initializers", async () => {
    let calls = 0;
    class Counting extends Layer {
      static override readonly className = "Counting";
      override build(): void {
        const initializer = (shape: Shape): Tensor => {
          calls++;
          return fill(shape, 3);
        };
        this.addWeight("w", [2], { initializer });
      }
      override call(x: Tensor): Tensor {
        return x.mul(this.weights[0]!);
      }
    }
    const made = sequential([new Counting({ inputShape: [2] })]);
    await made.save(path);
    expect(calls).toBe(1);
    const again = await loadModel(path, { customObjects: { Counting } });
    expect(calls).toBe(1);
    expect(weightsOf(again)).toEqual([[3, 3]]);
  });

  test("know a loss of one's own from a built-in one of that name", async () => {
    const made = network();
    const hinge = (_: Tensor, p: Tensor): Tensor => p.sum(-1).mul(0).add(42);
    made.compile({ loss: hinge, optimizer: "sgd" });
    await made.save(path);
    const again = await loadModel(path, { customObjects: { hinge } });
    expect(await again.evaluate(data.x, fill([60, 3], 0))).toEqual({ loss: 42 });
    await expect(loadModel(path)).rejects.toThrow(/the loss is a function of your own, "hinge"/);
  });

  test("hold no patterns to run", async () => {
    const made = network();
    made.compile({
      optimizer: optimizers.adamw({ excludeFromWeightDecay: ["beta", /^(hidden|norm)\/[bg]/] }),
      loss: "sparseCategoricalCrossentropy",
    });
    await made.save(path);
    const { metadata } = await readSafetensors(path);
    expect(JSON.parse(metadata.get("layerwise")!).compile.optimizer.config).toMatchObject({
      excludeFromWeightDecay: [
        "beta",
        { parameter: "hidden/bias" },
        { parameter: "norm/gamma" },
        { parameter: "norm/beta" },
      ],
    });
    const again = await loadModel(path);
    for (const m of [made, again]) await m.fit(data.x, data.y, { verbose: 0, seed: 1, epochs: 3 });
    expect(weightsOf(again)).toEqual(weightsOf(made));
    const pattern = { source: "(a+)+$", flags: "" };
    expect(
      await edit((s) =>
        Object.assign((s.compile as { optimizer: { config: object } }).optimizer.config, {
          excludeFromWeightDecay: [pattern],
        }),
      ),
    ).toBe("excludeFromWeightDecay: expected texts and names of parameters, got an object");
    const unbuilt = sequential([dense({ units: 1 })]);
    unbuilt.compile({
      optimizer: optimizers.adamw({ excludeFromWeightDecay: [/b/] }),
      loss: "mse",
    });
    await expect(unbuilt.save(path)).rejects.toThrow(
      /the pattern \/b\/, and the model has no weights/,
    );
  });

  test("no file, no safetensors file", async () => {
    const none = loadModel(join(directory, "none.safetensors"));
    await expect(none).rejects.toThrow(/^can't read ".*none\.safetensors": there is no such file$/);
    await expect(none).rejects.toThrow(LayerwiseError);
    writeFileSync(path, "this is text, and more of it");
    await expect(loadModel(path)).rejects.toThrow(FormatError);
    await expect(loadModel(3 as never)).rejects.toThrow(LayerwiseError);
  });

  test("weights of another model change nothing", async () => {
    const other: Model = sequential([dense({ units: 5, inputShape: [2], name: "hidden" })]);
    await other.saveWeights(path);
    const made = network();
    const before = weightsOf(made);
    await expect(made.loadWeights(path)).rejects.toThrow(/no tensor for "norm\/gamma"/);
    expect(weightsOf(made)).toEqual(before);
  });
});
