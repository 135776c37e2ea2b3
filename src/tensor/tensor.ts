/**
 * The lazy tensor: a shape, a dtype, and either data (a leaf) or the op that will make it (a node).
 * Knows no ops, no compiler and no backend: evaluation is a hook that `backend/run.ts` installs, and
 * the op methods (`a.add(b)`) are attached by `ops/methods.ts`.
 */
import { ArgumentError, DTypeError, expected, ShapeError, StateError, show } from "../errors.js";
import {
  allocate,
  checkDType,
  type DType,
  dtypeOf,
  fromNumbers,
  isTypedArray,
  storesDType,
  type TypedArray,
} from "./dtype.js";
import { inspect } from "./inspect.js";
import { checkRank, checkShape, type Shape, sameShape, showShape, sizeOf } from "./shape.js";

/** Shape and dtype: what is known of a tensor before its data. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** One recorded operation. `op` is a row of the op table; this file needs only its name. */
export interface GraphNode {
  readonly op: { readonly name: string };
  readonly inputs: readonly Tensor[];
  readonly attributes: object;
  /** Filled by the op that creates the node: one tensor per output. */
  readonly outputs: readonly Tensor[];
}

/** Nested arrays of numbers or booleans, as `tensor()` takes and `array()` returns. */
export type NestedArray = number | boolean | readonly NestedArray[];

/** Whatever an op accepts where it wants a tensor. */
export type TensorLike = Tensor | NestedArray | TypedArray;

/** What `backend/run.ts` installs: makes the data of tensors that have none. */
export interface Evaluator {
  evaluate(tensors: readonly Tensor[]): Promise<void>;
  evaluateSync(tensors: readonly Tensor[]): void;
}

let evaluator: Evaluator | undefined;

/** Installs the evaluator. Called once, by `backend/run.ts`. */
export function installEvaluator(installed: Evaluator): void {
  evaluator = installed;
}

function requireEvaluator(): Evaluator {
  if (!evaluator) throw new StateError("no evaluator: import layerwise from its entry point");
  return evaluator;
}

let nextId = 1;

/**
 * An n-dimensional array, computed when its values are asked for.
 *
 * Tensors are immutable and belong to the garbage collector: there is nothing to dispose.
 *
 * @example
 * const a = lw.tensor([[1, 2], [3, 4]]);
 * a.matMul(a).arraySync(); // [[7, 10], [15, 22]]
 */
export class Tensor implements TensorSpec {
  /** Increasing number in order of creation; an input's is always lower than its op's. */
  readonly id: number = nextId++;
  readonly shape: Shape;
  readonly dtype: DType;
  /** @internal The values, once known. */
  values: TypedArray | undefined;
  /** @internal The op that makes this tensor; dropped once evaluated outside of a gradient or trace. */
  node: GraphNode | undefined;
  /** @internal Which of the node's outputs this is. */
  readonly outputIndex: number;
  /** @internal A scalar written as a number literal; it becomes an immediate of compiled code. */
  readonly literal: number | undefined;

