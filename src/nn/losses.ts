/**
 * Losses: one row each, with its options and its formula (labels, predictions) → one value per sample
 * (or for all, where they are pooled).
 * Names, options and formulas are Keras 3's in camelCase. Predictions that were made by softmax or
 * sigmoid are recognised, and the loss is computed from the logits: one stable kernel, no clipping.
 * How values are weighed and put together is in `weighting.ts`; nothing here knows of models.
 */
import {
  ArgumentError,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  nearest,
  show,
} from "../errors.js";
import { logCosh as logCoshOf, sigmoidCrossEntropy } from "../ops/composed.js";
import {
  abs,
  add,
  broadcastTo,
  cast,
  div,
  equal,
  lessEqual,
  log,
  logicalOr,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  pow,
  rsqrt,
  sigmoid,
  square,
  sub,
  where,
} from "../ops/elementwise.js";
import { concat, reshape } from "../ops/movement.js";
import { asTensor } from "../ops/op.js";
import { all, max, mean, sum } from "../ops/reduce.js";
import {
  logitsOfSoftmax,
  logSoftmax,
  softmax,
  softmaxCrossEntropy,
  sparseSoftmaxCrossEntropy,
} from "../ops/softmax.js";
import { normalizeAxis } from "../tensor/shape.js";
import type { Tensor, TensorLike } from "../tensor/tensor.js";
import { classesLast, classIndices, sameRank } from "./labels.js";
import { type Reduction, reductions, setCounted, setReduction } from "./weighting.js";

/** Anything that maps labels and predictions to one value per sample. */
export type LossFunction = (yTrue: Tensor, yPred: Tensor) => Tensor;

/** A loss of this file with its options: a function that knows its name. */
export interface Loss extends LossFunction {
  readonly lossName: string;
  readonly options: Readonly<Record<string, LossOption>>;
}

/** Options are plain data, so that a loss can be saved with its model. */
export type LossOption = number | boolean | string | null | readonly number[];

/** What `compile` takes as a loss: a name, a function, or a name with options. */
export type LossIdentifier = string | LossFunction | ({ name: string } & Record<string, unknown>);

/** Keras' fuzz factor, which keeps logarithms and quotients finite. */
const epsilon = 1e-7;

type Options = Readonly<Record<string, LossOption>>;

/** Options in general: the defaults' own types would allow the defaults only. */
type Given<O> = {
  [K in keyof O]?: O[K] extends boolean ? boolean : O[K] extends number ? number : O[K];
} & { reduction?: Reduction };

/** A loss as users call it: with options it is made; with labels and predictions it is computed. */
export interface LossFactory<O extends Options> {
  (options?: Given<O>): Loss;
  (yTrue: TensorLike, yPred: TensorLike, options?: Given<O>): Tensor;
}

interface LossRow {
  make(options: Options): Loss;
  readonly aliases: readonly string[];
  /** Whether labels are class indices rather than one value per prediction. */
  readonly sparse: boolean;
}

const rows = new Map<string, LossRow>();
const factories = new Map<unknown, string>();

function defineLoss<O extends Options>(
  name: string,
  aliases: readonly string[],
  defaults: O,
  formula: (yTrue: Tensor, yPred: Tensor, options: O) => Tensor,
  { sparse = false }: { sparse?: boolean } = {},
): LossFactory<O> {
  const make = (given: Given<O> = {}): Loss => {
    checkKeys(`loss ${name}`, given, [...Object.keys(defaults), "reduction"]);
    // Every option is either given or has its default.
    const options = { ...defaults, ...given } as O;
    for (const [key, value] of Object.entries(options))
      checkOption(name, key, value, defaults[key]);
    const loss = (yTrue: Tensor, yPred: Tensor): Tensor => {
      const predictions = asTensor(name, yPred);
      const labels = asTensor(name, yTrue);
      const values = sparse
        ? formula(labels, predictions, options)
        : formula(...sameRank(name, labels, predictions), options);
      if (given.reduction) setReduction(values, given.reduction);
      return values;
    };
    Object.defineProperty(loss, "name", { value: name });
    return Object.assign(loss, { lossName: name, options: Object.freeze(options) });
  };
  // A row's options are checked against its own defaults, so the registry may forget their type.
  rows.set(name, { make: (options) => make(options as Given<O>), aliases, sparse });
  const factory = (first?: unknown, second?: TensorLike, third?: Given<O>): Loss | Tensor =>
    second === undefined
      ? make((first ?? {}) as Given<O>)
      : make(third)(asTensor(name, first as TensorLike), asTensor(name, second));
  factories.set(factory, name);
  // The two call signatures of LossFactory are told apart above.
  return factory as LossFactory<O>;
}

