/**
 * The memory plan: byte offsets in one arena for every value that is not a binding. A walk along the
 * schedule with a list of free blocks; an output takes over the block of an input that dies in the
 * same call where the call may work in place.
 */
import { bytesPerElement } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import { storageOf, type Value } from "./graph.js";
import { readingOver } from "./layout.js";
import type { Schedule, Step } from "./schedule.js";

const alignment = 64;

export interface MemoryPlan {
  readonly offsetOf: ReadonlyMap<Value, number>;
  readonly arenaBytes: number;
}

const bytesOf = (value: Value): number => sizeOf(value.shape) * bytesPerElement[value.dtype];
const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

/** `live` are the values that somebody outside their unit reads; others never reach memory. */
export function planMemory({ steps, bindingOf }: Schedule, live: ReadonlySet<Value>): MemoryPlan {
  const lastUse = new Map<Value, number>();
  steps.forEach((step, i) => {
    for (const value of [...step.reads, ...step.writes]) lastUse.set(value, i);
  });
  const offsetOf = new Map<Value, number>();
  const arena = new FreeList();
  steps.forEach((step, i) => {
    const outputs = step.writes.filter((v) => live.has(v) && !bindingOf.has(v));
    const dying = [...step.reads].filter((v) => offsetOf.has(v) && lastUse.get(v) === i);
    const taken = new Set<Value>();
    for (const output of outputs) {
      const source = dying.find((v) => !taken.has(v) && canReuse(step, v, output));
      if (source) {
        taken.add(source);
        offsetOf.set(output, offsetOf.get(source)!);
      } else {
        offsetOf.set(output, arena.take(padded(bytesOf(output))));
      }
    }
    for (const value of dying) {
      if (!taken.has(value)) arena.give(offsetOf.get(value)!, padded(bytesOf(value)));
    }
    for (const value of outputs) {
      if (lastUse.get(value) === i) arena.give(offsetOf.get(value)!, padded(bytesOf(value)));
    }
  });
  return { offsetOf, arenaBytes: arena.size };
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
