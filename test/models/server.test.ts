/** model.server: joining, waiting, refusing, aborting, closing; and that results are predict's. */
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { setBackend } from "../../src/backend/select.js";
import { OverloadError, StateError } from "../../src/errors.js";
import { add, dense, flatten, lambda } from "../../src/layers/layers.js";
import { model as functional } from "../../src/models/model.js";
import { sequential } from "../../src/models/sequential.js";
import { input } from "../../src/network/network.js";
import { gather } from "../../src/ops/gather.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { backends, blobNetwork, blobs, defaultBackend } from "./helpers.js";

beforeEach(() => setRandomSeed(1));
afterEach(defaultBackend);

const never = 60_000;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
/** Rows of `blobs` as samples of their own. */
const rows = ({ x }: { x: Float32Array }) =>
  Array.from({ length: x.length / 2 }, (_, i) => x.slice(2 * i, 2 * i + 2));
/** What became of promises, in short. */
const outcomes = async (promises: Promise<unknown>[]) =>
  (await Promise.allSettled(promises)).map((r) =>
    r.status === "fulfilled" ? "result" : (r.reason as Error).name,
  );

/** y = [2, 4, 6][index]: fails for an index that is not there. */
function lookup() {
  const index = input({ shape: [1], dtype: "int32", name: "index" });
  const layer = lambda({ function: (i) => gather(tensor([2, 4, 6]), i) });
  return functional({ inputs: index, outputs: layer.apply(index) as typeof index });
}

describe.each(backends)("a server (%s)", (backend) => {
  beforeEach(() => setBackend(backend));

  test("gives what predict gives for each sample, without the batch dimension", async () => {
    const model = blobNetwork();
    const samples = rows(blobs(150));
    const server = model.server({ maxBatch: 13 });
    const got = await Promise.all(samples.map((s) => server.predict(s)));
    for (const [i, result] of got.entries()) {
      const alone = await model.predict(samples[i]!);
      expect(result.shape).toEqual([3]);
      expectClose(result.dataSync(), alone.dataSync(), { rtol: 1e-6 }, `sample ${i}`);
    }
    expect(server.stats()).toMatchObject({ requests: 150, completed: 150, batches: 12 });
  });

  test("takes tensors, lazy ones too, nested arrays and other element types", async () => {
    const model = sequential([dense({ units: 1, inputShape: [2] })]);
    model.setWeights([tensor([[10], [1]]), tensor([0])]);
    const server = model.server();
    const samples = [
      [1, 2],
      tensor([1, 2]),
      tensor([0, 1]).add(1),
      Uint8Array.of(1, 2),
      Int32Array.of(1, 2),
      [tensor([1, 2])],
    ];
    const results = await Promise.all(samples.map((s) => server.predict(s as Tensor)));
    expect(results.map((t) => t.item())).toEqual([12, 12, 12, 12, 12, 12]);
  });

  test("serves several inputs and outputs, in order or by name", async () => {
    const a = input({ shape: [2], name: "a" });
    const b = input({ shape: [2, 1], name: "b" });
    const sum = add().apply([a, flatten().apply(b) as typeof b]) as typeof a;
    const double = lambda({ function: (t) => t.mul(2) }).apply(sum) as typeof a;
    const server = functional({ inputs: [a, b], outputs: [sum, double] }).server();
    const [one, two] = await Promise.all([
      server.predict([tensor([1, 2]), tensor([[10], [20]])]),
      server.predict({ b: [[1], [1]], a: [0, 5] }),
    ]);
    expect(one.map((t) => t.arraySync())).toEqual([
      [11, 22],
      [22, 44],
    ]);
    expect(two.map((t) => t.arraySync())).toEqual([
      [1, 6],
      [2, 12],
    ]);
    expect(server.stats().batches).toBe(1);
    await expect(server.predict({ a: [0, 5] })).rejects.toThrow('no data for input "b"');
  });

  test("rejects only the samples that make a run fail", async () => {
    const server = lookup().server();
    const asked = [0, 7, 2, -1, 1].map((i) => server.predict(Int32Array.of(i)));
    expect(await outcomes(asked)).toEqual([
      "result",
      "ArgumentError",
      "result",
      "ArgumentError",
      "result",
    ]);
    expect((await asked[2]!).arraySync()).toEqual([6]);
    await expect(asked[1]).rejects.toThrow("index 7");
    expect(server.stats()).toMatchObject({ requests: 5, completed: 3, failed: 2 });
    // What was in the batch before must not fail the next, padded one, which would run in parts then.
    const { batches } = server.stats();
    const next = await Promise.all([0, 1, 2].map((i) => server.predict(Int32Array.of(i))));
    expect(next.map((t) => t.item())).toEqual([2, 4, 6]);
    expect(server.stats().batches).toBe(batches + 1);
  });
});

