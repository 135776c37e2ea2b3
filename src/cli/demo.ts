/**
 * `layerwise demo`: trains a network on digits from beginning to end through the public surface, as a
 * user's program would, prints what came out and writes the HTML report. Everything here is an option,
 * a call of the library or a line of output; what text and report look like is in text.ts and report.ts.
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { checkFolderOf } from "../formats/newpath.js";
import * as lw from "../index.js";
import { insideOf } from "./inside.js";
import { numberOption, parseCommandLine, UsageError } from "./options.js";
import { type ReportSample, writeReport } from "./report.js";
import {
  confusionText,
  grouped,
  type OutputStream,
  percent,
  pictureText,
  type Style,
  showsBraille,
  sideBySide,
  styleOf,
  sureness,
} from "./text.js";

export const demoHelp = `Usage: layerwise demo [options]

Trains LeNet-5 on generated pictures of digits (or on MNIST's files), prints its accuracy, its confusion
of classes and some predictions, and writes a report with the curves and pictures of the network's
inside. Ctrl-C ends the training early; what was learnt until then is still reported.

Options
  --data DIR          train on the four MNIST (IDX) files in DIR instead of generated digits
  --samples N         training samples        [12000; 1500 on the TypeScript backend; all with --data]
  --epochs N          passes over the samples                         [6; 4 on the TypeScript backend]
  --batch-size N      samples per step                                                           [128]
  --learning-rate X   of Adam                                                                  [0.001]
  --seed N            of digits, weights, dropout and order                                        [1]
  --threads N         threads of the native backend                             [what the CPUs allow]
  --backend NAME      native or typescript                                  [native where it is built]
  --report FILE       where the report goes                                   [layerwise-report.html]
  --help, -h          this text
`;

/** What a demo is asked to do. */
export interface DemoOptions {
  readonly data: string | undefined;
  readonly samples: number | undefined;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly report: string;
  /** True where the backend made the defaults smaller. */
  readonly reduced: boolean;
}

const optionNames = {
  data: true,
  samples: true,
  epochs: true,
  "batch-size": true,
  "learning-rate": true,
  seed: true,
  threads: true,
  backend: true,
  report: true,
} as const;

/** Reads the command line; sets backend and threads, on which some defaults depend. */
function readOptions(argv: readonly string[]): DemoOptions {
  const given = parseCommandLine(argv, optionNames);
  const count = (name: keyof typeof optionNames, min: number, max = Infinity) =>
    numberOption(name, given[name], { min, max, integer: true });
  // All values are checked before anything takes effect.
  const samples = count("samples", 10, 1_000_000);
  const epochs = count("epochs", 1);
  const batchSize = count("batch-size", 1) ?? 128;
  const seed = count("seed", 0, 0xffffffff) ?? 1;
  const threads = count("threads", 1, 1024);
  const learningRate = numberOption("learning-rate", given["learning-rate"], { min: 0 }) ?? 0.001;
  const { backend } = given;
  if (backend !== undefined && backend !== "native" && backend !== "typescript") {
    throw new UsageError(`--backend must be native or typescript, not ${backend}`);
  }
  if (backend) lw.setBackend(backend);
  if (threads) lw.setThreads(threads);
  const slow = lw.backendInfo().backend === "typescript";
  return {
    data: given.data,
    samples: samples ?? (given.data !== undefined ? undefined : slow ? 1500 : 12_000),
    epochs: epochs ?? (slow ? 4 : 6),
    batchSize,
    learningRate,
    seed,
    report: resolve(given.report ?? "layerwise-report.html"),
    reduced: slow && (epochs === undefined || (samples === undefined && given.data === undefined)),
  };
}

