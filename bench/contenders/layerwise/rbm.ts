/** Learning of a Boltzmann machine inside `fit`, with shuffling and the history. */
import * as lw from "layerwise";
import type { DataPaths, RbmSpec } from "../../lib/spec.js";
import { readFloats } from "./files.js";
import { timeEpochs } from "./timing.js";
import type { Measured } from "./worker.js";

/** Repeats `fit` on the same machine; each call trains some epochs on. */
export async function rbmContender(spec: RbmSpec, files: DataPaths): Promise<Measured> {
  const { samples, visible, hidden, batchSize, learningRate, momentum, checkEpochs } = spec;
  const x = lw.tensor(await readFloats(files.x!), [samples, visible]);
  const make = (): lw.models.RBM => {
    const machine = lw.models.rbm({ visible, hidden, seed: 1 });
    machine.compile({ optimizer: lw.optimizers.sgd({ learningRate, momentum }) });
    return machine;
  };
  const machine = make();
  const { measure } = timeEpochs(Math.ceil(samples / batchSize), (epochs) =>
    machine.fit(x, { epochs, batchSize, verbose: 0 }),
  );
  return {
    measure,
    async check() {
      const fresh = make();
      await fresh.fit(x, { epochs: checkEpochs, batchSize, seed: 1, verbose: 0 });
      const logs = await fresh.pseudoLogLikelihood(x, { flips: spec.flips, seed: 1 });
      return { check: { pseudoLogLikelihood: logs.mean().item() } };
    },
  };
}
