/**
 * A model behind an HTTP server, under load: many connections on this machine ask for one digit each.
 * `model.server` joins what comes together into one run, compared with one `predict` per request; a
 * short queue then shows what overload looks like: 503 with Retry-After instead of ever longer waits.
 * Times are those of the machine that ran it, with whatever else that had to do.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as lw from "layerwise";
import { load } from "./http-load.js";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

lw.setRandomSeed(1);
const sizes = quick ? { train: 2000, test: 200 } : { train: 12_000, test: 2000 };
const { train, test } = lw.datasets.digits({ ...sizes, normalize: false });
const units = quick ? 64 : 1024;
const model = lw.sequential([
  lw.layers.flatten({ inputShape: [28, 28, 1] }),
  lw.layers.rescaling({ scale: 1 / 255 }),
  lw.layers.dense({ units, activation: "relu" }),
  lw.layers.dense({ units, activation: "relu" }),
  lw.layers.dense({ units: 10, activation: "softmax" }),
]);
model.compile({ optimizer: "adam", loss: "sparseCategoricalCrossentropy" });
await model.fit(train.x, train.y, { epochs: 3, batchSize: 128, seed: 1, verbose: 0 });

type Answer = (pixels: Uint8Array, signal: AbortSignal) => Promise<lw.Tensor>;

/** POST /digit with 784 bytes, a grey value each; answers { digit }. */
function service(answer: Answer): Server {
  return createServer(async (request, response) => {
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const reply = (status: number, body: object, headers = {}) =>
      response
        .writeHead(status, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(body));
    try {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const probabilities = (await answer(Buffer.concat(parts), gone.signal)).dataSync();
      reply(200, { digit: probabilities.indexOf(Math.max(...probabilities)) });
    } catch (error) {
      if (gone.signal.aborted) return;
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof lw.OverloadError) {
        reply(503, { message }, { "retry-after": Math.ceil(error.retryAfter / 1000) });
      } else {
        reply(error instanceof lw.LayerwiseError ? 400 : 500, { message });
      }
    }
  });
}

/** Serves, loads, and shuts down in order: no new connections, then what is under way, then the rest. */
async function measure(answer: Answer, connections: number, requests: number) {
  const http = service(answer);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  const pictures = (await test.x.data()) as Uint8Array;
  const result = await load({ port, connections, requests, pictures });
  const closed = new Promise((resolve) => http.close(resolve));
  http.closeIdleConnections();
  await closed;
  return result;
}

const batching = model.server({ maxBatch: 64 });
const narrow = model.server({ maxBatch: 4, maxQueue: 4 });
const [connections, requests] = quick ? [32, 400] : [64, 4000];
const services: [string, Answer][] = [
  ["one predict each", (pixels) => model.predict(pixels)],
  ["micro-batches", (pixels, signal) => batching.predict(pixels, { signal })],
  ["a queue of 4", (pixels, signal) => narrow.predict(pixels, { signal })],
];

// The first requests are slower, whoever answers them.
await measure(services[0]![1], connections, requests / 4);
const labels = await test.y.data();
const curves: { label: string; x: number[]; y: number[] }[] = [];
const rows = [];
for (const [name, answer] of services) {
  const { seconds, latencies, digits, refused, retryAfter } = await measure(
    answer,
    connections,
    requests,
  );
  const right = digits.filter((digit, i) => digit === labels[i % labels.length]).length;
  const at = (percent: number) => latencies[Math.ceil((percent / 100) * latencies.length) - 1]!;
  rows.push([
    name,
    digits.length,
    latencies.length,
    refused,
    retryAfter,
    Math.round(latencies.length / seconds),
    Number(at(50).toFixed(2)),
    Number(at(99).toFixed(2)),
    `${((100 * right) / latencies.length).toFixed(1)} %`,
  ]);
  const percents = Array.from({ length: 99 }, (_, i) => i + 1);
  curves.push({ label: name, x: percents, y: percents.map(at) });
}
await Promise.all([batching.close(), narrow.close()]);

const head = ["service", "requests", "answered", "503", "Retry-After"];
printTable([...head, "answers/s", "p50 ms", "p99 ms", "right"], rows);
const { batches, meanBatch } = batching.stats();
console.log(
  `\n${batches} runs of ${meanBatch.toFixed(1)} samples on average; ${connections} connections.`,
);
saveFigure(
  "10-http-service",
  lw.plot.lineChart({
    title: "Time to an answer",
    xLabel: "percentile of requests",
    yLabel: "ms",
    yScale: "log",
    series: curves.map((curve) => ({ ...curve, dots: false })),
  }),
);