function checkOption(loss: string, key: string, value: LossOption, standard?: LossOption): void {
  const where_ = `loss ${loss}`;
  if (key === "reduction") checkChoice(where_, key, value, reductions);
  else if (key === "axis") {
    // Where all is pooled by default there may be several axes.
    if (standard !== null) checkInteger(where_, key, value);
    else for (const axis of value === null ? [] : [value].flat()) checkInteger(where_, key, axis);
  } else if (typeof standard === "boolean") checkBoolean(where_, key, value);
  else if (key === "labelSmoothing") checkNumber(where_, key, value, 0, 1);
  else if (value !== null || standard !== null) checkNumber(where_, key, value);
}

/* ---- what formulas share -------------------------------------------------------------------------- */

const axisMean = (x: Tensor, axis: number): Tensor => (x.rank <= 1 ? x : mean(x, axis));
const lastAxisMean = (x: Tensor): Tensor => axisMean(x, -1);
const lastAxisSum = (x: Tensor): Tensor => (x.rank <= 1 ? x : sum(x, -1));

const clip = (x: Tensor, low: number, high: number): Tensor => minimum(maximum(x, low), high);

/** The logits `p` was made from, if it was made by a sigmoid (also behind a reshape). */
export function logitsOfSigmoid(p: Tensor): Tensor | null {
  const op = p.node?.op.name;
  if (op === "sigmoid") return p.node!.inputs[0]!;
  if (op !== "reshape") return null;
  const logits = logitsOfSigmoid(p.node!.inputs[0]!);
  return logits && reshape(logits, p.shape);
}

/* ---- regression -------------------------------------------------------------------------------- */

/** mean (t − p)². */
export const meanSquaredError = defineLoss("meanSquaredError", ["mse", "MSE"], {}, (t, p) =>
  lastAxisMean(square(sub(p, t))),
);

/** mean |t − p|. */
export const meanAbsoluteError = defineLoss("meanAbsoluteError", ["mae", "MAE"], {}, (t, p) =>
  lastAxisMean(abs(sub(p, t))),
);

/** 100 · mean |(t − p) / t|. */
export const meanAbsolutePercentageError = defineLoss(
  "meanAbsolutePercentageError",
  ["mape", "MAPE"],
  {},
  (t, p) => mul(lastAxisMean(abs(div(sub(t, p), maximum(abs(t), epsilon)))), 100),
);

/** mean (log(1 + t) − log(1 + p))²; negative values count as 0. */
export const meanSquaredLogarithmicError = defineLoss(
  "meanSquaredLogarithmicError",
  ["msle", "MSLE"],
  {},
  (t, p) => {
    const logOf = (x: Tensor): Tensor => log(add(maximum(x, epsilon), 1));
    return lastAxisMean(square(sub(logOf(p), logOf(t))));
  },
);

/** Quadratic up to `delta`, linear beyond (Huber 1964). */
export const huber = defineLoss("huber", ["huberLoss"], { delta: 1 }, (t, p, { delta }) => {
  const error = abs(sub(p, t));
  const linear = sub(mul(error, delta), 0.5 * delta * delta);
  return lastAxisMean(where(lessEqual(error, delta), mul(square(error), 0.5), linear));
});

/** mean log cosh(p − t). */
export const logCosh = defineLoss("logCosh", ["logcosh"], {}, (t, p) =>
  lastAxisMean(logCoshOf(sub(p, t))),
);

/** mean (p − t · log p), of counts. */
export const poisson = defineLoss("poisson", [], {}, (t, p) =>
  lastAxisMean(sub(p, mul(t, log(add(p, epsilon))))),
);

const unit = (x: Tensor): Tensor =>
  mul(x, rsqrt(maximum(sum(square(x), -1, true), epsilon * epsilon)));

