/** The Program: what the validator refuses, how the printer shows it, how it is encoded. */
import { describe, expect, test } from "vitest";
import { NativeBackend } from "../../src/backend/native.js";
import { encodeProgram } from "../../src/compiler/encode.js";
import {
  type Call,
  type Program,
  type ProgramTensor,
  printProgram,
  type TileProgram,
  validateProgram,
} from "../../src/compiler/program.js";
import { BackendError } from "../../src/errors.js";
import { instructions } from "../../src/kernels/instructions.js";
import { kernels } from "../../src/kernels/table.js";
import { addon, addonMissing } from "../helpers/executors.js";
import { tileOf } from "../kernels/case.js";

const tile = tileOf(
  [2, 3],
  [
    [3, 1],
    [3, 1],
    [0, 1],
  ],
  (emit) => {
    const sum = emit("add", [0, 2]);
    return [emit("relu", [sum]), emit("select", [emit("less", [sum, 1]), sum, 0])];
  },
);

/** h = x·w + bias through relu, in the arena; loss = mean over h. */
const program: Program = {
  tensors: [
    { dtype: "float32", shape: [2, 4], place: { kind: "binding", index: 0 } },
    { dtype: "float32", shape: [4, 3], place: { kind: "binding", index: 1 } },
    { dtype: "float32", shape: [2, 3], place: { kind: "arena", offset: 0 } },
    { dtype: "float32", shape: [3], place: { kind: "constant", offset: 64 } },
    { dtype: "float32", shape: [2, 3], place: { kind: "arena", offset: 64 } },
    { dtype: "float32", shape: [2, 3], place: { kind: "arena", offset: 128 } },
    { dtype: "float32", shape: [], place: { kind: "binding", index: 2 } },
    { dtype: "int32", shape: [2], place: { kind: "arena", offset: 192 } },
  ],
  bindings: [
    { name: "x", dtype: "float32", size: 8, access: "read" },
    { name: "w", dtype: "float32", size: 12, access: "readwrite" },
    { name: "loss", dtype: "float32", size: 1, access: "write" },
  ],
  calls: [
    {
      kernel: "gemm",
      inputs: [0, 1, 2, 3],
      outputs: [4, 5],
      ints: [1, 2, 3, 4, 0, 0, 8, 12],
      floats: [],
      tile,
    },
    {
      kernel: "reduce",
      inputs: [4],
      outputs: [6],
      ints: [0],
      floats: [1 / 6],
      tile: tileOf([1, 6, 1], [[6, 1, 1]], (emit) => [emit("mul", [0, emit("constFloat", [], 2)])]),
    },
    { kernel: "argReduce", inputs: [4], outputs: [7], ints: [2, 3, 1, 0], floats: [] },
  ],
  arenaBytes: 256,
  constants: new Uint8Array(128),
};

function withCall(index: number, change: Partial<Call>): Program {
  const calls = program.calls.map((call, i) => (i === index ? { ...call, ...change } : call));
  return { ...program, calls };
}

function withTensor(index: number, change: Partial<ProgramTensor>): Program {
  const tensors = program.tensors.map((tensor, i) =>
    i === index ? { ...tensor, ...change } : tensor,
  );
  return { ...program, tensors };
}

function withTile(change: Partial<TileProgram>): Program {
  return withCall(0, { tile: { ...tile, ...change } });
}

function withInstruction(index: number, change: Partial<TileProgram["instructions"][number]>) {
  const changed = tile.instructions.map((one, i) => (i === index ? { ...one, ...change } : one));
  return withTile({ instructions: changed });
}

const stamp = { name: "stamp", dtype: "int32", size: 1, access: "stamp" } as const;
const lasting = (i: number) => ({ ...program.bindings[i]!, access: "lasts" as const });

test("a good Program passes", () => {
  validateProgram({ ...program, bindings: [lasting(0), ...program.bindings.slice(1), stamp] });
  validateProgram(program);
  // In place on tile input 1, which is contiguous over the domain.
  validateProgram(withTensor(4, { place: { kind: "arena", offset: 0 } }));
});

