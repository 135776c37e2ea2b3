/**
 * A restricted Boltzmann machine as variables: its layout, its weights, and its functions as networks
 * that the predictor can apply to data in batches. What users hold is in `boltzmann.ts`.
 */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  expected,
  ShapeError,
  show,
} from "../errors.js";
import { weightToLoad } from "../layers/loading.js";
import {
  getInitializer,
  type Initializer,
  type InitializerLike,
  initializers,
} from "../nn/initializers.js";
import { broadcastTo } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import { drawSeed, mixSeed, randomSource } from "../tensor/random.js";
import { type Shape, showShape, sizeOf } from "../tensor/shape.js";
import { Tensor, type TensorLike, tensor } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { inputSamples, type Samples, type Slot, settle } from "../training/data.js";
import type { RunContext, TrainableNetwork } from "../training/step.js";
import { type MachineLayout, type MachineWeights, visibleSample } from "./energy.js";
import {
  type HiddenUnits,
  hiddenUnitNames,
  parseGroups,
  type UnitGroup,
  type VisibleUnits,
} from "./units.js";

/** Options of `lw.models.rbm`. */
export interface MachineOptions {
  /** Number of visible units; may be left out where `inputShape` or groups of units say it. */
  readonly visible?: number;
  /** Shape of a sample, if it is no vector: images come and go in it. */
  readonly inputShape?: Shape;
  /** Number of hidden units. */
  readonly hidden: number;
  /**
   * Kind of all visible units, `"bernoulli"` by default, or groups of them in order: pixels with a
   * one-hot label are `[{ type: "bernoulli", units: 784 }, { type: "softmax", units: 10 }]`.
   */
  readonly visibleUnits?: VisibleUnits | readonly UnitGroup[];
  readonly hiddenUnits?: HiddenUnits;
  /** Normal with a standard deviation of 0.01 by default, as Hinton (2010) advises. */
  readonly kernelInitializer?: InitializerLike;
  readonly visibleBiasInitializer?: InitializerLike;
  readonly hiddenBiasInitializer?: InitializerLike;
  /** Seed of the first weights; drawn if left out. */
  readonly seed?: number;
  readonly name?: string;
}

const machineKeys = [
  "visible",
  "inputShape",
  "hidden",
  "visibleUnits",
  "hiddenUnits",
  "kernelInitializer",
  "visibleBiasInitializer",
  "hiddenBiasInitializer",
  "seed",
  "name",
] as const satisfies readonly (keyof MachineOptions)[];

/** Other libraries' words for the same. */
const machineAliases = {
  nVisible: "visible",
  nHidden: "hidden",
  n_components: "hidden",
  nComponents: "hidden",
  units: "hidden",
} as const;

/** Layout and weights of one machine. */
export class Machine {
  readonly name: string;
  readonly inputShape: Shape;
  readonly layout: MachineLayout;
  readonly kernel: Variable;
  readonly visibleBias: Variable;
  readonly hiddenBias: Variable;

