/**
 * The word language models of Zaremba, Sutskever & Vinyals (2014): LSTMs with dropout between layers.
 * Without arguments `--size small` learns three sonnets. Validation and test are two of these three then, so
 * that their perplexities say what was learnt by heart, and nothing of other texts. `--data DIR` takes any
 * `*.train.txt`, `*.valid.txt` and `*.test.txt` in the Penn Treebank's format (a sentence per line, words
 * between blanks, gzipped or not). `--size medium` is the larger one. Words beyond the `--vocabulary N` most
 * frequent ones (10000) become `<unk>`. `--epochs N` and `--steps N` (batches per epoch) cut the training short;
 * `--weights FILE` keeps the weights after each epoch; with `--epoch N` as well, a training goes on from them
 * after N epochs. bench/peers/word_language_model.py is the same in PyTorch.
 */
import * as lw from "layerwise";
import { randomNumbers, sample, samplingOptions } from "./sampling.js";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";
import { cpuMinutes, LossRecord, sonnetWords } from "./text.js";

takes({
  data: "DIR",
  size: ["small", "medium"],
  vocabulary: "N",
  epochs: "N",
  epoch: "N",
  steps: "N",
  seed: "SEED",
  weights: "FILE",
  temperature: "X",
  "top-k": "N",
});

/** Section 4.1 of the paper: "non-regularized" is small, "medium" is medium. */
const sizes = {
  small: {
    ...{ units: 200, steps: 20, range: 0.1, dropout: 0 },
    ...{ epochs: 13, constantEpochs: 4, decay: 1 / 2 },
  },
  medium: {
    ...{ units: 650, steps: 35, range: 0.05, dropout: 0.5 },
    ...{ epochs: 39, constantEpochs: 6, decay: 1 / 1.2 },
  },
} as const;
const sizeName = (option("size") ?? "small") as keyof typeof sizes;
const size = sizes[sizeName];
const data = option("data");
const units = quick ? 64 : size.units;
// The sonnets are so few words that the rate stays.
const epochs = Number(option("epochs") ?? (quick ? 15 : data === undefined ? 60 : size.epochs));
const weights = option("weights");
const initialEpoch = Number(option("epoch") ?? 0);
const constantEpochs = data === undefined ? epochs : size.constantEpochs;
const limit = Number(option("steps") ?? Infinity);
const [batchSize, steps] = data === undefined ? [2, 10] : [20, size.steps];
// A training that goes on must not draw the same units once more.
lw.setRandomSeed(Number(option("seed") ?? 1) + initialEpoch);

/* ---- words ---------------------------------------------------------------------------------------- */

const corpus = data === undefined ? sonnetWords() : await lw.datasets.pennTreebank({ dir: data });
const tokenizer = new lw.data.WordTokenizer({
  ...{ padToken: null, lowercase: false, filters: "" },
  maxTokens: Number(option("vocabulary") ?? 10000),
}).fit(corpus.train.join(" "));
const vocabulary = tokenizer.size;
const tokens = (words: readonly string[]) => tokenizer.encode(words.join(" "));
/** At most `--steps` batches, as rows that go on. */
const batchesOf = (words: readonly string[], rows: number) => {
  const batches = lw.data.bpttBatches(tokens(words), { batchSize: rows, steps });
  return batches.take(Math.min(limit, batches.size!));
};
const train = batchesOf(corpus.train, batchSize);
const valid = batchesOf(corpus.valid, batchSize);
// As in the paper, one stream.
const test = batchesOf(corpus.test, 1);
const unknown = tokens(corpus.valid).filter((token) => token === tokenizer.unknownIndex).length;
console.log(
  `${corpus.train.length} words to learn from, ${corpus.valid.length} to validate, ${corpus.test.length} to ` +
    `test; a vocabulary of ${vocabulary}, which lacks ${((100 * unknown) / corpus.valid.length).toFixed(1)} % ` +
    `of the validation; ${train.size} steps per epoch`,
);

