/**
 * layerwise as a contender, on the protocol of lib/spec.ts: reads requests as JSON lines on stdin and
 * answers each with one line. The environment says which backend and how many threads.
 */
import { createInterface } from "node:readline";
import type { Reply, Request } from "../../lib/spec.js";
import { inferenceContender } from "./inference.js";
import { kernelContender } from "./kernels.js";
import { networkContender } from "./networks.js";
import { limit, machine } from "./probes.js";
import { rbmContender } from "./rbm.js";
import { entryContender, latenessContender, memoryContender } from "./runtime.js";
import { sequenceContender } from "./sequences.js";
import { trainContender } from "./train.js";

/** A case, set up. */
export interface Measured {
  measure(seconds: number): Promise<Pick<Reply, "perUnit" | "figures">>;
  check(): Promise<Pick<Reply, "check" | "outputs">>;
}

let measured: Measured | undefined;

async function setup(request: Request & { op: "setup" }): Promise<Measured> {
  const { spec, data } = request;
  switch (spec.kind) {
    case "train":
      return trainContender(spec, data!);
    case "rbm":
      return rbmContender(spec, data!);
    case "network":
      return networkContender(spec, data!);
    case "sequence":
      return sequenceContender(spec, data!);
    case "kernel":
      return kernelContender(spec);
    case "inference":
      return inferenceContender(spec, data!);
    case "lateness":
      return latenessContender(spec);
    case "entry":
      return entryContender(spec);
    case "memory":
      return memoryContender(spec);
    default:
      return spec satisfies never;
  }
}

async function answer(request: Request): Promise<Reply> {
  switch (request.op) {
    case "machine":
      return { machine: machine(request.threads) };
    case "limit":
      return { limit: limit(request, request.threads) };
    case "setup":
      measured = await setup(request);
      return { versions: {} };
    case "measure":
      return measured!.measure(request.seconds);
    case "check":
      return measured!.check();
    default:
      return request satisfies never;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: Reply;
  try {
    reply = await answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
