/**
 * Elements side by side: `batch` and `paddedBatch`. Every field becomes one tensor with the number of
 * elements as its first dimension; strings become arrays. Fields are checked against those of the
 * first element, and errors name element and field.
 */
import {
  ArgumentError,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  ShapeError,
  show,
} from "../errors.js";
import { allocate, fromNumbers, type TypedArray } from "../tensor/dtype.js";
import { showShape, sizeOf, stridesOf } from "../tensor/shape.js";
import { leaf, Tensor } from "../tensor/tensor.js";
import { type Cursor, type End, elementError, end, type Maybe, more, pull } from "./cursor.js";
import {
  assemble,
  checkField,
  type FieldValue,
  fieldsOf,
  fieldValue,
  leavesOf,
  type Plan,
  planOf,
} from "./elements.js";

/** Options of `batch`. */
export interface BatchOptions {
  /** Whether a last batch that is not full is left out; false by default. */
  readonly dropRemainder?: boolean | undefined;
}

/** One for all fields, or one for each in the structure of the element. */
export type PerField<T> = T | readonly PerField<T>[] | { readonly [name: string]: PerField<T> };

/** Options of `paddedBatch`. */
export interface PaddedBatchOptions<T = unknown> extends BatchOptions {
  /**
   * The shape each field is filled up to, without the batch dimension; null for the largest in the
   * batch, which is also what all dimensions are if this is left out.
   */
  readonly paddedShapes?: PaddedShapes | undefined;
  /** What is filled in: 0 by default; one number, or one for each field in the element's structure. */
  readonly paddingValues?: PerField<number> | undefined;
  /** Length of an element, measured before it is padded. */
  readonly lengths?: ((element: T) => number) | undefined;
}

/** The shape a field is filled up to, or one for each field in the element's structure. */
export type PaddedShapes =
  | readonly (number | null)[]
  | readonly PaddedShapes[]
  | { readonly [name: string]: PaddedShapes };

/** What the elements of a pass look like, as the first of them has it. Collators of one pass share it. */
export class Form {
  plan: Plan | undefined;
  leaves: ReturnType<typeof leavesOf> = [];

  /** Takes it from an element, unless an earlier one has given it. */
  settle(element: unknown): Plan {
    if (!this.plan) {
      this.plan = planOf(element);
      this.leaves = leavesOf(this.plan);
    }
    return this.plan;
  }
}

/** Puts elements side by side; all have the form of the first element of the pass. */
export class Collator {
  readonly #where: string;
  readonly #padding: Padding | null;
  readonly #form: Form;
  /** Elements before the present batch. */
  #seen = 0;
  readonly #lengths: ((element: unknown) => number) | null;

  constructor(
    where: string,
    padding: Padding | null = null,
    lengths: ((element: unknown) => number) | null = null,
    form = new Form(),
  ) {
    this.#where = where;
    this.#padding = padding;
    this.#lengths = lengths;
    this.#form = form;
  }

