/**
 * Pictures in folders, one folder per class. PNG files are decoded here; other formats, and resizing with
 * better filters, through the optional package `sharp`.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  FormatError,
  StateError,
  show,
} from "../errors.js";
import { wrongPath } from "../formats/missing.js";
import { type DecodedPng, decodePng, isPng } from "../formats/png.js";
import { drawSeed } from "../tensor/random.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import { Dataset, indexedDescription } from "./dataset.js";
import { imageTensors } from "./images.js";
import { epochOrder } from "./order.js";
import type { Indexed } from "./source.js";

/** Options of {@link imageFolder}. */
export interface ImageFolderOptions {
  /** `[height, width]` that pictures are resized to. */
  readonly imageSize: readonly [height: number, width: number];
  /** `rgb` by default. Transparency is dropped, unless it is `rgba`. */
  readonly colorMode?: "grayscale" | "rgb" | "rgba" | undefined;
  /** How a picture of another size is brought to `imageSize`: `bilinear` (the default) or `nearest`. */
  readonly interpolation?: "bilinear" | "nearest" | undefined;
  /** The folders to use, in the order of their labels; all in the order of their names by default. */
  readonly classNames?: readonly string[] | undefined;
  /**
   * `int` (the default): an int32 number; `categorical`: one-hot float32; `binary`: float32 0 or 1.
   */
  readonly labelMode?: "int" | "categorical" | "binary" | undefined;
  /** Share of the pictures that are held back, the same ones for the same seed. */
  readonly validationSplit?: number | undefined;
  /** Whether each pass over the training pictures has an order of its own; true by default. */
  readonly shuffle?: boolean | undefined;
  /** Seed of the split and the order; drawn if left out. */
  readonly seed?: number | undefined;
  /** True (the default): float32 in [0, 1]. False: uint8, 0 … 255. */
  readonly normalize?: boolean | undefined;
  /** Whether PNG files are decoded by `sharp` too: `auto` (the default) does so where it is installed. */
  readonly decoder?: "auto" | "sharp" | "builtin" | undefined;
}

/** A picture `[height, width, channels]` and its label. */
export type LabelledPicture = [image: Tensor, label: Tensor];

/** What {@link imageFolder} found. */
export interface ImageFolder<V = Dataset<LabelledPicture> | null> {
  readonly train: Dataset<LabelledPicture>;
  /** The pictures of `validationSplit`, in order; null without one. */
  readonly validation: V;
  /** What class `i` is called. */
  readonly classNames: readonly string[];
  /** Paths of all pictures, by class and name. */
  readonly files: readonly string[];
}

const extensions = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;
const channelsOf = { grayscale: 1, rgb: 3, rgba: 4 } as const;

interface Picture {
  readonly path: string;
  readonly label: number;
}

interface Form {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3 | 4;
  readonly nearest: boolean;
  readonly normalize: boolean;
  readonly decoder: "auto" | "sharp" | "builtin";
}

/**
 * The pictures below `dir/<class>/`, decoded when their turn comes. Elements are single pictures: batch
 * them, and let several be decoded ahead with `prefetch`.
 *
 * PNG needs nothing else; for JPEG, WebP and others install `sharp`.
 *
 * @throws ArgumentError when there are no pictures; in a pass, FormatError naming the file.
 * @example
 * const { train, validation, classNames } = await lw.data.imageFolder("flowers", {
 *   imageSize: [64, 64], validationSplit: 0.2, seed: 1,
 * });
 * await model.fit(train.batch(32), { validationData: validation.batch(32) });
 */
