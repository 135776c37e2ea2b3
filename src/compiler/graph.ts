/**
 * The compiler's own picture of a graph: values and nodes, with equal nodes merged and reshapes
 * resolved to the storage they share. Built from tensors once; later passes never look at tensors.
 */
import { ShapeError } from "../errors.js";
import { type Op, type OpNode, opOf } from "../ops/op.js";
import type { DType, TypedArray } from "../tensor/dtype.js";
import { maximumSize, type Shape, sameShape, showShape, sizeOf } from "../tensor/shape.js";
import type { GraphNode, Tensor, TensorSpec } from "../tensor/tensor.js";
import { simplify } from "./simplify.js";

/** A tensor as the compiler sees it. */
export interface Value extends TensorSpec {
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Set when the value comes from outside: index into `Graph.inputs`. */
  readonly input?: number;
  /** Set for number literals. */
  readonly literal?: number;
  /** Set when a node makes it. */
  readonly node?: Node;
  readonly output?: number;
  /** Set when it is another value's storage under this shape; never itself an alias. */
  readonly base?: Value;
}

/** One op with its values. `tensors` keeps what op rows expect of a recorded node. */
export interface Node {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly attributes: object;
  readonly outputs: readonly Value[];
}

/** Where an outside value comes from. */
export type GraphInput =
  /** The i-th argument of the traced function. */
  | { readonly kind: "argument"; readonly index: number; readonly tensor: Tensor }
  /** A tensor with data. */
  | { readonly kind: "leaf"; readonly values: TypedArray; readonly tensor: Tensor }
  /** A variable that the trace read. */
  | { readonly kind: "variable"; readonly index: number; readonly tensor: Tensor };

export interface Graph {
  /** In an order in which inputs come before their users. */
  readonly nodes: readonly Node[];
  readonly inputs: readonly GraphInput[];
  readonly inputValues: readonly Value[];
  readonly outputs: readonly Value[];
  /** Identifies the graph: equal keys mean equal Programs (leaf data apart). */
  readonly key: string;
}

/** Builds values and nodes; equal ones are made once. */
export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly inputs: GraphInput[] = [];
  readonly inputValues: Value[] = [];
  readonly #known = new Map<string, readonly Value[]>();
  readonly #keys: string[] = [];
  #nextValue = 0;

  input(source: GraphInput): Value {
    const { shape, dtype } = source.tensor;
    const value: Value = { id: this.#nextValue++, shape, dtype, input: this.inputs.length };
    this.inputs.push(source);
    this.inputValues.push(value);
    this.#keys.push(`in ${source.kind[0]} ${dtype} ${shape.join()}`);
    return value;
  }

  literal(value: number, dtype: DType): Value {
    return this.#once(`lit ${dtype} ${Object.is(value, -0) ? "-0" : value}`, () => [
      { id: this.#nextValue++, shape: [], dtype, literal: value },
    ])[0]!;
  }

  /** `source` under another shape; the same bytes. */
  alias(source: Value, shape: Shape): Value {
    const base = storageOf(source);
    if (sameShape(base.shape, shape)) return base;
    const { node, dtype } = base;
    // reshape(broadcastTo(number)) → broadcastTo(number): it need not reach memory.
    if (node?.op.name === "broadcastTo" && storageOf(node.inputs[0]!).literal !== undefined) {
      return this.node(node.op, node.inputs, { shape }, [{ shape, dtype }])[0]!;
    }
    return this.#once(`alias ${base.id} ${shape.join()}`, () => [
      { id: this.#nextValue++, shape, dtype, base },
    ])[0]!;
  }

  node(
    op: Op,
    inputs: readonly Value[],
    attributes: object,
    specs: readonly TensorSpec[],
  ): readonly Value[] {
    const simple = simplify(this, op, inputs, attributes, specs);
    if (simple) return [simple];
    const key = `${op.name} ${inputs.map((v) => v.id).join()} ${attributeKey(attributes)}`;
    return this.#once(key, () => {
      const outputs: Value[] = [];
      const node: Node = { id: this.nodes.length, op, inputs, attributes, outputs };
      specs.forEach((spec, output) => {
        if (sizeOf(spec.shape) > maximumSize) {
          throw new ShapeError(
            `${op.name}: its result ${showShape(spec.shape)} would have more than 2^31-1 elements`,
          );
        }
        outputs.push({ id: this.#nextValue++, shape: spec.shape, dtype: spec.dtype, node, output });
      });
      this.nodes.push(node);
      return outputs;
    });
  }

  /** Everything that went in, in order, as one string. */
  key(outputs: readonly Value[]): string {
    return `${this.#keys.join(";")}→${outputs.map((v) => `${v.id}:${v.shape.join()}`).join(";")}`;
  }

  #once(key: string, make: () => readonly Value[]): readonly Value[] {
    const known = this.#known.get(key);
    if (known) return known;
    const made = make();
    this.#known.set(key, made);
    this.#keys.push(key);
    return made;
  }
}

