/** `map`: a tile program over its domain, every result stored. */
import type { DType } from "../tensor/dtype.js";
import { compileLoops, loopNest, storedAs } from "./codegen.js";
import { interpretTile, stored } from "./interpreter.js";
import { anyDType, type Expectation, type Kernel, type KernelRun, type Operand } from "./kernel.js";
import { checkTile, extentOf, type Fail, laneOf, type TileProgram } from "./tile.js";

/** Runs a tile program and stores result i, converted to `dtypes[i]`, as output i. */
export function prepareMap(
  tile: TileProgram,
  dtypes: readonly DType[],
  interpret: boolean,
): KernelRun {
  if (interpret) return interpretMap(tile, dtypes);
  const nest = loopNest(tile);
  const innermost = nest.levels.at(-1)!.before;
  for (const [i, lane] of nest.results.entries()) {
    innermost.push(`y${i}[at] = ${storedAs(dtypes[i]!, lane)};`);
  }
  return orInterpret(
    () => compileLoops(tile.strides.length, dtypes.length, nest.scope, nest.source()),
    () => interpretMap(tile, dtypes),
  );
}

function interpretMap(tile: TileProgram, dtypes: readonly DType[]): KernelRun {
  const walk = interpretTile(tile);
  return (inputs, outputs) =>
    walk(inputs, (index, registers) => {
      for (const [i, register] of tile.results.entries()) {
        outputs[i]![index] = stored(dtypes[i]!, registers[register]!);
      }
    });
}

/** The first, or the second where code generation from strings is forbidden. */
export function orInterpret(compile: () => KernelRun, interpret: () => KernelRun): KernelRun {
  try {
    return compile();
  } catch (error) {
    if (error instanceof EvalError) return interpret();
    throw error;
  }
}

/** Expectations for the tensors that a tile loads, starting at tile input `first`. */
export function expectTileInputs(
  tile: TileProgram,
  operands: readonly Operand[],
  first = 0,
): Expectation[] {
  return operands.map((_, i) => ({
    name: `tile input ${first + i}`,
    dtypes: anyDType,
    size: extentOf(tile.dims, tile.strides[first + i] ?? []),
    atLeast: true,
  }));
}

/** Expectations for a tile's outputs: each of `size` elements, of a dtype its lane can be stored as. */
export function expectTileOutputs(lanes: readonly ("f" | "i")[], size: number): Expectation[] {
  return lanes.map((lane, i) => ({
    name: `result ${i}`,
    dtypes: lane === "f" ? ["float32"] : ["int32", "uint8", "bool"],
    size,
  }));
}

/** Elements of a tile's domain. */
export function domainSize(tile: TileProgram, fail: Fail): number {
  const size = tile.dims.reduce((product, dim) => product * dim, 1);
  if (tile.dims.some((dim) => !Number.isInteger(dim) || dim < 0) || size >= 2 ** 31) {
    fail(`tile domain [${tile.dims}] is not a shape of fewer than 2^31 elements`);
  }
  return size;
}

export const map: Kernel = {
  ints: [],
  floats: [],
  tile: "required",
  expect({ inputs, tile }, fail) {
    const size = domainSize(tile!, fail);
    const lanes = checkTile(
      tile!,
      inputs.map((input) => laneOf(input.dtype)),
      fail,
    );
    return {
      inputs: expectTileInputs(tile!, inputs),
      outputs: expectTileOutputs(lanes, size),
    };
  },
  prepare({ outputs, tile }, { interpret = false }) {
    return prepareMap(
      tile!,
      outputs.map((output) => output.dtype),
      interpret,
    );
  },
};
