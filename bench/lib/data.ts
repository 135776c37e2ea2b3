/**
 * Data and weights for the cases, written once per run as raw files that every contender reads, so that
 * all compute with the same numbers.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as lw from "layerwise";
import { buildNetwork } from "./networks.js";
import type {
  DataPaths,
  InferenceSpec,
  NetworkSpec,
  RbmSpec,
  SequenceSpec,
  Spec,
  TrainSpec,
} from "./spec.js";

type Arrays = Readonly<Record<string, Float32Array | Int32Array>>;

export class DataFiles {
  #directory: string | undefined;
  readonly #written = new Map<string, DataPaths>();

  /** The files of a case; none if it needs none. */
  async of(spec: Spec): Promise<DataPaths | undefined> {
    if (spec.kind === "train") {
      const { data, samples, features, outputs } = spec;
      const make = () =>
        data === "xor"
          ? xorRows(samples)
          : data === "digits"
            ? labelledDigits(samples)
            : taught(spec);
      return this.#files([data, samples, features, outputs].join("-"), make);
    }
    if (spec.kind === "inference") {
      const { features, hidden, outputs, batch } = spec;
      return this.#files([batch, features, hidden, outputs].join("-"), () => weights(spec));
    }
    if (spec.kind === "network") {
      const { network, task, samples, side, channels, classes } = spec;
      const features = side ** 2 * channels;
      const teacher = { samples, features, outputs: classes };
      return this.#files([network, task, samples].join("-"), () =>
        task === "train" ? taught(teacher) : networkWeights(spec),
      );
    }
    if (spec.kind === "sequence") {
      const { task, cell, inputs, units, layers, vocabulary, time, samples } = spec;
      const key = ["sequence", task, cell, inputs, units, layers, vocabulary, time, samples].join(
        "-",
      );
      return this.#files(key, () => sequenceArrays(spec));
    }
    if (spec.kind === "rbm") {
      const { samples, visible } = spec;
      return this.#files(`digits-${samples}-${visible}`, () => binaryDigits(spec));
    }
    return undefined;
  }

  async #files(key: string, make: () => Arrays | Promise<Arrays>): Promise<DataPaths> {
    const known = this.#written.get(key);
    if (known) return known;
    this.#directory ??= await mkdtemp(join(tmpdir(), "layerwise-bench-"));
    const paths: Record<string, string> = {};
    for (const [name, array] of Object.entries(await make())) {
      paths[name] = join(this.#directory, `${key}.${name}`);
      await writeFile(paths[name], array);
    }
    this.#written.set(key, paths);
    return paths;
  }

  /** Removes the files. */
  async remove(): Promise<void> {
    if (this.#directory) await rm(this.#directory, { recursive: true });
  }
}

/** Digits of MNIST, where its files are, else generated ones: pixels from 0 to 1, and which digits they are. */
async function labelledDigits(samples: number): Promise<{ x: Float32Array; y: Int32Array }> {
  const shared = fileURLToPath(new URL("../../../shared/data", import.meta.url));
  const dir = join(process.env.LAYERWISE_TEST_DATA ?? shared, "mnist");
  const { train } = existsSync(dir)
    ? await lw.datasets.mnist({ dir })
    : lw.datasets.digits({ train: samples, test: 1 });
  return {
    x: Float32Array.from(train.x.dataSync().subarray(0, samples * 784)),
    y: Int32Array.from(train.y.dataSync().subarray(0, samples)),
  };
}

/** The same with pixels that are on or off. */
async function binaryDigits({ samples }: RbmSpec): Promise<Arrays> {
  const { x } = await labelledDigits(samples);
  return { x: x.map((value) => (value > 0.5 ? 1 : 0)) };
}

/** Rows of tokens that mostly follow each other by a rule, or normal steps labelled by what they begin with. */
function sequenceArrays(spec: SequenceSpec): Arrays {
  const { task, cell, inputs, units, vocabulary, classes, time, samples } = spec;
  const normal = normals(4);
  if (task === "step") {
    const gates = cell === "lstm" ? 4 : 3;
    const size = gates * units * (inputs + units + (cell === "lstm" ? 1 : 2));
    const scale = 1 / Math.sqrt(units);
    return {
      x: new Float32Array(inputs).map(normal),
      weights: new Float32Array(size).map(() => scale * normal()),
    };
  }
  if (vocabulary === 0) {
    const x = new Float32Array(samples * time * inputs).map(normal);
    const y = Int32Array.from({ length: samples }, (_, i) => {
      const first = x.subarray(i * time * inputs, i * time * inputs + classes);
      return first.indexOf(Math.max(...first));
    });
    return { x, y };
  }
  const x = new Int32Array(samples * time);
  const y = new Int32Array(samples * time);
  let token = 0;
  for (let i = 0; i < x.length; i++) {
    x[i] = token;
    const jump = normal();
    token = jump > 1 ? Math.floor(jump * 1000) % vocabulary : (token * 7 + 3) % vocabulary;
    y[i] = token;
  }
  return { x, y };
}

function xorRows(samples: number): Arrays {
  const x = new Float32Array(2 * samples);
  const y = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    x[2 * i] = i & 1;
    x[2 * i + 1] = (i >> 1) & 1;
    y[i] = (i ^ (i >> 1)) & 1;
  }
  return { x, y };
}

/** Normal inputs and Glorot-sized weights. */
function weights({ features, hidden, outputs, batch }: InferenceSpec): Arrays {
  const normal = normals(2);
  const array = (size: number, scale: number): Float32Array =>
    new Float32Array(size).map(() => scale * normal());
  return {
    x: array(batch * features, 1),
    w1: array(features * hidden, Math.sqrt(2 / (features + hidden))),
    b1: array(hidden, 0.1),
    w2: array(hidden * outputs, Math.sqrt(2 / (hidden + outputs))),
    b2: array(outputs, 0.1),
  };
}

/** Normal images, and the first weights of our network, layer by layer. */
function networkWeights(spec: NetworkSpec): Arrays {
  const normal = normals(3);
  lw.setRandomSeed(3);
  const arrays = buildNetwork(spec).layers.flatMap((layer) =>
    layer.weights.map((weight) => {
      // Variances above 1 keep what residual blocks add up in bounds.
      const values = weight.read().dataSync() as Float32Array;
      return weight.name.endsWith("movingVariance") ? values.map(() => 2) : values;
    }),
  );
  const weights = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    weights.set(array, at);
    at += array.length;
  }
  const { samples, side, channels } = spec;
  return { x: new Float32Array(samples * side ** 2 * channels).map(normal), weights };
}

/** Normal inputs; the label is the largest of `outputs` random linear functions of them. */
function taught({
  samples,
  features,
  outputs,
}: Pick<TrainSpec, "samples" | "features" | "outputs">): Arrays {
  const normal = normals(1);
  const teacher = new Float32Array(features * outputs).map(normal);
  const x = new Float32Array(samples * features).map(normal);
  const y = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    let best = -Infinity;
    for (let j = 0; j < outputs; j++) {
      let score = 0;
      for (let k = 0; k < features; k++) score += x[i * features + k]! * teacher[k * outputs + j]!;
      if (score > best) {
        best = score;
        y[i] = j;
      }
    }
  }
  return { x, y };
}

/** Normal numbers by Box and Muller from mulberry32. */
function normals(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
