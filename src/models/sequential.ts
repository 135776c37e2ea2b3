/** Sequential: a model that is a stack of layers, each taking what the one before it gives. */
import { ArgumentError, expected, FormatError, ShapeError, StateError, show } from "../errors.js";
import { InputLayer } from "../layers/input.js";
import { Layer } from "../layers/layer.js";
import { deserializeLayer, registerLayer, serializeLayer } from "../layers/registry.js";
import type { BatchShape, SymbolicTensor } from "../layers/symbolic.js";
import { agrees, Network } from "../network/network.js";
import type { JsonObject } from "../nn/options.js";
import { showShape } from "../tensor/shape.js";
import type { DataLike } from "../training/data.js";
import { Model, shapeOfData } from "./model.js";

/** Options of `lw.sequential`. */
export interface SequentialOptions {
  readonly layers?: readonly Layer[];
  readonly name?: string;
  readonly trainable?: boolean;
}

/** A stack of layers. Make one with `lw.sequential`. */
export class Sequential extends Model {
  static override readonly className: string = "Sequential";
  /** The layers that were added, without the input layer. */
  readonly #stack: Layer[] = [];
  /** The input, then what each layer of the stack gives; empty until the input shape is known. */
  #values: SymbolicTensor[] = [];
  #input: InputLayer | null = null;

  /** @internal Use `lw.sequential`. */
  constructor({ layers = [], ...options }: SequentialOptions = {}) {
    super(options);
    if (!Array.isArray(layers)) {
      throw new ArgumentError(
        expected(this.where, "`layers` to be an array of layers", show(layers)),
      );
    }
    for (const layer of layers) this.add(layer);
  }

  /** Makes a stack from what {@link Sequential.getConfig} gave. */
  static override fromConfig(config: JsonObject): Sequential {
    const { name, trainable, layers, buildInputShape } = config as Readonly<
      Record<string, unknown>
    >;
    if (typeof name !== "string" || !Array.isArray(layers)) {
      throw new FormatError("configuration of a sequential model: expected `name` and `layers`");
    }
    const made = new this({
      name,
      trainable: trainable !== false,
      layers: layers.map((layer: unknown) => deserializeLayer(layer)),
    });
    if (!made.built && Array.isArray(buildInputShape)) made.build(buildInputShape as BatchShape);
    return made;
  }

