/**
 * Every example makes its page of the gallery at its small size, draws its figures, and shows what its
 * header says; and the pages that are kept are those of the examples as they are.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allPages, prose } from "../examples/pages.js";
import { randomNumbers, sample } from "../examples/sampling.js";
import { missing, testData } from "./helpers/data.js";
import { elementsOf } from "./plot/markup.js";

const root = fileURLToPath(new URL("../", import.meta.url));

function run(script: "example" | "gallery", ...argv: string[]) {
  const path = join(root, "scripts", `${script}.ts`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", path, ...argv],
    { cwd: root, encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

/** What an example printed, out of its page. */
function printed(page: string): string {
  return Array.from(page.matchAll(/^```text\n(.*?)^```$/gms), (match) => match[1]!).join("");
}

/** Names of the figures that a page shows. */
function figuresOf(page: string): string[] {
  return Array.from(page.matchAll(/^!\[.+\]\((.*\.svg)\)$/gm), (match) => match[1]!);
}

/** What is folded away is epochs, or the layers of a model: no table and no sample. */
function checkFolds(page: string): void {
  const folded = /<details>\n<summary>([^<]*)<\/summary>\n\n```text\n(.*?)\n```\n\n<\/details>/gs;
  expect([...page.matchAll(folded)].length).toBe(page.split("<details>").length - 1);
  for (const [, summary, text] of page.matchAll(folded)) {
    if (summary!.endsWith("lines of the model's summary")) {
      expect(text).toMatch(/^Model: "[^"]*"\n─+\nLayer .*\n═+\n([^─]*\n)─+$/);
    } else {
      for (const line of text!.split("\n")) expect(line).toMatch(/\bepoch \d+/i);
    }
  }
}

function checkFigure(path: string): void {
  const svg = readFileSync(path, "utf8");
  const elements = elementsOf(svg.replace(/<style>.*?<\/style>/gs, ""));
  expect(elements.filter((name) => ["path", "image", "rect"].includes(name))).not.toEqual([]);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(svg).toContain("prefers-color-scheme:dark");
}

/** The cells of a printed table's row, by the row's first cell; cells are two spaces apart. */
function row(text: string, name: string): string[] {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  if (!line) throw new Error(`no row ${name} in\n${text}`);
  return line.split(/ {2,}/);
}

const share = (cell: string | undefined) => Number(cell?.replace(" %", ""));

