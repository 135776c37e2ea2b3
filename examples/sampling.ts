/** How the examples that write text choose the next token from a network's scores. */
import { option } from "./shared.js";

/** How the next token is chosen. */
export interface Sampling {
  /** Scores are divided by it: 1 as learned, towards 0 always the likeliest. */
  readonly temperature: number;
  /** Only so many of the likeliest are taken; all by default. */
  readonly topK?: number;
}

/** `--temperature T` and `--top-k K`. */
export function samplingOptions(): Sampling {
  const topK = option("top-k");
  const temperature = Number(option("temperature") ?? 0.8);
  return { temperature, ...(topK !== undefined && { topK: Number(topK) }) };
}

/** Draws a token by its score (logits of one step). `random` gives numbers in [0, 1). */
export function sample(
  scores: ArrayLike<number>,
  { temperature, topK = scores.length }: Sampling,
  random: () => number,
): number {
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const best = order[0]!;
  if (temperature === 0) return best;
  const kept = order.slice(0, topK);
  const weights = kept.map((i) => Math.exp((scores[i]! - scores[best]!) / temperature));
  let left = random() * weights.reduce((sum, weight) => sum + weight);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return kept[i]!;
  }
  return best;
}

/** Numbers in [0, 1) that are the same in every run (a linear congruential generator, Knuth's). */
export function randomNumbers(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn;
    return Number(state >> 11n) / 2 ** 53;
  };
}
