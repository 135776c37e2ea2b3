/**
 * Gradients that are 0 but for some rows: those of tables that a step read by index. They are recognised by the
 * op that made them, and the update then reads and writes only these rows of the table and of its state.
 * Where the same row was read several times its gradients are added up first, in their order, so that the
 * sums have the bits of the whole gradient.
 */

import { range, zeros } from "../ops/creation.js";
import { gather, rowsOfScatterAdd, scatterAdd, scatterRows } from "../ops/gather.js";
import { reshape } from "../ops/movement.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** Some rows of a table, by the indices that were read, repeated ones included. */
export interface Rows {
  /** [count, …row]: the gradient of each row that was read, at the last place where it was; 0 elsewhere. */
  readonly gradient: Tensor;
  /** What `gradient` became (by clipping), for every place: equal indices have equal rows. */
  spread(gradient: Tensor): Tensor;
  /** Those rows of the table, or of its state. */
  of(table: Tensor): Tensor;
  /** The table with these rows replaced. */
  into(table: Tensor, rows: Tensor): Tensor;
}

/** The rows in which a gradient may differ from 0; null where it is no gradient of rows read by index. */
export function rowsOf(gradient: Tensor): Rows | null {
  const added = rowsOfScatterAdd(gradient);
  if (!added) return null;
  const count = sizeOf(added.indices.shape);
  const [size, ...row] = gradient.shape as [number, ...number[]];
  const indices = reshape(added.indices, [count]);
  const updates = reshape(added.updates, [count, ...row]);
  // The last place of each index.
  const table = scatterRows(zeros([size], "int32"), indices, range(0, count, 1, "int32"));
  const last = gather(table, indices);
  return {
    gradient: scatterAdd(updates, last, count),
    spread: (g) => gather(g, last),
    of: (t) => gather(t, indices),
    into: (t, rows) => scatterRows(t, indices, rows),
  };
}

/** How many rows were read, at most; Infinity where the gradient is of the whole table. */
export function countRows(gradient: Tensor): number {
  const added = rowsOfScatterAdd(gradient);
  return added ? sizeOf(added.indices.shape) : Infinity;
}
