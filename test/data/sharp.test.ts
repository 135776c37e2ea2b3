/** Pictures that `sharp` decodes, an optional package: against its own pixels, and for PNG against our reader's. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ImageFolderOptions, imageFolder } from "../../src/data/imagefolder.js";
import { FormatError } from "../../src/errors.js";
import { encodePng } from "../../src/formats/png.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { bytes } from "../helpers/random.js";

interface Sharp {
  raw(): Sharp;
  jpeg(options?: object): Sharp;
  webp(options: object): Sharp;
  toBuffer(): Promise<Buffer>;
}
type SharpModule = (input: Uint8Array, options?: object) => Sharp;

const sharp = ((): SharpModule | null => {
  try {
    return createRequire(import.meta.url)("sharp") as SharpModule;
  } catch {
    return null;
  }
})();
const missing = sharp ? "" : " (skipped: the optional package sharp is not installed)";

describe.skipIf(!sharp)(`pictures by sharp${missing}`, () => {
  const [width, height] = [12, 8];
  const pixels = bytes(5, width * height * 3);
  const raw = { raw: { width, height, channels: 3 } };
  let directory: string;
  let jpeg: Buffer;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "layerwise-sharp-"));
    for (const name of ["jpeg", "png", "webp"]) await mkdir(join(directory, name));
    jpeg = await sharp!(pixels, raw).jpeg({ quality: 90 }).toBuffer();
    await writeFile(join(directory, "jpeg", "a.jpg"), jpeg);
    await writeFile(join(directory, "png", "a.png"), encodePng(pixels, width, height, 3));
    const webp = await sharp!(pixels, raw).webp({ lossless: true }).toBuffer();
    await writeFile(join(directory, "webp", "a.webp"), webp);
  });
  afterAll(() => rm(directory, { recursive: true }));

  const read = async (name: string, options: Partial<ImageFolderOptions> = {}) => {
    const { train } = await imageFolder(directory, {
      ...{ imageSize: [height, width], classNames: [name], normalize: false, shuffle: false },
      ...options,
    });
    const [[picture]] = (await train.toArray()) as [[Tensor, Tensor]];
    return [...picture.dataSync()];
  };

  test("PNG and lossless WebP have the pixels that were written", async () => {
    expect(await read("webp")).toEqual([...pixels]);
    expect(await read("png", { decoder: "sharp" })).toEqual([...pixels]);
    expect(await read("png", { decoder: "builtin" })).toEqual([...pixels]);
  });

  test("JPEG has sharp's pixels", async () => {
    expect(await read("jpeg")).toEqual([...(await sharp!(jpeg).raw().toBuffer())]);
  });

  test("grey and alpha have as many channels as asked for, and other sizes too", async () => {
    const grey = await read("jpeg", { colorMode: "grayscale", imageSize: [4, 6] });
    expect(grey).toHaveLength(4 * 6);
    const alpha = await read("webp", { colorMode: "rgba" });
    expect(alpha).toHaveLength(height * width * 4);
    expect(alpha.filter((_, i) => i % 4 === 3).every((a) => a === 255)).toBe(true);
  });

  test("a broken picture is named", async () => {
    const file = join(directory, "jpeg", "a.jpg");
    await writeFile(file, jpeg.subarray(0, 40));
    try {
      await expect(read("jpeg")).rejects.toThrow(FormatError);
      await expect(read("jpeg")).rejects.toThrow(`picture ${JSON.stringify(file)}`);
    } finally {
      await writeFile(file, jpeg);
    }
  });
});
