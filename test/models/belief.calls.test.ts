/** How deep belief networks are called: one machine alone, options and labels of any kind, one thing at a time. */
import { describe, expect, test } from "vitest";
import * as lw from "../../src/index.js";
import type { CallbackHooks } from "../../src/training/callback.js";
import { expectClose, expectSameBits } from "../helpers/allClose.js";
import { uniform } from "../helpers/random.js";

const { deepBeliefNetwork } = lw.models;

describe("a network of one machine", () => {
  const x = lw.tensor(
    uniform(5, 12 * 6, 0, 1).map((p) => Math.round(p)),
    [12, 6],
  );

  test("is fine-tuned as its machine learns, and says how well it reconstructs", async () => {
    const network = deepBeliefNetwork({ layers: [{ visible: 6, hidden: 5 }], seed: 1 });
    const { history } = await network.fineTune(x, { epochs: 2, batchSize: 4, verbose: 0, seed: 1 });
    expect(Object.keys(history).sort()).toEqual(["freeEnergy", "loss", "reconstructionError"]);
    const alone = deepBeliefNetwork({ layers: [{ visible: 6, hidden: 5 }], seed: 1 }).machines[0]!;
    alone.compile({ optimizer: lw.optimizers.sgd({ learningRate: 0.01, momentum: 0.5 }) });
    await alone.fit(x, { epochs: 2, batchSize: 4, verbose: 0, seed: 1 });
    const [got, want] = [network.machines[0]!.kernel, alone.kernel].map((w) => w.read().dataSync());
    expectClose(got!, want!, { atol: 1e-6 });
  });

  test("does not take samples of another size for more of them", async () => {
    const network = deepBeliefNetwork({ layers: [{ visible: 6, hidden: 5 }], classes: 2 });
    await expect(
      network.pretrain(lw.zeros([12, 3]), { labels: [0, 1, 0, 1, 0, 1] }),
    ).rejects.toThrow("expected samples of 6 values, got shape [12, 3]");
  });
});

test("labels to generate may be any array or tensor", async () => {
  const network = deepBeliefNetwork({ layers: [{ visible: 4, hidden: 3 }], classes: 3, seed: 1 });
  const options = { steps: 2, seed: 1 };
  const want = await network.generate({ ...options, labels: [1, 2] });
  for (const labels of [Int32Array.of(1, 2), lw.tensor([1, 2], [2], "int32")]) {
    const got = await network.generate({ ...options, labels });
    expectSameBits(got.dataSync(), want.dataSync(), "labels");
  }
  await expect(network.generate({ labels: null as never })).rejects.toThrow(lw.ArgumentError);
  await expect(network.generate({ labels: [3] })).rejects.toThrow(
    "expected `labels` to be integers from 0 to 2, got 3 for sample 0",
  );
});

test("options that are no object are named", async () => {
  const network = deepBeliefNetwork({ layers: [{ visible: 4, hidden: 3 }], name: "n" });
  const x = lw.zeros([2, 4]);
  for (const call of ["pretrain", "fineTune", "transform"] as const) {
    await expect(network[call](x, null as never)).rejects.toThrow(
      new RegExp(`^${call}\\(\\) of .*: expected an object with options, got null`),
    );
  }
});

/** A training that stays in its first epoch until it is let go, whatever the machine's speed. */
function heldOpen(train: (callbacks: CallbackHooks) => Promise<unknown>) {
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => (letGo = resolve));
  let begin = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const onEpochBegin = (): Promise<void> => {
    begin();
    return gate;
  };
  return { ended: train({ onEpochBegin }), begun, letGo };
}

test("a machine does not learn by itself while its network is fine-tuned, nor the other way round", async () => {
  const network = deepBeliefNetwork({ layers: [{ visible: 4, hidden: 3 }, { hidden: 2 }] });
  const x = lw.zeros([4, 4]);
  const [machine] = network.machines;
  const tuning = heldOpen((callbacks) => network.fineTune(x, { verbose: 0, callbacks }));
  await tuning.begun;
  await expect(machine!.fit(x, { verbose: 0 })).rejects.toThrow(
    /fineTune\(\) of .* is still running/,
  );
  expect(() => machine!.compile()).toThrow(lw.StateError);
  tuning.letGo();
  await tuning.ended;
  const learning = heldOpen((callbacks) => machine!.fit(x, { verbose: 0, callbacks }));
  await learning.begun;
  await expect(network.fineTune(x, { verbose: 0 })).rejects.toThrow(
    /fit\(\) of this model is still running/,
  );
  learning.letGo();
  await learning.ended;
  await machine!.fit(x, { verbose: 0 });
});

test("only one of pretrain and fineTune runs at a time", async () => {
  const network = deepBeliefNetwork({
    layers: [{ visible: 4, hidden: 3 }, { hidden: 2 }],
    seed: 1,
  });
  const x = uniform(1, 40, 0, 1);
  const [first, ...others] = await Promise.allSettled([
    network.pretrain(x, { epochs: 3, verbose: 0 }),
    network.pretrain(x, { verbose: 0 }),
    network.fineTune(x, { verbose: 0 }),
  ]);
  expect(first!.status).toBe("fulfilled");
  const running = "pretrain() of this network is still running; call it when that has ended";
  const where = "of deep belief network deep_belief_network";
  expect(others.map((result) => `${(result as PromiseRejectedResult).reason}`)).toEqual([
    `StateError: pretrain() ${where}: ${running}`,
    `StateError: fineTune() ${where}: ${running}`,
  ]);
  const tuned = network.fineTune(x, { epochs: 2, verbose: 0 });
  await expect(network.pretrain(x, { verbose: 0 })).rejects.toThrow(
    "fineTune() of this network is still running",
  );
  await tuned;
  // One that failed does not count as running.
  await expect(network.pretrain(x, { epochs: -1, verbose: 0 })).rejects.toThrow("`epochs`");
  await network.pretrain(x, { verbose: 0 });
});