/** What each example must show, from what it prints. */
const checks: Record<string, (out: string) => void> = {
  "01-perceptron": (out) => {
    expect(row(out, "AND")).toMatchObject({ 1: "yes", 4: "4/4" });
    expect(row(out, "OR")).toMatchObject({ 1: "yes", 4: "4/4" });
    expect(row(out, "XOR")).toMatchObject({ 1: "no", 2: "100" });
    expect(row(out, "XOR")[4]).not.toBe("4/4");
  },
  "02-xor-mlp": (out) => {
    const rows = [...out.matchAll(/^ *([01]) +([01]) +([01]) +([\d.]+)$/gm)].map(([, ...c]) =>
      c.map(Number),
    );
    expect(rows).toHaveLength(4);
    for (const [a, b, xor, network] of rows) {
      expect(a! ^ b!).toBe(xor);
      expect(Math.abs(network! - xor!)).toBeLessThan(0.1);
    }
    expect(out).toContain("Accuracy: 100 %");
  },
  "03-activations": (out) => {
    // σ(0.5), and the slope σ(3)·(1 − σ(3)).
    expect(row(out, "sigmoid")).toMatchObject({ 2: "0.6225", 6: "0.0452", 7: "0.2499" });
    expect(row(out, "relu")).toMatchObject({ 1: "0", 3: "3", 4: "0", 6: "1" });
    expect(out.match(/^[a-zA-Z]+ .*\d$/gm)).toHaveLength(12);
  },
  "04-gradient-descent": (out) => {
    const losses = ["batch (200)", "mini-batch (20)", "stochastic (1)"].map((name) =>
      row(out, name),
    );
    expect(losses.map((cells) => Number(cells[1]))).toEqual([6, 60, 1200]);
    // After as many epochs, more and smaller steps are further down.
    expect(Number(losses[1]![4])).toBeLessThan(Number(losses[0]![4]) / 2);
    expect(Number(losses[2]![2])).toBeCloseTo(1.5, 0);
  },
  "05-optimizers": (out) => {
    const names = ["sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop"];
    names.push("adam", "amsgrad", "adamax", "nadam", "adamw", "lion");
    // All start at 6.5 and go down; untrained, the network's loss is ln 10.
    for (const name of names) {
      expect(Number(row(out, name)[2])).toBeLessThan(0.5);
      expect(Number(row(out, name)[4])).toBeLessThan(Math.log(10));
    }
    expect(Number(row(out, "nesterov")[2])).toBeLessThan(Number(row(out, "sgd")[2]) / 100);
  },
  "06-vanishing-gradients": (out) => {
    expect(Number(row(out, "sigmoid, Glorot")[3])).toBeLessThan(1e-4);
    expect(Number(row(out, "ReLU, He")[3])).toBeGreaterThan(0.1);
    expect(share(row(out, "tanh, Glorot")[4])).toBeGreaterThan(
      share(row(out, "sigmoid, Glorot")[4]) + 20,
    );
  },
  "07-overfitting": (out) => {
    expect(share(row(out, "plain")[1])).toBeGreaterThan(share(row(out, "dropout")[1]));
    expect(share(row(out, "dropout")[2])).toBeGreaterThan(40);
  },
  "08-mnist-mlp": (out) => {
    expect(share(/Test accuracy: ([\d.]+ %)/.exec(out)?.[1])).toBeGreaterThan(70);
  },
  "09-custom-layer-and-loop": (out) => {
    const [, programs, loss, accuracy] = out.split("\n")[2]!.trim().split(/ {2,}/);
    expect(programs).toBe("1");
    expect(loss).toMatch(/[1-9]/);
    expect(share(accuracy)).toBeGreaterThan(90);
  },
  "10-http-service": (out) => {
    for (const name of ["one predict each", "micro-batches"]) {
      // All requests answered, none refused, and with the answers of a trained network.
      expect(row(out, name).slice(1, 5).map(Number)).toEqual([400, 400, 0, 0]);
      expect(share(row(out, name)[8])).toBeGreaterThan(70);
    }
    const [, requests, answered, refused, retryAfter] = row(out, "a queue of 4").map(Number);
    expect(answered! + refused!).toBe(requests);
    expect(refused).toBeGreaterThan(0);
    expect(retryAfter).toBe(refused);
    const [, runs, mean] = /(\d+) runs of ([\d.]+) samples/.exec(out)!.map(Number);
    expect(Number(runs) * Number(mean)).toBeGreaterThan(380);
    expect(mean).toBeGreaterThan(1);
  },
  "11-lenet-mnist": (out) => {
    expect(out).toContain("Total params: 61,706");
    const accuracy = share(/Test accuracy: ([\d.]+ %)/.exec(out)?.[1]);
    expect(accuracy).toBeGreaterThan(80);
    const [, wrong, all] = /Misclassified: (\d+) of (\d+)/.exec(out)!.map(Number);
    expect(100 * (1 - wrong! / all!)).toBeCloseTo(accuracy, 1);
  },
  "12-resnet-fashion": (out) => {
    // Two short epochs: better than one in ten.
    expect(share(/Test accuracy: ([\d.]+ %)/.exec(out)?.[1])).toBeGreaterThan(20);
  },
  "13-rbm-mnist": (out) => {
    for (const name of ["cd-1", "cd-10", "cd-25", "pcd"]) {
      const [, , gap, pseudo, likelihood, error] = row(out, name).map(Number);
      expect(gap).toBeLessThan(15);
      // Independent pixels with the means of these digits are at −221.
      expect(likelihood).toBeGreaterThan(-195);
      expect(pseudo).toBeGreaterThan(likelihood!);
      expect(error).toBeLessThan(1);
    }
  },
  "14-dbn-mnist": (out) => {
    expect(share(row(out, "all, pre-trained")[2])).toBeLessThan(30);
    expect(share(row(out, "100, pre-trained")[2])).toBeLessThan(share(row(out, "100, random")[2]));
  },
  "23-losses": (out) => {
    const slope = (name: string) => Math.abs(Number(row(out, name)[1]) - 1.5);
    expect(slope("absolute error")).toBeLessThan(slope("squared error") / 3);
    // 20 is a score at which 1 − σ rounds to 0 in float32.
    expect(out).toMatch(/^ +20 +Infinity +20 +1$/m);
  },
  "24-backpropagation": (out) => {
    const rows = [...out.matchAll(/^\S+ +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+) +[\de-]+$/gm)];
    expect(rows).toHaveLength(13);
    for (const [, hand, auto, difference] of rows) {
      expect(Number(auto)).toBeCloseTo(Number(hand), 6);
      expect(Number(difference)).toBeCloseTo(Number(hand), 6);
    }
    const ends = [...out.matchAll(/→ ([\d.]+)/g)].map(([, value]) => Number(value));
    expect(ends).toHaveLength(2);
    expect(ends[0]).toBeCloseTo(ends[1]!, 3);
  },
  "25-lenet-to-resnet": (out) => {
    // Parameters of the paper, with a dense layer as the output; and of today's.
    expect(row(out, "LeNet-5, 1998")[1]).toBe("60,850");
    expect(row(out, "LeNet-5, today")[1]).toBe("61,706");
    for (const name of ["AlexNet", "VGG-11", "GoogLeNet", "ResNet-20"]) {
      expect(share(row(out, name)[4])).toBeGreaterThan(0);
    }
  },
  "15-deep-autoencoder": (out) => {
    const error = (name: string) => Number(row(out, name)[1]);
    expect(error("fine-tuned")).toBeLessThan(error("PCA, 10 components"));
    expect(error("fine-tuned")).toBeLessThan(error("from random weights") - 5);
  },
  "16-forecast": (out) => {
    expect(out).toContain("the series is generated");
    const error = (name: string) => Number(row(out, name)[1]);
    for (const name of ["linear model", "GRU", "linear + GRU"]) {
      expect(error(name)).toBeLessThan(error("last value"));
      // The further ahead, the harder.
      expect(Number(row(out, name)[5])).toBeGreaterThan(Number(row(out, name)[3]));
    }
  },
  "17-sequence-classification": (out) => {
    // The mean of the generated frames says nothing of the speaker, their order does.
    expect(share(row(out, "logistic regression, mean frame")[1])).toBeLessThan(30);
    expect(share(row(out, "bidirectional, 12105 weights")[1])).toBeGreaterThan(85);
    expect(share(row(out, "logistic regression, counts")[1])).toBeGreaterThan(85);
    expect(share(row(out, "bidirectional, 4491 weights")[1])).toBeGreaterThan(85);
  },
  "19-long-memory": (out) => {
    const [adding, recall] = out.split("recall, ");
    expect(Number(row(adding!, "simpleRNN")[1])).toBeGreaterThan(0.1);
    expect(Number(row(adding!, "gru")[1])).toBeLessThan(0.1);
    expect(Number(row(recall!, "lstm, chrono")[1])).toBeGreaterThan(0.9);
    // A new GRU passes on half of its state; one that has learnt to add looks at all steps alike.
    expect(Number(row(adding!, "gru")[2])).toBeLessThan(0.01);
    expect(Number(row(adding!, "gru")[3])).toBeGreaterThan(0.1);
  },
  "22-resnet-cifar": (out) => {
    // Three short epochs of generated digits.
    expect(share(/Test accuracy: ([\d.]+ %)/.exec(out)?.[1])).toBeGreaterThan(60);
  },
  "18-text-generation": (out) => {
    // Characters at random are at ln 53 = 3.97, those by their frequencies at 3.1.
    const last = /epoch 12: ([\d.]+) in training, ([\d.]+) in validation/.exec(out)!.map(Number);
    expect(last[1]).toBeLessThan(2.4);
    expect(last[2]).toBeLessThan(3);
    // Three texts of 80 characters after the prompt.
    const texts = [...out.matchAll(/likeliest ──|temperature [\d.]+ ──/g)];
    expect(texts).toHaveLength(3);
    for (const [, text] of out.matchAll(/── temperature.* ──\n([^─]*)\n── .* ms per character/g)) {
      expect(text).toHaveLength("Shall I ".length + 80);
    }
  },
  "20-tiny-transformer": (out) => {
    for (const name of ["transformer", "LSTM"]) {
      const [, , , training, validation] = row(out, name).map(Number);
      expect(training).toBeLessThan(2.9);
      expect(validation).toBeLessThan(3.1);
    }
  },
  "21-word-language-model": (out) => {
    const perplexities = [...out.matchAll(/epoch \d+: ([\d.]+) in training/g)].map(([, p]) =>
      Number(p),
    );
    expect(perplexities).toHaveLength(15);
    expect(perplexities.at(-1)).toBeLessThan(0.5 * perplexities[0]!);
    // All words alike would be at the size of the vocabulary.
    const vocabulary = Number(/a vocabulary of (\d+)/.exec(out)![1]);
    for (const cell of row(out, "small").slice(3)) {
      expect(Number(cell)).toBeGreaterThan(1);
      expect(Number(cell)).toBeLessThan(vocabulary / 2);
    }
  },
};

