/**
 * Single kernels, timed in this process by the `benchmark` package: each case is traced to a Program
 * like any user's formula, loaded, and run on arrays that are bound once.
 */
import Benchmark from "benchmark";
import * as lw from "layerwise";
import { gradientsOf } from "../../../src/autodiff/gradient.js";
import { type TraceRequest, trace } from "../../../src/backend/run.js";
import { backend } from "../../../src/backend/select.js";
import type { Program } from "../../../src/compiler/program.js";
import { normalize } from "../../../src/ops/normalization.js";
import { allocate, type TypedArray } from "../../../src/tensor/dtype.js";
import { middle } from "../../lib/measure.js";
import type {
  ConvolutionSpec,
  ElementaryFunction,
  KernelSpec,
  PoolingSpec,
  RecurrentSpec,
} from "../../lib/spec.js";
import type { Measured } from "./worker.js";

/** Below this, a kernel is called several times per run, so that the way into the addon costs little. */
const flopsPerRun = 2e6;

const input = (name: string, ...shape: number[]) => ({ name, shape, dtype: "float32" as const });

const elementary: Readonly<Record<ElementaryFunction, (x: lw.Tensor) => lw.Tensor>> = {
  exp: lw.exp,
  log: lw.log,
  tanh: lw.tanh,
  sigmoid: lw.sigmoid,
  erf: lw.erf,
};

/** The dropout layer. */
function dropping(rate: number): (x: lw.Tensor) => lw.Tensor {
  const layer = lw.layers.dropout({ rate, seed: 7 });
  return (x) => layer.apply(x, { training: true });
}

/** Sides and sizes of a convolution's result. */
function resultSide({ side, taps, stride, pad }: ConvolutionSpec): number {
  return Math.floor((side + 2 * pad - taps) / stride) + 1;
}

function convolutionRequest(spec: ConvolutionSpec): TraceRequest {
  const { batch, side, channels, filters, taps, stride, pad, groups } = spec;
  const out = resultSide(spec);
  const x = input("x", batch, side, side, channels);
  const filter = input("filter", taps, taps, channels / groups, filters);
  const dy = input("dy", batch, out, out, filters);
  const options = { strides: stride, padding: pad, groups };
  // A convolution is linear in x and in the filter: at a literal one, it is no more than a name here.
  const of = (a: lw.Tensor, b: lw.Tensor): lw.Tensor => lw.conv2d(a, b, options);
  switch (spec.kernel) {
    case "conv2d": {
      // A network's own, which stays from call to call: the peer has it in its own layout beforehand.
      const own = lw.variable(lw.zeros(filter.shape));
      return { name: spec.kernel, inputs: [x], body: ([a]) => [of(a!, own)] };
    }
    case "conv2dInputGradient":
      return {
        name: spec.kernel,
        inputs: [dy, filter],
        body: ([d, b]) => {
          const a = lw.zeros([batch, side, side, channels]);
          return gradientsOf(of(a, b!), [a], d!);
        },
      };
    case "conv2dFilterGradient":
      return {
        name: spec.kernel,
        inputs: [x, dy],
        body: ([a, d]) => {
          const b = lw.zeros([taps, taps, channels / groups, filters]);
          return gradientsOf(of(a!, b), [b], d!);
        },
      };
  }
}

function poolingRequest(spec: PoolingSpec): TraceRequest {
  const { kernel, training, batch, side, channels, window, stride } = spec;
  const out = Math.floor((side - window) / stride) + 1;
  const x = input("x", batch, side, side, channels);
  const dy = input("dy", batch, out, out, channels);
  const pool = kernel === "maxPool" ? lw.maxPool : lw.avgPool;
  const of = (a: lw.Tensor): lw.Tensor => pool(a, window, { strides: stride });
  return {
    name: kernel,
    inputs: training ? [x, dy] : [x],
    body: ([a, d]) => {
      const y = of(a!);
      return training ? [y, ...gradientsOf(y, [a!], d!)] : [y];
    },
  };
}

