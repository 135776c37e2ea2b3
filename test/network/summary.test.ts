/** The summary table: columns, totals, shared and nested layers, operations and memory. */
import { describe, expect, test } from "vitest";
import "../../src/backend/run.js";
import * as layers from "../../src/layers/layers.js";
import { input, Network } from "../../src/network/network.js";
import { networkCosts } from "../../src/network/summary.js";

function mlp(): Network {
  const x = input({ shape: [784], name: "pixels" });
  let h = layers.dense({ units: 512, activation: "relu", name: "hidden" }).apply(x);
  h = layers.batchNormalization({ name: "norm" }).apply(h);
  h = layers.dropout({ rate: 0.2, name: "drop" }).apply(h);
  const y = layers.dense({ units: 10, activation: "softmax", name: "classes" }).apply(h);
  return new Network({ inputs: x, outputs: y, name: "mlp" });
}

describe("summary", () => {
  test("of a chain", () => {
    expect(mlp().summaryText()).toMatchInlineSnapshot(`
      "Model: "mlp"
      ────────────────────────────────────────────────────────────
      Layer (type)                Output shape    Params     FLOPs
      ════════════════════════════════════════════════════════════
      pixels (InputLayer)         [null, 784]          0         0
      hidden (Dense)              [null, 512]    401,920   803,840
      norm (BatchNormalization)   [null, 512]      2,048     3,584
      drop (Dropout)              [null, 512]          0         0
      classes (Dense)             [null, 10]       5,130    10,290
      ────────────────────────────────────────────────────────────
      Total params: 409,098 (1.56 MB)
      Trainable params: 408,074 (1.56 MB)
      Non-trainable params: 1,024 (4.00 KB)
      FLOPs per sample: 817,714 (406,528 multiply-adds)
      Activation memory per sample: 6.04 KB"
    `);
  });

  test("of a graph shows what is connected to what", () => {
    const [a, b] = [input({ shape: [4], name: "a" }), input({ shape: [null, 4], name: "b" })];
    const shared = layers.dense({ units: 3, name: "shared" });
    const outputs = layers.add({ name: "sum" }).apply([shared.apply(a), shared.apply(b)]);
    const network = new Network({ inputs: [a, b], outputs, name: "graph" });
    network.getLayer("shared").trainable = false;
    expect(network.summaryText()).toMatchInlineSnapshot(`
      "Model: "graph"
      ──────────────────────────────────────────────────────────────────
      Layer (type)     Output shape      Params   FLOPs   Connected to
      ══════════════════════════════════════════════════════════════════
      a (InputLayer)   [null, 4]              0       0
      b (InputLayer)   [null, null, 4]        0       0
      shared (Dense)   [null, 3]             15      27   a
      shared (Dense)   [null, null, 3]   shared      27   b
      sum (Add)        [null, null, 3]        0       3   shared, shared
      ──────────────────────────────────────────────────────────────────
      Total params: 15 (60 B)
      Trainable params: 0 (0 B)
      Non-trainable params: 15 (60 B)
      FLOPs per sample: 57 (24 multiply-adds)
      Activation memory per sample: 36 B"
    `);
  });

  test("of a nested network, folded and unfolded", () => {
    const x = input({ shape: [784], name: "x" });
    const network = new Network({ inputs: x, outputs: mlp().apply(x), name: "outer" });
    expect(network.summaryText()).toMatchInlineSnapshot(`
      "Model: "outer"
      ─────────────────────────────────────────────────
      Layer (type)     Output shape    Params     FLOPs
      ═════════════════════════════════════════════════
      x (InputLayer)   [null, 784]          0         0
      mlp (Network)    [null, 10]     409,098   817,714
      ─────────────────────────────────────────────────
      Total params: 409,098 (1.56 MB)
      Trainable params: 408,074 (1.56 MB)
      Non-trainable params: 1,024 (4.00 KB)
      FLOPs per sample: 817,714 (406,528 multiply-adds)
      Activation memory per sample: 6.04 KB"
    `);
    expect(network.summaryText({ expandNested: true })).toMatchInlineSnapshot(`
      "Model: "outer"
      ──────────────────────────────────────────────────────────────
      Layer (type)                  Output shape    Params     FLOPs
      ══════════════════════════════════════════════════════════════
      x (InputLayer)                [null, 784]          0         0
      mlp (Network)                 [null, 10]     409,098   817,714
        pixels (InputLayer)         [null, 784]          0         0
        hidden (Dense)              [null, 512]    401,920   803,840
        norm (BatchNormalization)   [null, 512]      2,048     3,584
        drop (Dropout)              [null, 512]          0         0
        classes (Dense)             [null, 10]       5,130    10,290
      ──────────────────────────────────────────────────────────────
      Total params: 409,098 (1.56 MB)
      Trainable params: 408,074 (1.56 MB)
      Non-trainable params: 1,024 (4.00 KB)
      FLOPs per sample: 817,714 (406,528 multiply-adds)
      Activation memory per sample: 6.04 KB"
    `);
  });

  test("goes to print", () => {
    const lines: string[] = [];
    const network = mlp();
    network.summary({ print: (text) => lines.push(text) });
    expect(lines).toEqual([network.summaryText()]);
  });

  test("costs follow from the layers", () => {
    const { flops, activationBytes } = networkCosts(mlp());
    // Two products with bias and activation (softmax: 4 per class), and 2 per value for the norm:
    // multiply, add; what depends on the channel alone, the factor and the summand, is 5 more per channel.
    const hidden = 2 * 784 * 512 + 2 * 512;
    const norm = 2 * 512 + 5 * 512;
    const classes = 2 * 512 * 10 + 10 + 40;
    expect(flops).toBe(hidden + norm + classes);
    expect(activationBytes).toBe(4 * (512 + 512 + 512 + 10));
  });

  test("counts the products of every step of a recurrent layer, as of its cell", () => {
    const each = { units: 8 };
    const peepholes = { ...each, peepholes: true };
    const pairs: [layers.Layer, layers.Layer][] = [
      [layers.lstm(each), layers.rnn({ cell: layers.lstmCell(each) })],
      [layers.lstm(peepholes), layers.rnn({ cell: layers.lstmCell(peepholes) })],
      ...[true, false].map((resetAfter): [layers.Layer, layers.Layer] => [
        layers.gru({ ...each, resetAfter }),
        layers.rnn({ cell: layers.gruCell({ ...each, resetAfter }) }),
      ]),
      ...(["tanh", "relu", "sigmoid", "linear"] as const).map(
        (activation): [layers.Layer, layers.Layer] => [
          layers.simpleRNN({ ...each, activation }),
          layers.rnn({ cell: layers.simpleRNNCell({ ...each, activation }) }),
        ],
      ),
    ];
    for (const [layer, composed] of pairs) {
      expect(layer.flopsPerSample([null, 10, 3])).toBe(composed.flopsPerSample([null, 10, 3]));
    }
    // Ten steps of two products, and 17 operations a unit: 4 gates of 3, and 5 for the state.
    expect(layers.lstm(each).flopsPerSample([null, 10, 3])).toBe(
      10 * (2 * 4 * 8 * (3 + 8) + 17 * 8),
    );
  });
});
