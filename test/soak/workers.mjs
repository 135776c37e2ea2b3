/** Workers that train at once and are terminated in mid-run; processes that exit in mid-run. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { memory, settle, threadCount } from "./process.mjs";

const training = fileURLToPath(new URL("training.mjs", import.meta.url));
const workersPerRound = 8;
/** Growth of memory that is no leak: what allocators keep, less than 64 KiB for each termination. */
const growthPerTermination = 64 * 1024;
const slack = 32 << 20;

export async function soak(rounds, log) {
  // What is made once (pool, runner, libuv's threads, V8's caches) is made in the first rounds.
  const warmUp = Math.min(10, Math.ceil(rounds / 4));
  let terminations = 0;
  let before;
  const failures = [];
  for (let round = 0; round < rounds; round++) {
    if (round === warmUp) before = await census();
    const results = await Promise.allSettled([
      ...Array.from({ length: workersPerRound }, (_, i) => terminateInMidRun(round, i)),
      exitInMidRun(round),
    ]);
    terminations += workersPerRound;
    for (const result of results) if (result.status === "rejected") failures.push(result.reason);
    if (round % 10 === 9) log(`${terminations} terminations, ${memory() >> 20} MiB`);
  }
  const after = await census();
  const measured = (rounds - warmUp) * workersPerRound;
  const growth = after.memory - before.memory;
  const allowed = slack + growthPerTermination * measured;
  if (growth > allowed) failures.push(`memory grew by ${growth} bytes, allowed are ${allowed}`);
  if (after.threads > before.threads) {
    failures.push(`${after.threads} threads are left, there were ${before.threads}`);
  }
  return {
    ok: failures.length === 0,
    lines: [
      ...failures.map(String),
      `workers: ${terminations} terminations and ${rounds} exits in mid-run; memory ` +
        `${before.memory >> 20} → ${after.memory >> 20} MiB over the last ${measured}, threads ` +
        `${before.threads} → ${after.threads}, ${failures.length} failures`,
    ],
  };
}

async function census() {
  await settle();
  return { memory: memory(), threads: threadCount() };
}

/** Every fourth while it compiles, the others while they train, a little later each time. */
async function terminateInMidRun(round, i) {
  const worker = new Worker(training, { workerData: { seed: round * workersPerRound + i } });
  const moment = i % 4 === 0 ? "loaded" : "training";
  await new Promise((resolve, reject) => {
    worker.on("message", (message) => message === moment && resolve());
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("a worker ended by itself")));
  });
  await delay((round * 7 + i * 3) % 25);
  worker.removeAllListeners("exit");
  const code = await worker.terminate();
  if (code !== 1) throw new Error(`a terminated worker ended with ${code}`);
}

async function exitInMidRun(round) {
  const data = JSON.stringify({ seed: round, exit: round % 20 });
  const child = spawn(process.execPath, [training, data], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  child.stderr.on("data", (chunk) => {
    text += chunk;
  });
  const [code, signal] = await new Promise((resolve) => {
    child.once("exit", (...result) => resolve(result));
  });
  if (code !== 0)
    throw new Error(`a process that exits in mid-run ended with ${code ?? signal}: ${text}`);
}

function delay(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
