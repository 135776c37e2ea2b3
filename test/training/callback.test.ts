/** Hooks of callbacks: which are called when, and what they are told. */
import { beforeEach, describe, expect, test } from "vitest";
import { setBackend } from "../../src/backend/select.js";
import { fromArrays } from "../../src/data/arrays.js";
import { setRandomSeed } from "../../src/tensor/random.js";
import { tensor } from "../../src/tensor/tensor.js";
import { Callback, type CallbackHooks, type Logs } from "../../src/training/callback.js";
import { history, lambdaCallback } from "../../src/training/callbacks.js";
import { expectClose } from "../helpers/allClose.js";
import {
  backends,
  blobs,
  compiledBlobNetwork as compiled,
  defaultBackend,
} from "../models/helpers.js";

beforeEach(() => setRandomSeed(1));

const data = blobs(40);

describe("hooks", () => {
  test("are called in Keras' order, with the logs of their time", async () => {
    const calls: string[] = [];
    const note =
      (name: string) =>
      (...args: unknown[]): void => {
        const logs = args.at(-1) as Logs | undefined;
        const head = typeof args[0] === "number" ? ` ${args[0]}` : "";
        calls.push(
          `${name}${head}${logs && typeof logs === "object" ? ` ${Object.keys(logs)}` : ""}`,
        );
      };
    await compiled().fit(data.x, data.y, {
      batchSize: 20,
      epochs: 2,
      validationData: [data.x, data.y],
      verbose: 0,
      callbacks: {
        onTrainBegin: note("trainBegin"),
        onTrainEnd: note("trainEnd"),
        onEpochBegin: note("epochBegin"),
        onEpochEnd: note("epochEnd"),
        onTrainBatchBegin: note("trainBatchBegin"),
        onTrainBatchEnd: note("trainBatchEnd"),
        onBatchBegin: note("batchBegin"),
        onBatchEnd: note("batchEnd"),
        onTestBegin: note("testBegin"),
        onTestEnd: note("testEnd"),
        onTestBatchBegin: note("testBatchBegin"),
        onTestBatchEnd: note("testBatchEnd"),
      },
    });
    const epoch = (e: number): string[] => [
      `epochBegin ${e}`,
      ...[0, 1].flatMap((batch) => [
        `trainBatchBegin ${batch}`,
        `batchBegin ${batch}`,
        `trainBatchEnd ${batch} loss,accuracy`,
        `batchEnd ${batch} loss,accuracy`,
      ]),
      "testBegin",
      ...[0, 1].flatMap((batch) => [
        `testBatchBegin ${batch}`,
        `testBatchEnd ${batch} loss,accuracy`,
      ]),
      "testEnd loss,accuracy",
      `epochEnd ${e} loss,accuracy,val_loss,val_accuracy`,
    ];
    expect(calls).toEqual([
      "trainBegin",
      ...epoch(0),
      ...epoch(1),
      "trainEnd loss,accuracy,val_loss,val_accuracy",
    ]);
  });

  test("of evaluate and predict, too", async () => {
    const calls: unknown[] = [];
    const model = compiled();
    const logs = await model.evaluate(data.x, data.y, {
      batchSize: 30,
      callbacks: {
        onTestBatchBegin: (batch) => void calls.push(`begin ${batch}`),
        onTestBatchEnd: (batch, l) => void calls.push([batch, Object.keys(l!)]),
      },
    });
    expect(calls).toEqual([
      "begin 0",
      [0, ["loss", "accuracy"]],
      "begin 1",
      [1, ["loss", "accuracy"]],
    ]);
    expect(logs).toEqual(await model.evaluate(data.x, data.y, { batchSize: 30 }));

    calls.length = 0;
    const want = await model.predict(data.x, { batchSize: 30 });
    const watch = {
      setParams: ({ steps, batchSize }: { steps: number | null; batchSize: number }) =>
        void calls.push([steps, batchSize]),
      onPredictBegin: () => void calls.push("begin"),
      onPredictEnd: () => void calls.push("end"),
    };
    const around = await model.predict(data.x, { batchSize: 30, callbacks: watch });
    expect(calls).toEqual([[2, 30], "begin", "end"]);
    expect(around.dataSync()).toEqual(want.dataSync());
    const outputs: number[] = [];
    const each = await model.predict(data.x, {
      batchSize: 30,
      callbacks: [
        { onPredictBatchBegin: (batch) => void calls.push(batch) },
        { onPredictBatchEnd: (_, l) => void outputs.push(...l.outputs[0]!.dataSync()) },
      ],
    });
    expect(calls.slice(3)).toEqual([0, 1]);
    expect(each.shape).toEqual([40, 3]);
    expect(each.dataSync()).toEqual(want.dataSync());
    expect(outputs).toEqual([...want.dataSync()]);
  });

  test("that nobody would call are an error", async () => {
    const wrong = { onBatchFinish() {} } as CallbackHooks;
    class Wrong extends Callback {
      onTrainBatchEnded(): void {}
    }
    const model = compiled();
    const calls: (() => Promise<unknown>)[] = [
      () => model.fit(data.x, data.y, { verbose: 0, callbacks: wrong }),
      () => model.evaluate(data.x, data.y, { callbacks: [history(), wrong] }),
      () => model.predict(data.x, { callbacks: wrong }),
      () => model.fit(data.x, data.y, { verbose: 0, callbacks: new Wrong() }),
    ];
    const errors: string[] = [];
    for (const call of calls) errors.push(await call().then(String, String));
    expect(errors).toMatchInlineSnapshot(`
      [
        "ArgumentError: fit(): callbacks have no hook "onBatchFinish"; the hooks are onTrainBegin, onTrainEnd, onTestBegin, onTestEnd, onPredictBegin, onPredictEnd, onEpochBegin, onEpochEnd, onTrainBatchBegin, onTrainBatchEnd, onBatchBegin, onBatchEnd, onTestBatchBegin, onTestBatchEnd, onPredictBatchBegin, onPredictBatchEnd",
        "ArgumentError: evaluate(): callbacks have no hook "onBatchFinish"; the hooks are onTrainBegin, onTrainEnd, onTestBegin, onTestEnd, onPredictBegin, onPredictEnd, onEpochBegin, onEpochEnd, onTrainBatchBegin, onTrainBatchEnd, onBatchBegin, onBatchEnd, onTestBatchBegin, onTestBatchEnd, onPredictBatchBegin, onPredictBatchEnd",
        "ArgumentError: predict(): callbacks have no hook "onBatchFinish"; the hooks are onTrainBegin, onTrainEnd, onTestBegin, onTestEnd, onPredictBegin, onPredictEnd, onEpochBegin, onEpochEnd, onTrainBatchBegin, onTrainBatchEnd, onBatchBegin, onBatchEnd, onTestBatchBegin, onTestBatchEnd, onPredictBatchBegin, onPredictBatchEnd",
        "ArgumentError: fit(): callbacks have no hook "onTrainBatchEnded"; did you mean "onTrainBatchEnd"?",
      ]
    `);
  });

  test("with and without batch hooks, training is the same to the bit", async () => {
    const runs = [];
    for (const callbacks of [[], [{ onTrainBatchEnd() {} }], [{ onBatchEnd() {} }]]) {
      setRandomSeed(1);
      const model = compiled();
      const { history: h } = await model.fit(data.x, data.y, {
        batchSize: 16,
        epochs: 3,
        seed: 1,
        verbose: 0,
        callbacks,
      });
      runs.push([h, model.getWeights().map((w) => [...w.dataSync()])]);
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  test("of a subclass may be async, and see model and parameters", async () => {
    class Watch extends Callback {
      seen: unknown[] = [];
      override async onEpochEnd(epoch: number): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 1));
        this.seen.push([epoch, this.model.name, this.params.steps, this.params.epochs]);
        this.model.stopTraining = epoch === 1;
      }
    }
    const watch = new Watch();
    const model = compiled();
    const { epoch } = await model.fit(data.x, data.y, { epochs: 9, verbose: 0, callbacks: watch });
    expect(watch.seen).toEqual([
      [0, model.name, 2, 9],
      [1, model.name, 2, 9],
    ]);
    expect(epoch).toEqual([0, 1]);
  });

  test("an error in one ends training with it", async () => {
    const fit = compiled().fit(data.x, data.y, {
      verbose: 0,
      callbacks: {
        onEpochEnd() {
          throw new Error("mine");
        },
      },
    });
    await expect(fit).rejects.toThrow("mine");
  });

  test("unknown hooks of a lambda callback are an error", () => {
    expect(() => lambdaCallback({ onEpochFinish() {} } as never)).toThrow(/onEpochFinish/);
    const hooks = { onEpochEnd() {} };
    expect(lambdaCallback(hooks)).toBe(hooks);
    const none = { onEpochEnd: null } as unknown as CallbackHooks;
    expect(lambdaCallback(none)).toBe(none);
  });
});

