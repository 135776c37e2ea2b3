/** Radial basis functions: scores by distance to centres, as the output of LeNet-5 had them. */
import { ArgumentError, expected, show } from "../errors.js";
import { neg, square, sub } from "../ops/elementwise.js";
import { expandDims } from "../ops/movement.js";
import { sum } from "../ops/reduce.js";
import type { Shape } from "../tensor/shape.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  activation,
  integer,
  knownSize,
  nullable,
  type OptionsOf,
  plain,
  weightFields,
  weightOf,
} from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import type { BatchShape } from "./symbolic.js";

type Rows = readonly (readonly number[])[];

const radialOptions = {
  /** Number of centres, and size of the output. */
  units: integer({ min: 1 }),
  /** What the scores go through; nothing by default. */
  activation: activation(),
  /** First values of the centres, a row for each; drawn by the initializer when left out. */
  centers: nullable(
    plain<Rows>((where, option, given) => {
      const good = (row: unknown): boolean =>
        Array.isArray(row) && row.length > 0 && row.every((v) => Number.isFinite(v));
      const rows = given as Rows;
      if (
        Array.isArray(given) &&
        given.every(good) &&
        new Set(rows.map((r) => r.length)).size === 1
      )
        return rows;
      throw new ArgumentError(
        expected(where, `\`${option}\` to be rows of numbers, all of one length`, show(given)),
      );
    })(),
  ),
  ...weightFields("centers", "glorotUniform"),
};

/** Options of {@link radialBasis}. */
export type RadialBasisOptions = LayerOptions & OptionsOf<typeof radialOptions>;

/**
 * y[i] = activation(−Σⱼ (x[j] − centers[i, j])²): the larger, the nearer x is to a unit's centre (LeCun et
 * al. 1998, equation 7, with the sign of a score). With `trainable: false` the centres stay as they are.
 *
 * Input shape: [batch, …, inputs]. Output shape: [batch, …, units].
 */
export class RadialBasis extends Layer<typeof radialOptions> {
  static override readonly className = "RadialBasis";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #centers!: Variable;

  constructor(options: RadialBasisOptions) {
    super(options, radialOptions);
    const { centers, units } = this.config;
    if (centers !== null && centers.length !== units) {
      throw new ArgumentError(
        expected(this.where, `\`centers\` of ${units} rows, one a unit`, `${centers.length} rows`),
      );
    }
  }

  override build(inputShape: BatchShape): void {
    const { units, centers, ...o } = this.config;
    const inputs = knownSize(this.where, inputShape, -1);
    if (centers !== null && centers[0]!.length !== inputs) {
      throw new ArgumentError(
        expected(
          this.where,
          `input of ${centers[0]!.length} values, as \`centers\` have`,
          `${inputs} values`,
        ),
      );
    }
    this.#centers = this.addWeight("centers", [units, inputs], {
      ...weightOf(o, "centers"),
      ...(centers && {
        initializer: (shape: Shape) => leaf(Float32Array.from(centers.flat()), shape, "float32"),
      }),
    });
    this.inputSpec = { minRank: 2, axes: { [-1]: inputs } };
  }

  override call(x: Tensor): Tensor {
    // The differences never reach memory, and near centres lose no digits to |x|² − 2x·c + |c|².
    const distance = sum(square(sub(expandDims(x, -2), this.#centers)), -1);
    return this.config.activation.apply(neg(distance));
  }
}

/** Scores by squared distance to centres, the nearest highest. */
export const radialBasis = maker(RadialBasis);
