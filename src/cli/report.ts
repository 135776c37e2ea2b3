/**
 * The HTML report of a training run: one file that needs nothing else, from plain data. Knows
 * neither models nor data sets; every text that goes in is escaped here or in `plot/`.
 */
import { ArgumentError } from "../errors.js";
import { writeFileAtomic } from "../formats/atomic.js";
import { pngDataUri } from "../formats/png.js";
import { heatMap } from "../plot/heat.js";
import { type ImageGridOptions, imageGrid } from "../plot/images.js";
import { lineChart, type Series } from "../plot/line.js";
import { escapeText, paper } from "../plot/svg.js";
import { percent, sureness } from "./text.js";

/** A name and what is to stand beside it. */
export type ReportRow = readonly [label: string, value: string];

/** A picture with what the model made of it. */
export interface ReportSample {
  /** Grey values 0 … 255, row by row. */
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Class numbers. */
  readonly label: number;
  readonly predicted: number;
  /** Probability of each class, or only that of the predicted one. */
  readonly probabilities: ArrayLike<number> | number;
}

/** Pictures of one kind under a heading, such as the filters of a layer. */
export interface ReportFigure {
  readonly heading: string;
  readonly note?: string;
  /** Grids, one below the other. */
  readonly grids: readonly ImageGridOptions[];
}

/** Everything a report shows; what is absent or empty is left out. */
export interface ReportData {
  readonly title: string;
  /** Paragraphs under the title, such as where the data came from. */
  readonly notes?: readonly string[];
  /** The figures that matter, shown large. */
  readonly results?: readonly ReportRow[];
  /** Values per epoch by name; `val_loss` or `valLoss` is drawn together with `loss`. */
  readonly history?: Readonly<Record<string, ArrayLike<number>>>;
  readonly classNames?: readonly string[];
  /** `confusion[true class][predicted class]`, counts. */
  readonly confusion?: readonly ArrayLike<number>[];
  readonly samples?: readonly ReportSample[];
  /** Wrong predictions picked on purpose, which `samples` should not be. */
  readonly mistakes?: readonly ReportSample[];
  /** What the model looks like inside. */
  readonly figures?: readonly ReportFigure[];
  readonly throughput?: readonly ReportRow[];
  /** The text of `model.summary()`. */
  readonly summary?: string;
  readonly environment?: readonly ReportRow[];
}

/** Writes {@link reportHtml} to `path`, atomically. */
export async function writeReport(path: string, data: ReportData): Promise<void> {
  await writeFileAtomic(path, reportHtml(data));
}

/**
 * The report as one HTML document: no scripts, no external resources, light and dark.
 *
 * @throws ArgumentError when the confusion matrix is not square or lacks class names.
 */
