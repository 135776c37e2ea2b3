/**
 * Network: a model as a function, layers wired into a graph, itself a layer. It runs its layers in the
 * order in which they were applied; shared layers and nested networks are nothing special. Knows
 * nothing of losses, optimizers or training: see models/.
 */
import { ArgumentError, DTypeError, expected, ShapeError, StateError, show } from "../errors.js";
import { addOperations, noOperations, type Operations } from "../layers/dryrun.js";
import { InputLayer } from "../layers/input.js";
import {
  type CallContext,
  contextLike,
  type InputSpec,
  Layer,
  type LayerOptions,
} from "../layers/layer.js";
import type { Masks } from "../layers/masks.js";
import { registerLayer } from "../layers/registry.js";
import {
  type BatchShape,
  type BatchSpec,
  type Connection,
  SymbolicTensor,
} from "../layers/symbolic.js";
import { checkOptionKeys, type JsonObject } from "../nn/options.js";
import { type DType, dtypes } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { graphFromConfig, graphToConfig } from "./graphconfig.js";
import { type SummaryOptions, summaryText } from "./summary.js";

export { input } from "../layers/input.js";
export { type BatchShape, type BatchSpec, SymbolicTensor } from "../layers/symbolic.js";

/** What a model is made from. */
export interface GraphOptions {
  readonly inputs?: SymbolicTensor | readonly SymbolicTensor[] | undefined;
  readonly outputs?: SymbolicTensor | readonly SymbolicTensor[] | undefined;
}

export type NetworkOptions = GraphOptions & Pick<LayerOptions, "name" | "trainable">;

/** One application of a layer within a network. */
export interface Step {
  readonly layer: Layer;
  /** Which values it takes, by position in the network's table of values. */
  readonly inputs: readonly number[];
  readonly listed: boolean;
  /** Position of its first output; the others follow. */
  readonly first: number;
  readonly outputs: readonly BatchSpec[];
  readonly training: boolean | undefined;
}

/** A network's wiring. */
export interface Graph {
  readonly inputs: readonly SymbolicTensor[];
  readonly outputs: readonly SymbolicTensor[];
  /** In order of execution; input layers are steps without inputs. */
  readonly steps: readonly Step[];
  /** Positions of inputs and outputs in the table of values. */
  readonly inputSlots: readonly number[];
  readonly outputSlots: readonly number[];
}

/** A network whatever the number of its outputs. */
export type AnyNetwork = Network<Tensor | Tensor[]>;

/**
 * Layers wired into a graph from inputs to outputs. The type parameter says what `call` gives; most
 * networks have one output.
 */
export class Network<O extends Tensor | Tensor[] = Tensor> extends Layer {
  static override readonly className: string = "Network";
  override readonly supportsMasking = true;
  protected override inputSpec: InputSpec = { arity: "any", dtypes };
  #graph: Graph | undefined;

  /** Without inputs and outputs, a subclass gives them later by `setGraph`. */
  constructor(options: NetworkOptions) {
    checkOptionKeys("model", options ?? {}, ["inputs", "outputs", "name", "trainable"]);
    const { inputs, outputs, ...rest } = options ?? {};
    super(rest, {});
    if (inputs !== undefined || outputs !== undefined) {
      this.setGraph(symbols(this.where, "inputs", inputs), symbols(this.where, "outputs", outputs));
    }
  }

  /** Makes a network from what {@link Network.getConfig} gave. */
  static fromConfig(config: JsonObject): Network {
    return new this(graphFromConfig(config));
  }

  override get where(): string {
    return `model ${JSON.stringify(this.name)}`;
  }

  override get built(): boolean {
    return this.#graph !== undefined;
  }

  /** The wiring; an error as long as there is none. */
  get graph(): Graph {
    if (!this.#graph) {
      throw new StateError(
        `${this.where}: its input shape is not known yet; give its first layer an inputShape, ` +
          "build it with a shape, or fit it to data first",
      );
    }
    return this.#graph;
  }

  /** All layers, in the order in which they were applied. */
  get layers(): readonly Layer[] {
    return this.sublayers;
  }

  /** The symbolic tensors it takes. */
  get inputs(): readonly SymbolicTensor[] {
    return this.graph.inputs;
  }

  /** The symbolic tensors it gives. */
  get outputs(): readonly SymbolicTensor[] {
    return this.graph.outputs;
  }

  /** Names of the inputs: those of the input layers. */
  get inputNames(): string[] {
    return this.graph.inputs.map((t) => t.name);
  }

  /** Names of the outputs: those of the layers that make them. */
  get outputNames(): string[] {
    return this.graph.outputs.map((t) => t.name);
  }

  /**
   * The layer with this name or at this position (negative: from the end).
   * @throws ArgumentError when there is none.
   */
  getLayer(nameOrIndex: string | number): Layer {
    const found =
      typeof nameOrIndex === "number"
        ? this.layers.at(nameOrIndex)
        : this.layers.find((layer) => layer.name === nameOrIndex);
    if (!found) {
      const hint =
        typeof nameOrIndex === "number"
          ? `it has ${this.layers.length} layers`
          : `its layers are ${this.layers.map((layer) => layer.name).join(", ")}`;
      throw new ArgumentError(`${this.where}: there is no layer ${show(nameOrIndex)}; ${hint}`);
    }
    return found;
  }

