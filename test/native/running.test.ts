/**
 * Running Programs off the JavaScript thread: order and fairness, the loop's windows, progress, stop
 * and watch, several environments at once, and ends in mid-run. Child processes prove what would
 * otherwise take this one down.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { addon, addonPath, floats, loop, ProgramBuilder, run, type Typed } from "./builder.js";

const { threads } = addon.info();
afterAll(() => addon.setThreads(threads));

/** y += x over n elements, and loss = Σ y. */
function accumulator(n: number): object {
  const p = new ProgramBuilder();
  const x = p.bind("float32", [n], "read");
  const y = p.bind("float32", [n]);
  const loss = p.bind("float32", [1]);
  p.call("map", [x, y], [y], [], [], {
    dims: [n],
    strides: [[1], [1]],
    instructions: [{ op: "add", dst: 2, args: [0, 1] }],
    results: [2],
  });
  p.call("reduce", [y], [loss], [0], [1], {
    dims: [1, n, 1],
    strides: [[n, 1, 1]],
    instructions: [],
    results: [0],
  });
  return p.load();
}

/** A step of about a millisecond: a chain of products. */
function slow(size = 192, links = 4): { handle: object; bindings: () => Typed[] } {
  const p = new ProgramBuilder();
  const [a, b] = [p.bind("float32", [size, size]), p.bind("float32", [size, size])];
  const tile = {
    dims: [size, size],
    strides: [[size, 1]],
    instructions: [{ op: "tanh", dst: 1, args: [0] }],
    results: [1],
  };
  const ints = [1, size, size, size, 0, 0, 0, 0];
  for (let i = 0; i < links; i++) {
    const c = p.arena("float32", [size, size]);
    p.call("gemm", [a, b], [c], ints, [], tile);
    p.call("gemm", [c, b], [a], ints, [], tile);
  }
  return { handle: p.load(), bindings: () => [floats(size * size, 1), floats(size * size, 2)] };
}

describe("run", () => {
  it("gives what runSync gives", async () => {
    const { handle, bindings } = slow(64);
    const [here, there] = [bindings(), bindings()];
    addon.runSync(handle, here);
    await run(handle, there);
    expect(there).toEqual(here);
  });

  it("runs many at once, mixed with runSync, each on its own arena", async () => {
    const { handle, bindings } = slow(64);
    const want = bindings();
    addon.runSync(handle, want);
    const all = Array.from({ length: 50 }, bindings);
    const runs = all.map((b) => run(handle, b));
    for (let i = 0; i < 20; i++) {
      const here = bindings();
      addon.runSync(handle, here);
      expect(here[0]).toEqual(want[0]);
    }
    await Promise.all(runs);
    for (const b of all) expect(b[0]).toEqual(want[0]);
  });

  it("keeps bindings alive that nobody else holds", async () => {
    const { handle, bindings } = slow(128);
    const pressure: unknown[] = [];
    const runs = Array.from({ length: 20 }, () => run(handle, bindings()));
    for (let i = 0; i < 200; i++) pressure.push(new Float32Array(10000).fill(i));
    await Promise.all(runs);
    expect(pressure.length).toBe(200);
  });

  it("reports data errors to the callback", async () => {
    const p = new ProgramBuilder();
    p.call(
      "gather",
      [p.bind("float32", [3]), p.bind("int32", [1])],
      [p.bind("float32", [1])],
      [1, 3, 1, 1],
    );
    const handle = p.load();
    const bindings = [new Float32Array(3), Int32Array.of(-1), new Float32Array(1)];
    await expect(run(handle, bindings)).rejects.toThrow(
      "gather: index -1 at position 0 lies outside [0, 3) (Program call 0)",
    );
    await expect(loop(handle, bindings, [0, 0, 0], 3)).rejects.toThrow("index -1");
    bindings[1]![0] = 2;
    await run(handle, bindings);
  });

  it("gives the same bits at every thread count", async () => {
    const { handle, bindings } = slow(200);
    const results: Typed[][] = [];
    for (const count of [1, 2, 3, 5]) {
      addon.setThreads(count);
      const b = bindings();
      await loop(handle, b, [0, 0], 5);
      results.push(b);
    }
    for (const other of results) expect(other).toEqual(results[0]);
  });
});

