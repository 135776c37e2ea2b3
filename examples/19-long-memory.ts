/**
 * What a recurrent network can remember: two tasks where the answer stands far back in the sequence. In the
 * adding problem (Hochreiter & Schmidhuber 1997; in this form Le et al. 2015) two of many numbers are marked,
 * one in each half, and their sum is asked for at the end; who always says 1 has a squared error of 1/6. In
 * the other task the first step shows one of four symbols, and after a long time of noise it is asked for.
 *
 * Both need a gradient that reaches the first steps. A step of a plain network multiplies it by a matrix and
 * the slope of tanh; in an LSTM it is multiplied by the forget gate on its way along the cell, in a GRU by
 * the update gate. A gate that forgets a little at each step forgets all in many: with Keras' forget bias of 1
 * a new LSTM keeps σ(1) = 0.73 a step, 10⁻⁸ after sixty, a new GRU half. "chrono" draws the bias of each unit so
 * that they remember from one step up to the whole sequence (Tallec & Ollivier 2018).
 *
 * In the adding problem the gates find that out, from those pairs that stand close to the end, and the plain
 * network learns nothing. To hold one symbol for five times as long is another matter: nothing in between tells
 * what is worth keeping, so only what remembers from the start hears of the first step at all. At 60 steps the
 * plain network would still pass (`--recall 60`): it begins with an orthogonal matrix, which hands a gradient on;
 * at 300 the slopes of tanh have used it up, and it guesses as the new GRU and LSTM do.
 *
 * The last figure has the size of the loss' gradient by the input of each step, before and after learning.
 * `--steps N` sets the length of the sequences to add, `--recall N` that of the others (5 times as many), and
 * `--updates N` that of the training.
 */
import * as lw from "layerwise";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";

takes({ steps: "N", recall: "N", updates: "N" });

lw.setRandomSeed(1);
const steps = Number(option("steps") ?? (quick ? 16 : 60));
const delay = Number(option("recall") ?? (quick ? 16 : 5 * steps));
const updates = Number(option("updates") ?? (quick ? 200 : 1200));
const units = quick ? 16 : 32;
const batchSize = 50;
const rounds = quick ? 4 : 12;
const [trainSize, testSize] = [updates * batchSize, quick ? 200 : 500];

/* ---- the tasks ------------------------------------------------------------------------------------- */

interface Task {
  readonly name: string;
  /** Length of the sequences. */
  readonly time: number;
  readonly make: (samples: number, time: number) => { x: lw.Tensor; y: lw.Tensor };
  readonly output: () => lw.Layer;
  readonly loss: "meanSquaredError" | "sparseCategoricalCrossentropy";
  /** The metric of the table, and what guessing gives. */
  readonly measure: "loss" | "accuracy";
  readonly guess: number;
}

const random = (count: number) => lw.randomUniform([count]).dataSync();

function adding(samples: number, time: number) {
  const [values, first, second] = [random(samples * time), random(samples), random(samples)];
  const half = Math.floor(time / 2);
  const x = new Float32Array(samples * time * 2);
  for (let i = 0; i < values.length; i++) x[2 * i] = values[i]!;
  const y = Float32Array.from({ length: samples }, (_, i) => {
    const marked = [
      i * time + Math.floor(first[i]! * half),
      i * time + half + Math.floor(second[i]! * half),
    ];
    for (const step of marked) x[2 * step + 1] = 1;
    return marked.reduce((sum, step) => sum + values[step]!, 0);
  });
  return { x: lw.tensor(x, [samples, time, 2]), y: lw.tensor(y, [samples, 1]) };
}

const symbols = 4;
/** Features 0 to 3 are the symbols, 4 and 5 the noise. */
function recall(samples: number, time: number) {
  const [shown, noise] = [random(samples), random(samples * time)];
  const width = symbols + 2;
  const x = new Float32Array(samples * time * width);
  for (let i = 0; i < noise.length; i++) x[i * width + symbols + (noise[i]! < 0.5 ? 0 : 1)] = 1;
  const y = Int32Array.from({ length: samples }, (_, i) => {
    const symbol = Math.floor(shown[i]! * symbols);
    x.fill(0, i * time * width, (i * time + 1) * width);
    x[i * time * width + symbol] = 1;
    return symbol;
  });
  return { x: lw.tensor(x, [samples, time, width]), y: lw.tensor(y, [samples], "int32") };
}

const tasks: readonly Task[] = [
  {
    name: "adding",
    time: steps,
    make: adding,
    output: () => lw.layers.dense({ units: 1 }),
    loss: "meanSquaredError",
    measure: "loss",
    guess: 1 / 6,
  },
  {
    name: "recall",
    time: delay,
    make: recall,
    output: () => lw.layers.dense({ units: symbols, activation: "softmax" }),
    loss: "sparseCategoricalCrossentropy",
    measure: "accuracy",
    guess: 1 / symbols,
  },
];

