/** Convolution by a table of connections, as LeNet-5 had it. */
import { ArgumentError, expected, ShapeError, show } from "../errors.js";
import { conv2d } from "../ops/convolution.js";
import type { Conv2dOptions } from "../ops/convolutionOptions.js";
import { add } from "../ops/elementwise.js";
import { gather } from "../ops/gather.js";
import { pad, reshape } from "../ops/movement.js";
import { leaf, type Tensor } from "../tensor/tensor.js";
import type { Variable } from "../tensor/variable.js";
import { perAxis } from "../tensor/window.js";
import {
  activation,
  boolean,
  knownSize,
  type OptionsOf,
  plain,
  weightFields,
  weightOf,
} from "./config.js";
import { type InputSpec, Layer, type LayerOptions, maker } from "./layer.js";
import { checkPairs, padding, sizes } from "./spatial.js";
import type { BatchShape } from "./symbolic.js";

type Table = readonly (readonly number[])[];

const connectedOptions = {
  /** For each filter the channels that it sees. */
  connections: plain<Table>((where, option, given) => {
    const good = (channels: unknown): boolean =>
      Array.isArray(channels) &&
      channels.length > 0 &&
      channels.every((c) => Number.isInteger(c) && c >= 0) &&
      new Set(channels).size === channels.length;
    if (Array.isArray(given) && given.length > 0 && given.every(good)) return given as Table;
    throw new ArgumentError(
      expected(
        where,
        `\`${option}\` to be a list of distinct channels for each filter`,
        show(given),
      ),
    );
  })(),
  kernelSize: sizes(),
  strides: sizes(1, 1),
  padding: padding(),
  activation: activation(),
  useBias: boolean(true),
  ...weightFields("kernel", "glorotUniform"),
  ...weightFields("bias", "zeros"),
};

/** Options of {@link connectedConv2d}. */
export type ConnectedConv2DOptions = LayerOptions & OptionsOf<typeof connectedOptions>;

/**
 * A convolution of [batch, height, width, channels] whose filters each see some of the channels only, by a
 * table (LeCun et al. 1998). There are weights for what is connected, and for nothing else: kernel [height,
 * width, connections], filter by filter.
 */
export class ConnectedConv2D extends Layer<typeof connectedOptions> {
  static override readonly className = "ConnectedConv2D";
  protected override inputSpec: InputSpec = { rank: 4 };
  #kernel!: Variable;
  #bias: Variable | undefined;
  /** For each channel and filter the number of its connection; the one beyond the last is none. */
  #places!: Tensor;

  constructor(options: ConnectedConv2DOptions) {
    super(options, connectedOptions);
    perAxis(this.where, "kernelSize", this.config.kernelSize, 2);
    perAxis(this.where, "strides", this.config.strides, 2);
    checkPairs(this.where, this.config.padding, 2);
  }

  override build(inputShape: BatchShape): void {
    const { connections, kernelSize, useBias, ...o } = this.config;
    const channels = knownSize(this.where, inputShape, -1);
    const largest = Math.max(...connections.flat());
    if (largest >= channels) {
      throw new ShapeError(
        expected(this.where, `input with channel ${largest}`, `${channels} channels`),
      );
    }
    const count = connections.flat().length;
    const filters = connections.length;
    const places = new Int32Array(channels * filters).fill(count);
    let next = 0;
    connections.forEach((seen, filter) => {
      for (const channel of seen) places[channel * filters + filter] = next++;
    });
    this.#places = leaf(places, [channels, filters], "int32");
    this.#kernel = this.addWeight(
      "kernel",
      [...perAxis(this.where, "kernelSize", kernelSize, 2), count],
      weightOf(o, "kernel"),
    );
    if (useBias) {
      this.#bias = this.addWeight("bias", [filters], weightOf(o, "bias"));
    }
    this.inputSpec = { rank: 4, axes: { [-1]: channels } };
  }

  override call(x: Tensor): Tensor {
    const { strides, padding: pads, activation: applied } = this.config;
    const [height, width, count] = this.#kernel.shape as [number, number, number];
    // One more connection with weight 0, which everything unconnected takes.
    const weights = pad(reshape(this.#kernel, [height * width, count]), [
      [0, 0],
      [0, 1],
    ]);
    const full = gather(weights, this.#places, 1);
    const windows = { strides: perAxis(this.where, "strides", strides, 2), padding: pads };
    const kernel = reshape(full, [height, width, ...this.#places.shape]);
    const y = conv2d(x, kernel, windows as unknown as Conv2dOptions);
    return applied.apply(this.#bias ? add(y, this.#bias) : y);
  }
}

/** A convolution whose filters each see some of the channels only, by a table. */
export const connectedConv2d = maker(ConnectedConv2D);
