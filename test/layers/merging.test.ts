/** Merge layers: values, broadcasting as in Keras, and errors that show the shapes. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import * as layers from "../../src/layers/layers.js";
import { input } from "../../src/network/network.js";
import { fill } from "../../src/ops/creation.js";
import { tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";

const a = tensor([[1, 5, -3]]);
const b = tensor([[2, 3, 4]]);
const c = tensor([[-1, 0, 7]]);

describe("values", () => {
  test.each([
    ["add", layers.add(), [a, b, c], [2, 8, 8]],
    ["subtract", layers.subtract(), [a, b], [-1, 2, -7]],
    ["multiply", layers.multiply(), [a, b, c], [-2, 0, -84]],
    ["average", layers.average(), [a, b], [1.5, 4, 0.5]],
    ["maximum", layers.maximum(), [a, b, c], [2, 5, 7]],
    ["minimum", layers.minimum(), [a, b, c], [-1, 0, -3]],
    ["concatenate", layers.concatenate(), [a, b], [1, 5, -3, 2, 3, 4]],
    ["dot", layers.dot({ axes: 1 }), [a, b], [5]],
    [
      "dot, normalised",
      layers.dot({ axes: -1, normalize: true }),
      [a, b],
      [5 / Math.sqrt(35 * 29)],
    ],
  ])("%s", (_, layer, inputs, want) => {
    expectClose(layer.apply(inputs).dataSync(), want, { rtol: 1e-6 });
  });

  test("missing dimensions go after the batch", () => {
    const matrix = tensor([
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ]);
    const vector = tensor([
      [10, 20],
      [30, 40],
    ]);
    expect(layers.add().apply([matrix, vector]).arraySync()).toEqual([
      [
        [11, 22],
        [13, 24],
      ],
      [
        [35, 46],
        [37, 48],
      ],
    ]);
  });

  test("dot of matrices sums over the named axes", () => {
    const x = tensor([
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
    ]);
    // x·xᵀ over axis 2, and xᵀ·x over axis 1
    expect(layers.dot({ axes: 2 }).apply([x, x]).arraySync()).toEqual([
      [
        [14, 32],
        [32, 77],
      ],
    ]);
    const y = layers.dot({ axes: [1, 1] }).apply([x, x]);
    expect(y.arraySync()).toEqual([
      [
        [17, 22, 27],
        [22, 29, 36],
        [27, 36, 45],
      ],
    ]);
    const vector = layers.dot({ axes: [2, 1] }).apply([x, tensor([[1, 0, -1]])]);
    expect(vector.arraySync()).toEqual([[-2, -2]]);
  });
});

test("mistakes are named", () => {
  const [x, y] = [input({ shape: [3] }), input({ shape: [4] })];
  const name = "m";
  expect(() => layers.add({ name }).apply([x, y])).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: add layer "m": add: shapes [null, 3] and [null, 4] do not broadcast; each dimension, counted from the last, must be equal or 1]`,
  );
  expect(() => layers.add({ name }).apply([x])).toThrowErrorMatchingInlineSnapshot(
    `[ArgumentError: add layer "m": expected an array of at least two inputs, got an array of 1]`,
  );
  expect(() => layers.add({ name }).apply(x)).toThrowErrorMatchingInlineSnapshot(
    `[ArgumentError: add layer "m": expected an array of at least two inputs, got one input]`,
  );
  expect(() => layers.subtract({ name }).apply([x, x, x])).toThrowErrorMatchingInlineSnapshot(
    `[ArgumentError: subtract layer "m": expected two inputs, got 3]`,
  );
  expect(() =>
    layers.concatenate({ name, axis: 0 }).apply([x, y]),
  ).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: concatenate layer "m": expected inputs that differ only in size along axis 0, got shapes [null, 3] and [null, 4]]`,
  );
  expect(() =>
    layers.concatenate({ name, axis: 2 }).apply([x, y]),
  ).toThrowErrorMatchingInlineSnapshot(
    `[ArgumentError: concatenate layer "m": axis: expected an axis from -2 to 1 (rank 2), got 2]`,
  );
  expect(() => layers.dot({ name, axes: 1 }).apply([x, y])).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: dot layer "m": expected two axes of the same size, not the batch's, got axes [1, 1] of shapes [null, 3] and [null, 4]]`,
  );
  expect(() => layers.dot({ name, axes: [1, 1, 1] })).toThrowErrorMatchingInlineSnapshot(
    `[ArgumentError: dot layer "m": expected \`axes\` to be one axis or two, got [1, 1, 1]]`,
  );
  expect(() =>
    layers.multiply({ name }).apply([fill([2, 3], 1), fill([2, 4], 1)]),
  ).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: multiply layer "m": mul: shapes [2, 3] and [2, 4] do not broadcast; each dimension, counted from the last, must be equal or 1]`,
  );
});