describe("bind", () => {
  it("makes a function that does runSync with the same arrays, again and again", () => {
    const handle = accumulator(7);
    const bindings = [floats(7, 1), new Float32Array(7), new Float32Array(1)];
    const want = bindings.map((b) => b.slice()) as Typed[];
    const bound = addon.bind(handle, bindings);
    // The list is the function's own.
    const list = bindings.splice(0);
    for (let i = 0; i < 3; i++) {
      expect(bound()).toBeUndefined();
      addon.runSync(handle, want);
      expect(list).toEqual(want);
    }
  });

  it("keeps its Program and its arrays alive", () => {
    const bound = Array.from({ length: 50 }, () => {
      const { handle, bindings } = slow(64, 1);
      return addon.bind(handle, bindings());
    });
    const pressure: unknown[] = [];
    for (let i = 0; i < 200; i++) pressure.push(new Float32Array(10000).fill(i));
    for (const run of bound) run();
    expect(pressure.length).toBe(200);
  });

  it("throws data errors, and works again after one", () => {
    const p = new ProgramBuilder();
    const [table, index] = [p.bind("float32", [3]), p.bind("int32", [1])];
    p.call("gather", [table, index], [p.bind("float32", [1])], [1, 3, 1, 1]);
    const bindings = [Float32Array.of(5, 6, 7), Int32Array.of(3), new Float32Array(1)];
    const bound = addon.bind(p.load(), bindings);
    expect(bound).toThrow("gather: index 3 at position 0 lies outside [0, 3) (Program call 0)");
    bindings[1]![0] = 2;
    bound();
    expect(bindings[2]![0]).toBe(7);
  });
});

describe("loop", () => {
  it("moves windows by their advance", async () => {
    const x = floats(7 * 3, 1);
    const y = new Float32Array(7);
    const losses = new Float32Array(5);
    const result = await loop(accumulator(7), [x, y, losses], [3, 0, 1], 5);
    expect(result).toEqual({ steps: 5, reason: "done" });
    const want = new Float32Array(7);
    for (let s = 0; s < 5; s++) {
      for (let i = 0; i < 7; i++) want[i] = Math.fround(want[i]! + x[s * 3 + i]!);
      expect(losses[s]).toBeCloseTo(
        want.reduce((a, b) => a + b, 0),
        5,
      );
    }
    expect(y).toEqual(want);
  });

  it("takes no step at all when asked for none or stopped before", async () => {
    const bindings = [floats(7, 1), new Float32Array(7), new Float32Array(1)];
    expect(await loop(accumulator(7), bindings, [0, 0, 0], 0)).toEqual({
      steps: 0,
      reason: "done",
    });
    const progress = Int32Array.of(0, 1);
    expect(await loop(accumulator(7), bindings, [0, 0, 0], 9, progress)).toEqual({
      steps: 0,
      reason: "aborted",
    });
    expect(bindings[1]).toEqual(new Float32Array(7));
  });

  it("reports progress and stops on request", async () => {
    const progress = new Int32Array(new SharedArrayBuffer(8));
    const { handle, bindings } = slow();
    const running = loop(handle, bindings(), [0, 0], 1e6, progress);
    while (Atomics.load(progress, 0) < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    Atomics.store(progress, 1, 1);
    const { steps, reason } = await running;
    expect(reason).toBe("aborted");
    expect(steps).toBe(progress[0]);
    expect(steps).toBeGreaterThanOrEqual(3);
  });

  it("stops after the step that left a NaN or infinity in a watched binding", async () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const x = new Float32Array(70).fill(1);
      x[7 * 4 + 2] = bad;
      const y = new Float32Array(7);
      const result = await loop(
        accumulator(7),
        [x, y, new Float32Array(10)],
        [7, 0, 1],
        10,
        null,
        [1],
      );
      expect(result).toEqual({ steps: 5, reason: "nonfinite" });
    }
  });

  it("lets short runs go first", async () => {
    const { handle, bindings } = slow();
    const progress = new Int32Array(2);
    const running = loop(handle, bindings(), [0, 0], 1e6, progress);
    const quick = accumulator(7);
    for (let i = 0; i < 20; i++) {
      await run(quick, [new Float32Array(7), new Float32Array(7), new Float32Array(1)]);
      addon.runSync(quick, [new Float32Array(7), new Float32Array(7), new Float32Array(1)]);
    }
    Atomics.store(progress, 1, 1);
    const { reason } = await running;
    expect(reason).toBe("aborted");
  });
});

