/**
 * `compile(fn)`: a function of tensors turned into Programs, one per combination of argument shapes
 * and dtypes. What it returns keeps its structure: a tensor, an array or an object of tensors.
 */
import { ArgumentError, expected, show } from "../errors.js";
import { asTensor } from "../ops/op.js";
import type { TypedArray } from "../tensor/dtype.js";
import { leaf, Tensor, type TensorLike } from "../tensor/tensor.js";
import { type Executable, trace } from "./run.js";

/** What a compiled function may return. */
export type TensorTree = Tensor | readonly Tensor[] | { readonly [name: string]: Tensor };

/** A compiled function: called, it computes at once; `run` computes off the event loop. */
export interface CompiledFunction<R extends TensorTree> {
  (...args: TensorLike[]): R;
  run(...args: TensorLike[]): Promise<R>;
  /** How many Programs were compiled: one per combination of argument shapes and dtypes. */
  readonly programs: number;
}

interface Compiled<R> {
  readonly executable: Executable;
  rebuild(results: readonly Tensor[]): R;
}

/**
 * Compiles `fn` at its first call with each combination of argument shapes and dtypes.
 *
 * `fn` is run once per combination, with arguments whose values are not known: it must be synchronous
 * and must not look at values. Variables it assigns are updated by each call.
 *
 * @example
 * const w = lw.variable(3);
 * const step = lw.compile((x) => w.assign(w.add(x)).mul(2));
 * step(1).arraySync(); // 8
 */
export function compile<R extends TensorTree>(fn: (...args: Tensor[]) => R): CompiledFunction<R> {
  if (typeof fn !== "function")
    throw new ArgumentError(expected("compile()", "a function", show(fn)));
  const name = fn.name || "compiled function";
  const cache = new Map<string, Compiled<R>>();
  const prepare = (args: readonly TensorLike[]): { compiled: Compiled<R>; tensors: Tensor[] } => {
    const tensors = args.map((arg) => asTensor(name, arg));
    const key = tensors.map((t) => `${t.dtype}[${t.shape.join()}]`).join();
    let compiled = cache.get(key);
    if (!compiled) {
      compiled = compileFor(name, fn, tensors);
      cache.set(key, compiled);
    }
    return { compiled, tensors };
  };
  const wrap = ({ executable, rebuild }: Compiled<R>, arrays: readonly TypedArray[]): R =>
    rebuild(
      arrays.map((array, i) =>
        leaf(array, executable.outputs[i]!.shape, executable.outputs[i]!.dtype),
      ),
    );
  const call = (...args: TensorLike[]): R => {
    const { compiled, tensors } = prepare(args);
    return wrap(compiled, compiled.executable.runSync(tensors.map((t) => t.dataSync())));
  };
  return Object.defineProperties(call, {
    run: {
      value: async (...args: TensorLike[]): Promise<R> => {
        const { compiled, tensors } = prepare(args);
        const inputs = await Promise.all(tensors.map((t) => t.data()));
        return wrap(compiled, await compiled.executable.run(inputs));
      },
    },
    programs: { get: () => cache.size },
  }) as CompiledFunction<R>; // defineProperties can't express the added members in its type
}

function compileFor<R extends TensorTree>(
  name: string,
  fn: (...args: Tensor[]) => R,
  args: readonly Tensor[],
): Compiled<R> {
  let rebuild: ((results: readonly Tensor[]) => R) | undefined;
  const executable = trace({
    name,
    inputs: args.map(({ shape, dtype }, i) => ({ name: `argument ${i}`, shape, dtype })),
    body: (placeholders) => {
      const { tensors, build } = flattenTree<R>(name, fn(...placeholders));
      rebuild = build;
      return tensors;
    },
  });
  return { executable, rebuild: rebuild! };
}

function flattenTree<R extends TensorTree>(
  name: string,
  tree: R,
): { tensors: readonly Tensor[]; build(results: readonly Tensor[]): R } {
  // The rebuilt value has the structure that was taken apart, so the casts to R hold.
  if (tree instanceof Tensor) return { tensors: [tree], build: ([t]) => t as TensorTree as R };
  const check = (t: unknown): void => {
    if (!(t instanceof Tensor)) {
      const what = t instanceof Promise ? "a Promise: async functions can't be compiled" : show(t);
      throw new ArgumentError(
        expected(name, "a tensor, or an array or object of tensors, as result", what),
      );
    }
  };
  if (tree instanceof Promise || typeof tree !== "object" || tree === null) check(tree);
  if (Array.isArray(tree)) {
    tree.forEach(check);
    return { tensors: tree as Tensor[], build: (results) => [...results] as TensorTree as R };
  }
  const entries = Object.entries(tree as { [name: string]: Tensor });
  for (const [, t] of entries) check(t);
  return {
    tensors: entries.map(([, t]) => t),
    build: (results) =>
      Object.fromEntries(entries.map(([key], i) => [key, results[i]!])) as TensorTree as R,
  };
}
