/** Boltzmann machines in files: as models', with how they learn in place of losses and metrics. */
import { checkKeys, checkPath, FormatError, show } from "../errors.js";
import { checkNewPath } from "../formats/newpath.js";
import { withWeightsToLoad } from "../layers/loading.js";
import type { RBM } from "./boltzmann.js";
import type { ContrastOptions } from "./contrast.js";
import { assignState, assignWeights, loadOptimizer, readModelFile, restoring } from "./loading.js";
import type { MachineOptions } from "./machine.js";
import {
  namedState,
  type SavedOptimizer,
  type SaveOptions,
  saveOptimizer,
  writeModelFile,
} from "./saving.js";

/** Writes a machine; see `RBM.save`. */
export async function writeMachineFile(
  machine: RBM,
  path: string,
  options: SaveOptions,
): Promise<void> {
  const where = `save() of ${machine.where}`;
  checkNewPath(where, path);
  checkKeys(where, options, ["includeOptimizer"]);
  const compiled = machine.compileOptions;
  const state = compiled && options.includeOptimizer !== false ? namedState(machine) : [];
  await writeModelFile(path, [...machine.namedWeights(), ...state], {
    className: "RBM",
    config: machine.getConfig(),
    ...(compiled ? { compile: compileConfig(where, machine) } : {}),
  });
}

/** What was compiled, as JSON. */
export function compileConfig(
  where: string,
  machine: RBM,
): Record<string, unknown> & { optimizer: SavedOptimizer } {
  const { optimizer, betas, method, chains, reconstruction, ...plan } = machine.compileOptions!;
  return {
    ...plan,
    method,
    // Options that only some methods have.
    ...(method === "cd" ? { reconstruction } : { chains }),
    ...(method === "tempering" ? { temperatures: betas } : {}),
    optimizer: { className: optimizer.className, config: saveOptimizer(where, machine) },
  };
}

/** Compiles a machine as a file says. */
export function restoreCompile(
  where: string,
  machine: RBM,
  { optimizer, ...plan }: Readonly<Record<string, unknown>> & { optimizer: SavedOptimizer },
): void {
  // Options out of a file are checked by compile() itself.
  machine.compile({ ...plan, optimizer: loadOptimizer(where, optimizer) } as ContrastOptions);
}

/** Reads a machine; `make` makes one from its options. */
export async function readMachineFile(
  path: string,
  make: (options: MachineOptions) => RBM,
): Promise<RBM> {
  checkPath("loadRbm()", path);
  const { where, contents, saved } = await readModelFile(path);
  if (saved.className !== "RBM") {
    throw new FormatError(
      `${where}: expected an RBM, got ${show(saved.className)}; lw.loadModel() reads models of layers`,
    );
  }
  const values = [...contents.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  const machine = restoring(where, () =>
    // Options out of a file are checked by the constructor.
    withWeightsToLoad(values, () => make(saved.config as unknown as MachineOptions)),
  );
  assignWeights(where, machine, contents);
  const { compile } = saved;
  if (compile) {
    restoring(where, () => restoreCompile(where, machine, compile));
    assignState(where, machine, contents);
  }
  return machine;
}
