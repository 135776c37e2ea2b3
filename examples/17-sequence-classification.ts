/**
 * Sequences of different lengths, each with one class, in two forms. Speakers: which of nine men says a
 * Japanese vowel, by frames of 12 numbers (Kudo, Toyama & Shimbo 1999). Surnames: the language of a name, by its
 * characters. Bidirectional networks read batches of sequences of similar length, filled up to the longest;
 * a mask says which steps count: by lengths for the frames, `maskZero` of the embedding for characters.
 * Beside them stand classifiers that know nothing of order: logistic regression on the mean frame, and on counts
 * of characters and pairs.
 *
 * `--data DIR` takes the directories `japanese-vowels` (`ae.train.gz`, `ae.test.gz`: a frame per line, a blank
 * line between sequences; `labels.train.txt`, `labels.test.txt`) and `names` (a text file per language) in
 * DIR. Without it both are generated: frames that move in a direction of the speaker's own, names of the
 * syllables of languages that do not exist. `--only speakers` and `--only surnames` choose one.
 */
import * as lw from "layerwise";
import {
  type Data,
  frameSize,
  generated,
  type Labelled,
  speakers,
  surnames,
} from "./labelled-sequences.js";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";

takes({ data: "DIR", only: ["speakers", "surnames"] });

lw.setRandomSeed(1);
if (generated) console.log("No --data DIR: speakers and names are generated.");

/* ---- models ---------------------------------------------------------------------------------------- */

type Padded = [batch: [steps: lw.Tensor, label: lw.Tensor], lengths: lw.Tensor];
const lengthOf = ([steps]: Labelled) => steps.shape[0]!;

/** What a model takes of a padded batch: frames with their lengths; names without, as their padding is 0. */
const arranged = (needsLengths: boolean) => {
  return ([[steps, label], lengths]: Padded): [lw.Tensor | lw.Tensor[], lw.Tensor] =>
    needsLengths ? [[steps, lengths], label] : [steps, label];
};

/** Batches in another order in each epoch, each of sequences of similar length. */
const bucketed = (data: readonly Labelled[], { boundaries, batchSize, needsLengths }: Case) =>
  lw.data
    .fromIterable(data)
    .shuffle(data.length, { seed: 1 })
    .bucketByLength({ length: lengthOf, boundaries, batchSizes: batchSize, lengths: true })
    .map(arranged(needsLengths));

/** Batches in the order of the data. */
const inOrder = (data: readonly Labelled[], { needsLengths }: Case) =>
  lw.data.fromIterable(data).paddedBatch(256, { lengths: lengthOf }).map(arranged(needsLengths));

function framesModel({ classNames }: Data): lw.Model {
  const frames = lw.input({ shape: [null, frameSize] });
  const lengths = lw.input({ shape: [], dtype: "int32" });
  const masked = lw.layers.applyMask().apply([frames, lengths]);
  const read = lw.layers.bidirectional({ layer: lw.layers.lstm({ units: 32 }) }).apply(masked);
  const dropped = lw.layers.dropout({ rate: 0.3 }).apply(read);
  const outputs = lw.layers
    .dense({ units: classNames.length, activation: "softmax" })
    .apply(dropped);
  return lw.model({ inputs: [frames, lengths], outputs });
}

function namesModel({ classNames, vocabulary }: Data): lw.Model {
  return lw.sequential([
    lw.layers.embedding({
      inputDim: vocabulary!,
      outputDim: 24,
      maskZero: true,
      inputShape: [null],
    }),
    lw.layers.bidirectional({ layer: lw.layers.gru({ units: quick ? 16 : 48 }) }),
    lw.layers.dropout({ rate: 0.3 }),
    lw.layers.dense({ units: classNames.length, activation: "softmax" }),
  ]);
}

/** Without order: the mean of the frames. */
const meanFrame = (data: readonly Labelled[]) => lw.stack(data.map(([steps]) => steps.mean(0)));

/** Without order: how often each character and pair of neighbours occurs, hashed to 512 numbers. */
function counts(data: readonly Labelled[]): lw.Tensor {
  const size = 512;
  const values = new Float32Array(data.length * size);
  data.forEach(([steps], i) => {
    const ids = steps.dataSync();
    ids.forEach((id, t) => {
      const pair = t > 0 ? 31 + ids[t - 1]! * 137 + id * 7 : 0;
      for (const place of [id, pair]) values[i * size + (place % size)]! += 1;
    });
  });
  return lw.tensor(values, [data.length, size]);
}

