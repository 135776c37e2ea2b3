/**
 * Cheap values are computed where they are read: a chain of a few arithmetic instructions whose result
 * only other units' tiles read is repeated there instead of travelling through memory. Batch norm's x̂
 * is the case that matters: both passes of its gradient read x anyway, or instead.
 */
import { bytesPerElement } from "../tensor/dtype.js";
import { sameShape, sizeOf } from "../tensor/shape.js";
import { maximumInputs, maximumNodes, type Unit } from "./fuse.js";
import { asOpNode, type Node, storageOf, type Value } from "./graph.js";
import { readingOver } from "./layout.js";

const cheap: ReadonlySet<string> = new Set(["add", "sub", "mul", "neg", "square"]);
/** Instructions that are repeated for one value, at most. */
const longest = 3;
/** Below this size a value stays in cache and costs nothing to read. */
const smallest = 4096;
/** An input so many times smaller than the value (a row of factors) is not counted. */
const smallInput = 8;

/**
 * Rewrites units. `outputs` are the values that must reach memory whoever reads them; `changing` are
 * variables that the Program updates, which are not read for longer than they are: an update in place would have to wait, or be copied.
 */
export function recompute(
  units: readonly Unit[],
  outputs: readonly Value[],
  changing: ReadonlySet<Value>,
): Unit[] {
  const kept = new Set(outputs.map(storageOf));
  const readers = readersOf(units);
  for (const unit of units) {
    // Later nodes first: a chain's end decides over its parts.
    for (const node of [...unit.nodes].reverse()) {
      const value = node.outputs[0]!;
      if (kept.has(value) || sizeOf(value.shape) < smallest) continue;
      const users = [...(readers.get(value) ?? [])].filter((user) => user !== unit);
      if (users.length === 0) continue;
      const chain = chainOf(unit, node);
      if (!chain || chain.inputs.some((input) => changing.has(storageOf(input)))) continue;
      if (!users.every((user) => canRepeat(chain, value, user))) continue;
      for (const user of users) repeat(chain, user, readers);
      prune(unit, kept, readers);
    }
  }
  return units.filter((unit) => unit.kind !== "map" || unit.nodes.length > 0);
}

interface Chain {
  readonly nodes: readonly Node[];
  /** What the chain reads from outside of its unit. */
  readonly inputs: readonly Value[];
}

function membersOf(unit: Unit): Node[] {
  return [...(unit.anchor ? [unit.anchor] : []), ...unit.nodes, ...unit.reductions];
}

/** The units that read each storage, its own one included. */
function readersOf(units: readonly Unit[]): Map<Value, Set<Unit>> {
  const readers = new Map<Value, Set<Unit>>();
  for (const unit of units) for (const node of membersOf(unit)) note(readers, node, unit);
  return readers;
}

function note(readers: Map<Value, Set<Unit>>, node: Node, unit: Unit): void {
  for (const input of node.inputs) {
    const storage = storageOf(input);
    const list = readers.get(storage);
    if (list) list.add(unit);
    else readers.set(storage, new Set([unit]));
  }
}

/** The instructions of `unit` that lead to `end`, if they are few and cheap. */
function chainOf(unit: Unit, end: Node): Chain | undefined {
  const members = new Set(unit.nodes);
  const nodes = new Set<Node>();
  const inputs = new Set<Value>();
  const stack = [end];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (nodes.has(node)) continue;
    const { lowering } = node.op;
    if (lowering.kind !== "elementwise" || lowering.constants) return undefined;
    if (!cheap.has(lowering.instruction(asOpNode(node))) || nodes.size === longest)
      return undefined;
    nodes.add(node);
    for (const input of node.inputs) {
      const producer = storageOf(input).node;
      if (producer && members.has(producer)) {
        // Under another shape it is another reading, which a tile does not repeat.
        if (input.base) return undefined;
        stack.push(producer);
      } else if (producer && producer === unit.anchor) {
        return undefined; // the product itself is not in memory
      } else {
        inputs.add(input);
      }
    }
  }
  return { nodes: [...nodes], inputs: [...inputs] };
}

/** Whether `user` can compute the chain itself, and reads no more than it does now. */
function canRepeat(chain: Chain, value: Value, user: Unit): boolean {
  const members = membersOf(user);
  const direct = members.every((node) =>
    node.inputs.every(
      (input) =>
        storageOf(input) !== value ||
        (!input.base && node !== user.anchor && sameShape(user.domain, value.shape)),
    ),
  );
  if (!direct || user.kind === "kernel" || user.nodes.length + chain.nodes.length > maximumNodes) {
    return false;
  }
  const view = user.view ?? user.domain;
  if (!chain.inputs.every((input) => readingOver(input, user.domain, view))) return false;
  const own = new Set<Value>(members.flatMap((node) => node.outputs));
  const known = new Set<Value>();
  for (const node of members) {
    for (const input of node.inputs) if (!own.has(storageOf(input))) known.add(storageOf(input));
  }
  const bytes = (v: Value): number => sizeOf(v.shape) * bytesPerElement[v.dtype];
  const more = new Set(chain.inputs.map(storageOf).filter((input) => !known.has(input)));
  let read = 0;
  for (const input of more) if (bytes(input) * smallInput > bytes(value)) read += bytes(input);
  return read <= bytes(value) && known.size + more.size <= maximumInputs;
}

function repeat(chain: Chain, user: Unit, readers: Map<Value, Set<Unit>>): void {
  for (const node of chain.nodes) if (!user.nodes.includes(node)) user.repeats.add(node);
  const members = new Set([...user.nodes, ...chain.nodes]);
  user.nodes = [...members].sort((a, b) => a.id - b.id);
  for (const node of chain.nodes) note(readers, node, user);
}

/** Drops the unit's nodes that nobody needs any more. */
function prune(unit: Unit, kept: ReadonlySet<Value>, readers: Map<Value, Set<Unit>>): void {
  for (const node of [...unit.nodes].reverse()) {
    const value = node.outputs[0]!;
    const users = [...(readers.get(value) ?? [])];
    // A unit that repeats the chain has the node itself.
    const needed =
      kept.has(value) ||
      users.some((user) =>
        user === unit
          ? membersOf(unit).some((m) => m.inputs.some((input) => storageOf(input) === value))
          : !user.nodes.includes(node),
      );
    if (needed) continue;
    unit.nodes = unit.nodes.filter((other) => other !== node);
  }
}
