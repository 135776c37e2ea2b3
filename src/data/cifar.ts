/**
 * CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version: from a local directory, or downloaded
 * once as the archive of their site and cached.
 */
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { ArgumentError, checkChoice, checkKeys, FormatError, show } from "../errors.js";
import { tensor } from "../tensor/tensor.js";
import {
  cacheDirectory,
  type DownloadOptions,
  type DownloadRequest,
  download,
} from "./download.js";
import { type ImageDataset, imageTensors, type LabelledImages } from "./images.js";
import { readTar } from "./tar.js";
import { readXz } from "./xz.js";

/** Options of {@link cifar10}. */
export interface CifarOptions extends Pick<DownloadOptions, "signal" | "onProgress"> {
  /**
   * A directory that holds the binary files under their usual names, plain, gzipped, or as .xz where
   * there is an `xz` command. Nothing is downloaded then, and no checksum is asked for.
   */
  readonly dir?: string | undefined;
  /** Where downloads are kept; by default see `LAYERWISE_CACHE` in the documentation. */
  readonly cacheDir?: string | undefined;
  /** True (the default): x is float32 in [0, 1]. False: x is uint8, 0 … 255, as stored. */
  readonly normalize?: boolean | undefined;
}

/** Options of {@link cifar100}. */
export interface Cifar100Options extends CifarOptions {
  /** `fine`: 100 classes (the default); `coarse`: the 20 groups they are in. */
  readonly labelMode?: "fine" | "coarse" | undefined;
}

const cifarOptions = ["dir", "cacheDir", "normalize", "signal", "onProgress"];

const side = 32;
const pixels = side * side;
const picture = 3 * pixels;

/** One of the two sets: how its files are called and laid out, and where its archive is. */
export interface CifarSource {
  readonly name: string;
  readonly train: readonly string[];
  readonly test: readonly string[];
  /** Label bytes before each picture, and which of them counts. */
  readonly labels: number;
  readonly label: number;
  readonly classNames: readonly string[];
  readonly archive: DownloadRequest;
}

const hint = "Where there is no network, put the .bin files into a directory and pass it as `dir`.";

