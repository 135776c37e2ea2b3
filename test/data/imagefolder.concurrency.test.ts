/** How many pictures of a folder are decoded at a time; the reader of PNG is one that says so. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { imageFolder } from "../../src/data/imagefolder.js";
import { encodePng } from "../../src/formats/png.js";

/** Decoding waits until `wanted` pictures wait for it, and is done in the reverse order then. */
const gate = vi.hoisted(() => ({
  wanted: 1,
  most: 0,
  waiting: [] as (() => void)[],
  async pass(): Promise<void> {
    const opened = new Promise<void>((resolve) => this.waiting.push(resolve));
    this.most = Math.max(this.most, this.waiting.length);
    if (this.waiting.length >= this.wanted) {
      for (const open of this.waiting.splice(0).reverse()) open();
    }
    await opened;
  },
}));

vi.mock("../../src/formats/png.js", async (original) => {
  const actual = await original<typeof import("../../src/formats/png.js")>();
  return {
    ...actual,
    async decodePng(...args: Parameters<typeof actual.decodePng>) {
      await gate.pass();
      return actual.decodePng(...args);
    },
  };
});

const count = 12;
const all = Array.from({ length: count }, (_, i) => i);
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "layerwise-concurrency-"));
  await mkdir(join(directory, "a"));
  for (const i of all) {
    const name = `${String(i).padStart(2, "0")}.png`;
    await writeFile(join(directory, "a", name), encodePng(Uint8Array.of(i), 1, 1, 1));
  }
});
afterAll(() => rm(directory, { recursive: true }));
beforeEach(() => {
  gate.most = 0;
});

const load = async (concurrency: number | undefined) => {
  const { train } = await imageFolder(directory, {
    ...{ imageSize: [1, 1], shuffle: false, normalize: false, decoder: "builtin" },
    ...{ colorMode: "grayscale", concurrency },
  });
  return train;
};

test.each([
  [undefined, 4],
  [1, 1],
  [3, 3],
])("with `concurrency` %s there are %i, and the order stays", async (concurrency, wanted) => {
  gate.wanted = wanted;
  const pictures = await (await load(concurrency)).toArray();
  expect(pictures.map(([x]) => x.dataSync()[0])).toEqual(all);
  expect(gate.most).toBe(wanted);
});

test("so are those of a batch of chosen pictures", async () => {
  gate.wanted = 4;
  const chosen = (await load(4)).skip(4);
  const [batch] = (await chosen.batch(8).toArray())[0]!;
  expect(Array.from(batch.dataSync())).toEqual(all.slice(4));
  expect(gate.most).toBe(4);
});
