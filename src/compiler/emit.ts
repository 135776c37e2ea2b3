/**
 * Units to calls: builds tile programs (registers, strides, immediates), asks ops for their kernel
 * calls, and numbers the tensors. The output is a Program.
 */
import { LayerwiseError } from "../errors.js";
import type { OpNode } from "../ops/op.js";
import { allocate, bytesPerElement } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import type { Unit } from "./fuse.js";
import { asOpNode, type Graph, type Node, storageOf, type Value } from "./graph.js";
import { collapse, type Reading, readingOver } from "./layout.js";
import type { MemoryPlan } from "./memory.js";
import type {
  Binding,
  Call,
  Place,
  Program,
  ProgramTensor,
  TileInstruction,
  TileProgram,
} from "./program.js";
import type { Schedule } from "./schedule.js";

const reducers = { sum: 0, max: 1, min: 2, prod: 3 } as const;

export interface EmitRequest {
  readonly graph: Graph;
  readonly schedule: Schedule;
  readonly memory: MemoryPlan;
  readonly live: ReadonlySet<Value>;
  readonly bindings: readonly Binding[];
}

export function emit(request: EmitRequest): Program {
  return new Emitter(request).program();
}

class Emitter {
  readonly #request: EmitRequest;
  readonly #tensors: ProgramTensor[] = [];
  readonly #tensorOf = new Map<Value, number>();
  readonly #bindingTensors = new Map<number, number>();
  readonly #calls: Call[] = [];
  readonly #constants: number[] = [];

  constructor(request: EmitRequest) {
    this.#request = request;
  }

  program(): Program {
    for (const step of this.#request.schedule.steps) {
      if (step.unit) this.#unit(step.unit);
      else if (step.copy) this.#copy(step.copy.from, step.copy.binding);
    }
    return {
      tensors: this.#tensors,
      bindings: this.#request.bindings,
      calls: this.#calls,
      arenaBytes: this.#request.memory.arenaBytes,
      constants: Uint8Array.from(this.#constants),
    };
  }

  #unit(unit: Unit): void {
    const outputs = this.#liveOutputs(unit);
    if (outputs.every((value) => sizeOf(value.shape) === 0)) return;
    switch (unit.kind) {
      case "map": {
        const tile = new TileBuilder(unit, unit.domain, true);
        this.#calls.push(this.#tileCall("map", tile, [], outputs, [], []));
        return;
      }
      case "reduce":
        this.#reduce(unit);
        return;
      case "product":
        this.#product(unit, outputs);
        return;
      case "kernel":
        this.#kernel(unit.anchor!);
    }
  }

  /** What the unit must store: values that other steps, results or updates read. */
  #liveOutputs(unit: Unit): Value[] {
    const members = [...(unit.anchor ? [unit.anchor] : []), ...unit.nodes, ...unit.reductions];
    return members
      .filter((node) => !unit.repeats.has(node))
      .flatMap((node) => node.outputs.filter((v) => this.#request.live.has(v)));
  }

  #reduce(unit: Unit): void {
    const tile = new TileBuilder(unit, unit.view!, false);
    const ints: number[] = [];
    const floats: number[] = [];
    const inputs = unit.reductions.map((node) => node.inputs[0]!);
    for (const node of unit.reductions) {
      const { lowering } = node.op;
      if (lowering.kind !== "reduce") throw new LayerwiseError("compiler: not a reduction");
      const { reducer, scale } = lowering.parameters(asOpNode(node));
      ints.push(reducers[reducer]);
      floats.push(scale);
    }
    const outputs = unit.reductions.map((node) => node.outputs[0]!);
    this.#calls.push(this.#tileCall("reduce", tile, [], outputs, ints, floats, inputs));
  }

