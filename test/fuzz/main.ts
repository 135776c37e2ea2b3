/**
 * Fuzzes a file parser: `npm run fuzz -- safetensors --seconds 60`. Seconds are CPU seconds of this
 * process. Ends with status 1 and the input in a file at the first finding; `--input FILE` runs one.
 * `--missed` lists the branches that were never reached, writers and helpers included.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Finding, fuzz } from "./engine.js";
import { openTarget, type TargetName, targetNames } from "./targets.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    input: { type: "string" },
    missed: { type: "boolean", default: false },
  },
});
const name = positionals[0];
if (!isTarget(name)) {
  console.error(`fuzz: expected a target of ${targetNames.join(", ")}, got ${name ?? "none"}`);
  process.exit(2);
}
process.title = `layerwise-fuzz ${name}`;
const limit = Number(values.seconds);
const seed = Number(values.seed);
const { target, trace, instrumented, close } = await openTarget(name);

function isTarget(text: string | undefined): text is TargetName {
  return (targetNames as readonly string[]).includes(text ?? "");
}

/** CPU seconds this process has used. */
function used(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

try {
  if (values.input) {
    await target.execute(readFileSync(values.input));
    console.log("the property holds for this input");
  } else {
    console.log(`${name}: ${instrumented.branches.size} branches instrumented, seed ${seed}`);
    let reported = 0;
    const { executions, corpus, features } = await fuzz(target, {
      trace,
      literals: instrumented.literals,
      seed,
      longest: 4096,
      done(progress) {
        if (progress.executions % 256 !== 0) return false;
        const seconds = used();
        if (seconds >= reported + 10) {
          reported = seconds;
          console.log(line(seconds, progress.executions, progress.corpus, progress.features));
        }
        return seconds >= limit;
      },
    });
    console.log(`${line(used(), executions, corpus, features)}: no finding`);
    if (values.missed) {
      const missed = [...instrumented.branches].filter(([id]) => !trace.reached.has(id));
      for (const place of new Set(missed.map(([, where]) => where)))
        console.log(`missed: ${place}`);
    }
  }
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  const file = `fuzz-${name}-${Date.now()}.bin`;
  writeFileSync(file, error.input);
  console.error(`${error.message}\ninput: ${file}; again: npm run fuzz -- ${name} --input ${file}`);
  process.exitCode = 1;
} finally {
  close();
}

function line(seconds: number, executions: number, corpus: number, features: number): string {
  return (
    `${name}: ${seconds.toFixed(0)} CPU s, ${executions} executions, ` +
    `${corpus} inputs kept, ${features} features, ` +
    `${trace.reached.size} of ${instrumented.branches.size} branches reached, ${process.memoryUsage.rss() >> 20} MiB`
  );
}
