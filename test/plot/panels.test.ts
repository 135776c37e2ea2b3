import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { lineChart, panels, planeChart } from "../../src/plot/plot.js";
import { elementsOf } from "./markup.js";

const line = lineChart({ width: 200, height: 100, series: [{ label: "a", y: [1, 2] }] });
const plane = planeChart({ width: 300, height: 150, xRange: [0, 1], yRange: [0, 1] });

/** Position and size of the charts inside, then size of the whole. */
function boxes(figure: string) {
  const inner = [
    ...figure.matchAll(/<svg x="([\d.]+)" y="([\d.]+)".*?width="(\d+)" height="(\d+)"/g),
  ];
  const [, width, height] = /^<svg [^>]*width="(\d+)" height="(\d+)">/.exec(figure)!;
  return [...inner.map(([, ...box]) => box.map(Number)), [Number(width), Number(height)]];
}

describe("panels", () => {
  it("puts charts in rows", () => {
    expect(boxes(panels([line, plane, plane], { columns: 2 }))).toEqual([
      [0, 0, 200, 100],
      [200, 0, 300, 150],
      [0, 150, 300, 150],
      [500, 300],
    ]);
    expect(boxes(panels([line, plane])).at(-1)).toEqual([500, 150]);
  });

  it("leaves room for a title and is one sound SVG with one style sheet", () => {
    const figure = panels([line, plane], { title: "A & B" });
    expect(boxes(figure)).toEqual([
      [0, 36, 200, 100],
      [200, 36, 300, 150],
      [500, 186],
    ]);
    expect(figure).toContain("A &amp; B");
    expect(figure.split("<style>")).toHaveLength(2);
    expect(elementsOf(figure.replace(/<style>.*?<\/style>/s, ""))[0]).toBe("svg");
  });

  it("says what it shows: its title, or those of its charts", () => {
    const charts = ['Loss of < 1 & "more"', "Accuracy"].map((title) =>
      lineChart({ title, series: [{ label: "a", y: [1, 2] }] }),
    );
    const label = (figure: string) => /^<svg [^>]*aria-label="([^"]*)"/.exec(figure)?.[1];
    expect(label(panels(charts))).toBe("Loss of &lt; 1 &amp; &quot;more&quot;; Accuracy");
    expect(label(panels(charts, { title: "Both" }))).toBe("Both");
    expect(label(panels([line, plane]))).toBeUndefined();
  });

  it("refuses what is no chart", () => {
    expect(() => panels(["<svg>"])).toThrow(ArgumentError);
  });
});
