/** What surrounds the rules: clipping, decay, accumulation, averages, constraints, state, errors. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { compile } from "../../src/backend/compiled.js";
import { ArgumentError, ShapeError, StateError } from "../../src/errors.js";
import { relu } from "../../src/ops/elementwise.js";
import * as optimizers from "../../src/optimizers/factories.js";
import { piecewiseConstantDecay } from "../../src/optimizers/schedules.js";
import { tensor } from "../../src/tensor/tensor.js";
import { variable } from "../../src/tensor/variable.js";
import { expectClose } from "../helpers/allClose.js";

const values = (v: { dataSync(): ArrayLike<number> }): number[] => Array.from(v.dataSync());

describe("minimize", () => {
  test("finds a minimum eagerly and compiled, alike to the bit", () => {
    const run = (wrap: <T>(f: () => T) => () => T) => {
      const x = variable([3, -2], { name: "x" });
      const adam = optimizers.adam({ learningRate: 0.1 });
      const step = wrap(() => adam.minimize(() => x.sub([1, 2]).square().sum()));
      for (let i = 0; i < 300; i++) step();
      return values(x);
    };
    const eager = run((f) => f);
    expectClose(eager, [1, 2], { atol: 1e-3 });
    expect(run((f) => compile(f as never) as never)).toEqual(eager);
  });

  test("returns the value before the step and reads only what it is given", () => {
    const a = variable([2], { name: "a" });
    const b = variable([5], { name: "b" });
    const sgd = optimizers.sgd({ learningRate: 0.5 });
    const cost = sgd.minimize(() => a.mul(b).sum(), [a]);
    expect(cost.item()).toBe(10);
    expect([values(a), values(b)]).toEqual([[-0.5], [5]]);
  });

  test("complains where there is nothing to change", () => {
    const frozen = variable([1], { trainable: false });
    const sgd = optimizers.sgd();
    expect(() => sgd.minimize(() => frozen.sum())).toThrow(StateError);
    expect(() => sgd.minimize((() => 3) as never)).toThrow(ArgumentError);
    const pair = variable([1, 2]);
    expect(() => sgd.minimize(() => pair.mul(2))).toThrow(/scalar/);
  });
});

describe("clipping", () => {
  const gradients = [tensor([3, -4]), tensor([0.5])];
  const run = (options: object): number[][] => {
    const parameters = [variable([0, 0]), variable([0])];
    const sgd = optimizers.sgd({ learningRate: 1, ...options });
    sgd.applyGradients(gradients.map((g, i) => [g, parameters[i]!] as const));
    return parameters.map((p) => values(p).map((x) => -x));
  };

  test("by value, by norm, by the norm of all", () => {
    expect(run({ clipValue: 2 })).toEqual([[2, -2], [0.5]]);
    expectClose(run({ clipNorm: 1 }).flat(), [0.6, -0.8, 0.5], { atol: 1e-6 });
    const global = Math.sqrt(9 + 16 + 0.25);
    const want = [3 / global, -4 / global, 0.5 / global];
    expectClose(run({ globalClipNorm: 1 }).flat(), want, { atol: 1e-6 });
  });

  test("leaves gradients within the limits as they are, zeros too", () => {
    expect(run({ clipNorm: 100 })).toEqual([[3, -4], [0.5]]);
    expect(run({ globalClipNorm: 100 })).toEqual([[3, -4], [0.5]]);
    const p = variable([1, 2]);
    optimizers.sgd({ clipNorm: 1 }).applyGradients([[tensor([0, 0]), p]]);
    expect(values(p)).toEqual([1, 2]);
  });

  test.each(["clipValue", "clipNorm", "globalClipNorm"])("%s is above 0 and finite", (kind) => {
    for (const limit of [0, -1, 1e-50, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(() => optimizers.sgd({ [kind]: limit })).toThrow(
        `optimizer sgd: expected \`${kind}\` to be a finite number above 0, got ${limit}`,
      );
    }
  });

  test("of two kinds at once is an error", () => {
    expect(() => optimizers.sgd({ clipNorm: 1, clipValue: 1 })).toThrow(/at most one kind/);
  });
});

describe("weight decay", () => {
  test("shrinks each parameter by rate times decay, but for the excluded", () => {
    const kernel = variable([1], { name: "dense/kernel" });
    const bias = variable([1], { name: "dense/bias" });
    const scale = variable([1], { name: "norm/gamma" });
    const sgd = optimizers.sgd({
      learningRate: 0.5,
      weightDecay: 0.1,
      excludeFromWeightDecay: ["bias", /^norm\//],
    });
    const zero = tensor([0]);
    sgd.applyGradients([
      [zero, kernel],
      [zero, bias],
      [zero, scale],
    ]);
    expectClose(
      [kernel, bias, scale].flatMap((v) => values(v)),
      [0.95, 1, 1],
      { ulp: 1 },
    );
  });
});

describe("patterns of excluded parameters", () => {
  test("match each name alike, whatever their flags", () => {
    const names = ["b/bias", "bias", "a/bias", "my/bias"];
    const decayed = (pattern: RegExp): string[] => {
      const parameters = names.map((name) => variable([1], { name }));
      const sgd = optimizers.sgd({
        learningRate: 1,
        weightDecay: 0.5,
        excludeFromWeightDecay: [pattern],
      });
      sgd.applyGradients(parameters.map((p) => [tensor([0]), p] as const));
      return parameters.filter((p) => values(p)[0] !== 1).map((p) => p.name);
    };
    expect(decayed(/bias/g)).toEqual([]);
    // Sticky: at the beginning of a name.
    expect(decayed(/bias/y)).toEqual(["b/bias", "a/bias", "my/bias"]);
    expect(() => optimizers.sgd({ excludeFromWeightDecay: [3 as never] })).toThrow(
      /array of texts and patterns, got \[3\]/,
    );
  });
});

describe("gradient accumulation", () => {
  test("updates every n-th step with the mean gradient, counting updates for Adam's t", () => {
    const p = variable([1]);
    const q = variable([1]);
    const every3 = optimizers.adam({ learningRate: 0.1, gradientAccumulationSteps: 3 });
    const plain = optimizers.adam({ learningRate: 0.1 });
    const stream = [1, 2, 6, -1, 0, 4];
    const seen: number[] = [];
    for (const g of stream) {
      every3.applyGradients([[tensor([g]), p]]);
      seen.push(values(p)[0]!);
    }
    plain.applyGradients([[tensor([3]), q]]);
    const first = values(q)[0]!;
    plain.applyGradients([[tensor([1]), q]]);
    expect(seen.slice(0, 2)).toEqual([1, 1]);
    expectClose([seen[2]!, seen[3]!, seen[4]!], [first, first, first], { rtol: 1e-6 });
    expectClose([seen[5]!], values(q), { rtol: 1e-6 });
  });
});

describe("moving averages of parameters", () => {
  test("start at the first value, follow, and can be swapped in and out", () => {
    const p = variable([0]);
    const sgd = optimizers.sgd({ learningRate: 1, useEma: true, emaMomentum: 0.5 });
    for (const g of [-1, -1, -2]) sgd.applyGradients([[tensor([g]), p]]);
    // p: 1, 2, 4; average: 1, 1.5, 2.75
    expect(values(p)).toEqual([4]);
    sgd.swapEma();
    expect(values(p)).toEqual([2.75]);
    sgd.swapEma();
    expect(values(p)).toEqual([4]);
    sgd.finalizeVariableValues();
    expect(values(p)).toEqual([2.75]);
  });
});

describe("what joins later", () => {
  test("starts its moving average at its value", () => {
    const [p, q] = [variable([0]), variable([5])];
    const sgd = optimizers.sgd({ learningRate: 1, useEma: true, emaMomentum: 0.5 });
    sgd.applyGradients([[tensor([-1]), p]]);
    const both = (g: number): void => {
      sgd.applyGradients([
        [tensor([g]), p],
        [tensor([g]), q],
      ]);
    };
    both(-1);
    sgd.finalizeVariableValues();
    // q: 5, 6 and average 5.5.
    expect([values(p), values(q)]).toEqual([[1.5], [5.5]]);
  });
});

describe("moving averages that overwrite the parameters", () => {
  const run = (options: object, gradients: readonly number[]): number[] => {
    const p = variable([0]);
    const sgd = optimizers.sgd({ learningRate: 1, useEma: true, emaMomentum: 0.5, ...options });
    return gradients.map((g) => {
      sgd.applyGradients([[tensor([g]), p]]);
      return values(p)[0]!;
    });
  };

  test("every so many updates", () => {
    // p: 1, 2 and average 1, 1.5, which p becomes; 2.5, 3.5 and average 2, 2.75, and so on.
    expect(run({ emaOverwriteFrequency: 2 }, [-1, -1, -1, -1])).toEqual([1, 1.5, 2.5, 2.75]);
    expect(run({}, [-1, -1, -1, -1])).toEqual([1, 2, 3, 4]);
  });

  test("count updates, not steps, where gradients are accumulated", () => {
    const options = { emaOverwriteFrequency: 2, gradientAccumulationSteps: 2 };
    const gradients = [-1, -1, -1, -1, -1, -1, -1, -1];
    expect(run(options, gradients)).toEqual([0, 1, 1, 1.5, 1.5, 2.5, 2.5, 2.75]);
  });

  test("want a whole number of updates", () => {
    expect(() => optimizers.sgd({ emaOverwriteFrequency: 0 })).toThrow(/an integer ≥ 1, got 0/);
    const { emaOverwriteFrequency } = optimizers.sgd({ emaOverwriteFrequency: 3 }).getConfig();
    expect(emaOverwriteFrequency).toBe(3);
  });
});

describe("constraints", () => {
  test("are applied after the update", () => {
    const p = variable([0.5, -0.5]);
    optimizers
      .sgd({ learningRate: 1 })
      .applyGradients([[tensor([1, -1]), p]], () => (w) => relu(w));
    expect(values(p)).toEqual([0, 0.5]);
  });
});

describe("the learning rate", () => {
  test("can be set without compiling again", () => {
    const p = variable([0]);
    const sgd = optimizers.sgd({ learningRate: 1 });
    const step = compile(() => {
      sgd.applyGradients([[tensor([-1]), p]]);
      return p.read();
    });
    step();
    sgd.learningRate = 0.25;
    step();
    expect(values(p)).toEqual([1.25]);
    expect(sgd.learningRate).toBe(0.25);
    expect(step.programs).toBe(1);
  });

  test("follows a schedule inside the program", () => {
    const p = variable([0]);
    const schedule = piecewiseConstantDecay({ boundaries: [1], values: [1, 10] });
    const sgd = optimizers.sgd({ learningRate: schedule });
    const rates = [];
    for (let i = 0; i < 3; i++) {
      rates.push(sgd.learningRate);
      sgd.applyGradients([[tensor([-1]), p]]);
    }
    expect(rates).toEqual([1, 1, 10]);
    expect(values(p)).toEqual([12]);
    expect(() => {
      sgd.learningRate = 1;
    }).toThrow(/piecewiseConstantDecay/);
  });

  test("counts updates where gradients are accumulated", () => {
    const schedule = piecewiseConstantDecay({ boundaries: [2], values: [1, 0.1] });
    const sgd = optimizers.sgd({ learningRate: schedule, gradientAccumulationSteps: 4 });
    const p = variable([0]);
    const update = (): void => {
      for (let i = 0; i < 4; i++) sgd.applyGradients([[tensor([1]), p]]);
    };
    for (const [rate, sum] of [
      [1, -1],
      [1, -2],
      [1, -3],
    ]) {
      expect(sgd.learningRate).toBe(rate);
      update();
      expect(values(p)).toEqual([sum]);
    }
    expect(sgd.learningRate).toBeCloseTo(0.1);
  });

  test("takes a momentum that follows a schedule, with Nesterov too", () => {
    const momentum = piecewiseConstantDecay({ boundaries: [1], values: [0.5, 0.9] });
    for (const nesterov of [false, true]) {
      const p = variable([0]);
      const sgd = optimizers.sgd({ learningRate: 0.1, momentum, nesterov });
      let velocity = 0;
      let want = 0;
      for (const kept of [0.5, 0.5, 0.9, 0.9]) {
        sgd.applyGradients([[tensor([-1]), p]]);
        velocity = kept * velocity + 0.1;
        want += nesterov ? kept * velocity + 0.1 : velocity;
      }
      expectClose(values(p), [want], { rtol: 1e-6 });
    }
    const json = JSON.parse(JSON.stringify(optimizers.sgd({ momentum }).getConfig()));
    const again = optimizers.restoreOptimizer("test", "sgd", json);
    expect(again.getConfig()).toEqual(json);
    expect(() => optimizers.adam({ beta1: momentum as never })).toThrow(/`beta1` to be a number/);
  });
});

describe("configuration", () => {
  test("goes there and back, schedules and patterns too", () => {
    const made = optimizers.adamw({
      learningRate: piecewiseConstantDecay({ boundaries: [5], values: [0.1, 0.01] }),
      beta1: 0.8,
      excludeFromWeightDecay: ["bias", /norm/i],
      globalClipNorm: 2,
      name: "mine",
    });
    const json = JSON.parse(JSON.stringify(made.getConfig()));
    const again = optimizers.restoreOptimizer("test", made.className, json);
    expect(again.getConfig()).toEqual(made.getConfig());
    expect(again.learningRate).toBeCloseTo(0.1, 6);
    expect(again.name).toBe("mine");
  });

  test("state is named by parameter and slot", () => {
    const p = variable([1], { name: "p" });
    const adam = optimizers.adam({ amsgrad: true });
    adam.build([p]);
    expect(adam.state().map(({ parameter, slot }) => `${parameter?.name ?? ""}:${slot}`)).toEqual([
      ":iterations",
      ":learningRate",
      "p:m",
      "p:v",
      "p:vHat",
    ]);
  });

  test("mistakes are named", () => {
    const message = (f: () => unknown): string => {
      try {
        f();
      } catch (error) {
        return (error as Error).message;
      }
      return "no error";
    };
    expect([
      message(() => optimizers.adam({ beta_1: 0.9 } as never)),
      message(() => optimizers.adam({ beta1: 1.5 })),
      message(() => optimizers.sgd({ learningRate: -1 })),
      message(() => optimizers.sgd({ momentum: Number.NaN })),
      message(() => optimizers.rmsprop({ centered: 1 as never })),
      message(() => optimizers.resolveOptimizer("compile()", "adm")),
      message(() => optimizers.adam({ gradientAccumulationSteps: 1 })),
    ]).toMatchInlineSnapshot(`
      [
        "optimizer adam: unknown option \`beta_1\`; did you mean \`beta1\`?",
        "optimizer adam: expected \`beta1\` to be a number from 0 to 1, got 1.5",
        "optimizer sgd: expected \`learningRate\` to be a number ≥ 0, got -1",
        "optimizer sgd: expected \`momentum\` to be a number from 0 to 1, got NaN",
        "optimizer rmsprop: expected \`centered\` to be true or false, got 1",
        "compile(): there is no optimizer named "adm"; did you mean "adam"?",
        "optimizer adam: expected \`gradientAccumulationSteps\` to be an integer ≥ 2, got 1",
      ]
    `);
    expect(() => optimizers.sgd().applyGradients([[tensor([1, 2]), variable([1])]])).toThrow(
      ShapeError,
    );
  });
});