const names = readdirSync(join(root, "examples"))
  .filter((file) => /^\d\d-/.test(file))
  .map((file) => file.replace(/\.ts$/, ""))
  .sort();

const noCorpus = missing("warpeace");
if (noCorpus) console.info(`example 21 is not tested on a corpus: ${noCorpus}`);

describe("the examples", () => {
  let out: string;
  beforeAll(() => {
    out = mkdtempSync(join(tmpdir(), "layerwise-gallery-"));
  });
  afterAll(() => rmSync(out, { recursive: true }));

  it("are all checked here, and all have a page", () => {
    expect(Object.keys(checks).sort()).toEqual(names);
    expect(allPages.map(({ name }) => name).sort()).toEqual(names);
  });

  it.each(Object.entries(checks))("%s", (name, check) => {
    const { status, stderr } = run("gallery", name, "--quick", "--out", out);
    expect(status, stderr).toBe(0);
    const page = readFileSync(join(out, `${name}.md`), "utf8");
    check(printed(page));
    const figures = figuresOf(page);
    expect(figures).not.toEqual([]);
    for (const figure of figures) checkFigure(join(out, figure));
    checkFolds(page);
  });

  it.skipIf(noCorpus)(`21 learns a corpus of files${noCorpus ? ` (${noCorpus})` : ""}`, () => {
    const corpus = ["--data", join(testData, "warpeace"), "--size", "small", "--vocabulary", "200"];
    const { status, stdout, stderr } = run(
      "example",
      ...["21-word-language-model", ...corpus, "--epochs", "1", "--steps", "3", "--out", out],
    );
    expect(status, stderr).toBe(0);
    // The sonnets are a few hundred words, with a vocabulary of their own size.
    expect(stdout).toMatch(
      /^\d{5,} words to learn from, .* a vocabulary of 200, .*; 3 steps per epoch$/m,
    );
    const [, , epochs, training, validation, test] = row(stdout, "small").map(Number);
    expect(epochs).toBe(1);
    for (const perplexity of [training, validation, test]) {
      expect(perplexity).toBeGreaterThan(1);
      // All words alike would be at 200.
      expect(perplexity).toBeLessThan(200);
    }
  });

  it("make an index", () => {
    expect(run("gallery", "--index", "--out", out)).toMatchObject({ status: 0 });
    const index = readFileSync(join(out, "README.md"), "utf8");
    for (const { name, title } of allPages) {
      expect(index).toContain(`<a href="${name}.md"><img src="${name}`);
      expect(index).toContain(title);
    }
  });

  it("are listed, found by word, and asked for when none or several match", () => {
    const { status, stdout } = run("example");
    expect(status).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^${name} {2,}[A-Z]`, "m"));
    const unknown = run("example", "no-such");
    expect(unknown).toMatchObject({ status: 2, stdout: "" });
    expect(unknown.stderr).toMatch(
      /^There is no example "no-such"; the examples are 01-perceptron, /,
    );
    expect(run("example", "mlp").stderr).toContain(
      "fits several examples: 02-xor-mlp, 08-mnist-mlp;",
    );
  });

  it("take the options that they list, and end at others before they begin", () => {
    for (const name of names) {
      expect(readFileSync(join(root, "examples", `${name}.ts`), "utf8")).toMatch(/^takes\(\{/m);
    }
    const ended = (...argv: string[]) => {
      const { status, stdout, stderr } = run("example", ...argv);
      expect({ argv, status, stdout }).toEqual({ argv, status: 2, stdout: "" });
      const [message, ...list] = stderr.trimEnd().split("\n");
      expect(list[0]).toBe(`${names.find((name) => name.includes(argv[0]!))} takes these options:`);
      return { message, list: list.slice(1).map((line) => line.trim()) };
    };
    expect(ended("xor", "--epochs", "3")).toEqual({
      message: "there is no option --epochs",
      list: ["--quick", "--out NEW DIR"],
    });
    const { message, list } = ended("13", "--quick", "--epoch", "3");
    expect(message).toBe("there is no option --epoch");
    expect(list).toContain("--epochs N");
    expect(list).toContain("--only cd-1|cd-10|cd-25|pcd");
    for (const [argv, wanted] of [
      [["13", "--only", "foo"], "--only takes one of cd-1, cd-10, cd-25, pcd, got foo"],
      [["13", "--epochs", "3x"], "--epochs takes a whole number from 1 on, got 3x"],
      [["13", "--epochs"], "--epochs takes a whole number from 1 on, got nothing"],
      [
        ["13", "--data", "no/such"],
        "--data takes a directory that is there, or download, got no/such",
      ],
      [["12", "--widths", "8"], "--widths takes three whole numbers such as 32,64,128, got 8"],
      [["18", "--temperature", "warm"], "--temperature takes a number from 0 on, got warm"],
      [
        ["22", "--weights", "no/such"],
        "--weights takes a .safetensors file in a folder that is there, got no/such",
      ],
    ] as const) {
      expect(ended(...argv).message).toBe(wanted);
    }
    const { status, stdout } = run("example", "16", "--help");
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout:
        "16-forecast takes these options:\n  --quick\n  --out NEW DIR\n  --data DIR\n  --window N\n  --epochs N\n",
    });
  });

  it("draw to examples/out when they are run by themselves", () => {
    const figure = join(root, "examples/out/01-perceptron.svg");
    rmSync(figure, { force: true });
    const { status, stdout } = run("example", "perceptron", "--quick");
    expect(status).toBe(0);
    checks["01-perceptron"]!(stdout);
    expect(stdout).toContain("Figure: ");
    checkFigure(figure);
  });
});

describe("docs/gallery", () => {
  const gallery = join(root, "docs/gallery");

  it.each(allPages)("$name is the page of its example", ({ name, title, args = [] }) => {
    const page = readFileSync(join(gallery, `${name}.md`), "utf8");
    // Made anew with `npm run gallery` after a change of the example's header.
    expect(page.startsWith(`# ${title}\n\n${prose(name)}\n\n`)).toBe(true);
    const command = ["npm run example --", name, ...args].join(" ");
    // Made with files in a directory, it is of the same data.
    const made = /made by `(.*?)`/.exec(page)?.[1]?.replace("--data DIR", "--data download");
    expect(made).toBe(command);
    const figures = figuresOf(page);
    expect(figures).not.toEqual([]);
    for (const figure of figures) checkFigure(join(gallery, figure));
    checkFolds(page);
  });

  it("holds nothing else, and stays small", () => {
    const figures = allPages.flatMap(({ name }) =>
      figuresOf(readFileSync(join(gallery, `${name}.md`), "utf8")),
    );
    const pages = allPages.map(({ name }) => `${name}.md`);
    const files = readdirSync(gallery);
    expect(files.sort()).toEqual(["README.md", ...pages, ...figures].sort());
    // A clone carries them.
    const bytes = files.reduce((sum, file) => sum + statSync(join(gallery, file)).size, 0);
    expect(bytes).toBeLessThan(4e6);
  });
});

