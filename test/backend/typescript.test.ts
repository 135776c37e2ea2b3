/** The TypeScript executor: bindings, arenas, turns, loops, and what it refuses. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { TypeScriptBackend } from "../../src/backend/typescript.js";
import type { Call, Program } from "../../src/compiler/program.js";
import { ArgumentError, BackendError } from "../../src/errors.js";
import { tileOf } from "../kernels/case.js";
import { outcome } from "./noCodegen.js";

const backend = new TypeScriptBackend();

/** y = x + 1, then z = y · x, with y in the arena. */
function program(size: number): Program {
  const plusOne = tileOf([size], [[1]], (emit) => [emit("add", [0, emit("constFloat", [], 1)])]);
  const product = tileOf([size], [[1], [1]], (emit) => [emit("mul", [0, 1])]);
  const map = { kernel: "map", ints: [], floats: [] };
  return {
    tensors: [
      { dtype: "float32", shape: [size], place: { kind: "binding", index: 0 } },
      { dtype: "float32", shape: [size], place: { kind: "arena", offset: 0 } },
      { dtype: "float32", shape: [size], place: { kind: "binding", index: 1 } },
    ],
    bindings: [
      { name: "x", dtype: "float32", size, access: "read" },
      { name: "z", dtype: "float32", size, access: "write" },
    ],
    calls: [
      { ...map, inputs: [0], outputs: [1], tile: plusOne },
      { ...map, inputs: [1, 0], outputs: [2], tile: product },
    ],
    arenaBytes: 4 * size,
    constants: new Uint8Array(0),
  };
}

/** w += x, a step of training in miniature; `slow` calls make it take a while. */
function accumulate(size: number, slow = 0): Program {
  const add = tileOf([size], [[1], [1]], (emit) => [emit("add", [0, 1])]);
  const sum: Call = {
    kernel: "map",
    inputs: [0, 1],
    outputs: [0],
    ints: [],
    floats: [],
    tile: add,
  };
  const work = 400;
  const product: Call = {
    kernel: "gemm",
    inputs: [2, 2],
    outputs: [3],
    ints: [1, work, work, work, 0, 0, 0, 0],
    floats: [],
  };
  return {
    tensors: [
      { dtype: "float32", shape: [size], place: { kind: "binding", index: 0 } },
      { dtype: "float32", shape: [size], place: { kind: "binding", index: 1 } },
      { dtype: "float32", shape: [work, work], place: { kind: "arena", offset: 0 } },
      { dtype: "float32", shape: [work, work], place: { kind: "arena", offset: 4 * work * work } },
    ],
    bindings: [
      { name: "w", dtype: "float32", size, access: "readwrite" },
      { name: "x", dtype: "float32", size, access: "read" },
    ],
    calls: [...Array.from({ length: slow }, () => product), sum],
    arenaBytes: 8 * work * work,
    constants: new Uint8Array(0),
  };
}

