/**
 * Fusion: groups nodes into units, each of which becomes one kernel call. Element-wise nodes over one
 * domain join into a map; a map that only feeds reductions joins them; a map that follows a product
 * (of matrices, a convolution) becomes its epilogue. Units never form a cycle: two are merged only if no third one lies
 * on a path between them.
 */
import { sameShape, sizeOf } from "../tensor/shape.js";
import { asOpNode, type Graph, type Node, storageOf, type Value } from "./graph.js";
import { readingOver } from "./layout.js";
import { Order } from "./order.js";

export type UnitKind = "map" | "reduce" | "product" | "kernel";

/** What becomes one call (a `kernel` unit: the calls its op emits). */
export interface Unit {
  kind: UnitKind;
  /** Element-wise members in graph order; empty for plain kernels. */
  nodes: Node[];
  /** Those of `nodes` that are another unit's, which stores them where that is wanted. */
  readonly repeats: Set<Node>;
  /** The product or kernel op. */
  anchor?: Node;
  /** Reductions of a reduce unit. */
  reductions: Node[];
  /** Shape over which `nodes` run. */
  domain: readonly number[];
  /** Dims as the call's tile sees them, where the kernel dictates them (reduce, product). */
  view?: readonly number[];
}

/** Bounds on a tile program, well inside docs/program.md's, so that registers stay in L1. */
export const maximumNodes = 40;
export const maximumInputs = 20;
/** Latest users of a shared input that are tried: a bias read in every step of a loop has thousands. */
const mostShared = 16;

export function fuse(graph: Graph): Unit[] {
  const state = new Units(graph);
  for (const node of graph.nodes) state.add(node);
  // Reductions first: a map that joined what comes after a reduction could no longer join it.
  state.mergeReductions();
  state.mergeMaps();
  state.attachEpilogues();
  return state.all();
}

