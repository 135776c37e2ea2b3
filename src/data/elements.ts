/**
 * What an element of a dataset is made of: numbers, strings, tensors and typed arrays in tuples and
 * records, as users' functions return them. Says which arrays are tuples and which are data, describes
 * elements, and names their fields in messages.
 */
import { ArgumentError, DTypeError, expected, ShapeError, show } from "../errors.js";
import { type DType, dtypeOf, isTypedArray, type TypedArray } from "../tensor/dtype.js";
import { type Shape, sameShape, showShape, sizeOf } from "../tensor/shape.js";
import { type NestedArray, Tensor, tensor } from "../tensor/tensor.js";

/** What one field of an element may be. */
export type Field = number | boolean | string | Tensor | TypedArray | NestedArray;

/** Shape and dtype of one field; null for sizes that differ between elements. Strings have no shape. */
export interface FieldSpec {
  readonly shape: readonly (number | null)[];
  readonly dtype: DType | "string";
}

/** The specs of an element's fields, in its own structure. */
export type ElementSpec =
  | FieldSpec
  | readonly ElementSpec[]
  | { readonly [name: string]: ElementSpec };

type BatchedField<T> = T extends string ? string[] : Tensor;

type BatchedPart<T> = T extends string
  ? string[]
  : T extends number | boolean | Tensor | ArrayBufferView | readonly NestedArray[]
    ? BatchedField<T>
    : T extends object
      ? { -readonly [K in keyof T]: BatchedPart<T[K]> }
      : never;

/** What `batch` makes of elements of type `T`: a tensor of each field, strings in arrays. */
export type Batched<T> = T extends Tensor | ArrayBufferView
  ? Tensor
  : T extends readonly unknown[]
    ? { -readonly [K in keyof T]: BatchedPart<T[K]> }
    : BatchedPart<T>;

/** How an element is put together. */
export type Plan =
  | { readonly kind: "field"; readonly path: string; readonly spec: FieldValueSpec }
  | { readonly kind: "string"; readonly path: string }
  | { readonly kind: "tuple"; readonly path: string; readonly items: readonly Plan[] }
  | {
      readonly kind: "record";
      readonly path: string;
      readonly keys: readonly string[];
      readonly items: readonly Plan[];
    };

interface FieldValueSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The values of one field. */
export interface FieldValue extends FieldValueSpec {
  readonly values: TypedArray | number;
}

/** True for arrays that hold numbers and nothing else, at any depth: data, not a tuple. */
function isNumeric(value: readonly unknown[]): boolean {
  return value.every(
    (item) =>
      typeof item === "number" ||
      typeof item === "boolean" ||
      (Array.isArray(item) && isNumeric(item)),
  );
}

/** A record of fields: a plain object. */
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || value instanceof Tensor) return false;
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * True when an array stands for several fields. At the top of an element every array does (`[x, y]`);
 * within one, an array of numbers is data.
 */
export function isTuple(value: unknown, top: boolean): value is readonly unknown[] {
  return Array.isArray(value) && (top || !isNumeric(value));
}

const place = (path: string): string => (path === "" ? "" : `field ${path}: `);
const inside = (path: string, key: string | number): string =>
  typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;

/** The values of one field, whatever form it has. Tensors must be computed. */
export function fieldValue(value: unknown, path: string): FieldValue {
  if (typeof value === "number") return { shape: [], dtype: "float32", values: value };
  if (value instanceof Tensor) {
    const t = value.current();
    return { shape: t.shape, dtype: t.dtype, values: t.values ?? t.dataSync() };
  }
  if (isTypedArray(value)) {
    return { shape: [value.length], dtype: dtypeOf(value), values: value };
  }
  if (typeof value === "boolean") return { shape: [], dtype: "bool", values: value ? 1 : 0 };
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    try {
      // Other typed arrays (float64, int16) become float32; tensor() says what it can't take.
      const t = tensor(value as unknown as NestedArray);
      return { shape: t.shape, dtype: t.dtype, values: t.dataSync() };
    } catch (error) {
      if (error instanceof Error) error.message = `${place(path)}${error.message}`;
      throw error;
    }
  }
  throw new DTypeError(
    expected(
      `${place(path)}value`,
      "numbers, booleans, strings, tensors, typed arrays, or tuples and records of these",
      show(value),
    ),
  );
}

/** How `value` is put together. */
export function planOf(value: unknown, path = "", top = true): Plan {
  if (typeof value === "string") return { kind: "string", path };
  if (isTuple(value, top)) {
    const items = value.map((item, i) => planOf(item, inside(path, i), false));
    return { kind: "tuple", path, items };
  }
  if (isRecord(value)) {
    const keys = Object.keys(value);
    const items = keys.map((key) => planOf(value[key], inside(path, key), false));
    return { kind: "record", path, keys, items };
  }
  const { shape, dtype } = fieldValue(value, path);
  return { kind: "field", path, spec: { shape, dtype } };
}

