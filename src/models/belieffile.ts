/** Deep belief networks in files: the layouts of their machines, and all weights. */
import { ArgumentError, checkPath, FormatError, show } from "../errors.js";
import { checkNewPath } from "../formats/newpath.js";
import { withWeightsToLoad } from "../layers/loading.js";
import type { DeepBeliefNetwork } from "./belief.js";
import type { BeliefOptions } from "./beliefoptions.js";
import { assignWeights, readModelFile, restoring } from "./loading.js";
import { writeModelFile } from "./saving.js";

/** Writes a network; see `DeepBeliefNetwork.save`. */
export async function writeNetworkFile(network: DeepBeliefNetwork, path: string): Promise<void> {
  checkNewPath(`save() of ${network.where}`, path);
  await writeModelFile(path, network.namedWeights(), {
    className: "DeepBeliefNetwork",
    config: { ...network.getConfig(), untied: network.isUntied },
  });
}

/** Reads a network; `make` makes one from its options. */
export async function readNetworkFile(
  path: string,
  make: (options: BeliefOptions) => DeepBeliefNetwork,
): Promise<DeepBeliefNetwork> {
  checkPath("loadDeepBeliefNetwork()", path);
  const { where, contents, saved } = await readModelFile(path);
  if (saved.className !== "DeepBeliefNetwork") {
    throw new FormatError(
      `${where}: expected a DeepBeliefNetwork, got ${show(saved.className)}; lw.loadModel() reads models of layers`,
    );
  }
  const values = [...contents.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  const network = restoring(where, () =>
    withWeightsToLoad(values, () => {
      const { untied, ...options } = saved.config;
      // Options out of a file are checked by the constructor.
      const made = make(options as unknown as BeliefOptions);
      if (typeof untied !== "boolean")
        throw new ArgumentError("`untied` is neither true nor false");
      if (untied) made.untie();
      return made;
    }),
  );
  assignWeights(where, network, contents);
  return network;
}
