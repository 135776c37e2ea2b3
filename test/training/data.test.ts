/** What fit, evaluate and predict refuse, and in which words. */
import { describe, expect, test, vi } from "vitest";
import { LayerwiseError } from "../../src/errors.js";
import { dense, reshape } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { binaryCrossentropy, sparseCategoricalCrossentropy } from "../../src/nn/losses.js";
import { zeros } from "../../src/ops/creation.js";
import { adam, sgd } from "../../src/optimizers/factories.js";
import { leaf, tensor } from "../../src/tensor/tensor.js";
import type { CompileOptions } from "../../src/training/objective.js";
import type { FitOptions } from "../../src/training/options.js";
import "../models/helpers.js";

function classifier(options: CompileOptions = {}) {
  const model = sequential({
    name: "classifier",
    layers: [dense({ units: 3, activation: "softmax", inputShape: [2], name: "probabilities" })],
  });
  model.compile({ loss: "sparseCategoricalCrossentropy", ...options });
  return model;
}

function two() {
  const model = sequential([dense({ units: 1, activation: "sigmoid", inputShape: [2] })]);
  model.compile({ loss: "binaryCrossentropy" });
  return model;
}

const x = tensor([
  [1, 2],
  [3, 4],
  [5, 6],
]);
const y = [0, 1, 2];

async function message(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(LayerwiseError);
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return "no error";
}

const refusal = (a: unknown, b: unknown, options: FitOptions = {}, model = classifier()) =>
  message(() => model.fit(a as never, b as never, { verbose: 0, ...options }));

describe("classes along another axis than the last", () => {
  // Predictions [batch, classes 2, places 3].
  const model = () => {
    const made = sequential([
      dense({ units: 6, inputShape: [2] }),
      reshape({ targetShape: [2, 3], name: "maps" }),
    ]);
    const loss = sparseCategoricalCrossentropy({ axis: 1, fromLogits: true });
    made.compile({ loss, optimizer: "sgd" });
    return made;
  };
  const labels = [
    [0, 1, 1],
    [1, 0, 0],
    [1, 1, 0],
  ];

  test("are learnt, and labels are checked against them", async () => {
    const { history } = await model().fit(x, labels, { verbose: 0, epochs: 20 });
    expect(history.loss!.at(-1)).toBeLessThan(history.loss![0]!);
    expect(await refusal(x, [[0, 1, 2], ...labels.slice(1)], {}, model())).toBe(
      'ArgumentError: fit(): labels of output "maps": sample 0, position 2 has label 2, but the output has 2 classes, so labels are integers from 0 to 1',
    );
    expect(await refusal(x, [0, 1, 1], {}, model())).toMatch(/class indices of shape \[.*, 3\]/);
  });
});

test("labels per sample for an output per pixel: a flatten layer is missing", async () => {
  const pictures = sequential([dense({ units: 3, activation: "softmax", inputShape: [4, 4, 1] })]);
  pictures.compile({ loss: "sparseCategoricalCrossentropy" });
  expect(await refusal(zeros([2, 4, 4, 1]), [0, 1], {}, pictures)).toMatch(
    /got \[2\]; the output has shape \[null, 4, 4, 3\], .*: a flatten layer before the dense ones/,
  );
});

describe("inputs", () => {
  test("shapes, dtypes and counts", async () => {
    expect([
      await refusal(tensor([[1, 2, 3]]), [0]),
      await refusal(tensor([1, 2]), [0]),
      await refusal(Float32Array.of(1, 2, 3), [0]),
      await refusal(x, [0, 1]),
      await refusal([], []),
      await refusal([[1, 2], [3]], [0, 1]),
      await refusal(undefined, y),
      await refusal(x, undefined),
      await refusal([x, x], y),
      await refusal({ other: x }, y),
    ]).toMatchInlineSnapshot(`
      [
        "ShapeError: fit(): expected input "probabilities_input" of shape [null, 2], got [1, 3]",
        "ShapeError: fit(): expected input "probabilities_input" of shape [null, 2], got [2]; for a single sample, add the batch dimension: x.expandDims(0)",
        "ShapeError: fit(): input "probabilities_input" has 3 values, which is no multiple of the 2 of a sample of shape [2]",
        "ShapeError: fit(): input "probabilities_input" has 3 samples, but labels of output "probabilities" has 2",
        "ArgumentError: fit(): input "probabilities_input" has no samples",
        "ShapeError: fit(): input "probabilities_input": tensor(): ragged nesting at depth 1: expected an array of 2, got one of 1",
        "ArgumentError: fit(): no data for input "probabilities_input"",
        "ArgumentError: fit(): no data for labels of output "probabilities"",
        "ArgumentError: fit(): expected x as one tensor (probabilities_input), got an array of 2",
        "ArgumentError: fit(): expected x by the names probabilities_input, got "other"",
      ]
    `);
  });

  test("typed arrays and nested ones are taken as they are meant", async () => {
    const model = classifier();
    const flat = Float32Array.of(1, 2, 3, 4, 5, 6);
    const want = await model.predict(x);
    for (const given of [
      flat,
      [flat],
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { [model.inputNames[0]!]: x },
    ]) {
      expect((await model.predict(given as never)).arraySync()).toEqual(want.arraySync());
    }
  });
});

