/** Changes bytes at random, helped by a dictionary and by what the last executions compared. */
export type Random = () => number;

type Word = string | number;

export interface Hints {
  /** Literals of the program under test. */
  readonly literals: readonly Word[];
  /** Different values it compared lately. */
  readonly pairs: readonly (readonly [Word, Word])[];
  /** Any other input known to be interesting. */
  other(): Uint8Array;
}

const edgy = [0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const edgyText = [...edgy, 2 ** 53 - 1, 2 ** 53, 1e300, -1, -0.5].map(String);

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[below(random, items.length)]!;
}

/** Replaces `[at, at + removed)` by `inserted`. */
export function splice(
  bytes: Uint8Array,
  at: number,
  removed: number,
  inserted: Uint8Array,
): Uint8Array {
  const rest = Math.min(bytes.length, at + removed);
  const result = new Uint8Array(at + inserted.length + bytes.length - rest);
  result.set(bytes.subarray(0, at));
  result.set(inserted, at);
  result.set(bytes.subarray(rest), at + inserted.length);
  return result;
}

function text(value: Word): Uint8Array {
  return Buffer.from(String(value), "utf8");
}

/** The ways in which a value may stand in a file: as text, or as an integer of 1 to 8 bytes. */
function spellings(value: Word): Uint8Array[] {
  const list = [text(value)];
  if (typeof value === "string" || !Number.isSafeInteger(value) || value < 0) return list;
  for (const width of [1, 2, 4, 8]) {
    if (value >= 2 ** (8 * width)) continue;
    const little = new Uint8Array(width);
    for (let i = 0, rest = value; i < width; i++, rest = Math.floor(rest / 256)) little[i] = rest;
    list.push(little, little.slice().reverse());
  }
  return list;
}

function numberAt(bytes: Uint8Array, random: Random): [at: number, length: number] | undefined {
  const isDigit = (i: number) => bytes[i]! >= 0x30 && bytes[i]! <= 0x39;
  const start = below(random, bytes.length);
  for (let at = start; at < bytes.length; at++) {
    if (!isDigit(at)) continue;
    let end = at;
    while (end < bytes.length && isDigit(end)) end++;
    return [at, end - at];
  }
  return undefined;
}

/** A comparison of `a` with `b` failed: writes `b` where `a` stands. */
function satisfy(bytes: Uint8Array, random: Random, hints: Hints): Uint8Array {
  if (hints.pairs.length === 0) return bytes;
  const pair = pick(random, hints.pairs);
  const [from, to] = random() < 0.5 ? pair : [pair[1], pair[0]];
  const [olds, news] = [spellings(from), spellings(to)];
  const way = below(random, Math.min(olds.length, news.length));
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(olds[way]!);
  return at < 0 ? bytes : splice(bytes, at, olds[way]!.length, news[way]!);
}

type Mutation = (bytes: Uint8Array, random: Random, hints: Hints) => Uint8Array;

const mutations: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const result = bytes.slice();
    result[below(random, bytes.length)]! ^= 1 << below(random, 8);
    return result;
  },
  function setByte(bytes, random) {
    const result = bytes.slice();
    result[below(random, bytes.length)] = random() < 0.5 ? pick(random, edgy) : below(random, 256);
    return result;
  },
  function changeInteger(bytes, random) {
    const width = pick(random, [1, 2, 4]);
    if (bytes.length < width) return bytes;
    const result = Buffer.from(bytes);
    const at = below(random, bytes.length - width + 1);
    const range = 2 ** (8 * width);
    const little = random() < 0.5;
    const old = little ? result.readUIntLE(at, width) : result.readUIntBE(at, width);
    const value = random() < 0.5 ? old + 1 - below(random, 3) : pick(random, edgy);
    const wrapped = ((value % range) + range) % range;
    if (little) result.writeUIntLE(wrapped, at, width);
    else result.writeUIntBE(wrapped, at, width);
    return result;
  },
  function changeNumber(bytes, random) {
    const found = numberAt(bytes, random);
    if (!found) return bytes;
    const [at, length] = found;
    const old = Number(Buffer.from(bytes.subarray(at, at + length)).toString());
    const value = random() < 0.5 ? String(old + 1 - below(random, 3)) : pick(random, edgyText);
    return splice(bytes, at, length, text(value));
  },
  function remove(bytes, random) {
    const at = below(random, bytes.length);
    return splice(bytes, at, 1 + below(random, Math.min(32, bytes.length)), new Uint8Array(0));
  },
  function insert(bytes, random) {
    const inserted = Uint8Array.from({ length: 1 + below(random, 8) }, () => below(random, 256));
    return splice(bytes, below(random, bytes.length + 1), 0, inserted);
  },
  function repeat(bytes, random) {
    const at = below(random, bytes.length);
    const part = bytes.slice(at, at + 1 + below(random, 64));
    return splice(bytes, below(random, bytes.length + 1), 0, part);
  },
  function insertLiteral(bytes, random, hints) {
    if (hints.literals.length === 0) return bytes;
    const word = pick(random, spellings(pick(random, hints.literals)));
    const removed = random() < 0.5 ? word.length : 0;
    return splice(bytes, below(random, bytes.length + 1), removed, word);
  },
  function join(bytes, random, hints) {
    const other = hints.other();
    const from = below(random, other.length + 1);
    const part = other.slice(from, from + 1 + below(random, 128));
    const removed = random() < 0.5 ? part.length : 0;
    return splice(bytes, below(random, bytes.length + 1), removed, part);
  },
  satisfy,
  satisfy,
];

/** One to sixteen mutations of `bytes`, at most `longest` bytes. */
export function mutate(
  bytes: Uint8Array,
  longest: number,
  random: Random,
  hints: Hints,
): Uint8Array {
  let result = bytes;
  let turns = 1;
  while (turns < 16 && random() < 0.6) turns++;
  for (let i = 0; i < turns; i++) {
    if (result.length === 0) result = Uint8Array.of(below(random, 256));
    result = pick(random, mutations)(result, random, hints);
  }
  return result.length > longest ? result.slice(0, longest) : result;
}