class Units {
  readonly #unitOf = new Map<Node, Unit>();
  readonly #users = new Map<Value, Node[]>();
  readonly #resultStorage: Set<Value>;
  #units = new Set<Unit>();
  /** The units that each unit reads from, and those that read from it. */
  readonly #before = new Map<Unit, Set<Unit>>();
  readonly #after = new Map<Unit, Set<Unit>>();
  /** One in which the units could run. */
  readonly #order = new Order<Unit>();
  readonly #graph: Graph;

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const node of graph.nodes) {
      for (const input of new Set(node.inputs.map(storageOf))) {
        const list = this.#users.get(input);
        if (list) list.push(node);
        else this.#users.set(input, [node]);
      }
    }
    this.#resultStorage = new Set(graph.outputs.map(storageOf));
  }

  all(): Unit[] {
    return [...this.#units];
  }

  add(node: Node): void {
    const { lowering } = node.op;
    const shape = node.outputs[0]!.shape;
    const unit: Unit = {
      kind: "kernel",
      nodes: [],
      repeats: new Set(),
      reductions: [],
      domain: shape,
    };
    if (lowering.kind === "elementwise") {
      unit.kind = "map";
      unit.nodes.push(node);
    } else if (lowering.kind === "reduce") {
      const { from, to } = lowering.parameters(asOpNode(node));
      const input = node.inputs[0]!.shape;
      unit.kind = "reduce";
      unit.reductions.push(node);
      unit.domain = input;
      unit.view = [
        sizeOf(input.slice(0, from)),
        sizeOf(input.slice(from, to)),
        sizeOf(input.slice(to)),
      ];
    } else {
      unit.kind = lowering.kind === "product" ? "product" : "kernel";
      unit.anchor = node;
      if (lowering.kind === "product") {
        const { rows, columns } = lowering.call(asOpNode(node));
        unit.view = [rows, columns];
      }
    }
    this.#units.add(unit);
    this.#order.append(unit);
    this.#unitOf.set(node, unit);
    const before = new Set<Unit>();
    for (const input of node.inputs) {
      const producer = storageOf(input).node;
      if (producer) before.add(this.#unitOf.get(producer)!);
    }
    this.#before.set(unit, before);
    this.#after.set(unit, new Set());
    for (const producer of before) this.#after.get(producer)!.add(unit);
  }

  /** Element-wise nodes join the unit of a producer, or of another user of the same input. */
  mergeMaps(): void {
    /** Element-wise users so far, of each storage. */
    const earlier = new Map<Value, Node[]>();
    for (const node of this.#graph.nodes) {
      if (node.op.lowering.kind !== "elementwise") continue;
      const neighbours: Node[] = [];
      for (const input of node.inputs) {
        const storage = storageOf(input);
        if (storage.node) neighbours.push(storage.node);
      }
      for (const input of node.inputs) {
        // Sharing a mere scalar is no reason to join, but for scalar arithmetic itself.
        if (sizeOf(input.shape) > 1 || sizeOf(node.outputs[0]!.shape) === 1) {
          const users = earlier.get(storageOf(input));
          if (users) neighbours.push(...users.slice(-mostShared));
        }
      }
      for (const storage of new Set(node.inputs.map(storageOf))) {
        const users = earlier.get(storage);
        if (users) users.push(node);
        else earlier.set(storage, [node]);
      }
      for (const neighbour of neighbours) {
        const own = this.#unitOf.get(node)!;
        const other = this.#unitOf.get(neighbour)!;
        if (
          own !== other &&
          own.kind === "map" &&
          other.kind === "map" &&
          sameShape(own.domain, other.domain) &&
          this.#fits(own, other) &&
          this.#seedsStayOutside(own, other) &&
          this.#independent(own, other)
        ) {
          this.#merge(other, own);
        }
      }
    }
  }

  /** Reductions of one tensor shape join; then element-wise nodes that feed nothing but them. */
  mergeReductions(): void {
    const reductions = [...this.#units].filter((u) => u.kind === "reduce");
    reductions.forEach((unit, i) => {
      for (const earlier of reductions.slice(0, i)) {
        if (
          this.#units.has(earlier) &&
          sameShape(earlier.view!, unit.view!) &&
          sameShape(earlier.domain, unit.domain) &&
          this.#shareInput(earlier, unit) &&
          this.#independent(earlier, unit)
        ) {
          this.#merge(earlier, unit);
          return;
        }
      }
    });
    for (const unit of [...this.#units]) {
      if (unit.kind !== "reduce") continue;
      // Absorbed nodes have producers of their own.
      const reached = [...unit.reductions];
      for (let next = reached.pop(); next; next = reached.pop()) {
        for (const input of next.inputs) {
          const absorbed = this.#absorbProducer(unit, input);
          if (absorbed) reached.push(...absorbed);
        }
      }
    }
  }

  /** Takes the map that makes `input` into the unit if all its users are there; returns its nodes. */
  #absorbProducer(unit: Unit, input: Value): readonly Node[] | undefined {
    const producer = storageOf(input).node;
    const map = producer && this.#unitOf.get(producer);
    if (map?.kind !== "map" || !sameShape(map.domain, unit.domain)) return undefined;
    const members = new Set<Node>([...unit.reductions, ...unit.nodes]);
    const feedsOnlyReductions = map.nodes.every((node) =>
      node.outputs.every(
        (value) =>
          !this.#resultStorage.has(value) &&
          (this.#users.get(value) ?? []).every(
            (user) => members.has(user) || map.nodes.includes(user),
          ),
      ),
    );
    if (!feedsOnlyReductions || !this.#fits(unit, map) || !this.#readable(map, unit.view!)) {
      return undefined;
    }
    if (!this.#seedsStayOutside(unit, map) || !this.#independent(map, unit)) return undefined;
    this.#merge(unit, map);
    return map.nodes;
  }

  /** A map that reads a product's result over the same elements becomes its epilogue. */
  attachEpilogues(): void {
    for (const unit of [...this.#units].reverse()) {
      if (unit.kind !== "map") continue;
      const products = this.#inputsOf(unit)
        .map((value) => storageOf(value).node)
        .filter((node): node is Node => node?.op.lowering.kind === "product")
        .sort((a, b) => b.id - a.id);
      for (const node of products) {
        const product = this.#unitOf.get(node)!;
        if (
          product.nodes.length > 0 ||
          !this.#sameElements(unit, node) ||
          !this.#readable(unit, product.view!)
        ) {
          continue;
        }
        if (!this.#independent(product, unit)) continue;
        this.#merge(product, unit);
        break;
      }
    }
  }

  /** The map runs over exactly the product's elements, in order: sizes say it, as shapes broadcast. */
  #sameElements(unit: Unit, product: Node): boolean {
    const size = sizeOf(unit.domain);
    return size > 0 && size === sizeOf(product.outputs[0]!.shape);
  }

  /** Whether every input of the map can be walked with one stride per dimension of `view`. */
  #readable(unit: Unit, view: readonly number[]): boolean {
    const inside = (input: Value): boolean => {
      const { node } = storageOf(input);
      return node !== undefined && this.#unitOf.get(node) === unit;
    };
    return unit.nodes.every((node) =>
      node.inputs.every((input) => inside(input) || readingOver(input, unit.domain, view) !== null),
    );
  }

  #inputsOf(unit: Unit): Value[] {
    const members = new Set<Node>([
      ...unit.nodes,
      ...unit.reductions,
      ...(unit.anchor ? [unit.anchor] : []),
    ]);
    const inputs = new Set<Value>();
    for (const member of members) {
      for (const input of member.inputs) {
        const { node } = storageOf(input);
        if (!node || !members.has(node)) inputs.add(input);
      }
    }
    return [...inputs];
  }

  #shareInput(a: Unit, b: Unit): boolean {
    const sources = (unit: Unit): Value[] =>
      unit.reductions.flatMap((r) => {
        const storage = storageOf(r.inputs[0]!);
        const producer = storage.node && this.#unitOf.get(storage.node);
        return producer?.kind === "map"
          ? [storage, ...this.#inputsOf(producer).map(storageOf)]
          : [storage];
      });
    const known = new Set(sources(a));
    return sources(b).some((value) => known.has(value));
  }

  #fits(a: Unit, b: Unit): boolean {
    return (
      a.nodes.length + b.nodes.length <= maximumNodes &&
      new Set([...this.#inputsOf(a), ...this.#inputsOf(b)].map(storageOf)).size <= maximumInputs
    );
  }

  /** Random bits take seed and step as inputs of their unit, so no member may compute one. */
  #seedsStayOutside(a: Unit, b: Unit): boolean {
    const inside = (input: Value): boolean => {
      const { node } = storageOf(input);
      const unit = node && this.#unitOf.get(node);
      return unit === a || unit === b;
    };
    return [...a.nodes, ...b.nodes].every(
      ({ op: { lowering }, inputs }) =>
        lowering.kind !== "elementwise" || !lowering.constants || !inputs.some(inside),
    );
  }

  #merge(into: Unit, from: Unit): void {
    into.nodes = [...into.nodes, ...from.nodes].sort((x, y) => x.id - y.id);
    into.reductions.push(...from.reductions);
    if (into.kind === "product" || into.kind === "reduce")
      into.domain = from.kind === "map" ? from.domain : into.domain;
    for (const node of [...from.nodes, ...from.reductions]) this.#unitOf.set(node, into);
    this.#units.delete(from);
    this.#join(into, from);
    this.#rewire(into, from);
  }

  /** What was next to `from` is next to `into` now. */
  #rewire(into: Unit, from: Unit): void {
    const directions = [
      [this.#before, this.#after],
      [this.#after, this.#before],
    ] as const;
    for (const [near, far] of directions) {
      for (const neighbour of near.get(from)!) {
        far.get(neighbour)!.delete(from);
        if (neighbour === into) continue;
        near.get(into)!.add(neighbour);
        far.get(neighbour)!.add(into);
      }
      near.delete(from);
    }
  }

  /** True when no path leads from one unit to the other through a third. */
  #independent(a: Unit, b: Unit): boolean {
    return this.#between(a, b) !== null;
  }

  /**
   * What must run before the later of two units, of what stands between them in the order; null if the earlier one
   * is needed for some of it. Paths follow the order, so a search never leaves the span between the two.
   */
  #between(a: Unit, b: Unit): Set<Unit> | null {
    const label = (unit: Unit): number => this.#order.labelOf(unit);
    const [first, second] = label(a) < label(b) ? [a, b] : [b, a];
    const begin = label(first);
    const seen = new Set<Unit>();
    const stack = [second];
    for (let unit = stack.pop(); unit; unit = stack.pop()) {
      const further: Unit[] = [];
      for (const producer of this.#before.get(unit)!) {
        if (producer === first) {
          if (unit !== second) return null;
        } else if (label(producer) > begin && !seen.has(producer)) {
          seen.add(producer);
          further.push(producer);
        }
      }
      // The earliest is looked at next: if there is a path, that one is closest to its begin.
      if (further.length > 1) further.sort((x, y) => label(y) - label(x));
      stack.push(...further);
    }
    return seen;
  }

  /** Puts two units that become one where the earlier one is, behind what the later one needs. */
  #join(into: Unit, from: Unit): void {
    const label = (unit: Unit): number => this.#order.labelOf(unit);
    const needed = [...this.#between(into, from)!].sort((x, y) => label(x) - label(y));
    const first = label(into) < label(from) ? into : from;
    for (const unit of needed) this.#order.moveBefore(unit, first);
    if (first === from) this.#order.moveBefore(into, first);
    this.#order.remove(from);
  }
}
