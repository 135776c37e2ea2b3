import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { barChart } from "../../src/plot/bars.js";
import { heatMap } from "../../src/plot/heat.js";
import { imageGrid } from "../../src/plot/images.js";
import { lineChart } from "../../src/plot/line.js";
import { planeChart, rangesOf } from "../../src/plot/plane.js";
import { escapeText, extent, formatTick, linearTicks, makeScale } from "../../src/plot/svg.js";
import { elementsOf } from "./markup.js";

const nasty = `<script>alert("1")</script> & 'two'\u0000`;
const count = (text: string, part: string) => text.split(part).length - 1;
const sound = (chart: string) => {
  elementsOf(chart);
  expect(chart).not.toMatch(/NaN|Infinity|undefined/);
  expect(chart.startsWith("<svg ")).toBe(true);
  return chart;
};

describe("scales", () => {
  it("ticks are round numbers within the range", () => {
    expect(linearTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(linearTicks(-0.31, 0.29, 4)).toEqual([-0.2, 0, 0.2]);
    expect(linearTicks(1e9, 4e9, 3)).toEqual([1e9, 2e9, 3e9, 4e9]);
    expect(makeScale("log", [0.001, 10], [0, 100], 6).ticks).toEqual([0.001, 0.01, 0.1, 1, 10]);
    expect(makeScale("log", [1, 8], [0, 100], 6).ticks).toEqual([1, 2, 5]);
    expect(makeScale("log", [1e-9, 1], [0, 100], 4).ticks).toEqual([1e-9, 1e-6, 1e-3, 1]);
  });

  it("map values to pixels, and what a log scale can't show to NaN", () => {
    expect(makeScale("linear", [0, 10], [100, 0], 5).at(2.5)).toBe(75);
    const log = makeScale("log", [1, 100], [0, 10], 5);
    expect(log.at(10)).toBeCloseTo(5, 12);
    expect(log.at(0)).toBeNaN();
    expect(log.at(-1)).toBeNaN();
  });

  it("extents ignore what is not finite and never collapse", () => {
    expect(extent([3, Number.NaN, -1, Infinity])).toEqual([-1, 3]);
    expect(extent([-5, 0, 2], "log")).toEqual([1, 4]);
    expect(extent([])).toEqual([0, 1]);
    expect(extent([0])).toEqual([-1, 1]);
  });

  it("numbers read well", () => {
    expect([0, 0.30000000000000004, -2, 1500, 2e6, 1e-5, -2.5e-7].map(formatTick)).toEqual([
      "0",
      "0.3",
      "−2",
      "1500",
      "2e6",
      "1e−5",
      "−2.5e−7",
    ]);
  });
});

describe("charts", () => {
  it("escape every text", () => {
    expect(escapeText(nasty)).toBe(
      "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;two&#39;\ufffd",
    );
    const pixels = new Uint8Array(4);
    const charts = [
      lineChart({
        title: nasty,
        xLabel: nasty,
        yLabel: nasty,
        series: [{ label: nasty, y: [1, 2] }],
      }),
      planeChart({
        title: nasty,
        xRange: [0, 1],
        yRange: [0, 1],
        points: [{ label: nasty, points: [[0, 0]] }],
      }),
      barChart({ title: nasty, labels: [nasty], series: [{ label: nasty, values: [1] }] }),
      heatMap({ title: nasty, rows: [nasty], columns: [nasty], values: [[1]], rowLabel: nasty }),
      imageGrid({ images: [{ pixels, caption: nasty }], imageWidth: 2, imageHeight: 2 }),
    ];
    for (const chart of charts) {
      sound(chart);
      expect(chart).not.toContain("<script");
      expect(chart).toContain("&lt;script&gt;");
    }
  });

  it("lines break where a value can't be shown", () => {
    const y = [1, 2, Number.NaN, 3, 4, Infinity, 5];
    const chart = sound(lineChart({ series: [{ label: "", y }] }));
    const path = /<path d="([^"]*)" class="lw-line/.exec(chart)![1]!;
    expect(count(path, "M")).toBe(3);
    expect(count(path, "L")).toBe(2);
    expect(count(chart, "<circle")).toBe(5);
    const log = lineChart({ series: [{ label: "", y: [0, 1, 10] }], yScale: "log" });
    expect(count(sound(log), "<circle")).toBe(2);
  });

  it("label counted epochs with integers only", () => {
    const ticks = (chart: string) =>
      [...chart.matchAll(/text-anchor="middle" class="lw-muted">([^<]*)</g)].map((m) => m[1]);
    expect(ticks(lineChart({ series: [{ label: "", y: [1, 2, 3] }] }))).toEqual(["1", "2", "3"]);
    expect(ticks(lineChart({ series: [{ label: "", x: [1, 2, 3], y: [1, 2, 3] }] }))).toContain(
      "1.5",
    );
  });

  it("survive nothing, one value and constant values", () => {
    sound(lineChart({ series: [] }));
    sound(lineChart({ series: [{ label: "a", y: [] }] }));
    sound(lineChart({ series: [{ label: "a", y: [3] }], yScale: "log" }));
    sound(lineChart({ series: [{ label: "a", y: [Number.NaN, Number.NaN] }] }));
    sound(lineChart({ series: [{ label: "a", y: [2, 2, 2] }] }));
    sound(barChart({ labels: [], series: [] }));
    sound(barChart({ labels: ["a"], series: [{ label: "s", values: [Number.NaN] }] }));
    sound(barChart({ labels: ["a", "b"], series: [{ label: "s", values: [-1, 2] }] }));
    sound(heatMap({ rows: [], columns: [], values: [] }));
    sound(heatMap({ rows: ["a"], columns: ["b"], values: [[0]] }));
    sound(imageGrid({ images: [], imageWidth: 28, imageHeight: 28 }));
    sound(planeChart({ ...rangesOf([]) }));
  });

  it("bars stand on zero, or on the end of a range without it", () => {
    const bar = (chart: string) =>
      [...chart.matchAll(/<rect [^>]*y="([\d.]+)" [^>]*height="([\d.]+)" rx/g)].map(
        ([, y, height]) => Number(y) + Number(height),
      );
    const series = [{ label: "s", values: [0.9, 0.95] }];
    const [a, b] = bar(sound(barChart({ labels: ["a", "b"], series })));
    expect(a).toBeCloseTo(b!, 0);
    const cut = barChart({ labels: ["a", "b"], series, yRange: [0.8, 1] });
    expect(Math.max(...bar(sound(cut)))).toBeLessThanOrEqual(290.1);
  });

  it("regions merge the cells of a class, and the grid must fit", () => {
    const options = { xRange: [0, 1], yRange: [0, 1] } as const;
    const regions = { columns: 3, rows: 2, values: [0, 0, 1, 1, 1, 1] };
    const chart = sound(planeChart({ ...options, regions }));
    const paths = [...chart.matchAll(/<path d="([^"]*)" class="lw-f(\d)"/g)];
    expect(paths.map(([, d, color]) => [color, count(d!, "M")])).toEqual([
      ["0", 1],
      ["1", 2],
    ]);
    expect(() => planeChart({ ...options, regions: { ...regions, rows: 3 } })).toThrow(
      ArgumentError,
    );
  });

  it("contours follow the level, here a circle", () => {
    const n = 41;
    const values = Array.from({ length: n * n }, (_, i) => {
      const x = -1 + (2 * (i % n)) / (n - 1);
      const y = -1 + (2 * Math.floor(i / n)) / (n - 1);
      return x * x + y * y;
    });
    const chart = sound(
      planeChart({
        xRange: [-1, 1],
        yRange: [-1, 1],
        contours: { columns: n, rows: n, values, levels: [0.25] },
      }),
    );
    const clip =
      /<clipPath[^>]*><rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"/;
    const [left, top, width, height] = clip.exec(chart)!.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const path = /<path d="([^"]*)" class="lw-contour"/.exec(chart)![1]!;
    const points = [...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)];
    expect(points.length).toBeGreaterThan(60);
    for (const [, px, py] of points) {
      const x = (2 * (Number(px) - left)) / width - 1;
      const y = 1 - (2 * (Number(py) - top)) / height;
      expect(Math.hypot(x, y)).toBeCloseTo(0.5, 2);
    }
  });

  it("decision lines are cut at the box, and left out when they miss it", () => {
    const chart = (c: number) =>
      planeChart({ xRange: [0, 1], yRange: [0, 1], lines: [{ label: "", a: 1, b: 1, c }] });
    expect(count(sound(chart(-1)), 'class="lw-line lw-s2"')).toBe(2);
    expect(count(sound(chart(5)), 'class="lw-line lw-s2"')).toBe(1);
  });

  it("a heat map may be large, and have values that are no numbers", () => {
    const side = 400;
    const names = Array.from({ length: side }, (_, i) => `${i}`);
    const rows = names.map(() => new Float32Array(side).fill(1));
    const large = heatMap({ rows: names, columns: names, values: rows });
    expect(count(large, "fill-opacity=")).toBe(side * side);
    const shades = (values: number[]) =>
      [
        ...heatMap({
          rows: ["a"],
          columns: values.map(String),
          values: [values],
          format: () => "",
        }).matchAll(/fill-opacity="([\d.]+)"/g),
      ].map(([, opacity]) => Number(opacity));
    expect(shades([2, Number.NaN, 1, 0])).toEqual([1, 0.04, 0.52, 0.04]);
    expect(shades([2, Infinity, 1, -Infinity])).toEqual([1, 1, 0.52, 0.04]);
  });

  it("a heat map writes every count with its title", () => {
    const chart = sound(
      heatMap({
        rows: ["a", "b"],
        columns: ["a", "b"],
        values: [
          [5, 0],
          [1, 4],
        ],
        rowLabel: "true",
        columnLabel: "predicted",
      }),
    );
    expect(chart).toContain("<title>true b, predicted a: 1</title>");
    expect(
      [...chart.matchAll(/lw-(?:inverse|text)">(\d*)<\/text><\/g>/g)].map((m) => m[1]),
    ).toEqual(["5", "", "1", "4"]);
  });
});
