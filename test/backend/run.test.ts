/** Running: compiled functions, variables updated in place, loops, caches, failures. */
import { expect, test, vi } from "vitest";
import type { NativeBackend } from "../../src/backend/native.js";
import { evaluate, trace } from "../../src/backend/run.js";
import { backend } from "../../src/backend/select.js";
import * as lw from "../../src/index.js";
import { allocate } from "../../src/tensor/dtype.js";
import { expectSoundMemory } from "../compiler/checks.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { uniform } from "../helpers/random.js";

/** Traces `body` without inputs, checks its Program, runs it once. */
function run(body: () => lw.Tensor[]): number[][] {
  const executable = trace({ name: "test", inputs: [], body });
  expectSoundMemory(executable.program);
  return executable.runSync([]).map((values) => [...values]);
}

const variables = (...values: lw.NestedArray[]): lw.Variable[] =>
  values.map((value, i) => lw.variable(value, { name: "abcdef"[i]! }));

test("results of more than 2³¹ − 1 elements are errors that name the op", () => {
  const product = lw.matMul(lw.zeros([50_000, 1]), lw.zeros([1, 50_000]));
  expect(() => product.sum().dataSync()).toThrow(
    "matMul: its result [50000, 50000] would have more than 2^31-1 elements",
  );
  const layer = lw.layers.resizing({ height: 100_000, width: 100_000 });
  expect(() => (layer.apply(lw.zeros([1, 2, 2, 1])) as lw.Tensor).dataSync()).toThrow(
    lw.ShapeError,
  );
});

