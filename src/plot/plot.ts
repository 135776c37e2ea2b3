/** The charts as users get them, `lw.plot`: pure functions from plain data to the text of an SVG. */
export { encodePng } from "../formats/png.js";
export { type BarChartOptions, barChart } from "./bars.js";
export { type HeatMapOptions, heatMap } from "./heat.js";
export {
  type GridImage,
  greyPixels,
  type ImageGridOptions,
  imageGrid,
  overlay,
} from "./images.js";
export { type LineChartOptions, lineChart, type Series } from "./line.js";
export { type PanelsOptions, panels } from "./panels.js";
export { type Grid, type PlaneChartOptions, type Point, planeChart, rangesOf } from "./plane.js";
