/**
 * The examples in the order of reading, and how the gallery (docs/gallery) runs each. What a page says
 * stands in the header of its example; what it shows is what the example prints and draws.
 */
import { readFileSync } from "node:fs";

/** One example and its page. */
export interface Page {
  /** Name of the file, without `.ts`. */
  readonly name: string;
  readonly title: string;
  /** Arguments of the run that the page shows, a matter of minutes up to half an hour; none with `--quick`. */
  readonly args?: readonly string[];
}

/** MNIST, Fashion-MNIST, CIFAR-10 or Shakespeare, which are downloaded once. */
const real = ["--data", "download"] as const;

/** Headings of the index, and the pages below each. */
export const pages: Readonly<Record<string, readonly Page[]>> = {
  "First steps": [
    { name: "01-perceptron", title: "The perceptron and the logic gates" },
    { name: "02-xor-mlp", title: "XOR with a hidden layer" },
    { name: "03-activations", title: "Activation functions" },
    { name: "23-losses", title: "Loss functions" },
    { name: "24-backpropagation", title: "Forward and back-propagation by hand" },
    { name: "09-custom-layer-and-loop", title: "A layer and a training loop of one's own" },
  ],
  Learning: [
    { name: "04-gradient-descent", title: "Batch, mini-batch and stochastic gradient descent" },
    { name: "05-optimizers", title: "Optimizers" },
    { name: "06-vanishing-gradients", title: "Vanishing gradients" },
    { name: "07-overfitting", title: "Overfitting and dropout" },
    { name: "08-mnist-mlp", title: "A deep network reads MNIST", args: real },
  ],
  Pictures: [
    { name: "11-lenet-mnist", title: "LeNet-5, its feature maps and Grad-CAM", args: real },
    { name: "25-lenet-to-resnet", title: "From LeNet to ResNet", args: real },
    { name: "12-resnet-fashion", title: "A residual network with augmentation", args: real },
    {
      name: "22-resnet-cifar",
      title: "A compact residual network for colour pictures",
      args: real,
    },
  ],
  Sequences: [
    { name: "16-forecast", title: "Forecasts of a time series" },
    { name: "17-sequence-classification", title: "Sequences of different lengths" },
    { name: "19-long-memory", title: "Long memory: plain and gated recurrent networks" },
    {
      name: "18-text-generation",
      title: "A network writes, character by character",
      args: [...real, "--units", "320", "--epochs", "12"],
    },
    { name: "20-tiny-transformer", title: "A tiny transformer beside an LSTM" },
    { name: "21-word-language-model", title: "Language models of words" },
  ],
  "Learning without labels": [
    {
      name: "13-rbm-mnist",
      title: "Restricted Boltzmann machines: filters and samples",
      args: real,
    },
    { name: "14-dbn-mnist", title: "Deep belief networks against random weights", args: real },
    { name: "15-deep-autoencoder", title: "A deep autoencoder and its codes", args: real },
  ],
  Services: [{ name: "10-http-service", title: "A model behind an HTTP server" }],
};

export const allPages: readonly Page[] = Object.values(pages).flat();

/** What an example says of itself: the header of its file, as Markdown. */
export function prose(name: string): string {
  const text = readFileSync(new URL(`${name}.ts`, import.meta.url), "utf8");
  const header = /^\/\*\*\n(.*?)\n \*\//s.exec(text)?.[1] ?? "";
  return header.replaceAll(/^ \* ?/gm, "");
}

/** The first sentence of it, without its full stop. */
export function about(name: string): string {
  const text = prose(name).replaceAll("\n", " ");
  return /^.*?(?<!\b(?:al|vs|e\.g|i\.e))\.(?= +[A-Z`]| *$)/.exec(text)?.[0].slice(0, -1) ?? text;
}

/** The one page whose name contains a number or word; ends the process with a message otherwise. */
export function findPage(word: string): Page {
  const found = allPages.filter(({ name }) => name.includes(word.toLowerCase()));
  if (found.length === 1) return found[0]!;
  const names = (list: readonly Page[]) => list.map(({ name }) => name).join(", ");
  console.error(
    found.length === 0
      ? `There is no example "${word}"; the examples are ${names(allPages)}`
      : `"${word}" fits several examples: ${names(found)}; say which`,
  );
  process.exit(2);
}
