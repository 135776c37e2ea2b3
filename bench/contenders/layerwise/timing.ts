/** How contenders time themselves: calls too short for the `benchmark` package's own overhead, and epochs of training. */
import type { History } from "layerwise";

/**
 * A function that runs `call` for about so many seconds and gives the seconds of one call: the median
 * of ten parts, as the other contenders report.
 */
export function timeCalls(call: () => void): (seconds: number) => number {
  const run = (count: number): number => {
    const begin = performance.now();
    for (let i = 0; i < count; i++) call();
    return (performance.now() - begin) / 1000 / count;
  };
  let perCall: number | undefined;
  return (seconds) => {
    perCall ??= Math.min(run(200), run(200));
    const count = Math.max(1, Math.round(seconds / 10 / perCall));
    const parts = Array.from({ length: 10 }, () => run(count)).sort((a, b) => a - b);
    perCall = (parts[4]! + parts[5]!) / 2;
    return perCall;
  };
}

/**
 * Training that goes on at each call for about so many seconds of whole epochs: what `measure` reports, and the
 * last epoch's loss, NaN before. `train` trains some epochs on.
 */
export function timeEpochs(stepsPerEpoch: number, train: (epochs: number) => Promise<History>) {
  let perEpoch: number | undefined;
  let loss = Number.NaN;
  return {
    async measure(seconds: number): Promise<{ perUnit: number }> {
      const epochs = perEpoch === undefined ? 1 : Math.max(1, Math.round(seconds / perEpoch));
      const begin = performance.now();
      const { history } = await train(epochs);
      perEpoch = (performance.now() - begin) / 1000 / epochs;
      loss = history.loss!.at(-1)!;
      return { perUnit: perEpoch / stepsPerEpoch };
    },
    loss: () => loss,
  };
}
