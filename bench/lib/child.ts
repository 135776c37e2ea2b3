/**
 * One contender in a process of its own, kept alive over a case so that contenders can take turns.
 * Requests go out as JSON lines, one reply each; other output is kept for the error message.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Contender } from "../contenders/contenders.js";
import type { Reply, Request } from "./spec.js";

/** Time for spinning worker threads of one contender to park before another one is timed. */
const settleMilliseconds = 30;

export class Child {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #queue: ((reply: Reply) => void)[] = [];
  #early: Reply | undefined;
  #noise = "";
  #ended = false;

  constructor(contender: Contender, threads: number) {
    this.#process = spawn(contender.command, contender.args, {
      env: { ...process.env, ...contender.environment(threads) },
    });
    this.#process.stderr.on("data", (chunk: Buffer) => {
      this.#noise = (this.#noise + chunk.toString()).slice(-2000);
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      if (line.startsWith("{")) this.#deliver(JSON.parse(line) as Reply);
      else this.#noise += `${line}\n`;
    });
    this.#process.on("error", (error: NodeJS.ErrnoException) => {
      this.#end(error.code === "ENOENT" ? (contender.missing ?? error.message) : error.message);
    });
    this.#process.on("close", (code) => this.#end(`ended with ${code}\n${this.#noise.trim()}`));
    // Writing to a process that is gone is reported by its end.
    this.#process.stdin.on("error", () => {});
  }

  /** Sends one request and waits for its reply; a contender that ended replies with an error. */
  async ask(request: Request): Promise<Reply> {
    if (this.#early) return this.#early;
    const reply = await new Promise<Reply>((resolve) => {
      this.#queue.push(resolve);
      this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    await sleep(settleMilliseconds);
    return reply;
  }

  /** Ends the process. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise((resolve) => this.#process.once("close", resolve));
    this.#process.stdin.end();
    const timer = setTimeout(() => this.#process.kill(), 5000);
    await closed;
    clearTimeout(timer);
  }

  #deliver(reply: Reply): void {
    const waiting = this.#queue.shift();
    // A contender that can't run says so before it is asked.
    if (!waiting || reply.skip) this.#early = reply;
    waiting?.(reply);
  }

  #end(reason: string): void {
    this.#ended = true;
    this.#early ??= { error: reason };
    for (const waiting of this.#queue.splice(0)) waiting(this.#early);
  }
}
