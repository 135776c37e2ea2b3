/** R²: the share of the labels' variance that predictions explain. Formulas are Keras 3's. */
import { checkChoice, checkInteger } from "../../errors.js";
import { divNoNan } from "../../ops/composed.js";
import { add, broadcastTo, div, equal, mul, square, sub, where } from "../../ops/elementwise.js";
import { reshape } from "../../ops/movement.js";
import { mean, sum } from "../../ops/reduce.js";
import { type Shape, sizeOf } from "../../tensor/shape.js";
import { literal, type Tensor } from "../../tensor/tensor.js";
import type { Variable } from "../../tensor/variable.js";
import { sameRank } from "../labels.js";
import { alignWeights } from "../weighting.js";
import { checkOptions, Metric, type MetricConfig, weighed } from "./metric.js";

export interface R2Options {
  /** How several outputs are put together; null gives one value each. */
  classAggregation?: "uniformAverage" | "varianceWeightedAverage" | null;
  /** Above 0, the score is adjusted for this number of predictors. */
  numRegressors?: number;
  name?: string;
}

/** Coefficient of determination: 1 is perfect, 0 is as good as predicting the mean. */
export class R2Score extends Metric {
  override readonly direction = "up";
  readonly #options: R2Options;
  #sum!: Variable;
  #sumOfSquares!: Variable;
  #residual!: Variable;
  #count!: Variable;

  constructor(options: R2Options = {}) {
    super(options.name ?? "r2Score", "r2Score");
    checkOptions("r2Score", options, ["classAggregation", "numRegressors"]);
    const { classAggregation = "uniformAverage", numRegressors = 0 } = options;
    if (classAggregation !== null) {
      checkChoice("metric r2Score", "classAggregation", classAggregation, [
        "uniformAverage",
        "varianceWeightedAverage",
      ]);
    }
    checkInteger("metric r2Score", "numRegressors", numRegressors, 0);
    this.#options = options;
  }

  protected build(_yTrue: Shape, yPred: Shape): void {
    const shape = [yPred.length > 1 ? yPred[yPred.length - 1]! : 1];
    this.#sum = this.addState("sum", shape);
    this.#sumOfSquares = this.addState("sumOfSquares", shape);
    this.#residual = this.addState("residual", shape);
    this.#count = this.addState("count", shape);
  }

  protected update(yTrue: Tensor, yPred: Tensor, weights: Tensor | null): void {
    const [labels, predictions] = sameRank(this.name, yTrue, yPred);
    const outputs = this.#sum.shape[0]!;
    const rows = (x: Tensor): Tensor => reshape(x, [sizeOf(x.shape) / outputs, outputs]);
    const t = rows(labels);
    const p = rows(predictions);
    const w = rows(
      weights
        ? broadcastTo(alignWeights(weights, labels), labels.shape)
        : broadcastTo(literal(1, "float32"), labels.shape),
    );
    const accumulate = (state: Variable, x: Tensor): void => {
      state.assign(add(state.read(), sum(weighed(x, w), 0)));
    };
    accumulate(this.#sum, t);
    accumulate(this.#sumOfSquares, square(t));
    accumulate(this.#residual, square(sub(t, p)));
    this.#count.assign(add(this.#count.read(), sum(w, 0)));
  }

  result(): Tensor {
    const { classAggregation = "uniformAverage", numRegressors = 0 } = this.#options;
    const average = divNoNan(this.#sum.read(), this.#count.read());
    const total = sub(this.#sumOfSquares.read(), mul(this.#sum.read(), average));
    const residual = this.#residual.read();
    // Labels without variance explain nothing: 1 if they were hit exactly, else 0 (as scikit-learn).
    const flat = where(equal(residual, 0), literal(1, "float32"), literal(0, "float32"));
    const scores = where(equal(total, 0), flat, sub(1, divNoNan(residual, total)));
    let score =
      classAggregation === null
        ? scores
        : classAggregation === "uniformAverage"
          ? mean(scores)
          : divNoNan(sum(mul(scores, total)), sum(total));
    if (numRegressors > 0) {
      const count = mean(this.#count.read());
      const freedom = sub(sub(count, 1), numRegressors);
      score = sub(1, div(mul(sub(1, score), sub(count, 1)), freedom));
    }
    return score;
  }

  getConfig(): MetricConfig {
    const { name: _, ...config } = this.#options;
    return config;
  }
}
