/**
 * The Program: what the compiler makes of a graph and what both executors run. Plain data; no graph,
 * no backend. The contract in words is docs/program.md.
 */
import { BackendError } from "../errors.js";
import type { Expectation, KernelCall, Operand } from "../kernels/kernel.js";
import { reducers } from "../kernels/reduce.js";
import { findKernel, hasEpilogue } from "../kernels/table.js";
import {
  constantsOf,
  type Fail,
  isIdentity,
  type TileInstruction,
  type TileProgram,
} from "../kernels/tile.js";
import { bytesPerElement, type DType, dtypes } from "../tensor/dtype.js";
import { maximumSize, showShape, sizeOf } from "../tensor/shape.js";

export type { TileInstruction, TileProgram };

/** Where a tensor's bytes are. Offsets are in bytes and multiples of 64. */
export type Place =
  | { readonly kind: "arena"; readonly offset: number }
  | { readonly kind: "binding"; readonly index: number }
  | { readonly kind: "constant"; readonly offset: number };

/** A contiguous row-major tensor with a place. */
export interface ProgramTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly place: Place;
}

/**
 * What a run may do with a binding's array. `lasts`: it reads it, and the values are the same in every run with the same
 * stamp, so an executor may keep what it makes of them. `stamp`: one int32 that it reads for that.
 */
export type Access = "read" | "write" | "readwrite" | "lasts" | "stamp";

/** Whether a run only reads the binding. */
export function isReadOnly(access: Access): boolean {
  return access !== "write" && access !== "readwrite";
}

/** A typed array that the caller hands over with each run. */
export interface Binding {
  readonly name: string;
  readonly dtype: DType;
  /** Elements, not bytes. */
  readonly size: number;
  readonly access: Access;
}

/** One kernel call. Inputs and outputs are indices into the Program's tensors. */
export interface Call {
  readonly kernel: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Integer attributes, in the order of the kernel's row. */
  readonly ints: readonly number[];
  /** Float attributes, in the order of the kernel's row; a tile's constants are not among them. */
  readonly floats: readonly number[];
  readonly tile?: TileProgram;
}

/** A flat list of kernel calls with every shape known and every buffer placed. */
export interface Program {
  readonly tensors: readonly ProgramTensor[];
  readonly bindings: readonly Binding[];
  readonly calls: readonly Call[];
  /** Size of the arena that an executor allocates. */
  readonly arenaBytes: number;
  /** The bytes that `constant` places point into. */
  readonly constants: Uint8Array;
}

/** Offsets in the arena and in the constants are multiples of this. */
export const alignment = 64;

/**
 * Checks everything an executor relies on: places, attributes, sizes, tile programs, and that no
 * call overwrites what it reads.
 *
 * @throws BackendError naming the call's index and kernel.
 */
export function validateProgram(program: Program): void {
  const { tensors, bindings, calls } = program;
  for (const [i, binding] of bindings.entries()) {
    if (!Number.isInteger(binding.size) || binding.size < 0 || binding.size > maximumSize) {
      invalid(`binding ${i} (${binding.name})`, `size ${binding.size} is not 0 to 2^31-1`);
    }
    if (binding.access === "stamp" && (binding.dtype !== "int32" || binding.size !== 1)) {
      invalid(`binding ${i} (${binding.name})`, "is a stamp, but not one int32");
    }
  }
  const stamps = bindings.filter(({ access }) => access === "stamp").length;
  if (stamps > 1 || (stamps === 0 && bindings.some(({ access }) => access === "lasts"))) {
    invalid("bindings", `has ${stamps} stamps`);
  }
  for (const [i, tensor] of tensors.entries()) checkTensor(program, tensor, `tensor ${i}`);
  for (const [i, call] of calls.entries()) {
    const fail: Fail = (message) => invalid(`call ${i} (${call.kernel})`, message);
    const kernel = findKernel(call.kernel) ?? fail("there is no such kernel");
    for (const index of [...call.inputs, ...call.outputs]) {
      if (!tensors[index]) fail(`tensor ${index} does not exist`);
    }
    checkCount("integers", kernel.ints, call.ints, fail);
    checkCount("floats", kernel.floats, call.floats, fail);
    if (kernel.tile === "required" && !call.tile) fail("lacks its tile program");
    if (kernel.tile === "none" && call.tile) fail("takes no tile program");
    const seen = kernelCall(program, call);
    const expected = kernel.expect(seen, fail);
    checkOperands("inputs", expected.inputs, seen.inputs, fail);
    checkOperands("outputs", expected.outputs, seen.outputs, fail);
    checkWrites(program, call, fail);
  }
}