describe("the choice of the next token", () => {
  const scores = [0, 3, 1, 2];
  const counts = (temperature: number, topK?: number) => {
    const random = randomNumbers(1);
    const drawn = new Array<number>(4).fill(0);
    for (let i = 0; i < 20_000; i++) {
      drawn[sample(scores, { temperature, ...(topK && { topK }) }, random)]! += 1 / 20_000;
    }
    return drawn;
  };
  const softmax = (kept: readonly number[], temperature: number) => {
    const weights = scores.map((score, i) =>
      kept.includes(i) ? Math.exp(score / temperature) : 0,
    );
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum);
  };

  it("follows softmax(scores / temperature), among the likeliest k", () => {
    for (const [temperature, k, kept] of [
      [1, undefined, [0, 1, 2, 3]],
      [0.5, undefined, [0, 1, 2, 3]],
      [2, 2, [1, 3]],
      [1, 1, [1]],
    ] as const) {
      // Five standard deviations of a share of 20 000 draws.
      counts(temperature, k).forEach((share, i) => {
        const wanted = softmax(kept, temperature)[i]!;
        expect(Math.abs(share - wanted)).toBeLessThan(5 * Math.sqrt(wanted / 20_000) + 1e-9);
      });
    }
    expect(counts(0)[1]).toBeCloseTo(1);
  });
});
