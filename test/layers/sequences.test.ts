/**
 * Layers of sequences against PyTorch (golden/make_sequences.py): recurrent layers on packed sequences and
 * attention with padding, each with the mask given in all ways there are.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { valueAndGrads } from "../../src/autodiff/gradient.js";
import type { Layer } from "../../src/layers/layer.js";
import * as layers from "../../src/layers/layers.js";
import { mul } from "../../src/ops/elementwise.js";
import { withMask } from "../../src/ops/identity.js";
import { sum } from "../../src/ops/reduce.js";
import { randomSource } from "../../src/tensor/random.js";
import { withTrace } from "../../src/tensor/scope.js";
import { leaf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import type { Variable } from "../../src/tensor/variable.js";
import { expectClose } from "../helpers/allClose.js";
import { onEachBackend } from "../helpers/backends.js";

interface RecurrentCase {
  readonly kind: "lstm" | "gru" | "rnn";
  readonly bidirectional: boolean;
  readonly x: number[];
  readonly factors: number[];
  readonly weights: number[][];
  readonly outputs: number[];
  readonly states: number[][];
  readonly gradients: number[][];
  readonly gradientX: number[];
}

interface AttentionCase {
  readonly causal: boolean;
  readonly x: number[];
  readonly factors: number[];
  readonly weights: number[][];
  readonly outputs: number[];
  readonly scores: number[];
  readonly gradientX: number[];
}

interface Golden {
  readonly shape: [number, number, number, number];
  readonly lengths: number[];
  readonly recurrent: RecurrentCase[];
  readonly attention: AttentionCase[];
}

/** Any of the functions that make recurrent layers. */
type MakeRecurrent = (options: layers.GRULayerOptions) => layers.GRU<Tensor | Tensor[]>;

const golden = JSON.parse(
  readFileSync(new URL("../golden/sequences.json", import.meta.url), "utf8"),
) as Golden;
const [batch, time, inputs, units] = golden.shape;
// A few float32 roundings at each of five steps, on values of size 1.
const close = { atol: 3e-6, rtol: 1e-5 };

/** `layer` on x as a function of x and the weights, in training or not. */
function asFunction(layer: Layer, call: (x: Tensor) => Tensor[], loss: (ys: Tensor[]) => Tensor) {
  const variables = layer.trainableWeights;
  return (...xs: Tensor[]): Tensor => {
    const values = new Map<Variable, Tensor>(variables.map((v, i) => [v, xs[i + 1]!]));
    const scope = { read: (v: Variable) => values.get(v)!, assign: () => {} };
    return withTrace(scope, () => loss(call(xs[0]!)));
  };
}

const context = { training: false, random: randomSource(1), addLoss: () => {} };
const float = (values: readonly number[], shape: readonly number[]): Tensor =>
  leaf(Float32Array.from(values), shape, "float32");

const prefix = golden.lengths.flatMap((n) => Array.from({ length: time }, (_, t) => t < n));

/** The ways to say which steps count. */
const ways: Record<string, (x: Tensor) => Tensor> = {
  lengths: (x) =>
    layers.applyMask().invoke([x, tensor(golden.lengths, undefined, "int32")], context),
  mask: (x) => withMask(x, tensor(prefix, [batch, time])),
};