/** Runs the command; resolves to its exit code. */
export async function runDemo(argv: readonly string[], out: OutputStream): Promise<number> {
  const options = readOptions(argv);
  // Better now than after the training.
  await checkFolderOf("--report", options.report);
  const there = await stat(options.report).catch(() => null);
  if (there?.isDirectory()) {
    throw new lw.ArgumentError(`--report: can't write "${options.report}": it is a directory`);
  }
  const style = styleOf(out);
  const say = (text = "") => out.write(`${text}\n`);

  say(style.bold("layerwise demo: a network learns to read digits"));
  say(`Backend: ${backendLine()}`);
  if (options.reduced) {
    say("The TypeScript backend is slower, so this trains on fewer samples for fewer epochs.");
  }
  const data = await loadData(options);
  say(`Data: ${data.description}`);
  say();

  lw.setRandomSeed(options.seed);
  const model = digitNetwork(options.learningRate);
  model.summary({ print: say });
  say();

  const { epochs, batchSize, seed } = options;
  const rate = new Throughput(data.train.y.size);
  const stopped = new AbortController();
  const interrupt = () => {
    // A second Ctrl-C finds no handler and ends the process.
    say("\nStopping …");
    stopped.abort();
  };
  process.once("SIGINT", interrupt);
  // The record survives an interruption, when fit has no result.
  const record = lw.callbacks.history();
  try {
    await model.fit(data.train.x, data.train.y, {
      epochs,
      batchSize,
      seed,
      validationData: [data.test.x, data.test.y],
      callbacks: [rate.callback, record],
      signal: stopped.signal,
    });
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    process.removeListener("SIGINT", interrupt);
  }
  const { history } = record;

  const results = await judge(model, data);
  const finished = history.loss?.length ?? 0;
  say();
  say(
    `Test accuracy ${style.bold(percent(results.accuracy))} on ${grouped(data.test.y.size)} samples` +
      ` after ${finished} epoch${finished === 1 ? "" : "s"}` +
      `${stopped.signal.aborted ? " (interrupted)" : ""}; ${rate.text()}.`,
  );
  say();
  say(style.bold("True classes (rows) and predicted ones (columns)"));
  say(confusionText(results.confusion, data.classNames, style));
  say();
  say(picturesText(results, data, style));

  await writeReport(options.report, {
    title: "layerwise demo",
    notes: [`Data: ${data.description}`],
    results: [
      ["test accuracy", percent(results.accuracy)],
      ["test loss", results.loss.toFixed(4)],
      ["epochs", `${finished}${stopped.signal.aborted ? `, interrupted before ${epochs}` : ""}`],
      ["samples/s in training", rate.perSecond() ? grouped(rate.perSecond()) : "–"],
    ],
    history,
    classNames: data.classNames,
    confusion: results.confusion,
    samples: results.first(22),
    mistakes: results.mistakes(22),
    figures: await insideOf(model, results, data.classNames),
    throughput: [
      ["training", rate.text()],
      ["batch size", String(batchSize)],
      ["parameters", grouped(model.countParams())],
    ],
    summary: model.summaryText(),
    environment: environmentRows(options),
  });
  say();
  say(`Report with curves and pictures: ${options.report}`);
  return 0;
}

