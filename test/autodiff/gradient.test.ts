/** Differentiation as users call it: grad and kin, custom gradients, higher orders, deep graphs. */
import { describe, expect, test } from "vitest";
import { gradientsOf } from "../../src/autodiff/gradient.js";
import * as lw from "../../src/index.js";
import { withGraphKept } from "../../src/tensor/scope.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

onEachBackend("gradient", () => {
  test("grad, grads, valueAndGrad, valueAndGrads", () => {
    expect(
      lw
        .grad((x) => x.square())(3)
        .item(),
    ).toBe(6);
    expect(
      lw
        .grad((x) => x.square().sum())([1, 2])
        .arraySync(),
    ).toEqual([2, 4]);
    const [da, db] = lw.grads((a, b) => a.mul(b).sum())([
      [1, 2],
      [3, 4],
    ]);
    expect([da!.arraySync(), db!.arraySync()]).toEqual([
      [3, 4],
      [1, 2],
    ]);
    const one = lw.valueAndGrad((x) => x.exp())(0);
    expect([one.value.item(), one.grad.item()]).toEqual([1, 1]);
    const two = lw.valueAndGrads((a, b) => a.sub(b))([5, 3]);
    expect([two.value.item(), ...two.grads.map((g) => g.item())]).toEqual([2, 1, -1]);
  });

  test("of a value with many elements: weighted by dy, ones by default", () => {
    const f = lw.grad((x) => x.square());
    expect(f([1, 2, 3]).arraySync()).toEqual([2, 4, 6]);
    expect(f([1, 2, 3], lw.tensor([1, 0, -1])).arraySync()).toEqual([2, 0, -6]);
    expect(() => f([1, 2], lw.tensor([1]))).toThrow(lw.ShapeError);
  });

  test("zeros where the value does not depend on the argument", () => {
    const [da, db] = lw.grads((a) => a.sum())([[1, 2], [[3]]]);
    expect(da!.arraySync()).toEqual([1, 1]);
    expect(db!.arraySync()).toEqual([[0]]);
    expect(
      lw
        .grad((x) => lw.scalar(3).add(x.floor()))(1)
        .item(),
    ).toBe(0);
  });

  test("a value used several times collects every contribution", () => {
    // x·x + x·sin x
    const f = (x: lw.Tensor): lw.Tensor => x.mul(x).add(x.mul(x.sin()));
    const at = 0.7;
    const expected = 2 * at + Math.sin(at) + at * Math.cos(at);
    expect(lw.grad(f)(at).item()).toBeCloseTo(expected, 6);
    expect(
      lw
        .grad((x) => x.add(x).add(x).sum())([1])
        .item(),
    ).toBe(3);
    // The same tensor as both arguments.
    const x = lw.tensor([2]);
    expect(
      lw
        .grads((a, b) => a.mul(b))([x, x])
        .map((g) => g.item()),
    ).toEqual([4, 4]);
  });

  test("with respect to values on the way, and to the value itself", () => {
    withGraphKept(() => {
      const x = lw.tensor([1, 2]);
      const h = x.mul(3);
      const y = h.square().sum();
      const [dx, dh, dy] = gradientsOf(y, [x, h, y]);
      expect(dx!.arraySync()).toEqual([18, 36]);
      expect(dh!.arraySync()).toEqual([6, 12]);
      expect(dy!.item()).toBe(1);
    });
  });

  test("the function may look at values on its way", () => {
    const f = (x: lw.Tensor): lw.Tensor => {
      const y = x.square();
      return (y.dataSync()[0] ?? 0) > 3 ? y.mul(10).sum() : y.sum();
    };
    expect(lw.grad(f)([2]).item()).toBe(40);
    expect(lw.grad(f)([1]).item()).toBe(2);
    const g = (x: lw.Tensor): lw.Tensor => {
      const y = x.exp();
      y.dataSync();
      const z = y.log();
      z.dataSync();
      return z.square().sum();
    };
    expect(lw.grad(g)([3]).item()).toBeCloseTo(6, 5);
  });

  test("second and third derivatives, of numbers and tensors alike", () => {
    const cube = (x: lw.Tensor): lw.Tensor => x.mul(x).mul(x);
    const d2 = lw.grad((x) => lw.grad(cube)(x));
    const d3 = lw.grad((x) => d2(x));
    for (const at of [1, 2, 0, -3]) {
      expect(lw.grad(cube)(at).item()).toBe(3 * at * at);
      expect(d2(at).item()).toBe(6 * at);
      expect(d3(at).item()).toBe(6);
    }
    expect(d2(lw.ones([])).item()).toBe(6);
    const mixed = lw.grad((b) =>
      lw
        .grad((a) => a.mul(b))(1)
        .mul(1),
    )(1);
    expect(mixed.item()).toBe(1);
  });

  test("a Hessian row by row equals finite differences", () => {
    const w = lw.tensor(uniform(1, 9), [3, 3]);
    const f = (x: lw.Tensor): lw.Tensor => x.reshape([1, 3]).matMul(w).tanh().square().sum();
    expectGradient((x) => lw.grad(f)(x), [lw.tensor(uniform(2, 3))]);
    expectGradient(
      (x) => lw.grad((y) => lw.grad(f)(y).square().sum())(x),
      [lw.tensor(uniform(2, 3))],
    );
  });

  test("stopGradient lets the value through and no gradient", () => {
    const f = (x: lw.Tensor): lw.Tensor => x.mul(x.stopGradient()).sum();
    const { value, grad } = lw.valueAndGrad(f)([3]);
    expect([value.item(), grad.item()]).toEqual([9, 3]);
  });

  test("integers and conditions carry no gradient", () => {
    const x = lw.tensor([1.5, -2.5]);
    expect(
      lw
        .grad((t) => t.cast("int32").cast("float32").sum())(x)
        .arraySync(),
    ).toEqual([0, 0]);
    expect(
      lw
        .grad((t) => lw.where(t.greater(0), t, t.mul(3)).sum())(x)
        .arraySync(),
    ).toEqual([1, 3]);
    expect(() => lw.grad((t) => t.sum())(lw.tensor(Int32Array.of(1)))).toThrow(lw.DTypeError);
  });

  test("10 000 operations deep", () => {
    const f = (x: lw.Tensor): lw.Tensor => {
      let y = x;
      for (let i = 0; i < 5000; i++) y = y.mul(1.0002).sub(1e-4);
      return y.sum();
    };
    const { value, grad } = lw.valueAndGrad(f)([1, 2]);
    expect(grad.dataSync()[0]).toBeCloseTo(1.0002 ** 5000, 2);
    expect(Number.isFinite(value.item())).toBe(true);
  });

  test("a loop over one weight, as an unrolled recurrent network", () => {
    const w = lw.tensor(uniform(3, 16, -0.5, 0.5), [4, 4]);
    const b = lw.tensor(uniform(4, 4));
    const f = (weights: lw.Tensor, bias: lw.Tensor): lw.Tensor => {
      let h: lw.Tensor = lw.ones([2, 4]);
      for (let i = 0; i < 30; i++) h = h.matMul(weights).add(bias).tanh();
      return h;
    };
    expectGradient(f, [w, b]);
  });
});