onEachBackend("recurrent layers as PyTorch's", () => {
  for (const c of golden.recurrent) {
    const makers = { lstm: layers.lstm, gru: layers.gru, rnn: layers.simpleRNN };
    // Their common options are those used here.
    const make = makers[c.kind] as unknown as MakeRecurrent;
    const options = { units, returnSequences: true, returnState: true, zeroOutputForMask: true };
    for (const [way, masked] of Object.entries(ways)) {
      const title = `${c.kind}${c.bidirectional ? ", both directions" : ""}, by ${way}`;
      for (const composed of [false, true]) {
        test(`${title}${composed ? ", cell by cell" : ""}`, () => {
          const cell = { lstm: layers.lstmCell, gru: layers.gruCell, rnn: layers.simpleRNNCell };
          const { units: _, ...rest } = options;
          const own = composed
            ? layers.rnn({ cell: cell[c.kind]({ units }), ...rest })
            : make(options);
          const layer: Layer = c.bidirectional ? layers.bidirectional({ layer: own }) : own;
          layer.ensureBuilt([null, time, inputs]);
          layer.setWeights(layer.weights.map((w, i) => float(c.weights[i]!, w.shape)));
          const x = float(c.x, [batch, time, inputs]);
          const call = (y: Tensor): Tensor[] => layer.invoke(masked(y), context) as Tensor[];
          const [outputs, ...states] = call(x);
          expectClose(outputs!.dataSync(), c.outputs, close);
          expect(states.length).toBe(c.states.length);
          states.forEach((state, i) => {
            expectClose(state.dataSync(), c.states[i]!, close);
          });
          const factors = float(c.factors, outputs!.shape);
          const f = asFunction(layer, call, ([y]) => sum(mul(y!, factors)));
          const { grads } = valueAndGrads(f)([x, ...layer.getWeights()]);
          expectClose(grads[0]!.dataSync(), c.gradientX, close);
          grads.slice(1).forEach((grad, i) => {
            expectClose(grad.dataSync(), c.gradients[i]!, close);
          });
        });
      }
    }
  }
});

onEachBackend("attention as PyTorch's", () => {
  for (const c of golden.attention) {
    test.each(Object.entries(ways))(`${c.causal ? "causal" : "free"}, by %s`, (_way, masked) => {
      const layer = layers.multiHeadAttention({
        numHeads: 2,
        keyDim: 4,
        causal: c.causal,
        returnAttentionScores: true,
      });
      layer.ensureBuilt([null, time, 8]);
      const order = ["query", "key", "value", "output"].flatMap((n) => [`${n}Kernel`, `${n}Bias`]);
      const named = new Map(layer.namedWeights());
      const shapes = order.map((name) => named.get(name)!);
      const values = new Map(shapes.map((w, i) => [w, float(c.weights[i]!, w.shape)]));
      layer.setWeights(layer.weights.map((w) => values.get(w)!));
      const x = float(c.x, [batch, time, 8]);
      const call = (y: Tensor): Tensor[] => layer.invoke(masked(y), context) as Tensor[];
      const [output, scores] = call(x);
      // Queries in the padding give anything: only the others are compared.
      expectClose(output!.dataSync(), c.outputs, close);
      expectClose(scores!.dataSync(), c.scores, close);
      const factors = float(c.factors, output!.shape);
      const f = (y: Tensor): Tensor => sum(mul(call(y)[0]!, factors));
      expectClose(valueAndGrads(f)([x]).grads[0]!.dataSync(), c.gradientX, {
        atol: 1e-5,
        rtol: 1e-5,
      });
    });
  }
});

