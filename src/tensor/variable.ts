/**
 * A variable: a named place that holds a tensor and can be given another of the same shape and dtype.
 * Weights, optimizer state, running statistics and counters are variables. Compiled programs update
 * them in place; a value that was read before stays what it was. While a run off the event loop updates
 * a variable, reading gives a copy taken between two of its steps, and assigning is an error.
 */
import { ArgumentError, DTypeError, expected, ShapeError, StateError, show } from "../errors.js";
import type { DType, TypedArray } from "./dtype.js";
import { currentTrace, noteRead } from "./scope.js";
import { sameShape, showShape } from "./shape.js";
import { leaf, Tensor, type TensorLike, tensor } from "./tensor.js";

/** A run in progress off the event loop that updates variables in place. */
export interface VariableUpdate {
  /** For messages. */
  readonly name: string;
  /** Calls `body` between two steps of the run. */
  between<T>(body: () => T): T;
}

let nextVariable = 1;

/** Counts changes of any variable's value. */
let changes = 0;

/** A tensor whose value can be replaced. Make one with `variable()`. */
export class Variable extends Tensor {
  readonly name: string;
  /** Whether optimizers change it. */
  trainable: boolean;
  /** Whether optimizers leave rows alone that a step did not read, their state included (see `sparse.ts`). */
  sparse = false;
  #held: Tensor | null = null;
  /** What the first value will be computed from, as long as nobody has asked for it. */
  #initial: Tensor | null;
  /** True once the present value was handed out, so an update in place must copy first. */
  #lent = false;
  /** What `changes` was when the value last changed. */
  #changed = 0;
  /** The runs in progress that update the value where it is; several take turns. */
  readonly #updates: VariableUpdate[] = [];

  /**
   * @internal With `lazy` the first value is computed when it is first needed: a large model that is only
   * looked at, or whose weights come from a file, never computes one.
   */
  constructor(initial: Tensor, name: string, trainable: boolean, lazy = false) {
    super(initial.shape, initial.dtype);
    this.name = name;
    this.trainable = trainable;
    this.#initial = initial;
    if (!lazy) this.#compute();
  }

  #compute(): Tensor {
    this.#value = leaf(this.#initial!.dataSync().slice(), this.shape, this.dtype);
    return this.#held!;
  }

  get #value(): Tensor {
    return this.#held ?? this.#compute();
  }

  set #value(value: Tensor) {
    this.#held = value;
    this.#initial = null;
    this.#changed = ++changes;
  }

  /**
   * @internal A number that is another whenever the value may be: what was made of the value while it was the same still
   * holds. It only grows, and differs from that of every later change of any variable. While a run updates the value it
   * is new each time.
   */
  lastChange(): number {
    if (this.#updates.length > 0) this.#changed = ++changes;
    return this.#changed;
  }

  override get isPlaceholder(): boolean {
    return false;
  }

  /** The present value as an immutable tensor; inside a traced function, the traced value. */
  read(): Tensor {
    noteRead(this);
    const trace = currentTrace();
    if (trace) return trace.read(this);
    if (this.#updates.length === 0) this.#lent = true;
    return this.peek();
  }

  /** @internal The present value for a computation that ends before anything can change it. */
  peek(): Tensor {
    const update = this.#updates[0];
    return update ? update.between(() => this.#copy()) : this.#value;
  }

  #copy(): Tensor {
    return leaf(this.#value.values!.slice(), this.shape, this.dtype);
  }

  override current(): Tensor {
    return this.read();
  }

  /**
   * Replaces the value. Outside of a traced function the new value is computed at once.
   * @throws ShapeError, DTypeError when the new value is of another shape or dtype; StateError while
   * a run off the event loop (`fit`, say) updates the variable.
   */
  assign(value: TensorLike): this {
    const next = this.accept(value);
    const trace = currentTrace();
    if (trace) {
      trace.assign(this, next);
    } else {
      this.checkFree();
      this.#value = leaf(next.dataSync().slice(), this.shape, this.dtype);
      this.#lent = false;
    }
    return this;
  }

  /** @internal A value as `assign` takes it, or its error: to check several before the first is assigned. */
  accept(value: TensorLike): Tensor {
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
    return next;
  }

  /** @internal The storage for a Program that only reads it. */
  storage(): TypedArray {
    return this.#value.values!;
  }

  /** @internal The storage for a caller that writes into it at once. */
  storageForUpdate(): TypedArray {
    this.checkFree();
    return this.storageForRun();
  }

  /** @internal The storage for a Program that updates it in place; such runs take turns. */
  storageForRun(): TypedArray {
    if (this.#lent) {
      this.#value = this.#copy();
      this.#lent = false;
    }
    this.#changed = ++changes;
    return this.#value.values!;
  }

  /** @internal The run in progress that updates this variable, if any. */
  get update(): VariableUpdate | undefined {
    return this.#updates[0];
  }

  /** @internal Enters a run that will update the storage off the event loop. */
  beginUpdate(update: VariableUpdate): void {
    this.#updates.push(update);
  }

  /** @internal Removes what `beginUpdate` entered. */
  endUpdate(update: VariableUpdate): void {
    this.#updates.splice(this.#updates.indexOf(update), 1);
    this.#changed = ++changes;
  }

  /** @internal Throws while a run in progress updates this variable. */
  checkFree(): void {
    if (this.#updates.length === 0) return;
    throw new StateError(
      `variable ${this.name}: it can't be changed while ${this.#updates[0]!.name} is running; ` +
        "wait for that, or change it in a callback",
    );
  }

  override toString(): string {
    const trace = currentTrace();
    const text = trace ? "" : `\n${this.peek().toString().split("\n").slice(1).join("\n")}`;
    return `Variable ${this.name} ${this.dtype} ${showShape(this.shape)}${text}`;
  }
}

/** The present values of variables, all of the same step where a run in progress updates them. */
export function readTogether(variables: readonly Variable[]): Tensor[] {
  const read = (): Tensor[] => variables.map((v) => v.read());
  const update = variables.find((v) => v.update)?.update;
  return update ? update.between(read) : read();
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
  checkUntraced(name);
  if (initial === undefined || initial === null || typeof initial === "string") {
    const wanted = "a tensor, numbers or booleans as first value";
    throw new ArgumentError(expected(`variable ${name}`, wanted, show(initial)));
  }
  const value = initial instanceof Tensor ? initial.current() : tensor(initial, undefined, dtype);
  if (dtype !== undefined && value.dtype !== dtype) {
    throw new DTypeError(expected(`variable ${name}`, dtype, value.dtype, "cast the value first"));
  }
  return new Variable(value, name, trainable);
}

/** @internal A variable whose first value is computed when it is first needed. */
export function lazyVariable(initial: Tensor, name: string, trainable: boolean): Variable {
  checkUntraced(name);
  return new Variable(initial.current(), name, trainable, true);
}

function checkUntraced(name: string): void {
  if (!currentTrace()) return;
  throw new StateError(
    `variable(): ${name} can't be made inside a function that is being compiled; make it before`,
  );
}
