/**
 * What must hold of every Program the compiler makes, beyond what the validator asks: no value is
 * overwritten while somebody still reads it, and no tensor is read before it is written. Written
 * from the Program alone, so that the memory plan is checked by other code than its own.
 */
import { expect } from "vitest";
import {
  type Call,
  type Program,
  printProgram,
  validateProgram,
} from "../../src/compiler/program.js";
import { bytesPerElement } from "../../src/tensor/dtype.js";
import { sizeOf } from "../../src/tensor/shape.js";

/** Bytes that a tensor takes, and where. */
function bytesOf(program: Program, index: number): { space: string; from: number; to: number } {
  const { dtype, shape, place } = program.tensors[index]!;
  const from = place.kind === "binding" ? 0 : place.offset;
  const space = place.kind === "binding" ? `binding ${place.index}` : place.kind;
  return { space, from, to: from + sizeOf(shape) * bytesPerElement[dtype] };
}

/** Bytes of its output that a call writes. A copy may leave others as they were; where it is no single run, all of them. */
function writtenBytes(program: Program, call: Call, output: number) {
  const whole = bytesOf(program, output);
  if (call.kernel !== "copy") return { ...whole, all: true };
  const [rank, , begin, size = 1, , stride = 1] = call.ints;
  if (rank! > 1 || stride !== 1) return { ...whole, all: false };
  const bytes = bytesPerElement[program.tensors[output]!.dtype];
  const from = whole.from + begin! * bytes;
  return { ...whole, from, to: from + size * bytes, all: false };
}

/**
 * Fails unless each read in the Program finds what the last writer of that tensor wrote. A tensor that no call
 * writes as a whole may be joined of others that lie in it, without gaps: the same ones at every read, of its dtype,
 * where no copy writes.
 */
export function expectSoundMemory(program: Program): void {
  validateProgram(program);
  /** Byte ranges by space, with the tensor that was written there last. */
  const contents = new Map<string, { from: number; to: number; tensor: number }[]>();
  const fail = (call: number, message: string): never =>
    expect.fail(`call ${call}: ${message}\n${printProgram(program)}`);
  const { tensors, calls } = program;
  const whole = new Set(calls.flatMap((call) => (call.kernel === "copy" ? [] : call.outputs)));
  const copies = calls.filter((call) => call.kernel === "copy");
  /** Tensors that a joined one was made of when it was first read. */
  const partsOf = new Map<number, Set<number>>();
  const isPart = (index: number, entry: { from: number; to: number; tensor: number }): boolean => {
    const { from, to } = bytesOf(program, index);
    if (whole.has(index) || entry.from < from || to < entry.to) return false;
    if (tensors[entry.tensor]!.dtype !== tensors[index]!.dtype) return false;
    const copied = copies
      .filter((call) => call.outputs[0] === index)
      .map((call) => writtenBytes(program, call, index));
    if (copied.some((bytes) => bytes.from < entry.to && entry.from < bytes.to)) return false;
    return partsOf.get(index)?.has(entry.tensor) ?? true;
  };
  calls.forEach((call, c) => {
    for (const input of call.inputs) {
      const { place, shape } = tensors[input]!;
      if (place.kind === "constant" || sizeOf(shape) === 0) continue;
      const { space, from, to } = bytesOf(program, input);
      const found = (contents.get(space) ?? []).filter((e) => e.from < to && from < e.to);
      // A binding's array has values from the start.
      if (place.kind === "binding" && found.length === 0) continue;
      if (found.length === 0) fail(c, `reads tensor ${input} before it is written`);
      let end = from;
      for (const entry of found.sort((a, b) => a.from - b.from)) {
        const same = entry.tensor === input || space.startsWith("binding") || isPart(input, entry);
        if (!same) fail(c, `reads tensor ${input} whose bytes tensor ${entry.tensor} has taken`);
        const gap = entry.from > end && place.kind === "arena" && !whole.has(input);
        if (gap)
          fail(c, `reads bytes ${end} to ${entry.from} of tensor ${input}, which nobody wrote`);
        end = Math.max(end, entry.to);
      }
      if (end < to && place.kind === "arena") {
        fail(c, `reads bytes ${end} to ${to} of tensor ${input}, which nobody wrote`);
      }
      if (!whole.has(input) && !partsOf.has(input)) {
        partsOf.set(input, new Set(found.map(({ tensor }) => tensor)));
      }
    }
    for (const output of call.outputs) {
      const { space, from, to, all } = writtenBytes(program, call, output);
      const kept = (contents.get(space) ?? []).filter(
        (entry) => !(entry.from < to && from < entry.to) || (!all && entry.tensor === output),
      );
      contents.set(space, [...kept, { from, to, tensor: output }]);
    }
  });
}

/** Arena bytes that the Program would need if nothing shared memory. */
export function unsharedBytes(program: Program): number {
  return program.tensors
    .filter(({ place }) => place.kind === "arena")
    .reduce((sum, { dtype, shape }) => sum + sizeOf(shape) * bytesPerElement[dtype], 0);
}

/** The Program's kernels in order, those of one name counted: `gemm map×2 reduce`. */
export function kernelsOf(program: Program): string {
  const names: string[] = [];
  for (const { kernel } of program.calls) names.push(kernel);
  return names.join(" ");
}