describe("pause", () => {
  it("waits for the step in progress and holds all jobs until it is taken back", async () => {
    const { handle, bindings } = slow();
    const progress = new Int32Array(2);
    const running = loop(handle, bindings(), [0, 0], 1e6, progress);
    while (progress[0]! < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    addon.pause();
    addon.pause();
    const at = progress[0];
    addon.resume();
    const other = run(handle, bindings());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(progress[0]).toBe(at);
    addon.resume();
    await other;
    while (progress[0]! === at) await new Promise((resolve) => setTimeout(resolve, 1));
    Atomics.store(progress, 1, 1);
    expect((await running).reason).toBe("aborted");
    expect(() => addon.resume()).toThrow("resume: there was no pause()");
  });
});

/** Runs in a worker or child: loads the addon, loops a slow Program given as words. */
const inside = `
  const { parentPort, workerData } = require("node:worker_threads");
  const data = workerData ?? JSON.parse(process.argv[1]);
  const addon = require(data.path);
  if (data.threads) addon.setThreads(data.threads);
  const handle = addon.load(Int32Array.from(data.words), Float64Array.from(data.floats), Uint8Array.from(data.constants));
  const n = data.size * data.size;
  const bindings = [0, 1].map((k) => Float32Array.from({ length: n }, (_, i) => Math.sin(i + k)));
  const advance = new Float64Array(2);
  const start = (steps, done) => addon.loop(handle, bindings, advance, steps, null, new Int32Array(0), done);
`;

function slowWords(size: number) {
  const p = new ProgramBuilder();
  const [a, b] = [p.bind("float32", [size, size]), p.bind("float32", [size, size])];
  const c = p.arena("float32", [size, size]);
  const tile = {
    dims: [size, size],
    strides: [[size, 1]],
    instructions: [{ op: "tanh", dst: 1, args: [0] }],
    results: [1],
  };
  p.call("gemm", [a, b], [c], [1, size, size, size, 0, 0, 0, 0], [], tile);
  p.call("gemm", [c, b], [a], [1, size, size, size, 0, 0, 0, 0], [], tile);
  const { words, floats: numbers, constants } = p.encode();
  return {
    path: addonPath,
    size,
    words: [...words],
    floats: [...numbers],
    constants: [...constants],
  };
}

describe("environments", () => {
  it("computes the same in several workers at once", async () => {
    const code = `${inside} start(30, (error, steps) => parentPort.postMessage(error ? String(error) : Array.from(bindings[0])));`;
    const workers = Array.from({ length: 4 }, () => {
      const worker = new Worker(code, { eval: true, workerData: slowWords(96) });
      return new Promise<number[]>((resolve, reject) => {
        worker.once("message", resolve).once("error", reject);
      });
    });
    const [first, ...others] = await Promise.all(workers);
    expect(first!.length).toBe(96 * 96);
    for (const other of others) expect(other).toEqual(first);
  });

  it("survives workers terminated in mid-run", async () => {
    const code = `${inside} start(1e9, () => {}); for (let i = 0; i < 5; i++) start(1e9, () => {}); parentPort.postMessage("up");`;
    for (let turn = 0; turn < 6; turn++) {
      const workers = Array.from(
        { length: 2 },
        () => new Worker(code, { eval: true, workerData: slowWords(128) }),
      );
      await Promise.all(workers.map((w) => new Promise((resolve) => w.once("message", resolve))));
      await new Promise((resolve) => setTimeout(resolve, turn * 3));
      expect(await Promise.all(workers.map((w) => w.terminate()))).toEqual([1, 1]);
    }
    // The pool and the queue still work.
    const { handle, bindings } = slow(64);
    await run(handle, bindings());
  });

  it("goes on when a worker ends in mid-pause", async () => {
    const code = `${inside} start(1e9, () => {}); addon.pause(); parentPort.postMessage("up");`;
    const worker = new Worker(code, { eval: true, workerData: slowWords(64) });
    await new Promise((resolve) => worker.once("message", resolve));
    await worker.terminate();
    const { handle, bindings } = slow(64);
    await run(handle, bindings());
  });

  const child = (code: string, size = 128) =>
    promisify(execFile)(process.execPath, [
      "-e",
      `${inside}\n${code}`,
      JSON.stringify(slowWords(size)),
    ]);

  it("exits in mid-run", async () => {
    await child("start(1e9, () => {}); setTimeout(() => process.exit(0), 20);");
    await child("start(1e9, () => {}); start(1e9, () => {}); process.exit(0);");
    // An addon that only a worker loaded must outlive it: the pool's threads are still there.
    const onlyWorker = `
      const { Worker } = require("node:worker_threads");
      const worker = new Worker(${JSON.stringify(`${inside} start(1e9, () => {}); parentPort.postMessage("up");`)},
        { eval: true, workerData: JSON.parse(process.argv[1]) });
      worker.once("message", async () => { await worker.terminate(); setTimeout(() => process.exit(0), 50); });
    `;
    await promisify(execFile)(process.execPath, [
      "-e",
      onlyWorker,
      JSON.stringify({ ...slowWords(128), threads: 3 }),
    ]);
  });

  it("keeps the process alive for its runs and not longer", async () => {
    const { stdout } = await child(
      "start(40, (error, steps, reason) => console.log(steps, reason));",
    );
    expect(stdout.trim()).toBe("40 done");
  });

  it("fails like any callback when a callback throws", async () => {
    const { stdout } = await child(
      'process.on("uncaughtException", (e) => console.log("caught", e.message)); start(1, () => { throw new Error("mine"); });',
    );
    expect(stdout.trim()).toBe("caught mine");
  });
});