function recurrentRequest(spec: RecurrentSpec): TraceRequest {
  const { cell, training, batch, time, inputs, units, layers } = spec;
  const lengths: TraceRequest["inputs"] = spec.lengths
    ? [{ name: "lengths", shape: [batch], dtype: "int32" }]
    : [];
  const gates = cell === "lstm" ? 4 : 3;
  const biasShape = cell === "lstm" ? [4 * units] : [2, 3 * units];
  const weights = Array.from({ length: layers }, (_, i) => [
    input(`kernel${i}`, i === 0 ? inputs : units, gates * units),
    input(`recurrentKernel${i}`, units, gates * units),
    input(`bias${i}`, ...biasShape),
  ]).flat();
  const of = (xs: readonly lw.Tensor[], ends: lw.Tensor | undefined): lw.Tensor => {
    let y = xs[0]!;
    const options = { lengths: ends };
    for (let i = 1; i < xs.length; i += 3) {
      const [k, r, b] = xs.slice(i, i + 3) as [lw.Tensor, lw.Tensor, lw.Tensor];
      y = (cell === "lstm" ? lw.lstm(y, k, r, b, options) : lw.gru(y, k, r, b, options)).outputs;
    }
    return y;
  };
  const x = input("x", batch, time, inputs);
  return {
    name: spec.kernel,
    inputs: [x, ...weights, ...(training ? [input("dy", batch, time, units)] : []), ...lengths],
    body: (tensors) => {
      const given = tensors.slice(0, 1 + weights.length);
      const [dy, ends] = training
        ? tensors.slice(given.length)
        : [undefined, tensors[given.length]];
      const y = of(given, ends);
      if (!training) return [y];
      return [y, ...gradientsOf(y, given, dy!)];
    },
  };
}

/** Multiplications and additions of a kernel that has so many; else what needs no repeats. */
function flopsOf(spec: KernelSpec): number {
  if (spec.kernel === "gemm") return 2 * spec.m * spec.n * spec.k;
  if (!isConvolution(spec)) return Number.POSITIVE_INFINITY;
  const { batch, channels, filters, taps, groups } = spec;
  return 2 * batch * resultSide(spec) ** 2 * filters * taps ** 2 * (channels / groups);
}

function isConvolution(spec: KernelSpec): spec is ConvolutionSpec {
  return spec.kernel.startsWith("conv2d");
}

