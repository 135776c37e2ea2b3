/** Truth tables of logic gates as data sets: the smallest things a network can learn. */
import { type Tensor, tensor } from "../tensor/tensor.js";

/** The four inputs x `[4, 2]` and the gate's answers y `[4, 1]`, float32 zeros and ones. */
export interface LogicGate {
  readonly x: Tensor;
  readonly y: Tensor;
}

const tables = {
  and: [0, 0, 0, 1],
  or: [0, 1, 1, 1],
  nand: [1, 1, 1, 0],
  nor: [1, 0, 0, 0],
  xor: [0, 1, 1, 0],
  xnor: [1, 0, 0, 1],
} as const;

/** Name of a gate with two inputs. */
export type LogicGateName = keyof typeof tables;

/**
 * The truth tables of the two-input gates, rows in the order 00, 01, 10, 11. A perceptron learns
 * all of them but `xor` and `xnor`, which no straight line separates (Minsky and Papert 1969).
 *
 * @example
 * const { xor } = lw.datasets.logicGates();
 * xor.x.shape; // [4, 2]
 */
export function logicGates(): Readonly<Record<LogicGateName, LogicGate>> {
  const gate = (name: LogicGateName): LogicGate => ({
    x: tensor(Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), [4, 2]),
    y: tensor(Float32Array.from(tables[name]), [4, 1]),
  });
  return {
    and: gate("and"),
    or: gate("or"),
    nand: gate("nand"),
    nor: gate("nor"),
    xor: gate("xor"),
    xnor: gate("xnor"),
  };
}
