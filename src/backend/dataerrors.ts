/** What is said of values that a kernel refused at run time, beyond what the kernel itself knows. */
import type { Program } from "../compiler/program.js";

/**
 * An executor's `gather: index 9 at position 2 lies outside [0, 4) (Program call 0)`, with the weight that was
 * read where it is a layer's: `… [0, 4) of embedding/embeddings (Program call 0)`.
 */
export function withWeight(message: string, program: Program): string {
  const [, what, index] = /^(gather: .*) \(Program call (\d+)\)$/s.exec(message) ?? [];
  const table = program.calls[Number(index)]?.inputs[0];
  // Rows of a product with the table, where the compiler multiplied that in place of its rows.
  const maker = program.calls.find(
    ({ kernel, outputs }) => kernel === "gemm" && outputs.includes(table!),
  );
  const name = weightName(program, table) || weightName(program, maker?.inputs[0]);
  return name.includes("/") ? `${what} of ${name} (Program call ${index})` : message;
}

/** What a tensor of a Program is bound to, if anything. */
function weightName(program: Program, tensor: number | undefined): string {
  const place = tensor === undefined ? undefined : program.tensors[tensor]?.place;
  return place?.kind === "binding" ? program.bindings[place.index]!.name : "";
}