/** @internal */
export const cifar10Source: CifarSource = {
  name: "cifar10",
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`),
  test: ["test_batch"],
  labels: 1,
  label: 0,
  classNames: "airplane automobile bird cat deer dog frog horse ship truck".split(" "),
  // Size and checksum are those of the archive on the authors' site.
  archive: {
    name: "cifar-10-binary.tar.gz",
    urls: ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
    sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    bytes: 170052171,
    hint,
  },
};

const cifar100Source: CifarSource = {
  name: "cifar100",
  train: ["train"],
  test: ["test"],
  labels: 2,
  label: 1,
  classNames: (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel " +
    "can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur " +
    "dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion " +
    "lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree " +
    "pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea " +
    "seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table " +
    "tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
  ).split(" "),
  archive: {
    name: "cifar-100-binary.tar.gz",
    urls: ["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
    sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    bytes: 168513733,
    hint,
  },
};

const coarseNames = (
  "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices " +
  "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes " +
  "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees " +
  "vehicles_1 vehicles_2"
).split(" ");

/**
 * CIFAR-10: 50 000 training and 10 000 test pictures of ten classes, x `[n, 32, 32, 3]`, y int32 `[n]`.
 * Read from `dir`, else downloaded once (170 MB), checked against a pinned SHA-256 and cached. With
 * `normalize: false` the bytes take 184 MB, as float32 four times that.
 *
 * @throws ArgumentError when `dir` lacks a file; FormatError when one is damaged; DownloadError when the
 * site can't be reached.
 * @example
 * const { train, test, classNames } = await lw.datasets.cifar10({ dir: "cifar-10-batches-bin" });
 */
export async function cifar10(options: CifarOptions = {}): Promise<ImageDataset> {
  checkKeys("cifar10", options, cifarOptions);
  return loadCifar("cifar10", cifar10Source, options);
}

/**
 * CIFAR-100: as {@link cifar10}, with 100 classes in 20 groups; a download of 169 MB.
 */
export async function cifar100(options: Cifar100Options = {}): Promise<ImageDataset> {
  checkKeys("cifar100", options, [...cifarOptions, "labelMode"]);
  const { labelMode = "fine" } = options;
  checkChoice("cifar100", "labelMode", labelMode, ["fine", "coarse"]);
  const coarse = { label: 0, classNames: coarseNames };
  const source = labelMode === "fine" ? cifar100Source : { ...cifar100Source, ...coarse };
  return loadCifar("cifar100", source, options);
}

/** @internal Loads one of the two; the options are checked. */
export async function loadCifar(
  where: string,
  source: CifarSource,
  options: CifarOptions,
): Promise<ImageDataset> {
  const { dir, normalize = true } = options;
  const read =
    dir === undefined
      ? await archived(source, options)
      : (name: string): Promise<NamedBytes> => fromDirectory(where, dir, name, source);
  const part = async (names: readonly string[]): Promise<LabelledImages> => {
    const files: NamedBytes[] = [];
    for (const name of names) files.push(await read(name));
    return decode(source, files, normalize);
  };
  return {
    train: await part(source.train),
    test: await part(source.test),
    classNames: source.classNames,
  };
}

interface NamedBytes {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The files of the archive, downloaded if need be. */
async function archived(
  source: CifarSource,
  options: CifarOptions,
): Promise<(name: string) => Promise<NamedBytes>> {
  const { archive } = source;
  const path = join(options.cacheDir ?? cacheDirectory(), source.name, archive.name);
  await download(path, archive, { signal: options.signal, onProgress: options.onProgress });
  const where = `archive ${show(path)}`;
  const tar = await unzip(where, await readFile(path));
  const files = readTar(tar, where, (name) => name.endsWith(".bin"));
  return async (name) => {
    const found = [...files].find(([entry]) => entry.endsWith(`/${name}.bin`));
    if (!found) throw new FormatError(`${where}: there is no ${name}.bin in it`);
    return { path: `${path}: ${found[0]}`, bytes: found[1] };
  };
}

async function fromDirectory(
  where: string,
  dir: string,
  name: string,
  { labels }: CifarSource,
): Promise<NamedBytes> {
  const choices = [`${name}.bin`, `${name}.bin.gz`, `${name}.bin.xz`];
  for (const choice of choices) {
    const path = join(dir, choice);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) continue;
    // The largest file is that of CIFAR-100's training pictures.
    const limit = 50_000 * (labels + picture);
    if (choice.endsWith(".xz")) return { path, bytes: await readXz(path, limit) };
    return { path, bytes: await unzip(`file ${show(path)}`, await readFile(path)) };
  }
  throw new ArgumentError(`${where}: no ${choices.join(", ")} in ${show(dir)}`);
}

async function unzip(where: string, bytes: Buffer): Promise<Buffer> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: 2 ** 29 });
  } catch (error) {
    throw new FormatError(`${where}: its gzip stream is damaged or truncated`, { cause: error });
  }
}

/** Records of labels and three planes of colour, as pictures with the colours of a pixel together. */
function decode(
  { labels, label, classNames }: CifarSource,
  files: readonly NamedBytes[],
  normalize: boolean,
): LabelledImages {
  const record = labels + picture;
  for (const { path, bytes } of files) {
    if (bytes.byteLength > 0 && bytes.byteLength % record === 0) continue;
    throw new FormatError(
      `${show(path)}: expected records of ${record} bytes (${labels} of labels, then 3 planes of 32×32), ` +
        `got ${bytes.byteLength} bytes`,
    );
  }
  const count = files.reduce((sum, { bytes }) => sum + bytes.byteLength / record, 0);
  const x = new Uint8Array(count * picture);
  const y = new Int32Array(count);
  let i = 0;
  for (const { path, bytes } of files) {
    for (let at = 0; at < bytes.byteLength; at += record, i++) {
      y[i] = bytes[at + label]!;
      if (y[i]! >= classNames.length) {
        throw new FormatError(
          `${show(path)}: the label of record ${at / record} is ${y[i]}; there are ${classNames.length} classes`,
        );
      }
      const from = at + labels;
      for (let p = 0, to = i * picture; p < pixels; p++, to += 3) {
        x[to] = bytes[from + p]!;
        x[to + 1] = bytes[from + pixels + p]!;
        x[to + 2] = bytes[from + 2 * pixels + p]!;
      }
    }
  }
  return { x: imageTensors(x, [count, side, side, 3], normalize), y: tensor(y) };
}
