/**
 * What all charts share: colours for light and dark, escaping, scales, ticks, axes and legends.
 * Charts are pure functions from plain data to the text of one stand-alone SVG.
 */

/** Options of every chart. */
export interface ChartOptions {
  readonly title?: string;
  /** Width in CSS pixels; 640 by default. */
  readonly width?: number;
  /** Height in CSS pixels. */
  readonly height?: number;
}

/** Text made safe for XML and HTML, in content and in quoted attributes. */
export function escapeText(text: string): string {
  return (
    text
      // What XML 1.0 cannot hold at all, escaped or not.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
      .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "\ufffd")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("'", "&#39;")
  );
}

/** What {@link escapeText} was given, but for characters that XML can't hold. */
export function unescapeText(text: string): string {
  return text
    .replaceAll("&#39;", "'")
    .replaceAll("&quot;", '"')
    .replaceAll("&gt;", ">")
    .replaceAll("&lt;", "<")
    .replaceAll("&amp;", "&");
}

/** Series colours, told apart with any colour vision (after Okabe and Ito 2008). */
export const seriesColors = {
  light: [
    ...["#0072b2", "#d55e00", "#009e73", "#b8528f", "#a87400"],
    ...["#3a9bd9", "#6f4fb3", "#5f6770", "#8c1c2c", "#6d8b00"],
  ],
  dark: [
    ...["#58b4f0", "#ff8f4d", "#35c99b", "#ec93c4", "#e8b84a"],
    ...["#9ad4f7", "#b7a0f2", "#aab2bd", "#ff7285", "#c3d94e"],
  ],
} as const;

export const paper = { light: "#ffffff", dark: "#14181d" } as const;

const series = (colors: readonly string[]) =>
  colors.map((c, i) => `.lw-s${i}{stroke:${c}}.lw-f${i}{fill:${c}}`).join("");

/** The style sheet of the charts. Class names start with `lw-`, so several SVGs share a page. */
export const chartStyle =
  ".lw-plot{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}" +
  ".lw-paper{fill:#ffffff}.lw-text{fill:#1d2329}.lw-muted{fill:#59636e}.lw-inverse{fill:#ffffff}" +
  ".lw-title{font-size:14px;font-weight:600}.lw-grid{stroke:#e4e8ec}.lw-axis{stroke:#8b949e}" +
  ".lw-line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}" +
  ".lw-dot{stroke:#ffffff;stroke-width:1}.lw-heat{fill:#0b5fa5}.lw-good{fill:#00754f}" +
  ".lw-bad{fill:#c03a00}.lw-contour{fill:none;stroke:#aab3bd;stroke-width:1}" +
  series(seriesColors.light) +
  "@media (prefers-color-scheme:dark){.lw-paper{fill:#14181d}.lw-text{fill:#e6e9ed}" +
  ".lw-muted{fill:#a0a9b4}.lw-inverse{fill:#0d1014}.lw-grid{stroke:#2b323a}" +
  ".lw-axis{stroke:#6c7682}.lw-dot{stroke:#14181d}.lw-heat{fill:#58b4f0}.lw-good{fill:#35c99b}" +
  ".lw-bad{fill:#ff8f4d}.lw-contour{stroke:#56616d}" +
  `${series(seriesColors.dark)}}`;

/** Index of the colour class of series `i`. */
export function colorOf(i: number): number {
  return i % seriesColors.light.length;
}

/** Dashes tell apart the series that share a colour. */
export function dashOf(i: number): string {
  const dashes = ["", "7 4", "2 4", "9 4 2 4"];
  const dash = dashes[Math.floor(i / seriesColors.light.length) % dashes.length];
  return dash ? ` stroke-dasharray="${dash}"` : "";
}

/** One SVG document around `body`. */
export function svg(width: number, height: number, title: string, body: string): string {
  const label = title ? ` aria-label="${escapeText(title)}"` : "";
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" class="lw-plot" role="img"${label} ` +
    `viewBox="0 0 ${px(width)} ${px(height)}" width="${px(width)}" height="${px(height)}">` +
    `<style>${chartStyle}</style>` +
    `<rect class="lw-paper" width="${px(width)}" height="${px(height)}"/>${body}</svg>\n`
  );
}

