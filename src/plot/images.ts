/** Grids of small grey pictures with captions, such as samples with their predictions. */
import { pngDataUri } from "../formats/png.js";
import { type ChartOptions, px, svg, text } from "./svg.js";

/** One picture of an {@link imageGrid}. */
export interface GridImage {
  /** Grey values 0 … 255, row by row. */
  readonly pixels: Uint8Array;
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

/** A grid of pictures as SVG text, the pictures embedded as PNG. */
export function imageGrid(options: ImageGridOptions): string {
  const { title = "", images, imageWidth, imageHeight, columns = 10, scale = 2 } = options;
  const captioned = images.some(({ caption }) => caption);
  const stepX = imageWidth * scale + 10;
  const stepY = imageHeight * scale + (captioned ? 24 : 10);
  const top = title ? 38 : 14;
  const rows = Math.ceil(images.length / columns);
  const parts: string[] = [];
  if (title) parts.push(text(16, 24, title, { className: "lw-text lw-title" }));
  images.forEach(({ pixels, caption, tone = "plain" }, i) => {
    const x = 16 + (i % columns) * stepX;
    const y = top + Math.floor(i / columns) * stepY;
    parts.push(
      `<image x="${px(x)}" y="${px(y)}" width="${px(imageWidth * scale)}" ` +
        `height="${px(imageHeight * scale)}" style="image-rendering:pixelated" ` +
        `href="${pngDataUri(pixels, imageWidth, imageHeight)}"/>`,
    );
    if (caption) {
      const className = tone === "plain" ? "lw-text" : `lw-${tone}`;
      const middle = x + (imageWidth * scale) / 2;
      parts.push(
        text(middle, y + imageHeight * scale + 14, caption, { anchor: "middle", className }),
      );
    }
  });
  const width = 22 + Math.min(columns, Math.max(1, images.length)) * stepX;
  return svg(width, top + rows * stepY + 6, title, parts.join(""));
}
