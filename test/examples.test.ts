/** Every example runs at its small size, draws its figure, and shows what its header says. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { randomNumbers, sample } from "../examples/sampling.js";
import { elementsOf } from "./plot/markup.js";

const root = new URL("../", import.meta.url);
const runner = fileURLToPath(new URL("scripts/example.ts", root));

function run(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "tsx", runner, ...argv],
    {
      cwd: fileURLToPath(root),
      encoding: "utf8",
    },
  );
  return { status, stdout, stderr };
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
    for (const name of ["cd-1", "cd-10", "pcd"]) {
      const [, , gap, pseudo, likelihood, error] = row(out, name).map(Number);
      expect(gap).toBeLessThan(15);
      // Independent pixels of these digits are at −215.
      expect(likelihood).toBeGreaterThan(-195);
      expect(pseudo).toBeGreaterThan(likelihood!);
      expect(error).toBeLessThan(1);
    }
  },
  "14-dbn-mnist": (out) => {
    expect(share(row(out, "all, pre-trained")[2])).toBeLessThan(30);
    expect(share(row(out, "100, pre-trained")[2])).toBeLessThan(share(row(out, "100, random")[2]));
  },
  "15-deep-autoencoder": (out) => {
    const error = (name: string) => Number(row(out, name)[1]);
    expect(error("fine-tuned")).toBeLessThan(error("PCA, 10 components"));
    expect(error("fine-tuned")).toBeLessThan(error("from random weights") - 5);
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

const names = readdirSync(new URL("examples/", root))
  .filter((file) => /^\d\d-/.test(file))
  .map((file) => file.replace(/\.ts$/, ""));

describe("the examples", () => {
  it("are all checked here", () => {
    expect(Object.keys(checks)).toEqual(names.sort());
  });

  it.each(Object.entries(checks))("%s", (name, check) => {
    const figure = new URL(`examples/out/${name}.svg`, root);
    rmSync(figure, { force: true });
    const { status, stdout, stderr } = run(name, "--quick");
    expect(status, stderr).toBe(0);
    check(stdout);
    const svg = readFileSync(figure, "utf8");
    const elements = elementsOf(svg.replace(/<style>.*?<\/style>/gs, ""));
    expect(elements.filter((name) => name === "path" || name === "image")).not.toEqual([]);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("are listed, found by word, and asked for when none or several match", () => {
    const { status, stdout } = run();
    expect(status).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^${name} {2,}[A-Z]`, "m"));
    const unknown = run("no-such");
    expect(unknown).toMatchObject({ status: 2, stdout: "" });
    expect(unknown.stderr).toMatch(
      /^There is no example "no-such"; the examples are 01-perceptron, /,
    );
    expect(run("mlp").stderr).toContain("fits several examples: 02-xor-mlp, 08-mnist-mlp;");
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
