/**
 * Reverse-mode differentiation: a walk over the lazy graph from a value back to what it was computed
 * from, calling each op's gradient rule. The rules emit ops, so the result is a graph again: it can be
 * compiled, fused and differentiated once more. Knows op rows only by their `gradient`.
 */
import { ArgumentError, DTypeError, expected, ShapeError, StateError } from "../errors.js";
import { fill } from "../ops/creation.js";
import { add } from "../ops/elementwise.js";
import { asTensor, opOf } from "../ops/op.js";
import { withGraphKept, withVariableLog } from "../tensor/scope.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { type GraphNode, leaf, Tensor, type TensorLike } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";

/**
 * Gradients of `y` (weighted by `dy`, ones by default) with respect to each of `xs`, as graph tensors;
 * zeros for an x on which y does not depend.
 */
export function gradientsOf(y: Tensor, xs: readonly Tensor[], dy?: Tensor): Tensor[] {
  const top = y.current();
  const targets = xs.map((x) => x.current());
  for (const t of [top, ...targets]) {
    if (t.dtype !== "float32") {
      throw new DTypeError(expected("gradient", "float32 tensors", t.dtype));
    }
  }
  if (dy && !sameShape(dy.shape, top.shape)) {
    throw new ShapeError(
      `gradient: dy of shape ${showShape(dy.shape)} for a value of shape ${showShape(top.shape)}`,
    );
  }
  const relevant = nodesBetween(top, targets);
  const sums = new Map<Tensor, Tensor>([[top, dy?.current() ?? fill(top.shape, 1)]]);
  for (const node of relevant) {
    const dys = node.outputs.map((output) => sums.get(output) ?? null);
    if (dys.every((d) => d === null)) continue;
    const { gradient } = opOf(node);
    if (gradient === "none") continue;
    const gradients = gradient({
      inputs: node.inputs,
      outputs: node.outputs,
      attributes: node.attributes,
      // Rules of ops with several outputs read `dys`; for the others the first is the only one.
      dy: dys[0] ?? fill(node.outputs[0]!.shape, 0),
      dys,
      wanted: node.inputs.map((input) => input.dtype === "float32"),
    });
    node.inputs.forEach((input, i) => {
      const contribution = gradients[i];
      if (!contribution || input.dtype !== "float32") return;
      if (!sameShape(contribution.shape, input.shape)) {
        throw new ShapeError(
          `gradient of ${opOf(node).name}: its rule gave ${showShape(contribution.shape)} for input ${i} of shape ${showShape(input.shape)}`,
        );
      }
      const known = sums.get(input);
      sums.set(input, known ? add(known, contribution) : contribution);
    });
  }
  return targets.map((x) => sums.get(x) ?? fill(x.shape, 0));
}

/** The nodes on a path from any target to `top`, latest first. */
function nodesBetween(top: Tensor, targets: readonly Tensor[]): GraphNode[] {
  const wanted = new Set(targets);
  const leads = new Map<GraphNode, boolean>();
  const order: GraphNode[] = [];
  // An explicit stack: graphs of long loops are deeper than the call stack.
  const stack: { node: GraphNode; next: number; found: boolean }[] = [];
  const open = (tensor: Tensor): boolean | undefined => {
    if (!tensor.node) return false;
    const known = leads.get(tensor.node);
    if (known !== undefined) return known;
    leads.set(tensor.node, false);
    stack.push({ node: tensor.node, next: 0, found: false });
    return undefined;
  };
  open(top);
  while (stack.length > 0) {
    const frame = stack[stack.length - 1]!;
    const input = frame.node.inputs[frame.next];
    if (input === undefined) {
      stack.pop();
      leads.set(frame.node, frame.found);
      if (frame.found) {
        order.push(frame.node);
        const parent = stack[stack.length - 1];
        if (parent) parent.found = true;
      }
      continue;
    }
    frame.next++;
    if (wanted.has(input)) frame.found = true;
    if (open(input)) frame.found = true;
  }
  return order.reverse();
}

function checkResult(where: string, y: unknown): Tensor {
  if (y instanceof Promise) {
    throw new ArgumentError(`${where}: the function is async; gradients need a synchronous one`);
  }
  if (!(y instanceof Tensor))
    throw new ArgumentError(expected(where, "a function that returns a Tensor", y));
  return y.current();
}

/** Rules may simplify by a literal's value, so what is differentiated by must not be one. */
function withoutLiteral(x: Tensor): Tensor {
  return x.literal === undefined ? x : leaf(x.dataSync(), x.shape, x.dtype);
}

/**
 * The function that computes f's gradient at x.
 *
 * @example
 * lw.grad((x) => x.square())(lw.scalar(3)).item(); // 6
 */
export function grad(f: (x: Tensor) => Tensor): (x: TensorLike, dy?: Tensor) => Tensor {
  const both = valueAndGrad(f);
  return (x, dy) => both(x, dy).grad;
}

/** As {@link grad}, for a function of several tensors. */
export function grads(
  f: (...xs: Tensor[]) => Tensor,
): (xs: readonly TensorLike[], dy?: Tensor) => Tensor[] {
  const both = valueAndGrads(f);
  return (xs, dy) => both(xs, dy).grads;
}

/** The function that computes f's value and gradient at x. */
export function valueAndGrad(
  f: (x: Tensor) => Tensor,
): (x: TensorLike, dy?: Tensor) => { value: Tensor; grad: Tensor } {
  const both = valueAndGrads(f);
  return (x, dy) => {
    const { value, grads: all } = both([x], dy);
    return { value, grad: all[0]! };
  };
}

/** As {@link valueAndGrad}, for a function of several tensors. */
export function valueAndGrads(
  f: (...xs: Tensor[]) => Tensor,
): (xs: readonly TensorLike[], dy?: Tensor) => { value: Tensor; grads: Tensor[] } {
  if (typeof f !== "function") throw new ArgumentError(expected("grad", "a function", f));
  return (xs, dy) => {
    const inputs = xs.map((x) => withoutLiteral(asTensor("grad", x)));
    return withGraphKept(() => {
      const value = checkResult("grad", f(...inputs));
      return { value, grads: gradientsOf(value, inputs, dy) };
    });
  };
}

/**
 * Value of `f` and its gradients with respect to variables, by name: the given ones, or every trainable
 * variable that `f` read.
 */
export function variableGrads(
  f: () => Tensor,
  variables?: readonly Variable[],
): { value: Tensor; grads: Record<string, Tensor> } {
  const read = new Set<Variable>();
  return withGraphKept(() => {
    const value = checkResult("variableGrads", withVariableLog(read, f));
    const list = variables ?? [...read].filter((v) => v.trainable && v.dtype === "float32");
    if (list.length === 0) {
      throw new StateError("variableGrads: the function reads no trainable variable");
    }
    const gradients = gradientsOf(value, list);
    const named: Record<string, Tensor> = {};
    list.forEach((v, i) => {
      if (Object.hasOwn(named, v.name)) {
        throw new ArgumentError(`variableGrads: two variables are called ${v.name}`);
      }
      named[v.name] = gradients[i]!;
    });
    return { value, grads: named };
  });
}
