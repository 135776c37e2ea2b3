/**
 * A compact residual network for small pictures, after those of Page (2018, "How to train your ResNet")
 * and Jordan (2024, "94 % on CIFAR-10 in 3.29 seconds"): a fixed first layer that whitens 2×2 patches,
 * three stages of a convolution with pooling and a residual one, the largest value of each channel, and
 * small logits. Examples 12 and 22 train it.
 */
import * as lw from "layerwise";

type Symbol = ReturnType<typeof lw.input>;
const { layers } = lw;

/** Eigenvalues and eigenvectors (rows) of a symmetric matrix, by Jacobi's rotations. */
function eigenvectors(matrix: readonly number[][]): { value: number; vector: number[] }[] {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = a.map((_, i) => a.map((_, j) => Number(i === j)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p]![q] === 0) continue;
        const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        const turn = (x: number[], y: number[]): void => {
          for (let k = 0; k < n; k++) {
            [x[k], y[k]] = [c * x[k]! - s * y[k]!, s * x[k]! + c * y[k]!];
          }
        };
        for (const row of a) {
          [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
        }
        turn(a[p]!, a[q]!);
        turn(v[p]!, v[q]!);
      }
    }
  }
  return v.map((vector, i) => ({ value: a[i]![i]!, vector }));
}

/**
 * The kernel [2, 2, channels, 8·channels] that decorrelates patches of standardised pictures and brings
 * them to variance 1: each of their principal directions, once with either sign.
 */
function whitening(x: lw.Tensor): lw.Tensor {
  const [n, h, w, channels] = x.shape as [number, number, number, number];
  const corners = [0, 1].flatMap((i) => [0, 1].map((j) => [i, j] as const));
  const patches = lw.concat(
    corners.map(([i, j]) =>
      x.slice([0, i, j, 0], [n, h - 1, w - 1, channels]).reshape([-1, channels]),
    ),
    1,
  );
  const covariance = patches.matMul(patches, true).mul(1 / patches.shape[0]!);
  const rows = eigenvectors(covariance.arraySync() as number[][]).map(({ value, vector }) =>
    vector.map((entry) => entry / Math.sqrt(value + 5e-4)),
  );
  const signed = [...rows, ...rows.map((row) => row.map((entry) => -entry))];
  return lw.tensor(signed).transpose().reshape([2, 2, channels, signed.length]);
}

/** What the network is made for. */
export interface ResidualOptions {
  /** Training pictures, [n, height, width, channels]: for their mean, deviation and patches. */
  readonly pictures: lw.Tensor;
  readonly classes: number;
  /** Channels of the three stages. */
  readonly widths: readonly number[];
  /** Random changes of standardised pictures while training. */
  readonly augment: (x: Symbol) => Symbol;
}

/** The network, from pictures as they are stored to logits. */
export function residualNetwork({ pictures, classes, widths, augment }: ResidualOptions): lw.Model {
  const [n, ...shape] = pictures.shape as [number, number, number, number];
  const some = pictures.slice([0, 0, 0, 0], [Math.min(n, 5000), ...shape]).cast("float32");
  const standard = layers.normalization({ axis: -1 });
  standard.adapt(some);
  const first = layers.conv2d({
    filters: 8 * shape[2],
    kernelSize: 2,
    useBias: false,
    trainable: false,
    name: "whitening",
  });
  const normed = (y: Symbol): Symbol =>
    layers.batchNormalization({ scale: false, momentum: 0.9, epsilon: 1e-5 }).apply(y);
  const active = (y: Symbol): Symbol => layers.activation({ activation: "gelu" }).apply(y);
  const convolution = (y: Symbol, filters: number): Symbol =>
    layers
      .conv2d({
        filters,
        kernelSize: 3,
        padding: "same",
        useBias: false,
        kernelInitializer: "heNormal",
      })
      .apply(y);

  const inputs = lw.input({ shape, dtype: pictures.dtype, name: "pictures" });
  let y = active(first.apply(augment(standard.apply(inputs))));
  first.setWeights([whitening(standard.apply(some))]);
  for (const width of widths) {
    y = active(normed(layers.maxPooling2d().apply(convolution(y, width))));
    y = active(layers.add().apply([y, normed(convolution(y, width))]));
  }
  y = layers.dense({ units: classes, useBias: false }).apply(layers.globalMaxPooling2d().apply(y));
  // Small logits at the start keep early steps at a high rate stable.
  return lw.model({ inputs, outputs: layers.rescaling({ scale: 1 / 9 }).apply(y) });
}

/** Labels as one-hot rows, which label smoothing needs. */
export const withClasses = (labels: lw.Tensor): lw.Tensor => lw.oneHot(labels, 10);

/** What both examples learn with: Nesterov's momentum, and one cycle of the rate in so many steps. */
export function compileResidual(
  model: lw.Model,
  { steps, rate, labelSmoothing = 0.1 }: { steps: number; rate: number; labelSmoothing?: number },
): void {
  const warmupSteps = Math.round(0.2 * steps);
  model.compile({
    optimizer: lw.optimizers.sgd({
      learningRate: lw.optimizers.schedules.cosineDecay({
        initialLearningRate: 0.2 * rate,
        warmupTarget: rate,
        warmupSteps,
        decaySteps: steps - warmupSteps,
      }),
      momentum: 0.9,
      nesterov: true,
      weightDecay: 0.01,
      excludeFromWeightDecay: ["beta"],
    }),
    loss: lw.losses.categoricalCrossentropy({ fromLogits: true, labelSmoothing }),
    metrics: ["accuracy"],
  });
}
