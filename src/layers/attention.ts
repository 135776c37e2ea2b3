/** Attention: values of a sequence, mixed by how well their keys fit a query. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { range } from "../ops/creation.js";
import { add, greaterEqual, logicalAnd, mul, where } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { expandDims, reshape, transpose } from "../ops/movement.js";
import { bernoulliFrom } from "../ops/random.js";
import { softmax } from "../ops/softmax.js";
import { maskOf } from "../tensor/mask.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  boolean,
  integer,
  knownSize,
  nullable,
  number,
  type OptionsOf,
  seed,
  weightFields,
  weightOf,
} from "./config.js";
import { rotate } from "./embedding.js";
import {
  type CallContext,
  type InputSpec,
  isShapeList,
  Layer,
  type LayerOptions,
  maker,
} from "./layer.js";
import { isMaskList, type Masks } from "./masks.js";
import { sourceOf } from "./randomness.js";
import type { BatchShape } from "./symbolic.js";

const attentionOptions = {
  /** Number of heads: each attends by itself. */
  numHeads: integer({ min: 1 }),
  /** Size of each head's queries and keys. */
  keyDim: integer({ min: 1 }),
  /** Size of each head's values; `keyDim` when left out. */
  valueDim: nullable(integer({ min: 1 })),
  /** Fraction of the attention weights to drop while training. */
  dropout: number({ min: 0, max: 1 }, 0),
  /** Whether the four projections add a bias. */
  useBias: boolean(true),
  /** Size of the output; that of the queries when left out. */
  outputDim: nullable(integer({ min: 1 })),
  /** Whether a step sees only itself and those before. */
  causal: boolean(false),
  /** Whether queries and keys are turned by their positions (Su et al. 2021). */
  rotary: boolean(false),
  /** Whether the attention weights [batch, heads, queries, keys] are a second output. */
  returnAttentionScores: boolean(false),
  ...weightFields("kernel", "glorotUniform"),
  ...weightFields("bias", "zeros"),
  /** Fixes what is dropped, independently of the model's seed. */
  seed: seed(),
};

/** Options of multi-head attention. */
export type MultiHeadAttentionOptions = LayerOptions & OptionsOf<typeof attentionOptions>;

interface Projection {
  readonly kernel: Variable;
  readonly bias: Variable | null;
}

/**
 * Multi-head attention (Vaswani et al. 2017): softmax(Q·Kᵀ/√keyDim)·V in each head, then a projection.
 *
 * Inputs: x alone (self-attention), or [query, value], or [query, value, key], each [batch, steps, features];
 * or [query, value, key, mask] with a bool mask [batch, queries, keys] or [batch, heads, queries, keys], true
 * where a query may see a key. Keys that the masks of `value` and `key` leave out (padding) are not seen
 * either; a query that sees nothing gets 0 before the projection. Output shape: [batch, queries, outputDim];
 * it has the mask of the query.
 */
export class MultiHeadAttention<O extends Tensor | Tensor[] = Tensor> extends Layer<
  typeof attentionOptions
