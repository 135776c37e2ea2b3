/** MNIST and the sets in its format: from a local directory, or downloaded once into a cache. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError, checkKeys, FormatError, show } from "../errors.js";
import { readIdx } from "../formats/idx.js";
import { showShape } from "../tensor/shape.js";
import { tensor } from "../tensor/tensor.js";
import { cacheDirectory, type DownloadOptions, download } from "./download.js";
import { type ImageDataset, imageTensors, type LabelledImages } from "./images.js";

/** Options of {@link mnist} and {@link fashionMnist}. */
export interface MnistOptions extends Pick<DownloadOptions, "signal" | "onProgress"> {
  /**
   * A directory that holds the four IDX files under their usual names, gzipped or not. Nothing is
   * downloaded then, and no checksum is asked for, so any set in this format will do.
   */
  readonly dir?: string | undefined;
  /** Where downloads are kept; by default see `LAYERWISE_CACHE` in the documentation. */
  readonly cacheDir?: string | undefined;
  /** True (the default): x is float32 in [0, 1]. False: x is uint8, 0 … 255, as stored. */
  readonly normalize?: boolean | undefined;
}

interface RemoteFile {
  readonly bytes: number;
  readonly sha256: string;
}

interface Source {
  readonly name: string;
  /** Public copies of the original files; each ends in a slash. */
  readonly mirrors: readonly string[];
  readonly files: Readonly<Record<FileName, RemoteFile>>;
  readonly classNames: readonly string[];
}

const fileNames = [
  "train-images-idx3-ubyte",
  "train-labels-idx1-ubyte",
  "t10k-images-idx3-ubyte",
  "t10k-labels-idx1-ubyte",
] as const;

type FileName = (typeof fileNames)[number];

// Sizes and checksums are those of the original gzip files.
const mnistSource: Source = {
  name: "mnist",
  mirrors: [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
  ],
  files: {
    "train-images-idx3-ubyte": {
      bytes: 9912422,
      sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    },
    "train-labels-idx1-ubyte": {
      bytes: 28881,
      sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    },
    "t10k-images-idx3-ubyte": {
      bytes: 1648877,
      sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    },
    "t10k-labels-idx1-ubyte": {
      bytes: 4542,
      sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
  },
  classNames: Array.from({ length: 10 }, (_, digit) => String(digit)),
};

const fashionSource: Source = {
  name: "fashion-mnist",
  mirrors: [
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
  ],
  files: {
    "train-images-idx3-ubyte": {
      bytes: 26421880,
      sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    },
    "train-labels-idx1-ubyte": {
      bytes: 29515,
      sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    },
    "t10k-images-idx3-ubyte": {
      bytes: 4422102,
      sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    },
    "t10k-labels-idx1-ubyte": {
      bytes: 5148,
      sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
  },
  classNames: [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
  ],
};

/**
 * The MNIST handwritten digits (LeCun, Cortes, Burges): 60 000 training and 10 000 test pictures,
 * x `[n, 28, 28, 1]`, y int32 `[n]`. Read from `dir`, else downloaded once (11.6 MB), checked
 * against a pinned SHA-256 and cached.
 *
 * @throws ArgumentError when `dir` lacks a file; FormatError when one is damaged; DownloadError
 * when no mirror can be reached.
 * @example
 * const { train, test } = await lw.datasets.mnist();
 * train.x.shape; // [60000, 28, 28, 1]
 */
export function mnist(options: MnistOptions = {}): Promise<ImageDataset> {
  return load("mnist", mnistSource, options);
}

/**
 * Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT licence): ten kinds of clothing in the shapes and
 * with the options of {@link mnist}; a download of 30.9 MB.
 */
export function fashionMnist(options: MnistOptions = {}): Promise<ImageDataset> {
  return load("fashionMnist", fashionSource, options);
}

async function load(where: string, source: Source, options: MnistOptions): Promise<ImageDataset> {
  checkKeys(where, options, ["dir", "cacheDir", "normalize", "signal", "onProgress"]);
  const { dir, normalize = true } = options;
  const paths: string[] = [];
  for (const name of fileNames) {
    paths.push(
      dir === undefined ? await cached(source, name, options) : await find(where, dir, name),
    );
  }
  const classes = source.classNames.length;
  return {
    train: await readPair(paths[0]!, paths[1]!, classes, normalize),
    test: await readPair(paths[2]!, paths[3]!, classes, normalize),
    classNames: source.classNames,
  };
}

async function cached(source: Source, name: FileName, options: MnistOptions): Promise<string> {
  const file = `${name}.gz`;
  const path = join(options.cacheDir ?? cacheDirectory(), source.name, file);
  const request = {
    name: file,
    urls: source.mirrors.map((mirror) => mirror + file),
    ...source.files[name],
    hint: "Where there is no network, put the files into a directory and pass it as `dir`.",
  };
  await download(path, request, { signal: options.signal, onProgress: options.onProgress });
  return path;
}

async function find(where: string, dir: string, name: FileName): Promise<string> {
  // Some copies are named with a dot before "idx".
  const dotted = name.replace("-idx", ".idx");
  const choices = [name, `${name}.gz`, dotted, `${dotted}.gz`];
  for (const choice of choices) {
    const path = join(dir, choice);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new ArgumentError(`${where}: no ${choices.join(", ")} in ${show(dir)}`);
}

async function readPair(
  imagePath: string,
  labelPath: string,
  classes: number,
  normalize: boolean,
): Promise<LabelledImages> {
  const images = await readIdx(imagePath);
  if (images.type !== "uint8" || images.shape.length !== 3) {
    throw new FormatError(
      `${show(imagePath)}: expected uint8 [n, height, width], got ${images.type} ` +
        showShape(images.shape),
    );
  }
  const [count, height, width] = images.shape as [number, number, number];
  const labels = await readIdx(labelPath);
  if (labels.type !== "uint8" || labels.shape.length !== 1 || labels.shape[0] !== count) {
    throw new FormatError(
      `${show(labelPath)}: expected uint8 [${count}], a label for each picture, got ` +
        `${labels.type} ${showShape(labels.shape)}`,
    );
  }
  const wrong = labels.data.findIndex((label) => label >= classes);
  if (wrong !== -1) {
    throw new FormatError(
      `${show(labelPath)}: label ${wrong} is ${labels.data[wrong]}; there are ${classes} classes`,
    );
  }
  return {
    x: imageTensors(images.data, [count, height, width, 1], normalize),
    y: tensor(Int32Array.from(labels.data)),
  };
}
