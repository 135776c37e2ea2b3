/** The charts as users get them, `lw.plot`: pure functions from plain data to the text of an SVG. */
export { type BarChartOptions, barChart } from "./bars.js";
export { type HeatMapOptions, heatMap } from "./heat.js";
export { type GridImage, type ImageGridOptions, imageGrid } from "./images.js";
export { type LineChartOptions, lineChart, type Series } from "./line.js";
export { type PanelsOptions, panels } from "./panels.js";
export { type Grid, type PlaneChartOptions, type Point, planeChart, rangesOf } from "./plane.js";