describe("masks with holes", () => {
  const x = float(golden.recurrent[0]!.x, [batch, time, inputs]);
  const holes = [
    [false, true, false, true, true],
    [false, false, false, false, false],
    [true, false, false, false, false],
    [true, true, false, true, false],
  ];
  const mask = tensor(holes);
  const kinds = {
    simpleRNN: [layers.simpleRNN, layers.simpleRNNCell],
    lstm: [layers.lstm, layers.lstmCell],
    gru: [layers.gru, layers.gruCell],
  } as unknown as Record<string, [MakeRecurrent, typeof layers.gruCell]>;

  for (const [kind, [make, cell]] of Object.entries(kinds)) {
    for (const goBackwards of [false, true]) {
      for (const zeroOutputForMask of [false, true]) {
        test(`${kind}${goBackwards ? " backwards" : ""}, ${zeroOutputForMask ? "zeros" : "repeated"}: steps are passed over as by cells`, () => {
          const options = {
            returnSequences: true,
            returnState: true,
            goBackwards,
            zeroOutputForMask,
          };
          const fast = make({ units, ...options });
          const slow = layers.rnn({ cell: cell({ units }), ...options });
          const run = (layer: Layer): Tensor[] =>
            layer.invoke(withMask(x, mask), context) as Tensor[];
          run(fast);
          run(slow);
          slow.setWeights(fast.getWeights());
          const got = run(fast);
          const want = run(slow);
          got.forEach((y, i) => {
            expectClose(y.dataSync(), want[i]!.dataSync(), close);
          });
          const factors = float(golden.recurrent[0]!.factors, got[0]!.shape);
          const gradients = [fast, slow].map((layer) => {
            const f = asFunction(
              layer,
              (y) => layer.invoke(withMask(y, mask), context) as Tensor[],
              (ys) =>
                ys.slice(1).reduce((a, b) => a.add(b.square().sum()), sum(mul(ys[0]!, factors))),
            );
            return valueAndGrads(f)([x, ...layer.getWeights()]).grads.map((g) => g.dataSync());
          });
          gradients[0]!.forEach((g, i) => {
            expectClose(g, gradients[1]![i]!, close);
          });
        });
      }
    }
  }

  for (const [kind, [make, cell]] of Object.entries(kinds)) {
    test(`${kind}: where all steps are masked nothing is put out, whatever the state before`, () => {
      const states = kind === "lstm" ? 2 : 1;
      const initial = Array.from({ length: states }, () =>
        float(new Array(units * batch).fill(0.5), [batch, units]),
      );
      const lengths = tensor([0, 2, 1, 0], [batch], "int32");
      const byLength = tensor(
        [0, 2, 1, 0].map((n) => Array.from({ length: time }, (_, t) => t < n)),
      );
      const cellOptions = { units, activation: "relu" } as const;
      for (const returnSequences of [false, true]) {
        const options = { returnSequences, returnState: true };
        const ways: [Layer, Tensor][] = [
          make({ units, ...options }),
          make({ ...cellOptions, ...options }),
          layers.rnn({ cell: cell({ units }), ...options }),
        ].flatMap((layer): [Layer, Tensor][] => [
          [layer as Layer, layers.applyMask().apply([x, lengths])],
          [layer as Layer, withMask(x, byLength)],
        ]);
        for (const [layer, masked] of ways) {
          const [y, ...last] = layer.invoke([masked, ...initial], context) as Tensor[];
          for (const row of [0, 3]) {
            const put = (y!.arraySync() as unknown[])[row];
            expect([put].flat(2)).toEqual([put].flat(2).map(() => 0));
            for (const state of last) {
              expect((state.arraySync() as number[][])[row]).toEqual(new Array(units).fill(0.5));
            }
          }
        }
      }
    });
  }

  test("repeat the output before, or zeros where there is none", () => {
    const layer = layers.gru({ units, returnSequences: true });
    const [y] = [layer.invoke(withMask(x, mask), context)].flat();
    const rows = y!.arraySync() as number[][][];
    const zeros = new Array<number>(units).fill(0);
    expect(rows[0]![0]).toEqual(zeros);
    expect(rows[0]![2]).toEqual(rows[0]![1]);
    expect(rows[1]).toEqual([zeros, zeros, zeros, zeros, zeros]);
    expect(rows[2]![4]).toEqual(rows[2]![0]);
    // What is passed over might as well not be there.
    const alone = layer.invoke(
      float(
        [
          ...x.slice([0, 1, 0], [1, 1, inputs]).dataSync(),
          ...x.slice([0, 3, 0], [1, 2, inputs]).dataSync(),
        ],
        [1, 3, inputs],
      ),
      context,
    ) as Tensor;
    expectClose(rows[0]![4]!, alone.slice([0, 2, 0], [1, 1, units]).dataSync(), close);
  });
});
