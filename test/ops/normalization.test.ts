/** moments and normalize: batch, layer and group shapes, their hand-written gradients, variables. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { normalize } from "../../src/ops/normalization.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

/** The same from plain ops, whose gradients the chain rule gives. */
function plain(x: lw.Tensor, axes: number[], gamma: lw.Tensor, beta: lw.Tensor): lw.Tensor {
  const mean = x.mean(axes, true);
  const centred = x.sub(mean);
  const variance = centred.square().mean(axes, true);
  return centred.div(variance.add(1e-3).sqrt()).mul(gamma).add(beta);
}

const kinds: [string, number[], number[], number[]][] = [
  ["batch norm", [6, 4], [0], [4]],
  ["batch norm of images", [2, 3, 2, 4], [0, 1, 2], [4]],
  ["batch norm with channels first", [3, 4, 5], [0, 2], [4, 1]],
  ["layer norm", [5, 6], [1], [6]],
  ["layer norm over two axes", [3, 2, 4], [1, 2], [2, 4]],
  ["group norm", [2, 5, 2, 3], [1, 3], [2, 3]],
];

onEachBackend("normalization", () => {
  test.each(kinds)("%s equals its formula in value and gradients", (_, shape, axes, parameters) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const width = parameters.reduce((a, b) => a * b, 1);
    const x = lw.tensor(uniform(1, size, -2, 2), shape);
    const gamma = lw.tensor(uniform(2, width, 0.5, 1.5), parameters);
    const beta = lw.tensor(uniform(3, width), parameters);
    const f = (a: lw.Tensor, g: lw.Tensor, b: lw.Tensor): lw.Tensor =>
      normalize(a, axes, g, b, 1e-3).output;
    const expected = plain(x, axes, gamma, beta);
    expectClose(f(x, gamma, beta).dataSync(), expected.dataSync(), { atol: 2e-6, rtol: 2e-6 });
    expectGradient(f, [x, gamma, beta]);
    const weigh = (y: lw.Tensor): lw.Tensor => y.mul(lw.tensor(uniform(9, size), shape)).sum();
    const got = lw.grads((a, g, b) => weigh(f(a, g, b)))([x, gamma, beta]);
    const want = lw.grads((a, g, b) => weigh(plain(a, axes, g, b)))([x, gamma, beta]);
    got.forEach((g, i) => {
      expectClose(g.dataSync(), want[i]!.dataSync(), { atol: 1e-5, rtol: 1e-5 }, `gradient ${i}`);
    });
  });

  test("without scale, without offset, without both", () => {
    const x = lw.tensor(uniform(1, 24, -2, 2), [6, 4]);
    const p = lw.tensor(uniform(2, 4, 0.5, 1.5));
    expectGradient((a, g) => normalize(a, [0], g, null, 1e-3).output, [x, p]);
    expectGradient((a, b) => normalize(a, [0], null, b, 1e-3).output, [x, p]);
    expectGradient((a) => normalize(a, [0], null, null, 1e-3).output, [x]);
  });

  test("scale and offset may be variables, and get their gradients", () => {
    const gamma = lw.variable([1, 2], { name: "gamma" });
    const beta = lw.variable([0, 1], { name: "beta" });
    const x = lw.tensor([
      [1, 2],
      [3, 6],
    ]);
    const weights = [
      [1, 0],
      [0, 1],
    ];
    const { grads } = lw.variableGrads(() =>
      normalize(x, [0], gamma, beta, 0).output.mul(weights).sum(),
    );
    expect(grads.gamma!.arraySync()).toEqual([-1, 1]);
    expect(grads.beta!.arraySync()).toEqual([1, 1]);
  });

  test("moments over axes that are not neighbours", () => {
    const x = lw.tensor(uniform(4, 60), [3, 4, 5]);
    const { mean, variance } = lw.moments(x, [0, 2], true);
    expect(mean.shape).toEqual([1, 4, 1]);
    expectClose(mean.dataSync(), x.mean([0, 2]).dataSync(), { atol: 1e-6 });
    expectClose(variance.dataSync(), x.sub(mean).square().mean([0, 2]).dataSync(), { atol: 1e-6 });
    expectGradient((t) => lw.moments(t, [0, 2]).variance, [x]);
  });

  test("the gradient of a mean does not look at the values", () => {
    const slope = lw.grad((t) => lw.moments(t).mean)([1, Infinity]);
    expect(slope.arraySync()).toEqual([0.5, 0.5]);
  });
});