/** Appends the fields of `value` to `fields` in the plan's order; an error where it has another form. */
export function fieldsOf(plan: Plan, value: unknown, fields: unknown[]): void {
  if (plan.kind === "tuple") {
    if (!Array.isArray(value) || value.length !== plan.items.length) {
      throw new ShapeError(
        expected(
          `${place(plan.path)}structure`,
          `${plan.items.length} fields as the first element has`,
          Array.isArray(value) ? `${value.length}` : show(value),
        ),
      );
    }
    for (let i = 0; i < value.length; i++) fieldsOf(plan.items[i]!, value[i], fields);
  } else if (plan.kind === "record") {
    const names = isRecord(value) ? Object.keys(value) : null;
    if (names?.length !== plan.keys.length || !plan.keys.every((key) => key in (value as object))) {
      throw new ShapeError(
        expected(
          `${place(plan.path)}structure`,
          `the fields ${plan.keys.join(", ")} as the first element has`,
          names ? names.join(", ") || "none" : show(value),
        ),
      );
    }
    const record = value as Readonly<Record<string, unknown>>;
    plan.keys.forEach((key, i) => {
      fieldsOf(plan.items[i]!, record[key], fields);
    });
  } else {
    fields.push(value);
  }
}

/** The plan's fields, in order. */
export function leavesOf(plan: Plan): Extract<Plan, { kind: "field" | "string" }>[] {
  return plan.kind === "field" || plan.kind === "string" ? [plan] : plan.items.flatMap(leavesOf);
}

/** Puts one value per field together as the plan says. */
export function assemble(plan: Plan, values: readonly unknown[]): unknown {
  let next = 0;
  const build = (part: Plan): unknown => {
    if (part.kind === "tuple") return part.items.map(build);
    if (part.kind === "record") {
      return Object.fromEntries(part.keys.map((key, i) => [key, build(part.items[i]!)]));
    }
    return values[next++];
  };
  return build(plan);
}

/** Throws unless a field is what the first element's was; with `ragged` sizes may differ. */
export function checkField(
  value: FieldValueSpec,
  first: FieldValueSpec,
  path: string,
  ragged: boolean,
  what = "as the first element has",
): void {
  if (value.dtype !== first.dtype) {
    throw new DTypeError(expected(`${place(path)}dtype`, `${first.dtype} ${what}`, value.dtype));
  }
  if (ragged ? value.shape.length !== first.shape.length : !sameShape(value.shape, first.shape)) {
    throw new ShapeError(
      expected(
        `${place(path)}shape`,
        ragged ? `${first.shape.length} dimensions ${what}` : `${showShape(first.shape)} ${what}`,
        showShape(value.shape),
        !ragged && value.shape.length === first.shape.length
          ? "paddedBatch() fills shorter ones up"
          : undefined,
      ),
    );
  }
}

/** The spec of an element, for users. */
export function specOf(plan: Plan): ElementSpec {
  const specs = leavesOf(plan).map(
    (leaf): FieldSpec =>
      leaf.kind === "string"
        ? { shape: [], dtype: "string" }
        : { shape: [...leaf.spec.shape], dtype: leaf.spec.dtype },
  );
  return assemble(plan, specs) as ElementSpec;
}

/** The tensors in a value that are not computed yet. */
export function lazyTensors(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) {
    if (value.current().values === undefined) found.push(value);
  } else if (Array.isArray(value)) {
    for (const item of value) if (typeof item === "object") lazyTensors(item, found);
  } else if (isRecord(value)) {
    for (const item of Object.values(value)) lazyTensors(item, found);
  }
  return found;
}

/** Number of values of a field. */
export const fieldSize = ({ shape }: FieldValueSpec): number => sizeOf(shape);

/** x, y and weights of an element that training or a layer's statistics take. */
export function partsOf(
  where: string,
  element: unknown,
): { x: unknown; y: unknown; weights: unknown } {
  if (Array.isArray(element)) {
    if (element.length === 0 || element.length > 3) {
      throw new ArgumentError(
        expected(
          where,
          "[x], [x, y] or [x, y, sampleWeight]",
          `an array of ${element.length}`,
          "an array at the top of an element stands for its parts; make a sample of numbers a tensor " +
            "or a typed array",
        ),
      );
    }
    const [x, y, weights] = element as unknown[];
    return { x, y, weights };
  }
  if (typeof element !== "object" || element === null) {
    throw new ArgumentError(
      expected(where, "[x, y], { xs, ys } or x alone, as tensors", show(element)),
    );
  }
  if (!("xs" in element)) return { x: element, y: undefined, weights: undefined };
  const { xs, ys, sampleWeight, ...others } = element as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(others)) {
    throw new ArgumentError(expected(where, "{ xs, ys, sampleWeight }", show(key)));
  }
  return { x: xs, y: ys, weights: sampleWeight };
}
