/**
 * Regularizers: penalties on a weight or an activation, added to the loss. Each is a function from a
 * tensor to a scalar, with Keras' formulas and defaults.
 */
import { expected, ShapeError } from "../errors.js";
import { eye, fill } from "../ops/creation.js";
import { abs, add, div, mul, square, sub } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { norm, sum } from "../ops/reduce.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { choice, family, type Member, type MemberLike, number, row } from "./options.js";

/** Gives the penalty of a tensor: a scalar. */
export type RegularizerFunction = (x: Tensor) => Tensor;

/** A regularizer with its options. */
export type Regularizer = Member<RegularizerFunction>;

const factor = () => number({ min: 0 }, 0.01);

/** l1·Σ|x| + l2·Σx², leaving out a term whose factor is 0. */
function penalty(l1: number, l2: number): RegularizerFunction {
  return (x) => {
    const first = l1 > 0 ? mul(sum(abs(x)), l1) : null;
    const second = l2 > 0 ? mul(sum(square(x)), l2) : null;
    if (first && second) return add(first, second);
    return first ?? second ?? fill([], 0);
  };
}

function regularizerRows() {
  return {
    /** l1·Σ|x|. */
    l1: row("L1", { l1: factor() }, ({ l1 }): RegularizerFunction => penalty(l1, 0)),
    /** l2·Σx². */
    l2: row("L2", { l2: factor() }, ({ l2 }): RegularizerFunction => penalty(0, l2)),
    /** l1·Σ|x| + l2·Σx². */
    l1l2: row(
      "L1L2",
      { l1: factor(), l2: factor() },
      ({ l1, l2 }): RegularizerFunction => penalty(l1, l2),
    ),
    /** Half the mean magnitude of the cosines between different rows (or columns) of a matrix, times `factor`. */
    orthogonalRegularizer: row(
      "OrthogonalRegularizer",
      { factor: factor(), mode: choice(["rows", "columns"], "rows") },
      ({ factor: weight, mode }): RegularizerFunction =>
        (x) => {
          if (x.rank !== 2) {
            throw new ShapeError(
              expected("regularizer orthogonalRegularizer", "a matrix", showShape(x.shape)),
            );
          }
          const axis = mode === "rows" ? 1 : 0;
          const unit = div(x, add(norm(x, 2, axis, true), 1e-7));
          const gram = matMul(unit, unit, mode === "columns", mode === "rows");
          const size = x.shape[1 - axis]!;
          const pairs = (size * (size - 1)) / 2;
          if (pairs === 0) return fill([], 0);
          // Σ |off-diagonal| counts each pair twice; Keras: factor · 0.5 · Σ / pairs.
          const off = mul(gram, sub(1, eye(size)));
          return mul(sum(abs(off)), (weight * 0.5) / pairs);
        },
    ),
  };
}

/** The regularizers by name. */
export const regularizerFamily = family("regularizer", regularizerRows());

/** Makes regularizers with options: `lw.regularizers.l2({ l2: 1e-4 })`. */
export const regularizers = regularizerFamily.make;

/** The name of a regularizer that is built in. */
export type RegularizerName = keyof ReturnType<typeof regularizerRows>;

/** A name, a configuration, a function of a tensor, or what `lw.regularizers` makes. */
export type RegularizerLike = MemberLike<RegularizerFunction, RegularizerName>;

/** Enters a regularizer of your own under a name, so that models with it can be saved and loaded. */
export function registerRegularizer(name: string, f: RegularizerFunction): void {
  regularizerFamily.register(name, f);
}
