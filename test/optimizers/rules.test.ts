/**
 * Update rules against two independent references: Keras' formulas written again in float64, and
 * trajectories by PyTorch (golden/make_optimizers.py).
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { compile } from "../../src/backend/compiled.js";
import { cos, mul } from "../../src/ops/elementwise.js";
import { sum } from "../../src/ops/reduce.js";
import * as optimizers from "../../src/optimizers/factories.js";
import type { Optimizer } from "../../src/optimizers/optimizer.js";
import { tensor } from "../../src/tensor/tensor.js";
import { variable } from "../../src/tensor/variable.js";
import { expectClose } from "../helpers/allClose.js";

const golden = JSON.parse(
  readFileSync(new URL("../golden/optimizers.json", import.meta.url), "utf8"),
) as { start: number[]; curvature: number[]; paths: Record<string, number[][]> };

/** Follows the gradient of Σ c·p²/2 + Σ cos p, as the golden script does. */
function follow(optimizer: Optimizer, steps: number): number[][] {
  const p = variable(golden.start, { name: "p" });
  const c = tensor(golden.curvature);
  const step = compile(() =>
    optimizer.minimize(() =>
      sum(mul(mul(c, p), p))
        .mul(0.5)
        .add(sum(cos(p))),
    ),
  );
  return Array.from({ length: steps }, () => {
    step();
    return [...p.dataSync()];
  });
}

const ofTorch: Record<string, Optimizer> = {
  sgd: optimizers.sgd({ learningRate: 0.05 }),
  sgdMomentum: optimizers.sgd({ learningRate: 0.05, momentum: 0.9 }),
  sgdNesterov: optimizers.momentum({ learningRate: 0.05, nesterov: true }),
  adagrad: optimizers.adagrad({ learningRate: 0.1, epsilon: 0 }),
  adadelta: optimizers.adadelta({ learningRate: 1, epsilon: 1e-6 }),
  rmsprop: optimizers.rmsprop({ learningRate: 0.01, epsilon: 0 }),
  rmspropMomentum: optimizers.rmsprop({ learningRate: 0.01, momentum: 0.5, epsilon: 0 }),
  rmspropCentered: optimizers.rmsprop({ learningRate: 0.01, centered: true, epsilon: 0 }),
  adam: optimizers.adam({ learningRate: 0.05, epsilon: 0 }),
  amsgrad: optimizers.adam({ learningRate: 0.05, amsgrad: true, beta2: 0.9, epsilon: 0 }),
  adamw: optimizers.adamw({ learningRate: 0.05, weightDecay: 0.1, epsilon: 0 }),
  adamax: optimizers.adamax({ learningRate: 0.05, epsilon: 0 }),
  nadam: optimizers.nadam({ learningRate: 0.05, epsilon: 0 }),
};

describe("against PyTorch", () => {
  test.each(Object.keys(golden.paths))("%s", (name) => {
    const want = golden.paths[name]!;
    const got = follow(ofTorch[name]!, want.length);
    // Relative to a step's size: near 0 a parameter's own size says nothing.
    expectClose(got.flat(), want.flat(), { rtol: 2e-5, atol: 5e-6 }, name);
  });
});

/** Keras' formulas for one scalar parameter; state is kept in the closure. */
type Scalar = (w: number, g: number, t: number) => number;

