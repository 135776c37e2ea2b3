/** What a server cares about beside speed: a free event loop and memory that does not grow. */
import type { Case } from "../lib/spec.js";
import { mnistMlp } from "./models.js";

export const cases: readonly Case[] = [
  {
    group: "server",
    name: "lateness of a 10 ms timer while fit runs",
    spec: { kind: "lateness", model: mnistMlp, seconds: 10 },
    ours: "native",
    peers: [],
    unit: "run",
  },
  {
    group: "server",
    name: "entry of a prediction, a network of one weight",
    spec: { kind: "entry", calls: 20_000 },
    ours: "native",
    peers: [],
    unit: "run",
  },
  {
    group: "server",
    name: "memory of predictSync and concurrent predict",
    spec: {
      kind: "memory",
      features: 784,
      hidden: 128,
      outputs: 10,
      syncCalls: 100_000,
      concurrentCalls: 1_000,
    },
    ours: "native",
    peers: [],
    unit: "run",
  },
];
