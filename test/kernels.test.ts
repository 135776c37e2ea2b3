/**
 * The contract of every kernel: each row of the table, on each backend, instruction set and thread
 * count, against the float64 reference; the same bits at every thread count. Cases stand in
 * `kernels/<family>.cases.ts`, references and allowed errors in `helpers/reference.ts`.
 */
import { describe, expect, test } from "vitest";
import { type Call, validateProgram } from "../src/compiler/program.js";
import { instructions } from "../src/kernels/instructions.js";
import { philox4x32 } from "../src/kernels/philox.js";
import { kernels } from "../src/kernels/table.js";
import { allocate, type TypedArray } from "../src/tensor/dtype.js";
import { expectSameBits, expectWithin } from "./helpers/allClose.js";
import { addon, addonMissing, executors } from "./helpers/executors.js";
import { philox } from "./helpers/instructionReference.js";
import { references } from "./helpers/reference.js";
import { f32, i32, type KernelCase, out, programOf } from "./kernels/case.js";
import { convolutionCases } from "./kernels/convolution.cases.js";
import { gatherCases } from "./kernels/gather.cases.js";
import { imageCases } from "./kernels/image.cases.js";
import { instructionCases } from "./kernels/instruction.cases.js";
import { mapCases } from "./kernels/map.cases.js";
import { matmulCases } from "./kernels/matmul.cases.js";
import { movementCases } from "./kernels/movement.cases.js";
import { normalizationCases } from "./kernels/normalization.cases.js";
import { poolingCases } from "./kernels/pooling.cases.js";
import { recurrentCases } from "./kernels/recurrent.cases.js";
import { reduceCases } from "./kernels/reduce.cases.js";
import { scanCases } from "./kernels/scan.cases.js";
import { selectCases } from "./kernels/select.cases.js";
import { softmaxCases } from "./kernels/softmax.cases.js";

const families: Readonly<Record<string, readonly KernelCase[]>> = {
  map: mapCases,
  reduce: reduceCases,
  gemm: matmulCases,
  copy: movementCases,
  "gather and scatterAdd": gatherCases,
  "softmax family": softmaxCases,
  moments: normalizationCases,
  "argReduce and topK": selectCases,
  cumsum: scanCases,
  convolution: convolutionCases,
  pooling: poolingCases,
  transformImages: imageCases,
  recurrent: recurrentCases,
};

/** Values that only show at run time to lie outside a tensor. */
const dataErrors: readonly (KernelCase & { readonly message: string })[] = [
  {
    name: "index = axis",
    call: { kernel: "gather", ints: [2, 5, 3, 4], floats: [] },
    inputs: [f32(new Float32Array(30)), i32([0, 4, 5, -9])],
    outputs: [out(24)],
    message: "index 5 at position 2 lies outside [0, 5)",
  },
  {
    name: "negative index",
    call: { kernel: "scatterAdd", ints: [1, 5, 1, 3], floats: [] },
    inputs: [f32(new Float32Array(3)), i32([0, -1, 2])],
    outputs: [out(5)],
    message: "index -1 at position 1 lies outside [0, 5)",
  },
  {
    name: "label = classes",
    call: { kernel: "sparseSoftmaxCrossEntropy", ints: [3, 10], floats: [0] },
    inputs: [f32(new Float32Array(30)), i32([0, 9, 10])],
    outputs: [out(3), out(30)],
    message: "label 10 at position 2 lies outside [0, 10)",
  },
  {
    name: "length = time + 1",
    call: { kernel: "recurrent", ints: [3, 2, 4, 0, 1, 0, 0, 0, 0, 0, 0, 1], floats: [] },
    inputs: [f32(new Float32Array(24)), f32(new Float32Array(16)), i32([0, 2, 3])],
    outputs: [out(24)],
    message: "length 3 at position 2 lies outside [0, 3)",
  },
  {
    name: "negative length",
    call: { kernel: "recurrentGradient", ints: [2, 2, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0], floats: [] },
    inputs: [f32(new Float32Array(16)), f32(new Float32Array(16)), i32([-1, 2])],
    outputs: [out(16)],
    message: "length -1 at position 0 lies outside [0, 3)",
  },
  {
    name: "length = time + 1",
    call: { kernel: "sequenceProduct", ints: [2, 2, 3, 4, 0], floats: [] },
    inputs: [f32(new Float32Array(12)), f32(new Float32Array(12)), i32([1, 3])],
    outputs: [out(16)],
    message: "length 3 at position 1 lies outside [0, 3)",
  },
  {
    name: "length = time + 1",
    call: { kernel: "sequenceOuter", ints: [2, 2, 3, 4], floats: [] },
    inputs: [f32(new Float32Array(12)), f32(new Float32Array(16)), i32([3, 1])],
    outputs: [out(12)],
    message: "length 3 at position 0 lies outside [0, 3)",
  },
];

