/** The compiler's passes, in order: graph → units → schedule → memory plan → Program. */

import { hasEpilogue } from "../kernels/table.js";
import { allOps } from "../ops/op.js";
import { sizeOf } from "../tensor/shape.js";
import { emit } from "./emit.js";
import { fuse } from "./fuse.js";
import { type Graph, type Node, storageOf, type Value } from "./graph.js";
import { planMemory } from "./memory.js";
import type { Binding, Program } from "./program.js";
import { recompute } from "./recompute.js";
import { schedule, type Update } from "./schedule.js";

/**
 * Compiles a graph. Bindings are the graph's inputs in order, then one per result, then the stamp, if the Program reads
 * one. `names` are those of the inputs, for messages; `lasting` are the inputs whose values stay from run to run until
 * the caller gives another stamp.
 */
export function compileGraph(
  graph: Graph,
  asked: readonly Value[],
  changes: readonly Update[],
  names: readonly string[],
  lasting: ReadonlySet<number> = new Set(),
): Program {
  const { nodes, results, updates } = materializeOldValues(graph, asked, changes);
  const outputs = [...results, ...updates.map((u) => u.value)];
  const changing = new Set(updates.map((u) => graph.inputValues[u.input]!));
  const units = recompute(fuse({ ...graph, nodes, outputs }), outputs, changing);
  const plan = schedule(graph, units, results, updates);
  const live = new Set<Value>();
  for (const step of plan.steps) for (const value of step.reads) live.add(value);
  for (const value of outputs) live.add(storageOf(value));
  // Kernels and reductions write all their outputs, wanted or not; but for optional ones.
  for (const { unit } of plan.steps) {
    if (unit?.kind === "kernel") {
      const { lowering } = unit.anchor!.op;
      const optional = lowering.kind === "kernels" ? lowering.optional : undefined;
      for (const value of unit.anchor!.outputs) {
        if (!optional?.includes(value.output!)) live.add(value);
      }
    }
    if (unit?.kind === "product" && unit.nodes.length === 0) live.add(unit.anchor!.outputs[0]!);
  }
  const updated = new Set(updates.map((u) => u.input));
  const bindings: Binding[] = [
    ...graph.inputValues.map(
      (value, i): Binding => ({
        name: names[i] ?? `input ${i}`,
        dtype: value.dtype,
        size: sizeOf(value.shape),
        access: updated.has(i) ? "readwrite" : "read",
      }),
    ),
    ...results.map(
      (value, i): Binding => ({
        name: `result ${i}`,
        dtype: value.dtype,
        size: sizeOf(value.shape),
        access: "write",
      }),
    ),
  ];
  const memory = planMemory(plan, live);
  return withStamp(emit({ graph, schedule: plan, memory, live, bindings }), lasting);
}

/** Marks the bindings that last where a product could keep what it makes of them: as its second operand. */
function withStamp(program: Program, lasting: ReadonlySet<number>): Program {
  const kept = new Set<number>();
  for (const { kernel, inputs } of program.calls) {
    if (!hasEpilogue(kernel)) continue;
    const { place } = program.tensors[inputs[1]!]!;
    if (place.kind !== "binding" || !lasting.has(place.index)) continue;
    if (program.bindings[place.index]!.access === "read") kept.add(place.index);
  }
  if (kept.size === 0) return program;
  return {
    ...program,
    bindings: [
      ...program.bindings.map(
        (binding, i): Binding => (kept.has(i) ? { ...binding, access: "lasts" } : binding),
      ),
      { name: "stamp", dtype: "int32", size: 1, access: "stamp" },
    ],
  };
}

/**
 * A result or update that is itself another variable's old value gets a copy of its own, made before
 * anything is overwritten: so that `a.assign(b); b.assign(a)` swaps.
 */
function materializeOldValues(
  graph: Graph,
  results: readonly Value[],
  updates: readonly Update[],
): { nodes: readonly Node[]; results: readonly Value[]; updates: readonly Update[] } {
  const nodes = [...graph.nodes];
  const identity = allOps().get("broadcastTo")!;
  const changing = new Set(updates.map((u) => graph.inputValues[u.input]!));
  let nextId = 1e9;
  const copyOf = (value: Value): Value => {
    const outputs: Value[] = [];
    const { shape, dtype } = value;
    const node: Node = {
      id: nextId,
      op: identity,
      inputs: [value],
      attributes: { shape },
      outputs,
    };
    outputs.push({ id: nextId++, shape, dtype, node, output: 0 });
    nodes.push(node);
    return outputs[0]!;
  };
  return {
    results: results.map((v) => (changing.has(storageOf(v)) ? copyOf(v) : v)),
    updates: updates.map((u) => {
      const storage = storageOf(u.value);
      const foreign = storage.input !== undefined && storage !== graph.inputValues[u.input];
      return foreign ? { ...u, value: copyOf(u.value) } : u;
    }),
    nodes,
  };
}
