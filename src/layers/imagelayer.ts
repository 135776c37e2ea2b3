/**
 * What layers that change images share: batches or a single image, of any dtype, with the channels first or
 * last. A subclass sees batches of float32 with the channels last.
 */
import { expected, ShapeError } from "../errors.js";
import { cast } from "../ops/elementwise.js";
import { reshape } from "../ops/movement.js";
import { dtypes } from "../tensor/dtype.js";
import { showShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type ConfigOf, type Declaration, dataFormat } from "./config.js";
import { type CallContext, type InputSpec, Layer } from "./layer.js";
import { withChannelsLast } from "./spatial.js";
import type { BatchSpec } from "./symbolic.js";

/** The options of all of them, to be spread into a declaration. */
export const imageOptions = { dataFormat: dataFormat() };
type ImageOptions = typeof imageOptions;

/**
 * Images [batch, height, width, channels]; or one, [height, width, channels], so that elements of a dataset
 * can be changed before they are batched.
 */
export abstract class ImageLayer<D extends ImageOptions & Declaration> extends Layer<D> {
  protected override inputSpec: InputSpec = { minRank: 3, maxRank: 4, dtypes };

  /** What becomes of images [batch, height, width, channels]. */
  protected abstract change(x: Tensor, context: CallContext): Tensor;

  override call(x: Tensor, context: CallContext): Tensor {
    const { dataFormat: format } = this.config as ConfigOf<ImageOptions>;
    const values = cast(x, "float32");
    const single = x.rank === 3;
    const images = single ? reshape(values, [1, ...x.shape]) : values;
    const changed = withChannelsLast(images, format, (y) => this.change(y, context));
    return single ? reshape(changed, changed.shape.slice(1)) : changed;
  }

  override inferOutputs(inputs: readonly BatchSpec[], listed: boolean) {
    const { shape } = inputs[0]!;
    // A model of samples without channels: its batch must not pass for the height of one image.
    if (shape.length === 3 && shape[0] === null) {
      throw new ShapeError(
        expected(
          this.where,
          "images [batch, height, width, channels], or one whose size is known",
          `shape ${showShape(shape)}`,
          "images in shades of grey have 1 channel",
        ),
      );
    }
    return super.inferOutputs(inputs, listed);
  }
}
