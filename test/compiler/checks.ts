/**
 * What must hold of every Program the compiler makes, beyond what the validator asks: no value is
 * overwritten while somebody still reads it, and no tensor is read before it is written. Written
 * from the Program alone, so that the memory plan is checked by other code than its own.
 */
import { expect } from "vitest";
import { type Program, printProgram, validateProgram } from "../../src/compiler/program.js";
import { bytesPerElement } from "../../src/tensor/dtype.js";
import { sizeOf } from "../../src/tensor/shape.js";

/** Bytes that a tensor takes, and where. */
function bytesOf(program: Program, index: number): { space: string; from: number; to: number } {
  const { dtype, shape, place } = program.tensors[index]!;
  const from = place.kind === "binding" ? 0 : place.offset;
  const space = place.kind === "binding" ? `binding ${place.index}` : place.kind;
  return { space, from, to: from + sizeOf(shape) * bytesPerElement[dtype] };
}

/** Calls that may leave part of their output as it was: the parts of a concat, a pad after its fill. */
const partial = (kernel: string): boolean => kernel === "copy";

/** Fails unless each read in the Program finds what the last writer of that tensor wrote. */
export function expectSoundMemory(program: Program): void {
  validateProgram(program);
  /** Byte ranges by space, with the tensor that was written there last. */
  const contents = new Map<string, { from: number; to: number; tensor: number }[]>();
  const fail = (call: number, message: string): never =>
    expect.fail(`call ${call}: ${message}\n${printProgram(program)}`);
  const owners = (index: number) => {
    const { space, from, to } = bytesOf(program, index);
    const list = contents.get(space) ?? [];
    return list.filter((entry) => entry.from < to && from < entry.to);
  };
  program.calls.forEach((call, c) => {
    for (const input of call.inputs) {
      const { place, shape } = program.tensors[input]!;
      if (place.kind === "constant" || sizeOf(shape) === 0) continue;
      const found = owners(input);
      // A binding's array has values from the start.
      if (place.kind === "binding" && found.length === 0) continue;
      if (found.length === 0) fail(c, `reads tensor ${input} before it is written`);
      for (const { tensor } of found) {
        const same = tensor === input || bytesOf(program, tensor).space.startsWith("binding");
        if (!same) fail(c, `reads tensor ${input} whose bytes tensor ${tensor} has taken`);
      }
    }
    for (const output of call.outputs) {
      const { space, from, to } = bytesOf(program, output);
      const list = contents.get(space) ?? [];
      const kept = partial(call.kernel)
        ? list.filter((entry) => !(entry.from < to && from < entry.to) || entry.tensor === output)
        : list.filter((entry) => !(entry.from < to && from < entry.to));
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
