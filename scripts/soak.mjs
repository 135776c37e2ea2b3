/**
 * Long runs that look for crashes and leaks: `npm run soak -- workers|memory [--rounds N]`.
 *
 * `workers`: many worker threads train at once and are terminated in mid-run, and processes exit in
 * mid-run; afterwards memory and threads must be what they were. A round is 8 terminations.
 * `memory`: models are made, trained, saved and used for predictions, over and over; memory must
 * settle. Both run on the package as built in dist/ (test/soak holds what runs).
 */
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" } },
});
const rounds = { workers: 125, memory: 40 };
const name = positionals[0] ?? "";
if (!Object.hasOwn(rounds, name)) {
  console.error("soak: expected workers or memory");
  process.exit(2);
}
const { soak } = await import(`../test/soak/${name}.mjs`);
const { ok, lines } = await soak(Number(values.rounds ?? rounds[name]), console.log);
for (const line of lines) console.log(line);
process.exit(ok ? 0 : 1);
