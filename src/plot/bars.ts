/** Bar charts: one value per name, or several side by side. */
import { checkChart, checkLabelled, checkList, checkNumbers, checkTexts } from "./check.js";
import {
  type ChartOptions,
  colorOf,
  extent,
  formatTick,
  makeFrame,
  px,
  type ScaleKind,
  svg,
  text,
  textWidth,
} from "./svg.js";

/** Options of {@link barChart}. */
export interface BarChartOptions extends ChartOptions {
  /** What stands under each group of bars. */
  readonly labels: readonly string[];
  /** One bar per label from each; with a single series no legend is drawn. */
  readonly series: readonly { readonly label: string; readonly values: ArrayLike<number> }[];
  readonly yLabel?: string;
  readonly yScale?: ScaleKind;
  readonly yRange?: readonly [number, number];
  /** What to write on top of each bar; by default the value, where there is room. */
  readonly format?: (value: number) => string;
}

/**
 * A bar chart as SVG text. Values that are not finite leave a gap.
 *
 * @throws ArgumentError for options that it does not have, and for a series without a value for each label.
 */
export function barChart(options: BarChartOptions): string {
  const where = "barChart()";
  checkChart(where, options, { own: ["labels", "series", "format"] });
  checkTexts(where, "labels", options.labels);
  checkList(where, "series", options.series, (at, one) => {
    checkLabelled(at, one, ["values"]);
    checkNumbers(at, "values", (one as { values: unknown }).values, options.labels.length);
  });
  const { title = "", width = 640, height = 320, labels, series, yScale = "linear" } = options;
  const { format = formatTick } = options;
  const values = series.flatMap(({ values }) => Array.from(values));
  const [low, high] = extent(yScale === "log" ? values : [...values, 0], yScale);
  const frame = makeFrame({
    width,
    height,
    title,
    yLabel: options.yLabel,
    yScale,
    xRange: [0, labels.length],
    yRange:
      options.yRange ??
      (yScale === "log"
        ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high) + 0.05)]
        : [low < 0 ? low * 1.1 : 0, high > 0 ? high * 1.1 : 0]),
    bareX: true,
    legend:
      series.length > 1
        ? series.map(({ label }, i) => ({ label, color: colorOf(i), mark: "box" as const }))
        : [],
  });
  // A range that leaves out 0 cuts the bars off at its end.
  const within = (y: number) => Math.min(frame.bottom, Math.max(frame.top, y));
  const base = yScale === "log" ? frame.bottom : within(frame.y.at(0));
  const group = (frame.right - frame.left) / Math.max(1, labels.length);
  const bar = Math.min(64, (group * 0.76) / Math.max(1, series.length));
  const parts = [frame.body];
  labels.forEach((label, i) => {
    const middle = frame.left + (i + 0.5) * group;
    series.forEach(({ values }, s) => {
      const value = values[i] ?? Number.NaN;
      const at = within(frame.y.at(value));
      if (!Number.isFinite(at)) return;
      const x = middle + (s - series.length / 2) * bar;
      const top = Math.min(at, base);
      parts.push(
        `<rect x="${px(x + 1)}" y="${px(top)}" width="${px(bar - 2)}" ` +
          `height="${px(Math.abs(at - base))}" rx="2" class="lw-f${colorOf(s)}"/>`,
      );
      const note = format(value);
      if (textWidth(note) <= Math.max(bar, group / series.length) + 2) {
        const y = value < 0 ? at + 14 : at - 5;
        parts.push(text(x + bar / 2, y, note, { anchor: "middle" }));
      }
    });
    const fits = Math.max(1, Math.floor(group / 6.7));
    const short = label.length > fits ? `${label.slice(0, Math.max(1, fits - 1))}…` : label;
    parts.push(text(middle, frame.bottom + 18, short, { anchor: "middle", className: "lw-muted" }));
  });
  return svg(width, height, title, parts.join(""));
}
