/**
 * Symbolic tensors: what a layer gives when it is applied to an `input()` instead of to values. They
 * carry a shape whose free dimensions are null, and the connection that made them, from which
 * `network/` builds a model. No computation happens here.
 */
import type { DType } from "../tensor/dtype.js";
import { inspect } from "../tensor/inspect.js";
import { showShape } from "../tensor/shape.js";
import type { Layer } from "./layer.js";

/** A shape with null for dimensions that are free, the batch size first of all. */
export type BatchShape = readonly (number | null)[];

/** Shape and dtype of a layer's input or output. */
export interface BatchSpec {
  readonly shape: BatchShape;
  readonly dtype: DType;
}

/** One application of a layer to symbolic tensors. */
export interface Connection {
  readonly layer: Layer;
  /** Counts the applications of this layer: above 0 it is shared. */
  readonly index: number;
  readonly inputs: readonly SymbolicTensor[];
  /** True when the layer was given an array, even of one tensor. */
  readonly listed: boolean;
  readonly outputs: readonly SymbolicTensor[];
  /** Fixed to training or inference for this application; undefined: as the whole model runs. */
  readonly training: boolean | undefined;
}

let nextId = 1;

/** A tensor that is known by shape and dtype only, as `input()` and `layer.apply()` give it. */
export class SymbolicTensor implements BatchSpec {
  /** Increases in order of creation. */
  readonly id: number = nextId++;
  readonly name: string;
  readonly shape: BatchShape;
  readonly dtype: DType;
  /** The application of a layer that made it. */
  readonly connection: Connection;
  /** Which of the layer's outputs this is. */
  readonly outputIndex: number;

  /** @internal Use `input()`, or apply a layer. */
  constructor(spec: BatchSpec, name: string, connection: Connection, outputIndex: number) {
    this.shape = Object.freeze([...spec.shape]);
    this.dtype = spec.dtype;
    this.name = name;
    this.connection = connection;
    this.outputIndex = outputIndex;
  }

  /** Number of dimensions, the batch included. */
  get rank(): number {
    return this.shape.length;
  }

  toString(): string {
    return `SymbolicTensor ${this.name} ${this.dtype} ${showShape(this.shape)}`;
  }

  /** What `console.log` shows. */
  [inspect](): string {
    return this.toString();
  }
}
