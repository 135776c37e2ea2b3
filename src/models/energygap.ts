/** By how much held-out data lie above training data in free energy: it grows where a machine begins to overfit. */
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import type { CallbackHooks, Logs } from "../training/callback.js";
import { type Samples, sliceSamples } from "../training/data.js";

interface Energetic {
  freeEnergy(x: TensorLike): Promise<Tensor>;
}

/** Samples of each side that are looked at. */
const gapSamples = 10_000;

/** The mean over samples of −log of what their probabilities are proportional to. */
export async function meanFreeEnergy(machine: Energetic, samples: Tensor): Promise<number> {
  const energies = await (await machine.freeEnergy(samples)).data();
  let total = 0;
  for (const energy of energies) total += energy;
  return total / energies.length;
}

/** Adds `freeEnergyGap` (Hinton 2010, section 6) to the logs of each epoch. */
export function freeEnergyGap(
  machine: Energetic,
  data: Samples,
  validation: Samples,
): CallbackHooks {
  const some = (all: Samples): Tensor => {
    const { values, shape, dtype } = sliceSamples(all, 0, Math.min(all.shape[0]!, gapSamples));
    return leaf(values, shape, dtype);
  };
  const [first, held] = [some(data), some(validation)];
  return {
    onEpochEnd: async (_epoch: number, logs: Logs = {}) => {
      logs.freeEnergyGap =
        (await meanFreeEnergy(machine, held)) - (await meanFreeEnergy(machine, first));
    },
  };
}
