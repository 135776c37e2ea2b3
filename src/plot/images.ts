/**
 * Grids of small pictures with captions, such as samples with their predictions; and how numbers become
 * pictures.
 */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkPositive,
  expected,
  show,
} from "../errors.js";
import { pngDataUri } from "../formats/png.js";
import { checkChart, checkList, checkNumbers } from "./check.js";
import { type ChartOptions, px, svg, text, titleWidth } from "./svg.js";

/** One picture of an {@link imageGrid}. */
export interface GridImage {
  /** Grey values 0 … 255, row by row, or red, green and blue of each pixel. */
  readonly pixels: Uint8Array;
  /** 3 for coloured pixels; 1 when left out. */
  readonly channels?: 1 | 3;
  readonly caption?: string;
  /** Colours the caption. */
  readonly tone?: "good" | "bad" | "plain";
}

/** Options of {@link imageGrid}. */
export interface ImageGridOptions extends Omit<ChartOptions, "width" | "height"> {
  readonly images: readonly GridImage[];
  /** Size of each picture in its own pixels. */
  readonly imageWidth: number;
  readonly imageHeight: number;
  /** Pictures per row; 10 by default. */
  readonly columns?: number;
  /** CSS pixels per picture pixel; 2 by default. */
  readonly scale?: number;
}

/**
 * A grid of pictures as SVG text, the pictures embedded as PNG.
 *
 * @throws ArgumentError for options that it does not have, and for a picture that has not a byte for each pixel and channel.
 */
export function imageGrid(options: ImageGridOptions): string {
  checkGrid("imageGrid()", options);
  const { title = "", images, imageWidth, imageHeight, columns = 10, scale = 2 } = options;
  const captioned = images.some(({ caption }) => caption);
  const stepX = imageWidth * scale + 10;
  const stepY = imageHeight * scale + (captioned ? 24 : 10);
  const top = title ? 38 : 14;
  const rows = Math.ceil(images.length / columns);
  const parts: string[] = [];
  if (title) parts.push(text(16, 24, title, { className: "lw-text lw-title" }));
  images.forEach(({ pixels, channels = 1, caption, tone = "plain" }, i) => {
    const x = 16 + (i % columns) * stepX;
    const y = top + Math.floor(i / columns) * stepY;
    parts.push(
      `<image x="${px(x)}" y="${px(y)}" width="${px(imageWidth * scale)}" ` +
        `height="${px(imageHeight * scale)}" style="image-rendering:pixelated" ` +
        `href="${pngDataUri(pixels, imageWidth, imageHeight, channels)}"/>`,
    );
    if (caption) {
      const className = tone === "plain" ? "lw-text" : `lw-${tone}`;
      const middle = x + (imageWidth * scale) / 2;
      parts.push(
        text(middle, y + imageHeight * scale + 14, caption, { anchor: "middle", className }),
      );
    }
  });
  const width = Math.max(
    22 + Math.min(columns, Math.max(1, images.length)) * stepX,
    title ? titleWidth(title) + 32 : 0,
  );
  return svg(width, top + rows * stepY + 6, title, parts.join(""));
}

function checkGrid(where: string, options: ImageGridOptions): void {
  const own = ["images", "imageWidth", "imageHeight", "columns", "scale"];
  checkChart(where, options, { own, sized: false, framed: false });
  const { images, imageWidth, imageHeight, columns = 10, scale = 2 } = options;
  checkInteger(where, "imageWidth", imageWidth, 1);
  checkInteger(where, "imageHeight", imageHeight, 1);
  checkInteger(where, "columns", columns, 1);
  checkPositive(where, "scale", scale);
  checkList(where, "images", images, (at, one) => {
    checkKeys(at, one as object, ["pixels", "channels", "caption", "tone"]);
    const { pixels, channels = 1, tone = "plain" } = one as GridImage;
    if (channels !== 1 && channels !== 3) {
      throw new ArgumentError(expected(at, "`channels` to be 1 or 3", show(channels)));
    }
    checkChoice(at, "tone", tone, ["good", "bad", "plain"]);
    const size = imageWidth * imageHeight * channels;
    if (!(pixels instanceof Uint8Array || (pixels as unknown) instanceof Uint8ClampedArray)) {
      const hint = "greyPixels() makes them of numbers";
      throw new ArgumentError(
        expected(at, "`pixels` to be bytes, a Uint8Array", show(pixels), hint),
      );
    }
    checkNumbers(at, "pixels", pixels, size);
  });
}

/**
 * Numbers as grey values: the smallest black, the largest white. With `centered`, 0 is the middle grey and
 * what is furthest from it black or white, as weights are looked at.
 */
export function greyPixels(values: ArrayLike<number>, centered = false): Uint8Array {
  checkNumbers("greyPixels()", "values", values);
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (centered) {
    high = Math.max(Math.abs(low), Math.abs(high));
    low = -high;
  }
  const range = high > low ? high - low : 1;
  return Uint8Array.from(values, (value) =>
    high > low ? Math.round((255 * (value - low)) / range) : centered ? 128 : 0,
  );
}

/** Stops of the colours of heat: dark blue, violet, red, orange, light yellow. */
const stops = [
  [20, 10, 80],
  [110, 20, 140],
  [210, 40, 90],
  [250, 130, 40],
  [255, 245, 140],
] as const;

/**
 * A picture with a heat map over it, as RGB: the picture in grey where the map is 0, the map's colours the
 * more the warmer it is.
 *
 * @param pixels grey values 0 … 255, or RGB of each pixel
 * @param map 0 … 1 for each pixel
 * @param strength how much of the picture the warmest colour covers; 0.75 by default
 * @throws ArgumentError unless there is a value for each pixel.
 */
export function overlay(
  pixels: ArrayLike<number>,
  map: ArrayLike<number>,
  strength = 0.75,
): Uint8Array {
  checkNumbers("overlay()", "pixels", pixels);
  checkNumbers("overlay()", "map", map);
  const channels = pixels.length / map.length;
  if (channels !== 1 && channels !== 3) {
    throw new ArgumentError(
      expected("overlay()", `${map.length} pixels of 1 or 3 values`, `${pixels.length} values`),
    );
  }
  const result = new Uint8Array(3 * map.length);
  for (let i = 0; i < map.length; i++) {
    const heat = Math.min(1, Math.max(0, map[i]! || 0));
    const place = heat * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(place));
    const cover = strength * Math.sqrt(heat);
    for (let c = 0; c < 3; c++) {
      const [from, to] = [stops[below]![c]!, stops[below + 1]![c]!];
      const colour = from + (to - from) * (place - below);
      const pixel = pixels[i * channels + (channels === 3 ? c : 0)]!;
      result[3 * i + c] = Math.round(pixel + (colour - pixel) * cover);
    }
  }
  return result;
}
