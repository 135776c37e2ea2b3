/**
 * `gemm`: C[b] = op(A[b]) · op(B[b]) with an optional tile program (bias, activation …) over C.
 * Sums run in double over blocks of `blockK` terms, which are added in order to the float32 C.
 */
import { expectProduct, type Product, prepareProduct } from "./epilogue.js";
import { checkSizes, float32, type Kernel } from "./kernel.js";
import type { Fail } from "./tile.js";

/** A matrix inside an array: element (i, j) is at `offset + i·rows + j·columns`. */
export interface Matrix {
  readonly data: Float32Array;
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
}

/** Register tile: 4×4 double accumulators; larger ones spill and are no faster in V8. */
const tileM = 4;
const tileN = 4;
/** Packed blocks: 128×256 doubles of A are 256 KiB, 256×512 of B 1 MiB, both inside a 2 MiB L2. */
const blockM = 128;
const blockN = 512;
const blockK = 256;
/** Below this many multiplications, packing costs more than it saves. */
const smallProduct = 1024;

const packedA = new Float64Array(blockM * blockK);
const packedB = new Float64Array(blockN * blockK);
let rowSums = new Float64Array(0);

/** C = A·B for C row-major m×n at `c[offset]`. */
export function multiply(
  m: number,
  n: number,
  k: number,
  a: Matrix,
  b: Matrix,
  c: Float32Array,
  offset: number,
): void {
  if (k === 0) {
    c.fill(0, offset, offset + m * n);
  } else if (k === 1) {
    multiplyOuter(m, n, a, b, c, offset);
  } else if (b.columns === 1 && n >= tileN && m < tileM) {
    multiplyRows(m, n, k, a, b, c, offset);
  } else if (n < tileN) {
    // Cᵀ = Bᵀ·Aᵀ has the longer rows.
    const target = { data: c, offset, rows: 1, columns: n };
    multiplyDots(n, m, k, transposed(b), transposed(a), target);
  } else if (m < tileM || m * n * k <= smallProduct) {
    multiplyDots(m, n, k, a, b, { data: c, offset, rows: n, columns: 1 });
  } else {
    multiplyPacked(m, n, k, a, b, c, offset);
  }
}

function transposed({ data, offset, rows, columns }: Matrix): Matrix {
  return { data, offset, rows: columns, columns: rows };
}

/** Dot products, four of a row at a time: for tiny and for thin matrices. */
function multiplyDots(m: number, n: number, k: number, a: Matrix, b: Matrix, c: Matrix): void {
  const { data: x, columns: stepA } = a;
  const { data: y, rows: stepB, columns: nextB } = b;
  const { data: z, columns: nextC } = c;
  for (let i = 0; i < m; i++) {
    const row = a.offset + i * a.rows;
    let to = c.offset + i * c.rows;
    let j = 0;
    for (; j + 4 <= n; j += 4, to += 4 * nextC) {
      let at = row;
      let b0 = b.offset + j * nextB;
      let b1 = b0 + nextB;
      let b2 = b1 + nextB;
      let b3 = b2 + nextB;
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let p = 0; p < k; p++) {
        const value = x[at]!;
        s0 += value * y[b0]!;
        s1 += value * y[b1]!;
        s2 += value * y[b2]!;
        s3 += value * y[b3]!;
        at += stepA;
        b0 += stepB;
        b1 += stepB;
        b2 += stepB;
        b3 += stepB;
      }
      z[to] = s0;
      z[to + nextC] = s1;
      z[to + 2 * nextC] = s2;
      z[to + 3 * nextC] = s3;
    }
    for (; j < n; j++, to += nextC) {
      let at = row;
      let bt = b.offset + j * nextB;
      let sum = 0;
      for (let p = 0; p < k; p++, at += stepA, bt += stepB) sum += x[at]! * y[bt]!;
      z[to] = sum;
    }
  }
}

/** A column times a row: the weight gradient of one sample. */
function multiplyOuter(
  m: number,
  n: number,
  a: Matrix,
  b: Matrix,
  c: Float32Array,
  offset: number,
): void {
  const { data: y, offset: from, columns: step } = b;
  for (let i = 0; i < m; i++) {
    const value = a.data[a.offset + i * a.rows]!;
    const row = offset + i * n;
    for (let j = 0; j < n; j++) c[row + j] = value * y[from + j * step]!;
  }
}

