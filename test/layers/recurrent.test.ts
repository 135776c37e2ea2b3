/** What recurrent, position and normalisation layers do beside the contract: dropout, directions, cells, masks. */
import { beforeEach, describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { type CallContext, Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { fill } from "../../src/ops/creation.js";
import { withMask } from "../../src/ops/identity.js";
import { matMul } from "../../src/ops/matmul.js";
import { randomSource, setRandomSeed } from "../../src/tensor/random.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import { expectClose } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

beforeEach(() => setRandomSeed(2));

const training: CallContext = { training: true, random: randomSource(7), addLoss: () => {} };
const rows = (y: Tensor): number[][][] => y.arraySync() as number[][][];
const x = leaf(uniform(1, 2 * 5 * 4, -1, 1), [2, 5, 4], "float32");

describe("dropout", () => {
  const zeroAlike = (y: Tensor): void => {
    for (const sequence of rows(y)) {
      const dropped = sequence.map((step) => step.map((v) => v === 0));
      for (const step of dropped) expect(step).toEqual(dropped[0]);
    }
  };

  test.each([layers.simpleRNN, null])("of inputs drops the same ones at all steps", (make) => {
    // y(t) = x(t): what is dropped is seen.
    const options = {
      kernelInitializer: "identity",
      recurrentInitializer: "zeros",
      activation: "linear",
      dropout: 0.5,
    } as const;
    const layer = make
      ? make({ units: 4, ...options, returnSequences: true })
      : layers.rnn({
          cell: layers.simpleRNNCell({ units: 4, ...options }),
          returnSequences: true,
        });
    const y = layer.invoke(x, training) as Tensor;
    zeroAlike(y);
    const values = [...y.dataSync()];
    expect(values.some((v) => v === 0)).toBe(true);
    values.forEach((v, i) => {
      if (v !== 0) expect(v).toBeCloseTo(2 * x.dataSync()[i]!, 6);
    });
  });

  test("of states lets some units see nothing of the past", () => {
    const layer = layers.simpleRNN({
      units: 4,
      kernelInitializer: "zeros",
      recurrentInitializer: "identity",
      biasInitializer: "ones",
      activation: "linear",
      recurrentDropout: 0.5,
      returnSequences: true,
    });
    // A unit counts up in steps of factor 2, or stays at 1.
    for (const sequence of rows(layer.invoke(x, training) as Tensor)) {
      for (let unit = 0; unit < 4; unit++) {
        const course = sequence.map((step) => step[unit]);
        expect([
          [1, 1, 1, 1, 1],
          [1, 3, 7, 15, 31],
        ]).toContainEqual(course);
      }
    }
  });

  test.each([true, false])(
    "of a GRU's states is for its products (reset after: %s)",
    (resetAfter) => {
      const options = { units: 16, recurrentDropout: 0.5, resetAfter, seed: 3 } as const;
      const layer = layers.gru({ ...options, returnSequences: true });
      const cells = layers.rnn({ cell: layers.gruCell(options), returnSequences: true });
      const long = leaf(uniform(5, 2 * 60 * 4, -2, 2), [2, 60, 4], "float32");
      const [fast, slow] = [layer, cells].map((l) => l.invoke(long, training) as Tensor);
      // The new state lies between the last one and a tangent: scaled at each step it would grow without bound.
      for (const y of [fast!, slow!])
        expect(Math.max(...y.dataSync().map(Math.abs))).toBeLessThan(1);
      // As Keras 3 has it: h = z·h(t − 1) + (1 − z)·candidate, and only what is multiplied with weights is dropped.
      const open = layers.gru({
        units: 4,
        resetAfter,
        recurrentDropout: 0.5,
        kernelInitializer: "zeros",
        recurrentInitializer: "zeros",
        returnSequences: true,
      });
      const state = leaf(uniform(6, 8, -1, 1), [2, 4], "float32");
      const halved = rows(open.invoke([x, state], training) as Tensor);
      halved.forEach((sequence, i) => {
        sequence.forEach((step, t) => {
          const want = (state.arraySync() as number[][])[i]!.map((h) => h / 2 ** (t + 1));
          expectClose(step, want, { atol: 1e-6 });
        });
      });
    },
  );

  test("draws anew for each sequence that a cell goes through", () => {
    const cell = layers.gruCell({ units: 3, dropout: 0.5, seed: 1 });
    const layer = layers.rnn({ cell });
    const first = layer.invoke(x, training) as Tensor;
    const second = layer.invoke(x, training) as Tensor;
    expect(second.dataSync()).not.toEqual(first.dataSync());
  });
});

describe("directions", () => {
  test("goBackwards gives outputs in the order in which steps were read", () => {
    const forward = layers.gru({ units: 3, returnSequences: true });
    const backward = layers.gru({ units: 3, returnSequences: true, goBackwards: true });
    forward.apply(x);
    backward.apply(x);
    backward.setWeights(forward.getWeights());
    const turned = x.reverse(1);
    expectClose(backward.apply(x).dataSync(), forward.apply(turned).dataSync(), { atol: 1e-6 });
  });

  test.each(["concat", "sum", "mul", "ave", null] as const)("are merged by %s", (mergeMode) => {
    const layer = layers.bidirectional({
      layer: layers.lstm({ units: 3, returnSequences: true, returnState: true }),
      mergeMode: mergeMode as "concat",
    });
    const outputs = layer.apply(x) as unknown as Tensor[];
    const [a] = layer.forwardLayer.invoke(x, { ...training, training: false }) as Tensor[];
    const [turned] = layer.backwardLayer.invoke(x, { ...training, training: false }) as Tensor[];
    const b = turned!.reverse(1);
    expect(outputs.length).toBe((mergeMode === null ? 2 : 1) + 4);
    const got = rows(outputs[0]!);
    rows(a!).forEach((sequence, i) => {
      sequence.forEach((step, t) => {
        const other = rows(b)[i]![t]!;
        const merged =
          mergeMode === null
            ? step
            : mergeMode === "concat"
              ? [...step, ...other]
              : step.map((v, k) =>
                  mergeMode === "sum"
                    ? v + other[k]!
                    : mergeMode === "mul"
                      ? v * other[k]!
                      : (v + other[k]!) / 2,
                );
        expectClose(got[i]![t]!, merged, { atol: 1e-6 });
      });
    });
    if (mergeMode === null) expectClose(outputs[1]!.dataSync(), b.dataSync(), { atol: 1e-6 });
  });
});

describe("cells", () => {
  /** Counts steps in its state and puts out the sum of its inputs. */
  class Counter extends Layer {
    static override readonly className: string = "Counter";
    protected override inputSpec = { arity: "several", rank: 2 } as const;
    readonly stateSize = [1, 2];
    call([input, count, total]: Tensor[]): Tensor[] {
      const next = total!.add(input!);
      return [next.mul(2), count!.add(1), next];
    }
  }

  test("of one's own go through sequences, masks and backwards", () => {
    const steps = tensor([
      [
        [1, 1],
        [2, 1],
        [4, 1],
      ],
      [
        [8, 1],
        [16, 1],
        [32, 1],
      ],
    ]);
    const layer = layers.rnn({ cell: new Counter({}), returnSequences: true, returnState: true });
    const [y, count, total] = layer.apply(steps);
    expect(y!.arraySync()).toEqual([
      [
        [2, 2],
        [6, 4],
        [14, 6],
      ],
      [
        [16, 2],
        [48, 4],
        [112, 6],
      ],
    ]);
    expect([count!.arraySync(), total!.arraySync()]).toEqual([
      [[3], [3]],
      [
        [7, 3],
        [56, 3],
      ],
    ]);
    const masked = withMask(steps, [
      [true, false, true],
      [false, true, false],
    ]);
    const [z, seen] = layer.apply(masked);
    expect(z!.arraySync()).toEqual([
      [
        [2, 2],
        [2, 2],
        [10, 4],
      ],
      [
        [0, 0],
        [32, 2],
        [32, 2],
      ],
    ]);
    expect(seen!.arraySync()).toEqual([[2], [1]]);
    const from = layer.apply([
      steps,
      tensor([[10], [20]]),
      tensor([
        [1, 1],
        [2, 2],
      ]),
    ]);
    expect(from[1]!.arraySync()).toEqual([[13], [23]]);
  });

  test("begin with the states that they say", () => {
    class FromFive extends Counter {
      static override readonly className: string = "FromFive";
      getInitialState(batch: number): Tensor[] {
        return [fill([batch, 1], 3), fill([batch, 2], 5)];
      }
    }
    const steps = tensor([
      [
        [1, 1],
        [2, 1],
        [4, 1],
      ],
    ]);
    const one = layers.rnn({ cell: new FromFive({}), returnState: true });
    expect(one.apply(steps).map((y) => y.arraySync())).toEqual([[[24, 16]], [[6]], [[12, 8]]]);
    const stacked = layers.rnn({ cell: [new Counter({}), new FromFive({})], returnState: true });
    const [, ...states] = stacked.apply(steps);
    expect(states.map((y) => y.arraySync())).toEqual([[[3]], [[7, 3]], [[6]], [[27, 17]]]);
    expect(
      layers
        .rnn({ cell: new FromFive({}) })
        .apply([steps, fill([1, 1], 0), fill([1, 2], 0)])
        .arraySync(),
    ).toEqual([[14, 6]]);
    class Narrow extends FromFive {
      static override readonly className = "Narrow";
      override getInitialState(batch: number): Tensor[] {
        return [fill([batch, 1], 3)];
      }
    }
    expect(() => layers.rnn({ cell: new Narrow({ name: "n" }) }).apply(steps)).toThrow(
      "expected its getInitialState() to give an array of states of shapes [1, 1], [1, 2], got states of shapes [1, 1]",
    );
  });

  test("that give no array are errors", () => {
    class Bare extends Counter {
      static override readonly className = "Bare";
      override call([input]: Tensor[]): Tensor[] {
        return input as unknown as Tensor[];
      }
    }
    expect(() => layers.rnn({ cell: new Bare({}) }).apply(x)).toThrow(
      "expected its call to give an array of the output and states of shapes [2, 1], [2, 2], got no array",
    );
  });

  test("that give other states than they have are errors", () => {
    class Wrong extends Counter {
      static override readonly className = "Wrong";
      override call([input, count]: Tensor[]): Tensor[] {
        return [input!, count!];
      }
    }
    expect(() => layers.rnn({ cell: new Wrong({ name: "w" }), name: "r" }).apply(x)).toThrow(
      "expected its call to give an array of the output and states of shapes [2, 1], [2, 2], got states of shapes [2, 1]",
    );
  });
});

describe("positions", () => {
  test("by sines and cosines", () => {
    const y = rows(layers.sinePositionEncoding().apply(x));
    expect(y[0]![0]).toEqual([0, 1, 0, 1]);
    expectClose(y[1]![3]!, [Math.sin(3), Math.cos(3), Math.sin(0.03), Math.cos(0.03)], { ulp: 2 });
  });

  test("by turning: products depend on the distance alone", () => {
    const q = leaf(uniform(3, 6, -1, 1), [1, 1, 6], "float32").tile([1, 8, 1]);
    const k = leaf(uniform(4, 6, -1, 1), [1, 1, 6], "float32").tile([1, 8, 1]);
    const layer = layers.rotaryEmbedding();
    const [scores] = rows(matMul(layer.apply(q), layer.apply(k), false, true));
    for (let t = 1; t < 8; t++) {
      expectClose(scores![t]!.slice(1), scores![t - 1]!.slice(0, 7), { atol: 1e-5 });
    }
    expect(Math.abs(scores![0]![1]! - scores![0]![0]!)).toBeGreaterThan(1e-3);
    // Lengths stay.
    const norms = (y: Tensor): Tensor => y.square().sum(-1);
    expectClose(norms(layer.apply(q)).dataSync(), norms(q).dataSync(), { rtol: 1e-6 });
  });
});

test("batch normalisation takes the statistics of valid steps", () => {
  const valid = [
    [true, true, false, true, false],
    [false, true, false, false, false],
  ];
  const make = () => layers.batchNormalization({ momentum: 0.5 });
  const one = make();
  const y = rows(one.invoke(withMask(x, valid), training) as Tensor);
  const kept = valid.flatMap((list, i) => list.flatMap((v, t) => (v ? [[i, t] as const] : [])));
  const alone = make();
  const want = alone
    .invoke(tensor(kept.map(([i, t]) => rows(x)[i]![t]!)), training)
    .arraySync() as number[][];
  kept.forEach(([i, t], n) => {
    expectClose(y[i]![t]!, want[n]!, { atol: 1e-5 });
  });
  one.nonTrainableWeights.forEach((w, i) => {
    expectClose(w.dataSync(), alone.nonTrainableWeights[i]!.dataSync(), { atol: 1e-6 });
  });
});

test("softmax over what a mask of its own shape leaves", () => {
  const scores = withMask(
    tensor([
      [1, 2, 3],
      [1, 1, 1],
    ]),
    [
      [true, false, true],
      [false, false, false],
    ],
  );
  const y = layers.softmax().apply(scores).arraySync() as number[][];
  const e = Math.exp(-2);
  expectClose(y[0]!, [e / (1 + e), 0, 1 / (1 + e)], { ulp: 4 });
  expect(y[1]).toEqual([0, 0, 0]);
});