> {
  static override readonly className = "MultiHeadAttention";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = {
    arity: "any",
    rank: 3,
    others: { minRank: 3, maxRank: 4, dtypes: ["float32", "bool"] },
  };
  #query!: Projection;
  #key!: Projection;
  #value!: Projection;
  #output!: Projection;

  constructor(options: MultiHeadAttentionOptions) {
    super(options, attentionOptions);
    const { rotary, keyDim } = this.config;
    if (rotary && keyDim % 2 !== 0) {
      throw new ArgumentError(expected(this.where, "an even `keyDim` with `rotary`", keyDim));
    }
  }

  /** Query, value and key, the latter two the first where they were not given, and the mask. */
  #roles<T>(given: readonly T[]): { query: T; value: T; key: T; mask: T | null } {
    if (given.length > 4) {
      throw new ArgumentError(
        expected(
          this.where,
          "[query, value, key, mask] or fewer of them",
          `${given.length} inputs`,
        ),
      );
    }
    const [query, value = query, key = value, mask = null] = given as [T, T?, T?, T?];
    return { query, value: value as T, key: key as T, mask };
  }

  override build(inputShape: BatchShape | BatchShape[]): void {
    const { numHeads, keyDim, outputDim } = this.config;
    const { query, value, key } = this.#roles(isShapeList(inputShape) ? inputShape : [inputShape]);
    const valueDim = this.config.valueDim ?? keyDim;
    const features = (shape: BatchShape): number => knownSize(this.where, shape, 2);
    this.#query = this.#project("query", features(query), numHeads * keyDim);
    this.#key = this.#project("key", features(key), numHeads * keyDim);
    this.#value = this.#project("value", features(value), numHeads * valueDim);
    this.#output = this.#project("output", numHeads * valueDim, outputDim ?? features(query));
  }

  #project(name: string, inputs: number, outputs: number): Projection {
    const o = this.config;
    return {
      kernel: this.addWeight(`${name}Kernel`, [inputs, outputs], weightOf(o, "kernel")),
      bias: o.useBias ? this.addWeight(`${name}Bias`, [outputs], weightOf(o, "bias")) : null,
    };
  }

  override call(inputs: Tensor | Tensor[], context: CallContext): O {
    const given = this.#roles(Array.isArray(inputs) ? inputs : [inputs]);
    const { query, value, key } = given;
    this.#checkSources(query, value, key);
    const { numHeads, keyDim, rotary, dropout, returnAttentionScores } = this.config;
    const q = this.#heads(query, this.#query);
    const k = this.#heads(key, this.#key);
    const v = byHead(this.#heads(value, this.#value));
    const turned = (x: Tensor): Tensor => byHead(rotary ? rotate(x, 10_000, 0) : x);
    // [batch, heads, queries, keys]
    const scores = matMul(mul(turned(q), 1 / Math.sqrt(keyDim)), turned(k), false, true);
    const visible = this.#visible(given, scores);
    const weights = visible
      ? where(visible, softmax(where(visible, scores, -1e9)), 0)
      : softmax(scores);
    const mixed = matMul(this.#dropped(weights, dropout, context), v);
    const [batch, steps] = query.shape as [number, number];
    const joined = reshape(transpose(mixed, [0, 2, 1, 3]), [
      batch,
      steps,
      numHeads * mixed.shape[3]!,
    ]);
    const output = projected(joined, this.#output);
    // O was chosen by the maker, from `returnAttentionScores`.
    return (returnAttentionScores ? [output, weights] : output) as O;
  }

  #checkSources(query: Tensor, value: Tensor, key: Tensor): void {
    for (const [name, x] of Object.entries({ value, key })) {
      if (x.dtype !== "float32" || x.rank !== 3 || x.shape[0] !== query.shape[0]) {
        throw new ShapeError(
          expected(
            this.where,
            `${name} of shape [${query.shape[0]}, steps, features]`,
            `${x.dtype} ${showShape(x.shape)}`,
            x.dtype === "bool" ? "a mask comes fourth: [query, value, key, mask]" : undefined,
          ),
        );
      }
    }
    if (value.shape[1] !== key.shape[1]) {
      throw new ShapeError(
        expected(
          this.where,
          "value and key with equally many steps",
          `${value.shape[1]} and ${key.shape[1]}`,
        ),
      );
    }
  }

  /** [batch, steps, heads, size of a head]. */
  #heads(x: Tensor, projection: Projection): Tensor {
    const y = projected(x, projection);
    const { numHeads } = this.config;
    return reshape(y, [...x.shape.slice(0, 2), numHeads, y.shape[2]! / numHeads]);
  }

  /** What may be seen, as a tensor that broadcasts against the scores; null where all may. */
  #visible(
    { value, key, mask }: { value: Tensor; key: Tensor; mask: Tensor | null },
    scores: Tensor,
  ): Tensor | null {
    const [batch, heads, queries, keys] = scores.shape as [number, number, number, number];
    const parts: Tensor[] = [];
    if (mask) {
      const shape = [batch, ...(mask.rank === 4 ? [heads] : []), queries, keys];
      const fits = mask.shape.every((d, i) => d === shape[i] || d === 1);
      if (mask.dtype !== "bool" || mask.rank !== shape.length || !fits) {
        throw new ShapeError(
          expected(
            this.where,
            `a bool mask of shape [${batch}, ${queries}, ${keys}] or [${batch}, ${heads}, ${queries}, ${keys}]`,
            `${mask.dtype} ${showShape(mask.shape)}`,
          ),
        );
      }
      parts.push(mask.rank === 4 ? mask : expandDims(mask, 1));
    }
    for (const own of new Set([maskOf(value), maskOf(key)])) {
      if (own) parts.push(reshape(own, [batch, 1, 1, keys]));
    }
    if (this.config.causal) {
      const rows = expandDims(range(0, queries, 1, "int32"), -1);
      const before = greaterEqual(rows, range(0, keys, 1, "int32"));
      parts.push(reshape(before, [1, 1, queries, keys]));
    }
    return parts.length === 0 ? null : parts.reduce((a, b) => logicalAnd(a, b));
  }

  #dropped(weights: Tensor, rate: number, context: CallContext): Tensor {
    if (!context.training || rate === 0) return weights;
    const source = sourceOf(this, context, this.config.seed);
    const keep = bernoulliFrom(source, weights.shape, 1 - rate);
    return where(keep, mul(weights, rate === 1 ? 0 : 1 / (1 - rate)), 0);
  }

  /** The query's mask; scores have none. */
  override computeMask(_inputs: Tensor | Tensor[], mask: Masks): Masks {
    const query = isMaskList(mask) ? (mask[0] ?? null) : mask;
    return this.config.returnAttentionScores ? [query, null] : query;
  }
}

function projected(x: Tensor, { kernel, bias }: Projection): Tensor {
  const product = matMul(x, kernel);
  return bias ? add(product, bias) : product;
}

/** [batch, steps, heads, size] as [batch, heads, steps, size]. */
function byHead(x: Tensor): Tensor {
  return transpose(x, [0, 2, 1, 3]);
}

/** What its constructor does; with `returnAttentionScores` the layer has two outputs. */
interface AttentionMaker {
  (
    options: MultiHeadAttentionOptions & { returnAttentionScores: true },
  ): MultiHeadAttention<Tensor[]>;
  (
    options: MultiHeadAttentionOptions & { returnAttentionScores?: false | undefined },
  ): MultiHeadAttention;
}

/** Multi-head attention. */
export const multiHeadAttention: AttentionMaker = maker(MultiHeadAttention) as never;
