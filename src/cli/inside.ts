/** What a report shows of the inside of a network that reads pictures: filters, feature maps, Grad-CAM. */
import * as lw from "../index.js";
import type { ReportFigure, ReportSample } from "./report.js";
import { sureness } from "./text.js";

/** Pictures of one layer that are shown at most. */
const most = 32;

/** Figures of a model, for the samples that a report has. */
export async function insideOf(
  model: lw.Model,
  results: { first(count: number): ReportSample[]; mistakes(count: number): ReportSample[] },
  classNames: readonly string[],
): Promise<ReportFigure[]> {
  const shown = results.first(1)[0];
  if (!shown) return [];
  const first = await lw.filters(model);
  const maps = await lw.featureMaps(model, imageOf(shown));
  return [
    {
      heading: "Filters",
      note:
        `The ${first.images.length} filters of the first convolution, ${first.layer}: light where a ` +
        "pixel speaks for what the filter looks for, dark where it speaks against it.",
      grids: [grid(first, { scale: 12, columns: 16, centered: true })],
    },
    {
      heading: "Feature maps",
      note:
        `What the convolutions make of the first test sample, a ${nameOf(classNames, shown.label)}: ` +
        "light where a filter found what it looks for.",
      grids: maps.map((layer) => ({
        ...grid(layer, { scale: layer.width > 20 ? 2.5 : 5, columns: 8 }),
        title: layer.layer,
      })),
    },
    {
      heading: "Grad-CAM",
      note:
        "Which part of a picture speaks for the class that the network sees in it (Selvaraju et al. " +
        "2017): the warmer, the more. Above some of the first samples, below the surest mistakes.",
      grids: [
        await camGrid(model, results.first(10), classNames),
        await camGrid(model, results.mistakes(10), classNames),
      ],
    },
  ];
}

const nameOf = (names: readonly string[], index: number): string => names[index] ?? String(index);

/** A sample as the model takes it. */
function imageOf({ pixels, width, height }: ReportSample): lw.Tensor {
  return lw.tensor(
    Float32Array.from(pixels, (value) => value / 255),
    [height, width, 1],
  );
}

function grid(
  { images, width, height }: lw.LayerImages,
  { scale, columns, centered = false }: { scale: number; columns: number; centered?: boolean },
) {
  return {
    images: images.slice(0, most).map((values) => ({
      pixels: lw.plot.greyPixels(values, centered),
    })),
    imageWidth: width,
    imageHeight: height,
    scale,
    columns,
  };
}

async function camGrid(
  model: lw.Model,
  samples: readonly ReportSample[],
  classNames: readonly string[],
) {
  const images: lw.plot.GridImage[] = [];
  for (const sample of samples) {
    const cam = await lw.gradCam(model, imageOf(sample));
    const right = cam.classIndex === sample.label;
    images.push({
      pixels: lw.plot.overlay(sample.pixels, cam.map),
      channels: 3,
      caption: `${right ? "✓" : "✗"} ${nameOf(classNames, cam.classIndex)} ${sureness(cam.output)}`,
      tone: right ? "good" : "bad",
    });
  }
  const [{ width, height } = { width: 1, height: 1 }] = samples;
  return { images, imageWidth: width, imageHeight: height, scale: 3.2, columns: 10 };
}