onEachBackend("variables in a compiled function", () => {
  test("swap, and rotate three", () => {
    const [a, b, c] = variables([1, 2], [3, 4], [5, 6]) as [lw.Variable, lw.Variable, lw.Variable];
    run(() => {
      const old = a.read();
      a.assign(b);
      b.assign(old);
      return [];
    });
    expect([a.arraySync(), b.arraySync()]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    run(() => {
      const [x, y, z] = [a.read(), b.read(), c.read()];
      a.assign(y.mul(10));
      b.assign(z.mul(10));
      c.assign(x.mul(10));
      return [];
    });
    expect([a.arraySync(), b.arraySync(), c.arraySync()]).toEqual([
      [10, 20],
      [50, 60],
      [30, 40],
    ]);
  });

  test("a.assign(b); b.assign(a) gives both b's value, as in any sequence", () => {
    const [a, b] = variables([1], [2]) as [lw.Variable, lw.Variable];
    run(() => {
      a.assign(b);
      b.assign(a);
      return [];
    });
    expect([a.item(), b.item()]).toEqual([2, 2]);
  });

  test("values returned are those of their moment: before and after an update", () => {
    const [a] = variables([1, 2]) as [lw.Variable];
    const results = run(() => {
      const before = a.read();
      const double = a.mul(2);
      a.assign(a.add(10));
      const after = a.read();
      a.assign(a.mul(100));
      return [before, double, after, a, before.add(after)];
    });
    expect(results).toEqual([
      [1, 2],
      [2, 4],
      [11, 12],
      [1100, 1200],
      [12, 14],
    ]);
    expect(a.arraySync()).toEqual([1100, 1200]);
  });

  test("an update reads the variable transposed, reversed, broadcast, reduced", () => {
    const [a] = variables([
      [1, 2],
      [3, 4],
    ]) as [lw.Variable];
    run(() => [a.assign(a.transpose())]);
    expect(a.arraySync()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    run(() => [a.assign(a.add(a.transpose().mul(10)).add(a.reverse(0).mul(100)))]);
    expect(a.arraySync()).toEqual([
      [1 + 10 + 200, 3 + 20 + 400],
      [2 + 30 + 100, 4 + 40 + 300],
    ]);
    const [b] = variables([1, 2, 3]) as [lw.Variable];
    run(() => [b.assign(b.reshape([3, 1]).mul(b).sum(0).sub(b.max()))]);
    expect(b.arraySync()).toEqual([3, 9, 15]);
    const [m] = variables([
      [1, 1],
      [0, 1],
    ]) as [lw.Variable];
    run(() => [m.assign(m.matMul(m)), m.assign(m.matMul(m).add(m))]);
    expect(m.arraySync()).toEqual([
      [2, 6],
      [0, 2],
    ]);
  });

  test("one value for two variables; a literal; another variable; a constant tensor", () => {
    const [a, b, c, d] = variables([1, 2], [0, 0], [9, 9], [8, 8]) as [
      lw.Variable,
      lw.Variable,
      lw.Variable,
      lw.Variable,
    ];
    const constant = lw.tensor([5, 6]);
    const results = run(() => {
      const value = a.mul(3);
      b.assign(value);
      a.assign(value);
      c.assign(lw.zeros([2]));
      d.assign(constant);
      return [value, b.add(1)];
    });
    expect(results).toEqual([
      [3, 6],
      [4, 7],
    ]);
    expect([a, b, c, d].map((v) => v.arraySync())).toEqual([
      [3, 6],
      [3, 6],
      [0, 0],
      [5, 6],
    ]);
    const [s, t] = variables(1, 2) as [lw.Variable, lw.Variable];
    run(() => {
      s.assign(7);
      t.assign(s);
      return [];
    });
    expect([s.item(), t.item()]).toEqual([7, 7]);
    // What was assigned is a copy: neither the tensor nor the other variable changes along.
    run(() => [d.assign(d.add(1)), t.assign(t.add(1))]);
    expect([constant.arraySync(), s.item(), t.item()]).toEqual([[5, 6], 7, 8]);
  });

  test("an argument assigned to a variable, twice, beside its use", () => {
    const [a, b] = variables([0, 0], [0, 0]) as [lw.Variable, lw.Variable];
    const f = lw.compile((x: lw.Tensor) => {
      a.assign(x);
      b.assign(x.reshape([2, 1]).reshape([2]));
      return [x, x.add(a)];
    });
    const input = lw.tensor([1, 2]);
    expect(f(input).map((y) => y.arraySync())).toEqual([
      [1, 2],
      [2, 4],
    ]);
    run(() => [a.assign(a.mul(0))]);
    expect([input, a, b].map((y) => y.arraySync())).toEqual([
      [1, 2],
      [0, 0],
      [1, 2],
    ]);
  });

  test("a value that was handed out stays what it was", () => {
    const [a] = variables([1, 2]) as [lw.Variable];
    const step = lw.compile(() => a.assign(a.add(1)));
    const held = a.read();
    const view = held.dataSync();
    const lazy = a.mul(10);
    step();
    step();
    expect(a.arraySync()).toEqual([3, 4]);
    expect([...view]).toEqual([1, 2]);
    expect(held.arraySync()).toEqual([1, 2]);
    expect(lazy.arraySync()).toEqual([10, 20]);
  });

  test("what a compiled function returned is not overwritten by its next call", () => {
    const [a] = variables([1]) as [lw.Variable];
    const f = lw.compile((x: lw.Tensor) => a.assign(a.add(x)));
    const first = f([1]);
    const second = f([10]);
    expect([first.item(), second.item(), a.item()]).toEqual([2, 12, 12]);
  });
});

onEachBackend("compile", () => {
  test("compiles once per combination of shapes and dtypes", () => {
    let traced = 0;
    const f = lw.compile((x: lw.Tensor) => {
      traced++;
      return x.mul(2);
    });
    f([1, 2]);
    f([3, 4]);
    f([1, 2, 3]);
    f(lw.tensor(Int32Array.of(1, 2)));
    expect(f([5, 6]).arraySync()).toEqual([10, 12]);
    expect([traced, f.programs]).toEqual([3, 3]);
  });

  test("keeps the structure of what the function returns", async () => {
    const f = lw.compile((x: lw.Tensor, y: lw.Tensor) => ({ sum: x.add(y), rest: x.sub(y) }));
    const got = f(5, 3);
    expect([got.sum.item(), got.rest.item()]).toEqual([8, 2]);
    const later = await f.run(5, 3);
    expect([later.sum.item(), later.rest.item()]).toEqual([8, 2]);
  });

  test("what can't be compiled says why", () => {
    expect(() =>
      lw.compile((x: lw.Tensor) => x.add(x.dataSync()[0]!))(1),
    ).toThrowErrorMatchingInlineSnapshot(
      `[StateError: dataSync(): this tensor is an argument of a function that is being compiled or trained; its values are only known when the compiled function runs]`,
    );
    // @ts-expect-error async
    expect(() => lw.compile(async (x: lw.Tensor) => x)(1)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: compiled function: expected a tensor, or an array or object of tensors, as result, got a Promise: async functions can't be compiled]`,
    );
    // @ts-expect-error no tensor
    expect(() => lw.compile(() => 3)()).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: compiled function: expected a tensor, or an array or object of tensors, as result, got 3]`,
    );
    expect(() =>
      lw.compile((x: lw.Tensor) => lw.variable(x, { name: "inner" }).mul(1))(1),
    ).toThrowErrorMatchingInlineSnapshot(
      `[StateError: variable(): inner can't be made inside a function that is being compiled; make it before]`,
    );
    const w = lw.variable([1, 2], { name: "w" });
    expect(() =>
      lw.compile((x: lw.Tensor) => w.assign(x))([1, 2, 3]),
    ).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: variable w: expected a value of shape [2], got [3]]`,
    );
    let leaked: lw.Tensor | undefined;
    lw.compile((x: lw.Tensor) => {
      leaked = x.mul(2);
      return x;
    })(1);
    expect(() => leaked!.dataSync()).toThrowErrorMatchingInlineSnapshot(
      `[StateError: evaluation: this tensor is an argument of a function that is being compiled or trained; its values are only known when the compiled function runs]`,
    );
  });

  test("concurrent runs of one function do not mix", async () => {
    const f = lw.compile((x: lw.Tensor) => x.matMul(x).softmax().sum(1));
    const inputs = Array.from({ length: 8 }, (_, i) => lw.tensor(uniform(i, 400), [20, 20]));
    const together = await Promise.all(inputs.map((x) => f.run(x)));
    for (const [i, x] of inputs.entries()) {
      expectSameBits(together[i]!.dataSync(), f(x).dataSync(), `run ${i}`);
    }
  });
});

onEachBackend("evaluation", () => {
  test("several tensors at once, each computed a single time", async () => {
    const x = lw.tensor([1, 2]);
    const y = x.mul(2);
    const z = y.add(1);
    await evaluate([y, z, y]);
    expect([y.node, z.node]).toEqual([undefined, undefined]);
    expect([await y.array(), await z.array()]).toEqual([
      [2, 4],
      [3, 5],
    ]);
  });

  test("leaves of one structure share a Program, other structures do not", () => {
    // Literals and attributes are part of the structure; leaf values are not.
    const f = (x: number, by: number): number => lw.tensor([x, 1]).mul(by).sum().item();
    expect([f(1, 2), f(5, 2), f(5, 3)]).toEqual([4, 12, 18]);
    const [a, b] = [lw.tensor([1]), lw.tensor([2])];
    expect([a.add(a).item(), a.add(b).item(), b.sub(a).item(), a.sub(b).item()]).toEqual([
      2, 3, 1, -1,
    ]);
  });

  test("results that are literals, leaves, or the same tensor twice", () => {
    const x = lw.tensor([1, 2]);
    const f = lw.compile((t: lw.Tensor) => [
      t,
      t,
      lw.zeros([2]),
      lw.ones([]),
      x,
      t.reshape([2, 1]),
    ]);
    expect(f([3, 4]).map((y) => y.arraySync())).toEqual([
      [3, 4],
      [3, 4],
      [0, 0],
      1,
      [1, 2],
      [[3], [4]],
    ]);
  });
});

onEachBackend("loop", () => {
  const executable = (w: lw.Variable) =>
    trace({
      name: "step",
      inputs: [
        { name: "x", shape: [2, 3], dtype: "float32" },
        { name: "rate", shape: [], dtype: "float32" },
      ],
      body: ([x, rate]) => {
        const error = x!.matMul(w.reshape([3, 1])).sub(1);
        w.assign(w.sub(x!.matMul(error, true).reshape([3]).mul(rate!)));
        return [error.square().mean(), error];
      },
    });
  const data = uniform(1, 60);
  const rate = Float32Array.of(0.1);

  test("moving windows equal single runs, bit by bit", async () => {
    const [a, b] = [0, 1].map(() => lw.variable([0.5, -0.5, 1], { name: "w" })) as [
      lw.Variable,
      lw.Variable,
    ];
    const looped = executable(a);
    const single = executable(b);
    const outputs = [new Float32Array(10), new Float32Array(20)];
    const result = await looped.loop([data, rate], { steps: 10, advance: [6, 0], outputs });
    expect(result).toEqual({ steps: 10, reason: "done" });
    for (let s = 0; s < 10; s++) {
      const [loss, error] = single.runSync([data.subarray(6 * s, 6 * s + 6), rate]);
      expectSameBits(outputs[0]!.subarray(s, s + 1), loss!, `loss ${s}`);
      expectSameBits(outputs[1]!.subarray(2 * s, 2 * s + 2), error!, `error ${s}`);
    }
    expectSameBits(a.dataSync(), b.dataSync(), "weights");
    expect([...a.dataSync()]).not.toEqual([0.5, -0.5, 1]);
  });

  test("a window that stays, progress, and a stop before the first step", async () => {
    const w = lw.variable([0, 0, 0], { name: "w" });
    const outputs = [new Float32Array(4), new Float32Array(8)];
    const progress = new Int32Array(2);
    const loop = { steps: 4, advance: [0, 0], outputs, progress };
    expect((await executable(w).loop([data, rate], loop)).steps).toBe(4);
    expect(progress[0]).toBe(4);
    const fitted = w.dataSync().slice();
    progress[1] = 1;
    expect(await executable(w).loop([data, rate], loop)).toEqual({ steps: 0, reason: "aborted" });
    expectSameBits(w.dataSync(), fitted, "weights after a stop");
  });

  test("a watched output that is not finite ends the loop after its step", async () => {
    const w = lw.variable([0, 0, 0], { name: "w" });
    const spoiled = data.slice();
    spoiled[14] = NaN;
    const outputs = [new Float32Array(10), new Float32Array(20)];
    const result = await executable(w).loop([spoiled, rate], {
      steps: 10,
      advance: [6, 0],
      outputs,
      watch: [0],
    });
    expect(result).toEqual({ steps: 3, reason: "nonfinite" });
    expect(outputs[0]![2]).toBeNaN();
  });

  test("inputs are checked", () => {
    const w = lw.variable([0, 0, 0], { name: "w" });
    const step = executable(w);
    expect(() => step.runSync([data])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: step: expected 2 inputs, got 1]`,
    );
    expect(() => step.runSync([new Int32Array(6), rate])).toThrowErrorMatchingInlineSnapshot(
      `[DTypeError: step: input x: expected float32, got Int32Array(6)]`,
    );
    expect(() => step.runSync([data.subarray(0, 5), rate])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: step: input x: expected [2, 3] (6 elements), got Float32Array(5)]`,
    );
  });
});

onEachBackend("runSync of a small function, whose arrays stay bound", () => {
  const plusW = (w: lw.Variable) =>
    trace({
      name: "plusW",
      inputs: [{ name: "x", shape: [2], dtype: "float32" }],
      body: ([x]) => [x!.add(w), x!.mul(2)],
    });
  const run = (f: ReturnType<typeof plusW>, ...x: number[]) =>
    f.runSync([Float32Array.from(x)]).map((values) => [...values]);

  test("gives results of their own", () => {
    const f = plusW(lw.variable([1, 1]));
    const first = f.runSync([Float32Array.of(1, 2)]);
    expect(run(f, 5, 6)).toEqual([
      [6, 7],
      [10, 12],
    ]);
    expect(first.map((values) => [...values])).toEqual([
      [2, 3],
      [2, 4],
    ]);
  });

  test("follows variables, also where their storage is taken away", () => {
    const w = lw.variable([1, 1]);
    const f = plusW(w);
    expect(run(f, 1, 2)[0]).toEqual([2, 3]);
    w.assign([10, 20]);
    expect(run(f, 1, 2)[0]).toEqual([11, 22]);
    const storage = w.storage();
    structuredClone(storage, { transfer: [storage.buffer as ArrayBuffer] });
    expect(() => run(f, 1, 2)).toThrow(/0/);
    w.assign([3, 4]);
    expect(run(f, 1, 2)[0]).toEqual([4, 6]);
  });

  test("follows the choice of backend", () => {
    const f = plusW(lw.variable([1, 1]));
    const want = run(f, 1, 2);
    const now = lw.backendInfo().backend;
    lw.setBackend("typescript");
    const load = vi.spyOn(backend(), "load");
    expect(run(f, 1, 2)).toEqual(want);
    expect(load).toHaveBeenCalledTimes(now === "typescript" ? 0 : 1);
    load.mockRestore();
    lw.setBackend(now);
    expect(run(f, 1, 2)).toEqual(want);
  });

  test("takes no array that is too long", () => {
    expect(() => run(plusW(lw.variable([1, 1])), 1, 2, 3)).toThrow(/3/);
  });
});

test.runIf(lw.backendInfo().backend === "native")(
  "an error of a run off the event loop shows who waits for it",
  async () => {
    const f = trace({
      name: "look up",
      inputs: [{ name: "i", shape: [1], dtype: "int32" }],
      body: ([i]) => [lw.gather(lw.tensor([1, 2]), i!)],
    });
    async function whoAsks(): Promise<void> {
      await f.run([Int32Array.of(7)]);
    }
    const error = await whoAsks().catch((e: unknown) => e);
    expect((error as Error).message).toContain("index 7");
    expect((error as Error).stack).toContain("whoAsks");
  },
);

test.runIf(lw.backendInfo().backend === "native")("large arrays begin with a cache line", () => {
  const { addon } = backend() as NativeBackend;
  const lineOf = (array: lw.TypedArray) =>
    (addon.lineOffset(array.buffer as ArrayBuffer) + array.byteOffset) % 64;
  for (const size of [1024, 1025, 100_000, 3_000_000]) {
    for (let i = 0; i < 4; i++) {
      const array = allocate("float32", size);
      expect([lineOf(array), array.length]).toEqual([0, size]);
      expect(lineOf(lw.fill([size], 1).add(i).dataSync())).toBe(0);
    }
  }
  expect(allocate("uint8", 4095).byteOffset).toBe(0);
  const none = new Uint8Array(3) as unknown as ArrayBuffer;
  expect(() => addon.lineOffset(none)).toThrow("lineOffset: expected an ArrayBuffer");
  expect(() => addon.hugePages(none)).toThrow("hugePages: expected an ArrayBuffer");
});

onEachBackend("a training step by hand", () => {
  test("descends, and equals the same steps op by op", () => {
    const x = lw.tensor(uniform(1, 64), [16, 4]);
    const y = x.matMul(lw.tensor([1, -2, 3, 0.5], [4, 1])).add(0.25);
    const make = () => [
      lw.variable(lw.zeros([4, 1]), { name: "w" }),
      lw.variable(lw.zeros([1]), { name: "b" }),
    ];
    const step = ([w, b]: lw.Variable[]) => {
      const loss = (): lw.Tensor => x.matMul(w!).add(b!).sub(y).square().mean();
      const { value, grads } = lw.variableGrads(loss);
      w!.assign(w!.sub(grads.w!.mul(0.3)));
      b!.assign(b!.sub(grads.b!.mul(0.3)));
      return value;
    };
    const [compiled, eager] = [make(), make()];
    const f = lw.compile(() => step(compiled));
    for (let i = 0; i < 60; i++) {
      const [a, b] = [f().item(), step(eager).item()];
      expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-5 * Math.abs(b) + 1e-9);
    }
    expectClose(compiled[0]!.dataSync(), eager[0]!.dataSync(), { atol: 1e-5 });
    expect(f().item()).toBeLessThan(1e-2);
  });
});
