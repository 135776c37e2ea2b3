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

/** A `philox` instruction that remembers its last block, since four neighbours share one. */
export function philoxLane(): PhiloxLane {
  const words = new Int32Array(4);
  let block = -1;
  let lastSeed = 0;
  let lastStep = 0;
  return (seed, step, keyWord, counterWord, index) => {
    const wanted = index >>> 2;
    if (wanted !== block || seed !== lastSeed || step !== lastStep) {
      philox4x32([wanted, counterWord, step, 0], [seed, keyWord], words);
      block = wanted;
      lastSeed = seed;
      lastStep = step;
    }
    return words[index & 3]!;
  };
}
