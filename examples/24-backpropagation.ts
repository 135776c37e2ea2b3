/**
 * Forward and back-propagation by hand, against automatic differentiation. The network is 2-3-1: tanh,
 * then a sigmoid, with cross-entropy as the loss. For one sample x with label y:
 *
 *     a = Wᵀx + b     h = tanh(a)     z = v·h + c     p = σ(z)     L = −y·log p − (1 − y)·log(1 − p)
 *
 * and back, from the end, each line by the chain rule (Rumelhart, Hinton & Williams 1986):
 *
 *     ∂L/∂z = p − y             ∂L/∂v = ∂L/∂z · h            ∂L/∂c = ∂L/∂z
 *     ∂L/∂h = ∂L/∂z · v         ∂L/∂a = ∂L/∂h · (1 − h²)
 *     ∂L/∂W = x (∂L/∂a)ᵀ        ∂L/∂b = ∂L/∂a
 *
 * The table has every gradient for the four samples of XOR together: by these lines in float64, by
 * `lw.variableGrads`, and by finite differences, which know no calculus at all. Then both train the network
 * from the same start: their losses can't be told apart.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

const hidden = 3;
const inputs = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;
const labels = [0, 1, 1, 0];

/** Parameters in one row: W (input by input), b, v, c. */
const names = "W₁₁ W₁₂ W₁₃ W₂₁ W₂₂ W₂₃ b₁ b₂ b₃ v₁ v₂ v₃ c".split(" ");
const [atB, atV, atC] = [2 * hidden, 3 * hidden, 4 * hidden];
const start = [0.9, -0.7, 0.4, -0.5, 0.8, 0.6, 0.1, -0.2, 0.3, 0.7, -0.9, 0.5, 0.2];

/** Mean loss over the samples, and its gradient by the lines above. */
function byHand(weights: readonly number[]): { loss: number; gradient: number[] } {
  const gradient = weights.map(() => 0);
  let loss = 0;
  inputs.forEach((x, sample) => {
    const y = labels[sample]!;
    // Forward.
    const h = Array.from({ length: hidden }, (_, j) =>
      Math.tanh(x[0] * weights[j]! + x[1] * weights[hidden + j]! + weights[atB + j]!),
    );
    const z = h.reduce((sum, value, j) => sum + value * weights[atV + j]!, weights[atC]!);
    const p = 1 / (1 + Math.exp(-z));
    loss -= (y * Math.log(p) + (1 - y) * Math.log(1 - p)) / inputs.length;
    // Back.
    const dz = (p - y) / inputs.length;
    gradient[atC]! += dz;
    for (let j = 0; j < hidden; j++) {
      gradient[atV + j]! += dz * h[j]!;
      const da = dz * weights[atV + j]! * (1 - h[j]! ** 2);
      gradient[j]! += da * x[0];
      gradient[hidden + j]! += da * x[1];
      gradient[atB + j]! += da;
    }
  });
  return { loss, gradient };
}

/** The same network for the library, and its gradients in the same order. */
const W = lw.variable(lw.tensor(start.slice(0, atB), [2, hidden]), { name: "W" });
const b = lw.variable(start.slice(atB, atV), { name: "b" });
const v = lw.variable(lw.tensor(start.slice(atV, atC), [hidden, 1]), { name: "v" });
const c = lw.variable(start.slice(atC), { name: "c" });
const parameters = [W, b, v, c];
const x = lw.tensor(inputs.map((row) => [...row]));
const y = lw.tensor(labels, [4, 1]);
const loss = () => {
  const z = x.matMul(W).add(b).tanh().matMul(v).add(c);
  return lw.sigmoidCrossEntropy(y, z).mean();
};

const { grads } = lw.variableGrads(loss, parameters);
const auto = parameters.flatMap(({ name }) => [...grads[name]!.dataSync()]);
const { gradient } = byHand(start);
const differences = start.map((_, i) => {
  const moved = (by: number) => byHand(start.map((w, j) => (i === j ? w + by : w))).loss;
  return (moved(1e-5) - moved(-1e-5)) / 2e-5;
});
printTable(
  ["parameter", "by hand", "autodiff", "finite difference", "largest difference"],
  names.map((name, i) => {
    const all = [gradient[i]!, auto[i]!, differences[i]!];
    const spread = Math.max(...all) - Math.min(...all);
    return [name, ...all.map((value) => value.toFixed(7)), spread.toExponential(0)];
  }),
);

// Gradient descent from the same start, by either gradient.
const steps = quick ? 200 : 3000;
const rate = 0.5;
let weights: readonly number[] = start;
const handLosses: number[] = [];
for (let step = 0; step < steps; step++) {
  const now = byHand(weights);
  handLosses.push(now.loss);
  weights = weights.map((w, i) => w - rate * now.gradient[i]!);
}
const optimizer = lw.optimizers.sgd({ learningRate: rate });
const descend = lw.compile(() => {
  const now = lw.variableGrads(loss, parameters);
  optimizer.applyGradients(parameters.map((p) => [now.grads[p.name]!, p]));
  return now.value;
});
const autoLosses = Array.from({ length: steps }, () => descend().item());

const [first, last] = [0, steps - 1];
console.log(
  `\nLoss before and after ${steps} steps: ${handLosses[first]!.toFixed(4)} → ` +
    `${handLosses[last]!.toFixed(4)} by hand, ${autoLosses[first]!.toFixed(4)} → ` +
    `${autoLosses[last]!.toFixed(4)} by autodiff`,
);
saveFigure(
  "24-backpropagation",
  lw.plot.panels([
    lw.plot.barChart({
      title: "Gradient of each parameter at the start",
      width: 620,
      height: 360,
      labels: names,
      series: [
        { label: "by hand", values: gradient },
        { label: "autodiff", values: auto },
      ],
      format: () => "",
    }),
    lw.plot.lineChart({
      title: "Loss while training",
      width: 440,
      height: 360,
      xLabel: "step",
      yScale: "log",
      series: [
        { label: "by hand", y: handLosses, dots: false },
        { label: "autodiff", y: autoLosses, dots: false, dashed: true },
      ],
    }),
  ]),
);
