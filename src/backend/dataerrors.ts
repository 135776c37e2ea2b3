/** What is said of values that a kernel refused at run time, beyond what the kernel itself knows. */
import type { Program } from "../compiler/program.js";

/**
 * An executor's `gather: index 9 at position 2 lies outside [0, 4) (Program call 0)`, with the weight that was
 * read where it is a layer's: `… [0, 4) of embedding/embeddings (Program call 0)`.
 */
export function withWeight(message: string, program: Program): string {
  const [, what, index] = /^(gather: .*) \(Program call (\d+)\)$/s.exec(message) ?? [];
  const table = program.calls[Number(index)]?.inputs[0];
  const place = table === undefined ? undefined : program.tensors[table]?.place;
  const name = place?.kind === "binding" ? program.bindings[place.index]!.name : "";
  return name.includes("/") ? `${what} of ${name} (Program call ${index})` : message;
}
