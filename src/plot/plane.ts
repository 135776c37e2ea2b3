/** Charts of a plane: points by class, decision regions and lines, contours and paths over them. */
import { ArgumentError, checkInteger, checkKeys, expected, show } from "../errors.js";
import { checkChart, checkLabelled, checkList, checkNumbers } from "./check.js";
import {
  type ChartOptions,
  colorOf,
  dashOf,
  extent,
  type Frame,
  type LegendEntry,
  makeFrame,
  px,
  svg,
} from "./svg.js";

/** A point of the plane. */
export type Point = readonly [x: number, y: number];

/** Values on a grid over the chart's ranges: `values[row * columns + column]`, row 0 at the lowest y. */
export interface Grid {
  readonly columns: number;
  readonly rows: number;
  readonly values: ArrayLike<number>;
}

/** Options of {@link planeChart}. Layers are drawn in the order of this list. */
export interface PlaneChartOptions extends ChartOptions {
  readonly xRange: readonly [number, number];
  readonly yRange: readonly [number, number];
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** A class number for each cell (the cell's middle is what was asked). Coloured as the points. */
  readonly regions?: Grid;
  /** Values at grid corners (the first and last lie on the ranges' ends), shown as level lines. */
  readonly contours?: Grid & { readonly levels: readonly number[] };
  /** Straight lines a·x + b·y + c = 0. */
  readonly lines?: readonly { label: string; a: number; b: number; c: number; color?: number }[];
  readonly paths?: readonly { label: string; points: readonly Point[]; color?: number }[];
  readonly points?: readonly { label: string; points: readonly Point[]; color?: number }[];
}

/**
 * A chart of a plane as SVG text: scatter plot, decision regions, a loss surface with the paths of
 * optimizers.
 *
 * @throws ArgumentError for options that it does not have, ranges that are missing, and a grid of another size.
 */
export function planeChart(options: PlaneChartOptions): string {
  checkOptions("planeChart()", options);
  const { title = "", width = 460, height = 440, xRange, yRange } = options;
  const { regions, contours, lines = [], paths = [], points = [] } = options;
  const legend: LegendEntry[] = [
    ...points.map(({ label, color }, i) => entry(label, color ?? i, "dot")),
    ...lines.map(({ label, color }, i) => entry(label, color ?? i + 2, "line")),
    ...paths.map(({ label, color }, i) => entry(label, color ?? i, "line", dashOf(i))),
  ];
  const frame = makeFrame({ ...options, width, height, xRange, yRange, legend });
  const id = `lw-plane-${px(frame.left)}-${px(frame.top)}-${px(frame.right)}-${px(frame.bottom)}`;
  const area =
    `x="${px(frame.left)}" y="${px(frame.top)}" ` +
    `width="${px(frame.right - frame.left)}" height="${px(frame.bottom - frame.top)}"`;
  const parts = [
    frame.body,
    `<clipPath id="${id}"><rect ${area}/></clipPath><g clip-path="url(#${id})">`,
  ];
  if (regions) parts.push(drawRegions(regions, frame));
  if (contours) {
    for (const level of contours.levels) {
      parts.push(`<path d="${contourPath(contours, level, frame)}" class="lw-contour"/>`);
    }
  }
  lines.forEach(({ a, b, c, color }, i) => {
    const ends = crossing(a, b, c, xRange, yRange);
    if (ends.length < 2) return;
    parts.push(`<path d="${pathOf(ends, frame)}" class="lw-line lw-s${colorOf(color ?? i + 2)}"/>`);
  });
  paths.forEach(({ points: route, color }, i) => {
    const hue = colorOf(color ?? i);
    const known = route.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
    if (known.length === 0) return;
    parts.push(`<path d="${pathOf(known, frame)}" class="lw-line lw-s${hue}"${dashOf(i)}/>`);
    parts.push(dot(known.at(-1)!, hue, 5, frame));
  });
  points.forEach(({ points: group, color }, i) => {
    const radius = group.length > 200 ? 2.5 : group.length > 20 ? 4 : 7;
    for (const point of group) parts.push(dot(point, colorOf(color ?? i), radius, frame));
  });
  parts.push("</g>", `<rect ${area} fill="none" class="lw-axis"/>`);
  return svg(width, height, title, parts.join(""));
}

function entry(label: string, color: number, mark: "dot" | "line", dash = ""): LegendEntry {
  return { label, color: colorOf(color), mark, dash };
}

function dot([x, y]: Point, color: number, radius: number, frame: Frame): string {
  const [cx, cy] = [frame.x.at(x), frame.y.at(y)];
  if (!Number.isFinite(cx) || !Number.isFinite(cy)) return "";
  return `<circle cx="${px(cx)}" cy="${px(cy)}" r="${radius}" class="lw-dot lw-f${color}"/>`;
}

function pathOf(points: readonly Point[], frame: Frame): string {
  // A diverging optimizer leaves the chart; far coordinates only bloat the file.
  const near = (value: number) => Math.min(1e4, Math.max(-1e4, value));
  return points
    .map(([x, y], i) => `${i ? "L" : "M"}${px(near(frame.x.at(x)))} ${px(near(frame.y.at(y)))}`)
    .join("");
}

/** Cells of one class in a row become one rectangle. */
function drawRegions({ columns, rows, values }: Grid, frame: Frame): string {
  const cellWidth = (frame.right - frame.left) / columns;
  const cellHeight = (frame.bottom - frame.top) / rows;
  const byColor = new Map<number, string>();
  for (let row = 0; row < rows; row++) {
    const y = frame.bottom - (row + 1) * cellHeight;
    for (let start = 0; start < columns; ) {
      const value = values[row * columns + start]!;
      let end = start + 1;
      while (end < columns && values[row * columns + end] === value) end++;
      const color = colorOf(Math.max(0, Math.round(value)));
      const box = `M${px(frame.left + start * cellWidth)} ${px(y)}h${px((end - start) * cellWidth)}`;
      byColor.set(
        color,
        `${byColor.get(color) ?? ""}${box}v${px(cellHeight + 0.3)}H${px(frame.left + start * cellWidth)}z`,
      );
      start = end;
    }
  }
  return [...byColor]
    .map(([color, d]) => `<path d="${d}" class="lw-f${color}" fill-opacity="0.22"/>`)
    .join("");
}

/** Level lines by marching squares: each cell adds a segment or two where the level crosses its edges. */
function contourPath({ columns, rows, values }: Grid, level: number, frame: Frame): string {
  const stepX = (frame.right - frame.left) / (columns - 1);
  const stepY = (frame.bottom - frame.top) / (rows - 1);
  const value = (column: number, row: number) => values[row * columns + column]! - level;
  let path = "";
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      // Corners counter-clockwise from the lower left, and where the level crosses the edge after each.
      const corners = [
        [column, row],
        [column + 1, row],
        [column + 1, row + 1],
        [column, row + 1],
      ] as const;
      const crossings: Point[] = [];
      for (let k = 0; k < 4; k++) {
        const [ca, ra] = corners[k]!;
        const [cb, rb] = corners[(k + 1) % 4]!;
        const a = value(ca, ra);
        const b = value(cb, rb);
        if (a < 0 === b < 0 || !Number.isFinite(a - b)) continue;
        const t = a / (a - b);
        crossings.push([
          frame.left + (ca + t * (cb - ca)) * stepX,
          frame.bottom - (ra + t * (rb - ra)) * stepY,
        ]);
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        const [p, q] = [crossings[k]!, crossings[k + 1]!];
        path += `M${px(p[0])} ${px(p[1])}L${px(q[0])} ${px(q[1])}`;
      }
    }
  }
  return path;
}

