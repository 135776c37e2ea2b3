/**
 * Fused, planned and scheduled Programs compute what their ops compute one at a time: random
 * expression graphs, with variables that are read and assigned in between, on each backend.
 */
import { expect, test } from "vitest";
import { trace } from "../../src/backend/run.js";
import { printProgram } from "../../src/compiler/program.js";
import * as lw from "../../src/index.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";
import { expectSoundMemory } from "./checks.js";
import { generate } from "./expressions.js";

/** Two pairs of one shape (so that they can be swapped) and a scalar. */
function makeVariables(seed: number): lw.Variable[] {
  return [[3, 4], [3, 4], [4], [4], []].map((shape, i) =>
    lw.variable(
      lw.tensor(
        uniform(
          seed + i,
          shape.reduce((a, b) => a * b, 1),
        ),
        shape,
      ),
      {
        name: `v${i}`,
      },
    ),
  );
}

/** Rounding may differ where sums run in another order over a fused or collapsed domain. */
const tolerance = { rtol: 2e-5, atol: 2e-5 };

onEachBackend("random expressions", (backend) => {
  const seeds = Array.from({ length: 150 }, (_, i) => i + 1);

  test("one at a time, all together, and compiled", () => {
    for (const seed of seeds) {
      const size = 3 + ((seed * 7) % 40);
      const single = makeVariables(seed);
      // Each tensor is computed the moment it is made, so every Program holds one op.
      const eager = generate(seed, size, single, (x) => void x.dataSync());
      const expected = eager.outputs.map((x) => x.dataSync());

      const lazyVariables = makeVariables(seed);
      const lazy = generate(seed, size, lazyVariables);
      lazy.outputs.forEach((x, i) => {
        expect(x.shape).toEqual(eager.outputs[i]!.shape);
        expectClose(x.dataSync(), expected[i]!, tolerance, `seed ${seed}, lazy output ${i}`);
      });

      const traced = makeVariables(seed);
      const before = traced.map((v) => v.dataSync().slice());
      const executable = trace({
        name: "generated",
        inputs: [],
        body: () => generate(seed, size, traced).outputs,
      });
      const what = `seed ${seed} on ${backend}\n${printProgram(executable.program)}\n`;
      expectSoundMemory(executable.program);
      traced.forEach((v, i) => {
        expect([...v.dataSync()], "tracing changes nothing").toEqual([...before[i]!]);
      });
      const results = executable.runSync([]);
      results.forEach((values, i) => {
        expectClose(values, expected[i]!, tolerance, `${what}output ${i}`);
      });
      traced.forEach((v, i) => {
        expectClose(v.dataSync(), single[i]!.dataSync(), tolerance, `${what}variable ${i}`);
      });
    }
  });

  test("gradients of random expressions, lazily and op by op", () => {
    for (const seed of seeds.slice(0, 40)) {
      const leaf = lw.tensor(uniform(seed, 12), [3, 4]);
      const build = (each: (x: lw.Tensor) => void) => (x: lw.Tensor) => {
        const { outputs } = generate(seed, 15, [], each);
        return lw.concat(outputs.map((y) => y.mean().mul(x).tanh().sum().reshape([1]))).sum();
      };
      const eager = lw
        .grad(build((x) => void x.dataSync()))(leaf)
        .dataSync();
      const lazy = lw
        .grad(build(() => {}))(leaf)
        .dataSync();
      expectClose(lazy, eager, tolerance, `seed ${seed}`);
    }
  });
});

onEachBackend("element-wise chains", () => {
  test("have the same bits fused or one at a time", () => {
    const chain = (x: lw.Tensor, y: lw.Tensor, each: (t: lw.Tensor) => lw.Tensor): lw.Tensor => {
      let z = x;
      for (let i = 0; i < 60; i++) {
        z = each(z.mul(1.01 + i / 100));
        z = each(z.add(y));
        z = each(i % 3 === 0 ? z.tanh() : i % 3 === 1 ? z.sub(x.mul(y)) : z.sigmoid());
      }
      return z;
    };
    const x = lw.tensor(uniform(1, 1500), [30, 50]);
    const y = lw.tensor(uniform(2, 50));
    const eager = chain(x, y, (t) => {
      t.dataSync();
      return t;
    });
    expectClose(chain(x, y, (t) => t).dataSync(), eager.dataSync(), {}, "bits");
  });
});
