/** Heat maps of small matrices, such as confusion matrices, with the numbers in the cells. */
import { ArgumentError, checkPositive, expected } from "../errors.js";
import { checkChart, checkList, checkNumbers, checkTexts } from "./check.js";
import { type ChartOptions, escapeText, px, svg, text, textWidth, titleWidth } from "./svg.js";

/** Options of {@link heatMap}. */
export interface HeatMapOptions extends Omit<ChartOptions, "width" | "height"> {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** `values[row][column]`. */
  readonly values: readonly ArrayLike<number>[];
  readonly rowLabel?: string;
  readonly columnLabel?: string;
  /** Text of a cell; by default the value, nothing for 0. */
  readonly format?: (value: number) => string;
  /** How dark a cell is, from 0 to 1; by default its share of the largest value. */
  readonly shade?: (value: number, row: number, column: number) => number;
  /** Side of a cell in CSS pixels; 40 by default. */
  readonly cell?: number;
}

/**
 * A heat map as SVG text.
 *
 * @throws ArgumentError for options that it does not have, and unless there is a value for each row and column.
 */
export function heatMap(options: HeatMapOptions): string {
  checkOptions("heatMap()", options);
  const { title = "", rows, columns, values, rowLabel = "", columnLabel = "", cell = 40 } = options;
  const largest = largestOf(values);
  const { format = (value: number) => (value === 0 ? "" : String(value)) } = options;
  const { shade = (value: number) => value / largest } = options;
  const widest = (names: readonly string[]) => Math.max(0, ...names.map(textWidth));
  // Long column names are written upwards.
  const upright = widest(columns) > cell - 4;
  const left = 16 + (rowLabel ? 20 : 0) + widest(rows) + 8;
  const top = (title ? 38 : 14) + (columnLabel ? 20 : 0) + (upright ? widest(columns) + 8 : 20);
  const width = Math.max(left + columns.length * cell + 16, title ? titleWidth(title) + 32 : 0);
  const height = top + rows.length * cell + 16;
  const parts: string[] = [];
  if (title) parts.push(text(16, 24, title, { className: "lw-text lw-title" }));
  const muted = { anchor: "middle", className: "lw-muted" } as const;
  if (columnLabel) {
    parts.push(text(left + (columns.length * cell) / 2, title ? 48 : 20, columnLabel, muted));
  }
  if (rowLabel) {
    parts.push(text(22, top + (rows.length * cell) / 2, rowLabel, { ...muted, rotate: true }));
  }
  columns.forEach((name, column) => {
    const x = left + (column + 0.5) * cell;
    parts.push(
      upright
        ? text(x + 4, top - 6, name, { rotate: true })
        : text(x, top - 7, name, { anchor: "middle" }),
    );
  });
  rows.forEach((name, row) => {
    const y = top + row * cell;
    parts.push(text(left - 8, y + cell / 2 + 4, name, { anchor: "end" }));
    columns.forEach((columnName, column) => {
      const value = values[row]?.[column] ?? 0;
      const x = left + column * cell;
      const strength = Math.min(1, Math.max(0, shade(value, row, column) || 0));
      const box = `x="${px(x + 1)}" y="${px(y + 1)}" width="${cell - 2}" height="${cell - 2}" rx="3"`;
      parts.push(
        `<g><title>${escapeText(`${rowLabel} ${name}, ${columnLabel} ${columnName}: ${value}`)}` +
          `</title><rect ${box} class="lw-heat" fill-opacity="${px3(0.04 + 0.96 * strength)}"/>`,
        text(x + cell / 2, y + cell / 2 + 4, format(value), {
          anchor: "middle",
          className: strength > 0.5 ? "lw-inverse" : "lw-text",
        }),
        "</g>",
      );
    });
  });
  return svg(width, height, title, parts.join(""));
}

function checkOptions(where: string, options: HeatMapOptions): void {
  const own = ["rows", "columns", "values", "rowLabel", "columnLabel", "format", "shade", "cell"];
  checkChart(where, options, { own, sized: false, framed: false });
  const { rows, columns, values, cell } = options;
  checkTexts(where, "rows", rows);
  checkTexts(where, "columns", columns);
  checkList(where, "values", values, (at, row) => checkNumbers(at, "row", row, columns.length));
  if (values.length !== rows.length) {
    throw new ArgumentError(
      expected(where, `\`values\` to have ${rows.length} rows`, String(values.length)),
    );
  }
  if (cell !== undefined) checkPositive(where, "cell", cell);
}

/** The largest value that is finite, or next to nothing. */
function largestOf(values: readonly ArrayLike<number>[]): number {
  let largest = 1e-30;
  for (const row of values) {
    for (let i = 0; i < row.length; i++) {
      const value = row[i]!;
      if (value > largest && value < Infinity) largest = value;
    }
  }
  return largest;
}

function px3(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}