describe("joining", () => {
  test("what comes in one turn of the event loop is one batch, up to maxBatch", async () => {
    const server = blobNetwork().server({ maxBatch: 4 });
    await Promise.all(rows(blobs(4)).map((s) => server.predict(s)));
    expect(server.stats().batches).toBe(1);
    await Promise.all(rows(blobs(9)).map((s) => server.predict(s)));
    expect(server.stats()).toMatchObject({ batches: 4, meanBatch: 13 / 4 });
  });

  test("what comes while a batch runs makes up the next", async () => {
    const server = blobNetwork().server();
    const [first, ...others] = rows(blobs(6));
    const one = server.predict(first!);
    await nextTurn();
    expect(server.stats()).toMatchObject({ running: 1, waiting: 0 });
    const rest = others.map((s) => server.predict(s));
    expect(server.pending).toBe(6);
    await Promise.all([one, ...rest]);
    expect(server.stats()).toMatchObject({ batches: 2, running: 0, waiting: 0 });
  });

  test("with maxDelay, waits for as many as were under way together", async () => {
    const server = blobNetwork().server({ maxDelay: never });
    const samples = rows(blobs(3));
    await Promise.all(samples.map((s) => server.predict(s)));
    expect(server.stats().batches).toBe(1);
    const first = server.predict(samples[0]!);
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    const second = server.predict(samples[1]!);
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(server.stats()).toMatchObject({ waiting: 2, running: 0 });
    await Promise.all([first, second, server.predict(samples[2]!)]);
    expect(server.stats()).toMatchObject({ batches: 2, meanBatch: 3 });
  });

  test("waits no longer than maxDelay, and then expects fewer", async () => {
    const server = blobNetwork().server({ maxDelay: 5 });
    const [a, b, c] = rows(blobs(3));
    await Promise.all([server.predict(a!), server.predict(b!)]);
    await server.predict(c!);
    expect(server.stats()).toMatchObject({ batches: 2, completed: 3 });
  });

  test("a lone caller does not wait for company", async () => {
    const server = blobNetwork().server({ maxDelay: never });
    for (const sample of rows(blobs(5))) await server.predict(sample);
    expect(server.stats()).toMatchObject({ batches: 5, meanBatch: 1 });
  });

  test("only samples of one shape share a batch", async () => {
    const x = input({ shape: [null, 2] });
    const y = dense({ units: 1 }).apply(x) as typeof x;
    const server = functional({ inputs: x, outputs: y }).server();
    const sample = (length: number) => tensor(new Float32Array(2 * length), [length, 2]);
    const results = await Promise.all([1, 3, 1, 3, 1].map((n) => server.predict(sample(n))));
    expect(results.map((t) => t.shape)).toEqual([1, 3, 1, 3, 1].map((n) => [n, 1]));
    expect(server.stats().batches).toBe(2);
  });

  test("uses the weights of the time", async () => {
    const model = sequential([dense({ units: 1, inputShape: [1] })]);
    const server = model.server();
    model.setWeights([tensor([[2]]), tensor([1])]);
    expect((await server.predict([3])).item()).toBe(7);
    model.setWeights([tensor([[-1]]), tensor([0])]);
    expect((await server.predict([3])).item()).toBe(-3);
  });

  test("leaves the event loop free", async () => {
    const server = blobNetwork().server();
    let turns = 0;
    let asking = true;
    const count = (): void => {
      turns++;
      if (asking) setImmediate(count);
    };
    count();
    for (const sample of rows(blobs(20))) await server.predict(sample);
    asking = false;
    expect(turns).toBeGreaterThanOrEqual(20);
  });
});