  /** @internal Use `tensor()`, or an op. */
  constructor(
    shape: Shape,
    dtype: DType,
    source: { values?: TypedArray; node?: GraphNode; outputIndex?: number; literal?: number } = {},
  ) {
    this.shape = shape;
    this.dtype = dtype;
    this.values = source.values;
    this.node = source.node;
    this.outputIndex = source.outputIndex ?? 0;
    this.literal = source.literal;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** True for a tensor without values or op: an argument of a function that is being traced. */
  get isPlaceholder(): boolean {
    return this.values === undefined && this.node === undefined && this.literal === undefined;
  }

  /**
   * The values as a typed array, computed off the event loop. Treat it as read-only. A large one may begin inside its
   * `buffer`: its `byteOffset` counts.
   */
  async data(): Promise<TypedArray> {
    const tensor = this.current();
    if (tensor.values === undefined && tensor.literal === undefined) {
      tensor.checkKnowable("data()");
      await requireEvaluator().evaluate([tensor]);
    }
    return tensor.knownValues();
  }

  /** What `data()` gives, at once. */
  dataSync(): TypedArray {
    const tensor = this.current();
    if (tensor.values === undefined && tensor.literal === undefined) {
      tensor.checkKnowable("dataSync()");
      requireEvaluator().evaluateSync([tensor]);
    }
    return tensor.knownValues();
  }

  /** The values as nested arrays (a number for a scalar; booleans for `bool`). */
  async array(): Promise<NestedArray> {
    return nest(await this.data(), this.shape, this.dtype);
  }

  /** As {@link Tensor.array}, at once. */
  arraySync(): NestedArray {
    return nest(this.dataSync(), this.shape, this.dtype);
  }

  /** The only value of a tensor with one element. */
  item(): number {
    if (this.size !== 1) {
      throw new ShapeError(expected("item()", "a tensor with one element", showShape(this.shape)));
    }
    return this.dataSync()[0]!;
  }

  /** Shape, dtype and the values if they are known; never computes. */
  toString(): string {
    const head = `Tensor ${this.dtype} ${showShape(this.shape)}`;
    const tensor = this.current();
    if (tensor.values === undefined) return `${head} (not computed yet)`;
    return `${head}\n${print(tensor.values, this.shape, this.dtype)}`;
  }

  /** What `console.log` shows. */
  [inspect](): string {
    return this.toString();
  }

  /** @internal The immutable tensor this stands for now: itself, or a variable's present value. */
  current(): Tensor {
    return this;
  }

  /** @internal */
  checkKnowable(method: string): void {
    if (this.isPlaceholder) {
      throw new StateError(
        `${method}: this tensor is an argument of a function that is being compiled or trained; ` +
          "its values are only known when the compiled function runs",
      );
    }
  }

  private knownValues(): TypedArray {
    if (this.values === undefined) this.values = fromNumbers("tensor", [this.literal!], this.dtype);
    return this.values;
  }
}

/**
 * Makes a tensor from nested arrays, a typed array or a number.
 *
 * A typed array is used as it is, without a copy: don't change it while the tensor is in use.
 * The default dtype is `float32` for numbers, `bool` for booleans, and a typed array's own.
 *
 * @example
 * lw.tensor([1, 2, 3, 4], [2, 2]).shape; // [2, 2]
 */
export function tensor(data: TensorLike, shape?: Shape, dtype?: DType): Tensor {
  if (dtype !== undefined) checkDType("tensor()", dtype);
  checkShapeArgument(shape);
  if (data instanceof Tensor) {
    throw new ArgumentError("tensor(): got a Tensor; use it as it is, or `cast` and `reshape` it");
  }
  if (isTypedArray(data)) {
    const own = dtype ?? dtypeOf(data);
    const values = storesDType(data, own) ? data : fromNumbers("tensor()", data, own);
    if (own === "bool") checkBools(values);
    return leaf(values, shape ?? [data.length], own);
  }
  if (ArrayBuffer.isView(data)) {
    const array = data as unknown as ArrayLike<number>;
    if (typeof array[0] === "bigint" || array.length === undefined) {
      throw new DTypeError(
        expected("tensor()", "Float32Array, Int32Array, Uint8Array or an array of numbers", data),
      );
    }
    return leaf(
      fromNumbers("tensor()", array, dtype ?? "float32"),
      shape ?? [array.length],
      dtype ?? "float32",
    );
  }
  const { values, shape: nested, boolean } = flatten(data);
  const own = dtype ?? (boolean ? "bool" : "float32");
  if (shape !== undefined && nested.length > 1 && !sameShape(shape, nested)) {
    throw new ShapeError(
      `tensor(): nested arrays of shape ${showShape(nested)} given with shape ${showShape(shape)}`,
    );
  }
  return leaf(fromNumbers("tensor()", values, own), shape ?? nested, own);
}

/** Shape and dtype are arguments, where other libraries take options. */
function checkShapeArgument(shape: unknown): void {
  const own: unknown = (shape as { dtype?: unknown } | undefined)?.dtype;
  if (own !== undefined || typeof shape === "string") {
    throw new ArgumentError(
      `tensor(): got ${own === undefined ? show(shape) : "an object with a dtype"} as its shape; the dtype is the ` +
        `third argument: lw.tensor(values, undefined, ${show(own ?? shape)})`,
    );
  }
  if (shape !== undefined) checkShape("tensor()", shape);
}

/** @internal A leaf over a typed array that already stores `dtype`. */
export function leaf(values: TypedArray, shape: Shape, dtype: DType): Tensor {
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError(
      `tensor(): ${values.length} values do not fit shape ${showShape(shape)} (${sizeOf(shape)} elements)`,
    );
  }
  checkRank("tensor()", shape);
  return new Tensor(Object.freeze([...shape]), dtype, { values });
}

