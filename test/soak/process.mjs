/** What the soak runs measure of their own process. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** Collects garbage until finalizers have run and ended threads are gone. */
export async function settle() {
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Resident bytes. */
export function memory() {
  return process.memoryUsage.rss();
}

/** Threads of the process; 0 where there is no /proc. */
export function threadCount() {
  try {
    return Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  } catch {
    return 0;
  }
}