  /**
   * Adds a layer on top.
   *
   * @throws StateError while it trains, or once it is a layer of another model.
   */
  add(layer: Layer): void {
    if (!(layer instanceof Layer)) {
      throw new ArgumentError(
        expected(
          `${this.where}: add()`,
          "a layer, such as lw.layers.dense({ units: 10 })",
          show(layer),
        ),
      );
    }
    if (this.#stack.includes(layer)) {
      throw new ArgumentError(
        `${this.where}: ${layer.where} is in it already; a layer that is used twice needs lw.model`,
      );
    }
    this.#checkFree("add()");
    if (layer instanceof InputLayer) {
      if (this.#stack.length > 0 || this.#input) {
        throw new ArgumentError(`${this.where}: an input layer can only come first`);
      }
      this.#input = layer;
      this.#values = [layer.symbol];
      this.setLayers([layer]);
      return;
    }
    this.#stack.push(layer);
    try {
      if (this.#stack.length === 1 && this.#values.length === 0) this.#begin(layer);
      if (this.#values.length > 0) this.#values.push(this.#applied(layer));
    } catch (error) {
      this.#stack.pop();
      throw error;
    }
    this.#wire();
  }

  /**
   * Takes the last layer off.
   *
   * @throws StateError when there is none, and where {@link Sequential.add} would.
   */
  pop(): Layer {
    this.#checkFree("pop()");
    const layer = this.#stack.pop();
    if (!layer) throw new StateError(`${this.where}: pop() of a model without layers`);
    const value = this.#values.pop();
    // It is free to be used, or changed, elsewhere.
    const index = layer.connections.findIndex(({ outputs }) => outputs[0] === value);
    if (index >= 0) layer.connections.splice(index, 1);
    if (this.#stack.length === 0 && !this.#input) this.#values = [];
    this.#wire();
    return layer;
  }

  /** Throws if the stack may not change now. */
  #checkFree(what: string): void {
    this.checkIdle(what);
    if (this.connections.length === 0) return;
    throw new StateError(
      `${what} of ${this.where}: it is a layer of another model, which was built for the layers it has; ` +
        "change it before, or make a new one of its layers",
    );
  }

  /** Makes the weights for inputs of this shape (with the batch dimension, null for any). */
  override build(inputShape: BatchShape | BatchShape[]): void {
    if (this.built) return;
    const first = this.#stack[0];
    if (!first) throw new StateError(`${this.where}: it has no layers to build`);
    const input = new InputLayer({
      name: `${first.name}_input`,
      batchInputShape: inputShape as BatchShape,
      inputDType: first.inputDType,
    });
    this.#values = [input.symbol];
    for (const layer of this.#stack) this.#values.push(this.#applied(layer));
    this.#wire();
  }

  protected override prepareFor(x: DataLike): void {
    if (this.#stack.length > 0) this.build(shapeOfData(this.where, x));
  }

  /** The input, from the first layer's own input shape. */
  #begin(first: Layer): void {
    const shape =
      first.batchInputShape ??
      (first instanceof Network && first.built ? first.inputs[0]!.shape : null);
    if (!shape) return;
    const dtype = first instanceof Network ? first.inputs[0]!.dtype : first.inputDType;
    this.#values = [
      new InputLayer({ name: `${first.name}_input`, batchInputShape: shape, inputDType: dtype })
        .symbol,
    ];
  }

  #applied(layer: Layer): SymbolicTensor {
    const input = this.#values[this.#values.length - 1]!;
    // What it was told, not what it would assume as the first.
    const own = layer.base.batchInputShape;
    if (own && !agrees(own, input.shape)) {
      throw new ShapeError(
        `${this.where}: ${layer.where} has the input shape ${showShape(own)} of its own, but is given ` +
          `${showShape(input.shape)}; only the first layer of a stack needs an inputShape`,
      );
    }
    const output: unknown = layer.apply(input);
    if (Array.isArray(output)) {
      throw new ArgumentError(
        `${this.where}: ${layer.where} has ${output.length} outputs; a stack passes on one: use lw.model`,
      );
    }
    return output as SymbolicTensor;
  }

  #wire(): void {
    this.rewired();
    if (this.#values.length > 1) {
      this.setGraph([this.#values[0]!], [this.#values[this.#values.length - 1]!], this.#stack);
    } else {
      this.clearGraph();
      this.setLayers(this.#stack);
    }
  }

  override getConfig(): JsonObject {
    return {
      name: this.name,
      trainable: this.trainable,
      layers: [...(this.#input ? [this.#input] : []), ...this.#stack].map((layer) => ({
        ...serializeLayer(layer),
      })),
      ...(this.#values.length > 0 ? { buildInputShape: [...this.#values[0]!.shape] } : {}),
    };
  }
}

/**
 * A model that is a stack of layers.
 *
 * @example
 * const m = lw.sequential([
 *   lw.layers.dense({ units: 8, activation: "tanh", inputShape: [2] }),
 *   lw.layers.dense({ units: 1, activation: "sigmoid" }),
 * ]);
 * m.countParams(); // 33
 *
 * @throws ArgumentError for a layer by itself, and what `add` throws.
 */
export function sequential(options: readonly Layer[] | SequentialOptions = {}): Sequential {
  if (options instanceof Layer) {
    throw new ArgumentError(
      expected("sequential", "an array of layers, such as [lw.layers.dense({ … })]", show(options)),
    );
  }
  return new Sequential(
    Array.isArray(options) ? { layers: options } : (options as SequentialOptions),
  );
}

registerLayer(Sequential);