describe("the validator names call, kernel and fault", () => {
  const arena = (offset: number) => ({ place: { kind: "arena" as const, offset } });
  const binding = (index: number) => ({ place: { kind: "binding" as const, index } });
  const malformed: [string, Program, string][] = [
    [
      "unknown kernel",
      withCall(2, { kernel: "argMax" }),
      "call 2 (argMax): there is no such kernel",
    ],
    [
      "missing tensor",
      withCall(2, { inputs: [99] }),
      "call 2 (argReduce): tensor 99 does not exist",
    ],
    [
      "too few integers",
      withCall(2, { ints: [2, 3, 1] }),
      "takes the integers outer, axis, inner, isMin; got 3",
    ],
    [
      "elements written twice",
      withCall(2, { kernel: "copy", ints: [2, 0, 0, 2, 2, 2, 1, 1, 1] }),
      "writes the same elements again along dimension 1",
    ],
    ["too many floats", withCall(2, { floats: [1] }), "takes the floats (none); got 1"],
    ["fraction as size", withCall(2, { ints: [2, 1.5, 2, 0] }), "attribute axis is 1.5"],
    [
      "flag of 2",
      withCall(2, { ints: [2, 3, 1, 2] }),
      "attribute isMin is 2, allowed are integers from 0 to 1",
    ],
    ["wrong size", withCall(2, { ints: [2, 4, 1, 0] }), "x has 6 elements, expected 8"],
    ["wrong dtype", withTensor(7, { dtype: "float32" }), "y is float32, expected int32"],
    ["too many inputs", withCall(2, { inputs: [4, 4] }), "has 2 inputs, expected 1"],
    ["tile where none belongs", withCall(2, { tile }), "takes no tile program"],
    [
      "no tile",
      {
        ...program,
        calls: [
          { ...program.calls[0]!, kernel: "map", ints: [], tile: undefined } as unknown as Call,
        ],
      },
      "lacks its tile program",
    ],
    ["reducer 7", withCall(1, { ints: [7] }), "reducer 7 of result 0 is not one of 0 to 3"],
    ["scaled maximum", withCall(1, { ints: [1] }), "result 0 can't be scaled"],
    [
      "write to a constant",
      withTensor(7, { place: { kind: "constant", offset: 0 } }),
      "output 0 is a constant",
    ],
    [
      "write to a read-only binding",
      {
        ...program,
        tensors: [...program.tensors, { dtype: "float32", shape: [], ...binding(0) }],
        calls: [{ ...program.calls[1]!, outputs: [8] }],
      },
      "output 0 is the read-only binding x",
    ],
    [
      "write to a binding that lasts",
      {
        ...program,
        bindings: [lasting(0), ...program.bindings.slice(1), stamp],
        tensors: [...program.tensors, { dtype: "float32", shape: [], ...binding(0) }],
        calls: [{ ...program.calls[1]!, outputs: [8] }],
      },
      "output 0 is the read-only binding x",
    ],
    [
      "a binding that lasts without a stamp",
      { ...program, bindings: [lasting(0), ...program.bindings.slice(1)] },
      "bindings: has 0 stamps",
    ],
    [
      "two stamps",
      { ...program, bindings: [...program.bindings, stamp, stamp] },
      "bindings: has 2 stamps",
    ],
    [
      "a stamp of two numbers",
      { ...program, bindings: [...program.bindings, { ...stamp, size: 2 }] },
      "binding 3 (stamp): is a stamp, but not one int32",
    ],
    [
      "output over operand A",
      withTensor(0, arena(64)),
      "output 0 overlaps input 0, which is not a contiguous tile input",
    ],
    ["output over another output", withTensor(5, arena(64)), "output 1 overlaps another output"],
    [
      "partial overlap with a tile input",
      withTensor(2, { shape: [20, 3] }),
      "output 0 overlaps input 2, which is not a contiguous tile input at the same place",
    ],
    [
      "output over the input of a kernel that can't",
      { ...withTensor(7, arena(64)) },
      "output 0 overlaps input 0, which is not a contiguous tile input",
    ],
    [
      "unaligned offset",
      withTensor(4, arena(60)),
      "tensor 4: arena offset 60 is not a multiple of 64",
    ],
    [
      "outside the arena",
      withTensor(4, arena(256)),
      "tensor 4: ends at byte 280 of 256 in the arena",
    ],
    [
      "outside the constants",
      withTensor(3, { place: { kind: "constant", offset: 128 } }),
      "tensor 3: ends at byte 140 of 128 in the constant",
    ],
    [
      "outside its binding",
      withTensor(0, { shape: [3, 4] }),
      "tensor 0: float32[3, 4] does not fit binding x (float32[8])",
    ],
    [
      "binding of another dtype",
      withTensor(0, { dtype: "int32" }),
      "tensor 0: int32[2, 4] does not fit binding x",
    ],
    ["missing binding", withTensor(0, binding(9)), "tensor 0: binding 9 does not exist"],
    ["negative dimension", withTensor(0, { shape: [-2, -4] }), "is not a shape"],
    [
      "epilogue over another domain",
      withTile({ dims: [3, 2] }),
      "the epilogue's domain [3,2] is not [batch·m, n] = [2, 3]",
    ],
    [
      "C not contiguous",
      withTile({
        strides: [
          [1, 2],
          [3, 1],
          [0, 1],
        ],
      }),
      "stride row 0 of the epilogue stands for C",
    ],
    [
      "stride row missing",
      withTile({
        strides: [
          [3, 1],
          [3, 1],
        ],
      }),
      "tile has 2 stride rows for 3 inputs",
    ],
    [
      "negative stride",
      withTile({
        strides: [
          [3, 1],
          [3, -1],
          [0, 1],
        ],
      }),
      "strides [3,-1] of tile input 1 do not fit",
    ],
    [
      "strides past the end",
      withTile({
        strides: [
          [3, 1],
          [3, 1],
          [1, 1],
        ],
      }),
      "tile input 2 has 3 elements, expected at least 4",
    ],
    ["too many registers", withTile({ registers: 65 }), "tile has 65 registers"],
    [
      "unknown instruction",
      withInstruction(0, { op: "plus" }),
      "instruction 0 (plus) does not exist",
    ],
    [
      "too few arguments",
      withInstruction(0, { args: [0] }),
      "instruction 0 (add) takes 2 arguments, got 1",
    ],
    [
      "unwritten register",
      withInstruction(0, { args: [0, 6] }),
      "instruction 0 (add) reads register 6 before a write",
    ],
    [
      "wrong lane",
      withInstruction(3, { args: [0, 3, 0] }),
      "instruction 3 (select) got float lanes as argument 0",
    ],
    [
      "write to an input",
      withInstruction(1, { dst: 2 }),
      "instruction 1 (relu) writes register 2, allowed are 3 to 6",
    ],
    [
      "constant where none belongs",
      withInstruction(1, { constant: 1 }),
      "instruction 1 (relu) carries 0 constants, got 1",
    ],
    ["result never written", withTile({ instructions: [] }), "result register 4 is never written"],
  ];

  test.each(malformed)("%s", (_, bad, message) => {
    expect(() => validateProgram(bad)).toThrow(BackendError);
    expect(() => validateProgram(bad)).toThrow(message);
  });

  // The addon words its refusals itself; that it refuses, and lives, is what matters. Three faults it
  // never looks at: it takes a maximum's scale, C's strides and spare constants for what they must be.
  const unread = ["scaled maximum", "C not contiguous", "constant where none belongs"];
  const refused = malformed.filter(([name]) => !unread.includes(name));
  test.skipIf(!addon).each(refused)(`in the addon: %s ${addonMissing}`, (_, bad) => {
    const native = new NativeBackend(addon!);
    native.load(program);
    expect(() => native.load(bad)).toThrow();
  });
});

