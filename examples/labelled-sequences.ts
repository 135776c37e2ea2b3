/**
 * Sequences with a class each, for example 17: speakers by frames and surnames by characters, read from
 * the directory after `--data`, or generated.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import * as lw from "layerwise";
import { option } from "./shared.js";

const dir = option("data");
export const generated = dir === undefined;

/** A sequence and its class; frames are [time, 12], names int32 [time]. */
export type Labelled = [steps: lw.Tensor, label: number];
/** What there is to learn and to test. */
export interface Data {
  readonly train: Labelled[];
  readonly test: Labelled[];
  readonly classNames: readonly string[];
  /** Of names: how many characters there are. */
  readonly vocabulary?: number;
}
const random = (count: number) => lw.randomUniform([count]).dataSync();
/** Fisher and Yates' shuffle. */
function shuffled<T>(items: readonly T[]): T[] {
  const [out, draws] = [[...items], random(items.length)];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(draws[i]! * (i + 1));
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/* ---- speakers -------------------------------------------------------------------------------------- */

export const frameSize = 12;

function readSpeakers(directory: string, part: string): Labelled[] {
  const text = gunzipSync(readFileSync(join(directory, `ae.${part}.gz`))).toString();
  const labels = readFileSync(join(directory, `labels.${part}.txt`), "utf8")
    .trim()
    .split(/\s+/);
  return text
    .trim()
    .split(/\r?\n\s*\r?\n/)
    .map((block, i) => {
      const values = Float32Array.from(block.trim().split(/\s+/), Number);
      return [lw.tensor(values, [values.length / frameSize, frameSize]), Number(labels[i]) - 1];
    });
}

/** From where to where frames move is the speaker's; the mean frame of all is nearly the same. */
function makeSpeakers(count: number): Labelled[] {
  const directions = lw.randomNormal([9, frameSize], 0, 0.4, "float32", 7).dataSync();
  return Array.from({ length: count }, (_, i) => {
    const speaker = i % 9;
    const time = 7 + Math.floor(random(1)[0]! * 20);
    const frames = lw.randomNormal([time, frameSize], 0, 0.4).dataSync();
    const values = frames.map((noise, k) => {
      const moved = (2 * Math.floor(k / frameSize)) / (time - 1) - 1;
      return moved * directions[speaker * frameSize + (k % frameSize)]! + noise;
    });
    return [lw.tensor(values, [time, frameSize]), speaker];
  });
}

/** Sequences [time, 12] of nine speakers. */
export function speakers(): Data {
  const directory = join(dir ?? "", "japanese-vowels");
  const classNames = Array.from({ length: 9 }, (_, i) => `speaker ${i + 1}`);
  return dir === undefined
    ? { train: makeSpeakers(270), test: makeSpeakers(370), classNames }
    : {
        train: readSpeakers(directory, "train"),
        test: readSpeakers(directory, "test"),
        classNames,
      };
}

/* ---- surnames -------------------------------------------------------------------------------------- */

function makeNames(): { texts: string[]; labels: ArrayLike<number>; classNames: string[] } {
  const syllables = { Avian: "la ri no ve", Borean: "al ir on ev", Carian: "kra sto vu mi" };
  const parts = Object.values(syllables).map((text) => text.split(" "));
  const labels = Array.from({ length: 1200 }, (_, i) => i % parts.length);
  const texts = labels.map((label) =>
    Array.from(
      random(2 + Math.floor(random(1)[0]! * 3)),
      (u) => parts[label]![Math.floor(u * 4)],
    ).join(""),
  );
  return { texts, labels, classNames: Object.keys(syllables) };
}

/** Names int32 [length] as indices of characters, a fifth of them to test. */
export async function surnames(): Promise<Data> {
  const { texts, labels, classNames } =
    dir === undefined ? makeNames() : await lw.datasets.names({ dir: join(dir, "names") });
  const characters = new lw.data.CharTokenizer().fit(texts);
  const all = shuffled(
    texts.map((name, i): Labelled => {
      const ids = characters.encode(name);
      return [lw.tensor(ids, [ids.length], "int32"), labels[i]!];
    }),
  );
  const tests = Math.floor(all.length / 5);
  return {
    test: all.slice(0, tests),
    train: all.slice(tests),
    classNames,
    vocabulary: characters.vocabulary.length,
  };
}
