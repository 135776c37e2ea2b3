/**
 * Everything that can run a Program here: the TypeScript backend, compiled and interpreted, and the
 * addon with each instruction set of this CPU. For tests that loop over all of them.
 */

import type { LoadedProgram } from "../../src/backend/backend.js";
import { findAddon, NativeBackend } from "../../src/backend/native.js";
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

const search = findAddon();

/** The addon; undefined where it isn't built, and then `addonMissing` says so. */
export const addon = search.addon;

/** Why native executors are absent from the list, for the name of a skipped test. */
export const addonMissing = addon
  ? ""
  : `no addon: ${search.attempts.map(({ path, result }) => `${path}: ${result}`).join("; ")}`;

function native(isa: string): Executor {
  const backend = new NativeBackend(addon!);
  return {
    name: `native ${isa}`,
    load: (program) => {
      addon!.setIsa(isa);
      return backend.load(program);
    },
    threadCounts: [1, 2, 3, 8],
    setThreads: (count) => addon!.setThreads(count),
    slow: false,
  };
}

const compiled = new TypeScriptBackend();
const interpreted = new TypeScriptBackend({ interpret: true });
const single = { threadCounts: [1], setThreads: () => {} };

export const executors: readonly Executor[] = [
  { name: "typescript", load: (program) => compiled.load(program), slow: false, ...single },
  { name: "interpreted", load: (program) => interpreted.load(program), slow: true, ...single },
  ...(addon ? addon.info().isas.map(native) : []),
];