/** What is traced for each kernel. */
function requestOf(spec: KernelSpec): TraceRequest {
  const name = spec.kernel;
  switch (spec.kernel) {
    case "gemm": {
      const { m, n, k, transposeA, transposeB } = spec;
      return {
        name,
        inputs: [
          transposeA ? input("a", k, m) : input("a", m, k),
          transposeB ? input("b", n, k) : input("b", k, n),
        ],
        body: ([a, b]) => [lw.matMul(a!, b!, transposeA, transposeB)],
      };
    }
    case "conv2d":
    case "conv2dInputGradient":
    case "conv2dFilterGradient":
      return convolutionRequest(spec);
    case "recurrent":
      return recurrentRequest(spec);
    case "maxPool":
    case "avgPool":
      return poolingRequest(spec);
    case "relu":
      return { name, inputs: [input("x", spec.size)], body: ([x]) => [lw.relu(x!)] };
    case "exp":
    case "log":
    case "tanh":
    case "sigmoid":
    case "erf": {
      const apply = elementary[spec.kernel];
      return { name, inputs: [input("x", spec.size)], body: ([x]) => [apply(x!)] };
    }
    case "dropout": {
      const drop = dropping(spec.rate);
      return { name, inputs: [input("x", spec.size)], body: ([x]) => [drop(x!)] };
    }
    case "dropoutTraining": {
      const drop = dropping(spec.rate);
      return {
        name,
        inputs: [input("x", spec.size), input("dy", spec.size)],
        body: ([x, dy]) => {
          const y = drop(x!);
          return [y, ...gradientsOf(y, [x!], dy!)];
        },
      };
    }
    case "adam": {
      const parameter = lw.variable(lw.zeros([spec.size]));
      const optimizer = lw.optimizers.adam({ learningRate: 1e-3 });
      return {
        name,
        inputs: [input("gradient", spec.size)],
        body: ([gradient]) => {
          optimizer.build([parameter]);
          optimizer.applyGradients([[gradient!, parameter]]);
          return [];
        },
      };
    }
    case "sumRows":
      return { name, inputs: [input("x", spec.rows, spec.cols)], body: ([x]) => [lw.sum(x!, 0)] };
    case "sumColumns":
      return { name, inputs: [input("x", spec.rows, spec.cols)], body: ([x]) => [lw.sum(x!, 1)] };
    case "batchNorm":
      return {
        name,
        inputs: [
          input("x", spec.rows, spec.cols),
          input("gamma", spec.cols),
          input("beta", spec.cols),
        ],
        body: ([x, gamma, beta]) => {
          const { output, mean, variance } = normalize(x!, [0], gamma!, beta!, 1e-3);
          return [output, mean, variance];
        },
      };
    case "batchNormTraining":
      return {
        name,
        inputs: [
          input("x", spec.rows, spec.cols),
          input("gamma", spec.cols),
          input("beta", spec.cols),
          input("dy", spec.rows, spec.cols),
        ],
        body: ([x, gamma, beta, dy]) => {
          const { output, mean, variance } = normalize(x!, [0], gamma!, beta!, 1e-3);
          return [output, mean, variance, ...gradientsOf(output, [x!, gamma!, beta!], dy!)];
        },
      };
    case "softmaxCrossEntropy":
      return {
        name,
        inputs: [
          input("logits", spec.rows, spec.cols),
          { name: "labels", shape: [spec.rows], dtype: "int32" },
        ],
        body: ([logits, labels]) => {
          const loss = (z: lw.Tensor): lw.Tensor =>
            lw.sum(lw.sparseSoftmaxCrossEntropy(labels!, z));
          const { value, grad } = lw.valueAndGrad(loss)(logits!);
          return [value, grad];
        },
      };
    default:
      return spec satisfies never;
  }
}

/** One array per binding: floats in [0, 1), integers 0 (or lengths), valid for every kernel here. */
function fill({ bindings }: Program, spec: KernelSpec): TypedArray[] {
  // As recurrent weights start: larger ones would saturate every gate.
  const scale = spec.kernel === "recurrent" ? 2 / Math.sqrt(spec.units) : 1;
  const shift = spec.kernel === "recurrent" ? 0.5 : 0;
  return bindings.map(({ dtype, size }) => {
    const array = allocate(dtype, size);
    if (dtype === "float32") {
      for (let i = 0; i < size; i++) array[i] = scale * (Math.random() - shift);
    } else if (spec.kernel === "recurrent" && spec.lengths) {
      array.set(spec.lengths);
    }
    return array;
  });
}

/** Times a kernel; a round's result is the median of the package's samples. */
export async function kernelContender(spec: KernelSpec): Promise<Measured> {
  const { program } = trace(requestOf(spec));
  const repeats = Math.max(1, Math.round(flopsPerRun / flopsOf(spec)));
  const calls = Array.from({ length: repeats }, () => program.calls).flat();
  const loaded = backend().load({ ...program, calls });
  const bindings = fill(program, spec);
  return {
    async measure(seconds) {
      const bench = new Benchmark(() => loaded.runSync(bindings), {
        maxTime: Math.max(0.02, seconds),
        // A sample's length; the package's own choice would make every round as long as half a second.
        minTime: Math.max(0.002, seconds / 10),
        minSamples: 5,
      });
      bench.run();
      if (bench.error) throw bench.error;
      return { perUnit: middle(bench.stats.sample).median / repeats };
    },
    async check() {
      if (spec.kernel === "gemm") checkProduct(spec, bindings);
      if (isConvolution(spec)) checkConvolution(spec, bindings);
      return {};
    },
  };
}

