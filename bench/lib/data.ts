/**
 * Training data for the cases, written once per run as raw files that every contender reads, so that
 * all learn from the same numbers.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TrainSpec } from "./spec.js";

export class DataFiles {
  #directory: string | undefined;
  readonly #written = new Map<string, { readonly x: string; readonly y: string }>();

  /** The files of a case's data. */
  async of(spec: TrainSpec): Promise<{ readonly x: string; readonly y: string }> {
    const { data, samples, features, outputs } = spec;
    const key = [data, samples, features, outputs].join("-");
    let files = this.#written.get(key);
    if (!files) {
      this.#directory ??= await mkdtemp(join(tmpdir(), "layerwise-bench-"));
      files = { x: join(this.#directory, `${key}.x`), y: join(this.#directory, `${key}.y`) };
      const { x, y } = data === "xor" ? xorRows(samples) : taught(spec);
      await writeFile(files.x, x);
      await writeFile(files.y, y);
      this.#written.set(key, files);
    }
    return files;
  }

  /** Removes the files. */
  async remove(): Promise<void> {
    if (this.#directory) await rm(this.#directory, { recursive: true });
  }
}

function xorRows(samples: number): { x: Float32Array; y: Int32Array } {
  const x = new Float32Array(2 * samples);
  const y = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    x[2 * i] = i & 1;
    x[2 * i + 1] = (i >> 1) & 1;
    y[i] = (i ^ (i >> 1)) & 1;
  }
  return { x, y };
}

/** Normal inputs; the label is the largest of `outputs` random linear functions of them. */
function taught({ samples, features, outputs }: TrainSpec): { x: Float32Array; y: Int32Array } {
  const normal = normals(1);
  const teacher = new Float32Array(features * outputs).map(normal);
  const x = new Float32Array(samples * features).map(normal);
  const y = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    let best = -Infinity;
    for (let j = 0; j < outputs; j++) {
      let score = 0;
      for (let k = 0; k < features; k++) score += x[i * features + k]! * teacher[k * outputs + j]!;
      if (score > best) {
        best = score;
        y[i] = j;
      }
    }
  }
  return { x, y };
}

/** Normal numbers by Box and Muller from mulberry32. */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
