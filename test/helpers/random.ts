/** Seeded random inputs for tests: the same numbers on every machine. */

/** A stream of uniform numbers in [0, 1) (SplitMix32). */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** `size` float32 uniform in [low, high). */
export function uniform(seed: number, size: number, low = -1, high = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: size }, () => low + (high - low) * next());
}

/** `size` float32 from a normal distribution (Box–Muller). */
export function normal(seed: number, size: number, mean = 0, deviation = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: size }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * next());
  });
}

/** `size` int32 uniform in [low, high). */
export function integers(seed: number, size: number, low: number, high: number): Int32Array {
  const next = random(seed);
  return Int32Array.from({ length: size }, () => Math.floor(low + (high - low) * next()));
}

/** `size` bytes uniform in [0, limit). */
export function bytes(seed: number, size: number, limit = 256): Uint8Array {
  const next = random(seed);
  return Uint8Array.from({ length: size }, () => Math.floor(limit * next()));
}