export function imageFolder(
  dir: string,
  options: ImageFolderOptions & { readonly validationSplit: number },
): Promise<ImageFolder<Dataset<LabelledPicture>>>;
export function imageFolder(dir: string, options: ImageFolderOptions): Promise<ImageFolder>;
export async function imageFolder(
  dir: string,
  options: ImageFolderOptions,
): Promise<ImageFolder<never>> {
  const where = `imageFolder of ${show(dir)}`;
  const form = checkOptions(where, options);
  const { labelMode = "int", validationSplit = 0, shuffle = true } = options;
  const seed = options.seed ?? drawSeed();
  const classNames = options.classNames ?? (await classesIn(where, dir));
  if (labelMode === "binary" && classNames.length !== 2) {
    throw new ArgumentError(
      expected(where, "two classes for binary labels", `${classNames.length}`),
    );
  }
  const pictures: Picture[] = [];
  for (const [label, name] of classNames.entries()) {
    for (const path of await picturesIn(where, join(dir, name))) pictures.push({ path, label });
  }
  if (pictures.length === 0) {
    throw new ArgumentError(
      `${where}: there are no pictures (png, jpg, webp, gif, tif, avif) in its folders`,
    );
  }
  const mixed = Array.from(epochOrder(pictures.length, seed | 0), (i) => pictures[i]!);
  const held = Math.round(validationSplit * pictures.length);
  if (validationSplit > 0 && (held === 0 || held === pictures.length)) {
    throw new ArgumentError(
      `${where}: validationSplit ${validationSplit} of ${pictures.length} pictures leaves none to ${held === 0 ? "validate" : "train"} on`,
    );
  }
  const labels = labelTensors(classNames.length, labelMode);
  const dataset = (list: readonly Picture[]): Dataset<LabelledPicture> => {
    const source: Indexed<LabelledPicture> = {
      size: list.length,
      async get(index) {
        const { path, label } = list[index]!;
        return [await readPicture(path, form), labels[label]!];
      },
    };
    return new Dataset(indexedDescription(where, source, list.length, () => null));
  };
  const train = dataset(mixed.slice(held));
  return {
    train: shuffle ? train.shuffle(Infinity, { seed }) : train,
    validation: (held > 0 ? dataset(mixed.slice(0, held)) : null) as never,
    classNames,
    files: pictures.map(({ path }) => relative(dir, path)),
  };
}

function checkOptions(where: string, options: ImageFolderOptions): Form {
  if (typeof options !== "object" || options === null) {
    throw new ArgumentError(expected(where, "options with `imageSize`", show(options)));
  }
  checkKeys(where, options, [
    "imageSize",
    "colorMode",
    "interpolation",
    "classNames",
    "labelMode",
    "validationSplit",
    "shuffle",
    "seed",
    "normalize",
    "decoder",
  ]);
  const { imageSize, colorMode = "rgb", interpolation = "bilinear", decoder = "auto" } = options;
  checkChoice(where, "colorMode", colorMode, ["grayscale", "rgb", "rgba"]);
  checkChoice(where, "interpolation", interpolation, ["bilinear", "nearest"]);
  checkChoice(where, "labelMode", options.labelMode ?? "int", ["int", "categorical", "binary"]);
  checkChoice(where, "decoder", decoder, ["auto", "sharp", "builtin"]);
  checkNumber(where, "validationSplit", options.validationSplit ?? 0, 0, 1);
  if (options.seed !== undefined) {
    checkInteger(where, "seed", options.seed, -(2 ** 31), 2 ** 32 - 1);
  }
  if (!Array.isArray(imageSize) || imageSize.length !== 2) {
    throw new ArgumentError(expected(where, "`imageSize` as [height, width]", show(imageSize)));
  }
  const [height, width] = imageSize;
  checkInteger(where, "imageSize[0]", height, 1, 2 ** 15);
  checkInteger(where, "imageSize[1]", width, 1, 2 ** 15);
  return {
    height,
    width,
    channels: channelsOf[colorMode],
    nearest: interpolation === "nearest",
    normalize: options.normalize ?? true,
    decoder,
  };
}

async function classesIn(where: string, dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(
    wrongPath(dir, where, "directory"),
  );
  const folders: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const folder =
      entry.isDirectory() ||
      (entry.isSymbolicLink() && (await stat(join(dir, entry.name))).isDirectory());
    if (folder) folders.push(entry.name);
  }
  if (folders.length === 0) {
    throw new ArgumentError(`${where}: it has no folders; pictures lie in one folder per class`);
  }
  return folders.sort();
}

/** The pictures below a class' folder, by name. */
async function picturesIn(where: string, folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true }).catch(
    wrongPath(folder, where, "directory"),
  );
  return found
    .filter((name) => extensions.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** One tensor per class, shared by all its pictures. */
function labelTensors(classes: number, mode: "int" | "categorical" | "binary"): Tensor[] {
  return Array.from({ length: classes }, (_, label) => {
    if (mode === "int") return leaf(Int32Array.of(label), [], "int32");
    if (mode === "binary") return leaf(Float32Array.of(label), [], "float32");
    const row = new Float32Array(classes);
    row[label] = 1;
    return leaf(row, [classes], "float32");
  });
}

/** What is used of `sharp`; its own types are there only where it is installed. */
interface Sharp {
  resize(width: number, height: number, options: object): Sharp;
  removeAlpha(): Sharp;
  ensureAlpha(): Sharp;
  grayscale(): Sharp;
  toColourspace(space: string): Sharp;
  raw(): Sharp;
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Buffer;
    info: { width: number; height: number; channels: number };
  }>;
}
type SharpModule = (input: Uint8Array) => Sharp;

