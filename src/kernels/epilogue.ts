/**
 * The epilogue that products carry (`gemm`, the convolutions): a tile program over the result C seen as
 * a matrix. Register 0 holds C, which has no tensor of its own; tile inputs 1… follow the two operands.
 */
import type { DType, TypedArray } from "../tensor/dtype.js";
import {
  type Expectation,
  type Expectations,
  float32,
  type KernelRun,
  type Operand,
} from "./kernel.js";
import { domainSize, expectTileInputs, expectTileOutputs, prepareMap } from "./map.js";
import { checkTile, type Fail, isIdentity, laneOf, type TileProgram } from "./tile.js";

/** C from its two operands. */
export type Product = (a: Float32Array, b: Float32Array, c: Float32Array) => void;

/** A product's call as its attributes describe it. */
export interface ProductCheck {
  readonly operands: readonly Expectation[];
  /** C's elements, rows × columns, and how docs/program.md calls that. */
  readonly rows: number;
  readonly columns: number;
  readonly domain: string;
  readonly inputs: readonly Operand[];
  readonly tile: TileProgram | undefined;
}

/** What the call must have: its operands, then tile inputs; C, or the tile's results. */
export function expectProduct(check: ProductCheck, fail: Fail): Expectations {
  const { operands, rows, columns, domain, inputs, tile } = check;
  const size = rows * columns;
  if (!tile) return { inputs: operands, outputs: [{ name: "C", dtypes: float32, size }] };
  const extra = inputs.slice(2);
  if (tile.dims.length !== 2 || tile.dims[0] !== rows || tile.dims[1] !== columns) {
    fail(`the epilogue's domain [${tile.dims}] is not ${domain} = [${rows}, ${columns}]`);
  }
  domainSize(tile, fail);
  const lanes = checkTile(tile, ["f", ...extra.map((input) => laneOf(input.dtype))], fail);
  if (!isIdentity(tile.strides[0]!, tile.dims)) {
    fail(`stride row 0 of the epilogue stands for C and must be [${columns}, 1]`);
  }
  return {
    inputs: [...operands, ...expectTileInputs(tile, extra, 1)],
    outputs: expectTileOutputs(lanes, size),
  };
}

/** Scratch for C where an epilogue can't work on its own output; only ever used inside one call. */
let scratch = new Float32Array(0);

function overlaps(a: TypedArray, b: TypedArray): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  );
}

/** Runs `product`, then the tile program over what it gave. */
export function prepareProduct(
  product: Product,
  outputs: readonly { readonly dtype: DType; readonly size: number }[],
  tile: TileProgram | undefined,
  interpret: boolean,
): KernelRun {
  if (!tile) {
    return ([a, b], [c]) => product(a as Float32Array, b as Float32Array, c as Float32Array);
  }
  const epilogue = prepareMap(
    tile,
    outputs.map((output) => output.dtype),
    interpret,
  );
  const size = outputs[0]!.size;
  const direct = outputs[0]!.dtype === "float32";
  return ([a, b, ...rest], results) => {
    // C goes straight to the first result and is rewritten there, unless that holds an input.
    let c = results[0] as Float32Array;
    if (!direct || rest.some((input) => overlaps(input, c))) {
      if (scratch.length < size) scratch = new Float32Array(size);
      c = scratch;
    }
    product(a as Float32Array, b as Float32Array, c);
    epilogue([c, ...rest], results);
  };
}
