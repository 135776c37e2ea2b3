/** Updates of tables that are read by index: which rows change, to which bits, and that nothing else is touched. */
import { beforeEach, describe, expect, test } from "vitest";
import "../../src/ops/methods.js";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import { trace } from "../../src/backend/run.js";
import { mul } from "../../src/ops/elementwise.js";
import { gather } from "../../src/ops/gather.js";
import { sum } from "../../src/ops/reduce.js";
import * as optimizers from "../../src/optimizers/factories.js";
import type { Optimizer } from "../../src/optimizers/optimizer.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { leaf } from "../../src/tensor/tensor.js";
import { type Variable, variable } from "../../src/tensor/variable.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(1));

const [size, width] = [50, 6];
const indices = [3, 7, 3, 49, 0, 3];
const factors = leaf(uniform(2, indices.length * width, -1, 1), [indices.length, width], "float32");

/** A step on Σ factors · table[indices]; `whole` hides where the gradient comes from. */
function stepOf(optimizer: Optimizer, table: Variable, whole: boolean) {
  optimizer.build([table]);
  return trace({
    name: "step",
    inputs: [{ name: "index", shape: [indices.length], dtype: "int32" }],
    body([index]) {
      const old = table.read();
      const loss = sum(mul(gather(old, index!), factors));
      const [gradient] = gradientsOf(loss, [old]);
      optimizer.applyGradients([[whole ? mul(gradient!, 1) : gradient!, table]]);
      return [loss];
    },
  });
}

const start = uniform(1, size * width, -1, 1);
const makeTable = (sparse: boolean): Variable => {
  const table = variable(leaf(start.slice(), [size, width], "float32"), { name: "table" });
  table.sparse = sparse;
  return table;
};

onEachBackend("rows of tables", () => {
  test.each<[string, () => Optimizer]>([
    ["sgd", () => optimizers.sgd({ learningRate: 0.1 })],
    [
      "sgd with a limit of the norm",
      () => optimizers.sgd({ learningRate: 0.1, globalClipNorm: 0.5 }),
    ],
    ["adagrad", () => optimizers.adagrad({ learningRate: 0.1 })],
  ])("%s changes the same bits as on the whole table", (_name, make) => {
    const results = [false, true].map((whole) => {
      const table = makeTable(false);
      // One that is read as often as it has rows is updated as a whole.
      const step = stepOf(make(), table, whole);
      for (let i = 0; i < 3; i++) step.runSync([Int32Array.from(indices)]);
      return { values: [...table.storage()], calls: step.program.calls.map((c) => c.kernel) };
    });
    expect(results[0]!.values).toEqual(results[1]!.values);
    expect(results[0]!.calls).toContain("scatterRows");
  });

  test.each<[string, () => Optimizer]>([
    ["adam", () => optimizers.adam({ learningRate: 0.1 })],
    ["adamw", () => optimizers.adamw({ learningRate: 0.1 })],
    ["momentum", () => optimizers.sgd({ learningRate: 0.1, momentum: 0.9 })],
    ["rmsprop, clipped", () => optimizers.rmsprop({ learningRate: 0.1, clipNorm: 0.3 })],
  ])("%s on a sparse table changes only rows that were read", (_name, make) => {
    const [sparse, dense] = [true, false].map((flag) => {
      const table = makeTable(flag);
      const optimizer = make();
      const step = stepOf(optimizer, table, false);
      step.runSync([Int32Array.from(indices)]);
      return { table, optimizer, step };
    });
    const read = new Set(indices);
    const rows = (values: ArrayLike<number>, row: number) =>
      Array.from({ length: width }, (_, i) => values[row * width + i]);
    for (let row = 0; row < size; row++) {
      const now = rows(sparse!.table.storage(), row);
      if (read.has(row)) {
        // The first step, from moments of 0, is that of the whole table.
        expect(now).toEqual(rows(dense!.table.storage(), row));
      } else expect(now).toEqual(rows(start, row));
    }
    // Another step reads other rows; the moments of the first rest.
    const before = sparse!.optimizer.variables.map((v) => v.storage().slice());
    sparse!.step.runSync([Int32Array.from([1, 1, 2, 1, 2, 4])]);
    sparse!.optimizer.state().forEach(({ parameter, variable: slot }, i) => {
      if (!parameter) return;
      for (const row of read) expect(rows(slot.storage(), row)).toEqual(rows(before[i]!, row));
    });
  });

  test("are written where they are", () => {
    const { program } = stepOf(optimizers.adam(), Object.assign(makeTable(true)), false);
    const written = program.calls.filter((call) => call.kernel === "scatterRows");
    const inPlace = written.filter((call) => call.inputs[0] === call.outputs[0]);
    // The table and two moments; the fourth finds the last place of each index.
    expect(written.length).toBe(4);
    expect(inPlace.length).toBe(3);
    expect(program.calls.filter((call) => call.kernel === "copy")).toEqual([]);
    expect(program.arenaBytes).toBeLessThan(size * width * 4 + 4096);
  });
});

describe("a whole gradient", () => {
  test("of a table that is used in another way too is applied as a whole", () => {
    const table = makeTable(true);
    const optimizer = optimizers.sgd({ learningRate: 0.1 });
    const step = trace({
      name: "step",
      inputs: [],
      body() {
        const old = table.read();
        const loss = sum(gather(old, [1, 2])).add(sum(old.square()));
        optimizer.applyGradients([[gradientsOf(loss, [old])[0]!, table]]);
        return [loss];
      },
    });
    step.runSync([]);
    expect([...table.storage()].some((v, i) => v === start[i])).toBe(false);
  });
});