/** −cosine of the angle between labels and predictions: −1 where they point the same way. */
export const cosineSimilarity = defineLoss(
  "cosineSimilarity",
  ["cosineProximity", "cosine"],
  { axis: -1 },
  (labels, predictions, { axis }) => {
    const t = classesLast("cosineSimilarity", labels, axis);
    const p = classesLast("cosineSimilarity", predictions, axis);
    return neg(lastAxisSum(mul(unit(t), unit(p))));
  },
);

/* ---- two classes, or independent labels --------------------------------------------------------- */

/** −(t·log p + (1 − t)·log(1 − p)) per element, from logits where they are known. */
function binaryElements(t: Tensor, p: Tensor, fromLogits: boolean): Tensor {
  const logits = fromLogits ? p : logitsOfSigmoid(p);
  if (logits) return sigmoidCrossEntropy(t, logits);
  const safe = clip(p, epsilon, 1 - epsilon);
  return neg(add(mul(t, log(safe)), mul(sub(1, t), log(sub(1, safe)))));
}

const smoothBinary = (t: Tensor, s: number): Tensor => (s === 0 ? t : add(mul(t, 1 - s), 0.5 * s));

/** Cross-entropy of independent probabilities and labels of 0 and 1. */
export const binaryCrossentropy = defineLoss(
  "binaryCrossentropy",
  ["bce", "BCE"],
  { fromLogits: false, labelSmoothing: 0, axis: -1 },
  (t, p, { fromLogits, labelSmoothing, axis }) =>
    axisMean(binaryElements(smoothBinary(t, labelSmoothing), p, fromLogits), axis),
);

const power = (x: Tensor, exponent: number): Tensor =>
  exponent === 2 ? square(x) : exponent === 1 ? x : pow(x, exponent);

/** Binary cross-entropy in which easy samples count less (Lin et al. 2018). */
export const binaryFocalCrossentropy = defineLoss(
  "binaryFocalCrossentropy",
  [],
  {
    applyClassBalancing: false,
    alpha: 0.25,
    gamma: 2,
    fromLogits: false,
    labelSmoothing: 0,
    axis: -1,
  },
  (labels, p, { applyClassBalancing, alpha, gamma, fromLogits, labelSmoothing, axis }) => {
    const t = smoothBinary(labels, labelSmoothing);
    const probability = fromLogits ? sigmoid(p) : p;
    const ofLabel = add(mul(t, probability), mul(sub(1, t), sub(1, probability)));
    let values = mul(power(sub(1, ofLabel), gamma), binaryElements(t, p, fromLogits));
    if (applyClassBalancing) {
      values = mul(values, add(mul(t, alpha), mul(sub(1, t), 1 - alpha)));
    }
    return axisMean(values, axis);
  },
);

/** Labels of 0 and 1 as −1 and 1; labels that are not all 0 or 1 stay. */
function hingeLabels(t: Tensor): Tensor {
  const binary = all(logicalOr(equal(t, 0), equal(t, 1)));
  return where(binary, sub(mul(t, 2), 1), t);
}

/** mean max(1 − t·p, 0), of labels −1 and 1 (0 and 1 are converted). */
export const hinge = defineLoss("hinge", [], {}, (t, p) =>
  lastAxisMean(maximum(sub(1, mul(hingeLabels(t), p)), 0)),
);

/** mean max(1 − t·p, 0)². */
export const squaredHinge = defineLoss("squaredHinge", [], {}, (t, p) =>
  lastAxisMean(square(maximum(sub(1, mul(hingeLabels(t), p)), 0))),
);

/* ---- several classes ------------------------------------------------------------------------------ */

/** Probabilities that sum to 1 and stay off 0 and 1, so that their logarithm is finite. */
const normalized = (p: Tensor): Tensor => clip(div(p, sum(p, -1, true)), epsilon, 1 - epsilon);

const categoricalOptions = { fromLogits: false, labelSmoothing: 0, axis: -1 };

/** Cross-entropy of a distribution over classes and one-hot labels (or probabilities). */
export const categoricalCrossentropy = defineLoss(
  "categoricalCrossentropy",
  ["cce"],
  categoricalOptions,
  (labels, predictions, { fromLogits, labelSmoothing, axis }) => {
    const t = classesLast("categoricalCrossentropy", labels, axis);
    const p = classesLast("categoricalCrossentropy", predictions, axis);
    const logits = fromLogits ? p : logitsOfSoftmax(p);
    if (logits) return softmaxCrossEntropy(t, logits, labelSmoothing);
    const classes = p.shape[p.rank - 1]!;
    const smooth =
      labelSmoothing === 0 ? t : add(mul(t, 1 - labelSmoothing), labelSmoothing / classes);
    return neg(sum(mul(smooth, log(normalized(p))), -1));
  },
);