  override call(inputs: Tensor | Tensor[], context: CallContext): O {
    const { steps, inputSlots, outputSlots } = this.graph;
    const given = Array.isArray(inputs) ? inputs : [inputs];
    this.#checkGiven(given);
    const values: Tensor[] = [];
    inputSlots.forEach((slot, i) => {
      values[slot] = given[i]!;
    });
    for (const step of steps) {
      if (step.inputs.length === 0) continue;
      const own =
        step.training === undefined ? context : contextLike(context, { training: step.training });
      const result = step.layer.invoke(
        step.listed ? step.inputs.map((slot) => values[slot]!) : values[step.inputs[0]!]!,
        own,
      );
      [result].flat().forEach((value, i) => {
        values[step.first + i] = value;
      });
    }
    const results = outputSlots.map((slot) => values[slot]!);
    // O was chosen by whoever made the network, from the outputs it was made with.
    return (results.length === 1 ? results[0]! : results) as O;
  }

  /** None beside those that its layers gave the outputs: a mask may have ended within. */
  override computeMask(_inputs: Tensor | Tensor[], _mask: Masks): Masks {
    return null;
  }

  /** Layer by layer, so that each may follow its own rule. */
  override inferOutputs(
    inputs: readonly BatchSpec[],
    _listed: boolean,
  ): { outputs: readonly BatchSpec[]; listed: boolean } {
    this.#checkGiven(inputs);
    const { values } = this.#walk(inputs);
    const outputs = this.graph.outputSlots.map((slot) => values[slot]!);
    return { outputs, listed: outputs.length > 1 };
  }

  override operationsPerSample(
    inputShape: BatchShape | BatchShape[],
    given?: readonly DType[],
  ): Operations {
    const shapes = (Array.isArray(inputShape[0]) ? inputShape : [inputShape]) as BatchShape[];
    const specs = shapes.map((shape, i) => ({
      shape,
      dtype: given?.[i] ?? this.inputs[i]?.dtype ?? "float32",
    }));
    return this.#walk(specs).operations;
  }

  /** The table of values' specifications for given inputs, and the operations of all layers. */
  #walk(inputs: readonly BatchSpec[]): { values: BatchSpec[]; operations: Operations } {
    const { steps, inputSlots } = this.graph;
    const values: BatchSpec[] = [];
    let operations = noOperations;
    inputSlots.forEach((slot, i) => {
      values[slot] = inputs[i]!;
    });
    for (const step of steps) {
      if (step.inputs.length === 0) continue;
      const own = step.inputs.map((slot) => values[slot]!);
      const shapes = own.map((spec) => spec.shape);
      const { outputs } = step.layer.inferOutputs(own, step.listed);
      operations = addOperations(
        operations,
        step.layer.operationsPerSample(
          step.listed ? shapes : shapes[0]!,
          own.map((spec) => spec.dtype),
        ),
      );
      outputs.forEach((spec, i) => {
        values[step.first + i] = spec;
      });
    }
    return { values, operations };
  }

  override getConfig(): JsonObject {
    return {
      name: this.name,
      trainable: this.trainable,
      ...graphToConfig(this.graph, this.layers),
    };
  }

  override toString(): string {
    const names = this.layers.slice(0, 8).map((layer) => layer.name);
    if (names.length < this.layers.length) names.push("…");
    const flow = this.built
      ? `; ${listed(this.inputs)} → ${listed(this.outputs)}`
      : "; its input shape is not known yet";
    return `${super.toString()}, ${this.layers.length} layer${this.layers.length === 1 ? "" : "s"}: ${names.join(", ")}${flow}`;
  }

  /** The table of layers with shapes, parameters, operations and memory, as text. */
  summaryText(options: Omit<SummaryOptions, "print"> = {}): string {
    return summaryText(this, options);
  }

  /** Prints {@link Network.summaryText}. */
  summary(options: SummaryOptions = {}): void {
    const { print = console.log, ...rest } = options;
    print(this.summaryText(rest));
  }

  /**
   * Wires the network. `layers` are what it counts as its layers; all of the graph's by default.
   * @throws ArgumentError when an output depends on something that is not an input, when an input has
   * no effect, or when two layers have one name.
   */
  protected setGraph(
    inputs: readonly SymbolicTensor[],
    outputs: readonly SymbolicTensor[],
    layers?: readonly Layer[],
  ): void {
    const graph = wire(this.where, inputs, outputs);
    this.setLayers(layers ?? [...new Set(graph.steps.map((step) => step.layer))]);
    this.#graph = graph;
  }

  /** Forgets the wiring, for a sequential model that changes. */
  protected clearGraph(): void {
    this.#graph = undefined;
  }

  #checkGiven(given: readonly BatchSpec[]): void {
    const { inputs } = this.graph;
    if (given.length !== inputs.length) {
      const names = inputs.map((t) => t.name).join(", ");
      throw new ArgumentError(
        expected(
          this.where,
          inputs.length === 1 ? "one input" : `${inputs.length} inputs (${names})`,
          `${given.length}`,
        ),
      );
    }
    inputs.forEach((wanted, i) => {
      const { shape, dtype } = given[i]!;
      const where = `${this.where}: input ${JSON.stringify(wanted.name)}`;
      if (!agrees(shape, wanted.shape)) {
        const hint = agrees(shape, wanted.shape.slice(1))
          ? "a single sample needs a batch dimension: x.expandDims(0)"
          : undefined;
        throw new ShapeError(
          expected(where, `shape ${showShape(wanted.shape)}`, showShape(shape), hint),
        );
      }
      if (dtype !== wanted.dtype) {
        const hint = `cast it, or make the model with an input of dtype "${dtype}"`;
        throw new DTypeError(expected(where, wanted.dtype, dtype, hint));
      }
    });
  }
}