describe("running", () => {
  test("runSync and run fill the written bindings", async () => {
    const loaded = backend.load(program(3));
    const z = new Float32Array(3);
    loaded.runSync([Float32Array.of(1, 2, 3), z]);
    expect([...z]).toEqual([2, 6, 12]);
    await loaded.run([Float32Array.of(-2, 0, 1), z]);
    expect([...z]).toEqual([2, 0, 2]);
  });

  test("constants are read from the blob, also from an unaligned one", () => {
    const blob = new Uint8Array(67).subarray(3);
    new DataView(blob.buffer).setFloat32(3, 2.5, true);
    const copy: Program = {
      tensors: [
        { dtype: "float32", shape: [], place: { kind: "constant", offset: 0 } },
        { dtype: "float32", shape: [], place: { kind: "binding", index: 0 } },
      ],
      bindings: [{ name: "y", dtype: "float32", size: 1, access: "write" }],
      calls: [{ kernel: "copy", inputs: [0], outputs: [1], ints: [0, 0, 0], floats: [] }],
      arenaBytes: 0,
      constants: blob,
    };
    const y = new Float32Array(1);
    backend.load(copy).runSync([y]);
    expect(y[0]).toBe(2.5);
  });

  test("concurrent runs, and a runSync between them, don't share an arena", async () => {
    const size = 50_000;
    const loaded = backend.load(program(size));
    const inputs = Array.from({ length: 30 }, (_, i) => new Float32Array(size).fill(i));
    const outputs = inputs.map(() => new Float32Array(size));
    const running = inputs.map((x, i) => loaded.run([x, outputs[i]!]));
    const z = new Float32Array(size);
    loaded.runSync([new Float32Array(size).fill(9), z]);
    expect(z[size - 1]).toBe(90);
    await Promise.all(running);
    for (const [i, output] of outputs.entries()) {
      expect(output[0]).toBe(i * (i + 1));
      expect(output[size - 1]).toBe(i * (i + 1));
    }
  });

  test("timers fire while a long run works", async () => {
    const loaded = backend.load(accumulate(1, 20));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await loaded.run([new Float32Array(1), Float32Array.of(1)]);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(3);
  });
});

describe("loop", () => {
  test("windows move by `advance`, and what a step wrote the next one reads", async () => {
    const loaded = backend.load(accumulate(2));
    const w = new Float32Array(2);
    const x = Float32Array.of(1, 2, 3, 4, 5, 6);
    const progress = new Int32Array(2);
    const result = await loaded.loop([w, x], { steps: 3, advance: [0, 2], progress });
    expect(result).toEqual({ steps: 3, reason: "done" });
    expect([...w]).toEqual([9, 12]);
    expect(progress[0]).toBe(3);
  });

  test("overlapping windows", async () => {
    const w = new Float32Array(2);
    await backend.load(accumulate(2)).loop([w, Float32Array.of(1, 2, 3, 4)], {
      steps: 3,
      advance: [0, 1],
    });
    expect([...w]).toEqual([6, 9]);
  });

  test("stops within a step that has written nothing yet, else after it", async () => {
    const before = accumulate(1, 20);
    const after = { ...before, calls: [...before.calls].reverse() };
    const outcomes = [];
    for (const made of [before, after]) {
      const w = new Float32Array(1);
      const progress = new Int32Array(2);
      // Runs in the first pause, in mid-step: twenty products take far longer than a slice.
      setTimeout(() => Atomics.store(progress, 1, 1), 0);
      const spec = { steps: 50, advance: [0, 0], progress };
      const result = await backend.load(made).loop([w, Float32Array.of(1)], spec);
      outcomes.push([result, w[0]]);
    }
    expect(outcomes).toEqual([
      [{ steps: 0, reason: "aborted" }, 0],
      [{ steps: 1, reason: "aborted" }, 1],
    ]);
  });

  test("stops before the next step when asked to", async () => {
    const loaded = backend.load(accumulate(1, 3));
    const progress = new Int32Array(2);
    const running = loaded.loop([new Float32Array(1), Float32Array.of(1)], {
      steps: 100_000,
      advance: [0, 0],
      progress,
    });
    setTimeout(() => Atomics.store(progress, 1, 1), 30);
    const { steps, reason } = await running;
    expect(reason).toBe("aborted");
    expect(steps).toBe(progress[0]);
    expect(steps).toBeLessThan(100_000);
  });

  test("ends after the step that left a NaN or an infinity", async () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const w = new Float32Array(1);
      const result = await backend.load(accumulate(1)).loop([w, Float32Array.of(1, 2, bad, 4)], {
        steps: 4,
        advance: [0, 1],
        watch: [0],
      });
      expect(result).toEqual({ steps: 3, reason: "nonfinite" });
    }
  });

  test("lets other runs go first between steps", async () => {
    const loop = backend.load(accumulate(1, 2));
    const other = backend.load(program(3));
    const progress = new Int32Array(2);
    const running = loop.loop([new Float32Array(1), Float32Array.of(1)], {
      steps: 12,
      advance: [0, 0],
      progress,
    });
    const z = new Float32Array(3);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await other.run([Float32Array.of(1, 2, 3), z]);
    expect([...z]).toEqual([2, 6, 12]);
    expect(progress[0]).toBeLessThan(12);
    await running;
  });
});

