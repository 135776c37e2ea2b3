/** Layers of the user's own: by subclass, with and without declared options, and made of other layers. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { type Json, type JsonObject, number, type OptionsOf } from "../../src/layers/config.js";
import { type CallContext, Layer, type LayerOptions } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { deserializeLayer, registerLayer, serializeLayer } from "../../src/layers/registry.js";
import type { BatchShape } from "../../src/layers/symbolic.js";
import { input, Network } from "../../src/network/network.js";
import { sum } from "../../src/ops/reduce.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { Variable } from "../../src/tensor/variable.js";

const scaleOptions = { factor: number({ min: 0 }, 2) };

/** With declared options: configuration and checks follow from the declaration. */
class Scale extends Layer<typeof scaleOptions> {
  static override readonly className = "test>Scale";
  #weight!: Variable;

  constructor(options: LayerOptions & OptionsOf<typeof scaleOptions> = {}) {
    super(options, scaleOptions);
  }

  override build(shape: BatchShape): void {
    this.#weight = this.addWeight("scale", [shape.at(-1)!], { initializer: "ones" });
  }

  override call(x: Tensor): Tensor {
    return x.mul(this.#weight).mul(this.config.factor);
  }
}

/** As tf.js users write it: options and configuration by hand. */
class Offset extends Layer {
  readonly by: number;

  constructor(options: LayerOptions & { by: number }) {
    super(options);
    this.by = options.by;
  }

  override call(x: Tensor, context: CallContext): Tensor {
    if (context.training) context.addLoss(sum(x));
    return x.add(this.by);
  }

  override getConfig(): JsonObject {
    return { ...super.getConfig(), by: this.by };
  }
}

/** Made of other layers. */
class Block extends Layer {
  static override readonly className = "Block";
  readonly #first = this.addLayer(layers.dense({ units: 4, activation: "relu", name: "first" }));
  readonly #norm = this.addLayer(layers.batchNormalization({ name: "norm" }));

  override call(x: Tensor, context: CallContext): Tensor {
    return this.#norm.invoke(this.#first.invoke(x, context), context);
  }

  override build(shape: BatchShape): void {
    this.#first.ensureBuilt(shape);
    this.#norm.ensureBuilt(this.#first.computeOutputShape(shape) as BatchShape);
  }
}

describe("a layer with declared options", () => {
  test("computes, counts, and is written with its options", () => {
    registerLayer(Scale);
    const layer = new Scale({ factor: 3, name: "scale" });
    expect(layer.apply([[1, 2]]).arraySync()).toEqual([[3, 6]]);
    expect(layer.countParams()).toBe(2);
    expect(layer.computeOutputShape([null, 2])).toEqual([null, 2]);
    expect(layer.flopsPerSample([null, 2])).toBe(4);
    const json = JSON.parse(JSON.stringify(serializeLayer(layer)));
    expect(json).toMatchObject({ className: "test>Scale", config: { name: "scale", factor: 3 } });
    const copy = deserializeLayer(json);
    expect(copy).toBeInstanceOf(Scale);
    expect(copy.apply([[1, 2]])).toMatchObject({ shape: [1, 2] });
  });

  test("mistakes are named", () => {
    expect(() => new Scale({ faktor: 1 } as never)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: test>Scale layer: unknown option \`faktor\`; did you mean \`factor\`?]`,
    );
    expect(() => new Scale({ factor: -1, name: "s" })).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: test>Scale layer "s": expected \`factor\` to be a number ≥ 0, got -1]`,
    );
  });
});

describe("a layer with options by hand", () => {
  test("goes through a model's configuration once registered", () => {
    const x = input({ shape: [2] });
    const make = () =>
      new Network({ inputs: x, outputs: new Offset({ by: 5, name: "offset" }).apply(x) });
    const config = JSON.parse(JSON.stringify(make().getConfig()));
    expect(() => Network.fromConfig(config)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: deserializeLayer(): expected the className of a known layer, got "Offset"; a class of your own must be entered first: registerLayer(Offset)]`,
    );
    registerLayer(Offset);
    const copy = Network.fromConfig(config);
    expect((copy.apply([[1, 2]]) as Tensor).arraySync()).toEqual([[6, 7]]);
  });

  test("adds to the loss", () => {
    const losses: Tensor[] = [];
    const context = {
      training: true,
      random: undefined as never,
      addLoss: (l: Tensor) => losses.push(l),
    };
    const layer = new Offset({ by: 1 });
    layer.invoke(layers.flatten().apply([[1, 2]]), context as unknown as CallContext);
    expect(losses.map((l) => l.item())).toEqual([3]);
  });
});

describe("a layer made of layers", () => {
  test("has their weights under unique names", () => {
    const block = new Block({ name: "block" });
    const y = block.apply(input({ shape: [3] }));
    expect(y.shape).toEqual([null, 4]);
    expect(block.namedWeights().map(([name, w]) => [name, w.shape])).toEqual([
      ["first/kernel", [3, 4]],
      ["first/bias", [4]],
      ["norm/gamma", [4]],
      ["norm/beta", [4]],
      ["norm/movingMean", [4]],
      ["norm/movingVariance", [4]],
    ]);
    expect(block.trainableWeights.length).toBe(4);
    expect(block.countParams()).toBe(3 * 4 + 4 + 16);
    block.trainable = false;
    expect(block.trainableWeights).toEqual([]);
    expect(block.sublayers.map((layer) => layer.trainable)).toEqual([false, false]);
  });
});

describe("registerLayer and addWeight", () => {
  class Twice extends Layer {
    override build(): void {
      this.addWeight("w", [2]);
      this.addWeight("w", [2]);
    }
    override call(x: Tensor): Tensor {
      return x;
    }
  }
  class Wrong extends Layer {
    override build(): void {
      this.addWeight("w", [2], { initializer: () => layers.flatten().apply([[1]]) });
    }
    override call(x: Tensor): Tensor {
      return x;
    }
  }

  test("mistakes are named", () => {
    class Dense extends layers.Dense {}
    expect(() => registerLayer(Dense)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: registerLayer(): "Dense" is a layer of this library; give the class another className]`,
    );
    expect(() => registerLayer(class {} as never)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: registerLayer(): expected a class that extends Layer, got a function]`,
    );
    expect(() => new Twice({ name: "t" }).apply([[1]])).toThrowErrorMatchingInlineSnapshot(
      `[StateError: twice layer "t": weight "w" exists already; build() is called by the layer itself: use ensureBuilt(shape)]`,
    );
    expect(() => new Wrong({ name: "w" }).apply([[1]])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: wrong layer "w": weight "w": expected its initializer to make float32 [2], got float32 [1, 1]]`,
    );
  });

  test("integer state is not trainable", () => {
    class Counter extends Layer {
      override build(): void {
        this.addWeight("count", [], { dtype: "int32" });
      }
      override call(x: Tensor): Tensor {
        return x;
      }
    }
    const counter = new Counter({});
    counter.apply([[1]]);
    expect(counter.trainableWeights).toEqual([]);
    const values: Json = counter.getWeights().map((w) => w.item());
    expect(values).toEqual([0]);
  });
});
