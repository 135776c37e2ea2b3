/**
 * Philox 4×32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
 * random bits as a function of key and counter, the same for any order of evaluation.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
/** Key increments: the golden ratio and √3 − 1 as 32-bit fractions. */
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the unsigned product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) | 0;
}

/** Writes the four words of one counter and key to `out`, as int32. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Int32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The `philox` instruction at linear index `index` of the domain. */
export type PhiloxLane = (
  seed: number,
  step: number,
  keyWord: number,
  counterWord: number,
  index: number,
) => number;

/** Gives a counter's words, and remembers the last: neighbours share one. */
function rememberedWords(): (
  block: number,
  seed: number,
  step: number,
  keyWord: number,
  counterWord: number,
) => Int32Array {
  const words = new Int32Array(4);
  let lastBlock = -1;
  let lastSeed = 0;
  let lastStep = 0;
  return (block, seed, step, keyWord, counterWord) => {
    if (block !== lastBlock || seed !== lastSeed || step !== lastStep) {
      philox4x32([block, counterWord, step, 0], [seed, keyWord], words);
      lastBlock = block;
      lastSeed = seed;
      lastStep = step;
    }
    return words;
  };
}

/** A `philox` instruction: four neighbours share a counter. */
export function philoxLane(): PhiloxLane {
  const wordsOf = rememberedWords();
  return (seed, step, keyWord, counterWord, index) =>
    wordsOf(index >>> 2, seed, step, keyWord, counterWord)[index & 3]!;
}

/** The byte of the words that belongs to `index`, low ones first. */
function byteOf(words: Int32Array, index: number): number {
  return (words[(index & 15) >>> 2]! >>> (8 * (index & 3))) & 0xff;
}

/** The `philoxBelow` instruction at linear index `index` of the domain. */
export type PhiloxBelowLane = (
  seed: number,
  step: number,
  keyWord: number,
  counterWord: number,
  threshold: number,
  index: number,
) => number;

/**
 * A `philoxBelow` instruction: 16 neighbours share a counter, and a byte decides for each; where it is the
 * threshold's, the same byte of the next counter.
 */
export function philoxBelowLane(): PhiloxBelowLane {
  const wordsOf = rememberedWords();
  const more = new Int32Array(4);
  return (seed, step, keyWord, counterWord, threshold, index) => {
    const block = index >>> 4;
    let words = wordsOf(block, seed, step, keyWord, counterWord);
    for (let last = 0, rest = threshold; rest !== 0; last++, rest <<= 8) {
      if (last > 0) {
        philox4x32([block, counterWord, step, last], [seed, keyWord], more);
        words = more;
      }
      const byte = byteOf(words, index);
      if (byte !== rest >>> 24) return byte < rest >>> 24 ? 1 : 0;
    }
    return 0;
  };
}

/** The instructions that depend on the position in the domain, by name; their last argument is the index. */
export const positional: ReadonlyMap<string, () => (...values: number[]) => number> = new Map([
  ["philox", philoxLane as () => (...values: number[]) => number],
  ["philoxBelow", philoxBelowLane as () => (...values: number[]) => number],
]);