/* ---- the network ---------------------------------------------------------------------------------- */

// All parameters begin within ±range, biases too.
const initial = () => lw.initializers.randomUniform({ minval: -size.range, maxval: size.range });
const lstm = () =>
  lw.layers.lstm({
    ...{ units, returnSequences: true, stateful: true, unitForgetBias: false },
    ...{ kernelInitializer: initial(), recurrentInitializer: initial() },
    biasInitializer: initial(),
  });
const dropout = () => lw.layers.dropout({ rate: size.dropout });
const model = lw.sequential([
  lw.layers.embedding({
    ...{ inputDim: vocabulary, outputDim: units, inputShape: [null] },
    embeddingsInitializer: initial(),
  }),
  dropout(),
  lstm(),
  dropout(),
  lstm(),
  dropout(),
  lw.layers.dense({
    units: vocabulary,
    ...{ kernelInitializer: initial(), biasInitializer: initial() },
  }),
]);
model.summary();
model.compile({
  // The paper's loss is the sum over the steps of a sequence, ours the mean: its gradient is `steps` times
  // ours. A rate of 1 and a norm of 5 for the one are these for the other.
  optimizer: lw.optimizers.sgd({ learningRate: steps, globalClipNorm: 5 / steps }),
  loss: lw.losses.sparseCategoricalCrossentropy({ fromLogits: true }),
});

if (initialEpoch > 0) await model.loadWeights(weights!);

/* ---- learning ------------------------------------------------------------------------------------- */

const record = new LossRecord(`perplexity (${sizeName})`, Math.exp);
/** Milliseconds per step of each epoch, as the clock has them and as processors do. */
const clock: number[] = [];
const computed: number[] = [];
let [began, cpuBegan] = [0, 0];
await model.fit(train, {
  epochs,
  initialEpoch,
  validationData: valid,
  verbose: 0,
  callbacks: [
    lw.callbacks.learningRateScheduler(
      (epoch) => steps * size.decay ** Math.max(0, epoch + 1 - constantEpochs),
    ),
    {
      onEpochBegin() {
        model.resetStates();
        [began, cpuBegan] = [performance.now(), cpuMinutes()];
      },
      onTestBegin() {
        model.resetStates();
        clock.push((performance.now() - began) / train.size!);
        computed.push((60_000 * (cpuMinutes() - cpuBegan)) / train.size!);
      },
    },
    record.callback,
    ...(weights === undefined
      ? []
      : [lw.callbacks.modelCheckpoint(weights, { saveWeightsOnly: true })]),
  ],
});
model.resetStates();
const { loss } = await model.evaluate(test, { verbose: 0 });
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!.toFixed(1);
console.log(`${median(clock)} ms per step, ${median(computed)} of a CPU (medians of the epochs)\n`);
printTable(
  ["model", "parameters", "epochs", "training", "validation", "test"],
  [
    [
      sizeName,
      model.countParams(),
      epochs,
      record.training.at(-1)!.toFixed(2),
      record.validation.at(-1)!.toFixed(2),
      Math.exp(loss!).toFixed(2),
    ],
  ],
);

/* ---- writing -------------------------------------------------------------------------------------- */

const random = randomNumbers(1);
const end = tokenizer.indexOf("<eos>")!;
let token = end;
console.log();
model.resetStates();
for (let i = 0; i < (quick ? 30 : 100); i++) {
  const scores = model.predictSync(lw.tensor([[token]], undefined, "int32")).dataSync();
  token = sample(scores, samplingOptions(), random);
  process.stdout.write(token === end ? "\n" : `${tokenizer.decode([token])} `);
}
console.log();

saveFigure(
  "21-word-language-model",
  lw.plot.lineChart({
    title: `Words by two LSTMs of ${units}, after Zaremba et al. (2014)`,
    xLabel: "epoch",
    yLabel: "perplexity",
    yScale: "log",
    series: [
      { label: "training", y: record.training },
      { label: "validation", y: record.validation, dashed: true },
    ],
  }),
);