describe("labels", () => {
  test("shapes and values", async () => {
    const oneHot = classifier({ loss: "categoricalCrossentropy" });
    const mse = classifier({ loss: "mse" });
    expect([
      await refusal(x, [0, 3, 1]),
      await refusal(x, [0, 0.5, 1]),
      await refusal(x, [0, -1, 1]),
      await refusal(x, [0, Number.NaN, 1]),
      await refusal(
        x,
        tensor([
          [1, 0, 0],
          [0, 1, 0],
          [0, 0, 1],
        ]),
      ),
      await refusal(x, y, {}, oneHot),
      await refusal(x, y, {}, mse),
      await refusal(
        x,
        tensor([
          [1, Number.NaN, 0],
          [0, 1, 0],
          [0, 0, 1],
        ]),
        {},
        mse,
      ),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: fit(): labels of output "probabilities": sample 1 has label 3, but the output has 3 classes, so labels are integers from 0 to 2",
        "ArgumentError: fit(): labels of output "probabilities": sample 1 has label 0.5, but the output has 3 classes, so labels are integers from 0 to 2",
        "ArgumentError: fit(): labels of output "probabilities": sample 1 has label -1, but the output has 3 classes, so labels are integers from 0 to 2",
        "NonFiniteError: fit(): labels of output "probabilities" contain NaN at sample 1",
        "ShapeError: fit(): labels of output "probabilities": expected class indices of shape [null] for sparseCategoricalCrossentropy, got [3, 3]; for one-hot labels use the loss categoricalCrossentropy",
        "ShapeError: fit(): labels of output "probabilities": expected shape [null, 3] as the output has, got [3]; for class indices use the loss sparseCategoricalCrossentropy",
        "ShapeError: fit(): labels of output "probabilities": expected shape [null, 3] as the output has, got [3]",
        "NonFiniteError: fit(): labels of output "probabilities" contain NaN at sample 0, position 1",
      ]
    `);
  });

  test("an ignored class is no error", async () => {
    const model = classifier({
      loss: { name: "sparseCategoricalCrossentropy", ignoreClass: -1 },
    });
    expect(await refusal(x, [0, -1, 1], {}, model)).toBe("no error");
  });
});

describe("options", () => {
  test("of fit", async () => {
    expect([
      await refusal(x, y, { batchSize: 0 }),
      await refusal(x, y, { batchSize: 1.5 }),
      await refusal(x, y, { epochs: -1 }),
      await refusal(x, y, { epoch: 3 } as never),
      await refusal(x, y, { validationSplit: 0.99 }),
      await refusal(x, y, { validationData: x as never }),
      await refusal(x, y, { validationData: [x, [0, 1, 7]] }),
      await refusal(x, y, { stepsPerEpoch: 2 }),
      await refusal(x, y, { sampleWeight: [1, 2] }),
      await refusal(x, y, { sampleWeight: [1, 2, Number.NaN] }),
      await refusal(x, y, { classWeight: null as never }),
      await refusal(x, y, { classWeight: { cat: 1 } as never }),
      await refusal(x, y, { classWeight: { 0: -1 } }),
      await refusal(x, y, { shuffle: "batch" as never }),
      await refusal(x, y, { terminateOnNaN: 0 as never }),
      await refusal(x, y, { signal: {} as never }),
      await refusal(x, y, { verbose: 3 as never }),
      await refusal(x, y, { callbacks: [(() => {}) as never] }),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: fit(): expected \`batchSize\` to be an integer ≥ 1, got 0",
        "ArgumentError: fit(): expected \`batchSize\` to be an integer ≥ 1, got 1.5",
        "ArgumentError: fit(): expected \`epochs\` to be an integer ≥ 0, got -1",
        "ArgumentError: fit(): unknown option \`epoch\`; did you mean \`epochs\`?",
        "ArgumentError: fit(): validationSplit 0.99 of 3 samples leaves no samples to train on",
        "ArgumentError: fit(): expected \`validationData\` as [x, y] or a dataset, got an instance of Tensor",
        "ArgumentError: fit(): validationData: labels of output "probabilities": sample 2 has label 7, but the output has 3 classes, so labels are integers from 0 to 2",
        "ArgumentError: fit(): expected \`stepsPerEpoch\` to be an integer from 1 to 1, got 2",
        "ShapeError: fit(): sampleWeight for output "probabilities": expected shape [3], got [2]",
        "NonFiniteError: fit(): sampleWeight for output "probabilities" is NaN at 2",
        "ArgumentError: fit(): expected \`classWeight\` to be an object of weights by class, got null",
        "ArgumentError: fit(): classWeight: expected class indices as keys, got "cat"",
        "ArgumentError: fit(): classWeight: expected \`0\` to be a number ≥ 0, got -1",
        "ArgumentError: fit(): expected \`shuffle\` to be true or false, got "batch"",
        "ArgumentError: fit(): expected \`terminateOnNaN\` to be true or false, got 0",
        "ArgumentError: fit(): expected \`signal\` to be an AbortSignal, got an object; an AbortController has one",
        "ArgumentError: fit(): expected \`verbose\` to be 0, 1, 2 or "auto", got 3",
        "ArgumentError: fit(): expected \`callbacks\` to be objects with hooks, got a function",
      ]
    `);
  });

  test("of class weights for a class that is not there", async () => {
    expect(await refusal(x, y, { classWeight: { 7: 2 } })).toBe(
      'ArgumentError: fit(): classWeight: there is no class 7; output "probabilities" has 3 classes, 0 to 2',
    );
    expect(await refusal(x, [0, 1, 1], { classWeight: { 2: 2 } }, two())).toMatch(
      /there is no class 2; .* has 2 classes/,
    );
    expect(await refusal(x, [0, 1, 1], { classWeight: { 1: 2 } }, two())).toBe("no error");
  });

  test("of class weights where there are labels for each place", async () => {
    const places = () => {
      const model = sequential([
        dense({ units: 6, inputShape: [2] }),
        reshape({ targetShape: [2, 3] }),
      ]);
      model.compile({ loss: "sparseCategoricalCrossentropy" });
      return model;
    };
    const labels = [
      [0, 1],
      [2, 2],
      [1, 0],
    ];
    expect(await refusal(x, labels, { classWeight: { 0: 1, 1: 5 } }, places())).toBe(
      "ShapeError: fit(): classWeight needs one label per sample, but labels have shape [3, 2]; pass sampleWeight",
    );
    expect(await refusal(x, labels, {}, places())).toBe("no error");
  });

  test("of labels that are no probabilities", async () => {
    expect(await refusal(x, [0, 1, 2], {}, two())).toMatch(
      /sample 2 has label 2, but binaryCrossentropy takes labels from 0 to 1/,
    );
    expect(await refusal(x, [0, -1, 1], {}, two())).toMatch(/sample 1 has label -1.*hinge$/);
    expect(await refusal(x, [0, 0.5, 1], {}, two())).toBe("no error");
  });

  test("of an option that is undefined by mistake", async () => {
    const given = (options: object) => message(() => classifier(options as CompileOptions));
    expect(await given({ optimizer: undefined })).toMatch(/`optimizer` is undefined; leave it out/);
    expect(await given({ loss: undefined })).toMatch(/`loss` is undefined/);
    expect(await given({})).toBe("no error");
  });

  test("warns, once, of a loss of probabilities on a linear layer", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const model = sequential([dense({ units: 1, inputShape: [2], name: "score" })]);
    const loss = "binaryCrossentropy";
    model.compile({ loss });
    model.compile({ loss });
    expect(warn.mock.calls).toEqual([
      [
        expect.stringMatching(
          /binaryCrossentropy takes probabilities, but dense layer "score" has no activation; .*"sigmoid", or use lw\.losses\.binaryCrossentropy\(\{ fromLogits: true \}\)$/,
        ),
        "LayerwiseWarning",
      ],
    ]);
    warn.mockClear();
    two().compile({ loss });
    const logits = sequential([dense({ units: 1, inputShape: [2] })]);
    logits.compile({ loss: binaryCrossentropy({ fromLogits: true }) });
    logits.compile({ loss: "mse" });
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  test("of an optimizer, in the words of other libraries too", async () => {
    const named = (optimizer: string) => message(() => classifier({ optimizer }));
    expect(await named("adma")).toMatch(/"adma"; did you mean "adam"\?$/);
    expect(await named("Nesterov")).toMatch(
      /lw\.optimizers\.sgd\(\{ momentum: 0\.9, nesterov: true \}\)$/,
    );
    expect(await named("amsgrad")).toMatch(/lw\.optimizers\.adam\(\{ amsgrad: true \}\)$/);
    expect(await named("best")).toMatch(
      /the names are sgd, .*, lion; .*nesterov: true.* are options$/,
    );
    const option = (given: object) => message(() => adam(given));
    expect(await option({ lr: 0.1 })).toMatch(/`lr`; did you mean `learningRate`\?$/);
    expect(await option({ eps: 1e-8 })).toMatch(/`eps`; did you mean `epsilon`\?$/);
    expect(await option({ weight_decay: 0.1 })).toMatch(/did you mean `weightDecay`\?$/);
    // sgd has no such option, whatever it is called
    expect(await message(() => sgd({ eps: 1 } as never))).toMatch(/the options are momentum/);
  });

  test("of compile", async () => {
    const compile = (options: unknown) => message(() => classifier(options as CompileOptions));
    expect([
      await compile({ loss: "crossEntropy" }),
      await compile({ optimizer: "Adm" }),
      await compile({ metrics: ["acuracy"] }),
      await compile({ metric: ["accuracy"] }),
      await compile({ loss: ["mse", "mse"] }),
      await compile({ loss: { probability: "mse" } }),
      await compile({ lossWeights: ["a"] }),
      await message(() => classifier().compile(null as never)),
    ]).toMatchInlineSnapshot(`
      [
        "ArgumentError: compile() of model "classifier": there is no loss named "crossEntropy"; the names are meanSquaredError, meanAbsoluteError, meanAbsolutePercentageError, meanSquaredLogarithmicError, huber, logCosh, poisson, cosineSimilarity, binaryCrossentropy, binaryFocalCrossentropy, hinge, squaredHinge, categoricalCrossentropy, sparseCategoricalCrossentropy, maximumAPosteriori, categoricalFocalCrossentropy, categoricalHinge, kullbackLeiblerDivergence, dice, tversky",
        "ArgumentError: compile() of model "classifier": there is no optimizer named "Adm"; did you mean "adam"?",
        "ArgumentError: compile() of model "classifier": there is no metric named "acuracy"; did you mean "accuracy"?",
        "ArgumentError: compile() of model "classifier": unknown option \`metric\`; did you mean \`metrics\`?",
        "ArgumentError: compile() of model "classifier": loss: expected one for each of the 1 outputs, got 2",
        "ArgumentError: compile() of model "classifier": loss: there is no output named "probability"; the outputs are "probabilities"",
        "ArgumentError: compile() of model "classifier": expected \`lossWeights of probabilities\` to be a number, got "a"",
        "ArgumentError: compile() of model "classifier": expected options, got null",
      ]
    `);
  });
});

test("predict says what fits", async () => {
  const model = classifier();
  expect([
    await message(() => model.predict(leaf(new Float32Array(0), [0, 2], "float32"))),
    await message(() => model.predictSync(tensor([1, 2]))),
    await message(() => model.predict(x, { batchsize: 3 } as never)),
  ]).toMatchInlineSnapshot(`
    [
      "ArgumentError: predict(): input "probabilities_input" has no samples",
      "ShapeError: predictSync(): expected input "probabilities_input" of shape [null, 2], got [2]; for a single sample, add the batch dimension: x.expandDims(0)",
      "ArgumentError: predict(): unknown option \`batchsize\`; did you mean \`batchSize\`?",
    ]
  `);
});
