/**
 * A small transformer learns the text of example 18, beside an LSTM that sees as many characters.
 * Without arguments they learn three sonnets; `--data DIR` takes tiny Shakespeare's input.txt, `--data
 * download` gets it (1.1 MB). Blocks are causal attention and two dense layers, each after a layer
 * normalisation and with a connection around it (Vaswani et al. 2017; Radford et al. 2019). `--width`,
 * `--blocks`, `--heads`, `--context` and `--epochs` set the size, `--only transformer` or `--only lstm`
 * trains one; `--prompt TEXT`, `--length N`, `--temperature T` and `--top-k K` say what is written.
 */
import * as lw from "layerwise";
import { randomNumbers, sample, samplingOptions } from "./sampling.js";
import { option, printTable, quick, saveFigure, takes } from "./shared.js";
import { characters, LossRecord, lstmNetwork } from "./text.js";

takes({
  data: "DIR|download",
  width: "N",
  blocks: "N",
  heads: "N",
  context: "N",
  dropout: "X",
  units: "N",
  epochs: "N",
  only: ["transformer", "lstm"],
  prompt: "TEXT",
  length: "N",
  temperature: "X",
  "top-k": "N",
});

const { tokenizer, train, validation } = await characters();
const small = option("data") === undefined;
const vocabulary = tokenizer.size;
const setting = (name: string, forSonnets: number, forPlays: number): number =>
  Number(option(name) ?? (small ? forSonnets : forPlays));
const width = setting("width", 64, 128);
const blocks = setting("blocks", 2, 4);
const heads = setting("heads", 2, 4);
const context = setting("context", 32, 128);
const dropout = setting("dropout", 0.1, 0.1);
const epochs = Number(option("epochs") ?? (quick ? 8 : small ? 30 : 20));
const batchSize = small ? 4 : 32;

/* ---- the transformer ------------------------------------------------------------------------------ */

/** Tokens [batch, context] to scores [batch, context, vocabulary] of the tokens that follow. */
function transformer(): lw.Model {
  const tokens = lw.input({ shape: [context], dtype: "int32" });
  const { add, dense, layerNormalization, multiHeadAttention } = lw.layers;
  const dropped = (x: lw.SymbolicTensor) => lw.layers.dropout({ rate: dropout }).apply(x);
  const embedded = lw.layers.embedding({ inputDim: vocabulary, outputDim: width }).apply(tokens);
  const places = lw.layers.positionEmbedding({ sequenceLength: context }).apply(embedded);
  let x = dropped(add().apply([embedded, places]));
  for (let block = 0; block < blocks; block++) {
    const seen = multiHeadAttention({
      numHeads: heads,
      keyDim: width / heads,
      causal: true,
    }).apply(layerNormalization().apply(x)) as lw.SymbolicTensor;
    x = add().apply([x, dropped(seen)]);
    const wide = dense({ units: 4 * width, activation: "gelu" }).apply(
      layerNormalization().apply(x),
    );
    x = add().apply([x, dropped(dense({ units: width }).apply(wide))]);
  }
  const scores = dense({ units: vocabulary }).apply(layerNormalization().apply(x));
  return lw.model({ inputs: tokens, outputs: scores });
}

/* ---- learning ------------------------------------------------------------------------------------- */

/** Windows of the text that begin at each multiple of the context, with the characters that follow. */
function windows(tokens: Int32Array): lw.data.Dataset<[Int32Array, Int32Array]> {
  const count = Math.floor((tokens.length - 1) / context);
  return lw.data.fromIndexed(count, (i) => {
    const from = i * context;
    return [tokens.slice(from, from + context), tokens.slice(from + 1, from + context + 1)];
  });
}

const reset = (model: lw.Model) => ({
  onEpochBegin: () => model.resetStates(),
  onTestBegin: () => model.resetStates(),
});

