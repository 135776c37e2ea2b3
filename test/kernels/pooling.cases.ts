/** Cases of pooling: windows apart, touching and overlapping, reaching over each edge, of all widths. */
import { integers, normal } from "../helpers/random.js";
import { f32, i32, type KernelCase, out } from "./case.js";

/** n, h, w, c, kernel, strides, before, output. */
const shapes: number[][] = [
  [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1],
  [2, 4, 4, 3, 2, 2, 2, 2, 0, 0, 2, 2],
  [3, 28, 28, 6, 2, 2, 2, 2, 0, 0, 14, 14],
  [2, 14, 14, 32, 2, 2, 2, 2, 0, 0, 7, 7],
  [2, 13, 11, 64, 3, 3, 2, 2, 1, 1, 7, 6],
  [1, 7, 9, 67, 3, 2, 1, 3, 0, 0, 5, 3],
  [2, 6, 5, 17, 3, 3, 1, 1, 1, 1, 6, 5],
  [1, 5, 5, 8, 2, 3, 4, 4, 1, 2, 2, 2],
  [1, 8, 1, 130, 4, 1, 3, 1, 2, 0, 3, 1],
  [2, 9, 9, 5, 9, 9, 1, 1, 4, 4, 9, 9],
  [1, 20, 20, 16, 17, 16, 1, 1, 0, 0, 4, 5],
  [1, 40, 3, 1, 30, 3, 5, 1, 20, 0, 5, 1],
  [0, 4, 4, 2, 2, 2, 2, 2, 0, 0, 2, 2],
  [2, 4, 4, 0, 2, 2, 2, 2, 0, 0, 2, 2],
  [2, 4, 4, 3, 5, 5, 1, 1, 0, 0, 0, 0],
  [4, 32, 32, 24, 2, 2, 2, 2, 0, 0, 16, 16],
  // Side by side: cut at the far edges, rows and columns without a window, few and odd channels.
  [2, 7, 9, 11, 2, 2, 2, 2, 0, 0, 4, 5],
  [3, 8, 7, 5, 3, 2, 3, 2, 0, 0, 2, 3],
  [2, 11, 5, 33, 3, 3, 3, 3, 0, 0, 4, 2],
  [5, 6, 6, 1, 2, 2, 2, 2, 0, 0, 3, 3],
];

const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

function poolingOf(ints: readonly number[]): KernelCase[] {
  const [n, h, w, c, kh, kw, , , , , oh, ow] = ints as [
    ...[number, number, number, number, number, number],
    ...[number, number, number, number, number, number],
  ];
  const [inside, outside, window] = [size([n, h, w, c]), size([n, oh, ow, c]), kh * kw];
  const title = `[${n}, ${h}, ${w}, ${c}] by ${ints.slice(4).join(" ")}`;
  const byte = window <= 256;
  // Few values, so that windows have several largest elements.
  const ties = integers(2, inside, -3, 4);
  const special = normal(3, inside).map((v, i) =>
    i % 7 === 0 ? NaN : i % 5 === 0 ? -Infinity : i % 11 === 0 ? Infinity : v,
  );
  const index = integers(4, outside, 0, window);
  const dy = f32(normal(5, outside));
  const call = (kernel: string) => ({ kernel, ints, floats: [] });
  return [
    ...[normal(1, inside), ties, special].flatMap((x, i) => [
      {
        name: `maxPool ${title}, input ${i}`,
        call: call("maxPool"),
        inputs: [f32(x)],
        outputs: [out(outside), out(outside, byte ? "uint8" : "int32")],
      },
      {
        name: `maxPool without index ${title}, input ${i}`,
        call: call("maxPool"),
        inputs: [f32(x)],
        outputs: [out(outside)],
      },
    ]),
    {
      name: `maxPoolGradient ${title}`,
      call: call("maxPoolGradient"),
      inputs: [dy, byte ? { dtype: "uint8", data: Uint8Array.from(index) } : i32(index)],
      outputs: [out(inside)],
    },
    {
      name: `avgPool ${title}`,
      call: call("avgPool"),
      inputs: [f32(normal(1, inside))],
      outputs: [out(outside)],
    },
    {
      name: `avgPoolGradient ${title}`,
      call: call("avgPoolGradient"),
      inputs: [dy],
      outputs: [out(inside)],
    },
  ];
}

export const poolingCases: readonly KernelCase[] = shapes.flatMap(poolingOf);
