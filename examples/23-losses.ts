/**
 * What a loss asks of a network. A regression loss says how much an error of a given size counts: the
 * squared error's slope grows with the error, so one wild sample outweighs many good ones; the absolute
 * error's slope is the same everywhere; Huber's loss (1964) and log cosh are round at the bottom and straight
 * further out. A line fitted to points of which some are far off shows the difference.
 *
 * A classification loss says what a score for the right class costs. Cross-entropy never stops asking for
 * more; hinge losses stop once the margin is 1; focal loss (Lin et al. 2017) turns to the samples that
 * are still wrong. The slopes come from `lw.grad`, not from formulas written here.
 *
 * Cross-entropy of probabilities that are 0 or 1 in float32 has no finite value. The losses therefore look at
 * the scores behind a sigmoid or softmax: the last table has what the textbook formula and the library say.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const { losses } = lw;
const points = quick ? 100 : 400;

/** A function of each element of x, and its derivative there. */
async function withSlope(f: (x: lw.Tensor) => lw.Tensor, x: lw.Tensor) {
  return {
    y: await f(x).data(),
    slope: await lw
      .grad((t) => f(t).sum())(x)
      .data(),
  };
}

async function chart(
  title: string,
  xLabel: string,
  x: lw.Tensor,
  functions: Readonly<Record<string, (x: lw.Tensor) => lw.Tensor>>,
  yRange: readonly [number, number],
  slopes: readonly [number, number],
): Promise<string[]> {
  const xs = await x.data();
  const [values, derivatives]: [lw.plot.Series[], lw.plot.Series[]] = [[], []];
  for (const [label, f] of Object.entries(functions)) {
    const { y, slope } = await withSlope(f, x);
    values.push({ label, x: xs, y, dots: false });
    derivatives.push({ label, x: xs, y: slope, dots: false });
  }
  const size = { width: 460, height: 340, xLabel };
  return [
    lw.plot.lineChart({ ...size, title, series: values, yRange }),
    lw.plot.lineChart({
      ...size,
      title: `${title}: slopes`,
      series: derivatives,
      yRange: slopes,
    }),
  ];
}

// One sample per element: [n, 1] against labels of the same shape.
const column = (x: lw.Tensor): lw.Tensor => x.reshape([x.size, 1]);
const regression: Record<string, (error: lw.Tensor) => lw.Tensor> = {
  "squared error": (e) => losses.meanSquaredError(lw.zerosLike(column(e)), column(e)),
  "absolute error": (e) => losses.meanAbsoluteError(lw.zerosLike(column(e)), column(e)),
  "Huber, delta 1": (e) => losses.huber(lw.zerosLike(column(e)), column(e), { delta: 1 }),
  "log cosh": (e) => losses.logCosh(lw.zerosLike(column(e)), column(e)),
};
const ones = (score: lw.Tensor): lw.Tensor => lw.onesLike(column(score));
const classification: Record<string, (score: lw.Tensor) => lw.Tensor> = {
  "cross-entropy": (s) => losses.binaryCrossentropy(ones(s), column(s), { fromLogits: true }),
  hinge: (s) => losses.hinge(ones(s), column(s)),
  "squared hinge": (s) => losses.squaredHinge(ones(s), column(s)),
  "focal, gamma 2": (s) => losses.binaryFocalCrossentropy(ones(s), column(s), { fromLogits: true }),
};

const charts = [
  ...(await chart(
    "Loss of an error",
    "prediction − label",
    lw.linspace(-3, 3, points),
    regression,
    [0, 4],
    [-3, 3],
  )),
  ...(await chart(
    "Loss of a score, where the right answer is 1",
    "score",
    lw.linspace(-3, 3, points),
    classification,
    [0, 4],
    [-4, 0.5],
  )),
];
saveFigure("23-losses", lw.plot.panels(charts, { columns: 2 }));

/* ---- a line through points, some of them far off -------------------------------------------------- */

lw.setRandomSeed(4);
const samples = 60;
const x = lw.linspace(-1, 2, samples).reshape([samples, 1]);
const outliers = Array.from({ length: samples }, (_, i) => (i % 8 === 6 && i > 20 ? 5 : 0));
const y = x
  .mul(1.5)
  .sub(0.5)
  .add(lw.randomNormal([samples, 1], 0, 0.15))
  .add(lw.tensor(outliers, [samples, 1]));
await y.data();

const rows: (string | number)[][] = [];
const lines: { label: string; a: number; b: number; c: number; color: number }[] = [];
const fitted = { "squared error": "meanSquaredError", Huber: "huber" } as const;
for (const [name, loss] of Object.entries({
  ...fitted,
  "absolute error": "meanAbsoluteError",
})) {
  const model = lw.sequential([lw.layers.dense({ units: 1, inputShape: [1] })]);
  model.compile({
    optimizer: lw.optimizers.adam({
      learningRate: lw.optimizers.schedules.cosineDecay({
        initialLearningRate: 0.1,
        decaySteps: 400,
      }),
    }),
    loss,
  });
  await model.fit(x, y, { epochs: 400, batchSize: Number.POSITIVE_INFINITY, verbose: 0 });
  const [w, b] = model.getWeights().map((weight) => weight.dataSync()[0]!) as [number, number];
  rows.push([name, Number(w.toFixed(3)), Number(b.toFixed(3))]);
  lines.push({ label: name, a: w, b: -1, c: b, color: lines.length + 1 });
}
console.log("A line through points of y = 1.5·x − 0.5, five of them 5 too high:\n");
printTable(["loss", "w (1.5)", "b (−0.5)"], rows);
const [xs, ys] = [await x.data(), await y.data()];
saveFigure(
  "23-losses-outliers",
  lw.plot.planeChart({
    title: "Lines fitted by three losses",
    width: 560,
    height: 400,
    xRange: [-1.1, 2.1],
    yRange: [-3, 8],
    xLabel: "x",
    yLabel: "y",
    lines,
    points: [
      {
        label: "samples",
        points: Array.from(xs, (value, i) => [value, ys[i]!] as const),
        color: 0,
      },
    ],
  }),
);

/* ---- cross-entropy far out ------------------------------------------------------------------------ */

const scores = [2, 20, 200];
const wrong = lw.tensor(scores, [scores.length, 1]);
const labels = lw.zerosLike(wrong);
const textbook = lw.sub(1, lw.sigmoid(wrong)).log().neg().flatten();
// The same loss of the sigmoid's output: the library finds the scores behind it.
const stable = losses.binaryCrossentropy(labels, lw.sigmoid(wrong));
const gradient = lw.grad((s) => losses.binaryCrossentropy(labels, lw.sigmoid(s)).sum())(wrong);
const [naive, value, slope] = await Promise.all([
  textbook.data(),
  stable.data(),
  gradient.flatten().data(),
]);
console.log("\nCross-entropy where the right answer is 0:\n");
printTable(
  ["score", "−log(1 − σ(score))", "binaryCrossentropy", "its slope"],
  scores.map((score, i) => [
    score,
    String(Number(naive[i]!.toFixed(4))),
    Number(value[i]!.toFixed(4)),
    Number(slope[i]!.toFixed(4)),
  ]),
);
