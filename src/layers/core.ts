/** Layers everybody needs: dense, activation, changes of shape, lambda, rescaling. */
import { ArgumentError, expected, ShapeError } from "../errors.js";
import { add, cast, mul } from "../ops/elementwise.js";
import { matMul } from "../ops/matmul.js";
import { expandDims, repeat, reshape as reshapeTensor, transpose } from "../ops/movement.js";
import { dtypes } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import {
  activation as activationOption,
  boolean,
  dataFormat,
  type Field,
  integer,
  integers,
  knownSize,
  number,
  type OptionsOf,
  weightFields,
  weightOf,
} from "./config.js";
import { type CallContext, type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import type { BatchShape, BatchSpec } from "./symbolic.js";

const denseOptions = {
  /** Size of the output. */
  units: integer({ min: 1 }),
  /** Applied to the output; none by default. */
  activation: activationOption(),
  /** Whether a bias is added. */
  useBias: boolean(true),
  ...weightFields("kernel", "glorotUniform"),
  ...weightFields("bias", "zeros"),
};

/** Options of {@link dense}. */
export type DenseOptions = LayerOptions & OptionsOf<typeof denseOptions>;

/**
 * y = activation(x · kernel + bias): a fully connected layer.
 *
 * Input shape: [batch, …, inputs]. Output shape: [batch, …, units].
 */
export class Dense extends Layer<typeof denseOptions> {
  static override readonly className = "Dense";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { minRank: 2 };
  #kernel!: Variable;
  #bias: Variable | undefined;

  constructor(options: DenseOptions) {
    super(options, denseOptions);
  }

  override build(inputShape: BatchShape): void {
    const { units, useBias, ...o } = this.config;
    const inputs = knownSize(this.where, inputShape, -1);
    this.#kernel = this.addWeight("kernel", [inputs, units], weightOf(o, "kernel"));
    if (useBias) {
      this.#bias = this.addWeight("bias", [units], weightOf(o, "bias"));
    }
    this.inputSpec = { minRank: 2, axes: { [-1]: inputs } };
  }

  override call(x: Tensor): Tensor {
    const product = matMul(x, this.#kernel);
    return this.config.activation.apply(this.#bias ? add(product, this.#bias) : product);
  }
}

/** A fully connected layer: `activation(x · kernel + bias)`. */
export const dense = maker(Dense);

const activationOptions = { activation: activationOption() };

/** Options of {@link activation}. */
export type ActivationLayerOptions = LayerOptions & OptionsOf<typeof activationOptions>;

/** Applies an activation. Output shape: as the input. */
export class ActivationLayer extends Layer<typeof activationOptions> {
  static override readonly className = "Activation";
  override readonly supportsMasking = true;

  constructor(options: ActivationLayerOptions) {
    super(options, activationOptions);
  }

  override call(x: Tensor): Tensor {
    return this.config.activation.apply(x);
  }
}

/** Applies an activation: `layers.activation({ activation: "relu" })`. */
export const activation = maker(ActivationLayer);

const identityOptions = {};

/** Passes its input on. Output shape: as the input. */
export class Identity extends Layer<typeof identityOptions> {
  static override readonly className = "Identity";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { dtypes };

  constructor(options: LayerOptions = {}) {
    super(options, identityOptions);
  }

  override call(x: Tensor): Tensor {
    return x;
  }
}

/** Passes its input on: a place in a model where nothing is to be done. */
export const identity = maker(Identity);

const flattenOptions = {
  /** With `channelsFirst`, channels are moved last before flattening. */
  dataFormat: dataFormat(),
};

/** All of a sample's values in one dimension. Output shape: [batch, product of the others]. */
export class Flatten extends Layer<typeof flattenOptions> {
  static override readonly className = "Flatten";
  protected override inputSpec: InputSpec = { minRank: 1, dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof flattenOptions> = {}) {
    super(options, flattenOptions);
  }

  override call(x: Tensor): Tensor {
    const swap = this.config.dataFormat === "channelsFirst" && x.rank > 2;
    const last = swap ? transpose(x, [0, ...x.shape.map((_, i) => i).slice(2), 1]) : x;
    const size = x.shape.slice(1).reduce((a, b) => a * b, 1);
    return reshapeTensor(last, [x.shape[0]!, size]);
  }
}

/** All of a sample's values in one dimension. */
export const flatten = maker(Flatten);

const reshapeOptions = {
  /** Shape of one sample; one dimension may be −1. */
  targetShape: integers({ min: -1 }),
};

/** A sample's values in another shape. Output shape: [batch, …targetShape]. */
export class Reshape extends Layer<typeof reshapeOptions> {
  static override readonly className = "Reshape";
  protected override inputSpec: InputSpec = { minRank: 1, dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof reshapeOptions>) {
    super(options, reshapeOptions);
    if (this.config.targetShape.filter((d) => d === -1).length > 1) {
      throw new ArgumentError(
        expected(this.where, "`targetShape` with at most one -1", this.config.targetShape),
      );
    }
  }

  /** By arithmetic: a free dimension tried with a prime would not divide. */
  override inferOutputs(inputs: readonly BatchSpec[]): { outputs: BatchSpec[]; listed: boolean } {
    const { targetShape } = this.config;
    const [batch, ...sample] = inputs[0]!.shape as [number | null, ...(number | null)[]];
    let target: (number | null)[] = [...targetShape];
    if (sample.includes(null)) {
      target = targetShape.map((d) => (d === -1 ? null : d));
    } else {
      const size = (sample as number[]).reduce((a, b) => a * b, 1);
      const known = targetShape.reduce((a, b) => (b === -1 ? a : a * b), 1);
      const rest = known === 0 ? 0 : size / known;
      target = targetShape.map((d) => (d === -1 ? rest : d));
      if (!Number.isInteger(rest) || (!targetShape.includes(-1) && rest !== 1 && size !== known)) {
        throw new ShapeError(
          `${this.where}: a sample of shape ${showShape(sample)} has ${size} values, ` +
            `which do not fit targetShape ${showShape(targetShape)}`,
        );
      }
    }
    return { outputs: [{ shape: [batch, ...target], dtype: inputs[0]!.dtype }], listed: false };
  }

  override call(x: Tensor): Tensor {
    return reshapeTensor(x, [x.shape[0]!, ...this.config.targetShape]);
  }
}

/** A sample's values in another shape. */
export const reshape = maker(Reshape);

const permuteOptions = {
  /** The sample's dimensions in their new order, counted from 1. */
  dims: integers({ min: 1 }),
};

/** A sample's dimensions in another order; the batch stays first. */
export class Permute extends Layer<typeof permuteOptions> {
  static override readonly className = "Permute";
  protected override inputSpec: InputSpec;

  constructor(options: LayerOptions & OptionsOf<typeof permuteOptions>) {
    super(options, permuteOptions);
    const { dims } = this.config;
    if ([...dims].sort((a, b) => a - b).some((d, i) => d !== i + 1)) {
      throw new ArgumentError(
        expected(this.where, `\`dims\` to be an order of 1 … ${dims.length}`, dims),
      );
    }
    this.inputSpec = { rank: dims.length + 1, dtypes };
  }

  override call(x: Tensor): Tensor {
    return transpose(x, [0, ...this.config.dims]);
  }
}

/** A sample's dimensions in another order. */
export const permute = maker(Permute);

const repeatVectorOptions = {
  /** How many times. */
  n: integer({ min: 1 }),
};

/** Each vector n times. Input shape: [batch, size]. Output shape: [batch, n, size]. */
export class RepeatVector extends Layer<typeof repeatVectorOptions> {
  static override readonly className = "RepeatVector";
  protected override inputSpec: InputSpec = { rank: 2, dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof repeatVectorOptions>) {
    super(options, repeatVectorOptions);
  }

  override call(x: Tensor): Tensor {
    return repeat(expandDims(x, 1), this.config.n, 1);
  }
}

/** Each vector n times. */
export const repeatVector = maker(RepeatVector);

/** What a lambda layer computes. */
export type LambdaFunction = (inputs: Tensor & Tensor[], context: CallContext) => Tensor | Tensor[];

const unsavable: Field<LambdaFunction, LambdaFunction, true> = {
  required: true,
  parse: (where, option, given) => {
    if (typeof given !== "function") {
      throw new ArgumentError(expected(where, `\`${option}\` to be a function of a tensor`, given));
    }
    // Its signature can't be checked at run time.
    return given as LambdaFunction;
  },
  serialize: (_, where) => {
    throw new ArgumentError(
      `${where}: a lambda layer can't be saved, because its function can't; ` +
        "write it as a class that extends Layer and enter that with registerLayer()",
    );
  },
};

const lambdaOptions = { function: unsavable };

/**
 * A function of tensors as a layer. It can't be saved: for that, write a class that extends `Layer`.
 */
export class Lambda extends Layer<typeof lambdaOptions> {
  static override readonly className = "Lambda";
  protected override inputSpec: InputSpec = { arity: "any", dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof lambdaOptions>) {
    super(options, lambdaOptions);
  }

  override call(inputs: Tensor | Tensor[], context: CallContext): Tensor | Tensor[] {
    // The user's function knows whether it is applied to one tensor or to several.
    return this.config.function(inputs as Tensor & Tensor[], context);
  }
}

/**
 * A function of tensors as a layer.
 *
 * @example
 * lw.layers.lambda({ function: (x) => x.square() });
 */
export const lambda = maker(Lambda);

const rescalingOptions = {
  /** Factor. */
  scale: number(),
  /** Added after scaling. */
  offset: number({}, 0),
};

/** x · scale + offset as float32, whatever the input's dtype: for images, scale 1/255. */
export class Rescaling extends Layer<typeof rescalingOptions> {
  static override readonly className = "Rescaling";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { dtypes };

  constructor(options: LayerOptions & OptionsOf<typeof rescalingOptions>) {
    super(options, rescalingOptions);
  }

  override call(x: Tensor): Tensor {
    const scaled = mul(cast(x, "float32"), this.config.scale);
    return this.config.offset === 0 ? scaled : add(scaled, this.config.offset);
  }
}

/** x · scale + offset as float32. */
export const rescaling = maker(Rescaling);