describe("refusing", () => {
  test("a sample that does not fit, by itself", async () => {
    const server = blobNetwork().server();
    const good = server.predict([1, 2]);
    const bad = [[1, 2, 3], [[1, 2]], new Float32Array(3), new Float32Array(4), "text", undefined];
    const messages = await Promise.all(
      bad.map((sample) =>
        server.predict(sample as number[]).then(
          () => "taken",
          (error: Error) => `${error.name}: ${error.message}`.replaceAll(/_\d+/g, ""),
        ),
      ),
    );
    expect(messages).toMatchInlineSnapshot(`
      [
        "ShapeError: predict() of the server of model "sequential": expected a sample of input "dense_input" of shape [2], got [3]",
        "ShapeError: predict() of the server of model "sequential": expected a sample of input "dense_input" of shape [2], got [1, 2]; a server takes one sample at a time, without the batch dimension",
        "ShapeError: predict() of the server of model "sequential": input "dense_input" has 3 values, which is no multiple of the 2 of a sample of shape [2]",
        "ShapeError: predict() of the server of model "sequential": expected a sample of input "dense_input" of shape [2], got Float32Array(4); a server takes one sample at a time, without the batch dimension; for many use model.predict()",
        "ArgumentError: predict() of the server of model "sequential": input "dense_input": tensor(): expected numbers or booleans, got "text"",
        "ArgumentError: predict() of the server of model "sequential": no data for input "dense_input"",
      ]
    `);
    expect((await good).shape).toEqual([3]);
    expect(server.stats()).toMatchObject({ requests: 1, completed: 1, invalid: 6 });
    await expect(lookup().server().predict([0.5])).rejects.toThrow(/integers/);
    await expect(
      lookup()
        .server()
        .predict(tensor([0.5])),
    ).rejects.toThrow(/int32/);
  });

  test("what comes after layers were added or taken off", async () => {
    for (const change of [
      (m: ReturnType<typeof blobNetwork>) => m.add(dense({ units: 2 })),
      (m: ReturnType<typeof blobNetwork>) => m.pop(),
    ]) {
      const model = blobNetwork();
      const server = model.server();
      const sample = rows(blobs(1))[0]!;
      await server.predict(sample);
      const waiting = server.predict(sample);
      change(model);
      const message =
        /^predict\(\) of the server of model ".*": layers were added to the model or taken off since the server was made; make another with model\.server\(\)$/;
      await expect(waiting).rejects.toThrow(message);
      await expect(server.predict(sample)).rejects.toThrow(StateError);
      const want = await model.predict(sample);
      const got = await model.server().predict(sample);
      expectClose(got.dataSync(), want.dataSync(), { rtol: 1e-6 });
      await server.close();
    }
  });

  test("what comes while maxQueue samples wait", async () => {
    const server = blobNetwork().server({ maxBatch: 2, maxQueue: 3 });
    const samples = rows(blobs(5));
    const asked = samples.map((s) => server.predict(s));
    expect(server.pending).toBe(3);
    expect(await outcomes(asked)).toEqual([
      "result",
      "result",
      "result",
      "OverloadError",
      "OverloadError",
    ]);
    const error = await asked[3]!.catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OverloadError);
    expect((error as OverloadError).retryAfter).toBeGreaterThanOrEqual(1);
    expect(server.stats()).toMatchObject({ requests: 3, overloaded: 2 });
    await server.predict(samples[0]!);
  });

  test("ready() waits for room", async () => {
    const server = blobNetwork().server({ maxBatch: 2, maxQueue: 2 });
    const all: Promise<unknown>[] = [];
    for (const sample of rows(blobs(20))) {
      await server.ready();
      all.push(server.predict(sample));
    }
    await Promise.all(all);
    expect(server.stats()).toMatchObject({ completed: 20, overloaded: 0 });
  });

  test("wrong options", () => {
    const model = blobNetwork();
    expect(() => model.server({ maxBatch: 0 })).toThrow(/`maxBatch` to be an integer ≥ 1, got 0/);
    expect(() => model.server({ maxDelay: -1 })).toThrow(/`maxDelay` to be a number from 0/);
    expect(() => model.server({ maxQueue: 0.5 })).toThrow(/`maxQueue` to be an integer ≥ 1/);
    expect(() => model.server({ maxbatch: 3 } as object)).toThrow("did you mean `maxBatch`?");
    expect(() => model.server({ signal: AbortSignal.abort() })).toThrow(/abort/i);
    expect(() => sequential([dense({ units: 1 })]).server()).toThrow(
      /its input shape is not known/,
    );
    const x = input({ shape: [2] });
    const first = lambda({ function: (t) => t.slice([0, 0], [1, 2]) }).apply(x) as typeof x;
    expect(() => functional({ inputs: x, outputs: first }).server()).toThrow(
      /can't be told apart by sample/,
    );
  });
});

