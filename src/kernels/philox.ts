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

/** A `philox` instruction: four neighbours share a counter, whose words are remembered. */
export function philoxLane(): PhiloxLane {
  const words = new Int32Array(4);
  let lastBlock = -1;
  let lastSeed = 0;
  let lastStep = 0;
  return (seed, step, keyWord, counterWord, index) => {
    const block = index >>> 2;
    if (block !== lastBlock || seed !== lastSeed || step !== lastStep) {
      philox4x32([block, counterWord, step, 0], [seed, keyWord], words);
      lastBlock = block;
      lastSeed = seed;
      lastStep = step;
    }
    return words[index & 3]!;
  };
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
 * A `philoxBelow` instruction: 128 neighbours share a counter, which has one bit of each. The first bit that
 * isn't the threshold's decides; those of the neighbours are remembered.
 */
export function philoxBelowLane(): PhiloxBelowLane {
  const planes: Int32Array[] = [];
  let drawn = 0;
  let lastBlock = -1;
  let lastSeed = 0;
  let lastStep = 0;
  return (seed, step, keyWord, counterWord, threshold, index) => {
    const block = index >>> 7;
    if (block !== lastBlock || seed !== lastSeed || step !== lastStep) {
      drawn = 0;
      lastBlock = block;
      lastSeed = seed;
      lastStep = step;
    }
    for (let plane = 0, rest = threshold | 0; rest !== 0; plane++, rest <<= 1) {
      if (plane === drawn) {
        planes[plane] ??= new Int32Array(4);
        philox4x32([block, counterWord, step, plane], [seed, keyWord], planes[plane]!);
        drawn++;
      }
      const bit = (planes[plane]![(index & 127) >>> 5]! >>> (index & 31)) & 1;
      if (bit !== rest >>> 31) return 1 - bit;
    }
    return 0;
  };
}

/** The instructions that depend on the position in the domain, by name; their last argument is the index. */
export const positional: ReadonlyMap<string, () => (...values: number[]) => number> = new Map([
  ["philox", philoxLane as () => (...values: number[]) => number],
  ["philoxBelow", philoxBelowLane as () => (...values: number[]) => number],
]);
