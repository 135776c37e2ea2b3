/**
 * A variable: a named place that holds a tensor and can be given another of the same shape and dtype.
 * Weights, optimizer state, running statistics and counters are variables. Compiled programs update
 * them in place; a value that was read before stays what it was.
 */
import { ArgumentError, DTypeError, expected, ShapeError, StateError } from "../errors.js";
import type { DType, TypedArray } from "./dtype.js";
import { currentTrace, noteRead } from "./scope.js";
import { sameShape, showShape } from "./shape.js";
import { leaf, Tensor, type TensorLike, tensor } from "./tensor.js";

let nextVariable = 1;

/** A tensor whose value can be replaced. Make one with `variable()`. */
export class Variable extends Tensor {
  readonly name: string;
  /** Whether optimizers change it. */
  trainable: boolean;
  #value: Tensor;
  /** True once the present value was handed out, so an update in place must copy first. */
  #lent = false;

  /** @internal */
  constructor(initial: Tensor, name: string, trainable: boolean) {
    super(initial.shape, initial.dtype);
    this.name = name;
    this.trainable = trainable;
    this.#value = leaf(initial.dataSync().slice(), initial.shape, initial.dtype);
  }

  override get isPlaceholder(): boolean {
    return false;
  }

  /** The present value as an immutable tensor; inside a traced function, the traced value. */
  read(): Tensor {
    noteRead(this);
    const trace = currentTrace();
    if (trace) return trace.read(this);
    this.#lent = true;
    return this.#value;
  }

  override current(): Tensor {
    return this.read();
  }

  /**
   * Replaces the value. Outside of a traced function the new value is computed at once.
   * @throws ShapeError, DTypeError when the new value is of another shape or dtype.
   */
  assign(value: TensorLike): this {
    const next = (
      value instanceof Tensor ? value : tensor(value, this.shape, this.dtype)
    ).current();
    if (!sameShape(next.shape, this.shape)) {
      throw new ShapeError(
        `variable ${this.name}: expected a value of shape ${showShape(this.shape)}, got ${showShape(next.shape)}`,
      );
    }
    if (next.dtype !== this.dtype) {
      throw new DTypeError(`variable ${this.name}: expected ${this.dtype}, got ${next.dtype}`);
    }
    const trace = currentTrace();
    if (trace) {
      trace.assign(this, next);
    } else {
      this.#value = leaf(next.dataSync().slice(), this.shape, this.dtype);
      this.#lent = false;
    }
    return this;
  }

  /** @internal The storage for a Program that only reads it. */
  storage(): TypedArray {
    return this.#value.values!;
  }

  /** @internal The storage for a Program that updates it in place. */
  storageForUpdate(): TypedArray {
    if (this.#lent) {
      this.#value = leaf(this.#value.values!.slice(), this.shape, this.dtype);
      this.#lent = false;
    }
    return this.#value.values!;
  }

  override toString(): string {
    const trace = currentTrace();
    const text = trace ? "" : `\n${this.#value.toString().split("\n").slice(1).join("\n")}`;
    return `Variable ${this.name} ${this.dtype} ${showShape(this.shape)}${text}`;
  }
}

/**
 * Makes a variable from a tensor or numbers.
 *
 * @example
 * const w = lw.variable([1, 2], { name: "w" });
 * w.assign(w.mul(2));
 * w.arraySync(); // [2, 4]
 */
export function variable(
  initial: TensorLike,
  options: { name?: string; trainable?: boolean; dtype?: DType } = {},
): Variable {
  const { name = `variable_${nextVariable++}`, trainable = true, dtype } = options;
  if (typeof name !== "string")
    throw new ArgumentError(expected("variable()", "a string `name`", name));
  if (currentTrace()) {
    throw new StateError(
      `variable(): ${name} can't be made inside a function that is being compiled; make it before`,
    );
  }
  const value = initial instanceof Tensor ? initial.current() : tensor(initial, undefined, dtype);
  if (dtype !== undefined && value.dtype !== dtype) {
    throw new DTypeError(expected(`variable ${name}`, dtype, value.dtype, "cast the value first"));
  }
  return new Variable(value, name, trainable);
}
