/**
 * The client of 10-http-service, in a process of its own: so many connections to 127.0.0.1, each sending
 * its next picture when the last is answered, until all pictures are sent or the time is up.
 */
import { fork } from "node:child_process";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly requests: number;
  /** Pictures of 784 bytes, one after another; sent in turns. */
  readonly pictures: Uint8Array;
}

export interface LoadResult {
  readonly seconds: number;
  /** Milliseconds of each answer with status 200, ascending. */
  readonly latencies: number[];
  /** The digit that was answered to each request sent; −1 where there was none. */
  readonly digits: number[];
  /** Answers with status 503, and those of them that had a Retry-After header. */
  readonly refused: number;
  readonly retryAfter: number;
}

const self = fileURLToPath(import.meta.url);

/** No request is sent later than this many milliseconds after the first. */
const timeLimit = 40_000;

/** Runs the client; rejects when it fails, or hangs for another minute. */
export function load(options: LoadOptions): Promise<LoadResult> {
  // The advanced serialization carries typed arrays.
  const client = fork(self, { serialization: "advanced", timeout: timeLimit + 60_000 });
  client.send(options);
  return new Promise((resolve, reject) => {
    client.once("message", (result) => resolve(result as LoadResult)).once("error", reject);
    client.once("exit", (code) => reject(new Error(`the client ended with code ${code}`)));
  });
}

/** One request; its status and body. */
function post(agent: Agent, port: number, body: Uint8Array) {
  const options = { host: "127.0.0.1", port, agent, method: "POST", path: "/digit" };
  return new Promise<{ status: number; retryAfter: string | undefined; text: string }>(
    (resolve, reject) => {
      const sent = request(options, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            retryAfter: response.headers["retry-after"],
            text,
          }),
        );
      });
      sent.on("error", reject).end(body);
    },
  );
}

async function run({ port, connections, requests, pictures }: LoadOptions): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const latencies: number[] = [];
  const digits: number[] = [];
  let [next, refused, retryAfter] = [0, 0, 0];
  const begin = performance.now();
  const connection = async (): Promise<void> => {
    while (next < requests && performance.now() - begin < timeLimit) {
      const i = next++;
      digits[i] = -1;
      const from = (i * 784) % pictures.length;
      const start = performance.now();
      const answer = await post(agent, port, pictures.subarray(from, from + 784));
      if (answer.status === 200) {
        latencies.push(performance.now() - start);
        digits[i] = JSON.parse(answer.text).digit;
      } else {
        refused++;
        if (answer.retryAfter !== undefined) retryAfter++;
      }
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  const seconds = (performance.now() - begin) / 1000;
  agent.destroy();
  latencies.sort((a, b) => a - b);
  return { seconds, latencies, digits, refused, retryAfter };
}

if (process.argv[1] === self) {
  process.once("message", async (options) => {
    process.send!(await run(options as LoadOptions));
    process.disconnect();
  });
}
