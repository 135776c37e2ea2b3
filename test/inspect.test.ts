/** What `console.log` shows of tensors, variables, layers and models. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import * as lw from "../src/index.js";

describe("console.log", () => {
  it("shows a tensor's values, or that there are none yet", () => {
    expect(inspect(lw.tensor([[1, 2.5]]))).toBe("Tensor float32 [1, 2]\n[[1, 2.50000]]");
    expect(inspect(lw.tensor([1, 2]).add(1))).toBe("Tensor float32 [2] (not computed yet)");
    expect(inspect({ a: lw.tensor([[1], [2]]) })).toBe(
      "{\n  a: Tensor float32 [2, 1]\n  [[1],\n   [2]]\n}",
    );
  });

  it("shows a variable and a symbolic tensor with their names", () => {
    const w = lw.variable([1, 2], { name: "w" });
    expect(inspect(w)).toBe("Variable w float32 [2]\n[1, 2]");
    expect(inspect([lw.input({ shape: [3], name: "x" })])).toBe(
      "[ SymbolicTensor x float32 [null, 3] ]",
    );
  });

  it("shows a layer in a line", () => {
    const dense = lw.layers.dense({ units: 2, name: "head" });
    expect(inspect(dense)).toBe('dense layer "head", not built');
    dense.apply(lw.tensor([[1, 2, 3]]));
    expect(inspect(dense)).toBe('dense layer "head", 8 parameters');
  });

  it("shows a model's layers and shapes", () => {
    const layers = [
      lw.layers.dense({ units: 2, name: "hidden" }),
      lw.layers.dense({ units: 1, name: "out" }),
    ];
    const model = lw.sequential({ name: "net", layers });
    expect(inspect(model)).toBe(
      'model "net", not built, 2 layers: hidden, out; its input shape is not known yet',
    );
    model.build([null, 3]);
    expect(inspect(model)).toBe(
      'model "net", 11 parameters, 2 layers: hidden, out; [null, 3] → [null, 1]',
    );
    const many = lw.sequential(Array.from({ length: 20 }, () => lw.layers.reLU()));
    expect(inspect(many)).toMatch(/20 layers: (\S+, ){8}…;/);
  });
});
