/** Several charts in one figure. */
import { ArgumentError, checkInteger, checkKeys, expected, show } from "../errors.js";
import { checkList } from "./check.js";
import { px, svg, text, unescapeText } from "./svg.js";

/** Options of {@link panels}. */
export interface PanelsOptions {
  readonly title?: string;
  /** Charts per row; by default all stand in one row. */
  readonly columns?: number;
}

/**
 * Charts side by side, row by row, as one SVG text; each keeps its size.
 *
 * @throws ArgumentError for no charts, and for a text that none of the charts here made.
 * @example
 * const chart = (y: number[]) => lw.plot.lineChart({ series: [{ label: "loss", y }] });
 * lw.plot.panels([chart([3, 2]), chart([2, 1])], { title: "Before and after" });
 */
export function panels(charts: readonly string[], options: PanelsOptions = {}): string {
  const where = "panels()";
  checkList(where, "charts", charts);
  if (charts.length === 0) throw new ArgumentError(expected(where, "at least one chart", "none"));
  checkKeys(where, options, ["title", "columns"]);
  const { title = "", columns = charts.length } = options;
  checkInteger(where, "columns", columns, 1);
  const sizes = charts.map((chart) => {
    const match = /^<svg [^>]*width="([\d.]+)" height="([\d.]+)">/.exec(chart);
    if (!match) {
      throw new ArgumentError(expected(where, "texts of charts made by lw.plot", show(chart)));
    }
    return [Number(match[1]), Number(match[2])] as const;
  });
  const parts = title ? [text(16, 26, title, { className: "lw-text lw-title" })] : [];
  let y = title ? 36 : 0;
  let width = 0;
  for (let row = 0; row < charts.length; row += columns) {
    let x = 0;
    let height = 0;
    for (let i = row; i < Math.min(row + columns, charts.length); i++) {
      const [w, h] = sizes[i]!;
      // One style sheet, that of the whole, serves all.
      const chart = charts[i]!.trimEnd().replace(/<style>.*?<\/style>/s, "");
      parts.push(chart.replace("<svg ", `<svg x="${px(x)}" y="${px(y)}" `));
      x += w;
      height = Math.max(height, h);
    }
    width = Math.max(width, x);
    y += height;
  }
  return svg(width, y, title || charts.map(labelOf).filter(Boolean).join("; "), parts.join(""));
}

/** What a chart says of itself to those who don't see it. */
function labelOf(chart: string): string {
  const label = /^<svg [^>]*aria-label="([^"]*)"/.exec(chart)?.[1] ?? "";
  return unescapeText(label);
}