let sharpModule: Promise<SharpModule | null> | undefined;

/** The package `sharp`; null where it is not installed. */
function loadSharp(): Promise<SharpModule | null> {
  // The name in a variable: a compiler must not ask for the package's types.
  const name = "sharp";
  sharpModule ??= (import(name) as Promise<{ default: SharpModule }>).then(
    (module) => module.default,
    (error: unknown) => {
      // Bundlers have words of their own for a package that is not there.
      const message = error instanceof Error ? error.message : String(error);
      if (/cannot find (module|package)|could not resolve/i.test(message)) return null;
      throw error;
    },
  );
  return sharpModule;
}

async function readPicture(path: string, form: Form): Promise<Tensor> {
  const bytes = await readFile(path);
  const where = `picture ${show(path)}`;
  const png = isPng(bytes);
  const sharp = form.decoder === "builtin" ? null : await loadSharp();
  if (sharp === null && (!png || form.decoder === "sharp")) {
    throw new StateError(
      `${where}: ${png ? 'decoder: "sharp"' : "formats other than PNG"} need${png ? "s" : ""} the package sharp, ` +
        `which is ${form.decoder === "builtin" ? 'not used with decoder: "builtin"' : "not installed: npm install sharp"}`,
    );
  }
  const { height, width, channels } = form;
  const pixels = sharp
    ? await bySharp(sharp, bytes, form).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new FormatError(`${where}: ${reason}`, { cause: error });
      })
    : resized(await decodePng(bytes, where), form);
  return imageTensors(pixels, [height, width, channels], form.normalize);
}

async function bySharp(sharp: SharpModule, bytes: Uint8Array, form: Form): Promise<Uint8Array> {
  const { width, height, channels } = form;
  let image = sharp(bytes).resize(width, height, {
    fit: "fill",
    kernel: form.nearest ? "nearest" : "linear",
  });
  image = channels === 4 ? image.ensureAlpha() : image.removeAlpha();
  image = channels === 1 ? image.grayscale().toColourspace("b-w") : image.toColourspace("srgb");
  const { data } = await image.raw().toBuffer({ resolveWithObject: true });
  if (data.length !== width * height * channels) {
    throw new FormatError(
      `expected ${width * height * channels} bytes of pixels, got ${data.length}`,
    );
  }
  // A copy: Node may hand out a part of a larger block.
  return new Uint8Array(data);
}

/** A decoded picture in the wanted size and channels. */
function resized(image: DecodedPng, { width, height, channels, nearest }: Form): Uint8Array {
  const { pixels, width: w, height: h, channels: own } = image;
  const out = new Uint8Array(width * height * channels);
  const same = w === width && h === height;
  const colour = own >= 3;
  /** One channel of the picture as it is, in the wanted channels. */
  const sample = (x: number, y: number, channel: number): number => {
    const at = (y * w + x) * own;
    if (channel === 3) return own === 4 ? pixels[at + 3]! : own === 2 ? pixels[at + 1]! : 255;
    if (channels > 1 || !colour) return pixels[colour ? at + channel : at]!;
    // Luma of ITU-R 601-2, as Keras and Pillow have it.
    return 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
  };
  const limit = (value: number, size: number): number => Math.min(size - 1, Math.max(0, value));
  for (let y = 0; y < height; y++) {
    // Pixels are areas: their centres are what is mapped.
    const sy = ((y + 0.5) * h) / height - 0.5;
    const y0 = Math.floor(sy);
    for (let x = 0; x < width; x++) {
      const sx = ((x + 0.5) * w) / width - 0.5;
      const x0 = Math.floor(sx);
      for (let c = 0; c < channels; c++) {
        const to = (y * width + x) * channels + c;
        if (same) out[to] = Math.round(sample(x, y, c));
        else if (nearest) {
          out[to] = Math.round(
            sample(limit(Math.floor(sx + 0.5), w), limit(Math.floor(sy + 0.5), h), c),
          );
        } else {
          const fx = sx - x0;
          const fy = sy - y0;
          const [l, r] = [limit(x0, w), limit(x0 + 1, w)];
          const [t, b] = [limit(y0, h), limit(y0 + 1, h)];
          const top = sample(l, t, c) * (1 - fx) + sample(r, t, c) * fx;
          const bottom = sample(l, b, c) * (1 - fx) + sample(r, b, c) * fx;
          out[to] = Math.round(top * (1 - fy) + bottom * fy);
        }
      }
    }
  }
  return out;
}
