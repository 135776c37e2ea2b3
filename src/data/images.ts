/** What the image data sets share: the shape of the result and the choice of element type. */
import type { Shape } from "../tensor/shape.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** Pictures x `[n, height, width, channels]` and their classes y, int32 `[n]`. */
export interface LabelledImages {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** A data set of labelled pictures, split the usual way. */
export interface ImageDataset {
  readonly train: LabelledImages;
  readonly test: LabelledImages;
  /** What class `i` is called. */
  readonly classNames: readonly string[];
}

/** Pixels as a tensor: scaled to float32 in [0, 1], or the bytes as they are. */
export function imageTensors(pixels: Uint8Array, shape: Shape, normalize: boolean): Tensor {
  if (!normalize) return tensor(pixels, shape, "uint8");
  const scaled = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) scaled[i] = pixels[i]! / 255;
  return tensor(scaled, shape);
}