  #product(unit: Unit, outputs: readonly Value[]): void {
    const node = unit.anchor!;
    const { lowering } = node.op;
    if (lowering.kind !== "product") throw new LayerwiseError("compiler: not a product");
    const { kernel, ints } = lowering.call(asOpNode(node));
    const operands = node.inputs.map((value) => this.#tensor(value));
    if (unit.nodes.length === 0) {
      this.#calls.push({
        kernel,
        inputs: operands,
        outputs: [this.#tensor(node.outputs[0]!)],
        ints: [...ints],
        floats: [],
      });
      return;
    }
    const tile = new TileBuilder(unit, unit.view!, false, node.outputs[0]!);
    this.#calls.push(this.#tileCall(kernel, tile, operands, outputs, ints, []));
  }

  #kernel(node: Node): void {
    const { lowering } = node.op;
    if (lowering.kind !== "kernels")
      throw new LayerwiseError(`compiler: ${node.op.name} has no kernels`);
    const output = (i: number): number => this.#tensor(node.outputs[i]!);
    lowering.emit({
      attributes: node.attributes,
      inputs: node.inputs,
      outputs: node.outputs,
      call: (kernel, inputs, outputs, ints = [], floats = []) => {
        this.#calls.push({
          kernel,
          inputs: inputs.map((i) => this.#tensor(node.inputs[i]!)),
          outputs: outputs.map(output),
          ints: [...ints],
          floats: [...floats],
        });
      },
      fill: (i, value) => this.#fill(output(i), node.outputs[i]!, value),
      wanted: (i) => this.#request.live.has(node.outputs[i]!),
      inPlace: (i) =>
        this.#request.memory.parts.get(storageOf(node.inputs[i]!))?.whole === node.outputs[0],
    });
  }

  #copy(from: Value, binding: number): void {
    const size = sizeOf(from.shape);
    if (size === 0) return;
    const target = this.#bindingTensor(binding);
    const storage = storageOf(from);
    if (storage.literal !== undefined) {
      this.#fill(target, from, storage.literal);
      return;
    }
    this.#calls.push({
      kernel: "copy",
      inputs: [this.#tensor(from)],
      outputs: [target],
      ints: [1, 0, 0, size, 1, 1],
      floats: [],
    });
  }

  #fill(target: number, { shape, dtype }: Value, value: number): void {
    const op = dtype === "float32" ? "constFloat" : "constInt";
    this.#calls.push({
      kernel: "map",
      inputs: [],
      outputs: [target],
      ints: [],
      floats: [],
      tile: {
        dims: [sizeOf(shape)],
        strides: [],
        registers: 1,
        instructions: [{ op, dst: 0, args: [], constant: value }],
        results: [0],
      },
    });
  }

  #tileCall(
    kernel: string,
    tile: TileBuilder,
    operands: readonly number[],
    outputs: readonly Value[],
    ints: readonly number[],
    floats: readonly number[],
    results: readonly Value[] = outputs,
  ): Call {
    const program = tile.build(results);
    return {
      kernel,
      inputs: [...operands, ...tile.inputs.map((value) => this.#tensor(value))],
      outputs: outputs.map((value) => this.#tensor(value)),
      ints,
      floats,
      tile: program,
    };
  }

  #tensor(value: Value): number {
    const storage = storageOf(value);
    const binding = this.#request.schedule.bindingOf.get(storage);
    if (binding !== undefined) return this.#bindingTensor(binding);
    const known = this.#tensorOf.get(storage);
    if (known !== undefined) return known;
    const { shape, dtype } = storage;
    const index = this.#tensors.push({ shape, dtype, place: this.#place(storage) }) - 1;
    this.#tensorOf.set(storage, index);
    return index;
  }

  #place(storage: Value): Place {
    if (storage.literal !== undefined) return this.#constant(storage);
    const offset = this.#request.memory.offsetOf.get(storage);
    if (offset === undefined) throw new LayerwiseError("compiler: a value without a home");
    return { kind: "arena", offset };
  }

  #constant({ literal, dtype }: Value): Place {
    const array = allocate(dtype, 1);
    array[0] = literal!;
    while (this.#constants.length % 64 !== 0) this.#constants.push(0);
    const offset = this.#constants.length;
    this.#constants.push(...new Uint8Array(array.buffer, array.byteOffset, bytesPerElement[dtype]));
    return { kind: "constant", offset };
  }

  #bindingTensor(index: number): number {
    const known = this.#bindingTensors.get(index);
    if (known !== undefined) return known;
    const { dtype, size } = this.#request.bindings[index]!;
    const tensor =
      this.#tensors.push({ shape: [size], dtype, place: { kind: "binding", index } }) - 1;
    this.#bindingTensors.set(index, tensor);
    return tensor;
  }
}

