/** Cases of `transformImages`: scaled, turned, projected and far away, all fill modes, all widths. */
import { normal } from "../helpers/random.js";
import { f32, type KernelCase, out } from "./case.js";

const transforms: Readonly<Record<string, readonly number[]>> = {
  identity: [1, 0, 0, 0, 1, 0, 0, 0],
  scaled: [0.5, 0, -0.25, 0, 0.75, -0.125, 0, 0],
  turned: [0.8, -0.6, 0.7, 0.6, 0.8, -0.4, 0, 0],
  projected: [0.9, 0.2, -0.3, 0.1, 1.1, 0.2, 0.02, -0.03],
  far: [7, 0, -30, 0, -5, 17, 0, 0],
  nowhere: [1e38, 0, 1, 0, 1, 0, 0, 0],
  horizon: [1, 0, 0, 0, 1, 0, -0.25, 0],
  nothing: [Number.NaN, 0, 0, 0, 1, 0, 0, 0],
};

/** n, h, w, c, oh, ow. */
const shapes: number[][] = [
  [1, 1, 1, 1, 2, 2],
  [2, 5, 4, 3, 4, 6],
  [3, 9, 8, 17, 7, 5],
  [2, 3, 3, 40, 6, 6],
  [0, 3, 3, 2, 3, 3],
  [2, 0, 3, 2, 2, 2],
  [2, 3, 3, 0, 2, 2],
];

const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

function transformed(shape: readonly number[], name: string, mode: number): KernelCase[] {
  const [n, h, w, c, oh, ow] = shape as [number, number, number, number, number, number];
  const own = transforms[name]!;
  // Once one transform for all, once one for each.
  const each = mode % 2 === 0 ? 1 : n;
  const list = Array.from({ length: each }, (_, i) => own.map((v) => v * (1 + i / 8))).flat();
  return [0, 1].flatMap((bilinear) => {
    const ints = [n, h, w, c, oh, ow, each, bilinear, mode];
    const title = `[${shape.slice(0, 4)}] to [${oh}, ${ow}], ${name}, bilinear ${bilinear}, mode ${mode}`;
    return [
      {
        name: `transformImages ${title}`,
        call: { kernel: "transformImages", ints, floats: [0.3] },
        inputs: [f32(normal(1, size([n, h, w, c]))), f32(list)],
        outputs: [out(size([n, oh, ow, c]))],
      },
      {
        name: `transformImagesGradient ${title}`,
        call: { kernel: "transformImagesGradient", ints, floats: [] },
        inputs: [f32(normal(2, size([n, oh, ow, c]))), f32(list)],
        outputs: [out(size([n, h, w, c]))],
      },
    ];
  });
}

export const imageCases: readonly KernelCase[] = shapes.flatMap((shape, s) =>
  Object.keys(transforms).flatMap((name, t) =>
    [0, 1, 2, 3]
      .filter((mode) => s === 1 || (s + t + mode) % 2 === 0)
      .flatMap((mode) => transformed(shape, name, mode)),
  ),
);
