/** Times a function that is too short for the `benchmark` package's own overhead to be left out. */

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