/** The same for some elements of a convolution: Winograd's algorithm may err by some 10⁻⁵. */
function checkConvolution(spec: ConvolutionSpec, [a, b, c]: readonly TypedArray[]): void {
  const { kernel, batch, side, channels, filters, taps, stride, pad, groups } = spec;
  const out = resultSide(spec);
  const own = channels / groups;
  for (let probe = 0; probe < 16; probe++) {
    const at = (probe * 104_729 + 17 * probe) % c!.length;
    let exact = 0;
    // All x, w and y that meet in this element of the one that was asked for.
    const each = (x: number, w: number, y: number): void => {
      const [p, q] =
        kernel === "conv2d" ? [x, w] : kernel === "conv2dInputGradient" ? [y, w] : [x, y];
      exact += a![p]! * b![q]!;
    };
    const range = (fixed: number | undefined, n: number): number[] =>
      fixed === undefined ? Array.from({ length: n }, (_, i) => i) : [fixed];
    const split = (index: number, ...sizes: number[]): number[] => {
      const parts: number[] = [];
      for (const size of sizes.reverse()) {
        parts.unshift(index % size);
        index = Math.floor(index / size);
      }
      return parts;
    };
    const [n, i, j, o] = kernel === "conv2d" ? split(at, batch, out, out, filters) : [];
    const [m, row, column, channel] =
      kernel === "conv2dInputGradient" ? split(at, batch, side, side, channels) : [];
    const [k, l, c0, o2] =
      kernel === "conv2dFilterGradient" ? split(at, taps, taps, own, filters) : [];
    const group = channel === undefined ? undefined : Math.floor(channel / own);
    for (const image of range(n ?? m, batch))
      for (const y of range(i, out))
        for (const z of range(j, out))
          for (const tap of range(k, taps)) {
            const sourceRow = y * stride - pad + tap;
            if (sourceRow < 0 || sourceRow >= side) continue;
            if (row !== undefined && sourceRow !== row) continue;
            for (const across of range(l, taps)) {
              const sourceColumn = z * stride - pad + across;
              if (sourceColumn < 0 || sourceColumn >= side) continue;
              if (column !== undefined && sourceColumn !== column) continue;
              for (const filter of range(o ?? o2, filters)) {
                const its = Math.floor((filter * groups) / filters);
                if (group !== undefined && its !== group) continue;
                for (const ch of range(
                  c0 ?? (channel === undefined ? undefined : channel % own),
                  own,
                ))
                  each(
                    ((image * side + sourceRow) * side + sourceColumn) * channels + its * own + ch,
                    ((tap * taps + across) * own + ch) * filters + filter,
                    ((image * out + y) * out + z) * filters + filter,
                  );
              }
            }
          }
    const error = Math.abs(c![at]! - exact) / Math.max(1, Math.abs(exact));
    if (!(error <= 2e-4)) throw new Error(`element ${at} of ${kernel} is ${c![at]}, not ${exact}`);
  }
}

/** Throws where some element of a product is further from float64 than rounding explains. */
function checkProduct(
  { m, n, k, transposeA, transposeB }: KernelSpec & { kernel: "gemm" },
  [a, b, c]: readonly TypedArray[],
): void {
  for (let probe = 0; probe < 64; probe++) {
    const i = (probe * 7919) % m;
    const j = (probe * 104_729) % n;
    let exact = 0;
    for (let p = 0; p < k; p++) {
      exact += a![transposeA ? p * m + i : i * k + p]! * b![transposeB ? j * k + p : p * n + j]!;
    }
    // All operands are positive, so the sum of magnitudes is the sum itself.
    const error = Math.abs(c![i * n + j]! - exact) / exact;
    if (!(error <= 2 * Math.sqrt(k) * 2 ** -24)) {
      throw new Error(`element [${i}, ${j}] of the product is ${c![i * n + j]}, not ${exact}`);
    }
  }
}