const references: Record<string, { make: () => Scalar; optimizer: () => Optimizer }> = {
  sgd: { make: () => (w, g) => w - 0.01 * g, optimizer: () => optimizers.sgd() },
  "sgd momentum": {
    make() {
      let m = 0;
      return (w, g) => {
        m = 0.8 * m - 0.01 * g;
        return w + m;
      };
    },
    optimizer: () => optimizers.sgd({ momentum: 0.8 }),
  },
  "sgd nesterov": {
    make() {
      let m = 0;
      return (w, g) => {
        m = 0.8 * m - 0.01 * g;
        return w + 0.8 * m - 0.01 * g;
      };
    },
    optimizer: () => optimizers.sgd({ momentum: 0.8, nesterov: true }),
  },
  adagrad: {
    make() {
      let a = 0.1;
      return (w, g) => {
        a += g * g;
        return w - (0.001 * g) / Math.sqrt(a + 1e-7);
      };
    },
    optimizer: () => optimizers.adagrad(),
  },
  adadelta: {
    make() {
      let [a, d] = [0, 0];
      return (w, g) => {
        a = 0.95 * a + 0.05 * g * g;
        const delta = (-Math.sqrt(d + 1e-7) / Math.sqrt(a + 1e-7)) * g;
        d = 0.95 * d + 0.05 * delta * delta;
        return w + 0.001 * delta;
      };
    },
    optimizer: () => optimizers.adadelta(),
  },
  rmsprop: {
    make() {
      let v = 0;
      return (w, g) => {
        v = 0.9 * v + 0.1 * g * g;
        return w - (0.001 * g) / Math.sqrt(v + 1e-7);
      };
    },
    optimizer: () => optimizers.rmsprop(),
  },
  "rmsprop centered momentum": {
    make() {
      let [v, a, m] = [0, 0, 0];
      return (w, g) => {
        v = 0.9 * v + 0.1 * g * g;
        a = 0.9 * a + 0.1 * g;
        m = 0.7 * m + (0.001 * g) / Math.sqrt(v - a * a + 1e-3);
        return w - m;
      };
    },
    optimizer: () => optimizers.rmsprop({ centered: true, momentum: 0.7, epsilon: 1e-3 }),
  },
  adam: {
    make() {
      let [m, v] = [0, 0];
      return (w, g, t) => {
        m += (g - m) * 0.1;
        v += (g * g - v) * 0.001;
        const alpha = (0.001 * Math.sqrt(1 - 0.999 ** t)) / (1 - 0.9 ** t);
        return w - (alpha * m) / (Math.sqrt(v) + 1e-7);
      };
    },
    optimizer: () => optimizers.adam(),
  },
  amsgrad: {
    make() {
      let [m, v, top] = [0, 0, 0];
      return (w, g, t) => {
        m += (g - m) * 0.1;
        v += (g * g - v) * 0.5;
        top = Math.max(top, v);
        const alpha = (0.001 * Math.sqrt(1 - 0.5 ** t)) / (1 - 0.9 ** t);
        return w - (alpha * m) / (Math.sqrt(top) + 1e-7);
      };
    },
    optimizer: () => optimizers.adam({ amsgrad: true, beta2: 0.5 }),
  },
  adamw: {
    make() {
      let [m, v] = [0, 0];
      return (start, g, t) => {
        const w = start - start * 0.004 * 0.001;
        m += (g - m) * 0.1;
        v += (g * g - v) * 0.001;
        const alpha = (0.001 * Math.sqrt(1 - 0.999 ** t)) / (1 - 0.9 ** t);
        return w - (alpha * m) / (Math.sqrt(v) + 1e-7);
      };
    },
    optimizer: () => optimizers.adamw(),
  },
  adamax: {
    make() {
      let [m, u] = [0, 0];
      return (w, g, t) => {
        m += (g - m) * 0.1;
        u = Math.max(0.999 * u, Math.abs(g));
        return w - (0.001 / (1 - 0.9 ** t)) * (m / (u + 1e-7));
      };
    },
    optimizer: () => optimizers.adamax(),
  },
  nadam: {
    make() {
      let [m, v, product] = [0, 0, 1];
      return (w, g, t) => {
        const mu = 0.9 * (1 - 0.5 * 0.96 ** t);
        const next = 0.9 * (1 - 0.5 * 0.96 ** (t + 1));
        product *= mu;
        m += (g - m) * 0.1;
        v += (g * g - v) * 0.001;
        const mHat = (next * m) / (1 - product * next) + ((1 - mu) * g) / (1 - product);
        const vHat = v / (1 - 0.999 ** t);
        return w - (0.001 * mHat) / (Math.sqrt(vHat) + 1e-7);
      };
    },
    optimizer: () => optimizers.nadam(),
  },
  lion: {
    make() {
      let m = 0;
      return (w, g) => {
        const move = Math.sign(0.9 * m + 0.1 * g);
        m = 0.99 * m + 0.01 * g;
        return w - 0.001 * move;
      };
    },
    optimizer: () => optimizers.lion(),
  },
};

describe("against Keras' formulas, with the default options", () => {
  test.each(Object.keys(references))("%s", (name) => {
    const { make, optimizer } = references[name]!;
    const rules = golden.start.map(() => make());
    let w = [...golden.start];
    const want: number[][] = [];
    for (let t = 1; t <= 12; t++) {
      w = w.map((value, i) => {
        const gradient = golden.curvature[i]! * value - Math.sin(value);
        return rules[i]!(value, gradient, t);
      });
      want.push(w);
    }
    const got = follow(optimizer(), 12);
    expectClose(got.flat(), want.flat(), { rtol: 1e-6, atol: 2e-7 }, name);
  });

  test("every optimizer that exists is among them", () => {
    const tested = new Set(Object.values(references).map(({ optimizer }) => optimizer().className));
    tested.add("momentum"); // the same rule as sgd with another default, tested above
    expect([...tested].sort()).toEqual(optimizers.optimizerNames().sort());
  });
});