/* ---- the networks ---------------------------------------------------------------------------------- */

/** Sets the biases of an LSTM's gates for memories of one step to the whole sequence. */
function chrono(layer: lw.Layer, time: number): void {
  const [kernel, recurrent, bias] = layer.getWeights() as [lw.Tensor, lw.Tensor, lw.Tensor];
  const values = Float32Array.from(bias.dataSync());
  // The gates stand side by side: input, forget, cell, output.
  random(units).forEach((u, i) => {
    values[units + i] = Math.log(1 + u * (time - 2));
    values[i] = -values[units + i]!;
  });
  layer.setWeights([kernel, recurrent, lw.tensor(values)]);
}

const networks: Readonly<Record<string, (inputShape: number[]) => lw.Layer>> = {
  simpleRNN: (inputShape) => lw.layers.simpleRNN({ units, inputShape }),
  gru: (inputShape) => lw.layers.gru({ units, inputShape }),
  lstm: (inputShape) => lw.layers.lstm({ units, inputShape }),
  "lstm, chrono": (inputShape) => lw.layers.lstm({ units, inputShape }),
};

/** Size of the loss' gradient by the input of each step, the mean over samples. */
async function gradientByStep(model: lw.Sequential, { loss }: Task, x: lw.Tensor, y: lw.Tensor) {
  const gradient = lw.grad((t: lw.Tensor) => lw.losses[loss](y, model.apply(t) as lw.Tensor).sum());
  return gradient(x).square().sum(2).sqrt().mean(0).data();
}

const curves: string[] = [];
const gradients: string[] = [];
for (const task of tasks) {
  const { time } = task;
  const train = task.make(trainSize, time);
  const test = task.make(testSize, time);
  const [curve, before, after]: lw.plot.Series[][] = [[], [], []];
  const rows: string[][] = [];
  for (const [name, makeLayer] of Object.entries(networks)) {
    const layer = makeLayer([time, train.x.shape[2]!]);
    const model = lw.sequential([layer, task.output()]);
    if (name.endsWith("chrono")) chrono(layer, time);
    model.compile({
      optimizer: lw.optimizers.adam({ learningRate: 0.005, clipNorm: 1 }),
      loss: task.loss,
      metrics: task.measure === "accuracy" ? ["accuracy"] : [],
    });
    const untrained = await gradientByStep(model, task, test.x, test.y);
    // No sequence comes twice: what is learnt is the task. The test stands between the rounds.
    const share = trainSize / rounds;
    const y: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const [x, labels] = [train.x, train.y].map((part) => {
        const start = part.shape.map((_, axis) => (axis === 0 ? round * share : 0));
        return part.slice(start, [share, ...part.shape.slice(1)]);
      }) as [lw.Tensor, lw.Tensor];
      await model.fit(x, labels, { batchSize, epochs: 1, verbose: 0 });
      y.push((await model.evaluate(test.x, test.y))[task.measure]!);
    }
    const trained = await gradientByStep(model, task, test.x, test.y);
    const x = y.map((_, round) => ((round + 1) * updates) / rounds);
    curve!.push({ label: name, x, y });
    before!.push({ label: name, y: untrained, dots: false });
    after!.push({ label: name, y: trained, dots: false });
    rows.push([
      name,
      y.at(-1)!.toFixed(4),
      (untrained[0]! / untrained.at(-1)!).toExponential(1),
      (trained[0]! / trained.at(-1)!).toExponential(1),
    ]);
  }
  const measure = task.measure === "loss" ? "squared error" : "accuracy";
  rows.push(["guessing", task.guess.toFixed(4), "", ""]);
  console.log(`\n${task.name}, ${time} steps, ${updates} updates:\n`);
  printTable(["network", measure, "gradient first/last, new", "learnt"], rows);
  const size = { width: 520, height: 320 };
  curves.push(
    lw.plot.lineChart({
      ...size,
      title: `${task.name}: ${measure}`,
      xLabel: "updates",
      series: [
        ...curve!,
        {
          label: "guessing",
          x: [0, updates],
          y: [task.guess, task.guess],
          dashed: true,
          dots: false,
        },
      ],
    }),
  );
  const chart = (title: string, series: lw.plot.Series[]) =>
    lw.plot.lineChart({ ...size, title, xLabel: "step", yScale: "log", series });
  gradients.push(
    chart(`${task.name}: gradient by input, new`, before!),
    chart(`${task.name}: learnt`, after!),
  );
}
saveFigure("19-long-memory", lw.plot.panels(curves));
saveFigure("19-long-memory-gradients", lw.plot.panels(gradients, { columns: 2 }));
