/**
 * Order and homes: which storage each value lives in (arena or a binding), which variables can be
 * updated in place, and an order of steps in which nothing is overwritten before its last reader.
 */
import { sizeOf } from "../tensor/shape.js";
import type { Unit } from "./fuse.js";
import { type Graph, storageOf, type Value } from "./graph.js";
import { readingOver } from "./layout.js";

/** A call to come: a unit, or a plain copy of a value into a binding. */
export interface Step {
  readonly unit?: Unit;
  readonly copy?: { readonly from: Value; readonly binding: number };
  /** Storages read and written. */
  readonly reads: ReadonlySet<Value>;
  readonly writes: readonly Value[];
  readonly order: number;
}

export interface Schedule {
  readonly steps: readonly Step[];
  /** Values whose storage is a binding; the others with a node live in the arena. */
  readonly bindingOf: ReadonlyMap<Value, number>;
}

/** A variable's new value: `input` indexes `Graph.inputs`, `value` is the new value. */
export interface Update {
  readonly input: number;
  readonly value: Value;
}

export function schedule(
  graph: Graph,
  units: readonly Unit[],
  results: readonly Value[],
  updates: readonly Update[],
): Schedule {
  const steps: Step[] = units.map((unit) => unitStep(unit));
  const edges = new Edges(steps);
  const bindingOf = new Map<Value, number>();
  for (const [i, value] of graph.inputValues.entries()) bindingOf.set(value, i);
  const firstResult = graph.inputs.length;
  let copies = 1e9;
  const addCopy = (from: Value, binding: number): Step => {
    const step: Step = {
      copy: { from, binding },
      reads: new Set([storageOf(from)]),
      writes: [],
      order: copies++,
    };
    steps.push(step);
    edges.add(step);
    return step;
  };

  for (const { input, value } of updates) {
    const storage = storageOf(value);
    const old = graph.inputValues[input]!;
    if (storage === old) continue;
    const writer = edges.writerOf(storage);
    if (writer?.unit && !bindingOf.has(storage) && canOverwrite(writer.unit, storage, old)) {
      const readers = edges.readersOf(old).filter((r) => r !== writer);
      if (!edges.reaches(writer, readers)) {
        for (const reader of readers) edges.order(reader, writer);
        bindingOf.set(storage, input);
      }
    }
  }
  results.forEach((value, i) => {
    const storage = storageOf(value);
    if (storage.node && !bindingOf.has(storage)) bindingOf.set(storage, firstResult + i);
    else addCopy(value, firstResult + i);
  });
  // What could not be written in place is copied when every reader of the old value is done.
  const late: { step: Step; old: Value }[] = [];
  for (const { input, value } of updates) {
    const storage = storageOf(value);
    const old = graph.inputValues[input]!;
    if (storage === old || bindingOf.get(storage) === input) continue;
    late.push({ step: addCopy(value, input), old });
  }
  for (const { step, old } of late) {
    for (const reader of edges.readersOf(old)) if (reader !== step) edges.order(reader, step);
  }
  return { steps: edges.sorted(), bindingOf };
}

function unitStep(unit: Unit): Step {
  const members = [...(unit.anchor ? [unit.anchor] : []), ...unit.nodes, ...unit.reductions];
  const own = new Set<Value>(members.flatMap((node) => node.outputs));
  const reads = new Set<Value>();
  for (const node of members) {
    for (const input of node.inputs) {
      const storage = storageOf(input);
      if (!own.has(storage)) reads.add(storage);
    }
  }
  const writes = members.filter((node) => !unit.repeats.has(node)).flatMap((node) => node.outputs);
  return { unit, reads, writes, order: (unit.anchor ?? members[0]!).id };
}

/** True when the unit may write over `old`: it doesn't read it, or reads each element before writing it. */
function canOverwrite(unit: Unit, written: Value, old: Value): boolean {
  const reads = (inputs: readonly Value[]): Value[] => inputs.filter((v) => storageOf(v) === old);
  if (unit.anchor) {
    const { lowering } = unit.anchor.op;
    const over = lowering.kind === "kernels" && lowering.overFirst === true;
    if (reads(unit.anchor.inputs.slice(over ? 1 : 0)).length > 0) return false;
  }
  if (unit.reductions.some((r) => r.outputs.includes(written))) {
    return [...unit.nodes, ...unit.reductions].every((n) => reads(n.inputs).length === 0);
  }
  if (unit.anchor && unit.kind === "kernel") return true;
  const dims = [sizeOf(unit.domain)];
  return unit.nodes.every((node) =>
    reads(node.inputs).every(
      (value) => readingOver(value, unit.domain, dims)?.[0] === (dims[0] === 1 ? 0 : 1),
    ),
  );
}

/** Steps with what must come before what. */
class Edges {
  readonly #steps: Step[] = [];
  readonly #writer = new Map<Value, Step>();
  readonly #readers = new Map<Value, Step[]>();
  /** Extra predecessors beside those that reads imply. */
  readonly #before = new Map<Step, Step[]>();

  constructor(steps: readonly Step[]) {
    for (const step of steps) this.add(step);
  }

  add(step: Step): void {
    this.#steps.push(step);
    for (const value of step.writes) this.#writer.set(value, step);
    for (const value of step.reads) {
      const list = this.#readers.get(value);
      if (list) list.push(step);
      else this.#readers.set(value, [step]);
    }
  }

  writerOf(value: Value): Step | undefined {
    return this.#writer.get(value);
  }

  readersOf(value: Value): readonly Step[] {
    return this.#readers.get(value) ?? [];
  }

  order(first: Step, second: Step): void {
    const list = this.#before.get(second);
    if (list) list.push(first);
    else this.#before.set(second, [first]);
  }

  #predecessors(step: Step): Step[] {
    const list = [...(this.#before.get(step) ?? [])];
    for (const value of step.reads) {
      const writer = this.#writer.get(value);
      if (writer) list.push(writer);
    }
    return list;
  }

  /** True when any of `to` must come after `from`. One search for all: a loop's weights are read at every step. */
  reaches(from: Step, to: readonly Step[]): boolean {
    const seen = new Set<Step>(to);
    const stack = [...to];
    while (stack.length > 0) {
      for (const step of this.#predecessors(stack.pop()!)) {
        if (step === from) return true;
        if (!seen.has(step)) {
          seen.add(step);
          stack.push(step);
        }
      }
    }
    return false;
  }

  /** All steps, earliest-recorded first as far as the edges allow. */
  sorted(): Step[] {
    const waiting = new Map<Step, number>();
    const followers = new Map<Step, Step[]>();
    for (const step of this.#steps) {
      const before = new Set(this.#predecessors(step));
      waiting.set(step, before.size);
      for (const b of before) {
        const list = followers.get(b);
        if (list) list.push(step);
        else followers.set(b, [step]);
      }
    }
    const ready = this.#steps.filter((s) => waiting.get(s) === 0);
    const result: Step[] = [];
    while (ready.length > 0) {
      let best = 0;
      for (let i = 1; i < ready.length; i++) if (ready[i]!.order < ready[best]!.order) best = i;
      const step = ready.splice(best, 1)[0]!;
      result.push(step);
      for (const follower of followers.get(step) ?? []) {
        const left = waiting.get(follower)! - 1;
        waiting.set(follower, left);
        if (left === 0) ready.push(follower);
      }
    }
    if (result.length !== this.#steps.length) throw new Error("compiler: the schedule has a cycle");
    return result;
  }
}