test("without code generation from strings, tile programs are interpreted", () => {
  const script = fileURLToPath(new URL("noCodegen.ts", import.meta.url));
  const flags = ["--disallow-code-generation-from-strings", "--import", "tsx"];
  const there = JSON.parse(
    execFileSync(process.execPath, [...flags, script], { encoding: "utf8" }),
  );
  const here = outcome();
  expect(here.forbidden).toBe(false);
  expect(there).toEqual({ forbidden: true, checksum: here.checksum });
});

describe("refusals", () => {
  test("bindings that don't fit", () => {
    const loaded = backend.load(program(3));
    const z = new Float32Array(3);
    expect(() => loaded.runSync([z])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: run: expected 2 bindings, got 1]`,
    );
    expect(() => loaded.runSync([new Float32Array(2), z])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: binding x: expected a float32 array of 3, got Float32Array(2)]`,
    );
    expect(() => loaded.runSync([new Int32Array(3), z])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: binding x: expected a float32 array of 3, got Int32Array(3)]`,
    );
  });

  test("loops that leave their arrays", async () => {
    const loaded = backend.load(accumulate(2));
    const arrays = [new Float32Array(2), new Float32Array(5)];
    const loop = (advance: number[], watch?: number[]) =>
      loaded.loop(arrays, { steps: 3, advance, ...(watch && { watch }) });
    await expect(loop([0, 2])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: binding x: expected a float32 array of at least 6, got Float32Array(5)]`,
    );
    await expect(loop([0])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: loop: expected 2 advances, got 1]`,
    );
    await expect(loop([0, 1], [7])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: loop: expected float32 bindings to watch, got 7]`,
    );
  });

  test("a data error stops the run, and the next one works", async () => {
    const gather: Program = {
      tensors: [
        { dtype: "float32", shape: [4], place: { kind: "binding", index: 0 } },
        { dtype: "int32", shape: [2], place: { kind: "binding", index: 1 } },
        { dtype: "float32", shape: [2], place: { kind: "binding", index: 2 } },
      ],
      bindings: [
        { name: "x", dtype: "float32", size: 4, access: "read" },
        { name: "i", dtype: "int32", size: 2, access: "read" },
        { name: "y", dtype: "float32", size: 2, access: "write" },
      ],
      calls: [{ kernel: "gather", inputs: [0, 1], outputs: [2], ints: [1, 4, 1, 2], floats: [] }],
      arenaBytes: 0,
      constants: new Uint8Array(0),
    };
    const loaded = backend.load(gather);
    const x = Float32Array.of(1, 2, 3, 4);
    const y = new Float32Array(2);
    expect(() => loaded.runSync([x, Int32Array.of(3, 4), y])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: gather: index 4 at position 1 lies outside [0, 4) (Program call 0)]`,
    );
    await expect(loaded.run([x, Int32Array.of(-1, 0), y])).rejects.toThrow(ArgumentError);
    await loaded.run([x, Int32Array.of(3, 0), y]);
    expect([...y]).toEqual([4, 1]);
  });

  test("a malformed Program does not load", () => {
    const good = program(3);
    const bad: Program = { ...good, calls: [{ ...good.calls[0]!, kernel: "mop" }] };
    expect(() => backend.load(bad)).toThrow(BackendError);
    expect(() => backend.load(bad)).toThrowErrorMatchingInlineSnapshot(
      `[BackendError: invalid Program: call 0 (mop): there is no such kernel]`,
    );
  });
});
