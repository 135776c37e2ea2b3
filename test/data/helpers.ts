/** Datasets of numbers, and what comes of any dataset as nested arrays. */
import { fromIterable } from "../../src/data/arrays.js";
import type { Dataset } from "../../src/data/dataset.js";
import { Tensor } from "../../src/tensor/tensor.js";

export const range = (n: number) => Array.from({ length: n }, (_, i) => i);
export const numbers = (n: number) => fromIterable(range(n));

/** Tensors as nested arrays, within tuples and records. */
export function plain(value: unknown): unknown {
  if (value instanceof Tensor) return value.arraySync();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}
export const all = async (dataset: Dataset<unknown>) => (await dataset.toArray()).map(plain);