/** Cross-entropy of a distribution over classes and class indices; `ignoreClass` counts for nothing. */
export const sparseCategoricalCrossentropy = defineLoss(
  "sparseCategoricalCrossentropy",
  ["scce"],
  { fromLogits: false, ignoreClass: null as number | null, axis: -1 },
  (labels, predictions, { fromLogits, ignoreClass, axis }) => {
    const p = classesLast("sparseCategoricalCrossentropy", predictions, axis);
    const known = classIndices("sparseCategoricalCrossentropy", labels, p);
    const counts = ignoreClass === null ? null : notEqual(known, ignoreClass);
    const index = counts ? mul(known, cast(counts, "int32")) : known;
    const logits = fromLogits ? p : (logitsOfSoftmax(p) ?? log(normalized(p)));
    const values = sparseSoftmaxCrossEntropy(index, logits);
    if (!counts) return values;
    const masked = where(counts, values, 0);
    setCounted(masked, counts);
    return masked;
  },
  { sparse: true },
);

/**
 * −log of the probability of class indices where every class scores, and one more that stands for none of them
 * has the score −`rejection`: log(e^−rejection + Σ eˢ) − s. With scores of `lw.layers.radialBasis` it is the criterion
 * of LeNet-5 (LeCun et al. 1998, equation 9). Of a softmax its inputs are the scores.
 */
export const maximumAPosteriori = defineLoss(
  "maximumAPosteriori",
  ["map"],
  { rejection: 1 },
  (labels, predictions, { rejection }) => {
    const scores = logitsOfSoftmax(predictions) ?? predictions;
    const index = classIndices("maximumAPosteriori", labels, predictions);
    const none = broadcastTo(asTensor("maximumAPosteriori", -rejection), [
      ...scores.shape.slice(0, -1),
      1,
    ]);
    return sparseSoftmaxCrossEntropy(index, concat([scores, none], -1));
  },
  { sparse: true },
);

/** Categorical cross-entropy in which easy samples count less (Lin et al. 2018). */
export const categoricalFocalCrossentropy = defineLoss(
  "categoricalFocalCrossentropy",
  [],
  { alpha: 0.25, gamma: 2, ...categoricalOptions },
  (labels, predictions, { alpha, gamma, fromLogits, labelSmoothing, axis }) => {
    const p = classesLast("categoricalFocalCrossentropy", predictions, axis);
    const known = classesLast("categoricalFocalCrossentropy", labels, axis);
    const classes = p.shape[p.rank - 1]!;
    const t =
      labelSmoothing === 0 ? known : add(mul(known, 1 - labelSmoothing), labelSmoothing / classes);
    const logits = fromLogits ? p : logitsOfSoftmax(p);
    const probability = logits ? softmax(logits) : normalized(p);
    const logarithm = logits ? logSoftmax(logits) : log(probability);
    const factor = mul(power(sub(1, probability), gamma), alpha);
    return neg(sum(mul(mul(factor, t), logarithm), -1));
  },
);

/** max(max of the other classes − the label's prediction + 1, 0). */
export const categoricalHinge = defineLoss("categoricalHinge", [], {}, (t, p) => {
  const positive = sum(mul(t, p), -1);
  const negative = max(mul(sub(1, t), p), -1);
  return maximum(add(sub(negative, positive), 1), 0);
});

/** Σ t·log(t / p): how far the predicted distribution is from the labels'. */
export const kullbackLeiblerDivergence = defineLoss(
  "kullbackLeiblerDivergence",
  ["kld", "KLD", "klDivergence"],
  {},
  (labels, predictions) => {
    const t = clip(labels, epsilon, 1);
    const p = clip(predictions, epsilon, 1);
    return lastAxisSum(mul(t, log(div(t, p))));
  },
);

/** Over which axes a mask is compared; null takes the whole batch as one mask, as in Keras. */
const pooled = { axis: null as number | readonly number[] | null };

