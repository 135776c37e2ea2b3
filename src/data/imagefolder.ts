/**
 * Pictures in folders, one folder per class. PNG files are decoded here; other formats, and resizing with
 * better filters, through the optional package `sharp`.
 */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import {
  ArgumentError,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  FormatError,
  nearest,
  StateError,
  show,
} from "../errors.js";
import { wrongPath } from "../formats/missing.js";
import { type DecodedPng, decodePng, isPng } from "../formats/png.js";
import { drawSeed } from "../tensor/random.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import { batchCursor, Collator } from "./batching.js";
import { after, type Cursor, elementError, end } from "./cursor.js";
import { Dataset } from "./dataset.js";
import { imageTensors } from "./images.js";
import { epochOrder } from "./order.js";
import { passSeeds } from "./shuffle.js";
import { indexedCursor, type OrderOf } from "./source.js";
import { mapCursor } from "./transforms.js";

type LabelMode = "int" | "categorical" | "binary";

/** Options of {@link imageFolder}. */
export interface ImageFolderOptions<L extends LabelMode | null = LabelMode> {
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
   * `null`: no labels; elements are the pictures alone, all that lie below `dir`.
   */
  readonly labelMode?: L | undefined;
  /**
   * Share of the pictures that are held back, the same ones for the same seed. With `shuffle: false` they
   * are the last by class and name, as in Keras: those of the last classes.
   */
  readonly validationSplit?: number | undefined;
  /**
   * True (the default): pictures are mixed before they are split, and each pass over the training
   * pictures has an order of its own. False: the order is always that of classes and names.
   */
  readonly shuffle?: boolean | undefined;
  /** Seed of the split and the order; drawn if left out. */
  readonly seed?: number | undefined;
  /** True (the default): float32 in [0, 1]. False: uint8, 0 … 255. */
  readonly normalize?: boolean | undefined;
  /** Whether PNG files are decoded by `sharp` too: `auto` (the default) does so where it is installed. */
  readonly decoder?: "auto" | "sharp" | "builtin" | undefined;
  /** How many pictures may be read and decoded at a time; 4 by default. The order stays. */
  readonly concurrency?: number | undefined;
}

/** A picture `[height, width, channels]` and its label. */
export type LabelledPicture = [image: Tensor, label: Tensor];

type PictureOf<L> = L extends null ? Tensor : LabelledPicture;

/** What {@link imageFolder} found; elements `E` are pictures with labels, or pictures alone. */
export interface ImageFolder<E = LabelledPicture, V = Dataset<E> | null> {
  readonly train: Dataset<E>;
  /** The pictures of `validationSplit`, in the same order in each pass; null without one. */
  readonly validation: V;
  /** What class `i` is called; empty with `labelMode: null`. */
  readonly classNames: readonly string[];
  /**
   * Paths below the folder. Element `i` of `validation`, and of `train` with `shuffle: false`, is
   * `files.validation[i]`, `files.train[i]`: what a prediction is about.
   */
  readonly files: {
    readonly train: readonly string[];
    /** Empty without `validationSplit`. */
    readonly validation: readonly string[];
  };
}

const extensions = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;
const channelsOf = { grayscale: 1, rgb: 3, rgba: 4 } as const;
const labelModes = ["int", "categorical", "binary"] as const;