/** LeNet-5 as it is built today, compiled. */
function digitNetwork(learningRate: number) {
  const model = lw.models.lenet5();
  model.compile({
    optimizer: lw.optimizers.adam({ learningRate }),
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  return model;
}

interface DemoData extends lw.datasets.ImageDataset {
  readonly description: string;
}

async function loadData({ data, samples, seed }: DemoOptions): Promise<DemoData> {
  if (data === undefined) {
    const train = samples ?? 12_000;
    const test = Math.max(10, Math.min(2000, Math.round(train / 4)));
    return {
      ...lw.datasets.digits({ train, test, seed }),
      description:
        `${grouped(train)} training and ${grouped(test)} test pictures of digits, generated by a ` +
        "program, not handwritten by anyone. For real ones: --data DIR with the files of MNIST.",
    };
  }
  const all = await lw.datasets.mnist({ dir: data });
  const count = Math.min(samples ?? Infinity, all.train.y.size);
  const train = { x: all.train.x.slice([0], [count]), y: all.train.y.slice([0], [count]) };
  return {
    ...all,
    train: count < all.train.y.size ? train : all.train,
    description: `${grouped(count)} training and ${grouped(all.test.y.size)} test pictures from ${resolve(data)}`,
  };
}

/** Measures training itself: from each epoch's beginning to where validation or the epoch's end comes. */
class Throughput {
  #seconds = 0;
  #samples = 0;
  #since = 0;
  readonly #perEpoch: number;

  constructor(samplesPerEpoch: number) {
    this.#perEpoch = samplesPerEpoch;
  }

  readonly callback = {
    onEpochBegin: () => {
      this.#since = performance.now();
    },
    onTestBegin: () => this.#stop(),
    onEpochEnd: () => this.#stop(),
  };

  #stop(): void {
    if (this.#since === 0) return;
    this.#seconds += (performance.now() - this.#since) / 1000;
    this.#samples += this.#perEpoch;
    this.#since = 0;
  }

  perSecond(): number {
    return this.#seconds > 0 ? this.#samples / this.#seconds : 0;
  }

  text(): string {
    if (this.#seconds === 0) return "no epoch finished";
    return `${grouped(this.perSecond())} samples/s in training (${this.#seconds.toFixed(1)} s)`;
  }
}

interface Results {
  readonly accuracy: number;
  readonly loss: number;
  readonly confusion: readonly Int32Array[];
  first(count: number): ReportSample[];
  /** Wrong predictions, the surest first. */
  mistakes(count: number): ReportSample[];
}

/** Predicts the whole test set and counts. */
async function judge(model: ReturnType<typeof digitNetwork>, data: DemoData): Promise<Results> {
  const predicted = await model.predict(data.test.x);
  const probabilities = await predicted.data();
  const labels = await data.test.y.data();
  const pixels = await data.test.x.data();
  const [count = 0, height = 0, width = 0] = data.test.x.shape;
  const classes = data.classNames.length;
  const confusion = Array.from({ length: classes }, () => new Int32Array(classes));
  const answers = new Int32Array(count);
  let [right, loss] = [0, 0];
  for (let i = 0; i < count; i++) {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    const label = labels[i]!;
    const answer = row.indexOf(Math.max(...row));
    answers[i] = answer;
    confusion[label]![answer]!++;
    if (answer === label) right++;
    loss -= Math.log(Math.max(row[label]!, 1e-7)) / count;
  }
  const sample = (i: number): ReportSample => ({
    pixels: Uint8Array.from(
      pixels.subarray(i * width * height, (i + 1) * width * height),
      (value) => Math.round(value * 255),
    ),
    width,
    height,
    label: labels[i]!,
    predicted: answers[i]!,
    probabilities: probabilities.subarray(i * classes, (i + 1) * classes),
  });
  const surest = (i: number) => probabilities[i * classes + answers[i]!]!;
  const wrong = [...answers.keys()].filter((i) => answers[i] !== labels[i]);
  wrong.sort((a, b) => surest(b) - surest(a));
  return {
    accuracy: right / count,
    loss,
    confusion,
    first: (n) => Array.from({ length: Math.min(n, count) }, (_, i) => sample(i)),
    mistakes: (n) => wrong.slice(0, n).map(sample),
  };
}

/** The first test samples and the surest mistakes as small pictures of letters. */
function picturesText(results: Results, { classNames }: DemoData, style: Style): string {
  const braille = showsBraille();
  const block = ({ pixels, width, height, predicted, label, probabilities }: ReportSample) => {
    const sure = typeof probabilities === "number" ? probabilities : probabilities[predicted]!;
    const name = `${classNames[predicted]} ${sureness(sure)}`;
    return {
      lines: pictureText(pixels, width, height, braille),
      captions:
        predicted === label
          ? [style.good(`✓ ${name}`)]
          : [style.bad(`✗ ${name}`), `  is ${classNames[label]}`],
    };
  };
  const parts = [
    style.bold("The first test samples, what the network says and how sure it is"),
    sideBySide(results.first(5).map(block), 16),
  ];
  const mistakes = results.mistakes(5).map(block);
  if (mistakes.length > 0) {
    parts.push("", style.bold("Its surest mistakes"), sideBySide(mistakes, 16));
  }
  return parts.join("\n");
}

function backendLine(): string {
  const { backend, isa, threads } = lw.backendInfo();
  const isaText = isa ? ` ${isa}` : "";
  return `${backend}${isaText}, ${threads} thread${threads === 1 ? "" : "s"}, Node.js ${process.versions.node}`;
}

function environmentRows({ seed, learningRate }: DemoOptions) {
  const { cpu } = lw.backendInfo();
  return [
    ["backend", backendLine()],
    ["CPU", cpu || "unknown"],
    ["seed", String(seed)],
    ["learning rate", String(learningRate)],
  ] as const;
}
