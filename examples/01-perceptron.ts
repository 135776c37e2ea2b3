/**
 * Rosenblatt's perceptron (1958) on the logic gates. It finds a line between the answers of AND and of
 * OR within a few passes. XOR has no such line (Minsky & Papert 1969): there it corrects itself for
 * ever. The figure shows the line each ended with; 02 solves XOR with a hidden layer.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const gates = lw.datasets.logicGates();
const range = [-2, 2] as const;

const charts: string[] = [];
const rows: (string | number)[][] = [];
const curves: lw.plot.Series[] = [];
for (const name of ["and", "or", "xor"] as const) {
  // False is −1 and true 1, as Rosenblatt had them; the answers are 0 and 1.
  const { y } = gates[name];
  const x = gates[name].x.mul(2).sub(1);
  const perceptron = lw.perceptron({ inputs: 2 });
  const { errors, corrections, converged } = perceptron.fit(x, y, { epochs: quick ? 100 : 1000 });

  const answers = perceptron.predict(x).dataSync();
  const wanted = y.dataSync();
  const right = answers.filter((answer, i) => answer === wanted[i]).length;
  const title = name.toUpperCase();
  rows.push([title, converged ? "yes" : "no", errors.length, corrections, `${right}/4`]);
  curves.push({ label: title, y: errors.slice(0, 12) });

  const inputs = x.arraySync() as [number, number][];
  const [a = 0, b = 0] = perceptron.weights;
  charts.push(
    lw.plot.planeChart({
      title: `${title}: ${converged ? "separated" : "no line separates it"}`,
      width: 350,
      height: 370,
      xRange: range,
      yRange: range,
      xLabel: "x₁",
      yLabel: "x₂",
      lines: [{ label: "w·x + b = 0", a, b, c: perceptron.bias }],
      points: [0, 1].map((answer) => ({
        label: String(answer),
        points: inputs.filter((_, i) => wanted[i] === answer),
      })),
    }),
  );
}
charts.push(
  lw.plot.lineChart({
    title: "Wrong samples in each pass",
    width: 350,
    height: 370,
    xLabel: "epoch",
    yRange: [0, 4.2],
    series: curves,
  }),
);

printTable(["gate", "learnt", "epochs", "corrections", "right"], rows);
const title = "The perceptron on logic gates";
saveFigure("01-perceptron", lw.plot.panels(charts, { title, columns: 2 }));