interface Picture {
  readonly path: string;
  /** Index of its class; 0 where there are none. */
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
 * The pictures below `dir/<class>/`, decoded when their turn comes, `concurrency` of them at a time.
 * Elements are single pictures: batch them. Hidden files and folders (`.name`) are left out.
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
export function imageFolder<L extends LabelMode | null = "int">(
  dir: string,
  options: ImageFolderOptions<L> & { readonly validationSplit: number },
): Promise<ImageFolder<PictureOf<L>, Dataset<PictureOf<L>>>>;
export function imageFolder<L extends LabelMode | null = "int">(
  dir: string,
  options: ImageFolderOptions<L>,
): Promise<ImageFolder<PictureOf<L>>>;
export async function imageFolder(
  dir: string,
  options: ImageFolderOptions<LabelMode | null>,
): Promise<ImageFolder<never, never>> {
  const where = `imageFolder of ${show(dir)}`;
  const form = checkOptions(where, dir, options);
  const { labelMode = "int", validationSplit = 0, shuffle = true, concurrency = 4 } = options;
  const classNames =
    labelMode === null ? [] : (options.classNames ?? (await classesIn(where, dir)));
  if (labelMode === "binary" && classNames.length !== 2) {
    throw new ArgumentError(
      expected(where, "two classes for binary labels", `${classNames.length}`),
    );
  }
  const pictures: Picture[] = [];
  const folders = labelMode === null ? [dir] : classNames.map((name) => join(dir, name));
  for (const [label, folder] of folders.entries()) {
    for (const path of await picturesIn(where, folder)) pictures.push({ path, label });
  }
  if (pictures.length === 0) {
    throw new ArgumentError(
      `${where}: there are no pictures (png, jpg, webp, gif, tif, avif) in ${labelMode === null ? "it" : "its folders"}`,
    );
  }
  const held = Math.round(validationSplit * pictures.length);
  if (validationSplit > 0 && (held === 0 || held === pictures.length)) {
    throw new ArgumentError(
      `${where}: validationSplit ${validationSplit} of ${pictures.length} pictures leaves none to ${held === 0 ? "validate" : "train"} on`,
    );
  }
  const seed = shuffle ? (options.seed ?? drawSeed()) | 0 : null;
  const order = epochOrder(pictures.length, seed);
  // As in Keras the last are held back, of the mixed list or of the one by name.
  const split = pictures.length - held;
  const parts = {
    train: Array.from(order.subarray(0, split), (i) => pictures[i]!),
    validation: Array.from(order.subarray(split), (i) => pictures[i]!),
  };
  const labels = labelMode === null ? null : labelTensors(classNames.length, labelMode);
  const read = async ({ path, label }: Picture): Promise<never> => {
    const image = await readPicture(path, form);
    return (labels ? [image, labels[label]!] : image) as never; // the overloads say which
  };
  const names = (part: readonly Picture[]) => part.map(({ path }) => relative(dir, path));
  return {
    train: elementsOf(where, parts.train, read, concurrency, seed),
    validation: (held > 0
      ? elementsOf(where, parts.validation, read, concurrency, null)
      : null) as never, // the overloads say when it is null
    classNames,
    files: { train: names(parts.train), validation: names(parts.validation) },
  };
}

/** What `read` makes of each of `list`, in an order of its own in each pass if there is a seed. */
function elementsOf<P, E>(
  stage: string,
  list: readonly P[],
  read: (item: P) => Promise<E>,
  concurrency: number,
  seed: number | null,
): Dataset<E> {
  const size = list.length;
  const seedOf = seed === null ? null : passSeeds({ seed });
  const orderOf: OrderOf = (pass) => seedOf && epochOrder(size, seedOf(pass));
  const get = (index: number): Promise<E> => read(list[index]!);
  /** As `map` does it, but an error names this stage: it passes as a result, and is thrown in its turn. */
  const readAhead = (order: Int32Array | null): Cursor<E> => {
    const results = mapCursor(
      indexedCursor(stage, { size, get: (index) => index }, order),
      (index) =>
        get(index).then(
          (element) => () => element,
          (error: unknown) => () => {
            throw elementError(stage, index, error);
          },
        ),
      concurrency,
    );
    return {
      next: () => after(results.next(), (result) => (result === end ? end : result())),
      close: () => results.close(),
    };
  };
  return new Dataset<E>({
    stage,
    size,
    open: (pass) => readAhead(orderOf(pass)),
    // take, skip, shard and shuffle choose by index, so that nothing is decoded in vain.
    indexed: {
      orderOf,
      source: {
        size,
        get,
        async gather(chosen) {
          const cursor = readAhead(chosen);
          try {
            return await batchCursor(cursor, chosen.length, false, new Collator("batch()")).next();
          } finally {
            await cursor.close();
          }
        },
      },
    },
  });
}

function checkOptions(
  where: string,
  dir: unknown,
  options: ImageFolderOptions<LabelMode | null>,
): Form {
  if (typeof dir !== "string" || dir === "") {
    throw new ArgumentError(expected("imageFolder", "the path of a directory", show(dir)));
  }
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
    "concurrency",
  ]);
  const { imageSize, colorMode = "rgb", interpolation = "bilinear", decoder = "auto" } = options;
  const { labelMode = "int", normalize = true } = options;
  checkChoice(where, "colorMode", colorMode, ["grayscale", "rgb", "rgba"]);
  checkChoice(where, "interpolation", interpolation, ["bilinear", "nearest"]);
  checkLabels(where, labelMode, options.classNames);
  checkChoice(where, "decoder", decoder, ["auto", "sharp", "builtin"]);
  checkNumber(where, "validationSplit", options.validationSplit ?? 0, 0, 1);
  checkBoolean(where, "shuffle", options.shuffle ?? true);
  checkBoolean(where, "normalize", normalize);
  checkInteger(where, "concurrency", options.concurrency ?? 4, 1);
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
    normalize,
    decoder,
  };
}