export function reportHtml(data: ReportData): string {
  const { classNames = [], confusion, samples = [], mistakes = [] } = data;
  const sections = [
    tiles(data.results ?? []),
    section("Training", historyCharts(data.history ?? {})),
    section("Predictions on the first test samples", sampleGrid(samples, classNames)),
    section("Surest mistakes", sampleGrid(mistakes, classNames)),
    ...(data.figures ?? []).map(figurePart),
    section("Confusion", confusion ? confusionPart(confusion, classNames) : ""),
    section("Throughput", table(data.throughput ?? [])),
    section("Model", data.summary ? `<pre>${escapeText(data.summary)}</pre>` : ""),
    section("Environment", table(data.environment ?? [])),
  ];
  const notes = (data.notes ?? []).map((note) => `<p class="note">${escapeText(note)}</p>`);
  const title = escapeText(data.title);
  // The policy makes sure that the page loads nothing, whatever went into it.
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${[...notes, ...sections].filter(Boolean).join("\n")}
</main>
</body>
</html>
`;
}

const pageStyle = `
body{margin:0;background:#f3f5f7;color:#1d2329;font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:1060px;margin:0 auto;padding:24px 20px 60px}
h1{font-size:26px;margin:8px 0 4px}h2{font-size:17px;margin:0 0 12px}
.note{color:#59636e;margin:4px 0;max-width:75ch}
section{background:${paper.light};border:1px solid #dfe4e8;border-radius:10px;padding:18px 20px;margin:18px 0}
.tiles{display:flex;flex-wrap:wrap;gap:14px;margin:18px 0}
.tile{background:${paper.light};border:1px solid #dfe4e8;border-radius:10px;padding:12px 20px;min-width:120px}
.tile b{display:block;font-size:26px;font-weight:650;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span,th,figcaption{color:#59636e}
.row{display:flex;flex-wrap:wrap;gap:16px 28px;align-items:flex-start}
.row>svg{max-width:100%;height:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:3px 18px 3px 0;vertical-align:top;font-weight:400}
thead th{border-bottom:1px solid #dfe4e8}td.n,th.n{text-align:right}
td{overflow-wrap:anywhere}
pre{overflow-x:auto;margin:0;font:13px/1.45 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.samples{display:flex;flex-wrap:wrap;gap:12px}
figure{margin:0;width:76px;text-align:center;font-size:12px;line-height:1.35}
figure img{width:68px;height:68px;image-rendering:pixelated;border-radius:6px;border:3px solid transparent;background:#000}
.right img{border-color:#00754f}.wrong img{border-color:#c03a00}
.right b{color:#00754f}.wrong b{color:#c03a00}
@media (prefers-color-scheme:dark){
body{background:#0c0f12;color:#e6e9ed}section,.tile{background:${paper.dark};border-color:#2b323a}
.note,.tile span,th,figcaption{color:#a0a9b4}thead th{border-color:#2b323a}
.right img{border-color:#35c99b}.wrong img{border-color:#ff8f4d}
.right b{color:#35c99b}.wrong b{color:#ff8f4d}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
`;

function section(heading: string, body: string): string {
  return body && `<section>\n<h2>${heading}</h2>\n${body}\n</section>`;
}

function figurePart({ heading, note, grids }: ReportFigure): string {
  const drawn = grids.filter((grid) => grid.images.length > 0).map(imageGrid);
  if (drawn.length === 0) return "";
  const text = note ? `<p class="note">${escapeText(note)}</p>` : "";
  return section(escapeText(heading), `${text}<div class="row">${drawn.join("")}</div>`);
}

function tiles(rows: readonly ReportRow[]): string {
  if (rows.length === 0) return "";
  const one = ([label, value]: ReportRow) =>
    `<div class="tile"><b>${escapeText(value)}</b><span>${escapeText(label)}</span></div>`;
  return `<div class="tiles">${rows.map(one).join("")}</div>`;
}

function table(rows: readonly ReportRow[]): string {
  if (rows.length === 0) return "";
  const one = ([label, value]: ReportRow) =>
    `<tr><th scope="row">${escapeText(label)}</th><td>${escapeText(value)}</td></tr>`;
  return `<table>${rows.map(one).join("")}</table>`;
}

/** One chart for each measure, training and validation together. */
function historyCharts(history: Readonly<Record<string, ArrayLike<number>>>): string {
  const entries = new Map(Object.entries(history).filter(([, values]) => values.length > 0));
  const charts: string[] = [];
  for (const [name, values] of entries) {
    const base = trainingName(name);
    if (base !== undefined && entries.has(base)) continue;
    const validation = [...entries].find(([other]) => trainingName(other) === name)?.[1];
    // A lone line needs no legend beside the title.
    const series: Series[] = [{ label: validation ? "training" : "", y: values }];
    if (validation) series.push({ label: "validation", y: validation, dashed: true });
    charts.push(
      lineChart({
        title: name,
        width: 490,
        height: 300,
        xLabel: "epoch",
        series,
      }),
    );
  }
  return charts.length > 0 ? `<div class="row">${charts.join("")}</div>` : "";
}

/** `val_loss` and `valLoss` → `loss`; undefined for a name that is no validation measure. */
function trainingName(name: string): string | undefined {
  const match = /^val(?:_(.+)|([A-Z].*))$/.exec(name);
  if (!match) return undefined;
  return match[1] ?? match[2]!.charAt(0).toLowerCase() + match[2]!.slice(1);
}

function nameOf(classNames: readonly string[], index: number): string {
  return classNames[index] ?? String(index);
}

function sampleGrid(samples: readonly ReportSample[], classNames: readonly string[]): string {
  if (samples.length === 0) return "";
  const one = (sample: ReportSample) => {
    const { pixels, width, height, label, predicted, probabilities } = sample;
    const probability =
      typeof probabilities === "number" ? probabilities : (probabilities[predicted] ?? Number.NaN);
    const right = label === predicted;
    const seen = escapeText(nameOf(classNames, predicted));
    const truth = escapeText(nameOf(classNames, label));
    const alternative = escapeText(`picture of class ${nameOf(classNames, label)}`);
    const source = pngDataUri(pixels, width, height);
    return (
      `<figure class="${right ? "right" : "wrong"}"><img src="${source}" alt="${alternative}">` +
      `<figcaption><b>${right ? "✓" : "✗"} ${seen}</b> ${sureness(probability)}` +
      `${right ? "" : `<br>is ${truth}`}</figcaption></figure>`
    );
  };
  return `<div class="samples">${samples.map(one).join("\n")}</div>`;
}

function confusionPart(
  confusion: readonly ArrayLike<number>[],
  classNames: readonly string[],
): string {
  const count = confusion.length;
  for (const row of confusion) {
    if (row.length !== count) {
      throw new ArgumentError(
        `report: expected a square confusion matrix, got ${count} rows with one of ${row.length}`,
      );
    }
  }
  if (count === 0) return "";
  const names = confusion.map((_, i) => nameOf(classNames, i));
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const totals = confusion.map((row) => sum(Array.from(row)));
  const predicted = confusion.map((_, j) => sum(confusion.map((row) => row[j]!)));
  const map = heatMap({
    rows: names,
    columns: names,
    values: confusion,
    rowLabel: "true class",
    columnLabel: "predicted class",
    cell: count > 20 ? 26 : 42,
    // By share of the true class, and rooted so that a few mistakes can be seen at all.
    shade: (value, row) => Math.sqrt(value / Math.max(1, totals[row]!)),
  });
  const rows = names.map((name, i) => {
    const right = confusion[i]![i]!;
    const cells = [
      String(totals[i]),
      percent(right / totals[i]!),
      percent(right / predicted[i]!),
    ].map((cell) => `<td class="n">${cell}</td>`);
    return `<tr><th scope="row">${escapeText(name)}</th>${cells.join("")}</tr>`;
  });
  const all = percent(sum(confusion.map((row, i) => row[i]!)) / sum(totals));
  const head = ["class", "samples", "accuracy", "precision"]
    .map((name, i) => `<th scope="col"${i ? ' class="n"' : ""}>${name}</th>`)
    .join("");
  return (
    `<div class="row">${map}<table><thead><tr>${head}</tr></thead><tbody>${rows.join("")}` +
    `<tr><th scope="row">all</th><td class="n">${sum(totals)}</td><td class="n">${all}</td><td></td>` +
    "</tr></tbody></table></div>"
  );
}