/** Collects a unit's inputs and instructions and assigns registers. */
class TileBuilder {
  /** Values that are tile inputs, in order (a product's own result, register 0, is not among them). */
  readonly inputs: Value[] = [];
  readonly #unit: Unit;
  readonly #view: readonly number[];
  readonly #collapses: boolean;
  readonly #product: Value | undefined;
  readonly #readings: Reading[] = [];
  readonly #virtual = new Map<string, number>();
  readonly #instructions: {
    op: string;
    args: number[];
    constant?: number | readonly number[];
  }[] = [];

  constructor(unit: Unit, view: readonly number[], collapses: boolean, product?: Value) {
    this.#unit = unit;
    this.#view = view;
    this.#collapses = collapses;
    this.#product = product;
  }

  /** Virtual registers: inputs count down from −1, instruction results count up from 0. */
  build(results: readonly Value[]): TileProgram {
    if (this.#product) {
      this.#virtual.set(`value ${this.#product.id}`, -1);
      this.#readings.push([this.#view[1]!, 1]);
    }
    for (const node of this.#unit.nodes) this.#node(node);
    const registers = results.map((value) => this.#operand(value));
    const inputCount = this.#readings.length;
    const { dims, strides } = this.#collapses
      ? collapse(this.#view, this.#readings)
      : { dims: [...this.#view], strides: this.#readings.map((r) => [...r]) };
    return { dims, strides, ...assignRegisters(inputCount, this.#instructions, registers) };
  }

  #node(node: Node): void {
    const { lowering } = node.op;
    if (lowering.kind !== "elementwise") throw new LayerwiseError("compiler: not element-wise");
    const constants = lowering.constants?.(node.attributes);
    // Instructions with attributes (random bits) read their operands as tile inputs, even literals.
    const args = node.inputs.map((value) => (constants ? this.#read(value) : this.#operand(value)));
    const recorded: OpNode = asOpNode(node);
    const op = lowering.instruction(recorded);
    const output = `value ${node.outputs[0]!.id}`;
    if (op === "identity") {
      this.#virtual.set(output, args[0]!);
      return;
    }
    const index = this.#instructions.push(
      constants ? { op, args, constant: constants } : { op, args },
    );
    this.#virtual.set(output, index - 1);
  }

  #operand(value: Value): number {
    const storage = storageOf(value);
    const inside = this.#virtual.get(`value ${storage.id}`);
    if (inside !== undefined) return inside;
    if (storage.literal !== undefined) {
      const op = storage.dtype === "float32" ? "constFloat" : "constInt";
      const constant = storage.dtype === "float32" ? Math.fround(storage.literal) : storage.literal;
      return this.#once(
        `${op} ${Object.is(constant, -0) ? "-0" : constant}`,
        () => this.#instructions.push({ op, args: [], constant }) - 1,
      );
    }
    return this.#read(value);
  }

  #read(value: Value): number {
    const storage = storageOf(value);
    const reading = readingOver(value, this.#unit.domain, this.#view);
    if (!reading) throw new LayerwiseError("compiler: an input without strides over its domain");
    return this.#once(`input ${storage.id} ${reading.join()}`, () => {
      this.inputs.push(value);
      return -this.#readings.push(reading);
    });
  }

  #once(key: string, make: () => number): number {
    const known = this.#virtual.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#virtual.set(key, made);
    return made;
  }
}

/** Linear scan: a register is free again after its value's last use; inputs keep theirs. */
function assignRegisters(
  inputCount: number,
  instructions: readonly {
    op: string;
    args: number[];
    constant?: number | readonly number[];
  }[],
  results: readonly number[],
): Pick<TileProgram, "registers" | "instructions" | "results"> {
  const lastUse = new Array<number>(instructions.length).fill(-1);
  instructions.forEach((instruction, i) => {
    for (const arg of instruction.args) if (arg >= 0) lastUse[arg] = i;
  });
  for (const result of results) if (result >= 0) lastUse[result] = instructions.length;
  const physical = new Array<number>(instructions.length);
  const free: number[] = [];
  let registers = inputCount;
  const place = (virtual: number): number => (virtual < 0 ? -virtual - 1 : physical[virtual]!);
  const emitted: TileInstruction[] = [];
  instructions.forEach(({ op, args, constant }, i) => {
    const sources = args.map(place);
    for (const arg of new Set(args)) {
      if (arg >= 0 && lastUse[arg] === i) free.push(physical[arg]!);
    }
    const dst = free.pop() ?? registers++;
    physical[i] = dst;
    if (lastUse[i] === -1) free.push(dst);
    emitted.push(
      constant === undefined ? { op, dst, args: sources } : { op, dst, args: sources, constant },
    );
  });
  return { registers: Math.max(registers, 1), instructions: emitted, results: results.map(place) };
}
