/**
 * Everything that can run a Program here: the TypeScript backend, compiled and interpreted, and the
 * addon with each instruction set of this CPU. For tests that loop over all of them.
 */

import type { LoadedProgram } from "../../src/backend/backend.js";
import { TypeScriptBackend } from "../../src/backend/typescript.js";
import type { Program } from "../../src/compiler/program.js";

export interface Executor {
  readonly name: string;
  load(program: Program): LoadedProgram;
  /** Thread counts under which results must have the same bits. */
  readonly threadCounts: readonly number[];
  setThreads(count: number): void;
  /** Too slow for large cases. */
  readonly slow: boolean;
}

export interface NativeNames {
  readonly kernels: readonly string[];
  readonly instructions: readonly string[];
}

/** The addon's own lists; undefined where it isn't built. */
export const nativeNames: NativeNames | undefined = undefined;

export async function executors(): Promise<Executor[]> {
  const compiled = new TypeScriptBackend();
  const interpreted = new TypeScriptBackend({ interpret: true });
  const single = { threadCounts: [1], setThreads: () => {} };
  return [
    { name: "typescript", load: (program) => compiled.load(program), slow: false, ...single },
    { name: "interpreted", load: (program) => interpreted.load(program), slow: true, ...single },
  ];
}