interface Case {
  readonly data: () => Data | Promise<Data>;
  readonly model: (data: Data) => lw.Model;
  readonly needsLengths: boolean;
  readonly boundaries: readonly number[];
  readonly batchSize: number;
  readonly epochs: number;
  /** What logistic regression is given in place of the sequence, and its name. */
  readonly unordered: (data: readonly Labelled[]) => lw.Tensor;
  readonly unorderedName: string;
}

const cases: Readonly<Record<string, Case>> = {
  speakers: {
    data: speakers,
    model: framesModel,
    needsLengths: true,
    boundaries: [12, 16, 20],
    batchSize: 16,
    epochs: quick ? 5 : 40,
    unordered: meanFrame,
    unorderedName: "logistic regression, mean frame",
  },
  surnames: {
    data: surnames,
    model: namesModel,
    needsLengths: false,
    boundaries: [6, 8, 10],
    batchSize: 64,
    epochs: quick ? 3 : 15,
    unordered: counts,
    unorderedName: "logistic regression, counts",
  },
};

/* ---- learning and comparing ------------------------------------------------------------------------ */

/** Share of right answers, and the mean over classes of the share in each. */
function scores(table: readonly (readonly number[])[]): string[] {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const right = table.map((row, i) => row[i]!);
  const perClass = table.map((row, i) => right[i]! / Math.max(1, sum(row)));
  return [sum(right) / sum(table.map(sum)), sum(perClass) / table.length].map(
    (share) => `${(100 * share).toFixed(1)} %`,
  );
}

/** `table[class][answer]` from probabilities [samples, classes]. */
function confusion(test: readonly Labelled[], output: lw.Tensor): number[][] {
  const classes = output.shape[1]!;
  const table = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  const answers = output.argMax(1).dataSync();
  test.forEach(([, label], i) => {
    table[label]![answers[i]!]! += 1;
  });
  return table;
}

const compileOptions = (learningRate: number) => ({
  optimizer: lw.optimizers.adam({ learningRate, clipNorm: 1 }),
  loss: "sparseCategoricalCrossentropy" as const,
  metrics: ["accuracy"],
});

const figures: string[] = [];
const only = option("only");
for (const [name, one] of Object.entries(cases)) {
  if (only !== undefined && only !== name) continue;
  const data = await one.data();
  const { train, test, classNames } = data;
  const classes = classNames.length;
  console.log(`\n${name}: ${train.length} sequences to learn from, ${test.length} to test\n`);

  const linear = lw.sequential([lw.layers.dense({ units: classes, activation: "softmax" })]);
  linear.compile(compileOptions(0.01));
  const labels = lw.tensor(Int32Array.from(train, ([, label]) => label));
  const linearEpochs = quick ? 10 : 8000 / Math.sqrt(train.length);
  await linear.fit(one.unordered(train), labels, {
    epochs: Math.round(Math.min(linearEpochs, 200)),
    batchSize: 64,
    verbose: 0,
  });
  const linearTable = confusion(test, (await linear.predict(one.unordered(test))) as lw.Tensor);

  const model = one.model(data);
  model.compile(compileOptions(0.003));
  const { history } = await model.fit(bucketed(train, one), {
    epochs: one.epochs,
    validationData: inOrder(test, one),
    verbose: 0,
  });
  const table = confusion(test, (await model.predict(inOrder(test, one))) as lw.Tensor);

  const learnt = new Array<number>(classes).fill(0);
  for (const [, label] of train) learnt[label]! += 1;
  const most = learnt.indexOf(Math.max(...learnt));
  const always = test.filter(([, label]) => label === most).length / test.length;
  printTable(
    ["classifier", "accuracy", "mean over classes"],
    [
      ["the most frequent class", `${(100 * always).toFixed(1)} %`, ""],
      [one.unorderedName, ...scores(linearTable)],
      [`bidirectional, ${model.countParams()} weights`, ...scores(table)],
    ],
  );
  figures.push(
    lw.plot.heatMap({
      title: `${name}: what the bidirectional network answers`,
      rows: classNames,
      columns: classNames,
      values: table,
      rowLabel: "class",
      columnLabel: "answer",
      cell: classes > 10 ? 38 : 44,
      // Classes differ much in size: a cell is as dark as its share of its class.
      shade: (value, row) =>
        value /
        Math.max(
          1,
          table[row]!.reduce((a, b) => a + b, 0),
        ),
    }),
    lw.plot.lineChart({
      title: `${name}: accuracy`,
      width: 460,
      height: 340,
      xLabel: "epoch",
      series: [
        { label: "training, with dropout", y: history.accuracy! },
        { label: "test", y: history.val_accuracy!, dashed: true },
      ],
    }),
  );
}
saveFigure("17-sequence-classification", lw.plot.panels(figures, { columns: 2 }));
