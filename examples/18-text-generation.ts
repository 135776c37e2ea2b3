/**
 * A network of LSTMs learns a text by its characters, then writes some of its own. Without arguments it
 * learns three sonnets; `--data DIR` takes tiny Shakespeare's input.txt, `--data download` gets it (1.1 MB).
 * States go on from batch to batch (truncated back-propagation through time), and in writing from
 * character to character. `--units`, `--layers`, `--dropout` and `--epochs` set the size; `--weights FILE`
 * keeps the best weights, `--write` only writes with them. `--prompt TEXT`, `--length N`,
 * `--temperature T` and `--top-k K` say what is written.
 */
import * as lw from "layerwise";
import { randomNumbers, type Sampling, sample, samplingOptions } from "./sampling.js";
import { option, quick, saveFigure, takes } from "./shared.js";
import { characters, LossRecord, lstmNetwork } from "./text.js";

takes({
  data: "DIR|download",
  units: "N",
  layers: "N",
  dropout: "X",
  epochs: "N",
  weights: "FILE",
  write: "",
  prompt: "TEXT",
  length: "N",
  temperature: "X",
  "top-k": "N",
});

lw.setRandomSeed(1);
const { tokenizer, train, validation } = await characters();
const small = option("data") === undefined;
const vocabulary = tokenizer.size;
const [units, layers] = [
  Number(option("units") ?? (small ? 96 : 384)),
  Number(option("layers") ?? 1),
];
const epochs = Number(option("epochs") ?? (quick ? 12 : small ? 40 : 20));
const [batchSize, steps] = small ? [4, 25] : [32, 64];

const model = lstmNetwork({
  ...{ vocabulary, units, layers },
  dropout: Number(option("dropout") ?? (small ? 0.2 : 0.3)),
});
model.summary();

/* ---- learning ------------------------------------------------------------------------------------- */

const weights = option("weights");
const writeOnly = process.argv.includes("--write");
if (writeOnly && weights === undefined)
  throw new Error("--write takes the weights of --weights FILE");
const record = new LossRecord(`LSTM ${layers}×${units}`);
if (!writeOnly) {
  const batches = lw.data.bpttBatches(train, { batchSize, steps });
  const held = lw.data.bpttBatches(validation, { batchSize: small ? 2 : batchSize, steps });
  const perEpoch = batches.size!;
  console.log(`${train.length} characters, ${vocabulary} distinct; ${perEpoch} steps per epoch`);
  model.compile({
    optimizer: lw.optimizers.adam({
      learningRate: lw.optimizers.schedules.cosineDecay({
        initialLearningRate: small ? 0.01 : 0.004,
        decaySteps: epochs * perEpoch,
        alpha: 0.02,
      }),
      globalClipNorm: 1,
    }),
    loss: lw.losses.sparseCategoricalCrossentropy({ fromLogits: true }),
  });
  await model.fit(batches, {
    epochs,
    validationData: held,
    verbose: 0,
    callbacks: [
      // Epochs and measurements begin at the beginning of a text.
      { onEpochBegin: () => model.resetStates(), onTestBegin: () => model.resetStates() },
      record.callback,
      ...(weights === undefined
        ? []
        : [lw.callbacks.modelCheckpoint(weights, { saveBestOnly: true, saveWeightsOnly: true })]),
    ],
  });
  console.log(`Best validation loss: ${record.best.toFixed(4)} nats per character`);
}
if (weights !== undefined) await model.loadWeights(weights);

/* ---- writing -------------------------------------------------------------------------------------- */

/** Characters as the network writes them: each is the input of the step that gives the next. */
function* write(prompt: string, length: number, sampling: Sampling, seed: number) {
  const random = randomNumbers(seed);
  // One row, whose state goes on from call to call.
  const scoresAfter = (token: number) =>
    model.predictSync(lw.tensor([[token]], undefined, "int32")).dataSync();
  model.resetStates();
  let scores = new Float32Array(vocabulary) as ArrayLike<number>;
  for (const token of tokenizer.encode(prompt)) scores = scoresAfter(token);
  for (let i = 0; i < length; i++) {
    const token = sample(scores, sampling, random);
    yield tokenizer.decode([token]);
    scores = scoresAfter(token);
  }
}

const prompt = option("prompt") ?? (small ? "Shall I " : "ROMEO:\n");
const length = Number(option("length") ?? (quick ? 80 : 400));
const chosen = samplingOptions();
const ways: readonly Sampling[] = [{ temperature: 0.5 }, chosen, { temperature: 1, topK: 5 }];
for (const [i, sampling] of ways.entries()) {
  const { temperature, topK } = sampling;
  console.log(`\n── temperature ${temperature}${topK ? `, the ${topK} likeliest` : ""} ──`);
  process.stdout.write(prompt);
  const begin = performance.now();
  for (const character of write(prompt, length, sampling, i)) process.stdout.write(character);
  const perCharacter = (performance.now() - begin) / (prompt.length + length);
  console.log(`\n── ${perCharacter.toFixed(2)} ms per character ──`);
}

if (!writeOnly) {
  saveFigure(
    "18-text-generation",
    lw.plot.lineChart({
      title: `A text by its characters: LSTM, ${layers}×${units}`,
      xLabel: "CPU minutes",
      yLabel: "nats per character",
      series: [
        { label: "training", x: record.minutes, y: record.training },
        { label: "validation", x: record.minutes, y: record.validation, dashed: true },
      ],
    }),
  );
}
