/**
 * Activation functions and their derivatives: what each does to its input, and how much gradient it
 * lets through. The derivatives are not formulas written here: `lw.grad` takes them from the functions.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const activations: Record<string, (x: lw.Tensor) => lw.Tensor> = {
  sigmoid: lw.sigmoid,
  tanh: lw.tanh,
  relu: lw.relu,
  leakyRelu: (x) => lw.leakyRelu(x, 0.2),
  elu: lw.elu,
  selu: lw.selu,
  softplus: lw.softplus,
  softsign: lw.softsign,
  gelu: lw.gelu,
  swish: lw.swish,
  mish: lw.mish,
  hardSigmoid: lw.hardSigmoid,
};

// An even number of points leaves out 0 itself, where some have no derivative.
const x = lw.linspace(-3.5, 3.5, quick ? 100 : 400);
const xs = await x.data();
const probes = [-3, 0.5, 3];

const charts: string[] = [];
const rows: (string | number)[][] = [];
for (const [name, f] of Object.entries(activations)) {
  // Each output depends on its own input alone, so the gradient of their sum is the derivative of each.
  const derivative = lw.grad((t) => f(t).sum());
  const y = await f(x).data();
  const slope = await derivative(x).data();
  charts.push(
    lw.plot.lineChart({
      title: name,
      width: 270,
      height: 270,
      series: [
        { label: "f(x)", x: xs, y, dots: false },
        { label: "f′(x)", x: xs, y: slope, dots: false, dashed: true },
      ],
      yRange: [-1.8, 2.2],
    }),
  );
  const values = await f(lw.tensor(probes)).data();
  const slopes = await derivative(probes).data();
  const steepest = Math.max(...slope);
  rows.push([name, ...[...values, ...slopes, steepest].map((v) => Number(v.toFixed(4)))]);
}

const heads = [...probes.map((p) => `f(${p})`), ...probes.map((p) => `f′(${p})`)];
printTable(["activation", ...heads, "max f′"], rows);
console.log(
  "\nWhere f′ is near 0 on both sides (sigmoid, tanh), deep networks learn slowly: see 06.",
);
saveFigure("03-activations", lw.plot.panels(charts, { columns: 4, title: "Activations" }));
