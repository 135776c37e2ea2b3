/**
 * What an op is: ONE row with its shape rule, its gradient rule (written in ops), how it becomes
 * kernel calls, and samples for the registry tests. `defineOp` makes a row and enters it in the
 * registry; `record` makes a graph node of it. Knows nothing of the compiler that reads `lowering`.
 */
import { ArgumentError, DTypeError, expected, show } from "../errors.js";
import type { DType } from "../tensor/dtype.js";
import { isTypedArray } from "../tensor/dtype.js";
import { checkRank, sizeOf } from "../tensor/shape.js";
import {
  type GraphNode,
  literal,
  Tensor,
  type TensorLike,
  type TensorSpec,
  tensor,
} from "../tensor/tensor.js";

/** Attributes are plain data: they are part of the cache key of compiled programs. */
export type Attributes = object;

/** A recorded op with its own attribute type. */
export interface OpNode<A extends Attributes = Attributes> extends GraphNode {
  readonly op: Op;
  readonly attributes: A;
}

/** What a kernel-calling op sees while it is lowered; tensors are numbers in the Program's table. */
export interface KernelEmitter<A extends Attributes> {
  readonly attributes: A;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly dtype: DType }[];
  readonly outputs: readonly { readonly shape: readonly number[]; readonly dtype: DType }[];
  /** Emits a call on the op's i-th inputs and outputs. */
  call(
    kernel: string,
    inputs: readonly number[],
    outputs: readonly number[],
    ints?: readonly number[],
    floats?: readonly number[],
  ): void;
  /** Fills output `index` with a number. */
  fill(index: number, value: number): void;
  /** False for an optional output that nobody reads: no call may write it. */
  wanted(index: number): boolean;
  /** True for an input that was made in its place in output 0: see `runs` of {@link Lowering}. */
  inPlace(index: number): boolean;
}

/** How a row becomes kernel calls. */
export type Lowering<A extends Attributes> =
  /** One instruction of the tile machine; `constants` are its immediates. */
  | {
      readonly kind: "elementwise";
      instruction(node: OpNode<A>): string;
      constants?(attributes: A): readonly number[];
    }
  /** The same bytes under another shape or name. */
  | { readonly kind: "alias" }
  /** A reduction over the contiguous axes `from` … `to - 1`. */
  | { readonly kind: "reduce"; parameters(node: OpNode<A>): ReduceParameters }
  /** A kernel that carries an epilogue: element-wise ops that follow may join its call. */
  | { readonly kind: "product"; call(node: OpNode<A>): ProductCall }
  /**
   * Any other kernel call or calls; `optional` outputs are left out where nobody reads them. Of one with
   * `overFirst` the kernel says so too.
   */
  | {
      readonly kind: "kernels";
      readonly optional?: readonly number[];
      /** True where the only output may be written over input 0, as long as that is no other input too. */
      readonly overFirst?: boolean;
      /**
       * At which element the inputs stand in output 0, which is of their dtype, each as one unbroken run; empty if they
       * do not. Those that could be made there are `inPlace` for `emit`.
       */
      runs?(node: OpNode<A>): readonly number[];
      emit(emitter: KernelEmitter<A>): void;
    };

export type Reducer = "sum" | "max" | "min" | "prod";

export interface ReduceParameters {
  readonly reducer: Reducer;
  readonly from: number;
  readonly to: number;
  readonly scale: number;
}

/** A call on the op's inputs, in order, whose one result is a matrix to the epilogue. */
export interface ProductCall {
  readonly kernel: string;
  readonly ints: readonly number[];
  /** The epilogue's domain: the result's elements as rows × columns. */
  readonly rows: number;
  readonly columns: number;
  /** Multiplications (each with an addition), for the count of operations. */
  readonly multiplications: number;
}

/** What a gradient rule gets. `dy` is the gradient of the first output; `dys` of each, null if unused. */
export interface GradientContext<A extends Attributes> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
  readonly dy: Tensor;
  readonly dys: readonly (Tensor | null)[];
  /** Which inputs a gradient is wanted for; a rule may return null for the others. */
  readonly wanted: readonly boolean[];
}

/** Input for a registry test: random values in `domain`, or the given ones. */
export interface SampleInput {
  readonly shape: readonly number[];
  readonly dtype?: DType;
  readonly domain?: readonly [number, number];
  readonly values?: readonly number[];
}

