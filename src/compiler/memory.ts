/**
 * The memory plan: byte offsets in one arena for every value that is not a binding. A walk along the
 * schedule with a list of free blocks; an output takes over the block of an input that dies in the
 * same call where the call may work in place, and what is joined is made where the whole will stand.
 */
import { bytesPerElement } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import { asOpNode, storageOf, type Value } from "./graph.js";
import { readingOver } from "./layout.js";
import type { Schedule, Step } from "./schedule.js";

const alignment = 64;

/** A place inside the block of another value, the `whole`. */
interface PartOf {
  readonly whole: Value;
  readonly bytes: number;
}

export interface MemoryPlan {
  readonly offsetOf: ReadonlyMap<Value, number>;
  /** Values that are made where they stand in another one, which need not copy them. */
  readonly parts: ReadonlyMap<Value, PartOf>;
  readonly arenaBytes: number;
}

const bytesOf = (value: Value): number => sizeOf(value.shape) * bytesPerElement[value.dtype];
const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** `live` are the values that somebody outside their unit reads; others never reach memory. */
export function planMemory(schedule: Schedule, live: ReadonlySet<Value>): MemoryPlan {
  const { steps, bindingOf } = schedule;
  const parts = findParts(schedule);
  const wholes = new Set([...parts.values()].map(({ whole }) => whole));
  const blockOf = (value: Value): Value => parts.get(value)?.whole ?? value;
  const blocksOf = ({ reads, writes }: Step): Value[] => [...reads, ...writes].map(blockOf);
  const lastUse = new Map<Value, number>();
  steps.forEach((step, i) => {
    for (const value of blocksOf(step)) lastUse.set(value, i);
  });
  const offsetOf = new Map<Value, number>();
  const arena = new FreeList();
  const take = (value: Value): number => {
    const offset = offsetOf.get(value) ?? arena.take(padded(bytesOf(value)));
    offsetOf.set(value, offset);
    return offset;
  };
  steps.forEach((step, i) => {
    const ends = (v: Value): boolean => offsetOf.has(v) && lastUse.get(v) === i;
    const dying = [...step.reads].filter((v) => !wholes.has(v) && !parts.has(v) && ends(v));
    const taken = new Set<Value>();
    for (const output of step.writes) {
      if (!live.has(output) || bindingOf.has(output)) continue;
      const part = parts.get(output);
      if (part) {
        offsetOf.set(output, take(part.whole) + part.bytes);
        continue;
      }
      const source = dying.find((v) => !taken.has(v) && canReuse(step, v, output));
      if (source) {
        taken.add(source);
        offsetOf.set(output, offsetOf.get(source)!);
      } else {
        take(output);
      }
    }
    for (const value of new Set(blocksOf(step))) {
      if (ends(value) && !taken.has(value))
        arena.give(offsetOf.get(value)!, padded(bytesOf(value)));
    }
  });
  return { offsetOf, parts, arenaBytes: arena.size };
}

/**
 * Values that can be made as parts of what they are joined to: each once, and of one whole, which is no
 * part itself.
 */
function findParts({ steps, bindingOf }: Schedule): ReadonlyMap<Value, PartOf> {
  const parts = new Map<Value, PartOf>();
  const wholes = new Set<Value>();
  for (const { unit } of steps) {
    const node = unit?.anchor;
    const whole = node?.outputs[0];
    if (node?.op.lowering.kind !== "kernels" || !whole) continue;
    if (bindingOf.has(whole) || parts.has(whole)) continue;
    const inputs = node.inputs.map(storageOf);
    const seen = new Set<Value>();
    const repeated = new Set<Value>();
    for (const value of inputs) (seen.has(value) ? repeated : seen).add(value);
    for (const [i, offset] of (node.op.lowering.runs?.(asOpNode(node)) ?? []).entries()) {
      const value = inputs[i]!;
      const bytes = offset * bytesPerElement[whole.dtype];
      if (bytes % alignment !== 0 || sizeOf(value.shape) === 0 || repeated.has(value)) continue;
      if (!value.node || bindingOf.has(value) || parts.has(value) || wholes.has(value)) continue;
      parts.set(value, { whole, bytes });
      wholes.add(whole);
    }
  }
  return parts;
}

/** True when the step may write `output` over `input`: element by element, same element size. */
function canReuse({ unit }: Step, input: Value, output: Value): boolean {
  if (!unit || unit.kind === "kernel" || unit.reductions.length > 0) return false;
  if (
    bytesOf(input) !== bytesOf(output) ||
    bytesPerElement[input.dtype] !== bytesPerElement[output.dtype]
  ) {
    return false;
  }
  if (unit.anchor?.inputs.some((v) => storageOf(v) === input)) return false;
  const size = sizeOf(unit.domain);
  return unit.nodes.every((node) =>
    node.inputs.every(
      (v) =>
        storageOf(v) !== input || readingOver(v, unit.domain, [size])?.[0] === (size === 1 ? 0 : 1),
    ),
  );
}

/** Free blocks of the arena, by offset; best fit, neighbours joined. */
class FreeList {
  size = 0;
  #blocks: { offset: number; bytes: number }[] = [];

  take(bytes: number): number {
    if (bytes === 0) return 0;
    let best = -1;
    this.#blocks.forEach((block, i) => {
      if (block.bytes >= bytes && (best < 0 || block.bytes < this.#blocks[best]!.bytes)) best = i;
    });
    if (best >= 0) {
      const block = this.#blocks[best]!;
      const { offset } = block;
      block.offset += bytes;
      block.bytes -= bytes;
      if (block.bytes === 0) this.#blocks.splice(best, 1);
      return offset;
    }
    // Grow; a free block at the end becomes part of the new one.
    const last = this.#blocks[this.#blocks.length - 1];
    if (last && last.offset + last.bytes === this.size) {
      this.#blocks.pop();
      this.size = last.offset + bytes;
      return last.offset;
    }
    const offset = this.size;
    this.size += bytes;
    return offset;
  }

  give(offset: number, bytes: number): void {
    if (bytes === 0) return;
    const at = this.#blocks.findIndex((block) => block.offset > offset);
    this.#blocks.splice(at < 0 ? this.#blocks.length : at, 0, { offset, bytes });
    for (let i = this.#blocks.length - 1; i > 0; i--) {
      const left = this.#blocks[i - 1]!;
      const right = this.#blocks[i]!;
      if (left.offset + left.bytes === right.offset) {
        left.bytes += right.bytes;
        this.#blocks.splice(i, 1);
      }
    }
  }
}
