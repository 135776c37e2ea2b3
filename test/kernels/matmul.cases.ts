/** Cases of `gemm`: all transposes, sizes around every tile and block, batches, epilogues. */
import { normal, random } from "../helpers/random.js";
import { f32, type KernelCase, out, tileOf } from "./case.js";

/** m, n, k. */
const sizes: [number, number, number][] = [
  [1, 1, 1],
  [4, 8, 2],
  [1, 300, 257],
  [300, 1, 257],
  [2, 2, 1000],
  [3, 17, 5],
  [5, 7, 11],
  [4, 4, 4],
  [8, 8, 8],
  [13, 31, 3],
  [14, 32, 256],
  [15, 33, 255],
  [6, 16, 513],
  [7, 64, 1],
  [64, 65, 66],
  [127, 129, 31],
  [129, 130, 300],
  [33, 1000, 17],
  [128, 10, 512],
  [1, 10, 784],
  [0, 5, 3],
  [5, 0, 3],
  [5, 6, 0],
  [2, 513, 258],
  [130, 515, 40],
  [16, 97, 1000],
];

interface Options {
  readonly batch?: number;
  readonly sharedA?: boolean;
  readonly sharedB?: boolean;
}

function product(
  [m, n, k]: readonly [number, number, number],
  transposes: string,
  { batch = 1, sharedA = false, sharedB = false }: Options = {},
): KernelCase {
  const ta = transposes[0] === "T" ? 1 : 0;
  const tb = transposes[1] === "T" ? 1 : 0;
  const strideA = sharedA ? 0 : m * k;
  const strideB = sharedB ? 0 : k * n;
  const shared = `${sharedA ? ", A shared" : ""}${sharedB ? ", B shared" : ""}`;
  return {
    name: `${transposes} ${m}×${n}×${k}${batch === 1 ? "" : `, batch ${batch}${shared}`}`,
    call: { kernel: "gemm", ints: [batch, m, n, k, ta, tb, strideA, strideB], floats: [] },
    inputs: [
      f32(normal(m + n, sharedA ? m * k : batch * m * k)),
      f32(normal(n + k, sharedB ? k * n : batch * k * n)),
    ],
    outputs: [out(batch * m * n)],
  };
}

/** Bias along n and the activation's slope test: relu(C + bias), and C + bias itself. */
function biased(base: KernelCase): KernelCase {
  const [batch, m, n] = base.call.ints as [number, number, number];
  const tile = tileOf(
    [batch * m, n],
    [
      [n, 1],
      [0, 1],
    ],
    (emit) => {
      const sum = emit("add", [0, 1]);
      return [emit("relu", [sum]), sum];
    },
  );
  return {
    ...base,
    name: `${base.name}, relu(C + bias) and C + bias`,
    call: { ...base.call, tile },
    inputs: [...base.inputs, f32(normal(5, n))],
    outputs: [out(batch * m * n), out(batch * m * n)],
  };
}

/** A residual, a factor per row and one for all: every kind of broadcast. */
function residual(base: KernelCase): KernelCase {
  const [batch, m, n] = base.call.ints as [number, number, number];
  const tile = tileOf(
    [batch * m, n],
    [
      [n, 1],
      [n, 1],
      [1, 0],
      [0, 0],
    ],
    (emit) => {
      const sum = emit("add", [0, 1]);
      return [emit("add", [sum, emit("mul", [2, 3])])];
    },
  );
  return {
    ...base,
    name: `${base.name}, C + residual + row·scalar`,
    call: { ...base.call, tile },
    inputs: [...base.inputs, f32(normal(5, batch * m * n)), f32(normal(6, batch * m)), f32([0.5])],
    outputs: [out(batch * m * n)],
  };
}

/** The same with most of A's elements zero, as behind rectifiers and dropout. */
function sparse(base: KernelCase): KernelCase {
  const uniform = random(8);
  const [a, ...others] = base.inputs;
  const values = (a!.data as Float32Array).map((value) => (uniform() < 0.25 ? value : 0));
  return {
    ...base,
    name: `${base.name}, three quarters of A zero`,
    inputs: [f32(values), ...others],
  };
}

const every = ["NN", "NT", "TN", "TT"];
const next = random(77);
const draw = (limit: number) => 1 + Math.floor(next() ** 2 * limit);
const drawn = Array.from({ length: 24 }, () => [draw(150), draw(150), draw(600)] as const);

export const matmulCases: readonly KernelCase[] = [
  ...sizes.flatMap((size) => every.map((transposes) => product(size, transposes))),
  ...drawn.map((size, i) => product(size, every[i % 4]!)),
  product([5, 7, 9], "NN", { batch: 3 }),
  product([33, 17, 65], "TN", { batch: 4, sharedA: true }),
  product([33, 17, 65], "NT", { batch: 4, sharedB: true }),
  product([8, 64, 64], "NN", { batch: 16, sharedB: true }),
  product([40, 50, 60], "TT", { batch: 2, sharedA: true, sharedB: true }),
  product([5, 6, 7], "NN", { batch: 0 }),
  ...sizes.map((size, i) => biased(product(size, every[i % 4]!))),
  biased(product([9, 70, 30], "NN", { batch: 3 })),
  // Larger than every block of C that waits for its epilogue: with one block of k, and with two.
  biased(product([200, 530, 200], "TN")),
  residual(product([1030, 530, 270], "TN")),
  ...every.map((transposes) => sparse(product([100, 131, 300], transposes))),
  ...every.map((transposes) => sparse(biased(product([150, 600, 64], transposes)))),
  sparse(residual(product([40, 200, 333], "TN", { batch: 2, sharedB: true }))),
  ...[3, 9, 14, 15, 16, 21, 24].map((i) => residual(product(sizes[i]!, "NN"))),
  residual(product([9, 70, 30], "NT", { batch: 3 })),
  ...[2, 9, 16, 21].map((i) => ({
    ...residual(product(sizes[i]!, "NN")),
    name: `NN ${sizes[i]!.join("×")}, in place on the residual`,
    inPlace: [0, 2] as const,
  })),
];