/** A call with its tensor indices resolved, as kernels see it. */
export function kernelCall(program: Program, call: Call): KernelCall {
  const operand = (index: number) => {
    const { dtype, shape } = program.tensors[index]!;
    return { dtype, size: sizeOf(shape) };
  };
  return {
    inputs: call.inputs.map(operand),
    outputs: call.outputs.map(operand),
    ints: call.ints,
    floats: call.floats,
    ...(call.tile && { tile: call.tile }),
  };
}

function invalid(where: string, message: string): never {
  throw new BackendError(`invalid Program: ${where}: ${message}`);
}

function checkTensor(program: Program, tensor: ProgramTensor, where: string): void {
  const { dtype, shape, place } = tensor;
  const size = sizeOf(shape);
  if (!dtypes.includes(dtype)) invalid(where, `dtype ${dtype} does not exist`);
  if (shape.some((dim) => !Number.isInteger(dim) || dim < 0) || size > maximumSize) {
    invalid(where, `${showShape(shape)} is not a shape of fewer than 2^31 elements`);
  }
  if (place.kind === "binding") {
    const binding =
      program.bindings[place.index] ?? invalid(where, `binding ${place.index} does not exist`);
    if (binding.dtype !== dtype || size > binding.size) {
      const has = `${binding.dtype}[${binding.size}]`;
      invalid(where, `${dtype}${showShape(shape)} does not fit binding ${binding.name} (${has})`);
    }
    return;
  }
  const end = place.offset + size * bytesPerElement[dtype];
  const limit = place.kind === "arena" ? program.arenaBytes : program.constants.byteLength;
  if (!Number.isInteger(place.offset) || place.offset < 0 || place.offset % alignment !== 0) {
    invalid(where, `${place.kind} offset ${place.offset} is not a multiple of ${alignment}`);
  }
  if (end > limit) invalid(where, `ends at byte ${end} of ${limit} in the ${place.kind}`);
}

/** Exact where all names are single; a bracketed name stands for a list that the row checks. */
function checkCount(
  what: string,
  names: readonly string[],
  values: readonly number[],
  fail: Fail,
): void {
  const least = names.filter((name) => !name.startsWith("[")).length;
  if (values.length < least || (least === names.length && values.length > least)) {
    fail(`takes the ${what} ${names.join(", ") || "(none)"}; got ${values.length}`);
  }
}

function checkOperands(
  what: string,
  expected: readonly Expectation[],
  got: readonly Operand[],
  fail: Fail,
): void {
  if (expected.length !== got.length) {
    fail(`has ${got.length} ${what}, expected ${expected.length}`);
  }
  if (what === "outputs" && got.length === 0) fail("has no outputs");
  for (const [i, { name, dtypes, size, atLeast }] of expected.entries()) {
    const operand = got[i]!;
    if (!dtypes.includes(operand.dtype)) {
      fail(`${name} is ${operand.dtype}, expected ${dtypes.join(" or ")}`);
    }
    if (atLeast ? operand.size < size : operand.size !== size) {
      fail(`${name} has ${operand.size} elements, expected ${atLeast ? "at least " : ""}${size}`);
    }
  }
}

/** Bytes of a tensor: which storage, and from where to where. */
function extent(program: Program, index: number) {
  const { dtype, shape, place } = program.tensors[index]!;
  const storage = place.kind === "binding" ? `binding ${place.index}` : place.kind;
  const start = place.kind === "binding" ? 0 : place.offset;
  return { storage, start, end: start + sizeOf(shape) * bytesPerElement[dtype] };
}

/** Outputs must be writable, apart from each other, and apart from inputs unless in place. */
function checkWrites(program: Program, call: Call, fail: Fail): void {
  for (const [i, output] of call.outputs.entries()) {
    const { place, dtype } = program.tensors[output]!;
    if (place.kind === "constant") fail(`output ${i} is a constant`);
    if (place.kind === "binding" && isReadOnly(program.bindings[place.index]!.access)) {
      fail(`output ${i} is the read-only binding ${program.bindings[place.index]!.name}`);
    }
    const target = extent(program, output);
    const overlaps = (other: number) => {
      const { storage, start, end } = extent(program, other);
      return storage === target.storage && start < target.end && target.start < end;
    };
    if (call.outputs.some((other, j) => j < i && overlaps(other))) {
      fail(`output ${i} overlaps another output`);
    }
    for (const [j, input] of call.inputs.entries()) {
      if (!overlaps(input)) continue;
      const over = j === 0 && findKernel(call.kernel)?.overFirst === true;
      if (over && extent(program, input).start === target.start) continue;
      const row = hasEpilogue(call.kernel) ? (j < 2 ? undefined : j - 1) : j;
      const strides = row === undefined ? undefined : call.tile?.strides[row];
      const sameBytes =
        extent(program, input).start === target.start &&
        bytesPerElement[program.tensors[input]!.dtype] === bytesPerElement[dtype];
      if (!strides || !sameBytes || !isIdentity(strides, call.tile!.dims)) {
        fail(
          `output ${i} overlaps input ${j}, which is not a contiguous tile input at the same place`,
        );
      }
    }
  }
}

