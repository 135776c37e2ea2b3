/**
 * Every kernel of the addon against plain float64 JavaScript, on every instruction set this machine
 * has, and bit for bit against itself at other thread counts. Finer comparisons with the TypeScript
 * kernels are in test/kernels.test.ts.
 */
import { afterAll, describe, expect, it } from "vitest";
import { addon, contiguous, floats, ProgramBuilder, random, type TileSpec } from "./builder.js";

const { isas, threads } = addon.info();
afterAll(() => {
  addon.setIsa(isas[0]!);
  addon.setThreads(threads);
});

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    if (Object.is(g, w) || Math.abs(g - w) <= tolerance * (1 + Math.abs(w))) continue;
    if (Number.isNaN(g) && Number.isNaN(w)) continue;
    throw new Error(`at ${i}: got ${g}, expected ${w}`);
  }
}

describe.each(isas)("%s", (isa) => {
  /** Loads on this instruction set and runs with 1, 2 and 3 threads into fresh outputs. */
  function runAll(
    builder: ProgramBuilder,
    bindings: () => (Float32Array | Int32Array | Uint8Array)[],
  ) {
    addon.setIsa(isa);
    const handle = builder.load();
    const results = [1, 2, 3].map((count) => {
      addon.setThreads(count);
      const arrays = bindings();
      addon.runSync(handle, arrays);
      return arrays;
    });
    for (const other of results.slice(1)) {
      for (const [i, array] of other.entries()) {
        expect(Buffer.compare(Buffer.from(array.buffer), Buffer.from(results[0]![i]!.buffer))).toBe(
          0,
        );
      }
    }
    return results[0]!;
  }

  const gemmShapes = [
    [1, 1, 1, 1],
    [1, 4, 8, 2],
    [1, 4, 1, 8],
    [1, 13, 17, 5],
    [1, 29, 33, 70],
    [1, 1, 100, 300],
    [1, 100, 1, 300],
    [3, 7, 9, 11],
    [2, 30, 40, 50],
    [1, 128, 10, 512],
    [1, 130, 513, 260],
    [1, 100, 70, 600],
    [1, 5, 6, 0],
    [1, 0, 6, 4],
    [8, 20, 5, 64],
    [1, 300, 600, 17],
    [1, 2, 700, 40],
    [1, 3, 90, 40],
    [1, 4, 200, 40],
  ] as const;
  it.each(gemmShapes)("multiplies %i × [%i, %i] with k = %i", (batch, m, n, k) => {
    for (const [ta, tb] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const) {
      const a = floats(batch * m * k, 1);
      const b = floats(batch * k * n, 2);
      const p = new ProgramBuilder();
      const [A, B, C] = [
        p.bind("float32", [batch, m * k]),
        p.bind("float32", [batch, n * k]),
        p.bind("float32", [batch, m, n]),
      ];
      p.call("gemm", [A, B], [C], [batch, m, n, k, ta, tb, m * k, n * k]);
      const got = runAll(p, () => [
        a.slice(),
        b.slice(),
        new Float32Array(batch * m * n).fill(7),
      ])[2]!;
      const want = new Float64Array(batch * m * n);
      for (let s = 0; s < batch; s++) {
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let sum = 0;
            for (let x = 0; x < k; x++) {
              sum +=
                a[s * m * k + (ta ? x * m + i : i * k + x)]! *
                b[s * n * k + (tb ? j * k + x : x * n + j)]!;
            }
            want[(s * m + i) * n + j] = sum;
          }
        }
      }
      expectClose(got, want, 1e-5);
    }
  });

  it.each([
    [4, 8, 2],
    [128, 10, 30],
    [40, 300, 300],
    [33, 700, 20],
    [3, 5, 700],
  ])("runs an epilogue with several outputs over [%i, %i], k = %i", (m, n, k) => {
    const a = floats(m * k, 1);
    const b = floats(k * n, 2);
    const bias = floats(n, 3);
    const rowScale = floats(m, 4);
    const residual = floats(m * n, 5);
    for (const withC of [false, true]) {
      const p = new ProgramBuilder();
      const inputs = [
        p.bind("float32", [m, k]),
        p.bind("float32", [k, n]),
        p.bind("float32", [n]),
        p.bind("float32", [m]),
        p.bind("float32", [m, n]),
      ];
      const outputs = [p.bind("float32", [m, n]), p.bind("bool", [m, n]), inputs[4]!];
      if (withC) outputs.push(p.bind("float32", [m, n]));
      p.call("gemm", inputs, outputs, [1, m, n, k, 0, 0, 0, 0], [], {
        dims: [m, n],
        strides: [
          [n, 1],
          [0, 1],
          [1, 0],
          [n, 1],
        ],
        instructions: [
          { op: "add", dst: 4, args: [0, 1] },
          { op: "mul", dst: 4, args: [4, 2] },
          { op: "relu", dst: 5, args: [4] },
          { op: "constFloat", dst: 6, constant: [0] },
          { op: "less", dst: 7, args: [6, 4] },
          { op: "add", dst: 8, args: [5, 3] },
        ],
        results: withC ? [5, 7, 8, 0] : [5, 7, 8],
      });
      const got = runAll(p, () => [
        a.slice(),
        b.slice(),
        bias.slice(),
        rowScale.slice(),
        residual.slice(),
        new Float32Array(m * n),
        new Uint8Array(m * n),
        ...(withC ? [new Float32Array(m * n)] : []),
      ]);
      const c = new Float64Array(m * n);
      for (let i = 0; i < m; i++) {
        for (let x = 0; x < k; x++)
          for (let j = 0; j < n; j++) c[i * n + j]! += a[i * k + x]! * b[x * n + j]!;
      }
      const linear = c.map((v, i) => (v + bias[i % n]!) * rowScale[Math.floor(i / n)]!);
      expectClose(
        got[5]!,
        linear.map((v) => Math.max(v, 0)),
        1e-5,
      );
      expectClose(
        got[4]!,
        linear.map((v, i) => Math.max(v, 0) + residual[i]!),
        1e-5,
      );
      const signs = got[6]!;
      linear.forEach((v, i) => {
        if (Math.abs(v) > 1e-4) expect(signs[i]).toBe(v > 0 ? 1 : 0);
      });
      if (withC) expectClose(got[7]!, c, 1e-5);
    }
  });

  // Strides of broadcast inputs over domains that take every path of the tile machine.
  it.each([
    [[7]],
    [[1000]],
    [[1300, 3]],
    [[5, 300]],
    [[3, 1100]],
    [[4, 3, 10]],
    [[2, 3, 4, 5]],
    [[0, 5]],
    [[]],
    [[3, 1, 7]],
    [[70000]],
  ] as number[][][])("maps over [%j] with every kind of broadcast", (dims) => {
    const n = ProgramBuilder.size(dims);
    const full = contiguous(dims);
    const last = dims.length - 1;
    const next = random(9);
    // All subsets of dimensions kept, compact strides for those.
    const rows: { strides: number[]; size: number }[] = [];
    for (let mask = 0; mask < 1 << dims.length && mask < 16; mask++) {
      const kept = dims.map((d, i) => (mask & (1 << i) ? d : 1));
      const compact = contiguous(kept);
      rows.push({
        strides: dims.map((_, i) => (mask & (1 << i) ? compact[i]! : 0)),
        size: ProgramBuilder.size(kept),
      });
    }
    if (dims.length === 2) {
      rows.push({ strides: [1, dims[0]!], size: n }); // transposed
      rows.push({ strides: [dims[1]! * 2, 2], size: Math.max(0, 2 * n) }); // every second
      rows.push({ strides: [dims[1]! + 3, 1], size: (dims[1]! + 3) * dims[0]! }); // row pitch
    }
    for (const { strides, size } of rows) {
      const a = Float32Array.from({ length: n }, () => next() - 0.5);
      const b = Float32Array.from({ length: Math.max(size, 1) }, () => next() - 0.5);
      const u = Uint8Array.from({ length: Math.max(size, 1) }, () => next() * 256);
      const p = new ProgramBuilder();
      const A = p.bind("float32", [n]);
      const B = p.bind("float32", [b.length]);
      const U = p.bind("uint8", [u.length]);
      const out = [p.bind("float32", [n]), p.bind("uint8", [n]), p.bind("float32", [n])];
      const tile: TileSpec = {
        dims,
        strides: [full, strides, strides],
        instructions: [
          { op: "add", dst: 3, args: [0, 1] },
          { op: "toFloat", dst: 4, args: [2] },
          { op: "mul", dst: 3, args: [3, 4] },
          { op: "constInt", dst: 5, constant: [3] },
          { op: "mulInt", dst: 6, args: [2, 5] },
        ],
        results: [3, 6, 1],
      };
      p.call("map", [A, B, U], out, [], [], tile);
      const got = runAll(p, () => [
        a.slice(),
        b.slice(),
        u.slice(),
        new Float32Array(n),
        new Uint8Array(n),
        new Float32Array(n),
      ]);
      const index = new Array(dims.length).fill(0);
      for (let i = 0; i < n; i++) {
        let rest = i;
        for (let d = last; d >= 0; d--) {
          index[d] = rest % dims[d]!;
          rest = Math.floor(rest / dims[d]!);
        }
        const at = strides.reduce((s, stride, d) => s + stride * index[d], 0);
        const want = Math.fround(Math.fround(a[i]! + b[at]!) * u[at]!);
        if (
          got[3]![i] !== want ||
          got[4]![i] !== Math.min(255, 3 * u[at]!) ||
          got[5]![i] !== b[at]
        ) {
          throw new Error(
            `[${dims}] strides [${strides}] at ${i}: ${got[3]![i]}, expected ${want}`,
          );
        }
      }
    }
  });

  it.each([
    [5, 7],
    [3, 300],
    [70, 600],
    [130, 512],
    [4, 1100],
  ])("computes what depends on the column only, over [%i, %i]", (rows, cols) => {
    const x = floats(rows * cols, 1);
    const scale = floats(cols, 2, 0.5, 2);
    const p = new ProgramBuilder();
    const X = p.bind("float32", [rows, cols]);
    const S = p.bind("float32", [cols]);
    const out = [p.bind("float32", [rows, cols]), p.bind("float32", [rows, cols])];
    const sum = p.bind("float32", [cols]);
    const tile: TileSpec = {
      dims: [rows, cols],
      strides: [contiguous([rows, cols]), [0, 1]],
      instructions: [
        { op: "sqrt", dst: 2, args: [1] },
        { op: "reciprocal", dst: 3, args: [2] },
        { op: "mul", dst: 4, args: [0, 3] },
        { op: "add", dst: 5, args: [3, 2] },
      ],
      results: [4, 5],
    };
    p.call("map", [X, S], out, [], [], tile);
    p.call("reduce", [X, S], [sum], [0], [1], {
      ...tile,
      dims: [1, rows, cols],
      strides: [contiguous([1, rows, cols]), [0, 0, 1]],
      results: [4],
    });
    const got = runAll(p, () => [
      x.slice(),
      scale.slice(),
      new Float32Array(rows * cols),
      new Float32Array(rows * cols),
      new Float32Array(cols),
    ]);
    const sums = new Float64Array(cols);
    for (let i = 0; i < rows * cols; i++) {
      const root = Math.fround(Math.sqrt(scale[i % cols]!));
      const inverse = Math.fround(1 / root);
      expect(got[2]![i]).toBe(Math.fround(x[i]! * inverse));
      expect(got[3]![i]).toBe(Math.fround(inverse + root));
      sums[i % cols]! += x[i]! * inverse;
    }
    expectClose(got[4]!, sums, 1e-5);
  });

  it("writes in place without destroying inputs that are read later", () => {
    for (const n of [5, 1000, 40000]) {
      const a = floats(n, 1);
      const b = floats(n, 2);
      const p = new ProgramBuilder();
      const A = p.bind("float32", [n]);
      const B = p.bind("float32", [n]);
      p.call("map", [A, B], [A, B], [], [], {
        dims: [n],
        strides: [[1], [1]],
        instructions: [
          { op: "add", dst: 2, args: [0, 1] },
          { op: "sub", dst: 3, args: [0, 1] },
        ],
        results: [2, 3],
      });
      p.call("map", [A, B], [B, A], [], [], {
        dims: [n],
        strides: [[1], [1]],
        instructions: [],
        results: [0, 1],
      });
      const got = runAll(p, () => [a.slice(), b.slice()]);
      for (let i = 0; i < n; i++) {
        expect(got[1]![i]).toBe(Math.fround(a[i]! + b[i]!));
        expect(got[0]![i]).toBe(Math.fround(a[i]! - b[i]!));
      }
    }
  });

  it.each([
    [1, 10, 1],
    [7, 10, 1],
    [3, 1000, 1],
    [1, 100000, 1],
    [1, 128, 512],
    [2, 300, 10],
    [1, 5000, 3],
    [3, 4, 700],
    [2, 0, 3],
    [5, 0, 1],
    [1, 1, 1],
    [0, 4, 2],
  ])("reduces [%i, %i, %i]", (outer, axis, inner) => {
    const n = outer * axis * inner;
    const x = floats(n, 5);
    const y = Int32Array.from(floats(n, 6, -50, 50));
    const p = new ProgramBuilder();
    const X = p.bind("float32", [n]);
    const Y = p.bind("int32", [n]);
    const out = [0, 1, 2, 3].map(() => p.bind("float32", [outer * inner]));
    const ints = [0, 1, 2].map(() => p.bind("int32", [outer * inner]));
    const dims = [outer, axis, inner];
    p.call("reduce", [X, Y], [...out, ...ints], [0, 1, 2, 3, 0, 1, 2], [0.5, 1, 1, 1, 1, 1, 1], {
      dims,
      strides: [contiguous(dims), contiguous(dims)],
      instructions: [
        { op: "square", dst: 2, args: [0] },
        { op: "constFloat", dst: 3, constant: [1] },
        { op: "add", dst: 3, args: [3, 0] },
      ],
      results: [2, 0, 0, 3, 1, 1, 1],
    });
    const got = runAll(p, () => [
      x.slice(),
      y.slice(),
      ...out.map(() => new Float32Array(outer * inner)),
      ...ints.map(() => new Int32Array(outer * inner)),
    ]);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const column = Array.from({ length: axis }, (_, a) => (o * axis + a) * inner + i);
        const at = o * inner + i;
        const want = [
          column.reduce((s, c) => s + x[c]! ** 2, 0) * 0.5,
          column.reduce((s, c) => Math.max(s, x[c]!), -Infinity),
          column.reduce((s, c) => Math.min(s, x[c]!), Infinity),
          axis <= 300 ? column.reduce((s, c) => s * Math.fround(1 + x[c]!), 1) : got[5]![at]!,
          column.reduce((s, c) => s + y[c]!, 0),
          column.reduce((s, c) => Math.max(s, y[c]!), -(2 ** 31)),
          column.reduce((s, c) => Math.min(s, y[c]!), 2 ** 31 - 1),
        ];
        expectClose(
          want.map((_, r) => got[2 + r]![at]!),
          want,
          1e-6,
        );
      }
    }
  });

  it("reduces into the bytes of its input", () => {
    const p = new ProgramBuilder();
    const X = p.bind("float32", [300, 40]);
    const x = p.arena("float32", [300, 40], 0);
    const y = p.arena("float32", [300], 0);
    const Y = p.bind("float32", [300]);
    p.call("map", [X], [x], [], [], {
      dims: [12000],
      strides: [[1]],
      instructions: [],
      results: [0],
    });
    p.call("reduce", [x], [y], [0], [1], {
      dims: [300, 40, 1],
      strides: [[40, 1, 1]],
      instructions: [],
      results: [0],
    });
    p.call("map", [y], [Y], [], [], {
      dims: [300],
      strides: [[1]],
      instructions: [],
      results: [0],
    });
    const data = floats(12000, 1);
    const got = runAll(p, () => [data.slice(), new Float32Array(300)])[1]!;
    expectClose(
      got,
      Array.from({ length: 300 }, (_, r) =>
        data.slice(r * 40, r * 40 + 40).reduce((a, b) => a + b, 0),
      ),
      1e-5,
    );
  });

  it("propagates NaN through max and min", () => {
    for (const n of [5, 40, 1000]) {
      const p = new ProgramBuilder();
      const X = p.bind("float32", [n]);
      const out = [p.bind("float32", [1]), p.bind("float32", [1])];
      p.call("reduce", [X], out, [1, 2], [1, 1], {
        dims: [1, n, 1],
        strides: [[n, 1, 1]],
        instructions: [],
        results: [0, 0],
      });
      for (const at of [0, 3, n - 1]) {
        const x = floats(n, 1);
        x[at] = Number.NaN;
        const got = runAll(p, () => [x.slice(), new Float32Array(1), new Float32Array(1)]);
        expect(got[1]![0]).toBeNaN();
        expect(got[2]![0]).toBeNaN();
      }
    }
  });

  it.each([
    [[40, 70], [1, 40], [70, 1], 0, 0, 2800, 2800],
    [[3, 40, 70], [2800, 1, 40], [2800, 70, 1], 0, 0, 8400, 8400],
    [[5, 6], [-6, -1], [6, 1], 29, 0, 30, 30],
    [[100], [0], [2], 3, 5, 4, 210],
    [[4, 3, 2, 5], [30, 1, 15, 3], [30, 10, 5, 1], 0, 0, 120, 120],
    [[300, 200], [200, 1], [500, 1], 0, 100, 60000, 150000],
    [[], [], [], 2, 1, 3, 3],
    [[0, 3], [3, 1], [3, 1], 0, 0, 0, 0],
  ] as [number[], number[], number[], number, number, number, number][])(
    "copies %j from strides %j to %j",
    (dims, src, dst, from, to, nx, ny) => {
      for (const dtype of ["int32", "uint8"] as const) {
        const make =
          dtype === "int32" ? (n: number) => new Int32Array(n) : (n: number) => new Uint8Array(n);
        const x = make(nx).map((_, i) => i);
        const p = new ProgramBuilder();
        p.call(
          "copy",
          [p.bind(dtype, [nx])],
          [p.bind(dtype, [ny])],
          [dims.length, from, to, ...dims, ...src, ...dst],
        );
        const got = runAll(p, () => [x.slice(), make(ny).fill(9)])[1]!;
        const want = make(ny).fill(9);
        const n = ProgramBuilder.size(dims);
        for (let i = 0; i < n; i++) {
          let [rest, s, t] = [i, from, to];
          for (let d = dims.length - 1; d >= 0; d--) {
            const at = rest % dims[d]!;
            rest = Math.floor(rest / dims[d]!);
            s += at * src[d]!;
            t += at * dst[d]!;
          }
          want[t] = x[s]!;
        }
        expect(got).toEqual(want);
      }
    },
  );

  it("gathers and scatters", () => {
    for (const [outer, axis, inner, count] of [
      [1, 100, 784, 128],
      [3, 5, 1, 9],
      [2, 7, 33, 4],
      [1, 3, 2, 0],
    ] as const) {
      const x = floats(outer * axis * inner, 1);
      const next = random(3);
      const indices = Int32Array.from({ length: count }, () => next() * axis);
      const p = new ProgramBuilder();
      const X = p.bind("float32", [x.length]);
      const I = p.bind("int32", [count]);
      const Y = p.bind("float32", [outer * count * inner]);
      const Z = p.bind("float32", [x.length]);
      p.call("gather", [X, I], [Y], [outer, axis, inner, count]);
      p.call("scatterAdd", [Y, I], [Z], [outer, axis, inner, count]);
      const got = runAll(p, () => [
        x.slice(),
        indices.slice(),
        new Float32Array(outer * count * inner),
        new Float32Array(x.length),
      ]);
      const sums = new Float32Array(x.length);
      for (let o = 0; o < outer; o++) {
        for (let j = 0; j < count; j++) {
          for (let i = 0; i < inner; i++) {
            const from = (o * axis + indices[j]!) * inner + i;
            expect(got[2]![(o * count + j) * inner + i]).toBe(x[from]);
            sums[from] = Math.fround(sums[from]! + x[from]!);
          }
        }
      }
      expect(got[3]).toEqual(sums);
      if (count === 0) continue;
      const handle = p.load();
      indices[count - 1] = axis;
      expect(() => addon.runSync(handle, [x, indices, got[2]!, got[3]!])).toThrow(
        `gather: index ${axis} at position ${count - 1} lies outside [0, ${axis}) (Program call 0)`,
      );
    }
  });

  it.each([
    [1, 1],
    [128, 10],
    [5, 17],
    [3, 1000],
    [2, 16],
  ])("computes softmax and cross-entropies of [%i, %i]", (rows, cols) => {
    const z = floats(rows * cols, 1, -20, 20);
    const targets = floats(rows * cols, 2, 0, 1);
    const next = random(4);
    const labels = Int32Array.from({ length: rows }, () => next() * cols);
    for (const smoothing of [0, 0.1]) {
      const p = new ProgramBuilder();
      const Z = p.bind("float32", [rows, cols]);
      const T = p.bind("float32", [rows, cols]);
      const L = p.bind("int32", [rows]);
      const P = p.bind("float32", [rows, cols]);
      const LP = p.bind("float32", [rows, cols]);
      const losses = [p.bind("float32", [rows]), p.bind("float32", [rows])];
      const gradients = [p.bind("float32", [rows, cols]), p.bind("float32", [rows, cols])];
      p.call("softmax", [Z], [P], [rows, cols, 0]);
      p.call("softmax", [Z], [LP], [rows, cols, 1]);
      p.call("softmaxCrossEntropy", [Z, T], [losses[0]!, gradients[0]!], [rows, cols], [smoothing]);
      p.call(
        "sparseSoftmaxCrossEntropy",
        [Z, L],
        [losses[1]!, gradients[1]!],
        [rows, cols],
        [smoothing],
      );
      const big = () => new Float32Array(rows * cols);
      const got = runAll(p, () => [
        z.slice(),
        targets.slice(),
        labels.slice(),
        big(),
        big(),
        new Float32Array(rows),
        new Float32Array(rows),
        big(),
        big(),
      ]);
      for (let r = 0; r < rows; r++) {
        const row = Array.from(z.slice(r * cols, (r + 1) * cols));
        const max = Math.max(...row);
        const lse = max + Math.log(row.reduce((s, v) => s + Math.exp(v - max), 0));
        const at = (a: ArrayLike<number>) =>
          Array.from({ length: cols }, (_, c) => a[r * cols + c]!);
        expectClose(
          at(got[3]!),
          row.map((v) => Math.exp(v - lse)),
          1e-6,
        );
        expectClose(
          at(got[4]!),
          row.map((v) => v - lse),
          1e-6,
        );
        for (const [kind, raw] of [
          at(targets),
          row.map((_, c) => Number(c === labels[r])),
        ].entries()) {
          const t = raw.map((v) => v * (1 - smoothing) + smoothing / cols);
          const total = t.reduce((a, b) => a + b, 0);
          expectClose(
            [got[5 + kind]![r]!],
            [t.reduce((s, v, c) => s + v * (lse - row[c]!), 0)],
            2e-6,
          );
          expectClose(
            at(got[7 + kind]!),
            row.map((v, c) => Math.exp(v - lse) * total - t[c]!),
            2e-6,
          );
        }
      }
      labels[rows - 1] = cols;
      expect(() => addon.runSync(p.load(), [...got.slice(0, 2), labels, ...got.slice(3)])).toThrow(
        `sparseSoftmaxCrossEntropy: label ${cols} at position ${rows - 1} lies outside [0, ${cols}) (Program call 3)`,
      );
      labels[rows - 1] = 0;
    }
  });

  it.each([
    [1, 128, 512],
    [1, 5000, 3],
    [4, 100, 1],
    [3, 7, 40],
    [2, 300, 600],
  ])("computes moments of [%i, %i, %i]", (outer, axis, inner) => {
    // A mean far from zero, where one-pass formulas fail.
    const x = floats(outer * axis * inner, 3, 1000, 1001);
    const p = new ProgramBuilder();
    const out = [
      p.bind("float32", [x.length]),
      p.bind("float32", [outer * inner]),
      p.bind("float32", [outer * inner]),
    ];
    p.call("moments", [out[0]!], [out[1]!, out[2]!], [outer, axis, inner]);
    const got = runAll(p, () => [
      x.slice(),
      new Float32Array(outer * inner),
      new Float32Array(outer * inner),
    ]);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const column = Array.from({ length: axis }, (_, a) => x[(o * axis + a) * inner + i]!);
        const mean = column.reduce((a, b) => a + b, 0) / axis;
        const variance = column.reduce((s, v) => s + (v - mean) ** 2, 0) / axis;
        expectClose([got[1]![o * inner + i]!], [mean], 1e-7);
        expect(Math.abs(got[2]![o * inner + i]! - variance)).toBeLessThan(1e-5 * variance);
      }
    }
  });

  it("selects: argReduce, topK, cumsum", () => {
    const x = Float32Array.of(3, 1, Number.NaN, 5, 5, -2, 5, Number.NaN);
    const p = new ProgramBuilder();
    const X = p.bind("float32", [8]);
    const y = [p.bind("int32", [1]), p.bind("int32", [1]), p.bind("int32", [4])];
    const values = p.bind("float32", [8]);
    const indices = p.bind("int32", [8]);
    p.call("argReduce", [X], [y[0]!], [1, 8, 1, 0]);
    p.call("argReduce", [X], [y[1]!], [1, 8, 1, 1]);
    p.call("argReduce", [X], [y[2]!], [1, 2, 4, 0]);
    p.call("topK", [X], [values, indices], [1, 8, 8]);
    const got = runAll(p, () => [
      x.slice(),
      new Int32Array(1),
      new Int32Array(1),
      new Int32Array(4),
      new Float32Array(8),
      new Int32Array(8),
    ]);
    expect(Array.from(got[1]!)).toEqual([2]);
    expect(Array.from(got[2]!)).toEqual([2]);
    expect(Array.from(got[3]!)).toEqual([1, 0, 0, 1]);
    expect(Array.from(got[5]!)).toEqual([2, 7, 3, 4, 6, 0, 1, 5]);

    const n = 2 * 9 * 5;
    for (const dtype of ["float32", "int32"] as const) {
      for (const [exclusive, reverse] of [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ] as const) {
        const data = dtype === "int32" ? Int32Array.from(floats(n, 3, -99, 99)) : floats(n, 3);
        const q = new ProgramBuilder();
        q.call("cumsum", [q.bind(dtype, [n])], [q.bind(dtype, [n])], [2, 9, 5, exclusive, reverse]);
        const [, sums] = runAll(q, () => [data.slice(), data.slice().fill(0)]);
        for (let o = 0; o < 2; o++) {
          for (let i = 0; i < 5; i++) {
            let sum = 0;
            for (let step = 0; step < 9; step++) {
              const at = (o * 9 + (reverse ? 8 - step : step)) * 5 + i;
              if (exclusive) expectClose([sums![at]!], [sum], 1e-6);
              sum += data[at]!;
              if (!exclusive) expectClose([sums![at]!], [sum], 1e-6);
            }
          }
        }
      }
    }
  });
});