function checkOptions(where: string, options: PlaneChartOptions): void {
  const own = ["regions", "contours", "lines", "paths", "points"];
  checkChart(where, options, { own });
  const { xRange, yRange, regions, contours, lines = [], paths = [], points = [] } = options;
  if (!xRange || !yRange) {
    const wanted = "`xRange` and `yRange` to be [low, high]";
    throw new ArgumentError(
      expected(where, wanted, `${show(xRange)} and ${show(yRange)}`, "rangesOf() finds them"),
    );
  }
  if (regions) checkGrid(`${where}: regions`, regions, 1);
  if (contours) {
    checkGrid(`${where}: contours`, contours, 2, ["levels"]);
    checkNumbers(`${where}: contours`, "levels", contours.levels);
  }
  checkList(where, "lines", lines, (at, one) => {
    checkLabelled(at, one, ["a", "b", "c", "color"]);
    const { a, b, c } = one as { a: unknown; b: unknown; c: unknown };
    checkNumbers(at, "a, b and c", [a, b, c]);
  });
  for (const [name, groups] of Object.entries({ paths, points })) {
    checkList(where, name, groups, (at, one) => {
      checkLabelled(at, one, ["points", "color"]);
      checkList(at, "points", (one as { points: unknown }).points, (which, point) =>
        checkNumbers(which, "point", point, 2),
      );
    });
  }
}

function checkGrid(where: string, grid: Grid, least: number, more: readonly string[] = []): void {
  checkKeys(where, grid, ["columns", "rows", "values", ...more]);
  checkInteger(where, "columns", grid.columns, least);
  checkInteger(where, "rows", grid.rows, least);
  checkNumbers(where, "values", grid.values, grid.columns * grid.rows);
}

/** The two points where a line leaves the box; fewer when it misses it. */
function crossing(
  a: number,
  b: number,
  c: number,
  [left, right]: readonly [number, number],
  [low, high]: readonly [number, number],
): Point[] {
  const found: Point[] = [];
  const slack = 1e-9;
  const add = (x: number, y: number) => {
    const inside = x >= left - slack && x <= right + slack && y >= low - slack && y <= high + slack;
    if (inside && !found.some(([u, v]) => Math.abs(u - x) + Math.abs(v - y) < slack)) {
      found.push([x, y]);
    }
  };
  if (b !== 0) for (const x of [left, right]) add(x, -(a * x + c) / b);
  if (a !== 0) for (const y of [low, high]) add(-(b * y + c) / a, y);
  return found;
}

/** Ranges around points with some room, for those who have no better idea. */
export function rangesOf(points: Iterable<Point>): {
  xRange: [number, number];
  yRange: [number, number];
} {
  const list = [...points];
  const wide = (values: number[]): [number, number] => {
    const [low, high] = extent(values);
    const room = 0.08 * (high - low);
    return [low - room, high + room];
  };
  return { xRange: wide(list.map(([x]) => x)), yRange: wide(list.map(([, y]) => y)) };
}