onEachBackend("variableGrads", () => {
  test("by name, for the trainable variables that were read", () => {
    const w = lw.variable([1, 2], { name: "w" });
    const b = lw.variable([5], { name: "b" });
    const frozen = lw.variable([7], { name: "frozen", trainable: false });
    lw.variable([1], { name: "unread" });
    const { value, grads } = lw.variableGrads(() => w.mul(3).add(b).mul(frozen).sum());
    expect(value.item()).toBe(7 * (3 + 5 + 6 + 5));
    expect(Object.keys(grads)).toEqual(["w", "b"]);
    expect(grads.w!.arraySync()).toEqual([21, 21]);
    expect(grads.b!.arraySync()).toEqual([14]);
  });

  test("for given variables, trainable or not; zeros when unread", () => {
    const w = lw.variable([1], { name: "w", trainable: false });
    const other = lw.variable([[1, 2]], { name: "other" });
    const { grads } = lw.variableGrads(() => w.square().sum(), [w, other]);
    expect(grads.w!.arraySync()).toEqual([2]);
    expect(grads.other!.arraySync()).toEqual([[0, 0]]);
  });

  test("a gradient step by hand descends", () => {
    const w = lw.variable([4], { name: "w" });
    for (let i = 0; i < 50; i++) {
      const { grads } = lw.variableGrads(() => w.sub(1).square().sum());
      w.assign(w.sub(grads.w!.mul(0.1)));
    }
    expect(w.item()).toBeCloseTo(1, 3);
  });

  test("mistakes", () => {
    const w = lw.variable([1], { name: "same" });
    const v = lw.variable([1], { name: "same" });
    expect(() => lw.variableGrads(() => lw.scalar(1))).toThrowErrorMatchingInlineSnapshot(
      `[StateError: variableGrads: the function reads no trainable variable]`,
    );
    expect(() => lw.variableGrads(() => w.add(v).sum())).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: variableGrads: two variables are called same]`,
    );
  });
});

onEachBackend("customGrad", () => {
  test("its gradient replaces that of its ops", () => {
    const hard = lw.customGrad((x) => ({ value: x.step(), gradFunc: (dy) => dy.mul(10) }));
    const { value, grad } = lw.valueAndGrad((x) => hard(x.mul(2)).sum())([-1, 1]);
    expect(value.item()).toBe(1);
    expect(grad.arraySync()).toEqual([20, 20]);
  });

  test("of several arguments, used twice, differentiated twice", () => {
    const product = lw.customGrad((a, b) => ({
      value: a.mul(b),
      gradFunc: (dy) => [dy.mul(b), dy.mul(a)],
    }));
    const [da, db] = lw.grads((a, b) => product(a, b).add(product(b, b)).sum())([[2], [3]]);
    expect([da!.item(), db!.item()]).toEqual([3, 2 + 6]);
    const second = lw.grad((x) => lw.grad((y) => product(y, product(y, y)))(x))(2);
    expect(second.item()).toBe(12);
  });

  test("works inside compiled functions and after values were looked at", () => {
    const clipped = lw.customGrad((x) => ({
      value: x,
      gradFunc: (dy) => dy.clipByValue(-1, 1),
    }));
    const f = lw.compile((x) => lw.grad((t) => clipped(t).mul(100).sum())(x));
    expect(f([1, 2]).arraySync()).toEqual([1, 1]);
    const g = lw.grad((t) => {
      const y = clipped(t);
      y.dataSync();
      return y.mul(100).sum();
    });
    expect(g([1]).arraySync()).toEqual([1]);
  });

  test("what it must return is checked", () => {
    // @ts-expect-error a function that returns something else
    const wrong = lw.customGrad((x) => x);
    expect(() => wrong([1])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: customGrad: expected a function that returns { value, gradFunc }, got an instance of Tensor]`,
    );
    const count = lw.customGrad((a, b) => ({ value: a.add(b), gradFunc: (dy) => dy }));
    expect(() => lw.grads(count)([[1], [2]])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: customGrad: gradFunc gave 1 gradients for 2 arguments]`,
    );
    const shape = lw.customGrad((a) => ({ value: a, gradFunc: (dy) => dy.sum() }));
    expect(() => lw.grad(shape)([1, 2])).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: customGrad: gradFunc gave shape [] for argument 0 of shape [2]]`,
    );
  });
});

describe("what grad refuses", () => {
  test("no function, no tensor, a promise", () => {
    // @ts-expect-error no function
    expect(() => lw.grad(3)(1)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: grad: expected a function, got 3]`,
    );
    // @ts-expect-error no tensor
    expect(() => lw.grad(() => 3)(1)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: grad: expected a function that returns a Tensor, got 3]`,
    );
    // @ts-expect-error async
    expect(() => lw.grad(async (x) => x)(1)).toThrowErrorMatchingInlineSnapshot(
      `[ArgumentError: grad: the function is async; gradients need a synchronous one]`,
    );
  });

  test("a second gradient at numbers equals that at tensors", () => {
    const f = (x: lw.Tensor): lw.Tensor => x.mul(x.exp());
    const d2 = lw.grad((x) => lw.grad(f)(x));
    expectClose(d2(1).dataSync(), d2(lw.scalar(1)).dataSync(), {});
    expect(d2(1).item()).toBeCloseTo(3 * Math.E, 5);
  });
});
