/**
 * Forecasts of a time series, two years of months ahead at once. A GRU reads a window of the series and gives
 * the next 24 values, alone or added to a linear model; beside it stand the linear model of the same window,
 * the last value, and the value one cycle ago. They are compared on the last fifth of the series, which no
 * model has seen, also not for its mean and deviation; the years before it decide when training ends. A linear
 * model is not easily beaten: on sunspots its mean absolute error is 22.0, the GRU's 23.0, that of both 22.7, and
 * the last value's 32.9. Which is why it belongs in such a table.
 *
 * `--data DIR` takes `monthly-sunspots.csv` from that directory: 2820 monthly numbers of sunspots, 1749 to
 * 1983, columns `Month` and `Sunspots`. Without it a series is generated that resembles it: cycles of about
 * 11 years, of differing height and length, that rise faster than they fall. `--window N` and `--epochs N`
 * choose how much is read and how long is learnt.
 */
import { join } from "node:path";
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";

takes({ data: "DIR", window: "N", epochs: "N" });

lw.setRandomSeed(1);
const cycle = 132;
const horizon = 24;
const window = Number(option("window") ?? (quick ? 36 : 120));
const epochs = Number(option("epochs") ?? (quick ? 4 : 60));

/* ---- the series ------------------------------------------------------------------------------------ */

async function sunspots(dir: string): Promise<Float32Array> {
  const months = lw.data.csv(join(dir, "monthly-sunspots.csv"), {
    columns: { Month: { type: "string" }, Sunspots: { type: "number" } },
  });
  const rows = (await months.toArray()) as { Sunspots: number }[];
  return Float32Array.from(rows, ({ Sunspots }) => Sunspots);
}

/** Cycles of random height and length: up in a third of the time, down in the rest. */
function generated(length: number): Float32Array {
  const random = lw.randomUniform([length]).dataSync();
  const noise = lw.randomNormal([length]).dataSync();
  const series = new Float32Array(length);
  let draw = 0;
  for (let start = 0; start < length; ) {
    const steps = Math.round(cycle * (0.85 + 0.3 * random[draw++]!));
    const height = 60 + 100 * random[draw++]!;
    for (let i = start; i < Math.min(start + steps, length); i++) {
      const phase = (i - start) / steps;
      const rise = phase < 0.35 ? phase / 0.7 : 0.5 + (phase - 0.35) / 1.3;
      const level = height * Math.sin(Math.PI * rise) ** 2;
      series[i] = Math.max(0, level + (4 + 0.12 * level) * noise[i]!);
    }
    start += steps;
  }
  return series;
}

const dir = option("data");
const series = dir === undefined ? generated(quick ? 1200 : 2820) : await sunspots(dir);
const what = dir === undefined ? "a generated series" : "monthly sunspots";
console.log(
  dir === undefined
    ? "No --data DIR: the series is generated; its numbers say nothing about sunspots."
    : `monthly-sunspots.csv: ${series.length} months`,
);

/* ---- windows --------------------------------------------------------------------------------------- */

const testStart = Math.floor(0.8 * series.length);
const validationStart = Math.floor(0.7 * series.length);
const known = series.subarray(0, validationStart);
const mean = known.reduce((sum, v) => sum + v, 0) / known.length;
const deviation = Math.sqrt(known.reduce((sum, v) => sum + (v - mean) ** 2, 0) / known.length);
const normal = lw.tensor(
  series.map((v) => (v - mean) / deviation),
  [series.length, 1],
);

// Row i: what follows the window that begins at step i.
const starts = series.length - window - horizon + 1;
const following = lw.tensor(
  Float32Array.from({ length: starts * horizon }, (_, k) => {
    const step = Math.floor(k / horizon) + window + (k % horizon);
    return (series[step]! - mean) / deviation;
  }),
  [starts, horizon],
);
/** Windows whose targets all lie in steps from `first` to before `end`. */
const windows = (first: number, end: number) =>
  lw.data.timeseries(normal, {
    sequenceLength: window,
    targets: following,
    startIndex: first - window,
    endIndex: end - horizon,
  });
const train = windows(window, validationStart);
const validation = windows(validationStart, testStart);
const test = windows(testStart, series.length);
console.log(
  `Windows of ${window} months: ${train.size} to learn from, ${validation.size} to stop by, ${test.size} to test.\n`,
);

/* ---- models ---------------------------------------------------------------------------------------- */

