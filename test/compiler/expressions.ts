/**
 * A seeded generator of expression graphs: element-wise ops, broadcasts, reductions, products,
 * reshapes, transposes, slices and selections, over a few leaves and variables. The same seed builds
 * the same graph; `each` sees every tensor as it is made, so that a test can compute it at once.
 */
import * as lw from "../../src/index.js";
import { random, uniform } from "../helpers/random.js";

const shapes = [[], [1], [4], [3, 4], [3, 1], [1, 4], [2, 3, 4], [2, 1, 1], [4, 3], [4, 4]];

type Pick = <T>(list: readonly T[]) => T;

const unary: ((x: lw.Tensor) => lw.Tensor)[] = [
  (x) => x.neg(),
  (x) => x.abs(),
  (x) => x.tanh(),
  (x) => x.sigmoid(),
  (x) => x.relu(),
  (x) => x.sin(),
  (x) => x.square().mul(0.1),
  (x) => x.mul(0.5).add(1),
  (x) => x.sub(0),
  (x) => x.mul(1),
  (x) => lw.elu(x),
  (x) => lw.where(x.greater(0), x, x.mul(0.1)),
  (x) => x.clipByValue(-1, 1),
  (x) => x.cast("int32").cast("float32"),
  (x) => x.greater(0.1).cast("float32"),
];

const binary: ((a: lw.Tensor, b: lw.Tensor) => lw.Tensor)[] = [
  (a, b) => a.add(b),
  (a, b) => a.sub(b),
  (a, b) => a.mul(b),
  (a, b) => a.maximum(b),
  (a, b) => a.div(b.square().add(1)),
  (a, b) => lw.where(a.less(b), a, b.mul(0.5)),
  (a, b) => lw.squaredDifference(a, b).mul(0.1),
];

function broadcasts(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 1; i <= Math.min(a.length, b.length); i++) {
    const [x, y] = [a[a.length - i]!, b[b.length - i]!];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

/** One tensor made of earlier ones. */
function grow(pick: Pick, next: () => number, pool: readonly lw.Tensor[]): lw.Tensor {
  const x = pick(pool);
  const kind = next();
  if (kind < 0.3) return pick(unary)(x);
  if (kind < 0.6) {
    const partners = pool.filter((t) => broadcasts(t.shape, x.shape));
    const y = pick(binary)(x, pick(partners));
    return y.size <= 64 ? y : x;
  }
  if (kind < 0.68 && x.rank > 0) {
    const axis = Math.floor(next() * x.rank);
    const keep = next() < 0.5;
    return pick([
      () => x.sum(axis, keep),
      () => x.mean(axis, keep),
      () => x.max(axis, keep),
      () => x.sum(undefined, keep),
      () => x.variance(axis, keep),
    ])();
  }
  if (kind < 0.76 && x.rank >= 2) {
    const partners = pool.filter((t) => t.rank === 2 && t.shape[0] === x.shape[x.rank - 1]);
    if (partners.length > 0) return x.matMul(pick(partners)).mul(0.3);
    if (x.rank === 2) return x.matMul(x, true, false).mul(0.3);
  }
  if (kind < 0.84 && x.rank >= 1) {
    return pick([() => x.transpose(), () => x.reverse(), () => x.flatten().reshape(x.shape)])();
  }
  if (kind < 0.88) return x.reshape([-1]);
  if (kind < 0.92 && x.rank >= 1 && x.shape[0]! > 1) return x.slice(1);
  if (kind < 0.95 && x.rank >= 1 && x.size <= 32) return lw.concat([x, x.mul(2)]);
  if (kind < 0.97 && x.rank >= 1) return x.softmax();
  return x.rank < 3 ? x.expandDims(Math.floor(next() * (x.rank + 1))) : x;
}

/** Builds graph number `seed`. `each` runs on every new tensor, in order. */
export function generate(
  seed: number,
  size: number,
  variables: readonly lw.Variable[],
  each: (x: lw.Tensor) => void = () => {},
): { outputs: lw.Tensor[] } {
  const next = random(seed);
  const pick: Pick = (list) => list[Math.floor(next() * list.length)]!;
  const pool: lw.Tensor[] = [];
  for (const [i, shape] of shapes.entries()) {
    const count = shape.reduce((a, b) => a * b, 1);
    pool.push(lw.tensor(uniform(1000 * seed + i, count, -2, 2), shape));
  }
  pool.push(...variables.map((v) => v.read()));
  const made: lw.Tensor[] = [];
  const add = (x: lw.Tensor): void => {
    each(x);
    pool.push(x);
    made.push(x);
  };
  for (let i = 0; i < size; i++) {
    add(grow(pick, next, pool));
    // Variables change on the way: what was read before must keep its value.
    for (const v of variables) {
      if (next() > 0.12) continue;
      const fitting = pool.filter((t) => t.shape.join() === v.shape.join());
      const value =
        next() < 0.15
          ? pick(variables.filter((o) => o.shape.join() === v.shape.join()))
          : pick(fitting);
      v.assign(value);
      pool.push(v.read());
    }
  }
  const outputs = [made[made.length - 1]!, pick(made), pick(made), pick(pool), pick(pool)];
  return { outputs };
}