  /** One batch; `positions` are the elements' own where these are not a running count. */
  collate(elements: readonly unknown[], positions?: readonly number[]): unknown {
    const at = (i: number): number => positions?.[i] ?? this.#seen + i;
    const lengths = this.#lengths && this.#measure(elements, this.#lengths, at);
    const rows: unknown[][] = [];
    let current = 0;
    let plan: Plan;
    try {
      plan = this.#form.settle(elements[0]);
      for (; current < elements.length; current++) {
        const fields: unknown[] = [];
        fieldsOf(plan, elements[current], fields);
        rows.push(fields);
      }
    } catch (error) {
      throw elementError(this.#where, at(current), error);
    }
    const columns = this.#form.leaves.map((column, i) => {
      if (column.kind === "string") return this.#strings(rows, i, column.path, at);
      return this.#column(rows, i, column, at);
    });
    this.#seen += elements.length;
    const batch = assemble(plan, columns);
    return lengths ? [batch, lengths] : batch;
  }

  #measure(
    elements: readonly unknown[],
    length: (element: unknown) => number,
    at: (row: number) => number,
  ): Tensor {
    const lengths = Int32Array.from(elements, (element, i) => {
      try {
        const measured = length(element);
        checkInteger("lengths", "the length", measured, 0, 2 ** 31 - 1);
        return measured;
      } catch (error) {
        throw elementError(this.#where, at(i), error);
      }
    });
    return leaf(lengths, [lengths.length], "int32");
  }

  #strings(
    rows: readonly unknown[][],
    i: number,
    path: string,
    at: (row: number) => number,
  ): string[] {
    return rows.map((row, r) => {
      const value = row[i];
      if (typeof value === "string") return value;
      throw elementError(
        this.#where,
        at(r),
        new ArgumentError(expected(`field ${path}`, "a string", show(value))),
      );
    });
  }

  #column(
    rows: readonly unknown[][],
    i: number,
    { path, spec: first }: Extract<Plan, { kind: "field" }>,
    at: (row: number) => number,
  ): Tensor {
    const padding = this.#padding;
    if (padding) {
      const values = rows.map((row, r) => this.#value(row[i], path, first, true, at(r)));
      const { shape, fill } = padding.of(this.#form.plan!, i, values, (r) => at(r));
      return padded(values, shape, fill, first.dtype);
    }
    const size = sizeOf(first.shape);
    const out = allocate(first.dtype, rows.length * size);
    for (let r = 0; r < rows.length; r++) {
      const { values } = this.#value(rows[r]![i], path, first, false, at(r));
      if (typeof values === "number") out[r] = values;
      else if (size === 1) out[r] = values[0]!;
      else out.set(values, r * size);
    }
    return leaf(out, [rows.length, ...first.shape], first.dtype);
  }

  #value(
    given: unknown,
    path: string,
    first: { shape: readonly number[]; dtype: FieldValue["dtype"] },
    ragged: boolean,
    position: number,
  ): FieldValue {
    // The common case without a closure: a computed tensor of the same shape.
    if (given instanceof Tensor && given.values !== undefined && given.shape === first.shape) {
      if (given.dtype === first.dtype) return given as FieldValue;
    }
    try {
      const value = fieldValue(given, path);
      checkField(value, first, path, ragged);
      return value;
    } catch (error) {
      throw elementError(this.#where, position, error);
    }
  }
}

/** The shapes and values to pad with, per field. */
export class Padding {
  readonly #where: string;
  readonly #options: PaddedBatchOptions<never>;
  #perField: { shapes: (readonly (number | null)[] | null)[]; values: number[] } | undefined;

  constructor(where: string, options: PaddedBatchOptions<never>) {
    this.#where = where;
    this.#options = options;
  }

  /** The padded shape and fill of field `i` for a batch of these values. */
  of(
    plan: Plan,
    i: number,
    values: readonly FieldValue[],
    at: (row: number) => number,
  ): { shape: number[]; fill: number } {
    this.#perField ??= this.#resolve(plan);
    const wanted = this.#perField.shapes[i] ?? null;
    const rank = values[0]!.shape.length;
    const { path } = leavesOf(plan)[i]!;
    const field = path === "" ? "" : ` of field ${path}`;
    if (wanted && wanted.length !== rank) {
      throw new ShapeError(
        expected(this.#where, `\`paddedShapes\`${field} of ${rank} dimensions`, showShape(wanted)),
      );
    }
    const shape = Array.from({ length: rank }, (_, d) => wanted?.[d] ?? 0);
    values.forEach((value, r) => {
      for (let d = 0; d < rank; d++) {
        const size = value.shape[d]!;
        const limit = wanted?.[d] ?? null;
        if (limit === null) shape[d] = Math.max(shape[d]!, size);
        else if (size > limit) {
          throw new ShapeError(
            `${this.#where}: element ${at(r)}: shape ${showShape(value.shape)}${field} is larger than ` +
              `the ${showShape(wanted!)} of \`paddedShapes\``,
          );
        }
      }
    });
    return { shape, fill: this.#perField.values[i]! };
  }

  #resolve(plan: Plan): { shapes: (readonly (number | null)[] | null)[]; values: number[] } {
    const { paddedShapes, paddingValues } = this.#options;
    const leaves = leavesOf(plan);
    const values: number[] = [];
    const shapes: (readonly (number | null)[] | null)[] = [];
    const isShape = (given: unknown): given is readonly (number | null)[] =>
      Array.isArray(given) && given.every((d) => d === null || typeof d === "number");
    spread(this.#where, "paddingValues", plan, paddingValues ?? 0, (given, leaf) => {
      if (typeof given !== "number") return false;
      checkNumber(this.#where, "paddingValues", given);
      // Refuses what the dtype can't hold; a field without dimensions is never filled up.
      if (leaf.kind === "field" && leaf.spec.shape.length > 0) {
        const field = `\`paddingValues\`${leaf.path === "" ? "" : ` for field ${leaf.path}`}`;
        fromNumbers(`${this.#where}: ${field}`, [given], leaf.spec.dtype);
      }
      values.push(given);
      return true;
    });
    if (paddedShapes === undefined) shapes.push(...leaves.map(() => null));
    else {
      spread(this.#where, "paddedShapes", plan, paddedShapes, (given, leaf) => {
        if (leaf.kind === "string" && given === null) {
          shapes.push(null);
          return true;
        }
        if (!isShape(given)) return false;
        for (const d of given) if (d !== null) checkInteger(this.#where, "paddedShapes", d, 0);
        shapes.push(given);
        return true;
      });
    }
    return { shapes, values };
  }
}

/** A collator that pads, and measures lengths first where they are asked for. */
export function paddedCollator<T>(
  where: string,
  options: PaddedBatchOptions<T>,
  form?: Form,
): Collator {
  const { lengths } = options;
  if (lengths !== undefined && typeof lengths !== "function") {
    throw new ArgumentError(expected(where, "`lengths` to be a function", show(lengths)));
  }
  const padding = new Padding(where, options as PaddedBatchOptions<never>);
  const measure = (lengths as ((e: unknown) => number) | undefined) ?? null;
  return new Collator(where, padding, measure, form);
}

/** Walks a plan and what is given for it side by side; a value that `accept` takes stands for all below. */
function spread(
  where: string,
  option: string,
  plan: Plan,
  given: unknown,
  accept: (given: unknown, leaf: Plan) => boolean,
): void {
  if (plan.kind === "field" || plan.kind === "string") {
    if (accept(given, plan)) return;
    throw new ArgumentError(
      expected(where, `\`${option}\` for field ${plan.path || "0"}`, show(given)),
    );
  }
  if (typeof given === "number") {
    for (const item of plan.items) spread(where, option, item, given, accept);
    return;
  }
  const keys = plan.kind === "tuple" ? plan.items.map((_, i) => i) : plan.keys;
  const fits =
    plan.kind === "tuple"
      ? Array.isArray(given) && given.length === keys.length
      : typeof given === "object" && given !== null && keys.every((key) => key in given);
  if (!fits) {
    throw new ArgumentError(
      expected(
        where,
        `\`${option}\` in the structure of the elements (${keys.length} fields: ${keys.join(", ")})`,
        show(given),
      ),
    );
  }
  keys.forEach((key, i) => {
    const part = (given as Readonly<Record<string | number, unknown>>)[key];
    spread(where, option, plan.items[i]!, part, accept);
  });
}

/** Values of different sizes in one tensor, at the start of each dimension. */
function padded(
  rows: readonly FieldValue[],
  shape: readonly number[],
  fill: number,
  dtype: FieldValue["dtype"],
): Tensor {
  const size = sizeOf(shape);
  const out = allocate(dtype, rows.length * size);
  if (fill !== 0) out.fill(fill);
  const strides = stridesOf(shape);
  rows.forEach(({ shape: own, values }, r) => {
    if (typeof values === "number") out[r * size] = values;
    else copyBlock(values, own, out, r * size, strides);
  });
  return leaf(out, [rows.length, ...shape], dtype);
}

function copyBlock(
  from: TypedArray,
  shape: readonly number[],
  to: TypedArray,
  start: number,
  strides: readonly number[],
): void {
  const rank = shape.length;
  const width = rank === 0 ? 1 : shape[rank - 1]!;
  if (sizeOf(shape) === 0) return;
  const walk = (dim: number, source: number, target: number): void => {
    if (dim >= rank - 1) {
      to.set(from.subarray(source, source + width), target);
      return;
    }
    const inner = sizeOf(shape.slice(dim + 1));
    for (let i = 0; i < shape[dim]!; i++) {
      walk(dim + 1, source + i * inner, target + i * strides[dim]!);
    }
  };
  walk(0, 0, start);
}

/** A cursor of batches. */
export function batchCursor(
  source: Cursor<unknown>,
  size: number,
  dropRemainder: boolean,
  collator: Collator,
): Cursor<unknown> {
  let ended = false;
  let rows: unknown[] = [];
  const finish = (): unknown => {
    const full = rows;
    rows = [];
    return full.length === 0 || (ended && dropRemainder && full.length < size)
      ? end
      : collator.collate(full);
  };
  const take = (value: unknown): unknown => {
    if (value === end) ended = true;
    else if (rows.push(value) < size) return more;
    return finish();
  };
  return {
    next: () => (ended ? end : (pull(source, take) as Maybe<unknown | End>)),
    close: () => source.close(),
  };
}

/** Checked options of the batching methods. */
export function checkBatch(where: string, size: unknown, options: object, keys: string[]): void {
  checkInteger(where, "batchSize", size, 1);
  checkKeys(where, options, ["dropRemainder", ...keys]);
}
