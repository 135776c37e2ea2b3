import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ReportData, reportHtml, writeReport } from "../../src/cli/report.js";
import { ArgumentError } from "../../src/errors.js";
import { elementsOf } from "../plot/markup.js";

const sample = (label: number, predicted: number, probabilities: number[] | number) => ({
  pixels: new Uint8Array(4),
  width: 2,
  height: 2,
  label,
  predicted,
  probabilities,
});

const full: ReportData = {
  title: "Demo",
  notes: ["Generated digits."],
  results: [["test accuracy", "98.7 %"]],
  history: {
    loss: [1, 0.5],
    val_loss: [1.1, 0.6],
    accuracy: [0.5, 0.9],
    valAccuracy: [0.4, 0.8],
    learningRate: [0.1, 0.01],
  },
  classNames: ["cat", "dog"],
  confusion: [
    [8, 2],
    [0, 10],
  ],
  samples: [sample(0, 0, [0.9, 0.1]), sample(1, 0, 0.611)],
  throughput: [["training", "10 images/s"]],
  summary: "dense  [null, 2]",
  environment: [["Node.js", "20"]],
};

describe("the report", () => {
  it("is one sound document that loads nothing", () => {
    const html = reportHtml(full);
    const elements = elementsOf(html.replace(/<style>[\s\S]*?<\/style>/g, ""));
    expect(elements[0]).toBe("html");
    expect(elements).not.toContain("script");
    expect(elements).not.toContain("link");
    for (const [, url] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
      expect(url).toMatch(/^data:image\/png;base64,/);
    }
    expect(html).not.toMatch(/url\((?!#)|@import/);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/NaN|undefined/);
  });

  it("draws each measure once, with its validation twin", () => {
    const html = reportHtml(full);
    const titles = [...html.matchAll(/lw-title">([^<]*)</g)].map(([, title]) => title);
    expect(titles).toEqual(["loss", "accuracy", "learningRate"]);
    expect(html.split(">validation<").length - 1).toBe(2);
    // Without its twin a validation measure stands alone.
    expect(reportHtml({ title: "", history: { val_loss: [1] } })).toContain('lw-title">val_loss<');
  });

  it("counts accuracy and precision by class", () => {
    const html = reportHtml(full);
    const rows = [
      ...html.matchAll(/<tr><th scope="row">([^<]*)<\/th>((?:<td class="n">[^<]*<\/td>)+)/g),
    ];
    const cells = rows.map(([, name, tds]) => [
      name,
      ...[...tds!.matchAll(/>([^<]*)<\/td>/g)].map(([, cell]) => cell),
    ]);
    expect(cells).toEqual([
      ["cat", "10", "80.0 %", "100.0 %"],
      ["dog", "10", "100.0 %", "83.3 %"],
      ["all", "20", "90.0 %"],
    ]);
  });

  it("marks predictions right and wrong with their probability", () => {
    const html = reportHtml(full);
    expect(html).toMatch(/class="right">.*✓ cat<\/b> 90\.0 %<\/figcaption>/);
    expect(html).toMatch(/class="wrong">.*✗ cat<\/b> 61\.1 %<br>is dog<\/figcaption>/);
  });

  it("keeps picked mistakes apart from the samples", () => {
    const html = reportHtml({ ...full, samples: [sample(0, 0, 1)], mistakes: [sample(1, 0, 0.7)] });
    const [before, after] = html.split("<h2>Surest mistakes</h2>");
    expect(before).toContain('class="right"');
    expect(before).not.toContain('class="wrong"');
    expect(after).toContain('class="wrong"');
    expect(reportHtml(full)).not.toContain("Surest mistakes");
  });

  it("leaves out what it was not given", () => {
    const html = reportHtml({ title: "Bare" });
    expect(html).not.toContain("<section");
    expect(html).toContain("<h1>Bare</h1>");
    expect(reportHtml({ title: "x", history: { loss: [] }, confusion: [] })).not.toContain("<h2");
  });

  it("shows a class without samples without dividing by zero", () => {
    const html = reportHtml({
      title: "x",
      confusion: [
        [0, 0],
        [0, 3],
      ],
    });
    expect(html).not.toMatch(/NaN/);
    expect(html).toContain('<th scope="row">0</th><td class="n">0</td><td class="n">–</td>');
  });

  it("escapes every text", () => {
    const nasty = `</style><script>alert('x')</script>" onload="y`;
    const html = reportHtml({
      title: nasty,
      notes: [nasty],
      results: [[nasty, nasty]],
      history: { [nasty]: [1, 2] },
      classNames: [nasty, nasty],
      confusion: [
        [1, 0],
        [0, 1],
      ],
      samples: [sample(0, 1, 1)],
      throughput: [[nasty, nasty]],
      summary: nasty,
      environment: [[nasty, nasty]],
    });
    expect(html).not.toContain("<script");
    expect(html).not.toContain('" onload="y');
    elementsOf(html.replace(/<style>[\s\S]*?<\/style>/g, ""));
  });

  it("refuses a confusion matrix that is not square", () => {
    expect(() => reportHtml({ title: "x", confusion: [[1, 2]] })).toThrow(ArgumentError);
  });

  it("is written atomically", async () => {
    const directory = await mkdtemp(join(tmpdir(), "layerwise-report-"));
    const path = join(directory, "report.html");
    await writeReport(path, full);
    await writeReport(path, full);
    expect(await readFile(path, "utf8")).toBe(reportHtml(full));
    expect(await readdir(directory)).toEqual(["report.html"]);
    await rm(directory, { recursive: true });
  });
});
