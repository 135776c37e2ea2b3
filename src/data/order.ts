/** The order of samples in an epoch: from a seed alone, so that a resumed training goes on alike. */

/** The indices 0 … count−1, shuffled by the seed (Fisher & Yates); in order when it is null. */
export function epochOrder(count: number, seed: number | null): Int32Array {
  const order = new Int32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  if (seed === null) return order;
  const next = xoshiro(seed);
  for (let i = count - 1; i > 0; i--) {
    // A 32-bit number times i + 1, divided by 2³²: even to within i / 2³².
    const j = Math.floor((next() * (i + 1)) / 2 ** 32);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}

/** What splitmix32 adds to its state. */
const golden = 0x9e3779b9;

/** xoshiro128** (Blackman & Vigna 2018), seeded by splitmix32: uint32 numbers. */
export function xoshiro(seed: number): () => number {
  // Neither a closure nor an array: short epochs are shuffled by the hundred thousand.
  const start = seed | 0;
  let a = splitmix(start + golden);
  let b = splitmix(start + 2 * golden);
  let c = splitmix(start + 3 * golden);
  let d = splitmix(start + 4 * golden);
  return () => {
    const five = Math.imul(b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
}

/** What splitmix32 makes of one of its states. */
function splitmix(state: number): number {
  let z = state | 0;
  z ^= z >>> 16;
  z = Math.imul(z, 0x21f0aaad);
  z ^= z >>> 15;
  z = Math.imul(z, 0x735a2d97);
  return z ^ (z >>> 15);
}
