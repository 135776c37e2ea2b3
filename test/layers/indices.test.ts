/** An index that an embedding has no row for, met when a model runs. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { onEachBackend } from "../helpers/backends.js";

onEachBackend("an index without a row", () => {
  const made = () =>
    lw.sequential([
      lw.layers.embedding({ inputDim: 4, outputDim: 2, inputShape: [3], name: "words" }),
      lw.layers.flatten(),
      lw.layers.dense({ units: 1 }),
    ]);
  const x = (index: number) => lw.tensor([[1, 2, index]], undefined, "int32");

  test("names the embedding, however the model runs", async () => {
    const model = made();
    const message = (index: number) =>
      new RegExp(
        `^gather: index ${index} at position 2 lies outside \\[0, 4\\) of words/embeddings \\(Program call \\d+\\)$`,
      );
    await expect(model.predict(x(9))).rejects.toThrow(message(9));
    await expect(model.predict(x(-1))).rejects.toThrow(message(-1));
    expect(() => model.predictSync(x(4))).toThrow(message(4));
    expect(() => model.predictSync(x(4))).toThrow(lw.ArgumentError);
    model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    await expect(model.fit(x(7), lw.tensor([[1]]), { epochs: 1, verbose: 0 })).rejects.toThrow(
      message(7),
    );
    expect(Array.from(await (await model.predict(x(3))).data())).toHaveLength(1);
  });

  test("names it where the table is multiplied in place of its rows", async () => {
    const model = lw.sequential([
      lw.layers.embedding({ inputDim: 4, outputDim: 32, inputShape: [20], name: "letters" }),
      lw.layers.lstm({ units: 8 }),
    ]);
    const x = lw.tensor(
      [Array.from({ length: 20 }, (_, i) => (i === 13 ? 9 : i % 4))],
      undefined,
      "int32",
    );
    const message =
      /^gather: index 9 at position 13 .* of letters\/embeddings \(Program call [1-9]\d*\)$/;
    await expect(model.predict(x)).rejects.toThrow(message);
    model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    const y = lw.zeros([1, 8]);
    await expect(model.fit(x, y, { epochs: 1, verbose: 0 })).rejects.toThrow(message);
  });

  test("names no table that is no weight", () => {
    expect(() => lw.gather([1, 2, 3], [5]).dataSync()).toThrow(/outside \[0, 3\) \(Program/);
  });
});
