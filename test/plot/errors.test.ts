/** What charts say of data and options that they can't draw. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";

const { barChart, greyPixels, heatMap, imageGrid, lineChart, overlay, panels, planeChart } =
  lw.plot;

/** For options that the types would refuse. */
const as = (options: object): never => options as never;
const chart = lineChart({ series: [{ label: "loss", y: [2, 1] }] });
const pixels = new Uint8Array(4);
const grid = { images: [{ pixels }], imageWidth: 2, imageHeight: 2 };
const bars = { labels: ["a", "b"], series: [{ label: "s", values: [1, 2] }] };
const heat = { rows: ["a"], columns: ["b", "c"], values: [[1, 2]] };
const plane = { xRange: [0, 1], yRange: [0, 1] } as const;

test.each<[string, () => unknown, string]>([
  ["no options", () => lineChart(as([])), "lineChart(): expected an object with options, got []"],
  [
    "no series",
    () => lineChart(as({})),
    "lineChart(): expected `series` to be an array, got undefined",
  ],
  [
    "a mistyped option",
    () => lineChart(as({ series: [], titel: "x" })),
    "lineChart(): unknown option `titel`; did you mean `title`?",
  ],
  [
    "a mistyped key of a series",
    () => lineChart(as({ series: [{ label: "a", ys: [1] }] })),
    "lineChart(): series[0]: unknown option `ys`",
  ],
  [
    "no label",
    () => lineChart(as({ series: [{ y: [1] }] })),
    "lineChart(): series[0]: expected `label` to be a text, got undefined",
  ],
  [
    "x shorter than y",
    () => lineChart({ series: [{ label: "a", x: [1], y: [1, 2] }] }),
    "lineChart(): series[0]: expected `x` to have 2 numbers, got 1",
  ],
  [
    "a tensor",
    () => lineChart(as({ series: [{ label: "a", y: lw.tensor([1, 2]) }] })),
    "lineChart(): series[0]: expected `y` to be an array of numbers, got an instance of Tensor; its numbers are `await tensor.data()`",
  ],
  [
    "a scale that isn't there",
    () => lineChart(as({ series: [], yScale: "lg" })),
    'lineChart(): expected `yScale` to be one of "linear", "log", got "lg"; did you mean "log"?',
  ],
  [
    "a range that is none",
    () => lineChart({ series: [], yRange: [1, 1] }),
    "lineChart(): expected `yRange` to be [low, high], low < high, got [1, 1]",
  ],
  [
    "a width of 0",
    () => barChart({ ...bars, width: 0 }),
    "barChart(): expected `width` to be a finite number above 0, got 0",
  ],
  [
    "a value too few",
    () => barChart({ ...bars, series: [{ label: "s", values: [1] }] }),
    "barChart(): series[0]: expected `values` to have 2 numbers, got 1",
  ],
  [
    "names that are numbers",
    () => barChart(as({ ...bars, labels: [1, 2] })),
    "barChart(): labels[0]: expected a name to be a text, got 1",
  ],
  [
    "a row too few",
    () => heatMap({ ...heat, rows: ["a", "b"] }),
    "heatMap(): expected `values` to have 2 rows, got 1",
  ],
  [
    "a column too many",
    () => heatMap({ ...heat, values: [[1, 2, 3]] }),
    "heatMap(): values[0]: expected `row` to have 2 numbers, got 3",
  ],
  ["no charts", () => panels([]), "panels(): expected at least one chart, got none"],
  [
    "another chart",
    () => panels(["<svg>"]),
    'panels(): expected texts of charts made by lw.plot, got "<svg>"',
  ],
  [
    "panels without columns",
    () => panels([chart], { columns: 0 }),
    "panels(): expected `columns` to be an integer ≥ 1, got 0",
  ],
  [
    "a mistyped size",
    () => imageGrid(as({ images: [], imageWidht: 2, imageHeight: 2 })),
    "imageGrid(): unknown option `imageWidht`; did you mean `imageWidth`?",
  ],
  [
    "no columns",
    () => imageGrid({ ...grid, columns: 0 }),
    "imageGrid(): expected `columns` to be an integer ≥ 1, got 0",
  ],
  [
    "a scale below 0",
    () => imageGrid({ ...grid, scale: -1 }),
    "imageGrid(): expected `scale` to be a finite number above 0, got -1",
  ],
  [
    "numbers for bytes",
    () => imageGrid(as({ ...grid, images: [{ pixels: new Float32Array(4) }] })),
    "imageGrid(): images[0]: expected `pixels` to be bytes, a Uint8Array, got Float32Array(4); greyPixels() makes them of numbers",
  ],
  [
    "too few pixels",
    () => imageGrid({ ...grid, images: [{ pixels, channels: 3 }] }),
    "imageGrid(): images[0]: expected `pixels` to have 12 numbers, got 4",
  ],
  [
    "grey values of a tensor",
    () => greyPixels(as(lw.zeros([2, 2]))),
    "greyPixels(): expected `values` to be an array of numbers, got an instance of Tensor",
  ],
  [
    "a map that is none",
    () => overlay(pixels, as({})),
    "overlay(): expected `map` to be an array of numbers, got an object",
  ],
  [
    "a plane without ranges",
    () => planeChart(as({ points: [] })),
    "planeChart(): expected `xRange` and `yRange` to be [low, high], got undefined and undefined; rangesOf() finds them",
  ],
  [
    "a grid of another size",
    () => planeChart({ ...plane, regions: { columns: 2, rows: 2, values: [1] } }),
    "planeChart(): regions: expected `values` to have 4 numbers, got 1",
  ],
  [
    "contours of a single row",
    () => planeChart({ ...plane, contours: { columns: 2, rows: 1, values: [1, 2], levels: [1] } }),
    "planeChart(): contours: expected `rows` to be an integer ≥ 2, got 1",
  ],
  [
    "a point of one number",
    () => planeChart(as({ ...plane, points: [{ label: "a", points: [[1]] }] })),
    "planeChart(): points[0]: points[0]: expected `point` to have 2 numbers, got 1",
  ],
])("%s", (_, draw, message) => {
  expect(draw).toThrow(lw.ArgumentError);
  expect(draw).toThrow(message);
});