function listed(tensors: readonly SymbolicTensor[]): string {
  return tensors.map((t) => showShape(t.shape)).join(", ");
}

/** Same rank, and no two known sizes that differ. */
export function agrees(a: BatchShape, b: BatchShape): boolean {
  return a.length === b.length && a.every((d, i) => d === null || b[i] === null || b[i] === d);
}

registerLayer(Network);

function symbols(where: string, option: string, given: unknown): SymbolicTensor[] {
  const list: unknown[] = Array.isArray(given) ? given : [given];
  for (const item of list) {
    if (!(item instanceof SymbolicTensor)) {
      const what = option === "inputs" ? "what input() gives" : "symbolic tensors";
      throw new ArgumentError(expected(where, `\`${option}\` to be ${what}`, item));
    }
  }
  if (list.length === 0) throw new ArgumentError(`${where}: \`${option}\` is an empty array`);
  return list as SymbolicTensor[];
}

/** Collects the applications between inputs and outputs and gives each value a position. */
function wire(
  where: string,
  inputs: readonly SymbolicTensor[],
  outputs: readonly SymbolicTensor[],
): Graph {
  if (new Set(inputs).size !== inputs.length) {
    const twice = inputs.find((t, i) => inputs.indexOf(t) !== i)!;
    throw new ArgumentError(`${where}: input ${JSON.stringify(twice.name)} is given twice`);
  }
  const found = new Set<Connection>();
  const used = new Set<SymbolicTensor>();
  const open = outputs.map((tensor) => ({ tensor, user: "an output" }));
  for (let next = open.pop(); next; next = open.pop()) {
    const { tensor, user } = next;
    if (inputs.includes(tensor)) {
      used.add(tensor);
      continue;
    }
    const { connection } = tensor;
    if (connection.inputs.length === 0) {
      const all = inputs.map((t) => JSON.stringify(t.name)).join(", ");
      throw new ArgumentError(
        `${where}: the graph is disconnected: ${user} needs input ${JSON.stringify(tensor.name)}, ` +
          `which is not among the model's inputs (${all})`,
      );
    }
    if (found.has(connection)) continue;
    found.add(connection);
    for (const input of connection.inputs) {
      open.push({ tensor: input, user: connection.layer.where });
    }
  }
  const idle = inputs.find((t) => !used.has(t));
  if (idle) {
    throw new ArgumentError(
      `${where}: no output depends on input ${JSON.stringify(idle.name)}; leave it out or connect it`,
    );
  }

  // Ids increase in order of creation, and nothing can be made before what it is made from.
  const entries = [
    ...inputs.map((tensor) => ({ id: tensor.id, tensor, connection: undefined })),
    ...[...found].map((connection) => ({
      id: connection.outputs[0]!.id,
      tensor: undefined,
      connection,
    })),
  ].sort((a, b) => a.id - b.id);
  const slots = new Map<SymbolicTensor, number>();
  const steps: Step[] = [];
  let count = 0;
  for (const { tensor, connection } of entries) {
    const made = connection ? connection.outputs : [tensor];
    steps.push({
      layer: connection ? connection.layer : inputLayerOf(tensor),
      inputs: connection ? connection.inputs.map((t) => slots.get(t)!) : [],
      listed: connection?.listed ?? false,
      first: count,
      outputs: made,
      training: connection?.training,
    });
    for (const t of made) {
      // An input that another layer made keeps the position of its input layer.
      if (!slots.has(t)) slots.set(t, count);
      count++;
    }
  }
  return {
    inputs,
    outputs,
    steps,
    inputSlots: inputs.map((t) => slots.get(t)!),
    outputSlots: outputs.map((t) => slots.get(t)!),
  };
}

/** The layer an input comes from; a model cut out of another gets one of its own. */
function inputLayerOf(tensor: SymbolicTensor): Layer {
  const { layer } = tensor.connection;
  if (layer instanceof InputLayer) return layer;
  return new InputLayer({
    name: `${tensor.name.replaceAll(/[/:]/g, "_")}_input`,
    batchInputShape: tensor.shape,
    dtype: tensor.dtype,
  });
}
