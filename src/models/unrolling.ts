/** Deep belief networks as layers: a classifier with their features below it, or an autoencoder. */
import { ArgumentError, checkInteger, checkKeys, checkNumber, expected } from "../errors.js";
import type { Layer } from "../layers/layer.js";
import { dense, dropout as dropoutLayer, flatten, reshape } from "../layers/layers.js";
import { slice, transpose } from "../ops/movement.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import type { DeepBeliefNetwork } from "./belief.js";
import type { RBM } from "./boltzmann.js";
import { type Sequential, sequential } from "./sequential.js";
import { unitKind } from "./units.js";

/** Options of `DeepBeliefNetwork.toSequential`. */
export interface SequentialFromBelief {
  /** What comes on top: the number of classes of a softmax layer, or layers of your own. */
  head?: number | readonly Layer[];
  /** Rate of a dropout layer after each hidden layer; 0 by default, which adds none. */
  dropout?: number;
  /** Rate of a dropout layer before the first. */
  inputDropout?: number;
  name?: string;
}

/** See `DeepBeliefNetwork.toSequential`. */
export function unrolledSequential(
  place: string,
  network: DeepBeliefNetwork,
  options: SequentialFromBelief,
): Sequential {
  checkKeys(place, options, ["head", "dropout", "inputDropout", "name"]);
  const { head = [], dropout = 0, inputDropout = 0, name } = options;
  checkNumber(place, "dropout", dropout, 0, 1);
  checkNumber(place, "inputDropout", inputDropout, 0, 1);
  if (!Array.isArray(head)) checkInteger(place, "head", head, 1);
  const { layers, fill } = encoderLayers(network);
  const dropped = layers.flatMap((layer) =>
    dropout > 0 && layer.className === "Dense" ? [layer, dropoutLayer({ rate: dropout })] : [layer],
  );
  const first = inputDropout > 0 ? [dropoutLayer({ rate: inputDropout })] : [];
  const at = network.inputShape.length > 1 ? 1 : 0;
  const on =
    typeof head === "number" ? [dense({ units: head, activation: "softmax", name: "head" })] : head;
  const model = sequential({
    layers: [...dropped.slice(0, at), ...first, ...dropped.slice(at), ...on],
    ...(name === undefined ? {} : { name }),
  });
  model.build([null, ...network.inputShape]);
  fill();
  return model;
}

/** A network that leads samples through a narrow code and back. */
export interface Autoencoder {
  /** Samples to codes. */
  readonly encoder: Sequential;
  /** Codes to samples. */
  readonly decoder: Sequential;
  /** Both, one after the other, sharing their weights: to be compiled and fitted to its own inputs. */
  readonly autoencoder: Sequential;
}

/** See `DeepBeliefNetwork.toAutoencoder`. */
export function unrolledAutoencoder(
  place: string,
  network: DeepBeliefNetwork,
  generative: readonly Variable[] | null,
  options: { name?: string },
): Autoencoder {
  checkKeys(place, options, ["name"]);
  const { name = "autoencoder" } = options;
  if (network.classes > 0) {
    throw new ArgumentError(
      expected(place, "a network without labels at the top", `${network.classes} classes`),
    );
  }
  const { layers, fill } = encoderLayers(network);
  const encoder = sequential({ layers, name: `${name}_encoder` });
  encoder.build([null, ...network.inputShape]);
  fill();
  const down = network.machines.map((machine, i) => {
    const layer = dense({
      units: machine.machine.layout.visible,
      activation: visibleActivation(place, machine),
      name: `decode_${i}`,
    });
    return { layer, kernel: generative?.[i] ?? machine.kernel, bias: machine.visibleBias };
  });
  down.reverse();
  const shaped = network.inputShape.length > 1;
  const decoder = sequential({
    layers: [
      ...down.map(({ layer }) => layer),
      ...(shaped ? [reshape({ targetShape: [...network.inputShape] })] : []),
    ],
    name: `${name}_decoder`,
  });
  const top = network.machines[network.machines.length - 1]!;
  decoder.build([null, top.machine.layout.hidden]);
  for (const { layer, kernel, bias } of down) {
    layer.setWeights([transpose(kernel.read()), bias.read()]);
  }
  const autoencoder = sequential({ layers: [encoder, decoder], name });
  autoencoder.build([null, ...network.inputShape]);
  return { encoder, decoder, autoencoder };
}

/** The activation of a layer that gives the means of visible units of one kind. */
function visibleActivation(place: string, { machine }: RBM): "sigmoid" | "linear" | "softmax" {
  const { groups } = machine.layout;
  const kinds = new Set(groups.map(({ type }) => type));
  if (kinds.size > 1 || (kinds.has("softmax") && groups.length > 1)) {
    const seen = groups.map(({ type, units }) => `${units} ${type}`).join(", ");
    throw new ArgumentError(expected(place, "visible units of one kind in each layer", seen));
  }
  return unitKind(groups[0]!.type).activation as "sigmoid" | "linear" | "softmax";
}

/** Dense layers that compute the features of each machine, and what gives them their weights. */
function encoderLayers(network: DeepBeliefNetwork): { layers: Layer[]; fill: () => void } {
  const denses = network.machines.map(({ machine }, i) => {
    const { hidden, hiddenUnits } = machine.layout;
    const layer = dense({
      units: hidden,
      activation: unitKind(hiddenUnits).activation as "sigmoid",
      name: `encode_${i}`,
    });
    return { layer, machine };
  });
  const fill = (): void => {
    denses.forEach(({ layer, machine }, i) => {
      const { kernel, hiddenBias } = machine.read();
      layer.setWeights([withoutLabels(network, kernel, i), hiddenBias]);
    });
  };
  const shaped = network.inputShape.length > 1;
  return { layers: [...(shaped ? [flatten()] : []), ...denses.map(({ layer }) => layer)], fill };
}

/** A kernel's rows for what is below; those for labels are the top machine's last. */
function withoutLabels(network: DeepBeliefNetwork, kernel: Tensor, i: number): Tensor {
  if (network.classes === 0 || i + 1 < network.machines.length) return kernel;
  const [visible, hidden] = kernel.shape as [number, number];
  return slice(kernel, [0, 0], [visible - network.classes, hidden]);
}