/** A coordinate with a tenth of a pixel, which is as fine as anyone sees. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Where and how text stands. */
export interface TextOptions {
  readonly anchor?: "start" | "middle" | "end";
  readonly className?: string;
  readonly rotate?: boolean;
}

export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { anchor = "start", className = "lw-text", rotate = false } = options;
  const turn = rotate ? ` transform="rotate(-90 ${px(x)} ${px(y)})"` : "";
  return (
    `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}" class="${className}"${turn}>` +
    `${escapeText(content)}</text>`
  );
}

/** Characters that are much narrower or wider than most, by their width in 12-pixel DejaVu Sans. */
const widths: readonly (readonly [RegExp, number])[] = [
  [/[iljI.,:;'|!]/, 3.6],
  [/[ ftr()[\]/-]/, 4.7],
  [/[mwMW%@−]/, 10.6],
  [/[A-Z]/, 8.3],
];

/** Width of 12-pixel text, near enough to place things by. DejaVu Sans is wider than other fonts. */
export function textWidth(content: string): number {
  let sum = 0;
  for (const c of content) sum += widths.find(([set]) => set.test(c))?.[1] ?? 7.4;
  return sum;
}

/** Width of a chart's title, which is larger and bold. */
export function titleWidth(content: string): number {
  return textWidth(content) * 1.35;
}

/** A number as an axis shows it. */
export function formatTick(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) {
    return value
      .toExponential(2)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e")
      .replaceAll("-", "−");
  }
  return String(Number(value.toPrecision(6))).replaceAll("-", "−");
}

export type ScaleKind = "linear" | "log";

/** Maps data values to pixels. */
export interface Scale {
  readonly kind: ScaleKind;
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  /** Position in pixels; not finite for a value that the scale can't show. */
  at(value: number): number;
}

/** The finite values' lowest and highest (positive ones only for a log scale). */
export function extent(values: Iterable<number>, kind: ScaleKind = "linear"): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (kind === "log" && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return kind === "log" ? [0.1, 1] : [0, 1];
  if (low < high) return [low, high];
  // A single value: leave some room around it.
  if (kind === "log") return [low / 2, high * 2];
  const room = low === 0 ? 1 : Math.abs(low) * 0.1;
  return [low - room, high + room];
}

/** A scale from data `[low, high]` to pixels `[from, to]`, with about `count` ticks. */
export function makeScale(
  kind: ScaleKind,
  [low, high]: readonly [number, number],
  [from, to]: readonly [number, number],
  count: number,
): Scale {
  if (kind === "log") {
    const a = Math.log10(low);
    const b = Math.log10(high);
    const at = (value: number) =>
      value > 0 ? from + ((Math.log10(value) - a) / (b - a)) * (to - from) : Number.NaN;
    return { kind, low, high, ticks: logTicks(low, high, count), at };
  }
  const at = (value: number) => from + ((value - low) / (high - low)) * (to - from);
  return { kind, low, high, ticks: linearTicks(low, high, count), at };
}

/** Multiples of 1, 2 or 5 times a power of ten within `[low, high]`. */
export function linearTicks(low: number, high: number, count: number): number[] {
  const raw = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) ?? raw;
  const ticks: number[] = [];
  // Multiples, not sums, so that no rounding error builds up.
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  for (let k = first; k <= last && ticks.length < 100; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low: number, high: number, count: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const within = (value: number) => value >= low * 0.999 && value <= high * 1.001;
  const decades = Array.from({ length: last - first + 1 }, (_, i) => Number(`1e${first + i}`));
  const whole = decades.filter(within);
  if (whole.length > count) {
    const every = Math.ceil(whole.length / count);
    return whole.filter((_, i) => i % every === 0);
  }
  if (whole.length >= 3) return whole;
  const fine = decades.flatMap((d) => [d, 2 * d, 5 * d]).filter(within);
  return fine.length >= 2 ? fine : linearTicks(low, high, count);
}

/** The plotting area of a chart with axes. */
export interface Frame {
  readonly x: Scale;
  readonly y: Scale;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** Title, grid, axes, labels and legend. */
  readonly body: string;
}

/** One entry of a legend. */
export interface LegendEntry {
  readonly label: string;
  readonly color: number;
  readonly dash?: string;
  readonly mark: "line" | "dot" | "box";
}

/** Options of {@link makeFrame}. */
export interface FrameOptions {
  readonly width: number;
  readonly height: number;
  readonly title?: string | undefined;
  readonly xLabel?: string | undefined;
  readonly yLabel?: string | undefined;
  readonly xRange: readonly [number, number];
  readonly yRange: readonly [number, number];
  readonly xScale?: ScaleKind | undefined;
  readonly yScale?: ScaleKind | undefined;
  readonly legend?: readonly LegendEntry[];
  /** Draw no ticks on x: the chart labels its own. */
  readonly bareX?: boolean;
  /** x counts something, such as epochs: ticks at integers only. */
  readonly wholeX?: boolean;
}

/** Lays out title, legend and axes, and draws them. */
export function makeFrame(options: FrameOptions): Frame {
  const { width, height, title, xLabel, yLabel, legend = [] } = options;
  const header = drawLegend(legend, width, title ? 40 : 20);
  const top = header.bottom + 14;
  const bottom = height - (xLabel ? 48 : 30);
  const yRange = [bottom, top] as const;
  const y = makeScale(options.yScale ?? "linear", options.yRange, yRange, (bottom - top) / 45);
  const widest = Math.max(0, ...y.ticks.map((t) => textWidth(formatTick(t))));
  const left = 14 + widest + (yLabel ? 20 : 0);
  const right = width - 18;
  const x = makeScale(
    options.xScale ?? "linear",
    options.xRange,
    [left, right],
    (right - left) / 60,
  );
  const parts: string[] = [];
  if (title) parts.push(text(16, 24, title, { className: "lw-text lw-title" }));
  parts.push(header.body);
  for (const tick of y.ticks) {
    const at = y.at(tick);
    parts.push(line(left, at, right, at, "lw-grid"));
    parts.push(text(left - 7, at + 4, formatTick(tick), { anchor: "end", className: "lw-muted" }));
  }
  for (const tick of x.ticks) {
    if (options.bareX || (options.wholeX && !Number.isInteger(tick))) continue;
    const at = x.at(tick);
    parts.push(line(at, bottom, at, bottom + 4, "lw-axis"));
    parts.push(
      text(at, bottom + 18, formatTick(tick), { anchor: "middle", className: "lw-muted" }),
    );
  }
  parts.push(line(left, bottom, right, bottom, "lw-axis"));
  const muted = { anchor: "middle", className: "lw-muted" } as const;
  if (xLabel) parts.push(text((left + right) / 2, height - 10, xLabel, muted));
  if (yLabel) parts.push(text(16, (top + bottom) / 2, yLabel, { ...muted, rotate: true }));
  return { x, y, left, right, top, bottom, body: parts.join("") };
}

export function line(x1: number, y1: number, x2: number, y2: number, className: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" class="${className}"/>`;
}

/** Entries in rows that wrap at the chart's width. */
function drawLegend(
  entries: readonly LegendEntry[],
  width: number,
  top: number,
): { body: string; bottom: number } {
  if (entries.length === 0) return { body: "", bottom: top - 8 };
  let x = 16;
  let y = top + 4;
  const parts: string[] = [];
  for (const { label, color, dash = "", mark } of entries) {
    const needed = 24 + textWidth(label) + 22;
    if (x > 16 && x + needed > width) {
      x = 16;
      y += 18;
    }
    const middle = y - 4;
    if (mark === "line") {
      parts.push(`<path d="M${px(x)} ${px(middle)}h18" class="lw-line lw-s${color}"${dash}/>`);
    } else if (mark === "dot") {
      parts.push(`<circle cx="${px(x + 9)}" cy="${px(middle)}" r="5" class="lw-f${color}"/>`);
    } else {
      parts.push(
        `<rect x="${px(x + 3)}" y="${px(middle - 6)}" width="12" height="12" class="lw-f${color}"/>`,
      );
    }
    parts.push(text(x + 24, y, label));
    x += needed;
  }
  return { body: parts.join(""), bottom: y + 2 };
}