  constructor(options: MachineOptions) {
    const place = "rbm()";
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(expected(place, "an object with options", show(options)));
    }
    checkKeys(place, options, machineKeys, machineAliases);
    const { hidden, hiddenUnits = "bernoulli", name = "rbm" } = options;
    if (typeof name !== "string" || name === "" || name.includes("/")) {
      throw new ArgumentError(expected(place, "`name` to be a text without slashes", show(name)));
    }
    checkInteger(place, "hidden", hidden, 1);
    checkChoice(place, "hiddenUnits", hiddenUnits, hiddenUnitNames);
    const visible = visibleCount(place, options);
    const groups = parseGroups(place, options.visibleUnits ?? "bernoulli", visible);
    const count = groups.reduce((sum, { units }) => sum + units, 0);
    this.name = name;
    this.inputShape = options.inputShape ? [...options.inputShape] : [count];
    this.layout = { groups, visible: count, hidden, hiddenUnits };
    const { seed = drawSeed() } = options;
    checkInteger(place, "seed", seed, -(2 ** 31), 2 ** 32 - 1);
    const kernel = options.kernelInitializer
      ? getInitializer(place, "kernelInitializer", options.kernelInitializer)
      : initializers.randomNormal({ stddev: 0.01, seed: mixSeed(seed, 0) });
    const made = (local: string, shape: Shape, initializer: Initializer): Variable => {
      const full = `${name}/${local}`;
      const first = weightToLoad(full, shape, "float32") ?? initializer.apply(shape, "float32");
      return new Variable(first, full, true);
    };
    const bias = (option: "visibleBiasInitializer" | "hiddenBiasInitializer") =>
      getInitializer(place, option, options[option] ?? "zeros");
    this.kernel = made("kernel", [count, hidden], kernel);
    this.visibleBias = made("visibleBias", [count], bias("visibleBiasInitializer"));
    this.hiddenBias = made("hiddenBias", [hidden], bias("hiddenBiasInitializer"));
  }

  /** For messages. */
  get where(): string {
    return `rbm ${this.name}`;
  }

  get variables(): Variable[] {
    return [this.kernel, this.visibleBias, this.hiddenBias];
  }

  /** The weights' values; inside a traced function the traced ones. */
  read(): MachineWeights {
    return {
      kernel: this.kernel.read(),
      visibleBias: this.visibleBias.read(),
      hiddenBias: this.hiddenBias.read(),
    };
  }

  /** What samples look like. */
  get visibleSlot(): Slot {
    return { name: "visible", shape: [null, ...this.inputShape], dtype: "float32" };
  }

  /** A function of visible states ([rows, visible]) as a network. */
  network(
    name: string,
    output: Shape,
    f: (v: Tensor, context: RunContext) => readonly Tensor[],
    reports: readonly string[] = [],
  ): TrainableNetwork {
    return {
      name: `${this.name} (${name})`,
      inputSlots: [this.visibleSlot],
      outputSlots: [{ name, shape: [null, ...output], dtype: "float32" }],
      run: ([x], context) => f(reshape(x!, [x!.shape[0]!, this.layout.visible]), context),
      weights: this.variables,
      weightInfo: () => ({ regularizer: null, constraint: null }),
      reports,
    };
  }

  /**
   * Checked samples of what a user passed: their shape, and that units can be in these states. With
   * another `shape` than the machine's own, its last units are no part of the samples.
   */
  async samples(place: string, x: unknown, shape: Shape = this.inputShape): Promise<Samples> {
    await settle(x);
    const samples = inputSamples(place, x, { ...this.visibleSlot, shape: [null, ...shape] });
    checkStates(place, this.layout, samples);
    return samples;
  }

  /** States of independent units with the visible biases, one per chain. */
  drawn(chains: number, seed: number): Samples {
    const { layout, inputShape } = this;
    const input = broadcastTo(this.visibleBias.read(), [chains, layout.visible]);
    // A seed of its own: the chain that begins here draws with the same one.
    const states = visibleSample(layout, input, randomSource(mixSeed(seed, 1)));
    return {
      name: "start",
      values: states.dataSync(),
      shape: [chains, ...inputShape],
      dtype: "float32",
      rowSize: layout.visible,
    };
  }

  /** Checked means of the visible units. */
  rates(place: string, given: TensorLike): Float64Array {
    const t = given instanceof Tensor ? given.current() : tensor(given);
    if (t.size !== this.layout.visible) {
      const wanted = `\`baseRate\` of ${this.layout.visible} means, one per visible unit`;
      throw new ShapeError(expected(place, wanted, showShape(t.shape)));
    }
    const values = Float64Array.from(t.dataSync());
    if (!values.every(Number.isFinite)) {
      throw new ArgumentError(`${place}: \`baseRate\` has values that are not finite`);
    }
    return values;
  }

  /** Options that make this machine again, but for its first weights. */
  getConfig() {
    const { hidden, hiddenUnits, groups } = this.layout;
    return {
      name: this.name,
      inputShape: [...this.inputShape],
      hidden,
      hiddenUnits,
      visibleUnits: groups.map(({ type, units }) => ({ type, units })),
    };
  }
}

/** The number of visible units, where something says it. */
function visibleCount(place: string, { visible, inputShape }: MachineOptions): number | undefined {
  if (visible !== undefined) checkInteger(place, "visible", visible, 1);
  if (inputShape === undefined) return visible;
  if (!Array.isArray(inputShape) || inputShape.length === 0) {
    const wanted = "`inputShape` to be a list of sizes";
    throw new ArgumentError(expected(place, wanted, show(inputShape)));
  }
  inputShape.forEach((size, i) => {
    checkInteger(place, `inputShape[${i}]`, size, 1);
  });
  const size = sizeOf(inputShape);
  if (visible !== undefined && visible !== size) {
    throw new ArgumentError(
      expected(place, `an \`inputShape\` of ${visible} visible units`, `${size}`),
    );
  }
  return size;
}

/** Probabilities that need not add up to 1 exactly. */
const slack = 1e-3;

/** Throws for data that units can't have as states or probabilities: outside of 0 to 1, or not finite. */
export function checkStates(
  place: string,
  { groups }: MachineLayout,
  { values, shape, rowSize }: Pick<Samples, "values" | "shape" | "rowSize">,
): void {
  const count = shape[0]!;
  let from = 0;
  for (const { type, units } of groups) {
    if (from >= rowSize) return;
    for (let row = 0; row < count; row++) {
      const start = row * rowSize + from;
      let total = 0;
      for (let i = start; i < start + units; i++) {
        const value = values[i]!;
        total += value;
        if (type === "gaussian" ? Number.isFinite(value) : value >= 0 && value <= 1) continue;
        throw wrongState(place, type, value, `in sample ${row}, unit ${from + i - start}`);
      }
      if (type === "softmax" && Math.abs(total - 1) > slack) {
        throw new ArgumentError(
          expected(
            place,
            `units ${from} to ${from + units - 1}, a softmax group, to add up to 1`,
            `${total} in sample ${row}`,
            "labels are one-hot: lw.oneHot(labels, classes)",
          ),
        );
      }
    }
    from += units;
  }
}

function wrongState(place: string, type: string, value: number, at: string): ArgumentError {
  const got = `${value} ${at}`;
  if (type === "gaussian") return new ArgumentError(expected(place, "finite states", got));
  const hint =
    value > 1 && value <= 255
      ? "scale pixels of 0 … 255 by 1/255"
      : 'real values need visibleUnits "gaussian"';
  return new ArgumentError(expected(place, `states of ${type} units from 0 to 1`, got, hint));
}