/** Runs a case and returns its outputs. */
function run(load: (typeof executors)[number]["load"], item: KernelCase): TypedArray[] {
  const outputs = item.outputs.map(({ dtype, size }) => allocate(dtype, size));
  load(programOf(item)).runSync([...item.inputs.map((input) => input.data), ...outputs]);
  return outputs;
}

/** The expected outputs; computed once per case, as the naive reference is slow. */
const cache = new Map<KernelCase, ReturnType<(typeof references)[string]>>();
function expectedOf(item: KernelCase) {
  let found = cache.get(item);
  if (!found) {
    const call: Call = { ...item.call, inputs: [], outputs: [] };
    found = references[call.kernel]!(
      call,
      item.inputs.map((input) => input.data),
      {
        dtypes: item.outputs.map((output) => output.dtype),
        sizes: item.outputs.map((output) => output.size),
        ...(item.tileUlp && { tileUlp: item.tileUlp }),
        ...(item.tileAtol && { tileAtol: item.tileAtol }),
      },
    );
    cache.set(item, found);
  }
  return found;
}

describe("Philox 4×32-10", () => {
  // Known answers of Random123 1.14 (kat_vectors): counter, key, words.
  test.each([
    ["zeros", [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    ["ones", [-1, -1, -1, -1], [-1, -1], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [
      "digits of pi",
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("%s", (_, counter, key, words) => {
    const got = new Int32Array(4);
    philox4x32(counter, key, got);
    expect([...got].map((word) => word >>> 0)).toEqual(words);
    expect(philox(counter, key).map((word) => word >>> 0)).toEqual(words);
  });
});

describe("registry", () => {
  test("every kernel has cases and a reference", () => {
    const covered = new Set(Object.values(families).flatMap((f) => f.map((c) => c.call.kernel)));
    expect([...covered].sort()).toEqual(Object.keys(kernels).sort());
    expect(Object.keys(references).sort()).toEqual(Object.keys(kernels).sort());
  });

  test.skipIf(!addon)(`the addon has the same kernels and instructions ${addonMissing}`, () => {
    expect(addon!.kernelNames().sort()).toEqual(Object.keys(kernels).sort());
    expect(addon!.instructionNames().sort()).toEqual(Object.keys(instructions).sort());
  });

  test("all cases are valid Programs", () => {
    for (const item of Object.values(families).flat()) validateProgram(programOf(item));
  });
});

for (const { name, load, threadCounts, setThreads, slow } of executors) {
  describe(name, () => {
    for (const [family, cases] of Object.entries(families)) {
      // The interpreter visits elements one by one: the large cases prove nothing more there.
      const chosen = cases.filter(({ outputs, inputs }) => {
        const elements = [...inputs.map((i) => i.data.length), ...outputs.map((o) => o.size)];
        return !slow || Math.max(...elements) < 20000;
      });
      test.each(chosen)(`${family}: $name`, (item) => {
        setThreads(threadCounts[0]!);
        const outputs = run(load, item);
        for (const [i, { values, allowed }] of expectedOf(item).entries()) {
          expectWithin(outputs[i]!, values, allowed, `output ${i}`);
        }
        for (const threads of threadCounts.slice(1)) {
          setThreads(threads);
          for (const [i, output] of run(load, item).entries()) {
            expectSameBits(output, outputs[i]!, `output ${i} with ${threads} threads`);
          }
        }
      });
    }

    // The same words everywhere: call, kernel, position, value, allowed range.
    test.each(dataErrors)("$call.kernel refuses $message", (item) => {
      setThreads(threadCounts[0]!);
      expect(() => run(load, item)).toThrow(
        `${item.call.kernel}: ${item.message} (Program call 0)`,
      );
    });

    test.each(instructionCases)("instruction $name", ({ check }) => check(load));
  });
}