/** Few rows times a B with contiguous rows: each row of C gathers rows of B, four at a time. */
function multiplyRows(
  m: number,
  n: number,
  k: number,
  a: Matrix,
  b: Matrix,
  c: Float32Array,
  offset: number,
): void {
  if (rowSums.length < n) rowSums = new Float64Array(n);
  const sums = rowSums;
  const { data: x, columns: stepA } = a;
  const { data: y, rows: stepB } = b;
  for (let i = 0; i < m; i++) {
    sums.fill(0, 0, n);
    let at = a.offset + i * a.rows;
    let bt = b.offset;
    let p = 0;
    for (; p + 4 <= k; p += 4, at += 4 * stepA, bt += 4 * stepB) {
      const x0 = x[at]!;
      const x1 = x[at + stepA]!;
      const x2 = x[at + 2 * stepA]!;
      const x3 = x[at + 3 * stepA]!;
      const b1 = bt + stepB;
      const b2 = b1 + stepB;
      const b3 = b2 + stepB;
      for (let j = 0; j < n; j++) {
        sums[j]! += x0 * y[bt + j]! + x1 * y[b1 + j]! + x2 * y[b2 + j]! + x3 * y[b3 + j]!;
      }
    }
    for (; p < k; p++, at += stepA, bt += stepB) {
      const x0 = x[at]!;
      for (let j = 0; j < n; j++) sums[j]! += x0 * y[bt + j]!;
    }
    for (let j = 0; j < n; j++) c[offset + i * n + j] = sums[j]!;
  }
}

/** The general case: blocks of A and B packed as doubles in tile order, as in BLIS. */
function multiplyPacked(
  m: number,
  n: number,
  k: number,
  a: Matrix,
  b: Matrix,
  c: Float32Array,
  offset: number,
): void {
  for (let j0 = 0; j0 < n; j0 += blockN) {
    const nb = Math.min(blockN, n - j0);
    for (let p0 = 0; p0 < k; p0 += blockK) {
      const kb = Math.min(blockK, k - p0);
      pack(packedB, b.data, b.offset + j0 * b.columns + p0 * b.rows, b.columns, b.rows, nb, kb);
      for (let i0 = 0; i0 < m; i0 += blockM) {
        const mb = Math.min(blockM, m - i0);
        pack(packedA, a.data, a.offset + i0 * a.rows + p0 * a.columns, a.rows, a.columns, mb, kb);
        for (let j = 0; j < nb; j += tileN) {
          for (let i = 0; i < mb; i += tileM) {
            const at = offset + (i0 + i) * n + j0 + j;
            if (i + tileM <= mb && j + tileN <= nb) {
              tile4x4(packedA, i * kb, packedB, j * kb, kb, c, at, n, p0 > 0);
            } else {
              tile4x4(packedA, i * kb, packedB, j * kb, kb, edge, 0, tileN, false);
              addEdge(c, at, n, Math.min(tileM, mb - i), Math.min(tileN, nb - j), p0 > 0);
            }
          }
        }
      }
    }
  }
}

/**
 * Packs `count` rows (of A; columns of B) of `length` terms into panels of four: term p of row i goes
 * to `⌊i/4⌋·4·length + 4·p + i mod 4`. Rows missing from the last panel are zeros.
 */
function pack(
  out: Float64Array,
  data: Float32Array,
  offset: number,
  rowStride: number,
  termStride: number,
  count: number,
  length: number,
): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    let to = i * length;
    let r0 = offset + i * rowStride;
    let r1 = r0 + rowStride;
    let r2 = r1 + rowStride;
    let r3 = r2 + rowStride;
    for (let p = 0; p < length; p++) {
      out[to] = data[r0]!;
      out[to + 1] = data[r1]!;
      out[to + 2] = data[r2]!;
      out[to + 3] = data[r3]!;
      to += 4;
      r0 += termStride;
      r1 += termStride;
      r2 += termStride;
      r3 += termStride;
    }
  }
  if (i < count) {
    for (let p = 0; p < length; p++) {
      for (let r = 0; r < 4; r++) {
        const inside = i + r < count;
        out[i * length + 4 * p + r] = inside
          ? data[offset + (i + r) * rowStride + p * termStride]!
          : 0;
      }
    }
  }
}

const edge = new Float32Array(tileM * tileN);

/** Copies or adds the part of `edge` that lies inside C. */
function addEdge(
  c: Float32Array,
  at: number,
  ldc: number,
  rows: number,
  columns: number,
  add: boolean,
): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const to = at + i * ldc + j;
      c[to] = add ? c[to]! + edge[i * tileN + j]! : edge[i * tileN + j]!;
    }
  }
}