/** 1 − Dice coefficient of the masks (Sørensen 1948); `axis: [1, 2, 3]` gives a value per image. */
export const dice = defineLoss("dice", [], pooled, (t, p, { axis }) => {
  const total = (x: Tensor): Tensor => sum(x, axis);
  return sub(1, div(mul(total(mul(t, p)), 2), add(add(total(t), total(p)), epsilon)));
});

/** Dice with separate weights: `alpha` for false positives, `beta` for false negatives. */
export const tversky = defineLoss(
  "tversky",
  [],
  { alpha: 0.5, beta: 0.5, ...pooled },
  (t, p, { alpha, beta, axis }) => {
    const hit = sum(mul(t, p), axis);
    const falsePositive = mul(sum(mul(sub(1, t), p), axis), alpha);
    const falseNegative = mul(sum(mul(t, sub(1, p)), axis), beta);
    return sub(1, div(hit, add(add(add(hit, falsePositive), falseNegative), epsilon)));
  },
);

/* ---- lookup ------------------------------------------------------------------------------------------ */

/** Every loss name, without the aliases. */
export function lossNames(): string[] {
  return [...rows.keys()];
}

function rowNamed(name: string): { readonly name: string; readonly row: LossRow } | undefined {
  const own = rows.get(name);
  if (own) return { name, row: own };
  for (const [key, row] of rows) if (row.aliases.includes(name)) return { name: key, row };
  return undefined;
}

/** The full name of a loss given by name or alias, if there is one. */
export function lossNamed(name: string): Loss | undefined {
  return rowNamed(name)?.row.make({});
}

/** The name of a loss given as its factory, `losses.huber` without a call. */
export function lossFactoryName(identifier: unknown): string | undefined {
  return factories.get(identifier);
}

/** The loss a user means. Unknown names are an error with the nearest known one. */
export function resolveLoss(where_: string, identifier: LossIdentifier): LossFunction {
  if (typeof identifier === "function") {
    // `losses.huber` itself rather than `losses.huber()`: take its defaults.
    const name = lossFactoryName(identifier);
    return name === undefined ? identifier : rows.get(name)!.make({});
  }
  const name = typeof identifier === "string" ? identifier : identifier?.name;
  if (typeof name !== "string") {
    throw new ArgumentError(expected(where_, "the name of a loss or a function", show(identifier)));
  }
  const found = rowNamed(name);
  if (!found) throw unknownName(where_, "loss", name, lossNames(), [...allNames()]);
  if (typeof identifier === "string") return found.row.make({});
  const { name: _, ...options } = identifier;
  return found.row.make(options as Options);
}

function* allNames(): Iterable<string> {
  for (const [name, row] of rows) yield* [name, ...row.aliases];
}

/** An error for a name that is in no table, with the nearest one that is. */
export function unknownName(
  where_: string,
  kind: string,
  name: string,
  names: readonly string[],
  withAliases = names,
): ArgumentError {
  const near = nearest(name.replaceAll("_", ""), withAliases);
  return new ArgumentError(
    `${where_}: there is no ${kind} named ${show(name)}; ${
      near ? `did you mean ${show(near)}?` : `the names are ${names.join(", ")}`
    }`,
  );
}

/** Name and options of a loss of this file; undefined for a function of the user's own. */
export function lossConfig(loss: LossFunction): { name: string; options: Options } | undefined {
  const own = loss as Partial<Loss>;
  return own.lossName !== undefined && own.options !== undefined
    ? { name: own.lossName, options: own.options }
    : undefined;
}

/** True when the loss takes class indices; a user's own function takes what it likes. */
export function takesClassIndices(loss: LossFunction): boolean {
  const config = lossConfig(loss);
  return config !== undefined && rows.get(config.name)!.sparse;
}

/** The axis of the classes in predictions of `rank`: the last, unless the loss was made with another. */
export function classAxis(loss: LossFunction, rank: number): number {
  const axis = lossConfig(loss)?.options.axis;
  return normalizeAxis("loss", typeof axis === "number" ? axis : -1, rank);
}

/** True for a loss of this file that wants labels shaped like the predictions. */
export function wantsEqualShapes(loss: LossFunction): boolean {
  const config = lossConfig(loss);
  return config !== undefined && !rows.get(config.name)!.sparse;
}