describe("ending", () => {
  test("an aborted request leaves the others alone, waiting or in a run", async () => {
    const server = blobNetwork().server({ maxBatch: 8, maxDelay: 0 });
    const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
    const sample = Float32Array.of(1, 2);
    const asked = [
      server.predict(sample, { signal: a.signal }),
      server.predict(sample, { signal: b.signal }),
      server.predict(sample, { signal: c.signal }),
      server.predict(sample, { signal: AbortSignal.abort() }),
    ];
    const results = outcomes(asked);
    a.abort();
    expect(server.pending).toBe(2);
    await nextTurn();
    expect(server.stats().running).toBe(2);
    b.abort(new Error("client went away"));
    expect(await results).toEqual(["AbortError", "Error", "result", "AbortError"]);
    await expect(asked[1]).rejects.toThrow("client went away");
    expect(server.stats()).toMatchObject({ requests: 3, completed: 1, aborted: 2 });
    c.abort();
    expect(server.stats().aborted).toBe(2);
  });

  test("many requests may share a signal, which keeps nothing of them", async () => {
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, "abort").length;
    const server = blobNetwork().server();
    const asked = rows(blobs(40)).map((s) => server.predict(s, { signal }));
    expect(listeners()).toBe(1);
    await Promise.all(asked);
    expect(listeners()).toBe(0);
  });

  test("close() answers what was taken and refuses what comes after", async () => {
    const server = blobNetwork().server({ maxDelay: never });
    const samples = rows(blobs(5));
    await Promise.all(samples.map((s) => server.predict(s)));
    // Three where five were under way: only close() ends their waiting.
    const lazy = tensor([1, 2]).add(1);
    const asked = [...samples.slice(0, 2), lazy].map((s) => server.predict(s));
    const closed = server.close();
    expect(server.close()).toBe(closed);
    await closed;
    expect(server.stats()).toMatchObject({ completed: 8, waiting: 0, running: 0 });
    expect(await outcomes(asked)).toEqual(Array(3).fill("result"));
    await expect(server.predict(samples[0]!)).rejects.toThrow(StateError);
    await expect(server.predict(samples[0]!)).rejects.toThrow(/it is closed/);
    await expect(server.ready()).rejects.toThrow(/it is closed/);
  });

  test("an idle server closes at once", async () => {
    await blobNetwork().server().close();
  });

  test("the server's signal rejects what waits", async () => {
    const stop = new AbortController();
    const server = blobNetwork().server({ maxBatch: 2, signal: stop.signal });
    const asked = rows(blobs(5)).map((s) => server.predict(s));
    const results = outcomes(asked);
    await nextTurn();
    stop.abort();
    expect(await results).toEqual(["result", "result", "AbortError", "AbortError", "AbortError"]);
    await server.close();
    await expect(server.predict([1, 2])).rejects.toThrow(StateError);
  });

  test("stats() has the latencies of the last samples", async () => {
    const server = blobNetwork().server();
    expect(server.stats()).toMatchObject({ batches: 0, meanBatch: 0, latency: { p50: NaN } });
    await Promise.all(rows(blobs(30)).map((s) => server.predict(s)));
    const { p50, p95, p99 } = server.stats().latency;
    expect(p50).toBeGreaterThan(0);
    expect(p95).toBeGreaterThanOrEqual(p50);
    expect(p99).toBeGreaterThanOrEqual(p95);
  });
});