describe("measuring between epochs", () => {
  const held = blobs(30, 5);
  const fitted = async (callbacks: CallbackHooks | undefined, model = compiled()) => {
    setRandomSeed(2);
    const { history } = await model.fit(data.x, data.y, {
      epochs: 3,
      batchSize: 16,
      seed: 1,
      validationSplit: 0.25,
      verbose: 0,
      ...(callbacks ? { callbacks } : {}),
    });
    return { history, weights: model.getWeights().map((w) => [...w.dataSync()]) };
  };

  test.each(backends)(
    "evaluate gives what it gives afterwards, and training is the same (%s)",
    async (backend) => {
      setBackend(backend);
      setRandomSeed(3);
      const initial = compiled().getWeights();
      const fresh = () => {
        const model = compiled();
        model.setWeights(initial);
        return model;
      };
      const want = await fitted(undefined, fresh());
      const model = fresh();
      const seen: Logs[] = [];
      const measure = async (): Promise<void> => {
        seen.push(await model.evaluate(held.x, held.y, { batchSize: 8 }));
        await model.testOnBatch(held.x, held.y);
        const set = fromArrays([tensor(held.x, [30, 2]), held.y]).batch(7);
        expectClose(Object.values(await model.evaluate(set)), Object.values(seen.at(-1)!), {
          rtol: 1e-5,
        });
      };
      const got = await fitted(
        { onTrainBegin: measure, onEpochBegin: measure, onEpochEnd: measure, onTrainEnd: measure },
        model,
      );
      expect(got).toEqual(want);
      expect(seen.length).toBe(8);
      expect(seen.at(-1)).toEqual(await model.evaluate(held.x, held.y, { batchSize: 8 }));
      expect(seen[1]).not.toEqual(seen[2]);
      defaultBackend();
    },
  );

  test("training waits for an evaluation that the callback did not wait for", async () => {
    const measured = async (waits: boolean) => {
      setRandomSeed(4);
      const model = compiled();
      const results: Promise<Logs>[] = [];
      const onEpochEnd = async (): Promise<void> => {
        results.push(model.evaluate(held.x, held.y, { batchSize: 1 }));
        if (waits) await results.at(-1);
      };
      return { ...(await fitted({ onEpochEnd }, model)), results: await Promise.all(results) };
    };
    expect(await measured(false)).toEqual(await measured(true));
  });

  test("two at once are one too many", async () => {
    const model = compiled();
    const two = fitted(
      {
        onEpochEnd: async () => {
          await Promise.all([model.evaluate(held.x, held.y), model.evaluate(held.x, held.y)]);
        },
      },
      model,
    );
    await expect(two).rejects.toThrow(
      "evaluate(): evaluate() of this model is still running; call it when that has ended",
    );
    // What the other one of them did is done with, too.
    await model.evaluate(held.x, held.y);
  });

  test("elsewhere in training the error names what can be done", async () => {
    const model = compiled();
    const x = data.x;
    const tries: Record<string, CallbackHooks> = {
      onTrainBatchEnd: { onTrainBatchEnd: async () => void (await model.evaluate(x, data.y)) },
      onTestEnd: { onTestEnd: async () => void (await model.testOnBatch(x, data.y)) },
      trainOnBatch: { onEpochEnd: async () => void (await model.trainOnBatch(x, data.y)) },
      fit: { onEpochEnd: async () => void (await model.fit(x, data.y)) },
      compile: { onEpochEnd: () => model.compile({ optimizer: "sgd", loss: "mse" }) },
    };
    const messages: Record<string, string> = {};
    for (const [name, callbacks] of Object.entries(tries)) {
      messages[name] = await fitted(callbacks, model).then(
        () => "no error",
        (error: unknown) => String(error),
      );
    }
    expect(messages).toMatchInlineSnapshot(`
      {
        "compile": "StateError: compile(): fit() of this model is still running; call it when that has ended",
        "fit": "StateError: fit(): fit() of this model is still running; call it when that has ended",
        "onTestEnd": "StateError: testOnBatch(): fit() of this model is still running; call it when that has ended, or in onEpochBegin or onEpochEnd of a callback",
        "onTrainBatchEnd": "StateError: evaluate(): fit() of this model is still running; call it when that has ended, or in onEpochBegin or onEpochEnd of a callback",
        "trainOnBatch": "StateError: trainOnBatch(): fit() of this model is still running; call it when that has ended",
      }
    `);
    await fitted(undefined, model);
  });
});