export interface Sample<A extends Attributes> {
  readonly inputs: readonly SampleInput[];
  readonly attributes: A;
  /** False where finite differences make no sense (kinks, integers). */
  readonly differentiable?: boolean;
}

export interface OpRow<A extends Attributes> {
  readonly name: string;
  /** Shape and dtype of each output; throws if the inputs don't fit. */
  infer(inputs: readonly Tensor[], attributes: A): readonly TensorSpec[];
  readonly lowering: Lowering<A>;
  /** One gradient per input (null: none flows); `"none"` for an op that stops gradients. */
  readonly gradient: ((context: GradientContext<A>) => readonly (Tensor | null)[]) | "none";
  readonly samples: readonly Sample<A>[];
}

/** A row with its attribute type forgotten, as the registry, autodiff and the compiler see it. */
export type Op = OpRow<Attributes>;

/** Records a node of one row and returns its outputs. */
export type Recorder<A extends Attributes> = (inputs: readonly Tensor[], attributes: A) => Tensor[];

const registry = new Map<string, Op>();

/** All op rows by name. */
export function allOps(): ReadonlyMap<string, Op> {
  return registry;
}

/** Enters a row in the registry and returns the function that records it. */
export function defineOp<A extends Attributes>(row: OpRow<A>): Recorder<A> {
  if (registry.has(row.name)) throw new ArgumentError(`op ${row.name} is defined twice`);
  // The registry forgets A: a node made by this row always carries this row's attributes.
  const op = row as unknown as Op;
  registry.set(row.name, op);
  return (inputs, attributes) => record(op, inputs, attributes);
}

/** Records a node and returns its output tensors. */
export function record(op: Op, inputs: readonly Tensor[], attributes: Attributes): Tensor[] {
  const specs = op.infer(inputs, attributes);
  const outputs: Tensor[] = [];
  const node: OpNode = { op, inputs, attributes, outputs };
  specs.forEach((spec, outputIndex) => {
    checkRank(op.name, spec.shape);
    outputs.push(new Tensor(spec.shape, spec.dtype, { node, outputIndex }));
  });
  return outputs;
}

/** The op row of a recorded node: every node is made by `record`. */
export function opOf(node: GraphNode): Op {
  return node.op as Op;
}

/** Turns what a user passed into an immutable tensor; numbers become literals of `like`'s dtype. */
export function asTensor(where: string, value: TensorLike, like?: Tensor): Tensor {
  if (value instanceof Tensor) return value.current();
  if (typeof value === "number" || typeof value === "boolean") {
    return literalLike(where, value, like);
  }
  if (isTypedArray(value)) return tensor(value);
  if (Array.isArray(value)) return tensor(value, undefined, like?.dtype);
  throw new ArgumentError(expected(where, "a tensor, a number or an array", show(value)));
}

function literalLike(where: string, value: number | boolean, like: Tensor | undefined): Tensor {
  if (typeof value === "boolean") return literal(Number(value), like?.dtype ?? "bool");
  const dtype = like?.dtype ?? "float32";
  if (dtype !== "float32" && !Number.isInteger(value)) {
    throw new DTypeError(
      `${where}: ${value} with a tensor of ${dtype}; cast it first: x.cast("float32")`,
    );
  }
  return literal(value, dtype);
}

/** Two operands, a number taking the other's dtype; differing dtypes are an error. */
export function asPair(where: string, a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  const first = a instanceof Tensor ? a.current() : undefined;
  const second = b instanceof Tensor ? b.current() : undefined;
  const left = first ?? asTensor(where, a, second);
  const right = second ?? asTensor(where, b, left);
  if (left.dtype !== right.dtype) {
    throw new DTypeError(
      `${where}: got ${left.dtype} and ${right.dtype}; dtypes are never mixed silently: cast one of them`,
    );
  }
  return [left, right];
}

/** Throws unless `x` is of one of `allowed`. */
export function requireDType(where: string, x: Tensor, ...allowed: readonly DType[]): void {
  if (!allowed.includes(x.dtype)) {
    throw new DTypeError(
      expected(where, allowed.join(" or "), x.dtype, `cast it first: x.cast("${allowed[0]}")`),
    );
  }
}

/** True for an all-constant scalar with this value: gradient rules skip multiplications by it. */
export function isLiteral(x: Tensor, value: number): boolean {
  return x.literal === value && sizeOf(x.shape) === 1;
}
