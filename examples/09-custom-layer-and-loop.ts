/**
 * What `fit` and the built-in layers do, by hand: a layer of one's own (swish with a slope that each
 * unit learns) and a training loop in which `lw.compile` turns forward pass, gradients and update into
 * one program that runs without JavaScript. The task: two spirals that wind around each other.
 */
import * as lw from "layerwise";
import { printTable, quick, saveFigure, takes } from "./shared.js";

takes({});

/** x · sigmoid(β·x) with one β per unit (Ramachandran et al. 2017). */
class LearntSwish extends lw.Layer {
  static override readonly className = "LearntSwish";
  #beta!: lw.Variable;

  override build(inputShape: readonly (number | null)[]): void {
    this.#beta = this.addWeight("beta", [inputShape.at(-1)!], { initializer: "ones" });
  }

  override call(x: lw.Tensor): lw.Tensor {
    return x.mul(x.mul(this.#beta).sigmoid());
  }
}

/** Points of two spirals and which they belong to. */
function spirals(count: number) {
  const turn = lw
    .randomUniform([count, 1], 0.1, 1)
    .sqrt()
    .mul(3.5 * Math.PI);
  const arm = lw.range(0, count).mod(2).reshape([count, 1]);
  const angle = turn.add(arm.mul(Math.PI));
  const radius = turn.div(3.5 * Math.PI);
  const x = lw.concat([angle.cos().mul(radius), angle.sin().mul(radius)], 1);
  return { x: x.add(lw.randomNormal([count, 2], 0, 0.02)), y: arm };
}

lw.setRandomSeed(1);
const batchSize = 64;
const { x, y } = spirals(quick ? 512 : 1024);
const samples = x.shape[0]!;
await Promise.all([x.data(), y.data()]);

const model = lw.sequential([
  lw.layers.dense({ units: 32, inputShape: [2] }),
  new LearntSwish({}),
  lw.layers.dense({ units: 32 }),
  new LearntSwish({}),
  lw.layers.dense({ units: 1 }),
]);
const weights = model.trainableWeights;
const optimizer = lw.optimizers.adam({ learningRate: 0.01 });

const step = lw.compile((inputs, labels) => {
  const { value, grads } = lw.variableGrads(
    () => lw.sigmoidCrossEntropy(labels, model.apply(inputs, { training: true })).mean(),
    weights,
  );
  optimizer.applyGradients(weights.map((weight) => [grads[weight.name]!, weight]));
  return value;
});

const losses: number[] = [];
const epochs = quick ? 60 : 150;
for (let epoch = 0; epoch < epochs; epoch++) {
  // Noise put in order of size gives a random order.
  const order = lw.topk(lw.randomUniform([samples], 0, 1), samples).indices;
  let total = 0;
  for (let from = 0; from < samples; from += batchSize) {
    const rows = order.slice([from], [batchSize]);
    total += step(x.gather(rows), y.gather(rows)).item() * batchSize;
  }
  losses.push(total / samples);
}

const logits = model.apply(x);
const right = lw.equal(logits.greater(0).cast("float32"), y).cast("float32").mean().item();
printTable(
  ["epochs", "programs compiled", "last loss", "accuracy"],
  [[epochs, step.programs, losses.at(-1)!.toPrecision(2), `${(100 * right).toFixed(1)} %`]],
);

const [range, cells] = [[-1.15, 1.15] as const, 120];
const middle = (i: number) => range[0] + ((i + 0.5) / cells) * (range[1] - range[0]);
const grid = Array.from({ length: cells * cells }, (_, i) => [
  middle(i % cells),
  middle(Math.floor(i / cells)),
]);
const regions = await model.apply(lw.tensor(grid)).greater(0).data();
const [inputs, arms] = [x.arraySync() as [number, number][], await y.data()];
saveFigure(
  "09-custom-layer-and-loop",
  lw.plot.panels([
    lw.plot.planeChart({
      title: "Two spirals and the network's regions",
      xRange: range,
      yRange: range,
      regions: { columns: cells, rows: cells, values: regions },
      points: [0, 1].map((arm) => ({
        label: `spiral ${arm + 1}`,
        points: inputs.filter((_, i) => arms[i] === arm),
      })),
    }),
    lw.plot.lineChart({
      title: "Loss",
      width: 460,
      height: 440,
      xLabel: "epoch",
      yScale: "log",
      series: [{ label: "", y: losses, dots: false }],
    }),
  ]),
);