const x = lw.input({ shape: [window, 1] });
const linear = lw.layers.dense({ units: horizon }).apply(lw.layers.flatten().apply(x));
/** A GRU over the window; its last state gives all months. */
function recurrent(): lw.SymbolicTensor {
  const state = lw.layers.gru({ units: quick ? 16 : 32 }).apply(x);
  const dropped = lw.layers.dropout({ rate: 0.3 }).apply(state);
  return lw.layers.dense({ units: horizon }).apply(dropped);
}
// A GRU's state is bounded, and so are its forecasts: a linear part can say what was never that high before.
const sum = lw.layers
  .add()
  .apply([lw.layers.dense({ units: horizon }).apply(lw.layers.flatten().apply(x)), recurrent()]);
const networks: Readonly<Record<string, lw.Model>> = {
  "linear model": lw.model({ inputs: x, outputs: linear }),
  GRU: lw.model({ inputs: x, outputs: recurrent() }),
  "linear + GRU": lw.model({ inputs: x, outputs: sum }),
};

/** What a method says for each test window, [windows · horizon], in units of the series. */
const forecasts: Record<string, ArrayLike<number>> = {};
const ahead = (value: (origin: number, h: number) => number) =>
  Float32Array.from({ length: test.size! * horizon }, (_, k) =>
    value(testStart + Math.floor(k / horizon), k % horizon),
  );
forecasts["last value"] = ahead((origin) => series[origin - 1]!);
forecasts["one cycle ago"] = ahead((origin, h) => series[origin + h - cycle]!);
for (const [name, model] of Object.entries(networks)) {
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate: quick ? 0.003 : 0.001, clipNorm: 1 }),
    loss: "meanSquaredError",
  });
  const { history } = await model.fit(
    train.shuffle(Number.POSITIVE_INFINITY, { seed: 1 }).batch(32),
    {
      epochs,
      validationData: validation.batch(256),
      callbacks: lw.callbacks.earlyStopping({
        monitor: "val_loss",
        patience: 10,
        restoreBestWeights: true,
      }),
      verbose: 0,
    },
  );
  console.log(`${name}: ${model.countParams()} weights, ${history.loss!.length} epochs`);
  const output = (await model.predict(test.batch(256))) as lw.Tensor;
  forecasts[name] = (await output.data()).map((v) => v * deviation + mean);
}

/* ---- what they are worth --------------------------------------------------------------------------- */

const truth = ahead((origin, h) => series[origin + h]!);
/** Mean over the test windows of f(error), for each step ahead. */
function byStep(forecast: ArrayLike<number>, f: (error: number) => number): number[] {
  return Array.from({ length: horizon }, (_, h) => {
    let sum = 0;
    for (let i = h; i < truth.length; i += horizon) sum += f(forecast[i]! - truth[i]!);
    return sum / test.size!;
  });
}
const average = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const methods = Object.entries(forecasts).map(([name, forecast]) => {
  const absolute = byStep(forecast, Math.abs);
  const squared = byStep(forecast, (e) => e * e);
  return { name, forecast, absolute, squared };
});
console.log(`\nErrors on the last ${series.length - testStart} months of ${what}:\n`);
printTable(
  ["forecast", "MAE", "RMSE", "MAE 1 month", "12 months", "24 months"],
  methods.map(({ name, absolute, squared }) => [
    name,
    average(absolute).toFixed(2),
    Math.sqrt(average(squared)).toFixed(2),
    ...[1, 12, 24].map((h) => absolute[h - 1]!.toFixed(2)),
  ]),
);

const aYear = 12;
const months = Array.from({ length: test.size! }, (_, i) => testStart + i + aYear - 1);
const startOf = (step: number) => (dir === undefined ? step / 12 : 1749 + step / 12);
const years = months.map(startOf);
const shown = ["GRU", "linear + GRU"].map((name) => ({
  label: `${name}, a year before`,
  x: years,
  y: months.map((_, i) => forecasts[name]![i * horizon + aYear - 1]!),
  dots: false,
}));
saveFigure(
  "16-forecast",
  lw.plot.panels(
    [
      lw.plot.lineChart({
        title: `The last part of ${what}, and forecasts`,
        width: 760,
        height: 340,
        xLabel: "year",
        series: [
          { label: "truth", x: years, y: months.map((m) => series[m]!), dots: false, dashed: true },
          ...shown,
        ],
      }),
      lw.plot.lineChart({
        title: "Mean absolute error",
        width: 440,
        height: 340,
        xLabel: "months ahead",
        series: methods.map(({ name, absolute }) => ({ label: name, y: absolute, dots: false })),
      }),
    ],
    { columns: 2 },
  ),
);
