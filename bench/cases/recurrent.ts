/** Recurrent layers over whole sequences, forward alone and with all gradients, and single steps. */
import type { Case, RecurrentSpec } from "../lib/spec.js";

type Shape = Pick<RecurrentSpec, "batch" | "time" | "inputs" | "units"> & {
  readonly layers?: number;
  readonly lengths?: readonly number[];
};

/** Multiply-adds of the products with x and h; three times as many with the gradients. */
function flopsOf(spec: RecurrentSpec): number {
  const { cell, batch, time, inputs, units, layers, training, lengths } = spec;
  const steps = lengths ? lengths.reduce((a, b) => a + b) : batch * time;
  const gates = cell === "lstm" ? 4 : 3;
  let flops = 0;
  for (let i = 0; i < layers; i++) {
    flops += 2 * steps * gates * units * ((i === 0 ? inputs : units) + units);
  }
  return flops * (training ? 3 : 1);
}

function row(what: string, shape: Shape, cell: "lstm" | "gru", training: boolean): Case {
  const { batch, time, inputs, units, layers = 1, lengths } = shape;
  const spec: RecurrentSpec = {
    ...{ kind: "kernel", kernel: "recurrent", cell, training },
    ...{ batch, time, inputs, units, layers },
    ...(lengths && { lengths }),
  };
  const size = `${batch}x${time}x${inputs}->${units}${layers > 1 ? ` ${layers} layers` : ""}`;
  const bytes = 4 * (inputs + units) * (cell === "lstm" ? 4 : 3) * units;
  return {
    group: "recurrent",
    name: `kernel recurrent ${cell} ${what} ${size}${training ? " forward and backward" : " forward"}`,
    spec,
    ours: "native",
    peers: ["PyTorch"],
    unit: "call",
    flops: flopsOf(spec),
    // One row reads the weights and does little with them.
    ...(batch === 1 && time === 1 && { traffic: { read: bytes } }),
  };
}

/** Lengths whose mean is a quarter of `time`: evenly up to its half, or few long ones among many short ones. */
const quarters: Record<string, (share: number) => number> = {
  "a quarter of the steps, evenly": (share) => share / 2,
  "a quarter of the steps, few long": (share) => share ** 3,
};

function lengthsOf({ batch, time }: Shape, of: (share: number) => number): readonly number[] {
  return Array.from({ length: batch }, (_, i) =>
    Math.max(1, Math.round(time * of((i + 0.5) / batch))),
  );
}

const shapes: readonly (readonly [string, Shape, readonly ("lstm" | "gru")[]])[] = [
  ["characters", { batch: 32, time: 64, inputs: 64, units: 256 }, ["lstm", "gru"]],
  ["mnist rows", { batch: 64, time: 28, inputs: 28, units: 128 }, ["lstm", "gru"]],
  ["words", { batch: 20, time: 35, inputs: 650, units: 650, layers: 2 }, ["lstm"]],
];
const single: Shape = { batch: 1, time: 1, inputs: 512, units: 512 };

export const cases: readonly Case[] = [
  ...shapes.flatMap(([what, shape, cells]) =>
    cells.flatMap((cell) => [false, true].map((training) => row(what, shape, cell, training))),
  ),
  // Beside the rows of the same sequences in full: what lengths save.
  ...shapes
    .slice(0, 2)
    .flatMap(([what, shape, cells]) =>
      Object.entries(quarters).flatMap(([which, of]) =>
        cells.map((cell) =>
          row(`${what}, ${which},`, { ...shape, lengths: lengthsOf(shape, of) }, cell, true),
        ),
      ),
    ),
  ...(["lstm", "gru"] as const).map((cell) => row("single step", single, cell, false)),
];
