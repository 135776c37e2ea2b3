/** `gather` and `scatterAdd`: slices along one axis chosen by an int32 index each. */
import { ArgumentError } from "../errors.js";
import { anyDType, checkSizes, float32, int32, type Kernel } from "./kernel.js";

const names = ["outer", "axis", "inner", "count"] as const;
type Ints = [number, number, number, number];

/** The error for an index outside `[0, limit)`; the executor adds which call it was. */
export function dataError(
  what: string,
  position: number,
  value: number,
  limit: number,
): ArgumentError {
  return new ArgumentError(`${what} ${value} at position ${position} lies outside [0, ${limit})`);
}

function checkIndices(indices: Int32Array, count: number, axis: number): void {
  for (let j = 0; j < count; j++) {
    const index = indices[j]!;
    if (index < 0 || index >= axis) throw dataError("index", j, index, axis);
  }
}

export const gather: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ inputs, ints }, fail) {
    checkSizes(names, ints, [], fail);
    const [outer, axis, inner, count] = ints as Ints;
    const dtypes = inputs[0] ? [inputs[0].dtype] : anyDType;
    return {
      inputs: [
        { name: "x", dtypes: anyDType, size: outer * axis * inner },
        { name: "indices", dtypes: int32, size: count },
      ],
      outputs: [{ name: "y", dtypes, size: outer * count * inner }],
    };
  },
  prepare({ ints }) {
    const [outer, axis, inner, count] = ints as Ints;
    return ([x, indices], [y]) => {
      checkIndices(indices as Int32Array, count, axis);
      let to = 0;
      for (let o = 0; o < outer; o++) {
        for (let j = 0; j < count; j++, to += inner) {
          const from = (o * axis + indices![j]!) * inner;
          if (inner >= 64) y!.set(x!.subarray(from, from + inner), to);
          else for (let i = 0; i < inner; i++) y![to + i] = x![from + i]!;
        }
      }
    };
  },
};

export const scatterAdd: Kernel = {
  ints: names,
  floats: [],
  tile: "none",
  expect({ ints }, fail) {
    checkSizes(names, ints, [], fail);
    const [outer, axis, inner, count] = ints as Ints;
    return {
      inputs: [
        { name: "updates", dtypes: float32, size: outer * count * inner },
        { name: "indices", dtypes: int32, size: count },
      ],
      outputs: [{ name: "y", dtypes: float32, size: outer * axis * inner }],
    };
  },
  prepare({ ints }) {
    const [outer, axis, inner, count] = ints as Ints;
    return ([updates, indices], [y]) => {
      checkIndices(indices as Int32Array, count, axis);
      y!.fill(0);
      let from = 0;
      for (let o = 0; o < outer; o++) {
        for (let j = 0; j < count; j++, from += inner) {
          const to = (o * axis + indices![j]!) * inner;
          for (let i = 0; i < inner; i++) y![to + i]! += updates![from + i]!;
        }
      }
    };
  },
};

const rowNames = ["axis", "inner", "count"] as const;

export const scatterRows: Kernel = {
  ints: rowNames,
  floats: [],
  tile: "none",
  overFirst: true,
  expect({ inputs, ints }, fail) {
    checkSizes(rowNames, ints, [], fail);
    const [axis, inner, count] = ints as [number, number, number];
    const dtypes = inputs[0] ? [inputs[0].dtype] : anyDType;
    return {
      inputs: [
        { name: "x", dtypes: anyDType, size: axis * inner },
        { name: "indices", dtypes: int32, size: count },
        { name: "updates", dtypes, size: count * inner },
      ],
      outputs: [{ name: "y", dtypes, size: axis * inner }],
    };
  },
  prepare({ ints }) {
    const [axis, inner, count] = ints as [number, number, number];
    return ([x, indices, updates], [y]) => {
      checkIndices(indices as Int32Array, count, axis);
      if (y!.buffer !== x!.buffer || y!.byteOffset !== x!.byteOffset) y!.set(x!);
      for (let j = 0; j < count; j++) {
        const from = j * inner;
        const to = indices![j]! * inner;
        for (let i = 0; i < inner; i++) y![to + i] = updates![from + i]!;
      }
    };
  },
};