/**
 * A Program as text, one line per call, tile programs as formulas: the debugging view.
 *
 * @example
 * console.log(printProgram(program));
 * // program: 1 call, arena 0 bytes, constants 0 bytes
 * // binding x: float32[4] read
 * // binding y: float32[4] write
 * // 0: y float32[4] = map(x) over [4] { max(x * 2, 0) }
 */
export function printProgram(program: Program): string {
  const { bindings, calls, arenaBytes, constants } = program;
  const lines = [
    `program: ${calls.length} call${calls.length === 1 ? "" : "s"}, arena ${arenaBytes} bytes, ` +
      `constants ${constants.byteLength} bytes`,
    ...bindings.map(
      ({ name, dtype, size, access }) => `binding ${name}: ${dtype}[${size}] ${access}`,
    ),
    ...calls.map((call, i) => `${i}: ${printCall(program, call)}`),
  ];
  return lines.join("\n");
}

function tensorName(program: Program, index: number): string {
  const { place } = program.tensors[index]!;
  if (place.kind === "binding") return program.bindings[place.index]!.name;
  return `${place.kind === "constant" ? "c" : "t"}${index}`;
}

function printCall(program: Program, call: Call): string {
  const { kernel, inputs, outputs, ints, floats, tile } = call;
  const names = inputs.map((index) => tensorName(program, index));
  const results = outputs.map((index) => {
    const { dtype, shape } = program.tensors[index]!;
    return `${tensorName(program, index)} ${dtype}${showShape(shape)}`;
  });
  const row = findKernel(kernel);
  const attributes =
    kernel === "reduce"
      ? ints.map((r, i) => `${reducers[r]?.name}${floats[i] === 1 ? "" : ` × ${floats[i]}`}`)
      : [...printAttributes(row?.ints ?? [], ints), ...printAttributes(row?.floats ?? [], floats)];
  const tileNames = hasEpilogue(kernel) ? ["C", ...names.slice(2)] : names;
  return [
    `${results.join(", ")} = ${kernel}(${names.join(", ")})`,
    ...(attributes.length > 0 ? [attributes.join(" ")] : []),
    ...(tile ? [`over [${tile.dims.join(", ")}] { ${printTile(tile, tileNames)} }`] : []),
  ].join(" ");
}

function printAttributes(names: readonly string[], values: readonly number[]): string[] {
  const single = names.filter((name) => !name.startsWith("["));
  const rest = values.slice(single.length);
  return [
    ...single.map((name, i) => `${name}=${values[i]}`),
    ...(rest.length > 0 ? [`[${rest.join(", ")}]`] : []),
  ];
}

const infix: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  addInt: "+",
  subInt: "-",
  mulInt: "*",
  equal: "==",
  notEqual: "!=",
  less: "<",
  lessEqual: "<=",
  equalInt: "==",
  notEqualInt: "!=",
  lessInt: "<",
  lessEqualInt: "<=",
};

/** Values used once stand where they are used; the others get a name. */
function printTile(tile: TileProgram, inputs: readonly string[]): string {
  const uses = countUses(tile);
  const values: string[] = tile.strides.map((strides, j) =>
    isIdentity(strides, tile.dims) ? inputs[j]! : `${inputs[j]}{${strides.join(",")}}`,
  );
  const statements: string[] = [];
  for (const [n, instruction] of tile.instructions.entries()) {
    const args = instruction.args.map((register) => values[register]!);
    const constants = constantsOf(instruction).map(String);
    const sign = infix[instruction.op];
    let text = `${instruction.op}(${[...args, ...constants].join(", ")})`;
    if (sign) text = `(${args.join(` ${sign} `)})`;
    if (instruction.op.startsWith("const")) text = constants[0]!;
    if (uses[n]! > 1 && !instruction.op.startsWith("const")) {
      statements.push(`v${n} = ${unwrap(text)}`);
      text = `v${n}`;
    }
    values[instruction.dst] = text;
  }
  statements.push(tile.results.map((register) => unwrap(values[register]!)).join(", "));
  return statements.join("; ");
}

/** How often each instruction's value is read before its register is written again. */
function countUses(tile: TileProgram): number[] {
  const uses = tile.instructions.map(() => 0);
  const writer: (number | undefined)[] = [];
  const read = (register: number) => {
    const n = writer[register];
    if (n !== undefined) uses[n]!++;
  };
  for (const [n, { args, dst }] of tile.instructions.entries()) {
    args.forEach(read);
    writer[dst] = n;
  }
  tile.results.forEach(read);
  return uses;
}

/** Drops the outer parentheses of an infix formula. */
function unwrap(text: string): string {
  if (!text.startsWith("(")) return text;
  let depth = 0;
  for (let i = 0; i < text.length - 1; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return text;
  }
  return text.slice(1, -1);
}