/** Attributes as text. JSON would write NaN and both infinities as null, and −0 as 0. */
function attributeKey(attributes: object): string {
  return JSON.stringify(attributes, (_name, value: unknown) =>
    typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))
      ? `number ${Object.is(value, -0) ? "-0" : value}`
      : value,
  );
}

/** Imports the graph below `outputs`. `declared` inputs come first, whether they are used or not. */
export function buildGraph(
  outputs: readonly Tensor[],
  declared: readonly GraphInput[] = [],
): Graph {
  const builder = new GraphBuilder();
  const values = new Map<Tensor, Value>();
  for (const source of declared) values.set(source.tensor, builder.input(source));
  const leaf = (tensor: Tensor): Value | undefined => {
    if (tensor.literal !== undefined) return builder.literal(tensor.literal, tensor.dtype);
    if (tensor.values !== undefined) {
      return builder.input({ kind: "leaf", values: tensor.values, tensor });
    }
    tensor.checkKnowable("evaluation");
    return undefined;
  };
  for (const output of outputs) {
    for (const tensor of inputsFirst(output, values, leaf)) {
      const node = tensor.node!;
      const op = opOf(node);
      const inputs = node.inputs.map((input) => values.get(input)!);
      const made =
        op.lowering.kind === "alias"
          ? [builder.alias(inputs[0]!, node.outputs[0]!.shape)]
          : builder.node(op, inputs, node.attributes, node.outputs);
      node.outputs.forEach((out, i) => {
        if (!values.has(out)) values.set(out, made[i]!);
      });
    }
  }
  const results = outputs.map((output) => values.get(output)!);
  return {
    nodes: reachable(builder.nodes, results),
    inputs: builder.inputs,
    inputValues: builder.inputValues,
    outputs: results,
    key: builder.key(results),
  };
}

/** Tensors below `top` that still need a value, inputs first; leaves are entered on the way. */
function inputsFirst(
  top: Tensor,
  values: Map<Tensor, Value>,
  leaf: (tensor: Tensor) => Value | undefined,
): Tensor[] {
  const order: Tensor[] = [];
  const entered = new Set<GraphNode>();
  const stack: { tensor: Tensor; next: number }[] = [];
  const open = (tensor: Tensor): void => {
    if (values.has(tensor)) return;
    const value = leaf(tensor);
    if (value) {
      values.set(tensor, value);
    } else if (!entered.has(tensor.node!)) {
      entered.add(tensor.node!);
      stack.push({ tensor, next: 0 });
    }
  };
  open(top);
  while (stack.length > 0) {
    const frame = stack[stack.length - 1]!;
    const input = frame.tensor.node!.inputs[frame.next++];
    if (input !== undefined) {
      open(input);
    } else {
      order.push(frame.tensor);
      stack.pop();
    }
  }
  return order;
}

/** Only what the results need: the dead-node pass. */
function reachable(nodes: readonly Node[], results: readonly Value[]): Node[] {
  const live = new Set<Node>();
  const mark = (value: Value): void => {
    const node = (value.base ?? value).node;
    if (node) live.add(node);
  };
  results.forEach(mark);
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (live.has(nodes[i]!)) nodes[i]!.inputs.forEach(mark);
  }
  return nodes.filter((node) => live.has(node));
}

/** The storage behind a value. */
export function storageOf(value: Value): Value {
  return value.base ?? value;
}

/** An IR node in the form that op rows' lowering functions take. */
export function asOpNode(node: Node): OpNode {
  // Lowering functions read only shapes and dtypes of inputs and outputs, which values have.
  return node as unknown as OpNode;
}