/** A tensor without dimensions. */
export function scalar(value: number | boolean, dtype?: DType): Tensor {
  if (typeof value !== "number" && typeof value !== "boolean") {
    throw new ArgumentError(expected("scalar()", "a number or boolean", show(value)));
  }
  return tensor(value, [], dtype);
}

/** @internal A number literal used as an operand. */
export function literal(value: number, dtype: DType): Tensor {
  if (dtype !== "float32") fromNumbers("scalar", [value], dtype);
  return new Tensor([], dtype, { literal: value });
}

/** @internal An argument of a traced function. */
export function placeholder(shape: Shape, dtype: DType): Tensor {
  return new Tensor(Object.freeze([...shape]), dtype);
}

function checkBools(values: TypedArray): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i]! > 1) {
      throw new DTypeError(expected("tensor()", "0 or 1 for bool", `${values[i]} at ${i}`));
    }
  }
}

function flatten(data: NestedArray): {
  values: (number | boolean)[];
  shape: number[];
  boolean: boolean;
} {
  const shape: number[] = [];
  for (let level: NestedArray = data; Array.isArray(level); level = (level as NestedArray[])[0]!) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const values: (number | boolean)[] = [];
  let boolean = true;
  const visit = (item: NestedArray, depth: number): void => {
    if (depth === shape.length) {
      if (typeof item !== "number" && typeof item !== "boolean") {
        if (!Array.isArray(item)) {
          throw new ArgumentError(expected("tensor()", "numbers or booleans", show(item)));
        }
        throw new ShapeError(
          `tensor(): ragged nesting: an array of ${item.length} where a number was expected`,
        );
      }
      if (typeof item === "number") boolean = false;
      values.push(item);
      return;
    }
    if (!Array.isArray(item) || item.length !== shape[depth]) {
      throw new ShapeError(
        `tensor(): ragged nesting at depth ${depth}: expected an array of ${shape[depth]}, got ${
          Array.isArray(item) ? `one of ${item.length}` : show(item)
        }`,
      );
    }
    for (const child of item) visit(child, depth + 1);
  };
  visit(data, 0);
  return { values, shape, boolean: boolean && values.length > 0 };
}

function nest(values: TypedArray, shape: Shape, dtype: DType): NestedArray {
  let position = 0;
  const build = (depth: number): NestedArray => {
    if (depth === shape.length) {
      const value = values[position++]!;
      return dtype === "bool" ? value !== 0 : value;
    }
    return Array.from({ length: shape[depth]! }, () => build(depth + 1));
  };
  return build(0);
}

/** At most six entries per dimension (three at either end), as NumPy prints long arrays. */
function print(values: TypedArray, shape: Shape, dtype: DType): string {
  const build = (depth: number, offset: number, stride: number, indent: string): string => {
    if (depth === shape.length) {
      const value = values[offset]!;
      return dtype === "bool"
        ? String(value !== 0)
        : Number.isInteger(value)
          ? String(value)
          : value.toPrecision(6);
    }
    const dim = shape[depth]!;
    const inner = dim === 0 ? 0 : stride / dim;
    const picks = dim <= 6 ? [...Array(dim).keys()] : [0, 1, 2, -1, dim - 3, dim - 2, dim - 1];
    const parts = picks.map((i) =>
      i < 0 ? "…" : build(depth + 1, offset + i * inner, inner, `${indent} `),
    );
    return `[${parts.join(depth === shape.length - 1 ? ", " : `,\n${indent}`)}]`;
  };
  return build(0, 0, sizeOf(shape), " ");
}

/** @internal Zeros as a leaf, for state that a Program will fill. */
export function zerosLeaf(shape: Shape, dtype: DType): Tensor {
  return leaf(allocate(dtype, sizeOf(shape)), shape, dtype);
}
