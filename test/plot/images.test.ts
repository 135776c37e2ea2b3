/** Numbers as pictures: grey values, heat over a picture, colours in a grid. */
import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { encodePng, greyPixels, imageGrid, overlay } from "../../src/plot/plot.js";
import { elementsOf } from "./markup.js";

describe("greyPixels", () => {
  it("spreads values from black to white", () => {
    expect([...greyPixels([-1, 0, 3])]).toEqual([0, 64, 255]);
    expect([...greyPixels([7, 7])]).toEqual([0, 0]);
    expect([...greyPixels([])]).toEqual([]);
  });

  it("keeps 0 in the middle for weights", () => {
    expect([...greyPixels([-1, 0, 3], true)]).toEqual([85, 128, 255]);
    expect([...greyPixels([0, 0], true)]).toEqual([128, 128]);
  });

  it("takes NaN for black, and the range from what is finite", () => {
    expect([...greyPixels([Number.NaN, 0, 2])]).toEqual([0, 0, 255]);
  });
});

describe("overlay", () => {
  it("leaves the picture where the map is 0, and covers it where it is 1", () => {
    const rgb = overlay([100, 100, 200], [0, 1, 1], 1);
    expect([...rgb.subarray(0, 3)]).toEqual([100, 100, 100]);
    expect([...rgb.subarray(3, 6)]).toEqual([255, 245, 140]);
    expect([...rgb.subarray(6)]).toEqual([255, 245, 140]);
  });

  it("blends coloured pictures, and takes what lies outside of 0 to 1 for the end", () => {
    const rgb = overlay([10, 20, 30, 10, 20, 30], [-1, 9], 0.5);
    expect([...rgb.subarray(0, 3)]).toEqual([10, 20, 30]);
    expect([...rgb.subarray(3)]).toEqual([133, 133, 85]);
  });

  it("refuses a map of another size", () => {
    expect(() => overlay([1, 2, 3], [0, 0])).toThrow(ArgumentError);
    expect(() => overlay([1, 2, 3, 4], [0, 0])).toThrow(
      "overlay(): expected 2 pixels of 1 or 3 values, got 4 values",
    );
  });
});

describe("imageGrid", () => {
  it("embeds coloured pictures as they are", () => {
    const pixels = Uint8Array.of(255, 0, 0, 0, 0, 255);
    const svg = imageGrid({ images: [{ pixels, channels: 3 }], imageWidth: 2, imageHeight: 1 });
    expect(elementsOf(svg.replace(/<style>.*?<\/style>/s, ""))).toContain("image");
    const [, base64] = /base64,([^"]+)"/.exec(svg)!;
    const png = Buffer.from(base64!, "base64");
    expect(png).toEqual(Buffer.from(encodePng(pixels, 2, 1, 3)));
    // Filter 0, then the pixels.
    const data = png.subarray(png.indexOf("IDAT") + 4, png.indexOf("IEND") - 8);
    expect([...inflateSync(data)]).toEqual([0, ...pixels]);
  });
});