function checkLabels(where: string, labelMode: unknown, classNames: unknown): void {
  if (labelMode !== null && !labelModes.includes(labelMode as LabelMode)) {
    const near = typeof labelMode === "string" ? nearest(labelMode, labelModes) : undefined;
    const wanted = `\`labelMode\` to be one of ${labelModes.map(show).join(", ")}, or null for no labels`;
    const hint = near && `did you mean ${show(near)}?`;
    throw new ArgumentError(expected(where, wanted, show(labelMode), hint));
  }
  if (classNames === undefined) return;
  if (labelMode === null) {
    throw new ArgumentError(
      expected(where, "no `classNames` with labelMode: null", show(classNames)),
    );
  }
  const names: readonly unknown[] = Array.isArray(classNames) ? classNames : [];
  const different = new Set(names.filter((name) => typeof name === "string" && name !== ""));
  if (names.length === 0 || different.size < names.length) {
    throw new ArgumentError(
      expected(
        where,
        "`classNames` to be an array of names of folders, each once",
        show(classNames),
      ),
    );
  }
}

/** What lies in a folder and is not hidden; links are what they lead to. */
async function visibleIn(where: string, folder: string) {
  const entries = await readdir(folder, { withFileTypes: true })
    .catch(wrongPath(folder, where, "directory"))
    .catch(unreadable(where, folder));
  return Promise.all(
    entries
      // macOS lays a `._x.png` that is no picture beside each `x.png` on foreign disks.
      .filter(({ name }) => !name.startsWith("."))
      .map(async (entry) => {
        const path = join(folder, entry.name);
        const kind = entry.isSymbolicLink()
          ? await stat(path).catch(unreadable(where, path))
          : entry;
        return { name: entry.name, path, kind };
      }),
  );
}

/** For the `catch` of a look at a path: what can't be read and why, told with what wanted to. */
function unreadable(where: string, path: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof ArgumentError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    // What a folder was just said to hold is there: it is what it leads to that is not.
    const reason = code === "ENOENT" ? "it is a link that leads nowhere" : message;
    throw new ArgumentError(`${where}: can't read ${show(path)}: ${reason}`, { cause: error });
  };
}

async function classesIn(where: string, dir: string): Promise<string[]> {
  const entries = await visibleIn(where, dir);
  const folders = entries.filter(({ kind }) => kind.isDirectory()).map(({ name }) => name);
  if (folders.length === 0) {
    throw new ArgumentError(`${where}: it has no folders; pictures lie in one folder per class`);
  }
  return folders.sort();
}

/** The pictures below a folder, by name. */
async function picturesIn(where: string, folder: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (at: string, above: readonly string[]): Promise<void> => {
    const entries = await visibleIn(where, at);
    const real = await realpath(at).catch(unreadable(where, at));
    // A link to a folder that it lies in would lead around in circles.
    if (above.includes(real)) return;
    for (const { name, path, kind } of entries) {
      if (kind.isDirectory()) await walk(path, [...above, real]);
      else if (kind.isFile() && extensions.test(name)) found.push(path);
    }
  };
  await walk(folder, []);
  return found.sort();
}

/** One tensor per class, shared by all its pictures. */
function labelTensors(classes: number, mode: LabelMode): Tensor[] {
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
  const bytes = await readFile(path).catch(wrongPath(path));
  const where = `picture ${show(path)}`;
  // A file that only calls itself one is the decoder's to refuse.
  const png = isPng(bytes) || /\.png$/i.test(path);
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