/** One register tile: `c[at + i·ldc + j] (+)= Σ_p a[p][i]·b[p][j]` over packed panels. */
function tile4x4(
  a: Float64Array,
  aAt: number,
  b: Float64Array,
  bAt: number,
  k: number,
  c: Float32Array,
  at: number,
  ldc: number,
  add: boolean,
): void {
  let [c00, c01, c02, c03] = [0, 0, 0, 0];
  let [c10, c11, c12, c13] = [0, 0, 0, 0];
  let [c20, c21, c22, c23] = [0, 0, 0, 0];
  let [c30, c31, c32, c33] = [0, 0, 0, 0];
  for (let p = 0; p < k; p++) {
    const b0 = b[bAt]!;
    const b1 = b[bAt + 1]!;
    const b2 = b[bAt + 2]!;
    const b3 = b[bAt + 3]!;
    const a0 = a[aAt]!;
    c00 += a0 * b0;
    c01 += a0 * b1;
    c02 += a0 * b2;
    c03 += a0 * b3;
    const a1 = a[aAt + 1]!;
    c10 += a1 * b0;
    c11 += a1 * b1;
    c12 += a1 * b2;
    c13 += a1 * b3;
    const a2 = a[aAt + 2]!;
    c20 += a2 * b0;
    c21 += a2 * b1;
    c22 += a2 * b2;
    c23 += a2 * b3;
    const a3 = a[aAt + 3]!;
    c30 += a3 * b0;
    c31 += a3 * b1;
    c32 += a3 * b2;
    c33 += a3 * b3;
    aAt += 4;
    bAt += 4;
  }
  const r1 = at + ldc;
  const r2 = r1 + ldc;
  const r3 = r2 + ldc;
  if (add) {
    c00 += c[at]!;
    c01 += c[at + 1]!;
    c02 += c[at + 2]!;
    c03 += c[at + 3]!;
    c10 += c[r1]!;
    c11 += c[r1 + 1]!;
    c12 += c[r1 + 2]!;
    c13 += c[r1 + 3]!;
    c20 += c[r2]!;
    c21 += c[r2 + 1]!;
    c22 += c[r2 + 2]!;
    c23 += c[r2 + 3]!;
    c30 += c[r3]!;
    c31 += c[r3 + 1]!;
    c32 += c[r3 + 2]!;
    c33 += c[r3 + 3]!;
  }
  c[at] = c00;
  c[at + 1] = c01;
  c[at + 2] = c02;
  c[at + 3] = c03;
  c[r1] = c10;
  c[r1 + 1] = c11;
  c[r1 + 2] = c12;
  c[r1 + 3] = c13;
  c[r2] = c20;
  c[r2 + 1] = c21;
  c[r2 + 2] = c22;
  c[r2 + 3] = c23;
  c[r3] = c30;
  c[r3 + 1] = c31;
  c[r3 + 2] = c32;
  c[r3 + 3] = c33;
}

/** The whole batch of products, as the attributes say. */
function multiplyAll(ints: readonly number[]): Product {
  const [batch, m, n, k, transposeA, transposeB, strideA, strideB] = ints as Ints;
  return (a, b, c) => {
    for (let i = 0; i < batch; i++) {
      multiply(
        m,
        n,
        k,
        {
          data: a,
          offset: i * strideA,
          rows: transposeA ? 1 : k,
          columns: transposeA ? m : 1,
        },
        {
          data: b,
          offset: i * strideB,
          rows: transposeB ? 1 : n,
          columns: transposeB ? k : 1,
        },
        c,
        i * m * n,
      );
    }
  };
}

type Ints = [number, number, number, number, number, number, number, number];

const names = ["batch", "m", "n", "k", "transposeA", "transposeB", "strideA", "strideB"] as const;

export const gemm: Kernel = {
  ints: names,
  floats: [],
  tile: "epilogue",
  expect({ inputs, ints, tile }, fail: Fail) {
    checkSizes(names, ints, ["transposeA", "transposeB"], fail);
    const [batch, m, n, k, , , strideA, strideB] = ints as Ints;
    const matrix = (name: string, size: number, stride: number) => ({
      name,
      dtypes: float32,
      size: batch === 0 || size === 0 ? 0 : size + (batch - 1) * stride,
      atLeast: true,
    });
    const operands = [matrix("A", m * k, strideA), matrix("B", k * n, strideB)];
    return expectProduct(
      { operands, rows: batch * m, columns: n, domain: "[batch·m, n]", inputs, tile },
      fail,
    );
  },
  prepare: ({ outputs, ints, tile }, { interpret = false }) =>
    prepareProduct(multiplyAll(ints), outputs, tile, interpret),
};