test("the printer shows calls as lines and tiles as formulas", () => {
  expect(printProgram(program)).toMatchInlineSnapshot(`
    "program: 3 calls, arena 256 bytes, constants 128 bytes
    binding x: float32[8] read
    binding w: float32[12] readwrite
    binding loss: float32[1] write
    0: t4 float32[2, 3], t5 float32[2, 3] = gemm(x, w, t2, c3) batch=1 m=2 n=3 k=4 transposeA=0 transposeB=0 strideA=8 strideB=12 over [2, 3] { v0 = C + c3{0,1}; relu(v0), select((v0 < t2), v0, C) }
    1: loss float32[] = reduce(t4) sum × 0.16666666666666666 over [1, 6, 1] { t4 * 2 }
    2: t7 int32[2] = argReduce(t4) outer=2 axis=3 inner=1 isMin=0"
  `);
});

describe("encoding", () => {
  const ids = (names: readonly string[]) => new Map(names.map((name, id) => [name, id]));
  const kernelIds = ids(Object.keys(kernels));
  const instructionIds = ids(Object.keys(instructions));

  test("words and floats follow docs/program.md", () => {
    const small: Program = {
      tensors: [
        { dtype: "int32", shape: [2, 3], place: { kind: "binding", index: 0 } },
        { dtype: "float32", shape: [2, 3], place: { kind: "arena", offset: 2 ** 32 + 64 } },
      ],
      bindings: [{ name: "x", dtype: "int32", size: 6, access: "read" }],
      calls: [
        {
          kernel: "map",
          inputs: [0],
          outputs: [1],
          ints: [],
          floats: [],
          tile: {
            dims: [6],
            strides: [[1]],
            registers: 4,
            instructions: [
              { op: "toFloat", dst: 1, args: [0] },
              { op: "constFloat", dst: 2, args: [], constant: 0.1 },
              { op: "mul", dst: 3, args: [1, 2] },
            ],
            results: [3],
          },
        },
        {
          kernel: "softmaxCrossEntropy",
          inputs: [1, 1],
          outputs: [0, 0],
          ints: [2, 3],
          floats: [0.5],
        },
      ],
      arenaBytes: 2 ** 32 + 128,
      constants: Uint8Array.of(1, 2, 3),
    };
    const { words, floats, constants } = encodeProgram(small, kernelIds, instructionIds);
    const id = (name: string) => instructionIds.get(name)!;
    expect([...words]).toEqual([
      ...[0x4c575031, 1, 2, 1, 2, 128, 1],
      ...[1, 1, 0, 0, 2, 2, 3],
      ...[0, 0, 64, 1, 2, 2, 3],
      ...[1, 6, 0],
      ...[kernelIds.get("map")!, 1, 0, 1, 1, 0, 1, 1],
      ...[1, 6, 1, 1, 4],
      ...[3, id("toFloat"), 1, 0, -1, -1],
      ...[id("constFloat"), 2, 0, -1, -1],
      ...[id("mul"), 3, 1, 2, -1],
      ...[1, 3],
      ...[kernelIds.get("softmaxCrossEntropy")!, 2, 1, 1, 2, 0, 0, 2, 2, 3, 1, 0],
    ]);
    expect([...floats]).toEqual([0.1, 0.5]);
    expect(constants).toBe(small.constants);
  });

  test("philox carries two floats, after the call's own", () => {
    const { words, floats } = encodeProgram(
      withCall(1, {
        tile: {
          dims: [1, 6, 1],
          strides: [
            [0, 0, 0],
            [0, 0, 0],
          ],
          registers: 3,
          instructions: [{ op: "philox", dst: 2, args: [0, 1], constant: [7, 0xffffffff] }],
          results: [2],
        },
      }),
      kernelIds,
      instructionIds,
    );
    expect([...floats]).toEqual([1 / 6, 7, 0xffffffff]);
    const at = words.indexOf(instructionIds.get("philox")!, words.length - 30);
    expect([...words.subarray(at, at + 5)]).toEqual([instructionIds.get("philox"), 2, 0, 1, 1]);
  });

  test("a name that the addon lacks is refused", () => {
    expect(() => encodeProgram(program, new Map(), instructionIds)).toThrow(
      "the addon has no kernel gemm",
    );
  });
});
