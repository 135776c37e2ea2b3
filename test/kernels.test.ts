/**
 * The contract of every kernel: each row of the table, on each backend, instruction set and thread
 * count, against the float64 reference; the same bits at every thread count. Cases stand in
 * `kernels/<family>.cases.ts`, references and allowed errors in `helpers/reference.ts`.
 */
import { describe, expect, test } from "vitest";
import { type Call, validateProgram } from "../src/compiler/program.js";
import { instructions } from "../src/kernels/instructions.js";
import { kernels } from "../src/kernels/table.js";
import { allocate, type TypedArray } from "../src/tensor/dtype.js";
import { expectSameBits, expectWithin } from "./helpers/allClose.js";
import { executors, nativeNames } from "./helpers/executors.js";
import { references } from "./helpers/reference.js";
import { type KernelCase, programOf } from "./kernels/case.js";
import { gatherCases } from "./kernels/gather.cases.js";
import { instructionCases } from "./kernels/instruction.cases.js";
import { mapCases } from "./kernels/map.cases.js";
import { matmulCases } from "./kernels/matmul.cases.js";
import { movementCases } from "./kernels/movement.cases.js";
import { normalizationCases } from "./kernels/normalization.cases.js";
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
};

const available = await executors();

/** Runs a case and returns its outputs. */
function run(load: (typeof available)[number]["load"], item: KernelCase): TypedArray[] {
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

describe("registry", () => {
  test("every kernel has cases and a reference", () => {
    const covered = new Set(Object.values(families).flatMap((f) => f.map((c) => c.call.kernel)));
    expect([...covered].sort()).toEqual(Object.keys(kernels).sort());
    expect(Object.keys(references).sort()).toEqual(Object.keys(kernels).sort());
  });

  test.skipIf(!nativeNames)("the addon has the same kernels and instructions", () => {
    expect([...nativeNames!.kernels].sort()).toEqual(Object.keys(kernels).sort());
    expect([...nativeNames!.instructions].sort()).toEqual(Object.keys(instructions).sort());
  });

  test("all cases are valid Programs", () => {
    for (const item of Object.values(families).flat()) validateProgram(programOf(item));
  });
});

for (const { name, load, threadCounts, setThreads, slow } of available) {
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

    test.each(instructionCases)("instruction $name", ({ check }) => check(load));
  });
}
