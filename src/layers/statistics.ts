/** Mean and variance of data that passes by in batches. Knows no layers. */
import type { TypedArray } from "../tensor/dtype.js";
import { type Shape, sameShape, sizeOf } from "../tensor/shape.js";

/**
 * Mean and variance for each index of some kept axes, in float64: of each batch in two passes, joined with
 * what came before as Chan, Golub & LeVeque (1979) do. Squares of large values never cancel.
 */
export class RunningMoments {
  readonly mean: Float64Array;
  /** Numbers that each mean is of. */
  count = 0;
  /** Sums of squared distances from the mean. */
  readonly #squares: Float64Array;
  readonly #axes: readonly number[];
  /** For each value of a sample which mean it counts for, and the shape of samples that it holds for. */
  #places: { readonly shape: Shape; readonly of: Int32Array } | undefined;

  /** `axes` are those that are kept, without the batch's; `size` is the product of their sizes. */
  constructor(axes: readonly number[], size: number) {
    this.#axes = axes;
    this.mean = new Float64Array(size);
    this.#squares = new Float64Array(size);
  }

  get variance(): Float64Array {
    return this.#squares.map((s) => s / this.count);
  }

  /** Takes a batch of samples. */
  add(values: TypedArray, shape: Shape): void {
    if (values.length === 0) return;
    const places = this.#placesOf(shape.slice(1));
    const size = this.mean.length;
    const here = values.length / size;
    const mean = new Float64Array(size);
    for (let i = 0; i < values.length; ) {
      for (const place of places) mean[place]! += values[i++]!;
    }
    for (let k = 0; k < size; k++) mean[k]! /= here;
    const squares = new Float64Array(size);
    for (let i = 0; i < values.length; ) {
      for (const place of places) squares[place]! += (values[i++]! - mean[place]!) ** 2;
    }
    const before = this.count;
    this.count += here;
    for (let k = 0; k < size; k++) {
      const apart = mean[k]! - this.mean[k]!;
      this.mean[k]! += (apart * here) / this.count;
      this.#squares[k]! += squares[k]! + apart * apart * before * (here / this.count);
    }
  }

  #placesOf(shape: Shape): Int32Array {
    if (this.#places && sameShape(this.#places.shape, shape)) return this.#places.of;
    const of = new Int32Array(sizeOf(shape));
    let inner = 1;
    let step = 1;
    for (let axis = shape.length; axis > 0; axis--) {
      const size = shape[axis - 1]!;
      if (this.#axes.includes(axis)) {
        for (let i = 0; i < of.length; i++) of[i]! += (Math.floor(i / inner) % size) * step;
        step *= size;
      }
      inner *= size;
    }
    this.#places = { shape, of };
    return of;
  }
}
