/** What the examples share: their options, tables, and saving a figure. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Tensor } from "layerwise";
import { option } from "./options.js";

export { option, quick, takes } from "./options.js";

/** The first `--train N` samples of a training set; all of them without the option. */
export function some<T extends { x: Tensor; y: Tensor }>(train: T): { x: Tensor; y: Tensor } {
  const count = Number(option("train") ?? train.x.shape[0]!);
  return { x: train.x.slice([0], [count]), y: train.y.slice([0], [count]) };
}

/** Writes a figure to examples/out/, or to the folder after `--out`, and says where. */
export function saveFigure(name: string, svg: string): void {
  const directory = option("out") ?? fileURLToPath(new URL("out", import.meta.url));
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${name}.svg`);
  writeFileSync(path, svg);
  console.log(`Figure: ${relative(process.cwd(), path)}`);
}

/** Prints rows under a heading, columns aligned; numbers to the right. */
export function printTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): void {
  const cells = rows.map((row) => row.map(String));
  const widths = head.map((h, i) => Math.max(h.length, ...cells.map((row) => row[i]!.length)));
  const line = (row: readonly string[], numbers: readonly boolean[]) =>
    row
      .map((cell, i) => (numbers[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const right = head.map((_, i) => rows.every((row) => typeof row[i] === "number"));
  console.log(line(head, right));
  console.log(widths.map((width) => "─".repeat(width)).join("  "));
  for (const row of cells) console.log(line(row, right));
}