async function learn(
  name: string,
  model: lw.Model,
  learningRate: number,
  batches: lw.data.Dataset<[lw.Tensor, lw.Tensor]>,
  held: lw.data.Dataset<[lw.Tensor, lw.Tensor]>,
): Promise<LossRecord> {
  model.compile({
    optimizer: lw.optimizers.adam({
      learningRate: lw.optimizers.schedules.cosineDecay({
        ...{ initialLearningRate: 0, warmupTarget: learningRate, alpha: 0.05 },
        ...{ warmupSteps: batches.size!, decaySteps: Math.max(1, epochs - 1) * batches.size! },
      }),
      globalClipNorm: 1,
    }),
    loss: lw.losses.sparseCategoricalCrossentropy({ fromLogits: true }),
  });
  const record = new LossRecord(name);
  const callbacks = [reset(model), record.callback];
  await model.fit(batches, { epochs, validationData: held, verbose: 0, callbacks });
  return record;
}

const only = option("only");
const results: { model: lw.Model; record: LossRecord; scores: Scores }[] = [];
/** Scores of the token after those of a text. */
type Scores = (text: readonly number[]) => ArrayLike<number>;

if (only !== "lstm") {
  lw.setRandomSeed(1);
  const model = transformer();
  model.summary();
  const batches = windows(train).shuffle(Infinity, { seed: 1 }).batch(batchSize);
  const held = windows(validation).batch(batchSize);
  const record = await learn("transformer", model, small ? 0.005 : 0.002, batches, held);
  // The last `context` tokens; where there are fewer, what fills the rest is not seen by those before it.
  const scores: Scores = (text) => {
    const last = text.slice(-context);
    const filled = Int32Array.from({ length: context }, (_, i) => last[i] ?? 0);
    const all = model.predictSync(lw.tensor(filled, [1, context], "int32")).dataSync();
    return all.subarray((last.length - 1) * vocabulary, last.length * vocabulary);
  };
  results.push({ model, record, scores });
}

if (only !== "transformer") {
  lw.setRandomSeed(1);
  const units = setting("units", 96, 384);
  const model = lstmNetwork({ vocabulary, units, layers: 1, dropout: small ? 0.2 : 0.3 });
  const steps = small ? 25 : 64;
  const batches = lw.data.bpttBatches(train, { batchSize, steps });
  const held = lw.data.bpttBatches(validation, { batchSize: small ? 2 : batchSize, steps });
  const record = await learn("LSTM", model, small ? 0.01 : 0.004, batches, held);
  model.resetStates();
  // The text before its last token is in the state.
  let read = 0;
  const scores: Scores = (text) => {
    let last: ArrayLike<number> = [];
    for (; read < text.length; read++) {
      last = model.predictSync(lw.tensor([[text[read]!]], undefined, "int32")).dataSync();
    }
    return last;
  };
  results.push({ model, record, scores });
}

/* ---- what came out -------------------------------------------------------------------------------- */

const prompt = option("prompt") ?? (small ? "Shall I " : "ROMEO:\n");
const length = Number(option("length") ?? (quick ? 60 : 300));
for (const { record, scores } of results) {
  console.log(`\n── ${record.name} ──`);
  process.stdout.write(prompt);
  const random = randomNumbers(1);
  const text = [...tokenizer.encode(prompt)];
  for (let i = 0; i < length; i++) {
    text.push(sample(scores(text), samplingOptions(), random));
    process.stdout.write(tokenizer.decode(text.slice(-1)));
  }
  console.log();
}

console.log();
printTable(
  ["network", "parameters", "CPU minutes", "training", "validation, best", "perplexity"],
  results.map(({ model, record }) => [
    record.name,
    model.countParams(),
    Number(record.minutes.at(-1)!.toFixed(3)),
    record.training.at(-1)!.toFixed(3),
    record.best.toFixed(3),
    Math.exp(record.best).toFixed(2),
  ]),
);
saveFigure(
  "20-tiny-transformer",
  lw.plot.lineChart({
    title: "A text by its characters: validation loss",
    xLabel: "CPU minutes",
    yLabel: "nats per character",
    series: results.map(({ record }) => ({
      label: record.name,
      x: record.minutes,
      y: record.validation,
    })),
  }),
);
