/** Line charts: training curves, activation functions, gradients. */
import { checkChart, checkLabelled, checkList, checkNumbers } from "./check.js";
import {
  type ChartOptions,
  colorOf,
  dashOf,
  extent,
  makeFrame,
  px,
  type ScaleKind,
  svg,
} from "./svg.js";

/** One line of a {@link lineChart}. */
export interface Series {
  readonly label: string;
  readonly y: ArrayLike<number>;
  /** By default 1, 2, 3 … */
  readonly x?: ArrayLike<number>;
  readonly dashed?: boolean;
  /** Colour number; by default the series' position. Two series may share one. */
  readonly color?: number;
  /** Draw a dot at each point; by default where there are at most 30. */
  readonly dots?: boolean;
}

/** Options of {@link lineChart}. */
export interface LineChartOptions extends ChartOptions {
  readonly series: readonly Series[];
  readonly xLabel?: string;
  readonly yLabel?: string;
  readonly xScale?: ScaleKind;
  readonly yScale?: ScaleKind;
  /** By default as far as the data goes. */
  readonly xRange?: readonly [number, number];
  readonly yRange?: readonly [number, number];
}

/**
 * A line chart as SVG text. A value that is not finite (or not positive on a log scale) breaks the
 * line.
 *
 * @throws ArgumentError for options that it does not have, and for x and y of different lengths.
 * @example
 * lw.plot.lineChart({ title: "Loss", series: [{ label: "train", y: [0.9, 0.4, 0.2] }], yScale: "log" });
 */
export function lineChart(options: LineChartOptions): string {
  const where = "lineChart()";
  checkChart(where, options, { own: ["series"] });
  checkList(where, "series", options.series, (at, one) => {
    checkLabelled(at, one, ["y", "x", "dashed", "color", "dots"]);
    const { x, y } = one as Series;
    checkNumbers(at, "y", y);
    if (x !== undefined) checkNumbers(at, "x", x, y.length);
  });
  const { title = "", width = 640, height = 340, series, xScale, yScale } = options;
  const xOf = ({ x }: Series, i: number) => (x ? (x[i] ?? Number.NaN) : i + 1);
  const [xs, ys] = [[] as number[], [] as number[]];
  for (const one of series) {
    for (let i = 0; i < one.y.length; i++) {
      xs.push(xOf(one, i));
      ys.push(one.y[i]!);
    }
  }
  const frame = makeFrame({
    ...options,
    width,
    height,
    wholeX: series.every(({ x }) => x === undefined),
    xRange: options.xRange ?? extent(xs, xScale),
    yRange: options.yRange ?? padded(extent(ys, yScale), yScale),
    legend:
      series.length > 1 || series[0]?.label
        ? series.map(({ label, color, dashed }, i) => ({
            label,
            color: colorOf(color ?? i),
            dash: dashed ? ' stroke-dasharray="6 4"' : dashOf(i),
            mark: "line" as const,
          }))
        : [],
  });
  const clip = `lw-clip-${px(frame.left)}-${px(frame.top)}-${px(frame.right)}-${px(frame.bottom)}`;
  const parts = [
    frame.body,
    `<clipPath id="${clip}"><rect x="${px(frame.left - 4)}" y="${px(frame.top - 4)}" ` +
      `width="${px(frame.right - frame.left + 8)}" height="${px(frame.bottom - frame.top + 8)}"/>` +
      `</clipPath><g clip-path="url(#${clip})">`,
  ];
  series.forEach((one, index) => {
    const color = colorOf(one.color ?? index);
    const dash = one.dashed ? ' stroke-dasharray="6 4"' : dashOf(index);
    let path = "";
    let drawing = false;
    const dots: string[] = [];
    const withDots = one.dots ?? one.y.length <= 30;
    for (let i = 0; i < one.y.length; i++) {
      const x = frame.x.at(xOf(one, i));
      const y = frame.y.at(one.y[i]!);
      if (!Number.isFinite(x) || !Number.isFinite(y)) {
        drawing = false;
        continue;
      }
      path += `${drawing ? "L" : "M"}${px(x)} ${px(y)}`;
      drawing = true;
      if (withDots) {
        dots.push(`<circle cx="${px(x)}" cy="${px(y)}" r="3" class="lw-dot lw-f${color}"/>`);
      }
    }
    if (path) parts.push(`<path d="${path}" class="lw-line lw-s${color}"${dash}/>`);
    parts.push(...dots);
  });
  parts.push("</g>");
  return svg(width, height, title, parts.join(""));
}

/** A little room above and below, so that no line runs along the frame. */
function padded([low, high]: [number, number], kind: ScaleKind = "linear"): [number, number] {
  if (kind === "log") {
    const room = (high / low) ** 0.04;
    return [low / room, high * room];
  }
  const room = (high - low) * 0.04;
  // Zero stays the base of what never goes below it.
  return [low >= 0 && low - room < 0 ? 0 : low - room, high + room];
}
