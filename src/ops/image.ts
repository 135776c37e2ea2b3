/** Ops on images [batch, height, width, channels]: reading them at other places, and resizing. */
import { ArgumentError, checkChoice, checkKeys, expected, ShapeError } from "../errors.js";
import { fillModes } from "../kernels/image.js";
import { showShape } from "../tensor/shape.js";
import { leaf, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { perAxis } from "../tensor/window.js";
import { broadcastTo } from "./elementwise.js";
import { gather } from "./gather.js";
import { expandDims, reshape, squeeze } from "./movement.js";
import { asTensor, defineOp, type KernelEmitter, type Recorder, requireDType } from "./op.js";

/** How a place between pixels is read. */
export type Interpolation = "nearest" | "bilinear";
/** What is read beyond the edges: a constant, the nearest pixel, the mirrored image, or its other end. */
export type FillMode = (typeof fillModes)[number];

interface TransformAttributes {
  readonly interpolation: Interpolation;
  readonly fillMode: FillMode;
  readonly fillValue: number;
  /** Height and width of the result. */
  readonly output: readonly [number, number];
}

interface TransformGradientAttributes extends TransformAttributes {
  /** Height and width of the images. */
  readonly input: readonly [number, number];
}

/** The attributes of the kernels, in the order of their table. */
function intsOf(
  e: KernelEmitter<TransformAttributes>,
  [height, width]: readonly [number, number],
): number[] {
  const { interpolation, fillMode, output } = e.attributes;
  const [x, transforms] = e.inputs;
  return [
    x!.shape[0]!,
    height,
    width,
    x!.shape[3]!,
    ...output,
    transforms!.shape[0]!,
    Number(interpolation === "bilinear"),
    fillModes.indexOf(fillMode),
  ];
}

const turned = [0.8, -0.6, 0.7, 0.6, 0.8, -0.4, 0, 0];
const projected = [0.9, 0.2, -0.3, 0.1, 1.1, 0.2, 0.02, -0.03];

const applyTransform: Recorder<TransformAttributes> = defineOp<TransformAttributes>({
  name: "transformImages",
  infer: ([x], { output }) => [
    { shape: [x!.shape[0]!, ...output, x!.shape[3]!], dtype: "float32" },
  ],
  lowering: {
    kind: "kernels",
    emit: (e) => {
      const [, height, width] = e.inputs[0]!.shape as [number, number, number, number];
      const { fillValue } = e.attributes;
      e.call("transformImages", [0, 1], [0], intsOf(e, [height, width]), [fillValue]);
    },
  },
  // Linear in the images; the transforms are taken as given.
  gradient: ({ inputs: [x, transforms], attributes, dy }) => [
    applyTransformGradient([dy, transforms!], {
      ...attributes,
      input: [x!.shape[1]!, x!.shape[2]!],
    })[0]!,
    null,
  ],
  samples: fillModes.map((fillMode) => ({
    inputs: [
      { shape: [2, 4, 3, 2], domain: [-2, 2] as const },
      { shape: [2, 8], dtype: "float32" as const, values: [...turned, ...projected] },
    ],
    attributes: { interpolation: "bilinear", fillMode, fillValue: 0.5, output: [3, 5] },
    // The places are not differentiated.
    differentiable: false,
  })),
});

const applyTransformGradient: Recorder<TransformGradientAttributes> =
  defineOp<TransformGradientAttributes>({
    name: "transformImagesGradient",
    infer: ([dy], { input }) => [
      { shape: [dy!.shape[0]!, ...input, dy!.shape[3]!], dtype: "float32" },
    ],
    lowering: {
      kind: "kernels",
      emit: (e) => {
        e.call("transformImagesGradient", [0, 1], [0], intsOf(e, e.attributes.input));
      },
    },
    gradient: ({ inputs: [, transforms], attributes: { input: _, ...attributes }, dy }) => [
      applyTransform([dy, transforms!], { ...attributes, fillValue: 0 })[0]!,
      null,
    ],
    samples: [
      {
        inputs: [
          { shape: [1, 3, 5, 2], domain: [-2, 2] },
          { shape: [1, 8], values: projected },
        ],
        attributes: {
          interpolation: "bilinear",
          fillMode: "reflect",
          fillValue: 0,
          output: [3, 5],
          input: [4, 3],
        },
        differentiable: false,
      },
    ],
  });

/** Options of {@link transformImages}. */
export interface TransformOptions {
  /** "nearest" when left out, as in tf.js. */
  readonly interpolation?: Interpolation | undefined;
  /** "constant" when left out. */
  readonly fillMode?: FillMode | undefined;
  /** What "constant" reads beyond the edges; 0 when left out. */
  readonly fillValue?: number | undefined;
  /** Height and width of the result; the images' own when left out. */
  readonly outputShape?: readonly [number, number] | undefined;
}

/**
 * Reads images at other places: pixel (x, y) of the result is read at
 * ((a₀x + a₁y + a₂) / k, (b₀x + b₁y + b₂) / k) with k = c₀x + c₁y + 1.
 * @param images [batch, height, width, channels], float32
 * @param transforms [a₀, a₁, a₂, b₀, b₁, b₂, c₀, c₁] for each image, [batch, 8], or for all, [1, 8]; no
 * gradient flows to them
 */
export function transformImages(
  images: TensorLike,
  transforms: TensorLike,
  options: TransformOptions = {},
): Tensor {
  const where = "transformImages";
  checkKeys(where, options, ["interpolation", "fillMode", "fillValue", "outputShape"]);
  const x = asTensor(where, images);
  const t = asTensor(where, transforms);
  requireDType(where, x, "float32");
  requireDType(where, t, "float32");
  if (x.rank !== 4) {
    throw new ShapeError(
      expected(where, "images [batch, height, width, channels]", `shape ${showShape(x.shape)}`),
    );
  }
  if (t.rank !== 2 || t.shape[1] !== 8 || (t.shape[0] !== 1 && t.shape[0] !== x.shape[0])) {
    throw new ShapeError(
      expected(
        where,
        `transforms [1, 8] or [${x.shape[0]}, 8], one for each image`,
        `shape ${showShape(t.shape)}`,
      ),
    );
  }
  const { interpolation = "nearest", fillMode = "constant", fillValue = 0 } = options;
  checkChoice(where, "interpolation", interpolation, ["nearest", "bilinear"]);
  checkChoice(where, "fillMode", fillMode, fillModes);
  const output = options.outputShape ?? [x.shape[1]!, x.shape[2]!];
  const [height, width] = perAxis(where, "outputShape", output, 2, 0) as [number, number];
  const attributes = { interpolation, fillMode, fillValue, output: [height, width] as const };
  return applyTransform([x, t], attributes)[0]!;
}

/** Where resized pixels are read. */
export interface ResizeOptions {
  /** Corner pixels stay corner pixels; the sizes less one are what is scaled. */
  readonly alignCorners?: boolean | undefined;
  /**
   * Pixels are areas with their centres at a half: what Keras and PyTorch do, and the default here unless
   * `alignCorners` is set. False gives what TensorFlow 1 did.
   */
  readonly halfPixelCenters?: boolean | undefined;
}

/** A batch of images, whether `images` is one image or a batch, and how to give back what was given. */
function batchOf(
  where: string,
  images: TensorLike,
): { x: Tensor; whole: (result: Tensor) => Tensor } {
  const x = asTensor(where, images);
  if (x.rank === 3) return { x: expandDims(x, 0), whole: (result) => squeeze(result, 0) };
  if (x.rank === 4) return { x, whole: (result) => result };
  throw new ShapeError(
    expected(where, "[batch, height, width, channels]", `shape ${showShape(x.shape)}`),
  );
}

function alignment(where: string, options: ResizeOptions): "corners" | "centers" | "edges" {
  checkKeys(where, options, ["alignCorners", "halfPixelCenters"]);
  const { alignCorners = false, halfPixelCenters = !alignCorners } = options;
  if (alignCorners && halfPixelCenters) {
    throw new ArgumentError(
      `${where}: \`alignCorners\` and \`halfPixelCenters\` exclude each other`,
    );
  }
  return alignCorners ? "corners" : halfPixelCenters ? "centers" : "edges";
}

/**
 * Images in another size, by bilinear interpolation (without smoothing when they shrink).
 * @param images [batch, height, width, channels] or [height, width, channels], float32
 * @param size [height, width] of the result
 */
export function resizeBilinear(
  images: TensorLike,
  size: readonly [number, number],
  options: ResizeOptions = {},
): Tensor {
  const where = "resizeBilinear";
  const aligned = alignment(where, options);
  const { x, whole } = batchOf(where, images);
  requireDType(where, x, "float32");
  const output = perAxis(where, "size", size, 2) as [number, number];
  // Scale and offset of the place that an axis' pixel is read at.
  const axis = (i: 0 | 1): [number, number] => {
    const [from, to] = [x.shape[1 + i]!, output[i]];
    if (aligned === "corners") return [to > 1 ? (from - 1) / (to - 1) : 0, 0];
    const scale = from / to;
    return [scale, aligned === "centers" ? scale / 2 - 0.5 : 0];
  };
  if (output[0] === x.shape[1] && output[1] === x.shape[2]) return whole(x);
  const [rows, cols] = [axis(0), axis(1)];
  const transforms = leaf(
    Float32Array.of(cols[0], 0, cols[1], 0, rows[0], rows[1], 0, 0),
    [1, 8],
    "float32",
  );
  return whole(
    transformImages(x, transforms, {
      interpolation: "bilinear",
      fillMode: "nearest",
      outputShape: output,
    }),
  );
}

/**
 * Images in another size, each pixel a copy of the nearest one; any dtype.
 * @param images [batch, height, width, channels] or [height, width, channels]
 * @param size [height, width] of the result
 */
export function resizeNearestNeighbor(
  images: TensorLike,
  size: readonly [number, number],
  options: ResizeOptions = {},
): Tensor {
  const where = "resizeNearestNeighbor";
  const aligned = alignment(where, options);
  const { x, whole } = batchOf(where, images);
  const output = perAxis(where, "size", size, 2);
  let result = x;
  output.forEach((to, i) => {
    const from = x.shape[1 + i]!;
    if (to === from) return;
    // In whole numbers, so that nothing is rounded to the wrong side.
    const place = (o: number): number => {
      if (aligned === "centers") return Math.floor(((2 * o + 1) * from) / (2 * to));
      if (aligned === "edges") return Math.floor((o * from) / to);
      return to === 1 ? 0 : Math.floor((2 * o * (from - 1) + to - 1) / (2 * (to - 1)));
    };
    const places = Int32Array.from({ length: to }, (_, o) => Math.min(place(o), from - 1));
    result = gather(result, leaf(places, [to], "int32"), 1 + i);
  });
  return whole(result);
}

/** Each element of the given axes `factors[i]` times in a row: nearest upsampling in one copy. */
export function repeatAxes(x: Tensor, axes: readonly number[], factors: readonly number[]): Tensor {
  const factor = (axis: number): number => factors[axes.indexOf(axis)] ?? 1;
  const split = x.shape.flatMap((d, i) => (factor(i) > 1 ? [d, 1] : [d]));
  const spread = x.shape.flatMap((d, i) => (factor(i) > 1 ? [d, factor(i)] : [d]));
  return reshape(
    broadcastTo(reshape(x, split), spread),
    x.shape.map((d, i) => d * factor(i)),
  );
}
