/** What a step of contrastive divergence is to an executor: how often it runs, and what. */
import { expect, onTestFinished, test, vi } from "vitest";
import type { LoadedProgram } from "../../src/backend/backend.js";
import { backend } from "../../src/backend/select.js";
import { type Program, printProgram } from "../../src/compiler/program.js";
import * as lw from "../../src/index.js";
import { sizeOf } from "../../src/tensor/shape.js";
import { uniform } from "../helpers/random.js";

/** Every Program that runs until the test ends, and what was asked of it. */
function watchRuns(): { program: Program; how: keyof LoadedProgram; steps: number }[] {
  const runs: { program: Program; how: keyof LoadedProgram; steps: number }[] = [];
  const executor = backend();
  const load = executor.load.bind(executor);
  const spy = vi.spyOn(executor, "load").mockImplementation((program) => {
    const loaded = load(program);
    const seen = <A extends unknown[], R>(
      how: keyof LoadedProgram,
      f: (...args: A) => R,
      stepsOf: (...args: A) => number = () => 1,
    ) => {
      return (...args: A): R => {
        runs.push({ program, how, steps: stepsOf(...args) });
        return f(...args);
      };
    };
    return {
      runSync: seen("runSync", (bindings) => loaded.runSync(bindings)),
      bind: (bindings) => seen("bind", loaded.bind(bindings)),
      run: seen("run", (bindings) => loaded.run(bindings)),
      loop: seen(
        "loop",
        (bindings, spec) => loaded.loop(bindings, spec),
        (_, spec) => spec.steps,
      ),
    };
  });
  onTestFinished(() => spy.mockRestore());
  return runs;
}

const [visible, hidden, batch, steps] = [40, 24, 8, 5];

async function learn(options: Parameters<lw.models.RBM["compile"]>[0]) {
  const machine = lw.models.rbm({ visible, hidden, seed: 1 });
  const x = lw.tensor(uniform(1, steps * batch * visible, 0, 1), [steps * batch, visible]);
  machine.compile(options);
  const runs = watchRuns();
  await machine.fit(x, { epochs: 1, batchSize: batch, seed: 1, verbose: 0 });
  return runs;
}

const opsOf = ({ tile }: Program["calls"][number]) => tile?.instructions.map(({ op }) => op) ?? [];

test("an epoch is one loop of one Program, a step each, that holds the whole update", async () => {
  const runs = await learn({ optimizer: lw.optimizers.sgd({ learningRate: 0.1, momentum: 0.5 }) });
  expect(runs.map(({ how, steps }) => ({ how, steps }))).toEqual([{ how: "loop", steps }]);
  const { bindings } = runs[0]!.program;
  const updated = bindings.filter(({ access }) => access === "readwrite").map(({ name }) => name);
  // The weights, what the optimizer keeps of them, and its count of steps.
  const weights = ["rbm/kernel", "rbm/visibleBias", "rbm/hiddenBias"];
  const momentums = weights.map((name) => `sgd/${name}/momentum`);
  expect(updated.sort()).toEqual([...weights, ...momentums, "sgd/iterations"].sort());
});

test.each([1, 3])("CD-%i has its sigmoids, draws and updates in the products", async (cdSteps) => {
  const [run] = await learn({
    steps: cdSteps,
    weightDecay: 1e-4,
    optimizer: lw.optimizers.sgd({ learningRate: 0.1, momentum: 0.5 }),
  });
  const { program } = run!;
  const message = printProgram(program);
  const products = program.calls.filter(({ kernel }) => kernel === "gemm");
  // Up, for each step down and up, and one for both statistics.
  expect(products.length, message).toBe(1 + 2 * cdSteps + 1);
  const [statistics, ...passes] = products.toReversed();
  // Both ways, a state is drawn where its probability stands, but for the last one, which takes means.
  passes.forEach((call, i) => {
    expect(opsOf(call), message).toContain("sigmoid");
    if (i > 0) expect(opsOf(call).join(" "), message).toMatch(/philox/);
  });
  // The new weights and their velocity come out of the product; their difference is never stored.
  expect(statistics!.outputs.length, message).toBe(2);
  for (const output of statistics!.outputs) {
    expect(program.tensors[output]!.place.kind, message).toBe("binding");
  }
  // Nothing of the size of a layer's states is left to calls of their own but gathering and sums.
  for (const call of program.calls.filter((c) => c.kernel === "map")) {
    expect(opsOf(call).join(" "), message).not.toMatch(/sigmoid|philox/);
    expect(sizeOf(call.tile!.dims), message).toBeLessThanOrEqual(visible);
  }
});
